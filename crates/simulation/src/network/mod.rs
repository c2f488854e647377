//! A network of real nodes in one thread: machines with disks and clocks of their own, links that delay, lose, repeat,
//! reorder and part, and nodes that lie.
//!
//! ```text
//!    clients ── transactions ──▶ machine 0 … n−1 (and twins)                     oracle, outside every crash
//!                                ┌────────────────────────────────────┐               ▲
//!     plan of faults ──────────▶ │ clock (skewed, stepped)            │ ── blocks, ───┘
//!     (from the seed)            │ ChainCore + Bft (real) ── shell ───┼─ certificates, votes, evidence
//!                                │ Log on SimulatedDisk, views, guard │
//!                                └──────┬──────────────────────▲──────┘
//!                                 Send  │                      │ Received, Connected, Disconnected
//!                      adversary: what a lying node does to it │
//!                                       ▼                      │
//!                                   links: delay, loss, replay, reordering, partitions
//! ```
//! A lying node is a real node whose outgoing messages, memory and number of bodies are the adversary's, and whose key
//! signs whatever the adversary wants. What it can't do is sign with another node's key.

mod adversary;
mod campaign;
mod catalog;
mod clients;
mod engine;
pub mod figures;
mod growth;
mod joining;
mod links;
mod lives;
mod machine;
mod oracle;
mod plan;
mod plot;
mod scenario;
mod schedule;
mod settings;
mod shell;
mod watch;
mod wire;
mod world;

pub use adversary::{Adversary, Manners};
pub use campaign::{Summary, campaign};
pub use catalog::{FAULTS, NETWORKS, NamedNetwork, named_network};
pub use engine::PlantedProtocolBug;
pub use scenario::{Network, network};
pub use world::{DECISION, PROGRESS};
