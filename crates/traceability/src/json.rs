//! JSON values as this crate needs them: numbers keep their text, and there is one canonical spelling.
//!
//! Events are signed and stored as the bytes that [`Json::to_bytes`] gives, so two readings of one document must give the
//! same bytes on every machine: members are sorted by name, nothing is padded, and a number is written with the digits
//! it was read with (`1.10` stays `1.10`), never through a float.
//!
//! [`Json::parse`] reads RFC 8259 with bounds on nesting and on the number of values. Of members with the same name
//! the last one counts, as in most readers; the canonical bytes hold that one only.

mod parse;

use std::collections::BTreeMap;
use std::ops::Bound;

pub use parse::{Bounds, ParseError};

/// The members of a JSON object, by name.
pub type Members = BTreeMap<String, Json>;

/// The room that the canonical bytes of an event are given at first: most need no more.
const FIRST_ROOM: usize = 2 << 10;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its text.
    Number(Box<str>),
    /// A string, unescaped.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

impl Json {
    /// Reads one value that fills `bytes`; a byte-order mark before it is skipped.
    ///
    /// # Errors
    /// When the bytes aren't UTF-8, aren't JSON, or go beyond `bounds`.
    pub fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Self, ParseError> {
        parse::parse(bytes, bounds)
    }

    /// The member `name`, when this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.as_object()?.get(name)
    }

    /// The text, when this is a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number's text, when this is a number.
    #[must_use]
    pub fn as_number(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The items, when this is an array.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Json]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The members, when this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Members> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// What this is, as a word for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The canonical bytes: no white space, members sorted by the bytes of their names, only necessary escapes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        self.write(&mut text);
        text.into_bytes()
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                write_members(members.iter().map(|(name, value)| (name.as_str(), value)), out);
            }
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// The canonical bytes of an object with these members and one more, which takes the place of one with its name.
pub(crate) fn object_with(members: &Members, name: &str, value: &Json) -> Vec<u8> {
    fn named<'a>((name, value): (&'a String, &'a Json)) -> (&'a str, &'a Json) {
        (name, value)
    }
    let before = members.range::<str, _>((Bound::Unbounded, Bound::Excluded(name)));
    let after = members.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
    let mut text = String::with_capacity(FIRST_ROOM);
    write_members(before.map(named).chain([(name, value)]).chain(after.map(named)), &mut text);
    text.into_bytes()
}

/// Members that are in their order already.
fn write_members<'a>(members: impl Iterator<Item = (&'a str, &'a Json)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What is escaped is one byte long, so a text is cut between characters.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        out.push_str(rest.get(..at).unwrap_or(""));
        match rest.as_bytes().get(at).copied().unwrap_or(0) {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            control => {
                out.push_str("\\u00");
                for shift in [4, 0] {
                    let digit = (u32::from(control) >> shift) & 0xf;
                    out.extend(char::from_digit(digit, 16));
                }
            }
        }
        rest = rest.get(at.saturating_add(1)..).unwrap_or("");
    }
    out.push_str(rest);
    out.push('"');
}
