//! `solo` alone, stopped at every edge between a record, its sync, its guard and what leaves: one certificate at one
//! height, for life.
#![allow(clippy::panic)]

use ledger_consensus::{EngineFactory, Solo};
use ledger_core::{Genesis, Timestamp};
use ledger_crypto::{MemorySigner, Signer};
use ledger_simulation::protocol::{EDGES, ProtocolReport, run, stops};
use std::collections::BTreeSet;

const HEIGHTS: u64 = 5;

fn owner() -> MemorySigner {
    MemorySigner::from_seed([3; 32])
}

fn solo() -> Box<dyn EngineFactory> {
    Box::new(Solo::new(owner()))
}

fn run_solo(heights: u64, stops: &[u64]) -> ProtocolReport {
    let genesis = Genesis::solo("bare", owner().public_key(), Timestamp(1_000));
    run(&genesis, solo, heights, stops).unwrap_or_else(|violation| panic!("stops {stops:?}: {violation}"))
}

#[test]
fn stopped_at_every_edge_and_again_at_every_edge_after_it() {
    let mut met = BTreeSet::new();
    for first in 0..5 * HEIGHTS {
        for second in 0..10 {
            let report = run_solo(HEIGHTS, &[first, second]);
            assert_eq!(report.heights, HEIGHTS);
            met.extend(report.stops.into_keys());
        }
    }
    assert_eq!(met, BTreeSet::from(EDGES), "every edge ended a life");
}

#[test]
fn through_many_lives_of_chance() {
    for seed in 0..20 {
        let report = run_solo(20, &stops(seed, 30));
        assert_eq!(report.heights, 20, "seed {seed}");
        assert!(report.stops.values().sum::<u64>() > 0);
    }
}
