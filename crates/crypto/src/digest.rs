//! Domain-separated hashing: [`Digest`], [`Domain`], [`hash`] and [`Hasher`].

use std::fmt;

/// A 32-byte hash value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// 32 zero bytes: a stand-in where no digest exists, such as the parent of a first block.
    pub const ZERO: Digest = Digest([0; 32]);
}

crate::bytes::byte_value!(Digest, 32, "a digest");

/// What a hash or a signature is for.
///
/// Two uses with different domains never share a hash or a signature, whatever their messages are.
///
/// A domain is a name of 1 to 32 printable ASCII characters. Padded with zero bytes to 32, the name *is* the key of
/// BLAKE3's keyed mode, so separating domains costs no hashing at all. The map from (domain, message) to hash input
/// is injective: a name holds no zero byte, so padding maps different names to different keys; the key fills the
/// chaining value of every compression and the message stays as it is, so neither can run into the other. A
/// collision between two pairs is therefore a collision of BLAKE3's compression function.
///
/// Make domains constants, so that a bad name is a compile error:
///
/// ```
/// use ledger_crypto::{Domain, hash};
/// const ORDER: Domain = Domain::new("my-app order v1");
/// const INVOICE: Domain = Domain::new("my-app invoice v1");
/// assert_ne!(hash(ORDER, b"42"), hash(INVOICE, b"42"));
/// ```
///
/// ```compile_fail
/// # use ledger_crypto::Domain;
/// const TOO_LONG: Domain = Domain::new("a name of more than thirty-two characters");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Domain {
    name: &'static str,
    padded: [u8; 32],
}

impl Domain {
    /// The domain called `name`: 1 to 32 characters, each from space to `~` (printable ASCII).
    ///
    /// # Panics
    /// On any other name. In a `const` or `static`, where domains belong, that is a compile error.
    #[expect(clippy::indexing_slicing, reason = "the index is below the length, which is at most 32")]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32, "a domain's name has 1 to 32 characters");
        let mut padded = [0; 32];
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] >= b' ' && bytes[at] <= b'~', "a domain's name is printable ASCII");
            padded[at] = bytes[at];
            at += 1;
        }
        Self { name, padded }
    }

    /// The name that the domain was made from.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The name padded with zero bytes: key of the hash, second part of what a signature covers.
    pub(crate) const fn padded(&self) -> &[u8; 32] {
        &self.padded
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({:?})", self.name)
    }
}

/// Hashes `message` in `domain`: BLAKE3's keyed mode with the padded domain as its key.
pub fn hash(domain: Domain, message: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(domain.padded(), message).as_bytes())
}

/// Hashes a message that comes in pieces: the digest is [`hash`]'s of their concatenation.
///
/// Where the pieces could be cut differently, put their lengths in too.
#[derive(Clone)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts an empty message in `domain`.
    pub fn new(domain: Domain) -> Self {
        Self(blake3::Hasher::new_keyed(domain.padded()))
    }

    /// Appends `bytes` to the message.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The digest of all that was appended. More may be appended afterwards.
    pub fn finalize(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }

    /// An endless stream of output bytes instead of 32 of them.
    pub(crate) fn finalize_stream(&self) -> blake3::OutputReader {
        self.0.finalize_xof()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}
