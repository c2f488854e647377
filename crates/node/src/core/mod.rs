//! A chain's core: mempool, driver and consensus engine as one synchronous value.
//!
//! Time, disk results and execution results come in as [`Event`]s, everything to be done goes out as [`Effect`]s. The
//! tokio shell and the simulator drive the same [`ChainCore::step`]; nothing here knows a clock, a thread or a file.
//!
//! ```text
//!  Submit ─▶ reserve ─▶ Check… ─▶ Checked ─▶ mempool ─┐
//!                                                     ▼ Propose (consensus)
//!  Persisted ◀─ log ◀─ Persist ◀─ consensus ◀─ Proposed: a block that commits to the newest history applied
//!      │
//!      └▶ Finalize ─▶ Ordered ─▶ Execute ─▶ Applied ─▶ Executed ─▶ (a later header commits to it) ─▶ Certified
//! ```

mod driver;
mod events;

pub use events::{
    Applied, Ask, CheckFailure, CheckId, Effect, Event, Execute, ReadId, Start, Stop, SubmitError, Token,
};

use crate::mempool::{Mempool, MempoolConfig};
use driver::Driver;
use ledger_consensus::{Consensus, Input, Output};
use ledger_core::{ChainId, Header, Rules, SignedTransaction, Timestamp, TransactionId, codec};
use ledger_crypto::VotePosition;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A core's bounds and habits. Node-local: two nodes of a chain may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreConfig {
    /// The mempool's bounds.
    pub mempool: MempoolConfig,
    /// How many blocks may be ordered and not yet executed before no more are proposed (default 2). It is cut to the
    /// rules' lag.
    pub pipeline: u64,
    /// The shortest time between two blocks with transactions, in ms (default 0: as fast as they are executed).
    pub block_interval_ms: u64,
    /// Propose an empty block when there was none for this long, in ms (default none), so that agreed time moves on.
    pub heartbeat_ms: Option<u64>,
}

impl Default for CoreConfig {
    fn default() -> Self {
        CoreConfig { mempool: MempoolConfig::default(), pipeline: 2, block_interval_ms: 0, heartbeat_ms: None }
    }
}

/// The core of one chain.
pub struct ChainCore {
    chain: ChainId,
    rules: Rules,
    consensus: Box<dyn Consensus>,
    driver: Driver,
    mempool: Mempool,
    asks: BTreeMap<TransactionId, Ask>,
    closed: bool,
    stopped: Option<Stop>,
    wake: Option<Timestamp>,
}

impl ChainCore {
    /// A core that waits for [`Event::Start`].
    pub fn new(chain: ChainId, rules: Rules, consensus: Box<dyn Consensus>, config: CoreConfig) -> Self {
        ChainCore {
            chain,
            driver: Driver::new(&config, rules.lag),
            mempool: Mempool::new(config.mempool),
            rules,
            consensus,
            asks: BTreeMap::new(),
            closed: false,
            stopped: None,
            wake: None,
        }
    }

    /// Takes one event and appends what follows from it to `effects`. `now` must not run backwards.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        if let Some(stop) = &self.stopped {
            if let Event::Submit { ask, transaction } = event {
                let answer = Err(SubmitError::Stopped(stop.clone()));
                effects.push(Effect::Answer { ask, id: transaction.id(), answer });
            }
            return;
        }
        match event {
            Event::Start(start) => {
                let tip = start.checkpoint.header.clone();
                effects.push(Effect::Certified(Arc::new(start.checkpoint.clone())));
                self.driver.start(start);
                self.consensus(now, Input::Start { tip }, effects);
            }
            Event::Submit { ask, transaction } => self.submit(now, ask, transaction, effects),
            Event::Checked { id, verdict } => self.checked(id, verdict, effects),
            Event::Persisted { token, positions } => {
                let diverged = self.driver.persisted(token, &positions, effects);
                self.stop_if(diverged, effects);
            }
            Event::Applied(applied) => self.applied(now, applied, effects),
            Event::Wake => {
                self.wake = None;
                for (id, reason) in self.mempool.prune(now) {
                    effects.push(Effect::Drop { id, reason });
                }
            }
            Event::Close => self.closed = true,
            // Peers come with the next change.
            Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::Received { .. }
            | Event::Timer(_)
            | Event::SignaturesChecked { .. }
            | Event::BlocksRead { .. } => {}
        }
        self.propose(now, effects);
        self.ask_for_wake(now, effects);
    }

    /// Stops the chain from outside: a part of the shell has failed.
    pub fn stop(&mut self, stop: Stop, effects: &mut Vec<Effect>) {
        self.stop_if(Some(stop), effects);
    }

    /// Whether nothing is under way: an accepted transaction, an unexecuted block, an outcome to be committed to.
    pub fn is_idle(&self) -> bool {
        self.stopped.is_some() || (self.mempool.executable() == 0 && self.driver.is_idle())
    }

    /// The mempool, for metrics.
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    fn stop_if(&mut self, stop: Option<Stop>, effects: &mut Vec<Effect>) {
        if let (Some(stop), None) = (stop, &self.stopped) {
            for (id, ask) in std::mem::take(&mut self.asks) {
                effects.push(Effect::Answer { ask, id, answer: Err(SubmitError::Stopped(stop.clone())) });
            }
            effects.push(Effect::Stop(stop.clone()));
            self.stopped = Some(stop);
        }
    }

    fn submit(&mut self, now: Timestamp, ask: Ask, transaction: Arc<SignedTransaction>, effects: &mut Vec<Effect>) {
        let id = transaction.id();
        let size = codec::encoded_length(&*transaction);
        let reserved = if self.closed {
            Err(SubmitError::Closed)
        } else {
            self.rules
                .check(&transaction, &self.chain)
                .map_err(SubmitError::from)
                .and_then(|()| self.mempool.reserve(now, id, Arc::clone(&transaction), size).map_err(SubmitError::from))
        };
        match reserved {
            Ok(()) => {
                self.asks.insert(id, ask);
                effects.push(Effect::Check { id, transaction });
            }
            Err(error) => effects.push(Effect::Answer { ask, id, answer: Err(error) }),
        }
    }

    fn checked(&mut self, id: TransactionId, verdict: Result<u64, CheckFailure>, effects: &mut Vec<Effect>) {
        let Some(ask) = self.asks.remove(&id) else { return };
        let answer = match verdict {
            Ok(next) => self.mempool.admit(&id, next).map_err(SubmitError::from),
            Err(failure) => {
                self.mempool.refuse(&id);
                Err(failure.into())
            }
        };
        effects.push(Effect::Answer { ask, id, answer });
    }

    fn applied(&mut self, now: Timestamp, applied: Applied, effects: &mut Vec<Effect>) {
        let (height, history) = (applied.outcome.height, applied.history);
        match self.driver.applied(&applied, effects) {
            Ok(block) => {
                let results = block.transactions.iter().zip(applied.results.iter());
                let dropped =
                    self.mempool.applied(results.map(|(transaction, result)| {
                        (transaction, result.receipt.transaction, &result.receipt.status)
                    }));
                for (id, reason) in dropped {
                    effects.push(Effect::Drop { id, reason });
                }
                self.consensus(now, Input::Applied { height, history }, effects);
            }
            Err(stop) => self.stop_if(Some(stop), effects),
        }
    }

    /// Answers an open request for a proposal, if there is something to order.
    fn propose(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while self.stopped.is_none() {
            let Some(proposal) = self.driver.make_proposal(now, &mut self.mempool, &self.rules, effects) else {
                return;
            };
            let block = proposal.block;
            let header: Header = block.header.clone();
            let payload: Arc<[u8]> = codec::encode(&*block).into();
            self.driver.proposed(block, proposal.ids);
            self.consensus(now, Input::Proposed { request: proposal.request, header, payload }, effects);
        }
    }

    /// One step of the engine, and what it asks for. Records are persisted as one group; whatever else the step asks for
    /// waits behind them.
    fn consensus(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        let mut outputs = Vec::new();
        self.consensus.step(now, input, &mut outputs);
        let mut records = Vec::new();
        let mut voted: Option<VotePosition> = None;
        let mut rest = Vec::new();
        for output in outputs {
            match output {
                Output::Persist(record) => records.push(record),
                Output::Voted(position) => voted = Some(position),
                other => rest.push(other),
            }
        }
        let after = if records.is_empty() {
            None
        } else {
            let (token, effect) = self.driver.persist(records, voted);
            effects.push(effect);
            Some(token)
        };
        for output in rest {
            match output {
                Output::Propose { request, parent } => self.driver.asked_to_propose(request, parent),
                Output::Finalize { header, payload, certificate } => {
                    let stop = self.driver.finalized(after, header, &payload, certificate);
                    self.stop_if(stop, effects);
                }
                Output::Halt(halt) => self.stop_if(Some(Stop::Consensus(halt)), effects),
                _ => {}
            }
        }
    }

    fn ask_for_wake(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let driver = self.driver.wake_at(now, self.mempool.executable() > 0);
        let wanted = [self.mempool.prune_at(), driver].into_iter().flatten().min();
        if let Some(at) = wanted
            && self.stopped.is_none()
            && self.wake.is_none_or(|wake| at < wake)
        {
            self.wake = Some(at);
            effects.push(Effect::Wake(at));
        }
    }
}

impl std::fmt::Debug for ChainCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainCore")
            .field("chain", &self.chain)
            .field("mempool", &self.mempool.len())
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}
