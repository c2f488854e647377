//! A page holds as it was written, and with no byte of it changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../traceability/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use ledger_contracts::wasm::{WASM, WasmRuntime};
use ledger_contracts::{ExecutorConfig, LedgerExecutor};
use ledger_core::codec;
use ledger_core::{ContractId, Genesis, Rules, Timestamp, TrustRoot};
use ledger_crypto::{Digest, Signer as _};
use ledger_trace_page::{Entry, Page, PageError, VERIFIER, check, check_contract, index, write};
use ledger_traceability::epcis::{EventKey, Item};
use ledger_traceability::timeline::{ContractCode, Standing, State, Timeline};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Ledger, coffee, signer};

/// The longest page of 30 lines, in bytes.
const LONGEST: usize = 400_000;

fn page_of(ledger: &mut Ledger, item: &str) -> Page {
    page_of_code(ContractCode::Native, ledger, item)
}

fn page_of_code(code: ContractCode, ledger: &mut Ledger, item: &str) -> Page {
    let (root, checkpoint, proof) = (ledger.trust_root(), ledger.checkpoint(), codec::encode(&ledger.prove(item)));
    let page = write(code, &root, &checkpoint, &proof, &BTreeMap::new()).unwrap();
    let name = file_of(item);
    for_browsers(&format!("{name}.html"), page.html.as_bytes());
    // What it has to show, whoever derives it, and what its reader may know.
    for_browsers(&format!("{name}.json"), derived(&page.timeline).to_string().as_bytes());
    for_browsers(&format!("{name}.contract"), ledger.contract.to_string().as_bytes());
    for_browsers(&format!("{name}.root"), &root);
    page
}

fn file_of(item: &str) -> String {
    item.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).take(60).collect()
}

/// Puts a file where a browser is to open it, if that is asked for: see `.ci/page`.
fn for_browsers(name: &str, bytes: &[u8]) {
    let Some(folder) = std::env::var_os("LEDGERKIT_PAGES") else { return };
    let path = std::path::Path::new(&folder).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// What the timeline says of its lines together, which the page's script has to derive too. Lines have their numbers on the page.
fn derived(timeline: &Timeline) -> Value {
    let numbers: BTreeMap<EventKey, usize> = timeline.lines.iter().zip(1..).map(|(line, at)| (line.key, at)).collect();
    let number = |key: &EventKey| numbers.get(key).copied();
    let words = |state: &State| {
        let held = state.current.iter().chain(&state.persistent);
        held.map(|held| json!([held.disposition, number(&held.by)])).collect::<Vec<_>>()
    };
    let lines = timeline.lines.iter().map(|line| {
        let (standing, other, corrections) = match &line.standing {
            Standing::Stands => ("stands", None, &[][..]),
            Standing::Withdrawn(withdrawal) => ("wrong", Some(withdrawal.by), &withdrawal.corrections[..]),
            Standing::Declaration(declaration) => ("declaration", declaration.of, &declaration.corrections[..]),
        };
        let corrections = corrections.iter().filter_map(|correction| number(&correction.event?));
        json!({
            "standing": standing,
            "other": other.and_then(|other| number(&other)),
            "instead": corrections.collect::<Vec<_>>(),
            "corrects": line.corrects.iter().map(number).collect::<Vec<_>>(),
            "disputed": line.disputed_by.iter().map(number).collect::<Vec<_>>(),
            "holds": line.state.as_ref().map(|state| state.persistent.len()),
        })
    });
    let warnings = timeline.warnings.iter().map(|warning| json!([number(&warning.event), warning.text]));
    json!({
        "warnings": warnings.collect::<Vec<_>>(), "state": words(&timeline.state), "lines": lines.collect::<Vec<_>>(),
        "flows": timeline.flows.iter().map(|flow| json!([flow.from.short(), flow.to.short()])).collect::<Vec<_>>(),
    })
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
    let places = (0..body).step_by(53).chain((body..data).step_by(31)).chain((data..page.len()).step_by(113));
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
    let stranger = TrustRoot::new(stranger);
    let verdict = check(&one, Some(&stranger)).unwrap();
    let stranger = codec::encode(&stranger);
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
    for_browsers("refused/other-lots-proofs.html", mixed.as_bytes());
    // The same proofs for a lot that they aren't of.
    let renamed = one.replace(&lots[0], &lots[1]);
    assert!(!check(&renamed, None).unwrap().checked.is_ok_and(|checked| checked.walk.is_ok()));
    let named = [&one[..from], &one[from..to].replace(&lots[0], &lots[1]), &one[to..]].concat();
    assert!(!check(&named, None).unwrap().checked.is_ok_and(|checked| checked.walk.is_ok()));
    for_browsers("refused/other-lots-name.html", named.as_bytes());
    // A page that brings another chain's trust root along.
    let own = |root: &[u8]| format!("\"trust_root\":\"{}\"", base64::engine::general_purpose::STANDARD.encode(root));
    let foreign = one.replace(&own(&ledger.trust_root()), &own(&stranger));
    assert_ne!(foreign, one);
    assert!(check(&foreign, None).unwrap().checked.is_err());
    for_browsers("refused/other-chains-root.html", foreign.as_bytes());
    for_browsers("refused/stranger.root", &stranger);
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
    // One event, and nothing says where.
    ledger.record_json(&[harvest("urn:example:alone")]);
    assert!(check(&page_of(&mut ledger, "urn:example:alone").html, None).unwrap().holds());

    // As long as the goal for the time that opening takes.
    let thirty = (0..30).map(|number| {
        about_lot("urn:example:thirty", 0, json!({
            "eventTime": format!("2026-02-{:02}T12:00:00Z", 1 + number % 28), "eventID": format!("urn:example:event:{number}"),
            "readPoint": { "id": format!("urn:example:place:{}", number / 4), "trace:name": format!("Place {}", number / 4) },
            "sensorElementList": [{ "sensorReport": [
                { "type": "Temperature", "uom": "CEL", "minValue": 12.5, "maxValue": 20 + number, "meanValue": 18 },
                { "type": "RelativeHumidity", "uom": "P1", "value": 50 + number } ] }],
            "trace:limits": [{ "type": "Temperature", "minValue": 10, "maxValue": 45, "uom": "CEL" }],
        }))
    });
    ledger.record_json(&thirty.collect::<Vec<_>>());
    let page = page_of(&mut ledger, "urn:example:thirty").html;
    assert!(check(&page, None).is_ok_and(|verdict| verdict.holds() && verdict.events == 30));
    assert!(page.len() <= LONGEST, "{}", page.len());

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
    let page = page_of(&mut ledger, "urn:example:measured");
    assert!(check(&page.html, None).unwrap().holds());
    // Thousands of readings beyond one limit are one thing to know of their event.
    assert!((1..=20).contains(&page.timeline.warnings.len()), "{}", page.timeline.warnings.len());
}

#[test]
fn huge_texts_make_a_page() {
    let mut ledger = Ledger::new();
    let lot = format!("urn:example:{}", "long".repeat(500));
    let mut event = harvest(&lot);
    let long = "W".repeat(40_000);
    event["trace:note"] = long.clone().into();
    event["readPoint"] = json!({ "id": format!("urn:example:{long}"), "trace:name": long });
    event["bizStep"] = format!("https://example.com/steps/{}", "step_".repeat(500)).into();
    event["disposition"] = format!("urn:example:{}", "disposition".repeat(200)).into();
    event["persistentDisposition"] = json!({ "set": [format!("urn:example:{}", "holds".repeat(500))] });
    event["ilmd"] = json!({ "example:variety": long, (format!("example:{}", "name".repeat(500))): "Bourbon" });
    event["@context"] = json!([
        "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        { "trace": "https://ns.example.com/ledgerkit/traceability/", "example": "urn:example:" }
    ]);
    event["sensorElementList"] = json!([{ "sensorReport": [
        { "type": format!("urn:example:{}", "Measure".repeat(300)), "value": 1e19, "uom": "U".repeat(500) },
        { "type": "urn:example:Word", "stringValue": long },
    ] }]);
    for result in ledger.record_json(&[event]) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    assert!(check(&page_of(&mut ledger, &lot).html, None).unwrap().holds());
}

/// An event of a lot at an hour of one day.
fn about(hour: u8, members: Value) -> Value {
    about_lot("urn:example:told", hour, members)
}

fn about_lot(lot: &str, hour: u8, members: Value) -> Value {
    let mut event = harvest(lot);
    event["action"] = "OBSERVE".into();
    event["bizStep"] = "inspecting".into();
    event["eventTime"] = format!("2026-04-01T{hour:02}:00:00Z").into();
    event["sourceList"] = json!([{ "type": "owning_party", "source": "urn:example:party" }]);
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event
}

#[test]
fn errors_and_corrections_make_a_page() {
    let reading = |value: u32| json!([{ "sensorReport": [{ "type": "Temperature", "value": value, "uom": "CEL" }] }]);
    let limits = json!([{ "type": "Temperature", "maxValue": 8, "uom": "CEL" }]);
    let wrong = about(
        1,
        json!({
            "eventID": "urn:example:event:wrong", "disposition": "damaged", "sensorElementList": reading(40), "trace:limits": limits,
            "readPoint": { "id": "urn:epc:id:sgln:0614141.07346.1234" }, "persistentDisposition": { "set": ["completeness_inferred"] },
        }),
    );
    let right = about(
        2,
        json!({
            "eventID": "urn:example:event:right", "disposition": "conformant", "sensorElementList": reading(4), "trace:limits": limits,
            "persistentDisposition": { "set": ["completeness_verified", "urn:example:kosher"], "unset": ["completeness_inferred"] },
        }),
    );
    // The same content in another spelling, also of the identifiers, the time and the numbers.
    let mut declaration = wrong.clone();
    declaration["eventTime"] = "2026-04-01T03:00:00.000+02:00".into();
    declaration["readPoint"] = json!({ "id": "https://example.com/414/0614141073467/254/1234" });
    declaration["bizStep"] = "https://ref.gs1.org/cbv/BizStep-inspecting".into();
    declaration["sensorElementList"][0]["sensorReport"][0]["value"] = json!(4e1);
    declaration["errorDeclaration"] = json!({
        "declarationTime": "2026-05-01T00:00:00Z", "reason": "incorrect_data",
        "correctiveEventIDs": ["urn:example:event:right", "urn:example:event:elsewhere"],
    });
    let claimed = about(3, json!({ "eventID": "urn:example:event:claimed", "disposition": "in_progress" }));
    let mut dispute = claimed.clone();
    dispute["errorDeclaration"] = json!({ "declarationTime": "2026-05-02T00:00:00Z", "reason": "did_not_occur" });
    let mut unknown = about(4, json!({}));
    unknown["errorDeclaration"] = json!({ "declarationTime": "2026-05-03T00:00:00Z" });
    let unset = about(5, json!({ "persistentDisposition": { "unset": ["urn:other:kosher"] } }));
    let mut ledger = Ledger::new();
    for result in ledger.record_json(&[declaration, wrong, right, claimed, unknown, unset]) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    let call = ledger.call("record", &support::event(&dispute).to_bytes());
    let signed = ledger.sign("somebody else", call);
    assert!(ledger.block(vec![signed])[0].receipt.succeeded());
    let page = page_of(&mut ledger, "urn:example:told");
    assert!(check(&page.html, None).unwrap().holds());
    let told = derived(&page.timeline);
    let of =
        |standing: &str| told["lines"].as_array().unwrap().iter().filter(|line| line["standing"] == standing).count();
    assert_eq!((of("wrong"), of("declaration"), of("stands")), (1, 3, 3), "{told}");
    // A reading of what was declared wrong warns nobody.
    assert!(
        told["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|warning| !warning[1].as_str().unwrap().contains("temperature"))
    );
    assert_eq!(told["state"].as_array().unwrap().len(), 2, "{told}");
}

#[test]
fn tangled_histories_make_pages() {
    let packed = |hour, action: &str, parent: &str, children: &[&str]| {
        let mut event = about(
            hour,
            json!({
                "type": "AggregationEvent", "action": action, "parentID": format!("urn:example:{parent}"),
                "childEPCs": children.iter().map(|child| format!("urn:example:{child}")).collect::<Vec<_>>(),
            }),
        );
        event.as_object_mut().unwrap().remove("epcList");
        event
    };
    let seen = |hour, item: &str| about(hour, json!({ "epcList": [format!("urn:example:{item}")] }));
    let made = |hour, process: Option<&str>, inputs: &[&str], outputs: &[&str]| {
        let names = |items: &[&str]| items.iter().map(|item| format!("urn:example:{item}")).collect::<Vec<_>>();
        let mut event = about(hour, json!({ "type": "TransformationEvent", "bizStep": "commissioning" }));
        let members = event.as_object_mut().unwrap();
        members.retain(|name, _| !["epcList", "action"].contains(&name.as_str()));
        for (name, items) in [("inputEPCList", inputs), ("outputEPCList", outputs)] {
            members.extend((!items.is_empty()).then(|| (name.to_owned(), json!(names(items)))));
        }
        members.extend(process.map(|process| ("transformationID".to_owned(), json!(format!("urn:example:{process}")))));
        event
    };
    let wrong = made(3, None, &["bean"], &["never"]);
    let mut declaration = wrong.clone();
    declaration["errorDeclaration"] = json!({ "declarationTime": "2026-05-01T00:00:00Z", "reason": "did_not_occur" });
    let events = [
        seen(0, "bean"),
        made(1, None, &["bean", "berry"], &["roast"]),
        made(2, None, &["bean"], &["other"]),
        wrong,
        declaration,
        // A box in a pallet, both of which are used again.
        seen(1, "box"),
        packed(4, "ADD", "box", &["roast"]),
        packed(5, "ADD", "pallet", &["box"]),
        seen(6, "pallet"),
        seen(7, "box"),
        packed(8, "DELETE", "pallet", &["box"]),
        seen(9, "pallet"),
        packed(10, "DELETE", "box", &[]),
        seen(11, "box"),
        packed(12, "ADD", "box", &["stranger"]),
        packed(13, "OBSERVE", "pallet", &["box"]),
        seen(14, "pallet"),
        seen(15, "roast"),
        // One transformation in two events, and two that come to each other's beginning.
        made(16, Some("process"), &["roast", "sugar"], &[]),
        made(17, Some("process"), &[], &["drink", "waste"]),
        made(18, None, &["round"], &["about"]),
        made(19, None, &["about"], &["round"]),
        seen(20, "drink"),
        seen(21, "sugar"),
    ];
    let mut ledger = Ledger::new();
    for result in ledger.record_json(&events) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    let mut aside = 0;
    for item in [
        "bean", "berry", "roast", "other", "never", "box", "pallet", "stranger", "drink", "waste", "sugar", "round",
        "about",
    ] {
        let page = page_of(&mut ledger, &format!("urn:example:{item}"));
        let verdict = check(&page.html, None).unwrap();
        assert!(verdict.holds(), "{item}: {:?}", verdict.faults());
        aside += verdict.events - page.timeline.lines.len();
    }
    assert!(aside > 20, "{aside} lines were read only to know that they don't belong to a history");
}

#[test]
fn units_make_a_page() {
    let sensed = |hour, reports: Value| about(hour, json!({ "sensorElementList": [{ "sensorReport": reports }] }));
    let mut stated = sensed(1, json!([{ "type": "Temperature", "value": 4, "uom": "CEL" }]));
    stated["trace:limits"] = json!([
        { "type": "gs1:Temperature", "minValue": 0, "maxValue": 8, "uom": "CEL" },
        { "type": "RelativeHumidity", "maxValue": 0.6, "uom": "P1" },
        { "type": "Pressure", "minValue": 1, "uom": "BAR" },
        { "type": "Mass", "maxValue": 1, "uom": "KGM" },
        { "type": "Luminosity", "maxValue": 1, "uom": "XYZ" },
    ]);
    let mut ledger = Ledger::new();
    let events = [
        stated,
        sensed(
            2,
            json!([
                { "type": "Temperature", "value": 46.4, "uom": "FAH" }, { "type": "Temperature", "value": 281.15, "uom": "KEL" },
                { "type": "Temperature", "value": 8.000000000000000001, "uom": "CEL" },
                { "type": "RelativeHumidity", "value": 6000, "uom": "59" }, { "type": "Pressure", "value": 1000, "uom": "A97" },
                { "type": "Mass", "value": 2.2, "uom": "LBR" }, { "type": "Luminosity", "value": 1, "uom": "XYZ" },
            ]),
        ),
        sensed(
            3,
            json!([
                { "type": "Temperature", "value": 46.40000000001, "uom": "FAH" }, { "type": "Temperature", "minValue": 273.14, "uom": "KEL" },
                { "type": "RelativeHumidity", "value": 6000.1, "uom": "59" }, { "type": "Pressure", "value": 999.9, "uom": "MBR" },
                { "type": "Mass", "value": 2.21, "uom": "LBR" }, { "type": "Luminosity", "value": 1.1, "uom": "XYZ" },
            ]),
        ),
        // Nothing of this can be held against the limits.
        sensed(
            4,
            json!([
                { "type": "Temperature", "value": 900, "uom": "XYZ" }, { "type": "Temperature", "value": 900 },
                { "type": "Luminosity", "value": 900, "uom": "LUX" }, { "type": "Temperature", "stringValue": "hot" },
                { "type": "Temperature", "value": 1e30, "uom": "CEL" },
            ]),
        ),
        sensed(
            5,
            json!([
                { "type": "Temperature", "value": 9, "uom": "CEL" }, { "type": "Temperature", "minValue": 8.5, "maxValue": 10.25, "uom": "CEL" },
                { "type": "Temperature", "value": 3, "uom": "CEL", "exception": "ALARM_CONDITION" },
                { "type": "Speed", "value": 1, "percRank": 95, "percValue": 2.50, "meanValue": 1, "uom": "KMH", "exception": "ERROR_CONDITION" },
            ]),
        ),
    ];
    for result in ledger.record_json(&events.map(|mut event| {
        event["epcList"] = json!(["urn:example:units"]);
        event
    })) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    let page = page_of(&mut ledger, "urn:example:units");
    assert!(check(&page.html, None).unwrap().holds());
    let warnings: Vec<String> = page.timeline.warnings.iter().map(|warning| warning.text.clone()).collect();
    assert_eq!(warnings.iter().filter(|text| text.contains("allowed")).count(), 7, "{warnings:#?}");
    assert!(
        warnings.iter().any(|text| text == "temperature 8.5 to 10.25 °C in 2 readings, allowed 0 to 8 °C"),
        "{warnings:#?}"
    );
}

#[test]
fn a_module_is_the_pages_own_choice_until_the_reader_names_it() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/contracts/fixtures/origin.wasm");
    let executor = LedgerExecutor::new(ExecutorConfig::default()).with(WasmRuntime::wasmi().unwrap());
    let code = std::fs::read(module).unwrap();
    let mut ledger = Ledger::with(executor, Rules::default().max_transaction_fuel, WASM, &code);
    for result in ledger.record_json(&[harvest("urn:example:module")]) {
        assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
    }
    let code = ContractCode::Module(Sha256::digest(&code).into());
    let page = page_of_code(code, &mut ledger, "urn:example:module").html;
    let root: TrustRoot = codec::decode(&ledger.trust_root()).unwrap();
    let verdict = check(&page, Some(&root)).unwrap();
    assert!(verdict.holds() && !verdict.own_word && verdict.own_contract);
    let verdict = check_contract(&page, Some(&root), Some(ledger.contract)).unwrap();
    assert!(verdict.holds() && !verdict.own_contract);
    let verdict = check_contract(&page, Some(&root), Some(ContractId(Digest::ZERO))).unwrap();
    assert!(!verdict.holds());
    assert!(verdict.faults()[0].contains("are stored by contract"), "{:?}", verdict.faults());
    let mut native = Ledger::new();
    native.record_json(&[harvest("urn:example:native")]);
    assert!(check(&page_of(&mut native, "urn:example:native").html, None).is_ok_and(|verdict| !verdict.own_contract));
}

#[test]
fn an_index_links_to_its_pages() {
    let mut ledger = coffee_ledger();
    let (one, other) = (sold()[0].clone(), sold()[1].clone());
    let entries = [one, other].map(|lot| {
        let page = page_of(&mut ledger, &lot);
        let warnings = page.timeline.warnings.iter().map(|warning| warning.text.clone()).collect();
        Entry {
            file: format!("{}.html", file_of(&lot)),
            name: format!("{lot} <b>&amp;"),
            events: page.timeline.lines.len(),
            warnings,
        }
    });
    let html = index("Lots <i>of</i> \"this\" ledger", &entries);
    assert!(!html.contains("<b>") && !html.contains("<i>"));
    for entry in &entries {
        assert_eq!(html.matches(&format!("<a href=\"{}\">", entry.file)).count(), 1);
    }
    for_browsers("index.html", html.as_bytes());
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
