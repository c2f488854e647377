//! What the composer of a node adds to what a server can see by itself.

use ledger_client::wire::PeerInfo;
use ledger_core::ChainId;

/// Of what kind a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Labels and their values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// A metric with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, in Prometheus' alphabet, with its unit at the end: `ledgerkit_log_bytes_total`.
    pub name: &'static str,
    /// What it counts, in one line.
    pub help: &'static str,
    /// Of what kind it is.
    pub kind: MetricKind,
    /// The values.
    pub samples: Vec<Sample>,
}

/// What a node knows beside its chains: its network, its log, its mempools. Asked for each scrape; must not block.
pub trait Instruments: Send + Sync {
    /// Metrics beside the server's own.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    /// The peers of a chain.
    fn peers(&self, _chain: &ChainId) -> Vec<PeerInfo> {
        Vec::new()
    }
}

/// A node without peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoInstruments;

impl Instruments for NoInstruments {}
