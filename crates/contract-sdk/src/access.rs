//! Who may do what, and whether anybody may: an owner, roles, a switch.
//!
//! These are functions over fields of the contract's storage, at places from `0xf0` up; a contract calls them where its
//! methods begin. Their refusals have the codes of [`AccessError`], which no other refusal of the contract should use.

use crate::host;
use crate::id::AccountId;
use crate::refusal::{Result, ensure};
use crate::storage::{Cell, Map};
use crate::{event, refusals};

refusals! {
    /// Why a helper of this module refuses.
    pub enum AccessError {
        /// The caller isn't the owner.
        NotOwner = 0xffff_0001 => "only the owner may do this",
        /// The caller doesn't have the role.
        NoRole = 0xffff_0002 => "the caller doesn't have the role for this",
        /// The contract is paused.
        Paused = 0xffff_0003 => "the contract is paused",
        /// The caller wasn't offered the ownership.
        NotOffered = 0xffff_0004 => "the ownership wasn't offered to the caller",
    }
}

event! {
    /// The contract has another owner.
    pub struct OwnerChanged = "owner_changed" {
        /// Who owns it now.
        pub owner: AccountId,
    }
}

event! {
    /// A role was given or taken.
    pub struct RoleChanged = "role_changed" {
        /// The role.
        pub role: u8,
        /// Whose.
        pub account: AccountId,
        /// Whether the account has it now.
        pub granted: bool,
    }
}

event! {
    /// The switch was turned.
    pub struct PauseChanged = "pause_changed" {
        /// Whether the contract is paused now.
        pub paused: bool,
    }
}

const OWNER: Cell<AccountId> = Cell::new(0xf0);
const OFFERED: Cell<AccountId> = Cell::new(0xf1);
const ROLES: Map<(u8, AccountId), bool> = Map::new(0xf2);
const PAUSED: Cell<bool> = Cell::new(0xf3);

/// Makes `owner` the owner: for constructors.
pub fn set_owner(owner: AccountId) {
    OWNER.set(&owner);
    OwnerChanged { owner }.emit();
}

/// The owner; none before [`set_owner`].
pub fn owner() -> Option<AccountId> {
    OWNER.get()
}

/// Goes on for the owner only.
///
/// # Errors
/// [`AccessError::NotOwner`].
pub fn only_owner() -> Result {
    ensure(owner() == Some(host::caller()), AccessError::NotOwner)
}

/// Offers the ownership to another account, which has to accept it: so it can't be lost to a mistyped one. By the owner.
///
/// # Errors
/// [`AccessError::NotOwner`].
pub fn offer_ownership(to: AccountId) -> Result {
    only_owner()?;
    OFFERED.set(&to);
    Ok(())
}

/// Accepts an offered ownership. By the one to whom it was offered.
///
/// # Errors
/// [`AccessError::NotOffered`].
pub fn accept_ownership() -> Result {
    let caller = host::caller();
    ensure(OFFERED.get() == Some(caller), AccessError::NotOffered)?;
    OFFERED.clear();
    set_owner(caller);
    Ok(())
}

/// Whether `account` has `role`, a number that means something to the contract.
pub fn has_role(role: u8, account: AccountId) -> bool {
    ROLES.get_or_default(&(role, account))
}

/// Goes on for accounts with `role` only.
///
/// # Errors
/// [`AccessError::NoRole`].
pub fn only_role(role: u8) -> Result {
    ensure(has_role(role, host::caller()), AccessError::NoRole)
}

/// Gives or takes a role. Who may is the contract's affair: check it before.
pub fn set_role(role: u8, account: AccountId, granted: bool) {
    ROLES.set_or_remove(&(role, account), &granted);
    RoleChanged { role, account, granted }.emit();
}

/// Gives or takes a role. By the owner.
///
/// # Errors
/// [`AccessError::NotOwner`].
pub fn set_role_as_owner(role: u8, account: AccountId, granted: bool) -> Result {
    only_owner()?;
    set_role(role, account, granted);
    Ok(())
}

/// Whether the contract is paused.
pub fn is_paused() -> bool {
    PAUSED.get_or_default()
}

/// Goes on while the contract isn't paused.
///
/// # Errors
/// [`AccessError::Paused`].
pub fn not_paused() -> Result {
    ensure(!is_paused(), AccessError::Paused)
}

/// Pauses the contract, or goes on. Who may is the contract's affair: check it before.
pub fn set_paused(paused: bool) {
    PAUSED.set(&paused);
    PauseChanged { paused }.emit();
}

/// Pauses the contract, or goes on. By the owner.
///
/// # Errors
/// [`AccessError::NotOwner`].
pub fn set_paused_as_owner(paused: bool) -> Result {
    only_owner()?;
    set_paused(paused);
    Ok(())
}
