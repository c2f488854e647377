//! Messages on their way in: cheap checks first, then signatures, then the rules.

use super::blocks::{header_of, is_whole};
use super::engine::{Decided, Engine};
use super::round::Proposed;
use super::wire::{self, Envelope, Finalization, MAX_WANTED, Message, Proposal, Quorum, Vote};
use crate::seam::{Output, RequestId};
use ledger_core::codec::{self, List};
use ledger_core::{BftVote, Lane, SignatureCheck, Signed, Timestamp, View};
use ledger_crypto::{Digest, PublicKey, Signature};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What waits for the check of its signatures, and what each peer was given lately.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pending: BTreeMap<RequestId, (u16, Message)>,
    /// By place: how many of its messages wait.
    waiting: BTreeMap<u16, usize>,
    /// By place: when it was helped last.
    pub(super) helped: BTreeMap<u16, Timestamp>,
    /// By place: when it was asked for certificates last.
    pub(super) asked: BTreeMap<u16, Timestamp>,
    /// By place: blocks that it was sent last, and when.
    sent: BTreeMap<u16, BTreeMap<Digest, Timestamp>>,
}

impl Engine {
    /// A peer's message.
    pub(super) fn message(&mut self, from: &PublicKey, lane: Lane, bytes: &Arc<[u8]>) {
        let Some(place) = self.validators.place(from).filter(|place| *place != self.me) else { return };
        match lane {
            Lane::Payloads => self.payload(place, bytes),
            Lane::Votes => {
                let Ok(Envelope { epoch, message }) = codec::decode::<Envelope>(bytes) else { return };
                if epoch == self.epoch && self.started {
                    self.sort(place, message);
                }
            }
            Lane::Gossip | Lane::Sync => {}
        }
    }

    fn sort(&mut self, place: u16, message: Message) {
        match &message {
            Message::Proposal(proposal) => {
                if self.leaders.of(proposal.view) != place || !self.is_near(place, proposal.view) {
                    return;
                }
                let header = &proposal.header;
                let sane = header.chain == self.chain && header.epoch == self.epoch && header.seal.is_empty();
                let known = self.rounds.get(&proposal.view).is_some_and(|round| round.proposal.is_some());
                let vote = BftVote::Notarize(header.digest());
                if known && self.knows(place, proposal.view, &vote, &proposal.signature) {
                    self.help_repeating(place, proposal.view);
                } else if sane {
                    let checks = self.checks_of(proposal.view, vote, &[signed(place, proposal.signature)]);
                    self.check(place, message, checks);
                }
            }
            Message::Vote(Vote { view, vote, signature }) => {
                if !self.is_near(place, *view) {
                    return;
                }
                if self.knows(place, *view, vote, signature) {
                    self.help_repeating(place, *view);
                    return;
                }
                let checks = self.checks_of(*view, *vote, &[signed(place, *signature)]);
                self.check(place, message, checks);
            }
            Message::Quorum(Quorum { view, vote, votes }) => {
                let round = self.rounds.get(view);
                let known = match vote {
                    BftVote::Notarize(_) => round.is_some_and(|round| round.notarization.is_some()),
                    BftVote::Nullify => round.is_some_and(|round| round.nullification.is_some()),
                    BftVote::Finalize(_) => true,
                };
                if *view <= self.root.view || known || !self.is_quorum(votes) {
                    self.help_behind(place, *view);
                    return;
                }
                let checks = self.checks_of(*view, *vote, votes);
                self.check(place, message, checks);
            }
            Message::Finalization(Finalization { header, view, votes }) => {
                let sane = header.chain == self.chain && header.epoch == self.epoch && header.seal.is_empty();
                if *view <= self.root.view || !sane || !self.is_quorum(votes) {
                    self.help_behind(place, *view);
                    return;
                }
                let checks = self.checks_of(*view, BftVote::Finalize(header.digest()), votes);
                self.check(place, message, checks);
            }
            Message::Wanted { blocks } => self.send_payloads(place, blocks),
            Message::Missing { from } => {
                self.help(place, *from);
                if *from > self.view {
                    self.ask_missing(place, self.view);
                }
            }
        }
    }

    /// Whether votes of this view are of use. Who is behind is helped; who is far ahead is asked.
    fn is_near(&mut self, place: u16, view: View) -> bool {
        if view.0 > self.view.0.saturating_add(1) {
            self.ask_missing(place, self.view);
        }
        if view <= self.root.view {
            self.help_repeating(place, view);
            return false;
        }
        self.help_behind(place, view);
        view.0 <= self.view.0.saturating_add(self.config.lookahead_views)
    }

    /// A vote that is known already comes from someone who waits for something.
    fn help_repeating(&mut self, place: u16, view: View) {
        if view < self.view {
            self.help(place, view);
        }
    }

    /// Someone is more than one view behind. A view's last votes often come when it is over, so one view says nothing.
    fn help_behind(&mut self, place: u16, view: View) {
        if view.0.saturating_add(1) < self.view.0 {
            self.help(place, view);
        }
    }

    fn knows(&self, place: u16, view: View, vote: &BftVote, signature: &Signature) -> bool {
        self.rounds.get(&view).is_some_and(|round| round.knows(place, vote, signature))
    }

    /// Distinct validators, by rising places, of a quorum's weight.
    fn is_quorum(&self, votes: &[Signed]) -> bool {
        let rising = votes.iter().zip(votes.iter().skip(1)).all(|(one, next)| one.validator < next.validator);
        #[cfg(feature = "planted-bugs")]
        let rising = rising || self.config.breaks(super::PlantedBug::CountsSignersTwice);
        let weight = votes.iter().fold(0u64, |sum, vote| sum.saturating_add(self.validators.weight(vote.validator)));
        let known = votes.iter().all(|vote| self.validators.get(vote.validator).is_some());
        rising && known && weight >= self.quorum()
    }

    /// The signatures that aren't known to be valid.
    fn checks_of(&self, view: View, vote: BftVote, votes: &[Signed]) -> Vec<SignatureCheck> {
        let unknown = votes.iter().filter(|signed| !self.knows(signed.validator, view, &vote, &signed.signature));
        let check = |signed: &Signed| {
            let key = self.key(signed.validator)?;
            Some(vote.check(self.chain, self.epoch, view, key, signed.signature))
        };
        unknown.filter_map(check).collect()
    }

    /// Asks for the check of a message's signatures, unless its sender has too many waiting or it waits already.
    fn check(&mut self, place: u16, message: Message, checks: Vec<SignatureCheck>) {
        if checks.is_empty() {
            self.accept(place, message);
            return;
        }
        let waiting = self.inbox.waiting.get(&place).copied().unwrap_or(0);
        // A vote's bytes mean something else from another sender; a certificate's don't.
        let own = matches!(message, Message::Vote(_) | Message::Proposal(_));
        let same = |(from, other): &(u16, Message)| *other == message && (!own || *from == place);
        if waiting >= self.config.max_checks_per_peer || self.inbox.pending.values().any(same) {
            return;
        }
        let request = self.next_request();
        self.inbox.waiting.insert(place, waiting + 1);
        self.inbox.pending.insert(request, (place, message));
        self.out.push(Output::Check { request, checks });
    }

    /// The driver has checked a message's signatures.
    pub(super) fn checked(&mut self, request: RequestId, valid: &[bool]) {
        let Some((place, message)) = self.inbox.pending.remove(&request) else { return };
        if let Some(waiting) = self.inbox.waiting.get_mut(&place) {
            *waiting = waiting.saturating_sub(1);
        }
        let all = !valid.is_empty() && valid.iter().all(|valid| *valid);
        #[cfg(feature = "planted-bugs")]
        let all = all || self.config.breaks(super::PlantedBug::AcceptsUncheckedSignatures);
        if all {
            self.accept(place, message);
        }
    }

    /// A message all of whose signatures are valid.
    fn accept(&mut self, place: u16, message: Message) {
        match message {
            Message::Vote(Vote { view, vote, signature }) => self.count(place, view, vote, signature),
            Message::Proposal(Proposal { view, parent_view, header, signature }) => {
                if view <= self.root.view {
                    return;
                }
                let vote = BftVote::Notarize(header.digest());
                // Simplex, step 3: the first proposal of a view counts. A second one is only a second vote.
                if self.round(view).proposal.is_none() && !self.round(view).accused(place) {
                    let block = if header.digest() == self.root.digest {
                        self.root.digest
                    } else {
                        self.blocks.insert(header, view)
                    };
                    self.round(view).proposal = Some(Proposed { parent_view, block });
                    self.changed = true;
                }
                self.count(place, view, vote, signature);
            }
            Message::Quorum(Quorum { view, vote, votes }) => {
                self.take_votes(view, vote, &votes);
                match vote {
                    BftVote::Notarize(block) => self.notarized(view, block, votes.into_vec()),
                    BftVote::Nullify => self.nullified(view, votes.into_vec()),
                    BftVote::Finalize(_) => {}
                }
            }
            Message::Finalization(Finalization { header, view, votes }) => {
                let digest = header.digest();
                self.take_votes(view, BftVote::Finalize(digest), &votes);
                self.decide(Decided { header, digest, view, votes });
            }
            Message::Wanted { .. } | Message::Missing { .. } => {}
        }
    }

    /// Takes down a certificate's votes, each of which may convict its signer.
    fn take_votes(&mut self, view: View, vote: BftVote, votes: &List<Signed>) {
        for signed in votes.iter() {
            self.note_vote(signed.validator, view, vote, signed.signature);
        }
    }

    /// An encoded block. It is kept if it is missing, or if its proposal may be on the way.
    fn payload(&mut self, place: u16, bytes: &Arc<[u8]>) {
        if bytes.len() > self.max_block_bytes {
            return;
        }
        let Some(header) = header_of(bytes) else { return };
        let digest = header.digest();
        let wanted = self.blocks.wanted.get(&digest).copied();
        let certified = wanted.is_some_and(|want| want.certified);
        if !certified && !self.has_room_for(bytes.len(), &digest) {
            return;
        }
        let proposed = self.blocks.get(&digest);
        if proposed.is_some_and(|candidate| candidate.payload.is_some()) {
            return;
        }
        if proposed.is_none() && wanted.is_none() {
            let next = View(self.view.0.saturating_add(1));
            let near = self.leaders.of(self.view) == place || self.leaders.of(next) == place;
            if near && header.chain == self.chain && header.height > self.tip.height && is_whole(bytes) {
                self.blocks.keep_early(place, digest, Arc::clone(bytes));
            }
            return;
        }
        if !is_whole(bytes) {
            return;
        }
        if proposed.is_none() {
            let view = self.view;
            self.blocks.insert(header, view);
        }
        self.blocks.fill(&digest, Arc::clone(bytes));
        self.changed = true;
        // Its header may be what a finalization waits for.
        let views: Vec<View> = self.rounds.keys().copied().collect();
        for view in views {
            self.tally(view, BftVote::Finalize(digest));
        }
    }

    /// Whether a block that only its leader stands behind may be kept. What the current view needs is worth more than what
    /// earlier views left behind.
    fn has_room_for(&mut self, more: usize, block: &Digest) -> bool {
        let (limit, view) = (self.config.max_pending_bytes, self.view);
        let current = self.rounds.get(&view).and_then(|round| round.proposal).map(|proposed| proposed.block);
        if self.blocks.pending_bytes().saturating_add(more) > limit && current == Some(*block) {
            let mut certified = self.blocks.chain_of(&self.root.digest);
            let notarized: Vec<Digest> =
                self.rounds.values().filter_map(|round| Some(round.notarization.as_ref()?.0)).collect();
            certified.extend(notarized);
            self.blocks.make_room(more, limit, view, &certified);
        }
        self.blocks.pending_bytes().saturating_add(more) <= limit
    }

    /// Sends a peer the blocks that it asks for, each once in a while.
    fn send_payloads(&mut self, place: u16, blocks: &[Digest]) {
        let Some(to) = self.key(place) else { return };
        let (now, pause) = (self.now, self.config.resend_ms / 2);
        for digest in blocks.iter().take(MAX_WANTED) {
            let Some(bytes) = self.blocks.payload(digest) else { continue };
            let sent = self.inbox.sent.entry(place).or_default();
            sent.retain(|_, at| at.plus(pause) > now);
            if sent.len() < MAX_WANTED && !sent.contains_key(digest) {
                sent.insert(*digest, now);
                self.out.push(Output::Send { to, lane: Lane::Payloads, bytes });
            }
        }
    }

    /// What a peer in view `from` needs to go on.
    fn help(&mut self, place: u16, from: View) {
        let (now, pause) = (self.now, self.config.help_ms);
        if from >= self.view || self.inbox.helped.get(&place).is_some_and(|at| at.plus(pause) > now) {
            return;
        }
        self.inbox.helped.insert(place, now);
        if from <= self.root.view && !self.root.votes.is_empty() {
            self.send(place, self.finalization());
        }
        let limit = self.config.help_certificates;
        let first = from.max(View(self.root.view.0.saturating_add(1)));
        let certificates = |view: &View| {
            let round = self.rounds.get(view)?;
            let notarization = round.notarization.iter().map(|(block, votes)| (BftVote::Notarize(*block), votes));
            let nullification = round.nullification.iter().map(|votes| (BftVote::Nullify, votes));
            let both = notarization.chain(nullification).filter(|(_, votes)| !votes.is_empty());
            Some(
                both.map(|(vote, votes)| Quorum { view: *view, vote, votes: votes.clone().into() }).collect::<Vec<_>>(),
            )
        };
        let last = View(self.view.0.saturating_sub(1));
        let mut found: Vec<Quorum> =
            self.rounds.range(first..).filter_map(|(view, _)| certificates(view)).flatten().take(limit).collect();
        // The way into the current view, should there be more between than fits.
        found.extend(certificates(&last).unwrap_or_default().into_iter().filter(|quorum| quorum.view >= first));
        found.dedup();
        for quorum in found {
            self.send(place, Message::Quorum(quorum));
        }
    }

    /// The last finalization, as a message.
    pub(super) fn finalization(&self) -> Message {
        let root = &self.root;
        Message::Finalization(Finalization { header: root.header.clone(), view: root.view, votes: root.votes.clone() })
    }

    /// Asks a peer for certificates from a view on.
    pub(super) fn ask_missing(&mut self, place: u16, from: View) {
        let (now, pause) = (self.now, self.config.help_ms);
        if self.inbox.asked.get(&place).is_none_or(|at| at.plus(pause) <= now) {
            self.inbox.asked.insert(place, now);
            self.send(place, Message::Missing { from });
        }
    }

    /// Asks a peer for blocks.
    pub(super) fn ask_blocks(&mut self, place: u16, blocks: Vec<Digest>) {
        if let Some(to) = self.key(place)
            && place != self.me
            && !blocks.is_empty()
        {
            let bytes = wire::encode(self.epoch, Message::Wanted { blocks: blocks.into() });
            self.out.push(Output::Send { to, lane: Lane::Votes, bytes });
        }
    }
}

fn signed(place: u16, signature: Signature) -> Signed {
    Signed { validator: place, signature }
}
