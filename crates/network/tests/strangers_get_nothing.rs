//! Whoever doesn't prove an admitted member key on this very connection is turned away, and others are served on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::{CHAIN, REFUSED, Raw, config, connect, key, serves_others, signer, start, victim};
use ledger_core::codec::encode;
use ledger_network::quic::hello::{Attempt, Hello, Role};
use ledger_network::{Admission, Delivery, Peer, QuicConfig, QuicTransport, StartError, Transport};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_packets_are_ignored() {
    let (victim, mut inbox) = victim(config());
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..2_000_usize {
        let packet: Vec<u8> = (0..number % 1_400).map(|at| (at * 31 + number * 17).to_le_bytes()[0]).collect();
        socket.send_to(&packet, victim.local_address().unwrap()).unwrap();
    }
    serves_others(&victim, &mut inbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_or_no_certificate_ends_in_the_tls_handshake() {
    let (victim, mut inbox) = victim(config());
    let address = victim.local_address().unwrap();
    assert!(connect(address, b"h3", true).await.is_err());
    // TLS 1.3 lets a client think it is through before the server has missed its certificate.
    if let Ok(raw) = connect(address, b"ledgerkit/0", false).await {
        assert!(matches!(raw.connection.closed().await, quinn::ConnectionError::ConnectionClosed(_)));
    }
    serves_others(&victim, &mut inbox).await;
    assert_eq!(victim.refusals().handshake, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_isnt_one_or_isnt_ones_own_is_refused() {
    let (victim, mut inbox) = victim(config());

    let raw = Raw::to(&victim).await;
    assert!(raw.say(b"how do you do").await.is_err());
    assert_eq!(raw.closed().await, REFUSED, "no hello");

    let raw = Raw::to(&victim).await;
    assert!(raw.say(&vec![0; 60_000]).await.is_err());
    assert_eq!(raw.closed().await, REFUSED, "a hello too long");

    // Heard on a connection with somebody else and said again here.
    let elsewhere = Raw::to(&victim).await;
    let raw = Raw::to(&victim).await;
    assert!(raw.say(&elsewhere.hello(2)).await.is_err());
    assert_eq!(raw.closed().await, REFUSED, "a replayed hello");

    // Somebody else's certificate, in the right session.
    let raw = Raw::to(&victim).await;
    let binding =
        ledger_network::quic::hello::Binding { certificate: elsewhere.binding().certificate, ..raw.binding() };
    let attempt = Attempt { process: 1, number: 1 };
    let hello = Hello::sign(&signer(2), attempt, u64::MAX, &binding).unwrap();
    assert!(raw.say(&encode(&hello)).await.is_err());
    assert_eq!(raw.closed().await, REFUSED, "another's certificate");

    let raw = Raw::to(&victim).await;
    let binding = ledger_network::quic::hello::Binding { role: Role::Acceptor, ..raw.binding() };
    let hello = Hello::sign(&signer(2), attempt, u64::MAX, &binding).unwrap();
    assert!(raw.say(&encode(&hello)).await.is_err());
    assert_eq!(raw.closed().await, REFUSED, "the other role");

    let refusals = victim.refusals();
    assert_eq!((refusals.hello, refusals.not_admitted), (5, 0), "{refusals:?}");

    // Properly said, by somebody whom no chain admits. The answer is the same.
    let raw = Raw::to(&victim).await;
    assert!(raw.say(&raw.hello(4)).await.is_err());
    assert_eq!(raw.closed().await, REFUSED, "a stranger");
    assert_eq!(victim.refusals().not_admitted, 1);
    assert!(victim.peers().is_empty(), "nothing is kept of strangers");

    drop(elsewhere);
    serves_others(&victim, &mut inbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_time_out_and_their_places_are_given_back() {
    let (victim, mut inbox) = victim(QuicConfig { handshakes: 4, ..config() });
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Raw::to(&victim).await);
    }
    for raw in &silent {
        assert_eq!(raw.closed().await, REFUSED);
    }
    assert_eq!(victim.refusals().timeout, 3);
    serves_others(&victim, &mut inbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_at_an_address_has_to_be_the_member_that_was_dialed() {
    let (victim, _inbox) = victim(config());
    let dialer = start(2, config());
    let mut inbox = dialer.join(CHAIN, Admission::members([key(1), key(2), key(3)])).unwrap();
    let addresses = vec![victim.local_address().unwrap().to_string()];
    dialer.set_peers(vec![Peer { member: key(3), addresses }]);
    let start = std::time::Instant::now();
    loop {
        let report = dialer.peers().into_iter().find(|report| report.peer == key(3));
        if let Some(error) = report.and_then(|report| report.last_error) {
            assert_eq!(error, format!("{} answers where {} was expected", key(1), key(3)));
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "no attempt was made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(inbox.try_recv().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let (victim, _inbox) = victim(config());
    let address = victim.local_address().unwrap();
    let error = QuicTransport::start(config(), Arc::new(signer(2)), address, Vec::new()).unwrap_err();
    assert!(matches!(&error, StartError::Listen { address: named, .. } if *named == address));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_statement_is_warned_of_and_refuses_nothing() {
    let (victim, mut inbox) = victim(config());
    let expired = start(2, QuicConfig { not_after: 1_000, ..config() });
    let mut at_expired = expired.join(CHAIN, Admission::members([key(1), key(2)])).unwrap();
    let addresses = vec![victim.local_address().unwrap().to_string()];
    expired.set_peers(vec![Peer { member: key(1), addresses }]);
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(2))));
    assert_eq!(at_expired.recv().await, Some(Delivery::Connected(key(1))));
    assert!(victim.peers()[0].statement_expired);
    assert!(!expired.peers()[0].statement_expired);
}
