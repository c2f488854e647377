//! Reading a range through a journal: what was written, over what the state has.

use super::{Journal, Slot};
use core::iter::Peekable;
use core::ops::Bound;
use ledger_core::codec::Bytes;
use ledger_core::{Key, KeyRange, Scan, StateError, Version, Versioned};
use std::collections::btree_map;

/// One key that a scan comes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The key.
    pub key: Key,
    /// Its value; `None` if it was deleted in this block, so that the scan only steps over it.
    pub value: Option<Bytes>,
    /// The version that the state before the block has; `None` if it has no such key.
    pub base: Option<Version>,
    /// The transaction of the block that wrote it last; `None` if none has.
    pub writer: Option<u32>,
}

/// Keys in order, those written in this block merged with those of the state before it.
pub struct Merged<'j> {
    base: Peekable<Scan<'j>>,
    written: Peekable<Written<'j>>,
}

impl<'j> Merged<'j> {
    pub(super) fn new(journal: &'j Journal<'_>, range: &KeyRange) -> Self {
        let from = Key { namespace: range.namespace, name: range.from.clone() };
        let to = range.to.as_ref().map(|name| Key { namespace: range.namespace, name: name.clone() });
        // A map's range panics when it ends before it begins.
        let empty = to.as_ref().is_some_and(|to| *to <= from);
        let last = if empty { Bound::Excluded(from.clone()) } else { to.map_or(Bound::Unbounded, Bound::Excluded) };
        let first = Bound::Included(from);
        let base: Scan<'j> = if empty { Box::new(core::iter::empty()) } else { journal.state.scan(range) };
        let keys = journal.order().range((first, last));
        let written = Written { keys, slots: &journal.slots, range: range.clone() };
        Merged { base: base.peekable(), written: written.peekable() }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Step, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        // An error of the state is handed out where it comes up, before any key after it.
        if let Some(Err(error)) = self.base.next_if(Result::is_err) {
            return Some(Err(error));
        }
        let base_key = self.base.peek().and_then(|found| found.as_ref().ok()).map(|(key, _)| key);
        let take_written = match (base_key, self.written.peek()) {
            (Some(base), Some((written, _))) => *written <= base,
            (None, written) => written.is_some(),
            (Some(_), None) => false,
        };
        if !take_written {
            let found = self.base.next()?;
            return Some(found.map(|(key, found)| {
                let Versioned { value, version, .. } = found;
                Step { key, value: Some(value), base: Some(version), writer: None }
            }));
        }
        let (key, (writer, value)) = self.written.next()?;
        let covered = self.base.next_if(|found| matches!(found, Ok((base, _)) if base == key));
        let base = covered.and_then(|found| found.ok()).map(|(_, found)| found.version);
        Some(Ok(Step { key: key.clone(), value: value.clone(), base, writer: Some(*writer) }))
    }
}

/// The keys of a range that were written, with their latest values.
struct Written<'j> {
    keys: btree_map::Range<'j, Key, usize>,
    slots: &'j [Slot],
    range: KeyRange,
}

impl<'j> Iterator for Written<'j> {
    type Item = (&'j Key, &'j (u32, Option<Bytes>));

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, slot) = self.keys.next().filter(|(key, _)| self.range.contains(key))?;
            // What was taken back was never written.
            if let Some(latest) = self.slots.get(*slot).and_then(|slot| slot.versions.last()) {
                return Some((key, latest));
            }
        }
    }
}
