//! Bytes of a sealed segment that aren't what was written: they are found, named with file, offset, chain and height, and
//! nothing else than what was appended is ever read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod archive_support;

use std::sync::Arc;

use archive_support::{Blocks, Dice, ID, Parts, chain, open, segments, small_config};
use ledger_core::Height;
use ledger_storage::archive::{Archive, ArchiveError};
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::log::LogId;

fn filled() -> (SimulatedDisk, Blocks) {
    let disk = SimulatedDisk::new(11);
    let mut archive = open(&disk).unwrap();
    let mut dice = Dice::new(4);
    let mut blocks = Blocks::new();
    for height in 1..=40 {
        for number in 0..3 {
            let parts = Parts::new(&mut dice);
            archive.append(&parts.entry(chain(number), Height(height))).unwrap();
            blocks.insert((chain(number), Height(height)), parts);
        }
    }
    archive.seal().unwrap();
    assert!(segments(&disk).len() > 3);
    (disk, blocks)
}

fn length(disk: &SimulatedDisk, name: &str) -> u64 {
    disk.open(name).unwrap().len().unwrap()
}

/// Opens and reads everything: each block as it was, or an error with a name.
fn survey(disk: &SimulatedDisk, blocks: &Blocks, file: &str) -> (u64, u64) {
    let archive = match open(disk) {
        Ok(archive) => archive,
        Err(error) => panic!("a damaged segment must not keep the others from being read: {error}"),
    };
    let reader = archive.reader();
    let (mut intact, mut refused) = (0, 0);
    for ((chain, height), parts) in blocks {
        match Parts::read(&reader, *chain, *height) {
            Ok(found) => {
                assert_eq!(found, *parts);
                intact += 1;
            }
            Err(ArchiveError::Damaged { file: named, wanted, .. }) => {
                assert_eq!((named.as_str(), wanted), (file, Some((*chain, *height))));
                refused += 1;
            }
            Err(error @ ArchiveError::Absent { unreadable: 1, .. }) => {
                assert!(error.to_string().contains(file), "{error}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    (intact, refused)
}

#[test]
fn every_flipped_byte_is_found_and_costs_its_own_segment_at_most() {
    let (disk, blocks) = filled();
    let name = segments(&disk)[1].clone();
    let mut chunks = 0;
    for offset in 0..length(&disk, &name) {
        let copy = disk.survivor(1);
        copy.flip_bit(&name, offset * 8 + offset % 8).unwrap();
        let (intact, refused) = survey(&copy, &blocks, &name);
        assert!(intact >= 60 && intact + refused == blocks.len() as u64, "{intact} of {}", blocks.len());
        let verified = open(&copy).unwrap().reader().verify().unwrap();
        assert_eq!(verified.damaged, 1, "offset {offset}: {:?}", verified.damages);
        assert!(matches!(&verified.damages[0], ArchiveError::Damaged { file, .. } if *file == name));
        chunks += u64::from(refused > 0 && refused < 10);
    }
    assert!(chunks > 500, "damage in a chunk costs the blocks of that chunk only: {chunks}");
}

#[test]
fn a_chunk_at_another_place_is_none() {
    let (disk, blocks) = filled();
    let names = segments(&disk);
    // The same offsets exist in every segment: chunks begin behind the header.
    for (from, to) in [(0, 1), (2, 1)] {
        let copy = disk.survivor(1);
        copy.misdirect(&names[from], 80, &names[to], 80, 400).unwrap();
        let verified = open(&copy).unwrap().reader().verify().unwrap();
        assert!(verified.damaged >= 2, "both places: {:?}", verified.damages);
        for ((chain, height), parts) in &blocks {
            if let Ok(found) = Parts::read(&open(&copy).unwrap().reader(), *chain, *height) {
                assert_eq!(found, *parts);
            }
        }
    }
}

#[test]
fn a_shortened_or_lengthened_segment_is_damaged_and_stays() {
    let (disk, blocks) = filled();
    let name = segments(&disk)[2].clone();
    let whole = length(&disk, &name);
    for length in [0, 1, 79, 80, 175, 176, whole - 96, whole - 1, whole + 1, whole + 4096] {
        let copy = disk.survivor(1);
        copy.open(&name).unwrap().set_len(length).unwrap();
        let (intact, refused) = survey(&copy, &blocks, &name);
        assert!(intact >= 60 && refused > 0);
        let mut archive = open(&copy).unwrap();
        assert_eq!(archive.recovery().damaged.len(), 1);
        for number in 0..3 {
            archive.release(chain(number), Height(u64::MAX)).unwrap();
        }
        assert!(segments(&copy).contains(&name), "what is damaged isn't deleted");
    }
}

#[test]
fn a_missing_segment_is_a_gap_that_is_named() {
    let (disk, blocks) = filled();
    let name = segments(&disk)[1].clone();
    disk.remove(&name).unwrap();
    let archive = open(&disk).unwrap();
    let held = archive.reader().held(&chain(0)).unwrap();
    assert!(held.first > Height(1) && held.last == Height(40), "{held}");
    let absent: Vec<_> = blocks
        .keys()
        .filter_map(|(chain, height)| archive.reader().block(*chain, *height).err())
        .map(|error| error.to_string())
        .collect();
    assert!(absent.len() > 5);
    assert!(absent.iter().all(|error| error.contains("isn't in the archive, which holds blocks ")), "{}", absent[0]);
}

#[test]
fn another_hosts_and_a_later_formats_segments_are_refused_and_nothing_is_changed() {
    let (disk, _) = filled();
    disk.create("arc-00000000000000000099.new").unwrap();
    let before = disk.operations();
    let foreign = Archive::open(Arc::new(disk.clone()), LogId::new([8; 32]), small_config()).unwrap_err();
    assert!(matches!(&foreign, ArchiveError::Foreign { file } if *file == segments(&disk)[0]), "{foreign}");

    // A later program's header: its format, and a checksum that fits.
    let name = segments(&disk)[0].clone();
    let file = disk.open(&name).unwrap();
    let mut header = [0; 80];
    file.read_exact_at(0, &mut header).unwrap();
    header[8] = 1;
    let key = blake3::derive_key("ledgerkit archive checksum", ID.as_bytes());
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(&[1]).update(&header[48..56]).update(&[0; 8]).update(&header[..64]);
    hasher.finalize_xof().fill(&mut header[64..]);
    assert_eq!(disk.operations(), before);
    file.write_all_at(0, &header).unwrap();
    let later = open(&disk).unwrap_err();
    assert_eq!(
        later.to_string(),
        format!("{name} is of archive format 1, and this program understands 0; use a program that does")
    );
    assert!(disk.list().unwrap().iter().any(|name| name.ends_with(".new")), "nothing was changed");
    // A flipped bit in the format is damage, not another format.
    header[64] ^= 1;
    file.write_all_at(0, &header).unwrap();
    assert_eq!(open(&disk).unwrap().recovery().damaged.len(), 1);
}
