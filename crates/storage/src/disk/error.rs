//! What can go wrong with a disk, with the operation and the place.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What was being done when a disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a data folder, or a file.
    Open,
    /// Creating a folder or file.
    Create,
    /// Taking the folder's lock.
    Lock,
    /// Reading bytes, a length, or the folder's list.
    Read,
    /// Writing bytes.
    Write,
    /// Making a file or the folder durable.
    Sync,
    /// Cutting or extending a file.
    Resize,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Resize => "resize",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// Why a disk operation failed. Cheap to clone, so that one failure can be told to everyone who waits for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// Another process, or another handle in this one, holds the folder.
    #[error("data folder {} is in use by another process; stop it first", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no such file or folder.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The missing path.
        path: PathBuf,
    },
    /// The name to create is taken.
    #[error("{} already exists", path.display())]
    AlreadyExists {
        /// The path that is taken.
        path: PathBuf,
    },
    /// No space is left.
    #[error("disk full: could not {operation} {}; free some space and reopen", path.display())]
    Full {
        /// What was being done.
        operation: Operation,
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A file name that a disk does not take.
    #[error(
        "file name {name:?} is not one plain path component of at most {} letters, digits, '.', '-' and '_'",
        super::MAX_NAME
    )]
    BadName {
        /// The name refused.
        name: String,
    },
    /// The simulated machine has crashed; nothing works on this handle any more.
    #[error("the simulated machine crashed at I/O operation {operation}")]
    Crashed {
        /// The number of the operation at which it crashed, counted from 1.
        operation: u64,
    },
    /// The operating system, or a simulated fault, refused an operation.
    #[error("could not {operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: Operation,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: Arc<io::Error>,
    },
}

impl DiskError {
    /// The error for `source`, which `operation` on `path` met.
    pub(crate) fn from_io(operation: Operation, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::AlreadyExists => Self::AlreadyExists { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { operation, path },
            _ => Self::Io { operation, path, source: Arc::new(source) },
        }
    }
}
