//! The bounds and times of a QUIC endpoint.

use crate::config::{ConfigError, NetworkConfig};
use ledger_crypto::PublicKey;
use std::time::Duration;

/// How many unidirectional streams a peer may have: one for each lane.
pub(super) const LANES: u32 = 4;

/// Bounds and times of a [`QuicTransport`](crate::QuicTransport).
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// The bounds that all transports keep.
    pub network: NetworkConfig,
    /// How long a connection may take from its first packet to both hellos. Default 5 s.
    pub handshake_timeout: Duration,
    /// After so long without any packet of the peer's the connection is lost. Default 8 s.
    pub idle_timeout: Duration,
    /// After so long without traffic a packet is sent, so that a living peer's connection isn't lost. Default 2 s.
    pub keep_alive: Duration,
    /// How many bytes of one stream may be under way, in bytes. Throughput over one connection and lane is at most this
    /// for each round trip. Default 2 MiB.
    pub stream_window: u32,
    /// How many connections are accepted, those in their handshake included. Default 256.
    pub connections: usize,
    /// How many of them may come from one IP address. Default 64.
    pub connections_per_ip: usize,
    /// How many may be in their handshake. From half of it on, addresses have to be proven by a retry. Default 64.
    pub handshakes: usize,
    /// How long to wait before the second attempt to connect. Each further wait is twice as long; each is shortened by up
    /// to half, by chance. Default 100 ms.
    pub back_off: Duration,
    /// The longest wait between attempts. Default 5 s.
    pub back_off_limit: Duration,
    /// The seed of that chance. Default 0; nodes don't have to differ in it, since it is mixed with their keys.
    pub jitter_seed: u64,
    /// How long a full inbox may hold up the reading of a peer's lane, which serves all chains. Then the chain's messages
    /// in that lane are dropped and counted until it has room again. Default 10 s.
    pub stall_limit: Duration,
    /// How long the next bytes of a message that has begun may take. Then the connection is closed. Default 20 s.
    pub frame_timeout: Duration,
    /// How many messages a second a peer may send for chains that it isn't admitted to, or that aren't here; ten times as
    /// many at once. Then the connection is closed. Default 100.
    pub strays_per_second: u32,
    /// Until when this node's statement of its key holds, in ms since 1970. Peers warn of one that has passed and refuse
    /// nothing for it. Default: never passes.
    pub not_after: u64,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            network: NetworkConfig::default(),
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(8),
            keep_alive: Duration::from_secs(2),
            stream_window: 2 << 20,
            connections: 256,
            connections_per_ip: 64,
            handshakes: 64,
            back_off: Duration::from_millis(100),
            back_off_limit: Duration::from_secs(5),
            jitter_seed: 0,
            stall_limit: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(20),
            strays_per_second: 100,
            not_after: u64::MAX,
        }
    }
}

impl QuicConfig {
    /// The default with the bounds of `network`.
    pub fn new(network: NetworkConfig) -> Self {
        Self { network, ..Self::default() }
    }

    /// The most bytes of messages that one admitted peer can make this node hold: [`NetworkConfig::bytes_per_peer`]
    /// and the windows of its connection in both directions.
    pub fn bytes_per_peer(&self) -> usize {
        let windows = 2 * usize::try_from(self.window()).unwrap_or(usize::MAX);
        self.network.bytes_per_peer().saturating_add(windows)
    }

    /// The window of a connection: every lane and the control stream can fill theirs, so that none takes another's.
    pub(super) fn window(&self) -> u64 {
        u64::from(self.stream_window) * u64::from(LANES + 1)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.network.validate()?;
        let zero = [
            ("handshake_timeout", self.handshake_timeout.is_zero()),
            ("idle_timeout", self.idle_timeout.is_zero()),
            ("keep_alive", self.keep_alive.is_zero()),
            ("stream_window", self.stream_window == 0),
            ("connections", self.connections == 0),
            ("connections_per_ip", self.connections_per_ip == 0),
            ("handshakes", self.handshakes == 0),
            ("back_off", self.back_off.is_zero()),
            ("stall_limit", self.stall_limit.is_zero()),
            ("frame_timeout", self.frame_timeout.is_zero()),
            ("strays_per_second", self.strays_per_second == 0),
        ];
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(ConfigError::Zero { name }),
            None if self.keep_alive >= self.idle_timeout => {
                Err(ConfigError::KeepAlive { keep_alive: self.keep_alive, idle_timeout: self.idle_timeout })
            }
            None => Ok(()),
        }
    }
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its member key. Whoever answers at the addresses has to prove it.
    pub member: PublicKey,
    /// Where it may be found, tried in turn: `host:port`, IPv6 hosts in brackets. Names are looked up at every attempt.
    pub addresses: Vec<String>,
}
