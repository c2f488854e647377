//! Calls to other contracts.

use crate::codec::{self, Decode};
use crate::host;
use crate::id::ContractId;
use crate::refusal::Refusal;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

/// The code of a [`CallError`] for an answer that isn't of the type that the caller expects. The host gives no such code.
pub const NOT_THE_TYPE: u64 = u64::MAX;

/// A call that is ready to be made, and will answer with a `T`. The clients that [`interface!`](crate::interface) and
/// [`contract!`](crate::contract) make give these.
///
/// In a contract, [`Call::run`] makes it; in a native test, [`Chain::call`](crate::mock::Chain::call) does. For a
/// transaction, [`method`](Call::method) and [`arguments`](Call::arguments) are what to put into it.
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct Call<T> {
    contract: ContractId,
    method: &'static str,
    arguments: Vec<u8>,
    fuel: Option<u64>,
    read_only: bool,
    answer: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    /// A call of `method` with encoded arguments.
    pub const fn new(contract: ContractId, method: &'static str, arguments: Vec<u8>) -> Self {
        Call { contract, method, arguments, fuel: None, read_only: false, answer: PhantomData }
    }

    /// With at most so much fuel: using it up is a failure of this call only.
    pub const fn fuel(mut self, limit: u64) -> Self {
        self.fuel = Some(limit);
        self
    }

    /// Refusing writes and events.
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Whom it calls.
    pub const fn contract(&self) -> ContractId {
        self.contract
    }

    /// What it calls.
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// The encoded arguments.
    pub fn arguments(&self) -> &[u8] {
        &self.arguments
    }

    /// Makes the call without looking at its answer.
    pub(crate) fn run_raw(&self) -> Result<Vec<u8>, CallError> {
        host::call(&self.contract, self.method, &self.arguments, self.fuel, self.read_only)
    }
}

impl<T: Decode> Call<T> {
    /// Makes the call, from inside a contract.
    ///
    /// # Errors
    /// [`CallError`] when the callee failed. All that it did is taken back; what this contract did stays. The fuel is
    /// used. `?` makes it this contract's own refusal, with the callee's code and words.
    pub fn run(self) -> Result<T, CallError> {
        codec::decode(&self.run_raw()?).ok_or_else(|| CallError {
            code: NOT_THE_TYPE,
            message: String::from("the contract answered something of another type"),
        })
    }
}

/// What became of a call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The callee's own code where it refused (up to 2³² − 1); the chain's for everything else.
    pub code: u64,
    /// In words.
    pub message: String,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the called contract failed ({}): {}", self.code, self.message)
    }
}

impl core::error::Error for CallError {}

/// The code of a [`Refusal`] because a called contract failed otherwise than by refusing.
pub const CALL_FAILED: u32 = u32::MAX - 1;

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        match u32::try_from(error.code) {
            Ok(code) => Refusal::new(code, error.message),
            Err(_) => Refusal::new(CALL_FAILED, error.message),
        }
    }
}
