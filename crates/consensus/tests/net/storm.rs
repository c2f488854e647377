//! Storms and partitions for a while, then calm.

use super::{CALM, Faults, Net};
use ledger_consensus::BftConfig;

pub const WILD: Faults = Faults { delay: (1, 120), loss: 30, replay: 50, crash: 0 };

/// Runs a storm; gives the net, and whether the chain grew after it.
pub fn storm_with(
    seed: u64,
    weights: &[u64],
    twins: usize,
    faults: Faults,
    config: impl Fn(usize) -> BftConfig,
) -> (Net, bool) {
    let mut net = Net::with_twins(seed, weights, twins, config);
    net.faults = faults;
    for _ in 0..6 {
        for index in 0..net.nodes.len() {
            let split = net.rng.percent(40);
            net.groups[index] = u8::from(split && net.rng.percent(50));
        }
        let working = net.rng.percent(80);
        net.set_work(working);
        let duration = 200 + net.rng.below(3_000);
        net.run_for(duration);
        if !net.broken.is_empty() {
            return (net, false);
        }
    }
    net.faults = CALM;
    net.groups.iter_mut().for_each(|group| *group = 0);
    net.set_work(true);
    net.run_for(1_000);
    let highest = net.honest().map(|node| node.tip.height.0).max().unwrap();
    let lively = net.honest().all(|node| node.up) && net.reaches(highest + 10, 30_000);
    (net, lively)
}

/// Runs a storm in which everything must hold.
pub fn storm(seed: u64, weights: &[u64], twins: usize, faults: Faults) -> Net {
    let (net, lively) = storm_with(seed, weights, twins, faults, |_| BftConfig::default());
    let heights: Vec<u64> = net.nodes.iter().map(|node| node.tip.height.0).collect();
    assert!(lively, "seed {seed}: the chain stands at {heights:?}; {:?}", net.broken);
    net.assert_sound();
    net
}
