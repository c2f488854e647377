//! Merkle trees of the shape of [RFC 9162](https://www.rfc-editor.org/rfc/rfc9162#section-2.1), over any [`TreeHasher`].
//!
//! ```text
//!        root of 7 leaves          a tree of n > 1 leaves is node(left, right), where left holds the
//!        /            \            largest power of two below n; nothing is duplicated or padded
//!      n2,0            *
//!     /    \         /   \         a node that covers a full, aligned power of two never changes again:
//!   n1,0  n1,1    n1,2    6        NodePosition { level, index } names it for ever
//!   /  \  /  \    /  \
//!  0    1 2   3  4    5
//! ```
//!
//! Leaves go in as leaf hashes ([`TreeHasher::leaf`]), so a tree never holds the data. Three ways to use it:
//! - [`root`] and [`prove_inclusion`] over a slice, for a tree that is made once (the transactions of a block);
//! - [`Frontier`], the append-only tree, whose state is O(log n) digests and which hands every completed node to the
//!   caller's storage; over a [`NodeReader`] of those nodes [`root_at`], [`inclusion_proof`] and
//!   [`consistency_proof`] answer for every size that the tree ever had, in O(log n) reads;
//! - [`verify_inclusion`] and [`verify_consistency`], which need nothing but the proof. They are strict: a path that
//!   is longer or shorter than sizes and index demand is refused, so a proof has one form.

mod append;
mod history;
mod verify;

pub use append::{Frontier, FrontierError, NodePosition};
pub use history::{NodeReader, ReadError, consistency_proof, inclusion_proof, root_at};
pub use verify::{MerkleError, verify_consistency, verify_inclusion};

use crate::{Digest, Domain, hash};

/// How leaves and nodes are hashed. Leaf, node and empty tree must never collide with each other.
pub trait TreeHasher {
    /// Root of the tree without leaves.
    fn empty() -> Digest;
    /// Hash of a leaf's data.
    fn leaf(data: &[u8]) -> Digest;
    /// Hash of an inner node over its children.
    fn node(left: &Digest, right: &Digest) -> Digest;
}

/// BLAKE3 in its keyed mode, with a [`Domain`] each for leaves, nodes and the empty tree. A node is one compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blake3;

const LEAF: Domain = Domain::new("ledgerkit merkle leaf");
const NODE: Domain = Domain::new("ledgerkit merkle node");
const EMPTY: Domain = Domain::new("ledgerkit merkle empty");

impl TreeHasher for Blake3 {
    fn empty() -> Digest {
        hash(EMPTY, &[])
    }

    fn leaf(data: &[u8]) -> Digest {
        hash(LEAF, data)
    }

    fn node(left: &Digest, right: &Digest) -> Digest {
        let mut children = [0; 64];
        let (first, second) = children.split_at_mut(32);
        first.copy_from_slice(left.as_bytes());
        second.copy_from_slice(right.as_bytes());
        hash(NODE, &children)
    }
}

/// SHA-256 as RFC 9162 has it: `0x00` before a leaf's data, `0x01` before two children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256;

fn sha256(parts: &[&[u8]]) -> Digest {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest::new(hasher.finalize().into())
}

impl TreeHasher for Sha256 {
    fn empty() -> Digest {
        sha256(&[])
    }

    fn leaf(data: &[u8]) -> Digest {
        sha256(&[&[0], data])
    }

    fn node(left: &Digest, right: &Digest) -> Digest {
        sha256(&[&[1], left.as_bytes(), right.as_bytes()])
    }
}

/// Root of the tree over `leaves`, which are leaf hashes.
pub fn root<H: TreeHasher>(leaves: &[Digest]) -> Digest {
    let mut frontier = Frontier::<H>::default();
    for leaf in leaves {
        frontier.append(*leaf, &mut |_, _| {});
    }
    frontier.root()
}

/// The audit path of `leaves[index]`, from the leaf's sibling up: what [`verify_inclusion`] takes.
///
/// `None` if there is no such leaf. Hashes the whole tree: for many proofs of a large tree keep its nodes and use
/// [`inclusion_proof`].
pub fn prove_inclusion<H: TreeHasher>(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut rest, mut index, mut path) = (leaves, index, Vec::new());
    while rest.len() > 1 {
        let left = usize::try_from(split_point(rest.len() as u64)).ok()?;
        let (left, right) = rest.split_at_checked(left)?;
        if index < left.len() {
            path.push(root::<H>(right));
            rest = left;
        } else {
            path.push(root::<H>(left));
            index -= left.len();
            rest = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The largest power of two below `size`, which is at least 2: where a tree divides.
const fn split_point(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}
