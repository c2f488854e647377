//! The largest rules that a chain can have are no more than each engine can do.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::Runtime;
use ledger_contracts::wasm::{WasmRuntime, engine_error};
use ledger_core::{Genesis, Rules, Timestamp, WasmRules};
use ledger_crypto::{MemorySigner, Signer};
use wasm_support::{Remembering, run};

fn largest() -> Rules {
    let wasm = WasmRules {
        max_module_bytes: 8 << 20,
        max_functions: WasmRules::MOST_FUNCTIONS,
        max_function_bytes: WasmRules::MOST_FUNCTION_BYTES,
        max_locals: WasmRules::MOST_LOCALS,
        max_table_entries: WasmRules::MOST_TABLE_ENTRIES,
        max_globals: WasmRules::MOST_GLOBALS,
        max_memory_pages: WasmRules::MOST_MEMORY_PAGES,
        max_br_table: 65_520,
        max_stack_slots: WasmRules::MOST_STACK_SLOTS,
        ..WasmRules::default()
    };
    Rules { wasm, ..Rules::default() }
}

#[test]
fn modules_at_the_largest_limits_run_on_each_engine() {
    let rules = largest();
    let owner = MemorySigner::from_seed([1; 32]).public_key();
    let genesis = Genesis { rules: rules.clone(), ..Genesis::solo("largest", owner, Timestamp(0)) };
    assert_eq!(genesis.check(), Ok(()));
    // Without optimisation, wasmtime's compiler takes a minute for 20,000 functions.
    let functions = if cfg!(debug_assertions) { 2_000 } else { WasmRules::MOST_FUNCTIONS as usize - 1 };
    let entries = (0..functions).map(|index| format!("{index} ")).collect::<String>();
    for (what, text) in [
        (
            "functions, all in the table, and globals",
            format!(
                r#"{} (func (export "call_m")) (table 65536 funcref) (elem (i32.const 0) func {entries}) {} (data "{}")"#,
                "(func)".repeat(functions),
                "(global (mut i64) (i64.const 1))".repeat(WasmRules::MOST_GLOBALS as usize),
                // So many functions may only be in a module of some length.
                "a".repeat(16 * functions)
            ),
        ),
        (
            "memory",
            r#"(memory 4096) (func (export "call_m") (i64.store (i32.const 268435448) (i64.const 1)))"#.to_owned(),
        ),
        (
            "memory that grows",
            r#"(memory 1) (func (export "call_m")
                (if (i32.ne (memory.grow (i32.const 4095)) (i32.const 1)) (then unreachable))
                (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                (i64.store (i32.const 268435448) (i64.const 1)))"#
                .to_owned(),
        ),
        (
            "locals",
            format!(
                r#"(func (export "call_m") (local {}) {})"#,
                "i64 ".repeat(WasmRules::MOST_LOCALS as usize),
                (0..100).map(|index| format!("(local.set {index} (i64.const 1))")).collect::<String>()
            ),
        ),
        ("bytes of a function", format!(r#"(func (export "call_m") {})"#, "i32.const 1 drop ".repeat(43_000))),
        (
            "targets",
            format!(
                r#"(func (export "call_m") (block (block (br_table {} 0 (i32.const 65519)))))"#,
                "1 ".repeat(65_520)
            ),
        ),
    ] {
        let module = wat::parse_str(format!("(module {text})")).unwrap();
        let engines = [
            ("wasmi", WasmRuntime::wasmi().unwrap()),
            #[cfg(feature = "wasmtime")]
            ("wasmtime", WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap()),
        ];
        for (engine, runtime) in engines {
            let code = runtime.prepare(&module, &rules).unwrap_or_else(|error| panic!("{what}: {error}"));
            // What is only slow to compile is interpreted; all else the engine has to take.
            let error = engine_error(&code).filter(|error| !error.starts_with("compiling "));
            assert_eq!(error, None, "{what}, {engine}");
            let done = run(&runtime, &code, "m", b"", &mut Remembering::new(1_000_000_000));
            assert_eq!(done, Ok(Vec::new()), "{what}, {engine}");
        }
    }
}
