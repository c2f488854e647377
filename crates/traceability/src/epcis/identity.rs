//! What makes two events the same event: a normal form, the identity made from it, and the event hash ID of CBV 2.0.
//!
//! ```text
//! Event ─normal form─┬─ injective encoding ─SHA-256─▶ Identity            of which the ledger has one event
//!                    └─ pre-hash string ────SHA-256─▶ ni:///sha-256;…     the standard's event hash ID
//! ```
//!
//! The normal form knows nothing of the order of members, of the order within the standard's lists, of the prefixes that a context
//! binds, of EPC URNs and Digital Links, of the UTC offset that a time is written with, and of how a number is written. It
//! leaves out `eventID` and `recordTime`, which say nothing of what happened, and keeps everything else. `eventTimeZoneOffset` is what
//! happened: it says what the clock of the place showed.
//!
//! The event hash ID is that of CBV 2.0, in the layout that its reference implementation (RalphTro/epcis-event-hash-generator,
//! version `CBV2.0`) gives: property order; names and values joined without separators; type before value in lists of transactions, sources and
//! destinations; reports without the list's name; ILMD, then extensions of fields behind their fields' names, then those of the event; times in UTC,
//! rounded to milliseconds; words of vocabularies as GS1's web URIs; identifiers as canonical Digital Links at their finest level;
//! `errorDeclaration`, `certificationInfo` and comments left out; text that reads as a number taken for one.
//!
//! The pre-hash string has no separators, so that two different events can be made that share it (`a=1` and `b=2` read like one `a` whose value is
//! `1b=2`), and it leaves fields out. Whoever records such a double first would keep the other out. So the ledger's identity isn't this hash, but that of an
//! encoding in which every part has its length, and which also tells apart: error declarations, certificates, comments, text and
//! numbers, the order of an extension's array, and what a time has beyond milliseconds. Equal identities are equal hash IDs.

mod normal;
mod order;
mod pre_hash;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::Event;
use crate::json::Json;
use normal::{Node, Scope, node, record};
use order::{DECLARATION, ORDER};
pub use pre_hash::MAX_PRE_HASH_BYTES;

/// Separates keys of events from other hashes, and this normal form from later ones.
const DOMAIN: &[u8] = b"ledgerkit.1.traceability.event";

/// Fields that say nothing of what happened.
const LEFT_OUT: &[&str] = &["eventID", "recordTime", "type", "@context", "errorDeclaration"];

/// What makes two events the same, however they are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Event {
    /// What makes it the same event: SHA-256 of the normal form in an encoding that is injective.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let declaration = self.body().get("errorDeclaration");
        self.identified(declaration)
    }

    /// The identity of the event that has the same content and declares no error: for an error declaration, the event that it is about; for any
    /// other event, its own.
    #[must_use]
    pub fn content_identity(&self) -> Identity {
        self.identified(None)
    }

    fn identified(&self, declaration: Option<&Json>) -> Identity {
        let normal = self.normal();
        let mut bytes = DOMAIN.to_vec();
        normal.encode(&mut bytes);
        if let Some(declaration) = declaration {
            node("errorDeclaration", declaration, &DECLARATION, &self.scope()).encode(&mut bytes);
        }
        Identity(Sha256::digest(&bytes).into())
    }

    /// The event hash ID of CBV 2.0: `ni:///sha-256;…?ver=CBV2.0`; `None` where [`Event::pre_hash`] gives none.
    #[must_use]
    pub fn hash_id(&self) -> Option<String> {
        let mut id = "ni:///sha-256;".to_owned();
        for byte in Sha256::digest(self.pre_hash()?) {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        id.push_str("?ver=CBV2.0");
        Some(id)
    }

    /// The string that the event hash ID is the hash of; `None` when it would have more than [`MAX_PRE_HASH_BYTES`].
    #[must_use]
    pub fn pre_hash(&self) -> Option<String> {
        pre_hash::pre_hash(&self.normal())
    }

    fn normal(&self) -> Node {
        let Some(members) = self.body().as_object() else { return Node::default() };
        let mut normal = record(members, ORDER, LEFT_OUT, &self.scope());
        self.text("type").unwrap_or_default().clone_into(&mut normal.name);
        normal
    }

    fn scope(&self) -> Scope<'_> {
        Scope::new(self.context(), self.offset())
    }
}
