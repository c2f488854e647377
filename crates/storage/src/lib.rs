//! Disks, the log, engines, versioned state and its commitment.
#![forbid(unsafe_code)]

pub mod disk;
pub mod log;
