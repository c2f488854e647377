//! The state tree against an oracle that knows nothing of it: a set of keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::chain::leaves;
use common::random::Rng;
use ledger_core::codec::Bytes;
use ledger_core::state::sparse::*;
use ledger_core::{ContractId, Height, Key, Version, Versioned};
use ledger_crypto::Digest;
use std::collections::{BTreeMap, BTreeSet};

fn key(number: u64) -> Key {
    Key::new(ContractId(Digest::new([9; 32])), number.to_le_bytes().as_slice())
}

fn value(number: u64) -> Versioned {
    Versioned {
        value: Bytes::from(number.to_le_bytes().as_slice()),
        version: Version { height: Height(number + 1), index: 0 },
        predecessor: number.is_multiple_of(2).then(|| Digest::new([number.to_le_bytes()[0]; 32])),
    }
}

fn state(keys: u64) -> BTreeMap<Key, Versioned> {
    (0..keys).map(|number| (key(number), value(number))).collect()
}

#[test]
fn every_key_is_shown_as_what_it_is_in_states_of_every_small_size() {
    for size in 0..40 {
        let state = state(size);
        let leaves = leaves(&state);
        let root = root_of(&leaves);
        for number in 0..60 {
            let path = path_of(&leaves, &key(number), state.get(&key(number)).cloned());
            assert_eq!(path.verify(&root, &key(number)), Ok(state.get(&key(number))), "key {number} of {size}");
        }
    }
}

/// The rules of the tree, applied one key at a time: an insertion that never sees the set as a whole.
fn inserted(mut leaves: Vec<(Digest, Digest)>) -> Digest {
    enum Tree {
        Empty,
        Leaf(Digest, Digest),
        Node(Box<(Tree, Tree)>),
    }
    fn insert(tree: Tree, depth: usize, key: Digest, content: Digest) -> Tree {
        match tree {
            Tree::Empty => Tree::Leaf(key, content),
            Tree::Leaf(other, its) => {
                let split = match turns_right(&other, depth) {
                    true => (Tree::Empty, Tree::Leaf(other, its)),
                    false => (Tree::Leaf(other, its), Tree::Empty),
                };
                insert(Tree::Node(Box::new(split)), depth, key, content)
            }
            Tree::Node(children) => {
                let (left, right) = *children;
                Tree::Node(Box::new(match turns_right(&key, depth) {
                    true => (left, insert(right, depth + 1, key, content)),
                    false => (insert(left, depth + 1, key, content), right),
                }))
            }
        }
    }
    fn digest(tree: &Tree) -> Digest {
        match tree {
            Tree::Empty => EMPTY,
            Tree::Leaf(key, content) => leaf(key, content),
            Tree::Node(children) => node(&digest(&children.0), &digest(&children.1)),
        }
    }
    let mut tree = Tree::Empty;
    for (key, content) in leaves.drain(..) {
        tree = insert(tree, 0, key, content);
    }
    digest(&tree)
}

#[test]
fn the_root_follows_from_the_set_of_keys_not_from_their_order() {
    let mut rng = Rng(5);
    for size in [0, 1, 2, 3, 10, 200] {
        let leaves = leaves(&state(size));
        let root = root_of(&leaves);
        for _ in 0..5 {
            let mut shuffled = leaves.clone();
            for at in (1..shuffled.len()).rev() {
                shuffled.swap(at, rng.index(at + 1));
            }
            assert_eq!(inserted(shuffled), root, "{size} keys");
        }
    }
}

#[test]
fn every_change_of_a_state_changes_its_root() {
    let original = state(20);
    let mut roots = BTreeSet::from([root_of(&leaves(&original))]);
    let mut changed = |change: &dyn Fn(&mut BTreeMap<Key, Versioned>)| {
        let mut state = original.clone();
        change(&mut state);
        assert!(roots.insert(root_of(&leaves(&state))));
    };
    changed(&|state| drop(state.remove(&key(3))));
    changed(&|state| drop(state.insert(key(20), value(20))));
    changed(&|state| state.get_mut(&key(3)).unwrap().value = Bytes::default());
    changed(&|state| state.get_mut(&key(3)).unwrap().version.index = 1);
    changed(&|state| state.get_mut(&key(3)).unwrap().version.height = Height(99));
    changed(&|state| state.get_mut(&key(3)).unwrap().predecessor = Some(Digest::ZERO));
    changed(&|state| {
        let moved = state.remove(&key(3)).unwrap();
        state.insert(key(33), moved);
    });
}

#[test]
fn another_keys_path_shows_nothing() {
    let state = state(20);
    let leaves = leaves(&state);
    let root = root_of(&leaves);
    for number in 0..20 {
        let path = path_of(&leaves, &key(number), state.get(&key(number)).cloned());
        for other in (0..20).filter(|other| *other != number) {
            assert!(path.verify(&root, &key(other)).is_err(), "key {number}'s path for key {other}");
        }
    }
}

#[test]
fn a_present_key_is_never_shown_to_be_absent() {
    let state = state(20);
    let leaves = leaves(&state);
    let root = root_of(&leaves);
    for number in 0..20 {
        let key = key(number);
        let full = path_of(&leaves, &key, state.get(&key).cloned()).siblings.into_vec();
        let mut ends = vec![PathEnd::Empty];
        ends.extend(leaves.iter().map(|(key, content)| PathEnd::Other { key: *key, content: *content }));
        for depth in 0..=full.len() {
            for end in &ends {
                let path = StatePath { end: end.clone(), siblings: full[..depth].to_vec().into() };
                assert!(path.verify(&root, &key).is_err(), "key {number}, depth {depth}, {end:?}");
            }
        }
    }
}

#[test]
fn the_keys_own_leaf_and_leaves_off_its_path_show_no_absence() {
    let state = state(20);
    let leaves = leaves(&state);
    let root = root_of(&leaves);
    let own = leaves.iter().find(|(digest, _)| *digest == key_digest(&key(3))).copied().unwrap();
    let siblings = path_of(&leaves, &key(3), state.get(&key(3)).cloned()).siblings;
    let depth = siblings.len();
    let path = StatePath { end: PathEnd::Other { key: own.0, content: own.1 }, siblings: siblings.clone() };
    assert_eq!(path.verify(&root, &key(3)), Err(StateProofError::OffPath { shared: 256, depth }));
    // The same leaf and siblings, held against a key whose path parts from it above.
    let absent = (100..).map(key).find(|key| shared_bits(&key_digest(key), &own.0) == 0).unwrap();
    let path = StatePath { end: PathEnd::Other { key: own.0, content: own.1 }, siblings };
    assert_eq!(path.verify(&root, &absent), Err(StateProofError::OffPath { shared: 0, depth }));
}

#[test]
fn a_path_of_the_wrong_depth_is_refused() {
    let state = state(20);
    let leaves = leaves(&state);
    let root = root_of(&leaves);
    for number in 0..30 {
        let path = path_of(&leaves, &key(number), state.get(&key(number)).cloned());
        let mut longer = path.clone();
        longer.siblings.push(None);
        assert!(longer.verify(&root, &key(number)).is_err());
        let mut shorter = path.siblings.clone().into_vec();
        shorter.pop();
        assert!(StatePath { end: path.end, siblings: shorter.into() }.verify(&root, &key(number)).is_err());
    }
    let deep = StatePath { end: PathEnd::Empty, siblings: vec![None; 257].into() };
    assert_eq!(deep.verify(&EMPTY, &key(0)), Err(StateProofError::TooDeep { found: 257 }));
    // 256 empty subtrees hash to something that isn't the empty tree.
    let full = StatePath { end: PathEnd::Empty, siblings: vec![None; 256].into() };
    assert!(matches!(full.verify(&EMPTY, &key(0)), Err(StateProofError::WrongRoot { .. })));
}

#[test]
fn a_lone_key_is_the_root_and_absence_beside_it_is_shown_by_it() {
    let state = state(1);
    let leaves = leaves(&state);
    let root = root_of(&leaves);
    assert_eq!(root, value(0).sparse_leaf(&key(0)));
    let path = path_of(&leaves, &key(1), None);
    assert!(path.siblings.is_empty() && matches!(path.end, PathEnd::Other { .. }));
    assert_eq!(path.verify(&root, &key(1)), Ok(None));
    let path = path_of(&[], &key(1), None);
    assert_eq!(path, StatePath { end: PathEnd::Empty, siblings: Vec::new().into() });
    assert_eq!(path.verify(&EMPTY, &key(1)), Ok(None));
}

#[test]
fn bits_are_counted_from_the_most_significant_one() {
    let mut digest = [0u8; 32];
    digest[0] = 0b1000_0001;
    digest[31] = 1;
    let digest = Digest::new(digest);
    let right: Vec<usize> = (0..256).filter(|depth| turns_right(&digest, *depth)).collect();
    assert_eq!(right, [0, 7, 255]);
    assert_eq!(shared_bits(&digest, &digest), 256);
    assert_eq!(shared_bits(&digest, &Digest::ZERO), 0);
    assert_eq!(shared_bits(&Digest::new([0x80; 32]), &digest), 7);
}
