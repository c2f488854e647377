//! Traces a product from farm to cup.
//!
//! Supply-chain events (EPCIS 2.0) become signed transactions on a ledger that the parties of the chain keep together, each with
//! a validator in a process of its own; then the history of a lot is built from nothing but a trust root, a checkpoint and
//! proofs.
//!
//! ```text
//! cargo run --release --example chain_of_origin
//! cargo run --release --example chain_of_origin -- --kill
//! cargo run --release --example chain_of_origin -- --runtime wasm
//! cargo run --release --example chain_of_origin -- --tamper
//! cargo run --release --example chain_of_origin -- --help
//! ```

#[path = "chain_of_origin/agreement.rs"]
mod agreement;
#[path = "chain_of_origin/arguments.rs"]
mod arguments;
#[path = "chain_of_origin/book.rs"]
mod book;
#[path = "chain_of_origin/documents.rs"]
mod documents;
#[path = "chain_of_origin/fault.rs"]
mod fault;
#[path = "chain_of_origin/ledger.rs"]
mod ledger;
#[path = "chain_of_origin/machine.rs"]
mod machine;
#[path = "chain_of_origin/member.rs"]
mod member;
#[path = "chain_of_origin/nearest.rs"]
mod nearest;
#[path = "chain_of_origin/network.rs"]
mod network;
#[path = "chain_of_origin/owner.rs"]
mod owner;
#[path = "chain_of_origin/pages.rs"]
mod pages;
#[path = "chain_of_origin/parties.rs"]
mod parties;
mod processes;
#[path = "chain_of_origin/progress.rs"]
mod progress;
#[path = "chain_of_origin/report.rs"]
mod report;
#[path = "chain_of_origin/run.rs"]
mod run;
#[path = "chain_of_origin/tamper.rs"]
mod tamper;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let [first, address, token] = arguments.as_slice()
        && first == processes::CHILD
    {
        let (address, token) = (address.to_string_lossy(), token.to_string_lossy());
        return ExitCode::from(processes::run::<member::MemberProcess>(&address, &token));
    }
    let program = processes::Program::default();
    ExitCode::from(run::run(arguments, &program, &mut std::io::stdout(), &mut std::io::stderr()))
}
