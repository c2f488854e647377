//! What the contract says beforehand that a record will read is what it reads.
#![allow(clippy::unwrap_used, missing_docs)]

use ledger_contracts::Contract;
use ledger_core::AccountId;
use ledger_crypto::Digest;
use ledger_traceability::contract::{RECORD, TRACE, Traceability};
use ledger_traceability::epcis::{self, Limits};
use ledger_traceability::records::{event_name, item_name};
use std::collections::BTreeSet;

fn told(method: &str, arguments: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    Traceability::default().expected_reads(&AccountId(Digest::ZERO), method, arguments, &mut names);
    names
}

#[test]
fn the_event_and_its_items_are_told() {
    let document = include_bytes!("../../../examples/data/coffee.jsonld");
    let events = epcis::read("coffee", document, &Limits::default()).unwrap().events;
    let mut most = 0;
    for event in &events {
        let names = told(RECORD, &event.to_bytes());
        assert_eq!(names.first(), Some(&event_name(&event.key())));
        let mentioned: Vec<_> = event.mentions().iter().map(|mention| item_name(&mention.item)).collect();
        most = most.max(mentioned.len());
        let told: BTreeSet<_> = names.iter().skip(1).cloned().collect();
        // As many as are read together.
        if mentioned.len() <= 15 {
            assert_eq!(told, mentioned.into_iter().collect());
        } else {
            assert!(told.len() <= 15 && told.is_subset(&mentioned.into_iter().collect()));
        }
    }
    assert!(most > 2, "{most}");
}

#[test]
fn what_only_asks_or_is_no_event_is_told_little_of() {
    assert!(told(TRACE, b"urn:x:1").is_empty());
    assert!(told(RECORD, &[b'"'; 1 << 20]).is_empty());
    assert_eq!(told(RECORD, b"no event").len(), 1);
}
