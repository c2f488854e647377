//! The log's one writer: groups, segments, and stopping at the first error.

use std::sync::Arc;

use super::ahead::{self, Ahead};
use super::format::{Cursor, GROUP, GroupBuilder, HEADER, SegmentHeader, file_name, frame_length};
use super::queue::{Queue, Submission};
use super::recovery::{self, CREATE_SYNCS, Opened, begin_segment, create_segment};
use super::segments::{Segment, Shared};
use super::{LogConfig, LogEnd, LogError, LogId, LogPosition, LogReader, Record, Recovery, Ticket};
use crate::disk::{Disk, File};

/// What the log has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogCounters {
    /// Syncs of files and of the folder.
    pub syncs: u64,
    /// Groups made durable, those without records included.
    pub groups: u64,
    /// Records made durable.
    pub records: u64,
    /// Bytes of groups made durable; zeros written ahead are not counted.
    pub bytes: u64,
    /// Segments begun.
    pub segments: u64,
}

/// What one [`Log::flush`] or [`Log::flush_group`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flushed {
    /// Tickets completed.
    pub tickets: u64,
    /// Records made durable.
    pub records: u64,
    /// Bytes of the groups, headers included.
    pub bytes: u64,
    /// Groups written, each with one sync.
    pub groups: u64,
}

/// The log of a host, driven by its owner: [`submit`](Self::submit) queues, [`flush`](Self::flush) makes durable.
#[derive(Debug)]
pub struct Log {
    pub(super) queue: Queue,
    pub(super) writer: Writer,
    recovery: Recovery,
}

impl Log {
    /// Whether the disk holds a log.
    ///
    /// # Errors
    /// When the disk can't be listed.
    pub fn exists(disk: &dyn Disk) -> Result<bool, LogError> {
        recovery::exists(disk)
    }

    /// Makes a new log, durable before this returns.
    ///
    /// # Errors
    /// [`LogError::Exists`] when there is one; [`LogError::BadConfig`].
    pub fn create(disk: Arc<dyn Disk>, id: LogId, config: LogConfig) -> Result<Self, LogError> {
        config.check()?;
        let opened = recovery::create(disk, id)?;
        Ok(Self::new(opened, config))
    }

    /// Opens a log and recovers it: checks every segment's header and every group of the last segment, cuts off a group
    /// that was never acknowledged, and makes sure that the rest is durable. Interrupted at any point and repeated, it
    /// comes to the same end.
    ///
    /// # Errors
    /// [`LogError::Missing`] when there is none. Where damage shows ([`LogError::Damaged`],
    /// [`LogError::MissingSegment`], [`LogError::Foreign`], [`LogError::UnknownVersion`]), nothing has been changed.
    pub fn open(disk: Arc<dyn Disk>, config: LogConfig) -> Result<Self, LogError> {
        config.check()?;
        let opened = recovery::open(disk)?;
        Ok(Self::new(opened, config))
    }

    /// Opens the log, or makes one with `id` when the folder has none.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(disk: Arc<dyn Disk>, id: LogId, config: LogConfig) -> Result<Self, LogError> {
        if Self::exists(&*disk)? { Self::open(disk, config) } else { Self::create(disk, id, config) }
    }

    fn new(opened: Opened, config: LogConfig) -> Self {
        let Opened { shared, file, length, sealed, recovery } = opened;
        let cursor = shared.state().end;
        let queue = Queue::new(&config);
        let builder = GroupBuilder::default();
        let (ahead, grown) = (None, 0);
        let writer = Writer { shared, config, file, length, cursor, sealed, builder, ahead, grown, stopped: None };
        Self { queue, writer, recovery }
    }

    /// What opening the log found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// A handle for reading what is durable.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader { shared: Arc::clone(&self.writer.shared) }
    }

    /// The log's identifier.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.writer.shared.id
    }

    /// The end of what is durable.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        self.writer.cursor.end()
    }

    /// What the log has done since it was opened.
    #[must_use]
    pub fn counters(&self) -> LogCounters {
        self.writer.shared.state().counters
    }

    /// Queues records that become durable together or not at all, and after everything that was submitted before with
    /// records of the same chain. Records of several chains, and none at all, become durable after everything submitted
    /// before, and before everything submitted later.
    ///
    /// # Errors
    /// [`LogError::Busy`] and [`LogError::TooLarge`] at the queue's bounds; [`LogError::Stopped`] after a failure.
    pub fn submit(&mut self, records: Vec<Record>) -> Result<Ticket, LogError> {
        self.writer.check()?;
        self.queue.push(records)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Makes all that waits durable: one group, one write, one sync, as long as it fits [`LogConfig::group_bytes`], and
    /// several groups otherwise. Does nothing when nothing waits.
    ///
    /// # Errors
    /// The first one stops the log: what waited and all that comes later fails with [`LogError::Stopped`].
    pub fn flush(&mut self) -> Result<Flushed, LogError> {
        let mut all = self.flush_group()?;
        while !self.queue.is_empty() {
            let one = self.flush_group()?;
            all.tickets += one.tickets;
            all.records += one.records;
            all.bytes += one.bytes;
            all.groups += one.groups;
        }
        Ok(all)
    }

    /// Writes one group of what waits, syncs it once, and completes its tickets: all that waits if it fits, otherwise each
    /// chain's share of it. Does nothing when nothing waits.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_group(&mut self) -> Result<Flushed, LogError> {
        if self.queue.is_empty() {
            self.writer.check()?;
            return Ok(Flushed::default());
        }
        let flushed = self.writer.write(self.queue.take_group());
        self.told(flushed)
    }

    /// A failure reaches all that waits.
    fn told<T>(&mut self, done: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error) = &done {
            for submission in self.queue.take_all() {
                submission.promise.complete(Err(error.clone()));
            }
        }
        done
    }

    /// Follows the last group with one that has no records. Its presence proves that the one before it was durable, so
    /// that damage to it can't be taken for a torn tail. Does nothing when the last group is such a one.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn seal(&mut self) -> Result<(), LogError> {
        let sealed = self.writer.seal();
        self.told(sealed)
    }

    /// Flushes, seals and closes the log.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn close(mut self) -> Result<LogEnd, LogError> {
        self.flush()?;
        self.seal()?;
        Ok(self.end())
    }

    /// Removes the segments that lie wholly before `position`'s and returns how many there were. The last one stays.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn remove_before(&mut self, position: LogPosition) -> Result<u64, LogError> {
        let removed = self.writer.remove_before(position);
        self.told(removed)
    }
}

/// Everything of a log but its queue.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    config: LogConfig,
    file: Box<dyn File>,
    /// The file's length in bytes, of which those beyond the cursor are zeros.
    length: u64,
    cursor: Cursor,
    sealed: bool,
    builder: GroupBuilder,
    /// Who makes segments ahead; none where the log has no thread.
    ahead: Option<Ahead>,
    /// How often the file was made longer for groups to come, since the segment was begun or the log opened.
    grown: u32,
    stopped: Option<LogError>,
}

impl Writer {
    /// Has segments made [ahead], once the log grows quickly.
    pub(super) fn work_ahead(&mut self) {
        if self.config.fill_bytes > 0 && self.config.segment_bytes >= ahead::LEAST_SEGMENT {
            self.ahead = Some(Ahead::new(Arc::clone(&self.shared.disk), self.config.segment_bytes));
        }
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        self.stopped.clone().map_or(Ok(()), Err)
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Notes the first error, and gives it the name under which all who wait learn of it.
    fn stop(&mut self, error: LogError) -> LogError {
        self.stopped.get_or_insert_with(|| LogError::Stopped { first: Arc::new(error) }).clone()
    }

    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        self.check()?;
        act(self).map_err(|error| self.stop(error))
    }

    pub(super) fn write(&mut self, submissions: Vec<Submission>) -> Result<Flushed, LogError> {
        match self.guarded(|writer| writer.append(&submissions)) {
            Ok((positions, bytes)) => {
                let mut rest = positions.as_slice();
                let flushed =
                    Flushed { tickets: submissions.len() as u64, records: rest.len() as u64, bytes, groups: 1 };
                for submission in submissions {
                    let (own, others) = rest.split_at_checked(submission.records.len()).unwrap_or_default();
                    rest = others;
                    submission.promise.complete(Ok(Arc::from(own)));
                }
                Ok(flushed)
            }
            Err(error) => {
                for submission in submissions {
                    submission.promise.complete(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    pub(super) fn seal(&mut self) -> Result<(), LogError> {
        self.check()?;
        if self.sealed {
            return Ok(());
        }
        self.guarded(|writer| writer.append(&[])).map(drop)
    }

    /// Cuts off the zeros of a segment that was made ahead, so that opening the log needn't read them. It may fail.
    pub(super) fn trim(&mut self) {
        let end = self.cursor.offset.saturating_add(self.config.fill_bytes);
        if self.stopped.is_none() && self.length > end && self.file.set_len(end).is_ok() {
            self.length = end;
        }
    }

    /// Makes one durable group of all records. Nobody sees anything of it before the sync has succeeded.
    fn append(&mut self, submissions: &[Submission]) -> Result<(Vec<LogPosition>, u64), LogError> {
        let records = || submissions.iter().flat_map(|submission| &submission.records);
        let length = GROUP as u64 + records().map(frame_length).sum::<u64>();
        let end = self.cursor.offset + length;
        if self.cursor.offset > HEADER as u64 && end > self.config.segment_bytes {
            self.roll()?;
        } else if end > self.length && HEADER as u64 + length <= self.config.segment_bytes {
            self.go_ahead()?;
        }
        self.builder.begin();
        let mut positions = Vec::with_capacity(records().count());
        for record in records() {
            positions.push(self.builder.push(&self.shared.key, &self.cursor, record));
        }
        let next = self.builder.finish(&self.shared.key, &self.cursor);
        self.builder.write(&*self.file, self.cursor.offset, records())?;
        if next.offset > self.length {
            let fills = length <= (self.config.fill_bytes / 2).max(MOST_FILLED);
            self.length = if fills { fill_ahead(&*self.file, &self.config, next.offset)? } else { next.offset };
            self.grown += u32::from(fills);
        }
        let whole = self.config.segment_bytes;
        if let Some(ahead) = &mut self.ahead
            && (self.grown >= ahead::GROWN || (self.length >= whole && next.offset > whole / 2))
        {
            ahead.ask();
        }
        self.file.sync_data()?;
        self.builder.shrink();
        self.cursor = next;
        self.sealed = positions.is_empty();
        let mut state = self.shared.state();
        state.end = next;
        state.counters.syncs += 1;
        state.counters.groups += 1;
        state.counters.records += positions.len() as u64;
        state.counters.bytes += length;
        Ok((positions, length))
    }

    /// The file would have to be made longer: goes on in a segment that was made ahead, if there is one.
    fn go_ahead(&mut self) -> Result<(), LogError> {
        match self.ahead.as_mut().and_then(Ahead::take) {
            Some(made) => self.begin_next(Some(made)),
            None => Ok(()),
        }
    }

    /// Ends the segment and begins the next. All its groups are durable already; cutting off the zeros only saves space,
    /// so that no sync has to wait for it.
    fn roll(&mut self) -> Result<(), LogError> {
        let made = self.ahead.as_mut().and_then(Ahead::take);
        self.begin_next(made)
    }

    fn begin_next(&mut self, made: Option<(String, Box<dyn File>)>) -> Result<(), LogError> {
        if self.length > self.cursor.offset {
            self.file.set_len(self.cursor.offset)?;
        }
        let header = SegmentHeader {
            id: self.shared.id,
            segment: self.cursor.segment + 1,
            records: self.cursor.records,
            previous_end: self.cursor.offset,
            chain: self.cursor.chain,
        };
        let (disk, key) = (&*self.shared.disk, &self.shared.key);
        (self.file, self.length) = match made {
            Some((name, file)) => (begin_segment(disk, key, &header, (&name, &*file))?, self.config.segment_bytes),
            None => (create_segment(disk, key, &header)?, HEADER as u64),
        };
        self.grown = 0;
        let mut state = self.shared.state();
        if let Some(last) = state.segments.back_mut() {
            last.end = Some(self.cursor.offset);
        }
        self.cursor = header.start();
        state.end = self.cursor;
        state.segments.push_back(Segment { start: self.cursor, end: None });
        state.counters.syncs += CREATE_SYNCS;
        state.counters.segments += 1;
        Ok(())
    }

    pub(super) fn remove_before(&mut self, position: LogPosition) -> Result<u64, LogError> {
        self.check()?;
        let mut removed = 0;
        while self.remove_first(position.segment)? {
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes the first segment if its number is below `segment` and it isn't the last one, durably; false when there is
    /// none to remove.
    pub(super) fn remove_first(&mut self, segment: u64) -> Result<bool, LogError> {
        self.guarded(|writer| {
            let number = {
                let mut state = writer.shared.state();
                let first = state.first();
                if first >= segment || state.segments.len() < 2 {
                    return Ok(false);
                }
                state.segments.pop_front();
                first
            };
            writer.shared.disk.remove(&file_name(number))?;
            // Before the next one is removed, or a crash could keep an older segment and lose a younger one.
            writer.shared.disk.sync_folder()?;
            writer.shared.state().counters.syncs += 1;
            writer.shared.forget_files_below(number + 1);
            Ok(true)
        })
    }
}

/// A group of more bytes than this, and than half of [`LogConfig::fill_bytes`], is followed by no zeros: the next of its
/// size would change the file's length all the same, so that they would only double what is written.
const MOST_FILLED: u64 = 128 << 10;

const ZEROS: &[u8] = &[0; 64 << 10];

/// Writes zeros from `end`, the end of a group not yet synced, for the groups to come, and returns the file's length.
fn fill_ahead(file: &dyn File, config: &LogConfig, end: u64) -> Result<u64, LogError> {
    let target = end.saturating_add(config.fill_bytes).min(config.segment_bytes).max(end);
    let mut offset = end;
    while offset < target {
        let count = usize::try_from(target - offset).unwrap_or(usize::MAX).min(ZEROS.len());
        let zeros = ZEROS.get(..count).unwrap_or_default();
        file.write_all_at(offset, zeros)?;
        offset += count as u64;
    }
    Ok(target)
}
