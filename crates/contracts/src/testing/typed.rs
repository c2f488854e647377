//! Calls with values instead of bytes.

use super::ledger::{TestError, TestLedger};
use ledger_core::codec::{self, Decode, Encode, Format, MAX_INPUT_BYTES};
use ledger_core::{AccountId, ContractId, Status, TransactionResult};
use ledger_crypto::{Digest, Signer};

/// Anything that can be decoded, in the place of a type with a format of its own.
#[derive(Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
struct Plain<T>(T);

impl<T: Encode + Decode<()>> Format for Plain<T> {
    const NAME: &'static str = "answer";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

pub(super) fn decode<T: Encode + Decode<()>>(bytes: &[u8]) -> Result<T, codec::CodecError> {
    codec::decode(bytes).map(|Plain(value)| value)
}

/// Arguments are given in the encoding of [`ledger_core::codec`], and answers are read in it: a tuple for several arguments,
/// `()` for none. Contracts that are written with the SDK take them so.
impl TestLedger {
    /// Calls `method` with the encoding of `arguments`, in a block of its own; gives what it answers.
    ///
    /// # Errors
    /// [`TestError`], also when the call failed, or answered something else than an `R`.
    pub fn invoke<A: Encode, R: Encode + Decode<()>>(
        &mut self,
        signer: &dyn Signer,
        contract: ContractId,
        method: &str,
        arguments: &A,
    ) -> Result<R, TestError> {
        answer(&self.send(signer, contract, method, arguments)?)
    }

    /// Calls `method` with the encoding of `arguments`, in a block of its own; gives its receipt and events.
    ///
    /// # Errors
    /// [`TestError`]; a call that fails is none, it has a receipt.
    pub fn send<A: Encode>(
        &mut self,
        signer: &dyn Signer,
        contract: ContractId,
        method: &str,
        arguments: &A,
    ) -> Result<TransactionResult, TestError> {
        self.call(signer, contract, method, &codec::encode(arguments))
    }

    /// What `method` would answer now to an account that nobody has; nothing changes.
    ///
    /// # Errors
    /// [`TestError`], also when the call failed, or answered something else than an `R`.
    pub fn ask<A: Encode, R: Encode + Decode<()>>(
        &self,
        contract: ContractId,
        method: &str,
        arguments: &A,
    ) -> Result<R, TestError> {
        self.ask_as(AccountId(Digest::ZERO), contract, method, arguments)
    }

    /// What `method` would answer `account` now; nothing changes.
    ///
    /// # Errors
    /// [`TestError`], also when the call failed, or answered something else than an `R`.
    pub fn ask_as<A: Encode, R: Encode + Decode<()>>(
        &self,
        account: AccountId,
        contract: ContractId,
        method: &str,
        arguments: &A,
    ) -> Result<R, TestError> {
        let simulation = self.simulate(account, contract, method, &codec::encode(arguments))?;
        output(&simulation.status, &simulation.output)
    }
}

/// What a transaction's contract answered, decoded.
///
/// # Errors
/// [`TestError::NoEffect`] if it failed, [`TestError::Answer`] if it answered something else than an `R`.
pub fn answer<R: Encode + Decode<()>>(result: &TransactionResult) -> Result<R, TestError> {
    output(&result.receipt.status, &result.receipt.output)
}

fn output<R: Encode + Decode<()>>(status: &Status, output: &[u8]) -> Result<R, TestError> {
    match status {
        Status::Succeeded => decode(output).map_err(|error| TestError::Answer { error }),
        status => Err(TestError::NoEffect { status: status.clone() }),
    }
}
