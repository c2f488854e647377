//! The links between machines: what each message meets on its way.

use super::plan::Partition;
use super::settings::LinkSettings;
use crate::random::Random;
use crate::report::Counters;
use std::collections::BTreeMap;

/// When copies of a message arrive: none, one, or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    pub(super) first: Option<u64>,
    pub(super) again: Option<u64>,
}

/// All links of a network.
pub(super) struct Links {
    settings: LinkSettings,
    random: Random,
    partitions: BTreeMap<usize, Partition>,
    healed: bool,
}

impl Links {
    pub(super) fn new(settings: LinkSettings, random: Random) -> Self {
        Links { settings, random, partitions: BTreeMap::new(), healed: false }
    }

    pub(super) fn part(&mut self, number: usize, partition: Partition) {
        self.partitions.insert(number, partition);
    }

    pub(super) fn rejoin(&mut self, number: usize) -> Option<Partition> {
        self.partitions.remove(&number)
    }

    /// From now on every message arrives once, within the longest delay.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.partitions.clear();
    }

    /// The longest delay, in µs.
    pub(super) fn longest(&self) -> u64 {
        *self.settings.delay_us.end()
    }

    pub(super) fn blocks(&self, from: usize, to: usize) -> bool {
        self.partitions.values().any(|partition| partition.blocks(from, to))
    }

    /// A message leaves at `now`.
    pub(super) fn carry(&mut self, now: u64, from: usize, to: usize, counters: &mut Counters) -> Arrivals {
        let delay = self.random.within(self.settings.delay_us.clone());
        if self.healed {
            return Arrivals { first: Some(now + delay), again: None };
        }
        if self.blocks(from, to) {
            counters.add("network: message stopped by a partition");
            return Arrivals::default();
        }
        let mut arrivals = Arrivals::default();
        if self.random.chance(self.settings.loss_percent) {
            counters.add("network: message lost");
        } else if self.random.chance(self.settings.reorder_percent) {
            counters.add("network: message overtaken");
            arrivals.first = Some(now + delay + self.random.below(8 * self.longest()));
        } else {
            arrivals.first = Some(now + delay);
        }
        if self.random.chance(self.settings.replay_percent) {
            counters.add("network: message replayed");
            let late = if self.random.chance(10) { 500_000 } else { 4 * self.longest() };
            arrivals.again = Some(now + delay + self.random.below(late));
        }
        arrivals
    }
}
