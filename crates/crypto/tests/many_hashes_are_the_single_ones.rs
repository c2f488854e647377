//! Hashing many messages at once gives what hashing each of them gives, for every length and every number of messages.

use ledger_crypto::{Digest, Domain, hash, hash_each, hash_many};
use proptest::prelude::*;

const DOMAIN: Domain = Domain::new("ledgerkit test: many hashes");
/// No domain's name is longer: every byte of the key counts.
const LONGEST: Domain = Domain::new("0123456789abcdef0123456789abcdef");

/// Messages that differ from each other, `count` of `length` bytes.
fn messages(seed: u64, length: usize, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length * count).map(|_| next()).collect()
}

fn one_by_one(domain: Domain, length: usize, messages: &[u8]) -> Vec<Digest> {
    messages.chunks_exact(length).map(|message| hash(domain, message)).collect()
}

fn check<const N: usize>(seed: u64) {
    for domain in [DOMAIN, LONGEST] {
        for count in 0..=40 {
            let bytes = messages(seed, N, count);
            let expected = one_by_one(domain, N, &bytes);
            let mut found = vec![Digest::ZERO; count];
            assert_eq!(hash_many(domain, bytes.as_chunks::<N>().0, &mut found), count);
            assert_eq!(found, expected, "{count} messages of {N} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn hash_many_is_hash(seed: u64) {
        macro_rules! lengths { ($($length:literal)+) => { $(check::<$length>(seed);)+ } }
        lengths!(64 128 192 256 320 384 448 512 576 640 704 768 832 896 960 1024);
    }

    #[test]
    fn hash_each_is_hash_for_any_length(seed: u64, length in 1usize..1200, count in 0usize..20, rest in 0usize..64) {
        for length in [length, length.next_multiple_of(64)] {
            let mut bytes = messages(seed, length, count);
            bytes.resize(bytes.len() + rest.min(length - 1), 7);
            let mut found = vec![Digest::new([9; 32])];
            hash_each(DOMAIN, length, &bytes, &mut found);
            prop_assert_eq!(found[0], Digest::new([9; 32]), "what was there is overwritten");
            prop_assert_eq!(&found[1..], &one_by_one(DOMAIN, length, &bytes)[..]);
        }
    }
}

#[test]
fn the_shorter_slice_decides_and_nothing_else_is_touched() {
    let mark = Digest::new([3; 32]);
    let bytes = messages(5, 64, 40);
    let messages = bytes.as_chunks::<64>().0;
    for (given, room) in [(40, 0), (0, 40), (40, 17), (17, 40), (16, 15), (15, 16), (33, 32), (1, 2)] {
        let mut out = vec![mark; room];
        let written = hash_many(DOMAIN, &messages[..given], &mut out);
        assert_eq!(written, given.min(room));
        assert_eq!(out[..written], one_by_one(DOMAIN, 64, &bytes)[..written]);
        assert!(out[written..].iter().all(|digest| *digest == mark), "{given} messages, room for {room}");
    }
    let mut none = Vec::new();
    hash_each(DOMAIN, 0, &bytes, &mut none);
    assert!(none.is_empty());
}
