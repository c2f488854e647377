//! What a trace reads from an event: items, places, parties, readings, certificates, promises.
//!
//! EPCIS leaves promised dates, limits and names of places to extensions. Those that a trace understands are in
//! [`NAMESPACE`]; they are found under whatever prefix the event's context binds to it:
//!
//! | term | where | value |
//! |---|---|---|
//! | `name` | `readPoint`, `bizLocation`, entries of a list of sources or destinations can't | what people call the place |
//! | `recordedBy`, `recordedByName` | event | the party that recorded the event: its identifier, its name |
//! | `promised` | event | date and time by which the receiver was promised the goods |
//! | `limits` | event | array of `{ "type", "minValue", "maxValue", "uom" }`: what readings had to stay within |
//! | `note` | event | a sentence for people |
//!
//! Certificates are read from `certificationList`, wherever the GS1 or a community's prefix puts it.

use jiff::Timestamp;

use super::{Event, EventKind, Item, time};
use crate::json::{Json, Members};

/// The namespace of the extension fields that a trace understands.
pub const NAMESPACE: &str = "https://ns.example.com/ledgerkit/traceability/";

/// What an item was to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It is what the event is about.
    Subject,
    /// It was used up.
    Input,
    /// It was made.
    Output,
    /// It contains or carries the children.
    Parent,
    /// It is in or on the parent.
    Child,
    /// The process that inputs went into and outputs came out of, in several events (`transformationID`).
    Process,
}

/// An item in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// What it was to the event.
    pub role: Role,
    /// Which item, lot or class.
    pub item: Item,
    /// How much of it, where that was said.
    pub quantity: Option<Quantity>,
}

/// An amount: digits as written, and the unit's UN/CEFACT code (`KGM`), absent for pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// The number as written.
    pub amount: String,
    /// The unit's code.
    pub unit: Option<String>,
}

/// Where something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The canonical identifier.
    pub id: Item,
    /// What people call it, where the event says so.
    pub name: Option<String>,
}

/// Somebody in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The canonical identifier.
    pub id: Item,
    /// What people call them, where the event says so.
    pub name: Option<String>,
}

/// A sensor's report.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What was measured: `Temperature`, `RelativeHumidity`.
    pub measured: String,
    /// The lowest value.
    pub lowest: f64,
    /// The highest value.
    pub highest: f64,
    /// The unit's UN/CEFACT code: `CEL`, `A93`; empty when none was given.
    pub unit: String,
    /// Whether the sensor itself raised an alarm.
    pub alarm: bool,
}

/// What readings had to stay within.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What is measured.
    pub measured: String,
    /// The lowest value allowed.
    pub lowest: Option<f64>,
    /// The highest value allowed.
    pub highest: Option<f64>,
    /// The unit's UN/CEFACT code.
    pub unit: String,
}

impl Limit {
    /// Whether the reading, of the same measure in the same unit, went beyond it.
    #[must_use]
    pub fn is_broken_by(&self, reading: &Reading) -> bool {
        self.measured == reading.measured
            && self.unit == reading.unit
            && (self.lowest.is_some_and(|lowest| reading.lowest < lowest)
                || self.highest.is_some_and(|highest| reading.highest > highest))
    }
}

/// A certificate that an event refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its number, or its URI.
    pub id: String,
    /// What it certifies: `Q Arabica`.
    pub standard: Option<String>,
    /// Who gave it.
    pub agency: Option<String>,
    /// Its result: `84.5`, `passed`.
    pub value: Option<String>,
    /// From when it holds.
    pub from: Option<Timestamp>,
    /// Until when it holds.
    pub until: Option<Timestamp>,
}

impl Certificate {
    /// Whether it held at `moment`; an end that isn't stated is none.
    #[must_use]
    pub fn held_at(&self, moment: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.until.is_none_or(|until| moment <= until)
    }
}

impl Event {
    /// The items of the event and what they were to it, in the event's order.
    #[must_use]
    pub fn mentions(&self) -> Vec<Mention> {
        let lists: &[(&str, &str, Role)] = match self.kind() {
            EventKind::Object => &[("epcList", "quantityList", Role::Subject)],
            EventKind::Transaction => &[("epcList", "quantityList", Role::Subject)],
            EventKind::Aggregation | EventKind::Association => &[("childEPCs", "childQuantityList", Role::Child)],
            EventKind::Transformation => &[
                ("inputEPCList", "inputQuantityList", Role::Input),
                ("outputEPCList", "outputQuantityList", Role::Output),
            ],
            EventKind::Extension => &[],
        };
        let mut mentions = Vec::new();
        for (single, role) in [("parentID", Role::Parent), ("transformationID", Role::Process)] {
            let named = match self.kind() {
                EventKind::Aggregation | EventKind::Association => role == Role::Parent,
                EventKind::Transformation => role == Role::Process,
                _ => false,
            };
            if let (true, Some(id)) = (named, self.text(single)) {
                mentions.push(Mention { role, item: Item::new(id), quantity: None });
            }
        }
        // A transaction's parent is one more object that the transaction is about.
        if let (EventKind::Transaction, Some(parent)) = (self.kind(), self.text("parentID")) {
            mentions.push(Mention { role: Role::Subject, item: Item::new(parent), quantity: None });
        }
        for (items, quantities, role) in lists {
            for id in self.list(items).iter().filter_map(Json::as_text) {
                mentions.push(Mention { role: *role, item: Item::new(id), quantity: None });
            }
            for entry in self.list(quantities) {
                if let Some(class) = entry.get("epcClass").and_then(Json::as_text) {
                    let unit = entry.get("uom").and_then(Json::as_text).map(str::to_owned);
                    let amount = entry.get("quantity").and_then(Json::as_number);
                    let quantity = amount.map(|amount| Quantity { amount: amount.to_owned(), unit });
                    mentions.push(Mention { role: *role, item: Item::new(class), quantity });
                }
            }
        }
        mentions
    }

    /// Where it happened: the read point, else the business location.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let place = |name| {
            let place = self.body().get(name)?;
            let name = self.extension(place, "name").and_then(Json::as_text).map(str::to_owned);
            Some(Place { id: Item::new(place.get("id")?.as_text()?), name })
        };
        place("readPoint").or_else(|| place("bizLocation"))
    }

    /// The party that recorded the event.
    ///
    /// The first that is there of: `recordedBy`; an `informationProvider`; the source (of a receipt: the destination) that owns or
    /// possesses the goods; the owner of the place; the place itself.
    #[must_use]
    pub fn recorder(&self) -> Option<Party> {
        let body = self.body();
        if let Some(id) = self.extension(body, "recordedBy").and_then(Json::as_text) {
            let name = self.extension(body, "recordedByName").and_then(Json::as_text).map(str::to_owned);
            return Some(Party { id: Item::new(id), name });
        }
        let unnamed = |id: &str| Party { id: Item::new(id), name: None };
        if let Some(id) = local(body, "informationProvider").and_then(Json::as_text) {
            return Some(unnamed(id));
        }
        let received = matches!(self.text("bizStep"), Some("receiving" | "accepting" | "arriving"));
        let order = if received { ["destination", "source"] } else { ["source", "destination"] };
        order
            .iter()
            .find_map(|side| self.parties(side).into_iter().next())
            .or_else(|| self.place().map(|place| Party { id: place.id, name: place.name }))
    }

    /// The owning and possessing parties on one `side`, which is `source` or `destination`.
    #[must_use]
    pub fn parties(&self, side: &str) -> Vec<Party> {
        let entries = self.list(&format!("{side}List")).iter();
        entries
            .filter(|entry| entry.get("type").and_then(Json::as_text).is_some_and(|kind| kind != "location"))
            .filter_map(|entry| entry.get(side)?.as_text())
            .map(|id| Party { id: Item::new(id), name: None })
            .collect()
    }

    /// The sensors' reports that have a number.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let reports =
            self.list("sensorElementList").iter().filter_map(|element| element.get("sensorReport")?.as_list());
        reports.flatten().filter_map(reading).collect()
    }

    /// What the readings had to stay within.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let limits = self.extension(self.body(), "limits").and_then(Json::as_list).unwrap_or_default();
        limits
            .iter()
            .filter_map(|limit| {
                Some(Limit {
                    measured: limit.get("type")?.as_text()?.to_owned(),
                    lowest: number(limit, "minValue"),
                    highest: number(limit, "maxValue"),
                    unit: limit.get("uom").and_then(Json::as_text).unwrap_or_default().to_owned(),
                })
            })
            .collect()
    }

    /// The certificates that the event refers to: with details where it has them, else by the URIs in `certificationInfo`.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        let detailed = [Some(self.body()), self.body().get("ilmd")]
            .into_iter()
            .flatten()
            .filter_map(|holder| local(holder, "certificationList"))
            .flat_map(|list| one_or_many(local(list, "certification").unwrap_or(list)));
        let mut certificates: Vec<Certificate> = detailed.filter_map(|entry| self.certificate(entry)).collect();
        if certificates.is_empty() {
            let uris = self.body().get("certificationInfo").map(one_or_many).unwrap_or_default();
            certificates.extend(uris.iter().filter_map(Json::as_text).map(|uri| Certificate {
                id: uri.to_owned(),
                standard: None,
                agency: None,
                value: None,
                from: None,
                until: None,
            }));
        }
        certificates
    }

    fn certificate(&self, entry: &Json) -> Option<Certificate> {
        let text = |name: &str| local(entry, name).and_then(Json::as_text).map(str::to_owned);
        let moment = |names: [&str; 2]| {
            names.iter().find_map(|name| time::instant(local(entry, name)?.as_text()?, self.offset()))
        };
        Some(Certificate {
            id: text("certificationIdentification").or_else(|| text("certificationValue"))?,
            standard: text("certificationStandard"),
            agency: text("certificationAgency"),
            value: text("certificationValue"),
            from: moment(["certificationEffectiveStartDateTime", "certificationStartDate"]),
            until: moment(["certificationEffectiveEndDateTime", "certificationEndDate"]),
        })
    }

    /// By when the receiver was promised the goods.
    #[must_use]
    pub fn promised(&self) -> Option<Timestamp> {
        time::instant(self.extension(self.body(), "promised")?.as_text()?, self.offset())
    }

    /// The recorder's sentence for people.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.extension(self.body(), "note").and_then(Json::as_text)
    }

    /// The master data of the lot (`ilmd`) that is text or a number, by local name.
    #[must_use]
    pub fn lot_data(&self) -> Vec<(String, String)> {
        let members = self.body().get("ilmd").and_then(Json::as_object);
        let scalar = |value: &Json| match value {
            Json::Text(text) => Some(text.clone()),
            Json::Number(text) => Some(text.to_string()),
            _ => None,
        };
        let members = members.into_iter().flatten();
        members.filter_map(|(name, value)| Some((local_name(name).to_owned(), scalar(value)?))).collect()
    }

    /// Whether the event says that an earlier one with its ID was wrong.
    #[must_use]
    pub fn declares_error(&self) -> bool {
        self.body().get("errorDeclaration").is_some()
    }

    fn list(&self, name: &str) -> &[Json] {
        self.body().get(name).and_then(Json::as_list).unwrap_or_default()
    }

    /// The member of `holder` that is `term` of [`NAMESPACE`] under the event's context.
    fn extension<'a>(&self, holder: &'a Json, term: &str) -> Option<&'a Json> {
        let members = holder.as_object()?;
        let (_, value) = members.iter().find(|(name, _)| match name.split_once(':') {
            Some((prefix, suffix)) => {
                (suffix == term && self.binds(prefix)) || name.strip_prefix(NAMESPACE) == Some(term)
            }
            None => false,
        })?;
        Some(value)
    }

    /// Whether the context binds `prefix` to [`NAMESPACE`].
    fn binds(&self, prefix: &str) -> bool {
        let bound = |context: &Json| context.get(prefix).and_then(Json::as_text) == Some(NAMESPACE);
        match self.context() {
            Some(Json::List(contexts)) => contexts.iter().any(bound),
            Some(context) => bound(context),
            None => false,
        }
    }
}

fn reading(report: &Json) -> Option<Reading> {
    let values = ["value", "meanValue", "minValue", "maxValue"];
    let values: Vec<f64> = values.iter().filter_map(|name| number(report, name)).collect();
    let first = *values.first()?;
    Some(Reading {
        measured: local_name(report.get("type")?.as_text()?).to_owned(),
        lowest: values.iter().copied().fold(first, f64::min),
        highest: values.iter().copied().fold(first, f64::max),
        unit: report.get("uom").and_then(Json::as_text).unwrap_or_default().to_owned(),
        alarm: report.get("exception").is_some(),
    })
}

fn number(holder: &Json, name: &str) -> Option<f64> {
    let number: f64 = holder.get(name)?.as_number()?.parse().ok()?;
    number.is_finite().then_some(number)
}

fn one_or_many(value: &Json) -> &[Json] {
    value.as_list().unwrap_or(std::slice::from_ref(value))
}

/// The member whose name, without its prefix, is `name`.
fn local<'a>(holder: &'a Json, name: &str) -> Option<&'a Json> {
    let members: &Members = holder.as_object()?;
    members.iter().find(|(member, _)| local_name(member) == name).map(|(_, value)| value)
}

/// What follows the last `:`, `/` or `#`.
fn local_name(name: &str) -> &str {
    name.rsplit([':', '/', '#']).next().unwrap_or(name)
}
