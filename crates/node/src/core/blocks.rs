//! The blocks that are on their way: proposed here, shown by peers, final and not applied yet.

use ledger_core::{Block, Header, Height, TransactionId};
use ledger_crypto::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A block, and the ids of its transactions, which cost a hash each.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) block: Arc<Block>,
    pub(super) ids: Arc<Vec<TransactionId>>,
}

impl Known {
    pub(super) fn of(block: Block) -> Self {
        let ids = block.transactions.iter().map(ledger_core::SignedTransaction::id).collect();
        Known { block: Arc::new(block), ids: Arc::new(ids) }
    }

    /// Its transactions with their ids.
    pub(super) fn transactions(&self) -> impl Iterator<Item = (TransactionId, &ledger_core::SignedTransaction)> {
        self.ids.iter().copied().zip(self.block.transactions.iter())
    }
}

/// Blocks above the last applied one, by their header's digest. How many there are is bounded by the engine, which
/// shows a few for each view that it keeps.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    known: BTreeMap<Digest, Known>,
}

impl Blocks {
    pub(super) fn insert(&mut self, digest: Digest, known: Known) {
        self.known.insert(digest, known);
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<&Known> {
        self.known.get(digest)
    }

    /// The blocks from above height `above` up to `tip`, the newest first; `None` where one is missing.
    pub(super) fn down_from(&self, tip: &Header, above: Height) -> Option<Vec<&Known>> {
        let mut chain = Vec::new();
        if tip.height <= above {
            // As a rule, and asked so often that a hash would show.
            return Some(chain);
        }
        let (mut height, mut digest) = (tip.height, tip.digest());
        while height > above {
            let known = self.known.get(&digest)?;
            chain.push(known);
            digest = known.block.header.parent;
            height = height.previous()?;
        }
        Some(chain)
    }

    /// Forgets everything up to height `applied`.
    pub(super) fn prune(&mut self, applied: Height) {
        self.known.retain(|_, known| known.block.header.height > applied);
    }
}
