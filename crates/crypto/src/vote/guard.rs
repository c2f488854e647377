//! What remembers the last vote beside the key.

use std::sync::{Arc, Mutex, PoisonError};

use super::VotePosition;
use crate::{Digest, Domain, hash};

/// The last vote that a guard knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastVote {
    /// Its position.
    pub position: VotePosition,
    /// Digest of its domain and message; `None` where only the log knows them.
    pub message: Option<Digest>,
}

impl LastVote {
    /// A vote that was found in the log and not in the guard.
    pub(super) fn known_to_log(position: VotePosition) -> Self {
        Self { position, message: None }
    }
}

/// What a guard remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardRecord {
    /// Identity of the log that the votes are in.
    pub log: Digest,
    /// The chain that they are for.
    pub chain: Digest,
    /// The last of them.
    pub last: Option<LastVote>,
}

/// Why bytes aren't a guard record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There are more or fewer bytes than a record has.
    #[error("guard record has {found} bytes where {} are wanted", GuardRecord::LENGTH)]
    Length {
        /// Bytes that there are.
        found: usize,
    },
    /// The bytes don't start as a guard record of this version does.
    #[error("guard record does not start with `ledgerkit guard 0`")]
    Header,
    /// The checksum doesn't fit.
    #[error("guard record's checksum does not fit")]
    Checksum,
    /// The checksum fits and the content makes no sense: another program wrote it.
    #[error("guard record's content is not in its one form")]
    Form,
}

const HEADER: &[u8; 18] = b"ledgerkit guard 0\n";
const CHECKSUM: Domain = Domain::new("ledgerkit guard checksum");

impl GuardRecord {
    /// Length of the byte form.
    pub const LENGTH: usize = 18 + 32 + 32 + 1 + 8 + 8 + 1 + 32 + 32;

    /// Byte form, integers little-endian: header `ledgerkit guard 0\n`, log, chain, how much is known of the last vote
    /// (0 nothing, 1 its position, 2 all), epoch, view, slot, message digest, BLAKE3 checksum of all before it.
    /// What isn't known is zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (known, position, message) = match self.last {
            None => (0, VotePosition { epoch: 0, view: 0, slot: 0 }, Digest::ZERO),
            Some(LastVote { position, message: None }) => (1, position, Digest::ZERO),
            Some(LastVote { position, message: Some(message) }) => (2, position, message),
        };
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend_from_slice(HEADER);
        bytes.extend_from_slice(self.log.as_bytes());
        bytes.extend_from_slice(self.chain.as_bytes());
        bytes.push(known);
        bytes.extend_from_slice(&position.epoch.to_le_bytes());
        bytes.extend_from_slice(&position.view.to_le_bytes());
        bytes.push(position.slot);
        bytes.extend_from_slice(message.as_bytes());
        let checksum = hash(CHECKSUM, &bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    /// Reads the byte form, and nothing but what [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    /// [`RecordError`], naming the defect.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let length = RecordError::Length { found: bytes.len() };
        if bytes.len() != Self::LENGTH {
            return Err(length);
        }
        let (content, checksum) = bytes.split_last_chunk::<32>().ok_or(length)?;
        let mut rest = content.strip_prefix(HEADER).ok_or(RecordError::Header)?;
        if hash(CHECKSUM, content).as_bytes() != checksum {
            return Err(RecordError::Checksum);
        }
        let log = Digest::new(take(&mut rest).ok_or(length)?);
        let chain = Digest::new(take(&mut rest).ok_or(length)?);
        let [known] = take(&mut rest).ok_or(length)?;
        let epoch = u64::from_le_bytes(take(&mut rest).ok_or(length)?);
        let view = u64::from_le_bytes(take(&mut rest).ok_or(length)?);
        let [slot] = take(&mut rest).ok_or(length)?;
        let message = Digest::new(take(&mut rest).ok_or(length)?);

        let position = VotePosition { epoch, view, slot };
        let last = match known {
            0 => None,
            1 => Some(LastVote { position, message: None }),
            _ => Some(LastVote { position, message: Some(message) }),
        };
        let record = Self { log, chain, last };
        if record.to_bytes() == bytes { Ok(record) } else { Err(RecordError::Form) }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// Why a guard couldn't be loaded or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The guard is there and its content is damaged. It must not be deleted to get on: that may cost the stake.
    #[error("vote guard {place} is damaged: {error}")]
    Damaged {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        #[source]
        error: RecordError,
    },
    /// There is none where there has to be one. A new one must not be made to get on: that may cost the stake.
    #[error("there is no vote guard in {place}: {reason}")]
    Absent {
        /// Where it should be.
        place: String,
        /// Why nobody can do without, and what to do.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("cannot {action} vote guard {place}")]
    Storage {
        /// Where it is.
        place: String,
        /// What failed: "read" or "write".
        action: &'static str,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// Remembers a [`GuardRecord`], apart from the log and beside the key.
pub trait Guard: Send {
    /// The record, or `None` if none was ever stored. A record that can't be read is an error, not `None`.
    ///
    /// # Errors
    /// [`GuardError`].
    fn load(&self) -> Result<Option<GuardRecord>, GuardError>;

    /// Replaces the record. It survives power loss once this returns, and the old one is whole until then.
    ///
    /// # Errors
    /// [`GuardError`]; which of the two records is there is then unknown.
    fn store(&mut self, record: &GuardRecord) -> Result<(), GuardError>;
}

/// A guard in memory, for simulations. Clones share their content, so one kept outside survives a simulated crash.
#[derive(Clone, Debug, Default)]
pub struct MemoryGuard(Arc<Mutex<Option<GuardRecord>>>);

impl MemoryGuard {
    /// A guard that holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Guard for MemoryGuard {
    fn load(&self) -> Result<Option<GuardRecord>, GuardError> {
        Ok(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn store(&mut self, record: &GuardRecord) -> Result<(), GuardError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(*record);
        Ok(())
    }
}
