//! A node that catches up can be shut down: it executes what is final here and leaves the rest for the next time.
#![allow(clippy::unwrap_used)]

mod common;

use common::network::{Network, certified, mint, within};
use common::token_executor;
use ledger_contracts::testing::HookedExecutor;
use ledger_core::Height;
use std::time::{Duration, Instant};

const BLOCK: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_besides_is_not_waited_for() {
    let mut network = Network::new(1);
    network.start(0).await;
    let token = network.deploy(0).await;
    let mut newest = Height::GENESIS;
    for number in 1..150 {
        newest = mint(network.chain(0), token, number).await;
    }
    // It takes far longer for each block than it takes to fetch one.
    let slow = HookedExecutor::new(token_executor()).before_execution(|_, _| std::thread::sleep(BLOCK));
    network.observe_with(1, slow).await;
    let mut progress = network.chain(1).watch_progress();
    within("the first blocks", progress.wait_for(|progress| progress.executed >= Height(3))).await.unwrap();
    let asked = Instant::now();
    network.stop(1).await;
    let (took, reached) = (asked.elapsed(), progress.borrow().executed);
    assert!(reached < Height(newest.0 / 2), "it went on to {reached} of {newest} for {took:?}");
    // The rest comes when it is back.
    network.observe(1).await;
    certified(network.chain(1), newest).await;
}
