//! Segments written out before the log needs them.
//!
//! A sync that changes a file's length takes several times as long as one that doesn't, and the zeros that the log writes
//! behind its end for its next groups go to the disk with it. Under load that is one sync in a hundred, and whoever comes
//! meanwhile waits for it. So once a log grows at all quickly, a thread of its own fills the file of the next segment with
//! zeros, in small synced steps between which the disk is everybody's, and the log goes on there.
//!
//! The file has the name of an unfinished segment until it has a header and its place, as any other new segment: one that a
//! crash leaves behind is removed when the log is opened. If it can't be made, the log goes on without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::format::NAMES;
use crate::disk::{Disk, DiskError, File};

/// Smaller segments aren't worth a thread.
pub(super) const LEAST_SEGMENT: u64 = 16 << 20;

/// So many times has the log to grow into bytes that weren't there before a segment is made ahead: most logs never do.
pub(super) const GROWN: u32 = 2;

/// What is written and synced at once.
const STEP: &[u8] = &[0; 128 << 10];

/// After each step the disk is others' for so many times as long as it took.
const REST: u32 = 1;

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Ahead {
    shared: Arc<Shared>,
    /// Whether one is being made or ready.
    asked: bool,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    length: u64,
    ready: Mutex<Option<Box<dyn File>>>,
    ending: AtomicBool,
}

impl Shared {
    fn ready(&self) -> MutexGuard<'_, Option<Box<dyn File>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file in which a segment is made ahead. The first segment's number is 1.
fn name() -> String {
    NAMES.unfinished(0)
}

impl Ahead {
    /// For segments of `length` bytes.
    pub(super) fn new(disk: Arc<dyn Disk>, length: u64) -> Self {
        let shared = Shared { disk, length, ready: Mutex::new(None), ending: AtomicBool::new(false) };
        Self { shared: Arc::new(shared), asked: false, thread: None }
    }

    /// Has a segment made, unless one is.
    pub(super) fn ask(&mut self) {
        if self.asked {
            return;
        }
        self.asked = true;
        if self.thread.is_none() {
            let (asks, work) = sync_channel(1);
            let shared = Arc::clone(&self.shared);
            let spawned = std::thread::Builder::new().name("log ahead".to_owned()).spawn(move || run(&shared, &work));
            // Without a thread the log goes on as if nobody had asked.
            self.thread = spawned.ok().map(|thread| (asks, thread));
        }
        if let Some((asks, _)) = &self.thread {
            // Nothing waits there: one is asked for at a time. A thread that has ended makes no more.
            let _ = asks.try_send(());
        }
    }

    /// The name and the handle of a file of zeros, synced, if one is ready. It is the caller's from then on.
    pub(super) fn take(&mut self) -> Option<(String, Box<dyn File>)> {
        let file = self.shared.ready().take()?;
        self.asked = false;
        Some((name(), file))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        if let Some((asks, thread)) = self.thread.take() {
            drop(asks);
            // A panic there concerns nobody: what it made is no part of the log.
            drop(thread.join());
        }
        if self.shared.ready().take().is_some() {
            // Left behind, it is removed when the log is opened.
            let _ = self.shared.disk.remove(&name());
        }
    }
}

fn run(shared: &Shared, work: &Receiver<()>) {
    while work.recv().is_ok() {
        match make(shared) {
            Ok(Some(file)) => *shared.ready() = Some(file),
            // The disk is full, or fails: the log will tell, if it concerns it.
            Ok(None) | Err(_) => {
                let _ = shared.disk.remove(&name());
                return;
            }
        }
    }
}

/// A file of zeros; none if the log is closed before it is whole.
fn make(shared: &Shared) -> Result<Option<Box<dyn File>>, DiskError> {
    let file = shared.disk.create(&name())?;
    let mut offset = 0;
    while offset < shared.length {
        if shared.ending.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let begun = Instant::now();
        let count = usize::try_from(shared.length - offset).unwrap_or(usize::MAX).min(STEP.len());
        file.write_all_at(offset, STEP.get(..count).unwrap_or_default())?;
        file.sync_data()?;
        offset += count as u64;
        std::thread::sleep(begun.elapsed().saturating_mul(REST));
    }
    Ok(Some(file))
}
