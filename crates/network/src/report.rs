//! What is counted for every peer.

use crate::config::{FRAME_OVERHEAD, NetworkConfig, PerLane};
use ledger_core::Lane;
use ledger_crypto::PublicKey;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Locks whatever happened to other holders: every value behind a lock here is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a peer. Counters run since the transport was started, over all connections with the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// Its member key.
    pub peer: PublicKey,
    /// Since when it is connected, in ms since 1970 by the transport's clock; `None` when it isn't.
    pub connected_since: Option<u64>,
    /// The smoothed round-trip time, where the transport measures one.
    pub round_trip: Option<Duration>,
    /// What went through each lane.
    pub lanes: PerLane<LaneReport>,
    /// What was lost on purpose.
    pub drops: Drops,
    /// How often it was connected.
    pub connections: u64,
    /// What ended the last connection or the last attempt at one.
    pub last_error: Option<String>,
    /// Whether the peer's statement of its key had expired when it connected. Nothing is refused for it.
    pub statement_expired: bool,
}

/// What went through a lane, and what waits in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneReport {
    /// Messages taken over into an inbox.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages handed to the connection.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Bytes that wait in the inboxes of all chains, with [`FRAME_OVERHEAD`] for each message.
    pub queued_in: usize,
    /// Bytes that wait to be sent, counted likewise.
    pub queued_out: usize,
}

/// How many messages were lost on purpose, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Outgoing votes that had to make room for newer ones.
    pub votes_out: u64,
    /// Incoming votes that had to make room for newer ones.
    pub votes_in: u64,
    /// Incoming messages for which an inbox had no room for too long.
    pub stalled: u64,
    /// Incoming messages for chains that this node isn't in or doesn't admit the peer to.
    pub not_admitted: u64,
    /// Messages that waited when their connection ended, or the peer was cut off.
    pub disconnected: u64,
}

#[derive(Debug, Default)]
pub(crate) struct LaneCounters {
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) queued_in: AtomicUsize,
    pub(crate) queued_out: AtomicUsize,
}

#[derive(Debug, Default)]
pub(crate) struct DropCounters {
    pub(crate) votes_out: AtomicU64,
    pub(crate) votes_in: AtomicU64,
    pub(crate) stalled: AtomicU64,
    pub(crate) not_admitted: AtomicU64,
    pub(crate) disconnected: AtomicU64,
}

/// The facts of the present or last connection.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) connected_since: Option<u64>,
    pub(crate) last_error: Option<String>,
}

/// What a transport keeps of a peer over all its connections: counters, and its share of the inboxes.
#[derive(Debug)]
pub(crate) struct PeerRecord {
    pub(crate) lanes: PerLane<LaneCounters>,
    pub(crate) drops: DropCounters,
    pub(crate) connections: AtomicU64,
    pub(crate) statement_expired: AtomicBool,
    standing: Mutex<Standing>,
    /// Readers that wait for room in an inbox.
    waiting: Mutex<PerLane<Vec<Waker>>>,
    /// What may wait in the inboxes of all chains.
    share: PerLane<usize>,
}

impl PeerRecord {
    pub(crate) fn new(config: &NetworkConfig) -> Self {
        Self {
            lanes: PerLane::default(),
            drops: DropCounters::default(),
            connections: AtomicU64::new(0),
            statement_expired: AtomicBool::new(false),
            standing: Mutex::new(Standing::default()),
            waiting: Mutex::new(PerLane::default()),
            share: PerLane::from_fn(|lane| {
                config.lanes.get(lane).queue_bytes.saturating_mul(config.full_chains_per_peer)
            }),
        }
    }

    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.standing)
    }

    /// Takes room for a message of `length` bytes in the peer's share; false if there is none. Only called under the
    /// lock of the inbox's router, so that two can't take the same room.
    pub(crate) fn reserve(&self, lane: Lane, length: usize) -> bool {
        let queued = &self.lanes.get(lane).queued_in;
        let cost = length.saturating_add(FRAME_OVERHEAD);
        if queued.load(Relaxed).saturating_add(cost) > *self.share.get(lane) {
            return false;
        }
        queued.fetch_add(cost, Relaxed);
        true
    }

    /// Gives room back, and wakes who waits for it.
    pub(crate) fn release(&self, lane: Lane, length: usize) {
        self.lanes.get(lane).queued_in.fetch_sub(length.saturating_add(FRAME_OVERHEAD), Relaxed);
        let wakers = std::mem::take(lock(&self.waiting).get_mut(lane));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes `waker` at the next [`PeerRecord::release`] in `lane`.
    pub(crate) fn wake_on_release(&self, lane: Lane, waker: &Waker) {
        let mut waiting = lock(&self.waiting);
        let wakers = waiting.get_mut(lane);
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(crate) fn report(&self, peer: PublicKey, round_trip: Option<Duration>) -> PeerReport {
        let standing = self.standing();
        PeerReport {
            peer,
            connected_since: standing.connected_since,
            round_trip,
            lanes: PerLane::from_fn(|lane| {
                let lane = self.lanes.get(lane);
                LaneReport {
                    frames_in: lane.frames_in.load(Relaxed),
                    bytes_in: lane.bytes_in.load(Relaxed),
                    frames_out: lane.frames_out.load(Relaxed),
                    bytes_out: lane.bytes_out.load(Relaxed),
                    queued_in: lane.queued_in.load(Relaxed),
                    queued_out: lane.queued_out.load(Relaxed),
                }
            }),
            drops: Drops {
                votes_out: self.drops.votes_out.load(Relaxed),
                votes_in: self.drops.votes_in.load(Relaxed),
                stalled: self.drops.stalled.load(Relaxed),
                not_admitted: self.drops.not_admitted.load(Relaxed),
                disconnected: self.drops.disconnected.load(Relaxed),
            },
            connections: self.connections.load(Relaxed),
            last_error: standing.last_error.clone(),
            statement_expired: self.statement_expired.load(Relaxed),
        }
    }

    pub(crate) fn count_in(&self, lane: Lane, length: usize) {
        let counters = self.lanes.get(lane);
        counters.frames_in.fetch_add(1, Relaxed);
        counters.bytes_in.fetch_add(length as u64, Relaxed);
    }

    pub(crate) fn count_out(&self, lane: Lane, length: usize) {
        let counters = self.lanes.get(lane);
        counters.frames_out.fetch_add(1, Relaxed);
        counters.bytes_out.fetch_add(length as u64, Relaxed);
    }
}
