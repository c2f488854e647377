//! Consensus engines as pure state machines, and the seam that they share.
//!
//! ```text
//!                    Input                                     Output
//!   driver ── Start, Proposed, Applied ──▶  Consensus  ── Persist, Voted, Propose, Finalize, Halt ──▶ driver
//!      ▲        Message, Timer, Work,                      Send, Broadcast, SetTimer, Verify,          │
//!      │        Verified, Checked, Synced                  Check, FellBehind, Evidence                 │
//!      └──────────────── log (one group commit), blocks from the mempool, execution, peers ◀───────────┘
//! ```
//!
//! # The contract
//! An engine orders payloads and knows nothing of state. A payload is an encoded block; its header's digest names it.
//!
//! The **driver** promises:
//! 1. `Start` comes first and once. Its tip is the last header that the log proves final.
//! 2. *Persist first.* The `Persist`s of one step are appended to the log as one atomic group. No `Send`, `Broadcast` or
//!    `Finalize` of that step, or of a later one, is acted upon before they are durable and the guard has moved to
//!    `Voted`.
//! 3. A `Propose` is answered at most once, with a block on the parent it names that passes
//!    [`Block::check_against`](ledger_core::Block::check_against). It stays open while there is nothing to order; an
//!    engine must not depend on an answer.
//! 4. `Applied` follows every `Finalize`, in order of heights.
//! 5. `now` never runs backwards.
//!
//! The **engine** promises:
//! 1. *Determinism.* Outputs follow from the inputs alone: no clock, randomness, threads or hash-map order.
//! 2. *Order.* `Finalize` comes in height order, one a height, each on the one before.
//! 3. *Proof.* Header and certificate of a `Finalize` satisfy the chain's [`Finality`](ledger_core::Finality).
//! 4. *Recovery.* Every record needed to go on after a crash was a `Persist`; a vote is never repeated with another
//!    content, from whatever crash point (the [`VoteSigner`](ledger_crypto::VoteSigner) holds it to that).
//! 5. *Bounds.* Memory doesn't grow with what others send.
//! 6. *Halt, don't guess.* After `Halt` nothing follows.
//!
//! Both enums are `non_exhaustive`. An engine without peers ([`Solo`]) uses the first line of the
//! picture only; [`Bft`] uses all of it.
//!
//! # Failure
//! An engine doesn't fail by itself: its signer can refuse, which is a [`Halt`]; the driver then stops the chain and says
//! why.
//!
//! # Example
//! ```
//! use ledger_consensus::{Consensus, EngineFactory, Input, Output, Setup, Solo};
//! use ledger_core::{Genesis, Timestamp};
//! use ledger_crypto::{Digest, MemoryGuard, MemorySigner, Signer};
//!
//! let signer = MemorySigner::from_seed([3; 32]);
//! let genesis = Genesis::solo("example", signer.public_key(), Timestamp(0));
//! let tip = genesis.header();
//! let setup = Setup {
//!     genesis: &genesis,
//!     chain: genesis.chain(),
//!     log: Digest::ZERO,
//!     tip: &tip,
//!     records: Vec::new(),
//!     guard: Box::new(MemoryGuard::new()),
//! };
//! let mut started = Box::new(Solo::new(signer)).start(setup)?;
//!
//! let mut out = Vec::new();
//! started.engine.step(Timestamp(0), Input::Start { tip: genesis.header() }, &mut out);
//! assert!(matches!(out.as_slice(), [Output::Propose { .. }]));
//! # Ok::<(), ledger_consensus::StartError>(())
//! ```
//!
//! # Features
//! `planted-bugs`: [`BftConfig`] has a field that makes the engine break one of its rules, for tests of tests.
#![forbid(unsafe_code)]

pub mod bft;
mod observer;
mod seam;
pub mod solo;
pub mod testing;

pub use bft::{Bft, BftConfig};
pub use observer::Observer;
pub use seam::{
    Consensus, EngineFactory, Halt, Input, Output, Record, RecordKind, RequestId, Setup, SharedSigner, StartError,
    Started, TimerId,
};
pub use solo::Solo;
