//! Agreement under loss, replay, reordering, partitions, crashes at every edge, and validators that run twice; and
//! progress once the network heals.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use ledger_consensus::BftConfig;
use net::storm::{WILD, storm};
use net::{CALM, Faults, Net};

#[test]
fn through_loss_replay_and_partitions() {
    for seed in 0..40 {
        storm(seed, &[1; 4], 0, WILD);
    }
    for seed in 0..15 {
        storm(seed, &[1; 7], 0, WILD);
    }
}

#[test]
fn through_crashes_between_log_guard_and_network() {
    let mut crashes = 0;
    for seed in 100..160 {
        crashes += storm(seed, &[1; 4], 0, Faults { crash: 8, ..WILD }).crashes;
    }
    assert!(crashes > 300, "{crashes} crashes");
}

#[test]
fn with_a_validator_that_runs_twice() {
    let mut named = 0;
    for seed in 200..240 {
        named += storm(seed, &[1; 4], 1, Faults { crash: 2, ..WILD }).evidence.len();
    }
    for seed in 260..275 {
        named += storm(seed, &[1; 7], 2, WILD).evidence.len();
    }
    assert!(named > 0, "twins sign twice, and are named");
}

#[test]
fn with_unequal_weights() {
    for seed in 300..315 {
        storm(seed, &[5, 1, 3, 1, 2, 4], 0, Faults { crash: 3, ..WILD });
    }
    // The heaviest decides nearly alone, the lightest liar can do nothing.
    for seed in 330..334 {
        storm(seed, &[10, 1, 1, 1, 1], 0, WILD);
        storm(seed, &[3, 3, 3, 2, 2], 1, WILD);
    }
}

#[test]
fn when_all_crash_at_once() {
    for seed in 400..430 {
        let mut net = Net::new(seed, &[1; 4], &BftConfig::default());
        net.faults = WILD;
        for _ in 0..5 {
            let duration = 100 + net.rng.below(1_000);
            net.run_for(duration);
            for index in 0..4 {
                let back = net.rng.below(50);
                net.crash(index, Some(back));
            }
        }
        net.faults = CALM;
        net.run_for(1_000);
        let height = net.height();
        assert!(net.reaches(height + 10, 20_000), "seed {seed}");
        net.assert_sound();
    }
}

#[test]
fn and_the_same_inputs_give_the_same_outputs() {
    let run = || {
        let net = storm(600, &[2, 1, 1, 1, 3], 1, Faults { crash: 5, ..WILD });
        (net.messages, net.bytes, net.crashes, net.now, net.chain)
    };
    assert_eq!(run(), run());
}
