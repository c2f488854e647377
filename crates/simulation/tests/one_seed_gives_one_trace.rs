//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "e157657e2bbcd2d5c1e8cce1269466f7d6c579ee3975faa2da227434f0bf6279"),
    ("crashes", 0, "524f9711e606bf4d3ed16e2b3467c87597f9da56c03caf7828108c9ace5886c1"),
    ("disk-errors", 1, "58b30fb4080d6d6aadcf63790bb1cb90d3585154e26fe60c6e8a484d3a7db267"),
    ("mischief", 0, "57e5a4d6fb8cec5470173bfa640b2fbb6d715d10161e3830ce5ade3c647556d1"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "d5e8cd91b19d158bee53fbb8b92b907b46c3564dac9a87f887a47183a97ab4ec"),
    ("mixed", 7, 5, "98f65f9c3f7af4d3410b26afa9508dac6da3cdb1645876472fc167d1aa430d4f"),
    ("broken-machines", 4, 0, "6063c0ea120ff641a2758c3c34eff61642f91d5720301eebd32a6a735bc6a9df"),
    ("twins", 4, 2, "d4b40309440bc7b93e42e9855b71904396ce02373ad727c0aa3ba8dc0919d189"),
    ("forks", 4, 1, "daf78debd5b154727634d7a00186e5021fe1de580a0952891db611c6b24aeb2d"),
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
