//! How a run ends, in words that are the same for all engines.

use std::fmt;

/// What a contract ran into. The words stand in receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unreachable,
    OutOfBounds,
    DivideByZero,
    Overflow,
    TableOutOfBounds,
    NullCall,
    CallType,
    Stack,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Unreachable => "unreachable executed",
            Fault::OutOfBounds => "memory access out of bounds",
            Fault::DivideByZero => "integer divide by zero",
            Fault::Overflow => "integer overflow",
            Fault::TableOutOfBounds => "table access out of bounds",
            Fault::NullCall => "indirect call to null",
            Fault::CallType => "indirect call type mismatch",
            Fault::Stack => "stack exhausted",
        })
    }
}

/// Why an engine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The code ran into something.
    Fault(Fault),
    /// An import said so; why is in the [`Session`](super::session::Session).
    Import,
    /// The engine itself failed: no memory, a limit of its own. Other nodes may have been able to go on.
    Engine(String),
}

/// What an import returns to the engine to stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped by an import")]
pub(super) struct ImportStopped;
