//! The WebAssembly runtime does what every runtime has to do, on each of its engines; and what a contract does badly is a
//! receipt with a clear reason and no other effect.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_contracts::LedgerExecutor;
use ledger_contracts::testing::{TestLedger, conformance};
use ledger_contracts::wasm::{WASM, WasmRuntime};
use ledger_core::codec::Text;
use ledger_core::{Failure, Fuel, Receipt, Status, TransactionBuilder};
use ledger_crypto::MemorySigner;

const LIMIT: Fuel = Fuel(5_000_000);
const PROBE: &str = include_str!("wasm_support/probe.wat");

fn engines() -> Vec<fn() -> WasmRuntime> {
    vec![
        || WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        || WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

#[test]
fn every_engine_conforms() {
    let probe = wat::parse_str(PROBE).unwrap();
    for engine in engines() {
        // Engines are costly to set up, and the suite makes many.
        conformance(engine, &probe, b"\0asm no module").unwrap();
    }
}

/// Deploys a module with the method `m` after a put of `before` under `k`, calls it, and gives the receipt if nothing
/// of what it did remained.
fn receipt_of(engine: fn() -> WasmRuntime, body: &str) -> Receipt {
    let text = format!(
        r#"(module
            (import "ledgerkit.1" "put" (func $put (param i32 i32 i32 i32)))
            (import "ledgerkit.1" "emit" (func $emit (param i32 i32 i32 i32)))
            (memory 1)
            (table 3 funcref)
            (elem (i32.const 1) $takes_one)
            (type $plain (func))
            (data $passive "abc")
            (data (i32.const 0) "kbefore")
            (func $takes_one (param i32))
            (func $deep (param i64) (result i64)
                (i64.add (call $deep (i64.sub (local.get 0) (i64.const 1))) (i64.const 1)))
            (func (export "call_before") (call $put (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 6)))
            (func (export "call_m")
                (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 7))
                (call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 7))
                {body}))"#
    );
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(engine()));
    let signer = MemorySigner::from_seed([1; 32]);
    let contract = ledger.deploy(&signer, WASM, &wat::parse_str(text).unwrap(), b"").unwrap();
    assert!(ledger.call(&signer, contract, "before", b"").unwrap().receipt.succeeded());
    let call = TransactionBuilder::call(ledger.chain(), contract, "m", Vec::new());
    let result = ledger.submit(&signer, call.fuel_limit(LIMIT)).unwrap();
    if !result.receipt.succeeded() {
        let kept = ledger.state.iter().find(|(key, _)| key.namespace == contract && &*key.name == b"k").unwrap();
        assert_eq!((&*kept.1.value, result.events.len()), (&b"before"[..], 0), "{body}");
    }
    result.receipt
}

#[test]
fn what_a_contract_runs_into_is_named_and_undone() {
    let cases = [
        ("unreachable", "unreachable executed"),
        ("(drop (i32.load (i32.const 65533)))", "memory access out of bounds"),
        ("(i64.store (i32.const -1) (i64.const 1))", "memory access out of bounds"),
        ("(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))", "memory access out of bounds"),
        ("(memory.init $passive (i32.const 0) (i32.const 2) (i32.const 2))", "memory access out of bounds"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        ("(drop (i64.rem_u (i64.const 1) (i64.const 0)))", "integer divide by zero"),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "integer overflow"),
        ("(call_indirect (type $plain) (i32.const 3))", "table access out of bounds"),
        ("(table.copy (i32.const 0) (i32.const 2) (i32.const 2))", "table access out of bounds"),
        ("(call_indirect (type $plain) (i32.const 0))", "indirect call to null"),
        ("(call_indirect (type $plain) (i32.const 1))", "indirect call type mismatch"),
        ("(drop (call $deep (i64.const 0)))", "stack exhausted"),
        ("(call $emit (i32.const 65530) (i32.const 7) (i32.const 0) (i32.const 0))", "memory access out of bounds"),
        (
            "(i32.store8 (i32.const 9) (i32.const 255)) (call $emit (i32.const 9) (i32.const 1) (i32.const 0) (i32.const 0))",
            "an event's topic isn't UTF-8",
        ),
    ];
    for engine in engines() {
        for (body, words) in cases {
            let receipt = receipt_of(engine, body);
            let expected = Status::Failed(Failure::Trapped { message: Text::from(words) });
            assert_eq!(receipt.status, expected, "{body}");
            assert!(receipt.fuel_used < LIMIT, "{body}");
        }
    }
}

#[test]
fn endless_loops_end_with_the_fuel() {
    let expected = Status::Failed(Failure::OutOfFuel { limit: LIMIT });
    for engine in engines() {
        for body in [
            "(loop (br 0))",
            "(loop (br_if 0 (i32.const 1)))",
            "(loop (drop (memory.grow (i32.const 1))) (br 0))",
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1))",
            "(loop (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)) (br 0))",
        ] {
            let receipt = receipt_of(engine, body);
            assert_eq!((receipt.status, receipt.fuel_used), (expected.clone(), LIMIT), "{body}");
        }
    }
}

#[test]
fn memory_grows_to_its_maximum_and_not_further() {
    for engine in engines() {
        for body in [
            // The rules' maximum, since the module names none.
            "(if (i32.ne (memory.grow (i32.const 255)) (i32.const 1)) (then unreachable))
             (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
             (i32.store (i32.const 16777212) (i32.const 1))",
            "(if (i32.ne (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable))
             (if (i32.ne (memory.size) (i32.const 1)) (then unreachable))",
            "(if (i32.ne (memory.grow (i32.const 0)) (i32.const 1)) (then unreachable))",
        ] {
            let receipt = receipt_of(engine, body);
            assert!(receipt.succeeded(), "{body}: {receipt:?}");
        }
    }
}
