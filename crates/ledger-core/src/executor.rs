//! The seam between order and effect: what an executor sees, and what it gives back.

use crate::block::Block;
use crate::codec::{Bytes, List};
use crate::id::{AccountId, ChainId, ContractId};
use crate::outcome::{Event, Rejection, Status, TransactionResult, ValidatorUpdate};
use crate::rules::Rules;
use crate::state::{Key, KeyRange, StateError, StateView, Version, Writes};
use crate::transaction::{ReadWriteSet, SignedTransaction};
use crate::units::{Fuel, Height, Timestamp};
use std::sync::Arc;

/// What execution may know besides the transactions and the state.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The block's height. For a simulation: the height whose state is read.
    pub height: Height,
    /// The block's time.
    pub timestamp: Timestamp,
    /// The chain's rules.
    pub rules: &'a Rules,
}

/// What executing a block gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The new values.
    pub writes: Writes,
    /// A receipt and its events for every transaction of the block, in order.
    pub results: Vec<TransactionResult>,
    /// Fuel that the transactions used together.
    pub fuel_used: Fuel,
    /// Changes of the validators.
    pub validators: List<ValidatorUpdate>,
}

/// A call that changes nothing: a query, or a trial of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asks. Not authenticated: a simulation proves nothing to anybody.
    pub account: AccountId,
    /// Whom to call.
    pub contract: ContractId,
    /// What to call.
    pub method: String,
    /// The arguments.
    pub arguments: Bytes,
    /// The most fuel to use.
    pub fuel_limit: Fuel,
}

/// What a call would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// What would become of it.
    pub status: Status,
    /// What the contract returned.
    pub output: Bytes,
    /// Events it emitted.
    pub events: Vec<Event>,
    /// Fuel it used, a transaction's base price included.
    pub fuel_used: Fuel,
    /// Keys it read, with the version seen, sorted by key.
    pub reads: Vec<(Key, Option<Version>)>,
    /// Ranges it read.
    pub ranges: Vec<KeyRange>,
    /// What it would write.
    pub writes: Writes,
}

impl Simulation {
    /// What was read and would be written, to be [committed](crate::TransactionBuilder::commit). A key in a range that was
    /// read is listed there alone: the range says whether it is there, too.
    pub fn read_write_set(&self) -> ReadWriteSet {
        let inside = |range: &KeyRange| {
            let there = self.reads.iter().filter(|(key, _)| range.contains(key));
            there.filter_map(|(key, version)| Some((key.clone(), (*version)?))).collect()
        };
        ReadWriteSet {
            reads: self
                .reads
                .iter()
                .filter(|(key, _)| !self.ranges.iter().any(|range| range.contains(key)))
                .cloned()
                .collect(),
            ranges: self.ranges.iter().map(|range| (range.clone(), inside(range))).collect(),
            writes: self.writes.iter().map(|write| (write.key.clone(), write.value.clone())).collect(),
        }
    }
}

/// Why a block or call can't be executed at all. A transaction that fails is no error: its receipt says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The state can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// What the state holds isn't what this executor writes.
    #[error("state at {key:?} isn't what this executor writes: {reason}")]
    Corrupt {
        /// Where.
        key: Key,
        /// What was met there.
        reason: String,
    },
    /// As many as may be are being answered, and this one may be asked again. Only questions are refused so, never blocks.
    #[error("busy: {what}")]
    Busy {
        /// What there may be no more of.
        what: &'static str,
    },
}

/// Turns an ordered block into an outcome. **Deterministic**: the same block, context and state give the same
/// [`Execution`] on every machine. It assumes that the block was checked [against its parent](Block::check_against)
/// and that signatures were checked, and nothing else.
///
/// It works on the thread that calls it, and contracts use that thread's stack: an implementation says how much it needs.
pub trait Executor: Send + Sync {
    /// Executes a block on the state before it.
    ///
    /// # Errors
    /// [`ExecutionError`]: the node must stop, not go on with a guess.
    fn execute(&self, block: &Block, context: &Context<'_>, state: &dyn StateView)
    -> Result<Execution, ExecutionError>;

    /// Runs a call on a state without changing it.
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read.
    fn simulate(&self, call: &Call, context: &Context<'_>, state: &dyn StateView)
    -> Result<Simulation, ExecutionError>;

    /// What would become of a transaction of any kind, a deployment say, on a state that it doesn't change: what it would use
    /// of fuel, above all. It has as much as a transaction may have, whatever its own limit. Neither its place in a lane, its
    /// expiry nor its signature is looked at, so one that was signed with too low a limit can be asked about.
    ///
    /// A transaction with the fuel that it used as limit succeeds as long as the state is the same, unless its contract looks
    /// at the fuel that is left.
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read, or [`ExecutionError::Busy`] where making code ready that somebody
    /// brings along is bounded.
    fn simulate_transaction(
        &self,
        transaction: &SignedTransaction,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Simulation, ExecutionError>;

    /// Runs a call that must not change anything, as a read-only call of one contract by another: a write or an event
    /// fails it. Everything else is as in [`simulate`](Executor::simulate).
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read.
    fn query(&self, call: &Call, context: &Context<'_>, state: &dyn StateView) -> Result<Simulation, ExecutionError>;

    /// Whether the state lets `transaction` into a block now, apart from its place in the sequence: the key speaks for
    /// the account, the action is supported, it isn't past its expiry nor, if it is unordered, executed already.
    /// `Ok(Ok(n))` says that `n` comes next in its lane; for an unordered one, which has none, `n` is 0.
    ///
    /// The time is the state's, which may be long ago on a chain that has nothing to do, so how far ahead an unordered
    /// one expires isn't looked at here: see [`Rules::check_expiry`].
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read; the inner [`Rejection`] is the answer to the sender.
    fn admit(
        &self,
        transaction: &SignedTransaction,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Result<u64, Rejection>, ExecutionError>;

    /// What [`admit`](Executor::admit) says of each of `transactions`, in their order, on one and the same state. Whoever
    /// can read what they need together does so here.
    fn admit_all(
        &self,
        transactions: &[&SignedTransaction],
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Vec<Result<Result<u64, Rejection>, ExecutionError>> {
        transactions.iter().map(|transaction| self.admit(transaction, context, state)).collect()
    }
}

/// In an `impl Executor`, the methods named behind the semicolon, each of which passes its call on to the executor before it:
/// `pass_on!(self => self.executor; simulate, query);`.
#[doc(hidden)]
#[macro_export]
macro_rules! pass_on {
    ($this:ident => $to:expr; $($method:ident),+) => { $($crate::pass_on!($method $this $to);)+ };
    (execute $this:ident $to:expr) => {
        $crate::pass_on!(execute $this $to, block: &$crate::Block, $crate::Execution);
    };
    (simulate $this:ident $to:expr) => {
        $crate::pass_on!(simulate $this $to, call: &$crate::Call, $crate::Simulation);
    };
    (simulate_transaction $this:ident $to:expr) => {
        $crate::pass_on!(
            simulate_transaction $this $to, transaction: &$crate::SignedTransaction, $crate::Simulation
        );
    };
    (query $this:ident $to:expr) => {
        $crate::pass_on!(query $this $to, call: &$crate::Call, $crate::Simulation);
    };
    (admit $this:ident $to:expr) => {
        $crate::pass_on!(
            admit $this $to, transaction: &$crate::SignedTransaction, Result<u64, $crate::Rejection>
        );
    };
    (admit_all $this:ident $to:expr) => {
        fn admit_all(
            &$this,
            transactions: &[&$crate::SignedTransaction],
            context: &$crate::Context<'_>,
            state: &dyn $crate::StateView,
        ) -> Vec<Result<Result<u64, $crate::Rejection>, $crate::ExecutionError>> {
            $to.admit_all(transactions, context, state)
        }
    };
    ($method:ident $this:ident $to:expr, $what:ident: $type:ty, $answer:ty) => {
        fn $method(
            &$this,
            $what: $type,
            context: &$crate::Context<'_>,
            state: &dyn $crate::StateView,
        ) -> Result<$answer, $crate::ExecutionError> {
            $to.$method($what, context, state)
        }
    };
}

impl<E: Executor + ?Sized> Executor for Arc<E> {
    pass_on!(self => (**self); execute, simulate, simulate_transaction, query, admit, admit_all);
}
