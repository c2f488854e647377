//! The engine `wasmtime`: a compiler. Instances come from a pool, and imports are bound when a module is compiled.
//!
//! Compiling takes some twenty times as long as all else that makes a module ready, so it is done beside execution and only
//! for code that is used: see [`Compilation`]. What is compiled is so once, and what isn't yet is interpreted.
//!
//! What it can't do for a module, or not now, [`wasmi`](super::wasmi) does in its place, so that nothing that a contract does
//! or others do meanwhile can end a block or make it late: a module that would take long to compile, a function whose frame is
//! larger than what is counted for it, an instance when all of the pool's are taken.

use super::engine::{Code, Counters, Engine, Purpose, Run};
use super::fault::{Fault, ImportStopped, Stopped};
use super::frames;
use super::function::NATIVE_BYTES_PER_SLOT;
use super::host;
use super::imports::{MODULE, for_each_import};
use super::known::Known;
use super::later::Later;
use super::module::{FUEL, MEMORY, Metered, STACK};
use super::renewal::Renewal;
use super::session::Guest;
use super::wasmi::{self, Wasmi};
use crate::call::EXECUTION_STACK_BYTES;
use ledger_core::WasmRules;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use wasmtime::{
    Cache, CacheConfig, Caller, Config, Error, Extern, Global, InstanceAllocationStrategy, InstancePre, Linker, Memory,
    Module, ModuleExport, PoolConcurrencyLimitError, PoolingAllocationConfig, ResourceLimiter, Store, Trap, Val,
};

/// How much there is of what a [`WasmRuntime`](super::WasmRuntime) on wasmtime takes from the machine beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasmtimeConfig {
    /// The instances in the pool: one for each contract that is running on any thread, those that wait for others they have
    /// called included. Simulations take at most half of them. Who finds none is interpreted. Each reserves 4 GiB of
    /// addresses, and no memory.
    pub instances: u32,
    /// An absolute path to a folder in which compiled code is kept for the next start, and for others with this folder; it
    /// is made if it isn't there. `None` unless set: then every start compiles anew. What is there is taken when a module is
    /// made ready, whether it has been used since the start or not; who does that waits a few ms for it, and for all modules
    /// together half a second at most.
    ///
    /// **What is in it runs as part of this program**: whoever can write there can do all that the program can, and a node
    /// that runs altered code disagrees with the others. It has to be as safe as the program's own file, and on a disk as
    /// good. A file that can't be unpacked is compiled again; one that unpacks is believed.
    ///
    /// Files are wasmtime's own, by the digest of module, settings and wasmtime's version; beyond 512 MiB the oldest go. A
    /// thread sees to that.
    pub cache: Option<PathBuf>,
    /// When code is compiled.
    pub compilation: Compilation,
}

/// When code is compiled. Nobody can tell by results or fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compilation {
    /// Once its runs have used as much fuel as compiling pays for, on a thread of the runtime's own; until then it is
    /// interpreted. So new code takes a block no longer than on an interpreter, and whoever wants the compiler to work has to
    /// pay for it. The default.
    #[default]
    WhenUsed,
    /// Before it runs first, and whoever runs it waits for that: about 1.7 µs for each byte of code, which the fuel for new
    /// code doesn't cover. For measurements and tests, and for chains on which only those deploy who mean well.
    AtOnce,
}

impl Default for WasmtimeConfig {
    fn default() -> Self {
        WasmtimeConfig { instances: 512, cache: None, compilation: Compilation::default() }
    }
}

impl WasmtimeConfig {
    /// The default, and [`Compilation::AtOnce`].
    pub fn at_once() -> Self {
        WasmtimeConfig { compilation: Compilation::AtOnce, ..WasmtimeConfig::default() }
    }
}

/// How much fuel the runs of a module have used for each byte of it, counters included, before it is compiled.
const USED_BY_BYTE: u64 = 200;

/// How much of a thread's stack compiled code may use, in bytes: what all slots stand for, and the largest function, which has
/// its frame before it counts it.
const STACK_BYTES: u64 = (WasmRules::MOST_STACK_SLOTS as u64 / 4 * 5) * NATIVE_BYTES_PER_SLOT;
/// What threads that execute need beyond that, for all that isn't compiled code.
const _: () = assert!(STACK_BYTES + (512 << 10) <= EXECUTION_STACK_BYTES as u64);
/// How often the compiler may have to look at a value for each byte of a module, and in any case. Its time goes with that: for
/// loops within each other, say, with the number of values and the square of the loops. What others compile looks at about
/// four for each byte.
const WORK_BY_BYTE: u64 = 16;
const LEAST_MAX_WORK: u64 = 1 << 15;
/// What a module takes beside its code, in bytes.
const BASE_BYTES: usize = 64 << 10;
/// What compiled code takes for each byte of a module, with what is kept beside it, where it isn't there yet.
const NATIVE_BYTES_PER_BYTE: usize = 12;

pub(super) struct Wasmtime {
    shared: Arc<Shared>,
}

/// What all modules share.
struct Shared {
    engine: wasmtime::Engine,
    linker: Linker<Instance>,
    /// What compiles; `None` if that is done at once.
    later: Option<Later>,
    /// What the folder of compiled code has, if there is one.
    known: Option<Known>,
    /// How many instances simulations have.
    simulating: AtomicU32,
    /// How many they may have.
    most_simulating: u32,
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
            .max_memory_size((WasmRules::MOST_MEMORY_PAGES as usize) << 16)
            .table_elements(WasmRules::MOST_TABLE_ENTRIES as usize)
            // The first pages stay: to clear them is quicker than to fault them in again.
            .linear_memory_keep_resident(128 << 10)
            .table_keep_resident(8 << 10);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .max_wasm_stack(usize::try_from(STACK_BYTES).map_err(|error| error.to_string())?)
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
        let known = limits.cache.as_deref().map(Known::new);
        let cache = limits.cache.map(|folder| {
            let mut cache = CacheConfig::new();
            cache.with_directory(folder);
            Cache::new(cache)
        });
        config.cache(cache.transpose().map_err(|error| words(&error))?);
        let engine = wasmtime::Engine::new(&config).map_err(|error| words(&error))?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|error| words(&error))?;
        let most_simulating = limits.instances / 2;
        let later = match limits.compilation {
            Compilation::WhenUsed => Some(Later::new()?),
            Compilation::AtOnce => None,
        };
        let simulating = AtomicU32::new(0);
        let shared = Shared { engine, linker, later, known, simulating, most_simulating };
        Ok(Wasmtime { shared: Arc::new(shared) })
    }
}

/// The place of a simulation among those that have instances.
struct Place<'a>(&'a Shared);

impl Shared {
    /// A place for a run; `None` if too many simulations run.
    fn place(&self, purpose: Purpose) -> Option<Option<Place<'_>>> {
        if purpose == Purpose::Transaction {
            return Some(None);
        }
        let free = |taken| (taken < self.most_simulating).then_some(taken + 1);
        // It counts, and nothing else is told by it.
        let taken = self.simulating.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        taken.ok().map(|_| Some(Place(self)))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.simulating.fetch_sub(1, Ordering::Relaxed);
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
        let Metered { code, slots, work, renewal, .. } = module.clone();
        // What isn't there yet counts, too: nobody asks again.
        let native = code.len().saturating_mul(NATIVE_BYTES_PER_BYTE).saturating_add(BASE_BYTES);
        let used = renewal.as_ref().map_or(0, |renewal| renewal.weight(wasmi::MAX_USED));
        let weight = native.saturating_add(code.len()).saturating_add(wasmi::weight(code.len())).saturating_add(used);
        let (compiled, spare) = (OnceLock::new(), OnceLock::new());
        let source = Source { code, slots, work, renewal };
        let (used, asked) = (AtomicU64::new(0), AtomicBool::new(false));
        let tiers = Arc::new(Tiers { shared: Arc::clone(&self.shared), source, compiled, spare, used, asked });
        match self.shared.later {
            Some(_) => tiers.recall(),
            None => {
                let _ = tiers.compile();
            }
        }
        let weight = match tiers.compiled.get() {
            Some(Ok(compiled)) => weight.saturating_sub(native).saturating_add(compiled.weight),
            _ => {
                tiers.spare().as_ref().map_err(Clone::clone)?;
                weight
            }
        };
        Ok(Box::new(Either { tiers, weight }))
    }
}

/// What compilers need of a module.
struct Source {
    code: Vec<u8>,
    slots: Vec<u32>,
    work: u64,
    renewal: Option<Renewal>,
}

impl Shared {
    fn compiled(self: &Arc<Self>, module: &Source) -> Result<Compiled, String> {
        let most = (module.code.len() as u64).saturating_mul(WORK_BY_BYTE).saturating_add(LEAST_MAX_WORK);
        if module.work > most {
            let (work, size) = (module.work, module.code.len());
            return Err(format!("compiling {size} bytes looks at values {work} times, and {most} is the most"));
        }
        let compiled = Module::new(&self.engine, &module.code).map_err(|error| words(&error))?;
        if let Some(reason) = frames::too_large(&compiled, &module.slots) {
            return Err(reason);
        }
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
        if let Some(known) = &self.known {
            known.note(&module.code);
        }
        Ok(Compiled { shared: Arc::clone(self), instance, fuel, stack, memory, entries, weight })
    }
}

/// A module, compiled and interpreted: each when it is needed.
struct Tiers {
    shared: Arc<Shared>,
    source: Source,
    compiled: OnceLock<Result<Compiled, String>>,
    spare: OnceLock<Result<Box<dyn Code>, String>>,
    /// How much fuel its runs on the interpreter have used.
    used: AtomicU64,
    /// Whether the compiler has been asked.
    asked: AtomicBool,
}

impl Tiers {
    fn compile(&self) -> Result<&Compiled, &String> {
        self.compiled.get_or_init(|| self.shared.compiled(&self.source)).as_ref()
    }

    fn spare(&self) -> &Result<Box<dyn Code>, String> {
        let Source { code, renewal, .. } = &self.source;
        self.spare.get_or_init(|| Wasmi::new().compile_code(code, renewal.as_ref(), false))
    }

    /// Has the folder of compiled code give what it has of the module, and waits a while for that: reading takes a small part of
    /// what making the module ready does, and was paid for with that.
    fn recall(self: &Arc<Self>) {
        let (Some(later), Some(known)) = (&self.shared.later, &self.shared.known) else { return };
        if !known.has(&self.source.code) {
            return;
        }
        let tiers = Arc::clone(self);
        // Whether it came or not shows in what was compiled. If it isn't there any more it is compiled again, and interpreted until
        // then.
        let taken = later.ask_and_wait(move || {
            let _ = tiers.compile();
        });
        self.asked.store(taken, Ordering::Relaxed);
    }

    /// Notes what a run has used; asks the compiler when that is enough. They count, and nothing else is told by them.
    fn note(self: &Arc<Self>, used: u64) {
        let Some(later) = &self.shared.later else { return };
        let before = self.used.fetch_add(used, Ordering::Relaxed);
        let enough = (self.source.code.len() as u64).saturating_mul(USED_BY_BYTE);
        if before.saturating_add(used) < enough || self.asked.swap(true, Ordering::Relaxed) {
            return;
        }
        // Code that was forgotten meanwhile isn't compiled.
        let tiers = Arc::downgrade(self);
        let taken = later.ask(move || {
            if let Some(tiers) = tiers.upgrade() {
                let _ = tiers.compile();
            }
        });
        if !taken {
            self.asked.store(false, Ordering::Relaxed);
        }
    }
}

/// Compiled code, and what runs in its place where that can't or isn't there yet.
struct Either {
    tiers: Arc<Tiers>,
    weight: usize,
}

impl Code for Either {
    fn weight(&self) -> usize {
        self.weight
    }

    fn complaint(&self) -> Option<&str> {
        self.tiers.compiled.get()?.as_ref().err().map(String::as_str)
    }

    fn is_compiled(&self) -> bool {
        matches!(self.tiers.compiled.get(), Some(Ok(_)))
    }

    fn run(&self, exports: &[&str], counters: Counters, purpose: Purpose) -> Run {
        let compiled = self.tiers.compiled.get();
        let run = compiled.and_then(|compiled| compiled.as_ref().ok()).and_then(|compiled| {
            let _place = compiled.shared.place(purpose)?;
            compiled.run(exports, counters)
        });
        if let Some(run) = run {
            return run;
        }
        let run = match self.tiers.spare() {
            Ok(code) => code.run(exports, counters, purpose),
            Err(reason) => return Run { counters, end: Err(Stopped::Engine(reason.clone())), place: None },
        };
        if compiled.is_none() {
            let left = run.counters.fuel.max(0);
            self.tiers.note(counters.fuel.saturating_sub(left).max(0).cast_unsigned());
        }
        run
    }
}

struct Compiled {
    shared: Arc<Shared>,
    instance: InstancePre<Instance>,
    fuel: ModuleExport,
    stack: ModuleExport,
    memory: Option<ModuleExport>,
    entries: BTreeMap<String, ModuleExport>,
    weight: usize,
}

impl Compiled {
    /// What became of a run; `None` if it didn't begin, for want of an instance.
    fn run(&self, exports: &[&str], counters: Counters) -> Option<Run> {
        let mut store = Store::new(&self.shared.engine, Instance::default());
        store.limiter(|instance| &mut instance.limiter);
        let end = self.call(&mut store, exports, counters);
        // What failed before there were counters used nothing.
        let (Some(fuel), Some(stack)) = (store.data().fuel, store.data().stack) else {
            if end.as_ref().is_err_and(|error| error.is::<PoolConcurrencyLimitError>()) {
                return None;
            }
            let reason = end.err().map_or_else(String::new, |error| words(&error));
            return Some(Run { counters, end: Err(Stopped::Engine(reason)), place: None });
        };
        let counters = match (fuel.get(&mut store), stack.get(&mut store)) {
            (Val::I64(fuel), Val::I32(stack)) => Counters { fuel, stack },
            _ => Counters { fuel: -1, stack: -1 },
        };
        Some(Run { counters, end: end.map_err(|error| stopped(&error)), place: None })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn simulations_have_half_of_the_pool() {
        let shared = Wasmtime::new(WasmtimeConfig { instances: 5, ..WasmtimeConfig::default() }).unwrap().shared;
        let first = shared.place(Purpose::Simulation).unwrap();
        let second = shared.place(Purpose::Simulation).unwrap();
        assert!(shared.place(Purpose::Simulation).is_none());
        // Blocks aren't counted.
        assert!(matches!(shared.place(Purpose::Transaction), Some(None)));
        drop(first);
        let third = shared.place(Purpose::Simulation).unwrap();
        drop((second, third));
        assert_eq!(shared.simulating.load(Ordering::Relaxed), 0);
    }
}
