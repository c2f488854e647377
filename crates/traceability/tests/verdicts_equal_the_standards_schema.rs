//! The verdict on every published document is that of GS1's own JSON schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ledger_traceability::epcis::{self, DocumentKind, Event, Limits};
use serde_json::Value;

const VERDICTS: &str = "epcis-gs1/our-schema-check.json";

#[test]
fn every_published_document_gets_the_schemas_verdict() {
    let Some(verdicts) = ledger_testdata::read(VERDICTS) else { return };
    let verdicts: serde_json::Map<String, Value> = serde_json::from_str(&verdicts).unwrap();
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for (name, verdict) in &verdicts {
        let Some(path) = ledger_testdata::path(name) else { continue };
        let valid = verdict["schema"] == "schema-valid";
        match epcis::read(name, &std::fs::read(path).unwrap(), &Limits::default()) {
            Ok(document) => {
                accepted += 1;
                // The table counts the events of lists only.
                let expected =
                    if document.kind == DocumentKind::Event { 1 } else { verdict["events"].as_u64().unwrap() };
                if !valid || document.events.len() as u64 != expected {
                    wrong.push(format!("{name}: accepted with {} events, table says {verdict}", document.events.len()));
                }
            }
            Err(error) => {
                refused += 1;
                if valid {
                    wrong.push(error.to_string());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 100 && refused > 50, "{accepted} accepted, {refused} refused");
}

#[test]
fn every_accepted_event_stands_alone_and_reads_back_the_same() {
    let Some(verdicts) = ledger_testdata::read(VERDICTS) else { return };
    let verdicts: serde_json::Map<String, Value> = serde_json::from_str(&verdicts).unwrap();
    for name in verdicts.keys() {
        let Some(path) = ledger_testdata::path(name) else { continue };
        let Ok(document) = epcis::read(name, &std::fs::read(path).unwrap(), &Limits::default()) else { continue };
        for event in &document.events {
            let bytes = event.to_bytes();
            let again = Event::from_bytes(&bytes, &Limits::default()).unwrap();
            assert_eq!(again.to_bytes(), bytes, "{name}");
            assert_eq!(again.key(), event.key());
            assert_eq!(again.mentions(), event.mentions());
            assert_eq!((again.time(), again.kind(), again.action()), (event.time(), event.kind(), event.action()));
        }
    }
}

#[test]
fn a_refusal_names_document_event_and_field() {
    let name = "epcis-openepcis/test-resources/core/src/main/resources/2.0/EPCIS/JSON/Capture/Documents/SensorData_with_combined_events.json";
    let Some(text) = ledger_testdata::read(name) else { return };
    let error = epcis::read("sensors.json", text.as_bytes(), &Limits::default()).unwrap_err().to_string();
    let expected = "sensors.json: event 9 (eventList[8]): sensorElementList[0].sensorReport[0].type: is missing";
    assert!(error.starts_with(expected), "{error}");
}
