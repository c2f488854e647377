//! Text as HTML, and JSON inside a script element.

/// Text for an element's content or an attribute in double quotes.
pub(crate) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A browser would read a line feed.
            '\r' => escaped.push_str("&#13;"),
            // A browser would read U+FFFD, or nothing.
            '\0' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// What [`text`] was given; `None` where it can't have given this.
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
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let code = u32::from(letter);
                escaped.push_str(&format!("\\u{code:04x}"));
            }
            _ => escaped.push(letter),
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
        assert_eq!(untext("&nbsp;"), None);
        assert_eq!(script("\"</script>\u{2028}&\""), "\"\\u003c/script\\u003e\\u2028\\u0026\"");
    }
}
