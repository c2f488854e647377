//! What the contract stores, and which events belong to an item's trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use ledger_contracts::BAD_ARGUMENTS;
use ledger_core::codec::{self, Bytes};
use ledger_core::{Failure, Status};
use ledger_traceability::contract::{
    ITEMS, ItemsAnswer, ItemsQuestion, NOT_AN_EVENT, NOT_CANONICAL, RECORD, RecordAnswer, UNKNOWN_ITEM,
};
use ledger_traceability::epcis::Event;
use ledger_traceability::timeline::WarningKind;
use serde_json::{Value, json};
use support::{Ledger, account, event};

fn at(hour: u32, members: Value) -> Value {
    let mut event = json!({"eventTime": format!("2026-01-01T{hour:02}:00:00Z"), "eventID": format!("urn:x:event:{hour}"),
        "sourceList": [{"type": "owning_party", "source": "urn:x:party:a"}]});
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event
}

fn seen(hour: u32, items: &[&str]) -> Value {
    at(hour, json!({"type": "ObjectEvent", "action": "OBSERVE", "epcList": items}))
}

fn packed(hour: u32, action: &str, parent: &str, children: &[&str]) -> Value {
    at(hour, json!({"type": "AggregationEvent", "action": action, "parentID": parent, "childEPCs": children}))
}

fn made(hour: u32, inputs: &[&str], outputs: &[&str]) -> Value {
    at(hour, json!({"type": "TransformationEvent", "inputEPCList": inputs, "outputEPCList": outputs}))
}

/// The hours of the events in the proven timeline of `item`.
fn hours(ledger: &mut Ledger, item: &str) -> Vec<i64> {
    let timeline = ledger.timeline(item).unwrap();
    timeline.lines.iter().map(|line| line.event.time().as_second() / 3600 % 24).collect()
}

fn ledger(events: &[Value]) -> Ledger {
    let mut ledger = Ledger::new();
    for result in ledger.record_json(events) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    ledger
}

#[test]
fn a_container_shares_its_events_only_while_something_is_in_it() {
    let mut ledger = ledger(&[
        seen(1, &["urn:x:crate"]),
        packed(2, "ADD", "urn:x:crate", &["urn:x:apples"]),
        seen(3, &["urn:x:crate"]),
        packed(4, "DELETE", "urn:x:crate", &["urn:x:apples"]),
        packed(5, "ADD", "urn:x:crate", &["urn:x:pears", "urn:x:plums"]),
        seen(6, &["urn:x:crate"]),
        packed(7, "DELETE", "urn:x:crate", &[]),
        seen(8, &["urn:x:crate"]),
        seen(9, &["urn:x:pears"]),
    ]);
    assert_eq!(hours(&mut ledger, "urn:x:apples"), [2, 3, 4]);
    assert_eq!(hours(&mut ledger, "urn:x:pears"), [5, 6, 7, 9]);
    assert_eq!(hours(&mut ledger, "urn:x:crate"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_container_in_a_container_shares_what_happens_to_the_outer_one() {
    let mut ledger = ledger(&[
        packed(1, "ADD", "urn:x:box", &["urn:x:cup"]),
        packed(2, "ADD", "urn:x:pallet", &["urn:x:box"]),
        seen(3, &["urn:x:pallet"]),
        packed(4, "DELETE", "urn:x:pallet", &["urn:x:box"]),
        seen(5, &["urn:x:pallet"]),
        at(
            6,
            json!({"type": "AssociationEvent", "action": "ADD", "parentID": "urn:x:shop", "childEPCs": ["urn:x:box"]}),
        ),
        seen(7, &["urn:x:shop"]),
    ]);
    assert_eq!(hours(&mut ledger, "urn:x:cup"), [1, 2, 3, 4, 6, 7]);
}

#[test]
fn origins_are_followed_up_and_products_down_but_never_across() {
    let mut ledger = ledger(&[
        seen(1, &["urn:x:milk"]),
        seen(2, &["urn:x:rennet"]),
        made(3, &["urn:x:milk", "urn:x:rennet"], &["urn:x:cheese"]),
        made(4, &["urn:x:milk"], &["urn:x:butter"]),
        made(5, &["urn:x:cheese"], &["urn:x:slice1", "urn:x:slice2"]),
        seen(6, &["urn:x:slice1"]),
        seen(7, &["urn:x:butter"]),
    ]);
    assert_eq!(hours(&mut ledger, "urn:x:cheese"), [1, 2, 3, 5, 6]);
    assert_eq!(hours(&mut ledger, "urn:x:butter"), [1, 4, 7]);
    assert_eq!(hours(&mut ledger, "urn:x:milk"), [1, 3, 4, 5, 6, 7]);
    assert_eq!(hours(&mut ledger, "urn:x:rennet"), [2, 3, 5, 6]);
    let butter = ledger.timeline("urn:x:butter").unwrap();
    let kinds: Vec<WarningKind> = butter.warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, [WarningKind::Split], "that the milk was split is known without the cheese being shown");
}

#[test]
fn events_of_one_transformation_are_one_transformation() {
    let with_id = |hour, members: Value| {
        let mut event = at(hour, members);
        event["type"] = json!("TransformationEvent");
        event["transformationID"] = json!("urn:x:batch");
        event
    };
    let mut ledger = ledger(&[
        seen(1, &["urn:x:flour"]),
        with_id(2, json!({"inputEPCList": ["urn:x:flour"]})),
        with_id(3, json!({"inputEPCList": ["urn:x:water"]})),
        with_id(4, json!({"outputEPCList": ["urn:x:bread"]})),
        seen(5, &["urn:x:bread"]),
    ]);
    assert_eq!(hours(&mut ledger, "urn:x:bread"), [1, 2, 3, 4, 5]);
    assert_eq!(hours(&mut ledger, "urn:x:flour"), [1, 2, 3, 4, 5]);
}

#[test]
fn cycles_come_to_an_end() {
    let mut ledger = ledger(&[
        made(1, &["urn:x:a"], &["urn:x:b"]),
        made(2, &["urn:x:b"], &["urn:x:a"]),
        packed(3, "ADD", "urn:x:a", &["urn:x:b"]),
        packed(4, "ADD", "urn:x:b", &["urn:x:a"]),
    ]);
    assert_eq!(hours(&mut ledger, "urn:x:a"), [1, 2, 3, 4]);
}

#[test]
fn an_error_counts_only_when_the_recorder_itself_declares_it() {
    let wrong = made(2, &["urn:x:sand"], &["urn:x:glass"]);
    let mut declaration = wrong.clone();
    declaration["errorDeclaration"] = json!({"declarationTime": "2026-01-02T00:00:00Z", "reason": "did_not_occur"});
    let events = [seen(1, &["urn:x:sand"]), wrong.clone(), seen(3, &["urn:x:glass"])];
    let mut others = ledger(&events);
    let call = others.call(RECORD, &event(&declaration).to_bytes());
    let signed = others.sign("somebody else", call);
    assert!(others.block(vec![signed])[0].receipt.succeeded());
    assert_eq!(hours(&mut others, "urn:x:glass"), [1, 2, 2, 3], "another party cannot undo the event");
    let timeline = others.timeline("urn:x:glass").unwrap();
    assert_eq!(timeline.warnings.iter().filter(|warning| warning.kind == WarningKind::Disputed).count(), 1);
    let mut own = ledger(&events);
    own.record_json(&[declaration]);
    assert_eq!(hours(&mut own, "urn:x:glass"), [2, 2, 3], "what did not occur leads nowhere");
    let timeline = own.timeline("urn:x:glass").unwrap();
    assert_eq!(timeline.flows, []);
    assert!(timeline.warnings.iter().filter(|warning| warning.kind == WarningKind::DeclaredWrong).count() == 2);
}

#[test]
fn one_id_for_two_events_keeps_both_and_warns() {
    let mut second = seen(1, &["urn:x:a"]);
    second["bizStep"] = json!("storing");
    let mut ledger = ledger(&[seen(1, &["urn:x:a"]), second]);
    let timeline = ledger.timeline("urn:x:a").unwrap();
    assert_eq!(timeline.lines.len(), 2);
    assert_eq!(timeline.warnings.iter().map(|warning| warning.kind).collect::<Vec<_>>(), [WarningKind::SameId]);
}

#[test]
fn the_same_event_twice_is_stored_once_and_said_to_be_there() {
    let mut ledger = Ledger::new();
    let twice = [seen(1, &["urn:x:a"]), seen(1, &["urn:x:a"])];
    let answers: Vec<RecordAnswer> =
        ledger.record_json(&twice).iter().map(|result| codec::decode(&result.receipt.output).unwrap()).collect();
    assert!(answers[0].new && !answers[1].new);
    assert_eq!(answers[0].event, answers[1].event);
    assert_eq!(ledger.trace("urn:x:a").unwrap().items[0].1, 1);
}

#[test]
fn an_item_is_found_in_either_spelling() {
    let mut ledger = ledger(&[seen(1, &["urn:epc:id:sgtin:9521141.012345.7"])]);
    assert_eq!(hours(&mut ledger, "https://example.com/01/09521141123454/21/7"), [1]);
}

#[test]
fn what_is_no_canonical_event_is_refused_with_a_reason_and_changes_nothing() {
    let mut ledger = Ledger::new();
    let refusal = |ledger: &mut Ledger, method: &str, arguments: &[u8]| {
        let call = ledger.call(method, arguments);
        let signed = ledger.sign("a", call);
        match ledger.block(vec![signed]).remove(0).receipt.status {
            Status::Failed(Failure::Refused { code, message }) => (code, message.to_string()),
            other => panic!("{other:?}"),
        }
    };
    let bytes = event(&seen(1, &["urn:x:a"])).to_bytes();
    let spaced = [b" ", bytes.as_slice()].concat();
    assert_eq!(refusal(&mut ledger, RECORD, &spaced).0, NOT_CANONICAL);
    assert_eq!(
        refusal(&mut ledger, RECORD, b"{}"),
        (NOT_AN_EVENT, "@context: is missing; type: is missing".to_owned())
    );
    assert_eq!(refusal(&mut ledger, RECORD, b"\xff").0, NOT_AN_EVENT);
    let simulation = ledger.simulate("trace", b"urn:x:a");
    assert!(matches!(simulation.status, Status::Failed(Failure::Refused { code: UNKNOWN_ITEM, .. })), "{simulation:?}");
    let simulation = ledger.simulate("trace", b"\xff");
    assert!(
        matches!(simulation.status, Status::Failed(Failure::Refused { code: BAD_ARGUMENTS, .. })),
        "{simulation:?}"
    );
}

#[test]
fn the_recorder_is_the_account_that_signed() {
    let mut ledger = Ledger::new();
    let bytes = event(&seen(1, &["urn:x:a"])).to_bytes();
    let call = ledger.call(RECORD, &bytes);
    let signed = ledger.sign("somebody", call);
    ledger.block(vec![signed]);
    let timeline = ledger.timeline("urn:x:a").unwrap();
    assert_eq!(timeline.lines[0].recorder, account("somebody"));
    assert_eq!(timeline.lines[0].event.key(), Event::from_bytes(&bytes, &Default::default()).unwrap().key());
}

#[test]
fn items_are_listed_page_by_page() {
    let long = "x".repeat(60_000);
    let mut names: Vec<String> = (0..25).map(|number| format!("urn:x:{number}")).collect();
    names.extend((0..3).map(|number| format!("urn:{number}{long}")));
    let ledger = ledger(&[seen(1, &names.iter().map(String::as_str).collect::<Vec<_>>())]);
    let (mut from, mut found, mut pages) = (Bytes::default(), Vec::new(), 0);
    loop {
        let question = codec::encode(&ItemsQuestion { from: from.clone(), limit: 10 });
        let answer: ItemsAnswer = codec::decode(&ledger.simulate(ITEMS, &question).output).unwrap();
        found.extend(answer.items.iter().map(|item| item.item.to_string()));
        pages += 1;
        match answer.next {
            Some(next) => from = next,
            None => break,
        }
    }
    found.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(found, expected);
    assert!(pages >= 3, "{pages}");
}
