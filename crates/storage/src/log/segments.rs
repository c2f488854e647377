//! What the writer and all readers of one log share: its segments, its durable end, its open files.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{Cursor, file_name};
use super::{LogCounters, LogEnd, LogError, LogId};
use crate::disk::{Disk, File};
use crate::segmented::Key;

/// Segments kept open for reading.
const MAX_OPEN: usize = 64;

/// One segment of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Where its first group stands.
    pub(super) start: Cursor,
    /// Its end in bytes, as its successor's header states it; none for the last one.
    pub(super) end: Option<u64>,
}

/// What changes as the log grows.
#[derive(Debug)]
pub(super) struct State {
    /// Contiguous, in order of their numbers, never empty.
    pub(super) segments: VecDeque<Segment>,
    /// The end of what is durable.
    pub(super) end: Cursor,
    pub(super) counters: LogCounters,
}

impl State {
    pub(super) fn first(&self) -> u64 {
        self.segments.front().map_or(self.end.segment, |segment| segment.start.segment)
    }

    pub(super) fn segment(&self, number: u64) -> Result<Segment, LogError> {
        let first = self.first();
        let index = number.checked_sub(first).ok_or(LogError::Removed { segment: number, first })?;
        let found = usize::try_from(index).ok().and_then(|index| self.segments.get(index));
        found.copied().ok_or(LogError::Beyond { segment: number, offset: 0 })
    }
}

pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) id: LogId,
    pub(super) key: Key,
    state: Mutex<State>,
    files: Mutex<BTreeMap<u64, Arc<dyn File>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("disk", &self.disk).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, id: LogId, key: Key, segments: VecDeque<Segment>, end: Cursor) -> Self {
        let state = State { segments, end, counters: LogCounters::default() };
        Self { disk, id, key, state: Mutex::new(state), files: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Changes under this lock are single assignments and pushes, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle for reading a segment.
    pub(super) fn file(&self, segment: u64) -> Result<Arc<dyn File>, LogError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let opened = self.disk.open(&file_name(segment));
        // It may have been removed since it was looked up. Then it isn't kept open, or its space would stay taken.
        if let Err(removed) = self.state().segment(segment) {
            return opened.map(Arc::from).map_err(|_| removed);
        }
        let file: Arc<dyn File> = Arc::from(opened?);
        if files.len() >= MAX_OPEN {
            files.pop_first();
        }
        files.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    pub(super) fn forget_files_below(&self, segment: u64) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        *files = files.split_off(&segment);
    }
}

impl Cursor {
    pub(super) fn end(&self) -> LogEnd {
        LogEnd { records: self.records, segment: self.segment, offset: self.offset }
    }
}
