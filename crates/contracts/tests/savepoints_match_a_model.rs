//! A journal with savepoints behaves as one that copies everything at each savepoint.
#![allow(clippy::unwrap_used)]

use ledger_contracts::journal::{Journal, Savepoint};
use ledger_contracts::testing::MapState;
use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Height, Key, KeyRange, StateView, Write, Writes};
use ledger_crypto::Digest;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Put(Key, Vec<u8>),
    Delete(Key),
    Get(Key),
    Scan(KeyRange),
    Begin,
    Save,
    Rollback(prop::sample::Index),
    Prefetch(Vec<Key>),
}

fn namespace() -> impl Strategy<Value = ContractId> {
    (0..2u8).prop_map(|number| ContractId(Digest::new([number; 32])))
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, 255]), 0..3)
}

fn key() -> impl Strategy<Value = Key> {
    (namespace(), name()).prop_map(|(namespace, name)| Key::new(namespace, name))
}

fn range() -> impl Strategy<Value = KeyRange> {
    (namespace(), name(), prop::option::of(name())).prop_map(|(namespace, from, to)| KeyRange {
        namespace,
        from: from.into(),
        to: to.map(Bytes::from),
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (key(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(key, value)| Step::Put(key, value)),
        2 => key().prop_map(Step::Delete),
        2 => key().prop_map(Step::Get),
        2 => range().prop_map(Step::Scan),
        1 => Just(Step::Begin),
        2 => Just(Step::Save),
        2 => any::<prop::sample::Index>().prop_map(Step::Rollback),
        1 => prop::collection::vec(key(), 0..4).prop_map(Step::Prefetch),
    ]
}

/// Every write of every transaction, on top of the base; copied whole at each savepoint.
#[derive(Clone, Default)]
struct Model {
    base: BTreeMap<Key, Bytes>,
    writes: BTreeMap<(Key, u32), Option<Bytes>>,
}

impl Model {
    fn now(&self) -> BTreeMap<Key, Bytes> {
        let mut values = self.base.clone();
        for ((key, _), value) in &self.writes {
            match value {
                Some(value) => values.insert(key.clone(), value.clone()),
                None => values.remove(key),
            };
        }
        values
    }

    fn effective_writes(&self) -> Vec<Write> {
        let mut values = self.base.clone();
        let mut writes = Vec::new();
        for ((key, index), value) in &self.writes {
            let existed = match value {
                Some(value) => values.insert(key.clone(), value.clone()),
                None => values.remove(key),
            };
            if existed.is_some() || value.is_some() {
                writes.push(Write { key: key.clone(), index: *index, value: value.clone() });
            }
        }
        writes
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn reads_scans_rollbacks_and_writes_equal_those_of_whole_copies(
        base in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 1..3), 0..8),
        steps in prop::collection::vec(step(), 0..60),
        cache in prop::sample::select(vec![0, 300, 1 << 20]),
    ) {
        let mut state = MapState::new();
        let before = base.iter().map(|(key, value)| {
            Write { key: key.clone(), index: 0, value: Some(Bytes::from(value.clone())) }
        });
        state.apply(Height(1), &Writes::new(before.collect()));
        let base = base.into_iter().map(|(key, value)| (key, Bytes::from(value))).collect();
        let mut model = Model { base, ..Model::default() };
        let mut journal = Journal::new(&state).cache_bytes(cache);
        let mut saved: Vec<(Savepoint, Model)> = Vec::new();
        let mut index = 0;
        for step in steps {
            match step {
                Step::Put(key, value) => {
                    journal.put(key.clone(), value.clone());
                    model.writes.insert((key, index), Some(value.into()));
                }
                Step::Delete(key) => {
                    journal.delete(key.clone());
                    model.writes.insert((key, index), None);
                }
                Step::Get(key) => prop_assert_eq!(journal.get(&key).unwrap(), model.now().get(&key).cloned()),
                Step::Scan(range) => {
                    let steps: Vec<_> = journal.scan(&range).map(Result::unwrap).collect();
                    prop_assert!(steps.is_sorted_by(|a, b| a.key < b.key), "strictly in order");
                    for step in &steps {
                        prop_assert_eq!(step.base, state.get(&step.key).unwrap().map(|found| found.version));
                    }
                    let found: Vec<_> = steps.into_iter().filter_map(|step| Some((step.key, step.value?))).collect();
                    let expected: Vec<_> = model.now().into_iter().filter(|(key, _)| range.contains(key)).collect();
                    prop_assert_eq!(found, expected);
                }
                Step::Begin => {
                    index += 1;
                    journal.begin(index);
                }
                Step::Save => saved.push((journal.savepoint(), model.clone())),
                Step::Rollback(which) => {
                    if !saved.is_empty() {
                        let which = which.index(saved.len());
                        saved.truncate(which + 1);
                        let (savepoint, then) = saved.last().unwrap();
                        journal.rollback(*savepoint);
                        model = then.clone();
                    }
                }
                Step::Prefetch(keys) => journal.prefetch(keys).unwrap(),
            }
        }
        prop_assert_eq!(journal.into_writes().unwrap(), Writes::new(model.effective_writes()));
    }

    #[test]
    fn rolling_back_to_an_outer_savepoint_spends_the_inner_one(
        first in key(), second in key(), third in key(),
    ) {
        let state = MapState::new();
        let mut journal = Journal::new(&state);
        let outer = journal.savepoint();
        journal.put(first, b"1".to_vec());
        let inner = journal.savepoint();
        journal.put(second, b"2".to_vec());
        journal.rollback(outer);
        journal.rollback(inner);
        prop_assert!(journal.into_writes().unwrap().is_empty());

        let mut journal = Journal::new(&state);
        let here = journal.savepoint();
        journal.put(third.clone(), b"3".to_vec());
        journal.rollback(here);
        journal.rollback(here);
        prop_assert_eq!(journal.get(&third).unwrap(), None);
    }
}

#[test]
fn each_transaction_has_one_version_of_a_key_and_its_last_value() {
    let state = MapState::new();
    let key = Key::new(ContractId(Digest::new([1; 32])), b"k".to_vec());
    let mut journal = Journal::new(&state);
    journal.put(key.clone(), b"a".to_vec());
    journal.put(key.clone(), b"b".to_vec());
    journal.begin(2);
    journal.put(key.clone(), b"c".to_vec());
    journal.begin(3);
    journal.delete(key.clone());
    journal.begin(4);
    journal.delete(key.clone());
    let writes = journal.into_writes().unwrap();
    let found: Vec<_> = writes.iter().map(|write| (write.index, write.value.as_deref())).collect();
    assert_eq!(found, [(0, Some(b"b".as_slice())), (2, Some(b"c")), (3, None)]);
}
