//! What a chain is made of: its name, its rules, its engine. The digest of it all is the chain's id.

use crate::block::{Block, HEADER_VERSION, Header};
use crate::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use crate::domains;
use crate::finality::Finality;
use crate::history::HistoryHead;
use crate::id::ChainId;
use crate::outcome::{Outcome, receipts_root};
use crate::rules::Rules;
use crate::state;
use crate::units::{Epoch, Fuel, Height, Timestamp};
use crate::validators::ValidatorSet;
use ledger_crypto::{Digest, KeyError, PublicKey, hash};

/// The version of the genesis format that this crate writes and reads.
pub const GENESIS_VERSION: u8 = 2;

/// The beginning of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// [`GENESIS_VERSION`].
    pub version: u8,
    /// For people.
    pub name: Text,
    /// The time of the genesis block.
    pub timestamp: Timestamp,
    /// Which consensus engine orders, and its parameters.
    pub engine: Engine,
    /// Limits and prices.
    pub rules: Rules,
}

impl Format for Genesis {
    const NAME: &'static str = "genesis";
    const LIMIT: usize = 1 << 20;
}

/// A consensus engine's name and parameters. The name picks the [`Finality`] by which everyone,
/// light clients included, knows a finalized header.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Engine {
    /// `solo`, `bft`
    pub name: Text,
    /// The engine's own bytes.
    pub parameters: Bytes,
}

impl Engine {
    /// The engine of a ledger with one owner: `owner` orders and signs.
    pub fn solo(owner: PublicKey) -> Self {
        Engine { name: Text::from(crate::finality::SOLO), parameters: Bytes::from(owner.as_bytes().as_slice()) }
    }

    /// The engine of a network whose `validators` agree by votes.
    pub fn bft(validators: &ValidatorSet) -> Self {
        Engine { name: Text::from(crate::finality::BFT), parameters: Bytes::from(validators.to_bytes()) }
    }
}

/// Why a genesis describes no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// A format this crate doesn't know.
    #[error("genesis version {found} isn't known; this node reads version {GENESIS_VERSION}")]
    Version {
        /// What the genesis says.
        found: u8,
    },
    /// A rule out of its range.
    #[error("the rule {rule} is {found}; it must be {least} to {most}")]
    Rule {
        /// The rule.
        rule: &'static str,
        /// Its value.
        found: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// An engine that no `Finality` is known for.
    #[error("the engine `{name}` isn't known")]
    UnknownEngine {
        /// The engine's name.
        name: Text,
    },
    /// The engine's parameters aren't what it needs.
    #[error("the parameters of engine `{name}` are invalid: {reason}")]
    EngineParameters {
        /// The engine's name.
        name: Text,
        /// What is wrong.
        reason: String,
    },
    /// A key that must not be in a genesis.
    #[error("the key {key} is refused: {error}")]
    Key {
        /// The key.
        key: PublicKey,
        /// Why.
        error: KeyError,
    },
}

impl Genesis {
    /// A chain that one `owner` orders and signs, with the default rules.
    pub fn solo(name: &str, owner: PublicKey, timestamp: Timestamp) -> Self {
        Genesis {
            version: GENESIS_VERSION,
            name: Text::from(name),
            timestamp,
            engine: Engine::solo(owner),
            rules: Rules::default(),
        }
    }

    /// A chain on which `validators` agree by votes, with the default rules.
    pub fn bft(name: &str, validators: &ValidatorSet, timestamp: Timestamp) -> Self {
        Genesis {
            version: GENESIS_VERSION,
            name: Text::from(name),
            timestamp,
            engine: Engine::bft(validators),
            rules: Rules::default(),
        }
    }

    /// The chain's id.
    pub fn chain(&self) -> ChainId {
        ChainId(hash(domains::GENESIS, &codec::encode(self)))
    }

    /// The header of the genesis block, height 0. It is final by being the genesis.
    pub fn header(&self) -> Header {
        Header {
            version: HEADER_VERSION,
            chain: self.chain(),
            height: Height::GENESIS,
            parent: Digest::ZERO,
            timestamp: self.timestamp,
            transactions_root: Block::transactions_root(&[]),
            history: HistoryHead::EMPTY,
            epoch: Epoch(0),
            seal: Bytes::default(),
        }
    }

    /// The outcome of the genesis block: an empty state, no receipts.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            height: Height::GENESIS,
            block: self.header().digest(),
            state_root: state::tree::EMPTY,
            receipts_root: receipts_root(&[]),
            fuel_used: Fuel(0),
            validators: List::new(),
        }
    }

    /// The validators of epoch 0; `None` where the engine has none.
    ///
    /// # Errors
    /// [`GenesisError`] when its parameters are no set of validators.
    pub fn validators(&self) -> Result<Option<ValidatorSet>, GenesisError> {
        match self.engine.name.as_str() {
            crate::finality::BFT => crate::finality::validators(self).map(Some),
            _ => Ok(None),
        }
    }

    /// Checks version, rules, and that the engine's parameters make sense.
    ///
    /// # Errors
    /// [`GenesisError`] names what is wrong.
    pub fn check(&self) -> Result<(), GenesisError> {
        self.finality().map(|_| ())
    }

    /// [Checks](Self::check) the genesis and gives the finality that it chooses.
    ///
    /// # Errors
    /// [`GenesisError`] names what is wrong.
    pub fn finality(&self) -> Result<Box<dyn Finality>, GenesisError> {
        if self.version != GENESIS_VERSION {
            return Err(GenesisError::Version { found: self.version });
        }
        self.rules.check_ranges()?;
        crate::finality::of(self)
    }
}
