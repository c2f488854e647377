//! Writing out what was appended, as it comes.
//!
//! Nobody waits for bulk storage to be durable, so the system would keep it in memory until somebody does: dozens of
//! megabytes then go to the disk at once, and a log that shares it waits for tens of milliseconds behind them. A thread of
//! the engine's syncs a segment whenever some more has been appended, so that no more than that stands before anybody.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::unwritten;

/// After so many bytes.
pub(super) const STEP_BYTES: u64 = 1 << 20;

/// The thread, which ends when this is dropped.
pub(super) struct Steps {
    /// One at a time: what comes meanwhile goes with the next.
    queue: SyncSender<(PathBuf, Arc<File>)>,
    /// The first failure. The system tells it once, so whoever syncs later wouldn't hear of it. Locked during a step.
    failed: Arc<Mutex<Option<String>>>,
}

impl Steps {
    /// For the engine in `engine`.
    pub(super) fn begin(engine: &Path) -> io::Result<Self> {
        let (queue, steps) = sync_channel::<(PathBuf, Arc<File>)>(1);
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let (tell, engine) = (Arc::clone(&failed), engine.to_path_buf());
        std::thread::Builder::new().name("bulk steps".to_owned()).spawn(move || {
            for (path, file) in steps {
                let mut failed = tell.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = file.sync_data() {
                    unwritten::note(&engine);
                    failed.get_or_insert_with(|| format!("{}: {error}", path.display()));
                }
            }
        })?;
        Ok(Steps { queue, failed })
    }

    /// `bytes` were appended to `file` since it was last taken up; gives how many of them still wait for their step.
    pub(super) fn appended(&self, path: &Path, file: &Arc<File>, bytes: u64) -> u64 {
        if bytes < STEP_BYTES {
            return bytes;
        }
        match self.queue.try_send((path.to_path_buf(), Arc::clone(file))) {
            Ok(()) => 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => bytes,
        }
    }

    /// Waits for the step under way. Why nothing can be promised any more, if one failed.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_told_to_whoever_asks_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bulk");
        let file = Arc::new(File::create(&path).unwrap());
        let steps = Steps::begin(folder.path()).unwrap();
        assert_eq!(steps.appended(&path, &file, STEP_BYTES - 1), STEP_BYTES - 1, "too little for a step");
        assert_eq!(steps.appended(&path, &file, STEP_BYTES), 0);
        assert_eq!(steps.failed(), None);
        // A pipe can't be synced.
        let (reader, _writer) = io::pipe().unwrap();
        let unsyncable = Arc::new(File::from(std::os::fd::OwnedFd::from(reader)));
        let mut left = STEP_BYTES;
        while left > 0 {
            left = steps.appended(Path::new("pipe"), &unsyncable, left);
        }
        let told = std::iter::repeat_with(|| {
            std::thread::yield_now();
            steps.failed()
        });
        let told = told.take(1_000_000).flatten().next();
        assert!(told.is_some_and(|told| told.starts_with("pipe: ")));
        assert!(unwritten::check(folder.path()).is_err(), "whoever opens the engine next is told as well");
    }
}
