//! From the log's records to where the engine stood.

use super::blocks::{Blocks, header_of};
use super::engine::{Decided, Engine};
use super::inbox::Inbox;
use super::leader::Leaders;
use super::round::slot;
use super::wire::{Envelope, Message};
use super::{BftConfig, round};
use crate::seam::{Record, RecordKind, Setup, SharedSigner};
use ledger_core::codec::{self, List};
use ledger_core::{BftVote, Epoch, Header, Timestamp, ValidatorSet, View};
use ledger_crypto::VotePosition;
use std::collections::BTreeMap;

/// How often a node that starts asks its peers how far they are.
const GREETINGS: u8 = 3;

/// The position of the last vote in the log.
pub(super) fn last_vote(records: &[Record]) -> Option<VotePosition> {
    let votes = records.iter().filter(|record| record.kind == RecordKind::Vote);
    let position = |record: &Record| match codec::decode::<Envelope>(&record.bytes) {
        Ok(Envelope { epoch, message: Message::Vote(vote) }) => {
            Some(VotePosition { epoch: epoch.0, view: vote.view.0, slot: slot(&vote.vote) })
        }
        _ => None,
    };
    votes.filter_map(position).max()
}

impl Engine {
    /// The engine as its records leave it; it does nothing before `Start`.
    pub(super) fn recover(
        setup: &Setup<'_>,
        validators: ValidatorSet,
        me: u16,
        signer: SharedSigner,
        config: BftConfig,
    ) -> Engine {
        let tip = setup.tip.clone();
        let digest = tip.digest();
        // Where the finalization isn't among the records, its view is unknown. View 0 stands for that: nothing can be
        // proposed on it before peers send the finalization, since views between are not all nullified.
        let root = Decided { header: tip.clone(), digest, view: View(0), votes: List::new() };
        let mut engine = Engine {
            chain: setup.chain,
            epoch: Epoch(0),
            leaders: Leaders::new(validators.len()),
            validators,
            me,
            signer,
            config,
            max_block_bytes: setup.genesis.rules.max_block_bytes as usize,
            started: false,
            halted: false,
            now: Timestamp(0),
            out: Vec::new(),
            view: View(1),
            work: false,
            rounds: BTreeMap::new(),
            blocks: Blocks::default(),
            head_height: tip.height,
            tip,
            tip_digest: digest,
            root,
            decided: BTreeMap::new(),
            head_view: None,
            noted: BTreeMap::new(),
            inbox: Inbox::default(),
            verifies: BTreeMap::new(),
            asked: None,
            stalled: None,
            last_request: 0,
            armed: None,
            resend_armed: false,
            timed_out: false,
            failures: 0,
            resends: 0,
            greetings: 0,
            announced: View(0),
            behind: None,
            changed: false,
        };
        for record in &setup.records {
            engine.replay(record);
        }
        engine.settle();
        engine
    }

    /// Takes one record up. What this program wrote always decodes; what doesn't is of no use.
    fn replay(&mut self, record: &Record) {
        if record.kind == RecordKind::Payload {
            if let Some(header) = header_of(&record.bytes).filter(|header| header.height > self.tip.height) {
                let block = self.blocks.insert(header, View(u64::MAX));
                self.blocks.fill(&block, record.bytes.clone());
                if let Some(candidate) = self.blocks.get_mut(&block) {
                    candidate.recorded = true;
                }
            }
            return;
        }
        let Ok(Envelope { epoch, message }) = codec::decode::<Envelope>(&record.bytes) else { return };
        if epoch != self.epoch {
            return;
        }
        match message {
            Message::Vote(own) => {
                self.leaders.saw(self.me, own.view);
                let me = self.me;
                self.round(own.view).add(me, own.vote, own.signature);
                self.view = own.view.max(self.view);
            }
            Message::Quorum(quorum) => {
                let after = View(quorum.view.0.saturating_add(1));
                self.view = after.max(self.view);
                self.noted.insert((quorum.view, slot(&quorum.vote)), record.height);
                for signed in quorum.votes.iter() {
                    self.round(quorum.view).add(signed.validator, quorum.vote, signed.signature);
                }
                let votes = quorum.votes.into_vec();
                match quorum.vote {
                    BftVote::Notarize(block) => self.round(quorum.view).notarization = Some((block, votes)),
                    _ => self.round(quorum.view).nullification = Some(votes),
                }
            }
            Message::Finalization(finalization) => {
                let (header, view) = (finalization.header, finalization.view);
                let digest = header.digest();
                let follows = header.height > self.tip.height || digest == self.tip_digest;
                if follows && view > self.root.view {
                    self.view = View(view.0.saturating_add(1)).max(self.view);
                    self.root = Decided { header, digest, view, votes: finalization.votes };
                }
            }
            Message::Proposal(_) | Message::Wanted { .. } | Message::Missing { .. } => {}
        }
    }

    /// Puts together what the records said.
    fn settle(&mut self) {
        let after = View(self.root.view.0.saturating_add(1));
        self.rounds = self.rounds.split_off(&after);
        self.noted = self.noted.split_off(&(after, 0));
        if self.root.header.height > self.tip.height {
            self.blocks.insert(self.root.header.clone(), View(u64::MAX));
            self.decided.insert(self.root.header.height, self.root.clone());
        }
        self.announced = self.root.view;
        let notarized = self.rounds.iter().filter_map(|(view, round)| Some((*view, round.notarization.as_ref()?.0)));
        let notarized: Vec<(View, ledger_crypto::Digest)> = notarized.collect();
        self.head_view = notarized.last().copied();
        let heights = notarized.iter().filter_map(|(_, block)| self.blocks.get(block));
        let highest = heights.map(|candidate| candidate.header.height).max();
        self.head_height = highest.unwrap_or_default().max(self.root.header.height);
    }

    /// The first input.
    pub(super) fn start(&mut self, tip: &Header) {
        if self.started {
            return;
        }
        self.started = true;
        // The records belong to the tip that the engine was made with; a newer one is as good as a synced one.
        if tip.height > self.tip.height {
            self.tip = tip.clone();
            self.tip_digest = tip.digest();
            self.decided = self.decided.split_off(&tip.height.next());
            if self.root.header.height < tip.height {
                self.root = Decided { header: tip.clone(), digest: tip.digest(), view: View(0), votes: List::new() };
            }
        }
        // Others may be further, however new this node is.
        if self.validators.len() > 1 {
            self.greetings = GREETINGS;
            let view = self.view;
            self.broadcast(Message::Missing { from: view });
            for message in self.own_votes() {
                self.broadcast(message);
            }
        }
        // A lone validator, or one that crashed between the last vote of a quorum and what follows from it.
        let views: Vec<View> = self.rounds.keys().copied().collect();
        for view in views {
            for slot in [round::NOTARIZE, round::DECIDE] {
                let own = self.rounds.get(&view).and_then(|round| round.vote(slot, self.me));
                if let Some((vote, _)) = own {
                    self.tally(view, vote);
                }
            }
        }
    }
}
