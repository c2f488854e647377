//! An engine in memory that can go back to earlier batches.

mod bulk;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Address, Batch, Direction, Engine, EngineError, Entries, Snapshot, Space};
use bulk::Bulk;

/// Settings of a [`MemoryEngine`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryConfig {
    /// How many batches [`MemoryEngine::rewind`] can go back. Default 0: what no snapshot sees is dropped.
    pub kept_batches: u64,
}

/// An ordered map with a version of each value for every batch that a snapshot still sees. Cheap to clone; clones are
/// the same engine.
#[derive(Clone)]
pub struct MemoryEngine {
    shared: Arc<RwLock<Content>>,
}

/// A value and the batch that wrote it; `None` is a deletion.
type Version = (u64, Option<Arc<[u8]>>);

struct Content {
    config: MemoryConfig,
    bulk: Bulk,
    /// Versions by key, oldest first.
    entries: BTreeMap<Vec<u8>, Vec<Version>>,
    newest: u64,
    /// The oldest batch whose content is still whole.
    oldest: u64,
    /// Which keys each batch after `oldest` wrote.
    written: VecDeque<Vec<Vec<u8>>>,
    /// How many snapshots there are of each batch.
    snapshots: BTreeMap<u64, usize>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new(MemoryConfig::default())
    }
}

impl MemoryEngine {
    /// The size of a segment of bulk storage, in bytes, unless one chooses another.
    pub const SEGMENT_BYTES: u64 = 64 << 20;

    /// An empty engine.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        Self::with_segments(config, Self::SEGMENT_BYTES)
    }

    /// An empty engine whose bulk storage has segments of `bytes`, rounded up to whole addresses; at least one.
    #[must_use]
    pub fn with_segments(config: MemoryConfig, bytes: u64) -> Self {
        let content = Content {
            config,
            bulk: Bulk::new(bytes),
            entries: BTreeMap::new(),
            newest: 0,
            oldest: 0,
            written: VecDeque::new(),
            snapshots: BTreeMap::new(),
        };
        Self { shared: Arc::new(RwLock::new(content)) }
    }

    /// How many batches were applied since the engine was empty.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.read().newest
    }

    /// The engine as it was after `batch` batches, as an engine of its own: what a crash may leave of this one. Bulk
    /// bytes appended after that batch are gone, unless [`Engine::sync`] was called before the next one.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] when it can't go back so far, or hasn't come so far.
    pub fn rewind(&self, batch: u64) -> Result<Self, EngineError> {
        self.rewound(batch, None)
    }

    /// Like [`MemoryEngine::rewind`], but of the bulk bytes that weren't synced by then some are zero, some are
    /// garbage, and some of the last ones may be missing, as `seed` will have it.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] when it can't go back so far, or hasn't come so far.
    pub fn rewind_torn(&self, batch: u64, seed: u64) -> Result<Self, EngineError> {
        self.rewound(batch, Some(seed))
    }

    fn rewound(&self, batch: u64, tear: Option<u64>) -> Result<Self, EngineError> {
        let content = self.read();
        let (oldest, newest) = (content.oldest, content.newest);
        if batch < oldest || batch > newest {
            return Err(EngineError::NotKept { batch, oldest, newest });
        }
        let past = |versions: &Vec<Version>| -> Vec<Version> {
            versions.iter().filter(|(written, _)| *written <= batch).cloned().collect()
        };
        let entries = content.entries.iter().map(|(key, versions)| (key.clone(), past(versions)));
        let kept = usize::try_from(batch - oldest).unwrap_or(usize::MAX);
        let rewound = Content {
            config: content.config,
            bulk: content.bulk.rewound(batch, tear),
            entries: entries.filter(|(_, versions)| !versions.is_empty()).collect(),
            newest: batch,
            oldest,
            written: content.written.iter().take(kept).cloned().collect(),
            snapshots: BTreeMap::new(),
        };
        Ok(Self { shared: Arc::new(RwLock::new(rewound)) })
    }

    fn read(&self) -> RwLockReadGuard<'_, Content> {
        // A panic while the lock is held can only come from an allocation; the map's invariants survive it.
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn apply(&mut self, operations: super::Operations) {
        self.newest += 1;
        let mut written = Vec::with_capacity(operations.len());
        for (key, value) in operations {
            let version = (self.newest, value.map(Arc::from));
            written.push(key.clone());
            self.entries.entry(key).or_default().push(version);
        }
        self.written.push_back(written);
        self.drop_unseen();
        self.bulk.applied(self.newest, self.oldest);
    }

    /// Drops versions that neither a snapshot nor a rewind can see any more.
    fn drop_unseen(&mut self) {
        let rewindable = self.newest.saturating_sub(self.config.kept_batches);
        let horizon = self.snapshots.keys().next().map_or(rewindable, |first| rewindable.min(*first));
        while self.oldest < horizon
            && let Some(keys) = self.written.pop_front()
        {
            self.oldest += 1;
            for key in keys {
                let Some(versions) = self.entries.get_mut(&key) else { continue };
                let hidden = versions.partition_point(|(batch, _)| *batch <= self.oldest).saturating_sub(1);
                versions.drain(..hidden);
                if let [(batch, None)] = versions.as_slice()
                    && *batch <= self.oldest
                {
                    self.entries.remove(&key);
                }
            }
        }
    }
}

fn seen(versions: &[Version], batch: u64) -> Option<&Arc<[u8]>> {
    versions.iter().rev().find(|(written, _)| *written <= batch).and_then(|(_, value)| value.as_ref())
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        let mut content = self.write();
        let batch = content.newest;
        *content.snapshots.entry(batch).or_default() += 1;
        drop(content);
        Box::new(MemorySnapshot { engine: self.clone(), batch })
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let operations = batch.into_operations()?;
        self.write().apply(operations);
        Ok(())
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        let mut content = self.write();
        let batch = content.newest;
        content.bulk.append(batch, space, bytes)
    }

    fn largest_blob(&self) -> u64 {
        self.read().bulk.segment_bytes()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        self.read().bulk.read(address, buffer)
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        let mut content = self.write();
        let (batch, kept) = (content.newest, content.config.kept_batches);
        let freed = content.bulk.release(batch, space, below);
        if kept == 0 {
            content.bulk.forget(batch.saturating_add(1));
        }
        Ok(freed)
    }

    fn sync(&self) -> Result<(), EngineError> {
        let mut content = self.write();
        let batch = content.newest;
        content.bulk.sync(batch);
        Ok(())
    }

    /// Keys and values with all their versions, and bulk bytes; what the maps themselves take isn't counted.
    fn disk_bytes(&self) -> Result<u64, EngineError> {
        let content = self.read();
        let versions = |versions: &Vec<Version>| -> usize {
            versions.iter().map(|(_, value)| value.as_ref().map_or(0, |value| value.len())).sum()
        };
        let entries = content.entries.iter().map(|(key, values)| key.len() + versions(values)).sum::<usize>();
        Ok(u64::try_from(entries).unwrap_or(u64::MAX).saturating_add(content.bulk.bytes()))
    }
}

struct MemorySnapshot {
    engine: MemoryEngine,
    batch: u64,
}

impl Drop for MemorySnapshot {
    fn drop(&mut self) {
        let mut content = self.engine.write();
        if let Some(count) = content.snapshots.get_mut(&self.batch) {
            *count -= 1;
            if *count == 0 {
                content.snapshots.remove(&self.batch);
            }
        }
    }
}

impl Snapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let content = self.engine.read();
        Ok(content.entries.get(key).and_then(|versions| seen(versions, self.batch)).map(|value| value.to_vec()))
    }

    fn range(&self, from: &[u8], to: Option<&[u8]>, direction: Direction) -> Entries<'_> {
        let to = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.to_vec()));
        Box::new(MemoryRange {
            snapshot: self,
            from: Bound::Included(from.to_vec()),
            to,
            direction,
            ready: Vec::new().into_iter(),
            chunk: FIRST_CHUNK,
        })
    }
}

const FIRST_CHUNK: usize = 16;
const LARGEST_CHUNK: usize = 1_024;

/// Reads some entries at a time, so that no writer waits for a slow reader.
struct MemoryRange<'a> {
    snapshot: &'a MemorySnapshot,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    direction: Direction,
    ready: std::vec::IntoIter<(Vec<u8>, Vec<u8>)>,
    chunk: usize,
}

impl MemoryRange<'_> {
    fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Excluded(to)) | (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
            _ => false,
        }
    }

    fn read(&mut self) {
        if self.is_empty() {
            return;
        }
        let content = self.snapshot.engine.read();
        let range = content.entries.range::<Vec<u8>, _>((self.from.as_ref(), self.to.as_ref()));
        let visible = |(key, versions): (&Vec<u8>, &Vec<Version>)| {
            seen(versions, self.snapshot.batch).map(|value| (key.clone(), value.to_vec()))
        };
        let ready: Vec<_> = match self.direction {
            Direction::Forward => range.filter_map(visible).take(self.chunk).collect(),
            Direction::Backward => range.rev().filter_map(visible).take(self.chunk).collect(),
        };
        drop(content);
        if let Some((last, _)) = ready.last() {
            match self.direction {
                Direction::Forward => self.from = Bound::Excluded(last.clone()),
                Direction::Backward => self.to = Bound::Excluded(last.clone()),
            }
        }
        self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
        self.ready = ready.into_iter();
    }
}

impl Iterator for MemoryRange<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.as_slice().is_empty() {
            self.read();
        }
        self.ready.next().map(Ok)
    }
}
