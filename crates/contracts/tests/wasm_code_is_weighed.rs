//! Prepared code says how many bytes of memory it keeps, and keeps none once it is dropped.
#![cfg(all(feature = "wasm", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod wasm_support;

use ledger_contracts::Prepared;
use ledger_contracts::wasm::WasmRuntime;
use wasm_support::{Remembering, prepared, run};

/// What the process keeps in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// A module whose functions are all different, of about 60 KB; and one of many small functions.
fn modules(number: usize) -> [String; 2] {
    let body = |function: usize| {
        let one = |index: usize| {
            format!(
                "(local.set 1 (i64.xor (local.get 1) (i64.mul (i64.load (i32.const {})) (i64.const {}))))",
                8 * index,
                1_000 * number + function + index
            )
        };
        format!("(func (param i64) (local i64) {})", (0..80).map(one).collect::<String>())
    };
    let many = (0..60).map(body).collect::<String>();
    let method = r#"(func (export "call_m"))"#;
    [
        format!("(module (memory 1) {many} {method})"),
        format!("(module {} (data \"{}\") {method})", "(func)".repeat(5_000), "a".repeat(80_000)),
    ]
}

#[test]
fn code_weighs_what_it_keeps_and_nothing_when_it_is_dropped() {
    const COUNT: usize = 20;
    #[cfg_attr(not(feature = "wasmtime"), allow(unused_mut))]
    let mut engines = vec![("wasmi", WasmRuntime::wasmi().unwrap())];
    // Without optimisation, wasmtime's compiler takes minutes.
    #[cfg(feature = "wasmtime")]
    if !cfg!(debug_assertions) {
        let config = ledger_contracts::wasm::WasmtimeConfig::at_once();
        engines.push(("wasmtime", WasmRuntime::wasmtime(config).unwrap()));
    }
    for (engine, runtime) in engines {
        for kind in 0..2 {
            let texts: Vec<String> = (0..COUNT).map(|number| modules(number)[kind].clone()).collect();
            let make = || -> Vec<Prepared> {
                texts
                    .iter()
                    .map(|text| {
                        let code = prepared(&runtime, text);
                        assert_eq!(run(&runtime, &code, "m", b"", &mut Remembering::new(10_000_000)), Ok(Vec::new()));
                        code
                    })
                    .collect()
            };
            // What the first one makes for all that follow isn't the code's.
            drop(prepared(&runtime, &texts[0]));
            let before = resident();
            let codes = make();
            let (kept, weight) = (resident().saturating_sub(before), codes.iter().map(Prepared::weight).sum::<usize>());
            println!("{engine}, kind {kind}: {COUNT} codes keep {kept} bytes and weigh {weight}");
            assert!(kept <= weight, "{engine}, kind {kind}: {COUNT} codes keep {kept} bytes and weigh {weight}");
            drop(codes);
            for _ in 0..5 {
                drop(make());
            }
            let after = resident();
            assert!(after.saturating_sub(before) < weight, "{engine}, kind {kind}: {before} bytes, then {after}");
        }
    }
}
