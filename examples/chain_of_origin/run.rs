//! The run: load, trace, show, report.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ledger_node::Certified;
use ledger_traceability::epcis::Item;
use ledger_traceability::timeline::timeline;
use tokio::task::JoinSet;

use crate::arguments::{self, Command, HELP, Options};
use crate::documents::{self, Source};
use crate::ledger::{Fallible, Ledger};
use crate::nearest::nearest;
use crate::parties::Parties;
use crate::progress::Progress;
use crate::report::Report;

/// Transactions on their way at once.
const WINDOW: usize = 512;
/// Items that are looked through for the nearest and for the longest history.
const MAX_ITEMS: usize = 50_000;
/// Lots whose history is measured to find the longest: those that most events name.
const MAX_CANDIDATES: usize = 500;

const OK: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Runs with the arguments (without the program's name), writes to `out` what was asked for and to `err` what went wrong, and gives
/// the exit status.
pub(crate) fn run(arguments: Vec<OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
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
    let mut report = Report::default();
    let outcome = runtime.block_on(trace(&options, &mut report, out, err));
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

async fn trace(options: &Options, report: &mut Report, out: &mut dyn Write, err: &mut dyn Write) -> Fallible<()> {
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
    let ledger = Ledger::open(&folder).await.map_err(|error| format!("--data {}: {error}", folder.display()))?;
    writeln!(out, "ledger       {}", folder.display())?;
    writeln!(out, "keys         made from a public seed for this demonstration: they prove nothing to anybody else")?;
    let outcome = load_and_show(&ledger, &sources, options, report, out, err).await;
    let measured = ledger.figures();
    let closed = ledger.close().await;
    outcome?;
    (report.blocks, report.checkpoint_size, report.state_root) = measured?;
    closed
}

async fn load_and_show(
    ledger: &Ledger,
    sources: &[Source],
    options: &Options,
    report: &mut Report,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Fallible<()> {
    let started = Instant::now();
    let mut parties = Parties::default();
    let loaded = load(ledger, sources, &mut parties, report, err).await;
    report.loading = started.elapsed();
    (report.blocks, report.checkpoint_size, report.state_root) = ledger.figures()?;
    loaded?;
    summary(sources.len(), &parties, report, out)?;
    if report.events == 0 && report.refused > 0 {
        return Err(format!("nothing was loaded: all {} documents were refused", report.refused).into());
    }
    let Some(item) = lot(ledger, options.lot.as_deref())? else {
        return Err("the ledger knows no lot to show".into());
    };
    report.lot = Some(item.to_string());
    let evidence = ledger.prove(&item)?;
    // From here on nothing but these bytes counts.
    let proven = timeline(&evidence.trust_root, &evidence.checkpoint, &evidence.proof)?;
    report.trace_events = u64::try_from(proven.lines.len())?;
    report.proofs_verified = u64::try_from(proven.proofs_verified)?;
    writeln!(
        out,
        "evidence     trust root {} bytes, checkpoint {} bytes, proof {} bytes: all that the following was made from\n",
        evidence.trust_root.len(),
        evidence.checkpoint.len(),
        evidence.proof.len()
    )?;
    write!(out, "{proven}")?;
    Ok(())
}

/// Loads the documents one after the other; those that are refused are reported and left out.
async fn load(
    ledger: &Ledger,
    sources: &[Source],
    parties: &mut Parties,
    report: &mut Report,
    err: &mut dyn Write,
) -> Fallible<()> {
    let mut progress = Progress::new(sources.iter().map(Source::bytes).sum());
    let known = ledger.known()?;
    let mut before = 0;
    let mut under_way = JoinSet::new();
    for source in sources {
        match source.read(ledger.fuel_limit()) {
            Err(refusal) => {
                report.refused += 1;
                progress.clear();
                writeln!(err, "refused: {refusal}")?;
            }
            Ok(events) => {
                for (index, event) in events.iter().enumerate() {
                    report.events += 1;
                    if known(&event.key())? {
                        report.known += 1;
                    } else {
                        under_way.spawn(ledger.record(event, parties.of(event)).await?);
                    }
                    while under_way.len() >= WINDOW {
                        finish(&mut under_way, report).await?;
                    }
                    let part = source.bytes().saturating_mul(u64::try_from(index)?) / u64::try_from(events.len())?;
                    progress.show(before + part, report.transactions);
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

type Recorded = Fallible<(Certified, std::time::Duration)>;

/// Waits for one of the transactions.
async fn finish(under_way: &mut JoinSet<Recorded>, report: &mut Report) -> Fallible<()> {
    let Some(recorded) = under_way.join_next().await else {
        return Ok(());
    };
    let (certified, latency) = recorded??;
    let receipt = &certified.executed.result.receipt;
    if !receipt.succeeded() {
        return Err(format!("transaction {} recorded nothing: {:?}", receipt.transaction, receipt.status).into());
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
fn lot(ledger: &Ledger, wanted: Option<&str>) -> Fallible<Option<Item>> {
    let items = ledger.items(MAX_ITEMS)?;
    let Some(wanted) = wanted else {
        return Ok(longest(ledger, items));
    };
    let item = Item::new(wanted);
    if items.iter().any(|(known, _)| *known == item) || ledger.trace(&item).is_ok() {
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
fn longest(ledger: &Ledger, mut items: Vec<(Item, u32)>) -> Option<Item> {
    // A batch of a GTIN, or a URN that says it is a lot.
    let is_lot = |item: &Item| item.as_str().contains("/10/") || item.as_str().contains(":lot:");
    if items.iter().any(|(item, _)| is_lot(item)) {
        items.retain(|(item, _)| is_lot(item));
    }
    items.sort_by(|(item, links), (other, others)| others.cmp(links).then_with(|| item.cmp(other)));
    let histories = items.into_iter().take(MAX_CANDIDATES).filter_map(|(item, _)| {
        // A history too large to trace can't be shown either.
        let answer = ledger.trace(&item).ok()?;
        Some((answer.included, std::cmp::Reverse(item)))
    });
    histories.max().map(|(_, std::cmp::Reverse(item))| item)
}

/// A new folder for the ledger, below the system's folder for temporary files.
fn fresh_folder() -> Fallible<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let folder: &Path = &std::env::temp_dir();
    let folder = folder.join(format!("chain-of-origin-{}-{now}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
