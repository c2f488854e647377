//! While as many chains as may have a block under way, the others line up, and what comes in for them meanwhile goes into
//! one block.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::network::within;
use common::{Gate, certify, deploy, numbered, owner};
use ledger_consensus::Solo;
use ledger_contracts::testing::HookedExecutor;
use ledger_core::Height;
use ledger_node::{Chain, Host, Limits, NodeBuilder, Pending};
use ledger_storage::disk::SimulatedDisk;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

async fn submit(chain: &Chain, number: u64) -> Pending {
    chain.submit(deploy(chain, number)).await.unwrap()
}

const CHAINS: usize = 6;

/// Chains, the first of which has a block under execution that waits at the gate, and panics behind it if it is to.
async fn one_is_slow(blocks_at_once: usize, panics: bool) -> (Host, Vec<Chain>, Arc<Gate>) {
    let slow = numbered(0).chain();
    let (gate, gated) = Gate::new(slow, 0);
    let gated = gated.after_execution(move |_, context, _| {
        assert!(!panics || context.chain != slow, "as it was told to");
    });
    let limits = Limits { blocks_at_once, execution_workers: 2, ..Limits::default() };
    let builder = NodeBuilder::new().disk(SimulatedDisk::new(1)).memory_engine().limits(limits);
    let host = builder.executor(gated).start().await.unwrap();
    let mut chains = Vec::new();
    for number in 0..CHAINS {
        chains.push(host.chain(numbered(number), Solo::new(owner())).await.unwrap());
    }
    submit(&chains[0], 0).await.ordered().await.unwrap();
    (host, chains, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_for_a_chain_in_line_goes_into_one_block() {
    for panics in [false, true] {
        let (host, chains, gate) = one_is_slow(1, panics).await;
        let mut pending = Vec::new();
        for chain in &chains[1..] {
            for number in 0..5 {
                pending.push(submit(chain, number).await);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for chain in &chains[1..] {
            assert_eq!(chain.progress().ordered, Height(0), "it isn't its turn");
        }
        // Whether the slow one goes on or stops for ever, its place is free.
        gate.open_to(u64::MAX);
        for mut pending in pending {
            pending.certified().await.unwrap();
        }
        for chain in &chains[1..] {
            assert_eq!(chain.progress().ordered, Height(2), "one block, and one that commits to its outcome");
        }
        assert_eq!(chains[0].progress().stopped.is_some(), panics);
        drop(chains);
        host.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_there_is_room_nobody_waits() {
    let (host, chains, gate) = one_is_slow(2, false).await;
    for number in 0..3 {
        for chain in &chains[1..] {
            submit(chain, number).await.certified().await.unwrap();
        }
    }
    gate.open_to(u64::MAX);
    drop(chains);
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_stops_in_line_does_not_keep_its_turn() {
    let [stops, other] = [numbered(0), numbered(1)];
    let (gate, gated) = Gate::new(stops.chain(), 0);
    let gated = gated.after_execution({
        let stops = stops.chain();
        move |_, context, _| assert!(context.chain != stops, "as it was told to")
    });
    let goes_on = Arc::new(AtomicBool::new(false));
    let (goes, held) = (Arc::clone(&goes_on), other.chain());
    let executor = HookedExecutor::new(gated).before_execution(move |_, context| {
        while context.chain == held && !goes.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let limits = Limits { blocks_at_once: 1, execution_workers: 2, ..Limits::default() };
    let builder = NodeBuilder::new().disk(SimulatedDisk::new(2)).memory_engine().limits(limits);
    let host = builder.executor(executor).start().await.unwrap();
    // As long as it is alone it needs no turn for its block, which is held up.
    let stops = host.chain(stops, Solo::new(owner())).await.unwrap();
    submit(&stops, 0).await.ordered().await.unwrap();
    let other = host.chain(other, Solo::new(owner())).await.unwrap();
    submit(&other, 0).await.ordered().await.unwrap();
    // Now it has to stand in line, behind the other one's block, and stops there.
    submit(&stops, 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open_to(u64::MAX);
    let mut progress = stops.watch_progress();
    within("the stop", progress.wait_for(|progress| progress.stopped.is_some())).await.unwrap();
    goes_on.store(true, Ordering::SeqCst);
    for number in 1..4 {
        within("the other chain's block", certify(&other, number)).await;
    }
    drop((stops, other));
    host.shutdown().await.unwrap();
}
