//! A peer that speaks QUIC by hand, and so can say what an honest one never says.
#![allow(dead_code, unreachable_pub)]

use ledger_core::codec::encode;
use ledger_core::{ChainId, Lane};
use ledger_crypto::{Digest, MemorySigner, PublicKey, Signer};
use ledger_network::quic::hello::{Attempt, Binding, EXPORTER, Hello, Role};
use ledger_network::{Admission, Delivery, Inbox, NetworkConfig, Peer, QuicConfig, QuicTransport, Transport};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub const CHAIN: ChainId = ChainId(Digest::new([9; 32]));

pub fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed([number; 32])
}

pub fn key(number: u8) -> PublicKey {
    signer(number).public_key()
}

/// Short times, and bounds for blocks of 64 KiB.
pub fn config() -> QuicConfig {
    QuicConfig {
        handshake_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(800),
        keep_alive: Duration::from_millis(200),
        back_off: Duration::from_millis(20),
        back_off_limit: Duration::from_millis(200),
        stream_window: 256 << 10,
        frame_timeout: Duration::from_millis(500),
        ..QuicConfig::new(NetworkConfig::for_blocks(64 << 10))
    }
}

pub fn start(number: u8, config: QuicConfig) -> QuicTransport {
    QuicTransport::start(config, Arc::new(signer(number)), "127.0.0.1:0".parse().unwrap(), Vec::new()).unwrap()
}

/// Member 1 in the chain of members 1 to 3.
pub fn victim(config: QuicConfig) -> (QuicTransport, Inbox) {
    let transport = start(1, config);
    let inbox = transport.join(CHAIN, Admission::members([key(1), key(2), key(3)])).unwrap();
    (transport, inbox)
}

/// An honest member 3, connected with the victim.
pub async fn honest(victim: &QuicTransport, victims: &mut Inbox) -> (QuicTransport, Inbox) {
    let transport = start(3, config());
    let mut inbox = transport.join(CHAIN, Admission::members([key(1), key(3)])).unwrap();
    let addresses = vec![victim.local_address().unwrap().to_string()];
    transport.set_peers(vec![Peer { member: key(1), addresses }]);
    assert_eq!(inbox.recv().await, Some(Delivery::Connected(key(1))));
    assert_eq!(victims.recv().await, Some(Delivery::Connected(key(3))));
    (transport, inbox)
}

/// Shows that an honest member is served as ever.
pub async fn serves_others(victim: &QuicTransport, victims: &mut Inbox) {
    let (other, _inbox) = honest(victim, victims).await;
    other.send(&CHAIN, &key(1), Lane::Votes, (*b"vote").into()).unwrap();
    loop {
        match victims.recv().await.unwrap() {
            Delivery::Message { from, bytes, .. } if from == key(3) => return assert_eq!(&*bytes, b"vote"),
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection by hand, before any hello.
pub struct Raw {
    pub endpoint: quinn::Endpoint,
    pub connection: quinn::Connection,
    pub certificate: CertificateDer<'static>,
}

pub async fn connect(to: SocketAddr, alpn: &[u8], with_certificate: bool) -> Result<Raw, quinn::ConnectionError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["x".to_owned()]).unwrap().self_signed(&key).unwrap().der().clone();
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)));
    let mut tls = if with_certificate {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        builder.with_client_auth_cert(vec![certificate.clone()], key.into()).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap())));
    let connection = endpoint.connect(to, "ledgerkit").unwrap().await?;
    Ok(Raw { endpoint, connection, certificate })
}

impl Raw {
    pub async fn to(victim: &QuicTransport) -> Self {
        connect(victim.local_address().unwrap(), b"ledgerkit/0", true).await.unwrap()
    }

    pub fn binding(&self) -> Binding {
        let mut exporter = [0; 32];
        self.connection.export_keying_material(&mut exporter, EXPORTER, b"").unwrap();
        let certificate = ledger_crypto::hash(ledger_crypto::Domain::new("ledgerkit.0.certificate"), &self.certificate);
        Binding { exporter, certificate, role: Role::Dialer }
    }

    pub fn hello(&self, member: u8) -> Vec<u8> {
        let attempt = Attempt { process: 1, number: 1 };
        encode(&Hello::sign(&signer(member), attempt, u64::MAX, &self.binding()).unwrap())
    }

    /// Sends bytes where a hello belongs, and waits for what the victim makes of it.
    pub async fn say(&self, hello: &[u8]) -> Result<(quinn::SendStream, quinn::RecvStream), quinn::ReadExactError> {
        let (mut send, mut receive) = self.connection.open_bi().await.unwrap();
        send.write_all(&u16::try_from(hello.len()).unwrap().to_be_bytes()).await.unwrap();
        let _ = send.write_all(hello).await;
        let mut length = [0; 2];
        receive.read_exact(&mut length).await?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        receive.read_exact(&mut answer).await?;
        Ok((send, receive))
    }

    /// A connection on which member 2 has properly said hello.
    pub async fn greeted(victim: &QuicTransport) -> (Self, (quinn::SendStream, quinn::RecvStream)) {
        let raw = Self::to(victim).await;
        let control = raw.say(&raw.hello(2)).await.unwrap();
        (raw, control)
    }

    pub async fn lane(&self, tag: u8) -> quinn::SendStream {
        let mut stream = self.connection.open_uni().await.unwrap();
        stream.write_all(&[tag]).await.unwrap();
        stream
    }

    /// With which code the victim closes the connection.
    pub async fn closed(&self) -> Option<u64> {
        match self.connection.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
            _ => None,
        }
    }
}

pub fn header(length: u32, chain: &ChainId) -> Vec<u8> {
    [&length.to_be_bytes()[..], chain.0.as_bytes()].concat()
}

pub const REFUSED: Option<u64> = Some(1);
pub const PROTOCOL: Option<u64> = Some(3);
