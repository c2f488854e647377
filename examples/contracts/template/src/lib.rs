//! A counter that everybody may add to, up to a limit that its owner sets.
#![no_std]

use ledger_contract_sdk::{AccountId, Cell, Result, access, contract, ensure, event, host, refusals};

contract! {
    /// A counter that everybody may add to.
    pub contract Counter = "counter" {
        construct(limit: u64);
        methods {
            /// Adds to the counter. Answers with the sum.
            write fn add(step: u64) -> u64;
            /// Sets the limit. By the owner.
            write fn set_limit(limit: u64);
            /// The sum so far.
            read fn count() -> u64;
        }
        events { Added, access::OwnerChanged }
        refusals { Error, access::AccessError }
    }
}

event! {
    /// Somebody added to the counter.
    pub struct Added = "added" {
        /// Who.
        pub by: AccountId,
        /// How much.
        pub step: u64,
    }
}

refusals! {
    /// Why the counter refuses.
    pub enum Error {
        /// The sum would be over the limit.
        OverLimit = 1 => "the sum would be over the limit",
    }
}

// Each field has a place of its own in the contract's storage.
const COUNT: Cell<u64> = Cell::new(b'c');
const LIMIT: Cell<u64> = Cell::new(b'l');

fn construct(limit: u64) -> Result {
    access::set_owner(host::caller());
    LIMIT.set(&limit);
    Ok(())
}

fn add(step: u64) -> Result<u64> {
    let sum = COUNT.get_or_default().checked_add(step).ok_or(Error::OverLimit)?;
    ensure(sum <= LIMIT.get_or_default(), Error::OverLimit)?;
    COUNT.set(&sum);
    Added { by: host::caller(), step }.emit();
    Ok(sum)
}

fn set_limit(limit: u64) -> Result {
    access::only_owner()?;
    LIMIT.set(&limit);
    Ok(())
}

fn count() -> Result<u64> {
    Ok(COUNT.get_or_default())
}
