//! One chain of a data folder.

use super::verify::{Opened, ViewsCheck};
use crate::arguments::InspectOptions;
use crate::node::executor;
use ledger_core::{Block, ChainId, Finality, Genesis, Header, Height, HistoryHead};
use ledger_node::Applier;
use ledger_node::recovery::{self, BlockId, LoggedBlock, LoggedChain, RecoveryError};
use ledger_storage::chain::{ChainConfig, ChainStore, StoreError};
use ledger_storage::engine::{Engine, FjallConfig, FjallEngine, MemoryEngine};
use ledger_storage::log::{LogError, LogReader, RecordKind};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of a chain.
pub(super) struct ChainReport {
    id: ChainId,
    genesis: Option<Genesis>,
    /// The block behind which the log begins, if that isn't the genesis.
    cut: Option<BlockId>,
    tip: Option<Tip>,
    transactions: u64,
    /// Blocks of which some transactions stand in the log, the newest first.
    blocks: VecDeque<BlockReport>,
    last_vote: Option<Height>,
    /// Double votes of others that are proven in the log.
    evidence: usize,
    replayed: Option<StateReport>,
    /// Why it can't be replayed, where the log doesn't begin with the genesis.
    not_replayed: Option<String>,
    views: Option<Result<StateReport, String>>,
    verified: Option<ViewsCheck>,
    /// What doesn't hold, in words.
    pub(super) damage: Option<String>,
}

/// The newest final block.
struct Tip {
    header: Header,
    certificate_bytes: usize,
}

/// One block.
struct BlockReport {
    header: Header,
    transactions: usize,
    place: LoggedBlock,
}

/// A state that was executed.
struct StateReport {
    height: Height,
    state_root: String,
    history: HistoryHead,
}

/// Reads a chain's blocks and checks each against the one before it and its certificate.
pub(super) fn inspect(
    id: ChainId,
    logged: &LoggedChain,
    reader: &LogReader,
    options: &InspectOptions,
    opened: Option<&Opened>,
) -> Result<ChainReport, RecoveryError> {
    let mut report = ChainReport {
        id,
        genesis: logged.genesis.clone(),
        cut: logged.cut,
        tip: None,
        transactions: 0,
        blocks: VecDeque::new(),
        last_vote: last_vote(id, reader)?,
        evidence: logged.evidence.len(),
        replayed: None,
        not_replayed: None,
        views: None,
        verified: None,
        damage: None,
    };
    if let Some(damage) = &logged.damage {
        report.damage = Some(format!("chain {id}: {damage}"));
        return Ok(report);
    }
    let Some(genesis) = &logged.genesis else {
        report.damage = Some(format!("the log has blocks of chain {id} and not its genesis"));
        return Ok(report);
    };
    let finality = match genesis.finality() {
        Ok(finality) => finality,
        Err(error) => {
            report.damage = Some(format!("the genesis of chain {id}: {error}"));
            return Ok(report);
        }
    };
    if let Err(damage) = walk(genesis, &*finality, logged, reader, options, &mut report)? {
        report.damage = Some(damage);
        return Ok(report);
    }
    if options.replay {
        match replay(genesis, &*finality, logged, reader) {
            Ok(state) => report.replayed = Some(state),
            Err(RecoveryError::Log(error)) => return Err(error.into()),
            Err(RecoveryError::Cut { cut, .. }) => {
                let reason = format!("the log begins behind block {cut}, whose state isn't in it; the views have it");
                report.not_replayed = Some(reason);
            }
            Err(error) => report.damage = Some(error.to_string()),
        }
    }
    if options.views {
        let views = views(genesis, &options.folder.join("views"));
        if let Ok(found) = &views {
            report.damage = report.damage.take().or_else(|| differs(found, logged, &report));
        }
        report.views = Some(views);
    }
    if let Some(opened) = opened {
        let checkpoint = report.tip.as_ref().map(|tip| tip.header.history);
        let checked = opened.views(genesis, &*finality, logged, checkpoint);
        report.damage = report.damage.take().or_else(|| checked.damage());
        report.verified = Some(checked);
    }
    Ok(report)
}

fn last_vote(id: ChainId, reader: &LogReader) -> Result<Option<Height>, RecoveryError> {
    let mut last = None;
    for item in reader.records() {
        match item {
            Ok((_, record)) if record.kind == RecordKind::VOTE && record.chain == id.0 => {
                last = Some(Height(record.height));
            }
            Ok(_) | Err(LogError::DamagedRecord { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(last)
}

/// The inner error is damage.
fn walk(
    genesis: &Genesis,
    finality: &dyn Finality,
    logged: &LoggedChain,
    reader: &LogReader,
    options: &InspectOptions,
    report: &mut ChainReport,
) -> Result<Result<(), String>, RecoveryError> {
    let shown = usize::try_from(options.blocks.unwrap_or(0)).unwrap_or(usize::MAX);
    // Where the log was cut, its first block's parent isn't in it; the block's certificate stands for it.
    let mut parent = logged.cut.is_none().then(|| genesis.header());
    for place in &logged.blocks {
        let (block, certificate): (Block, Vec<u8>) = recovery::read_block(reader, place)?;
        let at = |error: String| format!("{} (the block is at {}): {error}", block.header.height, place.payload);
        if let Some(Err(error)) = parent.as_ref().map(|parent| block.check_against(parent, &genesis.rules)) {
            return Ok(Err(format!("block {}", at(error.to_string()))));
        }
        if let Err(error) = finality.verify(&block.header, &certificate) {
            return Ok(Err(format!("block {}, certificate at {}: {error}", at(String::new()), place.certificate)));
        }
        let Block { header, transactions } = block;
        report.transactions = report.transactions.saturating_add(transactions.len() as u64);
        if shown > 0 {
            report.blocks.push_front(BlockReport {
                header: header.clone(),
                transactions: transactions.len(),
                place: *place,
            });
            report.blocks.truncate(shown);
        }
        parent = Some(header.clone());
        report.tip = Some(Tip { header, certificate_bytes: certificate.len() });
    }
    Ok(Ok(()))
}

/// Executes everything anew in memory; each header's history head is compared with what comes of it.
fn replay(
    genesis: &Genesis,
    finality: &dyn Finality,
    logged: &LoggedChain,
    reader: &LogReader,
) -> Result<StateReport, RecoveryError> {
    let store = ChainStore::open(Arc::new(MemoryEngine::default()), genesis, ChainConfig::default())?;
    let mut applier = Applier::new(genesis, Arc::new(executor()), store);
    recovery::replay(&mut applier, finality, genesis, reader, logged, &mut |_| ())?;
    Ok(state_of(applier.store()))
}

fn state_of(store: &ChainStore) -> StateReport {
    let head = store.head();
    StateReport { height: head.header.height, state_root: head.outcome.state_root.to_string(), history: head.history }
}

/// Opens a copy of the views, since opening them may write.
fn views(genesis: &Genesis, folder: &Path) -> Result<StateReport, String> {
    let copy = Copied::of(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let engine = FjallEngine::open(&copy.folder, FjallConfig::default()).map_err(|error| error.to_string())?;
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let store = ChainStore::open(engine, genesis, ChainConfig::default());
    store.map(|store| state_of(&store)).map_err(|error: StoreError| error.to_string())
}

/// What of the views contradicts the log; that they are behind is no damage.
fn differs(views: &StateReport, logged: &LoggedChain, report: &ChainReport) -> Option<String> {
    if views.height > logged.height() {
        return Some(format!("the views stand at block {}, the log ends at {}", views.height, logged.height()));
    }
    let replayed = report.replayed.as_ref().filter(|replayed| replayed.height == views.height)?;
    let same = replayed.state_root == views.state_root && replayed.history == views.history;
    let message = || {
        format!(
            "the views' state root after block {} is {}, executing the log gives {}",
            views.height, views.state_root, replayed.state_root
        )
    };
    (!same).then(message)
}

/// A folder's copy, removed in the end.
pub(super) struct Copied {
    pub(super) folder: PathBuf,
}

impl Copied {
    pub(super) fn of(folder: &Path) -> std::io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let name = format!("ledgerkit-inspect-{:016x}", u64::from_le_bytes(random));
        let copied = Copied { folder: std::env::temp_dir().join(name) };
        copy(folder, &copied.folder)?;
        Ok(copied)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // A copy that can't be removed is the folder for temporary files' business.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl StateReport {
    fn value(&self) -> Value {
        json!({
            "height": self.height.to_string(),
            "state_root": self.state_root,
            "history": { "size": self.history.size.to_string(), "root": self.history.root.to_string() },
        })
    }

    fn text(&self) -> String {
        format!("block {}, state root {}", self.height, self.state_root)
    }
}

impl ChainReport {
    /// That of the newest final block.
    fn height(&self) -> Height {
        let cut = self.cut.map_or(Height::GENESIS, |cut| cut.height);
        self.tip.as_ref().map_or(cut, |tip| tip.header.height)
    }

    pub(super) fn value(&self) -> Value {
        let blocks = self.blocks.iter().map(|block| {
            json!({
                "height": block.header.height.to_string(),
                "digest": block.header.digest().to_string(),
                "timestamp": block.header.timestamp.to_string(),
                "transactions": block.transactions,
                "payload": block.place.payload.to_string(),
                "certificate": block.place.certificate.to_string(),
            })
        });
        json!({
            "chain": self.id.to_string(),
            "name": self.genesis.as_ref().map(|genesis| genesis.name.as_str().to_owned()),
            "engine": self.genesis.as_ref().map(|genesis| genesis.engine.name.as_str().to_owned()),
            "height": self.height().to_string(),
            "begins_behind": self.cut.map(|cut| json!({
                "height": cut.height.to_string(),
                "digest": cut.digest.to_string(),
            })),
            "checkpoint": self.tip.as_ref().map(|Tip { header, certificate_bytes }| json!({
                "digest": header.digest().to_string(),
                "timestamp": header.timestamp.to_string(),
                "history": { "size": header.history.size.to_string(), "root": header.history.root.to_string() },
                "certificate_bytes": certificate_bytes,
            })),
            "transactions": self.transactions.to_string(),
            "last_vote_height": self.last_vote.map(|height| height.to_string()),
            "evidence": self.evidence,
            "blocks": blocks.collect::<Vec<_>>(),
            "replayed": self.replayed.as_ref().map(StateReport::value),
            "not_replayed": self.not_replayed,
            "views": self.views.as_ref().map(|views| match views {
                Ok(state) => state.value(),
                Err(reason) => json!({ "unreadable": reason }),
            }),
            "verified": self.verified.as_ref().map(ViewsCheck::value),
            "damage": self.damage,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("chain       {}\n", self.id);
        // Writing to a string doesn't fail.
        if let Some(genesis) = &self.genesis {
            let (name, engine) = (genesis.name.as_str().escape_debug(), genesis.engine.name.as_str());
            let _ = writeln!(text, "name        {name}, ordered by {}", engine.escape_debug());
        }
        if let Some(BlockId { height, digest }) = &self.cut {
            let _ = writeln!(
                text,
                "begins      behind block {height}, {digest}: the log was cut there, or the chain began from a snapshot"
            );
        }
        match &self.tip {
            None if self.cut.is_some() => text.push_str("blocks      none yet behind it\n"),
            None => text.push_str("blocks      the genesis alone\n"),
            Some(Tip { header, certificate_bytes }) => {
                let _ = writeln!(
                    text,
                    "blocks      {} with {} transactions; each follows the one before, and its certificate holds",
                    header.height, self.transactions
                );
                let _ = writeln!(
                    text,
                    "checkpoint  block {}, history of {} blocks, root {}, certificate of {certificate_bytes} bytes",
                    header.height, header.history.size, header.history.root
                );
            }
        }
        if let Some(height) = self.last_vote {
            let _ = writeln!(text, "last vote   at height {height}");
        }
        if self.evidence > 0 {
            let _ = writeln!(text, "evidence    {} double votes of validators, proven", self.evidence);
        }
        if let Some(state) = &self.replayed {
            let _ = writeln!(text, "replayed    {}; every header's history agrees", state.text());
        }
        if let Some(reason) = &self.not_replayed {
            let _ = writeln!(text, "replayed    no: {reason}");
        }
        match &self.views {
            None => {}
            Some(Ok(state)) => {
                let _ = writeln!(text, "views       {}", state.text());
            }
            Some(Err(reason)) => {
                let way = match self.cut {
                    None => "are replayed from the log at the next start",
                    Some(_) => "the log doesn't have all that they had",
                };
                let _ = writeln!(text, "views       can't be read, and {way}: {reason}");
            }
        }
        if let Some(verified) = &self.verified {
            text.push_str(&verified.text());
        }
        for BlockReport { header, transactions, place } in &self.blocks {
            let _ = writeln!(
                text,
                "block       {:>8}  {:>5} transactions  {}  at {}",
                header.height,
                transactions,
                header.digest(),
                place.payload
            );
        }
        if let Some(damage) = &self.damage {
            let _ = writeln!(text, "damage      {damage}");
        }
        text
    }
}
