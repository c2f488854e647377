//! While as many chains as may have a block under way, the others line up, and what comes in for them meanwhile goes into
//! one block.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{Gate, deploy, numbered, owner};
use ledger_consensus::Solo;
use ledger_core::Height;
use ledger_node::{Chain, Host, Limits, NodeBuilder, Pending};
use ledger_storage::disk::SimulatedDisk;
use std::sync::Arc;
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
