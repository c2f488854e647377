//! The world of a network: machines, links, clients, one clock.

use super::adversary::{Adversary, Cabal};
use super::clients::Clients;
use super::engine;
use super::links::Links;
use super::machine::Machine;
use super::oracle::Oracle;
use super::plan::{self, Planned};
use super::scenario::Network;
use super::schedule::{Happening, Local, Schedule};
use super::settings::Settings;
use super::watch::Watch;
use crate::growing::Views;
use crate::host::forgetful;
use crate::keys::{self, Keys, SimulatedFinality};
use crate::planted::PlantedBug;
use crate::random::Random;
use crate::report::{Counters, Report, Violation, ensure};
use crate::trace::Trace;
use ledger_contracts::{LedgerExecutor, NativeRuntime, Token};
use ledger_core::{Executor, Height, ValidatorSet, View};
use ledger_crypto::MemoryGuard;
use ledger_node::core::join::JoinEvent;
use ledger_node::core::{Ask, Event};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The law that a run breaks when nothing goes on after the healing.
pub const PROGRESS: &str = "once the network heals, the heights that have to follow do";
/// The law that a run breaks when the first decision after the healing comes late.
pub const DECISION: &str = "once the network heals, a decision comes within f + 2 views";
const IDLE: &str = "an idle network makes no blocks";

/// Longer than this from the healing to rest is no progress, in simulated µs.
const PATIENCE: u64 = 120_000_000;
/// More steps than this is no progress.
const MOST_STEPS: u64 = 1_500_000;
/// With too many liars nothing is promised; the run ends so long after the healing, in simulated µs.
const FORK_WATCH: u64 = 4_000_000;

/// Where the network stood when it healed.
pub(super) struct Healed {
    pub(super) at: u64,
    /// The highest view that an honest node had voted in.
    pub(super) view: u64,
    pub(super) height: u64,
    /// Whether something was finalized in a later view.
    pub(super) decided: bool,
}

pub(super) struct NetworkWorld<'a> {
    pub(super) scenario: &'a Network,
    seed: u64,
    pub(super) settings: Settings,
    pub(super) engine: engine::Choice,
    pub(super) finality: SimulatedFinality,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) random: Random,
    /// Who is in which part of the network in a view.
    views: Random,
    pub(super) now: u64,
    pub(super) schedule: Schedule,
    pub(super) trace: Trace,
    pub(super) counters: Counters,
    pub(super) machines: Vec<Machine>,
    pub(super) links: Links,
    pub(super) cabal: Cabal,
    pub(super) oracle: Oracle,
    pub(super) clients: Clients,
    next_ask: u64,
    pub(super) plan: VecDeque<(u64, Planned)>,
    pub(super) healed: Option<Healed>,
    /// The highest view that an honest node has voted in.
    pub(super) top_view: u64,
    /// The last message looked into, and its view.
    pub(super) inspected: Option<(Arc<[u8]>, Option<View>)>,
    /// The view of each machine's last message.
    last_views: Vec<View>,
    pub(super) watch: Watch,
}

impl<'a> NetworkWorld<'a> {
    pub(super) fn new(scenario: &'a Network, seed: u64) -> Result<Self, Violation> {
        let random = Random::new(seed);
        let failed = |reason: String| Violation::new("a network can be set up", reason);
        let settings = Settings::draw(scenario, &mut random.fork("settings", 0)).map_err(failed)?;
        let (genesis, chain) = (&settings.genesis, settings.genesis.chain());
        let finality = genesis.finality().map_err(|error| failed(error.to_string()))?;
        let finality = SimulatedFinality { finality, mocked: settings.mocked };
        let validators = ValidatorSet::from_bytes(&genesis.engine.parameters);
        let validators = validators.map_err(|error| failed(error.to_string()))?;
        let executor: Arc<dyn Executor> = Arc::new(LedgerExecutor::default().with(NativeRuntime::new().with(Token)));
        let executor = match scenario.planted {
            Some(PlantedBug::LosesAWrite) => forgetful(executor),
            _ => executor,
        };
        let (mut machines, counters) = machines(&settings, &mut random.fork("machines", 0));
        for machine in &mut machines {
            machine.views = Views::new(scenario.planted == Some(PlantedBug::CutsUnsynced));
        }
        let lying = |member: &&super::settings::Member| member.manners.is_some();
        let honest = settings.members.iter().filter(|member| !lying(member)).map(|member| member.key).collect();
        let liars: BTreeMap<_, _> = settings
            .members
            .iter()
            .filter(lying)
            .map(|member| (member.key, Keys::new(member.seed, settings.mocked)))
            .collect();
        let (mocked, may_fork) = (settings.mocked, scenario.may_fork());
        let cabal = Cabal::new(chain, validators.clone(), liars, random.fork("cabal", 0));
        let oracle = Oracle::new(genesis, validators, honest, machines.len(), (mocked, may_fork, scenario.growth));
        let one_body = settings.members.len();
        let plan = plan::draw(scenario, machines.len(), one_body, &mut random.fork("plan", 0));
        let clients = Clients::new(chain, random.fork("clients", 0), scenario.transactions, mocked);
        let mut schedule = Schedule::default();
        for machine in 0..machines.len() {
            schedule.at(0, Happening::Restart { machine });
        }
        for (time, _) in &plan {
            schedule.at(*time, Happening::Planned);
        }
        schedule.at(1_000, Happening::Clients);
        let mut trace = Trace::new(scenario.print);
        trace.note(0, &chain.to_string());
        let count = machines.len();
        Ok(NetworkWorld {
            scenario,
            seed,
            engine: engine::Choice { planted: scenario.planted_protocol },
            finality,
            executor,
            views: random.fork("views", 0),
            now: 0,
            schedule,
            trace,
            counters,
            machines,
            links: Links::new(settings.links.clone(), random.fork("links", 0)),
            cabal,
            oracle,
            clients,
            next_ask: 0,
            plan: plan.into(),
            healed: None,
            top_view: 0,
            inspected: None,
            last_views: vec![View(0); count],
            watch: Watch::default(),
            random: random.fork("world", 0),
            settings,
        })
    }

    /// The whole run: chaos, healing, the heights that have to follow, rest.
    pub(super) fn run(mut self) -> Result<Report, Violation> {
        self.go()?;
        Ok(self.report())
    }

    /// The run, and what was watched meanwhile.
    pub(super) fn watched(mut self) -> Result<(Report, Watch), Violation> {
        self.go()?;
        let watch = std::mem::take(&mut self.watch);
        Ok((self.report(), watch))
    }

    fn go(&mut self) -> Result<(), Violation> {
        let mut steps = 0u64;
        while let Some((time, happening)) = self.schedule.next() {
            self.now = self.now.max(time);
            let touched = self.happen(happening)?;
            if let Some(machine) = touched {
                self.look_at(machine)?;
            }
            steps += 1;
            if self.oracle.may_fork() {
                if self.is_forked_or_over() {
                    return self.judge();
                }
            } else {
                if self.is_at_rest() {
                    return self.rest();
                }
                self.hold_to_liveness(steps)?;
            }
        }
        Err(Violation::new(PROGRESS, "nothing is left to happen"))
    }

    fn happen(&mut self, happening: Happening) -> Result<Option<usize>, Violation> {
        match happening {
            Happening::Clients => self.clients_turn()?,
            Happening::Planned => self.planned()?,
            Happening::Restart { machine } => {
                self.start(machine)?;
                return Ok(Some(machine));
            }
            Happening::Arrive { to, from, lane, bytes } => {
                self.arrive(to, from, lane, bytes)?;
                return Ok(Some(to));
            }
            Happening::NoticeLoss { machine, peer } => {
                self.notice_loss(machine, peer)?;
                return Ok(Some(machine));
            }
            Happening::Within { machine, life, what } => {
                if self.machines.get(machine).is_some_and(|one| one.life == life) {
                    self.local(machine, what)?;
                    return Ok(Some(machine));
                }
            }
        }
        Ok(None)
    }

    fn local(&mut self, machine: usize, what: Local) -> Result<(), Violation> {
        match what {
            Local::GiveUp => self.give_up(machine),
            Local::Checked { id, transaction, verdict } => {
                match verdict.or_else(|| self.check(machine, &id, &transaction)) {
                    Some(verdict) => self.step(machine, Event::Checked { id, verdict }),
                    None => Ok(()),
                }
            }
            Local::Signatures { check, checks } => {
                let mocked = self.settings.mocked;
                let accepts = self.scenario.planted == Some(PlantedBug::ChecksNoSignature);
                let valid: Vec<bool> = checks.iter().map(|check| accepts || keys::verifies(check, mocked)).collect();
                self.watch.checked(checks.len());
                self.step(machine, Event::SignaturesChecked { check, valid })
            }
            Local::Flush => self.flush(machine),
            Local::Durable { token, voted, outcome } => self.durable(machine, token, voted, outcome),
            Local::Stage(step) => self.end_step(machine, step),
            Local::Applied { applied } => self.step(machine, Event::Applied(applied)),
            Local::Wake { request } => match self.live(machine).is_some_and(|live| live.alarm == request) {
                true => self.step(machine, Event::Wake),
                false => Ok(()),
            },
            Local::Timer { id, request } => {
                match self.live(machine).is_some_and(|live| live.timers.get(&id) == Some(&request)) {
                    true => self.step(machine, Event::Timer(id)),
                    false => Ok(()),
                }
            }
            Local::Grow => self.grow(machine),
            Local::Read { read, blocks } => self.step(machine, Event::BlocksRead { read, blocks }),
            Local::Answer(event) => self.step(machine, *event),
            Local::Join(work) => self.work_at_joining(machine, *work),
            Local::WakeJoining { request } => {
                let joining = self.machines.get(machine).and_then(|one| one.joining.as_ref());
                match joining.is_some_and(|joining| joining.alarm == request) {
                    true => self.step_join(machine, JoinEvent::Wake),
                    false => Ok(()),
                }
            }
        }
    }

    fn clients_turn(&mut self) -> Result<(), Violation> {
        let pause = match &self.healed {
            None => self.settings.client_pause,
            Some(_) => 4 * self.links.longest() + 20_000,
        };
        let at = self.after(pause) + 1;
        self.schedule.at(at, Happening::Clients);
        let target = self.healed.as_ref().map(|healed| healed.height + self.scenario.blocks);
        if target.is_some_and(|target| self.lowest() < target) {
            self.clients.left = 1;
        }
        for transaction in self.clients.turn(self.now, &mut self.oracle)? {
            self.counters.add("transaction: sent");
            self.watch.submitted(self.now, transaction.id());
            let copies = if self.random.chance(20) { 2 } else { 1 };
            for _ in 0..copies {
                // Who is down refuses the connection, and the client turns to another node.
                let up = |one: &Machine| one.live.is_some();
                let count = self.machines.iter().filter(|one| up(one)).count();
                let nth = self.random.index(count);
                let found = self.machines.iter().enumerate().filter(|(_, one)| up(one)).nth(nth);
                let Some((machine, _)) = found else { continue };
                self.next_ask += 1;
                let ask = Ask(self.next_ask);
                self.step(machine, Event::Submit { ask, transaction: Arc::clone(&transaction) })?;
                self.look_at(machine)?;
            }
        }
        Ok(())
    }

    /// The height of the honest node that is least far.
    fn lowest(&self) -> u64 {
        let honest = self.machines.iter().enumerate().filter(|(_, one)| one.honest && !one.retired);
        honest.map(|(machine, _)| self.oracle.height_of(machine)).min().unwrap_or(0)
    }

    /// An honest node has seen a certificate for a block.
    pub(super) fn decided(&mut self, view: Option<View>, height: Height) {
        if let Some(healed) = &mut self.healed
            && height.0 > healed.height
            && view.is_some_and(|view| view.0 > healed.view)
            && !healed.decided
        {
            healed.decided = true;
            let views = view.map_or(0, |view| view.0 - healed.view);
            self.counters.add("network: healed and decided");
            self.counters.add_many("network: views from the healing to the decision", views);
        }
    }

    /// Whether the parts that a view was drawn stand between two machines.
    pub(super) fn view_parts(&mut self, view: Option<View>, from: usize, to: usize) -> bool {
        let last = self.last_views.get_mut(from);
        let view = match (view, last) {
            (Some(view), Some(last)) => {
                *last = view;
                view
            }
            (None, Some(last)) => *last,
            _ => return false,
        };
        if view.0 == 0 || view.0 > self.scenario.parted_views || self.healed.is_some() {
            return false;
        }
        let part = |machine: usize| self.views.fork("part", view.0 * 1_000 + machine as u64).draw() % 2;
        part(from) != part(to)
    }

    fn is_at_rest(&self) -> bool {
        let Some(healed) = &self.healed else { return false };
        let target = healed.height + self.scenario.blocks;
        let there = |(machine, one): (usize, &Machine)| {
            let height = self.oracle.height_of(machine);
            let idle = one.live.as_ref().is_some_and(|live| live.core.is_idle());
            !one.honest || one.retired || (idle && height >= target && height == self.oracle.height())
        };
        self.clients.is_done() && self.machines.iter().enumerate().all(there)
    }

    fn hold_to_liveness(&self, steps: u64) -> Result<(), Violation> {
        let Some(healed) = &self.healed else {
            return ensure(steps < MOST_STEPS, PROGRESS, || format!("{steps} steps before the network heals"));
        };
        let allowed = healed.view + 1 + self.scenario.tolerates() as u64 + 2;
        ensure(healed.decided || self.top_view <= allowed, DECISION, || {
            format!("healed in view {}, no decision until view {}", healed.view, self.top_view)
        })?;
        let waited = self.now - healed.at;
        ensure(waited < PATIENCE && steps < MOST_STEPS, PROGRESS, || {
            let heights: Vec<u64> = (0..self.machines.len()).map(|machine| self.oracle.height_of(machine)).collect();
            let (at, view, waiting) = (healed.height, self.top_view, self.clients.waiting());
            format!("healed at {at}; {waited} us and {steps} steps later at {heights:?} in view {view}; {waiting}")
        })
    }

    /// Everything has come to rest: honest nodes hold the same, and an idle network makes no blocks.
    fn rest(&mut self) -> Result<(), Violation> {
        if self.scenario.byzantine.is_empty() && self.seed.is_multiple_of(8) {
            self.schedule.without_clients();
            self.let_pass(5_000_000)?;
            let before = self.oracle.height();
            self.let_pass(60_000_000)?;
            let made = self.oracle.height() - before;
            ensure(made == 0, IDLE, || format!("{made} blocks in an idle minute"))?;
            self.counters.add("network: idle minute watched");
        }
        let executed = |live: &super::machine::Live| live.reader.head().header.height.0 == self.oracle.height();
        for (machine, one) in self.machines.iter().enumerate().filter(|(_, one)| one.honest) {
            if let Some(live) = one.live.as_ref().filter(|live| executed(live)) {
                self.oracle.at_rest(machine, &live.reader)?;
            }
        }
        self.check_pasts()
    }

    fn let_pass(&mut self, micros: u64) -> Result<(), Violation> {
        let until = self.now + micros;
        while let Some((time, happening)) = self.schedule.next_until(until) {
            self.now = self.now.max(time);
            if let Some(machine) = self.happen(happening)? {
                self.look_at(machine)?;
            }
        }
        self.now = until;
        Ok(())
    }

    fn is_forked_or_over(&self) -> bool {
        let over = |healed: &Healed| self.now > healed.at + FORK_WATCH;
        self.oracle.fork().is_some() || self.healed.as_ref().is_some_and(over)
    }

    /// With too many liars: if the chain forked, enough of them are proven guilty.
    fn judge(&mut self) -> Result<(), Violation> {
        if self.oracle.fork().is_some() {
            self.counters.add("chain: forked");
            let guilty = self.oracle.audit()?;
            self.counters.add_many("evidence: validators proven guilty", guilty);
        } else {
            self.counters.add("chain: not forked");
        }
        Ok(())
    }

    fn report(mut self) -> Report {
        for machine in 0..self.machines.len() {
            self.count_disk_faults(machine);
        }
        self.counters.add_many("evidence: validators accused", self.oracle.accused());
        Report {
            seed: self.seed,
            trace: self.trace.hash(),
            entries: self.trace.entries(),
            blocks: self.oracle.height(),
            micros: self.now,
            operations: self.machines.iter().map(|one| one.disk.operations()).sum(),
            counters: self.counters,
        }
    }
}

/// The machines of all members, and then the second bodies of twins.
fn machines(settings: &Settings, random: &mut Random) -> (Vec<Machine>, Counters) {
    let mut counters = Counters::default();
    let mut machines = Vec::new();
    let mut twins = Vec::new();
    for (number, member) in settings.members.iter().enumerate() {
        let manners = member.manners.as_ref();
        let mut machine = Machine::new(number, member.key, manners.is_none(), random.draw());
        machine.amnesia = manners.is_some_and(|manners| manners.has(Adversary::Amnesia));
        machine.guard = random.chance(50).then(MemoryGuard::new);
        machine.skew_ms = i64::try_from(random.below(400)).unwrap_or(0) - 200;
        if manners.is_some_and(|manners| manners.has(Adversary::Twins)) {
            counters.add(Adversary::Twins.counter());
            let mut twin = Machine::new(number, member.key, false, random.draw());
            twin.amnesia = machine.amnesia;
            twins.push(twin);
        }
        machines.push(machine);
    }
    machines.extend(twins);
    (machines, counters)
}
