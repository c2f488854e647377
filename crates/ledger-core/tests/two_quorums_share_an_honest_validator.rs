//! Whatever the weights: two quorums share more weight than may lie, what may be silent leaves a quorum, and a set has one
//! encoding.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::bft::set;
use common::chain::signer;
use ledger_core::codec::{self, CodecError};
use ledger_core::*;
use ledger_crypto::{PublicKey, Signer};
use proptest::prelude::*;

fn key(seed: u8) -> PublicKey {
    signer(seed).public_key()
}

fn validator(seed: u8, weight: u64) -> Validator {
    Validator { key: key(seed), weight: Weight(weight) }
}

/// What a set must say, worked out in 128 bits.
fn check_thresholds(set: &ValidatorSet, weights: &[u64]) {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let (faulty, quorum) = (u128::from(set.faulty()), u128::from(set.quorum()));
    assert_eq!(u128::from(set.total()), total);
    assert!(3 * faulty < total && total <= 3 * faulty + 3, "the most that is below a third");
    assert!(2 * quorum - total > faulty, "two quorums of {quorum} of {total}");
    assert!(total - faulty >= quorum, "the honest decide alone");
}

#[test]
fn thresholds_of_equal_weights_are_the_fields() {
    for (n, f, quorum) in [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 3), (5, 1, 4), (6, 1, 5), (7, 2, 5), (10, 3, 7)] {
        let set = set(&(1..=n).map(|seed| (seed, 1)).collect::<Vec<_>>());
        assert_eq!((set.len(), set.faulty(), set.quorum()), (n as usize, f, quorum));
    }
}

#[test]
fn the_greatest_weights_neither_overflow_nor_wrap() {
    for weights in [vec![u64::MAX], vec![u64::MAX - 1, 1], vec![1 << 63, (1 << 63) - 1], vec![u64::MAX / 3; 3]] {
        let validators: Vec<(u8, u64)> = (1..).zip(weights.iter().copied()).collect();
        check_thresholds(&set(&validators), &weights);
    }
    for weights in [[u64::MAX, 1], [1 << 63, 1 << 63], [u64::MAX, u64::MAX]] {
        let result = ValidatorSet::new([validator(1, weights[0]), validator(2, weights[1])]);
        assert_eq!(result, Err(ValidatorsError::Overflow));
    }
    let set = set(&[(1, u64::MAX)]);
    let more = [ValidatorUpdate { key: key(2), weight: Weight(1) }];
    assert_eq!(set.updated(&more), Err(ValidatorsError::Overflow));
}

#[test]
fn a_set_names_what_is_wrong_with_it() {
    assert_eq!(ValidatorSet::new([]), Err(ValidatorsError::Count { found: 0 }));
    let many = vec![validator(1, 1); validators::MAX_VALIDATORS + 1];
    assert_eq!(ValidatorSet::new(many), Err(ValidatorsError::Count { found: 1_025 }));
    let twice = ValidatorSet::new([validator(1, 1), validator(2, 1), validator(1, 2)]);
    assert_eq!(twice, Err(ValidatorsError::Order { key: key(1) }));
    assert_eq!(ValidatorSet::new([validator(1, 0)]), Err(ValidatorsError::Weightless { key: key(1) }));
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = Validator { key: PublicKey::new(neutral), weight: Weight(1) };
    assert!(matches!(ValidatorSet::new([weak]), Err(ValidatorsError::Key { .. })));
    let remove_all = set(&[(1, 1)]).updated(&[ValidatorUpdate { key: key(1), weight: Weight(0) }]);
    assert_eq!(remove_all, Err(ValidatorsError::Count { found: 0 }));
    let updates = vec![ValidatorUpdate { key: key(1), weight: Weight(2) }; validators::MAX_UPDATES + 1];
    assert_eq!(set(&[(1, 1)]).updated(&updates), Err(ValidatorsError::Updates { found: 2_049 }));
    assert_eq!(set(&[(1, 1)]).updated(&updates[1..]), Ok(set(&[(1, 2)])));
}

#[test]
fn bytes_out_of_order_twice_or_over_long_are_refused() {
    let mut entries: Vec<Vec<u8>> = (1..=3).map(|seed| [key(seed).as_bytes().as_slice(), &[seed]].concat()).collect();
    entries.sort();
    let bytes = |entries: &[&Vec<u8>]| {
        let mut bytes = vec![entries.len() as u8];
        bytes.extend(entries.iter().flat_map(|entry| entry.iter().copied()));
        bytes
    };
    let [a, b, c] = [&entries[0], &entries[1], &entries[2]];
    assert_eq!(ValidatorSet::from_bytes(&bytes(&[a, b, c])).unwrap(), set(&[(1, 1), (2, 2), (3, 3)]));
    for wrong in [bytes(&[b, a, c]), bytes(&[a, c, b]), bytes(&[a, a, b])] {
        assert!(matches!(ValidatorSet::from_bytes(&wrong), Err(ValidatorsError::Order { .. })));
    }
    let trailing = [bytes(&[a, b, c]), vec![0]].concat();
    assert!(matches!(
        ValidatorSet::from_bytes(&trailing),
        Err(ValidatorsError::Codec(CodecError::Trailing { what: "validator set", extra: 1 }))
    ));
    assert!(matches!(ValidatorSet::from_bytes(&[0]), Err(ValidatorsError::Count { found: 0 })));
    assert!(matches!(ValidatorSet::from_bytes(&[]), Err(ValidatorsError::Codec(CodecError::Malformed { .. }))));
    assert!(matches!(
        ValidatorSet::from_bytes(&vec![0; 64 * 1024 + 1]),
        Err(ValidatorsError::Codec(CodecError::TooLong { limit: 65_536, .. }))
    ));
}

fn weights() -> impl Strategy<Value = Vec<u64>> {
    // Small ones, at which thresholds move, and ones whose sum is just below the limit.
    prop_oneof![
        prop::collection::vec(1u64..4, 1..12),
        prop::collection::vec(1u64..=u64::MAX / 12, 1..12),
        prop::collection::vec(Just(u64::MAX / 12), 1..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn two_quorums_share_more_than_may_lie(weights in weights()) {
        let validators: Vec<(u8, u64)> = (1..).zip(weights.iter().copied()).collect();
        check_thresholds(&set(&validators), &weights);
    }

    #[test]
    fn places_follow_the_keys_and_bytes_give_the_set_back(weights in weights(), rotate in 0usize..12) {
        let mut validators: Vec<Validator> = (1..).zip(&weights).map(|(seed, weight)| validator(seed, *weight)).collect();
        let straight = ValidatorSet::new(validators.clone()).unwrap();
        validators.rotate_left(rotate % weights.len());
        let set = ValidatorSet::new(validators.clone()).unwrap();
        prop_assert_eq!(&set, &straight);
        prop_assert!(set.as_slice().is_sorted_by_key(|validator| validator.key));
        for validator in validators {
            let place = set.place(&validator.key).unwrap();
            prop_assert_eq!(set.get(place), Some(&validator));
            prop_assert_eq!(set.weight(place), validator.weight.0);
        }
        prop_assert_eq!((set.place(&key(200)), set.get(set.len() as u16), set.weight(u16::MAX)), (None, None, 0));
        prop_assert_eq!(ValidatorSet::from_bytes(&set.to_bytes()), Ok(set));
    }

    #[test]
    fn updates_match_a_model(weights in weights(), updates in prop::collection::vec((1u8..16, 0u64..3), 0..20)) {
        let validators: Vec<(u8, u64)> = (1..).zip(weights.iter().copied()).collect();
        let mut model: std::collections::BTreeMap<u8, u64> = validators.iter().copied().collect();
        for (seed, weight) in &updates {
            model.insert(*seed, *weight);
        }
        model.retain(|_, weight| *weight > 0);
        let updates: Vec<ValidatorUpdate> = updates
            .iter()
            .map(|(seed, weight)| ValidatorUpdate { key: key(*seed), weight: Weight(*weight) })
            .collect();
        let updated = set(&validators).updated(&updates);
        let expected: Vec<(u8, u64)> = model.into_iter().collect();
        match expected.is_empty() {
            true => prop_assert_eq!(updated, Err(ValidatorsError::Count { found: 0 })),
            false => prop_assert_eq!(updated, Ok(set(&expected))),
        }
    }
}

#[test]
fn a_genesis_names_its_validators_and_refuses_a_wrong_set() {
    let set = set(&[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let genesis = Genesis::bft("four", &set, Timestamp(0));
    assert_eq!(genesis.check(), Ok(()));
    let mut broken = genesis;
    broken.engine.parameters = codec::encode(&0u8).into();
    assert!(matches!(broken.check(), Err(GenesisError::EngineParameters { .. })));
}
