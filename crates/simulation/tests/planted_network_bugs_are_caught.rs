//! Laws that no bug breaks show nothing: each of these bugs, in the engine or in the shells around the cores, is caught
//! within the number of seeds that CI runs.
//!
//! `LEDGER_PLANTED_SEEDS` sets how many seeds each bug gets (default 200).
#![cfg(feature = "planted-bugs")]
#![allow(clippy::panic, clippy::unwrap_used)]

use ledger_simulation::PlantedBug;
use ledger_simulation::network::{Adversary, Network, PlantedProtocolBug, campaign, named_network, network};

fn seeds() -> u64 {
    std::env::var("LEDGER_PLANTED_SEEDS").ok().map_or(200, |text| text.parse().unwrap())
}

/// Machines that are switched off and on all the time.
fn broken() -> Network {
    network(4).crashes(6).kills(3).wrong_folders(3).loss(10).partitions(1).heal_at(2_500).transactions(20)
}

fn in_shell(bug: PlantedBug) -> Network {
    let base = match bug {
        PlantedBug::ChecksNoSignature => network(4).byzantine(1, Adversary::Mutate),
        PlantedBug::LosesAWrite | PlantedBug::ExecutesOnStored => network(4),
        _ => broken(),
    };
    base.plant(bug)
}

fn in_protocol(bug: PlantedProtocolBug) -> Network {
    use PlantedProtocolBug as Bug;
    let base = match bug {
        Bug::QuorumMinusOne => network(4).partitions(3),
        Bug::VoteBeforePersist | Bug::ForgetsVotesOnRestart => broken(),
        Bug::CountsSignersTwice => network(4).byzantine(1, Adversary::Forge),
        Bug::SkipsParentCheck => network(4).byzantine(1, Adversary::Rewind).loss(20).partitions(2).transactions(24),
        Bug::FinalizeWithoutNotarization => network(4).byzantine(1, Adversary::Equivocate).loss(20).partitions(2),
        Bug::AcceptsUncheckedSignatures => network(4).byzantine(1, Adversary::Mutate),
        _ => network(4).byzantine(1, [Adversary::Withhold, Adversary::Delay]).loss(20).reorder(30).partitions(2),
    };
    base.plant_in_protocol(bug)
}

#[test]
fn each_bug_of_a_cut_is_caught() {
    for bug in PlantedBug::CUTTING_NETWORK {
        let scenario = named_network("growth").unwrap().scenario(4, None).plant(bug);
        caught(&format!("{bug:?}"), &scenario);
    }
}

fn caught(name: &str, scenario: &Network) {
    let mut tried = 0;
    while tried < seeds() {
        let some = 20.min(seeds() - tried);
        let summary = campaign(scenario, tried, some, 2);
        if let Some(failure) = summary.first_failure() {
            println!("{name}: seed {}, {}", failure.seed, failure.violation);
            return;
        }
        tried += some;
    }
    panic!("{name} was not caught in {} seeds", seeds());
}

#[test]
fn each_bug_of_a_shell_is_caught() {
    for bug in PlantedBug::NETWORK {
        caught(&format!("{bug:?}"), &in_shell(bug));
    }
}

#[test]
fn each_bug_of_the_engine_is_caught() {
    for bug in PlantedProtocolBug::ALL {
        caught(&format!("{bug:?}"), &in_protocol(bug));
    }
}

#[test]
fn without_a_bug_the_same_runs_break_no_law() {
    let mut scenarios = vec![broken(), network(4).partitions(3), network(4).byzantine(1, Adversary::Forge)];
    scenarios.push(network(4).byzantine(1, Adversary::Rewind).loss(20).partitions(2).transactions(24));
    scenarios.push(network(4).byzantine(1, Adversary::Equivocate).loss(20).partitions(2));
    for scenario in scenarios {
        let summary = campaign(&scenario, 0, 20, 2);
        assert!(summary.first_failure().is_none(), "{}", summary.first_failure().unwrap());
    }
}
