//! The peers of a node that joins: what each says that it has, what it was asked, and what it has given so far.

use super::MissingChunk;
use crate::core::sync_message::{Holding, Offer, PART_BYTES};
use ledger_core::Timestamp;
use ledger_crypto::{Digest, PublicKey};
use std::collections::BTreeMap;

/// What is put together from parts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    Manifest,
    Chunk(MissingChunk),
}

/// A piece that one peer is giving.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) piece: Piece,
    pub(super) digest: Digest,
    length: u32,
    pub(super) bytes: Vec<u8>,
    /// The part that was asked for, if one was.
    asked: Option<Timestamp>,
}

impl Assembly {
    fn offset(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    fn next_part(&self) -> usize {
        self.length.saturating_sub(self.offset()).min(PART_BYTES) as usize
    }
}

/// A part to be asked for.
pub(super) struct Question {
    pub(super) digest: Digest,
    pub(super) offset: u32,
}

/// What a part was.
pub(super) enum Came {
    /// There is more to come.
    More,
    /// Nobody asked for it any more.
    Late,
    /// The peer doesn't have it.
    Lacks(Piece),
    /// The whole of its piece.
    Whole(Assembly),
    /// It can't be.
    Wrong(Option<Piece>),
}

#[derive(Default)]
struct Peer {
    connected: bool,
    banned_until: Timestamp,
    /// How often it offered what nobody gave.
    doubts: u32,
    /// It was too late: others are asked before.
    slow_until: Timestamp,
    /// Whether an answer to an older question may still come.
    late: bool,
    /// When it was asked what it has.
    asked_at: Option<Timestamp>,
    /// Whether it hasn't answered that yet.
    open: bool,
    holding: Option<Holding>,
    /// It said that it doesn't have a piece of the present snapshot: it isn't asked for any until it offers that again.
    lacks: bool,
    /// It said so, and has given no whole piece since.
    lacked: bool,
    assembly: Option<Assembly>,
}

impl Peer {
    /// What is remembered of it beyond a connection.
    fn anew(&self) -> Self {
        Peer { banned_until: self.banned_until, doubts: self.doubts, ..Peer::default() }
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        self.connected && self.banned_until <= now
    }

    fn is_free(&self, now: Timestamp) -> bool {
        self.is_usable(now) && self.slow_until <= now && self.assembly.is_none()
    }
}

/// See the [module](self). There are as many as the chain has validators.
pub(super) struct Peers {
    peers: BTreeMap<PublicKey, Peer>,
    ban_ms: u64,
    bans: u64,
}

impl Peers {
    pub(super) fn new(keys: impl IntoIterator<Item = PublicKey>, ban_ms: u64) -> Self {
        Peers { peers: keys.into_iter().map(|key| (key, Peer::default())).collect(), ban_ms, bans: 0 }
    }

    pub(super) fn connected(&mut self, key: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            *peer = Peer { connected: true, ..peer.anew() };
        }
    }

    /// Gives the piece that it won't give any more.
    pub(super) fn disconnected(&mut self, key: &PublicKey) -> Option<Piece> {
        let peer = self.peers.get_mut(key)?;
        let anew = peer.anew();
        let before = std::mem::replace(peer, anew);
        before.assembly.map(|assembly| assembly.piece)
    }

    pub(super) fn listens_to(&self, now: Timestamp, key: &PublicKey) -> bool {
        self.peers.get(key).is_some_and(|peer| peer.is_usable(now))
    }

    pub(super) fn is_free(&self, now: Timestamp, key: &PublicKey) -> bool {
        self.peers.get(key).is_some_and(|peer| peer.is_free(now))
    }

    pub(super) fn usable(&self, now: Timestamp) -> impl Iterator<Item = &PublicKey> {
        self.peers.iter().filter(move |(_, peer)| peer.is_usable(now)).map(|(key, _)| key)
    }

    pub(super) fn bans(&self) -> u64 {
        self.bans
    }

    /// Leaves a peer out for a while; gives the piece that it was giving.
    pub(super) fn ban(&mut self, now: Timestamp, key: &PublicKey) -> Option<Piece> {
        let peer = self.peers.get_mut(key)?;
        self.bans += 1;
        peer.banned_until = now.plus(self.ban_ms);
        (peer.holding, peer.open, peer.asked_at, peer.late) = (None, false, None, true);
        peer.assembly.take().map(|assembly| assembly.piece)
    }

    /// Whether a peer that was asked says what it has. `current` is the manifest that is being fetched.
    pub(super) fn holds(&mut self, key: &PublicKey, holding: Holding, current: Option<Digest>) -> bool {
        let Some(peer) = self.peers.get_mut(key) else { return false };
        if !std::mem::take(&mut peer.open) {
            return false;
        }
        if current.is_some() && holding.snapshot.map(|offer| offer.manifest) == current {
            peer.lacks = false;
        }
        peer.holding = Some(holding);
        true
    }

    /// Those who are to be asked what they have, now.
    pub(super) fn due_to_be_asked(&mut self, now: Timestamp, again_ms: u64) -> Vec<PublicKey> {
        let is_due = |peer: &Peer| peer.is_usable(now) && peer.asked_at.is_none_or(|at| now >= at.plus(again_ms));
        let mut keys = Vec::new();
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| is_due(peer)) {
            (peer.asked_at, peer.open) = (Some(now), true);
            keys.push(*key);
        }
        keys
    }

    pub(super) fn ask_all_again(&mut self) {
        for peer in self.peers.values_mut() {
            (peer.holding, peer.asked_at) = (None, None);
        }
    }

    /// There is another snapshot now.
    pub(super) fn forget_lacks(&mut self) {
        for peer in self.peers.values_mut() {
            (peer.lacks, peer.lacked) = (false, false);
        }
    }

    /// What it offered it doesn't give, until it says again that it has it.
    pub(super) fn retract(&mut self, key: &PublicKey) {
        if let Some(holding) = self.peers.get_mut(key).and_then(|peer| peer.holding.as_mut()) {
            holding.snapshot = None;
        }
    }

    pub(super) fn doubt(&mut self, key: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.doubts = peer.doubts.saturating_add(1);
        }
    }

    pub(super) fn doubts(&self, key: &PublicKey) -> u32 {
        self.peers.get(key).map_or(0, |peer| peer.doubts)
    }

    /// The piece that it gave has the right digest.
    pub(super) fn gave(&mut self, key: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.lacked = false;
        }
    }

    /// Whether every validator has, those included that aren't connected yet.
    pub(super) fn have_all_answered(&self, now: Timestamp) -> bool {
        self.peers.values().filter(|peer| peer.banned_until <= now).all(|peer| peer.holding.is_some())
    }

    /// Whether more than half of those who have answered say so.
    pub(super) fn most(&self, now: Timestamp, says: impl Fn(&Holding) -> bool) -> bool {
        let answers = self.peers.values().filter(|peer| peer.is_usable(now)).filter_map(|peer| peer.holding.as_ref());
        let (mut all, mut so) = (0_usize, 0_usize);
        for holding in answers {
            all += 1;
            so += usize::from(says(holding));
        }
        so * 2 > all
    }

    pub(super) fn offers(&self, now: Timestamp) -> impl Iterator<Item = (PublicKey, Offer)> {
        let usable = self.peers.iter().filter(move |(_, peer)| peer.is_usable(now));
        usable.filter_map(|(key, peer)| Some((*key, peer.holding.as_ref()?.snapshot?)))
    }

    /// Those who offer a manifest, in words of which `wanted` holds.
    pub(super) fn who_offer(&self, manifest: &Digest, wanted: impl Fn(&Offer) -> bool) -> Vec<PublicKey> {
        let offer = |peer: &Peer| peer.holding.as_ref().and_then(|holding| holding.snapshot);
        let is_one = |peer: &Peer| offer(peer).is_some_and(|offer| offer.manifest == *manifest && wanted(&offer));
        self.peers.iter().filter(|(_, peer)| is_one(peer)).map(|(key, _)| *key).collect()
    }

    /// Those who may be asked for a piece of a manifest's: who offer it come first.
    pub(super) fn free(&self, now: Timestamp, manifest: &Digest) -> Vec<PublicKey> {
        let may = |peer: &Peer| peer.is_free(now) && !peer.lacks;
        let offers = |peer: &Peer| {
            let offer = peer.holding.as_ref().and_then(|holding| holding.snapshot);
            offer.is_some_and(|offer| offer.manifest == *manifest)
        };
        let free = |first: bool| {
            self.peers.iter().filter(move |(_, peer)| may(peer) && offers(peer) == first).map(|(key, _)| *key)
        };
        free(true).chain(free(false)).collect()
    }

    /// Whether everybody who is here said that it lacks what was asked, and has given nothing since.
    pub(super) fn all_lack(&self, now: Timestamp) -> bool {
        let mut usable = self.peers.values().filter(|peer| peer.is_usable(now)).peekable();
        usable.peek().is_some() && usable.all(|peer| peer.lacked)
    }

    /// From now on the peer gives this piece.
    pub(super) fn assemble(&mut self, key: &PublicKey, piece: Piece, digest: Digest, length: u32) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.assembly = Some(Assembly { piece, digest, length, bytes: Vec::new(), asked: None });
        }
    }

    pub(super) fn drop_assemblies(&mut self) {
        for peer in self.peers.values_mut() {
            // The answer may be under way.
            peer.late |= peer.assembly.take().is_some_and(|assembly| assembly.asked.is_some());
        }
    }

    /// Bytes of all pieces in assembly, each in full.
    pub(super) fn assembled_bytes(&self) -> usize {
        let assemblies = self.peers.values().filter_map(|peer| peer.assembly.as_ref());
        assemblies.map(|assembly| usize::try_from(assembly.length).unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
    }

    /// The parts to be asked for now.
    pub(super) fn questions(&mut self, now: Timestamp) -> Vec<(PublicKey, Question)> {
        let mut questions = Vec::new();
        for (key, peer) in &mut self.peers {
            let Some(assembly) = peer.assembly.as_mut().filter(|assembly| assembly.asked.is_none()) else { continue };
            assembly.asked = Some(now);
            questions.push((*key, Question { digest: assembly.digest, offset: assembly.offset() }));
        }
        questions
    }

    /// Gives up what wasn't answered in time.
    pub(super) fn time_out(&mut self, now: Timestamp, timeout_ms: u64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for peer in self.peers.values_mut() {
            let asked = peer.assembly.as_ref().and_then(|assembly| assembly.asked);
            if asked.is_some_and(|at| now >= at.plus(timeout_ms)) {
                peer.slow_until = now.plus(timeout_ms);
                peer.late = true;
                pieces.extend(peer.assembly.take().map(|assembly| assembly.piece));
            }
        }
        pieces
    }

    /// A part came from a peer.
    pub(super) fn part(&mut self, key: &PublicKey, (digest, offset): (Digest, u32), bytes: Vec<u8>) -> Came {
        let Some(peer) = self.peers.get_mut(key) else { return Came::Late };
        let asked =
            |assembly: &Assembly| assembly.asked.is_some() && assembly.digest == digest && assembly.offset() == offset;
        let Some(mut assembly) = peer.assembly.take_if(|assembly| asked(assembly)) else {
            return match peer.late {
                true => Came::Late,
                false => Came::Wrong(peer.assembly.take().map(|assembly| assembly.piece)),
            };
        };
        if bytes.is_empty() && assembly.length > 0 {
            (peer.lacks, peer.lacked) = (true, true);
            return Came::Lacks(assembly.piece);
        }
        if bytes.len() != assembly.next_part() {
            return Came::Wrong(Some(assembly.piece));
        }
        match assembly.bytes.is_empty() {
            true => assembly.bytes = bytes,
            false => {
                let left = usize::try_from(assembly.length.saturating_sub(assembly.offset())).unwrap_or(0);
                assembly.bytes.reserve_exact(left);
                assembly.bytes.extend_from_slice(&bytes);
            }
        }
        assembly.asked = None;
        if assembly.offset() >= assembly.length {
            return Came::Whole(assembly);
        }
        peer.assembly = Some(assembly);
        Came::More
    }

    /// When time alone gives something to do.
    pub(super) fn wake_at(&self, now: Timestamp, timeout_ms: u64, again_ms: u64) -> Option<Timestamp> {
        let connected = self.peers.values().filter(|peer| peer.connected);
        let times = connected.flat_map(|peer| {
            let part = peer.assembly.as_ref().and_then(|assembly| assembly.asked).map(|at| at.plus(timeout_ms));
            let again = peer.asked_at.map(|at| at.plus(again_ms));
            [part, again, Some(peer.slow_until), Some(peer.banned_until)]
        });
        times.flatten().filter(|at| *at > now).min()
    }
}
