//! Those who read.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger_core::{ChainId, Height};
use lz4_flex::block::decompress_into;

use super::cache::Cache;
use super::catalog::{Catalog, Found};
use super::format::{CHUNK, ChunkHeader, Codec, Footer, MAX_RAW, PLACE, Packed, Place, RUN, Run, file_name, part};
use super::{ArchiveConfig, ArchiveError, Held};
use crate::disk::{Disk, File};
use crate::log::LogId;
use crate::segmented::Key;

/// Segments kept open for reading.
const MAX_OPEN: usize = 32;

/// A segment's chunks and runs.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) chunks: Vec<Place>,
    pub(super) runs: Vec<Run>,
}

/// Unpacked chunks by segment and offset.
type Chunks = Cache<(u64, u64), Arc<Vec<u8>>>;

/// What the writer and all readers of one archive share.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) id: LogId,
    pub(super) key: Key,
    catalog: Mutex<Catalog>,
    files: Mutex<Cache<u64, Arc<dyn File>>>,
    tables: Mutex<Cache<u64, Arc<Places>>>,
    chunks: Mutex<Chunks>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is changed in single calls that don't panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, id: LogId, key: Key, config: &ArchiveConfig, catalog: Catalog) -> Self {
        Self {
            disk,
            id,
            key,
            catalog: Mutex::new(catalog),
            files: Mutex::new(Cache::new(MAX_OPEN)),
            tables: Mutex::new(Cache::new(config.table_cache_bytes)),
            chunks: Mutex::new(Cache::new(config.chunk_cache_bytes)),
        }
    }

    pub(super) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        lock(&self.catalog)
    }

    /// Lets go of everything of a segment that is deleted.
    pub(super) fn forget(&self, segment: u64) {
        lock(&self.files).remove(segment);
        lock(&self.tables).remove(segment);
        lock(&self.chunks).retain(|(of, _)| *of != segment);
    }

    fn file(&self, segment: u64) -> Result<Arc<dyn File>, ArchiveError> {
        if let Some(file) = lock(&self.files).get(segment) {
            return Ok(file);
        }
        let file: Arc<dyn File> = Arc::from(self.disk.open(&file_name(segment))?);
        lock(&self.files).put(segment, Arc::clone(&file), 1);
        Ok(file)
    }

    pub(super) fn read_places(&self, segment: u64, footer: &Footer) -> Result<Places, ArchiveError> {
        let offset = footer.places_offset();
        let damaged = |reason| ArchiveError::Damaged { file: file_name(segment), offset, wanted: None, reason };
        let length =
            usize::try_from(footer.places_bytes()).map_err(|_| damaged("its tables are larger than memory"))?;
        let mut bytes = vec![0; length];
        self.file(segment)?.read_exact_at(offset, &mut bytes)?;
        if self.key.checksum(part::PLACES, segment, offset, &[&bytes]) != footer.places_checksum {
            return Err(damaged("the table of places isn't the one that was written there"));
        }
        let chunks_bytes = usize::try_from(footer.chunks).unwrap_or(usize::MAX).saturating_mul(PLACE);
        let (chunks, runs) = bytes.split_at_checked(chunks_bytes).unwrap_or_default();
        let chunks = chunks.as_chunks::<PLACE>().0.iter().map(Place::decode).collect();
        Ok(Places { chunks, runs: runs.as_chunks::<RUN>().0.iter().map(Run::decode).collect() })
    }

    fn places(&self, segment: u64, footer: &Footer) -> Result<Arc<Places>, ArchiveError> {
        if let Some(places) = lock(&self.tables).get(segment) {
            return Ok(places);
        }
        let places = Arc::new(self.read_places(segment, footer)?);
        let weight = usize::try_from(footer.places_bytes()).unwrap_or(usize::MAX);
        lock(&self.tables).put(segment, Arc::clone(&places), weight);
        Ok(places)
    }

    /// An unpacked chunk: one read.
    pub(super) fn read_chunk(&self, segment: u64, place: Place) -> Result<Vec<u8>, ArchiveError> {
        let offset = place.offset;
        let damaged = |reason| ArchiveError::Damaged { file: file_name(segment), offset, wanted: None, reason };
        let size = |length: u32| usize::try_from(length).ok().filter(|length| *length <= MAX_RAW);
        let (Some(stored), Some(raw)) = (size(place.stored), size(place.raw)) else {
            return Err(damaged("the chunk is larger than any that is written"));
        };
        let mut bytes = vec![0; CHUNK + stored];
        self.file(segment)?.read_exact_at(offset, &mut bytes)?;
        let (header, stored) = ChunkHeader::decode(&bytes, &self.key, segment, offset)
            .filter(|(header, _)| header.raw == place.raw)
            .ok_or_else(|| damaged("the chunk's checksum doesn't match"))?;
        let mut unpacked = vec![0; raw];
        let length = match header.codec {
            Codec::Plain if stored.len() == raw => {
                unpacked.copy_from_slice(stored);
                raw
            }
            Codec::Plain => 0,
            // What was written unpacks, and the checksum held: this is for the program that wrote it otherwise.
            Codec::Lz4 => decompress_into(stored, &mut unpacked).unwrap_or(0),
        };
        if length == raw { Ok(unpacked) } else { Err(damaged("the chunk doesn't unpack to what its header says")) }
    }

    fn chunk(&self, segment: u64, place: Place) -> Result<Arc<Vec<u8>>, ArchiveError> {
        let key = (segment, place.offset);
        if let Some(chunk) = lock(&self.chunks).get(key) {
            return Ok(chunk);
        }
        let chunk = Arc::new(self.read_chunk(segment, place)?);
        lock(&self.chunks).put(key, Arc::clone(&chunk), chunk.len());
        Ok(chunk)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("disk", &self.disk).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A block as it was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedBlock {
    /// The block.
    pub block: Vec<u8>,
    /// What makes it final.
    pub certificate: Vec<u8>,
}

/// Reads what is sealed, from any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ArchiveReader {
    shared: Arc<Shared>,
}

impl ArchiveReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Block `height` of `chain`, and its certificate.
    ///
    /// # Errors
    /// [`ArchiveError::Absent`] and [`ArchiveError::Released`] say what there is; [`ArchiveError::Damaged`] where bytes
    /// aren't what was sealed.
    pub fn block(&self, chain: ChainId, height: Height) -> Result<ArchivedBlock, ArchiveError> {
        self.find(chain, height, |found| ArchivedBlock {
            block: found.block.to_vec(),
            certificate: found.certificate.to_vec(),
        })
    }

    /// The results of block `height` of `chain`.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn results(&self, chain: ChainId, height: Height) -> Result<Vec<u8>, ArchiveError> {
        self.find(chain, height, |found| found.results.to_vec())
    }

    /// The heights of `chain` up to its last one, as far back as none is missing and all are kept.
    #[must_use]
    pub fn held(&self, chain: &ChainId) -> Option<Held> {
        self.shared.catalog().held(chain)
    }

    /// The first height that `chain` keeps, as far as it has said so since the archive was opened.
    #[must_use]
    pub fn floor(&self, chain: &ChainId) -> Height {
        self.shared.catalog().floor(chain)
    }

    /// The chains of which there are blocks.
    #[must_use]
    pub fn chains(&self) -> Vec<ChainId> {
        self.shared.catalog().chains()
    }

    /// How many segments there are, and their bytes.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        let catalog = self.shared.catalog();
        catalog.segments().fold((0, 0), |(count, bytes), (_, footer)| (count + 1, bytes + footer.segment_bytes()))
    }

    fn find<T>(&self, chain: ChainId, height: Height, take: impl Fn(Packed<'_>) -> T) -> Result<T, ArchiveError> {
        loop {
            let found = self.shared.catalog().find(chain, height)?;
            match self.read(chain, height, &found, &take) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    // The segment may have been deleted meanwhile, and then the catalog says so.
                    let again = self.shared.catalog().find(chain, height)?;
                    if again.segment == found.segment {
                        return Err(about(error, chain, height));
                    }
                }
            }
        }
    }

    fn read<T>(
        &self,
        chain: ChainId,
        height: Height,
        found: &Found,
        take: impl Fn(Packed<'_>) -> T,
    ) -> Result<T, ArchiveError> {
        let Found { segment, footer, first_run, runs } = *found;
        let places = self.shared.places(segment, &footer)?;
        let place = place_of(&places, first_run, runs, height).ok_or_else(|| ArchiveError::Damaged {
            file: file_name(segment),
            offset: footer.places_offset(),
            wanted: None,
            reason: "the table of places doesn't have the block that the table of chains names",
        })?;
        let chunk = self.shared.chunk(segment, place)?;
        let block = blocks(&chunk).flatten().find(|block| (block.chain, block.height) == (chain, height));
        block.map(take).ok_or_else(|| ArchiveError::Damaged {
            file: file_name(segment),
            offset: place.offset,
            wanted: None,
            reason: "the chunk doesn't have the block that the table of places names",
        })
    }
}

fn place_of(places: &Places, first_run: u32, runs: u32, height: Height) -> Option<Place> {
    let first = usize::try_from(first_run).ok()?;
    let runs = places.runs.get(first..first.checked_add(usize::try_from(runs).ok()?)?)?;
    let index = runs.partition_point(|run| run.first <= height).checked_sub(1)?;
    // The run begins at this height or below.
    let run = runs.get(index).filter(|run| height.0 - run.first.0 < u64::from(run.blocks))?;
    places.chunks.get(usize::try_from(run.chunk).ok()?).copied()
}

/// The blocks of an unpacked chunk; `None` where it isn't one, and then nothing more.
pub(super) fn blocks(chunk: &[u8]) -> impl Iterator<Item = Option<Packed<'_>>> {
    let mut rest = Some(chunk).filter(|chunk| !chunk.is_empty());
    std::iter::from_fn(move || {
        let decoded = Packed::decode(rest?);
        rest = decoded.as_ref().map(|(_, rest)| *rest).filter(|rest| !rest.is_empty());
        Some(decoded.map(|(block, _)| block))
    })
}

/// The error, naming the block that was looked for.
fn about(error: ArchiveError, chain: ChainId, height: Height) -> ArchiveError {
    match error {
        ArchiveError::Damaged { file, offset, reason, .. } => {
            ArchiveError::Damaged { file, offset, wanted: Some((chain, height)), reason }
        }
        other => other,
    }
}
