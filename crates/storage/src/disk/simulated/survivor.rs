//! What a reboot finds: the durable part of a disk, and of the pending part what a seed chooses.

use std::collections::{BTreeMap, BTreeSet};

use super::FaultCounts;
use super::random::Random;
use super::world::{Change, Inode, NameChange, World, apply, apply_name};

/// The unit in which a drive writes whole or not at all, unless the piece is torn.
const SECTOR: usize = 512;

/// How the pending writes of one file fare.
pub(super) enum Keep {
    Nothing,
    Everything,
    Some {
        random: Random,
        /// Of 8 sectors, how many survive on average.
        eighths: usize,
        /// Whether sectors may be cut at any byte.
        torn: bool,
        /// Whether stale bytes may stand where a sector never arrived.
        stale: bool,
        /// Whether a lost piece's length survives as zeros.
        grown: bool,
    },
}

impl Keep {
    pub(super) fn chosen(random: &mut Random) -> Self {
        let mut random = Random::new(random.next());
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some {
                eighths: 1 + random.below(7),
                torn: random.one_in(2),
                stale: random.one_in(4),
                grown: random.one_in(2),
                random,
            },
        }
    }
}

pub(super) fn survive(world: &World, seed: u64) -> World {
    let mut random = Random::new(seed);
    let mut counts = FaultCounts::default();
    let names = surviving_names(world, seed, &mut random, &mut counts);
    let linked: BTreeSet<u64> = names.values().copied().collect();
    let old: Vec<&[u8]> = world.inodes.values().map(|inode| inode.durable.as_slice()).collect();
    let mut inodes = BTreeMap::new();
    for (number, inode) in &world.inodes {
        let mut keep = match seed {
            0 => Keep::Nothing,
            1 => Keep::Everything,
            _ => Keep::chosen(&mut random),
        };
        if linked.contains(number) {
            let bytes = replay(&inode.durable, &inode.pending, &mut keep, &old, &mut counts);
            inodes.insert(*number, Inode::at_rest(bytes));
        }
    }
    World::at_rest(random.next(), inodes, names, counts)
}

fn surviving_names(world: &World, seed: u64, random: &mut Random, counts: &mut FaultCounts) -> BTreeMap<String, u64> {
    let mut names = world.durable_names.clone();
    // A journal keeps the order of name changes, so that a prefix survives; without one any subset may.
    let journal = random.one_in(2);
    let prefix = random.below(world.pending_names.len() + 1);
    for (index, change) in world.pending_names.iter().enumerate() {
        let kept = match seed {
            0 => false,
            1 => true,
            _ if journal => index < prefix,
            _ => random.one_in(2),
        };
        if !kept {
            counts.lost_names += 1;
            continue;
        }
        let known = match change {
            NameChange::Link { inode, .. } | NameChange::Rename { inode, .. } => world.inodes.contains_key(inode),
            NameChange::Unlink { .. } => true,
        };
        if known {
            apply_name(&mut names, change);
        }
    }
    names
}

/// The bytes of a file after `keep` chose among its pending changes.
pub(super) fn replay(
    durable: &[u8],
    pending: &[Change],
    keep: &mut Keep,
    old: &[&[u8]],
    counts: &mut FaultCounts,
) -> Vec<u8> {
    let mut content = durable.to_vec();
    for change in pending {
        match (&mut *keep, change) {
            (Keep::Everything, _) => apply(&mut content, change),
            (Keep::Nothing, _) => counts.lost_pieces += 1,
            (Keep::Some { random, .. }, Change::SetLen(_)) => {
                if random.one_in(2) {
                    apply(&mut content, change);
                } else {
                    counts.lost_pieces += 1;
                }
            }
            (keep @ Keep::Some { .. }, Change::Write { offset, bytes }) => {
                for (offset, piece) in sectors(*offset, bytes) {
                    replay_piece(&mut content, offset, piece, keep, old, counts);
                }
            }
        }
    }
    content
}

fn replay_piece(
    content: &mut Vec<u8>,
    offset: usize,
    piece: &[u8],
    keep: &mut Keep,
    old: &[&[u8]],
    counts: &mut FaultCounts,
) {
    let Keep::Some { random, eighths, torn, stale, grown } = keep else { return };
    if random.below(8) < *eighths {
        apply(content, &Change::Write { offset, bytes: piece.to_vec() });
        return;
    }
    let new = content.len() <= offset;
    if *torn && piece.len() > 1 && random.one_in(2) {
        let cut = 1 + random.below(piece.len() - 1);
        let (head, tail) = piece.split_at(cut);
        let (offset, part) = if random.one_in(2) { (offset, head) } else { (offset + cut, tail) };
        apply(content, &Change::Write { offset, bytes: part.to_vec() });
        counts.torn_pieces += 1;
    } else if new && *stale {
        apply(content, &Change::Write { offset, bytes: stale_bytes(piece.len(), old, random) });
        counts.stale_pieces += 1;
    } else {
        if new && *grown {
            apply(content, &Change::SetLen(offset + piece.len()));
        }
        counts.lost_pieces += 1;
    }
}

/// Bytes that a reused block may show: another file's, or noise.
fn stale_bytes(length: usize, old: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let source = old.get(random.below(old.len())).copied().unwrap_or_default();
    let start = random.below(source.len()) / SECTOR * SECTOR;
    let mut bytes: Vec<u8> = source.iter().skip(start).take(length).copied().collect();
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The parts of a write that lie in one sector each, with their offsets.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = SECTOR - offset % SECTOR;
    let (head, rest) = bytes.split_at(first.min(bytes.len()));
    let rest = rest.chunks(SECTOR).scan(offset + head.len(), |next, piece| {
        let start = *next;
        *next += piece.len();
        Some((start, piece))
    });
    std::iter::once((offset, head)).filter(|(_, head)| !head.is_empty()).chain(rest)
}
