//! Real hosts on real folders, connected in one process: they agree, lose one, take it back, and let others follow.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::network::{Network, certified, mint, same_blocks, supply};
use ledger_core::Height;
use ledger_node::TransactionStatus;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_four_may_leave_and_come_back() {
    let mut network = Network::new(4);
    for number in 0..4 {
        network.start(number).await;
    }
    let contract = network.deploy(0).await;
    let mut height = Height(0);
    // Whoever is asked, all of them come to know.
    for number in 0..6 {
        height = mint(network.chain(number % 4), contract, number as u64 + 1).await;
        for chain in network.chains() {
            certified(chain, height).await;
        }
    }
    same_blocks(&network.chains(), height);

    // One leaves; the others go on.
    network.stop(3).await;
    for number in 6..30 {
        height = mint(network.chain(number % 3), contract, number as u64 + 1).await;
    }
    // It comes back, and has everything.
    network.start(3).await;
    for chain in network.chains() {
        certified(chain, height).await;
        assert_eq!(supply(chain, contract), 150);
        assert!(chain.evidence().is_empty());
    }
    same_blocks(&network.chains(), height);

    // Now another one may leave: the one that came back votes again.
    network.stop(0).await;
    mint(network.chain(3), contract, 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_follows_and_passes_transactions_on() {
    let mut network = Network::new(4);
    for number in 0..4 {
        network.start(number).await;
    }
    let contract = network.deploy(0).await;
    network.observe(4).await;
    let auditor = network.chain(4);
    let height = mint(auditor, contract, 1).await;
    assert_eq!(supply(auditor, contract), 5);
    same_blocks(&[auditor, network.chain(1)], height);
    // What it proves, it proves to strangers.
    let status = auditor.status(&auditor.block(height).unwrap().transactions[0].id()).unwrap();
    assert!(matches!(status, TransactionStatus::Certified(_)), "{status:?}");
}
