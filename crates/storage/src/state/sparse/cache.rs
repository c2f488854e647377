//! Pages and buckets in memory, the least recently used of which give way.

use std::collections::HashMap;

use super::bucket::Bucket;
use super::page::Page;
use super::prefix::Prefix;

/// What lies at a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Page(Box<Page>),
    Bucket(Bucket),
}

impl Node {
    fn bytes(&self) -> usize {
        const OVERHEAD: usize = 96;
        OVERHEAD
            + match self {
                Node::Page(_) => size_of::<Page>(),
                Node::Bucket(bucket) => bucket.bytes(),
            }
    }
}

/// Two generations: what is used moves to the young one; when that is full it becomes the old one, and what was left
/// in the old one is forgotten. What an update changed can't be forgotten before it is committed.
pub(super) struct Cache {
    generation_bytes: usize,
    young: HashMap<Prefix, Node>,
    young_bytes: usize,
    old: HashMap<Prefix, Node>,
    staged: HashMap<Prefix, Node>,
}

impl Cache {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            generation_bytes: bytes / 2,
            young: HashMap::new(),
            young_bytes: 0,
            old: HashMap::new(),
            staged: HashMap::new(),
        }
    }

    /// The node at `prefix`, which stays in the cache.
    pub(super) fn get(&mut self, prefix: &Prefix) -> Option<&Node> {
        if self.staged.contains_key(prefix) {
            return self.staged.get(prefix);
        }
        if let Some(node) = self.old.remove(prefix) {
            self.insert(*prefix, node);
        }
        self.young.get(prefix)
    }

    /// The node at `prefix`, which leaves the cache.
    pub(super) fn take(&mut self, prefix: &Prefix) -> Option<Node> {
        if let Some(node) = self.staged.remove(prefix) {
            return Some(node);
        }
        match self.young.remove(prefix) {
            Some(node) => {
                self.young_bytes = self.young_bytes.saturating_sub(node.bytes());
                Some(node)
            }
            None => self.old.remove(prefix),
        }
    }

    /// Remembers what was read.
    pub(super) fn insert(&mut self, prefix: Prefix, node: Node) {
        if self.young_bytes >= self.generation_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += node.bytes();
        if let Some(before) = self.young.insert(prefix, node) {
            self.young_bytes = self.young_bytes.saturating_sub(before.bytes());
        }
    }

    /// Remembers what an update made.
    pub(super) fn stage(&mut self, prefix: Prefix, node: Node) {
        self.staged.insert(prefix, node);
    }

    /// What was staged is the present.
    pub(super) fn commit(&mut self) {
        for (prefix, node) in std::mem::take(&mut self.staged) {
            self.insert(prefix, node);
        }
    }
}
