//! Who decides together: validators, their weights, and how much of them is a quorum.

use crate::codec::{Decode, Encode, Format, List};
use crate::outcome::ValidatorUpdate;
use crate::units::Weight;
use ledger_crypto::{KeyError, PublicKey};

/// The most validators of a set.
pub const MAX_VALIDATORS: usize = 1_024;

/// The most updates of validators at an epoch's boundary.
pub const MAX_UPDATES: usize = 2 * MAX_VALIDATORS;

/// One validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Validator {
    /// The key of its votes.
    pub key: PublicKey,
    /// How much its vote counts; at least 1.
    pub weight: Weight,
}

/// The validators of an epoch, by rising keys. Votes name a validator by its place here.
///
/// With total weight `n` and `f = ⌊(n − 1) / 3⌋`, a quorum is `n − f`: two quorums share more than `f`, so an honest
/// validator stands in both while liars have no more than `f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    total: u64,
}

/// As it stands in a genesis: the validators alone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Encoded {
    validators: List<Validator>,
}

impl Format for Encoded {
    const NAME: &'static str = "validator set";
    const LIMIT: usize = 64 << 10;
}

/// Why validators make no set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidatorsError {
    /// None, or too many.
    #[error("{found} validators; a set has 1 to {MAX_VALIDATORS}")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// Out of order, or twice.
    #[error("validator {key} stands out of order, or twice")]
    Order {
        /// Which.
        key: PublicKey,
    },
    /// A vote that counts nothing.
    #[error("validator {key} has weight 0")]
    Weightless {
        /// Which.
        key: PublicKey,
    },
    /// More updates than a boundary may have.
    #[error("{found} updates of validators; the limit is {MAX_UPDATES}")]
    Updates {
        /// How many there are.
        found: usize,
    },
    /// The weights' sum doesn't fit 64 bits.
    #[error("the validators' weights add up to more than {}", u64::MAX)]
    Overflow,
    /// A key that must not vote.
    #[error("validator {key} is refused: {error}")]
    Key {
        /// Which.
        key: PublicKey,
        /// Why.
        error: KeyError,
    },
    /// The bytes are no set.
    #[error(transparent)]
    Codec(#[from] crate::codec::CodecError),
}

impl ValidatorSet {
    /// A set of these validators, in any order.
    ///
    /// # Errors
    /// [`ValidatorsError`] names what is wrong.
    pub fn new(validators: impl IntoIterator<Item = Validator>) -> Result<Self, ValidatorsError> {
        let mut validators: Vec<Validator> = validators.into_iter().collect();
        validators.sort_by_key(|validator| validator.key);
        Self::of_sorted(validators)
    }

    /// A set of these validators, by rising keys.
    pub(crate) fn of_sorted(validators: Vec<Validator>) -> Result<Self, ValidatorsError> {
        if validators.is_empty() || validators.len() > MAX_VALIDATORS {
            return Err(ValidatorsError::Count { found: validators.len() });
        }
        let mut total = 0u64;
        let mut before: Option<PublicKey> = None;
        for Validator { key, weight } in &validators {
            if before.is_some_and(|before| before >= *key) {
                return Err(ValidatorsError::Order { key: *key });
            }
            if weight.0 == 0 {
                return Err(ValidatorsError::Weightless { key: *key });
            }
            key.check_strong().map_err(|error| ValidatorsError::Key { key: *key, error })?;
            total = total.checked_add(weight.0).ok_or(ValidatorsError::Overflow)?;
            before = Some(*key);
        }
        Ok(ValidatorSet { validators, total })
    }

    /// Reads what [`ValidatorSet::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ValidatorsError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ValidatorsError> {
        Self::of_sorted(crate::codec::decode::<Encoded>(bytes)?.validators.into_vec())
    }

    /// The set as it stands in a genesis.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::codec::encode(&Encoded { validators: self.validators.clone().into() })
    }

    /// The set after `updates`, one after the other: new weights, weight 0 removes.
    ///
    /// # Errors
    /// [`ValidatorsError`] when there are too many updates, or when nobody, too many or too much would be left.
    pub fn updated(&self, updates: &[ValidatorUpdate]) -> Result<Self, ValidatorsError> {
        if updates.len() > MAX_UPDATES {
            return Err(ValidatorsError::Updates { found: updates.len() });
        }
        // In place, and not by a map: sorting would be a tenth of the verifier that travels to browsers.
        let mut validators = self.validators.clone();
        for ValidatorUpdate { key, weight } in updates {
            let place = validators.partition_point(|validator| validator.key < *key);
            match (validators.get_mut(place).filter(|validator| validator.key == *key), *weight) {
                (Some(_), Weight(0)) => drop(validators.remove(place)),
                (Some(validator), weight) => validator.weight = weight,
                (None, Weight(0)) => {}
                (None, weight) => validators.insert(place, Validator { key: *key, weight }),
            }
        }
        Self::of_sorted(validators)
    }

    /// The validators, by rising keys.
    pub fn as_slice(&self) -> &[Validator] {
        &self.validators
    }

    /// How many there are; never none.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.validators.len()
    }

    /// The validator at a place.
    pub fn get(&self, place: u16) -> Option<&Validator> {
        self.validators.get(usize::from(place))
    }

    /// A validator's place.
    pub fn place(&self, key: &PublicKey) -> Option<u16> {
        let found = self.validators.binary_search_by_key(key, |validator| validator.key).ok()?;
        u16::try_from(found).ok()
    }

    /// The weight of the validator at a place; 0 where there is none.
    pub fn weight(&self, place: u16) -> u64 {
        self.get(place).map_or(0, |validator| validator.weight.0)
    }

    /// All weights together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How much weight may lie or be silent: `f = ⌊(total − 1) / 3⌋`.
    pub fn faulty(&self) -> u64 {
        self.total.saturating_sub(1) / 3
    }

    /// The least weight that decides: `total − f`.
    pub fn quorum(&self) -> u64 {
        self.total - self.faulty()
    }
}
