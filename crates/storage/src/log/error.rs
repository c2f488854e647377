//! What can go wrong with the log.

use std::io;
use std::sync::Arc;

use ledger_crypto::Digest;

use crate::disk::DiskError;

/// Why the log refused, failed or stopped. Cheap to clone, so that one failure is told to all who wait for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log met an error that leaves unknown what is durable; it takes nothing more until it is opened again.
    #[error("the log stopped at its first error and must be reopened: {first}")]
    Stopped {
        /// The error at which it stopped.
        first: Arc<LogError>,
    },
    /// The log was closed, or dropped, before the records were durable; whether they are is unknown until it is reopened.
    #[error("the log was closed")]
    Closed,
    /// A function that a [ticket](super::Ticket::on_done) was to call panicked, and ended the log's thread.
    #[error("its thread was ended by a panic of a function that was to be told that records are durable")]
    Panicked,
    /// The log's thread can't be started.
    #[error("could not start the log's thread: {source}")]
    Thread {
        /// The system's reason.
        source: Arc<io::Error>,
    },
    /// Too much waits for the disk; try again when some of it is durable.
    #[error(
        "log busy: {queued} bytes{} wait for the disk and {size} more would exceed the limit of {limit}{}",
        chain.map_or_else(String::new, |chain| format!(" of chain {chain}")),
        if chain.is_some() { " for one chain" } else { "" }
    )]
    Busy {
        /// The chain whose bound it is; none for the bound of all chains together.
        chain: Option<Digest>,
        /// Bytes that wait.
        queued: u64,
        /// Bytes refused.
        size: u64,
        /// The bound, in bytes.
        limit: u64,
    },
    /// One submit is larger than the log ever takes.
    #[error("records of {size} bytes exceed the log's limit of {limit} for one submit")]
    TooLarge {
        /// Their size in the log, in bytes.
        size: u64,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The configuration can't work.
    #[error("log configuration: {name} is {value}, but must be {expected}")]
    BadConfig {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// The folder has no log.
    #[error("there is no log in this folder")]
    Missing,
    /// The folder has a log already.
    #[error("there is a log in this folder already")]
    Exists,
    /// The segment is of a format that this program doesn't know.
    #[error("{file} is of log format {found}, and this program understands {understood}; use a program that does")]
    UnknownVersion {
        /// The segment's file.
        file: String,
        /// The format it states.
        found: u32,
        /// The format understood.
        understood: u32,
    },
    /// The segment belongs to another log.
    #[error("{file} belongs to another log than the segments before it; move it out of this folder")]
    Foreign {
        /// The segment's file.
        file: String,
    },
    /// A segment in the middle isn't there.
    #[error("{file} is missing, but a later segment exists; restore it from a backup or a replica")]
    MissingSegment {
        /// The segment's file.
        file: String,
    },
    /// Bytes that were durable, or must have been, are not what was written.
    #[error(
        "{file} is damaged at offset {offset}: {reason}; nothing was changed: restore the folder from a backup, or \
         rebuild this node from its peers"
    )]
    Damaged {
        /// The segment's file.
        file: String,
        /// Bytes from its start.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A record isn't what was written, and it is known whose it was: no other chain is affected.
    #[error(
        "{file} is damaged at offset {offset}: the record of chain {chain} at height {height} isn't what was written; nothing \
         was changed, and other chains' records are whole: restore the folder from a backup, or fetch this chain again from \
         its peers"
    )]
    DamagedRecord {
        /// The segment's file.
        file: String,
        /// Bytes from its start.
        offset: u64,
        /// The chain.
        chain: Digest,
        /// The record's height.
        height: u64,
    },
    /// The position lies in a segment that was removed.
    #[error("segment {segment} was removed; the log now begins with segment {first}")]
    Removed {
        /// The segment asked for.
        segment: u64,
        /// The first one kept.
        first: u64,
    },
    /// The position lies beyond what is durable.
    #[error("segment {segment} offset {offset} lies beyond the log's durable end")]
    Beyond {
        /// The segment asked for.
        segment: u64,
        /// The offset asked for, in bytes.
        offset: u64,
    },
}
