//! EPCIS 2.0 documents and events, GS1's standard for who saw what, where, when and why.
//!
//! ```text
//! bytes --Json::parse--> values --tables of the standard--> Document { events }      all events or one error
//!                                                              |
//!                                  Event: typed view, canonical bytes to sign and store, key
//! ```
//!
//! | what | where | standard |
//! |---|---|---|
//! | identifiers in either spelling, check digits | [`Item`] | EPC Tag Data Standard, GS1 Digital Link |
//! | one event, one identity; event hash ID | [`Event::identity`], [`Event::hash_id`] | CBV 2.0 |
//! | sensor reports, units | [`Reading`], [`Unit`], [`Decimal`] | EPCIS 2.0; UN/ECE Recommendation 20 |
//! | error declarations | [`ErrorDeclaration`], [`Event::content_identity`] | EPCIS 2.0 |
//! | dispositions that last | [`Disposition`] | EPCIS 2.0 |
//! | local time | [`Moment`] | RFC 3339 |
//!
//! [`read`] takes an `EPCISDocument`, an `EPCISQueryDocument` or a bare event and compares it with the standard. A document is taken
//! whole or refused whole; a refusal lists where it breaks the standard, each problem with its event and field.

mod certificate;
mod decimal;
mod event;
mod identifier;
mod identity;
mod rules;
mod schema;
mod sensor;
mod standing;
mod time;
mod unit;
mod view;
mod vocabulary;

use std::fmt;
use std::sync::Arc;

pub use certificate::Certificate;
pub use decimal::{Decimal, MAX_DIGITS, MAX_SCALE};
pub use event::{Action, Event, EventKey, EventKind};
pub use identifier::Item;
pub use identity::{Identity, MAX_PRE_HASH_BYTES};
pub use rules::Problem;
pub use sensor::{Limit, Number, Percentile, Reading};
pub use standing::{Disposition, ErrorDeclaration};
pub use time::Moment;
pub use unit::{Dimension, Unit};
pub use view::{BusinessTransaction, End, Mention, NAMESPACE, Party, Place, Quantity, Role};

pub(crate) use rules::printable;

use crate::json::{Bounds, Json, ParseError};
use rules::Findings;

/// How large a document may be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a document. Default 64 MiB.
    pub document_bytes: usize,
    /// Bytes of a document's JSON-LD context, which each of its events carries. Default 32 KiB.
    pub context_bytes: usize,
    /// Bytes of one event in its canonical form, with its context. Default 256 KiB.
    pub event_bytes: usize,
    /// Events in a document. Default 100,000.
    pub events: usize,
    /// Problems that a refusal lists; the others are counted. Default 20.
    pub problems: usize,
    /// Nesting and number of values of the JSON.
    pub json: Bounds,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 64 << 20,
            context_bytes: 32 << 10,
            event_bytes: 256 << 10,
            events: 100_000,
            problems: 20,
            json: Bounds::default(),
        }
    }
}

/// What stands around the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// `EPCISDocument`: events handed over.
    Capture,
    /// `EPCISQueryDocument`: events that answer a query.
    Query,
    /// An event that stands alone.
    Event,
}

/// A document that keeps to the standard.
#[derive(Debug, Clone)]
pub struct Document {
    /// What stands around the events.
    pub kind: DocumentKind,
    /// The events, in the document's order.
    pub events: Vec<Event>,
}

/// A document that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// The document's name, as given to [`read`].
    pub document: String,
    /// Why.
    pub reason: Reason,
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// More bytes than [`Limits::document_bytes`].
    #[error("has {size} bytes, more than the {limit} that a document may have")]
    TooLarge {
        /// The document's size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not a JSON value within the bounds.
    #[error(transparent)]
    Json(#[from] ParseError),
    /// JSON, but not what EPCIS asks.
    #[error("{}", Listed(problems, *total))]
    Standard {
        /// The first problems, at most [`Limits::problems`].
        problems: Vec<Problem>,
        /// All problems.
        total: usize,
    },
}

struct Listed<'a>(&'a [Problem], usize);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        match self.1.saturating_sub(self.0.len()) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.document, 1_000), self.reason)
    }
}

impl std::error::Error for DocumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Reads a document; `name` (usually the file's) is for messages only.
///
/// # Errors
/// When the bytes are more than the limits allow, aren't JSON, or don't keep to EPCIS 2.0. Then none of the events is given.
pub fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<Document, DocumentError> {
    content(bytes, limits).map_err(|reason| DocumentError { document: name.to_owned(), reason })
}

fn content(bytes: &[u8], limits: &Limits) -> Result<Document, Reason> {
    if bytes.len() > limits.document_bytes {
        return Err(Reason::TooLarge { size: bytes.len(), limit: limits.document_bytes });
    }
    let root = Json::parse(bytes, &limits.json)?;
    let mut findings = Findings::new(limits.problems.max(1));
    let kind = check(&root, limits, &mut findings);
    let mut events = Vec::new();
    if let (Some(kind), 0) = (kind, findings.total) {
        let (context, bodies) = take_apart(kind, root);
        for (index, body) in bodies.into_iter().enumerate() {
            findings.turn_to((kind != DocumentKind::Event).then_some(index));
            match Event::new(body, context.clone()) {
                // No event is longer than the document that it came in.
                Ok(event) if bytes.len() > limits.event_bytes && event.size() > limits.event_bytes => {
                    let (size, limit) = (event.size(), limits.event_bytes);
                    findings.here(format!("has {size} bytes, more than the {limit} that an event may have"));
                }
                Ok(event) => events.push(event),
                Err((field, what)) => findings.member(field, what),
            }
        }
        if findings.total == 0 {
            return Ok(Document { kind, events });
        }
    }
    Err(Reason::Standard { problems: findings.problems, total: findings.total })
}

/// Compares the whole document with the standard; says what kind it is, where that can be said.
fn check(root: &Json, limits: &Limits, findings: &mut Findings) -> Option<DocumentKind> {
    let Some(members) = root.as_object() else {
        findings.here(format!("the document is {}, must be an object", root.kind()));
        return None;
    };
    let (kind, table) = match members.get("type").map(Json::as_text) {
        Some(Some("EPCISDocument")) => (DocumentKind::Capture, &schema::DOCUMENT),
        Some(Some("EPCISQueryDocument")) => (DocumentKind::Query, &schema::QUERY_DOCUMENT),
        _ => {
            schema::bare_event(members, findings);
            return Some(DocumentKind::Event);
        }
    };
    findings.record(members, table);
    let context = members.get("@context").map_or(0, |context| context.to_bytes().len());
    if context > limits.context_bytes {
        let limit = limits.context_bytes;
        findings.member("@context", format!("has {context} bytes, more than the {limit} that a context may have"));
    }
    let events = list_of(kind, root).unwrap_or_default();
    if events.len() > limits.events {
        findings.here(format!("has {} events, more than the {} that a document may have", events.len(), limits.events));
        return Some(kind);
    }
    for (index, event) in events.iter().enumerate() {
        findings.turn_to(Some(index));
        if let Some(members) = event.as_object() {
            schema::event(members, findings);
        }
    }
    findings.turn_to(None);
    Some(kind)
}

fn way_to_list(kind: DocumentKind) -> &'static [&'static str] {
    match kind {
        DocumentKind::Capture => &["epcisBody", "eventList"],
        DocumentKind::Query => &["epcisBody", "queryResults", "resultsBody", "eventList"],
        DocumentKind::Event => &[],
    }
}

fn list_of(kind: DocumentKind, root: &Json) -> Option<&[Json]> {
    way_to_list(kind).iter().try_fold(root, |value, name| value.get(name))?.as_list()
}

/// The context that a document gives its events, and the events.
fn take_apart(kind: DocumentKind, mut root: Json) -> (Option<Arc<Json>>, Vec<Json>) {
    if kind == DocumentKind::Event {
        return (None, vec![root]);
    }
    let context = root.get("@context").cloned().map(Arc::new);
    for name in way_to_list(kind) {
        let Json::Object(mut members) = root else {
            return (context, Vec::new());
        };
        root = members.remove(*name).unwrap_or(Json::Null);
    }
    match root {
        Json::List(events) => (context, events),
        _ => (context, Vec::new()),
    }
}
