//! The bytes of a segment.
//!
//! ```text
//!   segment  header | group | group | ... | zeros written ahead
//!   header   magic 8 | format 4 | 0 4 | log id 32 | number 8 | records before 8 | previous end 8 | previous group 16 |
//!            0 24 | checksum 16
//!   group    magic 4 | records 4 | body length 4 | 0 4 | records before 8 | previous group 16 | body 16 | checksum 16 |
//!            frames
//!   frame    chain 32 | height 8 | length 4 | kind 1 | 0 3 | checksum 16 | bytes
//! ```
//! Integers are little-endian. A checksum is BLAKE3, keyed with a key derived from the log's id, cut to 16 bytes; it covers
//! a tag, the segment's number, the offset, and what stands before it (a frame's also the bytes after it). A CRC32C would
//! find flipped bits as well, but bytes of this log that stand in the wrong place, and record contents chosen by a
//! stranger to look like a group, only a keyed checksum bound to the place excludes; at 1 GB/s and more it is no bottleneck
//! beside a disk. A group's `body` covers the checksums of its frames, and its own checksum is the next one's `previous
//! group`: one chain through the whole log.

use ledger_crypto::Digest;

use super::{LogError, LogId, LogPosition, Record, RecordKind};
use crate::disk::{DiskError, File};

/// The format that this program writes and reads.
pub(super) const VERSION: u32 = 0;
/// Bytes of a segment's header.
pub(super) const HEADER: usize = 128;
/// Bytes of a group's header.
pub(super) const GROUP: usize = 72;
/// Bytes of a frame before the record's own.
pub(super) const FRAME: usize = 64;
/// The first bytes of a group.
pub(super) const GROUP_MAGIC: [u8; 4] = *b"LGRP";

const SEGMENT_MAGIC: [u8; 8] = *b"LEDGRLOG";
const PREFIX: &str = "log-";
const SUFFIX_NEW: &str = ".new";

/// The file of a segment.
pub(super) fn file_name(segment: u64) -> String {
    format!("{PREFIX}{segment:020}")
}

/// The file in which a segment is made before it is part of the log.
pub(super) fn new_file_name(segment: u64) -> String {
    format!("{PREFIX}{segment:020}{SUFFIX_NEW}")
}

/// What a file name of the folder is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileRole {
    Segment(u64),
    Unfinished,
    Other,
}

pub(super) fn file_role(name: &str) -> FileRole {
    let Some(number) = name.strip_prefix(PREFIX) else { return FileRole::Other };
    let (number, unfinished) = number.strip_suffix(SUFFIX_NEW).map_or((number, false), |number| (number, true));
    match number.parse() {
        Ok(segment) if unfinished && new_file_name(segment) == name => FileRole::Unfinished,
        Ok(segment) if file_name(segment) == name => FileRole::Segment(segment),
        _ => FileRole::Other,
    }
}

pub(super) type Checksum = [u8; 16];

/// Computes the checksums of one log.
#[derive(Clone)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn new(id: &LogId) -> Self {
        Self(blake3::derive_key("ledgerkit log checksum", id.as_bytes()))
    }

    fn checksum(&self, tag: u8, segment: u64, offset: u64, parts: &[&[u8]]) -> Checksum {
        let mut place = [tag; 17];
        let fields = segment.to_le_bytes().into_iter().chain(offset.to_le_bytes());
        for (byte, value) in place.iter_mut().skip(1).zip(fields) {
            *byte = value;
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&place);
        // Long parts in one call each, so that BLAKE3 takes as many of their chunks at once as the processor can.
        for part in parts {
            hasher.update(part);
        }
        let mut checksum = [0; 16];
        hasher.finalize_xof().fill(&mut checksum);
        checksum
    }
}

const TAG_SEGMENT: u8 = 1;
const TAG_GROUP: u8 = 2;
const TAG_BODY: u8 = 3;
const TAG_FRAME: u8 = 4;

/// Takes fields from the front of bytes; past their end it gives zeros, which no caller's length check lets happen.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn zeros(&mut self, count: usize) -> bool {
        self.take(count).iter().all(|byte| *byte == 0)
    }
}

/// Where a group stands, and what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Records before.
    pub(super) records: u64,
    /// The checksum of the group before.
    pub(super) chain: Checksum,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) id: LogId,
    pub(super) segment: u64,
    pub(super) records: u64,
    pub(super) previous_end: u64,
    pub(super) chain: Checksum,
}

impl SegmentHeader {
    pub(super) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&self.previous_end.to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&[0; 24]);
        let checksum = key.checksum(TAG_SEGMENT, self.segment, 0, &[&bytes]);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER], segment: u64) -> Result<Self, LogError> {
        let damaged = |reason| LogError::Damaged { file: file_name(segment), offset: 0, reason };
        let mut fields = Fields(bytes);
        if fields.array() != SEGMENT_MAGIC {
            return Err(damaged("it doesn't begin as a segment does"));
        }
        let found = fields.u32();
        if found != VERSION {
            return Err(LogError::UnknownVersion { file: file_name(segment), found, understood: VERSION });
        }
        let reserved = fields.zeros(4);
        let header = Self {
            id: LogId::new(fields.array()),
            segment: fields.u64(),
            records: fields.u64(),
            previous_end: fields.u64(),
            chain: fields.array(),
        };
        let reserved = fields.zeros(24) && reserved;
        let (covered, checksum) = bytes.split_at(HEADER - 16);
        if !reserved || Key::new(&header.id).checksum(TAG_SEGMENT, header.segment, 0, &[covered]) != checksum {
            return Err(damaged("the segment header's checksum doesn't match"));
        }
        if header.segment != segment {
            return Err(damaged("it is another segment than its name says"));
        }
        Ok(header)
    }

    /// Where the segment's first group stands.
    pub(super) fn start(&self) -> Cursor {
        Cursor { segment: self.segment, offset: HEADER as u64, records: self.records, chain: self.chain }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupHeader {
    pub(super) count: u32,
    pub(super) body_length: u32,
    pub(super) records: u64,
    pub(super) previous: Checksum,
    body: Checksum,
    pub(super) checksum: Checksum,
}

impl GroupHeader {
    /// The header at a place, if its checksum says that this log wrote it there.
    pub(super) fn decode(bytes: &[u8], key: &Key, segment: u64, offset: u64) -> Option<Self> {
        let (covered, checksum) = bytes.get(..GROUP)?.split_at(GROUP - 16);
        let mut fields = Fields(covered);
        if fields.array() != GROUP_MAGIC || key.checksum(TAG_GROUP, segment, offset, &[covered]) != checksum {
            return None;
        }
        let (count, body_length, _reserved) = (fields.u32(), fields.u32(), fields.u32());
        let (records, previous, body) = (fields.u64(), fields.array(), fields.array());
        Some(Self { count, body_length, records, previous, body, checksum: checksum.try_into().ok()? })
    }
}

/// Bytes that a record takes in the log.
pub(super) fn frame_length(record: &Record) -> u64 {
    FRAME as u64 + record.bytes.len() as u64
}

/// Builds one group: its bytes in a buffer that is used again, and beside it the records that are too large to be copied.
#[derive(Debug, Default)]
pub(super) struct GroupBuilder {
    /// The group without the contents of large records.
    bytes: Vec<u8>,
    /// Where in `bytes` the contents of large records belong, in order.
    gaps: Vec<usize>,
    checksums: Vec<u8>,
    count: u32,
    length: u64,
}

/// From this many bytes on a record's content is written from where it is: a second write costs less than the copy.
const LARGE: usize = 64 << 10;

impl GroupBuilder {
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.resize(GROUP, 0);
        self.gaps.clear();
        self.checksums.clear();
        self.count = 0;
        self.length = GROUP as u64;
    }

    /// Adds a record to the group that begins at `cursor`; the caller has bounded its size.
    pub(super) fn push(&mut self, key: &Key, cursor: &Cursor, record: &Record) -> LogPosition {
        let start = self.bytes.len();
        let offset = cursor.offset + self.length;
        self.bytes.extend_from_slice(record.chain.as_bytes());
        self.bytes.extend_from_slice(&record.height.to_le_bytes());
        self.bytes.extend_from_slice(&u32::try_from(record.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(&[record.kind.get(), 0, 0, 0]);
        let covered = self.bytes.get(start..).unwrap_or_default();
        let checksum = key.checksum(TAG_FRAME, cursor.segment, offset, &[covered, &record.bytes]);
        self.bytes.extend_from_slice(&checksum);
        if record.bytes.len() < LARGE {
            self.bytes.extend_from_slice(&record.bytes);
        } else {
            self.gaps.push(self.bytes.len());
        }
        self.checksums.extend_from_slice(&checksum);
        self.count += 1;
        self.length += frame_length(record);
        let length = u32::try_from(frame_length(record)).unwrap_or(u32::MAX);
        LogPosition { segment: cursor.segment, offset, length }
    }

    /// Completes the group's header, and says where the next group will stand.
    pub(super) fn finish(&mut self, key: &Key, cursor: &Cursor) -> Cursor {
        let body_length = u32::try_from(self.length - GROUP as u64).unwrap_or(u32::MAX);
        let body = key.checksum(TAG_BODY, cursor.segment, cursor.offset, &[&self.checksums]);
        let mut header = Vec::with_capacity(GROUP);
        header.extend_from_slice(&GROUP_MAGIC);
        header.extend_from_slice(&self.count.to_le_bytes());
        header.extend_from_slice(&body_length.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&cursor.records.to_le_bytes());
        header.extend_from_slice(&cursor.chain);
        header.extend_from_slice(&body);
        let checksum = key.checksum(TAG_GROUP, cursor.segment, cursor.offset, &[&header]);
        header.extend_from_slice(&checksum);
        for (byte, value) in self.bytes.iter_mut().zip(header) {
            *byte = value;
        }
        Cursor {
            segment: cursor.segment,
            offset: cursor.offset + self.length,
            records: cursor.records + u64::from(self.count),
            chain: checksum,
        }
    }

    /// Writes the finished group at `offset`, given the records that were pushed, in their order.
    pub(super) fn write<'a>(
        &self,
        file: &dyn File,
        mut offset: u64,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<(), DiskError> {
        let mut written = 0;
        let large = records.map(|record| record.bytes.as_slice()).filter(|content| content.len() >= LARGE);
        for (gap, content) in self.gaps.iter().zip(large) {
            let before = self.bytes.get(written..*gap).unwrap_or_default();
            file.write_all_at(offset, before)?;
            file.write_all_at(offset + before.len() as u64, content)?;
            offset += (before.len() + content.len()) as u64;
            written = *gap;
        }
        match self.bytes.get(written..) {
            Some(rest) if !rest.is_empty() => file.write_all_at(offset, rest),
            _ => Ok(()),
        }
    }

    /// Gives memory back after an unusually large group.
    pub(super) fn shrink(&mut self) {
        const KEPT: usize = 4 << 20;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.checksums.clear();
        self.checksums.shrink_to(KEPT);
    }
}

/// A frame's record and checksum, and how many bytes it took; `None` when it isn't what was written there.
fn decode_frame(bytes: &[u8], key: &Key, segment: u64, offset: u64) -> Option<(Record, Checksum, usize)> {
    let (header, rest) = bytes.split_at_checked(FRAME)?;
    let (covered, checksum) = header.split_at(FRAME - 16);
    let mut fields = Fields(covered);
    let (chain, height, length) = (Digest::new(fields.array()), fields.u64(), fields.u32());
    let kind = RecordKind::new(fields.take(1).first().copied()?);
    let content = rest.get(..usize::try_from(length).ok()?)?;
    if key.checksum(TAG_FRAME, segment, offset, &[covered, content]) != checksum {
        return None;
    }
    let record = Record { chain, kind, height, bytes: content.to_vec() };
    Some((record, checksum.try_into().ok()?, FRAME + content.len()))
}

/// The record whose whole frame is `bytes`, checked.
pub(super) fn decode_record(bytes: &[u8], key: &Key, position: LogPosition) -> Option<Record> {
    let (record, _, length) = decode_frame(bytes, key, position.segment, position.offset)?;
    (length == bytes.len()).then_some(record)
}

/// The records of a group's body, all checked, or `None`.
pub(super) fn decode_body(
    body: &[u8],
    header: &GroupHeader,
    key: &Key,
    segment: u64,
    offset: u64,
) -> Option<Vec<(LogPosition, Record)>> {
    let mut records = Vec::new();
    let mut checksums = Vec::new();
    let mut rest = body;
    let mut at = offset + GROUP as u64;
    while !rest.is_empty() {
        let (record, checksum, length) = decode_frame(rest, key, segment, at)?;
        records.push((LogPosition { segment, offset: at, length: u32::try_from(length).ok()? }, record));
        checksums.extend_from_slice(&checksum);
        rest = rest.get(length..)?;
        at += length as u64;
    }
    let whole = records.len() as u64 == u64::from(header.count)
        && key.checksum(TAG_BODY, segment, offset, &[&checksums]) == header.body;
    whole.then_some(records)
}
