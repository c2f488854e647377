//! What a seed chooses of a network: keys, settings, delays, who lies.

use super::adversary::Manners;
use super::scenario::Network;
use crate::growing::{GrowthSettings, policy};
use crate::keys::Keys;
use crate::random::Random;
use crate::settings::{BEGINNING, pick};
use ledger_core::{Genesis, Rules, Validator, ValidatorSet, Weight};
use ledger_crypto::{PublicKey, Signer};
use ledger_node::{ChainPolicy, CoreConfig};
use ledger_storage::log::LogConfig;
use std::ops::RangeInclusive;

/// One validator.
pub(super) struct Member {
    pub(super) seed: [u8; 32],
    pub(super) key: PublicKey,
    /// How it lies; `None` where it is honest.
    pub(super) manners: Option<Manners>,
    /// What it keeps of the chain.
    pub(super) policy: ChainPolicy,
}

/// The longest that each thing within a machine takes, in µs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostDelays {
    pub(super) check: u64,
    pub(super) flush: u64,
    pub(super) execute: u64,
    pub(super) notice: u64,
}

/// What links do until the network heals, and the delays that stay.
#[derive(Clone, Debug)]
pub(super) struct LinkSettings {
    pub(super) delay_us: RangeInclusive<u64>,
    pub(super) loss_percent: u64,
    pub(super) replay_percent: u64,
    pub(super) reorder_percent: u64,
}

pub(super) struct Settings {
    pub(super) log: LogConfig,
    pub(super) core: CoreConfig,
    pub(super) host: HostDelays,
    /// Whether nothing within a machine takes any time.
    pub(super) instant: bool,
    pub(super) links: LinkSettings,
    /// Whether signatures are mocked.
    pub(super) mocked: bool,
    pub(super) members: Vec<Member>,
    pub(super) genesis: Genesis,
    /// The longest pause between two turns of the clients before the network heals, in µs.
    pub(super) client_pause: u64,
    /// How logs are cut, if they are.
    pub(super) growth: Option<GrowthSettings>,
}

impl Settings {
    pub(super) fn draw(scenario: &Network, random: &mut Random) -> Result<Self, String> {
        let mocked = !random.chance(scenario.real_signatures_percent);
        let mut members: Vec<Member> = (0..scenario.nodes)
            .map(|_| {
                let seed = random.bytes();
                Member {
                    seed,
                    key: Keys::new(seed, mocked).public_key(),
                    manners: None,
                    policy: ChainPolicy::archive(),
                }
            })
            .collect();
        let mut order: Vec<usize> = (0..members.len()).collect();
        random.shuffle(&mut order);
        for (place, manners) in order.iter().zip(&scenario.byzantine) {
            if let Some(member) = members.get_mut(*place) {
                member.manners = Some(if manners.is_empty() { Manners::draw(random) } else { manners.clone() });
            }
        }
        let mut own = random.fork("growth", 0);
        let growth = scenario.growth.then(|| GrowthSettings::draw(&mut own, &[1, 6 << 10, 24 << 10]));
        // The order is one of chance; who lies keeps nothing for others.
        let honest = members.iter_mut().filter(|member| member.manners.is_none());
        for member in honest.skip(scenario.tolerates() + 1).filter(|_| scenario.growth) {
            member.policy = policy(&mut own);
        }
        let validators = members.iter().map(|member| Validator { key: member.key, weight: Weight(1) });
        let validators = ValidatorSet::new(validators).map_err(|error| error.to_string())?;
        let rules = Rules {
            lag: random.within(2..=8),
            max_block_transactions: u32::try_from(random.within(2..=12)).unwrap_or(2),
            ..Rules::default()
        };
        let mut genesis = Genesis { rules, ..Genesis::bft("simulated", &validators, BEGINNING) };
        let mut log = LogConfig::default();
        log.segment_bytes = pick(random, &[16 << 10, 64 << 20]);
        log.fill_bytes = pick(random, &[0, 4 << 10]);
        if growth.is_some() {
            log.segment_bytes = pick(&mut own, &[1 << 10, 3 << 10]);
        }
        let mut core = CoreConfig::default();
        if scenario.instant_hosts {
            // Figures are those of the settings that a node has by itself.
            genesis.rules = Rules::default();
        } else {
            core.pipeline = random.within(1..=4);
        }
        let mut delay = || if scenario.instant_hosts { 0 } else { pick(random, &[20, 300, 2_000]) };
        let host = HostDelays { check: delay(), flush: delay(), execute: delay(), notice: delay() };
        let worlds = [200..=500, 1_000..=5_000, 10_000..=60_000];
        let drawn = worlds.get(random.index(worlds.len())).cloned().unwrap_or(200..=500);
        let share = |random: &mut Random, most: u64| match scenario.drawn {
            true if random.chance(30) => 0,
            true => random.within(0..=most),
            false => most,
        };
        let links = LinkSettings {
            delay_us: scenario.delay_us.clone().unwrap_or(drawn),
            loss_percent: share(random, scenario.loss_percent),
            replay_percent: share(random, scenario.replay_percent),
            reorder_percent: share(random, scenario.reorder_percent),
        };
        let client_pause = 2_000 * scenario.heal_at / scenario.transactions.max(1);
        let instant = scenario.instant_hosts;
        Ok(Settings { log, core, host, instant, links, mocked, members, genesis, client_pause, growth })
    }
}
