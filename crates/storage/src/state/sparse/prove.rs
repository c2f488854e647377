//! Paths of keys, in the newest tree and in recent ones.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ledger_core::state::sparse::{self as tree, PathEnd, StatePath};
use ledger_core::{Height, Key, StateError, Versioned};
use ledger_crypto::Digest;

use super::super::commitment::StateProver;
use super::super::damage::damaged;
use super::super::{tables, values};
use super::bucket::{self, Entry};
use super::page::{Kind, Page, RootRecord, Slot, fold};
use super::prefix::Prefix;
use super::window::{Undo, Window};
use crate::engine::{Direction, Snapshot, Space};

/// Proves beside the writer: it reads a snapshot and undoes in memory what later blocks changed.
pub(super) struct SparseProver {
    space: Space,
    window: Arc<RwLock<Window>>,
}

impl SparseProver {
    pub(super) fn new(space: Space, window: Arc<RwLock<Window>>) -> Self {
        Self { space, window }
    }

    pub(super) fn prove_place(
        &self,
        reader: &dyn Snapshot,
        newest: Height,
        at: Height,
        place: &Digest,
    ) -> Result<StatePath, StateError> {
        let window = self.window.read().unwrap_or_else(PoisonError::into_inner);
        let (undos, oldest) = (window.since(at, newest).filter(|_| at <= newest), window.floor());
        drop(window);
        let undos = undos.ok_or(StateError::Height { height: at, oldest, newest })?;
        PastTree { space: self.space, reader, at, undos }.path(place)
    }
}

impl StateProver for SparseProver {
    fn oldest(&self) -> Height {
        self.window.read().unwrap_or_else(PoisonError::into_inner).floor()
    }

    fn prove(&self, reader: &dyn Snapshot, newest: Height, at: Height, key: &Key) -> Result<StatePath, StateError> {
        self.prove_place(reader, newest, at, &tree::key_digest(key))
    }
}

/// The tree as it was before the blocks of `undos`, oldest first.
struct PastTree<'a> {
    space: Space,
    reader: &'a dyn Snapshot,
    at: Height,
    undos: Vec<Arc<Undo>>,
}

impl PastTree<'_> {
    fn path(&self, place: &Digest) -> Result<StatePath, StateError> {
        let mut siblings = Vec::new();
        let mut prefix = Prefix::ROOT;
        let mut slot = match self.undone(&prefix) {
            Some(slot) => slot,
            None => RootRecord::read(self.space, self.reader)?.slot,
        };
        loop {
            match slot.kind() {
                Kind::Empty => return Ok(StatePath { end: PathEnd::Empty, siblings: siblings.into() }),
                Kind::Bucket(count) => {
                    let entries = self.bucket(&prefix, count)?;
                    let end = self.walk_bucket(&entries, place, prefix.depth(), &mut siblings)?;
                    return Ok(StatePath { end, siblings: siblings.into() });
                }
                Kind::Page => {
                    let slots = self.slots(&prefix)?;
                    match walk_page(&slots, prefix.next(place), &mut siblings) {
                        // A lone key: its slot is a bucket of one, and the walk there adds no step.
                        Some(nibble) => {
                            prefix = prefix.child(nibble);
                            slot = slots.get(usize::from(nibble)).copied().unwrap_or(Slot::EMPTY);
                        }
                        None => return Ok(StatePath { end: PathEnd::Empty, siblings: siblings.into() }),
                    }
                }
            }
        }
    }

    fn undone(&self, prefix: &Prefix) -> Option<Slot> {
        self.undos.iter().find_map(|undo| undo.slot(prefix))
    }

    fn slots(&self, prefix: &Prefix) -> Result<Vec<Slot>, StateError> {
        let undone: Vec<Option<Slot>> = (0..16).map(|nibble| self.undone(&prefix.child(nibble))).collect();
        if let Some(all) = undone.iter().copied().collect() {
            return Ok(all);
        }
        let now = Page::read(self.space, self.reader, prefix)?;
        Ok(undone.into_iter().zip(now.slots()).map(|(before, now)| before.unwrap_or(*now)).collect())
    }

    /// Place and content of the keys below `prefix`, sorted.
    fn bucket(&self, prefix: &Prefix, count: usize) -> Result<Vec<(Digest, Digest)>, StateError> {
        let (first, last) = prefix.bounds();
        let (from, to) = tables::value_range(self.space, &first, &last);
        let mut entries = BTreeMap::new();
        for record in self.reader.range(&from, to.as_deref(), Direction::Forward) {
            let (key, record) = record?;
            let (place, content) = tables::leaf_of_value(&key, &record)?;
            entries.insert(place, content);
        }
        for place in self.undos.iter().flat_map(|undo| undo.places(&first, &last)) {
            match values::value_at(self.space, self.reader, place, self.at)? {
                Some(then) => {
                    let content = tree::content_digest(&then.value, then.version, then.predecessor.as_ref());
                    entries.insert(*place, content);
                }
                None => {
                    entries.remove(place);
                }
            }
        }
        if entries.len() != count {
            return Err(damaged("page", prefix, format_args!("a bucket of {count} keys has {}", entries.len())));
        }
        Ok(entries.into_iter().collect())
    }

    fn walk_bucket(
        &self,
        entries: &[(Digest, Digest)],
        place: &Digest,
        mut depth: usize,
        siblings: &mut Vec<Option<Digest>>,
    ) -> Result<PathEnd, StateError> {
        let mut rest = entries;
        while rest.len() > 1 && depth < tree::MAX_DEPTH {
            let middle = rest.partition_point(|(other, _)| !tree::turns_right(other, depth));
            let (left, right) = rest.split_at(middle);
            let (taken, beside) = if tree::turns_right(place, depth) { (right, left) } else { (left, right) };
            siblings.push(some(bucket_digest(beside, depth + 1)));
            depth += 1;
            rest = taken;
        }
        match rest.first() {
            None => Ok(PathEnd::Empty),
            Some((found, _)) if found == place => Ok(PathEnd::Present(self.value(place)?)),
            Some((key, content)) => Ok(PathEnd::Other { key: *key, content: *content }),
        }
    }

    fn value(&self, place: &Digest) -> Result<Versioned, StateError> {
        let changed = self.undos.iter().any(|undo| !undo.places(place, place).is_empty());
        let found = match changed {
            true => values::value_at(self.space, self.reader, place, self.at)?,
            false => values::current(self.space, self.reader, place)?,
        };
        found.ok_or_else(|| damaged("value", place, "the tree has it, the values don't"))
    }
}

fn bucket_digest(entries: &[(Digest, Digest)], depth: usize) -> Digest {
    let leaf = |(place, content): &(Digest, Digest)| Entry { place: *place, leaf: tree::leaf(place, content) };
    bucket::digest_of(&entries.iter().map(leaf).collect::<Vec<_>>(), depth)
}

/// Walks the four levels of a page towards `nibble`. Gives the slot where it goes on: the one of `nibble`, or of a lone
/// key before that; `None` where nothing is.
fn walk_page(slots: &[Slot], nibble: u8, siblings: &mut Vec<Option<Digest>>) -> Option<u8> {
    let (mut rest, mut first) = (slots, 0_u8);
    while rest.len() > 1 {
        let whole = fold(rest);
        if whole.is_lone() || whole.kind() == Kind::Empty {
            break;
        }
        let half = rest.len() / 2;
        let (left, right) = rest.split_at(half);
        let half = u8::try_from(half).unwrap_or_default();
        let (taken, beside) = if nibble & half != 0 { (right, left) } else { (left, right) };
        if nibble & half != 0 {
            first += half;
        }
        siblings.push(some(fold(beside).digest));
        rest = taken;
    }
    (first..16).zip(rest).find(|(_, slot)| slot.kind() != Kind::Empty).map(|(index, _)| index)
}

fn some(digest: Digest) -> Option<Digest> {
    Some(digest).filter(|digest| *digest != tree::EMPTY)
}
