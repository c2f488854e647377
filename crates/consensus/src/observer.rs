//! An engine that takes no part: the node follows what others finalize, by catching up.

use crate::seam::{Consensus, EngineFactory, Input, Output, Setup, StartError, Started};
use ledger_core::Timestamp;

/// Follows a chain without a vote: read replicas, auditors. Signs nothing, proposes nothing, and needs no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observer;

impl EngineFactory for Observer {
    fn start(self: Box<Self>, setup: Setup<'_>) -> Result<Started, StartError> {
        setup.genesis.check()?;
        Ok(Started { engine: Box::new(Observer), signer: None })
    }
}

impl Consensus for Observer {
    fn step(&mut self, _now: Timestamp, _input: Input, _out: &mut Vec<Output>) {}
}
