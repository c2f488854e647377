//! Child processes, and what the system says of this one.

use super::Figures;
use super::options::{Options, Phase};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a phase in a child process. What it fails with is printed; the other phases go on.
pub(crate) fn run(options: &Options, phase: Phase, chains: usize, folder: &Path) -> Option<Figures> {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--phase", phase.name()]).arg("--data").arg(folder);
    let numbers = [
        ("--chains", chains as u64),
        ("--seconds", options.seconds),
        ("--warm-up", options.warm_up),
        ("--window", options.window as u64),
        ("--rate", options.rate),
        ("--shards", options.shards as u64),
        ("--rounds", options.rounds as u64),
    ];
    // Counted is what chains hold. Under load the allocator takes huge pages, which are faster, and hold some 25 MB in their
    // gaps however many chains there are.
    if phase == Phase::Idle {
        command.env("MIMALLOC_ALLOW_THP", "0");
    }
    if let Some(block) = options.block {
        command.arg("--block").arg(block.to_string());
    }
    if let Some(population) = options.population {
        command.arg("--population").arg(population.to_string());
    }
    for (name, number) in numbers {
        command.arg(name).arg(number.to_string());
    }
    let output = command.stderr(Stdio::inherit()).output().expect("a child process starts");
    if !output.status.success() {
        println!("{chains} chains: the {} phase failed: {}", phase.name(), output.status);
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figure =
        |line: &str| line.split_once('=').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    Some(text.lines().filter_map(figure).collect())
}

/// A field of this process's status, in its own unit.
fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
}

/// Bytes of memory that this process has in use.
pub(crate) fn resident_bytes() -> f64 {
    status("VmRSS") * 1_024.0
}

pub(crate) fn threads() -> f64 {
    status("Threads")
}

pub(crate) fn open_files() -> f64 {
    std::fs::read_dir("/proc/self/fd").map_or(f64::NAN, |entries| entries.count() as f64)
}

/// The machine's load over one minute, so that a figure measured beside other work shows it.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
