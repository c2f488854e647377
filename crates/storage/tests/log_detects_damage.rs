//! A flipped bit or a misdirected write anywhere in the log is reported with its file, or changes nothing that is read;
//! a wrong record is never returned.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::sync::Arc;

use ledger_storage::disk::SimulatedDisk;
use ledger_storage::disk::{Disk, DiskError};
use ledger_storage::log::{Log, LogError};
use log_support::{Dice, Recovered, Run, open, open_or_create, record, small_config};

/// A log of several segments, closed (so sealed) or as a killed process leaves it.
fn written(records: u64, close: bool) -> (SimulatedDisk, Recovered) {
    let disk = SimulatedDisk::new(1);
    let mut log = open_or_create(&disk).unwrap();
    let (mut run, mut dice) = (Run::new(), Dice::new(5));
    for number in 0..records {
        let records = (0..1 + number % 3).map(|index| record(&mut dice, number + index)).collect();
        run.submit(&mut log, records).unwrap();
        log.flush().unwrap();
    }
    let recovered = run.check(&log);
    if close {
        log.close().unwrap();
    }
    (disk, recovered)
}

/// What reading the whole log gives: all of it or an error.
fn read_all(log: &Log) -> Result<Vec<ledger_storage::log::Record>, LogError> {
    log.reader().records().map(|record| record.map(|(_, record)| record)).collect()
}

fn names_a_place(error: &LogError) {
    let message = error.to_string();
    assert!(message.contains("log-"), "{message}");
    assert!(
        matches!(
            error,
            LogError::Damaged { .. }
                | LogError::DamagedRecord { .. }
                | LogError::UnknownVersion { .. }
                | LogError::Foreign { .. }
        ),
        "{error:?}"
    );
}

/// Every way of reading a damaged log: error or truth.
fn never_lies(disk: &SimulatedDisk, truth: &Recovered) -> bool {
    let log = match open(disk) {
        Ok(log) => log,
        Err(error) => {
            names_a_place(&error);
            return true;
        }
    };
    assert_eq!(log.recovery().torn, None);
    let expected: Vec<_> = truth.records.iter().map(|(_, record)| record.clone()).collect();
    let mut detected = false;
    match read_all(&log) {
        Ok(records) => assert!(records == expected, "wrong records were returned"),
        Err(error) => {
            names_a_place(&error);
            detected = true;
        }
    }
    // The whole was read above; single reads are slower, and a sample of them will do.
    for (position, record) in truth.records.iter().step_by(5) {
        match log.reader().read(*position) {
            Ok(found) => assert_eq!(found, *record),
            Err(error) => {
                names_a_place(&error);
                assert!(detected, "a single read saw damage that reading everything didn't");
            }
        }
    }
    detected
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_detected_or_harmless() {
    let (disk, truth) = written(10, true);
    let (mut flips, mut detected) = (0_u64, 0_u64);
    for name in disk.list().unwrap() {
        let length = disk.open(&name).unwrap().len().unwrap();
        for byte in 0..length {
            let copy = disk.survivor(1);
            copy.flip_bit(&name, byte * 8 + byte % 8).unwrap();
            assert_eq!(copy.faults().flipped_bits, 1);
            let seal_or_fill = copy.list().unwrap().last() == Some(&name) && byte >= truth.end.offset;
            if seal_or_fill {
                // Behind the last record nothing can be lost: it is cut, and the report says so.
                let log = open(&copy).unwrap();
                assert!(log.recovery().torn.is_some());
                assert_eq!(Recovered::of(&log).records, truth.records);
            } else {
                detected += u64::from(never_lies(&copy, &truth));
                flips += 1;
            }
        }
    }
    assert!(flips > 2_000, "{flips}");
    assert_eq!(flips, detected, "every byte before the end is covered by a checksum");
}

#[test]
fn a_damaged_record_is_known_by_chain_and_height_and_all_others_are_read() {
    const HEAD: u64 = 64;
    let (disk, truth) = written(40, true);
    let names = disk.list().unwrap();
    let name = |segment: u64| names.iter().find(|name| name.ends_with(&format!("{segment:020}"))).unwrap();
    let mut dice = Dice::new(11);
    let (mut named, mut cut) = (0, 0);
    for (index, (position, record)) in truth.records.iter().enumerate() {
        if record.bytes.is_empty() {
            continue;
        }
        let copy = disk.survivor(1);
        let byte = position.offset + HEAD + dice.roll(record.bytes.len() as u64);
        copy.flip_bit(name(position.segment), byte * 8 + dice.roll(8)).unwrap();
        let log = open(&copy).unwrap();
        if log.recovery().torn.is_some() {
            // The last group, which a crash may have left so.
            assert!(truth.records.len() - index <= 3);
            cut += 1;
            continue;
        }
        let read: Vec<_> = log.reader().records().collect();
        assert_eq!(read.len(), truth.records.len());
        for (found, (at, expected)) in read.iter().zip(&truth.records) {
            match found {
                Ok((place, record)) => assert_eq!((place, record), (at, expected)),
                Err(LogError::DamagedRecord { file, offset, chain, height }) => {
                    assert_eq!(at, position);
                    assert_eq!((file, *offset), (name(at.segment), at.offset));
                    assert_eq!((*chain, *height), (record.chain, record.height));
                    named += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        // Reading from behind it, or from it on, meets it as it should.
        let from = log.reader().records_from(position.after()).unwrap();
        assert_eq!(from.map(Result::unwrap).count(), truth.records.len() - index - 1);
        assert!(log.reader().records_from(*position).unwrap().next().unwrap().is_err());
        assert!(log.reader().verify().is_err());
        // What is written behind it is kept.
        let mut log = log;
        log.submit(vec![record.clone()]).unwrap();
        log.close().unwrap();
        let log = open(&copy).unwrap();
        assert_eq!(log.reader().records().filter(Result::is_ok).count(), truth.records.len());
    }
    assert!(named > 50 && cut <= 3, "{named} named, {cut} cut");
}

#[test]
fn a_flipped_bit_in_an_unsealed_last_group_is_cut_and_reported() {
    let (disk, truth) = written(6, false);
    let name = disk.list().unwrap().pop().unwrap();
    let last_group = truth.records.len() - 3;
    let start = truth.records[last_group].0.offset - 72;
    for byte in start..truth.end.offset {
        let copy = disk.survivor(1);
        copy.flip_bit(&name, byte * 8).unwrap();
        let log = open(&copy).unwrap();
        assert!(log.end().records < truth.end.records, "whoever knows how far it was can tell");
        let torn = log.recovery().torn.clone().unwrap();
        assert_eq!((torn.offset, torn.file.as_str()), (start, name.as_str()));
        assert_eq!(Recovered::of(&log).records, truth.records[..last_group]);
    }
}

#[test]
fn misdirected_writes_are_detected_or_harmless() {
    let (disk, truth) = written(16, true);
    let names = disk.list().unwrap();
    let mut dice = Dice::new(3);
    let mut detected = 0;
    for _ in 0..1_000 {
        let copy = disk.survivor(1);
        let last = names.len() as u64;
        let (from, to) = (&names[dice.roll(last) as usize], &names[dice.roll(last) as usize]);
        let length = [8, 64, 512][dice.roll(3) as usize];
        let mut place = |name: &String| {
            let file_end = copy.open(name).unwrap().len().unwrap();
            // The seal and the zeros behind it aren't records; damage there is the other test's.
            let end = if Some(name) == names.last() { truth.end.offset } else { file_end };
            dice.roll(end - length)
        };
        let (source, target) = (place(from), place(to));
        copy.misdirect(from, source, to, target, length as usize).unwrap();
        assert_eq!(copy.faults().misdirected_writes, 1);
        detected += u64::from(never_lies(&copy, &truth));
    }
    assert!(detected > 900, "{detected}");
}

#[test]
fn a_whole_record_in_another_ones_place_is_detected() {
    let disk = SimulatedDisk::new(1);
    let mut log = open_or_create(&disk).unwrap();
    let records: Vec<_> = (0..20_u8)
        .map(|number| {
            let mut record = record(&mut Dice::new(1), 1);
            record.bytes = vec![number; 400];
            record
        })
        .collect();
    let mut positions = Vec::new();
    for record in &records {
        let ticket = log.submit(vec![record.clone()]).unwrap();
        log.flush().unwrap();
        positions.push(ticket.outcome().unwrap().unwrap()[0]);
    }
    log.close().unwrap();
    assert!(positions[19].segment > 2);
    let name = |segment: u64| disk.list().unwrap()[segment as usize - 1].clone();
    for (from, to) in [(0, 1), (1, 0), (0, 19), (19, 0), (3, 18)] {
        let copy = disk.survivor(1);
        let (source, target) = (positions[from], positions[to]);
        let length = source.length as usize;
        copy.misdirect(&name(source.segment), source.offset, &name(target.segment), target.offset, length).unwrap();
        match open(&copy) {
            Err(error) => names_a_place(&error),
            Ok(log) => {
                for wrong in [source, target] {
                    assert!(matches!(log.reader().read(wrong), Err(LogError::Damaged { .. })));
                }
                assert!(log.reader().verify().is_err());
            }
        }
    }
}

/// A log of one identity whose groups hold one record each, with `first` to tell histories apart.
fn history(first: u8) -> (SimulatedDisk, Vec<ledger_storage::log::LogPosition>) {
    let disk = SimulatedDisk::new(1);
    let mut log = open_or_create(&disk).unwrap();
    let mut positions = Vec::new();
    for number in [first, 100, 101] {
        let mut record = record(&mut Dice::new(1), 1);
        record.bytes = vec![number; 100];
        let ticket = log.submit(vec![record]).unwrap();
        log.flush().unwrap();
        positions.push(ticket.outcome().unwrap().unwrap()[0]);
    }
    (disk, positions)
}

/// Copies a range of the first segment from one disk to another, as a reused block may show an older state of the log.
fn splice(from: &SimulatedDisk, to: &SimulatedDisk, offset: u64, length: u64) {
    let name = &from.list().unwrap()[0];
    let mut bytes = vec![0; length as usize];
    from.open(name).unwrap().read_exact_at(offset, &mut bytes).unwrap();
    let file = to.open(name).unwrap();
    file.write_all_at(offset, &bytes).unwrap();
    file.sync_data().unwrap();
}

#[test]
fn a_record_of_another_history_at_its_own_place_is_detected() {
    let ((one, positions), (other, _)) = (history(1), history(2));
    splice(&other, &one, positions[0].offset, u64::from(positions[0].length));
    let error = open(&one).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_group_of_another_history_at_its_own_place_is_detected() {
    let ((one, positions), (other, _)) = (history(1), history(2));
    splice(&other, &one, positions[1].offset - 72, 72 + u64::from(positions[1].length));
    let error = open(&one).unwrap_err();
    assert!(matches!(error, LogError::Damaged { reason, .. } if reason.contains("doesn't follow")), "{error}");
}

#[test]
fn a_whole_segment_in_the_wrong_place_is_detected() {
    let (disk, _) = written(16, true);
    let names = disk.list().unwrap();
    assert!(names.len() > 3);

    let missing = disk.survivor(1);
    missing.remove(&names[1]).unwrap();
    assert!(matches!(open(&missing), Err(LogError::MissingSegment { file }) if file == names[1]));

    let swapped = disk.survivor(1);
    swapped.rename(&names[2], &names[1]).unwrap();
    assert!(matches!(open(&swapped), Err(LogError::Damaged { .. })));

    let cut = disk.survivor(1);
    let file = cut.open(&names[1]).unwrap();
    file.set_len(file.len().unwrap() - 1).unwrap();
    assert!(matches!(open(&cut), Err(LogError::Damaged { .. })));

    let foreign = disk.survivor(1);
    let other = SimulatedDisk::new(2);
    let stranger = ledger_storage::log::LogId::new([8; 32]);
    let mut log = Log::open_or_create(Arc::new(other.clone()), stranger, small_config()).unwrap();
    while other.list().unwrap().len() < names.len() {
        log.submit(vec![record(&mut Dice::new(4), 1)]).unwrap();
        log.flush().unwrap();
    }
    let last = names.last().unwrap();
    let source = other.open(last).unwrap();
    let mut bytes = vec![0; source.len().unwrap() as usize];
    source.read_exact_at(0, &mut bytes).unwrap();
    foreign.open(last).unwrap().write_all_at(0, &bytes).unwrap();
    assert!(matches!(open(&foreign), Err(LogError::Foreign { file }) if file == *last));
}

#[test]
fn segments_of_several_ages_of_one_log_are_detected() {
    let grown = |length: usize| {
        let disk = SimulatedDisk::new(1);
        let mut log = open_or_create(&disk).unwrap();
        while disk.list().unwrap().len() < 3 {
            let mut record = record(&mut Dice::new(1), 1);
            record.bytes = vec![1; length];
            log.submit(vec![record]).unwrap();
            log.flush().unwrap();
        }
        disk.survivor(1)
    };
    // Whoever counts its records would count backwards from the second segment to the third.
    let (many, few) = (grown(10), grown(1_300));
    let name = &many.list().unwrap()[2];
    let source = few.open(name).unwrap();
    let mut bytes = vec![0; source.len().unwrap() as usize];
    source.read_exact_at(0, &mut bytes).unwrap();
    let target = many.open(name).unwrap();
    target.set_len(bytes.len() as u64).unwrap();
    target.write_all_at(0, &bytes).unwrap();
    let found = open(&many).map(|log| log.reader().segments());
    assert!(matches!(&found, Err(LogError::Damaged { file, offset: 0, .. }) if file == name), "{found:?}");
}

#[test]
fn a_segment_of_another_format_says_which_is_understood() {
    let (disk, _) = written(3, true);
    let name = disk.list().unwrap().remove(0);
    disk.open(&name).unwrap().write_all_at(8, &9_u32.to_le_bytes()).unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, LogError::UnknownVersion { found: 9, understood: 1, .. }), "{error}");
    assert!(error.to_string().contains("format 9") && error.to_string().contains("understands 1"), "{error}");
}

#[test]
fn positions_that_no_ticket_gave_return_no_record() {
    let (disk, truth) = written(8, false);
    let log = open(&disk).unwrap();
    let (position, _) = truth.records[3];
    let reader = log.reader();
    for wrong in [
        ledger_storage::log::LogPosition { offset: position.offset + 1, ..position },
        ledger_storage::log::LogPosition { length: position.length - 1, ..position },
        ledger_storage::log::LogPosition { length: 5, ..position },
        ledger_storage::log::LogPosition { segment: position.segment + 1, ..position },
    ] {
        assert!(matches!(reader.read(wrong), Err(LogError::Damaged { .. } | LogError::Beyond { .. })), "{wrong}");
    }
    let beyond = ledger_storage::log::LogPosition { segment: 99, ..position };
    assert!(matches!(reader.read(beyond), Err(LogError::Beyond { segment: 99, .. })));
    let nowhere = ledger_storage::log::LogPosition { offset: u64::MAX, ..position };
    assert!(matches!(reader.read(nowhere), Err(LogError::Beyond { .. })));
}

#[test]
fn nothing_is_changed_when_opening_is_refused() {
    let (disk, _) = written(16, true);
    let names = disk.list().unwrap();
    disk.flip_bit(&names[1], 8 * 20).unwrap();
    let before = disk.operations();
    assert!(open(&disk).is_err());
    assert_eq!(disk.operations(), before);
    assert!(matches!(disk.open("absent"), Err(DiskError::NotFound { .. })));
}
