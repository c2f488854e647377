//! What a root over a block's transactions, its receipts or a receipt's events commits to: the kind of list, how many
//! items it has, and each item at its place.
//!
//! A bare Merkle root says neither. In RFC 9162's shape the last of three leaves and the last of two are reached the
//! same way (one step to the right), so whoever may choose the number of leaves can show one leaf at two places; and a
//! leaf of one list could be shown under the root of another. Both are closed by hashing the number of items together
//! with the Merkle root, in a domain for each kind:
//!
//! ```text
//! list root = hash(domain of the kind, number of items (u64, little-endian) ‖ Merkle root (BLAKE3) of the leaf hashes)
//! ```

use ledger_crypto::merkle::{self, Blake3, MerkleError, TreeHasher};
use ledger_crypto::{Digest, Domain, hash};

/// The list root of the items with these leaf hashes.
pub fn commit(domain: Domain, leaves: &[Digest]) -> Digest {
    bind(domain, leaves.len() as u64, &merkle::root::<Blake3>(leaves))
}

/// Checks that `leaf` is the leaf hash of item `index` of the list of `count` items that `root` commits to. `path` is
/// what [`merkle::prove_inclusion`] gives.
///
/// # Errors
/// [`MerkleError`], naming what doesn't fit.
pub fn verify(
    domain: Domain,
    root: &Digest,
    count: u64,
    index: u64,
    leaf: &Digest,
    path: &[Digest],
) -> Result<(), MerkleError> {
    if index >= count {
        return Err(MerkleError::IndexOutOfRange { index, size: count });
    }
    let sides = sides(index, count);
    if sides.len() != path.len() {
        return Err(MerkleError::PathLength { expected: sides.len(), found: path.len() });
    }
    let top = sides.iter().zip(path).fold(*leaf, |node, (side, sibling)| match side {
        Side::Left => Blake3::node(sibling, &node),
        Side::Right => Blake3::node(&node, sibling),
    });
    if bind(domain, count, &top) == *root { Ok(()) } else { Err(MerkleError::RootMismatch) }
}

fn bind(domain: Domain, count: u64, root: &Digest) -> Digest {
    let mut message = [0; 40];
    let (front, back) = message.split_at_mut(8);
    front.copy_from_slice(&count.to_le_bytes());
    back.copy_from_slice(root.as_bytes());
    hash(domain, &message)
}

/// Where a sibling stands.
enum Side {
    Left,
    Right,
}

/// Where the siblings stand on the way from item `index` of `count` up to the root: RFC 9162, section 2.1.1, divides
/// a list before the largest power of two below its length.
fn sides(mut index: u64, mut count: u64) -> Vec<Side> {
    let mut sides = Vec::new();
    while count > 1 {
        let left = 1 << (count - 1).ilog2();
        if index < left {
            sides.push(Side::Right);
            count = left;
        } else {
            sides.push(Side::Left);
            index -= left;
            count -= left;
        }
    }
    sides.reverse();
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Domain = Domain::new("ledgerkit.0.test.list");
    const OTHER_KIND: Domain = Domain::new("ledgerkit.0.test.other-list");

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|number| Blake3::leaf(&number.to_le_bytes())).collect()
    }

    #[test]
    fn every_item_is_proven_at_its_place_and_at_no_other_under_no_other_count() {
        for count in 1..=17 {
            let leaves = leaves(count);
            let root = commit(KIND, &leaves);
            for (place, leaf) in leaves.iter().enumerate() {
                let path = merkle::prove_inclusion::<Blake3>(&leaves, place).unwrap();
                for claimed_count in 0..=20 {
                    for claimed_place in 0..=20 {
                        let holds = verify(KIND, &root, claimed_count, claimed_place, leaf, &path).is_ok();
                        let is_true = (claimed_count, claimed_place) == (count, place as u64);
                        assert_eq!(holds, is_true, "item {place} of {count} as {claimed_place} of {claimed_count}");
                    }
                }
                assert!(verify(OTHER_KIND, &root, count, place as u64, leaf, &path).is_err());
            }
        }
    }

    #[test]
    fn a_bare_merkle_root_would_prove_one_item_at_two_places() {
        let leaves = leaves(3);
        let root = merkle::root::<Blake3>(&leaves);
        let path = merkle::prove_inclusion::<Blake3>(&leaves, 2).unwrap();
        assert!(merkle::verify_inclusion::<Blake3>(&root, 3, 2, &leaves[2], &path).is_ok());
        assert!(merkle::verify_inclusion::<Blake3>(&root, 2, 1, &leaves[2], &path).is_ok());
    }

    #[test]
    fn paths_are_those_of_the_merkle_tree() {
        for count in [1, 2, 3, 64, 65, 1_000] {
            let leaves = leaves(count);
            let root = merkle::root::<Blake3>(&leaves);
            for place in [0, count / 2, count - 1] {
                let leaf = &leaves[usize::try_from(place).unwrap()];
                let path = merkle::prove_inclusion::<Blake3>(&leaves, usize::try_from(place).unwrap()).unwrap();
                assert_eq!(merkle::verify_inclusion::<Blake3>(&root, count, place, leaf, &path), Ok(()));
                assert_eq!(verify(KIND, &bind(KIND, count, &root), count, place, leaf, &path), Ok(()));
            }
        }
    }

    #[test]
    fn the_empty_list_has_a_root_and_no_item() {
        let root = commit(KIND, &[]);
        assert_eq!(
            verify(KIND, &root, 0, 0, &Digest::ZERO, &[]),
            Err(MerkleError::IndexOutOfRange { index: 0, size: 0 })
        );
        assert_ne!(root, commit(OTHER_KIND, &[]));
    }
}
