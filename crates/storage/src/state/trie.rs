//! The shape of the tree: branches in memory, and pages of leaves below them.
//!
//! ```text
//!            branch (bit 3)
//!           /              \
//!     branch (bit 17)      page: leaves whose keys have bit 3 set
//!      /        \
//!   page        page
//! ```
//! A node's number stands for the set of keys below it and keeps doing so when a page is split: the branch that takes
//! its place has its number. Nothing is ever removed; a deleted key's leaf stays, with the digest zero, so that older
//! states stay readable. Where pages begin and end has no influence on any digest.

use ledger_core::state::tree;
use ledger_crypto::Digest;

use crate::engine::Address;

use super::page::{Leaf, Loose, MAX_LEAVES, PARTS, Page};
use super::slabs::{Slabs, Slot};

pub(super) type NodeId = u32;

/// No node has this number.
pub(super) const NOWHERE: NodeId = NodeId::MAX;

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Keys whose bit is 0 are left.
    Branch { bit: u16, left: NodeId, right: NodeId },
    /// So many leaves, and where they are.
    Page { leaves: u8, slot: Slot },
    /// Not a node: two numbers are given at a time, and one of them wasn't needed.
    Unused,
}

/// Heights that touched a node, less the tree's first.
#[derive(Clone, Copy, Debug)]
struct Touched {
    changed: u32,
    created: u32,
}

/// All nodes of a chain's tree. What is known of them stands apart, so that whoever walks through many nodes reads no
/// more than he looks at; the two sides of a branch mostly have neighbouring numbers, and their digests then share a
/// line of the processor's caches.
#[derive(Debug)]
pub(super) struct Tree {
    kinds: Vec<Kind>,
    /// Zero when no key below has a value.
    digests: Vec<Digest>,
    parents: Vec<NodeId>,
    touched: Vec<Touched>,
    pages: Slabs,
    root: NodeId,
    leaves: u64,
    /// Heights of nodes are counted from here.
    first: u64,
}

/// A leaf: its page, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) page: NodeId,
    pub(super) index: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            digests: Vec::new(),
            parents: Vec::new(),
            touched: Vec::new(),
            pages: Slabs::default(),
            root: NOWHERE,
            leaves: 0,
            first: 0,
        }
    }
}

impl Tree {
    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    /// A node's digest; zero where no key below has a value, or where there is no node.
    pub(super) fn digest_of(&self, id: NodeId) -> Digest {
        self.digests.get(id as usize).copied().unwrap_or(Digest::ZERO)
    }

    /// The root's digest; zero for a tree without keys.
    pub(super) fn digest(&self) -> Digest {
        self.digest_of(self.root)
    }

    /// Numbers of nodes are below this.
    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Leaves, those of deleted keys included.
    pub(super) fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Whether there is such a node.
    pub(super) fn has(&self, id: NodeId) -> bool {
        (id as usize) < self.kinds.len()
    }

    pub(super) fn kind(&self, id: NodeId) -> Option<&Kind> {
        self.kinds.get(id as usize)
    }

    fn set_kind(&mut self, id: NodeId, kind: Kind) {
        if let Some(place) = self.kinds.get_mut(id as usize) {
            *place = kind;
        }
    }

    pub(super) fn is_page(&self, id: NodeId) -> bool {
        matches!(self.kind(id), Some(Kind::Page { .. }))
    }

    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        self.parents.get(id as usize).copied().unwrap_or(NOWHERE)
    }

    fn set_parent(&mut self, id: NodeId, parent: NodeId) {
        if let Some(place) = self.parents.get_mut(id as usize) {
            *place = parent;
        }
    }

    /// The two sides of a branch.
    pub(super) fn children(&self, id: NodeId) -> Option<(NodeId, NodeId)> {
        match self.kind(id)? {
            Kind::Branch { left, right, .. } => Some((*left, *right)),
            _ => None,
        }
    }

    /// The page of a node; one without leaves for a branch.
    pub(super) fn page(&self, id: NodeId) -> Page<'_> {
        match self.kind(id) {
            Some(Kind::Page { leaves, slot }) => self.pages.page(*slot, usize::from(*leaves)),
            _ => Page::new(&[], 0),
        }
    }

    /// Makes a node the page of these leaves.
    fn put_page(&mut self, id: NodeId, leaves: &[Leaf], crits: &[u16], packed: &mut Vec<u8>) {
        self.let_go(id);
        Loose::pack(leaves, crits, packed);
        let slot = self.pages.insert(id, leaves.len(), packed);
        // At most MAX_LEAVES of them.
        let leaves = u8::try_from(leaves.len()).unwrap_or(u8::MAX);
        self.set_kind(id, Kind::Page { leaves, slot });
    }

    /// Takes the leaves from a node, if it is a page.
    fn let_go(&mut self, id: NodeId) {
        let Some(Kind::Page { leaves, slot }) = self.kind(id).copied() else { return };
        self.set_kind(id, Kind::Unused);
        if let Some(moved) = self.pages.remove(slot, usize::from(leaves)) {
            self.set_kind(moved, Kind::Page { leaves, slot });
        }
    }

    /// The leaf whose key may be `key`: no other shares a longer prefix with it. `None` in an empty tree.
    pub(super) fn candidate(&self, key: &[u8]) -> Option<Spot> {
        let mut id = self.root;
        loop {
            match self.kind(id)? {
                Kind::Branch { bit, left, right } => {
                    id = if tree::bit(key, u32::from(*bit)) { *right } else { *left };
                }
                Kind::Page { .. } => return Some(Spot { page: id, index: self.page(id).candidate(key) }),
                Kind::Unused => return None,
            }
        }
    }

    /// What [`Tree::candidate`] gives for each of `keys`, in a tree that isn't empty: step by step for all of them, so
    /// that the processor waits for many nodes and pages at a time, and not for one after the other.
    pub(super) fn candidates<'k>(&self, keys: impl Iterator<Item = &'k [u8]> + Clone, spots: &mut Vec<Spot>) {
        spots.clear();
        spots.extend(keys.clone().map(|_| Spot { page: self.root, index: 0 }));
        let mut open = true;
        while open {
            open = false;
            for (spot, key) in spots.iter_mut().zip(keys.clone()) {
                if let Some(Kind::Branch { bit, left, right }) = self.kind(spot.page) {
                    spot.page = if tree::bit(key, u32::from(*bit)) { *right } else { *left };
                    open = true;
                }
            }
        }
        let touched = spots.iter().map(|spot| self.page(spot.page).touch()).fold(0, |all, one| all ^ one);
        std::hint::black_box(touched);
        for (spot, key) in spots.iter_mut().zip(keys) {
            spot.index = self.page(spot.page).candidate(key);
        }
    }

    pub(super) fn leaf(&self, spot: Spot) -> Option<Leaf> {
        let page = self.page(spot.page);
        (spot.index < page.len()).then(|| page.leaf(spot.index))
    }

    /// Replaces a leaf in block `height`. Its page counts as changed from here on, though its digest comes later.
    pub(super) fn set(&mut self, spot: Spot, leaf: Leaf, height: u64) {
        if let Some(Kind::Page { leaves, slot }) = self.kind(spot.page).copied() {
            self.pages.page_mut(slot, usize::from(leaves)).set(spot.index, leaf);
        }
        self.touch(spot.page, height);
    }

    /// Points a leaf to the same version elsewhere.
    pub(super) fn relocate(&mut self, spot: Spot, address: Address) {
        if let Some(Kind::Page { leaves, slot }) = self.kind(spot.page).copied() {
            self.pages.page_mut(slot, usize::from(leaves)).set_address(spot.index, address);
        }
    }

    /// Gives a page the digests of its parts.
    pub(super) fn set_parts(&mut self, id: NodeId, parts: &[Digest; PARTS]) {
        if let Some(Kind::Page { leaves, slot }) = self.kind(id).copied() {
            let mut page = self.pages.page_mut(slot, usize::from(leaves));
            parts.iter().enumerate().for_each(|(part, digest)| page.set_part(part, digest));
        }
    }

    fn touch(&mut self, id: NodeId, height: u64) {
        let count = self.count(height);
        if let Some(touched) = self.touched.get_mut(id as usize) {
            touched.changed = count;
        }
    }

    /// A height as nodes keep it. After 2³² blocks all older ones move up to where nobody asks for them any more.
    fn count(&mut self, height: u64) -> u32 {
        if let Ok(count) = u32::try_from(height.saturating_sub(self.first)) {
            return count;
        }
        let first = height - u64::from(u32::MAX / 2);
        let shift = u32::try_from(first - self.first).unwrap_or(u32::MAX);
        for touched in &mut self.touched {
            touched.changed = touched.changed.saturating_sub(shift);
            touched.created = touched.created.saturating_sub(shift);
        }
        self.first = first;
        u32::MAX / 2
    }

    /// The height that changed a node last.
    pub(super) fn changed(&self, id: NodeId) -> u64 {
        self.touched.get(id as usize).map_or(0, |touched| self.first + u64::from(touched.changed))
    }

    /// The height that made a node.
    pub(super) fn created(&self, id: NodeId) -> u64 {
        self.touched.get(id as usize).map_or(0, |touched| self.first + u64::from(touched.created))
    }

    /// Gives a node its digest after block `height`.
    pub(super) fn set_digest(&mut self, id: NodeId, digest: Digest, height: u64) {
        self.touch(id, height);
        if let Some(place) = self.digests.get_mut(id as usize) {
            *place = digest;
        }
    }

    /// Two nodes below `parent`, to be told what they are. The first number is even.
    fn push_pair(&mut self, parent: NodeId, height: u64) -> (NodeId, NodeId) {
        let first = u32::try_from(self.len()).unwrap_or(NOWHERE);
        let count = self.count(height);
        if self.kinds.len() + 2 > self.kinds.capacity() {
            // Growing by half or more, as vectors do, would be most of what the tree takes beside its leaves.
            let more = self.len() / 8 + 16;
            self.kinds.reserve_exact(more);
            self.digests.reserve_exact(more);
            self.parents.reserve_exact(more);
            self.touched.reserve_exact(more);
        }
        self.kinds.extend([Kind::Unused; 2]);
        self.digests.extend([Digest::ZERO; 2]);
        self.parents.extend([parent; 2]);
        self.touched.extend([Touched { changed: count, created: count }; 2]);
        (first, first.saturating_add(1))
    }

    /// The number of the tree's first node.
    fn push_root(&mut self, height: u64) -> NodeId {
        self.root = self.push_pair(NOWHERE, height).0;
        self.root
    }

    /// The highest node on the way from the page up whose leaves all share more than `crit` bits.
    fn top_below(&self, page: NodeId, crit: u16) -> NodeId {
        let mut id = page;
        loop {
            let parent = self.parent(id);
            match self.kind(parent) {
                Some(Kind::Branch { bit, .. }) if *bit > crit => id = parent,
                _ => return id,
            }
        }
    }

    /// Adds a leaf whose key shares its first `crit` bits with that of the leaf at `near`, and has bit `crit` 1 where
    /// it is `right`. No leaf may share more with it. Returns the node whose subtree is new or has grown.
    pub(super) fn insert(&mut self, near: Option<(Spot, u16)>, right: bool, leaf: Leaf, height: u64) -> NodeId {
        self.leaves += 1;
        let mut packed = Vec::new();
        let Some((near, crit)) = near else {
            let root = self.push_root(height);
            self.put_page(root, &[leaf], &[], &mut packed);
            return root;
        };
        let top = self.top_below(near.page, crit);
        if top == near.page {
            let grown = self.page(near.page).with(near.index, crit, right, leaf);
            self.put_leaves(near.page, &grown.leaves, &grown.crits, height);
            self.touch(near.page, height);
            return near.page;
        }
        let parent = self.parent(top);
        let (alone, branch) = self.push_pair(parent, height);
        self.put_page(alone, &[leaf], &[], &mut packed);
        let (left, right) = if right { (top, alone) } else { (alone, top) };
        self.set_kind(branch, Kind::Branch { bit: crit, left, right });
        self.set_parent(top, branch);
        self.set_parent(alone, branch);
        match self.kinds.get_mut(parent as usize) {
            Some(Kind::Branch { left, right, .. }) => {
                let side = if *left == top { left } else { right };
                *side = branch;
            }
            _ => self.root = branch,
        }
        branch
    }

    /// Makes a node the subtree of these leaves: a page, or branches above several where they are too many.
    fn put_leaves(&mut self, id: NodeId, leaves: &[Leaf], crits: &[u16], height: u64) {
        let mut packed = Vec::new();
        let mut open = vec![(id, 0, leaves.len())];
        while let Some((id, from, to)) = open.pop() {
            let own = crits.get(from..to.saturating_sub(1)).unwrap_or_default();
            match Loose::middle(own).filter(|_| to - from > MAX_LEAVES) {
                Some(middle) => {
                    let bit = own.get(middle - 1).copied().unwrap_or_default();
                    let (left, right) = self.push_pair(id, height);
                    self.let_go(id);
                    self.set_kind(id, Kind::Branch { bit, left, right });
                    open.extend([(left, from, from + middle), (right, from + middle, to)]);
                }
                None => self.put_page(id, leaves.get(from..to).unwrap_or_default(), own, &mut packed),
            }
        }
    }

    /// Where a key stands that shares `crit` bits with the leaf at `near`: the leaf before which it is, which may be
    /// the one after a page's last.
    pub(super) fn gap(&self, near: Spot, crit: u16, right: bool) -> Spot {
        let top = self.top_below(near.page, crit);
        if top == near.page {
            let (first, end) = self.page(top).below(near.index, crit);
            return Spot { page: top, index: if right { end } else { first } };
        }
        match right {
            true => {
                let page = self.last_page(top);
                Spot { page, index: self.page(page).len() }
            }
            false => Spot { page: self.first_page(top), index: 0 },
        }
    }

    pub(super) fn first_page(&self, mut id: NodeId) -> NodeId {
        while let Some((left, _)) = self.children(id) {
            id = left;
        }
        id
    }

    pub(super) fn last_page(&self, mut id: NodeId) -> NodeId {
        while let Some((_, right)) = self.children(id) {
            id = right;
        }
        id
    }

    /// The page after this one, in the order of keys.
    pub(super) fn page_after(&self, mut id: NodeId) -> Option<NodeId> {
        loop {
            let parent = self.parent(id);
            let (left, right) = self.children(parent)?;
            if left == id {
                return Some(self.first_page(right));
            }
            id = parent;
        }
    }

    /// Whether it is known that no key below had a value after block `at`: none has one now, and nothing below has changed
    /// since.
    pub(super) fn is_dead(&self, id: NodeId, at: u64) -> bool {
        self.digest_of(id) == Digest::ZERO && self.changed(id) <= at
    }

    /// The page after this one of which it isn't known that no key of it had a value after block `at`, in the order of
    /// keys. What is below a dead branch is passed over in one step.
    pub(super) fn living_page_after(&self, mut id: NodeId, at: u64) -> Option<NodeId> {
        loop {
            let parent = self.parent(id);
            let (left, right) = self.children(parent)?;
            if left == id && !self.is_dead(right, at) {
                id = right;
                while let Some((left, right)) = self.children(id) {
                    id = if self.is_dead(left, at) { right } else { left };
                }
                return Some(id);
            }
            id = parent;
        }
    }

    /// The bit in which a page's first key differs from the last of the page before it.
    pub(super) fn crit_before(&self, mut id: NodeId) -> u16 {
        loop {
            let parent = self.parent(id);
            match self.kind(parent) {
                Some(Kind::Branch { bit, right, .. }) if *right == id => return *bit,
                Some(Kind::Branch { .. }) => id = parent,
                _ => return 0,
            }
        }
    }

    /// About how many bytes of memory the tree takes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let node = size_of::<Kind>() + size_of::<Digest>() + size_of::<NodeId>() + size_of::<Touched>();
        (self.kinds.capacity() * node + self.pages.memory_bytes()) as u64
    }

    /// The nodes from the root down to `id`.
    pub(super) fn path(&self, mut id: NodeId) -> Vec<NodeId> {
        let mut path = Vec::new();
        while self.has(id) {
            path.push(id);
            id = self.parent(id);
        }
        path.reverse();
        path
    }

    /// Makes the tree of `leaves`, whose neighbours differ first in `crits`: pages as full as a split leaves them.
    pub(super) fn build(leaves: &[Leaf], crits: &[u16], height: u64) -> Self {
        let mut tree = Self { leaves: leaves.len() as u64, first: height, ..Self::default() };
        if leaves.is_empty() {
            return tree;
        }
        // The trie over the gaps between leaves: each gap's parent is the nearest one with a smaller bit.
        let shape = Gaps::new(crits);
        let mut packed = Vec::new();
        let mut open = vec![(tree.push_root(height), 0usize, leaves.len())];
        while let Some((id, from, to)) = open.pop() {
            match shape.top(from, to) {
                Some(middle) if to - from > MAX_LEAVES * 3 / 4 => {
                    let bit = crits.get(middle).copied().unwrap_or_default();
                    let (left, right) = tree.push_pair(id, height);
                    tree.set_kind(id, Kind::Branch { bit, left, right });
                    open.extend([(right, middle + 1, to), (left, from, middle + 1)]);
                }
                _ => {
                    let crits = crits.get(from..to.saturating_sub(1)).unwrap_or_default();
                    tree.put_page(id, leaves.get(from..to).unwrap_or_default(), crits, &mut packed);
                }
            }
        }
        tree
    }
}

/// Finds the least of neighbouring critical bits: children of each in the Cartesian tree over them.
struct Gaps {
    root: usize,
    children: Vec<(usize, usize)>,
}

impl Gaps {
    fn new(crits: &[u16]) -> Self {
        let none = usize::MAX;
        let mut children = vec![(none, none); crits.len()];
        let mut spine: Vec<usize> = Vec::new();
        for (index, crit) in crits.iter().enumerate() {
            let mut below = none;
            while let Some(last) = spine.last().copied() {
                if crits.get(last).is_some_and(|other| other > crit) {
                    below = last;
                    spine.pop();
                } else {
                    break;
                }
            }
            if let Some(node) = children.get_mut(index) {
                node.0 = below;
            }
            if let Some(parent) = spine.last().and_then(|last| children.get_mut(*last)) {
                parent.1 = index;
            }
            spine.push(index);
        }
        Self { root: spine.first().copied().unwrap_or(none), children }
    }

    /// The gap with the least bit among those between the leaves `from..to`, found from the top down.
    fn top(&self, from: usize, to: usize) -> Option<usize> {
        let mut gap = self.root;
        loop {
            let (left, right) = *self.children.get(gap)?;
            if gap + 1 >= to {
                gap = left;
            } else if gap < from {
                gap = right;
            } else {
                return Some(gap);
            }
        }
    }
}
