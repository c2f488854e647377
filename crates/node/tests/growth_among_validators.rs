//! Validators that cut their logs: each goes on from what is left of its own, and who comes late takes the blocks from
//! those that archive them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::network::{Network, certified, member, mint, same_blocks, supply};
use ledger_core::Height;
use ledger_node::{ChainError, ChainPolicy, GrowthConfig, Keepers, Limits, Retention, Stage, SubscriptionError};
use std::time::Duration;

/// Logs of a few blocks.
fn limits(policy: ChainPolicy) -> Limits {
    let mut growth = GrowthConfig { log_bytes: 30_000, step_bytes: 30_000, ..GrowthConfig::default() };
    growth.interval = Duration::from_millis(5);
    let mut limits = Limits { growth: Some(growth), policy, ..Limits::default() };
    limits.log.segment_bytes = 16_384;
    limits.log.fill_bytes = 1_024;
    limits
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_go_on_from_cut_logs_and_serve_who_comes_late() {
    use ledger_crypto::Signer;
    let mut network = Network::new(4);
    let keepers = Keepers::Members([1, 2].map(|number| member(number).public_key()).to_vec().into());
    let pruning = ChainPolicy::new(Retention::StateOnly, keepers.clone()).unwrap();
    let archiving = ChainPolicy { retention: Retention::Archive, keepers };
    for number in 0..4 {
        network.limits = limits(if number == 0 { pruning.clone() } else { archiving.clone() });
        network.start(number).await;
    }
    let contract = network.deploy(0).await;
    // The last one misses nearly everything.
    network.stop(3).await;
    let mut minted = 0;
    let mut height = Height(0);
    let cuts = |network: &Network| (0..3).map(|number| network.host_of(number).growth()[0].cuts).min().unwrap();
    while cuts(&network) < 2 {
        minted += 1;
        height = mint(network.chain(minted % 3), contract, minted as u64).await;
        assert!(minted < 1_000, "{:?}", network.host_of(0).growth());
    }
    for number in 0..3 {
        assert_eq!(network.host_of(number).growth()[0].error, None);
        certified(network.chain(number), height).await;
    }
    let refused = network.chain(0).block(Height(1)).unwrap_err();
    assert!(matches!(refused, ChainError::Pruned { height: Height(1), .. }), "{refused}");
    let told = network.chain(0).subscribe(Height(1), Stage::Executed).next_block().await.unwrap_err();
    assert!(matches!(&told, SubscriptionError::Chain(ChainError::Pruned { height: Height(1), .. })), "{told}");
    assert!(refused.to_string().contains(&member(2).public_key().to_string()), "{refused}");
    assert_eq!(network.chain(1).block(Height(1)).unwrap().header.height, Height(1));

    // Two restart from what is left, each while the others wait for it: its votes count.
    for number in [0, 1] {
        network.stop(number).await;
        network.limits = limits(if number == 0 { pruning.clone() } else { archiving.clone() });
        network.start(number).await;
        minted += 1;
        height = mint(network.chain(number), contract, minted as u64).await;
    }
    // The one that was away takes what it lacks from the archives of others, and votes again; so does a new observer.
    network.limits = limits(archiving);
    network.start(3).await;
    network.observe(4).await;
    for chain in network.chains() {
        certified(chain, height).await;
        assert_eq!(supply(chain, contract), 5 * minted as u128);
        assert!(chain.evidence().is_empty());
    }
    same_blocks(&network.chains(), height);
    for height in (1..=height.0).map(Height) {
        let (late, first) = (network.chain(4).block(height).unwrap(), network.chain(1).block(height).unwrap());
        assert_eq!(late.header, first.header);
    }
    network.stop(1).await;
    mint(network.chain(3), contract, minted as u64 + 1).await;
}
