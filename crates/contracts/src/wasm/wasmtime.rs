//! The engine `wasmtime`: a compiler. Instances come from a pool, and imports are bound when a module is prepared.

use super::engine::{Code, Counters, Engine, Run};
use super::fault::{Fault, ImportStopped, Stopped};
use super::host;
use super::imports::{MODULE, for_each_import};
use super::module::{FUEL, MEMORY, Metered, STACK};
use super::session::Guest;
use std::collections::BTreeMap;
use wasmtime::{
    Caller, Config, Error, Extern, Global, InstanceAllocationStrategy, InstancePre, Linker, Memory, Module,
    ModuleExport, PoolingAllocationConfig, ResourceLimiter, Store, Trap, Val,
};

/// How much there is of what a [`WasmRuntime`](super::WasmRuntime) on wasmtime takes from the machine beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasmtimeConfig {
    /// The most instances at one time: contracts that are running on all threads, those that wait for others they have
    /// called included, so the chain's `max_call_depth` for each thread that executes or answers queries. A node that has
    /// none left stops. Each reserves 4 GiB of addresses, and no memory.
    pub instances: u32,
    /// The largest memory of an instance, in bytes; the chain's `max_memory_pages` must not be more.
    pub memory_bytes: usize,
    /// The largest table of an instance; the chain's `max_table_entries` must not be more.
    pub table_entries: usize,
    /// How much of a thread's stack compiled code may use, in bytes. The counted stack ends before, if this is 40 for each
    /// of the chain's `max_stack_slots`; threads that execute need this much and half a MiB for the rest.
    pub stack_bytes: usize,
}

impl Default for WasmtimeConfig {
    fn default() -> Self {
        WasmtimeConfig { instances: 512, memory_bytes: 16 << 20, table_entries: 10_000, stack_bytes: 1_280 << 10 }
    }
}

/// What a module takes beside its code, in bytes.
const BASE_BYTES: usize = 64 << 10;

pub(super) struct Wasmtime {
    engine: wasmtime::Engine,
    linker: Linker<Instance>,
}

/// What a store knows of the one instance in it.
#[derive(Default)]
struct Instance {
    fuel: Option<Global>,
    stack: Option<Global>,
    memory: Option<Memory>,
    limiter: OnlyMaxima,
}

impl Wasmtime {
    pub(super) fn new(limits: WasmtimeConfig) -> Result<Self, String> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(limits.instances)
            .total_memories(limits.instances)
            .total_tables(limits.instances)
            .max_memories_per_module(1)
            .max_tables_per_module(1)
            .max_memory_size(limits.memory_bytes)
            .table_elements(limits.table_entries)
            // The first pages stay: to clear them is quicker than to fault them in again.
            .linear_memory_keep_resident(128 << 10)
            .table_keep_resident(8 << 10);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .max_wasm_stack(limits.stack_bytes)
            // A few bytes far apart would be an image as large as all between them, kept with the code.
            .memory_guaranteed_dense_image_size(64 << 10)
            .wasm_backtrace_max_frames(None)
            .wasm_simd(false)
            .wasm_relaxed_simd(false)
            .wasm_tail_call(false)
            .wasm_multi_memory(false)
            .wasm_memory64(false)
            .wasm_extended_const(false)
            .generate_address_map(false);
        let engine = wasmtime::Engine::new(&config).map_err(|error| words(&error))?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|error| words(&error))?;
        Ok(Wasmtime { engine, linker })
    }
}

/// An error with its causes.
fn words(error: &Error) -> String {
    format!("{error:#}")
}

macro_rules! define_link {
    ($($name:literal $function:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        fn link(linker: &mut Linker<Instance>) -> Result<(), Error> {
            $(
                linker.func_wrap(MODULE, $name, |mut caller: Caller<'_, Instance>, $($arg: $ty),*| {
                    host::$function(&mut caller, $($arg),*).map_err(Error::new)
                })?;
            )*
            Ok(())
        }
    };
}
for_each_import!(define_link);

impl Guest for Caller<'_, Instance> {
    fn fuel(&mut self) -> i64 {
        match self.data().fuel.map(|global| global.get(self)) {
            Some(Val::I64(fuel)) => fuel,
            _ => -1,
        }
    }

    fn set_fuel(&mut self, fuel: i64) {
        if let Some(global) = self.data().fuel {
            // It is a mutable global of this type in every metered module.
            let _ = global.set(self, Val::I64(fuel));
        }
    }

    fn stack(&mut self) -> i32 {
        match self.data().stack.map(|global| global.get(self)) {
            Some(Val::I32(stack)) => stack,
            _ => -1,
        }
    }

    fn memory(&mut self) -> &mut [u8] {
        match self.data().memory {
            Some(memory) => memory.data_mut(self),
            None => &mut [],
        }
    }
}

impl Engine for Wasmtime {
    fn compile(&self, module: &Metered) -> Result<Box<dyn Code>, String> {
        let compiled = Module::new(&self.engine, &module.code).map_err(|error| words(&error))?;
        let export = |name: &str| compiled.get_export_index(name);
        let (Some(fuel), Some(stack)) = (export(FUEL), export(STACK)) else {
            return Err("the module has no counters".to_owned());
        };
        let memory = export(MEMORY);
        let entries = compiled.exports().map(|export| export.name().to_owned());
        let entries = entries.filter_map(|name| Some((export(&name)?, name))).map(|(index, name)| (name, index));
        let entries = entries.collect();
        let instance = self.linker.instantiate_pre(&compiled).map_err(|error| words(&error))?;
        let image = compiled.image_range();
        // Beside the image it keeps tables of functions and types, and the data of segments, all of which are in the module.
        let weight = image.end.addr().saturating_sub(image.start.addr());
        let weight = weight.saturating_add(module.code.len().saturating_mul(4)).saturating_add(BASE_BYTES);
        Ok(Box::new(Compiled { engine: self.engine.clone(), instance, fuel, stack, memory, entries, weight }))
    }
}

struct Compiled {
    engine: wasmtime::Engine,
    instance: InstancePre<Instance>,
    fuel: ModuleExport,
    stack: ModuleExport,
    memory: Option<ModuleExport>,
    entries: BTreeMap<String, ModuleExport>,
    weight: usize,
}

impl Code for Compiled {
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&self, exports: &[&str], counters: Counters) -> Run {
        let mut store = Store::new(&self.engine, Instance::default());
        store.limiter(|instance| &mut instance.limiter);
        let end = self.call(&mut store, exports, counters);
        // What failed before there were counters used nothing.
        let (Some(fuel), Some(stack)) = (store.data().fuel, store.data().stack) else {
            let reason = end.err().map_or_else(String::new, |error| words(&error));
            return Run { counters, end: Err(Stopped::Engine(reason)) };
        };
        let counters = match (fuel.get(&mut store), stack.get(&mut store)) {
            (Val::I64(fuel), Val::I32(stack)) => Counters { fuel, stack },
            _ => Counters { fuel: -1, stack: -1 },
        };
        Run { counters, end: end.map_err(|error| stopped(&error)) }
    }
}

impl Compiled {
    fn call(&self, store: &mut Store<Instance>, exports: &[&str], counters: Counters) -> Result<(), Error> {
        let instance = self.instance.instantiate(&mut *store)?;
        let global = |store: &mut Store<Instance>, export, value| {
            let global = instance.get_module_export(&mut *store, export).and_then(Extern::into_global);
            let global = global.ok_or_else(|| Error::msg("a counter isn't there"))?;
            global.set(store, value)?;
            Ok::<Global, Error>(global)
        };
        let fuel = global(store, &self.fuel, Val::I64(counters.fuel))?;
        let stack = global(store, &self.stack, Val::I32(counters.stack))?;
        let memory = self.memory.as_ref().and_then(|export| instance.get_module_export(&mut *store, export));
        let memory = memory.and_then(Extern::into_memory);
        *store.data_mut() = Instance { fuel: Some(fuel), stack: Some(stack), memory, limiter: OnlyMaxima };
        for name in exports {
            let export = self.entries.get(*name).and_then(|export| instance.get_module_export(&mut *store, export));
            let function = export.and_then(Extern::into_func).ok_or_else(|| Error::msg("no such export"))?;
            function.typed::<(), ()>(&*store)?.call(&mut *store, ())?;
        }
        Ok(())
    }
}

fn stopped(error: &Error) -> Stopped {
    if error.is::<ImportStopped>() {
        return Stopped::Import;
    }
    let fault = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => Some(Fault::Unreachable),
        Some(Trap::MemoryOutOfBounds) => Some(Fault::OutOfBounds),
        Some(Trap::TableOutOfBounds) => Some(Fault::TableOutOfBounds),
        Some(Trap::IndirectCallToNull) => Some(Fault::NullCall),
        Some(Trap::IntegerDivisionByZero) => Some(Fault::DivideByZero),
        Some(Trap::IntegerOverflow) => Some(Fault::Overflow),
        Some(Trap::BadSignature) => Some(Fault::CallType),
        // The rest are limits of the engine that lie beyond the counted ones, or can't happen without floats.
        _ => None,
    };
    fault.map_or_else(|| Stopped::Engine(words(error)), Stopped::Fault)
}

/// Lets memories grow to their maxima, and no further. If the machine has no memory left, the run stops: a contract must
/// not notice.
#[derive(Clone, Copy, Debug, Default)]
struct OnlyMaxima;

impl ResourceLimiter for OnlyMaxima {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool, Error> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<(), Error> {
        Err(error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool, Error> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}
