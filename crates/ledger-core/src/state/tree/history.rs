//! A key's older values, shown by its newest one: [`ValueHistory`].

use crate::codec::wire::de::{BorrowDecode, BorrowDecoder, Decoder};
use crate::codec::wire::error::DecodeError;
use crate::codec::{Decode, Encode, List};
use crate::state::{Key, Version, Versioned};
use crate::units::Height;
use ledger_crypto::Digest;

/// The values that a key had before its newest one.
///
/// Every value says by [`predecessor`](Versioned::predecessor) which leaf it replaced, so a proven value proves the one
/// before it, and so on. The chain ends where the key had no value: at its first one, or the first after a deletion.
/// It may be cut earlier; then it covers less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode)]
pub struct ValueHistory {
    /// The older values, the newest of them first.
    pub older: List<Versioned>,
}

// By hand: a value without a predecessor takes four bytes of input and much more memory; only the last can be one.
impl<C> Decode<C> for ValueHistory {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        let mut older = List::new();
        for number in 1..=count {
            let versioned = Versioned::decode(decoder)?;
            if versioned.predecessor.is_none() && number < count {
                return Err(DecodeError::Other("a value that replaced none is followed by an older one"));
            }
            older.push(versioned);
        }
        Ok(ValueHistory { older })
    }
}

impl<'de, C> BorrowDecode<'de, C> for ValueHistory {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        <Self as Decode<C>>::decode(decoder)
    }
}

/// Why older values aren't proven, or what they don't cover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueHistoryError {
    /// A value isn't the one that the newer one replaced.
    #[error("the value of version {version} at place {place} is not the one that the next newer one replaced")]
    Unlinked {
        /// Its place among the older values, from 0.
        place: usize,
        /// Its version.
        version: Version,
        /// Its leaf.
        found: Digest,
        /// The leaf that was replaced; `None` where there was none.
        expected: Option<Digest>,
    },
    /// A value isn't older than the one that replaced it.
    #[error("the value at place {place} has version {version}, which is not before {newer}")]
    NotOlder {
        /// Its place among the older values, from 0.
        place: usize,
        /// Its version.
        version: Version,
        /// The version that replaced it.
        newer: Version,
    },
    /// The values shown begin later or end earlier.
    #[error("height {height} is not covered: the values shown are those of heights {oldest} to {newest}")]
    NotCovered {
        /// The height asked for.
        height: Height,
        /// The first height covered.
        oldest: Height,
        /// The last height covered.
        newest: Height,
    },
}

impl ValueHistory {
    /// Verifies the older values of `key` by its `newest` one, which is proven to be there after block `at`.
    ///
    /// # Errors
    /// [`ValueHistoryError`] when one isn't what the next newer one replaced.
    pub fn verify(&self, key: &Key, newest: &Versioned, at: Height) -> Result<ProvenValues, ValueHistoryError> {
        let mut newer = newest;
        for (place, older) in self.older.iter().enumerate() {
            let (version, found, expected) = (older.version, older.leaf(key), newer.predecessor);
            if expected != Some(found) {
                return Err(ValueHistoryError::Unlinked { place, version, found, expected });
            }
            if version >= newer.version {
                return Err(ValueHistoryError::NotOlder { place, version, newer: newer.version });
            }
            newer = older;
        }
        Ok(ProvenValues { key: key.clone(), newest: newest.clone(), older: self.older.clone(), at })
    }
}

/// Values that a key had, one after the other, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenValues {
    /// The key.
    pub key: Key,
    /// Its value after block `at`.
    pub newest: Versioned,
    /// The values before, the newest of them first.
    pub older: List<Versioned>,
    /// The block after which `newest` was there.
    pub at: Height,
}

impl ProvenValues {
    /// The value after block `height`: the newest whose version is of that block or an earlier one.
    ///
    /// # Errors
    /// [`ValueHistoryError::NotCovered`] for heights after the block of the proof, and for those before the oldest value
    /// shown: whether the key had another one then, nothing here says.
    pub fn at(&self, height: Height) -> Result<&Versioned, ValueHistoryError> {
        let newest = self.at;
        let mut values = core::iter::once(&self.newest).chain(&self.older);
        match values.find(|value| value.version.height <= height) {
            Some(value) if height <= newest => Ok(value),
            _ => {
                let oldest = self.older.last().unwrap_or(&self.newest).version.height;
                Err(ValueHistoryError::NotCovered { height, oldest, newest })
            }
        }
    }
}
