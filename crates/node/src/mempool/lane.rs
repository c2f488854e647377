//! One of an account's independent streams.

use super::Entry;
use ledger_core::TransactionId;
use std::collections::BTreeMap;

/// The waiting transactions of a lane, by number.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The number that comes next: every smaller one is in a block, or used up.
    next: u64,
    waiting: BTreeMap<u64, Entry>,
    /// How many of `waiting` follow `next` without a gap.
    ready: usize,
    /// Transactions of this lane that are being checked or in unapplied blocks. They keep it alive.
    pub(super) outside: usize,
    /// Whether it stands in its account's queue.
    pub(super) has_turn: bool,
}

impl Lane {
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How many can be taken now, and how many wait in all.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.ready, self.waiting.len())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outside == 0 && self.waiting.is_empty()
    }

    pub(super) fn holds(&self, number: u64) -> bool {
        self.waiting.contains_key(&number)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.waiting.get(&number)
    }

    pub(super) fn would_be_ready(&self, number: u64) -> bool {
        number == self.next.saturating_add(self.ready as u64)
    }

    pub(super) fn insert(&mut self, number: u64, entry: Entry) {
        let extends = self.would_be_ready(number);
        self.waiting.insert(number, entry);
        if extends {
            self.extend_ready();
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.waiting.remove(&number);
        self.recount_ready();
    }

    /// The first transaction that can be taken at or after number `from`.
    pub(super) fn ready_from(&self, from: u64) -> Option<(u64, &Entry)> {
        let number = from.max(self.next);
        let end = self.next.saturating_add(self.ready as u64);
        (number < end).then(|| self.waiting.get(&number).map(|entry| (number, entry))).flatten()
    }

    /// The transaction with `number` is ordered. Only the one that comes next uses its number up before it is applied;
    /// it leaves the lane if it is the one with this id.
    pub(super) fn take(&mut self, number: u64, id: &TransactionId) -> Option<Entry> {
        let same = self.waiting.get(&number).is_some_and(|entry| entry.id == *id);
        let taken = if same { self.waiting.remove(&number) } else { None };
        if number == self.next {
            self.next = number.saturating_add(1);
            if self.ready > 0 {
                self.ready -= 1;
            } else {
                self.extend_ready();
            }
        } else if same {
            self.recount_ready();
        }
        taken
    }

    /// Everything below `next` is used up.
    pub(super) fn raise_to(&mut self, next: u64) {
        if next > self.next {
            self.next = next;
            self.recount_ready();
        }
    }

    /// `next` was not used up after all.
    pub(super) fn reset_to(&mut self, next: u64) {
        self.next = next;
        self.recount_ready();
    }

    /// Waiting transactions whose number was used up by another.
    pub(super) fn take_passed(&mut self) -> BTreeMap<u64, Entry> {
        match self.waiting.first_key_value() {
            Some((first, _)) if *first < self.next => {
                let rest = self.waiting.split_off(&self.next);
                std::mem::replace(&mut self.waiting, rest)
            }
            _ => BTreeMap::new(),
        }
    }

    fn recount_ready(&mut self) {
        self.ready = 0;
        self.extend_ready();
    }

    fn extend_ready(&mut self) {
        let from = self.next.saturating_add(self.ready as u64);
        self.ready +=
            self.waiting.range(from..).zip(from..).take_while(|((number, _), expected)| *number == expected).count();
    }
}
