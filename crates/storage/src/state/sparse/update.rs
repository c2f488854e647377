//! Reading and changing the tree.

use ledger_core::state::tree;
use ledger_core::{Height, StateError};
use ledger_crypto::Digest;

use super::super::commitment::Change;
use super::super::damage::damaged;
use super::super::tables;
use super::cache::{Cache, Node};
use super::page::{Entry, Kind, Page, Slot};
use super::prefix::Prefix;
use super::window::Undo;
use super::{MAX_BUCKET, MERGE_BELOW};
use crate::engine::{Batch, Direction, Snapshot, Space};

/// The tree as a snapshot has it, with what is cached of it.
pub(super) struct Tree<'a> {
    pub(super) space: Space,
    pub(super) reader: &'a dyn Snapshot,
    pub(super) cache: &'a mut Cache,
}

struct Output<'a> {
    batch: &'a mut Batch,
    undo: Undo,
}

impl Tree<'_> {
    /// The leaves at `places`, which are sorted, below the root's slot.
    pub(super) fn leaves(
        &mut self,
        root: Slot,
        places: &[Digest],
        out: &mut Vec<Option<Digest>>,
    ) -> Result<(), StateError> {
        self.leaves_below(root, Prefix::ROOT, places, out)
    }

    fn leaves_below(
        &mut self,
        slot: Slot,
        prefix: Prefix,
        places: &[Digest],
        out: &mut Vec<Option<Digest>>,
    ) -> Result<(), StateError> {
        match slot.kind() {
            Kind::Empty => out.extend(places.iter().map(|_| None)),
            Kind::Bucket(count) => {
                let found = |entries: &[Entry], place: &Digest| {
                    let index = entries.binary_search_by_key(place, |entry| entry.place).ok()?;
                    entries.get(index).map(|entry| entry.leaf)
                };
                if let Some(Node::Bucket(entries)) = self.cache.get(&prefix) {
                    out.extend(places.iter().map(|place| found(entries, place)));
                    return Ok(());
                }
                let entries = self.read_bucket(&prefix, count)?;
                out.extend(places.iter().map(|place| found(&entries, place)));
                self.cache.insert(prefix, Node::Bucket(entries));
            }
            Kind::Page => {
                let page = match self.cache.get(&prefix) {
                    Some(Node::Page(page)) => page.clone(),
                    _ => {
                        let page = Box::new(Page::read(self.space, self.reader, &prefix)?);
                        self.cache.insert(prefix, Node::Page(page.clone()));
                        page
                    }
                };
                for group in places.chunk_by(|a, b| prefix.next(a) == prefix.next(b)) {
                    let nibble = group.first().map_or(0, |place| prefix.next(place));
                    self.leaves_below(page.get(nibble), prefix.child(nibble), group, out)?;
                }
            }
        }
        Ok(())
    }

    /// The root's slot after `changes`, and how to undo them.
    pub(super) fn update(
        mut self,
        root: Slot,
        height: Height,
        changes: &[Change],
        batch: &mut Batch,
    ) -> Result<(Slot, Undo), StateError> {
        let mut undo = Undo::new(height, changes.iter().map(|change| change.place).collect());
        undo.note(Prefix::ROOT, root);
        let mut output = Output { batch, undo };
        let root = self.change(root, Prefix::ROOT, changes, &mut output)?;
        output.undo.finish();
        Ok((root, output.undo))
    }

    fn change(
        &mut self,
        slot: Slot,
        prefix: Prefix,
        changes: &[Change],
        output: &mut Output<'_>,
    ) -> Result<Slot, StateError> {
        match slot.kind() {
            Kind::Empty => Ok(self.build(prefix, merge(&[], changes), output)),
            Kind::Bucket(count) => {
                let entries = self.take_bucket(&prefix, count)?;
                Ok(self.build(prefix, merge(&entries, changes), output))
            }
            Kind::Page => self.change_page(prefix, changes, output),
        }
    }

    fn change_page(&mut self, prefix: Prefix, changes: &[Change], output: &mut Output<'_>) -> Result<Slot, StateError> {
        let mut page = match self.cache.take(&prefix) {
            Some(Node::Page(page)) => page,
            _ => Box::new(Page::read(self.space, self.reader, &prefix)?),
        };
        let before = page.clone();
        for group in changes.chunk_by(|a, b| prefix.next(&a.place) == prefix.next(&b.place)) {
            let nibble = group.first().map_or(0, |change| prefix.next(&change.place));
            let (child, slot) = (prefix.child(nibble), page.get(nibble));
            output.undo.note(child, slot);
            page.set(nibble, self.change(slot, child, group, output)?);
        }
        if page.keys().is_some_and(|keys| keys <= MERGE_BELOW) {
            return self.collapse(prefix, &page, &before, output);
        }
        Ok(self.store(prefix, page, output))
    }

    /// Turns a page into a bucket.
    fn collapse(
        &mut self,
        prefix: Prefix,
        page: &Page,
        before: &Page,
        output: &mut Output<'_>,
    ) -> Result<Slot, StateError> {
        for (nibble, slot) in (0..16).zip(before.slots()) {
            output.undo.note(prefix.child(nibble), *slot);
        }
        let mut entries = Vec::with_capacity(MERGE_BELOW);
        for (nibble, slot) in page.filled() {
            if let Kind::Bucket(count) = slot.kind() {
                entries.extend(self.take_bucket(&prefix.child(nibble), count)?);
            }
        }
        output.batch.delete(prefix.with_bytes(|parts| tables::page_key(self.space, parts)));
        Ok(self.build(prefix, entries, output))
    }

    /// The subtree of `entries` at `prefix`.
    fn build(&mut self, prefix: Prefix, entries: Vec<Entry>, output: &mut Output<'_>) -> Slot {
        if entries.is_empty() {
            return Slot::EMPTY;
        }
        if entries.len() <= MAX_BUCKET {
            let slot = Slot::bucket(&entries, &prefix);
            self.cache.stage(prefix, Node::Bucket(entries));
            return slot;
        }
        let mut page = Box::new(Page::EMPTY);
        for group in entries.chunk_by(|a, b| prefix.next(&a.place) == prefix.next(&b.place)) {
            let nibble = group.first().map_or(0, |entry| prefix.next(&entry.place));
            page.set(nibble, self.build(prefix.child(nibble), group.to_vec(), output));
        }
        self.store(prefix, page, output)
    }

    fn store(&mut self, prefix: Prefix, page: Box<Page>, output: &mut Output<'_>) -> Slot {
        let slot = page.slot();
        output.batch.put(prefix.with_bytes(|parts| tables::page_key(self.space, parts)), page.encode());
        self.cache.stage(prefix, Node::Page(page));
        slot
    }

    fn take_bucket(&mut self, prefix: &Prefix, count: usize) -> Result<Vec<Entry>, StateError> {
        match self.cache.take(prefix) {
            Some(Node::Bucket(entries)) => Ok(entries),
            _ => self.read_bucket(prefix, count),
        }
    }

    fn read_bucket(&self, prefix: &Prefix, count: usize) -> Result<Vec<Entry>, StateError> {
        let (from, to) = prefix.bounds();
        let (from, to) = tables::value_range(self.space, &from, &to);
        let mut entries = Vec::with_capacity(count);
        for record in self.reader.range(&from, to.as_deref(), Direction::Forward).take(count + 1) {
            let (key, record) = record?;
            let (place, content) = tables::leaf_of_value(&key, &record)?;
            entries.push(Entry { place, leaf: tree::leaf(&place, &content) });
        }
        if entries.len() != count {
            return Err(damaged("page", prefix, format_args!("a bucket of {count} keys has other values")));
        }
        Ok(entries)
    }
}

/// Both are sorted; so is what they give.
fn merge(entries: &[Entry], changes: &[Change]) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(entries.len() + changes.len());
    let mut entries = entries.iter().copied().peekable();
    for change in changes {
        while let Some(entry) = entries.next_if(|entry| entry.place < change.place) {
            merged.push(entry);
        }
        entries.next_if(|entry| entry.place == change.place);
        merged.extend(change.leaf.map(|leaf| Entry { place: change.place, leaf }));
    }
    merged.extend(entries);
    merged
}
