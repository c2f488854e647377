//! The server's own counters, and Prometheus' text format (0.0.4).

use crate::chains::Chains;
use crate::instruments::{Instruments, Metric, MetricKind, Sample};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a server counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) requests: [AtomicU64; 5],
    pub(crate) rate_limited: AtomicU64,
    pub(crate) open_connections: AtomicU64,
    pub(crate) open_streams: AtomicU64,
    pub(crate) streamed_events: AtomicU64,
}

impl Counters {
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.requests.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn counted(counter: &AtomicU64) -> f64 {
    approximate(counter.load(Ordering::Relaxed))
}

/// Prometheus' values are 64-bit floats.
#[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is rounded, in every client of Prometheus")]
fn approximate(number: u64) -> f64 {
    number as f64
}

/// Everything in one text.
pub(crate) fn text(counters: &Counters, chains: &Chains, instruments: &dyn Instruments) -> String {
    let mut text = String::new();
    for metric in own(counters).into_iter().chain(of_chains(chains)).chain(instruments.metrics()) {
        write_metric(&mut text, &metric);
    }
    text
}

fn single(name: &'static str, help: &'static str, kind: MetricKind, value: f64) -> Metric {
    Metric { name, help, kind, samples: vec![Sample { labels: Vec::new(), value }] }
}

fn own(counters: &Counters) -> Vec<Metric> {
    use MetricKind::{Counter, Gauge};
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&counters.requests);
    let samples = classes
        .map(|(class, counter)| Sample { labels: vec![("status", (*class).to_owned())], value: counted(counter) });
    let requests = Metric {
        name: "ledgerkit_api_requests_total",
        help: "Requests answered, by class of status.",
        kind: Counter,
        samples: samples.collect(),
    };
    vec![
        requests,
        single("ledgerkit_api_connections_total", "Connections accepted.", Counter, counted(&counters.connections)),
        single(
            "ledgerkit_api_connections_refused_total",
            "Connections refused because there were too many.",
            Counter,
            counted(&counters.connections_refused),
        ),
        single("ledgerkit_api_connections", "Connections open.", Gauge, counted(&counters.open_connections)),
        single(
            "ledgerkit_api_rate_limited_total",
            "Requests refused because of their rate.",
            Counter,
            counted(&counters.rate_limited),
        ),
        single("ledgerkit_api_streams", "Streams of events open.", Gauge, counted(&counters.open_streams)),
        single(
            "ledgerkit_api_streamed_events_total",
            "Events sent on streams.",
            Counter,
            counted(&counters.streamed_events),
        ),
    ]
}

fn of_chains(chains: &Chains) -> Vec<Metric> {
    let (mut heights, mut stopped) = (Vec::new(), Vec::new());
    for chain in chains.all() {
        let (id, progress) = (chain.id().to_string(), chain.progress());
        let certified = progress.certified().unwrap_or_default();
        let stages = [("ordered", progress.ordered), ("executed", progress.executed), ("certified", certified)];
        heights.extend(stages.into_iter().map(|(stage, height)| Sample {
            labels: vec![("chain", id.clone()), ("stage", stage.to_owned())],
            value: approximate(height.0),
        }));
        let value = if progress.stopped.is_some() { 1.0 } else { 0.0 };
        stopped.push(Sample { labels: vec![("chain", id)], value });
    }
    vec![
        Metric {
            name: "ledgerkit_chain_height",
            help: "The last block, by how far it has come.",
            kind: MetricKind::Gauge,
            samples: heights,
        },
        Metric {
            name: "ledgerkit_chain_stopped",
            help: "1 when the chain has stopped.",
            kind: MetricKind::Gauge,
            samples: stopped,
        },
    ]
}

fn write_metric(text: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    };
    // Writing into a string doesn't fail.
    let _ = writeln!(text, "# HELP {} {}", metric.name, metric.help.replace('\\', "\\\\").replace('\n', "\\n"));
    let _ = writeln!(text, "# TYPE {} {kind}", metric.name);
    for sample in &metric.samples {
        text.push_str(metric.name);
        for (number, (label, value)) in sample.labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(text, "{}{label}=\"{value}\"", if number == 0 { '{' } else { ',' });
        }
        let _ = writeln!(text, "{} {}", if sample.labels.is_empty() { "" } else { "}" }, sample.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_labels_stay_inside_their_quotes() {
        let mut text = String::new();
        let sample = Sample { labels: vec![("peer", "a\"b\\c\nd".to_owned()), ("x", "y".to_owned())], value: 2.5 };
        let metric = Metric { name: "m", help: "h", kind: MetricKind::Gauge, samples: vec![sample] };
        write_metric(&mut text, &metric);
        assert_eq!(text, "# HELP m h\n# TYPE m gauge\nm{peer=\"a\\\"b\\\\c\\nd\",x=\"y\"} 2.5\n");
    }
}
