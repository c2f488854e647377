//! One name for one thing: GS1 identifiers in their two spellings.
//!
//! An EPC may be written as a URN (`urn:epc:class:lgtin:9521141.012345.L7`) or as a GS1 Digital Link URI on anybody's
//! domain (`https://id.gs1.org/01/09521141123454/10/L7`). [`Item`] brings both to the Digital Link on `id.gs1.org`, the form that
//! can be reached from either (a Digital Link doesn't tell how long the company prefix is, so a URN can't be rebuilt).
//! Covered are SGTIN, LGTIN, GTIN classes, SSCC, SGLN, PGLN, GDTI, GRAI, GIAI, GSRN and GSRNP. What isn't one of these, or has a
//! wrong length or check digit, stays as it is: a name of its own, equal only to itself.
//!
//! Sources: GS1 EPC Tag Data Standard 1.13, section 6; GS1 Digital Link URI syntax 1.2; CBV 2.0, section 8.

use std::fmt;

const RESOLVER: &str = "https://id.gs1.org";

/// The canonical name of a thing that events speak of: an item, a lot, a class, a logistic unit, a place, a party.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item(String);

impl Item {
    /// The canonical form of an identifier as written in an event or by a person.
    #[must_use]
    pub fn new(written: &str) -> Self {
        let written = written.trim();
        let known = match written.strip_prefix("urn:epc:") {
            Some(urn) => from_urn(urn),
            None => from_link(written),
        };
        Self(known.unwrap_or_else(|| written.to_owned()))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A short form for people: `(01)09521141123454(10)L7` for GS1 identifiers, else the text itself.
    #[must_use]
    pub fn short(&self) -> String {
        let Some(path) = self.0.strip_prefix(RESOLVER) else {
            return self.0.clone();
        };
        let mut short = String::new();
        for (index, part) in path.split('/').skip(1).enumerate() {
            if index % 2 == 0 {
                short.push('(');
                short.push_str(part);
                short.push(')');
            } else {
                short.push_str(part);
            }
        }
        short
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `urn` is what follows `urn:epc:`.
fn from_urn(urn: &str) -> Option<String> {
    let (kind, scheme, value) = match urn.split(':').collect::<Vec<_>>().as_slice() {
        [kind, scheme, value] => (*kind, *scheme, *value),
        _ => return None,
    };
    let mut parts = value.splitn(3, '.');
    let (prefix, reference, last) = (parts.next()?, parts.next()?, parts.next());
    let serial = || last.and_then(decoded).map(|serial| encoded(&serial));
    let path = match (kind, scheme) {
        ("id", "sgtin") => format!("/01/{}/21/{}", trade_item(prefix, reference)?, serial()?),
        ("class", "lgtin") => format!("/01/{}/10/{}", trade_item(prefix, reference)?, serial()?),
        ("idpat", "sgtin") if last == Some("*") => format!("/01/{}", trade_item(prefix, reference)?),
        ("id", "sscc") if last.is_none() => format!("/00/{}", led(prefix, reference, 17)?),
        ("id", "sgln") => match last {
            None | Some("0") => format!("/414/{}", checked(prefix, reference, 12)?),
            Some(_) => format!("/414/{}/254/{}", checked(prefix, reference, 12)?, serial()?),
        },
        ("id", "pgln") if last.is_none() => format!("/417/{}", checked(prefix, reference, 12)?),
        ("id", "gdti") => format!("/253/{}{}", checked(prefix, reference, 12)?, serial()?),
        ("id", "grai") => format!("/8003/0{}{}", checked(prefix, reference, 12)?, serial()?),
        ("id", "giai") if last.is_none() && digits(prefix) => {
            format!("/8004/{prefix}{}", encoded(&decoded(reference)?))
        }
        ("id", "gsrn") if last.is_none() => format!("/8018/{}", checked(prefix, reference, 17)?),
        ("id", "gsrnp") if last.is_none() => format!("/8017/{}", checked(prefix, reference, 17)?),
        _ => return None,
    };
    Some(format!("{RESOLVER}{path}"))
}

/// A Digital Link on any domain, with any path before the key and any query behind.
fn from_link(link: &str) -> Option<String> {
    let (_, rest) = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"))?.split_once('/')?;
    let path = rest.split(['?', '#']).next()?;
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let key = parts.iter().rposition(|part| KEYS.contains(part))?;
    let mut pairs = parts.get(key..)?.chunks_exact(2);
    let (name, value) = pair(pairs.next()?)?;
    let qualifiers = pairs.clone().map(pair).collect::<Option<Vec<_>>>()?;
    if !pairs.remainder().is_empty() {
        return None;
    }
    let qualifier = |wanted: &str| qualifiers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| encoded(value));
    if qualifiers.iter().any(|(name, _)| !allowed(name, parts.get(key).copied())) {
        return None;
    }
    let path = match name {
        "01" => {
            let trade_item = format!("{value:0>14}");
            if !matches!(value.len(), 8 | 12 | 13 | 14) || !is_checked(&trade_item, 14) {
                return None;
            }
            // A serial number names one item whatever lot or variant is given along with it; so does a lot with its variant.
            match (qualifier("21"), qualifier("10"), qualifier("22")) {
                (Some(serial), _, _) => format!("/01/{trade_item}/21/{serial}"),
                (None, Some(lot), _) => format!("/01/{trade_item}/10/{lot}"),
                (None, None, Some(variant)) => format!("/01/{trade_item}/22/{variant}"),
                (None, None, None) => format!("/01/{trade_item}"),
            }
        }
        "00" if is_checked(&value, 18) => format!("/00/{value}"),
        "414" if is_checked(&value, 13) => match qualifier("254") {
            Some(extension) if extension != "0" => format!("/414/{value}/254/{extension}"),
            _ => format!("/414/{value}"),
        },
        "417" if is_checked(&value, 13) => format!("/417/{value}"),
        "8017" | "8018" if is_checked(&value, 18) => format!("/{name}/{value}"),
        "253" if value.get(..13).is_some_and(|number| is_checked(number, 13)) => format!("/253/{}", encoded(&value)),
        "8003" if value.starts_with('0') && value.get(1..14).is_some_and(|number| is_checked(number, 13)) => {
            format!("/8003/{}", encoded(&value))
        }
        "8004" if !value.is_empty() => format!("/8004/{}", encoded(&value)),
        _ => return None,
    };
    Some(format!("{RESOLVER}{path}"))
}

const KEYS: &[&str] = &["01", "00", "414", "417", "253", "8003", "8004", "8017", "8018"];

fn allowed(qualifier: &str, key: Option<&str>) -> bool {
    match key {
        Some("01") => matches!(qualifier, "22" | "10" | "21"),
        Some("414") => qualifier == "254",
        _ => false,
    }
}

fn pair<'a>(parts: &[&'a str]) -> Option<(&'a str, String)> {
    match parts {
        [name, value] if !value.is_empty() => Some((name, decoded(value)?)),
        _ => None,
    }
}

/// A GTIN of 14 digits: the reference's first digit is the indicator, which goes in front of the prefix.
fn trade_item(prefix: &str, reference: &str) -> Option<String> {
    led(prefix, reference, 13)
}

fn led(prefix: &str, reference: &str, length: usize) -> Option<String> {
    let (leader, rest) = reference.split_at_checked(1)?;
    with_check_digit(format!("{leader}{prefix}{rest}"), length)
}

fn checked(prefix: &str, reference: &str, length: usize) -> Option<String> {
    with_check_digit(format!("{prefix}{reference}"), length)
}

fn with_check_digit(mut number: String, length: usize) -> Option<String> {
    if number.len() != length || !digits(&number) {
        return None;
    }
    number.push(check_digit(&number)?);
    Some(number)
}

fn is_checked(number: &str, length: usize) -> bool {
    let Some((body, check)) = number.len().checked_sub(1).and_then(|last| number.split_at_checked(last)) else {
        return false;
    };
    number.len() == length && digits(number) && check_digit(body).is_some_and(|digit| check == digit.to_string())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// GS1's check digit: from the right, the digits count three times and once in turn.
fn check_digit(body: &str) -> Option<char> {
    let sum = body.bytes().rev().enumerate().fold(0_u32, |sum, (place, byte)| {
        let weight = if place % 2 == 0 { 3 } else { 1 };
        sum + weight * u32::from(byte.saturating_sub(b'0'))
    });
    char::from_digit((10 - sum % 10) % 10, 10)
}

/// Undoes percent-encoding; `None` when it is broken.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let (code, after) = after.split_at_checked(2)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but the characters that RFC 3986 never needs encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::Item;

    #[test]
    fn both_spellings_give_one_name() {
        for (urn, link) in [
            ("urn:epc:id:sgtin:0614141.107346.2017", "https://id.gs1.org/01/10614141073464/21/2017"),
            ("urn:epc:class:lgtin:4012345.012345.998877", "https://dl.example.com/shop/01/04012345123456/10/998877"),
            ("urn:epc:idpat:sgtin:4012345.012345.*", "http://id.gs1.org/01/4012345123456?x=1"),
            ("urn:epc:id:sscc:0614141.1234567890", "https://id.gs1.org/00/106141412345678908"),
            ("urn:epc:id:sgln:0614141.07346.0", "https://id.gs1.org/414/0614141073467/"),
            ("urn:epc:id:sgln:0614141.07346.1234", "https://id.gs1.org/414/0614141073467/254/1234"),
            ("urn:epc:id:pgln:4012345.00000", "https://id.gs1.org/417/4012345000009"),
            ("urn:epc:id:gdti:0614141.06012.1234", "https://id.gs1.org/253/06141410601221234"),
            ("urn:epc:id:grai:9521141.12345.A7", "https://id.gs1.org/8003/09521141123454A7"),
            ("urn:epc:id:giai:4000001.111", "https://id.gs1.org/8004/4000001111"),
            ("urn:epc:id:sgtin:0614141.107346.a%2Fb", "https://id.gs1.org/01/10614141073464/21/a%2fb"),
            ("urn:epc:id:sgtin:0614141.107346.2017", "https://id.gs1.org/01/10614141073464/10/L/21/2017"),
        ] {
            assert_eq!(Item::new(urn), Item::new(link), "{urn} {link}");
            assert!(Item::new(urn).as_str().starts_with("https://id.gs1.org/"), "{urn}");
        }
    }

    #[test]
    fn the_canonical_form_is_its_own_canonical_form() {
        for written in
            ["urn:epc:id:sgtin:0614141.107346.a%2Fb%25", "https://a.b/01/04012345123456/22/v", "geo:1,2", "x"]
        {
            let once = Item::new(written);
            assert_eq!(Item::new(once.as_str()), once);
        }
    }

    #[test]
    fn what_is_no_gs1_identifier_stays_as_written() {
        for written in [
            "urn:epc:id:sgtin:0614141.10734.2017",
            "urn:epc:id:sgtin:0614141.107346.%zz",
            "https://id.gs1.org/01/10614141073465/21/2017",
            "https://example.com/01/",
            "https://example.com/orders/01/x",
            "urn:gdst:example.org:product:lot:class:1",
            "urn:epc:id:sgtin:é.107346.1",
            "",
        ] {
            assert_eq!(Item::new(written).as_str(), written);
        }
    }

    #[test]
    fn the_short_form_reads_as_on_a_label() {
        assert_eq!(Item::new("urn:epc:class:lgtin:4012345.012345.998877").short(), "(01)04012345123456(10)998877");
        assert_eq!(Item::new("urn:x:1").short(), "urn:x:1");
    }
}
