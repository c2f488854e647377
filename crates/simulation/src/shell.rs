//! Feeding events into cores and carrying out their effects, as a node's shell does, but in one thread and on one
//! simulated clock.

use crate::host::{Item, LiveChain, Waiting};
use crate::keys;
use crate::planted::PlantedBug;
use crate::report::Violation;
use crate::schedule::{Happening, Verdict};
use crate::stages::Step;
use crate::world::World;
use ledger_consensus::{Record, RecordKind};
use ledger_core::{Block, Executor, Rules, SignedTransaction, TransactionId};
use ledger_crypto::VotePosition;
use ledger_node::Applier;
use ledger_node::core::{Applied, CheckFailure, Effect, Event, Stop, Token};
use ledger_node::recovery::to_log;
use ledger_storage::chain::ChainReader;
use ledger_storage::log::{LogError, LogPosition};
use std::sync::{Arc, PoisonError};

impl World<'_> {
    pub(crate) fn live(&mut self, chain: usize) -> Option<&mut LiveChain> {
        self.host.as_mut()?.chains.get_mut(&chain)
    }

    /// Puts something into a chain's channel, and lets the chain go on as far as it can.
    pub(crate) fn deliver(&mut self, chain: usize, item: Item) -> Result<(), Violation> {
        let Some(live) = self.live(chain) else { return Ok(()) };
        live.inbox.push_back(item);
        self.pump(chain)
    }

    pub(crate) fn pump(&mut self, chain: usize) -> Result<(), Violation> {
        while !self.crashed() {
            let Some(live) = self.live(chain) else { return Ok(()) };
            if live.blocked {
                return Ok(());
            }
            if let Some(effect) = live.effects.pop_front() {
                self.carry_out(chain, effect)?;
            } else if let Some(item) = live.inbox.pop_front() {
                self.take_up(chain, item);
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take_up(&mut self, chain: usize, item: Item) {
        match item {
            Item::Event(event) => self.step(chain, event),
            Item::Durable { token, voted, outcome } => {
                let moved = outcome.map_err(|error| error.to_string()).and_then(|positions| {
                    self.advance_guard(chain, voted)?;
                    Ok(positions)
                });
                match moved {
                    Ok(positions) => self.step(chain, Event::Persisted { token, positions }),
                    Err(reason) => self.stop(chain, Stop::Log(reason)),
                }
            }
            Item::Stop(stop) => self.stop(chain, stop),
        }
    }

    fn step(&mut self, chain: usize, event: Event) {
        let (micros, now) = (self.now, self.timestamp());
        self.trace.event(micros, chain, &event);
        if let Event::Applied(applied) = &event
            && let Some(live) = self.live(chain)
        {
            live.applied.push_back(applied.clone());
        }
        let mut effects = Vec::new();
        let Some(live) = self.live(chain) else { return };
        live.stages.lead(&mut live.core);
        live.core.step(now, event, &mut effects);
        live.effects.extend(effects);
    }

    fn stop(&mut self, chain: usize, stop: Stop) {
        let mut effects = Vec::new();
        let Some(live) = self.live(chain) else { return };
        live.core.stop(stop, &mut effects);
        live.effects.extend(effects);
    }

    /// The log has the vote: the guard moves before anything of it leaves.
    fn advance_guard(&mut self, chain: usize, voted: Option<VotePosition>) -> Result<(), String> {
        if self.planted() == Some(PlantedBug::LeavesTheGuard) {
            return Ok(());
        }
        let signer = self.live(chain).and_then(|live| live.signer.clone());
        match (voted, signer) {
            (Some(position), Some(signer)) => {
                let mut signer = signer.lock().unwrap_or_else(PoisonError::into_inner);
                signer.advance(position).map_err(|error| chained(&error))
            }
            _ => Ok(()),
        }
    }

    fn carry_out(&mut self, chain: usize, effect: Effect) -> Result<(), Violation> {
        let now = self.now;
        self.trace.effect(now, chain, &effect);
        match effect {
            Effect::Check { id, transaction } => self.begin_check(chain, id, transaction),
            Effect::Persist { token, records, voted } => self.persist(chain, token, records, voted),
            Effect::Execute(execute) => {
                if let Some(live) = self.live(chain) {
                    live.stages.add(execute);
                }
                self.begin_steps(chain);
            }
            Effect::Answer { ask, answer, .. } => {
                if let Some((clients, oracle, counters)) = self.outside(chain) {
                    clients.answered(ask, answer, oracle, counters)?;
                }
            }
            Effect::Drop { id, .. } => {
                if let Some((clients, oracle, counters)) = self.outside(chain) {
                    clients.dropped(&id, oracle, counters)?;
                }
            }
            Effect::Ordered { block, .. } => {
                self.counters.add("block: ordered");
                self.counters.add_many("transaction: ordered", block.transactions.len() as u64);
                if let Some(oracle) = self.oracles.get_mut(chain) {
                    oracle.ordered(&block)?;
                }
                if let Some(ordered) = self.ordered.get_mut(chain) {
                    ordered.push_back(block);
                }
            }
            Effect::Executed { .. } => self.executed(chain)?,
            Effect::Certified(checkpoint) => {
                self.counters.add("checkpoint: certified");
                let reader = self.live(chain).map(|live| live.reader.clone());
                if let (Some(reader), Some(oracle)) = (reader, self.oracles.get_mut(chain)) {
                    oracle.certified(&checkpoint, &reader)?;
                }
            }
            Effect::Wake(at) => {
                let micros = self.micros_of(at);
                if let Some(live) = self.live(chain) {
                    live.alarm += 1;
                    let request = live.alarm;
                    self.schedule.at(micros, Happening::Wake { chain, request });
                }
            }
            // One owner has no peers.
            Effect::CheckSignatures { .. }
            | Effect::Send { .. }
            | Effect::SetTimer { .. }
            | Effect::ReadBlocks { .. }
            | Effect::ReadSnapshot { .. }
            | Effect::ReadPiece { .. }
            | Effect::Evidence(_) => {}
            Effect::Stop(stop) => {
                self.counters.add("chain: stopped");
                if let Some(live) = self.live(chain) {
                    live.stopped = Some(stop);
                }
            }
        }
        Ok(())
    }

    fn executed(&mut self, chain: usize) -> Result<(), Violation> {
        let applied = self.live(chain).and_then(|live| live.applied.pop_front());
        let block = self.ordered.get_mut(chain).and_then(std::collections::VecDeque::pop_front);
        if let (Some(applied), Some(block), Some((clients, oracle, _))) = (applied, block, self.outside(chain)) {
            oracle.executed(&applied.outcome, &applied.execution.results)?;
            clients.executed(&block.transactions, &applied.execution.results);
        }
        Ok(())
    }

    /// Half of the checks read the state as it is when they begin, half when they end.
    fn begin_check(&mut self, chain: usize, id: TransactionId, transaction: Arc<SignedTransaction>) {
        let early = self.random.chance(50);
        let verdict = early.then(|| self.check(chain, &id, &transaction)).flatten();
        let at = self.after(self.settings.delays.check);
        self.schedule.at(at, Happening::Checked { chain, id, transaction, verdict });
    }

    pub(crate) fn check(
        &mut self,
        chain: usize,
        id: &TransactionId,
        transaction: &SignedTransaction,
    ) -> Option<Verdict> {
        if self.planted() != Some(PlantedBug::ChecksNoSignature)
            && let Err(error) = keys::check(transaction, id, self.settings.mocked)
        {
            return Some(Err(error.into()));
        }
        let rules = &self.settings.chains.get(chain)?.genesis.rules;
        let reader = &self.host.as_ref()?.chains.get(&chain)?.reader;
        Some(admit(&*self.executor, rules, reader, transaction))
    }

    fn persist(&mut self, chain: usize, token: Token, mut records: Vec<Record>, voted: Option<VotePosition>) {
        let planted = self.planted();
        if planted == Some(PlantedBug::LogsNoCertificate) {
            records.retain(|record| record.kind != RecordKind::Certificate);
        }
        let Some(name) = self.settings.chains.get(chain).map(|spec| spec.genesis.chain()) else { return };
        let Some(host) = self.host.as_mut() else { return };
        match host.log.submit(records.iter().map(|record| to_log(name, record)).collect()) {
            Ok(ticket) => host.waiting.push(Waiting { chain, token, voted, ticket }),
            Err(LogError::Busy { .. }) => {
                self.counters.add("log: queue full");
                if let Some(live) = self.live(chain) {
                    live.effects.push_front(Effect::Persist { token, records, voted });
                    live.blocked = true;
                }
                return;
            }
            Err(error) => return self.stop(chain, Stop::Log(error.to_string())),
        }
        if !host.flushing {
            host.flushing = true;
            let at = self.after(self.settings.delays.flush);
            self.schedule.at(at, Happening::Flush);
        }
        if planted == Some(PlantedBug::AcknowledgesUnsynced) {
            let positions: Arc<[LogPosition]> = records.iter().map(|_| LogPosition::START).collect();
            let at = self.now;
            self.schedule.at(at, Happening::Durable { chain, token, voted, outcome: Ok(positions) });
        }
    }

    /// The log makes durable what waits, of all chains at once.
    pub(crate) fn flush(&mut self) -> Result<(), Violation> {
        let Some(host) = self.host.as_mut() else { return Ok(()) };
        host.flushing = false;
        // An error is in every ticket.
        let _ = host.log.flush();
        if self.crashed() {
            return Ok(());
        }
        let Some(host) = self.host.as_mut() else { return Ok(()) };
        let waiting = std::mem::take(&mut host.waiting);
        if waiting.iter().any(|first| first.chain != waiting.first().map_or(0, |other| other.chain)) {
            self.counters.add("log: one sync for several chains");
        }
        for Waiting { chain, token, voted, ticket } in waiting {
            let Some(outcome) = ticket.outcome() else {
                return Err(Violation::new("a flush ends every wait", format!("chain {chain}, token {}", token.0)));
            };
            let at = self.after(self.settings.delays.notice);
            let Some(live) = self.live(chain) else { continue };
            live.last_notice = live.last_notice.max(at);
            let at = live.last_notice;
            if self.planted() != Some(PlantedBug::AcknowledgesUnsynced) {
                self.schedule.at(at, Happening::Durable { chain, token, voted, outcome });
            }
        }
        let seal = self.now + SEAL_AFTER;
        self.schedule.at(seal, Happening::Seal);
        let chains: Vec<usize> = self.host.iter().flat_map(|host| host.chains.keys().copied()).collect();
        for chain in chains {
            if let Some(live) = self.live(chain) {
                live.blocked = false;
            }
            self.pump(chain)?;
        }
        Ok(())
    }

    /// Begins what can begin of a chain's two stages.
    fn begin_steps(&mut self, chain: usize) {
        let now = self.now;
        let Some(live) = self.live(chain) else { return };
        for (after, step) in live.stages.begin() {
            self.schedule.at(now + after, Happening::Stage { chain, step });
        }
    }

    /// A step of a chain's stages ends.
    pub(crate) fn end_step(&mut self, chain: usize, step: Step) -> Result<(), Violation> {
        match step {
            Step::Execute => self.execute(chain)?,
            Step::Store => self.store(chain)?,
        }
        self.begin_steps(chain);
        Ok(())
    }

    fn execute(&mut self, chain: usize) -> Result<(), Violation> {
        let Some(live) = self.host.as_mut().and_then(|host| host.chains.get_mut(&chain)) else { return Ok(()) };
        let Some(ran) = live.stages.execute(&mut self.counters) else { return Ok(()) };
        if let Some(applied) = &ran.stored {
            self.stored(chain, applied)?;
        }
        self.trace.stage(self.now, ("chain", chain), "executed", ran.height);
        self.fall_into_ambush(chain)
    }

    /// A block's outcome is stored; the core hears of it later.
    fn store(&mut self, chain: usize) -> Result<(), Violation> {
        let Some(stored) = self.live(chain).and_then(|live| live.stages.store()) else { return Ok(()) };
        let stored = match stored {
            Ok(stored) => stored,
            Err(stop) => return self.deliver(chain, Item::Stop(stop)),
        };
        let applied = stored.applied;
        if !stored.amid {
            self.stored(chain, &applied)?;
        }
        let at = self.after(self.settings.delays.notice);
        let Some(live) = self.live(chain) else { return Ok(()) };
        let at = live.stages.tell_at(at);
        self.schedule.at(at, Happening::Applied { chain, applied });
        Ok(())
    }

    /// The views have a block.
    fn stored(&mut self, chain: usize, applied: &Applied) -> Result<(), Violation> {
        self.trace.stage(self.now, ("chain", chain), "stored", applied.outcome.height);
        self.applied(chain, applied)
    }
}

/// An idle log is sealed after so many µs.
const SEAL_AFTER: u64 = 1_000_000;

/// Whether the state lets a transaction in, as a node's check asks it.
pub(crate) fn admit(
    executor: &dyn Executor,
    rules: &Rules,
    reader: &ChainReader,
    transaction: &SignedTransaction,
) -> Verdict {
    let head = Block { header: reader.head().header.clone(), transactions: Vec::new().into() };
    let context = Applier::context(head.header.chain, rules, &head);
    match executor.admit(transaction, &context, &reader.state()) {
        Ok(Ok(next)) => Ok(next),
        Ok(Err(rejection)) => Err(rejection.into()),
        Err(error) => Err(CheckFailure::State(error.to_string())),
    }
}

pub(crate) fn chained(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chained(source)),
        None => error.to_string(),
    }
}
