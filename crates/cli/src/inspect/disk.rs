//! A data folder that can be looked at and not changed.

use ledger_storage::disk::{Disk, DiskError, File, Operation};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file whose lock stands for the folder.
const LOCK: &str = "LOCK";

/// A folder whose files are read. What recovery would cut off, remove or sync stays as it is: those calls do nothing.
#[derive(Debug)]
pub(crate) struct ReadOnlyDisk {
    folder: PathBuf,
    /// Held for its shared lock, so that no node starts on the folder meanwhile.
    _lock: Option<fs::File>,
}

impl ReadOnlyDisk {
    /// Opens `folder`, which must be there and in nobody's use.
    pub(crate) fn open(folder: &Path) -> Result<Self, DiskError> {
        let failed = |operation, path: &Path, error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => DiskError::NotFound { path: path.to_owned() },
            _ => DiskError::Io { operation, path: path.to_owned(), source: Arc::new(error) },
        };
        fs::read_dir(folder).map_err(|error| failed(Operation::Open, folder, error))?;
        let path = folder.join(LOCK);
        let lock = match fs::File::open(&path) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(Operation::Lock, &path, error)),
        };
        match lock.as_ref().map_or(Ok(()), fs::File::try_lock_shared) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(DiskError::InUse { folder: folder.to_owned() }),
            Err(fs::TryLockError::Error(error)) => Err(failed(Operation::Lock, &path, error)),
        }
    }

    fn failed(&self, operation: Operation, name: &str, error: std::io::Error) -> DiskError {
        let path = self.folder.join(name);
        match error.kind() {
            std::io::ErrorKind::NotFound => DiskError::NotFound { path },
            _ => DiskError::Io { operation, path, source: Arc::new(error) },
        }
    }

    fn refused(&self, operation: Operation, name: &str) -> DiskError {
        self.failed(operation, name, std::io::Error::other("the folder is only looked at"))
    }
}

impl Disk for ReadOnlyDisk {
    fn create(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        Err(self.refused(Operation::Create, name))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        let path = self.folder.join(name);
        match fs::File::open(&path) {
            Ok(file) => Ok(Box::new(ReadOnlyFile { path, file })),
            Err(error) => Err(self.failed(Operation::Open, name, error)),
        }
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let failed = |error| self.failed(Operation::Read, "", error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_file = entry.file_type().map_err(failed)?.is_file();
            if let Some(name) = entry.file_name().to_str().filter(|name| is_file && *name != LOCK) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, _to: &str) -> Result<(), DiskError> {
        Err(self.refused(Operation::Rename, from))
    }

    fn remove(&self, _name: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// A file of such a folder.
#[derive(Debug)]
struct ReadOnlyFile {
    path: PathBuf,
    file: fs::File,
}

impl ReadOnlyFile {
    fn failed(&self, error: std::io::Error) -> DiskError {
        DiskError::Io { operation: Operation::Read, path: self.path.clone(), source: Arc::new(error) }
    }
}

impl File for ReadOnlyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read_at(buffer, offset).map_err(|error| self.failed(error))
    }

    fn write_at(&self, _offset: u64, bytes: &[u8]) -> Result<usize, DiskError> {
        Ok(bytes.len())
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.file.metadata().map_err(|error| self.failed(error))?.len())
    }

    fn set_len(&self, _length: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
