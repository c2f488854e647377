//! Making a snapshot while the chain goes on.

use ledger_core::codec::{self, Format};
use ledger_core::snapshot::{self, SNAPSHOT_VERSION};
use ledger_core::{Checkpoint, CheckpointBundle, Height, Key, SnapshotChunk, SnapshotManifest, StateError};

use super::super::{ChainReader, StoreError};
use super::SnapshotStoreError;
use crate::state::{StateChunk, StatePin};

/// Settings of a [`SnapshotExport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// About how many bytes of keys and values a chunk has, 1 KiB to 8 MiB; a larger value stands alone. Default 1 MiB.
    pub chunk_bytes: usize,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { chunk_bytes: 1 << 20 }
    }
}

/// What a manifest's digests, peaks and lengths take beside what is known when it is begun.
const MANIFEST_ROOM: usize = 64 << 10;

/// A snapshot that is being made. It does nothing by itself: each chunk is made when it is asked for.
#[derive(Debug)]
pub struct SnapshotExport {
    pin: StatePin,
    manifest: SnapshotManifest,
    chunks: Vec<SnapshotChunk>,
    next: Option<Key>,
    chunk_bytes: usize,
    manifest_bytes: usize,
}

impl SnapshotExport {
    /// Begins the snapshot that `checkpoint` proves: of the state after the last block that it commits to, which must
    /// be provable still, or must be that of a later block which is: where a chain rests, its last blocks are empty.
    ///
    /// # Errors
    /// [`SnapshotStoreError`] when the checkpoint isn't one of this chain's, or its state is too old.
    pub fn begin(
        reader: &ChainReader,
        checkpoint: CheckpointBundle,
        config: ExportConfig,
    ) -> Result<Self, SnapshotStoreError> {
        let header = &checkpoint.checkpoint.header;
        let height = match header.history.size.checked_sub(1) {
            None => return Err(SnapshotStoreError::NothingExecuted { height: header.height }),
            Some(height) => Height(height),
        };
        let pin = pin(reader, height)?.ok_or(SnapshotStoreError::Busy)?;
        let block = reader.block(height)?;
        let (found, expected) = (header.chain, block.header.chain);
        if found != expected {
            return Err(SnapshotStoreError::WrongChain { found, expected });
        }
        let head = reader.history_head(header.history.size)?;
        if head != header.history {
            let (found, expected) = (header.history.root, head.root);
            return Err(SnapshotStoreError::OtherHistory { size: head.size, found, expected });
        }
        let manifest = SnapshotManifest {
            version: SNAPSHOT_VERSION,
            chain: header.chain,
            checkpoint,
            block: Checkpoint { header: block.header, certificate: block.certificate },
            outcome: block.outcome,
            peaks: reader.peaks(height.0)?.into(),
            chunks: Vec::new().into(),
        };
        let manifest_bytes = codec::encoded_length(&manifest) + MANIFEST_ROOM;
        let chunk_bytes = config.chunk_bytes.clamp(1 << 10, 8 << 20);
        let next = Some(snapshot::least_key());
        Ok(Self { pin, manifest, chunks: Vec::new(), next, chunk_bytes, manifest_bytes })
    }

    /// The snapshot's height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.manifest.height()
    }

    /// The next chunk's description and bytes; `None` after the last.
    ///
    /// # Errors
    /// [`SnapshotStoreError::Outlived`] when the chain went on for too long; others when the state can't be read.
    pub fn next_chunk(&mut self) -> Result<Option<(SnapshotChunk, Vec<u8>)>, SnapshotStoreError> {
        let Some(from) = self.next.take() else { return Ok(None) };
        let StateChunk { tree, next } = self.pin.chunk(&from, self.chunk_bytes).map_err(|error| match error {
            StateError::Height { .. } => {
                SnapshotStoreError::Outlived { height: self.height(), blocks: self.pin.longest() }
            }
            error => error.into(),
        })?;
        let bytes = codec::encode(&tree);
        // At most 8 MiB, one value of 16 MiB more, and a few digests.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let chunk = SnapshotChunk { from, digest: snapshot::chunk_digest(&bytes), length };
        self.manifest_bytes += codec::encoded_length(&chunk);
        if self.manifest_bytes > SnapshotManifest::LIMIT {
            let (limit, chunks) = (SnapshotManifest::LIMIT, self.chunks.len());
            return Err(SnapshotStoreError::ManifestLength { limit, chunks });
        }
        self.chunks.push(chunk.clone());
        self.next = next;
        Ok(Some((chunk, bytes)))
    }

    /// The manifest, once [`SnapshotExport::next_chunk`] gave `None`; before that, what is left over is made here and
    /// dropped.
    ///
    /// # Errors
    /// As [`SnapshotExport::next_chunk`].
    pub fn finish(mut self) -> Result<SnapshotManifest, SnapshotStoreError> {
        while self.next_chunk()?.is_some() {}
        Ok(SnapshotManifest { chunks: self.chunks.into(), ..self.manifest })
    }
}

/// Pins the state after block `height`, or that after the oldest block which can be proven, if it is the same: the root
/// commits to every key with value and version, so nothing was written between two blocks that have the same.
fn pin(reader: &ChainReader, height: Height) -> Result<Option<StatePin>, StoreError> {
    let error = match reader.pin(height) {
        Err(error) => error,
        pinned => return pinned,
    };
    let StoreError::State(StateError::Height { oldest, .. }) = error else { return Err(error) };
    let root = |at| reader.outcome(at).map(|outcome| outcome.state_root).ok();
    match root(height) {
        Some(own) if height < oldest && root(oldest) == Some(own) => reader.pin(oldest),
        _ => Err(error),
    }
}
