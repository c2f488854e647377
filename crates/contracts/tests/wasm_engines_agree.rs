//! Each engine is the other's oracle: the same output, trap, fuel, and calls of the host, for generated modules with any
//! amount of fuel. The variable `WASM_CASES` says how many.
#![cfg(feature = "wasmtime")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::testing::TestLedger;
use ledger_contracts::wasm::{WASM, WasmRuntime, WasmtimeConfig, engine_error};
use ledger_contracts::{LedgerExecutor, Runtime, Trap};
use ledger_core::{AccountId, Fuel, Rules, TransactionBuilder};
use ledger_crypto::{Digest, MemorySigner};
use std::collections::BTreeMap;
use wasm_support::{Numbers, Remembering, cases, generated, generator, prepared, run};

#[test]
fn both_engines_do_the_same_with_generated_modules() {
    let (wasmi, wasmtime) = (WasmRuntime::wasmi().unwrap(), WasmRuntime::wasmtime(WasmtimeConfig::at_once()).unwrap());
    let rules = Rules::default();
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let mut asked = 0;
    for seed in 0..cases(100) {
        let mut numbers = Numbers(seed);
        let config = wasm_smith::Config { disallow_traps: seed % 3 == 0, ..generator(seed % 5 != 0) };
        let module = generated(&config, seed);
        let (one, other) = match (wasmi.prepare(&module, &rules), wasmtime.prepare(&module, &rules)) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(one), Err(other)) if one == other => continue,
            (one, other) => panic!("seed {seed}: {:?}, {:?}", one.err(), other.err()),
        };
        for method in ["a", "b"] {
            // Also with less than it needs: then both must stop with the host having heard the same.
            let limits = [3_000_000, numbers.below(200_000) as u64 + 2_000];
            for limit in limits {
                let arguments = numbers.bytes(40);
                let mut hosts = (Remembering::new(limit), Remembering::new(limit));
                let first = run(&wasmi, &one, method, &arguments, &mut hosts.0);
                let second = run(&wasmtime, &other, method, &arguments, &mut hosts.1);
                assert_eq!(first, second, "seed {seed}, method {method}, limit {limit}");
                assert_eq!(hosts.0, hosts.1, "seed {seed}, method {method}, limit {limit}");
                asked += hosts.0.calls.len();
                let end = match first {
                    Ok(_) => "done".to_owned(),
                    Err(Trap::Refused { .. }) => "refused".to_owned(),
                    Err(trap) => trap.to_string(),
                };
                *ends.entry(end).or_default() += 1;
            }
        }
    }
    println!("{asked} calls of the host; {ends:#?}");
    // Otherwise the generator has lost what is of interest.
    assert!(ends.len() >= 5 && ends["done"] > 20, "{ends:#?}");
}

/// A function that calls itself, with many values that a compiler keeps at once: each is computed before and after the
/// call from the same operands.
fn wide(values: usize) -> String {
    let uses = |from: usize| {
        (0..values)
            .map(|index| {
                format!(
                    "(i64.store (i32.const {}) (i64.mul (i64.xor (local.get 0) (i64.const {})) (local.get 0)))",
                    from + 8 * index,
                    index + 1
                )
            })
            .collect::<String>()
    };
    format!(
        r#"(module (memory 1)
            (func $deep (param i64) {} (call $deep (i64.add (local.get 0) (i64.const 1))) {})
            (func (export "call_m") (call $deep (i64.const 1))))"#,
        uses(0),
        uses(32_768)
    )
}

#[test]
fn the_counted_stack_ends_before_any_engines_own() {
    let (wasmi, wasmtime) = (WasmRuntime::wasmi().unwrap(), WasmRuntime::wasmtime(WasmtimeConfig::at_once()).unwrap());
    let exhausted = Err(Trap::broken("stack exhausted"));
    for text in [
        r#"(module (func $f (call $f)) (func (export "call_m") (call $f)))"#.to_owned(),
        r#"(module (table 1 funcref) (elem (i32.const 0) $f) (func $f (call_indirect (i32.const 0))) (func (export "call_m") (call $f)))"#.to_owned(),
        format!(
            r#"(module (func $f (param {0}) (call $f {1})) (func (export "call_m") (call $f {2})))"#,
            "i64 ".repeat(100),
            (0..100).map(|index| format!("(local.get {index})")).collect::<String>(),
            "(i64.const 1)".repeat(100),
        ),
        wide(3),
        wide(30),
        wide(300),
        wide(1_000),
    ] {
        for runtime in [&wasmi, &wasmtime] {
            let code = prepared(runtime, &text);
            let done = run(runtime, &code, "m", b"", &mut Remembering::new(90_000_000));
            assert_eq!(done, exhausted, "{}", &text[..100]);
        }
    }
}

/// Found by the test above: wasmi 2.0.0 chose the wrong value where a `select` followed a comparison with zero.
#[test]
fn a_select_behind_a_comparison_chooses_the_same() {
    let text = r#"(module
        (import "ledgerkit.1" "return" (func $return (param i32 i32)))
        (memory 1) (global $g (mut i64) (i64.const 5))
        (func $zero (result i32) (i32.const 0))
        (func (export "call_m") (local $a i32) (local $x i64)
            (call $zero) (local.set $x (global.get $g)) (local.set $a)
            (i32.store8 (i32.const 0) (select (i32.const 1) (local.get $a) (i32.eqz (local.get $a))))
            (call $return (i32.const 0) (i32.const 1))))"#;
    for runtime in [WasmRuntime::wasmi().unwrap(), WasmRuntime::wasmtime(WasmtimeConfig::at_once()).unwrap()] {
        let code = prepared(&runtime, text);
        assert_eq!(run(&runtime, &code, "m", b"", &mut Remembering::new(1_000_000)), Ok(vec![1]));
    }
}

/// A contract that calls itself read-only, 16 times within each other, needs 16 instances.
#[test]
fn a_pool_that_is_empty_changes_nothing() {
    let text = r#"(module
        (import "ledgerkit.1" "contract" (func $contract (param i32)))
        (import "ledgerkit.1" "result" (func $result (param i32 i32 i32)))
        (import "ledgerkit.1" "result_len" (func $result_len (result i32)))
        (import "ledgerkit.1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
        (import "ledgerkit.1" "return" (func $return (param i32 i32)))
        (memory 1) (data (i32.const 16) "again")
        (func (export "call_again")
            (call $contract (i32.const 3000))
            (drop (call $call (i32.const 3000) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1)))
            (call $result (i32.const 4001) (i32.const 0) (call $result_len))
            (call $return (i32.const 4000) (i32.add (call $result_len) (i32.const 1)))))"#;
    let code = wat::parse_str(text).unwrap();
    let pooled = |instances| WasmRuntime::wasmtime(WasmtimeConfig { instances, ..WasmtimeConfig::at_once() }).unwrap();
    let mut same = Vec::new();
    for runtime in [WasmRuntime::wasmi().unwrap(), pooled(512), pooled(16), pooled(3), pooled(1)] {
        let mut ledger = TestLedger::new(LedgerExecutor::default().with(runtime));
        let signer = MemorySigner::from_seed([1; 32]);
        let contract = ledger.deploy(&signer, WASM, &code, b"").unwrap();
        let call = TransactionBuilder::call(ledger.chain(), contract, "again", Vec::new());
        let receipt = ledger.submit(&signer, call.fuel_limit(Fuel(50_000_000))).unwrap().receipt;
        assert!(receipt.succeeded(), "{receipt:?}");
        let simulated = ledger.simulate(AccountId(Digest::new([3; 32])), contract, "again", b"").unwrap();
        assert_eq!((&simulated.status, &simulated.output), (&receipt.status, &receipt.output));
        same.push((receipt.output, receipt.fuel_used, simulated.fuel_used));
    }
    assert_eq!(same[0].0.iter().take_while(|&&byte| byte == 0).count(), 16);
    assert!(same.windows(2).all(|pair| pair[0] == pair[1]), "{same:?}");
}

#[test]
fn what_would_take_long_to_compile_is_interpreted() {
    let (wasmi, wasmtime) = (WasmRuntime::wasmi().unwrap(), WasmRuntime::wasmtime(WasmtimeConfig::at_once()).unwrap());
    let sums: String =
        (1..129).map(|local| format!("(local.set {local} (i64.add (local.get {local}) (i64.const 1)))")).collect();
    for text in [
        // Time in proportion to the values and the square of the loops.
        format!(
            r#"(module (func (export "call_m") (local i32) (local {}) {} {sums} {}))"#,
            "i64 ".repeat(128),
            "(loop ".repeat(400),
            "(br_if 0 (local.get 0)))".repeat(400)
        ),
        // Much for each function, however small; a module has to be of some length to have so many.
        format!(r#"(module {} (func (export "call_m")) (data "{}"))"#, "(func)".repeat(2_000), "a".repeat(24_000)),
        format!(
            r#"(module (table 1 funcref) (elem (i32.const 0) $f) (func $f) (func (export "call_m") {}))"#,
            "(call_indirect (i32.const 0))".repeat(2_000)
        ),
    ] {
        let (one, other) = (prepared(&wasmi, &text), prepared(&wasmtime, &text));
        let reason = engine_error(&other).unwrap_or_default();
        assert!(reason.starts_with("compiling "), "{reason}: {}", &text[..60]);
        assert_eq!(engine_error(&one), None);
        let mut hosts = (Remembering::new(10_000_000), Remembering::new(10_000_000));
        assert_eq!(run(&wasmi, &one, "m", b"", &mut hosts.0), Ok(Vec::new()));
        assert_eq!(run(&wasmtime, &other, "m", b"", &mut hosts.1), Ok(Vec::new()));
        assert_eq!(hosts.0, hosts.1);
    }
    // What people deploy is compiled.
    for name in ["token", "token_c", "token_assemblyscript", "titles"] {
        let path = format!("{}/../../examples/contracts/fixtures/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
        let code = wasmtime.prepare(&std::fs::read(path).unwrap(), &Rules::default()).unwrap();
        assert_eq!(engine_error(&code), None, "{name}");
    }
}
