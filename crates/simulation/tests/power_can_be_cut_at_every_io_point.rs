//! A short run, cut at each of its I/O operations, leaving each of several survivors, with another cut in the recovery.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::named;

const SEED: u64 = 3;

#[test]
fn every_point_with_all_synced_or_unsynced_or_some_of_it() {
    let scenario = named("every-point").unwrap();
    let operations = scenario.run(SEED).unwrap().operations;
    assert!(operations > 20, "{operations}");
    let mut crashes = 0;
    for operation in 1..=operations {
        for survivor in [0, 1, 2 + operation] {
            let report = scenario.clone().crash_at(operation).survivor(survivor).run(SEED);
            let report = report.unwrap_or_else(|failure| panic!("{failure}"));
            crashes += report.counters.get("crash: power cut at an I/O operation");
        }
    }
    assert_eq!(crashes, 3 * operations, "each cut struck once");
}

#[test]
fn every_point_and_then_within_the_recovery() {
    let scenario = named("every-point").unwrap();
    let operations = scenario.run(SEED).unwrap().operations;
    let mut within = 0;
    for operation in 1..=operations {
        let report = scenario.clone().crash_at(operation).nested(100).run(SEED + operation);
        let report = report.unwrap_or_else(|failure| panic!("crash at {operation}: {failure}"));
        within += report.counters.get("crash: within a start");
    }
    assert!(within > operations / 4, "{within} of {operations} crashes were followed by one within the start");
}
