//! What the contract stores, and under which keys.
//!
//! | key, in the contract's namespace | value |
//! |---|---|
//! | `e` and the event's [key](EventKey) (32 bytes) | [`Recorded`]: the event and who recorded it |
//! | `s` and the event's [identity](Identity) (32 bytes) | [`Same`]: the key of the event that was recorded first of those that are the same |
//! | `i` and the digest of the item's canonical text (32 bytes) | [`ItemRecord`]: the text, and how many links the item has |
//! | `l`, the item's digest, and the link's number (4 bytes, big-endian, from 0) | [`Link`]: an event and what the item was to it |
//!
//! The count makes a trace complete: whoever is shown the count and as many links knows that no event of the item was left out.

use std::fmt;

use ledger_core::codec::{Bytes, Decode, Encode, Format, Text};
use ledger_core::{AccountId, ContractId, Key};
use ledger_crypto::{Digest, Domain, hash};

use crate::epcis::{EventKey, Identity, Item, Role};

/// The name under which the contract is deployed.
pub const CONTRACT: &str = "traceability";

/// The method that records an event.
pub const RECORD: &str = "record";

const ITEM: Domain = Domain::new("ledgerkit.0.traceability.item");

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Recorded {
    /// The account that recorded it first.
    pub recorder: AccountId,
    /// The event's canonical bytes.
    pub event: Bytes,
}

impl Format for Recorded {
    const NAME: &'static str = "recorded event";
    const LIMIT: usize = 1 << 20;
}

/// Under which key the event with an identity is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Same {
    /// The event's key.
    pub event: [u8; 32],
}

impl Format for Same {
    const NAME: &'static str = "key of an event by its identity";
    const LIMIT: usize = 64;
}

/// An item as stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct ItemRecord {
    /// The item's canonical text.
    pub item: Text,
    /// How many links it has.
    pub links: u32,
}

impl Format for ItemRecord {
    const NAME: &'static str = "item record";
    const LIMIT: usize = 1 << 20;
}

/// One event of an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Link {
    event: [u8; 32],
    role: u8,
}

impl Format for Link {
    const NAME: &'static str = "link";
    const LIMIT: usize = 64;
}

const ROLES: [Role; 6] = [Role::Subject, Role::Input, Role::Output, Role::Parent, Role::Child, Role::Process];

impl Link {
    /// A link to an event in which the item was `role`.
    #[must_use]
    pub fn new(event: EventKey, role: Role) -> Self {
        let role = match role {
            Role::Subject => 0,
            Role::Input => 1,
            Role::Output => 2,
            Role::Parent => 3,
            Role::Child => 4,
            Role::Process => 5,
        };
        Self { event: *event.as_bytes(), role }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> EventKey {
        EventKey::from_bytes(self.event)
    }

    /// What the item was to the event; `None` for a role that this version doesn't know.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        ROLES.get(usize::from(self.role)).copied()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?} in {})", self.role(), self.event())
    }
}

/// The name of the key under which an event is stored.
#[must_use]
pub fn event_name(event: &EventKey) -> Vec<u8> {
    [b"e", event.as_bytes().as_slice()].concat()
}

/// The names of the keys under which an item and its links are stored: its digest is made once for all of them.
pub(crate) struct ItemNames(Digest);

impl ItemNames {
    pub(crate) fn of(item: &Item) -> Self {
        Self(hash(ITEM, item.as_str().as_bytes()))
    }

    pub(crate) fn item(&self) -> Vec<u8> {
        [b"i", self.0.as_bytes().as_slice()].concat()
    }

    pub(crate) fn link(&self, number: u32) -> Vec<u8> {
        [b"l", self.0.as_bytes().as_slice(), number.to_be_bytes().as_slice()].concat()
    }
}

/// The event that is stored under this name of a key; `None` where none is.
pub(crate) fn event_of(name: &[u8]) -> Option<EventKey> {
    name.strip_prefix(b"e")?.try_into().ok().map(EventKey::from_bytes)
}

/// The name of the key under which the key of the event with this identity is stored.
#[must_use]
pub fn same_name(identity: &Identity) -> Vec<u8> {
    [b"s", identity.as_bytes().as_slice()].concat()
}

/// The name of the key under which an item is stored.
#[must_use]
pub fn item_name(item: &Item) -> Vec<u8> {
    ItemNames::of(item).item()
}

/// The name of the key under which the item's link with this number is stored.
#[must_use]
pub fn link_name(item: &Item, number: u32) -> Vec<u8> {
    ItemNames::of(item).link(number)
}

/// The state key of an event.
#[must_use]
pub fn event_key(contract: ContractId, event: &EventKey) -> Key {
    Key::new(contract, event_name(event))
}

/// The state key of an item.
#[must_use]
pub fn item_key(contract: ContractId, item: &Item) -> Key {
    Key::new(contract, item_name(item))
}

/// The state key of an item's link.
#[must_use]
pub fn link_key(contract: ContractId, item: &Item, number: u32) -> Key {
    Key::new(contract, link_name(item, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_survives_storage() {
        for role in ROLES {
            assert_eq!(Link::new(EventKey::from_bytes([7; 32]), role).role(), Some(role));
        }
    }
}
