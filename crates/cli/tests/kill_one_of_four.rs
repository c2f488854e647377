//! One of four processes is killed under load, again and again: nothing that was acknowledged is lost, and nobody votes
//! twice. `LEDGERKIT_KILLS` says how often (2 without it).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::{Network, Node, ledgerkit, text};
use ledger_client::Client;
use ledger_client::wire::Answer;
use ledger_contracts::NATIVE;
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_core::{AccountId, ChainId, ContractId, Fuel, SignedTransaction, TransactionBuilder, TransactionId};
use ledger_crypto::{Guard as _, MemorySigner, Signer as _, VotePosition};
use ledger_node::DiskGuard;
use ledger_storage::disk::RealDisk;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NODES: usize = 4;
/// Clients that hand in at once, each from an account of its own.
const CLIENTS: u8 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

fn rounds() -> usize {
    std::env::var("LEDGERKIT_KILLS").map_or(2, |text| text.parse().expect("LEDGERKIT_KILLS is a number"))
}

fn transfer(chain: ChainId, contract: ContractId, signer: &MemorySigner, number: u64) -> SignedTransaction {
    let grant = Grant { account: AccountId(ledger_crypto::Digest::ZERO), amount: 1 };
    let call = TransactionBuilder::call(chain, contract, "transfer", grant.to_bytes().to_vec());
    call.sequence(0, number).fuel_limit(Fuel(100_000)).sign(signer).unwrap()
}

/// Hands transfers in, one after the other, and keeps those that were certified, until it is told to stop.
async fn load(
    client: Client,
    contract: ContractId,
    account: u8,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Vec<TransactionId> {
    let signer = MemorySigner::from_seed([account + 1; 32]);
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let transaction = transfer(client.chain(), contract, &signer, acknowledged.len() as u64);
        let id = transaction.id();
        let until = Instant::now() + PATIENCE;
        // The server that was asked may be killed at any point: then another is, with the same bytes.
        loop {
            assert!(Instant::now() < until, "transaction {id} isn't certified after {PATIENCE:?}");
            let answer = client.submit_until(&transaction, Answer::Certified, Duration::from_secs(5)).await;
            if answer.is_ok_and(|answer| answer.reached == Some(Answer::Certified)) {
                break;
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
        acknowledged.push(id);
    }
    acknowledged
}

/// The last vote that the node's guard knows of. The node must be stopped.
fn last_vote(network: &Network, number: usize) -> Option<VotePosition> {
    let disk = RealDisk::open(network.node(number).join("guard")).unwrap();
    let guard = DiskGuard::new(Arc::new(disk), format!("guard-{}", network.genesis().chain()));
    guard.load().unwrap().and_then(|record| record.last).map(|last| last.position)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nobody_votes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new(folder.path(), 4);
    let mut nodes: Vec<Option<Node>> = (1..=NODES).map(|number| Some(network.start(number))).collect();
    let urls: Vec<String> = nodes.iter().flatten().map(Node::url).collect();
    let client = network.client(&urls);

    let owner = MemorySigner::from_seed([99; 32]);
    let deploy = TransactionBuilder::deploy(client.chain(), NATIVE, b"token".to_vec(), vec![]).sign(&owner).unwrap();
    let contract = ContractId::deployed_by(&deploy.id());
    let grants: Vec<Grant> = (0..CLIENTS)
        .map(|account| MemorySigner::from_seed([account + 1; 32]).public_key())
        .map(|key| Grant { account: AccountId::of_ed25519(&key), amount: 1_000_000 })
        .collect();
    let mint = TransactionBuilder::call(client.chain(), contract, "mint", mint_arguments(&grants));
    let mint = mint.sequence(0, 1).fuel_limit(Fuel(1_000_000)).sign(&owner).unwrap();
    for transaction in [&deploy, &mint] {
        client.submit(transaction).await.unwrap();
        assert!(client.wait_certified(transaction.id(), PATIENCE).await.unwrap().receipt.succeeded());
    }

    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients = (0..CLIENTS).map(|account| {
        // Each asks another node first.
        let mut servers = urls.clone();
        servers.rotate_left(usize::from(account) % NODES);
        tokio::spawn(load(network.client(&servers), contract, account, Arc::clone(&stop), Arc::clone(&done)))
    });
    let clients: Vec<_> = clients.collect();
    let progress = async |count: u64| {
        let (target, until) = (done.load(Ordering::Relaxed) + count, Instant::now() + PATIENCE);
        while done.load(Ordering::Relaxed) < target {
            assert!(Instant::now() < until, "the network stands still");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };

    let mut votes = [None; NODES];
    for round in 0..rounds() {
        let victim = round % NODES;
        progress(20).await;
        nodes[victim].take().unwrap().kill();
        let vote = last_vote(&network, victim + 1);
        assert!(
            vote >= votes[victim],
            "the guard of node {} went back from {:?} to {vote:?}",
            victim + 1,
            votes[victim]
        );
        votes[victim] = vote;
        // The others go on without it.
        progress(20).await;
        nodes[victim] = Some(network.start(victim + 1));
        // The one that came back certifies again.
        let own = network.client(std::slice::from_ref(&urls[victim]));
        let newest = client.checkpoint().await.unwrap().header().height;
        let until = Instant::now() + PATIENCE;
        while own.checkpoint().await.unwrap().header().height < newest {
            assert!(Instant::now() < until, "node {} doesn't catch up", victim + 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    assert!(acknowledged.len() as u64 >= 40 * rounds() as u64);

    // Every node has each of them, at one and the same place, proven.
    let mut places = Vec::new();
    for url in &urls {
        let own = network.client(std::slice::from_ref(url));
        let mut here = Vec::new();
        for id in &acknowledged {
            let receipt = own.wait_certified(*id, PATIENCE).await.unwrap();
            assert!(receipt.receipt.succeeded());
            here.push((receipt.place.height, receipt.place.index));
        }
        places.push(here);
    }
    assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "the nodes have transactions at different places");

    for (number, node) in (1..).zip(nodes.into_iter().flatten()) {
        assert_eq!(node.stop(), 0, "node {number}");
    }
    // What the logs hold: the same blocks, and no evidence of a double vote.
    let mut tips = Vec::new();
    for number in 1..=NODES {
        let seen = ledgerkit(&["--json", "inspect", text(&network.node(number).join("data")), "--replay"]);
        assert_eq!(seen.status, 0, "node {number}: {}", seen.err);
        let seen = seen.json();
        let chain = &seen["chains"][0];
        assert_eq!((&chain["evidence"], &chain["damage"]), (&json!(0), &json!(null)), "node {number}");
        assert!(last_vote(&network, number) >= votes[number - 1]);
        tips.push(chain["transactions"].clone());
    }
    assert!(tips.windows(2).all(|pair| pair[0] == pair[1]), "{tips:?}");
}
