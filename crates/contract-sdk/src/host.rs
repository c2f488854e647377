//! What the chain gives a running contract, and takes from it.
//!
//! These are the host's functions as they are, over bytes; [`storage`](crate::storage), [`Event`](crate::Event) and
//! [`Call`](crate::Call) are made of them. Each costs fuel. What the host refuses (no fuel left, a size over the chain's
//! limits, a write in a read-only call) ends the call at once and has the chain's own words in the receipt, so nothing
//! here gives errors back.
//!
//! As a guest these are imports of the module `ledgerkit.1`; natively the [mock host](crate::mock) answers, and a call
//! outside of a mocked call panics.

use crate::call::CallError;
use crate::id::{AccountId, ContractId};
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::running as backend;
#[cfg(target_arch = "wasm32")]
use crate::sys as backend;

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// The value of a key.
pub fn get(key: &[u8]) -> Option<Vec<u8>> {
    backend::get(key)
}

/// Sets the value of a key.
pub fn put(key: &[u8], value: &[u8]) {
    backend::put(key, value);
}

/// Removes a key and its value, if there is one.
pub fn delete(key: &[u8]) {
    backend::delete(key);
}

/// Up to `limit` keys from `from` (inclusive) to `to` (exclusive; `None` is the end), in order, with their values.
pub fn scan(from: &[u8], to: Option<&[u8]>, limit: u32) -> Vec<Entry> {
    backend::scan(from, to, limit)
}

/// Tells the world.
pub fn emit(topic: &str, data: &[u8]) {
    backend::emit(topic, data);
}

/// Who calls: the account that signed the transaction, or the contract that called this one.
pub fn caller() -> AccountId {
    AccountId(backend::caller())
}

/// This contract.
pub fn contract() -> ContractId {
    ContractId(backend::contract())
}

/// The chain.
pub fn chain() -> [u8; 32] {
    backend::chain()
}

/// The transaction; none in a simulation.
pub fn transaction() -> Option<[u8; 32]> {
    backend::transaction()
}

/// The block's height.
pub fn height() -> u64 {
    backend::height()
}

/// The block's time, in ms since 1970-01-01T00:00:00Z.
pub fn timestamp() -> u64 {
    backend::timestamp()
}

/// Whether writes and events are refused.
pub fn is_read_only() -> bool {
    backend::is_read_only()
}

/// Fuel that is left. A contract that acts on it makes estimates of its fuel worthless.
pub fn fuel_left() -> u64 {
    backend::fuel_left()
}

/// Pays fuel for nothing.
pub fn charge(fuel: u64) {
    backend::charge(fuel);
}

/// BLAKE3 of `data`, without a key.
pub fn blake3(data: &[u8]) -> [u8; 32] {
    backend::blake3(data)
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    backend::sha256(data)
}

/// Whether `signature` is `key`'s Ed25519 signature of `message`, by ZIP-215's rules and never for a weak key.
pub fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    backend::verify_ed25519(key, message, signature)
}

/// Ends the call with a refusal.
pub fn refuse(code: u32, message: &str) -> ! {
    backend::refuse(code, message)
}

/// Breaks the call off, as an invalid instruction does: for what can't be. The words show in native tests only.
pub fn trap(why: &'static str) -> ! {
    backend::trap(why)
}

/// Calls another contract with at most so much fuel (none: all that is left), and refusing writes and events if
/// `read_only`. [`Call`](crate::Call) is the typed form.
///
/// # Errors
/// [`CallError`] when the callee failed. All that it did is taken back; what this contract did stays.
pub fn call(
    contract: &ContractId,
    method: &str,
    arguments: &[u8],
    fuel: Option<u64>,
    read_only: bool,
) -> Result<Vec<u8>, CallError> {
    backend::call(&contract.0, method, arguments, fuel, read_only)
        .map_err(|(code, words)| CallError { code, message: String::from_utf8_lossy(&words).into_owned() })
}
