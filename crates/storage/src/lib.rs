//! Where a ledger's data lives: disks, the log of a host, and the views of it.
//!
//! ```text
//!   consensus, driver ──records──> log ──groups──> disk          the truth: durable when a ticket completes
//!                                   │ replayed after a crash
//!                                   v
//!                    chain ──batches──> engine                   views: atomic, no sync of their own
//!                      └─ state (versions, commitment)
//! ```
//!
//! - [`disk`]: the files that the log needs, real or simulated with everything that real ones do wrong.
//! - [`log`]: one append-only log per host, one sync for all that waits.
//! - [`archive`]: blocks and results that have left the log, compressed, in sealed segments.
//! - [`engine`]: ordered key-value engines; [`state`]: versioned state and what commits to it; [`chain`]: blocks, receipts
//!   and state of one chain, advanced by one batch a block.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use ledger_crypto::Digest;
//! use ledger_storage::disk::RealDisk;
//! use ledger_storage::log::{Log, LogConfig, LogId, LogWriter, Record, RecordKind};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! // A second process on the same folder is refused here.
//! let disk = RealDisk::open(folder)?;
//! // A real host draws the id at random.
//! let log = Log::open_or_create(Arc::new(disk), LogId::new([7; 32]), LogConfig::default())?;
//! let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER)?;
//!
//! let payload = Record { chain: Digest::new([1; 32]), kind: RecordKind::PAYLOAD, height: 1, bytes: b"block".to_vec() };
//! let ticket = writer.submit(vec![payload.clone()])?;
//! // Returns when the record would survive a loss of power, and says where it is.
//! let positions = ticket.wait()?;
//! for position in positions.iter() {
//!     assert_eq!(writer.reader().read(*position)?, payload);
//! }
//! writer.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failure
//! - The first failed write or sync stops the log; everyone who waits learns of it, and nothing is half acknowledged.
//! - After a crash everything acknowledged is in the log; a view that is behind is replayed, one that is damaged is
//!   deleted and built again.
//! - Damage to what was acknowledged is an error that names file and place. Nothing is ever repaired silently.
//!
//! # Features
//! `fjall` (default): the engine on disk. Without it, the engine in memory and engines of one's own.
#![forbid(unsafe_code)]

pub mod archive;
pub mod chain;
pub mod disk;
pub mod engine;
pub mod log;
mod segmented;
pub mod state;

pub use chain::snapshot;
pub use engine::testing;
