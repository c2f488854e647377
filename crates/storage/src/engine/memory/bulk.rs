//! The memory engine's bulk storage, with the crashes that a real one may go through.

use std::collections::{BTreeMap, VecDeque};

use super::super::address::{aligned, length};
use super::super::{Address, EngineError, Space};

/// The unit of what a torn write leaves, in bytes.
const SECTOR: usize = 512;

#[derive(Clone)]
struct Segment {
    bytes: Vec<u8>,
    /// Where the next segment begins; `None` for the one that is being written.
    end: Option<u64>,
    /// Who wrote into it, and after which batch first.
    writers: BTreeMap<Space, u64>,
    /// After which batch it was deleted. Kept while one can go back that far.
    released: Option<u64>,
}

/// Something that held after a batch.
type Mark = (u64, u64);

/// Segments by their first address. What comes after batch `n` belongs to batch `n + 1`.
pub(super) struct Bulk {
    segment_bytes: u64,
    segments: BTreeMap<u64, Segment>,
    /// For each space, after which batch it said how far it needs nothing; oldest first.
    floors: BTreeMap<Space, Vec<Mark>>,
    /// Where the bytes end.
    end: u64,
    /// Where they ended when a batch was applied, for each batch that one can go back to.
    ends: VecDeque<Mark>,
    /// After which batch they were synced up to where, for each batch that one can go back to.
    synced: VecDeque<Mark>,
}

impl Bulk {
    pub(super) fn new(segment_bytes: u64) -> Self {
        Self {
            segment_bytes: aligned(segment_bytes.clamp(1, Address::MAX.get())),
            segments: BTreeMap::new(),
            floors: BTreeMap::new(),
            end: 0,
            ends: VecDeque::from([(0, 0)]),
            synced: VecDeque::from([(0, 0)]),
        }
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().filter(|segment| segment.released.is_none()).map(|segment| length(&segment.bytes)).sum()
    }

    /// Appends on behalf of `space`, after `batch`.
    pub(super) fn append(&mut self, batch: u64, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        let (more, limit) = (length(bytes), self.segment_bytes);
        if more > limit {
            return Err(EngineError::BlobLength { bytes: more, limit });
        }
        let no_address = || EngineError::NoAddress { bytes: more };
        let address = Address::new(self.end).ok_or_else(no_address)?;
        let end = address.get() + aligned(more);
        Address::new(end).ok_or_else(no_address)?;
        if let Some((start, last)) = self.segments.iter_mut().next_back()
            && end - start > limit
        {
            last.end = Some(self.end);
        }
        let start = match self.segments.iter().next_back() {
            Some((start, Segment { end: None, .. })) => *start,
            _ => self.end,
        };
        let segment = self.segments.entry(start).or_insert_with(|| Segment {
            bytes: Vec::new(),
            end: None,
            writers: BTreeMap::new(),
            released: None,
        });
        segment.bytes.extend_from_slice(bytes);
        segment.bytes.resize(usize::try_from(end - start).map_err(|_| no_address())?, 0);
        segment.writers.entry(space).or_insert(batch);
        self.end = end;
        Ok(address)
    }

    pub(super) fn read(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        if address.get() >= self.end {
            return Ok(0);
        }
        let released = EngineError::Released { address };
        let Some((start, segment)) = self.segments.range(..=address.get()).next_back() else { return Err(released) };
        if segment.released.is_some() || segment.end.is_some_and(|end| end <= address.get()) {
            return Err(released);
        }
        let offset = usize::try_from(address.get() - start).unwrap_or(usize::MAX);
        let there = segment.bytes.get(offset..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), there.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    /// Notes after `batch` what `space` needs no longer; returns the bytes of the segments that nobody needs.
    pub(super) fn release(&mut self, batch: u64, space: Space, below: Address) -> u64 {
        if self.floor(space) < below.get() {
            self.floors.entry(space).or_default().push((batch, below.get()));
        }
        let floors: BTreeMap<Space, u64> = self.floors.keys().map(|space| (*space, self.floor(*space))).collect();
        let mut freed = 0;
        for segment in self.segments.values_mut().filter(|segment| segment.released.is_none()) {
            let Some(end) = segment.end else { continue };
            if segment.writers.keys().all(|writer| floors.get(writer).is_some_and(|floor| *floor >= end)) {
                segment.released = Some(batch);
                freed += length(&segment.bytes);
            }
        }
        if freed > 0 {
            self.sync(batch);
        }
        freed
    }

    fn floor(&self, space: Space) -> u64 {
        self.floors.get(&space).and_then(|marks| marks.last()).map_or(0, |(_, floor)| *floor)
    }

    /// What was appended up to now, after `batch`, survives from now on.
    pub(super) fn sync(&mut self, batch: u64) {
        match self.synced.back_mut() {
            Some((at, end)) if *at == batch => *end = self.end,
            _ => self.synced.push_back((batch, self.end)),
        }
    }

    /// Batch `batch` was applied, and no crash leaves less than the content after `oldest`.
    pub(super) fn applied(&mut self, batch: u64, oldest: u64) {
        self.ends.push_back((batch, self.end));
        self.forget(oldest);
    }

    /// Drops what only going back further than to `oldest` could show.
    pub(super) fn forget(&mut self, oldest: u64) {
        while self.ends.get(1).is_some_and(|(batch, _)| *batch <= oldest) {
            self.ends.pop_front();
        }
        while self.synced.get(1).is_some_and(|(batch, _)| *batch <= oldest) {
            self.synced.pop_front();
        }
        for marks in self.floors.values_mut() {
            let hidden = marks.partition_point(|(batch, _)| *batch <= oldest).saturating_sub(1);
            marks.drain(..hidden);
        }
        self.segments.retain(|_, segment| segment.released.is_none_or(|batch| batch >= oldest));
    }

    /// What a crash right after `batch` leaves. Bytes that belong to later batches are gone, unless they were synced.
    /// With a seed, bytes that weren't synced are torn by it.
    pub(super) fn rewound(&self, batch: u64, tear: Option<u64>) -> Self {
        let until = |marks: &VecDeque<Mark>| -> VecDeque<Mark> {
            marks.iter().filter(|(at, _)| *at <= batch).copied().collect()
        };
        let last = |marks: &VecDeque<Mark>| marks.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let (mut ends, synced) = (until(&self.ends), until(&self.synced));
        let durable = last(&synced);
        let mut end = last(&ends).max(durable);
        let mut segments = self.segments.clone();
        if let Some(seed) = tear {
            end = torn(&mut segments, durable, end, seed);
        }
        for mark in &mut ends {
            mark.1 = mark.1.min(end);
        }
        segments.retain(|start, _| *start < end);
        for (start, segment) in &mut segments {
            segment.writers.retain(|_, at| *at < batch || *start < durable);
            segment.released = segment.released.filter(|at| *at < batch);
            segment.bytes.truncate(usize::try_from(end - start).unwrap_or(usize::MAX));
        }
        if let Some((_, last)) = segments.iter_mut().next_back() {
            last.end = None;
            last.released = None;
        }
        let floors = self
            .floors
            .iter()
            .map(|(space, marks)| (*space, marks.iter().filter(|(at, _)| *at < batch).copied().collect::<Vec<_>>()));
        let floors = floors.filter(|(_, marks)| !marks.is_empty()).collect();
        Self { segment_bytes: self.segment_bytes, segments, floors, end, ends, synced }
    }
}

/// Tears what lies from `durable` to `end`: sectors are kept, zero or garbage, and some of the tail may be missing.
/// Returns where it ends now.
fn torn(segments: &mut BTreeMap<u64, Segment>, durable: u64, end: u64, seed: u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (start, segment) in segments.iter_mut() {
        let safe = usize::try_from(durable.saturating_sub(*start)).unwrap_or(usize::MAX);
        for sector in segment.bytes.get_mut(safe..).unwrap_or_default().chunks_mut(SECTOR) {
            match random() % 4 {
                0 => sector.fill(0),
                1 => sector.iter_mut().for_each(|byte| *byte = random().to_be_bytes()[0]),
                _ => {}
            }
        }
    }
    let unsure = end.saturating_sub(durable);
    if unsure == 0 || random() % 2 == 0 {
        return end;
    }
    durable + aligned(random() % unsure).min(unsure)
}
