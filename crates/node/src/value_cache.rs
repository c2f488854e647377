//! Values that were read or written lately, in memory: what executing the next block will mostly ask for.
//!
//! It holds the newest executed state and nothing else. Only the applier of a chain puts values in: what it read from
//! the state before a block, and what the block wrote, once that is stored. Everyone else may look and must not put, since
//! what they have read may be old by the time they would.
//!
//! The caches of a host's chains share one [`CacheBudget`]: when they hold more together than it allows, those that have
//! not been used for longest are emptied. A chain that is idle holds nothing.

use ledger_core::{Height, Key, KeyRange, Scan, StateError, StateView, Version, Versioned, Writes};
use ledger_crypto::Digest;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What an entry takes besides its name and value, roughly: two allocations, the map's share, version and digest.
const ENTRY_BYTES: usize = 200;

fn entry_bytes(key: &Key) -> usize {
    ENTRY_BYTES + key.name.len()
}

fn value_bytes(value: Option<&Versioned>) -> usize {
    value.map_or(0, |versioned| versioned.value.len())
}

/// What the caches of several chains may hold together.
pub(crate) struct CacheBudget {
    /// In bytes.
    limit: usize,
    used: AtomicUsize,
    /// Counts uses, so that caches can be told apart by when they were used last.
    uses: AtomicU64,
    caches: Mutex<Vec<Weak<ValueCache>>>,
}

impl CacheBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(CacheBudget { limit, used: AtomicUsize::new(0), uses: AtomicU64::new(0), caches: Mutex::default() })
    }

    /// What all caches hold together, in bytes, by their own estimate.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Empties caches, those unused for longest first, until they hold three quarters of the limit. Those that are in use
    /// right now are passed over; they will be asked again.
    fn reclaim(&self) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|cache| cache.strong_count() > 0);
        let mut held: Vec<_> = caches.iter().filter_map(Weak::upgrade).filter(|cache| cache.held() > 0).collect();
        drop(caches);
        held.sort_by_key(|cache| cache.last_use.load(Ordering::Relaxed));
        for cache in held {
            if self.used() <= self.limit - self.limit / 4 {
                return;
            }
            cache.clear();
        }
    }
}

/// A bounded cache of one chain's newest values. Entries that weren't asked for while half of it was filled anew go first.
pub(crate) struct ValueCache {
    /// In bytes; 0 keeps nothing.
    capacity: usize,
    generations: Mutex<Generations>,
    budget: Option<Arc<CacheBudget>>,
    /// What the budget was told that this holds, in bytes.
    told: AtomicUsize,
    last_use: AtomicU64,
}

/// Looked up and never walked, but for clearing: the order of these maps can't leak.
#[derive(Default)]
struct Generations {
    young: HashMap<Key, Option<Versioned>>,
    young_bytes: usize,
    old: HashMap<Key, Option<Versioned>>,
    old_bytes: usize,
}

impl ValueCache {
    pub(crate) fn new(capacity: usize) -> Self {
        ValueCache {
            capacity,
            generations: Mutex::default(),
            budget: None,
            told: AtomicUsize::new(0),
            last_use: AtomicU64::new(0),
        }
    }

    /// A cache that shares a budget with others.
    pub(crate) fn within(capacity: usize, budget: &Arc<CacheBudget>) -> Arc<Self> {
        let mut cache = ValueCache::new(capacity);
        cache.budget = Some(Arc::clone(budget));
        let cache = Arc::new(cache);
        let mut caches = budget.caches.lock().unwrap_or_else(PoisonError::into_inner);
        // So that what has gone never outgrows what is there.
        if caches.len() == caches.capacity() {
            caches.retain(|cache| cache.strong_count() > 0);
        }
        caches.push(Arc::downgrade(&cache));
        drop(caches);
        cache
    }

    fn held(&self) -> usize {
        self.told.load(Ordering::Relaxed)
    }

    /// A block was executed: what is held now counts, and if all together hold too much, some are emptied. Not to be
    /// called while this cache is locked.
    pub(crate) fn used(&self) {
        let Some(budget) = &self.budget else { return };
        self.last_use.store(budget.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.tell(&self.generations());
        if budget.used() > budget.limit {
            budget.reclaim();
        }
    }

    fn tell(&self, generations: &Generations) {
        let Some(budget) = &self.budget else { return };
        let held = generations.young_bytes + generations.old_bytes;
        let before = self.told.swap(held, Ordering::Relaxed);
        // Under this cache's lock, so that nothing is taken off twice.
        if held > before {
            budget.used.fetch_add(held - before, Ordering::Relaxed);
        } else {
            budget.used.fetch_sub(before - held, Ordering::Relaxed);
        }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // Each change leaves the maps whole, so a panic elsewhere can't have broken them.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `key`, without regard to how long it is kept.
    fn peek(&self, key: &Key) -> Option<Option<Versioned>> {
        let generations = self.generations();
        generations.young.get(key).or_else(|| generations.old.get(key)).cloned()
    }

    /// What is known of `key`; it is kept for longer.
    fn find(&self, key: &Key) -> Option<Option<Versioned>> {
        let mut generations = self.generations();
        if let Some(found) = generations.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = generations.old.remove_entry(key)?;
        let value = found.clone();
        self.put(&mut generations, key, found);
        Some(value)
    }

    fn put(&self, generations: &mut Generations, key: Key, value: Option<Versioned>) {
        let size = entry_bytes(&key) + value_bytes(value.as_ref());
        if size > self.capacity / 4 {
            generations.old.remove(&key);
            generations.young.remove(&key);
            return;
        }
        generations.young_bytes += size;
        generations.young.insert(key, value);
        if generations.young_bytes > self.capacity / 2 {
            generations.old = std::mem::take(&mut generations.young);
            generations.old_bytes = std::mem::take(&mut generations.young_bytes);
        }
    }

    /// The block at `height` that wrote this was stored.
    /// `replaced` says of each key which leaf its last write replaced.
    pub(crate) fn written(&self, height: Height, writes: &Writes, replaced: &[Option<Digest>]) {
        let mut generations = self.generations();
        for (group, replaced) in writes.by_key().zip(replaced) {
            let Some(last) = group.last() else { continue };
            let version = Version { height, index: last.index };
            let after = last.value.clone().map(|value| Versioned { value, version, predecessor: *replaced });
            if let Some(value) = generations.young.get_mut(&last.key) {
                let (was, is) = (value_bytes(value.as_ref()), value_bytes(after.as_ref()));
                if is <= was {
                    *value = after;
                    generations.young_bytes = generations.young_bytes.saturating_sub(was - is);
                    continue;
                }
                // It may be too much now.
                generations.young.remove(&last.key);
                generations.young_bytes = generations.young_bytes.saturating_sub(entry_bytes(&last.key) + was);
            } else {
                generations.old.remove(&last.key);
            }
            self.put(&mut generations, last.key.clone(), after);
        }
    }

    /// Forgets everything: what is stored isn't known any more, or the memory is needed. It may happen at any time: what
    /// isn't known is read from the views.
    pub(crate) fn clear(&self) {
        let mut generations = self.generations();
        *generations = Generations::default();
        self.tell(&generations);
    }
}

impl Drop for ValueCache {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A view of the newest executed state that asks the cache first.
pub(crate) struct Cached<V> {
    pub(crate) base: V,
    pub(crate) cache: Arc<ValueCache>,
    /// Whether what is read may be put into the cache: by the applier alone.
    pub(crate) fills: bool,
}

impl<V: StateView> StateView for Cached<V> {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        let known = if self.fills { self.cache.find(key) } else { self.cache.peek(key) };
        if let Some(value) = known {
            return Ok(value);
        }
        let value = self.base.get(key)?;
        if self.fills {
            let mut generations = self.cache.generations();
            self.cache.put(&mut generations, key.clone(), value.clone());
        }
        Ok(value)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        self.base.scan(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_contracts::testing::MapState;
    use ledger_core::{ContractId, Write};
    use proptest::prelude::*;

    fn key(number: u8) -> Key {
        Key::new(ContractId(Digest::ZERO), vec![number])
    }

    #[test]
    fn caches_that_hold_too_much_together_lose_what_was_used_first() {
        let budget = CacheBudget::new(100_000);
        let caches: Vec<_> = (0..10).map(|_| ValueCache::within(1 << 20, &budget)).collect();
        for (number, cache) in (1u8..).zip(&caches) {
            let view = Cached { base: MapState::default(), cache: Arc::clone(cache), fills: true };
            for key_number in 0..100 {
                view.get(&key(key_number)).unwrap();
            }
            cache.used();
            assert!(budget.used() <= 100_000, "{} after {number}", budget.used());
            assert_eq!(cache.peek(&key(3)), Some(None), "the newest cache keeps what it has");
        }
        assert_eq!(caches[0].peek(&key(3)), None);
        assert!(caches[9].held() > 0);
        drop(caches);
        assert_eq!(budget.used(), 0);
    }

    proptest! {
        #[test]
        fn a_cached_view_says_what_the_state_says(
            capacity in prop_oneof![Just(0usize), Just(900), Just(3_000), Just(1 << 20)],
            blocks in prop::collection::vec(
                (prop::collection::vec((0u8..12, prop::option::of(0u8..4)), 0..8), prop::collection::vec(0u8..12, 0..10)),
                1..20,
            ),
        ) {
            let cache = Arc::new(ValueCache::new(capacity));
            let mut state = MapState::default();
            for (height, (writes, reads)) in (1u64..).zip(blocks) {
                let view = Cached { base: state.clone(), cache: Arc::clone(&cache), fills: true };
                for number in reads {
                    prop_assert_eq!(view.get(&key(number)), state.get(&key(number)));
                }
                let writes = writes.into_iter().zip(0u32..).map(|((number, value), index)| {
                    Write { key: key(number), index, value: value.map(|byte| vec![byte; 3].into()) }
                });
                let writes = Writes::new(writes.collect());
                state.apply(Height(height), &writes);
                let replaced: Vec<_> = writes.by_key().map(|group| {
                    state.get(&group[0].key).unwrap().and_then(|after| after.predecessor)
                }).collect();
                cache.written(Height(height), &writes, &replaced);
                let looker = Cached { base: state.clone(), cache: Arc::clone(&cache), fills: false };
                for number in 0..12 {
                    prop_assert_eq!(looker.get(&key(number)), state.get(&key(number)));
                }
            }
        }
    }
}
