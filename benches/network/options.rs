//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
cargo bench --bench network -- [options]
  --seconds N       measured time of each run after its warm-up (default 8)
  --warm-up N       seconds before it (default 2)
  --runs N          runs of each kind; the medians are shown (default 3)
  --rate N          transactions a second in the steady runs, over all validators (default 1000)
  --window N        transactions under way at once when saturated, over all validators (default 16384)
  --accounts N      accounts that transfers are drawn from (default 20000)
  --single N        transactions one at a time, at rest (default 100)
  --block N         the most transactions that a validator puts into a block (default: no limit of its own)
  --pipeline N      blocks that may be ordered and not executed (default: the node's)
  --interval N      the shortest time between two blocks, in ms (default 10)
  --leader N        how long a view waits for its leader, in ms (default: the engine's)
  --data DIR        where the validators' folders are; not on tmpfs (default: a fresh folder below target/)
  --report FILE     the figures as JSON";

pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) warm_up: u64,
    pub(crate) runs: u64,
    pub(crate) rate: u64,
    pub(crate) window: u64,
    pub(crate) accounts: u64,
    pub(crate) single: u64,
    pub(crate) block: Option<u64>,
    pub(crate) pipeline: Option<u64>,
    pub(crate) interval_ms: Option<u64>,
    pub(crate) leader_timeout_ms: Option<u64>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut options = Options {
            seconds: 8,
            warm_up: 2,
            runs: 3,
            rate: 1_000,
            window: 16_384,
            accounts: 20_000,
            single: 100,
            block: None,
            pipeline: None,
            interval_ms: Some(10),
            leader_timeout_ms: None,
            data: None,
            report: None,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64, String> {
                let value = words.next().ok_or(format!("{word} needs a number"))?;
                let parsed = value.parse().ok().filter(|number| *number > 0);
                parsed.ok_or(format!("{word}: `{value}` is not a positive number"))
            };
            match word.as_str() {
                "--seconds" => options.seconds = number()?,
                "--warm-up" => options.warm_up = number()?,
                "--runs" => options.runs = number()?,
                "--rate" => options.rate = number()?,
                "--window" => options.window = number()?,
                "--accounts" => options.accounts = number()?.max(8),
                "--single" => options.single = number()?,
                "--block" => options.block = Some(number()?),
                "--pipeline" => options.pipeline = Some(number()?),
                "--interval" => options.interval_ms = Some(number()?),
                "--leader" => options.leader_timeout_ms = Some(number()?),
                "--data" => options.data = Some(words.next().ok_or("--data needs a folder")?.into()),
                "--report" => options.report = Some(words.next().ok_or("--report needs a file")?.into()),
                // What cargo adds.
                "--bench" => {}
                _ => return Err(format!("unknown option {word}\n{HELP}")),
            }
        }
        Ok(options)
    }

    /// What of the nodes is set.
    pub(crate) fn settings(&self) -> String {
        let all = [
            ("block_transactions", self.block),
            ("pipeline", self.pipeline),
            ("block_interval_ms", self.interval_ms),
            ("leader_timeout_ms", self.leader_timeout_ms),
        ];
        let set: Vec<String> = all.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?))).collect();
        let rest = "mempool 200,000 transactions, caches for all accounts";
        if set.is_empty() {
            format!("{rest}; else defaults")
        } else {
            format!("{}, {rest}; else defaults", set.join(", "))
        }
    }
}
