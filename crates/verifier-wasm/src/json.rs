//! What was proven, as JSON.

use ledger_core::{
    Action, Body, Event, Failure, HistoryHead, Key, Order, Place, Proven, Receipt, Rejection, Status, TransactionLeaf,
    Version, Versioned, Witness,
};
use serde_json::{Map, Value};

pub(crate) fn error(message: &str) -> String {
    object(&mut [("error", words(message))]).to_string()
}

/// `None` for a kind of proof that is newer than this crate.
pub(crate) fn proven(proven: &Proven) -> Option<String> {
    let value = match proven {
        Proven::Transaction { id, leaf, body, place } => object(&mut [
            ("proven", words("transaction")),
            ("id", text(id)),
            ("transaction", transaction(leaf)),
            ("body", maybe(body.as_ref().map(shown_body))),
            ("place", shown_place(place)),
        ]),
        Proven::Receipt { receipt, place } => object(&mut [
            ("proven", words("receipt")),
            ("receipt", shown_receipt(receipt)),
            ("place", shown_place(place)),
        ]),
        Proven::Event { event, transaction, place } => object(&mut [
            ("proven", words("event")),
            ("event", shown_event(event)),
            ("transaction", text(transaction)),
            ("place", shown_place(place)),
        ]),
        Proven::State { key, value, at } => object(&mut [
            ("proven", words("state")),
            ("key", shown_key(key)),
            ("value", maybe(value.as_ref().map(versioned))),
            ("height", text(at)),
        ]),
        Proven::History(consistency) => object(&mut [("proven", words("history")), ("from", head(&consistency.from))]),
        _ => return None,
    };
    Some(value.to_string())
}

/// An object of these fields. A function over a slice, unlike `json!`, is compiled once: this travels to browsers.
fn object(fields: &mut [(&str, Value)]) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        object.insert((*name).to_owned(), value.take());
    }
    Value::Object(object)
}

fn words(words: &str) -> Value {
    Value::String(words.to_owned())
}

fn maybe(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Null)
}

/// An id, a digest, a key, or a 64-bit number.
fn text(value: impl std::fmt::Display) -> Value {
    Value::String(value.to_string())
}

fn hex(bytes: &[u8]) -> Value {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().map_or('?', char::from);
    Value::String(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

fn shown_place(place: &Place) -> Value {
    object(&mut [
        ("height", text(place.height)),
        ("timestamp", text(place.timestamp)),
        ("index", Value::from(place.index)),
    ])
}

fn head(head: &HistoryHead) -> Value {
    object(&mut [("size", text(head.size)), ("root", text(head.root))])
}

fn shown_key(key: &Key) -> Value {
    object(&mut [("namespace", text(key.namespace)), ("name", hex(&key.name))])
}

fn version(version: Version) -> Value {
    object(&mut [("height", text(version.height)), ("index", Value::from(version.index))])
}

fn versioned(versioned: &Versioned) -> Value {
    object(&mut [
        ("value", hex(&versioned.value)),
        ("version", version(versioned.version)),
        ("predecessor", maybe(versioned.predecessor.map(text))),
    ])
}

fn shown_body(body: &Body) -> Value {
    object(&mut [("salt", hex(&body.salt)), ("content", hex(&body.content))])
}

fn transaction(leaf: &TransactionLeaf) -> Value {
    let transaction = &leaf.transaction;
    let Witness::Ed25519 { key, signature } = &leaf.witness;
    let order = match transaction.order {
        Order::Sequence { lane, number } => object(&mut [("lane", text(lane)), ("number", text(number))]),
        Order::Unordered => Value::Null,
    };
    let (kind, action) = match &transaction.action {
        Action::Deploy { runtime } => ("deploy", object(&mut [("runtime", words(runtime.as_str()))])),
        Action::Call { contract, method } => {
            ("call", object(&mut [("contract", text(contract)), ("method", words(method.as_str()))]))
        }
        Action::Commit { endorsements } => {
            let keys = endorsements.iter().map(|endorsement| text(endorsement.key)).collect();
            ("commit", object(&mut [("endorsed_by", Value::Array(keys))]))
        }
    };
    object(&mut [
        ("version", Value::from(transaction.version)),
        ("chain", text(transaction.chain)),
        ("account", text(transaction.account)),
        ("order", order),
        ("expires_at", maybe(transaction.expires_at.map(text))),
        ("fuel_limit", text(transaction.fuel_limit)),
        ("fee", text(transaction.fee)),
        ("action", object(&mut [(kind, action)])),
        ("body", text(transaction.body)),
        ("key", text(key)),
        ("signature", text(signature)),
    ])
}

fn shown_event(event: &Event) -> Value {
    object(&mut [
        ("contract", text(event.contract)),
        ("topic", words(event.topic.as_str())),
        ("data", hex(&event.data)),
    ])
}

fn shown_receipt(receipt: &Receipt) -> Value {
    object(&mut [
        ("transaction", text(receipt.transaction)),
        ("index", Value::from(receipt.index)),
        ("status", status(&receipt.status)),
        ("fuel_used", text(receipt.fuel_used)),
        ("output", hex(&receipt.output)),
        ("event_count", Value::from(receipt.event_count)),
        ("events_root", text(receipt.events_root)),
    ])
}

fn status(status: &Status) -> Value {
    match status {
        Status::Succeeded => words("succeeded"),
        Status::Failed(reason) => reason_of("failed", failure(reason), reason),
        Status::Rejected(reason) => reason_of("rejected", rejection(reason), reason),
    }
}

/// `{"failed": {"kind": …, "message": …}}`
fn reason_of(status: &str, kind: &str, message: &dyn std::fmt::Display) -> Value {
    object(&mut [(status, object(&mut [("kind", words(kind)), ("message", text(message))]))])
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
