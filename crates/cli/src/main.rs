//! The node binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledgerkit_cli::main(std::env::args_os())
}
