//! A version of a key as it lies in bulk storage.
//!
//! ```text
//!   length 4 | checksum 4 | flags 1 | name length 2 | namespace 4 | number 4 | height 8 | index 4
//!   | previous 6 | near 6 | far 6 | predecessor 32 | name | value | zeros up to the next multiple of 16
//! ```
//! Integers are little-endian; `flags` says which of the links and the predecessor are there. The versions of a key are
//! numbered from 0. Each links to the one before it, to the latest before it whose number is a multiple of 16 (`near`)
//! and to that whose number is a multiple of 256 (`far`), so that an old one is found in few steps. A link is an
//! address, or, inside one region, a distance back, both in units of 16 bytes: a region learns its address when it is
//! appended. The checksum (XXH3, 32 bits of it, seeded with the chain's space) finds what a disk did, not an attacker:
//! whoever can change these files can change the program too.

use std::sync::{Mutex, PoisonError};

use ledger_core::codec::Bytes;
use ledger_core::{Height, StateError, Version};
use ledger_crypto::Digest;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::damage::damaged;
use crate::engine::{Address, Engine, EngineError, Space};

/// A namespace's number in its chain.
pub(super) type NamespaceId = u32;

/// Records begin where an address can point.
const ALIGN: usize = 16;
const LINK: usize = 6;
const COVERED_FROM: usize = 8;

const VALUE: u8 = 1;
const PREDECESSOR: u8 = 2;
const PREVIOUS: u8 = 4;
const PREVIOUS_BACK: u8 = 8;
const NEAR: u8 = 16;
const NEAR_BACK: u8 = 32;
const FAR: u8 = 64;
const FAR_BACK: u8 = 128;

/// Numbers that are a multiple of this are what `near` links to.
const NEAR_STEP: u32 = 16;
/// Numbers that are a multiple of this are what `far` links to.
const FAR_STEP: u32 = 256;

/// Where another version of the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    At(Address),
    /// So many bytes before the region's own position of the record that links: the offset in the same region.
    Within(u64),
}

/// Links to older versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) previous: Option<Link>,
    pub(super) near: Option<Link>,
    pub(super) far: Option<Link>,
}

impl Links {
    /// The links of the version after the one that is at `place`, has `number` and links to `self`.
    pub(super) fn after(self, number: u32, place: Link) -> Self {
        Self {
            previous: Some(place),
            near: if number.is_multiple_of(NEAR_STEP) { Some(place) } else { self.near },
            far: if number.is_multiple_of(FAR_STEP) { Some(place) } else { self.far },
        }
    }
}

/// What a record says, apart from its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) namespace: NamespaceId,
    pub(super) number: u32,
    pub(super) version: Version,
    pub(super) links: Links,
    pub(super) predecessor: Option<Digest>,
}

/// Appends a record at the end of `region`, whose length is a multiple of 16, and keeps it one.
pub(super) fn append(space: Space, record: &Record, name: &[u8], value: Option<&[u8]>, region: &mut Vec<u8>) {
    let start = region.len();
    let mut flags = 0;
    if value.is_some() {
        flags |= VALUE;
    }
    if record.predecessor.is_some() {
        flags |= PREDECESSOR;
    }
    let links = [
        (record.links.previous, PREVIOUS, PREVIOUS_BACK),
        (record.links.near, NEAR, NEAR_BACK),
        (record.links.far, FAR, FAR_BACK),
    ];
    for (link, present, back) in &links {
        match link {
            Some(Link::At(_)) => flags |= present,
            Some(Link::Within(_)) => flags |= present | back,
            None => {}
        }
    }
    region.extend_from_slice(&[0; COVERED_FROM]);
    region.push(flags);
    region.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    region.extend_from_slice(&record.namespace.to_le_bytes());
    region.extend_from_slice(&record.number.to_le_bytes());
    region.extend_from_slice(&record.version.height.0.to_le_bytes());
    region.extend_from_slice(&record.version.index.to_le_bytes());
    for (link, _, _) in &links {
        match link {
            Some(Link::At(address)) => region.extend_from_slice(&address.packed()),
            Some(Link::Within(offset)) => {
                let back = (start as u64).saturating_sub(*offset);
                region.extend_from_slice(&Address::new(back).unwrap_or(Address::ZERO).packed());
            }
            None => {}
        }
    }
    if let Some(predecessor) = &record.predecessor {
        region.extend_from_slice(predecessor.as_bytes());
    }
    region.extend_from_slice(name);
    region.extend_from_slice(value.unwrap_or_default());
    let length = region.len() - start;
    let checksum = checksum(space, region.get(start + COVERED_FROM..).unwrap_or_default());
    if let Some(head) = region.get_mut(start..).and_then(|record| record.first_chunk_mut::<COVERED_FROM>()) {
        let (first, second) = head.split_at_mut(4);
        first.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        second.copy_from_slice(&checksum.to_le_bytes());
    }
    region.resize(start + length.next_multiple_of(ALIGN), 0);
}

/// The most bytes that a record of this name and value takes, about.
pub(super) fn room_for(name: &[u8], value: Option<&[u8]>) -> usize {
    COVERED_FROM + 23 + 3 * LINK + 32 + name.len() + value.map_or(0, <[u8]>::len) + ALIGN
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash is the checksum")]
fn checksum(space: Space, bytes: &[u8]) -> u32 {
    xxh3_64_with_seed(bytes, u64::from(space.number())) as u32
}

/// A record as it was read.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) record: Record,
    pub(super) name: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
    /// Bytes up to the next record.
    pub(super) length: usize,
}

impl Stored<'_> {
    pub(super) fn value(&self) -> Option<Bytes> {
        self.value.map(Bytes::from)
    }
}

/// The length of the record that begins with `bytes`, without padding.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    usize::try_from(length).ok().filter(|length| *length >= COVERED_FROM)
}

fn parse(space: Space, address: Address, bytes: &[u8]) -> Option<Stored<'_>> {
    let length = length_of(bytes)?;
    let bytes = bytes.get(..length)?;
    let (head, covered) = bytes.split_first_chunk::<COVERED_FROM>()?;
    let stated = u32::from_le_bytes(*head.get(4..)?.first_chunk::<4>()?);
    if checksum(space, covered) != stated {
        return None;
    }
    let mut rest = bytes.get(COVERED_FROM..)?;
    let (flags, name_length) = (take::<1>(&mut rest)?[0], usize::from(u16::from_le_bytes(take(&mut rest)?)));
    let namespace = u32::from_le_bytes(take(&mut rest)?);
    let number = u32::from_le_bytes(take(&mut rest)?);
    let height = Height(u64::from_le_bytes(take(&mut rest)?));
    let index = u32::from_le_bytes(take(&mut rest)?);
    let mut link = |present: u8, back: u8| -> Option<Option<Link>> {
        if flags & present == 0 {
            return Some(None);
        }
        let stored = Address::from_packed(take::<LINK>(&mut rest)?);
        let place = match flags & back {
            0 => stored,
            _ => Address::new(address.get().checked_sub(stored.get())?)?,
        };
        Some(Some(Link::At(place)))
    };
    let links =
        Links { previous: link(PREVIOUS, PREVIOUS_BACK)?, near: link(NEAR, NEAR_BACK)?, far: link(FAR, FAR_BACK)? };
    let predecessor = match flags & PREDECESSOR {
        0 => None,
        _ => Some(Digest::new(take(&mut rest)?)),
    };
    let (name, value) = rest.split_at_checked(name_length)?;
    let value = (flags & VALUE != 0).then_some(value);
    let record = Record { namespace, number, version: Version { height, index }, links, predecessor };
    Some(Stored { record, name, value, length: length.next_multiple_of(ALIGN) })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*taken)
}

/// The record at the front of `bytes`, which lie at `address`.
pub(super) fn decode(space: Space, address: Address, bytes: &[u8]) -> Result<Stored<'_>, StateError> {
    parse(space, address, bytes).ok_or_else(|| damaged("state record", address, "its checksum doesn't match"))
}

/// Why a record can't be read.
#[derive(Debug)]
pub(super) enum RecordError {
    /// It was given up since its address was looked up. What is still kept of its key lies elsewhere by now.
    Gone(Address),
    State(StateError),
}

impl From<StateError> for RecordError {
    fn from(error: StateError) -> Self {
        RecordError::State(error)
    }
}

impl From<EngineError> for RecordError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Released { address } => RecordError::Gone(address),
            other => RecordError::State(other.into()),
        }
    }
}

/// For those who have looked up while nothing could be given up.
impl From<RecordError> for StateError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Gone(address) => damaged("state record", address, "it was given up and is needed"),
            RecordError::State(error) => error,
        }
    }
}

/// Most records are read with one call.
const FIRST_READ: usize = 256;

/// Records as they are read one after another, in a buffer that is used again.
#[derive(Debug)]
pub(super) struct RecordReader<'a> {
    engine: &'a dyn Engine,
    space: Space,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for dyn Engine + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl<'a> RecordReader<'a> {
    pub(super) fn new(engine: &'a dyn Engine, space: Space) -> Self {
        Self { engine, space, buffer: vec![0; FIRST_READ] }
    }

    /// The record at `address`, unless it was given up.
    pub(super) fn read_kept(&mut self, address: Address) -> Result<Option<Stored<'_>>, RecordError> {
        match self.engine.read_bulk(address, &mut []) {
            Err(EngineError::Released { .. }) => Ok(None),
            _ => self.read(address).map(Some),
        }
    }

    /// The record at `address`.
    pub(super) fn read(&mut self, address: Address) -> Result<Stored<'_>, RecordError> {
        let read = self.engine.read_bulk(address, self.buffer.get_mut(..FIRST_READ).unwrap_or_default())?;
        let short = || damaged("state record", address, "it ends early");
        let length = length_of(self.buffer.get(..read).unwrap_or_default()).ok_or_else(short)?;
        if length > read {
            if length > MAX_RECORD_BYTES {
                return Err(damaged("state record", address, "its length is impossible").into());
            }
            if self.buffer.len() < length {
                self.buffer.resize(length, 0);
            }
            let got = self.engine.read_bulk(address, self.buffer.get_mut(..length).unwrap_or_default())?;
            if got < length {
                return Err(short().into());
            }
        }
        Ok(decode(self.space, address, self.buffer.get(..length).unwrap_or_default())?)
    }
}

/// Buffers of batches that were read, for the next ones, of whatever chain: small blocks come by the thousand a second, and
/// a buffer costs them more to allocate and to clear than to fill.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Buffers that are kept, at most.
const MOST_SPARE: usize = 8;
/// What one of them may take, in bytes.
const MOST_SPARE_BYTES: usize = 64 << 10;

/// Records that are read together.
#[derive(Debug)]
pub(super) struct RecordBatch<'a> {
    reader: RecordReader<'a>,
    addresses: Vec<Address>,
    bytes: Vec<u8>,
    counts: Vec<usize>,
}

impl<'a> RecordBatch<'a> {
    pub(super) fn new(engine: &'a dyn Engine, space: Space) -> Self {
        let reader = RecordReader::new(engine, space);
        let bytes = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Self { reader, addresses: Vec::new(), bytes, counts: Vec::new() }
    }

    /// Reads the records at `addresses`, in place of those read before.
    pub(super) fn read(&mut self, addresses: impl Iterator<Item = Address>) -> Result<(), RecordError> {
        self.addresses.clear();
        self.addresses.extend(addresses);
        let needed = self.addresses.len() * FIRST_READ;
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        self.counts.resize(self.addresses.len(), 0);
        let bytes = self.bytes.get_mut(..needed).unwrap_or_default();
        Ok(self.reader.engine.read_bulk_each(&self.addresses, bytes, &mut self.counts)?)
    }

    /// The record at the address with this number.
    pub(super) fn get(&mut self, index: usize) -> Result<Stored<'_>, RecordError> {
        let address = self.addresses.get(index).copied().unwrap_or(Address::MAX);
        let count = self.counts.get(index).copied().unwrap_or(0);
        let start = index * FIRST_READ;
        let bytes = self.bytes.get(start..start + count).unwrap_or_default();
        match length_of(bytes) {
            Some(length) if length <= count => Ok(decode(self.reader.space, address, bytes)?),
            // A long one, or one that isn't there.
            _ => self.reader.read(address),
        }
    }
}

impl Drop for RecordBatch<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE && bytes.len() <= MOST_SPARE_BYTES {
            spare.push(bytes);
        }
    }
}

/// The longest value, in bytes: what a [`Versioned`](ledger_core::Versioned) may take when it is encoded, and room for
/// what stands beside it.
pub(super) const MAX_VALUE_BYTES: usize = (16 << 20) - 64;

/// The longest record.
const MAX_RECORD_BYTES: usize = MAX_VALUE_BYTES + (64 << 10);
