//! Where a chain's tables lie in its space, and what their records look like.

use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List, MAX_INPUT_BYTES, wire};
use ledger_core::history::HistoryHasher;
use ledger_core::{ChainId, Header, Height, HistoryHead, Outcome, TransactionId, Version};
use ledger_crypto::Digest;
use ledger_crypto::merkle::{Frontier, NodePosition};

use super::StoreError;
use crate::engine::{Batch, Snapshot, Space};
use crate::log::LogPosition;

/// The version of the views' format that this crate writes and reads.
pub const FORMAT_VERSION: u8 = 1;

const FORMAT: u8 = 0x01;
const CHAINS: u8 = 0x02;
const CHAIN_COUNT: u8 = 0x03;
const IMPORTS: u8 = 0x04;

const HEAD: u8 = 0x20;
const BLOCKS: u8 = 0x21;
const PLACES: u8 = 0x22;
const HISTORY: u8 = 0x23;
pub(super) const RESULTS: u8 = 0x24;
const MANIFEST: u8 = 0x25;

pub(super) fn damaged(place: impl Into<String>, reason: impl ToString) -> StoreError {
    StoreError::Damaged { place: place.into(), reason: reason.to_string() }
}

/// What is stored of a block, apart from its transactions and results.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "wire")]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// What executing it gave.
    pub outcome: Outcome,
    /// What made it final; empty for the genesis.
    pub certificate: Bytes,
    position: Option<[u8; LogPosition::ENCODED]>,
}

impl Format for Block {
    const NAME: &'static str = "stored block";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

impl Block {
    pub(super) fn new(header: Header, outcome: Outcome, certificate: Bytes, position: Option<LogPosition>) -> Self {
        Self { header, outcome, certificate, position: position.map(LogPosition::to_bytes) }
    }

    /// Where the log has it; `None` for the genesis, which no log has.
    #[must_use]
    pub fn position(&self) -> Option<LogPosition> {
        self.position.as_ref().map(LogPosition::from_bytes)
    }

    fn key(space: Space, height: Height) -> Vec<u8> {
        space.key(BLOCKS, &[&height.0.to_be_bytes()])
    }

    pub(super) fn put(&self, space: Space, batch: &mut Batch) {
        batch.put(Self::key(space, self.header.height), codec::encode(self));
    }

    pub(super) fn read(space: Space, reader: &dyn Snapshot, height: Height) -> Result<Option<Self>, StoreError> {
        let Some(record) = reader.get(&Self::key(space, height))? else { return Ok(None) };
        codec::decode(&record).map(Some).map_err(|error| damaged(format!("block {height}"), error))
    }
}

/// How far the views are: the last applied height, and the history tree's peaks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "wire")]
pub(super) struct HeadRecord {
    pub(super) height: Height,
    peaks: List<Digest>,
}

impl Format for HeadRecord {
    const NAME: &'static str = "stored head";
    const LIMIT: usize = 4 << 10;
}

impl HeadRecord {
    pub(super) fn new(height: Height, history: &Frontier<HistoryHasher>) -> Self {
        Self { height, peaks: history.peaks().to_vec().into() }
    }

    pub(super) fn history(&self) -> Result<Frontier<HistoryHasher>, StoreError> {
        Frontier::from_parts(self.height.next().0, self.peaks.to_vec()).map_err(|error| damaged("head", error))
    }

    /// The head at a height below that of the newest, from the history tree's nodes.
    pub(super) fn at(space: Space, reader: &dyn Snapshot, height: Height) -> Result<Self, StoreError> {
        Ok(Self { height, peaks: peaks(space, reader, height.next().0)?.into() })
    }

    pub(super) fn put(&self, space: Space, batch: &mut Batch) {
        batch.put(space.key(HEAD, &[]), codec::encode(self));
    }

    pub(super) fn read(space: Space, reader: &dyn Snapshot) -> Result<Option<Self>, StoreError> {
        let Some(record) = reader.get(&space.key(HEAD, &[]))? else { return Ok(None) };
        codec::decode(&record).map(Some).map_err(|error| damaged("head", error))
    }
}

/// Where the peaks of a history tree of `size` leaves stand, from the left.
pub(super) fn peak_positions(size: u64) -> impl Iterator<Item = NodePosition> {
    let levels = (0..64u8).rev().filter(move |level| size & (1 << level) != 0);
    levels.scan(0u64, |before, level| {
        let index = *before >> level;
        *before += 1 << level;
        Some(NodePosition { level, index })
    })
}

/// The peaks of the history tree of `size` leaves, from the left.
pub(super) fn peaks(space: Space, reader: &dyn Snapshot, size: u64) -> Result<Vec<Digest>, StoreError> {
    let peak = |position: NodePosition| {
        let missing =
            || damaged(format!("history node {} of level {}", position.index, position.level), "it is missing");
        read_history(space, reader, position)?.ok_or_else(missing)
    };
    peak_positions(size).map(peak).collect()
}

/// Stores a node of the history tree.
pub(super) fn put_history(space: Space, batch: &mut Batch, position: NodePosition, digest: &Digest) {
    batch.put(history_key(space, position), digest.as_bytes().to_vec());
}

/// Appends a leaf to the history tree and stores the nodes that it completes.
pub(super) fn append_history(
    space: Space,
    history: &mut Frontier<HistoryHasher>,
    leaf: Digest,
    batch: &mut Batch,
) -> HistoryHead {
    history.append(leaf, &mut |position, digest| {
        put_history(space, batch, position, &digest);
    });
    HistoryHead::of(history)
}

fn history_key(space: Space, position: NodePosition) -> Vec<u8> {
    space.key(HISTORY, &[&[position.level], &position.index.to_be_bytes()])
}

pub(super) fn read_history(
    space: Space,
    reader: &dyn Snapshot,
    position: NodePosition,
) -> Result<Option<Digest>, StoreError> {
    let Some(record) = reader.get(&history_key(space, position))? else { return Ok(None) };
    let bytes: [u8; 32] = record.try_into().map_err(|_| {
        damaged(format!("history node {} of level {}", position.index, position.level), "it has another length")
    })?;
    Ok(Some(Digest::new(bytes)))
}

fn place_key(space: Space, transaction: &TransactionId) -> Vec<u8> {
    space.key(PLACES, &[transaction.0.as_bytes()])
}

pub(super) fn put_place(space: Space, batch: &mut Batch, transaction: &TransactionId, place: Version) {
    let mut record = place.height.0.to_be_bytes().to_vec();
    record.extend_from_slice(&place.index.to_be_bytes());
    batch.put(place_key(space, transaction), record);
}

pub(super) fn read_place(
    space: Space,
    reader: &dyn Snapshot,
    transaction: &TransactionId,
) -> Result<Option<Version>, StoreError> {
    let Some(record) = reader.get(&place_key(space, transaction))? else { return Ok(None) };
    let read = || {
        let (height, rest) = record.split_first_chunk::<8>()?;
        let index: [u8; 4] = rest.try_into().ok()?;
        Some(Version { height: Height(u64::from_be_bytes(*height)), index: u32::from_be_bytes(index) })
    };
    read().map(Some).ok_or_else(|| damaged(format!("place of transaction {transaction}"), "it has another length"))
}

/// Checks the format of an engine's views, and notes it in an engine that has none.
pub(super) fn check_format(reader: &dyn Snapshot, batch: &mut Batch) -> Result<(), StoreError> {
    let key = Space::SHARED.key(FORMAT, &[]);
    match reader.get(&key)?.as_deref() {
        None => {
            batch.put(key, vec![FORMAT_VERSION]);
            Ok(())
        }
        Some([FORMAT_VERSION]) => Ok(()),
        Some([found]) => Err(StoreError::Format { found: *found, understood: FORMAT_VERSION }),
        Some(_) => Err(damaged("format", "it has another length")),
    }
}

/// The space of `chain`, if the engine has one.
pub(super) fn find_space(reader: &dyn Snapshot, chain: &ChainId) -> Result<Option<Space>, StoreError> {
    let number = read_number(reader, &Space::SHARED.key(CHAINS, &[chain.0.as_bytes()]))?;
    Ok(number.map(Space::new))
}

/// The next free space, which becomes that of `chain`.
pub(super) fn take_space(reader: &dyn Snapshot, chain: &ChainId, batch: &mut Batch) -> Result<Space, StoreError> {
    let space = take_number(reader, batch)?;
    give_space(chain, space, batch);
    Ok(space)
}

/// The next free space, which belongs to no chain yet.
pub(super) fn take_number(reader: &dyn Snapshot, batch: &mut Batch) -> Result<Space, StoreError> {
    // The other half is for the chains' scratch bytes.
    const LIMIT: u32 = 1 << 31;
    let count_key = Space::SHARED.key(CHAIN_COUNT, &[]);
    let number = read_number(reader, &count_key)?.unwrap_or(0).saturating_add(1);
    if number >= LIMIT {
        return Err(StoreError::TooManyChains { limit: LIMIT });
    }
    batch.put(count_key, number.to_be_bytes().to_vec());
    Ok(Space::new(number))
}

/// Makes `space` that of `chain`.
pub(super) fn give_space(chain: &ChainId, space: Space, batch: &mut Batch) {
    batch.put(Space::SHARED.key(CHAINS, &[chain.0.as_bytes()]), space.number().to_be_bytes().to_vec());
}

/// The snapshot from which `chain` is about to begin: the digest of its manifest, and the space of what there is of it.
pub(super) fn find_import(reader: &dyn Snapshot, chain: &ChainId) -> Result<Option<(Digest, Space)>, StoreError> {
    let Some(record) = reader.get(&import_key(chain))? else { return Ok(None) };
    let read = || {
        let (digest, number) = record.split_first_chunk::<32>()?;
        Some((Digest::new(*digest), Space::new(u32::from_be_bytes(number.try_into().ok()?))))
    };
    read().map(Some).ok_or_else(|| damaged(format!("import of chain {chain}"), "its record has another length"))
}

/// Notes what [`find_import`] finds.
pub(super) fn put_import(chain: &ChainId, manifest: &Digest, space: Space, batch: &mut Batch) {
    let mut record = manifest.as_bytes().to_vec();
    record.extend_from_slice(&space.number().to_be_bytes());
    batch.put(import_key(chain), record);
}

/// Ends what [`put_import`] noted.
pub(super) fn delete_import(chain: &ChainId, batch: &mut Batch) {
    batch.delete(import_key(chain));
}

fn import_key(chain: &ChainId) -> Vec<u8> {
    Space::SHARED.key(IMPORTS, &[chain.0.as_bytes()])
}

/// Where the manifest of an import lies while it lasts.
pub(super) fn manifest_key(space: Space) -> Vec<u8> {
    space.key(MANIFEST, &[])
}

fn read_number(reader: &dyn Snapshot, key: &[u8]) -> Result<Option<u32>, StoreError> {
    let Some(record) = reader.get(key)? else { return Ok(None) };
    let bytes: [u8; 4] = record.try_into().map_err(|_| damaged("chain number", "it has another length"))?;
    Ok(Some(u32::from_be_bytes(bytes)))
}
