//! A module: checked against the rules, and written with counters for fuel and stack.
//!
//! One pass over the guest's bytes. What contracts may use is what ordinary compilers emit by default: integers, mutable
//! globals, sign extension, several results, bulk memory, one memory, one table of functions. All else is refused with
//! its place. No index of the guest's changes: the two globals come after its own, and no import is added. Its exports are
//! written anew, so that nobody but the host can name the globals.

use super::encode::{Writer, op};
use super::error::{ModuleError, within};
use super::function::{Scope, Signature, instrument, integer, length};
use super::imports;
use super::parts::{Type, fits};
use super::renewal::{Gathered, Renewal};
use ledger_core::WasmRules;
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{
    CompositeInnerType, DataKind, ElementItems, ElementKind, ExternalKind, FuncValidatorAllocations, MemoryType,
    Parser, Payload, RefType, SectionLimited, TypeRef, ValidPayload, Validator, WasmFeatures,
};

/// What the host's own exports begin with.
pub(super) const RESERVED: &str = "ledgerkit.";
/// The export of the global that holds the fuel that is left.
pub(super) const FUEL: &str = "ledgerkit.fuel";
/// The export of the global that holds the free slots of the stack.
pub(super) const STACK: &str = "ledgerkit.stack";
/// The global that says which function is running, in modules that are traced; below zero before any is.
pub(super) const PLACE: &str = "ledgerkit.place";
/// The export of the memory.
pub(super) const MEMORY: &str = "ledgerkit.memory";
/// The export of the start function.
pub(super) const START: &str = "ledgerkit.start";
/// What the exports of methods begin with.
pub(super) const METHOD: &str = "call_";
/// The export of the constructor.
pub(super) const CONSTRUCT: &str = "construct";
/// The export of the migration.
pub(super) const MIGRATE: &str = "migrate";

const PAGE_BYTES: u64 = 64 << 10;
// Limits of no interest to compilers, so that no rule of the chain says them.
const MAX_TYPES: u64 = 4_096;
const MAX_IMPORTS: u64 = 256;
const MAX_EXPORTS: u64 = 4_096;
const MAX_SEGMENTS: u64 = 4_096;
/// A function takes engines two microseconds to make ready however short it is, which is paid by the module's bytes. So there
/// may be one for so many of them, beside these.
const LEAST_FUNCTION_BYTES: u64 = 16;
const FUNCTIONS_OF_ANY_SIZE: u64 = 256;
/// What a recursive group of types begins with.
const GROUP_OF_TYPES: u8 = 0x4e;
/// What one of the engines takes at most.
const MAX_SEGMENT_BYTES: u64 = 1_000_000;

/// A module that may run.
#[derive(Clone, Debug)]
pub(super) struct Metered {
    /// The module with its counters.
    pub(super) code: Vec<u8>,
    /// The exported methods, constructor and migration, by the names of their exports.
    pub(super) entries: BTreeSet<Box<str>>,
    /// Whether there is a start function, now under [`START`].
    pub(super) starts: bool,
    /// Fuel for making an instance.
    pub(super) setup: u64,
    /// What each of its functions takes of the stack, in slots; imported functions aren't among them.
    #[cfg_attr(not(feature = "wasmtime"), allow(dead_code, reason = "only compiled code needs it"))]
    pub(super) slots: Vec<u32>,
    /// How often a compiler may have to look at one of its functions' values.
    #[cfg_attr(not(feature = "wasmtime"), allow(dead_code, reason = "only compiled code needs it"))]
    pub(super) work: u64,
    /// What makes a used instance like a new one, if anything does.
    pub(super) renewal: Option<Renewal>,
}

/// Checks `code` against the `rules` and gives it its counters.
pub(super) fn meter(code: &[u8], rules: &WasmRules) -> Result<Metered, ModuleError> {
    meter_with(code, rules, false)
}

/// As [`meter`], and the module says in another global which of its functions is running. Its results are the same, its fuel
/// and its stack included; but it is larger, so that it may be over a limit.
pub(super) fn meter_with_place(code: &[u8], rules: &WasmRules) -> Result<Metered, ModuleError> {
    meter_with(code, rules, true)
}

fn meter_with(code: &[u8], rules: &WasmRules, place: bool) -> Result<Metered, ModuleError> {
    within("the module's size", code.len() as u64, rules.max_module_bytes.into(), 0)?;
    let mut features = WasmFeatures::MUTABLE_GLOBAL | WasmFeatures::MULTI_VALUE | WasmFeatures::SIGN_EXTENSION;
    features |= WasmFeatures::BULK_MEMORY | WasmFeatures::REFERENCE_TYPES;
    // Floats, shared memories and so on are known to the parser, so that they can be named when they are refused.
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut pass = Pass { place, ..Pass::new(code, rules) };
    let mut allocations = FuncValidatorAllocations::default();
    for payload in parser.parse_all(code) {
        let payload = payload?;
        pass.before(&payload)?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let mut checker = function.into_validator(std::mem::take(&mut allocations));
            pass.function(&mut checker, &body)?;
            allocations = checker.into_allocations();
        }
        pass.after(payload)?;
    }
    Ok(pass.finish())
}

struct Pass<'a> {
    module: &'a [u8],
    rules: &'a WasmRules,
    types: Vec<Type>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    /// The function whose body comes next.
    next: usize,
    globals: u32,
    memory: Option<u64>,
    table: Option<u64>,
    start: Option<u32>,
    setup: u64,
    slots: Vec<u32>,
    work: u64,
    /// Whether it says which function is running.
    place: bool,
    entries: BTreeSet<Box<str>>,
    renewal: Gathered,
    /// The new sections by their ids.
    sections: BTreeMap<u8, Writer>,
}

/// The order of sections in a module, by their ids: the count of data segments comes before the code.
const ORDER: [u8; 11] = [1, 2, 3, 4, 5, 6, 7, 9, 12, 10, 11];

impl<'a> Pass<'a> {
    fn new(module: &'a [u8], rules: &'a WasmRules) -> Self {
        Pass {
            module,
            rules,
            types: Vec::new(),
            functions: Vec::new(),
            next: 0,
            globals: 0,
            memory: None,
            table: None,
            start: None,
            setup: rules.costs.instance.into(),
            slots: Vec::new(),
            work: 0,
            place: false,
            entries: BTreeSet::new(),
            renewal: Gathered::default(),
            sections: BTreeMap::new(),
        }
    }

    /// What can be refused by a look at numbers is refused before it is validated.
    fn before(&self, payload: &Payload<'_>) -> Result<(), ModuleError> {
        let rules = self.rules;
        let unsupported = |what: &str, offset| Err(ModuleError::Unsupported { what: what.to_owned(), offset });
        match payload {
            Payload::TypeSection(reader) => {
                count("the number of types", reader, MAX_TYPES)?;
                self.only_single_types(reader)
            }
            Payload::ImportSection(reader) => count("the number of imports", reader, MAX_IMPORTS),
            Payload::FunctionSection(reader) => {
                count("the number of functions", reader, rules.max_functions.into())?;
                let most = FUNCTIONS_OF_ANY_SIZE + self.module.len() as u64 / LEAST_FUNCTION_BYTES;
                count("the number of functions in a module of this size", reader, most)
            }
            Payload::TableSection(reader) => count("the number of tables", reader, 1),
            Payload::MemorySection(reader) => count("the number of memories", reader, 1),
            Payload::GlobalSection(reader) => count("the number of globals", reader, rules.max_globals.into()),
            Payload::ExportSection(reader) => count("the number of exports", reader, MAX_EXPORTS),
            Payload::ElementSection(reader) => count("the number of element segments", reader, MAX_SEGMENTS),
            Payload::DataSection(reader) => count("the number of data segments", reader, MAX_SEGMENTS),
            Payload::TagSection(reader) => unsupported("a section of tags", reader.range().start),
            Payload::Version { encoding, range, .. } if *encoding != wasmparser::Encoding::Module => {
                unsupported("a component", range.start)
            }
            _ => Ok(()),
        }
    }

    /// Takes what is valid into the new module.
    fn after(&mut self, payload: Payload<'a>) -> Result<(), ModuleError> {
        match payload {
            Payload::TypeSection(reader) => self.types(reader),
            Payload::ImportSection(reader) => self.imports(reader),
            Payload::FunctionSection(reader) => {
                self.copy(3, &reader)?;
                let offset = reader.range().start;
                self.add_setup(self.rules.costs.instance_function, reader.count().into());
                for ty in reader {
                    self.functions.push(ty?);
                }
                let limit = self.rules.max_functions.into();
                within("the number of functions", self.functions.len() as u64, limit, offset)
            }
            Payload::TableSection(reader) => {
                self.copy(4, &reader)?;
                for table in reader.into_iter_with_offsets() {
                    let (offset, table) = table?;
                    if table.ty.element_type != RefType::FUNCREF {
                        let what = format!("a table of type {}", table.ty.element_type);
                        return Err(ModuleError::Unsupported { what, offset });
                    }
                    let limit = self.rules.max_table_entries.into();
                    within("a table's size", table.ty.initial, limit, offset)?;
                    self.table = Some(table.ty.initial);
                    self.add_setup(self.rules.costs.table_entry, table.ty.initial);
                }
                Ok(())
            }
            Payload::MemorySection(reader) => reader.into_iter_with_offsets().try_for_each(|memory| {
                let (offset, memory) = memory?;
                self.memory(offset, &memory)
            }),
            Payload::GlobalSection(reader) => {
                self.globals = reader.count();
                self.add_setup(self.rules.costs.instance_global, self.globals.into());
                let items = self.items(&reader);
                for (index, global) in (0..).zip(reader.into_iter_with_offsets()) {
                    let (offset, global) = global?;
                    integer(global.ty.content_type, offset)?;
                    if global.ty.mutable {
                        self.renewal.global(index, &global.init_expr);
                    }
                }
                self.section(6).bytes(items);
                Ok(())
            }
            Payload::ExportSection(reader) => self.exports(reader),
            Payload::StartSection { func, .. } => {
                self.start = Some(func);
                Ok(())
            }
            Payload::ElementSection(reader) => self.elements(reader),
            Payload::DataCountSection { count, .. } => {
                self.section(12).unsigned(count);
                Ok(())
            }
            Payload::DataSection(reader) => self.data(reader),
            Payload::CodeSectionStart { count, .. } => {
                self.next = self.functions.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
                self.section(10).unsigned(count);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn section(&mut self, id: u8) -> &mut Writer {
        self.sections.entry(id).or_default()
    }

    fn add_setup(&mut self, price: u32, count: u64) {
        self.setup = self.setup.saturating_add(u64::from(price).saturating_mul(count));
    }

    /// A section's content without the number of its items.
    fn items<T: wasmparser::FromReader<'a>>(&self, reader: &SectionLimited<'a, T>) -> &'a [u8] {
        // A new reader stands right behind the number.
        self.module.get(reader.original_position()..reader.range().end).unwrap_or_default()
    }

    fn copy<T: wasmparser::FromReader<'a>>(
        &mut self,
        id: u8,
        reader: &SectionLimited<'a, T>,
    ) -> Result<(), ModuleError> {
        let items = self.items(reader);
        let count = reader.count();
        self.section(id).unsigned(count).bytes(items);
        Ok(())
    }

    /// Refuses groups of types before they are read: one claims memory for as many as it says it has, up to a million.
    fn only_single_types(&self, reader: &wasmparser::TypeSectionReader<'a>) -> Result<(), ModuleError> {
        let mut types = reader.clone().into_iter();
        loop {
            let offset = types.original_position();
            if self.module.get(offset) == Some(&GROUP_OF_TYPES) {
                return Err(ModuleError::Unsupported { what: "a group of types".to_owned(), offset });
            }
            match types.next() {
                Some(ty) => drop(ty?),
                None => return Ok(()),
            }
        }
    }

    fn types(&mut self, reader: wasmparser::TypeSectionReader<'a>) -> Result<(), ModuleError> {
        let items = self.items(&reader);
        let mut count = reader.count();
        let mut added = Writer::default();
        for group in reader.into_iter_with_offsets() {
            let (offset, group) = group?;
            for ty in group.into_types() {
                let CompositeInnerType::Func(function) = ty.composite_type.inner else {
                    return Err(ModuleError::Unsupported { what: "a type that is no function's".to_owned(), offset });
                };
                self.types.push(Type::new(&function, offset, &mut count, &mut added)?);
            }
        }
        self.section(1).unsigned(count).bytes(items).bytes(&added.0);
        Ok(())
    }

    fn imports(&mut self, reader: wasmparser::ImportSectionReader<'a>) -> Result<(), ModuleError> {
        self.copy(2, &reader)?;
        for import in reader {
            let import = import?;
            let known = imports::signature(import.module, import.name);
            let (Some((parameters, results)), TypeRef::Func(index)) = (known, import.ty) else {
                let (module, name) = (shortened(import.module), shortened(import.name));
                return Err(ModuleError::UnknownImport { module, name });
            };
            let found = self.types.get(index as usize);
            if found.is_none_or(|found| found.parameters != parameters || found.results != results) {
                return Err(ModuleError::ImportType { name: shortened(import.name) });
            }
            self.functions.push(index);
            self.add_setup(self.rules.costs.instance_name, 1);
        }
        Ok(())
    }

    fn memory(&mut self, offset: usize, memory: &MemoryType) -> Result<(), ModuleError> {
        let most = u64::from(self.rules.max_memory_pages).min(1 << 16);
        within("the memory's size in pages", memory.initial, most, offset)?;
        let maximum = memory.maximum.unwrap_or(most).min(most);
        self.memory = Some(memory.initial);
        self.add_setup(self.rules.costs.memory_grow_page, memory.initial);
        self.section(5).unsigned(1u32).byte(1).unsigned(memory.initial).unsigned(maximum);
        Ok(())
    }

    fn exports(&mut self, reader: wasmparser::ExportSectionReader<'a>) -> Result<(), ModuleError> {
        for export in reader {
            let export = export?;
            let name = export.name;
            if name.starts_with(RESERVED) {
                return Err(ModuleError::ReservedExport { name: shortened(name) });
            }
            if name != CONSTRUCT && name != MIGRATE && !name.starts_with(METHOD) {
                continue;
            }
            let ty = self.functions.get(export.index as usize).and_then(|&index| self.types.get(index as usize));
            let plain = ty.is_some_and(|ty| ty.parameters.is_empty() && ty.results.is_empty());
            if export.kind != ExternalKind::Func || !plain {
                return Err(ModuleError::MethodType { name: shortened(name) });
            }
            self.entries.insert(name.into());
            self.add_setup(self.rules.costs.instance_name, 1);
            self.section(7).vector(name.as_bytes()).byte(0).unsigned(export.index);
        }
        Ok(())
    }

    fn elements(&mut self, reader: wasmparser::ElementSectionReader<'a>) -> Result<(), ModuleError> {
        self.copy(9, &reader)?;
        for element in reader.into_iter_with_offsets() {
            let (offset, element) = element?;
            let entries = match &element.items {
                ElementItems::Functions(functions) => functions.count(),
                ElementItems::Expressions(ty, _) if *ty != RefType::FUNCREF => {
                    return Err(ModuleError::Unsupported { what: format!("a segment of type {ty}"), offset });
                }
                ElementItems::Expressions(_, expressions) => expressions.count(),
            };
            let limit = self.rules.max_table_entries.into();
            within("an element segment's size", entries.into(), limit, offset)?;
            self.add_setup(self.rules.costs.table_entry, entries.into());
            self.add_setup(self.rules.costs.instance_segment, 1);
            if let ElementKind::Active { offset_expr, .. } = &element.kind {
                fits(offset_expr, entries.into(), self.table.unwrap_or(0), "table", offset)?;
            }
        }
        Ok(())
    }

    fn data(&mut self, reader: wasmparser::DataSectionReader<'a>) -> Result<(), ModuleError> {
        self.copy(11, &reader)?;
        for data in reader.into_iter_with_offsets() {
            let (offset, data) = data?;
            let bytes = data.data.len() as u64;
            within("a data segment's size", bytes, MAX_SEGMENT_BYTES, offset)?;
            self.add_setup(self.rules.costs.bulk_64_bytes, bytes.div_ceil(64));
            self.add_setup(self.rules.costs.instance_segment, 1);
            if let DataKind::Active { offset_expr, .. } = &data.kind {
                let memory = self.memory.unwrap_or(0).saturating_mul(PAGE_BYTES);
                fits(offset_expr, bytes, memory, "memory", offset)?;
                self.renewal.data(offset_expr, data.data);
            }
        }
        Ok(())
    }

    fn function(
        &mut self,
        validator: &mut wasmparser::FuncValidator<wasmparser::ValidatorResources>,
        body: &wasmparser::FunctionBody<'a>,
    ) -> Result<(), ModuleError> {
        let ty = self.functions.get(self.next).and_then(|&index| self.types.get(index as usize));
        let Some(ty) = ty else {
            // The validator has counted bodies and types.
            return Err(ModuleError::Invalid { offset: body.range().start, message: "a body without type".to_owned() });
        };
        let signature =
            Signature { parameters: length(&ty.parameters), results: length(&ty.results), block_type: &ty.block_type };
        let (rules, module, types) = (self.rules, self.module, self.types.as_slice());
        let (function, fuel, stack) = (self.next as u64, self.globals, self.globals.saturating_add(1));
        let place = self.place.then(|| (stack.saturating_add(1), u32::try_from(self.next).unwrap_or(u32::MAX)));
        let scope = Scope { rules, types, function, module, fuel, stack, place };
        let out = self.sections.entry(10).or_default();
        let measures = instrument(&scope, &signature, validator, body, out)?;
        if measures.others {
            self.renewal.other_changes();
        }
        self.slots.push(measures.slots);
        self.work = self.work.saturating_add(measures.work);
        self.next += 1;
        Ok(())
    }

    fn finish(mut self) -> Metered {
        let globals = std::mem::take(self.section(6));
        let (fuel, stack) = (self.globals, self.globals.saturating_add(1));
        let added = if self.place { 3 } else { 2 };
        self.section(6).unsigned(u64::from(fuel) + added).bytes(&globals.0);
        self.section(6).bytes(&[op::I64, 1, op::I64_CONST, 0, op::END, op::I32, 1, op::I32_CONST, 0, op::END]);
        if self.place {
            self.section(6).bytes(&[op::I32, 1, op::I32_CONST]).signed(-1).byte(op::END);
        }

        let methods = std::mem::take(self.section(7));
        let mut own: Vec<(&str, u8, u32)> = vec![(FUEL, 3, fuel), (STACK, 3, stack)];
        own.extend(self.place.then(|| (PLACE, 3, stack.saturating_add(1))));
        own.extend(self.memory.map(|_| (MEMORY, 2, 0)));
        own.extend(self.start.map(|function| (START, 0, function)));
        let mut written = Writer::default();
        let table = usize::try_from(self.table.unwrap_or(0)).unwrap_or(usize::MAX);
        let parts = table.saturating_add(self.functions.len() + own.len() + self.entries.len());
        let renewal = std::mem::take(&mut self.renewal);
        let renewal = renewal.finish(self.memory.unwrap_or(0), parts, &mut written);
        let count = own.len() + self.entries.len() + renewal.as_ref().map_or(0, |renewal| renewal.globals.len());
        for (name, kind, index) in own {
            written.vector(name.as_bytes()).byte(kind).unsigned(index);
        }
        self.section(7).length(count).bytes(&written.0).bytes(&methods.0);

        let mut code = Writer::default();
        code.bytes(b"\0asm\x01\0\0\0");
        for id in ORDER {
            if let Some(section) = self.sections.get(&id) {
                code.section(id, &section.0);
            }
        }
        let Pass { entries, setup, slots, work, .. } = self;
        Metered { code: code.0, entries, starts: self.start.is_some(), setup, slots, work, renewal }
    }
}

fn count<'a, T: wasmparser::FromReader<'a>>(
    what: &'static str,
    reader: &SectionLimited<'a, T>,
    limit: u64,
) -> Result<(), ModuleError> {
    within(what, reader.count().into(), limit, reader.range().start)
}

/// A guest's name, short enough for a receipt.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
