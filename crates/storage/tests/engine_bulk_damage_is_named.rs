//! What the fjall engine says when files of its bulk storage are cut, changed, gone, or refuse to be written.
#![cfg(feature = "fjall")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};

use ledger_storage::engine::{Address, Engine, EngineError, FjallConfig, FjallEngine, Space};

const A: Space = Space::new(1);
const B: Space = Space::new(2);
const SEGMENT: u64 = 16 << 10;

fn open(folder: &Path) -> FjallEngine {
    let config = FjallConfig { bulk_segment_bytes: SEGMENT, memtable_bytes: 1 << 20, ..FjallConfig::default() };
    FjallEngine::open(folder, config).unwrap()
}

fn blob(round: u8) -> Vec<u8> {
    vec![round + 1; 3_000]
}

/// Five blobs a segment.
fn fill(engine: &FjallEngine, count: u8) -> Vec<(Address, Vec<u8>)> {
    let spaces = [A, B].into_iter().cycle();
    (0..count).zip(spaces).map(|(round, space)| (engine.append(space, &blob(round)).unwrap(), blob(round))).collect()
}

fn read(engine: &FjallEngine, address: Address, bytes: usize) -> Result<Vec<u8>, EngineError> {
    let mut buffer = vec![0; bytes];
    let count = engine.read_bulk(address, &mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("bulk")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Which blobs are whole; the others must read short, changed, or be said to be damaged in `file`.
fn whole(engine: &FjallEngine, placed: &[(Address, Vec<u8>)], file: &Path) -> Vec<usize> {
    let mut whole = Vec::new();
    for (index, (address, bytes)) in placed.iter().enumerate() {
        match read(engine, *address, bytes.len()) {
            Ok(found) if found == *bytes => whole.push(index),
            Ok(_) => {}
            Err(EngineError::Damaged { reason, .. }) => {
                assert!(reason.contains(file.file_name().unwrap().to_str().unwrap()), "{reason}");
            }
            Err(other) => panic!("blob {index}: {other}"),
        }
    }
    whole
}

#[test]
fn each_damage_hurts_one_segment_and_the_engine_goes_on() {
    type Damage = fn(&Path);
    let delete: Damage = |file| std::fs::remove_file(file).unwrap();
    let empty: Damage = |file| std::fs::write(file, b"").unwrap();
    let cut: Damage = |file| {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(file, &bytes[..bytes.len() / 2 + 7]).unwrap();
    };
    let flip: Damage = |file| {
        let mut bytes = std::fs::read(file).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x10);
        std::fs::write(file, bytes).unwrap();
    };
    let longer: Damage = |file| {
        let mut bytes = std::fs::read(file).unwrap();
        bytes.extend_from_slice(&[9; 100_000]);
        std::fs::write(file, bytes).unwrap();
    };
    for (name, damage, kept) in
        [("delete", delete, 0), ("empty", empty, 0), ("cut", cut, 2), ("flip", flip, 0), ("longer", longer, 5)]
    {
        for hurt in 0..3_usize {
            let folder = tempfile::tempdir().unwrap();
            let placed = fill(&open(folder.path()), 15);
            let files = segments(folder.path());
            assert_eq!(files.len(), 3);
            damage(&files[hurt]);
            let engine = open(folder.path());
            let expected: Vec<usize> = (0..15).filter(|index| index / 5 != hurt || index % 5 < kept).collect();
            assert_eq!(whole(&engine, &placed, &files[hurt]), expected, "{name} of segment {hurt}");
            let more = fill(&engine, 7);
            assert_eq!(whole(&engine, &more, &files[hurt]).len(), 7, "{name} of segment {hurt}, then more");
            // None of the whole blobs was written over.
            assert_eq!(whole(&engine, &placed, &files[hurt]), expected, "{name} of segment {hurt}, after more");
            engine.sync().unwrap();
            drop(engine);
            let engine = open(folder.path());
            assert_eq!(whole(&engine, &more, &files[hurt]).len(), 7, "{name} of segment {hurt}, opened again");
            engine.release(A, Address::MAX).unwrap();
            engine.release(B, Address::MAX).unwrap();
            let gone = Err(EngineError::Released { address: placed[0].0 });
            assert_eq!(read(&engine, placed[0].0, 10), gone, "what is damaged can be released");
        }
    }
}

#[test]
fn a_missing_segment_is_named_and_wants_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let placed = fill(&open(folder.path()), 15);
    let files = segments(folder.path());
    std::fs::remove_file(&files[1]).unwrap();
    let error = read(&open(folder.path()), placed[6].0, 10).unwrap_err();
    assert!(error.wants_rebuild());
    assert!(error.to_string().contains(files[1].file_name().unwrap().to_str().unwrap()), "{error}");
}

/// A crash between a segment's file and the keys that name it leaves a file that nobody points to.
#[test]
fn files_that_nothing_points_to_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let placed = fill(&open(folder.path()), 15);
    let stray = folder.path().join("bulk").join("bulk-0000000999999");
    let foreign = folder.path().join("bulk").join("notes.txt");
    std::fs::write(&stray, b"stray").unwrap();
    std::fs::write(&foreign, b"not ours").unwrap();
    let engine = open(folder.path());
    assert!(!stray.exists() && foreign.exists());
    assert_eq!(whole(&engine, &placed, &stray).len(), 15);
}

#[test]
fn an_unreadable_list_of_segments_is_said_to_be_damaged() {
    for (kind, value) in [(b'X', vec![]), (b'S', vec![1]), (b'W', vec![]), (b'F', vec![1, 2])] {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        fill(&engine, 3);
        let mut batch = ledger_storage::engine::Batch::new();
        batch.put(Space::SHARED.key(0x08, &[&[kind], &[7; 4]]), value);
        engine.apply(batch).unwrap();
        drop(engine);
        match FjallEngine::open(folder.path(), FjallConfig::default()).map(|_| ()) {
            Err(EngineError::Damaged { reason, .. }) => assert!(reason.contains("bulk segments"), "{reason}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

/// Another segment size holds for new segments; old addresses stay what they were.
#[test]
fn the_segment_size_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut placed = fill(&open(folder.path()), 8);
    for bulk_segment_bytes in [4_000, 100_000, 3_000] {
        let engine =
            FjallEngine::open(folder.path(), FjallConfig { bulk_segment_bytes, ..FjallConfig::default() }).unwrap();
        placed.extend(fill(&engine, 8));
        assert_eq!(whole(&engine, &placed, folder.path()).len(), placed.len());
    }
    assert_eq!(whole(&open(folder.path()), &placed, folder.path()).len(), placed.len());
}

/// Devices stand in for a disk that is full, and for one whose sync fails.
#[cfg(target_os = "linux")]
mod refusing_disk {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_full_disk_leaves_no_trace_of_the_blob() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let placed = fill(&engine, 5);
        // The sixth blob needs a second segment.
        let next = folder.path().join("bulk").join(format!("bulk-{:013}", 5 * 3_008 / 16));
        symlink("/dev/full", &next).unwrap();
        let size = engine.disk_bytes().unwrap();
        match engine.append(A, &blob(6)) {
            Err(EngineError::Failed { reason, .. }) => {
                assert!(reason.contains(next.to_str().unwrap()), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(engine.disk_bytes().unwrap(), size);
        assert_eq!(read(&engine, Address::new(5 * 3_008).unwrap(), 10).unwrap(), Vec::new());
        assert_eq!(whole(&engine, &placed, &next).len(), 5);
        // The file that couldn't be written is gone, and there is room again.
        let again = engine.append(A, &blob(6)).unwrap();
        assert_eq!(again.get(), 5 * 3_008);
        assert_eq!(read(&engine, again, 3_000).unwrap(), blob(6));
        drop(engine);
        let engine = open(folder.path());
        assert_eq!(whole(&engine, &placed, &next).len(), 5);
        assert_eq!(read(&engine, again, 3_000).unwrap(), blob(6));
    }

    #[test]
    fn a_full_disk_in_the_middle_of_a_segment_leaves_no_trace_either() {
        let folder = tempfile::tempdir().unwrap();
        let placed = fill(&open(folder.path()), 2);
        let file = segments(folder.path()).remove(0);
        let aside = folder.path().join("aside");
        let engine = open(folder.path());
        // Files are opened when they are first used.
        std::fs::rename(&file, &aside).unwrap();
        symlink("/dev/full", &file).unwrap();
        assert!(matches!(engine.append(A, &blob(6)), Err(EngineError::Failed { .. })));
        let behind = placed[1].0.offset(3_008).unwrap();
        assert_eq!(read(&engine, behind, 10).unwrap(), Vec::new());
        drop(engine);
        std::fs::rename(&aside, &file).unwrap();
        let engine = open(folder.path());
        assert_eq!(whole(&engine, &placed, &file).len(), 2);
        assert_eq!(engine.append(A, &blob(6)).unwrap(), behind);
    }

    #[test]
    fn after_a_failed_sync_nothing_is_promised_until_the_machine_was_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let placed = fill(&open(folder.path()), 11);
        let files = segments(folder.path());
        let aside = folder.path().join("aside");
        let engine = open(folder.path());
        std::fs::rename(&files[2], &aside).unwrap();
        // Takes everything, and can't be synced.
        symlink("/dev/null", &files[2]).unwrap();
        assert!(matches!(engine.sync(), Err(EngineError::Failed { .. })));
        for refused in [
            engine.sync(),
            engine.append(A, &blob(6)).map(|_| ()),
            engine.release(A, Address::MAX).map(|_| ()),
            engine.release(B, Address::MAX).map(|_| ()),
        ] {
            match refused {
                Err(EngineError::Failed { reason, .. }) => assert!(reason.contains("earlier sync"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read(&engine, placed[0].0, 3_000).unwrap(), blob(0), "what is there can be read");
        drop(engine);
        std::fs::rename(&aside, &files[2]).unwrap();
        // What is read may be in memory alone, and the next sync would succeed all the same.
        let note = folder.path().join("unwritten");
        let run = std::fs::read_to_string(&note).unwrap();
        for _ in 0..2 {
            match FjallEngine::open(folder.path(), FjallConfig::default()).map(drop) {
                Err(EngineError::Failed { reason, .. }) => assert!(reason.contains("restart the machine"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        std::fs::write(&note, format!("another than {run}")).unwrap();
        let engine = open(folder.path());
        assert!(!note.exists());
        engine.sync().unwrap();
        assert_eq!(whole(&engine, &placed, &files[2]).len(), 11);
    }
}
