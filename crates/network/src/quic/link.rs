//! One authenticated connection: its streams, and what they carry.

use super::Shared;
use super::frames::{self, ReadError, Reader};
use super::hello::Attempt;
use super::outbox::{Announcing, Outbox};
use crate::config::PerLane;
use crate::report::{PeerRecord, lock};
use crate::router::{Control, Delivered};
use ledger_core::{ChainId, Lane};
use ledger_crypto::{Digest, PublicKey};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Why a connection was closed, as the other end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The node stops.
    Closing,
    /// There is nothing to talk about with this peer. Said to strangers too, whatever they did.
    Refused,
    /// Another connection with the same peer is kept instead.
    Duplicate,
    /// The peer broke the protocol.
    Protocol,
}

impl Close {
    fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Close::Closing => 0,
            Close::Refused => 1,
            Close::Duplicate => 2,
            Close::Protocol => 3,
        })
    }

    pub(super) fn close(self, connection: &Connection) {
        let reason: &[u8] = match self {
            Close::Closing => b"closing",
            Close::Refused => b"refused",
            Close::Duplicate => b"another connection is kept",
            Close::Protocol => b"protocol violated",
        };
        connection.close(self.code(), reason);
    }
}

/// What ends a connection from this side.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("lane {lane}: a message of {size} bytes, whose limit is {limit}")]
    TooLong { lane: Lane, size: usize, limit: usize },
    #[error("{0} is the tag of no lane")]
    NoLane(u8),
    #[error("a second stream for lane {0}")]
    SecondStream(Lane),
    #[error("{0} is the tag of no announcement")]
    NoAnnouncement(u8),
    #[error("more than {0} chains announced")]
    TooManyChains(usize),
    #[error("more than {0} messages a second for chains that it isn't admitted to")]
    Strays(u32),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Write(#[from] quinn::WriteError),
    #[error("{0}")]
    Connection(#[from] quinn::ConnectionError),
}

impl LinkError {
    /// Whether the peer is to blame; if not, the connection is gone or going.
    fn is_violation(&self) -> bool {
        !matches!(
            self,
            LinkError::Connection(_) | LinkError::Write(_) | LinkError::Read(ReadError::Stream(_) | ReadError::Ended)
        )
    }
}

/// An authenticated connection.
pub(super) struct Link {
    pub(super) peer: PublicKey,
    /// The peer's latest attempt to connect, when this connection was taken into use.
    pub(super) attempt: Attempt,
    pub(super) connection: Connection,
    pub(super) record: Arc<PeerRecord>,
    pub(super) outboxes: PerLane<Outbox>,
    pub(super) announcing: Announcing,
    strays: Mutex<Strays>,
}

/// A bucket that fills with time and is emptied by messages that nobody wants.
struct Strays {
    per_second: u32,
    left: f64,
    at: Instant,
}

impl Strays {
    fn new(per_second: u32) -> Self {
        Self { per_second, left: f64::from(per_second) * 10.0, at: Instant::now() }
    }

    fn take(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        let rate = f64::from(self.per_second);
        self.left = (self.left + rate * (now - self.at).as_secs_f64()).min(rate * 10.0);
        self.at = now;
        self.left -= 1.0;
        if self.left < 0.0 { Err(LinkError::Strays(self.per_second)) } else { Ok(()) }
    }
}

fn tag(lane: Lane) -> u8 {
    match lane {
        Lane::Votes => 0,
        Lane::Payloads => 1,
        Lane::Gossip => 2,
        Lane::Sync => 3,
    }
}

/// Streams of higher priority go first whenever a packet is put together. Announcements are above all lanes.
fn priority(lane: Lane) -> i32 {
    3 - i32::from(tag(lane))
}
const CONTROL_PRIORITY: i32 = 4;

impl Link {
    pub(super) fn new(
        shared: &Shared,
        connection: Connection,
        peer: PublicKey,
        attempt: Attempt,
        record: Arc<PeerRecord>,
    ) -> Self {
        let limits = &shared.config.network.lanes;
        Self {
            peer,
            attempt,
            connection,
            outboxes: PerLane::from_fn(|lane| Outbox::new(lane, *limits.get(lane), record.clone())),
            record,
            announcing: Announcing::default(),
            strays: Mutex::new(Strays::new(shared.config.strays_per_second)),
        }
    }

    /// Serves the connection until it ends; says what ended it.
    pub(super) async fn run(self: Arc<Self>, shared: Arc<Shared>, control: (SendStream, RecvStream)) -> String {
        let mut tasks = JoinSet::new();
        let (send, receive) = control;
        tasks.spawn(self.clone().announce(send));
        tasks.spawn(self.clone().listen(shared.clone(), receive));
        for lane in Lane::ALL {
            tasks.spawn(self.clone().write(lane));
        }
        tasks.spawn(self.clone().accept(shared.clone()));
        let error = tokio::select! {
            error = self.connection.closed() => LinkError::Connection(error),
            Some(ended) = tasks.join_next() => match ended {
                Ok(error) => error,
                // Tasks are neither aborted before this nor do they panic; if one does, the connection goes with it.
                Err(_) => LinkError::Read(ReadError::Ended),
            },
        };
        for lane in Lane::ALL {
            self.outboxes.get(lane).close();
        }
        // The connection's own word on it says more than that a stream broke.
        let reason = match self.connection.close_reason() {
            Some(reason) if !error.is_violation() => reason.to_string(),
            _ => error.to_string(),
        };
        if error.is_violation() {
            tracing::warn!(peer = %self.peer, reason, "peer violates the protocol");
            Close::Protocol.close(&self.connection);
        } else {
            Close::Closing.close(&self.connection);
        }
        tasks.shutdown().await;
        reason
    }

    /// Takes nothing more to send, and waits until the peer has all.
    pub(super) async fn drain(&self) {
        for lane in Lane::ALL {
            self.outboxes.get(lane).drain().await;
        }
    }

    async fn announce(self: Arc<Self>, mut stream: SendStream) -> LinkError {
        let ended: Result<(), LinkError> = async {
            let _ = stream.set_priority(CONTROL_PRIORITY);
            loop {
                let mut bytes = Vec::new();
                for control in self.announcing.take().await {
                    let (tag, chain) = match control {
                        Control::Join(chain) => (0, chain),
                        Control::Leave(chain) => (1, chain),
                    };
                    bytes.push(tag);
                    bytes.extend(chain.0.as_bytes());
                }
                stream.write_all(&bytes).await?;
            }
        }
        .await;
        ended.err().unwrap_or(LinkError::Read(ReadError::Ended))
    }

    async fn listen(self: Arc<Self>, shared: Arc<Shared>, stream: RecvStream) -> LinkError {
        let ended: Result<(), LinkError> = async {
            let mut reader = Reader::new(stream, shared.config.frame_timeout);
            loop {
                let mut tag = [0];
                let mut chain = [0; 32];
                reader.read(&mut tag).await?;
                reader.read(&mut chain).await?;
                let chain = ChainId(Digest::new(chain));
                let control = match tag {
                    [0] => Control::Join(chain),
                    [1] => Control::Leave(chain),
                    [tag] => return Err(LinkError::NoAnnouncement(tag)),
                };
                let heard = shared.if_current(&self, |router| router.control(&self.peer, control));
                if let Some(Err(_)) = heard {
                    return Err(LinkError::TooManyChains(shared.config.network.chains_per_peer));
                }
            }
        }
        .await;
        ended.err().unwrap_or(LinkError::Read(ReadError::Ended))
    }

    async fn write(self: Arc<Self>, lane: Lane) -> LinkError {
        let ended: Result<(), LinkError> = async {
            let mut stream = self.connection.open_uni().await?;
            let _ = stream.set_priority(priority(lane));
            stream.write_all(&[tag(lane)]).await?;
            let outbox = self.outboxes.get(lane);
            while let Some(batch) = outbox.take().await {
                frames::write(&mut stream, &batch).await?;
                outbox.written(&batch);
            }
            // The node stops: the stream's end says that nothing is missing.
            let _ = stream.finish();
            let _ = stream.stopped().await;
            outbox.set_drained();
            Err(self.connection.closed().await.into())
        }
        .await;
        ended.err().unwrap_or(LinkError::Read(ReadError::Ended))
    }

    /// Takes the peer's streams, and reads them until one of them breaks.
    async fn accept(self: Arc<Self>, shared: Arc<Shared>) -> LinkError {
        let mut readers: JoinSet<LinkError> = JoinSet::new();
        let seen = Arc::new(Mutex::new(PerLane::<bool>::default()));
        loop {
            tokio::select! {
                stream = self.connection.accept_uni() => match stream {
                    Ok(stream) => {
                        readers.spawn(self.clone().read(shared.clone(), stream, seen.clone()));
                    }
                    Err(error) => return error.into(),
                },
                Some(ended) = readers.join_next() => match ended {
                    // The peer stops, and lets its other lanes come to their ends too.
                    Ok(LinkError::Read(ReadError::Ended)) => {}
                    Ok(error) => return error,
                    Err(_) => return LinkError::Read(ReadError::Ended),
                },
            }
        }
    }

    async fn read(
        self: Arc<Self>,
        shared: Arc<Shared>,
        stream: RecvStream,
        seen: Arc<Mutex<PerLane<bool>>>,
    ) -> LinkError {
        let ended: Result<(), LinkError> = async {
            let mut reader = Reader::new(stream, shared.config.frame_timeout);
            let mut first = [0];
            reader.read(&mut first).await?;
            let [first] = first;
            let lane = Lane::ALL.into_iter().find(|lane| tag(*lane) == first).ok_or(LinkError::NoLane(first))?;
            if std::mem::replace(lock(&seen).get_mut(lane), true) {
                return Err(LinkError::SecondStream(lane));
            }
            self.read_lane(&shared, lane, &mut reader).await
        }
        .await;
        ended.err().unwrap_or(LinkError::Read(ReadError::Ended))
    }

    async fn read_lane(&self, shared: &Shared, lane: Lane, reader: &mut Reader) -> Result<(), LinkError> {
        let limit = shared.config.network.lanes.get(lane).frame_bytes;
        let mut stalled = None;
        loop {
            let (size, chain) = reader.header().await?;
            if size > limit {
                return Err(LinkError::TooLong { lane, size, limit });
            }
            if !lock(&shared.router).may_receive(&chain, &self.peer) {
                self.record.drops.not_admitted.fetch_add(1, Relaxed);
                lock(&self.strays).take()?;
                reader.skip(size).await?;
                continue;
            }
            let message = reader.message(size).await?;
            let patience = if stalled == Some(chain) { Duration::ZERO } else { shared.config.stall_limit };
            stalled = match timeout(patience, self.deliver(shared, &chain, lane, &message)).await {
                Ok(()) => None,
                Err(_) => {
                    self.record.drops.stalled.fetch_add(1, Relaxed);
                    Some(chain)
                }
            };
        }
    }

    /// Puts a message into its inbox, waiting for room. While it waits nothing more is read from the lane's stream, so
    /// that its window closes.
    async fn deliver(&self, shared: &Shared, chain: &ChainId, lane: Lane, message: &Arc<[u8]>) {
        poll_fn(|context| {
            let attempt = || shared.if_current(self, |router| router.deliver(chain, &self.peer, lane, message));
            if !matches!(attempt(), Some(Delivered::Full(_))) {
                return Poll::Ready(());
            }
            self.record.wake_on_release(lane, context.waker());
            // Room may have come before the waker was left.
            if matches!(attempt(), Some(Delivered::Full(_))) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}
