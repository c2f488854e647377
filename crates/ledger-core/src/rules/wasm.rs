//! What WebAssembly modules may be on a chain, and what their instructions cost.

use crate::codec::{Decode, Encode};

/// A rule's name, its value, the least and the most that it may be.
pub(crate) type Range = (&'static str, u64, u64, u64);

/// The limits of WebAssembly modules. A module over one of them is refused when it is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WasmRules {
    /// The longest module, in bytes. A module is stored as a state value too, so
    /// [`max_value_bytes`](super::Rules::max_value_bytes) bounds it as well.
    pub max_module_bytes: u32,
    /// The most functions of a module, imported ones included.
    pub max_functions: u32,
    /// The longest body of a function, in bytes.
    pub max_function_bytes: u32,
    /// The most parameters and locals of a function, together.
    pub max_locals: u32,
    /// The most entries of the table.
    pub max_table_entries: u32,
    /// The most globals of a module.
    pub max_globals: u32,
    /// The most memory, in pages of 64 KiB. What a module grows beyond it, it is refused.
    pub max_memory_pages: u32,
    /// The most targets of one `br_table`, the default one not counted.
    pub max_br_table: u32,
    /// The stack of a transaction, all calls of contracts within each other together, in slots of 8 bytes.
    pub max_stack_slots: u32,
    /// What instructions cost.
    pub costs: WasmCosts,
}

/// What instructions cost, in fuel. Structure (`block`, `else`, `end`, `nop`) is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WasmCosts {
    /// A fresh instance, which every call of a contract gets, without what is named below.
    pub instance: u32,
    /// Each function of a fresh instance that isn't imported.
    pub instance_function: u32,
    /// Each global of a fresh instance.
    pub instance_global: u32,
    /// Each import of a fresh instance, and each method that it exports.
    pub instance_name: u32,
    /// Each segment of a fresh instance, of data or of table entries, beside what is in it.
    pub instance_segment: u32,
    /// Constants, locals, `drop`, `select`, integer arithmetic but for what is named below.
    pub basic: u32,
    /// Multiplications, comparisons, and what takes one operand: `eqz`, `clz`, `ctz`, `popcnt`, conversions, extensions.
    pub multiply: u32,
    /// A division or remainder.
    pub divide: u32,
    /// A load from memory.
    pub load: u32,
    /// A store to memory.
    pub store: u32,
    /// Reading or writing a global.
    pub global: u32,
    /// `br`, `br_if`, `return`, entering a `loop`; twice for `if`, which has two arms.
    pub branch: u32,
    /// `br_table`.
    pub branch_table: u32,
    /// A call of a function, of the host's ones too.
    pub call: u32,
    /// A call through the table.
    pub call_indirect: u32,
    /// A local that a function declares, set to zero whenever it is entered.
    pub local_zeroed: u32,
    /// `memory.size`, and `memory.grow` apart from its pages.
    pub memory_size: u32,
    /// A page of memory, grown or there at the beginning.
    pub memory_grow_page: u32,
    /// `memory.copy`, `memory.fill`, `memory.init`, their like for tables, apart from their lengths.
    pub bulk: u32,
    /// Each 64 bytes that are moved, the last ones rounded up: also into and out of the host, and of data segments.
    pub bulk_64_bytes: u32,
    /// An entry of a table that is moved or set.
    pub table_entry: u32,
}

impl Default for WasmRules {
    fn default() -> Self {
        WasmRules {
            max_module_bytes: 1 << 20,
            max_functions: 10_000,
            max_function_bytes: 128 << 10,
            max_locals: 4_096,
            max_table_entries: 10_000,
            max_globals: 1_000,
            max_memory_pages: 256,
            max_br_table: 4_096,
            max_stack_slots: 32_768,
            costs: WasmCosts::default(),
        }
    }
}

impl Default for WasmCosts {
    fn default() -> Self {
        WasmCosts {
            instance: 2_000,
            instance_function: 20,
            instance_global: 30,
            instance_name: 300,
            instance_segment: 300,
            basic: 1,
            multiply: 2,
            divide: 8,
            load: 2,
            store: 2,
            global: 2,
            branch: 12,
            branch_table: 12,
            call: 20,
            call_indirect: 30,
            local_zeroed: 1,
            memory_size: 16,
            memory_grow_page: 12_000,
            bulk: 20,
            bulk_64_bytes: 6,
            table_entry: 8,
        }
    }
}

/// The most that an instruction may cost: so the sum over a module stays far from the end of 63 bits.
const MOST_COST: u64 = 1 << 20;

impl WasmRules {
    /// The most that [`max_functions`](Self::max_functions) may be. One of the engines keeps something for each function and
    /// each global of an instance in a piece of memory of 1 MiB.
    pub const MOST_FUNCTIONS: u32 = 20_000;
    /// The most that [`max_function_bytes`](Self::max_function_bytes) may be: no engine parses longer functions.
    pub const MOST_FUNCTION_BYTES: u32 = 128 << 10;
    /// The most that [`max_locals`](Self::max_locals) may be. With more, a function would take more than the part of the
    /// stack that one may take.
    pub const MOST_LOCALS: u32 = 8_000;
    /// The most that [`max_table_entries`](Self::max_table_entries) may be: engines set so much aside for each instance.
    pub const MOST_TABLE_ENTRIES: u32 = 1 << 16;
    /// The most that [`max_globals`](Self::max_globals) may be. See [`MOST_FUNCTIONS`](Self::MOST_FUNCTIONS).
    pub const MOST_GLOBALS: u32 = 10_000;
    /// The most that [`max_memory_pages`](Self::max_memory_pages) may be: 256 MiB for each of the contracts that run within
    /// each other.
    pub const MOST_MEMORY_PAGES: u32 = 4_096;
    /// The most that [`max_stack_slots`](Self::max_stack_slots) may be: what fits in the stack of an ordinary thread.
    pub const MOST_STACK_SLOTS: u32 = 32 << 10;

    /// All that has a range, and the range: what all engines can do.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range> {
        let limits: [Range; 9] = [
            ("wasm.max_module_bytes", self.max_module_bytes.into(), 0, 8 << 20),
            ("wasm.max_functions", self.max_functions.into(), 0, Self::MOST_FUNCTIONS.into()),
            ("wasm.max_function_bytes", self.max_function_bytes.into(), 0, Self::MOST_FUNCTION_BYTES.into()),
            ("wasm.max_locals", self.max_locals.into(), 0, Self::MOST_LOCALS.into()),
            ("wasm.max_table_entries", self.max_table_entries.into(), 0, Self::MOST_TABLE_ENTRIES.into()),
            ("wasm.max_globals", self.max_globals.into(), 0, Self::MOST_GLOBALS.into()),
            ("wasm.max_memory_pages", self.max_memory_pages.into(), 0, Self::MOST_MEMORY_PAGES.into()),
            ("wasm.max_br_table", self.max_br_table.into(), 0, 65_520),
            ("wasm.max_stack_slots", self.max_stack_slots.into(), 1 << 10, Self::MOST_STACK_SLOTS.into()),
        ];
        limits.into_iter().chain(self.costs.ranges())
    }
}

impl WasmCosts {
    /// None is free: every loop has to come to an end.
    fn ranges(&self) -> impl Iterator<Item = Range> {
        let costs = [
            ("wasm.costs.instance", self.instance),
            ("wasm.costs.instance_function", self.instance_function),
            ("wasm.costs.instance_global", self.instance_global),
            ("wasm.costs.instance_name", self.instance_name),
            ("wasm.costs.instance_segment", self.instance_segment),
            ("wasm.costs.basic", self.basic),
            ("wasm.costs.multiply", self.multiply),
            ("wasm.costs.divide", self.divide),
            ("wasm.costs.load", self.load),
            ("wasm.costs.store", self.store),
            ("wasm.costs.global", self.global),
            ("wasm.costs.branch", self.branch),
            ("wasm.costs.branch_table", self.branch_table),
            ("wasm.costs.call", self.call),
            ("wasm.costs.call_indirect", self.call_indirect),
            ("wasm.costs.local_zeroed", self.local_zeroed),
            ("wasm.costs.memory_size", self.memory_size),
            ("wasm.costs.memory_grow_page", self.memory_grow_page),
            ("wasm.costs.bulk", self.bulk),
            ("wasm.costs.bulk_64_bytes", self.bulk_64_bytes),
            ("wasm.costs.table_entry", self.table_entry),
        ];
        costs.into_iter().map(|(rule, cost)| (rule, cost.into(), 1, MOST_COST))
    }
}
