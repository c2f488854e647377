//! Feeding events into a machine's core and carrying out its effects, as a node's shell does.

use super::machine::{Live, Machine, Waiting};
use super::schedule::{Happening, Local};
use super::wire;
use super::world::NetworkWorld;
use crate::keys;
use crate::planted::PlantedBug;
use crate::report::Violation;
use crate::shell::admit;
use crate::stages::Step;
use ledger_consensus::bft::wire::Message;
use ledger_consensus::{Record, RecordKind};
use ledger_core::{Height, Lane};
use ledger_crypto::{PublicKey, VotePosition};
use ledger_node::core::join::JoinEvent;
use ledger_node::core::{Applied, Effect, Event, FinalBlock, Stop, Token};
use ledger_node::recovery::to_log;
use ledger_storage::log::LogPosition;
use std::sync::{Arc, PoisonError};

impl NetworkWorld<'_> {
    pub(super) fn machine(&mut self, machine: usize) -> Option<&mut Machine> {
        self.machines.get_mut(machine)
    }

    pub(super) fn live(&mut self, machine: usize) -> Option<&mut Live> {
        self.machines.get_mut(machine)?.live.as_mut()
    }

    pub(super) fn after(&mut self, longest: u64) -> u64 {
        self.now + if longest == 0 { 0 } else { self.random.within(0..=longest) }
    }

    /// Something will happen within the machine's present life.
    pub(super) fn within(&mut self, machine: usize, at: u64, what: Local) {
        let Some(life) = self.machines.get(machine).map(|machine| machine.life) else { return };
        self.schedule.at(at, Happening::Within { machine, life, what });
    }

    /// A core takes an event, and its effects are carried out.
    pub(super) fn step(&mut self, machine: usize, event: Event) -> Result<(), Violation> {
        let micros = self.now;
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let now = one.now(micros);
        let Some(live) = one.live.as_mut() else { return Ok(()) };
        self.trace.heard(micros, machine, &event);
        let mut effects = Vec::new();
        live.stages.lead(&mut live.core);
        live.core.step(now, event, &mut effects);
        self.carry_out(machine, effects)
    }

    pub(super) fn stop(&mut self, machine: usize, stop: Stop) -> Result<(), Violation> {
        let mut effects = Vec::new();
        let Some(live) = self.live(machine) else { return Ok(()) };
        live.core.stop(stop, &mut effects);
        self.carry_out(machine, effects)
    }

    fn carry_out(&mut self, machine: usize, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            if self.machines.get(machine).is_none_or(Machine::crashed) {
                return Ok(());
            }
            let now = self.now;
            self.trace.asked(now, machine, &effect);
            self.one_effect(machine, effect)?;
        }
        Ok(())
    }

    fn one_effect(&mut self, machine: usize, effect: Effect) -> Result<(), Violation> {
        let honest = self.machines.get(machine).is_some_and(|machine| machine.honest);
        match effect {
            Effect::Send { to, lane, bytes } => return self.send(machine, to, lane, bytes),
            Effect::Check { id, transaction } => {
                let early = self.random.chance(50);
                let verdict = early.then(|| self.check(machine, &id, &transaction)).flatten();
                let at = self.after(self.settings.host.check);
                self.within(machine, at, Local::Checked { id, transaction, verdict });
            }
            Effect::CheckSignatures { check, checks } => {
                let at = self.after(self.settings.host.check);
                self.within(machine, at, Local::Signatures { check, checks });
            }
            Effect::Persist { token, records, voted } => return self.persist(machine, token, records, voted),
            Effect::Execute(execute) => {
                let view = self.oracle.certificate(machine, honest, &execute.block.header, &execute.certificate)?;
                if honest {
                    self.decided(view, execute.block.header.height);
                }
                if let Some(live) = self.live(machine) {
                    live.stages.add(execute);
                }
                self.begin_steps(machine);
            }
            Effect::SetTimer { id, at } => {
                let micros = self.micros_until(machine, at);
                let Some(live) = self.live(machine) else { return Ok(()) };
                live.settings_of_timers += 1;
                let request = live.settings_of_timers;
                live.timers.insert(id, request);
                self.within(machine, micros, Local::Timer { id, request });
            }
            Effect::Wake(at) => {
                let micros = self.micros_until(machine, at);
                let Some(live) = self.live(machine) else { return Ok(()) };
                live.alarm += 1;
                let request = live.alarm;
                self.within(machine, micros, Local::Wake { request });
            }
            Effect::ReadBlocks { read, from, count, max_bytes } => {
                let blocks = self.read_blocks(machine, from, count, max_bytes);
                self.counters.add_many("sync: block given", blocks.len() as u64);
                let at = self.after(self.settings.host.flush);
                self.within(machine, at, Local::Read { read, blocks });
            }
            Effect::ReadSnapshot { read } => {
                let holding = self.holding(machine)?;
                let at = self.after(self.settings.host.flush);
                self.within(machine, at, Local::Answer(Box::new(Event::SnapshotRead { read, holding })));
            }
            Effect::ReadPiece { read, digest, offset } => {
                let bytes = self.piece(machine, &digest, offset);
                let at = self.after(self.settings.host.flush);
                self.within(machine, at, Local::Answer(Box::new(Event::PieceRead { read, bytes })));
            }
            Effect::Evidence(evidence) => {
                if honest {
                    self.counters.add("evidence: given");
                    self.oracle.evidence(machine, &evidence)?;
                }
            }
            Effect::Ordered { block, .. } => {
                if honest {
                    self.oracle.finalized(machine, &block)?;
                    self.counters.add("block: finalized");
                    self.watch.ordered(self.now, &block);
                }
            }
            Effect::Certified(checkpoint) => {
                if honest {
                    self.oracle.checkpoint(machine, &checkpoint)?;
                    self.watch.certified(self.now, checkpoint.header.history.size);
                }
            }
            Effect::Answer { answer, .. } => {
                if answer.is_ok() {
                    self.counters.add("transaction: accepted");
                }
            }
            Effect::Executed { .. } | Effect::Drop { .. } => {}
            Effect::Stop(stop) => {
                self.counters.add("node: stopped");
                if let Some(live) = self.live(machine) {
                    live.stopped = Some(stop);
                }
            }
        }
        Ok(())
    }

    /// When a machine's clock will show `at`, by the pace of the world's clock.
    pub(super) fn micros_until(&self, machine: usize, at: ledger_core::Timestamp) -> u64 {
        let clock = self.machines.get(machine).map_or(at, |machine| machine.clock);
        self.now + at.0.saturating_sub(clock.0).saturating_mul(1_000)
    }

    pub(super) fn check(
        &self,
        machine: usize,
        id: &ledger_core::TransactionId,
        transaction: &ledger_core::SignedTransaction,
    ) -> Option<super::schedule::Verdict> {
        let reader = &self.machines.get(machine)?.live.as_ref()?.reader;
        let rules = &self.settings.genesis.rules;
        if self.scenario.planted != Some(PlantedBug::ChecksNoSignature)
            && let Err(error) = keys::check(transaction, id, self.settings.mocked)
        {
            return Some(Err(error.into()));
        }
        Some(admit(&*self.executor, rules, reader, transaction))
    }

    /// A core sends: an adversary may have its way with it, then the links.
    pub(super) fn send(
        &mut self,
        machine: usize,
        to: PublicKey,
        lane: Lane,
        bytes: Arc<[u8]>,
    ) -> Result<(), Violation> {
        let Some(sender) = self.machines.get(machine) else { return Ok(()) };
        let (key, member, honest) = (sender.key, sender.member, sender.honest);
        self.watch.sent(lane, bytes.len());
        let view = self.inspect(&key, honest, lane, &bytes)?;
        for target in 0..self.machines.len() {
            if target == machine || self.machines.get(target).is_none_or(|target| target.key != to) {
                continue;
            }
            if self.view_parts(view, machine, target) {
                self.counters.add("network: message stopped between the parts of a view");
                continue;
            }
            let manners = self.settings.members.get(member).and_then(|member| member.manners.as_ref());
            let outgoing = match manners {
                Some(manners) => {
                    let message = (lane, Arc::clone(&bytes));
                    self.cabal.tamper((&key, manners), target, message, &mut self.counters)
                }
                None => vec![(0, lane, Arc::clone(&bytes))],
            };
            for (later, lane, bytes) in outgoing {
                let arrivals = self.links.carry(self.now, machine, target, &mut self.counters);
                for at in [arrivals.first, arrivals.again].into_iter().flatten() {
                    let arrive = Happening::Arrive { to: target, from: key, lane, bytes: Arc::clone(&bytes) };
                    self.schedule.at(at + later, arrive);
                }
            }
        }
        Ok(())
    }

    /// Looks into what leaves: an honest validator never contradicts itself. Gives back the view it belongs to.
    fn inspect(
        &mut self,
        key: &PublicKey,
        honest: bool,
        lane: Lane,
        bytes: &Arc<[u8]>,
    ) -> Result<Option<ledger_core::View>, Violation> {
        if lane != Lane::Votes {
            return Ok(None);
        }
        // A broadcast is looked at once.
        if let Some((last, view)) = &self.inspected
            && Arc::ptr_eq(last, bytes)
        {
            return Ok(*view);
        }
        let envelope = wire::read(lane, bytes);
        let view = envelope.as_ref().and_then(|envelope| wire::view(&envelope.message));
        if let Some((view, vote, _)) = envelope.as_ref().and_then(|envelope| wire::own_vote(&envelope.message))
            && honest
        {
            self.oracle.vote_left(key, view, vote)?;
        }
        if let Some(Message::Proposal(proposal)) = envelope.as_ref().map(|envelope| &envelope.message) {
            self.watch.proposed(self.now, proposal.header.height);
        }
        self.inspected = Some((Arc::clone(bytes), view));
        Ok(view)
    }

    /// A message arrives at a machine.
    pub(super) fn arrive(&mut self, to: usize, from: PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), Violation> {
        let Some(machine) = self.machines.get(to) else { return Ok(()) };
        if let Some(joining) = &machine.joining {
            return match joining.connected.contains(&from) && lane == Lane::Sync {
                true => self.step_join(to, JoinEvent::Received { from, bytes }),
                false => Ok(()),
            };
        }
        let Some(live) = &machine.live else {
            self.counters.add("network: message to a node that is down");
            return Ok(());
        };
        if !live.connected.contains(&from) {
            self.counters.add("network: message over a connection that is gone");
            return Ok(());
        }
        if self.oracle.may_fork() && machine.honest {
            self.pool_votes(&from, lane, &bytes);
        }
        if self.machines.get(to).is_some_and(|machine| !machine.honest) {
            self.cabal.observe(lane, &bytes);
        }
        self.step(to, Event::Received { from, lane, bytes })
    }

    fn pool_votes(&mut self, from: &PublicKey, lane: Lane, bytes: &[u8]) {
        let Some(envelope) = wire::read(lane, bytes) else { return };
        if let Some((view, vote, signature)) = wire::own_vote(&envelope.message) {
            self.oracle.vote_arrived_from(from, view, vote, signature);
        }
        if let Some((view, vote, votes)) = wire::carried_votes(&envelope.message) {
            for one in votes {
                self.oracle.vote_arrived(one.validator, view, vote, one.signature);
            }
        }
    }

    fn persist(
        &mut self,
        machine: usize,
        token: Token,
        mut records: Vec<Record>,
        voted: Option<VotePosition>,
    ) -> Result<(), Violation> {
        let planted = self.scenario.planted;
        if planted == Some(PlantedBug::LogsNoCertificate) {
            records.retain(|record| record.kind != RecordKind::Certificate);
        }
        let chain = self.settings.genesis.chain();
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        if one.honest {
            self.top_view = self.top_view.max(voted.map_or(0, |position| position.view));
        }
        let Some(live) = one.live.as_mut() else { return Ok(()) };
        match live.log.submit(records.iter().map(|record| to_log(chain, record)).collect()) {
            Ok(ticket) => live.waiting.push(Waiting { token, voted, ticket }),
            Err(error) => return self.stop(machine, Stop::Log(error.to_string())),
        }
        if !live.flushing {
            live.flushing = true;
            let at = self.after(self.settings.host.flush);
            self.within(machine, at, Local::Flush);
        }
        if planted == Some(PlantedBug::AcknowledgesUnsynced) {
            let positions: Arc<[LogPosition]> = records.iter().map(|_| LogPosition::START).collect();
            self.within(machine, self.now, Local::Durable { token, voted, outcome: Ok(positions) });
        }
        Ok(())
    }

    /// The log makes durable what waits.
    pub(super) fn flush(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(live) = self.live(machine) else { return Ok(()) };
        live.flushing = false;
        // An error is in every ticket.
        let _ = live.log.flush();
        let waiting = std::mem::take(&mut live.waiting);
        if self.machines.get(machine).is_none_or(Machine::crashed) {
            return Ok(());
        }
        for Waiting { token, voted, ticket } in waiting {
            let Some(outcome) = ticket.outcome() else {
                return Err(Violation::new("a flush ends every wait", format!("node {machine}, token {}", token.0)));
            };
            let at = self.after(self.settings.host.notice);
            let Some(live) = self.live(machine) else { continue };
            live.last_notice = live.last_notice.max(at);
            let at = live.last_notice;
            if self.scenario.planted != Some(PlantedBug::AcknowledgesUnsynced) {
                self.within(machine, at, Local::Durable { token, voted, outcome });
            }
        }
        Ok(())
    }

    /// The records are durable: the guard moves before anything of them leaves.
    pub(super) fn durable(
        &mut self,
        machine: usize,
        token: Token,
        voted: Option<VotePosition>,
        outcome: ledger_storage::log::Outcome,
    ) -> Result<(), Violation> {
        let leaves = self.scenario.planted == Some(PlantedBug::LeavesTheGuard);
        let signer = self.live(machine).and_then(|live| live.signer.clone());
        let moved = outcome.map_err(|error| error.to_string()).and_then(|positions| {
            if let (Some(position), Some(signer), false) = (voted, signer, leaves) {
                let mut signer = signer.lock().unwrap_or_else(PoisonError::into_inner);
                signer.advance(position).map_err(|error| crate::shell::chained(&error))?;
            }
            Ok(positions)
        });
        let Some(one) = self.machines.get_mut(machine).filter(|one| !one.crashed()) else { return Ok(()) };
        if moved.is_ok() {
            one.voted = one.voted.max(voted);
        }
        match moved {
            Ok(positions) => self.step(machine, Event::Persisted { token, positions }),
            Err(reason) => self.stop(machine, Stop::Log(reason)),
        }
    }

    /// Begins what can begin of a machine's two stages.
    fn begin_steps(&mut self, machine: usize) {
        let now = self.now;
        let Some(live) = self.live(machine) else { return };
        for (after, step) in live.stages.begin() {
            self.within(machine, now + after, Local::Stage(step));
        }
    }

    /// A step of a machine's stages ends.
    pub(super) fn end_step(&mut self, machine: usize, step: Step) -> Result<(), Violation> {
        match step {
            Step::Execute => self.execute(machine)?,
            Step::Store => self.store(machine)?,
        }
        self.begin_steps(machine);
        Ok(())
    }

    fn execute(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(live) = self.machines.get_mut(machine).and_then(|one| one.live.as_mut()) else { return Ok(()) };
        let Some(ran) = live.stages.execute(&mut self.counters) else { return Ok(()) };
        if let Some(applied) = &ran.stored {
            self.stored(machine, applied)?;
        }
        self.trace.stage(self.now, ("node", machine), "executed", ran.height);
        self.fall_into_ambush(machine)
    }

    /// A block's outcome is stored; the core hears of it later.
    fn store(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(stored) = self.live(machine).and_then(|live| live.stages.store()) else { return Ok(()) };
        let stored = match stored {
            Ok(stored) => stored,
            Err(stop) => return self.stop(machine, stop),
        };
        let applied = stored.applied;
        if !stored.amid {
            self.stored(machine, &applied)?;
        }
        let at = self.after(self.settings.host.notice);
        let Some(live) = self.live(machine) else { return Ok(()) };
        let at = live.stages.tell_at(at);
        self.within(machine, at, Local::Applied { applied });
        Ok(())
    }

    /// The views have a block.
    fn stored(&mut self, machine: usize, applied: &Applied) -> Result<(), Violation> {
        self.trace.stage(self.now, ("node", machine), "stored", applied.outcome.height);
        let honest = self.machines.get(machine).is_some_and(|one| one.honest);
        if honest && let Some(block) = self.oracle.executed(machine, applied)? {
            self.clients.executed(&block.transactions, &applied.execution.results);
        }
        Ok(())
    }

    fn read_blocks(&self, machine: usize, from: Height, count: u64, max_bytes: usize) -> Vec<FinalBlock> {
        let Some(live) = self.machines.get(machine).and_then(|machine| machine.live.as_ref()) else {
            return Vec::new();
        };
        let (reader, log) = (&live.reader, live.log.reader());
        let chain = self.settings.genesis.chain();
        let read = |height| -> Option<FinalBlock> {
            if let Some(growing) = &live.growing {
                return growing.growth.final_block(chain, reader, height);
            }
            let payload = log.read(reader.position(height).ok()??).ok()?.bytes;
            let certificate = reader.certificate(height).ok()?.into_vec();
            Some(FinalBlock { payload: payload.into(), certificate: certificate.into() })
        };
        let mut blocks = Vec::new();
        let mut bytes = 0;
        for height in (from.0..from.0.saturating_add(count)).map(Height) {
            let Some(block) = read(height) else { break };
            bytes += block.payload.len() + block.certificate.len();
            if !blocks.is_empty() && bytes > max_bytes {
                break;
            }
            blocks.push(block);
        }
        blocks
    }
}
