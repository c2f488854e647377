//! Transfers in a closed loop: so many are under way on each chain, until the time is over.

use ledgerkit::contracts::NATIVE;
use ledgerkit::contracts::token::{Grant, mint_arguments};
use ledgerkit::core::{
    AccountId, ChainId, ContractId, Fuel, Genesis, SignedTransaction, Timestamp, TransactionBuilder,
};
use ledgerkit::crypto::{MemorySigner, Signer};
use ledgerkit::node::{Chain, Pending, SubmitError};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// Accounts of each chain that transfers are made between, unless there is a population to be dealt out.
pub(crate) const ACCOUNTS: usize = 64;

/// A chain's accounts: those of the signers from `first` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    first: usize,
    count: usize,
}

impl Share {
    /// What chain `number` of so many gets. With no population every chain has the same signers.
    pub(crate) fn of(number: usize, chains: usize, population: Option<usize>) -> Self {
        let Some(population) = population else { return Share { first: 0, count: ACCOUNTS } };
        // A transfer takes two.
        let count = (population / chains).max(2);
        Share { first: number * count, count }
    }

    /// That of a chain that this bench has made, whose name has its number.
    pub(crate) fn of_chain(chain: &Chain, chains: usize, population: Option<usize>) -> Self {
        let number = chain.genesis().name.rsplit(' ').next().and_then(|number| number.parse().ok());
        Share::of(number.expect("the chain's name ends with its number"), chains, population)
    }
}

pub(crate) fn signer(index: usize) -> MemorySigner {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    MemorySigner::from_seed(seed)
}

pub(crate) fn owner() -> MemorySigner {
    signer(usize::MAX)
}

pub(crate) fn genesis(number: usize) -> Genesis {
    let mut genesis = Genesis::solo(&format!("bench {number}"), owner().public_key(), Timestamp(0));
    genesis.rules.max_block_fuel = Fuel(10_000_000_000);
    genesis
}

fn deployment(chain: ChainId) -> SignedTransaction {
    TransactionBuilder::deploy(chain, NATIVE, b"token".to_vec(), Vec::new()).sign(&owner()).unwrap()
}

/// The contract that [`set_up`] deploys.
pub(crate) fn contract(chain: ChainId) -> ContractId {
    ContractId::deployed_by(&deployment(chain).id())
}

/// Deploys the token and funds the accounts.
pub(crate) async fn set_up(chain: &Chain, share: Share) {
    let account = |index| AccountId::of_ed25519(&signer(index).public_key());
    let mut deployed = chain.submit(deployment(chain.id())).await.unwrap();
    let accounts: Vec<usize> = (share.first..share.first + share.count).collect();
    for (number, accounts) in accounts.chunks(ACCOUNTS).enumerate() {
        let grants: Vec<Grant> =
            accounts.iter().map(|&index| Grant { account: account(index), amount: 1_000_000 }).collect();
        let mint = TransactionBuilder::call(chain.id(), contract(chain.id()), "mint", mint_arguments(&grants));
        let mint = mint.sequence(0, number as u64 + 1).fuel_limit(Fuel(20_000_000)).sign(&owner()).unwrap();
        let mut minted = chain.submit(mint).await.unwrap();
        assert!(minted.certified().await.unwrap().executed.result.receipt.succeeded());
    }
    assert!(deployed.executed().await.unwrap().result.receipt.succeeded());
}

/// Signs transfers for each of the chains, `count` altogether, on all cores.
pub(crate) fn sign(chains: &[(ChainId, ContractId, Share)], count: usize) -> Vec<Vec<SignedTransaction>> {
    let each = count.div_ceil(chains.len());
    let all = chains.iter().map(|(_, _, share)| share.first + share.count).max().unwrap_or(0);
    let signers: Vec<_> = (0..all).map(signer).collect();
    let accounts: Vec<_> = signers.iter().map(|signer| AccountId::of_ed25519(&signer.public_key())).collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let plan: Vec<(usize, usize)> =
        (0..chains.len()).flat_map(|chain| (0..each).map(move |index| (chain, index))).collect();
    let mut signed: Vec<Vec<SignedTransaction>> = vec![Vec::new(); chains.len()];
    std::thread::scope(|scope| {
        let make = |&(chain, index): &(usize, usize)| {
            let (id, contract, Share { first, count }) = chains[chain];
            let grant = Grant { account: accounts[first + (index * 7 + 1) % count], amount: 1 };
            let call = TransactionBuilder::call(id, contract, "transfer", grant.to_bytes().to_vec());
            let call = call.sequence(0, (index / count) as u64).fuel_limit(Fuel(100_000));
            (chain, call.sign(&signers[first + index % count]).unwrap())
        };
        let parts: Vec<_> = plan
            .chunks(plan.len().div_ceil(cores))
            .map(|part| scope.spawn(move || part.iter().map(make).collect::<Vec<_>>()))
            .collect();
        for part in parts {
            part.join().unwrap().into_iter().for_each(|(chain, transaction)| signed[chain].push(transaction));
        }
    });
    signed
}

type Answer = Pin<Box<dyn Future<Output = Result<Pending, SubmitError>> + Send>>;

/// When each transaction was submitted and durably ordered, since the start of the run.
pub(crate) type Times = Arc<Mutex<Vec<(Duration, Duration)>>>;

/// Feeds one chain, `window` transactions under way at once, until `run` after `start` or until there are none left;
/// says whether that was so.
pub(crate) async fn feed(
    chain: Chain,
    transactions: Vec<SignedTransaction>,
    window: usize,
    (start, run): (Instant, Duration),
    times: Times,
) -> bool {
    let permits = Arc::new(Semaphore::new(window));
    let (answers, mut waiting) = mpsc::channel::<(Instant, Answer)>(window);
    let collect = tokio::spawn({
        let permits = Arc::clone(&permits);
        async move {
            while let Some((at, answer)) = waiting.recv().await {
                answer.await.expect("accepted").ordered().await.expect("ordered");
                permits.add_permits(1);
                times.lock().unwrap().push((at.duration_since(start), start.elapsed()));
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
    ran_dry
}

/// Latencies in ms, sorted, of what was submitted from `from` on.
pub(crate) fn latencies(times: &[(Duration, Duration)], from: Duration) -> Vec<f64> {
    let counted = times.iter().filter(|(submitted, _)| *submitted >= from);
    let mut found: Vec<f64> = counted.map(|(from, to)| (*to - *from).as_secs_f64() * 1e3).collect();
    found.sort_by(f64::total_cmp);
    found
}

pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
