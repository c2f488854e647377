//! Small files that must survive power loss whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The first `limit` bytes of a file, or all if it has fewer.
pub(crate) fn read_at_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(limit);
    File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Options for a file that only its owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Replaces the file at `path` by `content`, durably: after a crash it is the old or the new one, never a mixture.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a crash left here was never renamed, so it counts for nothing.
    let mut file = private().write(true).create(true).truncate(true).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder_of(path)
}

/// Makes the file at `path`, which must not exist, durably: after a crash it is whole or not there.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(io::Error::other)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{:016x}.new", u64::from_le_bytes(suffix)));
    let beside = PathBuf::from(beside);
    let mut file = private().write(true).create_new(true).open(&beside)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    // Unlike a rename, a second name never takes another file's place.
    let named = written.and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    // Of two errors the first is the one to report.
    named.and(removed).and_then(|()| sync_folder_of(path))
}

/// Makes a file's creation or renaming survive power loss.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    // Elsewhere a folder can't be opened as a file, and the file system orders renames itself.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
