//! Fixed-length byte values: what [`Digest`](crate::Digest), [`PublicKey`](crate::PublicKey) and
//! [`Signature`](crate::Signature) have in common.

use std::fmt;

/// Why a text isn't the hex form of a fixed-length value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// The text has the wrong number of characters.
    #[error("hex text has {found} characters where {expected} are wanted")]
    Length {
        /// Characters that the type takes: two a byte.
        expected: usize,
        /// Bytes of text that were given.
        found: usize,
    },
    /// A character is no lower-case hex digit.
    #[error("hex text has something other than 0-9 and a-f at position {position}")]
    Digit {
        /// Offset of the first such character, from 0.
        position: usize,
    },
}

pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

pub(crate) fn parse_hex<const N: usize>(text: &[u8]) -> Result<[u8; N], HexError> {
    if text.len() != 2 * N {
        return Err(HexError::Length { expected: 2 * N, found: text.len() });
    }
    let mut bytes = [0; N];
    for (position, (byte, pair)) in bytes.iter_mut().zip(text.chunks_exact(2)).enumerate() {
        for (offset, digit) in pair.iter().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(HexError::Digit { position: 2 * position + offset }),
            };
            *byte = *byte << 4 | value;
        }
    }
    Ok(bytes)
}

/// Reads exactly `N` bytes from a serde format that isn't human-readable.
pub(crate) struct ExactBytes<const N: usize>;

impl<'de, const N: usize> serde::de::Visitor<'de> for ExactBytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exactly {N} bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<[u8; N], A::Error> {
        use serde::de::Error;
        let mut bytes = [0; N];
        for (found, byte) in bytes.iter_mut().enumerate() {
            *byte = items.next_element()?.ok_or_else(|| A::Error::invalid_length(found, &self))?;
        }
        match items.next_element::<u8>()? {
            None => Ok(bytes),
            Some(_) => Err(A::Error::invalid_length(N + 1, &self)),
        }
    }
}

/// Gives a tuple struct of one byte array its constructor, accessor, hex text, serde and bincode forms.
macro_rules! byte_value {
    ($name:ident, $length:literal, $what:literal) => {
        impl $name {
            #[doc = concat!("Length in bytes: ", stringify!($length), ".")]
            pub const LENGTH: usize = $length;

            #[doc = concat!("Takes the ", stringify!($length), " bytes of ", $what, " as they are.")]
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            #[doc = concat!("The ", stringify!($length), " bytes of ", $what, ".")]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        /// Lower-case hex.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                crate::bytes::write_hex(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        /// Takes what `Display` writes and nothing else: upper-case digits are refused, so one value has one text.
        impl std::str::FromStr for $name {
            type Err = crate::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::bytes::parse_hex(text.as_bytes()).map(Self)
            }
        }

        /// Hex text where the format is human-readable, else bytes.
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    deserializer.deserialize_bytes(crate::bytes::ExactBytes).map(Self)
                }
            }
        }

        crate::encoding::raw_bytes!($name, $length);
    };
}
pub(crate) use byte_value;
