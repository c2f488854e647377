//! Each way in which a transaction can be rejected or fail is reached, named, and leaves what it must.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::{Contract, Host, HostError, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::codec::{Bytes, List, Text};
use ledger_core::outcome::MAX_MESSAGE_BYTES;
use ledger_core::{
    AccountId, ContractId, Deployers, Failure, Fuel, Key, Receipt, Rejection, SignedTransaction, StateView, Status,
    Timestamp, TransactionBuilder, TransactionError, Version,
};
use ledger_crypto::{Digest, MemorySigner, Signer};

fn alice() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn account() -> AccountId {
    AccountId::of_ed25519(&alice().public_key())
}

/// A ledger with the probe, deployed by Alice with number 0 of lane 0.
fn ledger() -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Probe).with(Odd)));
    let contract = ledger.deploy(&alice(), NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
    (ledger, contract)
}

fn call(ledger: &TestLedger, contract: ContractId, method: &str, arguments: &[u8]) -> TransactionBuilder {
    TransactionBuilder::call(ledger.chain(), contract, method, arguments.to_vec())
}

/// Executes one transaction and checks that a rejection writes and uses nothing.
fn rejected(ledger: &TestLedger, transaction: SignedTransaction) -> Rejection {
    let execution = ledger.execute(vec![transaction]).unwrap();
    let receipt = &execution.results[0].receipt;
    assert_eq!((receipt.fuel_used, execution.fuel_used), (Fuel(0), Fuel(0)));
    assert!(execution.writes.is_empty() && receipt.output.is_empty() && execution.results[0].events.is_empty());
    match &receipt.status {
        Status::Rejected(rejection) => rejection.clone(),
        other => panic!("not rejected: {other:?}"),
    }
}

/// Executes one transaction and checks that a failure writes nothing but its place.
fn failed(ledger: &mut TestLedger, transaction: TransactionBuilder) -> (Failure, Receipt) {
    let signed = ledger.sign(&alice(), transaction).unwrap();
    failed_signed(ledger, signed)
}

fn failed_signed(ledger: &TestLedger, signed: SignedTransaction) -> (Failure, Receipt) {
    let execution = ledger.execute(vec![signed]).unwrap();
    let keys: Vec<_> = execution.writes.iter().map(|write| write.key.clone()).collect();
    assert_eq!(keys, [Key::sequence(&account(), 0)]);
    let receipt = execution.results[0].receipt.clone();
    assert!(receipt.output.is_empty() && execution.results[0].events.is_empty());
    assert!(receipt.fuel_used > Fuel(0));
    assert_eq!(receipt.fuel_used, execution.fuel_used);
    match &receipt.status {
        Status::Failed(failure) => (failure.clone(), receipt),
        other => panic!("not failed: {other:?}"),
    }
}

fn sequence_number(ledger: &TestLedger) -> Option<u64> {
    let stored = ledger.state.get(&Key::sequence(&account(), 0)).unwrap()?;
    Some(u64::from_le_bytes((*stored.value).try_into().unwrap()))
}

#[test]
fn a_number_before_or_after_the_next_is_out_of_order() {
    let (ledger, contract) = ledger();
    for found in [0, 2, u64::MAX] {
        let transaction = call(&ledger, contract, "echo", b"").sequence(0, found).sign(&alice()).unwrap();
        assert_eq!(rejected(&ledger, transaction), Rejection::OutOfOrder { lane: 0, expected: 1, found });
    }
    let other_lane = call(&ledger, contract, "echo", b"").sequence(7, 1).sign(&alice()).unwrap();
    assert_eq!(rejected(&ledger, other_lane), Rejection::OutOfOrder { lane: 7, expected: 0, found: 1 });
}

#[test]
fn a_replayed_transaction_is_rejected_in_the_same_block_and_in_a_later_one() {
    let (mut ledger, contract) = ledger();
    let put = call(&ledger, contract, "put", b"kv");
    let put = ledger.sign(&alice(), put).unwrap();
    let execution = ledger.apply(vec![put.clone(), put.clone()]).unwrap();
    assert!(execution.results[0].receipt.succeeded());
    let replayed = Rejection::OutOfOrder { lane: 0, expected: 2, found: 1 };
    assert_eq!(execution.results[1].receipt.status, Status::Rejected(replayed.clone()));
    assert_eq!(execution.results[1].receipt.index, 1);
    assert_eq!(rejected(&ledger, put), replayed);
}

#[test]
fn a_failed_transaction_replayed_is_rejected_too() {
    let (mut ledger, contract) = ledger();
    let refuse = call(&ledger, contract, "refuse", b"kv");
    let refuse = ledger.sign(&alice(), refuse).unwrap();
    ledger.apply(vec![refuse.clone()]).unwrap();
    assert_eq!(sequence_number(&ledger), Some(2));
    assert!(matches!(rejected(&ledger, refuse), Rejection::OutOfOrder { .. }));
}

#[test]
fn a_transaction_expires_after_its_time_and_not_at_it() {
    let (ledger, contract) = ledger();
    let now = ledger.timestamp.plus(1_000);
    let at = |time| call(&ledger, contract, "echo", b"").sequence(0, 1).expires_at(time).sign(&alice()).unwrap();
    assert!(ledger.execute(vec![at(now)]).unwrap().results[0].receipt.succeeded());
    let expired_at = Timestamp(now.0 - 1);
    assert_eq!(rejected(&ledger, at(expired_at)), Rejection::Expired { expired_at, now });
}

#[test]
fn a_key_that_does_not_open_the_account_is_wrong() {
    let (ledger, contract) = ledger();
    let mut transaction = call(&ledger, contract, "echo", b"").sequence(0, 1).sign(&alice()).unwrap();
    transaction.transaction.account = AccountId(Digest::ZERO);
    assert_eq!(rejected(&ledger, transaction), Rejection::WrongKey { key: alice().public_key() });
}

#[test]
fn an_unordered_transaction_expires_neither_too_early_nor_too_late_nor_never() {
    let (ledger, contract) = ledger();
    let now = ledger.timestamp.plus(1_000);
    let latest = now.plus(ledger.rules.max_unordered_ms);
    let ask = || call(&ledger, contract, "echo", b"").unordered();
    let at = |time| ask().expires_at(time).sign(&alice()).unwrap();
    for time in [now, latest] {
        assert!(ledger.execute(vec![at(time)]).unwrap().results[0].receipt.succeeded());
    }
    let expired_at = Timestamp(now.0 - 1);
    assert_eq!(rejected(&ledger, at(expired_at)), Rejection::Expired { expired_at, now });
    let expires_at = latest.plus(1);
    assert_eq!(rejected(&ledger, at(expires_at)), Rejection::TooDistant { expires_at, latest });
    let never = ask().sign(&alice()).unwrap();
    assert_eq!(ledger.rules.check(&never, &ledger.chain()), Err(TransactionError::NoExpiry));
    assert!(matches!(rejected(&ledger, never), Rejection::TooDistant { .. }));
}

#[test]
fn a_transaction_that_could_use_more_than_the_block_has_left_is_rejected() {
    let (mut ledger, contract) = ledger();
    ledger.rules.max_block_fuel = Fuel(100_000);
    let spin = call(&ledger, contract, "spin", b"").sequence(0, 1).fuel_limit(Fuel(60_000)).sign(&alice()).unwrap();
    let next =
        |limit| call(&ledger, contract, "echo", b"").sequence(0, 2).fuel_limit(Fuel(limit)).sign(&alice()).unwrap();
    let execution = ledger.execute(vec![spin, next(40_001), next(40_000)]).unwrap();
    let status = |index: usize| execution.results[index].receipt.status.clone();
    assert_eq!(status(0), Status::Failed(Failure::OutOfFuel { limit: Fuel(60_000) }));
    assert_eq!(status(1), Status::Rejected(Rejection::BlockFuel { left: Fuel(40_000), limit: Fuel(40_001) }));
    assert_eq!(status(2), Status::Succeeded);
    assert!(execution.fuel_used <= ledger.rules.max_block_fuel);
}

#[test]
fn a_redacted_body_uses_up_its_place() {
    let (ledger, contract) = ledger();
    let mut transaction = call(&ledger, contract, "put", b"kv").sequence(0, 1).sign(&alice()).unwrap();
    transaction.body = None;
    assert_eq!(transaction.check_form(&ledger.chain()), Err(TransactionError::NoBody));
    assert_eq!(failed_signed(&ledger, transaction).0, Failure::Redacted);
}

#[test]
fn what_is_not_there_is_named() {
    let (mut ledger, contract) = ledger();
    let nobody = ContractId(Digest::new([9; 32]));
    let transaction = call(&ledger, nobody, "echo", b"");
    assert_eq!(failed(&mut ledger, transaction).0, Failure::UnknownContract { contract: nobody });

    let (mut ledger, _) = self::ledger();
    let transaction = call(&ledger, contract, "sing", b"");
    assert_eq!(failed(&mut ledger, transaction).0, Failure::UnknownMethod { method: Text::from("sing") });

    let (mut ledger, _) = self::ledger();
    let transaction = TransactionBuilder::deploy(ledger.chain(), "wasm", b"probe".to_vec(), Vec::new());
    assert_eq!(failed(&mut ledger, transaction).0, Failure::UnknownRuntime { runtime: Text::from("wasm") });

    let (mut ledger, _) = self::ledger();
    let transaction = TransactionBuilder::deploy(ledger.chain(), NATIVE, b"nothing".to_vec(), Vec::new());
    let message = Text::from("there is no native contract `nothing`");
    assert_eq!(failed(&mut ledger, transaction).0, Failure::InvalidCode { message });
}

#[test]
fn a_deployment_whose_body_is_no_code_and_arguments_is_invalid() {
    let (mut ledger, contract) = ledger();
    let mut transaction = call(&ledger, contract, "", &[9, 9]);
    let signed = transaction.clone().sequence(0, 1).sign(&alice()).unwrap();
    let mut envelope = signed.transaction;
    envelope.action = ledger_core::Action::Deploy { runtime: Text::from(NATIVE) };
    let signed = envelope.sign(&alice(), signed.body.unwrap()).unwrap();
    assert!(matches!(failed_signed(&ledger, signed).0, Failure::InvalidBody { .. }));
    transaction = call(&ledger, contract, "echo", b"");
    assert!(ledger.submit(&alice(), transaction).unwrap().receipt.succeeded());
}

#[test]
fn only_deployers_deploy_where_the_rules_name_them() {
    let (mut ledger, _) = ledger();
    let deploy = |ledger: &TestLedger| {
        TransactionBuilder::deploy(ledger.chain(), NATIVE, Probe::NAME.as_bytes().to_vec(), Vec::new())
    };
    ledger.rules.deployers = Deployers::Only(List::from(vec![AccountId(Digest::ZERO)]));
    let transaction = deploy(&ledger);
    let mut elsewhere = ledger.clone();
    let what = Text::from("deploy contracts");
    assert_eq!(failed(&mut elsewhere, transaction).0, Failure::Forbidden { what });
    ledger.rules.deployers = Deployers::Only(List::from(vec![account()]));
    let transaction = deploy(&ledger);
    assert!(ledger.submit(&alice(), transaction).unwrap().receipt.succeeded());
}

#[test]
fn refusals_and_breakdowns_say_what_the_contract_said_and_no_more() {
    let (mut first, contract) = ledger();
    let transaction = call(&first, contract, "refuse", b"kv");
    let refused = Failure::Refused { code: 7, message: Text::from("no") };
    assert_eq!(failed(&mut first, transaction).0, refused);

    let (mut second, contract) = ledger();
    let transaction = call(&second, contract, "break", b"kv");
    let trapped = Failure::Trapped { message: Text::from("the contract panicked") };
    assert_eq!(failed(&mut second, transaction).0, trapped);
}

#[test]
fn out_of_fuel_uses_the_whole_limit_also_below_the_base_price() {
    for limit in [1, 4_999, 5_000, 50_000] {
        let (mut ledger, contract) = ledger();
        let transaction = call(&ledger, contract, "spin", b"").fuel_limit(Fuel(limit));
        let (failure, receipt) = failed(&mut ledger, transaction);
        assert_eq!((failure, receipt.fuel_used), (Failure::OutOfFuel { limit: Fuel(limit) }, Fuel(limit)));
    }
}

/// Goes to the limits of what a host allows.
struct Odd;

impl Contract for Odd {
    fn name(&self) -> &str {
        "odd"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        let size = usize::from(u16::from_le_bytes(arguments[..2].try_into().unwrap()));
        let zeros = vec![0; size];
        match method {
            "get" => drop(host.get(&zeros)?),
            "put" => host.put(&zeros, b"")?,
            "delete" => host.delete(&zeros)?,
            "scan" => drop(host.scan(&zeros, None, 1)?),
            "value" => host.put(b"k", &zeros)?,
            "event" => host.emit("five!", &zeros)?,
            "events" => (0..size).try_for_each(|_| host.emit("", b""))?,
            "output" => return Ok(zeros),
            "swallow" => {
                let over = host.put(&zeros, b"");
                // Everything is refused from here on, with the first error.
                assert!(matches!(over, Err(HostError::Limit { .. })));
                assert_eq!(host.put(b"k", b"v"), over);
                assert_eq!(host.get(b"k").map(drop), over);
                assert_eq!(host.emit("t", b"").map(drop), over);
            }
            "long words" => return Err(Trap::refused(1, "é".repeat(size))),
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

#[test]
fn each_limit_of_the_rules_holds_exactly_even_if_the_contract_swallows_the_error() {
    let (mut ledger, _) = ledger();
    ledger.rules.max_key_bytes = 40;
    ledger.rules.max_value_bytes = 50;
    ledger.rules.max_event_bytes = 60;
    ledger.rules.max_events = 3;
    ledger.rules.max_output_bytes = 70;
    let odd = ledger.deploy(&alice(), NATIVE, b"odd", b"").unwrap();
    for (method, what, limit, largest) in [
        ("get", "a key", 40, 40),
        ("put", "a key", 40, 40),
        ("delete", "a key", 40, 40),
        ("swallow", "a key", 40, 0),
        ("scan", "a range's bound", 41, 41),
        ("value", "a value", 50, 50),
        ("event", "an event", 60, 55),
        ("events", "the number of events", 3, 3),
        ("output", "the output", 70, 70),
    ] {
        if largest > 0 {
            let fits = ledger.call(&alice(), odd, method, &u16::to_le_bytes(largest)).unwrap();
            assert!(fits.receipt.succeeded(), "{method}: {:?}", fits.receipt.status);
        }
        let over = largest.max(40) + 1;
        let mut elsewhere = ledger.clone();
        let transaction = call(&ledger, odd, method, &u16::to_le_bytes(over));
        let expected = Failure::Limit { what: Text::from(what), size: limit + 1, limit };
        assert_eq!(failed(&mut elsewhere, transaction).0, expected, "{method}");
    }
}

#[test]
fn a_code_over_the_value_limit_is_refused() {
    let (mut ledger, _) = ledger();
    ledger.rules.max_value_bytes = 64;
    let transaction = TransactionBuilder::deploy(ledger.chain(), NATIVE, vec![b'x'; 65], Vec::new());
    let expected = Failure::Limit { what: Text::from("a contract's code"), size: 65, limit: 64 };
    assert_eq!(failed(&mut ledger, transaction).0, expected);
}

#[test]
fn long_messages_are_cut_between_characters() {
    let (mut ledger, _) = ledger();
    let odd = ledger.deploy(&alice(), NATIVE, b"odd", b"").unwrap();
    let transaction = call(&ledger, odd, "long words", &u16::to_le_bytes(600));
    let Failure::Refused { message, .. } = failed(&mut ledger, transaction).0 else { panic!("not refused") };
    assert_eq!(&*message, "é".repeat(MAX_MESSAGE_BYTES / 2));
}

#[test]
fn a_deployment_answers_with_the_contract_and_records_it() {
    let (ledger, contract) = ledger();
    let stored = ledger.state.get(&Key::contract(&contract)).unwrap().unwrap();
    let record: ledger_contracts::ContractRecord = ledger_core::codec::decode(&stored.value).unwrap();
    assert_eq!((&*record.runtime, record.deployer, record.height), (NATIVE, account(), ledger.height));
    assert_eq!(stored.version, Version { height: ledger.height, index: 0 });
    let code = ledger.state.get(&ledger_contracts::record::code_key(&record.code)).unwrap().unwrap();
    assert_eq!((&*code.value, code.value.len()), (Probe::NAME.as_bytes(), record.code_bytes as usize));

    let mut ledger = ledger;
    let again = TransactionBuilder::deploy(ledger.chain(), NATIVE, Probe::NAME.as_bytes().to_vec(), Vec::new());
    let receipt = ledger.submit(&alice(), again).unwrap().receipt;
    let second = ContractId::deployed_by(&receipt.transaction);
    assert_eq!(receipt.output, Bytes::from(second.0.as_bytes().as_slice()));
    assert_ne!(second, contract);
    let code = ledger.state.get(&ledger_contracts::record::code_key(&record.code)).unwrap().unwrap();
    assert_eq!(code.version, stored.version, "code that is there already isn't written again");
}
