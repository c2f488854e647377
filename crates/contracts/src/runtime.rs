//! The seam to a virtual machine: the [`Runtime`].

use crate::host::{Host, HostError};
use core::any::Any;
use core::fmt;
use ledger_core::{AccountId, Rules};
use std::sync::Arc;

/// The code of a refusal because of arguments that can't be read. The contracts' own codes are better small numbers.
pub const BAD_ARGUMENTS: u32 = u32::MAX;

/// One virtual machine, or the native "machine". It keeps no state of its own between calls and no journal: everything
/// lasting goes through the [`Host`].
///
/// **Deterministic**: the same code, invocation and answers of the host give the same calls of the host and the same
/// result on every machine. [`testing::conformance`](crate::testing::conformance) checks an implementation.
pub trait Runtime: Send + Sync {
    /// The name that a deployment asks for: `native`, `wasm`, …
    fn name(&self) -> &str;

    /// Validates code and makes it ready to run under the rules of a chain. It is called once for code that is then
    /// cached; the answer depends on the code and on [`Rules::wasm`] alone, so it is made anew where that differs.
    ///
    /// # Errors
    /// [`CodeError`] says what is wrong with the code.
    fn prepare(&self, code: &[u8], rules: &Rules) -> Result<Prepared, CodeError>;

    /// As [`prepare`](Self::prepare), for a [trace](crate::trace): what is made ready gives the same results, fuel included,
    /// and may say where it [breaks down](Host::broke_down_in), for which it may be slower. The same as `prepare`, unless
    /// implemented.
    ///
    /// # Errors
    /// [`CodeError`], also where only this way of making it ready doesn't work for the code.
    fn prepare_for_trace(&self, code: &[u8], rules: &Rules) -> Result<Prepared, CodeError> {
        self.prepare(code, rules)
    }

    /// Runs a contract. Errors of the host are passed on as [`Trap::Host`].
    ///
    /// # Errors
    /// [`Trap`]: whatever the contract did is rolled back by the caller.
    fn call(&self, code: &Prepared, invocation: &Invocation<'_>, host: &mut dyn Host) -> Result<Vec<u8>, Trap>;

    /// Appends to `names` the keys of its namespace that the contract will probably read when `caller` calls it so, if
    /// that can be told without running it. They are read together beforehand, at most 16 of them. What is named here
    /// changes no result, and costs no fuel. Nothing, unless implemented.
    fn expected_reads(
        &self,
        code: &Prepared,
        caller: &AccountId,
        invocation: &Invocation<'_>,
        names: &mut Vec<Vec<u8>>,
    ) {
        let _ = (code, caller, invocation, names);
    }
}

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// Where to enter.
    pub entry: EntryPoint<'a>,
    /// The arguments, in an encoding that is the contract's own affair.
    pub arguments: &'a [u8],
}

/// Where a contract is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint<'a> {
    /// When it is deployed, once. Its output is dropped: a deployment answers with the contract's id.
    Constructor,
    /// When it takes the place of other code of a contract, once for each time, in the namespace that the other code has
    /// filled. Its output is dropped.
    Migration,
    /// By name.
    Method(&'a str),
}

/// Code that a [`Runtime`] has made ready: opaque to all others, and cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    code: Arc<dyn Any + Send + Sync>,
    weight: usize,
}

impl Prepared {
    /// Wraps what the runtime needs. It weighs what a `T` does, without what that points to.
    pub fn new<T: Any + Send + Sync>(code: T) -> Self {
        Prepared { code: Arc::new(code), weight: size_of::<T>() }
    }

    /// Says how many bytes of memory the code keeps, all that it points to included.
    #[must_use]
    pub fn weighing(self, bytes: usize) -> Self {
        Prepared { weight: bytes, ..self }
    }

    /// About how many bytes of memory the code keeps for as long as it is there: rather too many than too few. Caches are
    /// bounded by it. It may differ between runtimes, so nothing that nodes must agree on may depend on it.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// What was wrapped, or `None` if that was no `T`, so another runtime's.
    pub fn downcast<T: Any>(&self) -> Option<&T> {
        self.code.downcast_ref()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

/// Why code can't be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodeError {
    /// What is wrong with it; the same on every node.
    pub message: String,
}

impl CodeError {
    /// Code refused because of `message`.
    pub fn new(message: impl Into<String>) -> Self {
        CodeError { message: message.into() }
    }
}

/// Why a contract stopped without an output. Messages stand in receipts: they must be the same on every node, and are
/// cut after [`MAX_MESSAGE_BYTES`](ledger_core::outcome::MAX_MESSAGE_BYTES).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trap {
    /// It said no.
    #[error("the contract refused ({code}): {message}")]
    Refused {
        /// The contract's own number for the reason.
        code: u32,
        /// The contract's own words.
        message: String,
    },
    /// It has no such method.
    #[error("the contract has no such method")]
    UnknownMethod,
    /// It broke down: a panic, an invalid instruction, state that it can't read.
    #[error("the contract broke down: {message}")]
    Broken {
        /// What happened.
        message: String,
    },
    /// The host refused it something.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Trap {
    /// The contract says no.
    pub fn refused(code: u32, message: impl Into<String>) -> Self {
        Trap::Refused { code, message: message.into() }
    }

    /// The contract can't read its arguments: a refusal with the code [`BAD_ARGUMENTS`].
    pub fn bad_arguments(message: impl Into<String>) -> Self {
        Trap::refused(BAD_ARGUMENTS, message)
    }

    /// The contract broke down.
    pub fn broken(message: impl Into<String>) -> Self {
        Trap::Broken { message: message.into() }
    }
}
