//! What the engines of the WebAssembly runtime take: to prepare a module, for a call that does nothing, and for loops with
//! and without the counters. One thread; the host counts fuel and does nothing else.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ledger_contracts::wasm::{WasmRuntime, instrument};
use ledger_contracts::{
    Answer, CallTerms, Entry, EntryPoint, Environment, HashFunction, Host, HostError, Invocation, Runtime,
};
use ledger_core::{AccountId, ChainId, ContractId, Fuel, Height, Rules, Timestamp};
use ledger_crypto::Digest;
use std::error::Error;
use std::hint::black_box;

/// A host with fuel and nothing else.
struct Idle {
    environment: Environment,
    left: u64,
}

impl Idle {
    fn new() -> Self {
        let zero = Digest::ZERO;
        let environment = Environment {
            chain: ChainId(zero),
            height: Height(0),
            timestamp: Timestamp(0),
            contract: ContractId(zero),
            caller: AccountId(zero),
            transaction: None,
            read_only: false,
        };
        Idle { environment, left: 1 << 50 }
    }
}

impl Host for Idle {
    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn get(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        Ok(None)
    }

    fn scan(&mut self, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<Entry>, HostError> {
        Ok(Vec::new())
    }

    fn put(&mut self, _: &[u8], _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }

    fn delete(&mut self, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }

    fn emit(&mut self, _: &str, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }

    fn charge(&mut self, fuel: Fuel) -> Result<(), HostError> {
        self.left = self.left.saturating_sub(fuel.0);
        Ok(())
    }

    fn fuel_left(&self) -> Fuel {
        Fuel(self.left)
    }

    fn call(&mut self, _: &ContractId, _: &str, _: &[u8], _: CallTerms) -> Result<Answer, HostError> {
        Ok(Answer::Returned(Vec::new()))
    }

    fn hash(&mut self, _: HashFunction, _: &[u8]) -> Result<[u8; 32], HostError> {
        Ok([0; 32])
    }

    fn verify(&mut self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> Result<bool, HostError> {
        Ok(false)
    }

    fn stack_left(&self) -> u32 {
        32_768
    }

    fn set_stack_left(&mut self, _: u32) {}
}

/// A module of about 50 KB: functions of some arithmetic, memory and control flow.
fn large() -> String {
    let body = "(local i32 i64)
        (local.set 1 (i32.const 100))
        (block (loop
            (br_if 1 (i32.eqz (local.get 1)))
            (i64.store (i32.and (local.get 1) (i32.const 255))
                (i64.add (i64.mul (local.get 2) (i64.const 31)) (i64.extend_i32_u (local.get 0))))
            (local.set 2 (i64.xor (local.get 2) (i64.load (i32.and (local.get 0) (i32.const 255)))))
            (if (i32.and (local.get 1) (i32.const 1)) (then (local.set 0 (i32.add (local.get 0) (i32.const 7)))))
            (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
            (br 0)))
        (local.get 2)";
    let functions = format!("(func (param i32) (result i64) {body})").repeat(560);
    format!(r#"(module (memory 1) {functions} (func (export "call_m") (drop (call 0 (i32.const 1)))))"#)
}

/// A module with three imports and a method that does nothing.
const EMPTY: &str = r#"(module
    (import "ledgerkit.1" "get" (func (param i32 i32) (result i64)))
    (import "ledgerkit.1" "put" (func (param i32 i32 i32 i32)))
    (import "ledgerkit.1" "return" (func (param i32 i32)))
    (memory 1)
    (data (i32.const 0) "some constants of the contract")
    (func (export "call_m")))"#;

/// 1,000,000 rounds of a xorshift generator; and a sieve of Eratosthenes up to 60,000.
const LOOPS: [(&str, &str); 2] = [
    (
        "xorshift",
        r#"(module (memory 1) (func (export "call_m") (local $i i32) (local $x i64)
            (local.set $x (i64.const 88172645463325252)) (local.set $i (i32.const 1000000))
            (loop
                (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
                (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
                (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
                (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (i64.store (i32.const 0) (local.get $x))))"#,
    ),
    (
        "sieve",
        r#"(module (memory 1) (func (export "call_m") (local $i i32) (local $j i32)
            (local.set $i (i32.const 2))
            (loop $next
                (if (i32.eqz (i32.load8_u (local.get $i)))
                    (then
                        (local.set $j (i32.add (local.get $i) (local.get $i)))
                        (block $out (loop $mark
                            (br_if $out (i32.ge_u (local.get $j) (i32.const 60000)))
                            (i32.store8 (local.get $j) (i32.const 1))
                            (local.set $j (i32.add (local.get $j) (local.get $i)))
                            (br $mark)))))
                (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 60000))))))"#,
    ),
];

type Runtimes = Vec<(&'static str, WasmRuntime)>;

fn runtimes() -> Result<Runtimes, Box<dyn Error>> {
    Ok(vec![
        ("wasmi", WasmRuntime::wasmi()?),
        #[cfg(feature = "wasmtime")]
        ("wasmtime", WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once())?),
    ])
}

fn prepare(criterion: &mut Criterion, runtimes: &Runtimes) -> Result<(), Box<dyn Error>> {
    let module = wat::parse_str(large())?;
    let rules = Rules::default();
    let mut group = criterion.benchmark_group(format!("prepare {} bytes", module.len()));
    group.sample_size(10).throughput(Throughput::Bytes(module.len() as u64));
    group.bench_function("checks and counters", |bencher| bencher.iter(|| instrument(black_box(&module), &rules.wasm)));
    for (name, runtime) in runtimes {
        runtime.prepare(&module, &rules)?;
        group.bench_function(*name, |bencher| bencher.iter(|| runtime.prepare(black_box(&module), &rules)));
    }
    group.finish();
    Ok(())
}

fn calls(criterion: &mut Criterion, runtimes: &Runtimes) -> Result<(), Box<dyn Error>> {
    let invocation = Invocation { entry: EntryPoint::Method("m"), arguments: b"" };
    let mut group = criterion.benchmark_group("call");
    group.sample_size(20);
    for (what, text) in [("empty", EMPTY)].into_iter().chain(LOOPS) {
        for (name, runtime) in runtimes {
            let code = runtime.prepare(&wat::parse_str(text)?, &Rules::default())?;
            let mut host = Idle::new();
            runtime.call(&code, &invocation, &mut host)?;
            println!("{what}: {} fuel", (1u64 << 50) - host.left);
            group.bench_function(format!("{what}, {name}"), |bencher| {
                bencher.iter(|| runtime.call(&code, &invocation, &mut host));
            });
        }
    }
    group.finish();
    Ok(())
}

/// The loops as they are, on the engines without anything of ours.
fn bare(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("without counters");
    group.sample_size(20);
    for (what, text) in LOOPS {
        let module = wat::parse_str(text)?;
        let engine = wasmi::Engine::default();
        let mut store = wasmi::Store::new(&engine, ());
        let compiled = wasmi::Module::new(&engine, &module)?;
        let instance = wasmi::Linker::new(&engine).instantiate_and_start(&mut store, &compiled)?;
        let method = instance.get_typed_func::<(), ()>(&store, "call_m")?;
        group.bench_function(format!("{what}, wasmi"), |bencher| bencher.iter(|| method.call(&mut store, ())));
        #[cfg(feature = "wasmtime")]
        {
            let engine = wasmtime::Engine::default();
            let mut store = wasmtime::Store::new(&engine, ());
            let compiled = wasmtime::Module::new(&engine, &module).map_err(|error| error.to_string())?;
            let instance = wasmtime::Instance::new(&mut store, &compiled, &[]).map_err(|error| error.to_string())?;
            let method = instance.get_typed_func::<(), ()>(&mut store, "call_m").map_err(|error| error.to_string())?;
            group.bench_function(format!("{what}, wasmtime"), |bencher| bencher.iter(|| method.call(&mut store, ())));
        }
    }
    group.finish();
    Ok(())
}

fn all(criterion: &mut Criterion) {
    let done = runtimes().and_then(|runtimes| {
        prepare(criterion, &runtimes)?;
        calls(criterion, &runtimes)?;
        bare(criterion)
    });
    if let Err(error) = done {
        eprintln!("the bench can't be set up: {error}");
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
