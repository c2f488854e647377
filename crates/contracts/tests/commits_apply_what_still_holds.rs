//! What was executed elsewhere is applied if every read still holds and whoever may write says so; else nothing of it is.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::lifecycle::{account, bob, instantiate_with};
use common::{Act, alice, put, script, show};
use ledger_contracts::lifecycle::{Metadata, WritePolicy};
use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::{Contract, Host, LIFECYCLE, LedgerExecutor, NATIVE, NativeRuntime, Trap, UpgradePolicy};
use ledger_core::codec::{Bytes, Text};
use ledger_core::state::SYSTEM;
use ledger_core::{
    ContractId, Endorsement, Execution, Failure, Fuel, Key, KeyRange, ReadWriteSet, Rejection, StateView, Status,
    TransactionBuilder, Version,
};
use ledger_crypto::{Digest, MemorySigner, Signer};

fn carol() -> MemorySigner {
    MemorySigner::from_seed([3; 32])
}

/// Counts the keys with a prefix, and writes the number down.
struct Census;

impl Contract for Census {
    fn name(&self) -> &str {
        "census"
    }

    fn call(&self, host: &mut dyn Host, _: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        let found = host.scan_prefix(arguments, 1_000)?;
        host.put(b"number", found.len().to_string().as_bytes())?;
        Ok(Vec::new())
    }
}

fn executor() -> LedgerExecutor {
    LedgerExecutor::default().with(NativeRuntime::new().with(common::Puppet).with(Census).with(Probe))
}

/// A ledger with a contract of `code` whose state `writes` says who may commit to.
fn with(code: &str, writes: WritePolicy) -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(executor());
    let metadata = Metadata { writes, ..Metadata::default() };
    let contract = instantiate_with(&mut ledger, code, UpgradePolicy::Owner(account(&alice())), metadata);
    (ledger, contract)
}

fn accounts(signers: &[MemorySigner]) -> WritePolicy {
    let mut accounts: Vec<_> = signers.iter().map(account).collect();
    accounts.sort();
    WritePolicy::Accounts(accounts.into())
}

fn key(contract: ContractId, name: &str) -> Key {
    Key::new(contract, name.as_bytes())
}

fn value(ledger: &TestLedger, key: &Key) -> Option<Vec<u8>> {
    Some(ledger.state.get(key).unwrap()?.value.to_vec())
}

fn version(ledger: &TestLedger, key: &Key) -> Option<Version> {
    Some(ledger.state.get(key).unwrap()?.version)
}

/// Writes of `value` to `key`, having read `reads` as they are now.
fn set(ledger: &TestLedger, reads: &[&Key], writes: &[(&Key, Option<&str>)]) -> ReadWriteSet {
    let read = |key: &&Key| ((*key).clone(), version(ledger, key));
    let written =
        |(key, value): &(&Key, Option<&str>)| ((*key).clone(), value.map(|value| Bytes::from(value.as_bytes())));
    ReadWriteSet {
        reads: reads.iter().map(read).collect(),
        ranges: Vec::new().into(),
        writes: writes.iter().map(written).collect(),
    }
}

fn commit(ledger: &mut TestLedger, signer: &MemorySigner, set: &ReadWriteSet) -> Status {
    let result = ledger.submit(signer, TransactionBuilder::commit(ledger.chain(), set)).unwrap();
    assert!(result.receipt.output.is_empty() && result.events.is_empty());
    result.receipt.status
}

fn conflict_names(status: &Status, words: &str) {
    match status {
        Status::Failed(Failure::Conflict { message }) => assert!(message.contains(words), "{message}"),
        other => panic!("no conflict: {other:?}"),
    }
}

fn forbidden(status: &Status, words: &str) {
    match status {
        Status::Failed(Failure::Forbidden { what }) => assert!(what.contains(words), "{what}"),
        other => panic!("not forbidden: {other:?}"),
    }
}

#[test]
fn a_simulated_call_is_committed_with_the_effect_of_the_call() {
    let (mut ledger, puppet) = with("puppet", accounts(&[bob()]));
    let acts = [show("a"), put("a", "1"), put("b", "2"), Act::Delete(Bytes::from(b"c".as_slice()))];
    ledger.call(&alice(), puppet, "play", &script(&[put("a", "0"), put("c", "0")])).unwrap();
    let mut called = ledger.clone();
    called.call(&alice(), puppet, "play", &script(&acts)).unwrap();
    let simulation = ledger.simulate(account(&alice()), puppet, "play", &script(&acts)).unwrap();
    assert_eq!(commit(&mut ledger, &bob(), &simulation.read_write_set()), Status::Succeeded);
    for name in ["a", "b", "c"] {
        assert_eq!(value(&ledger, &key(puppet, name)), value(&called, &key(puppet, name)), "{name}");
    }
    // What it has read is of yesterday now.
    let again = commit(&mut ledger, &bob(), &simulation.read_write_set());
    conflict_names(&again, "0x61");
}

#[test]
fn a_read_that_has_changed_appeared_or_gone_is_a_conflict_that_names_it() {
    let (ledger, puppet) = with("puppet", accounts(&[bob()]));
    let (there, absent, target) = (key(puppet, "there"), key(puppet, "absent"), key(puppet, "to"));
    let mut ledger = ledger;
    ledger.call(&alice(), puppet, "play", &script(&[put("there", "1")])).unwrap();
    let set = set(&ledger, &[&absent, &there], &[(&target, Some("x"))]);
    for (change, words) in [
        (put("there", "1"), "there"),
        (Act::Delete(Bytes::from(b"there".as_slice())), "there"),
        (put("absent", ""), "absent"),
    ] {
        let mut ledger = ledger.clone();
        ledger.call(&alice(), puppet, "play", &script(&[change])).unwrap();
        let status = commit(&mut ledger, &bob(), &set);
        conflict_names(&status, &format!("{:?}", key(puppet, words)));
        assert_eq!(value(&ledger, &target), None);
    }
    assert_eq!(commit(&mut ledger, &bob(), &set), Status::Succeeded);
    assert_eq!(value(&ledger, &target).as_deref(), Some(b"x".as_slice()));
}

#[test]
fn a_phantom_is_caught() {
    let (ledger, census) = with("census", accounts(&[bob()]));
    let mut ledger = ledger;
    let seed = |names: &[&str]| {
        let writes: Vec<_> = names.iter().map(|name| (key(census, name), Some("x"))).collect();
        let writes: Vec<_> = writes.iter().map(|(key, value)| (key, *value)).collect();
        set(&ledger, &[], &writes)
    };
    let (two, inside, outside) = (seed(&["p1", "p3"]), seed(&["p2"]), seed(&["q"]));
    assert_eq!(commit(&mut ledger, &bob(), &two), Status::Succeeded);
    let counted = ledger.simulate(account(&alice()), census, "", b"p").unwrap().read_write_set();
    assert_eq!(counted.ranges.len(), 1);
    assert_eq!(counted.ranges[0].1.len(), 2);

    // A new key in the range, of which no read says anything.
    let mut with_phantom = ledger.clone();
    assert_eq!(commit(&mut with_phantom, &bob(), &inside), Status::Succeeded);
    conflict_names(&commit(&mut with_phantom, &bob(), &counted), "is new in the range");
    // The same within one block, where the key is only in the journal.
    let together = block(&ledger, &[&inside, &counted]);
    assert_eq!(together.results[0].receipt.status, Status::Succeeded);
    conflict_names(&together.results[1].receipt.status, "is new in the range");

    // One less, one changed, one beside the range.
    let gone = set(&ledger, &[], &[(&key(census, "p3"), None)]);
    let changed = set(&ledger, &[], &[(&key(census, "p1"), Some("y"))]);
    for (before, words) in [(&gone, "isn't there any more"), (&changed, "")] {
        conflict_names(&block(&ledger, &[before, &counted]).results[1].receipt.status, words);
    }
    assert_eq!(block(&ledger, &[&outside, &counted]).results[1].receipt.status, Status::Succeeded);

    // An empty range is a read, too.
    let mut empty = set(&ledger, &[], &[(&key(census, "number"), Some("0"))]);
    empty.ranges = vec![(KeyRange::prefix(census, b"z"), Vec::new().into())].into();
    let zebra = set(&ledger, &[], &[(&key(census, "zebra"), Some("x"))]);
    assert_eq!(block(&ledger, &[&empty]).results[0].receipt.status, Status::Succeeded);
    conflict_names(&block(&ledger, &[&zebra, &empty]).results[1].receipt.status, "is new in the range");
}

/// A block of commits by Bob.
fn block(ledger: &TestLedger, sets: &[&ReadWriteSet]) -> Execution {
    let mut ledger = ledger.clone();
    let signed = sets.iter().map(|set| {
        let commit = TransactionBuilder::commit(ledger.chain(), set);
        ledger.sign(&bob(), commit).unwrap()
    });
    let signed = signed.collect();
    ledger.execute(signed).unwrap()
}

#[test]
fn of_two_commits_that_read_and_write_a_key_in_one_block_the_first_wins() {
    let (ledger, puppet) = with("puppet", accounts(&[bob()]));
    let counter = key(puppet, "n");
    let (one, two) =
        (set(&ledger, &[&counter], &[(&counter, Some("1"))]), set(&ledger, &[&counter], &[(&counter, Some("2"))]));
    let executed = block(&ledger, &[&one, &two]);
    assert_eq!(executed.results[0].receipt.status, Status::Succeeded);
    conflict_names(&executed.results[1].receipt.status, "of 3.0");
    // One that names the version of this very block holds.
    let mut follows = two.clone();
    follows.reads = vec![(counter.clone(), Some(Version { height: ledger.height.next(), index: 0 }))].into();
    assert!(block(&ledger, &[&one, &follows]).results[1].receipt.succeeded());
    // One whose key was written and taken back by a failed transaction holds as well.
    let failing = set(&ledger, &[], &[(&counter, Some("0")), (&key(puppet, &"x".repeat(2_000)), Some(""))]);
    let executed = block(&ledger, &[&failing, &one]);
    assert!(matches!(executed.results[0].receipt.status, Status::Failed(Failure::Limit { .. })));
    assert!(executed.results[1].receipt.succeeded());
}

#[test]
fn a_namespace_refuses_commits_unless_its_metadata_name_who_may() {
    for (writes, by_bob) in
        [(WritePolicy::None, false), (accounts(&[alice()]), false), (accounts(&[alice(), bob()]), true)]
    {
        let (mut ledger, puppet) = with("puppet", writes);
        let set = set(&ledger, &[], &[(&key(puppet, "k"), Some("v"))]);
        let status = commit(&mut ledger, &bob(), &set);
        if by_bob {
            assert_eq!(status, Status::Succeeded);
        } else {
            forbidden(&status, &format!("commit to the state of contract {puppet}"));
        }
        assert_eq!(value(&ledger, &key(puppet, "k")).is_some(), by_bob);
    }
}

#[test]
fn every_namespace_that_is_written_has_its_say_and_those_only_read_have_none() {
    let (mut ledger, open) = with("puppet", accounts(&[bob()]));
    let closed = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    ledger.call(&alice(), closed, "play", &script(&[put("k", "v")])).unwrap();
    let (mine, theirs) = (key(open, "k"), key(closed, "k"));
    let mut both = [(&mine, Some("1")), (&theirs, Some("2"))];
    both.sort();
    let writing = set(&ledger, &[], &both);
    forbidden(&commit(&mut ledger, &bob(), &writing), &closed.to_string());
    assert_eq!(value(&ledger, &mine), None);
    let reading = set(&ledger, &[&theirs], &[(&mine, Some("1"))]);
    assert_eq!(commit(&mut ledger, &bob(), &reading), Status::Succeeded);
    // Nobody writes what is the chain's own, nor what belongs to no contract.
    let own = [Key::contract(&open), Key::sequence(&account(&bob()), 0), Key::new(LIFECYCLE, b"k".as_slice())];
    for key in own {
        let set = set(&ledger, &[], &[(&key, Some("x"))]);
        forbidden(&commit(&mut ledger, &bob(), &set), "the chain's own state");
    }
    assert_eq!(Key::contract(&open).namespace, SYSTEM);
    let nobody = ContractId(Digest::new([9; 32]));
    let set = set(&ledger, &[], &[(&key(nobody, "k"), Some("x"))]);
    assert_eq!(commit(&mut ledger, &bob(), &set), Status::Failed(Failure::UnknownContract { contract: nobody }));
}

#[test]
fn a_paused_contract_takes_no_commits() {
    let (mut ledger, puppet) = with("puppet", accounts(&[bob()]));
    ledger.call(&alice(), LIFECYCLE, "pause", puppet.0.as_bytes()).unwrap();
    let set = set(&ledger, &[], &[(&key(puppet, "k"), Some("v"))]);
    forbidden(&commit(&mut ledger, &bob(), &set), "use a paused contract");
}

/// Two of Alice, Bob and Carol have to endorse.
fn endorsed() -> (TestLedger, ContractId) {
    let mut keys: Vec<_> = [alice(), bob(), carol()].iter().map(Signer::public_key).collect();
    keys.sort();
    with("puppet", WritePolicy::Endorsed { keys: keys.into(), least: 2 })
}

#[test]
fn a_commit_needs_as_many_valid_endorsements_as_the_policy_says() {
    let dave = MemorySigner::from_seed([4; 32]);
    let (ledger, puppet) = endorsed();
    let set_of = |value: &str| set(&ledger, &[], &[(&key(puppet, "k"), Some(value))]);
    let verify = ledger.rules.prices.verify;
    let commit = |value: &str| TransactionBuilder::commit(ledger.chain(), &set_of(value));
    let by = |of: &TransactionBuilder, signer: &MemorySigner| {
        Endorsement::sign(&of.envelope(account(&dave)), signer).unwrap()
    };
    let submit = |endorsements: Vec<Endorsement>| {
        let transaction = commit("v").endorsed_by(endorsements);
        ledger.clone().submit(&dave, transaction).unwrap().receipt
    };
    let this = commit("v");
    let other = commit("w");
    let elsewhere = commit("v").sequence(7, 0);
    let for_bob = Endorsement::sign(&this.envelope(account(&bob())), &bob()).unwrap();
    let renamed = Endorsement { key: carol().public_key(), ..by(&this, &alice()) };
    let none = submit(vec![]).fuel_used.0;
    for (endorsements, valid, verified) in [
        (vec![by(&this, &alice()), by(&this, &bob())], 2, 2),
        (vec![by(&this, &carol()), by(&this, &dave), by(&this, &alice())], 2, 2),
        // Enough is enough: the third isn't even looked at.
        (vec![by(&this, &carol()), by(&this, &alice()), by(&this, &bob())], 2, 2),
        (vec![], 0, 0),
        (vec![by(&this, &alice())], 1, 1),
        // A key counts once, one that the policy doesn't name not at all.
        (vec![by(&this, &alice()), by(&this, &alice())], 1, 1),
        (vec![by(&this, &alice()), by(&this, &dave)], 1, 1),
        // Of another body, another place, another account, another key.
        (vec![by(&this, &alice()), by(&other, &bob())], 1, 2),
        (vec![by(&this, &alice()), by(&elsewhere, &bob())], 1, 2),
        (vec![by(&this, &alice()), for_bob], 1, 2),
        (vec![by(&this, &alice()), renamed], 1, 2),
    ] {
        let receipt = submit(endorsements);
        if valid == 2 {
            assert_eq!(receipt.status, Status::Succeeded);
        } else {
            forbidden(&receipt.status, &format!("with {valid} valid endorsements of 2"));
            assert_eq!(receipt.fuel_used.0, none + verified * verify);
        }
    }
}

#[test]
fn an_endorsed_set_without_an_order_counts_once_however_it_is_sent() {
    let dave = MemorySigner::from_seed([4; 32]);
    let (mut ledger, puppet) = endorsed();
    let set = set(&ledger, &[], &[(&key(puppet, "k"), Some("v"))]);
    let expires = ledger.timestamp.plus(60_000);
    let commit = || TransactionBuilder::commit(ledger.chain(), &set).unordered().expires_at(expires);
    let by = |signer: &MemorySigner| Endorsement::sign(&commit().envelope(account(&dave)), signer).unwrap();
    let (first, second, third) = (by(&alice()), by(&bob()), by(&carol()));
    let sent = [
        vec![first.clone(), second.clone()],
        vec![second.clone(), first.clone()],
        vec![first, second.clone(), third.clone()],
        vec![third, second],
    ];
    let sent = sent.map(|endorsements| commit().endorsed_by(endorsements).sign(&dave).unwrap());
    let statuses = sent.map(|transaction| {
        let execution = ledger.apply(vec![transaction]).unwrap();
        execution.results.into_iter().next().unwrap().receipt.status
    });
    assert_eq!(statuses[0], Status::Succeeded);
    for status in &statuses[1..] {
        assert_eq!(*status, Status::Rejected(Rejection::Duplicate));
    }
}

#[test]
fn every_key_that_is_looked_at_again_is_paid_for() {
    let (mut ledger, puppet) = with("puppet", accounts(&[bob()]));
    let names = ["p1", "p2", "p3"];
    let acts: Vec<Act> = names.iter().map(|name| put(name, "value")).collect();
    ledger.call(&alice(), puppet, "play", &script(&acts)).unwrap();
    let prices = ledger.rules.prices;
    let used = |set: &ReadWriteSet| {
        let commit = TransactionBuilder::commit(ledger.chain(), set);
        let receipt = ledger.clone().submit(&bob(), commit).unwrap().receipt;
        assert_eq!(receipt.status, Status::Succeeded);
        let body = ledger_core::codec::encode(set).len() as u64;
        receipt.fuel_used.0 - prices.transaction - body * prices.body_byte
    };
    assert_eq!(used(&set(&ledger, &[], &[])), 0);
    let keys = names.map(|name| key(puppet, name));
    let absent = key(puppet, "p9");
    let reads = set(&ledger, &[&keys[0], &keys[1], &absent], &[]);
    assert_eq!(used(&reads), 3 * prices.read + 2 * 5 * prices.read_byte);
    // Three steps with 2 bytes of key and 5 of value, and one that finds the end.
    let mut ranges = set(&ledger, &[], &[]);
    let there = keys.iter().map(|key| (key.clone(), version(&ledger, key).unwrap()));
    ranges.ranges = vec![(KeyRange::prefix(puppet, b"p"), there.collect())].into();
    assert_eq!(used(&ranges), 4 * prices.read + 3 * 7 * prices.read_byte);
    // And what can't be paid for isn't looked at.
    let commit = TransactionBuilder::commit(ledger.chain(), &ranges).fuel_limit(Fuel(prices.transaction + 2_000));
    let receipt = ledger.clone().submit(&bob(), commit).unwrap().receipt;
    assert!(matches!(receipt.status, Status::Failed(Failure::OutOfFuel { .. })));
}

#[test]
fn a_body_that_is_no_set_in_order_is_invalid() {
    let (ledger, puppet) = with("puppet", accounts(&[bob()]));
    let (a, b) = (key(puppet, "a"), key(puppet, "b"));
    let version = Version { height: ledger.height, index: 0 };
    let listed = |range: KeyRange, keys: &[&Key]| {
        let there = keys.iter().map(|key| ((*key).clone(), version)).collect();
        ReadWriteSet { ranges: vec![(range, there)].into(), ..set(&ledger, &[], &[]) }
    };
    let all = KeyRange::prefix(puppet, b"");
    for (wrong, words) in [
        (set(&ledger, &[&b, &a], &[]), "its keys don't rise"),
        (set(&ledger, &[&a, &a], &[]), "its keys don't rise"),
        (set(&ledger, &[], &[(&b, None), (&a, None)]), "its keys don't rise"),
        (set(&ledger, &[], &[(&a, Some("1")), (&a, Some("2"))]), "its keys don't rise"),
        (listed(all.clone(), &[&b, &a]), "its keys don't rise"),
        (listed(KeyRange::prefix(puppet, b"b"), &[&a]), "a key isn't in the range that lists it"),
    ] {
        let status = commit(&mut ledger.clone(), &bob(), &wrong);
        assert_eq!(status, Status::Failed(Failure::InvalidBody { message: Text::from(words) }));
    }
    let long = key(puppet, &"x".repeat(1_025));
    let bound = KeyRange { from: vec![0; 1_026].into(), ..all.clone() };
    let value = "x".repeat(100_001);
    let mut small = ledger.clone();
    small.rules.max_value_bytes = 100_000;
    for wrong in [
        set(&ledger, &[&long], &[]),
        set(&ledger, &[], &[(&long, None)]),
        set(&ledger, &[], &[(&a, Some(&value))]),
        listed(all, &[&long]),
        listed(bound, &[]),
    ] {
        let status = commit(&mut small.clone(), &bob(), &wrong);
        assert!(matches!(status, Status::Failed(Failure::Limit { .. })), "{status:?}");
    }
}

#[test]
fn a_commit_is_let_in() {
    let (ledger, puppet) = with("puppet", WritePolicy::None);
    let set = set(&ledger, &[], &[(&key(puppet, "k"), Some("v"))]);
    let signed = TransactionBuilder::commit(ledger.chain(), &set).sign(&bob()).unwrap();
    assert_eq!(ledger.executor.admit(&signed, &ledger.context(), &ledger.state).unwrap(), Ok(0));
}
