//! The house rules that a machine can check: arrows point down, siblings don't import each other, pure cores know no
//! clock, thread, file or socket, files stay readable, every crate forbids unsafe code.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors of the house, from the ground up. A crate may import crates of lower floors only.
const FLOORS: &[&[&str]] = &[
    &["ledger-crypto"],
    &["ledger-core"],
    &[
        "ledger-storage",
        "ledger-consensus",
        "ledger-contracts",
        "ledger-contract-sdk",
        "ledger-network",
        "ledger-verifier",
        "ledger-client",
    ],
    &["ledger-node", "ledger-contract-guest"],
    &["ledger-simulation", "ledger-traceability", "ledger-api"],
    &["ledger-trace-page"],
    &["ledgerkit-cli"],
];

/// Found by tests only; may be a dev-dependency of any crate.
const TEST_ONLY: &str = "ledger-testdata";

/// Synchronous values: time, randomness, messages and disk results come in as arguments.
const PURE: &[&str] = &[
    "crates/ledger-core/src",
    "crates/consensus/src",
    "crates/contracts/src",
    "crates/node/src/core",
    "crates/node/src/mempool",
];

/// Where a pure core does name it, and what: what is done there changes no result.
const EXCEPT: &[(&str, &str)] = &[
    // Compiles, on a thread of its own, what is interpreted meanwhile.
    ("crates/contracts/src/wasm/later.rs", "std::thread"),
    // Waits a bounded time for it where it was compiled before.
    ("crates/contracts/src/wasm/later.rs", "std::time"),
    ("crates/contracts/src/wasm/later.rs", "Instant::now"),
    // Remembers what was compiled, beside what wasmtime keeps on the disk.
    ("crates/contracts/src/wasm/known.rs", "std::fs"),
];

/// What a pure core must not name.
const IMPURE: &[&str] = &[
    "tokio",
    "std::thread",
    "std::fs",
    "std::net",
    "std::time",
    "core::time",
    "SystemTime",
    "Instant::now",
    "getrandom",
    "thread_rng",
];

/// A file longer than this is cut.
const MAX_LINES: usize = 800;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn crates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.join("Cargo.toml").exists());
    found.sort();
    assert!(found.len() >= 7, "the crates are gone: {found:?}");
    found
}

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The package's name, and the workspace's crates that it depends on, with the section each stands in.
fn manifest(path: &Path) -> (String, Vec<(String, String)>) {
    let text = fs::read_to_string(path.join("Cargo.toml")).unwrap();
    let (mut section, mut name, mut dependencies) = (String::new(), String::new(), Vec::new());
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
        } else if section == "package" && line.starts_with("name = ") {
            name = line["name = ".len()..].trim_matches('"').to_owned();
        } else if section.ends_with("dependencies") && line.starts_with("ledger-") {
            let dependency = line.split(['.', ' ', '=']).next().unwrap().to_owned();
            dependencies.push((section.clone(), dependency));
        }
    }
    (name, dependencies)
}

fn floor(name: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&name)).unwrap_or_else(|| panic!("{name} has no floor; give it one"))
}

#[test]
fn arrows_point_down_and_siblings_do_not_import_each_other() {
    let mut checked = 0;
    for path in crates() {
        let (name, dependencies) = manifest(&path);
        if name == TEST_ONLY {
            assert!(dependencies.is_empty(), "{name} imports {dependencies:?}");
            continue;
        }
        for (section, dependency) in dependencies {
            checked += 1;
            if dependency == TEST_ONLY {
                assert_eq!(section, "dev-dependencies", "{name} ships {TEST_ONLY}");
                continue;
            }
            // A crate may name itself in its own tests, to switch on a feature.
            let own_tests = section == "dev-dependencies" && dependency == name;
            assert!(
                own_tests || floor(&dependency) < floor(&name),
                "{name} imports {dependency}, which stands on the same floor or above ([{section}])"
            );
        }
    }
    assert!(checked > 10, "the manifests were not understood");
}

#[test]
fn pure_cores_know_no_clock_thread_file_or_socket() {
    let mut checked = 0;
    for folder in PURE {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                let excepted = |word: &str| EXCEPT.iter().any(|(file, what)| path.ends_with(file) && *what == word);
                for word in IMPURE.iter().filter(|word| !excepted(word)) {
                    assert!(!code.contains(word), "{}:{}: a pure core names `{word}`", path.display(), number + 1);
                }
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "the pure cores are gone");
}

#[test]
fn no_file_is_longer_than_800_lines() {
    for folder in ["crates", "src", "examples", "benches", "tests"] {
        for path in sources(&root().join(folder)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines; the limit is {MAX_LINES}", path.display());
        }
    }
}

#[test]
fn every_crate_forbids_unsafe_code_and_inherits_the_lints() {
    for path in crates() {
        let text = fs::read_to_string(path.join("src/lib.rs")).unwrap();
        let (name, _) = manifest(&path);
        // What meets a WebAssembly host needs `unsafe` in one module, which argues for itself.
        let meets_host = ["ledger-verifier", "ledger-contract-sdk"].contains(&name.as_str());
        let guard = if meets_host { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        assert!(text.contains(guard), "{} lacks {guard}", path.display());
        let cargo = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        assert!(cargo.contains("[lints]\nworkspace = true"), "{} doesn't inherit the lints", path.display());
    }
}

#[test]
fn versions_of_dependencies_stand_in_one_place() {
    for path in crates() {
        let text = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let mut section = String::new();
        for line in text.lines() {
            if let Some(header) = line.strip_prefix('[') {
                section = header.to_owned();
            } else if section.contains("dependencies") && line.contains('=') {
                let inherits = line.contains(".workspace = true") || line.contains("workspace = true");
                let comment = line.trim_start().starts_with('#');
                assert!(inherits || comment, "{}: `{line}` states a version of its own", path.display());
            }
        }
    }
}
