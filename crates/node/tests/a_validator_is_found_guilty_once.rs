//! A validator that signs twice in one view after another is reported once: it must not fill the logs of the others.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::network::{Network, member, mint, within};
use ledger_consensus::bft::wire::{Message, Vote, encode};
use ledger_core::{BftVote, Epoch, Evidence, Lane, View, codec};
use ledger_crypto::{Digest, Signer};
use ledger_network::{Admission, Transport};
use ledger_node::recovery::EVIDENCE_RECORD;
use ledger_storage::disk::RealDisk;
use ledger_storage::log::{Log, LogConfig};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn one_who_signs_twice_in_many_views_is_reported_once() {
    let mut network = Network::new(4);
    for number in 0..3 {
        network.start(number).await;
    }
    let token = network.deploy(0).await;
    let (liar, chain) = (network.transport(3), network.chain(0).id());
    let inbox = liar.join(chain, Admission::members((0..4).map(|number| member(number).public_key()))).unwrap();
    let vote = |view: u64, block: u8| {
        let (view, vote) = (View(view), BftVote::Notarize(Digest::new([block; 32])));
        let signature = member(3).sign(vote.domain(), &vote.message(chain, Epoch(0), view)).unwrap();
        encode(Epoch(0), Message::Vote(Vote { view, vote, signature }))
    };
    let to = member(0).public_key();
    for (number, views) in (1..6).zip([0, 20, 40, 60, 80]) {
        for (view, block) in (views..views + 40).flat_map(|view| [(view, 1), (view, 2)]) {
            // It is sent while the views go on, so that some of them are those that the others are in.
            let _ = liar.send(&chain, &to, Lane::Votes, vote(view, block));
        }
        mint(network.chain(0), token, number).await;
    }
    let mut progress = network.chain(0).watch_progress();
    within("evidence", progress.wait_for(|progress| progress.evidence > 0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let told = network.chain(0).evidence();
    assert!(told.len() == 1 && told[0].validator == member(3).public_key(), "{}", told.len());
    drop(inbox);
    network.stop(0).await;
    let log = Log::open(Arc::new(RealDisk::open(network.folder(0)).unwrap()), LogConfig::default()).unwrap();
    let records = log.reader().records().map(Result::unwrap).filter(|(_, record)| record.kind == EVIDENCE_RECORD);
    let logged: Vec<Evidence> = records.map(|(_, record)| codec::decode(&record.bytes).unwrap()).collect();
    assert_eq!(logged, told);
    drop(log);
    network.start(0).await;
    assert_eq!(network.chain(0).evidence(), told);
}
