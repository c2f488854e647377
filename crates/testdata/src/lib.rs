//! Finds the third-party data that tests read: vectors, EPCIS documents, coffee gradings.
//!
//! The data is no part of this repository. It is looked for in the folder that `LEDGERKIT_TEST_DATA` names, else in
//! `shared/data` beside the checkout. A test that needs it calls [`path`] (or [`read`]) and returns early on `None`;
//! the helper has then said so on standard error.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// The folder that holds the data, where there is one.
pub fn root() -> Option<PathBuf> {
    let folder = match std::env::var_os("LEDGERKIT_TEST_DATA") {
        Some(named) => PathBuf::from(named),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    folder.is_dir().then_some(folder)
}

/// The path of `name` (for example `crypto/blake3/test_vectors.json`), or `None` after saying that it is absent.
pub fn path(name: &str) -> Option<PathBuf> {
    let found = root().map(|folder| folder.join(name)).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: test data `{name}` is absent; set LEDGERKIT_TEST_DATA to the folder that holds it");
    }
    found
}

/// The text of the file `name`, or `None` after saying that it is absent or not UTF-8 text.
pub fn read(name: &str) -> Option<String> {
    let path = path(name)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("SKIPPED: test data `{name}` cannot be read: {error}");
            None
        }
    }
}
