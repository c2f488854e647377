//! One attempt at what a transaction or a simulated call asks for: all of it happens, or none.

use super::LedgerExecutor;
use super::codes::Codes;
use super::lifecycle::Making;
use super::run::{Caller, Run, Stop, message};
use crate::fuel::Meter;
use crate::journal::Journal;
use crate::lifecycle::Metadata;
use crate::record::UpgradePolicy;
use crate::runtime::EntryPoint;
use crate::trace::{Called, Tracer};
use ledger_core::codec::{self, Bytes, List, Text};
use ledger_core::transaction::DeployBody;
use ledger_core::{
    AccountId, Context, ContractId, Event, ExecutionError, Failure, Fuel, Status, Transaction, TransactionId,
};

/// What to do. A body is `None` where it was redacted.
pub(super) enum Work<'a> {
    Deploy { id: TransactionId, runtime: &'a str, body: Option<&'a [u8]> },
    Call { contract: ContractId, method: &'a str, arguments: Option<&'a [u8]> },
    Commit { transaction: &'a Transaction, body: Option<&'a [u8]> },
}

/// What became of it.
pub(super) struct Effect {
    pub(super) status: Status,
    pub(super) output: Bytes,
    pub(super) events: List<Event>,
    pub(super) fuel_used: Fuel,
    /// What was done and couldn't be paid: see [`Meter::owed`].
    pub(super) fuel_owed: Fuel,
}

impl Default for Effect {
    fn default() -> Self {
        let (output, events) = (Bytes::default(), List::new());
        Effect { status: Status::Succeeded, output, events, fuel_used: Fuel(0), fuel_owed: Fuel(0) }
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
    pub(super) fn run(
        &self,
        work: &Work<'_>,
        journal: &mut Journal<'_>,
        codes: &mut Codes,
        trace: Option<&mut Tracer>,
    ) -> Result<Effect, ExecutionError> {
        let mut meter = Meter::new(self.fuel_limit);
        let savepoint = journal.savepoint();
        let mut run = Run::new(self.executor, self.context, self.transaction, journal, codes, trace);
        let done = self.attempt(work, &mut run, &mut meter);
        let done = run.conclude(done);
        let events = run.events;
        let (fuel_used, fuel_owed) = (meter.used(), meter.owed());
        let failure = match done {
            Ok(output) => {
                let events = events.into();
                let output = Bytes::from(output);
                return Ok(Effect { status: Status::Succeeded, output, events, fuel_used, fuel_owed });
            }
            Err(Stop::Failed(failure)) => failure,
            Err(Stop::OutOfFuel { limit }) => Failure::OutOfFuel { limit },
            Err(Stop::Broken(error)) => return Err(error),
        };
        journal.rollback(savepoint);
        Ok(Effect { status: Status::Failed(failure), fuel_used, fuel_owed, ..Effect::default() })
    }

    fn attempt(&self, work: &Work<'_>, run: &mut Run<'_, '_>, meter: &mut Meter) -> Result<Vec<u8>, Stop> {
        let (Work::Deploy { body, .. } | Work::Call { arguments: body, .. } | Work::Commit { body, .. }) = work;
        let prices = &self.context.rules.prices;
        meter.charge_sized(prices.transaction, prices.body_byte, body.map_or(0, <[u8]>::len))?;
        let Some(body) = *body else { return Err(Failure::Redacted.into()) };
        let caller = Caller { account: self.caller, read_only: self.read_only };
        match work {
            Work::Deploy { id, runtime, .. } => self.deploy(id, runtime, body, run, meter),
            Work::Call { contract, method, .. } => {
                let Caller { account, read_only } = caller;
                let entry = EntryPoint::Method(method);
                let called = Called { contract: *contract, entry, arguments: body, caller: account, read_only };
                let output =
                    run.traced(&called, meter, |run, meter| run.call(contract, method, body, caller, meter))?;
                meter.charge_sized(0, prices.event_byte, output.len())?;
                Ok(output)
            }
            Work::Commit { transaction, .. } => run.commit(transaction, body, meter).map(|()| Vec::new()),
        }
    }

    fn deploy(
        &self,
        id: &TransactionId,
        runtime: &str,
        body: &[u8],
        run: &mut Run<'_, '_>,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Stop> {
        let caller = Caller { account: self.caller, read_only: self.read_only };
        run.may_deploy(caller)?;
        if !self.executor.runtimes.contains_key(runtime) {
            return Err(Failure::UnknownRuntime { runtime: message(runtime) }.into());
        }
        let DeployBody { code, arguments } = codec::decode(body).map_err(|_| Failure::InvalidBody {
            message: Text::from("it isn't code and arguments in their canonical encoding"),
        })?;
        let bytes = code.len();
        let (digest, ready) = run.upload(runtime, code, meter)?;
        let making = Making {
            contract: ContractId::deployed_by(id),
            runtime: Text::from(runtime),
            policy: UpgradePolicy::Immutable,
            metadata: Metadata::default(),
            arguments: &arguments,
        };
        let contract = making.contract;
        // The answer is the contract's id; what a constructor returns isn't even looked at.
        run.make(making, (digest, bytes), &ready, caller, meter)?;
        Ok(contract.0.as_bytes().to_vec())
    }
}
