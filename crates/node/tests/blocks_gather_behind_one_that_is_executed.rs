//! A block that would wait for the execution of another one is made once it is worth it: so two stages work on blocks of
//! about one size. What waits for nothing is made at once.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Gate, deploy, numbered, owner};
use ledger_consensus::Solo;
use ledger_core::Height;
use ledger_node::NodeBuilder;
use ledger_storage::disk::SimulatedDisk;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_behind_another_has_three_quarters_as_many_transactions() {
    let (gate, gated) = Gate::new(numbered(0).chain(), 0);
    let builder = NodeBuilder::new().disk(SimulatedDisk::new(1)).memory_engine();
    let host = builder.executor(gated).start().await.unwrap();
    let chain = host.chain(numbered(0), Solo::new(owner())).await.unwrap();
    let mut pending = Vec::new();
    let mut number = 0;
    let mut more = async |count: u64| {
        for _ in 0..count {
            pending.push(chain.submit(deploy(&chain, number)).await.unwrap());
            number += 1;
        }
    };
    // Long enough for what isn't to happen, and for what is to happen as long as it takes.
    let settle = || tokio::time::sleep(Duration::from_millis(60));
    let ordered = async |height: u64| {
        while chain.progress().ordered < Height(height) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    more(1).await;
    gate.reached(1).await;
    // Behind one transaction, one is enough.
    more(1).await;
    ordered(2).await;
    // The two stages have a block each: there is no place for a third.
    more(40).await;
    settle().await;
    assert_eq!(chain.progress().ordered, Height(2));
    gate.open_to(2);
    gate.reached(3).await;
    ordered(3).await;
    more(29).await;
    settle().await;
    assert_eq!(chain.progress().ordered, Height(3), "29 are less than three quarters of 40");
    more(1).await;
    ordered(4).await;
    // Nor does it wait for what has been executed.
    more(3).await;
    settle().await;
    assert_eq!(chain.progress().ordered, Height(4));
    gate.open_to(u64::MAX);
    for mut pending in pending {
        pending.certified().await.unwrap();
    }
    let sizes: Vec<usize> = gate.blocks.lock().unwrap().values().map(|(transactions, _)| *transactions).collect();
    assert_eq!(sizes.iter().copied().filter(|size| *size > 0).collect::<Vec<_>>(), [1, 1, 40, 30, 3]);
    drop(chain);
    host.shutdown().await.unwrap();
}
