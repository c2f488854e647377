//! Running contracts: a transaction's first one, and those that are called within it.

use super::LedgerExecutor;
use super::cache::Origin;
use super::codes::{Codes, Stored};
use super::host::{TransactionHost, within};
use crate::call::{Answer, CALL_STACK_SLOTS, CallFailure, CallTerms};
use crate::fuel::Meter;
use crate::host::{Environment, HostError};
use crate::journal::Journal;
use crate::lifecycle::LIFECYCLE;
use crate::record::{ContractRecord, code_key};
use crate::runtime::{EntryPoint, Invocation, Prepared, Runtime, Trap};
use crate::trace::{Called, Tracer};
use ledger_core::codec::Text;
use ledger_core::outcome::MAX_MESSAGE_BYTES;
use ledger_core::{
    AccountId, Context, ContractId, Event, ExecutionError, Failure, Fuel, Key, StateError, TransactionId,
};
use std::sync::Arc;

/// What nobody may do.
pub(super) const USE_PAUSED: &str = "use a paused contract";

/// What all contracts share that run for one transaction.
pub(super) struct Run<'r, 's> {
    pub(super) executor: &'r LedgerExecutor,
    pub(super) context: &'r Context<'r>,
    pub(super) transaction: Option<TransactionId>,
    pub(super) journal: &'r mut Journal<'s>,
    pub(super) codes: &'r mut Codes,
    pub(super) events: Vec<Event>,
    pub(super) stack_left: u32,
    /// How many contracts were made by calls.
    pub(super) made: u32,
    /// Where what happens is noted, if anybody wants to know.
    pub(super) trace: Option<&'r mut Tracer>,
    /// The contracts that are running, each called by the one before.
    running: Vec<ContractId>,
    /// Why the node has to stop, once it has.
    broken: Option<ExecutionError>,
}

/// Why something came to nothing.
pub(super) enum Stop {
    /// It failed, and whoever asked for it is told so.
    Failed(Failure),
    /// Its fuel was used up.
    OutOfFuel { limit: Fuel },
    /// The node has to stop.
    Broken(ExecutionError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

impl From<ExecutionError> for Stop {
    fn from(error: ExecutionError) -> Self {
        Stop::Broken(error)
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Stop::Broken(error.into())
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        Stop::Failed(match error {
            HostError::OutOfFuel { limit } => return Stop::OutOfFuel { limit },
            HostError::Limit { what, size, limit } => Failure::Limit { what: Text::from(what), size, limit },
            HostError::ReadOnly => Failure::Forbidden { what: Text::from("write in a read-only call") },
            HostError::State(error) => return error.into(),
        })
    }
}

/// Who calls, and whether it may change anything.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) read_only: bool,
}

/// Code that is ready to run.
#[derive(Clone)]
pub(super) struct Code<'r> {
    pub(super) runtime: &'r dyn Runtime,
    pub(super) prepared: Prepared,
}

impl<'r, 's> Run<'r, 's> {
    pub(super) fn new(
        executor: &'r LedgerExecutor,
        context: &'r Context<'r>,
        transaction: Option<TransactionId>,
        journal: &'r mut Journal<'s>,
        codes: &'r mut Codes,
        trace: Option<&'r mut Tracer>,
    ) -> Self {
        let stack_left = context.rules.wasm.max_stack_slots;
        let (events, running, broken) = (Vec::new(), Vec::new(), None);
        Run { executor, context, transaction, journal, codes, events, stack_left, made: 0, trace, running, broken }
    }

    /// The error that ended everything, whatever contracts made of it, or else what `done` says.
    pub(super) fn conclude<T>(&mut self, done: Result<T, Stop>) -> Result<T, Stop> {
        match self.broken.take() {
            Some(error) => Err(Stop::Broken(error)),
            None => done,
        }
    }

    /// Calls a method of a contract: finds it, loads its code, runs it.
    pub(super) fn call(
        &mut self,
        contract: &ContractId,
        method: &str,
        arguments: &[u8],
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Stop> {
        if *contract == LIFECYCLE {
            return self.lifecycle(method, arguments, caller, meter);
        }
        let record = self.record(contract, meter)?;
        if record.paused {
            return Err(Failure::Forbidden { what: Text::from(USE_PAUSED) }.into());
        }
        let code = self.load(contract, &record, meter)?;
        let invocation = Invocation { entry: EntryPoint::Method(method), arguments };
        let code = self.code_for_trace(contract, code);
        self.enter(*contract, &code, &invocation, caller, meter)
    }

    /// Calls a contract for another one. Only what ends that one as well is an error.
    pub(super) fn call_within(
        &mut self,
        callee: &ContractId,
        invocation: (&str, &[u8]),
        caller: Caller,
        terms: CallTerms,
        meter: &mut Meter,
    ) -> Result<Answer, HostError> {
        let (method, arguments) = invocation;
        let prices = &self.context.rules.prices;
        meter.charge_sized(prices.call, prices.read_byte, method.len().saturating_add(arguments.len()))?;
        let left = meter.left();
        let limit = terms.fuel_limit.map_or(left, |limit| limit.min(left));
        let mut inner = Meter::new(limit);
        let savepoint = self.journal.savepoint();
        let (events, stack, depth) = (self.events.len(), self.stack_left, self.running.len());
        let Caller { account, read_only } = caller;
        let entry = EntryPoint::Method(method);
        let called = Called { contract: *callee, entry, arguments, caller: account, read_only };
        let done = self.traced(&called, &mut inner, |run, inner| {
            run.admit(callee, caller)?;
            let output = run.call(callee, method, arguments, caller, inner)?;
            inner.charge_sized(0, prices.read_byte, output.len())?;
            Ok(output)
        });
        self.stack_left = stack;
        self.running.truncate(depth);
        meter.take_over(&inner)?;
        let failure = match done {
            Ok(output) => return Ok(Answer::Returned(output)),
            // The caller's own fuel is at its end, too. A limit that is all that the caller has left is still the callee's own.
            Err(Stop::OutOfFuel { .. }) if terms.fuel_limit.is_none_or(|own| own > left) => return Err(meter.exhaust()),
            Err(Stop::OutOfFuel { limit }) => Failure::OutOfFuel { limit },
            Err(Stop::Failed(failure)) => failure,
            Err(Stop::Broken(error)) => return Err(self.stopped_by(error)),
        };
        self.journal.rollback(savepoint);
        self.events.truncate(events);
        Ok(Answer::Failed(CallFailure(failure)))
    }

    /// Whether a contract may be entered from another one; takes what that needs of the stack.
    fn admit(&mut self, callee: &ContractId, caller: Caller) -> Result<(), Stop> {
        let depth = self.running.len().saturating_add(1);
        within("the depth of calls", depth, self.context.rules.max_call_depth.into())?;
        within("the stack that a call takes", CALL_STACK_SLOTS as usize, self.stack_left.into())?;
        self.stack_left = self.stack_left.saturating_sub(CALL_STACK_SLOTS);
        if caller.read_only { Ok(()) } else { self.not_running(callee) }
    }

    /// Whether a contract may be changed.
    pub(super) fn not_running(&self, contract: &ContractId) -> Result<(), Stop> {
        if self.running.contains(contract) {
            return Err(Failure::Forbidden { what: Text::from("change a contract that is running") }.into());
        }
        Ok(())
    }

    /// Remembers why the node has to stop; what contracts are told of it doesn't matter.
    fn stopped_by(&mut self, error: ExecutionError) -> HostError {
        let told = match &error {
            ExecutionError::State(error) => error.clone(),
            other => StateError::Engine { reason: other.to_string() },
        };
        self.broken.get_or_insert(error);
        HostError::State(told)
    }

    /// What is known of a contract.
    pub(super) fn record(&mut self, contract: &ContractId, meter: &mut Meter) -> Result<Arc<ContractRecord>, Stop> {
        meter.charge(self.context.rules.prices.read)?;
        let key = Key::contract(contract);
        self.journal.look(&key.namespace, &key.name, |encoded| {
            let Some(encoded) = encoded else { return Err(Failure::UnknownContract { contract: *contract }.into()) };
            let record = self.codes.record(contract, encoded);
            record.map_err(|error| {
                let (key, reason) = (key.clone(), error.to_string());
                ExecutionError::Corrupt { key, reason }.into()
            })
        })
    }

    /// The code of a contract.
    fn load(&mut self, contract: &ContractId, record: &ContractRecord, meter: &mut Meter) -> Result<Code<'r>, Stop> {
        let rules = self.context.rules;
        let known = self.codes.load((&record.runtime, &record.code), record.code_bytes, rules, meter)?;
        let corrupt = |reason: String| ExecutionError::Corrupt { key: Key::contract(contract), reason };
        // What was deployed once must run for ever, so a node that can't run it is set up wrongly and has to stop.
        let Some(runtime) = self.executor.runtimes.get(&*record.runtime) else {
            return Err(corrupt(format!("this node has no runtime `{}`", record.runtime)).into());
        };
        let origin = Origin { runtime: &record.runtime, digest: &record.code, rules: &rules.wasm };
        let prepared = match known.or_else(|| self.codes.take_cached(self.executor, &origin)) {
            Some(prepared) => prepared,
            None => {
                let stored = self.journal.peek(&code_key(&record.code))?;
                let code = stored.ok_or_else(|| corrupt("its code isn't there".to_owned()))?;
                let code = Stored { bytes: &code, in_state: true };
                let prepared = self.codes.prepare(self.executor, &**runtime, &origin, &code, rules);
                prepared.map_err(|error| corrupt(error.message))?
            }
        };
        Ok(Code { runtime: &**runtime, prepared })
    }

    /// Runs a contract in its namespace.
    pub(super) fn enter(
        &mut self,
        contract: ContractId,
        code: &Code<'_>,
        invocation: &Invocation<'_>,
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Stop> {
        let most = self.context.rules.max_output_bytes;
        let environment = self.environment(contract, caller);
        self.running.push(contract);
        self.note_runtime(code.runtime);
        let mut host = TransactionHost::new(environment, self, meter);
        let answer = code.runtime.call(&code.prepared, invocation, &mut host);
        // First of all: what the contract made of the host's error doesn't matter.
        host.finish()?;
        self.running.pop();
        let output = answer.map_err(|trap| stop(trap, invocation.entry))?;
        within("the output", output.len(), most.into())?;
        Ok(output)
    }

    /// Where a contract runs.
    pub(super) fn environment(&self, contract: ContractId, caller: Caller) -> Environment {
        let Context { chain, height, timestamp, .. } = *self.context;
        let Caller { account: caller, read_only } = caller;
        Environment { chain, height, timestamp, contract, caller, transaction: self.transaction, read_only }
    }
}

/// What is told of a trap.
pub(super) fn stop(trap: Trap, entry: EntryPoint<'_>) -> Stop {
    match trap {
        Trap::Refused { code, message: words } => Failure::Refused { code, message: message(&words) }.into(),
        Trap::UnknownMethod => {
            let method = match entry {
                EntryPoint::Constructor => "constructor",
                EntryPoint::Migration => "migration",
                EntryPoint::Method(method) => method,
            };
            Failure::UnknownMethod { method: message(method) }.into()
        }
        Trap::Broken { message: words } => Failure::Trapped { message: message(&words) }.into(),
        Trap::Host(error) => error.into(),
    }
}

/// Words as receipts hold them.
pub(super) fn message(words: &str) -> Text {
    Text::truncated(words, MAX_MESSAGE_BYTES)
}
