//! Inputs without a fuzzer: those that are committed, and fresh ones that follow from a seed.

use crate::wasm_support::Numbers;
use std::fs;
use std::path::{Path, PathBuf};

/// How many fresh inputs a target is given: `default`, or what the variable `LEDGERKIT_FUZZ_CASES` says.
pub(crate) fn cases(default: u64) -> u64 {
    number("LEDGERKIT_FUZZ_CASES").unwrap_or(default)
}

/// The first seed of fresh inputs: 0, or what the variable `LEDGERKIT_FUZZ_SEED` says.
pub(crate) fn first_seed() -> u64 {
    number("LEDGERKIT_FUZZ_SEED").unwrap_or(0)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// The committed inputs of a target, by their files' names.
pub(crate) fn committed(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut found: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    found
}

/// The input of a seed: every other one is random, the rest are committed ones with a few changes.
pub(crate) fn fresh(seed: u64, committed: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let length = 16 + numbers.below(1_000);
    let random = numbers.bytes(length);
    if seed.is_multiple_of(2) || committed.is_empty() {
        return random;
    }
    let mut input = committed[numbers.below(committed.len())].1.clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let end = (at + numbers.below(32)).min(input.len());
        match numbers.below(6) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][numbers.below(6)],
            2 => drop(input.drain(at..end)),
            3 => drop(input.splice(at..at, random[..random.len().min(end - at + 1)].iter().copied())),
            4 => {
                let other = &committed[numbers.below(committed.len())].1;
                input.truncate(at);
                input.extend_from_slice(&other[numbers.below(other.len() + 1)..]);
            }
            _ => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
        }
    }
    input
}
