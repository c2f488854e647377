//! QUIC over the loopback, both ends in one process: messages a second, payload bytes a second, and how long a vote takes,
//! alone and beside payloads. `cargo bench -p ledger-network`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_core::{ChainId, Lane};
use ledger_crypto::{Digest, MemorySigner};
use ledger_network::{
    Admission, Delivery, Inbox, NetworkConfig, Peer, QuicConfig, QuicTransport, SendError, Transport,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHAIN: ChainId = ChainId(Digest::new([9; 32]));

fn start(number: u8) -> QuicTransport {
    let signer = Arc::new(MemorySigner::from_seed([number; 32]));
    let config = QuicConfig::new(NetworkConfig::for_blocks(4 << 20));
    QuicTransport::start(config, signer, "127.0.0.1:0".parse().unwrap(), Vec::new()).unwrap()
}

/// Sends as fast as the queue takes it; gives messages a second as read at the other end.
async fn throughput(
    from: &QuicTransport,
    to: &QuicTransport,
    inbox: &mut Inbox,
    lane: Lane,
    size: usize,
    count: usize,
) -> f64 {
    let message: Arc<[u8]> = vec![7; size].into();
    let start = Instant::now();
    let reading = async {
        let mut batch = Vec::new();
        let mut read = 0;
        while read < count {
            inbox.recv_many(&mut batch, 1_024).await;
            read += batch.drain(..).filter(|delivery| matches!(delivery, Delivery::Message { .. })).count();
        }
    };
    let sending = async {
        for _ in 0..count {
            loop {
                match from.send(&CHAIN, &to.local(), lane, message.clone()) {
                    Ok(()) => break,
                    Err(SendError::QueueFull { .. }) => tokio::time::sleep(Duration::from_micros(200)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    tokio::join!(reading, sending);
    count as f64 / start.elapsed().as_secs_f64()
}

/// How long a vote of 200 bytes takes from `send` to `recv`, one after another; sorted.
async fn latencies(
    from: &QuicTransport,
    to: &QuicTransport,
    inbox: &mut Inbox,
    load: bool,
    count: usize,
) -> Vec<Duration> {
    let payload: Arc<[u8]> = vec![7; 1 << 20].into();
    let vote: Arc<[u8]> = vec![1; 200].into();
    let mut took = Vec::new();
    while took.len() < count {
        while load && from.send(&CHAIN, &to.local(), Lane::Payloads, payload.clone()).is_ok() {}
        let sent = Instant::now();
        from.send(&CHAIN, &to.local(), Lane::Votes, vote.clone()).unwrap();
        loop {
            if let Some(Delivery::Message { lane: Lane::Votes, .. }) = inbox.recv().await {
                took.push(sent.elapsed());
                break;
            }
        }
        if !load {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    took.sort();
    took
}

#[tokio::main]
async fn main() {
    let (from, to) = (start(1), start(2));
    let members = || Admission::members([from.local(), to.local()]);
    let mut at_from = from.join(CHAIN, members()).unwrap();
    let mut inbox = to.join(CHAIN, members()).unwrap();
    from.set_peers(vec![Peer { member: to.local(), addresses: vec![to.local_address().unwrap().to_string()] }]);
    at_from.recv().await.unwrap();
    inbox.recv().await.unwrap();

    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("two QUIC transports in one process over 127.0.0.1, {cores} cores, encrypted, one connection");
    for (lane, size, count) in
        [(Lane::Gossip, 200, 300_000), (Lane::Gossip, 2_000, 100_000), (Lane::Payloads, 1 << 20, 400)]
    {
        let rate = throughput(&from, &to, &mut inbox, lane, size, count).await;
        println!("{lane}: {count} messages of {size} bytes: {rate:.0} a second, {:.1} MB/s", rate * size as f64 / 1e6);
    }
    for (load, what) in [(false, "alone"), (true, "beside 1 MiB payloads sent as fast as the queue takes them")] {
        let took = latencies(&from, &to, &mut inbox, load, 1_000).await;
        println!("vote {what}: p50 {:?}, p99 {:?}, longest {:?}", took[500], took[990], took[999]);
    }
}
