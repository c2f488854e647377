//! Values and their versions.

use ledger_core::codec;
use ledger_core::state::sparse as tree;
use ledger_core::{Height, Key, StateError, Version, Versioned, Write, Writes};
use ledger_crypto::Digest;

use super::commitment::{Change, StateCommitment};
use super::damage::damaged;
use super::tables::{self, Current};
use crate::engine::{Batch, Direction, Snapshot, Space};

/// One step in a key's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Which transaction did it.
    pub version: Version,
    /// What it wrote; `None` where it deleted the key.
    pub value: Option<Versioned>,
}

const ALIVE: u8 = 1;
const GONE: u8 = 0;

/// Puts into `batch` what block `height` writes, and gives the state root after it. Deleting a key that has no value
/// changes nothing and is no version.
///
/// # Errors
/// [`StateError`] when the state before can't be read.
pub fn stage(
    space: Space,
    reader: &dyn Snapshot,
    commitment: &mut dyn StateCommitment,
    height: Height,
    writes: &Writes,
    batch: &mut Batch,
) -> Result<Digest, StateError> {
    let mut groups: Vec<(Digest, &[Write])> = Vec::with_capacity(writes.len());
    for group in writes.by_key() {
        if let Some(first) = group.first() {
            groups.push((tree::key_digest(&first.key), group));
        }
    }
    groups.sort_unstable_by_key(|(place, _)| *place);
    let places: Vec<Digest> = groups.iter().map(|(place, _)| *place).collect();
    let before = commitment.leaves(reader, &places)?;
    let mut changes = Vec::with_capacity(groups.len());
    // Apart, each table's records are in order, which spares the engine's batch most of its sorting.
    let mut versions = Batch::new();
    for ((place, group), before) in groups.iter().zip(before) {
        let leaf = stage_key(space, height, place, group, before, batch, &mut versions);
        if leaf != before {
            changes.push(Change { place: *place, leaf });
        }
    }
    batch.append(versions);
    commitment.update(reader, height, &changes, batch)
}

/// Stages the writes of one key and gives its leaf after them.
fn stage_key(
    space: Space,
    height: Height,
    place: &Digest,
    group: &[Write],
    before: Option<Digest>,
    batch: &mut Batch,
    versions: &mut Batch,
) -> Option<Digest> {
    let mut leaf = before;
    let mut last = None;
    for write in group {
        let version = Version { height, index: write.index };
        match &write.value {
            Some(value) => {
                let versioned = Versioned { value: value.clone(), version, predecessor: leaf };
                let content = tree::content_digest(value, version, versioned.predecessor.as_ref());
                leaf = Some(tree::leaf(place, &content));
                let encoded = codec::encode(&versioned);
                let record = tables::encode_version(Some(&encoded));
                versions.put(tables::version_key(space, place, version), record);
                last = Some((content, versioned, encoded));
            }
            None if leaf.is_some() => {
                leaf = None;
                last = None;
                versions.put(tables::version_key(space, place, version), tables::encode_version(None));
            }
            None => {}
        }
    }
    match &last {
        Some((content, versioned, encoded)) => {
            batch.put(tables::value_key(space, place), tables::encode_current(content, versioned, encoded));
        }
        None if before.is_some() && leaf.is_none() => batch.delete(tables::value_key(space, place)),
        None => {}
    }
    if let Some(first) = group.first()
        && leaf.is_some() != before.is_some()
    {
        let mark = if leaf.is_some() { ALIVE } else { GONE };
        batch.put(tables::name_key(space, &first.key), vec![mark]);
    }
    leaf
}

/// The key's value now.
pub(super) fn current(space: Space, reader: &dyn Snapshot, place: &Digest) -> Result<Option<Versioned>, StateError> {
    let Some(record) = reader.get(&tables::value_key(space, place))? else { return Ok(None) };
    match tables::decode_current(place, &record)? {
        Current::Inline(versioned) => Ok(Some(versioned)),
        Current::Apart(version) => {
            let key = tables::version_key(space, place, version);
            let record = reader.get(&key)?.ok_or_else(|| damaged("version", version, "the current one is missing"))?;
            let versioned = tables::decode_version(&key, &record)?;
            versioned.map(Some).ok_or_else(|| damaged("version", version, "the current one is a deletion"))
        }
    }
}

/// The key's value after block `height`.
pub(super) fn value_at(
    space: Space,
    reader: &dyn Snapshot,
    place: &Digest,
    height: Height,
) -> Result<Option<Versioned>, StateError> {
    let from = Version { height, index: u32::MAX };
    let newest = versions(space, reader, place, from).next().transpose()?;
    Ok(newest.and_then(|entry| entry.value))
}

fn versions<'a>(
    space: Space,
    reader: &'a dyn Snapshot,
    place: &Digest,
    from: Version,
) -> impl Iterator<Item = Result<VersionEntry, StateError>> + 'a {
    let (from, to) = (tables::version_key(space, place, from), tables::versions_end(space, place));
    reader.range(&from, to.as_deref(), Direction::Forward).map(|entry| {
        let (key, record) = entry?;
        Ok(VersionEntry { version: tables::version_of_key(&key)?, value: tables::decode_version(&key, &record)? })
    })
}

/// The versions of `key` from `from` (included) back in time, newest first, at most `limit` of them.
///
/// # Errors
/// [`StateError`] when they can't be read.
pub fn history(
    space: Space,
    reader: &dyn Snapshot,
    key: &Key,
    from: Version,
    limit: usize,
) -> Result<Vec<VersionEntry>, StateError> {
    versions(space, reader, &tree::key_digest(key), from).take(limit).collect()
}

/// The keys that ever had a value, from `from` to `to` (`None`: the end of the space), and whether they have one now.
pub(super) fn names<'a>(
    reader: &'a dyn Snapshot,
    from: &[u8],
    to: Option<&[u8]>,
) -> impl Iterator<Item = Result<(Key, bool), StateError>> + 'a {
    reader.range(from, to, Direction::Forward).map(|entry| {
        let (stored, mark) = entry?;
        let key = tables::key_of_name(&stored)?;
        match mark.as_slice() {
            [ALIVE] => Ok((key, true)),
            [GONE] => Ok((key, false)),
            _ => Err(damaged("name", key, "its mark isn't known")),
        }
    })
}
