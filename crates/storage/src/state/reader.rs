//! Those who read.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger_core::{Height, Key, KeyRange, Scan, StateError, StateView, Version, Versioned};
use ledger_crypto::Digest;

use super::prepare::{Found, KEYS_AT_ONCE, Sources};
use super::prune::Kept;
use super::record::{Link, Record, RecordBatch, RecordReader, Stored};
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
pub(super) fn version_at(reader: &mut RecordReader<'_>, newest: Address, at: Height) -> Result<AtHeight, StateError> {
    let mut record = reader.read(newest)?.record;
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
                        record = older;
                        break;
                    }
                    None => *open = false,
                }
            }
        }
        let Some(address) = address_of(record.links.previous) else {
            // The first version has number 0: where a later one has none before it, that was forgotten meanwhile.
            if record.number > 0 {
                let oldest = record.version.height;
                return Err(StateError::Height { height: at, oldest, newest: oldest });
            }
            return Ok(AtHeight { address: None, older: Some(record.predecessor) });
        };
        let older = reader.read(address)?.record;
        if older.version.height <= at {
            return Ok(AtHeight { address: Some(address), older: Some(record.predecessor) });
        }
        record = older;
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

    /// The value of `key` after block `at`. Blocks after the newest are as the newest.
    ///
    /// # Errors
    /// [`StateError::Height`] when that state isn't kept any more, others when it can't be read; an absent key is `Ok(None)`.
    pub fn get(&self, key: &Key, at: Height) -> Result<Option<Versioned>, StateError> {
        self.check(at)?;
        let Some(newest) = self.newest(key) else { return Ok(None) };
        let mut reader = self.records();
        let stored = reader.read(newest)?;
        if !self.is_of(&stored, key) {
            return Ok(None);
        }
        if stored.record.version.height <= at {
            return Ok(versioned(&stored));
        }
        match version_at(&mut reader, newest, at)?.address {
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
        self.check(at)?;
        let mut values = Vec::with_capacity(keys.len());
        let mut records = RecordBatch::new(&*self.shared.engine, self.shared.space);
        let (mut bytes, mut spots, mut newest) = (Vec::new(), Vec::new(), Vec::new());
        for keys in keys.chunks(KEYS_AT_ONCE) {
            bytes.clear();
            bytes.extend(keys.iter().map(Key::to_bytes));
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
                    true => match version_at(&mut self.records(), *newest, at)?.address {
                        Some(address) => versioned(&self.records().read(address)?),
                        None => None,
                    },
                });
            }
        }
        Ok(values)
    }

    /// The versions of `key` from `from` (`None`: the newest) back in time, newest first, at most `limit`. They end with
    /// that of the oldest height that is kept.
    ///
    /// # Errors
    /// [`StateError`] when they can't be read.
    pub fn history(&self, key: &Key, from: Option<Version>, limit: usize) -> Result<Vec<VersionEntry>, StateError> {
        let mut entries = Vec::new();
        let Some(newest) = self.newest(key) else { return Ok(entries) };
        let mut reader = self.records();
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
    }

    /// The keys of `range` that had a value after block `at`, in order. What is written meanwhile isn't seen.
    #[must_use]
    pub fn scan(&self, range: &KeyRange, at: Height) -> Scan<'static> {
        let from = Key::new(range.namespace, range.from.clone()).to_bytes();
        let to = range.to.as_ref().map(|to| Key::new(range.namespace, to.clone()).to_bytes());
        Box::new(Entries {
            reader: self.clone(),
            at,
            next: Some(from),
            to,
            namespace: Some(range.namespace.0),
            page: VecDeque::new(),
        })
    }

    /// All keys from `from` on that had a value after block `at`, in order.
    pub(super) fn entries(&self, from: &Key, at: Height) -> Scan<'static> {
        let next = Some(from.to_bytes());
        Box::new(Entries { reader: self.clone(), at, next, to: None, namespace: None, page: VecDeque::new() })
    }

    /// The block that the chain began with: of what was before it, nothing ever was here.
    #[must_use]
    pub fn base(&self) -> Height {
        self.shared.base
    }

    /// The gap before the first leaf that isn't before `key`, and whether that leaf is the key's own; and the addresses
    /// of the leaves from there to the end of the page.
    pub(super) fn page_from(&self, key: &[u8]) -> Result<Vec<Address>, StateError> {
        let (tree, names) = (self.shared.tree(), self.shared.names());
        let sources = Sources { tree: &tree, names: &names, engine: &*self.shared.engine, space: self.shared.space };
        let Some((gap, _)) = find_gap(sources, key)? else { return Ok(Vec::new()) };
        let Some(first) = tree.leaf_at(gap) else { return Ok(Vec::new()) };
        let page = tree.page(first.page);
        Ok((first.index..page.len()).map(|index| page.address(index)).collect())
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

/// A scan: a page at a time, so that nobody waits for it.
struct Entries {
    reader: StateReader,
    at: Height,
    /// Where to go on; `None` at the end.
    next: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    /// Where to stop; `None`: nowhere.
    namespace: Option<Digest>,
    page: VecDeque<Address>,
}

impl Entries {
    fn step(&mut self) -> Result<Option<(Key, Versioned)>, StateError> {
        self.reader.check(self.at)?;
        loop {
            let Some(newest) = self.page.pop_front() else {
                let Some(next) = self.next.take() else { return Ok(None) };
                self.page = self.reader.page_from(&next)?.into();
                if self.page.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            let mut reader = self.reader.records();
            let stored = reader.read(newest)?;
            let namespace = self.reader.shared.names().namespace(stored.record.namespace)?;
            let key = Key::new(namespace, stored.name);
            let bytes = key.to_bytes();
            if self.namespace.is_some_and(|own| own != namespace.0) || self.to.as_ref().is_some_and(|to| bytes >= *to) {
                return Ok(None);
            }
            if self.page.is_empty() {
                // The next key after this one.
                self.next = Some(bytes).map(|mut bytes| {
                    bytes.push(0);
                    bytes
                });
            }
            let found = if stored.record.version.height <= self.at {
                versioned(&stored)
            } else {
                match version_at(&mut reader, newest, self.at)?.address {
                    Some(address) => versioned(&reader.read(address)?),
                    None => None,
                }
            };
            if let Some(found) = found {
                return Ok(Some((key, found)));
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<(Key, Versioned), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.next = None;
            self.page.clear();
        }
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
