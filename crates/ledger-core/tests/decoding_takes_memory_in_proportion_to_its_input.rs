//! However hostile the bytes, decoding them takes at most 64 KiB and eight times their length of memory.
//!
//! One test only: the allocator that measures sees the whole process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::random::{Random, Rng};
use ledger_core::codec::{self, Bytes, Format};
use ledger_core::state::tree::Step;
use ledger_core::{Proof, Versioned};
use ledger_crypto::Digest;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const FLOOR: usize = 64 << 10;
const PER_BYTE: usize = 8;

/// Bytes at the peak of decoding, beyond what was there before.
fn peak<T: Format>(bytes: &[u8]) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let decoded = codec::decode_prefix::<T>(bytes);
    let peak = MEMORY.peak_usage() - before;
    drop(decoded);
    peak
}

/// An encoding, cut, then a length prefix that claims the rest, then zeros: where the cut is before a list, they are its
/// items in their shortest form.
fn hostile<T: Format>(encoding: &[u8], cut: usize) -> Vec<u8> {
    let mut bytes = encoding[..cut].to_vec();
    let size = T::LIMIT.min(128 << 10).max(cut + 16);
    bytes.extend(codec::encode(&((size - cut - 5) as u64)));
    bytes.resize(size, 0);
    bytes
}

/// The most memory for a byte of input, over every cut of some encodings.
fn check<T: Format + Random>(encodings: u64) -> f64 {
    let mut rng = Rng(4);
    let mut worst = 0f64;
    for _ in 0..encodings {
        let encoding = codec::encode(&T::random(&mut rng));
        for cut in 0..encoding.len() {
            let bytes = hostile::<T>(&encoding, cut);
            let (peak, allowed) = (peak::<T>(&bytes), FLOOR + PER_BYTE * bytes.len());
            assert!(peak <= allowed, "{} cut at {cut}: {} bytes of input took {peak} bytes", T::NAME, bytes.len());
            worst = worst.max(peak as f64 / bytes.len() as f64);
        }
    }
    println!("{:<20} {worst:5.2} bytes a byte", T::NAME);
    worst
}

/// Proofs of state whose steps and values take the most memory for their bytes: opaque subtrees and nodes in turn, and
/// empty values.
fn check_proofs_of_state() -> f64 {
    let (chain, mut rng) = (common::chain::notes(), Rng(5));
    let mut tree = chain.state_proof(&common::chain::note("tea"), 4);
    let mut steps = vec![Step::Opaque(Digest::ZERO)];
    steps.extend((0..20_000).flat_map(|_| [Step::Opaque(Digest::ZERO), Step::Node]));
    tree.path.steps = steps.into();
    let mut values = chain.value_history(&common::chain::note("tea"), 0, 4);
    let short = Versioned { predecessor: Some(Digest::ZERO), value: Bytes::default(), ..Versioned::random(&mut rng) };
    values.history.older = vec![short; 20_000].into();
    let mut worst = 0f64;
    for proof in [Proof::State(tree), Proof::ValueHistory(values)] {
        let bytes = codec::encode(&proof);
        assert!(codec::decode::<Proof>(&bytes).is_ok());
        let peak = peak::<Proof>(&bytes);
        assert!(peak <= FLOOR + PER_BYTE * bytes.len(), "{} bytes of a proof of state took {peak} bytes", bytes.len());
        worst = worst.max(peak as f64 / bytes.len() as f64);
    }
    println!("{:<20} {worst:5.2} bytes a byte", "proofs of state");
    worst
}

#[test]
fn decoding_takes_memory_in_proportion_to_its_input() {
    let encodings = common::count("LEDGERKIT_MEMORY_CASES", 2, 32);
    let mut worst = 0f64;
    macro_rules! each {
        ($type:ty) => {
            worst = worst.max(check::<$type>(encodings));
        };
    }
    for_every_format!(each);
    worst = worst.max(check_proofs_of_state());
    // Otherwise no list was ever filled, and nothing was measured.
    assert!(worst > 2.0, "the worst case took {worst} bytes a byte");
}
