//! A certified block that can't follow what is final here stops the chain, which says what was met; what isn't certified
//! for this chain stops nothing, and its sender is left out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::empty_block;
use common::network::member;
use ledger_consensus::Observer;
use ledger_core::codec::{self, Bytes, List};
use ledger_core::{
    BftCertificate, BftVote, Block, Checkpoint, Epoch, Evidence, Genesis, Header, Height, HistoryHead, Lane, Signed,
    Timestamp, Validator, ValidatorSet, View, Weight,
};
use ledger_crypto::{Digest, PublicKey, Signer};
use ledger_node::Stop;
use ledger_node::core::{ChainCore, CoreConfig, Effect, Event, Start, SyncBlock, SyncMessage};
use ledger_storage::log::LogPosition;
use std::collections::VecDeque;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_000_000);

fn validators() -> ValidatorSet {
    let validator = |number| Validator { key: member(number).public_key(), weight: Weight(1) };
    ValidatorSet::new((0..4).map(validator)).unwrap()
}

fn genesis(name: &str) -> Genesis {
    Genesis::bft(name, &validators(), Timestamp(1_000))
}

/// The history of the genesis, as far as these tests need one.
fn history() -> HistoryHead {
    HistoryHead { size: 1, root: Digest::new([9; 32]) }
}

/// The empty block after `parent` that was made so many ms later.
fn block(parent: &Header, later: u64) -> Block {
    empty_block(parent, later, history())
}

/// What three of the four validators make of a header in a view.
fn certified(header: &Header, view: u64) -> Checkpoint {
    let (view, vote) = (View(view), BftVote::Finalize(header.digest()));
    let message = vote.message(header.chain, Epoch(0), view);
    let mut votes: Vec<Signed> = (0..3)
        .map(member)
        .map(|signer| Signed {
            validator: validators().place(&signer.public_key()).unwrap(),
            signature: signer.sign(vote.domain(), &message).unwrap(),
        })
        .collect();
    votes.sort_by_key(|vote| vote.validator);
    let certificate = codec::encode(&BftCertificate { descendants: List::new(), view, votes: votes.into() });
    Checkpoint { header: header.clone(), certificate: Bytes::from(certificate) }
}

/// A core that follows the validators; its disk and its signature pool answer at once.
struct Node {
    core: ChainCore,
    asked: Vec<(PublicKey, Height)>,
    ordered: Height,
    evidence: Vec<Evidence>,
    stopped: Option<Stop>,
}

impl Node {
    fn new() -> Self {
        let genesis = genesis("test");
        let core = ChainCore::new(&genesis, None, Box::new(Observer), CoreConfig::default()).unwrap();
        let mut node = Node { core, asked: Vec::new(), ordered: Height::GENESIS, evidence: Vec::new(), stopped: None };
        node.tell(Event::Start(Start {
            checkpoint: Checkpoint { header: genesis.header(), certificate: Bytes::default() },
            history: history(),
            owed: None,
            heads: Vec::new(),
            payloads: Vec::new(),
        }));
        node
    }

    fn tell(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            self.core.step(NOW, event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Persist { token, records, .. } => {
                        let positions = vec![LogPosition::START; records.len()].into();
                        events.push_back(Event::Persisted { token, positions });
                    }
                    Effect::CheckSignatures { check, checks } => {
                        let valid = checks.iter().map(|one| ledger_crypto::verify(&one.as_check()).is_ok()).collect();
                        events.push_back(Event::SignaturesChecked { check, valid });
                    }
                    Effect::Send { to, bytes, .. } => {
                        if let SyncMessage::GetBlocks { from, .. } = codec::decode(&bytes).unwrap() {
                            self.asked.push((to, from));
                        }
                    }
                    Effect::Ordered { block, .. } => self.ordered = block.header.height,
                    // What comes behind the stop is kept by nobody.
                    Effect::Evidence(evidence) if self.stopped.is_none() => self.evidence.push(*evidence),
                    Effect::Stop(stop) => self.stopped = Some(stop),
                    _ => {}
                }
            }
        }
    }

    fn hears(&mut self, from: PublicKey, message: &SyncMessage) {
        let bytes: Arc<[u8]> = codec::encode(message).into();
        self.tell(Event::Received { from, lane: Lane::Sync, bytes });
    }

    /// A peer says that it has `tip`, is asked for the next block, and answers with this one.
    fn is_given(&mut self, peer: PublicKey, tip: Checkpoint, block: &Block, certificate: Bytes) {
        let next = self.ordered.next();
        self.hears(peer, &SyncMessage::Status(tip));
        assert_eq!(self.asked.pop(), Some((peer, next)));
        let blocks = vec![SyncBlock { payload: Bytes::from(codec::encode(block)), certificate }];
        self.hears(peer, &SyncMessage::Blocks { from: next, blocks: blocks.into() });
    }

    /// The same with a block that is certified.
    fn is_given_certified(&mut self, peer: PublicKey, block: &Block, view: u64) {
        let tip = certified(&block.header, view);
        self.is_given(peer, tip.clone(), block, tip.certificate);
    }

    /// A node that has a block, which its first peer gave, and that another peer is connected to.
    fn with(first: &Block) -> (Self, PublicKey) {
        let (mut node, [one, other]) = (Node::new(), [10, 11].map(|number| member(number).public_key()));
        node.tell(Event::Connected { peer: one });
        node.is_given_certified(one, first, 1);
        assert_eq!(node.ordered, Height(1));
        node.asked.clear();
        node.tell(Event::Connected { peer: other });
        (node, other)
    }
}

#[test]
fn a_certified_block_on_another_parent_stops_the_chain() {
    let [here, there] = [10, 20].map(|later| block(&genesis("test").header(), later));
    let (mut node, other) = Node::with(&here);
    let next = block(&there.header, 10);
    node.is_given_certified(other, &next, 5);
    let proof = Arc::new(certified(&next.header, 5));
    let forked = Stop::Forked { height: Height(1), here: here.digest(), there: there.digest(), proof };
    assert_eq!(node.stopped, Some(forked.clone()));
    assert!(node.core.is_stopped());
    let said = forked.to_string();
    for part in ["block 1 ", &here.digest().to_string(), &there.digest().to_string(), "of block 2", "forked"] {
        assert!(said.contains(part), "{said}: {part}");
    }
}

#[test]
fn a_final_block_at_the_same_height_stops_the_chain_and_convicts_who_signed_both() {
    let [here, there] = [10, 20].map(|later| block(&genesis("test").header(), later));
    for (view, guilty) in [(1, 3), (2, 0)] {
        let (mut node, other) = Node::with(&here);
        // The same block, whoever certified it, contradicts nothing.
        node.hears(other, &SyncMessage::Status(certified(&here.header, view)));
        assert_eq!(node.stopped, None);
        let proof = certified(&there.header, view);
        node.hears(other, &SyncMessage::Status(proof.clone()));
        let (at, proof) = (Height(1), Arc::new(proof));
        let forked = Stop::Forked { height: at, here: here.digest(), there: there.digest(), proof };
        assert_eq!(node.stopped, Some(forked));
        // The certificates of two views don't say who lied.
        assert_eq!(node.evidence.len(), guilty);
        for evidence in &node.evidence {
            evidence.verify().unwrap();
            assert!((0..3).any(|number| member(number).public_key() == evidence.validator));
        }
    }
}

#[test]
fn a_rival_that_isnt_certified_gets_its_sender_left_out() {
    let [here, there] = [10, 20].map(|later| block(&genesis("test").header(), later));
    let (mut node, liar) = Node::with(&here);
    let Checkpoint { certificate, .. } = certified(&here.header, 1);
    node.hears(liar, &SyncMessage::Status(Checkpoint { header: there.header, certificate }));
    let next = block(&here.header, 10);
    node.hears(liar, &SyncMessage::Status(certified(&next.header, 2)));
    assert!(node.stopped.is_none() && node.asked.is_empty());
}

#[test]
fn a_certified_block_that_breaks_the_rules_stops_the_chain() {
    let here = block(&genesis("test").header(), 10);
    let (mut node, other) = Node::with(&here);
    let mut next = block(&here.header, 10);
    next.header.timestamp = Timestamp(1);
    node.is_given_certified(other, &next, 2);
    let Some(Stop::Apply { height: Height(2), reason }) = node.stopped else { panic!("{:?}", node.stopped) };
    assert!(reason.contains("timestamp"), "{reason}");
}

#[test]
fn what_isnt_certified_for_this_chain_gets_its_sender_left_out() {
    let here = block(&genesis("test").header(), 10);
    let [next, rival] = [&here.header, &block(&genesis("test").header(), 20).header].map(|parent| block(parent, 10));
    let elsewhere = block(&block(&genesis("other").header(), 10).header, 10);
    let tip = certified(&next.header, 2);
    let mut forged: BftCertificate = codec::decode(&certified(&rival.header, 2).certificate).unwrap();
    forged.view = View(3);
    let lies =
        [(&rival, Bytes::from(codec::encode(&forged))), (&elsewhere, certified(&elsewhere.header, 2).certificate)];
    for (block, certificate) in lies {
        let (mut node, liar) = Node::with(&here);
        node.is_given(liar, tip.clone(), block, certificate);
        assert_eq!((node.ordered, node.stopped.clone()), (Height(1), None));
        // It isn't heard any more; whoever gives the right block is.
        let (asked, honest) = (node.asked.len(), member(12).public_key());
        node.hears(liar, &SyncMessage::Status(certified(&self::block(&next.header, 10).header, 3)));
        assert_eq!(node.asked.len(), asked);
        node.tell(Event::Connected { peer: honest });
        node.is_given_certified(honest, &next, 2);
        assert_eq!((node.ordered, node.stopped), (Height(2), None));
    }
}

#[test]
fn the_announcement_of_another_chain_with_the_same_validators_isnt_believed() {
    let here = block(&genesis("test").header(), 10);
    let (mut node, liar) = Node::with(&here);
    let mut far = block(&genesis("other").header(), 10).header;
    far.height = Height(1_000);
    node.hears(liar, &SyncMessage::Status(certified(&far, 2)));
    assert!(node.asked.is_empty());
    let next = block(&here.header, 10);
    node.hears(liar, &SyncMessage::Status(certified(&next.header, 2)));
    assert!(node.asked.is_empty(), "it is left out");
}
