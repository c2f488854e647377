//! The chain's rules for WebAssembly.

/// Limits for modules, and what their instructions cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasmRules {
    pub max_module_bytes: u32,
    pub max_functions: u32,
    pub max_function_bytes: u32,
    pub max_locals: u32,
    pub max_table_entries: u32,
    pub max_globals: u32,
    pub max_memory_pages: u32,
    pub max_stack_slots: u32,
    pub max_br_table: u32,
    pub costs: WasmCosts,
}

impl Default for WasmRules {
    fn default() -> Self {
        WasmRules {
            max_module_bytes: 1 << 20,
            max_functions: 10_000,
            max_function_bytes: 64 << 10,
            max_locals: 1_024,
            max_table_entries: 10_000,
            max_globals: 1_000,
            max_memory_pages: 256,
            max_stack_slots: 32_768,
            max_br_table: 4_096,
            costs: WasmCosts::default(),
        }
    }
}

/// Fuel for each class of instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasmCosts {
    pub basic: u32,
    pub multiply: u32,
    pub divide: u32,
    pub load: u32,
    pub store: u32,
    pub global: u32,
    pub branch: u32,
    pub branch_table: u32,
    pub call: u32,
    pub call_indirect: u32,
    pub memory_size: u32,
    pub memory_grow_page: u32,
    pub bulk: u32,
    pub bulk_64_bytes: u32,
    pub table_entry: u32,
    pub local_zeroed: u32,
}

impl Default for WasmCosts {
    fn default() -> Self {
        WasmCosts {
            basic: 1,
            multiply: 2,
            divide: 10,
            load: 2,
            store: 2,
            global: 2,
            branch: 2,
            branch_table: 4,
            call: 10,
            call_indirect: 15,
            memory_size: 2,
            memory_grow_page: 5_000,
            bulk: 20,
            bulk_64_bytes: 4,
            table_entry: 2,
            local_zeroed: 1,
        }
    }
}
