//! Snapshots in folders.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger_core::codec::{self, Format};
use ledger_core::snapshot::MAX_CHUNK_BYTES;
use ledger_core::{Genesis, SnapshotChunk, SnapshotError, SnapshotManifest, TrustRoot, VerifiedSnapshot};

use super::super::{ChainConfig, ChainStore};
use super::{SnapshotExport, SnapshotImport, SnapshotStoreError};
use crate::disk::{Disk, DiskError};
use crate::engine::Engine;

/// The file that says what the folder holds. It is written last.
pub const MANIFEST_FILE: &str = "manifest";

/// What is being written; whole only once it has its own name.
const NEW_FILE: &str = "writing.new";

/// The file of a chunk: its digest in hex.
#[must_use]
pub fn chunk_file(chunk: &SnapshotChunk) -> String {
    format!("{}.chunk", chunk.digest)
}

/// Writes the snapshot into the folder, chunk by chunk, and the manifest last; all of it is durable then. A folder that
/// holds an older snapshot holds the new one afterwards, and in between no manifest. Chunks that are there already are
/// written again: nobody knows whether they are whole.
///
/// # Errors
/// [`SnapshotStoreError`]. The folder may then have chunks, but no manifest.
pub fn export_to_folder(export: SnapshotExport, folder: &dyn Disk) -> Result<SnapshotManifest, SnapshotStoreError> {
    // Nobody ends it.
    export_to_folder_while(export, folder, &mut || true)?.ok_or(SnapshotStoreError::Ended)
}

/// As [`export_to_folder`], as long as `goes_on` says so before each chunk; `None` when it ended the export.
///
/// # Errors
/// As [`export_to_folder`].
pub fn export_to_folder_while(
    mut export: SnapshotExport,
    folder: &dyn Disk,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<Option<SnapshotManifest>, SnapshotStoreError> {
    let names = folder.list()?;
    if names.iter().any(|name| name == MANIFEST_FILE) {
        folder.remove(MANIFEST_FILE)?;
        folder.sync_folder()?;
    }
    let mut written = BTreeSet::new();
    while let Some((chunk, bytes)) = export.next_chunk()? {
        if !goes_on() {
            return Ok(None);
        }
        let name = chunk_file(&chunk);
        write(folder, &name, &bytes)?;
        written.insert(name);
    }
    let manifest = export.finish()?;
    for name in names.iter().filter(|name| name.ends_with(".chunk") && !written.contains(*name)) {
        folder.remove(name)?;
    }
    folder.sync_folder()?;
    write(folder, MANIFEST_FILE, &codec::encode(&manifest))?;
    folder.sync_folder()?;
    Ok(Some(manifest))
}

fn write(folder: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let file = match folder.create(NEW_FILE) {
        // Left over from an export that broke off.
        Err(DiskError::AlreadyExists { .. }) => {
            folder.remove(NEW_FILE)?;
            folder.create(NEW_FILE)?
        }
        file => file?,
    };
    file.write_all_at(0, bytes)?;
    file.sync_data()?;
    folder.rename(NEW_FILE, name)
}

/// Reads and verifies the folder's manifest.
///
/// # Errors
/// [`SnapshotStoreError`] that names the file.
pub fn read_manifest(folder: &dyn Disk, trust: &TrustRoot) -> Result<VerifiedSnapshot, SnapshotStoreError> {
    let of = || ": the folder holds no whole snapshot".to_owned();
    let bytes = read(folder, MANIFEST_FILE, SnapshotManifest::LIMIT as u64, of)?;
    VerifiedSnapshot::from_bytes(&bytes, trust).map_err(|error| match error {
        SnapshotError::Codec(_) => {
            SnapshotStoreError::Damaged { file: MANIFEST_FILE.to_owned(), error: Box::new(error) }
        }
        error => error.into(),
    })
}

/// Begins a chain from the folder's snapshot: verifies every file that is read, and goes on where an import of the same
/// snapshot broke off.
///
/// # Errors
/// [`SnapshotStoreError`]; [`SnapshotStoreError::Missing`] and [`SnapshotStoreError::Damaged`] name the file. What was
/// imported until then is kept for the next time.
pub fn import_from_folder(
    folder: &dyn Disk,
    trust: &TrustRoot,
    engine: Arc<dyn Engine>,
    config: ChainConfig,
) -> Result<ChainStore, SnapshotStoreError> {
    let genesis: &Genesis = &trust.genesis;
    let snapshot = read_manifest(folder, trust)?;
    let mut import = SnapshotImport::open(engine, genesis, snapshot, config)?;
    add_from_folder(folder, &mut import)?;
    import.finish()
}

/// Adds to an import all chunks that it lacks. Those of the folder are its snapshot's.
///
/// # Errors
/// As [`import_from_folder`].
pub fn add_from_folder(folder: &dyn Disk, import: &mut SnapshotImport) -> Result<(), SnapshotStoreError> {
    let missing: Vec<usize> = import.missing().collect();
    for index in missing {
        let Some((name, bytes)) = read_chunk(folder, import.snapshot(), index)? else { continue };
        import.add(index, &bytes).map_err(|error| match error {
            SnapshotStoreError::Snapshot(error) => SnapshotStoreError::Damaged { file: name, error },
            error => error,
        })?;
    }
    Ok(())
}

/// Reads and verifies the whole folder; returns the snapshot and how many keys it has. Holds one chunk in memory.
///
/// # Errors
/// [`SnapshotStoreError`] that names the file.
pub fn verify_folder(folder: &dyn Disk, trust: &TrustRoot) -> Result<(VerifiedSnapshot, u64), SnapshotStoreError> {
    let snapshot = read_manifest(folder, trust)?;
    let mut keys = 0;
    for index in 0..snapshot.chunks() {
        let Some((name, bytes)) = read_chunk(folder, &snapshot, index)? else { continue };
        let entries = snapshot
            .verify_chunk(index, &bytes)
            .map_err(|error| SnapshotStoreError::Damaged { file: name, error: Box::new(error) })?;
        keys += entries.len() as u64;
    }
    Ok((snapshot, keys))
}

/// The name and bytes of the file of chunk `index`; `None` behind the last. What the bytes are, nobody has looked at.
fn read_chunk(
    folder: &dyn Disk,
    snapshot: &VerifiedSnapshot,
    index: usize,
) -> Result<Option<(String, Vec<u8>)>, SnapshotStoreError> {
    let Some(chunk) = snapshot.chunk(index) else { return Ok(None) };
    let name = chunk_file(chunk);
    let of = || format!(": it is chunk {index} of the snapshot at height {}", snapshot.height());
    let bytes = read(folder, &name, MAX_CHUNK_BYTES as u64, of)?;
    Ok(Some((name, bytes)))
}

fn read(folder: &dyn Disk, name: &str, limit: u64, of: impl Fn() -> String) -> Result<Vec<u8>, SnapshotStoreError> {
    let file = match folder.open(name) {
        Err(DiskError::NotFound { .. }) => {
            return Err(SnapshotStoreError::Missing { file: name.to_owned(), of: of() });
        }
        file => file?,
    };
    let found = file.len()?;
    let length = usize::try_from(found).ok().filter(|_| found <= limit);
    let Some(length) = length else {
        return Err(SnapshotStoreError::FileLength { file: name.to_owned(), found, limit });
    };
    let mut bytes = vec![0; length];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}
