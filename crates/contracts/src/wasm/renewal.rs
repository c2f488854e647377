//! What makes a used instance like a new one.
//!
//! To make an instance, an interpreter goes through all functions, imports and exports of the module, which takes it longer
//! than many a call. So an instance that a call has left in order is kept and begins anew, which is possible where all
//! that a call can change is known: bytes of a memory that hasn't grown, and mutable globals. A module with an instruction
//! that changes its table or drops a segment gets a new instance for every call, and so does one with much memory, which
//! takes longer to clear than to make.

use super::encode::Writer;
use super::module::RESERVED;
use wasmparser::{ConstExpr, Operator};

/// The largest memory that is cleared, in pages: 256 KiB.
const MAX_PAGES: u64 = 4;
/// The most mutable globals of the guest's. Compilers have one, for their stack.
const MAX_GLOBALS: usize = 16;

/// With what an instance begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Renewal {
    /// The exports of the guest's mutable globals, and their values.
    pub(super) globals: Vec<(String, Number)>,
    /// Where bytes of memory stand that aren't zero, and the bytes, in the order of the module.
    pub(super) data: Vec<(usize, Vec<u8>)>,
    /// The size of the memory in bytes; 0 if there is none.
    pub(super) memory: usize,
    /// How many functions, exports, segments and entries of a table an instance has.
    parts: usize,
}

/// What an instance keeps beside its memory, in bytes: at all, and for each of its parts, which are rather smaller.
const INSTANCE_BYTES: usize = 8 << 10;
const PART_BYTES: usize = 256;

impl Renewal {
    /// How many bytes of memory so many instances keep, together with this.
    pub(super) fn weight(&self, instances: usize) -> usize {
        let parts = self.parts.saturating_mul(PART_BYTES);
        let each = INSTANCE_BYTES.saturating_add(self.memory).saturating_add(parts);
        // Data isn't longer than the memory.
        instances.saturating_mul(each).saturating_add(self.memory)
    }

    /// Gives a used memory its beginning again; `false` if it has grown, for memories can't shrink.
    pub(super) fn fill(&self, memory: &mut [u8]) -> bool {
        if memory.len() != self.memory {
            return false;
        }
        memory.fill(0);
        self.data.iter().all(|(at, bytes)| {
            let place = memory.get_mut(*at..).and_then(|rest| rest.get_mut(..bytes.len()));
            place.map(|place| place.copy_from_slice(bytes)).is_some()
        })
    }
}

/// A global's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    I32(i32),
    I64(i64),
}

/// Gathers a [`Renewal`] while a module is read.
#[derive(Default)]
pub(super) struct Gathered {
    globals: Vec<(u32, Number)>,
    data: Vec<(usize, Vec<u8>)>,
    /// Whether a call may change something else, or something of which it isn't known how it begins.
    unknown: bool,
}

impl Gathered {
    /// Notes that calls may change what is not gathered here.
    pub(super) fn other_changes(&mut self) {
        self.unknown = true;
    }

    /// Notes a mutable global.
    pub(super) fn global(&mut self, index: u32, start: &ConstExpr<'_>) {
        let mut operators = start.get_operators_reader();
        match (operators.read(), operators.read()) {
            (Ok(Operator::I32Const { value }), Ok(Operator::End)) => self.globals.push((index, Number::I32(value))),
            (Ok(Operator::I64Const { value }), Ok(Operator::End)) => self.globals.push((index, Number::I64(value))),
            _ => self.unknown = true,
        }
    }

    /// Notes an active data segment, which lies inside.
    pub(super) fn data(&mut self, offset: &ConstExpr<'_>, bytes: &[u8]) {
        match offset.get_operators_reader().read() {
            Ok(Operator::I32Const { value }) => self.data.push((value.cast_unsigned() as usize, bytes.to_vec())),
            _ => self.unknown = true,
        }
    }

    /// What makes an instance with so many pages and other parts like new, if that can be done and is worth it. Writes the
    /// exports that it takes.
    pub(super) fn finish(self, pages: u64, parts: usize, exports: &mut Writer) -> Option<Renewal> {
        let memory = usize::try_from(pages.saturating_mul(64 << 10)).unwrap_or(usize::MAX);
        // Segments may lie over each other.
        let bytes = self.data.iter().fold(0usize, |sum, (_, bytes)| sum.saturating_add(bytes.len()));
        if self.unknown || pages > MAX_PAGES || self.globals.len() > MAX_GLOBALS || bytes > memory {
            return None;
        }
        let mut globals = Vec::new();
        for (index, number) in self.globals {
            let name = format!("{RESERVED}global.{index}");
            exports.vector(name.as_bytes()).byte(3).unsigned(index);
            globals.push((name, number));
        }
        let parts = parts.saturating_add(self.data.len());
        Some(Renewal { globals, data: self.data, memory, parts })
    }
}
