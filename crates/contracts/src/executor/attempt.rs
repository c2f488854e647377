//! One attempt at what a transaction or a simulated call asks for: all of it happens, or none.

use super::LedgerExecutor;
use super::host::{TransactionHost, within};
use crate::fuel::Meter;
use crate::host::{Environment, HostError};
use crate::journal::Journal;
use crate::record::{ContractRecord, RECORD_VERSION, code_digest, code_key};
use crate::runtime::{CodeError, EntryPoint, Invocation, Prepared, Runtime, Trap};
use ledger_core::codec::{self, Bytes, List, Text};
use ledger_core::outcome::MAX_MESSAGE_BYTES;
use ledger_core::transaction::DeployBody;
use ledger_core::{
    AccountId, Context, ContractId, Deployers, Event, ExecutionError, Failure, Fuel, Key, Status, TransactionId,
};

/// What a receipt calls an action of the format that isn't executed yet.
pub(super) const COMMIT: &str = "the commit of a read-write set";

/// What to do. A body is `None` where it was redacted.
pub(super) enum Work<'a> {
    Deploy { id: TransactionId, runtime: &'a str, body: Option<&'a [u8]> },
    Call { contract: ContractId, method: &'a str, arguments: Option<&'a [u8]> },
    Commit { body: Option<&'a [u8]> },
}

/// What became of it.
pub(super) struct Effect {
    pub(super) status: Status,
    pub(super) output: Bytes,
    pub(super) events: List<Event>,
    pub(super) fuel_used: Fuel,
}

impl Default for Effect {
    fn default() -> Self {
        Effect { status: Status::Succeeded, output: Bytes::default(), events: List::new(), fuel_used: Fuel(0) }
    }
}

/// Who attempts it, and under what conditions.
pub(super) struct Attempt<'a> {
    pub(super) executor: &'a LedgerExecutor,
    pub(super) context: &'a Context<'a>,
    pub(super) caller: AccountId,
    pub(super) transaction: Option<TransactionId>,
    pub(super) fuel_limit: Fuel,
    pub(super) read_only: bool,
}

/// Why an attempt came to nothing.
enum Stop {
    Failed(Failure),
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

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        Stop::Failed(match error {
            HostError::OutOfFuel { limit } => Failure::OutOfFuel { limit },
            HostError::Limit { what, size, limit } => Failure::Limit { what: Text::from(what), size, limit },
            HostError::ReadOnly => Failure::Forbidden { what: Text::from("write in a read-only call") },
            HostError::State(error) => return Stop::Broken(error.into()),
        })
    }
}

impl Attempt<'_> {
    /// Does `work` in the journal; takes back every write when it fails.
    pub(super) fn run(&self, work: &Work<'_>, journal: &mut Journal<'_>) -> Result<Effect, ExecutionError> {
        let mut meter = Meter::new(self.fuel_limit);
        let savepoint = journal.savepoint();
        let done = self.attempt(work, journal, &mut meter);
        let fuel_used = meter.used();
        match done {
            Ok((output, events)) => Ok(Effect { status: Status::Succeeded, output, events: events.into(), fuel_used }),
            Err(Stop::Failed(failure)) => {
                journal.rollback(savepoint);
                Ok(Effect { status: Status::Failed(failure), fuel_used, ..Effect::default() })
            }
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    fn attempt(
        &self,
        work: &Work<'_>,
        journal: &mut Journal<'_>,
        meter: &mut Meter,
    ) -> Result<(Bytes, Vec<Event>), Stop> {
        let (Work::Deploy { body, .. } | Work::Call { arguments: body, .. } | Work::Commit { body }) = work;
        let prices = &self.context.rules.prices;
        meter.charge_sized(prices.transaction, prices.body_byte, body.map_or(0, <[u8]>::len))?;
        let Some(body) = *body else { return Err(Failure::Redacted.into()) };
        match work {
            Work::Deploy { id, runtime, .. } => self.deploy(id, runtime, body, journal, meter),
            Work::Call { contract, method, .. } => self.call(contract, method, body, journal, meter),
            Work::Commit { .. } => Err(Failure::Unsupported { what: Text::from(COMMIT) }.into()),
        }
    }

    fn deploy(
        &self,
        id: &TransactionId,
        runtime_name: &str,
        body: &[u8],
        journal: &mut Journal<'_>,
        meter: &mut Meter,
    ) -> Result<(Bytes, Vec<Event>), Stop> {
        let rules = self.context.rules;
        if let Deployers::Only(deployers) = &rules.deployers
            && !deployers.contains(&self.caller)
        {
            return Err(Failure::Forbidden { what: Text::from("deploy contracts") }.into());
        }
        let Some(runtime) = self.executor.runtimes.get(runtime_name) else {
            return Err(Failure::UnknownRuntime { runtime: message(runtime_name) }.into());
        };
        let DeployBody { code, arguments } = codec::decode(body).map_err(|_| Failure::InvalidBody {
            message: Text::from("it isn't code and arguments in their canonical encoding"),
        })?;
        within("a contract's code", code.len(), rules.max_value_bytes.into())?;
        let contract = ContractId::deployed_by(id);
        let record = ContractRecord {
            version: RECORD_VERSION,
            runtime: Text::from(runtime_name),
            code: code_digest(&code),
            code_bytes: u32::try_from(code.len()).unwrap_or(u32::MAX),
            deployer: self.caller,
            height: self.context.height,
        };
        let encoded = codec::encode(&record);
        for size in [encoded.len(), code.len()] {
            meter.charge_sized(rules.prices.write, rules.prices.write_byte, size)?;
        }
        meter.charge_sized(rules.prices.read, rules.prices.read_byte, code.len())?;
        let prepared = self
            .prepare(&**runtime, &record, &code)
            .map_err(|error| Failure::InvalidCode { message: message(&error.message) })?;
        let place = code_key(&record.code);
        if journal.peek(&place).map_err(ExecutionError::State)?.is_none() {
            journal.put(place, code);
        }
        journal.put(Key::contract(&contract), encoded);
        let invocation = Invocation { entry: EntryPoint::Constructor, arguments: &arguments };
        let (_, events) = self.enter(contract, &**runtime, &prepared, &invocation, journal, meter)?;
        Ok((Bytes::from(contract.0.as_bytes().as_slice()), events))
    }

    fn call(
        &self,
        contract: &ContractId,
        method: &str,
        arguments: &[u8],
        journal: &mut Journal<'_>,
        meter: &mut Meter,
    ) -> Result<(Bytes, Vec<Event>), Stop> {
        let prices = &self.context.rules.prices;
        meter.charge(prices.read)?;
        let key = Key::contract(contract);
        let Some(encoded) = journal.get(&key).map_err(ExecutionError::State)? else {
            return Err(Failure::UnknownContract { contract: *contract }.into());
        };
        let corrupt = |reason: String| ExecutionError::Corrupt { key: key.clone(), reason };
        let record: ContractRecord = codec::decode(&encoded).map_err(|error| corrupt(error.to_string()))?;
        // Paid whether the code is cached or not: a cache is one node's own affair, fuel is everyone's.
        meter.charge_sized(prices.read, prices.read_byte, record.code_bytes as usize)?;
        // What was deployed once must run for ever, so a node that can't run it is set up wrongly and has to stop.
        let Some(runtime) = self.executor.runtimes.get(&*record.runtime) else {
            return Err(corrupt(format!("this node has no runtime `{}`", record.runtime)).into());
        };
        let prepared = match self.executor.prepared.get(&record.runtime, &record.code) {
            Some(prepared) => prepared,
            None => {
                let stored = journal.peek(&code_key(&record.code)).map_err(ExecutionError::State)?;
                let code = stored.ok_or_else(|| corrupt("its code isn't there".to_owned()))?;
                self.prepare(&**runtime, &record, &code).map_err(|error| corrupt(error.message))?
            }
        };
        let invocation = Invocation { entry: EntryPoint::Method(method), arguments };
        let (output, events) = self.enter(*contract, &**runtime, &prepared, &invocation, journal, meter)?;
        Ok((Bytes::from(output), events))
    }

    fn prepare(&self, runtime: &dyn Runtime, record: &ContractRecord, code: &[u8]) -> Result<Prepared, CodeError> {
        if let Some(prepared) = self.executor.prepared.get(&record.runtime, &record.code) {
            return Ok(prepared);
        }
        let prepared = runtime.prepare(code)?;
        self.executor.prepared.insert(&record.runtime, record.code, prepared.clone());
        Ok(prepared)
    }

    /// Runs a contract in its namespace.
    fn enter(
        &self,
        contract: ContractId,
        runtime: &dyn Runtime,
        code: &Prepared,
        invocation: &Invocation<'_>,
        journal: &mut Journal<'_>,
        meter: &mut Meter,
    ) -> Result<(Vec<u8>, Vec<Event>), Stop> {
        let rules = self.context.rules;
        let environment = Environment {
            chain: self.context.chain,
            height: self.context.height,
            timestamp: self.context.timestamp,
            contract,
            caller: self.caller,
            transaction: self.transaction,
            read_only: self.read_only,
        };
        let mut host = TransactionHost::new(environment, rules, journal, meter);
        let answer = runtime.call(code, invocation, &mut host);
        // First of all: what the contract made of the host's error doesn't matter.
        let events = host.finish()?;
        let output = answer.map_err(|trap| failed(trap, invocation.entry))?;
        meter.charge_sized(0, rules.prices.event_byte, output.len())?;
        within("the output", output.len(), rules.max_output_bytes.into())?;
        Ok((output, events))
    }
}

/// What a receipt says of a trap.
fn failed(trap: Trap, entry: EntryPoint<'_>) -> Stop {
    match trap {
        Trap::Refused { code, message: words } => Failure::Refused { code, message: message(&words) }.into(),
        Trap::UnknownMethod => {
            let method = match entry {
                EntryPoint::Constructor => "constructor",
                EntryPoint::Method(method) => method,
            };
            Failure::UnknownMethod { method: message(method) }.into()
        }
        Trap::Broken { message: words } => Failure::Trapped { message: message(&words) }.into(),
        Trap::Host(error) => error.into(),
    }
}

fn message(words: &str) -> Text {
    Text::truncated(words, MAX_MESSAGE_BYTES)
}
