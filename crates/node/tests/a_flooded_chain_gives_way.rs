//! A flooded chain makes blocks of a quarter while another chain, which isn't flooded, is at work, and full ones again
//! afterwards.
//!
//! Blocks are held at their execution, so that each phase knows which blocks were made in it. That the other chain was at
//! work all the time is told by when it took transactions up: an attempt in which the machine stalled says nothing, and
//! another one is made.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Gate, certify, deploy, genesis, owner};
use ledger_consensus::Solo;
use ledger_node::core::CoreConfig;
use ledger_node::{Chain, Limits, NodeBuilder};
use ledger_storage::disk::SimulatedDisk;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// For so long after a transaction of a quiet chain, flooded ones give way.
const GIVES_WAY: Duration = Duration::from_millis(200);
/// Enough for all blocks of both phases, and for the chain to be flooded at the end of them.
const FLOOD: u64 = 4_200;
/// Blocks that are looked at beside the quiet chain.
const BESIDE: u64 = 8;
/// Blocks that are looked at when the quiet chain rests.
const ALONE: u64 = 4;
/// So many transactions of the quiet chain at most: more would flood it.
const MOST_QUIET: u64 = 150;
const ATTEMPTS: u64 = 20;

/// Hands the quiet chain transactions that wait for one that never comes, until `until` is set. Since when, and until
/// when at least, it was at work without a break.
async fn keep_busy(quiet: Chain, until: Arc<Mutex<bool>>, begun: Arc<Mutex<Option<Instant>>>) -> Instant {
    let mut covered: Option<Instant> = None;
    for number in 0..MOST_QUIET {
        if *until.lock().unwrap() {
            break;
        }
        let handed_in = Instant::now();
        quiet.submit(deploy(&quiet, 100 + number)).await.unwrap();
        // It was taken up at some time in between: before, the one before has to have counted.
        match covered {
            Some(covered) if Instant::now() > covered => return covered,
            Some(_) => {}
            // The first one may count only when the second is taken up.
            None if number > 0 => *begun.lock().unwrap() = Some(Instant::now()),
            None => {}
        }
        if number > 0 {
            covered = Some(handed_in + GIVES_WAY);
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    covered.unwrap_or_else(Instant::now)
}

/// How large blocks were beside the quiet chain, if it is sure that it was at work; and when it rested.
async fn attempt(seed: u64) -> (Option<Vec<usize>>, Vec<usize>) {
    let (gate, gated) = Gate::new(genesis("flooded").chain(), u64::MAX);
    let builder = NodeBuilder::new().disk(SimulatedDisk::new(seed)).memory_engine().executor(gated);
    let host = builder.limits(Limits { execution_workers: 2, ..Limits::default() }).start().await.unwrap();
    let flooded = host.chain(genesis("flooded"), Solo::new(owner())).await.unwrap();
    let quiet = host.chain(genesis("quiet"), Solo::new(owner())).await.unwrap();
    for chain in [&flooded, &quiet] {
        certify(chain, 0).await;
    }
    // Nothing is under way now. From here on no block is executed, and no more are made than the pipeline has room for.
    let executed = flooded.progress().ordered.0;
    gate.open_to(executed);
    for number in 1..=FLOOD {
        flooded.submit(deploy(&flooded, number)).await.unwrap();
    }
    let pipeline = CoreConfig::default().pipeline + 1;

    let (rests, begun) = (Arc::new(Mutex::new(false)), Arc::default());
    let busy = tokio::spawn(keep_busy(quiet, Arc::clone(&rests), Arc::clone(&begun)));
    while begun.lock().unwrap().is_none() && !busy.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let last_beside = executed + pipeline + BESIDE;
    gate.open_to(last_beside - 1);
    gate.reached(last_beside).await;
    *rests.lock().unwrap() = true;
    let covered = busy.await.unwrap();

    // What was made until then is short, and so may be what was being made.
    tokio::time::sleep(GIVES_WAY * 2).await;
    let last = last_beside + pipeline + ALONE;
    gate.open_to(last - 1);
    gate.reached(last).await;
    gate.open_to(u64::MAX);

    let blocks = gate.blocks.lock().unwrap();
    let sizes = |from: u64, to: u64| blocks.range(from + 1..=to).map(|(_, (size, _))| *size).collect::<Vec<_>>();
    let sure = blocks.get(&last_beside).is_some_and(|(_, came)| *came <= covered);
    let beside = sure.then(|| sizes(executed + pipeline, last_beside));
    (beside, sizes(last_beside + pipeline, last))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flooded_chain_makes_short_blocks_while_another_is_at_work() {
    let most = Limits::default().shared_block_transactions;
    for seed in 1..=ATTEMPTS {
        let (beside, alone) = attempt(seed).await;
        assert_eq!(alone.len() as u64, ALONE);
        assert!(alone.iter().all(|size| *size > most / 4 && *size <= most), "while nobody else is at work: {alone:?}");
        let Some(beside) = beside else { continue };
        assert_eq!(beside.len() as u64, BESIDE);
        assert!(beside.iter().all(|size| (1..=most / 4).contains(size)), "beside a quiet chain: {beside:?}");
        return;
    }
    panic!("in none of {ATTEMPTS} attempts was the machine free for long enough to tell");
}
