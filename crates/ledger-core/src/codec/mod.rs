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

mod values;

use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
pub use bincode::{Decode, Encode};
pub use values::{Bytes, List, Text};

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

/// Where an encoding goes. One writer for all purposes, so that each type's encoder is compiled once: verifiers travel
/// to browsers.
enum Sink<'a> {
    /// Into memory.
    Memory(Vec<u8>),
    /// Nowhere; bytes are counted.
    Count(usize),
    /// Held against what is expected, as far as it is the same.
    Compare { expected: &'a [u8], same: usize },
}

impl Writer for &mut Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match &mut **self {
            Sink::Memory(memory) => memory.extend_from_slice(bytes),
            Sink::Count(count) => *count += bytes.len(),
            Sink::Compare { expected, same } => {
                let rest = expected.get(*same..).unwrap_or_default();
                if !rest.starts_with(bytes) {
                    *same += rest.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                    return Err(EncodeError::Other("differs"));
                }
                *same += bytes.len();
            }
        }
        Ok(())
    }
}

/// The canonical encoding of `value`.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Appends what [`encode`] gives: several values behind each other need no memory each.
pub fn encode_into<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    let before = bytes.len();
    let mut sink = Sink::Memory(core::mem::take(bytes));
    let done = bincode::encode_into_writer(value, &mut sink, configuration());
    if let Sink::Memory(memory) = sink {
        *bytes = memory;
    }
    // Encoding into memory fails only for types that refuse to be encoded (a poisoned lock, a non-UTF-8 path);
    // wire types hold none.
    if done.is_err() {
        bytes.truncate(before);
    }
}

/// How many bytes [`encode`] gives, without building them.
pub fn encoded_length<T: Encode>(value: &T) -> usize {
    let mut sink = Sink::Count(0);
    match (bincode::encode_into_writer(value, &mut sink, configuration()), sink) {
        (Ok(()), Sink::Count(count)) => count,
        _ => 0,
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
        .map_err(|error| CodecError::Malformed { what, reason: reason(&error) })?;
    let mut sink = Sink::Compare { expected: bytes.get(..read).unwrap_or_default(), same: 0 };
    let encoded = bincode::encode_into_writer(&value, &mut sink, configuration());
    match (encoded, sink) {
        (Ok(()), Sink::Compare { same, .. }) if same == read => Ok((value, read)),
        (_, Sink::Compare { same: offset, .. }) => Err(CodecError::NotCanonical { what, offset }),
        _ => Err(CodecError::NotCanonical { what, offset: 0 }),
    }
}

/// What a decoder met, in words.
fn reason(error: &DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { additional } => format!("it ends early, at least {additional} bytes are missing"),
        DecodeError::UnexpectedVariant { type_name, found, .. } => format!("{found} is no variant of {type_name}"),
        DecodeError::InvalidIntegerType { .. } => "an integer has an unknown size".to_owned(),
        DecodeError::OutsideUsizeRange(length) => format!("a length of {length} is beyond this machine"),
        DecodeError::Utf8 { inner } => format!("a text isn't UTF-8: {inner}"),
        DecodeError::Other(reason) => (*reason).to_owned(),
        DecodeError::OtherString(reason) => reason.clone(),
        // Booleans, characters, maps and the like, which no wire type holds.
        _ => "it holds what no value has".to_owned(),
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
