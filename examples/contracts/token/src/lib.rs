//! A fungible token kept like an accountant's ledger: every change is a *posting*, a list of legs that sum to zero.
//!
//! | method | who | posting |
//! |---|---|---|
//! | `mint` | the owner | issued −, receiver + |
//! | `burn` | everyone | sender −, issued + |
//! | `transfer` | everyone | sender −, receiver + |
//! | `transfer_from` | who has an allowance | payer −, receiver + |
//! | `pay_many` | everyone | sender −, each receiver + |
//!
//! `issued` is the counter-account that stands for the issuer's liability: it goes down as tokens come into being. So the sum
//! of all balances and `issued` is zero at every moment, which a test holds against random calls; and `supply` is `issued`
//! with the sign turned, with no second number that could disagree. Each posting is an event with its legs.
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use ledger_contract_sdk::{
    AccountId, Cell, Map, Refusal, Result, access, contract, ensure, event, host, record, refusals,
};

contract! {
    /// A fungible token with double-entry bookkeeping.
    pub contract Token = "token" {
        construct(currency: Currency);
        methods {
            /// Brings tokens into being. By the owner.
            write fn mint(to: AccountId, amount: u64);
            /// Takes tokens of the caller's out of being.
            write fn burn(amount: u64);
            /// Moves tokens of the caller's.
            write fn transfer(to: AccountId, amount: u64);
            /// Moves tokens of the caller's to several accounts at once.
            write fn pay_many(payments: Vec<Payment>);
            /// Lets an account move so many tokens of the caller's; what was allowed before is replaced.
            write fn approve(spender: AccountId, amount: u64);
            /// Moves tokens that the payer allowed the caller to move.
            write fn transfer_from(payer: AccountId, to: AccountId, amount: u64);
            /// Stops all postings, or goes on. By the owner.
            write fn set_paused(paused: bool);
            /// What an account has.
            read fn balance(account: AccountId) -> u64;
            /// What a payer lets an account move.
            read fn allowance(payer: AccountId, spender: AccountId) -> u64;
            /// All tokens that are.
            read fn supply() -> u64;
            /// What the token is.
            read fn currency() -> Currency;
        }
        events { Posted, Approved, access::OwnerChanged, access::PauseChanged }
        refusals { Error, access::AccessError }
    }
}

record! {
    /// What a token is.
    pub struct Currency {
        /// For people.
        pub name: String,
        /// Three to five letters.
        pub symbol: String,
        /// How many digits of an amount stand behind the point.
        pub decimals: u8,
    }
}

record! {
    /// An amount for an account.
    #[derive(Copy)]
    pub struct Payment {
        /// Who gets it.
        pub to: AccountId,
        /// How much.
        pub amount: u64,
    }
}

record! {
    /// One side of a posting.
    #[derive(Copy)]
    pub struct Leg {
        /// The account; none is the issuer's.
        pub account: Option<AccountId>,
        /// What it gains, or loses.
        pub amount: i128,
    }
}

event! {
    /// Tokens changed hands: the legs sum to zero.
    pub struct Posted = "posted" {
        /// Both sides, or more.
        pub legs: Vec<Leg>,
    }
}

event! {
    /// An account may move tokens of another.
    pub struct Approved = "approved" {
        /// Whose tokens.
        pub payer: AccountId,
        /// Who may.
        pub spender: AccountId,
        /// How many.
        pub amount: u64,
    }
}

refusals! {
    /// Why the token refuses.
    pub enum Error {
        /// There is less than the amount.
        InsufficientBalance = 1 => "the balance is less than the amount",
        /// Less is allowed than the amount.
        InsufficientAllowance = 2 => "the allowance is less than the amount",
        /// The supply would be over 64 bits.
        SupplyOverflow = 3 => "the supply would be over 64 bits",
        /// Nothing is to be moved.
        NoAmount = 4 => "an amount is more than zero",
        /// The symbol isn't one.
        BadSymbol = 5 => "a symbol has three to five letters",
        /// Too many payments at once.
        TooMany = 6 => "a posting has at most 100 payments",
    }
}

const CURRENCY: Cell<Currency> = Cell::new(b'c');
const ISSUED: Cell<i128> = Cell::new(b'i');
const BALANCES: Map<AccountId, u64> = Map::new(b'b');
const ALLOWANCES: Map<(AccountId, AccountId), u64> = Map::new(b'a');

const MAX_PAYMENTS: usize = 100;

fn construct(currency: Currency) -> Result {
    let letters = currency.symbol.bytes().all(|byte| byte.is_ascii_alphabetic());
    ensure(letters && (3..=5).contains(&currency.symbol.len()), Error::BadSymbol)?;
    access::set_owner(host::caller());
    CURRENCY.set(&currency);
    Ok(())
}

fn mint(to: AccountId, amount: u64) -> Result {
    access::only_owner()?;
    post(None, &[Payment { to, amount }])
}

fn burn(amount: u64) -> Result {
    let legs = [leg(Some(host::caller()), amount, -1)?, leg(None, amount, 1)?];
    apply(Vec::from(legs))
}

fn transfer(to: AccountId, amount: u64) -> Result {
    post(Some(host::caller()), &[Payment { to, amount }])
}

fn pay_many(payments: Vec<Payment>) -> Result {
    ensure(payments.len() <= MAX_PAYMENTS, Error::TooMany)?;
    post(Some(host::caller()), &payments)
}

fn approve(spender: AccountId, amount: u64) -> Result {
    let payer = host::caller();
    ALLOWANCES.set_or_remove(&(payer, spender), &amount);
    Approved { payer, spender, amount }.emit();
    Ok(())
}

fn transfer_from(payer: AccountId, to: AccountId, amount: u64) -> Result {
    let allowed = (payer, host::caller());
    let left = ALLOWANCES.get_or_default(&allowed).checked_sub(amount);
    ALLOWANCES.set_or_remove(&allowed, &left.ok_or(Error::InsufficientAllowance)?);
    post(Some(payer), &[Payment { to, amount }])
}

fn set_paused(paused: bool) -> Result {
    access::set_paused_as_owner(paused)
}

fn balance(account: AccountId) -> Result<u64> {
    Ok(BALANCES.get_or_default(&account))
}

fn allowance(payer: AccountId, spender: AccountId) -> Result<u64> {
    Ok(ALLOWANCES.get_or_default(&(payer, spender)))
}

fn supply() -> Result<u64> {
    supply_of(ISSUED.get_or_default())
}

fn currency() -> Result<Currency> {
    Ok(CURRENCY.get().unwrap_or_else(|| host::trap("the constructor sets it")))
}

fn supply_of(issued: i128) -> Result<u64> {
    u64::try_from(-issued).map_err(|_| Error::SupplyOverflow.into())
}

fn leg(account: Option<AccountId>, amount: u64, sign: i128) -> Result<Leg> {
    ensure(amount > 0, Error::NoAmount)?;
    Ok(Leg { account, amount: i128::from(amount) * sign })
}

/// A posting from one account to others.
fn post(from: Option<AccountId>, payments: &[Payment]) -> Result {
    let sum = payments.iter().map(|payment| i128::from(payment.amount)).sum::<i128>();
    ensure(sum > 0, Error::NoAmount)?;
    // First what is taken, so that nobody pays with what they are about to get.
    let mut legs = Vec::with_capacity(payments.len() + 1);
    legs.push(Leg { account: from, amount: -sum });
    for payment in payments {
        legs.push(leg(Some(payment.to), payment.amount, 1)?);
    }
    apply(legs)
}

/// The only way that anything changes.
fn apply(legs: Vec<Leg>) -> Result {
    access::not_paused()?;
    if legs.iter().map(|leg| leg.amount).sum::<i128>() != 0 {
        host::trap("the legs of a posting sum to zero");
    }
    for leg in &legs {
        match leg.account {
            Some(account) => change(account, leg.amount)?,
            None => {
                let issued = ISSUED.get_or_default() + leg.amount;
                supply_of(issued)?;
                ISSUED.set(&issued);
            }
        }
    }
    Posted { legs }.emit();
    Ok(())
}

fn change(account: AccountId, amount: i128) -> Result {
    let balance = i128::from(BALANCES.get_or_default(&account)) + amount;
    let refusal = if amount < 0 { Error::InsufficientBalance } else { Error::SupplyOverflow };
    let balance = u64::try_from(balance).map_err(|_| Refusal::from(refusal))?;
    BALANCES.set_or_remove(&account, &balance);
    Ok(())
}
