//! The chains that a server serves.

use ledger_core::ChainId;
use ledger_node::Chain;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The chains that a server serves: a handle that is shared with it, so that chains can come and go while it runs.
///
/// A chain in it keeps its folder in use; [`Chains::clear`] it before the host is shut down, or drop it with the server.
#[derive(Clone, Debug, Default)]
pub struct Chains(Arc<RwLock<BTreeMap<ChainId, Chain>>>);

impl Chains {
    /// No chains.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `chain` from now on.
    pub fn insert(&self, chain: Chain) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(chain.id(), chain);
    }

    /// Serves the chain no more.
    pub fn remove(&self, id: &ChainId) -> Option<Chain> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// Serves no chain any more.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The chain, if it is served.
    pub fn get(&self, id: &ChainId) -> Option<Chain> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All of them, by rising ids.
    pub fn all(&self) -> Vec<Chain> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl From<Vec<Chain>> for Chains {
    fn from(chains: Vec<Chain>) -> Self {
        let served = Chains::new();
        for chain in chains {
            served.insert(chain);
        }
        served
    }
}

impl From<Chain> for Chains {
    fn from(chain: Chain) -> Self {
        Chains::from(vec![chain])
    }
}
