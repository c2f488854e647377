//! What a request names in its path and its query.

use crate::failure::malformed;
use ledger_client::wire::{Hex, Problem, U64};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The most parameters of a query.
const MAX_PARAMETERS: usize = 32;

/// Parameters by name: those of the path and those of the query, which never have the same names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads both; `known` are the query's names that the route has.
    pub(crate) fn new<'a>(
        path: impl Iterator<Item = (&'a str, &'a str)>,
        query: Option<&str>,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, Problem> {
        let mut found: BTreeMap<String, String> = path.map(|(name, value)| (name.into(), value.into())).collect();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known(&name) {
                return Err(malformed(format_args!("there is no parameter `{}` here", shortened(&name))));
            }
            if found.len() >= MAX_PARAMETERS || found.insert(name.clone(), value).is_some() {
                return Err(malformed(format_args!("the parameter `{name}` is there twice")));
            }
        }
        Ok(Params(found))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn parsed<T>(&self, name: &str, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        self.text(name).map(|text| parse(text).ok_or_else(|| wrong(name, text, wanted))).transpose()
    }

    /// A parameter that the route can't do without.
    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| malformed(format_args!("the parameter `{name}` is missing")))
    }

    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<T, Problem> {
        let id = self.optional_id(name)?;
        self.required(name, id)
    }

    pub(crate) fn optional_id<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.parsed(name, "64 lower-case hex digits", |text| text.parse().ok())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.parsed(name, "a number in decimal digits", |text| U64::parse(text).map(|number| number.0))
    }

    pub(crate) fn required_number(&self, name: &str) -> Result<u64, Problem> {
        let number = self.number(name)?;
        self.required(name, number)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        let flag = self.parsed(name, "`true` or `false`", |text| text.parse().ok())?;
        Ok(flag.unwrap_or(false))
    }

    pub(crate) fn hex(&self, name: &str) -> Result<Option<Vec<u8>>, Problem> {
        Ok(self.parsed(name, "bytes as lower-case hex", Hex::parse)?.map(|hex| hex.0))
    }

    pub(crate) fn named<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.parsed(name, wanted, parse)
    }
}

fn wrong(name: &str, text: &str, wanted: &str) -> Problem {
    malformed(format_args!("`{name}` is {wanted}; `{}` isn't", shortened(text)))
}

/// Somebody else's text in an error has a bound.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Undoes percent-encoding and `+` for a space.
fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = after.split_first_chunk::<2>();
                let value =
                    digits.and_then(|(pair, _)| std::str::from_utf8(pair).ok()).filter(|pair| !pair.contains('+'));
                let value = value.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                let (Some(value), Some((_, after))) = (value, digits) else {
                    return Err(malformed("the query's percent-encoding is broken"));
                };
                bytes.push(value);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("the query isn't UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn params(query: &str) -> Result<Params, Problem> {
        Params::new([("id", "7")].into_iter(), Some(query), |name| matches!(name, "a" | "b"))
    }

    #[test]
    fn a_query_is_decoded_and_unknown_or_repeated_names_are_refused() {
        let read = params("a=x%20y+z&b=").unwrap();
        assert_eq!((read.text("a"), read.text("b"), read.text("id")), (Some("x y z"), Some(""), Some("7")));
        for query in ["c=1", "a=1&a=2", "a=%", "a=%g0", "a=%ff", "a=%+1", "id=8"] {
            assert!(params(query).is_err(), "{query}");
        }
    }
}
