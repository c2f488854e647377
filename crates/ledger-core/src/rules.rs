//! The chain's rules: limits and prices that every node of a chain shares, since they are part of its genesis.

mod wasm;

pub use wasm::{WasmCosts, WasmRules};

use crate::codec::{self, Decode, Encode, Format, List};
use crate::genesis::GenesisError;
use crate::id::{AccountId, ChainId};
use crate::outcome::Rejection;
use crate::state;
use crate::transaction::{Order, SignedTransaction, Transaction, TransactionError, TransactionLeaf};
use crate::units::{Fuel, Timestamp};

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
    /// The most fuel that a block's transactions may use together, what they read and couldn't pay for included. By default
    /// less than takes [`BLOCK_TIME_MS`](Self::BLOCK_TIME_MS) at worst, by a fifth and more: machines have slow hours. A block is
    /// filled by its transactions' limits, whatever they use of them.
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
    /// How many contracts may run at once, one called by the other, the first one counted.
    pub max_call_depth: u32,
    /// How many bytes of code that no transaction before has loaded a block's transactions may load together without paying
    /// [`Prices::prepare_byte`] for them. 0 by default: then what a call costs is at most what a simulation of it alone
    /// says, whatever else is in its block. With more, whoever loads them first makes others' calls dearer than that.
    pub block_code_bytes: u32,
    /// What things cost.
    pub prices: Prices,
    /// What WebAssembly modules may be, and what they cost.
    pub wasm: WasmRules,
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
    /// A digest.
    pub hash: u64,
    /// A byte of what is hashed, or of a message whose signature is verified.
    pub hash_byte: u64,
    /// Verifying a signature.
    pub verify: u64,
    /// A call of one contract by another, beside what finding and loading it costs.
    pub call: u64,
    /// A byte of code that is made ready to run: when it is uploaded, when a contract takes it up, and when it is called
    /// and no transaction of the block has loaded it before, as far as the block has loaded more than
    /// [`Rules::block_code_bytes`] of such code.
    ///
    /// A node that has none of it in its cache makes ready in one block what the block's fuel pays for, and
    /// `block_code_bytes`. So a full block takes at most `max_block_fuel` × (time of a unit) + `block_code_bytes` × (time to
    /// make a byte ready), as long as the latter is at most `prepare_byte` × (time of a unit).
    pub prepare_byte: u64,
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
            hash: 200,
            hash_byte: 4,
            verify: 60_000,
            call: 2_000,
            prepare_byte: 60,
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
            max_block_fuel: Fuel(200_000_000),
            max_key_bytes: 1 << 10,
            max_value_bytes: 1 << 20,
            max_events: 1_024,
            max_event_bytes: 64 << 10,
            max_output_bytes: 1 << 20,
            max_call_depth: 16,
            block_code_bytes: 0,
            prices: Prices::default(),
            wasm: WasmRules::default(),
        }
    }
}

/// The most fuel of a block: what meters count in 63 bits stays far from their end.
const MOST_FUEL: u64 = 1 << 62;

impl Rules {
    /// How long a full block of the default rules may take to execute on the machine that the prices were measured on, in
    /// ms, by the dearest unit of fuel: `cargo bench --bench contracts` measures it and fails if it takes longer.
    ///
    /// A validator votes for a header when it has executed as far as the header's history goes, and its view waits for that
    /// (`BftConfig::view_timeout_ms`, 1,000 by default). One that executes half as fast as the header's proposer is late by
    /// as long as a block takes the proposer. So at this limit it still votes in time, with the worst block there is; and
    /// the blocks that may wait for execution (`CoreConfig::pipeline`, 4 by default) are done in a few seconds.
    pub const BLOCK_TIME_MS: u64 = 1_000;

    pub(crate) fn check_ranges(&self) -> Result<(), GenesisError> {
        let most_transaction_bytes = (u64::from(self.max_block_bytes) / 2).min(SignedTransaction::LIMIT as u64);
        let ranges = [
            ("lag", self.lag, 1, 1 << 20),
            ("max_unordered_ms", self.max_unordered_ms, 0, 86_400_000),
            ("max_block_bytes", self.max_block_bytes.into(), 4 << 10, 64 << 20),
            ("max_transaction_bytes", self.max_transaction_bytes.into(), 1 << 10, most_transaction_bytes),
            ("max_block_transactions", self.max_block_transactions.into(), 1, 1 << 20),
            ("max_transaction_fuel", self.max_transaction_fuel.0, 1, self.max_block_fuel.0),
            ("max_block_fuel", self.max_block_fuel.0, 1, MOST_FUEL),
            ("max_key_bytes", self.max_key_bytes.into(), 32, state::tree::MAX_KEY_NAME_BYTES as u64),
            ("max_value_bytes", self.max_value_bytes.into(), 32, 8 << 20),
            ("max_events", self.max_events.into(), 0, 1 << 16),
            ("max_event_bytes", self.max_event_bytes.into(), 0, 1 << 20),
            ("max_output_bytes", self.max_output_bytes.into(), 0, 8 << 20),
            ("max_call_depth", self.max_call_depth.into(), 1, 64),
            ("block_code_bytes", self.block_code_bytes.into(), 0, 64 << 20),
        ];
        for (rule, found, least, most) in ranges.into_iter().chain(self.wasm.ranges()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule that `change` takes out of its range.
    fn refused(change: impl FnOnce(&mut Rules)) -> Option<&'static str> {
        let mut rules = Rules::default();
        change(&mut rules);
        match rules.check_ranges() {
            Err(GenesisError::Rule { rule, .. }) => Some(rule),
            _ => None,
        }
    }

    #[test]
    fn a_rule_out_of_its_range_is_named() {
        assert_eq!(refused(|_| ()), None);
        assert_eq!(refused(|rules| rules.lag = 0), Some("lag"));
        assert_eq!(refused(|rules| rules.max_call_depth = 0), Some("max_call_depth"));
        assert_eq!(refused(|rules| rules.max_call_depth = 65), Some("max_call_depth"));
        assert_eq!(refused(|rules| rules.block_code_bytes = (64 << 20) + 1), Some("block_code_bytes"));
        assert_eq!(refused(|rules| rules.max_block_fuel = Fuel((1 << 62) + 1)), Some("max_block_fuel"));
        let over = |rules: &mut Rules| rules.max_transaction_fuel.0 = rules.max_block_fuel.0 + 1;
        assert_eq!(refused(over), Some("max_transaction_fuel"));
        assert_eq!(refused(|rules| rules.wasm.max_stack_slots = 1_023), Some("wasm.max_stack_slots"));
        assert_eq!(refused(|rules| rules.wasm.max_stack_slots = 32_769), Some("wasm.max_stack_slots"));
        assert_eq!(refused(|rules| rules.wasm.max_memory_pages = 4_097), Some("wasm.max_memory_pages"));
        assert_eq!(refused(|rules| rules.wasm.max_functions = 20_001), Some("wasm.max_functions"));
        assert_eq!(refused(|rules| rules.wasm.max_function_bytes = 131_073), Some("wasm.max_function_bytes"));
        assert_eq!(refused(|rules| rules.wasm.max_locals = 8_001), Some("wasm.max_locals"));
        assert_eq!(refused(|rules| rules.wasm.max_table_entries = 65_537), Some("wasm.max_table_entries"));
        assert_eq!(refused(|rules| rules.wasm.max_globals = 10_001), Some("wasm.max_globals"));
        assert_eq!(refused(|rules| rules.wasm.costs.instance_name = 0), Some("wasm.costs.instance_name"));
        // A loop that costs nothing would never come to an end.
        assert_eq!(refused(|rules| rules.wasm.costs.branch = 0), Some("wasm.costs.branch"));
        assert_eq!(refused(|rules| rules.wasm.costs.basic = (1 << 20) + 1), Some("wasm.costs.basic"));
    }
}
