//! Where the state's tables lie in a chain's space, and what their records look like.

use ledger_core::codec;
use ledger_core::{Height, Key, StateError, Version, Versioned};
use ledger_crypto::Digest;

use super::damage::damaged;
use crate::engine::{Space, after_prefix};

const NAMES: u8 = 0x10;
const VALUES: u8 = 0x11;
const VERSIONS: u8 = 0x12;
const PAGES: u8 = 0x13;

/// Longer values aren't repeated in the values' table.
const MAX_INLINE_BYTES: usize = 256;

pub(super) fn name_key(space: Space, key: &Key) -> Vec<u8> {
    space.key(NAMES, &[key.namespace.0.as_bytes(), &key.name])
}

/// The key that [`name_key`] was made of.
pub(super) fn key_of_name(stored: &[u8]) -> Result<Key, StateError> {
    Key::from_bytes(Space::suffix(stored)).ok_or_else(|| damaged("name", stored, "it is too short"))
}

pub(super) fn value_key(space: Space, place: &Digest) -> Vec<u8> {
    space.key(VALUES, &[place.as_bytes()])
}

/// The values whose key digests lie from `from` to `to`, both included.
pub(super) fn value_range(space: Space, from: &Digest, to: &Digest) -> (Vec<u8>, Option<Vec<u8>>) {
    (value_key(space, from), after_prefix(value_key(space, to)))
}

/// Key digest and content digest of a record in the values' table.
pub(super) fn leaf_of_value(key: &[u8], record: &[u8]) -> Result<(Digest, Digest), StateError> {
    let place = Space::suffix(key).first_chunk::<32>().filter(|_| key.len() == 37);
    let content = record.first_chunk::<32>();
    match (place, content) {
        (Some(place), Some(content)) => Ok((Digest::new(*place), Digest::new(*content))),
        _ => Err(damaged("value", key, "it is too short")),
    }
}

/// Versions sort newest first.
pub(super) fn version_key(space: Space, place: &Digest, version: Version) -> Vec<u8> {
    let (height, index) = (!version.height.0, !version.index);
    space.key(VERSIONS, &[place.as_bytes(), &height.to_be_bytes(), &index.to_be_bytes()])
}

/// All versions of a key, and where they end.
pub(super) fn versions_end(space: Space, place: &Digest) -> Option<Vec<u8>> {
    after_prefix(space.key(VERSIONS, &[place.as_bytes()]))
}

pub(super) fn version_of_key(key: &[u8]) -> Result<Version, StateError> {
    let read = || {
        let rest = Space::suffix(key).get(32..)?;
        let (height, rest) = rest.split_first_chunk::<8>()?;
        let index: [u8; 4] = rest.try_into().ok()?;
        Some(Version { height: Height(!u64::from_be_bytes(*height)), index: !u32::from_be_bytes(index) })
    };
    read().ok_or_else(|| damaged("version", key, "its key has another length"))
}

pub(super) fn page_key(space: Space, parts: &[&[u8]]) -> Vec<u8> {
    space.key(PAGES, parts)
}

/// What the values' table says of a key.
pub(super) enum Current {
    Inline(Versioned),
    Apart(Version),
}

const INLINE: u8 = 0;
const APART: u8 = 1;

/// The record of a value, whose encoding is `encoded`.
pub(super) fn encode_current(content: &Digest, versioned: &Versioned, encoded: &[u8]) -> Vec<u8> {
    let inline = versioned.value.len() <= MAX_INLINE_BYTES;
    let mut record = Vec::with_capacity(33 + if inline { encoded.len() } else { 12 });
    record.extend_from_slice(content.as_bytes());
    if inline {
        record.push(INLINE);
        record.extend_from_slice(encoded);
    } else {
        record.push(APART);
        record.extend_from_slice(&versioned.version.height.0.to_be_bytes());
        record.extend_from_slice(&versioned.version.index.to_be_bytes());
    }
    record
}

pub(super) fn decode_current(place: &Digest, record: &[u8]) -> Result<Current, StateError> {
    let rest = record.get(32..).unwrap_or_default();
    match rest.split_first() {
        Some((&INLINE, bytes)) => {
            codec::decode(bytes).map(Current::Inline).map_err(|error| damaged("value", place, error))
        }
        Some((&APART, bytes)) => {
            let read = || {
                let (height, rest) = bytes.split_first_chunk::<8>()?;
                let index: [u8; 4] = rest.try_into().ok()?;
                Some(Version { height: Height(u64::from_be_bytes(*height)), index: u32::from_be_bytes(index) })
            };
            read().map(Current::Apart).ok_or_else(|| damaged("value", place, "it has another length"))
        }
        _ => Err(damaged("value", place, "its form isn't known")),
    }
}

const DELETED: u8 = 0;
const WRITTEN: u8 = 1;

/// The record of a version: the value's encoding, or that it was deleted.
pub(super) fn encode_version(encoded: Option<&[u8]>) -> Vec<u8> {
    let Some(encoded) = encoded else { return vec![DELETED] };
    let mut record = Vec::with_capacity(1 + encoded.len());
    record.push(WRITTEN);
    record.extend_from_slice(encoded);
    record
}

pub(super) fn decode_version(key: &[u8], record: &[u8]) -> Result<Option<Versioned>, StateError> {
    match record.split_first() {
        Some((&DELETED, [])) => Ok(None),
        Some((&WRITTEN, bytes)) => codec::decode(bytes).map(Some).map_err(|error| damaged("version", key, error)),
        _ => Err(damaged("version", key, "its form isn't known")),
    }
}
