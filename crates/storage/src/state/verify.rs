//! Reading every record of a chain's state, and making the root anew from what they say.

use ledger_core::state::tree;
use ledger_core::{Height, StateError, Version};
use ledger_crypto::Digest;

use super::checkpoint;
use super::damage::damaged;
use super::names::Namespaces;
use super::reader::StateReader;
use super::record::{self, Link, Stored};
use super::trie::Tree;
use crate::engine::{Address, Snapshot};

/// What [`StateReader::verify`] has read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedState {
    /// Blocks that wrote into the state.
    pub regions: u64,
    /// The versions of keys that they wrote, deletions included.
    pub records: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// Keys in the index, deleted ones included.
    pub keys: u64,
    /// Keys that have a value.
    pub live: u64,
    /// The root over the leaves of the newest records.
    pub root: Digest,
}

impl Default for VerifiedState {
    fn default() -> Self {
        Self { regions: 0, records: 0, bytes: 0, keys: 0, live: 0, root: tree::EMPTY }
    }
}

/// One version of a key.
struct Found {
    key: Vec<u8>,
    number: u32,
    version: Version,
    predecessor: Option<Digest>,
    previous: Option<Address>,
    /// Its leaf; `None` for a deletion.
    leaf: Option<Digest>,
}

impl Found {
    fn new(stored: &Stored<'_>, names: &Namespaces) -> Result<Self, StateError> {
        let record = &stored.record;
        let mut key = names.namespace(record.namespace)?.0.as_bytes().to_vec();
        key.extend_from_slice(stored.name);
        let leaf = stored
            .value
            .map(|value| tree::leaf(&key, record.version, record.predecessor.as_ref(), &tree::value_digest(value)));
        let previous = match record.links.previous {
            Some(Link::At(address)) => Some(address),
            _ => None,
        };
        let (number, version, predecessor) = (record.number, record.version, record.predecessor);
        Ok(Self { key, number, version, predecessor, previous, leaf })
    }

    /// Why `older` can't be the version before this one.
    fn contradicts(&self, older: &Self) -> Option<&'static str> {
        if older.key != self.key {
            Some("the version before it is of another key")
        } else if older.number.checked_add(1) != Some(self.number) || older.version >= self.version {
            Some("the version before it is another than the one before it")
        } else if older.leaf != self.predecessor {
            Some("the version before it isn't the one that it replaced")
        } else {
            None
        }
    }
}

/// The root over leaves that come in the order of their keys. As many digests wait as the tree is deep.
#[derive(Default)]
struct Root {
    digests: Vec<Digest>,
    crits: Vec<u32>,
}

impl Root {
    fn push(&mut self, crit: Option<u32>, leaf: Digest) {
        if let Some(crit) = crit {
            while self.crits.last().is_some_and(|last| *last > crit) {
                self.crits.pop();
                self.join();
            }
            self.crits.push(crit);
        }
        self.digests.push(leaf);
    }

    fn join(&mut self) {
        let (Some(right), Some(left)) = (self.digests.pop(), self.digests.pop()) else { return };
        self.digests.push(match (left == Digest::ZERO, right == Digest::ZERO) {
            (true, _) => right,
            (_, true) => left,
            _ => tree::node(&left, &right),
        });
    }

    fn finish(mut self) -> Digest {
        while self.crits.pop().is_some() {
            self.join();
        }
        self.digests.pop().unwrap_or(tree::EMPTY)
    }
}

impl StateReader {
    /// Reads every record up to block `newest`, as the blocks wrote them and as the index finds them, computes every
    /// leaf and the root anew, and tells `damage` of whatever isn't what it should be. One block's records are in memory
    /// at a time. The writer waits meanwhile.
    pub fn verify(&self, newest: Height, damage: &mut dyn FnMut(StateError)) -> VerifiedState {
        let mut verified = VerifiedState::default();
        let snapshot = self.shared.engine.snapshot();
        let (tree, names) = (self.shared.tree(), self.shared.names());
        self.verify_regions(&*snapshot, &names, newest, &mut verified, damage);
        let versions = self.verify_index(&tree, &names, &mut verified, damage);
        // Versions that were given up or moved are in the blocks' records more often, or not at all.
        if versions != verified.records && self.oldest() == Height::GENESIS {
            let reason = format_args!("it finds {versions} versions of keys, the blocks wrote {}", verified.records);
            damage(damaged("state index", newest, reason));
        }
        if tree.digest() != verified.root {
            let reason = format_args!("its root is {}, the records make {}", tree.digest(), verified.root);
            damage(damaged("state index", newest, reason));
        }
        verified
    }

    fn verify_regions(
        &self,
        snapshot: &dyn Snapshot,
        names: &Namespaces,
        newest: Height,
        verified: &mut VerifiedState,
        damage: &mut dyn FnMut(StateError),
    ) {
        for region in checkpoint::regions(self.shared.space, snapshot, Height::GENESIS, newest) {
            let read = region.and_then(|(height, address, length)| {
                let bytes = match checkpoint::read_all(&*self.shared.engine, address, length) {
                    // A release goes on beside whoever reads, and its regions are taken out of the list after it.
                    Err(_) if checkpoint::is_released(&*self.shared.engine, address) => return Ok(()),
                    bytes => bytes?,
                };
                verified.regions += 1;
                verified.bytes += length;
                verified.records += self.verify_region(names, height, address, &bytes)?;
                Ok(())
            });
            if let Err(error) = read {
                damage(error);
            }
        }
    }

    fn verify_region(
        &self,
        names: &Namespaces,
        height: Height,
        address: Address,
        bytes: &[u8],
    ) -> Result<u64, StateError> {
        let (mut at, mut records) = (0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let ends = || damaged("state records of block", height, "they end within a record");
            let place = address.offset(at as u64).ok_or_else(ends)?;
            let stored = record::decode(self.shared.space, place, rest)?;
            names.namespace(stored.record.namespace)?;
            // Beside what a block wrote lies what it moved.
            if stored.record.version.height > height {
                let found = stored.record.version.height;
                return Err(damaged("state records of block", height, format_args!("one is of block {found}")));
            }
            at += stored.length;
            records += 1;
        }
        Ok(records)
    }

    /// How many versions the index leads to.
    fn verify_index(
        &self,
        tree: &Tree,
        names: &Namespaces,
        verified: &mut VerifiedState,
        damage: &mut dyn FnMut(StateError),
    ) -> u64 {
        let mut versions = 0;
        let mut root = Root::default();
        let mut before: Option<Vec<u8>> = None;
        let mut next = tree.has(tree.root()).then(|| tree.first_page(tree.root()));
        while let Some(id) = next {
            let page = tree.page(id);
            for index in 0..page.len() {
                let stated = match index.checked_sub(1) {
                    Some(before) => page.crit(before),
                    None => tree.crit_before(id),
                };
                let crit = (verified.keys > 0).then_some(u32::from(stated));
                verified.keys += 1;
                let leaf = page.leaf(index);
                let digest = match self.verify_key(names, leaf.address, &mut versions) {
                    Ok(found) => {
                        let order = before.as_ref().map(|before| tree::crit_bit(before, &found.key));
                        let ascends = before.as_ref().is_none_or(|before| *before < found.key);
                        if !ascends || order.is_some_and(|bit| bit != crit) {
                            damage(damaged("state record", leaf.address, "its key isn't where the index has it"));
                        }
                        let digest = found.leaf.unwrap_or(Digest::ZERO);
                        if digest != leaf.digest {
                            let reason = format_args!("its leaf is {digest}, the index says {}", leaf.digest);
                            damage(damaged("state record", leaf.address, reason));
                        }
                        before = Some(found.key);
                        digest
                    }
                    Err(error) => {
                        damage(error);
                        before = None;
                        leaf.digest
                    }
                };
                verified.live += u64::from(digest != Digest::ZERO);
                root.push(crit, digest);
            }
            next = tree.page_after(id);
        }
        verified.root = root.finish();
        versions
    }

    /// Follows a key's versions from the newest, which lies at `address`, to the first, and gives the newest.
    fn verify_key(&self, names: &Namespaces, address: Address, versions: &mut u64) -> Result<Found, StateError> {
        let mut reader = self.records();
        let oldest = self.oldest();
        let newest = Found::new(&reader.read(address)?, names)?;
        *versions += 1;
        let mut older: Option<Found> = None;
        let mut at = address;
        loop {
            let this = older.as_ref().unwrap_or(&newest);
            let Some(previous) = this.previous else {
                if oldest > Height::GENESIS || (this.number == 0 && this.predecessor.is_none()) {
                    return Ok(newest);
                }
                return Err(damaged("state record", at, "it isn't the first, and names no version before it"));
            };
            if this.version.height <= oldest {
                return Ok(newest);
            }
            let found = Found::new(&reader.read(previous)?, names)?;
            if let Some(reason) = this.contradicts(&found) {
                return Err(damaged("state record", at, reason));
            }
            *versions += 1;
            at = previous;
            older = Some(found);
        }
    }
}
