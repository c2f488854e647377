//! The one who writes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ledger_core::{Height, StateError, Write, Writes};
use ledger_crypto::Digest;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::checkpoint::{self, Checkpoints, Region};
use super::import;
use super::names::Namespaces;
use super::page::{self, ALL, Leaf};
use super::prepare::{self, Changes, Group, Sources, Target};
use super::prune::{Kept, Pruning, Release};
use super::reader::StateReader;
use super::rehash::{self, ChangedPage, Marks};
use super::trie::{NodeId, Tree};
use super::window::{Undo, Window};
use crate::engine::{Address, Batch, Engine, Snapshot, Space};

/// Settings of a [`StateStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// How many of the latest states can be proven, beside the newest. Default 256.
    pub window_blocks: u64,
    /// Parts of a large block that are worked on at the same time, on the process's [pool of threads](rayon), 1 to 64.
    /// Default: as many as the machine has processors, at most 4.
    pub threads: usize,
    /// Which versions stay readable. Default: all.
    pub kept: Kept,
    /// After how many bytes of records old versions are looked for, where not all are kept, if they have doubled since.
    /// Default 64 MiB.
    pub pruning_bytes: u64,
    /// After how many bytes of records the index is written out anew, so that opening needn't read them again; at least
    /// eight times the index. Default 64 MiB.
    pub checkpoint_bytes: u64,
}

impl Default for StateConfig {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        Self { window_blocks: 256, threads, kept: Kept::All, pruning_bytes: 64 << 20, checkpoint_bytes: 64 << 20 }
    }
}

/// What the writer and all readers share.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) space: Space,
    /// The state begins with this block's: what was before came with a snapshot, without its history.
    pub(super) base: Height,
    tree: RwLock<Tree>,
    window: RwLock<Window>,
    names: RwLock<Namespaces>,
    oldest: AtomicU64,
    newest: AtomicU64,
    /// Heights that stay readable; the largest number stands for all.
    kept: AtomicU64,
}

impl Shared {
    /// The oldest height whose state can be read.
    pub(super) fn oldest(&self) -> Height {
        Height(self.oldest.load(Ordering::Acquire))
    }

    pub(super) fn set_kept(&self, kept: Kept) {
        let heights = match kept {
            Kept::All => u64::MAX,
            Kept::Last(heights) => heights,
        };
        self.kept.store(heights, Ordering::Relaxed);
    }

    fn kept(&self) -> Option<u64> {
        Some(self.kept.load(Ordering::Relaxed)).filter(|heights| *heights != u64::MAX)
    }

    /// The newest height that was applied.
    pub(super) fn newest(&self) -> Height {
        Height(self.newest.load(Ordering::Acquire))
    }

    pub(super) fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree_mut(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody reads the tree, so that it could be changed.
    #[cfg(test)]
    pub(super) fn tree_is_free(&self) -> bool {
        self.tree.try_write().is_ok()
    }

    pub(super) fn window(&self) -> RwLockReadGuard<'_, Window> {
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn window_mut(&self) -> RwLockWriteGuard<'_, Window> {
        self.window.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self) -> RwLockReadGuard<'_, Namespaces> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names_mut(&self) -> RwLockWriteGuard<'_, Namespaces> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chain's state, and the right to change it: there is one for each chain and engine.
pub struct StateStore {
    pub(super) shared: Arc<Shared>,
    config: StateConfig,
    height: Height,
    checkpoints: Checkpoints,
    marks: Marks,
    scratch_released: Option<Address>,
    pruning: Pruning,
    /// See [`StateStore::take_replaced`].
    replaced: Vec<Option<Digest>>,
    /// The oldest height that the pass of pruning under way keeps.
    pass: Option<Height>,
    /// What an earlier pass made needless and isn't gone yet.
    release: Option<Release>,
}

/// Fewer groups than this aren't worth another thread.
const GROUPS_A_THREAD: usize = 256;
/// Into how many parts each thread's share is cut.
const PARTS_A_THREAD: usize = 4;
/// Changes that are made while readers wait.
const CHANGES_AT_ONCE: usize = 128;
/// Scratch space is given back in steps of so many bytes.
const SCRATCH_STEP: u64 = 64 << 20;

impl StateStore {
    /// Opens the state of the chain in `space` as it was after block `height`: from the newest copy of the index, and
    /// the blocks after it. Later blocks that the engine may hold are left out; they are to be applied again.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when the stored state isn't what was written, [`StateError::Engine`] when it can't be
    /// read. Whether the state has the root that it should have is the caller's to check.
    pub fn open(
        engine: Arc<dyn Engine>,
        space: Space,
        height: Height,
        config: StateConfig,
    ) -> Result<Self, StateError> {
        let snapshot = engine.snapshot();
        let names = Namespaces::read(space, &*snapshot)?;
        let base = import::base(space, &*snapshot)?;
        let loaded = checkpoint::load(&*engine, space, &*snapshot, &names, height)?;
        let shared = Arc::new(Shared {
            window: RwLock::new(Window::new(config.window_blocks, loaded.height.0)),
            tree: RwLock::new(loaded.tree),
            names: RwLock::new(names),
            oldest: AtomicU64::new(checkpoint::oldest(space, &*snapshot)?.max(base).0),
            newest: AtomicU64::new(height.0),
            kept: AtomicU64::new(u64::MAX),
            space,
            base,
            engine: Arc::clone(&engine),
        });
        shared.set_kept(config.kept);
        let checkpoints = loaded.checkpoints;
        let mut store = Self {
            shared,
            config,
            height: loaded.height,
            checkpoints,
            marks: Marks::default(),
            scratch_released: None,
            pruning: Pruning::default(),
            replaced: Vec::new(),
            pass: None,
            release: None,
        };
        store.catch_up(&*snapshot, loaded.from, height)?;
        Ok(store)
    }

    /// The state without keys in which block `base`'s is put together.
    pub(super) fn begin(
        engine: Arc<dyn Engine>,
        space: Space,
        names: Namespaces,
        base: Height,
        config: StateConfig,
    ) -> Self {
        let shared = Arc::new(Shared {
            window: RwLock::new(Window::new(config.window_blocks, base.0)),
            tree: RwLock::new(Tree::default()),
            names: RwLock::new(names),
            oldest: AtomicU64::new(base.0),
            newest: AtomicU64::new(base.0),
            kept: AtomicU64::new(u64::MAX),
            space,
            base,
            engine,
        });
        Self {
            shared,
            config,
            height: base,
            checkpoints: Checkpoints::default(),
            marks: Marks::default(),
            scratch_released: None,
            pruning: Pruning::default(),
            replaced: Vec::new(),
            pass: None,
            release: None,
        }
    }

    /// Applies the regions of the blocks after `from` once more. The index is that of block `self.height` at the
    /// latest, in parts older; from there on every block's state is one that was.
    fn catch_up(&mut self, snapshot: &dyn Snapshot, from: Height, asked: Height) -> Result<(), StateError> {
        let (consistent, mut to) = (self.height, asked);
        // Only the latest states are worth their undo records.
        let base = self.shared.base;
        let provable = Height(to.0.saturating_sub(self.config.window_blocks)).max(consistent).max(base);
        let mut whole = false;
        for region in checkpoint::regions(self.shared.space, snapshot, from, to) {
            let (height, address, length) = region?;
            if height > provable && !whole {
                self.rehash_all(provable);
                whole = true;
            }
            let changes = match self.read_again(address, length) {
                Ok(changes) => changes,
                // What was needed of it was moved, and comes with a later block. It was to be taken out of the list.
                Err(_) if checkpoint::is_released(&*self.shared.engine, address) => continue,
                // What came after is lost too, or will come again.
                Err(StateError::Damaged { .. }) if height > consistent && height > base => {
                    to = Height(height.0.saturating_sub(1));
                    break;
                }
                Err(error) => return Err(error),
            };
            if whole {
                self.put_aside(height, &changes)?;
            }
            let pages = self.change(height, address, &changes);
            if whole {
                self.rehash(height, &pages);
            }
            self.checkpoints.grown(length);
        }
        let mut provable = provable.min(to);
        if !whole {
            self.rehash_all(provable);
        }
        match to < asked {
            // A pass that began in a block which was lost had given up more, and nothing of it is gone: that would be
            // durable.
            true => _ = self.shared.oldest.fetch_min(provable.0, Ordering::AcqRel),
            // A longer window than before brings nothing back.
            false => provable = provable.max(self.shared.oldest()).min(to),
        }
        {
            let mut window = self.shared.window_mut();
            window.begin(provable.0);
            window.advance(to.0);
        }
        self.height = to;
        self.shared.newest.store(to.0, Ordering::Release);
        Ok(())
    }

    pub(super) fn read_again(&self, address: Address, length: u64) -> Result<Changes, StateError> {
        let bytes = checkpoint::read_all(&*self.shared.engine, address, length)?;
        let (tree, names) = (self.shared.tree(), self.shared.names());
        let sources = Sources { tree: &tree, names: &names, engine: &*self.shared.engine, space: self.shared.space };
        prepare::prepare_again(sources, address, &bytes)
    }

    /// The block after which this is the state. Right after opening it is below the height that was asked for when the
    /// records of a later block were lost.
    #[must_use]
    pub fn height(&self) -> Height {
        self.height
    }

    /// For whoever finds the state below `asked`, the height that it was to be opened at: puts into `batch` that nothing of
    /// the blocks in between counts any more. They are applied again, but what is moved beside them isn't moved in the
    /// same blocks again: without this, what was lost would be missed whenever the state is opened. Belongs into the batch
    /// that says how far the chain is now.
    ///
    /// # Errors
    /// [`StateError`] when what is there can't be read.
    pub fn forget_later(&self, asked: Height, batch: &mut Batch) -> Result<(), StateError> {
        let (space, snapshot) = (self.shared.space, self.shared.engine.snapshot());
        checkpoint::forget_regions(space, &*snapshot, (self.height.next(), asked.next()), batch)?;
        if self.shared.oldest() < checkpoint::oldest(space, &*snapshot)? {
            checkpoint::put_oldest(space, self.shared.oldest(), batch);
        }
        Ok(())
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.shared.tree().digest()
    }

    /// A reader, to be cloned and sent anywhere.
    #[must_use]
    pub fn reader(&self) -> StateReader {
        StateReader::new(Arc::clone(&self.shared))
    }

    /// Makes what block `height` writes part of the state, and gives the root after it. The records are in the
    /// engine's bulk storage when this returns; `batch` gets what says that they count.
    ///
    /// # Errors
    /// [`StateError`] when the state before can't be read, or the records can't be written. After an error, and when
    /// the batch isn't applied, the store must be opened again.
    pub fn update(&mut self, height: Height, writes: &Writes, batch: &mut Batch) -> Result<Digest, StateError> {
        self.prune(height, batch)?;
        let mut changes = self.prepare(height, writes, batch)?;
        self.replaced = std::mem::take(&mut changes.replaced);
        if !changes.changes.is_empty() {
            let base = self.write(height, &changes)?;
            let length = changes.region.len() as u64;
            checkpoint::put_region(self.shared.space, height, Region::Written, base, length, batch);
            self.checkpoints.grown(length);
            self.begin_pass(height, base, length);
            let pages = self.change(height, base, &changes);
            self.rehash(height, &pages);
        }
        prepare::give_back(changes);
        let needed = self.shared.window_mut().advance(height.0);
        let needed = needed.into_iter().chain(self.checkpoints.needed()).min();
        self.release_scratch(needed)?;
        self.height = height;
        self.shared.newest.store(height.0, Ordering::Release);
        let tree = self.shared.tree();
        let (shared, config) = (&self.shared, &self.config);
        self.checkpoints.write(&shared.engine, shared.space, &tree, height, config.checkpoint_bytes, batch)?;
        Ok(tree.digest())
    }

    /// For each key that the last [`update`](Self::update) wrote, in their order: the leaf that its last write replaced,
    /// `None` where it had no value then. It is what the value's
    /// [predecessor](ledger_core::Versioned::predecessor) is now, without hashing it once more.
    pub fn take_replaced(&mut self) -> Vec<Option<Digest>> {
        std::mem::take(&mut self.replaced)
    }

    /// Writes the whole index out, so that opening reads nothing else. For a clean end; while a chain runs, its blocks
    /// write the index in small parts.
    ///
    /// # Errors
    /// [`StateError`] when it can't be written.
    pub fn checkpoint(&mut self, batch: &mut Batch) -> Result<(), StateError> {
        let tree = self.shared.tree();
        self.checkpoints.write_whole(&*self.shared.engine, self.shared.space, &tree, self.height, batch)
    }

    /// Bytes of records that opening would read again, since no whole copy of the index has them.
    #[must_use]
    pub fn uncopied_bytes(&self) -> u64 {
        self.checkpoints.uncopied()
    }

    /// Bytes that a copy of the index takes on disk, about: what [`checkpoint`](Self::checkpoint) writes.
    #[must_use]
    pub fn copy_bytes(&self) -> u64 {
        checkpoint::copy_bytes(&self.shared.tree())
    }

    /// Bytes of memory that the index takes, about: nodes, and what stands in pages.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.shared.tree().memory_bytes()
    }

    /// Keys in the index, deleted ones whose history is kept included.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.shared.tree().leaves()
    }

    fn begin_pass(&mut self, height: Height, base: Address, length: u64) {
        let Some(heights) = self.shared.kept() else { return };
        let rested = self.pruning.is_resting();
        self.pruning.grown(base, length, self.config.pruning_bytes);
        if rested && !self.pruning.is_resting() {
            // What can be proven has to be readable, for a snapshot that is being made as well.
            let provable = self.shared.window().oldest();
            let floor = height.0.saturating_sub(heights.max(self.config.window_blocks) + 1).min(provable);
            self.pass = Some(Height(floor));
        }
    }

    /// The next part of a pass of pruning: gives up what an earlier pass has made needless, or moves what is needed.
    fn prune(&mut self, height: Height, batch: &mut Batch) -> Result<(), StateError> {
        let (shared, space) = (Arc::clone(&self.shared), self.shared.space);
        if let Some(release) = &mut self.release
            && release.settle(&shared.engine, (space, shared.base), batch)?
        {
            self.release = None;
        }
        // One at a time: where the disk is slower than passes are, they wait for it.
        if self.release.is_none()
            && let Some(mark) = self.pruning.done(self.checkpoints.written())
        {
            self.pass = None;
            self.release = Some(Release::new(mark));
        }
        if self.pruning.waits() {
            if self.release.is_none() {
                self.checkpoints.wanted();
            }
            return Ok(());
        }
        let Some(floor) = self.pass else { return Ok(()) };
        if shared.oldest() < floor {
            // From here on, versions before it can't be reached for every key.
            shared.oldest.store(floor.0, Ordering::Release);
            checkpoint::put_oldest(space, floor, batch);
        }
        let next_copy = self.checkpoints.next();
        let moved = {
            let (tree, names) = (shared.tree(), shared.names());
            let sources = Sources { tree: &tree, names: &names, engine: &*shared.engine, space };
            self.pruning.moves(sources, floor, next_copy)?
        };
        if moved.changes.is_empty() {
            return Ok(());
        }
        let base = shared.engine.append(space, &moved.region)?;
        checkpoint::put_region(space, height, Region::Moved, base, moved.region.len() as u64, batch);
        self.checkpoints.grown(moved.region.len() as u64);
        for some in moved.changes.chunks(CHANGES_AT_ONCE) {
            let mut tree = shared.tree_mut();
            for change in some {
                if let Target::Known(spot) = change.target {
                    tree.relocate(spot, base.offset(change.offset).unwrap_or(Address::MAX));
                }
            }
        }
        Ok(())
    }

    fn prepare(&mut self, height: Height, writes: &Writes, batch: &mut Batch) -> Result<Changes, StateError> {
        let mut groups: Vec<Group<'_>> = Vec::with_capacity(writes.len());
        {
            let mut names = self.shared.names_mut();
            let mut last: Option<(&Write, u32)> = None;
            for group in writes.by_key() {
                let Some(first) = group.first() else { continue };
                check(group)?;
                let namespace = match last {
                    Some((write, id)) if write.key.namespace == first.key.namespace => id,
                    _ => names.number(self.shared.space, first.key.namespace, batch),
                };
                last = Some((first, namespace));
                groups.push(Group { namespace, writes: group });
            }
        }
        let (tree, names) = (self.shared.tree(), self.shared.names());
        let sources = Sources { tree: &tree, names: &names, engine: &*self.shared.engine, space: self.shared.space };
        let parts = in_parts(&groups, self.config.threads, |groups| {
            let mut changes = prepare::spare();
            prepare::prepare(sources, height, groups, &mut changes).map(|()| changes)
        });
        let mut changes = prepare::spare();
        changes.make_room_for(&groups);
        for part in parts {
            let mut part = part?;
            changes.append(&mut part);
            prepare::give_back(part);
        }
        Ok(changes)
    }

    /// Keeps the digests of all nodes that are about to change.
    fn put_aside(&mut self, height: Height, changes: &Changes) -> Result<(), StateError> {
        let undo = digests_before(&self.shared, &mut self.marks, height, changes)?;
        self.shared.window_mut().push(undo);
        Ok(())
    }

    /// Appends the records, and keeps the digests of all nodes that are about to change. The address of the records.
    fn write(&mut self, height: Height, changes: &Changes) -> Result<Address, StateError> {
        let (shared, marks) = (&self.shared, &mut self.marks);
        let append = || shared.engine.append(shared.space, &changes.region);
        let (base, undo) = if self.config.threads > 1 && changes.changes.len() >= GROUPS_A_THREAD {
            rayon::join(append, || digests_before(shared, marks, height, changes))
        } else {
            (append(), digests_before(shared, marks, height, changes))
        };
        self.shared.window_mut().push(undo?);
        Ok(base?)
    }

    /// Puts the changed leaves into the tree, whose records begin at `base`, and gives the pages that have changed.
    pub(super) fn change(&mut self, height: Height, base: Address, changes: &Changes) -> Vec<ChangedPage> {
        let at = |offset: u64| base.offset(offset).unwrap_or(Address::MAX);
        let mut pages: Vec<ChangedPage> = Vec::with_capacity(changes.changes.len());
        for some in changes.changes.chunks(CHANGES_AT_ONCE) {
            let mut tree = self.shared.tree_mut();
            for change in some {
                let Target::Known(spot) = change.target else { continue };
                tree.set(spot, Leaf { address: at(change.offset), digest: change.leaf }, height.0);
                let leaf = page::leaf_set(spot.index, spot.index + 1);
                // Changes of a page follow each other, as their keys do.
                match pages.last_mut().filter(|last| last.id == spot.page) {
                    Some(last) => last.leaves |= leaf,
                    None => pages.push(ChangedPage { id: spot.page, leaves: leaf }),
                }
            }
        }
        debug_assert!(
            {
                let mut ids: Vec<NodeId> = pages.iter().map(|page| page.id).collect();
                ids.sort_unstable();
                ids.is_sorted_by(|one, next| one < next)
            },
            "a page that stands here twice would keep digests of parts that have changed"
        );
        // New leaves move those beside them, so they come last.
        let before = self.shared.tree().len();
        let known = pages.len();
        let new = |change: &&prepare::Change| matches!(change.target, Target::New { .. });
        let mut rest = changes.changes.iter().filter(new).peekable();
        while rest.peek().is_some() {
            let mut tree = self.shared.tree_mut();
            for change in rest.by_ref().take(CHANGES_AT_ONCE) {
                let Target::New { near, right } = change.target else { continue };
                let leaf = Leaf { address: at(change.offset), digest: change.leaf };
                let (near, right) = place_of(&tree, base, changes, change, near, right);
                pages.push(ChangedPage { id: tree.insert(near, right, leaf, height.0), leaves: ALL });
            }
        }
        if pages.len() > known {
            let tree = self.shared.tree();
            let made = (before..tree.len()).filter_map(|id| u32::try_from(id).ok());
            pages.extend(made.map(|id| ChangedPage { id, leaves: ALL }));
            // A page that got a new leaf counts as changed in all.
            pages.sort_unstable_by_key(|page| (page.id, !page.leaves));
            pages.dedup_by_key(|page| page.id);
            pages.retain(|page| tree.is_page(page.id));
        }
        pages
    }

    /// Computes the digests of `pages` and of all that stands above them.
    fn rehash(&mut self, height: Height, pages: &[ChangedPage]) {
        let levels = {
            let tree = self.shared.tree();
            self.marks.clear(tree.len());
            rehash::branches_above(&tree, pages, &mut self.marks)
        };
        let digests = {
            let tree = self.shared.tree();
            in_parts(pages, self.config.threads, |pages| {
                let mut digests = Vec::with_capacity(pages.len());
                rehash::of_pages(&tree, pages, &mut digests);
                digests
            })
        };
        let mut tree = self.shared.tree_mut();
        for (page, digests) in pages.iter().zip(digests.iter().flatten()) {
            tree.set_parts(page.id, &digests.parts);
            tree.set_digest(page.id, digests.page, height.0);
        }
        rehash::set_branches(&mut tree, &levels, height.0);
    }

    pub(super) fn rehash_all(&mut self, height: Height) {
        let pages: Vec<ChangedPage> = {
            let tree = self.shared.tree();
            let ids = (0..tree.len()).filter_map(|id| NodeId::try_from(id).ok());
            ids.filter(|id| tree.is_page(*id)).map(|id| ChangedPage { id, leaves: ALL }).collect()
        };
        self.rehash(height, &pages);
    }

    fn release_scratch(&mut self, needed: Option<Address>) -> Result<(), StateError> {
        let Some(needed) = needed.filter(|needed| *needed > Address::ZERO) else { return Ok(()) };
        let far = |released: Address| needed.get().saturating_sub(released.get()) >= SCRATCH_STEP;
        if self.scratch_released.is_none_or(far) {
            self.shared.engine.release(self.shared.space.scratch(), needed)?;
            self.scratch_released = Some(needed);
        }
        Ok(())
    }
}

/// The digests, in block `height` and before it, of the nodes that `changes` are about to change.
fn digests_before(shared: &Shared, marks: &mut Marks, height: Height, changes: &Changes) -> Result<Undo, StateError> {
    let tree = shared.tree();
    marks.clear(tree.len());
    for change in &changes.changes {
        let (Target::Known(spot) | Target::New { near: Some((spot, _)), .. }) = change.target else { continue };
        let mut id = spot.page;
        while tree.has(id) && marks.insert(id) {
            id = tree.parent(id);
        }
    }
    // Only the room for bytes is of use here.
    let mut room = prepare::spare();
    room.region.reserve_exact(marks.len() * Digest::ZERO.as_bytes().len());
    for id in marks.iter() {
        room.region.extend_from_slice(tree.digest_of(id).as_bytes());
    }
    let undo = Undo::new(&*shared.engine, shared.space.scratch(), height.0, marks, &room.region);
    prepare::give_back(room);
    undo
}

/// Where a new key belongs now that the tree may have other new ones.
fn place_of(
    tree: &Tree,
    base: Address,
    changes: &Changes,
    change: &prepare::Change,
    near: Option<(super::trie::Spot, u16)>,
    right: bool,
) -> (Option<(super::trie::Spot, u16)>, bool) {
    let key = changes.key(change);
    let Some(spot) = tree.candidate(key) else { return (None, false) };
    let other = tree.leaf(spot).and_then(|leaf| leaf.address.get().checked_sub(base.get()));
    let other = other.and_then(|offset| changes.changes.binary_search_by_key(&offset, |change| change.offset).ok());
    match other.and_then(|index| changes.changes.get(index)) {
        Some(other) => {
            let crit = ledger_core::state::tree::crit_bit(changes.key(other), key);
            let crit = crit.and_then(|bit| u16::try_from(bit).ok()).unwrap_or(u16::MAX);
            (Some((spot, crit)), ledger_core::state::tree::bit(key, u32::from(crit)))
        }
        // An old leaf is as near as the one found before, but may stand elsewhere by now.
        None => (near.map(|(_, crit)| (spot, crit)), right),
    }
}

fn check(group: &[Write]) -> Result<(), StateError> {
    for write in group {
        write.key.check()?;
        let length = write.value.as_ref().map_or(0, |value| value.len());
        if length > super::record::MAX_VALUE_BYTES {
            return Err(StateError::ValueLength { length, limit: super::record::MAX_VALUE_BYTES });
        }
    }
    Ok(())
}

/// Works on `items` in parts, on the process's pool of threads if there are enough of them; the results are in order.
/// There are more parts than threads, so that one that is held up leaves its parts to the others.
fn in_parts<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&[T]) -> R + Send + Sync) -> Vec<R> {
    let threads = threads.clamp(1, 64).min(items.len().div_ceil(GROUPS_A_THREAD)).max(1);
    if threads == 1 {
        return vec![work(items)];
    }
    let parts: Vec<&[T]> = items.chunks(items.len().div_ceil(threads * PARTS_A_THREAD).max(GROUPS_A_THREAD)).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        parts.get(index).map(|part| (index, work(part)))
    };
    let done = (0..threads).into_par_iter().with_max_len(1).flat_map_iter(|_| std::iter::from_fn(take));
    let mut done: Vec<(usize, R)> = done.collect();
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

impl std::fmt::Debug for StateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateStore").field("height", &self.height).field("keys", &self.keys()).finish_non_exhaustive()
    }
}
