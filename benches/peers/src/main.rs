//! Runs one peer on the state benchmark's workload and tells its figures in one line.
//!
//! `ledgerkit-peers CONTENDER FOLDER KEYS BATCHES [BATCH]`, where CONTENDER is `nomt`, `jmt`, `fjall` or
//! `qmdb-{ordered,unordered}-{fixed,variable}[-overlapped]`.

#[path = "../../state/measure.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod measure;
#[path = "../../state/workload.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod workload;

mod bare;
mod jellyfish;
mod nearly_optimal;
mod quick;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use measure::Report;
use workload::Workload;

/// As in the bench, so that no contender gains or loses by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many keys are read or proven to tell a rate.
const SAMPLES: u64 = 200_000;

type Outcome = Result<Report, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let (Some(contender), Some(folder)) = (arguments.first(), arguments.get(1)) else {
        eprintln!("ledgerkit-peers CONTENDER FOLDER KEYS BATCHES [BATCH]");
        return ExitCode::FAILURE;
    };
    let (Ok(keys), Ok(batches), Ok(batch)) = (number(2, 1_000_000), number(3, 100), number(4, 10_000)) else {
        eprintln!("ledgerkit-peers: KEYS, BATCHES and BATCH are numbers");
        return ExitCode::FAILURE;
    };
    let workload = Workload { keys, batch, batches, warm_up: 10 };
    match run(contender, &PathBuf::from(folder), workload) {
        Ok(report) => {
            println!("{}", report.line());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ledgerkit-peers {contender}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(contender: &str, folder: &Path, workload: Workload) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let mut report = match contender {
        "nomt" => nearly_optimal::run(folder, workload),
        "jmt" => jellyfish::run(workload),
        "fjall" => bare::run(folder, workload),
        _ => match contender.strip_prefix("qmdb-") {
            Some(variant) => quick::run(variant, folder, workload),
            None => Err(format!("unknown contender {contender}").into()),
        },
    }?;
    report.put("disk_bytes", measure::folder_bytes(folder));
    Ok(report)
}
