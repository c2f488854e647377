//! thrum's `nomt` 1.0: a binary Merkle trie in pages of 4 KiB in a hash table on disk, values in a B-tree beside it.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use nomt::hasher::Blake3Hasher;
use nomt::{KeyReadWrite, Nomt, Options, SessionParams};

use crate::measure::{Clock, Report, memory, written_bytes};
use crate::workload::{Update, Workload, key};
use crate::{Outcome, SAMPLES};

type Batch = Vec<([u8; 32], KeyReadWrite)>;

/// As nomt wants its writes: sorted by key. Not charged to it.
fn prepare(updates: Vec<Update>) -> Batch {
    let mut batch: Batch =
        updates.into_iter().map(|(key, value)| (key, KeyReadWrite::Write(Some(value.to_vec())))).collect();
    batch.sort_unstable_by_key(|(key, _)| *key);
    batch
}

fn apply(store: &Nomt<Blake3Hasher>, batch: Batch) -> Result<[u8; 32], Box<dyn std::error::Error>> {
    let session = store.begin_session(SessionParams::default());
    for (key, _) in &batch {
        session.warm_up(*key);
    }
    let finished = session.finish(batch)?;
    let root = finished.root().into_inner();
    finished.commit(store)?;
    Ok(root)
}

pub(crate) fn run(folder: &Path, workload: Workload) -> Outcome {
    let before = memory();
    let mut options = Options::new();
    options.path(folder);
    options.bitbox_seed([7; 16]);
    // Two cores; room for five times the pages that these keys take, and caches that hold a million keys.
    options.commit_concurrency(2);
    options.hashtable_buckets(u32::try_from(workload.keys / 16)?.max(64_000));
    options.page_cache_size(1024);
    options.leaf_cache_size(512);
    let store = Nomt::<Blake3Hasher>::open(options)?;
    for load in workload.loads() {
        apply(&store, prepare(load))?;
    }
    for number in 0..workload.warm_up {
        apply(&store, prepare(workload.batch(number)))?;
    }
    let written = written_bytes();
    let mut clock = Clock::start();
    for number in workload.warm_up..workload.warm_up + workload.batches {
        let batch = clock.aside(|| prepare(workload.batch(number)));
        let begun = clock.begin();
        black_box(apply(&store, batch)?);
        clock.done(begun);
    }
    let mut report = Report::default();
    clock.report(workload.batch, &mut report);
    let updates = workload.batches * workload.batch;
    report.put("written_per_update", format!("{:.0}", (written_bytes() - written) as f64 / updates as f64));
    report.put_memory(before, workload.keys);
    reads(&store, workload, &mut report)?;
    report.put("name", "nomt 1.0.5 (BLAKE3)");
    report.put("durable", "each batch: its own write-ahead log and B-tree, fsync before commit returns");
    report.put("commits", "keys and values of now; the order of operations has no part in the root");
    report.put("proves", "presence, absence; no older height, no range");
    report.put("hash_table", format!("{:.2}", store.hash_table_utilization().occupancy_rate()));
    Ok(report)
}

fn reads(
    store: &Nomt<Blake3Hasher>,
    workload: Workload,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let session = store.begin_session(SessionParams::default());
    let start = Instant::now();
    for number in workload.reads(SAMPLES) {
        black_box(session.read(key(number))?);
    }
    report.put("reads_per_s", format!("{:.0}", SAMPLES as f64 / start.elapsed().as_secs_f64()));
    let (start, mut siblings) = (Instant::now(), 0);
    let proofs = SAMPLES / 10;
    for number in workload.reads(proofs) {
        siblings += session.prove(key(number))?.siblings.len();
    }
    report.put("proofs_per_s", format!("{:.0}", proofs as f64 / start.elapsed().as_secs_f64()));
    // Siblings, and the leaf's key and value digest.
    report.put("proof_bytes", format!("{:.0}", siblings as f64 / proofs as f64 * 32.0 + 64.0));
    Ok(())
}
