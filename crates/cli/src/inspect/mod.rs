//! `ledgerkit inspect`: what a data folder holds.

mod chain;
mod disk;
mod verify;

use crate::arguments::InspectOptions;
use crate::error::CliError;
use crate::output::Output;
use chain::ChainReport;
pub(crate) use disk::ReadOnlyDisk;
use ledger_node::log_start::{LogStart, LogStartError};
use ledger_node::recovery::{self, RecoveryError};
use ledger_storage::disk::Disk;
use ledger_storage::log::{Log, LogConfig, LogError, TornTail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use verify::{ArchiveCheck, Opened};

pub(crate) fn run(options: &InspectOptions, output: Output) -> Result<(), CliError> {
    let folder = &options.folder;
    let disk = ReadOnlyDisk::open(folder).map_err(|error| CliError::Disk { folder: folder.clone(), error })?;
    let own = Arc::new(disk);
    let disk: Arc<dyn Disk> = Arc::<ReadOnlyDisk>::clone(&own);
    let log = Log::open(Arc::clone(&disk), LogConfig::default()).map_err(|error| log_error(folder, error))?;
    let (reader, torn) = (log.reader(), log.recovery().torn.clone());
    let records = count(&reader).map_err(|error| log_error(folder, error))?;
    let start = LogStart::open(&*disk, &reader).map_err(|error| recovery_error(folder, error.into()))?;
    let logged = recovery::index_each(&reader, &start).map_err(|error| recovery_error(folder, error))?;
    let archive_error = |error: ledger_storage::archive::ArchiveError| CliError::Damaged {
        folder: folder.clone(),
        reason: format!("archive: {error}"),
    };
    let opened = options.verify.then(|| Opened::new(folder, own, log.id())).transpose().map_err(archive_error)?;
    let archive = opened.as_ref().map(Opened::archive).transpose().map_err(archive_error)?;
    let mut chains = Vec::with_capacity(logged.len());
    for (id, logged) in &logged {
        let report = chain::inspect(*id, logged, &reader, options, opened.as_ref());
        chains.push(report.map_err(|error| recovery_error(folder, error))?);
    }
    let report = Report {
        log: ledger_crypto::Digest::new(*log.id().as_bytes()).to_string(),
        records,
        segments: segments(&reader),
        torn,
        archive,
        chains,
    };
    let archived = report.archive.as_ref().and_then(|archive| archive.damages().next());
    let damage = archived.or_else(|| report.chains.iter().find_map(|chain| chain.damage.clone()));
    output.answer(&report.value(folder), &report.text(folder))?;
    match damage {
        Some(reason) => Err(CliError::Damaged { folder: folder.clone(), reason }),
        None => Ok(()),
    }
}

/// Reads the whole log and counts its records. One that is damaged counts: its chain's report says so.
fn count(reader: &ledger_storage::log::LogReader) -> Result<u64, LogError> {
    reader.records().try_fold(0, |count, entry| match entry {
        Ok(_) | Err(LogError::DamagedRecord { .. }) => Ok(count + 1),
        Err(error) => Err(error),
    })
}

fn segments(reader: &ledger_storage::log::LogReader) -> (u64, u64) {
    (reader.first_segment(), reader.end().segment)
}

/// What is wrong with a file is damage; what couldn't be asked is an error.
fn log_error(folder: &Path, error: LogError) -> CliError {
    let folder = folder.to_owned();
    match error {
        LogError::Damaged { .. }
        | LogError::DamagedRecord { .. }
        | LogError::MissingSegment { .. }
        | LogError::Foreign { .. } => CliError::Damaged { folder, reason: error.to_string() },
        error => CliError::Log { folder, error },
    }
}

fn recovery_error(folder: &Path, error: RecoveryError) -> CliError {
    match error {
        RecoveryError::Log(error) => log_error(folder, error),
        RecoveryError::Start(error @ (LogStartError::Damaged { .. } | LogStartError::Missing { .. })) => {
            CliError::Damaged { folder: folder.to_owned(), reason: error.to_string() }
        }
        error => CliError::Recovery { folder: folder.to_owned(), error: Box::new(error) },
    }
}

struct Report {
    log: String,
    records: u64,
    segments: (u64, u64),
    torn: Option<TornTail>,
    archive: Option<ArchiveCheck>,
    chains: Vec<ChainReport>,
}

impl Report {
    fn value(&self, folder: &Path) -> Value {
        json!({
            "folder": folder.display().to_string(),
            "log": {
                "id": self.log,
                "records": self.records,
                "first_segment": self.segments.0,
                "last_segment": self.segments.1,
                "torn_tail": self.torn.as_ref().map(|torn| {
                    json!({ "file": torn.file, "offset": torn.offset, "bytes": torn.bytes })
                }),
            },
            "archive": self.archive.as_ref().map(ArchiveCheck::value),
            "chains": self.chains.iter().map(ChainReport::value).collect::<Vec<_>>(),
        })
    }

    fn text(&self, folder: &Path) -> String {
        let mut text = String::new();
        let (first, last) = self.segments;
        // Writing to a string doesn't fail.
        let _ = writeln!(text, "folder      {}", folder.display());
        let _ = writeln!(text, "log         {} records in segments {first} to {last}, all checked", self.records);
        let _ = writeln!(text, "log id      {}", self.log);
        if let Some(TornTail { file, offset, bytes, .. }) = &self.torn {
            let _ = writeln!(
                text,
                "torn tail   {file}: {bytes} bytes from offset {offset} were being written when the node stopped; nobody was \
                 told of them, and the next start cuts them off"
            );
        }
        if let Some(archive) = &self.archive {
            text.push_str(&archive.text());
        }
        if self.chains.is_empty() {
            text.push_str("chains      none\n");
        }
        for chain in &self.chains {
            text.push('\n');
            text.push_str(&chain.text());
        }
        text
    }
}
