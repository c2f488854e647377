//! Any bytes as a module.

use super::engines;
use crate::wasm_support::Remembering;
use ledger_contracts::wasm::{engine_error, instrument};
use ledger_contracts::{EntryPoint, HostError, Invocation, Runtime, Trap};
use ledger_core::{Rules, WasmRules};
use wasmparser::{ExternalKind, Parser, Payload, Validator};

/// So much may a module grow by its counters: a branch of two bytes with a constant of two becomes some thirty.
const GROWTH: usize = 64;

/// More than an entry needs to do something, and less than a large memory costs.
const FUEL: u64 = 200_000;

/// A module is refused, by all engines in the same words; or it is taken, then every engine can compile and run it.
pub(crate) fn run(module: &[u8]) -> Vec<String> {
    let rules = Rules::default();
    let prepared: Vec<_> = engines().iter().map(|engine| engine.prepare(module, &rules)).collect();
    let metered = instrument(module, &rules.wasm);
    let Ok(metered) = metered else {
        for refused in prepared {
            assert_eq!(refused.err().map(|error| error.message), metered.as_ref().err().map(ToString::to_string));
        }
        assert!(instrument(module, &strict()).is_err(), "stricter rules take what others refuse");
        return vec!["refused".to_owned()];
    };
    assert!(metered.len() <= GROWTH * module.len() + 1_024, "{} bytes become {}", module.len(), metered.len());
    Validator::new().validate_all(&metered).unwrap_or_else(|error| panic!("the counters broke it: {error}"));
    let mut seen = vec!["taken".to_owned()];
    if instrument(module, &strict()).is_ok() {
        seen.push("taken by strict rules".to_owned());
    }
    let prepared: Vec<_> = prepared.into_iter().map(Result::unwrap).collect();
    for code in &prepared {
        // What is only slow to compile is interpreted.
        assert_eq!(engine_error(code).filter(|error| !error.starts_with("compiling ")), None);
    }
    for name in entries(module) {
        let entry = match name.as_str() {
            "construct" => EntryPoint::Constructor,
            "migrate" => EntryPoint::Migration,
            method => EntryPoint::Method(method.strip_prefix("call_").unwrap()),
        };
        let mut all = prepared.iter().zip(engines()).map(|(code, engine)| {
            let mut host = Remembering::new(FUEL);
            let done = engine.call(code, &Invocation { entry, arguments: b"arguments" }, &mut host);
            assert!(!matches!(done, Err(Trap::Host(HostError::State(_)))), "{name}: {done:?}");
            (done, host)
        });
        let first = all.next().unwrap();
        all.for_each(|other| assert_eq!(first, other, "{name}"));
        seen.push(if first.0.is_ok() { "ran" } else { "stopped" }.to_owned());
    }
    seen
}

/// The first exports of a valid module that can be called.
fn entries(module: &[u8]) -> Vec<String> {
    let exports = Parser::new(0).parse_all(module).find_map(|payload| match payload.unwrap() {
        Payload::ExportSection(exports) => Some(exports),
        _ => None,
    });
    let exports = exports.into_iter().flatten().map(Result::unwrap);
    let functions = exports.filter(|export| export.kind == ExternalKind::Func).map(|export| export.name.to_owned());
    functions.filter(|name| name == "construct" || name == "migrate" || name.starts_with("call_")).take(4).collect()
}

/// Rules that allow less of everything.
fn strict() -> WasmRules {
    WasmRules {
        max_module_bytes: 2_048,
        max_functions: 8,
        max_function_bytes: 256,
        max_locals: 16,
        max_table_entries: 4,
        max_globals: 2,
        max_memory_pages: 1,
        max_br_table: 4,
        max_stack_slots: 1_024,
        ..WasmRules::default()
    }
}
