//! The client against honest, unreliable and lying servers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Node, Reply, account, owner, parse};
use ledger_client::{Client, ClientConfig, ClientError};
use ledger_core::{Height, TrustRoot};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WAIT: Duration = Duration::from_secs(20);

fn quick() -> ClientConfig {
    ClientConfig {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..Default::default()
    }
}

fn client(node: &Node, address: SocketAddr) -> Client {
    let root = TrustRoot::new(node.chain().genesis().clone());
    Client::builder(&format!("http://{address}"), root).config(quick()).build().unwrap()
}

/// What stands between: gives what the client gets to see of an answer to a path; `None` cuts the connection instead.
type Between = dyn Fn(&str, Reply) -> Option<Reply> + Send + Sync;

/// A server in front of the server. Streams of events are cut after `cut` bytes.
async fn proxy(target: SocketAddr, cut: usize, between: Arc<Between>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let between = Arc::clone(&between);
            tokio::spawn(async move {
                let Some((path, request)) = read_request(&mut client).await else { return };
                let mut server = TcpStream::connect(target).await.unwrap();
                server.write_all(&request).await.unwrap();
                if path.contains("/events?") {
                    let mut limited = server.take(cut as u64);
                    let _ = tokio::io::copy(&mut limited, &mut client).await;
                    return;
                }
                let mut bytes = Vec::new();
                let _ = server.read_to_end(&mut bytes).await;
                let Some(reply) = between(&path, parse(&bytes).unwrap()) else { return };
                let (kind, length) = (reply.header("content-type").unwrap().to_owned(), reply.body.len());
                let head =
                    format!("HTTP/1.1 {} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n", reply.status);
                let _ = client.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
                let _ = client.write_all(&reply.body).await;
            });
        }
    });
    address
}

/// A whole request, asking the server to close afterwards.
async fn read_request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = client.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if bytes.len() < end + 4 + length.unwrap_or(0) {
            continue;
        }
        let mut request = format!("{head}\r\nConnection: close\r\n\r\n").into_bytes();
        request.extend_from_slice(&bytes[end + 4..]);
        return Some((head.split(' ').nth(1)?.to_owned(), request));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_honest_server_says_verifies() {
    let mut node = Node::start().await;
    let client = client(&node, node.address);
    let transaction = node.mint();
    let submitted = client.submit(&transaction).await.unwrap();
    assert!(!submitted.duplicate);
    let receipt = client.wait_certified(submitted.id, WAIT).await.unwrap();
    assert!(receipt.receipt.succeeded());
    assert_eq!(receipt.events.len(), 1);
    assert!(client.submit(&transaction).await.unwrap().duplicate);
    let shown = client.transaction(submitted.id).await.unwrap();
    assert_eq!((shown.leaf.transaction, shown.place), (transaction.transaction, receipt.place));
    assert_eq!(client.next_number(&account(&owner()), 0).await.unwrap(), 2);
    assert_eq!(client.state(node.contract, b"no such key").await.unwrap().value, None);
    let entry = &client.unverified().keys(node.contract, b"").await.unwrap().entries[0];
    let held = client.state(node.contract, &entry.key.0).await.unwrap();
    assert_eq!(held.value.unwrap().value.to_vec(), entry.value.0);
    assert_eq!(client.event(submitted.id, 0).await.unwrap().event, receipt.events[0]);
    let before = client.checkpoint().await.unwrap();
    node.mint_certified(2).await;
    assert!(client.checkpoint().await.unwrap().history().size > before.history().size);
    assert!(client.trust_root().pinned.is_some());
    let supply = client.unverified().query(node.contract, "supply", &[]).await.unwrap();
    assert_eq!(supply, 3_u128.to_le_bytes());
    let next = node.mint();
    let simulated = client.unverified().simulate(&next).await.unwrap();
    let submitted = client.submit(&next).await.unwrap();
    let receipt = client.wait_certified(submitted.id, WAIT).await.unwrap();
    assert_eq!((simulated.transaction, simulated.fuel_used.0), (submitted.id, receipt.receipt.fuel_used.0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_all_verify_while_the_chain_goes_on() {
    let mut node = Node::start().await;
    let ids = node.mint_certified(3).await;
    let client = client(&node, node.address);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (client, id) = (client.clone(), ids[number % 3]);
        tasks.spawn(async move { client.receipt(id).await.unwrap().receipt.transaction == id });
    }
    node.mint_certified(5).await;
    while let Some(checked) = tasks.join_next().await {
        assert!(checked.unwrap());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_lost_answers_every_transaction_is_executed_once() {
    let mut node = Node::start().await;
    let count = Arc::new(AtomicUsize::new(0));
    let lost = Arc::clone(&count);
    // Two of three answers are lost after the server has worked on the request.
    let between = move |_: &str, reply: Reply| (lost.fetch_add(1, Ordering::Relaxed) % 3 == 2).then_some(reply);
    let address = proxy(node.address, 0, Arc::new(between)).await;
    let client = client(&node, address);
    let mut duplicates = 0;
    for _ in 0..20 {
        let submitted = client.submit(&node.mint()).await.unwrap();
        duplicates += usize::from(submitted.duplicate);
        let receipt = client.wait_certified(submitted.id, WAIT).await.unwrap();
        assert!(receipt.receipt.succeeded());
    }
    assert!(duplicates > 10 && count.load(Ordering::Relaxed) > 60, "{duplicates} {count:?}");
    let supply = node.chain().query(node.contract, "supply", &[]).unwrap();
    assert_eq!(supply, 20_u128.to_le_bytes());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_answer_comes_the_outcome_is_unknown_and_said_to_be() {
    let mut node = Node::start().await;
    let address = proxy(node.address, 0, Arc::new(|_: &str, _| None)).await;
    let client = client(&node, address);
    let transaction = node.mint();
    let error = client.submit(&transaction).await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { id, .. } if id == transaction.id()), "{error}");
    // A refusal is no such thing.
    let wrong = node.mint_at(0);
    let direct = Client::new(&format!("http://{}", node.address), client.trust_root()).unwrap();
    let error = direct.submit(&wrong).await.unwrap_err();
    assert!(matches!(error, ClientError::Problem { .. }), "{error}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_asked_when_one_is_gone() {
    let mut node = Node::start().await;
    // Bound and not listening: nobody else gets the port meanwhile, and connections to it are refused.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = nobody.local_addr().unwrap();
    let root = TrustRoot::new(node.chain().genesis().clone());
    let client = Client::builder(&format!("http://{gone}"), root.clone())
        .server(&format!("http://{}/", node.address))
        .config(quick())
        .build()
        .unwrap();
    let submitted = client.submit(&node.mint()).await.unwrap();
    client.wait_certified(submitted.id, WAIT).await.unwrap();
    let alone = Client::builder(&format!("http://{gone}"), root.clone()).config(quick()).build().unwrap();
    let error = alone.checkpoint().await.unwrap_err();
    assert!(matches!(&error, ClientError::Network { server, .. } if server.contains(&gone.to_string())), "{error}");
    for url in ["https://example.org", "ftp://x", "localhost", "http://", ""] {
        assert!(matches!(Client::new(url, root.clone()), Err(ClientError::Url { .. })), "{url}");
    }
    node.stop().await;
}

/// Changes one byte of a base64 member.
fn flip(json: &mut Value, pointer: &str, at: usize) -> bool {
    let Some(member) = json.pointer_mut(pointer).filter(|member| member.is_string()) else { return false };
    let mut bytes = STANDARD.decode(member.as_str().unwrap()).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    *member = STANDARD.encode(bytes).into();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_anywhere_in_a_proof_is_noticed() {
    let mut node = Node::start().await;
    let id = node.mint_certified(3).await[1];
    let honest = client(&node, node.address);
    let seen = honest.checkpoint().await.unwrap();
    node.mint_certified(2).await;
    let lies = Arc::new(AtomicUsize::new(0));
    for member in ["proof", "checkpoint", "consistency"] {
        for step in 0..40 {
            let told = Arc::clone(&lies);
            let between = move |_: &str, mut reply: Reply| {
                let mut json = reply.json();
                told.fetch_add(usize::from(flip(&mut json, &format!("/proof/{member}"), step * 17)), Ordering::Relaxed);
                reply.body = serde_json::to_vec(&json).unwrap();
                Some(reply)
            };
            let address = proxy(node.address, 0, Arc::new(between)).await;
            let mut root = TrustRoot::new(node.chain().genesis().clone());
            root.pinned = Some(seen.history());
            let client = Client::builder(&format!("http://{address}"), root).config(quick()).build().unwrap();
            let error = client.receipt(id).await.expect_err(member);
            assert!(error.is_a_lie(), "{member} {step}: {error}");
            assert!(error.to_string().contains(&address.to_string()), "{error}");
            // A checkpoint that came with a wrong proof is a checkpoint all the same.
            assert!(member == "proof" || client.trust_root().pinned == Some(seen.history()));
        }
    }
    assert!(lies.load(Ordering::Relaxed) >= 120);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_something_else_is_noticed() {
    let mut node = Node::start().await;
    let ids = node.mint_certified(2).await;
    let keys = node.get(&node.path(&format!("/state/{}", node.contract))).await.json();
    let key = |number: usize| keys["entries"][number]["key"].as_str().unwrap().to_owned();
    let (target, chain) = (node.address, node.chain().id());
    // The server answers for another transaction or key than the one that was asked for.
    let swaps = [(ids[0].to_string(), ids[1].to_string()), (key(0), key(1))];
    let between = |_: &str, reply: Reply| Some(reply);
    let honest = client(&node, proxy(target, 0, Arc::new(between)).await);
    honest.receipt(ids[0]).await.unwrap();
    for (asked, given) in swaps {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (from, to) = (asked.clone(), given.clone());
        let swapping = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some((_, request)) = read_request(&mut client).await else { continue };
                let request = String::from_utf8(request).unwrap().replace(&from, &to);
                let mut server = TcpStream::connect(target).await.unwrap();
                server.write_all(request.as_bytes()).await.unwrap();
                let _ = tokio::io::copy(&mut server, &mut client).await;
            }
        });
        let client = client(&node, address);
        let error = if asked.len() == 64 && asked == ids[0].to_string() {
            assert!(matches!(client.transaction(ids[0]).await.unwrap_err(), ClientError::Mismatch { .. }));
            assert!(matches!(client.event(ids[0], 0).await.unwrap_err(), ClientError::Mismatch { .. }));
            client.receipt(ids[0]).await.unwrap_err()
        } else {
            let name = ledger_client::wire::Hex::parse(&asked).unwrap().0;
            client.state(node.contract, &name).await.unwrap_err()
        };
        assert!(matches!(error, ClientError::Mismatch { .. }), "{chain}: {error}");
        swapping.abort();
    }
    // Events that aren't the receipt's.
    let between = |_: &str, mut reply: Reply| {
        let mut json = reply.json();
        json["receipt"]["events"][0]["topic"] = "burnt".into();
        reply.body = serde_json::to_vec(&json).unwrap();
        Some(reply)
    };
    let client = client(&node, proxy(target, 0, Arc::new(between)).await);
    assert!(matches!(client.receipt(ids[0]).await.unwrap_err(), ClientError::Mismatch { .. }));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_or_forked_chain_is_noticed() {
    let (mut one, mut other) = (Node::start().await, Node::start().await);
    assert_eq!(one.chain().id(), other.chain().id(), "the same genesis, ordered twice by its owner");
    let client = client(&one, one.address);
    one.mint_certified(3).await;
    client.checkpoint().await.unwrap();
    let root = client.trust_root();
    let at_other = Client::builder(&format!("http://{}", other.address), root).config(quick()).build().unwrap();
    let error = at_other.checkpoint().await.unwrap_err();
    assert!(error.is_a_lie() && error.to_string().contains("seen before"), "{error}");
    other.mint_certified(6).await;
    let error = at_other.checkpoint().await.unwrap_err();
    assert!(error.is_a_lie(), "{error}");
    assert!(
        matches!(&error, ClientError::Checkpoint { error, .. } if matches!(**error, ledger_core::TrustError::Forked(_)))
    );
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_once_and_in_order_over_connections_that_break() {
    let mut node = Node::start().await;
    let mut ids = node.mint_certified(12).await;
    // Each connection lasts for a few messages only.
    let address = proxy(node.address, 2_000, Arc::new(|_: &str, reply| Some(reply))).await;
    let client = client(&node, address);
    let mut events = client.events(Height::GENESIS).of_contract(node.contract);
    let mut found = Vec::new();
    for _ in 0..12 {
        found.push(events.next().await.unwrap().transaction);
    }
    ids.extend(node.mint_certified(2).await);
    found.push(events.next().await.unwrap().transaction);
    let stored = events.position().unwrap();
    let mut later = client.events(Height::GENESIS).after(stored);
    found.push(later.next().await.unwrap().transaction);
    assert_eq!(found, ids);
    node.stop().await;
}
