//! The names of a module's functions, for traces: from its section `name`, which tools write and nothing checks.

use std::collections::BTreeMap;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// The most bytes that the names of one module take, together.
const MAX_BYTES: usize = 1 << 20;

/// Names by function; those of imported functions are among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names(BTreeMap<u32, Box<str>>);

impl Names {
    /// The names in a module that was checked; none where the section is malformed.
    pub(super) fn of(code: &[u8]) -> Self {
        let mut names = Names::default();
        for payload in Parser::new(0).parse_all(code) {
            match payload {
                Ok(Payload::CustomSection(section)) => {
                    if let KnownCustom::Name(section) = section.as_known() {
                        names.take(section);
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        names
    }

    fn take(&mut self, section: wasmparser::NameSectionReader<'_>) {
        let mut left = MAX_BYTES;
        for part in section {
            let Ok(Name::Function(functions)) = part else { continue };
            for naming in functions {
                let Ok(naming) = naming else { return };
                let Some(less) = left.checked_sub(naming.name.len()) else { return };
                left = less;
                self.0.insert(naming.index, naming.name.into());
            }
        }
    }

    /// About how many bytes of memory they take.
    pub(super) fn weight(&self) -> usize {
        self.0.values().map(|name| name.len() + 64).sum()
    }

    /// What a function is called: its name, or its number.
    pub(super) fn name(&self, function: u32) -> String {
        self.0.get(&function).map_or_else(|| format!("function {function}"), |name| name.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_that_their_module_says() {
        let code = wat::parse_str("(module (func $first) (func) (func $third))").unwrap();
        let names = Names::of(&code);
        assert_eq!([0, 1, 2, 9].map(|function| names.name(function)), ["first", "function 1", "third", "function 9"]);
    }

    #[test]
    fn a_malformed_section_has_no_names() {
        // Says that it has one name of 100 bytes.
        let section = [0, 8, 4, b'n', b'a', b'm', b'e', 1, 1, 100];
        let code = [b"\0asm\x01\0\0\0", section.as_slice()].concat();
        assert_eq!(Names::of(&code), Names::default());
    }
}
