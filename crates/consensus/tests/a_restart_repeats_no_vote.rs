//! What an engine knows after a crash, and what it never signs again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use ledger_consensus::bft::wire::{Envelope, Message};
use ledger_consensus::{Bft, BftConfig, EngineFactory, Record, RecordKind, Setup, Solo, StartError};
use ledger_core::{BftVote, Genesis, Timestamp, codec};
use ledger_crypto::{Digest, MemoryGuard, MemorySigner, Signer, VoteError};
use net::storm::{WILD, storm};
use net::{Faults, MockSigner, Net};
use std::collections::BTreeMap;

/// Own votes in a log, by view and slot.
fn votes(log: &[Record]) -> Vec<((u64, bool), BftVote)> {
    let votes = log.iter().filter(|record| record.kind == RecordKind::Vote);
    votes
        .map(|record| match codec::decode::<Envelope>(&record.bytes).unwrap().message {
            Message::Vote(vote) => ((vote.view.0, !matches!(vote.vote, BftVote::Notarize(_))), vote.vote),
            other => panic!("{other:?} is no vote"),
        })
        .collect()
}

#[test]
fn a_slot_holds_one_vote_for_life() {
    for seed in 500..540 {
        let net = storm(seed, &[1; 4], 0, Faults { crash: 15, ..WILD });
        for node in &net.nodes {
            let mut known = BTreeMap::new();
            for (slot, vote) in votes(&node.log) {
                assert_eq!(*known.entry(slot).or_insert(vote), vote, "seed {seed}, view {}", slot.0);
            }
        }
    }
}

#[test]
fn the_whole_network_goes_on_where_it_stopped() {
    // At each millisecond of two blocks, so that every kind of step is the last one.
    for stop in 0..60 {
        let mut net = Net::new(stop, &[1; 4], &BftConfig::default());
        net.run_for(500 + stop);
        let before: Vec<u64> = net.nodes.iter().map(|node| node.tip.height.0).collect();
        for index in 0..4 {
            net.crash(index, Some(0));
        }
        net.run_for(1);
        let after: Vec<u64> = net.nodes.iter().map(|node| node.tip.height.0).collect();
        assert!(after.iter().zip(&before).all(|(after, before)| after >= before));
        let highest = *before.iter().max().unwrap();
        assert!(net.reaches(highest + 10, 3_000), "stopped after {stop} ms: {:?}", net.height());
        net.assert_sound();
    }
}

#[test]
fn a_node_that_was_away_for_long_catches_up_and_votes_again() {
    for away in [100, 2_000, 20_000] {
        let mut net = Net::new(away, &[1; 4], &BftConfig::default());
        net.run_for(1_000);
        net.crash(1, Some(away));
        net.run_for(away + 2_000);
        let (lowest, highest) = (net.height(), net.nodes.iter().map(|node| node.tip.height.0).max().unwrap());
        assert!(highest - lowest <= 2, "{lowest} of {highest} after {away} ms away");
        // It is needed again when another one stops.
        net.crash(2, None);
        assert!(net.reaches(highest + 20, 5_000));
        net.assert_sound();
    }
}

#[test]
fn a_node_that_missed_the_last_block_of_an_idle_chain_learns_of_it_when_it_starts() {
    let mut net = Net::new(3, &[1; 4], &BftConfig::default());
    net.run_for(500);
    net.crash(0, None);
    net.run_for(2_000);
    net.set_work(false);
    net.run_for(5_000);
    let highest = net.nodes.iter().map(|node| node.tip.height.0).max().unwrap();
    net.boot(0);
    assert!(net.reaches(highest, 1_000), "{} of {highest}", net.height());
    net.assert_sound();
}

#[test]
fn a_node_with_an_empty_disk_learns_of_an_idle_chain_when_it_starts_late() {
    let mut net = Net::new(4, &[1; 4], &BftConfig::default());
    net.crash(0, None);
    net.nodes[0].log.clear();
    net.nodes[0].guard = MemoryGuard::new();
    net.run_for(3_000);
    net.set_work(false);
    net.run_for(5_000);
    let highest = net.nodes.iter().map(|node| node.tip.height.0).max().unwrap();
    net.boot(0);
    assert!(highest > 20 && net.reaches(highest, 1_000), "{} of {highest}", net.height());
    net.assert_sound();
}

fn start(genesis: &Genesis, bft: Bft, records: Vec<Record>, guard: &MemoryGuard) -> Result<(), StartError> {
    let (tip, guard) = (genesis.header(), Box::new(guard.clone()));
    let setup = Setup { genesis, chain: genesis.chain(), log: Digest::new([1; 32]), tip: &tip, records, guard };
    Box::new(bft).start(setup).map(|_| ())
}

#[test]
fn a_lost_log_a_strange_key_and_senseless_settings_are_refused() {
    let mut net = Net::new(1, &[1; 4], &BftConfig::default());
    net.run_for(500);
    let (genesis, node) = (&net.genesis, &net.nodes[0]);
    let own = || Bft::new(MockSigner(node.key));
    assert!(start(genesis, own(), node.log.clone(), &node.guard).is_ok());
    let lost = start(genesis, own(), Vec::new(), &node.guard);
    assert!(matches!(lost, Err(StartError::Vote(VoteError::StaleLog { .. }))), "{lost:?}");
    let stranger = start(genesis, Bft::new(MemorySigner::from_seed([99; 32])), Vec::new(), &MemoryGuard::new());
    assert!(matches!(stranger, Err(StartError::NoValidator { validators: 4, .. })), "{stranger:?}");
    for config in [
        BftConfig { resend_ms: 0, ..BftConfig::default() },
        BftConfig { view_timeout_ms: 1, ..BftConfig::default() },
        BftConfig { max_unfinalized: 100_000, ..BftConfig::default() },
    ] {
        let refused = start(genesis, own().config(config), Vec::new(), &MemoryGuard::new());
        assert!(matches!(refused, Err(StartError::Config { .. })), "{refused:?}");
    }
    let solo = Genesis::solo("test", MemorySigner::from_seed([1; 32]).public_key(), Timestamp(1));
    let other = start(&solo, own(), Vec::new(), &MemoryGuard::new());
    assert!(matches!(other, Err(StartError::WrongEngine { given: "bft", .. })), "{other:?}");
    let (tip, guard) = (genesis.header(), Box::new(MemoryGuard::new()));
    let setup = Setup { genesis, chain: genesis.chain(), log: Digest::ZERO, tip: &tip, records: Vec::new(), guard };
    let other = Box::new(Solo::new(MemorySigner::from_seed([1; 32]))).start(setup);
    assert!(matches!(other, Err(StartError::WrongEngine { given: "solo", .. })));
}
