//! The engine `wasmi`: an interpreter, small, and quick to prepare.

use super::engine::{Code, Counters, Engine, Purpose, Run};
use super::fault::{Fault, ImportStopped, Stopped};
use super::host;
use super::imports::{MODULE, for_each_import};
use super::module::{FUEL, MEMORY, Metered, PLACE, STACK};
use super::renewal::{Number, Renewal};
use super::session::Guest;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wasmi::errors::{ErrorKind, MemoryError, TableError};
use wasmi::{
    AsContextMut, Caller, CompilationMode, Config, Error, Global, Linker, Memory, Module, ResourceLimiter, Store,
    TrapCode, Val,
};
use wasmi_core::LimiterError;

/// Deeper than the counted stack allows: a function takes 16 slots at least.
const MAX_DEPTH: usize = 1 << 20;
/// Larger than the counted stack allows, in bytes.
const MAX_STACK_BYTES: usize = 64 << 20;
/// How many used instances of a module are kept: one for the chain, one for queries.
pub(super) const MAX_USED: usize = 2;

/// What a module's engine, linker and tables take beside its code, in bytes.
const BASE_BYTES: usize = 32 << 10;
/// What wasmi keeps for each byte of a module, in bytes: its own code, which is longer, and all that it knows of functions.
const BYTES_PER_BYTE: usize = 8;

/// Every module has an engine of its own: an engine keeps the code of all its modules until it is dropped itself.
pub(super) struct Wasmi {
    config: Config,
}

/// What a store knows of the one instance in it.
#[derive(Default)]
struct Instance {
    fuel: Option<Global>,
    stack: Option<Global>,
    place: Option<Global>,
    memory: Option<Memory>,
    limiter: OnlyMaxima,
}

impl wasmi::errors::HostError for ImportStopped {}

impl Wasmi {
    pub(super) fn new() -> Self {
        let mut config = Config::default();
        config
            .compilation_mode(CompilationMode::Eager)
            .floats(false)
            .wasm_multi_memory(false)
            .wasm_tail_call(false)
            .wasm_extended_const(false)
            .wasm_saturating_float_to_int(false)
            .ignore_custom_sections(true)
            .allow_start_fn(false)
            .set_max_recursion_depth(MAX_DEPTH)
            .set_max_stack_height(MAX_STACK_BYTES)
            // What deep calls have made of a stack would stay with each module.
            .set_max_cached_stacks(0);
        Wasmi { config }
    }
}

macro_rules! define_link {
    ($($name:literal $function:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        fn link(linker: &mut Linker<Instance>) -> Result<(), wasmi::errors::LinkerError> {
            $(
                linker.func_wrap(MODULE, $name, |mut caller: Caller<'_, Instance>, $($arg: $ty),*| {
                    host::$function(&mut caller, $($arg),*).map_err(Error::host)
                })?;
            )*
            Ok(())
        }
    };
}
for_each_import!(define_link);

impl Guest for Caller<'_, Instance> {
    fn fuel(&mut self) -> i64 {
        get(self.data().fuel, &mut *self)
    }

    fn set_fuel(&mut self, fuel: i64) {
        if let Some(global) = self.data().fuel {
            // It is a mutable global of this type in every metered module.
            let _ = global.set(self, Val::I64(fuel));
        }
    }

    fn stack(&mut self) -> i32 {
        i32::try_from(get(self.data().stack, &mut *self)).unwrap_or(-1)
    }

    fn memory(&mut self) -> &mut [u8] {
        match self.data().memory {
            Some(memory) => memory.data_mut(self.as_context_mut()),
            None => &mut [],
        }
    }
}

/// The number in a global. One that isn't there is like one that is used up.
fn get(global: Option<Global>, context: impl AsContextMut) -> i64 {
    match global.map(|global| global.get(context)) {
        Some(Val::I64(value)) => value,
        Some(Val::I32(value)) => value.into(),
        _ => -1,
    }
}

impl Engine for Wasmi {
    fn compile(&self, module: &Metered) -> Result<Box<dyn Code>, String> {
        self.compile_code(&module.code, module.renewal.as_ref(), false)
    }
}

impl Wasmi {
    /// Compiles a metered module, which may say which function is running. Instances are kept if it is known what renews them.
    pub(super) fn compile_code(
        &self,
        code: &[u8],
        renewal: Option<&Renewal>,
        says_place: bool,
    ) -> Result<Box<dyn Code>, String> {
        let engine = wasmi::Engine::new(&self.config);
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|error| error.to_string())?;
        let module = Module::new(&engine, code).map_err(|error| error.to_string())?;
        let used = renewal.map_or(0, |renewal| renewal.weight(MAX_USED));
        let (weight, renewal) = (weight(code.len()).saturating_add(used), renewal.cloned());
        Ok(Box::new(Compiled { linker, module, weight, says_place, renewal, used: Mutex::default() }))
    }
}

/// What a metered module of so many bytes keeps, in bytes.
pub(super) fn weight(bytes: usize) -> usize {
    BASE_BYTES.saturating_add(bytes.saturating_mul(BYTES_PER_BYTE))
}

struct Compiled {
    linker: Linker<Instance>,
    module: Module,
    weight: usize,
    says_place: bool,
    renewal: Option<Renewal>,
    /// Instances that calls have left in order.
    used: Mutex<Vec<Made>>,
}

/// An instance, and what is called in it.
struct Made {
    store: Store<Instance>,
    instance: wasmi::Instance,
    fuel: Global,
    stack: Global,
    memory: Option<Memory>,
    /// The guest's own, in the order of the [`Renewal`].
    globals: Vec<Global>,
}

impl Code for Compiled {
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&self, exports: &[&str], counters: Counters, _: Purpose) -> Run {
        let mut made = match self.used().map_or_else(|| self.make(), Ok) {
            Ok(made) => made,
            // What failed before there were counters used nothing.
            Err(error) => return Run { counters, end: Err(Stopped::Engine(error.to_string())), place: None },
        };
        let end = made.call(exports, counters).map_err(|error| stopped(&error));
        let counters = made.left();
        let place = if end.is_ok() { None } else { place(&mut made.store) };
        if end.is_ok() {
            self.keep(made);
        }
        Run { counters, end, place }
    }
}

impl Compiled {
    fn make(&self) -> Result<Made, Error> {
        let mut store = Store::new(self.module.engine(), Instance::default());
        store.limiter(|instance| &mut instance.limiter);
        let instance = self.linker.instantiate_and_start(&mut store, &self.module)?;
        let global = |name: &str| instance.get_global(&store, name).ok_or_else(|| Error::new("a global isn't there"));
        let (fuel, stack) = (global(FUEL)?, global(STACK)?);
        let names = self.renewal.iter().flat_map(|renewal| &renewal.globals);
        let globals = names.map(|(name, _)| global(name)).collect::<Result<_, _>>()?;
        let memory = instance.get_memory(&store, MEMORY);
        let place = if self.says_place { instance.get_global(&store, PLACE) } else { None };
        *store.data_mut() = Instance { fuel: Some(fuel), stack: Some(stack), place, memory, limiter: OnlyMaxima };
        Ok(Made { store, instance, fuel, stack, memory, globals })
    }

    /// An instance that was used before, like new.
    fn used(&self) -> Option<Made> {
        let renewal = self.renewal.as_ref()?;
        let mut made = self.lock().pop()?;
        made.renew(renewal).then_some(made)
    }

    fn keep(&self, made: Made) {
        if self.renewal.is_some() {
            let mut used = self.lock();
            if used.len() < MAX_USED {
                used.push(made);
            }
        }
    }

    // Each change is whole before anything can panic.
    fn lock(&self) -> MutexGuard<'_, Vec<Made>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn call(&mut self, exports: &[&str], counters: Counters) -> Result<(), Error> {
        self.fuel.set(&mut self.store, Val::I64(counters.fuel))?;
        self.stack.set(&mut self.store, Val::I32(counters.stack))?;
        for export in exports {
            self.instance.get_typed_func::<(), ()>(&self.store, export)?.call(&mut self.store, ())?;
        }
        Ok(())
    }

    fn left(&mut self) -> Counters {
        let stack = i32::try_from(get(Some(self.stack), &mut self.store)).unwrap_or(-1);
        Counters { fuel: get(Some(self.fuel), &mut self.store), stack }
    }

    /// Gives it its beginning again; `false` if that can't be done.
    fn renew(&mut self, renewal: &Renewal) -> bool {
        for (global, (_, number)) in self.globals.iter().zip(&renewal.globals) {
            let value = match *number {
                Number::I32(value) => Val::I32(value),
                Number::I64(value) => Val::I64(value),
            };
            if global.set(&mut self.store, value).is_err() {
                return false;
            }
        }
        let bytes = match self.memory {
            Some(memory) => memory.data_mut(&mut self.store),
            None => &mut [],
        };
        renewal.fill(bytes)
    }
}

fn place(store: &mut Store<Instance>) -> Option<u32> {
    let place = store.data().place;
    u32::try_from(get(place, store)).ok()
}

fn stopped(error: &Error) -> Stopped {
    if error.downcast_ref::<ImportStopped>().is_some() {
        return Stopped::Import;
    }
    let fault = match error.kind() {
        ErrorKind::Memory(MemoryError::OutOfBoundsAccess) => Some(Fault::OutOfBounds),
        ErrorKind::Table(TableError::InitOutOfBounds | TableError::CopyOutOfBounds) => Some(Fault::TableOutOfBounds),
        _ => error.as_trap_code().and_then(fault),
    };
    fault.map_or_else(|| Stopped::Engine(error.to_string()), Stopped::Fault)
}

fn fault(code: TrapCode) -> Option<Fault> {
    Some(match code {
        TrapCode::UnreachableCodeReached => Fault::Unreachable,
        TrapCode::MemoryOutOfBounds => Fault::OutOfBounds,
        TrapCode::TableOutOfBounds => Fault::TableOutOfBounds,
        TrapCode::IndirectCallToNull => Fault::NullCall,
        TrapCode::IntegerDivisionByZero => Fault::DivideByZero,
        TrapCode::IntegerOverflow => Fault::Overflow,
        TrapCode::BadSignature => Fault::CallType,
        // The rest are limits of the engine that lie beyond the counted ones, or can't happen without floats.
        _ => return None,
    })
}

/// Lets memories grow to their maxima. If the machine has no memory left, the run stops: a contract must not notice.
#[derive(Clone, Copy, Debug, Default)]
struct OnlyMaxima;

impl ResourceLimiter for OnlyMaxima {
    fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: &MemoryError) -> Result<(), LimiterError> {
        Err(LimiterError::ResourceLimiterDeniedAllocation)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}
