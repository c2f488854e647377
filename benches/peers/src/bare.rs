//! fjall alone, with the settings of our engine: how fast bare reads of the same keys and values are.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use fjall::{Database, KeyspaceCreateOptions};

use crate::measure::{Clock, Report, memory, written_bytes};
use crate::workload::{Update, Workload, key};
use crate::{Outcome, SAMPLES};

pub(crate) fn run(folder: &Path, workload: Workload) -> Outcome {
    let before = memory();
    let database =
        Database::builder(folder).cache_size(256 << 20).worker_threads(1).max_journaling_size(512 << 20).open()?;
    let views = database.keyspace("views", || KeyspaceCreateOptions::default().max_memtable_size(64 << 20))?;
    let apply = |updates: Vec<Update>| {
        let mut batch = database.batch();
        for (key, value) in updates {
            batch.insert(&views, key, value);
        }
        batch.commit()
    };
    for load in workload.loads() {
        apply(load)?;
    }
    for number in 0..workload.warm_up {
        apply(workload.batch(number))?;
    }
    let written = written_bytes();
    let mut clock = Clock::start();
    for number in workload.warm_up..workload.warm_up + workload.batches {
        let batch = clock.aside(|| workload.batch(number));
        let begun = clock.begin();
        apply(batch)?;
        clock.done(begun);
    }
    let mut report = Report::default();
    clock.report(workload.batch, &mut report);
    let updates = workload.batches * workload.batch;
    report.put("written_per_update", format!("{:.0}", (written_bytes() - written) as f64 / updates as f64));
    report.put_memory(before, workload.keys);
    for pass in ["reads_per_s_first_pass", "reads_per_s"] {
        let start = Instant::now();
        for number in workload.reads(SAMPLES) {
            black_box(views.get(key(number))?);
        }
        report.put(pass, format!("{:.0}", SAMPLES as f64 / start.elapsed().as_secs_f64()));
    }
    report.put("name", "fjall 3.1.13 alone");
    report.put("durable", "nothing is synced: journal in the page cache");
    report.put("commits", "nothing");
    report.put("proves", "nothing");
    Ok(report)
}
