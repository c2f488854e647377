//! What the archive's tests share: blocks from a seed, and small limits that a short run meets.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::{ChainId, Height};
use ledger_crypto::Digest;
use ledger_storage::archive::{Archive, ArchiveConfig, ArchiveError, ArchiveReader, Entry};
use ledger_storage::disk::{Disk, DiskError, SimulatedDisk};
use ledger_storage::log::LogId;

pub const ID: LogId = LogId::new([7; 32]);

pub fn small_config() -> ArchiveConfig {
    let mut config = ArchiveConfig::default();
    config.segment_bytes = 3_000;
    config.chunk_bytes = 600;
    config.chunk_cache_bytes = 1_000;
    config.table_cache_bytes = 300;
    config
}

pub fn open(disk: &SimulatedDisk) -> Result<Archive, ArchiveError> {
    Archive::open(Arc::new(disk.clone()), ID, small_config())
}

pub fn is_crash(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::Disk(DiskError::Crashed { .. }) => true,
        ArchiveError::Stopped { first } => is_crash(first),
        _ => false,
    }
}

/// A plain generator (xorshift), independent of the one in the disk.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
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

pub fn chain(number: u64) -> ChainId {
    ChainId(Digest::new([number as u8; 32]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    pub block: Vec<u8>,
    pub certificate: Vec<u8>,
    pub results: Vec<u8>,
}

impl Parts {
    /// Some that compress, some that don't, some empty, some larger than a chunk.
    pub fn new(dice: &mut Dice) -> Self {
        let mut bytes = |longest: u64| -> Vec<u8> {
            let length = if dice.roll(6) == 0 { 0 } else { dice.roll(longest) };
            let alphabet = if dice.roll(2) == 0 { 256 } else { 3 };
            (0..length).map(|_| dice.roll(alphabet) as u8).collect()
        };
        let (block, certificate) = (bytes(300), bytes(40));
        let results = if block.len() % 17 == 16 { bytes(1_500) } else { bytes(100) };
        Self { block, certificate, results }
    }

    pub fn entry(&self, chain: ChainId, height: Height) -> Entry<'_> {
        Entry { chain, height, block: &self.block, certificate: &self.certificate, results: &self.results }
    }

    pub fn read(reader: &ArchiveReader, chain: ChainId, height: Height) -> Result<Self, ArchiveError> {
        let found = reader.block(chain, height)?;
        let results = reader.results(chain, height)?;
        Ok(Self { block: found.block, certificate: found.certificate, results })
    }
}

pub type Blocks = BTreeMap<(ChainId, Height), Parts>;

pub fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.starts_with("arc-") && !name.ends_with(".new")).collect()
}
