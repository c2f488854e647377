//! One file of bulk storage.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::Address;

/// The file of the segment that begins at `start`: its number is that of the address.
pub(super) fn file_name(start: Address) -> String {
    let number = start.packed().iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("bulk-{number:013}")
}

/// The first address of the segment in the file of this name.
pub(super) fn start_of(name: &str) -> Option<Address> {
    let digits = name.strip_prefix("bulk-")?;
    let start = Address::new(digits.parse::<u64>().ok()?.checked_mul(crate::engine::ADDRESS_ALIGN)?)?;
    (file_name(start) == name).then_some(start)
}

/// A segment: a file whose first byte is that of its first address.
pub(super) struct Segment {
    pub(super) start: Address,
    path: PathBuf,
    /// Whether the file was there when the engine was opened.
    pub(super) present: bool,
    /// Open while it was lately used.
    file: RwLock<Option<Arc<File>>>,
    /// The address behind the last byte that may be read.
    written: AtomicU64,
    /// Where the next segment begins; [`u64::MAX`] while it is written.
    sealed: AtomicU64,
}

impl Segment {
    pub(super) fn new(folder: &Path, start: Address, present: bool, written: u64, sealed: Option<Address>) -> Self {
        Self {
            start,
            path: folder.join(file_name(start)),
            present,
            file: RwLock::new(None),
            written: AtomicU64::new(written),
            sealed: AtomicU64::new(sealed.map_or(u64::MAX, Address::get)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.written().saturating_sub(self.start.get())
    }

    /// Lets readers see what lies before `end`.
    pub(super) fn publish(&self, end: u64) {
        self.written.store(end, Ordering::Release);
    }

    pub(super) fn seal(&self, end: Address) {
        self.sealed.store(end.get(), Ordering::Release);
    }

    /// Whether `address` lies behind its end.
    pub(super) fn ends_before(&self, address: Address) -> bool {
        self.sealed.load(Ordering::Acquire) <= address.get()
    }

    /// The file, if it is open.
    pub(super) fn opened(&self) -> Option<Arc<File>> {
        self.file.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_file(&self, file: Option<Arc<File>>) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
    }

    /// Opens the file, or makes it anew.
    pub(super) fn open(&self, anew: bool) -> io::Result<Arc<File>> {
        let file = OpenOptions::new().read(true).write(true).create(anew).truncate(anew).open(&self.path)?;
        Ok(Arc::new(file))
    }

    /// The part of `buffer` that the bytes from `address` on fill: all of it unless the written ones end before.
    pub(super) fn readable<'b>(&self, address: Address, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let there = self.written().saturating_sub(address.get());
        let count = usize::try_from(there).unwrap_or(usize::MAX).min(buffer.len());
        buffer.get_mut(..count).unwrap_or_default()
    }

    /// Reads what is [readable](Self::readable) from `address` on; fewer bytes only where somebody cut the file.
    pub(super) fn read(&self, file: &File, address: Address, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len();
        let mut rest = buffer;
        let mut offset = address.get().saturating_sub(self.start.get());
        while !rest.is_empty() {
            match file.read_at(rest, offset) {
                // Somebody cut the file.
                Ok(0) => break,
                Ok(read) => {
                    rest = rest.get_mut(read..).unwrap_or_default();
                    offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count - rest.len())
    }
}
