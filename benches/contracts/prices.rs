//! What a unit of fuel takes, for every class of work.

use super::Figures;
use super::classes::{Class, Others, Work, callee, classes, looping, with_parts};
use super::guests::{Cost, Guest, Machine, deploy};
use ledgerkit::contracts::wasm::{WASM, WasmRuntime};
use ledgerkit::contracts::{
    CallTerms, Contract, ExecutorConfig, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap, testing::TestLedger,
};
use ledgerkit::core::{ContractId, Fuel, Rules, SignedTransaction, TransactionBuilder};
use ledgerkit::crypto::{Digest, MemorySigner, Signer};
use std::collections::BTreeMap;
use std::time::Instant;

/// How often a call that is measured alone is made.
const CALLS: u32 = 300;
/// How many transactions a measured block has.
const BLOCK: u64 = 1_000;
/// How often a native contract calls another one.
const NATIVE_CALLS: u32 = 1_000;

/// What each class takes on the slowest of the engines, in ns a unit, by its name.
pub(crate) type Slowest = BTreeMap<String, f64>;

/// Does nothing, or calls the method `nothing` of the contract that its arguments name, often.
struct Caller;

impl Contract for Caller {
    fn name(&self) -> &str {
        "caller"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        if method == "work" {
            let callee = ContractId(Digest::new(arguments.try_into().map_err(|_| Trap::UnknownMethod)?));
            for _ in 0..NATIVE_CALLS {
                host.call(&callee, "nothing", b"", CallTerms::default())?;
            }
        }
        Ok(Vec::new())
    }
}

/// A ledger on which contracts of both kinds are deployed.
struct Stage {
    ledger: TestLedger,
    native: ContractId,
    wasm: ContractId,
}

impl Stage {
    fn new(runtime: WasmRuntime, rules: Rules, config: ExecutorConfig) -> Stage {
        let executor = LedgerExecutor::new(config).with(runtime).with(NativeRuntime::new().with(Caller));
        let mut ledger = TestLedger::new(executor);
        ledger.rules = rules;
        let native = ledger.deploy(&owner(), NATIVE, b"caller", b"").unwrap();
        let wasm = ledger.deploy(&owner(), WASM, &callee(), b"").unwrap();
        Stage { ledger, native, wasm }
    }

    fn others(&self) -> Others {
        // A key that verifies nothing here, but has to be looked at in full.
        let key = *MemorySigner::from_seed([3; 32]).public_key().as_bytes();
        Others { wasm: *self.wasm.0.as_bytes(), native: *self.native.0.as_bytes(), key }
    }

    /// Another contract on this ledger.
    fn guest(&self, code: &[u8]) -> Guest {
        let mut ledger = self.ledger.clone();
        let contract = deploy(&mut ledger, &owner(), code);
        Guest { ledger, contract }
    }

    fn native(&self) -> Guest {
        Guest { ledger: self.ledger.clone(), contract: self.native }
    }
}

fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

/// Something that can be done again and again.
type Doing = Box<dyn Fn() -> Cost>;

/// What is measured and what is taken off, and how often it is done in one go.
struct Pair {
    with: Doing,
    without: Option<Doing>,
    times: f64,
}

/// All that a class measures; more than one where it has several codes.
fn pairs(stages: &Stages, class: &Class) -> Vec<Pair> {
    let stage = &stages.keeping;
    match &class.work {
        Work::Loop { times, turns, codes, base } => {
            let one = |code: &String| {
                let with = stage.guest(&looping(*times, code, *turns, &stage.others()));
                let without = stage.guest(&looping(1, base, *turns, &stage.others()));
                let times = f64::from(*turns) * *times as f64;
                Pair {
                    with: Box::new(move || with.run("work")),
                    without: Some(Box::new(move || without.run("work"))),
                    times,
                }
            };
            codes.iter().map(one).collect()
        }
        Work::Parts { with, without } => {
            let [with, without] = [with, without].map(|parts| stages.bare.guest(&with_parts(parts)));
            vec![repeated(with, without)]
        }
        Work::Instance => vec![repeated(stages.bare.guest(&with_parts("")), stages.bare.native())],
        Work::FromNative => {
            let (called, idle) = (stage.native(), stage.native());
            let callee = stage.wasm;
            let with = move || called.run_with("work", callee.0.as_bytes());
            let without = move || idle.run_with("idle", callee.0.as_bytes());
            vec![Pair { with: Box::new(with), without: Some(Box::new(without)), times: NATIVE_CALLS.into() }]
        }
        Work::Transactions { arguments } => {
            let with = block(stage, *arguments);
            let without = (*arguments > 0).then(|| block(stage, 0));
            vec![Pair { with, without, times: BLOCK as f64 }]
        }
        Work::FirstCall { module } => {
            let guest = stages.forgetting.guest(module);
            vec![Pair { with: Box::new(move || guest.run("nothing")), without: None, times: 1.0 }]
        }
        Work::Deployment { module } => {
            let mut ledger = stages.forgetting.ledger.clone();
            let deploy = TransactionBuilder::deploy(ledger.chain(), WASM, module.clone(), Vec::new());
            let signed = ledger.sign(&owner(), deploy.fuel_limit(ledger.rules.max_transaction_fuel)).unwrap();
            vec![Pair { with: executed(ledger, vec![signed]), without: None, times: 1.0 }]
        }
    }
}

/// Calls that are too short to be timed one by one.
fn repeated(with: Guest, without: Guest) -> Pair {
    let often = |guest: Guest| -> Doing {
        Box::new(move || {
            let mut sum = Cost { seconds: 0.0, fuel: Fuel(0) };
            for _ in 0..CALLS {
                let Cost { seconds, fuel } = guest.run("nothing");
                sum = Cost { seconds: sum.seconds + seconds, fuel: Fuel(sum.fuel.0 + fuel.0) };
            }
            sum
        })
    };
    Pair { with: often(with), without: Some(often(without)), times: CALLS.into() }
}

/// A block of calls of a native contract that does nothing.
fn block(stage: &Stage, arguments: usize) -> Doing {
    let mut ledger = stage.ledger.clone();
    let signed = |_| {
        let call = TransactionBuilder::call(ledger.chain(), stage.native, "idle", vec![7; arguments]);
        ledger.sign(&owner(), call).unwrap()
    };
    let transactions = (0..BLOCK).map(signed).collect();
    executed(ledger, transactions)
}

fn executed(ledger: TestLedger, transactions: Vec<SignedTransaction>) -> Doing {
    let block = ledger.block(transactions);
    Box::new(move || {
        let start = Instant::now();
        let execution = ledger.execute_block(&block).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        for result in &execution.results {
            assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
        }
        Cost { seconds, fuel: execution.fuel_used }
    })
}

/// One ledger keeps code from call to call, one doesn't, and on one it costs nothing to load, so that fuel is the instance's.
struct Stages {
    keeping: Stage,
    forgetting: Stage,
    bare: Stage,
}

/// Prints ns for each unit of fuel on `machine`, and keeps the largest of all machines for each class.
pub(crate) fn measure(rounds: usize, machine: Machine, only: Option<&str>, slowest: &mut Slowest) {
    let nothing = ExecutorConfig { prepared_bytes: 0, asked_bytes: 0, ..ExecutorConfig::default() };
    let rules = super::rules;
    let mut free = rules();
    free.prices.read_byte = 0;
    free.prices.prepare_byte = 0;
    let stages = Stages {
        bare: Stage::new(machine.runtime(), free, ExecutorConfig::default()),
        keeping: Stage::new(machine.runtime(), rules(), ExecutorConfig::default()),
        forgetting: Stage::new(machine.runtime_of_nodes(), rules(), nothing),
    };
    println!("  {:<36} {:>10} {:>12} {:>12}", "one unit of fuel", "ns", "fuel", "ns in all");
    for class in classes().iter().filter(|class| only.is_none_or(|only| class.name.contains(only))) {
        let figures = pairs(&stages, class).into_iter().enumerate().map(|(index, pair)| (figure(rounds, &pair), index));
        let Some(((ns, fuel, all), index)) = figures.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) else { continue };
        let which = match &class.work {
            Work::Loop { codes, .. } if codes.len() > 1 => codes[index].as_str(),
            _ => "",
        };
        println!("  {:<36} {ns:>10.3} {fuel:>12.1} {all:>12.1}  {which}", class.name);
        let slowest = slowest.entry(class.name.clone()).or_insert(0.0);
        *slowest = slowest.max(ns);
    }
}

/// ns a unit, fuel and ns for each time: of the quickest rounds, taken in turns, for whatever else runs on the machine
/// only adds.
fn figure(rounds: usize, pair: &Pair) -> (f64, f64, f64) {
    let none = || Cost { seconds: 0.0, fuel: Fuel(0) };
    let without = || pair.without.as_ref().map_or_else(none, |without| without());
    let fuel = ((pair.with)().fuel.0 - without().fuel.0) as f64;
    let (mut all, mut rest) = (f64::MAX, f64::MAX);
    for _ in 0..rounds {
        all = all.min((pair.with)().seconds);
        rest = rest.min(without().seconds);
    }
    let seconds = all - rest;
    (seconds * 1e9 / fuel, fuel / pair.times, seconds * 1e9 / pair.times)
}

/// How many times the median a unit of fuel may take.
const MOST_RATIO: f64 = 5.0;

/// Prints the median over all classes on the slower engine, the class that takes longest, and what a full block takes by
/// it. Says what is over its limit.
pub(crate) fn summary(slowest: &Slowest, figures: &mut Figures) -> Vec<String> {
    let mut all: Vec<(f64, &str)> = slowest.iter().map(|(name, ns)| (*ns, name.as_str())).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, (worst, name)) = (all[all.len() / 2].0, all[all.len() - 1]);
    let ratio = worst / median;
    println!(
        "\nfuel on the slower engine, {} classes: median {median:.3} ns, most {worst:.3} ns ({name}): {ratio:.1} x (at most {MOST_RATIO})",
        all.len()
    );
    let rules = Rules::default();
    let (limit, budget) = (rules.max_block_fuel.0 as f64, Rules::BLOCK_TIME_MS as f64);
    let full = limit * worst / 1e6;
    println!("a full block of the default rules ({limit:.0} fuel) takes at most {full:.0} ms (budget {budget} ms)");
    figures.insert("ns_per_fuel_median".into(), median);
    figures.insert("ns_per_fuel_worst".into(), worst);
    figures.insert("fuel_worst_to_median".into(), ratio);
    figures.insert("full_block_ms".into(), full);
    figures.insert("full_block_budget_ms".into(), budget);
    let mut over = Vec::new();
    if ratio > MOST_RATIO {
        over.push(format!(
            "a unit of fuel takes {ratio:.1} times the median in `{name}`, and {MOST_RATIO} is the most"
        ));
    }
    if full > budget {
        over.push(format!("a full block takes {full:.0} ms, and its budget is {budget} ms"));
    }
    over
}
