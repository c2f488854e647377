//! The engine wasmtime compiles what is used, beside execution; nobody can tell by results or fuel.
#![cfg(feature = "wasmtime")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::wasm::{Compilation, WasmRuntime, WasmtimeConfig, engine_error, instrument, is_compiled};
use ledger_core::Rules;
use std::time::{Duration, Instant};
use wasm_support::{Remembering, prepared, run};

/// A module that goes round as often as the arguments are long, times a hundred, and gives what it has counted.
const COUNT: &str = r#"(module
    (import "ledgerkit.1" "arguments_len" (func $len (result i32)))
    (import "ledgerkit.1" "return" (func $return (param i32 i32)))
    (memory 1)
    (func (export "call_count") (local $n i32) (local $end i32)
        (local.set $end (i32.mul (call $len) (i32.const 100)))
        (loop $again
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get $n)))
            (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (local.get $end))))
        (call $return (i32.const 0) (i32.const 4))))"#;

/// What a call gives, and its fuel.
fn count(runtime: &WasmRuntime, code: &ledger_contracts::Prepared, length: usize) -> (Vec<u8>, u64) {
    let mut host = Remembering::new(1_000_000_000);
    let output = run(runtime, code, "count", &vec![0; length], &mut host).unwrap();
    (output, host.used)
}

#[test]
fn what_is_used_is_compiled_and_gives_the_same() {
    let wasmtime = WasmRuntime::wasmtime(WasmtimeConfig::default()).unwrap();
    let at_once = WasmRuntime::wasmtime(WasmtimeConfig::at_once()).unwrap();
    assert_eq!(WasmtimeConfig::default().compilation, Compilation::WhenUsed);
    let code = prepared(&wasmtime, COUNT);
    let compiled = prepared(&at_once, COUNT);
    assert!(!is_compiled(&code) && is_compiled(&compiled));
    // One call is far from enough.
    assert_eq!(count(&wasmtime, &code, 1), count(&at_once, &compiled, 1));
    std::thread::sleep(Duration::from_millis(200));
    assert!(!is_compiled(&code));
    let size = instrument(&wat::parse_str(COUNT).unwrap(), &Rules::default().wasm).unwrap().len();
    let enough = u64::try_from(200 * size).unwrap();
    let mut used = 0;
    while used < enough {
        let (output, fuel) = count(&wasmtime, &code, 20);
        assert_eq!((output, fuel), count(&at_once, &compiled, 20));
        used += fuel;
    }
    let start = Instant::now();
    while !is_compiled(&code) {
        assert!(start.elapsed() < Duration::from_secs(60), "it is never compiled");
        count(&wasmtime, &code, 1);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(engine_error(&code), None);
    for length in [0, 1, 20] {
        assert_eq!(count(&wasmtime, &code, length), count(&at_once, &compiled, length));
    }
}
