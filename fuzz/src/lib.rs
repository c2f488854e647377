//! What the binaries give libFuzzer's inputs to. It is shared with tests of `ledger-contracts`, and so stands there.
#![forbid(unsafe_code)]

#[path = "../../crates/contracts/tests/fuzz_support/mod.rs"]
mod fuzz_support;
#[path = "../../crates/contracts/tests/wasm_support/mod.rs"]
mod wasm_support;

/// Runs an input of the target of this name.
///
/// # Panics
/// If there is no such target, or a law doesn't hold: that is what a fuzzer looks for.
pub fn run(target: &str, input: &[u8]) {
    let target = fuzz_support::TARGETS.iter().find(|known| known.name == target);
    match target {
        Some(target) => drop((target.run)(input)),
        None => panic!("there is no such target"),
    }
}
