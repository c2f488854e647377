//! Whether an event stands: error declarations; and what holds of its objects from then on: dispositions.

use jiff::Timestamp;

use super::view::{local_name, text_of};
use super::{Event, time};
use crate::json::Json;

/// What an event says of an earlier one, whose content it repeats: that it was wrong (EPCIS 2.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorDeclaration {
    /// When it was declared.
    pub declared: Timestamp,
    /// Why, by its local name: `did_not_occur`, `incorrect_data`.
    pub reason: Option<String>,
    /// The `eventID`s of the events that are right instead, as written.
    pub corrections: Vec<String>,
}

/// What an event says of the condition of its objects, by local names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disposition {
    /// The condition that they are in until another event says otherwise: `in_transit`.
    pub current: Option<String>,
    /// Conditions that hold from then on, until an event unsets them: `completeness_verified`.
    pub set: Vec<String>,
    /// Conditions that don't hold any more.
    pub unset: Vec<String>,
}

impl Event {
    /// The declaration that an earlier event with the same content was wrong, where this event is one.
    #[must_use]
    pub fn error_declaration(&self) -> Option<ErrorDeclaration> {
        let declaration = self.body().get("errorDeclaration")?;
        let corrections = declaration.get("correctiveEventIDs").and_then(Json::as_list).unwrap_or_default();
        Some(ErrorDeclaration {
            declared: self.declared()?,
            reason: text_of(declaration, "reason").map(|reason| local_name(&reason).to_owned()),
            corrections: corrections.iter().filter_map(Json::as_text).map(str::to_owned).collect(),
        })
    }

    /// When it was declared that an earlier event with the same content was wrong, where this event is such a declaration.
    pub(crate) fn declared(&self) -> Option<Timestamp> {
        let declared = self.body().get("errorDeclaration")?.get("declarationTime")?;
        time::instant(declared.as_text()?, self.offset())
    }

    /// Whether the event says that an earlier one with the same content was wrong.
    #[must_use]
    pub fn declares_error(&self) -> bool {
        self.body().get("errorDeclaration").is_some()
    }

    /// What the event says of the condition of its objects.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        let persistent = self.body().get("persistentDisposition");
        let words = |name: &str| -> Vec<String> {
            let list = persistent.and_then(|persistent| persistent.get(name)?.as_list()).unwrap_or_default();
            list.iter().filter_map(Json::as_text).map(|word| local_name(word).to_owned()).collect()
        };
        let current = self.text("disposition").filter(|word| !word.is_empty());
        Disposition {
            current: current.map(|word| local_name(word).to_owned()),
            set: words("set"),
            unset: words("unset"),
        }
    }
}
