//! The engine that every node of a simulated network runs.

use crate::keys::Keys;
use ledger_consensus::EngineFactory;
use ledger_consensus::bft::{Bft, BftConfig};

/// A bug of the engine's own, to be planted for a test of the laws; there are some only with the feature `planted-bugs`.
#[cfg(feature = "planted-bugs")]
pub use ledger_consensus::bft::PlantedBug as PlantedProtocolBug;

/// A bug of the engine's own: there are none without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedProtocolBug {}

/// Which engine, and how it is set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choice {
    pub(super) planted: Option<PlantedProtocolBug>,
}

/// The engine of one node.
#[cfg(feature = "planted-bugs")]
pub(super) fn factory(keys: Keys, choice: Choice) -> Box<dyn EngineFactory> {
    Box::new(Bft::new(keys).config(BftConfig { planted: choice.planted, ..BftConfig::default() }))
}

/// The engine of one node.
#[cfg(not(feature = "planted-bugs"))]
pub(super) fn factory(keys: Keys, choice: Choice) -> Box<dyn EngineFactory> {
    // Without the feature there is no bug to plant.
    debug_assert!(choice.planted.is_none());
    Box::new(Bft::new(keys).config(BftConfig::default()))
}
