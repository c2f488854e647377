//! Answering the engine's request for a block, and telling it whether there is something to order.

use super::CoreConfig;
use super::blocks::Known;
use super::driver::Driver;
use super::events::Effect;
use crate::mempool::{Ahead, Mempool, Taken};
use ledger_consensus::RequestId;
use ledger_core::{Block, HEADER_VERSION, Header, Rules, Timestamp, codec};
use std::sync::Arc;

/// The engine's open request.
struct Open {
    request: RequestId,
    /// The block to extend.
    parent: Header,
    since: Timestamp,
    /// The mempool's changes when nothing could be taken last.
    tried: Option<u64>,
}

/// A block made for an open request.
pub(super) struct Proposal {
    pub(super) request: RequestId,
    pub(super) known: Known,
}

/// Why a block is made.
struct Reason {
    /// The interval between blocks is over.
    due: bool,
    /// There are transactions that weren't tried yet.
    transactions: bool,
    /// It is wanted even without any.
    itself: bool,
}

/// See the [module](self).
pub(super) struct Proposals {
    /// As configured.
    most: u64,
    pipeline: u64,
    block_interval_ms: u64,
    heartbeat_ms: Option<u64>,
    /// As configured.
    most_transactions: usize,
    block_transactions: usize,
    held: bool,
    gathers: bool,
    open: Option<Open>,
    /// When this node last proposed transactions.
    last_block: Timestamp,
}

/// A proposer that has nothing new waits so long, in ms, before it proposes an empty block to finalize what came before:
/// as a rule that happens by itself in the meantime.
const GRACE_MS: u64 = 50;

impl Proposals {
    pub(super) fn new(config: &CoreConfig, lag: u64) -> Self {
        let most = config.pipeline.clamp(1, lag.max(1));
        Proposals {
            most,
            pipeline: most,
            block_interval_ms: config.block_interval_ms,
            heartbeat_ms: config.heartbeat_ms,
            most_transactions: config.block_transactions.max(1),
            block_transactions: config.block_transactions.max(1),
            held: false,
            gathers: false,
            open: None,
            last_block: Timestamp(0),
        }
    }

    /// Bounds the pipeline and a block's transactions below what is configured.
    pub(super) fn limit(&mut self, pipeline: u64, transactions: usize) {
        self.pipeline = pipeline.clamp(1, self.most);
        self.block_transactions = transactions.clamp(1, self.most_transactions);
    }

    /// Holds proposals back, or no longer.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Says whether a block behind one that isn't executed waits until it is worth it.
    pub(super) fn gather(&mut self, gathers: bool) {
        self.gathers = gathers;
    }

    pub(super) fn start(&mut self, tip: &Header) {
        self.last_block = tip.timestamp;
    }

    pub(super) fn asked(&mut self, now: Timestamp, request: RequestId, parent: Header) {
        self.open = Some(Open { request, parent, since: now, tried: None });
    }

    pub(super) fn withdrawn(&mut self, request: RequestId) {
        self.open.take_if(|open| open.request == request);
    }

    fn heartbeat_due(&self, parent: &Header) -> Option<Timestamp> {
        self.heartbeat_ms.map(|interval| parent.timestamp.plus(interval))
    }

    /// Whether the chain as it is final leaves an outcome uncommitted that is known by now.
    fn owes_closing(driver: &Driver) -> bool {
        let (finalized, applied) = (driver.finalized(), driver.applied_history());
        driver.newest_full().is_some_and(|full| finalized.history.size <= full.0 && applied.size > full.0)
    }

    /// Whether there is something to order, and execution has kept up. While it hasn't, nobody is to blame for silence.
    pub(super) fn has_work(&self, now: Timestamp, driver: &Driver, mempool: &Mempool) -> bool {
        let heartbeat = self.heartbeat_due(driver.finalized()).is_some_and(|at| now >= at);
        let wanted = mempool.executable() > 0 || Self::owes_closing(driver) || heartbeat;
        wanted && driver.backlog() < self.pipeline
    }

    /// When time alone gives something to propose, or to wait for from others.
    pub(super) fn wake_at(&self, now: Timestamp, driver: &Driver, mempool: &Mempool) -> Option<Timestamp> {
        let heartbeat = self.heartbeat_due(driver.finalized()).filter(|at| *at > now);
        let open = self.open.as_ref().filter(|open| self.has_room(open, driver));
        let interval = open.filter(|_| mempool.executable() > 0).map(|open| self.due_at(open, driver));
        let grace = open.filter(|open| open.parent.height > driver.finalized().height);
        let grace = grace.map(|open| open.since.plus(GRACE_MS));
        let own = open.and_then(|open| self.heartbeat_due(&open.parent));
        [interval, grace, own, heartbeat].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// When the next block with transactions may follow: counted from the newest one before it, whoever made that, but
    /// never longer than from when this node was asked, whatever another's clock says.
    fn due_at(&self, open: &Open, driver: &Driver) -> Timestamp {
        let ahead = driver.blocks.down_from(&open.parent, driver.finalized().height).unwrap_or_default();
        let full = ahead.iter().find(|known| !known.block.transactions.is_empty());
        let full = full.map_or(driver.newest_full_time(), |known| known.block.header.timestamp);
        self.last_block.max(full.min(open.since)).plus(self.block_interval_ms)
    }

    fn has_room(&self, open: &Open, driver: &Driver) -> bool {
        let ahead = open.parent.height.0.saturating_sub(driver.applied_height().0);
        // A parent may commit to more than this node has executed; nothing can follow it here until it has.
        ahead < self.pipeline && driver.applied_history().size >= open.parent.history.size
    }

    /// Whether a block is worth making now, or is so soon enough. Behind one that isn't executed it would wait for that, and
    /// one small block behind each large one would keep the two stages of execution from ever working at once.
    fn is_enough(&self, driver: &Driver, mempool: &Mempool) -> bool {
        let ahead = driver.newest_unapplied();
        !self.gathers || mempool.executable() >= (ahead - ahead / 4).min(self.block_transactions)
    }

    /// Why a block is to be made for the open request, if there is room in the pipeline.
    fn reason(&self, now: Timestamp, driver: &Driver, mempool: &Mempool) -> Option<Reason> {
        let open = self.open.as_ref().filter(|open| self.has_room(open, driver))?;
        let parent = &open.parent;
        let finalized = driver.finalized().height;
        let due = now >= self.due_at(open, driver);
        let untried = open.tried != Some(mempool.changes());
        let chain = driver.blocks.down_from(parent, finalized)?;
        let full_ahead = chain.iter().any(|known| !known.block.transactions.is_empty());
        let applied = driver.applied_history();
        let closes = !full_ahead
            && driver.newest_full().is_some_and(|full| parent.history.size <= full.0 && applied.size > full.0);
        let heartbeat = self.heartbeat_due(parent).is_some_and(|at| now >= at);
        // What this builds on was to be final by now: one more block makes it so.
        let stuck = parent.height > finalized
            && now >= open.since.plus(GRACE_MS)
            && (mempool.executable() > 0 || Self::owes_closing(driver));
        Some(Reason {
            due,
            transactions: mempool.executable() > 0 && due && untried && self.is_enough(driver, mempool),
            itself: closes || heartbeat || stuck,
        })
    }

    /// Whether [`make`](Self::make) would try to make a block, were it not held.
    pub(super) fn wants(&self, now: Timestamp, driver: &Driver, mempool: &Mempool) -> bool {
        self.reason(now, driver, mempool).is_some_and(|reason| reason.transactions || reason.itself)
    }

    /// A block for the open request, if there is something to order and room in the pipeline.
    pub(super) fn make(
        &mut self,
        now: Timestamp,
        driver: &Driver,
        mempool: &mut Mempool,
        rules: &Rules,
        effects: &mut Vec<Effect>,
    ) -> Option<Proposal> {
        if self.held {
            return None;
        }
        let reason = self.reason(now, driver, mempool)?;
        let parent = &self.open.as_ref()?.parent;
        // The newest first.
        let chain = driver.blocks.down_from(parent, driver.finalized().height)?;
        let timestamp = now.max(parent.timestamp);
        let mut taken = Taken::default();
        if reason.transactions {
            let mut ahead = Ahead::default();
            chain.iter().rev().for_each(|known| ahead.extend(known.transactions()));
            taken = mempool.take(timestamp, rules, self.block_transactions, &ahead);
            effects.extend(taken.dropped.drain(..).map(|(id, reason)| Effect::Drop { id, reason }));
        }
        // What was dropped may have been the reason.
        let itself = || self.reason(now, driver, mempool).is_some_and(|reason| reason.itself);
        if taken.transactions.is_empty() && !itself() {
            let changes = mempool.changes();
            if let Some(open) = &mut self.open
                && reason.due
            {
                open.tried = Some(changes);
            }
            return None;
        }
        let open = self.open.take()?;
        if !taken.transactions.is_empty() {
            self.last_block = now;
        }
        let history = driver.applied_history();
        Some(Proposal { request: open.request, known: assemble(&open.parent, timestamp, history, taken) })
    }
}

fn assemble(parent: &Header, timestamp: Timestamp, history: ledger_core::HistoryHead, taken: Taken) -> Known {
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
        history,
        epoch: parent.epoch,
        seal: codec::Bytes::default(),
    };
    Known { block: Arc::new(Block { header, transactions: transactions.into() }), ids: Arc::new(ids) }
}
