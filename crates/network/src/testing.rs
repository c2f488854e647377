//! What every transport has to hold, as a suite that any of them can be run through.

mod checks;

use crate::config::{FRAME_OVERHEAD, LaneLimits, NetworkConfig, PerLane};
use crate::seam::{Delivery, Transport};
use std::sync::Arc;

/// Three transports that can reach each other, of which none is in a chain yet.
pub trait World {
    /// The three, with different member keys. Their bounds are [`config`]'s.
    fn transports(&self) -> Vec<Arc<dyn Transport>>;

    /// Lets things happen until `done` says so; false if that takes too long, or nothing happens any more.
    fn settle(&mut self, done: &mut dyn FnMut() -> bool) -> bool;

    /// Cuts the connection between two of them.
    fn disconnect(&mut self, one: usize, other: usize);

    /// Lets them connect again.
    fn connect(&mut self, one: usize, other: usize);

    /// How many bytes of one lane may be under way between two of them, in neither's queues.
    fn under_way_bytes(&self) -> usize;
}

/// A property that a transport doesn't hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {found}")]
pub struct Violation {
    /// The property, as a sentence.
    pub property: &'static str,
    /// What was seen instead.
    pub found: String,
}

/// The bounds of the suite: small, so that they are met soon.
pub fn config() -> NetworkConfig {
    let limits = |frame_bytes, queue_frames| LaneLimits {
        frame_bytes,
        queue_frames,
        queue_bytes: 4 * (frame_bytes + FRAME_OVERHEAD),
    };
    NetworkConfig {
        lanes: PerLane {
            votes: limits(1 << 10, 32),
            payloads: limits(64 << 10, 32),
            gossip: limits(4 << 10, 8),
            sync: limits(64 << 10, 8),
        },
        full_chains_per_peer: 2,
        chains_per_peer: 64,
    }
}

/// Runs every check in a world of its own.
///
/// # Errors
/// The first [`Violation`].
pub fn conformance<W: World>(mut make_world: impl FnMut() -> W) -> Result<(), Violation> {
    for (property, check) in checks::all::<W>() {
        let mut world = make_world();
        check(&mut world).map_err(|found| Violation { property, found })?;
    }
    Ok(())
}

/// The messages among `deliveries`, without who sent them.
pub fn messages(deliveries: &[Delivery]) -> Vec<Arc<[u8]>> {
    let message = |delivery: &Delivery| match delivery {
        Delivery::Message { bytes, .. } => Some(bytes.clone()),
        _ => None,
    };
    deliveries.iter().filter_map(message).collect()
}
