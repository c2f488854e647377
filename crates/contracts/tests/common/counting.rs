//! A machine that says what it was asked to make ready.

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{CallTerms, CodeError, EntryPoint, Host, Invocation, Prepared, Runtime, Trap};
use ledger_core::{ContractId, Rules};
use ledger_crypto::Digest;
use std::sync::{Arc, Mutex};

pub const COUNTING: &str = "counting";

/// Runs any bytes but those that begin with `!`. Methods: `nothing`; `refuse`; `visit`, which calls `nothing` of each
/// contract in its arguments. Code weighs 16 times what it is long.
#[derive(Clone, Default)]
pub struct Counting {
    made_ready: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Counting {
    /// The code that was made ready since this was asked last.
    pub fn made_ready(&self) -> Vec<Vec<u8>> {
        core::mem::take(&mut *self.made_ready.lock().unwrap())
    }

    /// How many bytes that was.
    pub fn bytes_made_ready(&self) -> usize {
        self.made_ready().iter().map(Vec::len).sum()
    }
}

impl Runtime for Counting {
    fn name(&self) -> &str {
        COUNTING
    }

    fn prepare(&self, code: &[u8], _: &Rules) -> Result<Prepared, CodeError> {
        self.made_ready.lock().unwrap().push(code.to_vec());
        if code.starts_with(b"!") {
            Err(CodeError::new("no code"))
        } else {
            Ok(Prepared::new(()).weighing(16 * code.len()))
        }
    }

    fn call(&self, _: &Prepared, invocation: &Invocation<'_>, host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        match invocation.entry {
            EntryPoint::Method("refuse") => return Err(Trap::refused(1, "no")),
            EntryPoint::Method("visit") => {
                for contract in invocation.arguments.chunks_exact(32) {
                    let contract = ContractId(Digest::new(contract.try_into().unwrap()));
                    host.call(&contract, "nothing", b"", CallTerms::default())?;
                }
            }
            EntryPoint::Method("nothing") | EntryPoint::Constructor | EntryPoint::Migration => {}
            EntryPoint::Method(_) => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

/// Code that no other number has.
pub fn code(number: u16, length: usize) -> Vec<u8> {
    let mut code = number.to_be_bytes().to_vec();
    code.resize(length, 0);
    code
}

/// Contracts of different code, of so many bytes each.
pub fn deploy(ledger: &mut TestLedger, count: u16, length: usize) -> Vec<ContractId> {
    (0..count).map(|number| ledger.deploy(&super::alice(), COUNTING, &code(number, length), b"").unwrap()).collect()
}

pub fn names(contracts: &[ContractId]) -> Vec<u8> {
    contracts.iter().flat_map(|contract| *contract.0.as_bytes()).collect()
}
