//! Opening the archive: unfinished segments go, sealed ones say what they hold.

use std::sync::Arc;

use super::ArchiveError;
use super::catalog::Catalog;
use super::format::{FOOTER, Footer, HEADER, NAMES, RANGE, Range, check_header, file_name, part};
use super::segment::in_order;
use crate::disk::{Disk, File};
use crate::log::LogId;
use crate::segmented::{FileRole, Key};

/// What opening an archive found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ArchiveRecovery {
    /// Sealed segments that can be read.
    pub segments: u64,
    /// Segments that were being written at a crash, and were removed.
    pub unfinished: u64,
    /// Segments whose header or tables are damaged, and why: nothing of them can be read, and nothing deletes them.
    pub damaged: Vec<Arc<ArchiveError>>,
}

pub(super) struct Opened {
    pub(super) catalog: Catalog,
    /// The number of the next segment.
    pub(super) next: u64,
    pub(super) recovery: ArchiveRecovery,
}

pub(super) fn open(disk: &dyn Disk, key: &Key, id: &LogId) -> Result<Opened, ArchiveError> {
    let mut segments = Vec::new();
    let mut unfinished = Vec::new();
    for name in disk.list()? {
        match NAMES.role(&name) {
            FileRole::Segment(number) => segments.push(number),
            FileRole::Unfinished => unfinished.push(name),
            FileRole::Other => {}
        }
    }
    segments.sort_unstable();
    let mut opened = Opened { catalog: Catalog::default(), next: 1, recovery: ArchiveRecovery::default() };
    for number in segments {
        let added =
            read_tables(disk, key, id, number).and_then(|(footer, ranges)| opened.catalog.add(number, footer, &ranges));
        match added {
            Ok(()) => opened.recovery.segments += 1,
            Err(error @ ArchiveError::Damaged { .. }) => opened.catalog.add_unreadable(error),
            Err(error) => return Err(error),
        }
        opened.next = number.saturating_add(1);
    }
    // Only now: where opening is refused, nothing has been changed.
    for name in &unfinished {
        disk.remove(name)?;
    }
    // The newest segment's name may have been given just before a crash of the process, and be durable nowhere yet.
    disk.sync_folder()?;
    opened.recovery.unfinished = unfinished.len() as u64;
    opened.recovery.damaged = opened.catalog.unreadable().to_vec();
    Ok(opened)
}

/// The footer and the chains of a sealed segment, checked.
pub(super) fn read_tables(
    disk: &dyn Disk,
    key: &Key,
    id: &LogId,
    number: u64,
) -> Result<(Footer, Vec<Range>), ArchiveError> {
    let damaged = |offset, reason| ArchiveError::Damaged { file: file_name(number), offset, wanted: None, reason };
    let file = disk.open(&file_name(number))?;
    let length = file.len()?;
    let Some(end) = length.checked_sub(FOOTER as u64).filter(|end| *end >= HEADER as u64) else {
        return Err(damaged(length, "it is shorter than a header and a footer"));
    };
    let mut header = [0; HEADER];
    file.read_exact_at(0, &mut header)?;
    check_header(&header, id, number)?;
    let mut footer = [0; FOOTER];
    file.read_exact_at(end, &mut footer)?;
    let footer = Footer::decode(&footer, key, number, length)
        .ok_or_else(|| damaged(end, "the footer isn't the one that was written there"))?;
    let ranges = read_chains(&*file, key, number, &footer)?
        .ok_or_else(|| damaged(footer.tables, "the table of chains isn't the one that was written there"))?;
    Ok((footer, ranges))
}

fn read_chains(file: &dyn File, key: &Key, number: u64, footer: &Footer) -> Result<Option<Vec<Range>>, ArchiveError> {
    // Bounded by the file's length, which the footer has been checked against.
    let Ok(length) = usize::try_from(footer.chains_bytes()) else { return Ok(None) };
    let mut bytes = vec![0; length];
    file.read_exact_at(footer.tables, &mut bytes)?;
    if key.checksum(part::CHAINS, number, footer.tables, &[&bytes]) != footer.chains_checksum {
        return Ok(None);
    }
    let (records, _) = bytes.as_chunks::<RANGE>();
    let ranges: Vec<Range> = records.iter().map(Range::decode).collect();
    let sound = ranges.iter().all(|range| {
        range.first <= range.last && range.first_run.checked_add(range.runs).is_some_and(|end| end <= footer.runs)
    });
    let sorted = ranges.is_sorted_by(in_order);
    Ok((sound && sorted).then_some(ranges))
}
