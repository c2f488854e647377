//! What a run says of itself.

use ledger_crypto::Digest;
use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened, by name: the proof that a fault that was to be simulated really was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<&'static str, u64>);

impl Counters {
    /// Counts `name` once more.
    pub fn add(&mut self, name: &'static str) {
        self.add_many(name, 1);
    }

    /// Counts `name` `count` times more.
    pub fn add_many(&mut self, name: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    /// How often `name` was counted.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds all counts of another run.
    pub fn merge(&mut self, other: &Counters) {
        for (name, count) in &other.0 {
            self.add_many(name, *count);
        }
    }

    /// All names and counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.iter() {
            writeln!(f, "  {name:<40} {count:>12}")?;
        }
        Ok(())
    }
}

/// A run in which every law held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The hash of every event and effect in order: the same seed gives the same one, in every build.
    pub trace: Digest,
    /// How many events and effects there were.
    pub entries: u64,
    /// Blocks of all chains.
    pub blocks: u64,
    /// Simulated time, in µs.
    pub micros: u64,
    /// Operations that changed the disk before the first crash: the points at which it can be crashed.
    pub operations: u64,
    /// What happened how often.
    pub counters: Counters,
}

/// A law that didn't hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {found}")]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// What was found instead, and where.
    pub found: String,
}

impl Violation {
    pub(crate) fn new(law: &'static str, found: impl Into<String>) -> Self {
        Violation { law, found: found.into() }
    }
}

/// A failed run. It prints the command that repeats it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed} breaks a law: {violation}\nrepeat it with: {command}")]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub violation: Violation,
    /// The command that runs this seed again.
    pub command: String,
}

/// Holds `law` up.
pub(crate) fn ensure(holds: bool, law: &'static str, found: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(law, found())) }
}
