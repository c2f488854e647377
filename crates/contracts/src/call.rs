//! Calls of one contract by another: on what terms, and what comes of them.

use core::fmt;
use ledger_core::{Failure, Fuel};

/// What every call of a contract by another takes of the transaction's [stack](crate::Host::stack_left), in slots of 8
/// bytes.
pub const CALL_STACK_SLOTS: u32 = 512;

/// The stack, in bytes, that a thread needs on which an executor executes blocks, or simulates or answers calls. Threads that
/// Rust's standard library starts have 2 MiB unless told otherwise, but `RUST_MIN_STACK` and other starters of threads differ:
/// ask for it by this name.
///
/// All slots that the rules can allow stand for 1 MiB of it. A function of WebAssembly has its frame before it counts it, and
/// may take a quarter of the slots; and the rest is for what isn't counted: the engines, the executor, and the frames of
/// native contracts, which are trusted not to need much.
pub const EXECUTION_STACK_BYTES: usize = 2 << 20;

/// On what terms one contract calls another. By default: with all the caller's fuel, and not read-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTerms {
    /// The most fuel that the callee may use, together with whom it calls; `None` is all that the caller has left, and
    /// so is more than that. If a callee uses up a limit of its own, the caller goes on; if it uses up the caller's fuel,
    /// both are at the end. If what ends it at its limit is the length of a value that it has read, the caller pays
    /// the rest of that: at most `read_byte` for each byte of the longest value.
    pub fuel_limit: Option<Fuel>,
    /// Whether writes and events are refused to the callee, and to whom it calls.
    pub read_only: bool,
}

impl CallTerms {
    /// A call that can't change anything.
    pub const READ_ONLY: CallTerms = CallTerms { fuel_limit: None, read_only: true };

    /// These terms, with at most `limit` fuel.
    #[must_use]
    pub const fn with_fuel(mut self, limit: Fuel) -> Self {
        self.fuel_limit = Some(limit);
        self
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the callee returned.
    Returned(Vec<u8>),
    /// The callee failed; whatever it did is taken back.
    Failed(CallFailure),
}

impl Answer {
    /// What the callee returned, or why it failed.
    ///
    /// # Errors
    /// The [`CallFailure`].
    pub fn into_result(self) -> Result<Vec<u8>, CallFailure> {
        match self {
            Answer::Returned(output) => Ok(output),
            Answer::Failed(failure) => Err(failure),
        }
    }
}

/// Why a call failed: what its receipt would say if it had been a transaction's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure(pub Failure);

impl CallFailure {
    /// From here on codes say what the chain found wrong, and below what contracts did.
    pub const CHAIN_CODES: u64 = 1 << 32;

    /// A number for the reason: of a refusal the contract's own, which is below [`CHAIN_CODES`](Self::CHAIN_CODES); of
    /// all else that and the failure's [number in the format](Failure::number).
    pub fn code(&self) -> u64 {
        match &self.0 {
            Failure::Refused { code, .. } => u64::from(*code),
            other => Self::CHAIN_CODES + u64::from(other.number()),
        }
    }

    /// The reason in words: of a refusal the contract's own.
    pub fn words(&self) -> String {
        match &self.0 {
            Failure::Refused { message, .. } => message.as_str().to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for CallFailure {}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_core::codec::Text;

    #[test]
    fn codes_of_contracts_and_of_the_chain_are_told_apart() {
        let refused = CallFailure(Failure::Refused { code: u32::MAX, message: Text::from("no") });
        assert_eq!((refused.code(), refused.words()), (u64::from(u32::MAX), "no".to_owned()));
        let fuel = CallFailure(Failure::OutOfFuel { limit: Fuel(7) });
        assert_eq!((fuel.code(), fuel.words()), (1 << 32, "out of fuel: the limit of 7 was reached".to_owned()));
        assert_eq!(CallFailure(Failure::Redacted).code(), (1 << 32) + 8);
    }
}
