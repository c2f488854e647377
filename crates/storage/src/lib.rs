//! Disks, the log, engines, versioned state and its commitment.
#![forbid(unsafe_code)]

pub mod chain;
pub mod disk;
pub mod engine;
pub mod log;
pub mod state;

pub use engine::testing;
