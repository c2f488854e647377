//! The thin tokio shell around a chain's core: one task that feeds events in and carries effects out.

use crate::answers::{Accepted, Pending};
use crate::apply::Applier;
use crate::core::{Ask, ChainCore, Effect, Event, Execute, Stop, SubmitError, Token};
use crate::host::checker::{CheckContext, CheckJob};
use crate::mempool::Refusal;
use crate::progress::Progress;
use crate::recovery::to_log;
use ledger_consensus::{Record, SharedSigner};
use ledger_core::{ChainId, SignedTransaction, Timestamp, TransactionId, Version};
use ledger_crypto::VotePosition;
use ledger_storage::chain::ChainReader;
use ledger_storage::log::{self, LogError, LogPosition, LogWriter};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// What a client sends.
pub(crate) struct Submission {
    pub(crate) transaction: Arc<SignedTransaction>,
    pub(crate) reply: oneshot::Sender<Result<Pending, SubmitError>>,
}

/// What the shell's own workers send.
pub(crate) enum Signal {
    Events(Vec<Event>),
    Durable {
        token: Token,
        voted: Option<VotePosition>,
        outcome: log::Outcome,
    },
    Stop(Stop),
    /// Order what was accepted, then end.
    Close(oneshot::Sender<()>),
}

/// Everything a chain's task needs.
pub(crate) struct Shell {
    pub(crate) chain: ChainId,
    pub(crate) core: ChainCore,
    pub(crate) applier: Arc<Mutex<Applier>>,
    pub(crate) reader: ChainReader,
    pub(crate) signer: Option<SharedSigner>,
    pub(crate) log: Arc<LogWriter>,
    pub(crate) checks: mpsc::UnboundedSender<CheckJob>,
    pub(crate) context: Arc<CheckContext>,
    pub(crate) submissions: mpsc::Receiver<Submission>,
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// Submissions that are taken up before their effects are carried out.
const BATCH: usize = 256;

/// What the task remembers between events.
struct Desk {
    next_ask: u64,
    /// Submissions that wait for *Accepted*.
    asks: HashMap<Ask, oneshot::Sender<Result<Pending, SubmitError>>>,
    /// Accepted transactions that wait for *Ordered*.
    ordered: HashMap<TransactionId, oneshot::Sender<Result<Version, SubmitError>>>,
    wake: Option<Instant>,
    now: Timestamp,
    closing: Option<oneshot::Sender<()>>,
}

impl Shell {
    /// Runs the chain until it is closed.
    pub(crate) async fn run(mut self, start: Event) {
        let mut desk = Desk {
            next_ask: 0,
            asks: HashMap::new(),
            ordered: HashMap::new(),
            wake: None,
            now: Timestamp(0),
            closing: None,
        };
        let mut effects = Vec::new();
        let mut submissions = Vec::with_capacity(BATCH);
        self.step(&mut desk, start, &mut effects);
        loop {
            self.carry_out(&mut desk, &mut effects).await;
            if desk.closing.is_some() && self.core.is_idle() {
                break;
            }
            let wake = desk.wake;
            tokio::select! {
                biased;
                signal = self.signals.recv() => match signal {
                    Some(signal) => self.signal(&mut desk, signal, &mut effects).await,
                    None => break,
                },
                () = sleep_until(wake) => {
                    desk.wake = None;
                    self.step(&mut desk, Event::Wake, &mut effects);
                }
                count = self.submissions.recv_many(&mut submissions, BATCH) => {
                    if count == 0 {
                        // The host and every handle are gone: nothing new can come, but what was accepted is ordered.
                        desk.closing.get_or_insert_with(|| oneshot::channel().0);
                        self.submissions.close();
                        self.step(&mut desk, Event::Close, &mut effects);
                        self.finish(&mut desk, &mut effects).await;
                        break;
                    }
                    for submission in submissions.drain(..) {
                        self.submit(&mut desk, submission, &mut effects);
                    }
                }
            }
        }
        if let Some(done) = desk.closing {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    /// Goes on without new submissions until nothing is under way.
    async fn finish(&mut self, desk: &mut Desk, effects: &mut Vec<Effect>) {
        loop {
            self.carry_out(desk, effects).await;
            if self.core.is_idle() {
                return;
            }
            let wake = desk.wake;
            tokio::select! {
                biased;
                signal = self.signals.recv() => match signal {
                    Some(signal) => self.signal(desk, signal, effects).await,
                    None => return,
                },
                () = sleep_until(wake) => {
                    desk.wake = None;
                    self.step(desk, Event::Wake, effects);
                }
            }
        }
    }

    /// One step of the core. A panic in it stops this chain only.
    fn step(&mut self, desk: &mut Desk, event: Event, effects: &mut Vec<Effect>) {
        desk.now = desk.now.max(clock());
        let now = desk.now;
        let core = &mut self.core;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| core.step(now, event, effects))) {
            let stop = Stop::Panic { place: "the chain's core", message: panic_message(&*panic) };
            self.core.stop(stop, effects);
        }
    }

    fn submit(&mut self, desk: &mut Desk, submission: Submission, effects: &mut Vec<Effect>) {
        desk.next_ask += 1;
        let ask = Ask(desk.next_ask);
        desk.asks.insert(ask, submission.reply);
        self.step(desk, Event::Submit { ask, transaction: submission.transaction }, effects);
    }

    async fn signal(&mut self, desk: &mut Desk, signal: Signal, effects: &mut Vec<Effect>) {
        match signal {
            Signal::Events(events) => {
                for event in events {
                    self.step(desk, event, effects);
                }
            }
            Signal::Durable { token, voted, outcome } => match advance_guard(self.signer.clone(), voted, outcome).await
            {
                Ok(positions) => self.step(desk, Event::Persisted { token, positions }, effects),
                Err(reason) => self.core.stop(Stop::Log(reason), effects),
            },
            Signal::Stop(stop) => self.core.stop(stop, effects),
            Signal::Close(done) => {
                desk.closing = Some(done);
                self.step(desk, Event::Close, effects);
            }
        }
    }

    async fn carry_out(&mut self, desk: &mut Desk, effects: &mut Vec<Effect>) {
        let mut stopped = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Check { id, transaction } => {
                    let job = CheckJob { id, transaction, context: Arc::clone(&self.context) };
                    if self.checks.send(job).is_err() {
                        stopped = Some(Stop::Panic { place: "the checking pool", message: "it ended".to_owned() });
                    }
                }
                Effect::Persist { token, records, voted } => {
                    let to = (Arc::clone(&self.log), self.context.signals.clone());
                    if let Err(error) = persist(self.chain, to, token, &records, voted).await {
                        stopped = Some(Stop::Log(error.to_string()));
                    }
                }
                Effect::Execute(execute) => self.execute(execute),
                Effect::Answer { ask, id, answer } => self.answer(desk, ask, id, answer),
                Effect::Drop { id, reason } => drop_transaction(desk, id, reason),
                Effect::Ordered { block, ids } => {
                    let height = block.header.height;
                    self.progress.send_modify(|progress| progress.ordered = height);
                    for (index, id) in (0u32..).zip(ids.iter()) {
                        if let Some(sender) = desk.ordered.remove(id) {
                            let _ = sender.send(Ok(Version { height, index }));
                        }
                    }
                }
                Effect::Executed { height } => self.progress.send_modify(|progress| progress.executed = height),
                Effect::Certified(checkpoint) => {
                    self.progress.send_modify(|progress| progress.checkpoint = checkpoint);
                }
                Effect::Wake(at) => {
                    let wait = at.0.saturating_sub(desk.now.0);
                    desk.wake = Instant::now().checked_add(Duration::from_millis(wait));
                }
                Effect::CheckSignatures { .. }
                | Effect::Send { .. }
                | Effect::SetTimer { .. }
                | Effect::ReadBlocks { .. }
                | Effect::Evidence(_) => {}
                Effect::Stop(stop) => {
                    self.progress.send_modify(|progress| progress.stopped = Some(stop.clone()));
                    desk.ordered.clear();
                }
            }
        }
        if let Some(stop) = stopped {
            self.core.stop(stop, effects);
            Box::pin(self.carry_out(desk, effects)).await;
        }
    }

    fn answer(&self, desk: &mut Desk, ask: Ask, id: TransactionId, answer: Result<(), SubmitError>) {
        let Some(reply) = desk.asks.remove(&ask) else { return };
        let (sender, receiver) = oneshot::channel();
        let answer = answer.map(|()| Pending {
            accepted: Accepted { id },
            ordered: receiver,
            place: None,
            progress: self.progress.subscribe(),
            reader: self.reader.clone(),
        });
        let accepted = answer.is_ok();
        // A client that has gone is no reason to forget what was accepted.
        let listening = reply.send(answer).is_ok();
        if accepted && listening {
            desk.ordered.insert(id, sender);
        }
    }

    fn execute(&self, execute: Execute) {
        let (applier, signals) = (Arc::clone(&self.applier), self.context.signals.clone());
        tokio::task::spawn_blocking(move || {
            let height = execute.block.header.height;
            let work = || applier.lock().unwrap_or_else(PoisonError::into_inner).apply(&execute);
            let signal = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(Ok(applied)) => Signal::Events(vec![Event::Applied(applied)]),
                Ok(Err(error)) => Signal::Stop(Stop::Apply { height, reason: error.to_string() }),
                Err(panic) => Signal::Stop(Stop::Panic { place: "execution", message: panic_message(&*panic) }),
            };
            let _ = signals.send(signal);
        });
    }
}

/// The log has the vote: the guard moves before anything of it leaves.
async fn advance_guard(
    signer: Option<SharedSigner>,
    voted: Option<VotePosition>,
    outcome: log::Outcome,
) -> Result<Arc<[LogPosition]>, String> {
    let positions = outcome.map_err(|error| error.to_string())?;
    if let (Some(position), Some(signer)) = (voted, signer) {
        let advance = move || signer.lock().unwrap_or_else(PoisonError::into_inner).advance(position);
        match tokio::task::spawn_blocking(advance).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(format!("the guard's task ended: {error}")),
        }
    }
    Ok(positions)
}

/// Hands records to the log. While the log's queue is full this chain waits, and with it its clients.
async fn persist(
    chain: ChainId,
    (log, signals): (Arc<LogWriter>, mpsc::UnboundedSender<Signal>),
    token: Token,
    records: &[Record],
    voted: Option<VotePosition>,
) -> Result<(), LogError> {
    let ticket = loop {
        match log.submit(records.iter().map(|record| to_log(chain, record)).collect()) {
            Ok(ticket) => break ticket,
            Err(LogError::Busy { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => return Err(error),
        }
    };
    ticket.on_done(move |outcome| {
        // A chain that has ended needs no answer.
        let _ = signals.send(Signal::Durable { token, voted, outcome });
    });
    Ok(())
}

fn drop_transaction(desk: &mut Desk, id: TransactionId, reason: Refusal) {
    if let Some(sender) = desk.ordered.remove(&id) {
        let _ = sender.send(Err(reason.into()));
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
