//! Traceability on a ledger: EPCIS 2.0 events in, proven histories out.
//!
//! ```text
//!  documents ─epcis─▶ events ─signed transactions─▶ contract ─▶ state: events, items, links
//!                                                                   │ proofs at one checkpoint
//!                        trust root, checkpoint, proofs ─timeline─▶ who, what, when, where, warnings
//! ```
//!
//! - [`epcis`] reads documents of GS1's standard and refuses what breaks it, by event and field: sensor reports with units, certificates,
//!   conditions, error declarations, identifiers in either spelling. An event has [one identity](epcis::Event::identity), however it is spelled.
//! - [`contract`] is the contract that stores events and links the items they name.
//! - [`walk`] says which events make up the history of an item.
//! - [`timeline`] verifies a history from bytes alone.
//!
//! # Example
//! ```
//! use ledger_traceability::epcis::{self, Item, Limits, Role};
//!
//! let bytes = br#"{
//!   "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
//!   "type": "TransformationEvent",
//!   "eventTime": "2026-01-31T08:00:00+01:00", "eventTimeZoneOffset": "+01:00",
//!   "inputQuantityList": [{"epcClass": "urn:epc:class:lgtin:9521141.012345.GREEN1", "quantity": 100, "uom": "KGM"}],
//!   "outputQuantityList": [{"epcClass": "https://id.gs1.org/01/09521141678909/10/ROAST1", "quantity": 84, "uom": "KGM"}]
//! }"#;
//! let document = epcis::read("roasting.json", bytes, &Limits::default())?;
//! let mentions = document.events[0].mentions();
//! assert_eq!(mentions[0].role, Role::Input);
//! assert_eq!(mentions[0].item, Item::new("https://id.gs1.org/01/09521141123454/10/GREEN1"));
//!
//! // The same event from another system: other order of members, other spelling of lots, of numbers and of the instant.
//! let same = br#"{
//!   "outputQuantityList": [{"epcClass": "urn:epc:class:lgtin:9521141.067890.ROAST1", "quantity": 84.0, "uom": "KGM"}],
//!   "inputQuantityList": [{"epcClass": "https://shop.example/01/09521141123454/10/GREEN1", "quantity": 1e2, "uom": "KGM"}],
//!   "eventTime": "2026-01-31T07:00:00Z", "eventTimeZoneOffset": "+01:00", "type": "TransformationEvent",
//!   "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
//! }"#;
//! let same = epcis::read("copy.json", same, &Limits::default())?;
//! assert_eq!(same.events[0].identity(), document.events[0].identity());
//! assert_eq!(same.events[0].hash_id(), document.events[0].hash_id());
//!
//! let error = epcis::read("scan.json", br#"{"@context": "urn:x", "type": "ObjectEvent"}"#, &Limits::default());
//! assert!(error.is_err_and(|error| error.to_string().starts_with("scan.json: eventTime: is missing; ")));
//! # Ok::<(), epcis::DocumentError>(())
//! ```
//!
//! # Failure
//! Documents, events and proofs are hostile: reading them is bounded ([`epcis::Limits`], [`walk::WalkLimits`]) and ends in a value or in an
//! error that says what is wrong where. There is no timeline with gaps: [`timeline::TimelineError`] names what isn't proven.
//!
//! A timeline proves what was recorded, when and by which account; that it is true, and that an account is who an event says, no ledger can
//! prove.
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

pub mod contract;
pub mod epcis;
mod guess;
pub mod json;
pub mod records;
pub mod timeline;
pub mod walk;
