//! How long a node with an empty folder takes to join by a snapshot: four validators and the newcomer in one process, on real
//! folders, connected without a wire, the chain at rest. `cargo run --release -p ledger-node --example join_speed -- KEYS`.
#![allow(clippy::print_stdout)]

use ledger_consensus::{Bft, Observer};
use ledger_contracts::token::{Grant, Token, mint_arguments};
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{AccountId, ContractId, Genesis, Timestamp, TransactionBuilder, Validator, ValidatorSet, Weight};
use ledger_crypto::{Digest, MemorySigner, Signer};
use ledger_network::{InProcessHub, NetworkConfig, Observers};
use ledger_node::{Chain, Host, JoinProgress, NodeBuilder};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// Accounts that one transaction mints to.
const A_TRANSACTION: u64 = 500;

fn member(number: u8) -> MemorySigner {
    MemorySigner::from_seed([100 + number; 32])
}

async fn host(hub: &InProcessHub, number: u8, folder: &Path) -> Result<Host, Box<dyn Error>> {
    let transport = Arc::new(hub.transport(member(number).public_key()));
    let builder = NodeBuilder::new().folder(folder)?.runtime(NativeRuntime::new().with(Token));
    Ok(builder.transport(transport).start().await?)
}

/// Mints to accounts that have nothing yet.
async fn mint(chain: &Chain, contract: ContractId, client: &MemorySigner, number: u64) -> Result<(), Box<dyn Error>> {
    let grant = |index: u64| {
        let mut id = [7; 32];
        let place = (number * A_TRANSACTION + index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        id.iter_mut().zip(place.to_le_bytes()).for_each(|(byte, part)| *byte = part);
        Grant { account: AccountId(Digest::new(id)), amount: 5 }
    };
    let grants: Vec<Grant> = (0..A_TRANSACTION).map(grant).collect();
    let call = TransactionBuilder::call(chain.id(), contract, "mint", mint_arguments(&grants));
    chain.submit(call.sequence(0, number).sign(client)?).await?.certified().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let keys: u64 = std::env::args().nth(1).map_or(Ok(100_000), |keys| keys.parse())?;
    let set = (0..4).map(|number| Validator { key: member(number).public_key(), weight: Weight(1) });
    let genesis = Genesis::bft("join speed", &ValidatorSet::new(set)?, Timestamp(1_000));
    let hub = InProcessHub::new(NetworkConfig::default())?;
    let folder = tempfile::tempdir()?;
    let mut nodes = Vec::new();
    for number in 0..4 {
        let host = host(&hub, number, &folder.path().join(number.to_string())).await?;
        let chain = host.chain_with(genesis.clone(), Bft::new(member(number)), Observers::Anyone).await?;
        nodes.push((host, chain));
    }
    let (_, chain) = nodes.first().ok_or("no node")?;
    let client = MemorySigner::from_seed([1; 32]);
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new()).sign(&client)?;
    let contract = ContractId::deployed_by(&deploy.id());
    chain.submit(deploy).await?.certified().await?;
    // At least so many blocks that there is a snapshot of them.
    let transactions = (keys / A_TRANSACTION).max(140);
    for number in 1..=transactions {
        mint(chain, contract, &client, number).await?;
    }
    let height = chain.progress().executed;

    let newcomer = host(&hub, 9, &folder.path().join("newcomer")).await?;
    let (progress, mut watched) = watch::channel(JoinProgress::default());
    let begun = Instant::now();
    let mut first = None;
    let joined = {
        let joining = newcomer.join(genesis, Observer, Observers::None, &progress);
        tokio::pin!(joining);
        loop {
            tokio::select! {
                joined = &mut joining => break joined?,
                changed = watched.changed() => {
                    changed?;
                    let seen = watched.borrow();
                    if seen.chunks > 0 && first.is_none() {
                        first = Some((begun.elapsed(), seen.height, seen.chunks));
                    }
                }
            }
        }
    };
    let opened = begun.elapsed();
    let mut following = joined.watch_progress();
    drop(following.wait_for(|progress| progress.executed >= height).await?);
    println!("{} keys, chain at block {height}", transactions * A_TRANSACTION);
    match first {
        Some((after, snapshot, chunks)) => {
            let (snapshot, bytes) = (snapshot.map_or(0, |height| height.0), progress.borrow().fetched_bytes);
            println!("snapshot of block {snapshot}: {chunks} chunks, {bytes} bytes; its manifest after {after:.2?}");
        }
        None => println!("no snapshot was offered; the blocks were taken"),
    }
    println!("opened after {opened:.2?}, all blocks after {:.2?}", begun.elapsed());
    drop((joined, following));
    newcomer.shutdown().await?;
    for (host, chain) in nodes {
        drop(chain);
        host.shutdown().await?;
    }
    Ok(())
}
