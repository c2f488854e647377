//! What a block's writes become: records, and new leaves. Nothing is changed here.

use ledger_core::state::tree;
use ledger_core::{Height, StateError, Version, Write, domains};
use ledger_crypto::Digest;

use super::group::Messages;
use super::names::Namespaces;
use super::record::{self, Link, Links, NamespaceId, Record, RecordReader};
use super::trie::{Spot, Tree};
use crate::engine::{Engine, Space};

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
    keys: Vec<u8>,
    pub(super) region: Vec<u8>,
}

impl Changes {
    fn with_room_for(groups: &[Group<'_>]) -> Self {
        let writes = || groups.iter().flat_map(|group| group.writes);
        let keys = groups.iter().filter_map(|group| group.writes.first()).map(|write| 32 + write.key.name.len()).sum();
        let bytes = |write: &Write| record::room_for(&write.key.name, write.value.as_deref());
        Self {
            changes: Vec::with_capacity(groups.len()),
            keys: Vec::with_capacity(keys),
            region: Vec::with_capacity(writes().map(bytes).sum()),
        }
    }

    /// The key of one of the changes, as one byte string.
    pub(super) fn key(&self, change: &Change) -> &[u8] {
        self.keys.get(change.key.0..change.key.1).unwrap_or_default()
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

    /// Puts `later` behind these.
    pub(super) fn append(&mut self, mut later: Self) {
        if self.changes.is_empty() {
            *self = later;
            return;
        }
        let (bytes, keys) = (self.region.len() as u64, self.keys.len());
        for change in &mut later.changes {
            change.offset += bytes;
            change.key = (change.key.0 + keys, change.key.1 + keys);
        }
        self.changes.append(&mut later.changes);
        self.keys.append(&mut later.keys);
        self.region.append(&mut later.region);
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
        let stored = reader.read(leaf.address)?;
        let namespace = self.names.namespace(stored.record.namespace)?;
        let (own, name) = key.split_at_checked(32).unwrap_or_default();
        if namespace.0.as_bytes() == own && stored.name == name {
            let Record { number, links, .. } = stored.record;
            return Ok(Found::Leaf { spot, number, links, leaf: leaf.digest });
        }
        scratch.clear();
        scratch.extend_from_slice(namespace.0.as_bytes());
        scratch.extend_from_slice(stored.name);
        let crit = tree::crit_bit(scratch, key).and_then(|bit| u16::try_from(bit).ok()).unwrap_or(u16::MAX);
        Ok(Found::Nothing { near: Some((spot, crit)), right: tree::bit(key, u32::from(crit)) })
    }
}

/// A leaf whose value is hashed together with others.
struct Pending {
    change: usize,
    version: Version,
    predecessor: Option<Digest>,
}

/// The changes that `groups` make in block `height`. Groups are in the order of their keys.
pub(super) fn prepare(sources: Sources<'_>, height: Height, groups: &[Group<'_>]) -> Result<Changes, StateError> {
    let mut reader = RecordReader::new(sources.engine, sources.space);
    let mut scratch = Vec::new();
    let mut made = Changes::with_room_for(groups);
    let mut pending = Vec::with_capacity(groups.len());
    let mut values = vec![Digest::ZERO; groups.len()];
    let mut hasher = Messages::new(domains::STATE_VALUE);
    for group in groups {
        let Some(first) = group.writes.first() else { continue };
        let key = made.push_key(&first.key.namespace.0, &first.key.name);
        let bytes = made.keys.get(key.0..key.1).unwrap_or_default();
        let (target, mut number, mut links, mut live) = match sources.find(&mut reader, &mut scratch, bytes)? {
            Found::Leaf { spot, number, links, leaf } => {
                let address = sources.tree.leaf(spot).map(|leaf| leaf.address);
                let links = address.map_or(links, |address| links.after(number, Link::At(address)));
                (Target::Known(spot), number.saturating_add(1), links, Some(leaf).filter(|leaf| *leaf != Digest::ZERO))
            }
            Found::Nothing { near, right } => (Target::New { near, right }, 0, Links::default(), None),
        };
        let mut newest = None;
        let last = group.writes.len() - 1;
        for (index, write) in group.writes.iter().enumerate() {
            if write.value.is_none() && live.is_none() {
                continue;
            }
            let offset = made.region.len() as u64;
            let version = Version { height, index: write.index };
            let record = Record { namespace: group.namespace, number, version, links, predecessor: live };
            record::append(sources.space, &record, &write.key.name, write.value.as_deref(), &mut made.region);
            links = links.after(number, Link::Within(offset));
            number = number.saturating_add(1);
            newest = Some(offset);
            live = match &write.value {
                None => None,
                Some(value) if index == last => {
                    let change = made.changes.len();
                    let slot = u32::try_from(pending.len()).unwrap_or(u32::MAX);
                    hasher.push(slot, &mut values, |out| tree::value_message(value, out));
                    pending.push(Pending { change, version, predecessor: record.predecessor });
                    // Its own digest follows below.
                    Some(Digest::ZERO)
                }
                Some(value) => {
                    let key = made.keys.get(key.0..key.1).unwrap_or_default();
                    let digest = tree::value_digest(value);
                    Some(tree::leaf(key, version, record.predecessor.as_ref(), &digest))
                }
            };
        }
        if let Some(offset) = newest {
            made.push(key, target, offset, live.unwrap_or(Digest::ZERO));
        }
    }
    hasher.finish(&mut values);
    hash_leaves(&mut made, &pending, &values);
    Ok(made)
}

/// Computes the leaves of all `pending` together.
fn hash_leaves(made: &mut Changes, pending: &[Pending], values: &[Digest]) {
    let mut hasher = Messages::new(domains::STATE_LEAF);
    let mut leaves = vec![Digest::ZERO; pending.len()];
    for (slot, (pending, value)) in pending.iter().zip(values).enumerate() {
        let Some(change) = made.changes.get(pending.change) else { continue };
        let key = made.key(change);
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        hasher.push(slot, &mut leaves, |out| {
            tree::leaf_message(key, pending.version, pending.predecessor.as_ref(), value, out);
        });
    }
    hasher.finish(&mut leaves);
    for (pending, leaf) in pending.iter().zip(leaves) {
        if let Some(change) = made.changes.get_mut(pending.change) {
            change.leaf = leaf;
        }
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
    let mut pending = Vec::new();
    let mut values = Vec::new();
    let mut hasher = Messages::new(domains::STATE_VALUE);
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
        let bytes = made.keys.get(key.0..key.1).unwrap_or_default();
        let target = match sources.find(&mut reader, &mut scratch, bytes)? {
            Found::Leaf { spot, .. } if sources.tree.leaf(spot).is_some_and(|leaf| leaf.address >= address) => continue,
            Found::Leaf { spot, .. } => Target::Known(spot),
            Found::Nothing { near, right } => Target::New { near, right },
        };
        if let Some(value) = stored.value {
            let slot = u32::try_from(pending.len()).unwrap_or(u32::MAX);
            values.push(Digest::ZERO);
            hasher.push(slot, &mut values, |out| tree::value_message(value, out));
            let Record { version, predecessor, .. } = stored.record;
            pending.push(Pending { change: made.changes.len(), version, predecessor });
        }
        made.push(key, target, offset, Digest::ZERO);
    }
    hasher.finish(&mut values);
    hash_leaves(&mut made, &pending, &values);
    Ok(made)
}
