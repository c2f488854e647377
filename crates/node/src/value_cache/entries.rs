//! A bounded map of keys to values that forgets what nobody asks for.

use ledger_core::{Key, Versioned};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What an entry takes besides its name and value, roughly: the slot, its place, two allocations.
const ENTRY_BYTES: usize = 220;

/// Slots of a chunk. Slots stand in chunks, so that none is ever moved to make room for more.
const CHUNK: usize = 1_024;

/// A value; `None` is known to be absent.
type Value = Option<Versioned>;

struct Slot {
    hash: u64,
    /// Whether it was asked for since the hand last came by.
    asked: bool,
    key: Key,
    value: Value,
}

impl Slot {
    fn bytes(&self) -> usize {
        bytes_of(&self.key, &self.value)
    }

    fn value_bytes(&self) -> &[u8] {
        self.value.as_ref().map_or(&[], |versioned| &versioned.value)
    }
}

fn bytes_of(key: &Key, value: &Value) -> usize {
    ENTRY_BYTES + key.name.len() + value.as_ref().map_or(0, |versioned| versioned.value.len())
}

/// Takes a hash as it is.
#[derive(Default)]
pub(super) struct Whole(u64);

impl Hasher for Whole {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only whole numbers come; whatever else would still be a hash.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Values by key. Whoever is over a limit loses entries by second chance: a hand goes round the slots, takes the mark
/// from those that were asked for and the place from those that were not (Corbató, *A paging experiment with the Multics
/// system*, 1968). Looked up and never walked in the order of hashes.
#[derive(Default)]
pub(super) struct Entries {
    /// Slots by the key's hash. The hash is keyed, so that nobody can make two keys share one; if two do, the later one
    /// takes the place.
    places: HashMap<u64, u32, BuildHasherDefault<Whole>>,
    chunks: Vec<Vec<Slot>>,
    hand: u32,
    bytes: usize,
}

impl Entries {
    /// What all entries take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn len(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    fn slot(&self, place: u32) -> Option<&Slot> {
        let place = place as usize;
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    fn slot_mut(&mut self, place: u32) -> Option<&mut Slot> {
        let place = place as usize;
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    /// Has the processor fetch what looking these up will touch: for all of them at a time, where one lookup after the
    /// other would wait for each. Worth it for few enough that they stay in its cache until they are looked up.
    pub(super) fn touch(&self, hashes: &[u64]) {
        let places: Vec<u32> = hashes.iter().filter_map(|hash| self.places.get(hash).copied()).collect();
        let slots = || places.iter().filter_map(|place| self.slot(*place));
        let held = slots().fold(0, |all, slot| all ^ slot.key.name.len() ^ slot.value_bytes().len());
        // What is held elsewhere, now that it is known where.
        let first = |bytes: &[u8]| bytes.first().copied().unwrap_or_default();
        let apart = slots().fold(0, |all, slot| all ^ first(&slot.key.name) ^ first(slot.value_bytes()));
        std::hint::black_box((held, apart));
    }

    /// What is known of `key`; it is kept for longer.
    pub(super) fn find(&mut self, hash: u64, key: &Key) -> Option<&Value> {
        let place = *self.places.get(&hash)?;
        let slot = self.slot_mut(place)?;
        if slot.key != *key {
            return None;
        }
        slot.asked = true;
        Some(&slot.value)
    }

    /// Sets the value of `key`.
    pub(super) fn put(&mut self, hash: u64, key: &Key, value: Value) {
        match self.places.get(&hash).copied().and_then(|place| self.slot_mut(place)) {
            Some(slot) => {
                let before = slot.bytes();
                if slot.key != *key {
                    slot.key.clone_from(key);
                }
                slot.value = value;
                let after = slot.bytes();
                self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
            }
            None => self.push(Slot { hash, asked: false, key: key.clone(), value }),
        }
    }

    fn push(&mut self, slot: Slot) {
        let place = self.len();
        if place == u32::MAX {
            return;
        }
        self.bytes = self.bytes.saturating_add(slot.bytes());
        self.places.insert(slot.hash, place);
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(slot),
            None => {
                // The first one grows as it is used: most chains hold little.
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 0 } else { CHUNK });
                chunk.push(slot);
                self.chunks.push(chunk);
            }
        }
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, hash: u64, key: &Key) {
        if let Some(place) = self.places.get(&hash).copied()
            && self.slot(place).is_some_and(|slot| slot.key == *key)
        {
            self.take(place);
        }
    }

    /// Takes a slot out; the last one takes its place.
    fn take(&mut self, place: u32) {
        let Some(last) = self.chunks.last_mut().and_then(Vec::pop) else { return };
        if self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
        }
        let (gone, moved) = match self.slot_mut(place) {
            Some(slot) => (std::mem::replace(slot, last), true),
            // It was the last one itself.
            None => (last, false),
        };
        self.bytes = self.bytes.saturating_sub(gone.bytes());
        self.places.remove(&gone.hash);
        if moved && let Some(hash) = self.slot(place).map(|slot| slot.hash) {
            self.places.insert(hash, place);
        }
    }

    /// Forgets entries until all together take at most `limit` bytes.
    pub(super) fn shrink_to(&mut self, limit: usize) {
        while self.bytes > limit {
            if self.hand >= self.len() {
                self.hand = 0;
            }
            match self.slot_mut(self.hand) {
                Some(slot) if slot.asked => {
                    slot.asked = false;
                    self.hand = self.hand.saturating_add(1);
                }
                Some(_) => self.take(self.hand),
                None => return,
            }
        }
    }
}
