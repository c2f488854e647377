//! Contracts on one core: empty calls, token transfers, the price of counting, the time to prepare a module, and what a
//! unit of fuel takes for every class of instruction and every import. `cargo bench --bench contracts -- --help`
//!
//! Nothing is signed, ordered or stored: a block's transactions are executed on a state in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

#[path = "contracts/classes.rs"]
mod classes;
#[path = "contracts/guests.rs"]
mod guests;
#[path = "contracts/prices.rs"]
mod prices;

use guests::{Guest, Machine};
use ledgerkit::contracts::testing::TestLedger;
use ledgerkit::contracts::token::{Grant, mint_arguments};
use ledgerkit::contracts::wasm::WASM;
use ledgerkit::contracts::{Contract, Host, NATIVE, NativeRuntime, Runtime, Token, Trap};
use ledgerkit::core::{AccountId, ContractId, Rules, TransactionBuilder, WasmCosts};
use ledgerkit::crypto::{Digest, MemorySigner, Signer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// What a server would use; the libraries leave the choice to the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
cargo bench --bench contracts [--features wasmtime] -- [options]
  --rounds N     how often each thing is measured; the median counts (default 7)
  --no-prices    leaves out the table of prices
  --only TEXT    nothing but the prices of classes whose name has TEXT in it
  --report FILE  the figures as JSON
It fails when a price is out of proportion, or when a full block may take longer than its budget.";

struct Options {
    rounds: usize,
    prices: bool,
    only: Option<String>,
    report: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 7, prices: true, only: None, report: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bench" => {}
            "--no-prices" => options.prices = false,
            "--only" => options.only = Some(words.next().ok_or("--only needs a text")?),
            "--rounds" => {
                let value = words.next().ok_or("--rounds needs a number")?;
                let rounds = value.parse().ok().filter(|rounds| *rounds > 0);
                options.rounds = rounds.ok_or(format!("--rounds: `{value}` is not a positive number"))?;
            }
            "--report" => options.report = Some(words.next().ok_or("--report needs a file")?.into()),
            "--help" => return Err(HELP.to_owned()),
            other => return Err(format!("{other} isn't known\n{HELP}")),
        }
    }
    Ok(options)
}

/// Figures by name, in the order of their names.
type Figures = BTreeMap<String, f64>;

fn main() {
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    println!(
        "conditions   one thread, state in memory, no signatures, no log; medians of {} rounds; load over one minute {}",
        options.rounds,
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("unknown"),
    );
    let mut figures = Figures::new();
    let whole = options.only.is_none();
    if whole {
        native(&options, &mut figures);
    }
    let mut slowest = prices::Slowest::new();
    for machine in Machine::all() {
        println!("\n{}", machine.name());
        if whole {
            calls(&options, machine, &mut figures);
            transfers(&options, machine, &mut figures);
            metering(&options, machine, &mut figures);
            preparation(&options, machine, &mut figures);
        }
        if options.prices {
            prices::measure(options.rounds, machine, options.only.as_deref(), &mut slowest);
        }
    }
    let over = if slowest.is_empty() { Vec::new() } else { prices::summary(&slowest, &mut figures) };
    if let Some(file) = &options.report {
        let lines: Vec<String> = figures.iter().map(|(name, value)| format!("  \"{name}\": {value:.3}")).collect();
        std::fs::write(file, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    for what in &over {
        eprintln!("over its limit: {what}");
    }
    if whole && !over.is_empty() {
        std::process::exit(1);
    }
}

/// The median of `rounds` measurements.
pub(crate) fn median(rounds: usize, mut measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..rounds).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// How many transactions a measured block has.
const BLOCK: usize = 2_000;
/// How many accounts pay each other.
const ACCOUNTS: usize = 500;

/// Does nothing.
struct Empty;

impl Contract for Empty {
    fn name(&self) -> &str {
        "empty"
    }

    fn call(&self, _host: &mut dyn Host, _method: &str, _arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        Ok(Vec::new())
    }
}

/// Microseconds for each transaction of a block of calls, all by different accounts.
fn block_us(rounds: usize, ledger: &TestLedger, contract: ContractId, method: &str, arguments: &[Vec<u8>]) -> f64 {
    let signers: Vec<MemorySigner> = (0..BLOCK).map(signer).collect();
    let mut ledger = ledger.clone();
    let transactions: Vec<_> = (signers.iter().zip(arguments.iter().cycle()))
        .map(|(signer, arguments)| {
            let call = TransactionBuilder::call(ledger.chain(), contract, method, arguments.clone());
            ledger.sign(signer, call).unwrap()
        })
        .collect();
    let block = ledger.block(transactions);
    median(rounds, || {
        let start = Instant::now();
        let execution = ledger.execute_block(&block).unwrap();
        let us = start.elapsed().as_secs_f64() * 1e6;
        for result in &execution.results {
            assert!(result.receipt.succeeded(), "{:?}", result.receipt.status);
        }
        us / BLOCK as f64
    })
}

fn signer(index: usize) -> MemorySigner {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    MemorySigner::from_seed(seed)
}

fn account(index: usize) -> AccountId {
    AccountId::of_ed25519(&signer(index).public_key())
}

/// Receivers as odd as the senders are many, so that hardly anybody pays to himself.
fn receiver(index: usize) -> AccountId {
    AccountId(Digest::new(*account((index * 7 + 1) % ACCOUNTS).0.as_bytes()))
}

fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.max_block_fuel.0 = 1 << 40;
    rules.max_transaction_fuel.0 = 1 << 40;
    rules
}

fn native(options: &Options, figures: &mut Figures) {
    let mut ledger = guests::ledger(NativeRuntime::new().with(Empty).with(Token), rules());
    let owner = MemorySigner::from_seed([1; 32]);
    let empty = ledger.deploy(&owner, NATIVE, b"empty", b"").unwrap();
    let us = block_us(options.rounds, &ledger, empty, "nothing", &[Vec::new()]);
    println!("native       empty transaction {us:.2} us");
    figures.insert("native_empty_transaction_us".into(), us);

    let token = ledger.deploy(&owner, NATIVE, b"token", b"").unwrap();
    let grants: Vec<Grant> = (0..BLOCK).map(|index| Grant { account: account(index), amount: 1 << 20 }).collect();
    for grants in grants.chunks(500) {
        let minted = ledger.call(&owner, token, "mint", &mint_arguments(grants)).unwrap();
        assert!(minted.receipt.succeeded());
    }
    let arguments: Vec<Vec<u8>> =
        (0..BLOCK).map(|index| Grant { account: receiver(index), amount: 1 }.to_bytes().to_vec()).collect();
    let us = block_us(options.rounds, &ledger, token, "transfer", &arguments);
    println!("native       token transfer {us:.2} us, {:.0}/s (goal 500000/s)", 1e6 / us);
    figures.insert("native_transfers_per_s".into(), 1e6 / us);
}

/// A call of a contract that does nothing: alone as a query, and as a transaction of a block.
fn calls(options: &Options, machine: Machine, figures: &mut Figures) {
    let Guest { ledger, contract } = Guest::deployed(machine, rules(), &guests::empty());
    const CALLS: usize = 5_000;
    let caller = account(0);
    let query = median(options.rounds, || {
        let start = Instant::now();
        for _ in 0..CALLS {
            let answer = ledger.simulate(caller, contract, "nothing", b"").unwrap();
            assert!(matches!(answer.status, ledgerkit::core::Status::Succeeded));
        }
        start.elapsed().as_secs_f64() * 1e6 / CALLS as f64
    });
    let transaction = block_us(options.rounds, &ledger, contract, "nothing", &[Vec::new()]);
    let goal = machine.of(6.0, 5.0);
    println!("  empty call           {query:.2} us (goal {goal}); a transaction of a block {transaction:.2} us");
    figures.insert(machine.figure("empty_call_us"), query);
    figures.insert(machine.figure("empty_transaction_us"), transaction);
}

/// Transfers by the token of `examples/contracts`, which keeps double entries and tells of each posting.
fn transfers(options: &Options, machine: Machine, figures: &mut Figures) {
    let code = guests::fixture("token");
    let mut ledger = guests::ledger(machine.runtime(), rules());
    let owner = MemorySigner::from_seed([1; 32]);
    // The currency: name, symbol, decimals.
    let token = ledger.deploy(&owner, WASM, &code, b"\x06Coffee\x03COF\x02").unwrap();
    for index in 0..BLOCK {
        // 2^20, in the codec's four bytes behind their mark.
        let mint = [account(index).0.as_bytes().as_slice(), &[252, 0, 0, 16, 0]].concat();
        let minted = ledger.call(&owner, token, "mint", &mint).unwrap();
        assert!(minted.receipt.succeeded(), "{:?}", minted.receipt.status);
    }
    let arguments: Vec<Vec<u8>> =
        (0..BLOCK).map(|index| [receiver(index).0.as_bytes().as_slice(), &[1]].concat()).collect();
    let us = block_us(options.rounds, &ledger, token, "transfer", &arguments);
    let goal = machine.of(40_000, 100_000);
    println!("  token transfer       {us:.2} us, {:.0}/s (goal {goal}/s), {} bytes of code", 1e6 / us, code.len());
    figures.insert(machine.figure("transfers_per_s"), 1e6 / us);
}

/// Loops of arithmetic and of memory, with and without the charges for fuel: a chain whose prices are all zero gets none.
fn metering(options: &Options, machine: Machine, figures: &mut Figures) {
    let mut worst: f64 = 0.0;
    for (name, text) in guests::loops() {
        let code = wat::parse_str(&text).unwrap();
        let mut free = rules();
        free.wasm.costs = WasmCosts {
            instance: 0,
            instance_function: 0,
            instance_global: 0,
            instance_name: 0,
            instance_segment: 0,
            basic: 0,
            multiply: 0,
            divide: 0,
            load: 0,
            store: 0,
            global: 0,
            branch: 0,
            branch_table: 0,
            call: 0,
            call_indirect: 0,
            local_zeroed: 0,
            memory_size: 0,
            memory_grow_page: 0,
            bulk: 0,
            bulk_64_bytes: 0,
            table_entry: 0,
        };
        let counted = Guest::deployed(machine, rules(), &code);
        let uncounted = Guest::deployed(machine, free, &code);
        // Taken in turns, so that a change of the machine's pace meets both.
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            with.push(counted.run("work").seconds);
            without.push(uncounted.run("work").seconds);
        }
        let middle = |mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let (with, without) = (middle(with), middle(without));
        println!("  counting, {name:<10} {:.2} x ({:.1} ms to {:.1} ms)", with / without, without * 1e3, with * 1e3);
        figures.insert(machine.figure(&format!("metering_{name}")), with / without);
        worst = worst.max(with / without);
    }
    println!("  counting at worst    {worst:.2} x (goal {})", machine.of("none", "1.5"));
    figures.insert(machine.figure("metering_worst"), worst);
}

/// Checking, metering and compiling a module of 50 KB, as the first call after a restart does.
fn preparation(options: &Options, machine: Machine, figures: &mut Figures) {
    let code = guests::fifty_kilobytes();
    let runtime = machine.runtime();
    let ms = median(options.rounds, || {
        let start = Instant::now();
        runtime.prepare(&code, &rules()).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    });
    println!("  prepare              {ms:.1} ms for {} bytes (goal {})", code.len(), machine.of("25 ms", "none"));
    figures.insert(machine.figure("prepare_ms"), ms);
    restart(options, machine, &code, figures);
}

/// Checking and metering a module of which a folder has the compiled code, and taking that, as the first call after a restart
/// does.
fn restart(options: &Options, machine: Machine, code: &[u8], figures: &mut Figures) {
    let folder = tempfile::tempdir().unwrap();
    let Some(before) = machine.runtime_with(folder.path(), true) else { return };
    before.prepare(code, &rules()).unwrap();
    let mut taken = 0;
    let ms = median(options.rounds, || {
        let runtime = machine.runtime_with(folder.path(), false).unwrap();
        let start = Instant::now();
        let ready = runtime.prepare(code, &rules()).unwrap();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        taken += usize::from(guests::is_compiled(&ready));
        ms
    });
    let rounds = options.rounds;
    println!("  after a restart      {ms:.1} ms for {} bytes; {taken} of {rounds} times compiled by then", code.len());
    figures.insert(machine.figure("prepare_after_restart_ms"), ms);
}
