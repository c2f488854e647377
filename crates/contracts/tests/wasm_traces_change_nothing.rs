//! Modules that say which function is running do what they do without: the same output, trap, fuel, stack, and calls of the
//! host, for generated modules with any amount of fuel, on every engine. The variable `WASM_CASES` says how many.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::Runtime;
use ledger_contracts::wasm::WasmRuntime;
use ledger_core::Rules;
use wasm_support::{Numbers, Remembering, cases, generated, generator, run};

fn engines() -> Vec<WasmRuntime> {
    vec![
        WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

#[test]
fn generated_modules_do_the_same_when_they_are_traced() {
    let rules = Rules::default();
    let (mut returned, mut trapped) = (0, 0);
    for runtime in engines() {
        for seed in 0..cases(60) {
            let mut numbers = Numbers(seed);
            let config = wasm_smith::Config { disallow_traps: seed % 3 == 0, ..generator(seed % 5 != 0) };
            let module = generated(&config, seed);
            let (plain, traced) = match (runtime.prepare(&module, &rules), runtime.prepare_for_trace(&module, &rules)) {
                (Ok(plain), Ok(traced)) => (plain, traced),
                // What is written in may make a module too large to be traced; it is never the other way round.
                (Ok(_), Err(_)) => continue,
                (Err(one), Err(other)) if one == other => continue,
                (one, other) => panic!("seed {seed}: {:?}, {:?}", one.err(), other.err()),
            };
            for method in ["a", "b"] {
                for limit in [3_000_000, numbers.below(200_000) as u64 + 2_000] {
                    let arguments = numbers.bytes(40);
                    let mut hosts = (Remembering::new(limit), Remembering::new(limit));
                    let first = run(&runtime, &plain, method, &arguments, &mut hosts.0);
                    let second = run(&runtime, &traced, method, &arguments, &mut hosts.1);
                    assert_eq!(first, second, "seed {seed}, method {method}, limit {limit}");
                    assert_eq!(hosts.0, hosts.1, "seed {seed}, method {method}, limit {limit}");
                    if first.is_ok() { returned += 1 } else { trapped += 1 }
                }
            }
        }
    }
    // Otherwise the generator has lost what is of interest.
    assert!(returned > 10 && trapped > 10, "{returned} returned, {trapped} trapped");
}
