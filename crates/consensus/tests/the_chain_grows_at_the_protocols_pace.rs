//! A block every two message delays, final after three; a stopped validator costs one timeout, once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use ledger_consensus::BftConfig;
use net::Net;

/// One message delay in ms, as the net's calm network has it.
const DELAY: u64 = 10;

#[test]
fn a_block_comes_every_two_delays_and_is_final_after_three() {
    for count in [4, 7] {
        let mut net = Net::new(1, &vec![1; count], &BftConfig::default());
        net.run_for(10_000);
        net.assert_sound();
        for node in &net.nodes {
            let first = node.times[0] - 1_000;
            assert_eq!(first, 3 * DELAY, "node {} finalized the first block after {first} ms", node.index);
            assert!(node.times.windows(2).all(|pair| pair[1] - pair[0] == 2 * DELAY), "{:?}", &node.times[..9]);
        }
    }
}

#[test]
fn a_validator_alone_decides_alone() {
    let mut net = Net::new(1, &[1], &BftConfig::default());
    net.run_for(2_000);
    assert_eq!(net.height(), 100);
    net.assert_sound();
}

#[test]
fn with_one_of_four_stopped_the_chain_keeps_most_of_its_pace() {
    let config = BftConfig::default();
    let mut net = Net::new(1, &[1; 4], &config);
    net.run_for(20_000);
    let before = net.height();
    net.crash(2, None);
    let stop = net.now;
    net.run_for(20_000);
    let after = net.height() - before;
    assert!(after * 10 >= before * 7, "{before} blocks before, {after} after");
    for node in net.nodes.iter().filter(|node| node.up) {
        let since: Vec<u64> = node.times.iter().copied().filter(|time| *time + 5 * DELAY > stop).collect();
        let pause = since.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(pause <= config.leader_timeout_ms + 6 * DELAY, "a pause of {pause} ms");
    }
    net.assert_sound();
}

#[test]
fn an_idle_chain_is_silent_and_misses_no_turns() {
    let mut net = Net::new(1, &[1; 4], &BftConfig::default());
    net.run_for(1_000);
    net.set_work(false);
    net.run_for(2_000);
    let (height, messages) = (net.height(), net.messages);
    net.run_for(3_600_000);
    assert_eq!((net.height(), net.messages), (height, messages));
    let now = net.now;
    net.set_work(true);
    assert!(net.reaches(height + 4, 2 * DELAY * 5));
    assert!(net.nodes.iter().all(|node| node.times.iter().find(|time| **time > now).unwrap() - now == 3 * DELAY));
    net.assert_sound();
}

#[test]
fn a_block_becomes_final_though_nothing_is_to_be_ordered_any_more() {
    for seed in 0..50 {
        let mut net = Net::new(seed, &[1; 4], &BftConfig::default());
        net.faults = net::Faults { delay: (5, 40), loss: 30, replay: 0, crash: 0 };
        net.crash(3, None);
        net.run_for(1_000);
        net.set_work(false);
        let highest = net.nodes.iter().map(|node| node.tip.height.0).max().unwrap();
        net.faults.loss = 0;
        assert!(net.reaches(highest, 20_000), "seed {seed}");
        net.assert_sound();
    }
}
