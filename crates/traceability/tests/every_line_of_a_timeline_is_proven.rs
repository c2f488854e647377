//! Timelines come from bytes that prove them, or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use ledger_core::codec;
use ledger_core::{Genesis, Timestamp, TrustRoot};
use ledger_crypto::Signer as _;
use ledger_traceability::epcis::Role;
use ledger_traceability::timeline::{Timeline, TimelineError, TraceProof, WarningKind, timeline};
use support::{Ledger, coffee, signer};

fn coffee_ledger() -> Ledger {
    let mut ledger = Ledger::new();
    for events in coffee().chunks(100) {
        for result in ledger.record(events) {
            assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
        }
    }
    ledger
}

/// The lots that were sold, which are the ends of all ways.
fn sold() -> Vec<String> {
    let sales = coffee().into_iter().filter(|event| event.text("bizStep") == Some("retail_selling"));
    sales.map(|event| event.mentions()[0].item.to_string()).collect()
}

fn kinds(timeline: &Timeline) -> Vec<WarningKind> {
    timeline.warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn every_coffee_lot_has_a_proven_history_from_farm_to_cup() {
    let mut ledger = coffee_ledger();
    let mut counts: BTreeMap<WarningKind, usize> = BTreeMap::new();
    for lot in sold() {
        let timeline = ledger.timeline(&lot).unwrap();
        let steps: Vec<&str> = timeline.lines.iter().filter_map(|line| line.event.text("bizStep")).collect();
        for step in [
            "commissioning",
            "coffee:processing",
            "inspecting",
            "packing",
            "shipping",
            "transporting",
            "receiving",
            "unpacking",
            "coffee:roasting",
            "retail_selling",
        ] {
            assert!(steps.contains(&step), "{lot} lacks {step}");
        }
        assert!(timeline.lines.is_sorted_by_key(|line| line.event.time()));
        assert!(timeline.lines.iter().filter_map(|line| line.delivery).all(|delivery| delivery.received.is_some()));
        for kind in kinds(&timeline) {
            *counts.entry(kind).or_default() += 1;
        }
        let text = timeline.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.matches("! WARNING").count(), timeline.warnings.len());
    }
    // Both halves of the split lot say that it was split.
    let expected = [
        (WarningKind::Excursion, 2),
        (WarningKind::Late, 1),
        (WarningKind::Certificate, 1),
        (WarningKind::Split, 2),
        (WarningKind::Blend, 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn a_blend_shows_both_origins_and_a_harvest_what_became_of_it() {
    let mut ledger = coffee_ledger();
    let blend = coffee()
        .into_iter()
        .find(|event| event.mentions().iter().filter(|named| named.role == Role::Input).count() == 2);
    let blended = blend.unwrap().mentions().into_iter().find(|named| named.role == Role::Output).unwrap().item;
    let timeline = ledger.timeline(blended.as_str()).unwrap();
    let harvests = timeline.lines.iter().filter(|line| line.event.text("bizStep") == Some("commissioning"));
    let cherries: Vec<String> = harvests.map(|line| line.event.mentions()[0].item.to_string()).collect();
    assert_eq!(cherries.len(), 2);
    // From one of the origins, the other one is no history of it, but the blend is its future.
    let origin = ledger.timeline(&cherries[0]).unwrap();
    assert!(origin.lines.len() < timeline.lines.len());
    assert!(origin.flows.iter().any(|flow| flow.to == blended));
    assert!(
        origin.lines.iter().all(|line| line.event.mentions().iter().all(|named| named.item.as_str() != cherries[1]))
    );
}

#[test]
fn without_any_one_proof_there_is_no_timeline() {
    let mut ledger = Ledger::new();
    let lot = sold()[0].clone();
    ledger.record(&coffee());
    let (root, checkpoint, whole) = (ledger.trust_root(), ledger.checkpoint(), ledger.prove(&lot));
    assert!(timeline(&root, &checkpoint, &codec::encode(&whole)).is_ok());
    let verdict = |proof: &TraceProof| timeline(&root, &checkpoint, &codec::encode(proof)).map(|_| ());
    for at in 0..whole.states.len() {
        let mut states = whole.states.clone().into_vec();
        let missing = states.remove(at).key;
        let verdict = verdict(&TraceProof { states: states.into(), ..whole.clone() });
        assert!(matches!(verdict, Err(TimelineError::Unproven { .. })), "without {missing:?}: {verdict:?}");
    }
    for at in 0..whole.transactions.len() {
        let mut transactions = whole.transactions.clone().into_vec();
        transactions.remove(at);
        let verdict = verdict(&TraceProof { transactions: transactions.into(), ..whole.clone() });
        assert!(matches!(verdict, Err(TimelineError::Unproven { .. })), "{verdict:?}");
    }
}

#[test]
fn no_changed_byte_is_accepted() {
    let mut ledger = Ledger::new();
    let lot = sold()[0].clone();
    ledger.record(&coffee());
    let (root, checkpoint, proof) = (ledger.trust_root(), ledger.checkpoint(), codec::encode(&ledger.prove(&lot)));
    let honest = timeline(&root, &checkpoint, &proof).unwrap().to_string();
    let step = proof.len() / 211;
    for at in (0..proof.len()).step_by(step) {
        let mut changed = proof.clone();
        changed[at] ^= 1 << (at % 8);
        // The item asked for is the only thing that a proof may freely choose; no other one is proven here.
        assert!(timeline(&root, &checkpoint, &changed).is_err(), "byte {at} of {}", proof.len());
    }
    for at in 0..checkpoint.len() {
        let mut changed = checkpoint.clone();
        changed[at] ^= 1;
        assert!(timeline(&root, &changed, &proof).is_err(), "byte {at} of the checkpoint");
    }
    for length in (0..proof.len()).step_by(step) {
        assert!(timeline(&root, &checkpoint, &proof[..length]).is_err());
    }
    assert_eq!(timeline(&root, &checkpoint, &proof).unwrap().to_string(), honest);
}

#[test]
fn another_trust_root_trusts_nothing_of_it() {
    let mut ledger = Ledger::new();
    let lot = sold()[0].clone();
    ledger.record(&coffee());
    let (checkpoint, proof) = (ledger.checkpoint(), codec::encode(&ledger.prove(&lot)));
    let other = Genesis::solo("coffee", signer("somebody else").public_key(), Timestamp(1_700_000_000_000));
    let verdict = timeline(&codec::encode(&TrustRoot::new(other)), &checkpoint, &proof);
    assert!(matches!(verdict, Err(TimelineError::Trust(_))), "{verdict:?}");
}

#[test]
fn a_proof_is_held_against_its_own_checkpoint_only() {
    let mut ledger = Ledger::new();
    let lot = sold()[0].clone();
    let events = coffee();
    ledger.record(&events);
    let (root, before, proof) = (ledger.trust_root(), ledger.checkpoint(), codec::encode(&ledger.prove(&lot)));
    ledger.block(Vec::new());
    let after = ledger.checkpoint();
    assert!(timeline(&root, &before, &proof).is_ok());
    assert!(matches!(timeline(&root, &after, &proof), Err(TimelineError::Proof { .. })));
}

#[test]
fn another_deployment_is_not_the_contract() {
    let mut ledger = Ledger::new();
    let lot = sold()[0].clone();
    ledger.record(&coffee());
    let root = ledger.trust_root();
    let mut proof = ledger.prove(&lot);
    let checkpoint = ledger.checkpoint();
    proof.deployment = proof.transactions[0].clone();
    let verdict = timeline(&root, &checkpoint, &codec::encode(&proof));
    assert!(matches!(verdict, Err(TimelineError::WrongContract { .. })), "{verdict:?}");
}
