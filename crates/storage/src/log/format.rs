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
//! beside a disk. A group's `body` covers the 64 bytes before each frame's contents, so that where those are damaged it is
//! still known for certain whose record it was, and no other is affected. The group's own checksum is the next one's
//! `previous group`: one chain through the whole log.

use ledger_crypto::Digest;

use super::{LogError, LogId, LogPosition, Record, RecordKind};
use crate::disk::{DiskError, File};
use crate::segmented::{Checksum, Fields, Key, Names};

/// The format that this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(super) const HEADER: usize = 128;
/// Bytes of a group's header.
pub(super) const GROUP: usize = 72;
/// Bytes of a frame before the record's own.
pub(super) const FRAME: usize = 64;
/// The first bytes of a group.
pub(super) const GROUP_MAGIC: [u8; 4] = *b"LGRP";

const SEGMENT_MAGIC: [u8; 8] = *b"LEDGRLOG";

/// How the segments' files are called.
pub(super) const NAMES: Names = Names("log-");

/// The file of a segment.
pub(super) fn file_name(segment: u64) -> String {
    NAMES.of(segment)
}

/// The key of a log's checksums.
pub(super) fn key_of(id: &LogId) -> Key {
    Key::new("ledgerkit log checksum", id)
}

const TAG_SEGMENT: u8 = 1;
const TAG_GROUP: u8 = 2;
const TAG_BODY: u8 = 3;
const TAG_FRAME: u8 = 4;

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
        if !reserved || key_of(&header.id).checksum(TAG_SEGMENT, header.segment, 0, &[covered]) != checksum {
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
    /// The frames without their contents.
    frames: Vec<u8>,
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
        self.frames.clear();
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
        self.frames.extend_from_slice(self.bytes.get(start..).unwrap_or_default());
        if record.bytes.len() < LARGE {
            self.bytes.extend_from_slice(&record.bytes);
        } else {
            self.gaps.push(self.bytes.len());
        }
        self.count += 1;
        self.length += frame_length(record);
        let length = u32::try_from(frame_length(record)).unwrap_or(u32::MAX);
        LogPosition { segment: cursor.segment, offset, length }
    }

    /// Completes the group's header, and says where the next group will stand.
    pub(super) fn finish(&mut self, key: &Key, cursor: &Cursor) -> Cursor {
        let body_length = u32::try_from(self.length - GROUP as u64).unwrap_or(u32::MAX);
        let body = key.checksum(TAG_BODY, cursor.segment, cursor.offset, &[&self.frames]);
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
        self.frames.clear();
        self.frames.shrink_to(KEPT);
    }
}

/// A frame at the front of bytes, not yet checked.
struct Frame<'a> {
    /// Everything before the contents.
    head: &'a [u8],
    chain: Digest,
    height: u64,
    kind: RecordKind,
    checksum: &'a [u8],
    content: &'a [u8],
}

impl<'a> Frame<'a> {
    fn at_front(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(FRAME)?;
        let mut fields = Fields(head);
        let (chain, height, length) = (Digest::new(fields.array()), fields.u64(), fields.u32());
        let kind = RecordKind::new(fields.take(1).first().copied()?);
        fields.take(3);
        let content = rest.get(..usize::try_from(length).ok()?)?;
        Some(Self { head, chain, height, kind, checksum: fields.take(16), content })
    }

    fn length(&self) -> usize {
        self.head.len() + self.content.len()
    }

    /// The record, if it is what was written there.
    fn check(&self, key: &Key, segment: u64, offset: u64) -> Option<Record> {
        let covered = self.head.get(..FRAME - 16)?;
        let sound = key.checksum(TAG_FRAME, segment, offset, &[covered, self.content]) == *self.checksum;
        let Self { chain, height, kind, content, .. } = *self;
        sound.then(|| Record { chain, kind, height, bytes: content.to_vec() })
    }
}

/// The record whose whole frame is `bytes`, checked.
pub(super) fn decode_record(bytes: &[u8], key: &Key, position: LogPosition) -> Option<Record> {
    let frame = Frame::at_front(bytes).filter(|frame| frame.length() == bytes.len())?;
    frame.check(key, position.segment, position.offset)
}

/// A group's record, or the error that names whose it was.
pub(super) type Entry = Result<(LogPosition, Record), LogError>;

/// The records of a group's body, all checked. `None` when it isn't even known whose they were.
pub(super) fn decode_body(
    body: &[u8],
    header: &GroupHeader,
    key: &Key,
    segment: u64,
    offset: u64,
) -> Option<Vec<Entry>> {
    let (mut entries, mut heads) = (Vec::new(), Vec::new());
    let mut rest = body;
    let mut at = offset + GROUP as u64;
    while !rest.is_empty() {
        let frame = Frame::at_front(rest)?;
        let position = LogPosition { segment, offset: at, length: u32::try_from(frame.length()).ok()? };
        let damaged = || LogError::DamagedRecord {
            file: file_name(segment),
            offset: at,
            chain: frame.chain,
            height: frame.height,
        };
        entries.push(frame.check(key, segment, at).map(|record| (position, record)).ok_or_else(damaged));
        heads.extend_from_slice(frame.head);
        at += frame.length() as u64;
        rest = rest.get(frame.length()..)?;
    }
    let known = entries.len() as u64 == u64::from(header.count)
        && key.checksum(TAG_BODY, segment, offset, &[&heads]) == header.body;
    known.then_some(entries)
}
