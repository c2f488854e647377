//! What the node's tests share: an owner with chains of its own, transactions for them, a gate for their blocks, and a
//! [network] of validators.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod network;

use ledger_contracts::testing::HookedExecutor;
use ledger_contracts::token::Token;
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::codec::List;
use ledger_core::{
    Block, ChainId, Genesis, Header, Height, HistoryHead, SignedTransaction, Timestamp, TransactionBuilder,
};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::{Chain, ChainError, ChainPolicy, GrowthConfig, Limits};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub(crate) fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

/// A chain of the owner's.
pub(crate) fn genesis(name: &str) -> Genesis {
    Genesis::solo(name, owner().public_key(), Timestamp(1_000))
}

/// One of many chains of the owner's.
pub(crate) fn numbered(number: usize) -> Genesis {
    genesis(&format!("chain {number}"))
}

/// The empty block after `parent` that was made so many ms later and commits to `history`.
pub(crate) fn empty_block(parent: &Header, later_ms: u64, history: HistoryHead) -> Block {
    let header = Header {
        height: parent.height.next(),
        parent: parent.digest(),
        timestamp: parent.timestamp.plus(later_ms),
        transactions_root: Block::transactions_root(&[]),
        history,
        ..parent.clone()
    };
    Block { header, transactions: List::new() }
}

/// Executes tokens.
pub(crate) fn token_executor() -> LedgerExecutor {
    LedgerExecutor::default().with(NativeRuntime::new().with(Token))
}

/// The owner's transaction with this number in lane 0: it deploys a token.
pub(crate) fn deploy(chain: &Chain, number: u64) -> SignedTransaction {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new());
    // So that many fit in a block.
    let deploy = deploy.fuel_limit(ledger_core::Fuel(200_000));
    deploy.sequence(0, number).sign(&owner()).unwrap()
}

/// Has such a transaction certified.
pub(crate) async fn certify(chain: &Chain, number: u64) {
    chain.submit(deploy(chain, number)).await.unwrap().certified().await.unwrap();
}

/// Limits with which a log is cut after a few dozen blocks.
pub(crate) fn growing(policy: ChainPolicy) -> Limits {
    let mut growth = GrowthConfig { log_bytes: 40_000, step_bytes: 30_000, ..GrowthConfig::default() };
    growth.interval = Duration::from_millis(3);
    growth.archive.chunk_bytes = 4_096;
    growth.archive.segment_bytes = 100_000;
    let mut limits = Limits { growth: Some(growth), policy, ..Limits::default() };
    limits.log.segment_bytes = 8_192;
    limits.log.fill_bytes = 1_024;
    limits
}

/// All blocks that the chain says it keeps are read, with their results. What is given up meanwhile is refused as that,
/// and isn't of the newest `least`.
pub(crate) fn reads_what_is_kept(chain: &Chain, least: u64) {
    let (kept, mut read) = (chain.kept(), 0);
    for height in (kept.first.0..=kept.newest.0).map(Height) {
        let refused = match (chain.block(height), chain.results(height)) {
            (Ok(block), Ok(results)) => {
                assert_eq!(block.transactions.len(), results.len(), "block {height}");
                read += 1;
                continue;
            }
            (Err(refused), _) | (_, Err(refused)) => refused,
        };
        let given_up = matches!(
            refused,
            ChainError::Pruned { height: of, first, newest, .. }
                if of == height && first > height && newest.0 - height.0 >= least && chain.kept().first >= first
        );
        assert!(given_up, "block {height}: {refused}; {:?}", chain.kept());
    }
    assert!(read > 0, "nothing of {kept:?} could be read");
}

/// Holds up the execution of a chain's blocks above some height.
pub(crate) struct Gate {
    chain: ChainId,
    open: Mutex<u64>,
    told: Condvar,
    /// Of each block that has come, by its height: how many transactions it has, and when it came.
    pub(crate) blocks: Mutex<BTreeMap<u64, (usize, Instant)>>,
}

impl Gate {
    /// A gate for the blocks of `chain`, open to block `height`; and an executor whose blocks pass it.
    pub(crate) fn new(chain: ChainId, height: u64) -> (Arc<Self>, HookedExecutor<LedgerExecutor>) {
        let gate = Gate { chain, open: Mutex::new(height), told: Condvar::new(), blocks: Mutex::default() };
        let (gate, passed) = (Arc::new(gate), HookedExecutor::new(token_executor()));
        let at = Arc::clone(&gate);
        let passed = passed.before_execution(move |block, context| {
            if context.chain == at.chain {
                at.pass(block.header.height.0, block.transactions.len());
            }
        });
        (gate, passed)
    }

    pub(crate) fn open_to(&self, height: u64) {
        *self.open.lock().unwrap() = height;
        self.told.notify_all();
    }

    fn pass(&self, height: u64, transactions: usize) {
        self.blocks.lock().unwrap().insert(height, (transactions, Instant::now()));
        drop(self.told.wait_while(self.open.lock().unwrap(), |open| *open < height).unwrap());
    }

    /// Waits until a block has come, whether it may pass or not.
    pub(crate) async fn reached(&self, height: u64) {
        while !self.blocks.lock().unwrap().contains_key(&height) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
