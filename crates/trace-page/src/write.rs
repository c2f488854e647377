//! Making a page.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger_core::codec;
use ledger_traceability::epcis::{EventKey, Item};
use ledger_traceability::timeline::{ContractCode, Timeline, TraceProof, timeline_of};
use sha2::{Digest as _, Sha256};

use crate::data::{Data, compressed};
use crate::{PageError, VERIFIER, escape};

const PAGE: &str = include_str!("../templates/page.html");
const STYLE: &str = include_str!("../templates/page.css");
/// The package's own sources, so that pages and packages can't differ, then the page's. Together they are one module, which may export what
/// nobody imports, and what one file takes from another is there.
const SCRIPTS: [&str; 7] = [
    include_str!("../../../packages/verifier/epcis.js"),
    include_str!("../../../packages/verifier/verifier.js"),
    include_str!("../templates/text.js"),
    include_str!("../templates/measure.js"),
    include_str!("../templates/derive.js"),
    include_str!("../templates/draw.js"),
    include_str!("../templates/page.js"),
];

/// How hard to compress what is compressed once for all pages.
const HARDEST: u8 = 10;

/// A page that was made.
#[derive(Debug, Clone)]
pub struct Page {
    /// The HTML.
    pub html: String,
    /// What it shows.
    pub timeline: Timeline,
}

/// Makes the page of a trace from an encoded trust root, checkpoint and trace proof, which are verified first. `pages` has the file names of
/// other items' pages, to which this one may link.
///
/// # Errors
/// [`PageError::Timeline`] when the trace isn't proven.
pub fn write(
    code: ContractCode,
    trust_root: &[u8],
    checkpoint: &[u8],
    proof: &[u8],
    pages: &BTreeMap<Item, String>,
) -> Result<Page, PageError> {
    let timeline = timeline_of(code, trust_root, checkpoint, proof)?;
    let proof: TraceProof = codec::decode(proof).map_err(ledger_traceability::timeline::TimelineError::from)?;
    // The history's events in the order of time, then those that were read only to know that they don't belong to it.
    let order: BTreeMap<EventKey, usize> = timeline.lines.iter().enumerate().map(|(at, line)| (line.key, at)).collect();
    let mut events: Vec<(usize, EventKey, Vec<u8>)> = Vec::with_capacity(proof.transactions.len());
    for transaction in proof.transactions.iter() {
        let content = transaction.body.as_ref().map_or(&[][..], |body| &*body.content);
        let key = EventKey::of(content);
        events.push((order.get(&key).copied().unwrap_or(usize::MAX), key, content.to_vec()));
    }
    events.sort_unstable();
    events.dedup();
    let events: Vec<&[u8]> = events.iter().map(|(_, _, event)| event.as_slice()).collect();
    let item = proof.item.as_str().to_owned();
    let flows = timeline.flows.iter().flat_map(|flow| [&flow.from, &flow.to]);
    let named = flows.filter_map(|item| Some((item.as_str().to_owned(), pages.get(item)?.clone()))).collect();
    let data = Data {
        item,
        trust_root: trust_root.to_vec(),
        checkpoint: checkpoint.to_vec(),
        pieces: proof.into_pieces(&events),
        pages: named,
    };
    Ok(Page { html: html(&data, &events), timeline })
}

/// The page's parts that are the same in every page.
struct Fixed {
    script: String,
    script_digest: String,
    style_digest: String,
    verifier: String,
}

/// A script without what only its readers need, comments and indentation, and without the lines that take something from another file. No string
/// in it runs over several lines.
fn shortened(script: &str) -> String {
    let mut short = String::with_capacity(script.len());
    let mut comment = false;
    for line in script.split_inclusive('\n') {
        let code = line.trim_start();
        comment |= code.starts_with("/*");
        if !(comment || code.is_empty() || code.starts_with("//") || code.contains(" from './")) {
            short.push_str(code);
        }
        comment &= !code.trim_end().ends_with("*/");
    }
    short
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| {
        let script: String = SCRIPTS.map(shortened).concat();
        let digest = |text: &str| BASE64.encode(Sha256::digest(text));
        Fixed {
            script_digest: digest(&script),
            style_digest: digest(STYLE),
            verifier: compressed(VERIFIER, HARDEST),
            script,
        }
    })
}

/// The page of this data with these events. A byte of an event that is no text can't be shown; none was signed as an event.
pub(crate) fn html(data: &Data, events: &[&[u8]]) -> String {
    let fixed = fixed();
    let title = format!("The history of {}", Item::new(&data.item).short());
    let generator = concat!("ledgerkit ", env!("CARGO_PKG_VERSION"));
    let shown: String = events.iter().enumerate().map(|(index, event)| line(index, event)).collect();
    let mut page =
        String::with_capacity(PAGE.len() + fixed.script.len() + fixed.verifier.len() + shown.len() + 100_000);
    let mut rest = PAGE;
    // One way through the template, so that nothing in the data is taken for a place in it.
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        page.push_str(before);
        match name {
            "title" => page.push_str(&escape::text(&title)),
            "generator" => page.push_str(generator),
            "style" => page.push_str(STYLE),
            "style-digest" => page.push_str(&fixed.style_digest),
            "script" => page.push_str(&fixed.script),
            "script-digest" => page.push_str(&fixed.script_digest),
            "verifier" => page.push_str(&fixed.verifier),
            "events" => page.push_str(&shown),
            "data" => page.push_str(&data.to_json()),
            _ => {}
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

pub(crate) const LINE: &str = "<li class=\"line\" id=\"line-";
pub(crate) const SIGNED: &str =
    "\"><div class=\"shown\"></div><details><summary>The JSON that was signed</summary><pre class=\"signed\">";
pub(crate) const LINE_END: &str = "</pre></details></li>\n";

fn line(index: usize, event: &[u8]) -> String {
    let number = index.saturating_add(1);
    let event = escape::content(&String::from_utf8_lossy(event));
    format!("{LINE}{number}{SIGNED}{event}{LINE_END}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_shortened_and_stay_what_they_are() {
        let script = "import { a } from './a.js';\n// Why.\n/** What\n * it is. */\nf(() => {\n  // Here.\n\n  g(`//`); // there\n});\n";
        assert_eq!(shortened(script), "f(() => {\ng(`//`); // there\n});\n");
        for script in SCRIPTS {
            // A string that runs over several lines, or code behind a comment's end, would be cut.
            let mut comment = false;
            for line in script.lines() {
                assert!(line.matches('`').count() % 2 == 0 && !line.ends_with('\\'), "{line}");
                assert!(line.split_once("/*").is_none_or(|(before, _)| before.trim().is_empty()), "{line}");
                comment |= line.contains("/*");
                assert!(!comment || !line.contains("*/") || line.ends_with("*/"), "{line}");
                comment &= !line.contains("*/");
            }
        }
        assert!(fixed().script.len() * 10 < SCRIPTS.concat().len() * 9);
    }
}
