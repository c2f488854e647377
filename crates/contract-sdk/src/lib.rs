//! What a contract is written with. The same source is a WebAssembly guest of the chain and, natively, an ordinary crate
//! whose tests run on a [mock host](mock) in milliseconds.
//!
//! ```text
//!   contract! { … }  ──▶  exports, interface, client
//!        │
//!   your functions ──▶ Cell, Map, OrderedMap, Counter ──▶ host ──▶ wasm32: imports of `ledgerkit.1`
//!                      event!, refusals!, Call, access      └────▶ natively: the mock host
//! ```
//!
//! # Example
//! ```
//! use ledger_contract_sdk::mock::{Chain, account};
//! use ledger_contract_sdk::{AccountId, Map, Result, contract, ensure, event, host, refusals};
//!
//! contract! {
//!     /// Remembers one greeting for each account.
//!     pub contract Greetings = "greetings" {
//!         construct();
//!         methods {
//!             /// Leaves a greeting.
//!             write fn greet(words: String);
//!             /// The greeting of an account.
//!             read fn greeting(of: AccountId) -> Option<String>;
//!         }
//!         events { Greeted }
//!         refusals { Error }
//!     }
//! }
//!
//! event! {
//!     /// A greeting was left.
//!     pub struct Greeted = "greeted" {
//!         /// By whom.
//!         pub by: AccountId,
//!     }
//! }
//!
//! refusals! {
//!     /// Why a greeting isn't left.
//!     pub enum Error {
//!         /// There are no words.
//!         Speechless = 1 => "a greeting has words",
//!     }
//! }
//!
//! const GREETINGS: Map<AccountId, String> = Map::new(b'g');
//!
//! fn construct() -> Result {
//!     Ok(())
//! }
//!
//! fn greet(words: String) -> Result {
//!     ensure(!words.is_empty(), Error::Speechless)?;
//!     GREETINGS.set(&host::caller(), &words);
//!     Greeted { by: host::caller() }.emit();
//!     Ok(())
//! }
//!
//! fn greeting(of: AccountId) -> Result<Option<String>> {
//!     Ok(GREETINGS.get(&of))
//! }
//!
//! // A test: a chain in memory, and calls by whom one likes.
//! let mut chain = Chain::new();
//! let alice = account(1);
//! let greetings = Greetings(chain.deploy(alice, &CONTRACT, Greetings::constructor())?);
//! let receipt = chain.call(alice, greetings.greet("hello".into()))?;
//! assert_eq!(receipt.emitted::<Greeted>(), [Greeted { by: alice }]);
//! assert_eq!(chain.query(alice, greetings.greeting(alice))?, Some("hello".into()));
//! assert!(chain.call(alice, greetings.greet(String::new())).unwrap_err().is(Error::Speechless));
//! # Ok::<(), ledger_contract_sdk::mock::Failure>(())
//! ```
//!
//! # Contract
//! - **Bytes** are the chain's: arguments, answers, values and event data are in its one canonical [encoding](codec).
//! - A call has an instance of its own: what lasts is in [storage], and nothing else.
//! - A method that gives a [`Refusal`] takes back all that it did, and the receipt says why.
//!
//! # Failure
//! Arguments that can't be read are refused with [`BAD_ARGUMENTS`]. A panic, and a value in the state that isn't of its
//! field's type, break the call off. What the host refuses ends it with the host's words.
//!
//! # Features
//! `runtime` (default): for guests, a panic handler that breaks the call off without words (words would be kilobytes), and an
//! allocator that takes memory back only when the call ends. A guest that uses `std`, or wants another allocator, does
//! without.
#![no_std]
#![deny(unsafe_code)]

#[doc(hidden)]
pub extern crate alloc;
#[cfg(not(target_arch = "wasm32"))]
extern crate std;

pub mod access;
mod call;
pub mod codec;
pub mod description;
mod event;
pub mod host;
mod id;
pub mod key;
mod macros;
#[cfg(not(target_arch = "wasm32"))]
pub mod mock;
mod refusal;
pub mod storage;
#[cfg(target_arch = "wasm32")]
mod sys;

pub use call::{CALL_FAILED, Call, CallError, NOT_THE_TYPE};
pub use event::Event;
pub use id::{AccountId, ContractId};
pub use refusal::{BAD_ARGUMENTS, Refusal, Result, ensure};
pub use storage::{Cell, Counter, Map, OrderedMap};

/// A contract as [`contract!`] declares it.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// What it offers.
    pub interface: description::Interface,
    #[doc(hidden)]
    pub construct: Handler,
    #[doc(hidden)]
    pub migrate: Option<Handler>,
    #[doc(hidden)]
    pub methods: &'static [(&'static str, Handler)],
}

/// From encoded arguments to the encoded answer.
#[doc(hidden)]
pub type Handler = fn(&[u8]) -> Result<alloc::vec::Vec<u8>>;

/// Runs an export.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub fn enter(handle: Handler) {
    match handle(&sys::arguments()) {
        Ok(answer) if answer.is_empty() => {}
        Ok(answer) => sys::answer(&answer),
        Err(refusal) => sys::refuse(refusal.code, &refusal.message),
    }
}
