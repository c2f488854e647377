//! Values that JSON has no form for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledger_core::{Epoch, Fuel, Height, Timestamp};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A 64-bit number: a string of decimal digits, without sign or leading zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct U64(pub u64);

/// Bytes as base64, the standard alphabet, padded.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

/// Bytes as lower-case hex.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub Vec<u8>);

impl U64 {
    /// Reads what `Display` writes and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
        if !canonical { None } else { text.parse().ok().map(U64) }
    }
}

impl fmt::Display for U64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for U64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for U64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        U64::parse(&text).ok_or_else(|| D::Error::custom("a string of decimal digits up to 2^64 - 1 is wanted"))
    }
}

macro_rules! from_unit {
    ($($unit:ident),+) => {$(
        impl From<$unit> for U64 {
            fn from(unit: $unit) -> Self {
                U64(unit.0)
            }
        }

        impl From<U64> for $unit {
            fn from(number: U64) -> Self {
                $unit(number.0)
            }
        }
    )+};
}
from_unit!(Epoch, Fuel, Height, Timestamp);

impl Base64 {
    /// Reads what `Display` writes and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().map(Base64)
    }
}

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(&self.0, &STANDARD).fmt(f)
    }
}

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Base64 {
    fn from(bytes: Vec<u8>) -> Self {
        Base64(bytes)
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Base64).map_err(|error| D::Error::custom(format!("base64 is wanted: {error}")))
    }
}

impl Hex {
    /// Reads what `Display` writes and nothing else: an even number of 0-9 and a-f.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>().map(Hex)
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hex({self})")
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hex::parse(&text).ok_or_else(|| D::Error::custom("an even number of lower-case hex digits is wanted"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_beyond_2_to_the_53_keep_their_last_digit() {
        let json = serde_json::to_string(&U64(u64::MAX)).unwrap();
        assert_eq!(json, "\"18446744073709551615\"");
        assert_eq!(serde_json::from_str::<U64>(&json).unwrap(), U64(u64::MAX));
    }

    #[test]
    fn a_number_has_one_text() {
        for text in ["", "+1", "-1", "01", "00", " 1", "1.0", "1e3", "18446744073709551616"] {
            assert_eq!(U64::parse(text), None, "{text:?}");
        }
        assert!(serde_json::from_str::<U64>("1").is_err());
    }

    #[test]
    fn bytes_have_one_text() {
        for text in ["0", "0g", "AB", " 00", "é"] {
            assert_eq!(Hex::parse(text), None, "{text:?}");
        }
        assert_eq!(Hex::parse("00ff").unwrap().0, [0, 255]);
        for text in ["AA", "AA=", "AB==", "A A=", "_-8="] {
            assert_eq!(Base64::parse(text), None, "{text:?}");
        }
        assert_eq!(Base64::parse("AP8=").unwrap().0, [0, 255]);
    }
}
