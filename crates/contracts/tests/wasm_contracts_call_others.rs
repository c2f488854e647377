//! Contracts in WebAssembly call each other and native ones, on one journal, one fuel limit and one stack.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::wasm::{WASM, WasmRuntime};
use ledger_contracts::{Answer, CallTerms, Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::{ContractId, Failure, Fuel, Receipt, Status, TransactionBuilder};
use ledger_crypto::{Digest, MemorySigner};

/// `relay` calls the contract in the first 32 bytes of its arguments: its method `target`, with the rest as arguments, and
/// returns what the import answered (8 bytes) and what was in the result buffer. `target` puts its arguments under `t`,
/// emits, and refuses if they begin with `!`. `again` calls itself, read-only, as deep as it goes, each level with `deep`
/// calls of functions below it, and returns the number of levels.
const RELAY: &str = r#"(module
    (import "ledgerkit.1" "arguments" (func $arguments (param i32 i32 i32)))
    (import "ledgerkit.1" "arguments_len" (func $arguments_len (result i32)))
    (import "ledgerkit.1" "result" (func $result (param i32 i32 i32)))
    (import "ledgerkit.1" "result_len" (func $result_len (result i32)))
    (import "ledgerkit.1" "put" (func $put (param i32 i32 i32 i32)))
    (import "ledgerkit.1" "emit" (func $emit (param i32 i32 i32 i32)))
    (import "ledgerkit.1" "contract" (func $contract (param i32)))
    (import "ledgerkit.1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
    (import "ledgerkit.1" "return" (func $return (param i32 i32)))
    (import "ledgerkit.1" "refuse" (func $refuse (param i32 i32 i32)))
    (memory 1)
    (data (i32.const 0) "target") (data (i32.const 8) "t") (data (i32.const 16) "again")
    (func $answer (param $code i64)
        (i64.store (i32.const 2000) (local.get $code))
        (call $result (i32.const 2008) (i32.const 0) (call $result_len))
        (call $return (i32.const 2000) (i32.add (call $result_len) (i32.const 8))))
    (func (export "call_relay")
        (call $arguments (i32.const 100) (i32.const 0) (call $arguments_len))
        (call $answer (call $call (i32.const 100) (i32.const 0) (i32.const 6) (i32.const 132)
            (i32.sub (call $arguments_len) (i32.const 32)) (i64.const -1) (i32.const 0))))
    (func (export "call_target")
        (call $arguments (i32.const 100) (i32.const 0) (call $arguments_len))
        (call $put (i32.const 8) (i32.const 1) (i32.const 100) (call $arguments_len))
        (call $emit (i32.const 8) (i32.const 1) (i32.const 100) (call $arguments_len))
        (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 33))
            (then (call $refuse (i32.const 9) (i32.const 100) (call $arguments_len))))
        (call $return (i32.const 8) (i32.const 1)))
    ;; Goes `deep` calls down, and calls itself as a contract from there. Each byte returned counts a level.
    (func $down (param $deep i32)
        (if (local.get $deep)
            (then (call $down (i32.sub (local.get $deep) (i32.const 1))))
            (else
                (call $contract (i32.const 3000))
                (drop (call $call (i32.const 3000) (i32.const 16) (i32.const 5) (i32.const 100) (i32.const 4) (i64.const -1) (i32.const 1)))
                (call $result (i32.const 4001) (i32.const 0) (call $result_len))
                (call $return (i32.const 4000) (i32.add (call $result_len) (i32.const 1))))))
    (func (export "call_again")
        (call $arguments (i32.const 100) (i32.const 0) (i32.const 4))
        (call $down (i32.load (i32.const 100)))))"#;

/// A native contract whose method `target` calls `target` of the contract named in its arguments.
struct Native;

impl Contract for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        assert_eq!(method, "target");
        let Some((callee, rest)) = arguments.split_first_chunk::<32>() else { return Ok(b"native".to_vec()) };
        match host.call(&ContractId(Digest::new(*callee)), "target", rest, CallTerms::default())? {
            Answer::Returned(output) => Ok(output),
            Answer::Failed(failure) => Ok(failure.words().into_bytes()),
        }
    }
}

fn engines() -> Vec<WasmRuntime> {
    vec![
        WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

struct World {
    ledger: TestLedger,
    signer: MemorySigner,
    one: ContractId,
    other: ContractId,
    native: ContractId,
}

impl World {
    fn new(runtime: WasmRuntime) -> Self {
        let executor = LedgerExecutor::default().with(runtime).with(NativeRuntime::new().with(Native));
        let mut ledger = TestLedger::new(executor);
        let signer = MemorySigner::from_seed([1; 32]);
        let code = wat::parse_str(RELAY).unwrap();
        let mut deploy = |runtime, code: &[u8]| ledger.deploy(&signer, runtime, code, b"").unwrap();
        let (one, other, native) = (deploy(WASM, &code), deploy(WASM, &code), deploy(NATIVE, b"native"));
        World { ledger, signer, one, other, native }
    }

    fn call(&mut self, contract: ContractId, method: &str, arguments: &[u8]) -> (Receipt, usize) {
        let call = TransactionBuilder::call(self.ledger.chain(), contract, method, arguments.to_vec());
        let result = self.ledger.submit(&self.signer, call.fuel_limit(Fuel(50_000_000))).unwrap();
        (result.receipt, result.events.len())
    }

    fn relay(&mut self, from: ContractId, to: ContractId, rest: &[u8]) -> (i64, Vec<u8>, usize) {
        let (receipt, events) = self.call(from, "relay", &[to.0.as_bytes(), rest].concat());
        assert!(receipt.succeeded(), "{receipt:?}");
        let (code, words) = receipt.output.split_first_chunk::<8>().unwrap();
        (i64::from_le_bytes(*code), words.to_vec(), events)
    }

    fn value(&self, contract: ContractId) -> Option<Vec<u8>> {
        let mut all = self.ledger.state.iter();
        all.find(|(key, _)| key.namespace == contract && &*key.name == b"t").map(|(_, found)| found.value.to_vec())
    }
}

#[test]
fn calls_go_both_ways_and_what_fails_is_undone() {
    for runtime in engines() {
        let mut world = World::new(runtime);
        let (one, other, native) = (world.one, world.other, world.native);
        assert_eq!(world.relay(one, other, b"hello"), (1, b"t".to_vec(), 1));
        assert_eq!(world.value(other).unwrap(), b"hello");
        assert_eq!(world.relay(one, other, b"!no"), (-10, b"!no".to_vec(), 0));
        assert_eq!(world.value(other).unwrap(), b"hello");
        // To a native contract, and through it back to one in WebAssembly.
        assert_eq!(world.relay(one, native, b""), (6, b"native".to_vec(), 0));
        assert_eq!(world.relay(one, native, &[other.0.as_bytes(), &b"deep"[..]].concat()), (1, b"t".to_vec(), 1));
        assert_eq!(world.value(other).unwrap(), b"deep");
        // Whoever runs can't be changed, and nobody is called who isn't there.
        let (code, words, events) = world.relay(one, one, b"hello");
        assert!(code < -(1 << 32) && !words.is_empty() && events == 0, "{code}");
        let nobody = ContractId(Digest::new([7; 32]));
        assert!(world.relay(one, nobody, b"hello").0 < -(1 << 32));
        assert_eq!(world.value(one), None);
    }
}

#[test]
fn depth_and_stack_are_one_budget() {
    for runtime in engines() {
        let mut world = World::new(runtime);
        let one = world.one;
        let mut levels = |deep: i32| {
            let (receipt, _) = world.call(one, "again", &deep.to_le_bytes());
            assert!(receipt.succeeded(), "{deep}: {receipt:?}");
            // Behind the levels are the words of what ended them.
            receipt.output.iter().take_while(|&&byte| byte == 0).count()
        };
        // By depth alone.
        assert_eq!(levels(0), 16);
        // A level of 500 calls takes some 10,000 slots, and so there are three.
        let few = levels(500);
        assert!((2..=4).contains(&few), "{few}");
        assert!(levels(100) > few);
        let (receipt, _) = world.call(one, "again", &100_000i32.to_le_bytes());
        assert!(
            matches!(&receipt.status, Status::Failed(Failure::Trapped { message }) if message.as_str() == "stack exhausted"),
            "{receipt:?}"
        );
    }
}
