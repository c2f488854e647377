//! Saying no.

use alloc::borrow::Cow;
use core::fmt;

/// What a method gives: an answer, or a [`Refusal`], which takes back all that it did.
pub type Result<T = (), E = Refusal> = core::result::Result<T, E>;

/// The code of a refusal because of arguments that can't be read, which is the chain's own. A contract's codes are better
/// small numbers.
pub const BAD_ARGUMENTS: u32 = u32::MAX;

/// Why a contract says no. Both parts stand in the receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The contract's own number for the reason.
    pub code: u32,
    /// The reason in words, of which a receipt keeps 512 bytes.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a number and words.
    pub fn new(code: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal { code, message: message.into() }
    }

    /// The arguments can't be read.
    pub const fn bad_arguments() -> Self {
        Refusal { code: BAD_ARGUMENTS, message: Cow::Borrowed("the arguments can't be read") }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contract refused ({}): {}", self.code, self.message)
    }
}

impl core::error::Error for Refusal {}

/// `Ok` where `holds`, else a refusal: `ensure(amount > 0, Error::NoAmount)?`.
///
/// # Errors
/// The refusal, where it doesn't hold.
pub fn ensure(holds: bool, refusal: impl Into<Refusal>) -> Result {
    if holds { Ok(()) } else { Err(refusal.into()) }
}
