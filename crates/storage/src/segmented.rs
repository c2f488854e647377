//! What the files of the log and of the archive have in common: numbered names, little-endian fields, and checksums bound
//! to a file and a place in it.

use crate::log::LogId;

/// How the files of a sequence are named: a prefix and twenty digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names(pub(crate) &'static str);

/// What a file name of the folder is to a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileRole {
    /// The segment of this number.
    Segment(u64),
    /// One that was being made.
    Unfinished,
    /// None of the sequence's.
    Other,
}

const SUFFIX_NEW: &str = ".new";

impl Names {
    /// The file of a segment.
    pub(crate) fn of(self, segment: u64) -> String {
        format!("{}{segment:020}", self.0)
    }

    /// The file in which a segment is made before it has its name.
    pub(crate) fn unfinished(self, segment: u64) -> String {
        format!("{}{SUFFIX_NEW}", self.of(segment))
    }

    pub(crate) fn role(self, name: &str) -> FileRole {
        let Some(number) = name.strip_prefix(self.0) else { return FileRole::Other };
        let (number, unfinished) = number.strip_suffix(SUFFIX_NEW).map_or((number, false), |number| (number, true));
        match number.parse() {
            Ok(segment) if unfinished && self.unfinished(segment) == name => FileRole::Unfinished,
            Ok(segment) if self.of(segment) == name => FileRole::Segment(segment),
            _ => FileRole::Other,
        }
    }
}

pub(crate) type Checksum = [u8; 16];

/// Computes the checksums of one log's files of one kind: BLAKE3, keyed with a key derived from the log's id, cut to 16 bytes.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// `context` says what the files are, as BLAKE3's derivation of keys asks for.
    pub(crate) fn new(context: &'static str, id: &LogId) -> Self {
        Self(blake3::derive_key(context, id.as_bytes()))
    }

    /// The checksum of `parts`, one behind the other, at a place; `tag` says which part of the format they are.
    pub(crate) fn checksum(&self, tag: u8, segment: u64, offset: u64, parts: &[&[u8]]) -> Checksum {
        let mut place = [tag; 17];
        let fields = segment.to_le_bytes().into_iter().chain(offset.to_le_bytes());
        for (byte, value) in place.iter_mut().skip(1).zip(fields) {
            *byte = value;
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&place);
        // Long parts in one call each, so that BLAKE3 takes as many of their chunks at once as the processor can.
        for part in parts {
            hasher.update(part);
        }
        let mut checksum = [0; 16];
        hasher.finalize_xof().fill(&mut checksum);
        checksum
    }
}

/// Takes fields from the front of bytes; past their end it gives zeros, which no caller's length check lets happen.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = rest;
        head
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn zeros(&mut self, count: usize) -> bool {
        self.take(count).iter().all(|byte| *byte == 0)
    }
}
