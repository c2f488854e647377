//! Parts of modules: types of functions, and where segments go.

use super::encode::{Writer, op};
use super::error::{ModuleError, within};
use super::function::integer;
use wasmparser::{ConstExpr, FuncType, Operator, ValType};

// Limits of no interest to compilers, so that no rule of the chain says them. With more, a branch could be long work in few
// bytes.
const MAX_PARAMETERS: u64 = 128;
const MAX_RESULTS: u64 = 16;

/// A function's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) parameters: Vec<ValType>,
    pub(super) results: Vec<ValType>,
    /// The type of a block that has only the results.
    pub(super) block_type: Vec<u8>,
}

impl Type {
    /// The type of a function and of a block with its results, for which a type may have to be `added`.
    pub(super) fn new(
        function: &FuncType,
        offset: usize,
        count: &mut u32,
        added: &mut Writer,
    ) -> Result<Type, ModuleError> {
        let (parameters, results) = (function.params(), function.results());
        within("the number of parameters", parameters.len() as u64, MAX_PARAMETERS, offset)?;
        within("the number of results", results.len() as u64, MAX_RESULTS, offset)?;
        for &ty in parameters.iter().chain(results) {
            integer(ty, offset)?;
        }
        let byte = |ty: &ValType| if *ty == ValType::I64 { op::I64 } else { op::I32 };
        let mut block_type = Writer::default();
        match results {
            [] => block_type.byte(op::EMPTY),
            [one] => block_type.byte(byte(one)),
            several => {
                added.bytes(&[0x60, 0]).length(several.len());
                for ty in several {
                    added.byte(byte(ty));
                }
                // As a block type, an index is a signed number.
                block_type.signed(i64::from(*count));
                *count = count.saturating_add(1);
                &mut block_type
            }
        };
        Ok(Type { parameters: parameters.to_vec(), results: results.to_vec(), block_type: block_type.0 })
    }
}

/// Checks that an active segment lies inside: then making an instance can't fail because of it.
pub(super) fn fits(
    expression: &ConstExpr<'_>,
    size: u64,
    room: u64,
    place: &'static str,
    offset: usize,
) -> Result<(), ModuleError> {
    let mut operators = expression.get_operators_reader();
    let (Operator::I32Const { value }, Operator::End) = (operators.read()?, operators.read()?) else {
        return Err(ModuleError::Unsupported { what: "an offset that is no constant".to_owned(), offset });
    };
    let end = u64::from(value.cast_unsigned()).saturating_add(size);
    if end > room { Err(ModuleError::Segment { offset, place }) } else { Ok(()) }
}
