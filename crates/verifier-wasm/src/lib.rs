//! Verifies a ledger's proofs where no node is: a WebAssembly module with one entry, for browsers and other languages.
//!
//! ```text
//! proof bytes ───────┐
//! checkpoint bytes ──┼─▶ verify ─▶ what is proven, or why nothing is (JSON)
//! trust root bytes ──┘
//! ```
//!
//! # Contract
//! The module imports nothing: no clock, randomness, file or network. It trusts the trust root and nothing else.
//! `docs/format.md` specifies the three inputs, and what verification checks in which order. The checkpoint may be a
//! bundle: with the changes of a network's validators that lead to it. Since there is no clock, a trusting period brings
//! the time along in the trust root.
//!
//! The exports, all over the module's own linear memory:
//!
//! | export | what it does |
//! |---|---|
//! | `input(slot, length) -> address` | makes room for an input of `length` bytes: 0 proof, 1 checkpoint, 2 trust root. Write the bytes there. 0 where the slot isn't one or `length` is over 64 MiB |
//! | `verify() -> 1 or 0` | verifies the three inputs: 1 where the proof holds |
//! | `result() -> address`, `result_length() -> length` | the JSON text that the last `verify` gave |
//!
//! An address holds until the next call of `input` for its slot, or of `verify` for the result. `smoke.mjs` beside this
//! crate is a complete caller.
//!
//! # Example
//! The same entry in Rust:
//! ```
//! let text = ledger_verifier::verify(b"", b"", b"").unwrap_err();
//! assert!(text.starts_with(r#"{"error":"trust root is malformed"#), "{text}");
//! ```
//!
//! # Failure
//! Whatever the bytes, `verify` answers; a refusal is `{"error": "…"}`.
//!
//! # Features
//! None.
#![deny(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod exports;
mod json;

/// Verifies proof bytes against checkpoint bytes and trust root bytes, and says in JSON what is proven.
///
/// Bytes, digests and keys are lower-case hex. 64-bit numbers are decimal strings, since JavaScript's numbers aren't
/// exact beyond 2⁵³.
///
/// # Errors
/// `{"error": "…"}`, which says what doesn't hold.
pub fn verify(proof: &[u8], checkpoint: &[u8], trust_root: &[u8]) -> Result<String, String> {
    match ledger_core::verify(proof, checkpoint, trust_root) {
        Ok(proven) => json::proven(&proven).ok_or_else(|| json::error("this build can't show this kind of proof")),
        Err(error) => Err(json::error(&error.to_string())),
    }
}
