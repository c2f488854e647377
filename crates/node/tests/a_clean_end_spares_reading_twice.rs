//! A host that is shut down writes out the index of the chains of which opening would read much again, and of no others.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{certify, genesis, owner, token_executor};
use ledger_consensus::{EngineFactory, Solo};
use ledger_contracts::testing::HookedExecutor;
use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Key, Write, Writes};
use ledger_crypto::Digest;
use ledger_node::{Host, NodeBuilder};
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::{Engine, MemoryEngine};
use std::sync::Arc;

const VALUES: u8 = 6;
const VALUE_BYTES: usize = 1 << 20;

fn large(number: u8) -> Write {
    let key = Key::new(ContractId(Digest::new([9; 32])), vec![number]);
    Write { key, index: 0, value: Some(Bytes::from(vec![number; VALUE_BYTES])) }
}

/// A host of which one chain writes some large values beside those of the transactions.
async fn start(disk: &SimulatedDisk, engine: &MemoryEngine) -> Host {
    let lavish = genesis("large").chain();
    let executor = HookedExecutor::new(token_executor()).after_execution(move |block, context, execution| {
        if context.chain == lavish && !block.transactions.is_empty() {
            execution.writes = Writes::new(execution.writes.iter().cloned().chain((0..VALUES).map(large)).collect());
        }
    });
    NodeBuilder::new().disk(disk.clone()).engine(engine.clone()).executor(executor).start().await.unwrap()
}

/// Bytes of records that opening read again, and the height.
fn read_again(engine: &MemoryEngine, name: &str) -> (u64, u64) {
    let engine: Arc<dyn Engine> = Arc::new(engine.clone());
    let store = ChainStore::open(engine, &genesis(name), ChainConfig::default()).unwrap();
    (store.state().uncopied_bytes(), store.head().header.height.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_written_where_opening_would_read_much() {
    let (disk, engine) = (SimulatedDisk::new(1), MemoryEngine::default());
    let host = start(&disk, &engine).await;
    for name in ["large", "small"] {
        let chain = host.chain(genesis(name), Solo::new(owner())).await.unwrap();
        certify(&chain, 0).await;
    }
    let much = u64::from(VALUES) * VALUE_BYTES as u64;
    let (before, _) = read_again(&engine, "large");
    assert!(before >= much, "{before} bytes");
    host.shutdown().await.unwrap();
    let (large, height) = read_again(&engine, "large");
    let (small, _) = read_again(&engine, "small");
    assert_eq!(large, 0, "of {before} bytes");
    assert!((1..much).contains(&small), "{small} bytes aren't worth writing");

    let host = start(&disk, &engine).await;
    let opened = host.reopen_all(|_| Some(Box::new(Solo::new(owner())) as Box<dyn EngineFactory>)).await;
    for (id, chain) in opened {
        let chain = chain.unwrap_or_else(|error| panic!("{id}: {error}"));
        certify(&chain, 1).await;
        assert_eq!(chain.next_number_of(&owner()).unwrap(), 2);
    }
    host.shutdown().await.unwrap();
    assert!(read_again(&engine, "large").1 > height);
}
