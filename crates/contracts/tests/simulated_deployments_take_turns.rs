//! Code that a simulation brings along is made ready one at a time; blocks and other questions don't wait for it.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{CodeError, Host, Invocation, LedgerExecutor, Prepared, Runtime, Trap};
use ledger_core::{AccountId, ExecutionError, Rules, SignedTransaction, Status, TransactionBuilder};
use ledger_crypto::{MemorySigner, Signer};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Takes as long to make `slow` code ready as somebody wants it to.
struct Slow {
    begun: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl Runtime for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn prepare(&self, code: &[u8], _: &Rules) -> Result<Prepared, CodeError> {
        if code == b"slow" {
            self.begun.send(()).unwrap();
            self.go.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
        }
        Ok(Prepared::new(()))
    }

    fn call(&self, _: &Prepared, _: &Invocation<'_>, _: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        Ok(Vec::new())
    }
}

fn deployment(ledger: &TestLedger, code: &[u8]) -> SignedTransaction {
    let deploy = TransactionBuilder::deploy(ledger.chain(), "slow", code.to_vec(), Vec::new());
    deploy.sign(&MemorySigner::from_seed([2; 32])).unwrap()
}

#[test]
fn one_at_a_time_and_nobody_else_waits() {
    let (begun, begins) = sync_channel(0);
    let (go, goes) = sync_channel(0);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(Slow { begun, go: Mutex::new(goes) }));
    let owner = MemorySigner::from_seed([1; 32]);
    let contract = ledger.deploy(&owner, "slow", b"quick", b"").unwrap();
    let account = AccountId::of_ed25519(&owner.public_key());
    let asking = ledger.clone();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| asking.simulate_transaction(&deployment(&asking, b"slow")).unwrap().status);
        begins.recv().unwrap();
        let busy = ledger.simulate_transaction(&deployment(&ledger, b"other")).unwrap_err();
        assert!(matches!(busy, ExecutionError::Busy { .. }), "{busy}");
        // What is there already, and what a block brings, has its own way.
        assert_eq!(ledger.simulate(account, contract, "nothing", b"").unwrap().status, Status::Succeeded);
        ledger.deploy(&owner, "slow", b"third", b"").unwrap();
        go.send(()).unwrap();
        assert_eq!(first.join().unwrap(), Status::Succeeded);
    });
    let again = ledger.simulate_transaction(&deployment(&ledger, b"other")).unwrap();
    assert_eq!(again.status, Status::Succeeded);
}
