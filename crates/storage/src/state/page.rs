//! Up to [`MAX_LEAVES`] neighbouring leaves of the tree, packed.
//!
//! ```text
//!   n − 1 critical bits, 2 bytes each | n addresses, 6 bytes each | n leaf digests, 32 bytes each
//! ```
//! The keys themselves aren't here: between two neighbours stands only the first bit in which they differ (a *blind*
//! trie, as in Ferragina and Grossi's string B-tree, 1999). Looking a key up therefore gives a candidate, whose record
//! on disk says whether it is the key. A leaf costs 40 bytes.

use ledger_core::state::tree;
use ledger_crypto::Digest;

use crate::engine::Address;

/// A page with more leaves is split.
pub(super) const MAX_LEAVES: usize = 40;

const CRIT: usize = 2;
const ADDRESS: usize = 6;
const DIGEST: usize = 32;
/// What a leaf takes.
pub(super) const LEAF_BYTES: usize = CRIT + ADDRESS + DIGEST;

/// A leaf: where its newest record is, and its digest, which is zero when that record deletes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) address: Address,
    pub(super) digest: Digest,
}

/// Leaves in the order of their keys; together the subtree of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page(Box<[u8]>);

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

impl Page {
    /// The page of `leaves`, between each two of which stands one of `crits`.
    pub(super) fn new(leaves: &[Leaf], crits: &[u16]) -> Self {
        let mut bytes = Vec::with_capacity((leaves.len() * LEAF_BYTES).saturating_sub(CRIT));
        for crit in crits.iter().take(leaves.len().saturating_sub(1)) {
            bytes.extend_from_slice(&crit.to_le_bytes());
        }
        for leaf in leaves {
            bytes.extend_from_slice(&leaf.address.packed());
        }
        for leaf in leaves {
            bytes.extend_from_slice(leaf.digest.as_bytes());
        }
        Self(bytes.into_boxed_slice())
    }

    /// How many leaves there are, those of deleted keys included.
    pub(super) fn len(&self) -> usize {
        (self.0.len() + CRIT) / LEAF_BYTES
    }

    fn addresses(&self) -> usize {
        self.len().saturating_sub(1) * CRIT
    }

    fn digests(&self) -> usize {
        self.addresses() + self.len() * ADDRESS
    }

    /// The bit in which the keys of leaves `index` and `index + 1` differ.
    pub(super) fn crit(&self, index: usize) -> u16 {
        u16::from_le_bytes(array(&self.0, index * CRIT))
    }

    pub(super) fn crits(&self) -> impl Iterator<Item = u16> {
        let (pairs, _) = self.0.get(..self.addresses()).unwrap_or_default().as_chunks::<CRIT>();
        pairs.iter().map(|pair| u16::from_le_bytes(*pair))
    }

    pub(super) fn address(&self, index: usize) -> Address {
        Address::from_packed(array(&self.0, self.addresses() + index * ADDRESS))
    }

    pub(super) fn digest(&self, index: usize) -> Digest {
        Digest::new(array(&self.0, self.digests() + index * DIGEST))
    }

    pub(super) fn digest_bytes(&self) -> &[[u8; 32]] {
        self.0.get(self.digests()..).unwrap_or_default().as_chunks::<DIGEST>().0
    }

    pub(super) fn leaf(&self, index: usize) -> Leaf {
        Leaf { address: self.address(index), digest: self.digest(index) }
    }

    pub(super) fn leaves(&self) -> impl DoubleEndedIterator<Item = Leaf> {
        (0..self.len()).map(|index| self.leaf(index))
    }

    /// Replaces leaf `index`.
    pub(super) fn set(&mut self, index: usize, leaf: Leaf) {
        let address = self.addresses() + index * ADDRESS;
        let digest = self.digests() + index * DIGEST;
        if let Some(place) = self.0.get_mut(address..address + ADDRESS) {
            place.copy_from_slice(&leaf.address.packed());
        }
        if let Some(place) = self.0.get_mut(digest..digest + DIGEST) {
            place.copy_from_slice(leaf.digest.as_bytes());
        }
    }

    /// The leaf that shares the longest prefix with `key`, as far as this page's bits can tell.
    pub(super) fn candidate(&self, key: &[u8]) -> usize {
        let mut found = 0;
        let mut skipped_above = u16::MAX;
        for (index, crit) in self.crits().enumerate() {
            // Neighbours below a branch that turned left belong to its right side.
            if crit > skipped_above {
                continue;
            }
            if tree::bit(key, u32::from(crit)) {
                found = index + 1;
                skipped_above = u16::MAX;
            } else {
                skipped_above = crit;
            }
        }
        found
    }

    /// The leaves that share `crit` bits with leaf `index`: the first, and the one after the last.
    pub(super) fn below(&self, index: usize, crit: u16) -> (usize, usize) {
        let mut first = index;
        while first > 0 && self.crit(first - 1) > crit {
            first -= 1;
        }
        let mut last = index;
        while last + 1 < self.len() && self.crit(last) > crit {
            last += 1;
        }
        (first, last + 1)
    }

    /// This page with a leaf whose key differs from that of leaf `near` in bit `crit` first, where it is `right`.
    pub(super) fn with(&self, near: usize, crit: u16, right: bool, leaf: Leaf) -> Self {
        let (first, end) = self.below(near, crit);
        let at = if right { end } else { first };
        let between = if right { at.saturating_sub(1) } else { at };
        let mut leaves: Vec<Leaf> = self.leaves().collect();
        let mut crits: Vec<u16> = self.crits().collect();
        crits.insert(between.min(crits.len()), crit);
        leaves.insert(at.min(leaves.len()), leaf);
        Self::new(&leaves, &crits)
    }

    /// The page's upper branch, and what lies on its two sides. `None` for fewer than two leaves.
    pub(super) fn split(&self) -> Option<(u16, Self, Self)> {
        let (middle, crit) = self.crits().enumerate().min_by_key(|(_, crit)| *crit)?;
        let leaves: Vec<Leaf> = self.leaves().collect();
        let crits: Vec<u16> = self.crits().collect();
        let (left, right) = leaves.split_at_checked(middle + 1)?;
        let left = Self::new(left, crits.get(..middle)?);
        let right = Self::new(right, crits.get(middle + 1..)?);
        Some((crit, left, right))
    }
}
