//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "5a647ac591d5dd10e3168ca4c0ea13e25a43016ab992540da0470cf996187c37"),
    ("crashes", 0, "cdd2630338e80401605c6841bfe0545c4697ff56cf86c1c42a0c1d4bb650b6df"),
    ("disk-errors", 1, "b5e513dac2a5568a8e0fc03bab9e5ab90faec0b3f7c4e4d8e71ee223ca373fef"),
    ("mischief", 0, "97c57ff7360f2d73b7f168686451896cedb4f459a69105e035794475675f7540"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "42ce8ea83ff5e3d518d4cf72a6d8620b8c693c27c24307f9ba56760f5c559dc6"),
    ("mixed", 7, 5, "fd8aee291bfe0163cbddb424996a5c2649062ac8eef3e104255ef35385c4692d"),
    ("broken-machines", 4, 0, "19bfbe54db2ab4445dcbb856f90d03fbc6b88f8224bc4258af3cd90e6a6fa758"),
    ("twins", 4, 2, "8539a5a29d335c4941373e2b1c9a8b7b76e7290d5eabefc73f56293039fb9ee8"),
    ("forks", 4, 1, "2c14608b57f4184bc6c297fb3fb31d3aa3c4c650c4cd36be680bfc569fdb8f09"),
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
