//! Nothing of a call is left for the next one, though a runtime may keep an instance: memory, globals, table and segments
//! are as in a module that was never run. The variable `WASM_CASES` says how many generated modules are tried.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::Runtime;
use ledger_contracts::wasm::WasmRuntime;
use ledger_core::Rules;
use wasm_support::{Numbers, Remembering, cases, generated, generator, prepared, run};

fn engines() -> Vec<WasmRuntime> {
    vec![
        WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

/// `look` returns both globals, the size of the memory in pages, and 64 bytes of it from its beginning. `change` changes
/// all of that but the size, `fail` too and then traps, `refuse` and then refuses. Both calls have enough fuel.
const CHANGING: &str = r#"(module
    (import "ledgerkit.1" "return" (func $return (param i32 i32)))
    (import "ledgerkit.1" "refuse" (func $refuse (param i32 i32 i32)))
    (memory 1)
    (global $a (mut i32) (i32.const 7))
    (global $fixed i32 (i32.const 5))
    (global $b (mut i64) (i64.const -9))
    (data (i32.const 8) "front") (data (i32.const 10) "over") (data (i32.const 65530) "behind")
    {segments}
    (func $change
        (global.set $a (i32.const 1)) (global.set $b (i64.const 2))
        (memory.fill (i32.const 0) (i32.const 255) (i32.const 65536)) {more})
    (func (export "call_change") (call $change))
    (func (export "call_fail") (call $change) unreachable)
    (func (export "call_refuse") (call $change) (call $refuse (i32.const 1) (i32.const 0) (i32.const 0)))
    (func (export "call_look")
        (i32.store (i32.const 64) (global.get $a)) (i64.store (i32.const 68) (global.get $b))
        (i32.store (i32.const 76) (memory.size)) (i64.store (i32.const 80) (i64.load (i32.const 65528)))
        (i32.store (i32.const 88) (i32.load (i32.const 32768)))
        {looks}
        (call $return (i32.const 0) (i32.const 128))))"#;

fn changing(segments: &str, more: &str, looks: &str) -> String {
    CHANGING.replace("{segments}", segments).replace("{more}", more).replace("{looks}", looks)
}

#[test]
fn a_call_finds_nothing_of_those_before_it() {
    let table = r#"(table 2 funcref) (type $answer (func (result i32)))
        (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
        (elem (i32.const 0) $one $one) (elem $other func $two)"#;
    let looked = "(i32.store (i32.const 96) (call_indirect (type $answer) (i32.const 1)))";
    let passive =
        r#"(data $later "later") (func $use (memory.init $later (i32.const 100) (i32.const 0) (i32.const 5)))"#;
    for (text, what) in [
        (changing("", "", ""), "memory and globals"),
        (changing("", "(drop (memory.grow (i32.const 1)))", ""), "the size of the memory"),
        (changing(table, "(table.init $other (i32.const 1) (i32.const 0) (i32.const 1))", looked), "the table"),
        (
            changing(table, "(elem.drop $other)", "(table.init $other (i32.const 1) (i32.const 0) (i32.const 1))"),
            "elements",
        ),
        (changing(passive, "(data.drop $later)", "(call $use)"), "a segment"),
    ] {
        for runtime in engines() {
            let look = |code| {
                let mut host = Remembering::new(10_000_000);
                (run(&runtime, code, "look", b"", &mut host), host.used)
            };
            let code = prepared(&runtime, &text);
            let before = look(&code);
            assert_eq!(before.0.as_ref().map(Vec::len), Ok(128), "{what}");
            for method in ["change", "look", "fail", "change", "change", "refuse"] {
                let done = run(&runtime, &code, method, b"", &mut Remembering::new(10_000_000));
                assert_eq!(done.is_ok(), !["fail", "refuse"].contains(&method), "{what}: {method}, {done:?}");
                assert_eq!(look(&code), before, "{what}, after {method}");
            }
        }
    }
}

#[test]
fn generated_modules_do_the_same_in_a_used_instance() {
    let rules = Rules::default();
    let mut done = 0;
    // The compiler takes its time, and keeps no instances.
    for (runtime, share) in engines().iter().zip([1, 6]) {
        for seed in 0..cases(60) / share {
            let mut numbers = Numbers(seed);
            let module = generated(&wasm_smith::Config { disallow_traps: seed % 2 == 0, ..generator(true) }, seed);
            let Ok(kept) = runtime.prepare(&module, &rules) else { continue };
            for round in 0..4 {
                let (method, arguments) = (["a", "b"][round % 2], numbers.bytes(40));
                let mut hosts = (Remembering::new(3_000_000), Remembering::new(3_000_000));
                let new = runtime.prepare(&module, &rules).unwrap();
                let expected = run(runtime, &new, method, &arguments, &mut hosts.0);
                assert_eq!(run(runtime, &kept, method, &arguments, &mut hosts.1), expected, "seed {seed}");
                assert_eq!(hosts.0, hosts.1, "seed {seed}");
                done += u32::from(expected.is_ok());
            }
        }
    }
    assert!(done > 20, "{done}");
}
