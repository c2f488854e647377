//! For tests of contracts and of runtimes: a state in memory, a chain of one in memory, the conformance suite.

mod conformance;
mod ledger;
mod probe;
mod state;

pub use conformance::{Violation, conformance};
pub use ledger::{TestError, TestLedger};
pub use probe::Probe;
pub use state::MapState;
