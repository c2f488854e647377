//! Which segments of bulk storage there are, and who still needs them.
//!
//! Kept in ordered keys of [`Space::SHARED`], in the table of the [`Class`]:
//!
//! | key | value |
//! |---|---|
//! | `S` ‖ first address (6 bytes) | 0 while it is written, 1 after ‖ where it ends, or may end at most (6 bytes) |
//! | `W` ‖ first address (6 bytes) ‖ space (4 bytes) | empty: the space wrote into the segment |
//! | `F` ‖ space (4 bytes) | the space needs nothing below this address (6 bytes) |
//!
//! A space's `W` is applied before it learns any address in the segment. Batches never survive a crash without all
//! earlier ones, so a segment of which no key is left is one that nothing points to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::engine::{Address, Batch, Direction, EngineError, Snapshot, Space, after_prefix};

/// Bulk bytes that stay, or bulk bytes that go soon: kept apart, so that whole segments of the latter can be deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    /// Its table of [`Space::SHARED`], which is the engine's own.
    table: u8,
    /// The subfolder of the engine's folder.
    pub(super) folder: &'static str,
    /// The first address.
    pub(super) first: Address,
    /// The address before which it ends.
    pub(super) end: Address,
    /// Whether what makes a segment unneeded has to be durable before it is deleted.
    pub(super) careful: bool,
}

/// What spaces keep.
pub(super) const KEPT: Class =
    Class { table: 0x08, folder: "bulk", first: Address::ZERO, end: Address::MIDDLE, careful: true };
/// What spaces can do without after a crash.
pub(super) const SCRATCH: Class =
    Class { table: 0x09, folder: "scratch", first: Address::MIDDLE, end: Address::MAX, careful: false };

const SEGMENT: u8 = b'S';
const WRITER: u8 = b'W';
const FLOOR: u8 = b'F';

/// What is known of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Nothing is appended to it any more.
    pub(super) sealed: bool,
    /// Where it ends, or may end at most.
    pub(super) end: Address,
    /// Who wrote into it.
    pub(super) writers: BTreeSet<Space>,
}

/// Segments by their first address, and each space's floor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) segments: BTreeMap<Address, Known>,
    pub(super) floors: BTreeMap<Space, Address>,
}

pub(super) fn put_segment(class: &Class, batch: &mut Batch, start: Address, sealed: bool, end: Address) {
    let mut value = vec![u8::from(sealed)];
    value.extend_from_slice(&end.packed());
    batch.put(segment_key(class, start), value);
}

pub(super) fn put_writer(class: &Class, batch: &mut Batch, start: Address, space: Space) {
    batch.put(writer_key(class, start, space), Vec::new());
}

pub(super) fn put_floor(class: &Class, batch: &mut Batch, space: Space, floor: Address) {
    let key = Space::SHARED.key(class.table, &[&[FLOOR], &space.number().to_be_bytes()]);
    batch.put(key, floor.packed().to_vec());
}

pub(super) fn delete_segment(class: &Class, batch: &mut Batch, start: Address, known: &Known) {
    batch.delete(segment_key(class, start));
    for space in &known.writers {
        batch.delete(writer_key(class, start, *space));
    }
}

fn segment_key(class: &Class, start: Address) -> Vec<u8> {
    Space::SHARED.key(class.table, &[&[SEGMENT], &start.packed()])
}

fn writer_key(class: &Class, start: Address, space: Space) -> Vec<u8> {
    Space::SHARED.key(class.table, &[&[WRITER], &start.packed(), &space.number().to_be_bytes()])
}

impl Needs {
    /// What `snapshot` says, in the engine in `folder`.
    pub(super) fn load(class: &Class, snapshot: &dyn Snapshot, folder: &Path) -> Result<Self, EngineError> {
        let mut needs = Self::default();
        let prefix = Space::SHARED.key(class.table, &[]);
        // Segments sort before the spaces that wrote into them.
        for entry in snapshot.range(&prefix, after_prefix(prefix.clone()).as_deref(), Direction::Forward) {
            let (key, value) = entry?;
            needs.take(Space::suffix(&key), &value).ok_or_else(|| EngineError::Damaged {
                folder: folder.to_path_buf(),
                reason: format!("its list of bulk segments has the unreadable entry {key:?}"),
            })?;
        }
        let mut before = Address::ZERO;
        for (start, known) in &needs.segments {
            if *start < before || known.end < *start {
                let reason = format!("its list of bulk segments has two of them at {start}");
                return Err(EngineError::Damaged { folder: folder.to_path_buf(), reason });
            }
            before = if known.sealed { known.end } else { *start };
        }
        Ok(needs)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (kind, rest) = key.split_first()?;
        match *kind {
            FLOOR => {
                let space = Space::new(u32::from_be_bytes(rest.try_into().ok()?));
                self.floors.insert(space, Address::from_packed(value.try_into().ok()?));
            }
            SEGMENT => {
                let (sealed, end) = value.split_first()?;
                let end = Address::from_packed(end.try_into().ok()?);
                let known = Known { sealed: *sealed == 1, end, writers: BTreeSet::new() };
                self.segments.insert(Address::from_packed(rest.try_into().ok()?), known);
            }
            WRITER => {
                let (start, space) = rest.split_first_chunk::<6>()?;
                let space = Space::new(u32::from_be_bytes(space.try_into().ok()?));
                self.segments.get_mut(&Address::from_packed(*start))?.writers.insert(space);
            }
            _ => return None,
        }
        Some(())
    }

    /// The sealed segments that no space needs.
    pub(super) fn unneeded(&self) -> Vec<Address> {
        let needed = |known: &Known| known.writers.iter().any(|space| self.floor(*space) < known.end);
        self.segments.iter().filter(|(_, known)| known.sealed && !needed(known)).map(|(start, _)| *start).collect()
    }

    pub(super) fn floor(&self, space: Space) -> Address {
        self.floors.get(&space).copied().unwrap_or_default()
    }
}
