//! A chain of one, in memory.

use super::MapState;
use ledger_core::codec::{Bytes, CodecError, List};
use ledger_core::history::HistoryHead;
use ledger_core::{
    AccountId, Block, Call, ChainId, Context, ContractId, Epoch, Execution, ExecutionError, Executor, Header, Height,
    Rules, SignedTransaction, Simulation, Status, Timestamp, TransactionBuilder, TransactionResult,
};
use ledger_crypto::{Digest, Signer, SignerError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An executor over a [`MapState`], with as much of a chain around it as a contract can notice: heights, times, lanes.
/// Nothing is ordered, checked or kept safe.
///
/// Signs with real keys, in lane 0, each block a second after the one before, unless a test [says when](Self::next_block_at).
/// A clone goes its own way.
#[derive(Clone)]
pub struct TestLedger {
    /// What executes.
    pub executor: Arc<dyn Executor>,
    /// The state after the last block.
    pub state: MapState,
    /// The rules.
    pub rules: Rules,
    /// The last block's height.
    pub height: Height,
    /// The last block's time.
    pub timestamp: Timestamp,
    pub(super) numbers: BTreeMap<AccountId, u64>,
    /// The time of the next block, where a test has said it.
    pub(super) next_time: Option<Timestamp>,
}

/// Why a [`TestLedger`] can't give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The signer can't sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The block couldn't be executed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The executor gave no receipt for a transaction.
    #[error("the executor gave no receipt for the transaction")]
    NoReceipt,
    /// A transaction had no effect where one was due.
    #[error("the transaction had no effect: {status:?}")]
    NoEffect {
        /// What became of it.
        status: Status,
    },
    /// A block can't be older than the one before.
    #[error("a block at {asked} ms can't follow one at {latest} ms")]
    TimeRunsBack {
        /// The time that was asked for.
        asked: Timestamp,
        /// The last block's time.
        latest: Timestamp,
    },
    /// The contract answered something else than was expected.
    #[error("the answer isn't what was expected: {error}")]
    Answer {
        /// What is wrong with it.
        error: CodecError,
    },
}

/// The chain of every [`TestLedger`].
const CHAIN: ChainId = ChainId(Digest::ZERO);

/// From one block of a [`TestLedger`] to the next, in ms, unless a test says another time.
const BLOCK_MS: u64 = 1_000;

impl TestLedger {
    /// A ledger at its genesis, with the default rules.
    pub fn new(executor: impl Executor + 'static) -> Self {
        TestLedger {
            executor: Arc::new(executor),
            state: MapState::new(),
            rules: Rules::default(),
            height: Height::GENESIS,
            timestamp: Timestamp(1_700_000_000_000),
            numbers: BTreeMap::new(),
            next_time: None,
        }
    }

    /// The chain's id.
    pub fn chain(&self) -> ChainId {
        CHAIN
    }

    /// Signs `transaction` as the next of the signer's account in lane 0. The number counts as used, so whatever is
    /// signed has to be applied before the next.
    ///
    /// # Errors
    /// [`SignerError`] when the signer can't sign.
    pub fn sign(
        &mut self,
        signer: &dyn Signer,
        transaction: TransactionBuilder,
    ) -> Result<SignedTransaction, SignerError> {
        let number = self.numbers.entry(AccountId::of_ed25519(&signer.public_key())).or_default();
        let signed = transaction.sequence(0, *number).sign(signer)?;
        *number += 1;
        Ok(signed)
    }

    /// The next block, of `transactions`.
    pub fn block(&self, transactions: Vec<SignedTransaction>) -> Block {
        let header = Header {
            version: ledger_core::HEADER_VERSION,
            chain: CHAIN,
            height: self.height.next(),
            parent: Digest::ZERO,
            timestamp: self.next_time.unwrap_or_else(|| self.timestamp.plus(BLOCK_MS)),
            transactions_root: Block::transactions_root(&transactions),
            history: HistoryHead::EMPTY,
            epoch: Epoch(0),
            seal: Bytes::default(),
        };
        Block { header, transactions: List::from(transactions) }
    }

    /// Executes a block on the state, without applying it.
    ///
    /// # Errors
    /// [`ExecutionError`] from the executor.
    pub fn execute_block(&self, block: &Block) -> Result<Execution, ExecutionError> {
        let Header { height, timestamp, .. } = block.header;
        let context = Context { chain: CHAIN, height, timestamp, rules: &self.rules };
        self.executor.execute(block, &context, &self.state)
    }

    /// Executes the next block, of `transactions`, on the state, without applying it.
    ///
    /// # Errors
    /// [`ExecutionError`] from the executor.
    pub fn execute(&self, transactions: Vec<SignedTransaction>) -> Result<Execution, ExecutionError> {
        self.execute_block(&self.block(transactions))
    }

    /// Executes a block of `transactions` and goes on to the state after it.
    ///
    /// # Errors
    /// [`ExecutionError`] from the executor; then nothing has changed.
    pub fn apply(&mut self, transactions: Vec<SignedTransaction>) -> Result<Execution, ExecutionError> {
        let block = self.block(transactions);
        let execution = self.execute_block(&block)?;
        self.height = block.header.height;
        self.timestamp = block.header.timestamp;
        self.next_time = None;
        self.state.apply(self.height, &execution.writes);
        Ok(execution)
    }

    /// Signs one transaction, as [`TestLedger::sign`], and executes it in a block of its own.
    ///
    /// # Errors
    /// [`TestError`]; a transaction that fails is none, it has a receipt.
    pub fn submit(
        &mut self,
        signer: &dyn Signer,
        transaction: TransactionBuilder,
    ) -> Result<TransactionResult, TestError> {
        let signed = self.sign(signer, transaction)?;
        let mut results = self.apply(vec![signed])?.results;
        results.pop().ok_or(TestError::NoReceipt)
    }

    /// Deploys `code` to `runtime`, in a block of its own.
    ///
    /// # Errors
    /// [`TestError`], also when the transaction failed.
    pub fn deploy(
        &mut self,
        signer: &dyn Signer,
        runtime: &str,
        code: &[u8],
        arguments: &[u8],
    ) -> Result<ContractId, TestError> {
        let deployment = TransactionBuilder::deploy(CHAIN, runtime, code.to_vec(), arguments.to_vec());
        let receipt = self.submit(signer, deployment)?.receipt;
        match receipt.status {
            Status::Succeeded => Ok(ContractId::deployed_by(&receipt.transaction)),
            status => Err(TestError::NoEffect { status }),
        }
    }

    /// Calls `method` of `contract`, in a block of its own.
    ///
    /// # Errors
    /// [`TestError`]; a call that fails is none, it has a receipt.
    pub fn call(
        &mut self,
        signer: &dyn Signer,
        contract: ContractId,
        method: &str,
        arguments: &[u8],
    ) -> Result<TransactionResult, TestError> {
        self.submit(signer, TransactionBuilder::call(CHAIN, contract, method, arguments.to_vec()))
    }

    /// What a call of `method` of `contract` by `account` would do now, with as much fuel as a transaction may have.
    ///
    /// # Errors
    /// [`ExecutionError`] from the executor.
    pub fn simulate(
        &self,
        account: AccountId,
        contract: ContractId,
        method: &str,
        arguments: &[u8],
    ) -> Result<Simulation, ExecutionError> {
        let fuel_limit = self.rules.max_transaction_fuel;
        let arguments = Bytes::from(arguments);
        let call = Call { account, contract, method: method.to_owned(), arguments, fuel_limit };
        self.executor.simulate(&call, &self.context(), &self.state)
    }

    /// What would become of a transaction now: see [`Executor::simulate_transaction`].
    ///
    /// # Errors
    /// [`ExecutionError`] from the executor.
    pub fn simulate_transaction(&self, transaction: &SignedTransaction) -> Result<Simulation, ExecutionError> {
        self.executor.simulate_transaction(transaction, &self.context(), &self.state)
    }

    /// The last block's context, for [`Executor::simulate`] and [`Executor::admit`].
    pub fn context(&self) -> Context<'_> {
        Context { chain: CHAIN, height: self.height, timestamp: self.timestamp, rules: &self.rules }
    }
}
