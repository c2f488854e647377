//! What the log says after a restart, and bringing the views to its end.

use crate::apply::{Applier, ApplyError};
use crate::core::{Execute, LoggedPayload, Start};
use crate::log_start::{LogStart, LogStartError};
use crate::retention::ChainPolicy;
use ledger_core::codec::{self, Bytes, CodecError, Format};
use ledger_core::{
    Block, BlockError, CertificateError, ChainId, Checkpoint, Evidence, Finality, Genesis, Header, Height,
};
use ledger_crypto::Digest;
use ledger_storage::archive::ArchiveReader;
use ledger_storage::chain::StoreError;
use ledger_storage::log::{LogError, LogPosition, LogReader, Record, RecordKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The log record that opens a chain: its encoded genesis, at height 0.
pub const GENESIS_RECORD: RecordKind = RecordKind::new(16);

/// The log record of a consensus engine's that is neither payload, certificate nor vote.
pub const NOTE_RECORD: RecordKind = RecordKind::new(17);

/// The log record of a validator that was caught: its encoded [`Evidence`].
pub const EVIDENCE_RECORD: RecordKind = RecordKind::new(18);

/// The log record of a chain that begins behind a block whose state came from a snapshot: the block's digest, at its height.
/// What the log has of the chain up to there counts no more. It is durable before the snapshot's views count.
pub const BASE_RECORD: RecordKind = RecordKind::new(19);

/// The log record of what the host keeps of a chain: its encoded [`ChainPolicy`], at height 0. The newest one counts.
pub const POLICY_RECORD: RecordKind = RecordKind::new(20);

/// The [base record](BASE_RECORD) of `chain`.
pub(crate) fn base_record(chain: ChainId, base: &BlockId) -> Record {
    Record { chain: chain.0, kind: BASE_RECORD, height: base.height.0, bytes: base.digest.as_bytes().to_vec() }
}

/// A record of a consensus engine's as the log holds it. A certificate is preceded by the digest of the header that it
/// is of, since there may be several payloads at one height.
pub fn to_log(chain: ChainId, record: &ledger_consensus::Record) -> Record {
    let (kind, bytes) = match record.kind {
        ledger_consensus::RecordKind::Payload => (RecordKind::PAYLOAD, record.bytes.to_vec()),
        ledger_consensus::RecordKind::Certificate => {
            (RecordKind::CERTIFICATE, [record.block.as_bytes().as_slice(), &record.bytes].concat())
        }
        ledger_consensus::RecordKind::Vote => (RecordKind::VOTE, record.bytes.to_vec()),
        ledger_consensus::RecordKind::Note => (NOTE_RECORD, record.bytes.to_vec()),
    };
    Record { chain: chain.0, kind, height: record.height.0, bytes }
}

/// The digest of the header that a logged certificate is of, and the certificate.
fn split_certificate(position: LogPosition, bytes: &[u8]) -> Result<(Digest, &[u8]), RecoveryError> {
    match bytes.split_first_chunk::<32>() {
        Some((block, certificate)) => Ok((Digest::new(*block), certificate)),
        None => Err(RecoveryError::ShortCertificate { position, found: bytes.len() }),
    }
}

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
    /// A certificate that doesn't say what it certifies.
    #[error("the certificate at {position} has {found} bytes, fewer than the digest that it begins with")]
    ShortCertificate {
        /// Where.
        position: LogPosition,
        /// Its length in bytes.
        found: usize,
    },
    /// A base record that isn't a digest.
    #[error("the base record at {position} has {found} bytes, and a block's digest has 32")]
    BaseLength {
        /// Where.
        position: LogPosition,
        /// Its length in bytes.
        found: usize,
    },
    /// A base record at a height that the log has reached: it would take final blocks back.
    #[error(
        "the base record at {position} says that chain {chain} begins at block {found} from a snapshot, but the log has its \
         blocks up to {height}"
    )]
    BaseBelow {
        /// Where.
        position: LogPosition,
        /// The chain.
        chain: ChainId,
        /// The height that it states.
        found: Height,
        /// The height that the log had reached.
        height: Height,
    },
    /// The log says that the chain begins from a snapshot, which hasn't come in whole.
    #[error(
        "chain {chain} begins here behind block {base}, and the snapshot of block {snapshot} that its state comes from has \
         not come in whole: import it again or join again, which goes on where it stopped"
    )]
    Unfinished {
        /// The chain.
        chain: ChainId,
        /// The block behind which the log begins.
        base: Height,
        /// The height of the snapshot that was begun with.
        snapshot: Height,
    },
    /// A certificate of a block whose payload was not logged before.
    #[error("the certificate at {position} is of block {block} at height {height}, whose payload the log lacks")]
    NoPayload {
        /// Where.
        position: LogPosition,
        /// The block's digest.
        block: Digest,
        /// Its height.
        height: Height,
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
    /// The views lack blocks that were cut off the log, and no archive here has them.
    #[error(
        "the views of chain {chain} stand at block {views}, but the log begins behind block {cut} and no archive here has \
         the blocks between: restore the folders `views` and `log` of one backup together, or begin from a snapshot of \
         block {cut} or a later one: import it, or join"
    )]
    Cut {
        /// The chain.
        chain: ChainId,
        /// The views' height.
        views: Height,
        /// The last block that was cut off, or that the chain began with.
        cut: Height,
    },
    /// A block of the archive can't be read, or isn't one.
    #[error("block {height} can't be replayed from the archive: {reason}")]
    Archive {
        /// The block.
        height: Height,
        /// What is wrong.
        reason: String,
    },
    /// The log was cut, and what says from where on is missing or damaged.
    #[error(transparent)]
    Start(#[from] LogStartError),
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

/// A block by its height and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockId {
    /// Its height.
    pub height: Height,
    /// The digest of its header.
    pub digest: Digest,
}

/// Where the bytes of a record of an engine's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the log.
    Log(LogPosition),
    /// Kept when the log was cut behind it.
    Kept(Arc<[u8]>),
}

/// A record of an engine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) height: Height,
    pub(crate) kind: RecordKind,
    pub(crate) source: Source,
}

impl Noted {
    pub(crate) fn bytes(&self, log: &LogReader) -> Result<Arc<[u8]>, RecoveryError> {
        match &self.source {
            Source::Log(position) => Ok(log.read(*position)?.bytes.into()),
            Source::Kept(bytes) => Ok(Arc::clone(bytes)),
        }
    }
}

/// What the log knows of one chain.
#[derive(Clone, Debug, Default)]
pub struct LoggedChain {
    /// The chain's genesis.
    pub genesis: Option<Genesis>,
    /// The block behind which the log begins, if that isn't the genesis: the last one of those that were cut off, or that
    /// of the snapshot from which the chain began.
    pub cut: Option<BlockId>,
    /// Its finalized blocks without gaps: from height 1 on, or from the one behind `cut`.
    pub blocks: Vec<LoggedBlock>,
    /// Payloads above the last finalized block, with their headers' digests.
    pub(crate) pending: Vec<(Height, Digest, LogPosition)>,
    /// What the engine has recorded above the last finalized block, in its order, and its last vote.
    pub(crate) records: Vec<Noted>,
    /// The last finalized block, if one is known.
    pub(crate) tip: Option<BlockId>,
    /// Validators that were caught, with the first evidence of each.
    pub evidence: Vec<Evidence>,
    /// What is kept of it, if that was said for this chain.
    pub policy: Option<ChainPolicy>,
    /// The bytes that its records take in the log.
    pub bytes: u64,
    /// What of the chain's records couldn't be understood, if [`index_each`] met any: what followed it is not noted.
    pub damage: Option<Arc<RecoveryError>>,
}

impl LoggedChain {
    /// A chain of which the log has the genesis only.
    pub fn new(genesis: Genesis) -> Self {
        LoggedChain { genesis: Some(genesis), ..LoggedChain::default() }
    }

    /// The height of the last finalized block.
    pub fn height(&self) -> Height {
        Height(self.base().0.saturating_add(self.blocks.len() as u64))
    }

    /// The height of the block behind which the log begins; 0 when that is the genesis.
    pub fn base(&self) -> Height {
        self.cut.map_or(Height::GENESIS, |cut| cut.height)
    }

    /// Where the log holds block `height`.
    pub fn block(&self, height: Height) -> Option<&LoggedBlock> {
        let behind = height.0.checked_sub(self.base().0)?.checked_sub(1)?;
        self.blocks.get(usize::try_from(behind).ok()?)
    }

    /// What the engine gets back: its records above the last finalized block, and its last vote.
    ///
    /// # Errors
    /// [`RecoveryError`] when they can't be read.
    pub fn records(&self, log: &LogReader) -> Result<Vec<ledger_consensus::Record>, RecoveryError> {
        let read = |noted: &Noted| {
            let bytes = noted.bytes(log)?;
            let (kind, block) = match (noted.kind, &noted.source) {
                (RecordKind::PAYLOAD, Source::Log(position)) => {
                    (ledger_consensus::RecordKind::Payload, header_of(*position, &bytes)?.digest())
                }
                (RecordKind::VOTE, _) => (ledger_consensus::RecordKind::Vote, Digest::ZERO),
                _ => (ledger_consensus::RecordKind::Note, Digest::ZERO),
            };
            Ok(ledger_consensus::Record { kind, height: noted.height, block, bytes })
        };
        self.records.iter().map(read).collect()
    }

    /// Block `block` is final: what was recorded up to its height is forgotten, but for the last vote.
    pub(crate) fn finalized(
        &mut self,
        height: Height,
        block: Digest,
        position: LogPosition,
    ) -> Result<(), RecoveryError> {
        let found = self.pending.iter().find(|(at, digest, _)| *at == height && *digest == block);
        let payload = found.ok_or(RecoveryError::NoPayload { position, block, height })?.2;
        self.blocks.push(LoggedBlock { payload, certificate: position });
        self.tip = Some(BlockId { height, digest: block });
        self.forget_through(height);
        Ok(())
    }

    /// The chain goes on behind `base`, whose state came from a snapshot: what was recorded up to its height is forgotten,
    /// but for the last vote.
    fn begin_at(&mut self, base: BlockId) {
        (self.cut, self.tip) = (Some(base), Some(base));
        self.blocks.clear();
        self.forget_through(base.height);
    }

    /// Forgets the engine's records up to `height`, but for the last vote.
    fn forget_through(&mut self, height: Height) {
        self.pending.retain(|(at, ..)| *at > height);
        let last = self.records.iter().rposition(|noted| noted.kind == RecordKind::VOTE);
        let mut index = 0;
        self.records.retain(|noted| {
            let kept = noted.height > height || Some(index) == last;
            index += 1;
            kept
        });
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

/// As [`index`], of a log that may have been cut: begins with what was kept of its front. And what concerns one chain alone
/// is noted with that chain ([`LoggedChain::damage`]) and doesn't keep the others from being opened: a record that isn't as it was written, or is and makes no sense.
///
/// # Errors
/// [`RecoveryError::Log`] when the log itself can't be read.
pub fn index_each(log: &LogReader, start: &LogStart) -> Result<BTreeMap<ChainId, LoggedChain>, RecoveryError> {
    let mut chains = start.chains.clone();
    for item in log.records_from(start.position())? {
        let (chain, noted) = match item {
            Ok((_, record)) if is_damaged(&chains, &ChainId(record.chain)) => continue,
            Ok((position, record)) => (ChainId(record.chain), note(&mut chains, position, record)),
            Err(LogError::DamagedRecord { chain, .. }) if is_damaged(&chains, &ChainId(chain)) => continue,
            Err(error @ LogError::DamagedRecord { chain, .. }) => (ChainId(chain), Err(error.into())),
            Err(error) => return Err(error.into()),
        };
        if let Err(error) = noted {
            chains.entry(chain).or_default().damage = Some(Arc::new(error));
        }
    }
    Ok(chains)
}

fn is_damaged(chains: &BTreeMap<ChainId, LoggedChain>, chain: &ChainId) -> bool {
    chains.get(chain).is_some_and(|known| known.damage.is_some())
}

pub(crate) fn note(
    chains: &mut BTreeMap<ChainId, LoggedChain>,
    position: LogPosition,
    record: Record,
) -> Result<(), RecoveryError> {
    let chain = ChainId(record.chain);
    let entry = chains.entry(chain).or_default();
    entry.bytes = entry.bytes.saturating_add(u64::from(position.length));
    let (found, expected) = (Height(record.height), entry.height().next());
    match record.kind {
        GENESIS_RECORD => {
            let genesis = codec::decode(&record.bytes).map_err(|error| RecoveryError::Record { position, error })?;
            entry.genesis = Some(genesis);
        }
        POLICY_RECORD => {
            let policy = codec::decode(&record.bytes).map_err(|error| RecoveryError::Record { position, error })?;
            entry.policy = Some(policy);
        }
        // A payload of a height that is final already came too late to matter.
        RecordKind::PAYLOAD if found < expected => {}
        RecordKind::PAYLOAD => {
            entry.pending.push((found, header_of(position, &record.bytes)?.digest(), position));
            entry.records.push(Noted { height: found, kind: record.kind, source: Source::Log(position) });
        }
        RecordKind::CERTIFICATE if found == expected => {
            let (block, _) = split_certificate(position, &record.bytes)?;
            entry.finalized(found, block, position)?;
        }
        // Its payload was cut off, and the block counted with what was.
        RecordKind::CERTIFICATE if found <= entry.base() => {}
        RecordKind::CERTIFICATE => return Err(RecoveryError::Gap { chain, found, expected }),
        RecordKind::VOTE => {
            // Of those at or below the last finalized height only the last one counts.
            let old = entry.records.iter().position(|noted| noted.kind == RecordKind::VOTE && noted.height < expected);
            if let Some(old) = old {
                entry.records.remove(old);
            }
            entry.records.push(Noted { height: found, kind: record.kind, source: Source::Log(position) });
        }
        BASE_RECORD => {
            let digest = <[u8; 32]>::try_from(record.bytes.as_slice());
            let length = RecoveryError::BaseLength { position, found: record.bytes.len() };
            let digest = Digest::new(digest.map_err(|_| length)?);
            if found < expected {
                let height = entry.height();
                return Err(RecoveryError::BaseBelow { position, chain, found, height });
            }
            entry.begin_at(BlockId { height: found, digest });
        }
        EVIDENCE_RECORD => {
            let evidence: Evidence =
                codec::decode(&record.bytes).map_err(|error| RecoveryError::Record { position, error })?;
            // A validator is guilty once: what is kept of a log's front has to stay small.
            if entry.evidence.iter().all(|known| known.validator != evidence.validator) {
                entry.evidence.push(evidence);
            }
        }
        NOTE_RECORD if found < expected => {}
        NOTE_RECORD => {
            entry.records.push(Noted { height: found, kind: record.kind, source: Source::Log(position) });
        }
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
    let certificate = log.read(logged.certificate)?.bytes;
    let (_, certificate) = split_certificate(logged.certificate, &certificate)?;
    Ok((block, certificate.to_vec()))
}

/// The header at the front of an encoded block.
fn header_of(position: LogPosition, payload: &[u8]) -> Result<Header, RecoveryError> {
    let front = payload.get(..Header::LIMIT).unwrap_or(payload);
    let read = codec::decode_prefix::<Header>(front);
    read.map(|(header, _)| header).map_err(|error| RecoveryError::Record { position, error })
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
    if let Some(cut) = logged.cut.filter(|cut| views <= cut.height) {
        if views < cut.height {
            return Err(RecoveryError::Cut { chain: genesis.chain(), views, cut: cut.height });
        }
        if head.header.digest() != cut.digest {
            return Err(RecoveryError::ViewsDiffer { height: views });
        }
        checkpoint.certificate = applier.reader().certificate(views)?;
    }
    if let Some(place) = logged.block(views) {
        let (block, certificate) = read_block(log, place)?;
        if block.header != head.header {
            return Err(RecoveryError::ViewsDiffer { height: views });
        }
        checkpoint.certificate = Bytes::from(certificate);
    }
    let done = usize::try_from(views.0.saturating_sub(logged.base().0)).unwrap_or(usize::MAX);
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
    let (history, reader) = (applier.store().head().history, applier.reader());
    // Behind a snapshot the tip may commit to less than is known here: that head is certified, those between are nobody's
    // to vote for.
    let (base, certified) = (reader.base(), checkpoint.header.history);
    let sizes = certified.size.max(base.0).max(1)..=history.size;
    let mut heads: Vec<_> = sizes.map(|size| reader.history_head(size)).collect::<Result<_, _>>()?;
    heads.extend(Some(certified).filter(|head| head.size > 0 && head.size < base.0));
    let read = |(_, _, position): &(Height, Digest, LogPosition)| {
        let block = codec::decode(&log.read(*position)?.bytes)
            .map_err(|error| RecoveryError::Record { position: *position, error })?;
        Ok(LoggedPayload { block, position: *position })
    };
    let payloads = logged.pending.iter().map(read).collect::<Result<_, RecoveryError>>()?;
    Ok(Start { checkpoint, history, owed, heads, payloads })
}

/// Brings views that lack blocks which were cut off the log as far as the cut, from an archive that has them. Does nothing
/// where nothing is lacking. Everything is checked as in [`replay`], which goes on from there.
///
/// # Errors
/// [`RecoveryError::Cut`] when the archive doesn't have them all; [`RecoveryError`] when one of them isn't right.
pub fn replay_archived(
    applier: &mut Applier,
    finality: &dyn Finality,
    genesis: &Genesis,
    archive: &ArchiveReader,
    logged: &LoggedChain,
    progress: &mut dyn FnMut(Height),
) -> Result<(), RecoveryError> {
    let (chain, head) = (genesis.chain(), applier.store().head().header.clone());
    let (views, Some(cut)) = (head.height, logged.cut) else { return Ok(()) };
    if views >= cut.height {
        return Ok(());
    }
    if !is_archived(archive, &chain, views, cut.height) {
        return Err(RecoveryError::Cut { chain, views, cut: cut.height });
    }
    let mut parent = head;
    while parent.height < cut.height {
        let height = parent.height.next();
        let failed = |reason: String| RecoveryError::Archive { height, reason };
        let archived = archive.block(chain, height).map_err(|error| failed(error.to_string()))?;
        let block: Block = codec::decode(&archived.block).map_err(|error| failed(error.to_string()))?;
        block.check_against(&parent, &genesis.rules)?;
        finality.verify(&block.header, &archived.certificate)?;
        check_history(applier, &block.header)?;
        parent = block.header.clone();
        // It is in no log any more.
        let (certificate, position) = (archived.certificate.into(), LogPosition::START);
        let execute = Execute { block: Arc::new(block), certificate, position };
        applier.apply(&execute).map_err(|error| RecoveryError::Apply { height, error })?;
        progress(height);
    }
    Ok(())
}

/// Whether the archive has all blocks above `from` up to `to`.
pub(crate) fn is_archived(archive: &ArchiveReader, chain: &ChainId, from: Height, to: Height) -> bool {
    archive.held(chain).is_some_and(|held| held.first <= from.next() && held.last >= to)
}

/// Holds what a final header commits to against what execution gave here. A history that ends before the snapshot which
/// the chain began from isn't here: the first blocks behind one commit to such, up to the checkpoint that proves the
/// snapshot, and that a quorum signed them is what stands for it.
fn check_history(applier: &Applier, header: &Header) -> Result<(), RecoveryError> {
    let size = header.history.size;
    match applier.reader().history_head(size) {
        Ok(head) if head == header.history => Ok(()),
        Ok(_) => Err(RecoveryError::Diverged { height: header.height, size }),
        Err(StoreError::BeforeSnapshot { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The newest block with transactions whose outcome the tip doesn't commit to. Of blocks before a snapshot nobody knows
/// here whether they have any: then it is the snapshot's own block, so that something commits to them in any case.
fn owed(applier: &Applier, tip: &Header) -> Result<Option<Height>, RecoveryError> {
    let empty = Block::transactions_root(&[]);
    let (reader, first) = (applier.reader(), tip.history.size.max(1));
    let base = reader.base();
    for height in (first.max(base.0)..=tip.height.0).rev() {
        if reader.header(Height(height))?.transactions_root != empty {
            return Ok(Some(Height(height)));
        }
    }
    Ok(Some(base).filter(|base| first < base.0))
}
