//! Measures a server and its client over the loopback, both in this process, on a chain with one owner:
//! `cargo run --release -p ledger-api --example load -- [SECONDS] [CONNECTIONS]`.
//!
//! Payload: a token transfer's size (a mint of 48 bytes). Durability: fsync on, in a temporary folder. Signatures: checked
//! by the node. Clients keep connections open and wait for each answer before they ask on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ledger_api::{ApiConfig, ApiServer};
use ledger_client::Client;
use ledger_client::wire::Answer;
use ledger_consensus::Solo;
use ledger_contracts::token::{Grant, Token, mint_arguments};
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{AccountId, ContractId, Genesis, SignedTransaction, Timestamp, TransactionBuilder};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::NodeBuilder;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(5, |text| text.parse().expect("SECONDS is a number"));
    let connections: usize = arguments.next().map_or(64, |text| text.parse().expect("CONNECTIONS is a number"));
    let folder = tempfile::tempdir().unwrap();
    let owner = MemorySigner::from_seed([1; 32]);
    let genesis = Genesis::solo("load", owner.public_key(), Timestamp(0));
    let runtime = NativeRuntime::new().with(Token);
    let host = NodeBuilder::new().folder(&folder).unwrap().runtime(runtime).start().await.unwrap();
    let chain = host.chain(genesis, Solo::new(owner)).await.unwrap();
    let owner = MemorySigner::from_seed([1; 32]);
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new()).sign(&owner).unwrap();
    let deployed = chain.submit(deploy).await.unwrap().certified().await.unwrap().executed.id;
    let contract = ContractId::deployed_by(&deployed);
    let mut config = ApiConfig::default();
    (config.limits.rate_per_second, config.limits.rate_burst) = (1_000_000, 1_000_000);
    let server = ApiServer::bind("127.0.0.1:0".parse().unwrap(), config, chain.clone()).await.unwrap();
    let url = format!("http://{}", server.local_addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
    let client = Client::new(&url, chain.trust_root()).unwrap();
    let whole = Duration::from_secs(seconds);
    println!("{connections} clients at a time, {seconds} s each, server and clients in one process");

    for wait in [Answer::Accepted, Answer::Certified] {
        // Signed beforehand, each client in a lane of its own.
        let lanes: Vec<Vec<SignedTransaction>> = (0..connections)
            .map(|lane| {
                let lane = 1 + lane + if wait == Answer::Certified { connections } else { 0 };
                let each =
                    if wait == Answer::Certified { 2_000 } else { 6_000 } * seconds / 5 * 64 / connections as u64;
                let grant = mint_arguments(&[Grant { account: AccountId::of_ed25519(&owner.public_key()), amount: 1 }]);
                let call = |number| {
                    let call = TransactionBuilder::call(chain.id(), contract, "mint", grant.clone());
                    call.sequence(lane as u64, number).salt([0; 16]).sign(&owner).unwrap()
                };
                (0..each / 8).map(call).collect()
            })
            .collect();
        let lanes = Arc::new(Mutex::new(lanes));
        measure(
            &format!("submit, {wait}"),
            connections,
            move |client, start| {
                let lanes = Arc::clone(&lanes);
                async move {
                    let lane = lanes.lock().await.pop().unwrap();
                    let mut times = Vec::new();
                    for transaction in lane {
                        if start.elapsed() > whole {
                            break;
                        }
                        let asked = Instant::now();
                        client.submit_until(&transaction, wait, Duration::from_secs(10)).await.unwrap();
                        times.push(asked.elapsed());
                    }
                    times
                }
            },
            &client,
        )
        .await;
    }
    measure(
        "read, unverified status",
        connections,
        move |client, start| async move {
            let mut times = Vec::new();
            while start.elapsed() < whole {
                let asked = Instant::now();
                client.unverified().status(deployed).await.unwrap();
                times.push(asked.elapsed());
            }
            times
        },
        &client,
    )
    .await;
    measure(
        "read, receipt verified",
        connections,
        move |client, start| async move {
            let mut times = Vec::new();
            while start.elapsed() < whole {
                let asked = Instant::now();
                client.receipt(deployed).await.unwrap();
                times.push(asked.elapsed());
            }
            times
        },
        &client,
    )
    .await;
    drop((stop, client, chain));
    serving.await.unwrap();
    host.shutdown().await.unwrap();
}

async fn measure<W, F>(what: &str, connections: usize, work: W, client: &Client)
where
    W: Fn(Client, Instant) -> F,
    F: Future<Output = Vec<Duration>> + Send + 'static,
{
    let start = Instant::now();
    let mut tasks: JoinSet<Vec<Duration>> = (0..connections).map(|_| work(client.clone(), start)).collect();
    let mut times = Vec::new();
    while let Some(more) = tasks.join_next().await {
        times.extend(more.unwrap());
    }
    let elapsed = start.elapsed().as_secs_f64();
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1))).copied();
    let (p50, p99) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
    let rate = times.len() as f64 / elapsed;
    println!("{what}: {rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
}
