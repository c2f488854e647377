//! Values that were read or written lately, in memory: what executing the next block will mostly ask for.
//!
//! It holds the newest executed state and nothing else, and knows which block's that is. Whoever has read something puts
//! it in if their view was of the same block; what a block wrote comes in once that is stored. So what is checked before
//! a transaction is accepted needn't be read again when it is executed.
//!
//! The next block may be executed while one is being stored. It sees what that one wrote ([`Unstored`]) above what is
//! held here, whichever of the two blocks that stands at: all other keys have the same values after both.
//!
//! The caches of a host's chains share one [`CacheBudget`]: when they hold more together than it allows, those that have
//! not been used for longest are emptied. A chain that is idle holds nothing.

mod budget;
mod entries;
mod unstored;

pub(crate) use budget::CacheBudget;
pub(crate) use unstored::Unstored;

use entries::Entries;
use ledger_core::{Execution, Height, Key, KeyRange, Scan, StateError, StateView, Version, Versioned, Write, Writes};
use ledger_crypto::Digest;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keys whose entries are fetched together before they are looked up.
const TOUCHED: usize = 128;

/// A bounded cache of one chain's newest values.
pub(crate) struct ValueCache {
    /// In bytes; 0 keeps nothing.
    capacity: usize,
    known: Mutex<Known>,
    /// Keyed by chance, so that nobody can choose keys that share a hash.
    hasher: RandomState,
    budget: Option<Arc<CacheBudget>>,
    /// What the budget was told that this holds, in bytes.
    told: AtomicUsize,
    last_use: AtomicU64,
}

#[derive(Default)]
struct Known {
    /// The block after which this is the state; `None` while nobody has said so.
    height: Option<Height>,
    entries: Entries,
}

impl ValueCache {
    pub(crate) fn new(capacity: usize) -> Self {
        ValueCache {
            capacity,
            known: Mutex::default(),
            hasher: RandomState::new(),
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
        budget.add(&cache);
        cache
    }

    /// What the budget was told that this holds, in bytes.
    fn held(&self) -> usize {
        self.told.load(Ordering::Relaxed)
    }

    /// Something was read or executed: what is held now counts, and if all together hold too much, some are emptied. Not
    /// to be called while this cache is locked.
    pub(crate) fn used(&self) {
        let Some(budget) = &self.budget else { return };
        self.last_use.store(budget.next_use(), Ordering::Relaxed);
        self.tell(&self.known());
        budget.reclaim();
    }

    fn tell(&self, known: &Known) {
        let Some(budget) = &self.budget else { return };
        let held = known.entries.bytes();
        // Under this cache's lock, so that nothing is taken off twice.
        budget.changed(self.told.swap(held, Ordering::Relaxed), held);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change leaves the entries whole, so a panic elsewhere can't have broken them.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, known: &mut Known, hash: u64, key: &Key, value: Option<Versioned>) {
        let size = key.name.len() + value.as_ref().map_or(0, |versioned| versioned.value.len());
        if size > self.capacity / 4 {
            known.entries.remove(hash, key);
            return;
        }
        known.entries.put(hash, key, value);
        known.entries.shrink_to(self.capacity);
    }

    /// The block after `height` is about to be executed: what is known is the state after `height`, or is forgotten. With
    /// `unstored`, that block may be stored by now.
    pub(crate) fn stands_at(&self, height: Height, unstored: Option<Height>) {
        let known = self.known();
        if known.height != Some(height) && (unstored.is_none() || known.height != unstored) {
            self.replace(known, Known { height: Some(height), entries: Entries::default() });
        }
    }

    /// The block at `height` that wrote this was stored.
    /// `replaced` says of each key which leaf its last write replaced.
    pub(crate) fn written(&self, height: Height, writes: &Writes, replaced: &[Option<Digest>]) {
        let hashes: Vec<u64> = writes.by_key().map(|group| self.hash_of_first(group)).collect();
        let mut known = self.known();
        known.height = Some(height);
        for (place, ((group, replaced), hash)) in writes.by_key().zip(replaced).zip(hashes.iter().copied()).enumerate()
        {
            if place % TOUCHED == 0 {
                known.entries.touch(hashes.get(place..hashes.len().min(place + TOUCHED)).unwrap_or_default());
            }
            let Some(last) = group.last() else { continue };
            let version = Version { height, index: last.index };
            let value = last.value.clone().map(|value| Versioned { value, version, predecessor: *replaced });
            self.put(&mut known, hash, &last.key, value);
        }
    }

    /// What a block wrote that was executed and isn't stored yet, to be read through.
    pub(crate) fn unstored(&self, height: Height, execution: Arc<Execution>) -> Arc<Unstored> {
        Arc::new(Unstored::new(height, execution, |key| self.hasher.hash_one(key)))
    }

    fn hash_of_first(&self, group: &[Write]) -> u64 {
        group.first().map_or(0, |write| self.hasher.hash_one(&write.key))
    }

    /// What is held of `key`, if anything is.
    #[cfg(test)]
    pub(crate) fn looked_up(&self, key: &Key) -> Option<Option<Versioned>> {
        self.known().entries.find(self.hasher.hash_one(key), key).cloned()
    }

    /// Gives up the memory. It may happen at any time: what isn't known is read from the views.
    pub(crate) fn clear(&self) {
        let known = self.known();
        let height = known.height;
        self.replace(known, Known { height, entries: Entries::default() });
    }

    /// Forgets everything, and which state it was: what is stored isn't known any more.
    pub(crate) fn forget(&self) {
        self.replace(self.known(), Known::default());
    }

    /// Makes `now` what is known. What was known before is freed without the lock.
    fn replace(&self, mut known: MutexGuard<'_, Known>, now: Known) {
        let before = std::mem::replace(&mut *known, now);
        self.tell(&known);
        drop(known);
        drop(before);
    }
}

impl Drop for ValueCache {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A view of a state that asks the cache first, and puts there what it has read if that is of the same state.
pub(crate) struct Cached<V> {
    pub(crate) base: V,
    pub(crate) cache: Arc<ValueCache>,
    /// The block after which `base` is the state.
    pub(crate) height: Height,
    /// Whether everything that is read has to be of that state. Whoever only checks is content with a newer one.
    pub(crate) exact: bool,
    /// What the block after `height` wrote, if the state after that one is seen.
    pub(crate) unstored: Option<Arc<Unstored>>,
}

impl<V: StateView> Cached<V> {
    fn known(&self, known: &mut Known, hash: u64, key: &Key) -> Option<Option<Versioned>> {
        if self.exact && !self.agrees(known) {
            return None;
        }
        known.entries.find(hash, key).cloned()
    }

    /// Whether what is known and what `base` says are the same for each key that is asked for there: all but those that
    /// the unstored block wrote.
    fn agrees(&self, known: &Known) -> bool {
        let unstored = self.unstored.as_ref().map(|unstored| unstored.height());
        known.height == Some(self.height) || (unstored.is_some() && known.height == unstored)
    }

    /// What the unstored block made of `key`, if it wrote that.
    fn written(&self, hash: u64, key: &Key) -> Option<Result<Option<Versioned>, StateError>> {
        self.unstored.as_ref()?.find(hash, key, || {
            // Not what is known after that block.
            let mut known = self.cache.known();
            let before = known.entries.find(hash, key).cloned().filter(|_| known.height == Some(self.height));
            drop(known);
            before.map_or_else(|| self.base.get(key), Ok)
        })
    }
}

impl<V: StateView> StateView for Cached<V> {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        let hash = self.cache.hasher.hash_one(key);
        if let Some(written) = self.written(hash, key) {
            return written;
        }
        if let Some(value) = self.known(&mut self.cache.known(), hash, key) {
            return Ok(value);
        }
        let value = self.base.get(key)?;
        let mut known = self.cache.known();
        if self.agrees(&known) {
            self.cache.put(&mut known, hash, key, value.clone());
        }
        Ok(value)
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let hashes: Vec<u64> = keys.iter().map(|key| self.cache.hasher.hash_one(key)).collect();
        let mut values = Vec::with_capacity(keys.len());
        let (mut missing, mut places) = (Vec::new(), Vec::new());
        let written = keys.iter().zip(&hashes).map(|(key, hash)| self.written(*hash, key).transpose());
        let written: Vec<Option<Option<Versioned>>> = match self.unstored {
            Some(_) => written.collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let mut written = written.into_iter();
        {
            let mut known = self.cache.known();
            for (place, (key, hash)) in keys.iter().zip(&hashes).enumerate() {
                if place % TOUCHED == 0 {
                    known.entries.touch(hashes.get(place..hashes.len().min(place + TOUCHED)).unwrap_or_default());
                }
                let value = written.next().flatten().or_else(|| self.known(&mut known, *hash, key));
                if value.is_none() {
                    missing.push(key.clone());
                    places.push((place, *hash));
                }
                values.push(value.flatten());
            }
        }
        if missing.is_empty() {
            return Ok(values);
        }
        let read = self.base.get_many(&missing)?;
        let mut known = self.cache.known();
        let keeps = self.agrees(&known);
        for ((value, key), (place, hash)) in read.into_iter().zip(&missing).zip(places) {
            if keeps {
                self.cache.put(&mut known, hash, key, value.clone());
            }
            if let Some(to) = values.get_mut(place) {
                *to = value;
            }
        }
        Ok(values)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        let before = self.base.scan(range);
        match &self.unstored {
            Some(unstored) => unstored.scan(range, before),
            None => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_contracts::testing::MapState;
    use ledger_core::ContractId;
    use proptest::prelude::*;

    fn key(number: u8) -> Key {
        Key::new(ContractId(Digest::ZERO), vec![number])
    }

    #[test]
    fn caches_that_hold_too_much_together_lose_what_was_used_first() {
        let budget = CacheBudget::new(100_000);
        let caches: Vec<_> = (0..10).map(|_| ValueCache::within(1 << 20, &budget)).collect();
        for (number, cache) in (1u8..).zip(&caches) {
            cache.stands_at(Height(0), None);
            let view = view(MapState::default(), cache, 0);
            for key_number in 0..100 {
                view.get(&key(key_number)).unwrap();
            }
            cache.used();
            assert!(budget.used() <= 100_000, "{} after {number}", budget.used());
            assert_eq!(cache.looked_up(&key(3)), Some(None), "the newest cache keeps what it has");
        }
        assert_eq!(caches[0].looked_up(&key(3)), None);
        assert!(caches[9].held() > 0);
        drop(caches);
        assert_eq!(budget.used(), 0);
    }

    /// What an executor sees of the state after block `height`.
    fn view(base: MapState, cache: &Arc<ValueCache>, height: u64) -> Cached<MapState> {
        Cached { base, cache: Arc::clone(cache), height: Height(height), exact: true, unstored: None }
    }

    #[test]
    fn what_was_read_of_another_state_stays_out() {
        let cache = Arc::new(ValueCache::new(1 << 20));
        let (before, mut after) = (MapState::default(), MapState::default());
        let writes = Writes::new(vec![Write { key: key(1), index: 0, value: Some(vec![1].into()) }]);
        after.apply(Height(1), &writes);
        // Nobody has said yet which state is held.
        assert_eq!(view(before.clone(), &cache, 0).get(&key(1)), Ok(None));
        assert_eq!(cache.looked_up(&key(1)), None);
        cache.stands_at(Height(0), None);
        cache.written(Height(1), &Writes::default(), &[]);
        // One that began to read before block 1 ends after it.
        for late in [true, false] {
            let read = Cached {
                base: before.clone(),
                cache: Arc::clone(&cache),
                height: Height(0),
                exact: late,
                unstored: None,
            };
            assert_eq!(read.get(&key(1)), Ok(None));
            assert_eq!(read.get_many(&[key(1), key(2)]), Ok(vec![None, None]));
            assert_eq!((cache.looked_up(&key(1)), cache.looked_up(&key(2))), (None, None));
        }
        let value = after.get(&key(1)).unwrap();
        assert_eq!(view(after.clone(), &cache, 1).get_many(&[key(2), key(1)]), Ok(vec![None, value.clone()]));
        assert_eq!((cache.looked_up(&key(1)), cache.looked_up(&key(2))), (Some(value.clone()), Some(None)));
        // Whoever only checks may see it; whoever executes on the state before must not.
        let checks =
            Cached { base: before.clone(), cache: Arc::clone(&cache), height: Height(0), exact: false, unstored: None };
        assert_eq!(checks.get(&key(1)), Ok(value));
        assert_eq!(view(before, &cache, 0).get(&key(1)), Ok(None));
        cache.stands_at(Height(7), None);
        assert_eq!(cache.looked_up(&key(1)), None, "what was held is of another state");
    }

    #[test]
    fn many_are_looked_up_as_one_is() {
        let cache = Arc::new(ValueCache::new(1 << 20));
        let mut state = MapState::default();
        let name = |number: u32| Key::new(ContractId(Digest::ZERO), number.to_be_bytes().to_vec());
        let write = |number: u32| Write { key: name(number), index: number, value: Some(vec![7; 9].into()) };
        let writes = Writes::new((0..700).filter(|number| number % 3 != 0).map(write).collect());
        cache.stands_at(Height(0), None);
        state.apply(Height(1), &writes);
        cache.written(Height(1), &writes, &vec![None; writes.iter().len()]);
        // Two of three are in the cache; that the others are absent comes in when they are asked for.
        let keys: Vec<Key> = (0..700).rev().map(name).collect();
        let view = view(state.clone(), &cache, 1);
        for _ in 0..2 {
            assert_eq!(view.get_many(&keys), state.get_many(&keys));
        }
        assert!(keys.iter().all(|key| cache.looked_up(key) == Some(state.get(key).unwrap())));
    }

    #[test]
    fn what_is_asked_for_stays_longest() {
        let cache = Arc::new(ValueCache::new(100 * 230));
        cache.stands_at(Height(0), None);
        let view = view(MapState::default(), &cache, 0);
        for number in 0..u8::MAX {
            view.get(&key(number)).unwrap();
            // Ten that are asked for all the time.
            view.get(&key(number % 10)).unwrap();
        }
        let kept =
            |numbers: std::ops::Range<u8>| numbers.filter(|number| cache.looked_up(&key(*number)).is_some()).count();
        assert_eq!(kept(0..10), 10);
        let others = kept(10..u8::MAX);
        assert!((60..=95).contains(&others), "{others} others");
        assert!(cache.known().entries.bytes() <= 100 * 230);
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
                cache.stands_at(Height(height - 1), None);
                let view = view(state.clone(), &cache, height - 1);
                let many: Vec<_> = reads.iter().rev().map(|number| key(*number)).collect();
                for number in reads {
                    prop_assert_eq!(view.get(&key(number)), state.get(&key(number)));
                }
                prop_assert_eq!(view.get_many(&many), state.get_many(&many));
                let writes = writes.into_iter().zip(0u32..).map(|((number, value), index)| {
                    Write { key: key(number), index, value: value.map(|byte| vec![byte; 3].into()) }
                });
                let writes = Writes::new(writes.collect());
                state.apply(Height(height), &writes);
                let replaced: Vec<_> = writes.by_key().map(|group| {
                    state.get(&group[0].key).unwrap().and_then(|after| after.predecessor)
                }).collect();
                cache.written(Height(height), &writes, &replaced);
                let looker = Cached { base: state.clone(), cache: Arc::clone(&cache), height: Height(height), exact: false, unstored: None };
                for number in 0..12 {
                    prop_assert_eq!(looker.get(&key(number)), state.get(&key(number)));
                }
            }
        }
    }
}
