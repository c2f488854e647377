//! Whatever a contract in WebAssembly tries: a receipt with a clear reason, nothing of what it did is left, in bounded time,
//! and the next one runs. Called by a transaction, and by another contract, which goes on.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::wasm::{WASM, WasmRuntime};
use ledger_contracts::{CallFailure, LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::codec::Text;
use ledger_core::outcome::MAX_MESSAGE_BYTES;
use ledger_core::{ContractId, Failure, Fuel, Status, TransactionBuilder, TransactionResult};
use ledger_crypto::MemorySigner;
use std::time::{Duration, Instant};

const LIMIT: Fuel = Fuel(20_000_000);

fn engines() -> Vec<WasmRuntime> {
    vec![
        WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

fn signer() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

/// A module whose method `before` puts `before` under `k`, and whose method `m` puts `evil` there, emits, and goes on with
/// `body`.
fn module(body: &str) -> String {
    format!(
        r#"(module
            (import "ledgerkit.1" "put" (func $put (param i32 i32 i32 i32)))
            (import "ledgerkit.1" "scan" (func $scan (param i32 i32 i32 i32 i32) (result i32)))
            (import "ledgerkit.1" "emit" (func $emit (param i32 i32 i32 i32)))
            (import "ledgerkit.1" "hash_sha256" (func $hash (param i32 i32 i32)))
            (import "ledgerkit.1" "verify_ed25519" (func $verify (param i32 i32 i32 i32) (result i32)))
            (import "ledgerkit.1" "contract" (func $contract (param i32)))
            (import "ledgerkit.1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
            (import "ledgerkit.1" "return" (func $return (param i32 i32)))
            (import "ledgerkit.1" "refuse" (func $refuse (param i32 i32 i32)))
            (memory 1)
            (data (i32.const 0) "k") (data (i32.const 1) "before") (data (i32.const 8) "evil") (data (i32.const 16) "again")
            (func (export "call_before") (call $put (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 6)))
            (func (export "call_again")
                (drop (memory.grow (i32.const 255)))
                (call $contract (i32.const 64))
                (drop (call $call (i32.const 64) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 0) (i64.const -1)
                    (i32.const 1))))
            (func (export "call_m")
                (call $put (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4))
                (call $emit (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4))
                {body}))"#
    )
}

struct World {
    ledger: TestLedger,
    probe: ContractId,
}

impl World {
    fn new(engine: WasmRuntime) -> Self {
        let native = NativeRuntime::new().with(Probe);
        let mut ledger = TestLedger::new(LedgerExecutor::default().with(engine).with(native));
        let probe = ledger.deploy(&signer(), NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
        World { ledger, probe }
    }

    fn submit(&mut self, transaction: TransactionBuilder) -> TransactionResult {
        self.ledger.submit(&signer(), transaction.fuel_limit(LIMIT)).unwrap()
    }

    fn deploy(&mut self, text: &str) -> TransactionResult {
        let code = wat::parse_str(text).unwrap();
        self.submit(TransactionBuilder::deploy(self.ledger.chain(), WASM, code, Vec::new()))
    }

    fn call(&mut self, contract: ContractId, method: &str, arguments: &[u8]) -> TransactionResult {
        let call = TransactionBuilder::call(self.ledger.chain(), contract, method, arguments.to_vec());
        soon(method, || self.submit(call))
    }

    /// Lets the probe call `m` of a contract with half the fuel, and gives the code that it tells.
    fn called(&mut self, contract: ContractId) -> (u64, TransactionResult) {
        let limit = (LIMIT.0 / 2).to_le_bytes();
        let arguments = [contract.0.as_bytes().as_slice(), &[2], &limit, b"\x01m"].concat();
        let result = self.call(self.probe, "call", &arguments);
        assert!(result.receipt.succeeded(), "the caller goes on: {:?}", result.receipt.status);
        (u64::from_le_bytes(result.receipt.output[..8].try_into().unwrap()), result)
    }

    fn value(&self, contract: ContractId) -> Vec<u8> {
        let mut all = self.ledger.state.iter();
        all.find(|(key, _)| key.namespace == contract && &*key.name == b"k").unwrap().1.value.to_vec()
    }
}

/// Nothing of what is done here takes longer on a machine that does nothing else than a fraction of this.
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(start.elapsed() < Duration::from_secs(30), "{what} took {:?}", start.elapsed());
    done
}

fn limit(what: &str) -> Failure {
    Failure::Limit { what: Text::from(what), size: 0, limit: 0 }
}

/// Whether a failure is the expected one, sizes apart.
fn is(found: &Failure, expected: &Failure) -> bool {
    match (found, expected) {
        (Failure::Limit { what, .. }, Failure::Limit { what: expected, .. }) => what == expected,
        (Failure::Refused { code, message }, Failure::Refused { code: expected, .. }) => {
            code == expected && message.len() <= MAX_MESSAGE_BYTES
        }
        _ => found == expected,
    }
}

#[test]
fn what_a_contract_may_not_is_named_and_undone_and_its_caller_goes_on() {
    let out_of_fuel = Failure::OutOfFuel { limit: LIMIT };
    let refused = Failure::Refused { code: 3, message: Text::default() };
    let cases = [
        // Data that is returned, in an output and in a reason.
        ("(drop (memory.grow (i32.const 16))) (call $return (i32.const 0) (i32.const 0x100001))", limit("the output")),
        (
            "(drop (memory.grow (i32.const 16))) (call $refuse (i32.const 3) (i32.const 0) (i32.const 0x110000))",
            refused,
        ),
        // Limits of what is stored and told.
        ("(call $put (i32.const 0) (i32.const 1025) (i32.const 0) (i32.const 1))", limit("a key")),
        (
            "(drop (memory.grow (i32.const 16)))
             (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0x100001))",
            limit("a value"),
        ),
        (
            "(drop (call $scan (i32.const 0) (i32.const 1026) (i32.const 0) (i32.const -1) (i32.const 1)))",
            limit("a range's bound"),
        ),
        ("(call $emit (i32.const 8) (i32.const 4) (i32.const 0) (i32.const 0xffff))", limit("an event")),
        (
            "(loop (call $emit (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4)) (br 0))",
            limit("the number of events"),
        ),
        // Fuel that gives out within a call of the host.
        (
            "(drop (memory.grow (i32.const 99))) (call $hash (i32.const 0) (i32.const 0x640000) (i32.const 0))",
            out_of_fuel.clone(),
        ),
        (
            "(loop (drop (call $verify (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 0))) (br 0))",
            out_of_fuel.clone(),
        ),
        ("(loop (call $put (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 0xffff)) (br 0))", out_of_fuel.clone()),
        (
            "(call $put (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0xffff))
             (loop (drop (call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 9))) (br 0))",
            out_of_fuel.clone(),
        ),
        // Endless work of its own.
        ("(loop (br 0))", out_of_fuel.clone()),
        ("(loop (drop (memory.grow (i32.const 1))) (br 0))", out_of_fuel),
        ("unreachable", Failure::Trapped { message: Text::from("unreachable executed") }),
    ];
    for engine in engines() {
        let mut world = World::new(engine);
        for (body, expected) in &cases {
            let contract = ContractId::deployed_by(&world.deploy(&module(body)).receipt.transaction);
            assert!(world.call(contract, "before", b"").receipt.succeeded(), "{body}");
            let result = world.call(contract, "m", b"");
            match &result.receipt.status {
                Status::Failed(failure) => assert!(is(failure, expected), "{body}: {failure}"),
                other => panic!("{body}: {other:?}"),
            }
            assert!(result.receipt.output.is_empty() && result.events.is_empty(), "{body}");
            assert_eq!(world.value(contract), b"before", "{body}");

            let (code, result) = world.called(contract);
            assert_eq!(code, CallFailure(expected.clone()).code() + 1, "{body}");
            assert!(result.events.is_empty(), "{body}");
            assert!(result.receipt.output.len() <= 8 + MAX_MESSAGE_BYTES, "{body}");
            assert_eq!(world.value(contract), b"before", "{body}");
        }
    }
}

#[test]
fn contracts_that_take_all_their_memory_within_each_other_are_paid_and_counted() {
    for engine in engines() {
        let mut world = World::new(engine);
        let contract = ContractId::deployed_by(&world.deploy(&module("")).receipt.transaction);
        // Each level takes 16 MiB and calls the next, read-only, until the fuel or the depth ends it.
        let receipt = world.call(contract, "again", b"").receipt;
        let rules = &world.ledger.rules;
        let level = u64::from(rules.wasm.max_memory_pages - 1) * u64::from(rules.wasm.costs.memory_grow_page);
        let paid = receipt.fuel_used.0 / level;
        assert!(receipt.succeeded() || matches!(receipt.status, Status::Failed(Failure::OutOfFuel { .. })));
        assert!((1..=u64::from(rules.max_call_depth)).contains(&paid), "{paid} levels are paid");
    }
}

#[test]
fn a_start_function_is_part_of_every_call_and_held_to_its_terms() {
    let with_start = |body: &str| {
        format!(
            r#"(module
                (import "ledgerkit.1" "put" (func $put (param i32 i32 i32 i32)))
                (import "ledgerkit.1" "is_read_only" (func $is_read_only (result i32)))
                (memory 1)
                (func $start {body})
                (start $start)
                (func (export "construct"))
                (func (export "call_m")))"#
        )
    };
    let put = "(call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4))";
    for engine in engines() {
        let mut world = World::new(engine);
        for (body, expected) in [
            ("(loop (br 0))", Failure::OutOfFuel { limit: LIMIT }),
            ("unreachable", Failure::Trapped { message: Text::from("unreachable executed") }),
            (
                "(i32.store (i32.const -1) (i32.const 0))",
                Failure::Trapped { message: Text::from("memory access out of bounds") },
            ),
        ] {
            let before = world.ledger.state.len();
            let result = soon(body, || world.deploy(&with_start(&format!("{put} {body}"))));
            assert_eq!(result.receipt.status, Status::Failed(expected), "{body}");
            assert_eq!(
                (world.ledger.state.len(), result.events.len()),
                (before, 0),
                "{body}: neither code nor contract"
            );
        }
        // Nobody starts a contract to write who may only read.
        let contract = ContractId::deployed_by(&world.deploy(&with_start(put)).receipt.transaction);
        assert!(world.call(contract, "m", b"").receipt.succeeded());
        let read_only = [contract.0.as_bytes().as_slice(), &[1], &[0xff; 8], b"\x01m"].concat();
        let told = world.call(world.probe, "call", &read_only).receipt.output;
        let forbidden = CallFailure(Failure::Forbidden { what: Text::default() });
        assert_eq!(told[..8], (forbidden.code() + 1).to_le_bytes());
    }
}

#[test]
fn hostile_modules_have_a_receipt_and_leave_nothing() {
    let imports = r#"(import "ledgerkit.1" "put" (func (param i32 i32 i32 i32)))"#.repeat(12_000);
    let unknown = r#"(import "elsewhere" "anything" (func))"#.to_owned();
    let nested = format!("(func {}{})", "(block ".repeat(5_000), ")".repeat(5_000));
    let table = format!("(func (block (br_table {}(i32.const 0))))", "0 ".repeat(5_000));
    let locals = format!("(func (local {}))", "i64 ".repeat(5_000));
    let cases =
        [imports, unknown, nested, table, locals, "(memory 257)".to_owned(), "(func (drop (f32.const 1)))".to_owned()];
    for engine in engines() {
        let mut world = World::new(engine);
        for case in &cases {
            let before = world.ledger.state.len();
            let result = soon(&case[..20.min(case.len())], || world.deploy(&format!("(module {case})")));
            let what = &case[..60.min(case.len())];
            match &result.receipt.status {
                Status::Failed(Failure::InvalidCode { message }) => assert!(!message.is_empty(), "{what}"),
                Status::Failed(Failure::OutOfFuel { .. }) => {}
                // Deep blocks that are empty do no harm.
                Status::Succeeded if case.contains("(block (block") => continue,
                other => panic!("{what}: {other:?}"),
            }
            assert_eq!(world.ledger.state.len(), before, "{what}");
        }
        let good = ContractId::deployed_by(&world.deploy(&module("")).receipt.transaction);
        assert!(world.call(good, "m", b"").receipt.succeeded(), "the next one runs");
    }
}
