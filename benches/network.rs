//! A network of four validators, each a process with its own key, folder and port on this machine: time to *Certified*,
//! throughput, the loss of one, and catching up. `cargo bench --bench network -- --help`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "network/load.rs"]
mod load;
#[path = "network/options.rs"]
mod options;
#[path = "../examples/processes/mod.rs"]
mod processes;

use ledgerkit::contracts::NATIVE;
use ledgerkit::contracts::token::{Grant, mint_arguments};
use ledgerkit::core::codec;
use ledgerkit::core::{
    AccountId, ContractId, Fuel, Genesis, SignedTransaction, Timestamp, TransactionBuilder, Validator, ValidatorSet,
    Weight,
};
use ledgerkit::crypto::{Digest, Signer, Verifier};
use ledgerkit::storage::disk::RealDisk;
use load::{Answer, Load, Question, Sample, signer};
use options::{HELP, Options};
use processes::{Child, Fallible, Line, PeerAt, Program, Settings, StartRequest};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a server would use; the libraries leave the choice to the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Validators; of so many one may be lost.
const VALIDATORS: usize = 4;

/// The place of the accounts' owner among the signers.
const OWNER: u64 = u64::MAX;
/// The place of the validators.
const KEYS: u64 = u64::MAX - 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, address, token] = arguments.as_slice()
        && first == processes::CHILD
    {
        return ExitCode::from(processes::run::<Load>(address, token));
    }
    if arguments.iter().any(|word| word == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let below = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let fresh = tempfile::tempdir_in(&below).expect("a fresh folder");
    let folder = options.data.clone().unwrap_or_else(|| fresh.path().to_path_buf());
    if RealDisk::open(&folder).expect("the data folder opens").is_volatile() {
        eprintln!("{} is on tmpfs: an fsync there costs nothing, and the figures would mean nothing", folder.display());
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match runtime.block_on(measure(&options, &folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The validators' processes.
struct Network {
    requests: Vec<StartRequest>,
    children: Vec<Option<Child>>,
    contract: ContractId,
    accounts: u64,
}

impl Network {
    async fn start(options: &Options, folder: &Path) -> Fallible<Self> {
        let keys: Vec<u64> = (0..VALIDATORS as u64).map(|number| KEYS + number).collect();
        let validators = keys.iter().map(|key| Validator { key: signer(*key).public_key(), weight: Weight(1) });
        let mut genesis = Genesis::bft("bench", &ValidatorSet::new(validators)?, Timestamp(0));
        genesis.rules.max_block_fuel = Fuel(10_000_000_000);
        let settings = Settings {
            block_transactions: options.block,
            pipeline: options.pipeline,
            block_interval_ms: options.interval_ms,
            leader_timeout_ms: options.leader_timeout_ms,
            mempool_transactions: Some(200_000),
            cached_keys: Some(2 * options.accounts),
            value_cache_bytes: Some(1_500 * options.accounts),
        };
        let request = |number: &u64| StartRequest {
            folder: folder.join(format!("validator-{}", number - KEYS + 1)).to_str().unwrap_or_default().into(),
            seed: seed(*number),
            genesis: codec::encode(&genesis).into(),
            settings,
        };
        let requests: Vec<StartRequest> = keys.iter().map(request).collect();
        let mut network =
            Network { requests, children: Vec::new(), contract: ContractId(Digest::ZERO), accounts: options.accounts };
        for request in &network.requests {
            network.children.push(Some(Child::start(&Program::default(), request.clone()).await?));
        }
        network.introduce().await?;
        network.fund(&genesis).await?;
        Ok(network)
    }

    async fn introduce(&self) -> Fallible<()> {
        let mut peers = Vec::new();
        for (child, number) in self.children.iter().zip(0..) {
            if let Some(child) = child {
                peers.push(PeerAt { key: signer(KEYS + number).public_key(), address: child.address.as_str().into() });
            }
        }
        for child in self.children.iter().flatten() {
            child.line().peers(peers.clone()).await?;
        }
        Ok(())
    }

    async fn fund(&mut self, genesis: &Genesis) -> Fallible<()> {
        let owner = signer(OWNER);
        let chain = genesis.chain();
        let deploy = TransactionBuilder::deploy(chain, NATIVE, b"token".to_vec(), Vec::new()).sign(&owner)?;
        self.contract = ContractId::deployed_by(&deploy.id());
        self.ask(0, Question::Submit(codec::encode(&deploy).into())).await?;
        let accounts: Vec<AccountId> =
            (0..self.accounts).map(|index| AccountId::of_ed25519(&signer(index).public_key())).collect();
        for (number, part) in (1..).zip(accounts.chunks(500)) {
            let grants: Vec<Grant> =
                part.iter().map(|account| Grant { account: *account, amount: 1_000_000 }).collect();
            let mint = TransactionBuilder::call(chain, self.contract, "mint", mint_arguments(&grants));
            let mint = mint.sequence(0, number).fuel_limit(Fuel(20_000_000)).sign(&owner)?;
            self.ask(0, Question::Submit(codec::encode(&mint).into())).await?;
        }
        Ok(())
    }

    fn line(&self, number: usize) -> Fallible<Line> {
        Ok(self.children[number].as_ref().ok_or("the validator is stopped")?.line())
    }

    async fn ask(&self, number: usize, question: Question) -> Fallible<Answer> {
        Ok(codec::decode(&self.line(number)?.ask(codec::encode(&question)).await?)?)
    }

    /// Asks all that run, at once.
    async fn ask_all(&self, question: impl Fn(usize) -> Question) -> Fallible<Vec<Answer>> {
        let mut asked = Vec::new();
        for (number, child) in self.children.iter().enumerate() {
            if let Some(child) = child {
                let (line, question) = (child.line(), codec::encode(&question(number)));
                asked.push(tokio::spawn(async move { line.ask(question).await }));
            }
        }
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(codec::decode(&answer.await??)?);
        }
        Ok(answers)
    }

    async fn prepare(&self, count: u64) -> Fallible<()> {
        let own = self.accounts / VALIDATORS as u64;
        self.ask_all(|number| Question::Prepare {
            contract: self.contract,
            first: number as u64 * own,
            own,
            accounts: self.accounts,
            count,
        })
        .await?;
        Ok(())
    }

    /// The samples of all, by the time when they were certified.
    async fn run(&self, seconds: f64, rate: u64, window: u64) -> Fallible<Run> {
        let running = self.children.iter().flatten().count() as u64;
        let ms = (seconds * 1e3) as u64;
        let (before, started) = (self.standings().await?, Instant::now());
        let answers =
            self.ask_all(|_| Question::Run { ms, rate: rate / running, window: (window / running).max(1) }).await?;
        let (after, took) = (self.standings().await?, started.elapsed().as_secs_f64());
        let mut run = Run { cpu: (cpu(&after) - cpu(&before)) / took, ..Run::default() };
        run.blocks = executed(&after[0]).saturating_sub(executed(&before[0]));
        for answer in answers {
            let Answer::Samples { samples, busy, lost, ran_dry } = answer else { return Err("no samples".into()) };
            run.samples.extend(samples.into_vec());
            run.busy += busy;
            run.lost += lost;
            run.ran_dry |= ran_dry;
        }
        run.samples.sort_by_key(|sample| sample.certified);
        Ok(run)
    }

    async fn standings(&self) -> Fallible<Vec<Answer>> {
        self.ask_all(|_| Question::Standing).await
    }

    /// Waits until all that run have executed the same block.
    async fn settle(&self) -> Fallible<u64> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let standings = self.standings().await?;
            let tips: Vec<_> = standings.iter().map(tip).collect();
            if standings.iter().any(|standing| matches!(standing, Answer::Standing { evidence: 1.., .. })) {
                return Err("somebody voted twice".into());
            }
            if tips.windows(2).all(|pair| pair[0] == pair[1]) {
                return Ok(tips[0].0);
            }
            if Instant::now() > until {
                return Err(format!("the validators don't come to the same block: {standings:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn seed(number: u64) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

fn tip(standing: &Answer) -> (u64, u64, [u8; 32]) {
    match standing {
        Answer::Standing { executed, ordered, digest, .. } => (*executed, *ordered, *digest),
        _ => (0, 0, [0; 32]),
    }
}

fn executed(standing: &Answer) -> u64 {
    tip(standing).0
}

fn cpu(standings: &[Answer]) -> f64 {
    let of =
        |standing: &Answer| if let Answer::Standing { cpu_ms, .. } = standing { *cpu_ms as f64 / 1e3 } else { 0.0 };
    standings.iter().map(of).sum()
}

/// What came of a load.
#[derive(Default)]
struct Run {
    samples: Vec<Sample>,
    busy: u64,
    lost: u64,
    ran_dry: bool,
    blocks: u64,
    /// Cores that the validators used on average.
    cpu: f64,
}

impl Run {
    /// Certified transactions per second between two moments, in s since the load began.
    fn rate(&self, from: f64, to: f64) -> f64 {
        let within = self.samples.iter().filter(|sample| (from..to).contains(&(sample.certified as f64 / 1e6)));
        within.count() as f64 / (to - from)
    }

    /// Percentiles of the time from due to certified, in ms, of what was due from `from` s on.
    fn latency(&self, from: f64) -> (f64, f64) {
        let due = self.samples.iter().filter(|sample| sample.due as f64 / 1e6 >= from);
        let mut times: Vec<f64> = due.map(|sample| (sample.certified - sample.due) as f64 / 1e3).collect();
        times.sort_by(f64::total_cmp);
        (percentile(&times, 0.5), percentile(&times, 0.99))
    }

    /// The longest time in which nothing was certified, in ms, from `from` to `to` s.
    fn longest_pause(&self, from: f64, to: f64) -> f64 {
        let within = self.samples.iter().map(|sample| sample.certified as f64 / 1e6);
        let times: Vec<f64> =
            std::iter::once(from).chain(within.filter(|at| (from..to).contains(at))).chain([to]).collect();
        times.windows(2).map(|pair| (pair[1] - pair[0]) * 1e3).fold(0.0, f64::max)
    }
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// Signatures per second that all cores verify in batches of 256, doing nothing else: the best of three rounds.
fn ceiling(contract: ContractId, chain: ledgerkit::core::ChainId) -> Fallible<f64> {
    let sign = |index: u64| {
        let call = TransactionBuilder::call(chain, contract, "transfer", vec![0; 48]);
        call.sequence(0, index / 10_000).fuel_limit(Fuel(100_000)).sign(&signer(index % 10_000))
    };
    let transactions: Vec<SignedTransaction> = (0..40_000).map(sign).collect::<Result<_, _>>()?;
    let ids: Vec<_> = transactions.iter().map(SignedTransaction::id).collect();
    let verifier = Verifier::new(20_000);
    let round = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let part = transactions.len().div_ceil(cores());
            for (transactions, ids) in transactions.chunks(part).zip(ids.chunks(part)) {
                let verifier = &verifier;
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
    Ok((0..3).map(|_| round()).fold(0.0, f64::max))
}

async fn measure(options: &Options, folder: &Path) -> Fallible<()> {
    println!(
        "conditions: {} cores, {VALIDATORS} validators, each a process with 2 runtime threads; QUIC over the loopback, mutual TLS",
        cores()
    );
    println!(
        "            fsync on, every validator verifies every signature; fjall views, state root each block; mimalloc"
    );
    println!(
        "            transfers between {} accounts, signed beforehand, handed in at all validators alike, in their processes",
        options.accounts
    );
    println!("            set: {}", options.settings());
    let mut network = Network::start(options, folder).await?;
    let processes: Vec<_> = network.children.iter().flatten().filter_map(Child::process).collect();
    println!("            the validators' processes: {processes:?}");
    let genesis: Genesis = codec::decode(&network.requests[0].genesis)?;
    let mut report = Vec::new();
    let mut line = |name: &'static str, value: f64, text: String| {
        println!("{name:<28}{text}");
        report.push((name.replace([' ', '-', '/'], "_"), value));
    };

    // Saturated: what the machine could verify, and what the network certifies.
    let ceiling = ceiling(network.contract, genesis.chain())?;
    let share = ceiling / VALIDATORS as f64;
    line(
        "verification ceiling",
        ceiling,
        format!("{ceiling:>10.0} signatures/s, batches of 256, all cores, nothing else"),
    );
    let (warm, time) = (options.warm_up as f64, (options.warm_up + options.seconds) as f64);
    let mut saturated = Vec::new();
    for _ in 0..options.runs {
        network.prepare((share * 0.8 * time / VALIDATORS as f64) as u64).await?;
        let run = network.run(time, 0, options.window).await?;
        network.settle().await?;
        note(&run);
        saturated.push((run.rate(warm, time), run.latency(warm), run.blocks as f64 / time, run.cpu));
    }
    let rate = median(saturated.iter().map(|run| run.0));
    let (p50, p99) = (median(saturated.iter().map(|run| run.1.0)), median(saturated.iter().map(|run| run.1.1)));
    let blocks = median(saturated.iter().map(|run| run.2));
    let used = median(saturated.iter().map(|run| run.3));
    line(
        "saturated transactions/s",
        rate,
        format!("{rate:>10.0}   with {} under way; {blocks:.0} blocks/s, {used:.2} cores", options.window),
    );
    let per_transaction = used * 1e6 / rate;
    line(
        "CPU per transaction",
        per_transaction,
        format!("{per_transaction:>10.0}   µs over all validators, the handing in included"),
    );
    line("saturated ratio", rate / share, format!("{:>10.3}   of the ceiling ÷ {VALIDATORS} (goal 0.4)", rate / share));
    line("saturated p50", p50, format!("{p50:>10.1} ms to Certified, p99 {p99:.1} ms"));

    // At a steady rate.
    let mut steady = Vec::new();
    for _ in 0..options.runs {
        network.prepare((options.rate as f64 * 1.1 * time / VALIDATORS as f64) as u64).await?;
        let run = network.run(time, options.rate, 0).await?;
        network.settle().await?;
        note(&run);
        steady.push((run.rate(warm, time), run.latency(warm), run.blocks as f64 / time, run.cpu));
    }
    let (p50, p99) = (median(steady.iter().map(|run| run.1.0)), median(steady.iter().map(|run| run.1.1)));
    let (rate, blocks) = (median(steady.iter().map(|run| run.0)), median(steady.iter().map(|run| run.2)));
    let used = median(steady.iter().map(|run| run.3));
    line(
        "steady transactions/s",
        rate,
        format!("{rate:>10.0}   asked for {}; {blocks:.0} blocks/s, {used:.2} cores", options.rate),
    );
    line("steady p50", p50, format!("{p50:>10.1} ms to Certified (goal 25)"));
    line("steady p99", p99, format!("{p99:>10.1} ms to Certified (goal 150)"));

    // At rest: one transaction at a time.
    network.prepare(options.single).await?;
    let Answer::Samples { samples, .. } =
        network.ask(0, Question::OneByOne { count: options.single, pause_ms: 20 }).await?
    else {
        return Err("no samples".into());
    };
    let rest = Run { samples: samples.into_vec(), ..Run::default() };
    let (p50, p99) = rest.latency(0.0);
    line(
        "at rest p50",
        p50,
        format!("{p50:>10.1} ms to Certified, one transaction at a time, each after 20 ms of rest"),
    );
    line("at rest p99", p99, format!("{p99:>10.1} ms"));

    lose_one(&mut network, options, &mut line).await?;

    if let Some(file) = &options.report {
        let members: Vec<String> = report.iter().map(|(name, value)| format!("  \"{name}\": {value:.4}")).collect();
        std::fs::write(file, format!("{{\n{}\n}}\n", members.join(",\n")))?;
    }
    for child in network.children.into_iter().flatten() {
        child.stop().await?;
    }
    Ok(())
}

fn note(run: &Run) {
    let Run { busy, lost, ran_dry, .. } = run;
    if *busy + *lost > 0 || *ran_dry {
        println!("  note: {busy} refused as busy, {lost} lost, the signed ones ran out: {ran_dry}");
    }
}

/// Kills one of four under load, and takes it back.
async fn lose_one(
    network: &mut Network,
    options: &Options,
    line: &mut impl FnMut(&'static str, f64, String),
) -> Fallible<()> {
    let time = 2.0 * (options.warm_up + options.seconds) as f64;
    let lost = VALIDATORS - 1;
    network.prepare((options.rate as f64 * 1.1 * time / lost as f64) as u64).await?;
    let before = network.settle().await?;
    let killed_at = time / 4.0;
    // The load is on the three that stay.
    let mut gone = network.children[lost].take().ok_or("the validator is stopped")?;
    let killing = async {
        tokio::time::sleep(Duration::from_secs_f64(killed_at)).await;
        gone.kill().await
    };
    let (run, killed) = tokio::join!(network.run(time, options.rate, 0), killing);
    let (run, ()) = (run?, killed?);
    note(&run);
    let whole = run.rate(1.0, killed_at);
    let (rate, (p50, p99)) = (run.rate(killed_at + 1.0, time), run.latency(killed_at + 1.0));
    let (pause, pause_before) = (run.longest_pause(killed_at, time), run.longest_pause(1.0, killed_at));
    line(
        "one stopped rate",
        rate,
        format!("{rate:>10.0}   transactions/s, {whole:.0} before; p50 {p50:.1} ms, p99 {p99:.1} ms"),
    );
    line(
        "one stopped longest pause",
        pause,
        format!("{pause:>10.1} ms without a certificate, {pause_before:.1} ms before the loss"),
    );

    let after = network.settle().await?;
    let started = Instant::now();
    network.children[lost] = Some(Child::start(&Program::default(), network.requests[lost].clone()).await?);
    let standing = network.ask(lost, Question::Standing).await?;
    let (had, opened) = (executed(&standing), started.elapsed());
    network.introduce().await?;
    let introduced = Instant::now();
    while executed(&network.ask(lost, Question::Standing).await?) < after {
        if introduced.elapsed() > Duration::from_secs(60) {
            return Err("the validator doesn't catch up".into());
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    let caught_up = introduced.elapsed().as_secs_f64();
    let missed = after.saturating_sub(had);
    let lived = time * missed as f64 / after.saturating_sub(before).max(1) as f64;
    let ratio = lived / caught_up;
    line(
        "catch-up ratio",
        ratio,
        format!(
            "{ratio:>10.1}   × the live rate (goal 10): {missed} blocks of {lived:.1} s in {:.0} ms, from the peers' addresses on; \
             opening the folder took {:.0} ms",
            caught_up * 1e3,
            opened.as_secs_f64() * 1e3
        ),
    );
    network.settle().await?;
    Ok(())
}
