//! Requests to one of several servers: plain HTTP/1.1 over kept connections.

use crate::config::ClientConfig;
use crate::error::ClientError;
use crate::wire::{Problem, ProblemKind};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) struct Http {
    pool: Pool<HttpConnector, Full<Bytes>>,
    servers: Vec<String>,
    token: Option<HeaderValue>,
    /// The server that answered last.
    preferred: AtomicUsize,
    pub(crate) config: ClientConfig,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    /// How long the server is asked to wait.
    pub(crate) wait: Duration,
}

impl Ask {
    pub(crate) fn get(path: String) -> Self {
        Ask { path, body: None, wait: Duration::ZERO }
    }
}

impl Http {
    pub(crate) fn new(urls: &[String], token: Option<&str>, config: ClientConfig) -> Result<Self, ClientError> {
        let servers: Vec<String> = urls.iter().map(|url| server(url)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(ClientError::Url { url: String::new(), reason: "no server is named".to_owned() });
        }
        let token = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| ClientError::Url {
                url: servers.first().cloned().unwrap_or_default(),
                reason: format!("the token can't be sent: {error}"),
            })?;
            value.set_sensitive(true);
            Ok(value)
        });
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_timeout));
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(5))
            .pool_max_idle_per_host(config.idle_connections)
            .build(connector);
        Ok(Http { pool, servers, token: token.transpose()?, preferred: AtomicUsize::new(0), config })
    }

    /// The server to ask at `attempt` (from 0): the one that answered last, then the others in turn.
    pub(crate) fn server(&self, attempt: u32) -> (usize, &str) {
        let preferred = self.preferred.load(Ordering::Relaxed);
        // There is one at least, or there would be no client.
        let number = preferred.wrapping_add(usize::try_from(attempt).unwrap_or(0)) % self.servers.len();
        (number, self.servers.get(number).map_or("", String::as_str))
    }

    pub(crate) fn prefer(&self, number: usize) {
        self.preferred.store(number, Ordering::Relaxed);
    }

    /// Asks another server next time.
    pub(crate) fn avoid(&self, number: usize) {
        self.preferred.store((number + 1) % self.servers.len(), Ordering::Relaxed);
    }

    /// Opens a request; gives the answer's head.
    pub(crate) async fn open(
        &self,
        server: &str,
        ask: &Ask,
        header: Option<(&'static str, &str)>,
    ) -> Result<Response<Incoming>, String> {
        let uri: Uri = format!("{server}{}", ask.path).parse().map_err(|error| format!("{error}"))?;
        let mut request = Request::builder().uri(uri);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = match &ask.body {
            None => request.method(Method::GET).body(Full::default()),
            Some(body) => {
                let request = request.method(Method::POST).header(CONTENT_TYPE, "application/octet-stream");
                request.body(Full::new(body.clone()))
            }
        };
        let request = request.map_err(|error| error.to_string())?;
        self.pool.request(request).await.map_err(|error| chained(&error))
    }

    /// Asks one server once.
    pub(crate) async fn once<T: DeserializeOwned>(
        &self,
        server: &str,
        ask: &Ask,
        attempt: u32,
    ) -> Result<T, ClientError> {
        let network = |reason: String| ClientError::Network { server: server.to_owned(), attempt, reason };
        let limit = self.config.timeout.saturating_add(ask.wait);
        let answered = timeout(limit, async {
            let response = self.open(server, ask, None).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), self.config.answer_bytes).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        });
        let (status, body) = match answered.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Err(network(reason)),
            Err(_) => return Err(network(format!("no answer within {} ms", limit.as_millis()))),
        };
        if !(200..300).contains(&status) {
            return Err(refusal(server, ask, status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer {
            server: server.to_owned(),
            path: ask.path.clone(),
            reason: error.to_string(),
        })
    }

    /// Asks until a server answers: others after one that can't be reached or is busy, with pauses after a round.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> Result<(T, usize), ClientError> {
        let mut attempt = 0;
        loop {
            let (number, server) = self.server(attempt);
            attempt += 1;
            let error = match self.once(server, ask, attempt).await {
                Ok(answer) => {
                    self.prefer(number);
                    return Ok((answer, number));
                }
                Err(error) => error,
            };
            if attempt >= self.config.attempts || !again(&error) {
                return Err(error);
            }
            self.rest(attempt, &error).await;
        }
    }

    /// Pauses after an attempt, unless there is another server that wasn't asked yet.
    pub(crate) async fn rest(&self, attempt: u32, error: &ClientError) {
        let asked = match error {
            ClientError::Problem { problem, .. } => problem.retry_after_ms.map(|ms| ms.0),
            _ => None,
        };
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        if asked.is_some() || attempt >= servers {
            let round = if asked.is_some() { attempt } else { attempt - servers + 1 };
            tokio::time::sleep(self.config.pause(round, asked)).await;
        }
    }

    pub(crate) fn name(&self, number: usize) -> String {
        self.servers.get(number).cloned().unwrap_or_default()
    }
}

/// A server's problem, or what else it says.
pub(crate) fn refusal(server: &str, ask: &Ask, status: u16, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Problem { server: server.to_owned(), problem: Box::new(problem) },
        // A proxy in between, or a server that is full: try again.
        Err(_) if matches!(status, 429 | 502 | 503 | 504) => {
            ClientError::Network { server: server.to_owned(), attempt: 1, reason: format!("status {status}") }
        }
        Err(_) => ClientError::Answer {
            server: server.to_owned(),
            path: ask.path.clone(),
            reason: format!("status {status} without a problem"),
        },
    }
}

/// Whether another attempt may go better.
pub(crate) fn again(error: &ClientError) -> bool {
    use ProblemKind as P;
    match error {
        ClientError::Network { .. } => true,
        ClientError::Problem { problem, .. } => problem.kind().is_some_and(|kind| {
            matches!(
                kind,
                P::Busy
                    | P::RateLimited
                    | P::TooManyStreams
                    | P::Timeout
                    | P::RequestTimeout
                    | P::ChainClosed
                    | P::OutcomeUnknown
                    | P::NotCertified
            )
        }),
        _ => false,
    }
}

/// A base URL without its last slash.
fn server(url: &str) -> Result<String, ClientError> {
    let wrong = |reason: &str| ClientError::Url { url: url.to_owned(), reason: reason.to_owned() };
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(wrong("TLS ends at a reverse proxy; this client speaks http:// to one on its side"));
        }
        _ => return Err(wrong("it begins with http://")),
    }
    if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(wrong("it is http://, a host, a port and a path"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// An error and what is behind it.
fn chained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
