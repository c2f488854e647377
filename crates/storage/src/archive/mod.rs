//! The archive of a host: blocks and results of all its chains that have left the log, in sealed, compressed segments.
//!
//! ```text
//!   append(block) ──> chunk ──LZ4──> arc-..03.new        of any chains, each in the order of its heights
//!                                        │ seal: tables, sync, name, sync
//!                                        v
//!   arc-..01 [header│chunk│chunk│..│chains│places│footer]   arc-..02 [..]   arc-..03 [..]
//!                │ find(chain, height): memory -> places -> one chunk                 ^ never written again
//!                v
//!        block, certificate, results                 release(chain, floor): a segment that no chain needs is deleted
//! ```
//!
//! # Contract
//! - **Sealed or nothing:** when [`Archive::seal`] has returned, everything appended before survives a loss of power and can
//!   be read. What isn't sealed is gone after a restart, whole segments of it, and never seen before. So whoever takes
//!   blocks out of the log seals first and cuts the log then.
//! - **True:** bytes are returned as they were appended, or an error names file, offset, chain and height.
//! - **Shared:** all chains' blocks go into the same segments; a chain has no file of its own, and costs 32 bytes of
//!   memory for each segment that it is in.
//! - **Deleted whole:** each chain has a floor, below which it needs nothing; a segment goes when nobody needs anything in
//!   it. Below its floor a chain reads nothing, whether the segment is still there or not.
//! - **Cheap to open:** of each segment a header, a footer and a table of which chain's heights it has. Where in it they
//!   are is read when somebody asks, and kept up to a bound; then one block costs one read of one chunk.
//! - **Bounded:** in memory are one chunk and the tables of the segment that is written (at most 65,536 chunks and
//!   runs), and the caches of [`ArchiveConfig`].
//!
//! # Failure
//! - The first failed write or sync stops writing ([`ArchiveError::Stopped`]); readers go on. What was appended since the last
//!   seal is still in the log, so nothing is lost: open the archive again, and append from [`Archive::last`] on.
//! - A segment whose header or tables are damaged is named when the archive is opened ([`Archive::recovery`]) and the others
//!   are served. Damage in a chunk shows when the chunk is read, or by [`ArchiveReader::verify`]. Nothing is repaired, and
//!   nothing damaged is deleted.
//! - A segment of a later format, or of another host's archive, makes opening fail, and nothing is changed then.
//! - That segments were deleted by somebody else shows as [`ArchiveReader::held`] being less than the chain's policy
//!   promises.
//!
//! # What each promise rests on
//!
//! | promise | shown by, in `tests/` |
//! |---|---|
//! | sealed or nothing, through power cut at every I/O point, also within opening | `archive_keeps_what_was_sealed` |
//! | true; every flipped bit and misplaced chunk is found and named | `archive_detects_damage` |
//! | read, released, deleted whole, reopened as a map would be; bounds | `archive_follows_a_model` |
//!
//! # Why so
//! A block and its results lie side by side, since the two are asked for together by whoever audits, and given up together.
//! LZ4, because it unpacks faster than disks read and is small enough to be audited; chunks of 128 KiB, because it looks
//! back 64 KiB. Signatures and digests don't compress: what does are names, keys and repeated arguments.
//!
//! ```
//! use std::sync::Arc;
//! use ledger_core::{ChainId, Height};
//! use ledger_crypto::Digest;
//! use ledger_storage::archive::{Archive, ArchiveConfig, Entry};
//! use ledger_storage::disk::SimulatedDisk;
//! use ledger_storage::log::LogId;
//!
//! let (disk, id) = (SimulatedDisk::new(1), LogId::new([7; 32]));
//! let mut archive = Archive::open(Arc::new(disk.clone()), id, ArchiveConfig::default())?;
//! let chain = ChainId(Digest::new([1; 32]));
//! for height in (1..=3).map(Height) {
//!     archive.append(&Entry { chain, height, block: b"block", certificate: b"seal", results: b"receipts" })?;
//! }
//! assert!(archive.reader().block(chain, Height(2)).is_err());
//! archive.seal()?;
//!
//! // The power goes.
//! let archive = Archive::open(Arc::new(disk.survivor(0)), id, ArchiveConfig::default())?;
//! assert_eq!(archive.reader().block(chain, Height(2))?.certificate, b"seal");
//! assert_eq!(archive.last(&chain), Some(Height(3)));
//! # Ok::<(), ledger_storage::archive::ArchiveError>(())
//! ```

mod cache;
mod catalog;
mod config;
mod error;
mod format;
mod reader;
mod recovery;
mod segment;
mod verify;
mod writer;

pub use catalog::Held;
pub use config::ArchiveConfig;
pub use error::ArchiveError;
pub use reader::{ArchiveReader, ArchivedBlock};
pub use recovery::ArchiveRecovery;
pub use verify::Verified;
pub use writer::{Archive, ArchiveCounters, Entry};
