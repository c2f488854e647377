//! The runtime for contracts in WebAssembly.
//!
//! ```text
//!   module ──▶ checked against the rules ──▶ counters for fuel and stack written in ──▶ wasmi or wasmtime
//!                                                                                          │  an instance of its
//!   Host ◀── imports of `ledgerkit.1` ◀────────────────────────────────────────────────────┘  own for every call
//! ```
//!
//! # The module
//! A core module in the binary format, with what today's compilers emit by default: 32- and 64-bit integers, mutable
//! globals, sign extension, several results, bulk memory, one memory, one table of functions, `call_indirect` with indices
//! longer than needed. Floats, SIMD, threads, 64-bit and several memories, tail calls, exceptions, garbage collection and
//! instructions on references are refused when the contract is deployed; the error names the instruction and its offset.
//!
//! Methods are exported functions `call_<method>` without parameters and results; `construct` runs when the contract is
//! deployed, `migrate` when it is upgraded. A start function runs before any of them, in every call. No state stays in
//! memory or globals between calls: where it is quicker, a used instance is made like new.
//!
//! # The host
//! Imports come from the module `ledgerkit.1`. Pointers and lengths are unsigned `i32`; all is checked against the size of
//! the memory. An answer of variable length goes to the *result buffer*, from where `result` copies it.
//!
//! | import | does |
//! |---|---|
//! | `arguments(to, offset, len)`, `arguments_len() -> i32` | copies part of the arguments; how long they are |
//! | `result(to, offset, len)`, `result_len() -> i32` | copies part of the result buffer; how long it is |
//! | `get(key, key_len) -> i64` | the length of the value, which is in the result buffer; -1 if there is none |
//! | `put(key, key_len, value, value_len)`, `delete(key, key_len)` | as [`Host`] |
//! | `scan(from, from_len, to, to_len, limit) -> i32` | the number of entries; `to_len` -1 is the end; the result buffer has for each key and value their length (`u32`, little-endian) and bytes |
//! | `emit(topic, topic_len, data, data_len)` | as [`Host`]; the topic is UTF-8 |
//! | `caller(to)`, `contract(to)`, `chain(to)` | writes 32 bytes |
//! | `transaction(to) -> i32` | writes 32 bytes and answers 1; 0 in a simulation |
//! | `height() -> i64`, `timestamp() -> i64`, `is_read_only() -> i32`, `fuel_left() -> i64` | facts |
//! | `charge(fuel: i64)` | pays for nothing else |
//! | `hash_blake3(from, len, to)`, `hash_sha256(from, len, to)` | writes 32 bytes, the digest |
//! | `verify_ed25519(key, message, message_len, signature) -> i32` | 1 if the signature (64 bytes) is the key's (32 bytes), or else 0 |
//! | `call(contract, method, method_len, arguments, arguments_len, fuel: i64, flags) -> i64` | calls another contract, with at most `fuel` (-1: all), read-only if bit 0 of `flags` is set; the length of its output, which is in the result buffer, or -1 - [code](crate::CallFailure::code) if it failed, with the reason's words in the result buffer |
//! | `return(from, len)` | sets the output; the method goes on |
//! | `refuse(code, message, message_len)` | ends the call with a refusal |
//!
//! # Fuel
//! Each instruction costs what the chain's rules say for its class, paid at the beginning of each run of instructions
//! that can only be executed together; the work of bulk instructions is paid by the length that they are given. Making
//! an instance costs `instance`, `instance_function`, `instance_global`, `instance_name` and `instance_segment` for each of
//! what they name, `memory_grow_page` for each page of its memory, `bulk_64_bytes` for each 64 bytes of data begun,
//! `table_entry` for each entry of table and segments. Each value that a block takes or gives, and each that a branch takes
//! along, costs `basic`; entering a loop `branch`, and `if` twice that. An import costs `call` beside the instruction's own `call`, and
//! `bulk_64_bytes` for each 64 bytes begun that it moves, beside what the [`Host`] charges.
//!
//! The counting is written into the module itself, so every engine counts alike, to the instruction.
//!
//! # Stack
//! Counted in slots: a function takes 16, one for each parameter, local and operand at its highest, and one for each 16
//! bytes of its code. It may take a quarter of the whole. The engines' own limits lie beyond: a slot stands for 32 bytes of
//! a thread's stack, and a function that wasmtime makes larger is interpreted.
//! It is one budget for all contracts that run within each other.
//!
//! # Failure
//! A trap fails the call with words that are the same for all engines; a [trace](crate::trace) names the function, by the
//! section `name` if the module has one. If an engine itself fails (no memory), the node
//! stops: others may have been able to go on.
//!
//! Pages are paid for before memory grows, also where it can't.

mod encode;
mod engine;
mod error;
mod fault;
mod flow;
#[cfg(feature = "wasmtime")]
mod frames;
mod function;
mod host;
mod imports;
mod instruction;
#[cfg(feature = "wasmtime")]
mod known;
#[cfg(feature = "wasmtime")]
mod later;
mod module;
mod names;
mod parts;
mod renewal;
mod session;
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

pub use error::ModuleError;
pub use imports::{IMPORTS, MODULE};
#[cfg(feature = "wasmtime")]
pub use wasmtime::{Compilation, WasmtimeConfig};

use crate::host::{Host, HostError};
use crate::runtime::{CodeError, EntryPoint, Invocation, Prepared, Runtime, Trap};
use engine::{Code, Counters, Engine, Purpose};
use fault::{Fault, Stopped};
use ledger_core::{Fuel, Rules, StateError, WasmRules};
use module::{CONSTRUCT, METHOD, MIGRATE, Metered, START};
use names::Names;
use session::{Limits, Session};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The name of this runtime in a deployment.
pub const WASM: &str = "wasm";

/// Runs contracts in WebAssembly. See the [module](self).
///
/// A clone has the same engine: chains of one process share what it takes from the machine.
#[derive(Clone)]
pub struct WasmRuntime {
    engine: Arc<dyn Engine>,
}

/// Why there is no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WebAssembly engine can't be set up: {reason}")]
pub struct EngineError {
    /// What the engine says.
    pub reason: String,
}

/// A module that is ready to run.
struct Ready {
    /// The compiled code; or what the engine had against a module that all nodes have let through.
    code: Result<Box<dyn Code>, String>,
    entries: BTreeSet<Box<str>>,
    starts: bool,
    setup: u64,
    limits: Limits,
    /// What its functions are called, if it says which one is running.
    names: Option<Names>,
}

impl WasmRuntime {
    /// A runtime on the interpreter `wasmi`.
    ///
    /// # Errors
    /// [`EngineError`] when the engine can't be set up.
    pub fn wasmi() -> Result<Self, EngineError> {
        Ok(WasmRuntime { engine: Arc::new(wasmi::Wasmi::new()) })
    }

    /// A runtime on the compiler `wasmtime`.
    ///
    /// # Errors
    /// [`EngineError`] when the engine can't be set up: not enough addresses for its pool, an unknown processor, a folder
    /// for compiled code that can't be made.
    #[cfg(feature = "wasmtime")]
    pub fn wasmtime(config: WasmtimeConfig) -> Result<Self, EngineError> {
        let engine = wasmtime::Wasmtime::new(config).map_err(|reason| EngineError { reason })?;
        Ok(WasmRuntime { engine: Arc::new(engine) })
    }
}

/// What the engine has against a module that passed the check: nothing, unless it has a limit that the check doesn't know.
/// A runtime on wasmtime interprets such a module, with the same results.
pub fn engine_error(code: &Prepared) -> Option<&str> {
    match &code.downcast::<Ready>()?.code {
        Ok(code) => code.complaint(),
        Err(reason) => Some(reason),
    }
}

/// Whether the code is machine code by now. A runtime on wasmtime interprets what isn't used much.
pub fn is_compiled(code: &Prepared) -> bool {
    code.downcast::<Ready>().is_some_and(|ready| ready.code.as_ref().is_ok_and(|code| code.is_compiled()))
}

/// Checks a module against the `rules`, as a deployment does, and gives what would run: the module with its counters.
///
/// # Errors
/// [`ModuleError`] says what is wrong with the module.
pub fn instrument(code: &[u8], rules: &WasmRules) -> Result<Vec<u8>, ModuleError> {
    module::meter(code, rules).map(|metered| metered.code)
}

impl Runtime for WasmRuntime {
    fn name(&self) -> &str {
        WASM
    }

    fn prepare(&self, code: &[u8], rules: &Rules) -> Result<Prepared, CodeError> {
        let rules = &rules.wasm;
        let metered = module::meter(code, rules).map_err(|error| CodeError::new(error.to_string()))?;
        // If the engine can't, that is no fault of the module: it is told when it should run, and stops this node only.
        let code = self.engine.compile(&metered);
        Ok(ready(metered, code, rules, None))
    }

    fn prepare_for_trace(&self, code: &[u8], rules: &Rules) -> Result<Prepared, CodeError> {
        let rules = &rules.wasm;
        let metered = module::meter_with_place(code, rules).map_err(|error| CodeError::new(error.to_string()))?;
        // Interpreted whatever the engine is: the results are the same, and to compile what may run once takes long.
        let compiled = wasmi::Wasmi::new().compile_code(&metered.code, None, true).map_err(CodeError::new)?;
        Ok(ready(metered, Ok(compiled), rules, Some(Names::of(code))))
    }

    fn call(&self, code: &Prepared, invocation: &Invocation<'_>, host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        let Some(ready) = code.downcast::<Ready>() else {
            return Err(Trap::broken("the code was prepared by another runtime"));
        };
        match invocation.entry {
            EntryPoint::Constructor if !ready.entries.contains(CONSTRUCT) => Ok(Vec::new()),
            EntryPoint::Constructor => ready.enter(CONSTRUCT, invocation.arguments, host),
            EntryPoint::Migration if !ready.entries.contains(MIGRATE) => Err(Trap::UnknownMethod),
            EntryPoint::Migration => ready.enter(MIGRATE, invocation.arguments, host),
            EntryPoint::Method(method) => {
                let export = [METHOD, method].concat();
                if !ready.entries.contains(export.as_str()) {
                    return Err(Trap::UnknownMethod);
                }
                ready.enter(&export, invocation.arguments, host)
            }
        }
    }
}

/// Code that is ready to run, as the others know it.
fn ready(metered: Metered, code: Result<Box<dyn Code>, String>, rules: &WasmRules, names: Option<Names>) -> Prepared {
    let limits = Limits { costs: rules.costs, result_bytes: u64::from(rules.max_memory_pages) << 16 };
    // Names are in a tree, each in a piece of memory of its own.
    let exported: usize = metered.entries.iter().map(|name| name.len() + 64).sum();
    let named = names.as_ref().map_or(0, Names::weight);
    let weight = code.as_ref().map_or(0, |code| code.weight()).saturating_add(exported).saturating_add(named);
    let Metered { entries, starts, setup, .. } = metered;
    Prepared::new(Ready { code, entries, starts, setup, limits, names }).weighing(weight)
}

impl Ready {
    fn enter(&self, export: &str, arguments: &[u8], host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        host.charge(Fuel(self.setup))?;
        let stack = i32::try_from(host.stack_left()).unwrap_or(i32::MAX);
        let purpose = match host.environment().transaction {
            Some(_) => Purpose::Transaction,
            None => Purpose::Simulation,
        };
        let mut session = Session::new(host, arguments, self.limits);
        let counters = Counters { fuel: session.begin(), stack };
        let both = [START, export];
        let exports = if self.starts { both.as_slice() } else { both.get(1..).unwrap_or_default() };
        let code = self.code.as_ref().map_err(|reason| failed(reason))?;
        let run = session.enter(|| code.run(exports, counters, purpose));
        // First what it used: for want of fuel is why it stopped, if it has none.
        let finished = session.finish(run.counters.fuel);
        if let (Err(_), Some(names), Some(place)) = (&run.end, &self.names, run.place) {
            host.broke_down_in(&names.name(place));
        }
        let output = finished?;
        match run.end {
            Ok(()) => Ok(output),
            Err(Stopped::Fault(_)) if run.counters.stack < 0 => Err(Trap::broken(Fault::Stack.to_string())),
            Err(Stopped::Fault(fault)) => Err(Trap::broken(fault.to_string())),
            Err(Stopped::Import) => Err(Trap::broken("an import stopped the run without a reason")),
            Err(Stopped::Engine(reason)) => Err(failed(&reason)),
        }
    }
}

/// The engine failed, and not the contract.
fn failed(reason: &str) -> Trap {
    Trap::Host(HostError::State(StateError::Engine { reason: format!("the WebAssembly engine: {reason}") }))
}
