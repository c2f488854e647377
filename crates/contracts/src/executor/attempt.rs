//! One attempt at what a transaction or a simulated call asks for: all of it happens, or none.

use super::LedgerExecutor;
use super::cache::Origin;
use super::host::within;
use super::run::{Caller, Code, Run, Stop, message};
use crate::fuel::Meter;
use crate::journal::Journal;
use crate::record::{ContractRecord, RECORD_VERSION, code_digest, code_key};
use crate::runtime::{EntryPoint, Invocation};
use ledger_core::codec::{self, Bytes, List, Text};
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

impl Attempt<'_> {
    /// Does `work` in the journal; takes back every write when it fails.
    pub(super) fn run(&self, work: &Work<'_>, journal: &mut Journal<'_>) -> Result<Effect, ExecutionError> {
        let mut meter = Meter::new(self.fuel_limit);
        let savepoint = journal.savepoint();
        let mut run = Run::new(self.executor, self.context, self.transaction, journal);
        let done = self.attempt(work, &mut run, &mut meter);
        let done = run.conclude(done);
        let events = run.events;
        let fuel_used = meter.used();
        let failure = match done {
            Ok(output) => {
                let events = events.into();
                return Ok(Effect { status: Status::Succeeded, output: Bytes::from(output), events, fuel_used });
            }
            Err(Stop::Failed(failure)) => failure,
            Err(Stop::OutOfFuel { limit }) => Failure::OutOfFuel { limit },
            Err(Stop::Broken(error)) => return Err(error),
        };
        journal.rollback(savepoint);
        Ok(Effect { status: Status::Failed(failure), fuel_used, ..Effect::default() })
    }

    fn attempt(&self, work: &Work<'_>, run: &mut Run<'_, '_>, meter: &mut Meter) -> Result<Vec<u8>, Stop> {
        let (Work::Deploy { body, .. } | Work::Call { arguments: body, .. } | Work::Commit { body }) = work;
        let prices = &self.context.rules.prices;
        meter.charge_sized(prices.transaction, prices.body_byte, body.map_or(0, <[u8]>::len))?;
        let Some(body) = *body else { return Err(Failure::Redacted.into()) };
        let caller = Caller { account: self.caller, read_only: self.read_only };
        match work {
            Work::Deploy { id, runtime, .. } => self.deploy(id, runtime, body, run, meter),
            Work::Call { contract, method, .. } => {
                let output = run.call(contract, method, body, caller, meter)?;
                meter.charge_sized(0, prices.event_byte, output.len())?;
                Ok(output)
            }
            Work::Commit { .. } => Err(Failure::Unsupported { what: Text::from(COMMIT) }.into()),
        }
    }

    fn deploy(
        &self,
        id: &TransactionId,
        runtime_name: &str,
        body: &[u8],
        run: &mut Run<'_, '_>,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Stop> {
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
        let origin = Origin { runtime: runtime_name, digest: &record.code, rules: &rules.wasm };
        let prepared = run
            .prepare(&**runtime, &origin, &code)
            .map_err(|error| Failure::InvalidCode { message: message(&error.message) })?;
        let place = code_key(&record.code);
        if run.journal.peek(&place)?.is_none() {
            run.journal.put(place, code);
        }
        run.journal.put(Key::contract(&contract), encoded);
        let invocation = Invocation { entry: EntryPoint::Constructor, arguments: &arguments };
        let caller = Caller { account: self.caller, read_only: self.read_only };
        let code = Code { runtime: &**runtime, prepared };
        // The answer is the contract's id; what a constructor returns isn't even looked at.
        run.enter(contract, &code, &invocation, caller, meter)?;
        Ok(contract.0.as_bytes().to_vec())
    }
}
