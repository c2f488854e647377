//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "2b52b0476e8b9c683d847c6c29afff5b0553c177502593065796b5c50b6226bf"),
    ("crashes", 0, "3dd3026c70fbb1b6b62cc31488eeb99d5fe8e2df605efae9d72f889f5f55eb84"),
    ("disk-errors", 1, "fa03aff4ba8e9080c6541ec014acba6857457eca34dd143298973aab49b0c9ae"),
    ("growth", 0, "a388960ee02e441eea00d6e9ed2865fab009d975cdba4d871ef291ba84b012ca"),
    ("mischief", 0, "f074e7c5d4aa78d9f5e741d6e29ba17b5337dfeaaee8eb97905a8e07253219a2"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "14830550e615473923a29a9f2eed0a4b3bf77e219ad165c765d1f0d9146c623f"),
    ("mixed", 7, 5, "961975acabe392a7b775c941e9d896ae388128bab1228f486c3a6b47657cda75"),
    ("broken-machines", 4, 0, "b7dbb5bf324f5cb58c9b94b41b2d98721d984e04060c0bb3d38d42d767cd0cad"),
    ("twins", 4, 2, "4cfcf268b919f8d5e8aa98d4b1b484765841afea250a8f26c07d73cce3102b5c"),
    ("growth", 4, 1, "7158448088e73d8993ba48c1dfbbbb99c3d2a24fa100590482998ca6bd91f9d9"),
    ("forks", 4, 1, "562097b23e0f3aedc6a1703f8cb3240ed7206b87aafec957b1a7c8347449c119"),
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
