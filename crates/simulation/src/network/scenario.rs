//! What a network's run is to go through, in words that read like it.

use super::adversary::Manners;
use super::engine::PlantedProtocolBug;
use super::world::NetworkWorld;
use crate::planted::PlantedBug;
use crate::report::{Failure, Report};
use crate::scenario::caught;
use std::ops::{Range, RangeInclusive};

/// What a network goes through. Everything not said here follows from the seed: keys, delays of disks and checks, settings
/// of log and core, who lies, where exactly each fault strikes and what it leaves. Times are ms of simulated time.
///
/// ```
/// use ledger_simulation::network::{Adversary, network};
///
/// let scenario = network(4).byzantine(1, Adversary::Equivocate).partition(200..900).heal_at(1_500);
/// let report = scenario.run(17)?;
/// assert_eq!(report.counters.get("network: parted"), 1);
/// assert_eq!(report.trace, scenario.run(17)?.trace);
/// # Ok::<(), ledger_simulation::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Network {
    pub(crate) name: Option<&'static str>,
    pub(crate) nodes: usize,
    /// What each lying node does; one entry a node, empty where the seed chooses.
    pub(crate) byzantine: Vec<Manners>,
    pub(crate) delay_us: Option<RangeInclusive<u64>>,
    pub(crate) instant_hosts: bool,
    pub(crate) loss_percent: u64,
    pub(crate) replay_percent: u64,
    pub(crate) reorder_percent: u64,
    /// When, and whether only one way.
    pub(crate) partitions: Vec<(Range<u64>, bool)>,
    pub(crate) partitions_of_chance: u64,
    /// In views 1 to this, who hears whom is drawn anew for each view.
    pub(crate) parted_views: u64,
    pub(crate) clock_steps: u64,
    pub(crate) crashes: u64,
    pub(crate) kills: u64,
    pub(crate) failing_syncs: u64,
    pub(crate) wrong_folders: u64,
    pub(crate) stopped: Option<(usize, u64)>,
    pub(crate) wiped: Option<u64>,
    pub(crate) growth: bool,
    /// Whether the numbers above are the most, and each seed draws its own.
    pub(crate) drawn: bool,
    pub(crate) heal_at: u64,
    pub(crate) blocks: u64,
    pub(crate) transactions: u64,
    pub(crate) real_signatures_percent: u64,
    pub(crate) planted: Option<PlantedBug>,
    pub(crate) planted_protocol: Option<PlantedProtocolBug>,
    pub(crate) print: bool,
}

/// A network of `nodes` validators of equal weight, without faults until some are asked for.
pub fn network(nodes: usize) -> Network {
    Network {
        name: None,
        nodes: nodes.max(1),
        byzantine: Vec::new(),
        delay_us: None,
        instant_hosts: false,
        loss_percent: 0,
        replay_percent: 0,
        reorder_percent: 0,
        partitions: Vec::new(),
        partitions_of_chance: 0,
        parted_views: 0,
        clock_steps: 0,
        crashes: 0,
        kills: 0,
        failing_syncs: 0,
        wrong_folders: 0,
        stopped: None,
        wiped: None,
        growth: false,
        drawn: false,
        heal_at: 1_500,
        blocks: 10,
        transactions: 12,
        real_signatures_percent: 3,
        planted: None,
        planted_protocol: None,
        print: false,
    }
}

impl Network {
    /// `count` more nodes lie, each in all the manners given: `Equivocate`, or `[Equivocate, Withhold]`.
    pub fn byzantine(mut self, count: usize, manners: impl Into<Manners>) -> Self {
        let manners = manners.into();
        self.byzantine.extend((0..count).map(|_| manners.clone()));
        self
    }

    /// `count` more nodes lie, each in one or two manners that the seed chooses.
    pub fn byzantine_somehow(self, count: usize) -> Self {
        self.byzantine(count, Manners::default())
    }

    /// Messages take so many µs (default: the seed chooses a network from a rack to the world).
    pub fn delay_us(mut self, range: RangeInclusive<u64>) -> Self {
        self.delay_us = Some(range);
        self
    }

    /// Disks, checks and execution take no time, so that only messages do.
    pub fn instant_hosts(mut self) -> Self {
        self.instant_hosts = true;
        self
    }

    /// Of 100 messages, so many are lost until the network heals.
    pub fn loss(mut self, percent: u64) -> Self {
        self.loss_percent = percent;
        self
    }

    /// Of 100 messages, so many come again later until the network heals.
    pub fn replay(mut self, percent: u64) -> Self {
        self.replay_percent = percent;
        self
    }

    /// Of 100 messages, so many are overtaken by many later ones until the network heals.
    pub fn reorder(mut self, percent: u64) -> Self {
        self.reorder_percent = percent;
        self
    }

    /// The network is parted in two or three for a time; the seed chooses who is where.
    pub fn partition(mut self, when: Range<u64>) -> Self {
        self.partitions.push((when, false));
        self
    }

    /// Some nodes aren't heard by others for a time, though they hear them.
    pub fn one_way_partition(mut self, when: Range<u64>) -> Self {
        self.partitions.push((when, true));
        self
    }

    /// So many partitions at times of chance, some of them one way.
    pub fn partitions(mut self, count: u64) -> Self {
        self.partitions_of_chance = count;
        self
    }

    /// In each of the first `views` views, machines hear only those of their part of the network, and parts are drawn
    /// anew for each view.
    pub fn part_each_view(mut self, views: u64) -> Self {
        self.parted_views = views;
        self
    }

    /// So many clocks step by up to 10 s, forwards or back.
    pub fn clock_steps(mut self, count: u64) -> Self {
        self.clock_steps = count;
        self
    }

    /// Cuts the power of a node `count` times, at some I/O operation or between two; unsynced writes are lost, torn or
    /// kept, and the views come back older.
    pub fn crashes(mut self, count: u64) -> Self {
        self.crashes = count;
        self
    }

    /// Kills the process of a node `count` times.
    pub fn kills(mut self, count: u64) -> Self {
        self.kills = count;
        self
    }

    /// Fails `count` syncs: each stops its node, which is restarted.
    pub fn failing_syncs(mut self, count: u64) -> Self {
        self.failing_syncs = count;
        self
    }

    /// Starts a node on an empty data folder with its old key and guard `count` times: its signer must refuse. The right
    /// folder is found afterwards.
    pub fn wrong_folders(mut self, count: u64) -> Self {
        self.wrong_folders = count;
        self
    }

    /// Stops node `node` for good at `at`.
    pub fn stop_node(mut self, node: usize, at: u64) -> Self {
        self.stopped = Some((node, at));
        self
    }

    /// At `at` an honest node loses everything that it has, and joins again by a snapshot that the others give; as its votes
    /// are lost it only follows from then on.
    pub fn wipe_at(mut self, at: u64) -> Self {
        self.wiped = Some(at);
        self
    }

    /// Nodes cut their logs: segments are small, each node has a policy of what it keeps, and one honest node more than may lie
    /// keeps everything, so that who is behind finds what it lacks. Half of the crashes and failing syncs strike within a
    /// cut.
    pub fn growth(mut self) -> Self {
        self.growth = true;
        self
    }

    /// Everything at once, up to the bounds of the reliability table: loss up to 30 %, replay up to 50 %, partitions,
    /// clock steps, crashes, kills, failing syncs, wrong folders. Each seed draws how much of it.
    pub fn chaos(mut self) -> Self {
        self.drawn = true;
        self.loss(30)
            .replay(50)
            .reorder(30)
            .partitions(2)
            .clock_steps(2)
            .crashes(2)
            .kills(1)
            .failing_syncs(1)
            .wrong_folders(1)
    }

    /// When links lose nothing any more, clocks are set right and every node comes up again. From then on the laws of
    /// liveness hold.
    pub fn heal_at(mut self, at: u64) -> Self {
        self.heal_at = at;
        self
    }

    /// How many heights have to follow the healing (default 10).
    pub fn blocks(mut self, count: u64) -> Self {
        self.blocks = count;
        self
    }

    /// How many transactions clients send before the network heals (default 12); then they send until the heights that
    /// have to follow are there.
    pub fn transactions(mut self, count: u64) -> Self {
        self.transactions = count;
        self
    }

    /// Of 100 seeds, so many sign and check for real; the others mock all signatures for speed (default 3).
    pub fn real_signatures(mut self, percent: u64) -> Self {
        self.real_signatures_percent = percent;
        self
    }

    /// Puts a bug into the shells around the cores, to see whether the laws catch it.
    pub fn plant(mut self, bug: PlantedBug) -> Self {
        self.planted = Some(bug);
        self
    }

    /// Lets the engine break one of its rules, to see whether the laws catch it.
    #[cfg(feature = "planted-bugs")]
    pub fn plant_in_protocol(mut self, bug: PlantedProtocolBug) -> Self {
        self.planted_protocol = Some(bug);
        self
    }

    /// Prints every event and effect as it happens.
    pub fn print(mut self, print: bool) -> Self {
        self.print = print;
        self
    }

    /// The most weight that may lie without harm: `⌊(n − 1) / 3⌋`.
    #[must_use]
    pub fn tolerates(&self) -> usize {
        (self.nodes - 1) / 3
    }

    /// Whether so many lie that the chain may fork; then only accountability is asked for.
    pub(crate) fn may_fork(&self) -> bool {
        self.byzantine.len() > self.tolerates()
    }

    /// Runs it from `seed`.
    ///
    /// # Errors
    /// [`Failure`] names the law that didn't hold and the command that repeats the run.
    pub fn run(&self, seed: u64) -> Result<Report, Failure> {
        let outcome = caught(|| NetworkWorld::new(self, seed).and_then(NetworkWorld::run));
        outcome.map_err(|violation| Failure { seed, violation, command: self.command(seed) })
    }

    fn command(&self, seed: u64) -> String {
        match self.name {
            Some(name) => format!(
                "cargo run --release --example simulate -- --protocol bft --scenario {name} --nodes {} --byzantine {} \
                 --seed {seed} --trace",
                self.nodes,
                self.byzantine.len()
            ),
            None => format!("{self:?}, seed {seed} (in code: .run({seed}))"),
        }
    }
}
