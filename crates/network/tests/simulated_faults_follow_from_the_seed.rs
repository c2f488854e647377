//! The simulated network: the same seed does the same, and every fault it offers happens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_core::{ChainId, Lane};
use ledger_crypto::{Digest, PublicKey};
use ledger_network::{
    Admission, Delivery, FaultCounts, Inbox, LinkFaults, NetworkConfig, SimulatedNetwork, SimulatedTransport, Transport,
};

const CHAIN: ChainId = ChainId(Digest::new([9; 32]));

fn key(node: u8) -> PublicKey {
    PublicKey::new([node; 32])
}

type Nodes = [(SimulatedTransport, Inbox); 2];

fn network(seed: u64) -> (SimulatedNetwork, Nodes) {
    let network = SimulatedNetwork::new(seed, NetworkConfig::for_blocks(1 << 20)).unwrap();
    let nodes = [1, 2].map(|node| {
        let transport = network.transport(key(node));
        let inbox = transport.join(CHAIN, Admission::members([key(1), key(2)])).unwrap();
        (transport, inbox)
    });
    (network, nodes)
}

fn read(inbox: &mut Inbox) -> Vec<Delivery> {
    std::iter::from_fn(|| inbox.try_recv()).collect()
}

fn run(seed: u64, faults: LinkFaults) -> (Vec<Delivery>, FaultCounts) {
    let (network, mut nodes) = network(seed);
    network.set_faults(faults);
    let mut seen = Vec::new();
    for number in 0..400_u64 {
        for lane in [Lane::Votes, Lane::Gossip] {
            nodes[0].0.send(&CHAIN, &key(2), lane, number.to_be_bytes().into()).unwrap();
        }
        network.advance(number * 300);
        seen.extend(read(&mut nodes[1].1));
    }
    while let Some(next) = network.next_at() {
        network.advance(next);
        seen.extend(read(&mut nodes[1].1));
    }
    (seen, network.counts())
}

fn faulty() -> LinkFaults {
    LinkFaults { delay_micros: 500..=20_000, loss_percent: 20, replay_percent: 30, reorder_percent: 40 }
}

#[test]
fn the_same_seed_gives_the_same_deliveries_and_another_seed_others() {
    assert_eq!(run(1, faulty()), run(1, faulty()));
    assert_ne!(run(1, faulty()).0, run(2, faulty()).0);
}

#[test]
fn every_fault_happens_about_as_often_as_it_was_asked_for() {
    let (seen, counts) = run(3, faulty());
    assert!((100..=220).contains(&counts.lost), "{counts:?}");
    assert!((170..=310).contains(&counts.replayed), "{counts:?}");
    assert!(counts.overtaken > 50, "{counts:?}");
    assert_eq!((counts.blocked, counts.held), (0, 0), "{counts:?}");
    assert_eq!(counts.delivered, 800 - counts.lost + counts.replayed);
    assert_eq!(seen.len() as u64, counts.delivered + 1, "all deliveries and the connection");
}

#[test]
fn without_faults_delays_alone_change_no_order() {
    let (seen, counts) = run(4, LinkFaults { delay_micros: 0..=50_000, ..LinkFaults::default() });
    assert_eq!(counts, FaultCounts { delivered: 800, ..FaultCounts::default() });
    for lane in [Lane::Votes, Lane::Gossip] {
        let of_lane = seen.iter().filter_map(|delivery| match delivery {
            Delivery::Message { lane: of, bytes, .. } if *of == lane => Some(bytes.to_vec()),
            _ => None,
        });
        assert!(of_lane.eq((0..400_u64).map(|number| number.to_be_bytes().to_vec())), "lane {lane}");
    }
}

#[test]
fn a_block_is_one_way_and_silent_and_heals() {
    let (network, mut nodes) = network(5);
    nodes.iter_mut().for_each(|(_, inbox)| drop(read(inbox)));
    network.block(&key(1), &key(2));
    for (from, to) in [(0, 2), (1, 1)] {
        nodes[from].0.send(&CHAIN, &key(to), Lane::Votes, [1].into()).unwrap();
    }
    network.advance(1_000_000);
    assert!(read(&mut nodes[1].1).is_empty());
    assert_eq!(read(&mut nodes[0].1).len(), 1);
    assert_eq!(network.counts().blocked, 1);
    network.heal();
    nodes[0].0.send(&CHAIN, &key(2), Lane::Votes, [1].into()).unwrap();
    network.advance(2_000_000);
    assert_eq!(read(&mut nodes[1].1).len(), 1);
}
