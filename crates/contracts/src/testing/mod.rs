//! For tests of contracts, of runtimes and of what executes them: a state in memory, a chain of one in memory, the
//! conformance suite, an executor that is held up or made to fail.
//!
//! # Testing a contract
//! A [`TestLedger`] is a chain without consensus, network and disk: a transaction takes microseconds. It executes by what
//! nodes execute by, so fuel, receipts, events, refusals and the order of writes are those of a chain.
//!
//! | to | there is |
//! |---|---|
//! | deploy, call, simulate | [`deploy`](TestLedger::deploy), [`call`](TestLedger::call), [`simulate`](TestLedger::simulate), with bytes |
//! | call with values | [`invoke`](TestLedger::invoke), [`send`](TestLedger::send), [`ask`](TestLedger::ask) and [`answer`]; the encoding is that of [`ledger_core::codec`] |
//! | control blocks and time | [`advance_blocks`](TestLedger::advance_blocks), [`set_time`](TestLedger::set_time), [`advance_time`](TestLedger::advance_time), [`next_block_at`](TestLedger::next_block_at); several transactions in one block by [`sign`](TestLedger::sign) and [`apply`](TestLedger::apply) |
//! | go back | [`snapshot`](TestLedger::snapshot), [`restore`](TestLedger::restore); or a clone of the ledger |
//! | upload, make, upgrade, pause, describe | [`install`](TestLedger::install), [`upload`](TestLedger::upload), [`instantiate`](TestLedger::instantiate), [`upgrade`](TestLedger::upgrade), [`pause`](TestLedger::pause), [`resume`](TestLedger::resume), [`describe`](TestLedger::describe) |
//! | expect events | [`Events`] |
//! | see what happened, and where fuel goes | a [`Recorder`] as executor: [traces](crate::trace), and a [profile](crate::trace::FuelProfile) |
//!
//! ```
//! use ledger_contracts::lifecycle::Metadata;
//! use ledger_contracts::testing::{Events, Recorder, TestLedger};
//! use ledger_contracts::trace::Names;
//! use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap, UpgradePolicy, decode_arguments};
//! use ledger_core::codec::Bytes;
//! use ledger_core::{AccountId, Timestamp};
//! use ledger_crypto::{MemorySigner, Signer};
//!
//! /// Sells tickets until a time that its constructor is told.
//! struct Tickets;
//!
//! impl Contract for Tickets {
//!     fn name(&self) -> &str {
//!         "tickets"
//!     }
//!
//!     fn construct(&self, host: &mut dyn Host, closes: &[u8]) -> Result<(), Trap> {
//!         Ok(host.put(b"closes", closes)?)
//!     }
//!
//!     fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
//!         let seat = decode_arguments::<Bytes>(arguments)?;
//!         match method {
//!             "buy" => {
//!                 let closes = host.get(b"closes")?.unwrap_or_default();
//!                 if host.environment().timestamp.0.to_be_bytes()[..] >= closes[..] {
//!                     return Err(Trap::refused(1, "the sale is over"));
//!                 }
//!                 let buyer = host.caller();
//!                 host.put(&seat, buyer.0.as_bytes())?;
//!                 host.emit("sold", arguments)?;
//!                 Ok(Vec::new())
//!             }
//!             "holder" => Ok(host.get(&seat)?.unwrap_or_default()),
//!             _ => Err(Trap::UnknownMethod),
//!         }
//!     }
//! }
//!
//! let recorder = Recorder::new(LedgerExecutor::default().with(NativeRuntime::new().with(Tickets)));
//! let mut ledger = TestLedger::new(recorder.clone());
//! let alice = MemorySigner::from_seed([1; 32]);
//! let account = AccountId::of_ed25519(&alice.public_key());
//!
//! let closes = Timestamp(ledger.timestamp.0 + 60_000);
//! let policy = UpgradePolicy::Owner(account);
//! let tickets = ledger.install(
//!     &alice,
//!     (NATIVE, b"tickets"),
//!     policy,
//!     Metadata::default(),
//!     &closes.0.to_be_bytes(), // an array is encoded as its bytes
//! )?;
//! assert_eq!(ledger.describe(tickets)?.record.policy, policy);
//!
//! // Arguments and answers are values; events are expected by topic and by data.
//! let seat = Bytes::from(&b"7F"[..]);
//! let sold = ledger.send(&alice, tickets, "buy", &seat)?;
//! Events::of(&sold.events).by(tickets).topic("sold").data(&seat).exactly(1)?;
//! assert_eq!(ledger.ask::<_, AccountId>(tickets, "holder", &seat)?, account);
//!
//! // Time passes when the test says so, and the test can go back.
//! let before = ledger.snapshot();
//! ledger.next_block_at(closes)?;
//! let late = ledger.send(&alice, tickets, "buy", &seat)?;
//! assert!(!late.receipt.succeeded());
//! println!("{}", recorder.last().expect("it was recorded").tree(&Names::new().with(tickets, "tickets")));
//! ledger.restore(&before);
//! assert!(ledger.send(&alice, tickets, "buy", &seat)?.receipt.succeeded());
//!
//! // What was recorded: every call, and its fuel.
//! println!("{}", recorder.profile().table(&Names::new().with(tickets, "tickets")));
//! # assert_eq!(recorder.profile().rows().iter().filter(|row| row.contract == tickets).map(|row| row.calls).sum::<u64>(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! The late sale and the profile, as they are printed:
//! ```text
//! call a7c20510, place 0 · by f7a728b2 · fuel 6,527 of 10,000,000, own 5,012 · failed: the contract refused (1): the sale is over
//! └─ tickets.buy(023746) · native · fuel 1,515, own 1,515 · taken back
//!    ├─ read "closes" 8 bytes
//!    └─ failed: the contract refused (1): the sale is over
//!
//! method                         calls  failed  own fuel    fuel  least  median   most
//! tickets.buy                        3       1     7,745   7,745  1,515   3,115  3,115
//! lifecycle.instantiate              1       0     5,775   6,887  6,887   6,887  6,887
//! lifecycle.upload                   1       0     4,316   4,316  4,316   4,316  4,316
//! tickets.holder                     1       0     1,539   1,539  1,539   1,539  1,539
//! tickets.constructor                1       0     1,112   1,112  1,112   1,112  1,112
//! lifecycle.describe                 1       0     1,000   1,000  1,000   1,000  1,000
//! transactions outside of calls      7            36,424  36,424
//! ```

mod conformance;
mod control;
mod events;
mod hooked;
mod ledger;
mod lifecycle;
mod probe;
mod recorder;
mod state;
mod typed;

pub use conformance::{Violation, conformance};
pub use control::Snapshot;
pub use events::{EventMismatch, Events};
pub use hooked::HookedExecutor;
pub use ledger::{TestError, TestLedger};
pub use probe::Probe;
pub use recorder::Recorder;
pub use state::MapState;
pub use typed::answer;
