//! Secret keys and what signs with them.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ed25519_dalek::ed25519::signature::MultipartSigner;
use zeroize::Zeroize;

use crate::ed25519::preimage;
use crate::{Domain, PublicKey, Signature};

/// An Ed25519 secret key: a 32-byte seed and what follows from it.
///
/// The memory is overwritten when it is dropped. There is no way to copy one, to print one, or to sign bytes without a
/// domain; and none to sign with a public key other than its own, which would give the secret away.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed: 32 uniformly random bytes that nobody else knows.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        seed.zeroize();
        Self(key)
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// If the operating system has none to give.
    #[cfg(feature = "files")]
    pub fn generate() -> Result<Self, SignerError> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| SignerError::Unavailable(Box::new(error)))?;
        Ok(Self::from_seed(*seed))
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature::new(self.0.multipart_sign(&preimage(&domain, message)).to_bytes())
    }

    #[cfg(feature = "files")]
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public_key())
    }
}

/// Why a signer gave no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// What holds the key can't be reached or failed.
    #[error("signer is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What holds the key decided not to sign.
    #[error("signer refused: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Something that signs with one key, which may be in memory, in a file or in a device.
pub trait Signer: Send + Sync {
    /// The key that its signatures verify under.
    fn public_key(&self) -> PublicKey;

    /// Signs `message` for the purpose that `domain` names.
    ///
    /// # Errors
    /// [`SignerError`] if there is no signature; keys in memory always give one.
    fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SignerError>;
}

/// One key for several users.
impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn public_key(&self) -> PublicKey {
        (**self).public_key()
    }

    fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SignerError> {
        (**self).sign(domain, message)
    }
}

/// Signs with a key in memory.
#[derive(Debug)]
pub struct MemorySigner(SecretKey);

impl MemorySigner {
    /// Signs with `key`.
    pub fn new(key: SecretKey) -> Self {
        Self(key)
    }

    /// Signs with the key of `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SecretKey::from_seed(seed))
    }

    #[cfg(feature = "files")]
    pub(crate) fn into_secret_key(self) -> SecretKey {
        self.0
    }
}

impl From<SecretKey> for MemorySigner {
    fn from(key: SecretKey) -> Self {
        Self(key)
    }
}

impl Signer for MemorySigner {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(self.0.sign(domain, message))
    }
}
