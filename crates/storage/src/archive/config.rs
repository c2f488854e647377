//! The archive's limits.

use super::ArchiveError;

/// The archive's limits, each with a default that works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveConfig {
    /// A segment is sealed when the next block might make it larger than this many bytes (default 64 MiB). A block that
    /// is larger by itself has a segment of its own.
    pub segment_bytes: u64,
    /// Blocks are compressed together until they are this many bytes (default 128 KiB, twice as far as LZ4 looks back): what
    /// is read and unpacked to get at one of them. A block that is larger by itself is a chunk of its own.
    pub chunk_bytes: usize,
    /// Memory for unpacked chunks that were read lately, in bytes (default 4 MiB). A chunk that is larger isn't kept.
    pub chunk_cache_bytes: usize,
    /// Memory for segments' tables of places that were read lately, in bytes (default 4 MiB). One table takes 16 bytes a
    /// chunk and 16 for each run of blocks of one chain in a chunk.
    pub table_cache_bytes: usize,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, chunk_bytes: 128 << 10, chunk_cache_bytes: 4 << 20, table_cache_bytes: 4 << 20 }
    }
}

/// Far above any segment that makes sense; offsets in tables have room for it.
const MAX_SEGMENT: u64 = 1 << 40;

/// Above this, reading one block would unpack more than a connection's answer may have.
const MAX_CHUNK: usize = 16 << 20;

impl ArchiveConfig {
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        if self.segment_bytes == 0 || self.segment_bytes > MAX_SEGMENT {
            let expected = "between 1 byte and 1 TiB";
            return Err(ArchiveError::BadConfig { name: "segment_bytes", value: self.segment_bytes, expected });
        }
        if self.chunk_bytes == 0 || self.chunk_bytes > MAX_CHUNK {
            let (value, expected) = (self.chunk_bytes as u64, "between 1 byte and 16 MiB");
            return Err(ArchiveError::BadConfig { name: "chunk_bytes", value, expected });
        }
        Ok(())
    }
}
