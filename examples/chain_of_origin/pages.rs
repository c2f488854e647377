//! Pages that verify themselves in a browser: one of the lot that is shown, or one of each lot.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger_trace_page::{Entry, index, write};
use ledger_traceability::epcis::{EventKey, Item};

use crate::book::Evidence;
use crate::machine::Machine;
use crate::processes::Fallible;

/// The page of the lot that is shown.
pub(crate) const PAGE: &str = "trace.html";
/// The folder for the pages of all lots, beside it.
pub(crate) const FOLDER: &str = "pages";
/// The list of the pages in it.
const INDEX: &str = "index.html";

/// Proves the trace of a lot.
pub(crate) type Prove<'a> = dyn Fn(&Item) -> Fallible<Evidence> + Sync + 'a;

/// A page that was written.
pub(crate) struct Written {
    pub(crate) entry: Entry,
    pub(crate) bytes: usize,
}

/// Writes the page of one lot.
pub(crate) fn one(path: &Path, evidence: &Evidence, machine: Machine, out: &mut dyn Write) -> Fallible<()> {
    let page = page_of(evidence, machine, &BTreeMap::new())?;
    put(path, &page.html)?;
    writeln!(out, "page         {}: {} bytes, verifies itself when it is opened", path.display(), page.html.len())?;
    Ok(())
}

/// Writes a page of each lot into `folder`, on all cores, and in the end their index, which so never names a page that isn't there. Gives them
/// in the order of their lots.
pub(crate) fn all(folder: &Path, lots: &[Item], machine: Machine, prove: &Prove<'_>) -> Fallible<Vec<Written>> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names: BTreeMap<Item, String> = lots.iter().map(|lot| (lot.clone(), file_of(lot))).collect();
    let lots: Vec<(&Item, &String)> = names.iter().collect();
    let next = AtomicUsize::new(0);
    let work = || -> Fallible<Vec<(usize, Written)>> {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((lot, file)) = lots.get(number) else { return Ok(done) };
            match page_in(folder, lot, file, machine, &names, prove) {
                Ok(written) => done.push((number, written)),
                Err(error) => {
                    // Nobody begins another one.
                    next.store(lots.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(lots.len());
    let parts: Vec<Fallible<Vec<(usize, Written)>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|part| part.unwrap_or_else(|_| Err("a thread that writes pages has panicked".into()))).collect()
    });
    let mut written = Vec::with_capacity(lots.len());
    for part in parts {
        written.extend(part?);
    }
    written.sort_by_key(|(number, _)| *number);
    let written: Vec<Written> = written.into_iter().map(|(_, written)| written).collect();
    let entries: Vec<Entry> = written.iter().map(|written| written.entry.clone()).collect();
    put(&folder.join(INDEX), &index("Lots of this ledger", &entries))?;
    Ok(written)
}

fn page_in(
    folder: &Path,
    lot: &Item,
    file: &str,
    machine: Machine,
    names: &BTreeMap<Item, String>,
    prove: &Prove<'_>,
) -> Fallible<Written> {
    let page = page_of(&prove(lot)?, machine, names)?;
    put(&folder.join(file), &page.html)?;
    let warnings = page.timeline.warnings.iter().map(|warning| warning.text.clone()).collect();
    let entry = Entry { file: file.to_owned(), name: lot.short(), events: page.timeline.lines.len(), warnings };
    Ok(Written { entry, bytes: page.html.len() })
}

fn page_of(evidence: &Evidence, machine: Machine, pages: &BTreeMap<Item, String>) -> Fallible<ledger_trace_page::Page> {
    Ok(write(machine.code(), &evidence.trust_root, &evidence.checkpoint, &evidence.proof, pages)?)
}

/// Whether a page can be written there: better known before a ledger is loaded.
pub(crate) fn try_place(path: &Path) -> Fallible<()> {
    let (_, new) = create_beside(path)?;
    fs::remove_file(&new).map_err(|error| format!("{}: {error}", new.display()).into())
}

/// Writes a file under another name first, so that what has the name is whole, the old one or the new one. It isn't synced: after a loss of
/// power a page can be made again from the ledger.
fn put(path: &Path, html: &str) -> Fallible<()> {
    let (mut file, new) = create_beside(path)?;
    let written = file.write_all(html.as_bytes()).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        // It is of no use to anybody; that it can't be removed either is not what to tell.
        let _ = fs::remove_file(&new);
        format!("{}: {error}", path.display()).into()
    })
}

/// A new file in the folder that `path` is to be in, under a name that nobody else has.
fn create_beside(path: &Path) -> Fallible<(File, PathBuf)> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let refused = |reason: &str| Err(format!("{}: {reason}", path.display()).into());
    if path.file_name().is_none() {
        return refused("it names no file");
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return refused("it is a folder"),
        // Another file could take its place all the same; whoever made it read-only wants it to stay.
        Ok(there) if there.permissions().readonly() => return refused("it is there and read-only"),
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refused(&format!("there is no folder {}", folder.display()));
    }
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let new = folder.join(format!(".page-{}-{number}.new", std::process::id()));
    match OpenOptions::new().write(true).create_new(true).open(&new) {
        Ok(file) => Ok((file, new)),
        Err(error) => refused(&error.to_string()),
    }
}

/// A name that every file system takes, and that no other item has: its letters and digits, and a digest that tells apart those that have
/// the same, or the same but for upper and lower case. Half of it, since whoever records events may choose their items' names.
fn file_of(item: &Item) -> String {
    let mut name = String::from("lot");
    for letter in item.short().chars() {
        match letter.is_ascii_alphanumeric() {
            true => name.push(letter),
            false if name.ends_with('-') => {}
            false => name.push('-'),
        }
    }
    let digest = EventKey::of(item.as_str().as_bytes()).to_string();
    format!("{}-{}.html", name.chars().take(80).collect::<String>(), digest.chars().take(32).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn names_of_files_are_plain_and_tell_items_apart() {
        let long = format!("urn:x:{}", "a".repeat(5_000));
        let items = [
            "urn:x:../../etc",
            "urn:x:..-..-etc",
            "urn:x:<b>",
            "con",
            "CON",
            "../con",
            "nul.html",
            "",
            ".",
            "..",
            "/",
            "C:\\a",
            "urn:x:lot",
            "urn:x:LOT",
            "urn:x:Straße",
            "urn:x:STRASSE",
            "urn:x:café",
            "urn:x:cafe\u{301}",
            "urn:x:\u{202e}lmth",
            "a\0b",
            "a\nb",
            long.as_str(),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for item in items {
            let name = file_of(&Item::new(item));
            let stem = name.strip_suffix(".html").unwrap();
            assert!(
                stem.starts_with("lot") && stem.chars().all(|it| it.is_ascii_alphanumeric() || it == '-'),
                "{name}"
            );
            assert!(name.len() <= 128, "{name}");
            // A file system that knows no upper and lower case takes both for one.
            assert!(seen.insert(name.to_ascii_lowercase()), "{item:?}: {name}");
        }
        assert_ne!(INDEX, file_of(&Item::new("index")));
    }

    #[test]
    fn a_page_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path, said: &str| {
            let before = names(folder.path());
            for error in [put(path, "page").unwrap_err(), try_place(path).unwrap_err()] {
                let error = error.to_string();
                assert!(error.starts_with(&format!("{}: ", path.display())) && error.contains(said), "{error}");
            }
            assert_eq!(names(folder.path()), before);
        };
        refused(&folder.path().join("none").join("trace.html"), "there is no folder ");
        refused(folder.path(), "it is a folder");
        refused(Path::new("/"), "it names no file");
        let page = folder.path().join("trace.html");
        try_place(&page).unwrap();
        assert!(names(folder.path()).is_empty());
        put(&page, "old").unwrap();
        refused(&page.join("below.html"), "there is no folder ");
        put(&page, "new").unwrap();
        assert_eq!((fs::read_to_string(&page).unwrap().as_str(), names(folder.path()).len()), ("new", 1));

        let mut permissions = fs::metadata(&page).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&page, permissions).unwrap();
        refused(&page, "read-only");
        assert_eq!(fs::read_to_string(&page).unwrap(), "new");

        // Refused where it gets its name: what was written before is gone.
        let long = folder.path().join("a".repeat(300));
        let error = put(&long, "page").unwrap_err().to_string();
        assert!(error.starts_with(&long.display().to_string()), "{error}");
        assert_eq!(names(folder.path()), ["trace.html"]);
    }

    #[test]
    fn no_index_is_written_where_a_page_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("pages");
        let lots = [Item::new("urn:x:lot:1"), Item::new("urn:x:lot:2")];
        let failed = all(&pages, &lots, Machine::Native, &|lot| Err(format!("no proof of {lot}").into()));
        assert!(failed.is_err_and(|error| error.to_string().starts_with("no proof of urn:x:lot:")));
        assert!(names(&pages).is_empty());
        fs::remove_dir(&pages).unwrap();
        fs::write(&pages, "a file").unwrap();
        let failed = all(&pages, &lots, Machine::Native, &|_| Err("not asked".into()));
        assert!(failed.is_err_and(|error| error.to_string().starts_with(&format!("{}: ", pages.display()))));
        assert_eq!(fs::read_to_string(&pages).unwrap(), "a file");
    }
}
