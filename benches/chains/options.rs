//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
cargo bench --bench chains -- [options]
  --chains LIST    how many chains, one after another (default 1,100,1000,10000)
  --seconds N      measured time of each after the warm-up (default 20)
  --warm-up N      seconds before it (default 3)
  --window N       transactions under way at once, over all chains (default 16384)
  --rate N         transactions signed for each second, the most that can be measured (default 80000)
  --shards N       the host's shards (default 1)
  --block N        the most transactions of a block while there are several chains (default: the host's)
  --flood N        quiet chains beside a flooded one (default 100; 0 leaves it out)
  --rounds N       how often they are measured, alone and beside it in turn; the middle counts (default 5)
  --population N   accounts in all, dealt out to the chains, each with a key of its own (default: 64 a chain, whose keys
                   all chains share); without it, 1 and 1,000 chains are measured with the same accounts besides
  --data DIR       where fresh folders are made; not on tmpfs (default: below target/)
  --report FILE    the figures as lines of name=value; a name without a number of chains is of the most chains";

/// What a child process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Create,
    Idle,
    Open,
    Flood,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Create => "create",
            Phase::Idle => "idle",
            Phase::Open => "open",
            Phase::Flood => "flood",
        }
    }
}

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) chains: Vec<usize>,
    pub(crate) seconds: u64,
    pub(crate) warm_up: u64,
    pub(crate) window: usize,
    pub(crate) rate: u64,
    pub(crate) shards: usize,
    pub(crate) block: Option<usize>,
    pub(crate) flood: usize,
    pub(crate) rounds: usize,
    pub(crate) population: Option<usize>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) phase: Option<Phase>,
}

impl Options {
    /// `None` when help was asked for.
    pub(crate) fn read() -> Result<Option<Self>, String> {
        let mut options = Options {
            chains: vec![1, 100, 1_000, 10_000],
            seconds: 20,
            warm_up: 3,
            window: 16_384,
            rate: 80_000,
            shards: 1,
            block: None,
            flood: 100,
            rounds: 5,
            population: None,
            data: None,
            report: None,
            phase: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number = |value: String| -> Result<u64, String> {
                value.trim().parse().map_err(|_| format!("{word}: `{value}` is not a number"))
            };
            let positive = |value: String| match number(value.clone())? {
                0 => Err(format!("{word}: `{value}` is not a positive number")),
                number => Ok(number),
            };
            match word.as_str() {
                "--help" => return Ok(None),
                "--chains" => {
                    let list = value()?;
                    let numbers: Result<Vec<_>, _> = list.split(',').map(|part| positive(part.to_owned())).collect();
                    options.chains = numbers?.into_iter().map(|number| number as usize).collect();
                    options.chains.sort_unstable();
                }
                "--seconds" => options.seconds = positive(value()?)?,
                "--warm-up" => options.warm_up = positive(value()?)?,
                "--window" => options.window = positive(value()?)? as usize,
                "--rate" => options.rate = positive(value()?)?,
                "--shards" => options.shards = positive(value()?)? as usize,
                "--block" => options.block = Some(positive(value()?)? as usize),
                "--rounds" => options.rounds = positive(value()?)? as usize,
                "--population" => options.population = Some(positive(value()?)? as usize),
                "--flood" => options.flood = number(value()?)? as usize,
                "--data" => options.data = Some(value()?.into()),
                "--report" => options.report = Some(value()?.into()),
                "--phase" => {
                    let name = value()?;
                    let phases = [Phase::Create, Phase::Idle, Phase::Open, Phase::Flood];
                    options.phase = phases.into_iter().find(|phase| phase.name() == name);
                }
                // What cargo adds.
                "--bench" => {}
                _ => return Err(format!("unknown option {word}\n{HELP}")),
            }
        }
        Ok(Some(options))
    }
}
