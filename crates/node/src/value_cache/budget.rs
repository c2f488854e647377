//! What the caches of several chains may hold together.

use super::ValueCache;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// See the [module](self).
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

    /// Numbers a use.
    pub(super) fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    /// A cache holds `now` instead of `before`.
    pub(super) fn changed(&self, before: usize, now: usize) {
        if now > before {
            self.used.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    pub(super) fn add(&self, cache: &Arc<ValueCache>) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        // So that what has gone never outgrows what is there.
        if caches.len() == caches.capacity() {
            caches.retain(|cache| cache.strong_count() > 0);
        }
        caches.push(Arc::downgrade(cache));
    }

    /// If all together hold too much: empties caches, those unused for longest first, until they hold three quarters of
    /// the limit.
    pub(super) fn reclaim(&self) {
        if self.used() <= self.limit {
            return;
        }
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
