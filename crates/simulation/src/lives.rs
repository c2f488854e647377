//! How a host's lives begin and end.

use crate::faults::Fault;
use crate::growing::Views;
use crate::host::{Item, Machine};
use crate::oracle::blocks_in;
use crate::planted::PlantedBug;
use crate::random::Random;
use crate::report::{Violation, ensure};
use crate::schedule::Happening;
use crate::stages::Ambush;
use crate::world::World;
use ledger_node::core::{Event, Start};
use ledger_storage::disk::simulated::FaultCounts;
use ledger_storage::disk::{Disk, DiskError, SimulatedDisk};
use std::collections::BTreeMap;

/// Recoveries in a row that are cut in turn.
const MOST_NESTED: u32 = 3;

pub(crate) const RECOVERS: &str = "a host recovers from whatever a crash or a fault left";
const REFUSES: &str = "a signer whose log was rolled back refuses to vote";
const COPYABLE: &str = "files can be copied";

impl World<'_> {
    /// Whether the power has gone.
    pub(crate) fn crashed(&self) -> bool {
        self.disk.faults().crashes > 0
    }

    /// Faults that a log, a guard or a chain may stop for.
    pub(crate) fn disk_faults(&self) -> u64 {
        let faults = self.disk.faults();
        faults.failed_syncs + faults.failed_writes + faults.full
    }

    /// Chooses what will end the life that begins now.
    fn arm(&mut self) {
        if self.scenario.short_writes {
            self.disk.shorten_writes(self.settings.shorten_one_in);
        }
        self.disk_faults_before = self.disk_faults();
        if self.armed.is_some() {
            return;
        }
        self.lurking = false;
        let nested = std::mem::take(&mut self.crashed_before)
            && self.nested < MOST_NESTED
            && self.random.chance(self.scenario.nested_percent);
        self.nested = if nested { self.nested + 1 } else { 0 };
        let operations = self.disk.operations();
        if let Some(operation) = self.scenario.crash_at.filter(|_| self.operations.is_none()) {
            self.armed = Some(Fault::CutAtOperation);
            self.disk.crash_at(operation);
            return;
        }
        if nested {
            self.armed = Some(Fault::CutAtOperation);
            self.disk.crash_at(operations + self.random.within(1..=14));
            return;
        }
        self.armed = self.plan.pop();
        let Some(fault) = self.armed else { return };
        if self.lurks(fault) {
            return self.trace.note(self.now, fault.name());
        }
        let (now, random) = (self.now, &mut self.random);
        if matches!(fault, Fault::CutAtOperation | Fault::CutAtTime | Fault::Kill) {
            self.ambush = Ambush::draw(random);
            if self.ambush.is_some() {
                return self.trace.note(now, fault.name());
            }
        }
        match fault {
            Fault::CutAtOperation => self.disk.crash_at(operations + random.within(1..=80)),
            Fault::FailSync => self.disk.fail_sync(random.within(1..=30)),
            Fault::FailWrite => self.disk.fail_write(random.within(1..=50)),
            Fault::FillDisk => {
                let used = self.used();
                let room = self.random.within(0..=12_000);
                self.limited = true;
                self.disk.limit_space(Some(used + room));
            }
            Fault::CutAtTime | Fault::Kill | Fault::Shutdown | Fault::RestoreLog => {
                let at = now + random.within(1_000..=80_000);
                self.schedule.at(at, Happening::Strike);
            }
        }
        self.trace.note(now, fault.name());
    }

    /// What chooses how blocks are executed and stored in the life that begins now.
    fn stages(&self) -> Random {
        self.random.fork("stages", self.now)
    }

    pub(crate) fn used(&self) -> u64 {
        let names = self.disk.list().unwrap_or_default();
        names.iter().filter_map(|name| self.disk.open(name).ok()?.len().ok()).sum()
    }

    /// The host starts: log, chains, recovery.
    pub(crate) fn start(&mut self) -> Result<(), Violation> {
        self.arm();
        let mut order: Vec<usize> = (0..self.settings.chains.len()).collect();
        self.random.shuffle(&mut order);
        let log_id = self.random.bytes();
        let growth_seed = self.growth_seed();
        let (disk, engine, executor) = (&self.disk, &self.engine, &self.executor);
        let (settings, planted, stages) = (&self.settings, self.scenario.planted, self.stages());
        let machine = Machine { disk, engine, executor, settings, planted, log_id, growth_seed, stages };
        match machine.open(&order) {
            _ if self.crashed() => {
                self.counters.add("crash: within a start");
                Ok(())
            }
            Ok((host, starts)) => {
                self.counters.add("host: started");
                self.counters.add_many("block: replayed", host.replayed);
                ensure(host.refused.is_empty(), RECOVERS, || format!("chains {:?} refused", host.refused))?;
                if !host.lacking.is_empty() {
                    return self.lacks(&host.lacking);
                }
                self.host = Some(host);
                if self.scenario.growth {
                    return self.greet_from_cut(starts);
                }
                self.greet(starts)
            }
            Err(reason) => {
                let faulty = self.disk_faults() > self.disk_faults_before;
                ensure(faulty, RECOVERS, || reason.clone())?;
                self.counters.add("host: start failed for a disk fault");
                self.armed = None;
                self.end_process()
            }
        }
    }

    /// Every chain is held against what was promised before, and begins.
    pub(crate) fn greet(&mut self, starts: BTreeMap<usize, Start>) -> Result<(), Violation> {
        for (chain, start) in starts {
            let Some(host) = &self.host else { return Ok(()) };
            let (log, reader) = (host.log.reader(), host.chains.get(&chain).map(|live| live.reader.clone()));
            let (Some(reader), Some(oracle)) = (reader, self.oracles.get_mut(chain)) else { continue };
            let height = oracle.recovered(&log, &reader)?;
            let known = self.known.get(chain).copied().unwrap_or(0);
            let blocks = blocks_in(&log, &start.checkpoint.header.chain.0)?;
            for block in blocks.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
                let results = reader.results(block.header.height);
                let results = results.map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
                if let Some((clients, _, _)) = self.outside(chain) {
                    clients.executed(&block.transactions, &results);
                }
            }
            if let Some(known) = self.known.get_mut(chain) {
                *known = height;
            }
            self.deliver(chain, Item::Event(Event::Start(start)))?;
        }
        self.copy_log();
        Ok(())
    }

    /// A copy of the disk for later, if the log is to be restored.
    pub(crate) fn copy_log(&mut self) {
        if self.armed == Some(Fault::RestoreLog) && self.copy.is_none() {
            let heights = self.oracles.iter().map(super::oracle::Oracle::height).collect();
            self.copy = Some((self.disk.survivor(1), heights));
        }
    }

    /// Adds what the disk did since the last time.
    pub(crate) fn count_disk_faults(&mut self) {
        let (now, before) = (self.disk.faults(), self.counted);
        let counts = [
            ("disk: sync failed", now.failed_syncs - before.failed_syncs),
            ("disk: write failed", now.failed_writes - before.failed_writes),
            ("disk: full", now.full - before.full),
            ("disk: short write", now.short_writes - before.short_writes),
            ("disk: piece lost in a crash", now.lost_pieces - before.lost_pieces),
            ("disk: piece torn in a crash", now.torn_pieces - before.torn_pieces),
            ("disk: stale bytes after a crash", now.stale_pieces - before.stale_pieces),
            ("disk: name lost in a crash", now.lost_names - before.lost_names),
        ];
        for (name, count) in counts {
            self.counters.add_many(name, count);
        }
        self.counted = now;
    }

    /// The process ends, whatever it was doing.
    pub(crate) fn end_life(&mut self) {
        self.count_disk_faults();
        self.count_cuts();
        for live in self.host.iter().flat_map(|host| host.chains.values()) {
            live.stages.count_end(&mut self.counters);
        }
        self.ambush = None;
        self.operations.get_or_insert(self.disk.operations());
        // Whatever the dying process still does when its parts are dropped happens to nobody.
        self.host = None;
        self.schedule.end_life();
        self.last_fault = self.now;
        for clients in &mut self.clients {
            clients.disconnected();
        }
        let heights: Vec<u64> = self.ordered.iter().map(|blocks| blocks.len() as u64).collect();
        for ((ordered, known), (unexecuted, oracle)) in
            self.ordered.iter_mut().zip(&mut self.known).zip(heights.iter().zip(&self.oracles))
        {
            ordered.clear();
            *known = oracle.height().saturating_sub(*unexecuted);
        }
        let pause = if self.random.chance(10) { 2_000_000 } else { 20_000 };
        let at = self.after(pause);
        self.schedule.at(at, Happening::Restart);
    }

    /// The machine loses power: of what wasn't synced some survives, and the views are those of any earlier moment.
    pub(crate) fn lose_power(&mut self) -> Result<(), Violation> {
        let at_operation = self.disk.faults().crashes > 0;
        let fault = if at_operation { Fault::CutAtOperation } else { Fault::CutAtTime };
        self.counters.add(fault.counter());
        if self.armed == Some(fault) {
            self.armed = None;
        }
        self.crashed_before = true;
        self.end_life();
        let survivor = match (self.scenario.survivor, self.random.below(10)) {
            (Some(survivor), _) => survivor,
            (None, 0) => 0,
            (None, 1) => 1,
            _ => self.random.draw(),
        };
        self.replace_disk(self.disk.survivor(survivor));
        self.rewind_views()?;
        self.trace.note(self.now, "power lost");
        Ok(())
    }

    fn replace_disk(&mut self, disk: SimulatedDisk) {
        self.disk = disk;
        self.limited = false;
        self.counted = FaultCounts::default();
    }

    /// The views come back as they were after some batch, or as they are.
    fn rewind_views(&mut self) -> Result<(), Violation> {
        // Views that a log is cut behind were synced before.
        let (batches, synced) = (self.engine.batches(), self.engine.synced());
        let kept = match self.random.below(10) {
            0 => synced,
            1..=3 => batches,
            _ => self.random.within(synced..=batches),
        };
        self.counters.add_many("views: batches lost", batches - kept);
        if kept == 0 && batches > 0 {
            self.counters.add("views: lost altogether");
        }
        let rewound = self.engine.rewind(kept);
        self.engine = rewound.map_err(|error| Violation::new(RECOVERS, error.to_string()))?;
        self.restore_older_views()
    }

    /// The process ends without the machine, or the machine with it.
    fn end_process(&mut self) -> Result<(), Violation> {
        let (full, keep) = (self.limited, self.random.chance(30));
        if self.random.chance(50) {
            return self.lose_power();
        }
        self.end_life();
        self.counters.add(Fault::Kill.counter());
        if full && !keep {
            self.limited = false;
            self.disk.limit_space(None);
        } else if full {
            self.counters.add("host: restarted on a full disk");
            self.armed = Some(Fault::FillDisk);
        }
        if self.random.chance(50) {
            self.rewind_views()?;
        }
        self.trace.note(self.now, "process ended");
        Ok(())
    }

    /// A chain has stopped, and the operator restarts the host.
    pub(crate) fn give_up(&mut self) -> Result<(), Violation> {
        self.end_process()
    }

    /// A block was executed and isn't stored: what lies in wait for that strikes.
    pub(crate) fn fall_into_ambush(&mut self, chain: usize) -> Result<(), Violation> {
        let Some(mut ambush) = self.ambush.take() else { return Ok(()) };
        if self.live(chain).is_some_and(|live| !live.stages.falls_into(&mut ambush)) {
            self.ambush = Some(ambush);
            return Ok(());
        }
        if self.armed == Some(Fault::CutAtOperation) {
            let operations = self.disk.operations();
            self.disk.crash_at(operations + self.random.within(1..=3));
            return Ok(());
        }
        self.strike()
    }

    /// The armed fault strikes.
    pub(crate) fn strike(&mut self) -> Result<(), Violation> {
        let fault = self.armed.take();
        match fault {
            Some(Fault::CutAtTime) => self.lose_power(),
            Some(Fault::Kill) => {
                self.end_life();
                self.counters.add(Fault::Kill.counter());
                if self.random.chance(50) {
                    self.rewind_views()?;
                }
                self.trace.note(self.now, "killed");
                Ok(())
            }
            Some(Fault::Shutdown) => self.shut_down(),
            Some(Fault::RestoreLog) => self.restore_log(),
            other => {
                self.armed = other;
                Ok(())
            }
        }
    }

    /// Closes the host: chains take nothing new, and what was accepted is certified.
    fn shut_down(&mut self) -> Result<(), Violation> {
        let chains: Vec<usize> = self.host.iter().flat_map(|host| host.chains.keys().copied()).collect();
        for chain in &chains {
            self.deliver(*chain, Item::Event(Event::Close))?;
        }
        let mut patience = 100_000u32;
        while self.host.as_ref().is_some_and(|host| !host.chains.values().all(|live| live.core.is_idle())) {
            let Some((time, happening)) = self.schedule.next() else { break };
            self.now = self.now.max(time);
            self.pass(happening)?;
            patience -= 1;
            ensure(patience > 0, "a host that is closed comes to rest", || format!("chains {chains:?}"))?;
        }
        let Some(host) = self.host.take() else { return Ok(()) };
        let readers: Vec<_> = host.chains.iter().map(|(chain, live)| (*chain, live.reader.clone())).collect();
        for (chain, reader) in readers {
            if let Some(oracle) = self.oracles.get_mut(chain) {
                oracle.at_rest(&reader)?;
            }
        }
        let closed = host.log.close();
        closed.map_err(|error| Violation::new("a host closes", error.to_string()))?;
        self.counters.add(Fault::Shutdown.counter());
        self.end_life();
        self.trace.note(self.now, "closed");
        Ok(())
    }

    /// The log's files are older than the vote guards: whoever has voted since refuses.
    fn restore_log(&mut self) -> Result<(), Violation> {
        let Some((copy, heights)) = self.copy.take() else { return Ok(()) };
        self.end_life();
        let failed = |error: DiskError| Violation::new(COPYABLE, error.to_string());
        let restored = SimulatedDisk::new(self.random.draw());
        copy_files(&copy, &restored, |name| name.starts_with("log-")).map_err(failed)?;
        copy_files(&self.disk, &restored, |name| !name.starts_with("log-")).map_err(failed)?;
        restored.sync_folder().map_err(failed)?;
        self.replace_disk(restored);
        self.engine = Views::new(false);
        let order: Vec<usize> = (0..self.settings.chains.len()).collect();
        let (log_id, growth_seed) = (self.random.bytes(), self.growth_seed());
        let (disk, engine, executor) = (&self.disk, &self.engine, &self.executor);
        let (settings, planted, stages) = (&self.settings, self.scenario.planted, self.stages());
        let machine = Machine { disk, engine, executor, settings, planted, log_id, growth_seed, stages };
        let host = match machine.open(&order) {
            Ok((host, _)) => host,
            // The start of a cut log tells by itself.
            Err(reason) if self.scenario.growth && reason.contains("records before its first segment") => {
                self.counters.add("log: refused as older than its start");
                self.counters.add(Fault::RestoreLog.counter());
                self.over = true;
                return Ok(());
            }
            Err(reason) => return Err(Violation::new(REFUSES, reason)),
        };
        for (chain, (oracle, height)) in self.oracles.iter().zip(&heights).enumerate() {
            if oracle.height() > *height {
                self.counters.add("signer: refused a log that was rolled back");
                ensure(host.refused.contains(&chain), REFUSES, || {
                    format!("chain {chain} starts at {height} after {} blocks", oracle.height())
                })?;
            }
        }
        self.counters.add(Fault::RestoreLog.counter());
        self.over = true;
        Ok(())
    }

    /// In the end the host is closed, and everything is replayed from the log alone.
    pub(crate) fn close_and_replay(&mut self) -> Result<(), Violation> {
        let Some(host) = self.host.take() else { return Ok(()) };
        let closed = host.log.close();
        closed.map_err(|error| Violation::new("a host closes", error.to_string()))?;
        self.operations.get_or_insert(self.disk.operations());
        let none = Views::new(self.planted() == Some(PlantedBug::CutsUnsynced));
        let there = std::mem::replace(&mut self.engine, none);
        self.schedule.end_life();
        if self.scenario.growth {
            return self.start_without_views(there);
        }
        self.start()?;
        let host = self.host.take();
        let replayed = host.map_or(0, |host| host.replayed);
        let blocks: u64 = self.oracles.iter().map(super::oracle::Oracle::height).sum();
        ensure(replayed == blocks, RECOVERS, || format!("{replayed} of {blocks} blocks were replayed from the log"))
    }
}

/// Copies the files that `wanted` names, with all that was written to them, and makes them durable.
fn copy_files(from: &SimulatedDisk, to: &SimulatedDisk, wanted: impl Fn(&str) -> bool) -> Result<(), DiskError> {
    for name in from.list()?.iter().filter(|name| wanted(name)) {
        let file = from.open(name)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        file.read_exact_at(0, &mut bytes)?;
        let copy = to.create(name)?;
        copy.write_all_at(0, &bytes)?;
        copy.sync_data()?;
    }
    Ok(())
}
