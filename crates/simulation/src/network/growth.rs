//! How the nodes of a network cut their logs: when, what may strike meanwhile, and what is held up afterwards.

use super::lives::RECOVERS;
use super::machine::{Live, Machine};
use super::plan::Strike;
use super::schedule::Local;
use super::world::NetworkWorld;
use crate::growing::Stepped;
use crate::growth::crash_within;
use crate::oracle::past::Past;
use crate::report::{Violation, ensure};
use ledger_node::{CutStage, Retention};

const CUTS: &str = "a log that has grown is cut, unless its disk fails";

impl NetworkWorld<'_> {
    /// What chooses how a log is cut in a life.
    pub(super) fn growth_seed(&mut self) -> u64 {
        if self.scenario.growth { self.random.draw() } else { 0 }
    }

    /// Whether a fault waits until a cut begins.
    pub(super) fn lurks(&mut self, strike: Strike) -> bool {
        let at_io = matches!(strike, Strike::CutAtOperation | Strike::FailSync);
        self.scenario.growth && at_io && self.random.chance(50)
    }

    fn arm_lurking(&mut self, machine: usize) {
        let (operations, syncs) = (self.random.within(1..=24), self.random.within(1..=8));
        let Some(one) = self.machine(machine) else { return };
        let Some(strike) = one.lurking.take() else { return };
        one.faulty = true;
        match strike {
            Strike::FailSync => one.disk.fail_sync(syncs),
            _ => one.disk.crash_at(one.disk.operations() + operations),
        }
    }

    /// Looks at the size of a machine's log, or takes a cut's next step.
    pub(super) fn grow(&mut self, machine: usize) -> Result<(), Violation> {
        let planted = self.scenario.planted;
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let (honest, faulty) = (one.honest, one.faulty);
        let Some(live) = one.live.as_mut() else { return Ok(()) };
        let Some(growing) = live.growing.as_mut().filter(|growing| !growing.failed) else { return Ok(()) };
        if honest && growing.stage.is_some_and(|stage| stage >= CutStage::Start) {
            one.truth.take_in(&live.log.reader())?;
        }
        let stepped = growing.step(&mut live.log, planted);
        if self.machines.get(machine).is_none_or(Machine::crashed) {
            return Ok(());
        }
        match stepped {
            Ok(Stepped::Idle | Stepped::Going) => {}
            Ok(Stepped::Begun) => {
                self.counters.add("cut: begun");
                self.arm_lurking(machine);
            }
            Ok(Stepped::Over) => {
                self.counters.add("cut: come to its end");
                // Reading everything after each cut would take longer than all else.
                if self.counters.get("cut: come to its end") % 3 == 1 {
                    self.read_past(machine)?;
                }
            }
            Err(error) => {
                ensure(faulty || !honest, CUTS, || format!("node {machine}: {error}"))?;
                self.counters.add("cut: stopped by a fault of the disk");
                let at = self.after(300_000);
                self.within(machine, at, Local::GiveUp);
                return Ok(());
            }
        }
        self.grow_later(machine);
        Ok(())
    }

    /// The next look at the log, or the next step.
    pub(super) fn grow_later(&mut self, machine: usize) {
        let Some(settings) = &self.settings.growth else { return };
        let (interval, pause) = (4 * settings.interval, settings.pause);
        let live = self.machines.get(machine).and_then(|one| one.live.as_ref());
        let cutting = live.and_then(|live| live.growing.as_ref()?.stage).is_some();
        let at = if cutting { self.after(pause) + 1 } else { self.now + interval };
        self.within(machine, at, Local::Grow);
    }

    /// An honest machine is up again, with a log that may have been cut.
    pub(super) fn recovered_from_cut(&mut self, machine: usize, live: &Live) -> Result<(), Violation> {
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let log = live.log.reader();
        one.truth.take_in(&log)?;
        let said = one.truth.said(&self.settings.genesis.chain())?;
        if let Some(taken) = &live.taken {
            said.check(&format!("node {machine}"), taken)?;
        }
        if log.first_segment() > 1 {
            self.counters.add("node: started from a cut log");
        }
        self.oracle.recovered_from_cut(machine, &said, &live.reader.head().header)
    }

    /// Holds what an honest machine has of the chain's past against what was seen.
    pub(super) fn check_past(&mut self, machine: usize, live: &Live) -> Result<(), Violation> {
        let Some(one) = self.machines.get(machine).filter(|one| one.honest) else { return Ok(()) };
        let (Some(growing), Some(member)) = (&live.growing, self.settings.members.get(one.member)) else {
            return Ok(());
        };
        let past = Past {
            growth: &growing.growth,
            log: &live.log.reader(),
            reader: &live.reader,
            chain: self.settings.genesis.chain(),
            retention: member.policy.retention,
        };
        self.oracle.check_past(&past, &mut self.counters)
    }

    fn read_past(&mut self, machine: usize) -> Result<(), Violation> {
        let live = self.machine(machine).and_then(|one| one.live.take());
        let checked = live.as_ref().map_or(Ok(()), |live| self.check_past(machine, live));
        if let Some(one) = self.machine(machine) {
            one.live = live;
        }
        checked
    }

    /// The pasts of all machines.
    pub(super) fn check_pasts(&mut self) -> Result<(), Violation> {
        (0..self.machines.len()).try_for_each(|machine| self.read_past(machine))
    }

    /// Sometimes the views are restored from a time before what was synced.
    pub(super) fn restore_older_views(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(one) = self.machines.get(machine) else { return Ok(()) };
        let synced = one.views.synced();
        if !self.scenario.growth || self.healed.is_some() || one.aside.is_some() || synced == 0 {
            return Ok(());
        }
        if !self.random.chance(12) {
            return Ok(());
        }
        let batch = self.random.below(synced);
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let older = one.views.rewind(batch).map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
        one.aside = Some(std::mem::replace(&mut one.views, older));
        self.counters.add("views: restored as older than what was synced");
        Ok(())
    }

    /// A node refuses to start, since its views lack what was cut off and given up: that is right only where they are older
    /// than what was synced, and something was to be given up. The operator brings the right ones.
    pub(super) fn lacks(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let policy = self.settings.members.get(one.member).map(|member| member.policy.retention);
        let (there, honest) = (one.aside.take(), one.honest);
        let right = there.is_some() && policy.is_some_and(|policy| policy != Retention::Archive);
        ensure(right || !honest, RECOVERS, || format!("node {machine} ({policy:?}) lacks blocks that were cut off"))?;
        if let Some(there) = there {
            one.views = there;
        }
        self.counters.add("views: refused as older than the cut");
        self.end_life(machine);
        Ok(())
    }

    /// Counts what a life that ends did to its log, and where a cut was broken off.
    pub(super) fn count_cuts(&mut self, machine: usize) {
        let Some(one) = self.machines.get(machine) else { return };
        let Some(growing) = one.live.as_ref().and_then(|live| live.growing.as_ref()) else { return };
        let report = growing.growth.report();
        self.counters.add_many("cut: segments of the log removed", report.log_segments);
        self.counters.add_many("archive: blocks sealed", report.archive.blocks);
        self.counters.add_many("archive: segments deleted", report.archive.deleted);
        match growing.stage {
            Some(stage) if growing.working && one.crashed() => self.counters.add(crash_within(stage)),
            Some(_) => self.counters.add("cut: broken off between two steps"),
            None => {}
        }
    }
}
