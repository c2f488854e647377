//! Evidence holds exactly where one validator signed two votes that no honest one signs in one view.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::bft::{Network, equivocation};
use ledger_core::*;
use ledger_crypto::{Digest, Signature, Signer};

fn network() -> Network {
    Network::new("four", &[(1, 1), (2, 1), (3, 2), (4, 3)])
}

fn votes() -> [BftVote; 5] {
    let [a, b] = [1, 2].map(|byte| Digest::new([byte; 32]));
    [BftVote::Notarize(a), BftVote::Notarize(b), BftVote::Nullify, BftVote::Finalize(a), BftVote::Finalize(b)]
}

#[test]
fn two_votes_conflict_where_they_share_a_slot_and_differ() {
    // An honest validator notarizes one header, and then finalizes it or nullifies the view.
    let slot = |vote: &BftVote| match vote {
        BftVote::Notarize(_) => 0,
        BftVote::Nullify | BftVote::Finalize(_) => 1,
    };
    for a in votes() {
        for b in votes() {
            assert_eq!(a.conflicts(&b), slot(&a) == slot(&b) && a != b, "{a:?} {b:?}");
            assert_eq!(a.conflicts(&b), b.conflicts(&a));
        }
    }
}

#[test]
fn evidence_verifies_for_conflicting_votes_and_no_others() {
    let network = network();
    let view = View(3);
    for a in votes() {
        for b in votes() {
            let [first, second] = [a, b].map(|vote| (vote, network.signature(&vote, view, 4)));
            let evidence = Evidence { view, first, second, ..equivocation(&network, 4) };
            let expected = if a.conflicts(&b) { Ok(()) } else { Err(EvidenceError::Compatible) };
            assert_eq!(evidence.verify(), expected, "{a:?} {b:?}");
        }
    }
}

#[test]
fn nobody_is_accused_by_anothers_signature() {
    let network = network();
    for (accused, signer) in [(1, 2), (2, 1), (4, 3)] {
        let validator = common::chain::signer(accused).public_key();
        let evidence = Evidence { validator, ..equivocation(&network, signer) };
        assert!(matches!(evidence.verify(), Err(EvidenceError::Signature { key, .. }) if key == validator));
        // Nor by one of the two.
        let mut half = equivocation(&network, accused);
        half.second = equivocation(&network, signer).second;
        assert!(matches!(half.verify(), Err(EvidenceError::Signature { .. })));
    }
}

#[test]
fn no_change_of_evidence_accuses_anybody() {
    let network = network();
    let good = equivocation(&network, 2);
    assert_eq!(good.verify(), Ok(()));
    let bytes = codec::encode(&good);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(evidence) = codec::decode::<Evidence>(&flipped) {
            assert!(evidence.verify().is_err(), "bit {bit}: {evidence:?}");
        }
    }
    let changes: [fn(&mut Evidence); 5] = [
        |evidence| evidence.chain = ChainId(Digest::ZERO),
        |evidence| evidence.epoch = Epoch(1),
        |evidence| evidence.view = View(8),
        |evidence| evidence.first.1 = Signature::new([0; 64]),
        |evidence| evidence.second.0 = BftVote::Notarize(Digest::ZERO),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(matches!(changed.verify(), Err(EvidenceError::Signature { .. })), "change {number}");
    }
}

#[test]
fn two_certificates_convict_who_signed_both_in_one_view() {
    let network = network();
    let headers = network.headers(3);
    let rival = Header { timestamp: headers[1].timestamp.plus(1), ..headers[1].clone() };
    let finality = network.finality();
    let certify = |header: &Header, view, seeds: &[u8]| network.checkpoint(header, View(view), seeds);
    let keys = |evidence: Vec<Evidence>| -> Vec<_> {
        evidence.iter().for_each(|evidence| evidence.verify().unwrap());
        let mut keys: Vec<_> = evidence.iter().map(|evidence| evidence.validator).collect();
        keys.sort_unstable();
        keys
    };
    let of = |seeds: &[u8]| {
        let mut keys: Vec<_> = seeds.iter().map(|seed| common::chain::signer(*seed).public_key()).collect();
        keys.sort_unstable();
        keys
    };
    let one = certify(&headers[1], 7, &[1, 3, 4]);
    assert_eq!(keys(finality.guilty(&one, &certify(&rival, 7, &[2, 3, 4]))), of(&[3, 4]));
    // The same block, and another view.
    assert_eq!(keys(finality.guilty(&one, &certify(&headers[1], 7, &[2, 3, 4]))), of(&[]));
    assert_eq!(keys(finality.guilty(&one, &certify(&rival, 8, &[2, 3, 4]))), of(&[]));
    // What was signed counts, not what is certified by it.
    let by_descent = network.certificate(&headers[1], View(7), &[2, 3, 4], &headers[2..]);
    let by_descent = Checkpoint { header: headers[1].clone(), certificate: codec::encode(&by_descent).into() };
    finality.verify(&by_descent.header, &by_descent.certificate).unwrap();
    assert_eq!(keys(finality.guilty(&one, &by_descent)), of(&[3, 4]));
    // The genesis is final without a certificate.
    let genesis = Checkpoint { header: headers[0].clone(), certificate: Vec::new().into() };
    assert_eq!(keys(finality.guilty(&genesis, &one)), of(&[]));
}
