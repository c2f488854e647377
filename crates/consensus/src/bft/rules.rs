//! The rules of a view: propose, notarize, nullify, and how a view ends.

use super::blocks::{Path, Verdict};
use super::engine::{Asked, Engine};
use super::round::{DECIDE, NOTARIZE, Proposed};
use super::wire::{self, Message, Proposal, Quorum};
use crate::seam::{Halt, Output, RecordKind, RequestId};
use ledger_core::finality::MAX_DESCENDANTS;
use ledger_core::{BftVote, Header, Lane, Signed, View};
use ledger_crypto::Digest;
use std::sync::Arc;

/// Whether a block's ancestors are all here.
enum Ancestry {
    /// They are, and the driver has been given each.
    Given,
    /// Some are missing, and asked for.
    Missing,
    /// The block doesn't follow what is final.
    Apart,
}

impl Engine {
    /// What was notarized in a view, where that matters still.
    pub(super) fn notarized_in(&self, view: View) -> Option<Digest> {
        if view == self.root.view {
            return Some(self.root.digest);
        }
        self.rounds.get(&view)?.notarization.as_ref().map(|(block, _)| *block)
    }

    fn is_nullified(&self, view: View) -> bool {
        self.rounds.get(&view).is_some_and(|round| round.nullification.is_some())
    }

    /// What a proposal of `view` builds on: the block of the last notarized view, if all views after it are nullified.
    pub(super) fn head(&self, view: View) -> Option<(View, Digest)> {
        let mut at = View(view.0.checked_sub(1)?);
        loop {
            if at < self.root.view {
                return None;
            }
            if let Some(block) = self.notarized_in(at) {
                return Some((at, block));
            }
            if !self.is_nullified(at) {
                return None;
            }
            at = View(at.0.checked_sub(1)?);
        }
    }

    /// The header that a digest stands for.
    pub(super) fn header(&self, block: &Digest) -> Option<&Header> {
        if *block == self.tip_digest {
            return Some(&self.tip);
        }
        if *block == self.root.digest {
            return Some(&self.root.header);
        }
        self.blocks.get(block).map(|candidate| &candidate.header)
    }

    /// Gives the driver a block and all before it that isn't final, each once.
    fn give(&mut self, block: &Digest, certified: bool) -> Ancestry {
        let hint = self.leaders.of(self.view);
        let path = match self.blocks.path(&self.tip, &self.tip_digest, block) {
            Path::Known(path) => path,
            Path::Missing(missing) => {
                self.want(missing, hint, certified || missing != *block);
                return Ancestry::Missing;
            }
            Path::Apart => return Ancestry::Apart,
        };
        let mut parent = self.tip.clone();
        for digest in path {
            let request = RequestId(self.last_request + 1);
            let Some(candidate) = self.blocks.get_mut(&digest) else { return Ancestry::Missing };
            let Some(payload) = candidate.payload.clone() else {
                self.want(digest, hint, certified || digest != *block);
                return Ancestry::Missing;
            };
            let header = candidate.header.clone();
            if candidate.verdict == Verdict::Unasked {
                candidate.verdict = Verdict::Open;
                self.last_request = request.0;
                self.verifies.insert(request, digest);
                self.out.push(Output::Verify { request, parent, header: header.clone(), payload });
            }
            parent = header;
        }
        Ancestry::Given
    }

    /// The leader's rule (Simplex, step 1: "the leader proposes a block that extends a notarized chain").
    pub(super) fn propose(&mut self) {
        let view = self.view;
        if self.asked.as_ref().is_some_and(|asked| asked.parent_view < self.root.view) {
            self.withdraw();
        }
        let spent = |slot| self.rounds.get(&view).is_some_and(|round| round.spent(slot, self.me));
        let waits = self.asked.is_some() || self.stalled == Some(view);
        if self.leaders.of(view) != self.me || waits || spent(NOTARIZE) || spent(DECIDE) {
            return;
        }
        let Some((parent_view, block)) = self.head(view) else { return };
        if !matches!(self.give(&block, true), Ancestry::Given) {
            return;
        }
        let Some(parent) = self.header(&block).cloned() else { return };
        let unfinalized = parent.height.0.saturating_sub(self.root.header.height.0);
        let full = self.blocks.pending_bytes() > self.config.max_pending_bytes / 2;
        if unfinalized > 0 && (unfinalized >= self.config.max_unfinalized || full) {
            self.send_proposal(parent_view, &parent, block);
            return;
        }
        let request = self.next_request();
        self.out.push(Output::Propose { request, parent: parent.clone() });
        self.asked = Some(Asked { request, parent_view, parent });
    }

    /// Takes the open request back.
    pub(super) fn withdraw(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.out.push(Output::Withdraw { request: asked.request });
        }
    }

    /// Proposes the notarized block that there is once more: it needs no answer of the driver's, and brings it to
    /// finality.
    pub(super) fn repeat(&mut self) {
        let Some(asked) = &self.asked else { return };
        let (parent_view, parent) = (asked.parent_view, asked.parent.clone());
        let block = parent.digest();
        if block != self.root.digest {
            self.withdraw();
            self.send_proposal(parent_view, &parent, block);
        }
    }

    /// The driver's answer.
    pub(super) fn proposed(&mut self, request: RequestId, header: Header, payload: Arc<[u8]>) {
        // An answer to a request that was withdrawn changes nothing.
        let Some(asked) = self.asked.take_if(|asked| asked.request == request) else { return };
        let expected = asked.parent.digest();
        let follows = header.check_against(&asked.parent).is_ok() && header.epoch == self.epoch;
        if !follows || !header.seal.is_empty() {
            let (height, found) = (header.height, header.parent);
            self.halt(Halt::WrongProposal { height, found, expected });
            return;
        }
        let block = self.blocks.insert(header.clone(), self.view);
        self.blocks.fill(&block, Arc::clone(&payload));
        if let Some(candidate) = self.blocks.get_mut(&block) {
            candidate.verdict = Verdict::Fine;
        }
        if self.send_proposal(asked.parent_view, &header, block) && self.validators.len() > 1 {
            self.out.push(Output::Broadcast { lane: Lane::Payloads, bytes: payload });
        }
    }

    /// Signs and sends the leader's proposal.
    fn send_proposal(&mut self, parent_view: View, header: &Header, block: Digest) -> bool {
        let view = self.view;
        self.record_payload(&block);
        let Some(signature) = self.sign(view, BftVote::Notarize(block)) else {
            self.stalled = Some(view);
            return false;
        };
        self.round(view).proposal = Some(Proposed { parent_view, block });
        let proposal = Proposal { view, parent_view, header: header.clone(), signature };
        self.broadcast(Message::Proposal(proposal));
        self.count(self.me, view, BftVote::Notarize(block), signature);
        true
    }

    /// Puts a payload into the log, once.
    pub(super) fn record_payload(&mut self, block: &Digest) {
        let Some(candidate) = self.blocks.get_mut(block) else { return };
        if let Some(payload) = candidate.payload.clone()
            && !candidate.recorded
        {
            candidate.recorded = true;
            let height = candidate.header.height;
            self.persist(RecordKind::Payload, height, *block, payload);
        }
    }

    /// The voter's rule (Simplex, step 3: vote for the leader's first proposal if its parent chain is notarized, and
    /// all views between are nullified).
    pub(super) fn vote_on_proposal(&mut self) {
        let view = self.view;
        let Some(round) = self.rounds.get(&view) else { return };
        // Ours: the second slot closes the first, so no notarize follows a nullify.
        if round.spent(NOTARIZE, self.me) || round.spent(DECIDE, self.me) {
            return;
        }
        let Some(Proposed { parent_view, block }) = round.proposal else { return };
        if parent_view < self.root.view || parent_view >= view {
            self.nullify();
            return;
        }
        let leader = self.leaders.of(view);
        let Some(parent) = self.notarized_in(parent_view) else {
            self.ask_missing(leader, self.first_open());
            return;
        };
        let gap = (parent_view.0 + 1..view.0).map(View).find(|between| !self.is_nullified(*between));
        #[cfg(feature = "planted-bugs")]
        let gap = gap.filter(|_| !self.config.breaks(super::PlantedBug::SkipsParentCheck));
        if let Some(gap) = gap {
            self.ask_missing(leader, gap.min(self.first_open()));
            return;
        }
        if block != parent && !self.may_extend(&block, &parent) {
            self.nullify();
            return;
        }
        if block == self.root.digest {
            // A leader that doesn't know yet that the block is final.
            self.cast(view, BftVote::Notarize(block));
            return;
        }
        match self.give(&block, block == parent) {
            Ancestry::Given => {}
            Ancestry::Missing => return,
            Ancestry::Apart => {
                self.nullify();
                return;
            }
        }
        match self.blocks.get(&block).map(|candidate| candidate.verdict) {
            Some(Verdict::Fine) => {
                self.record_payload(&block);
                self.cast(view, BftVote::Notarize(block));
                #[cfg(feature = "planted-bugs")]
                if self.config.breaks(super::PlantedBug::FinalizeWithoutNotarization) {
                    self.cast(view, BftVote::Finalize(block));
                }
            }
            Some(Verdict::Refused) => self.nullify(),
            _ => {}
        }
    }

    /// What header and parent's header decide. A parent whose header isn't here yet forbids nothing: it will be held
    /// against the block again when it is.
    fn may_extend(&self, block: &Digest, parent: &Digest) -> bool {
        let Some(header) = self.header(block) else { return true };
        let near = header.height.0.saturating_sub(self.root.header.height.0) <= MAX_DESCENDANTS as u64;
        let follows = self.header(parent).is_none_or(|parent| header.check_against(parent).is_ok());
        header.parent == *parent && header.epoch == self.epoch && header.seal.is_empty() && near && follows
    }

    /// Signs *nullify* in the current view, unless this validator signed in that slot already.
    pub(super) fn nullify(&mut self) {
        let view = self.view;
        let spent = self.rounds.get(&view).is_some_and(|round| round.spent(DECIDE, self.me));
        if !spent {
            self.cast(view, BftVote::Nullify);
            // What it would be answered with can't be signed any more.
            if self.rounds.get(&view).is_some_and(|round| round.spent(DECIDE, self.me)) {
                self.withdraw();
            }
        }
    }

    /// Reasons to give up a view (Simplex, step 2: the timer), and ours: its leader isn't there; more than liars alone
    /// give it up.
    pub(super) fn nullify_if_due(&mut self) {
        let view = self.view;
        let leader = self.leaders.of(view);
        let round = self.rounds.get(&view);
        let given_up = round.map_or(0, |round| round.weight(&self.validators, &BftVote::Nullify));
        let absent = leader != self.me && self.leaders.inactive(leader) && self.is_active();
        #[cfg(feature = "planted-bugs")]
        if self.timed_out && self.config.breaks(super::PlantedBug::NullifyAfterFinalize) {
            let before = View(view.0.saturating_sub(1));
            let finalized = self.rounds.get(&before).and_then(|round| round.vote(DECIDE, self.me));
            let once = self.rounds.get(&before).is_some_and(|round| !round.accused(self.me));
            if once && before > self.root.view && finalized.is_some_and(|(vote, _)| vote != BftVote::Nullify) {
                self.cast(before, BftVote::Nullify);
            }
        }
        if self.timed_out || absent || given_up > self.validators.faulty() {
            self.nullify();
        }
    }

    /// A block was notarized (Simplex, step 4: finalize unless the view was nullified, send the notarization on, enter
    /// the next view).
    pub(super) fn notarized(&mut self, view: View, block: Digest, votes: Vec<Signed>) {
        if view <= self.root.view || self.round(view).notarization.is_some() {
            return;
        }
        self.changed = true;
        self.round(view).notarization = Some((block, votes.clone()));
        if self.head_view.is_none_or(|(head, _)| head < view) {
            self.head_view = Some((view, block));
        }
        if let Some(candidate) = self.blocks.get_mut(&block) {
            candidate.view = view.max(candidate.view);
            self.head_height = candidate.header.height.max(self.head_height);
        } else {
            self.head_height = self.head_height.next();
        }
        let certificate = Quorum { view, vote: BftVote::Notarize(block), votes: votes.into() };
        self.note(view, NOTARIZE, Message::Quorum(certificate.clone()));
        if view < self.view {
            return;
        }
        let spent = self.rounds.get(&view).is_some_and(|round| round.spent(DECIDE, self.me));
        self.send_on(certificate);
        // Before the next view is entered, or never: a vote there closes this slot.
        #[cfg(feature = "planted-bugs")]
        let spent = spent && !self.config.breaks(super::PlantedBug::LostLock);
        if !spent {
            self.cast(view, BftVote::Finalize(block));
        }
        self.enter(view.0.saturating_add(1));
    }

    /// A view was nullified (Simplex, step 4).
    pub(super) fn nullified(&mut self, view: View, votes: Vec<Signed>) {
        if view <= self.root.view || self.round(view).nullification.is_some() {
            return;
        }
        self.changed = true;
        if !self.leaders.inactive(self.leaders.of(view)) {
            self.failures = self.failures.saturating_add(1);
        }
        self.leaders.nullified(view);
        self.round(view).nullification = Some(votes.clone());
        let certificate = Quorum { view, vote: BftVote::Nullify, votes: votes.into() };
        self.note(view, DECIDE, Message::Quorum(certificate.clone()));
        if view >= self.view {
            self.send_on(certificate);
            self.enter(view.0.saturating_add(1));
        }
    }

    /// Sends a certificate that ended a view to all, if that is this validator's turn.
    fn send_on(&mut self, certificate: Quorum) {
        let count = self.validators.len() as u64;
        let (first, me) = (u64::from(self.leaders.of(certificate.view)), u64::from(self.me));
        // A set of validators is never empty.
        if (me + count).saturating_sub(first) % count < self.config.relays {
            self.broadcast(Message::Quorum(certificate));
        }
    }

    /// Enters a view that was proven to have begun.
    pub(super) fn enter(&mut self, view: u64) {
        if view <= self.view.0 {
            return;
        }
        self.withdraw();
        self.view = View(view);
        self.timed_out = false;
        self.armed = None;
        self.changed = true;
        let leaders = &self.leaders;
        let near = [leaders.of(View(view)), leaders.of(View(view.saturating_add(1)))];
        self.blocks.retain_early(|place| near.contains(&place));
        self.strip_rounds();
    }

    /// Keeps of old views only how they ended.
    fn strip_rounds(&mut self) {
        let excess = self.rounds.len().saturating_sub(self.config.max_views);
        let view = self.view;
        self.rounds.range_mut(..view).take(excess).for_each(|(_, round)| round.strip());
    }

    /// Records how a view ended.
    fn note(&mut self, view: View, slot: u8, message: Message) {
        let height = self.record_height();
        self.noted.insert((view, slot), height);
        let bytes = wire::encode(self.epoch, message);
        self.persist(RecordKind::Note, height, Digest::ZERO, bytes);
    }
}
