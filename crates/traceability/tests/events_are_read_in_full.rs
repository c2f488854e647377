//! What the standard has in an event is read: reports of sensors, certificates, conditions, corrections, times, identifiers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use ledger_traceability::contract::RECORD;
use ledger_traceability::epcis::{self, Event, EventKind, Limits, Unit};
use ledger_traceability::timeline::{Standing, Timeline, WarningKind};
use serde_json::{Map, Value, json};
use support::{Ledger, event};

fn sensed(report: Value) -> Event {
    event(&json!({
        "type": "ObjectEvent", "action": "OBSERVE", "eventTime": "2026-01-01T12:00:00+01:00", "eventTimeZoneOffset": "+01:00",
        "readPoint": {"id": "urn:x:cellar"}, "epcList": ["urn:x:lot"],
        "trace:limits": [{"type": "Temperature", "minValue": 0, "maxValue": 8, "uom": "CEL"}],
        "sensorElementList": [{
            "sensorMetadata": {"startTime": "2026-01-01T10:00:00Z", "endTime": "2026-01-01T11:00:00Z",
                "deviceID": "urn:epc:id:giai:4000001.111", "bizRules": "https://example.com/rules"},
            "sensorReport": [report],
        }],
    }))
}

#[test]
fn a_report_is_read_whole() {
    let event = sensed(json!({
        "type": "gs1:Temperature", "value": 4.1, "minValue": -0.5, "maxValue": 8.25, "meanValue": 4, "sDev": 1e-1,
        "percRank": 95, "percValue": 7.9, "uom": "CEL", "time": "2026-01-01T11:30:00", "exception": "gs1:ALARM_CONDITION",
        "component": "x", "chemicalSubstance": "urn:x:ethene", "deviceID": "urn:x:probe",
    }));
    let reading = event.readings().remove(0);
    let written = |number: &Option<epcis::Number>| number.as_ref().unwrap().written.clone();
    assert_eq!((reading.measured.as_str(), reading.unit.symbol()), ("Temperature", "°C"));
    assert_eq!(written(&reading.value), "4.1");
    assert_eq!((written(&reading.minimum), written(&reading.maximum)), ("-0.5".to_owned(), "8.25".to_owned()));
    assert_eq!((written(&reading.mean), written(&reading.deviation)), ("4".to_owned(), "0.1".to_owned()));
    let percentile = reading.percentile.as_ref().unwrap();
    assert_eq!((percentile.rank.written.as_str(), percentile.value.written.as_str()), ("95", "7.9"));
    assert_eq!(
        (reading.lowest().unwrap().to_string(), reading.highest().unwrap().to_string()),
        ("-0.5".to_owned(), "8.25".to_owned())
    );
    let second = |time: Option<jiff::Timestamp>| time.unwrap().to_string();
    assert_eq!(second(reading.time), "2026-01-01T10:30:00Z", "a time without an offset is the event's");
    assert_eq!(
        (second(reading.from), second(reading.until)),
        ("2026-01-01T10:00:00Z".into(), "2026-01-01T11:00:00Z".into())
    );
    assert_eq!(reading.device.as_deref(), Some("urn:x:probe"), "the report's own before the metadata's");
    assert_eq!(reading.rules.as_deref(), Some("https://example.com/rules"));
    assert_eq!(reading.exception.as_deref(), Some("ALARM_CONDITION"));
    assert_eq!((reading.component.as_deref(), reading.substance.as_deref()), (Some("x"), Some("urn:x:ethene")));
}

#[test]
fn limits_hold_across_units_without_rounding() {
    for (report, broken) in [
        (json!({"type": "Temperature", "value": 8, "uom": "CEL"}), false),
        (json!({"type": "Temperature", "value": 8.000000000000000001, "uom": "CEL"}), false),
        (json!({"type": "Temperature", "value": 46.4, "uom": "FAH"}), false),
        (json!({"type": "Temperature", "value": 46.5, "uom": "FAH"}), true),
        (json!({"type": "Temperature", "maxValue": 281.15, "uom": "KEL"}), false),
        (json!({"type": "Temperature", "minValue": 273.14, "uom": "KEL"}), true),
        (json!({"type": "Temperature", "value": 900, "uom": "XYZ"}), false),
        (json!({"type": "Speed", "value": 900, "uom": "CEL"}), false),
        (json!({"type": "Temperature", "stringValue": "hot"}), false),
    ] {
        let event = sensed(report.clone());
        let (limit, reading) = (event.limits().remove(0), event.readings().remove(0));
        assert_eq!(limit.is_broken_by(&reading), broken, "{report}");
    }
    assert_eq!(Unit::new("P71").symbol(), "P71", "what isn't known is shown as it is");
}

fn about(hour: u8, members: Value) -> Value {
    let mut event = json!({
        "type": "ObjectEvent", "action": "OBSERVE", "bizStep": "inspecting", "epcList": ["urn:x:lot"],
        "eventTime": format!("2026-01-01T{hour:02}:00:00Z"),
        "sourceList": [{"type": "owning_party", "source": "urn:x:party"}],
    });
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event
}

fn declared(event: &Value, corrections: &[&str]) -> Value {
    let mut declaration = event.clone();
    declaration["errorDeclaration"] = json!({
        "declarationTime": "2026-02-01T00:00:00Z", "reason": "incorrect_data", "correctiveEventIDs": corrections,
    });
    declaration
}

fn timeline_of(events: &[Value]) -> Timeline {
    let mut ledger = Ledger::new();
    for result in ledger.record_json(events) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    ledger.timeline("urn:x:lot").unwrap()
}

#[test]
fn an_error_and_its_correction_are_linked_both_ways_in_whatever_order_they_came() {
    let wrong = about(1, json!({"eventID": "urn:x:event:1", "disposition": "damaged"}));
    let right = about(2, json!({"eventID": "urn:x:event:2", "disposition": "conformant"}));
    let declaration = declared(&wrong, &["urn:x:event:2", "urn:x:event:elsewhere"]);
    for order in [[&wrong, &declaration, &right], [&declaration, &right, &wrong], [&right, &wrong, &declaration]] {
        let timeline = timeline_of(&order.map(Clone::clone));
        let key = |value: &Value| event(value).key();
        let line = |value: &Value| timeline.lines.iter().find(|line| line.key == key(value)).unwrap();
        let Standing::Withdrawn(withdrawal) = &line(&wrong).standing else { panic!("{:?}", line(&wrong).standing) };
        assert_eq!((withdrawal.by, withdrawal.reason.as_deref()), (key(&declaration), Some("incorrect_data")));
        let corrections: Vec<_> = withdrawal.corrections.iter().map(|correction| correction.event).collect();
        assert_eq!(corrections, [Some(key(&right)), None]);
        assert_eq!(line(&right).corrects, [key(&wrong)]);
        assert_eq!(line(&right).standing, Standing::Stands);
        let Standing::Declaration(declares) = &line(&declaration).standing else { panic!() };
        assert_eq!((declares.of, declares.own), (Some(key(&wrong)), true));
        let held = timeline.state.current.as_ref().unwrap();
        assert_eq!((held.disposition.as_str(), held.by), ("conformant", key(&right)), "what was wrong says nothing");
        let text = timeline.to_string();
        assert!(text.contains("incorrect data") && text.contains("corrects"), "{text}");
    }
}

#[test]
fn a_declaration_about_no_event_or_another_content_is_kept_and_declares_nothing_wrong() {
    let event = about(1, json!({"eventID": "urn:x:event:1"}));
    let mut altered = event.clone();
    altered["bizStep"] = json!("shipping");
    for (events, lines) in [(vec![declared(&event, &[])], 1), (vec![event.clone(), declared(&altered, &[])], 2)] {
        let timeline = timeline_of(&events);
        assert_eq!(timeline.lines.len(), lines);
        let declarations = timeline.lines.iter().filter_map(|line| match &line.standing {
            Standing::Declaration(declaration) => Some(declaration.of),
            Standing::Withdrawn(_) => panic!("nothing is withdrawn"),
            Standing::Stands => None,
        });
        assert_eq!(declarations.collect::<Vec<_>>(), [None]);
        assert!(
            timeline.warnings.iter().any(|warning| warning.text.contains("no record of")),
            "{:?}",
            timeline.warnings
        );
    }
}

#[test]
fn another_partys_declaration_disputes_and_withdraws_nothing() {
    let claimed = about(1, json!({"disposition": "conformant"}));
    let mut ledger = Ledger::new();
    ledger.record_json(std::slice::from_ref(&claimed));
    let call = ledger.call(RECORD, &event(&declared(&claimed, &[])).to_bytes());
    let signed = ledger.sign("somebody else", call);
    ledger.block(vec![signed]);
    let timeline = ledger.timeline("urn:x:lot").unwrap();
    let line = timeline.lines.iter().find(|line| line.key == event(&claimed).key()).unwrap();
    assert_eq!((&line.standing, line.disputed_by.len()), (&Standing::Stands, 1));
    assert!(timeline.warnings.iter().any(|warning| warning.kind == WarningKind::Disputed));
    assert_eq!(timeline.state.current.as_ref().unwrap().disposition, "conformant");
}

#[test]
fn persistent_dispositions_hold_until_they_are_unset_also_through_a_container() {
    let packed = |hour, action: &str, members: Value| {
        let mut event = about(
            hour,
            json!({"type": "AggregationEvent", "action": action, "parentID": "urn:x:box", "childEPCs": ["urn:x:lot"]}),
        );
        event.as_object_mut().unwrap().remove("epcList");
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        event
    };
    let timeline = timeline_of(&[
        about(
            1,
            json!({"persistentDisposition": {"set": ["completeness_inferred", "urn:x:kosher"]}, "disposition": "active"}),
        ),
        packed(2, "ADD", json!({})),
        about(3, json!({"epcList": ["urn:x:box"], "disposition": "in_transit"})),
        packed(4, "DELETE", json!({})),
        about(5, json!({"epcList": ["urn:x:box"], "disposition": "destroyed"})),
        about(
            6,
            json!({"persistentDisposition": {"unset": ["completeness_inferred"], "set": ["completeness_verified"]}}),
        ),
    ]);
    let held = |line: &ledger_traceability::timeline::Line| {
        let state = line.state.as_ref().unwrap();
        let persistent: Vec<_> = state.persistent.iter().map(|held| held.disposition.clone()).collect();
        (state.current.as_ref().unwrap().disposition.clone(), persistent.join(" "))
    };
    let states: Vec<_> = timeline.lines.iter().map(held).collect();
    let expected = [
        ("active", "completeness_inferred kosher"),
        ("active", "completeness_inferred kosher"),
        ("in_transit", "completeness_inferred kosher"),
        ("in_transit", "completeness_inferred kosher"),
        ("in_transit", "completeness_verified kosher"),
    ];
    assert_eq!(states, expected.map(|(current, persistent)| (current.to_owned(), persistent.to_owned())));
    assert_eq!(timeline.state.persistent[1].since.to_string(), "2026-01-01T01:00:00+00:00");
}

#[test]
fn times_are_ordered_by_instant_and_shown_where_they_were() {
    let at = |time: &str, offset: &str| {
        event(&json!({"type": "ObjectEvent", "action": "OBSERVE", "epcList": ["urn:x:lot"],
            "sourceList": [{"type": "owning_party", "source": "urn:x:party"}],
            "eventTime": time, "eventTimeZoneOffset": offset}))
    };
    let events = [
        (at("2024-02-29T23:30:00-12:00", "-12:00"), "2024-02-29T23:30:00-12:00"),
        (at("2024-03-01T00:30:00+14:00", "+14:00"), "2024-03-01T00:30:00+14:00"),
        (at("2024-02-29T12:00:00Z", "+05:45"), "2024-02-29T17:45:00+05:45"),
        (at("2024-02-29T12:00:00.25", "-03:30"), "2024-02-29T12:00:00.25-03:30"),
        (at("2016-12-31T23:59:60Z", "+00:00"), "2016-12-31T23:59:59+00:00"),
    ];
    for (event, shown) in &events {
        assert_eq!(event.moment().to_string(), *shown);
    }
    let mut ledger = Ledger::new();
    ledger.record(&events.clone().map(|(event, _)| event));
    let timeline = ledger.timeline("urn:x:lot").unwrap();
    let shown: Vec<_> = timeline.lines.iter().map(|line| line.event.moment().to_string()).collect();
    assert_eq!(shown, [4, 1, 2, 3, 0].map(|at: usize| events[at].1));
}

#[test]
fn times_out_of_range_are_refused() {
    for (time, offset) in [
        ("2023-02-29T00:00:00Z", "+00:00"),
        ("2100-02-29T00:00:00Z", "+00:00"),
        ("2024-13-01T00:00:00Z", "+00:00"),
        ("2024-01-01T24:00:00Z", "+00:00"),
        ("2024-01-01T00:60:00Z", "+00:00"),
        ("2024-01-01T00:00:00Z", "+14:01"),
        ("2024-01-01T00:00:00Z", "+1:00"),
        ("2024-01-01T00:00:00+24:00", "+00:00"),
        ("9999-12-31T23:59:59-23:59", "+00:00"),
        ("12024-01-01T00:00:00Z", "+00:00"),
        ("2024-01-01", "+00:00"),
    ] {
        let bytes = json!({"@context": "urn:x", "type": "ObjectEvent", "action": "OBSERVE", "epcList": ["urn:x:1"],
            "eventTime": time, "eventTimeZoneOffset": offset});
        assert!(Event::from_bytes(bytes.to_string().as_bytes(), &Limits::default()).is_err(), "{time} {offset}");
    }
    let first = json!({"@context": "urn:x", "type": "ObjectEvent", "action": "OBSERVE", "epcList": ["urn:x:1"],
        "eventTime": "0000-01-01T00:00:00Z", "eventTimeZoneOffset": "-14:00"});
    let event = Event::from_bytes(first.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(event.moment().to_string(), "-000001-12-31T10:00:00-14:00");
    assert!(event.hash_id().is_some() && event.identity() == event.content_identity());
}

#[test]
fn a_wrong_check_digit_is_told_and_equal_to_nothing() {
    let timeline = timeline_of(&[
        about(1, json!({"epcList": ["urn:x:lot", "https://id.gs1.org/01/10614141073465/21/7"]})),
        about(2, json!({"epcList": ["urn:x:lot", "urn:epc:id:sgtin:0614141.107346.7"]})),
    ]);
    let told: Vec<_> = timeline.warnings.iter().filter(|warning| warning.kind == WarningKind::Identifier).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].text.contains("(01)10614141073465(21)7"), "{}", told[0].text);
}

#[test]
fn certificates_of_both_kinds_are_read() {
    let event = event(&about(
        1,
        json!({
            "certificationInfo": ["https://example.com/a", "https://example.com/b"],
            "cbvmda:certificationList": {"certification": [{
                "gdst:certificationType": "urn:gdst:certType:harvestCert", "certificationStandard": "MSC", "certificationAgency": "agency",
                "certificationValue": "passed", "certificationIdentification": "C-1", "certificationURI": "https://example.com/b",
                "certificationStartDate": "2025-01-01T00:00:00Z", "certificationEndDate": "2026-06-30T23:59:59Z",
            }]},
        }),
    ));
    let certificates = event.certificates();
    assert_eq!(
        certificates.iter().map(|certificate| certificate.id.as_str()).collect::<Vec<_>>(),
        ["C-1", "https://example.com/a"]
    );
    assert_eq!(certificates[0].kind.as_deref(), Some("urn:gdst:certType:harvestCert"));
    assert!(certificates[0].held_at(event.time()) && certificates[0].until.is_some());
}

/// What is in the published documents, read with the same functions.
#[test]
fn every_published_file_is_read_or_refused_with_a_reason() {
    let Some(verdicts) = ledger_testdata::read("epcis-gs1/our-schema-check.json") else { return };
    let verdicts: Map<String, Value> = serde_json::from_str(&verdicts).unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in verdicts.keys() {
        let Some(path) = ledger_testdata::path(name) else { continue };
        let mut count = |what, by: usize| *counts.entry(what).or_default() += by;
        match epcis::read(name, &std::fs::read(path).unwrap(), &Limits::default()) {
            Err(error) => {
                count("refused", 1);
                assert!(error.to_string().len() > name.len() + 10, "{error}");
            }
            Ok(document) => {
                count("accepted", 1);
                for event in &document.events {
                    count("events", 1);
                    let readings = event.readings();
                    count("readings", readings.len());
                    count(
                        "readings in a unit that is not known",
                        readings
                            .iter()
                            .filter(|reading| reading.unit.dimension().is_none() && !reading.unit.code().is_empty())
                            .count(),
                    );
                    count("readings with a device", readings.iter().filter(|reading| reading.device.is_some()).count());
                    count(
                        "readings over a span",
                        readings.iter().filter(|reading| reading.from.is_some() && reading.until.is_some()).count(),
                    );
                    count("alarms", readings.iter().filter(|reading| reading.exception.is_some()).count());
                    count("certificates", event.certificates().len());
                    count("error declarations", usize::from(event.error_declaration().is_some()));
                    assert_eq!(event.error_declaration().is_some(), event.declares_error(), "{name}");
                    count("persistent dispositions", event.disposition().set.len() + event.disposition().unset.len());
                    count("sources and destinations", event.sources().len() + event.destinations().len());
                    count("transformations", usize::from(event.kind() == EventKind::Transformation));
                    count(
                        "identifiers that are none",
                        event.mentions().iter().filter(|named| named.item.is_faulty()).count(),
                    );
                    count("lot data", event.lot_data().len());
                }
            }
        }
    }
    println!("{counts:?}");
    for (what, least) in [
        ("accepted", 100),
        ("refused", 50),
        ("readings", 140),
        ("readings with a device", 80),
        ("readings over a span", 30),
        ("alarms", 8),
        ("certificates", 100),
        ("error declarations", 15),
        ("persistent dispositions", 10),
        ("sources and destinations", 190),
        ("transformations", 20),
        ("lot data", 100),
    ] {
        assert!(counts[what] >= least, "{what}: {counts:?}");
    }
}

#[test]
fn huge_and_strange_reports_are_read_within_bounds() {
    let reports: Vec<Value> = (0..5_000).map(|number| json!({"type": "<b>", "value": number, "uom": "<i>"})).collect();
    let many = event(
        &json!({"type": "ObjectEvent", "action": "OBSERVE", "eventTime": "2026-01-01T00:00:00Z", "epcList": [],
            "sensorElementList": [{"sensorReport": []}, {"sensorReport": reports}]}
        )
        .as_object()
        .map(|members| {
            let mut members = members.clone();
            members["sensorElementList"].as_array_mut().unwrap().remove(0);
            Value::Object(members)
        })
        .unwrap(),
    );
    assert_eq!(many.readings().len(), 5_000);
    let text = r#"{"@context":"urn:x","action":"OBSERVE","epcList":[""],"eventTime":"2026-01-01T00:00:00Z","eventTimeZoneOffset":"+00:00","sensorElementList":[{"sensorReport":[{"type":"","value":1e999999999999,"minValue":-1E-99999999,"maxValue":123456789012345678901234567890}]}],"type":"ObjectEvent"}"#;
    let event = Event::from_bytes(text.as_bytes(), &Limits::default()).unwrap();
    let reading = event.readings().remove(0);
    assert_eq!(reading.value.as_ref().unwrap().written, "1e999999999999", "shown as it is");
    assert_eq!(reading.value.as_ref().unwrap().value, None, "and never compared");
    assert_eq!(reading.lowest().unwrap().to_string(), "0");
    let numbers = event.pre_hash().unwrap();
    assert!(numbers.contains("value=1e999999999999") && numbers.len() < 2_000, "{numbers}");
}
