//! A peer that asks for blocks that can't be gets an answer without any, and can go on asking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::network::{Network, member, within};
use ledger_core::{Height, Lane, codec};
use ledger_crypto::Signer;
use ledger_network::{Admission, Delivery, Transport};
use ledger_node::core::SyncMessage;

#[tokio::test(flavor = "multi_thread")]
async fn heights_at_the_end_of_all_heights_are_just_not_there() {
    let mut network = Network::new(1);
    network.start(0).await;
    network.deploy(0).await;
    let (peer, chain, node) = (network.transport(1), network.chain(0).id(), member(0).public_key());
    let mut inbox = peer.join(chain, Admission::members([node])).unwrap();
    within("a connection", async { while inbox.recv().await.unwrap() != Delivery::Connected(node) {} }).await;
    for (from, count, some) in [(u64::MAX, u64::MAX, false), (u64::MAX, 1, false), (0, u64::MAX, true), (1, 1, true)] {
        let question = SyncMessage::GetBlocks { from: Height(from), count };
        peer.send(&chain, &node, Lane::Sync, codec::encode(&question).into()).unwrap();
        let answer = within("an answer", async {
            loop {
                let Delivery::Message { lane: Lane::Sync, bytes, .. } = inbox.recv().await.unwrap() else { continue };
                match codec::decode(&bytes).unwrap() {
                    SyncMessage::Blocks { from, blocks } => return (from, !blocks.is_empty()),
                    _ => continue,
                }
            }
        });
        assert_eq!(answer.await, (Height(from), some));
    }
}
