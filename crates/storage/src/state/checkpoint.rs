//! The index on disk: where each block's records lie, and copies of the index made in small parts.
//!
//! | table | key | value |
//! |---|---|---|
//! | regions | height, part | address and length of the block's records: 0 for what it moved, 1 for what it wrote; of the block that a snapshot began with, of each chunk |
//! | oldest | | the oldest height whose state is kept |
//! | copies | copy, part | the height that wrote it, address, length, checksum (XXH3), what follows |
//!
//! A copy is written beside the chain's blocks, a part with each, in the order of keys. Its parts are of different
//! heights: whoever reads it applies the blocks from the first part's height on once more, and passes over what a part
//! knows already. So neither commits nor memory pay for a copy at once (a *fuzzy* checkpoint, as in ARIES, 1992).
//!
//! A copy counts once the engine was synced after its last part: then every record that it names is durable too. A crash
//! may otherwise take records and leave the copy that names them. The sync runs on a thread of its own, and a later
//! block notes that it is done. A crash may take that note in turn, while scratch bytes that are given up are gone at once: so
//! the bytes of the copy before stay until the next sync. Without any copy, all blocks would have to be read again.
//!
//! A part is `leaves 4 | n addresses | n digests | n − 1 critical bits`, and lies among the chain's scratch bytes.

use std::sync::Arc;
use std::thread::JoinHandle;

use ledger_core::state::tree;
use ledger_core::{Height, StateError};
use ledger_crypto::Digest;
use xxhash_rust::xxh3::xxh3_64;

use super::damage::damaged;
use super::names::Namespaces;
use super::page::Leaf;
use super::record::RecordReader;
use super::trie::{NodeId, Tree};
use crate::engine::{Address, Batch, Direction, Engine, EngineError, Snapshot, Space, after_prefix};

const REGIONS: u8 = 0x15;
const COPIES: u8 = 0x16;
const OLDEST: u8 = 0x17;

const LEAF_BYTES: u64 = 40;

/// Which of a block's regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// Older versions that it moved.
    Moved = 0,
    /// What it wrote.
    Written = 1,
}

fn region_key(space: Space, height: Height, part: Region) -> Vec<u8> {
    space.key(REGIONS, &[&height.0.to_be_bytes(), &[part as u8]])
}

pub(super) fn put_region(space: Space, height: Height, part: Region, address: Address, length: u64, batch: &mut Batch) {
    batch.put(region_key(space, height, part), region_value(address, length));
}

/// Takes the regions of the blocks from `from` on and before `to` out of the list.
pub(super) fn forget_regions(
    space: Space,
    reader: &dyn Snapshot,
    (from, to): (Height, Height),
    batch: &mut Batch,
) -> Result<(), StateError> {
    let (from, to) = (region_key(space, from, Region::Moved), region_key(space, to, Region::Moved));
    for entry in reader.range(&from, Some(&to), Direction::Forward) {
        batch.delete(entry?.0);
    }
    Ok(())
}

/// Regions that are taken out of the list at once.
const FORGOTTEN_AT_ONCE: usize = 1 << 10;

/// Takes regions that end before `mark` out of the list, those of the blocks from `from` on and some at a time; gives the
/// block to go on with, if there are more. `base` is the block that the chain began with.
pub(super) fn forget_released(
    space: Space,
    reader: &dyn Snapshot,
    (base, from): (Height, Height),
    mark: Address,
    batch: &mut Batch,
) -> Result<Option<Height>, StateError> {
    let mut forgotten = 0;
    // The first key of a block is that of what it moved; those of the base have longer ones.
    let (from, to) = (region_key(space, from, Region::Moved), after_prefix(space.key(REGIONS, &[])));
    for entry in reader.range(&from, to.as_deref(), Direction::Forward) {
        let (height, address, length, key) = listed(entry?)?;
        // Later blocks lie behind it too. The parts of the base come in any order.
        match address.get().saturating_add(length) <= mark.get() {
            true if forgotten >= FORGOTTEN_AT_ONCE => return Ok(Some(height)),
            true => batch.delete(key),
            false if height > base => break,
            false => continue,
        }
        forgotten += 1;
    }
    Ok(None)
}

/// Whether what lies at `address` was given up.
pub(super) fn is_released(engine: &dyn Engine, address: Address) -> bool {
    matches!(engine.read_bulk(address, &mut []), Err(EngineError::Released { .. }))
}

pub(super) fn put_oldest(space: Space, oldest: Height, batch: &mut Batch) {
    batch.put(space.key(OLDEST, &[]), oldest.0.to_be_bytes().to_vec());
}

pub(super) fn oldest(space: Space, reader: &dyn Snapshot) -> Result<Height, StateError> {
    match reader.get(&space.key(OLDEST, &[]))?.as_deref().map(<[u8; 8]>::try_from) {
        None => Ok(Height::GENESIS),
        Some(Ok(oldest)) => Ok(Height(u64::from_be_bytes(oldest))),
        Some(Err(_)) => Err(damaged("oldest height", space.number(), "it has another length")),
    }
}

/// Where part `part` of the state of block `base` is noted: the block after which all is told by blocks.
pub(super) fn base_key(space: Space, base: Height, part: u32) -> Vec<u8> {
    space.key(REGIONS, &[&base.0.to_be_bytes(), &part.to_be_bytes()])
}

/// What [`base_key`] and [`put_region`] have as value.
pub(super) fn region_value(address: Address, length: u64) -> Vec<u8> {
    let mut value = address.packed().to_vec();
    value.extend_from_slice(&length.to_le_bytes());
    value
}

fn region_of(value: &[u8]) -> Option<(Address, u64)> {
    let (address, length) = value.split_first_chunk::<6>()?;
    Some((Address::from_packed(*address), u64::from_le_bytes(length.try_into().ok()?)))
}

/// The parts of the state of block `base` that are there: number, address, length.
pub(super) fn base_parts(
    space: Space,
    reader: &dyn Snapshot,
    base: Height,
) -> Result<Vec<(u32, Address, u64)>, StateError> {
    let height = |height: Height| space.key(REGIONS, &[&height.0.to_be_bytes()]);
    let (from, to) = (height(base), height(base.next()));
    let mut parts = Vec::new();
    for entry in reader.range(&from, Some(&to), Direction::Forward) {
        let (key, value) = entry?;
        let read = || {
            let part = u32::from_be_bytes(Space::suffix(&key).get(8..)?.try_into().ok()?);
            let (address, length) = region_of(&value)?;
            Some((part, address, length))
        };
        parts.push(read().ok_or_else(|| damaged("part of a snapshot", &key, "its record has another length"))?);
    }
    Ok(parts)
}

/// The regions of the blocks after `from` up to `to`: height, address, length.
pub(super) fn regions<'a>(
    space: Space,
    reader: &'a dyn Snapshot,
    from: Height,
    to: Height,
) -> impl Iterator<Item = Result<(Height, Address, u64), StateError>> + 'a {
    let (from, to) = (region_key(space, from.next(), Region::Moved), region_key(space, to.next(), Region::Moved));
    reader.range(&from, Some(&to), Direction::Forward).map(|entry| {
        let (height, address, length, _) = listed(entry?)?;
        Ok((height, address, length))
    })
}

/// What an entry of the list of regions says: height, address, length; and its key.
fn listed((key, value): (Vec<u8>, Vec<u8>)) -> Result<(Height, Address, u64, Vec<u8>), StateError> {
    let read = || {
        let height = u64::from_be_bytes(*Space::suffix(&key).first_chunk::<8>()?);
        let (address, length) = region_of(&value)?;
        Some((Height(height), address, length))
    };
    let (height, address, length) =
        read().ok_or_else(|| damaged("state region", &key, "its record has another length"))?;
    Ok((height, address, length, key))
}

/// The most that is read at once, and so the most that a block may move.
pub(super) const MAX_READ: u64 = 1 << 30;

/// All bytes of a region or part.
pub(super) fn read_all(engine: &dyn Engine, address: Address, length: u64) -> Result<Vec<u8>, StateError> {
    let short = || damaged("state records", address, "they end early");
    if length > MAX_READ {
        return Err(damaged("state records", address, "their length is impossible"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| short())?];
    match engine.read_bulk(address, &mut bytes)? == bytes.len() {
        true => Ok(bytes),
        false => Err(short()),
    }
}

/// What was found when a chain is opened.
pub(super) struct Loaded {
    pub(super) tree: Tree,
    /// Blocks after this one are to be applied again.
    pub(super) from: Height,
    /// No part is of a later height.
    pub(super) height: Height,
    pub(super) checkpoints: Checkpoints,
}

/// Writes copies of the index.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// The number of the copy that is being written, or of the next.
    copy: u64,
    /// What the copy that is being written has so far.
    open: Option<Open>,
    /// The copy that has all parts, which aren't known to be durable.
    unsure: Option<Unsure>,
    /// Copies that aren't needed once another counts, with their parts.
    old: Vec<(u64, u32)>,
    /// Where the oldest part that is still needed lies, also after a crash.
    needed: Option<Address>,
    /// Where the first part of the newest copy that counts lies.
    newest: Option<Address>,
    /// Bytes of records since the last copy was begun.
    bytes: u64,
    /// Bytes of records from when the newest copy that counts was begun until then.
    before: u64,
    /// Whether a copy is to be begun whatever their number.
    wanted: bool,
}

/// A copy that is being written.
#[derive(Debug, Default)]
struct Open {
    parts: u32,
    /// The page where the next part begins; `None` before the first.
    at: Option<NodeId>,
    first: Option<Address>,
}

/// A copy that has all parts, and whoever makes them durable.
#[derive(Debug)]
struct Unsure {
    copy: u64,
    parts: u32,
    first: Address,
    last: Part,
    syncing: Option<JoinHandle<Result<(), EngineError>>>,
}

/// What comes after a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Another = 0,
    /// Nothing: the copy has all its parts.
    End = 1,
    /// Nothing, and all of the copy and of the records that it names is durable.
    Durable = 2,
}

/// What a part's record says.
#[derive(Debug)]
struct Part {
    height: Height,
    address: Address,
    length: u64,
    checksum: u64,
    after: After,
}

impl Part {
    fn encode(&self) -> Vec<u8> {
        let mut value = self.height.0.to_le_bytes().to_vec();
        value.extend_from_slice(&self.address.packed());
        value.extend_from_slice(&self.length.to_le_bytes());
        value.extend_from_slice(&self.checksum.to_le_bytes());
        value.push(self.after as u8);
        value
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (height, rest) = value.split_first_chunk::<8>()?;
        let (address, rest) = rest.split_first_chunk::<6>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (checksum, rest) = rest.split_first_chunk::<8>()?;
        let after = match rest {
            [0] => After::Another,
            [1] => After::End,
            [2] => After::Durable,
            _ => return None,
        };
        Some(Self {
            height: Height(u64::from_le_bytes(*height)),
            address: Address::from_packed(*address),
            length: u64::from_le_bytes(*length),
            checksum: u64::from_le_bytes(*checksum),
            after,
        })
    }

    /// Adds the part's leaves to `index`.
    fn read(&self, engine: &dyn Engine, index: &mut Index) -> Option<()> {
        let bytes = read_all(engine, self.address, self.length).ok().filter(|bytes| xxh3_64(bytes) == self.checksum)?;
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (addresses, rest) = rest.split_at_checked(count.checked_mul(6)?)?;
        let (digests, crits) = rest.split_at_checked(count.checked_mul(32)?)?;
        let (addresses, digests, crits) =
            (addresses.as_chunks::<6>().0, digests.as_chunks::<32>().0, crits.as_chunks::<2>().0);
        if crits.len() + 1 != count {
            return None;
        }
        index.parts.push(index.leaves.len());
        if !index.leaves.is_empty() {
            // Between two parts; set when all are read.
            index.crits.push(0);
        }
        let leaves = addresses.iter().zip(digests);
        index.leaves.extend(
            leaves.map(|(address, digest)| Leaf {
                address: Address::from_packed(*address),
                digest: Digest::new(*digest),
            }),
        );
        index.crits.extend(crits.iter().map(|crit| u16::from_le_bytes(*crit)));
        Some(())
    }
}

/// A copy as it is read.
#[derive(Default)]
struct Index {
    leaves: Vec<Leaf>,
    crits: Vec<u16>,
    /// Where each part's leaves begin.
    parts: Vec<usize>,
}

fn part_key(space: Space, copy: u64, part: u32) -> Vec<u8> {
    space.key(COPIES, &[&copy.to_be_bytes(), &part.to_be_bytes()])
}

/// A copy takes at most so much of what the records take.
const RECORDS_A_COPY: u64 = 8;
/// A copy is spread over about so many blocks.
const BLOCKS_A_COPY: u64 = 64;
/// The least part, in leaves.
const LEAST_LEAVES: u64 = 512;
/// The largest part, in leaves: 10 MiB.
const MOST_LEAVES: u64 = 1 << 18;

/// What a copy of the index takes, about.
pub(super) fn copy_bytes(tree: &Tree) -> u64 {
    tree.leaves().saturating_mul(LEAF_BYTES)
}

impl Checkpoints {
    /// Copies with lower numbers are whole, or given up.
    pub(super) fn written(&self) -> u64 {
        self.unsure.as_ref().map_or(self.copy, |unsure| unsure.copy)
    }

    /// The number of the first copy that isn't begun yet.
    pub(super) fn next(&self) -> u64 {
        self.copy + u64::from(self.open.is_some())
    }

    /// Begins a copy with the next block, if none is being written.
    pub(super) fn wanted(&mut self) {
        self.wanted = true;
    }

    /// Takes note of new records.
    pub(super) fn grown(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Bytes of records that aren't in the newest copy that counts: opening reads them again.
    pub(super) fn uncopied(&self) -> u64 {
        self.before.saturating_add(self.bytes)
    }

    /// The first address of scratch space that a copy still needs.
    pub(super) fn needed(&self) -> Option<Address> {
        let unsure = self.unsure.as_ref().map(|unsure| unsure.first);
        self.needed.or(unsure).or(self.open.as_ref().and_then(|open| open.first))
    }

    /// Writes the next part, if there is enough to write it for. What earlier calls wrote must have been applied.
    pub(super) fn write(
        &mut self,
        engine: &Arc<dyn Engine>,
        space: Space,
        tree: &Tree,
        height: Height,
        least: u64,
        batch: &mut Batch,
    ) -> Result<(), StateError> {
        self.settle(engine, space, batch)?;
        if self.unsure.is_some() {
            return Ok(());
        }
        let whole = (tree.leaves() * LEAF_BYTES * RECORDS_A_COPY).max(least);
        if self.open.is_none() {
            if (self.bytes < whole && !self.wanted) || tree.leaves() == 0 {
                return Ok(());
            }
            self.before = self.before.saturating_add(self.bytes);
            (self.bytes, self.wanted) = (0, false);
            self.open = Some(Open::default());
        }
        let leaves = (tree.leaves() / BLOCKS_A_COPY).max(LEAST_LEAVES);
        self.write_part(&**engine, space, tree, height, leaves, batch)
    }

    /// Has the copy that has all parts made durable, and says that it counts when it is.
    fn settle(&mut self, engine: &Arc<dyn Engine>, space: Space, batch: &mut Batch) -> Result<(), StateError> {
        let Some(unsure) = &mut self.unsure else { return Ok(()) };
        let syncing = match unsure.syncing.take() {
            Some(syncing) => syncing,
            None => {
                let engine = Arc::clone(engine);
                let name = "index copy".to_owned();
                match std::thread::Builder::new().name(name).spawn(move || engine.sync()) {
                    Ok(syncing) => syncing,
                    // The next block tries again.
                    Err(_) => return Ok(()),
                }
            }
        };
        if !syncing.is_finished() {
            unsure.syncing = Some(syncing);
            return Ok(());
        }
        joined(syncing)?;
        self.count(space, batch);
        Ok(())
    }

    /// Says that the copy that has all parts counts.
    fn count(&mut self, space: Space, batch: &mut Batch) {
        let Some(Unsure { copy, parts, first, last, .. }) = self.unsure.take() else { return };
        let last = Part { after: After::Durable, ..last };
        batch.put(part_key(space, copy, parts.saturating_sub(1)), last.encode());
        for (copy, parts) in self.old.drain(..) {
            for part in 0..parts {
                batch.delete(part_key(space, copy, part));
            }
        }
        self.old.push((copy, parts));
        // That the copy before this one counts was noted before the sync that this one waited for, and so is durable.
        self.needed = Some(self.newest.replace(first).unwrap_or(first));
        self.before = 0;
    }

    /// Writes a copy at once, and waits until it is durable.
    pub(super) fn write_whole(
        &mut self,
        engine: &dyn Engine,
        space: Space,
        tree: &Tree,
        height: Height,
        batch: &mut Batch,
    ) -> Result<(), StateError> {
        if tree.leaves() == 0 {
            return Ok(());
        }
        if let Some(Unsure { copy, parts, syncing, .. }) = self.unsure.take() {
            syncing.map_or(Ok(()), joined)?;
            self.old.push((copy, parts));
        }
        if let Some(open) = self.open.replace(Open::default()) {
            self.old.push((self.copy, open.parts));
            self.copy += 1;
        }
        self.bytes = 0;
        while self.open.is_some() {
            self.write_part(engine, space, tree, height, MOST_LEAVES, batch)?;
        }
        engine.sync()?;
        self.count(space, batch);
        Ok(())
    }

    fn write_part(
        &mut self,
        engine: &dyn Engine,
        space: Space,
        tree: &Tree,
        height: Height,
        leaves: u64,
        batch: &mut Batch,
    ) -> Result<(), StateError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        // A page that was split since goes on with its left half.
        let mut page = Some(tree.first_page(open.at.unwrap_or(tree.root())));
        let mut taken: Vec<Leaf> = Vec::new();
        let mut crits: Vec<u8> = Vec::new();
        while let Some(id) = page.filter(|_| (taken.len() as u64) < leaves.min(MOST_LEAVES)) {
            if !taken.is_empty() {
                crits.extend_from_slice(&tree.crit_before(id).to_le_bytes());
            }
            taken.extend(tree.page(id).leaves());
            crits.extend(tree.page(id).crits().flat_map(u16::to_le_bytes));
            page = tree.page_after(id);
        }
        let mut bytes = Vec::with_capacity(taken.len() * 40 + 4);
        bytes.extend_from_slice(&u32::try_from(taken.len()).unwrap_or(u32::MAX).to_le_bytes());
        for leaf in &taken {
            bytes.extend_from_slice(&leaf.address.packed());
        }
        for leaf in &taken {
            bytes.extend_from_slice(leaf.digest.as_bytes());
        }
        bytes.extend_from_slice(&crits);
        let address = engine.append(space.scratch(), &bytes)?;
        open.first.get_or_insert(address);
        let (length, checksum) = (bytes.len() as u64, xxh3_64(&bytes));
        let after = if page.is_none() { After::End } else { After::Another };
        let part = Part { height, address, length, checksum, after };
        batch.put(part_key(space, self.copy, open.parts), part.encode());
        open.parts += 1;
        open.at = page;
        if page.is_none() {
            let (copy, parts, first) = (self.copy, open.parts, open.first.unwrap_or(address));
            self.unsure = Some(Unsure { copy, parts, first, last: part, syncing: None });
            self.copy += 1;
            self.open = None;
        }
        Ok(())
    }
}

fn joined(syncing: JoinHandle<Result<(), EngineError>>) -> Result<(), StateError> {
    match syncing.join() {
        Ok(synced) => Ok(synced?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        // Whoever opens the engine next must not find it in use.
        if let Some(syncing) = self.unsure.take().and_then(|unsure| unsure.syncing) {
            let _ = syncing.join();
        }
    }
}

/// Reads the newest copy that counts and is of block `height` at the latest.
pub(super) fn load(
    engine: &dyn Engine,
    space: Space,
    reader: &dyn Snapshot,
    names: &Namespaces,
    height: Height,
) -> Result<Loaded, StateError> {
    let mut copies: Vec<(u64, Vec<Part>)> = Vec::new();
    let from = space.key(COPIES, &[]);
    for entry in reader.range(&from, after_prefix(from.clone()).as_deref(), Direction::Forward) {
        let (key, value) = entry?;
        let copy = Space::suffix(&key).first_chunk::<8>().map(|copy| u64::from_be_bytes(*copy));
        let (Some(copy), Some(part)) = (copy, Part::decode(&value)) else {
            return Err(damaged("copy of the index", &key, "its record has another length"));
        };
        match copies.last_mut().filter(|(number, _)| *number == copy) {
            Some((_, parts)) => parts.push(part),
            None => copies.push((copy, vec![part])),
        }
    }
    let count = |parts: &[Part]| u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let needed = |parts: &[Part]| parts.last().is_some_and(|part| part.after == After::Durable);
    let needed = copies.iter().filter(|(_, parts)| needed(parts)).flat_map(|(_, parts)| parts);
    let mut checkpoints = Checkpoints::default();
    (checkpoints.copy, checkpoints.old, checkpoints.newest) = (
        copies.last().map_or(0, |(copy, _)| copy + 1),
        copies.iter().map(|(copy, parts)| (*copy, count(parts))).collect(),
        needed.map(|part| part.address).min(),
    );
    // There may have been one before that a crash would bring back.
    checkpoints.needed = checkpoints.newest.map(|_| Address::ZERO);
    for (_, parts) in copies.iter().rev() {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { continue };
        if last.after != After::Durable || last.height > height {
            continue;
        }
        // A copy that lost bytes is passed over: the blocks have all of it.
        let mut index = Index::default();
        if parts.iter().all(|part| part.read(engine, &mut index).is_some()) {
            join_parts(engine, space, names, &mut index)?;
            let tree = Tree::build(&index.leaves, &index.crits, last.height.0);
            return Ok(Loaded { tree, from: first.height, height: last.height, checkpoints });
        }
    }
    Ok(Loaded { tree: Tree::default(), from: Height::GENESIS, height: Height::GENESIS, checkpoints })
}

/// Sets the bits in which neighbours of two parts differ.
fn join_parts(engine: &dyn Engine, space: Space, names: &Namespaces, index: &mut Index) -> Result<(), StateError> {
    let mut reader = RecordReader::new(engine, space);
    let mut key = |leaf: Option<&Leaf>| -> Result<Vec<u8>, StateError> {
        let Some(leaf) = leaf else { return Ok(Vec::new()) };
        let stored = reader.read(leaf.address)?;
        let mut key = names.namespace(stored.record.namespace)?.0.as_bytes().to_vec();
        key.extend_from_slice(stored.name);
        Ok(key)
    };
    for start in index.parts.iter().skip(1) {
        let (before, after) = (key(index.leaves.get(start - 1))?, key(index.leaves.get(*start))?);
        let crit = tree::crit_bit(&before, &after).and_then(|bit| u16::try_from(bit).ok());
        let crit = crit.filter(|_| before < after);
        let crit = crit.ok_or_else(|| damaged("copy of the index", start, "its parts aren't in order"))?;
        if let Some(place) = index.crits.get_mut(start - 1) {
            *place = crit;
        }
    }
    Ok(())
}
