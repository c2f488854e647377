//! A core's bounds and habits.

use super::sync::SyncConfig;
use crate::mempool::MempoolConfig;

/// A core's bounds and habits. Node-local: two nodes of a chain may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreConfig {
    /// The mempool's bounds.
    pub mempool: MempoolConfig,
    /// How many blocks may be ordered or proposed and not yet executed before no more are proposed (default 4). It is cut
    /// to the rules' lag.
    pub pipeline: u64,
    /// The shortest time between two blocks with transactions, in ms (default 0: as fast as they are executed).
    pub block_interval_ms: u64,
    /// The most transactions that this node puts into a block (default: as many as the rules allow). Smaller blocks wait
    /// less for each other where several validators execute on few cores.
    pub block_transactions: usize,
    /// Propose an empty block when there was none for this long, in ms (default none), so that agreed time moves on.
    pub heartbeat_ms: Option<u64>,
    /// Catching up.
    pub sync: SyncConfig,
}

impl Default for CoreConfig {
    fn default() -> Self {
        CoreConfig {
            mempool: MempoolConfig::default(),
            pipeline: 4,
            block_interval_ms: 0,
            block_transactions: usize::MAX,
            heartbeat_ms: None,
            sync: SyncConfig::default(),
        }
    }
}
