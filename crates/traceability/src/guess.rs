//! Which items an event names, told from its bytes at a glance.
//!
//! What a call will read is asked before it is paid for, so there is no time to read the event as [`Event`](crate::epcis::Event)
//! does. This walks once over the strings of the canonical bytes. A wrong guess costs a read and changes no result.

use crate::epcis::Item;

/// The members of events whose text names items; `epcClass` stands in the lists of quantities.
const MEMBERS: [&str; 7] =
    ["childEPCs", "epcClass", "epcList", "inputEPCList", "outputEPCList", "parentID", "transformationID"];

/// The items, in the order of the bytes. Text with escapes is passed over: identifiers have none.
pub(crate) fn items(bytes: &[u8]) -> impl Iterator<Item = Item> {
    let mut rest = bytes;
    let mut named = false;
    std::iter::from_fn(move || {
        loop {
            let (text, behind) = next_string(rest)?;
            rest = behind;
            if behind.first() == Some(&b':') {
                named = MEMBERS.iter().any(|member| member.as_bytes() == text);
            } else if let (true, Ok(text)) = (named, str::from_utf8(text)) {
                return Some(Item::new(text));
            }
        }
    })
}

/// What stands in the next string without escapes, and what comes behind its end.
fn next_string(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    loop {
        let begin = bytes.iter().position(|byte| *byte == b'"')?;
        let inside = bytes.get(begin.checked_add(1)?..)?;
        let end = inside.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, behind) = inside.split_at_checked(end)?;
        match behind.split_first()? {
            (b'"', behind) => return Some((text, behind)),
            _ => bytes = after_escapes(behind)?,
        }
    }
}

/// What comes behind the end of a string, from an escape in it on.
fn after_escapes(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes.split_first()? {
            (b'"', behind) => return Some(behind),
            (b'\\', behind) => behind.get(1..)?,
            (_, behind) => behind,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        items(text.as_bytes()).map(|item| item.to_string()).collect()
    }

    #[test]
    fn only_the_members_that_name_items_count() {
        let text = r#"{"action":"ADD","epcList":["urn:x:1","urn:x:2"],"parentID":"urn:x:3","q":[{"epcClass":"urn:x:4","quantity":1,"uom":"KGM"}]}"#;
        assert_eq!(names(text), ["urn:x:1", "urn:x:2", "urn:x:3", "urn:x:4"]);
    }

    #[test]
    fn text_with_escapes_is_passed_over_and_ends_where_it_ends() {
        assert_eq!(names(r#"{"note":"a \"parentID\":\\","parentID":"urn:x:1","x":"\\\""}"#), ["urn:x:1"]);
        assert_eq!(names(r#"{"epcList":["urn:\u0041","urn:x:2"]}"#), ["urn:x:2"]);
        for broken in ["\"", "\"\\", "\"a", "{\"epcList\":[\"", "\"\\\"", ""] {
            assert_eq!(names(broken), Vec::<String>::new(), "{broken}");
        }
    }
}
