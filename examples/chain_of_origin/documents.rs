//! The documents to load.

use std::path::{Path, PathBuf};

use ledger_traceability::epcis::{self, Event, Limits};

use crate::machine::Machine;

/// The document that comes with the example.
const COFFEE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/coffee.jsonld"));

/// Folders inside each other, at most.
const MAX_DEPTH: usize = 32;

/// Where a document comes from.
pub(crate) enum Source {
    Coffee,
    File { path: PathBuf, bytes: u64 },
}

/// The documents that `events` names, in the order of their paths.
pub(crate) fn find(events: Option<&Path>) -> Result<Vec<Source>, String> {
    let Some(path) = events else {
        return Ok(vec![Source::Coffee]);
    };
    let unreadable = |path: &Path, error: std::io::Error| format!("--events {}: {error}", path.display());
    let facts = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let mut files = Vec::new();
    if facts.is_dir() {
        search(path, 0, &mut files).map_err(|(path, error)| unreadable(&path, error))?;
        files.sort();
        if files.is_empty() {
            return Err(format!("--events {}: there are no .json or .jsonld files in this folder", path.display()));
        }
    } else {
        files.push(path.to_owned());
    }
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |facts| facts.len());
    Ok(files.into_iter().map(|path| Source::File { bytes: size(&path), path }).collect())
}

/// Links to folders aren't followed, so a search comes to its end.
fn search(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |error| (folder.to_owned(), error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                search(&path, depth + 1, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("json") || end.eq_ignore_ascii_case("jsonld"))
        {
            files.push(path);
        }
    }
    Ok(())
}

impl Source {
    /// What to call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Source::Coffee => "coffee.jsonld (comes with the example)".to_owned(),
            Source::File { path, .. } => path.display().to_string(),
        }
    }

    /// Its length in bytes, as far as known.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Source::Coffee => u64::try_from(COFFEE.len()).unwrap_or(0),
            Source::File { bytes, .. } => *bytes,
        }
    }

    /// Its events; the error is a sentence that names the document, the event and the field. An event that needs more than
    /// `fuel` on the machine is an error too, before anything of its document is stored.
    pub(crate) fn read(&self, machine: Machine, fuel: u64) -> Result<Vec<Event>, String> {
        let mut limits = Limits::default();
        limits.problems = 5;
        let document = match self {
            Source::Coffee => epcis::read(&self.name(), COFFEE, &limits),
            Source::File { path, bytes } => {
                if usize::try_from(*bytes).map_or(true, |bytes| bytes > limits.document_bytes) {
                    let limit = limits.document_bytes;
                    return Err(format!(
                        "{}: has {bytes} bytes, more than the {limit} that a document may have",
                        self.name()
                    ));
                }
                let content = std::fs::read(path).map_err(|error| format!("{}: {error}", self.name()))?;
                epcis::read(&self.name(), &content, &limits)
            }
        };
        let events = document.map_err(|error| error.to_string())?.events;
        for (index, event) in events.iter().enumerate() {
            if machine.fuel_for(event).0 > fuel {
                let (name, items) = (self.name(), event.mentions().len());
                let number = index + 1;
                return Err(format!(
                    "{name}: event {number} (eventList[{index}]): names {items} items, more than a transaction can link"
                ));
            }
        }
        Ok(events)
    }
}
