//! Vote guards on the node's own disk: [`DiskGuard`], a file for one chain, and [`SharedGuards`], one small log for the
//! chains of a host.

mod moved;
mod prefixed;
mod shared;

pub use moved::MoveGuardError;
pub use shared::{SharedGuard, SharedGuards};

use ledger_crypto::{Guard, GuardError, GuardRecord};
use ledger_storage::disk::{Disk, DiskError, File};
use std::sync::Arc;

/// Bytes of a slot: a disk sector, so that a torn write can't reach the other slot.
const SLOT: u64 = 4096;

/// Keeps one chain's vote guard in a file of the node's disk. The file has two slots, written in turn and synced, so
/// that the older record is whole whatever happens to the newer one; positions only go up, so the higher one counts.
///
/// Where both slots hold one position, the record in the first slot counts: nothing in the file says which was written
/// later, and a fixed choice gives the same answer at each opening. So one that replaces another record *at the same
/// position*, as [`Chain::move_guard`](crate::Chain::move_guard)'s does, has to be stored twice by one `DiskGuard`, after
/// which both slots have it. Votes alone never need that, since each has a position of its own.
///
/// It catches a log that was lost or cut while the guard stayed. It doesn't catch a whole folder that was replaced by
/// an older copy, guard included: for that the guard has to live elsewhere, beside the key
/// ([`FileGuard`](ledger_crypto::FileGuard)).
#[derive(Debug)]
pub struct DiskGuard {
    disk: Arc<dyn Disk>,
    name: String,
    /// The open file and the slot to write next.
    open: Option<(Box<dyn File>, u64)>,
}

impl DiskGuard {
    /// The guard in the file `name`.
    pub fn new(disk: Arc<dyn Disk>, name: impl Into<String>) -> Self {
        DiskGuard { disk, name: name.into(), open: None }
    }

    fn failed(&self, action: &'static str, error: DiskError) -> GuardError {
        GuardError::Storage { place: self.name.clone(), action, error: std::io::Error::other(error) }
    }

    fn open_file(&self) -> Result<Option<Box<dyn File>>, DiskError> {
        match self.disk.open(&self.name) {
            Ok(file) => Ok(Some(file)),
            Err(DiskError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The records in both slots; `None` where nothing was ever written.
    fn slots(file: &dyn File) -> Result<[Option<Vec<u8>>; 2], DiskError> {
        let length = file.len()?;
        let mut slots = [None, None];
        for (slot, at) in slots.iter_mut().zip([0, SLOT]) {
            let mut bytes = vec![0; GuardRecord::LENGTH];
            if length >= at + GuardRecord::LENGTH as u64 {
                file.read_exact_at(at, &mut bytes)?;
                *slot = Some(bytes).filter(|bytes| bytes.iter().any(|byte| *byte != 0));
            }
        }
        Ok(slots)
    }

    /// The record that counts, and the slot that holds it.
    fn newest(&self, file: &dyn File) -> Result<Option<(GuardRecord, u64)>, GuardError> {
        let slots = Self::slots(file).map_err(|error| self.failed("read", error))?;
        let mut newest: Option<(GuardRecord, u64)> = None;
        let mut damage = None;
        for (bytes, at) in slots.iter().zip([0, SLOT]) {
            match bytes.as_deref().map(GuardRecord::from_bytes) {
                Some(Ok(record)) => {
                    let position = |record: &GuardRecord| record.last.map(|last| last.position);
                    if newest.as_ref().is_none_or(|(other, _)| position(other) < position(&record)) {
                        newest = Some((record, at));
                    }
                }
                Some(Err(error)) => damage = Some(error),
                None => {}
            }
        }
        match (newest, damage) {
            (None, Some(error)) => Err(GuardError::Damaged { place: self.name.clone(), error }),
            (newest, _) => Ok(newest),
        }
    }

    fn write(&mut self, record: &GuardRecord) -> Result<(), DiskError> {
        let Some((file, at)) = self.open.take() else { return self.create(record) };
        file.write_all_at(at, &record.to_bytes())?;
        file.sync_data()?;
        self.open = Some((file, SLOT - at));
        Ok(())
    }

    /// The file gets its name only when its first record is durable: a crash before leaves no guard, and not a torn one.
    fn create(&mut self, record: &GuardRecord) -> Result<(), DiskError> {
        let unnamed = format!("{}.new", self.name);
        match self.disk.remove(&unnamed) {
            Ok(()) | Err(DiskError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let file = self.disk.create(&unnamed)?;
        file.write_all_at(0, &record.to_bytes())?;
        file.sync_data()?;
        self.disk.rename(&unnamed, &self.name)?;
        self.disk.sync_folder()?;
        self.open = Some((self.disk.open(&self.name)?, SLOT));
        Ok(())
    }

    /// Opens the file for the next record. The process before may have stopped at a failed sync, and what is read may
    /// then never have reached the disk: it is written again before the other slot, the older record, is given up.
    fn reopen(&self, file: Box<dyn File>) -> Result<(Box<dyn File>, u64), GuardError> {
        let Some((newest, at)) = self.newest(&*file)? else { return Ok((file, 0)) };
        let settle = || {
            file.write_all_at(at, &newest.to_bytes())?;
            file.sync_data()
        };
        settle().map_err(|error| self.failed("write", error))?;
        Ok((file, SLOT - at))
    }
}

impl Guard for DiskGuard {
    fn load(&self) -> Result<Option<GuardRecord>, GuardError> {
        match self.open_file().map_err(|error| self.failed("open", error))? {
            Some(file) => Ok(self.newest(&*file)?.map(|(record, _)| record)),
            None => Ok(None),
        }
    }

    fn store(&mut self, record: &GuardRecord) -> Result<(), GuardError> {
        if self.open.is_none()
            && let Some(file) = self.open_file().map_err(|error| self.failed("open", error))?
        {
            self.open = Some(self.reopen(file)?);
        }
        self.write(record).map_err(|error| self.failed("write", error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ledger_crypto::{Digest, LastVote, VotePosition};
    use ledger_storage::disk::SimulatedDisk;

    fn record(log: u8, view: u64) -> GuardRecord {
        let position = VotePosition { epoch: 0, view, slot: 0 };
        let last = Some(LastVote { position, message: None });
        GuardRecord { log: Digest::new([log; 32]), chain: Digest::new([7; 32]), last }
    }

    fn guard(disk: &SimulatedDisk) -> DiskGuard {
        DiskGuard::new(Arc::new(disk.clone()), "guard")
    }

    #[test]
    fn of_two_records_at_one_position_the_first_slot_s_counts() {
        // Of `before` records the last one is in the first slot, then in the second.
        for before in [1, 2] {
            let disk = SimulatedDisk::new(before);
            let mut stored = guard(&disk);
            for view in 1..=before {
                stored.store(&record(1, view)).unwrap();
            }
            let (old, new) = (record(1, before), record(2, before));
            stored.store(&new).unwrap();
            let first = if before == 1 { old } else { new };
            // The process ends here, or the machine does: whoever reads the file finds the same one each time.
            for _ in 0..2 {
                assert_eq!(guard(&disk).load().unwrap(), Some(first), "{before} before");
                assert_eq!(guard(&disk.survivor(before)).load().unwrap(), Some(first), "{before} before");
            }
            // Whoever begins anew stores it twice, wherever the first attempt left it.
            let disk = disk.survivor(before);
            let mut again = guard(&disk);
            for _ in 0..2 {
                again.store(&new).unwrap();
            }
            assert_eq!(guard(&disk.survivor(0)).load().unwrap(), Some(new), "{before} before, stored twice");
            guard(&disk).store(&record(1, before + 1)).unwrap();
            assert_eq!(guard(&disk).load().unwrap(), Some(record(1, before + 1)), "a higher position counts anywhere");
        }
    }
}
