//! Telling the world.

use crate::codec::{self, Decode, Encode};
use crate::description::Described;
use crate::host;

/// What a contract tells the world under a topic of its own. [`event!`](crate::event) declares one.
pub trait Event: Encode + Decode + Described {
    /// The topic, by which clients subscribe.
    const TOPIC: &'static str;

    /// Tells it.
    fn emit(&self) {
        host::emit(Self::TOPIC, &codec::encode(self));
    }
}
