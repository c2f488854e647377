//! Programs of host calls, on ledgers.

use super::ledgers::{Ledger, account, alice, apply_everywhere, label, ledgers, sign};
use super::program::{Forecast, Program};
use arbitrary::Unstructured;
use ledger_contracts::LIFECYCLE;
use ledger_contracts::wasm::WASM;
use ledger_core::codec::Bytes;
use ledger_core::{
    Call, Context, ContractId, Executor, Failure, Fuel, Simulation, Status, TransactionBuilder, TransactionResult,
};

/// What a program of host calls may end with.
const WORDS: [&str; 3] = ["memory access out of bounds", "an event's topic isn't UTF-8", "a method's name isn't UTF-8"];

/// A program is deployed and called. Whatever it asks for, there is a receipt; one that reaches outside of its memory fails
/// for that reason; a failure leaves nothing; a second run and every other engine give the same; and it succeeds with the
/// fuel that it used, and not with less.
pub(crate) fn run(input: &[u8]) -> Vec<String> {
    let program = Program::new(&mut Unstructured::new(input));
    let text = program.text();
    let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (mut ledgers, residents) = ledgers();
    let chain = ledgers[0].ledger.chain();

    let deployment = sign(&mut ledgers, alice(), &TransactionBuilder::deploy(chain, WASM, module, Vec::new()));
    let contract = ContractId::deployed_by(&deployment.id());
    let deployed = apply_everywhere(&mut ledgers, &[deployment]).results.remove(0);
    check(&deployed.receipt.status, program.forecast(&program.construct, 0), &text);
    if !deployed.receipt.succeeded() {
        return vec!["constructor failed".to_owned()];
    }
    let mut seen: Vec<String> = reached(&program.construct);

    let unknown = ContractId(ledger_crypto::Digest::new([0xee; 32]));
    let contracts = [contract, residents.friend, LIFECYCLE, residents.probe, unknown].map(|id| *id.0.as_bytes());
    let arguments = program.arguments(contracts);
    let before = ledgers[0].clone();
    let call = TransactionBuilder::call(chain, contract, "m", arguments.clone()).fuel_limit(Fuel(program.fuel));
    let call = sign(&mut ledgers, alice(), &call);
    let result = apply_everywhere(&mut ledgers, &[call]).results.remove(0);
    check(&result.receipt.status, program.forecast(&program.main, arguments.len()), &text);
    simulate(&program, &before, contract, &arguments, &result, &text);
    if result.receipt.succeeded() {
        seen.extend(reached(&program.main));
    }
    seen.push(label(&result.receipt.status));
    seen
}

/// The imports that a method which came to its end has asked for.
fn reached(steps: &[super::program::Step]) -> Vec<String> {
    Program::imports(steps).map(|name| format!("import {name}")).collect()
}

/// Whether a program may end so.
fn check(status: &Status, forecast: Forecast, text: &str) {
    let Forecast { outside, perhaps_outside, refuses } = forecast;
    let fine = match status {
        Status::Succeeded => !outside && !refuses,
        Status::Failed(Failure::Trapped { message }) if message.as_str() == WORDS[0] => outside || perhaps_outside,
        Status::Failed(Failure::Trapped { message }) => WORDS.contains(&message.as_str()),
        Status::Failed(Failure::Refused { .. }) => refuses && !outside,
        Status::Failed(Failure::OutOfFuel { .. } | Failure::Limit { .. }) => true,
        _ => false,
    };
    assert!(fine, "{status:?}, but the forecast is {forecast:?}, of\n{text}");
}

/// A simulation takes the path of a transaction; with the fuel that it used it does the same, with less it doesn't.
fn simulate(
    program: &Program,
    before: &Ledger,
    contract: ContractId,
    arguments: &[u8],
    result: &TransactionResult,
    text: &str,
) {
    let ledger = &before.ledger;
    let header = ledger.block(Vec::new()).header;
    let context =
        Context { chain: ledger.chain(), height: header.height, timestamp: header.timestamp, rules: &ledger.rules };
    let with = |fuel_limit: Fuel| -> Simulation {
        let (account, arguments) = (account(alice()), Bytes::from(arguments));
        let call = Call { account, contract, method: "m".to_owned(), arguments, fuel_limit };
        ledger.executor.simulate(&call, &context, &ledger.state).unwrap()
    };
    let whole = with(Fuel(program.fuel));
    // A simulation isn't told a transaction's id, and may do something else without.
    if !program.asks("transaction") {
        let receipt = &result.receipt;
        assert_eq!((&whole.status, whole.fuel_used), (&receipt.status, receipt.fuel_used), "of\n{text}");
        assert!(whole.output == receipt.output && whole.events[..] == result.events[..], "of\n{text}");
    }
    if whole.status == Status::Succeeded && !program.asks("fuel_left") {
        assert_eq!(with(whole.fuel_used), whole, "with the fuel that it used, of\n{text}");
        let less = with(Fuel(whole.fuel_used.0 - 1)).status;
        assert!(matches!(less, Status::Failed(Failure::OutOfFuel { .. })), "{less:?} with less, of\n{text}");
    }
}
