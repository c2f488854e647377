//! Errors as RFC 9457 problem details.

use super::U64;
use super::schema::wire;
use std::fmt;

/// What every problem's type begins with.
pub const PROBLEM_PREFIX: &str = "urn:ledgerkit:problem:";

wire! {
    /// An error: RFC 9457's members, and three of ours.
    pub struct Problem {
        /// What kind of problem it is; the part after the last colon is stable.
        pub r#type: Box<str>,
        /// The kind, for people.
        pub title: Box<str>,
        /// The HTTP status.
        pub status: u16,
        /// What happened here.
        pub detail: Box<str>,
        /// The path that was asked for.
        pub instance: Box<str>,
        /// The limit that was met.
        pub limit: Option<U64>,
        /// What was found against the limit.
        pub found: Option<U64>,
        /// When it makes sense to try again, in ms.
        pub retry_after_ms: Option<U64>,
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $slug:literal, $status:literal;)+) => {
        /// What kinds of problems there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &[ProblemKind] = &[$(ProblemKind::$kind),+];

            /// The stable name, the last part of the problem's type.
            pub fn slug(self) -> &'static str {
                match self {
                    $(ProblemKind::$kind => $slug,)+
                }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self {
                    $(ProblemKind::$kind => $status,)+
                }
            }

            /// The kind, for people.
            pub fn title(self) -> String {
                match self {
                    $(ProblemKind::$kind => super::schema::described(&[$($doc),+]),)+
                }
            }
        }
    };
}

kinds! {
    /// The request isn't understood
    MalformedRequest = "malformed-request", 400;
    /// A token is needed
    Unauthorized = "unauthorized", 401;
    /// The token doesn't give this right
    Forbidden = "forbidden", 403;
    /// There is no such path
    NotFound = "not-found", 404;
    /// There is no such chain here
    UnknownChain = "unknown-chain", 404;
    /// There is no such transaction here, as far as this node knows
    UnknownTransaction = "unknown-transaction", 404;
    /// There is no such block here
    UnknownBlock = "unknown-block", 404;
    /// The path doesn't have this method
    MethodNotAllowed = "method-not-allowed", 405;
    /// The request took too long to arrive
    RequestTimeout = "request-timeout", 408;
    /// The transaction can't be executed as the state stands
    TransactionRefused = "transaction-refused", 409;
    /// The transaction was dropped before it was ordered
    TransactionDropped = "transaction-dropped", 409;
    /// No checkpoint commits to it yet
    NotCertified = "not-certified", 409;
    /// It isn't kept any more
    NotKept = "not-kept", 410;
    /// The body is too large
    BodyTooLarge = "body-too-large", 413;
    /// The body is of a type that isn't read here
    UnsupportedMediaType = "unsupported-media-type", 415;
    /// The host that was asked for isn't this server
    Misdirected = "misdirected", 421;
    /// The transaction is invalid, whatever the state is
    InvalidTransaction = "invalid-transaction", 422;
    /// The contract refused the query
    QueryRefused = "query-refused", 422;
    /// The result is larger than the server gives
    ResultTooLarge = "result-too-large", 422;
    /// Too many requests
    RateLimited = "rate-limited", 429;
    /// Something is wrong with the server
    Internal = "internal", 500;
    /// The server is busy
    Busy = "busy", 503;
    /// There are as many streams as the server gives
    TooManyStreams = "too-many-streams", 503;
    /// The chain has stopped or is closing
    ChainClosed = "chain-closed", 503;
    /// What became of the transaction isn't known
    OutcomeUnknown = "outcome-unknown", 503;
    /// The request took too long to be answered
    Timeout = "timeout", 504;
}

impl ProblemKind {
    /// The problem's type.
    pub fn urn(self) -> String {
        format!("{PROBLEM_PREFIX}{}", self.slug())
    }
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl fmt::Display) -> Self {
        Problem {
            r#type: kind.urn().into(),
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.to_string().into(),
            instance: Box::default(),
            limit: None,
            found: None,
            retry_after_ms: None,
        }
    }

    /// With the limit that was met.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(U64(limit as u64));
        self
    }

    /// With what was found against the limit.
    #[must_use]
    pub fn found(mut self, found: usize) -> Self {
        self.found = Some(U64(found as u64));
        self
    }

    /// With the time after which it makes sense to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(U64(ms));
        self
    }

    /// The kind, if it is one that this version knows.
    pub fn kind(&self) -> Option<ProblemKind> {
        let slug = self.r#type.strip_prefix(PROBLEM_PREFIX)?;
        ProblemKind::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.status, self.detail)
    }
}
