//! A folder of the operating system, held under an exclusive lock.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskError, File, Operation, check_name};

/// The file whose lock stands for the folder. It stays behind, empty, when the folder is closed.
const LOCK: &str = "LOCK";

/// A real data folder. Clones share one lock, which ends with the last clone or open file, or with the process.
#[derive(Debug, Clone)]
pub struct RealDisk {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    handle: fs::File,
    /// Held open for its advisory lock (`flock`).
    _lock: fs::File,
    volatile: bool,
}

impl RealDisk {
    /// Opens `folder`, creating it when missing, and takes its exclusive lock without waiting.
    ///
    /// # Errors
    /// [`DiskError::InUse`] when another process, or another `RealDisk` of this one, holds the lock.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DiskError> {
        let path = folder.as_ref().to_path_buf();
        create_durably(&path)?;
        let handle = fs::File::open(&path).map_err(|error| DiskError::from_io(Operation::Open, &path, error))?;
        let lock_path = path.join(LOCK);
        let lock = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| DiskError::from_io(Operation::Lock, &lock_path, error))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(DiskError::InUse { folder: path }),
            Err(errno) => return Err(DiskError::from_io(Operation::Lock, &lock_path, errno.into())),
        }
        let volatile = in_memory(&handle).map_err(|error| DiskError::from_io(Operation::Open, &path, error))?;
        Ok(Self { folder: Arc::new(Folder { path, handle, _lock: lock, volatile }) })
    }

    /// The folder's path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Whether the folder lies on a file system in memory (tmpfs, ramfs), where a sync costs nothing and means nothing:
    /// figures measured there say nothing about durability.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        self.folder.volatile
    }

    fn path(&self, name: &str) -> Result<PathBuf, DiskError> {
        check_name(name)?;
        if name == LOCK {
            return Err(DiskError::BadName { name: name.to_owned() });
        }
        Ok(self.folder.path.join(name))
    }

    fn open_with(
        &self,
        name: &str,
        operation: Operation,
        options: &mut fs::OpenOptions,
    ) -> Result<Box<dyn File>, DiskError> {
        let path = self.path(name)?;
        let file =
            options.read(true).write(true).open(&path).map_err(|error| DiskError::from_io(operation, &path, error))?;
        Ok(Box::new(RealFile { path, file, _folder: Arc::clone(&self.folder) }))
    }
}

impl Disk for RealDisk {
    fn create(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        self.open_with(name, Operation::Create, fs::File::options().create_new(true))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        self.open_with(name, Operation::Open, &mut fs::File::options())
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let failed = |error| DiskError::from_io(Operation::Read, &self.folder.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_file = entry.file_type().map_err(failed)?.is_file();
            // A name that this disk could not have made (another program's, or a subfolder) is none of its files.
            if let Some(name) = entry.file_name().to_str()
                && is_file
                && name != LOCK
                && check_name(name).is_ok()
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        fs::rename(&from, &to).map_err(|error| DiskError::from_io(Operation::Rename, from, error))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.path(name)?;
        fs::remove_file(&path).map_err(|error| DiskError::from_io(Operation::Remove, path, error))
    }

    fn sync_folder(&self) -> Result<(), DiskError> {
        self.folder.handle.sync_all().map_err(|error| DiskError::from_io(Operation::Sync, &self.folder.path, error))
    }
}

#[derive(Debug)]
struct RealFile {
    path: PathBuf,
    file: fs::File,
    /// An open file keeps the folder locked: whoever still writes still owns it.
    _folder: Arc<Folder>,
}

impl RealFile {
    fn failed(&self, operation: Operation) -> impl FnOnce(io::Error) -> DiskError + '_ {
        move |error| DiskError::from_io(operation, &self.path, error)
    }
}

/// Creates a folder and its missing ancestors, each durable in its own parent.
fn create_durably(folder: &Path) -> Result<(), DiskError> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DiskError::from_io(Operation::Create, path, error));
            }
            _ => {}
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|error| DiskError::from_io(Operation::Sync, parent, error))?;
    }
    Ok(())
}

/// Repeats a call that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        uninterrupted(|| self.file.read_at(buffer, offset)).map_err(self.failed(Operation::Read))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, DiskError> {
        uninterrupted(|| self.file.write_at(bytes, offset)).map_err(self.failed(Operation::Write))
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        // Not repeated when interrupted: after any failure of a sync, a second one proves nothing.
        self.file.sync_data().map_err(self.failed(Operation::Sync))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(self.failed(Operation::Read))
    }

    fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.file.set_len(length).map_err(self.failed(Operation::Resize))
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(target_os = "linux")]
fn in_memory(folder: &fs::File) -> io::Result<bool> {
    const TMPFS: i128 = 0x0102_1994;
    const RAMFS: i128 = 0x8584_58f6;
    // The field's type and sign differ between targets; the magic number is 32 bits wide on all of them.
    let kind = i128::from(rustix::fs::fstatfs(folder)?.f_type) & 0xffff_ffff;
    Ok(kind == TMPFS || kind == RAMFS)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_folder: &fs::File) -> io::Result<bool> {
    Ok(false)
}
