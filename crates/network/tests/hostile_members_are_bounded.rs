//! What an admitted member can do to another is bounded, whatever it sends and however slowly it reads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::{CHAIN, PROTOCOL, Raw, config, header, honest, key, serves_others, start, victim};
use ledger_core::{ChainId, Lane};
use ledger_crypto::Digest;
use ledger_network::{Admission, Delivery, LaneLimits, NetworkConfig, Peer, QuicConfig, SendError, Transport};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_length_beyond_the_lanes_limit_closes_the_connection_and_says_so() {
    let (victim, mut inbox) = victim(config());
    let (raw, _control) = Raw::greeted(&victim).await;
    let mut votes = raw.lane(0).await;
    votes.write_all(&header(u32::MAX, &CHAIN)).await.unwrap();
    assert_eq!(raw.closed().await, PROTOCOL);
    serves_others(&victim, &mut inbox).await;
    let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
    assert_eq!(report.last_error.unwrap(), "lane votes: a message of 4294967295 bytes, whose limit is 1048576");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_ends_closes_the_connection() {
    let (victim, mut inbox) = victim(config());
    let (raw, _control) = Raw::greeted(&victim).await;
    let mut payloads = raw.lane(1).await;
    payloads.write_all(&header(64 << 10, &CHAIN)).await.unwrap();
    payloads.write_all(&[1; 1_000]).await.unwrap();
    assert_eq!(raw.closed().await, PROTOCOL);
    serves_others(&victim, &mut inbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stream_for_a_lane_and_a_lane_that_isnt_one_close_the_connection() {
    let (victim, mut inbox) = victim(config());
    for tags in [[2, 2], [2, 4]] {
        let (raw, _control) = Raw::greeted(&victim).await;
        let _streams = [raw.lane(tags[0]).await, raw.lane(tags[1]).await];
        assert_eq!(raw.closed().await, PROTOCOL);
    }
    serves_others(&victim, &mut inbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_other_chains_are_dropped_and_too_many_close_the_connection() {
    let (victim, mut inbox) = victim(QuicConfig { strays_per_second: 10, ..config() });
    let hidden = ChainId(Digest::new([8; 32]));
    let mut at_hidden = victim.join(hidden, Admission::members([key(1), key(3)])).unwrap();
    let (raw, _control) = Raw::greeted(&victim).await;
    let mut gossip = raw.lane(2).await;
    let nowhere = ChainId(Digest::new([5; 32]));
    for chain in [hidden, nowhere, CHAIN] {
        gossip.write_all(&header(3, &chain)).await.unwrap();
        gossip.write_all(b"hey").await.unwrap();
    }
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(2))));
    assert!(matches!(inbox.recv().await, Some(Delivery::Message { from, .. }) if from == key(2)));
    assert!(at_hidden.try_recv().is_none(), "a chain that doesn't admit the peer heard of it");
    let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
    assert_eq!(report.drops.not_admitted, 2);
    for _ in 0..200 {
        if gossip.write_all(&[&header(0, &hidden)[..]].concat()).await.is_err() {
            break;
        }
    }
    assert_eq!(raw.closed().await, PROTOCOL);
}

#[tokio::test(flavor = "multi_thread")]
async fn announcing_more_chains_than_allowed_closes_the_connection() {
    let mut settings = config();
    settings.network.chains_per_peer = 8;
    let (victim, _inbox) = victim(settings);
    let (raw, (mut control, _receive)) = Raw::greeted(&victim).await;
    for number in 0..9 {
        let _ = control.write_all(&[&[0][..], &[number; 32]].concat()).await;
    }
    assert_eq!(raw.closed().await, PROTOCOL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_holds_no_more_than_its_share_and_honest_traffic_goes_on() {
    let mut settings = QuicConfig { stall_limit: Duration::from_secs(60), ..config() };
    for lane in Lane::ALL {
        *settings.network.lanes.get_mut(lane) =
            LaneLimits { frame_bytes: 64 << 10, queue_frames: 64, queue_bytes: 512 << 10 };
    }
    let (victim, mut inbox) = victim(settings.clone());
    let (other, _at_other) = honest(&victim, &mut inbox).await;
    let (raw, _control) = Raw::greeted(&victim).await;
    let mut floods = Vec::new();
    for lane in 0..4 {
        let mut stream = raw.lane(lane).await;
        floods.push(tokio::spawn(async move {
            let frame = [header(10_000, &CHAIN), vec![lane; 10_000]].concat();
            while stream.write_all(&frame).await.is_ok() {}
        }));
    }
    // The victim reads a message now and then only; the honest member's votes get through all the same.
    let start = Instant::now();
    let (mut most, mut sent, mut votes, mut flood) = (0, 0, 0, 0);
    while start.elapsed() < Duration::from_secs(2) {
        other.send(&CHAIN, &key(1), Lane::Votes, (*b"vote").into()).unwrap();
        sent += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
        for _ in 0..4 {
            match inbox.try_recv() {
                Some(Delivery::Message { from, .. }) if from == key(3) => votes += 1,
                Some(Delivery::Message { .. }) => flood += 1,
                _ => {}
            }
        }
        let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
        let queued: usize = Lane::ALL.iter().map(|lane| report.lanes.get(*lane).queued_in).sum();
        most = most.max(queued);
    }
    floods.iter().for_each(tokio::task::JoinHandle::abort);
    let share: usize = Lane::ALL.iter().map(|lane| settings.network.lanes.get(*lane).queue_bytes).sum();
    assert!(most <= share, "{most} bytes waited, more than {share}");
    let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
    assert!(report.drops.votes_in > 0 && most > share / 2, "the flood met no bound: {report:?}");
    // The last ones may be under way.
    assert!(
        flood > 0 && votes + 20 >= sent,
        "{votes} of {sent} honest votes came beside {flood} messages of the flood"
    );
    assert_eq!(report.drops.stalled, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_fills_its_queue_and_nothing_else() {
    let settings = config();
    let (victim, mut inbox) = victim(settings.clone());
    let (raw, (mut control, _receive)) = Raw::greeted(&victim).await;
    control.write_all(&[&[0][..], CHAIN.0.as_bytes()].concat()).await.unwrap();
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(2))));
    // It accepts no stream and reads nothing. What is taken is bounded by queue, batch and window.
    let limits = settings.network.lanes.payloads;
    let bound = limits.queue_bytes + limits.frame_bytes + quic_window(&raw);
    let start = Instant::now();
    let (mut taken, mut idle) = (0, Instant::now());
    while idle.elapsed() < Duration::from_millis(200) {
        match victim.send(&CHAIN, &key(2), Lane::Payloads, vec![0; 50_000].into()) {
            Ok(()) => (taken, idle) = (taken + 50_000, Instant::now()),
            Err(SendError::QueueFull { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
        assert!(taken <= bound, "{taken} bytes were taken, more than {bound}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
    let waiting = report.lanes.payloads.queued_out;
    assert!(waiting <= limits.queue_bytes + limits.frame_bytes, "{waiting} bytes wait");
    for _ in 0..10_000 {
        victim.send(&CHAIN, &key(2), Lane::Votes, vec![0; 2_000].into()).unwrap();
    }
    let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
    assert!(report.drops.votes_out > 0);
    serves_others(&victim, &mut inbox).await;
}

/// What a connection by hand takes of one stream: quinn's default window.
fn quic_window(_: &Raw) -> usize {
    1_250_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_falls_silent_is_lost_after_the_idle_timeout() {
    let (victim, mut inbox) = victim(config());
    let (raw, (mut control, _receive)) = Raw::greeted(&victim).await;
    control.write_all(&[&[0][..], CHAIN.0.as_bytes()].concat()).await.unwrap();
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(2))));
    // Its socket goes without a word, and what comes from another isn't taken for its own.
    raw.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(inbox.recv().await, Some(Delivery::Disconnected(key(2))));
    let report = victim.peers().into_iter().find(|report| report.peer == key(2)).unwrap();
    assert_eq!((report.connected_since, report.last_error.as_deref()), (None, Some("timed out")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_started_anew_takes_its_old_connections_place() {
    let (victim, mut inbox) = victim(QuicConfig { idle_timeout: Duration::from_secs(60), ..config() });
    let (raw, (mut control, _receive)) = Raw::greeted(&victim).await;
    control.write_all(&[&[0][..], CHAIN.0.as_bytes()].concat()).await.unwrap();
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(2))));
    let restarted = start(2, config());
    let mut at_restarted = restarted.join(CHAIN, Admission::members([key(1), key(2)])).unwrap();
    let addresses = vec![victim.local_address().unwrap().to_string()];
    restarted.set_peers(vec![Peer { member: key(1), addresses }]);
    assert_eq!(at_restarted.recv().await, Some(Delivery::Connected(key(1))));
    assert_eq!(inbox.recv().await, Some(Delivery::Disconnected(key(2))));
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(2))));
    restarted.send(&CHAIN, &key(1), Lane::Votes, (*b"back").into()).unwrap();
    assert!(matches!(inbox.recv().await, Some(Delivery::Message { .. })));
    assert_eq!(raw.closed().await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_lets_what_is_queued_arrive() {
    let (victim, mut inbox) = victim(config());
    let (other, at_other) = honest(&victim, &mut inbox).await;
    for number in 0..500_u64 {
        other.send(&CHAIN, &key(1), Lane::Gossip, number.to_be_bytes().into()).unwrap();
    }
    other.close().await;
    drop((other, at_other));
    let mut came = 0_u64;
    while came < 500 {
        match inbox.recv().await.unwrap() {
            Delivery::Message { bytes, .. } => {
                assert_eq!(*bytes, came.to_be_bytes());
                came += 1;
            }
            told => assert_eq!(told, Delivery::Disconnected(key(3))),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_32_mib_delays_no_vote() {
    let settings = || QuicConfig::new(NetworkConfig::default());
    let (victim, mut inbox) = victim(settings());
    let other = start(3, settings());
    let mut at_other = other.join(CHAIN, Admission::members([key(1), key(3)])).unwrap();
    other.set_peers(vec![Peer { member: key(1), addresses: vec![victim.local_address().unwrap().to_string()] }]);
    assert_eq!(at_other.recv().await, Some(Delivery::Connected(key(1))));
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(3))));
    other.send(&CHAIN, &key(1), Lane::Payloads, vec![7; 32 << 20].into()).unwrap();
    let mut slowest = Duration::ZERO;
    let mut votes = 0;
    loop {
        let sent = Instant::now();
        other.send(&CHAIN, &key(1), Lane::Votes, (*b"vote").into()).unwrap();
        match inbox.recv().await.unwrap() {
            Delivery::Message { lane: Lane::Votes, .. } => {
                slowest = slowest.max(sent.elapsed());
                votes += 1;
            }
            Delivery::Message { lane: Lane::Payloads, bytes, .. } => {
                assert_eq!(bytes.len(), 32 << 20);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    println!("{votes} votes while the payload was under way, the slowest took {slowest:?}");
    assert!(votes >= 20, "the payload was through before {votes} votes");
}
