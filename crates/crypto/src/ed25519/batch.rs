//! Many signatures as one equation.
//!
//! With weights `z` unknown to whoever made the signatures, all equations `e_i = 0` hold exactly when
//! `[8] Σ z_i e_i = 0`, but for a chance of 2⁻¹²⁸: torsion apart, the sum is a random combination in a group of prime
//! order, and the cofactor removes torsion on both sides. The weights are hashed from the whole batch, so nobody can
//! choose a signature with its weight in view, and the same batch has the same verdict everywhere and always.

use std::collections::HashMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;

use super::cache::KeyCache;
use super::equation::{self, Equation};
use super::{Check, PublicKey, SignatureError};
use crate::{Domain, Hasher};

/// Signatures in one equation; larger batches are cut. Bounds the memory of a call, and costs nothing: the gain from
/// batching is as good as used up here.
pub(super) const LIMIT: usize = 1024;

/// At this many, or fewer, checking one by one finds the bad ones as fast as halving on.
const SINGLE: usize = 8;

const WEIGHTS: Domain = Domain::new("ledgerkit ed25519 batch weights");

/// A well-formed signature of the batch.
struct Entry {
    /// Place in the batch.
    place: usize,
    /// Place of the key among the batch's distinct keys.
    key: usize,
    equation: Equation,
    weight: Scalar,
}

/// A distinct key of the batch.
struct Key<'a> {
    bytes: &'a PublicKey,
    point: Option<EdwardsPoint>,
    /// Not in the cache yet.
    fresh: bool,
}

type Verdict = Result<(), SignatureError>;

/// A batch as it was read.
struct Batch<'a> {
    keys: Vec<Key<'a>>,
    /// The well-formed signatures, weighted.
    entries: Vec<Entry>,
    /// One for each check; those of entries are still to be found.
    verdicts: Vec<Verdict>,
}

pub(super) fn verify(cache: &KeyCache, checks: &[Check<'_>]) -> Vec<Verdict> {
    let Batch { keys, entries, mut verdicts } = read(cache, checks);
    let mut refused = Vec::new();
    if entries.len() > 1 {
        search(&entries, residual(&entries, keys.len()), keys.len(), &mut refused);
    } else {
        check_singly(&entries, &mut refused);
    }
    for place in refused {
        if let Some(verdict) = verdicts.get_mut(place) {
            *verdict = Err(SignatureError::Mismatch);
        }
    }
    remember(cache, &keys, &entries, &verdicts);
    verdicts
}

fn read<'a>(cache: &KeyCache, checks: &[Check<'a>]) -> Batch<'a> {
    let mut keys = Vec::with_capacity(checks.len());
    let mut places = HashMap::with_capacity(checks.len());
    let mut transcript = Hasher::new(WEIGHTS);
    let mut entries = Vec::with_capacity(checks.len());
    let mut verdicts = Vec::with_capacity(checks.len());
    for (place, check) in checks.iter().enumerate() {
        let key = *places.entry(check.key).or_insert_with(|| {
            keys.push(Key::find(cache, check.key));
            keys.len() - 1
        });
        let challenge = || {
            let challenge = check.challenge();
            // The challenge is a hash over R, key and preimage: with s, the transcript binds all that there is.
            transcript.update(&challenge).update(&equation::halves(check.signature).1);
            challenge
        };
        let point = || keys.get(key).and_then(|key| key.point);
        let equation = Equation::new(check.signature, point, challenge);
        verdicts.push(equation.map(|equation| entries.push(Entry { place, key, equation, weight: Scalar::ZERO })));
    }
    let mut weights = transcript.finalize_stream();
    for entry in &mut entries {
        let mut weight = [0; 16];
        weights.fill(&mut weight);
        entry.weight = Scalar::from(u128::from_le_bytes(weight));
    }
    Batch { keys, entries, verdicts }
}

impl<'a> Key<'a> {
    fn find(cache: &KeyCache, bytes: &'a PublicKey) -> Self {
        match cache.get(bytes) {
            Some(point) => Self { bytes, point: Some(point), fresh: false },
            None => Self { bytes, point: equation::decompress(bytes.as_bytes()), fresh: true },
        }
    }
}

/// Puts into the cache the keys that signed something valid.
fn remember(cache: &KeyCache, keys: &[Key<'_>], entries: &[Entry], verdicts: &[Verdict]) {
    for entry in entries {
        if let Some(key) = keys.get(entry.key)
            && key.fresh
            && verdicts.get(entry.place).is_some_and(Result::is_ok)
        {
            cache.insert(key.bytes, entry.equation.key);
        }
    }
}

/// `Σ z_i (R_i + [k_i] A_i − [s_i] B)`, up to torsion. A key's terms are one term.
fn residual(entries: &[Entry], keys: usize) -> EdwardsPoint {
    let mut base = Scalar::ZERO;
    let mut of_keys = vec![None; keys];
    for Entry { key, equation, weight, .. } in entries {
        base -= weight * equation.response;
        if let Some(of_key) = of_keys.get_mut(*key) {
            let (coefficient, _) = of_key.get_or_insert((Scalar::ZERO, &equation.key));
            *coefficient += weight * equation.challenge;
        }
    }
    let of_keys: Vec<_> = of_keys.into_iter().flatten().collect();
    EdwardsPoint::vartime_multiscalar_mul(
        entries.iter().map(|entry| &entry.weight).chain(of_keys.iter().map(|of_key| &of_key.0)).chain([&base]),
        entries
            .iter()
            .map(|entry| &entry.equation.commitment)
            .chain(of_keys.iter().map(|of_key| of_key.1))
            .chain([&ED25519_BASEPOINT_POINT]),
    )
}

/// Finds the entries whose equations don't hold, given the residual of all of them.
///
/// Only one half's residual is ever computed: the other half's is what remains. So a level of halving costs at most
/// half of what the whole batch did.
fn search(entries: &[Entry], sum: EdwardsPoint, keys: usize, refused: &mut Vec<usize>) {
    if equation::is_torsion(&sum) {
        return;
    }
    if entries.len() <= SINGLE {
        return check_singly(entries, refused);
    }
    let (left, right) = entries.split_at(entries.len() / 2);
    let of_left = residual(left, keys);
    search(left, of_left, keys, refused);
    search(right, sum - of_left, keys, refused);
}

fn check_singly(entries: &[Entry], refused: &mut Vec<usize>) {
    refused.extend(entries.iter().filter(|entry| entry.equation.verdict().is_err()).map(|entry| entry.place));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySigner, Signer};

    // A wrong sum would only be slow, since what it refuses is checked again one by one; so it is tested here.
    #[test]
    fn valid_signatures_add_up_to_nothing_in_the_whole_and_in_parts() {
        const DOMAIN: Domain = Domain::new("test");
        let signers: Vec<_> = (0..3).map(|seed| MemorySigner::from_seed([seed; 32])).collect();
        let keys: Vec<_> = signers.iter().map(Signer::public_key).collect();
        let signatures: Vec<_> =
            (0..20_u8).map(|at| signers[usize::from(at) % 3].sign(DOMAIN, &[at]).unwrap()).collect();
        let messages: Vec<_> = (0..20_u8).map(|at| [at]).collect();
        let check = |at: usize| Check {
            key: &keys[at % 3],
            domain: DOMAIN,
            message: &messages[at],
            signature: &signatures[at],
        };
        let checks: Vec<_> = (0..20).map(check).collect();
        let Batch { keys: distinct, entries, .. } = read(&KeyCache::new(0), &checks);
        assert_eq!((distinct.len(), entries.len()), (3, 20));
        for size in 1..=20 {
            for part in entries.chunks(size) {
                assert!(equation::is_torsion(&residual(part, distinct.len())), "parts of {size}");
            }
        }

        let mut forged = checks.clone();
        forged[7].message = b"another";
        let Batch { entries, .. } = read(&KeyCache::new(0), &forged);
        let (left, right) = entries.split_at(10);
        let [whole, left, right] = [&entries, left, right].map(|part| residual(part, distinct.len()));
        assert!(equation::is_torsion(&right) && !equation::is_torsion(&left));
        assert!(equation::is_torsion(&(whole - left - right)));
    }
}
