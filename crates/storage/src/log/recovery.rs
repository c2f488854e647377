//! Opening a log: what is there, where it ends, and what of its tail was never acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use super::format::{Cursor, HEADER, NAMES, SegmentHeader, file_name, key_of};
use super::scan::{Found, Tail, classify_tail, is_followed, read_group};
use super::segments::{Segment, Shared};
use super::{LogEnd, LogError, LogId};
use crate::disk::{Disk, File};
use crate::segmented::{FileRole, Key};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Where the log ends.
    pub end: LogEnd,
    /// What was cut off behind the end.
    pub torn: Option<TornTail>,
}

/// Bytes behind the last whole group that were cut off: a group that a crash interrupted, never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment's file.
    pub file: String,
    /// Where the interrupted group began, in bytes from the file's start.
    pub offset: u64,
    /// How many bytes of it there were.
    pub bytes: u64,
}

/// A log, opened for its writer.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) file: Box<dyn File>,
    /// The last segment's length in bytes; from the end on it holds zeros.
    pub(super) length: u64,
    /// Whether the last group is one without records.
    pub(super) sealed: bool,
    pub(super) recovery: Recovery,
}

/// Makes a segment that holds nothing but its header. It gets its name only when that is durable, so that a named
/// segment whose header doesn't check is damaged and never merely unfinished.
pub(super) fn create_segment(disk: &dyn Disk, key: &Key, header: &SegmentHeader) -> Result<Box<dyn File>, LogError> {
    let new = NAMES.unfinished(header.segment);
    let file = disk.create(&new)?;
    begin_segment(disk, key, header, (&new, &*file))
}

/// As [`create_segment`], in a file that holds nothing but zeros and has no segment's name yet.
pub(super) fn begin_segment(
    disk: &dyn Disk,
    key: &Key,
    header: &SegmentHeader,
    (new, file): (&str, &dyn File),
) -> Result<Box<dyn File>, LogError> {
    let name = file_name(header.segment);
    file.write_all_at(0, &header.encode(key))?;
    file.sync_data()?;
    disk.rename(new, &name)?;
    disk.sync_folder()?;
    Ok(disk.open(&name)?)
}

/// The syncs that [`create_segment`] does.
pub(super) const CREATE_SYNCS: u64 = 2;

struct Folder {
    segments: Vec<u64>,
    unfinished: Vec<String>,
}

fn look(disk: &dyn Disk) -> Result<Folder, LogError> {
    let mut folder = Folder { segments: Vec::new(), unfinished: Vec::new() };
    for name in disk.list()? {
        match NAMES.role(&name) {
            FileRole::Segment(number) => folder.segments.push(number),
            FileRole::Unfinished => folder.unfinished.push(name),
            FileRole::Other => {}
        }
    }
    folder.segments.sort_unstable();
    Ok(folder)
}

pub(super) fn exists(disk: &dyn Disk) -> Result<bool, LogError> {
    Ok(!look(disk)?.segments.is_empty())
}

/// The number of a log's first segment.
const FIRST: u64 = 1;

pub(super) fn create(disk: Arc<dyn Disk>, id: LogId) -> Result<Opened, LogError> {
    let folder = look(&*disk)?;
    if !folder.segments.is_empty() {
        return Err(LogError::Exists);
    }
    remove_unfinished(&*disk, &folder)?;
    let key = key_of(&id);
    let header = SegmentHeader { id, segment: FIRST, records: 0, previous_end: 0, chain: [0; 16] };
    let file = create_segment(&*disk, &key, &header)?;
    let end = header.start();
    let segments = VecDeque::from([Segment { start: end, end: None }]);
    let shared = Arc::new(Shared::new(disk, id, key, segments, end));
    let recovery = Recovery { end: end.end(), torn: None };
    Ok(Opened { shared, file, length: HEADER as u64, sealed: true, recovery })
}

pub(super) fn open(disk: Arc<dyn Disk>) -> Result<Opened, LogError> {
    let folder = look(&*disk)?;
    let (id, segments) = read_headers(&*disk, &folder.segments)?;
    let key = key_of(&id);
    let last = segments.back().ok_or(LogError::Missing)?.start;
    let file = disk.open(&file_name(last.segment))?;
    let end = find_end(&*file, &key, last)?;
    // Everything is checked; only now is anything changed. Each step may be interrupted and done again.
    remove_unfinished(&*disk, &folder)?;
    disk.sync_folder()?;
    let length = settle_tail(&*file, &end)?;
    let torn = end.torn.map(|bytes| TornTail { file: file_name(last.segment), offset: end.cursor.offset, bytes });
    let recovery = Recovery { end: end.cursor.end(), torn };
    let sealed = end.sealed;
    let shared = Arc::new(Shared::new(disk, id, key, segments, end.cursor));
    Ok(Opened { shared, file, length, sealed, recovery })
}

fn remove_unfinished(disk: &dyn Disk, folder: &Folder) -> Result<(), LogError> {
    for name in &folder.unfinished {
        disk.remove(name)?;
    }
    Ok(())
}

fn read_headers(disk: &dyn Disk, numbers: &[u64]) -> Result<(LogId, VecDeque<Segment>), LogError> {
    let mut segments: VecDeque<Segment> = VecDeque::with_capacity(numbers.len());
    let mut id = None;
    for &number in numbers {
        let name = file_name(number);
        let file = disk.open(&name)?;
        let length = file.len()?;
        if length < HEADER as u64 {
            let reason = "it ends in the middle of the segment header";
            return Err(LogError::Damaged { file: name, offset: length, reason });
        }
        let mut bytes = [0; HEADER];
        file.read_exact_at(0, &mut bytes)?;
        let header = SegmentHeader::decode(&bytes, number)?;
        if *id.get_or_insert(header.id) != header.id {
            return Err(LogError::Foreign { file: name });
        }
        if let Some(previous) = segments.back_mut() {
            let before = previous.start.segment;
            if before + 1 != number {
                return Err(LogError::MissingSegment { file: file_name(before + 1) });
            }
            if header.records < previous.start.records {
                // No log goes back, but one may be put together from copies of several ages.
                let reason = "it has fewer records before it than the segment before it";
                return Err(LogError::Damaged { file: name, offset: 0, reason });
            }
            if disk.open(&file_name(before))?.len()? < header.previous_end {
                let reason = "it is shorter than its successor's header says";
                let offset = header.previous_end;
                return Err(LogError::Damaged { file: file_name(before), offset, reason });
            }
            previous.end = Some(header.previous_end);
        }
        segments.push_back(Segment { start: header.start(), end: None });
    }
    Ok((id.ok_or(LogError::Missing)?, segments))
}

struct End {
    cursor: Cursor,
    /// Where the last group begins, if the segment has one.
    last_group: Option<u64>,
    sealed: bool,
    /// The file's length in bytes.
    length: u64,
    torn: Option<u64>,
}

fn find_end(file: &dyn File, key: &Key, start: Cursor) -> Result<End, LogError> {
    let length = file.len()?;
    let mut cursor = start;
    let mut last_group = None;
    let mut sealed = true;
    let reason = loop {
        match read_group(file, key, &cursor, length)? {
            // A crash may have left the last group so; behind it nothing was written.
            Found::Group { records, next }
                if records.iter().any(Result::is_err) && !is_followed(file, key, &next, length)? =>
            {
                break "a record's checksum doesn't match";
            }
            Found::Group { records, next } => {
                last_group = Some(cursor.offset);
                sealed = records.is_empty();
                cursor = next;
            }
            Found::Nothing(reason) => break reason,
        }
    };
    let torn = match classify_tail(file, key, &cursor, length)? {
        Tail::Clean => None,
        Tail::Torn(bytes) => Some(bytes),
        Tail::Followed(_) => {
            return Err(LogError::Damaged { file: file_name(cursor.segment), offset: cursor.offset, reason });
        }
    };
    Ok(End { cursor, last_group, sealed, length, torn })
}

/// Makes sure that what was found is durable, and that what was cut can't come back. Returns the file's new length.
fn settle_tail(file: &dyn File, end: &End) -> Result<u64, LogError> {
    if end.torn.is_some() {
        file.set_len(end.cursor.offset)?;
    }
    if let Some(start) = end.last_group {
        // The process before may have stopped at a failed sync. The kernel then shows the group and counts it as clean,
        // though it may never have reached the disk, and a sync alone would not write it.
        let length = usize::try_from(end.cursor.offset - start).unwrap_or(usize::MAX);
        let mut group = vec![0; length];
        file.read_exact_at(start, &mut group)?;
        file.write_all_at(start, &group)?;
    }
    file.sync_data()?;
    Ok(if end.torn.is_some() { end.cursor.offset } else { end.length })
}
