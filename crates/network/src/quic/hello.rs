//! The hello: binds a member key to one TLS connection.
//!
//! Each end signs, with its member key, what no other connection has: keying material exported from this connection, and
//! the digest of the certificate that it showed in it. So a hello heard elsewhere, or passed on by somebody in between,
//! verifies nowhere.

use ledger_core::codec::{self, CodecError, Decode, Encode, Format};
use ledger_crypto::{Check, Digest, Domain, PublicKey, Signature, Signer, SignerError, verify};

/// The version of the protocol on a connection.
pub const VERSION: u16 = 0;
/// Signature of a member key over a connection.
pub const SIGN_NETWORK: Domain = Domain::new("ledgerkit.0.sign.network");
/// The label under which keying material is exported from TLS, with an empty context, 32 bytes.
pub const EXPORTER: &[u8] = b"EXPORTER-ledgerkit.0.hello";

/// Which end of a connection says hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that made the connection; it speaks first.
    Dialer,
    /// The end that accepted it.
    Acceptor,
}

/// What a hello's signature is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Keying material exported from the connection.
    pub exporter: [u8; 32],
    /// Digest of the certificate that the speaker showed.
    pub certificate: Digest,
    /// Which end speaks.
    pub role: Role,
}

/// Numbers a process's attempts to connect. A dialer's hello has its own attempt's number. An acceptor's hello has the number
/// of its process's latest one, so that the dialer can turn away attempts that the connection has made pointless, however
/// late they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct Attempt {
    /// A number that the process drew when it started.
    pub process: u64,
    /// Counts from 1; 0 when it has made no attempt yet.
    pub number: u64,
}

/// The first message of either end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct Hello {
    /// The protocol's version: [`VERSION`].
    pub version: u16,
    /// Whose hello it is.
    pub member: PublicKey,
    /// Which connection of the member's it is.
    pub attempt: Attempt,
    /// Until when the member lets its statement hold, in ms since 1970. One that has passed is warned of, never refused.
    pub not_after: u64,
    /// The member's signature.
    pub signature: Signature,
}

impl Format for Hello {
    const NAME: &'static str = "hello";
    const LIMIT: usize = 144;
}

/// Why a hello isn't accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The bytes are no hello.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Another version of the protocol.
    #[error("hello of version {0}; this is version {VERSION}")]
    Version(u16),
    /// The signature doesn't bind the member to this connection.
    #[error("hello of {0} isn't signed for this connection")]
    Signature(PublicKey),
}

impl Hello {
    /// Says hello for the member whose key `signer` holds.
    ///
    /// # Errors
    /// [`SignerError`] when there is no signature.
    pub fn sign(signer: &dyn Signer, attempt: Attempt, not_after: u64, binding: &Binding) -> Result<Self, SignerError> {
        let member = signer.public_key();
        let message = preimage(VERSION, attempt, not_after, binding);
        Ok(Self { version: VERSION, member, attempt, not_after, signature: signer.sign(SIGN_NETWORK, &message)? })
    }

    /// Reads a hello. What it says isn't proven yet; see [`Hello::verify`].
    ///
    /// # Errors
    /// [`HelloError`] for bytes that are none of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let hello: Hello = codec::decode(bytes)?;
        if hello.version == VERSION { Ok(hello) } else { Err(HelloError::Version(hello.version)) }
    }

    /// Whether the holder of the member key has signed it for the connection that `binding` is of.
    ///
    /// # Errors
    /// [`HelloError::Signature`] if not.
    pub fn verify(&self, binding: &Binding) -> Result<(), HelloError> {
        let message = preimage(self.version, self.attempt, self.not_after, binding);
        let check = Check { key: &self.member, domain: SIGN_NETWORK, message: &message, signature: &self.signature };
        verify(&check).map_err(|_| HelloError::Signature(self.member))
    }
}

/// What is signed: every field has a fixed length, so no two statements share one.
fn preimage(version: u16, attempt: Attempt, not_after: u64, binding: &Binding) -> Vec<u8> {
    let mut message = Vec::with_capacity(91);
    message.extend(version.to_be_bytes());
    message.push(match binding.role {
        Role::Dialer => 0,
        Role::Acceptor => 1,
    });
    message.extend(attempt.process.to_be_bytes());
    message.extend(attempt.number.to_be_bytes());
    message.extend(not_after.to_be_bytes());
    message.extend(binding.certificate.as_bytes());
    message.extend(binding.exporter);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::MemorySigner;

    const ATTEMPT: Attempt = Attempt { process: 1, number: 2 };

    fn binding() -> Binding {
        Binding { exporter: [1; 32], certificate: Digest::new([2; 32]), role: Role::Dialer }
    }

    #[test]
    fn a_hello_holds_for_its_connection_certificate_role_and_fields_only() {
        let signer = MemorySigner::from_seed([7; 32]);
        let hello = Hello::sign(&signer, ATTEMPT, 4, &binding()).unwrap();
        assert_eq!(Hello::decode(&codec::encode(&hello)).unwrap(), hello);
        hello.verify(&binding()).unwrap();
        for other in [
            Binding { exporter: [9; 32], ..binding() },
            Binding { certificate: Digest::ZERO, ..binding() },
            Binding { role: Role::Acceptor, ..binding() },
        ] {
            assert!(matches!(hello.verify(&other), Err(HelloError::Signature(_))));
        }
        let member = MemorySigner::from_seed([8; 32]).public_key();
        for other in [Hello { member, ..hello.clone() }, Hello { not_after: 9, ..hello.clone() }] {
            assert!(matches!(other.verify(&binding()), Err(HelloError::Signature(_))));
        }
    }

    #[test]
    fn the_longest_hello_fits_its_limit_and_another_version_is_named() {
        let signer = MemorySigner::from_seed([7; 32]);
        let hello =
            Hello::sign(&signer, Attempt { process: u64::MAX, number: u64::MAX }, u64::MAX, &binding()).unwrap();
        assert!(codec::encode(&Hello { version: u16::MAX, ..hello.clone() }).len() <= Hello::LIMIT);
        let other = Hello { version: 1, ..hello };
        assert_eq!(
            Hello::decode(&codec::encode(&other)).unwrap_err().to_string(),
            "hello of version 1; this is version 0"
        );
        assert!(Hello::decode(&[0; 300]).is_err());
    }
}
