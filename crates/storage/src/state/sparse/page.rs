//! Slots and pages, and how they are hashed and stored.

use ledger_core::state::sparse as tree;
use ledger_core::{Height, StateError};
use ledger_crypto::Digest;

use super::super::damage::damaged;
use super::super::tables;
use super::MAX_BUCKET;
use super::prefix::Prefix;
use crate::engine::{Snapshot, Space};

/// Says in [`Slot::count`] that there are two keys or more, in pages.
const MANY: u8 = u8::MAX;

/// A subtree: its digest, and how many keys it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    count: u8,
    pub(super) digest: Digest,
}

/// What a slot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    /// So many keys, at least one.
    Bucket(usize),
    Page,
}

impl Slot {
    pub(super) const EMPTY: Self = Self { count: 0, digest: tree::EMPTY };

    pub(super) fn bucket(count: usize, digest: Digest) -> Self {
        // Larger buckets aren't made; were one made, its count would be noticed as damage when it is read.
        Self { count: u8::try_from(count).unwrap_or(MANY - 1), digest }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.count {
            0 => Kind::Empty,
            MANY => Kind::Page,
            count => Kind::Bucket(usize::from(count)),
        }
    }

    /// Whether it has one key, which stands for the whole subtree at whatever depth.
    pub(super) fn is_lone(&self) -> bool {
        self.count == 1
    }

    fn join(left: Self, right: Self) -> Self {
        match (left.count, right.count) {
            (0, 0 | 1) => right,
            (1, 0) => left,
            _ => Self { count: MANY, digest: tree::node(&left.digest, &right.digest) },
        }
    }
}

/// The subtree over `slots`, a power of two of them.
pub(super) fn fold(slots: &[Slot]) -> Slot {
    match slots {
        [] => Slot::EMPTY,
        [slot] => *slot,
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            Slot::join(fold(left), fold(right))
        }
    }
}

/// The sixteen subtrees below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    slots: [Slot; 16],
}

impl Page {
    pub(super) const EMPTY: Self = Self { slots: [Slot::EMPTY; 16] };

    pub(super) fn get(&self, nibble: u8) -> Slot {
        self.slots.get(usize::from(nibble)).copied().unwrap_or(Slot::EMPTY)
    }

    pub(super) fn set(&mut self, nibble: u8, slot: Slot) {
        if let Some(place) = self.slots.get_mut(usize::from(nibble)) {
            *place = slot;
        }
    }

    pub(super) fn slots(&self) -> &[Slot; 16] {
        &self.slots
    }

    /// The half-bytes whose slots aren't empty, with the slots.
    pub(super) fn filled(&self) -> impl Iterator<Item = (u8, Slot)> + '_ {
        (0..16).zip(self.slots).filter(|(_, slot)| slot.count != 0)
    }

    /// The slot that stands for this page.
    pub(super) fn slot(&self) -> Slot {
        Slot { count: MANY, digest: fold(&self.slots).digest }
    }

    /// How many keys it has, if no page lies below.
    pub(super) fn keys(&self) -> Option<usize> {
        self.slots.iter().try_fold(0, |sum, slot| match slot.kind() {
            Kind::Empty => Some(sum),
            Kind::Bucket(count) => Some(sum + count),
            Kind::Page => None,
        })
    }

    pub(super) fn read(space: Space, reader: &dyn Snapshot, prefix: &Prefix) -> Result<Self, StateError> {
        let key = prefix.with_bytes(|parts| tables::page_key(space, parts));
        let record = reader.get(&key)?.ok_or_else(|| damaged("page", prefix, "it is missing"))?;
        Self::decode(&record).ok_or_else(|| damaged("page", prefix, "its length doesn't fit its counts"))
    }

    /// Sixteen counts, then the digests of the slots that aren't empty.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(16 * 33);
        record.extend(self.slots.iter().map(|slot| slot.count));
        for (_, slot) in self.filled() {
            record.extend_from_slice(slot.digest.as_bytes());
        }
        record
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (counts, mut digests) = record.split_first_chunk::<16>()?;
        let mut page = Self::EMPTY;
        for (slot, &count) in page.slots.iter_mut().zip(counts) {
            if count == 0 {
                continue;
            }
            if count != MANY && usize::from(count) > MAX_BUCKET {
                return None;
            }
            let (digest, rest) = digests.split_first_chunk::<32>()?;
            *slot = Slot { count, digest: Digest::new(*digest) };
            digests = rest;
        }
        digests.is_empty().then_some(page)
    }
}

/// The slot of the whole tree, and the last block that changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RootRecord {
    pub(super) slot: Slot,
    pub(super) changed_at: Height,
}

impl RootRecord {
    pub(super) fn read(space: Space, reader: &dyn Snapshot) -> Result<Self, StateError> {
        let Some(record) = reader.get(&tables::page_key(space, &[]))? else {
            return Ok(Self { slot: Slot::EMPTY, changed_at: Height::GENESIS });
        };
        let read = || {
            let (&count, rest) = record.split_first()?;
            let (digest, rest) = rest.split_first_chunk::<32>()?;
            let changed_at: [u8; 8] = rest.try_into().ok()?;
            let slot = Slot { count, digest: Digest::new(*digest) };
            Some(Self { slot, changed_at: Height(u64::from_le_bytes(changed_at)) })
        };
        read().ok_or_else(|| damaged("page", "of the root", "it has another length"))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut record = vec![self.slot.count];
        record.extend_from_slice(self.slot.digest.as_bytes());
        record.extend_from_slice(&self.changed_at.0.to_le_bytes());
        record
    }
}
