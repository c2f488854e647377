//! Writing fjall's journal out as it grows.
//!
//! fjall syncs its journal whenever it turns a memtable into a table, and holds all writers up meanwhile. With the memtables that
//! are usual, up to 64 MiB go to the disk at once then: chains waited 20 to 40 ms for each other's blocks behind them.
//! A thread of the engine's syncs the journal whenever some more has been written, through a file of its own and so without
//! fjall's lock, which leaves fjall little to sync.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::steps::STEP_BYTES;
use super::unwritten;

/// The end of a journal's name; before it stands its number, the highest of which is the journal that grows.
const EXTENSION: &str = "jnl";

/// The thread, which ends when this is dropped.
pub(super) struct Journal {
    /// One step at a time: what comes meanwhile goes with the next.
    queue: SyncSender<()>,
    /// Bytes that wait for their step.
    ahead: AtomicU64,
}

impl Journal {
    /// For the database in `folder`.
    pub(super) fn begin(folder: &Path) -> io::Result<Self> {
        let (queue, steps) = sync_channel::<()>(1);
        let folder = folder.to_path_buf();
        std::thread::Builder::new().name("journal steps".to_owned()).spawn(move || {
            for () in steps {
                let newest = journals(&folder).max_by_key(|path| number(path));
                newest.iter().for_each(|path| write_out(path));
            }
        })?;
        Ok(Journal { queue, ahead: AtomicU64::new(0) })
    }

    /// A batch of so many bytes was written.
    pub(super) fn grown(&self, bytes: u64) {
        let ahead = self.ahead.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if ahead >= STEP_BYTES && self.queue.try_send(()).is_ok() {
            self.ahead.store(0, Ordering::Relaxed);
        }
    }
}

/// Writes all journals out, for a sync by fjall that is to follow at once.
pub(super) fn write_out_all(folder: &Path) {
    journals(folder).for_each(|path| write_out(&path));
}

/// Nothing is promised here, so what fails is left to fjall: the system tells its file of the same failure. It is noted,
/// since fjall may be gone before it syncs. A journal may go away in between.
fn write_out(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    if file.sync_data().is_err() {
        path.parent().into_iter().for_each(unwritten::note);
    }
}

fn journals(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, Engine, FjallConfig, FjallEngine};

    #[test]
    fn the_journal_that_grows_is_the_one_of_the_highest_number() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["9.jnl", "10.jnl", "11.sst", "lock"] {
            File::create(folder.path().join(name)).unwrap();
        }
        let newest = journals(folder.path()).max_by_key(|path| number(path)).unwrap();
        assert_eq!(newest, folder.path().join("10.jnl"));
        assert_eq!(journals(&folder.path().join("none")).count(), 0);
    }

    #[test]
    fn fjall_names_its_journals_so() {
        let folder = tempfile::tempdir().unwrap();
        let engine = FjallEngine::open(folder.path(), FjallConfig::default()).unwrap();
        let mut batch = Batch::new();
        batch.put(b"key".to_vec(), b"value".to_vec());
        engine.apply(batch).unwrap();
        let found: Vec<_> = journals(folder.path()).collect();
        assert!(!found.is_empty() && found.iter().all(|path| number(path).is_some()), "{found:?}");
    }
}
