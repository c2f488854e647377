//! Snapshots of a chain, made while it runs.

use super::{Chain, ChainError};
use ledger_core::{CheckpointBundle, SnapshotManifest};
use ledger_storage::disk::RealDisk;
use ledger_storage::snapshot::{ExportConfig, SnapshotExport, SnapshotStoreError, export_to_folder};
use std::path::Path;

impl Chain {
    /// Writes a snapshot into `folder`: the state that the newest checkpoint proves, in chunks that verify alone (see
    /// [`ledger_storage::snapshot`]). Blocks go on meanwhile. A folder that holds an older snapshot holds the new one
    /// afterwards; without a manifest it holds none.
    ///
    /// # Errors
    /// [`ChainError::Export`] when the newest checkpoint's state can't be proven, the chain went on for too long, or the
    /// folder can't be written.
    pub async fn export_snapshot(
        &self,
        folder: impl AsRef<Path>,
        config: ExportConfig,
    ) -> Result<SnapshotManifest, ChainError> {
        let (reader, checkpoint) = (self.shared.reader.clone(), self.checkpoint());
        let path = folder.as_ref().to_path_buf();
        let to = path.clone();
        let export = move || -> Result<SnapshotManifest, SnapshotStoreError> {
            let bundle = CheckpointBundle::from((*checkpoint).clone());
            let export = SnapshotExport::begin(&reader, bundle, config)?;
            let disk = RealDisk::open(&to)?;
            export_to_folder(export, &disk)
        };
        match tokio::task::spawn_blocking(export).await {
            Ok(exported) => exported.map_err(|error| ChainError::Export { folder: path, error }),
            // The runtime is shutting down.
            Err(_) => Err(ChainError::Closed),
        }
    }
}
