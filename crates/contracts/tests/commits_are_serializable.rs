//! A commit that succeeds has the effect that its call would have had in its place: so a block of them is as if the calls
//! had been made one after the other, although all were executed on the state before it.
#![allow(clippy::unwrap_used)]

mod common;

use common::lifecycle::{account, bob, instantiate_with};
use common::{Act, Puppet, alice, script};
use ledger_contracts::lifecycle::{Metadata, WritePolicy};
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{LedgerExecutor, NativeRuntime, UpgradePolicy};
use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Failure, Status, TransactionBuilder};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

fn name() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(prop::sample::select(vec![b'a', b'b']), 1..3).prop_map(Bytes::from)
}

fn act() -> impl Strategy<Value = Act> {
    let value = prop::collection::vec(prop::sample::select(vec![b'x', b'y', b'z']), 1..3).prop_map(Bytes::from);
    prop_oneof![
        3 => (name(), value).prop_map(|(key, value)| Act::Put(key, value)),
        1 => name().prop_map(Act::Delete),
        3 => (name(), name()).prop_map(|(from, to)| Act::Copy(from, to)),
        2 => (name(), prop::option::of(name()), 0..4u64, name())
            .prop_map(|(from, to, limit, into)| Act::Collect(from, to, limit, into)),
    ]
}

fn calls(most: usize) -> impl Strategy<Value = Vec<Vec<Act>>> {
    prop::collection::vec(prop::collection::vec(act(), 1..4), 0..most)
}

fn values(ledger: &TestLedger, contract: &ContractId) -> BTreeMap<Bytes, Bytes> {
    let of_it = ledger.state.iter().filter(|(key, _)| key.namespace == *contract);
    of_it.map(|(key, found)| (key.name.clone(), found.value.clone())).collect()
}

static SUCCEEDED: AtomicUsize = AtomicUsize::new(0);
static CONFLICTS: AtomicUsize = AtomicUsize::new(0);

fn check(before: &[Vec<Act>], together: &[Vec<Act>]) -> Result<(), TestCaseError> {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Puppet)));
    let writes = WritePolicy::Accounts(vec![account(&bob())].into());
    let metadata = Metadata { writes, ..Metadata::default() };
    let puppet = instantiate_with(&mut ledger, "puppet", UpgradePolicy::Immutable, metadata);
    for acts in before {
        ledger.call(&alice(), puppet, "play", &script(acts)).unwrap();
    }
    let mut called = ledger.clone();
    let mut signed = Vec::new();
    for acts in together {
        let simulation = ledger.simulate(account(&alice()), puppet, "play", &script(acts)).unwrap();
        prop_assert_eq!(&simulation.status, &Status::Succeeded);
        let commit = TransactionBuilder::commit(ledger.chain(), &simulation.read_write_set());
        signed.push(ledger.sign(&bob(), commit).unwrap());
    }
    let execution = ledger.apply(signed).unwrap();
    for (acts, result) in together.iter().zip(&execution.results) {
        match &result.receipt.status {
            Status::Succeeded => {
                SUCCEEDED.fetch_add(1, Ordering::Relaxed);
                called.call(&alice(), puppet, "play", &script(acts)).unwrap();
            }
            Status::Failed(Failure::Conflict { .. }) => drop(CONFLICTS.fetch_add(1, Ordering::Relaxed)),
            other => prop_assert!(false, "{other:?}"),
        }
    }
    prop_assert_eq!(values(&ledger, &puppet), values(&called, &puppet));
    // Nothing was before the first.
    let first = execution.results.first().map(|result| result.receipt.succeeded());
    prop_assert_ne!(first, Some(false));
    Ok(())
}

#[test]
fn a_block_of_commits_is_as_if_the_calls_had_been_made_in_order() {
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&(calls(4), calls(6)), |(before, together)| check(&before, &together)).unwrap();
    let (succeeded, conflicts) = (SUCCEEDED.load(Ordering::Relaxed), CONFLICTS.load(Ordering::Relaxed));
    assert!(succeeded > 200 && conflicts > 100, "{succeeded} and {conflicts} say little");
}
