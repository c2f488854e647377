//! Network scenarios by name, for the command line and for tests.

use super::adversary::Adversary;
use super::scenario::{Network, network};

/// A scenario with a name, for any number of nodes and liars.
#[derive(Clone, Copy, Debug)]
pub struct NamedNetwork {
    /// What it is called.
    pub name: &'static str,
    /// What it goes through.
    pub about: &'static str,
    /// How many of `nodes` lie where nothing else is said.
    liars: fn(usize) -> usize,
    build: fn(usize, usize) -> Network,
}

impl NamedNetwork {
    /// The scenario with `nodes` validators, `byzantine` of which lie; by default as many as it is about.
    pub fn scenario(&self, nodes: usize, byzantine: Option<usize>) -> Network {
        let liars = byzantine.unwrap_or((self.liars)(nodes)).min(nodes);
        Network { name: Some(self.name), ..(self.build)(nodes, liars) }
    }
}

fn tolerated(nodes: usize) -> usize {
    nodes.saturating_sub(1) / 3
}

/// All named network scenarios.
pub const NETWORKS: &[NamedNetwork] = &[
    NamedNetwork {
        name: "mixed",
        about: "liars of all manners, and up to 30 % loss, 50 % replay, partitions, clock steps, crashes, torn disks",
        liars: tolerated,
        build: |nodes, liars| network(nodes).byzantine_somehow(liars).chaos(),
    },
    NamedNetwork {
        name: "sound",
        about: "no faults and no liars; in some seeds an idle minute is watched",
        liars: |_| 0,
        build: |nodes, liars| network(nodes).byzantine_somehow(liars),
    },
    NamedNetwork {
        name: "liars",
        about: "liars of all manners on sound links and machines",
        liars: tolerated,
        build: |nodes, liars| network(nodes).byzantine_somehow(liars),
    },
    NamedNetwork {
        name: "broken-machines",
        about: "power cuts, kills, failing syncs, wrong data folders; links lose a little",
        liars: |_| 0,
        build: |nodes, liars| {
            let machines =
                network(nodes).byzantine_somehow(liars).crashes(5).kills(3).failing_syncs(2).wrong_folders(3);
            machines.loss(5).replay(20).heal_at(2_500).transactions(20)
        },
    },
    NamedNetwork {
        name: "twins",
        about: "two nodes with one key, and who hears whom is drawn anew for each of four views",
        liars: tolerated,
        build: |nodes, liars| {
            network(nodes).byzantine(liars, Adversary::Twins).part_each_view(4).transactions(8).heal_at(6_000)
        },
    },
    NamedNetwork {
        name: "forks",
        about: "one liar more than the chain tolerates, all equivocating, and partitions between honest nodes",
        liars: |nodes| tolerated(nodes) + 1,
        build: |nodes, liars| {
            network(nodes).byzantine(liars, Adversary::Equivocate).partitions(2).delay_us(1_000..=5_000).heal_at(1_500)
        },
    },
    NamedNetwork {
        name: "growth",
        about: "nodes cut their logs, by policies of each; crashes and failing syncs amid it, older views, liars",
        liars: tolerated,
        build: |nodes, liars| {
            let rough = network(nodes).byzantine_somehow(liars).loss(5).replay(20).partitions(1).growth();
            rough.crashes(7).kills(2).failing_syncs(2).wrong_folders(2).transactions(60).blocks(20).heal_at(3_000)
        },
    },
    NamedNetwork {
        name: "rejoin",
        about: "an honest node loses everything and joins by a snapshot, amid losses, crashes, partitions and liars",
        liars: |nodes| tolerated(nodes).saturating_sub(1),
        build: |nodes, liars| {
            let rough = network(nodes).byzantine_somehow(liars).loss(15).replay(20).partitions(1).crashes(3).kills(2);
            rough.wipe_at(1_200).transactions(30).heal_at(4_000).real_signatures(100)
        },
    },
];

/// The network scenario called `name`.
#[must_use]
pub fn named_network(name: &str) -> Option<&'static NamedNetwork> {
    NETWORKS.iter().find(|network| network.name == name)
}

/// The counters of faults: a long run of `mixed` must have seen each of them.
pub const FAULTS: &[&str] = &[
    "adversary: delayed a message",
    "adversary: equivocated",
    "adversary: forged a certificate",
    "adversary: forgot its votes",
    "adversary: kept silent",
    "adversary: mutated a message",
    "adversary: proposed on an old parent",
    "adversary: twins started",
    "adversary: withheld a message",
    "clock: stepped back",
    "clock: stepped forward",
    "crash: between execution and storing",
    "crash: power cut",
    "crash: process killed",
    "crash: within a start",
    "disk: piece lost in a crash",
    "disk: piece torn in a crash",
    "disk: sync failed",
    "network: connection lost",
    "network: message lost",
    "network: message overtaken",
    "network: message replayed",
    "network: message stopped by a partition",
    "network: parted",
    "network: parted one way",
    "signer: refused a wrong data folder",
    "stages: executed ahead of storing",
    "stages: stored amid an execution",
    "views: batches lost",
];
