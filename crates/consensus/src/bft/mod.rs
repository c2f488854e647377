//! `bft`: validators agree by votes, while less than a third of their weight lies, crashes or is silent.
//!
//! ```text
//!   view v                                                                                       view v + 1
//!   leader ── Proposal + payload ──▶ all ── notarize ──▶ all ── quorum: notarized ──▶ enter, ── finalize ──▶ all ── quorum: final
//!                                     │                                                                        (all ancestors too)
//!                                     └── timeout, refusal, absent leader ── nullify ──▶ all ── quorum: nullified ──▶ enter
//! ```
//!
//! The protocol is Simplex (Chan and Pass, *Simplex Consensus: A Simple and Fast Consensus Protocol*, TCC 2023, IACR
//! ePrint 2023/463), whose iterations are views here and whose dummy blocks are nullified views. Comments cite its steps
//! by their numbers in the paper's description of an iteration. `docs/consensus/bft.md` has the messages, every
//! deviation, and why it is safe and live.
//!
//! # Rules
//! A validator has two slots in a view, each signed once for life: *notarize*, and *finalize or nullify*.
//! 1. The leader of a view, by turns, proposes a block on that of the last notarized view, if all views since are
//!    nullified. Where blocks pile up that aren't final, it proposes the last one again.
//! 2. A view whose timer runs out is nullified; so is one with a refused proposal, an absent leader, or more *nullify* votes
//!    than liars alone can cast.
//! 3. A validator notarizes the first proposal that obeys 1 and that its driver finds fine, unless it nullified.
//! 4. A quorum of *notarize* or *nullify* ends the view. On a notarization a validator that didn't nullify signs
//!    *finalize*, before it enters the next view or never.
//! 5. A quorum of *finalize* makes a block final, and all its ancestors.
//!
//! While there is nothing to order and nothing unfinished, no timer runs and nothing is sent.
//!
//! # Failure
//! | what happens | what follows |
//! |---|---|
//! | up to `f` of the weight crashes or is cut off | the others go on: one timeout at the first missed turn, none at the next ones |
//! | more than `f` of it does | nothing becomes final until enough are back; then it goes on by itself |
//! | up to `f` of it lies | agreement and progress hold; two votes in a slot are [`Evidence`](crate::Output::Evidence) |
//! | more than `f` of it lies | two blocks may be final at a height; who sees both halts ([`Halt::Forked`](crate::Halt::Forked)), and evidence names more than `f` |
//! | a crash at any point | the records above the tip bring views, votes and blocks back; what was signed and lost is never signed otherwise |
//! | the log was rolled back, the guard not | the signer refuses to open ([`StartError::Vote`]) |
//! | messages are lost, late, repeated, reordered | votes are sent again every `resend_ms` while something is unfinished; who is behind is helped by whom it talks to |
//! | this node is many heights behind | [`FellBehind`](crate::Output::FellBehind), and on with [`Synced`](crate::Input::Synced) |
//! | signer or guard fails | [`Halt::Signer`](crate::Halt::Signer) |
//!
//! # Bounds
//! [`BftConfig`] has them all. Views are kept from the last final one to `lookahead_views` ahead, with one vote of each
//! validator in each slot and one proposal; blocks up to `max_pending_bytes`; checks up to `max_checks_per_peer` of each.
//! A view that a quorum nullified costs some hundred bytes until the next final block.
//!
//! # Example
//! ```
//! use ledger_consensus::{Bft, BftConfig, EngineFactory, Input, Output, Setup};
//! use ledger_core::{Genesis, Timestamp, Validator, ValidatorSet, Weight};
//! use ledger_crypto::{Digest, MemoryGuard, MemorySigner, Signer};
//!
//! let signers: Vec<MemorySigner> = (1..=4).map(|seed| MemorySigner::from_seed([seed; 32])).collect();
//! let validators = signers.iter().map(|signer| Validator { key: signer.public_key(), weight: Weight(1) });
//! let genesis = Genesis::bft("example", &ValidatorSet::new(validators)?, Timestamp(0));
//! let tip = genesis.header();
//! let mut proposals = 0;
//! for signer in signers {
//!     let setup = Setup {
//!         genesis: &genesis,
//!         chain: genesis.chain(),
//!         log: Digest::ZERO,
//!         tip: &tip,
//!         records: Vec::new(),
//!         guard: Box::new(MemoryGuard::new()),
//!     };
//!     let config = BftConfig { leader_timeout_ms: 800, ..BftConfig::default() };
//!     let mut started = Box::new(Bft::new(signer).config(config)).start(setup)?;
//!     let mut out = Vec::new();
//!     started.engine.step(Timestamp(0), Input::Start { tip: tip.clone() }, &mut out);
//!     proposals += out.iter().filter(|output| matches!(output, Output::Propose { .. })).count();
//! }
//! assert_eq!(proposals, 1, "the first view has one leader");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
