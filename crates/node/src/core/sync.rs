//! Catching up: blocks that others have finalized, each with the certificate that makes it final.
//!
//! ```text
//!   peer ── Status{checkpoint} ──▶ certificate checked ──▶ target
//!   GetBlocks{from, count} ──▶ up to one request a peer, consecutive ranges, several peers at once
//!   Blocks{from, [(payload, certificate)]} ──▶ certificates checked, pooled ──▶ in order: log, execution
//! ```
//! A certificate stands alone, so every answer can be checked by itself, whoever gave it and in whatever order answers
//! come; there is no need to fetch headers downwards first. What was stored is final, so catching up goes on where it
//! was interrupted. A peer whose bytes or certificate don't check is left out for a while; silence isn't blamed. A block
//! whose certificate does check is no peer's fault: if it can't follow what is final here, the chain stops
//! ([`Stop::Forked`](super::Stop::Forked)).
//!
//! Transactions' signatures are not checked again here: a quorum has voted for the block, which honest validators do
//! only after checking them.

use super::CoreConfig;
use super::events::{Effect, FinalBlock, ReadId};
use super::serve::Serving;
use super::sync_message::{SyncBlock, SyncMessage};
use ledger_core::codec::{self, Bytes, Format, List};
use ledger_core::{BftCertificate, Block, Checkpoint, Finality, Header, Height, Lane, SignatureCheck, Timestamp};
use ledger_crypto::{Digest, PublicKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bounds of catching up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// The most blocks of one request (default 64).
    pub batch: u64,
    /// The most bytes of one answer (default 4 MiB); a single larger block is given all the same.
    pub max_bytes: usize,
    /// How far beyond the last finalized block answers are asked for and kept (default 256 blocks).
    pub window: u64,
    /// The most bytes of blocks and certificates, encoded, that are asked for, under check, kept, and waiting for execution
    /// (default 64 MiB). An answer that is awaited counts with the most that it may have: `max_bytes`, or the chain's largest
    /// block where that is longer. One is asked for even where it alone is more. Memory holds decoded blocks besides, which
    /// are about as long.
    pub memory_bytes: usize,
    /// How long an answer may take before somebody else is asked, in ms (default 2,000).
    pub timeout_ms: u64,
    /// How long a peer that gave a wrong answer is left out, in ms (default 60,000).
    pub ban_ms: u64,
    /// How many blocks behind a node that takes part in consensus leaves to the engine (default 8).
    pub gap: u64,
    /// A gap that stays so long, in ms, is closed by catching up, however small (default 500).
    pub patience_ms: u64,
    /// The shortest time between two announcements to a peer, in ms (default 100).
    pub announce_ms: u64,
    /// Finalized blocks that may wait for execution before no more are taken (default 32).
    pub backlog: u64,
}

impl Default for SyncConfig {
    fn default() -> Self {
        SyncConfig {
            batch: 64,
            max_bytes: 4 << 20,
            window: 256,
            memory_bytes: 64 << 20,
            timeout_ms: 2_000,
            ban_ms: 60_000,
            gap: 8,
            patience_ms: 500,
            announce_ms: 100,
            backlog: 32,
        }
    }
}

#[derive(Default)]
struct Peer {
    /// The newest block that it is known to have.
    height: Height,
    /// The request that it hasn't answered.
    asked: Option<(Height, u64, Timestamp)>,
    banned_until: Timestamp,
    /// A status of it whose certificate is being checked.
    status_under_check: bool,
    /// Too late with its last answer: others are asked before.
    slow_until: Timestamp,
    /// The height announced to it last.
    announced: Height,
    announced_at: Timestamp,
    /// How long until the same height is announced again: messages get lost.
    repeat_ms: u64,
    /// Blocks that are being read for it, and the first of them.
    reading: Option<(ReadId, Height)>,
}

/// The same height is announced again after so long, in ms, then after twice as long, and so on.
const REPEAT_MS: u64 = 1_000;
/// The longest of those times, in ms.
const REPEAT_MAX_MS: u64 = 64_000;

impl Peer {
    /// When it may be told of `height`.
    fn announce_at(&self, height: Height, shortest_ms: u64) -> Timestamp {
        match self.announced == height {
            true => self.announced_at.plus(self.repeat_ms.max(shortest_ms)),
            false => self.announced_at.plus(shortest_ms),
        }
    }
}

/// A block with a certificate whose signatures are valid.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) block: Block,
    pub(super) payload: Arc<[u8]>,
    pub(super) certificate: Arc<[u8]>,
}

impl Fetched {
    fn bytes(&self) -> usize {
        self.payload.len().saturating_add(self.certificate.len())
    }
}

/// What an answer's signatures are being checked of.
struct UnderCheck {
    from: Height,
    count: u64,
    bytes: usize,
}

/// Signatures of what came over the sync lane.
pub(super) enum Checking {
    Status {
        peer: PublicKey,
        header: Box<Header>,
    },
    /// A final block at the height of the last one here, which is `here`.
    Rival {
        peer: PublicKey,
        here: Digest,
        there: Box<Checkpoint>,
    },
    Blocks {
        peer: PublicKey,
        blocks: Vec<Fetched>,
    },
}

/// See the [module](self).
pub(super) struct Sync {
    config: SyncConfig,
    peers: BTreeMap<PublicKey, Peer>,
    /// The newest header that is known to be final.
    target: Option<Height>,
    /// Since when there has been a gap.
    behind_since: Option<Timestamp>,
    /// Whether the engine gave up following by itself.
    fell_behind: bool,
    fetched: BTreeMap<Height, Fetched>,
    under_check: Vec<UnderCheck>,
    /// The longest block that there can be, encoded.
    max_block_bytes: usize,
    /// Peers that were left out when they went, and until when: who comes back isn't listened to any earlier.
    gone: BTreeMap<PublicKey, Timestamp>,
    next_read: u64,
}

/// Peers that went while they were left out and are remembered; the one that would be heard first is forgotten first.
const MAX_GONE: usize = 1_024;

impl Sync {
    pub(super) fn new(config: &CoreConfig, max_block_bytes: usize) -> Self {
        Sync {
            config: config.sync.clone(),
            peers: BTreeMap::new(),
            target: None,
            behind_since: None,
            fell_behind: false,
            fetched: BTreeMap::new(),
            under_check: Vec::new(),
            max_block_bytes,
            gone: BTreeMap::new(),
            next_read: 0,
        }
    }

    pub(super) fn connected(&mut self, peer: PublicKey) {
        let banned_until = self.gone.remove(&peer).unwrap_or_default();
        self.peers.insert(peer, Peer { banned_until, ..Peer::default() });
    }

    pub(super) fn disconnected(&mut self, now: Timestamp, peer: &PublicKey) {
        let Some(until) = self.peers.remove(peer).map(|peer| peer.banned_until).filter(|until| *until > now) else {
            return;
        };
        self.gone.retain(|_, until| *until > now);
        if self.gone.len() >= MAX_GONE
            && let Some(first) = self.gone.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.gone.remove(&first);
        }
        self.gone.insert(*peer, until);
    }

    pub(super) fn is_connected(&self, peer: &PublicKey) -> bool {
        self.peers.contains_key(peer)
    }

    /// Somebody finalized `header`, as the engine has checked.
    pub(super) fn fell_behind(&mut self, now: Timestamp, header: &Header) {
        self.fell_behind = true;
        self.aim(now, header.height);
    }

    fn aim(&mut self, now: Timestamp, height: Height) {
        self.target = self.target.max(Some(height));
        self.behind_since.get_or_insert(now);
    }

    /// A message of a peer's, while `tip` is the last final header. Gives what has to be checked of it.
    pub(super) fn received(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        bytes: &[u8],
        tip: &Header,
        (serving, finality): (&mut Serving, &dyn Finality),
        effects: &mut Vec<Effect>,
    ) -> Option<(Checking, Vec<SignatureCheck>)> {
        // Before anything is read of it: it may be long.
        let peer = self.peers.get_mut(&from).filter(|peer| peer.banned_until <= now)?;
        let Ok(message) = codec::decode::<SyncMessage>(bytes) else {
            peer.banned_until = now.plus(self.config.ban_ms);
            return None;
        };
        match message {
            SyncMessage::Status(Checkpoint { header, certificate }) => {
                let differs = header.height == tip.height && header != *tip;
                if !differs && (header.height <= tip.height || header.height <= peer.height) {
                    peer.height = peer.height.max(header.height.min(tip.height));
                    return None;
                }
                if peer.status_under_check {
                    return None;
                }
                let Some(checks) = certified(&header, &certificate, tip, finality) else {
                    peer.banned_until = now.plus(self.config.ban_ms);
                    return None;
                };
                peer.status_under_check = true;
                let checking = match differs {
                    true => {
                        let there = Box::new(Checkpoint { header, certificate });
                        Checking::Rival { peer: from, here: tip.digest(), there }
                    }
                    false => Checking::Status { peer: from, header: Box::new(header) },
                };
                Some((checking, checks))
            }
            SyncMessage::GetBlocks { from: height, count } => {
                if peer.reading.is_none() {
                    self.next_read += 1;
                    let read = ReadId(self.next_read);
                    peer.reading = Some((read, height));
                    let count = count.min(self.config.batch);
                    effects.push(Effect::ReadBlocks { read, from: height, count, max_bytes: self.config.max_bytes });
                }
                None
            }
            SyncMessage::GetSnapshot => {
                serving.snapshot_asked(from, effects);
                None
            }
            SyncMessage::GetPiece { digest, offset } => {
                serving.piece_asked(from, digest, offset, effects);
                None
            }
            // Whoever has begun already needs none.
            SyncMessage::Snapshot(_) | SyncMessage::Piece { .. } => None,
            SyncMessage::Blocks { from: height, blocks } => {
                let (asked, count, _) = peer.asked.take_if(|(asked, ..)| *asked == height)?;
                if blocks.is_empty() {
                    // It doesn't have them after all.
                    peer.height = peer.height.min(Height(asked.0.saturating_sub(1)));
                    return None;
                }
                match self.open(asked, count, blocks, (tip, finality)) {
                    Some((blocks, checks)) => {
                        let (count, bytes) = (blocks.len() as u64, blocks.iter().map(Fetched::bytes).sum());
                        self.under_check.push(UnderCheck { from: asked, count, bytes });
                        Some((Checking::Blocks { peer: from, blocks }, checks))
                    }
                    None => {
                        self.ban(now, &from);
                        None
                    }
                }
            }
        }
    }

    /// The bytes that an answer has at the most, as far as it is read.
    fn answer_bytes(&self) -> usize {
        self.config.max_bytes.max(self.max_block_bytes.saturating_add(BftCertificate::LIMIT))
    }

    /// Reads an answer, as far as it was asked for and has no more bytes than one may; `None` where it can't be true. A longer
    /// one may be the late answer to an earlier question from the same height.
    fn open(
        &self,
        asked: Height,
        count: u64,
        blocks: List<SyncBlock>,
        (tip, finality): (&Header, &dyn Finality),
    ) -> Option<(Vec<Fetched>, Vec<SignatureCheck>)> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (mut fetched, mut checks) = (Vec::with_capacity(blocks.len().min(count)), Vec::new());
        let (mut expected, mut left) = (asked, self.answer_bytes());
        for SyncBlock { payload, certificate } in blocks.into_vec().into_iter().take(count) {
            if payload.len() > self.max_block_bytes || certificate.len() > BftCertificate::LIMIT {
                return None;
            }
            // The first one always fits.
            match left.checked_sub(payload.len().saturating_add(certificate.len())) {
                Some(rest) => left = rest,
                None => break,
            }
            let block = codec::decode::<Block>(&payload).ok()?;
            if block.header.height != expected || !block.is_whole() {
                return None;
            }
            checks.extend(certified(&block.header, &certificate, tip, finality)?);
            let (payload, certificate) = (payload.into_vec().into(), certificate.into_vec().into());
            fetched.push(Fetched { block, payload, certificate });
            expected = expected.next();
        }
        Some((fetched, checks))
    }

    /// The signatures of what a peer sent were checked. Gives a final block beside the one here, and that one's digest.
    pub(super) fn checked(
        &mut self,
        now: Timestamp,
        checking: Checking,
        valid: &[bool],
        finalized: Height,
    ) -> Option<(Digest, Checkpoint)> {
        let valid = valid.iter().all(|valid| *valid);
        match checking {
            Checking::Status { peer: key, header } => {
                let peer = self.peers.get_mut(&key)?;
                peer.status_under_check = false;
                if valid {
                    peer.height = peer.height.max(header.height);
                    if header.height > finalized {
                        self.aim(now, header.height);
                    }
                } else {
                    peer.banned_until = now.plus(self.config.ban_ms);
                }
            }
            Checking::Rival { peer, here, there } => {
                if valid {
                    return Some((here, *there));
                }
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.status_under_check = false;
                }
                self.ban(now, &peer);
            }
            Checking::Blocks { peer, blocks } => {
                let from = blocks.first().map(|first| first.block.header.height);
                if let Some(done) = self.under_check.iter().position(|under| Some(under.from) == from) {
                    self.under_check.swap_remove(done);
                }
                if !valid {
                    self.ban(now, &peer);
                    return None;
                }
                let last = finalized.0.saturating_add(self.config.window);
                for fetched in blocks {
                    let height = fetched.block.header.height;
                    if height > finalized && height.0 <= last {
                        self.fetched.entry(height).or_insert(fetched);
                    }
                }
            }
        }
        None
    }

    /// A peer gave something that can't be true.
    fn ban(&mut self, now: Timestamp, peer: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.banned_until = now.plus(self.config.ban_ms);
            peer.asked = None;
        }
    }

    /// The next block, if it is here and execution keeps up.
    pub(super) fn next(&mut self, finalized: Height, backlog: u64) -> Option<Fetched> {
        self.fetched = self.fetched.split_off(&finalized.next());
        if backlog >= self.config.backlog {
            return None;
        }
        self.fetched.remove(&finalized.next())
    }

    /// Whether this node is behind far enough, or long enough, to ask others.
    fn is_behind(&self, now: Timestamp, finalized: Height, follows: bool) -> bool {
        let Some(target) = self.target.filter(|target| *target > finalized) else { return false };
        let gap = target.0.saturating_sub(finalized.0);
        let patience = self.behind_since.is_some_and(|since| now >= since.plus(self.config.patience_ms));
        !follows || self.fell_behind || gap >= self.config.gap || patience
    }

    /// The heights that somebody was asked for, or has given and that are under check: where each range begins, and the first
    /// height behind it.
    fn on_the_way(&self) -> impl Iterator<Item = (u64, u64)> {
        let asked = self.peers.values().filter_map(|peer| peer.asked).map(|(from, count, _)| (from, count));
        let checked = self.under_check.iter().map(|under| (under.from, under.count));
        asked.chain(checked).map(|(from, count)| (from.0, from.0.saturating_add(count)))
    }

    /// Whether there is room for one more answer beside `backlog` bytes of blocks that wait for execution. The next block
    /// always finds some in the end: what is asked for behind it leaves room for an answer.
    fn has_room(&self, is_next: bool, backlog: usize) -> bool {
        let answer = self.answer_bytes();
        let coming = self.peers.values().filter(|peer| peer.asked.is_some()).count();
        let checked = self.under_check.iter().map(|under| under.bytes);
        let moving = checked.chain([backlog, coming.saturating_mul(answer)]).fold(0, usize::saturating_add);
        let used = self.fetched.values().map(Fetched::bytes).fold(moving, usize::saturating_add);
        let wanted = if is_next { answer } else { answer.saturating_mul(2) };
        used.saturating_add(wanted) <= self.config.memory_bytes || (is_next && moving == 0)
    }

    /// Asks peers for what is missing, while `backlog` bytes of blocks wait for execution. `follows` says that an engine takes
    /// part, which closes small gaps by itself.
    pub(super) fn pump(
        &mut self,
        now: Timestamp,
        finalized: Height,
        (follows, backlog): (bool, usize),
        effects: &mut Vec<Effect>,
    ) {
        if self.target.is_none_or(|target| target <= finalized) {
            self.behind_since = None;
            self.fell_behind = false;
            return;
        }
        if !self.is_behind(now, finalized, follows) {
            return;
        }
        for peer in self.peers.values_mut() {
            // Too late: somebody else is asked. The answer is dropped when it comes.
            if peer.asked.is_some_and(|(_, _, at)| now >= at.plus(self.config.timeout_ms)) {
                peer.asked = None;
                peer.slow_until = now.plus(self.config.timeout_ms);
            }
        }
        let last = finalized.0.saturating_add(self.config.window).min(self.target.map_or(0, |target| target.0));
        let mut from = finalized.0.saturating_add(1);
        while from <= last {
            if let Some((_, end)) = self.on_the_way().find(|(first, end)| (*first..*end).contains(&from)) {
                from = end;
                continue;
            }
            if self.fetched.contains_key(&Height(from)) {
                from += 1;
                continue;
            }
            let fetched = self.fetched.range(Height(from)..).next().map(|(height, _)| height.0);
            let coming = self.on_the_way().map(|(first, _)| first).filter(|first| *first > from);
            let until = coming.chain(fetched).fold(last.saturating_add(1), u64::min);
            let count = self.config.batch.min(until.saturating_sub(from));
            if !self.has_room(from == finalized.0.saturating_add(1), backlog) {
                return;
            }
            let free = self.peers.iter_mut().find(|(_, peer)| {
                peer.asked.is_none() && peer.banned_until.max(peer.slow_until) <= now && peer.height.0 >= from
            });
            let Some((key, peer)) = free else { return };
            peer.asked = Some((Height(from), count, now));
            effects.push(send(*key, &SyncMessage::GetBlocks { from: Height(from), count }));
            from = from.saturating_add(count);
        }
    }

    /// Blocks for a peer were read.
    pub(super) fn read(&mut self, read: ReadId, blocks: &[FinalBlock]) -> Option<Effect> {
        let found = self.peers.iter_mut().find(|(_, peer)| peer.reading.is_some_and(|(reading, _)| reading == read));
        let (key, peer) = found?;
        let (_, from) = peer.reading.take()?;
        let to_block = |block: &FinalBlock| SyncBlock {
            payload: Bytes::from(block.payload.to_vec()),
            certificate: Bytes::from(block.certificate.to_vec()),
        };
        let blocks: Vec<SyncBlock> = blocks.iter().map(to_block).collect();
        Some(send(*key, &SyncMessage::Blocks { from, blocks: blocks.into() }))
    }

    /// Tells peers what this node has, as often as they may be told.
    pub(super) fn announce(&mut self, now: Timestamp, served: &Checkpoint, effects: &mut Vec<Effect>) {
        let mut message: Option<Arc<[u8]>> = None;
        for (key, peer) in &mut self.peers {
            let height = served.header.height;
            if now < peer.announce_at(height, self.config.announce_ms) {
                continue;
            }
            let again = peer.announced == height;
            peer.repeat_ms = if again { peer.repeat_ms.saturating_mul(2).min(REPEAT_MAX_MS) } else { REPEAT_MS };
            (peer.announced, peer.announced_at) = (height, now);
            let bytes = message.get_or_insert_with(|| codec::encode(&SyncMessage::Status(served.clone())).into());
            effects.push(Effect::Send { to: *key, lane: Lane::Sync, bytes: Arc::clone(bytes) });
        }
    }

    /// When time alone gives something to do.
    pub(super) fn wake_at(&self, now: Timestamp, served: Height, finalized: Height) -> Option<Timestamp> {
        let announce = self.peers.values().map(|peer| peer.announce_at(served, self.config.announce_ms));
        let behind = self.target.is_some_and(|target| target > finalized);
        let waiting = self.peers.values().filter(|_| behind);
        let asked = waiting.clone().filter_map(|peer| peer.asked).map(|(.., at)| at.plus(self.config.timeout_ms));
        let free = waiting.map(|peer| peer.banned_until.max(peer.slow_until));
        let patience = self.behind_since.filter(|_| behind).map(|since| since.plus(self.config.patience_ms));
        announce.chain(asked).chain(free).chain(patience).filter(|at| *at > now).min()
    }
}

/// The signatures that make `header` final in the chain of `tip`; `None` where nothing can. A certificate names the chain of
/// its header, and the same validators may decide another one.
fn certified(
    header: &Header,
    certificate: &[u8],
    tip: &Header,
    finality: &dyn Finality,
) -> Option<Vec<SignatureCheck>> {
    finality.checks(header, certificate).ok().filter(|_| header.chain == tip.chain)
}

fn send(to: PublicKey, message: &SyncMessage) -> Effect {
    Effect::Send { to, lane: Lane::Sync, bytes: codec::encode(message).into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
