//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --hashes` for each
//! line, and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "ef562c3f04a85e4410116b7bb3d256e221e67f701da94e23d697926861945cc9"),
    ("crashes", 0, "6460d8d3bb584b29d250880af53fc707b6d0e36980ef6681a9c5bfad350c694e"),
    ("disk-errors", 1, "9be804c7970ef91577e7fa52b1d45dfa0b947fcd4b9e94fc1e2d957504005bc6"),
    ("mischief", 0, "3d4a1dbc0b421885ce096a80fc9cc1633d260043f2d59f70fed74b547a4eeda3"),
];

#[test]
fn the_same_seed_twice() {
    for scenario in SCENARIOS {
        for seed in [0, 5] {
            let run = || scenario.scenario().run(seed).unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(run(), run(), "{} {seed}", scenario.name);
        }
    }
}

#[test]
fn another_seed_gives_another_trace() {
    let scenario = named("calm").unwrap();
    assert_ne!(scenario.run(0).unwrap().trace, scenario.run(1).unwrap().trace);
}

#[test]
fn every_profile_gives_the_traces_that_stand_here() {
    for (name, seed, expected) in TRACES {
        let report = named(name).unwrap().run(*seed).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.trace.to_string(), *expected, "{name} {seed}");
    }
}
