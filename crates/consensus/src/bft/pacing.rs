//! Time: when a view is given up, what is sent again, and what is asked for.

use super::blocks::Want;
use super::engine::Engine;
use super::round::{DECIDE, NOTARIZE};
use super::wire::{MAX_WANTED, Message, Proposal, Quorum, Vote};
use crate::seam::TimerId;
use ledger_core::{BftVote, View};
use ledger_crypto::Digest;
use std::collections::BTreeMap;

/// The timer of everything that isn't finished.
const RESEND: TimerId = TimerId(0);

/// The timer of a view: first for its block, then for its end.
fn view_timer(view: View, ending: bool) -> TimerId {
    TimerId(view.0.saturating_mul(2).saturating_add(1 + u64::from(ending)))
}

impl Engine {
    /// Whether the current view is to come to an end: there is something to order, something notarized to finalize, or
    /// the view has begun already.
    pub(super) fn is_active(&self) -> bool {
        let unfinalized = self.head_view.is_some_and(|(_, block)| block != self.root.digest);
        let begun = self.rounds.get(&self.view).is_some_and(|round| {
            round.proposal.is_some() || round.has_notarize() || round.vote(DECIDE, self.me).is_some()
        });
        self.work || unfinalized || begun
    }

    /// Whether there is anything to send again or to ask for.
    fn is_restless(&self) -> bool {
        let behind = self.tip_digest != self.root.digest;
        self.is_active() || behind || self.stalled.is_some() || self.greetings > 0 || !self.blocks.wanted.is_empty()
    }

    /// A timeout, longer by half for each view in a row that timed out, up to the limit.
    fn grown(&self, base: u64) -> u64 {
        let limit = self.config.max_timeout_ms;
        (0..self.failures.min(64)).fold(base, |timeout, _| timeout.saturating_add(timeout / 2).min(limit)).min(limit)
    }

    /// Sets the timers that should run and don't.
    pub(super) fn arm_timers(&mut self) {
        if self.is_active() && self.armed.is_none() && self.validators.len() > 1 {
            self.armed = Some(self.view);
            self.set_timer(view_timer(self.view, false), self.grown(self.config.leader_timeout_ms));
        }
        if !self.resend_armed && self.validators.len() > 1 && (self.is_restless() || self.announced < self.root.view) {
            self.resend_armed = true;
            self.set_timer(RESEND, self.config.resend_ms);
        }
    }

    /// A timer ran out.
    pub(super) fn timer(&mut self, id: TimerId) {
        let view = self.view;
        if id == RESEND {
            self.resend_armed = false;
            self.resend();
        } else if self.armed == Some(view) && id == view_timer(view, false) {
            let begun = self.rounds.get(&view).and_then(|round| round.proposal);
            let here = begun.is_some_and(|proposed| {
                proposed.block == self.root.digest
                    || self.blocks.get(&proposed.block).is_some_and(|candidate| candidate.payload.is_some())
            });
            match (self.is_active(), here) {
                // The view hasn't begun, and there is no reason any more why it should.
                (false, _) => self.armed = None,
                (true, false) => self.timed_out = true,
                (true, true) => {
                    let (leader, view_timeout) = (self.config.leader_timeout_ms, self.config.view_timeout_ms);
                    let rest = self.grown(view_timeout).saturating_sub(self.grown(leader)).max(1);
                    self.set_timer(view_timer(view, true), rest);
                }
            }
        } else if self.armed == Some(view) && id == view_timer(view, true) {
            self.timed_out = true;
        }
    }

    /// Sends again what may have been lost, and asks for what is missing.
    fn resend(&mut self) {
        self.stalled = None;
        // A clock that was set back stands still until it is right again; help must not wait for it.
        self.inbox.helped.clear();
        self.inbox.asked.clear();
        if self.greetings > 0 {
            self.greetings -= 1;
            self.broadcast(Message::Missing { from: self.view });
        }
        self.ask_for_wanted();
        if !self.is_active() {
            // The last word of an idle chain, for whoever missed the end.
            if self.announced < self.root.view && self.tip_digest == self.root.digest && !self.root.votes.is_empty() {
                self.broadcast(self.finalization());
            }
            self.announced = self.root.view;
            return;
        }
        let view = self.view;
        let finalized = |vote: &(BftVote, _)| matches!(vote.0, BftVote::Finalize(_));
        let rounds = self.rounds.range(..view).rev().take(self.config.resend_views);
        let mut messages: Vec<Message> = rounds
            .filter_map(|(at, round)| round.vote(DECIDE, self.me).filter(finalized).map(|vote| (*at, vote)))
            .map(|(view, (vote, signature))| Message::Vote(Vote { view, vote, signature }))
            .collect();
        messages.reverse();
        let entered = view.0.checked_sub(1).and_then(|before| self.entered_by(View(before)));
        messages.extend(entered);
        messages.extend(self.own_votes());
        for message in messages {
            self.broadcast(message);
        }
        // What the driver doesn't add to is finalized as it is.
        self.repeat();
        if self.head(view).is_none() {
            self.resends = self.resends.wrapping_add(1);
            self.ask_missing(self.peer(self.me, self.resends), self.first_open());
        }
    }

    /// The first view since the last final one of which it isn't known how it ended.
    pub(super) fn first_open(&self) -> View {
        let mut expected = View(self.root.view.0.saturating_add(1));
        for (view, round) in self.rounds.range(expected..) {
            if *view != expected || (round.notarization.is_none() && round.nullification.is_none()) {
                break;
            }
            expected = View(expected.0.saturating_add(1));
        }
        expected
    }

    /// The own votes in the current view, the first of them as the proposal that it may have been.
    pub(super) fn own_votes(&self) -> Vec<Message> {
        let view = self.view;
        let Some(round) = self.rounds.get(&view) else { return Vec::new() };
        let mut messages = Vec::new();
        if let Some((vote, signature)) = round.vote(NOTARIZE, self.me) {
            let proposal = round.proposal.filter(|_| self.leaders.of(view) == self.me);
            let header =
                proposal.and_then(|proposed| Some((proposed.parent_view, self.header(&proposed.block)?.clone())));
            messages.push(match header {
                Some((parent_view, header)) => Message::Proposal(Proposal { view, parent_view, header, signature }),
                None => Message::Vote(Vote { view, vote, signature }),
            });
        }
        let decided = round.vote(DECIDE, self.me);
        messages.extend(decided.map(|(vote, signature)| Message::Vote(Vote { view, vote, signature })));
        messages
    }

    /// What shows that a view is over.
    fn entered_by(&self, view: View) -> Option<Message> {
        if view <= self.root.view {
            return (view == self.root.view && !self.root.votes.is_empty()).then(|| self.finalization());
        }
        self.ending(view, NOTARIZE).or_else(|| self.ending(view, DECIDE))
    }

    /// A view's notarization (by the first slot) or nullification (by the second).
    pub(super) fn ending(&self, view: View, slot: u8) -> Option<Message> {
        let round = self.rounds.get(&view)?;
        let (vote, votes) = match slot {
            NOTARIZE => round.notarization.as_ref().map(|(block, votes)| (BftVote::Notarize(*block), votes))?,
            _ => (BftVote::Nullify, round.nullification.as_ref()?),
        };
        let votes = votes.clone().into();
        (!round.is_stripped()).then_some(Message::Quorum(Quorum { view, vote, votes }))
    }

    /// A block is missing. One that a quorum stands behind is asked for at once, one that was only proposed when it has had
    /// time to come by itself.
    pub(super) fn want(&mut self, block: Digest, from: u16, certified: bool) {
        let view = self.view;
        match self.blocks.wanted.get_mut(&block) {
            Some(want) => want.certified |= certified,
            None => {
                let tries = u32::from(certified);
                self.blocks.wanted.insert(block, Want { tries, view, from, certified });
                if certified && self.blocks.get(&block).is_none() {
                    self.ask_blocks(self.peer(from, 0), vec![block]);
                }
            }
        }
    }

    /// Asks for missing blocks, each time others.
    fn ask_for_wanted(&mut self) {
        let mut by_peer: BTreeMap<u16, Vec<Digest>> = BTreeMap::new();
        let wanted: Vec<(Digest, Want)> = self.blocks.wanted.iter().map(|(block, want)| (*block, *want)).collect();
        for (block, want) in wanted.into_iter().take(4 * MAX_WANTED) {
            for more in 0..2 {
                let blocks = by_peer.entry(self.peer(want.from, want.tries.saturating_mul(2) + more)).or_default();
                if blocks.len() < MAX_WANTED {
                    blocks.push(block);
                }
            }
        }
        self.blocks.wanted.values_mut().for_each(|want| want.tries = want.tries.saturating_add(1));
        for (place, blocks) in by_peer {
            self.ask_blocks(place, blocks);
        }
    }

    /// The peer so many places after `from`, without this one.
    fn peer(&self, from: u16, after: u32) -> u16 {
        let count = u64::try_from(self.validators.len()).unwrap_or(1).max(1);
        let at = (u64::from(from) + u64::from(after)) % count;
        let at = if at == u64::from(self.me) { (at + 1) % count } else { at };
        u16::try_from(at).unwrap_or(0)
    }
}
