//! The append-only prototype as a contender, behind the same log as ours.

use std::path::Path;
use std::sync::Arc;

use ledger_crypto::Digest;
use ledger_storage::disk::RealDisk;
use ledger_storage::log::{Log, LogConfig, LogId, LogWriter, Record, RecordKind, Ticket};

use crate::append_only::{AppendOnly, shared_bytes, verify_range};
use crate::contender::{Contender, Outcome};
use crate::measure::Report;
use crate::workload::{self, Update};

/// Without history: files of dead entries are deleted.
pub(crate) type Live = Prototype<false>;
/// With every entry that ever was.
pub(crate) type WithHistory = Prototype<true>;

pub(crate) struct Prototype<const HISTORY: bool> {
    log: LogWriter,
    under_way: Option<Ticket>,
    store: AppendOnly,
    version: u64,
    root: Digest,
    keys: u64,
    updates: u64,
}

impl<const HISTORY: bool> Contender for Prototype<HISTORY> {
    type Batch = Vec<Update>;

    fn open(folder: &Path, keys: u64) -> Outcome<Self> {
        let disk = RealDisk::open(folder.join("log"))?;
        if disk.is_volatile() {
            return Err(format!("{} lies in memory, where a sync costs nothing", folder.display()).into());
        }
        let log = LogWriter::spawn(
            Log::create(Arc::new(disk), LogId::new([7; 32]), LogConfig::default())?,
            LogWriter::SEAL_AFTER,
        )?;
        std::fs::create_dir_all(folder.join("entries"))?;
        let store = AppendOnly::create(&folder.join("entries"), HISTORY)?;
        Ok(Self { log, under_way: None, store, version: 0, root: Digest::ZERO, keys, updates: 0 })
    }

    /// In the order of keys, so that replicas that were given the same set in another order agree.
    fn prepare(mut updates: Vec<Update>) -> Vec<Update> {
        updates.sort_unstable_by_key(|(key, _)| *key);
        updates
    }

    fn apply(&mut self, updates: Vec<Update>) -> Outcome<Digest> {
        self.version += 1;
        let bytes = updates.iter().flat_map(|(key, value)| key.iter().chain(value)).copied().collect();
        let record = Record { chain: Digest::new([1; 32]), kind: RecordKind::PAYLOAD, height: self.version, bytes };
        self.under_way = Some(self.log.submit_blocking(vec![record])?);
        let writes: Vec<_> = updates.iter().map(|(key, value)| (*key, Some(value.as_slice()))).collect();
        self.updates += writes.len() as u64;
        self.root = self.store.update(self.version, &writes)?;
        Ok(self.root)
    }

    fn durable(&mut self) -> Outcome<()> {
        if let Some(ticket) = self.under_way.take()
            && let Some(position) = ticket.wait()?.first()
        {
            self.log.remove_before(*position)?;
        }
        Ok(())
    }

    fn get(&self, numbers: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        let mut found = 0;
        for number in numbers {
            found += u64::from(self.store.get(&workload::key(number))?.is_some());
        }
        Ok(found)
    }

    fn prove(&self, numbers: &mut dyn Iterator<Item = u64>, _back: u64) -> Outcome<u64> {
        let mut bytes = 0;
        for number in numbers {
            bytes += self.store.prove(&workload::key(number))?.bytes() as u64;
        }
        Ok(bytes)
    }

    /// Old entries can be read where they are kept, but the bits that were active then aren't.
    fn provable_back(&self) -> u64 {
        0
    }

    fn extra(&self, report: &mut Report) -> Outcome<()> {
        let absent = workload::key(self.keys + 1);
        let proof = self.store.prove(&absent)?;
        if proof.value(&self.root, &absent) != Some(None) {
            return Err("a proof of absence doesn't hold".into());
        }
        report.put("prototype_absence_bytes", proof.bytes());
        let mut keys: Vec<[u8; 32]> = (0..self.keys).map(workload::key).collect();
        keys.sort_unstable();
        if let (Some(from), Some(to)) = (keys.get(keys.len() / 2), keys.get(keys.len() / 2 + 100)) {
            let range = self.store.prove_range(from, to)?;
            if range.len() != 100 || !verify_range(&range, &self.root, from, to) {
                return Err("a proof of a range doesn't hold".into());
            }
            report.put("prototype_range_100_bytes", shared_bytes(&range));
        }
        if HISTORY {
            let old = (0..1_000).map(|number| self.store.get_at(&workload::key(number % self.keys), self.version / 2));
            let found = old.filter_map(|value| value.transpose()).collect::<Result<Vec<_>, _>>()?;
            report.put("prototype_old_values_found_of_1000", found.len());
        }
        let (index, twigs) = self.store.memory();
        report.put("prototype_index_bytes_per_key", format!("{:.1}", index as f64 / self.keys as f64));
        report.put("prototype_twig_bytes_per_key", format!("{:.1}", twigs as f64 / self.keys as f64));
        report.put("prototype_entry_bytes_per_update", self.store.written / self.updates);
        report.put("prototype_moved_per_update", format!("{:.2}", self.store.moved as f64 / self.updates as f64));
        report.put("prototype_dead_share", format!("{:.2}", self.store.dead()));
        Ok(())
    }

    fn facts() -> Vec<(&'static str, &'static str)> {
        let (name, history) = if HISTORY {
            ("prototype (b), append-only, every entry kept", "older values readable by back pointers, not provable")
        } else {
            ("prototype (b), append-only, dead entries given up", "no older values")
        };
        vec![
            ("name", name),
            ("durable", "each batch: one record in the log, fsync while its root is worked out; entries aren't synced"),
            (
                "commits",
                "the log of entries and which are active; depends on the order of all operations and on compaction",
            ),
            (
                "proves",
                "presence, absence by the neighbour's next key, ranges as chains of entries; the newest height only",
            ),
            ("prototype_history", history),
        ]
    }
}
