//! What can go wrong with the archive.

use std::fmt;
use std::sync::Arc;

use ledger_core::{ChainId, Height};

use super::Held;
use crate::disk::DiskError;

/// Why the archive refused, failed or stopped. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Writing met an error that leaves unknown what is durable; nothing more is taken until the archive is opened again.
    /// What was sealed before stays readable.
    #[error("the archive stopped at its first error and must be reopened: {first}")]
    Stopped {
        /// The error at which it stopped.
        first: Arc<ArchiveError>,
    },
    /// The configuration can't work.
    #[error("archive configuration: {name} is {value}, but must be {expected}")]
    BadConfig {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// A segment of a format that this program doesn't know.
    #[error("{file} is of archive format {found}, and this program understands {understood}; use a program that does")]
    UnknownVersion {
        /// The segment's file.
        file: String,
        /// The format it states.
        found: u32,
        /// The format understood.
        understood: u32,
    },
    /// A segment of another host's archive.
    #[error("{file} belongs to the archive of another log than this folder's; move it out of this folder")]
    Foreign {
        /// The segment's file.
        file: String,
    },
    /// Bytes that were sealed are not what was written.
    #[error(
        "{file} is damaged at offset {offset}{}: {reason}; nothing was changed: restore the file from a copy of this \
         folder, or fetch its blocks from a node that keeps the archive",
        Wanted(.wanted)
    )]
    Damaged {
        /// The segment's file.
        file: String,
        /// Bytes from its start.
        offset: u64,
        /// The block that was looked for, if one was.
        wanted: Option<(ChainId, Height)>,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The block isn't in the archive.
    #[error(
        "block {height} of chain {chain} isn't in the archive, which holds {}{}",
        held.map_or_else(|| "none of that chain's".to_owned(), |held| held.to_string()),
        first_unreadable.as_ref().map_or_else(String::new, |first| format!("; {unreadable} of its segments can't be \
         read, the first since {first}"))
    )]
    Absent {
        /// The chain.
        chain: ChainId,
        /// The height asked for.
        height: Height,
        /// What there is of the chain, up to its last block.
        held: Option<Held>,
        /// How many segments can't be read, any of which may have had it.
        unreadable: usize,
        /// Why the first of them can't be.
        first_unreadable: Option<Arc<ArchiveError>>,
    },
    /// The chain gave the block up.
    #[error("block {height} of chain {chain} was given up; it keeps those from block {floor} on")]
    Released {
        /// The chain.
        chain: ChainId,
        /// The height asked for.
        height: Height,
        /// The first height that is kept.
        floor: Height,
    },
    /// A block at or below one that the archive has of its chain.
    #[error("block {height} of chain {chain} can't be archived after block {last}")]
    Order {
        /// The chain.
        chain: ChainId,
        /// The height refused.
        height: Height,
        /// The last one there.
        last: Height,
    },
    /// One block with everything that belongs to it is larger than the archive takes.
    #[error("block {height} of chain {chain} has {bytes} bytes with its results, the archive takes {limit}")]
    TooLarge {
        /// The chain.
        chain: ChainId,
        /// The height.
        height: Height,
        /// Its bytes: block, certificate and results.
        bytes: u64,
        /// The bound, in bytes.
        limit: u64,
    },
}

struct Wanted<'a>(&'a Option<(ChainId, Height)>);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((chain, height)) => write!(formatter, " (block {height} of chain {chain})"),
            None => Ok(()),
        }
    }
}
