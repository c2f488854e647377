//! Decompressed public keys, bounded.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use curve25519_dalek::edwards::EdwardsPoint;

use super::PublicKey;

/// Locks, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// A map from keys to their points that forgets the least recently used ones, approximately.
///
/// Holds nothing but a pure function's values, so what it remembers or forgets never changes a verdict.
#[derive(Debug)]
pub(super) struct KeyCache {
    /// At least one.
    shards: Vec<Mutex<Generations>>,
    /// Keys of one generation of one shard.
    generation: usize,
}

/// When the young generation is full, it becomes the old one and the old one is forgotten; a hit in the old one moves
/// the key to the young. So what was used since the last turn stays, at O(1) for all operations.
#[derive(Default)]
struct Generations {
    young: Points,
    old: Points,
}

/// Points of a chunk.
const CHUNK: usize = 256;

/// Points by key. They stand in chunks of their own: growing moves a key's place and never a point, which is several
/// times as large.
#[derive(Default)]
struct Points {
    places: HashMap<PublicKey, u32>,
    chunks: Vec<Vec<EdwardsPoint>>,
}

impl Points {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn get(&self, key: &PublicKey) -> Option<&EdwardsPoint> {
        let place = *self.places.get(key)? as usize;
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    fn insert(&mut self, key: &PublicKey, point: EdwardsPoint) {
        let Ok(next) = u32::try_from(self.places.len()) else { return };
        let place = *self.places.entry(*key).or_insert(next) as usize;
        if self.chunks.len() <= place / CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let Some(chunk) = self.chunks.get_mut(place / CHUNK) else { return };
        match chunk.get_mut(place % CHUNK) {
            Some(known) => *known = point,
            None => chunk.push(point),
        }
    }

    /// Forgets everything, and keeps the memory.
    fn clear(&mut self) {
        self.places.clear();
        self.chunks.iter_mut().for_each(Vec::clear);
    }
}

impl KeyCache {
    pub(super) fn new(capacity: usize) -> Self {
        // A small cache isn't cut up, so that its capacity is used and never exceeded.
        let shards = if capacity < 64 * SHARDS { 1 } else { SHARDS };
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), generation: capacity / (2 * shards) }
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<EdwardsPoint> {
        if self.generation == 0 {
            return None;
        }
        let mut shard = self.shard(key)?;
        if let Some(point) = shard.young.get(key) {
            return Some(*point);
        }
        let point = *shard.old.get(key)?;
        shard.insert(key, point, self.generation);
        Some(point)
    }

    pub(super) fn insert(&self, key: &PublicKey, point: EdwardsPoint) {
        if self.generation != 0
            && let Some(mut shard) = self.shard(key)
        {
            shard.insert(key, point, self.generation);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(lock).map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    fn shard(&self, key: &PublicKey) -> Option<MutexGuard<'_, Generations>> {
        let [first, ..] = *key.as_bytes();
        self.shards.get(usize::from(first) % self.shards.len()).map(lock)
    }
}

/// A panic elsewhere can't leave a map half-changed that only ever gains and loses whole entries.
fn lock(shard: &Mutex<Generations>) -> MutexGuard<'_, Generations> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Generations {
    fn insert(&mut self, key: &PublicKey, point: EdwardsPoint, generation: usize) {
        if self.young.len() >= generation {
            // Both maps keep their memory.
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, point);
    }
}

impl std::fmt::Debug for Generations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generations({} young, {} old)", self.young.len(), self.old.len())
    }
}
