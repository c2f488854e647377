//! Reading records, by position and in order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::format::{Cursor, Entry, FRAME, decode_record, file_name};
use super::scan::{Found, read_group, skip_group};
use super::segments::{Segment, Shared};
use super::{LogCounters, LogEnd, LogError, LogId, LogPosition, LogSegment, Record};
use crate::disk::File;

/// Reads the durable part of a log, from any thread, also while it grows. A clone is another handle.
#[derive(Debug, Clone)]
pub struct LogReader {
    pub(super) shared: Arc<Shared>,
}

impl LogReader {
    /// The log's identifier.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.shared.id
    }

    /// The end of what is durable.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        self.shared.state().end.end()
    }

    /// The number of the first segment kept.
    #[must_use]
    pub fn first_segment(&self) -> u64 {
        self.shared.state().first()
    }

    /// The segments kept, in order.
    #[must_use]
    pub fn segments(&self) -> Vec<LogSegment> {
        let state = self.shared.state();
        let ends = state.segments.iter().skip(1).map(|next| next.start.records).chain([state.end.records]);
        let segments = state.segments.iter().zip(ends).map(|(segment, end)| {
            let Cursor { segment: number, offset, records, .. } = segment.start;
            LogSegment {
                file: file_name(number),
                start: LogPosition { segment: number, offset, length: 0 },
                bytes: segment.end.unwrap_or(state.end.offset),
                records_before: records,
                records: end - records,
            }
        });
        segments.collect()
    }

    /// What the log has done since it was opened.
    #[must_use]
    pub fn counters(&self) -> LogCounters {
        self.shared.state().counters
    }

    /// Reads the record at a position that a ticket or an iterator gave, and checks it.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when the bytes there aren't the record written there (or the position was never given),
    /// [`LogError::Removed`] and [`LogError::Beyond`] when it isn't in the log.
    pub fn read(&self, position: LogPosition) -> Result<Record, LogError> {
        let LogPosition { segment, offset, length } = position;
        {
            let state = self.shared.state();
            let end = state.segment(segment)?.end.unwrap_or(state.end.offset);
            if offset.checked_add(u64::from(length)).is_none_or(|frame_end| frame_end > end) {
                return Err(LogError::Beyond { segment, offset });
            }
        }
        let damaged = |reason| LogError::Damaged { file: file_name(segment), offset, reason };
        let length = usize::try_from(length).ok().filter(|length| *length >= FRAME);
        let mut bytes = vec![0; length.ok_or_else(|| damaged("no record is as short as the position says"))?];
        self.shared.file(segment)?.read_exact_at(offset, &mut bytes)?;
        decode_record(&bytes, &self.shared.key, position).ok_or_else(|| damaged("the record's checksum doesn't match"))
    }

    /// All records kept, in order, up to the end that is durable now.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::new(self.clone(), LogPosition { segment: self.first_segment(), ..LogPosition::START })
    }

    /// The records at `position` and after it, in order, up to the end that is durable now. Of the groups of its segment
    /// that end before it, only the headers are read and checked (72 bytes each), so that going on where one stopped costs
    /// little. [`LogPosition::after`] leaves out the record at a position.
    ///
    /// # Errors
    /// [`LogError::Removed`] when the position lies in a segment that was removed, except for [`LogPosition::START`],
    /// which stands for the first record kept; [`LogError::Beyond`] when its segment doesn't exist yet.
    pub fn records_from(&self, position: LogPosition) -> Result<Records, LogError> {
        if position == LogPosition::START {
            return Ok(self.records());
        }
        self.shared.state().segment(position.segment)?;
        Ok(Records::new(self.clone(), position))
    }

    /// Reads and checks every record kept, and returns how many there are.
    ///
    /// # Errors
    /// The first damage found.
    pub fn verify(&self) -> Result<u64, LogError> {
        self.records().try_fold(0, |count, record| record.map(|_| count + 1))
    }
}

/// Records in order, each with its position: checksums, groups and their chain are checked on the way, one group is in
/// memory at a time. After [`LogError::DamagedRecord`], which concerns one chain, the next record comes; nothing comes
/// after any other error.
#[derive(Debug)]
pub struct Records {
    reader: LogReader,
    from: LogPosition,
    /// The durable end when the iterator was made.
    end: Cursor,
    current: Option<Current>,
    ready: VecDeque<Entry>,
    finished: bool,
}

#[derive(Debug)]
struct Current {
    file: Arc<dyn File>,
    cursor: Cursor,
    /// The end of this segment, in bytes.
    limit: u64,
}

impl Records {
    fn new(reader: LogReader, from: LogPosition) -> Self {
        let end = reader.shared.state().end;
        Self { reader, from, end, current: None, ready: VecDeque::new(), finished: false }
    }

    fn open(&self, number: u64) -> Result<(Current, Segment), LogError> {
        let segment = self.reader.shared.state().segment(number)?;
        let limit = segment.end.filter(|_| number != self.end.segment).unwrap_or(self.end.offset);
        Ok((Current { file: self.reader.shared.file(number)?, cursor: segment.start, limit }, segment))
    }

    /// Fills `ready` from the next group that has records to give; false at the end.
    fn advance(&mut self) -> Result<bool, LogError> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open(self.from.segment)?.0,
        };
        while self.ready.is_empty() {
            let Cursor { segment, offset, .. } = current.cursor;
            let damaged = |reason| LogError::Damaged { file: file_name(segment), offset, reason };
            if offset >= current.limit {
                if segment >= self.end.segment {
                    return Ok(false);
                }
                let (next, entry) = self.open(segment + 1)?;
                if entry.start.chain != current.cursor.chain || entry.start.records != current.cursor.records {
                    return Err(damaged("the next segment doesn't follow it"));
                }
                current = next;
                continue;
            }
            let key = &self.reader.shared.key;
            if let Some(next) = skip_group(&*current.file, key, &current.cursor, current.limit, self.from)? {
                current.cursor = next;
                continue;
            }
            match read_group(&*current.file, key, &current.cursor, current.limit)? {
                Found::Nothing(reason) => return Err(damaged(reason)),
                Found::Group { records, next } => {
                    current.cursor = next;
                    self.ready.extend(records.into_iter().filter(|entry| match entry {
                        Ok((position, _)) => *position >= self.from,
                        Err(LogError::DamagedRecord { offset, .. }) => {
                            (segment, *offset) >= (self.from.segment, self.from.offset)
                        }
                        Err(_) => true,
                    }));
                }
            }
        }
        self.current = Some(current);
        Ok(true)
    }
}

impl Iterator for Records {
    type Item = Result<(LogPosition, Record), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.ready.pop_front() {
            return Some(entry);
        }
        if self.finished {
            return None;
        }
        match self.advance() {
            Ok(true) => self.ready.pop_front(),
            Ok(false) => {
                self.finished = true;
                None
            }
            Err(error) => {
                self.finished = true;
                Some(Err(error))
            }
        }
    }
}
