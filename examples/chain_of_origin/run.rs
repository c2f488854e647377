//! The run: load, trace, show, report.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ledger_core::AccountId;
use ledger_crypto::Signer as _;
use ledger_traceability::epcis::{Event, EventKey, Item};
use ledger_traceability::timeline::timeline_of;
use tokio::task::JoinSet;

use crate::arguments::{self, Command, HELP, Options};
use crate::book::{self, Evidence};
use crate::documents::{self, Source};
use crate::fault::Fault;
use crate::ledger::{Ledger, Recorded};
use crate::machine::Machine;
use crate::nearest::nearest;
use crate::pages;
use crate::parties::{self, Parties};
use crate::processes::{Fallible, Program};
use crate::progress::Progress;
use crate::report::Report;
use crate::tamper;

/// Transactions on their way at once.
const WINDOW: usize = 512;
/// The same where a member is to be killed in the middle: there has to be a middle.
const WINDOW_AROUND_A_FAULT: usize = 32;
/// Items that are looked through for the nearest and for the longest history.
const MAX_ITEMS: usize = 50_000;
/// Lots whose history is measured to find the longest: those that most events name.
const MAX_CANDIDATES: usize = 500;

const OK: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Runs with the arguments (without the program's name), starts members' processes as `program` says, writes to `out` what was asked for and to `err` what went wrong, and gives
/// the exit status.
pub(crate) fn run(arguments: Vec<OsString>, program: &Program, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let options = match arguments::parse(arguments) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => return status(write!(out, "{HELP}"), err),
        Err(error) => {
            let _ = writeln!(err, "error: {error}; --help says what there is");
            return USAGE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return status(Err(error), err),
    };
    let mut report = Report { nodes: options.nodes, runtime: options.machine.name(), ..Report::default() };
    let outcome = runtime.block_on(trace(&options, program, &mut report, out, err));
    let written = match &options.report {
        Some(path) => std::fs::write(path, report.to_json())
            .map_err(|error| format!("--report {}: {error}", path.display()).into()),
        None => Ok(()),
    };
    match outcome.and(written) {
        Ok(()) => OK,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&*error) => OK,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            FAILED
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn status(written: std::io::Result<()>, err: &mut dyn Write) -> u8 {
    match written {
        Ok(()) => OK,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            FAILED
        }
    }
}

async fn trace(
    options: &Options,
    program: &Program,
    report: &mut Report,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Fallible<()> {
    if let Some(path) = &options.report {
        // Better to know it before everything is loaded.
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|error| format!("--report {}: {error}", path.display()))?;
    }
    let sources = documents::find(options.events.as_deref())?;
    let folder = match &options.data {
        Some(folder) => folder.clone(),
        None => fresh_folder()?,
    };
    let ledger = Ledger::open(&folder, options.nodes, options.machine, program).await;
    let ledger = ledger.map_err(|error| format!("--data {}: {error}", folder.display()))?;
    writeln!(out, "ledger       {}", folder.display())?;
    writeln!(out, "keys         made from a public seed for this demonstration: they prove nothing to anybody else")?;
    show_members(&ledger, out).await?;
    writeln!(out, "contract     {}, {}", ledger.contract().0, options.machine.described())?;
    let outcome = load_and_show(&ledger, &sources, &folder, options, report, out, err).await;
    let measured = measure(&ledger, report).await;
    let closed = ledger.close().await;
    let evidence = outcome?;
    measured?;
    closed?;
    match options.tamper {
        true => tamper::show(&folder, &page_of(options, &folder), &evidence, options.machine, out).await,
        false => Ok(()),
    }
}

/// Where the page of the lot goes.
fn page_of(options: &Options, folder: &Path) -> PathBuf {
    options.page.clone().unwrap_or_else(|| folder.join(pages::PAGE))
}

async fn show_members(ledger: &Ledger, out: &mut dyn Write) -> Fallible<()> {
    let Ledger::Network(network) = ledger else { return Ok(()) };
    let members = network.members().await;
    let named = members.iter().map(|(name, process)| match process {
        Some(process) => format!("{name} (process {process})"),
        None => name.clone(),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    writeln!(out, "members      {}, each with its own key, folder and port: {named}", members.len())?;
    Ok(())
}

/// Fills in where the ledger stands; with a network, where all of its members do.
async fn measure(ledger: &Ledger, report: &mut Report) -> Fallible<()> {
    report.roots_equal = false;
    let figures = ledger.figures().await?;
    (report.blocks, report.checkpoint_size, report.state_root) =
        (figures.blocks, figures.checkpoint_size, figures.state_root);
    report.roots_equal = true;
    Ok(())
}

async fn load_and_show(
    ledger: &Ledger,
    sources: &[Source],
    folder: &Path,
    options: &Options,
    report: &mut Report,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Fallible<Evidence> {
    pages::try_place(&page_of(options, folder)).map_err(|error| format!("--page {error}"))?;
    let started = Instant::now();
    let mut parties = Parties::default();
    let mut fault = Fault::planned(options.kill);
    let loaded = load(ledger, sources, &mut parties, &mut fault, report, err).await;
    report.loading = started.elapsed();
    if let (Ok(()), Ledger::Network(network)) = (&loaded, ledger) {
        fault.finish(network, report, out).await?;
    }
    let measured = measure(ledger, report).await;
    // Of two errors the first is the one to tell.
    loaded?;
    measured?;
    summary(sources.len(), &parties, report, out)?;
    if let Ledger::Network(network) = ledger {
        let view = network.agree().await?;
        let (nodes, height, block) = (report.nodes, view.height, view.block);
        writeln!(out, "agreed       {nodes} of {nodes} stand at block {height}, {block}")?;
        writeln!(
            out,
            "             history {}, state {}: each was verified with the genesis alone",
            view.history_root, view.state_root
        )?;
    }
    if report.events == 0 && report.refused > 0 {
        return Err(format!("nothing was loaded: all {} documents were refused", report.refused).into());
    }
    let Some(item) = lot(ledger, options.lot.as_deref()).await? else {
        return Err("the ledger knows no lot to show".into());
    };
    report.lot = Some(item.to_string());
    let evidence = ledger.prove(&item).await?;
    // From here on nothing but these bytes counts.
    let proven = timeline_of(options.machine.code(), &evidence.trust_root, &evidence.checkpoint, &evidence.proof)?;
    report.trace_events = u64::try_from(proven.lines.len())?;
    report.proofs_verified = u64::try_from(proven.proofs_verified)?;
    let page = page_of(options, folder);
    pages::one(&page, &evidence, options.machine, out)?;
    if options.all {
        let mut lots: Vec<Item> = ledger.items(MAX_ITEMS).await?.into_iter().map(|(item, _)| item).collect();
        if lots.iter().any(is_lot) {
            lots.retain(is_lot);
        }
        write_all(&page.with_file_name(pages::FOLDER), ledger, &lots, options.machine, out)?;
    }
    writeln!(
        out,
        "evidence     trust root {} bytes, checkpoint {} bytes, proof {} bytes: all that the following was made from\n",
        evidence.trust_root.len(),
        evidence.checkpoint.len(),
        evidence.proof.len()
    )?;
    write!(out, "{proven}")?;
    Ok(evidence)
}

/// Writes a page of each lot.
fn write_all(folder: &Path, ledger: &Ledger, lots: &[Item], machine: Machine, out: &mut dyn Write) -> Fallible<()> {
    let runtime = tokio::runtime::Handle::current();
    let started = Instant::now();
    // The threads that write wait for the ledger themselves; so must this one, which its runtime has to know.
    let written =
        tokio::task::block_in_place(|| pages::all(folder, lots, machine, &|lot| runtime.block_on(ledger.prove(lot))))?;
    let bytes: usize = written.iter().map(|written| written.bytes).sum();
    let longest = written.iter().map(|written| written.bytes).max().unwrap_or(0);
    writeln!(
        out,
        "pages        {} in {}, {bytes} bytes, the longest {longest}; proven and written in {:.2} s",
        written.len(),
        folder.display(),
        started.elapsed().as_secs_f64()
    )?;
    Ok(())
}

/// Loads the documents one after the other; those that are refused are reported and left out.
async fn load(
    ledger: &Ledger,
    sources: &[Source],
    parties: &mut Parties,
    fault: &mut Fault,
    report: &mut Report,
    err: &mut dyn Write,
) -> Fallible<()> {
    let total: u64 = sources.iter().map(Source::bytes).sum();
    let mut progress = Progress::new(total);
    let start = ledger.height().await?;
    let window = if *fault == Fault::Over { WINDOW } else { WINDOW_AROUND_A_FAULT };
    let mut before = 0;
    let mut under_way = JoinSet::new();
    for source in sources {
        match source.read(ledger.contract().1, ledger.fuel_limit()) {
            Err(refusal) => {
                report.refused += 1;
                progress.clear();
                writeln!(err, "refused: {refusal}")?;
            }
            Ok(events) => {
                let keys: Vec<EventKey> = events.iter().map(Event::key).collect();
                let known = ledger.known(start, &keys).await?;
                for (index, (event, known)) in events.iter().zip(known).enumerate() {
                    report.events += 1;
                    if known {
                        report.known += 1;
                    } else {
                        under_way.spawn(record(ledger, event, parties, report.nodes).await?);
                    }
                    while under_way.len() >= window {
                        finish(&mut under_way, report).await?;
                    }
                    let part = source.bytes().saturating_mul(u64::try_from(index)?) / u64::try_from(events.len())?;
                    progress.show(before + part, report.transactions);
                    if let Ledger::Network(network) = ledger {
                        fault.reached(before + part, total, network, report).await?;
                    }
                }
            }
        }
        before += source.bytes();
    }
    while !under_way.is_empty() {
        finish(&mut under_way, report).await?;
        progress.show(before, report.transactions);
    }
    progress.clear();
    Ok(())
}

/// Hands in the transaction by which its party records `event`, with the member that the event belongs to.
async fn record(
    ledger: &Ledger,
    event: &Event,
    parties: &mut Parties,
    nodes: usize,
) -> Fallible<crate::ledger::Recording> {
    let member = parties.of(event);
    let number = match member.next {
        Some(number) => number,
        None => ledger.next_number(&AccountId::of_ed25519(&member.signer.public_key())).await?,
    };
    let (contract, machine) = ledger.contract();
    let transaction = book::recording(ledger.chain(), contract, machine, event, number, &member.signer)?;
    member.next = Some(number + 1);
    ledger.submit(transaction, parties::home(event, nodes)).await
}

/// Waits for one of the transactions.
async fn finish(
    under_way: &mut JoinSet<Fallible<(Recorded, std::time::Duration)>>,
    report: &mut Report,
) -> Fallible<()> {
    let Some(recorded) = under_way.join_next().await else {
        return Ok(());
    };
    let (Recorded { failure }, latency) = recorded??;
    if let Some(failure) = failure {
        return Err(format!("a transaction recorded nothing: {failure}").into());
    }
    report.transactions += 1;
    report.latencies.push(latency);
    Ok(())
}

fn summary(documents: usize, parties: &Parties, report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let accepted = documents.saturating_sub(usize::try_from(report.refused).unwrap_or(documents));
    writeln!(
        out,
        "documents    {accepted} loaded, {} refused; {} events, {} of them in the ledger already",
        report.refused, report.events, report.known
    )?;
    if report.transactions > 0 {
        writeln!(
            out,
            "recorded     {} transactions signed by {} parties, {:.0} per second",
            report.transactions,
            parties.len(),
            report.transactions_per_s()
        )?;
        writeln!(
            out,
            "final after  {:.1} ms (median), {:.1} ms (99 of 100): signed, ordered, on disk, executed, certified",
            report.latency_ms(50),
            report.latency_ms(99)
        )?;
    }
    writeln!(out, "chain        {} blocks; state root {}", report.blocks, report.state_root)
}

/// The lot to show: the one asked for, else the one with the longest history.
async fn lot(ledger: &Ledger, wanted: Option<&str>) -> Fallible<Option<Item>> {
    let items = ledger.items(MAX_ITEMS).await?;
    let Some(wanted) = wanted else {
        return longest(ledger, items).await;
    };
    let item = Item::new(wanted);
    if items.iter().any(|(known, _)| *known == item) || ledger.trace(&item).await?.is_some() {
        return Ok(Some(item));
    }
    let known: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
    let mut message = format!("--lot {}: no event in the ledger names it", wanted.escape_debug());
    let near = nearest(&item, &known, 5);
    if !near.is_empty() {
        message.push_str("; the nearest that are there:");
        for item in near {
            message.push_str("\n  ");
            message.extend(item.as_str().escape_debug());
        }
    }
    Err(message.into())
}

/// Of the lots (of all items, if there are no lots) that most events name, the one with the most events in its history.
async fn longest(ledger: &Ledger, mut items: Vec<(Item, u32)>) -> Fallible<Option<Item>> {
    if items.iter().any(|(item, _)| is_lot(item)) {
        items.retain(|(item, _)| is_lot(item));
    }
    items.sort_by(|(item, links), (other, others)| others.cmp(links).then_with(|| item.cmp(other)));
    let mut longest = None;
    for (item, _) in items.into_iter().take(MAX_CANDIDATES) {
        if let Some(included) = ledger.trace(&item).await? {
            longest = longest.max(Some((included, std::cmp::Reverse(item))));
        }
    }
    Ok(longest.map(|(_, std::cmp::Reverse(item))| item))
}

/// A batch of a GTIN, or a URN that says it is a lot.
fn is_lot(item: &Item) -> bool {
    item.as_str().contains("/10/") || item.as_str().contains(":lot:")
}

/// A new folder for the ledger, below the system's folder for temporary files.
fn fresh_folder() -> Fallible<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let folder: &Path = &std::env::temp_dir();
    let folder = folder.join(format!("chain-of-origin-{}-{now}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
