//! What every runtime has to do.

mod calls;
mod upgrades;

use super::{MapState, Probe, TestError, TestLedger};
use crate::executor::LedgerExecutor;
use crate::native::{NATIVE, NativeRuntime};
use crate::runtime::Runtime;
use ledger_core::codec::Text;
use ledger_core::{
    AccountId, ContractId, Execution, Failure, Fuel, Receipt, Status, TransactionBuilder, TransactionResult,
};
use ledger_crypto::{MemorySigner, Signer};
use std::sync::Arc;

/// What a runtime under test doesn't do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A law doesn't hold.
    #[error("a runtime must hold this: {law}; found {found}")]
    Law {
        /// What should hold.
        law: &'static str,
        /// What was found instead.
        found: String,
    },
    /// The test itself couldn't be run: an error where a receipt was due.
    #[error(transparent)]
    Test(#[from] TestError),
}

/// Runs a runtime through an executor and checks that it
/// - runs constructors and methods, with their arguments, the caller, state and events of the host;
/// - tells refusals (with code and message), unknown methods, breakdowns and errors of the host apart, and leaves
///   nothing of what was done before them;
/// - is out of fuel when the host says so, whatever the contract makes of it;
/// - refuses code that is none (`bad_code`), and goes on unharmed after everything;
/// - gives the same execution for the same block, also in a fresh instance;
/// - stops at every limit of fuel below what a call uses, without effect, and succeeds at that limit;
/// - calls other contracts, of its own and of the native runtime, and is called by them: what a failed callee wrote and
///   emitted is gone, and its caller goes on with the reason; a limit of fuel ends the callee alone; read-only is
///   inherited; a running contract isn't changed; the rules' depth holds;
/// - runs migrations, and leaves nothing of an upgrade whose migration fails.
///
/// `runtime` makes a fresh instance; `probe` is code that does what [`Probe`] says.
///
/// # Errors
/// The first [`Violation`] that is met.
pub fn conformance<R: Runtime + 'static>(
    runtime: impl Fn() -> R,
    probe: &[u8],
    bad_code: &[u8],
) -> Result<(), Violation> {
    let suite = Suite::new(&runtime, probe)?;
    suite.methods()?;
    suite.constructors(probe, bad_code)?;
    suite.failures()?;
    suite.fuel()?;
    suite.calls_between_contracts()?;
    suite.upgrades(probe)?;
    suite.determinism(&runtime)
}

struct Suite {
    ledger: TestLedger,
    name: String,
    signer: MemorySigner,
    contract: ContractId,
    /// Another one of the same code.
    second: ContractId,
    /// The native probe, or a third one where that is the code under test.
    other: ContractId,
}

/// An executor with the runtime under test, and with the native one beside it.
fn executor(runtime: impl Runtime + 'static) -> LedgerExecutor {
    LedgerExecutor::default().with(NativeRuntime::new().with(Probe)).with(runtime)
}

fn hold(law: &'static str, holds: bool, found: impl core::fmt::Debug) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::Law { law, found: format!("{found:?}") }) }
}

fn failed_with(law: &'static str, receipt: &Receipt, failure: Failure) -> Result<(), Violation> {
    hold(law, receipt.status == Status::Failed(failure), receipt)
}

impl Suite {
    fn new<R: Runtime + 'static>(runtime: &impl Fn() -> R, probe: &[u8]) -> Result<Self, Violation> {
        let runtime = runtime();
        let name = runtime.name().to_owned();
        let mut ledger = TestLedger::new(executor(runtime));
        let signer = MemorySigner::from_seed([42; 32]);
        let contract = ledger.deploy(&signer, &name, probe, b"begun")?;
        let second = ledger.deploy(&signer, &name, probe, b"")?;
        let native = if name == NATIVE { probe } else { Probe::NAME.as_bytes() };
        let other = ledger.deploy(&signer, NATIVE, native, b"")?;
        Ok(Suite { ledger, name, signer, contract, second, other })
    }

    /// Runs calls one after the other from the state after the deployment.
    fn calls(&self, calls: &[(&str, &[u8])]) -> Result<(Vec<TransactionResult>, MapState), Violation> {
        let mut ledger = self.ledger.clone();
        let mut results = Vec::new();
        for (method, arguments) in calls {
            results.push(ledger.call(&self.signer, self.contract, method, arguments)?);
        }
        Ok((results, ledger.state))
    }

    fn last(&self, calls: &[(&str, &[u8])]) -> Result<TransactionResult, Violation> {
        let (mut results, _) = self.calls(calls)?;
        results.pop().ok_or(Violation::Test(TestError::NoReceipt))
    }

    fn methods(&self) -> Result<(), Violation> {
        let echoed = self.last(&[("echo", b"\0any bytes\xff")])?.receipt;
        hold("arguments and output are passed on", &*echoed.output == b"\0any bytes\xff", &echoed)?;
        let got = self.last(&[("put", b"kvalue"), ("get", b"k")])?.receipt;
        hold("a value put is got in a later transaction", &*got.output == b"value", &got)?;
        let gone = self.last(&[("put", b"kvalue"), ("delete", b"k"), ("get", b"k")])?.receipt;
        hold("a deleted value is gone", gone.succeeded() && gone.output.is_empty(), &gone)?;
        let events = self.last(&[("emit", b"news")])?.events;
        let told = events.first().is_some_and(|event| &*event.topic == "probe" && &*event.data == b"news");
        hold("events are emitted", told && events.len() == 1, &events)?;
        let caller = self.last(&[("caller", b"")])?.receipt;
        let account = AccountId::of_ed25519(&self.signer.public_key());
        hold("the caller is the transaction's account", *caller.output == *account.0.as_bytes(), &caller)
    }

    fn constructors(&self, probe: &[u8], bad_code: &[u8]) -> Result<(), Violation> {
        let constructed = self.ledger.state.iter().any(|(key, found)| {
            key.namespace == self.contract && &*key.name == b"constructed" && &*found.value == b"begun"
        });
        hold("the constructor gets its arguments", constructed, "no such value")?;
        let mut ledger = self.ledger.clone();
        let mut deploy = |code: &[u8], arguments: &[u8]| {
            let deployment = TransactionBuilder::deploy(ledger.chain(), &self.name, code.to_vec(), arguments.to_vec());
            ledger.submit(&self.signer, deployment).map(|result| result.receipt)
        };
        let refused = deploy(probe, b"refuse")?;
        let failure = Failure::Refused { code: 7, message: Text::from("no") };
        failed_with("a constructor can refuse the deployment", &refused, failure)?;
        let invalid = deploy(bad_code, b"")?;
        let expected = matches!(invalid.status, Status::Failed(Failure::InvalidCode { .. }));
        hold("code that is none is refused", expected, &invalid)
    }

    fn failures(&self) -> Result<(), Violation> {
        let refusal = Failure::Refused { code: 7, message: Text::from("no") };
        let unknown = Failure::UnknownMethod { method: Text::from("no such method") };
        failed_with("a refusal keeps code and message", &self.last(&[("refuse", b"kvalue")])?.receipt, refusal)?;
        failed_with("an unknown method is named", &self.last(&[("no such method", b"")])?.receipt, unknown)?;
        let broken = self.last(&[("break", b"kvalue")])?.receipt;
        let trapped = matches!(broken.status, Status::Failed(Failure::Trapped { .. }));
        hold("a breakdown is a failure of the transaction only", trapped, &broken)?;
        for method in ["refuse", "break", "swallow"] {
            let after = self.last(&[("put", b"kbefore"), (method, b"kvalue"), ("get", b"k")])?.receipt;
            hold("what a failed call wrote is taken back", &*after.output == b"before", &after)?;
        }
        Ok(())
    }

    fn fuel(&self) -> Result<(), Violation> {
        for method in ["spin", "swallow"] {
            let receipt = self.last(&[(method, b"kvalue")])?.receipt;
            let limit = receipt.fuel_used;
            failed_with("without fuel a contract stops", &receipt, Failure::OutOfFuel { limit })?;
        }
        let Fuel(needed) = self.last(&[("put", b"kvalue")])?.receipt.fuel_used;
        // Every limit is too many to try where a runtime counts instructions.
        let step = usize::try_from(needed / 200).unwrap_or(usize::MAX).max(1);
        for limit in (0..needed).step_by(step).chain([needed.saturating_sub(1), needed]) {
            let mut ledger = self.ledger.clone();
            let put = TransactionBuilder::call(ledger.chain(), self.contract, "put", b"kvalue".to_vec());
            let receipt = ledger.submit(&self.signer, put.fuel_limit(Fuel(limit)))?.receipt;
            let written = ledger.state.iter().any(|(key, _)| key.namespace == self.contract && &*key.name == b"k");
            let law = "a call has its whole effect with the fuel it needs, and none with less";
            hold(law, receipt.succeeded() == (limit == needed) && written == receipt.succeeded(), &receipt)?;
        }
        Ok(())
    }

    fn determinism<R: Runtime + 'static>(&self, runtime: &impl Fn() -> R) -> Result<(), Violation> {
        let here = self.ledger.clone();
        let mut elsewhere = self.ledger.clone();
        elsewhere.executor = Arc::new(executor(runtime()));
        let (first, again, fresh) = (self.block(here.clone())?, self.block(here)?, self.block(elsewhere)?);
        let law = "the same block gives the same execution, also in a fresh instance";
        hold(law, first == again && first == fresh, (&first, &fresh))
    }

    fn block(&self, mut ledger: TestLedger) -> Result<Execution, Violation> {
        let calls: [(&str, &[u8]); 6] = [
            ("put", b"kvalue"),
            ("break", b"kother"),
            ("emit", b"news"),
            ("refuse", b"kother"),
            ("spin", b""),
            ("get", b"k"),
        ];
        let mut transactions = Vec::new();
        for (method, arguments) in calls {
            let call = TransactionBuilder::call(ledger.chain(), self.contract, method, arguments.to_vec());
            transactions.push(ledger.sign(&self.signer, call).map_err(TestError::from)?);
        }
        Ok(ledger.execute(transactions).map_err(TestError::from)?)
    }
}
