//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
cargo bench --bench state -- [options]
  --keys N           keys of the comparison (default 1000000)
  --batches N        timed batches of each run (default 100)
  --batch N          updates in a batch (default 10000)
  --runs N           runs of the comparison, contenders in turn; the medians are shown (default 3)
  --no-peers         ours alone: nomt, jmt, qmdb and fjall are not built and not run
  --no-sizes         only the size of the comparison, not 0.1 M to 5 M keys
  --twenty-million   20 M keys as well
  --minutes N        how long to commit blocks, old versions being given up meanwhile, for the tail of the latencies
                     (default: not at all)
  --only-minutes     nothing but that run: neither the comparison nor sizes
  --prototypes       the append-only prototype as well
  --data DIR         where the folders of the runs are; not on tmpfs (default: below target/)
  --report FILE      the figures, a line of `name=value` each
  --plot FILE        speed and memory by size as SVG";

pub(crate) struct Options {
    pub(crate) keys: u64,
    pub(crate) batches: u64,
    pub(crate) batch: u64,
    pub(crate) runs: u64,
    pub(crate) peers: bool,
    pub(crate) sizes: bool,
    pub(crate) twenty_million: bool,
    pub(crate) minutes: u64,
    pub(crate) only_minutes: bool,
    pub(crate) prototypes: bool,
    pub(crate) data: PathBuf,
    pub(crate) report: Option<PathBuf>,
    pub(crate) plot: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options {
            keys: 1_000_000,
            batches: 100,
            batch: 10_000,
            runs: 3,
            peers: true,
            sizes: true,
            twenty_million: false,
            minutes: 0,
            only_minutes: false,
            prototypes: false,
            data: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-states"),
            report: None,
            plot: None,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut next = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: String| {
                let parsed = text.parse::<u64>().ok().filter(|number| *number > 0);
                parsed.ok_or(format!("`{text}` is not a positive number"))
            };
            match word.as_str() {
                "--keys" => options.keys = number(next()?)?,
                "--batches" => options.batches = number(next()?)?,
                "--batch" => options.batch = number(next()?)?,
                "--runs" => options.runs = number(next()?)?,
                "--minutes" => options.minutes = number(next()?)?,
                "--only-minutes" => options.only_minutes = true,
                "--peers" => options.peers = true,
                "--no-peers" => options.peers = false,
                "--no-sizes" => options.sizes = false,
                "--twenty-million" => options.twenty_million = true,
                "--prototypes" => options.prototypes = true,
                "--data" => options.data = next()?.into(),
                "--report" => options.report = Some(next()?.into()),
                "--plot" => options.plot = Some(next()?.into()),
                // What cargo adds.
                "--bench" => {}
                _ => return Err(format!("unknown option {word}\n{HELP}")),
            }
        }
        match options {
            Options { only_minutes: true, minutes: 0, .. } => Err("--only-minutes needs --minutes N".to_owned()),
            Options { only_minutes: true, plot: Some(_), .. } => Err("--only-minutes has nothing to plot".to_owned()),
            options => Ok(options),
        }
    }

    /// The sizes that ours is measured at beside the comparison's, in keys.
    pub(crate) fn other_sizes(&self) -> Vec<u64> {
        let mut sizes = if self.sizes { vec![100_000, 300_000, 1_000_000, 2_000_000, 5_000_000] } else { Vec::new() };
        if self.twenty_million {
            sizes.push(20_000_000);
        }
        sizes.retain(|size| *size != self.keys);
        sizes
    }
}
