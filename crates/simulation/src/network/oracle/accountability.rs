//! Who is guilty when the chain has forked: what honest nodes have received, put together, has to prove it.

use super::{ACCOUNTABLE, Oracle, slot};
use crate::keys;
use crate::report::{Violation, ensure};
use ledger_core::{BftVote, Evidence, View};
use ledger_crypto::{PublicKey, Signature};
use std::collections::BTreeMap;

/// The first vote of a validator in a slot of a view, and one that contradicts it.
type Votes = Vec<(BftVote, Signature)>;

/// The votes that reached honest nodes.
#[derive(Default)]
pub(super) struct Pool {
    votes: BTreeMap<(PublicKey, View, u8), Votes>,
}

impl Pool {
    pub(super) fn add(&mut self, key: PublicKey, view: View, vote: BftVote, signature: Signature) {
        let votes = self.votes.entry((key, view, slot(&vote))).or_default();
        if votes.len() < 2 && votes.iter().all(|(known, _)| *known != vote) {
            votes.push((vote, signature));
        }
    }
}

impl Oracle {
    /// A validator's own vote reached an honest node.
    pub(in super::super) fn vote_arrived_from(
        &mut self,
        key: &PublicKey,
        view: View,
        vote: BftVote,
        signed: Signature,
    ) {
        let check = vote.check(self.tip.chain, self.tip.epoch, view, *key, signed);
        if self.validators.place(key).is_some()
            && keys::verifies(&check, self.mocked)
            && let Some(pool) = &mut self.pool
        {
            pool.add(*key, view, vote, signed);
        }
    }

    /// A vote reached an honest node within a certificate.
    pub(in super::super) fn vote_arrived(&mut self, place: u16, view: View, vote: BftVote, signed: Signature) {
        if let Some(key) = self.validators.get(place).map(|validator| validator.key) {
            self.vote_arrived_from(&key, view, vote, signed);
        }
    }

    /// The chain has forked. Members put together what their nodes have received: it has to prove more validators guilty
    /// than the chain tolerates.
    pub(in super::super) fn audit(&mut self) -> Result<u64, Violation> {
        let Some(pool) = self.pool.take() else { return Ok(0) };
        for ((validator, view, _), votes) in &pool.votes {
            let [first, second] = votes.as_slice() else { continue };
            let (chain, epoch) = (self.tip.chain, self.tip.epoch);
            let evidence =
                Evidence { chain, epoch, view: *view, validator: *validator, first: *first, second: *second };
            self.evidence(0, &evidence)?;
        }
        let (guilty, tolerated) = (self.accused(), self.validators.faulty());
        ensure(guilty > tolerated, ACCOUNTABLE, || {
            format!("{guilty} are proven guilty, {tolerated} are tolerated; {}", self.fork.clone().unwrap_or_default())
        })?;
        Ok(guilty)
    }
}
