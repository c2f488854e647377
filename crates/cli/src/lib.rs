//! The node binary `ledgerkit`: makes a network's keys and settings, runs a node, verifies proofs, inspects data folders,
//! makes snapshots and begins from them.
//!
//! ```text
//!   ledgerkit init ──▶ genesis.bin, trust-root.bin, node-1 … node-N
//!                                                      │ ledgerkit.toml, node.key
//!   ledgerkit run --config node-1/ledgerkit.toml ◀─────┘
//!        │ data/ (log, views), guard/ (the last vote)
//!        ├──▶ ledgerkit snapshot export ──▶ folder ──▶ ledgerkit snapshot import ──▶ another data/
//!        ├──▶ ledgerkit inspect data/      what a folder holds, and where it is damaged, without changing a byte
//!        └──▶ proofs ──▶ ledgerkit verify proof.json --trust trust-root.bin
//! ```
//!
//! # Contract
//! - Every command takes `--json`: its answer is then one JSON value on standard output, and an error is `{"error": …}` on
//!   standard error. Exit status: 0 done, 1 refused or failed, 2 wrong command line.
//! - Nothing is overwritten, and no command shows a secret key or a passphrase. (`token` shows the token that it makes.)
//! - A settings file says everything that isn't a default; a key that isn't known is an error ([`config`]).
//!
//! # Example
//! ```
//! use ledgerkit_cli::config::Config;
//!
//! let config = Config::parse("genesis = \"../genesis.bin\"\n[log]\nlevel = \"debug\"\n")?;
//! assert_eq!(config.log.level, "debug");
//! assert!(Config::parse("genesi = \"genesis.bin\"").unwrap_err().to_string().contains("unknown field `genesi`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failure
//! An error names the file, the setting or the address that it is about; see [`CliError`].
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

mod arguments;
pub mod config;
mod error;
mod files;
mod init;
mod inspect;
mod keys;
mod node;
mod output;
mod page;
mod passphrase;
pub mod proof_file;
mod run;
mod snapshot;
mod verify;

pub use error::CliError;

use arguments::{Arguments, Command};
use clap::Parser;
use output::Output;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with its arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows which stream and status each takes.
            let status = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let output = Output { json: arguments.json };
    let outcome = match arguments.command {
        Command::Init(options) => init::run(&options, output),
        Command::Run(options) => run::run(&options, output),
        Command::Keys(command) => keys::run(&command, output),
        Command::Token(options) => keys::token(&options, output),
        Command::Verify(options) => verify::run(&options, output),
        Command::Snapshot(command) => snapshot::run(&command, output),
        Command::Inspect(options) => inspect::run(&options, output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}
