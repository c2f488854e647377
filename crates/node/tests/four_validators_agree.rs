//! Real hosts on real folders, connected in one process: they agree, lose one, take it back, and let others follow.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_consensus::{Bft, Observer};
use ledger_contracts::token::{Grant, Token, mint_arguments};
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{
    AccountId, ContractId, Genesis, Height, Timestamp, TransactionBuilder, Validator, ValidatorSet, Weight,
};
use ledger_crypto::{MemorySigner, PublicKey, Signer};
use ledger_network::{InProcessHub, NetworkConfig, Observers};
use ledger_node::{Chain, Host, NodeBuilder, TransactionStatus};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn member(number: u8) -> MemorySigner {
    MemorySigner::from_seed([100 + number; 32])
}

fn client() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn genesis(count: u8) -> Genesis {
    let validator = |number| Validator { key: member(number).public_key(), weight: Weight(1) };
    let set = ValidatorSet::new((0..count).map(validator)).unwrap();
    Genesis::bft("test", &set, Timestamp(1_000))
}

struct Node {
    host: Host,
    chain: Chain,
}

async fn start(hub: &InProcessHub, folder: &TempDir, key: PublicKey) -> Host {
    let runtime = NativeRuntime::new().with(Token);
    let transport = Arc::new(hub.transport(key));
    NodeBuilder::new().folder(folder).unwrap().runtime(runtime).transport(transport).start().await.unwrap()
}

async fn validator(hub: &InProcessHub, folder: &TempDir, number: u8, count: u8) -> Node {
    let host = start(hub, folder, member(number).public_key()).await;
    let chain = host.chain_with(genesis(count), Bft::new(member(number)), Observers::Anyone).await.unwrap();
    Node { host, chain }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took longer than a minute"),
    }
}

/// Waits until a chain's checkpoint commits to block `height`.
async fn certified(chain: &Chain, height: Height) {
    let mut progress = chain.watch_progress();
    within("certification", async {
        while !progress.borrow_and_update().certifies(height) {
            progress.changed().await.unwrap();
        }
    })
    .await;
}

async fn mint(chain: &Chain, contract: ContractId, number: u64) -> Height {
    let grant = Grant { account: AccountId::of_ed25519(&client().public_key()), amount: 5 };
    let call = TransactionBuilder::call(chain.id(), contract, "mint", mint_arguments(&[grant]));
    let transaction = call.sequence(0, number).sign(&client()).unwrap();
    let mut pending = chain.submit(transaction).await.unwrap();
    within("a transaction", pending.certified()).await.unwrap().executed.place.height
}

async fn deploy(chain: &Chain) -> ContractId {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new()).sign(&client()).unwrap();
    let id = deploy.id();
    within("a deployment", async { chain.submit(deploy).await.unwrap().certified().await.unwrap() }).await;
    ContractId::deployed_by(&id)
}

fn supply(chain: &Chain, contract: ContractId) -> u128 {
    u128::from_le_bytes(chain.query(contract, "supply", &[]).unwrap().try_into().unwrap())
}

fn same_blocks(nodes: &[&Chain], height: Height) {
    for at in 0..=height.0 {
        let digests: Vec<_> = nodes.iter().map(|chain| chain.header(Height(at)).unwrap().digest()).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "block {at} differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_four_may_leave_and_come_back() {
    let hub = InProcessHub::new(NetworkConfig::default()).unwrap();
    let folders: Vec<TempDir> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = Vec::new();
    for number in 0..4 {
        nodes.push(validator(&hub, &folders[usize::from(number)], number, 4).await);
    }
    let contract = deploy(&nodes[0].chain).await;
    let mut height = Height(0);
    // Whoever is asked, all of them come to know.
    for number in 0..6u8 {
        height = mint(&nodes[usize::from(number) % 4].chain, contract, u64::from(number) + 1).await;
        for node in &nodes {
            certified(&node.chain, height).await;
        }
    }
    same_blocks(&nodes.iter().map(|node| &node.chain).collect::<Vec<_>>(), height);

    // One leaves; the others go on.
    let gone = nodes.pop().unwrap();
    drop(gone.chain);
    gone.host.shutdown().await.unwrap();
    for number in 6..30u8 {
        height = mint(&nodes[usize::from(number) % 3].chain, contract, u64::from(number) + 1).await;
    }
    // It comes back, and has everything.
    nodes.push(validator(&hub, &folders[3], 3, 4).await);
    for node in &nodes {
        certified(&node.chain, height).await;
        assert_eq!(supply(&node.chain, contract), 150);
        assert!(node.chain.evidence().is_empty());
    }
    same_blocks(&nodes.iter().map(|node| &node.chain).collect::<Vec<_>>(), height);

    // Now another one may leave: the one that came back votes again.
    let gone = nodes.remove(0);
    drop(gone.chain);
    gone.host.shutdown().await.unwrap();
    mint(&nodes[2].chain, contract, 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_follows_and_passes_transactions_on() {
    let hub = InProcessHub::new(NetworkConfig::default()).unwrap();
    let folders: Vec<TempDir> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = Vec::new();
    for number in 0..4 {
        nodes.push(validator(&hub, &folders[usize::from(number)], number, 4).await);
    }
    let contract = deploy(&nodes[0].chain).await;
    let auditor = MemorySigner::from_seed([77; 32]).public_key();
    let host = start(&hub, &folders[4], auditor).await;
    let chain = host.chain(genesis(4), Observer).await.unwrap();
    let height = mint(&chain, contract, 1).await;
    assert_eq!(supply(&chain, contract), 5);
    same_blocks(&[&chain, &nodes[1].chain], height);
    // What it proves, it proves to strangers.
    let status = chain.status(&chain.block(height).unwrap().transactions[0].id()).unwrap();
    assert!(matches!(status, TransactionStatus::Certified(_)), "{status:?}");
}
