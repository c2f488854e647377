//! TLS: mutual, 1.3 only, any certificate. Certificates name nobody here; [hellos](super::hello) do.

use super::config::{LANES, QuicConfig};
use ledger_crypto::{Digest, Domain, hash};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, PeerMisbehaved, SignatureScheme};
use std::sync::Arc;

/// The application protocol, as TLS names it.
pub const ALPN: &[u8] = b"ledgerkit/0";
/// The name that certificates carry and that is asked for. It says nothing.
pub(super) const SERVER_NAME: &str = "ledgerkit";
/// Digest of a certificate (DER), as hellos sign it.
const CERTIFICATE: Domain = Domain::new("ledgerkit.0.certificate");
/// What all streams together may hold of a peer that hasn't said hello yet.
const WINDOW_BEFORE_HELLO: u32 = 4 << 10;
/// Handshakes that wait to be looked at, and what of their packets is kept, in bytes.
const INCOMING: (usize, u64, u64) = (256, 16 << 10, 2 << 20);

pub(super) fn certificate_digest(certificate: &CertificateDer<'_>) -> Digest {
    hash(CERTIFICATE, certificate)
}

/// A fresh TLS key, and both ends' configurations with it.
pub(super) struct Tls {
    pub(super) certificate: Digest,
    pub(super) server: ServerConfig,
    pub(super) client: ClientConfig,
}

/// TLS could not be set up: no randomness, or the library refuses its own key.
#[derive(Debug, thiserror::Error)]
#[error("TLS can't be set up: {0}")]
pub struct TlsError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Tls {
    pub(super) fn new(config: &QuicConfig) -> Result<Self, TlsError> {
        Self::try_new(config).map_err(TlsError)
    }

    fn try_new(config: &QuicConfig) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let certificate = rcgen::CertificateParams::new([SERVER_NAME.to_owned()])?.self_signed(&key)?;
        let certificate = certificate.der().clone();
        let key = || PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(ring::default_provider());
        let any = Arc::new(AnyCertificate(provider.clone()));

        let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(any.clone())
            .with_single_cert(vec![certificate.clone()], key().into())?;
        // A resumed session would prove no key.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![ALPN.to_vec()];

        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_client_auth_cert(vec![certificate.clone()], key().into())?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![ALPN.to_vec()];

        let transport = Arc::new(transport(config)?);
        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?));
        let (waiting, bytes, bytes_total) = INCOMING;
        server
            .transport_config(transport.clone())
            .migration(false)
            .max_incoming(waiting)
            .incoming_buffer_size(bytes)
            .incoming_buffer_size_total(bytes_total);
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?));
        client.transport_config(transport);
        Ok(Self { certificate: certificate_digest(&certificate), server, client })
    }
}

fn transport(config: &QuicConfig) -> Result<TransportConfig, quinn::VarIntBoundsExceeded> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        // The lanes are opened when the hellos are through.
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(config.stream_window))
        .receive_window(VarInt::from_u32(WINDOW_BEFORE_HELLO))
        .send_window(config.window())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::try_from(config.idle_timeout)?))
        .keep_alive_interval(Some(config.keep_alive));
    Ok(transport)
}

/// Lets a peer that has said hello use its lanes.
pub(super) fn open_windows(connection: &quinn::Connection, config: &QuicConfig) {
    connection.set_receive_window(VarInt::from_u64(config.window()).unwrap_or(VarInt::MAX));
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(LANES));
}

/// Accepts every certificate whose key signs the handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.0.signature_verification_algorithms
    }
}

/// What only TLS 1.2 would ask, which is switched off.
fn no_tls12() -> rustls::Error {
    PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}
