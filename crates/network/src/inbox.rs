//! The inbox: what came for one chain, in bounded queues for each peer and lane.

use crate::config::{FRAME_OVERHEAD, NetworkConfig, PerLane};
use crate::report::{PeerRecord, lock};
use crate::seam::Delivery;
use ledger_core::{ChainId, Lane};
use ledger_crypto::PublicKey;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// After so many messages of one lane in a row while less urgent ones wait, one of those is let through, so that a
/// flood of votes delays a chain's payloads but never keeps them out.
const URGENT_IN_A_ROW: u32 = 32;

/// What comes for one chain. Connections and losses of them come first, then votes, payloads, gossip, sync; within a
/// lane the peers take turns, and each one's messages keep their order.
///
/// Dropping it leaves the chain.
pub struct Inbox {
    chain: ChainId,
    mailbox: Arc<Mailbox>,
    leave: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Inbox {
    pub(crate) fn new(chain: ChainId, mailbox: Arc<Mailbox>, leave: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { chain, mailbox, leave: Some(Box::new(leave)) }
    }

    /// The chain that it belongs to.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The next delivery, if one is there.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        lock(&self.mailbox.state).pop()
    }

    /// The next delivery; `None` once the transport is closed and all is delivered. Nothing is lost when the future is
    /// dropped. Any executor will do.
    pub async fn recv(&mut self) -> Option<Delivery> {
        poll_fn(|context| {
            let mut state = lock(&self.mailbox.state);
            match state.pop() {
                Some(delivery) => Poll::Ready(Some(delivery)),
                None if state.closed => Poll::Ready(None),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Appends up to `limit` deliveries to `into`, waiting for the first. Gives how many; 0 once the transport is
    /// closed and all is delivered, or for a limit of 0.
    pub async fn recv_many(&mut self, into: &mut Vec<Delivery>, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        let Some(first) = self.recv().await else { return 0 };
        into.push(first);
        let mut state = lock(&self.mailbox.state);
        let mut count = 1;
        while count < limit
            && let Some(delivery) = state.pop()
        {
            into.push(delivery);
            count += 1;
        }
        count
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            leave();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// The transport's end of an inbox.
pub(crate) struct Mailbox {
    state: Mutex<State>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits in the inbox.
    Queued,
    /// There is no room; never said of votes.
    Full(crate::QueueBound),
}

struct State {
    config: Arc<NetworkConfig>,
    peers: BTreeMap<PublicKey, Sender>,
    /// For each lane the peers that have messages in it, in turn.
    turns: PerLane<VecDeque<PublicKey>>,
    /// Peers with notices, in turn.
    notices: VecDeque<PublicKey>,
    /// How many messages in a row came from a lane while a less urgent one had some.
    in_a_row: u32,
    waker: Option<Waker>,
    closed: bool,
}

/// What waits of one peer.
struct Sender {
    record: Arc<PeerRecord>,
    queues: PerLane<Queue>,
    /// At most two: whether it is connected, changing each time.
    notices: VecDeque<bool>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
}

impl Queue {
    fn pop(&mut self) -> Option<Arc<[u8]>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len() + FRAME_OVERHEAD;
        Some(message)
    }
}

impl Mailbox {
    pub(crate) fn new(config: Arc<NetworkConfig>) -> Self {
        Self {
            state: Mutex::new(State {
                config,
                peers: BTreeMap::new(),
                turns: PerLane::default(),
                notices: VecDeque::new(),
                in_a_row: 0,
                waker: None,
                closed: false,
            }),
        }
    }

    /// Tells of a connection or the loss of one. What the other end hasn't read yet is shortened to what matters, so
    /// that a peer that comes and goes fills nothing.
    pub(crate) fn notify(&self, peer: PublicKey, record: &Arc<PeerRecord>, connected: bool) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let sender = state.sender(peer, record);
        match sender.notices.len() {
            0 => {
                sender.notices.push_back(connected);
                state.notices.push_back(peer);
            }
            1 => sender.notices.push_back(connected),
            _ => {
                sender.notices.pop_back();
            }
        }
        wake(state);
    }

    /// Tells of a lost connection with somebody who isn't admitted by name, and forgets what waits of them: there may be
    /// any number of such peers one after another.
    pub(crate) fn forget_stranger(&self, peer: PublicKey, record: &Arc<PeerRecord>) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let sender = state.sender(peer, record);
        sender.forget();
        match sender.notices.back() {
            // Nobody was told of the connection.
            Some(true) => drop(sender.notices.pop_back()),
            Some(false) => {}
            None => {
                sender.notices.push_back(false);
                state.notices.push_back(peer);
            }
        }
        state.forget_if_idle(&peer);
        wake(state);
    }

    /// Puts in a message that has already been found to be admitted and no longer than its lane allows.
    pub(crate) fn push(&self, from: PublicKey, record: &Arc<PeerRecord>, lane: Lane, bytes: &Arc<[u8]>) -> Pushed {
        let mut state = lock(&self.state);
        if state.closed {
            record.drops.disconnected.fetch_add(1, Relaxed);
            return Pushed::Queued;
        }
        let limits = *state.config.lanes.get(lane);
        let cost = bytes.len() + FRAME_OVERHEAD;
        let queue = state.sender(from, record).queues.get_mut(lane);
        loop {
            let bound = if queue.messages.len() >= limits.queue_frames {
                crate::QueueBound::Frames(limits.queue_frames)
            } else if queue.bytes + cost > limits.queue_bytes || !record.reserve(lane, bytes.len()) {
                crate::QueueBound::Bytes(limits.queue_bytes)
            } else {
                break;
            };
            if lane != Lane::Votes {
                return Pushed::Full(bound);
            }
            record.drops.votes_in.fetch_add(1, Relaxed);
            match queue.pop() {
                Some(oldest) => record.release(lane, oldest.len()),
                // The peer's votes for other chains have taken its share: the new one is lost instead.
                None => return Pushed::Queued,
            }
        }
        let first = queue.messages.is_empty();
        queue.messages.push_back(bytes.clone());
        queue.bytes += cost;
        record.count_in(lane, bytes.len());
        // A queue that votes were dropped from may be in the turns still.
        if first && !state.turns.get(lane).contains(&from) {
            state.turns.get_mut(lane).push_back(from);
        }
        wake(state);
        Pushed::Queued
    }

    /// Forgets the messages of peers that aren't admitted any more.
    pub(crate) fn purge_unless(&self, admitted: impl Fn(&PublicKey) -> bool) {
        let mut state = lock(&self.state);
        state.peers.iter_mut().filter(|(peer, _)| !admitted(peer)).for_each(|(_, sender)| sender.forget());
    }

    /// Nothing comes any more. What waits can still be read, unless `forget` is set.
    pub(crate) fn close(&self, forget: bool) {
        let mut state = lock(&self.state);
        state.closed = true;
        if forget {
            state.peers.values_mut().for_each(Sender::forget);
            state.peers.clear();
            state.turns = PerLane::default();
            state.notices.clear();
        }
        wake(state);
    }
}

/// Wakes the reader, after the lock was given back.
fn wake(mut state: std::sync::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Sender {
    fn forget(&mut self) {
        for lane in Lane::ALL {
            while let Some(message) = self.queues.get_mut(lane).pop() {
                self.record.drops.disconnected.fetch_add(1, Relaxed);
                self.record.release(lane, message.len());
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.notices.is_empty() && Lane::ALL.iter().all(|lane| self.queues.get(*lane).messages.is_empty())
    }
}

impl State {
    fn sender(&mut self, peer: PublicKey, record: &Arc<PeerRecord>) -> &mut Sender {
        self.peers.entry(peer).or_insert_with(|| Sender {
            record: record.clone(),
            queues: PerLane::default(),
            notices: VecDeque::new(),
        })
    }

    fn pop(&mut self) -> Option<Delivery> {
        while let Some(peer) = self.notices.pop_front() {
            let Some(sender) = self.peers.get_mut(&peer) else { continue };
            let Some(connected) = sender.notices.pop_front() else { continue };
            if !sender.notices.is_empty() {
                self.notices.push_front(peer);
            }
            self.forget_if_idle(&peer);
            return Some(if connected { Delivery::Connected(peer) } else { Delivery::Disconnected(peer) });
        }
        let mut waiting = Lane::ALL.into_iter().filter(|lane| !self.turns.get(*lane).is_empty());
        let urgent = waiting.next();
        let next = waiting.next();
        let order = match (urgent, next) {
            (Some(_), Some(next)) if self.in_a_row >= URGENT_IN_A_ROW => {
                self.in_a_row = 0;
                [Some(next), urgent]
            }
            (Some(_), Some(_)) => {
                self.in_a_row += 1;
                [urgent, next]
            }
            _ => {
                self.in_a_row = 0;
                [urgent, None]
            }
        };
        order.into_iter().flatten().find_map(|lane| self.pop_lane(lane)).or_else(|| {
            // Both lanes held only turns of peers that were cut off.
            Lane::ALL.into_iter().find_map(|lane| self.pop_lane(lane))
        })
    }

    fn pop_lane(&mut self, lane: Lane) -> Option<Delivery> {
        while let Some(from) = self.turns.get_mut(lane).pop_front() {
            let Some(sender) = self.peers.get_mut(&from) else { continue };
            let queue = sender.queues.get_mut(lane);
            let message = queue.pop();
            if !queue.messages.is_empty() {
                self.turns.get_mut(lane).push_back(from);
            }
            if let Some(bytes) = message {
                sender.record.release(lane, bytes.len());
                self.forget_if_idle(&from);
                return Some(Delivery::Message { from, lane, bytes });
            }
            self.forget_if_idle(&from);
        }
        None
    }

    fn forget_if_idle(&mut self, peer: &PublicKey) {
        if self.peers.get(peer).is_some_and(Sender::is_idle) {
            self.peers.remove(peer);
        }
    }
}
