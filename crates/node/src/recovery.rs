//! What the log says after a restart, and bringing the views to its end.

use crate::apply::{Applier, ApplyError};
use crate::core::{Execute, Start};
use ledger_core::codec::{self, Bytes, CodecError};
use ledger_core::{Block, BlockError, CertificateError, ChainId, Checkpoint, Finality, Genesis, Header, Height};
use ledger_storage::chain::StoreError;
use ledger_storage::log::{LogError, LogPosition, LogReader, Record, RecordKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The log record that opens a chain: its encoded genesis, at height 0.
pub const GENESIS_RECORD: RecordKind = RecordKind::new(16);

/// Why a chain can't be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record whose checksum holds has another content than its kind says: another program wrote it.
    #[error("log record at {position}: {error}")]
    Record {
        /// Where.
        position: LogPosition,
        /// What is wrong.
        error: CodecError,
    },
    /// A record of a kind that this program doesn't know.
    #[error("log record at {position} is of kind {kind}, which this program doesn't know")]
    UnknownKind {
        /// Where.
        position: LogPosition,
        /// The kind.
        kind: u8,
    },
    /// The log holds a chain's blocks but not its genesis, or blocks with a gap.
    #[error("the log holds block {found} of chain {chain} where block {expected} was expected")]
    Gap {
        /// The chain.
        chain: ChainId,
        /// The height found.
        found: Height,
        /// The height that should have come.
        expected: Height,
    },
    /// A block of the log doesn't follow the one before.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A block of the log isn't final.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A logged header commits to another history than execution gives here.
    #[error("block {height} of the log commits to another history of {size} leaves than executing it gives")]
    Diverged {
        /// The block.
        height: Height,
        /// The size in question.
        size: u64,
    },
    /// A block can't be executed or stored.
    #[error("block {height} can't be applied: {error}")]
    Apply {
        /// The block.
        height: Height,
        /// What failed.
        error: ApplyError,
    },
    /// The views can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views have blocks that the log hasn't.
    #[error(
        "the views stand at block {views}, but the log ends at block {log}: if the log is the right one, remove the \
         folder `views` and they are replayed from it"
    )]
    ViewsAhead {
        /// The views' height.
        views: Height,
        /// The log's height.
        log: Height,
    },
    /// The views' newest block isn't the log's.
    #[error(
        "the views' block {height} is not the log's: if the log is the right one, remove the folder `views` and they \
         are replayed from it"
    )]
    ViewsDiffer {
        /// The height in question.
        height: Height,
    },
}

/// Where the log holds a finalized block.
#[derive(Clone, Copy, Debug)]
pub struct LoggedBlock {
    /// The encoded block.
    pub payload: LogPosition,
    /// Its certificate.
    pub certificate: LogPosition,
}

/// What the log knows of one chain.
#[derive(Clone, Debug, Default)]
pub struct LoggedChain {
    /// The chain's genesis.
    pub genesis: Option<Genesis>,
    /// Its finalized blocks from height 1 on, without gaps.
    pub blocks: Vec<LoggedBlock>,
    /// A payload whose certificate hasn't come yet.
    pending: Option<(Height, LogPosition)>,
}

impl LoggedChain {
    /// A chain of which the log has the genesis only.
    pub fn new(genesis: Genesis) -> Self {
        LoggedChain { genesis: Some(genesis), ..LoggedChain::default() }
    }

    /// The height of the last finalized block.
    pub fn height(&self) -> Height {
        Height(self.blocks.len() as u64)
    }
}

/// Reads the whole log once, checking it, and notes where each chain's blocks are. The log is the truth: damage to it
/// is found here, before anything is served.
///
/// # Errors
/// [`RecoveryError`] names the first damage.
pub fn index(log: &LogReader) -> Result<BTreeMap<ChainId, LoggedChain>, RecoveryError> {
    let mut chains = BTreeMap::new();
    for item in log.records() {
        let (position, record) = item?;
        note(&mut chains, position, record)?;
    }
    Ok(chains)
}

fn note(
    chains: &mut BTreeMap<ChainId, LoggedChain>,
    position: LogPosition,
    record: Record,
) -> Result<(), RecoveryError> {
    let chain = ChainId(record.chain);
    let entry = chains.entry(chain).or_default();
    let (found, expected) = (Height(record.height), entry.height().next());
    match record.kind {
        GENESIS_RECORD => {
            let genesis = codec::decode(&record.bytes).map_err(|error| RecoveryError::Record { position, error })?;
            entry.genesis = Some(genesis);
        }
        RecordKind::PAYLOAD if found == expected => entry.pending = Some((found, position)),
        RecordKind::CERTIFICATE => match entry.pending.take() {
            Some((height, payload)) if height == found => {
                entry.blocks.push(LoggedBlock { payload, certificate: position });
            }
            _ => return Err(RecoveryError::Gap { chain, found, expected }),
        },
        RecordKind::PAYLOAD => return Err(RecoveryError::Gap { chain, found, expected }),
        other => return Err(RecoveryError::UnknownKind { position, kind: other.get() }),
    }
    Ok(())
}

/// Reads a finalized block and its certificate from the log.
///
/// # Errors
/// [`RecoveryError`] when it can't be read.
pub fn read_block(log: &LogReader, logged: &LoggedBlock) -> Result<(Block, Vec<u8>), RecoveryError> {
    let record = log.read(logged.payload)?;
    let block =
        codec::decode(&record.bytes).map_err(|error| RecoveryError::Record { position: logged.payload, error })?;
    Ok((block, log.read(logged.certificate)?.bytes))
}

/// Brings the views to the log's end: every finalized block that they lack is checked, executed and stored. Interrupted
/// and repeated, it comes to the same end. `progress` hears of each height applied.
///
/// # Errors
/// [`RecoveryError`]. [`RecoveryError::ViewsAhead`] and [`RecoveryError::ViewsDiffer`] mean that the views have to be
/// removed and replayed from the start.
pub fn replay(
    applier: &mut Applier,
    finality: &dyn Finality,
    genesis: &Genesis,
    log: &LogReader,
    logged: &LoggedChain,
    progress: &mut dyn FnMut(Height),
) -> Result<Start, RecoveryError> {
    let head = applier.store().head().clone();
    let (views, end) = (head.header.height, logged.height());
    if views > end {
        return Err(RecoveryError::ViewsAhead { views, log: end });
    }
    let mut checkpoint = Checkpoint { header: head.header.clone(), certificate: Bytes::default() };
    if let Some(place) = views.previous().and_then(|index| logged.blocks.get(usize::try_from(index.0).ok()?)) {
        let (block, certificate) = read_block(log, place)?;
        if block.header != head.header {
            return Err(RecoveryError::ViewsDiffer { height: views });
        }
        checkpoint.certificate = Bytes::from(certificate);
    }
    let done = usize::try_from(views.0).unwrap_or(usize::MAX);
    for place in logged.blocks.iter().skip(done) {
        let (block, certificate) = read_block(log, place)?;
        let height = block.header.height;
        block.check_against(&checkpoint.header, &genesis.rules)?;
        finality.verify(&block.header, &certificate)?;
        check_history(applier, &block.header)?;
        let block = Arc::new(block);
        let execute =
            Execute { block: Arc::clone(&block), certificate: certificate.clone().into(), position: place.payload };
        applier.apply(&execute).map_err(|error| RecoveryError::Apply { height, error })?;
        checkpoint = Checkpoint { header: block.header.clone(), certificate: Bytes::from(certificate) };
        progress(height);
    }
    let owed = owed(applier, &checkpoint.header)?;
    Ok(Start { checkpoint, history: applier.store().head().history, owed })
}

fn check_history(applier: &Applier, header: &Header) -> Result<(), RecoveryError> {
    let size = header.history.size;
    match applier.reader().history_head(size)? == header.history {
        true => Ok(()),
        false => Err(RecoveryError::Diverged { height: header.height, size }),
    }
}

/// The newest block with transactions whose outcome the tip doesn't commit to.
fn owed(applier: &Applier, tip: &Header) -> Result<Option<Height>, RecoveryError> {
    let empty = Block::transactions_root(&[]);
    let first = tip.history.size.max(1);
    for height in (first..=tip.height.0).rev() {
        if applier.reader().header(Height(height))?.transactions_root != empty {
            return Ok(Some(Height(height)));
        }
    }
    Ok(None)
}
