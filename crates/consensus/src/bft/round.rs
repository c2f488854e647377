//! What is known of one view.

use ledger_core::{BftVote, Signed, ValidatorSet, View};
use ledger_crypto::{Digest, Signature};
use std::collections::{BTreeMap, BTreeSet};

/// *Notarize* has a validator's first slot in a view, *finalize or nullify* the second.
pub(super) const NOTARIZE: u8 = 0;
/// See [`NOTARIZE`].
pub(super) const DECIDE: u8 = 1;

/// The slot of a vote.
pub(super) fn slot(vote: &BftVote) -> u8 {
    match vote {
        BftVote::Notarize(_) => NOTARIZE,
        BftVote::Nullify | BftVote::Finalize(_) => DECIDE,
    }
}

/// A proposal whose signature was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) parent_view: View,
    pub(super) block: Digest,
}

/// What is known of one view. Every vote in it has a checked signature.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The leader's first proposal.
    pub(super) proposal: Option<Proposed>,
    /// Each validator's first vote in a slot.
    votes: BTreeMap<(u8, u16), (BftVote, Signature)>,
    pub(super) notarization: Option<(Digest, Vec<Signed>)>,
    pub(super) nullification: Option<Vec<Signed>>,
    /// Who was reported for this view.
    accused: BTreeSet<u16>,
    /// Slots in which the signer refused: something was signed there that this engine doesn't know.
    silent: BTreeSet<u8>,
}

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It counts.
    New,
    /// It was known, or comes from someone who was reported.
    Known,
    /// Its signer signed another one in this slot.
    Conflict(BftVote, Signature),
}

impl Round {
    /// A validator's vote in a slot.
    pub(super) fn vote(&self, slot: u8, place: u16) -> Option<(BftVote, Signature)> {
        self.votes.get(&(slot, place)).copied()
    }

    /// Whether a validator voted in a slot, or can't.
    pub(super) fn spent(&self, slot: u8, place: u16) -> bool {
        self.votes.contains_key(&(slot, place)) || self.silent.contains(&slot)
    }

    /// This validator says nothing in this slot.
    pub(super) fn silence(&mut self, slot: u8) {
        self.silent.insert(slot);
    }

    /// Whether the vote's signature needn't be checked: the vote is known, or its signer was reported.
    pub(super) fn knows(&self, place: u16, vote: &BftVote, signature: &Signature) -> bool {
        self.votes.get(&(slot(vote), place)) == Some(&(*vote, *signature))
    }

    /// Whether a validator was reported for this view.
    pub(super) fn accused(&self, place: u16) -> bool {
        self.accused.contains(&place)
    }

    /// Counts a vote whose signature was checked.
    pub(super) fn add(&mut self, place: u16, vote: BftVote, signature: Signature) -> Added {
        match self.votes.get(&(slot(&vote), place)) {
            None => {
                self.votes.insert((slot(&vote), place), (vote, signature));
                Added::New
            }
            Some((known, first)) if known.conflicts(&vote) && !self.accused.contains(&place) => {
                let conflict = Added::Conflict(*known, *first);
                self.accused.insert(place);
                conflict
            }
            Some(_) => Added::Known,
        }
    }

    /// The votes that say this, by rising places.
    pub(super) fn signed(&self, vote: &BftVote) -> Vec<Signed> {
        let slot = slot(vote);
        let found = self.votes.range((slot, 0)..=(slot, u16::MAX)).filter(|(_, (found, _))| found == vote);
        found.map(|((_, place), (_, signature))| Signed { validator: *place, signature: *signature }).collect()
    }

    /// The weight of the votes that say this; each validator counts once.
    pub(super) fn weight(&self, validators: &ValidatorSet, vote: &BftVote) -> u64 {
        let slot = slot(vote);
        let found = self.votes.range((slot, 0)..=(slot, u16::MAX)).filter(|(_, (found, _))| found == vote);
        found.fold(0, |sum, ((_, place), _)| sum.saturating_add(validators.weight(*place)))
    }

    /// Whether anybody voted *notarize*.
    pub(super) fn has_notarize(&self) -> bool {
        self.votes.range((NOTARIZE, 0)..=(NOTARIZE, u16::MAX)).next().is_some()
    }

    /// Whether the votes for its end were forgotten.
    pub(super) fn is_stripped(&self) -> bool {
        let notarized = self.notarization.as_ref().is_some_and(|(_, votes)| votes.is_empty());
        notarized || self.nullification.as_ref().is_some_and(Vec::is_empty)
    }

    /// Forgets everything but how the view ended.
    pub(super) fn strip(&mut self) {
        self.proposal = None;
        self.votes.clear();
        self.accused.clear();
        if let Some((_, votes)) = &mut self.notarization {
            *votes = Vec::new();
        }
        if let Some(votes) = &mut self.nullification {
            *votes = Vec::new();
        }
    }
}
