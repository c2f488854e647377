//! Quiet chains, alone and beside one that is flooded.

use super::load::{self, percentile};
use super::options::Options;
use super::{Figures, phases};
use ledgerkit::consensus::Solo;
use ledgerkit::contracts::token::Grant;
use ledgerkit::core::{AccountId, ContractId, Fuel, TransactionBuilder};
use ledgerkit::crypto::Signer;
use ledgerkit::node::Chain;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Each quiet chain gets a transaction this often.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn measure(options: &Options, folder: &Path) -> Figures {
    let count = options.chains[0];
    std::fs::create_dir_all(folder).unwrap();
    let host = phases::start(folder, options, count).await;
    let mut quiet = Vec::with_capacity(count);
    for number in 0..=count {
        let chain = host.chain(load::genesis(number), Solo::new(load::owner())).await.expect("the chain is made");
        load::set_up(&chain).await;
        let contract = load::contract(chain.id());
        quiet.push((chain, contract));
    }
    let (flooded, contract) = quiet.pop().expect("there is one more");
    let run = Duration::from_secs(options.seconds);
    let alone = ask(&quiet, 0, run).await;

    let count = (options.rate * (options.seconds + options.warm_up)) as usize;
    let transactions = load::sign(&[(flooded.id(), contract)], count).remove(0);
    let times = load::Times::default();
    let whole = run + Duration::from_secs(options.warm_up);
    let flood = load::feed(flooded, transactions, options.window, (Instant::now(), whole), Arc::clone(&times));
    let flood = tokio::spawn(flood);
    tokio::time::sleep(Duration::from_secs(options.warm_up)).await;
    // The numbers go on where they were.
    let beside = ask(&quiet, alone.len() / quiet.len(), run).await;
    if flood.await.expect("the flood ends by itself") {
        eprintln!("the flood ran out of signed transactions: give a larger --rate");
    }
    let flooded = times.lock().unwrap().len();
    let mut figures = Figures::new();
    for (name, times) in [("quiet", &alone), ("flooded", &beside)] {
        for (stage, name_of_stage) in STAGES.into_iter().enumerate() {
            let mut reached: Vec<f64> = times.iter().map(|times| times[stage]).collect();
            reached.sort_by(f64::total_cmp);
            for (share, name_of_share) in [(0.5, "p50"), (0.99, "p99")] {
                figures.insert(format!("{name}{name_of_stage}_{name_of_share}_ms"), percentile(&reached, share));
            }
        }
    }
    figures.insert("flood_p99_ratio".to_owned(), figures["flooded_p99_ms"] / figures["quiet_p99_ms"]);
    figures.insert("flood_per_s".to_owned(), flooded as f64 / whole.as_secs_f64());
    drop(quiet);
    host.shutdown().await.expect("the host closes");
    figures
}

/// The answers to a transaction, as the figures name them; the last one, *Certified*, is what counts.
pub(crate) const STAGES: [&str; 4] = ["_accepted", "_ordered", "_executed", ""];

/// When a transaction got each of its answers, in ms since it was handed in.
type Answers = [f64; STAGES.len()];

/// Hands each chain a transfer now and then, the chains at different moments. `sent` transfers were sent on each chain
/// before.
async fn ask(chains: &[(Chain, ContractId)], sent: usize, run: Duration) -> Vec<Answers> {
    let rounds = (run.as_secs_f64() / PAUSE.as_secs_f64()).max(1.0) as usize;
    let total = chains.len();
    let asking: Vec<_> = chains
        .iter()
        .cloned()
        .enumerate()
        .map(|(place, (chain, contract))| {
            tokio::spawn(async move {
                let sender = load::signer(place % load::ACCOUNTS);
                let to = AccountId::of_ed25519(&load::signer(0).public_key());
                let mut found = Vec::with_capacity(rounds);
                let begun = tokio::time::Instant::now() + PAUSE.mul_f64(place as f64 / total as f64);
                for round in 0..rounds {
                    tokio::time::sleep_until(begun + PAUSE * round as u32).await;
                    let call = Grant { account: to, amount: 1 }.to_bytes().to_vec();
                    let call = TransactionBuilder::call(chain.id(), contract, "transfer", call);
                    let call = call.sequence(0, (sent + round) as u64).fuel_limit(Fuel(100_000));
                    let call = call.sign(&sender).unwrap();
                    let clock = Instant::now();
                    let since = || clock.elapsed().as_secs_f64() * 1e3;
                    let mut pending = chain.submit(call).await.expect("accepted");
                    let accepted = since();
                    pending.ordered().await.expect("ordered");
                    let ordered = since();
                    pending.executed().await.expect("executed");
                    let executed = since();
                    pending.certified().await.expect("certified");
                    found.push([accepted, ordered, executed, since()]);
                }
                found
            })
        })
        .collect();
    let mut found = Vec::new();
    for chain in asking {
        found.extend(chain.await.expect("a quiet chain answers"));
    }
    found
}
