//! Carries messages between the members of chains: authenticated, bounded, in lanes that don't wait for each other.
//!
//! ```text
//!    join(chain, admission) ──► Inbox ◄── votes │ payloads │ gossip │ sync      a bounded queue for each peer and lane
//!                                 ▲
//!    send(chain, to, lane, ..) ─► outbox of the peer, one queue a lane
//!                                 │
//!          QuicTransport          │  one connection a peer for all chains: TLS 1.3, hello, a stream a lane
//!          InProcessTransport     │  straight into the other's inbox
//!          SimulatedTransport     │  delays, loss, replay, reordering, partitions, from a seed
//! ```
//!
//! ```
//! use ledger_core::{ChainId, Lane};
//! use ledger_crypto::{Digest, MemorySigner, Signer};
//! use ledger_network::{Admission, Delivery, InProcessHub, NetworkConfig, Transport};
//!
//! let [farm, roaster] = [[1; 32], [2; 32]].map(|seed| MemorySigner::from_seed(seed).public_key());
//! let hub = InProcessHub::new(NetworkConfig::default())?;
//! let (at_farm, at_roaster) = (hub.transport(farm), hub.transport(roaster));
//!
//! let chain = ChainId(Digest::new([7; 32]));
//! let _inbox = at_farm.join(chain, Admission::members([farm, roaster]))?;
//! let mut inbox = at_roaster.join(chain, Admission::members([farm, roaster]))?;
//!
//! at_farm.send(&chain, &roaster, Lane::Gossip, (*b"twenty sacks").into())?;
//! assert_eq!(inbox.try_recv(), Some(Delivery::Connected(farm)));
//! let Some(Delivery::Message { from, bytes, .. }) = inbox.try_recv() else { return Err("no message".into()) };
//! assert_eq!((from, &*bytes), (farm, &b"twenty sacks"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - **True senders.** `from` is the member key whose holder made or accepted the connection: over QUIC, a signature over
//!   keying material of this very TLS session and the certificate shown in it, so nothing heard elsewhere or passed on by
//!   somebody in between will do. See [`quic::hello`].
//! - **Admission.** A message is delivered only if its chain admits the sender *now*. A peer hears of no chain but those
//!   that admit it; a chain that isn't here and one that doesn't admit the peer look the same from outside.
//! - **Order within a lane** of one connection. Nothing is promised across lanes, or across connections.
//! - **No lane waits for a less urgent one**: queues, streams and windows are apart, and packets are filled by priority.
//! - **Loss is told.** [`Delivery::Disconnected`] and then [`Delivery::Connected`] mean that messages may be missing;
//!   otherwise only votes are dropped, oldest first, and messages of a chain whose inbox isn't read for
//!   `stall_limit`, and both are counted.
//! - **Bounded.** [`NetworkConfig::bytes_per_peer`] and, for QUIC, [`QuicConfig::bytes_per_peer`] say how many bytes of
//!   messages one admitted peer can make this node hold, whatever it sends and however slowly it reads. Strangers get a few
//!   KiB each while they shake hands, and of those there are at most `handshakes`.
//!
//! # What happens on failure
//! | what | what follows |
//! |---|---|
//! | the port is taken | [`StartError::Listen`] names the address |
//! | garbage, another protocol, no certificate, no hello in time | the connection is closed and counted in [`Refusals`] |
//! | a hello of somebody whom no chain admits | likewise, before its signature is looked at; it isn't told why |
//! | a message longer than its lane allows, a second stream for a lane, a malformed frame | that connection is closed |
//! | messages for chains that the peer isn't admitted to | dropped unread and counted; too many close the connection |
//! | the peer reads slowly | [`SendError::QueueFull`]; in the lane of votes the oldest goes |
//! | this node reads slowly | the peer's stream for that lane is held up; votes give way to newer ones |
//! | the peer falls silent | the connection ends after `idle_timeout`, and is made again with growing pauses |
//! | the peer's statement has expired, or a clock is wrong | a warning, and `statement_expired` in its [`PeerReport`] |
//! | both ends dial at once | the hello protocol keeps one connection, the same at both ends |
//!
//! # Features
//! - `quic` (default): [`QuicTransport`]. Without it the crate needs no runtime, no sockets and no TLS.
#![cfg_attr(not(feature = "quic"), allow(rustdoc::broken_intra_doc_links))]
#![forbid(unsafe_code)]

mod config;
mod in_process;
mod inbox;
#[cfg(feature = "quic")]
pub mod quic;
mod random;
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "some of it is for QUIC alone"))]
mod report;
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "some of it is for QUIC alone"))]
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
