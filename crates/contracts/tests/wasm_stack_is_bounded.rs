//! Functions that are made to take as much of a thread's stack as they can, on threads like those that execute blocks: they
//! end with the words of the counted stack, on each engine, and neither the engine's own limit nor the thread's end is met.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::testing::TestLedger;
use ledger_contracts::wasm::{WASM, WasmRuntime, engine_error};
use ledger_contracts::{EXECUTION_STACK_BYTES, LedgerExecutor, Trap};
use ledger_core::{Fuel, Receipt, TransactionBuilder};
use ledger_crypto::MemorySigner;
use wasm_support::{Remembering, prepared, run};

fn on_a_thread_of_the_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(EXECUTION_STACK_BYTES).spawn_scoped(scope, work).unwrap();
        thread.join().unwrap()
    })
}

fn engines() -> Vec<(&'static str, WasmRuntime)> {
    vec![
        ("wasmi", WasmRuntime::wasmi().unwrap()),
        #[cfg(feature = "wasmtime")]
        ("wasmtime", WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap()),
    ]
}

fn each(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

/// Bodies of a function `$deep (param i64 i64)` that calls itself without end by `call`. Its second argument is 0.
fn hostile(call: &str) -> Vec<(String, String)> {
    let mut bodies = Vec::new();
    for count in [3, 30, 300, 3_000] {
        // What doesn't change in a loop is computed before it and kept: here with as few bytes for each as can be.
        let chain = each(count, |index| format!("local.get 0 i64.const {} i64.add i64.xor ", index + 1));
        bodies.push((
            format!("{count} sums kept over a loop with a call in it"),
            format!("(local $acc i64) (loop local.get $acc {chain} local.set $acc {call} (br_if 0 (i32.wrap_i64 (local.get 1))))"),
        ));
        // Sums that need each other.
        let sums = each(count, |_| "local.get $v local.get 0 i64.add local.tee $v i64.xor ".to_owned());
        bodies.push((
            format!("{count} sums of sums kept over a loop"),
            format!(
                "(local $acc i64) (local $v i64) (loop (local.set $v (local.get 1)) local.get $acc {sums} local.set $acc {call}
                (br_if 0 (i32.wrap_i64 (local.get 1))))"
            ),
        ));
        // Short lives between long ones: places that could be used again are found by luck.
        let loads = each(count, |index| format!("(i64.load (i32.const {})) ", 8 * index));
        let stores = each(count, |index| {
            format!(
                "(local.set $v) (i64.store (i32.const {}) (i64.mul (local.get $v) (i64.load (i32.const {}))))",
                8 * index,
                4 * index
            )
        });
        let calls = each(count.min(400), |index| {
            format!(
                "(i64.store (i32.const {}) (i64.add (call $leaf (local.get 0)) (i64.load (i32.const {}))))",
                8 * index,
                16 * index
            )
        });
        if count <= 2_000 {
            bodies.push((
                format!("{count} loads kept over calls"),
                format!("(local $acc i64) (local $v i64) {loads} {call} {calls} {stores}"),
            ));
        }
    }
    for count in [10, 100] {
        let several = each(count, |_| "(call $several) ".to_owned());
        let drops = "drop ".repeat(16 * count);
        bodies.push((format!("{count} calls with 16 results kept"), format!("{several} {call} {drops}")));
        bodies.push((
            format!("{count} calls with 100 parameters"),
            each(count, |_| format!("(call $wide {})", "(local.get 0)".repeat(100))) + call,
        ));
    }
    let types = "i64 ".repeat(16);
    let values = each(16, |index| format!("(i64.load (i32.const {}))", 8 * index));
    let targets = each(1_000, |index| format!("{} ", index % 20));
    let blocks = (0..20).fold(
        format!("(block (result {types}) {values} (br_table {targets} (i32.wrap_i64 (local.get 1))))"),
        |inner, _| format!("(block (result {types}) {inner} {} {values})", "drop ".repeat(16)),
    );
    let what = "a br_table with 16 values and 20 labels".to_owned();
    bodies.push((what, format!("{call} {blocks} {}", "drop ".repeat(16))));
    bodies
}

fn module(body: &str) -> String {
    format!(
        r#"(module
            (import "ledgerkit.1" "height" (func $height (result i64)))
            (memory 2)
            (func $leaf (param i64) (result i64) (i64.add (local.get 0) (call $height)))
            (func $several (result {}) {})
            (func $wide (param {}) (drop (call $height)))
            (func $deep (param i64 i64) {body})
            (func (export "call_m") (call $deep (i64.const 1) (i64.const 0))))"#,
        "i64 ".repeat(16),
        "(call $height)".repeat(16),
        "i64 ".repeat(100),
    )
}

#[test]
fn functions_without_end_end_with_the_counted_stack() {
    let exhausted = Err(Trap::broken("stack exhausted"));
    // By as little as can be, so that the counted stack is met at its very end, and before the rest of the function.
    for call in [
        "(call $deep (i64.add (local.get 0) (i64.const 1)) (local.get 1))",
        "(call $deep (i64.add (local.get 0) (i64.const 1)) (local.get 1)) (call $leaf (local.get 0)) drop",
    ] {
        for (what, body) in hostile(call) {
            let text = module(&body);
            for (engine, runtime) in engines() {
                let done = on_a_thread_of_the_pool(|| {
                    let code = prepared(&runtime, &text);
                    println!("{what}, {engine}: {:?}", engine_error(&code));
                    run(&runtime, &code, "m", b"", &mut Remembering::new(1_000_000_000))
                });
                assert_eq!(done, exhausted, "{what}, {engine}");
            }
        }
    }
}

/// The last call is of a function as large as there can be, after small ones have used up nearly all.
#[test]
fn a_large_function_at_the_end_of_the_stack_meets_the_counted_end() {
    let large =
        hostile("(nop)").into_iter().find(|(what, _)| what == "3000 sums kept over a loop with a call in it").unwrap();
    let text = module(&large.1).replace(
        r#"(func (export "call_m")"#,
        r#"(func $small (param i32) (if (local.get 0) (then (call $small (i32.sub (local.get 0) (i32.const 1))))
                (else (call $deep (i64.const 1) (i64.const 0)))))
            (func (export "call_n") (call $small (global.get $levels)))
            (global $levels i32 (i32.const LEVELS))
            (func (export "call_m")"#,
    );
    let mut ends = Vec::new();
    // A level takes some 20 slots of 32,768.
    for levels in (1_300..1_700).step_by(10) {
        let mut same = Vec::new();
        for (_, runtime) in engines() {
            let done = on_a_thread_of_the_pool(|| {
                let code = prepared(&runtime, &text.replace("LEVELS", &levels.to_string()));
                run(&runtime, &code, "n", b"", &mut Remembering::new(1_000_000_000))
            });
            same.push(done);
        }
        same.dedup();
        assert_eq!(same.len(), 1, "{levels}: {same:?}");
        ends.extend(same);
    }
    let exhausted = Err(Trap::broken("stack exhausted"));
    assert!(ends.contains(&Ok(Vec::new())) && ends.last() == Some(&exhausted), "{ends:?}");
    assert!(ends.iter().all(|end| *end == exhausted || end.is_ok()), "{ends:?}");
}

/// Contracts within each other are on one stack, with the executor between them.
#[test]
fn contracts_within_each_other_end_with_the_counted_stack() {
    let (_, body) = hostile("(call $down (i32.sub (local.get $left) (i32.const 1)))")
        .into_iter()
        .find(|(what, _)| what == "300 sums kept over a loop with a call in it")
        .unwrap();
    let body = body.replace("local.get 0", "local.get $a").replace("local.get 1", "local.get $b");
    let text = format!(
        r#"(module
        (import "ledgerkit.1" "arguments" (func $arguments (param i32 i32 i32)))
        (import "ledgerkit.1" "contract" (func $contract (param i32)))
        (import "ledgerkit.1" "result" (func $result (param i32 i32 i32)))
        (import "ledgerkit.1" "result_len" (func $result_len (result i32)))
        (import "ledgerkit.1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
        (import "ledgerkit.1" "return" (func $return (param i32 i32)))
        (memory 2) (data (i32.const 16) "again")
        (global $a i64 (i64.const 1)) (global $b i64 (i64.const 0))
        (func $down (param $left i32) (local $a i64) (local $b i64)
            (local.set $a (global.get $a)) (local.set $b (global.get $b))
            (if (local.get $left)
                (then (call $fat (local.get $left) (local.get $a) (local.get $b)))
                (else
                    (call $contract (i32.const 3000))
                    (drop (call $call (i32.const 3000) (i32.const 16) (i32.const 5) (i32.const 100) (i32.const 4) (i64.const -1) (i32.const 1)))
                    (call $result (i32.const 4001) (i32.const 0) (call $result_len))
                    (call $return (i32.const 4000) (i32.add (call $result_len) (i32.const 1))))))
        (func $fat (param $left i32) (param $a i64) (param $b i64) {body})
        (func (export "call_again")
            (call $arguments (i32.const 100) (i32.const 0) (i32.const 4))
            (call $down (i32.load (i32.const 100)))))"#
    );
    let code = wat::parse_str(&text).unwrap();
    let mut all: Vec<Vec<Receipt>> = Vec::new();
    for (engine, runtime) in engines() {
        let receipts = on_a_thread_of_the_pool(|| {
            let mut ledger = TestLedger::new(LedgerExecutor::default().with(runtime));
            let signer = MemorySigner::from_seed([1; 32]);
            let contract = ledger.deploy(&signer, WASM, &code, b"").unwrap();
            let mut call = |deep: i32| {
                let call = TransactionBuilder::call(ledger.chain(), contract, "again", deep.to_le_bytes().to_vec());
                ledger.submit(&signer, call.fuel_limit(Fuel(100_000_000))).unwrap().receipt
            };
            [0, 1, 2, 3, 5, 8, 13, 21, 34, 55].map(&mut call).to_vec()
        });
        let levels = |receipt: &Receipt| receipt.output.iter().take_while(|&&byte| byte == 0).count();
        println!("{engine}: levels {:?}", receipts.iter().map(levels).collect::<Vec<_>>());
        assert_eq!(levels(&receipts[0]), 16, "{engine}: {:?}", receipts[0]);
        assert!(receipts.iter().all(Receipt::succeeded), "{engine}: {receipts:?}");
        all.push(receipts);
    }
    let results = |receipts: &[Receipt]| -> Vec<_> {
        receipts.iter().map(|receipt| (receipt.status.clone(), receipt.output.clone(), receipt.fuel_used)).collect()
    };
    assert!(all.windows(2).all(|pair| results(&pair[0]) == results(&pair[1])), "{all:?}");
}
