//! A document that breaks the standard is refused whole, by an error that names document, event and field.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ledger_traceability::epcis::{self, Limits, Problem, Reason};
use serde_json::{Value, json};

/// An event of each type with every field that the standard knows for it.
fn full_events() -> Vec<Value> {
    let sensor = json!([{
        "sensorMetadata": {"time": "2026-01-01T00:00:00Z", "deviceID": "urn:x:d", "deviceMetadata": "urn:x:m", "rawData": "urn:x:r",
            "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T01:00:00Z", "dataProcessingMethod": "urn:x:p", "bizRules": "urn:x:b"},
        "sensorReport": [{"type": "Temperature", "exception": "ALARM_CONDITION", "component": "x", "time": "2026-01-01T00:00:00Z",
            "deviceID": "urn:x:d", "deviceMetadata": "urn:x:m", "rawData": "urn:x:r", "dataProcessingMethod": "urn:x:p", "bizRules": "urn:x:b",
            "microorganism": "urn:x:o", "chemicalSubstance": "urn:x:c", "coordinateReferenceSystem": "urn:x:s", "uriValue": "urn:x:v",
            "stringValue": "s", "booleanValue": true, "hexBinaryValue": "0aF", "value": 1.5, "minValue": 1, "maxValue": 2, "meanValue": 1.5,
            "sDev": 0.1, "percRank": 50, "percValue": 1.4, "uom": "CEL"}]
    }]);
    let common = json!({
        "eventTime": "2026-01-01T00:00:00.123+01:00", "eventTimeZoneOffset": "+01:00", "recordTime": "2026-01-02T00:00:00Z",
        "eventID": "urn:uuid:1", "certificationInfo": ["https://c.example.com/1"],
        "errorDeclaration": {"declarationTime": "2026-01-03T00:00:00Z", "reason": "incorrect_data", "correctiveEventIDs": ["urn:uuid:2"]},
        "bizStep": "shipping", "disposition": "in_transit",
        "readPoint": {"id": "urn:x:place"}, "bizLocation": {"id": "urn:x:place"},
        "bizTransactionList": [{"type": "po", "bizTransaction": "urn:x:po"}],
        "sourceList": [{"type": "owning_party", "source": "urn:x:a"}],
        "destinationList": [{"type": "possessing_party", "destination": "urn:x:b"}],
        "sensorElementList": sensor,
    });
    let quantity = json!([{"epcClass": "urn:x:class", "quantity": 10, "uom": "KGM"}]);
    let persistent = json!({"set": ["active"], "unset": ["damaged"]});
    let own = [
        json!({"type": "ObjectEvent", "action": "ADD", "epcList": ["urn:x:1"], "quantityList": quantity, "ilmd": {"x:y": 1},
            "persistentDisposition": persistent}),
        json!({"type": "AggregationEvent", "action": "ADD", "parentID": "urn:x:p", "childEPCs": ["urn:x:1"], "childQuantityList": quantity}),
        json!({"type": "TransactionEvent", "action": "ADD", "parentID": "urn:x:p", "epcList": ["urn:x:1"], "quantityList": quantity}),
        json!({"type": "TransformationEvent", "inputEPCList": ["urn:x:1"], "inputQuantityList": quantity, "outputEPCList": ["urn:x:2"],
            "outputQuantityList": quantity, "transformationID": "urn:x:t", "ilmd": {"x:y": 1}, "persistentDisposition": persistent}),
        json!({"type": "AssociationEvent", "action": "ADD", "parentID": "urn:x:p", "childEPCs": ["urn:x:1"], "childQuantityList": quantity}),
    ];
    own.into_iter()
        .map(|mut event| {
            let members = event.as_object_mut().unwrap();
            members.extend(common.as_object().unwrap().clone());
            event
        })
        .collect()
}

fn capture(events: Vec<Value>) -> Value {
    json!({
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"x": "urn:x:"}],
        "id": "urn:x:document", "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-01-01T00:00:00Z",
        "instanceIdentifier": "1", "sender": "a", "receiver": "b",
        "epcisHeader": {"epcisMasterData": {"vocabularyList": [{"type": "urn:x:v", "vocabularyElementList": [
            {"id": "urn:x:e", "attributes": [{"id": "urn:x:a", "attribute": "v"}], "children": ["urn:x:c"]}]}]}},
        "epcisBody": {"eventList": events},
    })
}

fn query(events: Vec<Value>) -> Value {
    json!({
        "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", "id": "urn:x:document",
        "type": "EPCISQueryDocument", "schemaVersion": "2.0", "creationDate": "2026-01-01T00:00:00Z",
        "epcisBody": {"queryResults": {"queryName": "q", "subscriptionID": "s", "resultsBody": {"eventList": events}}},
    })
}

fn problems(document: &Value) -> Vec<Problem> {
    match epcis::read("orders.json", document.to_string().as_bytes(), &Limits::default()) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(error.to_string().starts_with("orders.json: "), "{error}");
            match error.reason {
                Reason::Standard { problems, .. } => problems,
                other => panic!("{other}"),
            }
        }
    }
}

/// Every way into `value`, as a JSON pointer and as an error writes it.
fn fields(value: &Value, pointer: &str, written: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let inside = if written.is_empty() { name.clone() } else { format!("{written}.{name}") };
                let pointer = format!("{pointer}/{}", name.replace('/', "~1"));
                out.push((pointer.clone(), inside.clone()));
                fields(inner, &pointer, &inside, out);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                let (pointer, inside) = (format!("{pointer}/{index}"), format!("{written}[{index}]"));
                out.push((pointer.clone(), inside.clone()));
                fields(inner, &pointer, &inside, out);
            }
        }
        _ => {}
    }
}

#[test]
fn whole_documents_are_accepted() {
    assert_eq!(problems(&capture(full_events())), []);
    assert_eq!(problems(&query(full_events())), []);
    for event in full_events() {
        let mut bare = event.clone();
        assert_eq!(problems(&bare).first().map(|problem| problem.field.as_str()), Some("@context"));
        bare["@context"] = json!("https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld");
        assert_eq!(problems(&bare), []);
    }
}

#[test]
fn every_required_field_that_is_removed_is_named() {
    let required = |kind: &str| -> Vec<&str> {
        let mut fields = vec![
            "type",
            "eventTime",
            "eventTimeZoneOffset",
            "errorDeclaration.declarationTime",
            "readPoint.id",
            "bizLocation.id",
            "sourceList[0].type",
            "sourceList[0].source",
            "destinationList[0].type",
            "destinationList[0].destination",
            "bizTransactionList[0].bizTransaction",
            "sensorElementList[0].sensorReport",
            "sensorElementList[0].sensorReport[0].type",
        ];
        fields.extend(match kind {
            "ObjectEvent" => vec!["action", "quantityList[0].epcClass"],
            "TransactionEvent" => vec!["action", "quantityList[0].epcClass", "bizTransactionList"],
            "AggregationEvent" => vec!["action", "childQuantityList[0].epcClass"],
            "AssociationEvent" => vec!["action", "childQuantityList[0].epcClass", "parentID"],
            _ => vec!["inputQuantityList[0].epcClass", "outputQuantityList[0].epcClass"],
        });
        fields
    };
    for (index, event) in full_events().iter().enumerate() {
        let required = required(event["type"].as_str().unwrap());
        let mut all = Vec::new();
        fields(event, "", "", &mut all);
        assert!(required.iter().all(|field| all.iter().any(|(_, written)| written == field)));
        for (pointer, written) in all.iter().filter(|(_, written)| !written.ends_with(']')) {
            let mut events = full_events();
            let (holder, name) = pointer.rsplit_once('/').unwrap();
            events[index].pointer_mut(holder).unwrap().as_object_mut().unwrap().remove(name);
            let found = problems(&capture(events));
            if required.contains(&written.as_str()) {
                assert!(
                    found.iter().any(|problem| problem.event == Some(index)
                        && problem.field == *written
                        && problem.what == "is missing"),
                    "without {written}: {found:?}"
                );
            } else {
                assert_eq!(found, [], "without {written}");
            }
        }
    }
}

#[test]
fn every_field_of_another_type_is_named() {
    // Extension fields, and certificationInfo which may be one or many, take what the others refuse.
    for (index, event) in full_events().iter().enumerate() {
        let mut all = Vec::new();
        fields(event, "", "", &mut all);
        for (pointer, written) in all.iter().filter(|(_, written)| !written.contains("x:y")) {
            let mut events = full_events();
            *events[index].pointer_mut(pointer).unwrap() = Value::Null;
            let found = problems(&capture(events));
            assert!(
                found.iter().any(|problem| problem.event == Some(index) && problem.field == *written),
                "{written} is null: {found:?}"
            );
        }
    }
}

#[test]
fn every_part_of_the_document_around_the_events_is_checked() {
    for (document, required) in [
        (
            capture(full_events()),
            vec![
                "@context",
                "type",
                "schemaVersion",
                "creationDate",
                "epcisBody",
                "epcisBody.eventList",
                "epcisHeader.epcisMasterData.vocabularyList[0].type",
                "epcisHeader.epcisMasterData.vocabularyList[0].vocabularyElementList[0].id",
                "epcisHeader.epcisMasterData.vocabularyList[0].vocabularyElementList[0].attributes[0].id",
            ],
        ),
        (
            query(full_events()),
            vec![
                "@context",
                "type",
                "epcisBody",
                "epcisBody.queryResults",
                "epcisBody.queryResults.queryName",
                "epcisBody.queryResults.resultsBody",
                "epcisBody.queryResults.resultsBody.eventList",
            ],
        ),
    ] {
        let mut all = Vec::new();
        fields(&document, "", "", &mut all);
        all.retain(|(_, written)| !written.contains("eventList["));
        for (pointer, written) in &all {
            let (holder, name) = pointer.rsplit_once('/').unwrap();
            let mut changed = document.clone();
            if let Some(members) = changed.pointer_mut(holder).unwrap().as_object_mut() {
                members.remove(name);
                let found = problems(&changed);
                let named = found.iter().any(|problem| problem.event.is_none() && problem.field == *written);
                assert_eq!(named, required.contains(&written.as_str()), "without {written}: {found:?}");
            }
            if written != "@context[1].x" {
                let mut changed = document.clone();
                *changed.pointer_mut(pointer).unwrap() = Value::Null;
                let found = problems(&changed);
                assert!(found.iter().any(|problem| problem.field == *written), "{written} is null: {found:?}");
            }
        }
    }
}

#[test]
fn rules_between_fields_hold() {
    for (index, changes, field) in [
        (0, json!({"epcList": null, "quantityList": null, "sensorElementList": null}), Some("epcList")),
        (0, json!({"epcList": null, "quantityList": null}), None),
        (0, json!({"epcList": null, "quantityList": null, "readPoint": null}), Some("epcList")),
        (0, json!({"epcList": []}), None),
        (0, json!({"action": "OBSERVE"}), Some("ilmd")),
        (0, json!({"action": "ADDED"}), Some("action")),
        (0, json!({"epcList": ["urn:x:1", "urn:x:1"]}), Some("epcList[1]")),
        (0, json!({"persistentDisposition": {}}), Some("persistentDisposition")),
        (0, json!({"persistentDisposition": {"set": []}}), Some("persistentDisposition.set")),
        (0, json!({"persistentDisposition": {"set": ["gone"]}}), Some("persistentDisposition.set[0]")),
        (0, json!({"persistentDisposition": {"set": ["x:gone"]}}), None),
        (0, json!({"persistentDisposition": {"set": ["active"], "other": []}}), Some("persistentDisposition.other")),
        (0, json!({"quantityList": [{"epcClass": "urn:x:1", "uom": "kg"}]}), Some("quantityList[0].uom")),
        (0, json!({"bizStep": "teleporting"}), Some("bizStep")),
        (0, json!({"bizStep": "https://example.com/teleporting"}), None),
        (0, json!({"bizStep": "urn:epcglobal:cbv:bizstep:shipping"}), Some("bizStep")),
        (0, json!({"disposition": "https://ns.gs1.org/cbv/Disp-active"}), Some("disposition")),
        (0, json!({"sourceList": [{"type": "friend", "source": "urn:x:1"}]}), Some("sourceList[0].type")),
        (
            0,
            json!({"bizTransactionList": [{"type": "chat", "bizTransaction": "urn:x:1"}]}),
            Some("bizTransactionList[0].type"),
        ),
        (
            0,
            json!({"errorDeclaration": {"declarationTime": "2026-01-01T00:00:00Z", "reason": "oops"}}),
            Some("errorDeclaration.reason"),
        ),
        (0, json!({"sensorElementList": [{"sensorReport": []}]}), Some("sensorElementList[0].sensorReport")),
        (
            0,
            json!({"sensorElementList": [{"sensorReport": [{"type": "https://gs1.org/voc/Temperature"}]}]}),
            Some("sensorElementList[0].sensorReport[0].type"),
        ),
        (0, json!({"eventTime": "2026-02-30T00:00:00Z"}), Some("eventTime")),
        (0, json!({"eventTime": "yesterday"}), Some("eventTime")),
        (0, json!({"eventTime": "2026-02-03T00:00:00"}), None),
        (0, json!({"eventTimeZoneOffset": "+14:30"}), Some("eventTimeZoneOffset")),
        (0, json!({"type": "ObjectEvnt"}), Some("type")),
        (0, json!({"type": "https://example.com/MyEvent"}), None),
        (1, json!({"childEPCs": [], "childQuantityList": null}), Some("childEPCs")),
        (1, json!({"childEPCs": null, "childQuantityList": null, "action": "DELETE"}), None),
        (2, json!({"bizTransactionList": []}), Some("bizTransactionList")),
        (2, json!({"epcList": null, "quantityList": []}), Some("epcList")),
        (3, json!({"transformationID": null, "inputEPCList": null, "inputQuantityList": null}), Some("inputEPCList")),
        (3, json!({"transformationID": null, "outputEPCList": [], "outputQuantityList": null}), Some("outputEPCList")),
        (3, json!({"outputEPCList": [], "outputQuantityList": null}), None),
        (4, json!({"childEPCs": null, "childQuantityList": []}), Some("childEPCs")),
    ] {
        let mut events = full_events();
        let members = events[index].as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => members.remove(name),
                value => members.insert(name.clone(), value.clone()),
            };
        }
        let found = problems(&capture(events));
        match field {
            Some(field) => assert!(
                found.iter().any(|problem| problem.event == Some(index) && problem.field == field),
                "{changes}: {found:?}"
            ),
            None => assert_eq!(found, [], "{changes}"),
        }
    }
}

#[test]
fn the_message_counts_events_from_one_and_the_rest_by_number() {
    let mut events = full_events();
    events[2]["eventTime"] = json!("soon");
    let error = epcis::read("orders.json", capture(events).to_string().as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "orders.json: event 3 (eventList[2]): eventTime: `soon` is not a date and time like 2026-01-31T12:00:00Z"
    );
    let many = capture(vec![json!({}); 100]);
    let error = epcis::read("orders.json", many.to_string().as_bytes(), &Limits::default()).unwrap_err().to_string();
    assert!(error.ends_with("; and 80 more"), "{error}");
}

#[test]
fn limits_are_errors_that_name_them() {
    let document = capture(full_events()).to_string();
    let mut limits = Limits::default();
    let message = |limits: &Limits| epcis::read("big.json", document.as_bytes(), limits).unwrap_err().to_string();
    limits.events = 4;
    assert_eq!(message(&limits), "big.json: has 5 events, more than the 4 that a document may have");
    limits = Limits::default();
    limits.event_bytes = 100;
    assert!(message(&limits).starts_with("big.json: event 1 (eventList[0]): has "), "{}", message(&limits));
    limits = Limits::default();
    limits.context_bytes = 10;
    assert!(message(&limits).starts_with("big.json: @context: has "), "{}", message(&limits));
    limits = Limits::default();
    limits.document_bytes = 10;
    assert!(message(&limits).ends_with("more than the 10 that a document may have"));
    limits = Limits::default();
    limits.json.depth = 3;
    assert_eq!(message(&limits), "big.json: line 1: nested deeper than 3 levels");
    limits = Limits::default();
    limits.json.values = 10;
    assert_eq!(message(&limits), "big.json: line 1: more than 10 JSON values in one document");
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    let plain = capture(full_events()).to_string();
    let marked = format!("\u{feff}{plain}");
    let read = |text: &str| epcis::read("x", text.as_bytes(), &Limits::default()).unwrap().events;
    assert_eq!(
        read(&plain).iter().map(epcis::Event::key).collect::<Vec<_>>(),
        read(&marked).iter().map(epcis::Event::key).collect::<Vec<_>>()
    );
}

#[test]
fn a_document_cut_anywhere_is_refused() {
    let whole = capture(full_events()).to_string();
    for length in (0..whole.len()).step_by(7) {
        assert!(epcis::read("cut", &whole.as_bytes()[..length], &Limits::default()).is_err(), "{length}");
    }
}

#[test]
fn whatever_is_accepted_can_be_read() {
    let odd = [
        json!(""),
        json!(" "),
        json!(":"),
        json!("urn:epc:id:sgtin:1.2.3"),
        json!("https://id.gs1.org/01/%ff/10/"),
        json!("\u{1b}[2J\u{0}"),
        json!(-1e300),
        json!(0),
        json!([]),
        json!({}),
        json!([""]),
        json!({"id": ""}),
        json!("9999-12-31T23:59:59.999999999999+14:00"),
        json!("0001-01-01T00:00:00-14:00"),
        json!("é".repeat(500)),
        json!(true),
    ];
    let mut accepted = 0;
    for event in full_events() {
        let mut all = Vec::new();
        fields(&event, "", "", &mut all);
        for (at, (pointer, _)) in all.iter().enumerate() {
            // Every third value for each field, another third for its neighbours.
            for value in odd.iter().skip(at % 3).step_by(3) {
                let mut changed = event.clone();
                *changed.pointer_mut(pointer).unwrap() = value.clone();
                let document = capture(vec![changed]).to_string();
                let Ok(document) = epcis::read("odd", document.as_bytes(), &Limits::default()) else { continue };
                accepted += 1;
                let event = &document.events[0];
                let read = epcis::Event::from_bytes(&event.to_bytes(), &Limits::default()).unwrap();
                assert_eq!(read.key(), event.key());
                assert_eq!(read.mentions(), event.mentions());
                assert_eq!(read.recorder(), event.recorder());
                assert_eq!(read.readings(), event.readings());
                assert_eq!((read.certificates(), read.limits()), (event.certificates(), event.limits()));
                assert_eq!((read.lot_data(), read.promised()), (event.lot_data(), event.promised()));
            }
        }
    }
    assert!(accepted > 200, "{accepted}");
}
