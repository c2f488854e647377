//! The thin tokio shell around a chain's core: one task that feeds events in and carries effects out.

use super::durable::{Durable, Logged};
use super::stages::Stages;
use crate::answers::{Accepted, Order, Pending};
use crate::apply::EXECUTED_AHEAD;
use crate::clock::Clock;
use crate::core::{Ask, ChainCore, Effect, Event, ReadId, Stop, SubmitError, Token};
use crate::host::checker::{CheckContext, CheckJob, UrgentJob};
use crate::host::growth::Growth;
use crate::host::line::{BlockLine, Pass};
use crate::host::pool::Pool;
use crate::host::quota::{Meter, Share};
use crate::host::snapshots::Snapshots;
use crate::host::submit;
use crate::mempool::Refusal;
use crate::progress::Progress;
use crate::recovery::{EVIDENCE_RECORD, to_log};
use ledger_consensus::{Record, TimerId};
use ledger_core::{ChainId, Evidence, Height, Lane, SignedTransaction, Timestamp, TransactionId, Version, codec};
use ledger_crypto::{Digest, VotePosition};
use ledger_network::{Delivery, Inbox, Transport};
use ledger_storage::chain::ChainReader;
use ledger_storage::log::{self, LogError, LogWriter};
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
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
    Stop(Stop),
    /// The chain is the next to make a block.
    Turn(Pass),
    /// Order what was accepted, then end.
    Close(oneshot::Sender<()>),
}

/// Everything a chain's task needs.
pub(crate) struct Shell {
    pub(crate) chain: ChainId,
    pub(crate) core: ChainCore,
    pub(crate) stages: Stages,
    pub(crate) reader: ChainReader,
    pub(crate) logged: Durable,
    pub(crate) pool: Pool,
    pub(crate) line: BlockLine,
    pub(crate) turn: Turn,
    pub(crate) log: Arc<LogWriter>,
    pub(crate) growth: Arc<Growth>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) checks: mpsc::UnboundedSender<CheckJob>,
    pub(crate) urgent: mpsc::UnboundedSender<UrgentJob>,
    pub(crate) peers: Option<Peers>,
    pub(crate) evidence: Arc<Mutex<Vec<Evidence>>>,
    pub(crate) context: Arc<CheckContext>,
    pub(crate) submissions: mpsc::Receiver<Submission>,
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
    pub(crate) progress: watch::Sender<Progress>,
    /// What the chain uses of its quota.
    pub(crate) meter: Meter,
    /// The most transactions of a block while the host has other chains.
    pub(crate) shared_block: usize,
    /// What it uses of the host's memory for waiting transactions.
    pub(crate) share: Share,
}

/// A chain's part in the host's network.
pub(crate) struct Peers {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) inbox: Inbox,
}

/// Submissions that are taken up before their effects are carried out.
const BATCH: usize = 256;

/// Effects after which it is other tasks' turn, and peers' messages after which it is that of clients.
const TURN: usize = 128;

/// What a record takes in the log besides its own bytes.
const FRAME_BYTES: u64 = 64;

/// A chain to which nothing has happened for so long gives up its cached values and its buffers.
const REST_AFTER: Duration = Duration::from_secs(10);

/// The blocks of a flooded chain beside others that aren't are so many times smaller: they wait behind one at least.
const GIVES_WAY: usize = 4;

/// Chains that have waited for so long at the end write no index any more: opening reads more then.
const CLOSING: Duration = Duration::from_secs(5);

/// Where a chain stands in the line of those that have a block to make.
#[derive(Default)]
pub(crate) struct Turn {
    pass: Option<Pass>,
    /// The pass has not been used yet.
    fresh: bool,
    waits: bool,
}

/// What the task remembers between events.
struct Desk {
    next_ask: u64,
    /// Submissions that wait for *Accepted*.
    asks: HashMap<Ask, oneshot::Sender<Result<Pending, SubmitError>>>,
    /// Accepted transactions that wait for *Ordered*.
    ordered: HashMap<TransactionId, oneshot::Sender<Result<Version, SubmitError>>>,
    opened: Instant,
    /// When the chain gives up what it holds only to be fast, if it holds anything.
    rest: Option<Instant>,
    wake: Option<Instant>,
    timers: BTreeMap<TimerId, Instant>,
    clock: Clock,
    now: Timestamp,
    closing: Option<oneshot::Sender<()>>,
}

impl Desk {
    /// Whether nothing has happened for so long that nothing is held for speed.
    fn is_resting(&self) -> bool {
        self.rest.is_none()
    }

    /// The next time that something was asked for.
    fn alarm(&self) -> Option<Instant> {
        self.timers.values().copied().chain(self.wake).chain(self.rest).min()
    }
}

impl Shell {
    /// Runs the chain until it is closed.
    pub(crate) async fn run(mut self, start: Event) {
        let mut desk = Desk {
            next_ask: 0,
            asks: HashMap::new(),
            ordered: HashMap::new(),
            opened: Instant::now(),
            rest: None,
            wake: None,
            timers: BTreeMap::new(),
            clock: Clock::new(),
            now: Timestamp(0),
            closing: None,
        };
        let mut effects = Vec::new();
        let mut submissions = Vec::new();
        self.step(&mut desk, start, &mut effects);
        let (mut done, mut delivered) = (0, 0);
        loop {
            // What a peer says may have no effect, and still takes time.
            done += effects.len().max(1);
            self.carry_out(&mut desk, &mut effects).await;
            if done >= TURN {
                // A flooded chain always finds more to do, and would keep its thread for a hundred rounds.
                done = 0;
                tokio::task::yield_now().await;
            }
            if desk.closing.is_some() && self.core.is_idle() {
                break;
            }
            self.share.set(self.core.mempool().len(), self.core.mempool().bytes());
            if desk.is_resting() {
                (effects, submissions) = (Vec::new(), Vec::new());
            }
            let alarm = desk.alarm();
            tokio::select! {
                biased;
                signal = self.signals.recv() => match signal {
                    Some(signal) => self.signal(&mut desk, signal, &mut effects),
                    None => break,
                },
                () = sleep_until(alarm) => self.ring(&mut desk, &mut effects),
                delivery = receive(&mut self.peers), if delivered < TURN || self.submissions.is_empty() => {
                    delivered += 1;
                    self.deliver(&mut desk, delivery, &mut effects);
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
                    delivered = 0;
                    desk.now = desk.clock.now();
                    for submission in submissions.drain(..) {
                        self.submit(&mut desk, submission, &mut effects);
                    }
                    self.conclude(&mut desk, &mut effects);
                }
            }
        }
        if let Some(done) = desk.closing {
            write_index(&self.stages).await;
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
            let alarm = desk.alarm();
            tokio::select! {
                biased;
                signal = self.signals.recv() => match signal {
                    Some(signal) => self.signal(desk, signal, effects),
                    None => return,
                },
                () = sleep_until(alarm) => self.ring(desk, effects),
                delivery = receive(&mut self.peers) => self.deliver(desk, delivery, effects),
            }
        }
    }

    /// Whatever time was asked for has come.
    fn ring(&mut self, desk: &mut Desk, effects: &mut Vec<Effect>) {
        let now = Instant::now();
        if desk.rest.take_if(|at| *at <= now).is_some() {
            self.context.values.clear();
            desk.asks.shrink_to_fit();
            desk.ordered.shrink_to_fit();
        }
        while let Some(id) = desk.timers.iter().find(|(_, at)| **at <= now).map(|(id, _)| *id) {
            desk.timers.remove(&id);
            self.step(desk, Event::Timer(id), effects);
        }
        if desk.wake.take_if(|at| *at <= now).is_some() {
            self.step(desk, Event::Wake, effects);
        }
    }

    fn deliver(&mut self, desk: &mut Desk, delivery: Option<Delivery>, effects: &mut Vec<Effect>) {
        match delivery {
            Some(Delivery::Connected(peer)) => self.step(desk, Event::Connected { peer }, effects),
            Some(Delivery::Disconnected(peer)) => self.step(desk, Event::Disconnected { peer }, effects),
            // Transactions of which a full host has no room for more; whoever handed them in keeps them.
            Some(Delivery::Message { lane: Lane::Gossip, .. }) if self.share.check().is_err() => {}
            Some(Delivery::Message { from, lane, bytes }) => {
                self.step(desk, Event::Received { from, lane, bytes }, effects);
            }
            // The transport is gone: the chain goes on alone, as far as it can.
            None => self.peers = None,
        }
    }

    /// One step of the core.
    fn step(&mut self, desk: &mut Desk, event: Event, effects: &mut Vec<Effect>) {
        desk.now = desk.clock.now();
        self.guarded(effects, |core, effects| core.take(desk.now, event, effects));
        self.conclude(desk, effects);
    }

    /// Ends a step in which several events were taken.
    fn conclude(&mut self, desk: &mut Desk, effects: &mut Vec<Effect>) {
        desk.rest = Instant::now().checked_add(REST_AFTER);
        let alone = self.core.decides_alone();
        let pipeline = match self.line.is_long() || self.pool.is_busy() {
            true => 1,
            // Nobody else's word has to be waited for: what is ordered further ahead only makes smaller blocks.
            false if alone => EXECUTED_AHEAD as u64,
            false => u64::MAX,
        };
        let most = match self.share.is_alone() {
            true => usize::MAX,
            false if self.share.gives_way() => self.shared_block.div_ceil(GIVES_WAY),
            false => self.shared_block,
        };
        self.core.limit(pipeline, most);
        // With other chains' blocks waiting, another one of this chain's beside the one that is stored would only crowd them.
        let ahead = if self.pool.is_busy() || self.share.gives_way() { 1 } else { EXECUTED_AHEAD };
        self.core.execute_ahead(ahead);
        self.core.gather(alone);
        self.line_up(desk.now);
        self.guarded(effects, |core, effects| core.conclude(desk.now, effects));
        // Nothing of it is under way, or what is stays so for ever.
        if self.core.is_settled() || self.core.is_stopped() {
            self.turn.pass = None;
        }
    }

    /// Lets the core make blocks if it is the chain's turn, or nobody else waits for theirs. Where others have a say in the
    /// order of blocks they would take a node that waits for one that is silent.
    fn line_up(&mut self, now: Timestamp) {
        if self.share.is_alone() || !self.core.decides_alone() {
            self.turn.pass = None;
            return self.core.hold(false);
        }
        if self.core.is_settled() && !std::mem::take(&mut self.turn.fresh) && self.line.is_long() {
            self.turn.pass = None;
        }
        if self.turn.pass.is_none() && !self.turn.waits && self.core.wants_block(now) {
            self.turn.pass = self.line.enter(&self.context.signals);
            self.turn.waits = self.turn.pass.is_none();
        }
        self.core.hold(self.turn.pass.is_none());
    }

    /// A panic in the core stops this chain only.
    fn guarded(&mut self, effects: &mut Vec<Effect>, work: impl FnOnce(&mut ChainCore, &mut Vec<Effect>)) {
        let core = &mut self.core;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(core, effects))) {
            let stop = Stop::Panic { place: "the chain's core", message: panic_message(&*panic) };
            self.core.stop(stop, effects);
        }
    }

    /// Takes a submission; [`conclude`](Self::conclude) has to follow the last one.
    fn submit(&mut self, desk: &mut Desk, submission: Submission, effects: &mut Vec<Effect>) {
        if let Err(refused) = self.may_take(desk, &submission.transaction) {
            // A client that has gone needs no answer.
            let _ = submission.reply.send(Err(refused));
            return;
        }
        desk.next_ask += 1;
        let ask = Ask(desk.next_ask);
        desk.asks.insert(ask, submission.reply);
        let event = Event::Submit { ask, transaction: submission.transaction };
        self.guarded(effects, |core, effects| core.take(desk.now, event, effects));
    }

    /// Whether the chain's quota and the host's memory have room for a transaction.
    fn may_take(&mut self, desk: &Desk, transaction: &SignedTransaction) -> Result<(), SubmitError> {
        let waiting = self.core.mempool().bytes();
        if self.meter.is_bound() {
            let size = codec::encoded_length(transaction) as u64;
            self.meter.admit(desk.opened.elapsed(), size, waiting as u64)?;
        }
        self.share.set(self.core.mempool().len(), waiting);
        let busy = |limit| Refusal::Busy { what: "bytes in the mempools of all chains", limit };
        Ok(self.share.check().map_err(busy)?)
    }

    fn signal(&mut self, desk: &mut Desk, signal: Signal, effects: &mut Vec<Effect>) {
        match signal {
            Signal::Events(events) => {
                desk.now = desk.clock.now();
                for event in events {
                    self.guarded(effects, |core, effects| core.take(desk.now, event, effects));
                }
                self.conclude(desk, effects);
            }
            Signal::Stop(stop) => self.core.stop(stop, effects),
            Signal::Turn(pass) => {
                self.turn = Turn { pass: Some(pass), fresh: true, waits: false };
                desk.now = desk.clock.now();
                self.conclude(desk, effects);
            }
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
                    let to = (Arc::clone(&self.log), self.logged.clone());
                    self.meter.wrote(records.iter().map(|record| FRAME_BYTES + record.bytes.len() as u64).sum());
                    if let Err(error) = persist(self.chain, to, token, &records, voted).await {
                        stopped = Some(Stop::Log(error.to_string()));
                    }
                }
                Effect::Execute(execute) => {
                    // What another chain needs is many short steps, each of which would wait behind a flooded one.
                    let rests = self.share.gives_way().then(tokio::runtime::Handle::current);
                    self.stages.begin(execute, rests);
                }
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
                Effect::CheckSignatures { check, checks } => {
                    let job = UrgentJob { check, checks, signals: self.context.signals.clone() };
                    if self.urgent.send(job).is_err() {
                        stopped = Some(Stop::Panic { place: "the checking pool", message: "it ended".to_owned() });
                    }
                }
                Effect::Send { to, lane, bytes } => {
                    if let Some(peers) = &self.peers {
                        // A peer that isn't there, or doesn't keep up, gets less; the transport counts what.
                        let _ = peers.transport.send(&self.chain, &to, lane, bytes);
                    }
                }
                Effect::SetTimer { id, at } => {
                    let wait = Duration::from_millis(at.0.saturating_sub(desk.now.0));
                    match Instant::now().checked_add(wait) {
                        Some(at) => desk.timers.insert(id, at),
                        None => desk.timers.remove(&id),
                    };
                }
                Effect::ReadBlocks { read, from, count, max_bytes } => self.read_blocks(read, from, count, max_bytes),
                Effect::ReadSnapshot { read } => self.read_snapshot(read),
                Effect::ReadPiece { read, digest, offset } => self.read_piece(read, digest, offset),
                Effect::Evidence(evidence) => self.keep(*evidence).await,
                Effect::Stop(stop) => {
                    self.progress.send_modify(|progress| progress.stopped = Some(stop.clone()));
                    desk.ordered.clear();
                    // What was under way stays so for ever.
                    self.turn.pass = None;
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
            ordered: Order::Awaited(receiver),
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

    /// Evidence goes to the log, for whoever wants to show it later, and to those who ask for it now. The first of a
    /// validator's proves its guilt; it could make more in every view.
    async fn keep(&mut self, evidence: Evidence) {
        let kept = || self.evidence.lock().unwrap_or_else(PoisonError::into_inner);
        if kept().iter().any(|known| known.validator == evidence.validator) {
            return;
        }
        let record = log::Record {
            chain: self.chain.0,
            kind: EVIDENCE_RECORD,
            height: self.reader.head().header.height.0,
            bytes: codec::encode(&evidence),
        };
        // It is no vote and no block: if the log has failed, others will tell.
        let _ = submit(&self.log, vec![record]).await;
        let count = {
            let mut kept = kept();
            kept.push(evidence);
            kept.len()
        };
        self.progress.send_modify(|progress| progress.evidence = count);
    }

    fn read_blocks(&self, read: ReadId, from: Height, count: u64, max_bytes: usize) {
        let (reader, signals) = (self.reader.clone(), self.context.signals.clone());
        let (chain, growth) = (self.chain, Arc::clone(&self.growth));
        tokio::task::spawn_blocking(move || {
            let (mut blocks, mut bytes) = (Vec::new(), 0);
            // A peer may ask from the last height that there can be.
            let heights = (0..count).map_while(|number| from.0.max(1).checked_add(number).map(Height));
            for height in heights {
                let Some(found) = growth.final_block(chain, &reader, height) else { break };
                bytes += found.payload.len() + found.certificate.len();
                if bytes > max_bytes && !blocks.is_empty() {
                    break;
                }
                blocks.push(found);
            }
            let _ = signals.send(Signal::Events(vec![Event::BlocksRead { read, blocks }]));
        });
    }

    /// What a newcomer can be given; a newer snapshot may be begun.
    fn read_snapshot(&self, read: ReadId) {
        let (reader, signals, chain) = (self.reader.clone(), self.context.signals.clone(), self.chain);
        let (growth, snapshots) = (Arc::clone(&self.growth), Arc::clone(&self.snapshots));
        tokio::task::spawn_blocking(move || {
            let first = growth.kept(&chain, reader.head().header.height).first;
            let holding = snapshots.holding(chain, &reader, first);
            let _ = signals.send(Signal::Events(vec![Event::SnapshotRead { read, holding }]));
        });
    }

    fn read_piece(&self, read: ReadId, digest: Digest, offset: u32) {
        let (snapshots, signals, chain) = (Arc::clone(&self.snapshots), self.context.signals.clone(), self.chain);
        tokio::task::spawn_blocking(move || {
            let bytes = snapshots.piece(&chain, &digest, offset);
            let _ = signals.send(Signal::Events(vec![Event::PieceRead { read, bytes }]));
        });
    }
}

/// Lets the views be opened without reading what is in them twice, where that would take long. Few of a host's chains have
/// so much that isn't in the index's last copy; those take turns, and all of them a bounded time.
async fn write_index(stages: &Stages) {
    let asked = Instant::now();
    if let Some(written) = stages.write_index(move || asked.elapsed() < CLOSING) {
        written.await;
    }
}

/// What a peer, or the transport, has to say; waits for ever where there is none.
async fn receive(peers: &mut Option<Peers>) -> Option<Delivery> {
    match peers {
        Some(peers) => peers.inbox.recv().await,
        None => std::future::pending().await,
    }
}

/// Hands records to the log. While the log's queue is full this chain waits, and with it its clients.
async fn persist(
    chain: ChainId,
    (log, logged): (Arc<LogWriter>, Durable),
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
        logged.send(Logged { token, voted, outcome });
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

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
