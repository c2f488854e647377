//! From a connection to an authenticated one: the hellos.

use super::Shared;
use super::hello::{Attempt, Binding, EXPORTER, Hello, HelloError, Role};
use super::link::{Close, Link};
use super::tls;
use crate::in_process::now_ms;
use crate::report::lock;
use ledger_core::codec::{self, Format};
use ledger_crypto::PublicKey;
use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::timeout;

/// A connection that came to nothing, by cause, since the transport was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Too many connections, in all or in their handshake.
    pub full: u64,
    /// Too many connections from one address.
    pub address_full: u64,
    /// The TLS handshake failed: other protocol, no certificate, garbage.
    pub handshake: u64,
    /// It took too long.
    pub timeout: u64,
    /// The hello was none, or not signed for the connection.
    pub hello: u64,
    /// The member isn't admitted to any chain here.
    pub not_admitted: u64,
    /// There was a better connection with the same member.
    pub duplicate: u64,
}

#[derive(Default)]
pub(super) struct RefusalCounters {
    pub(super) full: AtomicU64,
    pub(super) address_full: AtomicU64,
    pub(super) handshake: AtomicU64,
    pub(super) timeout: AtomicU64,
    pub(super) hello: AtomicU64,
    pub(super) not_admitted: AtomicU64,
    pub(super) duplicate: AtomicU64,
}

impl RefusalCounters {
    pub(super) fn report(&self) -> Refusals {
        Refusals {
            full: self.full.load(Relaxed),
            address_full: self.address_full.load(Relaxed),
            handshake: self.handshake.load(Relaxed),
            timeout: self.timeout.load(Relaxed),
            hello: self.hello.load(Relaxed),
            not_admitted: self.not_admitted.load(Relaxed),
            duplicate: self.duplicate.load(Relaxed),
        }
    }

    pub(super) fn count(&self, error: &HandshakeError) {
        let counter = match error {
            HandshakeError::Connection(_) | HandshakeError::Connect(_) => &self.handshake,
            HandshakeError::Timeout => &self.timeout,
            HandshakeError::NotAdmitted(_) => &self.not_admitted,
            HandshakeError::Duplicate => &self.duplicate,
            _ => &self.hello,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error(transparent)]
    Connect(#[from] quinn::ConnectError),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    #[error("no hello in time")]
    Timeout,
    #[error("a hello of {0} bytes; the longest has {limit}", limit = Hello::LIMIT)]
    TooLong(usize),
    #[error("the hello ends early: {0}")]
    Read(#[from] quinn::ReadExactError),
    #[error("no hello can be sent: {0}")]
    Write(#[from] quinn::WriteError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("no certificate or no keying material")]
    Tls,
    #[error(transparent)]
    Signer(#[from] ledger_crypto::SignerError),
    #[error("{0} is not admitted to any chain")]
    NotAdmitted(PublicKey),
    #[error("{found} answers where {expected} was expected")]
    WrongMember { found: PublicKey, expected: PublicKey },
    #[error("another connection with the peer is kept")]
    Duplicate,
    #[error("the address can't be looked up: {0}")]
    Lookup(#[from] std::io::Error),
    #[error("the name has no address")]
    NoAddress,
}

/// A connection in use, and the stream on which the hellos were said.
pub(super) struct Greeted {
    pub(super) link: Arc<Link>,
    pub(super) control: (SendStream, RecvStream),
    /// The peer's hello is still to be answered.
    pub(super) unanswered: bool,
}

/// This node has said hello to a peer and waits for the answer; taken back when it is dropped.
struct Greeting<'a> {
    shared: &'a Shared,
    peer: PublicKey,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        lock(&self.shared.links).greeting.remove(&self.peer);
    }
}

// Both ends of a pair may dial at once, and have to keep the same connection. A dialer says hello only while it has no
// connection with the peer, and an acceptor takes a connection into use before it answers the hello. So two connections can
// come to be only when both have said hello before either was answered. Then the acceptor with the smaller key turns the
// other away, since its own hello is about to be answered; and should the other's hello come only after that answer, then
// the answer has said which attempts it makes pointless.
impl Shared {
    /// Says hello on a connection that this node made to `expected`.
    pub(super) async fn greet(&self, connection: Connection, expected: PublicKey) -> Result<Greeted, HandshakeError> {
        let (mut send, mut receive) = connection.open_bi().await?;
        let (_greeting, number) = {
            let mut links = lock(&self.links);
            if links.connected.contains_key(&expected) || !links.greeting.insert(expected) {
                return Err(HandshakeError::Duplicate);
            }
            links.attempts += 1;
            (Greeting { shared: self, peer: expected }, links.attempts)
        };
        self.say_hello(&connection, &mut send, Role::Dialer, number).await?;
        let hello = read_hello(&mut receive).await.map_err(|error| match connection.close_reason() {
            Some(reason) => HandshakeError::Connection(reason),
            None => error,
        })?;
        if hello.member != expected {
            return Err(HandshakeError::WrongMember { found: hello.member, expected });
        }
        hello.verify(&binding_of_peer(&connection, Role::Acceptor)?)?;
        let link = self.take_into_use(connection, &hello, true)?;
        Ok(Greeted { link, control: (send, receive), unanswered: false })
    }

    /// Hears the hello on a connection that was made to this node. Strangers learn nothing, not even who
    /// this is.
    pub(super) async fn be_greeted(&self, connection: Connection) -> Result<Greeted, HandshakeError> {
        let (send, mut receive) = connection.accept_bi().await?;
        let hello = read_hello(&mut receive).await?;
        // The cheap check comes before the signature.
        if !self.wants(&hello.member) {
            return Err(HandshakeError::NotAdmitted(hello.member));
        }
        hello.verify(&binding_of_peer(&connection, Role::Dialer)?)?;
        let link = self.take_into_use(connection, &hello, false)?;
        Ok(Greeted { link, control: (send, receive), unanswered: true })
    }

    /// Answers the hello of a connection that is in use.
    pub(super) async fn answer(&self, link: &Link, send: &mut SendStream) -> Result<(), HandshakeError> {
        let latest = lock(&self.links).attempts;
        let answer = self.say_hello(&link.connection, send, Role::Acceptor, latest);
        timeout(self.config.handshake_timeout, answer).await.unwrap_or(Err(HandshakeError::Timeout))
    }

    /// Makes this the peer's connection.
    fn take_into_use(&self, connection: Connection, hello: &Hello, dialed: bool) -> Result<Arc<Link>, HandshakeError> {
        let peer = hello.member;
        let mut links = lock(&self.links);
        let duplicate = if dialed {
            links.connected.contains_key(&peer)
        } else {
            let answered = |present: &Arc<Link>| {
                present.attempt.process == hello.attempt.process && present.attempt.number >= hello.attempt.number
            };
            // Any other connection that is in use is dead at the other end, or it wouldn't have said hello.
            (self.local < peer && links.greeting.contains(&peer)) || links.connected.get(&peer).is_some_and(answered)
        };
        if duplicate {
            return Err(HandshakeError::Duplicate);
        }
        let paused = lock(&self.paused).contains(&peer);
        let mut router = lock(&self.router);
        // The admission may have changed since the hello was heard.
        if paused || router.is_closed() || !router.admits(&peer) {
            return Err(HandshakeError::NotAdmitted(peer));
        }
        let now = now_ms();
        let (record, told) = router.up(peer, now);
        let expired = hello.not_after < now;
        record.statement_expired.store(expired, Relaxed);
        if expired {
            tracing::warn!(%peer, not_after = hello.not_after, "the peer's statement of its key has expired");
        }
        tls::open_windows(&connection, &self.config);
        let link = Arc::new(Link::new(self, connection, peer, hello.attempt, record));
        link.announcing.push(told);
        if let Some(old) = links.connected.insert(peer, link.clone()) {
            Close::Duplicate.close(&old.connection);
        }
        drop((router, links));
        tracing::info!(%peer, address = %link.connection.remote_address(), dialed, "connected");
        self.changed.send_replace(());
        Ok(link)
    }

    async fn say_hello(
        &self,
        connection: &Connection,
        send: &mut SendStream,
        role: Role,
        number: u64,
    ) -> Result<(), HandshakeError> {
        let binding = Binding { exporter: exporter(connection)?, certificate: self.certificate, role };
        let attempt = Attempt { process: self.process, number };
        let hello = Hello::sign(&*self.signer, attempt, self.config.not_after, &binding)?;
        let hello = codec::encode(&hello);
        let mut bytes = u16::try_from(hello.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        bytes.extend(hello);
        Ok(send.write_all(&bytes).await?)
    }

    /// Whether a connection with this member is of use.
    pub(super) fn wants(&self, member: &PublicKey) -> bool {
        !lock(&self.paused).contains(member) && lock(&self.router).admits(member)
    }
}

/// Closes a connection that came to nothing. The other end isn't told why, but for a duplicate, which only a member hears.
pub(super) fn turn_away(connection: &Connection, error: &HandshakeError) {
    match error {
        HandshakeError::Duplicate => Close::Duplicate,
        _ => Close::Refused,
    }
    .close(connection);
}

async fn read_hello(receive: &mut RecvStream) -> Result<Hello, HandshakeError> {
    let mut length = [0; 2];
    receive.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > Hello::LIMIT {
        return Err(HandshakeError::TooLong(length));
    }
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await?;
    Ok(Hello::decode(&bytes)?)
}

fn exporter(connection: &Connection) -> Result<[u8; 32], HandshakeError> {
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, EXPORTER, b"").map_err(|_| HandshakeError::Tls)?;
    Ok(exporter)
}

fn binding_of_peer(connection: &Connection, role: Role) -> Result<Binding, HandshakeError> {
    let identity = connection.peer_identity().ok_or(HandshakeError::Tls)?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| HandshakeError::Tls)?;
    let certificate = tls::certificate_digest(chain.first().ok_or(HandshakeError::Tls)?);
    Ok(Binding { exporter: exporter(connection)?, certificate, role })
}
