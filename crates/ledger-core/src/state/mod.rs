//! The state as executors, proofs and storage see it: versioned values under namespaced keys.
//!
//! [`StateView`] is the seam: storage and simulations implement it, executors read through it. [`tree`] says what a
//! state root commits to and verifies proofs against it.

pub mod tree;

use crate::codec::{Bytes, Decode, Encode, Format};
use crate::id::{AccountId, ContractId, TransactionId};
use crate::units::{Height, Timestamp};
use core::cmp::Ordering;
use core::fmt;
use ledger_crypto::Digest;

/// The namespace that the chain itself writes: accounts, contracts. No contract's id is zero.
pub const SYSTEM: ContractId = ContractId(Digest::ZERO);

/// Where a value is: a contract's namespace, and a key of the contract's own choice in it. Keys are ordered by
/// namespace, then by their bytes.
#[derive(Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Key {
    /// Whose value it is.
    pub namespace: ContractId,
    /// Its name there.
    pub name: Bytes,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        // Mostly the namespaces are the same, which is seen in fewer steps than which comes first.
        if self.namespace == other.namespace {
            return self.name.cmp(&other.name);
        }
        self.namespace.cmp(&other.namespace)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Format for Key {
    const NAME: &'static str = "state key";
    const LIMIT: usize = 8 << 10;
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}", self.namespace, self.name)
    }
}

impl Key {
    /// The key `name` of `namespace`.
    pub fn new(namespace: ContractId, name: impl Into<Bytes>) -> Self {
        Key { namespace, name: name.into() }
    }

    /// Where the number is stored that comes next in `lane` of `account`: 8 bytes, little-endian; absent means 0.
    pub fn sequence(account: &AccountId, lane: u64) -> Self {
        let mut name = Vec::with_capacity(41);
        name.push(b'a');
        name.extend_from_slice(account.0.as_bytes());
        name.extend_from_slice(&lane.to_be_bytes());
        Key::new(SYSTEM, name)
    }

    /// Where an unordered transaction's id is remembered until it expires: no value (0 bytes), whose version says where
    /// it was executed. In the order of expiry, so that those which are past stand together.
    pub fn unordered(expires_at: Timestamp, id: &TransactionId) -> Self {
        let mut name = Vec::with_capacity(41);
        name.push(b'u');
        name.extend_from_slice(&expires_at.0.to_be_bytes());
        name.extend_from_slice(id.0.as_bytes());
        Key::new(SYSTEM, name)
    }

    /// Where what is known of a contract is stored.
    pub fn contract(contract: &ContractId) -> Self {
        let mut name = Vec::with_capacity(33);
        name.push(b'c');
        name.extend_from_slice(contract.0.as_bytes());
        Key::new(SYSTEM, name)
    }

    /// Namespace and name as one byte string. Injective, since a namespace has a fixed length; sorts as the key does.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + self.name.len());
        bytes.extend_from_slice(self.namespace.0.as_bytes());
        bytes.extend_from_slice(&self.name);
        bytes
    }

    /// The key that [`Key::to_bytes`] gave, or `None` for fewer than 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (namespace, name) = bytes.split_first_chunk::<32>()?;
        Some(Key::new(ContractId(Digest::new(*namespace)), name))
    }
}

/// Which transaction wrote a value: block and place in it. Ordered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Version {
    /// The block.
    pub height: Height,
    /// The transaction's place in the block.
    pub index: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.height, self.index)
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// Which transaction wrote it.
    pub version: Version,
    /// The [leaf](tree::leaf) that this value replaced; `None` where the key had no value before. It makes a key's
    /// values a hash chain, so that an older one is proven by the current one.
    pub predecessor: Option<Digest>,
}

impl Format for Versioned {
    const NAME: &'static str = "versioned value";
    const LIMIT: usize = 16 << 20;
}

/// Keys of one namespace from `from` (inclusive) to `to` (exclusive; `None` is the namespace's end).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyRange {
    /// Whose keys.
    pub namespace: ContractId,
    /// The first name.
    pub from: Bytes,
    /// The name before which to stop.
    pub to: Option<Bytes>,
}

impl KeyRange {
    /// All keys of `namespace` whose name begins with `prefix`.
    pub fn prefix(namespace: ContractId, prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        let to = end.pop().map(|last| {
            end.push(last.saturating_add(1));
            Bytes::from(end)
        });
        KeyRange { namespace, from: Bytes::from(prefix), to }
    }

    /// The ids of unordered transactions that expired before `now`.
    pub fn unordered_before(now: Timestamp) -> Self {
        let mut to = vec![b'u'];
        to.extend_from_slice(&now.0.to_be_bytes());
        KeyRange { namespace: SYSTEM, from: Bytes::from(b"u".as_slice()), to: Some(Bytes::from(to)) }
    }

    /// The range's first key, and the key before which it ends; `None` is the end of all keys.
    pub fn bounds(&self) -> (Key, Option<Key>) {
        let to = match &self.to {
            Some(name) => Some(Key::new(self.namespace, name.clone())),
            None => next_namespace(&self.namespace).map(|next| Key::new(next, Bytes::default())),
        };
        (Key::new(self.namespace, self.from.clone()), to)
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        key.namespace == self.namespace && key.name >= self.from && self.to.as_ref().is_none_or(|end| key.name < *end)
    }
}

/// The namespace that comes after `namespace` in the order of keys; `None` after the last.
fn next_namespace(namespace: &ContractId) -> Option<ContractId> {
    let mut bytes = *namespace.0.as_bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(ContractId(Digest::new(bytes)));
        }
    }
    None
}

/// Why the state can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The height isn't kept, or not yet reached.
    #[error("the state at height {height} isn't there; kept are {oldest} to {newest}")]
    Height {
        /// The height asked for.
        height: Height,
        /// The oldest that is kept.
        oldest: Height,
        /// The newest that was applied.
        newest: Height,
    },
    /// A key that no state holds.
    #[error(transparent)]
    KeyLength(#[from] tree::KeyLengthError),
    /// A value that no state holds.
    #[error("a value has {length} bytes; the limit is {limit}")]
    ValueLength {
        /// Its length.
        length: usize,
        /// The longest.
        limit: usize,
    },
    /// A range that no one proof shows.
    #[error("the range has more than {limit} keys; ask for a smaller one")]
    RangeLength {
        /// The most keys.
        limit: usize,
    },
    /// A range whose keys and values no one proof shows.
    #[error("the keys and values of the range take more than {limit} bytes; ask for a smaller one")]
    RangeBytes {
        /// The most bytes.
        limit: usize,
    },
    /// What was stored isn't what was written.
    #[error("the stored state is damaged at {place}: {reason}")]
    Damaged {
        /// Where.
        place: String,
        /// What was met there.
        reason: String,
    },
    /// The engine below failed.
    #[error("the state can't be read: {reason}")]
    Engine {
        /// What the engine said.
        reason: String,
    },
}

/// What a scan of a state view gives: keys in order, with their values.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<(Key, Versioned), StateError>> + 'a>;

/// The state at one height. Views are cheap, many, and don't block the writer.
pub trait StateView: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StateError`] when it can't be read; an absent key is `Ok(None)`.
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError>;

    /// The values of `keys`, in their order.
    ///
    /// # Errors
    /// [`StateError`] when one can't be read.
    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// The keys of `range` that have a value, in order.
    fn scan(&self, range: &KeyRange) -> Scan<'_>;
}

/// A key's new value in a block, written by the transaction at `index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Key,
    /// The transaction's place in the block.
    pub index: u32,
    /// The value; `None` deletes.
    pub value: Option<Bytes>,
}

/// What a block writes: sorted by key, then by transaction; at most one write a key and transaction. Every one of
/// them is a version of its own in the key's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes(Vec<Write>);

impl Writes {
    /// The writes in canonical order. Of two writes of one transaction to one key, the later in `writes` counts.
    pub fn new(mut writes: Vec<Write>) -> Self {
        // As a journal gives them.
        if writes.is_sorted_by(|one, next| (&one.key, one.index) < (&next.key, next.index)) {
            return Writes(writes);
        }
        writes.sort_by(|a, b| (&a.key, a.index).cmp(&(&b.key, b.index)));
        let mut sorted: Vec<Write> = Vec::with_capacity(writes.len());
        for write in writes {
            match sorted.last_mut() {
                Some(last) if last.key == write.key && last.index == write.index => *last = write,
                _ => sorted.push(write),
            }
        }
        Writes(sorted)
    }

    /// All writes, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Write> {
        self.0.iter()
    }

    /// The writes of each key: never empty, in the order of transactions.
    pub fn by_key(&self) -> impl Iterator<Item = &[Write]> {
        self.0.chunk_by(|a, b| a.key == b.key)
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Writes {
    type Item = &'a Write;
    type IntoIter = core::slice::Iter<'a, Write>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
