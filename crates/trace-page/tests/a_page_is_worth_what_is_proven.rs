//! A page holds as it was written, and with no byte of it changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../traceability/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use ledger_core::codec;
use ledger_core::{Genesis, Timestamp, TrustRoot};
use ledger_crypto::Signer as _;
use ledger_trace_page::{Page, PageError, VERIFIER, check, write};
use ledger_traceability::epcis::Item;
use ledger_traceability::timeline::ContractCode;
use serde_json::{Value, json};
use support::{Ledger, coffee, signer};

/// The longest page of 30 lines, in bytes.
const LONGEST: usize = 400_000;

fn page_of(ledger: &mut Ledger, item: &str) -> Page {
    let (root, checkpoint, proof) = (ledger.trust_root(), ledger.checkpoint(), codec::encode(&ledger.prove(item)));
    let page = write(ContractCode::Native, &root, &checkpoint, &proof, &BTreeMap::new()).unwrap();
    if let Some(folder) = std::env::var_os("LEDGERKIT_PAGES") {
        // For a browser to open: see `.ci/page`.
        let name: String =
            item.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &page.html).unwrap();
    }
    page
}

fn sold() -> Vec<String> {
    let sales = coffee().into_iter().filter(|event| event.text("bizStep") == Some("retail_selling"));
    sales.map(|event| event.mentions()[0].item.to_string()).collect()
}

fn coffee_ledger() -> Ledger {
    let mut ledger = Ledger::new();
    for events in coffee().chunks(100) {
        ledger.record(events);
    }
    ledger
}

fn harvest(lot: &str) -> Value {
    json!({
        "type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning", "eventTime": "2026-01-31T12:00:00Z",
        "epcList": [lot],
    })
}

#[test]
fn every_page_of_coffee_holds_and_is_small() {
    let mut ledger = coffee_ledger();
    for lot in sold() {
        let page = page_of(&mut ledger, &lot);
        assert!(page.html.len() <= LONGEST, "{lot}: {} bytes", page.html.len());
        let verdict = check(&page.html, None).unwrap();
        assert!(verdict.holds(), "{lot}: {:?}", verdict.faults());
        assert!(verdict.own_word);
        let checked = verdict.checked.unwrap();
        let included: Vec<_> =
            checked.lines.iter().flatten().filter(|line| line.included).map(|line| line.key).collect();
        let expected: Vec<_> = page.timeline.lines.iter().map(|line| line.key).collect();
        assert_eq!(included, expected, "{lot}");
        let root: TrustRoot = codec::decode(&ledger.trust_root()).unwrap();
        assert!(check(&page.html, Some(&root)).is_ok_and(|verdict| verdict.holds() && !verdict.own_word));
    }
    assert!(VERIFIER.len() < 250_000);
}

#[test]
fn no_changed_byte_is_accepted() {
    let mut ledger = coffee_ledger();
    let page = page_of(&mut ledger, &sold()[12]).html;
    let verdict = |html: &[u8]| check(str::from_utf8(html).unwrap(), None);
    // The whole file, densest where the data is.
    let data = page.find("id=\"trace-data\"").unwrap();
    let body = page.find("<ol id=\"events\">").unwrap();
    let places = (0..body).step_by(53).chain((body..data).step_by(47)).chain((data..page.len()).step_by(113));
    let mut tried = 0;
    for at in places.filter(|at| page.as_bytes()[*at].is_ascii()) {
        let mut changed = page.clone().into_bytes();
        changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
        tried += 1;
        assert!(!verdict(&changed).is_ok_and(|verdict| verdict.holds()), "byte {at}: {:?}", &page[at - 20..at + 20]);
    }
    assert!(tried > 2_000, "{tried}");
}

#[test]
fn a_changed_line_is_the_line_that_fails() {
    let mut ledger = coffee_ledger();
    let page = page_of(&mut ledger, &sold()[12]).html;
    let starts: Vec<usize> = page.match_indices("<pre class=\"signed\">").map(|(at, tag)| at + tag.len()).collect();
    assert!(starts.len() >= 8);
    for (line, start) in starts.iter().enumerate() {
        let length = page[*start..].find("</pre>").unwrap();
        for at in [start + length / 3, start + length / 2, start + length - 8] {
            let mut changed = page.clone().into_bytes();
            changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
            let verdict = match check(&String::from_utf8(changed).unwrap(), None) {
                Err(PageError::NotAPage { reason }) => {
                    assert_eq!(reason, format!("line {} is not built as a line is", line + 1));
                    continue;
                }
                other => other.unwrap(),
            };
            let lines = verdict.checked.unwrap().lines;
            let failing: Vec<usize> =
                lines.iter().enumerate().filter(|(_, it)| it.is_err()).map(|(at, _)| at).collect();
            assert_eq!(failing, [line], "byte {at}");
        }
    }
}

#[test]
fn another_chains_trust_root_and_another_lots_proofs_are_refused() {
    let mut ledger = coffee_ledger();
    let lots = sold();
    let (one, other) = (page_of(&mut ledger, &lots[0]).html, page_of(&mut ledger, &lots[1]).html);
    let stranger = Genesis::solo("coffee", signer("somebody else").public_key(), Timestamp(1_700_000_000_000));
    let verdict = check(&one, Some(&TrustRoot::new(stranger))).unwrap();
    assert!(!verdict.holds());
    assert!(verdict.faults()[0].starts_with("the checkpoint is not trusted"), "{:?}", verdict.faults());
    // The events of one lot with the proofs of another.
    let data = |page: &str| {
        let start = page.find("id=\"trace-data\">").unwrap();
        (start, start + page[start..].find("</script>").unwrap())
    };
    let ((from, to), (begin, end)) = (data(&one), data(&other));
    let mixed = [&one[..from], &other[begin..end], &one[to..]].concat();
    let verdict = check(&mixed, None);
    assert!(!verdict.is_ok_and(|verdict| verdict.holds()));
    // The same proofs for a lot that they aren't of.
    let renamed = one.replace(&lots[0], &lots[1]);
    assert!(!check(&renamed, None).unwrap().checked.is_ok_and(|checked| checked.walk.is_ok()));
}

#[test]
fn a_line_left_out_is_missed() {
    let mut ledger = coffee_ledger();
    let page = page_of(&mut ledger, &sold()[0]).html;
    let last = page.rfind("<li class=\"line\"").unwrap();
    let end = last + page[last..].find("</li>\n").unwrap() + 6;
    let without = [&page[..last], &page[end..]].concat();
    let verdict = check(&without, None).unwrap();
    assert!(verdict.checked.as_ref().unwrap().walk.is_err());
    assert!(!verdict.holds());
}

#[test]
fn what_events_say_stays_text() {
    let mut ledger = Ledger::new();
    let lot = "urn:example:</title><script>alert(1)</script>";
    let mut event = harvest(lot);
    event["trace:note"] = "<img src=x onerror=alert(1)> </pre></script><!-- {{script}} \u{2028} & \r\n \"'".into();
    event["readPoint"] = json!({ "id": "urn:example:place", "trace:name": "<b onclick=alert(1)>farm</b>" });
    ledger.record_json(&[event]);
    let page = page_of(&mut ledger, lot).html;
    assert!(check(&page, None).unwrap().holds());
    for tag in ["<img", "<b ", "<!--", "<script>"] {
        assert!(!page.contains(tag), "{tag}");
    }
    let scripts = page.matches("<script").count();
    assert_eq!((scripts, page.matches("</script>").count(), page.matches("</pre>").count()), (3, 3, 1));
}

#[test]
fn strange_histories_make_pages_too() {
    let mut ledger = Ledger::new();
    ledger.record_json(&[harvest("urn:example:alone")]);
    assert!(check(&page_of(&mut ledger, "urn:example:alone").html, None).unwrap().holds());

    let many = (0..500).map(|number| {
        let mut event = harvest("urn:example:many");
        event["action"] = "OBSERVE".into();
        event["eventTime"] = format!("2026-02-{:02}T{:02}:{:02}:00Z", 1 + number / 60, number % 24, number % 60).into();
        event
    });
    ledger.record_json(&many.collect::<Vec<_>>());
    let page = page_of(&mut ledger, "urn:example:many").html;
    let verdict = check(&page, None).unwrap();
    assert!(verdict.holds() && verdict.events == 500, "{:?}", verdict.faults());

    let reports = (0..5_000).map(|number| {
        json!({ "type": "Temperature", "uom": "CEL", "value": f64::from(number % 300) / 10.0,
            "time": format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + number / 1_440, number / 60 % 24, number % 60) })
    });
    let reports: Vec<Value> = reports.collect();
    let events: Vec<Value> = reports
        .chunks(1_000)
        .enumerate()
        .map(|(day, reports)| {
            let mut event = harvest("urn:example:measured");
            event["action"] = "OBSERVE".into();
            event["eventTime"] = format!("2026-03-{:02}T23:00:00Z", day + 1).into();
            event["sensorElementList"] = json!([{ "sensorReport": reports }]);
            event["trace:limits"] = json!([{ "type": "Temperature", "minValue": 2, "maxValue": 29, "uom": "CEL" }]);
            event
        })
        .collect();
    for result in ledger.record_json(&events) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    assert!(check(&page_of(&mut ledger, "urn:example:measured").html, None).unwrap().holds());
}

#[test]
fn pages_link_to_the_pages_that_are_there() {
    let mut ledger = coffee_ledger();
    let lot = sold()[0].clone();
    let (root, checkpoint, proof) = (ledger.trust_root(), ledger.checkpoint(), codec::encode(&ledger.prove(&lot)));
    let timeline = page_of(&mut ledger, &lot).timeline;
    let origin = timeline.flows[0].from.clone();
    let pages = BTreeMap::from([(origin, "origin.html".to_owned()), (Item::new("urn:x:none"), "none.html".to_owned())]);
    let page = write(ContractCode::Native, &root, &checkpoint, &proof, &pages).unwrap().html;
    assert!(page.contains("\"origin.html\"") && !page.contains("none.html"));
    assert!(check(&page, None).unwrap().holds());
}
