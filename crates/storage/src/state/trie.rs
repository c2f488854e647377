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

use super::page::{LEAF_BYTES, Leaf, MAX_LEAVES, Page};

pub(super) type NodeId = u32;

/// No node has this number.
pub(super) const NOWHERE: NodeId = NodeId::MAX;

#[derive(Debug)]
pub(super) enum Kind {
    /// Keys whose bit is 0 are left.
    Branch {
        bit: u16,
        left: NodeId,
        right: NodeId,
    },
    Page(Page),
}

/// What is known of a node, apart from what is below it.
#[derive(Debug)]
pub(super) struct Node {
    /// Zero when no key below has a value.
    pub(super) digest: Digest,
    pub(super) parent: NodeId,
    /// The height that changed it last, less the tree's first.
    changed: u32,
    /// The height that made it, less the tree's first.
    created: u32,
}

/// All nodes of a chain's tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// Apart from the rest of the nodes: ways down read nothing else, and find most of it in the processor's caches.
    kinds: Vec<Kind>,
    nodes: Vec<Node>,
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

/// The page of a branch, or of a number without a node.
static NO_PAGE: std::sync::LazyLock<Page> = std::sync::LazyLock::new(Page::default);

impl Default for Tree {
    fn default() -> Self {
        Self { kinds: Vec::new(), nodes: Vec::new(), root: NOWHERE, leaves: 0, first: 0 }
    }
}

impl Tree {
    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    /// The root's digest; zero for a tree without keys.
    pub(super) fn digest(&self) -> Digest {
        self.node(self.root).map_or(Digest::ZERO, |node| node.digest)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Leaves, those of deleted keys included.
    pub(super) fn leaves(&self) -> u64 {
        self.leaves
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize)
    }

    pub(super) fn kind(&self, id: NodeId) -> Option<&Kind> {
        self.kinds.get(id as usize)
    }

    fn kind_mut(&mut self, id: NodeId) -> Option<&mut Kind> {
        self.kinds.get_mut(id as usize)
    }

    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        self.node(id).map_or(NOWHERE, |node| node.parent)
    }

    /// The two sides of a branch.
    pub(super) fn children(&self, id: NodeId) -> Option<(NodeId, NodeId)> {
        match self.kind(id)? {
            Kind::Branch { left, right, .. } => Some((*left, *right)),
            Kind::Page(_) => None,
        }
    }

    pub(super) fn page(&self, id: NodeId) -> &Page {
        match self.kind(id) {
            Some(Kind::Page(page)) => page,
            _ => &NO_PAGE,
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
                Kind::Page(page) => return Some(Spot { page: id, index: page.candidate(key) }),
            }
        }
    }

    pub(super) fn leaf(&self, spot: Spot) -> Option<Leaf> {
        let page = self.page(spot.page);
        (spot.index < page.len()).then(|| page.leaf(spot.index))
    }

    /// Replaces a leaf in block `height`. Its page counts as changed from here on, though its digest comes later.
    pub(super) fn set(&mut self, spot: Spot, leaf: Leaf, height: u64) {
        if let Some(Kind::Page(page)) = self.kind_mut(spot.page)
            && spot.index < page.len()
        {
            page.set(spot.index, leaf);
        }
        self.touch(spot.page, height);
    }

    /// Points a leaf to the same version elsewhere.
    pub(super) fn relocate(&mut self, spot: Spot, address: Address) {
        if let Some(Kind::Page(page)) = self.kind_mut(spot.page)
            && spot.index < page.len()
        {
            page.set(spot.index, Leaf { address, digest: page.digest(spot.index) });
        }
    }

    fn touch(&mut self, id: NodeId, height: u64) {
        let count = self.count(height);
        if let Some(node) = self.node_mut(id) {
            node.changed = count;
        }
    }

    /// A height as nodes keep it. After 2³² blocks all older ones move up to where nobody asks for them any more.
    fn count(&mut self, height: u64) -> u32 {
        if let Ok(count) = u32::try_from(height.saturating_sub(self.first)) {
            return count;
        }
        let first = height - u64::from(u32::MAX / 2);
        let shift = u32::try_from(first - self.first).unwrap_or(u32::MAX);
        for node in &mut self.nodes {
            node.changed = node.changed.saturating_sub(shift);
            node.created = node.created.saturating_sub(shift);
        }
        self.first = first;
        u32::MAX / 2
    }

    /// The height that changed a node last.
    pub(super) fn changed(&self, id: NodeId) -> u64 {
        self.node(id).map_or(0, |node| self.first + u64::from(node.changed))
    }

    /// The height that made a node.
    pub(super) fn created(&self, id: NodeId) -> u64 {
        self.node(id).map_or(0, |node| self.first + u64::from(node.created))
    }

    /// Gives a node its digest after block `height`.
    pub(super) fn set_digest(&mut self, id: NodeId, digest: Digest, height: u64) {
        self.touch(id, height);
        if let Some(node) = self.node_mut(id) {
            node.digest = digest;
        }
    }

    fn push(&mut self, parent: NodeId, height: u64, kind: Kind) -> NodeId {
        let id = u32::try_from(self.nodes.len()).unwrap_or(NOWHERE);
        let count = self.count(height);
        if self.nodes.len() == self.nodes.capacity() {
            // Growing by half or more, as vectors do, would be most of what the tree takes beside its leaves.
            let more = self.nodes.len() / 8 + 16;
            self.nodes.reserve_exact(more);
            self.kinds.reserve_exact(more);
        }
        self.nodes.push(Node { digest: Digest::ZERO, parent, changed: count, created: count });
        self.kinds.push(kind);
        id
    }

    fn new_page(&mut self, parent: NodeId, height: u64, page: Page) -> NodeId {
        self.push(parent, height, Kind::Page(page))
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
        let Some((near, crit)) = near else {
            self.root = self.new_page(NOWHERE, height, Page::new(&[leaf], &[]));
            return self.root;
        };
        let top = self.top_below(near.page, crit);
        if top == near.page {
            let grown = self.page(near.page).with(near.index, crit, right, leaf);
            if let Some(kind) = self.kind_mut(near.page) {
                *kind = Kind::Page(grown);
            }
            self.touch(near.page, height);
            self.split(near.page, height);
            return near.page;
        }
        let parent = self.parent(top);
        let alone = self.new_page(NOWHERE, height, Page::new(&[leaf], &[]));
        let (left, right) = if right { (top, alone) } else { (alone, top) };
        let kind = Kind::Branch { bit: crit, left, right };
        let branch = self.push(parent, height, kind);
        for child in [top, alone] {
            if let Some(node) = self.node_mut(child) {
                node.parent = branch;
            }
        }
        match self.kind_mut(parent) {
            Some(Kind::Branch { left, right, .. }) => {
                let side = if *left == top { left } else { right };
                *side = branch;
            }
            _ => self.root = branch,
        }
        branch
    }

    /// Splits a page until no part has too many leaves.
    fn split(&mut self, id: NodeId, height: u64) {
        let mut large = vec![id];
        while let Some(id) = large.pop() {
            if self.page(id).len() <= MAX_LEAVES {
                continue;
            }
            let Some((bit, left, right)) = self.page(id).split() else { continue };
            let left = self.new_page(id, height, left);
            let right = self.new_page(id, height, right);
            if let Some(kind) = self.kind_mut(id) {
                *kind = Kind::Branch { bit, left, right };
            }
            large.extend([left, right]);
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
        let nodes = self.nodes.capacity() * size_of::<Node>() + self.kinds.capacity() * size_of::<Kind>();
        nodes as u64 + self.leaves * LEAF_BYTES as u64
    }

    /// The page before this one, in the order of keys.
    pub(super) fn page_before(&self, mut id: NodeId) -> Option<NodeId> {
        loop {
            let parent = self.parent(id);
            let (left, right) = self.children(parent)?;
            if right == id {
                return Some(self.last_page(left));
            }
            id = parent;
        }
    }

    /// The leaf at a gap: the first after it. `None` at the end.
    pub(super) fn leaf_at(&self, gap: Spot) -> Option<Spot> {
        let mut spot = gap;
        while spot.index >= self.page(spot.page).len() {
            spot = Spot { page: self.page_after(spot.page)?, index: 0 };
        }
        Some(spot)
    }

    /// The leaf before a gap.
    pub(super) fn leaf_before(&self, gap: Spot) -> Option<Spot> {
        let mut spot = gap;
        while spot.index == 0 {
            let page = self.page_before(spot.page)?;
            spot = Spot { page, index: self.page(page).len() };
        }
        Some(Spot { page: spot.page, index: spot.index - 1 })
    }

    /// The nodes from the root down to `id`.
    pub(super) fn path(&self, mut id: NodeId) -> Vec<NodeId> {
        let mut path = Vec::new();
        while self.node(id).is_some() {
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
        tree.root = 0;
        let mut open = vec![(NOWHERE, 0usize, leaves.len(), None::<bool>)];
        while let Some((parent, from, to, right_side)) = open.pop() {
            let top = shape.top(from, to);
            let id = match top {
                Some(middle) if to - from > MAX_LEAVES * 3 / 4 => {
                    let bit = crits.get(middle).copied().unwrap_or_default();
                    let kind = Kind::Branch { bit, left: NOWHERE, right: NOWHERE };
                    let id = tree.push(parent, height, kind);
                    open.push((id, middle + 1, to, Some(true)));
                    open.push((id, from, middle + 1, Some(false)));
                    id
                }
                _ => {
                    let crits = crits.get(from..to.saturating_sub(1)).unwrap_or_default();
                    let page = Page::new(leaves.get(from..to).unwrap_or_default(), crits);
                    tree.new_page(parent, height, page)
                }
            };
            if let (Some(right_side), Some(Kind::Branch { left, right, .. })) = (right_side, tree.kind_mut(parent)) {
                *(if right_side { right } else { left }) = id;
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
