//! The figures that a sound network has to reach, in message delays: nothing else takes time in it.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_simulation::network::figures::{delays, one_stopped};

#[test]
fn ordered_in_three_delays_certified_in_seven_and_a_block_every_two() {
    let delays = delays().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(delays.ordered <= 3.0, "{delays:?}");
    assert!(delays.certified <= 7.0, "{delays:?}");
    assert!(delays.block_interval <= 2.0, "{delays:?}");
}

/// At the stop, the view that the stopped validator leads runs into its timeout once; then the nullification takes a
/// message delay, and the next block two.
#[test]
fn one_of_four_stopped_costs_one_timeout_and_less_than_a_third_of_the_blocks() {
    let stopped = one_stopped().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(stopped.after >= 0.7 * stopped.before, "{stopped:?}");
    let timeout = f64::from(u32::try_from(stopped.leader_timeout_ms).unwrap());
    assert!(stopped.longest_pause_ms <= timeout + 3.0 * 10.0, "{stopped:?}");
}
