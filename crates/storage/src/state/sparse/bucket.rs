//! Runs of keys that share a prefix, hashed without pages.

use ledger_core::state::sparse as tree;
use ledger_crypto::Digest;

use super::super::commitment::Change;
use super::MAX_BUCKET;
use super::page::{Page, Slot};
use super::prefix::Prefix;

/// A smaller bucket is hashed whole; a larger one remembers the digests of its sixteen parts.
const HASHED_WHOLE: usize = 16;

/// A key of a bucket: its place and its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) place: Digest,
    pub(super) leaf: Digest,
}

/// The keys below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Sorted by place.
    entries: Vec<Entry>,
    /// What a page in this place would hold; never stored.
    parts: Option<Box<Page>>,
}

impl Bucket {
    /// The bucket at `prefix` with `entries`, which are sorted.
    pub(super) fn new(prefix: &Prefix, entries: Vec<Entry>) -> Self {
        // One that is too large is split at once.
        let parts = (HASHED_WHOLE + 1..=MAX_BUCKET).contains(&entries.len()).then(|| {
            let mut parts = Box::new(Page::EMPTY);
            for group in entries.chunk_by(|a, b| prefix.next(&a.place) == prefix.next(&b.place)) {
                let nibble = group.first().map_or(0, |entry| prefix.next(&entry.place));
                parts.set(nibble, Slot::bucket(group.len(), digest_of(group, prefix.child(nibble).depth())));
            }
            parts
        });
        Self { entries, parts }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    pub(super) fn leaf(&self, place: &Digest) -> Option<Digest> {
        let index = self.entries.binary_search_by_key(place, |entry| entry.place).ok()?;
        self.entries.get(index).map(|entry| entry.leaf)
    }

    /// The slot that stands for this bucket at `prefix`.
    pub(super) fn slot(&self, prefix: &Prefix) -> Slot {
        let digest = match &self.parts {
            Some(parts) => parts.slot().digest,
            None => digest_of(&self.entries, prefix.depth()),
        };
        Slot::bucket(self.entries.len(), digest)
    }

    /// This bucket with `changes`, which are sorted.
    pub(super) fn change(self, prefix: &Prefix, changes: &[Change]) -> Self {
        let entries = merge(&self.entries, changes);
        let Some(mut parts) = self.parts.filter(|_| (HASHED_WHOLE + 1..=MAX_BUCKET).contains(&entries.len())) else {
            return Self::new(prefix, entries);
        };
        for group in changes.chunk_by(|a, b| prefix.next(&a.place) == prefix.next(&b.place)) {
            let nibble = group.first().map_or(0, |change| prefix.next(&change.place));
            let start = entries.partition_point(|entry| prefix.next(&entry.place) < nibble);
            let end = entries.partition_point(|entry| prefix.next(&entry.place) <= nibble);
            let part = entries.get(start..end).unwrap_or_default();
            parts.set(nibble, Slot::bucket(part.len(), digest_of(part, prefix.child(nibble).depth())));
        }
        Self { entries, parts: Some(parts) }
    }

    /// Memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let parts = if self.parts.is_some() { size_of::<Page>() } else { 0 };
        size_of_val(self.entries.as_slice()) + parts
    }
}

/// The digest of the subtree at `depth` over `entries`, sorted by place.
pub(super) fn digest_of(entries: &[Entry], depth: usize) -> Digest {
    match entries {
        [] => tree::EMPTY,
        [entry] => entry.leaf,
        _ if depth >= tree::MAX_DEPTH => tree::EMPTY,
        several => {
            let middle = several.partition_point(|entry| !tree::turns_right(&entry.place, depth));
            let (left, right) = several.split_at(middle);
            tree::node(&digest_of(left, depth + 1), &digest_of(right, depth + 1))
        }
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
