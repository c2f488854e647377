//! A note that the system failed to write the engine out.
//!
//! The system tells of such a failure once, and takes what it couldn't write for written: it is read as long as it stays in
//! memory, and a later sync succeeds (Rebello and others, *Can applications recover from fsync failures?*, USENIX ATC
//! 2020). Whoever opens the engine again on the same run of the machine would be told that what he reads is durable, and
//! cut the log behind it.
//!
//! The note is never synced: as long as it can be read the memory is there too, and once both are gone what is read is
//! what the disk has.

use std::io::ErrorKind;
use std::path::Path;

use crate::engine::EngineError;

/// The note's name in the engine's folder. It says on which run of the machine it was made.
const FILE: &str = "unwritten";

/// Where Linux tells one run of the machine from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn this_run() -> String {
    std::fs::read_to_string(BOOT_ID).unwrap_or_default()
}

/// Notes that what was written to the engine in `folder` may be in memory alone.
pub(super) fn note(folder: &Path) {
    // Without the note it is as bad as it was: the engine stops in any case.
    let _ = std::fs::write(folder.join(FILE), this_run());
}

/// Refuses what may be in memory alone; a note of an earlier run is removed.
pub(super) fn check(folder: &Path) -> Result<(), EngineError> {
    let path = folder.join(FILE);
    let failed = |reason: String| EngineError::Failed { folder: folder.to_path_buf(), reason };
    let noted = match std::fs::read_to_string(&path) {
        Ok(noted) => noted,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(format!("{}: {error}", path.display()))),
    };
    let what = "the system failed to write it out, so that what it reads may not be on the disk";
    match noted == this_run() {
        // It doesn't say which run it is of.
        _ if noted.is_empty() => {
            Err(failed(format!("{what}: see to the disk, restart the machine, and then remove {}", path.display())))
        }
        true => Err(failed(format!("{what}: see to the disk and restart the machine before the node"))),
        false => std::fs::remove_file(&path).map_err(|error| failed(format!("{}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_in_memory_alone_is_refused_until_the_machine_was_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let refused = || match check(folder.path()) {
            Err(EngineError::Failed { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(check(folder.path()), Ok(()));
        note(folder.path());
        assert!(refused().contains("restart the machine"));
        std::fs::write(&path, "another run\n").unwrap();
        assert_eq!(check(folder.path()), Ok(()));
        assert!(!path.exists());
        // On a disk that is full nothing of it may be there but its name.
        std::fs::write(&path, "").unwrap();
        assert!(refused().ends_with(&format!("remove {}", path.display())) && path.exists());
    }
}
