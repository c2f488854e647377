//! One signature as the equation that it must satisfy.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest as _, Sha512};

use super::{PublicKey, Signature, SignatureError};

/// A well-formed signature: valid exactly when `[8]([response]B − commitment − [challenge]key) = 0`.
pub(super) struct Equation {
    pub(super) key: EdwardsPoint,
    pub(super) commitment: EdwardsPoint,
    pub(super) challenge: Scalar,
    pub(super) response: Scalar,
}

impl Equation {
    /// Reads a signature. `key` gives the key's point, `challenge` the hash, each asked for only when what is cheaper
    /// to refuse was fine.
    pub(super) fn new(
        signature: &Signature,
        key: impl FnOnce() -> Option<EdwardsPoint>,
        challenge: impl FnOnce() -> [u8; 64],
    ) -> Result<Self, SignatureError> {
        let (commitment, response) = halves(signature);
        let response = Option::from(Scalar::from_canonical_bytes(response)).ok_or(SignatureError::Scalar)?;
        let key = key().ok_or(SignatureError::Key)?;
        let commitment = decompress(&commitment).ok_or(SignatureError::Commitment)?;
        Ok(Self { key, commitment, challenge: Scalar::from_bytes_mod_order_wide(&challenge()), response })
    }

    pub(super) fn verdict(&self) -> Result<(), SignatureError> {
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.challenge, &-self.key, &self.response);
        if is_torsion(&(expected - self.commitment)) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// Whether `[8]point = 0`.
pub(super) fn is_torsion(point: &EdwardsPoint) -> bool {
    point.mul_by_cofactor().is_identity()
}

/// Whether `[ℓ]point = 0`. Variable time: for public keys.
pub(super) fn is_torsion_free(point: &EdwardsPoint) -> bool {
    // −1 is held as the integer ℓ − 1, and no scalar holds ℓ: so the last addition is left to the comparison.
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&-Scalar::ONE, point, &Scalar::ZERO) == -point
}

/// The point that `bytes` encode, whether canonically or not.
pub(super) fn decompress(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*bytes).decompress()
}

/// `SHA-512(R ‖ A ‖ preimage)` over the bytes as they were sent.
pub(super) fn challenge(key: &PublicKey, signature: &Signature, preimage: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Sha512::new();
    hasher.update(halves(signature).0);
    hasher.update(key.as_bytes());
    for part in preimage {
        hasher.update(part);
    }
    hasher.finalize().into()
}

pub(super) fn halves(signature: &Signature) -> ([u8; 32], [u8; 32]) {
    let (mut commitment, mut response) = ([0; 32], [0; 32]);
    let (first, second) = signature.as_bytes().split_at(32);
    commitment.copy_from_slice(first);
    response.copy_from_slice(second);
    (commitment, response)
}
