//! The faults of a network's run: what happens to whom, and when.

use super::scenario::Network;
use crate::random::Random;
use std::ops::Range;

/// How the network is parted: who isn't heard by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    /// `blocked[from][to]`, by machine.
    blocked: Vec<Vec<bool>>,
    pub(super) one_way: bool,
    /// Whether the machines' transports notice.
    pub(super) noticed: bool,
}

impl Partition {
    /// Each machine is in one part, and hears those of its own.
    pub(super) fn into_parts(parts: &[usize]) -> Self {
        let row = |from: &usize| parts.iter().map(|to| from != to).collect();
        Partition { blocked: parts.iter().map(row).collect(), one_way: false, noticed: false }
    }

    fn draw(machines: usize, one_way: bool, random: &mut Random) -> Self {
        let count = if machines > 4 && random.chance(30) { 3 } else { 2 };
        let parts: Vec<usize> = (0..machines).map(|_| random.index(count)).collect();
        let mut partition = Self::into_parts(&parts);
        partition.noticed = random.chance(40);
        if one_way {
            // Those of later parts don't hear those of earlier ones; the other way all is well.
            for (row, from) in partition.blocked.iter_mut().zip(&parts) {
                for (blocked, to) in row.iter_mut().zip(&parts) {
                    *blocked = from < to;
                }
            }
            partition.one_way = true;
            partition.noticed = false;
        }
        partition
    }

    pub(super) fn blocks(&self, from: usize, to: usize) -> bool {
        self.blocked.get(from).and_then(|row| row.get(to)).is_some_and(|blocked| *blocked)
    }
}

/// What happens to one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// Power is cut at one of the next I/O operations.
    CutAtOperation,
    /// Power is cut now.
    Cut,
    /// The process is killed.
    Kill,
    /// One of the next syncs fails.
    FailSync,
    /// A copy of the disk is put aside.
    Copy,
    /// The process is killed and started on an empty folder, or on the copy, with its old key and guard.
    WrongFolder,
    /// The process is killed and not started again.
    Stop,
    /// The machine loses everything, and begins again without a vote.
    Wipe,
}

/// A planned fault, or the end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Planned {
    Part { number: usize, partition: Partition },
    Rejoin { number: usize },
    StepClock { machine: usize, ms: i64 },
    Strike { machine: usize, strike: Strike },
    Heal,
}

/// The plan of a run, by time in µs. `machines` counts twins too; `one_body` are the machines that aren't twins.
pub(super) fn draw(scenario: &Network, machines: usize, one_body: usize, random: &mut Random) -> Vec<(u64, Planned)> {
    let mut plan = Vec::new();
    let end = scenario.heal_at * 1_000;
    let some = |random: &mut Random, most: u64| if scenario.drawn { random.within(0..=most) } else { most };
    let mut partitions: Vec<(Range<u64>, bool)> = scenario.partitions.clone();
    for _ in 0..some(random, scenario.partitions_of_chance) {
        let start = random.below(scenario.heal_at * 3 / 4);
        let length = 1 + random.below(scenario.heal_at / 2);
        partitions.push((start..start + length, random.chance(40)));
    }
    for (number, (when, one_way)) in partitions.into_iter().enumerate() {
        let partition = Partition::draw(machines, one_way, random);
        plan.push((when.start * 1_000, Planned::Part { number, partition }));
        plan.push((when.end * 1_000, Planned::Rejoin { number }));
    }
    for _ in 0..some(random, scenario.clock_steps) {
        let ms = i64::try_from(random.within(1..=20_000)).unwrap_or(0) - 10_000;
        plan.push((random.below(end), Planned::StepClock { machine: random.index(machines), ms }));
    }
    let mut strikes = |count: u64, random: &mut Random, choose: &dyn Fn(&mut Random) -> Strike| {
        for _ in 0..some(random, count) {
            let machine = random.index(one_body);
            let strike = choose(random);
            plan.push((random.below(end), Planned::Strike { machine, strike }));
        }
    };
    strikes(scenario.crashes, random, &|random| {
        if random.chance(70) { Strike::CutAtOperation } else { Strike::Cut }
    });
    strikes(scenario.kills, random, &|_| Strike::Kill);
    strikes(scenario.failing_syncs, random, &|_| Strike::FailSync);
    for _ in 0..some(random, scenario.wrong_folders) {
        let (machine, at) = (random.index(one_body), random.below(end));
        if random.chance(60) {
            plan.push((random.below(at), Planned::Strike { machine, strike: Strike::Copy }));
        }
        plan.push((at, Planned::Strike { machine, strike: Strike::WrongFolder }));
    }
    if let Some((machine, at)) = scenario.stopped {
        plan.push((at * 1_000, Planned::Strike { machine, strike: Strike::Stop }));
    }
    if let Some(at) = scenario.wiped {
        let first = random.index(one_body);
        for machine in (first..one_body).chain(0..first) {
            // The first that is honest and up; the others stay as they are.
            plan.push((at * 1_000, Planned::Strike { machine, strike: Strike::Wipe }));
        }
    }
    plan.push((end, Planned::Heal));
    // What falls on the moment of healing comes before it.
    plan.sort_by_key(|(time, planned)| (*time, matches!(planned, Planned::Heal)));
    plan
}
