//! Opening pages in Chromium, where it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Chromium is called, where it isn't named.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How often each page is opened; the median counts.
const ROUNDS: usize = 5;

/// A page that was opened.
pub(crate) struct Opened {
    pub(crate) lines: usize,
    /// Milliseconds from the start of the page's script until every line was verified.
    pub(crate) verified_ms: f64,
    /// Milliseconds from the beginning of the navigation until all that was verified is in the document.
    pub(crate) shown_ms: f64,
}

/// Opens each page [`ROUNDS`] times.
pub(crate) fn open(pages: &[PathBuf]) -> Result<Vec<Opened>, String> {
    let chromium = chromium().ok_or("there is no Chromium on this machine")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pages/open.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(chromium).arg(ROUNDS.to_string()).args(pages).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("Node.js doesn't start: {error}"))?;
    if !output.status.success() {
        return Err(format!("opening the pages failed: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let opened: Option<Vec<Opened>> = text.lines().map(opened).collect();
    opened.filter(|opened| opened.len() == pages.len()).ok_or(format!("opening the pages said: {text}"))
}

fn opened(line: &str) -> Option<Opened> {
    let mut words = line.split(' ');
    let (lines, verified, shown) = (words.next()?, words.next()?, words.next()?);
    Some(Opened { lines: lines.parse().ok()?, verified_ms: verified.parse().ok()?, shown_ms: shown.parse().ok()? })
}

fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&folders).flat_map(|folder: PathBuf| NAMES.map(|name| folder.join(name)));
    found.into_iter().find(|path: &PathBuf| Path::is_file(path))
}
