//! A chain's core: mempool, driver and consensus engine as one synchronous value.
//!
//! Time, messages, disk results and execution results come in as [`Event`]s, everything to be done goes out as
//! [`Effect`]s. The tokio shell and the simulator drive the same [`ChainCore::step`]; nothing here knows a clock, a
//! thread, a file or a socket.
//!
//! ```text
//!  Submit ─▶ reserve ─▶ Check… ─▶ Checked ─▶ mempool ─┬─▶ gossip to the validators
//!                                                     ▼ Propose (consensus)
//!  Persisted ◀─ log ◀─ Persist ◀─ consensus ◀─ Proposed: a block that commits to the newest history applied
//!      │                            ▲  │ Send, Verify, CheckSignatures
//!      │           Received, Timer ─┘  └─▶ others' blocks: bytes, signatures, history head ─▶ Verified
//!      └▶ Finalize ─▶ Ordered ─▶ Execute ─▶ Applied ─▶ Executed ─▶ (a later header commits to it) ─▶ Certified
//!                        ▲
//!      blocks with certificates from peers (sync), when this node is behind
//! ```
//! *Persist first:* whatever a step sends waits until all records handed out so far are durable.

mod blocks;
mod config;
mod driver;
mod events;
mod gossip;
pub mod join;
mod network;
mod proposals;
mod serve;
mod sync;
mod sync_message;
mod verify;

pub use config::CoreConfig;
pub use events::{
    Applied, Ask, CheckFailure, CheckId, Effect, Event, Execute, FinalBlock, LoggedPayload, ReadId, Start, Stop,
    SubmitError, Token,
};
pub use gossip::Gossip;
pub use sync::SyncConfig;
pub use sync_message::{Holding, Offer, PART_BYTES, SyncBlock, SyncMessage};

use crate::ids::IdMap;
use crate::mempool::{Mempool, Refusal};
use driver::Driver;
use gossip::Spreader;
use ledger_consensus::{Consensus, Input, Output, RequestId};
use ledger_core::{
    ChainId, Finality, Genesis, GenesisError, Rules, SignedTransaction, Timestamp, TransactionId, ValidatorSet, codec,
    finality,
};
use ledger_crypto::{PublicKey, VotePosition};
use proposals::Proposals;
use serve::Serving;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use sync::Sync;
use verify::{Begun, Surroundings, Verification};

/// Who handed in a transaction.
enum Source {
    Client(Ask),
    Peer(PublicKey),
}

/// Who asked for signatures to be checked.
enum Asked {
    Engine(RequestId),
    Block(RequestId),
    Sync(sync::Checking),
}

/// The core of one chain.
pub struct ChainCore {
    chain: ChainId,
    rules: Rules,
    /// The other validators: transactions are handed on to them, votes and blocks are sent to them.
    validators: Vec<PublicKey>,
    /// Whether an engine takes part in deciding.
    votes: bool,
    /// Whether the engine decides nothing at all.
    follows: bool,
    finality: Box<dyn Finality>,
    consensus: Box<dyn Consensus>,
    /// What the engine has still to be told.
    inputs: VecDeque<Input>,
    driver: Driver,
    proposals: Proposals,
    verification: Verification,
    sync: Sync,
    serving: Serving,
    spreader: Spreader,
    mempool: Mempool,
    /// Looked up; walked in the order of ids when the chain stops.
    sources: IdMap<TransactionId, Source>,
    checks: BTreeMap<CheckId, Asked>,
    next_check: u64,
    /// Sends that wait for records.
    outbox: VecDeque<(Token, Effect)>,
    /// What the engine was told last.
    work: bool,
    /// When a block was finalized last.
    moved: Timestamp,
    closed: bool,
    stopped: Option<Stop>,
    wake: Option<Timestamp>,
}

impl ChainCore {
    /// A core that waits for [`Event::Start`]. `node` is this node's key among its peers; a chain of one owner needs none.
    ///
    /// # Errors
    /// [`GenesisError`] when the genesis makes no chain.
    pub fn new(
        genesis: &Genesis,
        node: Option<PublicKey>,
        consensus: Box<dyn Consensus>,
        config: CoreConfig,
    ) -> Result<Self, GenesisError> {
        let finality = genesis.finality()?;
        let mut validators = Vec::new();
        if genesis.engine.name.as_str() == finality::BFT
            && let Ok(set) = ValidatorSet::from_bytes(&genesis.engine.parameters)
        {
            validators.extend(set.as_slice().iter().map(|validator| validator.key));
        }
        let votes = validators.is_empty() || node.is_some_and(|node| validators.contains(&node));
        validators.retain(|key| Some(*key) != node);
        Ok(ChainCore {
            chain: genesis.chain(),
            validators,
            votes,
            follows: false,
            finality,
            driver: Driver::new(genesis.header()),
            proposals: Proposals::new(&config, genesis.rules.lag),
            verification: Verification::default(),
            sync: Sync::new(&config, genesis.rules.max_block_bytes as usize),
            serving: Serving::default(),
            spreader: Spreader::default(),
            mempool: Mempool::new(config.mempool),
            rules: genesis.rules.clone(),
            consensus,
            inputs: VecDeque::new(),
            sources: IdMap::default(),
            checks: BTreeMap::new(),
            next_check: 0,
            outbox: VecDeque::new(),
            work: false,
            moved: Timestamp(0),
            closed: false,
            stopped: None,
            wake: None,
        })
    }

    /// Says that the engine decides nothing: what a chain owes is others' to order, and isn't waited for.
    pub fn follow(&mut self) {
        self.follows = true;
    }

    /// Takes one event and appends what follows from it to `effects`. `now` must not run backwards.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        self.take(now, event, effects);
        self.conclude(now, effects);
    }

    /// Takes one of several events that have come together; [`conclude`](Self::conclude) has to follow the last one.
    pub(crate) fn take(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
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
                self.moved = now;
                effects.push(Effect::Certified(Arc::new(start.checkpoint.clone())));
                self.proposals.start(&tip);
                self.driver.start(start);
                self.tell(now, Input::Start { tip }, effects);
            }
            Event::Submit { ask, transaction } => self.submit(now, ask, transaction, effects),
            Event::Checked { id, verdict } => self.checked(now, id, verdict, effects),
            Event::Persisted { token, positions } => {
                let diverged = self.driver.persisted(token, &positions, effects);
                self.stop_if(diverged, effects);
                self.flush_outbox(effects);
            }
            Event::Applied(applied) => self.applied(now, applied, effects),
            Event::Wake => {
                self.wake = None;
                for (id, reason) in self.mempool.prune(now) {
                    effects.push(Effect::Drop { id, reason });
                }
            }
            Event::Close => self.closed = true,
            Event::Connected { peer } => self.connected(now, peer, effects),
            Event::Disconnected { peer } => {
                self.sync.disconnected(now, &peer);
                self.serving.disconnected(&peer);
            }
            Event::Received { from, lane, bytes } => self.received(now, from, lane, bytes, effects),
            Event::Timer(id) => self.tell(now, Input::Timer(id), effects),
            Event::SignaturesChecked { check, valid } => self.signatures_checked(now, check, valid, effects),
            Event::BlocksRead { read, blocks } => effects.extend(self.sync.read(read, &blocks)),
            Event::SnapshotRead { read, holding } => effects.extend(self.serving.snapshot_read(read, holding)),
            Event::PieceRead { read, bytes } => effects.extend(self.serving.piece_read(read, bytes)),
        }
    }

    /// Does what the events that were taken make possible: whether there is something to propose, to ask peers for or to
    /// hand on to them doesn't change with each of a thousand transactions.
    pub(crate) fn conclude(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.stopped.is_some() {
            return;
        }
        self.propose(now, effects);
        self.catch_up(now, effects);
        self.tell_of_work(now, effects);
        self.spread(now, effects);
        self.ask_for_wake(now, effects);
    }

    /// Stops the chain from outside: a part of the shell has failed.
    pub fn stop(&mut self, stop: Stop, effects: &mut Vec<Effect>) {
        self.stop_if(Some(stop), effects);
    }

    /// Whether nothing is under way here: an unexecuted block, and, where this node decides alone, an accepted
    /// transaction or an outcome to be committed to. What others have to decide isn't waited for.
    pub fn is_idle(&self) -> bool {
        let alone = self.decides_alone();
        self.stopped.is_some()
            || (self.driver.is_settled() && (!alone || (self.mempool.executable() == 0 && self.driver.is_idle())))
    }

    /// Bounds how many blocks may be ordered or proposed and not yet executed, and how many transactions this node puts
    /// into one, where that is less than what is configured, until it is called again. While a host's other chains keep
    /// its processors busy, fewer blocks cost all of them less; and small ones keep none of them waiting for long.
    pub fn limit(&mut self, pipeline: u64, transactions: usize) {
        self.proposals.limit(pipeline, transactions);
    }

    /// Says how many blocks are given out to be executed at once (1 at the beginning): with 2, the next one can be
    /// executed while one is being stored.
    pub fn execute_ahead(&mut self, blocks: usize) {
        self.driver.execute_ahead(blocks);
    }

    /// Says whether a block that would wait for the execution of another one is made only once it has three quarters as
    /// many transactions (it doesn't wait at the beginning).
    pub fn gather(&mut self, gathers: bool) {
        self.proposals.gather(gathers);
    }

    /// Whether the chain has stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Whether nobody else has a say in what this node orders.
    pub fn decides_alone(&self) -> bool {
        self.validators.is_empty() && !self.follows
    }

    /// Whether every block that is ordered is executed.
    pub fn is_settled(&self) -> bool {
        self.driver.is_settled()
    }

    /// Whether this node would propose a block now, were it not [held](Self::hold).
    pub fn wants_block(&self, now: Timestamp) -> bool {
        self.stopped.is_none() && self.proposals.wants(now, &self.driver, &self.mempool)
    }

    /// Says whether this node proposes nothing until it is told otherwise (it isn't held at the beginning). A host lets its
    /// chains make blocks in turns while many have some to make; what comes in meanwhile goes into the same block.
    pub fn hold(&mut self, held: bool) {
        self.proposals.hold(held);
    }

    /// The mempool, for metrics.
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    fn stop_if(&mut self, stop: Option<Stop>, effects: &mut Vec<Effect>) {
        if let (Some(stop), None) = (stop, &self.stopped) {
            // Whoever is told by an answer finds it said of the chain as well.
            effects.push(Effect::Stop(stop.clone()));
            let mut sources: Vec<_> = std::mem::take(&mut self.sources).into_iter().collect();
            sources.sort_unstable_by_key(|(id, _)| *id);
            for (id, source) in sources {
                if let Source::Client(ask) = source {
                    effects.push(Effect::Answer { ask, id, answer: Err(SubmitError::Stopped(stop.clone())) });
                }
            }
            self.outbox.clear();
            self.inputs.clear();
            // Nobody will order it, and it takes room that other chains of the host could use.
            self.mempool.clear();
            self.stopped = Some(stop);
        }
    }

    fn submit(&mut self, now: Timestamp, ask: Ask, transaction: Arc<SignedTransaction>, effects: &mut Vec<Effect>) {
        let id = transaction.id();
        let reserved =
            if self.closed { Err(SubmitError::Closed) } else { self.reserve(now, id, Arc::clone(&transaction)) };
        match reserved {
            Ok(()) => {
                self.sources.insert(id, Source::Client(ask));
                effects.push(Effect::Check { id, transaction });
            }
            Err(error) => effects.push(Effect::Answer { ask, id, answer: Err(error) }),
        }
    }

    fn reserve(
        &mut self,
        now: Timestamp,
        id: TransactionId,
        transaction: Arc<SignedTransaction>,
    ) -> Result<(), SubmitError> {
        let size = codec::encoded_length(&*transaction);
        self.rules.check(&transaction, &self.chain)?;
        self.rules.check_expiry(&transaction.transaction, now).map_err(Refusal::from)?;
        Ok(self.mempool.reserve(now, id, transaction, size)?)
    }

    fn checked(
        &mut self,
        now: Timestamp,
        id: TransactionId,
        verdict: Result<u64, CheckFailure>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(source) = self.sources.remove(&id) else { return };
        let answer = match verdict {
            Ok(next) => self.mempool.admit(&id, next).map_err(SubmitError::from),
            Err(failure) => {
                self.mempool.refuse(&id);
                if let (Source::Peer(peer), CheckFailure::Transaction(_)) = (&source, &failure) {
                    self.spreader.strike(now, *peer);
                }
                Err(failure.into())
            }
        };
        if let Source::Client(ask) = source {
            if answer.is_ok()
                && !self.validators.is_empty()
                && let Some(transaction) = self.mempool.get(&id)
            {
                self.spreader.add(Arc::clone(transaction));
            }
            effects.push(Effect::Answer { ask, id, answer });
        }
    }

    fn applied(&mut self, now: Timestamp, applied: Applied, effects: &mut Vec<Effect>) {
        let (height, history) = (applied.outcome.height, applied.history);
        match self.driver.applied(&applied, effects) {
            Ok(block) => {
                let results = block.transactions.iter().zip(applied.execution.results.iter());
                let dropped =
                    self.mempool.applied(results.map(|(transaction, result)| {
                        (transaction, result.receipt.transaction, &result.receipt.status)
                    }));
                for (id, reason) in dropped {
                    effects.push(Effect::Drop { id, reason });
                }
                for (request, verdict) in self.verification.executed(&self.driver) {
                    self.inputs.push_back(Input::Verified { request, verdict });
                }
                self.tell(now, Input::Applied { height, history }, effects);
            }
            Err(stop) => self.stop_if(Some(stop), effects),
        }
    }

    /// Answers an open request for a proposal, if there is something to order.
    fn propose(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while self.stopped.is_none() {
            let made = self.proposals.make(now, &self.driver, &mut self.mempool, &self.rules, effects);
            let Some(proposal) = made else { return };
            let block = &proposal.known.block;
            let (header, payload) = (block.header.clone(), codec::encode(&**block).into());
            self.driver.blocks.insert(header.digest(), proposal.known);
            self.tell(now, Input::Proposed { request: proposal.request, header, payload }, effects);
        }
    }

    /// Tells the engine whether there is something to order, when that has changed.
    fn tell_of_work(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let work = self.proposals.has_work(now, &self.driver, &self.mempool);
        if work != self.work && self.stopped.is_none() {
            self.work = work;
            self.tell(now, Input::Work(work), effects);
        }
    }

    /// Tells the engine something, and carries out what it asks for, until it asks for nothing more.
    fn tell(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let mut outputs = Vec::new();
            self.consensus.step(now, input, &mut outputs);
            self.carry_out(now, outputs, effects);
        }
    }

    /// Records are persisted as one group; whatever else the step asks for waits behind them.
    fn carry_out(&mut self, now: Timestamp, outputs: Vec<Output>, effects: &mut Vec<Effect>) {
        let mut records = Vec::new();
        let mut voted: Option<VotePosition> = None;
        let mut rest = Vec::new();
        for output in outputs {
            match output {
                Output::Persist(record) => records.push(record),
                Output::Voted(position) => voted = voted.max(Some(position)),
                other => rest.push(other),
            }
        }
        let mut after = None;
        if !records.is_empty() {
            let (token, effect) = self.driver.persist(records, voted);
            effects.push(effect);
            after = Some(token);
        }
        for output in rest {
            if self.stopped.is_some() {
                return;
            }
            match output {
                Output::Propose { request, parent } => self.proposals.asked(now, request, parent),
                Output::Withdraw { request } => self.proposals.withdrawn(request),
                Output::Finalize { header, payload, certificate } => {
                    self.finalize(now, after, header, &payload, certificate, effects);
                }
                Output::Halt(halt) => self.stop_if(Some(Stop::Consensus(halt)), effects),
                Output::Send { to, lane, bytes } => self.send(Effect::Send { to, lane, bytes }, effects),
                Output::Broadcast { lane, bytes } => {
                    for index in 0..self.validators.len() {
                        if let Some(to) = self.validators.get(index).copied() {
                            self.send(Effect::Send { to, lane, bytes: Arc::clone(&bytes) }, effects);
                        }
                    }
                }
                Output::SetTimer { id, after } => effects.push(Effect::SetTimer { id, at: now.plus(after) }),
                Output::Verify { request, parent, header, payload } => {
                    let around = Surroundings { now, rules: &self.rules, mempool: &self.mempool, moved: self.moved };
                    let begun = self.verification.begin(request, &parent, header, &payload, &mut self.driver, &around);
                    match begun {
                        Begun::Verdict(verdict) => self.inputs.push_back(Input::Verified { request, verdict }),
                        Begun::Check(checks) => self.check(Asked::Block(request), checks, effects),
                        Begun::Waits => {}
                    }
                }
                Output::Check { request, checks } => self.check(Asked::Engine(request), checks, effects),
                Output::FellBehind { to, .. } => self.sync.fell_behind(now, &to),
                Output::Evidence(evidence) => effects.push(Effect::Evidence(evidence)),
                _ => {}
            }
        }
    }

    fn finalize(
        &mut self,
        now: Timestamp,
        after: Option<Token>,
        header: ledger_core::Header,
        payload: &Arc<[u8]>,
        certificate: Arc<[u8]>,
        effects: &mut Vec<Effect>,
    ) {
        match self.driver.finalize(after, header, payload, certificate) {
            Ok(known) => {
                self.moved = now;
                self.mempool.ordered(known.transactions());
                let diverged = self.driver.go_on(effects);
                self.stop_if(diverged, effects);
            }
            Err(stop) => self.stop_if(Some(stop), effects),
        }
    }

    fn check(&mut self, asked: Asked, checks: Vec<ledger_core::SignatureCheck>, effects: &mut Vec<Effect>) {
        self.next_check += 1;
        let check = CheckId(self.next_check);
        self.checks.insert(check, asked);
        effects.push(Effect::CheckSignatures { check, checks });
    }

    fn ask_for_wake(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let served = self.driver.served().map_or(self.driver.finalized().height, |served| served.header.height);
        let wanted = [
            self.mempool.prune_at(),
            self.proposals.wake_at(now, &self.driver, &self.mempool),
            self.sync.wake_at(now, served, self.driver.finalized().height),
            self.spreader.wake_at(),
        ];
        let wanted = wanted.into_iter().flatten().min();
        if let Some(at) = wanted
            && self.stopped.is_none()
            && self.wake.is_none_or(|wake| at < wake || wake <= now)
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
