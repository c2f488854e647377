//! An archive is a map from chain and height to bytes, cut at each chain's floor; on a real folder as on a simulated one,
//! and with thousands of chains and segments.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod archive_support;

use std::sync::Arc;
use std::time::Instant;

use archive_support::{Blocks, Dice, ID, Parts, chain, open, small_config};
use ledger_core::{ChainId, Height};
use ledger_crypto::Digest;
use ledger_storage::archive::{Archive, ArchiveConfig, ArchiveError, Entry};
use ledger_storage::disk::{Disk, RealDisk, SimulatedDisk};

#[test]
fn it_reads_as_a_map_does_through_seals_releases_and_reopenings() {
    for seed in 1..=40 {
        let disk = SimulatedDisk::new(seed);
        let mut dice = Dice::new(seed);
        let mut archive = open(&disk).unwrap();
        let (mut sealed, mut waiting) = (Blocks::new(), Blocks::new());
        let mut floors = [Height(0); 5];
        let mut last = [None; 5];
        for _ in 0..400 {
            let number = dice.roll(5) as usize;
            let id = chain(number as u64);
            match dice.roll(30) {
                0 | 1 => {
                    archive.seal().unwrap();
                    sealed.append(&mut waiting);
                    assert_eq!(archive.unsealed_bytes(), 0);
                }
                2 => {
                    floors[number] = floors[number].max(Height(dice.roll(40)));
                    archive.release(id, floors[number]).unwrap();
                }
                3 => {
                    archive.seal().unwrap();
                    sealed.append(&mut waiting);
                    archive = open(&disk).unwrap();
                    for (number, floor) in floors.iter().enumerate() {
                        archive.release(chain(number as u64), *floor).unwrap();
                    }
                }
                _ => {
                    let height =
                        Height(last[number].map_or(dice.roll(4), |last: Height| last.0 + 1 + dice.roll(12) / 11));
                    let parts = Parts::new(&mut dice);
                    archive.append(&parts.entry(id, height)).unwrap();
                    waiting.insert((id, height), parts);
                    last[number] = Some(height);
                }
            }
            let height = Height(dice.roll(60));
            let found = Parts::read(&archive.reader(), id, height);
            match sealed.get(&(id, height)).filter(|_| height >= floors[number]) {
                Some(parts) => assert_eq!(found.unwrap(), *parts),
                // A full segment is sealed by itself, so what waits may be there.
                None => match found {
                    Ok(found) => assert_eq!(Some(&found), waiting.get(&(id, height))),
                    Err(ArchiveError::Released { floor, .. }) => assert!(height < floor && floor == floors[number]),
                    Err(error @ ArchiveError::Absent { .. }) => assert!(height >= floors[number], "{error}"),
                    Err(error) => panic!("{error}"),
                },
            }
        }
        archive.seal().unwrap();
        sealed.append(&mut waiting);
        for (number, floor) in (0..).zip(floors) {
            let id = chain(number);
            let kept: Vec<u64> = (sealed.keys().filter(|(of, height)| *of == id && *height >= floor))
                .map(|(_, height)| height.0)
                .collect();
            let unbroken =
                kept.iter().rev().zip(1..).take_while(|(height, back)| **height + back == kept.last().unwrap() + 1);
            let first = unbroken.last().map(|(height, _)| Height(*height));
            assert_eq!(archive.reader().held(&id).map(|held| held.first), first, "seed {seed}");
        }
    }
}

#[test]
fn a_block_larger_than_any_chunk_or_segment_is_kept_alone() {
    let disk = SimulatedDisk::new(1);
    let mut archive = open(&disk).unwrap();
    let mut dice = Dice::new(2);
    for height in 1..=6 {
        let block: Vec<u8> = (0..height * 3_000).map(|_| dice.roll(256) as u8).collect();
        let entry = Entry { chain: chain(1), height: Height(height), block: &block, certificate: &[], results: &block };
        archive.append(&entry).unwrap();
    }
    archive.seal().unwrap();
    assert_eq!(archive.reader().size().0, 6);
    assert_eq!(archive.reader().block(chain(1), Height(6)).unwrap().block.len(), 18_000);
    assert_eq!(archive.reader().results(chain(1), Height(1)).unwrap().len(), 3_000);
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let disk = Arc::new(SimulatedDisk::new(1));
    let mut config = ArchiveConfig::default();
    config.segment_bytes = 0;
    let error = Archive::open(Arc::clone(&disk) as Arc<dyn Disk>, ID, config).unwrap_err().to_string();
    assert_eq!(error, "archive configuration: segment_bytes is 0, but must be between 1 byte and 1 TiB");
    let mut config = ArchiveConfig::default();
    config.chunk_bytes = 1 << 30;
    let error = Archive::open(disk, ID, config).unwrap_err().to_string();
    assert!(error.contains("chunk_bytes is 1073741824"), "{error}");
}

#[test]
fn readers_go_on_while_segments_are_written_and_deleted() {
    let disk = SimulatedDisk::new(1);
    let mut archive = open(&disk).unwrap();
    let reader = archive.reader();
    let reading = std::thread::spawn(move || {
        let (mut read, mut released) = (0_u64, 0_u64);
        let mut height = 1;
        while height <= 2_000 {
            match reader.block(chain(1), Height(height)) {
                Ok(found) => {
                    assert_eq!(found.block, height.to_le_bytes().repeat(30));
                    read += 1;
                    height += 1;
                }
                Err(ArchiveError::Released { floor, .. }) => {
                    released += 1;
                    height = floor.0;
                }
                Err(ArchiveError::Absent { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        (read, released)
    });
    for height in 1..=2_000 {
        let block = height_bytes(height);
        let entry = Entry { chain: chain(1), height: Height(height), block: &block, certificate: &[], results: &[] };
        archive.append(&entry).unwrap();
        if height % 20 == 0 {
            archive.seal().unwrap();
        }
        if height % 50 == 0 {
            archive.release(chain(1), Height(height.saturating_sub(30))).unwrap();
        }
    }
    let (read, released) = reading.join().unwrap();
    println!("{read} blocks read, {released} times overtaken");
    assert!(read > 20);
}

fn height_bytes(height: u64) -> Vec<u8> {
    height.to_le_bytes().repeat(30)
}

#[test]
fn thousands_of_chains_and_segments_open_fast_on_a_real_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (chains, rounds) = (500_u64, 8_u64);
    let id = |number: u64| ChainId(Digest::new([number.to_le_bytes(); 4].concat().try_into().unwrap()));
    {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&folder).unwrap());
        let mut archive = Archive::open(disk, ID, small_config()).unwrap();
        for round in 0..rounds {
            for number in 0..chains {
                for height in (round * 3..round * 3 + 3).map(Height) {
                    let block = [number.to_le_bytes(), height.0.to_le_bytes()].concat().repeat(9);
                    let entry = Entry { chain: id(number), height, block: &block, certificate: b"c", results: b"r" };
                    archive.append(&entry).unwrap();
                }
            }
        }
        archive.seal().unwrap();
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&folder).unwrap());
    let started = Instant::now();
    let archive = Archive::open(disk, ID, small_config()).unwrap();
    println!("opened {:?} segments and bytes in {:?}", archive.reader().size(), started.elapsed());
    assert!(archive.reader().size().0 > 100);
    assert_eq!(archive.reader().chains().len() as u64, chains);
    for number in (0..chains).step_by(37) {
        let held = archive.reader().held(&id(number)).unwrap();
        assert_eq!((held.first, held.last), (Height(0), Height(rounds * 3 - 1)));
        let found = archive.reader().block(id(number), Height(7)).unwrap();
        assert_eq!(found.block, [number.to_le_bytes(), 7_u64.to_le_bytes()].concat().repeat(9));
    }
    assert_eq!(archive.reader().verify().unwrap().blocks, chains * rounds * 3);
}
