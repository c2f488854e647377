//! What the core has to do with its peers: lanes, the outbox, catching up.

use super::events::{CheckId, Effect, Stop};
use super::gossip::{self, Gossip};
use super::sync::Fetched;
use super::{Asked, ChainCore, Source};
use ledger_consensus::{Input, Record, RecordKind};
use ledger_core::codec::{self, Bytes};
use ledger_core::{Block, BlockError, Checkpoint, Header, Lane, Timestamp};
use ledger_crypto::PublicKey;
use std::sync::Arc;

/// Messages that wait for the log at the most.
const MAX_OUTBOX: usize = 16_384;

impl ChainCore {
    pub(super) fn connected(&mut self, now: Timestamp, peer: PublicKey, effects: &mut Vec<Effect>) {
        self.sync.connected(peer);
        if self.validators.contains(&peer) && self.spreader.may_give(now, peer) {
            // What waits here may be news to it; what it knows already it passes over.
            let messages = gossip::encode(self.mempool.oldest(gossip::CATCH_UP));
            gossip::send(&messages, std::iter::once(&peer), effects);
        }
    }

    pub(super) fn received(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        lane: Lane,
        bytes: Arc<[u8]>,
        effects: &mut Vec<Effect>,
    ) {
        if self.closed {
            // Others go on, and there is always something more to take from them.
            return;
        }
        match lane {
            Lane::Votes | Lane::Payloads => self.tell(now, Input::Message { from, lane, bytes }, effects),
            Lane::Gossip => self.gossiped(now, from, &bytes, effects),
            Lane::Sync => {
                let around = (&mut self.serving, &*self.finality);
                let found = self.sync.received(now, from, &bytes, self.driver.finalized(), around, effects);
                if let Some((checking, checks)) = found {
                    self.check(Asked::Sync(checking), checks, effects);
                }
            }
        }
    }

    fn gossiped(&mut self, now: Timestamp, from: PublicKey, bytes: &[u8], effects: &mut Vec<Effect>) {
        if !self.spreader.listens_to(now, &from) {
            return;
        }
        let Ok(Gossip { transactions }) = codec::decode(bytes) else {
            self.spreader.strike(now, from);
            return;
        };
        for transaction in transactions.into_vec() {
            let id = transaction.id();
            if self.mempool.contains(&id) {
                continue;
            }
            let transaction = Arc::new(transaction);
            // A pool that is full here may have room elsewhere: whoever handed it in keeps it.
            if self.reserve(now, id, Arc::clone(&transaction)).is_ok() {
                self.sources.insert(id, Source::Peer(from));
                effects.push(Effect::Check { id, transaction });
            }
        }
    }

    /// Sends at once where no record is under way, else when the newest is durable.
    pub(super) fn send(&mut self, effect: Effect, effects: &mut Vec<Effect>) {
        match self.driver.pending() {
            // A log that doesn't answer any more must not gather messages for ever; the engine repeats what matters.
            Some(_) if self.outbox.len() >= MAX_OUTBOX => {}
            Some(token) => self.outbox.push_back((token, effect)),
            None => effects.push(effect),
        }
    }

    /// Lets go what waited for records that are durable now.
    pub(super) fn flush_outbox(&mut self, effects: &mut Vec<Effect>) {
        while let Some((token, _)) = self.outbox.front() {
            if !self.driver.is_durable(*token) {
                return;
            }
            effects.extend(self.outbox.pop_front().map(|(_, effect)| effect));
        }
    }

    pub(super) fn signatures_checked(
        &mut self,
        now: Timestamp,
        check: CheckId,
        valid: Vec<bool>,
        effects: &mut Vec<Effect>,
    ) {
        match self.checks.remove(&check) {
            Some(Asked::Engine(request)) => self.tell(now, Input::Checked { request, valid }, effects),
            Some(Asked::Block(request)) => {
                if let Some(verdict) = self.verification.checked(request, &valid, &self.driver) {
                    self.tell(now, Input::Verified { request, verdict }, effects);
                }
            }
            Some(Asked::Sync(checking)) => {
                if let Some((here, there)) = self.sync.checked(now, checking, &valid, self.driver.finalized().height) {
                    let (height, digest) = (there.header.height, there.header.digest());
                    let fork = Stop::Forked { height, here, there: digest, proof: Arc::new(there) };
                    self.contradicted(fork, effects);
                }
            }
            None => {}
        }
    }

    /// Takes in what peers have given, asks for more, and tells them what this node has.
    pub(super) fn catch_up(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.stopped.is_some() || self.closed {
            return;
        }
        let mut newest = None;
        while let Some(fetched) = self.sync.next(self.driver.finalized().height, self.driver.backlog()) {
            if let Err(error) = fetched.block.check_against(self.driver.finalized(), &self.rules) {
                return self.contradicted(contradiction(self.driver.finalized(), fetched, error), effects);
            }
            newest = Some((fetched.block.header.clone(), Arc::clone(&fetched.certificate)));
            self.take_in(now, fetched, effects);
            if self.stopped.is_some() {
                return;
            }
        }
        if let Some((header, certificate)) = newest {
            self.tell(now, Input::Synced { header, certificate }, effects);
        }
        let around = (self.votes, self.driver.backlog_bytes());
        self.sync.pump(now, self.driver.finalized().height, around, effects);
        if let Some(served) = self.driver.served() {
            self.sync.announce(now, served, effects);
        }
    }

    /// Others have made final what can't be here. Whom the two sides' certificates convict is told first.
    fn contradicted(&mut self, stop: Stop, effects: &mut Vec<Effect>) {
        if let (Stop::Forked { proof, .. }, Some(newest)) = (&stop, self.driver.newest()) {
            let guilty = self.finality.guilty(&newest, proof);
            effects.extend(guilty.into_iter().map(|evidence| Effect::Evidence(Box::new(evidence))));
        }
        self.stop_if(Some(stop), effects);
    }

    /// A final block from a peer goes the way of the engine's own.
    fn take_in(&mut self, now: Timestamp, fetched: Fetched, effects: &mut Vec<Effect>) {
        let Fetched { block, payload, certificate, .. } = fetched;
        let header = block.header;
        let (height, digest) = (header.height, header.digest());
        let record = |kind, bytes: &Arc<[u8]>| Record { kind, height, block: digest, bytes: Arc::clone(bytes) };
        let records = vec![record(RecordKind::Payload, &payload), record(RecordKind::Certificate, &certificate)];
        let (token, effect) = self.driver.persist(records, None);
        effects.push(effect);
        self.finalize(now, Some(token), header, &payload, certificate, effects);
    }

    /// Hands on transactions that clients gave.
    pub(super) fn spread(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.stopped.is_none() {
            let to = self.validators.iter().filter(|key| self.sync.is_connected(key));
            self.spreader.flush(now, to, effects);
        }
    }
}

/// What a certified block says that can't follow `tip`. Its certificate is valid and its header names these bytes, so that
/// it isn't its sender's fault: a quorum has signed what no honest validator does.
fn contradiction(tip: &Header, fetched: Fetched, error: BlockError) -> Stop {
    let Fetched { block: Block { header, .. }, certificate, .. } = fetched;
    match error {
        BlockError::WrongParent { found, expected, .. } => {
            let certificate = Bytes::from(certificate.to_vec());
            let proof = Arc::new(Checkpoint { header, certificate });
            Stop::Forked { height: tip.height, here: expected, there: found, proof }
        }
        error => Stop::Apply { height: header.height, reason: error.to_string() },
    }
}
