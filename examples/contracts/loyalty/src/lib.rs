//! Loyalty points: shops give them, customers spend them at any shop, and they expire, the oldest first.
//!
//! Points are kept in lots, one for each customer and day on which points expire: so a customer has at most as many lots as
//! points have days to live, and spending reads as few of them as it needs.
#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use ledger_contract_sdk::{
    AccountId, Cell, Map, OrderedMap, Result, access, contract, ensure, event, host, record, refusals,
};

contract! {
    /// Points that shops give and redeem, and that expire.
    pub contract Loyalty = "loyalty" {
        construct(days: u32);
        methods {
            /// Admits a shop, or excludes it. By the owner.
            write fn set_shop(shop: AccountId, admitted: bool);
            /// Gives a customer points. By a shop.
            write fn award(customer: AccountId, points: u64);
            /// Spends points of the caller's at a shop, the oldest first.
            write fn redeem(shop: AccountId, points: u64);
            /// Points of a customer that have not expired.
            read fn balance(customer: AccountId) -> u64;
            /// When how many points of a customer expire, the soonest first, at most 100.
            read fn lots(customer: AccountId) -> Vec<Lot>;
            /// What a shop gave and took.
            read fn account(shop: AccountId) -> Totals;
        }
        events { Awarded, Redeemed, access::OwnerChanged, access::RoleChanged }
        refusals { Error, access::AccessError }
    }
}

record! {
    /// Points that expire together.
    #[derive(Copy)]
    pub struct Lot {
        /// When, in ms since 1970: the end of a day in UTC.
        pub expires_at: u64,
        /// How many.
        pub points: u64,
    }
}

record! {
    /// What a shop gave and took.
    #[derive(Copy, Default)]
    pub struct Totals {
        /// Points that it gave.
        pub awarded: u64,
        /// Points that were spent at it.
        pub redeemed: u64,
    }
}

event! {
    /// A customer got points.
    pub struct Awarded = "awarded" {
        /// From which shop.
        pub shop: AccountId,
        /// Who.
        pub customer: AccountId,
        /// How many, until when.
        pub lot: Lot,
    }
}

event! {
    /// A customer spent points.
    pub struct Redeemed = "redeemed" {
        /// At which shop.
        pub shop: AccountId,
        /// Who.
        pub customer: AccountId,
        /// How many.
        pub points: u64,
    }
}

refusals! {
    /// Why points are refused.
    pub enum Error {
        /// The customer has fewer.
        TooFew = 1 => "the customer has fewer points that have not expired",
        /// It isn't a shop.
        NoShop = 2 => "the account isn't a shop of the programme",
        /// Nothing is to be given or spent.
        NoPoints = 3 => "points are more than zero",
        /// Points live for 1 to 3,650 days.
        BadDays = 4 => "points live for 1 to 3650 days",
        /// More than a number holds.
        TooMany = 5 => "points are at most 2^40 at once",
    }
}

/// The role of shops.
pub const SHOP: u8 = 1;

const DAY_MS: u64 = 86_400_000;
const MAX_POINTS: u64 = 1 << 40;

const DAYS: Cell<u32> = Cell::new(b'd');
const LOTS: OrderedMap<(AccountId, u64), u64> = OrderedMap::new(b'l');
const TOTALS: Map<AccountId, Totals> = Map::new(b't');

fn construct(days: u32) -> Result {
    ensure((1..=3_650).contains(&days), Error::BadDays)?;
    access::set_owner(host::caller());
    DAYS.set(&days);
    Ok(())
}

fn set_shop(shop: AccountId, admitted: bool) -> Result {
    access::set_role_as_owner(SHOP, shop, admitted)
}

/// The end of the day on which points expire that are given now.
fn expiry() -> u64 {
    let today = host::timestamp() / DAY_MS;
    (today + 1 + u64::from(DAYS.get_or_default())) * DAY_MS
}

fn award(customer: AccountId, points: u64) -> Result {
    access::only_role(SHOP)?;
    ensure(points > 0, Error::NoPoints)?;
    ensure(points <= MAX_POINTS, Error::TooMany)?;
    let (shop, expires_at) = (host::caller(), expiry());
    let lot = (customer, expires_at);
    let sum = LOTS.get(&lot).unwrap_or_default().checked_add(points).ok_or(Error::TooMany)?;
    LOTS.set(&lot, &sum);
    let mut totals = TOTALS.get_or_default(&shop);
    totals.awarded = totals.awarded.checked_add(points).ok_or(Error::TooMany)?;
    TOTALS.set(&shop, &totals);
    Awarded { shop, customer, lot: Lot { expires_at, points } }.emit();
    Ok(())
}

fn redeem(shop: AccountId, points: u64) -> Result {
    ensure(points > 0, Error::NoPoints)?;
    ensure(access::has_role(SHOP, shop), Error::NoShop)?;
    let (customer, now) = (host::caller(), host::timestamp());
    let mut due = points;
    for (lot, held) in LOTS.under(&customer).page(8) {
        let (_, expires_at) = lot;
        // What has expired is cleared away by whoever comes by; it counts for nothing.
        let spent = if expires_at > now { held.min(due) } else { held };
        if expires_at > now {
            due -= spent;
        }
        match held - spent {
            0 => LOTS.remove(&lot),
            left => LOTS.set(&lot, &left),
        }
        if due == 0 {
            break;
        }
    }
    ensure(due == 0, Error::TooFew)?;
    let mut totals = TOTALS.get_or_default(&shop);
    totals.redeemed = totals.redeemed.checked_add(points).ok_or(Error::TooMany)?;
    TOTALS.set(&shop, &totals);
    Redeemed { shop, customer, points }.emit();
    Ok(())
}

fn live(customer: AccountId) -> impl Iterator<Item = Lot> {
    let lots = LOTS.range((customer, host::timestamp() + 1)..=(customer, u64::MAX));
    lots.map(|((_, expires_at), points)| Lot { expires_at, points })
}

fn balance(customer: AccountId) -> Result<u64> {
    Ok(live(customer).fold(0, |sum: u64, lot| sum.saturating_add(lot.points)))
}

fn lots(customer: AccountId) -> Result<Vec<Lot>> {
    Ok(live(customer).take(100).collect())
}

fn account(shop: AccountId) -> Result<Totals> {
    Ok(TOTALS.get_or_default(&shop))
}
