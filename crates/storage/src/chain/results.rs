//! Receipts and events of blocks, a few in a record.

use ledger_core::codec::{self, Decode, Encode, Format, List, MAX_INPUT_BYTES, wire};
use ledger_core::{Height, TransactionResult, Version};
use ledger_crypto::Digest;

use super::StoreError;
use super::records::{RESULTS, damaged};
use crate::engine::{Batch, Direction, Engine, Snapshot, Space};

/// A record takes no more results once it has so many.
const MOST_RESULTS: usize = 32;

/// A record takes no more results once it has so many bytes. A single result is at most 32 MiB, so no record comes near
/// the codec's limit.
const FULL_BYTES: usize = 64 << 10;

#[derive(Encode, Decode)]
#[bincode(crate = "wire")]
struct Chunk {
    results: List<TransactionResult>,
}

impl Format for Chunk {
    const NAME: &'static str = "stored results";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

fn key(space: Space, height: Height, index: u32) -> Vec<u8> {
    space.key(RESULTS, &[&height.0.to_be_bytes(), &index.to_be_bytes()])
}

/// Stores the results of block `height`, in records keyed by the first result's index, and gives the leaf hashes of the
/// receipts: both need their bytes.
pub(super) fn put(space: Space, batch: &mut Batch, height: Height, results: &[TransactionResult]) -> Vec<Digest> {
    let mut leaves = Vec::with_capacity(results.len());
    let (mut rest, mut items) = (results, Vec::new());
    while let Some(first) = rest.first() {
        let index = first.receipt.index;
        let mut count = 0;
        items.clear();
        for result in rest.iter().take(MOST_RESULTS) {
            leaves.push(result.encode_with_leaf(&mut items));
            count += 1;
            if items.len() >= FULL_BYTES {
                break;
            }
        }
        // A list's length, and then its items.
        let mut record = Vec::with_capacity(items.len() + 9);
        codec::encode_into(&(count as u64), &mut record);
        record.extend_from_slice(&items);
        batch.put(key(space, height, index), record);
        rest = rest.get(count..).unwrap_or_default();
    }
    leaves
}

fn decode(height: Height, record: &[u8]) -> Result<List<TransactionResult>, StoreError> {
    let chunk: Chunk = codec::decode(record).map_err(|error| damaged(format!("results of block {height}"), error))?;
    Ok(chunk.results)
}

/// The result of the transaction at `place`.
pub(super) fn read(space: Space, reader: &dyn Snapshot, place: Version) -> Result<TransactionResult, StoreError> {
    let Version { height, index } = place;
    let (from, to) = (key(space, height, 0), key(space, height, index.saturating_add(1)));
    let missing = || damaged(format!("results of block {height}"), format_args!("result {index} is missing"));
    let (_, record) = reader.range(&from, Some(&to), Direction::Backward).next().ok_or_else(missing)??;
    decode(height, &record)?.into_iter().find(|result| result.receipt.index == index).ok_or_else(missing)
}

/// All results of block `height`, in order.
pub(super) fn read_all(
    space: Space,
    reader: &dyn Snapshot,
    height: Height,
) -> Result<Vec<TransactionResult>, StoreError> {
    let (from, to) = (key(space, height, 0), key(space, height.next(), 0));
    let mut results = Vec::new();
    for entry in reader.range(&from, Some(&to), Direction::Forward) {
        results.extend(decode(height, &entry?.1)?);
    }
    Ok(results)
}

/// Whether there is nothing of block `height`.
pub(super) fn is_empty(space: Space, reader: &dyn Snapshot, height: Height) -> bool {
    let (from, to) = (key(space, height, 0), key(space, height.next(), 0));
    reader.range(&from, Some(&to), Direction::Forward).next().is_none()
}

/// The records of block `height` as they are stored, each after its length in four bytes, little-endian: what an archive
/// keeps of them.
pub(super) fn pack(space: Space, reader: &dyn Snapshot, height: Height) -> Result<Vec<u8>, StoreError> {
    let (from, to) = (key(space, height, 0), key(space, height.next(), 0));
    let mut packed = Vec::new();
    for entry in reader.range(&from, Some(&to), Direction::Forward) {
        let record = entry?.1;
        let length =
            u32::try_from(record.len()).map_err(|_| damaged(format!("results of block {height}"), "too long"))?;
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&record);
    }
    Ok(packed)
}

/// The results that [`pack`] packed.
pub(super) fn unpack(height: Height, mut packed: &[u8]) -> Result<Vec<TransactionResult>, StoreError> {
    let mut results = Vec::new();
    while !packed.is_empty() {
        let split = || {
            let (length, rest) = packed.split_first_chunk::<4>()?;
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        };
        let cut = || damaged(format!("archived results of block {height}"), "they end within a record");
        let (record, rest) = split().ok_or_else(cut)?;
        results.extend(decode(height, record)?);
        packed = rest;
    }
    Ok(results)
}

/// Removes the results of all blocks up to `height`, whole blocks in each batch of about `KEYS` records; returns how
/// many records there were.
pub(super) fn drop_through(space: Space, engine: &dyn Engine, height: Height) -> Result<u64, StoreError> {
    const KEYS: usize = 4_096;
    let (mut from, to) = (key(space, Height::GENESIS, 0), key(space, height.next(), 0));
    let mut dropped = 0;
    loop {
        let snapshot = engine.snapshot();
        let mut batch = Batch::new();
        let mut last = None;
        for entry in snapshot.range(&from, Some(&to), Direction::Forward) {
            let (key, _) = entry?;
            let block = Space::suffix(&key).first_chunk::<8>().copied();
            if batch.len() >= KEYS && last != block {
                break;
            }
            last = block;
            batch.delete(key);
        }
        drop(snapshot);
        let Some(block) = last else { return Ok(dropped) };
        dropped += batch.len() as u64;
        engine.apply(batch)?;
        from = key(space, Height(u64::from_be_bytes(block)).next(), 0);
    }
}
