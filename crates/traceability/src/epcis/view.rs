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

/// An amount: digits as written, and the unit's code (`KGM`; see [`Unit`](super::Unit)), absent for pieces.
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

/// A place or party at one end of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// What it is there, by its local name: `owning_party`, `possessing_party`, `location`.
    pub kind: String,
    /// The canonical identifier.
    pub id: Item,
}

/// A document of business that an event belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessTransaction {
    /// What kind of document, by its local name: `po`, `desadv`.
    pub kind: Option<String>,
    /// Its identifier.
    pub id: Item,
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
        self.read_point().or_else(|| self.business_location())
    }

    /// Where the event was seen.
    #[must_use]
    pub fn read_point(&self) -> Option<Place> {
        self.place_in("readPoint")
    }

    /// Where its objects are from then on.
    #[must_use]
    pub fn business_location(&self) -> Option<Place> {
        self.place_in("bizLocation")
    }

    fn place_in(&self, member: &str) -> Option<Place> {
        let place = self.body().get(member)?;
        let name = self.extension(place, "name").and_then(Json::as_text).map(str::to_owned);
        Some(Place { id: Item::new(place.get("id")?.as_text()?), name })
    }

    /// Where and from whom the objects come.
    #[must_use]
    pub fn sources(&self) -> Vec<End> {
        self.ends("source")
    }

    /// Where and to whom the objects go.
    #[must_use]
    pub fn destinations(&self) -> Vec<End> {
        self.ends("destination")
    }

    fn ends(&self, side: &str) -> Vec<End> {
        let entries = self.list(&format!("{side}List")).iter();
        entries
            .filter_map(|entry| {
                let kind = local_name(entry.get("type")?.as_text()?).to_owned();
                Some(End { kind, id: Item::new(entry.get(side)?.as_text()?) })
            })
            .collect()
    }

    /// The documents of business that the event belongs to.
    #[must_use]
    pub fn business_transactions(&self) -> Vec<BusinessTransaction> {
        let entries = self.list("bizTransactionList").iter();
        entries
            .filter_map(|entry| {
                let kind = text_of(entry, "type").map(|kind| local_name(&kind).to_owned());
                Some(BusinessTransaction { kind, id: Item::new(entry.get("bizTransaction")?.as_text()?) })
            })
            .collect()
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
        let ends = self.ends(side).into_iter().filter(|end| end.kind != "location");
        ends.map(|end| Party { id: end.id, name: None }).collect()
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

    pub(super) fn list(&self, name: &str) -> &[Json] {
        self.body().get(name).and_then(Json::as_list).unwrap_or_default()
    }

    /// The member of `holder` that is `term` of [`NAMESPACE`] under the event's context.
    pub(super) fn extension<'a>(&self, holder: &'a Json, term: &str) -> Option<&'a Json> {
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

/// The member `name`, when it is a string.
pub(super) fn text_of(holder: &Json, name: &str) -> Option<String> {
    holder.get(name)?.as_text().map(str::to_owned)
}

pub(super) fn one_or_many(value: &Json) -> &[Json] {
    value.as_list().unwrap_or(std::slice::from_ref(value))
}

/// The member whose name, without its prefix, is `name`.
pub(super) fn local<'a>(holder: &'a Json, name: &str) -> Option<&'a Json> {
    let members: &Members = holder.as_object()?;
    members.iter().find(|(member, _)| local_name(member) == name).map(|(_, value)| value)
}

/// What follows the last `:`, `/` or `#`.
pub(super) fn local_name(name: &str) -> &str {
    name.rsplit([':', '/', '#']).next().unwrap_or(name)
}
