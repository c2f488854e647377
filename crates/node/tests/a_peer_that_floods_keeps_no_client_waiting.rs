//! A peer that sends faster than a chain reads doesn't keep the chain's clients waiting.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::network::{Network, member, mint};
use ledger_core::Lane;
use ledger_crypto::Signer;
use ledger_network::{Admission, SendError, Transport};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_taken_in_beside_a_flood_of_messages() {
    let mut network = Network::new(1);
    network.start(0).await;
    let token = network.deploy(0).await;
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let chain = network.chain(0).id();
    let floods: Vec<_> = (1..4)
        .map(|number| {
            let (peer, over, sent) = (network.transport(number), Arc::clone(&over), Arc::clone(&sent));
            let inbox = peer.join(chain, Admission::members([member(0).public_key()])).unwrap();
            std::thread::spawn(move || {
                let _inbox = inbox;
                let garbage: Arc<[u8]> = vec![255; 1_000].into();
                while !over.load(Ordering::Relaxed) {
                    match peer.send(&chain, &member(0).public_key(), Lane::Votes, Arc::clone(&garbage)) {
                        Ok(()) => _ = sent.fetch_add(1, Ordering::Relaxed),
                        Err(SendError::QueueFull { .. }) => std::thread::yield_now(),
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            })
        })
        .collect();
    while sent.load(Ordering::Relaxed) < 1_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let clock = Instant::now();
    for number in 1..6 {
        mint(network.chain(0), token, number).await;
    }
    let took = clock.elapsed();
    over.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    assert!(took < Duration::from_secs(4), "{took:?} beside {} messages", sent.load(Ordering::Relaxed));
}
