//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "e7d5905d6e680f7f05086dc617f2011e9f87c00f383258330a57eb090c1951d1"),
    ("crashes", 0, "4d3f970fb9afb13063c417ba32e3562dfbbbef20cde2c5c49b55b8e63739126d"),
    ("disk-errors", 1, "a81adf9b3704f4f225650e95011a0858a825f81ad5ea026d4eda5070fac36d9c"),
    ("mischief", 0, "ed90456a7ddae9d70acedf37fd0f78afa10b77b388ce9660fb683f982d46a2d9"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "4d16179a7b9f5fcf786630fb4a70410c4841dc60fafec883d78f50c806e9a81a"),
    ("mixed", 7, 5, "66fa5c4e120b88f8c13d77fe0929c04c5218e77146d33a212fdbf5a4b2b4ebd3"),
    ("broken-machines", 4, 0, "bcd5b60fbbad73f6867e0d2e5da9352475794fc050e3e5d9379ba2a77b27ffd0"),
    ("twins", 4, 2, "56a1703d5a7b21049220dc0e5019af3ff56120551f7f35e59b517ae8b2bd987b"),
    ("forks", 4, 1, "933dfb639b6679c0203ebe208c3fd894f5cf83b5eff6dfb1cee50cbbb2169152"),
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
