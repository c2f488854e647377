//! Laws that no bug breaks show nothing: each of these bugs in the shell around the cores is caught within a few seeds.
#![allow(clippy::panic, clippy::unwrap_used)]

use ledger_simulation::catalog::named;
use ledger_simulation::{PlantedBug, Scenario, one_owner};

const SEEDS: u64 = 12;

fn scenario(bug: PlantedBug) -> Scenario {
    let base = one_owner().chains(2).transactions(20).wrong(30);
    match bug {
        PlantedBug::LeavesTheGuard => base.restored_log(),
        PlantedBug::ChecksNoSignature | PlantedBug::LosesAWrite | PlantedBug::ExecutesOnStored => base,
        _ => base.crashes(3),
    }
}

fn law(bug: PlantedBug) -> &'static [&'static str] {
    match bug {
        PlantedBug::AcknowledgesUnsynced | PlantedBug::LogsNoCertificate => {
            &["what was ordered stays", "a host recovers"]
        }
        PlantedBug::LeavesTheGuard => &["a signer whose log was rolled back"],
        PlantedBug::ChecksNoSignature => &["a block holds only", "every answer fits"],
        PlantedBug::SkipsReplay => &["what was ordered stays", "a host recovers"],
        PlantedBug::LosesAWrite | PlantedBug::ExecutesOnStored => &["receipts and state"],
        PlantedBug::RemovesBeforeStart => &["a host recovers", "a log that has grown is cut"],
        PlantedBug::CutsUnsynced => &["a host recovers"],
        PlantedBug::ForgetsRecords | PlantedBug::LosesKeptRecords => panic!("one owner has no such records"),
    }
}

#[test]
fn each_is_caught_by_its_law() {
    for bug in PlantedBug::ALL {
        let caught = (0..SEEDS).find_map(|seed| scenario(bug).plant(bug).run(seed).err());
        let Some(failure) = caught else { panic!("{bug:?} was not caught in {SEEDS} seeds") };
        let named = law(bug).iter().any(|law| failure.violation.law.starts_with(law));
        assert!(named, "{bug:?} was caught as: {failure}");
    }
}

#[test]
fn each_of_those_that_cut_the_log_is_caught_by_its_law() {
    for bug in PlantedBug::CUTTING {
        let scenario = named("growth").unwrap().plant(bug);
        let caught = (0..SEEDS).find_map(|seed| scenario.run(seed).err());
        let Some(failure) = caught else { panic!("{bug:?} was not caught in {SEEDS} seeds") };
        println!("{bug:?}: seed {}, {}", failure.seed, failure.violation);
        let named = law(bug).iter().any(|law| failure.violation.law.starts_with(law));
        assert!(named, "{bug:?} was caught as: {failure}");
    }
}

#[test]
fn without_a_bug_the_same_runs_break_no_law() {
    for bug in PlantedBug::ALL {
        for seed in 0..3 {
            scenario(bug).run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
}
