//! Runs scenarios from seeds and prints what happened how often.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledger_simulation::command::main(std::env::args().skip(1))
}
