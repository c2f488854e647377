//! What waits for the disk, bounded in bytes.

use super::format::{FRAME, frame_length};
use super::ticket::Promise;
use super::{LogError, Record, Ticket};

/// The records of one submit.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) records: Vec<Record>,
    pub(super) promise: Promise,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Submission>,
    bytes: u64,
    limit: u64,
}

impl Queue {
    pub(super) fn new(limit: u64) -> Self {
        Self { waiting: Vec::new(), bytes: 0, limit }
    }

    /// What `records` count for; a submit without any still takes memory.
    fn size(records: &[Record]) -> u64 {
        records.iter().fold(0_u64, |sum, record| sum.saturating_add(frame_length(record))).max(FRAME as u64)
    }

    /// Whether `records` may be pushed now.
    pub(super) fn admit(&self, records: &[Record]) -> Result<(), LogError> {
        let (size, limit) = (Self::size(records), self.limit);
        if size > limit {
            return Err(LogError::TooLarge { size, limit });
        }
        if self.bytes + size > limit {
            return Err(LogError::Busy { queued: self.bytes, size, limit });
        }
        Ok(())
    }

    pub(super) fn push(&mut self, records: Vec<Record>) -> Result<Ticket, LogError> {
        self.admit(&records)?;
        self.bytes += Self::size(&records);
        let (promise, ticket) = Promise::new();
        self.waiting.push(Submission { records, promise });
        Ok(ticket)
    }

    pub(super) fn take(&mut self) -> Vec<Submission> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
