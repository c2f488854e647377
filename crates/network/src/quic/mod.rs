//! QUIC: one endpoint for all chains of a host.

mod accept;
mod config;
mod dial;
mod frames;
mod handshake;
pub mod hello;
mod link;
mod outbox;
mod tls;

pub use config::{Peer, QuicConfig};
pub use handshake::Refusals;
pub use tls::{ALPN, TlsError};

use crate::config::ConfigError;
use crate::in_process::now_ms;
use crate::inbox::Inbox;
use crate::report::{PeerReport, lock};
use crate::router::{Announcements, Router};
use crate::seam::{Admission, JoinError, SendError, Transport};
use accept::Slots;
use handshake::{Greeted, RefusalCounters};
use ledger_core::{ChainId, Lane};
use ledger_crypto::{Digest, PublicKey, Signer};
use link::{Close, Link};
use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long [`QuicTransport::close`] waits for what is queued to arrive.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A [`Transport`] over QUIC: one UDP socket, one connection with each peer, for all chains.
///
/// Dropping it closes all connections at once; [`QuicTransport::close`] lets what is queued arrive first.
pub struct QuicTransport {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    dialing: Mutex<BTreeMap<PublicKey, (Peer, JoinHandle<()>)>>,
}

/// What all tasks of an endpoint have in common. Locks are taken in the order of the fields.
struct Shared {
    links: Mutex<Links>,
    paused: Mutex<BTreeSet<PublicKey>>,
    router: Mutex<Router>,
    local: PublicKey,
    config: QuicConfig,
    signer: Arc<dyn Signer>,
    /// Digest of the certificate that this process shows.
    certificate: Digest,
    /// The number of this process.
    process: u64,
    endpoint: Endpoint,
    runtime: Handle,
    slots: Arc<Slots>,
    refusals: RefusalCounters,
    /// Moves whenever chains, admissions or connections change.
    changed: watch::Sender<()>,
}

/// Connections with peers.
#[derive(Default)]
struct Links {
    connected: BTreeMap<PublicKey, Arc<Link>>,
    /// Peers whose answer to a hello is awaited.
    greeting: BTreeSet<PublicKey>,
    /// How many hellos this process has said as a dialer.
    attempts: u64,
}

/// Why a transport can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The bounds don't go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Connections are served by tokio's tasks, so this has to be called within its runtime.
    #[error("a QUIC transport starts within a tokio runtime, and there is none")]
    NoRuntime,
    /// Another process has the port, or the address isn't this machine's.
    #[error("UDP address {address} can't be used: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl QuicTransport {
    /// Listens at `listen` and keeps connections with those `peers` that chains admit. `signer` holds this node's member
    /// key. Connections are made once there is a chain: see [`Transport::join`].
    ///
    /// # Errors
    /// [`StartError`], for a port that is taken above all.
    pub fn start(
        config: QuicConfig,
        signer: Arc<dyn Signer>,
        listen: SocketAddr,
        peers: Vec<Peer>,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let handle = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let tls = tls::Tls::new(&config)?;
        let at = |source| StartError::Listen { address: listen, source };
        let socket = UdpSocket::bind(listen).map_err(at)?;
        let runtime = Arc::new(TokioRuntime);
        let mut endpoint = Endpoint::new(EndpointConfig::default(), Some(tls.server), socket, runtime).map_err(at)?;
        endpoint.set_default_client_config(tls.client);

        let local = signer.public_key();
        if config.not_after < now_ms() {
            tracing::warn!(not_after = config.not_after, "this node's statement of its key has expired");
        }
        let shared = Arc::new(Shared {
            links: Mutex::default(),
            paused: Mutex::default(),
            router: Mutex::new(Router::new(local, Arc::new(config.network.clone()))),
            local,
            // The TLS key is drawn anew by every process, so this differs between them.
            process: tls.certificate.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first)),
            certificate: tls.certificate,
            config,
            signer,
            endpoint,
            runtime: handle,
            slots: Arc::default(),
            refusals: RefusalCounters::default(),
            changed: watch::Sender::new(()),
        });
        let accepting = shared.runtime.spawn(accept::accept(shared.clone()));
        let transport = Self { shared, accepting, dialing: Mutex::default() };
        transport.set_peers(peers);
        Ok(transport)
    }

    /// Replaces whom to connect to. Connections that are there stay.
    pub fn set_peers(&self, peers: Vec<Peer>) {
        let mut dialing = lock(&self.dialing);
        let mut before = std::mem::take(&mut *dialing);
        for peer in peers.into_iter().filter(|peer| peer.member != self.shared.local) {
            let running = match before.remove(&peer.member) {
                Some((same, running)) if same == peer => running,
                other => {
                    // A task that serves a connection ends with it, so the new one takes over.
                    if let Some((_, running)) = other {
                        running.abort();
                    }
                    self.shared.runtime.spawn(dial::keep_connected(self.shared.clone(), peer.clone()))
                }
            };
            dialing.insert(peer.member, (peer, running));
        }
        before.into_values().for_each(|(_, running)| running.abort());
    }

    /// The address that it listens at, with the port that was given for port 0.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.shared.endpoint.local_addr()
    }

    /// How many connections came to nothing, by cause.
    pub fn refusals(&self) -> Refusals {
        self.shared.refusals.report()
    }

    /// Keeps no connection with a peer until [`QuicTransport::resume`].
    pub fn pause(&self, peer: &PublicKey) {
        lock(&self.shared.paused).insert(*peer);
        if let Some(link) = lock(&self.shared.links).connected.get(peer) {
            Close::Refused.close(&link.connection);
        }
        self.shared.changed.send_replace(());
    }

    /// Takes up connections with a peer again.
    pub fn resume(&self, peer: &PublicKey) {
        lock(&self.shared.paused).remove(peer);
        self.shared.changed.send_replace(());
    }

    /// Stops: takes nothing more to send, waits up to 1 s until what is queued has arrived, closes all connections, and
    /// gives the port free.
    pub async fn close(&self) {
        let links: Vec<_> = lock(&self.shared.links).connected.values().cloned().collect();
        for (_, dialing) in std::mem::take(&mut *lock(&self.dialing)).into_values() {
            // Its connection goes on in the task that serves it.
            dialing.abort();
        }
        let drained = async {
            for link in &links {
                link.drain().await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, drained).await;
        self.shared.shut_down();
        self.shared.endpoint.wait_idle().await;
        self.accepting.abort();
    }
}

impl Transport for QuicTransport {
    fn local(&self) -> PublicKey {
        self.shared.local
    }

    fn join(&self, chain: ChainId, admission: Admission) -> Result<Inbox, JoinError> {
        let mailbox = self.shared.announce(|router| router.join(chain, admission))?;
        let shared = Arc::downgrade(&self.shared);
        Ok(Inbox::new(chain, mailbox.clone(), move || match shared.upgrade() {
            Some(shared) => {
                let left = shared.announce(|router| Ok(((), router.leave(&chain, &mailbox))));
                debug_assert!(left.is_ok());
            }
            None => mailbox.close(true),
        }))
    }

    fn admit(&self, chain: &ChainId, admission: Admission) -> Result<(), JoinError> {
        self.shared.announce(|router| Ok(((), router.admit(chain, admission)?)))
    }

    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError> {
        lock(&self.shared.router).may_send(chain, to, lane, bytes.len())?;
        let not_connected = SendError::NotConnected { chain: *chain, to: *to };
        let link = lock(&self.shared.links).connected.get(to).cloned().ok_or(not_connected)?;
        match link.outboxes.get(lane).push((*chain, bytes)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_connected),
            Err(limit) => Err(SendError::QueueFull { lane, limit }),
        }
    }

    fn peers(&self) -> Vec<PeerReport> {
        let links = lock(&self.shared.links);
        let router = lock(&self.shared.router);
        let round_trip = |peer: &PublicKey| links.connected.get(peer).map(|link| link.connection.rtt());
        router.records().map(|(peer, record)| record.report(*peer, round_trip(peer))).collect()
    }
}

impl Shared {
    /// Changes chains, tells connected peers what follows from it, and closes connections that no chain has a use for.
    fn announce<T>(
        &self,
        change: impl FnOnce(&mut Router) -> Result<(T, Announcements), JoinError>,
    ) -> Result<T, JoinError> {
        let links = lock(&self.links);
        let mut router = lock(&self.router);
        let (result, told) = change(&mut router)?;
        for (peer, control) in told {
            if let Some(link) = links.connected.get(&peer) {
                link.announcing.push([control]);
            }
        }
        for (_, link) in links.connected.iter().filter(|(peer, _)| !router.admits(peer)) {
            Close::Refused.close(&link.connection);
        }
        drop((router, links));
        self.changed.send_replace(());
        Ok(result)
    }

    /// Waits until `condition` holds.
    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        while !condition(self) {
            // The sender is in `self`, so this ends only with a change.
            let _ = changed.changed().await;
        }
    }

    fn is_linked(&self, peer: &PublicKey) -> bool {
        lock(&self.links).connected.contains_key(peer)
    }

    /// Serves a connection until it ends.
    async fn serve(self: Arc<Self>, greeted: Greeted) {
        let Greeted { link, mut control, unanswered } = greeted;
        // In a task of its own: nobody who gives up waiting for it ends the connection.
        let serving = self.runtime.clone().spawn(async move {
            let answered = if unanswered { self.answer(&link, &mut control.0).await } else { Ok(()) };
            let reason = match answered {
                Ok(()) => link.clone().run(self.clone(), control).await,
                Err(error) => {
                    Close::Refused.close(&link.connection);
                    error.to_string()
                }
            };
            self.give_up(&link, reason);
        });
        let _ = serving.await;
    }

    /// A connection has ended.
    fn give_up(&self, link: &Arc<Link>, reason: String) {
        tracing::info!(peer = %link.peer, reason, "disconnected");
        let mut links = lock(&self.links);
        if links.connected.get(&link.peer).is_some_and(|present| Arc::ptr_eq(present, link)) {
            links.connected.remove(&link.peer);
            lock(&self.router).down(&link.peer, Some(reason));
        }
        drop(links);
        self.changed.send_replace(());
    }

    /// Does something for a connection, unless another has taken its place.
    fn if_current<T>(&self, link: &Link, action: impl FnOnce(&mut Router) -> T) -> Option<T> {
        let links = lock(&self.links);
        let current = links.connected.get(&link.peer).is_some_and(|present| std::ptr::eq(Arc::as_ptr(present), link));
        current.then(|| action(&mut lock(&self.router)))
    }

    fn shut_down(&self) {
        lock(&self.router).close();
        for link in lock(&self.links).connected.values() {
            Close::Closing.close(&link.connection);
        }
        self.endpoint.close(0_u32.into(), b"closing");
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.shared.shut_down();
        self.accepting.abort();
        lock(&self.dialing).values().for_each(|(_, dialing)| dialing.abort());
    }
}

impl fmt::Debug for QuicTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let linked = lock(&self.shared.links).connected.len();
        f.debug_struct("QuicTransport").field("local", &self.shared.local).field("connections", &linked).finish()
    }
}
