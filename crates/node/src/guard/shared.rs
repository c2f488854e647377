//! The vote guards of many chains in one small log of their own.

use super::DiskGuard;
use super::prefixed::PrefixedDisk;
use ledger_core::Height;
use ledger_crypto::{Digest, Guard, GuardError, GuardRecord, RecordError, VotePosition};
use ledger_storage::disk::{Disk, DiskError};
use ledger_storage::log::{Log, LogConfig, LogError, LogId, Record, RecordKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the names of its files begin with; the rest is a log's.
const PREFIX: &str = "guards-";

/// What the name of a guard file of one chain begins with.
const SINGLE: &str = "guard-";

/// The kind of its records.
const GUARD_RECORD: RecordKind = RecordKind::new(32);

/// Bytes that a record takes in the file.
const RECORD_BYTES: u64 = 64 + GuardRecord::LENGTH as u64;

/// Bytes of records of which newer ones exist that are tolerated before the file is written anew, in a host of few
/// chains; with many it is as much as the newest records take.
const SLACK_BYTES: u64 = 4 << 20;

/// Records that are written anew at once.
const COPY: usize = 16_384;

/// The vote guards of all chains that share one log: a second, small log (`guards-log-…`) in the same folder, in which
/// the newest record of each chain counts.
///
/// It keeps what [`DiskGuard`] keeps for one chain, and costs one write and one sync for all chains whose votes have
/// become durable in the meantime, instead of a file and a sync for each:
/// - a record is durable when [`store_all`](Self::store_all) returns; one that a crash interrupted was never promised;
/// - damage to what was durable is an error that names the file, not a guess: see
///   [`ledger_storage::log`] for how a torn end is told from damage; where it is known whose record it was, that chain alone
///   gets the error, and no older record in its stead;
/// - records of one chain only go up; should an older one follow, the higher one counts.
///
/// A guard file `guard-<chain>` of an earlier version is taken over when its chain is opened: written here, durable,
/// then removed.
///
/// # Why no positions are reserved ahead
/// A guard that stated "no vote above B has left" for some B ahead of the last vote would save most of its writes. After
/// a crash it couldn't tell a log that is whole from one that was rolled back to below B, so that the signer had to refuse
/// every position up to B. A chain of one owner has no other position to go on with, and validators that crash together
/// would wait for each other's votes up to B for ever. So a vote moves the guard before it leaves, and the cost is shared
/// between chains.
#[derive(Clone)]
pub struct SharedGuards {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    /// Held while the file is written and synced.
    file: Mutex<GuardsFile>,
    newest: Mutex<BTreeMap<Digest, GuardRecord>>,
    /// Chains one of whose records is damaged: which position it had, nobody knows.
    damaged: BTreeMap<Digest, LogError>,
    /// Guard files of single chains that were there at the start.
    single: Mutex<BTreeSet<String>>,
}

struct GuardsFile {
    log: Log,
    /// Bytes of records written since the newest ones were last written anew.
    since: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn position(record: &GuardRecord) -> Option<VotePosition> {
    record.last.map(|last| last.position)
}

fn failed(action: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> GuardError {
    GuardError::Storage { place: format!("{PREFIX}log"), action, error: std::io::Error::other(error) }
}

impl SharedGuards {
    /// Opens the guards on `disk`, or makes them with `id` (32 random bytes) where there are none.
    ///
    /// # Errors
    /// [`GuardError`] when they are damaged, or can't be read or written.
    pub fn open(disk: Arc<dyn Disk>, id: LogId) -> Result<Self, GuardError> {
        let names = disk.list().map_err(|error| failed("read", error))?;
        let single = names.into_iter().filter(|name| name.starts_with(SINGLE)).collect();
        let own: Arc<dyn Disk> = Arc::new(PrefixedDisk::new(Arc::clone(&disk), PREFIX));
        let mut config = LogConfig::default();
        config.segment_bytes = SLACK_BYTES;
        config.fill_bytes = 256 << 10;
        let log = Log::open_or_create(own, id, config).map_err(|error| failed("read", error))?;
        let (mut newest, mut damaged, mut since) = (BTreeMap::new(), BTreeMap::new(), 0);
        for item in log.reader().records() {
            match item {
                Ok((_, record)) => keep(&mut newest, read(&record)?),
                Err(error @ LogError::DamagedRecord { chain, .. }) => _ = damaged.entry(chain).or_insert(error),
                Err(error) => return Err(failed("read", error)),
            }
            since += RECORD_BYTES;
        }
        // Once the file is written anew, such a chain has no record at all, and its signer refuses all the same.
        newest.retain(|chain, _| !damaged.contains_key(chain));
        let shared = Shared {
            disk,
            file: Mutex::new(GuardsFile { log, since }),
            newest: Mutex::new(newest),
            damaged,
            single: Mutex::new(single),
        };
        Ok(SharedGuards { shared: Arc::new(shared) })
    }

    /// The guard of one chain.
    #[must_use]
    pub fn of(&self, chain: Digest) -> SharedGuard {
        SharedGuard { guards: self.clone(), chain, begun: None, used: Arc::default() }
    }

    /// How many chains have a record.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.shared.newest).len()
    }

    /// Whether no chain has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Syncs that were done since it was opened.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        lock(&self.shared.file).log.counters().syncs
    }

    /// Replaces the records of several chains, with one sync. All of them survive power loss once this returns.
    ///
    /// # Errors
    /// [`GuardError`]; which records are there is unknown then, and nothing more can be stored until it is opened anew.
    pub fn store_all(&self, records: &[GuardRecord]) -> Result<(), GuardError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut file = lock(&self.shared.file);
        file.append(records).map_err(|error| failed("write", error))?;
        let mut newest = lock(&self.shared.newest);
        records.iter().for_each(|record| keep(&mut newest, *record));
        let live = RECORD_BYTES * newest.len() as u64;
        if file.since <= SLACK_BYTES.max(live) + live {
            return Ok(());
        }
        let copies: Vec<GuardRecord> = newest.values().copied().collect();
        drop(newest);
        file.rewrite(&copies).map_err(|error| failed("write", error))
    }

    /// Marks the end, so that damage to the last record can't be taken for a write that a crash interrupted.
    ///
    /// # Errors
    /// [`GuardError`], as [`store_all`](Self::store_all).
    pub fn seal(&self) -> Result<(), GuardError> {
        lock(&self.shared.file).log.seal().map_err(|error| failed("write", error))
    }

    /// The record of `chain`. One in a file of the chain's own is taken over first.
    fn load(&self, chain: Digest) -> Result<Option<GuardRecord>, GuardError> {
        if let Some(error) = self.shared.damaged.get(&chain) {
            return Err(failed("read", error.clone()));
        }
        let name = format!("{SINGLE}{chain}");
        let newest = |guards: &Self| lock(&guards.shared.newest).get(&chain).copied();
        if !lock(&self.shared.single).contains(&name) {
            return Ok(newest(self));
        }
        let here = newest(self);
        if let Some(old) = DiskGuard::new(Arc::clone(&self.shared.disk), name.clone()).load()? {
            // Another chain's or another log's record is given back as it is: the signer refuses it and says why.
            if old.chain != chain || here.is_some_and(|here| here.log != old.log) {
                return Ok(Some(old));
            }
            if here.is_none_or(|here| position(&here) < position(&old)) {
                self.store_all(&[old])?;
            }
        }
        let remove = || match self.shared.disk.remove(&name) {
            Ok(()) | Err(DiskError::NotFound { .. }) => self.shared.disk.sync_folder(),
            Err(error) => Err(error),
        };
        remove().map_err(|error| failed("write", error))?;
        lock(&self.shared.single).remove(&name);
        Ok(newest(self))
    }
}

impl GuardsFile {
    fn append(&mut self, records: &[GuardRecord]) -> Result<(), LogError> {
        for part in records.chunks(COPY) {
            let records = part.iter().map(|record| Record {
                chain: record.chain,
                kind: GUARD_RECORD,
                height: 0,
                bytes: record.to_bytes(),
            });
            self.log.submit(records.collect())?;
            self.log.flush()?;
        }
        self.since += RECORD_BYTES * records.len() as u64;
        Ok(())
    }

    /// Writes all newest records behind the others, and then removes the segments that only hold older ones.
    fn rewrite(&mut self, newest: &[GuardRecord]) -> Result<(), LogError> {
        let before = self.log.end();
        self.append(newest)?;
        // The first copy stands in the segment in which the log ended, or in a later one.
        let keep = ledger_storage::log::LogPosition { segment: before.segment, offset: 0, length: 0 };
        self.log.remove_before(keep)?;
        self.since = RECORD_BYTES * newest.len() as u64;
        Ok(())
    }
}

fn keep(newest: &mut BTreeMap<Digest, GuardRecord>, record: GuardRecord) {
    let kept = newest.entry(record.chain).or_insert(record);
    if position(kept) <= position(&record) {
        *kept = record;
    }
}

fn read(record: &Record) -> Result<GuardRecord, GuardError> {
    let damaged = |error| GuardError::Damaged { place: format!("{PREFIX}log, chain {}", record.chain), error };
    match GuardRecord::from_bytes(&record.bytes) {
        Ok(guard) if guard.chain == record.chain && record.kind == GUARD_RECORD => Ok(guard),
        Ok(_) => Err(damaged(RecordError::Form)),
        Err(error) => Err(damaged(error)),
    }
}

impl std::fmt::Debug for SharedGuards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedGuards").field("chains", &self.len()).finish_non_exhaustive()
    }
}

/// One chain's place among [`SharedGuards`].
#[derive(Clone, Debug)]
pub struct SharedGuard {
    guards: SharedGuards,
    chain: Digest,
    /// The height of the snapshot that the chain began from here, if it did.
    begun: Option<Height>,
    used: Arc<AtomicBool>,
}

impl SharedGuard {
    /// Says that the chain began here from a snapshot at `base`. It had gone on without this folder, and maybe with this
    /// key: a signer gets no new guard from here then.
    pub(crate) fn begun(mut self, base: Height) -> Self {
        self.begun = Some(base).filter(|base| *base > Height::GENESIS);
        self
    }

    /// Tells, also after the guard was given away, whether a signer was opened on it.
    pub(crate) fn usage(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.used)
    }
}

impl Guard for SharedGuard {
    fn load(&self) -> Result<Option<GuardRecord>, GuardError> {
        self.used.store(true, Ordering::Relaxed);
        let found = self.guards.load(self.chain)?;
        match self.begun.filter(|_| found.is_none()) {
            Some(base) => Err(GuardError::Absent {
                place: format!("{PREFIX}log"),
                reason: format!(
                    "the chain began here from a snapshot of block {base}, and whether the key has voted before isn't known \
                     here; if it has, give the engine the guard that it was used with, or observe; if it never has, give it \
                     a guard kept elsewhere"
                ),
            }),
            None => Ok(found),
        }
    }

    fn store(&mut self, record: &GuardRecord) -> Result<(), GuardError> {
        self.guards.store_all(&[*record])
    }
}
