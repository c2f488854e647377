//! The way of transactions that were handed in here lately: the views know them only once they are executed.

use ledger_core::TransactionId;
use ledger_node::Pending;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// A transaction under way, shared by those who wait for it.
pub(crate) type Shared = Arc<tokio::sync::Mutex<Pending>>;

/// The newest ones, up to a bound; the oldest goes first.
pub(crate) struct Recent {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    found: HashMap<TransactionId, Shared>,
    order: VecDeque<TransactionId>,
}

impl Recent {
    pub(crate) fn new(limit: usize) -> Self {
        Recent { limit, inner: Mutex::default() }
    }

    pub(crate) fn insert(&self, pending: Pending) -> Shared {
        let (id, shared) = (pending.id(), Arc::new(tokio::sync::Mutex::new(pending)));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.found.insert(id, Arc::clone(&shared)).is_none() {
            inner.order.push_back(id);
        }
        while inner.order.len() > self.limit {
            let oldest = inner.order.pop_front();
            oldest.and_then(|id| inner.found.remove(&id));
        }
        shared
    }

    pub(crate) fn get(&self, id: &TransactionId) -> Option<Shared> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).found.get(id).cloned()
    }

    pub(crate) fn clear(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }
}
