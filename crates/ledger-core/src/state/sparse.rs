//! The sparse tree that [`tree`](super::tree) replaces, for stores that haven't moved yet.
//!
//! The root is that of a sparse binary Merkle tree over the digests of all live keys. A key's place is the path that
//! the bits of its [digest](key_digest) spell, most significant first: 0 is left, 1 is right.
//!
//! ```text
//! root(no keys)        = EMPTY (32 zero bytes)
//! root(one key)        = leaf(key digest, content digest)           at whatever depth: a lone key is lifted
//! root(two or more)    = node(root(keys whose next bit is 0), root(keys whose next bit is 1))
//! content              = digest of value digest, version and predecessor
//! ```
//! The shape follows from the set of keys alone, so the root doesn't depend on the order of writes. Leaves and nodes
//! are hashed in different domains, and a leaf covers its whole key digest, so that no lifted leaf can stand for
//! another key. No digest of a leaf or node is zero but with probability 2⁻²⁵⁶.

use super::{Key, Version, Versioned};
use crate::codec::wire::de::{BorrowDecode, BorrowDecoder, Decoder};
use crate::codec::wire::error::DecodeError;
use crate::codec::{Bytes, Decode, Encode, List};
use crate::domains;
use ledger_crypto::{Digest, hash};

/// The root of an empty tree.
pub const EMPTY: Digest = Digest::ZERO;

/// The most steps that a path has: the bits of a digest.
pub const MAX_DEPTH: usize = 256;

/// The place of `key` in the tree.
pub fn key_digest(key: &Key) -> Digest {
    hash(domains::SPARSE_KEY, &key.to_bytes())
}

/// The digest of what a leaf says of its key.
pub fn content_digest(value: &[u8], version: Version, predecessor: Option<&Digest>) -> Digest {
    let mut message = [0u8; 77];
    let mut parts = message.as_mut_slice();
    for part in [
        hash(domains::SPARSE_VALUE, value).as_bytes().as_slice(),
        &version.height.0.to_le_bytes(),
        &version.index.to_le_bytes(),
        &[u8::from(predecessor.is_some())],
        predecessor.unwrap_or(&Digest::ZERO).as_bytes(),
    ] {
        let (front, rest) = parts.split_at_mut(part.len());
        front.copy_from_slice(part);
        parts = rest;
    }
    hash(domains::SPARSE_CONTENT, &message)
}

/// The digest of a leaf.
pub fn leaf(key: &Digest, content: &Digest) -> Digest {
    pair(domains::SPARSE_LEAF, key, content)
}

/// The digest of an inner node.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    pair(domains::SPARSE_NODE, left, right)
}

fn pair(domain: ledger_crypto::Domain, first: &Digest, second: &Digest) -> Digest {
    let mut message = [0u8; 64];
    let (front, back) = message.split_at_mut(32);
    front.copy_from_slice(first.as_bytes());
    back.copy_from_slice(second.as_bytes());
    hash(domain, &message)
}

/// Bit `depth` of a key digest, most significant first: whether the path turns right there.
pub fn turns_right(key: &Digest, depth: usize) -> bool {
    key.as_bytes().get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

/// How many leading bits two key digests share.
pub fn shared_bits(a: &Digest, b: &Digest) -> usize {
    let mut bits = 0;
    for (a, b) in a.as_bytes().iter().zip(b.as_bytes()) {
        let difference = (a ^ b).leading_zeros() as usize;
        bits += difference;
        if difference < 8 {
            break;
        }
    }
    bits
}

impl Versioned {
    /// The digest of the leaf that holds this value of `key` in the sparse tree; the next version's predecessor there.
    pub fn sparse_leaf(&self, key: &Key) -> Digest {
        leaf(&key_digest(key), &content_digest(&self.value, self.version, self.predecessor.as_ref()))
    }
}

/// The way from a place in the tree up to its root.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct StatePath {
    /// What stands where the key's path ends.
    pub end: PathEnd,
    /// The siblings, from the root's children down; `None` is an empty subtree. At most [`MAX_DEPTH`].
    pub siblings: List<Option<Digest>>,
}

// By hand: an empty subtree takes a byte of input and 33 bytes of memory, so the list's length needs its own limit.
impl<C> Decode<C> for StatePath {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(StatePath { end: PathEnd::decode(decoder)?, siblings: List::decode_at_most(decoder, MAX_DEPTH)? })
    }
}

impl<'de, C> BorrowDecode<'de, C> for StatePath {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        <Self as Decode<C>>::decode(decoder)
    }
}

/// What stands where a key's path ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum PathEnd {
    /// The key's own leaf.
    Present(Versioned),
    /// Nothing: no key begins with the path's bits.
    Empty,
    /// The leaf of another key, the only one that begins with the path's bits.
    Other {
        /// The other key's digest.
        key: Digest,
        /// The digest of what its leaf says.
        content: Digest,
    },
}

/// Why a path proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateProofError {
    /// An empty subtree that is written out: it has one form, `None`.
    #[error("the sibling at step {level} is the empty subtree's zero digest, which must be left out")]
    ZeroSibling {
        /// The step, counted from the root.
        level: usize,
    },
    /// More steps than a digest has bits.
    #[error("the path has {found} steps; a digest has {MAX_DEPTH} bits")]
    TooDeep {
        /// How many there are.
        found: usize,
    },
    /// The leaf shown for absence isn't on the key's path, or is the key's own.
    #[error("the leaf shown isn't another key's on this key's path (it shares {shared} bits of {depth})")]
    OffPath {
        /// Leading bits in common.
        shared: usize,
        /// The path's length.
        depth: usize,
    },
    /// The path leads elsewhere.
    #[error("the path leads to root {found}, not to {expected}")]
    WrongRoot {
        /// The root it leads to.
        found: Digest,
        /// The root it was held against.
        expected: Digest,
    },
}

impl StatePath {
    /// Verifies against a state root what `key`'s value is: `Some` where it is present, `None` where it is absent.
    ///
    /// # Errors
    /// [`StateProofError`] when the path doesn't prove it.
    pub fn verify(&self, root: &Digest, key: &Key) -> Result<Option<&Versioned>, StateProofError> {
        let depth = self.siblings.len();
        if depth > MAX_DEPTH {
            return Err(StateProofError::TooDeep { found: depth });
        }
        if let Some(level) = self.siblings.iter().position(|sibling| *sibling == Some(EMPTY)) {
            return Err(StateProofError::ZeroSibling { level });
        }
        let place = key_digest(key);
        let (mut found, value) = match &self.end {
            PathEnd::Present(versioned) => {
                let content = content_digest(&versioned.value, versioned.version, versioned.predecessor.as_ref());
                (leaf(&place, &content), Some(versioned))
            }
            PathEnd::Empty => (EMPTY, None),
            PathEnd::Other { key: other, content } => {
                let shared = shared_bits(&place, other);
                if shared < depth || shared == MAX_DEPTH {
                    return Err(StateProofError::OffPath { shared, depth });
                }
                (leaf(other, content), None)
            }
        };
        for (level, sibling) in self.siblings.iter().enumerate().rev() {
            let sibling = sibling.as_ref().unwrap_or(&EMPTY);
            found = match turns_right(&place, level) {
                true => node(sibling, &found),
                false => node(&found, sibling),
            };
        }
        match found == *root {
            true => Ok(value),
            false => Err(StateProofError::WrongRoot { found, expected: *root }),
        }
    }
}

/// The root over `leaves` (key digest, content digest), sorted by key digest and distinct. Independent of any stored
/// tree, it is what stored trees are tested against.
pub fn root_of(leaves: &[(Digest, Digest)]) -> Digest {
    root_below(leaves, 0)
}

fn root_below(leaves: &[(Digest, Digest)], depth: usize) -> Digest {
    match leaves {
        [] => EMPTY,
        [(key, content)] => leaf(key, content),
        _ if depth >= MAX_DEPTH => EMPTY,
        several => {
            let middle = several.partition_point(|(key, _)| !turns_right(key, depth));
            let (left, right) = several.split_at(middle);
            node(&root_below(left, depth + 1), &root_below(right, depth + 1))
        }
    }
}

/// The path of `key` in the tree over `leaves`, as [`root_of`] builds it. `versioned` is the key's value, if present.
pub fn path_of(leaves: &[(Digest, Digest)], key: &Key, versioned: Option<Versioned>) -> StatePath {
    let place = key_digest(key);
    let mut siblings = Vec::new();
    let mut rest = leaves;
    while rest.len() > 1 {
        let depth = siblings.len();
        let middle = rest.partition_point(|(key, _)| !turns_right(key, depth));
        let (left, right) = rest.split_at(middle);
        let (taken, other) = if turns_right(&place, depth) { (right, left) } else { (left, right) };
        siblings.push(Some(root_below(other, depth + 1)).filter(|digest| *digest != EMPTY));
        rest = taken;
    }
    let end = match (rest, versioned) {
        ([(found, _)], Some(versioned)) if *found == place => PathEnd::Present(versioned),
        ([(key, content)], _) => PathEnd::Other { key: *key, content: *content },
        _ => PathEnd::Empty,
    };
    StatePath { end, siblings: siblings.into() }
}

/// A value, for tests and tools that build leaves by hand.
pub fn versioned(value: &[u8], height: u64, index: u32) -> Versioned {
    Versioned {
        value: Bytes::from(value),
        version: Version { height: crate::Height(height), index },
        predecessor: None,
    }
}
