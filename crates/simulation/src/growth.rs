//! How the log of a host with one owner is cut: when, what may strike meanwhile, and what is held up afterwards.

use crate::faults::Fault;
use crate::growing::{Stepped, Views};
use crate::host::Item;
use crate::lives::RECOVERS;
use crate::oracle::past::Past;
use crate::report::{Violation, ensure};
use crate::schedule::Happening;
use crate::world::World;
use ledger_node::core::{Applied, Event, Start};
use ledger_node::{CutStage, Retention};
use ledger_storage::chain::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;

const CUTS: &str = "a log that has grown is cut, unless its disk fails";

/// Between two looks at the size of a log that rests, in µs.
const REST: u64 = 60_000_000;

/// The counter of a loss of power at an I/O operation of a cut.
pub(crate) fn crash_within(stage: CutStage) -> &'static str {
    match stage {
        CutStage::Fold => "crash: in a cut, while it is read",
        CutStage::Archive => "crash: in a cut, while it is archived",
        CutStage::Start => "crash: in a cut, while its start is written",
        CutStage::Remove => "crash: in a cut, while segments are removed",
        CutStage::Prune => "crash: in a cut, while results are given up",
        _ => "crash: in a cut, while older starts are removed",
    }
}

impl World<'_> {
    /// What chooses how the log is cut in a life.
    pub(crate) fn growth_seed(&mut self) -> u64 {
        if self.scenario.growth { self.random.draw() } else { 0 }
    }

    /// Whether a fault waits until a cut begins.
    pub(crate) fn lurks(&mut self, fault: Fault) -> bool {
        let at_io = matches!(fault, Fault::CutAtOperation | Fault::FailSync | Fault::FailWrite | Fault::FillDisk);
        self.lurking = self.scenario.growth && at_io && self.random.chance(50);
        self.lurking
    }

    /// The fault that waited for a cut is armed.
    fn arm_lurking(&mut self) {
        if !std::mem::take(&mut self.lurking) {
            return;
        }
        let operations = self.disk.operations();
        match self.armed {
            Some(Fault::CutAtOperation) => self.disk.crash_at(operations + self.random.within(1..=24)),
            Some(Fault::FailSync) => self.disk.fail_sync(self.random.within(1..=8)),
            Some(Fault::FailWrite) => self.disk.fail_write(self.random.within(1..=8)),
            Some(Fault::FillDisk) => {
                let (used, room) = (self.used(), self.random.within(0..=3_000));
                self.limited = true;
                self.disk.limit_space(Some(used + room));
            }
            _ => {}
        }
    }

    /// Looks at the log's size, or takes a cut's next step.
    pub(crate) fn grow(&mut self) -> Result<(), Violation> {
        let planted = self.planted();
        let Some(host) = self.host.as_mut() else { return Ok(()) };
        let Some(growing) = host.growing.as_mut().filter(|growing| !growing.failed) else { return Ok(()) };
        if growing.stage.is_some_and(|stage| stage >= CutStage::Start) {
            self.truth.take_in(&host.log.reader())?;
        }
        let stepped = growing.step(&mut host.log, planted);
        if self.crashed() {
            return Ok(());
        }
        match stepped {
            Ok(Stepped::Idle) => {}
            Ok(Stepped::Begun) => {
                self.counters.add("cut: begun");
                self.arm_lurking();
            }
            Ok(Stepped::Going) => {}
            Ok(Stepped::Over) => {
                self.counters.add("cut: come to its end");
                if self.armed == Some(Fault::FillDisk) && self.limited {
                    // What a cut frees would keep the disk from ever running full.
                    self.disk.limit_space(Some(self.used()));
                }
                // Reading everything after each cut would take longer than all else.
                if self.counters.get("cut: come to its end") % 3 == 1 {
                    self.check_pasts()?;
                }
            }
            Err(error) => {
                let faulty = self.disk_faults() > self.disk_faults_before;
                ensure(faulty, CUTS, || error.to_string())?;
                self.counters.add("cut: stopped by a fault of the disk");
                if self.armed.take().is_some() {
                    self.last_fault = self.now;
                    let at = self.after(300_000);
                    self.schedule.at(at, Happening::GiveUp);
                }
                return Ok(());
            }
        }
        self.grow_later();
        Ok(())
    }

    /// The next look at the log, or the next step.
    pub(crate) fn grow_later(&mut self) {
        let Some(settings) = &self.settings.growth else { return };
        let (interval, pause) = (settings.interval, settings.pause);
        let cutting = self.host.as_ref().and_then(|host| host.growing.as_ref()?.stage).is_some();
        let at = match cutting {
            true => self.after(pause) + 1,
            false if self.watching => self.now + REST,
            false => self.now + interval,
        };
        self.schedule.at(at, Happening::Grow);
    }

    /// The views have a block: its results may be given up before anybody hears of them.
    pub(crate) fn applied(&mut self, chain: usize, applied: &Applied) -> Result<(), Violation> {
        if !self.scenario.growth {
            return Ok(());
        }
        self.results.insert((chain, applied.outcome.height.0), applied.execution.results.as_slice().into());
        match self.oracles.get_mut(chain) {
            Some(oracle) => oracle.executed(&applied.outcome, &applied.execution.results),
            None => Ok(()),
        }
    }

    /// Holds what the host has of all chains' past against what was seen.
    pub(crate) fn check_pasts(&mut self) -> Result<(), Violation> {
        let Some(host) = &self.host else { return Ok(()) };
        let Some(growing) = &host.growing else { return Ok(()) };
        let log = host.log.reader();
        for (chain, live) in &host.chains {
            let (Some(oracle), Some(spec)) = (self.oracles.get(*chain), self.settings.chains.get(*chain)) else {
                continue;
            };
            let (growth, retention) = (&*growing.growth, spec.policy.retention);
            let past = Past { growth, log: &log, reader: &live.reader, chain: spec.genesis.chain(), retention };
            oracle.check_past(&past, &mut self.counters)?;
        }
        Ok(())
    }

    /// As [`World::greet`], of a host whose log may have been cut.
    pub(crate) fn greet_from_cut(&mut self, starts: BTreeMap<usize, Start>) -> Result<(), Violation> {
        self.aside = None;
        let Some(host) = &self.host else { return Ok(()) };
        let log = host.log.reader();
        self.truth.take_in(&log)?;
        if log.first_segment() > 1 {
            self.counters.add("host: started from a cut log");
        }
        for (chain, start) in starts {
            let Some(host) = &self.host else { return Ok(()) };
            let (Some(spec), Some(growing), Some(live)) =
                (self.settings.chains.get(chain), host.growing.as_ref(), host.chains.get(&chain))
            else {
                continue;
            };
            let said = self.truth.said(&spec.genesis.chain())?;
            if let Some(taken) = host.taken.get(&chain) {
                said.check(&format!("chain {chain}"), taken)?;
            }
            let (growth, retention) = (Arc::clone(&growing.growth), spec.policy.retention);
            let reader = live.reader.clone();
            let past = Past { growth: &growth, log: &log, reader: &reader, chain: spec.genesis.chain(), retention };
            let Some(oracle) = self.oracles.get_mut(chain) else { continue };
            let height = oracle.recovered_from_cut(&said, &past, &mut self.counters)?;
            let known = self.known.get(chain).copied().unwrap_or(0);
            for (block, _) in said.blocks.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
                let height = block.header.height;
                let results = match reader.results(height) {
                    Err(StoreError::Pruned { .. }) => self.results.get(&(chain, height.0)).map(|found| found.to_vec()),
                    results => Some(results.map_err(|error| Violation::new(RECOVERS, error.to_string()))?),
                };
                if let (Some(results), Some((clients, _, _))) = (results, self.outside(chain)) {
                    clients.executed(&block.transactions, &results);
                }
            }
            if let Some(known) = self.known.get_mut(chain) {
                *known = height;
            }
            self.deliver(chain, Item::Event(Event::Start(start)))?;
        }
        self.copy_log();
        self.grow_later();
        Ok(())
    }

    /// Sometimes the views are restored from a time before what was synced.
    pub(crate) fn restore_older_views(&mut self) -> Result<(), Violation> {
        let synced = self.engine.synced();
        if !self.scenario.growth || self.aside.is_some() || synced == 0 || !self.random.chance(12) {
            return Ok(());
        }
        let older = self.engine.rewind(self.random.below(synced));
        let older = older.map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
        self.counters.add("views: restored as older than what was synced");
        self.aside = Some(std::mem::replace(&mut self.engine, older));
        Ok(())
    }

    /// Chains refuse to start, since their views lack what was cut off and given up: that is right only where the views are
    /// older than what was synced, and something was to be given up. The operator brings the right ones.
    pub(crate) fn lacks(&mut self, chains: &[usize]) -> Result<(), Violation> {
        for chain in chains {
            let policy = self.settings.chains.get(*chain).map(|spec| spec.policy.retention);
            let right = self.aside.is_some() && policy.is_some_and(|policy| policy != Retention::Archive);
            ensure(right, RECOVERS, || format!("chain {chain} ({policy:?}) lacks blocks that were cut off"))?;
            self.counters.add("views: refused as older than the cut");
        }
        // What was armed strikes another life.
        self.disk.crash_at(u64::MAX);
        self.disk.fail_sync(u64::MAX / 2);
        self.disk.fail_write(u64::MAX / 2);
        self.disk.limit_space(None);
        (self.limited, self.lurking) = (false, false);
        self.plan.extend(self.armed.take());
        self.end_life();
        if let Some(there) = self.aside.take() {
            self.engine = there;
        }
        Ok(())
    }

    /// In the end, without views: chains of which everything is kept are replayed from archive and log; the others say what
    /// they lack, and go on with the views that there are.
    pub(crate) fn start_without_views(&mut self, there: Views) -> Result<(), Violation> {
        self.aside = Some(there);
        self.start()?;
        if self.host.is_none() {
            self.schedule.end_life();
            self.start()?;
        } else {
            self.counters.add("views: built again from archive and log");
        }
        let up = self.host.take().is_some();
        ensure(up, RECOVERS, || "the host doesn't come up in the end".to_owned())
    }

    /// Counts what a life that ends did to its log, and where a cut was broken off.
    pub(crate) fn count_cuts(&mut self) {
        let Some(growing) = self.host.as_ref().and_then(|host| host.growing.as_ref()) else { return };
        let report = growing.growth.report();
        self.counters.add_many("cut: segments of the log removed", report.log_segments);
        self.counters.add_many("archive: blocks sealed", report.archive.blocks);
        self.counters.add_many("archive: segments deleted", report.archive.deleted);
        match growing.stage {
            Some(stage) if growing.working && self.crashed() => self.counters.add(crash_within(stage)),
            Some(_) => self.counters.add("cut: broken off between two steps"),
            None => {}
        }
    }
}
