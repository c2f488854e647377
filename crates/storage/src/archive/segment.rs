//! A segment while it is made.

use std::collections::BTreeMap;

use ledger_core::{ChainId, Height};
use lz4_flex::block::{compress_into, get_maximum_output_size};

use super::ArchiveError;
use super::format::{
    CHUNK, ChunkHeader, Codec, FOOTER, Footer, HEADER, NAMES, PLACE, Packed, Place, RANGE, RUN, Range, Run,
    encode_header, file_name, narrow, part,
};
use crate::disk::{Disk, File};
use crate::log::LogId;
use crate::segmented::Key;

/// The most chunks, and the most runs, in one segment: bounds its tables to about 4 MiB each.
const MOST_PLACES: usize = 1 << 16;

/// The heights of one chain without a gap, and where they are.
#[derive(Debug)]
struct Stretch {
    first: Height,
    last: Height,
    runs: Vec<Run>,
}

/// A segment to which blocks are added. Nothing of it counts before it is sealed.
#[derive(Debug)]
pub(super) struct Unfinished {
    number: u64,
    file: Box<dyn File>,
    offset: u64,
    /// The blocks that wait to be compressed together.
    raw: Vec<u8>,
    raw_blocks: u32,
    packed: Vec<u8>,
    chunks: Vec<Place>,
    chains: BTreeMap<ChainId, Vec<Stretch>>,
    ranges: usize,
    runs: usize,
    blocks: u64,
}

impl Unfinished {
    pub(super) fn create(disk: &dyn Disk, key: &Key, id: &LogId, number: u64) -> Result<Self, ArchiveError> {
        let file = disk.create(&NAMES.unfinished(number))?;
        file.write_all_at(0, &encode_header(key, id, number))?;
        Ok(Self {
            number,
            file,
            offset: HEADER as u64,
            raw: Vec::new(),
            raw_blocks: 0,
            packed: Vec::new(),
            chunks: Vec::new(),
            chains: BTreeMap::new(),
            ranges: 0,
            runs: 0,
            blocks: 0,
        })
    }

    pub(super) fn last(&self, chain: &ChainId) -> Option<Height> {
        self.chains.get(chain)?.last().map(|stretch| stretch.last)
    }

    /// What the segment would take up at most, were it sealed with `more` raw bytes in another chunk.
    pub(super) fn bytes_with(&self, more: usize) -> u64 {
        let tables = (self.chunks.len() + 2) * PLACE + (self.runs + 2) * RUN + (self.ranges + 1) * RANGE + FOOTER;
        let raw = self.raw.len().saturating_add(more).saturating_add(tables + 2 * CHUNK);
        self.offset.saturating_add(raw as u64)
    }

    /// Whether the tables take one more chunk and run.
    pub(super) fn has_room(&self) -> bool {
        self.chunks.len() + 2 < MOST_PLACES && self.runs + 1 < MOST_PLACES && self.ranges + 1 < MOST_PLACES
    }

    /// Adds a block, whose height the caller has checked to be above its chain's last one.
    pub(super) fn push(&mut self, key: &Key, block: &Packed<'_>, chunk_bytes: usize) -> Result<(), ArchiveError> {
        if !self.raw.is_empty() && self.raw.len().saturating_add(block.length()) > chunk_bytes {
            self.flush(key)?;
        }
        block.encode(&mut self.raw);
        self.raw_blocks += 1;
        self.blocks += 1;
        self.note(block.chain, block.height);
        if self.raw.len() >= chunk_bytes { self.flush(key) } else { Ok(()) }
    }

    fn note(&mut self, chain: ChainId, height: Height) {
        let chunk = narrow(self.chunks.len());
        let stretches = self.chains.entry(chain).or_default();
        let new_run = Run { first: height, blocks: 1, chunk };
        match stretches.last_mut().filter(|stretch| stretch.last.next() == height) {
            Some(stretch) => {
                stretch.last = height;
                match stretch.runs.last_mut().filter(|run| run.chunk == chunk) {
                    Some(run) => run.blocks += 1,
                    None => {
                        stretch.runs.push(new_run);
                        self.runs += 1;
                    }
                }
            }
            None => {
                stretches.push(Stretch { first: height, last: height, runs: vec![new_run] });
                self.ranges += 1;
                self.runs += 1;
            }
        }
    }

    /// Compresses what waits and writes it as one chunk.
    fn flush(&mut self, key: &Key) -> Result<(), ArchiveError> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.packed.clear();
        self.packed.resize(CHUNK + get_maximum_output_size(self.raw.len()), 0);
        let room = self.packed.get_mut(CHUNK..).unwrap_or_default();
        // There is room for the worst case, so this doesn't fail; if it did, plain bytes would do.
        let compressed = compress_into(&self.raw, room).ok().filter(|length| *length < self.raw.len());
        let (codec, stored) = match compressed {
            Some(length) => {
                self.packed.truncate(CHUNK + length);
                (Codec::Lz4, length)
            }
            None => {
                self.packed.truncate(CHUNK);
                self.packed.extend_from_slice(&self.raw);
                (Codec::Plain, self.raw.len())
            }
        };
        let header =
            ChunkHeader { codec, stored: narrow(stored), raw: narrow(self.raw.len()), blocks: self.raw_blocks };
        let (front, stored) = self.packed.split_at_mut(CHUNK);
        front.copy_from_slice(&header.encode(key, self.number, self.offset, stored));
        self.file.write_all_at(self.offset, &self.packed)?;
        self.chunks.push(Place { offset: self.offset, stored: header.stored, raw: header.raw });
        self.offset += self.packed.len() as u64;
        self.raw.clear();
        self.raw_blocks = 0;
        Ok(())
    }

    /// Writes the tables, makes everything durable, and gives the file its name; durable before this returns.
    pub(super) fn seal(mut self, disk: &dyn Disk, key: &Key) -> Result<Sealed, ArchiveError> {
        self.flush(key)?;
        let mut ranges = Vec::new();
        let (mut chains, mut runs) = (Vec::new(), Vec::new());
        for (chain, stretches) in &self.chains {
            for stretch in stretches {
                let first_run = narrow(runs.len() / RUN);
                stretch.runs.iter().for_each(|run| run.encode(&mut runs));
                let runs = narrow(stretch.runs.len());
                let range = Range { chain: *chain, first: stretch.first, last: stretch.last, first_run, runs };
                range.encode(&mut chains);
                ranges.push(range);
            }
        }
        let mut places = Vec::with_capacity(self.chunks.len() * PLACE + runs.len());
        self.chunks.iter().for_each(|place| place.encode(&mut places));
        places.append(&mut runs);
        let places_offset = self.offset + chains.len() as u64;
        let footer = Footer {
            tables: self.offset,
            blocks: self.blocks,
            ranges: narrow(ranges.len()),
            runs: narrow(self.runs),
            chunks: narrow(self.chunks.len()),
            chains_checksum: key.checksum(part::CHAINS, self.number, self.offset, &[&chains]),
            places_checksum: key.checksum(part::PLACES, self.number, places_offset, &[&places]),
        };
        chains.append(&mut places);
        chains.extend_from_slice(&footer.encode(key, self.number));
        self.file.write_all_at(self.offset, &chains)?;
        self.file.sync_data()?;
        disk.rename(&NAMES.unfinished(self.number), &file_name(self.number))?;
        disk.sync_folder()?;
        Ok(Sealed { number: self.number, footer, ranges })
    }
}

/// A segment that was just sealed.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) number: u64,
    pub(super) footer: Footer,
    pub(super) ranges: Vec<Range>,
}

/// The order of the table of chains.
pub(super) fn in_order(before: &Range, after: &Range) -> bool {
    (before.chain, before.last) < (after.chain, after.first)
}
