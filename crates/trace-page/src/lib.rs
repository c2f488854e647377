//! A proven trace as one HTML file that verifies itself in its reader's browser, offline.
//!
//! ```text
//! trust root, checkpoint, trace proof ─write─▶ page: each event as the JSON that was signed, the proofs without the events,
//!                                              │     the verifier (WebAssembly), the script that shows what it has verified
//!                    in a browser ◀────────────┼────────────▶ check: the same from Rust, and that every byte
//!        verified and shown on opening         │              of the file is what `write` writes
//! ```
//!
//! # Contract
//! A page's text is nobody's word: on opening, the script verifies each line from the JSON that stands in it, and shows what it has verified and
//! nothing else. So a changed byte of a line, of the proofs, of the checkpoint or of the trust root turns lines red. The page's content security policy
//! forbids it all network, and names its script and style by digest: changed, they don't run. Who can change a page can also
//! change its policy, so that a page of strangers is best checked from a terminal: [`check`] compares every byte.
//!
//! `write` is pure: the same input gives the same page. All text from data is escaped as text.
//!
//! # Example
//! ```
//! use ledger_trace_page::{PageError, check};
//!
//! assert!(matches!(check("<p>hello</p>", None), Err(PageError::NotAPage { .. })));
//! ```
//!
//! # Failure
//! [`PageError`] says what is wrong with a page, or why one can't be made. What a page holds is bounded ([`MAX_PAGE_BYTES`]) before it is read.
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

mod check;
mod data;
mod escape;
mod index;
mod write;

use ledger_traceability::timeline::TimelineError;

pub use check::{Verdict, check, check_contract};
pub use index::{Entry, index};
pub use write::{Page, write};

/// The verifier for browsers, `packages/verifier/ledger_verifier.wasm`.
pub const VERIFIER: &[u8] = include_bytes!("../../../packages/verifier/ledger_verifier.wasm");

/// The longest page that is read, in bytes.
pub const MAX_PAGE_BYTES: usize = 64 << 20;

/// What a page's data begins with.
const FORMAT: &str = "ledgerkit trace page 1";

/// Why there is no page, or no verdict on one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The trace isn't proven, so there is nothing to make a page of.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// The text is no page of a trace.
    #[error("it is no trace page: {reason}")]
    NotAPage {
        /// What is missing or malformed.
        reason: String,
    },
    /// More bytes than are read.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}

fn not_a_page(reason: impl Into<String>) -> PageError {
    PageError::NotAPage { reason: reason.into() }
}
