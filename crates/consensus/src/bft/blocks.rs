//! Blocks that aren't final yet, what is missing of them, and the last final ones for peers that are a little behind.

use super::BftConfig;
use ledger_core::codec::{self, Format};
use ledger_core::{Block, Header, Height, View};
use ledger_crypto::Digest;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What the driver says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It wasn't asked yet.
    Unasked,
    /// It was asked.
    Open,
    /// The block may follow its parent.
    Fine,
    /// It may not.
    Refused,
}

/// A block above the last delivered one.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) header: Header,
    pub(super) payload: Option<Arc<[u8]>>,
    /// Whether the payload is in the log.
    pub(super) recorded: bool,
    pub(super) verdict: Verdict,
    /// The last view in which it was proposed or certified.
    pub(super) view: View,
}

/// A block that is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// How often it was asked for.
    pub(super) tries: u32,
    /// In which view this came up.
    pub(super) view: View,
    /// Who may have it.
    pub(super) from: u16,
    /// Whether a quorum stands behind it, so that it must be had whatever else is pending.
    pub(super) certified: bool,
}

/// How a block hangs together with the last delivered one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// The digests after the last delivered one, rising; the last is the block asked for.
    Known(Vec<Digest>),
    /// This header is missing.
    Missing(Digest),
    /// Not at all.
    Apart,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Blocks {
    candidates: BTreeMap<Digest, Candidate>,
    bytes: usize,
    pub(super) wanted: BTreeMap<Digest, Want>,
    /// A leader's block that came before its proposal: one for each validator, of those whose turn is near.
    early: BTreeMap<u16, (Digest, Arc<[u8]>)>,
    recent: VecDeque<(Digest, Arc<[u8]>)>,
    recent_bytes: usize,
}

/// The header that an encoded block begins with.
pub(super) fn header_of(payload: &[u8]) -> Option<Header> {
    let front = payload.get(..Header::LIMIT).unwrap_or(payload);
    codec::decode_prefix::<Header>(front).ok().map(|(header, _)| header)
}

/// Whether the payload is what its header says, in its one encoding. A header's digest names a block, so this makes the
/// digest name these bytes and no others.
pub(super) fn is_whole(payload: &[u8]) -> bool {
    codec::decode::<Block>(payload).is_ok_and(|block| block.is_whole())
}

impl Blocks {
    pub(super) fn get(&self, block: &Digest) -> Option<&Candidate> {
        self.candidates.get(block)
    }

    pub(super) fn get_mut(&mut self, block: &Digest) -> Option<&mut Candidate> {
        self.candidates.get_mut(block)
    }

    /// Bytes of payloads that aren't final.
    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes
    }

    /// The block is part of a view: a header that was proposed or certified there.
    pub(super) fn insert(&mut self, header: Header, view: View) -> Digest {
        let digest = header.digest();
        let candidate = self.candidates.entry(digest).or_insert_with(|| Candidate {
            header,
            payload: None,
            recorded: false,
            verdict: Verdict::Unasked,
            view,
        });
        candidate.view = view.max(candidate.view);
        let early = self.early.iter().find(|(_, (found, _))| *found == digest).map(|(place, _)| *place);
        if let Some((_, payload)) = early.and_then(|place| self.early.remove(&place)) {
            self.fill(&digest, payload);
        }
        digest
    }

    /// A candidate's payload is here.
    pub(super) fn fill(&mut self, block: &Digest, payload: Arc<[u8]>) {
        if let Some(candidate) = self.candidates.get_mut(block)
            && candidate.payload.is_none()
        {
            self.bytes += payload.len();
            candidate.payload = Some(payload);
            self.wanted.remove(block);
        }
    }

    /// Keeps a leader's block until its proposal comes.
    pub(super) fn keep_early(&mut self, place: u16, block: Digest, payload: Arc<[u8]>) {
        self.early.insert(place, (block, payload));
    }

    /// Forgets early blocks of all but these validators.
    pub(super) fn retain_early(&mut self, near: impl Fn(u16) -> bool) {
        self.early.retain(|place, _| near(*place));
    }

    /// How `block` follows `tip`.
    pub(super) fn path(&self, tip: &Header, tip_digest: &Digest, block: &Digest) -> Path {
        let mut path = Vec::new();
        let mut at = *block;
        let mut above: Option<Height> = None;
        while at != *tip_digest {
            let Some(candidate) = self.candidates.get(&at) else { return Path::Missing(at) };
            let height = candidate.header.height;
            if height <= tip.height || above.is_some_and(|above| above != height.next()) {
                return Path::Apart;
            }
            path.push(at);
            if height == tip.height.next() && candidate.header.parent != *tip_digest {
                return Path::Apart;
            }
            above = Some(height);
            at = candidate.header.parent;
        }
        path.reverse();
        Path::Known(path)
    }

    /// A block and its ancestors as far down as they are known.
    pub(super) fn chain_of(&self, block: &Digest) -> BTreeSet<Digest> {
        let mut chain = BTreeSet::new();
        let mut at = *block;
        while let Some(candidate) = self.candidates.get(&at) {
            chain.insert(at);
            at = candidate.header.parent;
        }
        chain
    }

    /// Makes room for `more` bytes by forgetting payloads of earlier views that no quorum stands behind: first those that
    /// this validator didn't vote for, then the oldest. They can be had from peers again.
    pub(super) fn make_room(&mut self, more: usize, limit: usize, view: View, certified: &BTreeSet<Digest>) {
        let loose = self.candidates.iter().filter(|(digest, candidate)| {
            candidate.payload.is_some() && candidate.view < view && !certified.contains(*digest)
        });
        let mut loose: Vec<_> =
            loose.map(|(digest, candidate)| (candidate.recorded, candidate.view, *digest)).collect();
        loose.sort_unstable();
        for (_, _, digest) in loose {
            if self.bytes.saturating_add(more) <= limit {
                return;
            }
            if let Some(payload) = self.candidates.get_mut(&digest).and_then(|candidate| candidate.payload.take()) {
                self.bytes = self.bytes.saturating_sub(payload.len());
            }
        }
    }

    /// A block was delivered.
    pub(super) fn delivered(&mut self, block: &Digest, config: &BftConfig) {
        self.wanted.remove(block);
        let Some(candidate) = self.candidates.remove(block) else { return };
        let Some(payload) = candidate.payload else { return };
        self.bytes = self.bytes.saturating_sub(payload.len());
        self.recent_bytes += payload.len();
        self.recent.push_back((*block, payload));
        while self.recent.len() > config.kept_final_blocks || self.recent_bytes > config.kept_final_bytes {
            let Some((_, dropped)) = self.recent.pop_front() else { break };
            self.recent_bytes = self.recent_bytes.saturating_sub(dropped.len());
        }
    }

    /// Forgets candidates of views before `view`, but for those in `kept`.
    pub(super) fn prune(&mut self, view: View, tip: Height, kept: &BTreeSet<Digest>) {
        let bytes = &mut self.bytes;
        self.candidates.retain(|digest, candidate| {
            let keep = candidate.header.height > tip && (candidate.view >= view || kept.contains(digest));
            if !keep {
                *bytes = bytes.saturating_sub(candidate.payload.as_ref().map_or(0, |payload| payload.len()));
            }
            keep
        });
        self.wanted.retain(|_, want| want.view >= view);
    }

    /// A payload for a peer.
    pub(super) fn payload(&self, block: &Digest) -> Option<Arc<[u8]>> {
        let candidate = self.candidates.get(block).and_then(|candidate| candidate.payload.clone());
        candidate
            .or_else(|| self.recent.iter().find(|(found, _)| found == block).map(|(_, payload)| Arc::clone(payload)))
    }
}
