//! The coffee document in the repository is the generator's, keeps to the standard and has what the example promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use ledger_traceability::epcis::{self, Event, EventKind, Limits, Role};

#[path = "../examples/coffee_document/document.rs"]
mod document;
#[path = "../examples/coffee_document/facts.rs"]
mod facts;
#[path = "../examples/coffee_document/print.rs"]
mod print;

fn committed() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/coffee.jsonld");
    std::fs::read_to_string(path).unwrap()
}

fn events() -> Vec<Event> {
    epcis::read("coffee.jsonld", committed().as_bytes(), &Limits::default()).unwrap().events
}

#[test]
fn the_committed_document_is_the_generators() {
    let written = document::document(&facts::read(facts::LOTS).unwrap()).pretty(0) + "\n";
    assert!(
        written == committed(),
        "examples/data/coffee.jsonld is stale; write it anew as examples/coffee_document says"
    );
    assert!(written.len() < 1_500_000);
}

#[test]
fn every_lot_has_at_least_eight_events() {
    // Of each green lot: the events that name it, its cherries, its container or what it became.
    let events = events();
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in &events {
        let named = |role| event.mentions().into_iter().filter(move |mention| mention.role == role);
        let green: Vec<String> = match event.kind() {
            EventKind::Transformation if event.text("bizStep") == Some("coffee:processing") => {
                named(Role::Output).map(|mention| mention.item.to_string()).collect()
            }
            EventKind::Transformation => named(Role::Input).map(|mention| mention.item.to_string()).collect(),
            EventKind::Aggregation => named(Role::Child).map(|mention| mention.item.to_string()).collect(),
            _ => Vec::new(),
        };
        for lot in green {
            parts.entry(lot).or_default().extend(event.mentions().iter().map(|mention| mention.item.to_string()));
        }
    }
    assert!(parts.len() >= 40, "{} lots", parts.len());
    for (lot, parts) in &parts {
        let of_lot = events
            .iter()
            .filter(|event| event.mentions().iter().any(|mention| parts.contains(&mention.item.to_string())));
        let count = of_lot.count();
        assert!(count >= 8, "{lot} has {count} events");
    }
}

#[test]
fn the_document_has_the_faults_that_a_trace_is_to_find() {
    let events = events();
    let broken = |event: &Event| {
        event.limits().iter().any(|limit| event.readings().iter().any(|reading| limit.is_broken_by(reading)))
    };
    assert_eq!(events.iter().filter(|event| broken(event)).count(), 2, "temperature excursions");
    let shipped = events.iter().filter(|event| event.text("bizStep") == Some("shipping"));
    let late = shipped.filter(|shipment| {
        let promised = shipment.promised().unwrap();
        let received =
            |event: &&Event| event.text("bizStep") == Some("receiving") && event.mentions() == shipment.mentions();
        events.iter().find(received).unwrap().time() > promised
    });
    assert_eq!(late.count(), 1, "late lots");
    let certified = events.iter().filter(|event| !event.certificates().is_empty());
    let expired = certified.filter(|grading| {
        let lot = grading.mentions()[0].item.clone();
        let certificate = grading.certificates()[0].clone();
        let uses = events.iter().filter(|event| event.mentions().iter().any(|mention| mention.item == lot));
        uses.into_iter().any(|event| event.time() > certificate.until.unwrap())
    });
    assert_eq!(expired.count(), 1, "lots used after their grade expired");
    let roasting = |event: &&Event| event.text("bizStep") == Some("coffee:roasting");
    let inputs =
        |event: &Event| event.mentions().into_iter().filter(|mention| mention.role == Role::Input).collect::<Vec<_>>();
    assert_eq!(events.iter().filter(roasting).filter(|event| inputs(event).len() == 2).count(), 1, "blends");
    let mut roasted: BTreeMap<String, usize> = BTreeMap::new();
    for input in events.iter().filter(roasting).flat_map(inputs) {
        *roasted.entry(input.item.to_string()).or_default() += 1;
    }
    assert_eq!(roasted.values().filter(|times| **times == 2).count(), 1, "split lots");
}
