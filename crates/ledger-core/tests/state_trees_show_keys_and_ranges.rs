//! The state tree against oracles that know nothing of it: a sorted map, and a tree built by one insertion at a time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::random::{Random, Rng};
use ledger_core::codec::{self, Bytes, Format, List};
use ledger_core::state::tree::*;
use ledger_core::{ContractId, Height, Key, KeyLengthError, KeyRange, Version, Versioned, domains};
use ledger_crypto::{Digest, hash};
use std::collections::{BTreeMap, BTreeSet};

type State = BTreeMap<Key, Versioned>;

fn key(namespace: u8, name: &[u8]) -> Key {
    Key::new(ContractId(Digest::new([namespace; 32])), name)
}

fn value(number: u64) -> Versioned {
    Versioned {
        value: Bytes::from(vec![7; number as usize * 13 % 150]),
        version: Version { height: Height(number + 1), index: number as u32 % 5 },
        predecessor: number.is_multiple_of(2).then(|| Digest::new([number.to_le_bytes()[0]; 32])),
    }
}

/// Keys that part in every way: in a bit, at a prefix, by zero bytes at the end, and in their namespaces.
fn odd_keys() -> Vec<Key> {
    let names: [&[u8]; 11] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"a\0\0", b"a\0b", b"aa", b"b", b"\x7f", b"\xff\xff"];
    [1, 2, 0xff].into_iter().flat_map(|namespace| names.map(|name| key(namespace, name))).collect()
}

fn random_state(rng: &mut Rng, keys: &[Key], size: usize) -> State {
    (0..size).map(|number| (keys[rng.index(keys.len())].clone(), value(number as u64))).collect()
}

fn list(state: &State) -> Vec<(Key, Versioned)> {
    state.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn root(state: &State) -> Digest {
    root_of(&state.iter().map(|(key, value)| (key.clone(), value.leaf(key))).collect::<Vec<_>>())
}

fn truth<'a>(state: &'a State, from: &Key, to: Option<&Key>) -> Vec<(&'a Key, &'a Versioned)> {
    state.iter().filter(|(key, _)| *key >= from && to.is_none_or(|to| *key < to)).collect()
}

/// The tree as its own format, for the codec's checks.
#[derive(Debug, PartialEq, codec::Encode, codec::Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
struct Alone(PrunedTree);

impl Format for Alone {
    const NAME: &'static str = "pruned tree";
    const LIMIT: usize = 1 << 20;
}

#[test]
fn every_range_of_small_states_is_shown_as_what_it_is() {
    let (mut rng, keys) = (Rng(1), odd_keys());
    for size in 0..24 {
        let state = random_state(&mut rng, &keys, size);
        let (leaves, root) = (list(&state), root(&state));
        for from in &keys {
            let path = prove_range(&leaves, from, Some(&from.successor()));
            assert_eq!(path.verify(&root, from), Ok(state.get(from)), "{from:?} of {size}");
            let ends = keys.iter().map(Some).chain([None]);
            for to in ends.filter(|to| to.is_none_or(|to| to > from)) {
                let tree = prove_range(&leaves, from, to);
                assert_eq!(tree.verify_range(&root, from, to), Ok(truth(&state, from, to)), "{from:?} to {to:?}");
                let bytes = codec::encode(&tree);
                assert_eq!(codec::decode::<Alone>(&bytes).unwrap().0, tree);
            }
        }
    }
}

#[test]
fn the_bounds_of_a_range_hold_what_the_range_contains() {
    let mut keys = odd_keys();
    keys.push(Key::new(
        ContractId(Digest::new([[1; 31].as_slice(), &[2]].concat().try_into().unwrap())),
        b"x".as_slice(),
    ));
    for namespace in [1, 2, 0xff].map(|namespace| ContractId(Digest::new([namespace; 32]))) {
        for from in &keys {
            for to in keys.iter().map(|key| Some(key.name.clone())).chain([None]) {
                let range = KeyRange { namespace, from: from.name.clone(), to };
                let (first, end) = range.bounds();
                for key in &keys {
                    let within = *key >= first && end.as_ref().is_none_or(|end| key < end);
                    assert_eq!(within, range.contains(key), "{key:?} in {range:?}");
                }
            }
        }
    }
}

#[test]
fn a_proof_shows_another_range_only_where_it_is_that_ranges_own_proof() {
    let (mut rng, keys) = (Rng(2), odd_keys());
    let mut held = 0;
    for size in [0, 1, 2, 5, 12, 20] {
        let state = random_state(&mut rng, &keys, size);
        let (leaves, root) = (list(&state), root(&state));
        for _ in 0..2_000 {
            let [a, b, c, d] = [0; 4].map(|_| rng.index(keys.len()));
            let tree = prove_range(&leaves, &keys[a], Some(&keys[b]).filter(|_| b > a));
            let to = Some(&keys[d]).filter(|_| d != c);
            if let Ok(found) = tree.verify_range(&root, &keys[c], to) {
                assert_eq!(found, truth(&state, &keys[c], to));
                assert_eq!(tree, prove_range(&leaves, &keys[c], to));
                held += 1;
            }
        }
    }
    assert!(held > 100, "only {held} held, so nothing was tested");
}

/// Changes a tree's steps: what an attacker who knows the whole state would try.
fn mutated(tree: &PrunedTree, leaves: &[(Key, Versioned)], other: &PrunedTree, rng: &mut Rng) -> PrunedTree {
    let mut steps = tree.steps.clone().into_vec();
    for _ in 0..=rng.below(2) {
        let at = rng.index(steps.len() + 1);
        if at == steps.len() {
            steps.push(other.steps.get(rng.index(other.steps.len() + 1)).cloned().unwrap_or(Step::Node));
            continue;
        }
        match rng.below(9) {
            0 => drop(steps.remove(at)),
            1 => steps.insert(at, steps[rng.index(steps.len())].clone()),
            2 => {
                let with = rng.index(steps.len());
                steps.swap(at, with);
            }
            // A leaf hidden, alone or with its value only.
            3 => match steps[at].clone() {
                Step::Leaf { key, versioned } => steps[at] = Step::Opaque(versioned.leaf(&key)),
                Step::Bare { key, version, predecessor, value } => {
                    steps[at] = Step::Opaque(leaf(&key.to_bytes(), version, predecessor.as_ref(), &value));
                }
                _ => {}
            },
            4 => {
                if let Step::Leaf { key, versioned: Versioned { value, version, predecessor } } = steps[at].clone() {
                    steps[at] = Step::Bare { key, version, predecessor, value: value_digest(&value).into() };
                }
            }
            // A node over two steps folded into its digest, as for the proof of another range.
            5 if at >= 2 && steps[at] == Step::Node => {
                if let (Some(left), Some(right)) = (digest(&steps[at - 2]), digest(&steps[at - 1])) {
                    steps.splice(at - 2..=at, [Step::Opaque(node(&left, &right))]);
                }
            }
            // Some leaf's values shown in another's place, or a hidden leaf uncovered.
            6 if !leaves.is_empty() => {
                let (key, versioned) = leaves[rng.index(leaves.len())].clone();
                let found = leaves.iter().find(|(key, value)| digest(&steps[at]) == Some(value.leaf(key)));
                let (key, versioned) = found.cloned().unwrap_or((key, versioned));
                steps[at] = Step::Leaf { key, versioned };
            }
            7 => match &mut steps[at] {
                Step::Leaf { key, versioned } => match rng.below(4) {
                    0 => key.name = Bytes::random(rng),
                    1 => versioned.value = Bytes::random(rng),
                    2 => versioned.version.index ^= 1,
                    _ => versioned.predecessor = Option::random(rng),
                },
                Step::Bare { key, value, .. } => match rng.below(2) {
                    0 => *key = odd_keys()[rng.index(33)].clone(),
                    _ => **value = Digest::random(rng),
                },
                Step::Opaque(digest) => *digest = Digest::random(rng),
                Step::Node => {}
            },
            _ => steps[at] = other.steps.get(rng.index(other.steps.len() + 1)).cloned().unwrap_or(Step::Node),
        }
    }
    PrunedTree { steps: steps.into() }
}

fn digest(step: &Step) -> Option<Digest> {
    match step {
        Step::Opaque(digest) => Some(*digest),
        Step::Leaf { key, versioned } => Some(versioned.leaf(key)),
        Step::Bare { key, version, predecessor, value } => {
            Some(leaf(&key.to_bytes(), *version, predecessor.as_ref(), value))
        }
        Step::Node => None,
    }
}

#[test]
fn no_mutated_tree_is_accepted() {
    let (mut rng, keys) = (Rng(3), odd_keys());
    let count = common::count("LEDGERKIT_MUTATIONS", 30_000, 200_000);
    let (mut same, mut refusals) = (0, BTreeSet::new());
    for round in 0..count / 100 {
        let size = rng.index(20);
        let state = random_state(&mut rng, &keys, size);
        let (leaves, root) = (list(&state), root(&state));
        for number in 0..100 {
            let [a, b, c] = [0; 3].map(|_| rng.index(keys.len()));
            let (from, successor) = (&keys[a], keys[a].successor());
            let to = match rng.below(2) {
                0 => Some(&successor),
                _ => Some(&keys[b]).filter(|_| b > a),
            };
            let tree = prove_range(&leaves, from, to);
            let other = prove_range(&leaves, &keys[c], None);
            let forged = mutated(&tree, &leaves, &other, &mut rng);
            match forged.verify_range(&root, from, to) {
                Ok(_) if forged == tree => same += 1,
                Ok(found) => panic!("round {round}, mutation {number}: {found:?} is shown by {forged:?}"),
                Err(StateProofError::Leaf { defect, .. }) => drop(refusals.insert(format!("{defect:?}"))),
                Err(error) => drop(refusals.insert(format!("{error:?}").split(' ').next().unwrap().to_owned())),
            }
        }
    }
    assert!(same < count / 3, "{same} of {count} mutations changed nothing");
    for refusal in [
        "Underflow",
        "Unjoined",
        "OpaqueNode",
        "Gap",
        "WrongRoot",
        "Order",
        "NoValue",
        "Value",
        "Needless",
        "NeedlessBefore",
    ] {
        assert!(refusals.contains(refusal), "no mutation was refused as {refusal}: {refusals:?}");
    }
}

/// The rules of the tree, applied one key at a time by bits that are spelt out: an insertion that never sees the set.
fn inserted(leaves: impl Iterator<Item = (Key, Digest)>) -> Digest {
    enum Tree {
        Leaf(Vec<bool>, Digest),
        Node(usize, Vec<bool>, Box<(Tree, Tree)>),
    }
    fn insert(tree: Tree, bits: Vec<bool>, leaf: Digest) -> Tree {
        // Any key below shares all bits above with all others below.
        let (at, other) = match &tree {
            Tree::Leaf(other, _) => (usize::MAX, other),
            Tree::Node(at, other, _) => (*at, other),
        };
        let differs = (0..bits.len().max(other.len()))
            .find(|place| bits.get(*place).unwrap_or(&false) != other.get(*place).unwrap_or(&false))
            .unwrap_or(usize::MAX);
        let goes_right = |place: usize| bits.get(place).copied().unwrap_or(false);
        match tree {
            Tree::Node(at, other, children) if at <= differs => {
                let (left, right) = *children;
                let children = match goes_right(at) {
                    true => (left, insert(right, bits, leaf)),
                    false => (insert(left, bits, leaf), right),
                };
                Tree::Node(at, other, Box::new(children))
            }
            tree => {
                assert!(differs < at, "a key twice");
                let right = goes_right(differs);
                let new = Tree::Leaf(bits.clone(), leaf);
                Tree::Node(differs, bits, Box::new(if right { (tree, new) } else { (new, tree) }))
            }
        }
    }
    fn digest(tree: &Tree) -> Digest {
        match tree {
            Tree::Leaf(_, digest) => *digest,
            Tree::Node(_, _, children) => node(&digest(&children.0), &digest(&children.1)),
        }
    }
    let tree = leaves.fold(None, |tree, (key, leaf)| {
        let bits = spelt_out(&key.to_bytes());
        Some(match tree {
            None => Tree::Leaf(bits, leaf),
            Some(tree) => insert(tree, bits, leaf),
        })
    });
    tree.map_or(EMPTY, |tree| digest(&tree))
}

fn spelt_out(key: &[u8]) -> Vec<bool> {
    key.iter().flat_map(|byte| format!("1{byte:08b}").into_bytes()).map(|digit| digit == b'1').collect()
}

#[test]
fn the_root_follows_from_the_set_of_keys_not_from_their_order() {
    let (mut rng, keys) = (Rng(5), odd_keys());
    for size in [0, 1, 2, 3, 10, 30, 200] {
        let mut state = random_state(&mut rng, &keys, size);
        state.extend((0..size as u64).map(|number| (key(3, &rng.next().to_le_bytes()), value(number))));
        let root = root(&state);
        let mut shuffled: Vec<(Key, Digest)> =
            state.iter().map(|(key, value)| (key.clone(), value.leaf(key))).collect();
        for _ in 0..5 {
            for at in (1..shuffled.len()).rev() {
                shuffled.swap(at, rng.index(at + 1));
            }
            assert_eq!(inserted(shuffled.iter().cloned()), root, "{size} keys");
        }
    }
}

#[test]
fn every_change_of_a_state_changes_its_root() {
    let original: State = odd_keys().into_iter().zip((0..).map(value)).collect();
    let mut roots = BTreeSet::from([root(&original)]);
    let it = key(2, b"a");
    let mut changed = |change: &dyn Fn(&mut State)| {
        let mut state = original.clone();
        change(&mut state);
        assert!(roots.insert(root(&state)));
    };
    changed(&|state| drop(state.remove(&it)));
    changed(&|state| drop(state.insert(key(2, b"c"), value(20))));
    changed(&|state| state.get_mut(&it).unwrap().value = Bytes::default());
    changed(&|state| state.get_mut(&it).unwrap().value = Bytes::from(vec![0]));
    changed(&|state| state.get_mut(&it).unwrap().version.index = 99);
    changed(&|state| state.get_mut(&it).unwrap().version.height = Height(99));
    changed(&|state| state.get_mut(&it).unwrap().predecessor = None);
    changed(&|state| state.get_mut(&it).unwrap().predecessor = Some(Digest::ZERO));
    changed(&|state| {
        let moved = state.remove(&it).unwrap();
        state.insert(key(2, b"a\0\0\0"), moved);
    });
}

#[test]
fn a_lone_key_is_the_root_and_shows_absence_on_both_sides() {
    let (lone, versioned) = (key(1, b"m"), value(3));
    let leaves = [(lone.clone(), versioned.clone())];
    let root = versioned.leaf(&lone);
    assert_eq!(root_of(&[(lone.clone(), root)]), root);
    let Versioned { value, version, predecessor } = versioned.clone();
    let bare = Step::Bare { key: lone.clone(), version, predecessor, value: value_digest(&value).into() };
    for absent in [key(1, b"l"), key(1, b"m\0"), key(0, b""), key(2, b"")] {
        let tree = prove_range(&leaves, &absent, Some(&absent.successor()));
        assert_eq!(tree.steps[..], *std::slice::from_ref(&bare));
        assert_eq!(tree.verify(&root, &absent), Ok(None));
        assert_eq!(PrunedTree::default().verify(&EMPTY, &absent), Ok(None));
        assert!(matches!(PrunedTree::default().verify(&root, &absent), Err(StateProofError::WrongRoot { .. })));
    }
    let defect = |defect| StateProofError::Leaf { step: 0, key: Box::new(lone.clone()), defect };
    let hidden = PrunedTree { steps: vec![Step::Opaque(root)].into() };
    assert_eq!(hidden.verify(&root, &lone), Err(StateProofError::Gap { step: 0 }));
    let zero = PrunedTree { steps: vec![Step::Opaque(EMPTY)].into() };
    assert_eq!(zero.verify(&EMPTY, &lone), Err(StateProofError::Gap { step: 0 }));
    let bare = PrunedTree { steps: vec![bare].into() };
    assert_eq!(bare.verify(&root, &lone), Err(defect(LeafDefect::NoValue)));
    let shown = PrunedTree { steps: vec![Step::Leaf { key: lone.clone(), versioned }].into() };
    assert_eq!(shown.verify(&root, &key(1, b"n")), Err(defect(LeafDefect::Value)));
    let empty = StateProofError::EmptyRange { from: Box::new(lone.clone()) };
    assert_eq!(shown.verify_range(&root, &lone, Some(&lone)), Err(empty));
}

#[test]
fn bits_are_nine_to_a_byte_and_sort_as_keys_do() {
    let (mut rng, mut keys) = (Rng(9), odd_keys());
    keys.extend((0..40).map(|_| key(9, &Bytes::random(&mut rng))));
    for a in &keys {
        let (bytes, spelt) = (a.to_bytes(), spelt_out(&a.to_bytes()));
        for index in 0..spelt.len() + 20 {
            assert_eq!(bit(&bytes, index as u32), spelt.get(index).copied().unwrap_or(false));
        }
        for b in &keys {
            let other = spelt_out(&b.to_bytes());
            let at = |bits: &[bool], index: usize| bits.get(index).copied().unwrap_or(false);
            let expected = (0..spelt.len().max(other.len())).find(|index| at(&spelt, *index) != at(&other, *index));
            let found = crit_bit(&bytes, &b.to_bytes());
            assert_eq!(found.map(|found| found as usize), expected);
            if let Some(found) = found {
                assert_eq!(bit(&bytes, found), a > b, "{a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn leaves_and_values_are_hashed_as_specified_and_in_whole_blocks() {
    let mut rng = Rng(11);
    for length in [0, 1, 31, 32, 33, 55, 56, 57, 120, 121, 1000, 1024] {
        let (name, value) = (rng.bytes(length), rng.bytes(length));
        let (key, version) = (key(4, &name), Version { height: Height(rng.next()), index: rng.next() as u32 });
        let mut expected = (length as u64).to_le_bytes().to_vec();
        expected.extend(&value);
        expected.resize(expected.len().div_ceil(64) * 64, 0);
        let mut message = Vec::new();
        value_message(&value, &mut message);
        assert_eq!(message, expected);
        assert_eq!(value_digest(&value), hash(domains::STATE_VALUE, &expected));
        for predecessor in [None, Some(Digest::new([8; 32]))] {
            let mut expected = (32 + length as u32).to_le_bytes().to_vec();
            expected.extend(version.height.0.to_le_bytes());
            expected.extend(version.index.to_le_bytes());
            expected.push(u8::from(predecessor.is_some()));
            expected.extend([0; 15]);
            expected.extend(predecessor.map_or([0; 32], |digest| *digest.as_bytes()));
            expected.extend(value_digest(&value).as_bytes());
            assert_eq!(expected.len(), 96);
            expected.extend(key.to_bytes());
            expected.resize(expected.len().div_ceil(64) * 64, 0);
            let mut message = vec![5];
            leaf_message(&key.to_bytes(), version, predecessor.as_ref(), &value_digest(&value), &mut message);
            assert_eq!(message[1..], expected);
            let versioned = Versioned { value: Bytes::from(value.clone()), version, predecessor };
            assert_eq!(versioned.leaf(&key), hash(domains::STATE_LEAF, &expected));
        }
    }
    let (left, right) = (Digest::new([1; 32]), Digest::new([2; 32]));
    assert_eq!(node(&left, &right), hash(domains::STATE_NODE, &[[1; 32], [2; 32]].concat()));
}

#[test]
fn steps_that_make_no_tree_are_not_decoded() {
    let opaque = Step::Opaque(Digest::new([1; 32]));
    let decoded = |steps: &[Step]| {
        let tree = PrunedTree { steps: List::from(steps.to_vec()) };
        codec::decode::<Alone>(&codec::encode(&tree)).map(|alone| assert_eq!(alone.0, tree)).is_ok()
    };
    assert!(decoded(&[]));
    assert!(decoded(std::slice::from_ref(&opaque)));
    assert!(decoded(&[opaque.clone(), opaque.clone(), Step::Node]));
    assert!(!decoded(&[Step::Node]));
    assert!(!decoded(&[opaque.clone(), opaque.clone()]));
    assert!(!decoded(&[opaque.clone(), opaque.clone(), opaque.clone()]));
    assert!(!decoded(&[opaque.clone(), Step::Node, opaque.clone()]));
    assert!(!decoded(&[opaque.clone(), opaque.clone(), Step::Node, Step::Node, opaque.clone()]));
    // A length that the input doesn't back.
    let mut bytes = codec::encode(&1_000_001u64);
    bytes.resize(1 << 19, 0);
    assert!(codec::decode::<Alone>(&bytes).is_err());
}

#[test]
fn a_hostile_tree_is_neither_deep_nor_slow() {
    let opaque = Step::Opaque(Digest::new([1; 32]));
    let tree = PrunedTree { steps: vec![opaque; MAX_DEPTH + 2].into() };
    assert_eq!(tree.verify(&EMPTY, &key(1, b"")), Err(StateProofError::TooDeep { step: MAX_DEPTH + 1 }));
}

#[test]
fn a_tree_of_prefixes_is_proven() {
    // Each key is the one before it and a byte: one branch below the other.
    let state: State = (0..=MAX_KEY_NAME_BYTES).map(|length| (key(1, &vec![0xff; length]), value(1))).collect();
    let (leaves, root) = (list(&state), root(&state));
    for length in [0, 1, 500, MAX_KEY_NAME_BYTES] {
        let key = key(1, &vec![0xff; length]);
        let tree = prove_range(&leaves, &key, Some(&key.successor()));
        assert_eq!(tree.verify(&root, &key), Ok(Some(&value(1))));
        let tree = prove_range(&leaves, &key.successor(), Some(&key.successor().successor()));
        assert_eq!(tree.verify(&root, &key.successor()), Ok(None));
    }
    assert_eq!(key(1, &[1; MAX_KEY_NAME_BYTES]).check(), Ok(()));
    assert_eq!(key(1, &[1; MAX_KEY_NAME_BYTES + 1]).check(), Err(KeyLengthError { found: 1025 }));
}

/// Values of a key, the newest first, written in blocks 3, 5 (twice) and 9.
fn chain_of_values(key: &Key) -> Vec<Versioned> {
    let mut values: Vec<Versioned> = Vec::new();
    for (height, index) in [(3, 1), (5, 0), (5, 2), (9, 4)] {
        let predecessor = values.first().map(|newest| newest.leaf(key));
        let version = Version { height: Height(height), index };
        values.insert(0, Versioned { value: Bytes::from(vec![height as u8, index as u8]), version, predecessor });
    }
    values
}

#[test]
fn older_values_are_those_that_the_newer_ones_replaced() {
    let key = key(1, b"price");
    let values = chain_of_values(&key);
    for shown in 0..4 {
        let history = ValueHistory { older: values[1..=shown].to_vec().into() };
        let proven = history.verify(&key, &values[0], Height(11)).unwrap();
        for height in 0..14 {
            let expected = values[..=shown].iter().find(|value| value.version.height.0 <= height);
            match expected.filter(|_| height <= 11) {
                Some(value) => assert_eq!(proven.at(Height(height)), Ok(value)),
                None => assert_eq!(
                    proven.at(Height(height)),
                    Err(ValueHistoryError::NotCovered {
                        height: Height(height),
                        oldest: values[shown].version.height,
                        newest: Height(11)
                    })
                ),
            }
        }
    }
}

#[test]
fn no_changed_history_of_values_is_accepted() {
    let (mut rng, key) = (Rng(13), key(1, b"price"));
    let values = chain_of_values(&key);
    let older = values[1..].to_vec();
    for number in 0..20_000 {
        let mut forged = older.clone();
        let at = rng.index(forged.len());
        match rng.below(6) {
            0 => drop(forged.remove(at)),
            1 => forged.swap(at, rng.index(older.len())),
            2 => forged.insert(at, values[rng.index(4)].clone()),
            3 => forged[at].value = Bytes::random(&mut rng),
            4 => forged[at].version.height = Height::random(&mut rng),
            _ => forged[at].predecessor = Option::random(&mut rng),
        }
        // The chain cut short is still a chain.
        let expected = older.starts_with(&forged);
        let history = ValueHistory { older: forged.clone().into() };
        let found = history.verify(&key, &values[0], Height(11));
        assert_eq!(found.is_ok(), expected, "mutation {number}: {forged:?}");
    }
    assert!(ValueHistory { older: older.into() }.verify(&self::key(1, b"cost"), &values[0], Height(11)).is_err());
}

#[test]
fn a_later_version_before_an_earlier_one_is_refused() {
    let key = key(1, b"price");
    let older = Versioned { predecessor: None, ..value(8) };
    let newest = Versioned { predecessor: Some(older.leaf(&key)), ..value(4) };
    let history = ValueHistory { older: vec![older.clone()].into() };
    let (version, newer) = (older.version, newest.version);
    assert_eq!(
        history.verify(&key, &newest, Height(20)),
        Err(ValueHistoryError::NotOlder { place: 0, version, newer })
    );
}
