//! How far a chain has come.

use crate::core::Stop;
use ledger_core::{Checkpoint, Height};
use std::sync::Arc;

/// How far a chain has come. Each height is reached in this order.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The last final, durable block.
    pub ordered: Height,
    /// The last block whose outcome is stored.
    pub executed: Height,
    /// The newest checkpoint.
    pub checkpoint: Arc<Checkpoint>,
    /// Why the chain has stopped, if it has.
    pub stopped: Option<Stop>,
    /// How many validators were caught signing what no honest one signs: see [`Chain::evidence`](crate::Chain::evidence).
    pub evidence: usize,
}

impl Progress {
    /// Whether the newest checkpoint commits to the outcome of block `height`.
    pub fn certifies(&self, height: Height) -> bool {
        self.checkpoint.header.history.size > height.0
    }

    /// The last block whose outcome the newest checkpoint commits to.
    pub fn certified(&self) -> Option<Height> {
        self.checkpoint.header.history.size.checked_sub(1).map(Height)
    }
}
