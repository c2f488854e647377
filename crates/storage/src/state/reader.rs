//! Those who read.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger_core::{ContractId, Height, Key, KeyRange, Scan, StateError, StateView, Version, Versioned};
use ledger_crypto::Digest;

use super::prepare::{Found, KEYS_AT_ONCE, Sources};
use super::prune::Kept;
use super::record::{Link, Record, RecordBatch, RecordError, RecordReader, Stored};
use super::store::Shared;
use super::trie::Spot;
use crate::engine::Address;

/// One step in a key's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Which transaction did it.
    pub version: Version,
    /// What it wrote; `None` where it deleted the key.
    pub value: Option<Versioned>,
}

/// Reads a chain's state beside its writer, as it was after any kept block. Cheap to clone; clones are the same reader.
#[derive(Clone)]
pub struct StateReader {
    pub(super) shared: Arc<Shared>,
}

/// A key's version as of some height.
pub(super) struct AtHeight {
    /// Its record; `None` where the key wasn't there yet.
    pub(super) address: Option<Address>,
    /// The key's leaf then, where it is another than its newest.
    pub(super) older: Option<Option<Digest>>,
}

/// The value that a record has, unless it is that of a deletion.
pub(super) fn versioned(stored: &Stored<'_>) -> Option<Versioned> {
    let Record { version, predecessor, .. } = stored.record;
    stored.value().map(|value| Versioned { value, version, predecessor })
}

fn address_of(link: Option<Link>) -> Option<Address> {
    match link {
        Some(Link::At(address)) => Some(address),
        _ => None,
    }
}

/// The version of a key after block `at`, whose newest record is at `newest`.
pub(super) fn version_at(reader: &mut RecordReader<'_>, newest: Address, at: Height) -> Result<AtHeight, RecordError> {
    let (mut record, mut place) = (reader.read(newest)?.record, newest);
    if record.version.height <= at {
        return Ok(AtHeight { address: Some(newest), older: None });
    }
    // Once a long step would go too far, so would all later ones of that length.
    let (mut far, mut near) = (true, true);
    loop {
        for (link, open) in [(record.links.far, &mut far), (record.links.near, &mut near)] {
            if let Some(address) = address_of(link).filter(|_| *open) {
                // What was given up is older than whatever may be asked for.
                let older = reader.read_kept(address)?.map(|stored| stored.record);
                match older.filter(|older| older.version.height > at) {
                    Some(older) => {
                        (record, place) = (older, address);
                        break;
                    }
                    None => *open = false,
                }
            }
        }
        let Some(address) = address_of(record.links.previous) else {
            // The first version has number 0: where a later one has none before it, that was forgotten meanwhile.
            return match record.number {
                0 => Ok(AtHeight { address: None, older: Some(record.predecessor) }),
                _ => Err(RecordError::Gone(place)),
            };
        };
        let older = reader.read(address)?.record;
        if older.version.height <= at {
            return Ok(AtHeight { address: Some(address), older: Some(record.predecessor) });
        }
        (record, place) = (older, address);
    }
}

/// Where a reader met what was given up. Meeting it once says that he slept through a pass of pruning, and that the
/// index has led elsewhere since then; what the index still leads to has to be there.
#[derive(Default)]
pub(super) struct Slept(Option<Address>);

impl Slept {
    /// Whether to look up and read once more, for the state after block `at`.
    ///
    /// # Errors
    /// [`StateError::Height`] when that state was given up, and `error` when it says anything else.
    pub(super) fn look_again(
        &mut self,
        reader: &StateReader,
        at: Height,
        error: RecordError,
    ) -> Result<(), StateError> {
        let RecordError::Gone(address) = error else { return Err(error.into()) };
        reader.check(at)?;
        match self.0.replace(address) {
            Some(before) if before == address => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl StateReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn records(&self) -> RecordReader<'_> {
        RecordReader::new(&*self.shared.engine, self.shared.space)
    }

    /// Whether the state after block `at` is kept.
    fn check(&self, at: Height) -> Result<(), StateError> {
        let (oldest, newest) = (self.oldest(), self.shared.newest());
        match at < oldest {
            true => Err(StateError::Height { height: at, oldest, newest }),
            false => Ok(()),
        }
    }

    /// Says which versions stay readable from now on. What is forgotten doesn't come back.
    pub fn set_kept(&self, kept: Kept) {
        self.shared.set_kept(kept);
    }

    /// The oldest height whose state can be read.
    #[must_use]
    pub fn oldest(&self) -> Height {
        self.shared.oldest()
    }

    /// The newest record of `key`.
    fn newest(&self, key: &Key) -> Option<Address> {
        let tree = self.shared.tree();
        let spot = tree.candidate(&key.to_bytes())?;
        tree.leaf(spot).map(|leaf| leaf.address)
    }

    /// Whether `stored` is a record of `key`.
    fn is_of(&self, stored: &Stored<'_>, key: &Key) -> bool {
        stored.name == &*key.name && self.shared.names().id(&key.namespace) == Some(stored.record.namespace)
    }

    /// What `read` gives, of the state after block `at`: it looks up where the records lie and reads them, again if need be.
    fn awake<T>(&self, at: Height, mut read: impl FnMut() -> Result<T, RecordError>) -> Result<T, StateError> {
        let mut slept = Slept::default();
        self.check(at)?;
        loop {
            match read() {
                Ok(found) => return Ok(found),
                Err(error) => slept.look_again(self, at, error)?,
            }
        }
    }

    /// The value of `key` after block `at`. Blocks after the newest are as the newest.
    ///
    /// # Errors
    /// [`StateError::Height`] when that state isn't kept any more, others when it can't be read; an absent key is `Ok(None)`.
    pub fn get(&self, key: &Key, at: Height) -> Result<Option<Versioned>, StateError> {
        let mut reader = self.records();
        self.awake(at, || {
            let Some(newest) = self.newest(key) else { return Ok(None) };
            let stored = reader.read(newest)?;
            if !self.is_of(&stored, key) {
                return Ok(None);
            }
            if stored.record.version.height <= at {
                return Ok(versioned(&stored));
            }
            self.value_at(&mut reader, newest, at)
        })
    }

    /// The value after block `at` of the key whose newest record is at `newest`.
    fn value_at(
        &self,
        reader: &mut RecordReader<'_>,
        newest: Address,
        at: Height,
    ) -> Result<Option<Versioned>, RecordError> {
        match version_at(reader, newest, at)?.address {
            Some(address) => Ok(versioned(&reader.read(address)?)),
            None => Ok(None),
        }
    }

    /// What [`StateReader::get`] gives for each of `keys`. They are looked up and read together, which takes less than one
    /// after the other.
    ///
    /// # Errors
    /// As [`StateReader::get`].
    pub fn get_many(&self, keys: &[Key], at: Height) -> Result<Vec<Option<Versioned>>, StateError> {
        let mut values = Vec::with_capacity(keys.len());
        let mut records = RecordBatch::new(&*self.shared.engine, self.shared.space);
        let (mut bytes, mut spots, mut newest) = (Vec::new(), Vec::new(), Vec::new());
        self.check(at)?;
        for keys in keys.chunks(KEYS_AT_ONCE) {
            bytes.clear();
            bytes.extend(keys.iter().map(Key::to_bytes));
            let before = values.len();
            self.awake(at, || {
                values.truncate(before);
                newest.clear();
                {
                    let tree = self.shared.tree();
                    if tree.leaves() > 0 {
                        tree.candidates(bytes.iter().map(Vec::as_slice), &mut spots);
                        let address = |spot: &Spot| tree.leaf(*spot).map_or(Address::MAX, |leaf| leaf.address);
                        newest.extend(spots.iter().map(address));
                    }
                }
                records.read(newest.iter().copied())?;
                for (index, key) in keys.iter().enumerate() {
                    let Some(newest) = newest.get(index) else {
                        values.push(None);
                        continue;
                    };
                    let stored = records.get(index)?;
                    values.push(match self.is_of(&stored, key) {
                        false => None,
                        true if stored.record.version.height <= at => versioned(&stored),
                        true => self.value_at(&mut self.records(), *newest, at)?,
                    });
                }
                Ok(())
            })?;
        }
        Ok(values)
    }

    /// The versions of `key` from `from` (`None`: the newest) back in time, newest first, at most `limit`. They end with
    /// that of the oldest height that is kept.
    ///
    /// # Errors
    /// [`StateError`] when they can't be read.
    pub fn history(&self, key: &Key, from: Option<Version>, limit: usize) -> Result<Vec<VersionEntry>, StateError> {
        let mut reader = self.records();
        // From whatever height on: what isn't kept any more is left out.
        self.awake(Height(u64::MAX), || {
            let mut entries = Vec::new();
            let Some(newest) = self.newest(key) else { return Ok(entries) };
            if !self.is_of(&reader.read(newest)?, key) {
                return Ok(entries);
            }
            let oldest = self.oldest();
            let mut next = match from {
                Some(from) if from.height < oldest => return Ok(entries),
                Some(from) => version_at(&mut reader, newest, from.height)?.address,
                None => Some(newest),
            };
            while let Some(address) = next.filter(|_| entries.len() < limit) {
                let stored = reader.read(address)?;
                let version = stored.record.version;
                if from.is_none_or(|from| version <= from) {
                    entries.push(VersionEntry { version, value: versioned(&stored) });
                }
                next = address_of(stored.record.links.previous).filter(|_| version.height > oldest);
            }
            Ok(entries)
        })
    }

    /// The keys of `range` that had a value after block `at`, in order. What is written meanwhile isn't seen.
    #[must_use]
    pub fn scan(&self, range: &KeyRange, at: Height) -> Scan<'static> {
        let from = Key::new(range.namespace, range.from.clone()).to_bytes();
        let to = range.to.as_ref().map(|to| Key::new(range.namespace, to.clone()).to_bytes());
        Box::new(Entries {
            reader: self.clone(),
            leaves: Leaves::new(from, at),
            to,
            namespace: Some(range.namespace),
            ended: false,
        })
    }

    /// All keys from `from` on that had a value after block `at`, in order.
    pub(super) fn entries(&self, from: &Key, at: Height) -> Scan<'static> {
        let leaves = Leaves::new(from.to_bytes(), at);
        Box::new(Entries { reader: self.clone(), leaves, to: None, namespace: None, ended: false })
    }

    /// The block that the chain began with: of what was before it, nothing ever was here.
    #[must_use]
    pub fn base(&self) -> Height {
        self.shared.base
    }

    /// Where the records lie of leaves of one page, from the key on: the first page that has any of which it isn't known
    /// that their keys had no value after block `at`. Deleted keys keep their leaves, so whole parts of a tree may have
    /// nothing to show; these are passed over without reading a record.
    pub(super) fn page_from(&self, key: &[u8], at: Height) -> Result<Vec<Address>, StateError> {
        let (tree, names) = (self.shared.tree(), self.shared.names());
        let sources = Sources { tree: &tree, names: &names, engine: &*self.shared.engine, space: self.shared.space };
        let Some((gap, _)) = find_gap(sources, key)? else { return Ok(Vec::new()) };
        let mut from = gap;
        loop {
            let page = tree.page(from.page);
            let unchanged = tree.changed(from.page) <= at.0;
            let is_shown = |index: &usize| !(unchanged && page.digest(*index) == Digest::ZERO);
            let shown: Vec<Address> =
                (from.index..page.len()).filter(is_shown).map(|index| page.address(index)).collect();
            if !shown.is_empty() {
                return Ok(shown);
            }
            let Some(next) = tree.living_page_after(from.page, at.0) else { return Ok(shown) };
            from = Spot { page: next, index: 0 };
        }
    }

    /// The state after block `at`.
    #[must_use]
    pub fn at(&self, at: Height) -> StateAt {
        StateAt { reader: self.clone(), at }
    }

    /// The oldest height whose state can be proven.
    #[must_use]
    pub fn oldest_provable(&self) -> Height {
        Height(self.shared.window().oldest())
    }
}

/// Where `key` stands or would stand, and whether it has a leaf. `None` in an empty tree.
pub(super) fn find_gap(sources: Sources<'_>, key: &[u8]) -> Result<Option<(Spot, bool)>, StateError> {
    let mut reader = RecordReader::new(sources.engine, sources.space);
    Ok(match sources.find(&mut reader, &mut Vec::new(), key)? {
        Found::Leaf { spot, .. } => Some((spot, true)),
        Found::Nothing { near: Some((near, crit)), right } => Some((sources.tree.gap(near, crit, right), false)),
        Found::Nothing { near: None, .. } => None,
    })
}

/// A leaf of the tree, and the value that its key had at the height that is read.
pub(super) struct Passed {
    pub(super) key: Key,
    /// The key's [bytes](Key::to_bytes).
    pub(super) bytes: Vec<u8>,
    pub(super) value: Option<Versioned>,
}

/// Leaves in order, all that are of keys which had a value at some height, and some of others: a page at a time, so that
/// nobody waits for whoever reads them.
pub(super) struct Leaves {
    at: Height,
    /// Before all that weren't passed.
    from: Vec<u8>,
    /// Where the records of the next ones lie.
    page: VecDeque<Address>,
    slept: Slept,
}

impl Leaves {
    /// Those from the key `from` on, as they were after block `at`.
    pub(super) fn new(from: Vec<u8>, at: Height) -> Self {
        Self { at, from, page: VecDeque::new(), slept: Slept::default() }
    }

    /// The next one; `None` behind the last.
    pub(super) fn next(
        &mut self,
        reader: &StateReader,
        records: &mut RecordReader<'_>,
    ) -> Result<Option<Passed>, StateError> {
        loop {
            if self.page.is_empty() {
                self.page = reader.page_from(&self.from, self.at)?.into();
            }
            let Some(newest) = self.page.pop_front() else { return Ok(None) };
            match self.pass(newest, reader, records) {
                Ok(passed) => {
                    // The first key after this one.
                    self.from.clone_from(&passed.bytes);
                    self.from.push(0);
                    return Ok(Some(passed));
                }
                Err(error) => {
                    self.slept.look_again(reader, self.at, error)?;
                    self.page.clear();
                }
            }
        }
    }

    fn pass(
        &self,
        newest: Address,
        reader: &StateReader,
        records: &mut RecordReader<'_>,
    ) -> Result<Passed, RecordError> {
        let stored = records.read(newest)?;
        let key = Key::new(reader.shared.names().namespace(stored.record.namespace)?, stored.name);
        let value = match stored.record.version.height <= self.at {
            true => versioned(&stored),
            false => reader.value_at(records, newest, self.at)?,
        };
        Ok(Passed { bytes: key.to_bytes(), key, value })
    }
}

/// A scan.
struct Entries {
    reader: StateReader,
    leaves: Leaves,
    to: Option<Vec<u8>>,
    /// Where to stop; `None`: nowhere.
    namespace: Option<ContractId>,
    ended: bool,
}

impl Entries {
    fn step(&mut self) -> Result<Option<(Key, Versioned)>, StateError> {
        self.reader.check(self.leaves.at)?;
        let mut records = self.reader.records();
        while let Some(Passed { key, bytes, value }) = self.leaves.next(&self.reader, &mut records)? {
            let outside = self.namespace.is_some_and(|own| own != key.namespace);
            if outside || self.to.as_ref().is_some_and(|to| bytes >= *to) {
                return Ok(None);
            }
            if let Some(value) = value {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Entries {
    type Item = Result<(Key, Versioned), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The state after one block. Cheap to clone; keeping one costs nothing.
#[derive(Clone)]
pub struct StateAt {
    reader: StateReader,
    at: Height,
}

impl StateAt {
    /// The block after which this is the state.
    #[must_use]
    pub fn height(&self) -> Height {
        self.at
    }
}

impl StateView for StateAt {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        self.reader.get(key, self.at)
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        self.reader.get_many(keys, self.at)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        self.reader.scan(range, self.at)
    }
}

impl std::fmt::Debug for StateReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateReader").finish_non_exhaustive()
    }
}
