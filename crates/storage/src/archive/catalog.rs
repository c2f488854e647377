//! What the archive holds: which heights of which chain are in which segment, and who still needs them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use ledger_core::{ChainId, Height};

use super::ArchiveError;
use super::format::{Footer, Range, file_name};

/// Heights of a chain, both included, of which none is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The first one.
    pub first: Height,
    /// The last one.
    pub last: Height,
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "blocks {} to {}", self.first, self.last)
    }
}

/// A sealed segment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    footer: Footer,
    /// Ranges that some chain still needs.
    needed: u32,
}

/// Where a range of a chain's heights is.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    held: Held,
    segment: u64,
    first_run: u32,
    runs: u32,
}

#[derive(Debug, Default)]
struct Chain {
    /// In the order of heights.
    stretches: VecDeque<Stretch>,
    last: Option<Height>,
    /// Nothing below it is needed.
    floor: Height,
}

/// Where to look for a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) segment: u64,
    pub(super) footer: Footer,
    pub(super) first_run: u32,
    pub(super) runs: u32,
}

#[derive(Debug, Default)]
pub(super) struct Catalog {
    segments: BTreeMap<u64, Segment>,
    chains: BTreeMap<ChainId, Chain>,
    /// Segments of which nothing is needed.
    unneeded: BTreeSet<u64>,
    unreadable: Vec<Arc<ArchiveError>>,
}

impl Catalog {
    /// Takes in a sealed segment, the newest so far. Its ranges are in the order of chains and heights.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] when a chain's heights don't come after those of earlier segments; nothing is taken in
    /// then.
    pub(super) fn add(&mut self, segment: u64, footer: Footer, ranges: &[Range]) -> Result<(), ArchiveError> {
        let mut last: Option<(ChainId, Height)> = None;
        for range in ranges {
            let within = last.filter(|(chain, _)| *chain == range.chain).map(|(_, last)| last);
            let before = within.or_else(|| self.chains.get(&range.chain)?.last);
            if before.is_some_and(|before| range.first <= before) {
                let reason = "a chain's blocks are in an earlier place, too";
                let file = file_name(segment);
                let wanted = Some((range.chain, range.first));
                return Err(ArchiveError::Damaged { file, offset: footer.tables, wanted, reason });
            }
            last = Some((range.chain, range.last));
        }
        let mut needed = 0;
        for range in ranges {
            let chain = self.chains.entry(range.chain).or_default();
            chain.last = Some(range.last);
            if range.last < chain.floor {
                continue;
            }
            let held = Held { first: range.first, last: range.last };
            chain.stretches.push_back(Stretch { held, segment, first_run: range.first_run, runs: range.runs });
            needed += 1;
        }
        self.segments.insert(segment, Segment { footer, needed });
        if needed == 0 {
            self.unneeded.insert(segment);
        }
        Ok(())
    }

    pub(super) fn add_unreadable(&mut self, error: ArchiveError) {
        self.unreadable.push(Arc::new(error));
    }

    pub(super) fn unreadable(&self) -> &[Arc<ArchiveError>] {
        &self.unreadable
    }

    /// Notes that `chain` needs nothing below `floor`.
    pub(super) fn release(&mut self, chain: ChainId, floor: Height) {
        let chain = self.chains.entry(chain).or_default();
        chain.floor = chain.floor.max(floor);
        while let Some(stretch) = chain.stretches.front().filter(|stretch| stretch.held.last < chain.floor).copied() {
            chain.stretches.pop_front();
            let Some(segment) = self.segments.get_mut(&stretch.segment) else { continue };
            segment.needed = segment.needed.saturating_sub(1);
            if segment.needed == 0 {
                self.unneeded.insert(stretch.segment);
            }
        }
    }

    /// Forgets a segment of which nothing is needed, the newest excepted, and gives its number and bytes.
    pub(super) fn take_unneeded(&mut self) -> Option<(u64, u64)> {
        let newest = *self.segments.last_key_value()?.0;
        let number = self.unneeded.iter().copied().find(|number| *number != newest)?;
        self.unneeded.remove(&number);
        let segment = self.segments.remove(&number)?;
        Some((number, segment.footer.segment_bytes()))
    }

    pub(super) fn last(&self, chain: &ChainId) -> Option<Height> {
        self.chains.get(chain)?.last
    }

    pub(super) fn floor(&self, chain: &ChainId) -> Height {
        self.chains.get(chain).map_or(Height::GENESIS, |chain| chain.floor)
    }

    /// The heights up to the last one without a gap, as far as they are kept.
    pub(super) fn held(&self, chain: &ChainId) -> Option<Held> {
        let chain = self.chains.get(chain)?;
        let mut held = chain.stretches.back()?.held;
        for stretch in chain.stretches.iter().rev().skip(1) {
            if stretch.held.last.next() != held.first {
                break;
            }
            held.first = stretch.held.first;
        }
        held.first = held.first.max(chain.floor);
        Some(held)
    }

    /// Where block `height` of `chain` is.
    ///
    /// # Errors
    /// [`ArchiveError::Released`] and [`ArchiveError::Absent`].
    pub(super) fn find(&self, chain: ChainId, height: Height) -> Result<Found, ArchiveError> {
        let floor = self.floor(&chain);
        if height < floor {
            return Err(ArchiveError::Released { chain, height, floor });
        }
        self.lookup(chain, height).ok_or_else(|| ArchiveError::Absent {
            chain,
            height,
            held: self.held(&chain),
            unreadable: self.unreadable.len(),
            first_unreadable: self.unreadable.first().cloned(),
        })
    }

    fn lookup(&self, chain: ChainId, height: Height) -> Option<Found> {
        let stretches = &self.chains.get(&chain)?.stretches;
        let index = stretches.partition_point(|stretch| stretch.held.last < height);
        let stretch = stretches.get(index).filter(|stretch| stretch.held.first <= height)?;
        let footer = self.segments.get(&stretch.segment)?.footer;
        Some(Found { segment: stretch.segment, footer, first_run: stretch.first_run, runs: stretch.runs })
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = (u64, Footer)> {
        self.segments.iter().map(|(number, segment)| (*number, segment.footer))
    }

    pub(super) fn chains(&self) -> Vec<ChainId> {
        self.chains.iter().filter(|(_, chain)| !chain.stretches.is_empty()).map(|(chain, _)| *chain).collect()
    }
}
