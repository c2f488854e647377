//! Checking proofs with nothing but the proof.

use super::TreeHasher;
use crate::Digest;

/// Why a Merkle proof doesn't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MerkleError {
    /// The leaf's index isn't below the tree's size.
    #[error("leaf {index} is outside a tree of {size} leaves")]
    IndexOutOfRange {
        /// Index that was asked about.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("a tree of {old} leaves cannot have grown into one of {new}")]
    Shrunk {
        /// Size that is said to be older.
        old: u64,
        /// Size that is said to be newer.
        new: u64,
    },
    /// The path is shorter or longer than sizes and index demand.
    #[error("proof has {found} digests where {expected} are wanted")]
    PathLength {
        /// Digests that the proof must have.
        expected: usize,
        /// Digests that it has.
        found: usize,
    },
    /// The path has the right length and leads to another root.
    #[error("proof does not lead to the given root")]
    RootMismatch,
}

/// Checks that `leaf` (a leaf hash) is leaf number `index` of the tree of `size` leaves that has `root`.
///
/// RFC 9162, section 2.1.3.2, except that the length of the path is settled before anything is hashed.
///
/// # Errors
/// [`MerkleError`], naming what doesn't fit.
pub fn verify_inclusion<H: TreeHasher>(
    root: &Digest,
    size: u64,
    index: u64,
    leaf: &Digest,
    path: &[Digest],
) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::IndexOutOfRange { index, size });
    }
    expect_length(inclusion_length(index, size), path)?;
    if chain::<H>(*leaf, index, size - 1, path).newer == *root { Ok(()) } else { Err(MerkleError::RootMismatch) }
}

/// Checks that the tree of `new_size` leaves with `new_root` is the one of `old_size` leaves with `old_root`, grown.
///
/// RFC 9162, section 2.1.4.2. Beyond the RFC, two cases are defined that have nothing to prove and so an empty path:
/// equal sizes (the roots must be equal) and an empty older tree (its root must be [`TreeHasher::empty`]).
///
/// # Errors
/// [`MerkleError`], naming what doesn't fit.
pub fn verify_consistency<H: TreeHasher>(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    path: &[Digest],
) -> Result<(), MerkleError> {
    if old_size > new_size {
        return Err(MerkleError::Shrunk { old: old_size, new: new_size });
    }
    expect_length(consistency_length(old_size, new_size), path)?;
    let roots_fit = if old_size == new_size {
        old_root == new_root && (old_size != 0 || *old_root == H::empty())
    } else if old_size == 0 {
        *old_root == H::empty()
    } else {
        // The walk starts at the highest complete node that ends where the older tree ends.
        let level = old_size.trailing_zeros();
        let (start, path) = match path.split_first() {
            Some((first, rest)) if !old_size.is_power_of_two() => (first, rest),
            _ => (old_root, path),
        };
        let ends = chain::<H>(*start, (old_size - 1) >> level, (new_size - 1) >> level, path);
        ends.older == *old_root && ends.newer == *new_root
    };
    if roots_fit { Ok(()) } else { Err(MerkleError::RootMismatch) }
}

/// Roots that a walk from a node to the top ends at.
struct Ends {
    /// Of the tree that ends with the start node.
    older: Digest,
    /// Of the whole tree.
    newer: Digest,
}

/// Walks from node `index` of a level whose last node is `last` to the top, taking siblings from `path`.
fn chain<H: TreeHasher>(start: Digest, mut index: u64, mut last: u64, path: &[Digest]) -> Ends {
    let mut ends = Ends { older: start, newer: start };
    for sibling in path {
        // A last node without a sibling is lifted unchanged to where it has one.
        while index & 1 == 0 && index == last && last != 0 {
            index >>= 1;
            last >>= 1;
        }
        if index & 1 == 1 {
            ends.older = H::node(sibling, &ends.older);
            ends.newer = H::node(sibling, &ends.newer);
        } else {
            ends.newer = H::node(&ends.newer, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    ends
}

fn expect_length(expected: usize, path: &[Digest]) -> Result<(), MerkleError> {
    if path.len() == expected { Ok(()) } else { Err(MerkleError::PathLength { expected, found: path.len() }) }
}

/// Digests in the path from node `index` of a level with `size` nodes: below the level where its way joins the last
/// node's, every level has a sibling; above it, one for each left sibling of the last node.
const fn inclusion_length(index: u64, size: u64) -> usize {
    let joined = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let lifted = match (size - 1).checked_shr(joined) {
        Some(rest) => rest.count_ones(),
        None => 0,
    };
    (joined + lifted) as usize
}

const fn consistency_length(old: u64, new: u64) -> usize {
    if old == 0 || old == new {
        return 0;
    }
    let level = old.trailing_zeros();
    let walk = inclusion_length((old - 1) >> level, ((new - 1) >> level) + 1);
    // The older root is itself the start when the older tree is one complete node.
    if old.is_power_of_two() { walk } else { walk + 1 }
}
