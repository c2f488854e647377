//! Maps that can be walked in order.

use crate::codec::{Decode, Encode, Reader};
use crate::host::{self, Entry};
use crate::key::OrderedKey;
use alloc::vec;
use alloc::vec::Vec;
use core::iter::Take;
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds};

/// Entries that a walk reads at once, unless it says otherwise.
const PAGE: u32 = 32;

/// A value for each key, in the order of the keys.
#[derive(Debug)]
pub struct OrderedMap<K, V> {
    place: u8,
    kinds: PhantomData<fn(K) -> V>,
}

impl<K: OrderedKey, V: Encode + Decode> OrderedMap<K, V> {
    /// A map at a place of its own.
    pub const fn new(place: u8) -> Self {
        OrderedMap { place, kinds: PhantomData }
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<V> {
        super::get(&self.key(key))
    }

    /// Whether `key` has a value.
    pub fn contains(&self, key: &K) -> bool {
        host::get(&self.key(key)).is_some()
    }

    /// Sets the value of `key`.
    pub fn set(&self, key: &K, value: &V) {
        super::put(&self.key(key), value);
    }

    /// Removes the value of `key`.
    pub fn remove(&self, key: &K) {
        host::delete(&self.key(key));
    }

    /// Where the value of `key` is stored: for proofs of the state.
    pub fn key(&self, key: &K) -> Vec<u8> {
        self.under_bytes(key)
    }

    fn under_bytes<P: OrderedKey>(&self, part: &P) -> Vec<u8> {
        let mut bytes = vec![self.place];
        part.write(&mut bytes);
        bytes
    }

    /// All entries.
    pub fn iter(&self) -> Entries<K, V> {
        self.range(..)
    }

    /// The entries whose keys lie in `range`.
    pub fn range(&self, range: impl RangeBounds<K>) -> Entries<K, V> {
        let from = match range.start_bound() {
            Bound::Unbounded => vec![self.place],
            Bound::Included(key) => self.key(key),
            Bound::Excluded(key) => after(self.key(key)),
        };
        let to = match range.end_bound() {
            // The place may be the last one.
            Bound::Unbounded => self.place.checked_add(1).map(|next| vec![next]),
            Bound::Included(key) => Some(after(self.key(key))),
            Bound::Excluded(key) => Some(self.key(key)),
        };
        Entries::new(from, to)
    }

    /// The entries whose keys are tuples that begin with `first`.
    pub fn under<P: OrderedKey>(&self, first: &P) -> Entries<K, V>
    where
        K: StartsWith<P>,
    {
        let from = self.under_bytes(first);
        let to = successor(from.clone());
        Entries::new(from, to)
    }

    /// As [`OrderedMap::under`], from behind the key `last` on: the next page of a list.
    pub fn under_after<P: OrderedKey>(&self, first: &P, last: &K) -> Entries<K, V>
    where
        K: StartsWith<P>,
    {
        Entries::new(after(self.key(last)), successor(self.under_bytes(first)))
    }
}

/// A tuple whose first part is a `P`, or whose first parts are.
pub trait StartsWith<P> {}

impl<A, B> StartsWith<A> for (A, B) {}
impl<A, B, C> StartsWith<A> for (A, B, C) {}
impl<A, B, C> StartsWith<(A, B)> for (A, B, C) {}

/// The first key behind `key`.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The first key that neither is nor begins with `key`, nor stands before it; none behind `ff ff …`.
fn successor(mut key: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = key.pop() {
        if let Some(next) = last.checked_add(1) {
            key.push(next);
            return Some(key);
        }
    }
    None
}

/// Entries of an [`OrderedMap`] in the order of their keys, read page by page: a page is paid for when the walk gets to it,
/// whether or not all of it is looked at.
#[derive(Debug)]
pub struct Entries<K, V> {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    page: u32,
    read: vec::IntoIter<Entry>,
    ended: bool,
    kinds: PhantomData<fn() -> (K, V)>,
}

impl<K: OrderedKey, V: Decode> Entries<K, V> {
    fn new(from: Vec<u8>, to: Option<Vec<u8>>) -> Self {
        // A range that ends before it begins is empty, not an error.
        let ended = to.as_ref().is_some_and(|to| *to <= from);
        Entries { from, to, page: PAGE, read: Vec::new().into_iter(), ended, kinds: PhantomData }
    }

    /// Reads so many entries at once: the number that will be looked at, where that is known.
    #[must_use]
    pub fn page(mut self, entries: u32) -> Self {
        self.page = entries.max(1);
        self
    }

    /// At most so many entries, read at once: what a method gives that lists.
    pub fn first(self, entries: u32) -> Take<Self> {
        // A guest's `usize` has as many bits.
        self.page(entries).take(entries as usize)
    }
}

impl<K: OrderedKey, V: Decode> Iterator for Entries<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0 && !self.ended {
            let page = host::scan(&self.from, self.to.as_deref(), self.page);
            self.ended = u32::try_from(page.len()) != Ok(self.page);
            if let Some(last) = page.last() {
                self.from = after(last.key.clone());
            }
            self.read = page.into_iter();
        }
        let Entry { key, value } = self.read.next()?;
        let mut input = Reader::new(key.get(1..).unwrap_or_default());
        match K::read(&mut input).filter(|_| input.is_empty()) {
            Some(key) => Some((key, super::read(&value))),
            None => host::trap("the state holds something else than the map's keys"),
        }
    }
}
