//! Runs scenarios from seeds and prints what happened how often.

use ledger_simulation::catalog::{SCENARIOS, named};
use ledger_simulation::{Counters, Scenario};
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
Runs real node cores in a simulated world, from seeds.

  simulate                            list the scenarios
  simulate --scenario NAME            run it from seed 0
  simulate --scenario all             run every scenario

  --seed N         the seed, or the first one (default 0)
  --seeds N        how many seeds (default 1)
  --crash-at N     cut power at the N-th I/O operation of the first life
  --survivor N     what each crash leaves of the disk: 0 only what was synced, 1 all, others a choice of their own
  --trace          print every event and effect
  --hashes         print each seed's trace hash
";

#[derive(Default)]
struct Arguments {
    scenario: Option<String>,
    seed: u64,
    seeds: Option<u64>,
    crash_at: Option<u64>,
    survivor: Option<u64>,
    trace: bool,
    hashes: bool,
    help: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number"))?;
            value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"))
        };
        match word.as_str() {
            "--seed" => arguments.seed = number()?,
            "--seeds" => arguments.seeds = Some(number()?),
            "--crash-at" => arguments.crash_at = Some(number()?),
            "--survivor" => arguments.survivor = Some(number()?),
            "--scenario" => arguments.scenario = Some(words.next().ok_or("--scenario needs a name")?),
            "--trace" => arguments.trace = true,
            "--hashes" => arguments.hashes = true,
            "--help" | "-h" => arguments.help = true,
            other => return Err(format!("unknown argument {other}\n\n{HELP}")),
        }
    }
    Ok(arguments)
}

fn list() {
    print!("{HELP}\nScenarios:\n");
    for scenario in SCENARIOS {
        println!("  {:<14} {}", scenario.name, scenario.about);
    }
}

fn run(name: &str, mut scenario: Scenario, arguments: &Arguments) -> Result<(), String> {
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

fn main() -> ExitCode {
    let outcome = parse(std::env::args().skip(1)).and_then(|arguments| match arguments.scenario.as_deref() {
        _ if arguments.help => {
            list();
            Ok(())
        }
        None => {
            list();
            Ok(())
        }
        Some("all") => SCENARIOS.iter().try_for_each(|each| run(each.name, each.scenario(), &arguments)),
        Some(name) => {
            let scenario = named(name).ok_or_else(|| format!("there is no scenario {name}; run without arguments"))?;
            run(name, scenario, &arguments)
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
