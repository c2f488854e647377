//! What waits to be sent to one peer.

use crate::config::{FRAME_OVERHEAD, LaneLimits};
use crate::report::{PeerRecord, lock};
use crate::router::Control;
use crate::seam::QueueBound;
use ledger_core::{ChainId, Lane};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Small frames are written together up to so many bytes.
const BATCH_BYTES: usize = 64 << 10;

/// A frame to be written: the chain and the message.
pub(super) type Frame = (ChainId, Arc<[u8]>);

/// One lane's queue. Its bounds hold for what waits; besides there is one frame, or one batch of small ones, in the writer's
/// hands.
pub(super) struct Outbox {
    lane: Lane,
    limits: LaneLimits,
    record: Arc<PeerRecord>,
    state: Mutex<State>,
    changed: Notify,
    drained: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    /// Of the frames that wait.
    bytes: usize,
    /// Of those in the writer's hands: how many, and their bytes.
    writing: (usize, usize),
    /// Nothing more is taken in.
    draining: bool,
    /// The peer has all.
    drained: bool,
    closed: bool,
}

fn cost(frame: &Frame) -> usize {
    frame.1.len() + FRAME_OVERHEAD
}

impl Outbox {
    pub(super) fn new(lane: Lane, limits: LaneLimits, record: Arc<PeerRecord>) -> Self {
        Self { lane, limits, record, state: Mutex::default(), changed: Notify::new(), drained: Notify::new() }
    }

    fn queued(&self) -> &std::sync::atomic::AtomicUsize {
        &self.record.lanes.get(self.lane).queued_out
    }

    /// Queues a frame; false if the connection is gone.
    pub(super) fn push(&self, frame: Frame) -> Result<bool, QueueBound> {
        let mut state = lock(&self.state);
        if state.closed || state.draining {
            return Ok(false);
        }
        let cost = cost(&frame);
        loop {
            let bound = if state.frames.len() >= self.limits.queue_frames {
                QueueBound::Frames(self.limits.queue_frames)
            } else if state.bytes + cost > self.limits.queue_bytes {
                QueueBound::Bytes(self.limits.queue_bytes)
            } else {
                break;
            };
            if self.lane != Lane::Votes {
                return Err(bound);
            }
            // A queue that is full holds something, since every frame is shorter than its bounds.
            let Some(oldest) = state.frames.pop_front() else { return Err(bound) };
            state.bytes -= self::cost(&oldest);
            self.queued().fetch_sub(self::cost(&oldest), Relaxed);
            self.record.drops.votes_out.fetch_add(1, Relaxed);
        }
        state.bytes += cost;
        self.queued().fetch_add(cost, Relaxed);
        state.frames.push_back(frame);
        drop(state);
        self.changed.notify_one();
        Ok(true)
    }

    /// The next frames: one, or more small ones. `None` once closed, or when all was taken and no more comes. Each has to be given to [`Outbox::written`].
    pub(super) async fn take(&self) -> Option<Vec<Frame>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = lock(&self.state);
                if state.closed {
                    return None;
                }
                let mut batch = Vec::new();
                let mut bytes = 0;
                while let Some(cost) = state.frames.front().map(cost)
                    && (batch.is_empty() || bytes + cost <= BATCH_BYTES)
                {
                    bytes += cost;
                    batch.extend(state.frames.pop_front());
                }
                if !batch.is_empty() {
                    state.bytes -= bytes;
                    state.writing = (batch.len(), bytes);
                    return Some(batch);
                }
                if state.draining {
                    return None;
                }
            }
            changed.await;
        }
    }

    pub(super) fn written(&self, batch: &[Frame]) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let (_, bytes) = std::mem::take(&mut state.writing);
        self.queued().fetch_sub(bytes, Relaxed);
        drop(state);
        batch.iter().for_each(|frame| self.record.count_out(self.lane, frame.1.len()));
    }

    /// Takes nothing more in, and waits until the peer has all.
    pub(super) async fn drain(&self) {
        lock(&self.state).draining = true;
        self.changed.notify_one();
        loop {
            let drained = self.drained.notified();
            {
                let state = lock(&self.state);
                if state.closed || state.drained {
                    return;
                }
            }
            drained.await;
        }
    }

    pub(super) fn set_drained(&self) {
        lock(&self.state).drained = true;
        self.drained.notify_one();
    }

    /// The connection is gone: what waited is dropped.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.closed, true) {
            let (frames, bytes) = state.writing;
            self.record.drops.disconnected.fetch_add((state.frames.len() + frames) as u64, Relaxed);
            self.queued().fetch_sub(state.bytes + bytes, Relaxed);
            *state = State { closed: true, ..State::default() };
        }
        drop(state);
        self.changed.notify_one();
        self.drained.notify_one();
    }
}

/// Announcements that wait to be sent. There are as many as this node joins and leaves chains.
#[derive(Default)]
pub(super) struct Announcing {
    waiting: Mutex<VecDeque<Control>>,
    changed: Notify,
}

impl Announcing {
    pub(super) fn push(&self, control: impl IntoIterator<Item = Control>) {
        lock(&self.waiting).extend(control);
        self.changed.notify_one();
    }

    pub(super) async fn take(&self) -> Vec<Control> {
        loop {
            let changed = self.changed.notified();
            let waiting = std::mem::take(&mut *lock(&self.waiting));
            if !waiting.is_empty() {
                return waiting.into();
            }
            changed.await;
        }
    }
}
