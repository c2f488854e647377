//! Which modules a folder of compiled code has, as far as anybody knows.
//!
//! wasmtime can't be asked whether it has a module without compiling it if not. So for each that was compiled there is an empty
//! file of our own beside its. It is a hint: what is there in vain costs one compilation beside execution, what is missing is
//! interpreted until it is used.

use std::path::{Path, PathBuf};

/// A file for each module that was compiled, by its digest.
pub(super) struct Known {
    folder: PathBuf,
}

impl Known {
    /// Those of a folder of compiled code. Two levels down, wasmtime takes our files for some of its own, and removes the oldest
    /// with them when there are too many.
    pub(super) fn new(cache: &Path) -> Self {
        Known { folder: cache.join("ledgerkit").join("compiled") }
    }

    /// Whether the module was compiled before.
    pub(super) fn has(&self, module: &[u8]) -> bool {
        self.file(module).is_file()
    }

    /// Notes that a module was compiled, or used again.
    pub(super) fn note(&self, module: &[u8]) {
        let file = self.file(module);
        // Whether it succeeds shows in nothing but the time of the next start. A byte, so that the file becomes as young as
        // its last use.
        if std::fs::write(&file, b"\n").is_err() && std::fs::create_dir_all(&self.folder).is_ok() {
            let _ = std::fs::write(&file, b"\n");
        }
    }

    fn file(&self, module: &[u8]) -> PathBuf {
        self.folder.join(blake3::hash(module).to_hex().as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_to_all_with_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::new(folder.path());
        assert!(!known.has(b"a"));
        known.note(b"a");
        known.note(b"a");
        let other = Known::new(folder.path());
        assert!(other.has(b"a") && !other.has(b"b"));
        // Where nothing can be written, nothing is known.
        let nowhere = Known::new(&folder.path().join("ledgerkit/compiled").join(known.file(b"a").file_name().unwrap()));
        nowhere.note(b"b");
        assert!(!nowhere.has(b"b"));
    }
}
