//! Roots and proofs of an append-only tree at any size that it ever had, out of its stored nodes.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::append::fold_peaks;
use super::{NodePosition, TreeHasher, split_point};
use crate::Digest;

/// Where the nodes that [`Frontier::append`](super::Frontier::append) reported were put.
///
/// Any closure of the method's shape is a reader, and so is a `BTreeMap` of nodes.
pub trait NodeReader {
    /// What reading can fail with.
    type Error;

    /// The node at `position`, or `None` if it isn't there.
    ///
    /// # Errors
    /// As the storage has them.
    fn node(&self, position: NodePosition) -> Result<Option<Digest>, Self::Error>;
}

impl<F, E> NodeReader for F
where
    F: Fn(NodePosition) -> Result<Option<Digest>, E>,
{
    type Error = E;

    fn node(&self, position: NodePosition) -> Result<Option<Digest>, E> {
        self(position)
    }
}

impl NodeReader for BTreeMap<NodePosition, Digest> {
    type Error = Infallible;

    fn node(&self, position: NodePosition) -> Result<Option<Digest>, Infallible> {
        Ok(self.get(&position).copied())
    }
}

/// Why a root or a proof couldn't be made from stored nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// A node that a tree of the size asked for must have isn't stored.
    #[error("merkle node {index} of level {level} is missing")]
    Missing {
        /// Level of the missing node.
        level: u8,
        /// Number of the missing node in its level.
        index: u64,
    },
    /// The leaf's index isn't below the size asked for.
    #[error("leaf {index} is outside a tree of {size} leaves")]
    IndexOutOfRange {
        /// Index that was asked about.
        index: u64,
        /// Size that was asked about.
        size: u64,
    },
    /// The older size is above the newer one.
    #[error("a tree of {old} leaves cannot have grown into one of {new}")]
    Shrunk {
        /// Size given as the older.
        old: u64,
        /// Size given as the newer.
        new: u64,
    },
    /// The storage failed.
    #[error("merkle node could not be read")]
    Storage(#[source] E),
}

/// Root of the tree when it had `size` leaves.
///
/// # Errors
/// [`ReadError`] if a node is missing or can't be read.
pub fn root_at<H: TreeHasher, R: NodeReader>(nodes: &R, size: u64) -> Result<Digest, ReadError<R::Error>> {
    range_root::<H, R>(nodes, 0, size)
}

/// The audit path of leaf `index` in the tree as it was at `size` leaves: what
/// [`verify_inclusion`](super::verify_inclusion) takes.
///
/// # Errors
/// [`ReadError`] if `index` isn't below `size`, or a node is missing or can't be read.
pub fn inclusion_proof<H: TreeHasher, R: NodeReader>(
    nodes: &R,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, ReadError<R::Error>> {
    if index >= size {
        return Err(ReadError::IndexOutOfRange { index, size });
    }
    let (mut start, mut count, mut path) = (0, size, Vec::new());
    while count > 1 {
        let left = split_point(count);
        if index - start < left {
            path.push(range_root::<H, R>(nodes, start + left, count - left)?);
            count = left;
        } else {
            path.push(range_root::<H, R>(nodes, start, left)?);
            start += left;
            count -= left;
        }
    }
    path.reverse();
    Ok(path)
}

/// Proof that the tree at `new` leaves is the tree at `old` leaves, grown: what
/// [`verify_consistency`](super::verify_consistency) takes. Empty if `old` is 0 or equals `new`.
///
/// # Errors
/// [`ReadError`] if `old` is above `new`, or a node is missing or can't be read.
pub fn consistency_proof<H: TreeHasher, R: NodeReader>(
    nodes: &R,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, ReadError<R::Error>> {
    if old > new {
        return Err(ReadError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    // RFC 9162, section 2.1.4.1: goes down to the node that ends where the older tree ends, collecting siblings.
    let (mut start, mut count, mut path) = (0, new, Vec::new());
    while start + count != old {
        let left = split_point(count);
        if old - start <= left {
            path.push(range_root::<H, R>(nodes, start + left, count - left)?);
            count = left;
        } else {
            path.push(range_root::<H, R>(nodes, start, left)?);
            start += left;
            count -= left;
        }
    }
    // With nothing to its left, that node is the older root, which the verifier has.
    if start != 0 {
        path.push(range_root::<H, R>(nodes, start, count)?);
    }
    path.reverse();
    Ok(path)
}

/// Root over `count` leaves from `start`, which is aligned to the smallest power of two not below `count`.
#[expect(clippy::cast_possible_truncation, reason = "a level is below 64")]
fn range_root<H: TreeHasher, R: NodeReader>(nodes: &R, start: u64, count: u64) -> Result<Digest, ReadError<R::Error>> {
    let mut peaks = Vec::with_capacity(count.count_ones() as usize);
    let mut rest = count;
    while rest != 0 {
        let level = rest.trailing_zeros();
        rest &= rest - 1;
        let position = NodePosition { level: level as u8, index: (start + rest) >> level };
        peaks.push(read(nodes, position)?);
    }
    Ok(fold_peaks::<H>(peaks.into_iter()))
}

fn read<R: NodeReader>(nodes: &R, position: NodePosition) -> Result<Digest, ReadError<R::Error>> {
    let NodePosition { level, index } = position;
    nodes.node(position).map_err(ReadError::Storage)?.ok_or(ReadError::Missing { level, index })
}
