//! A test ledger's contracts: uploading, making, upgrading, pausing.

use super::ledger::{TestError, TestLedger};
use super::typed::answer;
use crate::lifecycle::{Description, Instantiate, LIFECYCLE, Metadata, Upgrade, Upload};
use crate::record::UpgradePolicy;
use ledger_core::codec::{self, Bytes, Encode, Text};
use ledger_core::{ContractId, Status, TransactionBuilder, TransactionResult};
use ledger_crypto::{Digest, Signer};

/// Each of these is a transaction in a block of its own, with as much fuel as the rules allow; one that has no effect is
/// [`TestError::NoEffect`].
impl TestLedger {
    /// Uploads code; gives its digest.
    ///
    /// # Errors
    /// [`TestError`], also when the transaction failed.
    pub fn upload(&mut self, signer: &dyn Signer, runtime: &str, code: &[u8]) -> Result<Digest, TestError> {
        let upload = Upload { runtime: Text::from(runtime), code: Bytes::from(code) };
        answer(&self.live(signer, "upload", codec::encode(&upload))?)
    }

    /// Makes a contract of code that was uploaded; gives its id.
    ///
    /// # Errors
    /// [`TestError`], also when the transaction failed.
    pub fn instantiate(&mut self, signer: &dyn Signer, instantiate: &Instantiate) -> Result<ContractId, TestError> {
        answer(&self.live(signer, "instantiate", codec::encode(instantiate))?)
    }

    /// Uploads code and makes a contract of it, whose constructor gets the encoding of `arguments`; gives its id.
    ///
    /// # Errors
    /// [`TestError`], also when a transaction failed.
    pub fn install<A: Encode>(
        &mut self,
        signer: &dyn Signer,
        (runtime, code): (&str, &[u8]),
        policy: UpgradePolicy,
        metadata: Metadata,
        arguments: &A,
    ) -> Result<ContractId, TestError> {
        let code = self.upload(signer, runtime, code)?;
        let (runtime, arguments) = (Text::from(runtime), Bytes::from(codec::encode(arguments)));
        self.instantiate(signer, &Instantiate { runtime, code, policy, metadata, arguments })
    }

    /// Puts code that was uploaded in the place of a contract's, and runs its migration.
    ///
    /// # Errors
    /// [`TestError`], also when the transaction failed.
    pub fn upgrade(&mut self, signer: &dyn Signer, upgrade: &Upgrade) -> Result<TransactionResult, TestError> {
        self.live(signer, "upgrade", codec::encode(upgrade))
    }

    /// Lets a contract refuse calls.
    ///
    /// # Errors
    /// [`TestError`], also when the transaction failed.
    pub fn pause(&mut self, signer: &dyn Signer, contract: ContractId) -> Result<(), TestError> {
        self.live(signer, "pause", codec::encode(&contract)).map(|_| ())
    }

    /// Lets a contract that was paused take calls again.
    ///
    /// # Errors
    /// [`TestError`], also when the transaction failed.
    pub fn resume(&mut self, signer: &dyn Signer, contract: ContractId) -> Result<(), TestError> {
        self.live(signer, "resume", codec::encode(&contract)).map(|_| ())
    }

    /// What the chain knows of a contract. Needs no block.
    ///
    /// # Errors
    /// [`TestError`], also when there is no such contract.
    pub fn describe(&self, contract: ContractId) -> Result<Description, TestError> {
        self.ask(LIFECYCLE, "describe", &contract)
    }

    fn live(&mut self, signer: &dyn Signer, method: &str, arguments: Vec<u8>) -> Result<TransactionResult, TestError> {
        let call = TransactionBuilder::call(self.chain(), LIFECYCLE, method, arguments);
        let result = self.submit(signer, call.fuel_limit(self.rules.max_transaction_fuel))?;
        match &result.receipt.status {
            Status::Succeeded => Ok(result),
            status => Err(TestError::NoEffect { status: status.clone() }),
        }
    }
}
