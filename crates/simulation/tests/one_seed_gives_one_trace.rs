//! The same seed gives the same trace: twice in a row, and in debug and release, for which the hashes stand here.
//!
//! They change whenever a format, a digest, the core's behaviour or a scenario changes. To update them, check that the
//! change was meant, run `cargo run --release -p ledger-simulation --bin simulate -- --scenario NAME --seed N --hashes` for
//! each line (networks with `--protocol bft --nodes N`), and run this test in both profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::network::{NETWORKS, named_network};

const TRACES: &[(&str, u64, &str)] = &[
    ("calm", 0, "73054429c57a540230dcae65633f89f3cfb6dd7928712574a1145270eff693e5"),
    ("crashes", 0, "c80542579e0f3c3dbe631398d48328c61be45233a5054956f3f9347ad0387100"),
    ("disk-errors", 1, "0da73b71b623a03110eaf161110e321d7af0a8b16e8b014a3c63b8264382b6a1"),
    ("growth", 0, "184ec2dfa0b914c7732cdcad6cf141354cc5f1ff3068290e73341a2289900161"),
    ("mischief", 0, "59482fcec3816eda823542d48fd64e73ec31e01a36965e0f18b5b840b0d8fb6e"),
];

/// Scenario, validators, seed, hash.
const NETWORK_TRACES: &[(&str, usize, u64, &str)] = &[
    ("mixed", 4, 3, "ec6e36dd8e1cf7f2f04d570523832260606a98e437fd956ac1d7c862646afd8c"),
    ("mixed", 7, 5, "93a79d807018798f9540f89dd836779f886bbc89a78a3bca702f2e182dfdd650"),
    ("broken-machines", 4, 0, "cf8fac33d57d7847203307592bdd779e1e2ecbe589f3d1823ea8c44584d280b2"),
    ("twins", 4, 2, "bd1a2120b81136046d64fdabf3a3f45d94696af1b53e72ae28f1a132ade3592d"),
    ("growth", 4, 1, "4e25ffafc2231deea16824e17df69f0843c6fa6009585fc4ac33627fb13a963c"),
    ("forks", 4, 1, "1149f5b0c36ca556dc4b03eb9c9f3b9b33b978029f81b303190db741cb5411aa"),
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
