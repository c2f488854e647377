//! What the log's tests share: records from a seed, a workload, and the law that every recovered log must hold.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

use std::sync::Arc;

use ledger_crypto::Digest;
use ledger_storage::disk::DiskError;
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::log::{Log, LogConfig, LogEnd, LogError, LogId, LogPosition, Record, RecordKind, Ticket, TornTail};

pub const ID: LogId = LogId::new([7; 32]);

/// Segments and fills so small that a short run meets every border.
pub fn small_config() -> LogConfig {
    let mut config = LogConfig::default();
    config.segment_bytes = 4096;
    config.queue_bytes = 1 << 16;
    config.fill_bytes = 1024;
    config
}

/// A plain generator (xorshift), independent of the one in the disk.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
        // Similar seeds give similar first rolls.
        (0..8).for_each(|_| _ = dice.roll(2));
        dice
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

pub fn record(dice: &mut Dice, number: u64) -> Record {
    let length = match dice.roll(8) {
        0 => 0,
        1 => 600 + dice.roll(900),
        _ => dice.roll(200),
    };
    Record {
        chain: Digest::new([dice.roll(5) as u8; 32]),
        kind: RecordKind::new(dice.roll(6) as u8),
        height: number,
        // Zeros are what a lost write leaves behind, so they must also occur as content.
        bytes: (0..length).map(|_| if dice.roll(3) == 0 { 0 } else { dice.roll(256) as u8 }).collect(),
    }
}

/// A log under way, and what a client of it knows.
pub struct Run {
    pub submitted: Vec<Record>,
    /// After how many records each submit ended.
    pub borders: Vec<u64>,
    pub tickets: Vec<(u64, Ticket)>,
    /// Segments below this one may have been removed.
    pub removable: u64,
    pub stopped: Option<LogError>,
}

impl Run {
    pub fn new() -> Self {
        Self { submitted: Vec::new(), borders: vec![0], tickets: Vec::new(), removable: 0, stopped: None }
    }

    /// How many records were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.tickets
            .iter()
            .filter(|(_, ticket)| matches!(ticket.outcome(), Some(Ok(_))))
            .map(|(end, _)| *end)
            .max()
            .unwrap_or(0)
    }

    pub fn submit(&mut self, log: &mut Log, records: Vec<Record>) -> Result<(), LogError> {
        let ticket = log.submit(records.clone())?;
        self.submitted.extend(records);
        let end = self.submitted.len() as u64;
        self.borders.push(end);
        self.tickets.push((end, ticket));
        Ok(())
    }

    pub fn last_position(&self) -> Option<LogPosition> {
        let outcomes = self.tickets.iter().rev().filter_map(|(_, ticket)| ticket.outcome()?.ok());
        outcomes.flat_map(|positions| positions.last().copied()).next()
    }

    /// `operations` of a workload, until the first error.
    pub fn go(&mut self, log: &mut Log, dice: &mut Dice, operations: usize) {
        for _ in 0..operations {
            if let Err(error) = self.operate(log, dice) {
                self.stopped = Some(error);
                return;
            }
        }
    }

    fn operate(&mut self, log: &mut Log, dice: &mut Dice) -> Result<(), LogError> {
        match dice.roll(20) {
            0 => log.seal(),
            1 => {
                if let Some(position) = self.last_position().filter(|_| dice.roll(3) == 0) {
                    self.removable = self.removable.max(position.segment);
                    log.remove_before(position)?;
                }
                Ok(())
            }
            2..=7 => log.flush().map(drop),
            _ => {
                let count = dice.roll(4) + u64::from(dice.roll(4) > 0);
                let first = self.submitted.len() as u64;
                let records = (0..count).map(|index| record(dice, first + index)).collect();
                self.submit(log, records)
            }
        }
    }

    /// The law: what is there is a prefix of what was submitted, in whole submits, and holds all that was acknowledged.
    pub fn check(&self, log: &Log) -> Recovered {
        let recovered = Recovered::of(log);
        let end = recovered.end.records;
        assert!(end >= self.acknowledged(), "{} acknowledged, {end} recovered", self.acknowledged());
        assert!(self.borders.contains(&end), "a submit was split at {end}");
        let first = end - recovered.records.len() as u64;
        let expected = &self.submitted[first as usize..end as usize];
        assert!(recovered.records.iter().map(|(_, record)| record).eq(expected), "other records than submitted");
        if first > 0 {
            assert!(log.reader().first_segment() <= self.removable, "more was removed than asked for");
        }
        recovered
    }
}

#[derive(Debug, Clone)]
pub struct Recovered {
    pub records: Vec<(LogPosition, Record)>,
    pub end: LogEnd,
    pub torn: Option<TornTail>,
}

/// What was cut off on the way is no part of what was recovered.
impl PartialEq for Recovered {
    fn eq(&self, other: &Self) -> bool {
        (&self.records, self.end) == (&other.records, other.end)
    }
}

impl Recovered {
    pub fn of(log: &Log) -> Self {
        let reader = log.reader();
        let records: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        for (position, record) in records.iter().rev().take(2) {
            assert_eq!(reader.read(*position).unwrap(), *record);
        }
        Self { records, end: log.end(), torn: log.recovery().torn.clone() }
    }
}

pub fn open(disk: &SimulatedDisk) -> Result<Log, LogError> {
    Log::open(Arc::new(disk.clone()), small_config())
}

pub fn open_or_create(disk: &SimulatedDisk) -> Result<Log, LogError> {
    Log::open_or_create(Arc::new(disk.clone()), ID, small_config())
}

/// Whether the error says that the simulated machine crashed.
pub fn is_crash(error: &LogError) -> bool {
    match error {
        LogError::Disk(DiskError::Crashed { .. }) => true,
        LogError::Stopped { first } => is_crash(first),
        _ => false,
    }
}
