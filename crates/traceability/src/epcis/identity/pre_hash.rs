//! The pre-hash string of CBV 2.0, whose hash is the event hash ID.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::normal::{Node, RDFS, Value, number_of};
use super::order::{ELEMENTS, REPORTS};
use crate::epcis::decimal::Digits;

/// Fields that the standard's hash leaves out.
const UNHASHED: &[&str] = &["certificationInfo", "comment"];

/// Bytes that a pre-hash string may have. Names stand in it with their whole namespaces, an array's once for each item, so that a
/// small event could ask for a huge one.
pub const MAX_PRE_HASH_BYTES: usize = 8 << 20;

/// The pre-hash string of an event's normal form, unless it would have more than [`MAX_PRE_HASH_BYTES`].
pub(super) fn pre_hash(normal: &Node) -> Option<String> {
    if normal.size(0) > MAX_PRE_HASH_BYTES {
        return None;
    }
    let mut text = format!("eventType={}", normal.name);
    let (ilmd, fields): (Vec<&Node>, Vec<&Node>) = normal.parts.iter().partition(|part| part.name == "ilmd");
    for part in &fields {
        part.standard(&mut text);
    }
    for part in &ilmd {
        text.push_str("ilmd");
        text.push_str(&sorted(&part.extensions));
    }
    for part in &fields {
        part.trailing(&mut text);
    }
    text.push_str(&sorted(&normal.extensions));
    Some(text)
}

/// A text as a pre-hash string has it, where text that reads as a number is one.
fn number_in(text: &str) -> String {
    let unsigned = text.strip_prefix('+').filter(|rest| !rest.starts_with('-') && Digits::of(rest).is_some());
    number_of(unsigned.unwrap_or(text))
}

impl Value {
    fn as_hashed(&self) -> Option<String> {
        match self {
            Value::None | Value::Array => None,
            Value::Text(text) => Some(number_in(text)),
            Value::Number(number) => Some(number.clone()),
            Value::Truth(truth) => Some(truth.to_string()),
            Value::Null => Some("null".to_owned()),
            Value::Time(instant) => Some(milliseconds(*instant)),
        }
    }
}

/// The instant in UTC, rounded to milliseconds, half up.
fn milliseconds(instant: Timestamp) -> String {
    let rounded = instant.as_nanosecond().saturating_add(500_000).div_euclid(1_000_000);
    let shown = i64::try_from(rounded).ok().and_then(|rounded| Timestamp::from_millisecond(rounded).ok());
    let clock = Offset::UTC.to_datetime(shown.unwrap_or(instant));
    let (date, hour, minute, second) = (clock.date(), clock.hour(), clock.minute(), clock.second());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", clock.subsec_nanosecond() / 1_000_000)
}

impl Node {
    /// No less than the bytes of it in a pre-hash string, where each item of an array repeats a name of `array` bytes.
    fn size(&self, array: usize) -> usize {
        let namespace = self.namespace.as_ref().map_or(0, |namespace| namespace.uri.len().saturating_add(2));
        let value = match &self.value {
            // Zeros that an exponent stands for are written out.
            Value::Text(text) | Value::Number(text) => text.len().saturating_add(70),
            _ => 30,
        };
        let own = namespace.saturating_add(self.name.len()).saturating_add(array);
        // A field with extensions in it stands there twice.
        let all = self.parts.iter().map(|part| part.size(own)).chain(self.extensions.iter().map(|part| part.size(0)));
        all.fold(own.saturating_mul(2).saturating_add(value), usize::saturating_add)
    }

    /// Name and value as a pre-hash string has them.
    fn head(&self) -> String {
        let name = match &self.namespace {
            Some(namespace) => format!("{{{}}}{}", namespace.uri, self.name),
            None => self.name.clone(),
        };
        match self.value.as_hashed().filter(|value| !value.is_empty()) {
            Some(value) => format!("{name}={value}"),
            None => name,
        }
    }

    /// A standard field without the extensions in it, as a pre-hash string has it.
    fn standard(&self, out: &mut String) {
        let mut inside = String::new();
        if self.unordered {
            let mut items: Vec<String> = self.parts.iter().map(Node::item).collect();
            items.sort_unstable();
            inside.extend(items);
        } else {
            self.parts.iter().for_each(|part| part.standard(&mut inside));
        }
        if inside.is_empty() && self.value.as_hashed().is_none_or(|value| value.is_empty()) {
            return;
        }
        // The items of these lists have the name already, or the list has none.
        if !(self.name == ELEMENTS || (self.unordered && matches!(self.name.as_str(), REPORTS | "set" | "unset"))) {
            out.push_str(&self.head());
        }
        out.push_str(&inside);
    }

    fn item(&self) -> String {
        let mut item = String::new();
        self.standard(&mut item);
        item
    }

    /// The extensions in a standard field, behind the names of the fields that they are in.
    fn trailing(&self, out: &mut String) {
        let mut inside = String::new();
        if self.unordered {
            let mut items: Vec<String> = self.parts.iter().map(Node::extended).collect();
            items.sort_unstable();
            inside.extend(items);
        } else {
            self.parts.iter().for_each(|part| part.trailing(&mut inside));
        }
        inside.push_str(&sorted(&self.extensions));
        if inside.is_empty() {
            return;
        }
        if self.name != ELEMENTS && !(self.unordered && self.name == REPORTS) {
            out.push_str(&self.name);
        }
        out.push_str(&inside);
    }

    fn extended(&self) -> String {
        let mut item = String::new();
        self.trailing(&mut item);
        item
    }
}

/// Extensions as a pre-hash string has them: each with all that is in it, in the order of the texts.
fn sorted(extensions: &[Node]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for extension in extensions {
        let namespace = extension.namespace.as_ref().map(|namespace| namespace.uri.as_str());
        let comment = namespace == Some(RDFS) && extension.name == "comment";
        let unhashed = extension.namespace.is_none() && UNHASHED.contains(&extension.name.as_str());
        if comment || unhashed {
            continue;
        }
        if extension.parts.is_empty() {
            texts.push(format!("{}{}", extension.head(), sorted(&extension.extensions)));
        }
        // Each item of an array stands for itself, with the array's name.
        flat(&extension.head(), &extension.parts, &mut texts);
    }
    texts.sort_unstable();
    texts.concat()
}

fn flat(name: &str, items: &[Node], texts: &mut Vec<String>) {
    for item in items {
        if item.parts.is_empty() {
            texts.push(format!("{name}{}{}", item.head(), sorted(&item.extensions)));
        }
        flat(name, &item.parts, texts);
    }
}
