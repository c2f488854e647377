//! Noting what happens, for whoever asks for a [trace](crate::trace).

use super::LedgerExecutor;
use super::cache::Origin;
use super::run::{Caller, Code, Run, Stop};
use crate::fuel::Meter;
use crate::record::{ContractRecord, code_key};
use crate::runtime::{Invocation, Runtime};
use crate::trace::{About, AccessKind, Called, Kind, TraceConfig, Tracer, TransactionTrace};
use ledger_core::codec;
use ledger_core::{
    Action, Block, Call, Context, ContractId, Execution, ExecutionError, Failure, Key, KeyRange, SignedTransaction,
    Simulation, StateView, TransactionId,
};

impl LedgerExecutor {
    /// Executes a block as [`execute`](ledger_core::Executor::execute) does, and says of each of its transactions what
    /// happened.
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read.
    pub fn trace_block(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
        config: TraceConfig,
    ) -> Result<(Execution, Vec<TransactionTrace>), ExecutionError> {
        let (mut tracer, mut traces) = (Tracer::new(config), Vec::with_capacity(block.transactions.len()));
        let execution = self.execute_block(block, context, state, Some((&mut tracer, &mut traces)))?;
        Ok((execution, traces))
    }

    /// Runs a call as [`simulate`](ledger_core::Executor::simulate) does, and says what happened.
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read.
    pub fn trace_simulation(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
        config: TraceConfig,
    ) -> Result<(Simulation, TransactionTrace), ExecutionError> {
        self.trace_call(call, context, state, config, false)
    }

    /// Runs a call as [`query`](ledger_core::Executor::query) does, and says what happened.
    ///
    /// # Errors
    /// [`ExecutionError`] when the state can't be read.
    pub fn trace_query(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
        config: TraceConfig,
    ) -> Result<(Simulation, TransactionTrace), ExecutionError> {
        self.trace_call(call, context, state, config, true)
    }

    fn trace_call(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
        config: TraceConfig,
        read_only: bool,
    ) -> Result<(Simulation, TransactionTrace), ExecutionError> {
        let mut tracer = Tracer::new(config);
        let simulation = self.dry_run(call, context, state, read_only, Some(&mut tracer))?;
        let kind = if read_only { Kind::Query } else { Kind::Simulation };
        let fuel_limit = call.fuel_limit.min(context.rules.max_transaction_fuel);
        let about = About { transaction: None, index: 0, account: call.account, kind, fuel_limit };
        let trace = tracer.finish(about, simulation.status.clone(), simulation.fuel_used);
        Ok((simulation, trace))
    }
}

/// What a transaction of a block is called in its trace.
pub(super) fn about(signed: &SignedTransaction, id: TransactionId, index: u32) -> About {
    let transaction = &signed.transaction;
    let kind = match &transaction.action {
        Action::Deploy { .. } => Kind::Deploy,
        Action::Call { .. } => Kind::Call,
        Action::Commit { .. } => Kind::Commit,
    };
    let (account, fuel_limit) = (transaction.account, transaction.fuel_limit);
    About { transaction: Some(id), index, account, kind, fuel_limit }
}

impl Run<'_, '_> {
    /// Does `work`, which is a call, and notes how it begins and ends if there is a trace.
    pub(super) fn traced(
        &mut self,
        called: &Called<'_>,
        meter: &mut Meter,
        work: impl FnOnce(&mut Self, &mut Meter) -> Result<Vec<u8>, Stop>,
    ) -> Result<Vec<u8>, Stop> {
        let Some(trace) = &mut self.trace else { return work(self, meter) };
        let depth = trace.begin(called, meter.used());
        let done = work(self, meter);
        let Some(trace) = &mut self.trace else { return done };
        match &done {
            Ok(output) => trace.end(depth, meter.used(), Ok(output)),
            Err(Stop::Failed(failure)) => trace.end(depth, meter.used(), Err(failure.clone())),
            Err(Stop::OutOfFuel { limit }) => {
                trace.end(depth, meter.used(), Err(Failure::OutOfFuel { limit: *limit }));
            }
            Err(Stop::Broken(_)) => trace.forget(depth),
        }
        done
    }

    /// [Enters](Run::enter) a constructor or a migration, which is a call in a trace.
    pub(super) fn enter_new(
        &mut self,
        contract: ContractId,
        code: &Code<'_>,
        invocation: &Invocation<'_>,
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Stop> {
        let Invocation { entry, arguments } = *invocation;
        let called = Called { contract, entry, arguments, caller: caller.account, read_only: caller.read_only };
        let code = self.code_for_trace(&contract, code.clone());
        self.traced(&called, meter, |run, meter| run.enter(contract, &code, invocation, caller, meter))
    }

    /// Code that says where it breaks down, in the place of a contract's, if there is a trace and its runtime has it.
    pub(super) fn code_for_trace<'c>(&mut self, contract: &ContractId, code: Code<'c>) -> Code<'c> {
        let Some(trace) = &mut self.trace else { return code };
        // What can't be read here can't be read where it counts either. Neither counts as read by the transaction.
        let Ok(Some(record)) = self.journal.peek(&Key::contract(contract)) else { return code };
        let Ok(ContractRecord { runtime, code: digest, .. }) = codec::decode(&record) else { return code };
        let prepared = trace.code((&runtime, digest), || {
            let origin = Origin { runtime: &runtime, digest: &digest, rules: &self.context.rules.wasm };
            if let Some(known) = self.executor.traced.get(&origin) {
                return Some(known);
            }
            let stored = self.journal.peek(&code_key(&digest)).ok()??;
            let prepared = code.runtime.prepare_for_trace(&stored, self.context.rules).ok()?;
            self.executor.traced.insert(&origin, prepared.clone());
            Some(prepared)
        });
        match prepared {
            Some(prepared) => Code { prepared, ..code },
            None => code,
        }
    }

    /// Notes what runs the call that began last.
    pub(super) fn note_runtime(&mut self, runtime: &dyn Runtime) {
        if let Some(trace) = &mut self.trace {
            trace.runs(runtime.name());
        }
    }

    /// Notes an access to the state.
    #[inline]
    pub(super) fn note(&mut self, namespace: &ContractId, name: &[u8], kind: AccessKind) {
        if let Some(trace) = &mut self.trace {
            trace.access(&Key::new(*namespace, name), kind);
        }
    }

    /// Notes that a range was read, and what was `found` there: how many entries of how many bytes together.
    #[inline]
    pub(super) fn note_scan(&mut self, range: &KeyRange, found: impl FnOnce() -> (usize, usize)) {
        if let Some(trace) = &mut self.trace {
            trace.scan(range, found());
        }
    }

    /// Notes an event.
    #[inline]
    pub(super) fn note_event(&mut self, topic: &str, data: &[u8]) {
        if let Some(trace) = &mut self.trace {
            trace.event(topic, data);
        }
    }
}
