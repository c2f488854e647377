//! Joining a chain by a snapshot that peers give: a pure state machine.
//!
//! ```text
//!   GetSnapshot ─▶ every validator                      Snapshot(Holding) ─▶ the highest offer
//!   GetPiece ─▶ one who offers it                       manifest ─▶ Effect::Begin: verified, import opened ─▶ Begun{missing}
//!   GetPiece ─▶ all who may have them, a piece each     chunk ─▶ Effect::Add: verified, kept ─▶ Added
//!                                                       … until none is missing ─▶ Effect::Finish
//! ```
//!
//! # Contract
//! - A piece comes from one peer, part by part, so that whoever is blamed for it gave all of it. What a peer's answer can't
//!   be (another length, another place, never asked for, another digest than its name), and a manifest that doesn't verify
//!   or claims another height than it was offered with, leaves the peer out for [`JoinConfig::ban_ms`]. Silence is not
//!   blamed: somebody else is asked, and the peer later.
//! - A chunk that has the digest which its manifest names and doesn't hold the state means that the manifest's maker lied:
//!   the manifest is dropped, and whoever offered it is left out.
//! - Pieces in assembly and pieces that wait to be added take [`JoinConfig::memory_bytes`] at the most, or one piece where a
//!   single one is longer ([`Join::held_bytes`]).
//! - Chunks are asked for by their digests from anybody: two nodes that made snapshots of one height have the same ones.
//! - A break costs what was in assembly: the import says what is missing when it is opened again. If nobody gives the rest,
//!   or the blocks behind the snapshot are given up by most peers while there is a newer one, the newer one is taken.
//! - Only the chain's validators are asked: what most of them say decides whether the blocks from the genesis are taken
//!   instead.

mod events;
mod peers;

pub use events::{Begun, JoinConfig, JoinEffect, JoinEvent, JoinProgress, MissingChunk};

use super::sync_message::{Holding, Offer, SyncMessage};
use ledger_core::snapshot::{chunk_digest, manifest_digest};
use ledger_core::{Height, Timestamp, codec};
use ledger_crypto::{Digest, PublicKey};
use peers::{Assembly, Peers, Piece, Question};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Peers are asked so many times as seldom while pieces come in.
const SELDOM: u64 = 30;

/// So many times the patience without a chunk, and another snapshot is taken if there is one.
const LONG: u64 = 12;

/// Which offer is taken: of those least doubted the highest.
type Rank = (Reverse<u32>, Height, Digest);

/// Manifests that are remembered as not to be taken; the oldest is forgotten first.
const MAX_PASSED: usize = 1_024;

/// What is being fetched.
enum Goal {
    /// An offer has to be chosen.
    Offer,
    /// A manifest is in assembly.
    Manifest(Offer),
    /// A manifest of so many bytes is being verified.
    Begin { offer: Offer, bytes: usize },
    /// Chunks of a verified manifest.
    Chunks(Chunks),
    /// The import is being finished.
    Finish(Digest),
    /// It's over.
    Blocks,
}

struct Chunks {
    manifest: Digest,
    height: Height,
    count: usize,
    /// Neither kept, nor in assembly, nor being added.
    missing: BTreeMap<usize, MissingChunk>,
    /// Being added, with their lengths.
    adding: BTreeMap<usize, usize>,
    /// How many are kept.
    kept: usize,
    /// Since when nobody has what is missing.
    stuck: Option<Timestamp>,
    /// When the last whole chunk came, or the first one was asked for.
    came: Option<Timestamp>,
}

/// See the [module](self).
pub struct Join {
    config: JoinConfig,
    peers: Peers,
    goal: Goal,
    /// Manifests that aren't taken: they lie, or are old.
    passed: VecDeque<Digest>,
    /// Since when there are answers and no offer.
    nothing: Option<Timestamp>,
    /// When the first answer came since an offer was chosen last.
    answered: Option<Timestamp>,
    fetched_bytes: u64,
    wake: Option<Timestamp>,
}

impl Join {
    /// A machine that asks `validators`; `begun` is the import that an earlier attempt has left, opened again.
    pub fn new(validators: impl IntoIterator<Item = PublicKey>, begun: Option<Begun>, config: JoinConfig) -> Self {
        let peers = Peers::new(validators, config.ban_ms);
        let goal = begun.map_or(Goal::Offer, |begun| Goal::Chunks(Chunks::of(begun)));
        let (passed, fetched_bytes) = (VecDeque::new(), 0);
        Join { config, peers, goal, passed, nothing: None, answered: None, fetched_bytes, wake: None }
    }

    /// Takes one event and appends what follows from it to `effects`. `now` must not run backwards.
    pub fn step(&mut self, now: Timestamp, event: JoinEvent, effects: &mut Vec<JoinEffect>) {
        match event {
            JoinEvent::Connected { peer } => self.peers.connected(&peer),
            JoinEvent::Disconnected { peer } => {
                let dropped = self.peers.disconnected(&peer);
                self.put_back(dropped);
            }
            JoinEvent::Received { from, bytes } => self.received(now, from, &bytes, effects),
            JoinEvent::Wake => self.wake = None,
            JoinEvent::Begun(begun) => self.begun(now, begun),
            JoinEvent::Refused { manifest, lie } => self.refused(now, manifest, lie),
            JoinEvent::Added { manifest, chunk, holds } => self.added(now, manifest, chunk, holds),
        }
        self.go_on(now, effects);
    }

    /// Bytes of pieces in assembly, being verified and waiting to be added: each counts in full from its first part on.
    pub fn held_bytes(&self) -> usize {
        let waiting = match &self.goal {
            Goal::Begin { bytes, .. } => *bytes,
            Goal::Chunks(chunks) => chunks.adding.values().sum(),
            _ => 0,
        };
        self.peers.assembled_bytes().saturating_add(waiting)
    }

    /// How far it has come.
    pub fn progress(&self, now: Timestamp) -> JoinProgress {
        let (height, chunks, kept) = match &self.goal {
            Goal::Chunks(chunks) => (Some(chunks.height), chunks.count, chunks.kept),
            _ => (None, 0, 0),
        };
        let (peers, banned) = (self.peers.usable(now).count(), self.peers.bans());
        JoinProgress { peers, banned, height, chunks, kept, fetched_bytes: self.fetched_bytes }
    }

    fn received(&mut self, now: Timestamp, from: PublicKey, bytes: &[u8], effects: &mut Vec<JoinEffect>) {
        if !self.peers.listens_to(now, &from) {
            return;
        }
        match SyncMessage::about_snapshots(bytes) {
            Some(Ok(SyncMessage::Snapshot(holding))) => {
                if holding.snapshot.is_some_and(|offer| !offer.is_possible()) {
                    return self.ban(now, &from);
                }
                let current = self.current();
                if self.peers.holds(&from, holding, current) {
                    self.answered.get_or_insert(now);
                }
            }
            Some(Ok(SyncMessage::Piece { digest, offset, bytes })) => {
                self.fetched_bytes = self.fetched_bytes.saturating_add(bytes.len() as u64);
                self.part(now, from, (digest, offset), bytes.into_vec(), effects);
            }
            Some(Err(_)) => self.ban(now, &from),
            _ => {}
        }
    }

    /// A part of a piece came.
    fn part(
        &mut self,
        now: Timestamp,
        from: PublicKey,
        part: (Digest, u32),
        bytes: Vec<u8>,
        effects: &mut Vec<JoinEffect>,
    ) {
        match self.peers.part(&from, part, bytes) {
            peers::Came::More | peers::Came::Late => {}
            peers::Came::Lacks(piece) => {
                if matches!(piece, Piece::Manifest) {
                    self.peers.retract(&from);
                }
                self.put_back(Some(piece));
            }
            peers::Came::Wrong(piece) => {
                self.put_back(piece);
                self.ban(now, &from);
            }
            peers::Came::Whole(Assembly { piece: Piece::Manifest, digest, bytes, .. }) => {
                let Goal::Manifest(offer) = self.goal else { return };
                if manifest_digest(&bytes) != digest {
                    self.goal = Goal::Offer;
                    return self.ban(now, &from);
                }
                self.goal = Goal::Begin { offer, bytes: bytes.len() };
                effects.push(JoinEffect::Begin { manifest: digest, bytes });
            }
            peers::Came::Whole(Assembly { piece: Piece::Chunk(chunk), digest, bytes, .. }) => {
                if chunk_digest(&bytes) != digest {
                    self.put_back(Some(Piece::Chunk(chunk)));
                    return self.ban(now, &from);
                }
                self.peers.gave(&from);
                let Goal::Chunks(chunks) = &mut self.goal else { return };
                chunks.came = Some(now);
                chunks.adding.insert(chunk.index, bytes.len());
                effects.push(JoinEffect::Add { manifest: chunks.manifest, chunk: chunk.index, bytes });
            }
        }
    }

    fn begun(&mut self, now: Timestamp, begun: Begun) {
        let Goal::Begin { offer, .. } = self.goal else { return };
        if offer.manifest != begun.manifest {
            return;
        }
        // Whoever offered it had it, and so knew its height.
        for peer in self.peers.who_offer(&begun.manifest, |offer| offer.height != begun.height) {
            self.ban(now, &peer);
        }
        if offer.height != begun.height && self.peers.who_offer(&begun.manifest, |_| true).is_empty() {
            // It may be old. Whoever offers it with its height may still give it.
            self.goal = Goal::Offer;
            return;
        }
        self.goal = Goal::Chunks(Chunks::of(begun));
        self.peers.forget_lacks();
    }

    fn refused(&mut self, now: Timestamp, manifest: Digest, lie: bool) {
        if self.current() != Some(manifest) {
            return;
        }
        if lie {
            for peer in self.peers.who_offer(&manifest, |_| true) {
                self.ban(now, &peer);
            }
        }
        self.never_again(manifest);
    }

    fn added(&mut self, now: Timestamp, manifest: Digest, chunk: usize, holds: bool) {
        let Goal::Chunks(chunks) = &mut self.goal else { return };
        if chunks.manifest != manifest || chunks.adding.remove(&chunk).is_none() {
            return;
        }
        chunks.kept += 1;
        if !holds {
            self.refused(now, manifest, true);
        }
    }

    /// The manifest that is being fetched, or whose chunks are.
    fn current(&self) -> Option<Digest> {
        match &self.goal {
            Goal::Manifest(offer) | Goal::Begin { offer, .. } => Some(offer.manifest),
            Goal::Chunks(chunks) => Some(chunks.manifest),
            Goal::Finish(manifest) => Some(*manifest),
            Goal::Offer | Goal::Blocks => None,
        }
    }

    fn ban(&mut self, now: Timestamp, peer: &PublicKey) {
        let dropped = self.peers.ban(now, peer);
        self.put_back(dropped);
    }

    /// A piece that isn't in assembly any more is missing again.
    fn put_back(&mut self, piece: Option<Piece>) {
        match (piece, &mut self.goal) {
            (Some(Piece::Manifest), goal @ Goal::Manifest(_)) => *goal = Goal::Offer,
            (Some(Piece::Chunk(chunk)), Goal::Chunks(chunks)) => {
                chunks.missing.insert(chunk.index, chunk);
            }
            _ => {}
        }
    }

    /// Takes another snapshot from now on.
    fn never_again(&mut self, manifest: Digest) {
        if self.passed.len() >= MAX_PASSED {
            self.passed.pop_front();
        }
        self.passed.push_back(manifest);
        self.choose_anew();
    }

    /// Its pieces don't come: whoever offers it is believed after the others from now on. Any manifest of it can be made
    /// anew with other chunks, so it isn't the manifest that is remembered.
    fn give_up(&mut self, manifest: &Digest) {
        for peer in self.peers.who_offer(manifest, |_| true) {
            self.peers.doubt(&peer);
        }
        self.choose_anew();
    }

    fn choose_anew(&mut self) {
        self.peers.drop_assemblies();
        self.peers.ask_all_again();
        self.peers.forget_lacks();
        self.goal = Goal::Offer;
        (self.answered, self.nothing) = (None, None);
    }

    fn go_on(&mut self, now: Timestamp, effects: &mut Vec<JoinEffect>) {
        for piece in self.peers.time_out(now, self.config.timeout_ms) {
            self.put_back(Some(piece));
        }
        if matches!(self.goal, Goal::Finish(_) | Goal::Blocks) {
            return;
        }
        self.leave_what_is_stale(now);
        let seldom = match &self.goal {
            Goal::Chunks(chunks) if chunks.stuck.is_none() => SELDOM,
            Goal::Manifest(_) | Goal::Begin { .. } => SELDOM,
            _ => 1,
        };
        let again_ms = self.config.ask_ms.saturating_mul(seldom);
        for to in self.peers.due_to_be_asked(now, again_ms) {
            effects.push(send(to, &SyncMessage::GetSnapshot));
        }
        if matches!(self.goal, Goal::Offer) {
            self.choose(now, effects);
        }
        self.ask_for_pieces(now, effects);
        self.finish(now, effects);
        self.ask_for_wake(now, again_ms, effects);
    }

    /// Chooses the highest offer of those who have kept their word best, or the blocks from the genesis.
    fn choose(&mut self, now: Timestamp, effects: &mut Vec<JoinEffect>) {
        let Some(since) = self.answered else { return };
        if !self.peers.have_all_answered(now) && now < since.plus(self.config.gather_ms) {
            return;
        }
        let mut best: Option<(Rank, Offer, PublicKey)> = None;
        let mut any = false;
        for (key, offer) in self.peers.offers(now).filter(|(_, offer)| !self.passed.contains(&offer.manifest)) {
            any = true;
            let rank = (Reverse(self.peers.doubts(&key)), offer.height, offer.manifest);
            if self.peers.is_free(now, &key) && best.as_ref().is_none_or(|(best, ..)| rank > *best) {
                best = Some((rank, offer, key));
            }
        }
        if let Some((_, offer, from)) = best {
            self.nothing = None;
            self.goal = Goal::Manifest(offer);
            self.peers.assemble(&from, Piece::Manifest, offer.manifest, offer.length);
        } else if any {
            self.nothing = None;
        } else if now >= self.nothing.get_or_insert(now).plus(self.config.patience_ms)
            && self.peers.most(now, |holding| holding.first <= Height(1) && !holding.making)
        {
            self.goal = Goal::Blocks;
            effects.push(JoinEffect::TakeBlocks);
        }
    }

    /// Where there is another snapshot: one behind which most peers have given up the blocks is of no use, and one of
    /// which nothing has come for long may be held back by the only one who has it.
    fn leave_what_is_stale(&mut self, now: Timestamp) {
        let Goal::Chunks(chunks) = &mut self.goal else { return };
        let (manifest, height, came) = (chunks.manifest, chunks.height, *chunks.came.get_or_insert(now));
        let others = || {
            let offers = self.peers.offers(now).map(|(_, offer)| offer);
            offers.filter(|offer| offer.manifest != manifest && !self.passed.contains(&offer.manifest))
        };
        let stale = self.peers.most(now, |holding: &Holding| holding.first > height.next());
        if stale && others().any(|offer| offer.height > height) {
            self.never_again(manifest);
        } else if now >= came.plus(self.long_ms()) && others().next().is_some() {
            self.give_up(&manifest);
        }
    }

    fn long_ms(&self) -> u64 {
        self.config.patience_ms.saturating_mul(LONG)
    }

    /// Gives every peer that is free something to do, as far as there is memory.
    fn ask_for_pieces(&mut self, now: Timestamp, effects: &mut Vec<JoinEffect>) {
        if let Goal::Chunks(chunks) = &mut self.goal {
            let waiting: usize = chunks.adding.values().sum();
            let mut held = self.peers.assembled_bytes().saturating_add(waiting);
            for peer in self.peers.free(now, &chunks.manifest) {
                let Some((index, chunk)) = chunks.missing.first_key_value() else { break };
                let (index, chunk) = (*index, *chunk);
                let length = usize::try_from(chunk.length).unwrap_or(usize::MAX);
                if held > 0 && held.saturating_add(length) > self.config.memory_bytes {
                    break;
                }
                held = held.saturating_add(length);
                chunks.missing.remove(&index);
                self.peers.assemble(&peer, Piece::Chunk(chunk), chunk.digest, chunk.length);
            }
        }
        for (to, Question { digest, offset }) in self.peers.questions(now) {
            effects.push(send(to, &SyncMessage::GetPiece { digest, offset }));
        }
    }

    /// Finishes when all is here; takes another snapshot when nobody has what is missing.
    fn finish(&mut self, now: Timestamp, effects: &mut Vec<JoinEffect>) {
        let Goal::Chunks(chunks) = &mut self.goal else { return };
        let manifest = chunks.manifest;
        if chunks.kept >= chunks.count {
            self.goal = Goal::Finish(manifest);
            effects.push(JoinEffect::Finish { manifest });
            return;
        }
        if !chunks.adding.is_empty() || !self.peers.all_lack(now) {
            chunks.stuck = None;
        } else if now >= chunks.stuck.get_or_insert(now).plus(self.config.patience_ms) {
            self.give_up(&manifest);
        }
    }

    fn ask_for_wake(&mut self, now: Timestamp, again_ms: u64, effects: &mut Vec<JoinEffect>) {
        let since = |since: Option<Timestamp>, after: u64| since.map(|since| since.plus(after));
        let (stuck, came) = match &self.goal {
            Goal::Chunks(chunks) => (chunks.stuck, chunks.came),
            _ => (None, None),
        };
        let wanted = [
            self.peers.wake_at(now, self.config.timeout_ms, again_ms),
            since(self.answered, self.config.gather_ms),
            since(self.nothing, self.config.patience_ms),
            since(stuck, self.config.patience_ms),
            since(came, self.long_ms()),
        ];
        let wanted = wanted.into_iter().flatten().filter(|at| *at > now).min();
        if let Some(at) = wanted
            && self.wake.is_none_or(|wake| at < wake || wake <= now)
        {
            self.wake = Some(at);
            effects.push(JoinEffect::Wake(at));
        }
    }
}

impl Chunks {
    fn of(begun: Begun) -> Self {
        let Begun { manifest, height, chunks: count, missing } = begun;
        let missing: BTreeMap<_, _> = missing.into_iter().map(|chunk| (chunk.index, chunk)).collect();
        let kept = count.saturating_sub(missing.len());
        Chunks { manifest, height, count, missing, adding: BTreeMap::new(), kept, stuck: None, came: None }
    }
}

fn send(to: PublicKey, message: &SyncMessage) -> JoinEffect {
    JoinEffect::Send { to, bytes: codec::encode(message).into() }
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("held_bytes", &self.held_bytes()).finish_non_exhaustive()
    }
}
