//! How to undo the last blocks, for proofs at heights before the newest.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger_core::Height;
use ledger_crypto::Digest;

use super::page::Slot;
use super::prefix::Prefix;

/// What one block changed in the tree: the places, and the slots as they were before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undo {
    height: Height,
    places: Vec<Digest>,
    slots: Vec<(Prefix, Slot)>,
}

impl Undo {
    pub(super) fn new(height: Height, places: Vec<Digest>) -> Self {
        Self { height, places, slots: Vec::new() }
    }

    /// Notes what `prefix` had before the block. What is noted first counts.
    pub(super) fn note(&mut self, prefix: Prefix, before: Slot) {
        self.slots.push((prefix, before));
    }

    pub(super) fn finish(&mut self) {
        self.slots.sort_by_key(|(prefix, _)| *prefix);
        self.slots.dedup_by_key(|(prefix, _)| *prefix);
        self.slots.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.places.as_slice()) + size_of_val(self.slots.as_slice())
    }

    pub(super) fn slot(&self, prefix: &Prefix) -> Option<Slot> {
        let index = self.slots.binary_search_by_key(prefix, |(prefix, _)| *prefix).ok()?;
        self.slots.get(index).map(|(_, slot)| *slot)
    }

    /// The changed places from `from` to `to`, both included.
    pub(super) fn places(&self, from: &Digest, to: &Digest) -> &[Digest] {
        let start = self.places.partition_point(|place| place < from);
        let end = self.places.partition_point(|place| place <= to);
        self.places.get(start..end).unwrap_or_default()
    }
}

/// The last blocks that changed the tree.
#[derive(Debug)]
pub(super) struct Window {
    /// The last block that can't be undone.
    floor: Height,
    undos: VecDeque<Arc<Undo>>,
    bytes: usize,
    most_blocks: usize,
    most_bytes: usize,
}

impl Window {
    pub(super) fn new(floor: Height, most_blocks: usize, most_bytes: usize) -> Self {
        Self { floor, undos: VecDeque::new(), bytes: 0, most_blocks, most_bytes }
    }

    pub(super) fn floor(&self) -> Height {
        self.floor
    }

    pub(super) fn push(&mut self, undo: Undo) {
        self.bytes += undo.bytes();
        self.undos.push_back(Arc::new(undo));
        while (self.undos.len() > self.most_blocks || self.bytes > self.most_bytes)
            && let Some(oldest) = self.undos.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.floor = oldest.height;
        }
    }

    /// The blocks after `at` up to `newest`, oldest first; `None` when some of them can't be undone any more.
    pub(super) fn since(&self, at: Height, newest: Height) -> Option<Vec<Arc<Undo>>> {
        let wanted = |undo: &&Arc<Undo>| undo.height > at && undo.height <= newest;
        (at >= self.floor).then(|| self.undos.iter().filter(wanted).cloned().collect())
    }
}
