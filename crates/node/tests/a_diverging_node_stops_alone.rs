//! A validator whose execution differs stops with the reason, the others go on, and the documented way back works.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::network::{Network, certified, mint, supply, within};
use common::token_executor;
use ledger_contracts::testing::HookedExecutor;
use ledger_core::Writes;
use ledger_node::Stop;

#[tokio::test(flavor = "multi_thread")]
async fn it_names_the_block_and_comes_back_by_replaying() {
    let mut network = Network::new(4);
    for number in 0..3 {
        network.start(number).await;
    }
    // It loses the last write of every block from height 6 on: a node with a bug, or with bad memory.
    let forgetful = HookedExecutor::new(token_executor()).after_execution(|block, _, execution| {
        if block.header.height.0 >= 6 {
            let kept = execution.writes.len().saturating_sub(1);
            execution.writes = Writes::new(execution.writes.iter().take(kept).cloned().collect());
        }
    });
    network.start_with(3, forgetful).await;
    let contract = network.deploy(0).await;
    let mut height = ledger_core::Height(0);
    for number in 0..12 {
        height = mint(network.chain(number % 3), contract, number as u64 + 1).await;
    }
    let mut progress = network.chain(3).watch_progress();
    let stopped = within("the stop", progress.wait_for(|progress| progress.stopped.is_some())).await.unwrap();
    let Some(Stop::Diverged { height: found, expected, found: own, .. }) = stopped.stopped.clone() else {
        panic!("{:?}", stopped.stopped)
    };
    drop(stopped);
    assert!(found.0 > 6 && expected != own);
    assert_eq!(network.chain(0).header(found).unwrap().history.root, expected);

    // The way back: stop it, mend the program, remove the views, start.
    network.stop(3).await;
    std::fs::remove_dir_all(network.folder(3).join("views")).unwrap();
    network.start(3).await;
    certified(network.chain(3), height).await;
    assert_eq!(supply(network.chain(3), contract), 60);
    // It votes again: without it and one other there is no quorum, with it there is.
    network.stop(0).await;
    mint(network.chain(3), contract, 13).await;
}
