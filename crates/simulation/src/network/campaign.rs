//! Many seeds of one scenario, on all cores, and what they came to.

use super::catalog::FAULTS;
use super::scenario::Network;
use super::world::{DECISION, PROGRESS};
use crate::report::{Counters, Failure};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// The first of them.
    pub first: u64,
    /// Runs that broke a law of safety, by seed.
    pub violations: Vec<Failure>,
    /// Runs that broke a law of liveness, by seed.
    pub liveness_failures: Vec<Failure>,
    /// Blocks of all runs.
    pub blocks: u64,
    /// Events and effects of all runs.
    pub entries: u64,
    /// What happened how often.
    pub counters: Counters,
    /// Seconds of real time.
    pub seconds: f64,
}

impl Summary {
    /// Seeds for each second of real time.
    #[must_use]
    pub fn seeds_per_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let seeds = self.seeds as f64;
        if self.seconds > 0.0 { seeds / self.seconds } else { 0.0 }
    }

    /// The first failure by seed, whatever law it broke.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Failure> {
        self.violations.iter().chain(&self.liveness_failures).min_by_key(|failure| failure.seed)
    }

    /// How often each kind of fault fired, those that never did included.
    pub fn faults_fired(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAULTS.iter().map(|name| (*name, self.counters.get(name)))
    }

    fn merge(&mut self, other: Summary) {
        self.violations.extend(other.violations);
        self.liveness_failures.extend(other.liveness_failures);
        self.blocks += other.blocks;
        self.entries += other.entries;
        self.counters.merge(&other.counters);
    }

    /// The summary as JSON.
    #[must_use]
    pub fn to_json(&self, scenario: &Network) -> String {
        let mut text = String::from("{\n");
        let liars = scenario.byzantine.len();
        // Writing to a string doesn't fail.
        let _ = writeln!(text, "  \"protocol\": \"bft\",\n  \"scenario\": {},", quoted(scenario.name.unwrap_or("own")));
        let _ = writeln!(text, "  \"nodes\": {},\n  \"byzantine\": {liars},", scenario.nodes);
        let _ = writeln!(text, "  \"first_seed\": {},\n  \"seeds\": {},", self.first, self.seeds);
        let _ = writeln!(text, "  \"violations\": {},", self.violations.len());
        let _ = writeln!(text, "  \"liveness_failures\": {},", self.liveness_failures.len());
        let mocked = 100u64.saturating_sub(scenario.real_signatures_percent);
        let _ = writeln!(text, "  \"mocked_signatures_percent\": {mocked},\n  \"blocks\": {},", self.blocks);
        let _ = writeln!(text, "  \"seconds\": {:.2},\n  \"seeds_per_s\": {:.1},", self.seconds, self.seeds_per_s());
        object(&mut text, "faults_fired", self.faults_fired());
        object(&mut text, "counters", self.counters.iter());
        let failures = self.violations.iter().chain(&self.liveness_failures).take(20).map(|failure| {
            let (law, found) = (quoted(failure.violation.law), quoted(&failure.violation.found));
            let command = quoted(&failure.command);
            format!("    {{ \"seed\": {}, \"law\": {law}, \"found\": {found}, \"command\": {command} }}", failure.seed)
        });
        let failures: Vec<String> = failures.collect();
        let _ = writeln!(text, "  \"failures\": [\n{}\n  ]\n}}", failures.join(",\n"));
        text
    }
}

fn object(text: &mut String, name: &str, entries: impl Iterator<Item = (&'static str, u64)>) {
    let entries: Vec<String> = entries.map(|(name, count)| format!("    {}: {count}", quoted(name))).collect();
    let _ = writeln!(text, "  \"{name}\": {{\n{}\n  }},", entries.join(",\n"));
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if u32::from(letter) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Runs `seeds` seeds from `first` on, on `threads` threads. What comes of a seed doesn't depend on the others.
#[must_use]
pub fn campaign(scenario: &Network, first: u64, seeds: u64, threads: usize) -> Summary {
    let (began, next) = (Instant::now(), AtomicU64::new(0));
    let work = || {
        let mut summary = Summary::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds {
                return summary;
            }
            match scenario.run(first.saturating_add(number)) {
                Ok(report) => {
                    summary.blocks += report.blocks;
                    summary.entries += report.entries;
                    summary.counters.merge(&report.counters);
                }
                Err(failure) if [PROGRESS, DECISION].contains(&failure.violation.law) => {
                    summary.liveness_failures.push(failure);
                }
                Err(failure) => summary.violations.push(failure),
            }
        }
    };
    let mut summary = Summary { seeds, first, ..Summary::default() };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            // A run's panics are caught in the run.
            if let Ok(part) = worker.join() {
                summary.merge(part);
            }
        }
    });
    summary.violations.sort_by_key(|failure| failure.seed);
    summary.liveness_failures.sort_by_key(|failure| failure.seed);
    summary.seconds = began.elapsed().as_secs_f64();
    summary
}
