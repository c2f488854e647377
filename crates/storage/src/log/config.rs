//! The log's limits.

use super::LogError;
use super::format::{FRAME, HEADER};

/// The log's limits, each with a default that works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// A segment is closed when the next group would make it larger than this many bytes (default 64 MiB). A group that is
    /// larger by itself has a segment of its own. One ends earlier where the next was
    /// [written ahead](super#zeros-written-ahead) already.
    pub segment_bytes: u64,
    /// The bytes that may wait for the disk, of all chains together, and so also the largest submit (default 32 MiB).
    pub queue_bytes: u64,
    /// The bytes of one chain that may wait for the disk (default 8 MiB). A chain of which nothing waits may always queue
    /// one submit, up to `queue_bytes`.
    pub chain_queue_bytes: u64,
    /// A group is closed when the next submit would make it larger than this many bytes (default 1 MiB), which bounds
    /// how long the sync takes that a small submit waits for. A submit that is larger by itself has a group of its own.
    /// When more than one group waits, chains take turns.
    pub group_bytes: u64,
    /// How many bytes of zeros to write ahead of the end, so that most syncs change no file length (default 1 MiB, 0 is
    /// none). Groups of more than half of it, and of more than 128 KiB, are followed by none.
    pub fill_bytes: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            queue_bytes: 32 << 20,
            chain_queue_bytes: 8 << 20,
            group_bytes: 1 << 20,
            fill_bytes: 1 << 20,
        }
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
        let bounds = [
            ("queue_bytes", self.queue_bytes),
            ("chain_queue_bytes", self.chain_queue_bytes),
            ("group_bytes", self.group_bytes),
        ];
        for (name, value) in bounds {
            if value < FRAME as u64 || value > MAX_QUEUE {
                return Err(LogError::BadConfig { name, value, expected: "between 64 bytes and 1 GiB" });
            }
        }
        Ok(())
    }
}
