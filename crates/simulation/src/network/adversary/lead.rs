//! What a liar does when it leads: blocks on parents of its choice, and certificates of its own making.

use super::super::wire;
use super::equivocate::{Forger, twin_of};
use ledger_consensus::bft::wire::{self as consensus, Finalization, Message, Quorum};
use ledger_core::codec::{self, List};
use ledger_core::{BftVote, Block, Header, Lane, Signed, ValidatorSet, View};
use ledger_crypto::PublicKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many views' proposals are remembered.
const KEPT: usize = 16;

/// A proposal on an older parent.
pub(super) struct Rewound {
    pub(super) proposal: Arc<[u8]>,
    pub(super) payload: Arc<[u8]>,
}

/// Remembers what was proposed.
pub(super) struct Leading {
    validators: ValidatorSet,
    /// The headers that were proposed, by view, with the view of each one's parent.
    proposed: BTreeMap<View, (Header, View)>,
}

impl Leading {
    pub(super) fn new(validators: ValidatorSet) -> Self {
        Leading { validators, proposed: BTreeMap::new() }
    }

    /// Beside a proposal: a notarization and a finalization of its twin, made of the liar's own vote, counted as often as
    /// it takes.
    pub(super) fn certify(
        &self,
        forger: &Forger,
        from: &PublicKey,
        lane: Lane,
        bytes: &[u8],
    ) -> Option<[Arc<[u8]>; 2]> {
        let envelope = wire::read(lane, bytes)?;
        let Message::Proposal(proposal) = envelope.message else { return None };
        let (header, view) = (twin_of(&proposal.header), proposal.view);
        let validator = self.validators.place(from)?;
        let often = usize::try_from(self.validators.quorum()).ok()?;
        let votes = |vote: BftVote| {
            let signature = forger.sign(from, envelope.epoch, view, vote)?;
            Some(List::from(vec![Signed { validator, signature }; often]))
        };
        let notarize = BftVote::Notarize(header.digest());
        let quorum = Quorum { view, vote: notarize, votes: votes(notarize)? };
        let votes = votes(BftVote::Finalize(header.digest()))?;
        let finalization = Finalization { header, view, votes };
        Some(
            [Message::Quorum(quorum), Message::Finalization(finalization)]
                .map(|message| consensus::encode(envelope.epoch, message)),
        )
    }

    /// A liar hears or makes a proposal.
    pub(super) fn observe(&mut self, lane: Lane, bytes: &[u8]) {
        if let Some(Message::Proposal(proposal)) = wire::read(lane, bytes).map(|envelope| envelope.message) {
            self.proposed.entry(proposal.view).or_insert((proposal.header, proposal.parent_view));
            if self.proposed.len() > KEPT {
                self.proposed.pop_first();
            }
        }
    }

    /// Instead of a proposal: an empty block beside its parent, as if that one had never been; and its payload.
    pub(super) fn rewind(&self, forger: &Forger, from: &PublicKey, lane: Lane, bytes: &[u8]) -> Option<Rewound> {
        let envelope = wire::read(lane, bytes)?;
        let Message::Proposal(mut proposal) = envelope.message else { return None };
        let parent = self.proposed.range(..proposal.view).next_back().map(|(_, parent)| parent.clone());
        let (older, parent_view) = parent?;
        let transactions = Vec::new();
        let header = Header {
            timestamp: proposal.header.timestamp,
            transactions_root: Block::transactions_root(&transactions),
            ..older
        };
        let payload = codec::encode(&Block { header: header.clone(), transactions: transactions.into() });
        let vote = BftVote::Notarize(header.digest());
        proposal.signature = forger.sign(from, envelope.epoch, proposal.view, vote)?;
        proposal.header = header;
        proposal.parent_view = parent_view;
        Some(Rewound {
            proposal: consensus::encode(envelope.epoch, Message::Proposal(proposal)),
            payload: payload.into(),
        })
    }
}
