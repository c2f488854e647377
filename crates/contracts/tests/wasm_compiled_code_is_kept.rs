//! The engine wasmtime keeps compiled code in a folder, if it is given one: the next runtime with that folder compiles nothing
//! again, unless what is there can't be unpacked.
#![cfg(feature = "wasmtime")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::Runtime;
use ledger_contracts::wasm::{WasmRuntime, WasmtimeConfig, engine_error, is_compiled};
use ledger_core::Rules;
use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use wasm_support::{Remembering, prepared, run};

const ANSWER: &str = r#"(module
    (import "ledgerkit.1" "return" (func $return (param i32 i32)))
    (memory 1) (data (i32.const 0) "kept")
    (func (export "call_answer") (call $return (i32.const 0) (i32.const 4))))"#;

/// Runs the module on a runtime of its own with `folder`.
fn answer(folder: &Path) -> Vec<u8> {
    let config = WasmtimeConfig { cache: Some(folder.to_owned()), ..WasmtimeConfig::at_once() };
    let runtime = WasmRuntime::wasmtime(config).unwrap();
    let code = prepared(&runtime, ANSWER);
    assert_eq!(engine_error(&code), None);
    run(&runtime, &code, "answer", b"", &mut Remembering::new(1_000_000)).unwrap()
}

/// The files with compiled code: statistics and what is being written have an extension.
fn files(folder: &Path) -> Vec<PathBuf> {
    below(&folder.join("modules"))
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] })
        .filter(|path| path.extension().is_none())
        .collect()
}

fn modified(file: &Path) -> SystemTime {
    file.metadata().unwrap().modified().unwrap()
}

#[test]
fn code_is_compiled_once_for_all_runtimes_with_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(answer(folder.path()), b"kept");
    let [file] = &files(folder.path())[..] else { panic!("{:?}", files(folder.path())) };
    // Compiling writes the file anew; reading leaves its time.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let age =
        || File::options().write(true).open(file).unwrap().set_times(FileTimes::new().set_modified(long_ago)).unwrap();
    age();
    assert_eq!(answer(folder.path()), b"kept");
    assert_eq!(modified(file), long_ago);

    let whole = std::fs::read(file).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"no archive"] {
        std::fs::write(file, damaged).unwrap();
        age();
        assert_eq!(answer(folder.path()), b"kept");
        assert_ne!(modified(file), long_ago);
        assert_eq!(std::fs::read(file).unwrap().len(), whole.len());
    }
}

#[test]
fn code_under_other_prices_is_other_code() {
    let folder = tempfile::tempdir().unwrap();
    let config = WasmtimeConfig { cache: Some(folder.path().to_owned()), ..WasmtimeConfig::at_once() };
    let runtime = WasmRuntime::wasmtime(config).unwrap();
    let module = wat::parse_str(ANSWER).unwrap();
    let mut dearer = Rules::default();
    dearer.wasm.costs.call += 1;
    for rules in [Rules::default(), dearer] {
        assert_eq!(engine_error(&runtime.prepare(&module, &rules).unwrap()), None);
    }
    assert_eq!(files(folder.path()).len(), 2);
}

/// Whether code is compiled within some seconds, while nobody runs it.
fn comes(code: &ledger_contracts::Prepared, within: Duration) -> bool {
    let start = Instant::now();
    while !is_compiled(code) && start.elapsed() < within {
        std::thread::sleep(Duration::from_millis(1));
    }
    is_compiled(code)
}

#[test]
fn after_a_restart_what_was_compiled_is_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let config = WasmtimeConfig { cache: Some(folder.path().to_owned()), ..WasmtimeConfig::default() };
        WasmRuntime::wasmtime(config).unwrap()
    };
    let other = ANSWER.replace("kept", "left");
    {
        let runtime = start();
        let [code, unused] = [ANSWER, &other].map(|module| prepared(&runtime, module));
        while !is_compiled(&code) {
            assert_eq!(run(&runtime, &code, "answer", b"", &mut Remembering::new(1_000_000)).unwrap(), b"kept");
        }
        assert!(!is_compiled(&unused));
    }
    let [file] = &files(folder.path())[..] else { panic!("{:?}", files(folder.path())) };
    let before = modified(file);
    let runtime = start();
    let [code, unused] = [ANSWER, &other].map(|module| prepared(&runtime, module));
    // On a machine that stands still meanwhile the wait may end before.
    assert!(comes(&code, Duration::from_secs(60)));
    assert_eq!(run(&runtime, &code, "answer", b"", &mut Remembering::new(1_000_000)).unwrap(), b"kept");
    assert_eq!(modified(file), before);
    // What wasn't used is interpreted as before.
    assert!(!comes(&unused, Duration::from_millis(200)));
    assert_eq!(run(&runtime, &unused, "answer", b"", &mut Remembering::new(1_000_000)).unwrap(), b"left");

    // Without the file, it is compiled again.
    std::fs::remove_file(file).unwrap();
    let runtime = start();
    let code = prepared(&runtime, ANSWER);
    assert_eq!(run(&runtime, &code, "answer", b"", &mut Remembering::new(1_000_000)).unwrap(), b"kept");
    assert!(comes(&code, Duration::from_secs(60)));
    assert!(file.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for folder in [file.path().join("inside"), PathBuf::from("relative")] {
        let config = WasmtimeConfig { cache: Some(folder.clone()), ..WasmtimeConfig::at_once() };
        let error = WasmRuntime::wasmtime(config).map(drop).unwrap_err();
        assert!(error.to_string().contains(folder.to_str().unwrap()), "{error}");
    }
}
