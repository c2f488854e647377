//! A few seeds of every scenario, and proof that each fault they are to simulate did fire. `LEDGER_SIMULATION_SEEDS`
//! sets how many seeds of each (default 6).
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::named;
use ledger_simulation::{Counters, Scenario};

fn seeds() -> u64 {
    std::env::var("LEDGER_SIMULATION_SEEDS").ok().map_or(6, |text| text.parse().unwrap())
}

fn run(scenario: &Scenario) -> Counters {
    let mut counters = Counters::default();
    for seed in 0..seeds() {
        let report = scenario.run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        counters.merge(&report.counters);
    }
    counters
}

#[track_caller]
fn fired(counters: &Counters, names: &[&str]) {
    for name in names {
        assert!(counters.get(name) > 0, "`{name}` never happened in:\n{counters}");
    }
}

/// Blocks were executed before the one before them was stored, around that, and behind it.
const STAGES: &[&str] =
    &["stages: executed ahead of storing", "stages: stored amid an execution", "stages: executed on what was stored"];

/// Lives ended when a block was executed and not stored, and when the next one was executed, too.
const BETWEEN_STAGES: &[&str] = &["crash: between execution and storing", "crash: with a block executed ahead"];

#[test]
fn calm() {
    let counters = run(&named("calm").unwrap());
    fired(
        &counters,
        &["block: ordered", "checkpoint: certified", "idle hour watched", "log: one sync for several chains"],
    );
    fired(&counters, STAGES);
    assert_eq!(counters.get("chain: stopped"), 0);
}

#[test]
fn crashes() {
    let counters = run(&named("crashes").unwrap());
    let crashes = ["crash: power cut at an I/O operation", "crash: power cut between operations"];
    fired(&counters, &crashes);
    fired(&counters, &["crash: within a start", "block: replayed", "views: batches lost", "views: lost altogether"]);
    fired(&counters, &["disk: piece lost in a crash", "disk: piece torn in a crash", "disk: short write"]);
    fired(&counters, STAGES);
    fired(&counters, BETWEEN_STAGES);
}

#[test]
fn restarts() {
    let counters = run(&named("restarts").unwrap());
    fired(&counters, &["crash: process killed", "host closed properly"]);
    fired(&counters, STAGES);
    fired(&counters, BETWEEN_STAGES);
}

#[test]
fn disk_errors() {
    let counters = run(&named("disk-errors").unwrap());
    fired(&counters, &["disk: sync failed", "disk: write failed", "disk: full", "chain: stopped"]);
    fired(&counters, STAGES);
    fired(&counters, BETWEEN_STAGES);
}

#[test]
fn growth() {
    let counters = run(&named("growth").unwrap());
    fired(&counters, &["cut: begun", "cut: come to its end", "cut: segments of the log removed"]);
    fired(&counters, &["host: started from a cut log", "crash: within a start", "cut: broken off between two steps"]);
    let amid: u64 =
        counters.iter().filter(|(name, _)| name.starts_with("crash: in a cut")).map(|(_, count)| count).sum();
    assert!(amid > 0, "no crash struck at an I/O operation of a cut:\n{counters}");
    fired(
        &counters,
        &["past: body refused as given up", "past: results refused as given up", "archive: blocks sealed"],
    );
    fired(&counters, STAGES);
    fired(&counters, BETWEEN_STAGES);
}

#[test]
fn mischief() {
    let counters = run(&named("mischief").unwrap());
    let wrongs = ["signature", "chain", "replayed", "expired", "out of order", "fuel limit", "body"];
    for wrong in wrongs {
        fired(&counters, &[&format!("wrong: {wrong}")]);
    }
}

#[test]
fn restored_log() {
    let counters = run(&named("restored-log").unwrap());
    fired(&counters, &["log replaced by an older copy", "signer: refused a log that was rolled back"]);
}

#[test]
fn heartbeat() {
    fired(&run(&named("heartbeat").unwrap()), &["idle hour watched"]);
}
