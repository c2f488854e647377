//! `ledgerkit verify trace.html`: what holds, and each way in which a page doesn't.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;
#[path = "../../traceability/tests/support/mod.rs"]
mod support;

use common::{Said, ledgerkit, text};
use ledger_core::codec;
use ledger_core::{Genesis, Timestamp, TrustRoot};
use ledger_crypto::Signer as _;
use ledger_trace_page::{MAX_PAGE_BYTES, write};
use ledger_traceability::timeline::ContractCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::{Ledger, signer};
use tempfile::TempDir;

const LOT: &str = "urn:example:lot:7";
const OTHER: &str = "urn:example:lot:8";

fn event(lot: &str, step: &str, time: &str) -> Value {
    json!({
        "type": "ObjectEvent", "action": "OBSERVE", "bizStep": step, "eventTime": time, "epcList": [lot],
        "trace:note": "kept at 7 °C & below", "trace:recordedBy": format!("urn:example:party:{step}"),
    })
}

/// A chain that was just made, with the page of a lot of three events, and a folder for files.
struct Case {
    folder: TempDir,
    ledger: Ledger,
    checkpoint: Vec<u8>,
    page: String,
}

impl Case {
    fn new() -> Self {
        let mut ledger = Ledger::new();
        let events: Vec<Value> = [LOT, OTHER]
            .iter()
            .flat_map(|lot| {
                [
                    ("commissioning", "2026-01-07T12:00:00Z"),
                    ("shipping", "2026-01-09T12:00:00Z"),
                    ("receiving", "2026-01-11T12:00:00Z"),
                ]
                .map(|(step, time)| event(lot, step, time))
            })
            .collect();
        for result in ledger.record_json(&events) {
            assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
        }
        let checkpoint = ledger.checkpoint();
        let mut case = Case { folder: tempfile::tempdir().unwrap(), ledger, checkpoint, page: String::new() };
        case.page = case.page_of(LOT);
        case
    }

    fn page_of(&self, lot: &str) -> String {
        let proof = codec::encode(&self.ledger.prove(lot));
        write(ContractCode::Native, &self.ledger.trust_root(), &self.checkpoint, &proof, &BTreeMap::new()).unwrap().html
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn verify(&self, page: &[u8], more: &[&str]) -> Said {
        let page = self.file("trace.html", page);
        ledgerkit(&[&["verify", text(&page)], more].concat())
    }

    /// What is said of a page that doesn't hold.
    fn refused(&self, page: &[u8]) -> String {
        let said = self.verify(page, &[]);
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{}", said.err);
        assert!(said.err.contains("trace.html: "), "{}", said.err);
        // A program is told the same.
        let json = self.verify(page, &["--json"]);
        let error: Value = serde_json::from_str(&json.err).unwrap();
        assert!(
            json.status == 1 && error["error"].as_str().is_some_and(|error| error.contains("trace.html: ")),
            "{}",
            json.err
        );
        said.err
    }

    /// Where the first `what` of the page ends.
    fn after(&self, what: &str) -> usize {
        self.page.find(what).unwrap_or_else(|| panic!("no {what}")) + what.len()
    }

    /// The page with another letter or digit at `at`.
    fn changed(&self, at: usize) -> Vec<u8> {
        let mut changed = self.page.clone().into_bytes();
        assert!(changed[at].is_ascii_graphic(), "byte {at}");
        changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
        changed
    }
}

#[test]
fn a_page_holds_by_its_own_word_and_by_the_trust_root_that_is_given() {
    let case = Case::new();
    let own = case.verify(case.page.as_bytes(), &[]);
    assert_eq!((own.status, own.err.as_str()), (0, ""));
    assert!(
        own.out.contains("THE PAGE'S OWN WORD") && own.out.contains("verified    3 lines, none left out"),
        "{}",
        own.out
    );
    assert!(own.out.contains("shipping: signed by account "), "{}", own.out);
    let own = case.verify(case.page.as_bytes(), &["--json"]).json();
    assert_eq!(
        (&own["verified"], &own["trust"], &own["item"]),
        (&json!(true), &json!("the file's own word"), &json!(LOT))
    );
    assert_eq!(own["lines"].as_array().unwrap().len(), 3);

    let root = case.file("root.bin", &case.ledger.trust_root());
    let genesis = case.file("genesis.bin", &codec::encode(&case.ledger.genesis));
    for trust in [root, genesis] {
        let given = case.verify(case.page.as_bytes(), &["--trust", text(&trust)]);
        assert_eq!((given.status, given.err.as_str()), (0, ""));
        assert!(
            given.out.contains("the trust root that was given") && !given.out.contains("OWN WORD"),
            "{}",
            given.out
        );
        let given = case.verify(case.page.as_bytes(), &["--json", "--trust", text(&trust)]).json();
        assert_eq!(
            (&given["trust"], &given["chain"]),
            (&json!("given"), &json!(case.ledger.genesis.chain().to_string()))
        );
    }
}

#[test]
fn another_chain_s_trust_root_is_no_trust() {
    let case = Case::new();
    // The same chain by name and time, and another owner.
    let stranger = Genesis::solo("coffee", signer("somebody else").public_key(), Timestamp(1_700_000_000_000));
    let root = case.file("other.bin", &codec::encode(&TrustRoot::new(stranger)));
    let said = case.verify(case.page.as_bytes(), &["--trust", text(&root)]);
    assert_eq!((said.status, said.out.as_str()), (1, ""));
    assert!(said.err.contains("the checkpoint is not trusted: "), "{}", said.err);
    let none = case.file("none.bin", b"not a trust root");
    let said = case.verify(case.page.as_bytes(), &["--trust", text(&none)]);
    assert!(said.status == 1 && said.err.contains("none.bin is neither a trust root"), "{}", said.err);
    let missing = case.folder.path().join("missing.bin");
    let said = case.verify(case.page.as_bytes(), &["--trust", text(&missing)]);
    assert!(said.status == 1 && said.err.contains("cannot read") && said.err.contains("missing.bin"), "{}", said.err);
}

#[test]
fn another_contract_than_the_reader_means_is_refused() {
    let case = Case::new();
    let own = case.ledger.contract.to_string();
    let said = case.verify(case.page.as_bytes(), &["--json", "--contract", &own]).json();
    assert_eq!((&said["contract"], &said["contract_trust"]), (&json!(own), &json!("native")));
    let other = "12".repeat(32);
    let said = case.verify(case.page.as_bytes(), &["--contract", &other]);
    assert_eq!((said.status, said.out.as_str()), (1, ""));
    assert!(said.err.contains(&format!("are stored by contract {own}, not by {other}")), "{}", said.err);
    assert_eq!(case.verify(case.page.as_bytes(), &["--contract", "12"]).status, 2);
}

#[test]
fn a_changed_event_is_named_by_its_line() {
    let case = Case::new();
    let starts: Vec<usize> =
        case.page.match_indices("<pre class=\"signed\">").map(|(at, tag)| at + tag.len()).collect();
    assert_eq!(starts.len(), 3);
    for (index, start) in starts.into_iter().enumerate() {
        let note = start + case.page[start..].find("kept at 7").unwrap();
        let said = case.refused(&case.changed(note + "kept at ".len()));
        for line in 1..=3 {
            assert_eq!(said.contains(&format!("line {line}: ")), line == index + 1, "{said}");
        }
    }
    // A line that was taken out, whole.
    let start = case.page.find("<li class=\"line\" id=\"line-2\"").unwrap();
    let end = start + case.page[start..].find("</li>\n").unwrap() + "</li>\n".len();
    let without = [&case.page[..start], &case.page[end..]].concat();
    assert!(case.refused(without.as_bytes()).contains("not shown to be all"));
}

#[test]
fn changed_proofs_prove_nothing() {
    let case = Case::new();
    // A byte of the packed proofs, and the proofs of another lot of the same chain.
    let proofs = case.after("\"proofs\":\"");
    assert!(case.refused(&case.changed(proofs + 200)).contains("its proofs can't be unpacked"));
    let packed = |page: &str| {
        let start = page.find("\"proofs\":\"").unwrap() + "\"proofs\":\"".len();
        page[start..start + page[start..].find('"').unwrap()].to_owned()
    };
    let mixed = case.page.replace(&packed(&case.page), &packed(&case.page_of(OTHER)));
    assert_ne!(mixed, case.page);
    let said = case.refused(mixed.as_bytes());
    assert!((1..=3).all(|line| said.contains(&format!("line {line}: "))), "{said}");
    // The page of one lot as that of another.
    let renamed = case.page.replace(&format!("\"item\":\"{LOT}\""), &format!("\"item\":\"{OTHER}\""));
    assert_ne!(renamed, case.page);
    case.refused(renamed.as_bytes());
}

#[test]
fn a_changed_checkpoint_or_trust_root_is_told() {
    let case = Case::new();
    for place in [40, 90, 150] {
        let said = case.refused(&case.changed(case.after("\"checkpoint\":\"") + place));
        assert!(said.contains("checkpoint"), "{said}");
        case.refused(&case.changed(case.after("\"trust_root\":\"") + place));
    }
}

#[test]
fn what_is_not_proven_is_compared_byte_for_byte() {
    let case = Case::new();
    let places = [
        ("the title", case.after("<title>")),
        ("the policy", case.after("script-src 'sha256-") + 3),
        ("the style", case.after("<style>") + 30),
        ("the template", case.after("<h2 id=\"lines-title\">")),
        ("the footer", case.after("<footer><p>")),
        ("the verifier", case.after("id=\"trace-verifier\">") + 4_000),
        ("the script", case.after("<script type=\"module\">") + 9_000),
        ("the end", case.page.rfind("html>").unwrap()),
    ];
    for (what, at) in places {
        let at = (at..).find(|at| case.page.as_bytes()[*at].is_ascii_alphanumeric()).unwrap();
        let said = case.refused(&case.changed(at));
        assert!(said.contains(&format!("byte {at} of the file is not what ledgerkit ")), "{what}: {said}");
        // The lines are what they were: only the file isn't.
        assert!(!said.contains("line "), "{what}: {said}");
    }
    let end = case.page.len();
    let longer = format!("{}<p>certified by everybody</p>\n", case.page);
    assert!(case.refused(longer.as_bytes()).contains(&format!("byte {end} of the file")));
    for shorter in [end - 1, end - 100, end - 20_000] {
        assert!(case.refused(&case.page.as_bytes()[..shorter]).contains(&format!("byte {shorter} of the file")));
    }
}

#[test]
fn what_is_no_page_is_said_to_be_none() {
    let case = Case::new();
    let data = case.page.find("id=\"trace-data\"").unwrap();
    for cut in [data / 2, data, data + 1_000] {
        let said = case.refused(&case.page.as_bytes()[..cut]);
        assert!(said.contains("it is no trace page: "), "{cut}: {said}");
    }
    assert!(case.refused(b"<!doctype html><p>hello</p>").contains("it has no element `trace-data`"));
    assert!(case.refused(b"<\xff\xfe").contains("the page is not UTF-8"));
    // Neither a page nor a proof file.
    for none in [b"".as_slice(), b"hello", b"\0\0\0\0"] {
        assert_eq!(case.verify(none, &[]).status, 1);
    }
    let missing = ledgerkit(&["verify", text(&case.folder.path().join("none.html"))]);
    assert!(missing.status == 1 && missing.err.contains("none.html"), "{}", missing.err);
    let folder = ledgerkit(&["verify", text(case.folder.path())]);
    assert_eq!(folder.status, 1, "{}", folder.err);
}

#[test]
fn a_page_that_is_too_large_is_not_looked_at() {
    let case = Case::new();
    let path = case.file("trace.html", case.page.as_bytes());
    for (length, said) in
        [(MAX_PAGE_BYTES as u64 + 1, "the page has more than 67108864 bytes"), (200 << 20, "the limit is ")]
    {
        // A hole: what is written stays small.
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let refused = ledgerkit(&["verify", text(&path)]);
        assert!(refused.status == 1 && refused.err.contains(said), "{}", refused.err);
    }
}
