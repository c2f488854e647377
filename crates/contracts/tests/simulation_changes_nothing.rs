//! A simulation takes a transaction's path, says what it would do, and does nothing; admission knows what is next.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::codec::{Bytes, Text};
use ledger_core::{
    AccountId, Call, ContractId, Executor, Failure, Fuel, Key, KeyRange, Rejection, Status, Timestamp,
    TransactionBuilder, Version,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use proptest::prelude::*;

/// Puts, deletes, gets and scans as its arguments say: pairs of a command and a one-byte key.
struct Pairs;

impl Contract for Pairs {
    fn name(&self) -> &str {
        "pairs"
    }

    fn call(&self, host: &mut dyn Host, _method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        for pair in arguments.chunks_exact(2) {
            let key = &pair[1..];
            match pair[0] % 5 {
                0 => host.put(key, pair)?,
                1 => host.delete(key)?,
                2 => drop(host.get(key)?),
                3 => drop(host.scan_prefix(b"", usize::from(pair[1] % 4))?),
                _ => host.emit("pair", pair)?,
            }
        }
        let environment = host.environment();
        Ok(vec![u8::from(environment.transaction.is_some()), u8::from(environment.read_only)])
    }
}

fn alice() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn account() -> AccountId {
    AccountId::of_ed25519(&alice().public_key())
}

fn executor() -> LedgerExecutor {
    LedgerExecutor::default().with(NativeRuntime::new().with(Pairs).with(Probe))
}

/// A ledger with `pairs`, which has written keys 0, 2, 4 and 6.
fn ledger() -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(executor());
    let contract = ledger.deploy(&alice(), NATIVE, b"pairs", b"").unwrap();
    let put = ledger.call(&alice(), contract, "go", &[0, 0, 0, 2, 0, 4, 0, 6]).unwrap();
    assert!(put.receipt.succeeded());
    (ledger, contract)
}

fn call(contract: ContractId, arguments: &[u8]) -> Call {
    let (method, arguments) = ("go".to_owned(), Bytes::from(arguments));
    Call { account: account(), contract, method, arguments, fuel_limit: Fuel(10_000_000) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_with_the_simulated_fuel_as_limit_succeeds_and_does_what_was_said(
        arguments in prop::collection::vec(0..8u8, 0..24),
    ) {
        let (mut ledger, contract) = ledger();
        let before = ledger.state.clone();
        let said = executor().simulate(&call(contract, &arguments), &ledger.context(), &ledger.state).unwrap();
        prop_assert_eq!(&ledger.state, &before);
        prop_assert_eq!(&said.status, &Status::Succeeded);

        let ask = TransactionBuilder::call(ledger.chain(), contract, "go", arguments.clone()).fuel_limit(said.fuel_used);
        let signed = ledger.sign(&alice(), ask).unwrap();
        let done = ledger.execute(vec![signed]).unwrap();
        prop_assert_eq!(&done.results[0].receipt.status, &Status::Succeeded);
        prop_assert_eq!(done.fuel_used, said.fuel_used);
        prop_assert_eq!(&*done.results[0].events, &said.events[..]);
        let own: Vec<_> = done.writes.iter().filter(|write| write.key.namespace == contract).collect();
        prop_assert_eq!(own, said.writes.iter().collect::<Vec<_>>());

        let less = Call { fuel_limit: Fuel(said.fuel_used.0 - 1), ..call(contract, &arguments) };
        let stopped = executor().simulate(&less, &ledger.context(), &ledger.state).unwrap();
        prop_assert_eq!(stopped.status, Status::Failed(Failure::OutOfFuel { limit: less.fuel_limit }));
        prop_assert!(stopped.writes.is_empty() && stopped.events.is_empty());
    }
}

#[test]
fn reads_are_those_of_the_state_before_with_the_versions_seen() {
    let (ledger, contract) = ledger();
    let written = Version { height: ledger.height, index: 0 };
    let key = |name: u8| Key::new(contract, vec![name]);
    // Puts 2 and gets it: no read. Gets 4: read. Gets 5: read as absent.
    let arguments = [0, 2, 2, 2, 2, 4, 2, 5];
    let said = executor().simulate(&call(contract, &arguments), &ledger.context(), &ledger.state).unwrap();
    let deployed = Version { height: ledger.height.previous().unwrap(), index: 0 };
    let expected = [(Key::contract(&contract), Some(deployed)), (key(4), Some(written)), (key(5), None)];
    assert_eq!(said.reads, expected);
    assert!(said.ranges.is_empty());
    assert_eq!(said.writes.iter().map(|write| write.key.clone()).collect::<Vec<_>>(), [key(2)]);
}

#[test]
fn ranges_are_recorded_as_far_as_they_were_read() {
    let (ledger, contract) = ledger();
    // Deletes 0, then scans for three keys: 2, 4 and 6, having stepped over 0.
    let said = executor().simulate(&call(contract, &[1, 0, 3, 3]), &ledger.context(), &ledger.state).unwrap();
    let to = Some(Bytes::from([6, 0].as_slice()));
    assert_eq!(said.ranges, [KeyRange { namespace: contract, from: Bytes::default(), to }]);
    let names: Vec<_> = said.reads.iter().skip(1).map(|(key, _)| key.name[0]).collect();
    assert_eq!(names, [0, 2, 4, 6]);

    // A scan for more than there is has read all of it, its end included.
    let all = executor().simulate(&call(contract, &[1, 0, 1, 2, 3, 3]), &ledger.context(), &ledger.state).unwrap();
    assert_eq!(all.ranges, [KeyRange { namespace: contract, from: Bytes::default(), to: None }]);

    // A scan for nothing has read nothing.
    let none = executor().simulate(&call(contract, &[3, 0]), &ledger.context(), &ledger.state).unwrap();
    assert_eq!(none.ranges, [KeyRange { namespace: contract, from: Bytes::default(), to: Some(Bytes::default()) }]);
    assert_eq!(none.reads.len(), 1);
}

#[test]
fn reads_do_not_depend_on_what_is_cached() {
    let (ledger, contract) = ledger();
    let executor = executor();
    let first = executor.simulate(&call(contract, &[2, 4]), &ledger.context(), &ledger.state).unwrap();
    let second = executor.simulate(&call(contract, &[2, 4]), &ledger.context(), &ledger.state).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_contract_knows_a_simulation_and_a_query_from_a_transaction() {
    let (mut ledger, contract) = ledger();
    let context = ledger.context();
    assert_eq!(&*executor().simulate(&call(contract, &[]), &context, &ledger.state).unwrap().output, [0, 0]);
    assert_eq!(&*executor().query(&call(contract, &[]), &context, &ledger.state).unwrap().output, [0, 1]);
    assert_eq!(&*ledger.call(&alice(), contract, "go", &[]).unwrap().receipt.output, [1, 0]);
}

#[test]
fn a_query_reads_and_refuses_to_write() {
    let (ledger, contract) = ledger();
    let query = |arguments: &[u8]| executor().query(&call(contract, arguments), &ledger.context(), &ledger.state);
    assert_eq!(query(&[2, 4, 3, 3]).unwrap().status, Status::Succeeded);
    for writing in [[0, 4], [1, 4], [4, 4]] {
        let what = Text::from("write in a read-only call");
        let simulation = query(&writing).unwrap();
        assert_eq!(simulation.status, Status::Failed(Failure::Forbidden { what }));
        assert!(simulation.writes.is_empty() && simulation.events.is_empty());
    }
}

#[test]
fn admission_answers_with_the_next_number_or_the_reason() {
    let (ledger, contract) = ledger();
    let executor = executor();
    let admit = |transaction| executor.admit(&transaction, &ledger.context(), &ledger.state).unwrap();
    let ask = TransactionBuilder::call(ledger.chain(), contract, "go", Vec::new());
    for number in [0, 2, 9, u64::MAX] {
        assert_eq!(admit(ask.clone().sequence(0, number).sign(&alice()).unwrap()), Ok(2));
    }
    assert_eq!(admit(ask.clone().sequence(5, 0).sign(&alice()).unwrap()), Ok(0));

    let mut foreign = ask.clone().sign(&alice()).unwrap();
    foreign.transaction.account = AccountId(Digest::ZERO);
    assert_eq!(admit(foreign), Err(Rejection::WrongKey { key: alice().public_key() }));

    // On a chain that has been idle, the state's time says nothing about how far ahead one expires.
    let unordered = ask.clone().unordered().expires_at(ledger.timestamp.plus(1 << 40)).sign(&alice()).unwrap();
    assert_eq!(admit(unordered), Ok(0));

    let set =
        ledger_core::ReadWriteSet { reads: Default::default(), ranges: Default::default(), writes: Default::default() };
    let commit = TransactionBuilder::commit(ledger.chain(), &set).sequence(0, 2).sign(&alice()).unwrap();
    assert_eq!(admit(commit), Ok(2));

    let (expired_at, now) = (Timestamp(5), ledger.timestamp);
    let late = ask.clone().sequence(0, 2).expires_at(expired_at).sign(&alice()).unwrap();
    assert_eq!(admit(late), Err(Rejection::Expired { expired_at, now }));

    let (left, limit) = (ledger.rules.max_block_fuel, Fuel(ledger.rules.max_block_fuel.0 + 1));
    let greedy = ask.sequence(0, 2).fuel_limit(limit).sign(&alice()).unwrap();
    assert_eq!(admit(greedy), Err(Rejection::BlockFuel { left, limit }));
}

#[test]
fn a_simulation_has_no_more_fuel_than_a_transaction_may_have() {
    let (mut ledger, _) = ledger();
    ledger.rules.max_transaction_fuel = Fuel(50_000);
    let probe = ledger.deploy(&alice(), NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
    let spin = Call { method: "spin".to_owned(), fuel_limit: Fuel(u64::MAX), ..call(probe, &[]) };
    let stopped = executor().simulate(&spin, &ledger.context(), &ledger.state).unwrap();
    assert_eq!(stopped.status, Status::Failed(Failure::OutOfFuel { limit: Fuel(50_000) }));
}
