//! A real data folder: one owner at a time, plain names only, and errors that name path and operation.
#![allow(clippy::unwrap_used)]

use ledger_storage::disk::{Disk, DiskError, RealDisk};

#[test]
fn a_second_owner_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/data");
    let disk = RealDisk::open(&path).unwrap();
    let clone = disk.clone();
    let error = RealDisk::open(&path).unwrap_err();
    assert!(matches!(&error, DiskError::InUse { folder } if *folder == path), "{error}");
    assert!(error.to_string().contains("deep/data"), "{error}");
    drop(disk);
    assert!(matches!(RealDisk::open(&path), Err(DiskError::InUse { .. })), "a clone still owns it");
    let file = clone.create("a").unwrap();
    drop(clone);
    assert!(matches!(RealDisk::open(&path), Err(DiskError::InUse { .. })), "an open file still owns it");
    drop(file);
    RealDisk::open(&path).unwrap();
}

#[test]
fn files_are_written_read_listed_renamed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let file = disk.create("b").unwrap();
    assert!(file.is_empty().unwrap());
    file.write_all_at(3, b"ledger").unwrap();
    file.sync_data().unwrap();
    disk.create("a.x").unwrap();
    disk.sync_folder().unwrap();
    std::fs::create_dir(folder.path().join("subfolder")).unwrap();
    std::fs::write(folder.path().join(".hidden"), b"").unwrap();
    assert_eq!(disk.list().unwrap(), ["a.x", "b"]);

    disk.rename("b", "a.x").unwrap();
    assert_eq!(disk.list().unwrap(), ["a.x"]);
    let file = disk.open("a.x").unwrap();
    let mut bytes = [1; 9];
    file.read_exact_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"\0\0\0ledger");
    assert_eq!(file.read_at(9, &mut bytes).unwrap(), 0);
    assert!(matches!(file.read_exact_at(5, &mut bytes), Err(DiskError::Io { .. })));
    file.set_len(4).unwrap();
    assert_eq!(file.len().unwrap(), 4);

    disk.remove("a.x").unwrap();
    assert!(disk.list().unwrap().is_empty());
    file.read_exact_at(3, &mut bytes[..1]).unwrap();
    assert_eq!(bytes[0], b'l');
}

#[test]
fn errors_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.create("taken").unwrap();
    for error in [
        disk.open("absent").unwrap_err(),
        disk.remove("absent").unwrap_err(),
        disk.rename("absent", "b").unwrap_err(),
        disk.create("taken").unwrap_err(),
    ] {
        let name = if matches!(error, DiskError::AlreadyExists { .. }) { "taken" } else { "absent" };
        let path = folder.path().join(name).display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
    }
    let not_a_folder = RealDisk::open(folder.path().join("taken")).unwrap_err();
    assert!(not_a_folder.to_string().contains("taken"), "{not_a_folder}");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let long = "x".repeat(129);
    for name in ["", ".", "..", "../up", "a/b", "/root", "a\\b", "a b", ".hidden", "é", "LOCK", "a\0", &long] {
        for result in
            [disk.create(name).map(drop), disk.open(name).map(drop), disk.remove(name), disk.rename("a", name)]
        {
            assert!(matches!(result, Err(DiskError::BadName { .. })), "{name:?}");
        }
    }
}
