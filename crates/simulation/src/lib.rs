//! A seeded world for real node cores and for bare protocols.
#![forbid(unsafe_code)]

pub mod catalog;
mod clients;
mod faults;
mod host;
mod keys;
mod lives;
mod oracle;
mod planted;
mod random;
mod report;
mod scenario;
mod schedule;
mod settings;
mod shell;
mod trace;
mod world;

pub use faults::Fault;
pub use planted::PlantedBug;
pub use random::Random;
pub use report::{Counters, Failure, Report, Violation};
pub use scenario::{Scenario, one_owner};
