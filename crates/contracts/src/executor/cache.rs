//! Prepared code, kept between calls.

use crate::runtime::Prepared;
use ledger_crypto::Digest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prepared code by runtime and digest; the one that wasn't used for longest makes room.
pub(super) struct PreparedCache {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    codes: HashMap<(String, Digest), Used>,
}

struct Used {
    at: u64,
    code: Prepared,
}

impl PreparedCache {
    pub(super) fn new(capacity: usize) -> Self {
        PreparedCache { capacity: capacity.max(1), kept: Mutex::default() }
    }

    pub(super) fn get(&self, runtime: &str, digest: &Digest) -> Option<Prepared> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let used = kept.codes.get_mut(&(runtime.to_owned(), *digest))?;
        used.at = now;
        Some(used.code.clone())
    }

    pub(super) fn insert(&self, runtime: &str, digest: Digest, code: Prepared) {
        let mut kept = self.lock();
        kept.clock += 1;
        let used = Used { at: kept.clock, code };
        kept.codes.insert((runtime.to_owned(), digest), used);
        while kept.codes.len() > self.capacity {
            let oldest = kept.codes.iter().min_by_key(|(_, used)| used.at).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            kept.codes.remove(&oldest);
        }
    }

    // Each change of the map is whole before anything can panic, so what a panic elsewhere left behind is usable.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::code_digest;

    #[test]
    fn the_code_unused_for_longest_makes_room() {
        let cache = PreparedCache::new(2);
        let [a, b, c] = [b"a", b"b", b"c"].map(|code| code_digest(code));
        cache.insert("native", a, Prepared::new(1u8));
        cache.insert("native", b, Prepared::new(2u8));
        assert!(cache.get("native", &a).is_some());
        cache.insert("native", c, Prepared::new(3u8));
        assert!(cache.get("native", &b).is_none());
        assert_eq!(cache.get("native", &a).and_then(|code| code.downcast::<u8>().copied()), Some(1));
        assert!(cache.get("wasm", &a).is_none());
    }
}
