//! A seeded world for real node cores and for bare protocols: everything that happens in a run, and every fault, follows
//! from one number.
//!
//! ```text
//!   clients ── sign, send, retry, misbehave ──▶ ┌ ChainCore::step ┐ × chains ──▶ oracles: one for each chain,
//!      ▲                                        │  (the node's)   │              outside every crash
//!      └───────── answers ◀──── effects ◀───────┴────────▲────────┘                     ▲
//!                                 │ persist, execute,    │ events, on a simulated clock │
//!                                 ▼ check, wake          │ with delays of chance        │
//!            Log (real) on SimulatedDisk ── ChainStore (real) on MemoryEngine ── recovery (the node's) after each crash
//!            torn and lost writes,          comes back as of any earlier batch
//!            failing syncs, full
//! ```
//!
//! # What is real, and what is simulated
//! Real: the core with its mempool, driver and engine; executor and contracts; the two stages that execute a block while
//! the one before it is stored; the log, the views, the vote guard, and the recovery that brings them together; block
//! signatures, and transaction signatures in a share of the seeds.
//! Simulated: the shell around the core (time, delays, the order in which results arrive, whether a block is executed
//! before, behind or around the storing of the one before it), the disk, and the key-value
//! engine. `fjall` doesn't live on the simulated disk, so the views come back from a crash as they were after any
//! earlier batch, also empty, which is all that the [`Engine`](ledger_storage::engine::Engine) seam promises.
//!
//! One owner's host ([`one_owner`]) has no peers, and no adversaries but clients; a [`network`] has both: n machines like
//! this one, links between them, and nodes that lie. Bare protocols ([`protocol`]) run alone.
//!
//! # The laws
//! Oracles trust codec, digests and signatures, and nothing of node, storage and execution:
//! - What was told to be *ordered* is in the recovered chain, in the same block at the same height.
//! - There is one certified block at a height, for ever, whatever was lost in between.
//! - A receipt that was seen never changes; receipts and state root are those of a second, simple implementation.
//! - A log that was cut says what the whole log said; what a chain's policy promises is read and proven, and what was given
//!   up is refused by name ([`Scenario::growth`]).
//! - Headers commit to the history of what was executed; a light client follows every checkpoint by consistency proofs.
//! - Every block holds only transactions that their accounts signed; every answer fits its transaction.
//! - A chain stops only for a fault of its disk, and names it. A host recovers from whatever a crash or fault left.
//! - When faults stop, everything accepted is certified; an idle chain makes no blocks; in the end, the log alone gives
//!   the same views again.
//!
//! And of a network:
//! - Honest nodes finalize the same blocks, in order; what they finalize is certified by a quorum of distinct validators,
//!   counted by the oracle itself; no two blocks are certified at one height, whoever shows the certificate.
//! - What a node finalized is never lost to it; nodes that execute a block get the same outcome.
//! - An honest validator's votes never contradict each other, for life; evidence is sound and never names one. When so many
//!   lie that the chain forks, what honest nodes have received proves more validators guilty than the chain tolerates.
//! - A signer refuses a data folder that isn't the one it voted with.
//! - Once the network heals, a decision comes within f + 2 views, and ten more heights after it, on every honest node.
//!
//! No failure in N seeds says that the rate of failures is below 3/N (at 95 %), among runs like these.
//!
//! # Example
//! ```
//! use ledger_simulation::one_owner;
//!
//! let report = one_owner().chains(2).transactions(15).crashes(1).nested(100).run(17)?;
//! assert!(report.counters.get("crash: power cut at an I/O operation") >= 1);
//! assert_eq!(report.trace, one_owner().chains(2).transactions(15).crashes(1).nested(100).run(17)?.trace);
//! # Ok::<(), ledger_simulation::Failure>(())
//! ```
//! And a network in which one of four lies:
//! ```
//! use ledger_simulation::network::{Adversary, network};
//!
//! let report = network(4).byzantine(1, Adversary::Equivocate).partition(200..900).heal_at(1_500).run(17)?;
//! assert!(report.counters.get("adversary: equivocated") > 0);
//! # Ok::<(), ledger_simulation::Failure>(())
//! ```
//!
//! # What happens on failure
//! A broken law is a [`Failure`]: it names the law, what was found, and the one command that repeats the run, such as
//! `cargo run --release -p ledger-simulation --bin simulate -- --scenario crashes --seed 17` (with `--trace` for every
//! event and effect). A panic anywhere in a core is a broken law too.
//!
//! # Features
//! - `planted-bugs`: lets a scenario break a rule of the consensus engine, to see whether the laws catch it. None is
//!   broken unless a scenario says so. The bugs that tests plant into the world's shell ([`PlantedBug`]) are values too.
#![forbid(unsafe_code)]

pub mod catalog;
mod clients;
pub mod command;
mod faults;
mod growing;
mod growth;
mod host;
mod keys;
mod lives;
pub mod network;
mod oracle;
mod planted;
pub mod protocol;
mod random;
mod report;
mod scenario;
mod schedule;
mod settings;
mod shell;
mod stages;
mod trace;
mod truth;
mod world;

pub use faults::Fault;
pub use planted::PlantedBug;
pub use random::Random;
pub use report::{Counters, Failure, Report, Violation};
pub use scenario::{Scenario, one_owner};
