//! What nodes say to each other in [`Lane::Sync`](ledger_core::Lane::Sync).
//!
//! ```text
//!   Status ─▶ GetBlocks ─▶ Blocks                                    who is behind, and has a beginning
//!   GetSnapshot ─▶ Snapshot(Holding) ─▶ GetPiece… ─▶ Piece…          who has none yet: manifest, then chunks
//! ```
//! A snapshot's pieces are asked for by their digests, in parts of [`PART_BYTES`], so that neither side holds more than a
//! part of what the other wants, whatever a piece's length.

use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List, MAX_INPUT_BYTES};
use ledger_core::snapshot::{MAX_CHUNK_BYTES, manifest_digest};
use ledger_core::{Checkpoint, Height, SnapshotManifest};
use ledger_crypto::Digest;

/// The bytes of one part of a piece: all parts have as many, but for the last one of a piece.
pub const PART_BYTES: u32 = 1 << 20;

/// What a [`SyncMessage::Piece`] takes at the most beside its bytes.
const PIECE_OVERHEAD: usize = 64;

/// A message in [`Lane::Sync`](ledger_core::Lane::Sync).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub enum SyncMessage {
    /// The newest block that the sender can give, and its certificate.
    Status(Checkpoint),
    /// Asks for blocks.
    GetBlocks {
        /// The first height.
        from: Height,
        /// How many; fewer may come.
        count: u64,
    },
    /// The answer, which may be empty.
    Blocks {
        /// The first height.
        from: Height,
        /// The blocks, in order.
        blocks: List<SyncBlock>,
    },
    /// Asks what of the chain's past the other has, and which snapshot.
    GetSnapshot,
    /// The answer.
    Snapshot(Holding),
    /// Asks for a part of a manifest or a chunk.
    GetPiece {
        /// Which piece.
        digest: Digest,
        /// Where the part begins: a multiple of [`PART_BYTES`].
        offset: u32,
    },
    /// The answer.
    Piece {
        /// Which piece.
        digest: Digest,
        /// Where the part begins.
        offset: u32,
        /// [`PART_BYTES`], or what is left of the piece; none when the sender doesn't have it.
        bytes: Bytes,
    },
}

impl Format for SyncMessage {
    const NAME: &'static str = "sync message";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

/// A finalized block on its way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct SyncBlock {
    /// The encoded block.
    pub payload: Bytes,
    /// What makes it final.
    pub certificate: Bytes,
}

/// What a node has of a chain. It is the node's word: only pieces that it gives prove anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct Holding {
    /// The lowest block that it can give; 0 or 1 when it has all.
    pub first: Height,
    /// The newest block that it can give.
    pub newest: Height,
    /// Whether a newer snapshot is being made.
    pub making: bool,
    /// The newest snapshot that is whole, if the blocks behind it are here still.
    pub snapshot: Option<Offer>,
}

/// A snapshot that a node offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct Offer {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The manifest's length in bytes.
    pub length: u32,
    /// The height of its state.
    pub height: Height,
}

impl Offer {
    /// The offer of a manifest with these bytes.
    pub fn of(manifest: &[u8], height: Height) -> Self {
        let length = u32::try_from(manifest.len()).unwrap_or(u32::MAX);
        Offer { manifest: manifest_digest(manifest), length, height }
    }

    /// Whether a manifest can be so long, and the snapshot of more than the genesis.
    pub(super) fn is_possible(&self) -> bool {
        let most = SnapshotManifest::LIMIT.max(MAX_CHUNK_BYTES);
        self.height > Height::GENESIS
            && self.length > 0
            && usize::try_from(self.length).is_ok_and(|length| length <= most)
    }
}

impl SyncMessage {
    /// Reads an answer about snapshots; `None` when the bytes are another message, without reading it.
    ///
    /// # Errors
    /// [`codec::CodecError`] when they begin like such an answer and are none, or are longer than one can be.
    pub(super) fn about_snapshots(bytes: &[u8]) -> Option<Result<Self, codec::CodecError>> {
        // The encoding begins with the variant's number.
        if !matches!(bytes.first(), Some(4 | 6)) {
            return None;
        }
        let limit = PIECE_OVERHEAD + PART_BYTES as usize;
        if bytes.len() > limit {
            return Some(Err(codec::CodecError::TooLong { what: "piece", size: bytes.len(), limit }));
        }
        Some(codec::decode(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_about_snapshots_are_told_from_others_by_their_first_byte() {
        let (digest, offset) = (Digest::ZERO, u32::MAX);
        let longest = Bytes::from(vec![1; PART_BYTES as usize]);
        let piece = SyncMessage::Piece { digest, offset, bytes: longest };
        let answers = [SyncMessage::Snapshot(Holding::default()), piece.clone()];
        for answer in answers {
            assert_eq!(SyncMessage::about_snapshots(&codec::encode(&answer)).unwrap().unwrap(), answer);
        }
        let others = [
            SyncMessage::GetSnapshot,
            SyncMessage::GetPiece { digest, offset },
            SyncMessage::GetBlocks { from: Height(1), count: 1 },
            SyncMessage::Blocks { from: Height(1), blocks: List::new() },
        ];
        for other in others {
            assert!(SyncMessage::about_snapshots(&codec::encode(&other)).is_none(), "{other:?}");
        }
        // However small a chain's blocks are, a part fits the lane.
        let lanes = ledger_network::NetworkConfig::for_blocks(1).lanes;
        assert!(codec::encode(&piece).len() <= lanes.sync.frame_bytes);
        let mut longer = codec::encode(&piece);
        longer.resize(PIECE_OVERHEAD + PART_BYTES as usize + 1, 0);
        assert!(SyncMessage::about_snapshots(&longer).unwrap().is_err());
    }
}
