//! The world: a machine that is switched off and on, a host on it, clients around it, one clock.

use crate::clients::{Clients, Submission};
use crate::faults::Fault;
use crate::growing::Views;
use crate::host::{Host, Item, forgetful};
use crate::oracle::Oracle;
use crate::planted::PlantedBug;
use crate::random::Random;
use crate::report::{Counters, Report, Violation, ensure};
use crate::scenario::Scenario;
use crate::schedule::{Happening, Schedule};
use crate::settings::{BEGINNING, Settings};
use crate::stages::Ambush;
use crate::trace::{Trace, world_of};
use crate::truth::Truth;
use ledger_contracts::{LedgerExecutor, NativeRuntime, Token};
use ledger_core::{Block, Executor, Timestamp, TransactionResult};
use ledger_node::core::{Event, Stop};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::disk::simulated::FaultCounts;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const LIVENESS: &str = "when faults stop, everything accepted is certified in the end";
const IDLE: &str = "an idle chain makes no blocks";
const NAMED_STOP: &str = "a chain stops only for a named fault of its disk";

/// Longer than this from the last fault to rest is no progress, in simulated µs.
const PATIENCE: u64 = 900_000_000;
/// More steps than this is no progress.
const MOST_STEPS: u64 = 3_000_000;
/// How long an idle world is watched, in simulated µs.
const WATCH: u64 = 3_600_000_000;

pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) now: u64,
    pub(crate) schedule: Schedule,
    pub(crate) trace: Trace,
    pub(crate) counters: Counters,
    pub(crate) executor: Arc<dyn Executor>,
    /// What survives the host's lives.
    pub(crate) disk: SimulatedDisk,
    pub(crate) engine: Views,
    /// Disk faults that were counted already.
    pub(crate) counted: FaultCounts,
    pub(crate) host: Option<Host>,
    pub(crate) oracles: Vec<Oracle>,
    pub(crate) clients: Vec<Clients>,
    /// Blocks ordered and not yet executed in this life.
    pub(crate) ordered: Vec<VecDeque<Arc<Block>>>,
    /// How many of each chain's blocks its clients know.
    pub(crate) known: Vec<u64>,
    /// Faults to come, and the one that is armed.
    pub(crate) plan: Vec<Fault>,
    pub(crate) armed: Option<Fault>,
    /// Disk faults (failed syncs, failed writes, refused writes) when this life began.
    pub(crate) disk_faults_before: u64,
    pub(crate) last_fault: u64,
    pub(crate) crashed_before: bool,
    /// How many lives in a row were cut right after a crash.
    pub(crate) nested: u32,
    /// Whether the disk's space is limited.
    pub(crate) limited: bool,
    pub(crate) operations: Option<u64>,
    /// An older copy of the disk, and how many blocks each chain had then.
    pub(crate) copy: Option<(SimulatedDisk, Vec<u64>)>,
    pub(crate) over: bool,
    /// All that the log ever said, where it is cut.
    pub(crate) truth: Truth,
    /// The views that there really are, while older ones stand in their place.
    pub(crate) aside: Option<Views>,
    /// Results that the views got in this life or an earlier one, by chain and height, where logs are cut: what clients
    /// haven't heard of yet may have been given up meanwhile.
    pub(crate) results: BTreeMap<(usize, u64), Arc<[TransactionResult]>>,
    /// Whether the armed fault waits for a cut.
    pub(crate) lurking: bool,
    /// What the armed fault waits for, if it does.
    pub(crate) ambush: Option<Ambush>,
    /// Whether an idle world is being watched.
    pub(crate) watching: bool,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, seed: u64) -> Result<Self, Violation> {
        let random = Random::new(seed);
        let settings = Settings::draw(scenario, &mut random.fork("settings", 0));
        let mut plan = scenario.plan(&mut random.fork("plan", 0));
        plan.reverse();
        let mut oracles = Vec::new();
        let mut clients = Vec::new();
        for (number, spec) in (0..).zip(&settings.chains) {
            let mut oracle = Oracle::new(number, &spec.genesis, scenario.growth)?;
            let of_clients = random.fork("clients", number);
            clients.push(Clients::new(
                spec.genesis.chain(),
                of_clients,
                scenario.accounts,
                scenario.transactions,
                scenario.wrong_percent,
                settings.mocked,
                &mut oracle,
            )?);
            oracles.push(oracle);
        }
        let executor: Arc<dyn Executor> = Arc::new(LedgerExecutor::default().with(NativeRuntime::new().with(Token)));
        let executor = match scenario.planted {
            Some(PlantedBug::LosesAWrite) => forgetful(executor),
            _ => executor,
        };
        let mut schedule = Schedule::default();
        schedule.at(0, Happening::Restart);
        let mut trace = Trace::new(scenario.print);
        trace.note(0, &world_of(settings.chains.iter().map(|spec| spec.genesis.chain())));
        for chain in 0..settings.chains.len() {
            schedule.at(0, Happening::Clients { chain });
        }
        let count = settings.chains.len();
        Ok(World {
            scenario,
            seed,
            now: 0,
            schedule,
            trace,
            counters: Counters::default(),
            executor,
            disk: SimulatedDisk::new(random.fork("disk", 0).draw()),
            engine: Views::new(scenario.planted == Some(PlantedBug::CutsUnsynced)),
            counted: FaultCounts::default(),
            host: None,
            oracles,
            clients,
            ordered: (0..count).map(|_| VecDeque::new()).collect(),
            known: vec![0; count],
            plan,
            armed: None,
            disk_faults_before: 0,
            last_fault: 0,
            crashed_before: false,
            nested: 0,
            limited: false,
            operations: None,
            copy: None,
            over: false,
            truth: Truth::default(),
            aside: None,
            results: BTreeMap::new(),
            lurking: false,
            ambush: None,
            watching: false,
            random: random.fork("world", 0),
            settings,
        })
    }

    pub(crate) fn planted(&self) -> Option<PlantedBug> {
        self.scenario.planted
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        BEGINNING.plus(self.now / 1_000)
    }

    /// The clock's reading when `time` comes, not before now.
    pub(crate) fn micros_of(&self, time: Timestamp) -> u64 {
        (time.0.saturating_sub(BEGINNING.0)).saturating_mul(1_000).max(self.now)
    }

    /// A moment at most `longest` µs from now.
    pub(crate) fn after(&mut self, longest: u64) -> u64 {
        self.now + self.random.within(0..=longest)
    }

    /// What stands around a chain: its clients, its oracle, and the counters.
    pub(crate) fn outside(&mut self, chain: usize) -> Option<(&mut Clients, &mut Oracle, &mut Counters)> {
        Some((self.clients.get_mut(chain)?, self.oracles.get_mut(chain)?, &mut self.counters))
    }

    /// Runs until everything has come to rest.
    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        let mut steps = 0u64;
        while let Some((time, happening)) = self.schedule.next() {
            self.now = self.now.max(time);
            self.pass(happening)?;
            steps += 1;
            let waited = self.now.saturating_sub(self.last_fault);
            let patient = steps < MOST_STEPS && (self.is_interrupting() || waited < PATIENCE);
            ensure(patient, LIVENESS, || {
                let waiting: Vec<String> = self.clients.iter().map(Clients::waiting).collect();
                format!("after {steps} steps, {} us: {}", self.now, waiting.join(" | "))
            })?;
            if self.over {
                return Ok(self.report());
            }
            if self.schedule.is_at_rest() && self.is_done() {
                self.watch_idleness()?;
                self.close_and_replay()?;
                return Ok(self.report());
            }
        }
        Err(Violation::new(LIVENESS, "nothing is left to happen"))
    }

    fn report(mut self) -> Report {
        self.count_disk_faults();
        let blocks = self.oracles.iter().map(Oracle::height).sum();
        let own = self.disk.operations();
        Report {
            seed: self.seed,
            trace: self.trace.hash(),
            entries: self.trace.entries(),
            blocks,
            micros: self.now,
            operations: self.operations.unwrap_or(own),
            counters: self.counters,
        }
    }

    /// Whether faults are still to come.
    pub(crate) fn is_interrupting(&self) -> bool {
        self.armed.is_some() || !self.plan.is_empty()
    }

    fn is_done(&self) -> bool {
        let idle = |host: &Host| host.chains.values().all(|live| live.core.is_idle() && live.inbox.is_empty());
        !self.is_interrupting() && self.clients.iter().all(Clients::is_done) && self.host.as_ref().is_some_and(idle)
    }

    /// Something happens, and the world looks at what came of it.
    pub(crate) fn pass(&mut self, happening: Happening) -> Result<(), Violation> {
        self.happen(happening)?;
        self.look_around()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Clients { chain } => self.clients_turn(chain)?,
            Happening::Restart => self.start()?,
            Happening::GiveUp => self.give_up()?,
            Happening::Strike => self.strike()?,
            Happening::Checked { chain, id, transaction, verdict } => {
                let verdict = verdict.or_else(|| self.check(chain, &id, &transaction));
                if let Some(verdict) = verdict {
                    self.deliver(chain, Item::Event(Event::Checked { id, verdict }))?;
                }
            }
            Happening::Flush => self.flush()?,
            Happening::Seal => {
                if let Some(host) = self.host.as_mut().filter(|host| host.log.is_idle()) {
                    // A log that has failed tells everyone who needs it.
                    let _ = host.log.seal();
                }
            }
            Happening::Grow => self.grow()?,
            Happening::Durable { chain, token, voted, outcome } => {
                self.deliver(chain, Item::Durable { token, voted, outcome })?;
            }
            Happening::Stage { chain, step } => self.end_step(chain, step)?,
            Happening::Applied { chain, applied } => self.deliver(chain, Item::Event(Event::Applied(applied)))?,
            Happening::Wake { chain, request } => {
                if self.live(chain).is_some_and(|live| live.alarm == request) {
                    self.deliver(chain, Item::Event(Event::Wake))?;
                }
            }
        }
        Ok(())
    }

    fn clients_turn(&mut self, chain: usize) -> Result<(), Violation> {
        let pause = if self.random.chance(2) { 200_000 } else { self.settings.delays.client };
        let at = self.after(pause) + 1;
        self.schedule.at(at, Happening::Clients { chain });
        if self.host.as_ref().is_none_or(|host| !host.chains.contains_key(&chain)) {
            return Ok(());
        }
        let (now, interrupting) = (self.timestamp(), self.is_interrupting());
        let Some((clients, oracle, counters)) = self.outside(chain) else { return Ok(()) };
        if interrupting {
            clients.send_more();
        }
        match clients.send(now, oracle, counters)? {
            Some(Submission { ask, transaction }) => {
                self.deliver(chain, Item::Event(Event::Submit { ask, transaction }))
            }
            None => Ok(()),
        }
    }

    /// After each happening: has the power gone, has a chain stopped?
    fn look_around(&mut self) -> Result<(), Violation> {
        if self.crashed() {
            return self.lose_power();
        }
        let faulty = self.disk_faults() > self.disk_faults_before;
        let Some(host) = &self.host else { return Ok(()) };
        let stopped = host.chains.iter().find_map(|(chain, live)| Some((*chain, live.stopped.clone()?)));
        let Some((chain, stop)) = stopped else { return Ok(()) };
        let named = faulty && matches!(&stop, Stop::Log(reason) if names_a_fault(reason));
        ensure(named, NAMED_STOP, || format!("chain {chain}: {stop}"))?;
        if self.armed.take().is_some() {
            self.last_fault = self.now;
            let at = self.after(30_000);
            self.schedule.at(at, Happening::GiveUp);
        }
        Ok(())
    }

    /// Lets an hour pass: with nothing to order, no chain makes a block, or only those that agreed time needs.
    fn watch_idleness(&mut self) -> Result<(), Violation> {
        self.schedule.without_clients();
        self.watching = true;
        let before: Vec<u64> = self.oracles.iter().map(Oracle::height).collect();
        let began = self.now;
        let watch = self.scenario.heartbeat_ms.map_or(WATCH, |interval| interval.saturating_mul(10_000));
        while let Some((time, happening)) = self.schedule.next_until(began + watch) {
            self.now = time;
            self.pass(happening)?;
        }
        let made = self.oracles.iter().zip(&before).map(|(oracle, before)| oracle.height() - before);
        for (chain, made) in made.enumerate() {
            let expected = if self.scenario.heartbeat_ms.is_some() { 5..=11 } else { 0..=0 };
            ensure(expected.contains(&made), IDLE, || format!("chain {chain} made {made} blocks in {watch} us"))?;
        }
        self.counters.add("idle hour watched");
        self.settle()?;
        let chains = self.host.iter().flat_map(|host| host.chains.iter());
        let readers: Vec<_> = chains.map(|(chain, live)| (*chain, live.reader.clone())).collect();
        for (chain, reader) in readers {
            if let Some(oracle) = self.oracles.get_mut(chain) {
                oracle.at_rest(&reader)?;
            }
        }
        self.check_pasts()
    }

    /// Carries on with what is under way until nothing is.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        while !self.schedule.is_at_rest()
            && let Some((time, happening)) = self.schedule.next()
        {
            self.now = self.now.max(time);
            self.pass(happening)?;
        }
        Ok(())
    }
}

/// Whether a reason tells an operator what failed.
fn names_a_fault(reason: &str) -> bool {
    ["could not sync", "could not write", "could not resize", "disk full", "could not create"]
        .iter()
        .any(|fault| reason.contains(fault))
}
