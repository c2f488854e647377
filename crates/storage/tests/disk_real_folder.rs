//! A real data folder: a disk like any other, with one owner at a time and errors that name the path.
#![allow(clippy::unwrap_used)]

use ledger_storage::disk::testing::conformance;
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
fn a_real_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance(&RealDisk::open(folder.path()).unwrap()).unwrap();
}

#[test]
fn what_no_disk_made_is_none_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    std::fs::create_dir(folder.path().join("subfolder")).unwrap();
    std::fs::write(folder.path().join(".hidden"), b"").unwrap();
    disk.create("own").unwrap();
    assert_eq!(disk.list().unwrap(), ["own"]);
    assert!(matches!(disk.remove("LOCK"), Err(DiskError::BadName { .. })));
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
