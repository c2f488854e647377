//! Signed transfers through a whole node with one owner: transactions/s, latency to *Certified*, and the share of what
//! this machine's cores could verify if they did nothing else. `cargo bench --bench ledger -- --help`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use ledgerkit::consensus::Solo;
use ledgerkit::contracts::token::{Grant, Token, mint_arguments};
use ledgerkit::contracts::{NATIVE, NativeRuntime};
use ledgerkit::core::{
    AccountId, ChainId, ContractId, Fuel, Genesis, SignedTransaction, Timestamp, TransactionBuilder,
};
use ledgerkit::crypto::{MemorySigner, Signer, Verifier};
use ledgerkit::node::{Chain, Host, Limits, NodeBuilder, Pending, SubmitError};
use ledgerkit::storage::disk::RealDisk;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// What a server would use; the libraries leave the choice to the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
cargo bench --bench ledger -- [options]
  --seconds N    measured time after the warm-up (default 60)
  --warm-up N    seconds before it (default 5)
  --accounts N   accounts that transfers are drawn from (default 1000000)
  --window N     transactions under way at once (default 16384)
  --rate N       transactions signed for each second, the most that can be measured (default 50000)
  --data DIR     where the ledger is kept; not on tmpfs (default: a fresh folder below target/)
  --report FILE  the figures as JSON";

struct Options {
    seconds: u64,
    warm_up: u64,
    accounts: usize,
    window: usize,
    rate: u64,
    data: Option<PathBuf>,
    report: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        seconds: 60,
        warm_up: 5,
        accounts: 1_000_000,
        window: 16_384,
        rate: 50_000,
        data: None,
        report: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let value = words.next().ok_or(format!("{word} needs a number"))?;
            value.parse().ok().filter(|number| *number > 0).ok_or(format!("{word}: `{value}` is not a positive number"))
        };
        match word.as_str() {
            "--seconds" => options.seconds = number()?,
            "--warm-up" => options.warm_up = number()?,
            "--accounts" => options.accounts = number()?.max(2) as usize,
            "--window" => options.window = number()? as usize,
            "--rate" => options.rate = number()?,
            "--data" => options.data = Some(words.next().ok_or("--data needs a folder")?.into()),
            "--report" => options.report = Some(words.next().ok_or("--report needs a file")?.into()),
            // What cargo adds.
            "--bench" => {}
            _ => return Err(format!("unknown option {word}\n{HELP}")),
        }
    }
    Ok(options)
}

/// A small generator (SplitMix64): the draw of the pairs needs no better one.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// Fills `count` places on all cores.
fn on_all_cores<T: Send>(count: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = cores();
    let part = count.div_ceil(threads);
    let make = &make;
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|thread| {
                let range = thread * part..((thread + 1) * part).min(count);
                scope.spawn(move || range.map(make).collect::<Vec<T>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

fn signer(index: usize) -> MemorySigner {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    MemorySigner::from_seed(seed)
}

/// Signatures per second that all cores verify in batches of 256, doing nothing else: the best of three rounds.
fn ceiling(transactions: &[SignedTransaction], verifier: &Verifier) -> f64 {
    let ids: Vec<_> = transactions.iter().map(SignedTransaction::id).collect();
    let round = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let part = transactions.len().div_ceil(cores());
            for (transactions, ids) in transactions.chunks(part).zip(ids.chunks(part)) {
                scope.spawn(move || {
                    for (transactions, ids) in transactions.chunks(256).zip(ids.chunks(256)) {
                        let checks: Vec<_> = transactions
                            .iter()
                            .zip(ids)
                            .map(|(transaction, id)| transaction.witness.check(id))
                            .collect();
                        assert!(verifier.verify_batch(&checks).iter().all(Result::is_ok));
                    }
                });
            }
        });
        transactions.len() as f64 / start.elapsed().as_secs_f64()
    };
    (0..3).map(|_| round()).fold(0.0, f64::max)
}

async fn set_up(chain: &Chain, owner: &MemorySigner, accounts: &[AccountId]) -> ContractId {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new()).sign(owner).unwrap();
    let deployed = chain.submit(deploy).await.unwrap().certified().await.unwrap();
    let contract = ContractId::deployed_by(&deployed.executed.id);
    let mut pending = Vec::new();
    for (number, part) in (1u64..).zip(accounts.chunks(500)) {
        let grants: Vec<Grant> = part.iter().map(|account| Grant { account: *account, amount: 1_000_000 }).collect();
        let mint = TransactionBuilder::call(chain.id(), contract, "mint", mint_arguments(&grants));
        let mint = mint.sequence(0, number).fuel_limit(Fuel(20_000_000)).sign(owner).unwrap();
        pending.push(chain.submit(mint).await.unwrap());
        if pending.len() == 100 {
            for mut pending in pending.drain(..) {
                assert!(pending.executed().await.unwrap().result.receipt.succeeded());
            }
        }
    }
    for mut pending in pending {
        assert!(pending.certified().await.unwrap().executed.result.receipt.succeeded());
    }
    contract
}

fn sign_transfers(
    chain: ChainId,
    contract: ContractId,
    accounts: &[AccountId],
    count: usize,
) -> Vec<SignedTransaction> {
    let mut draw = Draw(42);
    let mut next = vec![0u64; accounts.len()];
    let plan: Vec<(usize, usize, u64)> = (0..count)
        .map(|_| {
            let (from, to) = (draw.below(accounts.len()), draw.below(accounts.len()));
            let number = next[from];
            next[from] += 1;
            (from, to, number)
        })
        .collect();
    on_all_cores(count, |index| {
        let (from, to, number) = plan[index];
        let grant = Grant { account: accounts[to], amount: 1 };
        let call = TransactionBuilder::call(chain, contract, "transfer", grant.to_bytes().to_vec());
        call.sequence(0, number).fuel_limit(Fuel(100_000)).sign(&signer(from)).unwrap()
    })
}

type Answer = Pin<Box<dyn Future<Output = Result<Pending, SubmitError>> + Send>>;

/// When each certified transaction was submitted and certified, since the start of the run.
type Times = Arc<Mutex<Vec<(Duration, Duration)>>>;

/// Feeds transactions, so many under way at once, until the time is over or there are none left.
async fn feed(chain: &Chain, transactions: Vec<SignedTransaction>, window: usize, run: Duration) -> (Times, bool) {
    let start = Instant::now();
    let permits = Arc::new(Semaphore::new(window));
    let times: Times = Arc::default();
    let (answers, mut waiting) = mpsc::channel::<(Instant, Answer)>(window);
    let (ordered, mut places) = mpsc::unbounded_channel();
    let collect = tokio::spawn(async move {
        while let Some((at, answer)) = waiting.recv().await {
            let place = answer.await.expect("accepted").ordered().await.expect("ordered").place;
            if ordered.send((at, place.height)).is_err() {
                return;
            }
        }
    });
    let certify = tokio::spawn({
        let (permits, times, mut progress) = (Arc::clone(&permits), Arc::clone(&times), chain.watch_progress());
        async move {
            let mut open: BTreeMap<_, Vec<Instant>> = BTreeMap::new();
            let mut ended = false;
            while !(ended && open.is_empty()) {
                tokio::select! {
                    place = places.recv(), if !ended => match place {
                        Some((at, height)) => open.entry(height).or_default().push(at),
                        None => ended = true,
                    },
                    changed = progress.changed() => changed.expect("the chain goes on"),
                }
                let now = start.elapsed();
                let certified = progress.borrow_and_update().certified();
                while open.first_key_value().is_some_and(|(height, _)| Some(*height) <= certified) {
                    let (_, of_block) = open.pop_first().unwrap();
                    permits.add_permits(of_block.len());
                    let mut times = times.lock().unwrap();
                    times.extend(of_block.into_iter().map(|at| (at.duration_since(start), now)));
                }
            }
        }
    });
    let mut transactions = transactions.into_iter();
    let mut ran_dry = false;
    while start.elapsed() < run {
        let Some(transaction) = transactions.next() else {
            ran_dry = true;
            break;
        };
        permits.acquire().await.unwrap().forget();
        let at = Instant::now();
        let answer = chain.enqueue(transaction).await.expect("open");
        answers.send((at, Box::pin(answer))).await.expect("collected");
    }
    drop(answers);
    collect.await.unwrap();
    certify.await.unwrap();
    (times, ran_dry)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}

/// CPU time that this process has used, in seconds; the kernel counts it in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / 100.0)
}

async fn start(folder: &std::path::Path, options: &Options) -> Host {
    let mut limits = Limits { cached_keys: 2 * options.accounts, ..Limits::default() };
    limits.value_cache_bytes = 1_500 * options.accounts;
    limits.core.mempool.max_transactions = 2 * options.window.max(50_000);
    limits.core.mempool.max_unexecutable = options.window.max(10_000);
    let builder = NodeBuilder::new().folder(folder).expect("the data folder opens");
    builder.runtime(NativeRuntime::new().with(Token)).limits(limits).start().await.expect("the host starts")
}

fn main() {
    let options = match options() {
        Ok(_) if std::env::args().any(|word| word == "--help") => return println!("{HELP}"),
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let below = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let fresh = tempfile::tempdir_in(&below).expect("a fresh folder");
    let folder = options.data.clone().unwrap_or_else(|| fresh.path().to_path_buf());
    if RealDisk::open(&folder).expect("the data folder opens").is_volatile() {
        eprintln!("{} is on tmpfs: an fsync there costs nothing, and the figures would mean nothing", folder.display());
        std::process::exit(1);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&options, &folder));
}

async fn measure(options: &Options, folder: &std::path::Path) {
    let owner = Arc::new(signer(usize::MAX));
    let mut genesis = Genesis::solo("bench", owner.public_key(), Timestamp(0));
    genesis.rules.max_block_fuel = Fuel(10_000_000_000);
    let host = start(folder, options).await;
    let chain = host.chain(genesis, Solo::new(Arc::clone(&owner))).await.expect("the chain opens");

    println!("conditions: {} cores, one process, solo, fjall views, state root each block, fsync on", cores());
    println!("            cached values: {} MiB; allocator: mimalloc", (1_500 * options.accounts) >> 20);
    let clock = Instant::now();
    let accounts = on_all_cores(options.accounts, |index| AccountId::of_ed25519(&signer(index).public_key()));
    println!("{} keys made in {:.0} s", accounts.len(), clock.elapsed().as_secs_f64());
    let clock = Instant::now();
    let contract = set_up(&chain, &owner, &accounts).await;
    println!("{} accounts funded in {:.0} s", accounts.len(), clock.elapsed().as_secs_f64());
    let clock = Instant::now();
    let count = (options.rate * (options.seconds + options.warm_up)) as usize;
    let transactions = sign_transfers(chain.id(), contract, &accounts, count);
    println!("{count} transfers signed in {:.0} s, outside the timed part", clock.elapsed().as_secs_f64());

    let sample = &transactions[..transactions.len().min(50_000)];
    let verifier = Verifier::new(2 * options.accounts);
    let ceiling_before = ceiling(sample, &verifier);
    let before = host.log_counters();
    let height_before = chain.progress().executed;
    let warm_up = Duration::from_secs(options.warm_up);
    let end = warm_up + Duration::from_secs(options.seconds);
    let sample = sample.to_vec();
    let cpu_before = cpu_seconds();
    let (times, ran_dry) = feed(&chain, transactions, options.window, end).await;
    let cpu = cpu_seconds().zip(cpu_before).map_or(f64::NAN, |(after, before)| after - before);
    let counters = host.log_counters();
    let blocks = chain.progress().executed.0 - height_before.0;
    let ceiling_after = ceiling(&sample, &verifier);

    let times = std::mem::take(&mut *times.lock().unwrap());
    let last = times.iter().map(|(_, certified)| *certified).max().unwrap_or_default().min(end);
    let measured = times.iter().filter(|(_, certified)| *certified >= warm_up && *certified < last).count();
    let per_second = measured as f64 / (last - warm_up.min(last)).as_secs_f64();
    let mut latencies: Vec<f64> = times
        .iter()
        .filter(|(submitted, _)| *submitted >= warm_up)
        .map(|(submitted, certified)| (*certified - *submitted).as_secs_f64() * 1e3)
        .collect();
    latencies.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&latencies, 0.5), percentile(&latencies, 0.99));
    let ceiling = ceiling_before.max(ceiling_after);
    let records = (counters.records - before.records).max(1);
    let syncs = counters.syncs - before.syncs;
    if ran_dry {
        println!("the signed transactions ran out: give a larger --rate");
    }
    println!("transactions/s            {per_second:>12.0}");
    println!("to Certified, p50 / p99   {p50:>9.1} ms / {p99:.1} ms  with {} under way", options.window);
    println!("transactions certified    {:>12}  in {blocks} blocks", times.len());
    println!(
        "log                       {records:>12} records, {syncs} fsyncs (and one for the vote guard of each block)"
    );
    println!(
        "bytes per transaction     {:>12.0}  in the log",
        (counters.bytes - before.bytes) as f64 / times.len() as f64
    );
    println!(
        "CPU per transaction       {:>12.1} µs on all cores, the bench's own share included",
        cpu * 1e6 / times.len() as f64
    );
    println!(
        "peak memory               {:>12} MiB  (the signed transactions included)",
        peak_memory_mib().unwrap_or(0)
    );
    println!("verification ceiling      {ceiling:>12.0}  signatures/s, batches of 256, both cores, nothing else");
    println!("ratio                     {:>12.3}", per_second / ceiling);
    if let Some(file) = &options.report {
        let report = format!(
            "{{\n  \"transactions_per_s\": {per_second:.1},\n  \"final_ms_p50\": {p50:.3},\n  \"final_ms_p99\": {p99:.3},\n  \
             \"ceiling_per_s\": {ceiling:.1},\n  \"ceiling_ratio\": {:.4}\n}}\n",
            per_second / ceiling
        );
        std::fs::write(file, report).expect("the report is written");
    }
    drop(chain);
    host.shutdown().await.expect("the host closes");
}
