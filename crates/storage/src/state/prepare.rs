//! What a block's writes become: records, and new leaves. Nothing is changed here.

use std::sync::{Mutex, PoisonError};

use ledger_core::state::tree;
use ledger_core::{Height, StateError, Version, Write, domains};
use ledger_crypto::Digest;

use super::group::Messages;
use super::names::Namespaces;
use super::page::Leaf;
use super::record::{self, Link, Links, NamespaceId, Record, RecordBatch, RecordReader, Stored};
use super::trie::{Spot, Tree};
use crate::engine::{Address, Engine, Space};

/// The writes of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) namespace: NamespaceId,
    pub(super) writes: &'a [Write],
}

/// Where a changed key stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// At this leaf.
    Known(Spot),
    /// Nowhere yet: the leaf that shares the longest prefix with it, the bit after that, and whether it is 1.
    New { near: Option<(Spot, u16)>, right: bool },
}

/// A key's change in a block.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) target: Target,
    /// Where its newest record begins, in bytes from the region's start.
    pub(super) offset: u64,
    /// Its leaf; zero if the key has no value any more.
    pub(super) leaf: Digest,
    key: (usize, usize),
}

/// Changes in the order of their keys, and the records that say so.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) changes: Vec<Change>,
    /// For each key that was given, whether it changed or not: the leaf that its last write replaced.
    pub(super) replaced: Vec<Option<Digest>>,
    keys: Vec<u8>,
    pub(super) region: Vec<u8>,
}

impl Changes {
    /// Makes room for what `groups` write.
    pub(super) fn make_room_for(&mut self, groups: &[Group<'_>]) {
        let writes = || groups.iter().flat_map(|group| group.writes);
        let keys = groups.iter().filter_map(|group| group.writes.first()).map(|write| 32 + write.key.name.len()).sum();
        let bytes = |write: &Write| record::room_for(&write.key.name, write.value.as_deref());
        self.changes.reserve_exact(groups.len());
        self.replaced.reserve_exact(groups.len());
        self.keys.reserve_exact(keys);
        self.region.reserve_exact(writes().map(bytes).sum());
    }

    /// The key of one of the changes, as one byte string.
    pub(super) fn key(&self, change: &Change) -> &[u8] {
        self.key_at(change.key)
    }

    fn key_at(&self, (from, to): (usize, usize)) -> &[u8] {
        self.keys.get(from..to).unwrap_or_default()
    }

    pub(super) fn push_key(&mut self, namespace: &Digest, name: &[u8]) -> (usize, usize) {
        let start = self.keys.len();
        self.keys.extend_from_slice(namespace.as_bytes());
        self.keys.extend_from_slice(name);
        (start, self.keys.len())
    }

    pub(super) fn push(&mut self, key: (usize, usize), target: Target, offset: u64, leaf: Digest) {
        self.changes.push(Change { target, offset, leaf, key });
    }

    /// Puts `later` behind these, and leaves it empty.
    pub(super) fn append(&mut self, later: &mut Self) {
        let (bytes, keys) = (self.region.len() as u64, self.keys.len());
        for change in &mut later.changes {
            change.offset += bytes;
            change.key = (change.key.0 + keys, change.key.1 + keys);
        }
        self.changes.append(&mut later.changes);
        self.replaced.append(&mut later.replaced);
        self.keys.append(&mut later.keys);
        self.region.append(&mut later.region);
    }

    fn clear(&mut self) {
        self.changes.clear();
        self.replaced.clear();
        self.keys.clear();
        self.region.clear();
    }

    fn capacity(&self) -> usize {
        let changes = self.changes.capacity() * size_of::<Change>();
        let replaced = self.replaced.capacity() * size_of::<Option<Digest>>();
        changes + replaced + self.keys.capacity() + self.region.capacity()
    }
}

/// Room of changes that were made, for those of later blocks, of whatever chain: what an allocator gets back in
/// megabytes for each block, it keeps much more of.
static SPARE: Mutex<Vec<Changes>> = Mutex::new(Vec::new());

/// Changes that are kept for their room, at most.
const MOST_SPARE: usize = 16;
/// What they may take together, in bytes.
const MOST_SPARE_BYTES: usize = 8 << 20;

/// Empty changes, with the room of earlier ones if there are any: those with most room first.
pub(super) fn spare() -> Changes {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

/// Takes back what [`spare`] gave.
pub(super) fn give_back(mut changes: Changes) {
    changes.clear();
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    let taken: usize = spare.iter().map(Changes::capacity).sum();
    if spare.len() < MOST_SPARE && taken + changes.capacity() <= MOST_SPARE_BYTES {
        spare.push(changes);
        spare.sort_by_key(Changes::capacity);
    }
}

/// A key as the tree has it.
pub(super) enum Found {
    Leaf { spot: Spot, number: u32, links: Links, leaf: Digest },
    Nothing { near: Option<(Spot, u16)>, right: bool },
}

/// What preparing reads.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) tree: &'a Tree,
    pub(super) names: &'a Namespaces,
    pub(super) engine: &'a dyn Engine,
    pub(super) space: Space,
}

impl Sources<'_> {
    /// Finds `key`, which begins with the namespace's 32 bytes.
    pub(super) fn find(
        &self,
        reader: &mut RecordReader<'_>,
        scratch: &mut Vec<u8>,
        key: &[u8],
    ) -> Result<Found, StateError> {
        let Some(spot) = self.tree.candidate(key) else { return Ok(Found::Nothing { near: None, right: false }) };
        let Some(leaf) = self.tree.leaf(spot) else { return Ok(Found::Nothing { near: None, right: false }) };
        self.compare(spot, leaf.digest, reader.read(leaf.address)?, scratch, key)
    }

    /// Whether the leaf at `spot`, whose newest record is `stored`, is that of `key`.
    fn compare(
        &self,
        spot: Spot,
        leaf: Digest,
        stored: Stored<'_>,
        scratch: &mut Vec<u8>,
        key: &[u8],
    ) -> Result<Found, StateError> {
        let namespace = self.names.namespace(stored.record.namespace)?;
        let (own, name) = key.split_at_checked(32).unwrap_or_default();
        if namespace.0.as_bytes() == own && stored.name == name {
            let Record { number, links, .. } = stored.record;
            return Ok(Found::Leaf { spot, number, links, leaf });
        }
        scratch.clear();
        scratch.extend_from_slice(namespace.0.as_bytes());
        scratch.extend_from_slice(stored.name);
        let crit = tree::crit_bit(scratch, key).and_then(|bit| u16::try_from(bit).ok()).unwrap_or(u16::MAX);
        Ok(Found::Nothing { near: Some((spot, crit)), right: tree::bit(key, u32::from(crit)) })
    }
}

/// Keys that are looked up together.
struct Lookup<'a> {
    sources: Sources<'a>,
    records: RecordBatch<'a>,
    spots: Vec<Spot>,
    leaves: Vec<Leaf>,
    scratch: Vec<u8>,
}

/// How many keys are looked up together: what is read for them stays in the processor's nearest caches.
pub(super) const KEYS_AT_ONCE: usize = 128;

impl<'a> Lookup<'a> {
    fn new(sources: Sources<'a>) -> Self {
        let records = RecordBatch::new(sources.engine, sources.space);
        Self { sources, records, spots: Vec::new(), leaves: Vec::new(), scratch: Vec::new() }
    }

    /// Reads what [`Lookup::get`] needs for `keys`.
    fn read<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> Result<(), StateError> {
        let tree = self.sources.tree;
        self.leaves.clear();
        self.spots.clear();
        if tree.leaves() > 0 {
            tree.candidates(keys, &mut self.spots);
            let nowhere = Leaf { address: Address::MAX, digest: Digest::ZERO };
            self.leaves.extend(self.spots.iter().map(|spot| tree.leaf(*spot).unwrap_or(nowhere)));
        }
        Ok(self.records.read(self.leaves.iter().map(|leaf| leaf.address))?)
    }

    /// What [`Sources::find`] gives for `key`, which has this number.
    fn get(&mut self, index: usize, key: &[u8]) -> Result<(Found, Address), StateError> {
        let (Some(spot), Some(leaf)) = (self.spots.get(index), self.leaves.get(index)) else {
            return Ok((Found::Nothing { near: None, right: false }, Address::ZERO));
        };
        let stored = self.records.get(index)?;
        Ok((self.sources.compare(*spot, leaf.digest, stored, &mut self.scratch, key)?, leaf.address))
    }
}

/// A leaf whose value is hashed together with others.
struct Pending {
    change: usize,
    version: Version,
    predecessor: Option<Digest>,
}

/// Computes the leaves of several changes together.
struct Leaves {
    values: Messages,
    leaves: Messages,
    pending: Vec<Pending>,
    found: Vec<Digest>,
}

impl Leaves {
    fn new() -> Self {
        let (values, leaves) = (Messages::new(domains::STATE_VALUE), Messages::new(domains::STATE_LEAF));
        Self { values, leaves, pending: Vec::new(), found: Vec::new() }
    }

    /// Takes the value of a change.
    fn push(&mut self, change: usize, version: Version, predecessor: Option<Digest>, value: &[u8]) {
        let slot = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        self.pending.push(Pending { change, version, predecessor });
        self.found.push(Digest::ZERO);
        self.values.push(slot, &mut self.found, |out| tree::value_message(value, out));
    }

    fn is_full(&self) -> bool {
        self.pending.len() >= KEYS_AT_ONCE
    }

    /// Gives the changes that were taken their leaves.
    fn finish(&mut self, made: &mut Changes) {
        let Self { values, leaves, pending, found } = self;
        values.finish(found);
        for (slot, pending) in (0..).zip(pending.iter()) {
            let value = found.get(slot as usize).copied().unwrap_or(Digest::ZERO);
            let Some(change) = made.changes.get(pending.change) else { continue };
            let key = made.key(change);
            leaves.push(slot, found, |out| {
                tree::leaf_message(key, pending.version, pending.predecessor.as_ref(), &value, out);
            });
        }
        leaves.finish(found);
        for (pending, leaf) in pending.drain(..).zip(found.drain(..)) {
            if let Some(change) = made.changes.get_mut(pending.change) {
                change.leaf = leaf;
            }
        }
    }
}

/// The changes that `groups` make in block `height`, put behind those in `made`. Groups are in the order of their keys.
pub(super) fn prepare(
    sources: Sources<'_>,
    height: Height,
    groups: &[Group<'_>],
    made: &mut Changes,
) -> Result<(), StateError> {
    let mut lookup = Lookup::new(sources);
    let mut leaves = Leaves::new();
    made.make_room_for(groups);
    let mut places = Vec::with_capacity(KEYS_AT_ONCE);
    for groups in groups.chunks(KEYS_AT_ONCE) {
        places.clear();
        for group in groups {
            let first = group.writes.first().map(|write| &write.key);
            places.push(first.map_or((0, 0), |key| made.push_key(&key.namespace.0, &key.name)));
        }
        lookup.read(places.iter().map(|place| made.key_at(*place)))?;
        for (index, (group, key)) in groups.iter().zip(&places).enumerate() {
            let found = lookup.get(index, made.key_at(*key))?;
            write_group(sources.space, height, group, *key, found, &mut leaves, made);
        }
        leaves.finish(made);
    }
    Ok(())
}

/// Appends the records of a key, and what becomes of its leaf.
fn write_group(
    space: Space,
    height: Height,
    group: &Group<'_>,
    key: (usize, usize),
    (found, address): (Found, Address),
    leaves: &mut Leaves,
    made: &mut Changes,
) {
    let (target, mut number, mut links, mut live) = match found {
        Found::Leaf { spot, number, links, leaf } => {
            let links = links.after(number, Link::At(address));
            (Target::Known(spot), number.saturating_add(1), links, Some(leaf).filter(|leaf| *leaf != Digest::ZERO))
        }
        Found::Nothing { near, right } => (Target::New { near, right }, 0, Links::default(), None),
    };
    let (mut newest, mut replaced) = (None, None);
    let last = group.writes.len().saturating_sub(1);
    for (index, write) in group.writes.iter().enumerate() {
        if write.value.is_none() && live.is_none() {
            continue;
        }
        let offset = made.region.len() as u64;
        let version = Version { height, index: write.index };
        let record = Record { namespace: group.namespace, number, version, links, predecessor: live };
        record::append(space, &record, &write.key.name, write.value.as_deref(), &mut made.region);
        links = links.after(number, Link::Within(offset));
        number = number.saturating_add(1);
        (newest, replaced) = (Some(offset), live);
        live = match &write.value {
            None => None,
            Some(value) if index == last => {
                leaves.push(made.changes.len(), version, record.predecessor, value);
                // Its own digest follows with those of others.
                Some(Digest::ZERO)
            }
            Some(value) => {
                let digest = tree::value_digest(value);
                Some(tree::leaf(made.key_at(key), version, record.predecessor.as_ref(), &digest))
            }
        };
    }
    made.replaced.push(replaced);
    if let Some(offset) = newest {
        made.push(key, target, offset, live.unwrap_or(Digest::ZERO));
    }
}

/// The changes that the records of a region once made, found again in the tree as it is now; those that the tree has
/// already are left out.
pub(super) fn prepare_again(
    sources: Sources<'_>,
    base: crate::engine::Address,
    region: &[u8],
) -> Result<Changes, StateError> {
    let mut reader = RecordReader::new(sources.engine, sources.space);
    let mut scratch = Vec::new();
    let mut made = Changes::default();
    let mut leaves = Leaves::new();
    let mut at = 0;
    let ends = || super::damage::damaged("state region", base, "a record reaches beyond its end");
    while let Some(rest) = region.get(at..).filter(|rest| !rest.is_empty()) {
        let address = base.offset(at as u64).ok_or_else(ends)?;
        let stored = record::decode(sources.space, address, rest)?;
        let offset = at as u64;
        at += stored.length;
        // Of several versions in a block, only the last is a leaf.
        let next = region.get(at..).filter(|rest| !rest.is_empty());
        if let Some(next) = next {
            let next = record::decode(sources.space, base.offset(at as u64).ok_or_else(ends)?, next)?;
            if next.name == stored.name && next.record.namespace == stored.record.namespace {
                continue;
            }
        }
        let namespace = sources.names.namespace(stored.record.namespace)?;
        let key = made.push_key(&namespace.0, stored.name);
        let target = match sources.find(&mut reader, &mut scratch, made.key_at(key))? {
            Found::Leaf { spot, .. } if sources.tree.leaf(spot).is_some_and(|leaf| leaf.address >= address) => continue,
            Found::Leaf { spot, .. } => Target::Known(spot),
            Found::Nothing { near, right } => Target::New { near, right },
        };
        let change = made.changes.len();
        made.push(key, target, offset, Digest::ZERO);
        if let Some(value) = stored.value {
            leaves.push(change, stored.record.version, stored.record.predecessor, value);
            if leaves.is_full() {
                leaves.finish(&mut made);
            }
        }
    }
    leaves.finish(&mut made);
    Ok(made)
}
