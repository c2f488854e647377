//! One name for one thing: GS1 identifiers in their two spellings.
//!
//! An EPC may be written as a URN (`urn:epc:class:lgtin:9521141.012345.L7`) or as a GS1 Digital Link URI on anybody's
//! domain (`https://id.gs1.org/01/09521141123454/10/L7`). [`Item`] brings both to the Digital Link on `id.gs1.org`, the form that
//! can be reached from either (a Digital Link doesn't tell how long the company prefix is, so a URN can't be rebuilt).
//! Covered are SGTIN, LGTIN, UPUI, ITIP, SSCC, SGLN, PGLN, GDTI, SGCN, GRAI, GIAI, GINC, GSIN, GSRN, GSRNP, CPI and the classes of those that
//! have some. What isn't one of these, or has a
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

    /// The canonical text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Whether it looks like an identifier of GS1's but isn't one: an EPC URN, or the path of a Digital Link, with a wrong length or check
    /// digit, or with characters that it can't have.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        if let Some(urn) = self.0.strip_prefix("urn:epc:") {
            // The other EPC schemes have no key of GS1's in them.
            let known = ["id:sg", "id:ss", "id:pgln", "id:g", "id:cpi", "id:itip", "id:upui", "idpat:", "class:lgtin"];
            return known.iter().any(|scheme| urn.starts_with(scheme)) && !urn.starts_with("id:gid:");
        }
        let path = self.0.strip_prefix("https://id.gs1.org/").or_else(|| self.0.strip_prefix("http://id.gs1.org/"));
        path.is_some_and(|path| from_link(&format!("{RESOLVER}/{path}")).is_none())
    }

    /// The EPC URN of it, where it has one and its company prefix is that long: of a GTIN with serial number or lot, an SSCC, or a
    /// number of a place or party. A Digital Link doesn't tell the length, so it must be known from elsewhere.
    #[must_use]
    pub fn to_urn(&self, company_prefix: usize) -> Option<String> {
        if !matches!(company_prefix, 6..=12) {
            return None;
        }
        let parts: Vec<&str> = self.0.strip_prefix(RESOLVER)?.split('/').skip(1).collect();
        // The check digit goes, the indicator or extension digit moves behind the prefix.
        let led = |number: &str| {
            let (leader, rest) = number.get(..number.len().checked_sub(1)?)?.split_at_checked(1)?;
            let (prefix, reference) = rest.split_at_checked(company_prefix)?;
            Some(format!("{prefix}.{leader}{reference}"))
        };
        let plain = |number: &str| {
            let (prefix, reference) = number.get(..12)?.split_at_checked(company_prefix)?;
            Some(format!("{prefix}.{reference}"))
        };
        Some(match parts.as_slice() {
            ["01", item] => format!("urn:epc:idpat:sgtin:{}.*", led(item)?),
            ["01", item, "21", serial] => format!("urn:epc:id:sgtin:{}.{serial}", led(item)?),
            ["01", item, "10", lot] => format!("urn:epc:class:lgtin:{}.{lot}", led(item)?),
            ["00", unit] => format!("urn:epc:id:sscc:{}", led(unit)?),
            ["414", place] => format!("urn:epc:id:sgln:{}.0", plain(place)?),
            ["414", place, "254", extension] => format!("urn:epc:id:sgln:{}.{extension}", plain(place)?),
            ["417", party] => format!("urn:epc:id:pgln:{}", plain(party)?),
            _ => return None,
        })
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
    let (kind, scheme, value) = match urn.splitn(3, ':').collect::<Vec<_>>().as_slice() {
        [kind, scheme, value] => (*kind, *scheme, *value),
        _ => return None,
    };
    // Serial numbers may have points in them, so the others are split off first.
    let mut parts = value.splitn(3, '.');
    let (prefix, reference, last) = (parts.next()?, parts.next()?, parts.next());
    if !digits(prefix) || !matches!(prefix.len(), 6..=12) {
        return None;
    }
    let serial = || last.and_then(decoded).filter(|serial| !serial.is_empty()).map(|serial| encoded(&serial));
    let rest = || Some(encoded(&decoded(&last.map_or(reference.to_owned(), |last| format!("{reference}.{last}")))?));
    let path = match (kind, scheme) {
        ("idpat", _) if last != Some("*") && scheme != "itip" => return None,
        ("idpat", "sgtin") => format!("/01/{}", trade_item(prefix, reference)?),
        ("idpat", "grai") => format!("/8003/0{}", checked(prefix, reference, 12)?),
        ("idpat", "gdti") => format!("/253/{}", checked(prefix, reference, 12)?),
        ("idpat", "sgcn") => format!("/255/{}", checked(prefix, reference, 12)?),
        ("idpat", "cpi") => format!("/8010/{prefix}{}", encoded(&decoded(reference)?)),
        ("id", "sgtin") => format!("/01/{}/21/{}", trade_item(prefix, reference)?, serial()?),
        ("id", "upui") => format!("/01/{}/235/{}", trade_item(prefix, reference)?, serial()?),
        ("class", "lgtin") => format!("/01/{}/10/{}", trade_item(prefix, reference)?, serial()?),
        ("id", "sscc") if last.is_none() => format!("/00/{}", led(prefix, reference, 17)?),
        ("id", "sgln") => match last {
            None | Some("0") => format!("/414/{}", checked(prefix, reference, 12)?),
            Some(_) => format!("/414/{}/254/{}", checked(prefix, reference, 12)?, serial()?),
        },
        ("id", "pgln") if last.is_none() => format!("/417/{}", checked(prefix, reference, 12)?),
        ("id", "gdti") => format!("/253/{}{}", checked(prefix, reference, 12)?, serial()?),
        ("id", "sgcn") => format!("/255/{}{}", checked(prefix, reference, 12)?, serial()?),
        ("id", "grai") => format!("/8003/0{}{}", checked(prefix, reference, 12)?, serial()?),
        ("id", "giai") => format!("/8004/{prefix}{}", rest()?),
        ("id", "ginc") => format!("/401/{prefix}{}", rest()?),
        ("id", "gsin") if last.is_none() => format!("/402/{}", checked(prefix, reference, 16)?),
        ("id", "gsrn") if last.is_none() => format!("/8018/{}", checked(prefix, reference, 17)?),
        ("id", "gsrnp") if last.is_none() => format!("/8017/{}", checked(prefix, reference, 17)?),
        ("id", "cpi") => format!("/8010/{prefix}{}/8011/{}", encoded(&decoded(reference)?), serial()?),
        ("id" | "idpat", "itip") => {
            let mut parts = last?.splitn(3, '.');
            let (piece, total, serial) = (parts.next()?, parts.next()?, parts.next()?);
            if piece.len() != 2 || total.len() != 2 || !digits(piece) || !digits(total) {
                return None;
            }
            let item = format!("/8006/{}{piece}{total}", trade_item(prefix, reference)?);
            match (kind, serial) {
                ("idpat", "*") => item,
                ("id", serial) if !serial.is_empty() => format!("{item}/21/{}", encoded(&decoded(serial)?)),
                _ => return None,
            }
        }
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
            let finest = ["21", "235", "10", "22"].iter().find_map(|name| Some((name, qualifier(name)?)));
            match finest {
                Some((name, value)) => format!("/01/{trade_item}/{name}/{value}"),
                None => format!("/01/{trade_item}"),
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
        "255" if value.get(..13).is_some_and(|number| is_checked(number, 13)) && digits(&value) => {
            format!("/255/{value}")
        }
        "401" | "8004" => format!("/{name}/{}", encoded(&value)),
        "402" if is_checked(&value, 17) => format!("/402/{value}"),
        "8010" => match qualifier("8011") {
            Some(serial) => format!("/8010/{}/8011/{serial}", encoded(&value)),
            None => format!("/8010/{}", encoded(&value)),
        },
        "8006" if value.len() == 18 && digits(&value) && value.get(..14).is_some_and(|item| is_checked(item, 14)) => {
            match ["21", "10"].iter().find_map(|name| Some((name, qualifier(name)?))) {
                Some((name, part)) => format!("/8006/{value}/{name}/{part}"),
                None => format!("/8006/{value}"),
            }
        }
        _ => return None,
    };
    Some(format!("{RESOLVER}{path}"))
}

const KEYS: &[&str] =
    &["01", "00", "414", "417", "253", "255", "401", "402", "8003", "8004", "8006", "8010", "8017", "8018"];

fn allowed(qualifier: &str, key: Option<&str>) -> bool {
    match key {
        Some("01") => matches!(qualifier, "22" | "10" | "21" | "235"),
        Some("414") => qualifier == "254",
        Some("8006") => matches!(qualifier, "22" | "10" | "21"),
        Some("8010") => qualifier == "8011",
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

/// Percent-encodes all but those of GS1's characters that a Digital Link may have as they are (URI syntax 1.2, table 7-1).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'\'' | b';' | b'=' => {
                encoded.push(char::from(byte))
            }
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
            ("urn:epc:id:sgtin:061414110734.2.a.b", "https://id.gs1.org/01/20614141107340/21/a.b"),
            ("urn:epc:id:sgtin:061414.1107346.=;'", "https://id.gs1.org/01/10614141073464/21/%3D%3B'"),
            ("urn:epc:id:giai:4000001.1.2.3", "https://id.gs1.org/8004/40000011.2.3"),
            ("urn:epc:id:cpi:4012345.ABC.123", "https://id.gs1.org/8010/4012345ABC/8011/123"),
            ("urn:epc:id:itip:4012345.012345.01.02.9", "https://id.gs1.org/8006/040123451234560102/21/9"),
            ("urn:epc:id:upui:4012345.012345.AB12", "https://id.gs1.org/01/04012345123456/235/AB12"),
            ("urn:epc:id:gsin:4012345.999987654", "https://id.gs1.org/402/40123459999876541"),
            ("urn:epc:idpat:grai:4012345.66666.*", "https://x.example/8003/04012345666663"),
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
    fn a_urn_comes_back_with_the_length_of_its_company_prefix_only() {
        for (urn, length) in [
            ("urn:epc:id:sgtin:0614141.107346.a%2Fb", 7),
            ("urn:epc:class:lgtin:4012345678.901.7", 10),
            ("urn:epc:idpat:sgtin:401234.5012345.*", 6),
            ("urn:epc:id:sscc:0614141.1234567890", 7),
            ("urn:epc:id:sgln:061414107346..12", 12),
            ("urn:epc:id:sgln:0614141.07346.0", 7),
            ("urn:epc:id:pgln:4012345.00000", 7),
        ] {
            let item = Item::new(urn);
            assert_eq!(item.to_urn(length).as_deref(), Some(urn));
            let others = (0..20).filter(|other| *other != length).filter_map(|other| item.to_urn(other));
            assert!(others.clone().all(|other| other != urn && Item::new(&other) == item), "{urn}");
            assert_eq!(others.count(), 6, "{urn}");
        }
        assert_eq!(Item::new("urn:x:1").to_urn(7), None);
    }

    #[test]
    fn what_looks_like_an_identifier_but_is_none_is_faulty() {
        for faulty in [
            "urn:epc:id:sgtin:0614141.10734.2017",
            "urn:epc:class:lgtin:4012345.012345",
            "https://id.gs1.org/01/10614141073465/21/2017",
            "https://id.gs1.org/414/0614141073468",
        ] {
            assert!(Item::new(faulty).is_faulty(), "{faulty}");
        }
        for fine in
            ["urn:epc:id:sgtin:0614141.107346.2017", "urn:epc:id:gid:1.2.3", "https://example.com/01/1", "urn:x:1", ""]
        {
            assert!(!Item::new(fine).is_faulty(), "{fine}");
        }
    }

    #[test]
    fn the_short_form_reads_as_on_a_label() {
        assert_eq!(Item::new("urn:epc:class:lgtin:4012345.012345.998877").short(), "(01)04012345123456(10)998877");
        assert_eq!(Item::new("urn:x:1").short(), "urn:x:1");
    }
}
