//! What the simulated disk holds: cached and durable bytes, cached and durable names, and the plan of faults.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::random::Random;
use super::survivor::{Keep, replay};
use super::{FaultCounts, failure};
use crate::disk::{DiskError, Operation};

/// A change of a file that is not durable yet.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// A change of the folder that is not durable yet.
#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Link { name: String, inode: u64 },
    Rename { from: String, to: String, inode: u64 },
    Unlink { name: String },
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) durable: Vec<u8>,
    pub(super) cached: Vec<u8>,
    pub(super) pending: Vec<Change>,
    handles: usize,
}

impl Inode {
    pub(super) fn at_rest(bytes: Vec<u8>) -> Self {
        Self { cached: bytes.clone(), durable: bytes, pending: Vec::new(), handles: 0 }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.cached, &change);
        self.pending.push(change);
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) crash_at: Option<u64>,
    pub(super) space: Option<u64>,
    pub(super) shorten_one_in: usize,
    pub(super) shorten_reads_one_in: usize,
    pub(super) fail_write_at: Option<u64>,
    pub(super) fail_sync_at: Option<u64>,
}

#[derive(Debug)]
pub(super) struct World {
    random: Random,
    pub(super) inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    pub(super) pending_names: Vec<NameChange>,
    pub(super) plan: Plan,
    pub(super) operations: u64,
    pub(super) writes: u64,
    pub(super) syncs: u64,
    crashed: Option<u64>,
    pub(super) counts: FaultCounts,
}

/// Whether an operation comes to its end, or the machine stops during it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Completes,
    Crashes(u64),
}

impl Fate {
    fn outcome(self) -> Result<(), DiskError> {
        match self {
            Self::Completes => Ok(()),
            Self::Crashes(operation) => Err(DiskError::Crashed { operation }),
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::at_rest(seed, BTreeMap::new(), BTreeMap::new(), FaultCounts::default())
    }

    pub(super) fn at_rest(
        seed: u64,
        inodes: BTreeMap<u64, Inode>,
        names: BTreeMap<String, u64>,
        counts: FaultCounts,
    ) -> Self {
        Self {
            random: Random::new(seed),
            next_inode: inodes.keys().next_back().map_or(0, |last| last + 1),
            inodes,
            durable_names: names.clone(),
            names,
            pending_names: Vec::new(),
            plan: Plan::default(),
            operations: 0,
            writes: 0,
            syncs: 0,
            crashed: None,
            counts,
        }
    }

    fn alive(&self) -> Result<(), DiskError> {
        self.crashed.map_or(Ok(()), |operation| Err(DiskError::Crashed { operation }))
    }

    fn begin(&mut self) -> Result<Fate, DiskError> {
        self.alive()?;
        self.operations += 1;
        if self.plan.crash_at == Some(self.operations) {
            self.crashed = Some(self.operations);
            self.counts.crashes += 1;
            return Ok(Fate::Crashes(self.operations));
        }
        Ok(Fate::Completes)
    }

    fn find(&self, name: &str, operation: Operation) -> Result<u64, DiskError> {
        self.names.get(name).copied().ok_or_else(|| failure(operation, name, ErrorKind::NotFound))
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        // Never missing: an inode lives as long as a name or a handle refers to it.
        self.inodes.entry(inode).or_default()
    }

    pub(super) fn create(&mut self, name: &str) -> Result<u64, DiskError> {
        self.alive()?;
        if self.names.contains_key(name) {
            return Err(failure(Operation::Create, name, ErrorKind::AlreadyExists));
        }
        let fate = self.begin()?;
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.names.insert(name.to_owned(), inode);
        self.pending_names.push(NameChange::Link { name: name.to_owned(), inode });
        fate.outcome()?;
        self.inode(inode).handles += 1;
        Ok(inode)
    }

    pub(super) fn open(&mut self, name: &str) -> Result<u64, DiskError> {
        self.alive()?;
        let inode = self.find(name, Operation::Open)?;
        self.inode(inode).handles += 1;
        Ok(inode)
    }

    pub(super) fn close(&mut self, inode: u64) {
        if let Some(node) = self.inodes.get_mut(&inode) {
            node.handles = node.handles.saturating_sub(1);
        }
    }

    pub(super) fn list(&self) -> Result<Vec<String>, DiskError> {
        self.alive()?;
        Ok(self.names.keys().cloned().collect())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.alive()?;
        let inode = self.find(from, Operation::Rename)?;
        let fate = self.begin()?;
        self.names.remove(from);
        self.names.insert(to.to_owned(), inode);
        self.pending_names.push(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        fate.outcome()
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.alive()?;
        self.find(name, Operation::Remove)?;
        let fate = self.begin()?;
        self.names.remove(name);
        self.pending_names.push(NameChange::Unlink { name: name.to_owned() });
        fate.outcome()
    }

    pub(super) fn sync_folder(&mut self) -> Result<(), DiskError> {
        let fate = self.begin()?;
        self.count_sync("folder")?;
        fate.outcome()?;
        for change in std::mem::take(&mut self.pending_names) {
            apply_name(&mut self.durable_names, &change);
        }
        let (names, durable) = (&self.names, &self.durable_names);
        let named: std::collections::BTreeSet<u64> = names.values().chain(durable.values()).copied().collect();
        self.inodes.retain(|inode, node| node.handles > 0 || named.contains(inode));
        Ok(())
    }

    pub(super) fn read(&mut self, inode: u64, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.alive()?;
        let there = usize::try_from(offset).ok().and_then(|offset| self.inode(inode).cached.len().checked_sub(offset));
        let mut read = there.unwrap_or(0).min(buffer.len());
        if read > 1 && self.random.one_in(self.plan.shorten_reads_one_in) {
            read = 1 + self.random.below(read - 1);
            self.counts.short_reads += 1;
        }
        let rest = usize::try_from(offset).ok().and_then(|offset| self.inode(inode).cached.get(offset..));
        if let (Some(to), Some(from)) = (buffer.get_mut(..read), rest.and_then(|rest| rest.get(..read))) {
            to.copy_from_slice(from);
        }
        Ok(read)
    }

    pub(super) fn length(&mut self, inode: u64) -> Result<u64, DiskError> {
        self.alive()?;
        Ok(self.inode(inode).cached.len() as u64)
    }

    pub(super) fn write(&mut self, name: &str, inode: u64, offset: u64, bytes: &[u8]) -> Result<usize, DiskError> {
        let fate = self.begin()?;
        self.writes += 1;
        let offset = position(name, Operation::Write, offset)?;
        let mut taken = self.room(inode, offset, bytes.len());
        if taken == 0 && !bytes.is_empty() {
            self.counts.full += 1;
            fate.outcome()?;
            return Err(failure(Operation::Write, name, ErrorKind::StorageFull));
        }
        let fails = self.plan.fail_write_at == Some(self.writes);
        if fails {
            taken = self.random.below(taken + 1);
        } else if taken > 1 && self.random.one_in(self.plan.shorten_one_in) {
            taken = 1 + self.random.below(taken - 1);
        }
        let written = bytes.get(..taken).unwrap_or_default().to_vec();
        self.inode(inode).change(Change::Write { offset, bytes: written });
        fate.outcome()?;
        if fails {
            self.counts.failed_writes += 1;
            return Err(failure(Operation::Write, name, ErrorKind::Other));
        }
        if taken < bytes.len() {
            self.counts.short_writes += 1;
        }
        Ok(taken)
    }

    /// How many of `length` bytes at `offset` there is space for.
    fn room(&mut self, inode: u64, offset: usize, length: usize) -> usize {
        let Some(space) = self.plan.space else { return length };
        let used: usize = self.names.values().filter_map(|inode| self.inodes.get(inode)).map(|n| n.cached.len()).sum();
        let free = usize::try_from(space).unwrap_or(usize::MAX).saturating_sub(used);
        let end = self.inode(inode).cached.len().saturating_add(free);
        end.saturating_sub(offset).min(length)
    }

    pub(super) fn set_len(&mut self, name: &str, inode: u64, length: u64) -> Result<(), DiskError> {
        let fate = self.begin()?;
        let length = position(name, Operation::Resize, length)?;
        let grown = length.saturating_sub(self.inode(inode).cached.len());
        if self.room(inode, length - grown, grown) < grown {
            self.counts.full += 1;
            fate.outcome()?;
            return Err(failure(Operation::Resize, name, ErrorKind::StorageFull));
        }
        self.inode(inode).change(Change::SetLen(length));
        fate.outcome()
    }

    pub(super) fn sync(&mut self, name: &str, inode: u64) -> Result<(), DiskError> {
        let fate = self.begin()?;
        if let Err(error) = self.count_sync(name) {
            self.drop_pending(inode);
            return Err(error);
        }
        fate.outcome()?;
        let node = self.inode(inode);
        // Replayed rather than copied from the cache: after a failed sync the cache may show what no sync will write.
        for change in std::mem::take(&mut node.pending) {
            apply(&mut node.durable, &change);
        }
        Ok(())
    }

    fn count_sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.syncs += 1;
        if self.plan.fail_sync_at == Some(self.syncs) {
            self.counts.failed_syncs += 1;
            return Err(failure(Operation::Sync, name, ErrorKind::Other));
        }
        Ok(())
    }

    /// What a kernel may do after a failed sync: some of the pending changes arrived, none is dirty any more.
    fn drop_pending(&mut self, inode: u64) {
        let mut keep = Keep::chosen(&mut self.random);
        let forgets_cache = self.random.one_in(2);
        let mut counts = FaultCounts::default();
        let node = self.inodes.entry(inode).or_default();
        let pending = std::mem::take(&mut node.pending);
        node.durable = replay(&node.durable, &pending, &mut keep, &[], &mut counts);
        if forgets_cache {
            node.cached.clone_from(&node.durable);
        }
    }

    pub(super) fn flip_bit(&mut self, name: &str, bit: u64) -> Result<(), DiskError> {
        let inode = self.find(name, Operation::Write)?;
        let offset = position(name, Operation::Write, bit / 8)?;
        let mask = 1_u8 << (bit % 8);
        let node = self.inode(inode);
        let Some(cached) = node.cached.get_mut(offset) else {
            return Err(failure(Operation::Write, name, ErrorKind::InvalidInput));
        };
        *cached ^= mask;
        if let Some(durable) = node.durable.get_mut(offset) {
            *durable ^= mask;
        }
        self.counts.flipped_bits += 1;
        Ok(())
    }

    pub(super) fn misdirect(
        &mut self,
        name: &str,
        from: u64,
        other: &str,
        to: u64,
        length: usize,
    ) -> Result<(), DiskError> {
        let invalid = |name: &str| failure(Operation::Write, name, ErrorKind::InvalidInput);
        let (source, target) = (self.find(name, Operation::Write)?, self.find(other, Operation::Write)?);
        let (from, to) = (position(name, Operation::Write, from)?, position(other, Operation::Write, to)?);
        let fits = |node: &Inode, at: usize| at.checked_add(length).is_some_and(|end| end <= node.cached.len());
        if !fits(self.inode(source), from) {
            return Err(invalid(name));
        }
        if !fits(self.inode(target), to) {
            return Err(invalid(other));
        }
        let moved = self.inode(source).cached.get(from..from + length).unwrap_or_default().to_vec();
        let zeros = Change::Write { offset: from, bytes: vec![0; length] };
        let moved = Change::Write { offset: to, bytes: moved };
        for (inode, change) in [(source, zeros), (target, moved)] {
            let node = self.inode(inode);
            apply(&mut node.cached, &change);
            apply(&mut node.durable, &change);
        }
        self.counts.misdirected_writes += 1;
        Ok(())
    }
}

/// The largest file that the simulation holds, in bytes: an offset beyond it is a bug of the caller.
const MAX_FILE: u64 = 1 << 32;

fn position(name: &str, operation: Operation, offset: u64) -> Result<usize, DiskError> {
    usize::try_from(offset)
        .ok()
        .filter(|_| offset <= MAX_FILE)
        .ok_or_else(|| failure(operation, name, ErrorKind::FileTooLarge))
}

pub(super) fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if !bytes.is_empty() && content.len() < end {
                content.resize(end, 0);
            }
            if let Some(target) = content.get_mut(*offset..end) {
                target.copy_from_slice(bytes);
            }
        }
        Change::SetLen(length) => content.resize(*length, 0),
    }
}

pub(super) fn apply_name(names: &mut BTreeMap<String, u64>, change: &NameChange) {
    match change {
        NameChange::Link { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Rename { from, to, inode } => {
            names.retain(|name, held| name != from || held != inode);
            names.insert(to.clone(), *inode);
        }
        NameChange::Unlink { name } => {
            names.remove(name);
        }
    }
}
