//! The one journal of a block's writes.
//!
//! ```text
//!   contract ─▶ host ─▶ Journal ── reads what was written, else ──▶ StateView (the state before the block)
//!                          │
//!                          └─ every write undone can be: savepoint … rollback
//!                          ▼
//!                        Writes   (key by key, one version for each transaction that wrote it)
//! ```
//! No virtual machine keeps a journal of its own, so there is one place where rolling back is right or wrong.

mod scan;

pub use scan::{Merged, Step};

use ledger_core::codec::Bytes;
use ledger_core::{Key, KeyRange, StateError, StateView, Version, Versioned, Write, Writes};
use std::collections::{BTreeMap, HashMap, btree_map};

/// How many bytes of values read from the state a journal keeps by default: 64 MiB.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;

/// The writes of a block's transactions over the state before the block. It reads what it has written, keeps what it
/// has read, and undoes exactly what was done since a [`Savepoint`].
pub struct Journal<'s> {
    state: &'s dyn StateView,
    written: BTreeMap<Key, Versions>,
    undo: Vec<Undo>,
    index: u32,
    /// What was read of the state. Only ever looked up, so that its order leaks nowhere, and kept apart from what was
    /// written, so that a scan needn't step over it.
    cache: HashMap<Key, Option<Versioned>>,
    cache_left: usize,
    recorder: Option<Recorder>,
}

/// A key's values by transaction, in order and never empty; `None` deletes.
type Versions = Vec<(u32, Option<Bytes>)>;

/// How to take one write back.
struct Undo {
    key: Key,
    /// The value that the transaction had written before; `None` if this was its first write to the key.
    before: Option<Option<Bytes>>,
}

/// A moment that a journal can go back to. One taken later than a moment that was gone back to is spent: going back to
/// it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(usize);

/// What was read of the state before the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Keys and the versions seen, sorted by key; `None` where there was no value.
    pub keys: Vec<(Key, Option<Version>)>,
    /// Ranges, as far as they were read, in the order of reading.
    pub ranges: Vec<KeyRange>,
}

#[derive(Default)]
struct Recorder {
    keys: BTreeMap<Key, Option<Version>>,
    ranges: Vec<KeyRange>,
}

impl<'s> Journal<'s> {
    /// A journal without writes over `state`, for transaction 0. It keeps at most [`DEFAULT_CACHE_BYTES`] of what it
    /// reads.
    pub fn new(state: &'s dyn StateView) -> Self {
        Journal {
            state,
            written: BTreeMap::new(),
            undo: Vec::new(),
            index: 0,
            cache: HashMap::new(),
            cache_left: DEFAULT_CACHE_BYTES,
            recorder: None,
        }
    }

    /// Keeps at most `bytes` of values and keys read from the state. What comes out doesn't depend on it.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_left = bytes;
        self
    }

    /// Remembers what is read, for [`Journal::finish`].
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.recorder = Some(Recorder::default());
        self
    }

    /// From now on, writes are those of the transaction at `index`. Indexes must not fall; a lower one is taken for the
    /// one before.
    pub fn begin(&mut self, index: u32) {
        self.index = self.index.max(index);
    }

    /// Reads `keys` at one go, so that reading them later costs nothing.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub fn prefetch(&mut self, mut keys: Vec<Key>) -> Result<(), StateError> {
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| !self.cache.contains_key(key));
        let values = self.state.get_many(&keys)?;
        for (key, value) in keys.into_iter().zip(values) {
            self.remember(key, value);
        }
        Ok(())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub fn get(&mut self, key: &Key) -> Result<Option<Bytes>, StateError> {
        if let Some(value) = self.latest(key) {
            return Ok(value.cloned());
        }
        if let Some(base) = self.cache.get(key) {
            let (value, version) = parts(base.as_ref());
            self.record(key, version);
            return Ok(value);
        }
        let base = self.state.get(key)?;
        let (value, version) = parts(base.as_ref());
        self.record(key, version);
        self.remember(key.clone(), base);
        Ok(value)
    }

    /// The value that the state before the block has for `key`: neither remembered nor recorded.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub(crate) fn peek(&self, key: &Key) -> Result<Option<Bytes>, StateError> {
        if let Some(value) = self.latest(key) {
            return Ok(value.cloned());
        }
        Ok(self.state.get(key)?.map(|found| found.value))
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: Key, value: impl Into<Bytes>) {
        self.write(key, Some(value.into()));
    }

    /// Removes `key` and its value, if it has one.
    pub fn delete(&mut self, key: Key) {
        self.write(key, None);
    }

    /// The keys of `range` and their values, in order, one step at a time.
    pub fn scan(&self, range: &KeyRange) -> Merged<'_> {
        Merged::new(self, range)
    }

    /// This moment.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Takes back every write since `savepoint`, the last one first.
    pub fn rollback(&mut self, savepoint: Savepoint) {
        for Undo { key, before } in self.undo.drain(savepoint.0.min(self.undo.len())..).rev() {
            let btree_map::Entry::Occupied(mut entry) = self.written.entry(key) else { continue };
            let undone = entry.get_mut().pop();
            if let (Some((index, _)), Some(value)) = (undone, before) {
                entry.get_mut().push((index, value));
            }
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// All writes, without those that delete what wasn't there.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub fn into_writes(self) -> Result<Writes, StateError> {
        Ok(self.finish()?.0)
    }

    /// All writes, and what was read if the journal was [recording](Journal::recording).
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub fn finish(self) -> Result<(Writes, Reads), StateError> {
        let mut writes = Vec::with_capacity(self.undo.len());
        for (key, versions) in self.written {
            let mut exists = match (versions.first(), self.cache.get(&key)) {
                (Some((_, None)), None) => self.state.get(&key)?.is_some(),
                (Some((_, None)), Some(base)) => base.is_some(),
                _ => false,
            };
            for (index, value) in versions {
                let existed = core::mem::replace(&mut exists, value.is_some());
                if existed || value.is_some() {
                    writes.push(Write { key: key.clone(), index, value });
                }
            }
        }
        let reads = self.recorder.unwrap_or_default();
        Ok((Writes::new(writes), Reads { keys: reads.keys.into_iter().collect(), ranges: reads.ranges }))
    }

    /// Notes that `key` was read in this version.
    pub(crate) fn record(&mut self, key: &Key, version: Option<Version>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keys.entry(key.clone()).or_insert(version);
        }
    }

    /// Notes that all of `range` was read.
    pub(crate) fn record_range(&mut self, range: KeyRange) {
        if let Some(recorder) = &mut self.recorder {
            recorder.ranges.push(range);
        }
    }

    fn latest(&self, key: &Key) -> Option<Option<&Bytes>> {
        let (_, value) = self.written.get(key)?.last()?;
        Some(value.as_ref())
    }

    fn remember(&mut self, key: Key, base: Option<Versioned>) {
        const FIXED: usize = core::mem::size_of::<(Key, Option<Versioned>)>();
        let size = FIXED + key.name.len() + base.as_ref().map_or(0, |found| found.value.len());
        if let Some(left) = self.cache_left.checked_sub(size) {
            self.cache_left = left;
            self.cache.insert(key, base);
        }
    }

    fn write(&mut self, key: Key, value: Option<Bytes>) {
        let versions = self.written.entry(key.clone()).or_default();
        let before = match versions.last_mut() {
            Some((last, before)) if *last == self.index => Some(core::mem::replace(before, value)),
            _ => {
                versions.push((self.index, value));
                None
            }
        };
        self.undo.push(Undo { key, before });
    }
}

fn parts(base: Option<&Versioned>) -> (Option<Bytes>, Option<Version>) {
    (base.map(|found| found.value.clone()), base.map(|found| found.version))
}
