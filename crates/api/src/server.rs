//! Binding, accepting, closing.

use crate::chains::Chains;
use crate::config::ApiConfig;
use crate::failure;
use crate::gate::{self, Peer, Shared};
use crate::instruments::{Instruments, NoInstruments};
use crate::routes::ROUTES;
use crate::timed_io::TimedIo;
use axum::Router;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::http::Request;
use axum::routing::{MethodFilter, on};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger_client::wire::{Problem, ProblemKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

/// How long the server rests when the operating system gives it no connection (no file descriptors, say).
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Why a server can't be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No tokens, but an address that others can reach.
    #[error(
        "without tokens the API is served on a loopback address only, and {address} isn't one; name a file of tokens"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address can't be had: in use, or not this machine's.
    #[error("the API can't listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// The path's parameters, or why they are none.
pub(crate) type PathParams = Result<RawPathParams, RawPathParamsRejection>;

/// A bound server, which answers once it [serves](ApiServer::serve).
pub struct ApiServer {
    listener: TcpListener,
    address: SocketAddr,
    config: ApiConfig,
    chains: Chains,
    instruments: Arc<dyn Instruments>,
}

impl ApiServer {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ApiError`] names the address.
    pub async fn bind(address: SocketAddr, config: ApiConfig, chains: impl Into<Chains>) -> Result<Self, ApiError> {
        if config.tokens.is_empty() && !address.ip().is_loopback() {
            return Err(ApiError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address).await.map_err(|source| ApiError::Bind { address, source })?;
        let address = listener.local_addr().map_err(|source| ApiError::Bind { address, source })?;
        Ok(ApiServer { listener, address, config, chains: chains.into(), instruments: Arc::new(NoInstruments) })
    }

    /// Shows peers, and metrics beside the server's own.
    #[must_use]
    pub fn instruments(mut self, instruments: Arc<dyn Instruments>) -> Self {
        self.instruments = instruments;
        self
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves; then requests under way have [`drain`](crate::ApiLimits::drain) to end, and
    /// streams of events are closed. Nothing holds a chain any more when this returns.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let (close, closing) = watch::channel(false);
        let shared = Arc::new(Shared::new(self.config, self.chains, self.instruments, closing.clone()));
        let router = router(&shared);
        let limit = shared.config.limits.connections.min(Semaphore::MAX_PERMITS);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, peer)) = accepted else {
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            };
            shared.counters.connections.fetch_add(1, Ordering::Relaxed);
            if connections.len() >= limit {
                shared.counters.connections_refused.fetch_add(1, Ordering::Relaxed);
                refuse(&stream);
                continue;
            }
            connections.spawn(connection(stream, peer, Arc::clone(&shared), router.clone(), closing.clone()));
        }
        drop(self.listener);
        let _ = close.send(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(shared.config.limits.drain, ended).await.is_err() {
            connections.shutdown().await;
        }
        shared.recent.clear();
    }
}

/// Tells one connection too many so, if that can be done without waiting.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n");
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    router: Router,
    mut closing: watch::Receiver<bool>,
) {
    let limits = &shared.config.limits;
    let _open = Open::new(Arc::clone(&shared));
    // Answers are small and wait for nothing.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(TimedIo::new(stream, limits.write_timeout));
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        async move { router.call(request).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers)
        // hyper takes no less.
        .max_buf_size(limits.head_bytes.max(8 << 10))
        .serve_connection(io, service);
    tokio::pin!(serving);
    // What goes wrong on a connection is the other end's affair.
    tokio::select! {
        _ = serving.as_mut() => {}
        () = gate::closed(&mut closing) => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}

/// Counts a connection as long as it is open, however it ends.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.counters.open_connections.fetch_add(1, Ordering::Relaxed);
        Open(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let shared = Arc::clone(shared);
        let handler = move |path: PathParams, request: Request<Body>| gate::answer(shared, route, path, request);
        let filter = if route.method == axum::http::Method::POST { MethodFilter::POST } else { MethodFilter::GET };
        router = router.route(route.path, on(filter, handler));
    }
    let (missing, wrong) = (Arc::clone(shared), Arc::clone(shared));
    router
        .fallback(move |request: Request<Body>| async move {
            let problem = Problem::new(ProblemKind::NotFound, "see /openapi.json for what there is");
            missing.counters.answered(problem.status);
            failure::response(problem, request.uri().path())
        })
        .method_not_allowed_fallback(move |request: Request<Body>| async move {
            let detail = format!("{} isn't possible here", request.method());
            let problem = Problem::new(ProblemKind::MethodNotAllowed, detail);
            wrong.counters.answered(problem.status);
            failure::response(problem, request.uri().path())
        })
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("address", &self.address).finish_non_exhaustive()
    }
}
