//! Proofs: the tree with all that doesn't matter cut off.
//!
//! A short range is cut out of the tree while the writer waits, in tens of microseconds. A long one is read beside the
//! writer, a page at a time as a scan reads it: at any moment the tree tells only where a page's records lie, records
//! never change, and each leads to the version of the height that is proven. What joins them to the root is looked up
//! last, while the writer waits: two paths. That the height can still be proven is asked then too, so that what was read
//! in between belongs to it.
//!
//! A part of the tree that was made after the height has no digest of then: its leaves are looked through. A few pages are
//! looked through at once; where there are more, they are copied, some at a time, read beside the writer, and what was
//! found is known when the proof is begun again. A node stands for the same range of keys for ever, and what its digest was
//! doesn't change.

use std::cmp::Ordering;
use std::collections::HashMap;

use ledger_core::state::tree::{self, PrunedTree, Step};
use ledger_core::{Height, Key, StateError, Versioned};
use ledger_crypto::Digest;

use super::damage::damaged;
use super::export;
use super::page::Page;
use super::prepare::Sources;
use super::reader::{Leaves, Passed, Slept, StateReader, find_gap, version_at, versioned};
use super::record::{RecordError, RecordReader};
use super::rehash;
use super::trie::{NodeId, Spot, Tree};
use super::window::Window;

/// The most pages that are looked through for one proof, because they were made after the height that it is for.
const MOST_PAGES: usize = 2_048;
/// The most of them that are looked through while the writer waits.
const PAGES_WAITED_FOR: usize = 4;
/// So many are copied at a time to be looked through beside the writer.
const PAGES_BESIDE: usize = 64;
/// The most leaves that one proof shows.
pub const MAX_PROVEN_KEYS: usize = 1 << 16;
/// The most keys that are looked through for one proof: those shown, and those among them that have gone or came later.
const MAX_PASSED_KEYS: usize = 1 << 20;
/// The most bytes that keys and values of one proof take. Any one key can be shown; a proof of more couldn't be decoded.
pub const MAX_PROVEN_BYTES: usize = 32 << 20;
/// The most leaves that are shown while the writer waits.
const MOST_WAITED_FOR: usize = 256;

/// A range: its first key, and the first one behind it; `None`: to the end.
type Bounds<'a> = (&'a [u8], Option<&'a [u8]>);

impl StateReader {
    /// Shows which keys from `from` on and before `to` (`None`: to the end) had which values after block `at`, or that
    /// none had.
    ///
    /// # Errors
    /// [`StateError::Height`] when that state can't be proven (any more), which is also so when the tree has grown by more
    /// than some ten thousand keys near these since then; [`StateError::RangeLength`] when it has more than
    /// [`MAX_PROVEN_KEYS`] keys, or a million that changed since then, [`StateError::RangeBytes`] when they and their values take more than
    /// [`MAX_PROVEN_BYTES`], others when it can't be read.
    pub fn prove_range(
        &self,
        newest: Height,
        at: Height,
        from: &Key,
        to: Option<&Key>,
    ) -> Result<PrunedTree, StateError> {
        let (from, to) = (from.to_bytes(), to.map(Key::to_bytes));
        let range = (from.as_slice(), to.as_deref());
        let begun = self.with_past(at, newest, |past| {
            let shown = past.shown(range.0, range.1)?;
            Ok(match shown.filter(|(first, last)| past.are_many(*first, *last)) {
                None => Begun::Whole(past.cut(shown, range.0, range.1)?),
                Some((first, last)) => Begun::Long(past.key(first)?, past.key(last)?),
            })
        })?;
        let (first, last) = match begun {
            Begun::Whole(proof) => return Ok(proof),
            Begun::Long(first, last) => (first, last),
        };
        let shown = self.read_shown((&first, &last), range, at)?;
        let beside = |past: &mut Past<'_>| Ok((past.beside(&first, true)?, past.beside(&last, false)?));
        let (left, right) = self.with_past(at, newest, beside)?;
        Ok(export::join(shown, left, right))
    }

    /// What `work` gives of the tree as it was after block `at`, if that can be proven. It is done again whenever parts of
    /// the tree had to be looked through beside the writer.
    pub(super) fn with_past<T>(
        &self,
        at: Height,
        newest: Height,
        mut work: impl FnMut(&mut Past<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let (mut known, mut slept) = (Known::default(), Slept::default());
        loop {
            let wanted = {
                let (tree, names, window) = (self.shared.tree(), self.shared.names(), self.shared.window());
                let oldest = Height(window.oldest());
                if at < oldest || at > newest {
                    return Err(StateError::Height { height: at, oldest, newest });
                }
                let sources =
                    Sources { tree: &tree, names: &names, engine: &*self.shared.engine, space: self.shared.space };
                let mut past = Past::new(sources, &window, self.records(), (at, newest), &mut known);
                let done = work(&mut past);
                if past.wanted.is_empty() {
                    return done;
                }
                past.wanted
            };
            let mut records = self.records();
            for WantedPage { id, bytes, leaves } in wanted {
                match digest_then(&mut records, Page::new(&bytes, leaves), at) {
                    Ok(digest) => _ = known.digests.insert(id, digest),
                    Err(error) => {
                        slept.look_again(self, at, error)?;
                        break;
                    }
                }
            }
        }
    }

    /// The steps of the leaves from the key `first` to the key `last` that were live after block `at`, each with its
    /// key's bytes. Nobody waits for it but for as long as it takes to find a page.
    fn read_shown(
        &self,
        (first, last): (&[u8], &[u8]),
        (from, to): Bounds<'_>,
        at: Height,
    ) -> Result<Vec<(Vec<u8>, Step)>, StateError> {
        let mut shown: Vec<(Vec<u8>, Step)> = Vec::new();
        let (mut leaves, mut passed, mut bytes_shown) = (Leaves::new(first.to_vec(), at), 0, 0);
        let mut records = self.records();
        while let Some(Passed { key, bytes, value }) = leaves.next(self, &mut records)? {
            passed += 1;
            let order = bytes.as_slice().cmp(last);
            if let Some(versioned) = value {
                let step = step(key, versioned, (from, to));
                weigh(&mut bytes_shown, &step)?;
                shown.push((bytes, step));
            }
            if shown.len() > MAX_PROVEN_KEYS || passed > MAX_PASSED_KEYS {
                return Err(StateError::RangeLength { limit: MAX_PROVEN_KEYS });
            }
            match order {
                Ordering::Less => {}
                Ordering::Equal => return Ok(shown),
                Ordering::Greater => break,
            }
        }
        Err(damaged("state tree", at, "a key that was read has no leaf"))
    }

    /// Shows the value of `key` after block `at`, or that it had none.
    ///
    /// # Errors
    /// As [`StateReader::prove_range`].
    pub fn prove(&self, newest: Height, at: Height, key: &Key) -> Result<PrunedTree, StateError> {
        self.prove_range(newest, at, key, Some(&key.successor()))
    }
}

/// What a first look at a range gives.
enum Begun {
    /// The whole proof.
    Whole(PrunedTree),
    /// The keys of the first and the last leaf to show, where there are many.
    Long(Vec<u8>, Vec<u8>),
}

/// What was found out about the past of some tree.
#[derive(Default)]
pub(super) struct Known {
    /// Digests of nodes then. Looked up and never walked.
    digests: HashMap<NodeId, Digest>,
    /// Pages that were looked through.
    pages: usize,
}

/// A copy of a page that is to be looked through.
struct WantedPage {
    id: NodeId,
    bytes: Vec<u8>,
    leaves: usize,
}

/// The digest of a leaf after block `at`.
fn leaf_then(
    records: &mut RecordReader<'_>,
    page: Page<'_>,
    index: usize,
    at: Height,
) -> Result<[u8; 32], RecordError> {
    let older = version_at(records, page.address(index), at)?.older;
    Ok(*older.map_or(page.digest(index), |older| older.unwrap_or(Digest::ZERO)).as_bytes())
}

/// The digest of a page after block `at`.
fn digest_then(records: &mut RecordReader<'_>, page: Page<'_>, at: Height) -> Result<Digest, RecordError> {
    let leaves: Result<Vec<_>, _> = (0..page.len()).map(|index| leaf_then(records, page, index, at)).collect();
    Ok(rehash::of_leaves(&leaves?, page.crits()))
}

/// The tree as it was.
pub(super) struct Past<'a> {
    pub(super) sources: Sources<'a>,
    window: &'a Window,
    pub(super) reader: RecordReader<'a>,
    pub(super) at: Height,
    newest: Height,
    known: &'a mut Known,
    /// Where there are any, what was computed counts for nothing: they are to be looked through first.
    wanted: Vec<WantedPage>,
    /// What is shown takes so many bytes.
    bytes: usize,
}

/// Where the walk from one leaf to another goes.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// Two neighbours, in the order in which the walk comes to them.
    fn order(self, left: NodeId, right: NodeId) -> (NodeId, NodeId) {
        match self {
            Side::Left => (right, left),
            Side::Right => (left, right),
        }
    }
}

/// What is left to do with a part of the tree.
enum Task {
    /// `first` and `last`: whether the first and the last leaf to show are below.
    Visit {
        id: NodeId,
        first: bool,
        last: bool,
    },
    Hide(NodeId),
    Join,
}

impl<'a> Past<'a> {
    fn new(
        sources: Sources<'a>,
        window: &'a Window,
        reader: RecordReader<'a>,
        (at, newest): (Height, Height),
        known: &'a mut Known,
    ) -> Self {
        Self { sources, window, reader, at, newest, known, wanted: Vec::new(), bytes: 0 }
    }

    pub(super) fn tree(&self) -> &'a Tree {
        self.sources.tree
    }

    /// The digests of a page's leaves then.
    pub(super) fn leaves(&mut self, id: NodeId) -> Result<Vec<[u8; 32]>, StateError> {
        let page = self.tree().page(id);
        if self.tree().changed(id) <= self.at.0 {
            return Ok(page.digest_bytes().to_vec());
        }
        (0..page.len()).map(|index| Ok(leaf_then(&mut self.reader, page, index, self.at)?)).collect()
    }

    /// The digest of a node then; of no meaning where that leaves pages [wanted](Past::wanted).
    pub(super) fn digest(&mut self, id: NodeId) -> Result<Digest, StateError> {
        let mut open = vec![(id, false)];
        let mut found = Vec::new();
        while let Some((id, joined)) = open.pop() {
            if self.wanted.len() >= PAGES_BESIDE {
                break;
            }
            if joined {
                let (right, left) = (found.pop(), found.pop());
                let digest = join(left.unwrap_or(Digest::ZERO), right.unwrap_or(Digest::ZERO));
                if self.wanted.is_empty() {
                    self.known.digests.insert(id, digest);
                }
                found.push(digest);
                continue;
            }
            if !self.tree().has(id) {
                continue;
            }
            if self.tree().changed(id) <= self.at.0 {
                found.push(self.tree().digest_of(id));
                continue;
            }
            if let Some(digest) = self.known.digests.get(&id) {
                found.push(*digest);
                continue;
            }
            if self.tree().created(id) <= self.at.0
                && let Some(digest) = self.window.digest(self.sources.engine, id, self.at.0)?
            {
                found.push(digest);
                continue;
            }
            match self.tree().children(id) {
                Some((left, right)) => open.extend([(id, true), (right, false), (left, false)]),
                None => found.push(self.look_through(id)?),
            }
        }
        Ok(found.pop().unwrap_or(Digest::ZERO))
    }

    /// The digest that a page had then, if it can be had at once.
    fn look_through(&mut self, id: NodeId) -> Result<Digest, StateError> {
        // A part that grew from few leaves to many since then would be looked through as a whole.
        if self.known.pages >= MOST_PAGES {
            let oldest = Height(self.tree().created(id));
            return Err(StateError::Height { height: self.at, oldest, newest: self.newest });
        }
        self.known.pages += 1;
        let page = self.tree().page(id);
        if self.known.pages <= PAGES_WAITED_FOR {
            let digest = digest_then(&mut self.reader, page, self.at)?;
            self.known.digests.insert(id, digest);
            return Ok(digest);
        }
        self.wanted.push(WantedPage { id, bytes: page.bytes().to_vec(), leaves: page.len() });
        Ok(Digest::ZERO)
    }

    fn is_live(&mut self, spot: Spot) -> Result<bool, StateError> {
        let page = self.tree().page(spot.page);
        if self.tree().changed(spot.page) <= self.at.0 {
            return Ok(page.digest(spot.index) != Digest::ZERO);
        }
        Ok(leaf_then(&mut self.reader, page, spot.index, self.at)? != [0; 32])
    }

    /// The first leaf from `gap` on that was live. Parts of the tree in which nothing was are passed over in one step: where
    /// keys come and go, as in a queue, there may be any number of leaves of deleted keys between two live ones.
    fn live_from(&mut self, gap: Spot) -> Result<Option<Spot>, StateError> {
        let (mut page, mut from) = (gap.page, gap.index);
        while self.wanted.is_empty() {
            for index in from..self.tree().page(page).len() {
                if self.is_live(Spot { page, index })? {
                    return Ok(Some(Spot { page, index }));
                }
            }
            let Some(next) = self.living_page(page, Side::Right)? else { return Ok(None) };
            (page, from) = (next, 0);
        }
        Ok(None)
    }

    /// The last leaf before `gap` that was live.
    fn live_before(&mut self, gap: Spot) -> Result<Option<Spot>, StateError> {
        let (mut page, mut to) = (gap.page, gap.index);
        while self.wanted.is_empty() {
            for index in (0..to).rev() {
                if self.is_live(Spot { page, index })? {
                    return Ok(Some(Spot { page, index }));
                }
            }
            let Some(next) = self.living_page(page, Side::Left)? else { return Ok(None) };
            (page, to) = (next, self.tree().page(next).len());
        }
        Ok(None)
    }

    /// The next page on this side, in the order of keys, that had a live leaf.
    fn living_page(&mut self, mut id: NodeId, side: Side) -> Result<Option<NodeId>, StateError> {
        let tree = self.tree();
        loop {
            let parent = tree.parent(id);
            let Some((left, right)) = tree.children(parent) else { return Ok(None) };
            let (near, far) = side.order(left, right);
            if near == id && self.was_alive(far)? {
                id = far;
                while let Some((left, right)) = tree.children(id) {
                    let (near, far) = side.order(left, right);
                    id = if self.was_alive(near)? { near } else { far };
                }
                return Ok(Some(id));
            }
            id = parent;
        }
    }

    /// Whether a part of the tree had a live leaf.
    fn was_alive(&mut self, id: NodeId) -> Result<bool, StateError> {
        Ok(self.digest(id)? != Digest::ZERO)
    }

    /// The first and the last leaf to show: those of the range and, where the range alone doesn't show that there are no
    /// others, its neighbours.
    fn shown(&mut self, from: &[u8], to: Option<&[u8]>) -> Result<Option<(Spot, Spot)>, StateError> {
        let Some((begin, known)) = find_gap(self.sources, from)? else { return Ok(None) };
        let first = match known && self.is_live(begin)? {
            true => Some(begin),
            false => self.live_before(begin)?,
        };
        let last = match to {
            None => {
                let page = self.tree().last_page(self.tree().root());
                self.live_before(Spot { page, index: self.tree().page(page).len() })?
            }
            Some(to) => {
                let (end, _) = find_gap(self.sources, to)?.unwrap_or((begin, false));
                let inside = self.live_before(end)?;
                let closes = match inside {
                    Some(spot) => self.key(spot)?.into_iter().chain([0]).cmp(to.iter().copied()) != Ordering::Less,
                    None => false,
                };
                match self.live_from(end)?.filter(|_| !closes) {
                    Some(after) => Some(after),
                    None => inside,
                }
            }
        };
        let first = match first {
            Some(first) => Some(first),
            None => self.live_from(begin)?,
        };
        Ok(first.zip(last))
    }

    /// Whether there are too many leaves from `first` to `last` to show them while the writer waits.
    fn are_many(&self, first: Spot, last: Spot) -> bool {
        let tree = self.tree();
        let (mut page, mut leaves) = (Some(first.page), 0);
        while let Some(id) = page.filter(|_| leaves <= MOST_WAITED_FOR) {
            let (begin, end) = (
                if id == first.page { first.index } else { 0 },
                if id == last.page { last.index + 1 } else { tree.page(id).len() },
            );
            leaves += end.saturating_sub(begin);
            page = if id == last.page { None } else { tree.page_after(id) };
        }
        leaves > MOST_WAITED_FOR
    }

    fn key(&mut self, spot: Spot) -> Result<Vec<u8>, StateError> {
        let stored = self.reader.read(self.tree().page(spot.page).address(spot.index))?;
        let mut key = self.sources.names.namespace(stored.record.namespace)?.0.as_bytes().to_vec();
        key.extend_from_slice(stored.name);
        Ok(key)
    }

    /// The tree with the leaves from the first to the last of `shown`.
    fn cut(&mut self, shown: Option<(Spot, Spot)>, from: &[u8], to: Option<&[u8]>) -> Result<PrunedTree, StateError> {
        let mut steps = Vec::new();
        let Some((first, last)) = shown else {
            let digest = self.digest(self.tree().root())?;
            return match digest == Digest::ZERO {
                true => Ok(PrunedTree { steps: steps.into() }),
                false => Err(damaged("state tree", self.at, "it has a root but no leaves")),
            };
        };
        let (first_path, last_path) = (self.tree().path(first.page), self.tree().path(last.page));
        let mut open = vec![Task::Visit { id: self.tree().root(), first: true, last: true }];
        // Whether each finished part has leaves, and whether all of it is one opaque step.
        let mut parts: Vec<Part> = Vec::new();
        let on = |path: &[NodeId], id: NodeId| path.contains(&id);
        let mut shown_leaves = 0;
        while let Some(task) = open.pop() {
            match task {
                Task::Join => {
                    let (Some(right), Some(left)) = (parts.pop(), parts.pop()) else { continue };
                    parts.push(Part::join(left, right, &mut steps));
                }
                Task::Hide(id) => {
                    let digest = self.digest(id)?;
                    parts.push(Part::opaque(digest, &mut steps));
                }
                Task::Visit { id, first: on_first, last: on_last } => match self.tree().children(id) {
                    Some((left, right)) => {
                        let (left_first, left_last) =
                            (on_first && on(&first_path, left), on_last && on(&last_path, left));
                        // Left of the first leaf's path, and right of the last's, nothing is shown.
                        let before = on_first && !left_first;
                        let after = on_last && left_last;
                        open.push(Task::Join);
                        open.push(if after {
                            Task::Hide(right)
                        } else {
                            Task::Visit { id: right, first: before, last: on_last }
                        });
                        open.push(if before {
                            Task::Hide(left)
                        } else {
                            Task::Visit { id: left, first: on_first, last: after }
                        });
                    }
                    None => {
                        let page = self.tree().page(id);
                        let from_index = if on_first { first.index } else { 0 };
                        let to_index = if on_last { last.index + 1 } else { page.len() };
                        shown_leaves += to_index.saturating_sub(from_index);
                        if shown_leaves > MAX_PROVEN_KEYS {
                            return Err(StateError::RangeLength { limit: MAX_PROVEN_KEYS });
                        }
                        let part = self.page(id, from_index..to_index, (from, to), &mut steps)?;
                        parts.push(part);
                    }
                },
            }
        }
        Ok(PrunedTree { steps: steps.into() })
    }

    /// The steps of a page, of which `shown` are shown.
    fn page(
        &mut self,
        id: NodeId,
        shown: std::ops::Range<usize>,
        (from, to): (&[u8], Option<&[u8]>),
        steps: &mut Vec<Step>,
    ) -> Result<Part, StateError> {
        let page = self.tree().page(id);
        let leaves = self.leaves(id)?;
        let crits: Vec<u16> = page.crits().collect();
        let mut open = vec![(0, leaves.len(), false)];
        let mut parts = Vec::new();
        while let Some((begin, end, joined)) = open.pop() {
            if joined {
                let (Some(right), Some(left)) = (parts.pop(), parts.pop()) else { continue };
                parts.push(Part::join(left, right, steps));
                continue;
            }
            let outside = end <= shown.start || begin >= shown.end;
            let digests = leaves.get(begin..end).unwrap_or_default();
            if outside {
                let own = crits.get(begin..end.saturating_sub(1)).unwrap_or_default();
                parts.push(Part::opaque(rehash::of_leaves(digests, own.iter().copied()), steps));
            } else if let [digest] = digests {
                parts.push(match *digest == [0; 32] {
                    true => Part::Nothing,
                    false => {
                        steps.push(self.step(page, begin, from, to)?);
                        Part::Steps
                    }
                });
            } else {
                let own = crits.get(begin..end.saturating_sub(1)).unwrap_or_default();
                let middle = own.iter().enumerate().min_by_key(|(_, crit)| **crit).map_or(0, |(index, _)| index);
                let middle = begin + middle + 1;
                open.extend([(0, 0, true), (middle, end, false), (begin, middle, false)]);
            }
        }
        Ok(parts.pop().unwrap_or(Part::Nothing))
    }

    fn step(&mut self, page: Page<'_>, index: usize, from: &[u8], to: Option<&[u8]>) -> Result<Step, StateError> {
        let newest = page.address(index);
        let missing = || damaged("state record", newest, "a leaf has no value");
        let address = version_at(&mut self.reader, newest, self.at)?.address.ok_or_else(missing)?;
        let stored = self.reader.read(address)?;
        let namespace = self.sources.names.namespace(stored.record.namespace)?;
        let key = Key::new(namespace, stored.name);
        let versioned = versioned(&stored).ok_or_else(missing)?;
        let step = step(key, versioned, (from, to));
        weigh(&mut self.bytes, &step)?;
        Ok(step)
    }
}

/// Adds what a step takes.
fn weigh(shown: &mut usize, step: &Step) -> Result<(), StateError> {
    *shown += match step {
        Step::Leaf { key, versioned } => key.name.len() + versioned.value.len(),
        Step::Bare { key, .. } => key.name.len(),
        Step::Opaque(_) | Step::Node => 0,
    };
    match *shown <= MAX_PROVEN_BYTES {
        true => Ok(()),
        false => Err(StateError::RangeBytes { limit: MAX_PROVEN_BYTES }),
    }
}

/// Shows a leaf: whole inside the range, without its value outside.
fn step(key: Key, versioned: Versioned, (from, to): Bounds<'_>) -> Step {
    let bytes = key.to_bytes();
    match bytes.as_slice() >= from && to.is_none_or(|to| bytes.as_slice() < to) {
        true => Step::Leaf { key, versioned },
        false => {
            let Versioned { value, version, predecessor } = versioned;
            Step::Bare { key, version, predecessor, value: Box::new(tree::value_digest(&value)) }
        }
    }
}

/// A finished part of the steps.
enum Part {
    Nothing,
    /// The last step, which is opaque.
    Opaque,
    Steps,
}

impl Part {
    fn opaque(digest: Digest, steps: &mut Vec<Step>) -> Self {
        if digest == Digest::ZERO {
            return Part::Nothing;
        }
        steps.push(Step::Opaque(digest));
        Part::Opaque
    }

    fn join(left: Self, right: Self, steps: &mut Vec<Step>) -> Self {
        match (left, right) {
            (Part::Nothing, other) | (other, Part::Nothing) => other,
            (Part::Opaque, Part::Opaque) => {
                if let (Some(Step::Opaque(right)), Some(Step::Opaque(left))) = (steps.pop(), steps.pop()) {
                    steps.push(Step::Opaque(tree::node(&left, &right)));
                }
                Part::Opaque
            }
            _ => {
                steps.push(Step::Node);
                Part::Steps
            }
        }
    }
}

fn join(left: Digest, right: Digest) -> Digest {
    match (left == Digest::ZERO, right == Digest::ZERO) {
        (true, _) => right,
        (_, true) => left,
        _ => tree::node(&left, &right),
    }
}
