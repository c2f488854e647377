//! What a chain is made of: its name, its rules, its engine. The digest of it all is the chain's id.

use crate::block::{Block, HEADER_VERSION, Header};
use crate::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use crate::domains;
use crate::finality::Finality;
use crate::history::HistoryHead;
use crate::id::{AccountId, ChainId};
use crate::outcome::{Outcome, Rejection, receipts_root};
use crate::state;
use crate::transaction::{Order, SignedTransaction, Transaction, TransactionError, TransactionLeaf};
use crate::units::{Epoch, Fuel, Height, Timestamp};
use crate::validators::ValidatorSet;
use ledger_crypto::{Digest, KeyError, PublicKey, hash};

/// The version of the genesis format that this crate writes and reads.
pub const GENESIS_VERSION: u8 = 1;

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

/// How the state root commits to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StateScheme {
    /// The sorted binary Merkle tree of [`state::tree`].
    SortedMerkle,
}

/// Who may deploy contracts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Deployers {
    /// Every account.
    Anyone,
    /// These accounts only.
    Only(List<AccountId>),
}

/// The chain's rules: every node of a chain holds the same, since they are part of its genesis.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rules {
    /// How the state root commits to the state.
    pub state_scheme: StateScheme,
    /// Who may deploy contracts.
    pub deployers: Deployers,
    /// How many blocks execution may lag behind ordering before only empty blocks are valid; at least 1.
    pub lag: u64,
    /// How far ahead of a validator's own clock a block's timestamp may be, in ms.
    pub max_clock_ahead_ms: u64,
    /// How far ahead of its block's time an unordered transaction may expire, in ms. Its id is kept in the state until
    /// then, so this and the rate of such transactions bound how many ids there are; 0 allows none.
    pub max_unordered_ms: u64,
    /// The longest encoded signed transaction, in bytes.
    pub max_transaction_bytes: u32,
    /// The longest encoded block, in bytes.
    pub max_block_bytes: u32,
    /// The most transactions in a block.
    pub max_block_transactions: u32,
    /// The most fuel that one transaction may ask for.
    pub max_transaction_fuel: Fuel,
    /// The most fuel that a block's transactions may use together.
    pub max_block_fuel: Fuel,
    /// The longest state key without its namespace, in bytes.
    pub max_key_bytes: u32,
    /// The longest state value, in bytes.
    pub max_value_bytes: u32,
    /// The most events of one transaction.
    pub max_events: u32,
    /// The longest data of an event, and its topic, in bytes.
    pub max_event_bytes: u32,
    /// The longest output of a call, in bytes.
    pub max_output_bytes: u32,
    /// What things cost.
    pub prices: Prices,
}

/// What a contract's use of the host costs, in fuel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Prices {
    /// A transaction, whatever it does.
    pub transaction: u64,
    /// A byte of a transaction's body.
    pub body_byte: u64,
    /// Reading a key.
    pub read: u64,
    /// A byte read.
    pub read_byte: u64,
    /// Writing or deleting a key.
    pub write: u64,
    /// A byte written.
    pub write_byte: u64,
    /// An event.
    pub event: u64,
    /// A byte of an event.
    pub event_byte: u64,
}

impl Default for Prices {
    fn default() -> Self {
        Prices {
            transaction: 5_000,
            body_byte: 4,
            read: 500,
            read_byte: 1,
            write: 1_000,
            write_byte: 8,
            event: 300,
            event_byte: 4,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            state_scheme: StateScheme::SortedMerkle,
            deployers: Deployers::Anyone,
            lag: 16,
            max_clock_ahead_ms: 2_000,
            max_unordered_ms: 600_000,
            max_transaction_bytes: 1 << 20,
            max_block_bytes: 8 << 20,
            max_block_transactions: 10_000,
            max_transaction_fuel: Fuel(100_000_000),
            max_block_fuel: Fuel(1_000_000_000),
            max_key_bytes: 1 << 10,
            max_value_bytes: 1 << 20,
            max_events: 1_024,
            max_event_bytes: 64 << 10,
            max_output_bytes: 1 << 20,
            prices: Prices::default(),
        }
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

impl Rules {
    fn check_ranges(&self) -> Result<(), GenesisError> {
        let most_transaction_bytes = (u64::from(self.max_block_bytes) / 2).min(SignedTransaction::LIMIT as u64);
        let ranges: [(&'static str, u64, u64, u64); 11] = [
            ("lag", self.lag, 1, 1 << 20),
            ("max_unordered_ms", self.max_unordered_ms, 0, 86_400_000),
            ("max_block_bytes", self.max_block_bytes.into(), 4 << 10, 64 << 20),
            ("max_transaction_bytes", self.max_transaction_bytes.into(), 1 << 10, most_transaction_bytes),
            ("max_block_transactions", self.max_block_transactions.into(), 1, 1 << 20),
            ("max_transaction_fuel", self.max_transaction_fuel.0, 1, self.max_block_fuel.0),
            ("max_key_bytes", self.max_key_bytes.into(), 32, state::tree::MAX_KEY_NAME_BYTES as u64),
            ("max_value_bytes", self.max_value_bytes.into(), 32, 8 << 20),
            ("max_events", self.max_events.into(), 0, 1 << 16),
            ("max_event_bytes", self.max_event_bytes.into(), 0, 1 << 20),
            ("max_output_bytes", self.max_output_bytes.into(), 0, 8 << 20),
        ];
        for (rule, found, least, most) in ranges {
            if found < least || found > most {
                return Err(GenesisError::Rule { rule, found, least, most });
            }
        }
        Ok(())
    }

    /// Checks what a transaction's bytes and these rules decide: form, body, size, fuel limit, the key's quality, that an
    /// unordered one expires. Not the signature, and not when it expires: [`Rules::check_expiry`].
    ///
    /// # Errors
    /// [`TransactionError`] names what is wrong.
    pub fn check(&self, transaction: &SignedTransaction, chain: &ChainId) -> Result<(), TransactionError> {
        let (size, limit) = (codec::encoded_length(transaction), self.max_transaction_bytes as usize);
        if size > limit {
            return Err(TransactionError::TooLong { size, limit });
        }
        // Proofs show the envelope without the body, so it has to fit its own format whatever the rules allow.
        let envelope = codec::encoded_length(&transaction.transaction) + codec::encoded_length(&transaction.witness);
        if envelope > TransactionLeaf::LIMIT {
            return Err(TransactionError::TooLong { size: envelope, limit: TransactionLeaf::LIMIT });
        }
        let (found, limit) = (transaction.transaction.fuel_limit, self.max_transaction_fuel);
        if found > limit {
            return Err(TransactionError::FuelLimit { found, limit });
        }
        if transaction.transaction.order == Order::Unordered && transaction.transaction.expires_at.is_none() {
            return Err(TransactionError::NoExpiry);
        }
        transaction.witness.check_key()?;
        transaction.check_form(chain)
    }

    /// Checks that a transaction's expiry lets it into a block of this time: it isn't past, and that of an unordered one
    /// not beyond [`Rules::max_unordered_ms`].
    ///
    /// Executors ask with the block's time. Who takes transactions in, or makes a block of them, asks with its own clock
    /// or the block's: what it lets through with a clock ahead of the block's may be rejected there.
    ///
    /// # Errors
    /// [`Rejection::Expired`], [`Rejection::TooDistant`].
    pub fn check_expiry(&self, transaction: &Transaction, now: Timestamp) -> Result<(), Rejection> {
        let expires_at = transaction.expires_at.unwrap_or(Timestamp(u64::MAX));
        if expires_at < now {
            return Err(Rejection::Expired { expired_at: expires_at, now });
        }
        let latest = now.plus(self.max_unordered_ms);
        match transaction.order {
            Order::Unordered if expires_at > latest => Err(Rejection::TooDistant { expires_at, latest }),
            _ => Ok(()),
        }
    }
}
