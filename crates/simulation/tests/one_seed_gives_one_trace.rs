//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "b59733fb241647937d1a247d08e269bdf99ab0c60f4ecc310b6e0bd5b88b91cd"),
    ("crashes", 0, "aa1dd587252d2b7bbf0ab840d1dcdf18797c7402602582d4aac88b21556135ea"),
    ("disk-errors", 1, "bce1836de49aa906b00532338e088c64f7d25e3c5db1699dede4a9f3b2271e7d"),
    ("mischief", 0, "8db8cfb8cfcec4810ef72764ad796a77f7a4490c32e7f5e6c819271ef436f5e6"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "47c34ff34dacca5e6e46b2dc895df6196d605bf5be0494cf80d558679716ed9b"),
    ("mixed", 7, 5, "98280c123c22abf4bce20a6297fb9e266bc1fc27f0e551fc538208fa4fa7a7e2"),
    ("broken-machines", 4, 0, "11baa5ea4c88d6a54382ea7c7d48034b174c74ab495f2c5db4c52ab040c9629e"),
    ("twins", 4, 2, "357c4b0b240a5b3499900a0a05b849ab04e18a72f53ce5de737436c6020655a4"),
    ("forks", 4, 1, "1d0be87bd47182bdc18341e52ec8f214033f55ad73f9457f72dbfc6cd42a42f3"),
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
