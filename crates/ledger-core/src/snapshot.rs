//! Snapshots: a chain's whole state at one height, in pieces that anyone may hand out.
//!
//! ```text
//!   genesis ─▶ checkpoint ─▶ history root = peaks before block h ‖ leaf (block h, outcome) ─▶ state root
//!                                                                                              │
//!        chunk 0            chunk 1            chunk 2 …           each a pruned tree: all keys of its range
//!   [least key, k1)        [k1, k2)           [k2, end)            under the state root
//! ```
//! The [`SnapshotManifest`] names block *h*, the last one whose outcome the checkpoint commits to, and the chunks. A chunk is
//! an encoded [`PrunedTree`]: it shows all keys from its first one up to the next chunk's, with values and versions, and
//! that there are no others. So each chunk verifies alone against the checkpoint, in any order and from anyone; what is
//! missing, too much, of another height or of another chain doesn't lead to the state root.
//!
//! Manifest and chunks are named by the digests of their bytes ([`SnapshotManifest::digest`], [`chunk_digest`]). A digest
//! says which piece it is, not that it is true: that, [`SnapshotManifest::verify`] and [`VerifiedSnapshot::verify_chunk`]
//! say. Whoever makes a manifest chooses where chunks begin, so one state has many manifests, all of which prove the same.
//!
//! The peaks are those of the history tree of *h* leaves (RFC 9162). With leaf *h* appended they lead to the checkpoint's
//! history root: that proves block *h* with its outcome, and lets the chain's history go on from there.

mod error;

pub use error::SnapshotError;

use crate::block::Header;
use crate::checkpoint::{Checkpoint, CheckpointBundle, TrustRoot, VerifiedCheckpoint};
use crate::codec::{self, Bytes, Decode, Encode, Format, List};
use crate::domains;
use crate::history::{self, HistoryHasher};
use crate::id::{ChainId, ContractId};
use crate::outcome::Outcome;
use crate::state::tree::PrunedTree;
use crate::state::{Key, Versioned};
use crate::units::Height;
use ledger_crypto::merkle::Frontier;
use ledger_crypto::{Digest, hash};

/// The version of the manifest's and the chunks' format.
pub const SNAPSHOT_VERSION: u8 = 1;

/// The longest chunk, in bytes. The largest value alone takes half of it.
pub const MAX_CHUNK_BYTES: usize = 33 << 20;

/// What a chunk is, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SnapshotChunk {
    /// Where its range begins. It ends where the next chunk's begins, that of the last chunk with the last key.
    pub from: Key,
    /// The [digest](chunk_digest) of its bytes.
    pub digest: Digest,
    /// How many bytes it has, at most [`MAX_CHUNK_BYTES`].
    pub length: u32,
}

/// What a snapshot is of and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SnapshotManifest {
    /// [`SNAPSHOT_VERSION`].
    pub version: u8,
    /// The chain, which is the digest of its genesis.
    pub chain: ChainId,
    /// The checkpoint that the snapshot verifies against, with the changes of validators that lead to it.
    pub checkpoint: CheckpointBundle,
    /// Block *h*, the last one whose outcome the checkpoint commits to: its header, and what makes it final.
    pub block: Checkpoint,
    /// What executing block *h* gave.
    pub outcome: Outcome,
    /// The peaks of the history tree of blocks 0 to *h* − 1, from the left.
    pub peaks: List<Digest>,
    /// The chunks, in the order of their keys: at least one.
    pub chunks: List<SnapshotChunk>,
}

impl Format for SnapshotManifest {
    const NAME: &'static str = "snapshot manifest";
    const LIMIT: usize = 32 << 20;
}

/// A chunk's content.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Chunk(PrunedTree);

impl Format for Chunk {
    const NAME: &'static str = "snapshot chunk";
    const LIMIT: usize = MAX_CHUNK_BYTES;
}

/// The digest that names a chunk of these bytes.
pub fn chunk_digest(bytes: &[u8]) -> Digest {
    hash(domains::SNAPSHOT_CHUNK, bytes)
}

/// The digest that names a manifest of these bytes.
pub fn manifest_digest(bytes: &[u8]) -> Digest {
    hash(domains::SNAPSHOT_MANIFEST, bytes)
}

/// The least key that there can be: where the first chunk begins.
pub fn least_key() -> Key {
    Key::new(ContractId(Digest::ZERO), Bytes::default())
}

impl SnapshotManifest {
    /// The digest that names this manifest.
    pub fn digest(&self) -> Digest {
        manifest_digest(&codec::encode(self))
    }

    /// The height of the state.
    pub fn height(&self) -> Height {
        self.block.header.height
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.length)).sum()
    }

    /// Verifies that this is a snapshot of the trusted chain's state at [`SnapshotManifest::height`]. That its chunks hold
    /// that state, [`VerifiedSnapshot::verify_chunk`] shows of each.
    ///
    /// # Errors
    /// [`SnapshotError`] says what is wrong; [`SnapshotError::Checkpoint`] with
    /// [`RolledBack`](crate::TrustError::RolledBack) for one that is older than what `trust` has seen.
    pub fn verify(self, trust: &TrustRoot) -> Result<VerifiedSnapshot, SnapshotError> {
        let expected = trust.chain();
        if self.version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version { chain: self.chain, found: self.version });
        }
        if self.chain != expected {
            return Err(SnapshotError::WrongChain { found: self.chain, expected });
        }
        let checkpoint = trust.verify_bundle(self.checkpoint.clone())?;
        self.verify_block(trust)?;
        let history = self.verify_history(&checkpoint)?;
        self.verify_chunks()?;
        Ok(VerifiedSnapshot { manifest: self, checkpoint, history })
    }

    /// Verifies that block *h* is final by itself: by the validators of its epoch, which may be an earlier one than the
    /// checkpoint's.
    fn verify_block(&self, trust: &TrustRoot) -> Result<(), SnapshotError> {
        let epoch = self.block.header.epoch;
        let changes = self.checkpoint.changes.iter().take_while(|change| change.closing.header.epoch < epoch);
        let bundle = CheckpointBundle { checkpoint: self.block.clone(), changes: changes.cloned().collect() };
        // What was seen before is held against the checkpoint, whose history is longer.
        let trust = TrustRoot { pinned: None, ..trust.clone() };
        let (chain, height) = (self.chain, self.height());
        match trust.verify_bundle(bundle) {
            Ok(_) => Ok(()),
            Err(error) => Err(SnapshotError::Block { chain, height, error: Box::new(error) }),
        }
    }

    /// Verifies that peaks, block and outcome are the checkpoint's history.
    fn verify_history(&self, checkpoint: &VerifiedCheckpoint) -> Result<Frontier<HistoryHasher>, SnapshotError> {
        let (chain, height, head) = (self.chain, self.height(), checkpoint.history());
        if head.size != height.next().0 {
            return Err(SnapshotError::NotNewest { chain, height, size: head.size });
        }
        let (header, outcome) = (self.block.header.digest(), &self.outcome);
        if outcome.block != header || outcome.height != height {
            return Err(SnapshotError::Outcome { chain, height, header, found: outcome.block });
        }
        let peaks = Frontier::from_parts(height.0, self.peaks.to_vec());
        let mut history = peaks.map_err(|error| SnapshotError::Peaks { chain, height, error })?;
        history.append(history::leaf(&header, &outcome.digest()), &mut |_, _| {});
        match history.root() {
            found if found == head.root => Ok(history),
            found => Err(SnapshotError::History { chain, height, found, expected: head.root }),
        }
    }

    fn verify_chunks(&self) -> Result<(), SnapshotError> {
        let (chain, height) = (self.chain, self.height());
        let wrong = |chunk, reason| Err(SnapshotError::Chunks { chain, height, chunk, reason });
        let mut before: Option<&Key> = None;
        for (index, chunk) in self.chunks.iter().enumerate() {
            match before {
                None if chunk.from != least_key() => return wrong(index, "the first one begins behind the first key"),
                Some(before) if chunk.from <= *before => {
                    return wrong(index, "it doesn't begin after the one before it");
                }
                _ => {}
            }
            if chunk.from.check().is_err() {
                return wrong(index, "it begins with a key that is too long");
            }
            if usize::try_from(chunk.length).map_or(true, |length| length > MAX_CHUNK_BYTES) {
                return wrong(index, "it is too long");
            }
            before = Some(&chunk.from);
        }
        match before {
            None => wrong(0, "there is none"),
            Some(_) => Ok(()),
        }
    }
}

/// A manifest that was verified against a trust root, and what holds its chunks against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSnapshot {
    manifest: SnapshotManifest,
    checkpoint: VerifiedCheckpoint,
    history: Frontier<HistoryHasher>,
}

impl VerifiedSnapshot {
    /// Decodes and verifies a manifest.
    ///
    /// # Errors
    /// As [`SnapshotManifest::verify`]; [`SnapshotError::Codec`] when the bytes are no manifest.
    pub fn from_bytes(bytes: &[u8], trust: &TrustRoot) -> Result<Self, SnapshotError> {
        codec::decode::<SnapshotManifest>(bytes)?.verify(trust)
    }

    /// The manifest.
    pub fn manifest(&self) -> &SnapshotManifest {
        &self.manifest
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// The height of the state.
    pub fn height(&self) -> Height {
        self.manifest.height()
    }

    /// The header of block [`VerifiedSnapshot::height`].
    pub fn header(&self) -> &Header {
        &self.manifest.block.header
    }

    /// The state root.
    pub fn state_root(&self) -> Digest {
        self.manifest.outcome.state_root
    }

    /// The history up to the snapshot's block, which included.
    pub fn history(&self) -> &Frontier<HistoryHasher> {
        &self.history
    }

    /// What the manifest says of a chunk; `None` behind the last.
    pub fn chunk(&self, index: usize) -> Option<&SnapshotChunk> {
        self.manifest.chunks.get(index)
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.manifest.chunks.len()
    }

    /// Verifies that `bytes` are chunk `index`, and gives all keys of its range, in order. Takes memory in proportion to
    /// the bytes.
    ///
    /// # Errors
    /// [`SnapshotError::NoSuchChunk`]; [`SnapshotError::ChunkLength`] and [`SnapshotError::ChunkDigest`] when the bytes
    /// aren't those that the manifest names; [`SnapshotError::ChunkCodec`] and [`SnapshotError::Chunk`] when they are, but
    /// don't show the range: then the manifest's maker lied.
    pub fn verify_chunk(&self, index: usize, bytes: &[u8]) -> Result<Vec<(Key, Versioned)>, SnapshotError> {
        let (chain, height, count) = (self.manifest.chain, self.height(), self.chunks());
        let chunk = self.chunk(index).ok_or(SnapshotError::NoSuchChunk { chain, height, chunk: index, count })?;
        let expected = u64::from(chunk.length);
        if bytes.len() as u64 != expected {
            return Err(SnapshotError::ChunkLength {
                chain,
                height,
                chunk: index,
                found: bytes.len() as u64,
                expected,
            });
        }
        let found = chunk_digest(bytes);
        if found != chunk.digest {
            return Err(SnapshotError::ChunkDigest { chain, height, chunk: index, found, expected: chunk.digest });
        }
        let Chunk(tree) =
            codec::decode(bytes).map_err(|error| SnapshotError::ChunkCodec { chain, height, chunk: index, error })?;
        let to = self.chunk(index + 1).map(|next| &next.from);
        let entries = tree.verify_range(&self.state_root(), &chunk.from, to).map_err(|error| SnapshotError::Chunk {
            chain,
            height,
            chunk: index,
            error: Box::new(error),
        })?;
        Ok(entries.into_iter().map(|(key, versioned)| (key.clone(), versioned.clone())).collect())
    }
}
