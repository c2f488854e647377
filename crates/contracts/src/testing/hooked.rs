//! An executor with a test's hooks.

use ledger_core::{Block, Context, Execution, ExecutionError, Executor, Rejection, SignedTransaction, StateView};

type Executing = dyn Fn(&Block, &Context<'_>) + Send + Sync;
type Executed = dyn Fn(&Block, &Context<'_>, &mut Execution) + Send + Sync;
type Admitting = dyn Fn(&SignedTransaction, &Context<'_>) + Send + Sync;

/// What another executor does, with hooks: to hold blocks up, to panic, to give another outcome than the others.
///
/// There is one hook of each kind, the last that was given. Hooks run on the threads that call the executor.
pub struct HookedExecutor<E> {
    executor: E,
    executing: Box<Executing>,
    executed: Box<Executed>,
    admitting: Box<Admitting>,
}

impl<E: Executor> HookedExecutor<E> {
    /// Does what `executor` does, until it is given hooks.
    pub fn new(executor: E) -> Self {
        Self {
            executor,
            executing: Box::new(|_, _| {}),
            executed: Box::new(|_, _, _| {}),
            admitting: Box::new(|_, _| {}),
        }
    }

    /// Called before each block is executed, with the block and its context.
    #[must_use]
    pub fn before_execution(mut self, hook: impl Fn(&Block, &Context<'_>) + Send + Sync + 'static) -> Self {
        self.executing = Box::new(hook);
        self
    }

    /// Called after each block that could be executed, with what it gave, which may be changed.
    #[must_use]
    pub fn after_execution(
        mut self,
        hook: impl Fn(&Block, &Context<'_>, &mut Execution) + Send + Sync + 'static,
    ) -> Self {
        self.executed = Box::new(hook);
        self
    }

    /// Called before it is asked whether the state lets a transaction in, for each transaction.
    #[must_use]
    pub fn before_admission(mut self, hook: impl Fn(&SignedTransaction, &Context<'_>) + Send + Sync + 'static) -> Self {
        self.admitting = Box::new(hook);
        self
    }
}

impl<E: Executor> Executor for HookedExecutor<E> {
    fn execute(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Execution, ExecutionError> {
        (self.executing)(block, context);
        let mut execution = self.executor.execute(block, context, state)?;
        (self.executed)(block, context, &mut execution);
        Ok(execution)
    }

    ledger_core::pass_on!(self => self.executor; simulate, simulate_transaction, query);

    fn admit(
        &self,
        transaction: &SignedTransaction,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Result<u64, Rejection>, ExecutionError> {
        (self.admitting)(transaction, context);
        self.executor.admit(transaction, context, state)
    }

    fn admit_all(
        &self,
        transactions: &[&SignedTransaction],
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Vec<Result<Result<u64, Rejection>, ExecutionError>> {
        for transaction in transactions {
            (self.admitting)(transaction, context);
        }
        self.executor.admit_all(transactions, context, state)
    }
}
