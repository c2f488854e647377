//! What the API shows of the node beside its chain: its peers.

use ledger_api::{Instruments, Metric, MetricKind, Sample};
use ledger_client::wire::{PeerInfo, U64};
use ledger_core::{ChainId, Lane};
use ledger_crypto::Digest;
use ledger_network::{LaneReport, PeerReport, QuicTransport, Transport as _};
use std::sync::Arc;

/// The node's peers, which are those of its one chain.
pub(crate) struct NodeInstruments {
    transport: Option<Arc<QuicTransport>>,
}

impl NodeInstruments {
    /// Of the node that has this transport.
    pub(crate) fn new(transport: Option<Arc<QuicTransport>>) -> Self {
        NodeInstruments { transport }
    }

    fn reports(&self) -> Vec<PeerReport> {
        self.transport.as_ref().map_or_else(Vec::new, |transport| transport.peers())
    }
}

impl Instruments for NodeInstruments {
    fn metrics(&self) -> Vec<Metric> {
        let reports = self.reports();
        let connected = reports.iter().map(|report| Sample {
            labels: vec![("peer", report.peer.to_string())],
            value: if report.connected_since.is_some() { 1.0 } else { 0.0 },
        });
        let lanes = |value: fn(&LaneReport) -> u64| {
            let of = |report: &PeerReport, lane: Lane| Sample {
                labels: vec![("peer", report.peer.to_string()), ("lane", lane.to_string())],
                // Counters are floating-point numbers in Prometheus; the exact part has 53 bits.
                value: value(report.lanes.get(lane)) as f64,
            };
            reports.iter().flat_map(|report| Lane::ALL.map(|lane| of(report, lane))).collect::<Vec<_>>()
        };
        let counter = |name, help, samples| Metric { name, help, kind: MetricKind::Counter, samples };
        vec![
            Metric {
                name: "ledgerkit_peer_connected",
                help: "Whether the peer is connected.",
                kind: MetricKind::Gauge,
                samples: connected.collect(),
            },
            counter(
                "ledgerkit_peer_received_bytes_total",
                "Bytes of messages received from the peer.",
                lanes(|lane| lane.bytes_in),
            ),
            counter(
                "ledgerkit_peer_sent_bytes_total",
                "Bytes of messages sent to the peer.",
                lanes(|lane| lane.bytes_out),
            ),
            counter(
                "ledgerkit_peer_received_messages_total",
                "Messages received from the peer.",
                lanes(|lane| lane.frames_in),
            ),
            counter("ledgerkit_peer_sent_messages_total", "Messages sent to the peer.", lanes(|lane| lane.frames_out)),
        ]
    }

    fn peers(&self, _chain: &ChainId) -> Vec<PeerInfo> {
        let shown = |report: PeerReport| PeerInfo {
            key: Digest::new(*report.peer.as_bytes()),
            address: String::new(),
            connected: report.connected_since.is_some(),
            round_trip_us: report.round_trip.map(|time| U64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))),
        };
        self.reports().into_iter().map(shown).collect()
    }
}
