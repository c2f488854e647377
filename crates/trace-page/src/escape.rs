//! Text as HTML, and JSON inside a script element.

/// Text for an element's content or an attribute in quotes.
pub(crate) fn text(text: &str) -> String {
    escaped(text, true)
}

/// Text for an element's content alone, where quotes stay what they are: JSON has so many that they would be a third of it.
pub(crate) fn content(text: &str) -> String {
    escaped(text, false)
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' if quotes => escaped.push_str("&quot;"),
            '\'' if quotes => escaped.push_str("&#39;"),
            // A browser would read a line feed.
            '\r' => escaped.push_str("&#13;"),
            // A browser would read U+FFFD, or nothing.
            '\0' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// What [`text`] or [`content`] was given; `None` where neither can have given this.
pub(crate) fn untext(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let known = [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"'), ("#39;", '\''), ("#13;", '\r')];
        let (letter, after) = known.iter().find_map(|(name, letter)| Some((*letter, after.strip_prefix(name)?)))?;
        text.push(letter);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// JSON as the content of a script element, which ends at the first `</script`, whatever it stands in.
pub(crate) fn script(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    // Most of it is Base64, where there is nothing to escape.
    for part in json.split_inclusive(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        match part.char_indices().next_back() {
            Some((at, letter @ ('<' | '>' | '&' | '\u{2028}' | '\u{2029}'))) => {
                escaped.push_str(part.get(..at).unwrap_or_default());
                escaped.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => escaped.push_str(part),
        }
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_again_and_ends_no_element() {
        let every: String = (1..0x2100u32).filter_map(char::from_u32).collect();
        let escaped = text(&every);
        assert!(!escaped.contains(['<', '>', '"', '\'', '\r']));
        assert_eq!(untext(&escaped).unwrap(), every);
        let shown = content(&every);
        assert!(!shown.contains(['<', '>', '\r']) && shown.contains(['"', '\'']));
        assert_eq!(untext(&shown).unwrap(), every);
        assert_eq!(untext("&nbsp;"), None);
        assert_eq!((script(""), script("\"ä\"")), (String::new(), "\"ä\"".to_owned()));
        assert_eq!(script("\"</script>\u{2028}&\""), "\"\\u003c/script\\u003e\\u2028\\u0026\"");
    }
}
