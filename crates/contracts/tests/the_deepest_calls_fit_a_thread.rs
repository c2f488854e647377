//! Contracts within each other as deep as any chain's rules can allow, native ones and modules on each engine, on a thread that
//! has just the stack that execution asks for.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::wasm::{WASM, WasmRuntime};
use ledger_contracts::{EXECUTION_STACK_BYTES, LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::{ContractId, Fuel, Receipt, TransactionBuilder};
use ledger_crypto::MemorySigner;

/// The most that the rules can be.
const DEPTH: usize = 64;

fn engines() -> Vec<(&'static str, WasmRuntime)> {
    vec![
        ("wasmi", WasmRuntime::wasmi().unwrap()),
        #[cfg(feature = "wasmtime")]
        ("wasmtime", WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::default()).unwrap()),
    ]
}

/// A ledger with the specimen of conformance, natively and as a module.
fn ledger(engine: WasmRuntime) -> (TestLedger, ContractId, ContractId) {
    let native = NativeRuntime::new().with(Probe);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(native).with(engine));
    ledger.rules.max_call_depth = u32::try_from(DEPTH).unwrap();
    let signer = MemorySigner::from_seed([1; 32]);
    let native = ledger.deploy(&signer, NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
    let module = wat::parse_str(include_str!("wasm_support/probe.wat")).unwrap();
    let module = ledger.deploy(&signer, WASM, &module, b"").unwrap();
    (ledger, native, module)
}

/// The arguments of a call of `callee` that calls the others, each from within the one before, read-only: whoever runs can
/// be entered so.
fn nested(callees: &[ContractId]) -> Vec<u8> {
    let (mut method, mut arguments) = (&b"echo"[..], b"here".to_vec());
    for callee in callees.iter().rev() {
        let mut outer = callee.0.as_bytes().to_vec();
        outer.push(1);
        outer.extend((-1_i64).to_le_bytes());
        outer.push(u8::try_from(method.len()).unwrap());
        outer.extend(method);
        outer.extend(&arguments);
        (method, arguments) = (b"call", outer);
    }
    arguments
}

/// How many calls within each other came back, and what the last of them said.
fn reached(mut answer: &[u8]) -> (usize, &[u8]) {
    let mut levels = 0;
    while let Some((&[0, 0, 0, 0, 0, 0, 0, 0], rest)) = answer.split_first_chunk::<8>() {
        (levels, answer) = (levels + 1, rest);
    }
    (levels, answer)
}

fn call(ledger: &mut TestLedger, contracts: &[ContractId]) -> Receipt {
    let (first, others) = contracts.split_first().unwrap();
    let call = TransactionBuilder::call(ledger.chain(), *first, "call", nested(others));
    ledger.submit(&MemorySigner::from_seed([1; 32]), call.fuel_limit(Fuel(100_000_000))).unwrap().receipt
}

#[test]
fn contracts_call_each_other_to_the_limit_of_depth_or_stack() {
    let work = || {
        for (engine, runtime) in engines() {
            let (mut ledger, native, module) = ledger(runtime);
            let natives = vec![native; DEPTH];
            let modules = vec![module; DEPTH];
            let both: Vec<_> = (0..DEPTH).map(|level| if level % 2 == 0 { native } else { module }).collect();

            // The slots of the rules are just enough for native contracts, which take none beside a call's own.
            let receipt = call(&mut ledger, &natives);
            assert!(receipt.succeeded(), "{engine}: {receipt:?}");
            assert_eq!(reached(&receipt.output), (DEPTH - 1, &b"here"[..]));

            // Modules take more, so they meet the end of the counted stack before.
            for (what, contracts) in [("modules", modules), ("native contracts and modules by turns", both)] {
                let receipt = call(&mut ledger, &contracts);
                assert!(receipt.succeeded(), "{what}, {engine}: {receipt:?}");
                let (levels, words) = reached(&receipt.output);
                println!("{what}, {engine}: {levels} levels, then {:?}", String::from_utf8_lossy(words));
                assert!((48..DEPTH).contains(&levels), "{what}, {engine}: {levels} levels");
                let words = String::from_utf8_lossy(words).into_owned();
                assert!(words.contains("stack"), "{what}, {engine}: {words}");
            }
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(EXECUTION_STACK_BYTES).spawn_scoped(scope, work).unwrap();
        thread.join().unwrap();
    });
}
