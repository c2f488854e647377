//! An executor that remembers what happened.

use crate::executor::LedgerExecutor;
use crate::trace::{FuelProfile, TraceConfig, TransactionTrace};
use ledger_core::{Block, Call, Context, Execution, ExecutionError, Executor, Simulation, StateView};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many traces are kept by default.
const KEPT: usize = 1_000;

/// Does what a [`LedgerExecutor`] does, and keeps a [trace](crate::trace) of every transaction and simulation, and a profile of
/// their fuel. Clones share what they keep, so a test gives one to a [`TestLedger`](super::TestLedger), or to a node, and
/// asks the other.
///
/// Keeps the latest 1,000 traces, unless told otherwise; the profile is of all. A block that is executed twice is recorded
/// twice. What couldn't be executed at all isn't recorded.
#[derive(Clone)]
pub struct Recorder {
    executor: Arc<LedgerExecutor>,
    config: TraceConfig,
    most: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    traces: VecDeque<TransactionTrace>,
    profile: FuelProfile,
}

impl Recorder {
    /// Records what `executor` does.
    pub fn new(executor: LedgerExecutor) -> Self {
        Recorder { executor: Arc::new(executor), config: TraceConfig::default(), most: KEPT, kept: Arc::default() }
    }

    /// With other limits of each trace.
    #[must_use]
    pub fn config(mut self, config: TraceConfig) -> Self {
        self.config = config;
        self
    }

    /// Keeps at most so many traces. The profile is of all nevertheless.
    #[must_use]
    pub fn keep(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// The traces that are kept, in the order of execution.
    pub fn traces(&self) -> Vec<TransactionTrace> {
        self.lock().traces.iter().cloned().collect()
    }

    /// The last trace.
    pub fn last(&self) -> Option<TransactionTrace> {
        self.lock().traces.back().cloned()
    }

    /// The fuel of everything that was executed since the start, or since it was [cleared](Self::clear).
    pub fn profile(&self) -> FuelProfile {
        self.lock().profile.clone()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn record(&self, traces: Vec<TransactionTrace>) {
        let mut kept = self.lock();
        for trace in traces {
            kept.profile.add(&trace);
            kept.traces.push_back(trace);
            while kept.traces.len() > self.most {
                kept.traces.pop_front();
            }
        }
    }

    // Each change is whole before anything can panic.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for Recorder {
    fn execute(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Execution, ExecutionError> {
        let (execution, traces) = self.executor.trace_block(block, context, state, self.config)?;
        self.record(traces);
        Ok(execution)
    }

    fn simulate(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Simulation, ExecutionError> {
        let (simulation, trace) = self.executor.trace_simulation(call, context, state, self.config)?;
        self.record(vec![trace]);
        Ok(simulation)
    }

    fn query(&self, call: &Call, context: &Context<'_>, state: &dyn StateView) -> Result<Simulation, ExecutionError> {
        let (simulation, trace) = self.executor.trace_query(call, context, state, self.config)?;
        self.record(vec![trace]);
        Ok(simulation)
    }

    ledger_core::pass_on!(self => self.executor; simulate_transaction, admit, admit_all);
}
