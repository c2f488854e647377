//! Prepared code, kept between blocks.

use crate::runtime::Prepared;
use ledger_core::WasmRules;
use ledger_crypto::Digest;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an entry takes beside its code.
const FIXED_BYTES: usize = 1 << 10;

/// What prepared code depends on: two chains in one process may have different rules.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) runtime: &'a str,
    pub(super) digest: &'a Digest,
    pub(super) rules: &'a WasmRules,
}

/// Prepared code by its origin, as much as has room; the one that wasn't used for longest makes room.
pub(super) struct PreparedCache {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    bytes: usize,
    /// Looked up and never walked.
    codes: HashMap<Digest, Vec<Used>>,
    /// When each was used last, and its digest.
    order: BTreeMap<u64, Digest>,
}

struct Used {
    at: u64,
    bytes: usize,
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
    /// A cache of at most `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        PreparedCache { capacity, kept: Mutex::default() }
    }

    /// Code that is to be used now, and so is forgotten last.
    pub(super) fn get(&self, origin: &Origin<'_>) -> Option<Prepared> {
        let mut guard = self.lock();
        let Kept { clock, codes, order, .. } = &mut *guard;
        let used = codes.get_mut(origin.digest)?.iter_mut().find(|used| used.is_of(origin))?;
        *clock += 1;
        order.remove(&used.at);
        order.insert(*clock, *origin.digest);
        used.at = *clock;
        Some(used.code.clone())
    }

    /// Code that is looked at by somebody who mustn't change what is forgotten.
    pub(super) fn peek(&self, origin: &Origin<'_>) -> Option<Prepared> {
        let kept = self.lock();
        kept.codes.get(origin.digest)?.iter().find(|used| used.is_of(origin)).map(|used| used.code.clone())
    }

    /// Keeps code, unless it [weighs](Prepared::weight) more than there is room for at all.
    pub(super) fn insert(&self, origin: &Origin<'_>, code: Prepared) {
        let bytes = code.weight().saturating_add(FIXED_BYTES);
        if bytes > self.capacity {
            return;
        }
        let mut kept = self.lock();
        kept.remove(origin);
        while kept.bytes > self.capacity.saturating_sub(bytes) && kept.forget_oldest() {}
        kept.clock += 1;
        let at = kept.clock;
        let used = Used { at, bytes, runtime: origin.runtime.to_owned(), rules: *origin.rules, code };
        kept.codes.entry(*origin.digest).or_default().push(used);
        kept.order.insert(at, *origin.digest);
        kept.bytes = kept.bytes.saturating_add(bytes);
    }

    // Each change is whole before anything can panic, so what a panic elsewhere left behind is usable.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, origin: &Origin<'_>) {
        let same = self.codes.get(origin.digest);
        let at = same.and_then(|same| same.iter().find(|used| used.is_of(origin))).map(|used| used.at);
        if let Some(at) = at {
            self.order.remove(&at);
            self.forget(at, origin.digest);
        }
    }

    /// Whether there was one to forget.
    fn forget_oldest(&mut self) -> bool {
        let Some((at, digest)) = self.order.pop_first() else { return false };
        self.forget(at, &digest);
        true
    }

    fn forget(&mut self, at: u64, digest: &Digest) {
        let Some(same) = self.codes.get_mut(digest) else { return };
        let gone: usize = same.iter().filter(|used| used.at == at).map(|used| used.bytes).sum();
        same.retain(|used| used.at != at);
        if same.is_empty() {
            self.codes.remove(digest);
        }
        self.bytes = self.bytes.saturating_sub(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::code_digest;

    #[test]
    fn the_code_unused_for_longest_makes_room() {
        let cache = PreparedCache::new(2 * (FIXED_BYTES + 100));
        let rules = WasmRules::default();
        let [a, b, c, d] = [b"a", b"b", b"c", b"d"].map(|code| code_digest(code));
        let native = |digest| Origin { runtime: "native", digest, rules: &rules };
        cache.insert(&native(&a), Prepared::new(1u8).weighing(100));
        cache.insert(&native(&b), Prepared::new(2u8).weighing(100));
        assert!(cache.get(&native(&a)).is_some());
        // Looking at it isn't using it.
        assert!(cache.peek(&native(&b)).is_some());
        cache.insert(&native(&c), Prepared::new(3u8).weighing(100));
        assert!(cache.get(&native(&b)).is_none() && cache.peek(&native(&b)).is_none());
        assert_eq!(cache.get(&native(&a)).and_then(|code| code.downcast::<u8>().copied()), Some(1));
        assert!(cache.get(&Origin { runtime: "wasm", ..native(&a) }).is_none());
        // One that is large takes the place of several, and one that is too large takes nobody's.
        cache.insert(&native(&d), Prepared::new(4u8).weighing(2 * (FIXED_BYTES + 100)));
        assert!(cache.get(&native(&a)).is_some() && cache.get(&native(&d)).is_none());
        cache.insert(&native(&d), Prepared::new(4u8).weighing(FIXED_BYTES + 200));
        assert!(cache.get(&native(&a)).is_none() && cache.get(&native(&c)).is_none());
        assert_eq!(cache.lock().bytes, 2 * (FIXED_BYTES + 100));
    }

    #[test]
    fn what_is_put_again_counts_once() {
        let cache = PreparedCache::new(1 << 20);
        let (rules, digest) = (WasmRules::default(), code_digest(b"a"));
        let origin = Origin { runtime: "native", digest: &digest, rules: &rules };
        for bytes in [100, 300, 200] {
            cache.insert(&origin, Prepared::new(1u8).weighing(bytes));
            assert!(cache.get(&origin).is_some());
        }
        let kept = cache.lock();
        assert_eq!((kept.bytes, kept.order.len(), kept.codes.len()), (200 + FIXED_BYTES, 1, 1));
    }

    #[test]
    fn code_prepared_under_other_rules_is_other_code() {
        let cache = PreparedCache::new(1 << 20);
        let digest = code_digest(b"a");
        let (here, there) = (WasmRules::default(), WasmRules { max_functions: 7, ..WasmRules::default() });
        let under = |rules| Origin { runtime: "wasm", digest: &digest, rules };
        cache.insert(&under(&here), Prepared::new(1u8).weighing(1));
        assert!(cache.get(&under(&there)).is_none());
        cache.insert(&under(&there), Prepared::new(2u8).weighing(1));
        cache.insert(&under(&there), Prepared::new(3u8).weighing(1));
        let kept = [&here, &there].map(|rules| cache.get(&under(rules))?.downcast::<u8>().copied());
        assert_eq!(kept, [Some(1), Some(3)]);
    }
}
