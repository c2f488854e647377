//! Checking every byte.

use std::collections::BTreeSet;

use super::format::{Footer, Range, file_name};
use super::reader::{Shared, blocks};
use super::{ArchiveError, ArchiveReader, recovery};

/// Damages that are kept in a [`Verified`]; more are counted only.
const MOST_DAMAGES: usize = 256;

/// What checking an archive found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Segments read.
    pub segments: u64,
    /// Blocks found at the places where the tables say that they are.
    pub blocks: u64,
    /// The damages, the first 256 of them.
    pub damages: Vec<ArchiveError>,
    /// How many there are.
    pub damaged: u64,
}

impl Verified {
    fn add(&mut self, error: ArchiveError) {
        self.damaged += 1;
        if self.damages.len() < MOST_DAMAGES {
            self.damages.push(error);
        }
    }
}

impl ArchiveReader {
    /// Reads everything that is sealed and checks it: headers, tables, chunks, and that each block is where the tables
    /// say and nowhere else. Goes on after a damage; one chunk and one table are in memory at a time.
    ///
    /// # Errors
    /// [`ArchiveError::Disk`] when the disk fails otherwise.
    pub fn verify(&self) -> Result<Verified, ArchiveError> {
        let mut verified = Verified::default();
        let (segments, unreadable) = {
            let catalog = self.shared().catalog();
            (catalog.segments().map(|(number, _)| number).collect::<Vec<_>>(), catalog.unreadable().to_vec())
        };
        unreadable.iter().for_each(|error| verified.add((**error).clone()));
        for number in segments {
            match verify_segment(self.shared(), number, &mut verified) {
                Err(error @ ArchiveError::Disk(_)) if self.still_there(number) => return Err(error),
                Err(ArchiveError::Disk(_)) => continue,
                Err(error) => verified.add(error),
                Ok(()) => {}
            }
            verified.segments += 1;
        }
        Ok(verified)
    }

    fn still_there(&self, segment: u64) -> bool {
        self.shared().catalog().segments().any(|(number, _)| number == segment)
    }
}

fn verify_segment(shared: &Shared, number: u64, verified: &mut Verified) -> Result<(), ArchiveError> {
    let (footer, ranges) = recovery::read_tables(&*shared.disk, &shared.key, &shared.id, number)?;
    let places = shared.read_places(number, &footer)?;
    let damaged = |offset, reason| ArchiveError::Damaged { file: file_name(number), offset, wanted: None, reason };
    let mut expected = expected(&footer, &ranges, &places.runs)
        .ok_or_else(|| damaged(footer.places_offset(), "the tables of chains and places contradict each other"))?;
    for (index, place) in (0..).zip(&places.chunks) {
        let chunk = match shared.read_chunk(number, *place) {
            Ok(chunk) => chunk,
            Err(error @ ArchiveError::Disk(_)) => return Err(error),
            Err(error) => {
                verified.add(error);
                expected.retain(|(chunk, ..)| *chunk != index);
                continue;
            }
        };
        for block in blocks(&chunk) {
            let known = block.is_some_and(|block| expected.remove(&(index, block.chain, block.height)));
            if !known {
                verified.add(damaged(place.offset, "the chunk has a block that no table names, or none"));
                break;
            }
            verified.blocks += 1;
        }
    }
    match expected.is_empty() {
        true => Ok(()),
        false => Err(damaged(footer.tables, "the tables name blocks that no chunk has")),
    }
}

type Expected = BTreeSet<(u32, ledger_core::ChainId, ledger_core::Height)>;

/// Which blocks the tables say to be in which chunk; `None` when they contradict each other. Bounded by the blocks that
/// one segment has.
fn expected(footer: &Footer, ranges: &[Range], runs: &[super::format::Run]) -> Option<Expected> {
    let mut expected = BTreeSet::new();
    for range in ranges {
        let first = usize::try_from(range.first_run).ok()?;
        let own = runs.get(first..first.checked_add(usize::try_from(range.runs).ok()?)?)?;
        let mut next = range.first;
        for run in own {
            if run.first != next || u64::from(run.blocks) > footer.blocks {
                return None;
            }
            for _ in 0..run.blocks {
                expected.insert((run.chunk, range.chain, next));
                next = next.next();
            }
        }
        if next.previous() != Some(range.last) {
            return None;
        }
    }
    (expected.len() as u64 == footer.blocks).then_some(expected)
}
