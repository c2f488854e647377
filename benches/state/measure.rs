//! What a contender's process measures of itself, and the one line in which it tells. Compiled into the bench and into
//! the package of the peers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Now (`VmRSS`).
    pub(crate) resident: u64,
    /// At most, so far (`VmHWM`).
    pub(crate) peak: u64,
}

/// Zeros where there is no `/proc`.
pub(crate) fn memory() -> Memory {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let kilobytes = |name| field(name).unwrap_or(0) * 1024;
    Memory { resident: kilobytes("VmRSS:"), peak: kilobytes("VmHWM:") }
}

/// Bytes that this process has caused to be written to storage (`write_bytes` of `/proc/self/io`): pages, not requests.
pub(crate) fn written_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok()).unwrap_or(0)
}

/// Bytes that the files below a folder take on disk.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut sum = 0;
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(data) if data.is_dir() => sum += folder_bytes(&entry.path()),
            Ok(data) => sum += data.blocks() * 512,
            Err(_) => {}
        }
    }
    sum
}

/// Sorts, and gives the value below which the share `part` (0 to 1) lies; 0 of nothing.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len().saturating_sub(1) as f64 * part).round();
    let mut ranked = (0_u32..).zip(values.iter());
    ranked.find(|(place, _)| f64::from(*place) >= rank).map_or(0.0, |(_, value)| *value)
}

/// When a batch began.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    at: Instant,
    excluded: Duration,
}

/// Times of batches. A batch's latency runs from its start to its durable root; between two roots lies an interval,
/// which is shorter where batches overlap. The intervals add up to the whole.
pub(crate) struct Clock {
    start: Instant,
    last: Instant,
    /// Milliseconds each.
    pub(crate) latencies: Vec<f64>,
    /// Milliseconds each.
    pub(crate) intervals: Vec<f64>,
    /// Work between batches that isn't the contender's.
    excluded: Duration,
    excluded_now: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        let (latencies, intervals) = (Vec::new(), Vec::new());
        Self { start: now, last: now, latencies, intervals, excluded: Duration::ZERO, excluded_now: Duration::ZERO }
    }

    /// Runs what no contender is charged for, the drawing of its next batch.
    pub(crate) fn aside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.excluded_now += start.elapsed();
        done
    }

    /// A batch begins.
    pub(crate) fn begin(&self) -> Begun {
        Begun { at: Instant::now(), excluded: self.excluded + self.excluded_now }
    }

    /// The batch that began then is durable and its root known.
    pub(crate) fn done(&mut self, begun: Begun) {
        let now = Instant::now();
        let milliseconds =
            |since: Instant, excluded| now.duration_since(since).saturating_sub(excluded).as_secs_f64() * 1e3;
        self.intervals.push(milliseconds(self.last, self.excluded_now));
        self.excluded += self.excluded_now;
        self.excluded_now = Duration::ZERO;
        self.latencies.push(milliseconds(begun.at, self.excluded.saturating_sub(begun.excluded)));
        self.last = now;
    }

    /// Puts the figures of batches of `batch` updates into a report.
    pub(crate) fn report(&self, batch: u64, report: &mut Report) {
        let whole = self.last.duration_since(self.start).saturating_sub(self.excluded).as_secs_f64();
        let updates = batch as f64 * self.intervals.len() as f64;
        let median = quantile(&mut self.intervals.clone(), 0.5);
        report.put("updates_per_s", format!("{:.0}", batch as f64 * 1e3 / median));
        report.put("updates_per_s_total", format!("{:.0}", updates / whole));
        let mut latencies = self.latencies.clone();
        for (name, part) in [("batch_p50_ms", 0.5), ("batch_p99_ms", 0.99), ("batch_max_ms", 1.0)] {
            report.put(name, format!("{:.2}", quantile(&mut latencies, part)));
        }
    }
}

/// Names and values, told in one line: `name=value`, separated by tabs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report(Vec<(String, String)>);

impl Report {
    pub(crate) fn put(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string().replace(['\t', '\n'], " ");
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
    }

    /// Memory as it is now, against what the process had before its first key.
    pub(crate) fn put_memory(&mut self, before: Memory, keys: u64) {
        let now = memory();
        let grown = now.resident.saturating_sub(before.resident);
        self.put("resident_before", before.resident);
        self.put("resident", now.resident);
        self.put("resident_peak", now.peak);
        self.put("bytes_per_key", format!("{:.1}", grown as f64 / keys as f64));
    }

    /// What [`line`](Self::line) gave.
    pub(crate) fn parse(line: &str) -> Self {
        let pairs = line.split('\t').filter_map(|field| field.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A value; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.text(name).parse().ok()
    }

    /// Names and values, in the order in which they were put.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn line(&self) -> String {
        let fields: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields.join("\t")
    }
}
