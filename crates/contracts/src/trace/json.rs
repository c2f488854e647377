//! A trace for tools, as JSON (RFC 8259).
//!
//! Written by hand: it is only ever written, from a handful of types, and every node would carry a library for it.

use super::tree::hex;
use super::{Access, AccessKind, CallTrace, End, Excerpt, Kind, Omitted, Step, TransactionTrace};
use crate::call::CallFailure;
use core::fmt::{Display, Write};
use ledger_core::{Failure, Status};

pub(super) fn transaction(trace: &TransactionTrace) -> String {
    let mut json = Json::default();
    json.object(|json| {
        match &trace.transaction {
            Some(id) => json.field("transaction").plain(id),
            None => json.field("transaction").null(),
        }
        json.field("index").number(trace.index);
        json.field("account").plain(&trace.account);
        json.field("kind").string(match trace.kind {
            Kind::Deploy => "deploy",
            Kind::Call => "call",
            Kind::Commit => "commit",
            Kind::Simulation => "simulation",
            Kind::Query => "query",
        });
        json.field("status").object(|json| match &trace.status {
            Status::Succeeded => json.field("kind").string("succeeded"),
            Status::Failed(why) => {
                json.field("kind").string("failed");
                failure(json, why);
            }
            Status::Rejected(rejection) => {
                json.field("kind").string("rejected");
                json.field("words").string(&rejection.to_string());
            }
        });
        json.field("fuel_limit").number(trace.fuel_limit);
        json.field("fuel_used").number(trace.fuel_used);
        json.field("own_fuel").number(trace.own_fuel);
        steps(json, &trace.steps, trace.omitted);
    });
    json.0
}

fn failure(json: &mut Json, failure: &Failure) {
    let told = CallFailure(failure.clone());
    json.field("code").number(told.code());
    json.field("words").string(&told.words());
}

fn steps(json: &mut Json, steps: &[Step], omitted: Omitted) {
    json.field("steps").array(|json| {
        for step in steps {
            json.object(|json| match step {
                Step::Access(found) => json.field("access").object(|json| access(json, found)),
                Step::Event(event) => json.field("event").object(|json| {
                    json.field("topic").string(&event.topic);
                    excerpt(json.field("data"), &event.data);
                }),
                Step::Call(made) => json.field("call").object(|json| call(json, made)),
            });
        }
    });
    json.field("omitted").object(|json| {
        json.field("accesses").number(omitted.accesses);
        json.field("events").number(omitted.events);
        json.field("calls").number(omitted.calls);
        json.field("fuel").number(omitted.fuel);
    });
}

fn call(json: &mut Json, call: &CallTrace) {
    json.field("contract").plain(&call.contract);
    match &call.runtime {
        Some(runtime) => json.field("runtime").string(runtime),
        None => json.field("runtime").null(),
    }
    json.field("entry").string(match call.entry {
        super::Entered::Constructor => "constructor",
        super::Entered::Migration => "migration",
        super::Entered::Method(_) => "method",
    });
    if let super::Entered::Method(method) = &call.entry {
        json.field("method").string(method);
    }
    json.field("caller").plain(&call.caller);
    excerpt(json.field("arguments"), &call.arguments);
    json.field("read_only").boolean(call.read_only);
    json.field("fuel").number(call.fuel);
    json.field("own_fuel").number(call.own_fuel);
    steps(json, &call.steps, call.omitted);
    json.field("end").object(|json| match &call.end {
        End::Returned(output) => {
            json.field("kind").string("returned");
            excerpt(json.field("output"), output);
        }
        End::Failed { failure: why, function } => {
            json.field("kind").string("failed");
            failure(json, why);
            if let Some(function) = function {
                json.field("function").string(function);
            }
        }
    });
    json.field("taken_back").boolean(call.taken_back);
}

fn access(json: &mut Json, access: &Access) {
    json.field("kind").string(match access.kind {
        AccessKind::Read { .. } => "read",
        AccessKind::Write { .. } => "write",
        AccessKind::Delete => "delete",
        AccessKind::Scan { .. } => "scan",
    });
    json.field("namespace").plain(&access.namespace);
    excerpt(json.field("key"), &access.key);
    match &access.kind {
        AccessKind::Read { bytes: None } => json.field("bytes").null(),
        AccessKind::Read { bytes: Some(bytes) } | AccessKind::Write { bytes } => json.field("bytes").number(bytes),
        AccessKind::Delete => {}
        AccessKind::Scan { to, entries, bytes } => {
            match to {
                Some(to) => excerpt(json.field("to"), to),
                None => json.field("to").null(),
            }
            json.field("entries").number(entries);
            json.field("bytes").number(bytes);
        }
    }
    json.field("times").number(access.times);
}

fn excerpt(json: &mut Json, bytes: &Excerpt) {
    json.object(|json| {
        json.field("length").number(bytes.length);
        json.field("head").plain(&hex(&bytes.head));
        if let Some(digest) = &bytes.digest {
            json.field("blake3").plain(digest);
        }
    });
}

/// JSON that is being written.
#[derive(Default)]
struct Json(String);

impl Json {
    /// What comes next is another value or field, unless it is the first of its kind or the value of a field.
    fn separate(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with(['{', '[', ':']) {
            self.0.push(',');
        }
    }

    fn object(&mut self, inside: impl FnOnce(&mut Json)) {
        self.separate();
        self.0.push('{');
        inside(self);
        self.0.push('}');
    }

    fn array(&mut self, inside: impl FnOnce(&mut Json)) {
        self.separate();
        self.0.push('[');
        inside(self);
        self.0.push(']');
    }

    /// The name of a field, whose value comes next.
    fn field(&mut self, name: &str) -> &mut Json {
        self.string(name);
        self.0.push(':');
        self
    }

    fn number(&mut self, number: impl Display) {
        self.separate();
        // Writing to a string can't fail.
        let _ = write!(self.0, "{number}");
    }

    fn boolean(&mut self, value: bool) {
        self.number(value);
    }

    fn null(&mut self) {
        self.number("null");
    }

    /// A string of letters and digits.
    fn plain(&mut self, text: &impl Display) {
        self.string(&text.to_string());
    }

    fn string(&mut self, text: &str) {
        self.separate();
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                control if u32::from(control) < 0x20 => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(control));
                }
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_string_is_read_as_what_it_was(texts: Vec<String>) {
            let mut json = Json::default();
            json.object(|json| {
                for text in &texts {
                    json.field(text).array(|json| {
                        json.string(text);
                        json.number(7);
                        json.null();
                    });
                }
                json.field("").object(|_| {});
            });
            let read: serde_json::Value = serde_json::from_str(&json.0).unwrap();
            for text in texts.iter().filter(|text| !text.is_empty()) {
                prop_assert_eq!(&read[text], &serde_json::json!([text, 7, null]));
            }
        }
    }

    #[test]
    fn what_must_be_escaped_is() {
        let mut json = Json::default();
        json.string("a\"b\\c\u{0}\n\u{1f}ü\u{2028}");
        assert_eq!(json.0, "\"a\\\"b\\\\c\\u0000\\u000a\\u001fü\u{2028}\"");
    }
}
