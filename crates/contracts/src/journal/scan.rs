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
    /// How long the value is that the state before the block has under the one written, in bytes: it had to be read, too.
    pub covered: usize,
}

impl Step {
    /// How many bytes were read for it: of the key, its value, and the value that is covered.
    pub fn bytes_read(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.len());
        self.key.name.len().saturating_add(value).saturating_add(self.covered)
    }
}

/// Keys in order, those written in this block merged with those of the state before it.
pub struct Merged<'j> {
    base: Scan<'j>,
    /// What `base` gave last and wasn't stepped to yet.
    ahead: Option<Option<Result<(Key, Versioned), StateError>>>,
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
        Merged { base, ahead: None, written: written.peekable() }
    }

    /// How long key and value are that the state has given already, to see which comes next, and that no step was made
    /// of yet; in bytes.
    pub fn read_ahead(&self) -> usize {
        match &self.ahead {
            Some(Some(Ok((key, found)))) => key.name.len().saturating_add(found.value.len()),
            _ => 0,
        }
    }

    fn peek(&mut self) -> Option<&Result<(Key, Versioned), StateError>> {
        let base = &mut self.base;
        self.ahead.get_or_insert_with(|| base.next()).as_ref()
    }

    fn take(&mut self) -> Option<Result<(Key, Versioned), StateError>> {
        self.ahead.take().flatten()
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Step, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let written = self.written.peek().map(|(key, _)| *key);
        let (base_comes, same) = match (self.peek(), written) {
            // An error of the state is handed out where it comes up, before any key after it.
            (Some(Err(_)), _) | (Some(Ok(_)), None) => (true, false),
            (Some(Ok((base, _))), Some(written)) => (base < written, base == written),
            (None, _) => (false, false),
        };
        if base_comes {
            let found = self.take()?;
            return Some(found.map(|(key, Versioned { value, version, .. })| Step {
                key,
                value: Some(value),
                base: Some(version),
                writer: None,
                covered: 0,
            }));
        }
        let (key, (writer, value)) = self.written.next()?;
        let covered = if same { self.take().and_then(Result::ok) } else { None };
        let (base, covered) =
            covered.map_or((None, 0), |(_, Versioned { version, value, .. })| (Some(version), value.len()));
        Some(Ok(Step { key: key.clone(), value: value.clone(), base, writer: Some(*writer), covered }))
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
        let (key, slot) = self.keys.next().filter(|(key, _)| self.range.contains(key))?;
        let latest = self.slots.get(*slot).and_then(|slot| slot.versions.last())?;
        Some((key, latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MapState;
    use ledger_core::ContractId;
    use ledger_crypto::Digest;

    #[test]
    fn what_was_taken_back_stands_in_no_scans_way() {
        let namespace = ContractId(Digest::ZERO);
        let key = |number: u8| Key::new(namespace, vec![number]);
        let all = KeyRange::prefix(namespace, b"");
        let state = MapState::new();
        let mut journal = Journal::new(&state);
        journal.put(key(0), vec![0]);
        for index in 1..4 {
            journal.begin(index);
            let savepoint = journal.savepoint();
            for number in 0..100 {
                journal.put(key(number), vec![1]);
                // The order is known from the first scan on, and kept up to date.
                if number == 50 {
                    assert_eq!(journal.scan(&all).count(), 51);
                }
            }
            assert_eq!(journal.scan(&all).count(), 100);
            journal.rollback(savepoint);
            assert_eq!((journal.order().len(), journal.scan(&all).count()), (1, 1));
        }
        journal.put(key(7), vec![2]);
        let found: Vec<_> = journal.scan(&all).map(|step| step.map(|step| (step.key, step.writer))).collect();
        assert_eq!(found, [Ok((key(0), Some(0))), Ok((key(7), Some(3)))]);
    }
}
