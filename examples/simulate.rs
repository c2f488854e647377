//! Runs hosts and whole networks of real nodes in a simulated world, from seeds.
//!
//! ```text
//! cargo run --release --example simulate -- --protocol bft --nodes 7 --byzantine 2 --seeds 1000 --report report.json
//! cargo run --release --example simulate -- --scenario crashes --seeds 100
//! cargo run --release --example simulate                                     # lists the scenarios
//! ```
//! A run that breaks a law prints the command that repeats it. What is held to which laws, and how many seeds of it, is
//! in `docs/reliability.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledgerkit::simulation::command::main(std::env::args().skip(1))
}
