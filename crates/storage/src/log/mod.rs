//! The append-only log of a host: the records of all its chains, durable in groups.
//!
//! ```text
//!   submit(records) -> Ticket     submit(..)      submit(..)          any number of chains and threads
//!          └───────────────┬──────────┴──────────────┘
//!                    flush │ one group: all that waits, or each chain's share of it; one sync
//!                          v
//!   log-..01 [header│group│group│group]  log-..02 [header│group│group│0 0 0 ..]
//!                 chain ──>──>──>──────────────>──>──>   ^ end of what is durable
//!                          │
//!          tickets complete with the records' positions; readers see the new end
//! ```
//!
//! # Contract
//! - **Durable:** when a ticket completes with `Ok`, its records survive a loss of power.
//! - **Whole:** the records of one submit are recovered together or not at all.
//! - **Ordered:** of each chain, what is recovered is a prefix of what it submitted. Between chains only a submit with
//!   records of several chains, or with none, keeps an order: it is a *fence*, recovered after everything submitted before
//!   it and before everything submitted later. (As long as no more waits than fits one group, all of it is one prefix.)
//! - **True:** a record is returned as it was written, or not returned.
//! - **Shared:** a chain that floods the log fills its own part of the queue and its own share of each group
//!   ([`LogConfig::chain_queue_bytes`], [`LogConfig::group_bytes`]); a small submit of another chain waits for one group,
//!   and one more for each chain that floods. A chain of which nothing waits costs nothing.
//!
//! [`Log`] is a value without thread or clock, so that a simulator can drive it; [`LogWriter`] is the thread that flushes it
//! in a running node. [`LogReader`] reads the durable part from any thread.
//!
//! # Torn tail or damage
//! A crash may leave a part of the last group, and that part must be cut off. Damage to a group that was acknowledged must
//! never be taken for it. What makes the difference:
//!
//! 1. At most one group is not durable at any time: the next is written only after the one before was synced. So bytes
//!    that are no intact group, *followed by an intact group header*, were durable once, and are damaged. Nobody else can
//!    have written such a header: its checksum is keyed by the log's id and bound to segment and offset. Remains of an
//!    older group can't be one either, as each group's header stands at its own start, and that is the place cut off.
//! 2. A segment has a successor only when all its groups are durable, and the successor's header states where it ended
//!    and with which checksum. So in every segment but the last one nothing is ever cut.
//! 3. A segment gets its name only when its header is durable. So a header that doesn't check is damaged, never torn.
//! 4. What remains is the very last group: interrupted, or acknowledged and damaged since, it may look the same. A *seal*,
//!    a group without records, turns it into a group with a successor. The log is sealed when it is closed, and by
//!    [`LogWriter`] when it has been idle. So this case takes two faults: a crash under load, and damage to the bytes
//!    written just before it. Damage wide enough to take a group together with every header behind it looks the same.
//! 5. Even then nothing is cut silently: [`Recovery::torn`] says what was cut, and whoever keeps a vote guard or views beside
//!    the log sees that it ends before what they have. They know it chain by chain, and so close those chains alone.
//!
//! # Failure
//! - The first failed write or sync stops the log: everyone who waits and everything later gets [`LogError::Stopped`], which
//!   names it. What was not acknowledged may or may not be there after reopening.
//! - After a failed sync the kernel may show a group that never reached the disk, and hold it for clean. So recovery writes
//!   the last group again before it syncs.
//! - A full disk is such an error; a log on a full disk still opens and reads.
//! - Damage is an error that names file, offset and remedy, and opening changes nothing then. Opening checks every
//!   segment's header and the whole last segment; the others are checked as they are read, or by [`LogReader::verify`].
//! - Damage within a record's contents is known by chain and height ([`LogError::DamagedRecord`]): the log opens, other
//!   records are read, and whoever keeps many chains in it closes that one only. Damage to the 64 bytes before them, or to
//!   a group's header, isn't, and stands for the whole log.
//! - The log can't know that its last segments were deleted, or an older copy of the folder restored: vote guards and
//!   views can.
//!
//! # What each promise rests on
//!
//! | promise | shown by, in `tests/` |
//! |---|---|
//! | durable, whole, ordered, through power cut at every I/O point, also within recovery | `log_recovers_what_was_acknowledged` |
//! | true; damage is found and named; nothing is changed when opening is refused | `log_detects_damage` |
//! | any one fault of a disk, at random: named, with place and remedy, and nothing acknowledged lost | `log_names_every_fault` |
//! | the first failed write or sync stops the log, and everyone hears of it | `log_stops_at_its_first_error` |
//! | segments are removed without gaps, while commits go on; reading begins anywhere | `log_is_cut_at_its_front` |
//! | shared; bounds of queue, chain and group; fences | `log_shares_groups_fairly` |
//! | it is a list: read, iterated, cut, reopened as a `Vec` would be | `log_follows_a_vec_model` |
//! | threads, real files, one owner of a folder, the format's bytes | `log_on_a_real_disk` |
//! | the simulated disk loses what a real one may lose, and counts it | `disk_simulated_faults` |
//!
//! `LEDGERKIT_SEEDS` makes the first and the third of them as long as one likes.
//!
//! # Zeros written ahead
//! A sync that changes a file's length has the file system commit its journal too. So the log writes up to
//! [`LogConfig::fill_bytes`] of zeros behind its end, and most groups then overwrite bytes that exist. (`fallocate` doesn't
//! help: the first write to an unwritten extent is a change of metadata as well.) Groups too large to gain by it are followed
//! by none. Zeros are never a group, so they need no care in recovery.
//!
//! Those zeros still go to the disk in the sync of some group, and its length changes there. Under a [`LogWriter`], a log
//! whose segments have 16 MiB or more, and that has grown twice, has the file of the *next* segment filled with zeros by
//! a thread beside it, in small synced steps. When it would have to grow again it ends its segment, however short that is,
//! and goes on there; half a segment later the next one is made. A log that is closed cuts off what it didn't use.
//!
//! ```
//! use std::sync::Arc;
//! use ledger_crypto::Digest;
//! use ledger_storage::disk::SimulatedDisk;
//! use ledger_storage::log::{Log, LogConfig, LogId, Record, RecordKind};
//!
//! let disk = SimulatedDisk::new(1);
//! let mut log = Log::create(Arc::new(disk.clone()), LogId::new([7; 32]), LogConfig::default())?;
//! let vote = Record { chain: Digest::new([1; 32]), kind: RecordKind::VOTE, height: 9, bytes: b"aye".to_vec() };
//! let ticket = log.submit(vec![vote.clone()])?;
//! assert!(!ticket.is_done());
//! log.flush()?;
//! let positions = ticket.wait()?;
//!
//! // The power goes, and with it everything that was not synced.
//! let log = Log::open(Arc::new(disk.survivor(0)), LogConfig::default())?;
//! assert!(positions.iter().all(|position| log.reader().read(*position).is_ok_and(|record| record == vote)));
//! # Ok::<(), ledger_storage::log::LogError>(())
//! ```

mod ahead;
mod config;
mod error;
mod format;
mod queue;
mod reader;
mod record;
mod recovery;
mod scan;
mod segments;
mod thread;
mod ticket;
mod writer;

pub use config::LogConfig;
pub use error::LogError;
pub use reader::{LogReader, Records};
pub use record::{LogEnd, LogId, LogPosition, LogSegment, Record, RecordKind};
pub use recovery::{Recovery, TornTail};
pub use thread::LogWriter;
pub use ticket::{Outcome, Ticket};
pub use writer::{Flushed, Log, LogCounters};
