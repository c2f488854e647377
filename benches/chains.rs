//! Many chains of one owner each in one host, on a real folder, under the same load altogether: what an idle chain costs,
//! how much throughput is left when the load is spread, how fast chains are created and opened, and whether a flooded
//! chain slows down the quiet ones. `cargo bench --bench chains -- --help`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "chains/flood.rs"]
mod flood;
#[path = "chains/load.rs"]
mod load;
#[path = "chains/options.rs"]
mod options;
#[path = "chains/phases.rs"]
mod phases;
#[path = "chains/process.rs"]
mod process;

use ledgerkit::storage::disk::RealDisk;
use options::{HELP, Options, Phase};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// What a server would use; the libraries leave the choice to the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a phase measured.
type Figures = BTreeMap<String, f64>;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if let Some(phase) = options.phase {
        let folder = options.data.clone().expect("a phase is given its folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let figures = match phase {
            Phase::Create => runtime.block_on(phases::create(&options, &folder)),
            Phase::Idle => runtime.block_on(phases::idle(&options, &folder)),
            Phase::Open => runtime.block_on(phases::open_and_load(&options, &folder)),
            Phase::Flood => runtime.block_on(flood::measure(&options, &folder)),
        };
        figures.iter().for_each(|(name, value)| println!("{name}={value}"));
        return ExitCode::SUCCESS;
    }
    let below = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let fresh = tempfile::tempdir_in(options.data.as_ref().unwrap_or(&below)).expect("a fresh folder");
    if RealDisk::open(fresh.path()).expect("the data folder opens").is_volatile() {
        eprintln!("{} is on tmpfs: an fsync there costs nothing", fresh.path().display());
        return ExitCode::FAILURE;
    }
    measure(&options, fresh.path());
    ExitCode::SUCCESS
}

/// One chain and `many` with the same accounts altogether, each with its own key. Above, one chain has as many accounts as each of
/// the others, writes each of them once a block for hundreds of transfers, and so has less to do, whatever chains cost.
fn with_the_same_accounts(options: &Options, many: usize, folder: &Path) -> Figures {
    let mut figures = Figures::new();
    let options = Options { population: Some(many * load::ACCOUNTS), ..options.clone() };
    let rate = |chains: usize| {
        let folder = folder.join(format!("same-accounts-{chains}"));
        process::run(&options, Phase::Create, chains, &folder)?;
        let opened = process::run(&options, Phase::Open, chains, &folder)?;
        drop(std::fs::remove_dir_all(&folder));
        Some(opened["transactions_per_s"])
    };
    if let (Some(one), Some(rate)) = (rate(1), rate(many)) {
        println!(
            "with {} accounts altogether: {rate:.0}/s on {many} chains, {one:.0}/s on one: {:.3}",
            many * load::ACCOUNTS,
            rate / one
        );
        figures.insert("transactions_per_s_same_accounts_1".to_owned(), one);
        figures.insert(format!("transactions_per_s_same_accounts_{many}"), rate);
        figures.insert("throughput_ratio_same_accounts".to_owned(), rate / one);
    }
    figures
}

/// Runs each phase in a process of its own, so that memory is counted from a fresh start.
fn measure(options: &Options, folder: &Path) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    println!(
        "conditions: {cores} cores, one process a line, solo chains, fjall views, state root each block, signature \
         checks and fsync on,"
    );
    println!(
        "            {} transfers under way altogether, {}, {} shard(s), allocator: mimalloc, load before: {}",
        options.window,
        match options.population {
            None => format!("{} accounts a chain", load::ACCOUNTS),
            Some(population) => format!("{population} accounts dealt out to the chains"),
        },
        options.shards,
        process::load_average()
    );
    let mut rates = BTreeMap::new();
    let mut report = Figures::new();
    for &chains in &options.chains {
        let folder = folder.join(format!("chains-{chains}"));
        let Some(created) = process::run(options, Phase::Create, chains, &folder) else { continue };
        let Some(idle) = process::run(options, Phase::Idle, chains, &folder) else { continue };
        let Some(opened) = process::run(options, Phase::Open, chains, &folder) else { continue };
        drop(std::fs::remove_dir_all(&folder));
        print_line(chains, &created, &idle, &opened);
        rates.insert(chains, opened["transactions_per_s"]);
        for (name, value) in created.iter().chain(&opened) {
            report.insert(format!("{name}_{chains}"), *value);
        }
        report.insert(format!("bytes_per_idle_chain_{chains}"), idle["bytes_per_idle_chain"]);
        report.insert(format!("bytes_per_idle_chain_in_huge_pages_{chains}"), opened["bytes_per_idle_chain"]);
        // The plain names are those of the most chains measured.
        report.insert("chains".to_owned(), chains as f64);
        report.insert("bytes_per_idle_chain".to_owned(), idle["bytes_per_idle_chain"]);
        report.insert("create_ms".to_owned(), created["create_ms_p50"]);
        report.insert("open_s".to_owned(), opened["open_s"]);
    }
    if let (Some(one), Some((&many, &rate))) = (rates.get(&1), rates.range(..=1_000).next_back())
        && many > 1
    {
        println!("throughput of {many} chains over that of one: {:.3}", rate / one);
        report.insert("throughput_ratio".to_owned(), rate / one);
        report.insert("throughput_ratio_of".to_owned(), many as f64);
        if options.population.is_none() {
            report.extend(with_the_same_accounts(options, many, folder));
        }
    }
    if options.flood > 0
        && let Some(figures) = process::run(options, Phase::Flood, options.flood, &folder.join("flood"))
    {
        println!(
            "{} quiet chains, p99 to Certified: {:.1} ms alone, {:.1} ms beside one flooded chain ({:.0}/s): ratio {:.2}, \
             the middle of {} rounds from {:.2} to {:.2}",
            options.flood,
            figures["quiet_p99_ms"],
            figures["flooded_p99_ms"],
            figures["flood_per_s"],
            figures["flood_p99_ratio"],
            options.rounds,
            figures["flood_p99_ratio_least"],
            figures["flood_p99_ratio_most"]
        );
        for (name, what) in [("quiet", "alone"), ("flooded", "beside")] {
            let times = |share: &str| {
                flood::STAGES.map(|stage| format!("{:.1}", figures[&format!("{name}{stage}_{share}_ms")]))
            };
            println!(
                "  {what}, ms to Accepted / Ordered / Executed / Certified: p50 {}, p99 {}",
                times("p50").join(" / "),
                times("p99").join(" / ")
            );
        }
        report.extend(figures);
    }
    if let Some(file) = &options.report {
        let lines: String = report.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(file, lines).expect("the report is written");
    }
}

fn print_line(chains: usize, created: &Figures, idle: &Figures, opened: &Figures) {
    println!("{chains} chains");
    println!("  create            {:>10.2} ms p50, {:.2} ms p99", created["create_ms_p50"], created["create_ms_p99"]);
    println!(
        "  transactions/s    {:>10.0}  durable; to Ordered p50 {:.1} ms, p99 {:.1} ms; {:.1} transactions a block",
        opened["transactions_per_s"],
        opened["durable_ms_p50"],
        opened["durable_ms_p99"],
        opened["transactions_per_block"]
    );
    println!(
        "  syncs             {:>10.0}  of the log, {:.0} of the vote guards, in the measured time",
        opened["log_syncs"], opened["guard_syncs"]
    );
    println!(
        "  open              {:>10.3} s  host {:.3} s (reads the log), all chains {:.3} s; first query {:.2} ms",
        opened["open_s"], opened["host_s"], opened["chains_s"], opened["first_use_ms"]
    );
    println!(
        "  idle chain        {:>10.0} bytes of memory more than a host without chains ({:.0} more than before they were \
         opened; {:.0} where the allocator takes huge pages), {:.4} threads, {:.4} open files",
        idle["bytes_per_idle_chain"],
        idle["bytes_per_opening"],
        opened["bytes_per_idle_chain"],
        opened["threads_per_chain"],
        opened["files_per_chain"]
    );
}
