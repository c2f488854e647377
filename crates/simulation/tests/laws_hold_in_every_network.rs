//! A few seeds of every network scenario, and proof that what each is to simulate did happen. `LEDGER_SIMULATION_SEEDS`
//! sets how many seeds of each (default 6).
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::Counters;
use ledger_simulation::network::{Adversary, Network, campaign, named_network, network};

fn run(scenario: &Network) -> Counters {
    let seeds = std::env::var("LEDGER_SIMULATION_SEEDS").ok().map_or(6, |text| text.parse().unwrap());
    let summary = campaign(scenario, 0, seeds, 2);
    assert!(summary.first_failure().is_none(), "{}", summary.first_failure().unwrap());
    summary.counters
}

fn named(name: &str, nodes: usize) -> Network {
    named_network(name).unwrap().scenario(nodes, None)
}

#[track_caller]
fn fired(counters: &Counters, names: &[&str]) {
    for name in names {
        assert!(counters.get(name) > 0, "`{name}` never happened in:\n{counters}");
    }
}

/// Blocks were executed before the one before them was stored, around that, and behind it.
const STAGES: &[&str] =
    &["stages: executed ahead of storing", "stages: stored amid an execution", "stages: executed on what was stored"];

/// Lives ended when a block was executed and not stored.
const BETWEEN_STAGES: &[&str] = &["crash: between execution and storing"];

#[test]
fn mixed() {
    let mut all = Counters::default();
    for nodes in [4, 7] {
        let counters = run(&named("mixed", nodes));
        fired(&counters, &["network: message lost", "network: message replayed", "network: healed and decided"]);
        fired(&counters, STAGES);
        all.merge(&counters);
    }
    // A seed draws how many machines break.
    fired(&all, BETWEEN_STAGES);
}

#[test]
fn sound() {
    let counters = run(&named("sound", 4));
    fired(&counters, &["network: idle minute watched", "network: healed and decided"]);
    fired(&counters, STAGES);
    assert_eq!(counters.get("node: stopped") + counters.get("evidence: given"), 0);
}

#[test]
fn alone() {
    fired(&run(&named("sound", 1)), &["network: healed and decided"]);
}

#[test]
fn broken_machines() {
    let counters = run(&named("broken-machines", 4));
    fired(&counters, &["crash: power cut", "crash: process killed", "disk: sync failed", "block: replayed"]);
    fired(&counters, &["signer: refused a wrong data folder", "disk: piece lost in a crash", "views: batches lost"]);
    fired(&counters, STAGES);
    fired(&counters, BETWEEN_STAGES);
}

#[test]
fn growth() {
    let counters = run(&named("growth", 4));
    fired(
        &counters,
        &["cut: begun", "cut: come to its end", "cut: segments of the log removed", "crash: within a start"],
    );
    fired(&counters, &["node: started from a cut log", "cut: broken off between two steps", "archive: blocks sealed"]);
    let amid: u64 =
        counters.iter().filter(|(name, _)| name.starts_with("crash: in a cut")).map(|(_, count)| count).sum();
    assert!(amid > 0, "no crash struck at an I/O operation of a cut:\n{counters}");
    fired(&counters, &["past: body refused as given up", "past: results refused as given up"]);
    fired(&counters, STAGES);
    fired(&counters, BETWEEN_STAGES);
}

#[test]
fn twins() {
    let counters = run(&named("twins", 4));
    fired(&counters, &["adversary: twins started", "network: message stopped between the parts of a view"]);
}

#[test]
fn forks() {
    let counters = run(&named("forks", 4));
    fired(&counters, &["chain: forked", "evidence: validators proven guilty"]);
}

#[test]
fn a_node_that_lost_everything_rejoins() {
    for nodes in [4, 7] {
        let counters = run(&named("rejoin", nodes));
        fired(&counters, &["join: a node lost everything", "join: chunk kept", "join: finished"]);
        fired(&counters, &["network: message lost", "crash: power cut", "network: healed and decided"]);
        fired(&counters, STAGES);
    }
}

#[test]
fn every_adversary_acts_and_the_others_go_on() {
    for adversary in Adversary::ALL {
        let scenario = network(4).byzantine(1, adversary).crashes(4).kills(4).loss(5);
        fired(&run(&scenario), &[adversary.counter(), "network: healed and decided"]);
    }
}
