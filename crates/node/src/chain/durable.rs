//! Between the log and the core: what is durable moves the vote guard before anyone hears of it.
//!
//! ```text
//!   log's thread ──▶ Keeper (one thread a log): the guards of all chains whose votes became durable
//!        │            meanwhile move with one write and one sync ──▶ each chain hears of its groups
//!        └─────────▶ run_alone (a task a chain), where the engine keeps its guard elsewhere
//! ```

use super::shell::Signal;
use crate::core::{Event, Stop, Token};
use crate::guard::SharedGuards;
use ledger_consensus::SharedSigner;
use ledger_core::ChainId;
use ledger_crypto::{GuardRecord, VoteError, VotePosition};
use ledger_storage::log;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// A group of records, as the log is done with it.
pub(crate) struct Logged {
    pub(crate) token: Token,
    pub(crate) voted: Option<VotePosition>,
    pub(crate) outcome: log::Outcome,
}

/// Groups that are taken up together: one write of the guard covers them all.
const BATCH: usize = 256;

/// As much for the keeper, of all chains together.
const KEEPER_BATCH: usize = 16_384;

/// After so long without work the guards are sealed.
const SEAL_AFTER: Duration = Duration::from_secs(1);

/// Where a chain's durable groups go. How many wait is bounded by what the chain's core leaves open.
#[derive(Clone)]
pub(crate) enum Durable {
    /// To the host's keeper.
    Shared(Sender<(Arc<Line>, Logged)>, Arc<Line>),
    /// To a task of the chain's own.
    Alone(mpsc::UnboundedSender<Logged>),
}

impl Durable {
    /// Hands on what the log has done. Called in the log's thread: it doesn't wait.
    pub(crate) fn send(&self, logged: Logged) {
        match self {
            Durable::Shared(keeper, line) => {
                if keeper.send((Arc::clone(line), logged)).is_err() {
                    line.stop("the vote guards' thread has ended");
                }
            }
            // A chain that has ended needs no answer.
            Durable::Alone(task) => drop(task.send(logged)),
        }
    }
}

/// What the keeper knows of a chain.
pub(crate) struct Line {
    pub(crate) chain: ChainId,
    pub(crate) signer: Option<SharedSigner>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
}

impl Line {
    fn signer(&self) -> Option<MutexGuard<'_, ledger_crypto::VoteSigner>> {
        self.signer.as_ref().map(|signer| signer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stop(&self, reason: &str) {
        // A chain that has ended needs no answer.
        let _ = self.signals.send(Signal::Stop(Stop::Log(reason.to_owned())));
    }

    /// What the guard has to hold before anyone hears of `groups`.
    fn guard_record(&self, groups: &[Logged]) -> Result<Option<GuardRecord>, VoteError> {
        let durable = groups.iter().take_while(|group| group.outcome.is_ok());
        match (durable.filter_map(|group| group.voted).max(), self.signer()) {
            (Some(position), Some(signer)) => signer.advancing(position),
            _ => Ok(None),
        }
    }

    /// Tells the chain of groups whose votes the guard holds.
    fn tell(&self, groups: Vec<Logged>) {
        tell(&self.signals, groups, None);
    }
}

/// The thread that moves the guards of a host's chains.
pub(crate) struct Keeper {
    sender: Sender<(Arc<Line>, Logged)>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn spawn(guards: SharedGuards) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("guards".to_owned()).spawn(move || keep(&guards, &receiver))?;
        Ok(Keeper { sender, thread })
    }

    pub(crate) fn sender(&self) -> Sender<(Arc<Line>, Logged)> {
        self.sender.clone()
    }

    /// Ends when every chain has; blocks until then.
    pub(crate) fn join(self) {
        drop(self.sender);
        // A panic there has been told to the chains by the channel that it closed.
        drop(self.thread.join());
    }
}

fn keep(guards: &SharedGuards, receiver: &Receiver<(Arc<Line>, Logged)>) {
    let mut sealed = true;
    loop {
        let next = match sealed {
            true => receiver.recv().map_err(RecvTimeoutError::from),
            false => receiver.recv_timeout(SEAL_AFTER),
        };
        let first = match next {
            Ok(first) => first,
            // If sealing fails the next write does too, and is told to whom it concerns.
            Err(RecvTimeoutError::Timeout) => {
                sealed = true;
                drop(guards.seal());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return drop(guards.seal()),
        };
        let mut lines: BTreeMap<ChainId, (Arc<Line>, Vec<Logged>)> = BTreeMap::new();
        for (line, logged) in std::iter::once(first).chain(receiver.try_iter().take(KEEPER_BATCH)) {
            let chain = line.chain;
            lines.entry(chain).or_insert_with(|| (line, Vec::new())).1.push(logged);
        }
        sealed &= !move_guards(guards, lines.into_values().collect());
    }
}

/// Whether anything was written.
fn move_guards(guards: &SharedGuards, lines: Vec<(Arc<Line>, Vec<Logged>)>) -> bool {
    let (mut records, mut moving) = (Vec::new(), Vec::new());
    for (line, groups) in lines {
        match line.guard_record(&groups) {
            // Nothing to wait for.
            Ok(None) => line.tell(groups),
            Ok(Some(record)) => {
                records.push(record);
                moving.push((line, record, groups));
            }
            Err(error) => line.stop(&error.to_string()),
        }
    }
    let stored = guards.store_all(&records).map_err(|error| error.to_string());
    for (line, record, groups) in moving {
        if let Some(mut signer) = line.signer() {
            match &stored {
                Ok(()) => signer.advanced(&record),
                Err(_) => signer.poison(),
            }
        }
        match &stored {
            Ok(()) => line.tell(groups),
            Err(reason) => line.stop(reason),
        }
    }
    !records.is_empty()
}

/// Tells a chain of its durable groups, in their order; after the first that isn't durable, or a guard that `failed`,
/// that it has to stop. Whether it goes on.
fn tell(signals: &mpsc::UnboundedSender<Signal>, groups: Vec<Logged>, mut failed: Option<String>) -> bool {
    let mut events = Vec::with_capacity(groups.len());
    for Logged { token, outcome, .. } in groups {
        match outcome {
            Ok(positions) if failed.is_none() => events.push(Event::Persisted { token, positions }),
            Err(error) if failed.is_none() => failed = Some(error.to_string()),
            _ => {}
        }
    }
    // A chain that has ended needs no answer.
    let _ = signals.send(Signal::Events(events));
    match failed {
        Some(reason) => {
            let _ = signals.send(Signal::Stop(Stop::Log(reason)));
            false
        }
        None => true,
    }
}

/// Passes on what the log has done for a chain whose guard is its own. Ends with the chain, or when log or guard fails.
pub(crate) async fn run_alone(
    signer: SharedSigner,
    mut logged: mpsc::UnboundedReceiver<Logged>,
    signals: mpsc::UnboundedSender<Signal>,
) {
    let mut batch = Vec::new();
    while logged.recv_many(&mut batch, BATCH).await > 0 {
        let voted = batch.iter().take_while(|group| group.outcome.is_ok()).filter_map(|group| group.voted).max();
        let moved = match voted {
            Some(position) => move_guard(signer.clone(), position).await,
            None => Ok(()),
        };
        if !tell(&signals, std::mem::take(&mut batch), moved.err()) {
            return;
        }
    }
}

async fn move_guard(signer: SharedSigner, position: VotePosition) -> Result<(), String> {
    let advance = move || signer.lock().unwrap_or_else(PoisonError::into_inner).advance(position);
    match tokio::task::spawn_blocking(advance).await {
        Ok(moved) => moved.map_err(|error| error.to_string()),
        Err(error) => Err(format!("the guard's task ended: {error}")),
    }
}
