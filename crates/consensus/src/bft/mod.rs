//! `bft`: validators agree by votes, while less than a third of their weight lies, crashes or is silent.

mod blocks;
mod config;
mod engine;
mod finality;
mod inbox;
mod leader;
mod pacing;
mod recovery;
mod round;
mod rules;
pub mod wire;

pub use config::BftConfig;
#[cfg(feature = "planted-bugs")]
pub use config::PlantedBug;

use crate::seam::{EngineFactory, Setup, StartError, Started};
use engine::Engine;
use ledger_core::finality::BFT;
use ledger_core::{GenesisError, ValidatorSet};
use ledger_crypto::{Guard, LogFacts, Signer, VoteSigner};
use std::sync::{Arc, Mutex};

/// Runs a chain of validators: see the [module](self).
pub struct Bft {
    signer: Box<dyn Signer>,
    guard: Option<Box<dyn Guard>>,
    config: BftConfig,
}

impl Bft {
    /// `signer` holds the key of one of the genesis's validators. The guard is a file on the node's disk, which protects
    /// against a lost log but not against a whole folder restored from a copy: for that, keep the guard beside the key
    /// ([`Bft::guard`]).
    pub fn new(signer: impl Signer + 'static) -> Self {
        Bft { signer: Box::new(signer), guard: None, config: BftConfig::default() }
    }

    /// Keeps the signer's guard in `guard` instead of on the node's disk.
    #[must_use]
    pub fn guard(mut self, guard: impl Guard + 'static) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// Other settings than the default ones. They are checked at the start.
    #[must_use]
    pub fn config(mut self, config: BftConfig) -> Self {
        self.config = config;
        self
    }
}

impl EngineFactory for Bft {
    fn start(self: Box<Self>, setup: Setup<'_>) -> Result<Started, StartError> {
        let engine = &setup.genesis.engine;
        if engine.name.as_str() != BFT {
            return Err(StartError::WrongEngine { expected: engine.name.to_string(), given: BFT });
        }
        setup.genesis.check()?;
        self.config.check().map_err(|reason| StartError::Config { reason })?;
        let validators = ValidatorSet::from_bytes(&engine.parameters)
            .map_err(|error| GenesisError::EngineParameters { name: engine.name.clone(), reason: error.to_string() })?;
        let found = self.signer.public_key();
        let me = validators.place(&found).ok_or(StartError::NoValidator { found, validators: validators.len() })?;
        let facts = LogFacts { id: setup.log, last: recovery::last_vote(&setup.records) };
        let mut setup = setup;
        let given = std::mem::replace(&mut setup.guard, Box::new(ledger_crypto::MemoryGuard::new()));
        let guard = self.guard.unwrap_or(given);
        #[cfg(feature = "planted-bugs")]
        let (guard, facts) = match self.config.breaks(PlantedBug::ForgetsVotesOnRestart) {
            true => {
                setup.records.retain(|record| record.kind != crate::RecordKind::Vote);
                let forgetful: Box<dyn Guard> = Box::new(ledger_crypto::MemoryGuard::new());
                (forgetful, LogFacts { last: None, ..facts })
            }
            false => (guard, facts),
        };
        let signer = VoteSigner::open(self.signer, guard, setup.chain.0, facts)?;
        let signer = Arc::new(Mutex::new(signer));
        let engine = Engine::recover(&setup, validators, me, Arc::clone(&signer), self.config);
        Ok(Started { engine: Box::new(engine), signer: Some(signer) })
    }
}
