//! The one place where values become bytes and bytes become values.
//!
//! Encoding is bincode 2's standard configuration (little-endian, variable-length integers), and **canonical**: a
//! value has exactly one encoding, and [`decode`] refuses every other. bincode itself accepts over-long integers,
//! unsorted maps and trailing bytes, so decoding encodes the value again, compares it with the input byte by byte
//! (without allocating), and refuses what differs.
//!
//! Wire types hold [`Bytes`], [`Text`] and [`List`], never `Vec` or `String`: their decoders look at how much input
//! is left before they allocate, so the memory that a hostile length prefix can claim is bounded by the input's size.
//!
//! ```
//! use ledger_core::codec::{self, Bytes, CodecError};
//!
//! let bytes = codec::encode(&Bytes::from(vec![7, 8]));
//! assert_eq!(bytes, [2, 7, 8]);
//! assert_eq!(codec::decode::<Bytes>(&bytes)?, Bytes::from(vec![7, 8]));
//! // 251 announces a two-byte integer: over-long for a length of 2.
//! assert!(matches!(codec::decode::<Bytes>(&[251, 2, 0, 7, 8]), Err(CodecError::NotCanonical { .. })));
//! # Ok::<(), CodecError>(())
//! ```

use bincode::de::read::Reader;
use bincode::de::{BorrowDecode, BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
pub use bincode::{Decode, Encode};
use core::fmt;

/// bincode, for `#[bincode(crate = "ledger_core::codec::wire")]` on a type derived in another crate.
#[doc(hidden)]
pub use bincode as wire;

/// The most that any decoder reads: 64 MiB.
pub const MAX_INPUT_BYTES: usize = 64 << 20;

/// Why bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The input is longer than the type allows; nothing was read.
    #[error("{what} of {size} bytes is over its limit of {limit} bytes")]
    TooLong {
        /// The type.
        what: &'static str,
        /// The input's length in bytes.
        size: usize,
        /// The type's limit in bytes.
        limit: usize,
    },
    /// The input ends early, or holds something that is no value of the type.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// The type.
        what: &'static str,
        /// What the decoder met.
        reason: String,
    },
    /// Bytes follow the value.
    #[error("{what} is followed by {extra} bytes that don't belong to it")]
    Trailing {
        /// The type.
        what: &'static str,
        /// How many bytes follow.
        extra: usize,
    },
    /// The bytes decode, but they aren't the value's one encoding.
    #[error("{what} isn't in its canonical encoding (first difference at byte {offset})")]
    NotCanonical {
        /// The type.
        what: &'static str,
        /// Where the canonical encoding differs first.
        offset: usize,
    },
}

/// A type with an encoding of its own on disk or on the wire.
pub trait Format: Encode + Decode<()> {
    /// The type's name in errors, lower case.
    const NAME: &'static str;
    /// The longest encoding that [`decode`] reads, in bytes; at most [`MAX_INPUT_BYTES`].
    const LIMIT: usize;
}

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard()
}

/// The canonical encoding of `value`.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    // Encoding into memory fails only for types that refuse to be encoded (a poisoned lock, a non-UTF-8 path);
    // wire types hold none.
    bincode::encode_to_vec(value, configuration()).unwrap_or_default()
}

/// How many bytes [`encode`] gives, without building them.
pub fn encoded_length<T: Encode>(value: &T) -> usize {
    struct Count(usize);
    impl Writer for Count {
        fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
            self.0 += bytes.len();
            Ok(())
        }
    }
    let mut count = Count(0);
    match bincode::encode_into_writer(value, CountRef(&mut count), configuration()) {
        Ok(()) => count.0,
        Err(_) => 0,
    }
}

struct CountRef<'a, W>(&'a mut W);

impl<W: Writer> Writer for CountRef<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.write(bytes)
    }
}

/// The value whose canonical encoding `bytes` is.
///
/// # Errors
/// [`CodecError`] when the input is longer than `T::LIMIT`, malformed, followed by more, or not canonical.
pub fn decode<T: Format>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, read) = decode_prefix::<T>(bytes)?;
    match bytes.len() - read {
        0 => Ok(value),
        extra => Err(CodecError::Trailing { what: T::NAME, extra }),
    }
}

/// The value at the front of `bytes`, and how many bytes it takes.
///
/// # Errors
/// As [`decode`], except that bytes may follow.
pub fn decode_prefix<T: Format>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    let what = T::NAME;
    let limit = T::LIMIT.min(MAX_INPUT_BYTES);
    if bytes.len() > limit {
        return Err(CodecError::TooLong { what, size: bytes.len(), limit });
    }
    let (value, read): (T, usize) = bincode::decode_from_slice(bytes, configuration())
        .map_err(|error| CodecError::Malformed { what, reason: error.to_string() })?;
    let mut compare = Compare { expected: bytes.get(..read).unwrap_or_default(), at: 0 };
    let same = bincode::encode_into_writer(&value, CountRef(&mut compare), configuration());
    if same.is_err() || compare.at != read {
        return Err(CodecError::NotCanonical { what, offset: compare.at });
    }
    Ok((value, read))
}

/// A writer that accepts only the bytes it expects.
struct Compare<'a> {
    expected: &'a [u8],
    at: usize,
}

impl Writer for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let rest = self.expected.get(self.at..).unwrap_or_default();
        if rest.starts_with(bytes) {
            self.at += bytes.len();
            return Ok(());
        }
        self.at += rest.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        Err(EncodeError::Other("differs"))
    }
}

/// Reads a length prefix and refuses one that the rest of the input can't hold (each item takes at least a byte).
fn decode_length<D: Decoder>(decoder: &mut D) -> Result<usize, DecodeError> {
    let length = u64::decode(decoder)?;
    let length = usize::try_from(length).map_err(|_| DecodeError::OutsideUsizeRange(length))?;
    if length > MAX_INPUT_BYTES || decoder.reader().peek_read(length).is_none() {
        return Err(DecodeError::UnexpectedEnd { additional: length });
    }
    Ok(length)
}

fn encode_length<E: Encoder>(length: usize, encoder: &mut E) -> Result<(), EncodeError> {
    (length as u64).encode(encoder)
}

macro_rules! borrow_decode_as_decode {
    ($type:ty) => {
        impl<'de, C> BorrowDecode<'de, C> for $type {
            fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                <Self as Decode<C>>::decode(decoder)
            }
        }
    };
}

/// A byte string: a length and that many bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The bytes as a vector.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        f.write_str("0x")?;
        for byte in self.0.iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SHOWN {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl core::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl core::borrow::Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Bytes(bytes.to_vec())
    }
}

impl Encode for Bytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        encode_length(self.0.len(), encoder)?;
        encoder.writer().write(&self.0)
    }
}

impl<C> Decode<C> for Bytes {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = decode_length(decoder)?;
        let mut bytes = vec![0; length];
        decoder.reader().read(&mut bytes)?;
        Ok(Bytes(bytes))
    }
}

borrow_decode_as_decode!(Bytes);

impl Format for Bytes {
    const NAME: &'static str = "byte string";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

/// A UTF-8 text: its length in bytes and the bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

impl Text {
    /// The text as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `text`, cut at a character boundary so that it takes at most `limit` bytes.
    pub fn truncated(text: &str, limit: usize) -> Self {
        let mut end = text.len().min(limit);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Text(text.get(..end).unwrap_or_default().to_owned())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::ops::Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(text)
    }
}

impl Encode for Text {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        encode_length(self.0.len(), encoder)?;
        encoder.writer().write(self.0.as_bytes())
    }
}

impl<C> Decode<C> for Text {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let bytes = Bytes::decode(decoder)?;
        match String::from_utf8(bytes.0) {
            Ok(text) => Ok(Text(text)),
            Err(error) => Err(DecodeError::Utf8 { inner: error.utf8_error() }),
        }
    }
}

borrow_decode_as_decode!(Text);

/// A sequence: its length and its items, each of which takes at least one byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T>(Vec<T>);

impl<T> List<T> {
    /// A list without items.
    pub const fn new() -> Self {
        List(Vec::new())
    }

    /// The items as a vector.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        self.0.push(item);
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl<T> core::ops::Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        List(items)
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        List(items.into_iter().collect())
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Encode> Encode for List<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        encode_length(self.0.len(), encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<C, T: Decode<C>> Decode<C> for List<T> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        const FIRST_ALLOCATION: usize = 16 << 10;
        let length = decode_length(decoder)?;
        let mut items = Vec::with_capacity(length.min(FIRST_ALLOCATION / core::mem::size_of::<T>().max(1)));
        for _ in 0..length {
            items.push(T::decode(decoder)?);
        }
        Ok(List(items))
    }
}

impl<'de, C, T: Decode<C>> BorrowDecode<'de, C> for List<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        <Self as Decode<C>>::decode(decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Sample {
        number: u64,
        choice: Option<u32>,
        items: List<Bytes>,
        name: Text,
    }

    impl Format for Sample {
        const NAME: &'static str = "sample";
        const LIMIT: usize = 1 << 16;
    }

    #[test]
    fn a_length_beyond_the_input_is_refused_before_allocating() {
        let huge = encode(&(1u64 << 40));
        assert!(matches!(decode::<Bytes>(&huge), Err(CodecError::Malformed { .. })));
    }

    #[test]
    fn an_input_over_the_limit_is_refused_unread() {
        let error = decode::<Sample>(&vec![0; (1 << 16) + 1]).unwrap_err();
        assert_eq!(error, CodecError::TooLong { what: "sample", size: 65_537, limit: 65_536 });
    }

    #[test]
    fn trailing_bytes_are_counted() {
        assert_eq!(decode::<Bytes>(&[0, 1]), Err(CodecError::Trailing { what: "byte string", extra: 1 }));
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(number: u64, choice: Option<u32>, items: Vec<Vec<u8>>, name: String) {
            let sample = Sample { number, choice, items: items.into_iter().map(Bytes::from).collect(), name: name.into() };
            let bytes = encode(&sample);
            prop_assert_eq!(encoded_length(&sample), bytes.len());
            prop_assert_eq!(decode::<Sample>(&bytes), Ok(sample));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes: Vec<u8>) {
            if let Ok(sample) = decode::<Sample>(&bytes) {
                prop_assert_eq!(encode(&sample), bytes);
            }
        }
    }
}
