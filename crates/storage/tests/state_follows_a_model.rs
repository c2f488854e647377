//! The state behaves as a map of keys to values with all its history, in values, roots, scans and proofs, also after it
//! was opened again at any point, and from copies of its index.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::codec::Bytes;
use ledger_core::state::tree;
use ledger_core::{ContractId, Height, Key, KeyRange, StateError, StateView, Version, Versioned, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Batch, Engine, MemoryEngine, Space};
use ledger_storage::state::{StateConfig, StateStore, VersionEntry};
use proptest::prelude::*;

/// Every version of every key: what the state must say.
#[derive(Clone, Default)]
struct Model {
    versions: BTreeMap<Key, Vec<VersionEntry>>,
    roots: Vec<Digest>,
}

impl Model {
    fn live(&self, at: Height) -> Vec<(Key, Versioned)> {
        let at_height = |entries: &[VersionEntry]| {
            entries.iter().rev().find(|entry| entry.version.height <= at).and_then(|entry| entry.value.clone())
        };
        self.versions.iter().filter_map(|(key, entries)| Some((key.clone(), at_height(entries)?))).collect()
    }

    fn apply(&mut self, height: Height, writes: &Writes) {
        for write in writes {
            let entries = self.versions.entry(write.key.clone()).or_default();
            let before = entries.last().and_then(|entry| entry.value.clone());
            let version = Version { height, index: write.index };
            if before.is_none() && write.value.is_none() {
                continue;
            }
            let predecessor = before.map(|before| before.leaf(&write.key));
            let value = write.value.clone().map(|value| Versioned { value, version, predecessor });
            entries.push(VersionEntry { version, value });
        }
        let leaves: Vec<_> =
            self.live(height).into_iter().map(|(key, value)| (key.clone(), value.leaf(&key))).collect();
        self.roots.push(tree::root_of(&leaves));
    }
}

fn namespace(number: u8) -> ContractId {
    ContractId(Digest::new([number; 32]))
}

/// Names of few shapes, so that keys meet, are prefixes of one another, and differ in first and in last bits.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 0x7f, 0x80, 0xff]), 0..4),
        (0u32..2_000).prop_map(|number| format!("lot-{number:05}").into_bytes()),
        any::<[u8; 2]>().prop_map(|bytes| bytes.to_vec()),
        Just(vec![b'x'; 1_024]),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    (0u8..3, name()).prop_map(|(number, name)| Key::new(namespace(number), name))
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..70).prop_map(Some),
        1 => (900usize..2_500).prop_map(|length| Some(vec![7; length])),
        2 => Just(None),
    ]
}

fn writes(most: usize) -> impl Strategy<Value = Writes> {
    prop::collection::vec((key(), 0u32..4, value()), 0..most).prop_map(|writes| {
        let write =
            |(key, index, value): (Key, u32, Option<Vec<u8>>)| Write { key, index, value: value.map(Bytes::from) };
        Writes::new(writes.into_iter().map(write).collect())
    })
}

#[derive(Clone, Debug)]
enum Act {
    Block(Writes),
    Reopen,
    Checkpoint,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => writes(60).prop_map(Act::Block),
        2 => writes(600).prop_map(Act::Block),
        1 => Just(Act::Reopen),
        1 => Just(Act::Checkpoint),
    ];
    prop::collection::vec(act, 1..24)
}

const SPACE: Space = Space::new(5);

fn config() -> StateConfig {
    StateConfig { window_blocks: 6, threads: 3, checkpoint_bytes: 2_000, ..StateConfig::default() }
}

struct Subject {
    engine: Arc<dyn Engine>,
    store: StateStore,
    model: Model,
}

impl Subject {
    fn new() -> Self {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let store = StateStore::open(Arc::clone(&engine), SPACE, Height(0), config()).unwrap();
        Self { engine, store, model: Model { roots: vec![tree::EMPTY], ..Model::default() } }
    }

    fn height(&self) -> Height {
        self.store.height()
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Block(writes) => {
                let height = self.height().next();
                let mut batch = Batch::new();
                let root = self.store.update(height, writes, &mut batch).unwrap();
                self.engine.apply(batch).unwrap();
                self.model.apply(height, writes);
                assert_eq!(root, *self.model.roots.last().unwrap(), "root after block {height}");
            }
            Act::Reopen => {
                let height = self.height();
                self.store = StateStore::open(Arc::clone(&self.engine), SPACE, height, config()).unwrap();
                assert_eq!((self.store.height(), self.store.root()), (height, *self.model.roots.last().unwrap()));
            }
            Act::Checkpoint => {
                let mut batch = Batch::new();
                self.store.checkpoint(&mut batch).unwrap();
                self.engine.apply(batch).unwrap();
            }
        }
    }

    /// Everything that can be asked, against the model.
    fn compare(&self, asked: &[Key]) {
        let reader = self.store.reader();
        let newest = self.height();
        for at in (0..=newest.0).map(Height) {
            let live = self.model.live(at);
            let view = reader.at(at);
            for number in 0..3 {
                let range = KeyRange { namespace: namespace(number), from: Bytes::default(), to: None };
                let found: Vec<_> = view.scan(&range).map(Result::unwrap).collect();
                let expected: Vec<_> =
                    live.iter().filter(|(key, _)| key.namespace == namespace(number)).cloned().collect();
                assert_eq!(found, expected, "namespace {number} at {at}");
            }
            for key in asked.iter().chain(live.iter().step_by(7).map(|(key, _)| key)) {
                let expected = live.iter().find(|(other, _)| other == key).map(|(_, value)| value);
                assert_eq!(view.get(key).unwrap().as_ref(), expected, "{key:?} at {at}");
            }
            // More than are looked up at once, in another order than theirs, and some twice.
            let many: Vec<_> = live.iter().map(|(key, _)| key.clone()).chain(asked.iter().cloned()).rev().collect();
            let many: Vec<_> = many.iter().chain(&many).take(300).cloned().collect();
            let each: Vec<_> = many.iter().map(|key| view.get(key).unwrap()).collect();
            assert_eq!(view.get_many(&many).unwrap(), each, "{many:?} at {at}");
            if at < reader.oldest_provable() {
                assert!(matches!(reader.prove(newest, at, &asked[0]), Err(StateError::Height { .. })));
                continue;
            }
            let root = &self.model.roots[at.0 as usize];
            for key in asked {
                let proof = reader.prove(newest, at, key).unwrap();
                assert_eq!(proof, tree::prove_range(&live, key, Some(&key.successor())), "{key:?} at {at}");
                let expected = live.iter().find(|(other, _)| other == key).map(|(_, value)| value);
                assert_eq!(proof.verify(root, key).unwrap(), expected);
            }
            for pair in asked.windows(2) {
                let (from, to) = if pair[0] <= pair[1] { (&pair[0], &pair[1]) } else { (&pair[1], &pair[0]) };
                for to in [Some(to), None] {
                    if to == Some(from) {
                        continue;
                    }
                    let proof = reader.prove_range(newest, at, from, to).unwrap();
                    assert_eq!(proof, tree::prove_range(&live, from, to), "{from:?} to {to:?} at {at}");
                    let found = proof.verify_range(root, from, to).unwrap();
                    let inside = |key: &Key| key >= from && to.is_none_or(|to| key < to);
                    let expected: Vec<_> =
                        live.iter().filter(|(key, _)| inside(key)).map(|(key, value)| (key, value)).collect();
                    assert_eq!(found, expected);
                }
            }
        }
        for (key, entries) in self.model.versions.iter().filter(|(_, entries)| !entries.is_empty()).step_by(5) {
            let expected: Vec<_> = entries.iter().rev().cloned().collect();
            assert_eq!(reader.history(key, None, usize::MAX).unwrap(), expected, "{key:?}");
            let from = expected[expected.len() / 2].version;
            assert_eq!(
                reader.history(key, Some(from), 2).unwrap(),
                expected[expected.len() / 2..].iter().take(2).cloned().collect::<Vec<_>>()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn state_is_a_map_with_history(acts in acts(), asked in prop::collection::vec(key(), 2..6)) {
        let mut subject = Subject::new();
        for act in &acts {
            subject.act(act);
        }
        subject.compare(&asked);
        subject.act(&Act::Reopen);
        subject.compare(&asked);
    }

    #[test]
    fn root_depends_on_leaves_alone(writes in writes(400)) {
        // Other keys come and go in the same block: they leave no trace in the root.
        let (mut plain, mut beside) = (Subject::new(), Subject::new());
        plain.act(&Act::Block(writes.clone()));
        let stranger = |number: u32, index, value| {
            Write { key: Key::new(namespace(9), number.to_be_bytes().as_slice()), index, value }
        };
        let come = (0..200).map(|number| stranger(number, 0, Some(Bytes::default())));
        let gone = (0..200).map(|number| stranger(number, 1, None));
        beside.act(&Act::Block(Writes::new(writes.iter().cloned().chain(come).chain(gone).collect())));
        prop_assert_eq!(plain.store.root(), beside.store.root());
    }
}

/// Hot keys: old values are found although there are thousands of versions behind them.
#[test]
fn long_histories_are_read_at_every_height() {
    let mut subject = Subject::new();
    let hot = Key::new(namespace(1), b"hot".as_slice());
    for number in 0..1_200u32 {
        let value = if number % 97 == 96 { None } else { Some(Bytes::from(number.to_le_bytes().as_slice())) };
        subject.act(&Act::Block(Writes::new(vec![Write { key: hot.clone(), index: 0, value }])));
    }
    let reader = subject.store.reader();
    for at in 1..=1_200u64 {
        let expected = subject.model.live(Height(at)).pop().map(|(_, value)| value);
        assert_eq!(reader.get(&hot, Height(at)).unwrap(), expected, "at {at}");
    }
    assert_eq!(reader.history(&hot, None, 5_000).unwrap().len(), 1_200);
}

/// A tree of many keys, at once and one by one, with keys that differ in one bit.
#[test]
fn combs_and_loads_have_the_oracles_root() {
    let mut subject = Subject::new();
    // Each key is a prefix of the next: the deepest shape that there is.
    let comb = (0..700usize).map(|length| Write {
        key: Key::new(namespace(2), vec![b'a'; length]),
        index: 0,
        value: Some(Bytes::from(b"comb".as_slice())),
    });
    subject.act(&Act::Block(Writes::new(comb.collect())));
    for number in 0..50u64 {
        let one = Write {
            key: Key::new(namespace(1), number.reverse_bits().to_be_bytes().as_slice()),
            index: 0,
            value: Some(Bytes::default()),
        };
        subject.act(&Act::Block(Writes::new(vec![one])));
    }
    let load = (0..5_000u32).map(|number| Write {
        key: Key::new(
            namespace(0),
            ledger_crypto::Digest::new([number as u8; 32]).as_bytes()[..2]
                .iter()
                .chain(&number.to_be_bytes())
                .copied()
                .collect::<Vec<_>>(),
        ),
        index: 0,
        value: Some(Bytes::from(number.to_be_bytes().as_slice())),
    });
    subject.act(&Act::Block(Writes::new(load.collect())));
    subject.act(&Act::Checkpoint);
    subject.act(&Act::Reopen);
    let asked =
        [Key::new(namespace(2), vec![b'a'; 350]), Key::new(namespace(2), vec![b'b']), Key::new(namespace(0), vec![])];
    subject.compare(&asked);
}

/// Blocks that change, delete and add a few keys among many: what isn't hashed again was right.
#[test]
fn a_few_changes_among_many_keys_have_the_oracles_root() {
    let mut subject = Subject::new();
    let name = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let write = |number: u64, value: Option<u64>| Write {
        key: Key::new(namespace(1), name(number).as_slice()),
        index: 0,
        value: value.map(|value| Bytes::from(value.to_le_bytes().as_slice())),
    };
    subject.act(&Act::Block(Writes::new((0..1_500).map(|number| write(number, Some(number))).collect())));
    let mut random = 7_u64;
    for block in 1..=60_u64 {
        let writes = (0..block % 40 + 1).map(|change| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Of the keys written to, one in thirteen was never there, and one in four changes deletes.
            write((random >> 33) % 1_625, (random >> 20 & 3 > 0).then_some(block << 32 | change))
        });
        subject.act(&Act::Block(Writes::new(writes.collect())));
        if block % 20 == 0 {
            subject.act(&Act::Reopen);
        }
    }
}

#[test]
fn what_is_too_long_is_refused_by_name() {
    let mut subject = Subject::new();
    let mut refused = |key: Key, value: Vec<u8>| {
        let write = Write { key, index: 0, value: Some(Bytes::from(value)) };
        subject.store.update(Height(1), &Writes::new(vec![write]), &mut Batch::new()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Key::new(namespace(1), vec![0; 1_025]), vec![]),
        "a state key's name of 1025 bytes is over its limit of 1024 bytes"
    );
    assert_eq!(
        refused(Key::new(namespace(1), vec![0]), vec![0; 16 << 20]),
        "a value has 16777216 bytes; the limit is 16777152"
    );
}
