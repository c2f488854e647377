//! Reading and changing the tree.

use ledger_core::state::sparse as tree;
use ledger_core::{Height, StateError};
use ledger_crypto::Digest;

use super::super::commitment::Change;
use super::super::damage::damaged;
use super::super::tables;
use super::bucket::{Bucket, Entry};
use super::cache::{Cache, Node};
use super::page::{Kind, Page, Slot};
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
                if let Some(Node::Bucket(bucket)) = self.cache.get(&prefix) {
                    out.extend(places.iter().map(|place| bucket.leaf(place)));
                    return Ok(());
                }
                let bucket = self.read_bucket(&prefix, count)?;
                out.extend(places.iter().map(|place| bucket.leaf(place)));
                self.cache.insert(prefix, Node::Bucket(bucket));
            }
            Kind::Page => {
                let page = match self.cache.get(&prefix) {
                    Some(Node::Page(page)) => Page::clone(page),
                    _ => {
                        let page = Page::read(self.space, self.reader, &prefix)?;
                        self.cache.insert(prefix, Node::Page(Box::new(page.clone())));
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
            Kind::Empty => {
                let bucket = Bucket::new(&prefix, Vec::new()).change(&prefix, changes);
                Ok(self.build(prefix, bucket, output))
            }
            Kind::Bucket(count) => {
                let bucket = self.take_bucket(&prefix, count)?.change(&prefix, changes);
                Ok(self.build(prefix, bucket, output))
            }
            Kind::Page => self.change_page(prefix, changes, output),
        }
    }

    fn change_page(&mut self, prefix: Prefix, changes: &[Change], output: &mut Output<'_>) -> Result<Slot, StateError> {
        let mut page = match self.cache.take(&prefix) {
            Some(Node::Page(page)) => page,
            _ => Box::new(Page::read(self.space, self.reader, &prefix)?),
        };
        for group in changes.chunk_by(|a, b| prefix.next(&a.place) == prefix.next(&b.place)) {
            let nibble = group.first().map_or(0, |change| prefix.next(&change.place));
            let (child, slot) = (prefix.child(nibble), page.get(nibble));
            output.undo.note(child, slot);
            page.set(nibble, self.change(slot, child, group, output)?);
        }
        if page.keys().is_some_and(|keys| keys <= MERGE_BELOW) {
            return self.collapse(prefix, &page, output);
        }
        Ok(self.store(prefix, page, output))
    }

    /// Turns a page into a bucket.
    fn collapse(&mut self, prefix: Prefix, page: &Page, output: &mut Output<'_>) -> Result<Slot, StateError> {
        // Those that the block changed were noted before, and what is noted first counts.
        for (nibble, slot) in (0..16).zip(page.slots()) {
            output.undo.note(prefix.child(nibble), *slot);
        }
        let mut entries = Vec::with_capacity(MERGE_BELOW);
        for (nibble, slot) in page.filled() {
            if let Kind::Bucket(count) = slot.kind() {
                entries.append(&mut self.take_bucket(&prefix.child(nibble), count)?.into_entries());
            }
        }
        output.batch.delete(prefix.with_bytes(|parts| tables::page_key(self.space, parts)));
        Ok(self.build(prefix, Bucket::new(&prefix, entries), output))
    }

    /// The subtree of the keys in `bucket` at `prefix`.
    fn build(&mut self, prefix: Prefix, bucket: Bucket, output: &mut Output<'_>) -> Slot {
        if bucket.entries().is_empty() {
            return Slot::EMPTY;
        }
        if bucket.entries().len() <= MAX_BUCKET {
            let slot = bucket.slot(&prefix);
            self.cache.stage(prefix, Node::Bucket(bucket));
            return slot;
        }
        let mut page = Box::new(Page::EMPTY);
        for group in bucket.entries().chunk_by(|a, b| prefix.next(&a.place) == prefix.next(&b.place)) {
            let nibble = group.first().map_or(0, |entry| prefix.next(&entry.place));
            let child = prefix.child(nibble);
            page.set(nibble, self.build(child, Bucket::new(&child, group.to_vec()), output));
        }
        self.store(prefix, page, output)
    }

    fn store(&mut self, prefix: Prefix, page: Box<Page>, output: &mut Output<'_>) -> Slot {
        let slot = page.slot();
        output.batch.put(prefix.with_bytes(|parts| tables::page_key(self.space, parts)), page.encode());
        self.cache.stage(prefix, Node::Page(page));
        slot
    }

    fn take_bucket(&mut self, prefix: &Prefix, count: usize) -> Result<Bucket, StateError> {
        match self.cache.take(prefix) {
            Some(Node::Bucket(bucket)) => Ok(bucket),
            _ => self.read_bucket(prefix, count),
        }
    }

    fn read_bucket(&self, prefix: &Prefix, count: usize) -> Result<Bucket, StateError> {
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
        Ok(Bucket::new(prefix, entries))
    }
}
