//! Snapshots that a host makes of its chains for peers that ask, and reads to them part by part.
//!
//! ```text
//!   data/snapshots/<chain>/<height>/manifest, <digest>.chunk …      the newest whole one, and the one before it
//! ```
//! One is made when somebody asks and the newest is old, in a thread of its own beside commits, one at a time in a host.
//! Nodes with the same settings make theirs of the same heights, so that their chunks are the same and a newcomer can
//! fetch from all of them at once. The one before the newest stays for those who are in the middle of it.
//!
//! Folders and views are read while only their own chain's [`Shelf::looked`] is held; every other lock here is held for a
//! moment and no disk. So a chain whose folder or views are slow keeps no other waiting, and no report.

use crate::core::{Holding, Offer, PART_BYTES};
use ledger_core::codec::{self, Format};
use ledger_core::{ChainId, Checkpoint, CheckpointBundle, Height, SnapshotManifest};
use ledger_crypto::Digest;
use ledger_storage::chain::snapshot::{
    ExportConfig, MANIFEST_FILE, SnapshotExport, SnapshotStoreError, chunk_file, export_to_folder_while,
};
use ledger_storage::chain::{ChainReader, StoreError};
use ledger_storage::disk::{Disk, DiskError, RealDisk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Snapshots for peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// Whether peers are given snapshots (default true). It takes twice the state's size on disk once one has asked, three
    /// times while a new one is made. A host whose builder was given no folder gives none.
    pub serve: bool,
    /// Snapshots are of the first checkpoint at each multiple of so many blocks (default 128; half of the heights at which
    /// state can be proven at the most). One that is older is replaced when somebody asks.
    pub every_blocks: u64,
    /// The shortest time between the beginnings of two of a chain (default 60 s). A tenth of the time at the most goes into
    /// those of one chain, so that it is longer where one takes long; a host makes one at a time, whichever chain's.
    pub interval: Duration,
    /// Chunks.
    pub export: ExportConfig,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        SnapshotConfig {
            serve: true,
            every_blocks: 128,
            interval: Duration::from_secs(60),
            export: ExportConfig::default(),
        }
    }
}

/// Snapshots that are kept of a chain.
const KEPT: usize = 2;

/// The pause after making one is so many times as long as that took.
const PAUSE: u32 = 9;

/// What a host has made of a chain for its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// The height of the newest whole one.
    pub height: Option<Height>,
    /// Whether one is being made.
    pub making: bool,
    /// Why the last one wasn't finished.
    pub error: Option<String>,
}

/// Why one isn't made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotStoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the thread can't be started: {0}")]
    Thread(std::io::Error),
}

/// A snapshot in a folder.
struct Whole {
    folder: PathBuf,
    disk: RealDisk,
    offer: Offer,
    /// Each piece's file and length.
    pieces: BTreeMap<Digest, (String, u32)>,
}

impl Whole {
    /// What the folder holds; `None` when that is no whole snapshot of the chain. It is this host's own work: peers verify
    /// it anyway.
    fn open(folder: PathBuf, chain: &ChainId) -> Result<Option<Self>, DiskError> {
        let disk = RealDisk::open(&folder)?;
        let file = match disk.open(MANIFEST_FILE) {
            Ok(file) => file,
            Err(DiskError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(length) = usize::try_from(file.len()?).ok().filter(|length| *length <= SnapshotManifest::LIMIT) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        file.read_exact_at(0, &mut bytes)?;
        let Ok(manifest) = codec::decode::<SnapshotManifest>(&bytes) else { return Ok(None) };
        if manifest.chain != *chain {
            return Ok(None);
        }
        let offer = Offer::of(&bytes, manifest.height());
        let chunks = manifest.chunks.iter().map(|chunk| (chunk.digest, (chunk_file(chunk), chunk.length)));
        let pieces = chunks.chain([(offer.manifest, (MANIFEST_FILE.to_owned(), offer.length))]).collect();
        Ok(Some(Whole { folder, disk, offer, pieces }))
    }

    /// A part of a piece; `None` when there is none such.
    fn part(&self, digest: &Digest, offset: u32) -> Option<Vec<u8>> {
        let (name, length) = self.pieces.get(digest)?;
        let bytes = length.checked_sub(offset).filter(|left| *left > 0)?.min(PART_BYTES);
        let mut part = vec![0; bytes as usize];
        self.disk.open(name).ok()?.read_exact_at(u64::from(offset), &mut part).ok()?;
        Some(part)
    }
}

#[derive(Default)]
struct Kept {
    /// The newest first.
    whole: Vec<Arc<Whole>>,
    /// When the next one may be begun.
    next: Option<Instant>,
    error: Option<String>,
}

/// What there is of one chain.
#[derive(Default)]
struct Shelf {
    /// Whether the folder was looked at. Held meanwhile, and until it is decided whether a newer one is made: what is
    /// being made isn't whole, and would be removed.
    looked: Mutex<bool>,
    kept: Mutex<Kept>,
}

/// Of which chain one is being made, if of any.
enum Making {
    Nobody,
    /// Its beginning is being read.
    Begins(ChainId),
    Runs(ChainId, JoinHandle<()>),
}

/// See the [module](self).
pub(crate) struct Snapshots {
    root: Option<PathBuf>,
    config: SnapshotConfig,
    window: u64,
    shelves: Mutex<BTreeMap<ChainId, Arc<Shelf>>>,
    making: Mutex<Making>,
    ended: AtomicBool,
}

/// That nobody else makes one: given back when it is dropped, unless a thread runs by then.
struct Claim<'a>(&'a Snapshots);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut making = lock(&self.0.making);
        if matches!(*making, Making::Begins(_)) {
            *making = Making::Nobody;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Snapshots {
    /// Keeps snapshots below `root`, none without; `window` is for how many heights state can be proven.
    pub(super) fn new(root: Option<&Path>, config: SnapshotConfig, window: u64) -> Self {
        let root = root.filter(|_| config.serve).map(|root| root.join("snapshots"));
        let (shelves, making, ended) = (Mutex::default(), Mutex::new(Making::Nobody), AtomicBool::new(false));
        Snapshots { root, config, window, shelves, making, ended }
    }

    fn shelf(&self, chain: &ChainId) -> Arc<Shelf> {
        Arc::clone(lock(&self.shelves).entry(*chain).or_default())
    }

    /// What can be given of a chain, whose blocks from `first` on are here. Begins a newer snapshot if it is time to.
    /// Blocks.
    pub(crate) fn holding(self: &Arc<Self>, chain: ChainId, reader: &ChainReader, first: Height) -> Holding {
        let newest = reader.head().header.height;
        let Some(root) = &self.root else { return Holding { first, newest, making: false, snapshot: None } };
        let (folder, shelf) = (root.join(chain.to_string()), self.shelf(&chain));
        let mut looked = lock(&shelf.looked);
        if !std::mem::replace(&mut *looked, true) {
            let (whole, error) = look(&folder, &chain);
            let old = lock(&shelf.kept).begin(whole, error);
            remove_all(&old);
        }
        // Before it is read what is kept: whoever makes one adds to that, and is done afterwards.
        let makes = self.is_making(&chain);
        let (snapshot, next) = {
            let kept = lock(&shelf.kept);
            (kept.whole.first().map(|whole| whole.offer), kept.next)
        };
        let due = next.is_none_or(|next| Instant::now() >= next);
        if due && !makes {
            let wanted = self.wanted(reader, snapshot.map(|offer| offer.height)).map_err(MakeError::from);
            let begun = wanted.and_then(|wanted| match wanted {
                Some(checkpoint) => self.begin(chain, reader, checkpoint, &folder, &shelf),
                None => Ok(()),
            });
            if let Err(error) = begun {
                lock(&shelf.kept).error = Some(error.to_string());
            }
        }
        drop(looked);
        // The blocks behind it have to be here, or it leads nowhere.
        let snapshot = snapshot.filter(|offer| first <= offer.height.next());
        Holding { first, newest, making: self.is_making(&chain), snapshot }
    }

    /// A part of a piece of one of the chain's snapshots; empty when there is no such piece. Blocks.
    pub(crate) fn piece(&self, chain: &ChainId, digest: &Digest, offset: u32) -> Vec<u8> {
        let shelf = lock(&self.shelves).get(chain).map(Arc::clone);
        let whole = shelf.map(|shelf| lock(&shelf.kept).whole.clone()).unwrap_or_default();
        whole.iter().find_map(|whole| whole.part(digest, offset)).unwrap_or_default()
    }

    pub(super) fn report(&self, chain: &ChainId) -> SnapshotReport {
        let making = self.is_making(chain);
        let shelf = lock(&self.shelves).get(chain).map(Arc::clone);
        let Some(shelf) = shelf else { return SnapshotReport { making, ..SnapshotReport::default() } };
        let kept = lock(&shelf.kept);
        let height = kept.whole.first().map(|whole| whole.offer.height);
        SnapshotReport { height, making, error: kept.error.clone() }
    }

    /// Ends what is being made, and waits for that. Blocks.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        // Whoever is about to begin one finds out that it is too late.
        let making = std::mem::replace(&mut *lock(&self.making), Making::Nobody);
        if let Making::Runs(_, thread) = making {
            // A panic there concerns nobody else: the folder isn't whole.
            drop(thread.join());
        }
    }

    fn is_making(&self, chain: &ChainId) -> bool {
        match &*lock(&self.making) {
            Making::Nobody => false,
            Making::Begins(of) => of == chain,
            Making::Runs(of, thread) => of == chain && !thread.is_finished(),
        }
    }

    /// Lets nobody else make one, if nobody does.
    fn claim(&self, chain: ChainId) -> Option<Claim<'_>> {
        let mut making = lock(&self.making);
        let free = match &*making {
            Making::Nobody => !self.ended.load(Ordering::Relaxed),
            Making::Begins(_) => false,
            Making::Runs(_, thread) => !self.ended.load(Ordering::Relaxed) && thread.is_finished(),
        };
        free.then(|| {
            *making = Making::Begins(chain);
            Claim(self)
        })
    }

    /// The checkpoint of which every node with these settings makes its snapshot now, if there is one above the height
    /// that is there: the first that commits to the last multiple of `every_blocks`.
    fn wanted(&self, reader: &ChainReader, there: Option<Height>) -> Result<Option<Checkpoint>, StoreError> {
        snapshot_checkpoint(reader, self.config.every_blocks.min(self.window / 2), there)
    }

    /// Begins to make one, unless the host is making one already.
    fn begin(
        self: &Arc<Self>,
        chain: ChainId,
        reader: &ChainReader,
        checkpoint: Checkpoint,
        folder: &Path,
        shelf: &Arc<Shelf>,
    ) -> Result<(), MakeError> {
        let Some(claim) = self.claim(chain) else { return Ok(()) };
        // It pins the height before anything else happens to the chain.
        let export = SnapshotExport::begin(reader, CheckpointBundle::from(checkpoint), self.config.export)?;
        let (snapshots, shelf) = (Arc::clone(self), Arc::clone(shelf));
        let folder = folder.join(export.height().0.to_string());
        let make = move || {
            let begun = Instant::now();
            let made = snapshots.make(&chain, export, folder);
            let pause = pause_after(begun.elapsed(), snapshots.config.interval);
            let old = {
                let mut kept = lock(&shelf.kept);
                kept.next = begun.checked_add(pause);
                match made {
                    Ok(Some(whole)) => kept.take_in(whole),
                    Ok(None) => Vec::new(),
                    Err(error) => {
                        kept.error = Some(error.to_string());
                        Vec::new()
                    }
                }
            };
            remove_all(&old);
        };
        let mut making = lock(&self.making);
        if !self.ended.load(Ordering::Relaxed) {
            let thread = std::thread::Builder::new().name("snapshot".to_owned());
            *making = Making::Runs(chain, thread.spawn(make).map_err(MakeError::Thread)?);
        }
        drop(making);
        drop(claim);
        Ok(())
    }

    fn make(&self, chain: &ChainId, export: SnapshotExport, folder: PathBuf) -> Result<Option<Whole>, MakeError> {
        let disk = RealDisk::open(&folder)?;
        let made = export_to_folder_while(export, &disk, &mut || !self.ended.load(Ordering::Relaxed))?;
        drop(disk);
        match made {
            Some(_) => Ok(Whole::open(folder, chain)?),
            None => Ok(None),
        }
    }
}

/// The checkpoint of which a snapshot is to be made: the first that commits to the last multiple of `every_blocks` which
/// the views' newest header commits to. `None` when there is none, or the snapshot at height `there` is of it or newer.
///
/// # Errors
/// [`StoreError`] when the views can't be read, or began behind it.
pub fn snapshot_checkpoint(
    reader: &ChainReader,
    every_blocks: u64,
    there: Option<Height>,
) -> Result<Option<Checkpoint>, StoreError> {
    let head = reader.head().header.clone();
    let Some(newest) = head.history.size.checked_sub(1) else { return Ok(None) };
    let multiple = newest - newest % every_blocks.max(1);
    if multiple == 0 || there.is_some_and(|there| there.0 >= multiple) {
        return Ok(None);
    }
    for height in (multiple.saturating_add(1)..=head.height.0).map(Height) {
        let header = reader.header(height)?;
        if header.history.size > multiple {
            let certificate = reader.certificate(height)?;
            return Ok(Some(Checkpoint { header, certificate }));
        }
    }
    Ok(None)
}

/// How long after the beginning of one that took `took` the next may be begun.
fn pause_after(took: Duration, interval: Duration) -> Duration {
    took.saturating_mul(PAUSE.saturating_add(1)).max(interval)
}

/// What an earlier life of the host has left in a chain's folder, and what couldn't be read of it. What isn't whole is
/// removed.
fn look(folder: &Path, chain: &ChainId) -> (Vec<Arc<Whole>>, Option<String>) {
    let (mut found, mut failed) = (Vec::new(), None);
    // No folder is no snapshot.
    let Ok(entries) = std::fs::read_dir(folder) else { return (found, failed) };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        match Whole::open(path.clone(), chain) {
            Ok(Some(whole)) => found.push(Arc::new(whole)),
            Ok(None) => remove(&path),
            Err(error) => failed = Some(error.to_string()),
        }
    }
    found.sort_by_key(|whole| std::cmp::Reverse(whole.offer.height));
    (found, failed)
}

impl Kept {
    /// Takes over what was found. Gives what is too old to be kept.
    fn begin(&mut self, found: Vec<Arc<Whole>>, failed: Option<String>) -> Vec<Arc<Whole>> {
        (self.whole, self.error) = (found, failed);
        self.shorten()
    }

    /// Takes in a new one. Gives what is too old to be kept.
    fn take_in(&mut self, whole: Whole) -> Vec<Arc<Whole>> {
        self.error = None;
        self.whole.insert(0, Arc::new(whole));
        self.shorten()
    }

    fn shorten(&mut self) -> Vec<Arc<Whole>> {
        self.whole.split_off(KEPT.min(self.whole.len()))
    }
}

fn remove_all(old: &[Arc<Whole>]) {
    old.iter().for_each(|whole| remove(&whole.folder));
}

/// Removes a snapshot's folder. What can't be removed now is met again at the next start.
fn remove(folder: &Path) {
    drop(std::fs::remove_dir_all(folder));
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots").field("root", &self.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
