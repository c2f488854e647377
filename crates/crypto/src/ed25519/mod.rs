//! Ed25519 verification by the rules of [ZIP-215](https://zips.z.cash/zip-0215), the same for one signature and many.
//!
//! A signature (R, s) of a key A over a preimage m is valid exactly when
//! - A and R are encodings of curve points; the y-coordinate needn't be reduced, and points of small or mixed order
//!   are points,
//! - s is below the group order ℓ, and
//! - `[8]([s]B − R − [k]A) = 0` with `k = SHA-512(R ‖ A ‖ m)` over the bytes as they were sent.
//!
//! Multiplying by the cofactor 8 is what lets a batch agree with single checks on *every* input: it removes torsion,
//! so that random combinations of valid equations are valid and of invalid ones aren't. Ledgers need that: a block
//! that one node accepts signature by signature must not be refused by another that checks it as a batch.
//!
//! The preimage of a [`Check`] is `"ledgerkit ed25519 signature v0 " ‖ 0 ‖ domain ‖ message` with the domain padded to
//! 32 bytes by zeros: prefix and domain have fixed lengths, so it is injective in (domain, message), and with R and A
//! before it the message starts at a SHA-512 block.
//!
//! Being valid says nothing about the key's quality. Who admits a key calls [`PublicKey::check_strong`], or
//! [`PublicKey::check_not_weak`] for accounts: for strong keys the rules above also bind key and message to the signature.

mod batch;
mod cache;
mod equation;

use crate::Domain;
use cache::KeyCache;
use curve25519_dalek::constants::EIGHT_TORSION;
use equation::Equation;
use std::sync::LazyLock;

/// An Ed25519 public key: its 32 bytes as they were sent, which may be no point at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

crate::bytes::byte_value!(PublicKey, 32, "a public key");

/// An Ed25519 signature: R (32 bytes) and s (32 bytes) as they were sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

crate::bytes::byte_value!(Signature, 64, "a signature");

/// Why a public key must not be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are no curve point.
    #[error("public key is no curve point")]
    Undecodable,
    /// The bytes are a second encoding of a point that has a canonical one.
    #[error("public key is not the canonical encoding of its point")]
    NonCanonical,
    /// One of the 8 points of small order: signatures that hold for any message can be made up for it.
    #[error("public key has small order")]
    SmallOrder,
    /// The point has a torsion component, so it is no multiple of the base point and no secret key belongs to it.
    #[error("public key is outside the prime-order subgroup")]
    MixedOrder,
}

/// Why a signature isn't valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key's bytes are no curve point.
    #[error("public key is no curve point")]
    Key,
    /// The first half of the signature is no curve point.
    #[error("first half of the signature (R) is no curve point")]
    Commitment,
    /// The second half of the signature isn't below the group order.
    #[error("second half of the signature (s) is not below the group order")]
    Scalar,
    /// Key, message and signature are well-formed and don't belong together.
    #[error("signature does not match key, domain and message")]
    Mismatch,
}

impl PublicKey {
    /// Refuses a key that nobody should be admitted with: no point, a non-canonical encoding, a point of small or
    /// mixed order.
    ///
    /// Verification accepts such keys, as ZIP-215 demands, so genesis, validators and accounts call this first. Costs
    /// about as much as verifying a signature.
    ///
    /// # Errors
    /// [`KeyError`], naming the defect.
    pub fn check_strong(&self) -> Result<(), KeyError> {
        let point = equation::decompress(&self.0).ok_or(KeyError::Undecodable)?;
        if point.compress().as_bytes() != &self.0 {
            return Err(KeyError::NonCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if equation::is_torsion_free(&point) { Ok(()) } else { Err(KeyError::MixedOrder) }
    }
}

impl PublicKey {
    /// Refuses a key under which anyone can sign, and a second name of a key that has a canonical one: points of small
    /// order, and encodings that aren't reduced. It looks at the bytes alone and costs nanoseconds, so it suits keys
    /// that name accounts, of which a block has thousands.
    ///
    /// What it lets through beyond [`check_strong`](Self::check_strong): bytes that are no point, under which no
    /// signature verifies, and points of mixed order, each of which has one holder like any other.
    ///
    /// # Errors
    /// [`KeyError::NonCanonical`] or [`KeyError::SmallOrder`].
    pub fn check_not_weak(&self) -> Result<(), KeyError> {
        // An encoding is the y coordinate below p = 2^255 − 19, and the sign of x in the top bit.
        let mut y = self.0;
        if let Some(top) = y.last_mut() {
            *top &= 0x7f;
        }
        let (low, high) = y.split_first().map_or((0, [].as_slice()), |(low, high)| (*low, high));
        let all_ones = high.split_last().is_some_and(|(top, middle)| *top == 0x7f && middle.iter().all(|b| *b == 0xff));
        if all_ones && low >= 0xed {
            return Err(KeyError::NonCanonical);
        }
        // Order is a matter of y alone: x and −x are the coordinates of a point and its negative.
        if SMALL_ORDER_Y.contains(&y) { Err(KeyError::SmallOrder) } else { Ok(()) }
    }
}

/// The y coordinates of the 8 points of small order.
static SMALL_ORDER_Y: LazyLock<[[u8; 32]; 8]> = LazyLock::new(|| {
    EIGHT_TORSION.map(|point| {
        let mut y = point.compress().to_bytes();
        if let Some(top) = y.last_mut() {
            *top &= 0x7f;
        }
        y
    })
});

/// One signature to check, with all that it is said to cover.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// Who is said to have signed.
    pub key: &'a PublicKey,
    /// For what purpose.
    pub domain: Domain,
    /// Which message.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a Signature,
}

impl Check<'_> {
    /// `k`, before its reduction to a scalar.
    fn challenge(&self) -> [u8; 64] {
        equation::challenge(self.key, self.signature, &preimage(&self.domain, self.message))
    }
}

/// Stands before the domain in every preimage.
const PREFIX: &[u8; 32] = b"ledgerkit ed25519 signature v0 \0";

/// What a signature covers, in its three parts.
pub(crate) fn preimage<'a>(domain: &'a Domain, message: &'a [u8]) -> [&'a [u8]; 3] {
    [PREFIX, domain.padded(), message]
}

/// Checks one signature, without a cache.
///
/// # Errors
/// [`SignatureError`], naming what is wrong with it.
pub fn verify(check: &Check<'_>) -> Result<(), SignatureError> {
    Equation::new(check.signature, || equation::decompress(check.key.as_bytes()), || check.challenge())?.verdict()
}

/// Checks a signature over bare bytes, with no domain: for published test vectors and the signatures of others.
///
/// Nothing in this workspace signs so, and no key of its signers can be made to.
///
/// # Errors
/// [`SignatureError`], naming what is wrong with it.
pub fn verify_raw(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
    let challenge = || equation::challenge(key, signature, &[message]);
    Equation::new(signature, || equation::decompress(key.as_bytes()), challenge)?.verdict()
}

/// Checks signatures, one or many, and remembers the decompressed keys of valid ones.
///
/// Verdicts depend neither on the cache nor on what a signature is batched with: [`verify`](Self::verify),
/// [`verify_batch`](Self::verify_batch) and the free function [`verify`](verify()) agree on every input. Shared between
/// threads by reference.
///
/// ```
/// use ledger_crypto::{Check, Domain, MemorySigner, Signer, Verifier};
/// const ORDER: Domain = Domain::new("my-app order v1");
///
/// let signer = MemorySigner::from_seed([7; 32]);
/// let signature = signer.sign(ORDER, b"two sacks")?;
/// let good = Check { key: &signer.public_key(), domain: ORDER, message: b"two sacks", signature: &signature };
/// let bad = Check { message: b"ten sacks", ..good };
///
/// let verdicts = Verifier::default().verify_batch(&[good, bad]);
/// assert!(verdicts[0].is_ok() && verdicts[1].is_err());
/// # Ok::<(), ledger_crypto::SignerError>(())
/// ```
#[derive(Debug)]
pub struct Verifier {
    keys: KeyCache,
}

impl Verifier {
    /// Decompressed keys that [`Verifier::default`] remembers: 65,536, which take about 25 MiB.
    pub const DEFAULT_CAPACITY: usize = 1 << 16;

    /// A verifier that remembers up to `capacity` decompressed keys (some 400 bytes each); 0 and 1 remember none.
    ///
    /// A key enters only with a valid signature, so strangers can't flush the cache with garbage.
    pub fn new(capacity: usize) -> Self {
        Self { keys: KeyCache::new(capacity) }
    }

    /// Keys that are remembered now.
    pub fn cached_keys(&self) -> usize {
        self.keys.len()
    }

    /// Checks one signature.
    ///
    /// # Errors
    /// [`SignatureError`], naming what is wrong with it.
    pub fn verify(&self, check: &Check<'_>) -> Result<(), SignatureError> {
        let mut fresh = None;
        let key = || {
            self.keys.get(check.key).or_else(|| {
                fresh = equation::decompress(check.key.as_bytes());
                fresh
            })
        };
        Equation::new(check.signature, key, || check.challenge())?.verdict()?;
        if let Some(point) = fresh {
            self.keys.insert(check.key, point);
        }
        Ok(())
    }

    /// Checks many signatures at once: the verdict at each place is what [`verify`](Self::verify) gives for the check
    /// at that place.
    ///
    /// Fastest when all are valid, at some hundreds of signatures. If some aren't, the batch is halved until they are
    /// found: all invalid costs under three times what checking one by one does.
    pub fn verify_batch(&self, checks: &[Check<'_>]) -> Vec<Result<(), SignatureError>> {
        checks.chunks(batch::LIMIT).flat_map(|chunk| batch::verify(&self.keys, chunk)).collect()
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}
