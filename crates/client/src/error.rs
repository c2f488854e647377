//! What can go wrong between a client and its servers.

use crate::wire::Problem;
use ledger_core::codec::CodecError;
use ledger_core::{ProofError, TransactionId, TrustError};

/// Why a client has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not a URL that this client can use.
    #[error("`{url}` isn't a server's URL: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The trust root is no chain's.
    #[error("the trust root can't be used: {0}")]
    TrustRoot(Box<TrustError>),
    /// No server could be reached, however often it was tried.
    #[error("{server} can't be reached (attempt {attempt}): {reason}")]
    Network {
        /// The server that was tried last.
        server: String,
        /// How often was tried.
        attempt: u32,
        /// What happened.
        reason: String,
    },
    /// The server says no.
    #[error("{server} answers: {problem}")]
    Problem {
        /// The server.
        server: String,
        /// Its words.
        problem: Box<Problem>,
    },
    /// An answer that isn't of the API.
    #[error("{server} gives no answer of this API to `{path}`: {reason}")]
    Answer {
        /// The server.
        server: String,
        /// What was asked.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint that isn't trusted: the server lies, is of another chain, or has another history.
    #[error("the checkpoint that {server} gives for {what} isn't trusted: {error}")]
    Checkpoint {
        /// The server.
        server: String,
        /// What was asked for.
        what: &'static str,
        /// What is wrong.
        error: Box<TrustError>,
    },
    /// A proof that proves nothing: the server lies.
    #[error("the {what} that {server} gives doesn't verify: {error}")]
    Proof {
        /// The server.
        server: String,
        /// What was asked for.
        what: &'static str,
        /// What is wrong.
        error: Box<ProofError>,
    },
    /// A proof of something else, or an answer that isn't what its proof shows.
    #[error("{server} proves something else than the {what} that was asked for: {reason}")]
    Mismatch {
        /// The server.
        server: String,
        /// What was asked for.
        what: &'static str,
        /// What differs.
        reason: String,
    },
    /// Bytes that don't decode.
    #[error("the {what} that {server} gives doesn't decode: {error}")]
    Codec {
        /// The server.
        server: String,
        /// What was asked for.
        what: &'static str,
        /// What is wrong.
        error: CodecError,
    },
    /// What became of a transaction isn't known: it may be ordered, or never be. Hand the same bytes in again.
    #[error("what became of transaction {id} isn't known; handing in the same bytes again is safe: {reason}")]
    OutcomeUnknown {
        /// The transaction.
        id: TransactionId,
        /// What the last attempt met.
        reason: String,
    },
    /// The stream of events came out of order: the server lies.
    #[error("{server} sends event {found} after event {last}")]
    OutOfOrder {
        /// The server.
        server: String,
        /// What came.
        found: String,
        /// What had come before.
        last: String,
    },
    /// A message of a stream that is longer than the client takes.
    #[error("{server} sends a message of more than {limit} bytes")]
    MessageTooLong {
        /// The server.
        server: String,
        /// The limit.
        limit: usize,
    },
}

impl ClientError {
    /// Whether a server has shown something that doesn't verify.
    pub fn is_a_lie(&self) -> bool {
        matches!(
            self,
            ClientError::Checkpoint { .. }
                | ClientError::Proof { .. }
                | ClientError::Mismatch { .. }
                | ClientError::Codec { .. }
                | ClientError::OutOfOrder { .. }
        )
    }
}
