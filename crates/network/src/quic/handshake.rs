//! From a connection to an authenticated one: the hellos.

use super::Shared;
use super::hello::{Binding, EXPORTER, Hello, HelloError, Role};
use super::link::Close;
use super::tls;
use crate::report::lock;
use ledger_core::codec::{self, Format};
use ledger_crypto::PublicKey;
use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

/// A connection whose other end has proven its key, and the stream on which it did.
pub(super) struct Greeted {
    pub(super) connection: Connection,
    pub(super) hello: Hello,
    pub(super) control: (SendStream, RecvStream),
}

impl Shared {
    /// Says hello on a connection that this node made to `expected`.
    pub(super) async fn greet(&self, connection: Connection, expected: PublicKey) -> Result<Greeted, HandshakeError> {
        let (mut send, mut receive) = connection.open_bi().await?;
        self.say_hello(&connection, &mut send, Role::Dialer).await?;
        let hello = read_hello(&mut receive).await.map_err(|error| match connection.close_reason() {
            Some(reason) => HandshakeError::Connection(reason),
            None => error,
        })?;
        if hello.member != expected {
            return Err(HandshakeError::WrongMember { found: hello.member, expected });
        }
        hello.verify(&binding_of_peer(&connection, Role::Acceptor)?)?;
        Ok(Greeted { connection, hello, control: (send, receive) })
    }

    /// Hears the hello on a connection that was made to this node, and answers it. Strangers learn nothing, not even who
    /// this is.
    pub(super) async fn be_greeted(&self, connection: Connection) -> Result<Greeted, HandshakeError> {
        let (mut send, mut receive) = connection.accept_bi().await?;
        let hello = read_hello(&mut receive).await?;
        // The cheap check comes before the signature.
        if !self.wants(&hello.member) {
            return Err(HandshakeError::NotAdmitted(hello.member));
        }
        hello.verify(&binding_of_peer(&connection, Role::Dialer)?)?;
        if !self.prefers(&hello.member, hello.instance, false) {
            return Err(HandshakeError::Duplicate);
        }
        self.say_hello(&connection, &mut send, Role::Acceptor).await?;
        Ok(Greeted { connection, hello, control: (send, receive) })
    }

    async fn say_hello(
        &self,
        connection: &Connection,
        send: &mut SendStream,
        role: Role,
    ) -> Result<(), HandshakeError> {
        let binding = Binding { exporter: exporter(connection)?, certificate: self.certificate, role };
        let hello = Hello::sign(&*self.signer, self.instance, self.config.not_after, &binding)?;
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
