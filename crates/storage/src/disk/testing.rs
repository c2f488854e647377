//! A behavioural suite for disks: what everything above relies on and a running process can observe. Durability can't be
//! observed from within; the simulated disk exists for that.

use super::{Disk, DiskError, MAX_NAME};

/// What a disk got wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConformanceError {
    /// It failed where it must not.
    #[error("while {checking}: {error}")]
    Failed {
        /// What was being checked.
        checking: &'static str,
        /// The disk's error.
        error: DiskError,
    },
    /// It did something else.
    #[error("{law}: found {found}")]
    Broken {
        /// The law.
        law: &'static str,
        /// What the disk gave.
        found: String,
    },
}

type Check = Result<(), ConformanceError>;

trait While<T> {
    fn when(self, checking: &'static str) -> Result<T, ConformanceError>;
}

impl<T> While<T> for Result<T, DiskError> {
    fn when(self, checking: &'static str) -> Result<T, ConformanceError> {
        self.map_err(|error| ConformanceError::Failed { checking, error })
    }
}

fn holds<T: PartialEq + std::fmt::Debug>(law: &'static str, found: T, expected: T) -> Check {
    if found == expected { Ok(()) } else { Err(ConformanceError::Broken { law, found: format!("{found:?}") }) }
}

fn refuses<T>(law: &'static str, result: Result<T, DiskError>, expected: fn(&DiskError) -> bool) -> Check {
    match result {
        Err(error) if expected(&error) => Ok(()),
        Err(error) => Err(ConformanceError::Broken { law, found: error.to_string() }),
        Ok(_) => Err(ConformanceError::Broken { law, found: "success".to_owned() }),
    }
}

/// Checks a disk that has no files yet, and leaves it so.
///
/// # Errors
/// The first law that the disk breaks.
pub fn conformance(disk: &dyn Disk) -> Check {
    content(disk)?;
    names(disk)?;
    bad_names(disk)?;
    holds("a checked disk is empty again", disk.list().when("listing")?, Vec::new())
}

fn content(disk: &dyn Disk) -> Check {
    let file = disk.create("content").when("creating a file")?;
    holds("a new file is empty", file.is_empty().when("asking for a length")?, true)?;
    file.write_all_at(3, b"ledger").when("writing behind the end")?;
    file.write_all_at(5, b"DG").when("overwriting")?;
    holds("a file ends where the last write ended", file.len().when("asking for a length")?, 9)?;
    let other = disk.open("content").when("opening a file twice")?;
    let mut bytes = [1; 9];
    other.read_exact_at(0, &mut bytes).when("reading")?;
    holds("handles of a file see one content, zeros in its gaps", &bytes, b"\0\0\0leDGer")?;
    holds("at the end nothing is read", other.read_at(9, &mut bytes).when("reading at the end")?, 0)?;
    holds("beyond the end nothing is read", other.read_at(99, &mut bytes).when("reading beyond the end")?, 0)?;
    let early_end = |error: &DiskError| matches!(error, DiskError::Io { .. });
    refuses("an exact read past the end fails", other.read_exact_at(4, &mut bytes), early_end)?;
    file.set_len(5).when("cutting a file")?;
    file.set_len(7).when("extending a file")?;
    file.sync_data().when("syncing a file")?;
    let mut bytes = [1; 7];
    other.read_exact_at(0, &mut bytes).when("reading after a cut")?;
    holds("what was cut off comes back as zeros", &bytes, b"\0\0\0le\0\0")?;
    disk.remove("content").when("removing a file")?;
    other.read_exact_at(3, &mut bytes[..1]).when("reading a removed file through an open handle")?;
    holds("a removed file stays readable through open handles", bytes.first(), Some(&b'l'))
}

fn names(disk: &dyn Disk) -> Check {
    let taken = |error: &DiskError| matches!(error, DiskError::AlreadyExists { .. });
    let missing = |error: &DiskError| matches!(error, DiskError::NotFound { .. });
    let longest = "z".repeat(MAX_NAME);
    for name in ["b", "a.x", &longest] {
        disk.create(name).when("creating a file")?.write_all_at(0, name.as_bytes()).when("writing")?;
    }
    disk.sync_folder().when("syncing the folder")?;
    holds(
        "names are listed in order",
        disk.list().when("listing")?,
        vec!["a.x".to_owned(), "b".to_owned(), longest.clone()],
    )?;
    refuses("a taken name can't be created", disk.create("b"), taken)?;
    refuses("a missing file can't be opened", disk.open("c"), missing)?;
    refuses("a missing file can't be removed", disk.remove("c"), missing)?;
    refuses("a missing file can't be renamed", disk.rename("c", "d"), missing)?;
    disk.rename("b", "a.x").when("renaming over a file")?;
    let mut bytes = [0];
    disk.open("a.x").when("opening a renamed file")?.read_exact_at(0, &mut bytes).when("reading")?;
    holds("renaming replaces", &bytes, b"b")?;
    for name in ["a.x", &longest] {
        disk.remove(name).when("removing a file")?;
    }
    Ok(())
}

fn bad_names(disk: &dyn Disk) -> Check {
    const LAW: &str = "a name is one plain path component";
    let refused = |error: &DiskError| matches!(error, DiskError::BadName { .. });
    let too_long = "x".repeat(MAX_NAME + 1);
    for name in ["", ".", "..", "../up", "a/b", "/root", "a\\b", "a b", ".hidden", "é", "a\0", &too_long] {
        refuses(LAW, disk.create(name), refused)?;
        refuses(LAW, disk.open(name), refused)?;
        refuses(LAW, disk.remove(name), refused)?;
        refuses(LAW, disk.rename(name, "a"), refused)?;
        refuses(LAW, disk.rename("a", name), refused)?;
    }
    Ok(())
}
