//! The archive's one writer.

use std::sync::Arc;

use ledger_core::{ChainId, Height};

use super::format::{MAX_RAW, Packed, file_name, key_of};
use super::reader::Shared;
use super::recovery::{self, ArchiveRecovery};
use super::segment::Unfinished;
use super::{ArchiveConfig, ArchiveError, ArchiveReader};
use crate::disk::Disk;
use crate::log::LogId;

/// A block as it goes into the archive: bytes that the archive doesn't look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The block's height.
    pub height: Height,
    /// The block.
    pub block: &'a [u8],
    /// What makes it final.
    pub certificate: &'a [u8],
    /// What executing it gave: receipts and events.
    pub results: &'a [u8],
}

/// What the archive has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveCounters {
    /// Blocks sealed.
    pub blocks: u64,
    /// Bytes of those blocks with certificates and results, before compression.
    pub raw_bytes: u64,
    /// Bytes of the segments sealed.
    pub sealed_bytes: u64,
    /// Segments sealed.
    pub segments: u64,
    /// Segments deleted, since no chain needed anything in them.
    pub deleted: u64,
    /// The bytes that this freed.
    pub freed_bytes: u64,
}

/// The archive of a host, and the right to write it.
#[derive(Debug)]
pub struct Archive {
    shared: Arc<Shared>,
    config: ArchiveConfig,
    unfinished: Option<Unfinished>,
    /// Blocks and bytes in the unfinished segment.
    waiting: (u64, u64),
    next: u64,
    stopped: Option<ArchiveError>,
    counters: ArchiveCounters,
    recovery: ArchiveRecovery,
}

impl Archive {
    /// Opens the archive of the log `id` on a disk; one without segments is empty. Segments that were never sealed are
    /// removed. Of the sealed ones only header, footer and table of chains are read.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownVersion`] and [`ArchiveError::Foreign`], and nothing has been changed then;
    /// [`ArchiveError::BadConfig`]; [`ArchiveError::Disk`]. A damaged segment is no error here: the others can be read,
    /// and [`recovery`](Self::recovery) names it.
    pub fn open(disk: Arc<dyn Disk>, id: LogId, config: ArchiveConfig) -> Result<Self, ArchiveError> {
        config.check()?;
        let key = key_of(&id);
        let opened = recovery::open(&*disk, &key, &id)?;
        let shared = Arc::new(Shared::new(disk, id, key, &config, opened.catalog));
        let (next, recovery) = (opened.next, opened.recovery);
        let counters = ArchiveCounters::default();
        Ok(Self { shared, config, unfinished: None, waiting: (0, 0), next, stopped: None, counters, recovery })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &ArchiveRecovery {
        &self.recovery
    }

    /// A handle for reading what is sealed.
    #[must_use]
    pub fn reader(&self) -> ArchiveReader {
        ArchiveReader::new(Arc::clone(&self.shared))
    }

    /// What the archive has done since it was opened.
    #[must_use]
    pub fn counters(&self) -> ArchiveCounters {
        self.counters
    }

    /// The bytes of blocks that were appended and aren't sealed.
    #[must_use]
    pub fn unsealed_bytes(&self) -> u64 {
        self.waiting.1
    }

    /// Adds a block, higher than all of its chain before. It isn't in the archive before it is sealed, by
    /// [`seal`](Self::seal) or because its segment was full: a crash before loses it.
    ///
    /// # Errors
    /// [`ArchiveError::Order`] and [`ArchiveError::TooLarge`] change nothing; any other stops the archive.
    pub fn append(&mut self, entry: &Entry<'_>) -> Result<(), ArchiveError> {
        self.check()?;
        let Entry { chain, height, block, certificate, results } = *entry;
        let packed = Packed { chain, height, block, certificate, results };
        let length = packed.length();
        if length > MAX_RAW {
            return Err(ArchiveError::TooLarge { chain, height, bytes: length as u64, limit: MAX_RAW as u64 });
        }
        if let Some(last) = self.last(&chain).filter(|last| height <= *last) {
            return Err(ArchiveError::Order { chain, height, last });
        }
        self.guarded(|archive| archive.push(&packed))
    }

    fn push(&mut self, block: &Packed<'_>) -> Result<(), ArchiveError> {
        let full = |open: &Unfinished| !open.has_room() || open.bytes_with(block.length()) > self.config.segment_bytes;
        if self.unfinished.as_ref().is_some_and(full) {
            self.finish()?;
        }
        let shared = &self.shared;
        let mut open = match self.unfinished.take() {
            Some(open) => open,
            None => Unfinished::create(&*shared.disk, &shared.key, &shared.id, self.next)?,
        };
        open.push(&shared.key, block, self.config.chunk_bytes)?;
        self.unfinished = Some(open);
        self.waiting.0 += 1;
        self.waiting.1 += block.length() as u64;
        Ok(())
    }

    /// Seals what was appended: it is durable, and can be read, when this returns. Does nothing when there is nothing.
    ///
    /// # Errors
    /// The first one stops the archive; what was appended since the last seal may or may not be there after reopening,
    /// but each segment is whole or gone.
    pub fn seal(&mut self) -> Result<(), ArchiveError> {
        self.guarded(Self::finish)
    }

    fn finish(&mut self) -> Result<(), ArchiveError> {
        let Some(open) = self.unfinished.take() else { return Ok(()) };
        let sealed = open.seal(&*self.shared.disk, &self.shared.key)?;
        self.next = sealed.number.saturating_add(1);
        self.shared.catalog().add(sealed.number, sealed.footer, &sealed.ranges)?;
        self.counters.blocks += self.waiting.0;
        self.counters.raw_bytes += self.waiting.1;
        self.counters.sealed_bytes += sealed.footer.segment_bytes();
        self.counters.segments += 1;
        self.waiting = (0, 0);
        Ok(())
    }

    /// The last height of `chain` that was appended; above it [`append`](Self::append) goes on. It is known while the archive
    /// is open, and after opening while a segment holds it.
    #[must_use]
    pub fn last(&self, chain: &ChainId) -> Option<Height> {
        let open = self.unfinished.as_ref().and_then(|open| open.last(chain));
        open.or_else(|| self.shared.catalog().last(chain))
    }

    /// Notes that `chain` needs nothing below `floor`, and deletes the segments in which no chain needs anything; the
    /// newest stays, so that numbers never come back. Floors aren't stored: they are said again after opening. A chain
    /// that is gone gives up everything with a floor of [`u64::MAX`]. Returns how many bytes were freed.
    ///
    /// # Errors
    /// Any stops the archive's writing; what is needed is there in any case.
    pub fn release(&mut self, chain: ChainId, floor: Height) -> Result<u64, ArchiveError> {
        self.check()?;
        self.shared.catalog().release(chain, floor);
        self.guarded(Self::delete_unneeded)
    }

    fn delete_unneeded(&mut self) -> Result<u64, ArchiveError> {
        let mut freed = 0;
        loop {
            // A statement of its own: readers don't wait for the disk.
            let taken = self.shared.catalog().take_unneeded();
            let Some((number, bytes)) = taken else { break };
            self.shared.disk.remove(&file_name(number))?;
            self.shared.forget(number);
            self.counters.deleted += 1;
            freed += bytes;
        }
        if freed > 0 {
            // The order in which names vanish doesn't matter: one that comes back is given up again.
            self.shared.disk.sync_folder()?;
        }
        self.counters.freed_bytes += freed;
        Ok(freed)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        self.stopped.clone().map_or(Ok(()), Err)
    }

    /// Notes the first error, under the name by which everyone later learns of it.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        self.check()?;
        act(self).inspect_err(|error| {
            self.unfinished = None;
            self.waiting = (0, 0);
            self.stopped = Some(ArchiveError::Stopped { first: Arc::new(error.clone()) });
        })
    }
}
