//! `ledgerkit inspect --verify`: every byte of a data folder that something commits to.

use super::chain::Copied;
use super::disk::ReadOnlyDisk;
use ledger_core::{Finality, Genesis, Height, HistoryHead};
use ledger_node::recovery::LoggedChain;
use ledger_storage::archive::{Archive, ArchiveConfig, ArchiveError, ArchiveReader, Verified};
use ledger_storage::chain::{ChainConfig, ChainStore, VerifiedViews};
use ledger_storage::disk::Disk;
use ledger_storage::engine::{Engine, FjallConfig, FjallEngine};
use ledger_storage::log::LogId;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The views' folder in a data folder.
const VIEWS: &str = "views";

/// How views are made again.
fn rebuild(logged: &LoggedChain) -> String {
    match &logged.cut {
        None => "stop the node, remove the folder `views`, and start it: it fills them again from the log".to_owned(),
        Some(cut) => format!(
            "the log begins behind block {}, so the views can't be made from it alone: restore this folder from a copy, or \
             remove the folder `views` and begin again from a snapshot of that block or a later one",
            cut.height
        ),
    }
}

/// What was opened of a folder besides the log: the archive, and a copy of the views.
pub(super) struct Opened {
    archive: ArchiveReader,
    views: Result<Arc<dyn Engine>, String>,
    // After the engine that is open in it.
    _copy: Option<Copied>,
}

impl Opened {
    /// Opens the archive on `disk`, and a copy of the views in `folder`, since opening them may write.
    pub(super) fn new(folder: &Path, disk: Arc<ReadOnlyDisk>, id: LogId) -> Result<Self, ArchiveError> {
        let disk: Arc<dyn Disk> = disk;
        let archive = Archive::open(disk, id, ArchiveConfig::default())?.reader();
        let views = folder.join(VIEWS);
        let copy = Copied::of(&views).map_err(|error| format!("{}: {error}", views.display()));
        let (copy, views) = match copy {
            Ok(copy) => {
                let engine = FjallEngine::open(&copy.folder, FjallConfig::default());
                // Errors name the folder, and the copy is gone when they are read.
                let named =
                    |error: String| error.replace(&copy.folder.display().to_string(), &views.display().to_string());
                let engine = engine.map(|engine| Arc::new(engine) as Arc<dyn Engine>);
                let engine = engine.map_err(|error| named(error.to_string()));
                (Some(copy), engine)
            }
            Err(error) => (None, Err(error)),
        };
        Ok(Self { archive, views, _copy: copy })
    }

    /// Reads all segments of the archive.
    pub(super) fn archive(&self) -> Result<ArchiveCheck, ArchiveError> {
        let began = Instant::now();
        let verified = self.archive.verify()?;
        Ok(ArchiveCheck { verified, bytes: self.archive.size().1, seconds: began.elapsed().as_secs_f64() })
    }

    /// Reads the views of a chain, and proves them against `checkpoint`: the history that the newest certified header of
    /// the log commits to.
    pub(super) fn views(
        &self,
        genesis: &Genesis,
        finality: &dyn Finality,
        logged: &LoggedChain,
        checkpoint: Option<HistoryHead>,
    ) -> ViewsCheck {
        let began = Instant::now();
        let mut check = ViewsCheck::default();
        let rebuild = rebuild(logged);
        let engine = match &self.views {
            Ok(engine) => Arc::clone(engine),
            Err(error) => return check.failed(format!("{error}; {rebuild}")),
        };
        let store = match ChainStore::open(engine, genesis, ChainConfig::default()) {
            Ok(store) => store,
            Err(error) => return check.failed(format!("{error}; {rebuild}")),
        };
        let reader = store.reader();
        reader.attach(self.archive.clone());
        check.verified = reader.verify();
        check.height = store.head().header.height;
        check.damages.extend(check.verified.damages.iter().map(|error| format!("{error}; {rebuild}")));
        if let Some(stood) = store.rewound_from() {
            check.damages.push(format!(
                "the views stood at block {stood}; a state record of block {} is damaged or was lost: start the node, and it \
                 applies the blocks from there on again; if they are no longer in its log, {rebuild}",
                check.height.next()
            ));
        }
        if check.height > logged.height() {
            let end = logged.height();
            check.damages.push(format!(
                "the views stand at block {}, the log ends at {end}: the log isn't the one that they were made from; restore \
                 it from a copy of this folder",
                check.height
            ));
        }
        if check.height > Height::GENESIS {
            let newest = reader.block(check.height);
            let proven = newest.map_err(|error| error.to_string()).and_then(|block| {
                finality.verify(&block.header, &block.certificate).map_err(|error| error.to_string())
            });
            if let Err(error) = proven {
                check.damages.push(format!("block {} of the views, certificate: {error}; {rebuild}", check.height));
            }
        }
        // What the log's newest certificate commits to is what was executed, as far as the views are.
        let here = reader.base().0..=check.height.next().0;
        if let Some(wanted) = checkpoint.filter(|history| here.contains(&history.size)) {
            match reader.history_head(wanted.size) {
                Ok(found) if found == wanted => check.proven = wanted.size,
                Ok(found) => check.damages.push(format!(
                    "the history of {} blocks has the root {} in the views, the log's newest certificate says {}; {rebuild}",
                    wanted.size, found.root, wanted.root
                )),
                Err(error) => check.damages.push(format!("{error}; {rebuild}")),
            }
        }
        check.seconds = began.elapsed().as_secs_f64();
        check
    }
}

/// What reading the archive found.
pub(super) struct ArchiveCheck {
    verified: Verified,
    bytes: u64,
    seconds: f64,
}

impl ArchiveCheck {
    pub(super) fn damages(&self) -> impl Iterator<Item = String> {
        self.verified.damages.iter().map(ToString::to_string)
    }

    pub(super) fn value(&self) -> Value {
        json!({
            "segments": self.verified.segments,
            "blocks": self.verified.blocks,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "damaged": self.verified.damaged,
            "damages": self.damages().collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let Verified { segments, blocks, damaged, .. } = &self.verified;
        let mut text = format!(
            "archive     {blocks} blocks in {segments} segments, {} bytes, every chunk read in {:.1} s: {damaged} damages\n",
            self.bytes, self.seconds
        );
        // Writing to a string doesn't fail.
        self.damages().for_each(|damage| _ = writeln!(text, "damage      {damage}"));
        text
    }
}

/// What reading a chain's views found.
#[derive(Default)]
pub(super) struct ViewsCheck {
    verified: VerifiedViews,
    height: Height,
    /// How many blocks' history the newest certificate proves.
    proven: u64,
    damages: Vec<String>,
    seconds: f64,
}

impl ViewsCheck {
    fn failed(mut self, reason: String) -> Self {
        self.damages.push(reason);
        self
    }

    /// The first damage, and how many there are.
    pub(super) fn damage(&self) -> Option<String> {
        let first = self.damages.first()?;
        match self.damages.len().saturating_sub(1) {
            0 => Some(format!("views: {first}")),
            more => Some(format!("views: {first} (and {more} more)")),
        }
    }

    pub(super) fn value(&self) -> Value {
        let VerifiedViews { blocks, results, pruned, history_nodes, state, damaged, .. } = &self.verified;
        json!({
            "height": self.height.to_string(),
            "blocks": blocks,
            "results": results,
            "blocks_with_pruned_results": pruned,
            "history_nodes": history_nodes,
            "history_proven": self.proven,
            "state_blocks": state.regions,
            "state_records": state.records,
            "state_bytes": state.bytes,
            "keys": state.keys,
            "live_keys": state.live,
            "state_root": state.root.to_string(),
            "seconds": self.seconds,
            "damaged": (self.damages.len() as u64).max(*damaged),
            "damages": self.damages,
        })
    }

    pub(super) fn text(&self) -> String {
        let VerifiedViews { blocks, results, pruned, history_nodes, state, .. } = &self.verified;
        let mut text = format!("verified    {blocks} blocks, {results} results ({pruned} blocks' were given up), ");
        // Writing to a string doesn't fail.
        let _ = writeln!(text, "{history_nodes} history nodes, in {:.1} s", self.seconds);
        let _ = writeln!(
            text,
            "state       {} versions of {} keys in {} bytes; {} live keys make the root {}",
            state.records, state.keys, state.bytes, state.live, state.root
        );
        if self.proven > 0 {
            let _ = writeln!(text, "proven      the history of {} blocks, by the newest certificate", self.proven);
        }
        for damage in &self.damages {
            let _ = writeln!(text, "damage      {damage}");
        }
        text
    }
}
