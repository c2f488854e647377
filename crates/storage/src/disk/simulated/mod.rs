//! A disk in memory that loses, tears, refuses and damages what real disks do, chosen by a seed.
//!
//! ```text
//!   write ──> cache (what reads see) ──sync_data───> durable bytes ──┐
//!             pending writes of the file                             ├─ survivor(seed): what a reboot finds
//!   create ─> names (what list sees) ──sync_folder─> durable names ──┘
//!             pending name changes
//! ```
//! At a crash the durable part stays; of the pending part, the seed chooses what survives: pieces of 512 bytes in any
//! combination, torn at any byte, lengths with or without their bytes, stale bytes where data never arrived, any subset of
//! the name changes. Every choice is legal for some file system and some drive; no file system makes all of them.
//!
//! No clock, no thread, no real I/O: the same calls and the same seed give the same bytes. Clones are handles of one disk.

mod random;
mod survivor;
mod world;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskError, File, Operation, check_name};
use world::World;

/// How often each fault fired: a test that plants a fault asserts that it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Crashes at the planted operation.
    pub crashes: u64,
    /// Writes refused for want of space.
    pub full: u64,
    /// Writes that took fewer bytes than asked.
    pub short_writes: u64,
    /// Reads that gave fewer bytes than asked, and than there were.
    pub short_reads: u64,
    /// Writes failed by the plan.
    pub failed_writes: u64,
    /// Syncs (of files or of the folder) failed by the plan.
    pub failed_syncs: u64,
    /// Bits flipped at rest.
    pub flipped_bits: u64,
    /// Ranges written to the wrong place.
    pub misdirected_writes: u64,
    /// Unsynced pieces of files that did not survive into this disk.
    pub lost_pieces: u64,
    /// Unsynced pieces of files of which a part survived into this disk.
    pub torn_pieces: u64,
    /// Lost pieces in whose place this disk has stale bytes.
    pub stale_pieces: u64,
    /// Unsynced name changes that did not survive into this disk.
    pub lost_names: u64,
}

/// A simulated disk; a clone is another handle of the same one.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    world: Arc<Mutex<World>>,
}

impl SimulatedDisk {
    /// An empty disk without faults; `seed` decides every choice the disk will have to make.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed))) }
    }

    /// Crashes the machine at the `operation`-th operation that changes the disk, counted from 1 over the disk's life (see
    /// [`operations`](Self::operations)). That operation answers [`DiskError::Crashed`], as does every later one; its own
    /// effect is pending, so a survivor may hold it, in part or whole.
    pub fn crash_at(&self, operation: u64) {
        self.world().plan.crash_at = Some(operation);
    }

    /// Refuses to hold more than `bytes` in all files together; `None` is no limit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.world().plan.space = bytes;
    }

    /// Makes one in `count` writes of more than one byte short; 0 is never.
    pub fn shorten_writes(&self, count: usize) {
        self.world().plan.shorten_one_in = count;
    }

    /// Makes one in `count` reads of more than one byte short; 0 is never.
    pub fn shorten_reads(&self, count: usize) {
        self.world().plan.shorten_reads_one_in = count;
    }

    /// Fails the `nth` write from now (1 is the next one) with an I/O error; some of its bytes may have been written.
    pub fn fail_write(&self, nth: u64) {
        let mut world = self.world();
        world.plan.fail_write_at = Some(world.writes + nth);
    }

    /// Fails the `nth` sync from now (1 is the next one), of a file or of the folder, with an I/O error. For a file, the
    /// kernel drops what was pending: part of it may be durable, the cache may or may not still show it, and no later
    /// sync writes it.
    pub fn fail_sync(&self, nth: u64) {
        let mut world = self.world();
        world.plan.fail_sync_at = Some(world.syncs + nth);
    }

    /// Flips one bit of a file at rest.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] when there is no such file; an I/O error when the file has no such bit.
    pub fn flip_bit(&self, name: &str, bit: u64) -> Result<(), DiskError> {
        self.world().flip_bit(name, bit)
    }

    /// Damages a file as a drive does that wrote a block to the wrong place: `length` bytes that belong at `from` now
    /// stand at `to` (in file `other`), and where they belong there are zeros.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] when there is no such file; an I/O error when a range is not in its file.
    pub fn misdirect(&self, name: &str, from: u64, other: &str, to: u64, length: usize) -> Result<(), DiskError> {
        self.world().misdirect(name, from, other, to, length)
    }

    /// The operations so far that change the disk or make it durable: create, write, set length, rename, remove and both
    /// kinds of sync. Reads are not counted: no crash point between two reads differs from the one before them.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// The syncs of files and of the folder so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// How often each fault fired.
    #[must_use]
    pub fn faults(&self) -> FaultCounts {
        self.world().counts
    }

    /// A new disk in a state that a reboot could find after power was cut now: for seed 0 nothing that was not synced, for
    /// seed 1 all of it, for any other seed a choice of its own. It has no faults planned, and its counts begin with what
    /// it lost.
    #[must_use]
    pub fn survivor(&self, seed: u64) -> Self {
        let survivor = survivor::survive(&self.world(), seed);
        Self { world: Arc::new(Mutex::new(survivor)) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere leaves the disk as it was after some whole operation.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str, inode: u64) -> Box<dyn File> {
        Box::new(SimulatedFile { disk: self.clone(), name: name.to_owned(), inode })
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        check_name(name)?;
        let inode = self.world().create(name)?;
        Ok(self.file(name, inode))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        check_name(name)?;
        let inode = self.world().open(name)?;
        Ok(self.file(name, inode))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.world().list()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_name(from)?;
        check_name(to)?;
        self.world().rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        check_name(name)?;
        self.world().remove(name)
    }

    fn sync_folder(&self) -> Result<(), DiskError> {
        self.world().sync_folder()
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    name: String,
    inode: u64,
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.disk.world().close(self.inode);
    }
}

impl File for SimulatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.world().read(self.inode, offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, DiskError> {
        self.disk.world().write(&self.name, self.inode, offset, bytes)
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        self.disk.world().sync(&self.name, self.inode)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.disk.world().length(self.inode)
    }

    fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.disk.world().set_len(&self.name, self.inode, length)
    }

    fn path(&self) -> &Path {
        Path::new(&self.name)
    }
}

fn failure(operation: Operation, name: &str, kind: std::io::ErrorKind) -> DiskError {
    DiskError::from_io(operation, PathBuf::from(name), kind.into())
}
