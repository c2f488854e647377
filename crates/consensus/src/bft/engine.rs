//! The engine's state, its inputs, and signing.

use super::BftConfig;
use super::blocks::{Blocks, Verdict};
use super::inbox::Inbox;
use super::leader::Leaders;
use super::round::{Added, Round, slot};
use super::wire::{self, Message, Vote};
use crate::seam::{Consensus, Halt, Input, Output, Record, RecordKind, RequestId, SharedSigner, TimerId};
use ledger_core::codec::List;
use ledger_core::{BftVote, ChainId, Epoch, Evidence, Header, Height, Lane, Signed, Timestamp, ValidatorSet, View};
use ledger_crypto::{Digest, PublicKey, Signature, VoteError, VotePosition};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// A block that a quorum finalized.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) header: Header,
    pub(super) digest: Digest,
    pub(super) view: View,
    /// None for the genesis, and where only the log knew that the block is final.
    pub(super) votes: List<Signed>,
}

/// An open request for a proposal.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: RequestId,
    pub(super) parent_view: View,
    pub(super) parent: Header,
}

/// The protocol's state. Its rules are in the modules beside this one.
pub(super) struct Engine {
    pub(super) chain: ChainId,
    pub(super) epoch: Epoch,
    pub(super) validators: ValidatorSet,
    pub(super) me: u16,
    pub(super) signer: SharedSigner,
    pub(super) config: BftConfig,
    /// The most bytes of a block, by the chain's rules.
    pub(super) max_block_bytes: usize,
    pub(super) started: bool,
    pub(super) halted: bool,
    pub(super) now: Timestamp,
    pub(super) out: Vec<Output>,
    /// The current view.
    pub(super) view: View,
    pub(super) work: bool,
    /// From the last final view on.
    pub(super) rounds: BTreeMap<View, Round>,
    pub(super) blocks: Blocks,
    pub(super) leaders: Leaders,
    /// The last block that was handed to the driver as final.
    pub(super) tip: Header,
    pub(super) tip_digest: Digest,
    /// The last block known to be final.
    pub(super) root: Decided,
    /// Final blocks above the tip that were signed as such, by height.
    pub(super) decided: BTreeMap<Height, Decided>,
    /// The height of the highest notarized block.
    pub(super) head_height: Height,
    /// The last notarized view above the root's, and its block.
    pub(super) head_view: Option<(View, Digest)>,
    /// Notes of views above the root, by the height that they are recorded under.
    pub(super) noted: BTreeMap<(View, u8), Height>,
    pub(super) inbox: Inbox,
    pub(super) verifies: BTreeMap<RequestId, Digest>,
    pub(super) asked: Option<Asked>,
    /// The view in which a proposal couldn't be signed for now: the driver isn't asked again at once.
    pub(super) stalled: Option<View>,
    pub(super) last_request: u64,
    /// The view whose timer runs.
    pub(super) armed: Option<View>,
    pub(super) resend_armed: bool,
    /// The current view has taken too long.
    pub(super) timed_out: bool,
    /// Views that timed out since the last final block.
    pub(super) failures: u32,
    /// How often something was missing when things were sent again: asks another peer each time.
    pub(super) resends: u32,
    /// How often the greeting after a start is still sent.
    pub(super) greetings: u8,
    /// The view of the last finalization that was announced.
    pub(super) announced: View,
    /// Up to where the driver was told to catch up.
    pub(super) behind: Option<Height>,
    /// Whether something changed that other rules may have waited for.
    pub(super) changed: bool,
}

impl Consensus for Engine {
    fn step(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        if self.halted {
            return;
        }
        self.now = now.max(self.now);
        match input {
            Input::Start { tip } => self.start(&tip),
            Input::Work(work) => self.work = work,
            Input::Proposed { request, header, payload } => self.proposed(request, header, payload),
            Input::Verified { request, verdict } => {
                if let Some(candidate) = self.verifies.remove(&request).and_then(|block| self.blocks.get_mut(&block)) {
                    candidate.verdict = if verdict.is_ok() { Verdict::Fine } else { Verdict::Refused };
                }
            }
            Input::Message { from, lane, bytes } => self.message(&from, lane, &bytes),
            Input::Checked { request, valid } => self.checked(request, &valid),
            Input::Timer(id) => self.timer(id),
            Input::Synced { header, certificate } => self.synced(&header, &certificate),
            // Nothing is executed here; but it shows that the log has gone on.
            Input::Applied { .. } => self.stalled = None,
        }
        self.progress();
        out.append(&mut self.out);
    }
}

impl Engine {
    /// Applies the rules until none has anything left to do.
    fn progress(&mut self) {
        while self.started && !self.halted {
            self.changed = false;
            self.deliver();
            self.nullify_if_due();
            self.vote_on_proposal();
            self.propose();
            if !self.changed {
                self.arm_timers();
                return;
            }
        }
    }

    pub(super) fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    /// The weight that decides.
    pub(super) fn quorum(&self) -> u64 {
        #[cfg(feature = "planted-bugs")]
        if self.config.breaks(super::PlantedBug::QuorumMinusOne) {
            return self.validators.quorum().saturating_sub(1);
        }
        self.validators.quorum()
    }

    pub(super) fn round(&mut self, view: View) -> &mut Round {
        self.rounds.entry(view).or_default()
    }

    pub(super) fn halt(&mut self, halt: Halt) {
        if !self.halted {
            self.halted = true;
            self.out.push(Output::Halt(halt));
        }
    }

    pub(super) fn key(&self, place: u16) -> Option<PublicKey> {
        self.validators.get(place).map(|validator| validator.key)
    }

    pub(super) fn send(&mut self, place: u16, message: Message) {
        if let Some(to) = self.key(place)
            && place != self.me
        {
            self.out.push(Output::Send { to, lane: Lane::Votes, bytes: wire::encode(self.epoch, message) });
        }
    }

    pub(super) fn broadcast(&mut self, message: Message) {
        if self.validators.len() > 1 {
            self.out.push(Output::Broadcast { lane: Lane::Votes, bytes: wire::encode(self.epoch, message) });
        }
    }

    pub(super) fn persist(&mut self, kind: RecordKind, height: Height, block: Digest, bytes: Arc<[u8]>) {
        self.out.push(Output::Persist(Record { kind, height, block, bytes }));
    }

    pub(super) fn set_timer(&mut self, id: TimerId, after: u64) {
        self.out.push(Output::SetTimer { id, after });
    }

    /// The height under which votes and notes are recorded: what isn't final yet lies at or above it.
    pub(super) fn record_height(&self) -> Height {
        self.head_height.max(self.root.header.height).max(self.tip.height).next()
    }

    /// Signs a vote, records it, and counts it. Whoever calls sends it. `None` where the signer has signed something else
    /// in this slot or a later one: then this validator is silent in it.
    pub(super) fn sign(&mut self, view: View, vote: BftVote) -> Option<Signature> {
        let slot = slot(&vote);
        let position = VotePosition { epoch: self.epoch.0, view: view.0, slot };
        #[cfg(feature = "planted-bugs")]
        let position = self.planted_position(position);
        let message = vote.message(self.chain, self.epoch, view);
        let signed =
            self.signer.lock().unwrap_or_else(PoisonError::into_inner).sign_vote(vote.domain(), position, &message);
        let signature = match signed {
            Ok(signature) => signature,
            Err(VoteError::Passed { .. } | VoteError::Conflict { .. }) => {
                self.round(view).silence(slot);
                return None;
            }
            // The log is slow: the vote is tried again with a later input.
            Err(VoteError::TooManyPending { .. }) => return None,
            Err(error) => {
                self.halt(Halt::Signer { height: self.record_height(), reason: error.to_string() });
                return None;
            }
        };
        self.changed = true;
        #[cfg(feature = "planted-bugs")]
        if self.config.breaks(super::PlantedBug::VoteBeforePersist) {
            return Some(signature);
        }
        let record = wire::encode(self.epoch, Message::Vote(Vote { view, vote, signature }));
        self.persist(RecordKind::Vote, self.record_height(), Digest::ZERO, record);
        self.out.push(Output::Voted(position));
        Some(signature)
    }

    /// A slot that doesn't exist, which is how a planted bug gets a second vote past the signer.
    #[cfg(feature = "planted-bugs")]
    fn planted_position(&self, position: VotePosition) -> VotePosition {
        let bugs = [super::PlantedBug::LostLock, super::PlantedBug::NullifyAfterFinalize];
        let bugs = bugs.iter().any(|bug| self.config.breaks(*bug))
            || self.config.breaks(super::PlantedBug::FinalizeWithoutNotarization);
        let spent = self.rounds.get(&View(position.view)).is_some_and(|round| round.spent(position.slot, self.me));
        VotePosition { slot: if bugs && spent { position.slot + 1 } else { position.slot }, ..position }
    }

    /// Signs a vote, sends it to everyone and counts it.
    pub(super) fn cast(&mut self, view: View, vote: BftVote) {
        if let Some(signature) = self.sign(view, vote) {
            self.broadcast(Message::Vote(Vote { view, vote, signature }));
            self.count(self.me, view, vote, signature);
        }
    }

    /// Counts a vote whose signature was checked, and sees whether it makes a quorum.
    pub(super) fn count(&mut self, place: u16, view: View, vote: BftVote, signature: Signature) {
        if self.note_vote(place, view, vote, signature) {
            self.tally(view, vote);
        }
    }

    /// Takes down a vote whose signature was checked; says whether it is new.
    pub(super) fn note_vote(&mut self, place: u16, view: View, vote: BftVote, signature: Signature) -> bool {
        self.leaders.saw(place, view);
        if view <= self.root.view {
            return false;
        }
        match self.round(view).add(place, vote, signature) {
            Added::New => {
                self.changed = true;
                true
            }
            Added::Known => false,
            Added::Conflict(first, first_signature) => {
                if let Some(validator) = self.key(place) {
                    self.out.push(Output::Evidence(Box::new(Evidence {
                        chain: self.chain,
                        epoch: self.epoch,
                        view,
                        validator,
                        first: (first, first_signature),
                        second: (vote, signature),
                    })));
                }
                false
            }
        }
    }

    /// Quorums of votes that say the same (Simplex: notarized in step 4, finalized in step 5).
    pub(super) fn tally(&mut self, view: View, vote: BftVote) {
        let Some(round) = self.rounds.get(&view) else { return };
        if round.weight(&self.validators, &vote) < self.quorum() {
            return;
        }
        let votes = round.signed(&vote);
        match vote {
            BftVote::Notarize(block) => self.notarized(view, block, votes),
            BftVote::Nullify => self.nullified(view, votes),
            BftVote::Finalize(block) => match self.blocks.get(&block) {
                Some(candidate) => {
                    let header = candidate.header.clone();
                    self.decide(Decided { header, digest: block, view, votes: votes.into() });
                }
                // Its header comes with the block.
                None => self.want(block, self.leaders.of(view), true),
            },
        }
    }
}
