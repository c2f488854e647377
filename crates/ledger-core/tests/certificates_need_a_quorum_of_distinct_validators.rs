//! A header is final only by the votes of distinct validators that together weigh a quorum, in one view of its own epoch
//! and chain; whatever is changed of a certificate or of its header, nothing is final by it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::bft::Network;
use common::random::Rng;
use ledger_core::codec::{Bytes, List};
use ledger_core::*;
use ledger_crypto::{Digest, Signature};

const VIEW: View = View(7);

/// Weights 1, 1, 2 and 3: together 7, so that 2 may lie and 5 decide.
fn network() -> Network {
    Network::new("four", &[(1, 1), (2, 1), (3, 2), (4, 3)])
}

fn verify(network: &Network, header: &Header, certificate: &BftCertificate) -> Result<(), CertificateError> {
    network.finality().verify(header, &codec::encode(certificate))
}

#[track_caller]
fn invalid(result: Result<(), CertificateError>, reason: &str) {
    match result {
        Err(CertificateError::Invalid { reason: found, .. }) => assert!(found.contains(reason), "{found}"),
        other => panic!("{other:?} instead of `{reason}`"),
    }
}

#[track_caller]
fn badly_signed(result: Result<(), CertificateError>) {
    assert!(matches!(result, Err(CertificateError::Signature { .. })), "{result:?}");
}

#[test]
fn exactly_the_subsets_of_a_quorums_weight_certify() {
    let network = network();
    let header = network.headers(1).remove(1);
    assert_eq!((network.set.faulty(), network.set.quorum()), (2, 5));
    for subset in 0u8..16 {
        let seeds: Vec<u8> = (1..=4).filter(|seed| subset & (1 << (seed - 1)) != 0).collect();
        let weight: u64 = seeds.iter().map(|seed| network.set.weight(network.place(*seed))).sum();
        let result = verify(&network, &header, &network.certificate(&header, VIEW, &seeds, &[]));
        assert_eq!(result.is_ok(), weight >= 5, "{seeds:?} weigh {weight}: {result:?}");
        if weight < 5 {
            invalid(result, &format!("weigh {weight}; a quorum is 5"));
        }
    }
}

#[test]
fn a_validator_counts_once_and_votes_stand_in_order() {
    let network = network();
    let header = network.headers(1).remove(1);
    let good = network.certificate(&header, VIEW, &[1, 2, 3, 4], &[]);
    assert_eq!(verify(&network, &header, &good), Ok(()));
    // The heaviest, twice: 6 of 7 if both were counted.
    let twice = [network.certificate(&header, VIEW, &[4], &[]).votes[0]; 2];
    let double = BftCertificate { votes: List::from(twice.to_vec()), ..good.clone() };
    invalid(verify(&network, &header, &double), "out of order, or twice");
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        let mut votes = good.votes.clone().into_vec();
        votes.swap(a, b);
        let permuted = BftCertificate { votes: votes.into(), ..good.clone() };
        invalid(verify(&network, &header, &permuted), "out of order, or twice");
    }
}

#[test]
fn a_vote_of_nobody_and_votes_under_anothers_name_are_refused() {
    let network = network();
    let header = network.headers(1).remove(1);
    let good = network.certificate(&header, VIEW, &[1, 2, 3, 4], &[]);
    for place in [4, 5, 250, 251, 1_024, u16::MAX] {
        let mut votes = good.votes.clone().into_vec();
        votes.push(Signed { validator: place, signature: Signature::new([1; 64]) });
        let stranger = BftCertificate { votes: votes.into(), ..good.clone() };
        invalid(verify(&network, &header, &stranger), &format!("validator {place} of 4"));
    }
    let mut votes = good.votes.clone().into_vec();
    (votes[0].signature, votes[1].signature) = (votes[1].signature, votes[0].signature);
    badly_signed(verify(&network, &header, &BftCertificate { votes: votes.into(), ..good.clone() }));
    // One bad vote spoils a certificate that would have a quorum without it.
    let mut votes = good.votes.clone().into_vec();
    votes[0].signature = Signature::new([0; 64]);
    badly_signed(verify(&network, &header, &BftCertificate { votes: votes.into(), ..good }));
}

#[test]
fn votes_of_another_view_epoch_chain_or_slot_certify_nothing() {
    let network = network();
    let header = network.headers(1).remove(1);
    let seeds = [1, 2, 3, 4];
    let good = network.certificate(&header, VIEW, &seeds, &[]);
    for view in [View(6), View(8), View(0), View(u64::MAX)] {
        badly_signed(verify(&network, &header, &BftCertificate { view, ..good.clone() }));
    }
    let other = Network::new("others", &[(1, 1), (2, 1), (3, 2), (4, 3)]);
    badly_signed(verify(&network, &header, &other.certificate(&header, VIEW, &seeds, &[])));
    let mut later = self::network();
    later.epoch = Epoch(1);
    badly_signed(verify(&network, &header, &later.certificate(&header, VIEW, &seeds, &[])));
    invalid(verify(&later, &header, &good), "epoch 0, not 1");
    for vote in [BftVote::Notarize(header.digest()), BftVote::Nullify] {
        let mut votes = good.votes.clone().into_vec();
        for (vote_of, seed) in votes.iter_mut().zip(seeds_by_place(&network)) {
            vote_of.signature = network.signature(&vote, VIEW, seed);
        }
        badly_signed(verify(&network, &header, &BftCertificate { votes: votes.into(), ..good.clone() }));
    }
}

fn seeds_by_place(network: &Network) -> Vec<u8> {
    let mut seeds = vec![1, 2, 3, 4];
    seeds.sort_by_key(|seed| network.place(*seed));
    seeds
}

#[test]
fn a_header_is_final_with_a_certified_descendant_only_if_the_headers_between_connect() {
    let network = network();
    let headers = network.headers(5);
    for from in 1..=5 {
        let certificate = network.certificate(&headers[from], VIEW, &[3, 4], &headers[from + 1..]);
        assert_eq!(verify(&network, &headers[from], &certificate), Ok(()));
        // The same certificate under every other header.
        for other in (0..=5).filter(|other| *other != from) {
            assert!(verify(&network, &headers[other], &certificate).is_err(), "{from} {other}");
        }
    }
    let good = network.certificate(&headers[1], VIEW, &[3, 4], &headers[2..]);
    let with = |descendants: Vec<Header>| BftCertificate { descendants: descendants.into(), ..good.clone() };
    invalid(verify(&network, &headers[1], &with(headers[3..].to_vec())), "can't follow");
    let mut gap = headers[2..].to_vec();
    gap.remove(1);
    invalid(verify(&network, &headers[1], &with(gap)), "can't follow");
    let mut permuted = headers[2..].to_vec();
    permuted.swap(0, 1);
    invalid(verify(&network, &headers[1], &with(permuted)), "can't follow");
    let mut fork = headers[2..].to_vec();
    fork[0].timestamp = fork[0].timestamp.plus(1);
    invalid(verify(&network, &headers[1], &with(fork)), "parent");
    // The quorum signed the last; without it, it signed something else.
    badly_signed(verify(&network, &headers[1], &with(headers[2..5].to_vec())));
}

#[test]
fn a_descendant_of_the_next_epoch_or_with_a_seal_or_too_far_off_certifies_nothing() {
    let network = network();
    let mut headers = network.headers(2);
    headers[2].epoch = Epoch(1);
    let certificate = network.certificate(&headers[1], VIEW, &[3, 4], &headers[2..]);
    invalid(verify(&network, &headers[1], &certificate), "descendant is of epoch 1, not 0");
    let mut headers = network.headers(2);
    headers[2].seal = Bytes::from(vec![1]);
    let certificate = network.certificate(&headers[1], VIEW, &[3, 4], &headers[2..]);
    let sealed = CertificateError::Seal { height: Height(2), found: 1 };
    assert_eq!(verify(&network, &headers[1], &certificate), Err(sealed));
    let headers = network.headers(finality::MAX_DESCENDANTS as u64 + 2);
    let most = network.certificate(&headers[2], VIEW, &[3, 4], &headers[3..]);
    assert_eq!(verify(&network, &headers[2], &most), Ok(()));
    let more = network.certificate(&headers[1], VIEW, &[3, 4], &headers[2..]);
    invalid(verify(&network, &headers[1], &more), "513 descendants; the limit is 512");
}

#[test]
fn the_checks_are_the_votes_of_the_named_validators_in_their_order() {
    let network = network();
    let headers = network.headers(2);
    let certificate = network.certificate(&headers[1], VIEW, &[1, 3, 4], &headers[2..]);
    let checks = network.finality().checks(&headers[1], &codec::encode(&certificate)).unwrap();
    assert_eq!(checks.len(), 3);
    let vote = BftVote::Finalize(headers[2].digest());
    for (check, signed) in checks.iter().zip(&certificate.votes) {
        assert_eq!(check.key, network.set.get(signed.validator).unwrap().key);
        assert_eq!(check.message, vote.message(network.genesis.chain(), Epoch(0), VIEW));
        assert_eq!((check.domain, check.signature), (domains::SIGN_FINALIZE, signed.signature));
    }
}

#[test]
fn no_certificate_with_a_flipped_bit_or_any_other_change_certifies() {
    let network = network();
    let headers = network.headers(3);
    let (header, finality) = (&headers[1], network.finality());
    let bytes = codec::encode(&network.certificate(header, VIEW, &[1, 3, 4], &headers[2..]));
    let other = codec::encode(&network.certificate(&headers[2], View(9), &[2, 3, 4], &headers[3..]));
    assert_eq!(finality.verify(header, &bytes), Ok(()));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(finality.verify(header, &flipped).is_err(), "bit {bit}");
    }
    for end in 0..bytes.len() {
        assert!(finality.verify(header, &bytes[..end]).is_err(), "cut at {end}");
    }
    let mut rng = Rng(11);
    for number in 0..common::count("LEDGERKIT_MUTATIONS", 3_000, 100_000) {
        let mut mutated = bytes.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.index(mutated.len());
            match rng.below(5) {
                0 => mutated[at] = rng.next() as u8,
                1 => mutated[at] = mutated[at].wrapping_add(1),
                2 => drop(mutated.remove(at)),
                3 => mutated.insert(at, rng.next() as u8),
                _ => {
                    let length = rng.index(80).min(mutated.len() - at);
                    let from = rng.index(other.len() - length);
                    mutated[at..at + length].copy_from_slice(&other[from..from + length]);
                }
            }
        }
        assert!(mutated == bytes || finality.verify(header, &mutated).is_err(), "mutation {number}");
    }
}

#[test]
fn no_header_with_a_changed_field_is_final_by_anothers_certificate() {
    let network = network();
    let header = network.headers(1).remove(1);
    let certificate = network.certificate(&header, VIEW, &[1, 2, 3, 4], &[]);
    let changes: [fn(&mut Header); 10] = [
        |header| header.version = 2,
        |header| header.chain = ChainId(Digest::ZERO),
        |header| header.height = Height(2),
        |header| header.parent = Digest::ZERO,
        |header| header.timestamp = Timestamp(0),
        |header| header.transactions_root = Digest::ZERO,
        |header| header.history.size = 0,
        |header| header.history.root = Digest::ZERO,
        |header| header.epoch = Epoch(1),
        |header| header.seal = Bytes::from(vec![1]),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = header.clone();
        change(&mut changed);
        assert!(verify(&network, &changed, &certificate).is_err(), "change {number}");
    }
}
