//! Giving a snapshot to those who have none: what is asked for is read outside, one reading a peer.

use super::events::{Effect, ReadId};
use super::sync_message::{Holding, SyncMessage};
use ledger_core::Lane;
use ledger_core::codec::{self, Bytes};
use ledger_crypto::{Digest, PublicKey};
use std::collections::BTreeMap;

/// What is being read for a peer.
#[derive(Clone, Copy)]
enum Wanted {
    Holding,
    Part { digest: Digest, offset: u32 },
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Serving {
    next: u64,
    /// At most one reading a peer: a question that comes before the last one is answered is passed over.
    reads: BTreeMap<PublicKey, (ReadId, Wanted)>,
}

impl Serving {
    pub(super) fn disconnected(&mut self, peer: &PublicKey) {
        self.reads.remove(peer);
    }

    pub(super) fn snapshot_asked(&mut self, from: PublicKey, effects: &mut Vec<Effect>) {
        let read = self.begin(from, Wanted::Holding);
        effects.extend(read.map(|read| Effect::ReadSnapshot { read }));
    }

    pub(super) fn piece_asked(&mut self, from: PublicKey, digest: Digest, offset: u32, effects: &mut Vec<Effect>) {
        let read = self.begin(from, Wanted::Part { digest, offset });
        effects.extend(read.map(|read| Effect::ReadPiece { read, digest, offset }));
    }

    fn begin(&mut self, from: PublicKey, wanted: Wanted) -> Option<ReadId> {
        if self.reads.contains_key(&from) {
            return None;
        }
        self.next += 1;
        let read = ReadId(self.next);
        self.reads.insert(from, (read, wanted));
        Some(read)
    }

    /// It was read what this node has.
    pub(super) fn snapshot_read(&mut self, read: ReadId, holding: Holding) -> Option<Effect> {
        match self.end(read)? {
            (to, Wanted::Holding) => Some(send(to, &SyncMessage::Snapshot(holding))),
            (_, Wanted::Part { .. }) => None,
        }
    }

    /// A part of a piece was read.
    pub(super) fn piece_read(&mut self, read: ReadId, bytes: Vec<u8>) -> Option<Effect> {
        match self.end(read)? {
            (to, Wanted::Part { digest, offset }) => {
                Some(send(to, &SyncMessage::Piece { digest, offset, bytes: Bytes::from(bytes) }))
            }
            (_, Wanted::Holding) => None,
        }
    }

    fn end(&mut self, read: ReadId) -> Option<(PublicKey, Wanted)> {
        let to = self.reads.iter().find(|(_, (reading, _))| *reading == read).map(|(to, _)| *to)?;
        let (_, wanted) = self.reads.remove(&to)?;
        Some((to, wanted))
    }
}

fn send(to: PublicKey, message: &SyncMessage) -> Effect {
    Effect::Send { to, lane: Lane::Sync, bytes: codec::encode(message).into() }
}
