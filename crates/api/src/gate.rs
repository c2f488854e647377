//! What every request passes: host, token, rate, permit, body, timeout. Then its handler.

use crate::chains::Chains;
use crate::config::ApiConfig;
use crate::failure::{self, BUSY_RETRY_MS, malformed};
use crate::handlers;
use crate::instruments::Instruments;
use crate::metrics::Counters;
use crate::params::Params;
use crate::rate::{RateKey, Rates};
use crate::recent::Recent;
use crate::routes::{Operation, Place, Route};
use crate::server::PathParams;
use crate::tokens::{Right, Rights, Tokens};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header, request};
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ledger_client::wire::{Problem, ProblemKind};
use ledger_node::Chain;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: ApiConfig,
    pub(crate) chains: Chains,
    pub(crate) instruments: Arc<dyn Instruments>,
    pub(crate) counters: Counters,
    pub(crate) recent: Recent,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) openapi: Bytes,
    rates: Rates,
    requests: Semaphore,
    reads: Arc<Semaphore>,
}

/// Waits until the server closes.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // A sender that is gone has closed as well.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A request that has passed.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) params: Params,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
}

/// What came in a request's body.
pub(crate) enum Content {
    None,
    Bytes(Bytes),
    Json(Bytes),
}

/// What a handler gives.
pub(crate) enum Reply {
    Json(StatusCode, Vec<u8>),
    Text(&'static str, String),
    Bytes(&'static str, Bytes),
    Stream(Body),
}

impl Shared {
    pub(crate) fn new(
        config: ApiConfig,
        chains: Chains,
        instruments: Arc<dyn Instruments>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let limits = &config.limits;
        Shared {
            rates: Rates::new(limits.rate_per_second, limits.rate_burst, limits.rate_keys),
            requests: Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS)),
            reads: Arc::new(Semaphore::new(limits.reads.clamp(1, Semaphore::MAX_PERMITS))),
            streams: Arc::new(Semaphore::new(limits.streams.min(Semaphore::MAX_PERMITS))),
            recent: Recent::new(limits.remembered),
            openapi: serde_json::to_vec(&crate::openapi::document()).unwrap_or_default().into(),
            counters: Counters::default(),
            config,
            chains,
            instruments,
            closing,
        }
    }

    /// Runs what reads views or log, or executes a query, where it can't hold the server up.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Problem> + Send + 'static,
    {
        let closed = |_| Problem::new(ProblemKind::Internal, "the server is closing");
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(closed)?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.unwrap_or_else(|_| Err(Problem::new(ProblemKind::Internal, "the request's work has panicked")))
    }
}

impl Context {
    /// The chain that the path names.
    pub(crate) fn chain(&self) -> Result<Chain, Problem> {
        let id = self.params.id("chain")?;
        let unknown = || Problem::new(ProblemKind::UnknownChain, format_args!("chain {id} isn't served here"));
        self.shared.chains.get(&id).ok_or_else(unknown)
    }

    /// An answer as JSON, if it isn't too large.
    pub(crate) fn json<T: Serialize>(&self, status: StatusCode, answer: &T) -> Result<Reply, Problem> {
        let bytes = serde_json::to_vec(answer).map_err(|error| Problem::new(ProblemKind::Internal, error))?;
        self.check_result(bytes.len())?;
        Ok(Reply::Json(status, bytes))
    }

    /// Refuses an answer of `found` bytes if that is too large.
    pub(crate) fn check_result(&self, found: usize) -> Result<(), Problem> {
        too_large(found, self.shared.config.limits.result_bytes)
    }
}

pub(crate) fn too_large(found: usize, limit: usize) -> Result<(), Problem> {
    if found <= limit {
        return Ok(());
    }
    let detail = format!("the answer takes {found} bytes; this server gives at most {limit}");
    Err(Problem::new(ProblemKind::ResultTooLarge, detail).found(found).limit(limit))
}

/// Answers a request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    route: &'static Route,
    path: PathParams,
    request: Request<Body>,
) -> Response {
    let instance = request.uri().path().to_owned();
    let response = match pass(Arc::clone(&shared), route, &path, request).await {
        Ok(reply) => respond(reply),
        Err(problem) => failure::response(problem, &instance),
    };
    shared.counters.answered(response.status().as_u16());
    response
}

async fn pass(
    shared: Arc<Shared>,
    route: &'static Route,
    path: &PathParams,
    request: Request<Body>,
) -> Result<Reply, Problem> {
    let limits = &shared.config.limits;
    let (parts, body) = request.into_parts();
    admit(&shared, route.right, &parts)?;
    let permit = shared.requests.try_acquire().map_err(|_| {
        let detail = format!("{} requests are under way, which is the limit", limits.requests);
        Problem::new(ProblemKind::Busy, detail).limit(limits.requests).retry_after_ms(BUSY_RETRY_MS)
    })?;
    let known =
        |name: &str| route.parameters.iter().any(|parameter| parameter.place == Place::Query && parameter.name == name);
    let path = path.as_ref().map_err(malformed)?;
    let params = Params::new(path.iter(), parts.uri.query(), known)?;
    let body = match route.request {
        Some(_) => content(&parts.headers, body, limits.body_bytes, limits.body_timeout).await?,
        None => Content::None,
    };
    let wait = handlers::transactions::wait(route.operation, &params, limits)?;
    let timeout = limits.request_timeout.saturating_add(wait.map_or(Duration::ZERO, |wait| wait.timeout));
    let context = Context { shared: Arc::clone(&shared), params, headers: parts.headers, body };
    let answered = tokio::time::timeout(timeout, handlers::handle(route.operation, context, wait)).await;
    drop(permit);
    answered.unwrap_or_else(|_| {
        let detail = format!("no answer within {} ms", timeout.as_millis());
        Err(match route.operation {
            Operation::Submit => Problem::new(ProblemKind::OutcomeUnknown, detail),
            _ => Problem::new(ProblemKind::Timeout, detail),
        })
    })
}

/// Host, token and rate.
fn admit(shared: &Shared, right: Right, parts: &request::Parts) -> Result<(), Problem> {
    let tokens = &shared.config.tokens;
    let address = parts.extensions.get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let (key, rights) = if tokens.is_empty() {
        check_host(&parts.headers)?;
        (RateKey::of(address), Some(Rights::ALL))
    } else {
        let digest = bearer(&parts.headers).map(Tokens::digest);
        let rights = digest.and_then(|digest| tokens.of_digest(&digest));
        // Who guesses tokens is counted by address.
        (digest.filter(|_| rights.is_some()).map_or(RateKey::of(address), RateKey::Token), rights)
    };
    if let Err(wait) = shared.rates.take(key, Instant::now()) {
        shared.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
        let limit = shared.config.limits.rate_per_second;
        let detail = format!("more than {limit} requests a second");
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        return Err(Problem::new(ProblemKind::RateLimited, detail).limit(limit as usize).retry_after_ms(ms));
    }
    match (right, rights) {
        (Right::Public, _) => Ok(()),
        (_, None) => Err(Problem::new(ProblemKind::Unauthorized, "a known bearer token is needed")),
        (right, Some(rights)) if rights.allow(right) => Ok(()),
        (right, Some(_)) => {
            let name = match right {
                Right::Submit => "submit",
                Right::Admin => "admin",
                Right::ReadOrSubmit => "read or submit",
                Right::Read | Right::Public => "read",
            };
            Err(Problem::new(ProblemKind::Forbidden, format_args!("the token lacks the right `{name}`")))
        }
    }
}

/// Without tokens a web page could reach the server by a name that resolves to the loopback.
fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let name = host.to_str().unwrap_or_default();
    let without_port = match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    };
    let bare = without_port.trim_start_matches('[').trim_end_matches(']');
    if bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Misdirected, "without tokens this server is reached by a loopback address only"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn content(headers: &HeaderMap, body: Body, limit: usize, timeout: Duration) -> Result<Content, Problem> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = match media.as_str() {
        "application/octet-stream" => false,
        "application/json" => true,
        _ => {
            let detail = "a body is application/octet-stream or application/json";
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
        }
    };
    let over =
        || Problem::new(ProblemKind::BodyTooLarge, format_args!("a body has at most {limit} bytes")).limit(limit);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(found) = length.filter(|found| *found > limit) {
        return Err(over().found(found));
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await.map_err(|_| {
        let detail = format!("the body didn't arrive within {} ms", timeout.as_millis());
        Problem::new(ProblemKind::RequestTimeout, detail)
    })?;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(over()),
        Err(error) => return Err(malformed(error)),
    };
    Ok(if json { Content::Json(bytes) } else { Content::Bytes(bytes) })
}

/// The moment that lies so far ahead. Further than a clock can tell is as good as 30 years.
pub(crate) fn ahead(delay: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(delay).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 86_400))
}

fn respond(reply: Reply) -> Response {
    let (status, media, body) = match reply {
        Reply::Json(status, bytes) => (status, "application/json", Body::from(bytes)),
        Reply::Text(media, text) => (StatusCode::OK, media, Body::from(text)),
        Reply::Bytes(media, bytes) => (StatusCode::OK, media, Body::from(bytes)),
        Reply::Stream(body) => (StatusCode::OK, "text/event-stream", body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
