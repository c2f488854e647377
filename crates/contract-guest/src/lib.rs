//! Write a contract once, for the node; deploy it as a module in WebAssembly. A [`Contract`] asks nothing but its [`Host`],
//! so all that a module needs is a host whose answers are the imports of `ledgerkit.1`: [`Guest`], and exports that enter the
//! contract, which [`native_contract!`] declares.
//!
//! ```text
//!   your Contract ──linked into a node──▶ NativeRuntime ─▶ Host: the executor
//!        │                                                            ▲
//!        └──native_contract!─▶ cdylib for wasm32 ─▶ Guest: imports ───┘ by the runtime for WebAssembly
//! ```
//!
//! # Example
//! The whole module's crate, of kind `cdylib`; `cargo build --release --target wasm32-unknown-unknown` makes the module. The
//! constant that comes with it runs the same on the SDK's mock host:
//! ```
//! use ledger_contract_sdk::mock::{Chain, account};
//! use ledger_contracts::{Contract, Host, Trap};
//!
//! /// Counts calls.
//! struct Visits;
//!
//! impl Contract for Visits {
//!     fn name(&self) -> &str {
//!         "visits"
//!     }
//!
//!     fn call(&self, host: &mut dyn Host, method: &str, _: &[u8]) -> Result<Vec<u8>, Trap> {
//!         match method {
//!             "visit" => {
//!                 let before = host.get(b"visits")?.and_then(|bytes| bytes.first().copied()).unwrap_or(0);
//!                 let visits = before.checked_add(1).ok_or_else(|| Trap::refused(1, "closed"))?;
//!                 host.put(b"visits", &[visits])?;
//!                 Ok(vec![visits])
//!             }
//!             _ => Err(Trap::UnknownMethod),
//!         }
//!     }
//! }
//!
//! ledger_contract_guest::native_contract! {
//!     /// Counts calls.
//!     pub contract VISITS = "visits", Visits => {
//!         "visit",
//!     }
//! }
//!
//! let mut chain = Chain::new();
//! let visits = chain.deploy(account(1), &VISITS, Vec::new())?;
//! chain.call_raw(account(1), visits, "visit", b"")?;
//! assert_eq!(chain.call_raw(account(2), visits, "visit", b"")?.answer, [2]);
//! # Ok::<(), ledger_contract_sdk::mock::Failure>(())
//! ```
//!
//! # Contract
//! The module writes the same state, emits the same events and gives the same answers and refusals as the native contract.
//! Different are
//! - **fuel**: the module pays for its instructions too, and for being loaded: by its length, and by the instance. What it
//!   [charges](Host::charge) it pays as well;
//! - **breaking down**: a panic, and [`Trap::Broken`], end the module as an invalid instruction does, so the receipt has the
//!   machine's words; and what a module runs out of (stack, memory), a native contract has;
//! - [`stack_left`](Host::stack_left): modules are told nothing of it, since the machine counts for them;
//! - [`expected_reads`](Contract::expected_reads): nobody asks a module what it will read.
//!
//! Floating point is refused in modules. Code that isn't reached from the contract's methods may have it: it isn't linked.
//!
//! # Failure
//! As [`Contract`] says; what the host refuses ends a module at once, so none of [`Guest`]'s methods gives an error.
//!
//! # Features
//! None. The module has `std`, with its allocator.
#![forbid(unsafe_code)]

mod failure;
mod guest;

pub use guest::Guest;

#[doc(hidden)]
pub use ledger_contract_sdk as sdk;

use ledger_contract_sdk::Refusal;
use ledger_contracts::{Contract, Host, Trap};

/// What the host says where a native contract breaks down; only native tests see the words.
const BROKE: &str = "the contract broke down";

#[doc(hidden)]
pub fn construct(contract: &impl Contract, arguments: &[u8]) -> Result<Vec<u8>, Refusal> {
    answer(contract.construct(&mut Guest::default(), arguments).map(|()| Vec::new()))
}

#[doc(hidden)]
pub fn migrate(contract: &impl Contract, arguments: &[u8]) -> Result<Vec<u8>, Refusal> {
    answer(contract.migrate(&mut Guest::default(), arguments).map(|()| Vec::new()))
}

#[doc(hidden)]
pub fn call(contract: &impl Contract, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Refusal> {
    let host: &mut dyn Host = &mut Guest::default();
    answer(contract.call(host, method, arguments))
}

fn answer(output: Result<Vec<u8>, Trap>) -> Result<Vec<u8>, Refusal> {
    match output {
        Ok(output) => Ok(output),
        Err(Trap::Refused { code, message }) => Err(Refusal::new(code, message)),
        Err(_) => ledger_contract_sdk::host::trap(BROKE),
    }
}

/// Declares the module of a native contract: an expression that makes the contract, and the names of its methods, each of
/// which becomes an export. See the [front page](crate) for an example.
///
/// It makes a constant that enters the contract on the SDK's [mock host](ledger_contract_sdk::mock), and, built for wasm32, the
/// exports `construct`, `migrate` and one for each method. A method that isn't named can't be called in the module.
#[macro_export]
macro_rules! native_contract {
    (
        $(#[doc = $docs:literal])*
        pub contract $constant:ident = $name:literal, $contract:expr => { $($method:literal),* $(,)? }
    ) => {
        $(#[doc = $docs])*
        pub const $constant: $crate::sdk::Definition = $crate::sdk::Definition {
            interface: $crate::sdk::description::Interface {
                name: $name,
                docs: &[$($docs),*],
                constructor: &[],
                migration: ::core::option::Option::Some(&[]),
                methods: &[],
                events: &[],
                refusals: &[],
            },
            construct: |arguments| $crate::construct(&$contract, arguments),
            migrate: ::core::option::Option::Some(|arguments| $crate::migrate(&$contract, arguments)),
            methods: &[$(($method, |arguments| $crate::call(&$contract, $method, arguments))),*],
        };

        $crate::native_export!("construct", |arguments| $crate::construct(&$contract, arguments));
        $crate::native_export!("migrate", |arguments| $crate::migrate(&$contract, arguments));
        $($crate::native_export!(
            ::core::concat!("call_", $method),
            |arguments| $crate::call(&$contract, $method, arguments)
        );)*
    };
}

/// An export of the module.
#[doc(hidden)]
#[macro_export]
macro_rules! native_export {
    ($name:expr, $handle:expr) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            // An export's name could be one that the linker knows already; these aren't.
            #[allow(unsafe_code)]
            #[unsafe(export_name = $name)]
            extern "C" fn export() {
                $crate::sdk::enter($handle);
            }
        };
    };
}
