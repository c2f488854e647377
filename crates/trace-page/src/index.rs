//! The index of many pages.

use crate::escape;

/// A page in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The page's file name.
    pub file: String,
    /// What it is the history of.
    pub name: String,
    /// How many events it has.
    pub events: usize,
    /// Its warnings, a sentence each.
    pub warnings: Vec<String>,
}

const STYLE: &str = include_str!("../templates/page.css");

/// A page that links to pages. It proves nothing itself; each of them does.
#[must_use]
pub fn index(title: &str, entries: &[Entry]) -> String {
    let title = escape::text(title);
    let rows: String = entries
        .iter()
        .map(|entry| {
            let warnings: Vec<String> = entry.warnings.iter().map(|warning| escape::text(warning)).collect();
            format!(
                "<tr><td><a href=\"{}\">{}</a></td><td>{}</td><td>{}</td></tr>\n",
                escape::text(&entry.file),
                escape::text(&entry.name),
                entry.events,
                warnings.join("<br>")
            )
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\n<p>This list proves nothing; each page that it links to verifies \
         itself.</p></header>\n<main>\n<table><caption>{} lots</caption><thead><tr><th scope=\"col\">Lot</th><th \
         scope=\"col\">Events</th><th scope=\"col\">To know</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n</main>\n</body>\n</html>\n",
        entries.len()
    )
}
