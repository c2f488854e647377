//! The contracts that are measured, and the machines that run them.

use ledgerkit::contracts::testing::TestLedger;
#[cfg(feature = "wasmtime")]
use ledgerkit::contracts::wasm::WasmtimeConfig;
use ledgerkit::contracts::wasm::{WASM, WasmRuntime};
use ledgerkit::contracts::{LedgerExecutor, Prepared, Runtime};
use ledgerkit::core::{AccountId, ContractId, Fuel, Rules, Status, TransactionBuilder};
use ledgerkit::crypto::{Digest, MemorySigner};
use std::path::Path;
use std::time::Instant;

/// An engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    Wasmi,
    #[cfg(feature = "wasmtime")]
    Wasmtime,
}

impl Machine {
    pub(crate) fn all() -> Vec<Machine> {
        vec![
            Machine::Wasmi,
            #[cfg(feature = "wasmtime")]
            Machine::Wasmtime,
        ]
    }

    pub(crate) fn name(self) -> &'static str {
        self.of("wasmi", "wasmtime")
    }

    pub(crate) fn figure(self, what: &str) -> String {
        format!("{}_{what}", self.name())
    }

    /// One of two, by engine.
    #[allow(unused_variables)]
    pub(crate) fn of<T>(self, wasmi: T, wasmtime: T) -> T {
        match self {
            Machine::Wasmi => wasmi,
            #[cfg(feature = "wasmtime")]
            Machine::Wasmtime => wasmtime,
        }
    }

    pub(crate) fn runtime(self) -> WasmRuntime {
        match self {
            Machine::Wasmi => WasmRuntime::wasmi().unwrap(),
            #[cfg(feature = "wasmtime")]
            Machine::Wasmtime => WasmRuntime::wasmtime(WasmtimeConfig::at_once()).unwrap(),
        }
    }

    /// With a folder of compiled code, in which all is put that is made ready if `at_once`; `None` if the engine has no such.
    #[allow(unused_variables)]
    pub(crate) fn runtime_with(self, folder: &Path, at_once: bool) -> Option<WasmRuntime> {
        match self {
            Machine::Wasmi => None,
            #[cfg(feature = "wasmtime")]
            Machine::Wasmtime => {
                let config = if at_once { WasmtimeConfig::at_once() } else { WasmtimeConfig::default() };
                let config = WasmtimeConfig { cache: Some(folder.to_owned()), ..config };
                Some(WasmRuntime::wasmtime(config).unwrap())
            }
        }
    }

    /// As nodes have it: what isn't used much isn't compiled.
    pub(crate) fn runtime_of_nodes(self) -> WasmRuntime {
        match self {
            Machine::Wasmi => WasmRuntime::wasmi().unwrap(),
            #[cfg(feature = "wasmtime")]
            Machine::Wasmtime => WasmRuntime::wasmtime(WasmtimeConfig::default()).unwrap(),
        }
    }
}

/// Whether code is compiled.
pub(crate) fn is_compiled(code: &Prepared) -> bool {
    ledgerkit::contracts::wasm::is_compiled(code)
}

/// A ledger under these rules.
pub(crate) fn ledger(runtime: impl Runtime + 'static, rules: Rules) -> TestLedger {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(runtime));
    ledger.rules = rules;
    ledger
}

/// Deploys a module, whatever it costs.
pub(crate) fn deploy(ledger: &mut TestLedger, owner: &MemorySigner, code: &[u8]) -> ContractId {
    let deploy = TransactionBuilder::deploy(ledger.chain(), WASM, code.to_vec(), Vec::new());
    let receipt = ledger.submit(owner, deploy.fuel_limit(ledger.rules.max_transaction_fuel)).unwrap().receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    ContractId::deployed_by(&receipt.transaction)
}

/// A contract on a ledger of its own.
pub(crate) struct Guest {
    pub(crate) ledger: TestLedger,
    pub(crate) contract: ContractId,
}

/// What a call took.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) fuel: Fuel,
}

impl Guest {
    pub(crate) fn deployed(machine: Machine, rules: Rules, code: &[u8]) -> Guest {
        let mut ledger = ledger(machine.runtime(), rules);
        let owner = MemorySigner::from_seed([1; 32]);
        let contract = deploy(&mut ledger, &owner, code);
        Guest { ledger, contract }
    }

    /// One call of a method, as a simulation.
    pub(crate) fn run(&self, method: &str) -> Cost {
        self.run_with(method, b"arguments")
    }

    pub(crate) fn run_with(&self, method: &str, arguments: &[u8]) -> Cost {
        let start = Instant::now();
        let answer = self.ledger.simulate(AccountId(Digest::new([9; 32])), self.contract, method, arguments).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert!(matches!(answer.status, Status::Succeeded), "{method}: {:?}", answer.status);
        Cost { seconds, fuel: answer.fuel_used }
    }
}

/// A contract in WebAssembly that does nothing.
pub(crate) fn empty() -> Vec<u8> {
    wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "call_nothing")))"#).unwrap()
}

/// A module of `examples/contracts/fixtures`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/contracts/fixtures/{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Loops that do what contracts compute: a checksum, a sieve, a generator of numbers.
pub(crate) fn loops() -> Vec<(&'static str, String)> {
    let module = |locals: &str, body: &str| {
        format!(r#"(module (memory (export "memory") 2) (func (export "call_work") (local $i i32) {locals} {body}))"#)
    };
    let checksum = "(loop $next
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31))
            (i32.load8_u (i32.and (local.get $i) (i32.const 65535)))))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000000))))
        (i32.store (i32.const 0) (local.get $sum))";
    let sieve = "(loop $again
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 100000))
        (local.set $i (i32.const 2))
        (loop $next
            (if (i32.load8_u (local.get $i)) (then
                (local.set $j (i32.mul (local.get $i) (i32.const 2)))
                (block $done (loop $strike
                    (br_if $done (i32.ge_u (local.get $j) (i32.const 100000)))
                    (i32.store8 (local.get $j) (i32.const 0))
                    (local.set $j (i32.add (local.get $j) (local.get $i)))
                    (br $strike)))))
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50000))))
        (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 8))))";
    let random = "(local.set $x (i64.const 88172645463325252))
        (loop $next
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000000))))
        (i64.store (i32.const 0) (local.get $x))";
    vec![
        ("checksum", module("(local $sum i32)", checksum)),
        ("sieve", module("(local $j i32) (local $n i32)", sieve)),
        ("random", module("(local $x i64)", random)),
    ]
}

/// A module of about 50 KB: functions of mixed arithmetic, memory, branches and calls.
pub(crate) fn fifty_kilobytes() -> Vec<u8> {
    let mut text =
        String::from(r#"(module (memory (export "memory") 1) (func $f0 (param i32) (result i32) (local.get 0))"#);
    let body = "(if (i32.and (local.get 0) (i32.const 1)) (then (local.set 1 (i32.mul (local.get 0) (i32.const 3))))
            (else (i32.store (i32.and (local.get 0) (i32.const 1020)) (local.get 1))))
        (block $out (br_if $out (i32.lt_u (local.get 1) (i32.const 100)))
            (local.set 1 (i32.xor (local.get 1) (i32.load (i32.and (local.get 1) (i32.const 1020))))))";
    for index in 1..=190 {
        text += &format!("(func $f{index} (param i32) (result i32) (local i32) ");
        for _ in 0..4 {
            text += body;
        }
        text += &format!("(call $f{} (local.get 1)))", index - 1);
    }
    text += r#"(func (export "call_work") (drop (call $f100 (i32.const 5)))))"#;
    wat::parse_str(&text).unwrap()
}
