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

/// In turn: the quiet chains alone, and beside a chain that is flooded, another one each time. A round's ratio hangs on a
/// few stalls, of the disk or of others on the machine, so the one in the middle counts.
pub(crate) async fn measure(options: &Options, folder: &Path) -> Figures {
    let count = options.chains[0];
    std::fs::create_dir_all(folder).unwrap();
    let host = phases::start(folder, options, count).await;
    let mut quiet = Vec::with_capacity(count);
    for number in 0..count + options.rounds {
        let chain = host.chain(load::genesis(number), Solo::new(load::owner())).await.expect("the chain is made");
        load::set_up(&chain, accounts()).await;
        let contract = load::contract(chain.id());
        quiet.push((chain, contract));
    }
    let flooded = quiet.split_off(count);
    let mut rounds = Vec::with_capacity(flooded.len());
    for (round, flooded) in flooded.into_iter().enumerate() {
        let figures = measure_round(options, &quiet, flooded, round).await;
        eprintln!(
            "  round {round}: {:.1} ms alone, {:.1} ms beside {:.0}/s, ratio {:.2}",
            figures["quiet_p99_ms"], figures["flooded_p99_ms"], figures["flood_per_s"], figures["flood_p99_ratio"]
        );
        rounds.push(figures);
    }
    drop(quiet);
    host.shutdown().await.expect("the host closes");
    rounds.sort_by(|a, b| a["flood_p99_ratio"].total_cmp(&b["flood_p99_ratio"]));
    let ratios = [("least", rounds.first()), ("most", rounds.last())].map(|(name, round)| {
        (format!("flood_p99_ratio_{name}"), round.expect("a round was measured")["flood_p99_ratio"])
    });
    let mut figures = rounds.swap_remove(rounds.len() / 2);
    figures.extend(ratios);
    figures
}

async fn measure_round(
    options: &Options,
    quiet: &[(Chain, ContractId)],
    (flooded, contract): (Chain, ContractId),
    round: usize,
) -> Figures {
    let run = Duration::from_secs(options.seconds);
    let whole = run + Duration::from_secs(options.warm_up);
    let count = (options.rate.min(MOST_FLOOD) * whole.as_secs()) as usize;
    let transactions = load::sign(&[(flooded.id(), contract, accounts())], count).remove(0);
    // The numbers go on where they were.
    let sent = 2 * round * rounds_of(run);
    let alone = ask(quiet, sent, run).await;

    let times = load::Times::default();
    let flood = load::feed(flooded, transactions, options.window, (Instant::now(), whole), Arc::clone(&times));
    let flood = tokio::spawn(flood);
    tokio::time::sleep(Duration::from_secs(options.warm_up)).await;
    let beside = ask(quiet, sent + rounds_of(run), run).await;
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
    figures
}

/// Each chain's accounts, the flooded one's too.
fn accounts() -> load::Share {
    load::Share::of(0, 1, None)
}

/// No chain of this bench takes more in a second beside others.
const MOST_FLOOD: u64 = 60_000;

/// How many transfers a quiet chain gets in this time.
fn rounds_of(run: Duration) -> usize {
    (run.as_secs_f64() / PAUSE.as_secs_f64()).max(1.0) as usize
}

/// The answers to a transaction, as the figures name them; the last one, *Certified*, is what counts.
pub(crate) const STAGES: [&str; 4] = ["_accepted", "_ordered", "_executed", ""];

/// When a transaction got each of its answers, in ms since it was handed in.
type Answers = [f64; STAGES.len()];

/// Hands each chain a transfer now and then, the chains at different moments. `sent` transfers were sent on each chain
/// before.
async fn ask(chains: &[(Chain, ContractId)], sent: usize, run: Duration) -> Vec<Answers> {
    let rounds = rounds_of(run);
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
