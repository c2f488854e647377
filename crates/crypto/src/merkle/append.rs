//! The append-only tree's growing end.

use std::marker::PhantomData;

use super::TreeHasher;
use crate::Digest;

/// Names a complete node: the one over leaves `index << level` up to, not including, `(index + 1) << level`.
///
/// Level 0 holds the leaf hashes. What stands at a position never changes once it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePosition {
    /// Height above the leaves, 0 to 63.
    pub level: u8,
    /// Number among the nodes of its level, from the left and from 0.
    pub index: u64,
}

/// Why parts aren't a frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// A tree of this size has another number of peaks.
    #[error("a tree of {size} leaves has {expected} peaks, not {found}")]
    Peaks {
        /// Leaves in the tree.
        size: u64,
        /// Peaks that it has: one for each bit set in `size`.
        expected: usize,
        /// Peaks that were given.
        found: usize,
    },
}

/// The state that appending needs: the number of leaves and the peaks, at most 64 digests.
///
/// The peaks are the complete nodes that no larger complete node covers, from the left: one for each bit set in the
/// size, the largest first.
///
/// ```
/// use std::collections::BTreeMap;
/// use ledger_crypto::merkle::{self, Blake3, Frontier, TreeHasher};
///
/// let mut nodes = BTreeMap::new(); // stands for the caller's storage
/// let mut tree = Frontier::<Blake3>::default();
/// for block in ["first", "second", "third"] {
///     tree.append(Blake3::leaf(block.as_bytes()), &mut |position, digest| {
///         nodes.insert(position, digest);
///     });
/// }
/// let leaf = Blake3::leaf(b"second");
/// let path = merkle::inclusion_proof::<Blake3, _>(&nodes, 1, tree.size())?;
/// merkle::verify_inclusion::<Blake3>(&tree.root(), tree.size(), 1, &leaf, &path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Frontier<H> {
    size: u64,
    peaks: Vec<Digest>,
    hasher: PhantomData<fn() -> H>,
}

impl<H: TreeHasher> Frontier<H> {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self { size: 0, peaks: Vec::new(), hasher: PhantomData }
    }

    /// A tree that was stored as its [`size`](Self::size) and [`peaks`](Self::peaks).
    ///
    /// # Errors
    /// If that size has another number of peaks.
    pub fn from_parts(size: u64, peaks: Vec<Digest>) -> Result<Self, FrontierError> {
        let expected = size.count_ones() as usize;
        if peaks.len() != expected {
            return Err(FrontierError::Peaks { size, expected, found: peaks.len() });
        }
        Ok(Self { size, peaks, hasher: PhantomData })
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The peaks, from the left.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Appends a leaf hash and reports each node that it completes, the leaf itself first, then upwards: two nodes
    /// a leaf on average, at most 64.
    ///
    /// The caller stores what is reported if it wants proofs later, and nothing otherwise.
    pub fn append(&mut self, leaf: Digest, completed: &mut impl FnMut(NodePosition, Digest)) {
        let (mut node, mut index) = (leaf, self.size);
        let mut level = 0;
        completed(NodePosition { level, index }, node);
        // A right child completes its parent; the left one is the last peak.
        while index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            node = H::node(&left, &node);
            index >>= 1;
            level += 1;
            completed(NodePosition { level, index }, node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Root of the tree as it is now.
    pub fn root(&self) -> Digest {
        fold_peaks::<H>(self.peaks.iter().rev().copied())
    }
}

/// Joins peaks, given from the right, to the root over them.
pub(super) fn fold_peaks<H: TreeHasher>(from_right: impl Iterator<Item = Digest>) -> Digest {
    from_right.reduce(|right, left| H::node(&left, &right)).unwrap_or_else(H::empty)
}

impl<H: TreeHasher> Default for Frontier<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Clone for Frontier<H> {
    fn clone(&self) -> Self {
        Self { size: self.size, peaks: self.peaks.clone(), hasher: PhantomData }
    }
}

impl<H> PartialEq for Frontier<H> {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size && self.peaks == other.peaks
    }
}

impl<H> Eq for Frontier<H> {}

impl<H> std::fmt::Debug for Frontier<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frontier").field("size", &self.size).field("peaks", &self.peaks).finish_non_exhaustive()
    }
}
