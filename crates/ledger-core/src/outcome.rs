//! What executing a block gave: outcome, receipts, events.

use crate::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use crate::domains;
use crate::id::{ContractId, TransactionId};
use crate::list_root;
use crate::units::{Fuel, Height, Timestamp, Weight};
use ledger_crypto::merkle::{self, TreeHasher};
use ledger_crypto::{Digest, PublicKey, hash};
use std::sync::LazyLock;

/// The longest message in a receipt, in bytes; longer ones are cut.
pub const MAX_MESSAGE_BYTES: usize = 512;

/// What executing one block gave. Together with the block it is one leaf of the chain's history.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Outcome {
    /// The block's height.
    pub height: Height,
    /// The digest of the block's header.
    pub block: Digest,
    /// The root of the state after the block.
    pub state_root: Digest,
    /// The [list root](list_root) of the block's [receipts](Receipt).
    pub receipts_root: Digest,
    /// Fuel that the block's transactions used.
    pub fuel_used: Fuel,
    /// Changes of the validators, to take effect at an epoch's boundary.
    pub validators: List<ValidatorUpdate>,
}

impl Format for Outcome {
    const NAME: &'static str = "outcome";
    const LIMIT: usize = 1 << 20;
}

/// A validator's new weight; 0 removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorUpdate {
    /// The validator's key.
    pub key: PublicKey,
    /// Its weight from then on.
    pub weight: Weight,
}

impl Outcome {
    /// The outcome's digest, the second half of its history leaf.
    pub fn digest(&self) -> Digest {
        hash(domains::OUTCOME, &codec::encode(self))
    }
}

/// What became of one transaction of a block: the part that `receipts_root` commits to. Its events are bound by their
/// own Merkle root, so that one can be proven without showing the others.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The transaction.
    pub transaction: TransactionId,
    /// Its place in the block.
    pub index: u32,
    /// What became of it.
    pub status: Status,
    /// Fuel it used.
    pub fuel_used: Fuel,
    /// What the contract returned.
    pub output: Bytes,
    /// How many events it emitted.
    pub event_count: u32,
    /// The [list root](list_root) of its events.
    pub events_root: Digest,
}

impl Format for Receipt {
    const NAME: &'static str = "receipt";
    const LIMIT: usize = 16 << 20;
}

impl Receipt {
    /// The leaf hash under an outcome's `receipts_root`.
    pub fn leaf(&self) -> Digest {
        merkle::Blake3::leaf(&codec::encode(self))
    }

    /// Whether the transaction did what it asked for.
    pub fn succeeded(&self) -> bool {
        self.status == Status::Succeeded
    }
}

/// Something a contract wants the world to know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// Who says so.
    pub contract: ContractId,
    /// What kind of event it is.
    pub topic: Text,
    /// The contract's own bytes.
    pub data: Bytes,
}

impl Format for Event {
    const NAME: &'static str = "event";
    const LIMIT: usize = 16 << 20;
}

impl Event {
    /// The leaf hash under a receipt's `events_root`.
    pub fn leaf(&self) -> Digest {
        merkle::Blake3::leaf(&codec::encode(self))
    }
}

/// A receipt and the events that it commits to, as they are stored and handed out.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransactionResult {
    /// The committed part.
    pub receipt: Receipt,
    /// The events.
    pub events: List<Event>,
}

impl Format for TransactionResult {
    const NAME: &'static str = "transaction result";
    const LIMIT: usize = 32 << 20;
}

impl TransactionResult {
    /// A receipt that commits to `events`.
    pub fn new(
        transaction: TransactionId,
        index: u32,
        status: Status,
        fuel_used: Fuel,
        output: Bytes,
        events: List<Event>,
    ) -> Self {
        let event_count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let events_root = events_root(&events);
        let receipt = Receipt { transaction, index, status, fuel_used, output, event_count, events_root };
        TransactionResult { receipt, events }
    }
}

/// The [list root](list_root) of a transaction's events. Most have none, and that root is always the same.
fn events_root(events: &[Event]) -> Digest {
    static NONE: LazyLock<Digest> = LazyLock::new(|| list_root::commit(domains::EVENTS, &[]));
    if events.is_empty() {
        return *NONE;
    }
    let mut bytes = Vec::new();
    let leaf = |event: &Event| {
        bytes.clear();
        codec::encode_into(event, &mut bytes);
        merkle::Blake3::leaf(&bytes)
    };
    list_root::commit(domains::EVENTS, &events.iter().map(leaf).collect::<Vec<Digest>>())
}

impl TransactionResult {
    /// Appends the result's encoding to `bytes`, and gives the leaf hash of its receipt, which stands at the front of it.
    pub fn encode_with_leaf(&self, bytes: &mut Vec<u8>) -> Digest {
        let start = bytes.len();
        codec::encode_into(&self.receipt, bytes);
        let leaf = merkle::Blake3::leaf(bytes.get(start..).unwrap_or_default());
        codec::encode_into(&self.events, bytes);
        leaf
    }
}

/// The [list root](list_root) of a block's receipts.
pub fn receipts_root(results: &[TransactionResult]) -> Digest {
    let leaves: Vec<Digest> = results.iter().map(|result| result.receipt.leaf()).collect();
    receipts_root_of(&leaves)
}

/// The [list root](list_root) of receipts with these leaf hashes.
pub fn receipts_root_of(leaves: &[Digest]) -> Digest {
    list_root::commit(domains::RECEIPTS, leaves)
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Status {
    /// It did what it asked for.
    Succeeded,
    /// It was in its place, and used it up, but its writes and events were rolled back.
    Failed(Failure),
    /// It should never have been in a block: it used nothing up, and replaces no earlier receipt.
    Rejected(Rejection),
}

/// Why a transaction had no effect but for using up its place.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It needed more fuel than its limit.
    #[error("out of fuel: the limit of {limit} was reached")]
    OutOfFuel {
        /// The transaction's limit.
        limit: Fuel,
    },
    /// The contract said no.
    #[error("the contract refused ({code}): {message}")]
    Refused {
        /// The contract's own number for the reason.
        code: u32,
        /// The contract's own words.
        message: Text,
    },
    /// The contract broke down (a panic, an invalid instruction, a call into nowhere).
    #[error("the contract trapped: {message}")]
    Trapped {
        /// What happened.
        message: Text,
    },
    /// There is no such contract.
    #[error("there is no contract {contract}")]
    UnknownContract {
        /// Who was called.
        contract: ContractId,
    },
    /// The contract has no such method.
    #[error("the contract has no method `{method}`")]
    UnknownMethod {
        /// What was called.
        method: Text,
    },
    /// This chain has no such runtime.
    #[error("this chain has no runtime `{runtime}`")]
    UnknownRuntime {
        /// The runtime asked for.
        runtime: Text,
    },
    /// The runtime refused the code.
    #[error("the runtime refused the code: {message}")]
    InvalidCode {
        /// Why.
        message: Text,
    },
    /// The body isn't what the action needs.
    #[error("the body is invalid: {message}")]
    InvalidBody {
        /// Why.
        message: Text,
    },
    /// The body was redacted.
    #[error("the transaction's body was redacted")]
    Redacted,
    /// A key, value, event or output over the chain's limit.
    #[error("{what} of {size} is over the chain's limit of {limit}")]
    Limit {
        /// What is too large.
        what: Text,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A read of a `Commit` no longer holds.
    #[error("a read no longer holds: {message}")]
    Conflict {
        /// Which.
        message: Text,
    },
    /// The account may not do this on this chain.
    #[error("the account may not {what} on this chain")]
    Forbidden {
        /// What was tried.
        what: Text,
    },
    /// In the format, but not executed by this version.
    #[error("{what} isn't supported by this version")]
    Unsupported {
        /// What was asked for.
        what: Text,
    },
}

impl Failure {
    /// The variant's number in the format.
    pub fn number(&self) -> u32 {
        match self {
            Failure::OutOfFuel { .. } => 0,
            Failure::Refused { .. } => 1,
            Failure::Trapped { .. } => 2,
            Failure::UnknownContract { .. } => 3,
            Failure::UnknownMethod { .. } => 4,
            Failure::UnknownRuntime { .. } => 5,
            Failure::InvalidCode { .. } => 6,
            Failure::InvalidBody { .. } => 7,
            Failure::Redacted => 8,
            Failure::Limit { .. } => 9,
            Failure::Conflict { .. } => 10,
            Failure::Forbidden { .. } => 11,
            Failure::Unsupported { .. } => 12,
        }
    }
}

/// Why a transaction should never have been in a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Not the next of its stream: a gap, or a replay.
    #[error("lane {lane} is at number {expected}, the transaction has number {found}")]
    OutOfOrder {
        /// The stream.
        lane: u64,
        /// The number that comes next.
        expected: u64,
        /// The transaction's number.
        found: u64,
    },
    /// The block is later than the transaction allows.
    #[error("the transaction expired at {expired_at} ms; the block's time is {now} ms")]
    Expired {
        /// The latest time it allowed.
        expired_at: Timestamp,
        /// The block's time.
        now: Timestamp,
    },
    /// The key that signed doesn't speak for the account.
    #[error("key {key} does not speak for the account")]
    WrongKey {
        /// The key.
        key: PublicKey,
    },
    /// The id was there before.
    #[error("the transaction was executed before")]
    Duplicate,
    /// In the format, but not executed by this version.
    #[error("{what} isn't supported by this version")]
    Unsupported {
        /// What was asked for.
        what: Text,
    },
    /// The block has no fuel left for it.
    #[error("the block has {left} fuel left; the transaction may use {limit}")]
    BlockFuel {
        /// What is left of the block's fuel.
        left: Fuel,
        /// The transaction's limit.
        limit: Fuel,
    },
    /// An unordered transaction whose id would have to be remembered for too long.
    #[error("the transaction expires at {expires_at} ms; an unordered one may do so until {latest} ms")]
    TooDistant {
        /// When it expires.
        expires_at: Timestamp,
        /// The latest expiry that the rules allow at the block's time.
        latest: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_number_that_its_encoding_begins_with() {
        let (text, contract) = (Text::from("x"), ContractId(Digest::ZERO));
        let all = [
            Failure::OutOfFuel { limit: Fuel(1) },
            Failure::Refused { code: 1, message: text.clone() },
            Failure::Trapped { message: text.clone() },
            Failure::UnknownContract { contract },
            Failure::UnknownMethod { method: text.clone() },
            Failure::UnknownRuntime { runtime: text.clone() },
            Failure::InvalidCode { message: text.clone() },
            Failure::InvalidBody { message: text.clone() },
            Failure::Redacted,
            Failure::Limit { what: text.clone(), size: 1, limit: 1 },
            Failure::Conflict { message: text.clone() },
            Failure::Forbidden { what: text.clone() },
            Failure::Unsupported { what: text },
        ];
        for (place, failure) in (0..).zip(all) {
            let encoded = codec::encode(&failure);
            assert_eq!((failure.number(), encoded.first().copied().map(u32::from)), (place, Some(place)));
        }
    }
}
