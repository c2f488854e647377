//! The tree with all cut away that a proof doesn't need: [`PrunedTree`].

use super::{EMPTY, MAX_DEPTH, leaf, node, value_digest};
use crate::codec::wire::de::read::Reader;
use crate::codec::wire::de::{BorrowDecode, BorrowDecoder, Decoder};
use crate::codec::wire::error::DecodeError;
use crate::codec::{Decode, Encode, List};
use crate::state::{Key, Version, Versioned};
use ledger_crypto::Digest;

/// One step of rebuilding a tree from its leaves up, on a stack of digests.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Step {
    /// Pushes the digest of a leaf or subtree that isn't shown.
    Opaque(Digest),
    /// Pushes the digest of a leaf that is shown with its value: one in the range.
    Leaf {
        /// The key.
        key: Key,
        /// Its value.
        versioned: Versioned,
    },
    /// Pushes the digest of a leaf that is shown without its value: a neighbour of the range.
    Bare {
        /// The key.
        key: Key,
        /// Where its value comes from.
        version: Version,
        /// The leaf that this one replaced.
        predecessor: Option<Digest>,
        /// The [digest](super::value_digest) of its value. Boxed, since every step takes as much memory as the largest.
        value: Box<Digest>,
    },
    /// Pops the right child, then the left one, and pushes their node.
    Node,
}

/// A part of the tree that shows all keys of a range, and what joins it to the root: steps in post-order.
///
/// What proves completeness is that keys stand in order. A subtree that isn't shown ([`Step::Opaque`]) holds no key of
/// the range `from..to` when it stands before a shown leaf whose key is at most `from`, or after one that `to` follows
/// with no key between. One key's presence or absence is the range from it to its [successor](Key::successor).
///
/// Each range has one proof. It shows with their values the keys inside; without its value the last key before `from`,
/// unless `from` itself is there; and without its value the first key from `to` on, unless `to` is the successor of the
/// last key inside. No node joins two opaque subtrees. No steps are the empty tree.
///
/// Decoding refuses steps that don't make one tree, so its memory is bounded by the input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode)]
pub struct PrunedTree {
    /// The steps.
    pub steps: List<Step>,
}

/// The shortest encoding of a step that pushes: the tag and digest of an opaque subtree.
const SHORTEST_PUSH: usize = 33;

// By hand: a node takes a byte of input and as much memory as a leaf, so there must be no more of them than leaves.
impl<C> Decode<C> for PrunedTree {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        let count = usize::try_from(count).map_err(|_| DecodeError::OutsideUsizeRange(count))?;
        if count == 0 {
            return Ok(PrunedTree::default());
        }
        // A tree of n leaves has n - 1 inner nodes.
        let least = (count / 2).saturating_mul(SHORTEST_PUSH + 1).saturating_add(SHORTEST_PUSH);
        if count.is_multiple_of(2) || decoder.reader().peek_read(least).is_none() {
            return Err(not_one_tree());
        }
        let mut steps = Vec::with_capacity(count);
        let mut standing = 0usize;
        for _ in 0..count {
            let step = Step::decode(decoder)?;
            standing = match step {
                Step::Node if standing < 2 => return Err(not_one_tree()),
                Step::Node => standing - 1,
                _ => standing + 1,
            };
            steps.push(step);
        }
        match standing {
            1 => Ok(PrunedTree { steps: steps.into() }),
            _ => Err(not_one_tree()),
        }
    }
}

fn not_one_tree() -> DecodeError {
    DecodeError::Other("the steps make no tree, or the input is too short for them")
}

impl<'de, C> BorrowDecode<'de, C> for PrunedTree {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        <Self as Decode<C>>::decode(decoder)
    }
}

/// Why a pruned tree proves nothing. Steps are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateProofError {
    /// A range that no key can lie in.
    #[error("the range from {from:?} holds no key: it ends there or before")]
    EmptyRange {
        /// Where it begins.
        from: Box<Key>,
    },
    /// A node where fewer than two digests stand.
    #[error("step {step} makes a node of {standing} digests instead of two")]
    Underflow {
        /// The step.
        step: usize,
        /// How many digests there are.
        standing: usize,
    },
    /// More digests stand unjoined than a tree is deep.
    #[error("at step {step} more digests stand unjoined than a tree is deep ({MAX_DEPTH})")]
    TooDeep {
        /// The step.
        step: usize,
    },
    /// The steps end with more than one digest.
    #[error("the steps leave {standing} digests instead of one root")]
    Unjoined {
        /// How many digests are left.
        standing: usize,
    },
    /// A node over two subtrees neither of which shows anything: its own digest would do.
    #[error("step {step} joins two opaque subtrees, which must be one")]
    OpaqueNode {
        /// The step.
        step: usize,
    },
    /// A subtree that isn't shown could hold keys of the range.
    #[error("the opaque subtree of step {step} may hold keys of the range")]
    Gap {
        /// The step.
        step: usize,
    },
    /// A key shown where or as it must not be.
    #[error("step {step} shows key {key:?} {defect}")]
    Leaf {
        /// The step.
        step: usize,
        /// The key there.
        key: Box<Key>,
        /// What is wrong with it.
        defect: LeafDefect,
    },
    /// The steps lead elsewhere.
    #[error("the steps lead to root {found}, not to {expected}")]
    WrongRoot {
        /// The root they lead to.
        found: Digest,
        /// The root they were held against.
        expected: Digest,
    },
}

/// What is wrong with a key that a pruned tree shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafDefect {
    /// Keys must rise.
    #[error("which doesn't come after the key shown before")]
    Order,
    /// What is in the range has its value shown.
    #[error("without its value, though it is in the range")]
    NoValue,
    /// What isn't in the range has its value hidden.
    #[error("with its value, though it isn't in the range")]
    Value,
    /// Another key shows already where the range ends.
    #[error("which the range doesn't need")]
    Needless,
    /// A key before the range is shown that this one makes needless.
    #[error("so that the one shown before isn't needed")]
    NeedlessBefore,
}

impl PrunedTree {
    /// Verifies against a state root what `key`'s value is: `Some` where it is present, `None` where it is absent.
    ///
    /// # Errors
    /// [`StateProofError`] when the steps don't prove it.
    pub fn verify(&self, root: &Digest, key: &Key) -> Result<Option<&Versioned>, StateProofError> {
        let found = self.verify_range(root, key, Some(&key.successor()))?;
        Ok(found.first().map(|(_, versioned)| *versioned))
    }

    /// Verifies against a state root which keys there are from `from` up to, not including, `to` (`None`: to the end of
    /// all keys), and gives them in order with their values: all of them.
    ///
    /// # Errors
    /// [`StateProofError`] when the steps don't prove it, or in another than the one form.
    pub fn verify_range(
        &self,
        root: &Digest,
        from: &Key,
        to: Option<&Key>,
    ) -> Result<Vec<(&Key, &Versioned)>, StateProofError> {
        let (begin, end) = (from.to_bytes(), to.map(Key::to_bytes));
        if end.as_ref().is_some_and(|end| *end <= begin) {
            return Err(StateProofError::EmptyRange { from: Box::new(from.clone()) });
        }
        let mut shown = Shown { begin, end, last: None, before: false, gap: None, ended: false };
        let mut inside = Vec::new();
        // Each digest with whether nothing below it is shown.
        let mut stack: Vec<(Digest, bool)> = Vec::new();
        for (step, taken) in self.steps.iter().enumerate() {
            let pushed = match taken {
                Step::Opaque(digest) => {
                    shown.opaque(step);
                    (*digest, true)
                }
                Step::Leaf { key, versioned } => {
                    inside.push((key, versioned));
                    (
                        shown.leaf(
                            step,
                            key,
                            true,
                            versioned.version,
                            &versioned.predecessor,
                            &value_digest(&versioned.value),
                        )?,
                        false,
                    )
                }
                Step::Bare { key, version, predecessor, value } => {
                    (shown.leaf(step, key, false, *version, predecessor, value)?, false)
                }
                Step::Node => match (stack.pop(), stack.pop()) {
                    (Some((_, true)), Some((_, true))) => return Err(StateProofError::OpaqueNode { step }),
                    (Some((right, _)), Some((left, _))) => (node(&left, &right), false),
                    (right, _) => {
                        return Err(StateProofError::Underflow { step, standing: usize::from(right.is_some()) });
                    }
                },
            };
            if stack.len() > MAX_DEPTH {
                return Err(StateProofError::TooDeep { step });
            }
            stack.push(pushed);
        }
        if let Some(step) = shown.gap {
            return Err(StateProofError::Gap { step });
        }
        let found = match stack.as_slice() {
            [] => EMPTY,
            [(digest, _)] => *digest,
            several => return Err(StateProofError::Unjoined { standing: several.len() }),
        };
        match found == *root {
            true => Ok(inside),
            false => Err(StateProofError::WrongRoot { found, expected: *root }),
        }
    }
}

/// What has been shown so far, from the least key on. Keys are their bytes, which sort as they do.
struct Shown {
    begin: Vec<u8>,
    end: Option<Vec<u8>>,
    /// The key shown last.
    last: Option<Vec<u8>>,
    /// Whether a key before the range was shown.
    before: bool,
    /// An opaque subtree that has yet to be shown to lie before the range.
    gap: Option<usize>,
    /// Whether all that follows lies after the range.
    ended: bool,
}

impl Shown {
    fn opaque(&mut self, step: usize) {
        if !self.ended {
            self.gap.get_or_insert(step);
        }
    }

    /// The digest of a leaf that may be shown here, with its value or without.
    fn leaf(
        &mut self,
        step: usize,
        key: &Key,
        with_value: bool,
        version: Version,
        predecessor: &Option<Digest>,
        value: &Digest,
    ) -> Result<Digest, StateProofError> {
        let bytes = key.to_bytes();
        let digest = leaf(&bytes, version, predecessor.as_ref(), value);
        if let Some(step) = self.gap.take_if(|_| bytes > self.begin) {
            return Err(StateProofError::Gap { step });
        }
        self.gap = None;
        match self.place(bytes, with_value) {
            None => Ok(digest),
            Some(defect) => Err(StateProofError::Leaf { step, key: Box::new(key.clone()), defect }),
        }
    }

    fn place(&mut self, key: Vec<u8>, with_value: bool) -> Option<LeafDefect> {
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Some(LeafDefect::Order);
        }
        let from_begin = key.cmp(&self.begin);
        // Of the keys before the range the last is enough, and none is needed where the range begins with a key.
        if self.before && from_begin.is_le() {
            return Some(LeafDefect::NeedlessBefore);
        }
        if self.ended {
            return Some(LeafDefect::Needless);
        }
        self.before = from_begin.is_lt();
        let after = self.end.as_ref().is_some_and(|end| key >= *end);
        let inside = !self.before && !after;
        if inside != with_value {
            return Some(if inside { LeafDefect::NoValue } else { LeafDefect::Value });
        }
        self.ended = self.end.as_ref().is_some_and(|end| follows(&key, end));
        self.last = Some(key);
        None
    }
}

/// Whether `to` comes right after `key`, or isn't greater; both are keys' bytes.
pub(super) fn follows(key: &[u8], to: &[u8]) -> bool {
    to.strip_suffix(&[0]).unwrap_or(to) <= key
}
