//! Verifies a ledger's proofs where no node is: a WebAssembly module, for browsers and other languages.
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
//! | `open() -> 1 or 0` | verifies the checkpoint alone, once for many proofs, and keeps it: 1 where it is trusted |
//! | `check() -> 1 or 0` | verifies the proof against the checkpoint that the last `open` has kept: 1 where it holds |
//! | `result() -> address`, `result_length() -> length` | the JSON text that the last `verify`, `open` or `check` gave |
//!
//! An address holds until the next call of `input` for its slot, or of `verify`, `open` or `check` for the result.
//! `packages/verifier` is a complete caller.
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

use ledger_core::{Proof, ProofError, VerifiedCheckpoint, codec};

mod checkpoint;
#[cfg(target_arch = "wasm32")]
mod exports;
mod json;

/// Verifies proof bytes against checkpoint bytes and trust root bytes, and says in JSON what is proven.
///
/// What doesn't hold is looked for in the order of [`ledger_core::verify`]; the trust root may be a genesis alone.
///
/// Bytes, digests and keys are lower-case hex. 64-bit numbers are decimal strings, since JavaScript's numbers aren't
/// exact beyond 2⁵³.
///
/// # Errors
/// `{"error": "…"}`, which says what doesn't hold.
pub fn verify(proof: &[u8], checkpoint: &[u8], trust_root: &[u8]) -> Result<String, String> {
    let (checkpoint, _) = open(checkpoint, trust_root)?;
    check(proof, Some(&checkpoint))
}

/// Verifies checkpoint bytes against the bytes of a trust root, or of a genesis alone, and gives the checkpoint, and in JSON what it is and
/// who has signed it. With it, [`check`] verifies many proofs without verifying the checkpoint each time.
///
/// # Errors
/// `{"error": "…"}`, which says why the checkpoint isn't trusted.
pub fn open(checkpoint: &[u8], trust_root: &[u8]) -> Result<(VerifiedCheckpoint, String), String> {
    checkpoint::open(checkpoint, trust_root)
}

/// Verifies proof bytes against a checkpoint that was [opened](open), and says in JSON what is proven, as [`verify`] does.
///
/// # Errors
/// `{"error": "…"}`, which says what doesn't hold.
pub fn check(proof: &[u8], checkpoint: Option<&VerifiedCheckpoint>) -> Result<String, String> {
    let checkpoint = checkpoint.ok_or_else(|| json::error("no checkpoint was opened"))?;
    let proven = codec::decode::<Proof>(proof).map_err(ProofError::from).and_then(|proof| proof.verify(checkpoint));
    let proven = proven.map_err(|error| json::error(&error.to_string()))?;
    json::proven(&proven).ok_or_else(|| json::error("this build can't show this kind of proof"))
}
