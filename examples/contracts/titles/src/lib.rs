//! Who owns what: titles to assets (land, vehicles, machines), with liens and a history that nobody rewrites.
//!
//! A registrar enters an asset once. From then on its owner decides: a transfer is *offered* to somebody and takes place
//! when they *accept*, so nobody owns what they don't want. A *lien* (a mortgage, a pledge) names a holder; while there is
//! one, the asset can't be offered, and only the holder releases it. Every step is an entry of the asset's history, in the
//! state (so provable) and as an event.
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use ledger_contract_sdk::{
    AccountId, Map, OrderedMap, Result, access, contract, ensure, event, host, record, refusals,
};

contract! {
    /// Titles to assets, with liens and their history.
    pub contract Titles = "titles" {
        construct();
        methods {
            /// Appoints a registrar, or dismisses one. By the owner of the registry.
            write fn set_registrar(account: AccountId, appointed: bool);
            /// Enters an asset that isn't registered yet. By a registrar.
            write fn register(asset: String, owner: AccountId, documents: [u8; 32]);
            /// Offers an asset of the caller's to an account; an offer that was there is replaced.
            write fn offer(asset: String, to: AccountId);
            /// Takes an offer back.
            write fn withdraw(asset: String);
            /// Becomes the owner of an asset that was offered to the caller.
            write fn accept(asset: String);
            /// Gives an account a lien on an asset of the caller's.
            write fn place_lien(asset: String, holder: AccountId);
            /// Ends the caller's lien.
            write fn release_lien(asset: String);
            /// What is registered of an asset.
            read fn title(asset: String) -> Option<Title>;
            /// Steps of an asset's history, from the one with the number `from` on, at most 100.
            read fn history(asset: String, from: u32, limit: u32) -> Vec<Step>;
            /// Assets of an account in the order of their names, behind the one named, at most 100.
            read fn assets(owner: AccountId, after: Option<String>, limit: u32) -> Vec<String>;
        }
        events { Recorded, access::OwnerChanged, access::RoleChanged }
        refusals { Error, access::AccessError }
    }
}

record! {
    /// What is registered of an asset.
    pub struct Title {
        /// Who owns it.
        pub owner: AccountId,
        /// The digest of the documents that describe it.
        pub documents: [u8; 32],
        /// To whom it is offered.
        pub offered_to: Option<AccountId>,
        /// Who has a lien on it.
        pub lien: Option<AccountId>,
        /// How many steps its history has.
        pub steps: u32,
    }
}

record! {
    /// A step of an asset's history.
    pub struct Step {
        /// The block's time, in ms since 1970.
        pub at: u64,
        /// Who did it.
        pub by: AccountId,
        /// What was done.
        pub what: Change,
    }
}

record! {
    /// What can happen to an asset.
    pub enum Change {
        /// It was registered.
        Registered {
            /// For whom.
            owner: AccountId,
        } = 0,
        /// It has another owner.
        Transferred {
            /// Whose it was.
            from: AccountId,
            /// Whose it is.
            to: AccountId,
        } = 1,
        /// Somebody got a lien on it.
        LienPlaced {
            /// Who.
            holder: AccountId,
        } = 2,
        /// The lien ended.
        LienReleased = 3,
    }
}

event! {
    /// An asset's history has another step.
    pub struct Recorded = "recorded" {
        /// Which asset's.
        pub asset: String,
        /// The step.
        pub step: Step,
    }
}

refusals! {
    /// Why the registry refuses.
    pub enum Error {
        /// It isn't registered.
        Unknown = 1 => "the asset isn't registered",
        /// It is registered already.
        AlreadyRegistered = 2 => "the asset is registered already",
        /// It is somebody else's.
        NotOwner = 3 => "the asset belongs to somebody else",
        /// It isn't offered to the caller.
        NotOffered = 4 => "the asset isn't offered to the caller",
        /// There is a lien.
        Encumbered = 5 => "there is a lien on the asset",
        /// The caller has no lien.
        NoLien = 6 => "the caller has no lien on the asset",
        /// A name is empty or too long.
        BadName = 7 => "an asset's name has 1 to 100 bytes",
    }
}

/// The role of registrars.
pub const REGISTRAR: u8 = 1;

const TITLES: Map<String, Title> = Map::new(b't');
const HISTORY: OrderedMap<(String, u32), Step> = OrderedMap::new(b'h');
const OWNED: OrderedMap<(AccountId, String), bool> = OrderedMap::new(b'o');

const MAX_NAME_BYTES: usize = 100;
const MAX_PAGE: u32 = 100;

fn construct() -> Result {
    access::set_owner(host::caller());
    Ok(())
}

fn set_registrar(account: AccountId, appointed: bool) -> Result {
    access::set_role_as_owner(REGISTRAR, account, appointed)
}

fn register(asset: String, owner: AccountId, documents: [u8; 32]) -> Result {
    access::only_role(REGISTRAR)?;
    ensure((1..=MAX_NAME_BYTES).contains(&asset.len()), Error::BadName)?;
    ensure(!TITLES.contains(&asset), Error::AlreadyRegistered)?;
    OWNED.set(&(owner, asset.clone()), &true);
    let title = Title { owner, documents, offered_to: None, lien: None, steps: 0 };
    record_step(asset, title, Change::Registered { owner });
    Ok(())
}

fn offer(asset: String, to: AccountId) -> Result {
    let mut title = owned(&asset)?;
    ensure(title.lien.is_none(), Error::Encumbered)?;
    title.offered_to = Some(to);
    TITLES.set(&asset, &title);
    Ok(())
}

fn withdraw(asset: String) -> Result {
    let mut title = owned(&asset)?;
    title.offered_to = None;
    TITLES.set(&asset, &title);
    Ok(())
}

fn accept(asset: String) -> Result {
    let to = host::caller();
    let mut title = TITLES.get(&asset).ok_or(Error::Unknown)?;
    ensure(title.offered_to == Some(to), Error::NotOffered)?;
    let from = title.owner;
    OWNED.remove(&(from, asset.clone()));
    OWNED.set(&(to, asset.clone()), &true);
    title.owner = to;
    title.offered_to = None;
    record_step(asset, title, Change::Transferred { from, to });
    Ok(())
}

fn place_lien(asset: String, holder: AccountId) -> Result {
    let mut title = owned(&asset)?;
    ensure(title.lien.is_none(), Error::Encumbered)?;
    title.lien = Some(holder);
    // An offer was of an asset without a lien.
    title.offered_to = None;
    record_step(asset, title, Change::LienPlaced { holder });
    Ok(())
}

fn release_lien(asset: String) -> Result {
    let mut title = TITLES.get(&asset).ok_or(Error::Unknown)?;
    ensure(title.lien == Some(host::caller()), Error::NoLien)?;
    title.lien = None;
    record_step(asset, title, Change::LienReleased);
    Ok(())
}

fn title(asset: String) -> Result<Option<Title>> {
    Ok(TITLES.get(&asset))
}

fn history(asset: String, from: u32, limit: u32) -> Result<Vec<Step>> {
    let steps = HISTORY.range((asset.clone(), from)..=(asset, u32::MAX));
    Ok(steps.first(limit.min(MAX_PAGE)).map(|(_, step)| step).collect())
}

fn assets(owner: AccountId, after: Option<String>, limit: u32) -> Result<Vec<String>> {
    let found = match after {
        Some(after) => OWNED.under_after(&owner, &(owner, after)),
        None => OWNED.under(&owner),
    };
    Ok(found.first(limit.min(MAX_PAGE)).map(|((_, asset), _)| asset).collect())
}

/// The title of an asset of the caller's.
fn owned(asset: &String) -> Result<Title> {
    let title = TITLES.get(asset).ok_or(Error::Unknown)?;
    ensure(title.owner == host::caller(), Error::NotOwner)?;
    Ok(title)
}

/// Stores a title with one more step.
fn record_step(asset: String, mut title: Title, what: Change) {
    let step = Step { at: host::timestamp(), by: host::caller(), what };
    HISTORY.set(&(asset.clone(), title.steps), &step);
    title.steps = title.steps.checked_add(1).unwrap_or_else(|| host::trap("an asset's history is full"));
    TITLES.set(&asset, &title);
    Recorded { asset, step }.emit();
}
