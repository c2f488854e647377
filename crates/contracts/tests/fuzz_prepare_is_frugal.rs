//! What preparing a module takes of memory is in proportion to the module's bytes, whatever they are. The only test of its
//! process, so that nobody else allocates.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod fuzz_support;
mod wasm_support;

use fuzz_support::inputs;
use ledger_contracts::Runtime;
use ledger_contracts::wasm::WasmRuntime;
use ledger_core::Rules;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What any module may take, in bytes: a function of a few bytes can have 4,096 locals.
const ANYWAY: usize = 256 << 10;
/// What each of its bytes may take beside that.
const EACH: usize = 256;

#[test]
fn memory_is_in_proportion_to_the_module() {
    let (runtime, rules) = (WasmRuntime::wasmi().unwrap(), Rules::default());
    let committed = inputs::committed("prepare");
    let mut worst = (0, 0);
    let mut measure = |what: &str, module: &[u8]| {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let prepared = runtime.prepare(module, &rules);
        let taken = MEMORY.peak_usage() - before;
        drop(prepared);
        worst = worst.max((taken, module.len()));
        assert!(taken <= ANYWAY + EACH * module.len(), "{what}: {taken} bytes of memory for {}", module.len());
    };
    // What is made once isn't the first module's.
    drop(runtime.prepare(b"\0asm\x01\0\0\0", &rules));
    for (path, module) in &committed {
        measure(&path.display().to_string(), module);
    }
    for seed in (inputs::first_seed()..).take(usize::try_from(inputs::cases(1_000)).unwrap()) {
        measure(&format!("LEDGERKIT_FUZZ_SEED={seed}"), &inputs::fresh(2 * seed + 1, &committed));
    }
    println!("at most {} bytes of memory, for a module of {}", worst.0, worst.1);
}
