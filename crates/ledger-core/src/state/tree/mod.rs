//! What a state root commits to, and how a proof shows it.
//!
//! The root is that of a *sorted* binary Merkle tree over all live keys: its leaves stand in the order of the keys, so
//! that one proof shows a key, the absence of a key, or everything in a range of keys.
//!
//! ```text
//! root(no keys)      = EMPTY (32 zero bytes)
//! root(one key)      = leaf(key, version, predecessor, value digest)
//! root(two or more)  = node(root(keys whose bit b is 0), root(keys whose bit b is 1)),
//!                      b the first bit in which any two of the keys differ
//! ```
//! That shape is a path-compressed binary trie (Morrison's PATRICIA, 1968; a crit-bit tree): it follows from the set of
//! keys alone, so the root doesn't depend on the order of writes, and a node has two children always.
//!
//! Bits are those of [`Key::to_bytes`], where each byte counts as nine: a 1, which says that there is a byte, then the
//! byte's own, the most significant first. Past the end come zeros. So a key that another one begins with comes before
//! it, and the order of leaves is the order of keys ([`bit`], [`crit_bit`]).
//!
//! # What is hashed
//! ```text
//! value digest = hash(STATE_VALUE, u64 length ‖ value ‖ zeros)
//! leaf         = hash(STATE_LEAF, u32 key length ‖ u64 height ‖ u32 index ‖ u8 has a predecessor ‖ 15 zero bytes
//!                                 ‖ predecessor's leaf, or zeros ‖ value digest ‖ key ‖ zeros)
//! node         = hash(STATE_NODE, left ‖ right)
//! ```
//! Numbers are little-endian. The zeros at the end fill up to a multiple of 64 bytes, so that messages of one length
//! are hashed side by side ([`hash_many`](ledger_crypto::hash_many)); with the length in front they are injective.
//! Leaves and nodes are hashed in different domains, and a leaf covers its whole key, so no subtree can stand for
//! another. No digest of a leaf or node is zero but with probability 2⁻²⁵⁶.
//!
//! A leaf holds the digest of the leaf that it replaced. So a key's values are a hash chain, and a [`ValueHistory`]
//! shows the older ones by the newest.

mod build;
mod history;
mod pruned;

use super::{Key, Version, Versioned};
use crate::domains;
use ledger_crypto::{Digest, Hasher, hash};

pub use build::{prove_range, root_of};
pub use history::{ProvenValues, ValueHistory, ValueHistoryError};
pub use pruned::{LeafDefect, PrunedTree, StateProofError, Step};

/// The root of a tree without keys.
pub const EMPTY: Digest = Digest::ZERO;

/// The longest name that a key has, in bytes; its namespace takes 32 more.
pub const MAX_KEY_NAME_BYTES: usize = 1024;

/// The most inner nodes above a leaf: the bits of the longest key.
pub const MAX_DEPTH: usize = 9 * (32 + MAX_KEY_NAME_BYTES);

/// Messages are filled up to a multiple of this many bytes: a block of BLAKE3.
const BLOCK: usize = 64;

/// Bytes of a leaf's message before its key.
const LEAF_HEADER: usize = 96;

/// The digest of `value` in its leaf.
pub fn value_digest(value: &[u8]) -> Digest {
    let mut hasher = Hasher::new(domains::STATE_VALUE);
    write_value(value, &mut |bytes| _ = hasher.update(bytes));
    hasher.finalize()
}

/// The digest of the leaf of `key` ([`Key::to_bytes`]).
pub fn leaf(key: &[u8], version: Version, predecessor: Option<&Digest>, value_digest: &Digest) -> Digest {
    let mut hasher = Hasher::new(domains::STATE_LEAF);
    write_leaf(key, version, predecessor, value_digest, &mut |bytes| _ = hasher.update(bytes));
    hasher.finalize()
}

/// The digest of an inner node.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    let mut message = [0u8; BLOCK];
    let (front, back) = message.split_at_mut(32);
    front.copy_from_slice(left.as_bytes());
    back.copy_from_slice(right.as_bytes());
    hash(domains::STATE_NODE, &message)
}

/// Appends what [`leaf`] hashes in [`domains::STATE_LEAF`]: a multiple of 64 bytes, from 128 on.
pub fn leaf_message(
    key: &[u8],
    version: Version,
    predecessor: Option<&Digest>,
    value_digest: &Digest,
    out: &mut Vec<u8>,
) {
    write_leaf(key, version, predecessor, value_digest, &mut |bytes| out.extend_from_slice(bytes));
}

/// Appends what [`value_digest`] hashes in [`domains::STATE_VALUE`]: a multiple of 64 bytes, from 64 on.
pub fn value_message(value: &[u8], out: &mut Vec<u8>) {
    write_value(value, &mut |bytes| out.extend_from_slice(bytes));
}

fn write_leaf(
    key: &[u8],
    version: Version,
    predecessor: Option<&Digest>,
    value_digest: &Digest,
    put: &mut dyn FnMut(&[u8]),
) {
    // No key in memory is longer than 4 GiB: its length is in front of it on every way that it came.
    put(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    put(&version.height.0.to_le_bytes());
    put(&version.index.to_le_bytes());
    put(&[u8::from(predecessor.is_some())]);
    put(&[0; 15]);
    put(predecessor.unwrap_or(&Digest::ZERO).as_bytes());
    put(value_digest.as_bytes());
    put(key);
    fill(LEAF_HEADER + key.len(), put);
}

fn write_value(value: &[u8], put: &mut dyn FnMut(&[u8])) {
    put(&(value.len() as u64).to_le_bytes());
    put(value);
    fill(8 + value.len(), put);
}

/// The zeros that a message of `length` bytes lacks of whole blocks.
fn fill(length: usize, put: &mut dyn FnMut(&[u8])) {
    let missing = length.next_multiple_of(BLOCK) - length;
    put([0; BLOCK].get(..missing).unwrap_or_default());
}

/// Bit `index` of `key` ([`Key::to_bytes`]), nine to a byte.
pub fn bit(key: &[u8], index: u32) -> bool {
    match (key.get((index / 9) as usize), index % 9) {
        (None, _) => false,
        (Some(_), 0) => true,
        (Some(byte), place) => byte & (0x80 >> (place - 1)) != 0,
    }
}

/// The first bit in which two keys ([`Key::to_bytes`]) differ; `None` where they are the same.
///
/// The lesser key has a 0 there, the greater one a 1.
pub fn crit_bit(a: &[u8], b: &[u8]) -> Option<u32> {
    let place = a.iter().zip(b).position(|(a, b)| a != b);
    let (byte, within) = match place {
        Some(at) => (at, 1 + (a.get(at)? ^ b.get(at)?).leading_zeros()),
        None if a.len() == b.len() => return None,
        None => (a.len().min(b.len()), 0),
    };
    u32::try_from(byte).ok()?.checked_mul(9)?.checked_add(within)
}

/// The key's name is too long for the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a state key's name of {found} bytes is over its limit of {MAX_KEY_NAME_BYTES} bytes")]
pub struct KeyLengthError {
    /// The name's length in bytes.
    pub found: usize,
}

impl Key {
    /// Whether the state can hold the key: its name has at most [`MAX_KEY_NAME_BYTES`].
    ///
    /// # Errors
    /// [`KeyLengthError`] when it is longer.
    pub fn check(&self) -> Result<(), KeyLengthError> {
        match self.name.len() {
            0..=MAX_KEY_NAME_BYTES => Ok(()),
            found => Err(KeyLengthError { found }),
        }
    }

    /// The least key that is greater: this one and a zero byte.
    pub fn successor(&self) -> Key {
        let mut name = Vec::with_capacity(self.name.len() + 1);
        name.extend_from_slice(&self.name);
        name.push(0);
        Key::new(self.namespace, name)
    }
}

impl Versioned {
    /// The digest of the leaf that holds this value of `key`; the next version's predecessor.
    pub fn leaf(&self, key: &Key) -> Digest {
        leaf(&key.to_bytes(), self.version, self.predecessor.as_ref(), &value_digest(&self.value))
    }
}
