//! What other validators hand on counts in the memory that a host has for waiting transactions, as what its clients hand in.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::network::{Network, client, within};
use common::token_executor;
use ledger_contracts::NATIVE;
use ledger_contracts::testing::HookedExecutor;
use ledger_core::TransactionBuilder;
use ledger_node::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_fills_no_more_of_another_s_memory_than_there_is() {
    let mut network = Network::new(2);
    network.start(0).await;
    network.limits = Limits { waiting_bytes: 40_000, ..Limits::default() };
    let checked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&checked);
    let executor = HookedExecutor::new(token_executor()).before_admission(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    network.start_with(1, executor).await;
    network.deploy(0).await;
    checked.store(0, Ordering::SeqCst);
    let chain = network.chain(0);
    // Each takes more than 1,000 bytes, and waits for number 1.
    for number in 2..202 {
        let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), vec![0; 500]);
        chain.submit(deploy.sequence(0, number).sign(&client()).unwrap()).await.unwrap();
        // So that it is handed on by itself.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    within("gossip", async {
        while checked.load(Ordering::SeqCst) < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let taken = checked.load(Ordering::SeqCst);
    assert!(taken < 60, "{taken} of 200 were taken in, which is more than 40,000 bytes");
}
