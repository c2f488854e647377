//! What a seed chooses of a node's settings and of the world's delays.

use crate::growing::{GrowthSettings, policy};
use crate::random::Random;
use crate::scenario::Scenario;
use ledger_core::{Genesis, Rules, Timestamp};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::mempool::MempoolConfig;
use ledger_node::{ChainPolicy, CoreConfig};
use ledger_storage::log::LogConfig;

/// When the world begins.
pub(crate) const BEGINNING: Timestamp = Timestamp(1_700_000_000_000);

/// One chain: its genesis and its owner's key.
pub(crate) struct ChainSpec {
    pub(crate) genesis: Genesis,
    pub(crate) owner: [u8; 32],
    /// What is kept of it.
    pub(crate) policy: ChainPolicy,
    /// Whether that is said in the log; else it is the host's own policy.
    pub(crate) said: bool,
}

/// The longest that each thing takes, in µs.
pub(crate) struct Delays {
    pub(crate) check: u64,
    pub(crate) flush: u64,
    pub(crate) notice: u64,
    pub(crate) execute: u64,
    pub(crate) client: u64,
}

pub(crate) struct Settings {
    pub(crate) log: LogConfig,
    pub(crate) core: CoreConfig,
    pub(crate) delays: Delays,
    pub(crate) mocked: bool,
    /// One in so many writes is short; 0 is none.
    pub(crate) shorten_one_in: usize,
    pub(crate) chains: Vec<ChainSpec>,
    /// How the log is cut, if it is.
    pub(crate) growth: Option<GrowthSettings>,
}

pub(crate) fn pick(random: &mut Random, choices: &[u64]) -> u64 {
    choices.get(random.index(choices.len())).copied().unwrap_or(0)
}

impl Settings {
    pub(crate) fn draw(scenario: &Scenario, random: &mut Random) -> Self {
        let mut log = LogConfig::default();
        log.segment_bytes = pick(random, &[4 << 10, 16 << 10, 64 << 20]);
        log.fill_bytes = pick(random, &[0, 4 << 10, 64 << 10]);
        // The smaller queue is full when several chains submit at once.
        log.queue_bytes = pick(random, &[6 << 10, 1 << 20]);
        let mempool = MempoolConfig {
            max_transactions: usize::try_from(pick(random, &[8, 100_000])).unwrap_or(8),
            max_unexecutable: usize::try_from(pick(random, &[3, 10_000])).unwrap_or(3),
            max_wait_ms: pick(random, &[1_000, 60_000]),
            ..MempoolConfig::default()
        };
        let core = CoreConfig {
            mempool,
            pipeline: random.within(1..=4),
            block_interval_ms: pick(random, &[0, 0, 5, 20]),
            heartbeat_ms: scenario.heartbeat_ms,
            ..CoreConfig::default()
        };
        let mut delay = || pick(random, &[20, 300, 4_000]);
        let delays = Delays { check: delay(), flush: delay(), notice: delay(), execute: delay(), client: delay() };
        let rules = Rules {
            lag: random.within(1..=8),
            max_block_transactions: u32::try_from(random.within(1..=12)).unwrap_or(1),
            ..Rules::default()
        };
        let mocked = !random.chance(scenario.real_signatures_percent);
        let shorten_one_in = if scenario.short_writes { 1 + random.index(6) } else { 0 };
        let mut own = random.fork("growth", 0);
        let growth = scenario.growth.then(|| GrowthSettings::draw(&mut own, &[2 << 10, 6 << 10, 14 << 10]));
        if growth.is_some() {
            log.segment_bytes = pick(&mut own, &[1 << 10, 2 << 10, 4 << 10]);
        }
        let everywhere = policy(&mut own);
        let chains = (0..scenario.chains).map(|number| {
            let said = own.chance(50);
            let policy = if said { policy(&mut own) } else { everywhere.clone() };
            let owner = random.bytes();
            let key = MemorySigner::from_seed(owner).public_key();
            let genesis = Genesis { rules: rules.clone(), ..Genesis::solo(&format!("chain {number}"), key, BEGINNING) };
            ChainSpec { genesis, owner, policy, said }
        });
        let chains = chains.collect();
        Settings { log, core, delays, mocked, shorten_one_in, chains, growth }
    }
}
