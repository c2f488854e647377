//! What the bench asks of a store that lives in this package, and how it runs one.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger_crypto::Digest;

use crate::measure::{Clock, Report, folder_bytes, memory, quantile, written_bytes};
use crate::workload::{KEY_BYTES, Update, VALUE_BYTES, Workload};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many keys are read or proven to tell a rate.
const SAMPLES: u64 = 200_000;

/// How many heights back proofs are asked for.
const BACK: u64 = 256;

/// A store with a root.
pub(crate) trait Contender: Sized {
    /// A batch as the store takes it; made before the clock starts.
    type Batch;

    /// An empty store in an empty folder, for so many keys.
    fn open(folder: &Path, keys: u64) -> Outcome<Self>;
    fn prepare(updates: Vec<Update>) -> Self::Batch;
    /// The root after the batch.
    fn apply(&mut self, batch: Self::Batch) -> Outcome<Digest>;
    /// Returns when everything applied would survive a loss of power.
    fn durable(&mut self) -> Outcome<()>;
    /// Reads the keys with these numbers, and tells how many have a value.
    fn get(&self, numbers: &mut dyn Iterator<Item = u64>) -> Outcome<u64>;
    /// Proves the keys with these numbers, at the newest height or in turn at those up to `back` before it, and gives
    /// the bytes of all proofs.
    fn prove(&self, numbers: &mut dyn Iterator<Item = u64>, back: u64) -> Outcome<u64>;
    /// How many heights before the newest one can be proven.
    fn provable_back(&self) -> u64;
    /// Figures of its own, at the end.
    fn extra(&self, _report: &mut Report) -> Outcome<()> {
        Ok(())
    }
    /// Name, what is durable when, what the root commits to, what can be proven.
    fn facts() -> Vec<(&'static str, &'static str)>;
}

fn load<C: Contender>(folder: &Path, workload: Workload) -> Outcome<C> {
    let mut store = C::open(folder, workload.keys)?;
    for load in workload.loads() {
        store.apply(C::prepare(load))?;
        store.durable()?;
    }
    for number in 0..workload.warm_up {
        store.apply(C::prepare(workload.batch(number)))?;
        store.durable()?;
    }
    Ok(store)
}

/// Updates, memory, reads and proofs.
pub(crate) fn run<C: Contender>(folder: &Path, workload: Workload) -> Outcome<Report> {
    let before = memory();
    let start = Instant::now();
    let mut store = load::<C>(folder, workload)?;
    let mut report = Report::default();
    report.put("load_s", format!("{:.1}", start.elapsed().as_secs_f64()));
    let written = written_bytes();
    let mut clock = Clock::start();
    for number in workload.warm_up..workload.warm_up + workload.batches {
        let batch = clock.aside(|| C::prepare(workload.batch(number)));
        let begun = clock.begin();
        black_box(store.apply(batch)?);
        store.durable()?;
        clock.done(begun);
    }
    clock.report(workload.batch, &mut report);
    let per_update = (written_bytes() - written) as f64 / (workload.batches * workload.batch) as f64;
    report.put("written_per_update", format!("{per_update:.0}"));
    report.put("write_amplification", format!("{:.1}", per_update / (KEY_BYTES + VALUE_BYTES) as f64));
    report.put_memory(before, workload.keys);
    report.put("disk_bytes", folder_bytes(folder));
    let start = Instant::now();
    let found = store.get(&mut workload.reads(SAMPLES))?;
    if found != SAMPLES {
        return Err(format!("{} of {SAMPLES} keys read have no value", SAMPLES - found).into());
    }
    report.put("reads_per_s", format!("{:.0}", SAMPLES as f64 / start.elapsed().as_secs_f64()));
    let proofs = SAMPLES / 10;
    let start = Instant::now();
    let bytes = store.prove(&mut workload.reads(proofs), 0)?;
    report.put("proofs_per_s", format!("{:.0}", proofs as f64 / start.elapsed().as_secs_f64()));
    report.put("proof_bytes", bytes / proofs);
    report.put("provable_back", store.provable_back());
    // While the keys were loaded, each block made most of the tree anew: the heights since then are the steady state.
    let back = store.provable_back().min(BACK).min(workload.warm_up + workload.batches);
    if back > 0 {
        let start = Instant::now();
        store.prove(&mut workload.reads(proofs), back)?;
        report.put("proofs_back_per_s", format!("{:.0}", proofs as f64 / start.elapsed().as_secs_f64()));
    }
    // What the allocator kept for itself after the batches has mostly gone back by now.
    let later = memory().resident.saturating_sub(before.resident);
    report.put("bytes_per_key_later", format!("{:.1}", later as f64 / workload.keys as f64));
    store.extra(&mut report)?;
    C::facts().into_iter().for_each(|(name, value)| report.put(name, value));
    Ok(report)
}

/// How often the folder's size is looked up while a run lasts.
const SIZE_EVERY: Duration = Duration::from_millis(100);

/// Blocks for so many minutes, as fast as they come, for the tail of their latencies and for what stays on disk.
pub(crate) fn run_for<C: Contender>(folder: &Path, workload: Workload, minutes: u64) -> Outcome<Report> {
    let mut store = load::<C>(folder, workload)?;
    let (written, mut largest) = (written_bytes(), folder_bytes(folder));
    let mut looked = Instant::now();
    let mut clock = Clock::start();
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut number = workload.warm_up;
    while Instant::now() < end {
        let batch = clock.aside(|| {
            if looked.elapsed() >= SIZE_EVERY {
                largest = largest.max(folder_bytes(folder));
                looked = Instant::now();
            }
            C::prepare(workload.batch(number))
        });
        let begun = clock.begin();
        black_box(store.apply(batch)?);
        store.durable()?;
        clock.done(begun);
        number += 1;
    }
    let blocks = number - workload.warm_up;
    let mut report = Report::default();
    clock.report(workload.batch, &mut report);
    let (p50, p99) = (quantile(&mut clock.latencies, 0.5), quantile(&mut clock.latencies, 0.99));
    report.put("blocks", blocks);
    report.put("p99_over_p50", format!("{:.1}", p99 / p50));
    let at_end = folder_bytes(folder);
    report.put("disk_max_bytes", largest.max(at_end));
    report.put("disk_end_bytes", at_end);
    let per_update = (written_bytes() - written) as f64 / (blocks * workload.batch).max(1) as f64;
    report.put("written_per_update", format!("{per_update:.0}"));
    store.extra(&mut report)?;
    Ok(report)
}
