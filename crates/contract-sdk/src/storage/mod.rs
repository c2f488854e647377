//! Typed storage in the contract's own namespace of the state.
//!
//! A field is a constant that names a byte, its *place*; everything the field holds is stored under keys that begin with it.
//! So **no two fields of a contract may have the same place**. Places from `0xf0` up belong to [`access`](crate::access).
//!
//! ```
//! use ledger_contract_sdk::{AccountId, Cell, Counter, Map, OrderedMap};
//!
//! const SETTINGS: Cell<String> = Cell::new(b's');
//! const BALANCES: Map<AccountId, u128> = Map::new(b'b');
//! const BY_DATE: OrderedMap<(u64, u32), AccountId> = OrderedMap::new(b'd');
//! const ORDERS: Counter = Counter::new(b'n');
//! ```
//!
//! | field | key | value |
//! |---|---|---|
//! | [`Cell<T>`] | place | encoded `T` |
//! | [`Map<K, V>`] | place, encoded `K` | encoded `V` |
//! | [`OrderedMap<K, V>`] | place, [key bytes](crate::key) of `K` | encoded `V` |
//! | [`Counter`] | place | encoded `u64` |
//!
//! Each access is one of the host's, with its price; nothing is kept in the guest's memory. A value that isn't of the
//! field's type (two fields at one place, or a changed type without a migration) breaks the call off.

mod ordered;

pub use ordered::{Entries, OrderedMap};

use crate::codec::{self, Decode, Encode};
use crate::host;
use alloc::vec::Vec;
use core::marker::PhantomData;

/// The value of a field, which must be one.
fn read<T: Decode>(bytes: &[u8]) -> T {
    match codec::decode(bytes) {
        Some(value) => value,
        None => host::trap("the state holds something else than the field's type"),
    }
}

fn get<T: Decode>(key: &[u8]) -> Option<T> {
    host::get(key).map(|bytes| read(&bytes))
}

fn put<T: Encode + ?Sized>(key: &[u8], value: &T) {
    host::put(key, &codec::encode(value));
}

/// One value, or none.
#[derive(Debug)]
pub struct Cell<T> {
    place: [u8; 1],
    value: PhantomData<fn() -> T>,
}

impl<T: Encode + Decode> Cell<T> {
    /// A cell at a place of its own.
    pub const fn new(place: u8) -> Self {
        Cell { place: [place], value: PhantomData }
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<T> {
        get(&self.place)
    }

    /// The value, or the type's default.
    pub fn get_or_default(&self) -> T
    where
        T: Default,
    {
        self.get().unwrap_or_default()
    }

    /// Sets the value.
    pub fn set(&self, value: &T) {
        put(&self.place, value);
    }

    /// Removes the value.
    pub fn clear(&self) {
        host::delete(&self.place);
    }

    /// Whether there is a value.
    pub fn is_set(&self) -> bool {
        host::get(&self.place).is_some()
    }

    /// Where it is stored: for proofs of the state.
    pub fn key(&self) -> Vec<u8> {
        Vec::from(self.place)
    }
}

/// A value for each key, in no order.
#[derive(Debug)]
pub struct Map<K, V> {
    place: u8,
    kinds: PhantomData<fn(K) -> V>,
}

impl<K: Encode, V: Encode + Decode> Map<K, V> {
    /// A map at a place of its own.
    pub const fn new(place: u8) -> Self {
        Map { place, kinds: PhantomData }
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<V> {
        get(&self.key(key))
    }

    /// The value of `key`, or the type's default.
    pub fn get_or_default(&self, key: &K) -> V
    where
        V: Default,
    {
        self.get(key).unwrap_or_default()
    }

    /// Whether `key` has a value.
    pub fn contains(&self, key: &K) -> bool {
        host::get(&self.key(key)).is_some()
    }

    /// Sets the value of `key`.
    pub fn set(&self, key: &K, value: &V) {
        put(&self.key(key), value);
    }

    /// Removes the value of `key`.
    pub fn remove(&self, key: &K) {
        host::delete(&self.key(key));
    }

    /// Sets the value of `key`, or removes it where it is the default: zero balances take no room in the state.
    pub fn set_or_remove(&self, key: &K, value: &V)
    where
        V: Default + PartialEq,
    {
        if *value == V::default() { self.remove(key) } else { self.set(key, value) }
    }

    /// Where the value of `key` is stored: for proofs of the state.
    pub fn key(&self, key: &K) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(codec::USUAL_BYTES);
        bytes.push(self.place);
        key.encode(&mut bytes);
        bytes
    }
}

/// Numbers that are given out once each, from 0.
#[derive(Debug)]
pub struct Counter {
    cell: Cell<u64>,
}

impl Counter {
    /// A counter at a place of its own.
    pub const fn new(place: u8) -> Self {
        Counter { cell: Cell::new(place) }
    }

    /// How many were given out: the number that comes next.
    pub fn count(&self) -> u64 {
        self.cell.get_or_default()
    }

    /// Gives out the next number.
    pub fn next(&self) -> u64 {
        let number = self.count();
        match number.checked_add(1) {
            Some(next) => self.cell.set(&next),
            None => host::trap("a counter ran out of numbers"),
        }
        number
    }

    /// Where it is stored: for proofs of the state.
    pub fn key(&self) -> Vec<u8> {
        self.cell.key()
    }
}
