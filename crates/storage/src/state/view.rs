//! The state as executors and queries read it.

use std::sync::Arc;

use ledger_core::state::sparse as tree;
use ledger_core::{Height, Key, KeyRange, Scan, StateError, StateView, Versioned};

use super::{tables, values};
use crate::engine::{Snapshot, Space, after_prefix};

/// The state after one block. Cheap to clone; it holds an engine snapshot, so keep it no longer than a query lasts.
#[derive(Clone)]
pub struct StateAt {
    space: Space,
    reader: Arc<dyn Snapshot>,
    newest: Height,
    at: Height,
}

impl StateAt {
    /// The state after block `at` of the chain in `space`, whose last applied block in `reader` is `newest`.
    ///
    /// # Errors
    /// [`StateError::Height`] when `at` is after `newest`.
    pub fn new(space: Space, reader: Arc<dyn Snapshot>, newest: Height, at: Height) -> Result<Self, StateError> {
        if at > newest {
            return Err(StateError::Height { height: at, oldest: Height::GENESIS, newest });
        }
        Ok(Self { space, reader, newest, at })
    }

    /// The block after which this is the state.
    #[must_use]
    pub fn height(&self) -> Height {
        self.at
    }
}

impl StateView for StateAt {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        let place = tree::key_digest(key);
        if self.at == self.newest {
            return values::current(self.space, &*self.reader, &place);
        }
        values::value_at(self.space, &*self.reader, &place, self.at)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        let from = tables::name_key(self.space, &Key::new(range.namespace, range.from.clone()));
        let to = match &range.to {
            Some(to) => Some(tables::name_key(self.space, &Key::new(range.namespace, to.clone()))),
            None => after_prefix(tables::name_key(self.space, &Key::new(range.namespace, Vec::new()))),
        };
        let now = self.at == self.newest;
        let names = values::names(&*self.reader, &from, to.as_deref());
        Box::new(names.filter_map(move |name| match name {
            // Who has no value now may have had one then.
            Ok((_, false)) if now => None,
            Ok((key, _)) => self.get(&key).map(|found| found.map(|versioned| (key, versioned))).transpose(),
            Err(error) => Some(Err(error)),
        }))
    }
}
