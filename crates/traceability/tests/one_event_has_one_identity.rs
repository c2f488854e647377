//! An event is the same event however it is spelled, and another one when anything in it differs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use ledger_core::codec;
use ledger_traceability::contract::{RECORD, RecordAnswer};
use ledger_traceability::epcis::{self, Event, Identity, Limits};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::Ledger;

fn read(value: &Value) -> Event {
    Event::from_bytes(value.to_string().as_bytes(), &Limits::default()).unwrap()
}

/// An event with about everything in it.
fn full() -> Value {
    json!({
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"mine": "https://ns.example.com/mine/"}],
        "type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning", "disposition": "active",
        "eventTime": "2024-02-29T23:59:59.5+01:00", "eventTimeZoneOffset": "+01:00",
        "eventID": "urn:uuid:1", "recordTime": "2024-03-01T00:00:00Z",
        "epcList": ["urn:epc:id:sgtin:0614141.107346.2017", "urn:epc:id:sgtin:0614141.107346.2018"],
        "quantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200.50, "uom": "KGM"}],
        "persistentDisposition": {"set": ["completeness_verified"], "unset": ["completeness_inferred"]},
        "readPoint": {"id": "urn:epc:id:sgln:0614141.07346.1234", "mine:door": 7},
        "bizLocation": {"id": "urn:epc:id:sgln:0614141.07346.0"},
        "bizTransactionList": [
            {"type": "po", "bizTransaction": "urn:epc:id:gdti:0614141.06012.1234"},
            {"type": "inv", "bizTransaction": "urn:x:invoice"},
        ],
        "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00000"}],
        "destinationList": [{"type": "location", "destination": "urn:epc:id:sgln:4012345.00001.0"}],
        "certificationInfo": ["https://example.com/certificate"],
        "sensorElementList": [{
            "sensorMetadata": {"startTime": "2024-02-29T22:00:00+01:00", "endTime": "2024-02-29T23:00:00+01:00", "mine:probe": "a"},
            "sensorReport": [
                {"type": "Temperature", "minValue": 1.0, "maxValue": 1e1, "meanValue": 5.25, "uom": "CEL"},
                {"type": "gs1:RelativeHumidity", "value": 60, "uom": "P1", "exception": "ALARM_CONDITION"},
            ],
        }],
        "ilmd": {"cbvmda:lotNumber": "998877", "mine:grade": {"mine:score": 84.5, "mine:marks": ["a", "b"]}},
        "mine:note": "seen by the gate",
    })
}

/// The same event, spelled otherwise throughout.
fn respelled() -> Value {
    json!({
        "ilmd": {"mda:lotNumber": "998877", "own:grade": {"own:marks": ["a", "b"], "own:score": 845e-1}},
        "own:note": "seen by the gate",
        "sensorElementList": [{
            "sensorReport": [
                {"uom": "P1", "value": 6.0e1, "type": "RelativeHumidity", "exception": "gs1:ALARM_CONDITION"},
                {"uom": "CEL", "meanValue": 5.250, "maxValue": 10, "minValue": 1, "type": "gs1:Temperature"},
            ],
            "sensorMetadata": {"own:probe": "a", "endTime": "2024-02-29T22:00:00Z", "startTime": "2024-02-29T13:00:00.000-08:00"},
        }],
        "certificationInfo": ["https://example.com/certificate"],
        "destinationList": [{"destination": "https://example.com/some/path/414/4012345000016", "type": "location"}],
        "sourceList": [{"source": "https://id.gs1.org/417/4012345000009?x=y", "type": "owning_party"}],
        "bizTransactionList": [
            {"bizTransaction": "urn:x:invoice", "type": "inv"},
            {"bizTransaction": "https://id.gs1.org/253/06141410601221234", "type": "po"},
        ],
        "bizLocation": {"id": "https://id.gs1.org/414/0614141073467"},
        "readPoint": {"own:door": 7.0, "id": "https://example.org/414/0614141073467/254/1234"},
        "persistentDisposition": {"unset": ["completeness_inferred"], "set": ["completeness_verified"]},
        "quantityList": [{"uom": "KGM", "quantity": 2005e-1, "epcClass": "https://id.gs1.org/01/04012345123456/10/998877"}],
        "epcList": ["https://id.gs1.org/01/10614141073464/21/2018", "urn:epc:id:sgtin:0614141.107346.2017"],
        "recordTime": "2025-01-01T00:00:00Z", "eventID": "urn:uuid:2",
        "eventTimeZoneOffset": "+01:00", "eventTime": "2024-02-29T22:59:59.500Z",
        "disposition": "active", "bizStep": "commissioning", "action": "ADD", "type": "ObjectEvent",
        "@context": [{"own": "https://ns.example.com/mine/", "mda": "urn:epcglobal:cbv:mda"},
                     "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    })
}

#[test]
fn an_event_spelled_otherwise_is_the_same_event() {
    let (one, other) = (read(&full()), read(&respelled()));
    assert_ne!(one.to_bytes(), other.to_bytes());
    assert_eq!(one.pre_hash(), other.pre_hash());
    assert_eq!((one.identity(), one.hash_id()), (other.identity(), other.hash_id()));
}

#[test]
fn the_second_sending_in_any_spelling_is_told_that_the_event_is_there() {
    let mut ledger = Ledger::new();
    let mut answers = Vec::new();
    for (who, sent) in [("first", full()), ("second", respelled()), ("first", full())] {
        let call = ledger.call(RECORD, &read(&sent).to_bytes());
        let signed = ledger.sign(who, call);
        let result = ledger.block(vec![signed]).remove(0);
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
        let answer: RecordAnswer = codec::decode(&result.receipt.output).unwrap();
        assert_eq!(result.events.len(), usize::from(answer.new), "only what is new is announced");
        answers.push(answer);
    }
    assert_eq!(answers.iter().map(|answer| answer.new).collect::<Vec<_>>(), [true, false, false]);
    assert!(answers.iter().all(|answer| answer.event == answers[0].event));
    let timeline = ledger.timeline("https://id.gs1.org/01/04012345123456/10/998877").unwrap();
    assert_eq!(timeline.lines.len(), 1);
    assert_eq!(timeline.lines[0].recorder, support::account("first"));
}

/// The ways to all values that aren't lists or objects.
fn leaves(value: &Value, way: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| leaves(value, &format!("{way}/{}", name.replace('/', "~1")), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| leaves(item, &format!("{way}/{at}"), found))
        }
        _ => found.push(way.to_owned()),
    }
}

/// Other values that the field may have.
fn others(way: &str, value: &Value) -> Vec<Value> {
    let name = way.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap();
    let words = |words: &[&str]| words.iter().map(|word| json!(word)).collect();
    match (name, value) {
        ("eventTimeZoneOffset", _) => words(&["+02:00", "-01:00", "+00:00"]),
        ("action" | "type", _) if way.matches('/').count() == 1 => Vec::new(),
        ("bizStep", _) => words(&["shipping", "urn:x:step"]),
        ("disposition" | "set" | "unset", _) => words(&["damaged", "urn:x:state"]),
        ("type", _) if way.starts_with("/bizTransactionList") => words(&["bol", "urn:x:kind"]),
        ("type", _) if way.starts_with("/sensor") => words(&["Speed", "urn:x:kind"]),
        ("type", _) => words(&["possessing_party", "urn:x:kind"]),
        ("uom", _) => words(&["GRM", "FAH"]),
        (_, Value::Number(_)) => vec![json!(-3), json!(0.001), json!(1e300)],
        (_, Value::String(text)) if text.len() > 18 && text.as_bytes()[10] == b'T' => {
            words(&["2024-02-29T22:59:59.500000001Z", "2024-03-01T00:00:00+01:00", "1999-12-31T00:00:00Z"])
        }
        (_, Value::String(text)) => vec![json!(format!("{text}x")), json!("urn:x:other")],
        _ => vec![Value::Null],
    }
}

#[test]
fn an_event_that_differs_in_any_field_is_another_event() {
    let whole = full();
    let original = read(&whole).identity();
    let mut keys = BTreeMap::from([(original, "the original".to_owned())]);
    let mut ways = Vec::new();
    leaves(&whole, "", &mut ways);
    let mut changed = 0;
    for way in &ways {
        let left_out = ["/eventID", "/recordTime"].contains(&way.as_str()) || way.starts_with("/@context/0");
        for other in others(way, whole.pointer(way).unwrap()) {
            let mut event = whole.clone();
            *event.pointer_mut(way).unwrap() = other.clone();
            let Ok(event) = Event::from_bytes(event.to_string().as_bytes(), &Limits::default()) else { continue };
            if left_out {
                assert_eq!(event.identity(), original, "{way}");
            } else if let Some(before) = keys.insert(event.identity(), format!("{way} = {other}")) {
                panic!("{way} = {other} is the same as {before}");
            }
            changed += 1;
        }
    }
    for name in whole.as_object().unwrap().keys().filter(|name| !["eventID", "recordTime"].contains(&name.as_str())) {
        let mut event = whole.clone();
        event.as_object_mut().unwrap().remove(name);
        let Ok(event) = Event::from_bytes(event.to_string().as_bytes(), &Limits::default()) else { continue };
        assert!(keys.insert(event.identity(), format!("without {name}")).is_none(), "without {name}");
        changed += 1;
    }
    assert!(changed > 70, "{changed} changes");
}

#[test]
fn what_the_standards_hash_cannot_tell_apart_the_key_can() {
    let with = |members: Value| {
        let mut event = json!({
            "@context": [{"x": "http://x.example/"}], "type": "ObjectEvent", "action": "OBSERVE",
            "eventTime": "2026-01-01T00:00:00Z", "eventTimeZoneOffset": "+00:00", "epcList": ["urn:x:1"],
        });
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        read(&event)
    };
    for (one, other) in [
        // One value that reads like two.
        (json!({"x:a": "1", "x:b": "2"}), json!({"x:a": "1{http://x.example/}b=2"})),
        (json!({"x:a": [1, 2]}), json!({"x:a": [2, 1]})),
        (json!({"x:a": 7}), json!({"x:a": "7"})),
        (json!({"x:a": {}}), json!({"x:a": []})),
        (json!({"certificationInfo": "urn:x:c"}), json!({"certificationInfo": "urn:x:d"})),
        (json!({"eventTime": "2026-01-01T00:00:00.0001Z"}), json!({"eventTime": "2026-01-01T00:00:00.0002Z"})),
        (json!({}), json!({"errorDeclaration": {"declarationTime": "2026-01-02T00:00:00Z"}})),
    ] {
        let (one, other) = (with(one), with(other));
        assert_eq!(one.pre_hash(), other.pre_hash());
        assert_ne!(one.identity(), other.identity(), "{:?}", one.pre_hash());
    }
    let declared = with(json!({"errorDeclaration": {"declarationTime": "2026-01-02T00:00:00Z"}}));
    assert_eq!(declared.content_identity(), with(json!({})).identity());
}

/// The hash IDs that the reference implementation of the algorithm publishes for the files of the same content (version CBV2.0).
const PUBLISHED: &[(&str, &str)] = &[
    ("ObjectEvent_all_possible_fields.json", "9811bfb2672e9c3a0f6151be339d22b60db375c8b23d2740f6137cc6539f0639"),
    ("AggregationEvent_all_possible_fields.json", "41cf5d2be6b6926acc531597e43932eb4b9b23926ccb6ce08c882bda7a74d1a8"),
    ("AssociationEvent_all_possible_fields.json", "3dada0cdabe84618e9f0b842031159cb49534f487d5714cac9cfd647bf5f6c54"),
    ("TransactionEvent_all_possible_fields.json", "4a85d64a96409f0c57baed258666b26d83e6690d204a8aaed4c7e2624d8b0c81"),
    (
        "TransformationEvent_all_possible_fields.json",
        "529cc54b8cf9d8664208cc6c77473274d8c2dd473469920a7d09a814623f52cc",
    ),
    ("epcisDocWithAllGS1Keys.json", "40744f32beff53a4bf5bb5956d465cb52de5bbcc9f131409d8efb903b04d9351"),
];

const DOCUMENTS: &str = "epcis-openepcis/test-resources/core/src/main/resources/2.0/EPCIS/JSON/Capture/Documents";

#[test]
fn hash_ids_are_those_that_the_reference_implementation_publishes() {
    for (name, hash) in PUBLISHED {
        let Some(text) = ledger_testdata::read(&format!("{DOCUMENTS}/{name}")) else { return };
        let document = epcis::read(name, text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(document.events[0].hash_id().unwrap(), format!("ni:///sha-256;{hash}?ver=CBV2.0"), "{name}");
    }
}

#[test]
fn short_vectors_of_the_reference_implementation_agree() {
    let place = json!({"id": "https://id.gs1.de/414/4012345000115"});
    let context = json!("https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld");
    let vectors = [
        (
            json!({"eventTime": "2023-02-02T11:04:03.1415Z", "epcList": ["https://id.gs1.de/00/040123451111111110"],
                "bizStep": "shipping", "disposition": "in_transit", "readPoint": place}),
            "af7658e711574363633f20b3dadc7bc4c13c6f612cf96d95e03c421c0e58f3c6",
        ),
        (
            json!({"eventTime": "2023-02-02T11:04:03.1414Z", "epcList": ["https://id.gs1.de/00/040123451111111110"],
                "bizStep": "transporting", "readPoint": {"id": "geo:50.947573340894124,6.922120147375441"}}),
            "0550df44527332c1fe417c5837fe61b9e71eaa93307b88519dac549bf2d4dcf9",
        ),
        (
            json!({"eventTime": "2023-02-12T11:04:03.1415Z", "epcList": ["https://id.gs1.de/01/04012345999990/21/XYZ-1234"],
                "certificationInfo": "https://accreditation-council.example.org/certificate/ABC12345",
                "bizStep": "receiving", "disposition": "in_progress", "readPoint": place,
                "sensorElementList": [{
                    "sensorMetadata": {"time": "2023-02-12T11:04:03.1007Z", "bizRules": "https://id.example.com/253/4012345000054987"},
                    "sensorReport": [{"type": "Dimensionless", "exception": "ALARM_CONDITION",
                        "coordinateReferenceSystem": "http://www.opengis.net/def/crs/EPSG/0/27700"}]}]}),
            "bf052637920f56c28bd6bc4ce10bb296203fcddc543f1e293d5a77b07592dcec",
        ),
        (
            json!({"@context": [context, {"example": "https://ns.example.com/epcis/"}],
                "eventTime": "2020-03-04T11:00:30+01:00", "epcList": ["urn:epc:id:sgtin:0614141.011111.987"],
                "bizStep": "departing", "disposition": "in_transit",
                "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.0", "example:myField1": "AB-12"},
                "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epc:id:gdti:4012345.11111.123"}],
                "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00000"}],
                "destinationList": [{"type": "owning_party", "destination": "urn:epc:id:pgln:0614141.00000"}],
                "example:userExt": "CD-34"}),
            "3ae14c02c4bdc220cc31942cf804f6845eb8dec96ba6483391c92a9b165f9329",
        ),
    ];
    for (members, hash) in vectors {
        let mut event =
            json!({"@context": [context], "type": "ObjectEvent", "action": "OBSERVE", "eventTimeZoneOffset": "+01:00"});
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let event = read(&event);
        assert_eq!(
            event.hash_id().unwrap(),
            format!("ni:///sha-256;{hash}?ver=CBV2.0"),
            "{}",
            event.pre_hash().unwrap()
        );
    }
}

#[test]
fn every_published_event_has_an_identity_of_its_own() {
    let Some(verdicts) = ledger_testdata::read("epcis-gs1/our-schema-check.json") else { return };
    let verdicts: Map<String, Value> = serde_json::from_str(&verdicts).unwrap();
    let (mut events, mut stated, mut agreeing) = (0, 0, 0);
    let mut seen: BTreeMap<Identity, String> = BTreeMap::new();
    for name in verdicts.keys() {
        let Some(path) = ledger_testdata::path(name) else { continue };
        let Ok(document) = epcis::read(name, &std::fs::read(path).unwrap(), &Limits::default()) else { continue };
        for event in document.events {
            events += 1;
            let id = event.id().filter(|id| id.starts_with("ni:///sha-256;"));
            stated += usize::from(id.is_some());
            agreeing += usize::from(id == event.hash_id().as_deref());
            // Equal keys are equal hash IDs.
            let hash = event.hash_id().unwrap();
            assert_eq!(seen.entry(event.identity()).or_insert_with(|| hash.clone()), &hash, "{name}");
        }
    }
    println!("{events} events, {} different; {stated} state a hash ID, {agreeing} the one of CBV 2.0", seen.len());
    assert!(events > 1_000 && seen.len() > 900, "{events} events, {} different", seen.len());
}

/// The coffee document's events, one event in two spellings and with other values in each field, error declarations, and what GS1 publishes.
fn many() -> Vec<Event> {
    let read = |value: &Value| Event::from_bytes(value.to_string().as_bytes(), &Limits::default());
    let mut events = support::coffee();
    let mut ways = Vec::new();
    leaves(&full(), "", &mut ways);
    for whole in [full(), respelled()] {
        for way in &ways {
            let Some(value) = whole.pointer(way) else { continue };
            for other in others(way, value) {
                let mut event = whole.clone();
                *event.pointer_mut(way).unwrap() = other.clone();
                events.extend(read(&event));
            }
        }
        let mut declaration = whole.clone();
        declaration["errorDeclaration"] =
            json!({"declarationTime": "2024-03-02T00:00:00Z", "reason": "incorrect_data"});
        events.extend([read(&whole).unwrap(), read(&declaration).unwrap()]);
    }
    let published = ledger_testdata::read("epcis-gs1/our-schema-check.json");
    let published: Map<String, Value> = published.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default();
    for name in published.keys() {
        let Some(path) = ledger_testdata::path(name) else { continue };
        let document = epcis::read(name, &std::fs::read(path).unwrap(), &Limits::default());
        events.extend(document.into_iter().flat_map(|document| document.events));
    }
    events
}

/// For `packages/verifier`, which has to read the same from them in another language: what each is, and which items it names.
#[test]
fn what_other_languages_have_to_read_is_written_where_asked_for() {
    let events = many();
    let contents: std::collections::BTreeSet<Identity> = events.iter().map(Event::content_identity).collect();
    assert!(events.len() > 550 && contents.len() > 500, "{} events, {} contents", events.len(), contents.len());
    let Some(file) = std::env::var_os("LEDGERKIT_EVENTS") else { return };
    let shown = events.iter().map(|event| {
        let content: String = event.content_identity().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let named = event.mentions().into_iter().map(|named| {
            json!([format!("{:?}", named.role).to_lowercase(), named.item.as_str(), named.item.is_faulty(), named.item.short()])
        });
        json!({
            "event": str::from_utf8(&event.to_bytes()).unwrap(), "content": content, "time": event.time().as_nanosecond().to_string(),
            "items": named.collect::<Vec<_>>(),
        })
    });
    std::fs::write(file, Value::from(shown.collect::<Vec<_>>()).to_string()).unwrap();
}

#[test]
fn names_that_would_fill_the_memory_cost_what_they_say() {
    // A long namespace or name that many names or items share.
    let namespace = "n".repeat(20_000);
    let members: Map<String, Value> = (0..10_000).map(|number| (format!("x:{number}"), json!(0))).collect();
    let items = json!(vec![0; 20_000]);
    for (context, extension) in [
        (json!([{"x": namespace}]), json!({"x:all": members})),
        (json!([{"x": namespace}]), json!({"x:all": items})),
        (json!([{"x": "urn:x"}]), json!({format!("x:{}", "y".repeat(20_000)): items})),
        (
            json!([(0..1_000).map(|prefix| (prefix.to_string(), json!("u"))).collect::<Map<_, _>>()]),
            json!({"0:all": vec![json!({"@context": {}}); 10_000]}),
        ),
    ] {
        let mut event = json!({
            "@context": context, "type": "ObjectEvent", "action": "OBSERVE",
            "eventTime": "2026-01-01T00:00:00Z", "eventTimeZoneOffset": "+00:00", "epcList": ["urn:x:1"],
        });
        event.as_object_mut().unwrap().extend(extension.as_object().unwrap().clone());
        let event = read(&event);
        let before = std::time::Instant::now();
        let key = event.identity();
        assert!(before.elapsed() < std::time::Duration::from_secs(20), "{:?}", before.elapsed());
        assert_eq!(Event::from_bytes(&event.to_bytes(), &Limits::default()).unwrap().identity(), key);
        assert!(event.pre_hash().is_none_or(|text| text.len() <= epcis::MAX_PRE_HASH_BYTES));
    }
}

proptest! {
    #[test]
    fn no_value_makes_identity_fail_or_vary(text in ".{0,40}", number in any::<f64>(), depth in 0_usize..20) {
        let mut inner = json!({"mine:t": text, "mine:n": number});
        for _ in 0..depth {
            inner = json!({"mine:deep": [inner, "x"]});
        }
        let mut event = full();
        event["mine:any"] = inner;
        event["epcList"] = json!([text, "urn:x:1"]);
        let Ok(read) = Event::from_bytes(event.to_string().as_bytes(), &Limits::default()) else { return Ok(()) };
        let again = Event::from_bytes(&read.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!((read.identity(), read.hash_id()), (again.identity(), again.hash_id()));
    }
}
