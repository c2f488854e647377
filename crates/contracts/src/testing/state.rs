//! A state in memory.

use core::ops::Bound;
use ledger_core::{Height, Key, KeyRange, Scan, StateError, StateView, Version, Versioned, Writes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest values in a `BTreeMap`: a [`StateView`] for tests and examples. No history, no root, no disk.
///
/// A clone costs nothing until it or the other one changes: then all is copied, once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapState {
    values: Arc<BTreeMap<Key, Versioned>>,
}

impl MapState {
    /// A state without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies what the block at `height` writes.
    pub fn apply(&mut self, height: Height, writes: &Writes) {
        if writes.is_empty() {
            return;
        }
        let values = Arc::make_mut(&mut self.values);
        for write in writes {
            let predecessor = values.get(&write.key).map(|old| old.leaf(&write.key));
            match &write.value {
                None => {
                    values.remove(&write.key);
                }
                Some(value) => {
                    let version = Version { height, index: write.index };
                    let new = Versioned { value: value.clone(), version, predecessor };
                    values.insert(write.key.clone(), new);
                }
            }
        }
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Versioned)> {
        self.values.iter()
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl StateView for MapState {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        Ok(self.values.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        let from = Key { namespace: range.namespace, name: range.from.clone() };
        let range = range.clone();
        let from_on = self.values.range((Bound::Included(from), Bound::Unbounded));
        let inside = from_on.take_while(move |(key, _)| range.contains(key));
        Box::new(inside.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }
}
