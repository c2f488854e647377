//! The state of one height in pieces that verify alone, made beside the writer.
//!
//! A piece shows all keys of a range. Its values are read without a lock, page after page, as a scan reads them; the
//! shape of the tree above them follows from their keys. What remains are the digests beside the range, one for each
//! branch above its first and its last key: those alone are looked up while the writer waits, some hundred hashes at most.

use ledger_core::state::tree::{self, PrunedTree, Step};
use ledger_core::{Height, Key, StateError, Versioned};
use ledger_crypto::Digest;

use super::damage::damaged;
use super::prepare::Found;
use super::prove::Past;
use super::reader::StateReader;
use super::rehash;
use super::trie::{Kind, Spot};

/// The most keys of a piece.
const MOST_KEYS: usize = 1 << 16;

/// What a key takes of a piece beside its bytes and those of its value, about.
const KEY_OVERHEAD: usize = 56;

/// Keeps a height provable while it exists, but not for longer than [`StatePin::longest`] blocks.
pub struct StatePin {
    reader: StateReader,
    at: Height,
}

/// All keys of a range, and what joins them to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChunk {
    /// Shows the range, in the one form that [`PrunedTree::verify_range`] takes.
    pub tree: PrunedTree,
    /// Where the range ends and the next begins: a key that is there. `None` at the end of all keys.
    pub next: Option<Key>,
}

impl StateReader {
    /// Keeps the state after block `at` provable, though blocks go on. `None` when there are as many pins as may be
    /// (2): what they keep is bounded.
    ///
    /// # Errors
    /// [`StateError::Height`] when that state can't be proven (any more).
    pub fn pin(&self, at: Height) -> Result<Option<StatePin>, StateError> {
        let mut window = self.shared.window_mut();
        let (oldest, newest) = (Height(window.oldest()), Height(window.newest()));
        if at < oldest || at > newest {
            return Err(StateError::Height { height: at, oldest, newest });
        }
        Ok(window.pin(at.0).then(|| StatePin { reader: self.clone(), at }))
    }
}

impl Drop for StatePin {
    fn drop(&mut self) {
        self.reader.shared.window_mut().unpin(self.at.0);
    }
}

/// A subtree beside a range: the bit of the branch that it hangs on, and its digest.
pub(super) type Beside = (u32, Digest);

impl StatePin {
    /// The height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.at
    }

    /// For how many blocks a pin lasts: four [windows](super::StateConfig::window_blocks).
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.reader.shared.window().longest_pin()
    }

    /// The keys from `from` on: as many as take `bytes` together with their values, and at least one. `from` is the
    /// least of all keys or where the piece before ended.
    ///
    /// # Errors
    /// [`StateError::Height`] when the pin has become too old; others when the state can't be read.
    pub fn chunk(&self, from: &Key, bytes: usize) -> Result<StateChunk, StateError> {
        let mut inside: Vec<(Key, Versioned)> = Vec::new();
        let (mut size, mut next) = (0, None);
        for entry in self.reader.entries(from, self.at) {
            let (key, value) = entry?;
            if !inside.is_empty() && (size >= bytes || inside.len() >= MOST_KEYS) {
                next = Some((key, value));
                break;
            }
            size += key.name.len() + value.value.len() + KEY_OVERHEAD;
            inside.push((key, value));
        }
        let Some((first, _)) = inside.first() else {
            self.check()?;
            return Ok(StateChunk { tree: PrunedTree::default(), next: None });
        };
        let first = first.to_bytes();
        let last = inside.last().map(|(key, _)| key.successor());
        let end = next.as_ref().map(|(key, _)| key.clone());
        // Where the next key is the successor of the last one there is nothing between that would have to be shown.
        let after = next.filter(|(key, _)| Some(key) != last.as_ref());
        let last = after.as_ref().or(inside.last()).map(|(key, _)| key.to_bytes()).unwrap_or_default();
        let (left, right) = self.beside(&first, &last)?;
        let leaf = |(key, versioned): (Key, Versioned)| (key.to_bytes(), Step::Leaf { key, versioned });
        let bare = |(key, versioned): (Key, Versioned)| {
            let Versioned { value, version, predecessor } = versioned;
            let value = Box::new(tree::value_digest(&value));
            (key.to_bytes(), Step::Bare { key, version, predecessor, value })
        };
        let shown = inside.into_iter().map(leaf).chain(after.map(bare));
        Ok(StateChunk { tree: join(shown, left, right), next: end })
    }

    fn check(&self) -> Result<(), StateError> {
        let window = self.reader.shared.window();
        let (oldest, newest) = (Height(window.oldest()), Height(window.newest()));
        match self.at < oldest {
            true => Err(StateError::Height { height: self.at, oldest, newest }),
            false => Ok(()),
        }
    }

    /// What lies left of `first` and right of `last`, the outermost first.
    fn beside(&self, first: &[u8], last: &[u8]) -> Result<(Vec<Beside>, Vec<Beside>), StateError> {
        let newest = self.reader.shared.newest();
        self.reader.with_past(self.at, newest, |past| Ok((past.beside(first, true)?, past.beside(last, false)?)))
    }
}

impl Past<'_> {
    /// The subtrees on one side of `key`, which has a leaf: the outermost first, and none that was empty.
    pub(super) fn beside(&mut self, key: &[u8], left_side: bool) -> Result<Vec<Beside>, StateError> {
        let found = self.sources.find(&mut self.reader, &mut Vec::new(), key)?;
        let Found::Leaf { spot: Spot { page, index }, .. } = found else {
            return Err(damaged("state tree", self.at, "a key that was read has no leaf"));
        };
        let tree = self.tree();
        let mut beside = Vec::new();
        for (above, below) in tree.path(page).iter().zip(tree.path(page).iter().skip(1)) {
            let Some(Kind::Branch { bit, left, right }) = tree.kind(*above) else { continue };
            let other = if below == left { right } else { left };
            if (other == left) == left_side {
                beside.push((u32::from(*bit), self.digest(*other)?));
            }
        }
        let leaves = self.leaves(page)?;
        let crits: Vec<u16> = tree.page(page).crits().collect();
        let (mut begin, mut end) = (0, leaves.len());
        while end - begin > 1 {
            let own = crits.get(begin..end - 1).unwrap_or_default();
            let Some((at, bit)) = own.iter().enumerate().min_by_key(|(_, bit)| **bit) else { break };
            let middle = begin + at + 1;
            let (other, on_left) = match index < middle {
                true => (middle..end, false),
                false => (begin..middle, true),
            };
            if on_left == left_side {
                let crits = crits.get(other.start..other.end - 1).unwrap_or_default();
                let digests = leaves.get(other).unwrap_or_default();
                beside.push((u32::from(*bit), rehash::of_leaves(digests, crits.iter().copied())));
            }
            match on_left {
                true => begin = middle,
                false => end = middle,
            }
        }
        beside.retain(|(_, digest)| *digest != Digest::ZERO);
        Ok(beside)
    }
}

/// Steps in post-order, made from leaves and subtrees in order and the bits in which neighbours differ.
#[derive(Default)]
struct Joiner {
    steps: Vec<Step>,
    open: Vec<u32>,
}

impl Joiner {
    fn push(&mut self, bit: Option<u32>, step: Step) {
        if let Some(bit) = bit {
            while self.open.pop_if(|open| *open > bit).is_some() {
                self.steps.push(Step::Node);
            }
            self.open.push(bit);
        }
        self.steps.push(step);
    }

    fn finish(mut self) -> PrunedTree {
        let nodes = self.open.len();
        self.steps.extend(std::iter::repeat_with(|| Step::Node).take(nodes));
        PrunedTree { steps: self.steps.into() }
    }
}

/// The tree that shows some leaves, each with its key's bytes, between what is `left` and `right` of them.
pub(super) fn join(
    shown: impl IntoIterator<Item = (Vec<u8>, Step)>,
    left: Vec<Beside>,
    right: Vec<Beside>,
) -> PrunedTree {
    let mut joiner = Joiner::default();
    // Each stands to the left of all that follows, so the bit of its branch is that between it and the next.
    let mut bit = None;
    for (own, digest) in left {
        joiner.push(bit.replace(own), Step::Opaque(digest));
    }
    let mut last: Option<Vec<u8>> = None;
    for (key, step) in shown {
        let bit = last.as_ref().map_or(bit, |last| tree::crit_bit(last, &key));
        joiner.push(bit, step);
        last = Some(key);
    }
    for (bit, digest) in right.into_iter().rev() {
        joiner.push(Some(bit), Step::Opaque(digest));
    }
    joiner.finish()
}

impl std::fmt::Debug for StatePin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatePin").field("at", &self.at).finish_non_exhaustive()
    }
}
