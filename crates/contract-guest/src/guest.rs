//! The host as a module sees it.

use crate::failure;
use ledger_contract_sdk::{ContractId as GuestContract, host};
use ledger_contracts::{Answer, CallTerms, Entry, Environment, HashFunction, Host, HostError};
use ledger_core::{AccountId, ChainId, ContractId, Fuel, Height, Timestamp, TransactionId};
use ledger_crypto::Digest;
use std::cell::OnceCell;

/// The host of a native contract that runs as a module: each method is the import that does the same, natively the SDK's mock
/// host. None gives an error: what the host refuses ends the module.
#[derive(Debug, Default)]
pub struct Guest {
    /// Asked for once, since each fact is an import that costs fuel.
    environment: OnceCell<Environment>,
}

fn environment() -> Environment {
    Environment {
        chain: ChainId(Digest::new(host::chain())),
        height: Height(host::height()),
        timestamp: Timestamp(host::timestamp()),
        contract: ContractId(Digest::new(host::contract().0)),
        caller: AccountId(Digest::new(host::caller().0)),
        transaction: host::transaction().map(|id| TransactionId(Digest::new(id))),
        read_only: host::is_read_only(),
    }
}

impl Host for Guest {
    fn environment(&self) -> &Environment {
        self.environment.get_or_init(environment)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        Ok(host::get(key))
    }

    fn scan(&mut self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, HostError> {
        // No answer that fits a module's memory has more.
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let entries = host::scan(from, to, limit);
        Ok(entries.into_iter().map(|host::Entry { key, value }| Entry { key, value }).collect())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        host::put(key, value);
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        host::delete(key);
        Ok(())
    }

    fn emit(&mut self, topic: &str, data: &[u8]) -> Result<(), HostError> {
        host::emit(topic, data);
        Ok(())
    }

    fn charge(&mut self, fuel: Fuel) -> Result<(), HostError> {
        host::charge(fuel.0);
        Ok(())
    }

    fn fuel_left(&self) -> Fuel {
        Fuel(host::fuel_left())
    }

    fn call(
        &mut self,
        callee: &ContractId,
        method: &str,
        arguments: &[u8],
        terms: CallTerms,
    ) -> Result<Answer, HostError> {
        let contract = GuestContract(*callee.0.as_bytes());
        let limit = terms.fuel_limit.map(|limit| limit.0);
        Ok(match host::call(&contract, method, arguments, limit, terms.read_only) {
            Ok(output) => Answer::Returned(output),
            Err(error) => Answer::Failed(failure::of(error.code, &error.message, callee, method, terms)),
        })
    }

    fn hash(&mut self, function: HashFunction, data: &[u8]) -> Result<[u8; 32], HostError> {
        Ok(match function {
            HashFunction::Blake3 => host::blake3(data),
            HashFunction::Sha256 => host::sha256(data),
        })
    }

    fn verify(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<bool, HostError> {
        Ok(host::verify_ed25519(key, message, signature))
    }

    /// More than there is: the machine counts the module's stack, and ends it in good time.
    fn stack_left(&self) -> u32 {
        u32::MAX
    }

    /// Nothing: see [`stack_left`](Host::stack_left).
    fn set_stack_left(&mut self, _: u32) {}
}
