//! How machines come up and go down, and what the plan does to them.

use super::machine::{Live, Opening, Unopened};
use super::plan::{Planned, Strike};
use super::schedule::{Happening, Local};
use super::world::{Healed, NetworkWorld};
use crate::growing::Views;
use crate::planted::PlantedBug;
use crate::report::{Violation, ensure};
use crate::settings::BEGINNING;
use crate::stages::Ambush;
use ledger_core::{Execution, Writes};
use ledger_crypto::{PublicKey, VoteError};
use ledger_node::core::join::JoinEvent;
use ledger_node::core::{Event, Stop};
use ledger_storage::chain::StoreError;
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::disk::simulated::FaultCounts;
use std::sync::{Arc, PoisonError};

pub(super) const RECOVERS: &str = "a node comes up again, whatever a crash or a fault left";
const REFUSES: &str = "a signer refuses a data folder that isn't the one it voted with";
const NAMED_STOP: &str = "a node stops only for a named fault of its disk";

/// Clocks that are off by no more than this, in ms, are right enough.
const CLOCK_BOUND_MS: u64 = 1_000;

/// An operator needs up to so long to start a machine again, in µs.
const PAUSE: u64 = 300_000;

impl NetworkWorld<'_> {
    fn opening(&self, machine: usize, log_id: [u8; 32], growth_seed: u64) -> Opening<'_> {
        // Another number for each life of each machine.
        let life = self.now.wrapping_mul(64).wrapping_add(machine as u64);
        Opening {
            settings: &self.settings,
            executor: &self.executor,
            finality: &self.finality,
            planted: self.scenario.planted,
            engine: self.engine,
            log_id,
            growth_seed,
            stages: self.random.fork("stages", life),
        }
    }

    /// A machine's process starts.
    pub(super) fn start(&mut self, machine: usize) -> Result<(), Violation> {
        let (log_id, growth_seed) = (self.random.bytes(), self.growth_seed());
        let Some(one) = self.machines.get(machine).filter(|one| !one.is_up() && !one.retired) else {
            return Ok(());
        };
        if one.wrong_folder {
            return self.start_on_wrong_folder(machine, log_id);
        }
        if one.newcomer.is_some() && self.start_joining(machine)? {
            return Ok(());
        }
        let Some(one) = self.machines.get(machine) else { return Ok(()) };
        let opened = self.opening(machine, log_id, growth_seed).open(one, &one.disk, &one.views);
        let (honest, amnesia, faulty, crashed) = (one.honest, one.amnesia, one.faulty, one.crashed());
        let newcomer = one.newcomer;
        match opened {
            _ if crashed => {
                self.counters.add("crash: within a start");
                self.lose_power(machine)
            }
            Ok((live, start)) => {
                self.counters.add("node: started");
                self.counters.add_many("block: replayed", live.replayed);
                let life = self.machines.get(machine).map_or(0, |one| one.life);
                if amnesia && life > 0 {
                    self.counters.add("adversary: forgot its votes");
                }
                if honest {
                    let head = live.reader.head();
                    match newcomer {
                        None if live.growing.is_some() => self.recovered_from_cut(machine, &live)?,
                        None => self.oracle.recovered(machine, &live.log.reader(), &head.header)?,
                        Some(_) => self.oracle.rejoined(machine, &head.header)?,
                    }
                    self.replayed_results(machine, &live)?;
                    self.check_past(machine, &live)?;
                }
                self.trace.note(self.now, &format!("node {machine} up at {}", start.checkpoint.header.height));
                if let Some(one) = self.machine(machine) {
                    one.live = Some(live);
                    one.aside = None;
                }
                self.grow_later(machine);
                self.step(machine, Event::Start(start))?;
                self.connect(machine)
            }
            Err(Unopened::Lacks) => self.lacks(machine),
            Err(Unopened::Failed(reason)) if faulty || !honest => {
                self.trace.note(self.now, &format!("node {machine}: {reason}"));
                self.counters.add("node: start failed for a disk fault");
                self.end_life(machine);
                Ok(())
            }
            Err(Unopened::Refused(error)) if !honest => {
                self.trace.note(self.now, &format!("node {machine}: {error}"));
                self.counters.add("adversary: refused by its own signer");
                if let Some(one) = self.machine(machine) {
                    one.retired = true;
                }
                Ok(())
            }
            Err(Unopened::Failed(reason)) => Err(Violation::new(RECOVERS, format!("node {machine}: {reason}"))),
            Err(Unopened::Refused(error)) => Err(Violation::new(RECOVERS, format!("node {machine}: {error}"))),
        }
    }

    /// What was executed in the replay, in this life or an earlier one, is what others got.
    fn replayed_results(&mut self, machine: usize, live: &Live) -> Result<(), Violation> {
        let height = live.reader.head().header.height.0;
        for height in (1..=height).map(ledger_core::Height) {
            let read = live.reader.outcome(height).and_then(|outcome| Ok((outcome, live.reader.results(height)?)));
            if let Err(StoreError::BeforeSnapshot { .. } | StoreError::Pruned { .. }) = read {
                continue;
            }
            let (outcome, results) = read.map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
            let history = live.reader.history_head(height.0 + 1);
            let history = history.map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
            let (fuel_used, validators) = (outcome.fuel_used, outcome.validators.clone());
            let execution = Execution { writes: Writes::default(), results, fuel_used, validators };
            let applied = ledger_node::core::Applied { outcome, history, execution: Arc::new(execution) };
            if let Some(block) = self.oracle.executed(machine, &applied)? {
                self.clients.executed(&block.transactions, &applied.execution.results);
            }
        }
        Ok(())
    }

    /// The old key and guard beside an empty folder, or beside an older copy: the signer refuses.
    fn start_on_wrong_folder(&mut self, machine: usize, log_id: [u8; 32]) -> Result<(), Violation> {
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        one.wrong_folder = false;
        let copy = one.copy.take();
        let Some(one) = self.machines.get(machine) else { return Ok(()) };
        let empty = SimulatedDisk::new(0);
        let older = copy.filter(|(.., voted)| *voted < one.voted);
        let what = if older.is_some() { "an older copy" } else { "an empty folder" };
        let (disk, views) = older.map_or((empty, Views::new(false)), |(disk, views, _)| (disk, views));
        let opened = self.opening(machine, log_id, 0).open(one, &disk, &views);
        let voted = one.voted.is_some();
        match opened {
            Err(Unopened::Refused(VoteError::ForeignLog { .. } | VoteError::StaleLog { .. })) => {
                self.counters.add("signer: refused a wrong data folder");
            }
            Err(Unopened::Refused(error)) => return Err(Violation::new(REFUSES, format!("node {machine}: {error}"))),
            Err(Unopened::Failed(reason)) => return Err(Violation::new(RECOVERS, format!("node {machine}: {reason}"))),
            Err(Unopened::Lacks) => return Err(Violation::new(RECOVERS, format!("node {machine}: lacks blocks"))),
            // A guard that knows of no vote has nothing to protect.
            Ok(_) => ensure(!voted, REFUSES, || format!("node {machine} starts on {what}"))?,
        }
        self.trace.note(self.now, &format!("node {machine} was started on {what}"));
        self.schedule.at(self.now, Happening::Restart { machine });
        Ok(())
    }

    fn can_connect(&self, one: usize, other: usize) -> bool {
        !self.links.blocks(one, other) && !self.links.blocks(other, one)
    }

    /// Connects a machine with all others that it can reach.
    pub(super) fn connect(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(key) = self.machines.get(machine).map(|one| one.key) else { return Ok(()) };
        for other in 0..self.machines.len() {
            let Some(peer) = self.machines.get(other) else { continue };
            let peer_key = peer.key;
            if other == machine || peer_key == key || !peer.is_up() || !self.can_connect(machine, other) {
                continue;
            }
            self.connected(machine, peer_key)?;
            // A connection of an earlier life may not have been noticed to be gone.
            self.connected(other, key)?;
        }
        Ok(())
    }

    fn connected(&mut self, machine: usize, peer: PublicKey) -> Result<(), Violation> {
        if let Some(joining) = self.machine(machine).and_then(|one| one.joining.as_mut()) {
            return match joining.connected.insert(peer) {
                true => self.step_join(machine, JoinEvent::Connected { peer }),
                false => Ok(()),
            };
        }
        let Some(live) = self.live(machine) else { return Ok(()) };
        if live.connected.insert(peer) {
            return self.step(machine, Event::Connected { peer });
        }
        Ok(())
    }

    pub(super) fn disconnected(&mut self, machine: usize, peer: PublicKey) -> Result<(), Violation> {
        if let Some(joining) = self.machine(machine).and_then(|one| one.joining.as_mut()) {
            return match joining.connected.remove(&peer) {
                true => self.step_join(machine, JoinEvent::Disconnected { peer }),
                false => Ok(()),
            };
        }
        let Some(live) = self.live(machine) else { return Ok(()) };
        if live.connected.remove(&peer) {
            self.counters.add("network: connection lost");
            return self.step(machine, Event::Disconnected { peer });
        }
        Ok(())
    }

    /// A transport notices that a peer is gone, unless it is there again, or has a twin.
    pub(super) fn notice_loss(&mut self, machine: usize, peer: PublicKey) -> Result<(), Violation> {
        let reachable = (0..self.machines.len()).any(|other| {
            let there = |one: &super::machine::Machine| one.key == peer && one.is_up();
            self.machines.get(other).is_some_and(there) && self.can_connect(machine, other)
        });
        if reachable { Ok(()) } else { self.disconnected(machine, peer) }
    }

    /// The life of a machine's node ends, and an operator will start it again.
    pub(super) fn end_life(&mut self, machine: usize) {
        self.count_disk_faults(machine);
        self.count_cuts(machine);
        if let Some(live) = self.machines.get(machine).and_then(|one| one.live.as_ref()) {
            live.stages.count_end(&mut self.counters);
        }
        let pause = if self.healed.is_some() { PAUSE / 10 } else { PAUSE };
        let at = self.after(pause);
        let notice = self.after(200_000);
        let Some(one) = self.machines.get_mut(machine) else { return };
        (one.live, one.joining) = (None, None);
        one.life += 1;
        one.clock = BEGINNING;
        one.faulty = false;
        one.disk.crash_at(u64::MAX);
        one.disk.fail_sync(u64::MAX / 2);
        let key = one.key;
        self.schedule.at(at, Happening::Restart { machine });
        for other in (0..self.machines.len()).filter(|other| *other != machine) {
            self.schedule.at(notice, Happening::NoticeLoss { machine: other, peer: key });
        }
    }

    pub(super) fn lose_power(&mut self, machine: usize) -> Result<(), Violation> {
        self.counters.add("crash: power cut");
        self.end_life(machine);
        let survivor = match self.random.below(10) {
            0 => 0,
            1 => 1,
            _ => self.random.draw(),
        };
        // Some crashes are followed by another one, in the recovery or soon after it.
        let nested = (self.healed.is_none() && self.random.chance(25)).then(|| self.random.within(1..=4));
        if let Some(one) = self.machines.get_mut(machine) {
            one.disk = one.disk.survivor(survivor);
            one.counted = FaultCounts::default();
            if let Some(operations) = nested {
                one.faulty = true;
                one.disk.crash_at(one.disk.operations() + operations);
            }
        }
        self.rewind_views(machine)?;
        self.trace.note(self.now, &format!("node {machine} lost power"));
        Ok(())
    }

    /// The views come back as they were after some batch, or as they are.
    fn rewind_views(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(one) = self.machines.get(machine) else { return Ok(()) };
        // Views that a log is cut behind were synced before.
        let (batches, synced) = (one.views.batches(), one.views.synced());
        let kept = match self.random.below(10) {
            0 => synced,
            1..=3 => batches,
            _ => self.random.within(synced..=batches),
        };
        let rewound = one.views.rewind(kept).map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
        self.counters.add_many("views: batches lost", batches - kept);
        if let Some(one) = self.machines.get_mut(machine) {
            one.views = rewound;
        }
        self.restore_older_views(machine)
    }

    pub(super) fn kill(&mut self, machine: usize) -> Result<(), Violation> {
        self.counters.add("crash: process killed");
        self.end_life(machine);
        if self.random.chance(50) {
            self.rewind_views(machine)?;
        }
        self.trace.note(self.now, &format!("node {machine} killed"));
        Ok(())
    }

    pub(super) fn count_disk_faults(&mut self, machine: usize) {
        let Some(one) = self.machines.get_mut(machine) else { return };
        let (now, before) = (one.disk.faults(), one.counted);
        one.counted = now;
        let counts = [
            ("disk: sync failed", now.failed_syncs - before.failed_syncs),
            ("disk: piece lost in a crash", now.lost_pieces - before.lost_pieces),
            ("disk: piece torn in a crash", now.torn_pieces - before.torn_pieces),
        ];
        for (name, count) in counts {
            self.counters.add_many(name, count);
        }
    }

    /// After something has happened to a machine: has its power gone, has its node stopped?
    pub(super) fn look_at(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        if one.is_up() && one.crashed() {
            return self.lose_power(machine);
        }
        let (honest, faulty) = (one.honest, one.faulty);
        let Some(stop) = one.live.as_mut().and_then(|live| live.stopped.take()) else { return Ok(()) };
        self.trace.note(self.now, &format!("node {machine} stopped: {stop}"));
        if honest && !self.oracle.may_fork() {
            let named = faulty && matches!(&stop, Stop::Log(reason) if reason.contains("could not sync"));
            ensure(named, NAMED_STOP, || format!("node {machine}: {stop}"))?;
        }
        if honest || faulty {
            let at = self.after(30_000);
            self.within(machine, at, Local::GiveUp);
        }
        Ok(())
    }

    /// A node has stopped; its operator restarts it.
    pub(super) fn give_up(&mut self, machine: usize) -> Result<(), Violation> {
        if self.random.chance(50) { self.lose_power(machine) } else { self.kill(machine) }
    }

    /// The next thing of the plan.
    pub(super) fn planned(&mut self) -> Result<(), Violation> {
        let Some((_, planned)) = self.plan.pop_front() else { return Ok(()) };
        self.trace.note(self.now, &format!("{planned:?}"));
        match planned {
            Planned::Part { number, partition } => {
                self.counters.add(if partition.one_way { "network: parted one way" } else { "network: parted" });
                if partition.noticed {
                    self.counters.add("network: partition noticed");
                    for (from, to) in self.pairs().filter(|(from, to)| partition.blocks(*from, *to)).collect::<Vec<_>>()
                    {
                        let at = self.now + 100_000;
                        let Some(peer) = self.machines.get(to).map(|one| one.key) else { continue };
                        self.schedule.at(at, Happening::NoticeLoss { machine: from, peer });
                    }
                }
                self.links.part(number, partition);
            }
            Planned::Rejoin { number } => {
                if self.links.rejoin(number).is_some() {
                    self.connect_all()?;
                }
            }
            Planned::StepClock { machine, ms } => {
                self.counters.add(if ms < 0 { "clock: stepped back" } else { "clock: stepped forward" });
                if let Some(one) = self.machine(machine) {
                    one.skew_ms += ms;
                }
            }
            Planned::Strike { machine, strike } => return self.strike(machine, strike),
            Planned::Heal => return self.heal(),
        }
        Ok(())
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.machines.len();
        (0..count).flat_map(move |from| (0..count).map(move |to| (from, to)))
    }

    fn connect_all(&mut self) -> Result<(), Violation> {
        for machine in 0..self.machines.len() {
            if self.machines.get(machine).is_some_and(super::machine::Machine::is_up) {
                self.connect(machine)?;
            }
        }
        Ok(())
    }

    fn strike(&mut self, machine: usize, strike: Strike) -> Result<(), Violation> {
        let planted_guard = self.scenario.planted == Some(PlantedBug::LeavesTheGuard);
        let (operations, syncs) = (self.random.within(1..=12), self.random.within(1..=6));
        let lurks = self.lurks(strike);
        let waits = matches!(strike, Strike::Cut | Strike::CutAtOperation | Strike::Kill);
        let ambush = if waits { Ambush::draw(&mut self.random) } else { None };
        let Some(one) = self.machines.get_mut(machine).filter(|one| one.is_up()) else { return Ok(()) };
        if lurks {
            one.lurking = Some(strike);
            return Ok(());
        }
        if let Some(ambush) = ambush {
            one.ambush = Some((strike, ambush));
            return Ok(());
        }
        match strike {
            Strike::Wipe => return self.wipe(machine),
            Strike::CutAtOperation => {
                one.faulty = true;
                one.disk.crash_at(one.disk.operations() + operations);
            }
            Strike::Cut => return self.lose_power(machine),
            Strike::Kill => return self.kill(machine),
            Strike::FailSync => {
                one.faulty = true;
                one.disk.fail_sync(syncs);
            }
            Strike::Copy => {
                // The log may hold votes that haven't left yet.
                let signer = one.live.as_ref().and_then(|live| live.signer.clone());
                let signed = signer.and_then(|signer| signer.lock().unwrap_or_else(PoisonError::into_inner).last());
                let voted = one.voted.max(signed);
                if one.guard.is_some() && one.honest {
                    let views = one.views.rewind(one.views.batches());
                    let views = views.map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
                    one.copy = Some((one.disk.survivor(1), views, voted));
                }
            }
            Strike::WrongFolder => {
                if one.guard.is_some() && one.honest && (one.copy.is_some() || !planted_guard) {
                    one.wrong_folder = true;
                    return self.kill(machine);
                }
            }
            Strike::Stop => {
                self.kill(machine)?;
                if let Some(one) = self.machine(machine) {
                    one.retired = true;
                }
            }
        }
        Ok(())
    }

    /// A block was executed and isn't stored: what lies in wait for that strikes.
    pub(super) fn fall_into_ambush(&mut self, machine: usize) -> Result<(), Violation> {
        let operations = self.random.within(1..=3);
        let Some(one) = self.machine(machine) else { return Ok(()) };
        let Some((strike, mut ambush)) = one.ambush.take() else { return Ok(()) };
        if one.live.as_ref().is_some_and(|live| !live.stages.falls_into(&mut ambush)) {
            one.ambush = Some((strike, ambush));
            return Ok(());
        }
        match strike {
            Strike::Cut => self.lose_power(machine),
            Strike::Kill => self.kill(machine),
            _ => {
                one.faulty = true;
                one.disk.crash_at(one.disk.operations() + operations);
                Ok(())
            }
        }
    }

    /// The chaos is over: links are sound, clocks are right, everyone comes up.
    fn heal(&mut self) -> Result<(), Violation> {
        self.links.heal();
        for machine in 0..self.machines.len() {
            let Some(one) = self.machines.get_mut(machine) else { continue };
            one.skew_ms = 0;
            (one.lurking, one.ambush) = (None, None);
            one.disk.crash_at(u64::MAX);
            one.disk.fail_sync(u64::MAX / 2);
            let right = BEGINNING.plus(self.now / 1_000);
            if !one.is_up() {
                self.schedule.at(self.now, Happening::Restart { machine });
            } else if one.clock > right.plus(CLOCK_BOUND_MS) {
                // A node's time doesn't run back while it runs, so a clock that is set back takes a restart.
                self.counters.add("clock: set right by a restart");
                self.kill(machine)?;
                self.schedule.at(self.now, Happening::Restart { machine });
            }
        }
        self.connect_all()?;
        self.healed = Some(Healed { at: self.now, view: self.top_view, height: self.oracle.height(), decided: false });
        self.clients.left = 0;
        Ok(())
    }
}
