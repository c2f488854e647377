//! When the state can't be read there is no receipt that hides it: execution ends with an error.
#![allow(clippy::unwrap_used)]

mod common;

use common::lifecycle::{instantiate_with, upload};
use common::{Act, Puppet, call, put, script, show};
use ledger_contracts::lifecycle::{Metadata, Upgrade, WritePolicy};
use ledger_contracts::record::{code_digest, metadata_key};
use ledger_contracts::testing::{MapState, Probe, TestLedger};
use ledger_contracts::{ExecutorConfig, LIFECYCLE, LedgerExecutor, NATIVE, NativeRuntime, Token, UpgradePolicy};
use ledger_core::codec::{self, Bytes, List, Text};
use ledger_core::{
    AccountId, Block, Call, Context, ContractId, Execution, ExecutionError, Executor, Fuel, Height, Key, KeyRange,
    Scan, StateError, StateView, TransactionBuilder, Versioned, Write, Writes,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A state whose reads fail from one of them on.
struct Failing<'s> {
    state: &'s MapState,
    left: AtomicUsize,
}

impl<'s> Failing<'s> {
    fn after(reads: usize, state: &'s MapState) -> Self {
        Failing { state, left: AtomicUsize::new(reads) }
    }

    fn read(&self) -> Result<(), StateError> {
        let took = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        took.map(|_| ()).map_err(|_| error())
    }
}

fn error() -> StateError {
    StateError::Engine { reason: "the disk is gone".to_owned() }
}

impl StateView for Failing<'_> {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        self.read()?;
        self.state.get(key)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        Box::new(self.state.scan(range).map(|found| self.read().and(found)))
    }
}

fn alice() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn executor() -> LedgerExecutor {
    LedgerExecutor::new(ExecutorConfig { prepared_bytes: 0, ..ExecutorConfig::default() })
        .with(NativeRuntime::new().with(Probe).with(Token))
}

fn ledger() -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(executor());
    let contract = ledger.deploy(&alice(), NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
    (ledger, contract)
}

fn execute(
    executor: &LedgerExecutor,
    ledger: &TestLedger,
    transactions: &[TransactionBuilder],
    state: &dyn StateView,
) -> Result<Execution, ExecutionError> {
    let signed = (1..)
        .zip(transactions)
        .map(|(number, transaction)| transaction.clone().sequence(0, number).sign(&alice()).unwrap());
    let genesis = ledger_core::Genesis::solo("test", alice().public_key(), ledger.timestamp);
    let block = Block { header: genesis.header(), transactions: List::from(signed.collect::<Vec<_>>()) };
    executor.execute(&block, &ledger.context(), state)
}

#[test]
fn a_read_that_fails_at_any_point_is_an_error_even_if_the_contract_swallows_it() {
    let (ledger, contract) = ledger();
    let call = |method, arguments: &[u8]| {
        TransactionBuilder::call(ledger.chain(), contract, method, arguments.to_vec()).fuel_limit(Fuel(100_000))
    };
    let transactions = [
        call("get", b"a"),
        call("swallow", b"bv"),
        call("delete", b"c"),
        TransactionBuilder::deploy(ledger.chain(), NATIVE, Token::NAME.as_bytes().to_vec(), Vec::new()),
    ];
    let whole = execute(&executor(), &ledger, &transactions, &ledger.state).unwrap();
    let mut failures = 0;
    for reads in 0.. {
        // A fresh executor each time: its cache of code mustn't hide a read.
        match execute(&executor(), &ledger, &transactions, &Failing::after(reads, &ledger.state)) {
            Ok(execution) => {
                assert_eq!(execution, whole);
                break;
            }
            Err(found) => assert_eq!(found, ExecutionError::State(error())),
        }
        failures += 1;
    }
    // Lane, contract, code; key; deleted key; new contract's code.
    assert_eq!(failures, 6);
}

#[test]
fn a_read_that_fails_in_a_called_contract_ends_all_that_called_it() {
    let executor = || {
        LedgerExecutor::new(ExecutorConfig { prepared_bytes: 0, ..ExecutorConfig::default() })
            .with(NativeRuntime::new().with(Puppet))
    };
    let mut ledger = TestLedger::new(executor());
    let [a, b, c] = core::array::from_fn(|_| ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap());
    // Each call's answer is written down, so a failure that isn't passed on would leave a receipt.
    let acts = [call(b, &[call(c, &[show("k")]), put("k", "v")]), call(c, &[show("other")])];
    let play = TransactionBuilder::call(ledger.chain(), a, "play", script(&acts).to_vec());
    let transactions = [play.fuel_limit(Fuel(1_000_000))];
    let sequence = |state: &dyn StateView| {
        let signed = transactions[0].clone().sequence(0, 3).sign(&alice()).unwrap();
        let block = ledger.block(vec![signed]);
        executor().execute(&block, &ledger.context(), state)
    };
    let whole = sequence(&ledger.state).unwrap();
    assert!(whole.results[0].receipt.succeeded(), "{:?}", whole.results[0].receipt.status);
    let mut failures = 0;
    while let Err(found) = sequence(&Failing::after(failures, &ledger.state)) {
        assert_eq!(found, ExecutionError::State(error()));
        failures += 1;
    }
    assert_eq!(sequence(&Failing::after(failures, &ledger.state)).unwrap(), whole);
    // Lane, code, three records, two keys.
    assert_eq!(failures, 7);
}

#[test]
fn a_read_that_fails_in_a_commit_or_an_upgrade_is_an_error() {
    let executor = || {
        LedgerExecutor::new(ExecutorConfig { prepared_bytes: 0, ..ExecutorConfig::default() })
            .with(NativeRuntime::new().with(Puppet).with(Token))
    };
    let mut ledger = TestLedger::new(executor());
    let account = AccountId::of_ed25519(&alice().public_key());
    let metadata = Metadata { writes: WritePolicy::Accounts(vec![account].into()), ..Metadata::default() };
    let puppet = instantiate_with(&mut ledger, "puppet", UpgradePolicy::Owner(account), metadata);
    upload(&mut ledger, "token");
    ledger.call(&alice(), puppet, "play", &script(&[put("k", "v")])).unwrap();
    let acts = [show("k"), Act::Collect(b"k".as_slice().into(), None, 9, b"all".as_slice().into())];
    let set = ledger.simulate(account, puppet, "play", &script(&acts)).unwrap().read_write_set();
    let (runtime, code) = (Text::from(NATIVE), code_digest(b"token"));
    let upgrade = Upgrade { contract: puppet, runtime, code, metadata: None, arguments: Bytes::default() };
    let transactions = [
        TransactionBuilder::commit(ledger.chain(), &set),
        TransactionBuilder::call(ledger.chain(), LIFECYCLE, "upgrade", codec::encode(&upgrade)),
        TransactionBuilder::call(ledger.chain(), LIFECYCLE, "describe", puppet.0.as_bytes().to_vec()),
    ];
    let signed = (4..).zip(transactions).map(|(number, one)| one.sequence(0, number).sign(&alice()).unwrap());
    let block = ledger.block(signed.collect());
    // A fresh executor each time, and none of what was read is kept: every read is one of the state's.
    let execute = |state: &dyn StateView| executor().execute(&block, &ledger.context(), state);
    let whole = execute(&ledger.state).unwrap();
    assert!(whole.results.iter().all(|result| result.receipt.succeeded()), "{:?}", whole.results);
    let mut failures = 0;
    while let Err(found) = execute(&Failing::after(failures, &ledger.state)) {
        assert_eq!(found, ExecutionError::State(error()));
        failures += 1;
    }
    assert_eq!(execute(&Failing::after(failures, &ledger.state)).unwrap(), whole);
    // Lane, record, metadata, what was in the range (the key and what is there since), new code, the key that Token writes.
    assert!(failures >= 5, "{failures}");
}

#[test]
fn metadata_that_no_executor_wrote_are_corrupt() {
    let (mut ledger, contract) = ledger();
    let key = metadata_key(&contract);
    let write = Write { key: key.clone(), index: 0, value: Some(Bytes::from(b"???".as_slice())) };
    ledger.state.apply(Height(9), &Writes::new(vec![write]));
    let describe = TransactionBuilder::call(ledger.chain(), LIFECYCLE, "describe", contract.0.as_bytes().to_vec());
    let found = execute(&executor(), &ledger, &[describe], &ledger.state).unwrap_err();
    assert!(matches!(found, ExecutionError::Corrupt { key: named, .. } if named == key));
}

#[test]
fn a_called_contract_that_this_node_cannot_run_stops_it() {
    let with_both = LedgerExecutor::default().with(NativeRuntime::new().with(Puppet).with(Probe));
    let mut ledger = TestLedger::new(with_both);
    let probe = ledger.deploy(&alice(), NATIVE, b"probe", b"").unwrap();
    let puppet = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    let play = script(&[call(probe, &[])]).to_vec();
    let play = TransactionBuilder::call(ledger.chain(), puppet, "play", play).sequence(0, 2).sign(&alice()).unwrap();
    let block = ledger.block(vec![play]);
    let without_probe = LedgerExecutor::default().with(NativeRuntime::new().with(Puppet));
    let found = without_probe.execute(&block, &ledger.context(), &ledger.state).unwrap_err();
    let reason = "there is no native contract `probe`".to_owned();
    assert_eq!(found, ExecutionError::Corrupt { key: Key::contract(&probe), reason });
}

#[test]
fn a_simulation_that_cannot_read_is_an_error() {
    let (ledger, contract) = ledger();
    let account = AccountId::of_ed25519(&alice().public_key());
    let (method, arguments) = ("get".to_owned(), Bytes::from(b"a".as_slice()));
    let call = Call { account, contract, method, arguments, fuel_limit: Fuel(100_000) };
    for reads in 0..3 {
        let state = Failing::after(reads, &ledger.state);
        let found = executor().simulate(&call, &ledger.context(), &state);
        assert_eq!(found.unwrap_err(), ExecutionError::State(error()));
    }
    assert!(executor().simulate(&call, &ledger.context(), &Failing::after(3, &ledger.state)).is_ok());
}

/// What executing a call says after `key` was overwritten.
fn with_value(key: Key, value: &[u8]) -> Result<Execution, ExecutionError> {
    let (mut ledger, contract) = ledger();
    ledger.state.apply(Height(9), &Writes::new(vec![Write { key, index: 0, value: Some(Bytes::from(value)) }]));
    let call = TransactionBuilder::call(ledger.chain(), contract, "echo", Vec::new());
    execute(&executor(), &ledger, &[call], &ledger.state)
}

#[test]
fn a_system_value_that_no_executor_wrote_is_corrupt() {
    let (_, contract) = ledger();
    let account = AccountId::of_ed25519(&alice().public_key());
    for key in [Key::sequence(&account, 0), Key::contract(&contract)] {
        let found = with_value(key.clone(), b"???").unwrap_err();
        assert!(matches!(found, ExecutionError::Corrupt { key: named, .. } if named == key));
    }
    assert!(with_value(Key::contract(&ContractId(Digest::ZERO)), b"???").is_ok());
}

#[test]
fn a_node_without_the_runtime_or_the_contract_of_a_call_stops() {
    let (ledger, contract) = ledger();
    let call = [TransactionBuilder::call(ledger.chain(), contract, "echo", Vec::new())];
    let without_runtime = LedgerExecutor::default();
    let without_contract = LedgerExecutor::default().with(NativeRuntime::new().with(Token));
    for (executor, expected) in [
        (without_runtime, "this node has no runtime `native`"),
        (without_contract, "there is no native contract `probe`"),
    ] {
        match execute(&executor, &ledger, &call, &ledger.state) {
            Err(ExecutionError::Corrupt { key, reason }) => {
                assert_eq!((key, &*reason), (Key::contract(&contract), expected));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_context_of_a_block_is_not_taken_from_its_header() {
    let (ledger, _) = ledger();
    let context = Context { height: Height(77), ..ledger.context() };
    let deploy = TransactionBuilder::deploy(ledger.chain(), NATIVE, Token::NAME.as_bytes().to_vec(), Vec::new());
    let genesis = ledger_core::Genesis::solo("test", alice().public_key(), ledger.timestamp);
    let signed = deploy.sequence(0, 1).sign(&alice()).unwrap();
    let contract = ContractId::deployed_by(&signed.id());
    let block = Block { header: genesis.header(), transactions: List::from(vec![signed]) };
    let execution = executor().execute(&block, &context, &ledger.state).unwrap();
    let record = execution.writes.iter().find(|write| write.key == Key::contract(&contract)).unwrap();
    let record: ledger_contracts::ContractRecord = ledger_core::codec::decode(record.value.as_ref().unwrap()).unwrap();
    assert_eq!(record.height, Height(77));
}
