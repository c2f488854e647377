//! Which instructions contracts may use, and what kind of work each of them is.

use ledger_core::WasmCosts;
use wasmparser::Operator;

/// What an instruction does to control flow and to the injected code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Goes on to the next instruction.
    Next,
    Block,
    Loop,
    If,
    Else,
    End,
    /// To the label at this depth.
    Branch(u32),
    BranchIf(u32),
    /// To one of the labels that the instruction itself names.
    BranchTable,
    Return,
    Unreachable,
    /// `select`.
    Select,
    /// Runs another function.
    Call,
    /// Does work in proportion to its last operand, at this price.
    Sized(Sized),
}

/// How the work of an instruction grows with its last operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sized {
    /// The price of a unit.
    pub(super) price: u32,
    /// How many of the operand make a unit, as a power of two; a unit begun counts.
    pub(super) shift: u32,
}

/// What an instruction costs before its operands are known, and how it flows; `None` if contracts may not use it.
pub(super) fn classify(operator: &Operator<'_>, costs: &WasmCosts) -> Option<(u32, Flow)> {
    use Operator::*;
    let bytes = Sized { price: costs.bulk_64_bytes, shift: 6 };
    let entries = Sized { price: costs.table_entry, shift: 0 };
    let pages = Sized { price: costs.memory_grow_page, shift: 0 };
    Some(match operator {
        Nop => (0, Flow::Next),
        Block { .. } => (0, Flow::Block),
        Loop { .. } => (costs.branch, Flow::Loop),
        Else => (0, Flow::Else),
        End => (0, Flow::End),
        // Two arms begin, and what is behind them.
        If { .. } => (costs.branch.saturating_mul(2), Flow::If),
        Br { relative_depth } => (costs.branch, Flow::Branch(*relative_depth)),
        BrIf { relative_depth } => (costs.branch, Flow::BranchIf(*relative_depth)),
        BrTable { .. } => (costs.branch_table, Flow::BranchTable),
        Return => (costs.branch, Flow::Return),
        Unreachable => (costs.basic, Flow::Unreachable),
        Call { .. } => (costs.call, Flow::Call),
        CallIndirect { .. } => (costs.call_indirect, Flow::Call),
        GlobalGet { .. } | GlobalSet { .. } => (costs.global, Flow::Next),
        MemorySize { .. } => (costs.memory_size, Flow::Next),
        MemoryGrow { .. } => (costs.memory_size, Flow::Sized(pages)),
        MemoryInit { .. } | MemoryCopy { .. } | MemoryFill { .. } => (costs.bulk, Flow::Sized(bytes)),
        TableInit { .. } | TableCopy { .. } => (costs.bulk, Flow::Sized(entries)),
        DataDrop { .. } | ElemDrop { .. } => (costs.bulk, Flow::Next),
        I32Load { .. }
        | I64Load { .. }
        | I32Load8S { .. }
        | I32Load8U { .. }
        | I32Load16S { .. }
        | I32Load16U { .. }
        | I64Load8S { .. }
        | I64Load8U { .. }
        | I64Load16S { .. }
        | I64Load16U { .. }
        | I64Load32S { .. }
        | I64Load32U { .. } => (costs.load, Flow::Next),
        I32Store { .. }
        | I64Store { .. }
        | I32Store8 { .. }
        | I32Store16 { .. }
        | I64Store8 { .. }
        | I64Store16 { .. }
        | I64Store32 { .. } => (costs.store, Flow::Next),
        I32Mul | I64Mul | I32Eq | I32Ne | I32LtS | I32LtU | I32GtS | I32GtU | I32LeS | I32LeU | I32GeS | I32GeU
        | I64Eq | I64Ne | I64LtS | I64LtU | I64GtS | I64GtU | I64LeS | I64LeU | I64GeS | I64GeU | I32Eqz | I32Clz
        | I32Ctz | I32Popcnt | I64Eqz | I64Clz | I64Ctz | I64Popcnt | I32WrapI64 | I64ExtendI32S | I64ExtendI32U
        | I32Extend8S | I32Extend16S | I64Extend8S | I64Extend16S | I64Extend32S => (costs.multiply, Flow::Next),
        I32DivS | I32DivU | I32RemS | I32RemU | I64DivS | I64DivU | I64RemS | I64RemU => (costs.divide, Flow::Next),
        Select => (costs.basic, Flow::Select),
        Drop
        | LocalGet { .. }
        | LocalSet { .. }
        | LocalTee { .. }
        | I32Const { .. }
        | I64Const { .. }
        | I32Add
        | I32Sub
        | I32And
        | I32Or
        | I32Xor
        | I32Shl
        | I32ShrS
        | I32ShrU
        | I32Rotl
        | I32Rotr
        | I64Add
        | I64Sub
        | I64And
        | I64Or
        | I64Xor
        | I64Shl
        | I64ShrS
        | I64ShrU
        | I64Rotl
        | I64Rotr => (costs.basic, Flow::Next),
        _ => return None,
    })
}

/// Whether what follows is executed in any case, in the same function, and nothing but locals, globals and operands is
/// changed: so it neither traps nor calls nor returns, and its work is the same whatever its operands are.
pub(super) fn goes_on(operator: &Operator<'_>) -> bool {
    use Operator::*;
    matches!(
        operator,
        Nop | Block { .. }
            | Loop { .. }
            | If { .. }
            | Else
            | End
            | Br { .. }
            | BrIf { .. }
            | Drop
            | Select
            | GlobalGet { .. }
            | GlobalSet { .. }
            | LocalGet { .. }
            | LocalSet { .. }
            | LocalTee { .. }
            | I32Const { .. }
            | I64Const { .. }
    ) || is_arithmetic(operator)
}

/// Whether it makes a number of one or two others, and can't trap.
fn is_arithmetic(operator: &Operator<'_>) -> bool {
    use Operator::*;
    matches!(
        operator,
        I32Add
            | I32Sub
            | I32Mul
            | I32And
            | I32Or
            | I32Xor
            | I32Shl
            | I32ShrS
            | I32ShrU
            | I32Rotl
            | I32Rotr
            | I32Clz
            | I32Ctz
            | I32Popcnt
            | I32Eqz
            | I32Eq
            | I32Ne
            | I32LtS
            | I32LtU
            | I32GtS
            | I32GtU
            | I32LeS
            | I32LeU
            | I32GeS
            | I32GeU
            | I32Extend8S
            | I32Extend16S
            | I32WrapI64
    ) || matches!(
        operator,
        I64Add
            | I64Sub
            | I64Mul
            | I64And
            | I64Or
            | I64Xor
            | I64Shl
            | I64ShrS
            | I64ShrU
            | I64Rotl
            | I64Rotr
            | I64Clz
            | I64Ctz
            | I64Popcnt
            | I64Eqz
            | I64Eq
            | I64Ne
            | I64LtS
            | I64LtU
            | I64GtS
            | I64GtU
            | I64LeS
            | I64LeU
            | I64GeS
            | I64GeU
            | I64Extend8S
            | I64Extend16S
            | I64Extend32S
            | I64ExtendI32S
            | I64ExtendI32U
    )
}

/// Whether an instruction changes something of the instance that is neither memory nor a global.
pub(super) fn changes_tables_or_segments(operator: &Operator<'_>) -> bool {
    use Operator::*;
    matches!(operator, TableInit { .. } | TableCopy { .. } | DataDrop { .. } | ElemDrop { .. })
}

macro_rules! define_visitor_name {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        fn visitor_name(operator: &Operator<'_>) -> &'static str {
            match operator {
                $( Operator::$op $({ $($arg: _),* })? => stringify!($visit), )*
                _ => "visit_unknown",
            }
        }
    };
}
wasmparser::for_each_operator!(define_visitor_name);

/// The groups whose instructions have a dot after the group's name in the text format.
const GROUPS: [&str; 24] = [
    "i32", "i64", "f32", "f64", "v128", "i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2", "local", "global",
    "table", "memory", "elem", "data", "ref", "struct", "array", "any", "extern", "i31", "atomic",
];

/// An instruction's name as the text format has it.
pub(super) fn name(operator: &Operator<'_>) -> String {
    let name = visitor_name(operator);
    let name = name.strip_prefix("visit_").unwrap_or(name);
    match name.split_once('_') {
        Some((group, rest)) if GROUPS.contains(&group) => {
            let rest = rest.replace("atomic_", "atomic.");
            let rest = match rest.split_once("rmw").and_then(|(front, back)| Some((front, back.split_once('_')?))) {
                Some((front, (width, action))) => format!("{front}rmw{width}.{action}"),
                None => rest,
            };
            format!("{group}.{rest}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_text_format() {
        let memarg = wasmparser::MemArg { align: 0, max_align: 0, offset: 0, memory: 0 };
        for (operator, expected) in [
            (Operator::F64Add, "f64.add"),
            (Operator::I32Load8S { memarg }, "i32.load8_s"),
            (Operator::ReturnCall { function_index: 0 }, "return_call"),
            (Operator::TableGet { table: 0 }, "table.get"),
            (Operator::I64AtomicRmw8AddU { memarg }, "i64.atomic.rmw8.add_u"),
            (Operator::I32AtomicLoad { memarg }, "i32.atomic.load"),
            (Operator::MemoryAtomicNotify { memarg }, "memory.atomic.notify"),
            (Operator::Throw { tag_index: 0 }, "throw"),
        ] {
            assert_eq!(name(&operator), expected);
        }
    }
}
