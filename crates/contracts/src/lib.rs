//! Contracts: the executor that turns ordered transactions into writes and receipts, the seam to virtual machines, and
//! the native runtime, whose contracts are Rust types, and the one for contracts in WebAssembly ([`wasm`]).
//!
//! ```text
//!   Block ──▶ LedgerExecutor ── for each transaction: key, order, expiry, fuel ──▶ Rejected: nothing is used
//!                  │
//!                  ▼ uses up the transaction's place
//!              savepoint ──▶ Runtime ──▶ contract ◀──▶ Host ── fuel, limits, namespace
//!                  │           native, …                │
//!                  │                                    ▼
//!                  └────── rollback on failure ──▶ Journal ──▶ StateView (before the block)
//!                                                       │
//!                                                       ▼
//!                                           Execution { writes, receipts, events }
//! ```
//!
//! # Example
//! A contract of one's own, deployed and called on a state in memory. In a node, the executor is handed to its builder
//! instead; the contract doesn't see the difference.
//! ```
//! use ledger_contracts::testing::TestLedger;
//! use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
//! use ledger_core::codec::Text;
//! use ledger_crypto::MemorySigner;
//!
//! /// Remembers one greeting for each account.
//! struct Greetings;
//!
//! impl Contract for Greetings {
//!     fn name(&self) -> &str {
//!         "greetings"
//!     }
//!
//!     fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
//!         let caller = host.caller();
//!         match method {
//!             "greet" if arguments.is_empty() => Err(Trap::refused(1, "a greeting has words")),
//!             "greet" => {
//!                 let words = str::from_utf8(arguments).map_err(|_| Trap::bad_arguments("words are UTF-8"))?;
//!                 host.put_value(caller.0.as_bytes(), &Words(words.into()))?;
//!                 host.emit("greeted", arguments)?;
//!                 Ok(Vec::new())
//!             }
//!             "greeting" => {
//!                 let words = host.get_value::<Words>(caller.0.as_bytes())?;
//!                 Ok(words.map_or_else(Vec::new, |Words(text)| text.as_bytes().to_vec()))
//!             }
//!             _ => Err(Trap::UnknownMethod),
//!         }
//!     }
//! }
//!
//! #[derive(ledger_core::codec::Encode, ledger_core::codec::Decode)]
//! #[bincode(crate = "ledger_core::codec::wire")]
//! struct Words(Text);
//!
//! impl ledger_core::codec::Format for Words {
//!     const NAME: &'static str = "greeting";
//!     const LIMIT: usize = 1 << 10;
//! }
//!
//! let executor = LedgerExecutor::default().with(NativeRuntime::new().with(Greetings));
//! let mut ledger = TestLedger::new(executor);
//! let alice = MemorySigner::from_seed([1; 32]);
//!
//! let contract = ledger.deploy(&alice, NATIVE, b"greetings", b"")?;
//! let result = ledger.call(&alice, contract, "greet", b"hello")?;
//! assert!(result.receipt.succeeded());
//! assert_eq!(&*result.events[0].topic, "greeted");
//! assert_eq!(&*ledger.call(&alice, contract, "greeting", b"")?.receipt.output, b"hello");
//!
//! // A refusal has a receipt that says why, and no effect.
//! let refused = ledger.call(&alice, contract, "greet", b"")?.receipt;
//! assert!(!refused.succeeded());
//! # Ok::<(), ledger_contracts::testing::TestError>(())
//! ```
//!
//! # Contract
//! - **Deterministic**: the same block, context and state give the same [`Execution`](ledger_core::Execution).
//! - **Reading ahead**: what a contract [says that it will read](Contract::expected_reads) is read together before it runs.
//!   That changes no result, whatever it says.
//! - **One journal** ([`journal`]) holds a block's writes. A transaction sees those of the transactions before it.
//! - **Fuel** is charged by the chain's [`Prices`](ledger_core::Prices), before the work, and never beyond the
//!   transaction's limit. A transaction pays `transaction` and `body_byte` for each byte of its body's content (its
//!   lane, its receipt and the signature are in that); a call pays `read` and `read` again, and if nothing in
//!   the block has loaded the contract's code before, `read_byte` and `prepare_byte` for each byte of it (as far as the rules
//!   [give nothing](ledger_core::Rules::block_code_bytes)); a deployment `write` and `write_byte` for the contract's record, the same for its
//!   code, and `prepare_byte` for each byte of code; what a contract does costs what [`Host`] says; what it returns to
//!   a transaction costs `event_byte` a byte, since receipts carry it like events.
//! - **Calls** between contracts ([`Host::call`]) share the journal: what a failed callee did is taken back, and its
//!   caller goes on. A running contract is entered read-only or not at all.
//! - **Lifecycle**: one contract that every chain has ([`lifecycle`]) uploads code, makes, upgrades and pauses the others.
//! - A [`simulate`](ledger_core::Executor::simulate)d call takes the same path. As long as the state is the same, a
//!   transaction with the fuel that it used as limit succeeds, whatever else is in its block, unless its contract looks at
//!   the fuel that is left (or the rules give blocks some code for nothing, and others have had it). A deployment is
//!   [asked about](ledger_core::Executor::simulate_transaction) like that, too. What it would write is given, and nothing is changed. A [`query`](ledger_core::Executor::query) is the same, read-only.
//! - **Threads** that execute, simulate or query need [`EXECUTION_STACK_BYTES`] of stack: whoever starts one asks for it.
//! - **Code** is made ready once and kept from block to block, within [a number of bytes](ExecutorConfig::prepared_bytes);
//!   what questions need beside it is kept apart, and code that a question brings along isn't kept.
//! - A **trace** ([`trace`]) of a block or of a simulated call says call by call what happened, and changes nothing of it.
//! - A **`Commit`** applies what was read and written elsewhere: as [`Simulation::read_write_set`] gives it, in one step if
//!   every key and range is still in the version that was seen, writes of the same block included, so that phantoms are
//!   caught. Each namespace that it writes must [name who may](lifecycle::WritePolicy). It pays `read` and `read_byte`
//!   for everything that is looked at again, as [`Host`] says, `verify` for each endorsement that is, `write` and
//!   `write_byte` for what it writes.
//! - **Unordered** transactions are executed at most once: their ids are state until they expire. Whatever their number, a
//!   block's work on expired ids is bounded ([`executor::FORGOTTEN_AT_LEAST`]).
//!
//! # Testing
//! [`testing`] is for tests of contracts: a chain in memory with a clock that the test moves, snapshots, expected events, fuel
//! profiles.
//!
//! # Failure
//! | what happens | status | place in the lane, or id | writes and events | fuel |
//! |---|---|---|---|---|
//! | wrong key, order, expiry, executed before, no block fuel left | `Rejected` | kept | none | 0 |
//! | the contract refuses, panics, breaks down; unknown contract, method, runtime; invalid code or body | `Failed` | used up | all taken back | used so far |
//! | a limit of the rules, a deployment by somebody who may not, a redacted body, a call of a paused contract, a `Commit` without leave or whose reads don't hold any more | `Failed` | used up | all taken back | used so far |
//! | out of fuel | `Failed` | used up | all taken back | the whole limit |
//! | the state can't be read, or holds what no executor wrote, or a contract that this node can't run | [`ExecutionError`](ledger_core::ExecutionError) | – | – | – |
//!
//! An error of the host ends the contract's run even if the contract swallows it; [`HostError`] says which end the
//! contracts that called it, too. A panic of a native contract is caught
//! (so a node must not be built with `panic = "abort"`), and its words stay out of the receipt. In the last case there
//! is no receipt: the node has to stop, because others may have been able to go on.
//!
//! # Features
//! - `wasm` (default): the runtime for contracts in WebAssembly, on the interpreter wasmi.
//! - `wasmtime`: the same on the compiler wasmtime, which needs Rust 1.95.
//!
//! [`Simulation::read_write_set`]: ledger_core::Simulation::read_write_set
#![forbid(unsafe_code)]

pub mod call;
pub mod executor;
pub mod fuel;
pub mod host;
pub mod journal;
pub mod lifecycle;
pub mod native;
pub mod record;
pub mod runtime;
pub mod testing;
pub mod token;
pub mod trace;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use call::{Answer, CALL_STACK_SLOTS, CallFailure, CallTerms, EXECUTION_STACK_BYTES};
pub use executor::{ExecutorConfig, LedgerExecutor};
pub use host::{Entry, Environment, HashFunction, Host, HostError, decode_arguments, decode_value};
pub use journal::{Journal, Savepoint};
pub use lifecycle::LIFECYCLE;
pub use native::{Contract, NATIVE, NativeRuntime};
pub use record::{ContractRecord, UpgradePolicy};
pub use runtime::{BAD_ARGUMENTS, CodeError, EntryPoint, Invocation, Prepared, Runtime, Trap};
pub use token::Token;
