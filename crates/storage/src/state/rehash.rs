//! The digests of changed pages and of the branches above them, many at once.

use ledger_core::domains;
use ledger_crypto::{Digest, hash_many};

use super::page::{self, Cuts, LeafSet, PARTS, Page};
use super::trie::{NOWHERE, NodeId, Tree};

/// A value that isn't there: the digest of a subtree without live keys.
const NOTHING: u32 = u32::MAX;

/// A digest that will be at `place` of a table once the operations below `level` are done.
#[derive(Clone, Copy)]
struct Planned {
    place: u32,
    level: u32,
}

impl Planned {
    const NOTHING: Self = Self { place: NOTHING, level: 0 };
}

/// Hash operations on a table of digests, by how far above the leaves they are: those of one level are independent.
#[derive(Default)]
struct Plan {
    digests: Vec<Digest>,
    levels: Vec<Vec<[u32; 3]>>,
    stack: Vec<Planned>,
    crits: Vec<u16>,
    messages: Vec<[u8; 64]>,
    found: Vec<Digest>,
}

impl Plan {
    fn clear(&mut self) {
        self.digests.clear();
        for level in &mut self.levels {
            level.clear();
        }
    }

    /// Plans the digest over `leaves`, neighbours of which differ in `crits`.
    fn subtree(&mut self, leaves: &[[u8; 32]], mut crits: impl Iterator<Item = u16>) -> Planned {
        self.stack.clear();
        self.crits.clear();
        let mut leaves = leaves.iter();
        while let Some(leaf) = leaves.next() {
            let leaf = self.known(leaf);
            self.stack.push(leaf);
            let Some(crit) = crits.next().filter(|_| leaves.len() > 0) else { break };
            while self.crits.last().is_some_and(|last| *last > crit) {
                self.crits.pop();
                self.combine();
            }
            self.crits.push(crit);
        }
        while self.crits.pop().is_some() {
            self.combine();
        }
        self.stack.pop().unwrap_or(Planned::NOTHING)
    }

    /// Plans the digest of `page` whose leaves in `changed` aren't those over which the digests of its parts are. The
    /// places of the page's digest, and of those of its parts.
    fn page(&mut self, page: Page<'_>, cuts: Cuts, changed: LeafSet) -> (u32, [u32; PARTS]) {
        let leaves = page.digest_bytes();
        if page.parts().is_empty() {
            return (self.subtree(leaves, page.crits()).place, [NOTHING; PARTS]);
        }
        let mut parts = [Planned::NOTHING; PARTS];
        for ((part, (from, to)), kept) in parts.iter_mut().zip(page::ranges(cuts)).zip(page.parts()) {
            let own = leaves.get(from..to).unwrap_or_default();
            if own.is_empty() {
                continue;
            }
            *part = match changed & page::leaf_set(from, to) {
                0 => self.known(kept),
                _ => self.subtree(own, page.crits().skip(from)),
            };
        }
        let [first, second, third, fourth] = parts;
        let (left, right) = (self.join(first, second), self.join(third, fourth));
        (self.join(left, right).place, parts.map(|part| part.place))
    }

    /// A digest that needs no planning.
    fn known(&mut self, digest: &[u8; 32]) -> Planned {
        let digest = Digest::new(*digest);
        if digest == Digest::ZERO {
            return Planned::NOTHING;
        }
        let place = self.digests.len();
        self.digests.push(digest);
        Planned { place: u32::try_from(place).unwrap_or(NOTHING), level: 0 }
    }

    fn combine(&mut self) {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else { return };
        let both = self.join(left, right);
        self.stack.push(both);
    }

    /// Plans the parent of two nodes.
    fn join(&mut self, left: Planned, right: Planned) -> Planned {
        match (left.place, right.place) {
            (NOTHING, _) => right,
            (_, NOTHING) => left,
            _ => {
                let place = u32::try_from(self.digests.len()).unwrap_or(NOTHING);
                self.digests.push(Digest::ZERO);
                let level = left.level.max(right.level);
                if self.levels.len() <= level as usize {
                    self.levels.resize_with(level as usize + 1, Vec::new);
                }
                if let Some(operations) = self.levels.get_mut(level as usize) {
                    operations.push([left.place, right.place, place]);
                }
                Planned { place, level: level + 1 }
            }
        }
    }

    fn run(&mut self) {
        let Self { digests, levels, messages, found, .. } = self;
        for level in levels.iter().filter(|level| !level.is_empty()) {
            messages.clear();
            messages.extend(level.iter().map(|[left, right, _]| pair(&get(digests, *left), &get(digests, *right))));
            found.clear();
            found.resize(level.len(), Digest::ZERO);
            hash_many(domains::STATE_NODE, messages, found);
            for ([_, _, place], digest) in level.iter().zip(found.iter()) {
                if let Some(slot) = digests.get_mut(*place as usize) {
                    *slot = *digest;
                }
            }
        }
    }
}

fn get(digests: &[Digest], place: u32) -> Digest {
    digests.get(place as usize).copied().unwrap_or(Digest::ZERO)
}

fn pair(left: &Digest, right: &Digest) -> [u8; 64] {
    let mut message = [0; 64];
    let (front, back) = message.split_at_mut(32);
    front.copy_from_slice(left.as_bytes());
    back.copy_from_slice(right.as_bytes());
    message
}

/// The digest over `leaves`, neighbours of which differ first in `crits`.
pub(super) fn of_leaves(leaves: &[[u8; 32]], crits: impl Iterator<Item = u16>) -> Digest {
    let mut plan = Plan::default();
    let root = plan.subtree(leaves, crits);
    plan.run();
    get(&plan.digests, root.place)
}

/// Pages that are planned together: their digests stay in the processor's caches.
const PAGES_AT_ONCE: usize = 32;

/// A page, and its leaves that were changed since its parts' digests were computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChangedPage {
    pub(super) id: NodeId,
    pub(super) leaves: LeafSet,
}

/// What a page's node and the page itself keep.
pub(super) struct PageDigests {
    pub(super) page: Digest,
    pub(super) parts: [Digest; PARTS],
}

/// The digests of `pages`, in their order.
pub(super) fn of_pages(tree: &Tree, pages: &[ChangedPage], out: &mut Vec<PageDigests>) {
    let mut plan = Plan::default();
    let mut cuts = Vec::with_capacity(PAGES_AT_ONCE);
    let mut places = Vec::with_capacity(PAGES_AT_ONCE);
    for pages in pages.chunks(PAGES_AT_ONCE) {
        plan.clear();
        cuts.clear();
        places.clear();
        // What will be needed of all of them is fetched at the same time.
        let touched = pages.iter().map(|page| tree.page(page.id).touch_crits()).fold(0, |all, one| all ^ one);
        cuts.extend(pages.iter().map(|page| tree.page(page.id).cuts()));
        let digests = pages.iter().zip(&cuts).map(|(page, cuts)| tree.page(page.id).touch_digests(*cuts, page.leaves));
        std::hint::black_box(digests.fold(touched, |all, one| all ^ one));
        for (page, cuts) in pages.iter().zip(&cuts) {
            places.push(plan.page(tree.page(page.id), *cuts, page.leaves));
        }
        plan.run();
        let digest = |place| get(&plan.digests, place);
        out.extend(places.iter().map(|(page, parts)| PageDigests { page: digest(*page), parts: parts.map(digest) }));
    }
}

/// The branches above `pages` that aren't marked yet, by their depth below the root: marks them, and the pages.
pub(super) fn branches_above(tree: &Tree, pages: &[ChangedPage], marks: &mut Marks) -> Vec<Vec<NodeId>> {
    for page in pages {
        let mut id = page.id;
        while id != NOWHERE && marks.insert(id) {
            id = tree.parent(id);
        }
    }
    let mut levels = Vec::new();
    let mut level = vec![tree.root()];
    while !level.is_empty() {
        let mut below = Vec::with_capacity(level.len() * 2);
        level.retain(|id| match tree.children(*id) {
            Some((left, right)) if marks.contains(*id) => {
                below.extend([left, right].into_iter().filter(|child| marks.contains(*child)));
                true
            }
            _ => false,
        });
        levels.push(std::mem::replace(&mut level, below));
    }
    levels
}

/// Branches of a level that are hashed together.
const BRANCHES_AT_ONCE: usize = 256;

/// Sets the digests of the branches in `levels`, from the lowest up, whose pages have theirs already.
pub(super) fn set_branches(tree: &mut Tree, levels: &[Vec<NodeId>], height: u64) {
    let mut messages = Vec::new();
    let mut places = Vec::new();
    let mut found = Vec::new();
    for level in levels.iter().rev().flat_map(|level| level.chunks(BRANCHES_AT_ONCE)) {
        messages.clear();
        places.clear();
        for id in level {
            let Some((left, right)) = tree.children(*id) else { continue };
            let (left, right) = (tree.digest_of(left), tree.digest_of(right));
            if left == Digest::ZERO || right == Digest::ZERO {
                let only = if left == Digest::ZERO { right } else { left };
                tree.set_digest(*id, only, height);
            } else {
                messages.push(pair(&left, &right));
                places.push(*id);
            }
        }
        found.clear();
        found.resize(messages.len(), Digest::ZERO);
        hash_many(domains::STATE_NODE, &messages, &mut found);
        for (id, digest) in places.iter().zip(&found) {
            tree.set_digest(*id, *digest, height);
        }
    }
}

/// A set of nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    words: Vec<u64>,
    count: usize,
}

impl Marks {
    pub(super) fn clear(&mut self, nodes: usize) {
        self.words.clear();
        self.words.resize(nodes.div_ceil(64), 0);
        self.count = 0;
    }

    /// Whether it is new.
    pub(super) fn insert(&mut self, id: NodeId) -> bool {
        let (word, bit) = (id as usize / 64, 1u64 << (id % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        match self.words.get_mut(word) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn contains(&self, id: NodeId) -> bool {
        self.words.get(id as usize / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = NodeId> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                u32::try_from(index * 64).ok().map(|base| base + bit)
            })
        })
    }
}
