//! What was proven, as JSON.

use ledger_core::{
    Action, Body, Event, Failure, HistoryHead, Key, Order, Place, Proven, Receipt, Rejection, Status, TransactionLeaf,
    Version, Versioned, Witness,
};
use serde_json::{Map, Value, json};

pub(crate) fn error(message: &str) -> String {
    json!({ "error": message }).to_string()
}

/// `None` for a kind of proof that is newer than this crate.
pub(crate) fn proven(proven: &Proven) -> Option<String> {
    let value = match proven {
        Proven::Transaction { id, leaf, body, place } => json!({
            "proven": "transaction",
            "id": text(id),
            "transaction": transaction(leaf),
            "body": body.as_ref().map(shown_body),
            "place": shown_place(place),
        }),
        Proven::Receipt { receipt, place } => json!({
            "proven": "receipt",
            "receipt": shown_receipt(receipt),
            "place": shown_place(place),
        }),
        Proven::Event { event, transaction, place } => json!({
            "proven": "event",
            "event": shown_event(event),
            "transaction": text(transaction),
            "place": shown_place(place),
        }),
        Proven::State { key, value, at } => json!({
            "proven": "state",
            "key": shown_key(key),
            "value": value.as_ref().map(versioned),
            "height": text(at),
        }),
        Proven::History(consistency) => json!({ "proven": "history", "from": head(&consistency.from) }),
        _ => return None,
    };
    Some(value.to_string())
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
    json!({ "height": text(place.height), "timestamp": text(place.timestamp), "index": place.index })
}

fn head(head: &HistoryHead) -> Value {
    json!({ "size": text(head.size), "root": text(head.root) })
}

fn shown_key(key: &Key) -> Value {
    json!({ "namespace": text(key.namespace), "name": hex(&key.name) })
}

fn version(version: Version) -> Value {
    json!({ "height": text(version.height), "index": version.index })
}

fn versioned(versioned: &Versioned) -> Value {
    json!({
        "value": hex(&versioned.value),
        "version": version(versioned.version),
        "predecessor": versioned.predecessor.map(text),
    })
}

fn shown_body(body: &Body) -> Value {
    json!({ "salt": hex(&body.salt), "content": hex(&body.content) })
}

fn transaction(leaf: &TransactionLeaf) -> Value {
    let transaction = &leaf.transaction;
    let Witness::Ed25519 { key, signature } = &leaf.witness;
    json!({
        "version": transaction.version,
        "chain": text(transaction.chain),
        "account": text(transaction.account),
        "order": match transaction.order {
            Order::Sequence { lane, number } => json!({ "lane": text(lane), "number": text(number) }),
            Order::Unordered => Value::Null,
        },
        "expires_at": transaction.expires_at.map(text),
        "fuel_limit": text(transaction.fuel_limit),
        "fee": text(transaction.fee),
        "action": match &transaction.action {
            Action::Deploy { runtime } => json!({ "deploy": { "runtime": runtime.as_str() } }),
            Action::Call { contract, method } => {
                json!({ "call": { "contract": text(contract), "method": method.as_str() } })
            }
            Action::Commit { endorsements } => {
                let keys: Vec<Value> = endorsements.iter().map(|endorsement| text(endorsement.key)).collect();
                json!({ "commit": { "endorsed_by": keys } })
            }
        },
        "body": text(transaction.body),
        "key": text(key),
        "signature": text(signature),
    })
}

fn shown_event(event: &Event) -> Value {
    json!({ "contract": text(event.contract), "topic": event.topic.as_str(), "data": hex(&event.data) })
}

fn shown_receipt(receipt: &Receipt) -> Value {
    json!({
        "transaction": text(receipt.transaction),
        "index": receipt.index,
        "status": status(&receipt.status),
        "fuel_used": text(receipt.fuel_used),
        "output": hex(&receipt.output),
        "event_count": receipt.event_count,
        "events_root": text(receipt.events_root),
    })
}

fn status(status: &Status) -> Value {
    match status {
        Status::Succeeded => json!("succeeded"),
        Status::Failed(reason) => reason_of("failed", failure(reason), reason),
        Status::Rejected(reason) => reason_of("rejected", rejection(reason), reason),
    }
}

/// `{"failed": {"kind": …, "message": …}}`
fn reason_of(status: &str, kind: &str, message: &dyn std::fmt::Display) -> Value {
    let mut object = Map::new();
    object.insert(status.to_owned(), json!({ "kind": kind, "message": message.to_string() }));
    Value::Object(object)
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
        _ => "other",
    }
}
