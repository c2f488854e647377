//! While as many chains as may have a block under way, the others line up, and what comes in for them meanwhile goes into
//! one block.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_consensus::Solo;
use ledger_contracts::token::Token;
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::{
    Block, Call, ChainId, Context, Execution, ExecutionError, Executor, Genesis, Height, Rejection, SignedTransaction,
    Simulation, StateView, Timestamp, TransactionBuilder,
};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::{Chain, Host, Limits, NodeBuilder, Pending};
use ledger_storage::disk::SimulatedDisk;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn genesis(number: usize) -> Genesis {
    Genesis::solo(&format!("chain {number}"), owner().public_key(), Timestamp(0))
}

async fn submit(chain: &Chain, number: u64) -> Pending {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new());
    chain.submit(deploy.sequence(0, number).sign(&owner()).unwrap()).await.unwrap()
}

/// A door that is closed at first.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// Executes the blocks of one chain once the door is open, and then panics if it is to.
struct Slow {
    executor: LedgerExecutor,
    chain: ChainId,
    door: Door,
    panics: bool,
}

impl Executor for Slow {
    fn execute(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Execution, ExecutionError> {
        if context.chain == self.chain {
            self.door.pass();
            assert!(!self.panics, "as it was told to");
        }
        self.executor.execute(block, context, state)
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

const CHAINS: usize = 6;

/// Chains, the first of which has a block under execution that waits for the door.
async fn one_is_slow(blocks_at_once: usize, panics: bool) -> (Host, Vec<Chain>, Door) {
    let door = Door::default();
    let executor = LedgerExecutor::default().with(NativeRuntime::new().with(Token));
    let executor = Slow { executor, chain: genesis(0).chain(), door: door.clone(), panics };
    let limits = Limits { blocks_at_once, execution_workers: 2, ..Limits::default() };
    let builder = NodeBuilder::new().disk(SimulatedDisk::new(1)).memory_engine().limits(limits);
    let host = builder.executor(executor).start().await.unwrap();
    let mut chains = Vec::new();
    for number in 0..CHAINS {
        chains.push(host.chain(genesis(number), Solo::new(owner())).await.unwrap());
    }
    submit(&chains[0], 0).await.ordered().await.unwrap();
    (host, chains, door)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_for_a_chain_in_line_goes_into_one_block() {
    for panics in [false, true] {
        let (host, chains, door) = one_is_slow(1, panics).await;
        let mut pending = Vec::new();
        for chain in &chains[1..] {
            for number in 0..5 {
                pending.push(submit(chain, number).await);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for chain in &chains[1..] {
            assert_eq!(chain.progress().ordered, Height(0), "it isn't its turn");
        }
        // Whether the slow one goes on or stops for ever, its place is free.
        door.open();
        for mut pending in pending {
            pending.certified().await.unwrap();
        }
        for chain in &chains[1..] {
            assert_eq!(chain.progress().ordered, Height(2), "one block, and one that commits to its outcome");
        }
        assert_eq!(chains[0].progress().stopped.is_some(), panics);
        drop(chains);
        host.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_there_is_room_nobody_waits() {
    let (host, chains, door) = one_is_slow(2, false).await;
    for number in 0..3 {
        for chain in &chains[1..] {
            submit(chain, number).await.certified().await.unwrap();
        }
    }
    door.open();
    drop(chains);
    host.shutdown().await.unwrap();
}
