//! A server's bounds.

use crate::tokens::Tokens;
use std::time::Duration;

/// What a server needs beside its chains. `ApiConfig::default()` serves the loopback without tokens.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// Who may do what. Without any token everything is allowed, and only a loopback address can be bound.
    pub tokens: Tokens,
    /// The bounds.
    pub limits: ApiLimits,
}

/// A server's bounds, each with a default that works.
#[derive(Clone, Debug)]
pub struct ApiLimits {
    /// The longest body of a request, in bytes (default 2 MiB).
    pub body_bytes: usize,
    /// The longest head of a request (request line and headers), in bytes, at least 8 KiB (default 16 KiB).
    pub head_bytes: usize,
    /// The most headers of a request (default 64).
    pub headers: usize,
    /// The largest answer, in bytes (default 8 MiB). Larger ones are refused, never cut.
    pub result_bytes: usize,
    /// The most items on a page (default 1,000); a request that names no number gets 100 at most.
    pub page_items: usize,
    /// Connections at a time (default 1,024); one more is answered 503 and closed.
    pub connections: usize,
    /// Requests at a time (default 1,024); one more is answered 503.
    pub requests: usize,
    /// Reads of views and log, and contract queries, at a time (default 16); others wait within their timeout.
    pub reads: usize,
    /// Streams of events at a time (default 64); one more is answered 503.
    pub streams: usize,
    /// Requests a second for each token, or for each address without tokens (default 5,000). IPv6 addresses of one /64
    /// count as one.
    pub rate_per_second: u32,
    /// Requests that may come at once before the rate counts (default 5,000).
    pub rate_burst: u32,
    /// Tokens and addresses whose rate is remembered (default 4,096, about 300 KiB); when there are more at a time, the
    /// rest share one rate.
    pub rate_keys: usize,
    /// Transactions handed in here whose way is remembered, so that *accepted* and *ordered* can be told (default
    /// 16,384, about 8 MiB). Of older ones only *executed* and *certified* are known.
    pub remembered: usize,
    /// How long a request's head may take, and a connection may be idle (default 10 s).
    pub head_timeout: Duration,
    /// How long a request's body may take (default 10 s).
    pub body_timeout: Duration,
    /// How long an answer may take (default 10 s), beside what a request asks to wait.
    pub request_timeout: Duration,
    /// The longest that a request may ask to wait (default 30 s).
    pub max_wait: Duration,
    /// How long a write may make no progress before the connection is closed (default 20 s).
    pub write_timeout: Duration,
    /// How long a stream of events is silent before a sign of life (default 15 s).
    pub heartbeat: Duration,
    /// How long requests under way have to end when the server is shut down (default 5 s).
    pub drain: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        ApiLimits {
            body_bytes: 2 << 20,
            head_bytes: 16 << 10,
            headers: 64,
            result_bytes: 8 << 20,
            page_items: 1_000,
            connections: 1_024,
            requests: 1_024,
            reads: 16,
            streams: 64,
            rate_per_second: 5_000,
            rate_burst: 5_000,
            rate_keys: 4_096,
            remembered: 16_384,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            max_wait: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            heartbeat: Duration::from_secs(15),
            drain: Duration::from_secs(5),
        }
    }
}
