//! Hashing, Merkle roots, signing and verification, one thread.
//!
//! Signed messages have 200 bytes, keys differ from signature to signature, all signatures are valid. `cold` cycles
//! through a million keys, so that none is in the cache when its turn comes. The last lines compare batches of 256
//! with ed25519-dalek's own `verify_batch` on decompressed keys, in alternating rounds of one run.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Signer as _;
use ledger_crypto::merkle::{self, Blake3, Sha256, TreeHasher};
use ledger_crypto::{
    Check, Digest, Domain, MemorySigner, PublicKey, Signature, Signer, Verifier, hash, hash_many, verify,
};
use sha2::{Digest as _, Sha512};

const DOMAIN: Domain = Domain::new("ledgerkit benchmark");
const MESSAGE_LENGTH: usize = 200;
const BATCH: usize = 256;
const COLD_KEYS: usize = 1_000_000;

fn message(number: usize) -> Vec<u8> {
    let mut message = vec![0x5a; MESSAGE_LENGTH];
    message[..8].copy_from_slice(&(number as u64).to_le_bytes());
    message
}

struct Signed {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

impl Signed {
    fn check(&self) -> Check<'_> {
        Check { key: &self.key, domain: DOMAIN, message: &self.message, signature: &self.signature }
    }
}

fn signed(count: usize) -> Vec<Signed> {
    (0..count)
        .map(|number| {
            let mut seed = [1; 32];
            seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let signer = MemorySigner::from_seed(seed);
            let message = message(number);
            let signature = signer.sign(DOMAIN, &message).unwrap();
            Signed { key: signer.public_key(), message, signature }
        })
        .collect()
}

/// Valid signatures under keys `a + i`, with nonces `r + i`: two additions each instead of two multiplications.
fn signed_by_neighbours(count: usize) -> Vec<Signed> {
    let base = EdwardsPoint::mul_base(&Scalar::ONE);
    let [mut secret, mut nonce] = [Scalar::from(1_u64 << 40), Scalar::from(1_u64 << 50)];
    let [mut key, mut commitment] = [secret, nonce].map(|scalar| EdwardsPoint::mul_base(&scalar));
    let mut all = Vec::with_capacity(count);
    let mut prefix = [0; 64];
    prefix[..31].copy_from_slice(b"ledgerkit ed25519 signature v0 ");
    prefix[32..32 + DOMAIN.name().len()].copy_from_slice(DOMAIN.name().as_bytes());
    while all.len() < count {
        let mut points = Vec::with_capacity(2 * 1024);
        let mut scalars = Vec::with_capacity(1024);
        for _ in 0..1024.min(count - all.len()) {
            points.extend([key, commitment]);
            scalars.push((secret, nonce));
            key += base;
            commitment += base;
            secret += Scalar::ONE;
            nonce += Scalar::ONE;
        }
        let encoded = EdwardsPoint::compress_batch_alloc(&points);
        for ((secret, nonce), pair) in scalars.into_iter().zip(encoded.chunks_exact(2)) {
            let message = message(all.len());
            let mut hasher = Sha512::new();
            for part in [pair[1].as_bytes().as_slice(), pair[0].as_bytes(), &prefix, &message] {
                hasher.update(part);
            }
            let challenge = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(pair[1].as_bytes());
            signature[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
            all.push(Signed { key: PublicKey::new(pair[0].0), message, signature: Signature::new(signature) });
        }
    }
    all
}

/// What ed25519-dalek's `verify_batch` wants.
struct Dalek {
    keys: Vec<ed25519_dalek::VerifyingKey>,
    messages: Vec<Vec<u8>>,
    signatures: Vec<ed25519_dalek::Signature>,
}

impl Dalek {
    fn new() -> Self {
        let signers: Vec<_> = (0..BATCH)
            .map(|number| {
                let mut seed = [2; 32];
                seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
                ed25519_dalek::SigningKey::from_bytes(&seed)
            })
            .collect();
        let messages: Vec<_> = (0..BATCH).map(message).collect();
        let signatures = signers.iter().zip(&messages).map(|(signer, message)| signer.sign(message)).collect();
        Self { keys: signers.iter().map(|signer| signer.verifying_key()).collect(), messages, signatures }
    }

    fn verify(&self) {
        let messages: Vec<&[u8]> = self.messages.iter().map(Vec::as_slice).collect();
        ed25519_dalek::verify_batch(&messages, &self.signatures, &self.keys).unwrap();
    }
}

fn zebra_batch(signed: &[Signed]) {
    let mut batch = ed25519_zebra::batch::Verifier::new();
    for one in signed {
        let key = ed25519_zebra::VerificationKeyBytes::from(*one.key.as_bytes());
        batch.queue((key, ed25519_zebra::Signature::from(*one.signature.as_bytes()), &one.message[..]));
    }
    batch.verify(getrandom::rand_core::UnwrapErr(getrandom::SysRng)).unwrap();
}

fn all_valid(verifier: &Verifier, checks: &[Check<'_>]) {
    assert!(verifier.verify_batch(checks).iter().all(Result::is_ok));
}

fn hashing(c: &mut Criterion) {
    c.bench_function("hash/64 B", |b| b.iter(|| hash(DOMAIN, black_box(&[7; 64]))));
    let messages: Vec<[u8; 64]> = (0..1024_u32).map(|number| [number.to_le_bytes()[0]; 64]).collect();
    let mut digests = vec![Digest::ZERO; messages.len()];
    let mut group = c.benchmark_group("1024 hashes of 64 B");
    group.throughput(Throughput::Elements(messages.len() as u64));
    group.bench_function("one by one", |b| {
        b.iter(|| {
            for (digest, message) in digests.iter_mut().zip(black_box(&messages)) {
                *digest = hash(DOMAIN, message);
            }
        });
    });
    group.bench_function("hash_many", |b| b.iter(|| hash_many(DOMAIN, black_box(&messages), &mut digests)));
    group.finish();
    let leaves: Vec<_> = (0..1000_u32).map(|number| Blake3::leaf(&number.to_le_bytes())).collect();
    c.bench_function("merkle root/1000 leaves, blake3", |b| b.iter(|| merkle::root::<Blake3>(black_box(&leaves))));
    c.bench_function("merkle root/1000 leaves, sha256", |b| b.iter(|| merkle::root::<Sha256>(black_box(&leaves))));
}

fn signatures(c: &mut Criterion) {
    let signer = MemorySigner::from_seed([3; 32]);
    c.bench_function("sign", |b| b.iter(|| signer.sign(DOMAIN, black_box(&[7; MESSAGE_LENGTH]))));
    let signed = signed(BATCH);
    let checks: Vec<_> = signed.iter().map(Signed::check).collect();
    let verifier = Verifier::default();
    all_valid(&verifier, &checks);

    c.bench_function("check strong key", |b| b.iter(|| black_box(checks[0].key).check_strong()));
    c.bench_function("verify/single", |b| b.iter(|| verify(black_box(&checks[0]))));
    c.bench_function("verify/single, key cached", |b| b.iter(|| verifier.verify(black_box(&checks[0]))));

    let mut group = c.benchmark_group("verify batch of 256");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("keys cached", |b| b.iter(|| all_valid(&verifier, &checks)));
    let one_key: Vec<_> = (0..BATCH)
        .map(|number| {
            let message = message(number);
            let signature = signer.sign(DOMAIN, &message).unwrap();
            Signed { key: signer.public_key(), message, signature }
        })
        .collect();
    let one_key: Vec<_> = one_key.iter().map(Signed::check).collect();
    group.bench_function("one key", |b| b.iter(|| all_valid(&verifier, &one_key)));
    let forged: Vec<_> = checks.iter().map(|check| Check { message: b"forged", ..*check }).collect();
    group.bench_function("all forged", |b| b.iter(|| verifier.verify_batch(&forged)));
    let mut one_forged = checks.clone();
    one_forged[BATCH / 3] = forged[BATCH / 3];
    group.bench_function("one forged", |b| b.iter(|| verifier.verify_batch(&one_forged)));

    let dalek = Dalek::new();
    group.bench_function("ed25519-dalek", |b| b.iter(|| dalek.verify()));
    let raw = raw_signed();
    group.bench_function("ed25519-zebra", |b| b.iter(|| zebra_batch(&raw)));

    let cold = signed_by_neighbours(COLD_KEYS);
    let cold: Vec<_> = cold.iter().map(Signed::check).collect();
    let mut batches = cold.chunks_exact(BATCH).cycle();
    group.bench_function("cold, 1 M keys", |b| b.iter(|| all_valid(&verifier, batches.next().unwrap())));
    group.finish();

    compare(&checks, &dalek);
}

fn raw_signed() -> Vec<Signed> {
    let dalek = Dalek::new();
    let parts = dalek.keys.iter().zip(dalek.messages).zip(&dalek.signatures);
    parts
        .map(|((key, message), signature)| Signed {
            key: PublicKey::new(key.to_bytes()),
            message,
            signature: Signature::new(signature.to_bytes()),
        })
        .collect()
}

/// Alternates short rounds, so that a change of the machine's pace meets both, and compares the medians.
fn compare(checks: &[Check<'_>], dalek: &Dalek) {
    let verifier = Verifier::default();
    all_valid(&verifier, checks);
    let timed = |work: &dyn Fn()| {
        let start = Instant::now();
        for _ in 0..8 {
            work();
        }
        start.elapsed().as_secs_f64() / 8.0
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        ours.push(timed(&|| all_valid(&verifier, checks)));
        theirs.push(timed(&|| dalek.verify()));
    }
    let [ours, theirs] = [ours, theirs].map(|mut times| {
        times.sort_by(f64::total_cmp);
        BATCH as f64 / times[times.len() / 2]
    });
    println!("batches of {BATCH}, keys cached: {ours:.0} signatures/s; ed25519-dalek's verify_batch: {theirs:.0}/s");
    println!("ratio: {:.3}", ours / theirs);
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    hashing(&mut criterion);
    signatures(&mut criterion);
    criterion.final_summary();
}
