//! The `fjall` engine: a log-structured merge tree in a folder, and bulk storage in files beside it.
//!
//! ```text
//!   folder/…                      fjall's journals and tables: the ordered keys
//!   folder/bulk/bulk-<number>     a segment; the number is its first address, in multiples of ADDRESS_ALIGN
//!   folder/scratch/bulk-<number>  the same, of what chains can do without after a crash
//!   folder/unwritten              there after a failed sync, until the machine was restarted
//! ```

mod bulk;
mod journal;
mod needs;
mod recent;
mod segment;
mod steps;
mod unwritten;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{Address, Batch, Direction, Engine, EngineError, Entries, Snapshot, Space};
use bulk::{Bulk, Keys};
use journal::Journal;
use needs::{KEPT, SCRATCH};

/// The one keyspace: chains keep apart by the prefix of their keys, since a keyspace each would cost files each.
const KEYSPACE: &str = "views";

/// The most files of tables that fjall keeps open: with those of bulk storage they stay below the 1,024 that a process
/// commonly may have.
const TABLE_FILES: usize = 512;

/// Settings of a [`FjallEngine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FjallConfig {
    /// Memory for blocks read from disk, in bytes. Default 256 MiB.
    pub cache_bytes: u64,
    /// Memory that collects writes before they become a table on disk, in bytes; 1 MiB to 4 GiB. A few of them can
    /// wait to be written. Default 64 MiB.
    pub memtable_bytes: u64,
    /// Threads that write and merge tables; at least 1. Default 1.
    pub worker_threads: usize,
    /// The most disk space for fjall's own journals, in bytes; at least 64 MiB. Default 512 MiB.
    pub journal_bytes: u64,
    /// The size of a segment of bulk storage and so of the largest blob, in bytes, rounded up to a multiple of
    /// [`ADDRESS_ALIGN`](super::ADDRESS_ALIGN); 1 to 16 GiB. What is free is freed by the segment. Default 256 MiB.
    pub bulk_segment_bytes: u64,
    /// The most files of bulk storage that are kept open; at least 1. Default 256.
    pub bulk_open_files: usize,
    /// Memory for the latest bytes of bulk storage, in bytes; taken as they are appended, 0 is none. Default 32 MiB.
    pub recent_bytes: u64,
}

impl Default for FjallConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            memtable_bytes: 64 << 20,
            worker_threads: 1,
            journal_bytes: 512 << 20,
            bulk_segment_bytes: 256 << 20,
            bulk_open_files: 256,
            recent_bytes: 32 << 20,
        }
    }
}

impl FjallConfig {
    fn check(&self) -> Result<(), EngineError> {
        let bad = |name, value, expected| Err(EngineError::BadConfig { name, value, expected });
        if !(1 << 20..=4 << 30).contains(&self.memtable_bytes) {
            return bad("memtable_bytes", self.memtable_bytes, "1 MiB to 4 GiB");
        }
        if self.worker_threads == 0 {
            return bad("worker_threads", 0, "at least 1");
        }
        if self.journal_bytes < 64 << 20 {
            return bad("journal_bytes", self.journal_bytes, "at least 64 MiB");
        }
        if !(1..=16 << 30).contains(&self.bulk_segment_bytes) {
            return bad("bulk_segment_bytes", self.bulk_segment_bytes, "1 to 16 GiB");
        }
        if self.bulk_open_files == 0 {
            return bad("bulk_open_files", 0, "at least 1");
        }
        Ok(())
    }
}

/// A fjall database in a folder. Cheap to clone; clones are the same engine.
///
/// Only [`Engine::sync`] waits for the disk: after power loss the engine comes back as it was after some earlier batch.
#[derive(Clone)]
pub struct FjallEngine {
    keys: FjallKeys,
    bulk: Arc<Bulk>,
    scratch: Arc<Bulk>,
}

/// The ordered keys.
#[derive(Clone)]
struct FjallKeys {
    database: Database,
    views: Keyspace,
    folder: Arc<Path>,
    journal: Arc<Journal>,
}

impl FjallEngine {
    /// Opens the engine in `folder`, and makes it if there is none.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] and [`EngineError::Version`] mean that the folder is to be deleted and filled again
    /// from the log; [`EngineError::InUse`] that somebody has it open; [`EngineError::Failed`] that the system refused, or
    /// that a sync failed since the machine was started: a restart of the machine shows what is on the disk.
    pub fn open(folder: impl Into<PathBuf>, config: FjallConfig) -> Result<Self, EngineError> {
        config.check()?;
        let folder: PathBuf = folder.into();
        let path: &Path = &folder;
        unwritten::check(path)?;
        let open = || -> fjall::Result<(Database, Keyspace)> {
            let database = Database::builder(path)
                .cache_size(config.cache_bytes)
                .worker_threads(config.worker_threads)
                .max_cached_files(Some(TABLE_FILES))
                .max_journaling_size(config.journal_bytes)
                .open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(config.memtable_bytes);
            let views = database.keyspace(KEYSPACE, options)?;
            Ok((database, views))
        };
        // fjall panics on some damage (missing settings, impossible lengths) where it could return an error.
        let keys = match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok((database, views))) => {
                let journal = Journal::begin(path)
                    .map_err(|error| EngineError::Failed { folder: folder.clone(), reason: error.to_string() })?;
                FjallKeys { database, views, folder: Arc::from(folder), journal: Arc::new(journal) }
            }
            Ok(Err(error)) => return Err(error_of(&folder, &error)),
            Err(_) => return Err(EngineError::Damaged { folder, reason: "opening it panicked".into() }),
        };
        let open = |class| Bulk::open(class, &keys.folder, &config, &*keys.snapshot()).map(Arc::new);
        let (bulk, scratch) = (open(KEPT)?, open(SCRATCH)?);
        Ok(Self { keys, bulk, scratch })
    }
}

fn error_of(folder: &Path, error: &fjall::Error) -> EngineError {
    let (folder, reason) = (folder.to_path_buf(), error.to_string());
    match error {
        fjall::Error::Locked => EngineError::InUse { folder },
        fjall::Error::InvalidVersion(_) => EngineError::Version { folder, reason },
        fjall::Error::JournalRecovery(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable => EngineError::Damaged { folder, reason },
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
                EngineError::Damaged { folder, reason }
            }
            _ => EngineError::Failed { folder, reason },
        },
        fjall::Error::Storage(_) => EngineError::Damaged { folder, reason },
        _ => EngineError::Failed { folder, reason },
    }
}

impl FjallKeys {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(FjallSnapshot {
            snapshot: self.database.snapshot(),
            views: self.views.clone(),
            folder: Arc::clone(&self.folder),
        })
    }
}

impl Keys for FjallKeys {
    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let operations = batch.into_operations()?;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), operations.len());
        let mut bytes = 0_u64;
        for (key, value) in operations {
            let length = key.len().saturating_add(value.as_ref().map_or(0, Vec::len));
            bytes = bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            match value {
                Some(value) => batch.insert(&self.views, key, value),
                None => batch.remove(&self.views, key),
            }
        }
        batch.commit().map_err(|error| error_of(&self.folder, &error))?;
        self.journal.grown(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        // fjall holds its writers up while it syncs; this leaves it little to sync.
        journal::write_out_all(&self.folder);
        self.database.persist(PersistMode::SyncAll).map_err(|error| {
            // A full disk refuses what is to be written, and loses nothing that was.
            if matches!(&error, fjall::Error::Io(error) if error.kind() != ErrorKind::StorageFull) {
                unwritten::note(&self.folder);
            }
            error_of(&self.folder, &error)
        })
    }
}

impl FjallEngine {
    fn bulk_of(&self, space: Space) -> &Bulk {
        if space.is_scratch() { &self.scratch } else { &self.bulk }
    }
}

impl Engine for FjallEngine {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.keys.snapshot()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.keys.apply(batch)
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        self.bulk_of(space).append(space, bytes, &self.keys)
    }

    fn largest_blob(&self) -> u64 {
        self.bulk.segment_bytes()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        match self.scratch.has(address) {
            true => self.scratch.read(address, buffer),
            false => self.bulk.read(address, buffer),
        }
    }

    fn read_bulk_each(
        &self,
        addresses: &[Address],
        buffer: &mut [u8],
        counts: &mut [usize],
    ) -> Result<(), EngineError> {
        let (mut kept, mut scratch) = (self.bulk.reads(), self.scratch.reads());
        let length = buffer.len() / addresses.len().max(1);
        let parts = buffer.chunks_mut(length.max(1));
        for ((address, part), count) in addresses.iter().zip(parts).zip(counts) {
            *count = match self.scratch.has(*address) {
                true => scratch.read(*address, part)?,
                false => kept.read(*address, part)?,
            };
        }
        Ok(())
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        self.bulk_of(space).release(space, below, &self.keys)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.scratch.sync(&self.keys)?;
        self.bulk.sync(&self.keys)
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        let keys = self.keys.database.disk_space().map_err(|error| error_of(&self.keys.folder, &error))?;
        Ok(keys.saturating_add(self.bulk.bytes()).saturating_add(self.scratch.bytes()))
    }
}

struct FjallSnapshot {
    snapshot: fjall::Snapshot,
    views: Keyspace,
    folder: Arc<Path>,
}

impl Snapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let found = self.snapshot.get(&self.views, key).map_err(|error| error_of(&self.folder, &error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn range(&self, from: &[u8], to: Option<&[u8]>, direction: Direction) -> Entries<'_> {
        let range = match to {
            Some(to) if from >= to => return Box::new(std::iter::empty()),
            Some(to) => self.snapshot.range(&self.views, from..to),
            None => self.snapshot.range(&self.views, from..),
        };
        let entry = |guard: fjall::Guard| match guard.into_inner() {
            Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
            Err(error) => Err(error_of(&self.folder, &error)),
        };
        match direction {
            Direction::Forward => Box::new(range.map(entry)),
            Direction::Backward => Box::new(range.rev().map(entry)),
        }
    }
}
