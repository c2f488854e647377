//! What the formats' bytes are is written down in `tests/golden/*.hex` and in `docs/format.md`. A change of any byte
//! fails here. Where the change is meant, `LEDGERKIT_GOLDEN=write cargo test -p ledger-core --test formats_are_pinned`
//! writes files and page anew; the diff belongs into the same commit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::samples::{File, files};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const HOW_TO: &str = "\nif the format is meant to change, run\n\n    LEDGERKIT_GOLDEN=write cargo test -p ledger-core --test \
                      formats_are_pinned\n\nand commit the new files with a word on why; every stored chain of the \
                      old format becomes unreadable";

fn writing() -> bool {
    std::env::var("LEDGERKIT_GOLDEN").is_ok_and(|value| value == "write")
}

fn golden(file: &File) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file.name).with_extension("hex")
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A file's entries, each as its name, ` = ` and the bytes in hex.
fn lines(file: &File) -> String {
    file.entries.iter().fold(String::new(), |text, (name, bytes)| text + name + " = " + &hex(bytes) + "\n")
}

/// The entry at which two texts differ first.
fn first_difference(expected: &str, found: &str) -> String {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return "no entry, but the line ends".to_owned(),
            (expected, found) if expected == found => {}
            (expected, found) => {
                return format!("expected {}\n   found {}", expected.unwrap_or("nothing"), found.unwrap_or("nothing"));
            }
        }
    }
}

#[test]
fn every_format_has_the_bytes_of_its_golden_file() {
    for file in files() {
        let (path, found) = (golden(&file), lines(&file));
        if writing() {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(expected == found, "{} differs:\n{}\n{HOW_TO}", path.display(), first_difference(&expected, &found));
    }
}

#[test]
fn no_golden_file_is_left_over() {
    let known: Vec<PathBuf> = files().iter().map(golden).collect();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")).unwrap() {
        let path = entry.unwrap().path();
        assert!(known.contains(&path), "{} pins nothing", path.display());
    }
}

#[test]
fn every_name_is_used_once() {
    for file in files() {
        let mut names: Vec<&String> = file.entries.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), file.entries.len(), "{}", file.name);
    }
}

/// The page ends with the vectors, so that it can be read without this repository.
#[test]
fn the_format_page_shows_the_golden_bytes() {
    const MARK: &str = "<!-- From here on the page is written by the tests of ledger-core. -->\n";
    let text = std::fs::read_to_string(page()).unwrap();
    let (prose, found) = text.split_once(MARK).expect("the page has the mark");
    let mut expected = String::new();
    for file in files() {
        write!(expected, "\n### {}\n\n```text\n{}```\n", file.name, lines(&file)).unwrap();
    }
    if writing() {
        std::fs::write(page(), format!("{prose}{MARK}{expected}")).unwrap();
        return;
    }
    assert!(expected == found, "docs/format.md differs:\n{}\n{HOW_TO}", first_difference(&expected, found));
}

/// Names of domains on the page are those in the code.
#[test]
fn the_format_page_names_every_domain() {
    let source = include_str!("../src/domains.rs");
    let text = std::fs::read_to_string(page()).unwrap();
    let domains: Vec<&str> = source.split('"').filter(|part| part.starts_with("ledgerkit.1.")).collect();
    assert!(domains.len() >= 17, "{domains:?}");
    for domain in domains {
        assert!(text.contains(&format!("`{domain}`")), "docs/format.md doesn't name {domain}");
    }
}
