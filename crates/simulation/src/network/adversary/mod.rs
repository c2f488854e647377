//! Nodes that lie: real nodes, and what an adversary does to the messages that leave them.
//!
//! Adversaries know each other: their halves of the network, their forged blocks and their keys are one cabal's.

mod equivocate;
mod lead;

use super::wire;
use crate::keys::Keys;
use crate::random::Random;
use crate::report::Counters;
use equivocate::Forger;
use lead::{Leading, Rewound};
use ledger_core::{ChainId, Lane, ValidatorSet};
use ledger_crypto::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A way of lying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adversary {
    /// Tells one half of the network one thing and the other half another: as leader two blocks, as voter two votes in
    /// one slot. Who is in which half changes with the view.
    Equivocate,
    /// Sends blocks and votes to some only; whom it leaves out changes with the view.
    Withhold,
    /// Forgets its votes, and the guard with them, whenever it restarts; it restarts often.
    Amnesia,
    /// Flips bytes of what it sends.
    Mutate,
    /// Two nodes run with its key at once, each with a log of its own.
    Twins,
    /// Sends nothing.
    Silent,
    /// Sends late, by up to two seconds.
    Delay,
    /// Makes certificates of a vote of its own that it counts often enough, for blocks that nobody else has seen.
    Forge,
    /// As leader, leaves out blocks that are notarized: proposes on an older parent than it should.
    Rewind,
}

impl Adversary {
    /// All of them.
    pub const ALL: [Adversary; 9] = [
        Adversary::Equivocate,
        Adversary::Withhold,
        Adversary::Amnesia,
        Adversary::Mutate,
        Adversary::Twins,
        Adversary::Silent,
        Adversary::Delay,
        Adversary::Forge,
        Adversary::Rewind,
    ];

    /// The counter that says how often it acted.
    #[must_use]
    pub fn counter(self) -> &'static str {
        match self {
            Adversary::Equivocate => "adversary: equivocated",
            Adversary::Withhold => "adversary: withheld a message",
            Adversary::Amnesia => "adversary: forgot its votes",
            Adversary::Mutate => "adversary: mutated a message",
            Adversary::Twins => "adversary: twins started",
            Adversary::Silent => "adversary: kept silent",
            Adversary::Delay => "adversary: delayed a message",
            Adversary::Forge => "adversary: forged a certificate",
            Adversary::Rewind => "adversary: proposed on an old parent",
        }
    }
}

/// All the ways in which one node lies; where there are none, the seed chooses one or two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manners(BTreeSet<Adversary>);

impl Manners {
    pub(super) fn has(&self, adversary: Adversary) -> bool {
        self.0.contains(&adversary)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn draw(random: &mut Random) -> Self {
        let count = random.within(1..=2);
        let one = |_| Adversary::ALL.get(random.index(Adversary::ALL.len())).copied();
        Manners((0..count).filter_map(one).collect())
    }
}

impl From<Adversary> for Manners {
    fn from(adversary: Adversary) -> Self {
        Manners(BTreeSet::from([adversary]))
    }
}

impl<const N: usize> From<[Adversary; N]> for Manners {
    fn from(adversaries: [Adversary; N]) -> Self {
        Manners(BTreeSet::from(adversaries))
    }
}

/// A message on its way out, as the adversary leaves it: how much later in µs, its lane and its bytes.
pub(super) type Outgoing = (u64, Lane, Arc<[u8]>);

/// What all liars share.
pub(super) struct Cabal {
    random: Random,
    forger: Forger,
    leading: Leading,
}

impl Cabal {
    pub(super) fn new(
        chain: ChainId,
        validators: ValidatorSet,
        keys: BTreeMap<PublicKey, Keys>,
        random: Random,
    ) -> Self {
        let forger = Forger::new(chain, keys, random.fork("halves", 0));
        Cabal { forger, leading: Leading::new(validators), random }
    }

    /// A message reaches a liar.
    pub(super) fn observe(&mut self, lane: Lane, bytes: &[u8]) {
        self.leading.observe(lane, bytes);
    }

    /// What becomes of a message that `from` sends to machine `to`.
    pub(super) fn tamper(
        &mut self,
        (from, manners): (&PublicKey, &Manners),
        to: usize,
        (lane, bytes): (Lane, Arc<[u8]>),
        counters: &mut Counters,
    ) -> Vec<Outgoing> {
        if manners.has(Adversary::Silent) {
            counters.add(Adversary::Silent.counter());
            return Vec::new();
        }
        let mut message = bytes;
        let mut outgoing = Vec::new();
        self.leading.observe(lane, &message);
        if manners.has(Adversary::Forge)
            && let Some(forged) = self.leading.certify(&self.forger, from, lane, &message)
        {
            counters.add(Adversary::Forge.counter());
            outgoing.extend(forged.into_iter().map(|bytes| (0, Lane::Votes, bytes)));
        }
        if manners.has(Adversary::Rewind)
            && let Some(Rewound { proposal, payload }) = self.leading.rewind(&self.forger, from, lane, &message)
        {
            counters.add(Adversary::Rewind.counter());
            outgoing.push((0, Lane::Payloads, payload));
            message = proposal;
        }
        if manners.has(Adversary::Equivocate)
            && let Some(forged) = self.forger.forge(from, to, lane, &message)
        {
            counters.add(Adversary::Equivocate.counter());
            message = forged;
        }
        if manners.has(Adversary::Withhold) && matches!(lane, Lane::Votes | Lane::Payloads) {
            let view = wire::read(lane, &message).and_then(|envelope| wire::view(&envelope.message));
            let withheld = match view {
                Some(view) => self.forger.half(view.0 + 1, to),
                None => self.random.chance(50),
            };
            if withheld {
                counters.add(Adversary::Withhold.counter());
                return Vec::new();
            }
        }
        if manners.has(Adversary::Mutate) && self.random.chance(30) {
            counters.add(Adversary::Mutate.counter());
            message = self.mutate(&message);
        }
        let mut later = 0;
        if manners.has(Adversary::Delay) && self.random.chance(60) {
            counters.add(Adversary::Delay.counter());
            later = self.random.below(2_000_000);
        }
        outgoing.push((later, lane, message));
        outgoing
    }

    /// One to three bytes changed, or the end cut off, or bytes added.
    fn mutate(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        let mut bytes = bytes.to_vec();
        match self.random.below(10) {
            0 => bytes.truncate(self.random.index(bytes.len())),
            1 => bytes.extend_from_slice(&self.random.bytes()),
            _ => {
                for _ in 0..self.random.within(1..=3) {
                    let at = self.random.index(bytes.len());
                    let flip = u8::try_from(self.random.within(1..=255)).unwrap_or(1);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= flip;
                    }
                }
            }
        }
        bytes.into()
    }
}
