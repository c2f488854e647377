//! Whatever the bytes: a signature checked alone, in a batch, with a cold or a warm cache, and by an independent
//! implementation of ZIP-215 has one verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ledger_crypto::{
    Check, Domain, Hasher, KeyError, MemorySigner, PublicKey, SecretKey, Signature, Signer, Verifier, verify,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

const DOMAIN: Domain = Domain::new("ledgerkit agreement test");

struct Case {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

impl Case {
    fn new(key: [u8; 32], message: &[u8], commitment: [u8; 32], response: [u8; 32]) -> Self {
        let signature = [commitment, response].concat().try_into().unwrap();
        Self { key: PublicKey::new(key), message: message.to_vec(), signature: Signature::new(signature) }
    }

    fn check(&self) -> Check<'_> {
        Check { key: &self.key, domain: DOMAIN, message: &self.message, signature: &self.signature }
    }

    /// As the module's documentation words the preimage.
    fn preimage(&self) -> Vec<u8> {
        let mut preimage = b"ledgerkit ed25519 signature v0 \0ledgerkit agreement test".to_vec();
        preimage.resize(64, 0);
        preimage.extend_from_slice(&self.message);
        preimage
    }

    fn by_reference(&self) -> bool {
        let signature = ed25519_zebra::Signature::from(*self.signature.as_bytes());
        ed25519_zebra::VerificationKey::try_from(*self.key.as_bytes())
            .and_then(|key| key.verify(&signature, &self.preimage()))
            .is_ok()
    }
}

/// Verdicts, after making sure that all ways to get one agree.
fn agreed(cases: &[Case]) -> Vec<bool> {
    let verdicts: Vec<_> = cases.iter().map(|case| verify(&case.check())).collect();
    let checks: Vec<_> = cases.iter().map(Case::check).collect();
    let reference: Vec<_> = cases.iter().map(Case::by_reference).collect();
    assert_eq!(verdicts.iter().map(Result::is_ok).collect::<Vec<_>>(), reference);
    for verifier in [Verifier::default(), Verifier::new(0), Verifier::new(40)] {
        // First cold, then warm.
        for _ in 0..2 {
            assert_eq!(verifier.verify_batch(&checks), verdicts);
            assert_eq!(checks.iter().map(|check| verifier.verify(check)).collect::<Vec<_>>(), verdicts);
        }
        // In another company, the weights are others and the verdicts the same.
        for size in [1, 2, 5, 33] {
            let parts: Vec<_> = checks.chunks(size).flat_map(|part| verifier.verify_batch(part)).collect();
            assert_eq!(parts, verdicts, "in batches of {size}");
        }
    }
    reference
}

fn scalar(label: &str, number: u64) -> Scalar {
    Scalar::from_bytes_mod_order_wide(
        &Sha512::new().chain_update(label).chain_update(number.to_le_bytes()).finalize().into(),
    )
}

fn wide_challenge(case: &Case) -> [u8; 64] {
    let hasher = Sha512::new().chain_update(&case.signature.as_bytes()[..32]).chain_update(case.key.as_bytes());
    hasher.chain_update(case.preimage()).finalize().into()
}

fn challenge(case: &Case) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&wide_challenge(case))
}

/// A signature under the key `[secret]B + of_key` with the commitment `[nonce]B + of_commitment`.
fn tweaked(number: u64, of_key: EdwardsPoint, of_commitment: EdwardsPoint) -> Case {
    let (secret, nonce) = (scalar("secret", number), scalar("nonce", number));
    let key = EdwardsPoint::mul_base(&secret) + of_key;
    let commitment = EdwardsPoint::mul_base(&nonce) + of_commitment;
    let message = number.to_le_bytes();
    let draft = Case::new(key.compress().0, &message, commitment.compress().0, [0; 32]);
    let response = nonce + challenge(&draft) * secret;
    Case::new(key.compress().0, &message, commitment.compress().0, response.to_bytes())
}

/// All 32-byte strings that decode to a point and aren't its canonical encoding.
fn non_canonical_encodings() -> Vec<[u8; 32]> {
    let mut found = Vec::new();
    // y from p to 2^255 − 1, both signs; and the two points with x = 0 under the wrong sign.
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            found.push(bytes);
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    found.extend([one, minus_one]);
    found.retain(|bytes| CompressedEdwardsY(*bytes).decompress().is_some());
    assert!(found.iter().all(|bytes| CompressedEdwardsY(*bytes).decompress().unwrap().compress().0 != *bytes));
    found
}

fn small_order_encodings() -> Vec<[u8; 32]> {
    let all = EIGHT_TORSION.iter().map(|point| point.compress().0).chain(non_canonical_encodings());
    all.filter(|bytes| CompressedEdwardsY(*bytes).decompress().unwrap().is_small_order()).collect()
}

#[test]
fn on_small_order_points_in_every_encoding() {
    let encodings = small_order_encodings();
    assert_eq!(encodings.len(), 14);
    let mut cases = Vec::new();
    for key in &encodings {
        for commitment in &encodings {
            cases.push(Case::new(*key, b"Zcash", *commitment, [0; 32]));
            cases.push(Case::new(*key, b"Zcash", *commitment, Scalar::ONE.to_bytes()));
        }
    }
    let verdicts = agreed(&cases);
    // All terms vanish under the cofactor, so s = 0 is valid and s = 1 isn't.
    for (number, verdict) in verdicts.into_iter().enumerate() {
        assert_eq!(verdict, number % 2 == 0);
    }
}

#[test]
fn on_non_canonical_points_of_any_order() {
    let encodings = non_canonical_encodings();
    let mut cases = Vec::new();
    for (number, encoding) in encodings.iter().enumerate() {
        let point = CompressedEdwardsY(*encoding).decompress().unwrap();
        // As a key: R = [s]B − [k]A can't be solved for, but with small order any R = [s]B is.
        let nonce = scalar("nonce", number as u64);
        let commitment = EdwardsPoint::mul_base(&nonce).compress().0;
        cases.push(Case::new(*encoding, b"", commitment, nonce.to_bytes()));
        // As a commitment of a key with a known secret.
        let secret = scalar("secret", number as u64);
        let key = EdwardsPoint::mul_base(&secret).compress().0;
        let draft = Case::new(key, b"", *encoding, [0; 32]);
        let response = challenge(&draft) * secret;
        cases.push(Case::new(key, b"", *encoding, response.to_bytes()));
        for other in &encodings {
            cases.push(Case::new(*encoding, b"", *other, [0; 32]));
        }
        assert_eq!(cases[cases.len() - encodings.len() - 1].by_reference(), point.is_small_order());
    }
    let verdicts = agreed(&cases);
    assert!(verdicts.contains(&true) && verdicts.contains(&false));
}

#[test]
fn on_800_torsion_tweaked_signatures_all_valid() {
    let cases: Vec<_> = (0..800)
        .map(|number| {
            let pick = |part: u64| EIGHT_TORSION[(part % 8) as usize];
            // Key and commitment take all 64 pairs of torsion points but the pair of none.
            let pair = 1 + number % 63;
            tweaked(number, pick(pair), pick(pair / 8))
        })
        .collect();
    assert!(agreed(&cases).into_iter().all(|valid| valid));
}

#[test]
fn on_scalars_at_and_above_the_group_order() {
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    let mut cases = Vec::new();
    for number in 0..32 {
        let valid = tweaked(number, EdwardsPoint::default(), EdwardsPoint::default());
        let bytes = valid.signature.as_bytes();
        let (commitment, response): ([u8; 32], [u8; 32]) =
            (bytes[..32].try_into().unwrap(), bytes[32..].try_into().unwrap());
        // s + ℓ, s + 2ℓ, … as long as they fit: equal to s in the equation, and refused.
        let mut above = response;
        loop {
            let mut carry = 0;
            for (byte, add) in above.iter_mut().zip(order) {
                let sum = u16::from(*byte) + u16::from(add) + carry;
                *byte = sum as u8;
                carry = sum >> 8;
            }
            if carry != 0 {
                break;
            }
            cases.push(Case::new(*valid.key.as_bytes(), &valid.message, commitment, above));
        }
        for bit in [0x20, 0x40, 0x80] {
            let mut high = response;
            high[31] |= bit;
            cases.push(Case::new(*valid.key.as_bytes(), &valid.message, commitment, high));
        }
    }
    let identity = EdwardsPoint::default().compress().0;
    cases.push(Case::new(identity, b"", identity, order));
    cases.push(Case::new(identity, b"", ED25519_BASEPOINT_POINT.compress().0, [0xff; 32]));
    assert!(cases.len() > 400);
    assert!(agreed(&cases).into_iter().all(|valid| !valid));
    // ℓ − 1 itself is canonical: [ℓ − 1]B = −B.
    let minus_base = (-ED25519_BASEPOINT_POINT).compress().0;
    let largest = Case::new(identity, b"", minus_base, (-Scalar::ONE).to_bytes());
    assert_eq!(agreed(&[largest]), [true]);
}

#[test]
fn on_keys_and_commitments_that_are_no_points() {
    let mut cases = Vec::new();
    for number in 0..64_u8 {
        let mut bytes = [0; 32];
        bytes[0] = number;
        let valid = tweaked(u64::from(number), EdwardsPoint::default(), EdwardsPoint::default());
        let signature = valid.signature.as_bytes();
        let response = signature[32..].try_into().unwrap();
        cases.push(Case::new(bytes, &valid.message, signature[..32].try_into().unwrap(), response));
        cases.push(Case::new(*valid.key.as_bytes(), &valid.message, bytes, response));
        cases.push(valid);
    }
    let valid = agreed(&cases).into_iter().filter(|valid| *valid).count();
    assert_eq!(valid, 64);
}

#[test]
fn however_many_are_bad_and_wherever_they_stand() {
    // Few keys, so that coefficients are merged in the whole and in the halves.
    let signers: Vec<_> = (0..5).map(|seed| MemorySigner::from_seed([seed; 32])).collect();
    let mut patterns: Vec<Vec<bool>> = (0..8)
        .flat_map(|size| (0..1 << size).map(move |bits| (size, bits)))
        .map(|(size, bits)| (0..size).map(|bit| bits >> bit & 1 == 1).collect())
        .collect();
    for size in [9, 100, 257] {
        patterns.push(vec![true; size]);
        patterns.push(vec![false; size]);
        for bad in [0, size / 2, size - 1] {
            patterns.push((0..size).map(|at| at != bad).collect());
        }
        patterns.push((0..size).map(|at| at % 3 == 0).collect());
    }
    let verifier = Verifier::new(3);
    for pattern in patterns {
        let cases: Vec<_> = pattern
            .iter()
            .enumerate()
            .map(|(at, good)| {
                let signer = &signers[at % signers.len()];
                let message = at.to_le_bytes().to_vec();
                let signature = signer.sign(DOMAIN, if *good { &message } else { b"another" }).unwrap();
                Case { key: signer.public_key(), message, signature }
            })
            .collect();
        let checks: Vec<_> = cases.iter().map(Case::check).collect();
        let verdicts: Vec<_> = verifier.verify_batch(&checks).iter().map(Result::is_ok).collect();
        assert_eq!(verdicts, pattern);
    }
}

/// `case` with `shift` added to its scalar.
fn shifted(case: &Case, shift: Scalar) -> Case {
    let (commitment, response) = case.signature.as_bytes().split_at(32);
    let response: Option<Scalar> = Scalar::from_canonical_bytes(response.try_into().unwrap()).into();
    let response = (response.unwrap() + shift).to_bytes();
    Case::new(*case.key.as_bytes(), &case.message, commitment.try_into().unwrap(), response)
}

#[test]
fn errors_that_cancel_out_are_found() {
    let mut cases: Vec<_> =
        (0..40).map(|number| tweaked(number, EdwardsPoint::default(), EdwardsPoint::default())).collect();
    // Two errors that add up to nothing where the weights are equal.
    let shift = scalar("shift", 0);
    cases[3] = shifted(&cases[3], shift);
    cases[29] = shifted(&cases[29], -shift);
    // And two that would if the weights didn't hang on s: who knows the weights makes any pair cancel out.
    let mut transcript = blake3::Hasher::new_keyed(b"ledgerkit ed25519 batch weights\0");
    for case in &cases {
        transcript.update(&wide_challenge(case));
    }
    let mut weights = transcript.finalize_xof();
    let weights: Vec<_> = cases
        .iter()
        .map(|_| {
            let mut weight = [0; 16];
            weights.fill(&mut weight);
            Scalar::from(u128::from_le_bytes(weight))
        })
        .collect();
    let (mut informed, mut expected) = (cases, vec![true; 40]);
    informed[11] = shifted(&informed[11], shift * weights[12]);
    informed[12] = shifted(&informed[12], -shift * weights[11]);
    for bad in [3, 29, 11, 12] {
        expected[bad] = false;
    }
    assert_eq!(agreed(&informed), expected);
}

#[test]
fn keys_with_any_defect_are_not_strong() {
    let encodings = small_order_encodings();
    for bytes in non_canonical_encodings() {
        assert_eq!(PublicKey::new(bytes).check_strong(), Err(KeyError::NonCanonical));
    }
    for bytes in &encodings[..8] {
        assert_eq!(PublicKey::new(*bytes).check_strong(), Err(KeyError::SmallOrder));
    }
    for number in 0..64 {
        let good = EdwardsPoint::mul_base(&scalar("secret", number));
        assert_eq!(PublicKey::new(good.compress().0).check_strong(), Ok(()));
        for torsion in EIGHT_TORSION.iter().filter(|point| !point.is_identity()) {
            let key = PublicKey::new((good + torsion).compress().0);
            assert_eq!(key.check_strong(), Err(KeyError::MixedOrder));
        }
    }
    assert_eq!(PublicKey::new([2; 32]).check_strong(), Err(KeyError::Undecodable));
}

#[test]
fn a_signature_holds_in_one_domain_only() {
    let signer = MemorySigner::new(SecretKey::from_seed([1; 32]));
    let key = signer.public_key();
    let names = ["a", "a ", "ab", "b", "12345678901234567890123456789012"].map(Domain::new);
    let messages: [&[u8]; 4] = [b"", b"b", b"a", b" "];
    for domain in names {
        for message in messages {
            let signature = signer.sign(domain, message).unwrap();
            for other_domain in names {
                for other in messages {
                    let check = Check { key: &key, domain: other_domain, message: other, signature: &signature };
                    assert_eq!(verify(&check).is_ok(), (domain, message) == (other_domain, other));
                    let same = Hasher::new(domain).update(message).finalize()
                        == Hasher::new(other_domain).update(other).finalize();
                    assert_eq!(same, (domain, message) == (other_domain, other));
                }
            }
        }
    }
}

#[test]
fn the_cache_stays_within_its_capacity_and_holds_valid_signers_only() {
    let cases: Vec<_> =
        (0..600).map(|number| tweaked(number, EdwardsPoint::default(), EdwardsPoint::default())).collect();
    let checks: Vec<_> = cases.iter().map(Case::check).collect();
    let forged: Vec<_> = checks.iter().map(|check| Check { message: b"forged", ..*check }).collect();
    for (capacity, at_least) in [(0, 0), (1, 0), (2, 1), (33, 16), (320, 150), (1100, 500), (100_000, 600)] {
        let verifier = Verifier::new(capacity);
        assert!(verifier.verify_batch(&forged).iter().all(Result::is_err));
        assert!(forged.iter().all(|check| verifier.verify(check).is_err()));
        assert_eq!(verifier.cached_keys(), 0);
        assert!(verifier.verify_batch(&checks).iter().all(Result::is_ok));
        assert!(checks.iter().all(|check| verifier.verify(check).is_ok()));
        assert!((at_least..=capacity).contains(&verifier.cached_keys()), "{}", verifier.cached_keys());
    }
}

#[test]
fn threads_that_share_a_verifier_see_the_same_verdicts() {
    let mut cases: Vec<_> =
        (0..200).map(|number| tweaked(number % 50, EdwardsPoint::default(), EdwardsPoint::default())).collect();
    for bad in (0..200).step_by(17) {
        cases[bad] = shifted(&cases[bad], Scalar::ONE);
    }
    let checks: Vec<_> = cases.iter().map(Case::check).collect();
    let expected: Vec<_> = checks.iter().map(verify).collect();
    let verifier = Verifier::new(20);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(verifier.verify_batch(&checks), expected);
                assert!(checks.iter().zip(&expected).all(|(check, expected)| verifier.verify(check) == *expected));
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn on_any_flipped_bits(
        flips in prop::collection::vec((any::<u64>(), prop::option::of(0..768_usize), 0..64_usize), 1..24),
    ) {
        let cases: Vec<_> = flips
            .into_iter()
            .map(|(number, bit, torsion)| {
                let mut case = tweaked(number % 8, EIGHT_TORSION[torsion % 8], EIGHT_TORSION[torsion / 8]);
                let (mut key, mut signature) = (*case.key.as_bytes(), *case.signature.as_bytes());
                if let Some(bit) = bit {
                    match bit / 8 {
                        at @ 0..32 => key[at] ^= 1 << (bit % 8),
                        at => signature[at - 32] ^= 1 << (bit % 8),
                    }
                }
                case.key = PublicKey::new(key);
                case.signature = Signature::new(signature);
                case
            })
            .collect();
        agreed(&cases);
    }

    #[test]
    fn on_any_bytes(
        cases in prop::collection::vec(any::<([u8; 32], Vec<u8>, [u8; 32], [u8; 32])>(), 0..12),
    ) {
        let cases: Vec<_> = cases
            .into_iter()
            .map(|(key, message, commitment, mut response)| {
                response[31] &= 0x0f;
                Case::new(key, &message, commitment, response)
            })
            .collect();
        agreed(&cases);
    }
}

#[test]
fn a_weak_key_is_known_by_its_bytes_alone() {
    for bytes in small_order_encodings().into_iter().chain(non_canonical_encodings()) {
        assert!(PublicKey::new(bytes).check_not_weak().is_err(), "{bytes:02x?}");
    }
    // What it lets through is decodable and canonical, of large order, or under no signature valid.
    for number in 0..2_000u64 {
        let point = ED25519_BASEPOINT_POINT * Scalar::from(number + 1) + EIGHT_TORSION[(number % 8) as usize];
        let key = PublicKey::new(point.compress().0);
        assert!(key.check_not_weak().is_ok());
        assert_eq!(key.check_strong().is_ok(), number % 8 == 0);
    }
}
