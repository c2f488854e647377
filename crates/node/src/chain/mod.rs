//! A client's handle on a chain: submit, query, prove, subscribe.

pub(crate) mod durable;
mod export;
mod prove;
pub(crate) mod shell;
pub(crate) mod stages;
mod subscription;

pub use subscription::{BlockUpdate, EventUpdate, Stage, Subscription, SubscriptionError};

use crate::answers::{Pending, TransactionStatus};
use crate::core::{Stop, SubmitError};
use crate::host::growth::Growth;
use crate::progress::Progress;
use crate::recovery::RecoveryError;
use crate::retention::{Keepers, Kept};
use ledger_core::codec::{self, CodecError};
use ledger_core::{
    AccountId, Block, Call, ChainId, Checkpoint, Context, ContractId, Evidence, ExecutionError, Executor, Fuel,
    Genesis, Header, Height, Key, ProofError, SignedTransaction, Simulation, StateView, Status, TransactionId,
    TransactionResult, TrustRoot, Versioned,
};
use ledger_crypto::Signer;
use ledger_storage::archive::ArchiveError;
use ledger_storage::chain::{ChainReader, StoreError};
use ledger_storage::log::{LogError, LogReader};
use ledger_storage::snapshot::SnapshotStoreError;
use shell::Submission;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// Why a chain can't answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The views can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A block in the log isn't what it should be.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Bytes that are no transaction.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The call couldn't be run.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The contract didn't answer a query.
    #[error("the query did not succeed: {0}")]
    Query(Refused),
    /// There is no such block here.
    #[error("block {height} isn't here; the chain is at {newest}")]
    NoBlock {
        /// The height asked for.
        height: Height,
        /// The last block executed.
        newest: Height,
    },
    /// The block's body and receipts were given up here, or never came: the chain began from a snapshot.
    #[error(
        "block {height} isn't kept by this node, which has blocks {first} to {newest}; the archive of the chain is kept by \
         {keepers}"
    )]
    Pruned {
        /// The height asked for.
        height: Height,
        /// The lowest height that is here.
        first: Height,
        /// The newest block.
        newest: Height,
        /// Who keeps everything.
        keepers: Keepers,
    },
    /// A snapshot can't be made.
    #[error("no snapshot in {}: {error}", folder.display())]
    Export {
        /// The folder that it was for.
        folder: PathBuf,
        /// Why not.
        error: SnapshotStoreError,
    },
    /// The archive can't be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is no such transaction here.
    #[error("transaction {id} isn't in the chain")]
    NoTransaction {
        /// The id asked for.
        id: TransactionId,
    },
    /// The transaction has no such event.
    #[error("transaction {id} has {count} events; there is no event {index}")]
    NoEvent {
        /// The transaction.
        id: TransactionId,
        /// The event asked for.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// No checkpoint commits to it yet.
    #[error("no checkpoint commits to block {height} yet; the newest commits to {size} blocks")]
    NotCertified {
        /// The block.
        height: Height,
        /// How much history the newest checkpoint has.
        size: u64,
    },
    /// A proof that doesn't verify: the views are damaged.
    #[error("a proof made from the views doesn't verify: {0}")]
    Proof(#[from] ProofError),
    /// The chain has stopped, or was closed.
    #[error("the chain is closed")]
    Closed,
    /// The chain has stopped.
    #[error("the chain has stopped: {0}")]
    Stopped(Stop),
}

/// What became of a call that didn't succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Status);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Status::Succeeded => f.write_str("it did succeed"),
            Status::Failed(failure) => failure.fmt(f),
            Status::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

/// A chain of a running host. Cheap to clone.
#[derive(Clone)]
pub struct Chain {
    pub(crate) shared: Arc<Shared>,
    pub(crate) submissions: mpsc::Sender<Submission>,
}

pub(crate) struct Shared {
    pub(crate) id: ChainId,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) reader: ChainReader,
    pub(crate) log: LogReader,
    pub(crate) growth: Arc<Growth>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) evidence: Arc<Mutex<Vec<Evidence>>>,
}

impl Shared {
    fn kept(&self) -> Kept {
        self.growth.kept(&self.id, self.reader.head().header.height)
    }

    fn pruned(&self, height: Height) -> ChainError {
        let Kept { first, newest, keepers } = self.kept();
        ChainError::Pruned { height, first, newest, keepers }
    }

    /// What the views say of what isn't here, with what is here and who has the rest.
    fn explain(&self, error: StoreError) -> ChainError {
        match error {
            StoreError::Pruned { height, .. } | StoreError::BeforeSnapshot { height, .. } => self.pruned(height),
            error => error.into(),
        }
    }
}

impl Chain {
    /// The chain's id.
    pub fn id(&self) -> ChainId {
        self.shared.id
    }

    /// Validators that were caught signing what no honest one signs, each with the signatures that first proved it, the
    /// oldest first. They are in the log.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.shared.evidence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The chain's genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.shared.genesis
    }

    /// What a client needs to verify this chain's checkpoints and proofs, if it trusts this node for the genesis.
    pub fn trust_root(&self) -> TrustRoot {
        TrustRoot::new((*self.shared.genesis).clone())
    }

    /// How far the chain has come, now.
    pub fn progress(&self) -> Progress {
        self.shared.progress.borrow().clone()
    }

    /// A receiver that is told whenever the chain comes further.
    pub fn watch_progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.clone()
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        Arc::clone(&self.shared.progress.borrow().checkpoint)
    }

    /// Hands in a transaction; returns when it is *Accepted*. While the chain has more submissions than it can take up,
    /// this waits.
    ///
    /// # Errors
    /// [`SubmitError`] says what is wrong with the transaction, or that the node is busy or closed.
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<Pending, SubmitError> {
        self.enqueue(transaction).await?.await
    }

    /// Hands in a transaction without waiting for the checks: the returned future resolves when it is *Accepted*. A
    /// client with many transactions keeps several on their way so.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] when the chain is closed.
    pub async fn enqueue(
        &self,
        transaction: SignedTransaction,
    ) -> Result<impl Future<Output = Result<Pending, SubmitError>> + Send + use<>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { transaction: Arc::new(transaction), reply };
        self.submissions.send(submission).await.map_err(|_| SubmitError::Closed)?;
        Ok(async move { answer.await.unwrap_or(Err(SubmitError::Closed)) })
    }

    /// Decodes and hands in a transaction.
    ///
    /// # Errors
    /// [`ChainError::Codec`], or [`SubmitError`] inside.
    pub async fn submit_bytes(&self, bytes: &[u8]) -> Result<Result<Pending, SubmitError>, ChainError> {
        let transaction = codec::decode(bytes)?;
        Ok(self.submit(transaction).await)
    }

    /// Where a transaction stands. One that is on its way but not executed yet is unknown here; its [`Pending`] knows.
    ///
    /// # Errors
    /// [`ChainError::Store`] when the views can't be read.
    pub fn status(&self, id: &TransactionId) -> Result<TransactionStatus, ChainError> {
        Ok(TransactionStatus::find(&self.shared.reader, &self.progress(), id)?)
    }

    /// The number that comes next in `lane` of `account`, as the executed state stands: transactions under way are not
    /// counted.
    ///
    /// # Errors
    /// [`ChainError`] when the state can't be read.
    pub fn next_number(&self, account: &AccountId, lane: u64) -> Result<u64, ChainError> {
        let stored = self.state().get(&Key::sequence(account, lane)).map_err(ExecutionError::from)?;
        Ok(stored.map_or(0, |versioned| next_number(&versioned)))
    }

    /// The number that comes next in lane 0 of the account that `signer`'s key opens.
    ///
    /// # Errors
    /// [`ChainError`] when the state can't be read.
    pub fn next_number_of(&self, signer: &dyn Signer) -> Result<u64, ChainError> {
        self.next_number(&AccountId::of_ed25519(&signer.public_key()), 0)
    }

    /// The newest executed state.
    pub fn state(&self) -> impl StateView + use<> {
        self.shared.reader.state()
    }

    /// The state after block `height`.
    ///
    /// # Errors
    /// [`ChainError::Store`] when that height isn't there.
    pub fn state_at(&self, height: Height) -> Result<impl StateView + use<>, ChainError> {
        Ok(self.shared.reader.state_at(height)?)
    }

    /// Runs a call on the newest executed state without changing anything, on the thread that calls: it needs
    /// [`EXECUTION_STACK_BYTES`](ledger_contracts::EXECUTION_STACK_BYTES) of stack, as for [`simulate_at`](Self::simulate_at) and
    /// [`query`](Self::query). With less, a contract made for it ends the process.
    ///
    /// # Errors
    /// [`ChainError`] when it can't be run; a call that fails is no error here, its [`Simulation`] says so.
    pub fn simulate(&self, call: &Call) -> Result<Simulation, ChainError> {
        let state = self.shared.reader.state();
        let header = self.header(state.height())?;
        Ok(self.shared.executor.simulate(call, &self.context(&header), &state)?)
    }

    /// What would become of a transaction of any kind on the newest executed state, and what fuel it would use, whatever its
    /// own limit: [`Executor::simulate_transaction`].
    ///
    /// # Errors
    /// As [`Chain::simulate`].
    pub fn simulate_transaction(&self, transaction: &SignedTransaction) -> Result<Simulation, ChainError> {
        let state = self.shared.reader.state();
        let header = self.header(state.height())?;
        Ok(self.shared.executor.simulate_transaction(transaction, &self.context(&header), &state)?)
    }

    /// Runs a call on the state after block `height`, as [`simulate`](Self::simulate) on the newest.
    ///
    /// # Errors
    /// As [`Chain::simulate`], and when that height isn't there.
    pub fn simulate_at(&self, call: &Call, height: Height) -> Result<Simulation, ChainError> {
        let header = self.header(height)?;
        let state = self.shared.reader.state_at(height)?;
        Ok(self.shared.executor.simulate(call, &self.context(&header), &state)?)
    }

    fn context(&self, header: &Header) -> Context<'_> {
        let Header { height, timestamp, .. } = *header;
        Context { chain: self.shared.id, height, timestamp, rules: &self.shared.genesis.rules }
    }

    /// Calls a contract's reading method on the newest executed state, as nobody, and gives its output. The call is
    /// read-only, and runs on the thread that calls, which needs the stack that [`simulate`](Self::simulate) says.
    ///
    /// # Errors
    /// [`ChainError::Query`] when the contract refuses or fails, or tries to write.
    pub fn query(&self, contract: ContractId, method: &str, arguments: &[u8]) -> Result<Vec<u8>, ChainError> {
        let call = Call {
            account: AccountId(ledger_crypto::Digest::ZERO),
            contract,
            method: method.to_owned(),
            arguments: arguments.into(),
            fuel_limit: Fuel(self.shared.genesis.rules.max_transaction_fuel.0),
        };
        let state = self.shared.reader.state();
        let header = self.header(state.height())?;
        let simulation = self.shared.executor.query(&call, &self.context(&header), &state)?;
        match simulation.status {
            Status::Succeeded => Ok(simulation.output.into_vec()),
            status => Err(ChainError::Query(Refused(status))),
        }
    }

    /// The header of block `height`.
    ///
    /// # Errors
    /// [`ChainError::Store`] when the chain isn't there yet; [`ChainError::Pruned`] when it began behind it.
    pub fn header(&self, height: Height) -> Result<Header, ChainError> {
        self.shared.reader.header(height).map_err(|error| self.explain(error))
    }

    /// Which blocks' bodies and receipts are here, and who keeps all of them.
    pub fn kept(&self) -> Kept {
        self.shared.kept()
    }

    pub(crate) fn pruned(&self, height: Height) -> ChainError {
        self.shared.pruned(height)
    }

    pub(crate) fn explain(&self, error: StoreError) -> ChainError {
        self.shared.explain(error)
    }

    /// What became of the transactions of block `height`, in order.
    ///
    /// # Errors
    /// [`ChainError::Pruned`] when they aren't here (any more); [`ChainError`] when they can't be read.
    pub fn results(&self, height: Height) -> Result<Vec<TransactionResult>, ChainError> {
        self.shared.reader.results(height).map_err(|error| self.explain(error))
    }

    /// Block `height`, whole, from the log or the archive.
    ///
    /// # Errors
    /// [`ChainError::NoBlock`] when the chain isn't there yet; [`ChainError::Pruned`] when it was given up, or the chain began
    /// with it or behind it; [`ChainError`] when it can't be read.
    pub fn block(&self, height: Height) -> Result<Block, ChainError> {
        if height == Height::GENESIS {
            return Ok(Block { header: self.shared.genesis.header(), transactions: Vec::new().into() });
        }
        let newest = self.shared.reader.head().header.height;
        // A snapshot has its block's header, and not its transactions.
        let missing = || match height <= self.shared.reader.base() {
            true => self.pruned(height),
            false => ChainError::NoBlock { height, newest },
        };
        let position = self.shared.reader.position(height).map_err(|error| self.explain(error))?;
        let position = position.ok_or_else(missing)?;
        let bytes = match self.shared.log.read(position) {
            Ok(record) => record.bytes,
            Err(LogError::Removed { .. }) => {
                self.shared.growth.block(self.shared.id, height)?.ok_or_else(|| self.pruned(height))?.block
            }
            Err(error) => return Err(error.into()),
        };
        Ok(codec::decode(&bytes)?)
    }
}

/// Reads what [`Key::sequence`] holds.
fn next_number(stored: &Versioned) -> u64 {
    stored.value.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("id", &self.shared.id).finish_non_exhaustive()
    }
}
