//! The command line of the simulator: what `simulate` does.

use crate::catalog::{SCENARIOS, named};
use crate::network::figures;
use crate::network::{NETWORKS, Network, Summary, campaign, named_network};
use crate::report::Counters;
use crate::scenario::Scenario;
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
Runs real node cores in a simulated world, from seeds.

  simulate                                       list the scenarios
  simulate --scenario NAME                       run one of a host with one owner; `all` runs each
  simulate --protocol bft --nodes N --seeds N    run a network of validators

  --seed N         the seed, or the first one (default 0)
  --seeds N        how many seeds (default 1)
  --trace          print every event and effect
  --hashes         print each seed's trace hash

Hosts with one owner:
  --crash-at N     cut power at the N-th I/O operation of the first life
  --survivor N     what each crash leaves of the disk: 0 only what was synced, 1 all, others a choice of their own

Networks (--protocol bft):
  --scenario NAME  which one (default `mixed`)
  --nodes N        validators (default 4)
  --byzantine N    how many of them lie (default: what the scenario is about, mostly a third)
  --threads N      seeds at once (default: as many as there are cores)
  --report FILE    write what came of it as JSON
  --figures DIR    count delays, messages, bytes and time in sound networks; write figures.md and figures.svg
";

#[derive(Default)]
struct Arguments {
    protocol: Option<String>,
    scenario: Option<String>,
    seed: u64,
    seeds: Option<u64>,
    crash_at: Option<u64>,
    survivor: Option<u64>,
    nodes: Option<u64>,
    byzantine: Option<u64>,
    threads: Option<u64>,
    report: Option<String>,
    figures: Option<String>,
    trace: bool,
    hashes: bool,
    help: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut text = || words.next().ok_or(format!("{word} needs a value"));
        let number = |value: String| value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"));
        match word.as_str() {
            "--seed" => arguments.seed = number(text()?)?,
            "--seeds" => arguments.seeds = Some(number(text()?)?),
            "--crash-at" => arguments.crash_at = Some(number(text()?)?),
            "--survivor" => arguments.survivor = Some(number(text()?)?),
            "--nodes" => arguments.nodes = Some(number(text()?)?),
            "--byzantine" => arguments.byzantine = Some(number(text()?)?),
            "--threads" => arguments.threads = Some(number(text()?)?),
            "--protocol" => arguments.protocol = Some(text()?),
            "--scenario" => arguments.scenario = Some(text()?),
            "--report" => arguments.report = Some(text()?),
            "--figures" => arguments.figures = Some(text()?),
            "--trace" => arguments.trace = true,
            "--hashes" => arguments.hashes = true,
            "--help" | "-h" => arguments.help = true,
            other => return Err(format!("unknown argument {other}\n\n{HELP}")),
        }
    }
    Ok(arguments)
}

fn list() {
    print!("{HELP}\nScenarios of a host with one owner:\n");
    for scenario in SCENARIOS {
        println!("  {:<16} {}", scenario.name, scenario.about);
    }
    println!("\nScenarios of a network:");
    for network in NETWORKS {
        println!("  {:<16} {}", network.name, network.about);
    }
}

fn run_host(name: &str, mut scenario: Scenario, arguments: &Arguments) -> Result<(), String> {
    if let Some(operation) = arguments.crash_at {
        scenario = scenario.crash_at(operation);
    }
    if let Some(survivor) = arguments.survivor {
        scenario = scenario.survivor(survivor);
    }
    scenario = scenario.print(arguments.trace);
    let (mut counters, mut blocks, mut entries) = (Counters::default(), 0, 0);
    let (began, count) = (Instant::now(), arguments.seeds.unwrap_or(1));
    for seed in arguments.seed..arguments.seed.saturating_add(count) {
        let report = scenario.run(seed).map_err(|failure| failure.to_string())?;
        counters.merge(&report.counters);
        blocks += report.blocks;
        entries += report.entries;
        if arguments.hashes {
            println!("{name} {seed} {}", report.trace);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {count} seeds, {blocks} blocks, {entries} events and effects, {seconds:.1} s, no law broken");
    print!("{counters}");
    Ok(())
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn run_network(arguments: &Arguments) -> Result<(), String> {
    if let Some(folder) = &arguments.figures {
        return figures::write(folder);
    }
    let name = arguments.scenario.as_deref().unwrap_or("mixed");
    let network = named_network(name).ok_or_else(|| format!("there is no network scenario {name}"))?;
    let nodes = arguments.nodes.map_or(4, size);
    let scenario = network.scenario(nodes, arguments.byzantine.map(size)).print(arguments.trace);
    let (first, count) = (arguments.seed, arguments.seeds.unwrap_or(1));
    if arguments.hashes {
        return hashes(name, &scenario, first, count);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if arguments.trace { 1 } else { arguments.threads.map_or(cores, size) };
    let summary = campaign(&scenario, first, count, threads);
    if let Some(file) = &arguments.report {
        std::fs::write(file, summary.to_json(&scenario)).map_err(|error| format!("{file}: {error}"))?;
    }
    print!("{}", summary.counters);
    conclude(name, nodes, &scenario, &summary)
}

fn hashes(name: &str, scenario: &Network, first: u64, count: u64) -> Result<(), String> {
    for seed in first..first.saturating_add(count) {
        let report = scenario.run(seed).map_err(|failure| failure.to_string())?;
        println!("{name} {seed} {}", report.trace);
    }
    Ok(())
}

fn conclude(name: &str, nodes: usize, scenario: &Network, summary: &Summary) -> Result<(), String> {
    let (seeds, blocks, entries) = (summary.seeds, summary.blocks, summary.entries);
    let (violations, stuck) = (summary.violations.len(), summary.liveness_failures.len());
    println!(
        "{name}, {nodes} nodes, {} lie: {seeds} seeds, {blocks} blocks, {entries} events and effects, {:.1} s \
         ({:.1} seeds/s); {violations} violations, {stuck} liveness failures",
        scenario.byzantine.len(),
        summary.seconds,
        summary.seeds_per_s()
    );
    match summary.first_failure() {
        None => Ok(()),
        Some(failure) => Err(failure.to_string()),
    }
}

/// Runs what the words of a command line ask for.
pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let outcome = parse(words).and_then(|arguments| match (arguments.protocol.as_deref(), &arguments.scenario) {
        _ if arguments.help => {
            list();
            Ok(())
        }
        (Some("bft"), _) => run_network(&arguments),
        (Some("solo") | None, None) => {
            list();
            Ok(())
        }
        (Some("solo") | None, Some(name)) if name == "all" => {
            SCENARIOS.iter().try_for_each(|each| run_host(each.name, each.scenario(), &arguments))
        }
        (Some("solo") | None, Some(name)) => {
            let scenario = named(name).ok_or_else(|| format!("there is no scenario {name}; run without arguments"))?;
            run_host(name, scenario, &arguments)
        }
        (Some(other), _) => Err(format!("there is no protocol {other}; there are solo and bft")),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
