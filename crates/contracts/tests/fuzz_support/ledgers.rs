//! Ledgers that differ in nothing but the engine, and what must hold of whatever they execute.

use super::engines;
use super::friend::Friend;
use ledger_contracts::testing::TestLedger;
use ledger_contracts::wasm::{WASM, WasmRuntime};
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::{AccountId, ContractId, Execution, Failure, Key, SignedTransaction, Status, TransactionBuilder};
use ledger_crypto::{MemorySigner, Signer};
use std::sync::{Arc, LazyLock};

/// A ledger with a native contract and one in WebAssembly, for others to call.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) ledger: TestLedger,
    /// What executes everything once more on an executor of its own. Only one ledger has it: to compile is what takes long.
    again: Option<WasmRuntime>,
}

/// The contracts that every ledger has: [`Friend`], and the probe in WebAssembly.
pub(crate) struct Residents {
    pub(crate) friend: ContractId,
    pub(crate) probe: ContractId,
}

pub(crate) fn alice() -> &'static MemorySigner {
    static ALICE: LazyLock<MemorySigner> = LazyLock::new(|| MemorySigner::from_seed([1; 32]));
    &ALICE
}

pub(crate) fn bob() -> &'static MemorySigner {
    static BOB: LazyLock<MemorySigner> = LazyLock::new(|| MemorySigner::from_seed([2; 32]));
    &BOB
}

pub(crate) fn account(signer: &MemorySigner) -> AccountId {
    AccountId::of_ed25519(&signer.public_key())
}

/// An executor that has prepared nothing yet.
fn executor(runtime: &WasmRuntime) -> LedgerExecutor {
    let native = NativeRuntime::new().with(Friend("friend")).with(Friend("ally"));
    LedgerExecutor::default().with(native).with(runtime.clone())
}

/// A ledger for each engine.
pub(crate) fn ledgers() -> (Vec<Ledger>, &'static Residents) {
    static LEDGERS: LazyLock<(Vec<Ledger>, Residents)> = LazyLock::new(|| {
        let probe = wat::parse_str(include_str!("../wasm_support/probe.wat")).unwrap();
        let mut made = Vec::new();
        let mut residents = None;
        for runtime in engines() {
            let mut ledger = TestLedger::new(executor(runtime));
            let friend = ledger.deploy(alice(), NATIVE, b"friend", b"").unwrap();
            let probe = ledger.deploy(bob(), WASM, &probe, b"").unwrap();
            residents = Some(Residents { friend, probe });
            made.push(Ledger { ledger, again: made.is_empty().then(|| runtime.clone()) });
        }
        (made, residents.unwrap())
    });
    (LEDGERS.0.clone(), &LEDGERS.1)
}

impl Ledger {
    /// Executes a block, perhaps a second time on an executor that knows nothing yet, and applies it.
    pub(crate) fn apply(&mut self, transactions: Vec<SignedTransaction>) -> Execution {
        let block = self.ledger.block(transactions.clone());
        let again = self.again.as_ref().map(|runtime| {
            let mut fresh = self.ledger.clone();
            fresh.executor = Arc::new(executor(runtime));
            fresh.execute_block(&block).unwrap()
        });
        let execution = self.ledger.apply(transactions).unwrap_or_else(|error| panic!("the node has to stop: {error}"));
        assert!(again.is_none_or(|again| again == execution), "a second run gives something else");
        execution
    }
}

/// Signs a transaction as the next of the signer's account on all ledgers.
pub(crate) fn sign(ledgers: &mut [Ledger], signer: &MemorySigner, builder: &TransactionBuilder) -> SignedTransaction {
    let signed = ledgers.iter_mut().map(|ledger| ledger.ledger.sign(signer, builder.clone()).unwrap());
    signed.last().unwrap()
}

/// Executes a block on all ledgers: the same comes of it, and each transaction has a receipt that makes sense.
pub(crate) fn apply_everywhere(ledgers: &mut [Ledger], transactions: &[SignedTransaction]) -> Execution {
    let mut all = ledgers.iter_mut().map(|ledger| ledger.apply(transactions.to_vec()));
    let execution = all.next().unwrap();
    all.for_each(|other| assert_eq!(execution, other, "another engine"));
    assert_eq!(execution.results.len(), transactions.len());
    for (signed, result) in transactions.iter().zip(&execution.results) {
        let (receipt, limit) = (&result.receipt, signed.transaction.fuel_limit);
        assert_eq!(receipt.transaction, signed.id());
        assert!(receipt.fuel_used <= limit, "{receipt:?} is over {limit}");
        match &receipt.status {
            Status::Succeeded => {}
            Status::Failed(failure) => {
                assert!(result.events.is_empty() && receipt.output.is_empty(), "{result:?}");
                if matches!(failure, Failure::OutOfFuel { .. }) {
                    assert_eq!(receipt.fuel_used, limit);
                }
                // Nothing here panics on its own.
                assert!(!failure.to_string().contains("panicked"), "{failure}");
            }
            Status::Rejected(rejection) => panic!("{rejection}"),
        }
    }
    let all_failed = execution.results.iter().all(|result| !result.receipt.succeeded());
    if all_failed {
        let lanes: Vec<Key> = transactions.iter().map(|signed| Key::sequence(&signed.transaction.account, 0)).collect();
        let left: Vec<&Key> =
            execution.writes.iter().map(|write| &write.key).filter(|key| !lanes.contains(key)).collect();
        assert!(left.is_empty(), "failures leave {left:?}");
    }
    execution
}

/// A short name for what became of a transaction.
pub(crate) fn label(status: &Status) -> String {
    match status {
        Status::Succeeded => "succeeded".to_owned(),
        Status::Failed(failure) => {
            let failure = format!("{failure:?}");
            failure.split([' ', '{', '(']).next().unwrap().to_owned()
        }
        Status::Rejected(_) => "rejected".to_owned(),
    }
}
