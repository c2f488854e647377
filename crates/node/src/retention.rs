//! What a node keeps of a chain's past, and who keeps all of it.

use ledger_core::Height;
use ledger_core::codec::{self, Decode, Encode, Format, List};
use ledger_crypto::PublicKey;
use std::fmt;

/// What a node keeps of the blocks behind it. Headers, outcomes, certificates, the history tree and where each transaction
/// is are always kept, so that every proof of a block's place in the history can be made; what a policy gives up are
/// bodies, receipts and events, and the proofs of those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub enum Retention {
    /// Everything, for ever.
    #[default]
    Archive,
    /// Bodies, receipts, events and old versions of the state of so many of the newest blocks, at least [`Retention::LEAST`].
    Last(u64),
    /// What it takes to go on and to prove the present state: bodies and receipts go when the log is cut.
    StateOnly,
}

impl Retention {
    /// Which versions of the state stay readable.
    pub(crate) fn versions(self) -> ledger_storage::state::Kept {
        match self {
            Retention::Archive => ledger_storage::state::Kept::All,
            Retention::Last(heights) => ledger_storage::state::Kept::Last(heights),
            // No fewer than can be proven, which the state sees to.
            Retention::StateOnly => ledger_storage::state::Kept::Last(0),
        }
    }

    /// The fewest heights that [`Retention::Last`] takes: those at which state can be proven, so that whoever is shown a
    /// provable state can be shown what led to it.
    pub const LEAST: u64 = 256;

    /// The lowest height that has to be kept when the chain is at `newest` and everything up to `cut` has left the log.
    #[must_use]
    pub fn floor(self, newest: Height, cut: Height) -> Height {
        match self {
            Retention::Archive => Height::GENESIS,
            Retention::Last(heights) => Height(newest.0.saturating_add(1).saturating_sub(heights)),
            Retention::StateOnly => cut.next(),
        }
    }
}

/// Who promises to keep everything of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub enum Keepers {
    /// Everyone who takes part, from where they began.
    #[default]
    Everyone,
    /// The members with these keys.
    Members(List<PublicKey>),
}

impl Keepers {
    fn members(&self) -> usize {
        match self {
            Keepers::Everyone => 0,
            Keepers::Members(keys) => keys.len(),
        }
    }
}

impl fmt::Display for Keepers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keepers::Everyone => formatter.write_str("everyone who has taken part in it from its beginning"),
            Keepers::Members(keys) => {
                formatter.write_str(if keys.len() == 1 { "the member " } else { "the members " })?;
                for (index, key) in keys.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(formatter, "{separator}{key}")?;
                }
                Ok(())
            }
        }
    }
}

/// A chain's policy on a node: what this node keeps, and who keeps the archive. The default keeps everything and says
/// that everyone does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct ChainPolicy {
    /// What this node keeps.
    pub retention: Retention,
    /// Who promises [`Retention::Archive`].
    pub keepers: Keepers,
}

impl Format for ChainPolicy {
    const NAME: &'static str = "chain policy";
    const LIMIT: usize = 64 + 32 * ChainPolicy::MAX_KEEPERS;
}

/// Why a policy can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Fewer heights than can be proven.
    #[error("a policy that keeps {heights} heights keeps fewer than the {least} whose state can be proven")]
    TooFew {
        /// The heights given.
        heights: u64,
        /// The fewest.
        least: u64,
    },
    /// More members than a policy names.
    #[error("a policy names {found} members who keep the archive, {limit} at most")]
    TooManyKeepers {
        /// How many.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// Nobody would keep what this node gives up.
    #[error("a policy that gives up blocks has to name the members who keep the archive, and this one says {found}")]
    NoKeepers {
        /// What it says.
        found: String,
    },
}

impl ChainPolicy {
    /// The most members that a policy names.
    pub const MAX_KEEPERS: usize = 1_024;

    /// Keeps everything.
    #[must_use]
    pub fn archive() -> Self {
        Self::default()
    }

    /// Keeps what `retention` says; `keepers` keep everything.
    ///
    /// # Errors
    /// [`PolicyError`] when it keeps less than what is promised, or gives up what nobody is named to keep.
    pub fn new(retention: Retention, keepers: Keepers) -> Result<Self, PolicyError> {
        let policy = Self { retention, keepers };
        policy.check().map(|()| policy)
    }

    /// Whether the policy can be kept.
    ///
    /// # Errors
    /// As [`ChainPolicy::new`].
    pub fn check(&self) -> Result<(), PolicyError> {
        let (found, limit) = (self.keepers.members(), Self::MAX_KEEPERS);
        if found > limit {
            return Err(PolicyError::TooManyKeepers { found, limit });
        }
        match self.retention {
            Retention::Archive => return Ok(()),
            Retention::Last(heights) if heights < Retention::LEAST => {
                return Err(PolicyError::TooFew { heights, least: Retention::LEAST });
            }
            Retention::Last(_) | Retention::StateOnly => {}
        }
        match &self.keepers {
            Keepers::Members(keys) if !keys.is_empty() => Ok(()),
            Keepers::Members(_) => Err(PolicyError::NoKeepers { found: "none".to_owned() }),
            // Then this node would be one of them.
            Keepers::Everyone => Err(PolicyError::NoKeepers { found: "everyone".to_owned() }),
        }
    }
}

/// What a node has of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The lowest height whose body and receipts are here.
    pub first: Height,
    /// The newest block.
    pub newest: Height,
    /// Who keeps everything.
    pub keepers: Keepers,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::{MemorySigner, Signer};

    #[test]
    fn a_policy_keeps_what_is_provable_and_names_who_keeps_the_rest() {
        let member = MemorySigner::from_seed([1; 32]).public_key();
        let members = Keepers::Members(vec![member].into());
        assert!(ChainPolicy::new(Retention::Archive, Keepers::Everyone).is_ok());
        assert!(ChainPolicy::new(Retention::Last(256), members.clone()).is_ok());
        assert!(ChainPolicy::new(Retention::StateOnly, members.clone()).is_ok());
        let few = ChainPolicy::new(Retention::Last(255), members.clone()).unwrap_err();
        assert_eq!(few, PolicyError::TooFew { heights: 255, least: 256 });
        for keepers in [Keepers::Everyone, Keepers::Members(List::new())] {
            assert!(matches!(ChainPolicy::new(Retention::StateOnly, keepers), Err(PolicyError::NoKeepers { .. })));
        }
        assert_eq!(members.to_string(), format!("the member {member}"));
    }

    #[test]
    fn floors_follow_the_newest_height() {
        assert_eq!(Retention::Archive.floor(Height(1_000), Height(900)), Height(0));
        assert_eq!(Retention::Last(300).floor(Height(1_000), Height(900)), Height(701));
        assert_eq!(Retention::Last(300).floor(Height(200), Height(100)), Height(0));
        assert_eq!(Retention::StateOnly.floor(Height(1_000), Height(900)), Height(901));
    }
}
