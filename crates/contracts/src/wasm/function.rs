//! One function: checked, and written with counters for fuel and stack.
//!
//! What the guest wrote is copied byte by byte, so all its indices and labels stay valid. Added are:
//! - one local for the fuel that is left, and one for operands where an instruction's price depends on one;
//! - a charge at the beginning of each segment ([`Flows`]): `fuel = fuel - cost`, which is also written to a global, so
//!   that the global is exact whenever the function is left, by a trap too; below zero the code traps. That of a light
//!   segment is `fuel = fuel - cost` alone, since the next one does the rest;
//! - a fresh look at the global after each call;
//! - a check of the stack at entry. A function that calls others takes its share of the stack, and gives it back on its
//!   one way out: its body is a block, at which `return` and the branches that left the function end.

use super::encode::{Writer, op};
use super::error::{ModuleError, within};
use super::flow::{Flows, Shape};
use super::instruction::{self, Flow, Sized};
use super::parts::Type;
use ledger_core::WasmRules;
use wasmparser::{BlockType, FuncValidator, FunctionBody, Operator, ValType, ValidatorResources};

/// The longest that a function may become, in bytes: what the parsers of the engines accept.
const MAX_METERED_BYTES: u64 = 128 << 10;
/// The most labels around an instruction.
const MAX_NESTING: u64 = 4_096;
/// What a call takes of the stack beside what the function itself says, in slots of 8 bytes.
const FRAME_SLOTS: u64 = 16;
/// How many bytes of code take one more slot: a compiler may keep intermediate results of a function that are neither
/// locals nor operands at that point, as where it takes what doesn't change out of a loop. It takes about eight bytes of
/// code to make one, and each slot stands for [`NATIVE_BYTES_PER_SLOT`].
const BYTES_PER_SLOT: u64 = 16;
/// How many bytes of a thread's stack a counted slot stands for: compiled code may take as much.
#[cfg_attr(not(feature = "wasmtime"), allow(dead_code, reason = "only compiled code needs it"))]
pub(super) const NATIVE_BYTES_PER_SLOT: u64 = 32;
/// What a function may always take of the stack, in slots; and otherwise a quarter of all, for compiled code has a
/// function's frame before the function can count it.
const LEAST_MAX_SLOTS: u64 = 1_024;
/// The most values that a block takes or gives. With more, a branch could be long work in few bytes.
const MAX_CARRIED: u64 = 16;
/// The most values that all targets of a function's `br_table`s take along, for each of which compilers write code.
const MAX_TABLE_CARRIED: u64 = 1 << 14;
/// What locals and operands times segments may come to: compilers may have to look at all values at the beginning of
/// each segment, so this is time and memory that a module's size doesn't show.
const MAX_VALUES_BY_SEGMENTS: u64 = 1 << 20;
/// What locals and operands of a function may come to: wasmi numbers its cells by 16 bits, two for each local and one for each
/// operand at its highest, with some for calls, and refuses to compile what has more.
const MAX_CELLS: u64 = (1 << 16) - 1 - 256;
/// What a function, however small, and a call through the table take a compiler, as looks at a value.
const FUNCTION_WORK: u64 = 1_000;
const INDIRECT_WORK: u64 = 200;
/// Prices of units are cut to this, so that no product passes 62 bits.
const MAX_UNIT_PRICE: u32 = 1 << 30;

/// What a function has to know of its module.
pub(super) struct Scope<'a> {
    pub(super) rules: &'a WasmRules,
    pub(super) types: &'a [Type],
    /// The function's index.
    pub(super) function: u64,
    /// The whole module.
    pub(super) module: &'a [u8],
    /// The global that holds the fuel.
    pub(super) fuel: u32,
    /// The global that holds the stack's free slots.
    pub(super) stack: u32,
    /// The global that holds which function is running, if there is one, and this function's number there.
    pub(super) place: Option<(u32, u32)>,
}

/// A function's type, as far as it matters here.
pub(super) struct Signature<'a> {
    pub(super) parameters: u32,
    pub(super) results: u32,
    /// The type of a block that gives the function's results, encoded.
    pub(super) block_type: &'a [u8],
}

/// Code with the places of its charges.
struct Code {
    bytes: Writer,
    flows: Flows,
    /// Whether it calls functions.
    calls: bool,
    /// Whether it has instructions whose price depends on an operand.
    sized: bool,
    /// Whether it has instructions that change a table or drop a segment.
    others: bool,
    /// The highest stack of operands.
    operands: u32,
    /// How many values all targets of branch tables take along.
    table_carried: u64,
    /// How many calls through the table there are.
    indirect: u64,
}

/// What engines want to know of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measures {
    /// What it takes of the stack, in slots.
    pub(super) slots: u32,
    /// How often a compiler may have to look at one of its values, with what takes it as long as that.
    pub(super) work: u64,
    /// Whether it can change a table or drop a segment.
    pub(super) others: bool,
}

/// Checks a function and appends it to `out`, its size first. Tells whether it can change a table or drop a segment.
pub(super) fn instrument(
    scope: &Scope<'_>,
    signature: &Signature<'_>,
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    out: &mut Writer,
) -> Result<Measures, ModuleError> {
    let start = body.range().start;
    let size = body.range().len() as u64;
    within("a function's size", size, scope.rules.max_function_bytes.into(), start)?;
    let locals = locals(scope, signature.parameters, validator, body)?;
    let declared: u64 = locals.iter().map(|&(count, _)| u64::from(count)).sum();
    let all = u64::from(signature.parameters) + declared;
    // The sum is far below 32 bits: both parts have limits.
    let fuel_local = u32::try_from(all).unwrap_or(u32::MAX);
    let code = code(scope, signature, validator, body, fuel_local)?;
    let values = all + u64::from(code.operands);
    let work = values.saturating_mul(code.flows.segments().len() as u64);
    scope.within("locals and operands times branches and labels", work, MAX_VALUES_BY_SEGMENTS)?;
    scope.within("the values that the targets of br_tables take along", code.table_carried, MAX_TABLE_CARRIED)?;

    let mut whole = Writer::default();
    whole.length(locals.len() + 1 + usize::from(code.sized));
    for (count, ty) in locals {
        whole.unsigned(count).byte(if ty == ValType::I64 { op::I64 } else { op::I32 });
    }
    whole.unsigned(1u32).byte(op::I64);
    if code.sized {
        whole.unsigned(1u32).byte(op::I32);
    }
    let slots = FRAME_SLOTS + values + size / BYTES_PER_SLOT;
    // Two locals are added.
    within("a function's locals, twice, and operands", 2 * (all + 2) + u64::from(code.operands), MAX_CELLS, start)?;
    let most = u64::from(scope.rules.max_stack_slots / 4).max(LEAST_MAX_SLOTS);
    within("a function's stack, in slots,", slots, most, start)?;
    let slots = i32::try_from(slots).unwrap_or(i32::MAX);
    let entry = u64::from(scope.rules.costs.local_zeroed).saturating_mul(declared);
    let charges = Charges { scope, fuel_local };
    charges.assemble(&code, entry, slots, signature.block_type, &mut whole);
    within("a function's size with its counters", whole.len() as u64, MAX_METERED_BYTES, start)?;
    out.vector(&whole.0);
    let work = values.saturating_mul(code.flows.looked_at());
    let work = work.saturating_add(FUNCTION_WORK).saturating_add(code.indirect.saturating_mul(INDIRECT_WORK));
    Ok(Measures { slots: slots.cast_unsigned(), work, others: code.others })
}

impl Scope<'_> {
    /// Checks something of the function against a limit.
    fn within(&self, what: &'static str, found: u64, limit: u64) -> Result<(), ModuleError> {
        let function = self.function;
        if found > limit { Err(ModuleError::Function { function, what, found, limit }) } else { Ok(()) }
    }

    /// Writes down which function is running, if anybody asks. It costs no fuel.
    fn say_place(&self, out: &mut Writer) {
        if let Some((global, function)) = self.place {
            out.byte(op::I32_CONST).signed(i64::from(function.cast_signed())).indexed(op::GLOBAL_SET, global);
        }
    }

    /// What a block of a type takes and gives. Those of types that aren't there are refused by the validator.
    fn shape(&self, ty: BlockType, offset: usize) -> Result<Shape, ModuleError> {
        let shape = match ty {
            BlockType::Empty => Shape::default(),
            BlockType::Type(ty) => {
                integer(ty, offset)?;
                Shape { parameters: 0, results: 1 }
            }
            BlockType::FuncType(index) => match self.types.get(index as usize) {
                Some(ty) => Shape { parameters: length(&ty.parameters), results: length(&ty.results) },
                None => Shape::default(),
            },
        };
        within("the number of a block's parameters", shape.parameters.into(), MAX_CARRIED, offset)?;
        within("the number of a block's results", shape.results.into(), MAX_CARRIED, offset)?;
        Ok(shape)
    }
}

/// How many there are: far fewer than 32 bits can tell.
pub(super) fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// The declared locals, in groups.
fn locals(
    scope: &Scope<'_>,
    parameters: u32,
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<Vec<(u32, ValType)>, ModuleError> {
    let mut reader = body.get_locals_reader()?;
    let mut groups = Vec::new();
    let mut sum = u64::from(parameters);
    for _ in 0..reader.get_count() {
        let offset = reader.original_position();
        let (count, ty) = reader.read()?;
        integer(ty, offset)?;
        sum += u64::from(count);
        within("the number of a function's parameters and locals", sum, scope.rules.max_locals.into(), offset)?;
        validator.define_locals(offset, count, ty)?;
        groups.push((count, ty));
    }
    Ok(groups)
}

/// Refuses values that aren't integers.
pub(super) fn integer(ty: ValType, offset: usize) -> Result<(), ModuleError> {
    match ty {
        ValType::I32 | ValType::I64 => Ok(()),
        other => Err(ModuleError::Unsupported { what: format!("a value of type {other}"), offset }),
    }
}

/// Checks the instructions and copies them, with what goes right before or behind one of them.
fn code(
    scope: &Scope<'_>,
    signature: &Signature<'_>,
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    fuel_local: u32,
) -> Result<Code, ModuleError> {
    let mut reader = body.get_operators_reader()?;
    let flows = Flows::new(signature.results);
    let mut code = Code {
        bytes: Writer::default(),
        flows,
        calls: false,
        sized: false,
        others: false,
        operands: 0,
        table_carried: 0,
        indirect: 0,
    };
    while !reader.eof() {
        let offset = reader.original_position();
        // The parser may be built without these, and then can't name them.
        if let Some([0xfd, subcode, ..]) = scope.module.get(offset..) {
            return Err(ModuleError::Instruction { instruction: format!("0xfd {subcode:#04x} (SIMD)"), offset });
        }
        let operator = reader.read()?;
        let Some((cost, flow)) = instruction::classify(&operator, &scope.rules.costs) else {
            return Err(ModuleError::Instruction { instruction: instruction::name(&operator), offset });
        };
        let moved = code.check(&operator, scope, offset)?;
        let cost = cost.saturating_add(scope.rules.costs.basic.saturating_mul(moved));
        validator.op(offset, &operator)?;
        code.operands = code.operands.max(validator.operand_stack_height());
        code.others |= instruction::changes_tables_or_segments(&operator);
        if !instruction::goes_on(&operator) {
            code.flows.harm();
        }
        let raw = scope.module.get(offset..reader.original_position()).unwrap_or_default();
        code.copy(scope, raw, cost, flow, fuel_local);
        within("the depth of nested blocks", code.flows.depth() as u64, MAX_NESTING, offset)?;
    }
    validator.finish(reader.original_position())?;
    code.flows.settle();
    Ok(code)
}

impl Code {
    /// Looks at what an instruction has in it, and notes the labels that it goes to and what begins. Gives the number of
    /// values that it moves from one place to another: each is paid for as a basic instruction.
    fn check(&mut self, operator: &Operator<'_>, scope: &Scope<'_>, offset: usize) -> Result<u32, ModuleError> {
        let flows = &mut self.flows;
        Ok(match operator {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                let shape = scope.shape(*blockty, offset)?;
                flows.shape(shape);
                shape.parameters + shape.results
            }
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                flows.target(*relative_depth);
                flows.carried(*relative_depth)
            }
            Operator::BrTable { targets } => {
                let limit = scope.rules.max_br_table;
                within("the number of a br_table's targets", targets.len().into(), limit.into(), offset)?;
                flows.target(targets.default());
                for target in targets.targets() {
                    flows.target(target?);
                }
                let carried = flows.carried(targets.default());
                self.table_carried += u64::from(carried) * (u64::from(targets.len()) + 1);
                carried
            }
            Operator::Return => flows.results(),
            Operator::CallIndirect { .. } => {
                self.indirect += 1;
                0
            }
            _ => 0,
        })
    }

    fn copy(&mut self, scope: &Scope<'_>, raw: &[u8], cost: u32, flow: Flow, fuel_local: u32) {
        self.flows.charge(cost);
        let reachable = self.flows.reachable();
        match flow {
            Flow::Return => {
                // To the function's own label, where its stack is given back.
                let depth = u32::try_from(self.flows.depth().saturating_sub(1)).unwrap_or(u32::MAX);
                self.bytes.indexed(op::BR, depth);
            }
            Flow::Select => {
                // wasmi 2.0.0 gives the wrong value where it joins a comparison with zero and the `select` behind it.
                // Between them now comes a turn by one bit, which leaves zero zero and all else something else.
                self.bytes.byte(op::I32_CONST).signed(1).byte(op::I32_ROTL).bytes(raw);
            }
            Flow::Call => {
                self.calls = true;
                self.bytes.bytes(raw);
                if reachable {
                    self.bytes.indexed(op::GLOBAL_GET, scope.fuel).indexed(op::LOCAL_SET, fuel_local);
                    scope.say_place(&mut self.bytes);
                }
            }
            Flow::Sized(sized) if reachable => {
                self.sized = true;
                let charges = Charges { scope, fuel_local };
                charges.sized(sized, fuel_local.saturating_add(1), &mut self.bytes);
                self.bytes.bytes(raw);
            }
            _ => {
                self.bytes.bytes(raw);
            }
        }
        self.flows.pass(flow, self.bytes.len());
    }
}

/// Writes what counts.
struct Charges<'a> {
    scope: &'a Scope<'a>,
    fuel_local: u32,
}

impl Charges<'_> {
    /// The whole function behind its locals.
    fn assemble(&self, code: &Code, entry: u64, slots: i32, block_type: &[u8], out: &mut Writer) {
        let Scope { stack, .. } = *self.scope;
        let mut segments = code.flows.segments().iter();
        let first = segments.next().map_or(0, |segment| segment.cost);
        self.scope.say_place(out);
        out.indexed(op::GLOBAL_GET, self.scope.fuel);
        self.subtract(first.saturating_add(entry), out);
        if code.calls {
            out.indexed(op::GLOBAL_GET, stack).byte(op::I32_CONST).signed(slots).byte(op::I32_SUB);
            out.indexed(op::GLOBAL_SET, stack).indexed(op::GLOBAL_GET, stack).byte(op::I32_CONST).signed(0);
            out.byte(op::I32_LT_S).bytes(&[op::IF, op::EMPTY, op::UNREACHABLE, op::END]);
            out.byte(op::BLOCK).bytes(block_type);
        } else {
            out.indexed(op::GLOBAL_GET, stack).byte(op::I32_CONST).signed(slots).byte(op::I32_LT_S);
            out.bytes(&[op::IF, op::EMPTY, op::I32_CONST]).signed(-1).indexed(op::GLOBAL_SET, stack);
            out.bytes(&[op::UNREACHABLE, op::END]);
        }
        let mut copied = 0;
        for segment in segments.filter(|segment| segment.cost > 0) {
            out.bytes(code.bytes.0.get(copied..segment.at).unwrap_or_default());
            copied = segment.at;
            out.indexed(op::LOCAL_GET, self.fuel_local);
            if segment.light {
                self.take(segment.cost, out);
                out.indexed(op::LOCAL_SET, self.fuel_local);
            } else {
                self.subtract(segment.cost, out);
            }
        }
        out.bytes(code.bytes.0.get(copied..).unwrap_or_default());
        if code.calls {
            // The last `end` was the block's.
            out.indexed(op::GLOBAL_GET, stack).byte(op::I32_CONST).signed(slots).byte(op::I32_ADD);
            out.indexed(op::GLOBAL_SET, stack).byte(op::END);
        }
    }

    /// Takes `cost` from the fuel on the stack of operands, and stores what is left.
    fn subtract(&self, cost: u64, out: &mut Writer) {
        self.take(cost, out);
        self.store(out);
    }

    /// Takes `cost` from the fuel on the stack of operands.
    fn take(&self, cost: u64, out: &mut Writer) {
        out.byte(op::I64_CONST).signed(i64::try_from(cost).unwrap_or(i64::MAX)).byte(op::I64_SUB);
    }

    /// Stores the fuel on the stack of operands; traps if it is below zero.
    fn store(&self, out: &mut Writer) {
        out.indexed(op::LOCAL_TEE, self.fuel_local).indexed(op::GLOBAL_SET, self.scope.fuel);
        out.indexed(op::LOCAL_GET, self.fuel_local).byte(op::I64_CONST).signed(0).byte(op::I64_LT_S);
        out.bytes(&[op::IF, op::EMPTY, op::UNREACHABLE, op::END]);
    }

    /// Charges for the operand on top of the stack, and leaves it there.
    fn sized(&self, sized: Sized, operand: u32, out: &mut Writer) {
        out.indexed(op::LOCAL_SET, operand);
        out.indexed(op::LOCAL_GET, self.fuel_local);
        out.indexed(op::LOCAL_GET, operand).byte(op::I64_EXTEND_I32_U);
        if sized.shift > 0 {
            out.byte(op::I64_CONST).signed((1i64 << sized.shift) - 1).byte(op::I64_ADD);
            out.byte(op::I64_CONST).signed(i64::from(sized.shift)).byte(op::I64_SHR_U);
        }
        out.byte(op::I64_CONST).signed(i64::from(sized.price.min(MAX_UNIT_PRICE))).byte(op::I64_MUL);
        out.byte(op::I64_SUB);
        self.store(out);
        out.indexed(op::LOCAL_GET, operand);
    }
}
