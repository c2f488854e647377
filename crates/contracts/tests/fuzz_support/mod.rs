//! What is fuzzed, as ordinary functions: the binaries in `fuzz/` hand them what libFuzzer makes up, and the tests `fuzz_*`
//! the committed inputs and fresh ones. A function panics if a law doesn't hold, and gives labels of what it has seen, by
//! which a test knows that its inputs still reach what they are for.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

pub(crate) mod bodies;
pub(crate) mod differential;
pub(crate) mod friend;
pub(crate) mod host_calls;
pub(crate) mod inputs;
pub(crate) mod ledgers;
pub(crate) mod prepare;
pub(crate) mod program;

use arbitrary::Unstructured;
use ledger_contracts::wasm::WasmRuntime;
use std::sync::LazyLock;

/// Something to give any bytes to.
pub(crate) struct Target {
    /// The name of its binary and of the folder of its inputs.
    pub(crate) name: &'static str,
    /// What is done with an input.
    pub(crate) run: fn(&[u8]) -> Vec<String>,
}

/// All of them.
pub(crate) const TARGETS: [Target; 4] = [
    Target { name: "prepare", run: prepare::run },
    Target { name: "host_calls", run: host_calls::run },
    Target { name: "differential", run: differential::run },
    Target { name: "bodies", run: bodies::run },
];

/// The runtimes that must do the same. They are made once: an engine takes longer than a run.
pub(crate) fn engines() -> &'static [WasmRuntime] {
    static ENGINES: LazyLock<Vec<WasmRuntime>> = LazyLock::new(|| {
        vec![
            WasmRuntime::wasmi().unwrap(),
            #[cfg(feature = "wasmtime")]
            WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
        ]
    });
    &ENGINES
}

/// A number from 0 to below `limit`.
pub(crate) fn below(input: &mut Unstructured<'_>, limit: usize) -> usize {
    input.int_in_range(0..=limit.saturating_sub(1)).unwrap_or(0)
}

/// One of these.
pub(crate) fn one_of<T: Clone>(input: &mut Unstructured<'_>, some: &[T]) -> T {
    some[below(input, some.len())].clone()
}

/// Up to `most` bytes.
pub(crate) fn bytes(input: &mut Unstructured<'_>, most: usize) -> Vec<u8> {
    let length = below(input, most + 1).min(input.len());
    input.bytes(length).unwrap().to_vec()
}
