//! What the log's tests share: records from a seed, a workload, and the law that every recovered log must hold.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

use std::collections::{BTreeMap, BTreeSet};
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
    config.group_bytes = 1500;
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

/// What is known of one submit.
#[derive(Debug, Clone)]
pub enum Fate {
    /// The log may have made it durable, and said so if the ticket is done.
    Waits(Ticket),
    /// It is there for good, since the log recovered it after a restart.
    Kept(Vec<LogPosition>),
    /// It is gone for good: recovered logs didn't hold it.
    Lost,
}

#[derive(Debug, Clone)]
pub struct Submit {
    /// The first of its records.
    pub first: usize,
    pub count: usize,
    /// The chain of all its records, unless they are of several or there are none: then it is a fence.
    pub chain: Option<Digest>,
    pub fate: Fate,
}

/// A log under way, and what a client of it knows.
pub struct Run {
    /// Every record, with its index for its height.
    pub submitted: Vec<Record>,
    pub submits: Vec<Submit>,
    /// Segments below this one may have been removed.
    pub removable: u64,
    pub stopped: Option<LogError>,
    pub seals: u64,
    pub fences: u64,
}

impl Run {
    pub fn new() -> Self {
        Self { submitted: Vec::new(), submits: Vec::new(), removable: 0, stopped: None, seals: 0, fences: 0 }
    }

    /// Submits records, each with its number for its height.
    pub fn submit(&mut self, log: &mut Log, mut records: Vec<Record>) -> Result<(), LogError> {
        let first = self.submitted.len();
        for (record, number) in records.iter_mut().zip(first as u64..) {
            record.height = number;
        }
        let ticket = log.submit(records.clone())?;
        let chain = records.first().map(|first| first.chain);
        let chain = chain.filter(|chain| records.iter().all(|record| record.chain == *chain));
        self.fences += u64::from(chain.is_none());
        let count = records.len();
        self.submitted.extend(records);
        self.submits.push(Submit { first, count, chain, fate: Fate::Waits(ticket) });
        Ok(())
    }

    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.submits.iter().filter_map(|submit| match &submit.fate {
            Fate::Waits(ticket) => Some(ticket),
            Fate::Kept(_) | Fate::Lost => None,
        })
    }

    pub fn last_position(&self) -> Option<LogPosition> {
        let outcomes = self.submits.iter().rev().filter_map(Submit::acknowledged);
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
            0 => {
                self.seals += 1;
                log.seal()
            }
            1 => {
                if let Some(position) = self.last_position().filter(|_| dice.roll(3) == 0) {
                    self.removable = self.removable.max(position.segment);
                    log.remove_before(position)?;
                }
                Ok(())
            }
            2..=5 => log.flush().map(drop),
            6 | 7 => log.flush_group().map(drop),
            _ => {
                let count = dice.roll(4) + u64::from(dice.roll(4) > 0);
                let mut records: Vec<_> = (0..count).map(|_| record(dice, 0)).collect();
                // Mostly of one chain, as a node submits them.
                if let Some(chain) = records.first().map(|first| first.chain).filter(|_| dice.roll(6) > 0) {
                    records.iter_mut().for_each(|record| record.chain = chain);
                }
                self.submit(log, records)
            }
        }
    }

    /// The law: all that was acknowledged is there, at its place; nothing else is there than what was submitted, in whole
    /// submits; of each chain, and before each fence, it is a prefix; what was gone is gone.
    pub fn check(&self, log: &Log) -> Recovered {
        let recovered = Recovered::of(log);
        let kept_from = log.reader().first_segment();
        assert!(kept_from == 1 || kept_from <= self.removable, "more was removed than asked for");
        let mut found = vec![None; self.submitted.len()];
        let mut newest: BTreeMap<Digest, u64> = BTreeMap::new();
        for (position, record) in &recovered.records {
            let number = record.height as usize;
            assert_eq!(Some(record), self.submitted.get(number), "another record than submitted");
            assert_eq!(found[number].replace(*position), None, "record {number} is there twice");
            let before = newest.insert(record.chain, record.height);
            assert!(before.is_none_or(|before| before < record.height), "a chain's records changed places");
        }
        let mut removed = 0;
        let (mut missing, mut missing_fence, mut missing_of) = (false, false, BTreeSet::new());
        for submit in &self.submits {
            let found = &found[submit.first..submit.first + submit.count];
            let there = found.iter().flatten().count();
            if let Some(positions) = submit.acknowledged() {
                for (position, found) in positions.iter().zip(found) {
                    let expected = Some(*position).filter(|position| position.segment >= kept_from);
                    assert_eq!(*found, expected, "acknowledged, and not there");
                    removed += u64::from(expected.is_none());
                }
            } else {
                assert!(there == 0 || there == submit.count, "a submit was split");
                assert!(there == 0 || !submit.is_lost(), "what recovery had cut off came back");
                if there == 0 {
                    // One without records leaves no trace, so it may count as there.
                    let open = submit.count > 0 && !submit.is_lost();
                    missing |= open;
                    match submit.chain {
                        Some(chain) if open => _ = missing_of.insert(chain),
                        Some(_) => {}
                        None => missing_fence |= open,
                    }
                    continue;
                }
            }
            assert!(!missing_fence, "it is there, and a fence before it isn't");
            match submit.chain {
                Some(chain) => {
                    assert!(!missing_of.contains(&chain), "it is there, and what its chain wrote before isn't")
                }
                None => assert!(!missing, "a fence is there, and something before it isn't"),
            }
        }
        assert_eq!(recovered.end.records, recovered.records.len() as u64 + removed, "records are counted wrongly");
        recovered
    }

    /// Takes note of what a recovered log, checked before, holds: this is there for good, and the rest is gone for good.
    pub fn settle(&mut self, recovered: &Recovered) {
        let places: BTreeMap<u64, LogPosition> =
            recovered.records.iter().map(|(position, record)| (record.height, *position)).collect();
        for submit in &mut self.submits {
            if let Some(positions) = submit.acknowledged() {
                submit.fate = Fate::Kept(positions);
                continue;
            }
            let numbers = submit.first as u64..(submit.first + submit.count) as u64;
            let found: Vec<_> = numbers.filter_map(|number| places.get(&number).copied()).collect();
            submit.fate = if submit.count > 0 && found.len() == submit.count { Fate::Kept(found) } else { Fate::Lost };
        }
    }
}

impl Submit {
    /// Its records' places, if the log has answered for them.
    pub fn acknowledged(&self) -> Option<Vec<LogPosition>> {
        match &self.fate {
            Fate::Waits(ticket) => Some(ticket.outcome()?.ok()?.to_vec()),
            Fate::Kept(positions) => Some(positions.clone()),
            Fate::Lost => None,
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self.fate, Fate::Lost)
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

/// Says how to run a failing case of a test again.
pub struct Replay {
    pub test: &'static str,
    pub seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { test, seed } = self;
            eprintln!("replay: {FIRST_SEED}={seed} {SEEDS}=1 cargo test -p ledger-storage --test {test}");
        }
    }
}

/// Where the seeds of a run begin, and how many there are.
const FIRST_SEED: &str = "LEDGERKIT_FIRST_SEED";
const SEEDS: &str = "LEDGERKIT_SEEDS";

/// The seeds of a run: `count` from `first`, unless the environment says otherwise.
pub fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = number(FIRST_SEED).unwrap_or(first);
    first..first.saturating_add(number(SEEDS).unwrap_or(count))
}

/// How often what happened.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}
