//! Figures of sound networks: how many message delays things take, and how the costs grow with the number of validators.
//!
//! ```
//! let delays = ledger_simulation::network::figures::delays()?;
//! assert!(delays.ordered <= 3.0 && delays.certified <= 7.0);
//! # Ok::<(), ledger_simulation::Failure>(())
//! ```

use super::plot;
use super::scenario::{Network, network};
use super::watch::Watch;
use super::world::NetworkWorld;
use crate::report::{Failure, Report};
use ledger_core::Lane;
use std::fmt::Write;
use std::time::Instant;

/// One message delay, in µs. Everything else takes no time.
const DELAY: u64 = 10_000;

/// How long things take, in message delays.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// From the proposal of a block with a transaction, on an idle chain, to *Ordered*; the longest.
    pub ordered: f64,
    /// From the same proposal to *Certified*; the longest.
    pub certified: f64,
    /// From a transaction's submission, mostly to a node that doesn't lead, to *Certified*; the median.
    pub submitted_to_certified: f64,
    /// Between two blocks while there is always something to order; the median.
    pub block_interval: f64,
}

/// What one validator's stop does to a network of four that always has something to order.
#[derive(Clone, Copy, Debug)]
pub struct OneStopped {
    /// Blocks in each second of simulated time before.
    pub before: f64,
    /// The same afterwards, the pause at the stop included.
    pub after: f64,
    /// The longest time between two blocks from the stop on, in ms of simulated time.
    pub longest_pause_ms: f64,
    /// How long a view waits for its leader, in ms.
    pub leader_timeout_ms: u64,
}

/// What a block costs in a network of some size.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Validators.
    pub nodes: usize,
    /// Blocks counted.
    pub blocks: u64,
    /// Messages sent for a block, by all nodes.
    pub messages: f64,
    /// KiB sent for a block, by all nodes.
    pub kib: f64,
    /// Of those, KiB of votes and certificates.
    pub vote_kib: f64,
    /// Signatures checked for a block, by each node.
    pub checks: f64,
    /// ms of processor time for a block and node, with mocked signatures.
    pub cpu_ms_mocked: f64,
    /// The same with real signatures, each checked alone.
    pub cpu_ms_real: f64,
}

fn quiet(nodes: usize) -> Network {
    network(nodes).delay_us(DELAY..=DELAY).instant_hosts().real_signatures(0)
}

/// There is always something to order: a transaction every half delay.
fn busy(nodes: usize, ms: u64) -> Network {
    let transactions = ms * 1_000 * 2 / DELAY;
    quiet(nodes).transactions(transactions).heal_at(ms).blocks(1)
}

fn watched(scenario: &Network, seed: u64) -> Result<(Report, Watch), Failure> {
    let run = || NetworkWorld::new(scenario, seed).and_then(NetworkWorld::watched);
    run().map_err(|violation| Failure { seed, violation, command: format!("{scenario:?}, seed {seed}") })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / (whole.max(1)) as f64
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Counts message delays in a network of four.
///
/// # Errors
/// [`Failure`] when a run breaks a law.
pub fn delays() -> Result<Delays, Failure> {
    const IDLE_MS: u64 = 10_000;
    let (mut ordered, mut certified, mut submitted) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..5 {
        // A transaction about every second, each on an idle chain.
        let (_, watch) = watched(&quiet(4).transactions(10).heal_at(IDLE_MS).blocks(1), seed)?;
        for (height, (at, ids)) in &watch.ordered {
            let proposed = watch.proposed.get(height).copied().unwrap_or(*at);
            // Afterwards clients send as fast as blocks come.
            let idle = proposed < IDLE_MS * 1_000 && !ids.is_empty();
            let Some(known) = watch.certified.get(height).filter(|_| idle) else { continue };
            ordered.push(at - proposed);
            certified.push(known - proposed);
            submitted.extend(ids.iter().filter_map(|id| Some(known - watch.submitted.get(id)?)));
        }
    }
    let (_, watch) = watched(&busy(4, 2_000), 0)?;
    let intervals = intervals(&watch).into_iter().map(|(_, interval)| interval).collect();
    Ok(Delays {
        ordered: share(ordered.into_iter().max().unwrap_or(0), DELAY),
        certified: share(certified.into_iter().max().unwrap_or(0), DELAY),
        submitted_to_certified: share(median(submitted), DELAY),
        block_interval: share(median(intervals), DELAY),
    })
}

/// When each block was ordered, and how long after the one before.
fn intervals(watch: &Watch) -> Vec<(u64, u64)> {
    let times: Vec<u64> = watch.ordered.values().map(|(at, _)| *at).collect();
    times.iter().zip(times.iter().skip(1)).map(|(before, at)| (*at, at.saturating_sub(*before))).collect()
}

/// Stops one of four validators that always have something to order.
///
/// # Errors
/// [`Failure`] when a run breaks a law.
pub fn one_stopped() -> Result<OneStopped, Failure> {
    const STOP: u64 = 3_000;
    const END: u64 = 6_000;
    let mut worst = None;
    for node in 0..4 {
        let (_, watch) = watched(&busy(4, END).stop_node(node, STOP), 1)?;
        let made = |from: u64, to: u64| {
            watch.ordered.values().filter(|(at, _)| (from * 1_000..to * 1_000).contains(at)).count() as u64
        };
        let later = intervals(&watch).into_iter().filter(|(at, _)| (STOP * 1_000..END * 1_000).contains(at));
        let pause = later.map(|(_, interval)| interval).max().unwrap_or(u64::MAX);
        let one = OneStopped {
            before: share(made(500, STOP) * 1_000, STOP - 500),
            after: share(made(STOP, END) * 1_000, END - STOP),
            longest_pause_ms: share(pause, 1_000),
            leader_timeout_ms: ledger_consensus::bft::BftConfig::default().leader_timeout_ms,
        };
        let ratio = |one: &OneStopped| one.after / one.before;
        if worst.as_ref().is_none_or(|worst| ratio(&one) < ratio(worst)) {
            worst = Some(OneStopped {
                longest_pause_ms: worst
                    .map_or(0.0, |worst: OneStopped| worst.longest_pause_ms)
                    .max(one.longest_pause_ms),
                ..one
            });
        }
    }
    Ok(worst.unwrap_or(OneStopped { before: 0.0, after: 0.0, longest_pause_ms: f64::MAX, leader_timeout_ms: 0 }))
}

/// Processor time of this thread in ns; the wall clock's where the system doesn't tell.
fn processor_time(began: Instant) -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse().ok());
    told.unwrap_or_else(|| u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Counts what a block costs in a network of `nodes`.
///
/// # Errors
/// [`Failure`] when a run breaks a law.
pub fn costs(nodes: usize) -> Result<Costs, Failure> {
    let scenario = busy(nodes, 800);
    let began = Instant::now();
    let before = processor_time(began);
    let (report, watch) = watched(&scenario, 0)?;
    let mocked = processor_time(began) - before;
    let before = processor_time(began);
    watched(&scenario.real_signatures(100), 0)?;
    let real = processor_time(began) - before;
    let (blocks, each) = (report.blocks, report.blocks * nodes as u64);
    let of = |lane: Lane| watch.bytes.get(&lane).copied().unwrap_or(0);
    Ok(Costs {
        nodes,
        blocks,
        messages: share(watch.messages.values().sum(), blocks),
        kib: share(watch.bytes.values().sum(), blocks * 1_024),
        vote_kib: share(of(Lane::Votes), blocks * 1_024),
        checks: share(watch.signatures, each),
        cpu_ms_mocked: share(mocked, each * 1_000_000),
        cpu_ms_real: share(real, each * 1_000_000),
    })
}

/// The sizes of networks that are compared.
pub const SIZES: [usize; 4] = [4, 7, 16, 32];

/// Counts everything, prints it, and writes `figures.md` and `figures.svg` into `folder`.
///
/// # Errors
/// What went wrong, in words.
pub fn write(folder: &str) -> Result<(), String> {
    let said = |failure: Failure| failure.to_string();
    let (delays, stopped) = (delays().map_err(said)?, one_stopped().map_err(said)?);
    let costs = SIZES.iter().map(|nodes| costs(*nodes)).collect::<Result<Vec<Costs>, Failure>>().map_err(said)?;
    let text = table(&delays, &stopped, &costs);
    print!("{text}");
    std::fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))?;
    for (name, content) in [("figures.md", text), ("figures.svg", plot::svg(&costs))] {
        let file = format!("{folder}/{name}");
        std::fs::write(&file, content).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

const INTRODUCTION: &str = "\
# Figures of simulated networks

Written by `cargo run --release --example simulate -- --protocol bft --figures docs/simulation`. Real node cores, log, views
and execution in one thread; one message delay is 10 ms of simulated time, and nothing else takes any. Messages and bytes
are those that cores hand to their transport, without its own headers. A block holds one or two token transfers, or none.
CPU is the thread's processor time of the whole run, divided by blocks and nodes: consensus, execution, state tree, log on
a disk in memory, and the simulator's own oracle and trace. Real signatures are checked one by one here, which a node's
pool does in batches.

![messages, bytes and processor time for a block, by validators](figures.svg)

";

fn table(delays: &Delays, stopped: &OneStopped, costs: &[Costs]) -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("| in message delays, 4 validators, nothing else takes time | |\n|---|---|\n");
    let rows = [
        ("proposal to Ordered, idle chain, the longest", delays.ordered),
        ("proposal to Certified, idle chain, the longest", delays.certified),
        ("submission to Certified, idle chain, the median", delays.submitted_to_certified),
        ("between two blocks, always something to order, the median", delays.block_interval),
    ];
    for (what, value) in rows {
        let _ = writeln!(text, "| {what} | {value:.1} |");
    }
    let _ = writeln!(text, "\n| one of 4 validators stops, delay {} ms | |\n|---|---|", DELAY / 1_000);
    let _ = writeln!(text, "| blocks/s of simulated time before | {:.1} |", stopped.before);
    let _ = writeln!(text, "| after | {:.1} ({:.2} of before) |", stopped.after, stopped.after / stopped.before);
    let (pause, timeout) = (stopped.longest_pause_ms, stopped.leader_timeout_ms);
    let _ = writeln!(text, "| longest pause | {pause:.0} ms (a leader has {timeout} ms) |");
    text.push_str(
        "\n| validators | blocks counted | messages a block | KiB a block | of it votes | signature checks a block and \
         node | CPU ms a block and node, mocked signatures | with real ones |\n|---|---|---|---|---|---|---|---|\n",
    );
    for one in costs {
        let Costs { nodes, blocks, messages, kib, vote_kib, checks, cpu_ms_mocked, cpu_ms_real } = one;
        let _ = writeln!(
            text,
            "| {nodes} | {blocks} | {messages:.0} | {kib:.1} | {vote_kib:.1} | {checks:.1} | {cpu_ms_mocked:.3} | \
             {cpu_ms_real:.2} |"
        );
    }
    text
}
