//! What the fuzzers found worth keeping (`fuzz/corpus`), and fresh inputs that follow from a seed, hold the laws of their
//! targets. `LEDGERKIT_FUZZ_CASES` says how many fresh ones each target is given, `LEDGERKIT_FUZZ_SEED` the first one's seed.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod fuzz_support;
mod wasm_support;

use fuzz_support::program::IMPORTS;
use fuzz_support::{TARGETS, inputs};
use std::collections::{BTreeMap, BTreeSet};

/// Runs all inputs of a target, and gives how often what was seen, by committed ones and by all.
fn hold(name: &str) -> [BTreeMap<String, u64>; 2] {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let committed = inputs::committed(name);
    assert!(committed.len() >= 10, "{name} has lost its inputs");
    let mut seen: [BTreeMap<String, u64>; 2] = Default::default();
    let mut run = |input: &[u8], kinds: &[usize]| {
        for label in (target.run)(input) {
            for kind in kinds {
                *seen[*kind].entry(label.clone()).or_default() += 1;
            }
        }
    };
    for (path, input) in &committed {
        // Shown if it fails.
        println!("{}", path.display());
        run(input, &[0, 1]);
    }
    for seed in (inputs::first_seed()..).take(usize::try_from(inputs::cases(60)).unwrap()) {
        println!("{name}: LEDGERKIT_FUZZ_SEED={seed} LEDGERKIT_FUZZ_CASES=1");
        run(&inputs::fresh(seed, &committed), &[1]);
    }
    println!("{name}: {} committed inputs; {:#?}", committed.len(), seen[1]);
    seen
}

/// Otherwise the inputs have lost what is of interest.
fn reaches(seen: &BTreeMap<String, u64>, labels: &[&str]) {
    for label in labels {
        assert!(seen.contains_key(*label), "no input reaches `{label}`: {seen:#?}");
    }
}

#[test]
fn any_bytes_are_refused_or_run_on_every_engine() {
    let [committed, _] = hold("prepare");
    reaches(&committed, &["refused", "taken", "taken by strict rules", "ran", "stopped"]);
}

#[test]
fn every_import_holds_against_any_arguments() {
    let [committed, _] = hold("host_calls");
    let imports: Vec<String> = IMPORTS.iter().map(|import| format!("import {}", import.name)).collect();
    // A refusal ends its program, so nothing is seen of it but that.
    let imports: Vec<&str> = imports.iter().map(String::as_str).filter(|name| *name != "import refuse").collect();
    reaches(&committed, &imports);
    reaches(&committed, &["succeeded", "Refused", "Trapped", "OutOfFuel", "Limit"]);
}

#[test]
fn the_host_calls_are_all_that_there_are() {
    let documented: BTreeSet<&str> = IMPORTS.iter().map(|import| import.name).collect();
    let sources = include_str!("../src/wasm/imports.rs").lines().filter_map(|line| line.trim().strip_prefix('"'));
    let there: BTreeSet<&str> = sources.filter_map(|line| line.split_once('"')).map(|(name, _)| name).collect();
    assert_eq!(documented, there);
}

#[test]
fn engines_agree_on_generated_modules() {
    let [committed, _] = hold("differential");
    let traps = ["unreachable executed", "memory access out of bounds", "stack exhausted"];
    reaches(&committed, &["done", "asked the host"]);
    reaches(&committed, &traps);
}

#[test]
fn lifecycle_and_commits_hold_against_any_bodies() {
    let [committed, _] = hold("bodies");
    for what in ["upload", "instantiate", "upgrade", "pause", "resume", "describe", "commit", "deploy", "call"] {
        reaches(&committed, &[&format!("{what} succeeded")]);
    }
    let failures = ["commit Conflict", "commit Forbidden", "commit InvalidBody", "upgrade Forbidden"];
    reaches(&committed, &failures);
    reaches(&committed, &["instantiate InvalidCode", "instantiate Refused", "call Forbidden"]);
}

#[test]
fn committed_inputs_are_few_and_small() {
    let all = TARGETS.iter().flat_map(|target| inputs::committed(target.name));
    let bytes: usize = all.map(|(_, input)| input.len()).sum();
    assert!(bytes < 300 << 10, "{bytes} bytes of inputs: minimize them (CONTRIBUTING.md)");
}
