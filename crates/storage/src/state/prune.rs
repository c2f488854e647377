//! Forgetting old versions: what is still needed of old segments moves to new ones, and the old ones go.
//!
//! ```text
//!   at rest ──records have doubled──▶ moving ──all pages seen──▶ waiting ──a newer copy of the index is whole──▶ release
//! ```
//! While it moves, each block's region also takes the needed records of some pages that lie before the pass's mark: of each
//! key the version as of the oldest kept height, and all later ones. The index points to the new places; leaves, and so
//! roots, stay. Segments are released only when no copy of the index points into them any more.

use ledger_core::{Height, StateError};
use ledger_crypto::Digest;

use super::prepare::{Changes, Sources, Target};
use super::record::{self, Link, Links, RecordReader};
use super::trie::{NodeId, Spot};
use crate::engine::Address;

/// Which versions stay readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// All of them.
    #[default]
    All,
    /// Those of the latest so many heights; never fewer than can be proven.
    Last(u64),
}

/// Where a chain's pruning is.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    phase: Phase,
    /// Bytes of records since the last pass began.
    grown: u64,
    /// Bytes of records that were there when the last pass ended.
    held: u64,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Resting,
    Moving {
        /// What lies before goes.
        mark: Address,
        /// The page to go on with.
        at: Option<NodeId>,
        moved: u64,
    },
    Waiting {
        mark: Address,
        /// The first copy of the index that can't point before the mark.
        copy: u64,
    },
}

/// A pass is spread over about so many blocks.
const BLOCKS_A_PASS: usize = 64;
/// A block moves about so many bytes at most.
const MOST_BYTES: usize = 8 << 20;
/// The least pages that a block moves.
const LEAST_PAGES: usize = 16;

impl Pruning {
    /// Takes note of a block's records, which begin at `base`. A pass begins with them when there is enough to forget.
    pub(super) fn grown(&mut self, base: Address, bytes: u64, least: u64) {
        self.grown = self.grown.saturating_add(bytes);
        if matches!(self.phase, Phase::Resting) && self.grown >= self.held.max(least) {
            self.grown = 0;
            self.phase = Phase::Moving { mark: base, at: None, moved: 0 };
        }
    }

    /// Puts the needed records of some pages in front of a block's own. `floor` is the oldest height that stays.
    pub(super) fn moves(&mut self, sources: Sources<'_>, floor: Height, next_copy: u64) -> Result<Changes, StateError> {
        let mut made = Changes::default();
        let Phase::Moving { mark, at, moved } = &mut self.phase else { return Ok(made) };
        let tree = sources.tree;
        let mut page = (tree.root() != super::trie::NOWHERE).then(|| tree.first_page(at.unwrap_or(tree.root())));
        let mut mover = Mover { sources, reader: RecordReader::new(sources.engine, sources.space), mark: *mark, floor };
        let pages = (tree.len() / BLOCKS_A_PASS).max(LEAST_PAGES);
        for _ in 0..pages {
            let Some(id) = page.filter(|_| made.region.len() < MOST_BYTES) else { break };
            for index in 0..tree.page(id).len() {
                mover.leaf(Spot { page: id, index }, &mut made)?;
            }
            page = tree.page_after(id);
        }
        *moved += made.region.len() as u64;
        *at = page;
        if page.is_none() {
            self.held = *moved;
            self.phase = Phase::Waiting { mark: *mark, copy: next_copy };
        }
        Ok(made)
    }

    /// Whether no pass is under way.
    pub(super) fn is_resting(&self) -> bool {
        matches!(self.phase, Phase::Resting)
    }

    /// Whether a copy of the index is waited for.
    pub(super) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// The address before which nothing is needed any more, when the copies before `whole` are gone.
    pub(super) fn done(&mut self, whole: u64) -> Option<Address> {
        let Phase::Waiting { mark, copy } = self.phase else { return None };
        if whole <= copy {
            return None;
        }
        self.phase = Phase::Resting;
        Some(mark)
    }
}

struct Mover<'a> {
    sources: Sources<'a>,
    reader: RecordReader<'a>,
    mark: Address,
    floor: Height,
}

/// A version that is to be written again.
struct Version {
    record: record::Record,
    value: Option<Vec<u8>>,
}

impl Mover<'_> {
    /// Writes the needed versions of a leaf again if one of them lies before the mark.
    fn leaf(&mut self, spot: Spot, made: &mut Changes) -> Result<(), StateError> {
        let Some(leaf) = self.sources.tree.leaf(spot) else { return Ok(()) };
        let (mut versions, mut before_mark, mut name) = (Vec::new(), false, Vec::new());
        let mut next = Some(leaf.address);
        while let Some(address) = next {
            let stored = self.reader.read(address)?;
            before_mark |= address < self.mark;
            name.clear();
            name.extend_from_slice(stored.name);
            let value = stored.value.map(<[u8]>::to_vec);
            next = match stored.record.links.previous {
                Some(Link::At(address)) if stored.record.version.height > self.floor => Some(address),
                _ => None,
            };
            versions.push(Version { record: stored.record, value });
        }
        let Some(newest) = versions.first().filter(|_| before_mark) else { return Ok(()) };
        let namespace = self.sources.names.namespace(newest.record.namespace)?;
        let key = made.push_key(&namespace.0, &name);
        let mut links = Links::default();
        let mut offset = 0;
        for Version { mut record, value } in versions.into_iter().rev() {
            offset = made.region.len() as u64;
            record.links = links;
            record::append(self.sources.space, &record, &name, value.as_deref(), &mut made.region);
            links = links.after(record.number, Link::Within(offset));
        }
        let digest: Digest = leaf.digest;
        made.push(key, Target::Known(spot), offset, digest);
        Ok(())
    }
}
