//! Bulk storage in files, a segment each, read and written at positions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use super::FjallConfig;
use super::needs::{self, Class, Known, Needs};
use super::recent::Recent;
use super::segment::{Segment, start_of};
use super::steps::Steps;
use super::unwritten;
use crate::engine::address::{aligned, length};
use crate::engine::{Address, Batch, EngineError, Snapshot, Space};

type Segments = BTreeMap<Address, Arc<Segment>>;
/// A segment and its file.
type OpenSegment = (Arc<Segment>, Arc<File>);

/// The ordered keys, as bulk storage needs them.
pub(super) trait Keys {
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;
    fn sync(&self) -> Result<(), EngineError>;
}

pub(super) struct Bulk {
    class: Class,
    /// The engine's folder, which errors name.
    engine: PathBuf,
    folder: PathBuf,
    segment_bytes: u64,
    open_files: usize,
    /// What readers look at; written only when a segment comes or goes.
    segments: RwLock<Segments>,
    opened: AtomicUsize,
    writer: Mutex<Writer>,
    /// One sync at a time, so that none returns before the bytes that another one took over are durable.
    syncing: Mutex<()>,
    /// Where what is appended is to last.
    steps: Option<Steps>,
    /// What was appended last.
    recent: Recent,
    /// The thread that removes files of scratch space.
    removing: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Bulk {
    fn drop(&mut self) {
        // Whoever opens the engine next finds the files gone, and not going.
        if let Some(removing) = lock(&self.removing).take() {
            drop(removing.join());
        }
    }
}

struct Writer {
    needs: Needs,
    /// Segments with bytes that no sync has covered.
    dirty: Segments,
    /// Bytes of the last segment that wait for their [step](Steps).
    ahead: u64,
    /// Why nothing can be promised any more.
    failed: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only an allocation can panic under the locks here, and never between two changes that belong together.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(engine: &Path, path: &Path, error: &io::Error) -> EngineError {
    let (folder, reason) = (engine.to_path_buf(), format!("{}: {error}", path.display()));
    match error.kind() {
        // It is gone, or something else has its place.
        io::ErrorKind::NotFound
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => EngineError::Damaged { folder, reason },
        _ => EngineError::Failed { folder, reason },
    }
}

/// Reads one after another: each segment is looked up once.
pub(super) struct Reads<'a> {
    bulk: &'a Bulk,
    found: Vec<OpenSegment>,
}

/// Segments that [`Reads`] remembers at most.
const MOST_FOUND: usize = 32;

impl Reads<'_> {
    pub(super) fn read(&mut self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        let holds = |(segment, _): &&OpenSegment| segment.start <= address && !segment.ends_before(address);
        let read = |(segment, file): &OpenSegment, buffer: &mut [u8]| {
            let there = segment.readable(address, buffer);
            if self.bulk.recent.read(address, there) {
                return Ok(there.len());
            }
            segment.read(file, address, there).map_err(|error| self.bulk.failed(segment.path(), &error))
        };
        if let Some(found) = self.found.iter().find(holds) {
            return read(found, buffer);
        }
        let Some(found) = self.bulk.segment_of(address)? else { return Ok(0) };
        let count = read(&found, buffer)?;
        if self.found.len() < MOST_FOUND {
            self.found.push(found);
        }
        Ok(count)
    }
}

impl Bulk {
    /// Opens the bulk storage of the engine in `engine`, whose ordered keys are as `snapshot` shows them.
    pub(super) fn open(
        class: Class,
        engine: &Path,
        config: &FjallConfig,
        snapshot: &dyn Snapshot,
    ) -> Result<Self, EngineError> {
        let folder = engine.join(class.folder);
        let needs = Needs::load(&class, snapshot, engine)?;
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |error: io::Error| failed(engine, &path, &error)
        };
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let mut lengths = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).map_err(failed(&folder))? {
            let entry = entry.map_err(failed(&folder))?;
            let path = entry.path();
            let Some(start) = entry.file_name().to_str().and_then(start_of) else { continue };
            if needs.segments.contains_key(&start) {
                lengths.insert(start, entry.metadata().map_err(failed(&path))?.len());
            } else {
                // Nothing points to it: it was being released, or the batches that did were lost.
                std::fs::remove_file(&path).map_err(failed(&path))?;
            }
        }
        // That they go is noted before their files do, but may be lost in a crash that takes the files. Whoever still has an
        // address in them is told the same as before it.
        let mut gone = needs.unneeded();
        gone.retain(|start| !lengths.contains_key(start));
        let there = needs.segments.iter().filter(|(start, _)| gone.binary_search(start).is_err());
        let segments = there.map(|(start, known)| {
            let length = lengths.get(start).copied();
            let written = start.get().saturating_add(aligned(length.unwrap_or(0))).min(known.end.get());
            let sealed = known.sealed.then_some(known.end);
            (*start, Arc::new(Segment::new(&folder, *start, length.is_some(), written, sealed)))
        });
        let segments: Segments = segments.collect();
        // What an earlier process wrote may never have been synced.
        let dirty = segments.iter().filter(|(_, segment)| segment.present);
        let dirty = dirty.map(|(start, segment)| (*start, Arc::clone(segment))).collect();
        let steps = class.careful.then(|| Steps::begin(engine)).transpose().map_err(failed(&folder))?;
        Ok(Self {
            steps,
            removing: Mutex::new(None),
            // Proofs of older states read scratch space, and not its latest bytes more than others.
            recent: Recent::new(if class.careful { config.recent_bytes } else { 0 }),
            class,
            engine: engine.to_path_buf(),
            segment_bytes: aligned(config.bulk_segment_bytes),
            open_files: config.bulk_open_files,
            segments: RwLock::new(segments),
            opened: AtomicUsize::new(0),
            writer: Mutex::new(Writer { needs, dirty, ahead: 0, failed: None }),
            syncing: Mutex::new(()),
            folder,
        })
    }

    fn read_segments(&self) -> RwLockReadGuard<'_, Segments> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_segments(&self) -> RwLockWriteGuard<'_, Segments> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, path: &Path, error: &io::Error) -> EngineError {
        failed(&self.engine, path, error)
    }

    fn missing(&self, segment: &Segment) -> EngineError {
        let reason = format!("{} is missing", segment.path().display());
        EngineError::Damaged { folder: self.engine.clone(), reason }
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(super) fn bytes(&self) -> u64 {
        self.read_segments().values().map(|segment| segment.bytes()).sum()
    }

    /// The segment's file, opened if need be.
    fn file(&self, segment: &Arc<Segment>) -> Result<Arc<File>, EngineError> {
        if let Some(file) = segment.opened() {
            return Ok(file);
        }
        if !segment.present {
            return Err(self.missing(segment));
        }
        let file = segment.open(false).map_err(|error| self.failed(segment.path(), &error))?;
        self.keep_open(segment, &file);
        Ok(file)
    }

    /// Keeps `file` open for later readers, and closes others when there are too many.
    fn keep_open(&self, segment: &Arc<Segment>, file: &Arc<File>) {
        if self.opened.fetch_add(1, Ordering::Relaxed) >= self.open_files {
            // All at once: rare, and needs no record of who was used when.
            let segments: Vec<_> = self.read_segments().values().cloned().collect();
            for segment in segments {
                segment.set_file(None);
            }
            self.opened.store(1, Ordering::Relaxed);
        }
        segment.set_file(Some(Arc::clone(file)));
    }

    /// The segment that holds `address`, and its file. `None` where nothing was ever written.
    fn segment_of(&self, address: Address) -> Result<Option<OpenSegment>, EngineError> {
        let segments = self.read_segments();
        let Some((_, segment)) = segments.range(..=address).next_back() else {
            return if segments.is_empty() { Ok(None) } else { Err(EngineError::Released { address }) };
        };
        if segment.ends_before(address) {
            return Err(EngineError::Released { address });
        }
        let segment = Arc::clone(segment);
        drop(segments);
        let file = self.file_for(&segment, address)?;
        Ok(Some((segment, file)))
    }

    /// The file of a segment that held `address` a moment ago: by now it may be released, and its file gone.
    fn file_for(&self, segment: &Arc<Segment>, address: Address) -> Result<Arc<File>, EngineError> {
        self.file(segment).map_err(|error| match self.read_segments().contains_key(&segment.start) {
            true => error,
            false => EngineError::Released { address },
        })
    }

    pub(super) fn read(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        self.reads().read(address, buffer)
    }

    /// For several reads.
    pub(super) fn reads(&self) -> Reads<'_> {
        Reads { bulk: self, found: Vec::new() }
    }

    pub(super) fn append(&self, space: Space, bytes: &[u8], keys: &dyn Keys) -> Result<Address, EngineError> {
        let (more, limit) = (length(bytes), self.segment_bytes);
        if more > limit {
            return Err(EngineError::BlobLength { bytes: more, limit });
        }
        let mut writer = self.writer()?;
        let last = self.read_segments().values().next_back().cloned();
        match last {
            Some(last) if self.fits(&writer, &last, more) => self.write(&mut writer, &last, space, bytes, keys),
            last => self.roll(&mut writer, last, space, bytes, keys),
        }
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, EngineError> {
        let writer = lock(&self.writer);
        match &writer.failed {
            Some(reason) => {
                let reason = format!("an earlier sync failed ({reason}); open the engine again");
                Err(EngineError::Failed { folder: self.engine.clone(), reason })
            }
            None => Ok(writer),
        }
    }

    fn fits(&self, writer: &Writer, last: &Segment, more: u64) -> bool {
        let known = writer.needs.segments.get(&last.start);
        last.present && known.is_some_and(|known| !known.sealed && last.written() + aligned(more) <= known.end.get())
    }

    /// Writes into the segment that is being written.
    fn write(
        &self,
        writer: &mut Writer,
        segment: &Arc<Segment>,
        space: Space,
        bytes: &[u8],
        keys: &dyn Keys,
    ) -> Result<Address, EngineError> {
        let no_address = EngineError::NoAddress { bytes: length(bytes) };
        let Some(address) = Address::new(segment.written()) else { return Err(no_address) };
        let file = self.file(segment)?;
        self.write_at(segment, &file, address, bytes)?;
        let known = writer.needs.segments.get_mut(&segment.start);
        if let Some(known) = known.filter(|known| !known.writers.contains(&space)) {
            let mut batch = Batch::new();
            needs::put_writer(&self.class, &mut batch, segment.start, space);
            keys.apply(batch)?;
            known.writers.insert(space);
        }
        writer.dirty.entry(segment.start).or_insert_with(|| Arc::clone(segment));
        self.recent.appended(address, bytes);
        segment.publish(address.get() + aligned(length(bytes)));
        if let Some(steps) = &self.steps {
            writer.ahead = steps.appended(segment.path(), &file, writer.ahead.saturating_add(length(bytes)));
        }
        Ok(address)
    }

    fn write_at(&self, segment: &Segment, file: &File, address: Address, bytes: &[u8]) -> Result<(), EngineError> {
        let offset = address.get().saturating_sub(segment.start.get());
        file.write_all_at(bytes, offset).map_err(|error| {
            // Gives back the space of what was written; without it the next blob would overwrite it all the same.
            let _ = file.set_len(offset);
            self.failed(segment.path(), &error)
        })
    }

    /// Begins a segment with `bytes`, behind `last`.
    fn roll(
        &self,
        writer: &mut Writer,
        last: Option<Arc<Segment>>,
        space: Space,
        bytes: &[u8],
        keys: &dyn Keys,
    ) -> Result<Address, EngineError> {
        let no_address = || EngineError::NoAddress { bytes: length(bytes) };
        let mut batch = Batch::new();
        let mut start = self.class.first;
        if let Some(last) = &last {
            let known = writer.needs.segments.get(&last.start);
            start = match known {
                // Its file is missing: what it may have held keeps its addresses.
                Some(known) if known.sealed || !last.present => known.end,
                _ => Address::new(last.written()).ok_or_else(no_address)?,
            };
            needs::put_segment(&self.class, &mut batch, last.start, true, start);
        }
        let end = start.get().saturating_add(self.segment_bytes).min(self.class.end.get());
        let end = Address::new(end).ok_or_else(no_address)?;
        let written = start.get() + aligned(length(bytes));
        if written > end.get() {
            return Err(no_address());
        }
        let segment = Segment::new(&self.folder, start, true, written, None);
        let fails = |error: io::Error| {
            let _ = std::fs::remove_file(segment.path());
            self.failed(segment.path(), &error)
        };
        let file = segment.open(true).map_err(&fails)?;
        file.write_all_at(bytes, 0).map_err(&fails)?;
        // The file may not be lost once a key says that it is there; its bytes may.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(&fails)?;
        needs::put_segment(&self.class, &mut batch, start, false, end);
        needs::put_writer(&self.class, &mut batch, start, space);
        keys.apply(batch)?;
        self.recent.appended(start, bytes);
        let known = Known { sealed: false, end, writers: [space].into() };
        writer.needs.segments.insert(start, known);
        let segment = Arc::new(segment);
        self.write_segments().insert(start, Arc::clone(&segment));
        if let Some(last) = &last {
            if let Some(known) = writer.needs.segments.get_mut(&last.start) {
                (known.sealed, known.end) = (true, start);
            }
            last.seal(start);
        }
        self.keep_open(&segment, &file);
        writer.dirty.insert(start, segment);
        Ok(start)
    }

    /// Whether the address is one of this class.
    pub(super) fn has(&self, address: Address) -> bool {
        (self.class.first..self.class.end).contains(&address)
    }

    /// Makes the bytes durable that were appended before the call, and then the keys.
    pub(super) fn sync(&self, keys: &dyn Keys) -> Result<(), EngineError> {
        let _one = lock(&self.syncing);
        let dirty = std::mem::take(&mut self.writer()?.dirty);
        let synced = || -> Result<(), EngineError> {
            for segment in dirty.values() {
                let file = match self.file(segment) {
                    // Scratch space is given up without waiting for a sync. Nobody needs it, so nothing is lost.
                    Err(_) if !self.read_segments().contains_key(&segment.start) => continue,
                    file => file?,
                };
                file.sync_data().map_err(|error| {
                    unwritten::note(&self.engine);
                    self.failed(segment.path(), &error)
                })?;
            }
            // A step may have been told what these would have been told otherwise.
            if let Some(reason) = self.steps.as_ref().and_then(Steps::failed) {
                return Err(EngineError::Failed { folder: self.engine.clone(), reason });
            }
            keys.sync()
        };
        synced().inspect_err(|error| lock(&self.writer).failed = Some(error.to_string()))
    }

    pub(super) fn release(&self, space: Space, below: Address, keys: &dyn Keys) -> Result<u64, EngineError> {
        let mut writer = self.writer()?;
        if writer.needs.floor(space) < below {
            let mut batch = Batch::new();
            needs::put_floor(&self.class, &mut batch, space, below);
            keys.apply(batch)?;
            writer.needs.floors.insert(space, below);
        }
        let unneeded = writer.needs.unneeded();
        drop(writer);
        if unneeded.is_empty() { Ok(0) } else { self.delete(&unneeded, keys) }
    }

    /// Deletes segments that nobody needs. Whatever makes them unneeded has to be durable first: after a crash the
    /// views may otherwise be as they were when they needed them.
    fn delete(&self, unneeded: &[Address], keys: &dyn Keys) -> Result<u64, EngineError> {
        if self.class.careful {
            self.sync(keys)?;
        }
        let mut gone = Vec::new();
        let mut writer = self.writer()?;
        for start in unneeded {
            // Another thread may have deleted it.
            let Some(known) = writer.needs.segments.get(start) else { continue };
            let mut batch = Batch::new();
            needs::delete_segment(&self.class, &mut batch, *start, known);
            keys.apply(batch)?;
            writer.needs.segments.remove(start);
            writer.dirty.remove(start);
            gone.extend(self.write_segments().remove(start));
        }
        // Giving a large file's space back takes a while, and nobody who appends has to wait for it: no address is given
        // twice, so nobody will make these files again.
        drop(writer);
        gone.retain(|segment| segment.present);
        let freed = gone.iter().map(|segment| segment.bytes()).sum();
        if !self.class.careful && !gone.is_empty() {
            self.remove_aside(gone);
            return Ok(freed);
        }
        for segment in gone {
            // Left behind when this fails, it is deleted when the engine is opened.
            std::fs::remove_file(segment.path()).map_err(|error| self.failed(segment.path(), &error))?;
        }
        Ok(freed)
    }

    /// Removes the files of segments that are none any more, beside whoever gave them up: scratch space is given up by
    /// commits, and a large file's removal takes dozens of milliseconds. What is left behind is deleted when the engine
    /// is opened.
    fn remove_aside(&self, gone: Vec<Arc<Segment>>) {
        let mut removing = lock(&self.removing);
        // One at a time: a segment is full again much later than its predecessor's file is gone.
        if let Some(before) = removing.take() {
            drop(before.join());
        }
        let remove = move || gone.iter().for_each(|segment| _ = std::fs::remove_file(segment.path()));
        *removing = std::thread::Builder::new().name("bulk release".to_owned()).spawn(remove).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::FjallEngine;
    use super::*;
    use crate::engine::Engine;

    #[test]
    fn what_is_released_before_its_file_is_opened_is_said_to_be_released() {
        let folder = tempfile::tempdir().unwrap();
        let config = FjallConfig { bulk_segment_bytes: 4_096, recent_bytes: 0, ..FjallConfig::default() };
        let engine = FjallEngine::open(folder.path(), config).unwrap();
        let space = Space::new(1);
        let [first, .., last] = [1, 2, 3].map(|byte| engine.append(space, &[byte; 3_000]).unwrap());
        // A reader has looked the segment up, and others have used up the open files since.
        let segment = engine.bulk_of(space).segment_of(first).unwrap().unwrap().0;
        segment.set_file(None);
        assert!(engine.bulk_of(space).file_for(&segment, first).is_ok());
        engine.release(space, last).unwrap();
        segment.set_file(None);
        let found = engine.bulk_of(space).file_for(&segment, first);
        assert!(matches!(found, Err(EngineError::Released { address }) if address == first), "{found:?}");
        // A file that is gone while its segment is there is another matter.
        let segment = engine.bulk_of(space).segment_of(last).unwrap().unwrap().0;
        segment.set_file(None);
        std::fs::remove_file(segment.path()).unwrap();
        let found = engine.bulk_of(space).file_for(&segment, last);
        assert!(found.is_err_and(|error| !matches!(error, EngineError::Released { .. })));
    }

    #[test]
    fn what_was_released_before_a_crash_is_said_to_be_released_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = FjallConfig { bulk_segment_bytes: 4_096, ..FjallConfig::default() };
        let open = || FjallEngine::open(folder.path(), config).unwrap();
        let engine = open();
        let space = Space::new(1);
        let [first, second, last] = [1, 2, 3].map(|byte| engine.append(space, &[byte; 3_000]).unwrap());
        // Of a release the crash left what made the segments needless, and that one file is gone.
        let mut batch = Batch::new();
        needs::put_floor(&needs::KEPT, &mut batch, space, last);
        engine.apply(batch).unwrap();
        std::fs::remove_file(engine.bulk.segment_of(first).unwrap().unwrap().0.path()).unwrap();
        drop(engine);
        let engine = open();
        assert_eq!(engine.read_bulk(first, &mut [0; 10]), Err(EngineError::Released { address: first }));
        assert_eq!(engine.read_bulk(second, &mut [0; 10]), Ok(10));
        // The next release does what is left to do, and nothing that is needed may be missing.
        assert_eq!(engine.release(space, last), Ok(3_008));
        let more = engine.append(space, &[4; 3_000]).unwrap();
        assert!(more > last && engine.bulk.segments.read().unwrap().len() == 2);
        std::fs::remove_file(engine.bulk.segment_of(last).unwrap().unwrap().0.path()).unwrap();
        drop(engine);
        assert!(matches!(open().read_bulk(last, &mut [0; 10]), Err(EngineError::Damaged { .. })));
    }

    #[test]
    fn scratch_that_goes_while_it_is_synced_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let config = FjallConfig { bulk_segment_bytes: 4_096, ..FjallConfig::default() };
        let engine = FjallEngine::open(folder.path(), config).unwrap();
        let scratch = Space::new(1).scratch();
        let [first, .., last] = [1, 2, 3].map(|byte| engine.append(scratch, &[byte; 3_000]).unwrap());
        let bulk = engine.bulk_of(scratch);
        // Somebody who syncs has taken it over, and others have used up the open files since.
        let segment = bulk.segment_of(first).unwrap().unwrap().0;
        assert!(engine.release(scratch, last).unwrap() > 0);
        lock(&bulk.removing).take().unwrap().join().unwrap();
        segment.set_file(None);
        assert!(!segment.path().exists());
        lock(&bulk.writer).dirty.insert(first, segment);
        assert_eq!(engine.sync(), Ok(()));
        // A file that is gone while its segment is needed is another matter.
        let segment = bulk.segment_of(last).unwrap().unwrap().0;
        std::fs::remove_file(segment.path()).unwrap();
        segment.set_file(None);
        lock(&bulk.writer).dirty.insert(last, segment);
        assert!(matches!(engine.sync(), Err(EngineError::Damaged { .. })));
    }
}
