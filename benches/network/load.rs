//! What a validator's process does for the benchmark: it signs transfers beforehand, hands them to its own chain, and
//! notes when each was certified.

use crate::processes::{App, Fallible};
use ledgerkit::contracts::token::Grant;
use ledgerkit::core::codec::{self, Bytes, Decode, Encode, Format, List};
use ledgerkit::core::{AccountId, ContractId, Fuel, SignedTransaction, TransactionBuilder};
use ledgerkit::crypto::{MemorySigner, Signer};
use ledgerkit::node::{Chain, Refusal, SubmitError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// How long to wait, after the load, for what is still under way.
const DRAIN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) enum Question {
    /// Sign `count` transfers from the accounts `first .. first + own` to any of `accounts`.
    Prepare { contract: ContractId, first: u64, own: u64, accounts: u64, count: u64 },
    /// Hand in what was prepared for `ms`, at `rate` a second, or, at rate 0, so that `window` are always under way.
    Run { ms: u64, rate: u64, window: u64 },
    /// Hand in one after the other, with a pause in between, `count` of them.
    OneByOne { count: u64, pause_ms: u64 },
    /// Hand in this encoded transaction and wait until it is certified.
    Submit(Bytes),
    /// How far is the chain?
    Standing,
}

impl Format for Question {
    const NAME: &'static str = "question";
    const LIMIT: usize = 16 << 20;
}

/// When one transaction was due and when it was certified, in µs since the load began.
#[derive(Clone, Copy, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) struct Sample {
    pub(crate) due: u64,
    pub(crate) certified: u64,
}

#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) enum Answer {
    Done,
    /// The samples, how many transactions were refused as busy, how many were lost, and whether all that were signed
    /// were handed in before the time was over.
    Samples {
        samples: List<Sample>,
        busy: u64,
        lost: u64,
        ran_dry: bool,
    },
    /// Height executed, blocks' digest there, CPU time used by the process in ms, evidence.
    Standing {
        executed: u64,
        ordered: u64,
        digest: [u8; 32],
        cpu_ms: u64,
        evidence: u64,
    },
}

impl Format for Answer {
    const NAME: &'static str = "answer";
    const LIMIT: usize = 48 << 20;
}

pub(crate) fn signer(index: u64) -> MemorySigner {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&index.to_le_bytes());
    MemorySigner::from_seed(seed)
}

/// A small generator (SplitMix64): the draw of the pairs needs no better one.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Accounts of this process's own: nobody else numbers their transactions.
struct Own {
    first: u64,
    signers: Vec<MemorySigner>,
    next: Vec<u64>,
    draw: Draw,
}

pub(crate) struct Load {
    chain: Chain,
    own: Mutex<Option<Own>>,
    all: Mutex<Vec<AccountId>>,
    prepared: Mutex<Vec<SignedTransaction>>,
}

impl App for Load {
    fn new(chain: Chain) -> Self {
        Load { chain, own: Mutex::default(), all: Mutex::default(), prepared: Mutex::default() }
    }

    async fn answer(&self, question: &[u8]) -> Fallible<Vec<u8>> {
        let answer = match codec::decode::<Question>(question)? {
            Question::Prepare { contract, first, own, accounts, count } => {
                self.prepare(contract, first, own, accounts, count)?;
                Answer::Done
            }
            Question::Run { ms, rate, window } => self.run(Duration::from_millis(ms), rate, window as usize).await?,
            Question::OneByOne { count, pause_ms } => self.one_by_one(count, Duration::from_millis(pause_ms)).await?,
            Question::Submit(bytes) => {
                let certified = self.chain.submit(codec::decode(&bytes)?).await?.certified().await?;
                if !certified.executed.result.receipt.succeeded() {
                    return Err(format!("{:?}", certified.executed.result.receipt.status).into());
                }
                Answer::Done
            }
            Question::Standing => self.standing()?,
        };
        Ok(codec::encode(&answer))
    }
}

impl Load {
    fn prepare(&self, contract: ContractId, first: u64, count_own: u64, accounts: u64, count: u64) -> Fallible<()> {
        let mut own = self.own.lock().unwrap();
        let own = own.get_or_insert_with(|| Own {
            first,
            signers: (first..first + count_own).map(signer).collect(),
            next: vec![0; count_own as usize],
            draw: Draw(first),
        });
        let mut all = self.all.lock().unwrap();
        if all.is_empty() {
            all.extend((0..accounts).map(|index| AccountId::of_ed25519(&signer(index).public_key())));
        }
        let chain = self.chain.id();
        // Numbers of transactions that were not handed in are used again.
        let mut left = self.prepared.lock().unwrap();
        let mine = all[own.first as usize..].iter().take(own.next.len());
        let places: BTreeMap<&AccountId, usize> = mine.zip(0..).collect();
        for transaction in left.drain(..) {
            if let Some(place) = places.get(&transaction.transaction.account) {
                own.next[*place] -= 1;
            }
        }
        let transfers = (0..count).map(|_| {
            let (from, to) = (own.draw.below(own.next.len() as u64) as usize, own.draw.below(accounts) as usize);
            let grant = Grant { account: all[to], amount: 1 };
            let call = TransactionBuilder::call(chain, contract, "transfer", grant.to_bytes().to_vec());
            let number = own.next[from];
            own.next[from] += 1;
            call.sequence(0, number).fuel_limit(Fuel(100_000)).sign(&own.signers[from])
        });
        let signed: Vec<SignedTransaction> = transfers.collect::<Result<_, _>>()?;
        *left = signed;
        Ok(())
    }

    fn standing(&self) -> Fallible<Answer> {
        let progress = self.chain.progress();
        let header = self.chain.header(progress.executed)?;
        if let Some(stop) = progress.stopped {
            return Err(format!("the chain has stopped: {stop}").into());
        }
        Ok(Answer::Standing {
            executed: progress.executed.0,
            ordered: progress.ordered.0,
            digest: *header.digest().as_bytes(),
            cpu_ms: cpu_ms().unwrap_or(0),
            evidence: self.chain.evidence().len() as u64,
        })
    }

    async fn one_by_one(&self, count: u64, pause: Duration) -> Fallible<Answer> {
        let start = Instant::now();
        let mut samples = Vec::new();
        for _ in 0..count {
            let next = {
                let mut left = self.prepared.lock().unwrap();
                (!left.is_empty()).then(|| left.remove(0))
            };
            let Some(transaction) = next else { break };
            tokio::time::sleep(pause).await;
            let due = start.elapsed();
            self.chain.submit(transaction).await?.certified().await?;
            samples.push(Sample { due: micros(due), certified: micros(start.elapsed()) });
        }
        Ok(Answer::Samples { samples: samples.into(), busy: 0, lost: 0, ran_dry: false })
    }

    async fn run(&self, time: Duration, rate: u64, window: usize) -> Fallible<Answer> {
        let mut transactions = std::mem::take(&mut *self.prepared.lock().unwrap()).into_iter();
        let start = Instant::now();
        let permits = Arc::new(Semaphore::new(if rate == 0 { window } else { Semaphore::MAX_PERMITS }));
        let (ordered, places) = mpsc::unbounded_channel();
        let certify = tokio::spawn(certify(self.chain.clone(), start, Arc::clone(&permits), places));
        let busy = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let (mut sent, mut ran_dry) = (0u64, false);
        'load: while start.elapsed() < time {
            let due_by_now = match rate {
                0 => u64::MAX,
                rate => (start.elapsed().as_micros() * u128::from(rate) / 1_000_000) as u64,
            };
            while sent < due_by_now {
                if start.elapsed() >= time {
                    break 'load;
                }
                permits.acquire().await?.forget();
                let Some(transaction) = transactions.next() else {
                    ran_dry = true;
                    break 'load;
                };
                let due = match rate {
                    0 => start.elapsed(),
                    rate => Duration::from_micros(sent * 1_000_000 / rate),
                };
                sent += 1;
                let answer = self.chain.enqueue(transaction).await?;
                let (ordered, permits, busy) = (ordered.clone(), Arc::clone(&permits), Arc::clone(&busy));
                tokio::spawn(async move {
                    let place = match answer.await {
                        Ok(mut pending) => pending.ordered().await.ok().map(|ordered| ordered.place),
                        Err(SubmitError::Mempool(Refusal::Busy { .. })) => {
                            busy.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            None
                        }
                        Err(_) => None,
                    };
                    match place {
                        // The other side may have given up.
                        Some(place) => drop(ordered.send((due, place.height))),
                        None => permits.add_permits(1),
                    }
                });
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        drop(ordered);
        // What was signed and not handed in keeps its numbers.
        *self.prepared.lock().unwrap() = transactions.collect();
        let samples = certify.await?;
        let busy = busy.load(std::sync::atomic::Ordering::Relaxed);
        let lost = sent.saturating_sub(samples.len() as u64 + busy);
        Ok(Answer::Samples { samples: samples.into(), busy, lost, ran_dry })
    }
}

/// Notes when the chain's newest checkpoint commits to each transaction's block.
async fn certify(
    chain: Chain,
    start: Instant,
    permits: Arc<Semaphore>,
    mut places: mpsc::UnboundedReceiver<(Duration, ledgerkit::core::Height)>,
) -> Vec<Sample> {
    let mut progress = chain.watch_progress();
    let (mut open, mut samples): (BTreeMap<_, Vec<Duration>>, _) = (BTreeMap::new(), Vec::new());
    let (mut ended, mut last) = (false, Instant::now());
    while !(ended && open.is_empty()) && last.elapsed() < DRAIN {
        tokio::select! {
            place = places.recv(), if !ended => match place {
                Some((due, height)) => open.entry(height).or_default().push(due),
                None => ended = true,
            },
            changed = progress.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(DRAIN) => break,
        }
        let certified = progress.borrow_and_update().certified();
        while open.first_key_value().is_some_and(|(height, _)| Some(*height) <= certified) {
            let (_, of_block) = open.pop_first().unwrap();
            permits.add_permits(of_block.len());
            last = Instant::now();
            let certified = micros(start.elapsed());
            samples.extend(of_block.into_iter().map(|due| Sample { due: micros(due), certified }));
        }
    }
    samples
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

/// CPU time that this process has used; the kernel counts it in hundredths of a second.
fn cpu_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some((user + system) * 10)
}
