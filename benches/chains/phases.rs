//! Creating chains; opening them again and putting them under load.

use super::load::{self, percentile};
use super::options::Options;
use super::{Figures, process};
use ledgerkit::consensus::{EngineFactory, Solo};
use ledgerkit::contracts::NativeRuntime;
use ledgerkit::contracts::token::Token;
use ledgerkit::node::{Chain, Host, Limits, NodeBuilder};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

pub(crate) async fn start(folder: &Path, options: &Options, chains: usize) -> Host {
    let mut limits = Limits::default();
    limits.core.mempool.max_transactions = 2 * options.window.max(50_000);
    limits.core.mempool.max_unexecutable = options.window.max(10_000);
    limits.cached_keys = 4 * load::ACCOUNTS.max(chains / 4).max(options.population.unwrap_or(0));
    if let Some(block) = options.block {
        limits.shared_block_transactions = block;
    }
    let builder = NodeBuilder::new().folder(folder).expect("the data folder opens").shards(options.shards);
    builder.runtime(NativeRuntime::new().with(Token)).limits(limits).start().await.expect("the host starts")
}

/// Chains that are set up at once.
const SET_UP: usize = 256;

/// Makes the chains, one after another, and gives each its token and accounts.
pub(crate) async fn create(options: &Options, folder: &Path) -> Figures {
    let count = options.chains[0];
    std::fs::create_dir_all(folder).unwrap();
    let host = start(folder, options, count).await;
    let (mut chains, mut created) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for number in 0..count {
        let clock = Instant::now();
        chains.push(host.chain(load::genesis(number), Solo::new(load::owner())).await.expect("the chain is made"));
        created.push(clock.elapsed().as_secs_f64() * 1e3);
    }
    created.sort_by(f64::total_cmp);
    let permits = Arc::new(Semaphore::new(SET_UP));
    let setting_up: Vec<_> = chains
        .drain(..)
        .map(|chain| {
            let permits = Arc::clone(&permits);
            let share = load::Share::of_chain(&chain, count, options.population);
            tokio::spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                load::set_up(&chain, share).await
            })
        })
        .collect();
    for chain in setting_up {
        chain.await.expect("the chain is set up");
    }
    host.shutdown().await.expect("the host closes");
    let figures = [("create_ms_p50", percentile(&created, 0.5)), ("create_ms_p99", percentile(&created, 0.99))];
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// How long the chains are left alone before their memory is counted: they give up their buffers meanwhile.
const REST: Duration = Duration::from_secs(12);

/// Opens the chains, lets them rest, and closes them again.
pub(crate) async fn idle(options: &Options, folder: &Path) -> Figures {
    let (host, chains, figures) = open(options, folder).await;
    drop(chains);
    host.shutdown().await.expect("the host closes");
    figures
}

/// Opens the chains, lets them rest, and puts them under load.
pub(crate) async fn open_and_load(options: &Options, folder: &Path) -> Figures {
    let (host, chains, mut figures) = open(options, folder).await;
    figures.extend(put_under_load(options, &host, &chains).await);
    drop(chains);
    host.shutdown().await.expect("the host closes");
    figures
}

async fn open(options: &Options, folder: &Path) -> (Host, Vec<Chain>, Figures) {
    let count = options.chains[0];
    // What a host without chains takes, its threads and files: measured in this process, before.
    let empty = folder.with_extension("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let host = start(&empty, options, count).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (memory, threads, files) = (process::resident_bytes(), process::threads(), process::open_files());
    host.shutdown().await.expect("the empty host closes");
    drop(std::fs::remove_dir_all(&empty));

    let clock = Instant::now();
    let host = start(folder, options, count).await;
    let host_s = clock.elapsed().as_secs_f64();
    let unopened = process::resident_bytes();
    let engines = |_: &_| Some(Box::new(Solo::new(load::owner())) as Box<dyn EngineFactory>);
    let clock = Instant::now();
    let opened = host.reopen_all(engines).await;
    let chains_s = clock.elapsed().as_secs_f64();
    assert_eq!(opened.len(), count, "every chain was in the log");
    let chains: Vec<_> = opened.into_iter().map(|(_, chain)| chain.expect("the chain opens")).collect();
    let mut first_use = Vec::new();
    for chain in chains.iter().take(1_000) {
        let clock = Instant::now();
        assert!(chain.next_number_of(&load::owner()).expect("the state is there") >= 2);
        first_use.push(clock.elapsed().as_secs_f64() * 1e3);
    }
    first_use.sort_by(f64::total_cmp);
    tokio::time::sleep(REST).await;
    let each = |now: f64, before: f64| (now - before).max(0.0) / count as f64;
    let figures = [
        ("bytes_per_idle_chain", each(process::resident_bytes(), memory)),
        ("bytes_per_opening", each(process::resident_bytes(), unopened)),
        ("threads_per_chain", each(process::threads(), threads)),
        ("files_per_chain", each(process::open_files(), files)),
        ("host_s", host_s),
        ("chains_s", chains_s),
        ("open_s", host_s + chains_s),
        ("first_use_ms", percentile(&first_use, 0.99)),
    ];
    (host, chains, figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

async fn put_under_load(options: &Options, host: &Host, chains: &[Chain]) -> Figures {
    let share = |chain| load::Share::of_chain(chain, chains.len(), options.population);
    let ready: Vec<_> = chains.iter().map(|chain| (chain.id(), load::contract(chain.id()), share(chain))).collect();
    let transactions = load::sign(&ready, (options.rate * (options.seconds + options.warm_up)) as usize);
    let warm_up = Duration::from_secs(options.warm_up);
    let run = warm_up + Duration::from_secs(options.seconds);
    let window = (options.window / chains.len()).max(1);
    let times = load::Times::default();
    let height = || chains.iter().map(|chain| chain.progress().executed.0).sum::<u64>();
    let (blocks_before, log_before, guards_before) = (height(), host.log_counters(), host.guard_syncs());
    let begun = Instant::now();
    let feeders: Vec<_> = chains
        .iter()
        .zip(transactions)
        .map(|(chain, transactions)| {
            tokio::spawn(load::feed(chain.clone(), transactions, window, (begun, run), Arc::clone(&times)))
        })
        .collect();
    let mut ran_dry = 0;
    for feeder in feeders {
        ran_dry += usize::from(feeder.await.expect("a chain was fed to the end"));
    }
    if ran_dry > 0 {
        eprintln!("{ran_dry} of {} chains ran out of signed transactions: give a larger --rate", chains.len());
    }
    let log_after = host.log_counters();
    let times = std::mem::take(&mut *times.lock().unwrap());
    let measured = times.iter().filter(|(_, durable)| *durable >= warm_up && *durable < run).count();
    let blocks = height() - blocks_before;
    let found = load::latencies(&times, warm_up);
    let figures = [
        ("transactions_per_s", measured as f64 / (run - warm_up).as_secs_f64()),
        ("durable_ms_p50", percentile(&found, 0.5)),
        ("durable_ms_p99", percentile(&found, 0.99)),
        ("transactions_per_block", times.len() as f64 / blocks.max(1) as f64),
        ("log_syncs", (log_after.syncs - log_before.syncs) as f64),
        ("guard_syncs", (host.guard_syncs() - guards_before) as f64),
        ("ran_dry", f64::from(u8::from(ran_dry > 0))),
    ];
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
