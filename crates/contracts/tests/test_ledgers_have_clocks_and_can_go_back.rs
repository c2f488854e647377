//! What a test of a contract needs of a ledger: time and blocks, snapshots, lives of contracts, typed calls, expected events,
//! fuel profiles.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Act, Puppet, alice, call, emit, put, script, show};
use ledger_contracts::lifecycle::{Instantiate, Metadata, Upgrade};
use ledger_contracts::testing::{Events, Recorder, TestError, TestLedger, answer};
use ledger_contracts::trace::{Entered, Names, TraceConfig};
use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap, UpgradePolicy, decode_arguments};
use ledger_core::codec::{Bytes, Decode, Encode, Format, Text};
use ledger_core::{AccountId, ContractId, Failure, Fuel, Height, Status, Timestamp};
use ledger_crypto::{MemorySigner, Signer};

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
struct Added {
    by: u32,
    sum: u64,
}

impl Format for Added {
    const NAME: &'static str = "addition";
    const LIMIT: usize = 32;
}

/// Adds up, and tells the time.
struct Sum;

impl Contract for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn migrate(&self, host: &mut dyn Host, _: &[u8]) -> Result<(), Trap> {
        Ok(host.put(b"sum", b"")?)
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "add" => {
                let Added { by, sum } = decode_arguments(arguments)?;
                let sum = sum + u64::from(by);
                host.emit_value("added", &Added { by, sum })?;
                Ok(ledger_core::codec::encode(&Added { by, sum }))
            }
            "time" => Ok(ledger_core::codec::encode(&host.environment().timestamp.0)),
            "height" => Ok(ledger_core::codec::encode(&host.environment().height.0)),
            "caller" => Ok(ledger_core::codec::encode(&host.caller())),
            _ => Err(Trap::UnknownMethod),
        }
    }
}

fn executor() -> LedgerExecutor {
    LedgerExecutor::default().with(NativeRuntime::new().with(Puppet).with(Sum))
}

fn account(signer: &MemorySigner) -> AccountId {
    AccountId::of_ed25519(&signer.public_key())
}

fn with_sum() -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(executor());
    let sum = ledger.deploy(&alice(), NATIVE, b"sum", b"").unwrap();
    (ledger, sum)
}

#[test]
fn time_and_blocks_go_on_as_a_test_says() {
    let (mut ledger, sum) = with_sum();
    let Timestamp(start) = ledger.timestamp;
    assert_eq!(ledger.height, Height(1));
    ledger.advance_blocks(3).unwrap();
    assert_eq!((ledger.height, ledger.timestamp), (Height(4), Timestamp(start + 3_000)));

    ledger.set_time(Timestamp(start + 100_000)).unwrap();
    assert_eq!(ledger.height, Height(5));
    // A simulation is at the last block, a transaction in the next.
    assert_eq!(ledger.ask::<_, u64>(sum, "time", &()).unwrap(), start + 100_000);
    assert_eq!(ledger.invoke::<_, u64>(&alice(), sum, "time", &()).unwrap(), start + 101_000);
    ledger.advance_time(7).unwrap();
    assert_eq!(ledger.ask::<_, u64>(sum, "time", &()).unwrap(), start + 101_007);

    ledger.next_block_at(Timestamp(start + 200_000)).unwrap();
    assert_eq!(ledger.invoke::<_, u64>(&alice(), sum, "time", &()).unwrap(), start + 200_000);
    assert_eq!(ledger.invoke::<_, u64>(&alice(), sum, "time", &()).unwrap(), start + 201_000);
    // The same time again is none before it.
    ledger.set_time(Timestamp(start + 201_000)).unwrap();

    let height = ledger.height;
    let refused = ledger.set_time(Timestamp(start)).unwrap_err();
    assert!(matches!(refused, TestError::TimeRunsBack { asked, .. } if asked == Timestamp(start)), "{refused}");
    assert_eq!(ledger.height, height);
}

#[test]
fn a_restored_ledger_goes_on_as_the_first_time() {
    let mut ledger = TestLedger::new(executor());
    let puppet = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    ledger.call(&alice(), puppet, "play", &script(&[put("k", "before")])).unwrap();
    let snapshot = ledger.snapshot();
    let before = ledger.clone();

    let go_on = |ledger: &mut TestLedger| {
        ledger.rules.max_key_bytes = 3;
        let first = ledger.call(&alice(), puppet, "play", &script(&[show("k"), put("k", "after")])).unwrap();
        let second = ledger.call(&alice(), puppet, "play", &script(&[show("k"), put("long key", "")])).unwrap();
        ledger.advance_time(50_000).unwrap();
        (first, second)
    };
    let once = go_on(&mut ledger);
    assert_eq!(&*once.0.receipt.output, b"before");
    assert!(!once.1.receipt.succeeded());
    for _ in 0..2 {
        ledger.restore(&snapshot);
        assert_eq!((&ledger.state, &ledger.rules), (&before.state, &before.rules));
        assert_eq!((ledger.height, ledger.timestamp), (before.height, before.timestamp));
        // The lane's numbers as well: the transactions are the same, down to their ids.
        assert_eq!(go_on(&mut ledger), once);
    }
    // Neither the snapshot nor a clone has noticed.
    assert_ne!(ledger.state, before.state);
    let mut other = TestLedger::new(executor());
    other.restore(&snapshot);
    assert_eq!(go_on(&mut other), once);
}

#[test]
fn contracts_are_made_upgraded_paused_and_described() {
    let mut ledger = TestLedger::new(executor());
    let bob = MemorySigner::from_seed([2; 32]);
    let code = ledger.upload(&alice(), NATIVE, b"sum").unwrap();
    assert_eq!(code, ledger_contracts::record::code_digest(b"sum"));
    let metadata = Metadata { source: Text::from("https://example.org"), ..Metadata::default() };
    let instantiate = Instantiate {
        runtime: Text::from(NATIVE),
        code,
        policy: UpgradePolicy::Owner(account(&alice())),
        metadata: metadata.clone(),
        arguments: Bytes::default(),
    };
    let contract = ledger.instantiate(&alice(), &instantiate).unwrap();
    let described = ledger.describe(contract).unwrap();
    assert_eq!((described.record.code, described.metadata, described.record.paused), (code, metadata, false));

    ledger.pause(&alice(), contract).unwrap();
    assert!(ledger.describe(contract).unwrap().record.paused);
    let paused = ledger.ask::<_, u64>(contract, "time", &()).unwrap_err();
    assert!(matches!(paused, TestError::NoEffect { status: Status::Failed(Failure::Forbidden { .. }) }), "{paused}");
    assert!(matches!(ledger.resume(&bob, contract), Err(TestError::NoEffect { .. })));
    ledger.resume(&alice(), contract).unwrap();

    let upgrade = Upgrade { contract, runtime: Text::from(NATIVE), code, metadata: None, arguments: Bytes::default() };
    assert!(matches!(ledger.upgrade(&bob, &upgrade), Err(TestError::NoEffect { .. })));
    let result = ledger.upgrade(&alice(), &upgrade).unwrap();
    Events::of(&result.events).topics(&["upgraded"]).unwrap();
    let nobody = ContractId(code);
    assert!(matches!(
        ledger.describe(nobody),
        Err(TestError::NoEffect { status: Status::Failed(Failure::UnknownContract { .. }) })
    ));
}

#[test]
fn arguments_and_answers_are_values() {
    let (mut ledger, sum) = with_sum();
    let added: Added = ledger.invoke(&alice(), sum, "add", &Added { by: 5, sum: 1 << 40 }).unwrap();
    assert_eq!(added, Added { by: 5, sum: (1 << 40) + 5 });
    // A tuple is encoded like a struct.
    let result = ledger.send(&alice(), sum, "add", &(5u32, 1u64 << 40)).unwrap();
    assert_eq!(answer::<Added>(&result).unwrap(), added);
    assert_eq!(answer::<(u32, u64)>(&result).unwrap(), (5, added.sum));
    let wrong = answer::<AccountId>(&result).unwrap_err();
    assert!(matches!(wrong, TestError::Answer { .. }), "{wrong}");
    let refused = ledger.invoke::<_, ()>(&alice(), sum, "add", &()).unwrap_err();
    assert!(matches!(refused, TestError::NoEffect { status: Status::Failed(Failure::Refused { .. }) }), "{refused}");
    let bob = account(&MemorySigner::from_seed([2; 32]));
    assert_eq!(ledger.ask_as::<_, AccountId>(bob, sum, "caller", &()).unwrap(), bob);
    assert_eq!(ledger.ask::<_, u64>(sum, "height", &()).unwrap(), ledger.height.0);
}

#[test]
fn events_are_held_against_what_is_expected() {
    let (mut ledger, sum) = with_sum();
    let puppet = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    let added = ledger.send(&alice(), sum, "add", &(2u32, 3u64)).unwrap();
    let told = ledger.call(&alice(), puppet, "play", &script(&[emit("x"), emit("y"), emit("x")])).unwrap();
    let events = [added.events.to_vec(), told.events.to_vec()].concat();
    let all = || Events::of(&events);

    all().exactly(4).unwrap();
    all().by(puppet).exactly(3).unwrap();
    all().topic("puppet").bytes(b"x").exactly(2).unwrap();
    all().topic("added").data(&Added { by: 2, sum: 5 }).exactly(1).unwrap();
    all().matching(|added: &Added| added.sum == 5).at_least(1).unwrap();
    all().by(sum).topic("puppet").none().unwrap();
    all().topics(&["added", "puppet", "puppet", "puppet"]).unwrap();
    assert_eq!(all().topic("added").decoded::<Added>().unwrap(), [Added { by: 2, sum: 5 }]);
    assert_eq!((all().by(puppet).count(), all().by(puppet).list().len()), (3, 3));

    for missed in [
        all().by(puppet).exactly(2),
        all().by(puppet).at_least(4),
        all().topic("puppet").none(),
        all().topics(&["puppet", "added"]),
        all().matching(|added: &Added| added.sum == 6).exactly(1),
        all().data(&Added { by: 2, sum: 6 }).at_least(1),
        all().topic("puppet").decoded::<Added>().map(|_| ()),
    ] {
        let missed = missed.unwrap_err();
        let words = missed.to_string();
        // It says what there was, and unwrapping it does too.
        for there in ["\"added\"", "\"puppet\"", &puppet.to_string(), "0205 (2 bytes)", "78 (1 bytes)"] {
            assert!(words.contains(there), "{there} isn't in: {words}");
        }
        assert_eq!(format!("{missed:?}"), words);
    }
    let words = all().by(puppet).topic("puppet").exactly(2).unwrap_err().to_string();
    assert!(
        words.starts_with(&format!("expected exactly 2 events from {puppet} with topic \"puppet\", but there are 3"))
    );
    assert!(Events::of(&[]).at_least(1).unwrap_err().to_string().ends_with("all events: none"));
}

#[test]
fn a_profile_says_where_fuel_goes() {
    let recorder = Recorder::new(executor());
    let mut ledger = TestLedger::new(recorder.clone());
    let [a, b] = [1, 2].map(|_| ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap());
    recorder.clear();
    let burn = |fuel| [Act::Charge(fuel)];
    for fuel in [5_000, 1_000, 9_000] {
        ledger.call(&alice(), a, "play", &script(&[call(b, &burn(fuel)), Act::Charge(100_000)])).unwrap();
    }
    ledger.call(&alice(), b, "play", &script(&[Act::Refuse])).unwrap();
    let profile = recorder.profile();
    let play = Entered::Method(Text::from("play"));
    let (outer, inner) = (profile.row(&a, &play).unwrap(), profile.row(&b, &play).unwrap());
    assert_eq!((outer.calls, outer.failed, inner.calls, inner.failed), (3, 0, 4, 1));
    assert!(outer.own_fuel > Fuel(300_000) && inner.own_fuel > Fuel(15_000) && inner.own_fuel < Fuel(100_000));
    // What the callee used is part of the caller's.
    assert!(outer.fuel.0 > outer.own_fuel.0 + 15_000);
    assert_eq!(inner.fuel, inner.own_fuel);
    // Of four, sorted: refused, 1,000, 5,000, 9,000.
    let apart = inner.most.0 - inner.median.0;
    assert!((7_900..8_100).contains(&apart), "{inner:?}");
    assert!(inner.least < inner.median);
    assert_eq!(profile.rows(), [outer.clone(), inner.clone()]);
    assert_eq!(profile.transactions(), 4);

    let used: u64 = recorder.traces().iter().map(|trace| trace.fuel_used.0).sum();
    assert_eq!(outer.own_fuel.0 + inner.own_fuel.0 + profile.outside_calls().0, used);

    let table = profile.table(&Names::new().with(a, "outer").with(b, "inner"));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("method") && lines[1].starts_with("outer.play") && lines[2].starts_with("inner.play"));
    let width = lines[0].chars().count();
    assert!(lines[..3].iter().all(|line| line.chars().count() == width), "{table}");

    // The same again gives the same, whatever was recorded in between.
    let again = {
        let recorder = Recorder::new(executor());
        let mut ledger = TestLedger::new(recorder.clone());
        let [a, b] = [1, 2].map(|_| ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap());
        recorder.clear();
        for fuel in [5_000, 1_000, 9_000] {
            ledger.call(&alice(), a, "play", &script(&[call(b, &burn(fuel)), Act::Charge(100_000)])).unwrap();
        }
        ledger.call(&alice(), b, "play", &script(&[Act::Refuse])).unwrap();
        recorder.profile()
    };
    assert_eq!(again, profile);
}

#[test]
fn a_method_within_itself_counts_once() {
    let recorder = Recorder::new(executor()).config(TraceConfig::default());
    let mut ledger = TestLedger::new(recorder.clone());
    let puppet = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    recorder.clear();
    ledger.call(&alice(), puppet, "play", &script(&[Act::Dive(1)])).unwrap();
    let trace = recorder.last().unwrap();
    let row = recorder.profile().row(&puppet, &Entered::Method(Text::from("play"))).unwrap();
    assert!(row.calls > 10);
    assert_eq!(row.fuel, trace.call().unwrap().fuel);
    assert_eq!(row.own_fuel, row.fuel);
}

#[test]
fn a_recorder_keeps_the_latest() {
    let recorder = Recorder::new(executor()).keep(2);
    let mut ledger = TestLedger::new(recorder.clone());
    let puppet = ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap();
    for _ in 0..3 {
        ledger.call(&alice(), puppet, "play", &script(&[])).unwrap();
    }
    ledger.simulate(account(&alice()), puppet, "play", &script(&[])).unwrap();
    let traces = recorder.traces();
    assert_eq!(traces.len(), 2);
    assert_eq!(recorder.last().as_ref(), traces.last());
    assert_eq!(traces.last().unwrap().transaction, None);
    assert_eq!(recorder.profile().transactions(), 5);
}
