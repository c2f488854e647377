//! A value has one encoding, and bytes that are no value's encoding are refused.
//! `LEDGERKIT_CODEC_CASES` sets the number of cases for each type.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::random::{Random, Rng};
use ledger_core::codec::{self, CodecError, Format};
use std::fmt::Debug;
use std::time::{Duration, Instant};

fn cases() -> u64 {
    common::count("LEDGERKIT_CODEC_CASES", 512, 65_536)
}

fn decode_inverts_encode<T: Format + Random + PartialEq + Debug>() {
    let mut rng = Rng(1);
    for _ in 0..cases() {
        let value = T::random(&mut rng);
        let bytes = codec::encode(&value);
        assert_eq!(codec::encoded_length(&value), bytes.len());
        assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(&value));
        assert_eq!(codec::decode_prefix::<T>(&[&bytes[..], &[0]].concat()), Ok((value, bytes.len())));
    }
}

#[test]
fn a_value_is_what_its_encoding_decodes_to() {
    macro_rules! check {
        ($type:ty) => {
            decode_inverts_encode::<$type>();
        };
    }
    for_every_format!(check);
}

/// Random bytes are hardly ever a value; encodings with a few bytes changed often are.
fn what_decodes_is_canonical<T: Format + Random>() -> (u64, u64) {
    let (mut rng, mut accepted) = (Rng(2), 0);
    for case in 0..cases() {
        let bytes = if case % 4 == 0 {
            let length = rng.index(200);
            rng.bytes(length)
        } else {
            mutated(codec::encode(&T::random(&mut rng)), &mut rng)
        };
        if let Ok(value) = codec::decode::<T>(&bytes) {
            assert_eq!(codec::encode(&value), bytes, "{} has two encodings", T::NAME);
            accepted += 1;
        }
    }
    (accepted, cases())
}

fn mutated(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    for _ in 0..=rng.below(3) {
        let at = rng.index(bytes.len().max(1));
        match rng.below(4) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 => bytes.insert(at.min(bytes.len()), rng.next().to_le_bytes()[0]),
            // Over-long integers, in front of what may be a length or a number.
            _ => {
                let number = rng.below(300).to_le_bytes();
                let tail = bytes.split_off(at.min(bytes.len()));
                bytes.push(251);
                bytes.extend_from_slice(&number[..2]);
                bytes.extend_from_slice(&tail);
            }
        }
    }
    bytes
}

#[test]
fn what_decodes_encodes_to_the_same_bytes() {
    let (mut accepted, mut tried) = (0, 0);
    macro_rules! check {
        ($type:ty) => {
            let (some, all) = what_decodes_is_canonical::<$type>();
            (accepted, tried) = (accepted + some, tried + all);
        };
    }
    for_every_format!(check);
    // Otherwise the law above would have been tested on nothing.
    assert!(accepted * 20 > tried, "only {accepted} of {tried} inputs were accepted");
}

#[test]
fn every_cut_of_an_encoding_is_refused() {
    fn check<T: Format + Random + Debug>() {
        let mut rng = Rng(3);
        for _ in 0..16 {
            let bytes = codec::encode(&T::random(&mut rng));
            for end in 0..bytes.len() {
                let result = codec::decode::<T>(&bytes[..end]);
                assert!(matches!(result, Err(CodecError::Malformed { .. })), "{} cut at {end}: {result:?}", T::NAME);
            }
        }
    }
    macro_rules! each {
        ($type:ty) => {
            check::<$type>();
        };
    }
    for_every_format!(each);
}

#[test]
fn an_input_over_a_types_limit_is_refused_unread() {
    fn check<T: Format + Debug>() {
        let limit = T::LIMIT.min(codec::MAX_INPUT_BYTES);
        let started = Instant::now();
        let result = codec::decode::<T>(&vec![0; limit + 1]);
        assert!(matches!(result, Err(CodecError::TooLong { size, limit: at, .. }) if size == limit + 1 && at == limit));
        assert!(started.elapsed() < Duration::from_secs(2), "{}", T::NAME);
    }
    macro_rules! each {
        ($type:ty) => {
            check::<$type>();
        };
    }
    for_every_format!(each);
}

#[test]
fn non_canonical_forms_are_refused_each_for_its_own_reason() {
    use ledger_core::codec::Bytes;
    for (bytes, overlong) in [([251, 2, 0].as_slice(), 2), (&[252, 2, 0, 0, 0], 2), (&[253, 2, 0, 0, 0, 0, 0, 0, 0], 2)]
    {
        let mut input = bytes.to_vec();
        input.extend(std::iter::repeat_n(7, overlong));
        assert_eq!(codec::decode::<Bytes>(&input), Err(CodecError::NotCanonical { what: "byte string", offset: 0 }));
    }
    assert!(matches!(codec::decode::<Bytes>(&[254; 40]), Err(CodecError::Malformed { .. })));
    assert!(matches!(codec::decode::<Bytes>(&[255; 40]), Err(CodecError::Malformed { .. })));
    let error = codec::decode::<ledger_core::Event>(&[[0; 32].as_slice(), &[1, 0xff, 0]].concat()).unwrap_err();
    assert!(error.to_string().contains("isn't UTF-8"), "{error}");
    let error = codec::decode::<ledger_core::Proof>(&[9, 0, 0]).unwrap_err();
    assert!(error.to_string().contains("9 is no variant of Proof"), "{error}");
    let error = codec::decode::<ledger_core::Versioned>(&[0, 0, 0, 2]).unwrap_err();
    assert!(matches!(error, CodecError::Malformed { .. }), "{error}");
}
