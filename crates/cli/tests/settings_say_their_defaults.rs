//! The settings file that `init` writes shows every setting, and shows the defaults that count.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

use ledgerkit_cli::config::{Config, template};
use toml::{Table, Value};

/// The template's text with the comments that show a default made to count.
fn uncommented(text: &str) -> String {
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|first: char| first.is_ascii_lowercase()) => {
            match setting.strip_suffix("(no default)") {
                Some(_) => String::new(),
                None => setting.to_owned(),
            }
        }
        _ => line.to_owned(),
    };
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_defaults_that_are_shown_are_the_ones_that_count() {
    let default = Config::default();
    let text = template(&default);
    assert_eq!(Config::parse(&text).unwrap(), default, "what is commented out counts for nothing");
    assert_eq!(Config::parse(&uncommented(&text)).unwrap(), default, "what is commented out is the default");
    assert_eq!(Config::parse("").unwrap(), default);
}

#[test]
fn every_setting_is_shown() {
    let text = template(&Config::default());
    let shown: Table = uncommented(&text).parse().unwrap();
    let all = Table::try_from(Config::default()).unwrap();
    for (name, value) in &all {
        match value {
            Value::Table(section) => {
                for name_below in section.keys().filter(|key| *key != "peers") {
                    assert!(shown[name].get(name_below).is_some(), "{name}.{name_below} isn't shown");
                }
            }
            _ => assert!(shown.contains_key(name), "{name} isn't shown"),
        }
    }
    for optional in ["passphrase_file", "tokens", "transactions", "heartbeat_ms"] {
        assert!(text.contains(&format!("\n#{optional} = ")), "{optional} isn't shown");
    }
}

#[test]
fn a_setting_that_is_not_known_is_told_with_its_line() {
    for (text, said) in [
        ("kye = \"a\"", "unknown field `kye`"),
        ("[blocks]\npipelines = 3", "unknown field `pipelines`"),
        ("[[network.peers]]\nkey = \"00\"\naddress = \"a:1\"", "key"),
        ("[log]\nformat = \"xml\"", "xml"),
        ("key = ", "line 1"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("line "), "{text}: {error}");
    }
}
