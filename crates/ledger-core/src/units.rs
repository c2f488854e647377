//! Numbers that must not be mixed up.

use crate::codec::{Decode, Encode};
use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

unit! {
    /// A block's place in its chain. The genesis has height 0.
    Height
}
unit! {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    Timestamp
}
unit! {
    /// Units of computation. A contract that would use more than its limit stops.
    Fuel
}
unit! {
    /// How much a validator's vote counts.
    Weight
}
unit! {
    /// A span of heights with one set of validators, counted from 0.
    Epoch
}

unit! {
    /// An attempt to agree on a block, counted from 1; many may pass without one.
    View
}

impl Height {
    /// The height of the genesis.
    pub const GENESIS: Height = Height(0);

    /// The height after this one; the last height follows itself (it is out of any chain's reach).
    #[must_use]
    pub const fn next(self) -> Height {
        Height(self.0.saturating_add(1))
    }

    /// The height before this one, if there is one.
    pub const fn previous(self) -> Option<Height> {
        match self.0.checked_sub(1) {
            Some(height) => Some(Height(height)),
            None => None,
        }
    }
}

impl Epoch {
    /// The epoch after this one; the last one follows itself (it is out of any chain's reach).
    #[must_use]
    pub const fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }
}

impl Timestamp {
    /// This time and `milliseconds` more; stops at the end of time.
    #[must_use]
    pub const fn plus(self, milliseconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(milliseconds))
    }
}
