//! Prepared code, kept between calls.

use crate::runtime::Prepared;
use ledger_core::WasmRules;
use ledger_crypto::Digest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What prepared code depends on: two chains in one process may have different rules.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) runtime: &'a str,
    pub(super) digest: &'a Digest,
    pub(super) rules: &'a WasmRules,
}

/// Prepared code by its origin; the one that wasn't used for longest makes room.
pub(super) struct PreparedCache {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    count: usize,
    codes: HashMap<Digest, Vec<Used>>,
}

struct Used {
    at: u64,
    runtime: String,
    rules: WasmRules,
    code: Prepared,
}

impl Used {
    fn is_of(&self, origin: &Origin<'_>) -> bool {
        self.runtime == origin.runtime && self.rules == *origin.rules
    }
}

impl PreparedCache {
    pub(super) fn new(capacity: usize) -> Self {
        PreparedCache { capacity: capacity.max(1), kept: Mutex::default() }
    }

    pub(super) fn get(&self, origin: &Origin<'_>) -> Option<Prepared> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let used = kept.codes.get_mut(origin.digest)?.iter_mut().find(|used| used.is_of(origin))?;
        used.at = now;
        Some(used.code.clone())
    }

    pub(super) fn insert(&self, origin: &Origin<'_>, code: Prepared) {
        let mut kept = self.lock();
        kept.clock += 1;
        let used = Used { at: kept.clock, runtime: origin.runtime.to_owned(), rules: *origin.rules, code };
        let same = kept.codes.entry(*origin.digest).or_default();
        match same.iter_mut().find(|used| used.is_of(origin)) {
            Some(before) => *before = used,
            None => {
                same.push(used);
                kept.count += 1;
            }
        }
        while kept.count > self.capacity && kept.forget_oldest() {}
    }

    // Each change of the map is whole before anything can panic, so what a panic elsewhere left behind is usable.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether there was one to forget.
    fn forget_oldest(&mut self) -> bool {
        let all = self.codes.iter().flat_map(|(digest, same)| same.iter().map(move |used| (used.at, *digest)));
        let Some((at, digest)) = all.min() else { return false };
        let Some(same) = self.codes.get_mut(&digest) else { return false };
        same.retain(|used| used.at != at);
        if same.is_empty() {
            self.codes.remove(&digest);
        }
        self.count = self.count.saturating_sub(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::code_digest;

    #[test]
    fn the_code_unused_for_longest_makes_room() {
        let cache = PreparedCache::new(2);
        let rules = WasmRules::default();
        let [a, b, c] = [b"a", b"b", b"c"].map(|code| code_digest(code));
        let native = |digest| Origin { runtime: "native", digest, rules: &rules };
        cache.insert(&native(&a), Prepared::new(1u8));
        cache.insert(&native(&b), Prepared::new(2u8));
        assert!(cache.get(&native(&a)).is_some());
        cache.insert(&native(&c), Prepared::new(3u8));
        assert!(cache.get(&native(&b)).is_none());
        assert_eq!(cache.get(&native(&a)).and_then(|code| code.downcast::<u8>().copied()), Some(1));
        assert!(cache.get(&Origin { runtime: "wasm", ..native(&a) }).is_none());
    }

    #[test]
    fn code_prepared_under_other_rules_is_other_code() {
        let cache = PreparedCache::new(2);
        let digest = code_digest(b"a");
        let (here, there) = (WasmRules::default(), WasmRules { max_functions: 7, ..WasmRules::default() });
        let under = |rules| Origin { runtime: "wasm", digest: &digest, rules };
        cache.insert(&under(&here), Prepared::new(1u8));
        assert!(cache.get(&under(&there)).is_none());
        cache.insert(&under(&there), Prepared::new(2u8));
        cache.insert(&under(&there), Prepared::new(3u8));
        let kept = [&here, &there].map(|rules| cache.get(&under(rules))?.downcast::<u8>().copied());
        assert_eq!(kept, [Some(1), Some(3)]);
    }
}
