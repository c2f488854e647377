//! A guard in a file.

use std::io;
use std::path::{Path, PathBuf};

use super::{Guard, GuardError, GuardRecord};
use crate::files;

/// A guard in a file, replaced whole: written beside it, synced, renamed over it, folder synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGuard {
    path: PathBuf,
}

impl FileGuard {
    /// The guard in the file at `path`, which needn't exist yet; its folder must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, action: &'static str, error: io::Error) -> GuardError {
        GuardError::Storage { place: self.path.display().to_string(), action, error }
    }
}

impl Guard for FileGuard {
    fn load(&self) -> Result<Option<GuardRecord>, GuardError> {
        // One byte more than a record is enough to see that a file isn't one, however long it is.
        let bytes = match files::read_at_most(&self.path, GuardRecord::LENGTH + 1) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        match GuardRecord::from_bytes(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(GuardError::Damaged { place: self.path.display().to_string(), error }),
        }
    }

    fn store(&mut self, record: &GuardRecord) -> Result<(), GuardError> {
        files::replace(&self.path, &record.to_bytes()).map_err(|error| self.failed("write", error))
    }
}
