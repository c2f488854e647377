//! Which chains this node is in, which peers take part in them, and what they may say: the same for every transport.

use crate::config::NetworkConfig;
use crate::inbox::{Mailbox, Pushed};
use crate::report::PeerRecord;
use crate::seam::{Admission, JoinError, QueueBound, SendError};
use ledger_core::{ChainId, Lane};
use ledger_crypto::PublicKey;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// How many chains that a peer has left are remembered, so that a message that was under way doesn't count as its
/// coming back.
const LEFT_CHAINS: usize = 64;

/// What one end tells the other outside the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// It takes part in this chain and admits the other to it.
    Join(ChainId),
    /// Not any more.
    Leave(ChainId),
}

/// What became of a message that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// It waits in the chain's inbox.
    Queued,
    /// The inbox has no room: try again when the record says that something was taken out.
    Full(QueueBound),
    /// The peer may not talk about the chain, or there is no such chain here.
    NotAdmitted,
}

/// A peer takes part in more chains than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyChains;

#[derive(Debug)]
pub(crate) struct Router {
    local: PublicKey,
    config: Arc<NetworkConfig>,
    chains: BTreeMap<ChainId, Chain>,
    records: BTreeMap<PublicKey, Arc<PeerRecord>>,
    links: BTreeMap<PublicKey, Link>,
    closed: bool,
}

struct Chain {
    admission: Admission,
    mailbox: Arc<Mailbox>,
    connected: BTreeSet<PublicKey>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("connected", &self.connected).finish_non_exhaustive()
    }
}

/// A connection, as far as chains are concerned.
#[derive(Debug, Default)]
struct Link {
    theirs: BTreeSet<ChainId>,
    left: VecDeque<ChainId>,
}

/// What is to be told to whom.
pub(crate) type Announcements = Vec<(PublicKey, Control)>;

impl Router {
    pub(crate) fn new(local: PublicKey, config: Arc<NetworkConfig>) -> Self {
        Self { local, config, chains: BTreeMap::new(), records: BTreeMap::new(), links: BTreeMap::new(), closed: false }
    }

    /// Joins a chain; gives the transport's end of its inbox, and whom to tell.
    pub(crate) fn join(
        &mut self,
        chain: ChainId,
        admission: Admission,
    ) -> Result<(Arc<Mailbox>, Announcements), JoinError> {
        if self.closed {
            return Err(JoinError::Closed);
        }
        let Entry::Vacant(place) = self.chains.entry(chain) else { return Err(JoinError::AlreadyJoined(chain)) };
        let mailbox = Arc::new(Mailbox::new(self.config.clone()));
        place.insert(Chain { admission, mailbox: mailbox.clone(), connected: BTreeSet::new() });
        let told = self.admitted_links(&chain).map(|peer| (peer, Control::Join(chain))).collect();
        self.connect_those_who_wait(&chain);
        Ok((mailbox, told))
    }

    /// Leaves a chain, if `mailbox` is still its inbox.
    pub(crate) fn leave(&mut self, chain: &ChainId, mailbox: &Arc<Mailbox>) -> Announcements {
        mailbox.close(true);
        if !self.chains.get(chain).is_some_and(|joined| Arc::ptr_eq(&joined.mailbox, mailbox)) {
            return Vec::new();
        }
        let told = self.admitted_links(chain).map(|peer| (peer, Control::Leave(*chain))).collect();
        self.chains.remove(chain);
        self.forget_strangers();
        told
    }

    pub(crate) fn admit(&mut self, chain: &ChainId, admission: Admission) -> Result<Announcements, JoinError> {
        let Some(joined) = self.chains.get_mut(chain) else { return Err(JoinError::NotJoined(*chain)) };
        let before = std::mem::replace(&mut joined.admission, admission);
        let mut told = Vec::new();
        for peer in self.links.keys() {
            match (before.admits(peer), joined.admission.admits(peer)) {
                (false, true) => told.push((*peer, Control::Join(*chain))),
                (true, false) => {
                    told.push((*peer, Control::Leave(*chain)));
                    if let (true, Some(record)) = (joined.connected.remove(peer), self.records.get(peer)) {
                        joined.mailbox.notify(*peer, record, false);
                    }
                }
                _ => {}
            }
        }
        joined.mailbox.purge_unless(|peer| joined.admission.admits(peer));
        self.connect_those_who_wait(chain);
        self.forget_strangers();
        Ok(told)
    }

    /// Whether any chain admits the peer.
    pub(crate) fn admits(&self, peer: &PublicKey) -> bool {
        *peer != self.local && self.chains.values().any(|chain| chain.admission.admits(peer))
    }

    /// A connection with the peer is there; gives what to tell it. One that was there before is gone.
    pub(crate) fn up(&mut self, peer: PublicKey, now_ms: u64) -> (Arc<PeerRecord>, Vec<Control>) {
        self.down(&peer, None);
        let record = self.record(peer);
        record.connections.fetch_add(1, Relaxed);
        record.standing().connected_since = Some(now_ms);
        self.links.insert(peer, Link::default());
        (record, self.announced_to(&peer))
    }

    /// What to tell the peer of the chains that it is admitted to.
    pub(crate) fn announced_to(&self, peer: &PublicKey) -> Vec<Control> {
        let chains = self.chains.iter().filter(|(_, chain)| chain.admission.admits(peer));
        chains.map(|(id, _)| Control::Join(*id)).collect()
    }

    /// The connection with the peer is gone, and why if that is worth telling.
    pub(crate) fn down(&mut self, peer: &PublicKey, reason: Option<String>) {
        if self.links.remove(peer).is_none() {
            return;
        }
        if let Some(record) = self.records.get(peer) {
            let mut standing = record.standing();
            standing.connected_since = None;
            if reason.is_some() {
                standing.last_error = reason;
            }
            drop(standing);
            for chain in self.chains.values_mut() {
                match (chain.connected.remove(peer), chain.admission.names(peer)) {
                    (true, true) => chain.mailbox.notify(*peer, record, false),
                    (true, false) => chain.mailbox.forget_stranger(*peer, record),
                    (false, _) => {}
                }
            }
        }
        self.forget_strangers();
    }

    /// What the peer told. Chains that this node isn't in are remembered, for it may join them later.
    pub(crate) fn control(&mut self, peer: &PublicKey, control: Control) -> Result<(), TooManyChains> {
        let Some(link) = self.links.get_mut(peer) else { return Ok(()) };
        match control {
            Control::Join(chain) => {
                link.left.retain(|other| *other != chain);
                if link.theirs.len() >= self.config.chains_per_peer && !link.theirs.contains(&chain) {
                    return Err(TooManyChains);
                }
                link.theirs.insert(chain);
                self.connect_if_both(&chain, peer);
            }
            Control::Leave(chain) => {
                if link.theirs.remove(&chain) {
                    if link.left.len() == LEFT_CHAINS {
                        link.left.pop_front();
                    }
                    link.left.push_back(chain);
                }
                if let (Some(joined), Some(record)) = (self.chains.get_mut(&chain), self.records.get(peer))
                    && joined.connected.remove(peer)
                {
                    joined.mailbox.notify(*peer, record, false);
                }
            }
        }
        Ok(())
    }

    /// Whether a message may be sent, but for the queues.
    pub(crate) fn may_send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, size: usize) -> Result<(), SendError> {
        let joined = self.chains.get(chain).ok_or(SendError::UnknownChain(*chain))?;
        if !joined.admission.admits(to) {
            return Err(SendError::NotAdmitted { chain: *chain, to: *to });
        }
        let limit = self.config.lanes.get(lane).frame_bytes;
        if size > limit {
            return Err(SendError::TooLong { lane, size, limit });
        }
        if !joined.connected.contains(to) {
            return Err(SendError::NotConnected { chain: *chain, to: *to });
        }
        Ok(())
    }

    /// Whether `from` may talk about `chain` now.
    pub(crate) fn may_receive(&self, chain: &ChainId, from: &PublicKey) -> bool {
        self.chains.get(chain).is_some_and(|joined| joined.admission.admits(from))
    }

    /// Puts a message that came over the peer's connection into the chain's inbox. Counts it if it isn't admitted.
    pub(crate) fn deliver(&mut self, chain: &ChainId, from: &PublicKey, lane: Lane, bytes: &Arc<[u8]>) -> Delivered {
        let Some(record) = self.records.get(from).cloned() else { return Delivered::NotAdmitted };
        if !self.may_receive(chain, from) {
            record.drops.not_admitted.fetch_add(1, Relaxed);
            return Delivered::NotAdmitted;
        }
        // A message may overtake the announcement that its sender takes part.
        if let Some(link) = self.links.get_mut(from)
            && !link.theirs.contains(chain)
            && !link.left.contains(chain)
            && link.theirs.len() < self.config.chains_per_peer
        {
            link.theirs.insert(*chain);
            self.connect_if_both(chain, from);
        }
        let Some(joined) = self.chains.get(chain) else { return Delivered::NotAdmitted };
        match joined.mailbox.push(*from, &record, lane, bytes) {
            Pushed::Queued => Delivered::Queued,
            Pushed::Full(bound) => Delivered::Full(bound),
        }
    }

    /// Closes all: nothing comes any more, and what waits can be read.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for peer in self.links.keys().copied().collect::<Vec<_>>() {
            self.down(&peer, None);
        }
        self.chains.values().for_each(|chain| chain.mailbox.close(false));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (&PublicKey, &Arc<PeerRecord>)> {
        self.records.iter()
    }

    /// What is kept of the peer; made if there is nothing yet. Only for peers that are admitted or dialed, so that
    /// strangers take no memory.
    pub(crate) fn record(&mut self, peer: PublicKey) -> Arc<PeerRecord> {
        self.records.entry(peer).or_insert_with(|| Arc::new(PeerRecord::new(&self.config))).clone()
    }

    fn admitted_links(&self, chain: &ChainId) -> impl Iterator<Item = PublicKey> {
        let admission = self.chains.get(chain).map(|joined| &joined.admission);
        self.links.keys().copied().filter(move |peer| admission.is_some_and(|admission| admission.admits(peer)))
    }

    fn connect_those_who_wait(&mut self, chain: &ChainId) {
        let waiting: Vec<_> =
            self.links.iter().filter(|(_, link)| link.theirs.contains(chain)).map(|(peer, _)| *peer).collect();
        for peer in waiting {
            self.connect_if_both(chain, &peer);
        }
    }

    fn connect_if_both(&mut self, chain: &ChainId, peer: &PublicKey) {
        if let (Some(joined), Some(record)) = (self.chains.get_mut(chain), self.records.get(peer))
            && joined.admission.admits(peer)
            && joined.connected.insert(*peer)
        {
            joined.mailbox.notify(*peer, record, true);
        }
    }

    /// Forgets the counters of peers that are neither connected nor admitted by name.
    fn forget_strangers(&mut self) {
        let (chains, links) = (&self.chains, &self.links);
        self.records
            .retain(|peer, _| links.contains_key(peer) || chains.values().any(|chain| chain.admission.names(peer)));
    }
}
