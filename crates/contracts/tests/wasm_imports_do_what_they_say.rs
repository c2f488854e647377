//! Every import does what the interface says, and none reaches beyond the guest's memory.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::wasm::WasmRuntime;
use ledger_contracts::{Host, HostError, Trap};
use ledger_core::{Fuel, WasmCosts};
use wasm_support::{Remembering, prepared, run};

fn engines() -> Vec<WasmRuntime> {
    vec![
        WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

/// Each import with its type, and a use of it that is right when `{p}` is a pointer to 64 bytes inside: its other
/// pointers are at 0 and its lengths small. The result is dropped.
const USES: &[(&str, &str, &str)] = &[
    ("arguments", "(param i32 i32 i32)", "(call $f {p} (i32.const 0) (i32.const 3))"),
    (
        "result",
        "(param i32 i32 i32)",
        "(drop (call $get (i32.const 0) (i32.const 1))) (call $f {p} (i32.const 0) (i32.const 3))",
    ),
    ("get", "(param i32 i32) (result i64)", "(drop (call $f {p} (i32.const 3)))"),
    ("put", "(param i32 i32 i32 i32)", "(call $f {p} (i32.const 3) (i32.const 0) (i32.const 1))"),
    ("put", "(param i32 i32 i32 i32)", "(call $f (i32.const 0) (i32.const 1) {p} (i32.const 3))"),
    ("delete", "(param i32 i32)", "(call $f {p} (i32.const 3))"),
    (
        "scan",
        "(param i32 i32 i32 i32 i32) (result i32)",
        "(drop (call $f {p} (i32.const 3) (i32.const 0) (i32.const -1) (i32.const 1)))",
    ),
    (
        "scan",
        "(param i32 i32 i32 i32 i32) (result i32)",
        "(drop (call $f (i32.const 0) (i32.const 1) {p} (i32.const 3) (i32.const 1)))",
    ),
    ("emit", "(param i32 i32 i32 i32)", "(call $f {p} (i32.const 3) (i32.const 0) (i32.const 1))"),
    ("emit", "(param i32 i32 i32 i32)", "(call $f (i32.const 0) (i32.const 1) {p} (i32.const 3))"),
    ("caller", "(param i32)", "(call $f {p})"),
    ("contract", "(param i32)", "(call $f {p})"),
    ("chain", "(param i32)", "(call $f {p})"),
    ("transaction", "(param i32) (result i32)", "(drop (call $f {p}))"),
    ("hash_blake3", "(param i32 i32 i32)", "(call $f {p} (i32.const 3) (i32.const 0))"),
    ("hash_blake3", "(param i32 i32 i32)", "(call $f (i32.const 0) (i32.const 3) {p})"),
    ("hash_sha256", "(param i32 i32 i32)", "(call $f (i32.const 0) (i32.const 3) {p})"),
    (
        "verify_ed25519",
        "(param i32 i32 i32 i32) (result i32)",
        "(drop (call $f {p} (i32.const 0) (i32.const 3) (i32.const 0)))",
    ),
    (
        "verify_ed25519",
        "(param i32 i32 i32 i32) (result i32)",
        "(drop (call $f (i32.const 0) {p} (i32.const 3) (i32.const 0)))",
    ),
    (
        "verify_ed25519",
        "(param i32 i32 i32 i32) (result i32)",
        "(drop (call $f (i32.const 0) (i32.const 0) (i32.const 3) {p}))",
    ),
    (
        "call",
        "(param i32 i32 i32 i32 i32 i64 i32) (result i64)",
        "(drop (call $f {p} (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i64.const -1) (i32.const 0)))",
    ),
    (
        "call",
        "(param i32 i32 i32 i32 i32 i64 i32) (result i64)",
        "(drop (call $f (i32.const 0) {p} (i32.const 3) (i32.const 0) (i32.const 1) (i64.const -1) (i32.const 0)))",
    ),
    (
        "call",
        "(param i32 i32 i32 i32 i32 i64 i32) (result i64)",
        "(drop (call $f (i32.const 0) (i32.const 0) (i32.const 1) {p} (i32.const 3) (i64.const -1) (i32.const 0)))",
    ),
    ("return", "(param i32 i32)", "(call $f {p} (i32.const 3))"),
    ("refuse", "(param i32 i32 i32)", "(call $f (i32.const 1) {p} (i32.const 3))"),
];

fn use_of(import: &str, ty: &str, body: &str, memory: &str) -> String {
    format!(
        r#"(module
            (import "ledgerkit.1" "{import}" (func $f {ty}))
            (import "ledgerkit.1" "get" (func $get (param i32 i32) (result i64)))
            {memory}
            (func (export "call_m") {body}))"#
    )
}

#[test]
fn no_import_reaches_beyond_the_memory() {
    let outside = Err(Trap::broken("memory access out of bounds"));
    for runtime in engines() {
        for (import, ty, body) in USES {
            for (pointer, inside) in
                [(64, true), (65_536 - 64, true), (65_536 - 2, false), (65_536, false), (-1, false), (i32::MIN, false)]
            {
                let body = body.replace("{p}", &format!("(i32.const {pointer})"));
                let code = prepared(&runtime, &use_of(import, ty, &body, "(memory 1 1)"));
                let mut host = Remembering::new(1_000_000);
                let done = run(&runtime, &code, "m", b"abc", &mut host);
                if inside {
                    let refused = Err(Trap::refused(1, "\0\0\0"));
                    assert!(
                        done == Ok(vec![0; if *import == "return" { 3 } else { 0 }]) || done == refused,
                        "{body}: {done:?}"
                    );
                } else {
                    assert_eq!(done, outside, "{import}: {body}");
                    // The host heard nothing of it, and it costs no more than the instructions.
                    assert!(host.calls.iter().all(|call| call.starts_with("get [0]")), "{body}: {:?}", host.calls);
                }
            }
            // Without memory every pointer is outside.
            if !body.contains("$get") {
                let body = body.replace("{p}", "(i32.const 0)");
                let code = prepared(&runtime, &use_of(import, ty, &body, ""));
                assert_eq!(run(&runtime, &code, "m", b"abc", &mut Remembering::new(1_000_000)), outside, "{body}");
            }
        }
    }
}

#[test]
fn lengths_that_wrap_around_are_outside() {
    let outside = Err(Trap::broken("memory access out of bounds"));
    for runtime in engines() {
        for (from, len) in [(65_535, -65_535), (1, -1), (-1, 1), (0, 65_537), (0, i32::MIN)] {
            let body = format!("(call $f (i32.const {from}) (i32.const {len}))");
            let code = prepared(&runtime, &use_of("return", "(param i32 i32)", &body, "(memory 1)"));
            assert_eq!(run(&runtime, &code, "m", b"", &mut Remembering::new(1_000_000)), outside, "{body}");
        }
        // A piece of arguments or result that isn't there.
        for (offset, len, inside) in
            [(0, 3, true), (3, 0, true), (4, 0, false), (1, 3, false), (-1, 1, false), (-1, 2, false)]
        {
            let body = format!("(call $f (i32.const 0) (i32.const {offset}) (i32.const {len}))");
            let code = prepared(&runtime, &use_of("arguments", "(param i32 i32 i32)", &body, "(memory 1)"));
            let done = run(&runtime, &code, "m", b"abc", &mut Remembering::new(1_000_000));
            assert_eq!(done.is_ok(), inside, "{body}: {done:?}");
        }
    }
}

/// A module with all imports, whose method `m` is `body`; bytes 0 to 9 hold `kvtopicxyz`.
fn with_all(body: &str) -> String {
    let imports = wasm_support::IMPORTS.strip_prefix("(module").unwrap();
    // The last bracket is the module's.
    let imports = imports.strip_suffix(')').unwrap();
    // Each is named as it is called.
    let mut named = String::new();
    for line in imports.lines().filter(|line| line.contains("import")) {
        let name = line.split('"').nth(3).unwrap();
        named.push_str(&line.replacen("(func ", &format!("(func ${name} "), 1));
    }
    format!(
        r#"(module {named}
            (import "ledgerkit.1" "contract" (func $contract (param i32)))
            (import "ledgerkit.1" "chain" (func $chain (param i32)))
            (import "ledgerkit.1" "timestamp" (func $timestamp (result i64)))
            (import "ledgerkit.1" "hash_sha256" (func $hash_sha256 (param i32 i32 i32)))
            (memory 1) (data (i32.const 0) "kvtopicxyz") (data (i32.const 100) "fail")
            (func (export "call_m") {body}))"#
    )
}

fn output(runtime: &WasmRuntime, body: &str, arguments: &[u8], host: &mut Remembering) -> Result<Vec<u8>, Trap> {
    run(runtime, &prepared(runtime, &with_all(body)), "m", arguments, host)
}

const RETURN_I64: &str = "(i64.store (i32.const 200) {}) (call $return (i32.const 200) (i32.const 8))";

fn number(runtime: &WasmRuntime, expression: &str, host: &mut Remembering) -> i64 {
    let body = RETURN_I64.replace("{}", expression);
    i64::from_le_bytes(output(runtime, &body, b"abc", host).unwrap().try_into().unwrap())
}

#[test]
fn facts_are_told() {
    for runtime in engines() {
        let mut host = Remembering::new(10_000_000);
        for (expression, expected) in [
            ("(call $height)", 7),
            ("(call $timestamp)", 1_000),
            ("(i64.extend_i32_s (call $is_read_only))", 0),
            ("(i64.extend_i32_s (call $arguments_len))", 3),
            ("(i64.extend_i32_s (call $result_len))", 0),
            ("(i64.extend_i32_s (call $transaction (i32.const 300)))", 0),
            ("(call $get (i32.const 0) (i32.const 1))", -1),
            ("(call $get (i32.const 300) (i32.const 1))", 100),
        ] {
            assert_eq!(number(&runtime, expression, &mut host), expected, "{expression}");
        }
        for (import, byte) in [("caller", 3), ("contract", 2), ("chain", 1)] {
            let body = format!("(call ${import} (i32.const 300)) (call $return (i32.const 300) (i32.const 33))");
            let expected = [&[byte; 32][..], &[0]].concat();
            assert_eq!(output(&runtime, &body, b"", &mut host), Ok(expected));
        }
    }
}

#[test]
fn the_fuel_that_is_left_is_what_the_host_says_then() {
    let costs = WasmCosts::default();
    for runtime in engines() {
        let mut host = Remembering::new(1_000_000);
        let told = number(&runtime, "(call $fuel_left)", &mut host);
        // After it come a constant, a store, two constants, a call, and 8 bytes to copy: all but that was paid before.
        let after = u64::from(costs.call + costs.bulk_64_bytes);
        assert_eq!(told.unsigned_abs(), host.fuel_left().0 + after);
        let mut host = Remembering::new(1_000_000);
        output(&runtime, "(call $charge (i64.const 12345))", b"", &mut host).unwrap();
        let mut without = Remembering::new(1_000_000);
        output(&runtime, "(call $charge (i64.const 0))", b"", &mut without).unwrap();
        assert_eq!(host.used, without.used + 12_345);
        let mut host = Remembering::new(1_000_000);
        let done = output(&runtime, "(call $charge (i64.const -1))", b"", &mut host);
        assert!(matches!(done, Err(Trap::Host(_))), "{done:?}");
        assert_eq!(host.fuel_left(), Fuel(0));
    }
}

#[test]
fn state_and_events_go_to_the_host() {
    for runtime in engines() {
        let mut host = Remembering::new(1_000_000);
        let body = "(call $put (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 1))
            (call $put (i32.const 7) (i32.const 3) (i32.const 0) (i32.const 0))
            (call $emit (i32.const 2) (i32.const 5) (i32.const 7) (i32.const 3))
            (call $delete (i32.const 7) (i32.const 3))
            (drop (call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 9)))
            (call $result (i32.const 300) (i32.const 0) (call $result_len))
            (call $return (i32.const 300) (call $result_len))";
        let mut expected = vec![1, 0, 0, 0, 0, 100, 0, 0, 0];
        expected.extend([9; 100]);
        expected.extend([1, 0, 0, 0, b'k', 1, 0, 0, 0, b'v']);
        assert_eq!(output(&runtime, body, b"", &mut host), Ok(expected));
        let calls = [
            "put [107] [118]",
            "put [120, 121, 122] []",
            "emit topic [120, 121, 122]",
            "delete [120, 121, 122]",
            "scan [] None 9",
        ];
        assert_eq!(host.calls, calls);
    }
}

#[test]
fn digests_signatures_and_calls_go_to_the_host() {
    for runtime in engines() {
        let mut host = Remembering::new(1_000_000);
        let body = "(call $hash_blake3 (i32.const 0) (i32.const 10) (i32.const 300))
            (call $hash_sha256 (i32.const 0) (i32.const 5) (i32.const 332))
            (call $return (i32.const 300) (i32.const 64))";
        assert_eq!(output(&runtime, body, b"", &mut host), Ok([[10; 32], [5; 32]].concat()));
        let verify =
            "(i64.extend_i32_s (call $verify_ed25519 (i32.const {}) (i32.const 0) (i32.const 2) (i32.const 0)))";
        assert_eq!(number(&runtime, &verify.replace("{}", "0"), &mut host), 1);
        assert_eq!(number(&runtime, &verify.replace("{}", "1"), &mut host), 0);
        let call = "(call $call (i32.const 0) (i32.const {m}) (i32.const 4) (i32.const 7) (i32.const 2) (i64.const {f}) (i32.const {r}))";
        let ask = |method: &str, fuel: &str, flags: &str| {
            call.replace("{m}", method).replace("{f}", fuel).replace("{r}", flags)
        };
        assert_eq!(number(&runtime, &ask("2", "-1", "0"), &mut host), 6);
        assert!(
            host.calls.last().unwrap().contains("topi [120, 121] CallTerms { fuel_limit: None, read_only: false }")
        );
        // A refusal with code 7.
        host.stack = 32_768;
        assert_eq!(number(&runtime, &ask("100", "1000", "1"), &mut host), -8);
        let terms = "fail [120, 121] CallTerms { fuel_limit: Some(Fuel(1000)), read_only: true }";
        assert!(host.calls.last().unwrap().contains(terms), "{:?}", host.calls.last());
        // The caller's own frame is taken from the stack before.
        let slots: u32 = host.calls.last().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!((32_768 - 40..32_768 - 16).contains(&slots), "{slots}");
        let words = format!(
            "(drop {}) (call $result (i32.const 300) (i32.const 0) (call $result_len)) (call $return (i32.const 300) (call $result_len))",
            ask("100", "-1", "0")
        );
        assert_eq!(output(&runtime, &words, b"", &mut host), Ok(b"no".to_vec()));
    }
}

#[test]
fn a_refusal_ends_the_call_and_the_last_output_counts() {
    for runtime in engines() {
        let mut host = Remembering::new(1_000_000);
        let body = "(call $refuse (i32.const -1) (i32.const 2) (i32.const 5)) (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))";
        assert_eq!(output(&runtime, body, b"", &mut host), Err(Trap::refused(u32::MAX, "topic")));
        assert!(host.calls.is_empty());
        let body = "(call $return (i32.const 0) (i32.const 5)) (call $return (i32.const 0) (i32.const 1))";
        assert_eq!(output(&runtime, body, b"", &mut host), Ok(b"k".to_vec()));
    }
}

#[test]
fn an_output_over_the_limit_ends_the_call_when_it_is_given() {
    for runtime in engines() {
        let mut host = Remembering::new(1_000_000);
        host.output_limit = 5;
        assert_eq!(
            output(&runtime, "(call $return (i32.const 2) (i32.const 5))", b"", &mut host),
            Ok(b"topic".to_vec())
        );
        // Whatever is given after it.
        let body = "(call $return (i32.const 0) (i32.const 6)) (call $return (i32.const 0) (i32.const 1))";
        let limit = HostError::Limit { what: "the output", size: 6, limit: 5 };
        assert_eq!(output(&runtime, body, b"", &mut host), Err(Trap::Host(limit)));
    }
}

#[test]
fn a_start_function_runs_before_each_call_and_nothing_remains() {
    let text = r#"(module
        (import "ledgerkit.1" "return" (func $return (param i32 i32)))
        (memory 1) (global $g (mut i32) (i32.const 1))
        (func $start (global.set $g (i32.add (global.get $g) (i32.const 1))))
        (start $start)
        (func (export "call_m")
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (i32.store8 (i32.const 0) (i32.add (global.get $g) (i32.load8_u (i32.const 0))))
            (call $return (i32.const 0) (i32.const 1))))"#;
    for runtime in engines() {
        let code = prepared(&runtime, text);
        for _ in 0..3 {
            assert_eq!(run(&runtime, &code, "m", b"", &mut Remembering::new(1_000_000)), Ok(vec![3]));
        }
        let trap = prepared(&runtime, r#"(module (func $s unreachable) (start $s) (func (export "call_m")))"#);
        let done = run(&runtime, &trap, "m", b"", &mut Remembering::new(1_000_000));
        assert_eq!(done, Err(Trap::broken("unreachable executed")));
    }
}
