//! What can go wrong with an engine.

use std::path::PathBuf;

use ledger_core::StateError;

use super::Address;

/// Why an engine can't do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The folder holds no such engine, or one that lost or changed bytes. Delete the folder and fill it from the log.
    #[error("the engine in {} is damaged: {reason}; delete the folder and rebuild it from the log", folder.display())]
    Damaged {
        /// Where.
        folder: PathBuf,
        /// What the engine met.
        reason: String,
    },
    /// The folder is of a format that this program doesn't read. Delete the folder and fill it from the log.
    #[error("the engine in {} has another format ({reason}); delete the folder and rebuild it from the log", folder.display())]
    Version {
        /// Where.
        folder: PathBuf,
        /// What the engine met.
        reason: String,
    },
    /// Another process, or another handle, has it open.
    #[error("the engine in {} is in use", folder.display())]
    InUse {
        /// Where.
        folder: PathBuf,
    },
    /// The system refused to read or write.
    #[error("the engine in {} failed: {reason}", folder.display())]
    Failed {
        /// Where.
        folder: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// A key that no engine takes.
    #[error("a key has {length} bytes; an engine takes 1 to {limit}")]
    KeyLength {
        /// Its length.
        length: usize,
        /// The longest.
        limit: usize,
    },
    /// Bulk bytes that don't fit in one segment.
    #[error("a blob has {bytes} bytes; one segment of bulk storage holds {limit}")]
    BlobLength {
        /// The blob's bytes.
        bytes: u64,
        /// The most that one blob may have.
        limit: u64,
    },
    /// Bulk storage has used up its addresses.
    #[error("bulk storage has no address left for {bytes} bytes; the last one is {}", Address::MAX)]
    NoAddress {
        /// The blob's bytes.
        bytes: u64,
    },
    /// Bulk bytes that every space said it needs no longer.
    #[error("the bulk bytes at {address} were released")]
    Released {
        /// The address asked for.
        address: Address,
    },
    /// A batch can't be undone any more, or was never applied.
    #[error("batch {batch} isn't kept; kept are {oldest} to {newest}")]
    NotKept {
        /// The batch asked for.
        batch: u64,
        /// The oldest that one can go back to.
        oldest: u64,
        /// The newest.
        newest: u64,
    },
    /// A setting that can't work.
    #[error("engine setting {name} is {value}, but must be {expected}")]
    BadConfig {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
}

impl EngineError {
    /// Whether the way out is to delete the engine's folder and fill it again from the log.
    #[must_use]
    pub fn wants_rebuild(&self) -> bool {
        matches!(self, EngineError::Damaged { .. } | EngineError::Version { .. })
    }
}

impl From<EngineError> for StateError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Damaged { folder, reason } => {
                StateError::Damaged { place: folder.display().to_string(), reason }
            }
            other => StateError::Engine { reason: other.to_string() },
        }
    }
}
