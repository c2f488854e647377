//! For tests of contracts, of runtimes and of what executes them: a state in memory, a chain of one in memory, the
//! conformance suite, an executor that is held up or made to fail.

mod conformance;
mod hooked;
mod ledger;
mod probe;
mod state;

pub use conformance::{Violation, conformance};
pub use hooked::HookedExecutor;
pub use ledger::{TestError, TestLedger};
pub use probe::Probe;
pub use state::MapState;
