//! What was read lately, up to a bound.

use std::collections::BTreeMap;

/// Keeps what was used lately; when it would weigh more than its bound, what wasn't used for longest goes. What weighs more
/// by itself isn't kept.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    weight: usize,
    limit: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Ord + Copy, V: Clone> Cache<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), weight: 0, limit, clock: 0 }
    }

    pub(super) fn get(&mut self, key: K) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(&key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    pub(super) fn put(&mut self, key: K, value: V, weight: usize) {
        if weight > self.limit {
            return;
        }
        self.remove(key);
        while self.weight + weight > self.limit {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key) else {
                break;
            };
            self.remove(oldest);
        }
        self.clock += 1;
        self.entries.insert(key, Entry { value, weight, used: self.clock });
        self.weight += weight;
    }

    pub(super) fn remove(&mut self, key: K) {
        if let Some(entry) = self.entries.remove(&key) {
            self.weight -= entry.weight;
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.entries.retain(|key, _| keep(key));
        self.weight = self.entries.values().map(|entry| entry.weight).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_the_bound_holds() {
        let mut cache = Cache::new(10);
        for key in 0..5 {
            cache.put(key, key, 2);
        }
        assert_eq!(cache.get(0), Some(0));
        cache.put(5, 5, 3);
        assert_eq!((cache.get(0), cache.get(1), cache.get(2), cache.get(5)), (Some(0), None, None, Some(5)));
        cache.put(6, 6, 11);
        assert_eq!(cache.get(6), None);
        assert!(cache.weight <= 10);
        cache.put(0, 7, 4);
        assert_eq!((cache.get(0), cache.entries.values().map(|entry| entry.weight).sum()), (Some(7), cache.weight));
        cache.retain(|key| *key == 0);
        assert_eq!((cache.weight, cache.get(5)), (4, None));
    }
}
