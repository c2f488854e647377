//! The log's limits.

use super::LogError;
use super::format::{FRAME, HEADER};

/// The log's limits, each with a default that works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// A segment is closed when the next group would make it larger than this many bytes (default 64 MiB). A group that is
    /// larger by itself has a segment of its own.
    pub segment_bytes: u64,
    /// The bytes that may wait for the disk, and so also the largest group and the largest submit (default 32 MiB).
    pub queue_bytes: u64,
    /// How many bytes of zeros to write ahead of the end, so that most syncs change no file length (default 1 MiB, 0 is
    /// none).
    pub fill_bytes: u64,
    /// How many records are known to have been acknowledged, from a vote guard or from views (default 0): a log that
    /// ends before is refused rather than cut.
    pub acknowledged: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, queue_bytes: 32 << 20, fill_bytes: 1 << 20, acknowledged: 0 }
    }
}

/// A length in the log is 32 bits wide; a quarter of that leaves room for every header.
const MAX_QUEUE: u64 = 1 << 30;

impl LogConfig {
    pub(super) fn check(&self) -> Result<(), LogError> {
        if self.segment_bytes < HEADER as u64 {
            let expected = "at least a segment header (128 bytes)";
            return Err(LogError::BadConfig { name: "segment_bytes", value: self.segment_bytes, expected });
        }
        if self.queue_bytes < FRAME as u64 || self.queue_bytes > MAX_QUEUE {
            let expected = "between 64 bytes and 1 GiB";
            return Err(LogError::BadConfig { name: "queue_bytes", value: self.queue_bytes, expected });
        }
        Ok(())
    }
}
