//! Two currencies change hands, or neither does.
//!
//! The maker allows this contract to move the amount that they give, and makes an offer: the contract takes the amount into
//! its keeping. A taker allows it to move the amount that is wanted, and accepts: both amounts move in that one call. If
//! either token refuses, the whole call fails and nothing has moved. An offer that nobody took goes back to its maker.
//!
//! Any contract will do as a token that has `transfer` and `transfer_from` as they are declared here. A token is code of
//! somebody's: who takes an offer should know both. A token that takes a call of this contract's as an opportunity to call
//! back is refused by the chain, for this contract is running then.
#![no_std]

use ledger_contract_sdk::{
    AccountId, ContractId, Counter, Map, Result, contract, ensure, event, host, interface, record, refusals,
};

interface! {
    /// What a swap needs of a token.
    pub interface Currency {
        /// Moves an amount of the caller's.
        write fn transfer(to: AccountId, amount: u64);
        /// Moves an amount that the payer allowed the caller to move.
        write fn transfer_from(payer: AccountId, to: AccountId, amount: u64);
    }
}

contract! {
    /// Two currencies change hands, or neither does.
    pub contract Swap = "swap" {
        construct();
        methods {
            /// Offers an amount for another until a time, in ms since 1970; to whoever comes first, or to one account.
            /// Answers with the offer's number.
            write fn offer(give: Amount, want: Amount, taker: Option<AccountId>, expires_at: u64) -> u64;
            /// Accepts an offer: both amounts change hands.
            write fn accept(number: u64);
            /// Ends an offer, whose amount goes back. By its maker, or by anybody once it has expired.
            write fn cancel(number: u64);
            /// An offer that is open.
            read fn offered(number: u64) -> Option<Offer>;
        }
        events { Offered, Swapped, Cancelled }
        refusals { Error }
    }
}

record! {
    /// So much of a currency.
    #[derive(Copy)]
    pub struct Amount {
        /// The token.
        pub token: ContractId,
        /// How much.
        pub amount: u64,
    }
}

record! {
    /// What one gives for what.
    #[derive(Copy)]
    pub struct Offer {
        /// Who offers.
        pub maker: AccountId,
        /// What they give: it is in the contract's keeping.
        pub give: Amount,
        /// What they want.
        pub want: Amount,
        /// Who may accept; none is everybody.
        pub taker: Option<AccountId>,
        /// It can be accepted before this, in ms since 1970.
        pub expires_at: u64,
    }
}

event! {
    /// An offer was made.
    pub struct Offered = "offered" {
        /// Its number.
        pub number: u64,
        /// The offer.
        pub offer: Offer,
    }
}

event! {
    /// An offer was accepted.
    pub struct Swapped = "swapped" {
        /// Its number.
        pub number: u64,
        /// By whom.
        pub taker: AccountId,
    }
}

event! {
    /// An offer ended, and its amount went back.
    pub struct Cancelled = "cancelled" {
        /// Its number.
        pub number: u64,
    }
}

refusals! {
    /// Why the swap refuses, if neither token does. Tokens' own codes pass through.
    pub enum Error {
        /// There is no such offer.
        Unknown = 101 => "there is no such offer",
        /// It is for somebody else.
        NotForCaller = 102 => "the offer is for somebody else",
        /// It has expired.
        Expired = 103 => "the offer has expired",
        /// Only the maker ends it before that.
        NotMaker = 104 => "only its maker ends an offer that has not expired",
        /// Both sides are of one currency.
        SameCurrency = 105 => "the currencies are the same",
    }
}

const NUMBERS: Counter = Counter::new(b'n');
const OFFERS: Map<u64, Offer> = Map::new(b'o');

fn construct() -> Result {
    Ok(())
}

fn offer(give: Amount, want: Amount, taker: Option<AccountId>, expires_at: u64) -> Result<u64> {
    let maker = host::caller();
    ensure(give.token != want.token, Error::SameCurrency)?;
    ensure(expires_at > host::timestamp(), Error::Expired)?;
    let (number, offer) = (NUMBERS.next(), Offer { maker, give, want, taker, expires_at });
    OFFERS.set(&number, &offer);
    Currency(give.token).transfer_from(maker, host::contract().into(), give.amount).run()?;
    Offered { number, offer }.emit();
    Ok(number)
}

fn accept(number: u64) -> Result {
    let taker = host::caller();
    let Offer { maker, give, want, taker: chosen, expires_at } = OFFERS.get(&number).ok_or(Error::Unknown)?;
    ensure(chosen.is_none_or(|chosen| chosen == taker), Error::NotForCaller)?;
    ensure(host::timestamp() < expires_at, Error::Expired)?;
    // Before anybody else's code runs, the offer is no more.
    OFFERS.remove(&number);
    Currency(want.token).transfer_from(taker, maker, want.amount).run()?;
    Currency(give.token).transfer(taker, give.amount).run()?;
    Swapped { number, taker }.emit();
    Ok(())
}

fn cancel(number: u64) -> Result {
    let offer = OFFERS.get(&number).ok_or(Error::Unknown)?;
    ensure(offer.maker == host::caller() || host::timestamp() >= offer.expires_at, Error::NotMaker)?;
    OFFERS.remove(&number);
    Currency(offer.give.token).transfer(offer.maker, offer.give.amount).run()?;
    Cancelled { number }.emit();
    Ok(())
}

fn offered(number: u64) -> Result<Option<Offer>> {
    Ok(OFFERS.get(&number))
}
