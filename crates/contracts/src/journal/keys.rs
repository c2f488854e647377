//! The keys that a journal knows, each by a number of its own.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use ledger_core::{ContractId, Key};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// Keys, numbered in the order in which they came: a number is the key's *place*.
///
/// The table holds places and not keys, so that a key is kept once, is looked up without being made first, and keys that
/// came one behind the other stand so.
#[derive(Default)]
pub(super) struct Keys {
    /// Looked up and never walked: its order leaks nowhere. A key is looked up a dozen times for each transaction, so the
    /// hash is one of few steps; whoever chooses keys to fall together doesn't know its seed.
    table: HashTable<usize>,
    keys: Vec<Key>,
    hasher: RandomState,
}

impl Keys {
    /// Makes room for so many more at once.
    pub(super) fn reserve(&mut self, more: usize) {
        let Keys { table, keys, hasher } = self;
        table.reserve(more, |place| hash_at(hasher, keys, *place));
        keys.reserve(more);
    }

    /// All of them, by their places.
    pub(super) fn all(&self) -> &[Key] {
        &self.keys
    }

    /// All of them, by their places.
    pub(super) fn into_vec(self) -> Vec<Key> {
        self.keys
    }

    /// The place of a key, if it is known.
    pub(super) fn find(&self, namespace: &ContractId, name: &[u8]) -> Option<usize> {
        let hash = hash(&self.hasher, namespace, name);
        self.table.find(hash, |place| is_at(&self.keys, *place, namespace, name)).copied()
    }

    /// The place of a key: the next free one if it wasn't known.
    pub(super) fn place(&mut self, key: Key) -> usize {
        let Keys { table, keys, hasher } = self;
        let hash = hash(hasher, &key.namespace, &key.name);
        let same = |place: &usize| is_at(keys, *place, &key.namespace, &key.name);
        match table.entry(hash, same, |place| hash_at(hasher, keys, *place)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let next = keys.len();
                free.insert(next);
                keys.push(key);
                next
            }
        }
    }
}

fn hash(hasher: &RandomState, namespace: &ContractId, name: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    // Namespaces are digests, of which eight bytes tell as much as all: to make many alike in them takes too long.
    let front = namespace.0.as_bytes().first_chunk().map_or(0, |front| u64::from_le_bytes(*front));
    hasher.write_u64(front);
    hasher.write(name);
    hasher.finish()
}

fn hash_at(hasher: &RandomState, keys: &[Key], place: usize) -> u64 {
    // Every place in the table is that of a key.
    keys.get(place).map_or(0, |key| hash(hasher, &key.namespace, &key.name))
}

fn is_at(keys: &[Key], place: usize, namespace: &ContractId, name: &[u8]) -> bool {
    keys.get(place).is_some_and(|key| *key.name == *name && key.namespace == *namespace)
}

/// Sorts places by their keys.
pub(super) fn sort(keys: &[Key], places: &mut [usize]) {
    // What was read together before it was needed came in order, and that is all in most blocks of native contracts.
    if places.is_sorted_by(|one, next| keys.get(*one) <= keys.get(*next)) {
        return;
    }
    // Otherwise by a few bytes that stand side by side: of names that are random they decide nearly always, and names needn't
    // be fetched from where they are.
    let ranks = Ranks::of(keys, places);
    let mut marked: Vec<(u128, usize)> = Vec::with_capacity(places.len());
    let mut last = None;
    for &place in &*places {
        let Some(key) = keys.get(place) else { continue };
        let rank = match last {
            Some((namespace, rank)) if namespace == key.namespace => rank,
            _ => ranks.of_namespace(&key.namespace),
        };
        last = Some((key.namespace, rank));
        marked.push(((rank << 96) | front(&key.name), place));
    }
    let name = |place: usize| keys.get(place).map(|key| &key.name);
    marked.sort_by(|(a_front, a), (b_front, b)| a_front.cmp(b_front).then_with(|| name(*a).cmp(&name(*b))));
    for (to, (_, place)) in places.iter_mut().zip(marked) {
        *to = place;
    }
}

/// The first twelve bytes of a name as a number that sorts as they do; zeros where it ends before.
fn front(name: &[u8]) -> u128 {
    let mut front = [0; 16];
    let (_, twelve) = front.split_at_mut(4);
    twelve.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(front)
}

/// The order of some keys' namespaces.
struct Ranks(HashMap<ContractId, u128, RandomState>);

impl Ranks {
    fn of(keys: &[Key], places: &[usize]) -> Self {
        let mut namespaces = HashMap::<ContractId, u128, RandomState>::default();
        let mut last = None;
        for key in places.iter().filter_map(|place| keys.get(*place)) {
            // Neighbours have the same one, as a rule.
            if last != Some(key.namespace) {
                namespaces.insert(key.namespace, 0);
                last = Some(key.namespace);
            }
        }
        // Walked once, and sorted before its order matters.
        let mut sorted: Vec<ContractId> = namespaces.keys().copied().collect();
        sorted.sort_unstable();
        Ranks(sorted.into_iter().zip(0..).collect())
    }

    fn of_namespace(&self, namespace: &ContractId) -> u128 {
        self.0.get(namespace).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;
    use proptest::prelude::*;

    fn some_key() -> impl Strategy<Value = Key> {
        // Long names that begin alike, short ones, and ends that are zeros.
        let name = prop_oneof![
            prop::collection::vec(0..3u8, 0..4),
            prop::collection::vec(0..2u8, 0..4).prop_map(|end| [vec![7; 11], end].concat()),
            prop::collection::vec(any::<u8>(), 30..34),
        ];
        (0..3u8, name).prop_map(|(space, name)| Key::new(ContractId(Digest::new([space; 32])), name))
    }

    proptest! {
        #[test]
        fn places_are_sorted_as_their_keys_are(keys in prop::collection::vec(some_key(), 0..60), twice: bool) {
            let mut places: Vec<usize> = (0..keys.len()).rev().collect();
            sort(&keys, &mut places);
            if twice {
                sort(&keys, &mut places);
            }
            let sorted: Vec<&Key> = places.iter().map(|place| &keys[*place]).collect();
            let mut expected: Vec<&Key> = keys.iter().collect();
            expected.sort();
            prop_assert_eq!(sorted, expected);
            places.sort_unstable();
            prop_assert_eq!(places, (0..keys.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_key_has_one_place(asked in prop::collection::vec(some_key(), 0..60)) {
            let (mut keys, mut model) = (Keys::default(), Vec::new());
            for key in asked {
                let known = model.iter().position(|other| *other == key);
                prop_assert_eq!(keys.find(&key.namespace, &key.name), known);
                if known.is_none() {
                    model.push(key.clone());
                }
                prop_assert_eq!(keys.place(key), known.unwrap_or(model.len() - 1));
            }
            prop_assert_eq!(keys.all(), &*model);
        }
    }
}
