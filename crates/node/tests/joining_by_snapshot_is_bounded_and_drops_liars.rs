//! The machine that joins a chain by a snapshot, alone against peers that are honest, slow, gone or lie, in a world of
//! messages and times that follows from a seed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use ledger_core::codec::{self, Bytes};
use ledger_core::snapshot::{chunk_digest, manifest_digest};
use ledger_core::{Height, Timestamp};
use ledger_crypto::{Digest, PublicKey};
use ledger_node::core::join::{Begun, Join, JoinConfig, JoinEffect, JoinEvent, MissingChunk};
use ledger_node::core::{Holding, Offer, PART_BYTES, SyncMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A generator of Steele, Lea and Flood (SplitMix64).
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What of a snapshot the machine sees: bytes with digests. Whether they are true, the world says.
#[derive(Clone)]
struct Made {
    height: Height,
    manifest: Vec<u8>,
    chunks: Vec<Vec<u8>>,
    /// Whether the manifest verifies; the index of a chunk that doesn't hold the state.
    valid: bool,
    false_chunk: Option<usize>,
}

impl Made {
    fn new(random: &mut Random, height: u64, chunks: usize, longest: u64) -> Self {
        let mut bytes = |length: u64| (0..length).map(|_| random.draw() as u8).collect::<Vec<u8>>();
        let lengths: Vec<u64> =
            (0..chunks as u64).map(|chunk| 1 + (chunk * 7_919 + 13) * longest / 11 % longest).collect();
        let chunks = lengths.into_iter().map(&mut bytes).collect();
        Made { height: Height(height), manifest: bytes(300), chunks, valid: true, false_chunk: None }
    }

    fn digest(&self) -> Digest {
        manifest_digest(&self.manifest)
    }

    fn offer(&self) -> Offer {
        Offer::of(&self.manifest, self.height)
    }

    fn piece(&self, digest: &Digest) -> Option<&[u8]> {
        if self.digest() == *digest {
            return Some(&self.manifest);
        }
        self.chunks.iter().find(|chunk| chunk_digest(chunk) == *digest).map(Vec::as_slice)
    }

    fn missing(&self, kept: &BTreeSet<usize>) -> Vec<MissingChunk> {
        let chunks = self.chunks.iter().enumerate().filter(|(index, _)| !kept.contains(index));
        let missing = chunks.map(|(index, chunk)| MissingChunk {
            index,
            digest: chunk_digest(chunk),
            length: chunk.len() as u32,
        });
        missing.collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    FlipsABit,
    ManifestThatVerifiesNot,
    ManifestWithAFalseChunk,
    ClaimsAGreaterHeight,
    AnotherOffset,
    ShortPart,
    LongPart,
    UnaskedPieces,
    Garbage,
    NeverAnswers,
    LacksWhatItOffers,
    GivesAllButOneChunk,
}

const LIES: [Lie; 12] = [
    Lie::FlipsABit,
    Lie::ManifestThatVerifiesNot,
    Lie::ManifestWithAFalseChunk,
    Lie::ClaimsAGreaterHeight,
    Lie::AnotherOffset,
    Lie::ShortPart,
    Lie::LongPart,
    Lie::UnaskedPieces,
    Lie::Garbage,
    Lie::NeverAnswers,
    Lie::LacksWhatItOffers,
    Lie::GivesAllButOneChunk,
];

impl Lie {
    /// Whether what it gives proves that it lies.
    fn is_provable(self) -> bool {
        !matches!(self, Lie::NeverAnswers | Lie::LacksWhatItOffers | Lie::GivesAllButOneChunk)
    }
}

struct Peer {
    key: PublicKey,
    lie: Option<Lie>,
    made: Option<Made>,
    holding: Holding,
    connected: bool,
}

enum Happening {
    Arrive { from: usize, message: SyncMessage },
    Raw { from: usize, bytes: Vec<u8> },
    Event(JoinEvent),
    Toggle { peer: usize },
}

/// The world around one machine.
struct World {
    random: Random,
    config: JoinConfig,
    now: u64,
    peers: Vec<Peer>,
    manifests: BTreeMap<Digest, Made>,
    join: Join,
    queue: BTreeMap<(u64, u64), Happening>,
    count: u64,
    wake: Option<u64>,
    loss: u64,
    /// What the import has kept, of which manifest.
    kept: Option<(Digest, BTreeSet<usize>)>,
    most_held: usize,
    requests: BTreeMap<usize, u64>,
    parts_of_chunks: u64,
    /// Parts that weren't what was asked for.
    bad_parts: u64,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished(Height),
    Blocks,
}

fn key(number: usize) -> PublicKey {
    use ledger_crypto::{MemorySigner, Signer};
    MemorySigner::from_seed([number as u8 + 1; 32]).public_key()
}

impl World {
    fn new(seed: u64, config: JoinConfig, honest: Vec<Option<Made>>, lies: &[Lie]) -> Self {
        let mut random = Random(seed);
        let (mut peers, mut manifests) = (Vec::new(), BTreeMap::new());
        let whole = |made: &Option<Made>| Holding {
            first: Height(1),
            newest: Height(1_000),
            making: false,
            snapshot: made.as_ref().map(Made::offer),
        };
        let model = honest.iter().flatten().next().cloned();
        for made in honest {
            if let Some(made) = &made {
                manifests.insert(made.digest(), made.clone());
            }
            let holding = whole(&made);
            peers.push(Peer { key: key(peers.len()), lie: None, made, holding, connected: false });
        }
        for lie in lies {
            let mut made = model.clone().unwrap_or_else(|| Made::new(&mut random, 50, 3, 1_000));
            match lie {
                Lie::ManifestThatVerifiesNot => (made.manifest, made.valid) = (vec![9; 500], false),
                Lie::ManifestWithAFalseChunk => {
                    made.manifest = vec![8; 400];
                    made.false_chunk = Some(made.chunks.len() / 2);
                }
                // True, and of a height that nobody else has.
                Lie::GivesAllButOneChunk | Lie::LacksWhatItOffers => made = Made::new(&mut random, 999, 4, 1_000),
                _ => {}
            }
            manifests.entry(made.digest()).or_insert_with(|| made.clone());
            let mut holding = whole(&Some(made.clone()));
            let claims_more =
                matches!(lie, Lie::ManifestThatVerifiesNot | Lie::ManifestWithAFalseChunk | Lie::ClaimsAGreaterHeight);
            if let (true, Some(offer)) = (claims_more, holding.snapshot.as_mut()) {
                offer.height = Height(u64::MAX);
            }
            if *lie == Lie::ManifestWithAFalseChunk
                && let Some(offer) = holding.snapshot.as_mut()
            {
                // Only its chunk is to give it away.
                made.height = Height(998);
                offer.height = made.height;
                manifests.insert(made.digest(), made.clone());
            }
            peers.push(Peer { key: key(peers.len()), lie: Some(*lie), made: Some(made), holding, connected: false });
        }
        let join = Join::new(peers.iter().map(|peer| peer.key), None, config.clone());
        let mut world = World {
            random,
            config,
            now: 1_000,
            peers,
            manifests,
            join,
            queue: BTreeMap::new(),
            count: 0,
            wake: None,
            loss: 0,
            kept: None,
            most_held: 0,
            requests: BTreeMap::new(),
            parts_of_chunks: 0,
            bad_parts: 0,
            end: None,
        };
        for peer in 0..world.peers.len() {
            let at = world.random.below(30);
            world.at(at, Happening::Toggle { peer });
        }
        world
    }

    fn at(&mut self, after: u64, happening: Happening) {
        self.count += 1;
        self.queue.insert((self.now + after, self.count), happening);
    }

    /// Runs until the end, or for so many ms.
    fn run(&mut self, longest: u64) -> Option<End> {
        let end = self.now + longest;
        while self.end.is_none() && self.now < end {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (next, self.wake) {
                (next, Some(wake)) if next.is_none_or(|next| wake < next) => {
                    (self.now, self.wake) = (self.now.max(wake), None);
                    self.step(JoinEvent::Wake);
                }
                (Some(_), _) => {
                    let ((at, _), happening) = self.queue.pop_first().unwrap();
                    self.now = self.now.max(at);
                    self.happen(happening);
                }
                // A machine that waits for nobody and nothing has forgotten itself.
                _ => panic!("nothing is left to happen at {}", self.now),
            }
        }
        self.end
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Toggle { peer } => {
                let one = &mut self.peers[peer];
                one.connected = !one.connected;
                let (peer, connected) = (one.key, one.connected);
                self.step(if connected { JoinEvent::Connected { peer } } else { JoinEvent::Disconnected { peer } });
            }
            Happening::Arrive { from, message } => {
                if self.peers[from].connected {
                    let bytes = codec::encode(&message).into();
                    self.step(JoinEvent::Received { from: self.peers[from].key, bytes });
                }
            }
            Happening::Raw { from, bytes } => {
                self.step(JoinEvent::Received { from: self.peers[from].key, bytes: bytes.into() });
            }
            Happening::Event(event) => self.step(event),
        }
    }

    fn step(&mut self, event: JoinEvent) {
        let mut effects = Vec::new();
        self.join.step(Timestamp(self.now), event, &mut effects);
        let pieces = self.manifests.values().flat_map(|made| made.chunks.iter().chain([&made.manifest]));
        let bound = self.config.memory_bytes.max(pieces.map(Vec::len).max().unwrap_or(0));
        self.most_held = self.most_held.max(self.join.held_bytes());
        assert!(self.join.held_bytes() <= bound, "{} bytes held", self.join.held_bytes());
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: JoinEffect) {
        match effect {
            JoinEffect::Send { to, bytes } => {
                let peer = self.peers.iter().position(|peer| peer.key == to).unwrap();
                *self.requests.entry(peer).or_default() += 1;
                let message = codec::decode(&bytes).unwrap();
                if self.peers[peer].connected && !self.random.chance(self.loss) {
                    self.answer(peer, message);
                }
            }
            JoinEffect::Begin { manifest, bytes } => {
                assert_eq!(manifest_digest(&bytes), manifest);
                let made = self.manifests.get(&manifest).cloned();
                let event = match made.filter(|made| made.valid) {
                    Some(made) => {
                        if self.kept.as_ref().is_none_or(|(kept, _)| *kept != manifest) {
                            self.kept = Some((manifest, BTreeSet::new()));
                        }
                        JoinEvent::Begun(self.begun(&made))
                    }
                    None => JoinEvent::Refused { manifest, lie: true },
                };
                self.at(3, Happening::Event(event));
            }
            JoinEffect::Add { manifest, chunk, bytes } => {
                let made = &self.manifests[&manifest];
                assert_eq!(bytes, made.chunks[chunk]);
                let holds = made.false_chunk != Some(chunk);
                if let (Some((_, kept)), true) = (&mut self.kept, holds) {
                    assert!(kept.insert(chunk), "chunk {chunk} was added twice");
                }
                let after = self.random.below(20);
                self.at(after, Happening::Event(JoinEvent::Added { manifest, chunk, holds }));
            }
            JoinEffect::Finish { manifest } => {
                let made = &self.manifests[&manifest];
                let (begun, kept) = self.kept.as_ref().unwrap();
                assert_eq!((*begun, kept.len()), (manifest, made.chunks.len()));
                self.end = Some(End::Finished(made.height));
            }
            JoinEffect::TakeBlocks => self.end = Some(End::Blocks),
            JoinEffect::Wake(at) => self.wake = Some(at.0),
        }
    }

    fn begun(&self, made: &Made) -> Begun {
        let kept = self.kept.as_ref().map(|(_, kept)| kept.clone()).unwrap_or_default();
        let (manifest, height, chunks) = (made.digest(), made.height, made.chunks.len());
        Begun { manifest, height, chunks, missing: made.missing(&kept) }
    }

    fn answer(&mut self, peer: usize, message: SyncMessage) {
        let lie = self.peers[peer].lie;
        let after = 1 + self.random.below(40);
        match message {
            SyncMessage::GetSnapshot => {
                let message = SyncMessage::Snapshot(self.peers[peer].holding.clone());
                self.at(after, Happening::Arrive { from: peer, message });
                if lie == Some(Lie::UnaskedPieces) {
                    let piece = SyncMessage::Piece { digest: Digest::ZERO, offset: 0, bytes: Bytes::from(vec![1; 9]) };
                    self.at(after + 1, Happening::Arrive { from: peer, message: piece });
                }
                if lie == Some(Lie::Garbage) {
                    self.at(after + 1, Happening::Raw { from: peer, bytes: vec![6, 1, 2, 3] });
                }
            }
            SyncMessage::GetPiece { digest, offset } => {
                let made = self.peers[peer].made.as_ref();
                let found = made.and_then(|made| {
                    let piece = made.piece(&digest)?;
                    self.parts_of_chunks += u64::from(digest != made.digest());
                    Some(piece.get(offset as usize..)?.chunks(PART_BYTES as usize).next()?.to_vec())
                });
                let mut bytes = found.unwrap_or_default();
                let is_manifest = made.is_some_and(|made| made.digest() == digest);
                let mut at = offset;
                match lie {
                    Some(Lie::FlipsABit) => {
                        if let Some(byte) = bytes.last_mut() {
                            *byte ^= 1;
                        }
                    }
                    Some(Lie::AnotherOffset) => at += 1,
                    Some(Lie::ShortPart) if !bytes.is_empty() => bytes.truncate(bytes.len() / 2),
                    Some(Lie::LongPart) => bytes.push(0),
                    Some(Lie::NeverAnswers) => return,
                    Some(Lie::LacksWhatItOffers) => bytes.clear(),
                    Some(Lie::GivesAllButOneChunk) if !is_manifest => {
                        let last = made.and_then(|made| made.chunks.last()).map(|chunk| chunk_digest(chunk));
                        if last == Some(digest) {
                            return;
                        }
                    }
                    _ => {}
                }
                let lies = [Lie::FlipsABit, Lie::AnotherOffset, Lie::ShortPart, Lie::LongPart];
                self.bad_parts += u64::from(lie.is_some_and(|lie| lies.contains(&lie)));
                let message = SyncMessage::Piece { digest, offset: at, bytes: Bytes::from(bytes) };
                self.at(after, Happening::Arrive { from: peer, message });
            }
            other => panic!("the machine sent {other:?}"),
        }
    }

    /// Drops the machine, and begins again with what the import has kept.
    fn restart(&mut self) {
        let made = self.kept.as_ref().and_then(|(digest, _)| self.manifests.get(digest)).cloned();
        let begun = made.map(|made| self.begun(&made));
        self.join = Join::new(self.peers.iter().map(|peer| peer.key), begun, self.config.clone());
        // What was under way finds nobody.
        (self.queue, self.wake) = (BTreeMap::new(), None);
        for peer in 0..self.peers.len() {
            self.peers[peer].connected = false;
            self.at(5, Happening::Toggle { peer });
        }
    }

    fn banned(&self) -> u64 {
        self.join.progress(Timestamp(self.now)).banned
    }
}

fn same(seed: u64, count: usize, chunks: usize, longest: u64) -> Vec<Option<Made>> {
    let made = Made::new(&mut Random(seed ^ 77), 100, chunks, longest);
    vec![Some(made); count]
}

#[test]
fn chunks_come_from_all_who_have_them_whatever_their_manifest() {
    let mut made = same(1, 3, 40, 5_000);
    // Another certificate in the manifest, and the same state.
    made[2].as_mut().unwrap().manifest = vec![7; 301];
    let mut world = World::new(1, JoinConfig::default(), made, &[]);
    assert_eq!(world.run(60_000), Some(End::Finished(Height(100))));
    let least = world.requests.values().min().copied().unwrap();
    assert!(least >= 8, "{:?}", world.requests);
    assert_eq!(world.banned(), 0);
}

#[test]
fn long_pieces_come_in_parts_and_memory_stays_bounded() {
    let made = Made::new(&mut Random(3), 100, 12, 3 << 20);
    let config = JoinConfig { memory_bytes: 5 << 20, ..JoinConfig::default() };
    let mut world = World::new(2, config, vec![Some(made.clone()); 4], &[]);
    assert_eq!(world.run(60_000), Some(End::Finished(Height(100))));
    assert!(world.most_held > 3 << 20 && world.most_held <= 5 << 20, "{} bytes", world.most_held);
    let parts: usize = made.chunks.iter().map(|chunk| chunk.len().div_ceil(PART_BYTES as usize)).sum();
    assert_eq!(world.parts_of_chunks, parts as u64);
}

#[test]
fn every_liar_is_dropped_after_one_bad_piece_and_the_others_give_the_rest() {
    let mut bad_parts = 0;
    for lie in LIES {
        for seed in 0..20 {
            let config = JoinConfig { ban_ms: 10_000_000, ..JoinConfig::default() };
            let mut world = World::new(seed, config, same(seed, 3, 12, 3_000), &[lie]);
            assert_eq!(world.run(200_000), Some(End::Finished(Height(100))), "{lie:?}, seed {seed}");
            let banned = world.banned();
            assert!(banned <= 1, "{lie:?}, seed {seed}: {banned} peers left out");
            assert!(world.bad_parts <= 1, "{lie:?}, seed {seed}: {} bad parts taken", world.bad_parts);
            bad_parts += world.bad_parts;
            if lie == Lie::ClaimsAGreaterHeight || lie == Lie::ManifestThatVerifiesNot || lie == Lie::Garbage {
                assert_eq!(banned, 1, "{lie:?}, seed {seed}");
            }
            assert!(lie.is_provable() || banned == 0, "{lie:?}, seed {seed}: silence was blamed");
        }
    }
    // Those four lies were told.
    assert!(bad_parts > 40, "{bad_parts} bad parts");
}

#[test]
fn with_peers_that_come_and_go_and_messages_lost_it_ends_for_every_seed() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let count = 1 + random.below(3) as usize;
        let lies: Vec<Lie> = (0..random.below(4)).map(|_| LIES[random.below(12) as usize]).collect();
        let config = JoinConfig { memory_bytes: 8_000, ban_ms: 20_000, ..JoinConfig::default() };
        let mut world = World::new(seed, config, same(seed, count, 15, 4_000), &lies);
        world.loss = random.below(30);
        for _ in 0..random.below(10) {
            let (peer, at) = (random.below(world.peers.len() as u64) as usize, 40 + random.below(20_000));
            world.at(at, Happening::Toggle { peer });
            world.at(at + 1 + random.below(3_000), Happening::Toggle { peer });
        }
        for _ in 0..random.below(3) {
            let longest = random.below(400);
            if world.run(longest).is_none() {
                world.restart();
            }
        }
        let end = world.run(2_000_000);
        let honest = end == Some(End::Finished(Height(100)));
        // One that is true and of a height which only a liar has may come to its end as well: then all of it came.
        assert!(honest || end == Some(End::Finished(Height(999))), "seed {seed}, {lies:?}: {end:?}");
    }
}

#[test]
fn a_break_costs_what_was_in_assembly_and_no_more() {
    let mut world = World::new(5, JoinConfig::default(), same(5, 3, 60, 2_000), &[]);
    let mut breaks = 0;
    while world.run(60).is_none() {
        world.restart();
        breaks += 1;
    }
    assert_eq!(world.end, Some(End::Finished(Height(100))));
    assert!(breaks > 2, "{breaks} breaks");
    // Of the 60 chunks, each of one part, only those under way at a break were fetched again.
    let again = world.parts_of_chunks - 60;
    assert!(again <= breaks * 3, "{again} parts again after {breaks} breaks");
}

#[test]
fn without_snapshots_blocks_are_taken_if_most_have_all_of_them() {
    let mut world = World::new(6, JoinConfig::default(), vec![None; 3], &[]);
    assert_eq!(world.run(60_000), Some(End::Blocks));
    assert!(world.now >= 1_000 + JoinConfig::default().patience_ms);

    // One that says so is not most of them.
    let mut world = World::new(7, JoinConfig::default(), vec![None; 3], &[]);
    for peer in [0, 1] {
        world.peers[peer].holding.first = Height(500);
    }
    assert_eq!(world.run(100_000), None);
    // As soon as there is a snapshot, it is taken.
    let made = Made::new(&mut Random(8), 600, 5, 1_000);
    world.manifests.insert(made.digest(), made.clone());
    (world.peers[1].holding.snapshot, world.peers[1].made) = (Some(made.offer()), Some(made));
    assert_eq!(world.run(20_000), Some(End::Finished(Height(600))));

    // While most make one, it is waited for.
    let mut world = World::new(9, JoinConfig::default(), vec![None; 3], &[]);
    for peer in [0, 1] {
        world.peers[peer].holding.making = true;
    }
    assert_eq!(world.run(100_000), None);
}

#[test]
fn a_snapshot_behind_which_blocks_were_given_up_is_left_for_a_newer_one() {
    let old = Made::new(&mut Random(10), 100, 200, 2_000);
    let new = Made::new(&mut Random(11), 300, 5, 2_000);
    let config = JoinConfig { ask_ms: 1, ..JoinConfig::default() };
    let mut world = World::new(12, config, vec![Some(old); 3], &[]);
    assert_eq!(world.run(200), None);
    assert!(world.join.progress(Timestamp(world.now)).height == Some(Height(100)));
    world.manifests.insert(new.digest(), new.clone());
    for peer in [0, 1] {
        let holding = &mut world.peers[peer].holding;
        (holding.first, holding.snapshot) = (Height(290), Some(new.offer()));
        world.peers[peer].made = Some(new.clone());
    }
    assert_eq!(world.run(60_000), Some(End::Finished(Height(300))));
    assert_eq!(world.banned(), 0);
}

#[test]
fn pieces_that_nobody_has_any_more_are_given_up_for_another_snapshot() {
    let (old, new) = (Made::new(&mut Random(13), 100, 30, 2_000), Made::new(&mut Random(14), 200, 5, 2_000));
    let mut world = World::new(15, JoinConfig::default(), vec![Some(old); 3], &[]);
    assert_eq!(world.run(100), None);
    world.manifests.insert(new.digest(), new.clone());
    for peer in &mut world.peers {
        (peer.holding.snapshot, peer.made) = (Some(new.offer()), Some(new.clone()));
    }
    world.restart();
    assert_eq!(world.run(60_000), Some(End::Finished(Height(200))));
}

#[test]
fn strangers_are_not_listened_to() {
    let mut world = World::new(16, JoinConfig::default(), same(16, 2, 5, 1_000), &[]);
    let stranger = key(200);
    let before = world.queue.len();
    world.step(JoinEvent::Connected { peer: stranger });
    let holding = Holding { first: Height(1), newest: Height(9), making: false, snapshot: None };
    let bytes: Arc<[u8]> = codec::encode(&SyncMessage::Snapshot(holding)).into();
    world.step(JoinEvent::Received { from: stranger, bytes });
    assert_eq!((world.queue.len(), world.requests.len()), (before, 0));
    assert_eq!(world.run(60_000), Some(End::Finished(Height(100))));
}
