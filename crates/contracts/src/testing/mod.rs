//! For tests of contracts and of runtimes: a state in memory, a chain of one in memory, the conformance suite.

mod ledger;
mod state;

pub use ledger::{TestError, TestLedger};
pub use state::MapState;
