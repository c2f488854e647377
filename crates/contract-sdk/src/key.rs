//! Keys whose bytes stand in the order of their values, which is what an [`OrderedMap`](crate::OrderedMap) needs.
//!
//! | type | bytes |
//! |---|---|
//! | `u8` … `u128` | big-endian |
//! | `i16` … `i128` | big-endian, the sign bit turned over |
//! | `bool`, `[u8; N]`, ids | as they are |
//! | `String`, `Vec<u8>` | each zero byte as `00 ff`; `00 00` at the end |
//! | tuples | one behind the other |
//! | [`Reverse`] | every bit turned over |
//!
//! No key's bytes begin another's, so tuples need no separators.

use crate::codec::Reader;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// A value whose key bytes stand in the order of the values.
pub trait OrderedKey: Sized {
    /// Appends the key bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes a key off the front of the input; `None` where there is none.
    fn read(input: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty, $turned:literal;)*) => {$(
        impl OrderedKey for $type {
            fn write(&self, out: &mut Vec<u8>) {
                let mut bytes = self.to_be_bytes();
                if let Some(first) = bytes.first_mut() {
                    *first ^= $turned;
                }
                out.extend_from_slice(&bytes);
            }

            fn read(input: &mut Reader<'_>) -> Option<Self> {
                let mut bytes = input.array()?;
                if let Some(first) = bytes.first_mut() {
                    *first ^= $turned;
                }
                Some(<$type>::from_be_bytes(bytes))
            }
        }
    )*};
}

integers! { u8, 0; u16, 0; u32, 0; u64, 0; u128, 0; i16, 0x80; i32, 0x80; i64, 0x80; i128, 0x80; }

impl OrderedKey for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        match u8::read(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> OrderedKey for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        input.array()
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

impl OrderedKey for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self, out);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            match u8::read(input)? {
                0 => match u8::read(input)? {
                    0 => return Some(bytes),
                    0xff => bytes.push(0),
                    _ => return None,
                },
                byte => bytes.push(byte),
            }
        }
    }
}

impl OrderedKey for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), out);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        String::from_utf8(Vec::read(input)?).ok()
    }
}

/// From the greatest to the least: the newest first.
impl<K: OrderedKey> OrderedKey for Reverse<K> {
    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.write(out);
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let turned: Vec<u8> = input.rest().iter().map(|byte| !byte).collect();
        let mut inner = Reader::new(&turned);
        let key = K::read(&mut inner)?;
        input.take(turned.len().checked_sub(inner.rest().len())?)?;
        Some(Reverse(key))
    }
}

macro_rules! tuples {
    ($(($($name:ident $place:tt),+);)*) => {$(
        impl<$($name: OrderedKey),+> OrderedKey for ($($name,)+) {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$place.write(out);)+
            }

            fn read(input: &mut Reader<'_>) -> Option<Self> {
                Some(($($name::read(input)?,)+))
            }
        }
    )*};
}

tuples! { (A 0, B 1); (A 0, B 1, C 2); }
