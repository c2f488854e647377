//! An event: what every event has, its canonical bytes and its key.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use sha2::{Digest as _, Sha256};

use super::{DocumentError, Limits, Moment, Reason, time};
use crate::json::{self, Json};

/// The member that holds the JSON-LD context.
const CONTEXT: &str = "@context";

/// EPCIS's types of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// Something happened to objects.
    Object,
    /// Objects were put into, seen in or taken out of a container.
    Aggregation,
    /// Objects became, were or ceased to be part of a business transaction.
    Transaction,
    /// Inputs were used up and outputs made from them.
    Transformation,
    /// Objects were fixed to a thing or a place.
    Association,
    /// A type of the recorder's own, of which the standard says only when it was.
    Extension,
}

impl EventKind {
    /// The kind that the member `type` names.
    fn named(name: &str) -> Self {
        match name {
            "ObjectEvent" => Self::Object,
            "AggregationEvent" => Self::Aggregation,
            "TransactionEvent" => Self::Transaction,
            "TransformationEvent" => Self::Transformation,
            "AssociationEvent" => Self::Association,
            _ => Self::Extension,
        }
    }
}

/// What an event does to the state of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// They were seen.
    Observe,
    /// They came into being, or into the container.
    Add,
    /// They ceased to be, or left the container.
    Delete,
}

/// The key of an event: SHA-256 of its canonical bytes.
///
/// It isn't the `eventID`: that is optional, an error declaration repeats the ID of the event that it declares wrong, and whoever
/// records an event must not be able to take the place of another party's by using its ID first. Equal keys mean
/// equal bytes; that an event in another spelling is the same says its [`Identity`](super::Identity).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey([u8; 32]);

impl EventKey {
    /// The key of the event with these canonical bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The key that has these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An event that keeps to the standard.
///
/// It carries the JSON-LD context of the document it came in, so that its canonical bytes are a document of their own and its
/// extension fields keep their meaning.
#[derive(Debug, Clone)]
pub struct Event {
    body: Json,
    context: Option<Arc<Json>>,
    kind: EventKind,
    action: Option<Action>,
    time: Timestamp,
    offset: Offset,
}

impl Event {
    /// The event that `body` holds, which is known to keep to the tables; `context` is the document's.
    pub(super) fn new(body: Json, context: Option<Arc<Json>>) -> Result<Self, (&'static str, &'static str)> {
        let text = |name: &str| body.get(name).and_then(Json::as_text);
        let kind = EventKind::named(text("type").ok_or(("type", "is missing"))?);
        let action = match text("action") {
            Some("OBSERVE") => Some(Action::Observe),
            Some("ADD") => Some(Action::Add),
            Some("DELETE") => Some(Action::Delete),
            _ => None,
        };
        let offset = text("eventTimeZoneOffset")
            .and_then(time::offset)
            .ok_or(("eventTimeZoneOffset", "is missing or not an offset from UTC"))?;
        let time = text("eventTime")
            .and_then(|text| time::instant(text, offset))
            .ok_or(("eventTime", "is missing or not a date and time"))?;
        let (body, context) = match (body, context) {
            (Json::Object(mut members), Some(outer)) => match members.remove(CONTEXT) {
                Some(own) => (Json::Object(members), Some(Arc::new(joined(&outer, own)))),
                None => (Json::Object(members), Some(outer)),
            },
            (Json::Object(mut members), None) => {
                let own = members.remove(CONTEXT).map(Arc::new);
                (Json::Object(members), own)
            }
            (body, context) => (body, context),
        };
        Ok(Self { body, context, kind, action, time, offset })
    }

    /// Reads an event from its canonical bytes, or from any document that holds just one event.
    ///
    /// # Errors
    /// When the bytes aren't an event that keeps to the standard and the limits.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        let mut document = super::read("event", bytes, limits)?;
        match (document.events.pop(), document.events.is_empty()) {
            (Some(event), true) => Ok(event),
            _ => {
                let problem = super::Problem {
                    event: None,
                    field: String::new(),
                    what: "the document doesn't hold just one event".to_owned(),
                };
                let reason = Reason::Standard { problems: vec![problem], total: 1 };
                Err(DocumentError { document: "event".to_owned(), reason })
            }
        }
    }

    /// The canonical bytes: the event with its context, as a document of its own.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match (&self.body, &self.context) {
            (Json::Object(members), Some(context)) => json::object_with(members, CONTEXT, context),
            (body, _) => body.to_bytes(),
        }
    }

    /// The key, made from the canonical bytes.
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey::of(&self.to_bytes())
    }

    /// Length of the canonical bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.to_bytes().len()
    }

    /// The event's members, without the context.
    #[must_use]
    pub fn body(&self) -> &Json {
        &self.body
    }

    /// The JSON-LD context, where there is one.
    #[must_use]
    pub fn context(&self) -> Option<&Json> {
        self.context.as_deref()
    }

    /// The type of event.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// What it does to the state of things; transformations and extensions have no action.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        self.action
    }

    /// When it happened.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The offset from UTC of the place where it happened.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// When it happened, in the time of the place where it happened.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { instant: self.time, offset: self.offset }
    }

    /// The `eventID`, where one was given.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text("eventID")
    }

    /// The member `name`, when it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Json::as_text)
    }
}

/// The document's context with the event's own behind it.
fn joined(outer: &Json, own: Json) -> Json {
    let items = |context: &Json| context.as_list().map_or_else(|| vec![context.clone()], <[Json]>::to_vec);
    let mut all = items(outer);
    for item in items(&own) {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    Json::List(all)
}
