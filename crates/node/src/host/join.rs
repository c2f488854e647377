//! Beginning a chain from a snapshot that its validators give.
//!
//! ```text
//!   transport ─ inbox ─▶ core::join::Join ─ Begin, Add, Finish ─▶ blocking thread: verify, import
//!       ▲                       │  ▲                                          │
//!       └──────── Send ─────────┘  └───────── Begun, Added, Refused ──────────┘
//!   … Finish: log's base record, views ─▶ the inbox is left ─▶ the chain is opened as any other, and follows blocks
//! ```
//! While a node joins it has no core: it votes on nothing, gives nothing, and passes over everything that isn't about
//! snapshots. It leaves the chain's network before the chain is opened, and takes part in it anew: so the core hears of
//! every connection.

use super::begin::{Begin, Ground};
use super::opening::Opening;
use super::{Host, HostError};
use crate::chain::Chain;
use crate::chain::shell::{Peers, panic_message};
use crate::clock::Clock;
use crate::core::join::{Begun, Join, JoinEffect, JoinEvent, JoinProgress, MissingChunk};
use ledger_consensus::EngineFactory;
use ledger_core::{ChainId, Genesis, Lane, SnapshotError, TrustRoot, ValidatorSet, VerifiedSnapshot};
use ledger_crypto::Digest;
use ledger_network::{Delivery, JoinError, Observers};
use ledger_storage::chain::ChainConfig;
use ledger_storage::snapshot::SnapshotStoreError;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What the machine waits for from the blocking threads.
type Answer = Result<Outcome, HostError>;

enum Outcome {
    Event(JoinEvent),
    Complete,
}

/// What is being put together, for one blocking thread at a time. The claim on the chain goes with it: a thread that
/// outlives its future still keeps others from the chain's views.
struct Bench {
    ground: Ground,
    genesis: Genesis,
    views: ChainConfig,
    begin: Mutex<Option<Begin>>,
    _opening: Arc<Opening>,
}

impl Bench {
    /// Verifies a manifest and opens its import.
    fn begin(&self, manifest: Digest, bytes: &[u8]) -> Answer {
        let trust = TrustRoot::new(self.genesis.clone());
        match VerifiedSnapshot::from_bytes(bytes, &trust) {
            Ok(snapshot) => self.open(manifest, snapshot),
            Err(error) => Ok(refused(manifest, &error)),
        }
    }

    fn open(&self, manifest: Digest, snapshot: VerifiedSnapshot) -> Answer {
        let mut place = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        // Two of them must not be open at once.
        *place = None;
        let begin = match Begin::open(self.ground.clone(), &self.genesis, snapshot, self.views) {
            Ok(begin) => begin,
            // It is true, and of no use here.
            Err(HostError::SnapshotBelow { .. }) => {
                return Ok(Outcome::Event(JoinEvent::Refused { manifest, lie: false }));
            }
            Err(error) => return Err(error),
        };
        let begun = begun_of(manifest, &begin);
        *place = Some(begin);
        Ok(Outcome::Event(JoinEvent::Begun(begun)))
    }

    /// What an earlier attempt has left.
    fn pending(&self) -> Result<Option<Begun>, HostError> {
        let Some(found) = Begin::pending(&self.ground, &self.genesis.chain())? else { return Ok(None) };
        let manifest = found.digest();
        // It lay on disk: what doesn't verify any more is replaced by the next one.
        let Ok(snapshot) = found.verify(&TrustRoot::new(self.genesis.clone())) else { return Ok(None) };
        match self.open(manifest, snapshot)? {
            Outcome::Event(JoinEvent::Begun(begun)) => Ok(Some(begun)),
            _ => Ok(None),
        }
    }

    fn add(&self, manifest: Digest, chunk: usize, bytes: &[u8]) -> Answer {
        let mut place = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        // Another manifest was taken meanwhile.
        let begin = place.as_mut().filter(|begin| begin.snapshot().manifest().digest() == manifest);
        let added = begin.map_or(Ok(()), |begin| begin.add(chunk, bytes));
        match added {
            Ok(()) => Ok(Outcome::Event(JoinEvent::Added { manifest, chunk, holds: true })),
            Err(HostError::Snapshot(SnapshotStoreError::Snapshot(_))) => {
                Ok(Outcome::Event(JoinEvent::Added { manifest, chunk, holds: false }))
            }
            Err(error) => Err(error),
        }
    }

    fn finish(&self, manifest: Digest) -> Answer {
        let begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
        match begin.map_or(Ok(()), Begin::complete) {
            Ok(()) => Ok(Outcome::Complete),
            Err(HostError::Snapshot(SnapshotStoreError::WrongRoot { .. })) => {
                Ok(Outcome::Event(JoinEvent::Refused { manifest, lie: true }))
            }
            Err(error) => Err(error),
        }
    }
}

/// A manifest that isn't taken. One of a version that this program doesn't read may be an honest node's.
fn refused(manifest: Digest, error: &SnapshotError) -> Outcome {
    let lie = !matches!(error, SnapshotError::Version { .. });
    Outcome::Event(JoinEvent::Refused { manifest, lie })
}

fn begun_of(manifest: Digest, begin: &Begin) -> Begun {
    let snapshot = begin.snapshot();
    let missing = |index| {
        let chunk = snapshot.chunk(index)?;
        Some(MissingChunk { index, digest: chunk.digest, length: chunk.length })
    };
    let missing = begin.missing().filter_map(missing).collect();
    Begun { manifest, height: snapshot.height(), chunks: snapshot.chunks(), missing }
}

impl Host {
    /// Opens a chain that this host has nothing of yet, beginning with a snapshot from the chain's validators: its state is
    /// fetched piece by piece, each of which is verified against the genesis, then the blocks behind it are followed. Where
    /// most validators have all blocks and no snapshot, the chain begins at its genesis. A chain of which the host has
    /// blocks is opened as with [`Host::chain_with`].
    ///
    /// It waits for as long as nobody answers, and tells `progress` how far it has come. The future can be dropped at any
    /// time, and the process can end: what was kept is gone on with by the next call. [`Limits::join`](super::Limits::join)
    /// bounds what it holds in memory.
    ///
    /// A validator whose votes are lost with its data folder must not go on with its key: see the guards in
    /// `docs/architecture.md`. With [`Observer`](ledger_consensus::Observer) the chain is only followed.
    ///
    /// # Errors
    /// [`HostError::Missing`] when the host has no transport, or the chain no validators but one owner;
    /// [`HostError::Snapshot`] when what comes can't be kept; else as [`Host::chain_with`].
    pub async fn join(
        &self,
        genesis: Genesis,
        engine: impl EngineFactory + 'static,
        observers: Observers,
        progress: &watch::Sender<JoinProgress>,
    ) -> Result<Chain, HostError> {
        genesis.check()?;
        let opening = Arc::new(self.claim(genesis.chain())?);
        let (_, shard) = self.shard(&genesis.chain())?;
        if Ground::of(shard).needs_a_beginning(&genesis.chain())? {
            self.fetch(&genesis, observers.clone(), &opening, progress).await?;
        }
        self.open(genesis, Box::new(engine), observers, opening).await
    }

    /// Fetches a snapshot and makes it the chain's views; returns without one where the blocks are to be taken.
    async fn fetch(
        &self,
        genesis: &Genesis,
        observers: Observers,
        opening: &Arc<Opening>,
        progress: &watch::Sender<JoinProgress>,
    ) -> Result<(), HostError> {
        let (_, shard) = self.shard(&genesis.chain())?;
        let bench = Arc::new(Bench {
            ground: Ground::of(shard),
            genesis: genesis.clone(),
            views: self.limits.views,
            begin: Mutex::default(),
            _opening: Arc::clone(opening),
        });
        let at_hand = Arc::clone(&bench);
        let begun = super::blocking("snapshot", move || at_hand.pending()).await??;
        let Some(mut peers) = self.take_part(genesis, observers)? else {
            return Err(HostError::Missing {
                part: "transport, or the chain is one owner's and has no validators to join",
            });
        };
        let own = peers.transport.local();
        let validators = validators(genesis)?.into_iter().filter(|key| *key != own);
        let mut join = Join::new(validators, begun, self.limits.join.clone());
        let (answers, mut answered) = mpsc::channel::<Answer>(1);
        // What waits here is bounded by the machine: one manifest, or chunks within its memory. One of it is worked at.
        let (mut waiting, mut at_work, mut over) = (VecDeque::new(), false, false);
        let mut alarm: Option<Instant> = None;
        let mut effects = Vec::new();
        let (mut event, mut clock) = (JoinEvent::Wake, Clock::new());
        loop {
            let now = clock.now();
            join.step(now, event, &mut effects);
            progress.send_if_modified(|progress| {
                let newest = join.progress(now);
                let changed = *progress != newest;
                *progress = newest;
                changed
            });
            for effect in effects.drain(..) {
                match effect {
                    JoinEffect::TakeBlocks => over = true,
                    JoinEffect::Wake(at) => {
                        alarm = Instant::now().checked_add(Duration::from_millis(at.0.saturating_sub(now.0)));
                    }
                    JoinEffect::Send { to, bytes } => {
                        // Nothing is promised: what isn't answered is asked again.
                        let _ = peers.transport.send(&genesis.chain(), &to, Lane::Sync, bytes);
                    }
                    work => {
                        if matches!(work, JoinEffect::Begin { .. }) {
                            // What still waits is of a snapshot that was given up.
                            waiting.clear();
                        }
                        waiting.push_back(work);
                    }
                }
            }
            if over && !at_work {
                return Ok(());
            }
            if !at_work && let Some(work) = waiting.pop_front() {
                at_work = true;
                self.work(&bench, work, &answers);
            }
            event = tokio::select! {
                biased;
                Some(answer) = answered.recv() => match answer? {
                    Outcome::Event(event) => {
                        at_work = false;
                        event
                    }
                    Outcome::Complete => return Ok(()),
                },
                () = sleep_until(alarm) => {
                    alarm = None;
                    JoinEvent::Wake
                }
                delivery = receive(&mut peers) => delivery.ok_or(HostError::Join(JoinError::Closed))?,
            };
        }
    }

    /// Has a blocking thread do what the machine asks for: the host's own for snapshots, which a host that shuts down waits
    /// for. To make a large one durable takes seconds, in which the chains that are open execute their blocks.
    fn work(&self, bench: &Arc<Bench>, work: JoinEffect, answers: &mpsc::Sender<Answer>) {
        let (bench, answers) = (Arc::clone(bench), answers.clone());
        self.imports.run(move || {
            if answers.is_closed() {
                return;
            }
            let chain = bench.genesis.chain();
            let answer = or_panic(chain, || match work {
                JoinEffect::Begin { manifest, bytes } => Some(bench.begin(manifest, &bytes)),
                JoinEffect::Add { manifest, chunk, bytes } => Some(bench.add(manifest, chunk, &bytes)),
                JoinEffect::Finish { manifest } => Some(bench.finish(manifest)),
                JoinEffect::Send { .. } | JoinEffect::TakeBlocks | JoinEffect::Wake(_) => None,
            });
            let Some(answer) = answer else { return };
            // Before anybody hears of the end: the chain is the next one's to claim.
            drop(bench);
            // Nobody waits any more where it was dropped.
            let _ = answers.try_send(answer);
        });
    }
}

/// What `work` answers, or that it panicked: whoever waits for the answer would wait for ever.
fn or_panic(chain: ChainId, work: impl FnOnce() -> Option<Answer>) -> Option<Answer> {
    let answer = catch_unwind(AssertUnwindSafe(work));
    answer.unwrap_or_else(|panic| Some(Err(HostError::Panic { chain, message: panic_message(&*panic) })))
}

/// The validators that the genesis names.
fn validators(genesis: &Genesis) -> Result<Vec<ledger_crypto::PublicKey>, HostError> {
    let set = ValidatorSet::from_bytes(&genesis.engine.parameters).map_err(|error| {
        ledger_core::GenesisError::EngineParameters { name: genesis.engine.name.clone(), reason: error.to_string() }
    })?;
    Ok(set.as_slice().iter().map(|validator| validator.key).collect())
}

/// The next thing that the transport has to say about peers or snapshots; `None` when it is closed.
async fn receive(peers: &mut Peers) -> Option<JoinEvent> {
    loop {
        match peers.inbox.recv().await? {
            Delivery::Connected(peer) => return Some(JoinEvent::Connected { peer }),
            Delivery::Disconnected(peer) => return Some(JoinEvent::Disconnected { peer }),
            Delivery::Message { from, lane: Lane::Sync, bytes } => return Some(JoinEvent::Received { from, bytes }),
            // Votes, payloads and transactions are for those who have the state.
            Delivery::Message { .. } => {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;

    #[test]
    fn a_panic_is_an_answer() {
        let chain = ChainId(Digest::ZERO);
        let answer = or_panic(chain, || std::panic::panic_any("as it was told to"));
        match answer {
            Some(Err(HostError::Panic { chain: found, message })) => {
                assert_eq!((found, message.as_str()), (chain, "as it was told to"));
            }
            _ => panic!("whoever waits is told of the panic"),
        }
        assert!(or_panic(chain, || None).is_none());
    }
}
