//! Forgetting old versions: what is still needed of old segments moves to new ones, and the old ones go.
//!
//! ```text
//!   at rest ──records have doubled──▶ moving ──all pages seen──▶ waiting ──a newer copy of the index is whole──▶ release
//! ```
//! While it moves, each block's region also takes the needed records of some pages that lie before the pass's mark: of each
//! key the version as of the oldest kept height, and all later ones. The index points to the new places; leaves, and so
//! roots, stay. Segments are released only when no copy of the index points into them any more. Releasing makes durable what
//! says so, and deletes files: it takes as long as the disk takes, so it runs on a thread of its own, and later blocks
//! note that it is done, some regions each.
//!
//! A key of which more is needed than half a segment holds stays where it is: the versions of one key link to each other, so
//! that they have to be moved together, in one blob. Then less is released.
//!
//! Whoever has looked up an address before and reads it only after the release finds it given up. What is kept lies
//! elsewhere by then, and the index says where: so readers look up once more, and are refused only where the height that
//! they read at isn't kept.

use std::sync::Arc;
use std::thread::JoinHandle;

use ledger_core::{Height, StateError};
use ledger_crypto::Digest;

use super::checkpoint::{self, MAX_READ};
use super::prepare::{Changes, Sources, Target};
use super::reader::version_at;
use super::record::{self, Link, Links, RecordReader};
use super::trie::{NodeId, Spot};
use crate::engine::{Address, Batch, Engine, EngineError, Space};

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
    /// Bytes of records of the last block.
    last: u64,
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
/// A block moves about so many times as many bytes as the one before it wrote: so what a pass takes of a block is in
/// proportion to the block, and a pass over `n` bytes ends when about `n / 2` were written.
const TIMES_ITS_OWN: u64 = 2;
/// But it moves about so many bytes at least, while there are any, and so many at most.
const MOVED_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=8 << 20;
/// The least pages that a block moves.
const LEAST_PAGES: usize = 16;

impl Pruning {
    /// Takes note of a block's records, which begin at `base`. A pass begins with them when there is enough to forget.
    pub(super) fn grown(&mut self, base: Address, bytes: u64, least: u64) {
        self.grown = self.grown.saturating_add(bytes);
        self.last = bytes;
        if matches!(self.phase, Phase::Resting) && self.grown >= self.held.max(least) {
            self.grown = 0;
            self.phase = Phase::Moving { mark: base, at: None, moved: 0 };
        }
    }

    /// Puts the needed records of some pages in front of a block's own. `floor` is the oldest height that stays.
    pub(super) fn moves(&mut self, sources: Sources<'_>, floor: Height, next_copy: u64) -> Result<Changes, StateError> {
        let mut made = Changes::default();
        // All that a block moves is one blob: what is moved before the last key, and that one.
        let half = sources.engine.largest_blob().min(MAX_READ) / 2;
        let most = self.last.saturating_mul(TIMES_ITS_OWN).clamp(*MOVED_BYTES.start(), *MOVED_BYTES.end()).min(half);
        let Phase::Moving { mark, at, moved } = &mut self.phase else { return Ok(made) };
        let tree = sources.tree;
        let mut page = (tree.root() != super::trie::NOWHERE).then(|| tree.first_page(at.unwrap_or(tree.root())));
        let reader = RecordReader::new(sources.engine, sources.space);
        let mut mover = Mover { sources, reader, mark: *mark, floor, most_of_a_key: half };
        let pages = (tree.len() / BLOCKS_A_PASS).max(LEAST_PAGES);
        'pages: for _ in 0..pages {
            let Some(id) = page else { break };
            for index in 0..tree.page(id).len() {
                if !made.changes.is_empty() && made.region.len() as u64 >= most {
                    // The page comes again, and what was moved of it isn't moved twice.
                    break 'pages;
                }
                mover.leaf(Spot { page: id, index }, &mut made)?;
            }
            page = tree.page_after(id);
        }
        *mark = mover.mark;
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

/// What a pass made needless, on its way out.
#[derive(Debug)]
pub(super) struct Release {
    /// What lies before goes.
    mark: Address,
    /// Who waits for the disk.
    freeing: Option<JoinHandle<Result<u64, EngineError>>>,
    /// Once it is gone: the block from which on its regions are still listed.
    listed: Option<Height>,
}

impl Release {
    pub(super) fn new(mark: Address) -> Self {
        Self { mark, freeing: None, listed: None }
    }

    /// Goes on with it; whether all is done. `base` is the block that the chain began with.
    pub(super) fn settle(
        &mut self,
        engine: &Arc<dyn Engine>,
        (space, base): (Space, Height),
        batch: &mut Batch,
    ) -> Result<bool, StateError> {
        if self.listed.is_none() && self.is_free(engine, space)? {
            self.listed = Some(Height::GENESIS);
        }
        let Some(from) = self.listed else { return Ok(false) };
        self.listed = checkpoint::forget_released(space, &*engine.snapshot(), (base, from), self.mark, batch)?;
        Ok(self.listed.is_none())
    }

    /// Whether the space is free.
    ///
    /// That the copy of the index which doesn't need these bytes is there after a crash is the engine's promise: it
    /// deletes nothing before all that was applied until then is durable. The copy's own bytes were made durable before
    /// it was said to count.
    fn is_free(&mut self, engine: &Arc<dyn Engine>, space: Space) -> Result<bool, StateError> {
        let Some(freeing) = self.freeing.take() else {
            let (engine, mark) = (Arc::clone(engine), self.mark);
            let spawned =
                std::thread::Builder::new().name("state release".to_owned()).spawn(move || engine.release(space, mark));
            // Without a thread the next block tries again.
            self.freeing = spawned.ok();
            return Ok(false);
        };
        if !freeing.is_finished() {
            self.freeing = Some(freeing);
            return Ok(false);
        }
        match freeing.join() {
            Ok(freed) => freed.map(|_| true).map_err(StateError::from),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        // Whoever opens the engine next must not find it in use.
        if let Some(freeing) = self.freeing.take() {
            let _ = freeing.join();
        }
    }
}

struct Mover<'a> {
    sources: Sources<'a>,
    reader: RecordReader<'a>,
    mark: Address,
    floor: Height,
    /// What the versions of one key may take to be moved, in bytes.
    most_of_a_key: u64,
}

/// A version that is to be written again.
struct Version {
    record: record::Record,
    value: Option<Vec<u8>>,
}

impl Mover<'_> {
    /// Writes the needed versions of a leaf again if one of them lies before the mark. Where they are too many, the mark
    /// comes down to them.
    fn leaf(&mut self, spot: Spot, made: &mut Changes) -> Result<(), StateError> {
        let Some(leaf) = self.sources.tree.leaf(spot) else { return Ok(()) };
        let (mut versions, mut before_mark, mut name) = (Vec::new(), false, Vec::new());
        let (mut next, mut bytes) = (Some(leaf.address), 0);
        while let Some(address) = next {
            let stored = self.reader.read(address)?;
            bytes += stored.length as u64;
            if bytes > self.most_of_a_key {
                // Each version lies behind the one before it. Where the key wasn't there yet, all of it is needed.
                let oldest = version_at(&mut self.reader, leaf.address, self.floor)?.address;
                self.mark = self.mark.min(oldest.unwrap_or(Address::ZERO));
                return Ok(());
            }
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
