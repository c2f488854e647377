//! Body, head, rate, result, streams, connections, time: each bound is met with an answer or a closed connection, and an
//! honest client goes on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::{Node, Stream, parse, request};
use ledger_api::{ApiConfig, ApiError, ApiLimits, ApiServer, Chains, Rights, Tokens};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn limited(change: impl FnOnce(&mut ApiLimits)) -> ApiConfig {
    let mut config = ApiConfig::default();
    change(&mut config.limits);
    config
}

const BYTES: &str = "Content-Type: application/octet-stream\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let node = Node::with(limited(|limits| limits.body_bytes = 1_000)).await;
    let path = node.path("/transactions");
    let reply = node.post(&path, BYTES, &[0; 1_001]).await;
    assert_eq!((reply.status, reply.problem().as_str()), (413, "body-too-large"));
    assert_eq!((reply.json()["limit"].as_str(), reply.json()["found"].as_str()), (Some("1000"), Some("1001")));
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{BYTES}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2_000));
    let reply = request(node.address, &head, chunk.as_bytes()).await;
    assert_eq!((reply.status, reply.problem().as_str()), (413, "body-too-large"));
    // As long as it may be, it is read, and found to be no transaction.
    assert_eq!(node.post(&path, BYTES, &[0; 1_000]).await.status, 422);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded_in_bytes_and_in_number() {
    let node = Node::start().await;
    let long = format!("X-Long: {}\r\n", "x".repeat(32 << 10));
    assert!(node.get_with("/health/live", &long).await.status >= 400);
    let many: String = (0..100).map(|number| format!("X-{number}: y\r\n")).collect();
    assert!(node.get_with("/health/live", &many).await.status >= 400);
    assert_eq!(node.get("/health/live").await.status, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let node = Node::with(limited(|limits| {
        limits.rate_per_second = 1;
        limits.rate_burst = 5;
    }))
    .await;
    let mut refused = Vec::new();
    for _ in 0..10 {
        let reply = node.get("/health/live").await;
        if reply.status == 429 {
            refused.push(reply);
        }
    }
    assert!(refused.len() >= 4, "{}", refused.len());
    assert_eq!(refused[0].problem(), "rate-limited");
    assert_eq!(refused[0].header("retry-after"), Some("1"));
    assert_eq!(refused[0].json()["limit"], "1");
    assert!(refused[0].json()["retry_after_ms"].as_str().unwrap().parse::<u64>().unwrap() <= 1_001);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_refused_rather_than_cut() {
    let mut node = Node::with(limited(|limits| limits.result_bytes = 1_200)).await;
    node.mint_certified(2).await;
    let reply = node.get(&node.path("/blocks/1?encoded=true")).await;
    assert_eq!((reply.status, reply.problem().as_str()), (422, "result-too-large"), "{reply:?}");
    assert_eq!(reply.json()["limit"], "1200");
    assert!(reply.json()["found"].as_str().unwrap().parse::<u64>().unwrap() > 1_200);
    // A page of state takes as many entries as there is room for and names where to go on.
    let page = node.get(&node.path(&format!("/state/{}", node.contract))).await;
    assert_eq!(page.status, 200);
    assert!(page.body.len() <= 1_200);
    node.stop().await;
    let mut node = Node::with(limited(|limits| limits.page_items = 1)).await;
    node.mint_certified(1).await;
    let page = node.get(&node.path(&format!("/state/{}?limit=1000", node.contract))).await.json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 1);
    assert!(page["next"].is_string());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_connections_are_counted() {
    let node = Node::with(limited(|limits| limits.streams = 2)).await;
    let path = node.path("/events?from=1");
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = Stream::open(node.address, &path, "").await;
        assert!(stream.opened().await);
        open.push(stream);
    }
    let reply = node.get(&path).await;
    assert_eq!((reply.status, reply.problem().as_str()), (503, "too-many-streams"));
    open.clear();
    // The server sees that they are gone when it next has something to do with them; no later than a few turns.
    while node.get_head(&path).await == 503 {
        tokio::task::yield_now().await;
    }
    node.stop().await;

    let node = Node::with(limited(|limits| limits.connections = 1)).await;
    let mut first = TcpStream::connect(node.address).await.unwrap();
    first.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut buffer = [0; 1024];
    let read = first.read(&mut buffer).await.unwrap();
    assert_eq!(parse(&buffer[..read]).unwrap().status, 200);
    let reply = request(node.address, "", &[]).await;
    assert_eq!(reply.status, 503);
    drop(first);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_bodies_are_cut_off_while_others_are_served() {
    let node = Node::with(limited(|limits| {
        limits.head_timeout = Duration::from_millis(200);
        limits.body_timeout = Duration::from_millis(200);
    }))
    .await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: lo").await.unwrap();
        slow.push(stream);
    }
    let mut idle = TcpStream::connect(node.address).await.unwrap();
    assert_eq!(node.get("/health/live").await.status, 200);
    let path = node.path("/transactions");
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{BYTES}Content-Length: 100\r\n\r\n");
    let reply = request(node.address, &head, b"only this").await;
    assert_eq!((reply.status, reply.problem().as_str()), (408, "request-timeout"));
    // Each of them ends by itself: reading to the end returns.
    for stream in slow.iter_mut().chain([&mut idle]) {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_no_request_and_harms_nobody() {
    let node = Node::start().await;
    let mut state = 7_u64;
    for round in 0..200_u32 {
        let mut bytes = match round % 4 {
            0 => Vec::new(),
            1 => format!("GET {} HTTP/1.1\r\nHost: localhost\r\nX\u{1}", node.path("/blocks/1")).into_bytes(),
            2 => b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            _ => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        };
        for _ in 0..64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push(state.to_be_bytes()[0]);
        }
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        if let Some(reply) = parse(&answer) {
            assert!(reply.status >= 400, "{reply:?}");
        }
    }
    for path in ["/%00", "/v1/chains/%ff", "//", "/v1/chains/../../etc/passwd", "/v1/chains?%zz"] {
        let reply = node.get(path).await;
        assert!((400..500).contains(&reply.status), "{path}: {reply:?}");
        reply.problem();
    }
    assert_eq!(node.get("/health/ready").await.status, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_is_cut_off() {
    let mut node = Node::with(limited(|limits| limits.write_timeout = Duration::from_millis(300))).await;
    node.mint_certified(1).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let path = node.path("/genesis");
    let one = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Asks on and reads nothing, until the server closes: then a write fails.
    let all = one.repeat(50);
    while stream.write_all(all.as_bytes()).await.is_ok() {}
    assert_eq!(node.get("/health/live").await.status, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_what_the_token_says() {
    let tokens = Tokens::none()
        .with("reader", Rights { read: true, ..Rights::default() })
        .with("sender", Rights { submit: true, ..Rights::default() })
        .with("chief", Rights::ALL);
    let mut node = Node::with(ApiConfig { tokens, ..ApiConfig::default() }).await;
    let id = node.mint_certified(1).await[0];
    let paths = [
        ("/health/live".to_owned(), [200; 5]),
        ("/openapi.json".to_owned(), [200; 5]),
        ("/v1/chains".to_owned(), [401, 401, 200, 403, 200]),
        ("/metrics".to_owned(), [401, 401, 200, 403, 200]),
        (node.path("/checkpoint"), [401, 401, 200, 403, 200]),
        (node.path(&format!("/transactions/{id}")), [401, 401, 200, 200, 200]),
        (node.path("/peers"), [401, 401, 403, 403, 200]),
    ];
    for (path, statuses) in paths {
        for (token, status) in [None, Some("wrong"), Some("reader"), Some("sender"), Some("chief")].iter().zip(statuses)
        {
            let header = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
            let reply = node.get_with(&path, &header).await;
            assert_eq!(reply.status, status, "{path} as {token:?}");
            if status == 401 {
                assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
                assert_eq!(reply.problem(), "unauthorized");
            }
        }
    }
    let transaction = ledger_core::codec::encode(&node.mint());
    for (token, status) in [("wrong", 401), ("reader", 403), ("sender", 202), ("chief", 202)] {
        let headers = format!("{BYTES}Authorization: Bearer {token}\r\n");
        let reply = node.post(&node.path("/transactions"), &headers, &transaction).await;
        assert!(reply.status == status || (status == 202 && reply.status == 200), "{token}: {reply:?}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_only_the_loopback_is_served() {
    let open = "0.0.0.0:0".parse().unwrap();
    let error = ApiServer::bind(open, ApiConfig::default(), Chains::new()).await.unwrap_err();
    assert!(matches!(error, ApiError::NotLoopback { address } if address == open), "{error}");
    assert!(error.to_string().contains("0.0.0.0:0"));
    let tokens = Tokens::none().with("t", Rights::ALL);
    ApiServer::bind(open, ApiConfig { tokens, ..ApiConfig::default() }, Chains::new()).await.unwrap();

    let node = Node::start().await;
    // A page that reaches the loopback by a name of its own.
    let head = "GET /v1/chains HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(request(node.address, head, &[]).await.problem(), "misdirected");
    for host in ["localhost", "127.0.0.1:80", "[::1]:8080", "LOCALHOST:1"] {
        let head = format!("GET /v1/chains HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(request(node.address, &head, &[]).await.status, 200, "{host}");
    }
    let taken = ApiServer::bind(node.address, ApiConfig::default(), Chains::new()).await.unwrap_err();
    assert!(taken.to_string().contains(&node.address.to_string()), "{taken}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_waits_and_streams_and_frees_the_folder() {
    let node = Node::start().await;
    let path = node.path("/events?from=1");
    let mut stream = Stream::open(node.address, &path, "").await;
    assert!(stream.opened().await);
    // stop() shuts the host down, which needs every handle back.
    let folder = node.stop().await;
    assert!(stream.ended().await);
    ledger_node::NodeBuilder::new().folder(folder.path()).unwrap();
}
