//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "767e725c86fcbf9c6fb46651351fbc04a47956810b0fe33d561ddeafc20a6389"),
    ("crashes", 0, "63ada6ba00765ab46207d74b474b03997a8f71bce0de2500fd0e8edf545a2936"),
    ("disk-errors", 1, "59b0f7fe19c3967a74e53b65c3c18a784eaa8c9676a77fd3617914728bf51037"),
    ("mischief", 0, "46dd28a1e2994fb4accfe228c2403328dc44eae92239b7cb35934c01541d103f"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "dfbbe367e1a246bd1c06495bdc0023fa2ead12c646ae5ecf8dae2736a0699004"),
    ("mixed", 7, 5, "4b2925566936eb23c6311076f4533a5cc7af4f199ad52e8bd41310d522a1daec"),
    ("broken-machines", 4, 0, "e81a5ebc77d2b9ac3ebd56714428b6d682327cd5305a1094c2d2824266638b92"),
    ("twins", 4, 2, "04c2459a3d0c27a967ecaadd93a13e37ec849f481b8e22c44820ca10c8afba93"),
    ("forks", 4, 1, "68ca9749affd19081c531f28219348cf866854c9478cf13696092094ba5f1a5c"),
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
