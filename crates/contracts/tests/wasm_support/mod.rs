//! What the tests of the WebAssembly runtime share: modules, generated and written, and a host that remembers.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use arbitrary::Unstructured;
use ledger_contracts::wasm::WasmRuntime;
use ledger_contracts::{
    Answer, CallFailure, CallTerms, Entry, EntryPoint, Environment, HashFunction, Host, HostError, Invocation,
    Prepared, Runtime, Trap,
};
use ledger_core::codec::Text;
use ledger_core::{AccountId, ChainId, ContractId, Failure, Fuel, Height, Rules, Timestamp};
use ledger_crypto::Digest;
use std::collections::BTreeMap;

/// How many cases a test tries: `default`, or what the variable `WASM_CASES` says.
pub(crate) fn cases(default: u64) -> u64 {
    std::env::var("WASM_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// Numbers that look random, the same for the same seed (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(count).collect()
    }
}

/// All imports, with a use that keeps none from being there.
pub(crate) const IMPORTS: &str = r#"(module
    (import "ledgerkit.1" "arguments" (func (param i32 i32 i32)))
    (import "ledgerkit.1" "arguments_len" (func (result i32)))
    (import "ledgerkit.1" "result" (func (param i32 i32 i32)))
    (import "ledgerkit.1" "result_len" (func (result i32)))
    (import "ledgerkit.1" "get" (func (param i32 i32) (result i64)))
    (import "ledgerkit.1" "put" (func (param i32 i32 i32 i32)))
    (import "ledgerkit.1" "delete" (func (param i32 i32)))
    (import "ledgerkit.1" "scan" (func (param i32 i32 i32 i32 i32) (result i32)))
    (import "ledgerkit.1" "emit" (func (param i32 i32 i32 i32)))
    (import "ledgerkit.1" "caller" (func (param i32)))
    (import "ledgerkit.1" "transaction" (func (param i32) (result i32)))
    (import "ledgerkit.1" "height" (func (result i64)))
    (import "ledgerkit.1" "is_read_only" (func (result i32)))
    (import "ledgerkit.1" "fuel_left" (func (result i64)))
    (import "ledgerkit.1" "charge" (func (param i64)))
    (import "ledgerkit.1" "hash_blake3" (func (param i32 i32 i32)))
    (import "ledgerkit.1" "verify_ed25519" (func (param i32 i32 i32 i32) (result i32)))
    (import "ledgerkit.1" "call" (func (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
    (import "ledgerkit.1" "return" (func (param i32 i32)))
    (import "ledgerkit.1" "refuse" (func (param i32 i32 i32))))"#;

/// Modules with methods `a` and `b` and otherwise anything that contracts may be.
pub(crate) fn generator(imports: bool) -> wasm_smith::Config {
    wasm_smith::Config {
        available_imports: Some(wat::parse_str(if imports { IMPORTS } else { "(module)" }).unwrap()),
        exports: Some(wat::parse_str(r#"(module (func (export "call_a")) (func (export "call_b")))"#).unwrap()),
        allow_floats: false,
        allow_start_export: true,
        bulk_memory_enabled: true,
        reference_types_enabled: false,
        simd_enabled: false,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        tail_call_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        wide_arithmetic_enabled: false,
        extended_const_enabled: false,
        saturating_float_to_int_enabled: false,
        compact_imports_enabled: false,
        min_funcs: 3,
        max_funcs: 20,
        max_globals: 20,
        max_memories: 1,
        max_tables: 1,
        max_memory32_bytes: 4 << 16,
        max_table_elements: 100,
        memory_max_size_required: true,
        max_instructions: 400,
        ..wasm_smith::Config::default()
    }
}

/// The module of a seed. The seed says how long it becomes.
pub(crate) fn generated(config: &wasm_smith::Config, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let size = 200 + numbers.below(4_000);
    let bytes = numbers.bytes(size);
    let module = wasm_smith::Module::new(config.clone(), &mut Unstructured::new(&bytes)).unwrap();
    module.to_bytes()
}

/// A host in memory that counts fuel, keeps what is put, and remembers all it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembering {
    environment: Environment,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) values: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) calls: Vec<String>,
    pub(crate) stack: u32,
    pub(crate) output_limit: u64,
    ended: Option<HostError>,
}

impl Remembering {
    pub(crate) fn new(limit: u64) -> Self {
        let environment = Environment {
            chain: ChainId(Digest::new([1; 32])),
            height: Height(7),
            timestamp: Timestamp(1_000),
            contract: ContractId(Digest::new([2; 32])),
            caller: AccountId(Digest::new([3; 32])),
            transaction: None,
            read_only: false,
        };
        let values = BTreeMap::from([(vec![0], vec![9; 100])]);
        Remembering {
            environment,
            limit,
            used: 0,
            values,
            calls: Vec::new(),
            stack: 32_768,
            output_limit: 1 << 20,
            ended: None,
        }
    }

    fn pay(&mut self, what: String, price: u64) -> Result<(), HostError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        self.calls.push(what);
        match self.used.checked_add(price).filter(|&used| used <= self.limit) {
            Some(used) => {
                self.used = used;
                Ok(())
            }
            None => {
                self.used = self.limit;
                let error = HostError::OutOfFuel { limit: Fuel(self.limit) };
                self.ended = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl Host for Remembering {
    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        self.pay(format!("get {key:?}"), 500)?;
        Ok(self.values.get(key).cloned())
    }

    fn scan(&mut self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, HostError> {
        self.pay(format!("scan {from:?} {to:?} {limit}"), 500)?;
        let inside = self.values.range(from.to_vec()..).take_while(|(key, _)| to.is_none_or(|to| key.as_slice() < to));
        Ok(inside.take(limit).map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.pay(format!("put {key:?} {value:?}"), 1_000 + 8 * (key.len() + value.len()) as u64)?;
        self.values.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.pay(format!("delete {key:?}"), 1_000)?;
        self.values.remove(key);
        Ok(())
    }

    fn emit(&mut self, topic: &str, data: &[u8]) -> Result<(), HostError> {
        self.pay(format!("emit {topic} {data:?}"), 300)
    }

    fn charge(&mut self, fuel: Fuel) -> Result<(), HostError> {
        self.pay(String::new(), fuel.0)?;
        self.calls.pop();
        Ok(())
    }

    fn fuel_left(&self) -> Fuel {
        Fuel(self.limit - self.used)
    }

    fn call(
        &mut self,
        callee: &ContractId,
        method: &str,
        arguments: &[u8],
        terms: CallTerms,
    ) -> Result<Answer, HostError> {
        self.pay(format!("call {callee:?} {method} {arguments:?} {terms:?} {}", self.stack), 2_000)?;
        if method == "fail" {
            let failure = Failure::Refused { code: 7, message: Text::from("no") };
            return Ok(Answer::Failed(CallFailure(failure)));
        }
        Ok(Answer::Returned([method.as_bytes(), arguments].concat()))
    }

    fn hash(&mut self, function: HashFunction, data: &[u8]) -> Result<[u8; 32], HostError> {
        self.pay(format!("hash {function:?} {data:?}"), 200)?;
        Ok([u8::try_from(data.len() % 251).unwrap(); 32])
    }

    fn verify(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<bool, HostError> {
        self.pay(format!("verify {key:?} {message:?} {signature:?}"), 60_000)?;
        Ok(key[0] == signature[0])
    }

    fn output_limit(&self) -> u64 {
        self.output_limit
    }

    fn stack_left(&self) -> u32 {
        self.stack
    }

    fn set_stack_left(&mut self, slots: u32) {
        self.stack = slots;
    }
}

/// A module from its text, prepared under the default rules.
pub(crate) fn prepared(runtime: &WasmRuntime, text: &str) -> Prepared {
    runtime.prepare(&wat::parse_str(text).unwrap(), &Rules::default()).unwrap()
}

/// Runs a method with `host`.
pub(crate) fn run(
    runtime: &WasmRuntime,
    code: &Prepared,
    method: &str,
    arguments: &[u8],
    host: &mut Remembering,
) -> Result<Vec<u8>, Trap> {
    runtime.call(code, &Invocation { entry: EntryPoint::Method(method), arguments }, host)
}
