//! What is kept of the front of a log when it is cut.
//!
//! ```text
//!   log-..01  log-..02  log-..03 │ log-..04  log-..05 ..
//!   └────────── folded ─────────┘
//!                │ per chain: genesis, last block, records that its engine still needs, evidence
//!                v
//!   start-..04   durable before log-..01 to 03 are removed; a later one replaces it
//! ```
//! A start file says what reading the removed segments would have told (see [`index_each`](crate::recovery::index_each)):
//! so an index of the log is the same before and after a cut, apart from where old blocks are. No block lies in it: those
//! whose views aren't synced are never cut off.
//!
//! The bytes: magic 8 | format 4 | 0 4 | body length 8 | body | checksum 32, integers little-endian; the checksum is
//! BLAKE3 over everything before it, keyed with a key derived from the log's id, so that another log's file doesn't pass.

use crate::recovery::{BlockId, LoggedChain, Noted, RecoveryError, Source};
use ledger_core::codec::{self, Bytes, CodecError, Decode, Encode, Format, List, MAX_INPUT_BYTES, wire};
use ledger_core::{ChainId, Height};
use ledger_crypto::Digest;
use ledger_storage::disk::{Disk, DiskError};
use ledger_storage::log::{LogId, LogPosition, LogReader, RecordKind};
use std::collections::BTreeMap;
use std::path::Path;

const MAGIC: [u8; 8] = *b"LEDGRCUT";
const VERSION: u32 = 1;
const HEADER: usize = 24;
const CHECKSUM: usize = 32;
const PREFIX: &str = "start-";
const SUFFIX_NEW: &str = ".new";

/// Why a log that was cut can't be read from its start, or can't be cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogStartError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file isn't what was written.
    #[error(
        "{file} is damaged: {reason}; it says what the removed front of the log held, so restore it together with the log \
         from one backup, or rebuild this node from its peers"
    )]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Another program's file.
    #[error("{file} is of format {found}, and this program understands {understood}; use a program that does")]
    UnknownVersion {
        /// Its name.
        file: String,
        /// The format it states.
        found: u32,
        /// The format understood.
        understood: u32,
    },
    /// The log begins behind where the newest start file says, or there is none.
    #[error(
        "the log begins with segment {first}, but {}; restore the start file and the log from one backup, or rebuild this \
         node from its peers",
        known.map_or_else(|| "no start file says what came before".to_owned(),
            |known| format!("the newest start file is of segment {known}"))
    )]
    Missing {
        /// The log's first segment.
        first: u64,
        /// The newest start file's.
        known: Option<u64>,
    },
    /// There is no log, but what is kept of the front of one.
    #[error(
        "{file} says what the removed front of a log held, and the log isn't here: restore both from one backup, or rebuild \
         this node from its peers in an empty folder"
    )]
    NoLog {
        /// The start file.
        file: String,
    },
    /// The log ends before what was folded into its start: it was rolled back.
    #[error(
        "{file} was written when the log had {records} records before its first segment, and the log has {found} in all; \
         restore both from one backup, or rebuild this node from its peers"
    )]
    Shorter {
        /// The start file.
        file: String,
        /// The records that were folded into it.
        records: u64,
        /// The records that the log ever had, as it says.
        found: u64,
    },
    /// More than one file takes.
    #[error("what has to be kept of the log's front takes {bytes} bytes, a start file takes {limit}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

/// What was kept of a log's front. The default is that of a log that was never cut.
#[derive(Clone, Debug, Default)]
pub struct LogStart {
    /// The first segment that isn't folded in; 0 if none is.
    pub(crate) segment: u64,
    /// Records ever written before that segment.
    pub(crate) records: u64,
    pub(crate) chains: BTreeMap<ChainId, LoggedChain>,
}

#[derive(Encode, Decode)]
#[bincode(crate = "wire")]
struct Body {
    segment: u64,
    records: u64,
    chains: List<StoredChain>,
}

impl Format for Body {
    const NAME: &'static str = "log start";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

#[derive(Encode, Decode)]
#[bincode(crate = "wire")]
struct StoredChain {
    chain: ChainId,
    genesis: Option<Bytes>,
    height: Height,
    block: Digest,
    records: List<StoredRecord>,
    evidence: List<Bytes>,
    policy: Option<Bytes>,
}

#[derive(Encode, Decode)]
#[bincode(crate = "wire")]
struct StoredRecord {
    height: Height,
    kind: u8,
    bytes: Bytes,
}

fn file_name(segment: u64) -> String {
    format!("{PREFIX}{segment:020}")
}

/// The numbers of the start files on a disk, and the names of unfinished ones.
fn files(disk: &dyn Disk) -> Result<(Vec<u64>, Vec<String>), DiskError> {
    let (mut numbers, mut unfinished) = (Vec::new(), Vec::new());
    for name in disk.list()? {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let (number, new) = rest.strip_suffix(SUFFIX_NEW).map_or((rest, false), |number| (number, true));
        match number.parse() {
            Ok(_) if new => unfinished.push(name),
            Ok(number) if file_name(number) == name => numbers.push(number),
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok((numbers, unfinished))
}

impl LogStart {
    /// Whether a disk's log was cut.
    ///
    /// # Errors
    /// [`DiskError`] when the disk can't be listed.
    pub fn exists(disk: &dyn Disk) -> Result<bool, DiskError> {
        Ok(!files(disk)?.0.is_empty())
    }

    /// Whoever finds no log on `disk` asks before making one, beside which a start would be another log's.
    ///
    /// # Errors
    /// [`LogStartError::NoLog`] when there was a log.
    pub(crate) fn none_of_another_log(disk: &dyn Disk) -> Result<(), LogStartError> {
        match files(disk)?.0.last() {
            Some(newest) => Err(LogStartError::NoLog { file: file_name(*newest) }),
            None => Ok(()),
        }
    }

    /// Whether the log in a folder was cut.
    pub(crate) fn file_in(folder: &Path) -> std::io::Result<bool> {
        for entry in std::fs::read_dir(folder)? {
            if entry?.file_name().to_string_lossy().starts_with(PREFIX) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is kept of the front of `log`, whose files are on `disk`.
    ///
    /// # Errors
    /// [`LogStartError`] when there has to be something and it isn't there, or isn't what was written.
    pub fn open(disk: &dyn Disk, log: &LogReader) -> Result<Self, LogStartError> {
        let (numbers, _) = files(disk)?;
        let first = log.first_segment();
        let known = numbers.last().copied();
        match known {
            Some(known) if known >= first => {
                let (start, end) = (Self::read(disk, &log.id(), known)?, log.end());
                if end.records < start.records || end.segment < known {
                    let (file, records, found) = (file_name(known), start.records, end.records);
                    return Err(LogStartError::Shorter { file, records, found });
                }
                Ok(start)
            }
            None if first <= 1 => Ok(Self::default()),
            known => Err(LogStartError::Missing { first, known }),
        }
    }

    fn read(disk: &dyn Disk, id: &LogId, segment: u64) -> Result<Self, LogStartError> {
        let name = file_name(segment);
        let damaged = |reason: &str| LogStartError::Damaged { file: name.clone(), reason: reason.to_owned() };
        let file = disk.open(&name)?;
        let length = file.len()?;
        let most = (HEADER + MAX_INPUT_BYTES + CHECKSUM) as u64;
        let fits = usize::try_from(length).ok().filter(|length| *length >= HEADER + CHECKSUM);
        let length = fits.filter(|length| *length as u64 <= most).ok_or_else(|| damaged("its length can't be"))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(0, &mut bytes)?;
        let (covered, checksum) = bytes.split_at_checked(length - CHECKSUM).unwrap_or_default();
        let header: [u8; HEADER] = covered.first_chunk().copied().unwrap_or([0; HEADER]);
        let (magic, rest) = header.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        if *magic != MAGIC {
            return Err(damaged("it doesn't begin as a start file does"));
        }
        if checksum_of(id, covered) != checksum {
            return Err(damaged("its checksum doesn't match"));
        }
        let found = rest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if found != VERSION {
            return Err(LogStartError::UnknownVersion { file: name, found, understood: VERSION });
        }
        let body: Body =
            codec::decode(covered.get(HEADER..).unwrap_or_default()).map_err(|error| damaged(&error.to_string()))?;
        if body.segment != segment {
            return Err(damaged("it is of another segment than its name says"));
        }
        let chains = body.chains.into_iter().map(|stored| Ok((stored.chain, stored.restore()?)));
        let chains = chains.collect::<Result<_, CodecError>>().map_err(|error| damaged(&error.to_string()))?;
        Ok(Self { segment, records: body.records, chains })
    }

    /// Where reading the log goes on.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        LogPosition { segment: self.segment, ..LogPosition::START }
    }

    /// What reading the log up to `segment` gave, with its blocks left out.
    ///
    /// # Errors
    /// [`RecoveryError`] when a record that has to be kept can't be read.
    pub(crate) fn fold(
        log: &LogReader,
        segment: u64,
        records: u64,
        chains: BTreeMap<ChainId, LoggedChain>,
    ) -> Result<Self, RecoveryError> {
        let mut kept = BTreeMap::new();
        for (id, chain) in chains {
            let LoggedChain { genesis, tip, cut, records, evidence, policy, .. } = chain;
            let keep = |noted: Noted| {
                let bytes = noted.bytes(log)?;
                Ok(Noted { source: Source::Kept(bytes), ..noted })
            };
            // Payloads that are left are of blocks that another one was preferred to.
            let live = records.into_iter().filter(|noted| noted.kind != RecordKind::PAYLOAD);
            let records = live.map(keep).collect::<Result<_, RecoveryError>>()?;
            let cut = tip.or(cut);
            kept.insert(
                id,
                LoggedChain { genesis, cut, tip: cut, records, evidence, policy, ..LoggedChain::default() },
            );
        }
        Ok(Self { segment, records, chains: kept })
    }

    /// Makes this the start of the log: durable when it returns, so that the segments before can be removed.
    ///
    /// # Errors
    /// [`LogStartError`]; the older start counts then, or this one.
    pub(crate) fn write(&self, disk: &dyn Disk, id: &LogId) -> Result<(), LogStartError> {
        let chains = self.chains.iter().map(|(chain, logged)| StoredChain::of(*chain, logged)).collect();
        let body = codec::encode(&Body { segment: self.segment, records: self.records, chains });
        if body.len() > MAX_INPUT_BYTES {
            return Err(LogStartError::TooLarge { bytes: body.len(), limit: MAX_INPUT_BYTES });
        }
        let mut bytes = Vec::with_capacity(HEADER + body.len() + CHECKSUM);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&body);
        let checksum = checksum_of(id, &bytes);
        bytes.extend_from_slice(&checksum);
        for name in files(disk)?.1 {
            disk.remove(&name)?;
        }
        let name = file_name(self.segment);
        let unnamed = format!("{name}{SUFFIX_NEW}");
        let file = disk.create(&unnamed)?;
        file.write_all_at(0, &bytes)?;
        file.sync_data()?;
        disk.rename(&unnamed, &name)?;
        Ok(disk.sync_folder()?)
    }

    /// Removes the files that an earlier cut left, once the log begins at this start.
    pub(crate) fn remove_older(&self, disk: &dyn Disk) -> Result<(), LogStartError> {
        for number in files(disk)?.0.into_iter().filter(|number| *number < self.segment) {
            disk.remove(&file_name(number))?;
        }
        Ok(disk.sync_folder()?)
    }
}

fn checksum_of(id: &LogId, bytes: &[u8]) -> [u8; CHECKSUM] {
    *blake3::keyed_hash(&blake3::derive_key("ledgerkit log start checksum", id.as_bytes()), bytes).as_bytes()
}

impl StoredChain {
    fn of(chain: ChainId, logged: &LoggedChain) -> Self {
        let records = logged.records.iter().filter_map(|noted| match &noted.source {
            Source::Kept(bytes) => {
                Some(StoredRecord { height: noted.height, kind: noted.kind.get(), bytes: (**bytes).into() })
            }
            // `fold` keeps them all.
            Source::Log(_) => None,
        });
        let cut = logged.cut.unwrap_or(BlockId { height: Height::GENESIS, digest: Digest::ZERO });
        Self {
            chain,
            genesis: logged.genesis.as_ref().map(|genesis| codec::encode(genesis).into()),
            height: cut.height,
            block: cut.digest,
            records: records.collect(),
            evidence: logged.evidence.iter().map(|evidence| Bytes::from(codec::encode(evidence))).collect(),
            policy: logged.policy.as_ref().map(|policy| codec::encode(policy).into()),
        }
    }

    fn restore(self) -> Result<LoggedChain, CodecError> {
        let cut = Some(BlockId { height: self.height, digest: self.block }).filter(|cut| cut.height > Height::GENESIS);
        let records = self.records.into_iter().map(|stored| Noted {
            height: stored.height,
            kind: RecordKind::new(stored.kind),
            source: Source::Kept(stored.bytes.into_vec().into()),
        });
        Ok(LoggedChain {
            genesis: self.genesis.map(|bytes| codec::decode(&bytes)).transpose()?,
            cut,
            tip: cut,
            records: records.collect(),
            evidence: self.evidence.into_iter().map(|bytes| codec::decode(&bytes)).collect::<Result<_, _>>()?,
            policy: self.policy.map(|bytes| codec::decode(&bytes)).transpose()?,
            ..LoggedChain::default()
        })
    }
}
