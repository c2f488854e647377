//! Pages of traces that verify themselves: how long writing all of a ledger takes, with their proofs; how large they are; how long checking one
//! takes, from Rust and in a browser. `cargo bench --bench pages -- --help`
//!
//! The ledger is the example's, with one owner: a node in this process, signed transactions, a log on disk. So is what writes the pages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "../examples/chain_of_origin/book.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod book;
#[path = "pages/browser.rs"]
mod browser;
#[path = "../examples/chain_of_origin/machine.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod machine;
#[path = "pages/options.rs"]
mod options;
#[path = "../examples/chain_of_origin/pages.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod pages;
#[path = "../examples/chain_of_origin/parties.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod parties;
#[path = "pages/supply.rs"]
mod supply;

/// What the example's modules expect of their program.
mod processes {
    pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
}

use book::Book;
use ledgerkit::consensus::Solo;
use ledgerkit::contracts::NativeRuntime;
use ledgerkit::core::{Genesis, Timestamp};
use ledgerkit::crypto::Signer;
use ledgerkit::node::{Host, NodeBuilder};
use ledgerkit::storage::disk::RealDisk;
use ledgerkit::trace_page::check;
use ledgerkit::traceability::contract::Traceability;
use ledgerkit::traceability::epcis::{Event, Item};
use machine::Machine;
use options::{HELP, Options};
use pages::Written;
use processes::Fallible;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a server would use; the libraries leave the choice to the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Transactions on their way at once.
const WINDOW: usize = 512;
/// How many lines a page has for which the times of opening are given.
const LINES: usize = 30;
/// Pages of at least so many lines that are checked one by one, and opened.
const SAMPLE: usize = 15;
/// How often a page is checked; the median counts.
const ROUNDS: usize = 5;

/// The goals: seconds for all pages, bytes of a page, milliseconds to verify one on opening.
const GOALS: (f64, f64, f64) = (10.0, 400_000.0, 200.0);

type Figures = BTreeMap<&'static str, f64>;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let below = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut fresh = tempfile::tempdir_in(options.data.as_ref().unwrap_or(&below)).expect("a fresh folder");
    if RealDisk::open(fresh.path()).expect("the data folder opens").is_volatile() {
        eprintln!("{} is on tmpfs: an fsync there costs nothing", fresh.path().display());
        return ExitCode::FAILURE;
    }
    fresh.disable_cleanup(options.keep);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let figures = runtime.block_on(measure(&options, fresh.path())).expect("the pages are written");
    if options.keep {
        println!("kept         {}", fresh.path().display());
    }
    if let Some(file) = &options.report {
        let lines: String = figures.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(file, lines).expect("the report is written");
    }
    ExitCode::SUCCESS
}

async fn measure(options: &Options, folder: &Path) -> Fallible<Figures> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "conditions   {} cores, one process, solo, native contract, fsync on, allocator: mimalloc, load over one minute {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        load.split(' ').next().unwrap_or("unknown")
    );
    let rounds = options.lots.div_ceil(supply::LOTS);
    let events = supply::events(rounds);
    let mut figures = Figures::new();
    let (host, book) = open(&folder.join("ledger")).await?;
    let clock = Instant::now();
    record(&book, &events).await?;
    let (recorded, blocks) = (clock.elapsed().as_secs_f64(), book.chain.progress().ordered.0);
    println!("recorded     {} events in {blocks} blocks, {recorded:.1} s, outside of what is timed", events.len());
    figures.extend([("events", events.len() as f64), ("blocks", blocks as f64)]);

    let pages = folder.join("pages");
    let written = write(&book, &pages, &mut figures)?;
    sizes(&written, &mut figures);
    drop(book);
    host.shutdown().await?;
    check_all(&pages, &written, &mut figures)?;
    if options.browser {
        open_some(&pages, &written, &mut figures);
    }
    goals(&figures);
    Ok(figures)
}

async fn open(folder: &Path) -> Fallible<(Host, Book)> {
    std::fs::create_dir_all(folder)?;
    let builder = NodeBuilder::new().folder(folder)?;
    let host = builder.runtime(NativeRuntime::new().with(Traceability::default())).start().await?;
    let (owner, machine) = (parties::owner(), Machine::Native);
    let genesis = Genesis::solo(machine.chain(), owner.public_key(), Timestamp(1_767_225_600_000));
    let chain = host.chain(genesis, Solo::new(owner)).await?;
    let book = Book::new(chain)?;
    book.chain.submit(machine.deployment(book.chain.id())?).await?.certified().await?;
    match book.is_open()? {
        true => Ok((host, book)),
        false => Err("the contract was not deployed".into()),
    }
}

/// Records the events, each signed by the party that it names.
async fn record(book: &Book, events: &[Event]) -> Fallible<()> {
    let mut parties = parties::Parties::default();
    let mut under_way = std::collections::VecDeque::new();
    for event in events {
        let party = parties.of(event);
        let number = party.next.unwrap_or(0);
        party.next = Some(number + 1);
        let (chain, contract) = (book.chain.id(), book.contract);
        let transaction = book::recording(chain, contract, Machine::Native, event, number, &party.signer)?;
        under_way.push_back(book.chain.enqueue(transaction).await?);
        if under_way.len() >= WINDOW {
            finish(under_way.pop_front()).await?;
        }
    }
    while !under_way.is_empty() {
        finish(under_way.pop_front()).await?;
    }
    println!("parties      {}, each with its own key", parties.len());
    Ok(())
}

async fn finish<A>(accepted: Option<A>) -> Fallible<()>
where
    A: Future<Output = Result<ledgerkit::node::Pending, ledgerkit::node::SubmitError>>,
{
    let Some(accepted) = accepted else { return Ok(()) };
    let receipt = accepted.await?.certified().await?.executed.result.receipt;
    receipt.succeeded().then_some(()).ok_or_else(|| format!("an event was not recorded: {:?}", receipt.status).into())
}

/// Lists the lots, and proves and writes the page of each: all that is timed.
fn write(book: &Book, folder: &Path, figures: &mut Figures) -> Fallible<Vec<Written>> {
    let proving = AtomicU64::new(0);
    let clock = Instant::now();
    let mut lots: Vec<Item> = book.items(usize::MAX)?.into_iter().map(|(item, _)| item).collect();
    lots.retain(|item| item.as_str().contains("/10/"));
    let written = pages::all(folder, &lots, Machine::Native, &|lot| {
        let clock = Instant::now();
        let evidence = book.prove(lot);
        proving.fetch_add(clock.elapsed().as_nanos() as u64, Ordering::Relaxed);
        evidence
    })?;
    let (took, proving) = (clock.elapsed().as_secs_f64(), proving.into_inner() as f64 / 1e9);
    println!(
        "written      {} pages in {took:.2} s on all cores; their threads spent {proving:.2} s on making proofs",
        written.len()
    );
    figures.extend([("lots", written.len() as f64), ("write_s", took), ("proving_thread_s", proving)]);
    Ok(written)
}

fn median<T: Copy + PartialOrd>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

fn sizes(written: &[Written], figures: &mut Figures) {
    let mut bytes: Vec<usize> = written.iter().map(|page| page.bytes).collect();
    let mut lines: Vec<usize> = written.iter().map(|page| page.entry.events).collect();
    let (middle, middle_lines) = (median(&mut bytes), median(&mut lines));
    let (most, most_lines) = (bytes[bytes.len() - 1], lines[lines.len() - 1]);
    let (all, all_lines) = (bytes.iter().sum::<usize>(), lines.iter().sum::<usize>());
    // Pages have a part that is the same in all, and one that grows with their lines: the line of least squares through all pages.
    let (mean, mean_lines) = (all as f64 / written.len() as f64, all_lines as f64 / written.len() as f64);
    let (above, below) = written.iter().fold((0.0, 0.0), |(above, below), page| {
        let lines = page.entry.events as f64 - mean_lines;
        (above + lines * (page.bytes as f64 - mean), below + lines * lines)
    });
    let each = above / below;
    println!("lines        {all_lines} in all, {middle_lines} a page (median), {most_lines} at most");
    println!(
        "bytes        {middle} a page (median), {most} at most; {:.0} and {each:.0} for each line",
        mean - each * mean_lines
    );
    figures.extend([
        ("largest_page_bytes", most as f64),
        ("median_page_bytes", middle as f64),
        ("fixed_page_bytes", mean - each * mean_lines),
        ("line_bytes", each),
        ("lines", all_lines as f64),
        ("median_page_lines", middle_lines as f64),
        ("largest_page_lines", most_lines as f64),
    ]);
}

/// Checks every page, and a few by themselves.
fn check_all(folder: &Path, written: &[Written], figures: &mut Figures) -> Fallible<()> {
    let clock = Instant::now();
    for page in written {
        let verdict = check(&std::fs::read_to_string(folder.join(&page.entry.file))?, None)?;
        if !verdict.holds() {
            return Err(format!("{}: {:?}", page.entry.file, verdict.faults()).into());
        }
    }
    let all = clock.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for page in sample(written) {
        let html = std::fs::read_to_string(folder.join(&page.entry.file))?;
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let clock = Instant::now();
                assert!(check(&html, None).is_ok_and(|verdict| verdict.holds()));
                clock.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.push(median(&mut rounds));
    }
    println!("checked      all {} hold: {all:.1} s on one core", written.len());
    figures.insert("check_all_s", all);
    if !times.is_empty() {
        let check_ms = median(&mut times);
        println!(
            "check        {check_ms:.1} ms for one of {LINES} lines or a few more, every byte compared (median of {} pages)",
            times.len()
        );
        figures.insert("check_ms", check_ms);
    }
    Ok(())
}

/// The pages with the fewest lines of those that have enough.
fn sample(written: &[Written]) -> Vec<&Written> {
    let mut enough: Vec<&Written> = written.iter().filter(|page| page.entry.events >= LINES).collect();
    enough.sort_by_key(|page| page.entry.events);
    enough.truncate(SAMPLE);
    enough
}

fn open_some(folder: &Path, written: &[Written], figures: &mut Figures) {
    let mut pages = sample(written);
    pages.extend(written.iter().max_by_key(|page| page.entry.events));
    let files: Vec<PathBuf> = pages.iter().map(|page| folder.join(&page.entry.file)).collect();
    let mut opened = match browser::open(&files) {
        Ok(opened) => opened,
        Err(reason) => return println!("opened       not measured: {reason}"),
    };
    let Some(largest) = opened.pop() else { return };
    figures.extend([("open_largest_ms", largest.verified_ms), ("open_largest_shown_ms", largest.shown_ms)]);
    if opened.is_empty() {
        return;
    }
    let mut verified: Vec<f64> = opened.iter().map(|page| page.verified_ms).collect();
    let mut shown: Vec<f64> = opened.iter().map(|page| page.shown_ms).collect();
    let (verified_ms, shown_ms) = (median(&mut verified), median(&mut shown));
    let longest = verified[verified.len() - 1];
    println!(
        "opened       {} pages of {} to {} lines in Chromium: verified after {verified_ms:.0} ms (median), {longest:.0} ms (longest); all shown {shown_ms:.0} ms after \
         the navigation began",
        opened.len(),
        opened[0].lines,
        opened[opened.len() - 1].lines
    );
    println!(
        "             the page with the most lines, {}: verified {:.0} ms, shown {:.0} ms",
        largest.lines, largest.verified_ms, largest.shown_ms
    );
    figures.extend([("open_ms", verified_ms), ("open_longest_ms", longest), ("open_shown_ms", shown_ms)]);
}

fn goals(figures: &Figures) {
    let (seconds, bytes, ms) = GOALS;
    let goals = [("write_s", seconds), ("largest_page_bytes", bytes), ("open_ms", ms)];
    for (name, goal) in goals {
        match figures.get(name) {
            Some(value) if *value <= goal => println!("goal         {name} {value:.1}, at most {goal}: reached"),
            Some(value) => println!("goal         {name} {value:.1}, at most {goal}: NOT reached"),
            None => println!("goal         {name}, at most {goal}: not measured"),
        }
    }
}
