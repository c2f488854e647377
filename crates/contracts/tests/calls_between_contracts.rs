//! Contracts call each other on one journal: what a failed callee did is gone, what it cost is not, and nothing that is
//! running is changed under itself.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Act, Puppet, alice, call, call_read_only, emit, ledger, put, script, show};
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{
    Answer, CALL_STACK_SLOTS, CallTerms, Contract, Host, HostError, LedgerExecutor, NATIVE, NativeRuntime, Trap,
};
use ledger_core::codec::{Bytes, Text};
use ledger_core::{AccountId, Call, ContractId, Executor, Failure, Fuel, Key, StateView, Status, TransactionResult};
use ledger_crypto::{Digest, Signer};

fn play(ledger: &mut TestLedger, contract: ContractId, acts: &[Act]) -> TransactionResult {
    ledger.call(&alice(), contract, "play", &script(acts)).unwrap()
}

fn value(ledger: &TestLedger, contract: ContractId, key: &str) -> Option<String> {
    let found = ledger.state.get(&Key::new(contract, key.as_bytes())).unwrap()?;
    Some(String::from_utf8(found.value.to_vec()).unwrap())
}

fn answer(ledger: &TestLedger, contract: ContractId) -> String {
    value(ledger, contract, "answer").unwrap()
}

#[test]
fn a_callee_writes_in_its_own_namespace_and_sees_its_caller() {
    let (mut ledger, [a, b, _]) = ledger();
    let result = play(&mut ledger, a, &[call(b, &[put("k", "b's"), emit("from b"), Act::ShowCaller]), emit("from a")]);
    assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    assert_eq!((value(&ledger, a, "k"), value(&ledger, b, "k")), (None, Some("b's".to_owned())));
    let stored = ledger.state.get(&Key::new(a, b"answer".as_slice())).unwrap().unwrap();
    assert_eq!(&stored.value[1..], AccountId::of_contract(&a).0.as_bytes());
    let events: Vec<_> = result.events.iter().map(|event| (event.contract, event.data.to_vec())).collect();
    assert_eq!(events, [(b, b"from b".to_vec()), (a, b"from a".to_vec())]);
}

#[test]
fn what_a_failed_callee_did_is_taken_back_and_its_caller_goes_on() {
    for (end, told) in [
        (Act::Refuse, "-9 as told"),
        (Act::Panic, "-4294967298 the contract trapped: the contract panicked"),
        (
            Act::Put(vec![0; 2_000].into(), Bytes::default()),
            "-4294967305 a key of 2000 is over the chain's limit of 1024",
        ),
    ] {
        let (mut ledger, [a, b, c]) = ledger();
        play(&mut ledger, b, &[put("k", "before")]);
        let below = call(c, &[put("deep", "c's"), emit("from c")]);
        let acts =
            [put("first", "1"), emit("first"), call(b, &[put("k", "b's"), emit("lost"), below, end]), put("last", "2")];
        let result = play(&mut ledger, a, &acts);
        assert!(result.receipt.succeeded());
        assert_eq!(answer(&ledger, a), told);
        assert_eq!(value(&ledger, b, "k").as_deref(), Some("before"));
        assert_eq!((value(&ledger, b, "answer"), value(&ledger, c, "deep")), (None, None));
        assert_eq!(
            (value(&ledger, a, "first").as_deref(), value(&ledger, a, "last").as_deref()),
            (Some("1"), Some("2"))
        );
        let events: Vec<_> = result.events.iter().map(|event| event.data.to_vec()).collect();
        assert_eq!(events, [b"first".to_vec()]);
    }
}

#[test]
fn a_caller_that_fails_takes_a_callee_that_succeeded_with_it() {
    let (mut ledger, [a, b, c]) = ledger();
    let insist =
        Act::Insist { callee: b, script: script(&[put("k", "b's"), call(c, &[put("k", "c's")]), Act::Refuse]) };
    let result = play(&mut ledger, a, &[call(c, &[put("other", "c's")]), insist]);
    let status = Status::Failed(Failure::Refused { code: 10, message: Text::from("as told") });
    assert_eq!((result.receipt.status, result.events.len()), (status, 0));
    for contract in [a, b, c] {
        assert!(!ledger.state.iter().any(|(key, _)| key.namespace == contract), "{contract} has a value");
    }
}

#[test]
fn who_is_not_there_is_a_failed_call() {
    let (mut ledger, [a, ..]) = ledger();
    let nobody = ContractId(Digest::new([9; 32]));
    assert!(play(&mut ledger, a, &[call(nobody, &[])]).receipt.succeeded());
    assert_eq!(answer(&ledger, a), format!("-4294967299 there is no contract {nobody}"));
    let probe = ledger.deploy(&alice(), NATIVE, b"probe", b"").unwrap();
    play(&mut ledger, a, &[call(probe, &[])]);
    assert_eq!(answer(&ledger, a), "-4294967300 the contract has no method `play`");
}

#[test]
fn a_callee_that_uses_up_a_limit_of_its_own_has_failed_and_no_more() {
    let (mut ledger, [a, b, c]) = ledger();
    let limited =
        |limit, acts: &[Act]| Act::Call { callee: b, fuel_limit: Some(limit), read_only: false, script: script(acts) };
    let idle = play(&mut ledger, a, &[limited(50_000, &[])]).receipt.fuel_used.0;
    let result = play(&mut ledger, a, &[limited(50_000, &[put("k", "v"), Act::Charge(1 << 40)])]);
    assert!(result.receipt.succeeded());
    assert_eq!(answer(&ledger, a), "-4294967296 out of fuel: the limit of 50000 was reached");
    assert_eq!(value(&ledger, b, "k"), None);
    // All of the limit is paid for, and hardly more.
    let used = result.receipt.fuel_used.0;
    assert!(used > idle && used < idle + 50_000 + 2_000, "{used} and {idle}");

    // The limit is that of everything below it.
    let deep = [put("k", "v"), call(c, &[put("k", "v"), Act::Charge(1 << 40)]), put("more", "v")];
    assert!(play(&mut ledger, a, &[limited(50_000, &deep)]).receipt.succeeded());
    assert_eq!(answer(&ledger, a), "-4294967296 out of fuel: the limit of 50000 was reached");
    assert_eq!((value(&ledger, b, "more"), value(&ledger, c, "k")), (None, None));
}

#[test]
fn a_callee_that_uses_up_the_transactions_fuel_ends_the_transaction() {
    let (mut ledger, [a, b, c]) = ledger();
    for limit in [None, Some(1 << 50)] {
        let acts = call(c, &[put("k", "v"), Act::Charge(1 << 40)]);
        let middle = Act::Call { callee: b, fuel_limit: limit, read_only: false, script: script(&[acts]) };
        let receipt = play(&mut ledger, a, &[put("k", "v"), middle, put("more", "v")]).receipt;
        let limit = ledger_core::builder::DEFAULT_FUEL_LIMIT;
        assert_eq!((receipt.status, receipt.fuel_used), (Status::Failed(Failure::OutOfFuel { limit }), limit));
        assert_eq!((value(&ledger, a, "k"), value(&ledger, c, "k")), (None, None));
    }
}

#[test]
fn read_only_holds_for_everything_that_is_called_below_it() {
    const SAYS: &str = "-4294967307 the account may not write in a read-only call on this chain";
    let (mut ledger, [a, b, c]) = ledger();
    for act in [put("k", "v"), emit("news")] {
        assert!(play(&mut ledger, a, &[call_read_only(b, &[act])]).receipt.succeeded());
        assert_eq!(answer(&ledger, a), SAYS);
    }
    // It asks not to be read-only, and is; what was told to `b` can't be written either.
    let insist = Act::Insist { callee: c, script: script(&[put("k", "v")]) };
    play(&mut ledger, a, &[call_read_only(b, &[insist])]);
    assert_eq!(answer(&ledger, a), "-10 the account may not write in a read-only call on this chain");
    assert_eq!(value(&ledger, c, "k"), None);
    // A query is read-only from the beginning.
    let executor = LedgerExecutor::default().with(NativeRuntime::new().with(Puppet));
    let insist = |acts: &[Act]| script(&[Act::Insist { callee: b, script: script(acts) }]);
    let account = AccountId::of_ed25519(&alice().public_key());
    let fuel_limit = Fuel(1_000_000);
    let query = |arguments| Call { account, contract: a, method: "play".to_owned(), arguments, fuel_limit };
    let allowed = executor.query(&query(insist(&[show("k")])), &ledger.context(), &ledger.state).unwrap();
    assert_eq!(allowed.status, Status::Succeeded);
    let refused = executor.query(&query(insist(&[put("k", "v")])), &ledger.context(), &ledger.state).unwrap();
    let message = Text::from("the account may not write in a read-only call on this chain");
    assert_eq!(refused.status, Status::Failed(Failure::Refused { code: 10, message }));
}

#[test]
fn a_running_contract_is_entered_read_only_or_not_at_all() {
    const SAYS: &str = "the account may not change a contract that is running on this chain";
    let (mut ledger, [a, b, _]) = ledger();
    // By itself, and by another that it has called.
    play(&mut ledger, a, &[call(a, &[put("k", "v")])]);
    assert_eq!(answer(&ledger, a), format!("-4294967307 {SAYS}"));
    let back = Act::Insist { callee: a, script: script(&[]) };
    play(&mut ledger, a, &[call(b, &[back])]);
    assert_eq!(answer(&ledger, a), format!("-10 {SAYS}"));
    // Read-only it sees what was written so far, through another too.
    play(&mut ledger, a, &[put("k", "half done"), call_read_only(a, &[show("k")])]);
    assert_eq!(answer(&ledger, a), "+half done");
    play(&mut ledger, a, &[put("k", "done"), call(b, &[put("k", "v"), call_read_only(a, &[show("k")])])]);
    assert_eq!(answer(&ledger, b), "+done");
    // One that has returned is running no more.
    play(&mut ledger, a, &[call(b, &[put("k", "1")]), call(b, &[put("k", "2")])]);
    assert_eq!(value(&ledger, b, "k").as_deref(), Some("2"));
    // Nor is one that has failed.
    play(&mut ledger, a, &[call(b, &[Act::Refuse]), call(b, &[put("k", "3")])]);
    assert_eq!(value(&ledger, b, "k").as_deref(), Some("3"));
}

fn depth_reached(ledger: &mut TestLedger, contract: ContractId) -> u64 {
    let receipt = play(ledger, contract, &[Act::Dive(1)]).receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    u64::from_le_bytes((*receipt.output).try_into().unwrap())
}

#[test]
fn calls_go_as_deep_as_the_rules_and_the_stack_allow() {
    let (mut ledger, [a, ..]) = ledger();
    assert_eq!(depth_reached(&mut ledger, a), 16);
    ledger.rules.max_call_depth = 1;
    assert_eq!(depth_reached(&mut ledger, a), 1);
    ledger.rules.max_call_depth = 64;
    assert_eq!(depth_reached(&mut ledger, a), 64);
    // The outermost contract needs no part of its own.
    ledger.rules.wasm.max_stack_slots = 5 * CALL_STACK_SLOTS + CALL_STACK_SLOTS - 1;
    assert_eq!(depth_reached(&mut ledger, a), 6);
}

#[test]
fn the_stack_is_one_for_all_and_whole_again_after_a_call() {
    let (mut ledger, [a, b, _]) = ledger();
    let whole = ledger.rules.wasm.max_stack_slots;
    let acts = [Act::ShowStack, call(b, &[Act::ShowStack]), call(b, &[Act::Refuse]), Act::ShowStack];
    let receipt = play(&mut ledger, a, &acts).receipt;
    assert_eq!(&*receipt.output, [whole.to_le_bytes(), whole.to_le_bytes()].concat());
    play(&mut ledger, a, &[call(b, &[Act::ShowStack])]);
    let stored = ledger.state.get(&Key::new(a, b"answer".as_slice())).unwrap().unwrap();
    assert_eq!(&stored.value[1..], (whole - CALL_STACK_SLOTS).to_le_bytes());
}

#[test]
fn a_contract_gives_back_what_it_has_taken_of_the_stack_and_no_more() {
    let (mut ledger, [a, b, _]) = ledger();
    let whole = ledger.rules.wasm.max_stack_slots;
    let acts = [
        Act::SetStack(1_000),
        call(b, &[Act::SetStack(9), Act::ShowStack]),
        Act::ShowStack,
        Act::SetStack(2_000),
        Act::ShowStack,
        Act::SetStack(u32::MAX),
        Act::ShowStack,
        // Too little for another one.
        Act::SetStack(CALL_STACK_SLOTS - 1),
        call(b, &[]),
    ];
    let receipt = play(&mut ledger, a, &acts).receipt;
    let shown = [1_000, 2_000, whole].map(u32::to_le_bytes).concat();
    assert_eq!((receipt.status, &*receipt.output), (Status::Succeeded, shown.as_slice()));
    assert_eq!(answer(&ledger, a), "-4294967305 the stack that a call takes of 512 is over the chain's limit of 511");
    // What is entered with little can't make it more.
    play(&mut ledger, a, &[Act::SetStack(1_000), call(b, &[Act::SetStack(900), Act::ShowStack])]);
    let stored = ledger.state.get(&Key::new(a, b"answer".as_slice())).unwrap().unwrap();
    assert_eq!(&stored.value[1..], (1_000 - CALL_STACK_SLOTS).to_le_bytes());
}

/// Swallows every error of the host.
struct Stubborn;

impl Contract for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }

    fn call(&self, host: &mut dyn Host, _: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        let callee = ContractId(Digest::new(arguments.try_into().unwrap()));
        let first = host.call(&callee, "play", &script(&[Act::Charge(1 << 40)]), CallTerms::default());
        assert!(matches!(first, Err(HostError::OutOfFuel { .. })), "{first:?}");
        assert_eq!(host.call(&callee, "play", &script(&[]), CallTerms::default()), first);
        assert_eq!(host.put(b"k", b"v").map(|()| Answer::Returned(Vec::new())), first);
        Ok(b"all is well".to_vec())
    }
}

#[test]
fn out_of_fuel_below_is_out_of_fuel_even_if_the_caller_swallows_it() {
    let executor = LedgerExecutor::default().with(NativeRuntime::new().with(Puppet).with(Stubborn));
    let mut ledger = TestLedger::new(executor);
    let puppet = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    let stubborn = ledger.deploy(&alice(), NATIVE, b"stubborn", b"").unwrap();
    let receipt = ledger.call(&alice(), stubborn, "", puppet.0.as_bytes()).unwrap().receipt;
    let limit = ledger_core::builder::DEFAULT_FUEL_LIMIT;
    assert_eq!((receipt.status, receipt.fuel_used), (Status::Failed(Failure::OutOfFuel { limit }), limit));
}

#[test]
fn what_is_called_pays_for_exactly_what_it_needs() {
    // With the fuel that a simulation used a transaction succeeds, with one less it doesn't.
    let (ledger, [a, b, c]) = ledger();
    let acts =
        script(&[put("k", "v"), call(b, &[call(c, &[put("k", "v"), emit("x")]), Act::Refuse]), call(c, &[show("k")])]);
    let account = AccountId::of_ed25519(&alice().public_key());
    let Fuel(needed) = ledger.simulate(account, a, "play", &acts).unwrap().fuel_used;
    for (limit, succeeds) in [(needed, true), (needed - 1, false)] {
        let mut ledger = ledger.clone();
        let call = ledger_core::TransactionBuilder::call(ledger.chain(), a, "play", acts.to_vec());
        let receipt = ledger.submit(&alice(), call.fuel_limit(Fuel(limit))).unwrap().receipt;
        assert_eq!((receipt.succeeded(), receipt.fuel_used), (succeeds, Fuel(limit)));
    }
}
