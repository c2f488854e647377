//! The pool in which the signatures of all chains are checked, in batches.

use crate::apply::Applier;
use crate::chain::shell::{Signal, panic_message};
use crate::core::{CheckFailure, CheckId, Event, Stop};
use crate::host::company::Company;
use crate::host::line::BlockLine;
use crate::host::turns::{BATCH, Turns};
use crate::value_cache::{Cached, ValueCache};
use ledger_core::{
    Block, ChainId, ExecutionError, Executor, Genesis, Rejection, SignatureCheck, SignedTransaction, TransactionError,
    TransactionId,
};
use ledger_crypto::{SignatureError, Verifier};
use ledger_storage::chain::ChainReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// What a chain's transactions are checked against.
pub(crate) struct CheckContext {
    pub(crate) chain: ChainId,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) reader: ChainReader,
    pub(crate) values: Arc<ValueCache>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
}

/// Signatures of votes, certificates or whole blocks: somebody decides by them, so they go before the transactions'.
pub(crate) struct UrgentJob {
    pub(crate) check: CheckId,
    pub(crate) checks: Vec<SignatureCheck>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
}

/// One transaction to be checked.
pub(crate) struct CheckJob {
    pub(crate) id: TransactionId,
    pub(crate) transaction: Arc<SignedTransaction>,
    pub(crate) context: Arc<CheckContext>,
}

/// Signatures that are checked on the spot, since another thread takes longer to wake up: about 0.2 ms.
const AT_ONCE: usize = 8;

/// While chains stand in line for their blocks, so long is waited for a batch to fill: their blocks wait for longer than
/// that, and the more signatures a batch has, the less each of them costs.
const GATHER: Duration = Duration::from_millis(4);

/// Takes jobs until all senders are gone. The queue is bounded by what the chains' mempools reserve.
///
/// While `workers` check batches, what comes gathers into full ones. Flooded chains have workers of their own, half as
/// many, so that the others wait neither for them nor for the processor; while there are no others, they have those as
/// well.
pub(crate) async fn run(
    mut jobs: mpsc::UnboundedReceiver<CheckJob>,
    verifier: Arc<Verifier>,
    workers: usize,
    line: BlockLine,
) {
    let others = Arc::new(Semaphore::new(workers.max(1)));
    let flooded = Arc::new(Semaphore::new((workers / 2).max(1)));
    let mut waiting = Turns::default();
    let mut company = Company::default();
    let (mut more, mut gathered) = (true, false);
    while more || !waiting.is_empty() {
        while let Ok(job) = jobs.try_recv() {
            company.met(job.context.chain);
            waiting.push(job.context.chain, job);
        }
        if !gathered && more && (1..BATCH).contains(&waiting.len()) && line.is_long() {
            tokio::time::sleep(GATHER).await;
            gathered = true;
            continue;
        }
        gathered = false;
        let spare = waiting.has_flooded() && !waiting.has_others() && company.is_one_chain();
        let (permit, work) = tokio::select! {
            biased;
            Ok(permit) = Arc::clone(&others).acquire_owned(), if waiting.has_others() => (permit, waiting.take_others()),
            Ok(permit) = Arc::clone(&flooded).acquire_owned(), if waiting.has_flooded() => {
                (permit, waiting.take_flooded())
            }
            Ok(permit) = Arc::clone(&others).acquire_owned(), if spare => (permit, waiting.take_flooded()),
            job = jobs.recv(), if more => {
                match job {
                    Some(job) => {
                        company.met(job.context.chain);
                        waiting.push(job.context.chain, job);
                    }
                    None => more = false,
                }
                continue;
            }
            else => return,
        };
        let verifier = Arc::clone(&verifier);
        if work.len() <= AT_ONCE {
            check(&verifier, work);
            continue;
        }
        tokio::task::spawn_blocking(move || {
            check(&verifier, work);
            drop(permit);
        });
    }
}

/// Urgent checks that are taken up together.
const URGENT: usize = 64;

/// Takes urgent jobs of all chains, on a worker of its own, so that votes never wait behind transactions. The queue is
/// bounded by what each engine leaves unanswered.
pub(crate) async fn run_urgent(mut jobs: mpsc::UnboundedReceiver<UrgentJob>, verifier: Arc<Verifier>) {
    let mut batch = Vec::with_capacity(URGENT);
    while jobs.recv_many(&mut batch, URGENT).await > 0 {
        let work = std::mem::replace(&mut batch, Vec::with_capacity(URGENT));
        // A few votes take less time than another thread takes to wake up.
        if work.iter().map(|job| job.checks.len()).sum::<usize>() <= AT_ONCE {
            check_urgent(&verifier, work);
            continue;
        }
        let verifier = Arc::clone(&verifier);
        let done = tokio::task::spawn_blocking(move || check_urgent(&verifier, work)).await;
        if done.is_err() {
            return;
        }
    }
}

fn check_urgent(verifier: &Verifier, work: Vec<UrgentJob>) {
    let checks: Vec<_> = work.iter().flat_map(|job| job.checks.iter().map(SignatureCheck::as_check)).collect();
    let mut verdicts = Vec::with_capacity(checks.len());
    for chunk in checks.chunks(BATCH) {
        verdicts.extend(verifier.verify_batch(chunk).into_iter().map(|verdict| verdict.is_ok()));
    }
    let mut verdicts = verdicts.into_iter();
    for UrgentJob { check, checks, signals } in &work {
        let valid: Vec<bool> = verdicts.by_ref().take(checks.len()).collect();
        // A chain that has ended needs no answer.
        let _ = signals.send(Signal::Events(vec![Event::SignaturesChecked { check: *check, valid }]));
    }
}

fn check(verifier: &Verifier, work: Vec<CheckJob>) {
    let checks: Vec<_> = work.iter().map(|job| job.transaction.witness.check(&job.id)).collect();
    let signatures = verifier.verify_batch(&checks);
    drop(checks);
    let mut signatures = signatures.into_iter();
    let mut work = work.into_iter().peekable();
    while let Some(first) = work.next() {
        let context = Arc::clone(&first.context);
        let mut run = vec![first];
        while let Some(next) = work.next_if(|next| Arc::ptr_eq(&next.context, &context)) {
            run.push(next);
        }
        let verdicts: Vec<_> = signatures.by_ref().take(run.len()).collect();
        // What the builder's executor does here concerns this chain alone.
        let signal = match catch_unwind(AssertUnwindSafe(|| check_run(&context, &run, verdicts))) {
            Ok(events) => Signal::Events(events),
            Err(panic) => Signal::Stop(Stop::Panic { place: "checking", message: panic_message(&*panic) }),
        };
        // A chain that has ended needs no answer.
        let _ = context.signals.send(signal);
    }
}

/// Checks transactions of one chain, each against its signature's verdict and the state.
fn check_run(context: &CheckContext, run: &[CheckJob], signatures: Vec<Result<(), SignatureError>>) -> Vec<Event> {
    // One view of the state serves all transactions of a chain that stand together.
    // What is cached may be newer: a check needs the state of any moment since the transaction arrived.
    let base = context.reader.state();
    let height = base.height();
    let state = Cached { base, cache: Arc::clone(&context.values), height, exact: false, unstored: None };
    let head = Block { header: context.reader.head().header.clone(), transactions: Vec::new().into() };
    let surroundings = Applier::context(head.header.chain, &context.genesis.rules, &head);
    let signed: Vec<&SignedTransaction> = run
        .iter()
        .zip(&signatures)
        .filter(|(_, signature)| signature.is_ok())
        .map(|(job, _)| &*job.transaction)
        .collect();
    let mut admissions = context.executor.admit_all(&signed, &surroundings, &state).into_iter();
    context.values.used();
    let mut signatures = signatures.into_iter();
    let mut events = Vec::with_capacity(run.len());
    for job in run {
        let verdict = match signatures.next() {
            Some(Ok(())) => admitted(admissions.next()),
            Some(Err(reason)) => {
                Err(TransactionError::WrongSignature { key: *job.transaction.witness.key(), reason }.into())
            }
            None => Err(CheckFailure::State("the signature was not checked".to_owned())),
        };
        events.push(Event::Checked { id: job.id, verdict });
    }
    events
}

fn admitted(answer: Option<Result<Result<u64, Rejection>, ExecutionError>>) -> Result<u64, CheckFailure> {
    match answer {
        Some(Ok(Ok(next))) => Ok(next),
        Some(Ok(Err(rejection))) => Err(rejection.into()),
        Some(Err(error)) => Err(CheckFailure::State(error.to_string())),
        None => Err(CheckFailure::State("the executor gave no answer".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_contracts::LedgerExecutor;
    use ledger_core::{Timestamp, TransactionBuilder};
    use ledger_crypto::{MemorySigner, Signer};
    use ledger_storage::chain::{ChainConfig, ChainStore};
    use ledger_storage::engine::MemoryEngine;
    use tokio::time::{Instant, sleep, timeout};

    /// A checker on a clock that moves only when everybody waits, beside a line with one pass.
    struct Desk {
        line: BlockLine,
        jobs: mpsc::UnboundedSender<CheckJob>,
        context: Arc<CheckContext>,
        verdicts: mpsc::UnboundedReceiver<Signal>,
        sent: u64,
    }

    impl Desk {
        fn new() -> Self {
            let owner = MemorySigner::from_seed([1; 32]);
            let genesis = Arc::new(Genesis::solo("test", owner.public_key(), Timestamp(0)));
            let store = ChainStore::open(Arc::new(MemoryEngine::default()), &genesis, ChainConfig::default()).unwrap();
            let (signals, verdicts) = mpsc::unbounded_channel();
            let context = Arc::new(CheckContext {
                chain: genesis.chain(),
                genesis,
                reader: store.reader(),
                values: Arc::new(ValueCache::new(0)),
                executor: Arc::new(LedgerExecutor::default()),
                signals,
            });
            let (line, (jobs, queue)) = (BlockLine::new(1), mpsc::unbounded_channel());
            tokio::spawn(run(queue, Arc::new(Verifier::default()), 1, line.clone()));
            Desk { line, jobs, context, verdicts, sent: 0 }
        }

        /// Hands in transactions.
        fn send(&mut self, count: u64) {
            let signer = MemorySigner::from_seed([1; 32]);
            for _ in 0..count {
                let transaction = TransactionBuilder::deploy(self.context.chain, "native", Vec::new(), Vec::new());
                let transaction = Arc::new(transaction.sequence(0, self.sent).sign(&signer).unwrap());
                let job = CheckJob { id: transaction.id(), transaction, context: Arc::clone(&self.context) };
                assert!(self.jobs.send(job).is_ok());
                self.sent += 1;
            }
        }

        /// How many transactions the next batch had, and how long it took to come.
        async fn batch(&mut self) -> (usize, Duration) {
            let begun = Instant::now();
            match timeout(Duration::from_secs(1), self.verdicts.recv()).await {
                Ok(Some(Signal::Events(events))) => (events.len(), begun.elapsed()),
                _ => panic!("no verdict came"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_chains_stand_in_line_what_comes_in_4_ms_is_one_batch() {
        let mut desk = Desk::new();
        let pass = desk.line.enter(&desk.context.signals);
        assert!(pass.is_some() && desk.line.enter(&desk.context.signals).is_none() && desk.line.is_long());
        for _ in 0..3 {
            desk.send(2);
            sleep(GATHER / 2).await;
            desk.send(3);
            assert_eq!(desk.batch().await, (5, GATHER / 2));
        }
        // What is full already waits for nothing.
        desk.send(BATCH as u64);
        let (mut checked, mut waited) = (0, Duration::ZERO);
        while checked < BATCH {
            let (count, time) = desk.batch().await;
            (checked, waited) = (checked + count, waited + time);
        }
        assert_eq!((checked, waited), (BATCH, Duration::ZERO));
        // Nobody stands in line any more once the one that did has had its turn.
        drop(pass);
        assert!(matches!(desk.verdicts.recv().await, Some(Signal::Turn(_))) && !desk.line.is_long());
        desk.send(2);
        assert_eq!(desk.batch().await, (2, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_stands_in_line_nobody_waits() {
        let mut desk = Desk::new();
        for count in [1_u8, 5, 3] {
            desk.send(u64::from(count));
            assert_eq!(desk.batch().await, (usize::from(count), Duration::ZERO));
        }
    }
}
