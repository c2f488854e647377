//! An unordered transaction is executed at most once, whatever is replayed in whatever order until it expires; ids are
//! forgotten afterwards, and the work of a block on them is bounded.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

use ledger_contracts::executor::FORGOTTEN_AT_LEAST;
use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::{
    AccountId, ContractId, Execution, Fuel, Key, KeyRange, Rejection, SignedTransaction, StateView, Status, Timestamp,
    TransactionBuilder, TransactionId,
};
use ledger_crypto::{MemorySigner, Signer};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn alice() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn executor() -> LedgerExecutor {
    LedgerExecutor::default().with(NativeRuntime::new().with(Probe))
}

fn ledger() -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(executor());
    let contract = ledger.deploy(&alice(), NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
    (ledger, contract)
}

/// A call that expires so long after the ledger's genesis; the salt makes it another of the same.
fn unordered(ledger: &TestLedger, contract: ContractId, method: &str, expires_in: u64, salt: u8) -> SignedTransaction {
    TransactionBuilder::call(ledger.chain(), contract, method, b"kv".to_vec())
        .unordered()
        .expires_at(BEGINNING.plus(expires_in))
        .salt([salt; 16])
        .sign(&alice())
        .unwrap()
}

/// When a [`TestLedger`] begins.
const BEGINNING: Timestamp = Timestamp(1_700_000_000_000);

/// The ids that are remembered.
fn remembered(ledger: &TestLedger) -> Vec<Key> {
    let all = KeyRange::unordered_before(Timestamp(u64::MAX));
    ledger.state.scan(&all).map(|found| found.unwrap().0).collect()
}

fn statuses(execution: &Execution) -> Vec<Status> {
    execution.results.iter().map(|result| result.receipt.status.clone()).collect()
}

const DUPLICATE: Status = Status::Rejected(Rejection::Duplicate);

#[test]
fn a_replay_is_a_duplicate_in_the_same_block_and_in_later_ones_and_uses_nothing() {
    let (mut ledger, contract) = ledger();
    let put = unordered(&ledger, contract, "put", 60_000, 1);
    let execution = ledger.apply(vec![put.clone(), put.clone()]).unwrap();
    assert_eq!(statuses(&execution), [Status::Succeeded, DUPLICATE]);
    assert_eq!(execution.results[1].receipt.fuel_used, Fuel(0));
    assert_eq!(remembered(&ledger), [Key::unordered(put.transaction.expires_at.unwrap(), &put.id())]);
    let again = ledger.apply(vec![put.clone()]).unwrap();
    assert_eq!(statuses(&again), [DUPLICATE]);
    assert!(again.writes.is_empty());
    let stored = ledger.state.get(&remembered(&ledger)[0]).unwrap().unwrap();
    assert_eq!((stored.value.len(), stored.version.height), (0, ledger_core::Height(2)));
}

#[test]
fn a_failed_one_counts_as_executed_and_a_rejected_one_does_not() {
    let (mut ledger, contract) = ledger();
    let refuse = unordered(&ledger, contract, "refuse", 60_000, 1);
    assert!(matches!(statuses(&ledger.apply(vec![refuse.clone()]).unwrap())[0], Status::Failed(_)));
    assert_eq!(remembered(&ledger).len(), 1);
    assert_eq!(statuses(&ledger.apply(vec![refuse]).unwrap()), [DUPLICATE]);
    // Too early by a millisecond, and then in time.
    let now = ledger.timestamp.plus(1_000);
    let distant = now.0 - BEGINNING.0 + ledger.rules.max_unordered_ms + 1;
    let early = unordered(&ledger, contract, "put", distant, 2);
    let execution = ledger.apply(vec![early.clone()]).unwrap();
    assert!(matches!(statuses(&execution)[0], Status::Rejected(Rejection::TooDistant { .. })));
    assert!(execution.writes.is_empty());
    assert_eq!(statuses(&ledger.apply(vec![early]).unwrap()), [Status::Succeeded]);
}

#[test]
fn unordered_ones_take_no_number_of_any_lane() {
    let (mut ledger, contract) = ledger();
    let free = unordered(&ledger, contract, "put", 60_000, 1);
    let call = TransactionBuilder::call(ledger.chain(), contract, "put", b"kv".to_vec());
    let [first, second] = [1, 2].map(|number| call.clone().sequence(0, number).sign(&alice()).unwrap());
    let execution = ledger.apply(vec![first, free, second]).unwrap();
    assert_eq!(statuses(&execution), [Status::Succeeded, Status::Succeeded, Status::Succeeded]);
    let next = ledger.state.get(&Key::sequence(&AccountId::of_ed25519(&alice().public_key()), 0)).unwrap().unwrap();
    assert_eq!(*next.value, 3u64.to_le_bytes());
}

#[test]
fn admission_says_0_or_duplicate_or_expired() {
    let (mut ledger, contract) = ledger();
    let put = unordered(&ledger, contract, "put", 3_000, 1);
    let admit = |ledger: &TestLedger| ledger.executor.admit(&put, &ledger.context(), &ledger.state).unwrap();
    assert_eq!(admit(&ledger), Ok(0));
    ledger.apply(vec![put.clone()]).unwrap();
    assert_eq!(admit(&ledger), Err(Rejection::Duplicate));
    for _ in 0..2 {
        ledger.apply(Vec::new()).unwrap();
    }
    let (expired_at, now) = (BEGINNING.plus(3_000), ledger.timestamp);
    assert_eq!(admit(&ledger), Err(Rejection::Expired { expired_at, now }));
}

#[test]
fn an_empty_block_forgets_nothing_and_a_block_no_more_than_its_share() {
    let (mut ledger, contract) = ledger();
    ledger.rules.max_block_fuel = Fuel(u64::MAX);
    let many: Vec<_> = (0..200).map(|salt| unordered(&ledger, contract, "put", 3_000, salt)).collect();
    ledger.apply(many).unwrap();
    assert_eq!(remembered(&ledger).len(), 200);
    // At their very time they are remembered, a moment later no more.
    let mut before_its_time = ledger.clone();
    let spare = |ledger: &TestLedger, salt| unordered(ledger, contract, "put", 600_000, salt);
    before_its_time.apply(vec![spare(&ledger, 201)]).unwrap();
    assert_eq!(before_its_time.timestamp, BEGINNING.plus(3_000));
    assert_eq!(remembered(&before_its_time).len(), 201);
    for _ in 0..5 {
        let execution = ledger.apply(Vec::new()).unwrap();
        assert!(execution.writes.is_empty());
    }
    let mut left = 200;
    for salt in 202..207 {
        ledger.apply(vec![spare(&ledger, salt), spare(&ledger, salt + 20)]).unwrap();
        left = usize::saturating_sub(left, FORGOTTEN_AT_LEAST + 4);
        let expired = KeyRange::unordered_before(ledger.timestamp);
        assert_eq!(ledger.state.scan(&expired).count(), left);
    }
    assert_eq!(left, 0);
    assert_eq!(remembered(&ledger).len(), 10);
}

#[test]
fn what_a_block_forgets_survives_the_failure_of_its_first_transaction() {
    let (mut ledger, contract) = ledger();
    ledger.apply(vec![unordered(&ledger, contract, "put", 3_000, 1)]).unwrap();
    for _ in 0..3 {
        ledger.apply(Vec::new()).unwrap();
    }
    let late = unordered(&ledger, contract, "put", 3_000, 2);
    let execution = ledger.apply(vec![late, unordered(&ledger, contract, "refuse", 60_000, 3)]).unwrap();
    assert!(matches!(statuses(&execution)[..], [Status::Rejected(Rejection::Expired { .. }), Status::Failed(_)]));
    assert_eq!(remembered(&ledger).len(), 1);
}

/// A chain's rules about unordered transactions, as simple as they can be said: everything is remembered for ever.
#[derive(Default)]
struct Model {
    executed: BTreeSet<TransactionId>,
}

impl Model {
    fn says(&mut self, signed: &SignedTransaction, now: Timestamp, horizon: u64, fails: bool) -> &'static str {
        let expires_at = signed.transaction.expires_at.unwrap();
        match () {
            () if expires_at < now => "expired",
            () if expires_at.0 > now.0 + horizon => "too distant",
            () if !self.executed.insert(signed.id()) => "duplicate",
            () if fails => "failed",
            () => "succeeded",
        }
    }
}

fn word(status: &Status) -> &'static str {
    match status {
        Status::Succeeded => "succeeded",
        Status::Failed(_) => "failed",
        Status::Rejected(Rejection::Expired { .. }) => "expired",
        Status::Rejected(Rejection::TooDistant { .. }) => "too distant",
        Status::Rejected(Rejection::Duplicate) => "duplicate",
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Blocks of transactions picked, again and again, from a few; a block comes every second.
    #[test]
    fn forgetting_is_never_noticed(
        horizon in 0u64..12_000,
        expiries in prop::collection::vec((0u64..30_000, any::<bool>()), 1..24),
        blocks in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..12), 1..24),
    ) {
        let (mut ledger, contract) = ledger();
        ledger.rules.max_unordered_ms = horizon;
        let pool: Vec<(SignedTransaction, bool)> = expiries
            .iter()
            .zip(0..)
            .map(|((expiry, fails), salt)| {
                let method = if *fails { "refuse" } else { "put" };
                (unordered(&ledger, contract, method, *expiry, salt), *fails)
            })
            .collect();
        let mut model = Model::default();
        let mut alive: BTreeMap<TransactionId, Timestamp> = BTreeMap::new();
        for picks in blocks {
            let now = ledger.timestamp.plus(1_000);
            let block: Vec<&(SignedTransaction, bool)> = picks.iter().map(|pick| pick.get(&pool)).collect();
            let execution = ledger.apply(block.iter().map(|(signed, _)| signed.clone()).collect()).unwrap();
            for ((signed, fails), status) in block.iter().zip(statuses(&execution)) {
                let expected = model.says(signed, now, horizon, *fails);
                prop_assert_eq!(word(&status), expected);
                if matches!(status, Status::Succeeded | Status::Failed(_)) {
                    alive.insert(signed.id(), signed.transaction.expires_at.unwrap());
                }
            }
            // So few are forgotten as soon as there is anything to execute.
            if !block.is_empty() {
                alive.retain(|_, expires_at| *expires_at >= now);
            }
            let mut keys: Vec<Key> = alive.iter().map(|(id, expires_at)| Key::unordered(*expires_at, id)).collect();
            keys.sort();
            prop_assert_eq!(remembered(&ledger), keys);
        }
    }
}
