//! The files that the log, guard files and settings live in: a real folder, or a simulated one that fails as disks do.
//!
//! A [`Disk`] is one flat data folder. What it promises is what a careful program may rely on, and no more:
//!
//! - Bytes written are durable once [`File::sync_data`] on their file returned `Ok`; until then any part of them may be
//!   lost, in any order, torn at any byte.
//! - A file's *name* (created, renamed, removed) is durable once [`Disk::sync_folder`] returned `Ok`.
//! - After a failed sync nothing is known about what was written since the last good one, and a later sync that
//!   succeeds proves nothing about it: the kernel may have marked the pages clean (the *fsyncgate* of 2018).
//! - Writes and reads may be short; [`File::write_all_at`] and [`File::read_exact_at`] go on until all is done.
//!
//! [`RealDisk`] is a folder of the operating system, held under an exclusive lock. [`SimulatedDisk`] keeps everything in
//! memory, decides from a seed what survives a crash, and counts every fault that fired.

mod error;
mod real;
pub mod simulated;
pub mod testing;

pub use error::{DiskError, Operation};
pub use real::RealDisk;
pub use simulated::SimulatedDisk;

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// The longest file name that a [`Disk`] takes, in bytes.
pub const MAX_NAME: usize = 128;

/// One flat folder of files. Handles are cheap to clone where the implementation says so; all methods may be called from
/// any thread.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates an empty file and opens it for reading and writing.
    ///
    /// # Errors
    /// [`DiskError::AlreadyExists`] when the name is taken.
    fn create(&self, name: &str) -> Result<Box<dyn File>, DiskError>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] when there is no such file.
    fn open(&self, name: &str) -> Result<Box<dyn File>, DiskError>;

    /// The names of all files, sorted.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// Gives a file another name in one step; a file that had that name is gone.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file's name; open handles stay readable.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Makes every name created, renamed or removed so far durable.
    fn sync_folder(&self) -> Result<(), DiskError>;
}

/// An open file, read and written at explicit offsets (bytes from its start).
pub trait File: Send + Sync + fmt::Debug {
    /// Reads up to `buffer.len()` bytes at `offset` and returns how many; 0 means the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes up to `bytes.len()` bytes at `offset`, growing the file (zeros fill a gap), and returns how many.
    ///
    /// # Errors
    /// [`DiskError::Full`] when no space is left.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, DiskError>;

    /// Makes the file's bytes and length durable (`fdatasync`).
    fn sync_data(&self) -> Result<(), DiskError>;

    /// The file's length in bytes.
    fn len(&self) -> Result<u64, DiskError>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros, to `length` bytes.
    fn set_len(&self, length: u64) -> Result<(), DiskError>;

    /// The file's path (its name, on a disk without paths) as errors state it.
    fn path(&self) -> &Path;

    /// Writes all of `bytes` at `offset`, going on after short writes.
    fn write_all_at(&self, mut offset: u64, mut bytes: &[u8]) -> Result<(), DiskError> {
        while !bytes.is_empty() {
            let written = self.write_at(offset, bytes)?;
            if written == 0 {
                return Err(DiskError::from_io(Operation::Write, self.path(), ErrorKind::WriteZero.into()));
            }
            bytes = bytes.get(written..).unwrap_or_default();
            offset += written as u64;
        }
        Ok(())
    }

    /// Fills all of `buffer` from `offset`, going on after short reads.
    ///
    /// # Errors
    /// [`DiskError::Io`] with [`ErrorKind::UnexpectedEof`] when the file ends first.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let read = self.read_at(offset + done as u64, rest)?;
            if read == 0 {
                return Err(DiskError::from_io(Operation::Read, self.path(), ErrorKind::UnexpectedEof.into()));
            }
            done += read;
        }
        Ok(())
    }
}

/// A name that is one plain path component: ASCII letters, digits, `.`, `-`, `_`, not starting with a dot.
fn check_name(name: &str) -> Result<(), DiskError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(DiskError::BadName { name: name.to_owned() });
    }
    Ok(())
}
