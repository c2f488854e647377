//! Traces of native contracts, of modules, of lives of contracts and of commits, as people and as tools read them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Act, Puppet, alice, call, call_read_only, emit, put, script, show};
use ledger_contracts::lifecycle::{Metadata, Upgrade, WritePolicy};
use ledger_contracts::testing::{Recorder, TestLedger};
use ledger_contracts::trace::{AccessKind, End, Entered, Kind, Names, TransactionTrace};
use ledger_contracts::{
    CodeError, Contract, Host, Invocation, LIFECYCLE, LedgerExecutor, NATIVE, NativeRuntime, Prepared, Runtime, Trap,
    UpgradePolicy,
};
use ledger_core::codec::{Bytes, Text};
use ledger_core::{AccountId, ContractId, Failure, ReadWriteSet, Rules, TransactionBuilder};
use ledger_crypto::{Digest, Signer};

fn account() -> AccountId {
    AccountId::of_ed25519(&alice().public_key())
}

fn recorded(runtime: impl Runtime + 'static) -> (TestLedger, Recorder) {
    let native = NativeRuntime::new().with(Puppet).with(Ages(1)).with(Ages(2));
    let recorder = Recorder::new(LedgerExecutor::default().with(native).with(runtime));
    (TestLedger::new(recorder.clone()), recorder)
}

fn puppets() -> (TestLedger, Recorder, [ContractId; 3]) {
    let (mut ledger, recorder) = recorded(Stumbling);
    let puppets = core::array::from_fn(|_| ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap());
    (ledger, recorder, puppets)
}

/// A text without what depends on prices: the numbers after `fuel` and `own`.
fn without_fuel(text: &str) -> String {
    let mut out = String::new();
    let mut skip = false;
    for word in text.split_inclusive([' ', '\n']) {
        if skip {
            out += "_";
            out.extend(word.chars().filter(|c| [',', ' ', '\n'].contains(c)).skip_while(|c| *c == ',').take(1));
        } else {
            out += word;
        }
        skip = matches!(word.trim_end(), "fuel" | "own");
    }
    out
}

#[test]
fn a_tree_shows_calls_in_calls_with_what_they_did_and_how_they_ended() {
    let (mut ledger, recorder, [a, b, c]) = puppets();
    let failing = [put("k", "vv"), call(c, &[emit("deep")]), Act::Delete(Bytes::from(&b"k"[..])), Act::Refuse];
    let acts = [
        show("k"),
        show("k"),
        put("k", "v"),
        Act::Collect(Bytes::default(), Some(Bytes::from(&b"z"[..])), 5, Bytes::from(&b"all"[..])),
        call(b, &failing),
        call_read_only(c, &[show("k")]),
        emit("done"),
    ];
    let result = ledger.call(&alice(), a, "play", &script(&acts)).unwrap();
    assert!(result.receipt.succeeded());
    let trace = recorder.last().unwrap();
    let names = Names::new().with(a, "a").with(b, "b").with(c, "c");
    let id = &result.receipt.transaction.to_string()[..8];
    let by = &account().to_string()[..8];
    let text = without_fuel(&trace.tree(&names).to_string());
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once(".play(") {
            // Scripts are long and of no interest.
            Some((front, rest)) => format!("{front}.play · {}", rest.split_once(" · ").unwrap().1),
            None => line.to_owned(),
        })
        .collect();
    let expected = format!(
        r#"call {id}, place 0 · by {by} · fuel _ of 2,500,000, own _ · succeeded
└─ a.play · native · fuel _ own _
   ├─ read "k", which isn't there, 2 times
   ├─ write "k" 1 bytes
   ├─ scan nothing to "z", 1 entries of 2 bytes
   ├─ write "all" 2 bytes
   ├─ b.play · native · fuel _ own _ · taken back
   │  ├─ write "k" 2 bytes
   │  ├─ c.play · native · fuel _ own _ · taken back
   │  │  ├─ event "puppet" "deep"
   │  │  └─ returned nothing
   │  ├─ write "answer" 1 bytes
   │  ├─ delete "k"
   │  └─ failed: the contract refused (9): as told
   ├─ write "answer" 10 bytes
   ├─ c.play · native · read-only · fuel _ own _
   │  ├─ read "k", which isn't there
   │  └─ returned nothing
   ├─ write "answer" 1 bytes
   ├─ event "puppet" "done"
   └─ returned nothing"#
    );
    assert_eq!(lines.join("\n"), expected, "{}", trace.tree(&names));
}

#[test]
fn json_says_the_same() {
    let (mut ledger, recorder, [a, b, _]) = puppets();
    let acts = [show("k"), put("k", "v"), call(b, &[emit("x\u{0}\""), Act::Refuse]), Act::Charge(5)];
    let result = ledger.call(&alice(), a, "play", &script(&acts)).unwrap();
    let trace = recorder.last().unwrap();
    let json: serde_json::Value = serde_json::from_str(&trace.to_json()).unwrap();
    assert_eq!(json["transaction"], result.receipt.transaction.to_string());
    assert_eq!(json["account"], account().to_string());
    assert_eq!((&json["kind"], &json["status"]["kind"]), (&"call".into(), &"succeeded".into()));
    assert_eq!(json["fuel_used"], result.receipt.fuel_used.0);
    let call = &json["steps"][0]["call"];
    assert_eq!((&call["contract"], &call["method"]), (&a.to_string().into(), &"play".into()));
    assert_eq!((&call["entry"], &call["runtime"]), (&"method".into(), &"native".into()));
    assert_eq!(call["arguments"]["length"], script(&acts).len());
    let read = &call["steps"][0]["access"];
    assert_eq!((&read["kind"], &read["key"]["head"], &read["bytes"]), (&"read".into(), &"6b".into(), &().into()));
    assert_eq!(call["steps"][1]["access"]["kind"], "write");
    let inner = &call["steps"][2]["call"];
    assert_eq!((&inner["taken_back"], &call["taken_back"]), (&true.into(), &false.into()));
    assert_eq!(inner["caller"], AccountId::of_contract(&a).to_string());
    assert_eq!((&inner["end"]["kind"], &inner["end"]["code"]), (&"failed".into(), &9.into()));
    assert_eq!(inner["end"]["words"], "as told");
    assert_eq!(inner["steps"][0]["event"]["data"]["head"], "780022");
    assert_eq!(call["end"], serde_json::json!({"kind": "returned", "output": {"length": 0, "head": ""}}));
}

#[test]
fn what_does_not_come_to_run_is_in_the_trace() {
    let (mut ledger, recorder, [a, ..]) = puppets();
    let nobody = ContractId(Digest::new([7; 32]));
    ledger.call(&alice(), a, "play", &script(&[call(nobody, &[]), call(a, &[])])).unwrap();
    let trace = recorder.last().unwrap();
    let failures: Vec<_> = trace.call().unwrap().calls().map(|call| (call.runtime.clone(), call.end.clone())).collect();
    let unknown = Failure::UnknownContract { contract: nobody };
    let running = Failure::Forbidden { what: Text::from("change a contract that is running") };
    let failed = |failure| (None, End::Failed { failure, function: None });
    assert_eq!(failures, [failed(unknown), failed(running)]);

    ledger.call(&alice(), nobody, "play", b"").unwrap();
    let trace = recorder.last().unwrap();
    assert_eq!(
        trace.call().unwrap().end,
        End::Failed { failure: Failure::UnknownContract { contract: nobody }, function: None }
    );
}

#[test]
fn a_method_that_prints_like_lines_of_a_trace_is_escaped() {
    let (mut ledger, recorder, [a, ..]) = puppets();
    ledger.call(&alice(), a, "x\n└─ \u{1b}[31m", b"").unwrap();
    let text = recorder.last().unwrap().to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

/// Has a constructor and a migration.
struct Ages(u8);

impl Contract for Ages {
    fn name(&self) -> &str {
        if self.0 == 1 { "young" } else { "old" }
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        Ok(host.put(b"made", arguments)?)
    }

    fn migrate(&self, host: &mut dyn Host, _: &[u8]) -> Result<(), Trap> {
        host.delete(b"made")?;
        Err(Trap::refused(1, "too old"))
    }

    fn call(&self, _: &mut dyn Host, _: &str, _: &[u8]) -> Result<Vec<u8>, Trap> {
        Ok(Vec::new())
    }
}

fn keys(trace: &[&TransactionTrace]) -> Vec<(ContractId, Vec<u8>)> {
    let one = |trace: &&TransactionTrace| -> Vec<_> {
        trace
            .accesses()
            .map(|access| (access.namespace, access.key.head.get(..1).unwrap_or_default().to_vec()))
            .collect()
    };
    trace.iter().flat_map(one).collect()
}

#[test]
fn deployments_and_lives_of_contracts_are_traced() {
    let (mut ledger, recorder) = recorded(Stumbling);
    ledger.deploy(&alice(), NATIVE, b"young", b"early").unwrap();
    let trace = recorder.last().unwrap();
    assert_eq!(trace.kind, Kind::Deploy);
    let constructor = trace.call().unwrap();
    assert_eq!((&constructor.entry, constructor.caller), (&Entered::Constructor, account()));
    assert_eq!(&*constructor.arguments.head, b"early");
    assert!(matches!(constructor.accesses().next().unwrap().kind, AccessKind::Write { bytes: 5 }));
    let system = ledger_core::state::SYSTEM;
    assert_eq!(keys(&[&trace]), [(system, b"k".to_vec()), (system, b"c".to_vec())]);

    let owner = UpgradePolicy::Owner(account());
    let arguments = Bytes::from(&b"a"[..]);
    let contract = ledger.install(&alice(), (NATIVE, b"young"), owner, Metadata::default(), &arguments).unwrap();
    let trace = recorder.last().unwrap();
    let lifecycle = trace.call().unwrap();
    assert_eq!((lifecycle.contract, &lifecycle.runtime, lifecycle.entry.name()), (LIFECYCLE, &None, "instantiate"));
    assert_eq!(&*lifecycle.events().next().unwrap().topic, "instantiated");
    let constructor = lifecycle.calls().next().unwrap();
    assert_eq!((constructor.contract, &constructor.entry), (contract, &Entered::Constructor));
    assert_eq!(constructor.runtime.as_deref(), Some(NATIVE));

    let code = ledger.upload(&alice(), NATIVE, b"old").unwrap();
    let upgrade = Upgrade { contract, runtime: Text::from(NATIVE), code, metadata: None, arguments: Bytes::default() };
    ledger.upgrade(&alice(), &upgrade).unwrap_err();
    let trace = recorder.last().unwrap();
    let migration = trace.call().unwrap().calls().next().unwrap();
    assert_eq!((&migration.entry, migration.taken_back), (&Entered::Migration, true));
    assert!(trace.call().unwrap().taken_back);
}

#[test]
fn commits_are_traced() {
    let (mut ledger, recorder, _) = puppets();
    let writes = WritePolicy::Accounts(vec![account()].into());
    let metadata = Metadata { writes, ..Metadata::default() };
    let puppet = ledger.install(&alice(), (NATIVE, b"puppet"), UpgradePolicy::Immutable, metadata, &()).unwrap();
    ledger.call(&alice(), puppet, "play", &script(&[put("a", "12"), put("b", "345")])).unwrap();
    let acts = script(&[
        show("a"),
        Act::Collect(Bytes::default(), None, 9, Bytes::from(&b"c"[..])),
        Act::Delete(Bytes::from(&b"b"[..])),
    ]);
    let simulation = ledger.simulate(account(), puppet, "play", &acts).unwrap();
    let set: ReadWriteSet = simulation.read_write_set();
    let commit = TransactionBuilder::commit(ledger.chain(), &set);
    assert!(ledger.submit(&alice(), commit).unwrap().receipt.succeeded());
    let trace = recorder.last().unwrap();
    assert_eq!((trace.kind, trace.call()), (Kind::Commit, None));
    let kinds: Vec<AccessKind> =
        trace.accesses().filter(|access| access.namespace == puppet).map(|access| access.kind.clone()).collect();
    assert_eq!(
        kinds,
        [AccessKind::Scan { to: None, entries: 2, bytes: 7 }, AccessKind::Delete, AccessKind::Write { bytes: 7 },]
    );
    assert_eq!(trace.own_fuel, trace.fuel_used);
}

/// A machine that knows where its contracts stumble.
struct Stumbling;

impl Runtime for Stumbling {
    fn name(&self) -> &str {
        "stumbling"
    }

    fn prepare(&self, _: &[u8], _: &Rules) -> Result<Prepared, CodeError> {
        Ok(Prepared::new(()))
    }

    fn call(&self, _: &Prepared, invocation: &Invocation<'_>, host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        if invocation.arguments.is_empty() {
            return Ok(Vec::new());
        }
        host.broke_down_in("step::second");
        Err(Trap::broken("unreachable executed"))
    }
}

#[test]
fn a_machine_says_where_a_contract_broke_down_and_no_receipt_does() {
    let (mut ledger, recorder) = recorded(Stumbling);
    let contract = ledger.deploy(&alice(), "stumbling", b"", b"").unwrap();
    let receipt = ledger.call(&alice(), contract, "walk", b"fast").unwrap().receipt;
    let trace = recorder.last().unwrap();
    let End::Failed { function, .. } = &trace.call().unwrap().end else { panic!("{trace}") };
    assert_eq!(function.as_deref(), Some("step::second"));
    assert!(trace.to_string().contains("failed in \"step::second\": the contract trapped: unreachable executed"));
    assert!(!format!("{receipt:?}").contains("second"));
}

#[cfg(feature = "wasm")]
mod wasm {
    use super::*;
    use ledger_contracts::wasm::{WASM, WasmRuntime};

    /// `store` puts a value, `twice` calls `store` of itself read-only, `trap` divides by zero in a function of its own.
    const MODULE: &str = r#"(module
        (import "ledgerkit.1" "put" (func $put (param i32 i32 i32 i32)))
        (import "ledgerkit.1" "contract" (func $contract (param i32)))
        (import "ledgerkit.1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
        (import "ledgerkit.1" "return" (func $return (param i32 i32)))
        (memory 1)
        (data (i32.const 0) "key") (data (i32.const 8) "value") (data (i32.const 16) "store")
        (func $store (export "call_store")
            (call $put (i32.const 0) (i32.const 3) (i32.const 8) (i32.const 5))
            (call $return (i32.const 8) (i32.const 5)))
        (func (export "call_twice")
            (call $store)
            (call $contract (i32.const 100))
            (drop (call $call (i32.const 100) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1))))
        (func (export "call_trap")
            (call $store)
            (call $halve))
        (func $halve
            (call $deeper)
            (drop (i32.div_u (i32.const 1) (i32.const 0))))
        (func $deeper)
        (func (export "call_wild") (call $deeper) (call $reach))
        (func $reach (call $put (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0))))"#;

    #[test]
    fn modules_are_traced_alike_on_every_engine() {
        let engines = [
            WasmRuntime::wasmi().unwrap(),
            #[cfg(feature = "wasmtime")]
            WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
        ];
        for engine in engines {
            let (mut ledger, recorder) = recorded(engine);
            let contract = ledger.deploy(&alice(), WASM, &wat::parse_str(MODULE).unwrap(), b"").unwrap();
            let receipt = ledger.call(&alice(), contract, "twice", b"").unwrap().receipt;
            assert!(receipt.succeeded(), "{receipt:?}");
            let trace = recorder.last().unwrap();
            let names = Names::new().with(contract, "it");
            let text = without_fuel(&trace.tree(&names).to_string());
            let below = text.split_once('\n').unwrap().1;
            let expected = r#"└─ it.twice(nothing) · wasm · fuel _ own _
   ├─ write "key" 5 bytes
   ├─ it.store(nothing) · wasm · read-only · fuel _ own _ · taken back
   │  └─ failed: the account may not write in a read-only call on this chain
   └─ returned "value""#;
            assert_eq!(below, expected, "{trace}");

            ledger.call(&alice(), contract, "trap", b"").unwrap();
            let trace = recorder.last().unwrap();
            let call = trace.call().unwrap();
            let End::Failed { failure, function } = &call.end else { panic!("{trace}") };
            // `$deeper` has returned.
            assert_eq!(function.as_deref(), Some("halve"));
            assert_eq!(*failure, Failure::Trapped { message: Text::from("integer divide by zero") });
            assert!(call.taken_back);
            assert_eq!(call.accesses().count(), 1);

            // An import that is given a wrong pointer is where its caller is.
            ledger.call(&alice(), contract, "wild", b"").unwrap();
            let text = recorder.last().unwrap().to_string();
            assert!(text.contains("failed in \"reach\": the contract trapped: memory access out of bounds"), "{text}");
        }
    }
}
