//! Up to [`MAX_LEAVES`] neighbouring leaves of the tree, packed.
//!
//! ```text
//!   n − 1 critical bits, 2 bytes each | n addresses, 6 bytes each | n leaf digests, 32 bytes each | part digests
//! ```
//! The keys themselves aren't here: between two neighbours stands only the first bit in which they differ (a *blind*
//! trie, as in Ferragina and Grossi's string B-tree, 1999). Looking a key up therefore gives a candidate, whose record
//! on disk says whether it is the key. A leaf costs 40 bytes.
//!
//! A page of some size also keeps the digests of its [`PARTS`] parts, the subtrees two branches below its top: when a
//! leaf changes, the leaves of the other parts needn't be hashed again.

use ledger_core::state::tree;
use ledger_crypto::Digest;

use crate::engine::Address;

/// A page with more leaves is split. At most 64: sets of a page's leaves are the bits of a word.
pub(super) const MAX_LEAVES: usize = 64;
/// Parts of a page whose digests are kept.
pub(super) const PARTS: usize = 4;
/// A page with fewer leaves has no parts.
const LEAST_IN_PARTS: usize = 8;

const CRIT: usize = 2;
const ADDRESS: usize = 6;
const DIGEST: usize = 32;
/// What a leaf takes.
pub(super) const LEAF_BYTES: usize = CRIT + ADDRESS + DIGEST;

/// What a processor fetches from memory at a time.
const CACHE_LINE: usize = 64;

/// A leaf: where its newest record is, and its digest, which is zero when that record deletes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) address: Address,
    pub(super) digest: Digest,
}

/// Some leaves of a page, by their bits.
pub(super) type LeafSet = u64;

/// All leaves of any page.
pub(super) const ALL: LeafSet = LeafSet::MAX;

/// The leaves `from..to` of a page.
pub(super) fn leaf_set(from: usize, to: usize) -> LeafSet {
    let below = |end: usize| {
        let bit = u32::try_from(end).ok().and_then(|end| (1 as LeafSet).checked_shl(end));
        bit.map_or(ALL, |bit| bit - 1)
    };
    below(to) & !below(from)
}

/// How many parts a page of so many leaves has.
fn parts_of(leaves: usize) -> usize {
    if leaves < LEAST_IN_PARTS { 0 } else { PARTS }
}

/// The length of a page of so many leaves, in bytes.
pub(super) fn bytes_of(leaves: usize) -> usize {
    (leaves * LEAF_BYTES).saturating_sub(CRIT) + parts_of(leaves) * DIGEST
}

/// A page while it is put together: leaves in the order of their keys, and the bit in which neighbours differ first.
#[derive(Clone, Debug, Default)]
pub(super) struct Loose {
    pub(super) leaves: Vec<Leaf>,
    pub(super) crits: Vec<u16>,
}

impl Loose {
    /// The bytes of the page; the digests of parts aren't computed yet.
    pub(super) fn pack(leaves: &[Leaf], crits: &[u16], out: &mut Vec<u8>) {
        out.clear();
        for crit in crits.iter().take(leaves.len().saturating_sub(1)) {
            out.extend_from_slice(&crit.to_le_bytes());
        }
        for leaf in leaves {
            out.extend_from_slice(&leaf.address.packed());
        }
        for leaf in leaves {
            out.extend_from_slice(leaf.digest.as_bytes());
        }
        out.resize(bytes_of(leaves.len()), 0);
    }

    /// Where the leaves right of the upper branch begin. `None` for fewer than two leaves.
    pub(super) fn middle(crits: &[u16]) -> Option<usize> {
        crits.iter().enumerate().min_by_key(|(_, crit)| **crit).map(|(index, _)| index + 1)
    }
}

/// Leaves in the order of their keys; together the subtree of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    bytes: &'a [u8],
    leaves: usize,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

/// Where the addresses of a page of so many leaves begin.
fn addresses(leaves: usize) -> usize {
    leaves.saturating_sub(1) * CRIT
}

/// Where the digests of a page of so many leaves begin.
fn digests(leaves: usize) -> usize {
    addresses(leaves) + leaves * ADDRESS
}

impl<'a> Page<'a> {
    /// The page of so many leaves whose bytes these are.
    pub(super) fn new(bytes: &'a [u8], leaves: usize) -> Self {
        Self { bytes, leaves }
    }

    /// How many leaves there are, those of deleted keys included.
    pub(super) fn len(self) -> usize {
        self.leaves
    }

    /// The bit in which the keys of leaves `index` and `index + 1` differ.
    pub(super) fn crit(self, index: usize) -> u16 {
        u16::from_le_bytes(array(self.bytes, index * CRIT))
    }

    /// What [`Page::new`] takes.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn crits(self) -> impl Iterator<Item = u16> + 'a {
        let (pairs, _) = self.bytes.get(..addresses(self.leaves)).unwrap_or_default().as_chunks::<CRIT>();
        pairs.iter().map(|pair| u16::from_le_bytes(*pair))
    }

    pub(super) fn address(self, index: usize) -> Address {
        Address::from_packed(array(self.bytes, addresses(self.leaves) + index * ADDRESS))
    }

    pub(super) fn digest(self, index: usize) -> Digest {
        Digest::new(array(self.bytes, digests(self.leaves) + index * DIGEST))
    }

    pub(super) fn digest_bytes(self) -> &'a [[u8; 32]] {
        let end = digests(self.leaves) + self.leaves * DIGEST;
        self.bytes.get(digests(self.leaves)..end).unwrap_or_default().as_chunks::<DIGEST>().0
    }

    /// The digests of its parts; empty when it is too small to have any.
    pub(super) fn parts(self) -> &'a [[u8; 32]] {
        let start = digests(self.leaves) + self.leaves * DIGEST;
        self.bytes.get(start..).unwrap_or_default().as_chunks::<DIGEST>().0
    }

    /// Where its parts begin and end.
    pub(super) fn cuts(self) -> Cuts {
        let crits = self.bytes.get(..addresses(self.leaves)).unwrap_or_default().as_chunks::<CRIT>().0;
        let least = |from: usize, to: usize| {
            let crits = crits.get(from..to.saturating_sub(1)).unwrap_or_default().iter();
            // Bit and place in one number, of which a processor compares many at once. Of one subtree's neighbours, one
            // alone differs in the least bit.
            let least = (0..).zip(crits).map(|(index, crit)| u32::from(u16::from_le_bytes(*crit)) << 16 | index).min();
            least.map_or(to, |least| from + (least & 0xffff) as usize + 1)
        };
        let middle = least(0, self.leaves);
        [0, least(0, middle), middle, least(middle, self.leaves), self.leaves]
    }

    /// Looks at all that [`Page::cuts`] will look at, so that it is in the processor's caches.
    pub(super) fn touch_crits(self) -> u8 {
        touch(self.bytes.get(..addresses(self.leaves)).unwrap_or_default())
    }

    /// Looks at the digests of those parts in which `changed` has leaves, and at those of the parts.
    pub(super) fn touch_digests(self, cuts: Cuts, changed: LeafSet) -> u8 {
        let digests = self.digest_bytes();
        let changed = ranges(cuts).filter(|(from, to)| changed & leaf_set(*from, *to) != 0);
        let changed = changed.map(|(from, to)| touch(digests.get(from..to).unwrap_or_default().as_flattened()));
        changed.fold(touch(self.parts().as_flattened()), |all, one| all ^ one)
    }

    pub(super) fn leaf(self, index: usize) -> Leaf {
        Leaf { address: self.address(index), digest: self.digest(index) }
    }

    pub(super) fn leaves(self) -> impl DoubleEndedIterator<Item = Leaf> + 'a {
        (0..self.len()).map(move |index| self.leaf(index))
    }

    /// Looks at all that [`Page::candidate`] and [`Page::address`] will look at, so that it is in the processor's caches.
    pub(super) fn touch(self) -> u8 {
        touch(self.bytes.get(..digests(self.leaves)).unwrap_or_default())
    }

    /// The leaf that shares the longest prefix with `key`, as far as this page's bits can tell.
    pub(super) fn candidate(self, key: &[u8]) -> usize {
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
    pub(super) fn below(self, index: usize, crit: u16) -> (usize, usize) {
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
    pub(super) fn with(self, near: usize, crit: u16, right: bool, leaf: Leaf) -> Loose {
        let (first, end) = self.below(near, crit);
        let at = if right { end } else { first };
        let between = if right { at.saturating_sub(1) } else { at };
        let mut leaves: Vec<Leaf> = self.leaves().collect();
        let mut crits: Vec<u16> = self.crits().collect();
        crits.insert(between.min(crits.len()), crit);
        leaves.insert(at.min(leaves.len()), leaf);
        Loose { leaves, crits }
    }
}

/// Where each part of a page begins, and the last one ends: parts may be empty, and together they are all leaves.
pub(super) type Cuts = [usize; PARTS + 1];

/// The leaves of each part.
pub(super) fn ranges(cuts: Cuts) -> impl Iterator<Item = (usize, usize)> {
    cuts.into_iter().zip(cuts.into_iter().skip(1))
}

/// Reads a byte of each line that the processor fetches for `bytes`.
fn touch(bytes: &[u8]) -> u8 {
    let lines = bytes.chunks(CACHE_LINE).map(|line| line.first().copied().unwrap_or(0));
    lines.chain(bytes.last().copied()).fold(0, |all, byte| all ^ byte)
}

/// A page whose leaves are replaced.
pub(super) struct PageMut<'a> {
    bytes: &'a mut [u8],
    leaves: usize,
}

impl<'a> PageMut<'a> {
    /// The page of so many leaves whose bytes these are.
    pub(super) fn new(bytes: &'a mut [u8], leaves: usize) -> Self {
        Self { bytes, leaves }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Replaces leaf `index`, if there is one.
    pub(super) fn set(&mut self, index: usize, leaf: Leaf) {
        if index < self.leaves {
            self.set_address(index, leaf.address);
            self.put(digests(self.leaves) + index * DIGEST, leaf.digest.as_bytes());
        }
    }

    /// Points leaf `index`, if there is one, elsewhere.
    pub(super) fn set_address(&mut self, index: usize, address: Address) {
        if index < self.leaves {
            self.put(addresses(self.leaves) + index * ADDRESS, &address.packed());
        }
    }

    /// Keeps the digest of a part, if the page has parts.
    pub(super) fn set_part(&mut self, part: usize, digest: &Digest) {
        if part < parts_of(self.leaves) {
            self.put(digests(self.leaves) + self.leaves * DIGEST + part * DIGEST, digest.as_bytes());
        }
    }
}
