//! The bytes of a segment.
//!
//! ```text
//!   segment  header | chunk | chunk | ... | chains | places | footer
//!   header   magic 8 | format 4 | 0 4 | log id 32 | number 8 | 0 8 | checksum 16
//!   chunk    magic 4 | codec 1 | 0 3 | stored length 4 | raw length 4 | blocks 4 | 0 12 | checksum 16 | stored bytes
//!   raw      per block: chain 32 | height 8 | block length 4 | certificate length 4 | results length 4 | their bytes
//!   chains   per unbroken range: chain 32 | first height 8 | last height 8 | first run 4 | runs 4
//!   places   per chunk: offset 8 | stored length 4 | raw length 4; per run: first height 8 | blocks 4 | chunk 4
//!   footer   magic 8 | number 8 | offset of chains 8 | blocks 8 | ranges 4 | runs 4 | chunks 4 | 0 4 | chains 16 |
//!            places 16 | checksum 16
//! ```
//! Integers are little-endian. A checksum is BLAKE3, keyed with a key derived from the log's id and cut to 16 bytes, over a
//! tag, the segment's number, the offset, and what stands before it (a chunk's also the stored bytes after it). So bytes
//! of another host, segment or place never pass for these. In the footer `chains` and `places` are the checksums of those
//! tables. The header's layout is that of every format: a segment of a later one is known for what it is.
//!
//! Codec 0 is plain bytes, codec 1 an LZ4 block; checksums cover what is stored, so nothing unchecked is unpacked.

use ledger_core::{ChainId, Height};
use ledger_crypto::Digest;

use super::ArchiveError;
use crate::log::LogId;
use crate::segmented::{Checksum, Fields, Key, Names};

/// The format that this program writes and reads.
pub(super) const VERSION: u32 = 0;
/// Bytes of a segment's header.
pub(super) const HEADER: usize = 80;
/// Bytes of a chunk before its stored bytes.
pub(super) const CHUNK: usize = 48;
/// Bytes of a block in a chunk before its own.
pub(super) const BLOCK: usize = 52;
/// Bytes of a range in the table of chains.
pub(super) const RANGE: usize = 56;
/// Bytes of a chunk in the table of places.
pub(super) const PLACE: usize = 16;
/// Bytes of a run in the table of places.
pub(super) const RUN: usize = 16;
/// Bytes of the footer.
pub(super) const FOOTER: usize = 96;

/// The most bytes that a chunk unpacks to: one block with its certificate and results.
pub(super) const MAX_RAW: usize = 256 << 20;

const SEGMENT_MAGIC: [u8; 8] = *b"LEDGRARC";
const CHUNK_MAGIC: [u8; 4] = *b"LARC";
const FOOTER_MAGIC: [u8; 8] = *b"LARCSEAL";

/// How the sealed segments' files are called.
pub(super) const NAMES: Names = Names("arc-");

/// The file of a sealed segment.
pub(super) fn file_name(segment: u64) -> String {
    NAMES.of(segment)
}

/// What a checksum is of.
pub(super) mod part {
    pub(in super::super) const HEADER: u8 = 1;
    pub(in super::super) const CHUNK: u8 = 2;
    pub(in super::super) const CHAINS: u8 = 3;
    pub(in super::super) const PLACES: u8 = 4;
    pub(in super::super) const FOOTER: u8 = 5;
}

/// The key of an archive's checksums.
pub(super) fn key_of(id: &LogId) -> Key {
    Key::new("ledgerkit archive checksum", id)
}

/// A length as the format writes it; everything that is written was bounded before.
pub(super) fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

pub(super) fn encode_header(key: &Key, id: &LogId, segment: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(&SEGMENT_MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&segment.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    let checksum = key.checksum(part::HEADER, segment, 0, &[&bytes]);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Checks that the header is of segment `segment` of the archive `id`, in this program's format.
pub(super) fn check_header(bytes: &[u8; HEADER], id: &LogId, segment: u64) -> Result<(), ArchiveError> {
    let file = || file_name(segment);
    let damaged = |reason| Err(ArchiveError::Damaged { file: file(), offset: 0, wanted: None, reason });
    let (covered, checksum) = bytes.split_at(HEADER - 16);
    let mut fields = Fields(covered);
    if fields.array() != SEGMENT_MAGIC {
        return damaged("it doesn't begin as a segment does");
    }
    let (found, _reserved, owner, number) = (fields.u32(), fields.u32(), LogId::new(fields.array()), fields.u64());
    if key_of(&owner).checksum(part::HEADER, number, 0, &[covered]) != checksum {
        return damaged("the segment header's checksum doesn't match");
    }
    if found != VERSION {
        return Err(ArchiveError::UnknownVersion { file: file(), found, understood: VERSION });
    }
    if owner != *id {
        return Err(ArchiveError::Foreign { file: file() });
    }
    if number != segment {
        return damaged("it is another segment than its name says");
    }
    Ok(())
}

/// How a chunk's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Plain,
    Lz4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    pub(super) codec: Codec,
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) blocks: u32,
}

impl ChunkHeader {
    /// The header of a chunk at `offset`, whose stored bytes follow it.
    pub(super) fn encode(&self, key: &Key, segment: u64, offset: u64, stored: &[u8]) -> [u8; CHUNK] {
        let mut bytes = Vec::with_capacity(CHUNK);
        bytes.extend_from_slice(&CHUNK_MAGIC);
        bytes.extend_from_slice(&[u8::from(self.codec == Codec::Lz4), 0, 0, 0]);
        for value in [self.stored, self.raw, self.blocks, 0, 0, 0] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let checksum = key.checksum(part::CHUNK, segment, offset, &[&bytes, stored]);
        bytes.extend_from_slice(&checksum);
        bytes.try_into().unwrap_or([0; CHUNK])
    }

    /// The header and the stored bytes of a chunk, if its checksum says that this archive wrote it at that place.
    pub(super) fn decode<'a>(bytes: &'a [u8], key: &Key, segment: u64, offset: u64) -> Option<(Self, &'a [u8])> {
        let (header, stored) = bytes.split_at_checked(CHUNK)?;
        let (covered, checksum) = header.split_at(CHUNK - 16);
        if key.checksum(part::CHUNK, segment, offset, &[covered, stored]) != checksum {
            return None;
        }
        let mut fields = Fields(covered);
        let (magic, codec) = (fields.array::<4>(), fields.array::<4>());
        let codec = match codec {
            [0, 0, 0, 0] => Codec::Plain,
            [1, 0, 0, 0] => Codec::Lz4,
            _ => return None,
        };
        let header = Self { codec, stored: fields.u32(), raw: fields.u32(), blocks: fields.u32() };
        let whole = magic == CHUNK_MAGIC && usize::try_from(header.stored).ok()? == stored.len();
        whole.then_some((header, stored))
    }
}

/// A block in an unpacked chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'a> {
    pub(super) chain: ChainId,
    pub(super) height: Height,
    pub(super) block: &'a [u8],
    pub(super) certificate: &'a [u8],
    pub(super) results: &'a [u8],
}

impl<'a> Packed<'a> {
    pub(super) fn length(&self) -> usize {
        BLOCK + self.block.len() + self.certificate.len() + self.results.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.chain.0.as_bytes());
        out.extend_from_slice(&self.height.0.to_le_bytes());
        for part in [self.block, self.certificate, self.results] {
            out.extend_from_slice(&narrow(part.len()).to_le_bytes());
        }
        for part in [self.block, self.certificate, self.results] {
            out.extend_from_slice(part);
        }
    }

    /// The first block of `bytes`, and what follows it.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_at_checked(BLOCK)?;
        let mut fields = Fields(header);
        let (chain, height) = (ChainId(Digest::new(fields.array())), Height(fields.u64()));
        let (block, rest) = rest.split_at_checked(usize::try_from(fields.u32()).ok()?)?;
        let (certificate, rest) = rest.split_at_checked(usize::try_from(fields.u32()).ok()?)?;
        let (results, rest) = rest.split_at_checked(usize::try_from(fields.u32()).ok()?)?;
        Some((Self { chain, height, block, certificate, results }, rest))
    }
}

/// The heights of one chain that a segment has without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) chain: ChainId,
    pub(super) first: Height,
    pub(super) last: Height,
    pub(super) first_run: u32,
    pub(super) runs: u32,
}

impl Range {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.chain.0.as_bytes());
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.last.0.to_le_bytes());
        out.extend_from_slice(&self.first_run.to_le_bytes());
        out.extend_from_slice(&self.runs.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; RANGE]) -> Self {
        let mut fields = Fields(bytes);
        Self {
            chain: ChainId(Digest::new(fields.array())),
            first: Height(fields.u64()),
            last: Height(fields.u64()),
            first_run: fields.u32(),
            runs: fields.u32(),
        }
    }
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Bytes behind the chunk's header.
    pub(super) stored: u32,
    /// Bytes that they unpack to.
    pub(super) raw: u32,
}

impl Place {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(&self.raw.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; PLACE]) -> Self {
        let mut fields = Fields(bytes);
        Self { offset: fields.u64(), stored: fields.u32(), raw: fields.u32() }
    }
}

/// Blocks of one chain that follow each other in one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: Height,
    pub(super) blocks: u32,
    pub(super) chunk: u32,
}

impl Run {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.chunk.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; RUN]) -> Self {
        let mut fields = Fields(bytes);
        Self { first: Height(fields.u64()), blocks: fields.u32(), chunk: fields.u32() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the table of chains begins.
    pub(super) tables: u64,
    pub(super) blocks: u64,
    pub(super) ranges: u32,
    pub(super) runs: u32,
    pub(super) chunks: u32,
    pub(super) chains_checksum: Checksum,
    pub(super) places_checksum: Checksum,
}

impl Footer {
    pub(super) fn chains_bytes(&self) -> u64 {
        u64::from(self.ranges) * RANGE as u64
    }

    pub(super) fn places_offset(&self) -> u64 {
        self.tables.saturating_add(self.chains_bytes())
    }

    pub(super) fn places_bytes(&self) -> u64 {
        u64::from(self.chunks) * PLACE as u64 + u64::from(self.runs) * RUN as u64
    }

    /// The bytes of the whole segment.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.places_offset().saturating_add(self.places_bytes()).saturating_add(FOOTER as u64)
    }

    pub(super) fn encode(&self, key: &Key, segment: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER);
        bytes.extend_from_slice(&FOOTER_MAGIC);
        for value in [segment, self.tables, self.blocks] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        for value in [self.ranges, self.runs, self.chunks, 0] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&self.chains_checksum);
        bytes.extend_from_slice(&self.places_checksum);
        let offset = self.segment_bytes() - FOOTER as u64;
        let checksum = key.checksum(part::FOOTER, segment, offset, &[&bytes]);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// The footer that ends segment `segment` of `length` bytes, if this archive wrote it there.
    pub(super) fn decode(bytes: &[u8; FOOTER], key: &Key, segment: u64, length: u64) -> Option<Self> {
        let (covered, checksum) = bytes.split_at(FOOTER - 16);
        let offset = length.checked_sub(FOOTER as u64)?;
        let mut fields = Fields(covered);
        if fields.array() != FOOTER_MAGIC || key.checksum(part::FOOTER, segment, offset, &[covered]) != checksum {
            return None;
        }
        let (_number, tables, blocks) = (fields.u64(), fields.u64(), fields.u64());
        let (ranges, runs, chunks, _reserved) = (fields.u32(), fields.u32(), fields.u32(), fields.u32());
        let (chains_checksum, places_checksum) = (fields.array(), fields.array());
        let footer = Self { tables, blocks, ranges, runs, chunks, chains_checksum, places_checksum };
        (footer.segment_bytes() == length).then_some(footer)
    }
}
