//! Pages that verify themselves in a browser: one of the lot that is shown, or one of each lot.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use ledger_trace_page::{Entry, index, write};
use ledger_traceability::epcis::Item;

use crate::book::Evidence;
use crate::ledger::Ledger;
use crate::machine::Machine;
use crate::processes::Fallible;

/// The page of the lot that is shown.
pub(crate) const PAGE: &str = "trace.html";
/// The folder for the pages of all lots, beside it.
pub(crate) const FOLDER: &str = "pages";

/// Writes the page of one lot.
pub(crate) fn one(path: &Path, evidence: &Evidence, machine: Machine, out: &mut dyn Write) -> Fallible<()> {
    let page = page_of(evidence, machine, &BTreeMap::new())?;
    put(path, &page.html)?;
    writeln!(out, "page         {}: {} bytes, verifies itself when it is opened", path.display(), page.html.len())?;
    Ok(())
}

/// Writes a page of each lot into `folder`, and their index.
pub(crate) async fn all(
    folder: &Path,
    ledger: &Ledger,
    lots: &[Item],
    machine: Machine,
    out: &mut dyn Write,
) -> Fallible<()> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let pages: BTreeMap<Item, String> = lots.iter().map(|lot| (lot.clone(), file_of(lot))).collect();
    let mut entries = Vec::with_capacity(lots.len());
    let (started, mut bytes, mut longest) = (Instant::now(), 0, 0);
    for (lot, file) in &pages {
        let page = page_of(&ledger.prove(lot).await?, machine, &pages)?;
        put(&folder.join(file), &page.html)?;
        bytes += page.html.len();
        longest = longest.max(page.html.len());
        let warnings = page.timeline.warnings.iter().map(|warning| warning.text.clone()).collect();
        entries.push(Entry { file: file.clone(), name: lot.short(), events: page.timeline.lines.len(), warnings });
    }
    put(&folder.join("index.html"), &index("Lots of this ledger", &entries))?;
    writeln!(
        out,
        "pages        {} in {}, {bytes} bytes, the longest {longest}; proven and written in {:.2} s",
        entries.len(),
        folder.display(),
        started.elapsed().as_secs_f64()
    )?;
    Ok(())
}

fn page_of(evidence: &Evidence, machine: Machine, pages: &BTreeMap<Item, String>) -> Fallible<ledger_trace_page::Page> {
    Ok(write(machine.code(), &evidence.trust_root, &evidence.checkpoint, &evidence.proof, pages)?)
}

fn put(path: &Path, html: &str) -> Fallible<()> {
    std::fs::write(path, html).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A name that every file system takes, and that no other item has: its letters and digits, and what tells apart those that have the same.
fn file_of(item: &Item) -> String {
    let mut name = String::from("lot");
    for letter in item.short().chars() {
        match letter.is_ascii_alphanumeric() {
            true => name.push(letter),
            false if name.ends_with('-') => {}
            false => name.push('-'),
        }
    }
    let digest = ledger_traceability::epcis::EventKey::of(item.as_str().as_bytes()).to_string();
    format!("{}-{}.html", name.chars().take(80).collect::<String>(), digest.chars().take(8).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain_and_tell_items_apart() {
        let names = ["urn:x:../../etc", "urn:x:..-..-etc", "urn:x:<b>"].map(|item| file_of(&Item::new(item)));
        assert!(
            names
                .iter()
                .all(|name| name.trim_end_matches(".html").chars().all(|it| it.is_ascii_alphanumeric() || it == '-'))
        );
        assert_ne!(names[0], names[1]);
    }
}
