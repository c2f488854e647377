//! What was proven, as JSON.
//!
//! Written by hand: a general JSON library would bring formats of numbers and maps to every browser that nothing here
//! needs.

use ledger_core::{
    Action, Body, ContractId, Event, Failure, Height, HistoryHead, Key, KeyRange, Order, Place, Proven, Receipt,
    Rejection, Status, TransactionLeaf, Version, Versioned, Witness,
};

/// JSON text.
pub(crate) struct Json(pub(crate) String);

pub(crate) fn error(message: &str) -> String {
    object(&[("error", words(message))]).0
}

/// `None` for a kind of proof that is newer than this crate.
pub(crate) fn proven(proven: &Proven) -> Option<String> {
    let value = match proven {
        Proven::Transaction { id, leaf, body, place } => object(&[
            ("proven", words("transaction")),
            ("id", text(id)),
            ("transaction", transaction(leaf)),
            ("body", maybe(body.as_ref().map(shown_body))),
            ("place", shown_place(place)),
        ]),
        Proven::Receipt { receipt, place } => {
            object(&[("proven", words("receipt")), ("receipt", shown_receipt(receipt)), ("place", shown_place(place))])
        }
        Proven::Event { event, transaction, place } => object(&[
            ("proven", words("event")),
            ("event", shown_event(event)),
            ("transaction", text(transaction)),
            ("place", shown_place(place)),
        ]),
        Proven::State { key, value, at } => state("state", key, value.as_ref(), *at),
        Proven::PastState { key, value, at } => state("past state", key, value.as_ref(), *at),
        Proven::Range { range, entries, at } => shown_range("range", range, entries, *at),
        Proven::PastRange { range, entries, at } => shown_range("past range", range, entries, *at),
        Proven::Values(values) => object(&[
            ("proven", words("values")),
            ("key", shown_key(&values.key)),
            ("value", versioned(&values.newest)),
            ("older", array(&mut values.older.iter().map(versioned))),
            ("height", text(&values.at)),
        ]),
        Proven::History(consistency) => object(&[("proven", words("history")), ("from", head(&consistency.from))]),
        _ => return None,
    };
    Some(value.0)
}

pub(crate) fn object(fields: &[(&str, Json)]) -> Json {
    let mut text = String::from("{");
    for (name, value) in fields {
        separate(&mut text);
        quote(name, &mut text);
        text.push(':');
        text.push_str(&value.0);
    }
    text.push('}');
    Json(text)
}

pub(crate) fn array(items: &mut dyn Iterator<Item = Json>) -> Json {
    let mut text = String::from("[");
    for item in items {
        separate(&mut text);
        text.push_str(&item.0);
    }
    text.push(']');
    Json(text)
}

/// A comma where something stands before.
fn separate(text: &mut String) {
    if text.len() > 1 {
        text.push(',');
    }
}

/// Appends `words` as a string (RFC 8259, section 7).
fn quote(words: &str, text: &mut String) {
    text.push('"');
    for letter in words.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\0'..='\x1f' => {
                text.push_str("\\u00");
                hex_digits(u8::try_from(letter).unwrap_or_default(), text);
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}

fn hex_digits(byte: u8, text: &mut String) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
    }
}

pub(crate) fn words(words: &str) -> Json {
    let mut text = String::new();
    quote(words, &mut text);
    Json(text)
}

fn maybe(value: Option<Json>) -> Json {
    value.unwrap_or_else(|| Json("null".to_owned()))
}

fn number(value: u32) -> Json {
    Json(value.to_string())
}

/// An id, a digest, a key, or a 64-bit number: nothing that needs an escape.
pub(crate) fn text(value: &dyn std::fmt::Display) -> Json {
    words(&value.to_string())
}

fn hex(bytes: &[u8]) -> Json {
    let mut text = String::with_capacity(2 * bytes.len() + 2);
    text.push('"');
    bytes.iter().for_each(|byte| hex_digits(*byte, &mut text));
    text.push('"');
    Json(text)
}

fn state(proven: &str, key: &Key, value: Option<&Versioned>, at: Height) -> Json {
    object(&[
        ("proven", words(proven)),
        ("key", shown_key(key)),
        ("value", maybe(value.map(versioned))),
        ("height", text(&at)),
    ])
}

fn shown_range(proven: &str, range: &KeyRange, entries: &[(Key, Versioned)], at: Height) -> Json {
    let entry = |(key, value): &(Key, Versioned)| object(&[("name", hex(&key.name)), ("value", versioned(value))]);
    object(&[
        ("proven", words(proven)),
        ("namespace", text(&range.namespace)),
        ("from", hex(&range.from)),
        ("to", maybe(range.to.as_ref().map(|to| hex(to)))),
        ("entries", array(&mut entries.iter().map(entry))),
        ("height", text(&at)),
    ])
}

fn shown_place(place: &Place) -> Json {
    object(&[("height", text(&place.height)), ("timestamp", text(&place.timestamp)), ("index", number(place.index))])
}

pub(crate) fn head(head: &HistoryHead) -> Json {
    object(&[("size", text(&head.size)), ("root", text(&head.root))])
}

fn shown_key(key: &Key) -> Json {
    object(&[("namespace", text(&key.namespace)), ("name", hex(&key.name))])
}

fn version(version: Version) -> Json {
    object(&[("height", text(&version.height)), ("index", number(version.index))])
}

fn versioned(versioned: &Versioned) -> Json {
    object(&[
        ("value", hex(&versioned.value)),
        ("version", version(versioned.version)),
        ("predecessor", maybe(versioned.predecessor.map(|digest| text(&digest)))),
    ])
}

fn shown_body(body: &Body) -> Json {
    object(&[("salt", hex(&body.salt)), ("content", hex(&body.content))])
}

fn transaction(leaf: &TransactionLeaf) -> Json {
    let transaction = &leaf.transaction;
    let Witness::Ed25519 { key, signature } = &leaf.witness;
    let order = match transaction.order {
        Order::Sequence { lane, number } => object(&[("lane", text(&lane)), ("number", text(&number))]),
        Order::Unordered => maybe(None),
    };
    let (kind, action) = match &transaction.action {
        Action::Deploy { runtime } => {
            let contract = text(&ContractId::deployed_by(&transaction.id()));
            ("deploy", object(&[("runtime", words(runtime.as_str())), ("contract", contract)]))
        }
        Action::Call { contract, method } => {
            ("call", object(&[("contract", text(contract)), ("method", words(method.as_str()))]))
        }
        Action::Commit { endorsements } => {
            let mut keys = endorsements.iter().map(|endorsement| text(&endorsement.key));
            ("commit", object(&[("endorsed_by", array(&mut keys))]))
        }
    };
    object(&[
        ("version", number(transaction.version.into())),
        ("chain", text(&transaction.chain)),
        ("account", text(&transaction.account)),
        ("order", order),
        ("expires_at", maybe(transaction.expires_at.map(|time| text(&time)))),
        ("fuel_limit", text(&transaction.fuel_limit)),
        ("fee", text(&transaction.fee)),
        ("action", object(&[(kind, action)])),
        ("body", text(&transaction.body)),
        ("key", text(key)),
        ("signature", text(signature)),
    ])
}

fn shown_event(event: &Event) -> Json {
    object(&[("contract", text(&event.contract)), ("topic", words(event.topic.as_str())), ("data", hex(&event.data))])
}

fn shown_receipt(receipt: &Receipt) -> Json {
    object(&[
        ("transaction", text(&receipt.transaction)),
        ("index", number(receipt.index)),
        ("status", status(&receipt.status)),
        ("fuel_used", text(&receipt.fuel_used)),
        ("output", hex(&receipt.output)),
        ("event_count", number(receipt.event_count)),
        ("events_root", text(&receipt.events_root)),
    ])
}

fn status(status: &Status) -> Json {
    match status {
        Status::Succeeded => words("succeeded"),
        Status::Failed(reason) => reason_of("failed", failure(reason), reason),
        Status::Rejected(reason) => reason_of("rejected", rejection(reason), reason),
    }
}

/// `{"failed": {"kind": …, "message": …}}`
fn reason_of(status: &str, kind: &str, message: &dyn std::fmt::Display) -> Json {
    object(&[(status, object(&[("kind", words(kind)), ("message", text(message))]))])
}

fn failure(failure: &Failure) -> &'static str {
    match failure {
        Failure::OutOfFuel { .. } => "out of fuel",
        Failure::Refused { .. } => "refused",
        Failure::Trapped { .. } => "trapped",
        Failure::UnknownContract { .. } => "unknown contract",
        Failure::UnknownMethod { .. } => "unknown method",
        Failure::UnknownRuntime { .. } => "unknown runtime",
        Failure::InvalidCode { .. } => "invalid code",
        Failure::InvalidBody { .. } => "invalid body",
        Failure::Redacted => "redacted",
        Failure::Limit { .. } => "limit",
        Failure::Conflict { .. } => "conflict",
        Failure::Forbidden { .. } => "forbidden",
        Failure::Unsupported { .. } => "unsupported",
        _ => "other",
    }
}

fn rejection(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::OutOfOrder { .. } => "out of order",
        Rejection::Expired { .. } => "expired",
        Rejection::WrongKey { .. } => "wrong key",
        Rejection::Duplicate => "duplicate",
        Rejection::Unsupported { .. } => "unsupported",
        Rejection::BlockFuel { .. } => "block fuel",
        Rejection::TooDistant { .. } => "too distant",
        _ => "other",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_what_was_meant() {
        let every: String = (0..0x250u32).chain(0x1_f600..0x1_f610).filter_map(char::from_u32).collect();
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = array(&mut [number(u32::MAX), maybe(None), array(&mut std::iter::empty())].into_iter());
        let written = object(&[(&every, words(&every)), ("list", list), ("hex", hex(&bytes)), ("none", object(&[]))]);
        let read: serde_json::Value = serde_json::from_str(&written.0).unwrap();
        let meant = serde_json::json!({
            every.as_str(): every, "list": [u32::MAX, null, []], "hex": expected, "none": {},
        });
        assert_eq!(read, meant);
    }
}
