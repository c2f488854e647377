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
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

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

/// Urgent checks that are taken up together at the most, while they have no more signatures than a batch.
const URGENT: usize = 64;

/// A job with more signatures is long: a block of transactions that are new here, or many blocks' certificates. It takes 10
/// ms or more, up to a second.
const LONG: usize = BATCH;

/// Takes urgent jobs of all chains, so that votes never wait behind transactions. The queues are bounded by what each engine
/// leaves unanswered.
///
/// What is short is taken up together, on a worker of its own. Long jobs have `workers` others and take turns by coming, so
/// that a block that one chain is shown, or blocks that it fetches, keep no votes waiting. Answers may overtake each other.
pub(crate) async fn run_urgent(jobs: mpsc::UnboundedReceiver<UrgentJob>, verifier: Arc<Verifier>, workers: usize) {
    take_urgent(jobs, workers, move |work| check_urgent(&verifier, work)).await;
}

async fn take_urgent(
    mut jobs: mpsc::UnboundedReceiver<UrgentJob>,
    workers: usize,
    check: impl Fn(Vec<UrgentJob>) + Clone + Send + 'static,
) {
    let (mut short, mut long) = (VecDeque::new(), VecDeque::new());
    let mut batch = Vec::with_capacity(URGENT);
    // Each says whether it was long.
    let mut working = JoinSet::new();
    let (mut short_works, mut long_work, mut more) = (false, 0, true);
    while more || !short.is_empty() || !long.is_empty() || !working.is_empty() {
        if !short_works && !short.is_empty() {
            let work = take_short(&mut short);
            // A few votes take less time than another thread takes to wake up.
            if signatures(&work) <= AT_ONCE {
                check(work);
                continue;
            }
            let check = check.clone();
            short_works = true;
            working.spawn_blocking(move || {
                check(work);
                false
            });
        }
        if long_work < workers.max(1)
            && let Some(job) = long.pop_front()
        {
            let check = check.clone();
            long_work += 1;
            working.spawn_blocking(move || {
                check(vec![job]);
                true
            });
            continue;
        }
        tokio::select! {
            biased;
            Some(done) = working.join_next(), if !working.is_empty() => match done {
                Ok(true) => long_work -= 1,
                Ok(false) => short_works = false,
                // A panic: chains find out by the closed channel.
                Err(_) => return,
            },
            count = jobs.recv_many(&mut batch, URGENT), if more => {
                more = count > 0;
                for job in batch.drain(..) {
                    if job.checks.len() > LONG { long.push_back(job) } else { short.push_back(job) }
                }
            }
        }
    }
}

/// The jobs that are taken up next, one at least.
fn take_short(short: &mut VecDeque<UrgentJob>) -> Vec<UrgentJob> {
    let mut sum = 0;
    let fits = |job: &&UrgentJob| {
        sum += job.checks.len();
        sum <= BATCH
    };
    let count = short.iter().take(URGENT).take_while(fits).count().max(1);
    short.drain(..count.min(short.len())).collect()
}

fn signatures(work: &[UrgentJob]) -> usize {
    work.iter().map(|job| job.checks.len()).sum()
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
    use ledger_core::{Timestamp, TransactionBuilder, domains};
    use ledger_crypto::{MemorySigner, Signature, Signer};
    use ledger_storage::chain::{ChainConfig, ChainStore};
    use ledger_storage::engine::MemoryEngine;
    use std::sync::Mutex;
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
    /// An urgent job with so many signatures.
    fn urgent(number: u64, signatures: usize) -> UrgentJob {
        let key = MemorySigner::from_seed([1; 32]).public_key();
        let (domain, signature) = (domains::SIGN_NOTARIZE, Signature::new([0; 64]));
        let check = SignatureCheck { key, domain, message: Vec::new(), signature };
        let (signals, _) = mpsc::unbounded_channel();
        UrgentJob { check: CheckId(number), checks: vec![check; signatures], signals }
    }

    /// Long jobs begin, and go on only when they are let.
    #[tokio::test]
    async fn a_long_job_keeps_neither_votes_nor_more_than_its_workers_waiting() {
        let (begins, mut begun) = mpsc::unbounded_channel();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let waits = Arc::new(Mutex::new(waits));
        let check = move |work: Vec<UrgentJob>| {
            begins.send(work.iter().map(|job| job.check.0).collect::<Vec<_>>()).unwrap();
            if work.iter().any(|job| job.checks.len() > LONG) {
                waits.lock().unwrap().recv().unwrap();
            }
        };
        let (jobs, queue) = mpsc::unbounded_channel();
        let taking = tokio::spawn(take_urgent(queue, 2, check));
        let mut next = async || timeout(Duration::from_secs(20), begun.recv()).await.unwrap().unwrap();
        let send = |number, signatures| assert!(jobs.send(urgent(number, signatures)).is_ok());
        for number in [1, 2, 3] {
            send(number, LONG + 1);
        }
        let mut first = [next().await, next().await].concat();
        first.sort_unstable();
        assert_eq!(first, [1, 2]);
        // Both workers are busy: votes and certificates pass, the third long one doesn't.
        for (number, signatures) in [(4, 1), (5, LONG), (6, AT_ONCE + 1)] {
            send(number, signatures);
            assert_eq!(next().await, [number]);
        }
        go_on.send(()).unwrap();
        assert_eq!(next().await, [3]);
        (0..2).for_each(|_| go_on.send(()).unwrap());
        drop(jobs);
        taking.await.unwrap();
    }

    #[test]
    fn short_jobs_are_taken_up_together_as_long_as_they_stay_short() {
        let mut waiting: VecDeque<_> =
            [(1, 100), (2, 100), (3, 57), (4, LONG), (5, 1)].map(|(n, k)| urgent(n, k)).into();
        waiting.extend((6..6 + 2 * URGENT as u64).map(|number| urgent(number, 1)));
        let mut counts = Vec::new();
        while !waiting.is_empty() {
            let taken = take_short(&mut waiting);
            assert!(signatures(&taken) <= BATCH);
            counts.push(taken.len());
        }
        assert_eq!(counts, [2, 1, 1, URGENT, URGENT, 1]);
    }
}
