//! Handing transactions on to the validators, each to each once.
//!
//! A node hands on what its own clients gave it, to every validator that is connected; what came from a peer it keeps.
//! Validators know each other, so nobody gets anything twice. A validator that connects later gets what still waits.

use super::events::Effect;
use ledger_core::codec::{self, Decode, Encode, Format, List};
use ledger_core::{Lane, SignedTransaction, Timestamp};
use ledger_crypto::PublicKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A message in [`Lane::Gossip`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::wire")]
pub struct Gossip {
    /// Transactions that a proposer may take.
    pub transactions: List<SignedTransaction>,
}

impl Format for Gossip {
    const NAME: &'static str = "gossip";
    const LIMIT: usize = 4 << 20;
}

/// How long transactions gather before they are handed on together, in ms.
const GATHER_MS: u64 = 2;
/// This many are handed on at once.
const GATHER_COUNT: usize = 256;
/// And this many bytes.
const GATHER_BYTES: usize = 1 << 20;
/// So many invalid signatures, and a peer's gossip isn't listened to for a while.
const STRIKES: u32 = 64;
/// Peers whose invalid signatures are counted; of more, whoever has the fewest begins anew.
const MAX_STRUCK: usize = 1_024;
/// How long, in ms.
const DEAF_MS: u64 = 10_000;
/// The shortest time between two such gifts to a peer, in ms.
const GIVE_EVERY_MS: u64 = 1_000;
/// A peer that connects is given so many waiting transactions.
pub(super) const CATCH_UP: usize = 1_024;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Spreader {
    waiting: Vec<Arc<SignedTransaction>>,
    bytes: usize,
    last: Timestamp,
    /// How often, and until when a peer isn't listened to.
    strikes: BTreeMap<PublicKey, (u32, Timestamp)>,
    /// When a peer that connected was given what waits. One that comes and goes doesn't get it each time.
    given: BTreeMap<PublicKey, Timestamp>,
}

impl Spreader {
    pub(super) fn add(&mut self, transaction: Arc<SignedTransaction>) {
        self.bytes += codec::encoded_length(&*transaction);
        self.waiting.push(transaction);
    }

    /// Whether a peer that connects is to be given what waits.
    pub(super) fn may_give(&mut self, now: Timestamp, peer: PublicKey) -> bool {
        let may = self.given.get(&peer).is_none_or(|at| now >= at.plus(GIVE_EVERY_MS));
        if may {
            self.given.insert(peer, now);
        }
        may
    }

    /// A peer sent a transaction whose signature isn't valid.
    pub(super) fn strike(&mut self, now: Timestamp, peer: PublicKey) {
        // Whoever may follow a chain may have any number of keys.
        if self.strikes.len() >= MAX_STRUCK && !self.strikes.contains_key(&peer) {
            let least = self.strikes.iter().min_by_key(|(_, (count, until))| (*until, *count));
            if let Some(least) = least.map(|(peer, _)| *peer) {
                self.strikes.remove(&least);
            }
        }
        let (count, until) = self.strikes.entry(peer).or_default();
        *count += 1;
        if *count >= STRIKES {
            (*count, *until) = (0, now.plus(DEAF_MS));
        }
    }

    pub(super) fn listens_to(&self, now: Timestamp, peer: &PublicKey) -> bool {
        self.strikes.get(peer).is_none_or(|(_, until)| *until <= now)
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        (!self.waiting.is_empty()).then(|| self.last.plus(GATHER_MS))
    }

    /// Hands on what has gathered, if it is time.
    pub(super) fn flush<'a>(
        &mut self,
        now: Timestamp,
        to: impl Iterator<Item = &'a PublicKey>,
        effects: &mut Vec<Effect>,
    ) {
        let full = self.waiting.len() >= GATHER_COUNT || self.bytes >= GATHER_BYTES;
        if self.waiting.is_empty() || !(full || now >= self.last.plus(GATHER_MS)) {
            return;
        }
        self.last = now;
        self.bytes = 0;
        let messages = encode(std::mem::take(&mut self.waiting).iter());
        send(&messages, to, effects);
    }
}

/// Messages that hold these transactions, each within the format's limit.
pub(super) fn encode<'a>(transactions: impl Iterator<Item = &'a Arc<SignedTransaction>>) -> Vec<Arc<[u8]>> {
    let mut messages = Vec::new();
    let (mut batch, mut bytes) = (List::new(), 0);
    for transaction in transactions {
        let size = codec::encoded_length(&**transaction);
        if bytes + size > GATHER_BYTES && !batch.is_empty() {
            messages.push(codec::encode(&Gossip { transactions: std::mem::take(&mut batch) }).into());
            bytes = 0;
        }
        bytes += size;
        batch.push(SignedTransaction::clone(transaction));
    }
    if !batch.is_empty() {
        messages.push(codec::encode(&Gossip { transactions: batch }).into());
    }
    messages
}

/// Sends each message to each peer.
pub(super) fn send<'a>(messages: &[Arc<[u8]>], to: impl Iterator<Item = &'a PublicKey>, effects: &mut Vec<Effect>) {
    for peer in to {
        for bytes in messages {
            effects.push(Effect::Send { to: *peer, lane: Lane::Gossip, bytes: Arc::clone(bytes) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_fill_no_memory_with_their_strikes() {
        let mut spreader = Spreader::default();
        let peer = |number: u64| {
            let mut bytes = [7; 32];
            bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
            PublicKey::new(bytes)
        };
        (0..STRIKES).for_each(|_| spreader.strike(Timestamp(1), peer(0)));
        for number in 1..10_000 {
            spreader.strike(Timestamp(2), peer(number));
        }
        assert_eq!(spreader.strikes.len(), MAX_STRUCK);
        assert!(!spreader.listens_to(Timestamp(3), &peer(0)), "who did worst isn't forgotten for them");
        assert!(spreader.listens_to(Timestamp(3), &peer(9_999)));
    }
}
