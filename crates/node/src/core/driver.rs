//! From a request for a proposal to a certified outcome: the bookkeeping between consensus, log and execution.

use super::CoreConfig;
use super::events::{Applied, Effect, Execute, Start, Stop, Token};
use crate::mempool::Mempool;
use ledger_consensus::{Record, RecordKind, RequestId};
use ledger_core::{
    Block, Checkpoint, HEADER_VERSION, Header, Height, HistoryHead, Rules, Timestamp, TransactionId, codec,
};
use ledger_crypto::{Digest, VotePosition};
use ledger_storage::log::LogPosition;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A block that the engine finalized.
struct Finalized {
    /// The records that have to be durable before anyone hears of it.
    after: Option<Token>,
    block: Arc<Block>,
    ids: Arc<Vec<TransactionId>>,
    certificate: Arc<[u8]>,
    /// Where the log holds the payload; known once it is durable.
    position: Option<LogPosition>,
}

/// A block made for an open request.
pub(super) struct Proposal {
    pub(super) request: RequestId,
    pub(super) block: Arc<Block>,
    pub(super) ids: Arc<Vec<TransactionId>>,
}

/// See the [module](self).
pub(super) struct Driver {
    pipeline: usize,
    block_interval_ms: u64,
    heartbeat_ms: Option<u64>,
    /// The engine's open request, and the parent to extend.
    request: Option<(RequestId, Header)>,
    /// Blocks handed to the engine and not finalized yet, by header digest.
    proposed: BTreeMap<Digest, (Arc<Block>, Arc<Vec<TransactionId>>)>,
    /// Finalized blocks that wait for their records.
    undurable: VecDeque<Finalized>,
    /// Finalized, durable blocks that wait for execution; the first one is being executed if `executing`.
    unapplied: VecDeque<Finalized>,
    executing: bool,
    /// The history that has been executed.
    applied: HistoryHead,
    /// Roots of recent histories by size, to hold finalized headers against.
    heads: BTreeMap<u64, Digest>,
    /// The newest block with transactions whose outcome no proposed header commits to yet.
    owed: Option<Height>,
    /// How much history the newest checkpoint commits to.
    certified: u64,
    last_block: Timestamp,
    next_token: u64,
    durable: Option<Token>,
    /// For each height: which record of which token is its payload.
    payloads: BTreeMap<Height, (Token, usize)>,
}

impl Driver {
    pub(super) fn new(config: &CoreConfig, lag: u64) -> Self {
        Driver {
            pipeline: usize::try_from(config.pipeline.clamp(1, lag.max(1))).unwrap_or(usize::MAX),
            block_interval_ms: config.block_interval_ms,
            heartbeat_ms: config.heartbeat_ms,
            request: None,
            proposed: BTreeMap::new(),
            undurable: VecDeque::new(),
            unapplied: VecDeque::new(),
            executing: false,
            applied: HistoryHead::EMPTY,
            heads: BTreeMap::new(),
            owed: None,
            certified: 0,
            last_block: Timestamp(0),
            next_token: 0,
            durable: None,
            payloads: BTreeMap::new(),
        }
    }

    pub(super) fn start(&mut self, start: Start) {
        self.applied = start.history;
        self.heads.insert(start.history.size, start.history.root);
        self.owed = start.owed;
        self.certified = start.checkpoint.header.history.size;
        self.last_block = start.checkpoint.header.timestamp;
    }

    pub(super) fn asked_to_propose(&mut self, request: RequestId, parent: Header) {
        self.request = Some((request, parent));
    }

    /// Whether nothing is under way but what waits for new transactions.
    pub(super) fn is_idle(&self) -> bool {
        let committed = self.owed.is_none_or(|owed| self.certified > owed.0);
        self.undurable.is_empty() && self.unapplied.is_empty() && committed
    }

    fn in_pipeline(&self) -> usize {
        self.proposed.len() + self.undurable.len() + self.unapplied.len()
    }

    /// Whether `parent` leaves an outcome uncommitted that is known by now.
    fn owes_closing(&self, parent: &Header) -> bool {
        self.owed.is_some_and(|owed| parent.history.size <= owed.0 && self.applied.size > owed.0)
    }

    fn heartbeat_due(&self, parent: &Header) -> Option<Timestamp> {
        self.heartbeat_ms.map(|interval| parent.timestamp.plus(interval))
    }

    /// When time alone gives something to propose.
    pub(super) fn wake_at(&self, now: Timestamp, executable: bool) -> Option<Timestamp> {
        let (_, parent) = self.request.as_ref()?;
        if self.in_pipeline() >= self.pipeline {
            return None;
        }
        let interval = executable.then(|| self.last_block.plus(self.block_interval_ms)).filter(|at| *at > now);
        [interval, self.heartbeat_due(parent)].into_iter().flatten().min()
    }

    /// A block for the open request, if there is something to order and room in the pipeline.
    pub(super) fn make_proposal(
        &mut self,
        now: Timestamp,
        mempool: &mut Mempool,
        rules: &Rules,
        effects: &mut Vec<Effect>,
    ) -> Option<Proposal> {
        let (_, parent) = self.request.as_ref()?;
        if self.in_pipeline() >= self.pipeline {
            return None;
        }
        let timestamp = now.max(parent.timestamp);
        let due = now >= self.last_block.plus(self.block_interval_ms);
        let mut taken = crate::mempool::Taken::default();
        if mempool.executable() > 0 && due {
            taken = mempool.take(timestamp, rules);
            effects.extend(taken.dropped.into_iter().map(|(id, reason)| Effect::Drop { id, reason }));
        }
        let heartbeat = self.heartbeat_due(parent).is_some_and(|at| now >= at);
        if taken.transactions.is_empty() && !self.owes_closing(parent) && !heartbeat {
            return None;
        }
        let (request, parent) = self.request.take()?;
        let mut ids = Vec::with_capacity(taken.transactions.len());
        let mut transactions = Vec::with_capacity(taken.transactions.len());
        for (id, transaction) in taken.transactions {
            ids.push(id);
            transactions.push(Arc::unwrap_or_clone(transaction));
        }
        let header = Header {
            version: HEADER_VERSION,
            chain: parent.chain,
            height: parent.height.next(),
            parent: parent.digest(),
            timestamp,
            transactions_root: Block::transactions_root(&transactions),
            history: self.applied,
            epoch: parent.epoch,
            seal: codec::Bytes::default(),
        };
        if !transactions.is_empty() {
            self.owed = Some(header.height);
            self.last_block = now;
        }
        let block = Arc::new(Block { header, transactions: transactions.into() });
        Some(Proposal { request, block, ids: Arc::new(ids) })
    }

    /// Remembers a block until the engine has finalized it.
    pub(super) fn proposed(&mut self, block: Arc<Block>, ids: Arc<Vec<TransactionId>>) {
        self.proposed.insert(block.digest(), (block, ids));
    }

    /// Numbers a group of records.
    pub(super) fn persist(&mut self, records: Vec<Record>, voted: Option<VotePosition>) -> (Token, Effect) {
        self.next_token += 1;
        let token = Token(self.next_token);
        for (index, record) in records.iter().enumerate() {
            if record.kind == RecordKind::Payload {
                self.payloads.insert(record.height, (token, index));
            }
        }
        (token, Effect::Persist { token, records, voted })
    }

    /// The engine finalized a block, to be acted upon once the records of `after` are durable.
    pub(super) fn finalized(
        &mut self,
        after: Option<Token>,
        header: Header,
        payload: &Arc<[u8]>,
        certificate: Arc<[u8]>,
    ) -> Option<Stop> {
        let height = header.height;
        let (block, ids) = match self.proposed.remove(&header.digest()) {
            Some(known) => known,
            None => match codec::decode::<Block>(payload) {
                Ok(block) => {
                    let ids = block.transactions.iter().map(ledger_core::SignedTransaction::id).collect();
                    (Arc::new(block), Arc::new(ids))
                }
                Err(error) => return Some(Stop::Apply { height, reason: error.to_string() }),
            },
        };
        // A record needed here may stem from an earlier step than the one that finalizes.
        let after = after.max(self.payloads.get(&height).map(|(token, _)| *token));
        self.undurable.push_back(Finalized { after, block, ids, certificate, position: None });
        None
    }

    /// The records of `token` are durable: what waited for them goes on.
    pub(super) fn persisted(
        &mut self,
        token: Token,
        positions: &[LogPosition],
        effects: &mut Vec<Effect>,
    ) -> Option<Stop> {
        self.durable = self.durable.max(Some(token));
        for finalized in &mut self.undurable {
            if let Some((payload_token, index)) = self.payloads.get(&finalized.block.header.height)
                && *payload_token == token
            {
                finalized.position = positions.get(*index).copied();
            }
        }
        while self.undurable.front().is_some_and(|first| first.after <= self.durable) {
            let Some(finalized) = self.undurable.pop_front() else { break };
            let header = &finalized.block.header;
            self.payloads.remove(&header.height);
            if let Some(stop) = self.check_history(header) {
                return Some(stop);
            }
            let (block, ids) = (Arc::clone(&finalized.block), Arc::clone(&finalized.ids));
            effects.push(Effect::Ordered { block, ids });
            if header.history.size > self.certified {
                self.certified = header.history.size;
                let certificate = codec::Bytes::from(finalized.certificate.to_vec());
                effects.push(Effect::Certified(Arc::new(Checkpoint { header: header.clone(), certificate })));
            }
            self.unapplied.push_back(finalized);
        }
        self.execute_next(effects)
    }

    /// A finalized header must commit to the history that execution gives here.
    fn check_history(&mut self, header: &Header) -> Option<Stop> {
        let HistoryHead { size, root: expected } = header.history;
        let found = self.heads.get(&size).copied()?;
        self.heads = self.heads.split_off(&size);
        (found != expected).then_some(Stop::Diverged { height: header.height, size, expected, found })
    }

    fn execute_next(&mut self, effects: &mut Vec<Effect>) -> Option<Stop> {
        if self.executing {
            return None;
        }
        let first = self.unapplied.front()?;
        let height = first.block.header.height;
        let Some(position) = first.position else {
            return Some(Stop::Apply { height, reason: "its payload was never persisted".to_owned() });
        };
        self.executing = true;
        let (block, certificate) = (Arc::clone(&first.block), Arc::clone(&first.certificate));
        effects.push(Effect::Execute(Execute { block, certificate, position }));
        None
    }

    /// The first unapplied block has been executed and stored: gives it back, and goes on with the next.
    pub(super) fn applied(&mut self, applied: &Applied, effects: &mut Vec<Effect>) -> Result<Arc<Block>, Stop> {
        let height = applied.outcome.height;
        let finalized = match self.unapplied.pop_front() {
            Some(first) if self.executing && first.block.header.height == height => first,
            _ => return Err(Stop::Apply { height, reason: "it was not the block to be executed".to_owned() }),
        };
        self.executing = false;
        self.applied = applied.history;
        self.heads.insert(applied.history.size, applied.history.root);
        effects.push(Effect::Executed { height });
        match self.execute_next(effects) {
            Some(stop) => Err(stop),
            None => Ok(finalized.block),
        }
    }
}
