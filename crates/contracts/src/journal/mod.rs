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

mod keys;
mod scan;
mod versions;

pub use scan::{Merged, Step};

use core::mem::take;
use keys::Keys;
use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Height, Key, KeyRange, StateError, StateView, Version, Versioned, Write, Writes};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use versions::Versions;

/// How many bytes of values read from the state a journal keeps by default: 64 MiB.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;

/// How many keys are read together: many enough that more wouldn't be faster.
const PREFETCHED_AT_ONCE: usize = 512;

/// The writes of a block's transactions over the state before the block. It reads what it has written, keeps what it
/// has read, and undoes exactly what was done since a [`Savepoint`].
pub struct Journal<'s> {
    state: &'s dyn StateView,
    keys: Keys,
    /// What is known of each key, in its place.
    slots: Vec<Slot>,
    /// The keys that are written, in order: made when the first scan asks for it, since few blocks do.
    order: OnceCell<Order>,
    undo: Vec<Undo>,
    index: u32,
    cache_left: usize,
    /// Whether something was read that there was no room for.
    full: bool,
    recorder: Option<Recorder>,
}

/// What is known of a key.
#[derive(Default)]
struct Slot {
    /// What the state before the block has; `None` while that wasn't read, or isn't kept.
    base: Option<Option<Versioned>>,
    /// Its values by transaction, in order; `None` deletes. Empty if it wasn't written, or everything was taken back.
    versions: Versions,
}

/// The keys that are written, in order. One whose every write was taken back isn't among them, so that scans needn't
/// pass what they would have to pass for nothing.
#[derive(Default)]
struct Order {
    slots: BTreeMap<Key, usize>,
    /// Looked up and never walked.
    keys: HashMap<usize, Key>,
}

impl Order {
    fn insert(&mut self, key: &Key, slot: usize) {
        self.slots.insert(key.clone(), slot);
        self.keys.insert(slot, key.clone());
    }

    fn remove(&mut self, slot: usize) {
        if let Some(key) = self.keys.remove(&slot) {
            self.slots.remove(&key);
        }
    }
}

impl Slot {
    fn latest(&self) -> Option<Option<&Bytes>> {
        self.versions.last().map(|(_, value)| value.as_ref())
    }
}

/// How to take one write back.
struct Undo {
    slot: usize,
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
            keys: Keys::default(),
            slots: Vec::new(),
            order: OnceCell::new(),
            undo: Vec::new(),
            index: 0,
            cache_left: DEFAULT_CACHE_BYTES,
            full: false,
            recorder: None,
        }
    }

    /// Keeps at most `bytes` of values and keys read from the state. What comes out doesn't depend on it.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_left = bytes;
        self
    }

    /// Makes room for so many keys at once.
    #[must_use]
    pub fn expecting(mut self, keys: usize) -> Self {
        self.keys.reserve(keys);
        self.slots.reserve(keys);
        self.undo.reserve(keys);
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

    /// Reads those of `keys` that it doesn't know yet at one go, as far as there is room to keep what they have, so that
    /// reading them later costs nothing.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub fn prefetch(&mut self, mut keys: Vec<Key>) -> Result<(), StateError> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        keys::sort(&keys, &mut order);
        let mut order = order.into_iter();
        // Nobody has paid for them yet, so no more is read than will be kept, but for what is read at once.
        while !self.full {
            let start = self.slots.len();
            while self.slots.len() < start.saturating_add(PREFETCHED_AT_ONCE) {
                let Some(next) = order.next() else { break };
                let key = keys.get_mut(next).map(|key| Key { namespace: key.namespace, name: take(&mut key.name) });
                if let Some(key) = key {
                    self.place(key);
                }
            }
            let new = self.keys.all().get(start..).unwrap_or_default();
            if new.is_empty() {
                break;
            }
            for (place, value) in (start..).zip(self.state.get_many(new)?) {
                self.keep(place, value);
            }
        }
        Ok(())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub fn get(&mut self, key: &Key) -> Result<Option<Bytes>, StateError> {
        self.get_if(&key.namespace, &key.name, |_| Ok(()))
    }

    /// The value of the key `name` of `namespace`, if `pay` lets its length in bytes pass; it isn't copied before.
    ///
    /// # Errors
    /// That of `pay`, or a [`StateError`] when the state can't be read.
    pub(crate) fn get_if<E: From<StateError>>(
        &mut self,
        namespace: &ContractId,
        name: &[u8],
        pay: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Option<Bytes>, E> {
        self.look(namespace, name, |value| match value {
            Some(value) => pay(value.len()).map(|()| Some(value.clone())),
            None => Ok(None),
        })
    }

    /// What `seen` makes of the value of the key `name` of `namespace`.
    ///
    /// # Errors
    /// That of `seen`, or a [`StateError`] when the state can't be read.
    pub(crate) fn look<T, E: From<StateError>>(
        &mut self,
        namespace: &ContractId,
        name: &[u8],
        seen: impl FnOnce(Option<&Bytes>) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(slot) = self.slot(namespace, name) {
            if let Some(value) = slot.latest() {
                return seen(value);
            }
            if let Some(base) = &slot.base {
                let value = seen(base.as_ref().map(|found| &found.value));
                let version = base.as_ref().map(|found| found.version);
                self.record(namespace, name, version);
                return value;
            }
        }
        let key = Key::new(*namespace, name);
        let base = self.state.get(&key)?;
        let value = seen(base.as_ref().map(|found| &found.value));
        self.record(namespace, name, base.as_ref().map(|found| found.version));
        self.remember(key, base);
        value
    }

    /// The value that the state before the block has for `key`: neither remembered nor recorded.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub(crate) fn peek(&self, key: &Key) -> Result<Option<Bytes>, StateError> {
        if let Some(value) = self.slot(&key.namespace, &key.name).and_then(Slot::latest) {
            return Ok(value.cloned());
        }
        Ok(self.state.get(key)?.map(|found| found.value))
    }

    /// The version of `key` and its value's length in bytes, as a transaction of the block at `height` finds them.
    ///
    /// # Errors
    /// [`StateError`] when the state can't be read.
    pub(crate) fn version(&mut self, key: &Key, height: Height) -> Result<Option<(Version, usize)>, StateError> {
        let known = |found: &Versioned| (found.version, found.value.len());
        if let Some(slot) = self.slot(&key.namespace, &key.name) {
            if let Some((index, value)) = slot.versions.last() {
                return Ok(value.as_ref().map(|value| (Version { height, index: *index }, value.len())));
            }
            if let Some(base) = &slot.base {
                return Ok(base.as_ref().map(known));
            }
        }
        let base = self.state.get(key)?;
        let found = base.as_ref().map(known);
        self.remember(key.clone(), base);
        Ok(found)
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: Key, value: impl Into<Bytes>) {
        let place = self.place(key);
        self.write(place, Some(value.into()));
    }

    /// Removes `key` and its value, if it has one.
    pub fn delete(&mut self, key: Key) {
        let place = self.place(key);
        self.write(place, None);
    }

    /// Sets the value of the key `name` of `namespace`, or removes it. Mostly such a key was read before, and then none is
    /// made.
    pub(crate) fn set(&mut self, namespace: &ContractId, name: &[u8], value: Option<Bytes>) {
        let known = self.keys.find(namespace, name);
        let place = known.unwrap_or_else(|| self.place(Key::new(*namespace, name)));
        self.write(place, value);
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
        for Undo { slot: place, before } in self.undo.drain(savepoint.0.min(self.undo.len())..).rev() {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            let undone = slot.versions.pop();
            if let (Some((index, _)), Some(value)) = (undone, before) {
                slot.versions.push((index, value));
            }
            if let (true, Some(order)) = (slot.versions.is_empty(), self.order.get_mut()) {
                order.remove(place);
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
        let (mut slots, mut recorder) = (self.slots, self.recorder);
        let mut keys = self.keys.into_vec();
        let written = (0..).zip(&slots).filter(|(_, slot)| !slot.versions.is_empty());
        let mut written: Vec<usize> = written.map(|(place, _)| place).collect();
        keys::sort(&keys, &mut written);
        let mut writes = Vec::with_capacity(self.undo.len());
        for place in written {
            let (Some(slot), Some(key)) = (slots.get_mut(place), keys.get_mut(place)) else { continue };
            let Slot { base, versions } = take(slot);
            let key = Key { namespace: key.namespace, name: take(&mut key.name) };
            let mut exists = match (versions.first(), base) {
                (Some((_, None)), None) => self.state.get(&key)?.is_some(),
                (Some((_, None)), Some(base)) => base.is_some(),
                _ => false,
            };
            let mut key = Some(key);
            let mut versions = versions.into_iter().peekable();
            while let Some((index, value)) = versions.next() {
                let existed = core::mem::replace(&mut exists, value.is_some());
                // The last version takes the key along.
                let key = if versions.peek().is_some() { key.clone() } else { key.take() };
                let Some(key) = key else { continue };
                if existed || value.is_some() {
                    writes.push(Write { key, index, value });
                } else if let Some(recorder) = &mut recorder {
                    // It is left out because nothing was there, so that was read.
                    recorder.keys.entry(key).or_insert(None);
                }
            }
        }
        let reads = recorder.unwrap_or_default();
        Ok((Writes::new(writes), Reads { keys: reads.keys.into_iter().collect(), ranges: reads.ranges }))
    }

    /// Notes that the key `name` of `namespace` was read in this version.
    pub(crate) fn record(&mut self, namespace: &ContractId, name: &[u8], version: Option<Version>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keys.entry(Key::new(*namespace, name)).or_insert(version);
        }
    }

    /// Notes that all of `range` was read.
    pub(crate) fn record_range(&mut self, range: KeyRange) {
        if let Some(recorder) = &mut self.recorder {
            recorder.ranges.push(range);
        }
    }

    fn slot(&self, namespace: &ContractId, name: &[u8]) -> Option<&Slot> {
        self.slots.get(self.keys.find(namespace, name)?)
    }

    /// The keys that are written, in order.
    fn order(&self) -> &BTreeMap<Key, usize> {
        let order = self.order.get_or_init(|| {
            let mut order = Order::default();
            for (place, (key, slot)) in self.keys.all().iter().zip(&self.slots).enumerate() {
                if !slot.versions.is_empty() {
                    order.insert(key, place);
                }
            }
            order
        });
        &order.slots
    }

    fn remember(&mut self, key: Key, base: Option<Versioned>) {
        if self.make_room(key.name.len(), base.as_ref()) {
            let place = self.place(key);
            if let Some(slot) = self.slots.get_mut(place) {
                slot.base = Some(base);
            }
        }
    }

    /// As [`remember`](Self::remember), of the key in this place.
    fn keep(&mut self, place: usize, base: Option<Versioned>) {
        let name = self.keys.all().get(place).map_or(0, |key| key.name.len());
        if self.make_room(name, base.as_ref())
            && let Some(slot) = self.slots.get_mut(place)
        {
            slot.base = Some(base);
        }
    }

    /// Takes room for what a key has, if there is enough.
    fn make_room(&mut self, name: usize, base: Option<&Versioned>) -> bool {
        const FIXED: usize = core::mem::size_of::<(Key, usize, Slot)>();
        let size = FIXED + name + base.map_or(0, |found| found.value.len());
        let left = self.cache_left.checked_sub(size);
        match left {
            Some(left) => self.cache_left = left,
            None => self.full = true,
        }
        left.is_some()
    }

    /// The key's place, with a slot.
    fn place(&mut self, key: Key) -> usize {
        let place = self.keys.place(key);
        if place == self.slots.len() {
            self.slots.push(Slot::default());
        }
        place
    }

    fn write(&mut self, place: usize, value: Option<Bytes>) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        if let (true, Some(order), Some(key)) =
            (slot.versions.is_empty(), self.order.get_mut(), self.keys.all().get(place))
        {
            order.insert(key, place);
        }
        let before = match slot.versions.last_mut() {
            Some((last, before)) if *last == self.index => Some(core::mem::replace(before, value)),
            _ => {
                slot.versions.push((self.index, value));
                None
            }
        };
        self.undo.push(Undo { slot: place, before });
    }
}
