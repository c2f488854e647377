//! Carries messages between the members of chains: authenticated, bounded, in lanes that don't wait for each other.
#![forbid(unsafe_code)]

mod config;
mod in_process;
mod inbox;
#[cfg(feature = "quic")]
pub mod quic;
mod random;
mod report;
mod router;
mod seam;
mod simulated;
pub mod testing;

pub use config::{ConfigError, FRAME_OVERHEAD, LaneLimits, NetworkConfig, PerLane};
pub use in_process::{InProcessHub, InProcessTransport};
pub use inbox::Inbox;
#[cfg(feature = "quic")]
pub use quic::{Peer, QuicConfig, QuicTransport, Refusals, StartError};
pub use report::{Drops, LaneReport, PeerReport};
pub use seam::{Admission, Delivery, JoinError, Observers, QueueBound, SendError, Transport};
pub use simulated::{FaultCounts, LinkFaults, SimulatedNetwork, SimulatedTransport};
