//! Telling two halves of the network two things, consistently.

use super::super::wire;
use crate::keys::Keys;
use crate::random::Random;
use ledger_consensus::bft::wire::{self as consensus, Message};
use ledger_core::codec;
use ledger_core::{BftVote, Block, ChainId, Epoch, Header, Lane, View};
use ledger_crypto::{Digest, PublicKey, Signature, Signer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Forges what goes to the second half of the network.
pub(super) struct Forger {
    chain: ChainId,
    keys: BTreeMap<PublicKey, Keys>,
    halves: Random,
    /// For each header that a liar has proposed: its forged twin's digest, and the view.
    twins: BTreeMap<Digest, (Digest, View)>,
}

/// Another block on the same parent, as valid as the first: a millisecond later.
pub(super) fn twin_of(header: &Header) -> Header {
    Header { timestamp: header.timestamp.plus(1), ..header.clone() }
}

impl Forger {
    pub(super) fn new(chain: ChainId, keys: BTreeMap<PublicKey, Keys>, halves: Random) -> Self {
        Forger { chain, keys, halves, twins: BTreeMap::new() }
    }

    /// Whether a machine is in the second half in this view.
    pub(super) fn half(&self, view: u64, machine: usize) -> bool {
        self.halves.fork("half", view.wrapping_mul(1_000).wrapping_add(machine as u64)).draw() % 2 == 1
    }

    pub(super) fn sign(&self, key: &PublicKey, epoch: Epoch, view: View, vote: BftVote) -> Option<Signature> {
        self.keys.get(key)?.sign(vote.domain(), &vote.message(self.chain, epoch, view)).ok()
    }

    /// What machine `to` gets instead, if it is to get something else.
    pub(super) fn forge(&mut self, from: &PublicKey, to: usize, lane: Lane, bytes: &[u8]) -> Option<Arc<[u8]>> {
        if lane == Lane::Payloads {
            let block: Block = codec::decode(bytes).ok()?;
            let twin = Block { header: twin_of(&block.header), transactions: block.transactions };
            // Only what a liar has proposed has a twin.
            let (_, view) = self.twins.get(&block.header.digest())?;
            return self.half(view.0, to).then(|| codec::encode(&twin).into());
        }
        let envelope = wire::read(lane, bytes)?;
        let epoch = envelope.epoch;
        let forged = match envelope.message {
            Message::Proposal(mut proposal) => {
                let twin = twin_of(&proposal.header);
                self.twins.insert(proposal.header.digest(), (twin.digest(), proposal.view));
                if !self.half(proposal.view.0, to) {
                    return None;
                }
                proposal.signature = self.sign(from, epoch, proposal.view, BftVote::Notarize(twin.digest()))?;
                proposal.header = twin;
                Message::Proposal(proposal)
            }
            Message::Vote(mut vote) => {
                let known = |digest: &Digest| self.twins.get(digest).map(|(twin, _)| *twin);
                let (other, second) = match &vote.vote {
                    BftVote::Notarize(digest) => (BftVote::Notarize(known(digest)?), self.half(vote.view.0, to)),
                    BftVote::Finalize(digest) => match known(digest) {
                        Some(twin) => (BftVote::Finalize(twin), self.half(vote.view.0, to)),
                        None => (BftVote::Nullify, self.half(vote.view.0 + 7, to)),
                    },
                    BftVote::Nullify => return None,
                };
                if !second {
                    return None;
                }
                vote.signature = self.sign(from, epoch, vote.view, other)?;
                vote.vote = other;
                Message::Vote(vote)
            }
            _ => return None,
        };
        Some(consensus::encode(epoch, forged))
    }
}
