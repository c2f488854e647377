//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "064b0dfc367b0b830b9811da58d17b1aaef9137cb2f27bc5c028fe5da204bbd1"),
    ("crashes", 0, "004a991f9f7dd040152222de0c62c510d7794b18a1ab26f9500da7e7c1331ed0"),
    ("disk-errors", 1, "f7514901e02649aaddf6a478953d81170c7f444f73a0d97ee0cfe0d898864fc1"),
    ("mischief", 0, "232f6d4b0e36a1f047985006637297edcaae4330b13882fa4045cb9730a6f549"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "066f43eaa4118c2773a1cead746ee84a763ed3a4a99ce0b8c5f4eca9a7a91e78"),
    ("mixed", 7, 5, "745165a112745db9c3b9f44a3a270afb9c1baddac9a86fcfe8864c8711f391b0"),
    ("broken-machines", 4, 0, "2b2ab508a96e9bcfdf355cfdcf629b8101a4b3b1067ce8e48b639c2d31fc095d"),
    ("twins", 4, 2, "5f50f5944eefc9123d1597dbc5f4bb6dd3edc8d1d9b28c62018be6ae626d6c5d"),
    ("forks", 4, 1, "1466a459e12658d3b8c851545b5e9d86b9006271da691afbb134491bf1128ebb"),
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

#[test]
fn a_network_s_seed_twice() {
    for network in NETWORKS {
        for seed in [0, 5] {
            let run = || network.scenario(4, None).run(seed).unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(run(), run(), "{} {seed}", network.name);
        }
    }
}

#[test]
fn every_profile_gives_the_networks_traces_that_stand_here() {
    for (name, nodes, seed, expected) in NETWORK_TRACES {
        let scenario = named_network(name).unwrap().scenario(*nodes, None);
        let report = scenario.run(*seed).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.trace.to_string(), *expected, "{name} {nodes} {seed}");
    }
}
