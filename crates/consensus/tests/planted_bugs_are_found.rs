//! Each rule that an engine can be made to break is missed by some test here, within so many seeds.
#![cfg(feature = "planted-bugs")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use ledger_consensus::bft::PlantedBug;
use ledger_consensus::bft::wire::{self, Finalization, Message, Proposal};
use ledger_consensus::{BftConfig, Input};
use ledger_core::{BftVote, Block, Epoch, Lane, Signed, View, codec};
use ledger_crypto::{Signature, Signer};
use net::driver::{empty_block, view_of};
use net::storm::{WILD, storm_with};
use net::{Faults, MockSigner, Net};
use std::sync::Arc;

/// Storms within which each is to be found.
const SEEDS: u64 = 40;

const LIAR: usize = 3;

fn with(bug: Option<PlantedBug>) -> BftConfig {
    BftConfig { planted: bug, ..BftConfig::default() }
}

/// The first seed whose storm shows the bug.
fn found_by_storm(bug: Option<PlantedBug>) -> Option<u64> {
    (0..SEEDS).find(|seed| {
        let (net, lively) = storm_with(*seed, &[1; 4], 0, Faults { crash: 8, ..WILD }, |_| with(bug));
        !lively || !net.is_sound()
    })
}

#[test]
fn by_storms() {
    assert_eq!(found_by_storm(None), None, "without a bug nothing is found");
    for bug in [
        PlantedBug::QuorumMinusOne,
        PlantedBug::VoteBeforePersist,
        PlantedBug::LostLock,
        PlantedBug::FinalizeWithoutNotarization,
        PlantedBug::ForgetsVotesOnRestart,
        PlantedBug::NullifyAfterFinalize,
    ] {
        let found = found_by_storm(Some(bug));
        assert!(found.is_some(), "{bug:?} isn't found in {SEEDS} storms");
    }
}

/// The liar sends a block of its own and a finalization for it, made of `votes`.
fn forged_finalization(bug: Option<PlantedBug>, votes: impl Fn(Signature) -> Vec<Signed>) -> Net {
    let mut net = Net::new(5, &[1; 4], &with(bug));
    net.nodes[LIAR].lies = true;
    net.run_for(1_000);
    net.crash(LIAR, None);
    let tip = net.nodes[0].tip.clone();
    let view = View(view_of(&net.chain[&tip.height.0].2).0 + 9);
    let block = empty_block(&net.genesis, &tip, net.now, LIAR);
    let vote = BftVote::Finalize(block.digest());
    let message = vote.message(net.genesis.chain(), Epoch(0), view);
    let from = net.nodes[LIAR].key;
    let signature = MockSigner(from).sign(vote.domain(), &message).unwrap();
    let header = block.header.clone();
    let finalization = Message::Finalization(Finalization { header, view, votes: votes(signature).into() });
    let (certificate, payload): (_, Arc<[u8]>) = (wire::encode(Epoch(0), finalization), codec::encode(&block).into());
    for to in 0..3 {
        net.feed(to, Input::Message { from, lane: Lane::Votes, bytes: Arc::clone(&certificate) });
    }
    net.run_for(1);
    for to in 0..3 {
        net.feed(to, Input::Message { from, lane: Lane::Payloads, bytes: Arc::clone(&payload) });
    }
    net.run_for(1_000);
    net
}

#[test]
fn by_certificates_of_one_signer() {
    let place = |net: &Net| net::validators(&[1; 4]).place(&net.nodes[LIAR].key).unwrap();
    let liar = place(&Net::new(5, &[1; 4], &with(None)));
    let alone = |signature| vec![Signed { validator: liar, signature }; 3];
    assert!(forged_finalization(None, alone).is_sound());
    assert!(!forged_finalization(Some(PlantedBug::CountsSignersTwice), alone).is_sound());
}

#[test]
fn by_certificates_with_forged_signatures() {
    let forged = |signature| (0..3).map(|validator| Signed { validator, signature }).collect();
    assert!(forged_finalization(None, forged).is_sound());
    assert!(!forged_finalization(Some(PlantedBug::AcceptsUncheckedSignatures), forged).is_sound());
}

/// The liar's block leaves out the one before, which is notarized and about to be final.
fn skipped_parent(bug: Option<PlantedBug>) -> Net {
    let mut net = Net::new(5, &[1; 4], &with(bug));
    net.nodes[LIAR].lies = true;
    net.run_for(1_000);
    net.nodes[LIAR].mute = true;
    while net.nodes[LIAR].open.is_none() {
        net.run_for(1);
    }
    let parent = net.nodes[LIAR].tip.clone();
    let parent_view = view_of(&net.chain[&parent.height.0].2);
    let view = View(parent_view.0 + 2);
    let block: Block = empty_block(&net.genesis, &parent, net.now, LIAR);
    let vote = BftVote::Notarize(block.digest());
    let from = net.nodes[LIAR].key;
    let signature = MockSigner(from).sign(vote.domain(), &vote.message(net.genesis.chain(), Epoch(0), view)).unwrap();
    let payload: Arc<[u8]> = codec::encode(&block).into();
    let proposal = Message::Proposal(Proposal { view, parent_view, header: block.header, signature });
    let proposal = wire::encode(Epoch(0), proposal);
    for to in 0..3 {
        net.feed(to, Input::Message { from, lane: Lane::Votes, bytes: Arc::clone(&proposal) });
        net.feed(to, Input::Message { from, lane: Lane::Payloads, bytes: Arc::clone(&payload) });
    }
    net.run_for(2_000);
    net
}

#[test]
fn by_a_block_that_leaves_out_its_parent() {
    let net = skipped_parent(None);
    assert!(net.is_sound() && net.height() > 60, "{:?}", net.broken);
    assert!(!skipped_parent(Some(PlantedBug::SkipsParentCheck)).is_sound());
}
