//! Every root and proof of every small tree against RFC 9162's recursive definitions, and what must be refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;
use std::convert::Infallible;

use ledger_crypto::Digest;
use ledger_crypto::merkle::{
    self, Blake3, Frontier, FrontierError, MerkleError, NodePosition, ReadError, Sha256, TreeHasher,
};
use proptest::prelude::*;

const LARGEST: u64 = 130;

fn leaves<H: TreeHasher>(count: u64) -> Vec<Digest> {
    (0..count).map(|number| H::leaf(&number.to_be_bytes())).collect()
}

fn split(count: usize) -> usize {
    (0..).map(|power| 1 << power).take_while(|power| *power < count).last().unwrap()
}

/// MTH of section 2.1.1.
fn defined_root<H: TreeHasher>(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => H::empty(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            H::node(&defined_root::<H>(left), &defined_root::<H>(right))
        }
    }
}

/// PATH of section 2.1.3.1.
fn defined_path<H: TreeHasher>(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (defined_path::<H>(index, left), right)
    } else {
        (defined_path::<H>(index - left.len(), right), left)
    };
    path.push(defined_root::<H>(sibling));
    path
}

/// SUBPROOF of section 2.1.4.1.
fn defined_proof<H: TreeHasher>(old: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![defined_root::<H>(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if old <= left.len() {
        (defined_proof::<H>(old, left, whole), right)
    } else {
        (defined_proof::<H>(old - left.len(), right, false), left)
    };
    path.push(defined_root::<H>(sibling));
    path
}

type Nodes = BTreeMap<NodePosition, Digest>;

fn grown<H: TreeHasher>(leaves: &[Digest]) -> (Frontier<H>, Nodes) {
    let (mut frontier, mut nodes) = (Frontier::new(), Nodes::new());
    for leaf in leaves {
        frontier.append(*leaf, &mut |position, digest| {
            assert_eq!(nodes.insert(position, digest), None, "{position:?} reported twice");
        });
    }
    (frontier, nodes)
}

fn every_root_and_inclusion_proof<H: TreeHasher>() {
    let leaves = leaves::<H>(LARGEST);
    let (_, nodes) = grown::<H>(&leaves);
    let mut frontier = Frontier::<H>::new();
    for size in 0..=LARGEST {
        let some = &leaves[..size as usize];
        let root = defined_root::<H>(some);
        assert_eq!(merkle::root::<H>(some), root);
        assert_eq!(frontier.root(), root);
        assert_eq!(merkle::root_at::<H, _>(&nodes, size), Ok(root));
        for index in 0..size {
            let path = defined_path::<H>(index as usize, some);
            assert_eq!(merkle::prove_inclusion::<H>(some, index as usize).as_ref(), Some(&path));
            assert_eq!(merkle::inclusion_proof::<H, _>(&nodes, index, size).as_ref(), Ok(&path));
            let leaf = &some[index as usize];
            assert_eq!(merkle::verify_inclusion::<H>(&root, size, index, leaf, &path), Ok(()), "{index} of {size}");
        }
        assert_eq!(merkle::prove_inclusion::<H>(some, size as usize), None);
        let outside = ReadError::IndexOutOfRange { index: size, size };
        assert_eq!(merkle::inclusion_proof::<H, _>(&nodes, size, size), Err(outside));
        if let Some(leaf) = leaves.get(size as usize) {
            frontier.append(*leaf, &mut |_, _| {});
        }
    }
}

#[test]
fn every_index_of_every_size_is_proven_as_defined() {
    every_root_and_inclusion_proof::<Sha256>();
    every_root_and_inclusion_proof::<Blake3>();
}

#[test]
fn every_pair_of_sizes_is_proven_as_defined() {
    let leaves = leaves::<Blake3>(LARGEST);
    let (_, nodes) = grown::<Blake3>(&leaves);
    let roots: Vec<_> = (0..=leaves.len()).map(|size| defined_root::<Blake3>(&leaves[..size])).collect();
    for new in 0..=LARGEST {
        for old in 0..=new {
            let path = merkle::consistency_proof::<Blake3, _>(&nodes, old, new).unwrap();
            if old > 0 {
                assert_eq!(path, defined_proof::<Blake3>(old as usize, &leaves[..new as usize], true));
            }
            let (old_root, new_root) = (&roots[old as usize], &roots[new as usize]);
            let verdict = merkle::verify_consistency::<Blake3>(old, old_root, new, new_root, &path);
            assert_eq!(verdict, Ok(()), "{old} to {new}");
        }
        assert_eq!(
            merkle::consistency_proof::<Blake3, _>(&nodes, new + 1, new),
            Err(ReadError::Shrunk { old: new + 1, new })
        );
    }
}

#[test]
fn a_frontier_resumes_from_its_parts() {
    let leaves = leaves::<Blake3>(70);
    for size in 0..=70_u64 {
        let (before, _) = grown::<Blake3>(&leaves[..size as usize]);
        let mut resumed = Frontier::<Blake3>::from_parts(before.size(), before.peaks().to_vec()).unwrap();
        assert_eq!(resumed, before);
        for leaf in &leaves[size as usize..] {
            resumed.append(*leaf, &mut |_, _| {});
        }
        assert_eq!(resumed.root(), merkle::root::<Blake3>(&leaves));
    }
    let refused = Frontier::<Blake3>::from_parts(5, vec![Digest::ZERO]).unwrap_err();
    assert_eq!(refused, FrontierError::Peaks { size: 5, expected: 2, found: 1 });
}

#[test]
fn a_missing_or_unreadable_node_is_an_error() {
    let (_, mut nodes) = grown::<Blake3>(&leaves::<Blake3>(8));
    nodes.remove(&NodePosition { level: 1, index: 3 });
    let missing = ReadError::Missing { level: 1, index: 3 };
    assert_eq!(merkle::inclusion_proof::<Blake3, _>(&nodes, 4, 8), Err(missing));
    assert_eq!(merkle::inclusion_proof::<Blake3, _>(&nodes, 4, 9), Err(missing_root()));
    let broken = |_| Err::<Option<Digest>, &str>("disk on fire");
    assert_eq!(merkle::root_at::<Blake3, _>(&broken, 3), Err(ReadError::Storage("disk on fire")));
}

/// Of a size that the tree never had.
fn missing_root() -> ReadError<Infallible> {
    ReadError::Missing { level: 0, index: 8 }
}

#[test]
fn a_repeated_last_leaf_changes_the_root() {
    let [a, b, c] = [b"a", b"b", b"c"].map(|data| Blake3::leaf(data));
    assert_ne!(merkle::root::<Blake3>(&[a, b, c]), merkle::root::<Blake3>(&[a, b, c, c]));
    assert_ne!(merkle::root::<Blake3>(&[a]), merkle::root::<Blake3>(&[a, a]));
}

fn nodes_are_no_leaves<H: TreeHasher>() {
    let [a, b] = [b"a", b"b"].map(|data| H::leaf(data));
    let children = [a.as_bytes().as_slice(), b.as_bytes()].concat();
    assert_ne!(H::leaf(&children), H::node(&a, &b));
    assert_ne!(H::leaf(&[]), H::empty());
    assert_ne!(H::node(&a, &b), H::node(&b, &a));
    // An inner node passed off as a leaf of a smaller tree.
    let leaves = leaves::<H>(4);
    let root = merkle::root::<H>(&leaves);
    let [left, right] = [H::node(&leaves[0], &leaves[1]), H::node(&leaves[2], &leaves[3])];
    let forged = H::leaf(&[leaves[0].as_bytes().as_slice(), leaves[1].as_bytes()].concat());
    assert!(merkle::verify_inclusion::<H>(&root, 2, 0, &forged, &[right]).is_err());
    assert!(merkle::verify_inclusion::<H>(&root, 4, 0, &left, &[right]).is_err());
}

#[test]
fn leaf_node_and_empty_tree_are_never_confused() {
    nodes_are_no_leaves::<Sha256>();
    nodes_are_no_leaves::<Blake3>();
}

#[test]
fn sizes_and_indices_at_the_end_of_the_range_are_safe() {
    let digest = Digest::ZERO;
    for path in [vec![], vec![digest; 63], vec![digest; 64], vec![digest; 65], vec![digest; 200]] {
        for size in [0, 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
            for index in [0, 1, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX] {
                let single = size == 1 && index == 0 && path.is_empty();
                let verdict = merkle::verify_inclusion::<Blake3>(&digest, size, index, &digest, &path);
                assert_eq!(verdict.is_ok(), single, "{index} of {size} by {}", path.len());
                let verdict = merkle::verify_consistency::<Blake3>(index, &digest, size, &digest, &path);
                assert_eq!(verdict.is_ok(), index == size && size > 0 && path.is_empty());
            }
        }
    }
}

#[test]
fn an_empty_older_tree_must_have_the_empty_root() {
    let new = Blake3::leaf(b"x");
    assert_eq!(merkle::verify_consistency::<Blake3>(0, &Blake3::empty(), 1, &new, &[]), Ok(()));
    let refused = Err(MerkleError::RootMismatch);
    assert_eq!(merkle::verify_consistency::<Blake3>(0, &new, 1, &new, &[]), refused);
    assert_eq!(merkle::verify_consistency::<Blake3>(0, &new, 0, &new, &[]), refused);
    let long = Err(MerkleError::PathLength { expected: 0, found: 1 });
    assert_eq!(merkle::verify_consistency::<Blake3>(0, &Blake3::empty(), 1, &new, &[new]), long);
}

/// What can be done to a path.
#[derive(Clone, Debug)]
enum Tampering {
    Flip { digest: prop::sample::Index, bit: prop::sample::Index },
    Drop(prop::sample::Index),
    Insert(prop::sample::Index, [u8; 32]),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    use prop::sample::Index;
    prop_oneof![
        any::<(Index, Index)>().prop_map(|(digest, bit)| Tampering::Flip { digest, bit }),
        any::<Index>().prop_map(Tampering::Drop),
        any::<(Index, [u8; 32])>().prop_map(|(at, bytes)| Tampering::Insert(at, bytes)),
        any::<(Index, Index)>().prop_map(|(one, other)| Tampering::Swap(one, other)),
    ]
}

fn flip(digest: &Digest, bit: usize) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Digest::new(bytes)
}

fn tamper(path: &[Digest], tampering: &Tampering) -> Vec<Digest> {
    let mut path = path.to_vec();
    match tampering {
        Tampering::Insert(at, bytes) => path.insert(at.index(path.len() + 1), Digest::new(*bytes)),
        _ if path.is_empty() => {}
        Tampering::Flip { digest, bit } => {
            let at = digest.index(path.len());
            path[at] = flip(&path[at], bit.index(256));
        }
        Tampering::Drop(at) => drop(path.remove(at.index(path.len()))),
        Tampering::Swap(one, other) => {
            let (one, other) = (one.index(path.len()), other.index(path.len()));
            path.swap(one, other);
        }
    }
    path
}

proptest! {
    #[test]
    fn an_inclusion_proof_holds_for_one_leaf_place_size_root_and_path(
        size in 1..600_u64, at in any::<prop::sample::Index>(), change in tampering(), bit in 0..256_usize,
        other_size in 0..600_u64, other_at in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves::<Blake3>(size);
        let index = at.index(leaves.len());
        let root = merkle::root::<Blake3>(&leaves);
        let path = merkle::prove_inclusion::<Blake3>(&leaves, index).unwrap();
        let (index, leaf) = (index as u64, &leaves[index]);
        let holds = |root: &Digest, size, index, leaf: &Digest, path: &[Digest]| {
            merkle::verify_inclusion::<Blake3>(root, size, index, leaf, path).is_ok()
        };
        prop_assert!(holds(&root, size, index, leaf, &path));
        let changed = tamper(&path, &change);
        prop_assert_eq!(holds(&root, size, index, leaf, &changed), changed == path);
        prop_assert!(!holds(&flip(&root, bit), size, index, leaf, &path));
        prop_assert!(!holds(&root, size, index, &flip(leaf, bit), &path));
        let other = other_at.index(leaves.len()) as u64;
        prop_assert_eq!(holds(&root, size, other, leaf, &path), other == index);
        // A path alone doesn't bind the size: it does so together with a root of that size.
        let other_root = merkle::root::<Blake3>(&self::leaves::<Blake3>(other_size));
        prop_assert_eq!(holds(&other_root, other_size, index, leaf, &path), other_size == size);
    }

    #[test]
    fn a_consistency_proof_holds_for_one_pair_of_trees(
        new in 1..600_u64, at in any::<prop::sample::Index>(), change in tampering(), bit in 0..256_usize,
    ) {
        let leaves = leaves::<Blake3>(new);
        let old = at.index(leaves.len()) as u64;
        let (_, nodes) = grown::<Blake3>(&leaves);
        let old_root = merkle::root_at::<Blake3, _>(&nodes, old).unwrap();
        let new_root = merkle::root_at::<Blake3, _>(&nodes, new).unwrap();
        let path = merkle::consistency_proof::<Blake3, _>(&nodes, old, new).unwrap();
        let holds = |old_root: &Digest, new_root: &Digest, path: &[Digest]| {
            merkle::verify_consistency::<Blake3>(old, old_root, new, new_root, path).is_ok()
        };
        prop_assert!(holds(&old_root, &new_root, &path));
        let changed = tamper(&path, &change);
        prop_assert_eq!(holds(&old_root, &new_root, &changed), changed == path);
        prop_assert!(!holds(&flip(&old_root, bit), &new_root, &path));
        // Every tree extends the empty one, so there the newer root isn't bound.
        prop_assert_eq!(holds(&old_root, &flip(&new_root, bit), &path), old == 0);
    }

    #[test]
    fn a_history_that_was_rewritten_has_no_consistency_proof(
        old in 1..200_u64, more in 0..200_u64, at in any::<prop::sample::Index>(),
    ) {
        let new = old + more;
        let before = leaves::<Blake3>(old);
        let mut after = leaves::<Blake3>(new);
        after[at.index(before.len())] = Blake3::leaf(b"rewritten");
        let (_, nodes) = grown::<Blake3>(&after);
        let path = merkle::consistency_proof::<Blake3, _>(&nodes, old, new).unwrap();
        let verdict = merkle::verify_consistency::<Blake3>(
            old, &merkle::root::<Blake3>(&before), new, &merkle::root::<Blake3>(&after), &path,
        );
        prop_assert_eq!(verdict, Err(MerkleError::RootMismatch));
    }
}
