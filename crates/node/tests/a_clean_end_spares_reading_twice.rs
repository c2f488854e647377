//! A host that is shut down writes out the index of the chains of which opening would read much again, and of no others.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_consensus::{EngineFactory, Solo};
use ledger_contracts::token::Token;
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::codec::Bytes;
use ledger_core::{
    Block, Call, ChainId, Context, ContractId, Execution, ExecutionError, Executor, Genesis, Key, Rejection,
    SignedTransaction, Simulation, StateView, Timestamp, TransactionBuilder, Write, Writes,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use ledger_node::{Chain, Host, NodeBuilder};
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::{Engine, MemoryEngine};
use std::sync::Arc;

/// Writes some large values beside those of the transactions, on one chain.
struct Lavish {
    executor: LedgerExecutor,
    chain: ChainId,
}

const VALUES: u8 = 6;
const VALUE_BYTES: usize = 1 << 20;

impl Executor for Lavish {
    fn execute(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Execution, ExecutionError> {
        let mut execution = self.executor.execute(block, context, state)?;
        if context.chain == self.chain && !block.transactions.is_empty() {
            let large = |number: u8| Write {
                key: Key::new(ContractId(Digest::new([9; 32])), vec![number]),
                index: 0,
                value: Some(Bytes::from(vec![number; VALUE_BYTES])),
            };
            execution.writes = Writes::new(execution.writes.iter().cloned().chain((0..VALUES).map(large)).collect());
        }
        Ok(execution)
    }

    fn simulate(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Simulation, ExecutionError> {
        self.executor.simulate(call, context, state)
    }

    fn admit(
        &self,
        transaction: &SignedTransaction,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Result<u64, Rejection>, ExecutionError> {
        self.executor.admit(transaction, context, state)
    }
}

fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn genesis(name: &str) -> Genesis {
    Genesis::solo(name, owner().public_key(), Timestamp(0))
}

async fn start(disk: &SimulatedDisk, engine: &MemoryEngine) -> Host {
    let executor = LedgerExecutor::default().with(NativeRuntime::new().with(Token));
    let executor = Lavish { executor, chain: genesis("large").chain() };
    NodeBuilder::new().disk(disk.clone()).engine(engine.clone()).executor(executor).start().await.unwrap()
}

async fn certify(chain: &Chain, number: u64) {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new());
    let deploy = deploy.sequence(0, number).sign(&owner()).unwrap();
    chain.submit(deploy).await.unwrap().certified().await.unwrap();
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
