//! node
#![forbid(unsafe_code)]
pub mod core;
pub mod guard;
pub mod mempool;
