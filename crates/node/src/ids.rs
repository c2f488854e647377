//! Maps by transactions' ids and accounts, which are digests. Somebody who wants many of them in one place of a map can't
//! choose their bytes freely and doesn't know its seed, so a hash of fewer steps than the standard library's does.

use foldhash::quality::RandomState;
use std::collections::{HashMap, HashSet};

/// A map by something that holds a digest.
pub(crate) type IdMap<K, V> = HashMap<K, V, RandomState>;

/// A set of such.
pub(crate) type IdSet<K> = HashSet<K, RandomState>;
