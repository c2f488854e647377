//! Changing one stored byte behind the ledger's back, and asking those who should notice.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ledger_core::codec;
use ledger_trace_page::check;
use ledger_traceability::timeline::{TraceProof, timeline_of};

use crate::book::Evidence;
use crate::machine::Machine;
use crate::owner::Owner;
use crate::processes::Fallible;

/// How the log's files are called.
const LOG: &str = "log-";

/// An event as it is stored, and the digit in it that is changed into another one.
struct Target {
    event: Vec<u8>,
    at: usize,
    block: u64,
    transaction: u32,
}

impl Target {
    /// The last digit of the last event that the trace shows: whoever reads it would find nothing strange.
    fn of(evidence: &Evidence) -> Fallible<Self> {
        let proof: TraceProof = codec::decode(&evidence.proof)?;
        let found = proof.transactions.iter().rev().find_map(|shown| {
            let event = shown.body.as_ref()?.content.to_vec();
            let at = event.iter().rposition(u8::is_ascii_digit)?;
            Some(Target { event, at, block: shown.block.header.height.0, transaction: shown.index })
        });
        found.ok_or_else(|| "the trace shows no event with a digit in it".into())
    }

    fn before(&self) -> char {
        self.event.get(self.at).copied().map_or('?', char::from)
    }

    /// Another digit: one bit differs.
    fn after(&self) -> u8 {
        self.event.get(self.at).map_or(0, |digit| digit ^ 1)
    }

    /// `bytes` with the digit changed, in the one place where the event stands in them.
    fn changed(&self, mut bytes: Vec<u8>) -> Fallible<Vec<u8>> {
        let at = place(&bytes, &self.event).ok_or("the event isn't where it should be")? + self.at;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = self.after();
        }
        Ok(bytes)
    }
}

/// Changes the byte in the log of the closed ledger in `folder`, and shows that its node, a light client that is given what such a node
/// would say, and the page with the same change all refuse it.
pub(crate) async fn show(
    folder: &Path,
    page: &Path,
    evidence: &Evidence,
    machine: Machine,
    out: &mut dyn Write,
) -> Fallible<()> {
    let target = Target::of(evidence)?;
    let (block, transaction) = (target.block, target.transaction);
    let (file, offset) = flip(folder, &target)?;
    writeln!(
        out,
        "\ntampered     {} at byte {offset}: the digit {} of the event of block {block}, transaction {transaction}, is {} now",
        file.display(),
        target.before(),
        char::from(target.after())
    )?;

    let refused = match Owner::open(folder, machine).await {
        Err(error) => error.to_string(),
        Ok(ledger) => {
            ledger.close().await?;
            return Err("the node has opened a ledger whose log was changed".into());
        }
    };
    writeln!(out, "node         refuses to open the ledger: {refused}")?;

    // What a node would answer that doesn't look at what it reads.
    let proof = target.changed(evidence.proof.clone())?;
    match timeline_of(machine.code(), &evidence.trust_root, &evidence.checkpoint, &proof) {
        Err(error) => writeln!(out, "light client refuses the proof of block {block}: {error}")?,
        Ok(_) => return Err("the light client has believed a proof that was changed".into()),
    }

    let shown = std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let shown = String::from_utf8(target_on_page(&target).changed(shown.into_bytes())?)?;
    let verdict = check(&shown, None)?;
    if verdict.holds() {
        return Err("the page holds although it was changed".into());
    }
    writeln!(out, "page         with the same digit changed, the event of block {block} turns red:")?;
    for fault in verdict.faults() {
        writeln!(out, "             {fault}")?;
    }
    Ok(())
}

/// The event as a page has it, as text in HTML.
fn target_on_page(target: &Target) -> Target {
    let escaped = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").into_bytes()
    };
    let at = escaped(target.event.get(..target.at).unwrap_or_default()).len();
    Target { event: escaped(&target.event), at, block: target.block, transaction: target.transaction }
}

/// Changes the digit in the file of the log that has the event; gives the file and where in it.
fn flip(folder: &Path, target: &Target) -> Fallible<(PathBuf, u64)> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOG)) {
            continue;
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if let Some(at) = place(&bytes, &target.event) {
            let offset = u64::try_from(at + target.at)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(&[target.after()])?;
            file.sync_all()?;
            return Ok((path, offset));
        }
    }
    Err(format!("no file of the log in {} has the event of block {}", folder.display(), target.block).into())
}

/// Where `part` begins in `bytes`.
fn place(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
    starts.into_iter().find(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(part)))
}
