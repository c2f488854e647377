//! The chain's canonical encoding, so that a client's bytes are a contract's bytes.
//!
//! The rules are those of `docs/format.md`: fixed order, nothing between fields, variable-length little-endian integers
//! in their shortest form. Beyond what the chain's own types use, contracts have `bool` (one byte, 0 or 1), `u128` (as
//! `u64`, with `fe` and 16 bytes above 2⁶⁴ − 1) and signed integers (zigzag: 0, −1, 1, −2 … become 0, 1, 2, 3 …), as
//! bincode 2 has them.
//!
//! A value has one encoding, and [`decode`] refuses every other. A length prefix is never believed: memory is claimed
//! as items arrive, so it is bounded by the input.
//!
//! ```
//! use ledger_contract_sdk::codec::{decode, encode};
//!
//! assert_eq!(encode(&(300_u64, true)), [0xfb, 0x2c, 0x01, 1]);
//! assert_eq!(decode::<(u64, bool)>(&[0xfb, 0x2c, 0x01, 1]), Some((300, true)));
//! // 7 fits into one byte, so this isn't how 7 is written.
//! assert_eq!(decode::<u64>(&[0xfb, 7, 0]), None);
//! ```

use crate::description::{Described, Type};
use alloc::string::String;
use alloc::vec::Vec;

/// A value that becomes bytes.
pub trait Encode {
    /// Appends the value's encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Appends the encodings of several values. Bytes are copied at once.
    fn encode_all(values: &[Self], out: &mut Vec<u8>)
    where
        Self: Sized,
    {
        for value in values {
            value.encode(out);
        }
    }
}

/// A value that bytes become.
pub trait Decode: Sized {
    /// Takes a value off the front of the input; `None` where there is none in its canonical encoding.
    fn decode(input: &mut Reader<'_>) -> Option<Self>;

    /// Takes several values off the front of the input. Bytes are copied at once.
    fn decode_all(count: usize, input: &mut Reader<'_>) -> Option<Vec<Self>> {
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(Self::decode(input)?);
        }
        Some(values)
    }
}

/// What a contract stores, takes and gives: all three traits, which [`record!`](crate::record) implements.
pub trait Value: Encode + Decode + Described {}

impl<T: Encode + Decode + Described> Value for T {}

/// Room for most keys and values: to ask for it once is quicker than to grow byte by byte.
pub(crate) const USUAL_BYTES: usize = 64;

/// The canonical encoding of `value`.
pub fn encode<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(if size_of_val(value) == 0 { 0 } else { USUAL_BYTES });
    value.encode(&mut out);
    out
}

/// The value whose canonical encoding `bytes` is, all of them; `None` where it is no such value's.
pub fn decode<T: Decode>(bytes: &[u8]) -> Option<T> {
    let mut input = Reader::new(bytes);
    let value = T::decode(&mut input)?;
    input.is_empty().then_some(value)
}

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// All of `bytes` are still to be read.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes; `None` when fewer are left.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `N` bytes; `None` when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    /// An unsigned integer of up to 64 bits, in its shortest form.
    fn unsigned(&mut self) -> Option<u64> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfb => (u16::from_le_bytes(self.array()?).into(), 0xfb),
            0xfc => (u32::from_le_bytes(self.array()?).into(), 1 << 16),
            0xfd => (u64::from_le_bytes(self.array()?), 1 << 32),
            0xfe | 0xff => return None,
            byte => (byte.into(), 0),
        };
        (value >= least).then_some(value)
    }

    /// How many items follow, or how many bytes a text has. More than the bytes that are left can't follow, unless they
    /// take no bytes.
    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.unsigned()?).ok()
    }
}

/// Appends an unsigned integer in its shortest form.
fn put_unsigned(value: u64, out: &mut Vec<u8>) {
    let bytes = value.to_le_bytes();
    let (mark, count) = match value {
        0..=0xfa => {
            let [low, ..] = bytes;
            return out.push(low);
        }
        0xfb..=0xffff => (0xfb, 2),
        0x1_0000..=0xffff_ffff => (0xfc, 4),
        _ => (0xfd, 8),
    };
    out.push(mark);
    out.extend_from_slice(bytes.get(..count).unwrap_or_default());
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    // No machine that this runs on counts beyond 64 bits.
    put_unsigned(u64::try_from(length).unwrap_or(u64::MAX), out);
}

macro_rules! unsigned {
    ($($type:ty, $bits:literal;)*) => {$(
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                put_unsigned((*self).into(), out);
            }
        }

        impl Decode for $type {
            fn decode(input: &mut Reader<'_>) -> Option<Self> {
                input.unsigned()?.try_into().ok()
            }
        }

        impl Described for $type {
            const TYPE: Type = Type::Unsigned($bits);
        }
    )*};
}

unsigned! { u16, 16; u32, 32; u64, 64; }

impl Encode for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn encode_all(values: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(values);
    }
}

impl Decode for u8 {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        input.array().map(|[byte]| byte)
    }

    fn decode_all(count: usize, input: &mut Reader<'_>) -> Option<Vec<u8>> {
        input.take(count).map(Vec::from)
    }
}

impl Described for u8 {
    const TYPE: Type = Type::Unsigned(8);
}

impl Encode for u128 {
    fn encode(&self, out: &mut Vec<u8>) {
        match u64::try_from(*self) {
            Ok(small) => put_unsigned(small, out),
            Err(_) => {
                out.push(0xfe);
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    }
}

impl Decode for u128 {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        if input.rest.first() != Some(&0xfe) {
            return input.unsigned().map(u128::from);
        }
        let [_mark] = input.array()?;
        let value = u128::from_le_bytes(input.array()?);
        (value > u64::MAX.into()).then_some(value)
    }
}

impl Described for u128 {
    const TYPE: Type = Type::Unsigned(128);
}

macro_rules! signed {
    ($($type:ty, $unsigned:ty, $bits:literal;)*) => {$(
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                // Zigzag: the sign goes to the lowest bit.
                let shifted = self.wrapping_shl(1) ^ self.wrapping_shr($bits - 1);
                <$unsigned>::from_ne_bytes(shifted.to_ne_bytes()).encode(out);
            }
        }

        impl Decode for $type {
            fn decode(input: &mut Reader<'_>) -> Option<Self> {
                let value = <$unsigned>::decode(input)?;
                let half = <$type>::from_ne_bytes((value >> 1).to_ne_bytes());
                Some(if value & 1 == 0 { half } else { !half })
            }
        }

        impl Described for $type {
            const TYPE: Type = Type::Signed($bits);
        }
    )*};
}

signed! { i16, u16, 16; i32, u32, 32; i64, u64, 64; i128, u128, 128; }

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Decode for bool {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        match u8::decode(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Described for bool {
    const TYPE: Type = Type::Bool;
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        input.array()
    }
}

impl<const N: usize> Described for [u8; N] {
    const TYPE: Type = Type::Bytes(N);
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Decode for String {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        let length = input.length()?;
        core::str::from_utf8(input.take(length)?).ok().map(String::from)
    }
}

impl Described for String {
    const TYPE: Type = Type::Text;
}

/// The number of items, then the items.
impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        T::encode_all(self, out);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        let length = input.length()?;
        // Items that take no bytes could be as many as a prefix says; contracts have no use for such lists.
        if length > input.rest.len() {
            return None;
        }
        T::decode_all(length, input)
    }
}

impl<T: Described> Described for Vec<T> {
    const TYPE: Type = Type::List(&T::TYPE);
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        if bool::decode(input)? { T::decode(input).map(Some) } else { Some(None) }
    }
}

impl<T: Described> Described for Option<T> {
    const TYPE: Type = Type::Option(&T::TYPE);
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl Encode for () {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Decode for () {
    fn decode(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Described for () {
    const TYPE: Type = Type::Tuple(&[]);
}

macro_rules! tuples {
    ($(($($name:ident $place:tt),+);)*) => {$(
        impl<$($name: Encode),+> Encode for ($($name,)+) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$place.encode(out);)+
            }
        }

        impl<$($name: Decode),+> Decode for ($($name,)+) {
            fn decode(input: &mut Reader<'_>) -> Option<Self> {
                Some(($($name::decode(input)?,)+))
            }
        }

        impl<$($name: Described),+> Described for ($($name,)+) {
            const TYPE: Type = Type::Tuple(&[$($name::TYPE),+]);
        }
    )*};
}

tuples! { (A 0, B 1); (A 0, B 1, C 2); (A 0, B 1, C 2, D 3); }
