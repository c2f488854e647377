//! What the latest blocks changed, so that the states before them can be proven.
//!
//! Before a block changes a node, the node's digest is put aside: in memory for a small block, else in bulk storage,
//! in the order of nodes; in memory remains one bit for each node. The digest of a node after block `at` is then the
//! one put aside by the first block after `at` that changed it, or its present one.

use std::collections::VecDeque;

use ledger_core::StateError;
use ledger_crypto::Digest;

use super::damage::damaged;
use super::rehash::Marks;
use super::trie::NodeId;
use crate::engine::{Address, Engine};

/// Digests that are kept in memory rather than in bulk storage, at most.
const MOST_IN_MEMORY: usize = 64;

const DIGEST: usize = 32;

/// A block's changes.
#[derive(Debug)]
pub(super) struct Undo {
    height: u64,
    nodes: Nodes,
    digests: Digests,
}

#[derive(Debug)]
enum Digests {
    Memory(Box<[u8]>),
    Bulk(Address),
}

/// A set of nodes that tells the place of each among them.
#[derive(Debug)]
enum Nodes {
    Few(Box<[NodeId]>),
    /// A bit for each; and how many there are before each [`WORDS_AT_ONCE`] words.
    Many {
        words: Box<[u64]>,
        before: Box<[u32]>,
    },
}

/// Words that are counted when a place is looked for.
const WORDS_AT_ONCE: usize = 8;

impl Nodes {
    fn new(marks: &Marks) -> Self {
        if marks.len() * 32 < marks.words().len() * 64 {
            return Nodes::Few(marks.iter().collect::<Vec<_>>().into_boxed_slice());
        }
        let words: Box<[u64]> = marks.words().into();
        let mut count = 0;
        let before = words.chunks(WORDS_AT_ONCE).map(|words| {
            let before = count;
            count += words.iter().map(|word| word.count_ones()).sum::<u32>();
            before
        });
        Nodes::Many { before: before.collect(), words }
    }

    fn place(&self, id: NodeId) -> Option<usize> {
        match self {
            Nodes::Few(nodes) => nodes.binary_search(&id).ok(),
            Nodes::Many { words, before } => {
                let (index, bit) = (id as usize / 64, 1u64 << (id % 64));
                let word = words.get(index).filter(|word| **word & bit != 0)?;
                let counted = index / WORDS_AT_ONCE;
                let rest = words.get(counted * WORDS_AT_ONCE..index)?.iter().map(|word| word.count_ones());
                let below = rest.sum::<u32>() + (word & (bit - 1)).count_ones();
                before.get(counted).map(|before| (before + below) as usize)
            }
        }
    }
}

impl Undo {
    /// What block `height` is about to change: the nodes in `marks`, whose digests are `digests`, in order.
    pub(super) fn new(
        engine: &dyn Engine,
        scratch: crate::engine::Space,
        height: u64,
        marks: &Marks,
        digests: &[u8],
    ) -> Result<Self, StateError> {
        let nodes = Nodes::new(marks);
        if digests.len() <= MOST_IN_MEMORY * DIGEST {
            return Ok(Self { height, nodes, digests: Digests::Memory(digests.into()) });
        }
        let address = engine.append(scratch, digests)?;
        Ok(Self { height, nodes, digests: Digests::Bulk(address) })
    }

    fn digest(&self, engine: &dyn Engine, place: usize) -> Result<Digest, StateError> {
        match &self.digests {
            Digests::Memory(digests) => {
                let digest = digests.as_chunks::<DIGEST>().0.get(place).copied();
                Ok(digest.map_or(Digest::ZERO, Digest::new))
            }
            Digests::Bulk(address) => {
                let missing = || damaged("earlier digests", address, "they are missing");
                // Two digests share an address: both are read.
                let pair = address.offset(place as u64 / 2 * 64).ok_or_else(missing)?;
                let mut bytes = [0; 64];
                let wanted = (place % 2) * 32;
                if engine.read_bulk(pair, &mut bytes)? < wanted + 32 {
                    return Err(missing());
                }
                let digest = bytes.get(wanted..).and_then(|rest| rest.first_chunk::<32>()).ok_or_else(missing)?;
                Ok(Digest::new(*digest))
            }
        }
    }
}

/// The latest blocks' changes, the oldest first.
#[derive(Debug)]
pub(super) struct Window {
    blocks: VecDeque<Undo>,
    /// The oldest height that can be proven.
    oldest: u64,
    newest: u64,
    limit: u64,
    /// Heights that are wanted for longer.
    pins: Vec<u64>,
}

/// The most heights that are pinned at a time.
pub(super) const MOST_PINS: usize = 2;

/// How many times as long as others a pinned height is kept at most.
pub(super) const PIN_WINDOWS: u64 = 4;

impl Window {
    /// A window of `limit` blocks that knows the state after block `height` and nothing before.
    pub(super) fn new(limit: u64, height: u64) -> Self {
        Self { blocks: VecDeque::new(), oldest: height, newest: height, limit, pins: Vec::new() }
    }

    /// Says that states before `height` aren't known.
    pub(super) fn begin(&mut self, height: u64) {
        self.oldest = height;
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// After how many blocks a pinned height is given up.
    pub(super) fn longest_pin(&self) -> u64 {
        self.limit.saturating_mul(PIN_WINDOWS)
    }

    /// Keeps `height` provable until it is unpinned, or too old. `false` when there are too many pins already.
    pub(super) fn pin(&mut self, height: u64) -> bool {
        let room = self.pins.len() < MOST_PINS;
        if room {
            self.pins.push(height);
        }
        room
    }

    /// Ends what [`Window::pin`] began. What isn't needed then goes with the next block.
    pub(super) fn unpin(&mut self, height: u64) {
        if let Some(place) = self.pins.iter().position(|pin| *pin == height) {
            self.pins.swap_remove(place);
        }
    }

    pub(super) fn push(&mut self, undo: Undo) {
        self.blocks.push_back(undo);
    }

    /// Forgets what is too old when `newest` is the newest height; gives the first address of bulk storage that is
    /// still needed, if any is.
    pub(super) fn advance(&mut self, newest: u64) -> Option<Address> {
        self.newest = newest;
        let pinned = self.pins.iter().min().copied().unwrap_or(u64::MAX);
        let wanted = newest.saturating_sub(self.limit).min(pinned);
        self.oldest = self.oldest.max(wanted).max(newest.saturating_sub(self.longest_pin().max(self.limit)));
        while self.blocks.front().is_some_and(|undo| undo.height <= self.oldest) {
            self.blocks.pop_front();
        }
        self.blocks.iter().find_map(|undo| match undo.digests {
            Digests::Bulk(address) => Some(address),
            Digests::Memory(_) => None,
        })
    }

    /// The digest that a node had after block `at`, if a later block changed it.
    pub(super) fn digest(&self, engine: &dyn Engine, id: NodeId, at: u64) -> Result<Option<Digest>, StateError> {
        let later = self.blocks.partition_point(|undo| undo.height <= at);
        for undo in self.blocks.iter().skip(later) {
            if let Some(place) = undo.nodes.place(id) {
                return undo.digest(engine, place).map(Some);
            }
        }
        Ok(None)
    }
}
