//! What durability costs: the log in a real folder, groups of many sizes, syncs counted. And what the views of a chain
//! cost, which wait for no sync: engines, state with its root, reads, proofs.
//!
//! The folder lies under cargo's target folder; a file system in memory is refused, since a sync means nothing there.
#![allow(missing_docs, reason = "criterion's macros make undocumented public functions")]

#[path = "storage/views.rs"]
mod views;

use std::error::Error;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ledger_crypto::Digest;
use ledger_storage::disk::RealDisk;
use ledger_storage::log::{Log, LogConfig, LogId, LogWriter, Record, RecordKind};

/// Bytes of a record's content.
const CONTENT: usize = 200;
const GROUPS: [u64; 3] = [1, 100, 1000];

/// An empty folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}"));
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn log(&self, fill_bytes: u64) -> Result<Log, Box<dyn Error>> {
        let disk = RealDisk::open(&self.0)?;
        if disk.is_volatile() {
            return Err(format!("{} lies in memory, where a sync costs nothing", self.0.display()).into());
        }
        let mut config = LogConfig::default();
        config.fill_bytes = fill_bytes;
        Ok(Log::create(Arc::new(disk), LogId::new([7; 32]), config)?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn record(height: u64) -> Record {
    let bytes = height.to_le_bytes().into_iter().cycle().take(CONTENT).collect();
    Record { chain: Digest::new([1; 32]), kind: RecordKind::PAYLOAD, height, bytes }
}

/// A bench that can't run says why; a figure from a failed run would be worse than none.
fn or_exit<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("storage bench: {error}");
        exit(1)
    })
}

/// One group at a time, as a single driver sees it, with and without zeros written ahead.
fn groups(criterion: &mut Criterion) {
    for (name, fill_bytes) in [("log/group", 1 << 20), ("log/group, no zeros ahead", 0)] {
        let mut group = criterion.benchmark_group(name);
        for count in GROUPS {
            let folder = or_exit(Folder::new("groups"));
            let mut log = or_exit(folder.log(fill_bytes));
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| {
                    let tickets: Vec<_> = (0..count).map(|height| or_exit(log.submit(vec![record(height)]))).collect();
                    or_exit(log.flush());
                    for ticket in tickets {
                        let positions = or_exit(ticket.wait());
                        // Keeps the folder small; does nothing unless a segment was completed.
                        positions.first().map(|position| or_exit(log.remove_before(*position)));
                    }
                });
            });
            let done = log.counters();
            println!(
                "{name}/{count}: {} records of {CONTENT} bytes in {} groups, {} fsyncs, {:.1} log bytes per record",
                done.records,
                done.groups,
                done.syncs,
                done.bytes as f64 / done.records as f64
            );
        }
        group.finish();
    }
}

/// Submitters that each wait for their own record: what group commit gives them.
fn submitters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/submitters");
    for count in [1_u64, 16, 256] {
        let folder = or_exit(Folder::new("submitters"));
        let writer = or_exit(LogWriter::spawn(or_exit(folder.log(1 << 20)), LogWriter::SEAL_AFTER));
        const EACH: u64 = 16;
        group.throughput(Throughput::Elements(count * EACH));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                // One thread plays them all: each has one record under way, and sends the next when it is durable.
                let (sender, receiver) = std::sync::mpsc::channel();
                let submit = |height| {
                    let sender = sender.clone();
                    let ticket = or_exit(writer.submit(vec![record(height)]));
                    ticket.on_done(move |outcome| drop(sender.send(outcome)));
                };
                (0..count).for_each(submit);
                for done in 0..count * EACH {
                    or_exit(or_exit(receiver.recv()));
                    if done + count < count * EACH {
                        submit(done);
                    }
                }
            });
        });
        let done = writer.reader().counters();
        println!("log/submitters/{count}: {} records in {} groups, {} fsyncs", done.records, done.groups, done.syncs);
        or_exit(writer.close());
    }
    group.finish();
}

criterion_group!(benches, groups, submitters, views::engines, views::state);
criterion_main!(benches);
