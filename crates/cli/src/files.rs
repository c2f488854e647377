//! Reading and making small files.

use crate::error::CliError;
use ledger_core::codec::{self, Format};
use ledger_core::{Genesis, TrustRoot};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let failed = |error| CliError::Io { path: path.to_owned(), action: "read", error };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    match read as u64 > limit {
        true => Err(CliError::TooLong { path: path.to_owned(), found: found.max(read as u64), limit }),
        false => Ok(bytes),
    }
}

/// Reads a file that holds one encoded value.
pub(crate) fn read_value<T: Format + codec::Decode<()>>(path: &Path) -> Result<T, CliError> {
    let bytes = read(path, T::LIMIT as u64)?;
    codec::decode(&bytes).map_err(|error| CliError::Codec { path: path.to_owned(), error })
}

/// Reads what somebody is to be trusted for: a trust root, or a genesis alone.
pub(crate) fn read_trust(path: &Path) -> Result<TrustRoot, CliError> {
    let bytes = read(path, TrustRoot::LIMIT.max(Genesis::LIMIT) as u64)?;
    trust(&bytes).map_err(|(root, genesis)| CliError::NoTrust { path: path.to_owned(), root, genesis })
}

/// A genesis alone is a trust root's beginning, so that no bytes are both.
pub(crate) fn trust(bytes: &[u8]) -> Result<TrustRoot, (codec::CodecError, codec::CodecError)> {
    match (codec::decode::<TrustRoot>(bytes), codec::decode::<Genesis>(bytes)) {
        (Ok(root), _) => Ok(root),
        (_, Ok(genesis)) => Ok(TrustRoot::new(genesis)),
        (Err(root), Err(genesis)) => Err((root, genesis)),
    }
}

/// Makes a file that must not be there yet, whole and synced.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Exists { path: path.to_owned() },
        _ => CliError::Io { path: path.to_owned(), action: "write", error },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// Makes a folder that must not be there yet; its parents are made too.
pub(crate) fn create_folder(path: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::Io { path: path.to_owned(), action: "create", error };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(CliError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Makes the names in a folder survive a loss of power.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::Io { path: path.to_owned(), action: "sync", error };
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed)
}
