//! Traces a product from farm to cup.
//!
//! Supply-chain events (EPCIS 2.0) become signed transactions on a ledger with one owner; then the history of a lot is built from
//! nothing but a trust root, a checkpoint and proofs.
//!
//! ```text
//! cargo run --release --example chain_of_origin
//! cargo run --release --example chain_of_origin -- --help
//! ```

#[path = "chain_of_origin/arguments.rs"]
mod arguments;
#[path = "chain_of_origin/documents.rs"]
mod documents;
#[path = "chain_of_origin/ledger.rs"]
mod ledger;
#[path = "chain_of_origin/nearest.rs"]
mod nearest;
#[path = "chain_of_origin/parties.rs"]
mod parties;
#[path = "chain_of_origin/progress.rs"]
mod progress;
#[path = "chain_of_origin/report.rs"]
mod report;
#[path = "chain_of_origin/run.rs"]
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    ExitCode::from(run::run(arguments, &mut std::io::stdout(), &mut std::io::stderr()))
}
