//! Roots and proofs from the whole list of keys, by the tree's definition and independent of any store: what stores
//! are tested against, and what small tools prove with.

use super::pruned::follows;
use super::{EMPTY, PrunedTree, Step, bit, crit_bit, node, value_digest};
use crate::state::{Key, Versioned};
use core::ops::Range;
use ledger_crypto::Digest;

/// The root over `leaves`: keys, sorted and distinct, and the digests of their [leaves](super::leaf).
pub fn root_of(leaves: &[(Key, Digest)]) -> Digest {
    let leaves: Vec<(Vec<u8>, Digest)> = leaves.iter().map(|(key, digest)| (key.to_bytes(), *digest)).collect();
    root_below(&leaves)
}

fn root_below(leaves: &[(Vec<u8>, Digest)]) -> Digest {
    match leaves {
        [] => EMPTY,
        [(_, digest)] => *digest,
        several => {
            let (left, right) = several.split_at(middle(several));
            node(&root_below(left), &root_below(right))
        }
    }
}

/// Where the keys begin that go right.
fn middle(leaves: &[(Vec<u8>, Digest)]) -> usize {
    let (Some((first, _)), Some((last, _))) = (leaves.first(), leaves.last()) else { return 0 };
    // Of sorted keys, the first and the last differ in the first bit in which any two do.
    let middle = crit_bit(first, last).map_or(1, |at| leaves.partition_point(|(key, _)| !bit(key, at)));
    middle.clamp(1, leaves.len() - 1)
}

/// The proof of what lies in `from..to` (`None`: to the end of all keys) among `leaves`, which are sorted and distinct.
///
/// For a range that ends where it begins or before, what is given proves nothing.
pub fn prove_range(leaves: &[(Key, Versioned)], from: &Key, to: Option<&Key>) -> PrunedTree {
    let digests: Vec<(Vec<u8>, Digest)> =
        leaves.iter().map(|(key, versioned)| (key.to_bytes(), versioned.leaf(key))).collect();
    let begin = leaves.partition_point(|(key, _)| key < from);
    let end = to.map_or(leaves.len(), |to| leaves.partition_point(|(key, _)| key < to)).max(begin);
    let at_from = leaves.get(begin).is_some_and(|(key, _)| key == from);
    let last = leaves.get(begin..end).and_then(<[_]>::last);
    let at_to = last.is_some_and(|(key, _)| to.is_some_and(|to| follows(&key.to_bytes(), &to.to_bytes())));
    let shown = begin - usize::from(!at_from && begin > 0)..end + usize::from(!at_to && end < leaves.len());
    let mut prover = Prover { leaves, digests: &digests, inside: begin..end, shown, steps: Vec::new() };
    if !leaves.is_empty() {
        prover.prove(0..leaves.len());
    }
    PrunedTree { steps: prover.steps.into() }
}

struct Prover<'a> {
    leaves: &'a [(Key, Versioned)],
    digests: &'a [(Vec<u8>, Digest)],
    /// The leaves to show with their values.
    inside: Range<usize>,
    /// These, and those to show without.
    shown: Range<usize>,
    steps: Vec<Step>,
}

impl Prover<'_> {
    fn prove(&mut self, range: Range<usize>) {
        let below = self.digests.get(range.clone()).unwrap_or_default();
        if range.end <= self.shown.start || self.shown.end <= range.start {
            self.steps.push(Step::Opaque(root_below(below)));
        } else if let ([_], Some((key, versioned))) = (below, self.leaves.get(range.start)) {
            let key = key.clone();
            self.steps.push(match self.inside.contains(&range.start) {
                true => Step::Leaf { key, versioned: versioned.clone() },
                false => Step::Bare {
                    key,
                    version: versioned.version,
                    predecessor: versioned.predecessor,
                    value: Box::new(value_digest(&versioned.value)),
                },
            });
        } else {
            let middle = range.start + middle(below);
            self.prove(range.start..middle);
            self.prove(middle..range.end);
            self.steps.push(Step::Node);
        }
    }
}
