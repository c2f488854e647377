//! The log is a list of records that survives: appended to, read by position and from anywhere, cut at its front.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::sync::Arc;

use ledger_storage::disk::SimulatedDisk;
use ledger_storage::log::{Log, LogConfig, LogError, LogPosition, Record};
use log_support::{Dice, ID, record, small_config};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Submit { count: u64, seed: u64 },
    Flush,
    Seal,
    Close,
    PowerLoss { seed: u64 },
    Read { index: usize },
    ReadFrom { index: usize },
    RemoveBefore { index: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u64, any::<u64>()).prop_map(|(count, seed)| Step::Submit { count, seed }),
        4 => Just(Step::Flush),
        1 => Just(Step::Seal),
        1 => Just(Step::Close),
        1 => any::<u64>().prop_map(|seed| Step::PowerLoss { seed }),
        2 => any::<usize>().prop_map(|index| Step::Read { index }),
        2 => any::<usize>().prop_map(|index| Step::ReadFrom { index }),
        1 => any::<usize>().prop_map(|index| Step::RemoveBefore { index }),
    ]
}

fn config() -> impl Strategy<Value = LogConfig> {
    (128..6_000_u64, 0..3_000_u64).prop_map(|(segment_bytes, fill_bytes)| {
        let mut config = small_config();
        config.segment_bytes = segment_bytes;
        config.fill_bytes = fill_bytes;
        // Within one group nothing changes places; what chains do to each other is another test's.
        config.group_bytes = 1 << 20;
        config
    })
}

struct World {
    disk: SimulatedDisk,
    config: LogConfig,
    log: Log,
    durable: Vec<(LogPosition, Record)>,
    waiting: Vec<(Vec<Record>, ledger_storage::log::Ticket)>,
}

impl World {
    fn reopen(&mut self) {
        self.waiting.clear();
        let end = self.log.end();
        self.log = Log::open(Arc::new(self.disk.clone()), self.config.clone()).unwrap();
        assert!(self.log.end().records >= end.records, "{:?} after {end:?}", self.log.end());
        assert_eq!(self.log.id(), ID);
    }

    fn take_completed(&mut self) {
        for (records, ticket) in self.waiting.drain(..) {
            let positions = ticket.outcome().unwrap().unwrap();
            assert_eq!(positions.len(), records.len());
            self.durable.extend(positions.iter().copied().zip(records));
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Submit { count, seed } => {
                let mut dice = Dice::new(seed);
                let records: Vec<_> = (0..count).map(|number| record(&mut dice, number)).collect();
                let ticket = self.log.submit(records.clone()).unwrap();
                assert!(!ticket.is_done());
                self.waiting.push((records, ticket));
            }
            Step::Flush => {
                let flushed = self.log.flush().unwrap();
                assert_eq!(flushed.tickets, self.waiting.len() as u64);
                self.take_completed();
            }
            Step::Seal => self.log.seal().unwrap(),
            Step::Close => {
                let fresh = Log::create(Arc::new(SimulatedDisk::new(0)), ID, small_config()).unwrap();
                let end = std::mem::replace(&mut self.log, fresh).close().unwrap();
                self.take_completed();
                self.log = Log::open(Arc::new(self.disk.clone()), self.config.clone()).unwrap();
                assert_eq!(self.log.end(), end);
            }
            Step::PowerLoss { seed } => {
                self.disk = self.disk.survivor(seed);
                self.reopen();
            }
            Step::Read { index } if !self.durable.is_empty() => {
                let (position, record) = &self.durable[index % self.durable.len()];
                assert_eq!(self.log.reader().read(*position).unwrap(), *record);
                assert_eq!(LogPosition::from_bytes(&position.to_bytes()), *position);
            }
            Step::ReadFrom { index } if !self.durable.is_empty() => {
                let index = index % self.durable.len();
                let from = self.log.reader().records_from(self.durable[index].0).unwrap();
                let found: Vec<_> = from.collect::<Result<_, _>>().unwrap();
                assert_eq!(found, self.durable[index..]);
            }
            Step::RemoveBefore { index } if !self.durable.is_empty() => {
                let (kept, _) = self.durable[index % self.durable.len()];
                let (first, _) = self.durable[0];
                self.log.remove_before(kept).unwrap();
                self.durable.retain(|(position, _)| position.segment >= kept.segment);
                if first.segment < kept.segment {
                    assert!(matches!(self.log.reader().read(first), Err(LogError::Removed { .. })));
                }
            }
            Step::Read { .. } | Step::ReadFrom { .. } | Step::RemoveBefore { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_the_list_of_what_was_acknowledged(config in config(), steps in prop::collection::vec(step(), 1..80)) {
        let disk = SimulatedDisk::new(0);
        let log = Log::create(Arc::new(disk.clone()), ID, config.clone()).unwrap();
        let mut world = World { disk, config, log, durable: Vec::new(), waiting: Vec::new() };
        for step in steps {
            world.apply(step);
            let found: Vec<_> = world.log.reader().records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(&found, &world.durable);
            prop_assert!(found.is_sorted_by_key(|(position, _)| *position));
        }
    }
}
