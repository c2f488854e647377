//! How long a value is shows when it was read: it is paid for all the same, by whoever has to in the end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{Act, alice, ledger, put, script};
use ledger_contracts::testing::{MapState, TestLedger};
use ledger_core::codec::Bytes;
use ledger_core::{
    Context, ContractId, Execution, Failure, Fuel, Key, KeyRange, Rejection, Scan, StateError, StateView, Status,
    TransactionBuilder, Versioned,
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A state that counts the bytes of values that are read of one namespace.
struct Weighing<'s> {
    state: &'s MapState,
    namespace: ContractId,
    bytes: AtomicUsize,
}

impl Weighing<'_> {
    fn weigh(&self, key: &Key, found: &Versioned) {
        if key.namespace == self.namespace {
            self.bytes.fetch_add(found.value.len(), Ordering::Relaxed);
        }
    }
}

impl StateView for Weighing<'_> {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        let found = self.state.get(key)?;
        found.iter().for_each(|found| self.weigh(key, found));
        Ok(found)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        Box::new(self.state.scan(range).inspect(|found| found.iter().for_each(|(key, found)| self.weigh(key, found))))
    }
}

const LARGE: usize = 200_000;

/// A ledger of three puppets, the second of which has large values under `l` and `m`.
fn with_large_values() -> (TestLedger, [ContractId; 3]) {
    let (mut ledger, puppets) = ledger();
    for key in [b"l", b"m"] {
        let large = Act::Put(Bytes::from(key.as_slice()), Bytes::from(vec![7; LARGE]));
        let call = TransactionBuilder::call(ledger.chain(), puppets[1], "play", script(&[large]).to_vec());
        assert!(ledger.submit(&alice(), call).unwrap().receipt.succeeded());
    }
    (ledger, puppets)
}

/// Executes plays of `contract`, each with so much fuel; and how many bytes of the second puppet's values were read.
fn execute(ledger: &TestLedger, puppets: [ContractId; 3], plays: &[(usize, &[Act], u64)]) -> (Execution, usize) {
    let signed = (5..).zip(plays).map(|(number, (puppet, acts, limit))| {
        let play = TransactionBuilder::call(ledger.chain(), puppets[*puppet], "play", script(acts).to_vec());
        play.fuel_limit(Fuel(*limit)).sequence(0, number).sign(&alice()).unwrap()
    });
    let block = ledger.block(signed.collect());
    let state = Weighing { state: &ledger.state, namespace: puppets[1], bytes: AtomicUsize::new(0) };
    let context = Context { height: block.header.height, timestamp: block.header.timestamp, ..ledger.context() };
    let execution = ledger.executor.execute(&block, &context, &state).unwrap();
    (execution, state.bytes.into_inner())
}

fn show(key: &str) -> Act {
    common::show(key)
}

fn scan(limit: u64) -> Act {
    Act::Collect(Bytes::default(), None, limit, Bytes::from(b"found".as_slice()))
}

#[test]
fn a_value_that_a_limited_call_cannot_pay_is_paid_by_its_caller() {
    let (ledger, puppets) = with_large_values();
    let limited =
        |act: Act| Act::Call { callee: puppets[1], fuel_limit: Some(10_000), read_only: false, script: script(&[act]) };
    for act in [show("l"), scan(1)] {
        let calls = [limited(act.clone()), limited(act)];
        let (execution, bytes) = execute(&ledger, puppets, &[(0, &calls, 5_000_000)]);
        let receipt = &execution.results[0].receipt;
        assert!(receipt.succeeded(), "{:?}", receipt.status);
        let answer = execution.writes.iter().find(|write| &*write.key.name == b"answer").unwrap();
        let told = String::from_utf8(answer.value.clone().unwrap().into_vec()).unwrap();
        assert_eq!(told, "-4294967296 out of fuel: the limit of 10000 was reached");
        assert!(bytes >= LARGE);
        assert!(receipt.fuel_used > Fuel(2 * LARGE as u64), "{:?}", receipt.fuel_used);
    }
}

#[test]
fn whoever_calls_again_and_again_for_values_he_cannot_pay_is_out_of_fuel() {
    let (ledger, puppets) = with_large_values();
    // As cheap as can be: each call would have cost some 5,000 besides the value.
    let limited = Act::Call {
        callee: puppets[1],
        fuel_limit: Some(2_000),
        read_only: true,
        script: script(&[Act::Collect(Bytes::default(), None, 1, Bytes::default())]),
    };
    let calls = vec![limited; 100];
    let limit = 2_000_000;
    let (execution, bytes) = execute(&ledger, puppets, &[(0, &calls, limit)]);
    let receipt = &execution.results[0].receipt;
    assert_eq!(receipt.status, Status::Failed(Failure::OutOfFuel { limit: Fuel(limit) }));
    let paid = usize::try_from(limit).unwrap();
    assert!(bytes <= paid + LARGE, "{bytes}");
    assert!(bytes > paid / 2, "nearly all of it went into values: {bytes}");
}

#[test]
fn what_a_transaction_cannot_pay_takes_room_in_its_block() {
    let (mut ledger, puppets) = with_large_values();
    let show = [show("l")];
    let poor = (1usize, show.as_slice(), 20_000);
    let plays = [poor; 6];
    let (execution, _) = execute(&ledger, puppets, &plays);
    assert!(execution.results.iter().all(|result| result.receipt.fuel_used == Fuel(20_000)));
    assert_eq!(execution.fuel_used, Fuel(6 * 20_000));
    // Two such values have room; a third one begins in what they leave.
    ledger.rules.max_block_fuel = Fuel(450_000);
    let (execution, _) = execute(&ledger, puppets, &plays);
    let executed = |result: &ledger_core::TransactionResult| !matches!(result.receipt.status, Status::Rejected(_));
    assert_eq!(execution.results.iter().map(executed).collect::<Vec<_>>(), [true, true, true, false, false, false]);
    let first = &execution.results[3].receipt.status;
    assert!(matches!(first, Status::Rejected(Rejection::BlockFuel { left: Fuel(0), .. })), "{first:?}");
    assert_eq!(execution.fuel_used, Fuel(3 * 20_000));
}

/// The fuel that a play of the second puppet takes.
fn fuel_of(ledger: &TestLedger, puppets: [ContractId; 3], acts: &[Act]) -> u64 {
    let (execution, bytes) = execute(ledger, puppets, &[(1, acts, 50_000_000)]);
    let receipt = &execution.results[0].receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    // What is deleted may be looked at once more at the end, which was paid when it was written.
    let paid = receipt.fuel_used.0 + LARGE as u64;
    assert!(paid >= bytes as u64, "{bytes} bytes were read for {}", receipt.fuel_used.0);
    receipt.fuel_used.0
}

#[test]
fn scans_pay_for_values_under_those_that_the_block_has_written() {
    let (ledger, puppets) = with_large_values();
    // Each of the scans reads both large values of the state.
    for write in [put("l", ""), Act::Delete(Bytes::from(b"l".as_slice()))] {
        let acts = [write, scan(9), scan(9), scan(9)];
        assert!(fuel_of(&ledger, puppets, &acts) >= 6 * LARGE as u64);
    }
}

#[test]
fn scans_pay_for_the_key_that_they_looked_at_and_did_not_reach() {
    let (ledger, puppets) = with_large_values();
    // Only by the state's first key it shows that the one just written comes before it.
    let looking = [put("a", ""), scan(1), scan(1), scan(1)];
    assert!(fuel_of(&ledger, puppets, &looking) >= 3 * LARGE as u64);
    // Behind the state's last key there is none to look at.
    let behind = Act::Collect(Bytes::from(b"n".as_slice()), None, 1, Bytes::from(b"found".as_slice()));
    let none = [put("z", ""), behind.clone(), behind];
    assert!(fuel_of(&ledger, puppets, &none) < LARGE as u64);
}
