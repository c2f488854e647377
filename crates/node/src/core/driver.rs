//! From a finalized block to a certified outcome: the bookkeeping between consensus, log and execution.

use super::blocks::{Blocks, Known};
use super::events::{Applied, Effect, Execute, Start, Stop, Token};
use ledger_consensus::{Record, RecordKind};
use ledger_core::{Block, Checkpoint, Header, Height, HistoryHead, Timestamp, codec};
use ledger_crypto::{Digest, VotePosition};
use ledger_storage::log::LogPosition;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A block that the engine finalized.
struct Finalized {
    /// The records that have to be durable before anyone hears of it.
    after: Option<Token>,
    digest: Digest,
    known: Known,
    certificate: Arc<[u8]>,
    /// Of payload and certificate.
    bytes: usize,
}

/// Where the log holds a payload.
enum Place {
    /// The n-th record of a group that isn't durable yet.
    Coming(Token, usize),
    Logged(LogPosition),
}

/// See the [module](self).
pub(super) struct Driver {
    pub(super) blocks: Blocks,
    /// Finalized blocks that wait for their records.
    undurable: VecDeque<Finalized>,
    /// Finalized, durable blocks that aren't applied; the first `executing` were given out for that.
    unapplied: VecDeque<Finalized>,
    executing: usize,
    /// The most that are given out at once.
    execute_ahead: usize,
    /// The last finalized header.
    finalized: Header,
    /// The last applied block and its certificate.
    served: Option<Arc<Checkpoint>>,
    /// The history that has been executed.
    applied: HistoryHead,
    /// Roots of recent histories by size, to hold headers against.
    heads: BTreeMap<u64, Digest>,
    /// The newest finalized block with transactions, if its outcome may be uncommitted.
    newest_full: Option<Height>,
    /// When the newest finalized block with transactions was made, as far as it is known since the start.
    newest_full_time: Timestamp,
    /// How much history the newest finalized header commits to.
    certified: u64,
    /// Checkpoints that commit to more than is executed here, each to more than the one before.
    checkpoints: VecDeque<Arc<Checkpoint>>,
    next_token: u64,
    durable: Option<Token>,
    payloads: BTreeMap<Digest, (Height, Place)>,
}

impl Driver {
    pub(super) fn new(genesis: Header) -> Self {
        Driver {
            blocks: Blocks::default(),
            undurable: VecDeque::new(),
            unapplied: VecDeque::new(),
            executing: 0,
            execute_ahead: 1,
            finalized: genesis,
            served: None,
            applied: HistoryHead::EMPTY,
            heads: BTreeMap::new(),
            newest_full: None,
            newest_full_time: Timestamp(0),
            certified: 0,
            checkpoints: VecDeque::new(),
            next_token: 0,
            durable: None,
            payloads: BTreeMap::new(),
        }
    }

    pub(super) fn start(&mut self, start: Start) {
        self.applied = start.history;
        self.heads.extend(start.heads.iter().chain([&start.history]).map(|head| (head.size, head.root)));
        self.newest_full = start.owed;
        self.certified = start.checkpoint.header.history.size;
        for logged in start.payloads {
            let digest = logged.block.digest();
            self.payloads.insert(digest, (logged.block.header.height, Place::Logged(logged.position)));
            self.blocks.insert(digest, Known::of(logged.block));
        }
        self.finalized = start.checkpoint.header.clone();
        self.served = Some(Arc::new(start.checkpoint));
    }

    /// The last finalized header.
    pub(super) fn finalized(&self) -> &Header {
        &self.finalized
    }

    /// The last finalized block with its certificate.
    pub(super) fn newest(&self) -> Option<Checkpoint> {
        let waiting = self.undurable.back().or(self.unapplied.back()).map(Finalized::checkpoint);
        waiting.or_else(|| self.served.as_deref().cloned())
    }

    /// The last applied block's checkpoint: everything up to it can be shown to peers.
    pub(super) fn served(&self) -> Option<&Arc<Checkpoint>> {
        self.served.as_ref()
    }

    pub(super) fn applied_history(&self) -> HistoryHead {
        self.applied
    }

    /// The last applied height.
    pub(super) fn applied_height(&self) -> Height {
        Height(self.applied.size.saturating_sub(1))
    }

    /// How many finalized blocks wait for execution.
    pub(super) fn backlog(&self) -> u64 {
        self.finalized.height.0.saturating_sub(self.applied_height().0)
    }

    /// The bytes of those, encoded, with their certificates.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.undurable.iter().chain(&self.unapplied).fold(0, |sum: usize, waits| sum.saturating_add(waits.bytes))
    }

    /// How many transactions the newest finalized block has that isn't executed yet; 0 where all are.
    pub(super) fn newest_unapplied(&self) -> usize {
        let newest = self.undurable.back().or(self.unapplied.back());
        newest.map_or(0, |finalized| finalized.known.block.transactions.len())
    }

    /// The newest finalized block with transactions.
    pub(super) fn newest_full(&self) -> Option<Height> {
        self.newest_full
    }

    /// When that was made.
    pub(super) fn newest_full_time(&self) -> Timestamp {
        self.newest_full_time
    }

    /// Whether nothing is under way but what waits for new transactions.
    pub(super) fn is_idle(&self) -> bool {
        self.is_settled() && self.newest_full.is_none_or(|height| self.certified > height.0)
    }

    /// Whether every finalized block is executed.
    pub(super) fn is_settled(&self) -> bool {
        self.undurable.is_empty() && self.unapplied.is_empty()
    }

    /// What this node's execution says of a history head: `None` while it hasn't executed as far.
    pub(super) fn agrees_with(&self, head: &HistoryHead) -> Option<Result<(), String>> {
        if head.size > self.applied.size {
            return None;
        }
        Some(match self.heads.get(&head.size) {
            Some(root) if *root == head.root => Ok(()),
            Some(root) => Err(format!("its history of {} leaves is {}, here it is {root}", head.size, head.root)),
            None => Err(format!("its history of {} leaves is older than what can be checked here", head.size)),
        })
    }

    /// Numbers a group of records.
    pub(super) fn persist(&mut self, records: Vec<Record>, voted: Option<VotePosition>) -> (Token, Effect) {
        self.next_token += 1;
        let token = Token(self.next_token);
        for (index, record) in records.iter().enumerate() {
            if record.kind == RecordKind::Payload {
                self.payloads.insert(record.block, (record.height, Place::Coming(token, index)));
            }
        }
        (token, Effect::Persist { token, records, voted })
    }

    /// The last group of records, if it isn't durable yet.
    pub(super) fn pending(&self) -> Option<Token> {
        Some(Token(self.next_token)).filter(|token| token.0 > 0 && Some(*token) > self.durable)
    }

    pub(super) fn is_durable(&self, token: Token) -> bool {
        Some(token) <= self.durable
    }

    /// A block is final, to be acted upon once the records of `after` are durable.
    pub(super) fn finalize(
        &mut self,
        after: Option<Token>,
        header: Header,
        payload: &Arc<[u8]>,
        certificate: Arc<[u8]>,
    ) -> Result<Known, Stop> {
        let (height, digest) = (header.height, header.digest());
        if height != self.finalized.height.next() {
            let reason = format!("it was finalized after block {}", self.finalized.height);
            return Err(Stop::Apply { height, reason });
        }
        let known = match self.blocks.get(&digest) {
            Some(known) => known.clone(),
            None => match codec::decode::<Block>(payload) {
                Ok(block) => Known::of(block),
                Err(error) => return Err(Stop::Apply { height, reason: error.to_string() }),
            },
        };
        let after = match self.payloads.get(&digest) {
            // A record needed here may stem from an earlier step than the one that finalizes.
            Some((_, Place::Coming(token, _))) => after.max(Some(*token)),
            Some(_) => after,
            None => return Err(Stop::Apply { height, reason: "its payload was never persisted".to_owned() }),
        };
        if !known.block.transactions.is_empty() {
            (self.newest_full, self.newest_full_time) = (Some(height), header.timestamp);
        }
        self.finalized = header;
        let bytes = payload.len().saturating_add(certificate.len());
        self.undurable.push_back(Finalized { after, digest, known: known.clone(), certificate, bytes });
        Ok(known)
    }

    /// The records of `token` are durable: what waited for them goes on.
    pub(super) fn persisted(
        &mut self,
        token: Token,
        positions: &[LogPosition],
        effects: &mut Vec<Effect>,
    ) -> Option<Stop> {
        self.durable = self.durable.max(Some(token));
        for (_, place) in self.payloads.values_mut() {
            if let Place::Coming(coming, index) = place
                && *coming == token
                && let Some(position) = positions.get(*index)
            {
                *place = Place::Logged(*position);
            }
        }
        self.go_on(effects)
    }

    /// Acts upon finalized blocks whose records are durable.
    pub(super) fn go_on(&mut self, effects: &mut Vec<Effect>) -> Option<Stop> {
        while self.undurable.front().is_some_and(|first| first.after <= self.durable) {
            let Some(finalized) = self.undurable.pop_front() else { break };
            let header = &finalized.known.block.header;
            if let Some(stop) = self.check_history(header) {
                return Some(stop);
            }
            let (block, ids) = (Arc::clone(&finalized.known.block), Arc::clone(&finalized.known.ids));
            effects.push(Effect::Ordered { block, ids });
            if header.history.size > self.certified {
                self.certified = header.history.size;
                self.checkpoints.push_back(Arc::new(finalized.checkpoint()));
            }
            self.unapplied.push_back(finalized);
        }
        self.certify(effects);
        self.execute_next(effects)
    }

    /// Tells of checkpoints as far as this node has executed what they commit to: one that catches up hears of them
    /// earlier.
    fn certify(&mut self, effects: &mut Vec<Effect>) {
        let applied = self.applied.size;
        while self.checkpoints.front().is_some_and(|first| first.header.history.size <= applied) {
            effects.extend(self.checkpoints.pop_front().map(Effect::Certified));
        }
    }

    /// A finalized header must commit to the history that execution gives here.
    fn check_history(&mut self, header: &Header) -> Option<Stop> {
        let HistoryHead { size, root: expected } = header.history;
        let found = self.heads.get(&size).copied()?;
        self.heads = self.heads.split_off(&size);
        (found != expected).then_some(Stop::Diverged { height: header.height, size, expected, found })
    }

    /// Sets how many blocks are given out at once.
    pub(super) fn execute_ahead(&mut self, blocks: usize) {
        self.execute_ahead = blocks.max(1);
    }

    fn execute_next(&mut self, effects: &mut Vec<Effect>) -> Option<Stop> {
        while self.executing < self.execute_ahead {
            let next = self.unapplied.get(self.executing)?;
            let height = next.known.block.header.height;
            let Some((_, Place::Logged(position))) = self.payloads.get(&next.digest) else {
                return Some(Stop::Apply { height, reason: "the log doesn't say where its payload is".to_owned() });
            };
            self.executing += 1;
            let (block, certificate) = (Arc::clone(&next.known.block), Arc::clone(&next.certificate));
            effects.push(Effect::Execute(Execute { block, certificate, position: *position }));
        }
        None
    }

    /// The first unapplied block has been executed and stored: gives it back, and goes on with the next.
    pub(super) fn applied(&mut self, applied: &Applied, effects: &mut Vec<Effect>) -> Result<Arc<Block>, Stop> {
        let height = applied.outcome.height;
        let finalized = match self.unapplied.pop_front() {
            Some(first) if self.executing > 0 && first.known.block.header.height == height => first,
            _ => return Err(Stop::Apply { height, reason: "it was not the block to be executed".to_owned() }),
        };
        self.executing -= 1;
        self.applied = applied.history;
        self.heads.insert(applied.history.size, applied.history.root);
        self.payloads.retain(|_, (at, _)| *at > height);
        self.blocks.prune(height);
        self.served = Some(Arc::new(finalized.checkpoint()));
        effects.push(Effect::Executed { height });
        // Headers that were final before this was known are held against it now.
        if let Some(stop) = self.check_waiting(&applied.history) {
            return Err(stop);
        }
        self.certify(effects);
        match self.execute_next(effects) {
            Some(stop) => Err(stop),
            None => Ok(finalized.known.block),
        }
    }

    /// A finalized header may commit to history that this node hadn't executed when it heard of it.
    fn check_waiting(&self, head: &HistoryHead) -> Option<Stop> {
        let waiting = self.undurable.iter().chain(&self.unapplied).map(|finalized| &finalized.known.block.header);
        waiting
            .filter(|header| header.history.size == head.size && header.history.root != head.root)
            .map(|header| Stop::Diverged {
                height: header.height,
                size: head.size,
                expected: header.history.root,
                found: head.root,
            })
            .next()
    }
}

impl Finalized {
    fn checkpoint(&self) -> Checkpoint {
        let certificate = codec::Bytes::from(self.certificate.to_vec());
        Checkpoint { header: self.known.block.header.clone(), certificate }
    }
}
