//! A stream of events that is cut at any place goes on behind the last message that was read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::{Message, Node, Stream};
use ledger_api::ApiConfig;
use ledger_core::ContractId;
use ledger_crypto::Digest;
use std::time::Duration;

fn ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.id.clone().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_anywhere_the_rest_follows_exactly() {
    let mut node = Node::start().await;
    // Several in a block: handed in together.
    let mut pending = Vec::new();
    for _ in 0..20 {
        let transaction = node.mint();
        pending.push(node.chain().enqueue(transaction).await.unwrap());
    }
    for pending in pending {
        pending.await.unwrap().certified().await.unwrap();
    }
    let path = node.path("/events?from=0");
    let whole = Stream::open(node.address, &path, "").await.messages(20).await;
    let all = ids(&whole);
    assert_eq!(all.len(), 20);
    let sorted: std::collections::BTreeSet<(u64, u32)> = all
        .iter()
        .map(|id| {
            id.split_once('.').map(|(height, number)| (height.parse().unwrap(), number.parse().unwrap())).unwrap()
        })
        .collect();
    assert_eq!(sorted.len(), 20, "no two are the same");
    for cut in 0..19 {
        let header = format!("Last-Event-ID: {}\r\n", all[cut]);
        let rest = Stream::open(node.address, &path, &header).await.messages(19 - cut).await;
        assert_eq!(rest, whole[cut + 1..], "cut behind {}", all[cut]);
    }
    // What comes later comes on the stream that is open.
    let header = format!("Last-Event-ID: {}\r\n", all[19]);
    let mut open = Stream::open(node.address, &path, &header).await;
    let id = node.mint_certified(1).await[0];
    let later = open.messages(1).await;
    assert_eq!(later[0].data["transaction"], id.to_string());
    assert_eq!(later[0].name, "event");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_leaves_the_ids_as_they_are_and_moves_them_on_in_silence() {
    let mut config = ApiConfig::default();
    config.limits.heartbeat = Duration::from_millis(50);
    let mut node = Node::with(config).await;
    node.mint_certified(3).await;
    let of_contract = node.path(&format!("/events?from=0&contract={}&topic=minted", node.contract));
    let found = Stream::open(node.address, &of_contract, "").await.messages(3).await;
    let all = Stream::open(node.address, &node.path("/events?from=0"), "").await.messages(3).await;
    assert_eq!(ids(&found), ids(&all));
    // Nobody's events: only the position moves on, to where a stream without a filter has nothing more to tell.
    let nobody = node.path(&format!("/events?from=0&contract={}", ContractId(Digest::new([1; 32]))));
    let moved = Stream::open(node.address, &nobody, "").await.messages(1).await;
    assert_eq!(moved[0].name, "position");
    let header = format!("Last-Event-ID: {}\r\n", moved[0].id.as_ref().unwrap());
    let mut open = Stream::open(node.address, &node.path("/events"), &header).await;
    let id = node.mint_certified(1).await[0];
    let next = loop {
        let count = open.messages(1).await.len();
        let last = open.messages(count).await.pop().unwrap();
        if last.name == "event" {
            break last;
        }
        open.messages(count + 1).await;
    };
    assert_eq!(next.data["transaction"], id.to_string());
    node.stop().await;
}
