//! The chain's history: an append-only Merkle tree (RFC 9162, SHA-256) whose leaf `h` is block `h` and its outcome.

use crate::codec::{Decode, Encode, Format, List};
use ledger_crypto::Digest;
use ledger_crypto::merkle::{self, Frontier, TreeHasher};

/// The hasher of the history tree: SHA-256, so that a checkpoint can be read by transparency-log tools.
pub type HistoryHasher = merkle::Sha256;

/// A history tree's size and root: what a header commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HistoryHead {
    /// How many leaves: blocks 0 to `size − 1` have been executed.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl Format for HistoryHead {
    const NAME: &'static str = "history head";
    const LIMIT: usize = 64;
}

impl HistoryHead {
    /// The head of the genesis header: SHA-256 of nothing.
    pub const EMPTY: HistoryHead = HistoryHead {
        size: 0,
        root: Digest::new([
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
            0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ]),
    };

    /// The head of the tree that `frontier` stands for.
    pub fn of(frontier: &Frontier<HistoryHasher>) -> Self {
        HistoryHead { size: frontier.size(), root: frontier.root() }
    }
}

/// The hash of a history leaf: header digest, then outcome digest.
pub fn leaf(header: &Digest, outcome: &Digest) -> Digest {
    let mut data = [0u8; 64];
    let (front, back) = data.split_at_mut(32);
    front.copy_from_slice(header.as_bytes());
    back.copy_from_slice(outcome.as_bytes());
    HistoryHasher::leaf(&data)
}

/// The siblings on the way from a leaf, or from an older root, to a root.
pub type Path = List<Digest>;
