//! What a run is to go through, in words that read like it.

use crate::faults::Fault;
use crate::planted::PlantedBug;
use crate::random::Random;
use crate::report::{Failure, Report, Violation};
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a run goes through. Everything not said here follows from the seed: keys, amounts, delays, block sizes, the log's
/// and the core's settings, where exactly each fault strikes and what it leaves.
///
/// ```
/// use ledger_simulation::one_owner;
///
/// let report = one_owner().chains(2).transactions(20).crashes(2).run(17)?;
/// assert_eq!(report.counters.get("crash: power cut at an I/O operation"), 2);
/// # Ok::<(), ledger_simulation::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Scenario {
    pub(crate) name: Option<&'static str>,
    pub(crate) chains: u64,
    pub(crate) accounts: u64,
    pub(crate) transactions: u64,
    pub(crate) wrong_percent: u64,
    pub(crate) real_signatures_percent: u64,
    pub(crate) faults: Vec<(Fault, u64)>,
    pub(crate) crash_at: Option<u64>,
    pub(crate) nested_percent: u64,
    pub(crate) survivor: Option<u64>,
    pub(crate) short_writes: bool,
    pub(crate) heartbeat_ms: Option<u64>,
    pub(crate) growth: bool,
    pub(crate) planted: Option<PlantedBug>,
    pub(crate) print: bool,
}

/// A ledger with one owner: `solo` orders and signs.
pub fn one_owner() -> Scenario {
    Scenario {
        name: None,
        chains: 1,
        accounts: 4,
        transactions: 40,
        wrong_percent: 15,
        real_signatures_percent: 20,
        faults: Vec::new(),
        crash_at: None,
        nested_percent: 0,
        survivor: None,
        short_writes: false,
        heartbeat_ms: None,
        growth: false,
        planted: None,
        print: false,
    }
}

impl Scenario {
    /// So many chains share the host, its log and its engine (default 1).
    pub fn chains(mut self, count: u64) -> Self {
        self.chains = count.max(1);
        self
    }

    /// So many accounts on each chain send (default 4).
    pub fn accounts(mut self, count: u64) -> Self {
        self.accounts = count.max(2);
        self
    }

    /// So many transactions are sent on each chain, the wrong ones among them (default 40). While faults are to come,
    /// more are sent, so that the faults have something to strike.
    pub fn transactions(mut self, count: u64) -> Self {
        self.transactions = count;
        self
    }

    /// Of 100 transactions, so many are wrong: signature, chain, replay, expiry, order, fuel (default 15).
    pub fn wrong(mut self, percent: u64) -> Self {
        self.wrong_percent = percent;
        self
    }

    /// Of 100 seeds, so many sign transactions for real; the others mock it for speed (default 20). Blocks are always
    /// signed for real.
    pub fn real_signatures(mut self, percent: u64) -> Self {
        self.real_signatures_percent = percent;
        self
    }

    fn fault(mut self, fault: Fault, count: u64) -> Self {
        self.faults.push((fault, count));
        self
    }

    /// Cuts power at the `operation`-th I/O operation of the run, counted from 1.
    pub fn crash_at(mut self, operation: u64) -> Self {
        self.crash_at = Some(operation);
        self
    }

    /// Cuts power `count` times, each time at some I/O operation.
    pub fn crashes(self, count: u64) -> Self {
        self.fault(Fault::CutAtOperation, count)
    }

    /// Cuts power `count` times, each time at some moment between two I/O operations.
    pub fn power_cuts(self, count: u64) -> Self {
        self.fault(Fault::CutAtTime, count)
    }

    /// Kills the process `count` times; the operating system keeps what was written.
    pub fn kills(self, count: u64) -> Self {
        self.fault(Fault::Kill, count)
    }

    /// Closes the host properly `count` times.
    pub fn shutdowns(self, count: u64) -> Self {
        self.fault(Fault::Shutdown, count)
    }

    /// Fails `count` syncs.
    pub fn failing_syncs(self, count: u64) -> Self {
        self.fault(Fault::FailSync, count)
    }

    /// Fails `count` writes.
    pub fn failing_writes(self, count: u64) -> Self {
        self.fault(Fault::FailWrite, count)
    }

    /// Lets the disk run full `count` times.
    pub fn full_disks(self, count: u64) -> Self {
        self.fault(Fault::FillDisk, count)
    }

    /// At the end, restores an older copy of the log beside the newer vote guards: every chain that has voted since must
    /// refuse to start.
    pub fn restored_log(self) -> Self {
        self.fault(Fault::RestoreLog, 1)
    }

    /// Of 100 crashes, so many are followed by another one within the recovery or soon after it, at most three in a row
    /// (default 0).
    pub fn nested(mut self, percent: u64) -> Self {
        self.nested_percent = percent;
        self
    }

    /// Always lets a crash leave this survivor of the disk instead of one of chance: 0 has nothing that wasn't synced,
    /// 1 all of it.
    pub fn survivor(mut self, survivor: u64) -> Self {
        self.survivor = Some(survivor);
        self
    }

    /// Makes some writes shorter than asked for.
    pub fn short_writes(mut self) -> Self {
        self.short_writes = true;
        self
    }

    /// Lets every chain make an empty block after so many ms without one.
    pub fn heartbeat(mut self, interval_ms: u64) -> Self {
        self.heartbeat_ms = Some(interval_ms);
        self
    }

    /// Cuts the log: segments are small, each chain has a policy of what is kept, and the steps of a cut come between, and
    /// amid, everything else. Half of the faults that strike at I/O operations strike within a cut.
    pub fn growth(mut self) -> Self {
        self.growth = true;
        self
    }

    /// Puts a bug into the world's own shell around the cores, to see whether the laws catch it.
    pub fn plant(mut self, bug: PlantedBug) -> Self {
        self.planted = Some(bug);
        self
    }

    /// Prints every event and effect as it happens.
    pub fn print(mut self, print: bool) -> Self {
        self.print = print;
        self
    }

    /// Runs it from `seed`.
    ///
    /// # Errors
    /// [`Failure`] names the law that didn't hold and the command that repeats the run.
    pub fn run(&self, seed: u64) -> Result<Report, Failure> {
        let outcome = caught(|| World::new(self, seed).and_then(World::run));
        outcome.map_err(|violation| Failure { seed, violation, command: self.command(seed) })
    }

    /// The faults of a run in the order in which they strike.
    pub(crate) fn plan(&self, random: &mut Random) -> Vec<Fault> {
        let repeat = |(fault, count): &(Fault, u64)| (0..*count).map(|_| *fault).collect::<Vec<_>>();
        let mut plan: Vec<Fault> = self.faults.iter().flat_map(repeat).collect();
        random.shuffle(&mut plan);
        // Nothing comes after a restored log.
        plan.sort_by_key(|fault| *fault == Fault::RestoreLog);
        plan
    }

    fn command(&self, seed: u64) -> String {
        match self.name {
            Some(name) => {
                let crash = self.crash_at.map_or_else(String::new, |operation| format!(" --crash-at {operation}"));
                let survivor = self.survivor.map_or_else(String::new, |survivor| format!(" --survivor {survivor}"));
                format!(
                    "cargo run --release -p ledger-simulation --bin simulate -- --scenario {name} --seed {seed}{crash}\
                     {survivor}"
                )
            }
            None => format!("{self:?}, seed {seed} (in code: .run({seed}))"),
        }
    }
}

/// A panic anywhere in a run is a broken law.
pub(crate) fn caught(run: impl FnOnce() -> Result<Report, Violation>) -> Result<Report, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Violation::new("nothing panics", text))
    })
}
