//! Our JSON reader takes what the grammar takes and nothing else, and its canonical bytes are stable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ledger_traceability::json::{Bounds, Json};
use proptest::prelude::*;

fn ours(text: &[u8]) -> Option<Json> {
    Json::parse(text, &Bounds::default()).ok()
}

fn theirs(text: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(text).ok()
}

/// Whether the other reader takes a text; `None` where it stops at a number beyond a double's range, which the grammar
/// doesn't bound (RFC 8259, 6), and says nothing of the rest.
fn theirs_takes(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(_) => Some(true),
        Err(error) => (!error.to_string().starts_with("number out of range")).then_some(false),
    }
}

/// Text made of pieces that matter to the grammar, so that valid and nearly valid JSON is common.
fn jsonish() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\\n\"",
        "0",
        "-",
        "1",
        "01",
        "1.5",
        "1.",
        ".5",
        "-0",
        "1e5",
        "1E+5",
        "1e",
        "12345678901234567890123",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{b}",
        "é",
        "{\"a\":1}",
        "[1,2]",
        "[]",
        "{}",
        "\"a\":",
        ",\"b\":2",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn accepts_exactly_the_grammar(text in jsonish()) {
        if let Some(takes) = theirs_takes(text.as_bytes()) {
            prop_assert_eq!(ours(text.as_bytes()).is_some(), takes, "{}", text);
        }
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(takes) = theirs_takes(&bytes) {
            prop_assert_eq!(ours(&bytes).is_some(), takes);
        }
    }

    #[test]
    fn canonical_bytes_mean_the_same_and_read_back_the_same(value in value()) {
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        let canonical = ours(&pretty).unwrap().to_bytes();
        prop_assert_eq!(theirs(&canonical), Some(value));
        prop_assert_eq!(ours(&canonical).unwrap().to_bytes(), canonical);
    }
}

#[test]
fn numbers_keep_their_digits_and_the_last_of_equal_names_counts() {
    let text = br#"{"b": 1.10, "a": 12345678901234567890.000, "b": [1E+2, -0]}"#;
    assert_eq!(ours(text).unwrap().to_string(), r#"{"a":12345678901234567890.000,"b":[1E+2,-0]}"#);
    // Beyond a double's range, and still a number.
    assert_eq!(ours(b"1e512345678901234567890123").unwrap().to_string(), "1e512345678901234567890123");
}

#[test]
fn faults_are_told_by_line_and_column() {
    let message = |text: &str| Json::parse(text.as_bytes(), &Bounds::default()).unwrap_err().to_string();
    assert_eq!(message("{\n \"a\": 1,\n}"), "not JSON: line 3, column 1: expected a member name in double quotes");
    assert_eq!(message("[1 2]"), "not JSON: line 1, column 4: expected `,` or `]`");
    assert_eq!(message(""), "not JSON: line 1, column 1: the document ends where a value should be");
    assert_eq!(message(&"[".repeat(129)), "line 1: nested deeper than 128 levels");
    let error = Json::parse(b"\"\xff\"", &Bounds::default()).unwrap_err();
    assert_eq!(error.to_string(), "not UTF-8 text: byte 1 starts no character");
}
