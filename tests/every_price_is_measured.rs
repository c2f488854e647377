//! `benches/contracts.rs` measures what a unit of fuel takes: for every price that a chain has, and every import.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, dead_code)]

#[path = "../benches/contracts/classes.rs"]
mod classes;

use classes::{Class, Others, TYPES, Work, callee, classes, looping, with_parts};
use ledgerkit::contracts::testing::TestLedger;
use ledgerkit::contracts::wasm::{IMPORTS, WASM, WasmRuntime};
use ledgerkit::contracts::{CallTerms, Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledgerkit::core::{AccountId, ContractId, Fuel, Prices, Rules, Status, TransactionBuilder, WasmCosts};
use ledgerkit::crypto::{Digest, MemorySigner};
use std::collections::BTreeSet;

/// A price: its name, and what makes it dearer.
type Price = (&'static str, fn(&mut Rules));

/// All prices of a table. One that isn't named here is an error of the compiler.
macro_rules! prices {
    ($table:ident, $of:expr, $($price:ident),* $(,)?) => {{
        let $table { $($price: _),* } = $table::default();
        let all: Vec<Price> = vec![$((concat!(stringify!($table), ".", stringify!($price)), |rules| {
            let table: fn(&mut Rules) -> &mut $table = $of;
            table(rules).$price += 1;
        })),*];
        all
    }};
}

fn all_prices() -> Vec<Price> {
    let mut all = prices!(
        WasmCosts,
        |rules| &mut rules.wasm.costs,
        instance,
        instance_function,
        instance_global,
        instance_name,
        instance_segment,
        basic,
        multiply,
        divide,
        load,
        store,
        global,
        branch,
        branch_table,
        call,
        call_indirect,
        local_zeroed,
        memory_size,
        memory_grow_page,
        bulk,
        bulk_64_bytes,
        table_entry,
    );
    all.extend(prices!(
        Prices,
        |rules| &mut rules.prices,
        transaction,
        body_byte,
        read,
        read_byte,
        write,
        write_byte,
        event,
        event_byte,
        hash,
        hash_byte,
        verify,
        call,
        prepare_byte,
    ));
    all
}

/// Calls another contract once.
struct Caller;

impl Contract for Caller {
    fn name(&self) -> &str {
        "caller"
    }

    fn call(&self, host: &mut dyn Host, _: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        if let Ok(callee) = arguments.try_into() {
            host.call(&ContractId(Digest::new(callee)), "nothing", b"", CallTerms::default())?;
        }
        Ok(Vec::new())
    }
}

struct Stage {
    ledger: TestLedger,
    native: ContractId,
    wasm: ContractId,
}

fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

impl Stage {
    fn new() -> Stage {
        let runtime = WasmRuntime::wasmi().unwrap();
        let executor = LedgerExecutor::default().with(runtime).with(NativeRuntime::new().with(Caller));
        let mut ledger = TestLedger::new(executor);
        let native = ledger.deploy(&owner(), NATIVE, b"caller", b"").unwrap();
        let wasm = ledger.deploy(&owner(), WASM, &callee(), b"").unwrap();
        Stage { ledger, native, wasm }
    }

    fn others(&self) -> Others {
        Others { wasm: *self.wasm.0.as_bytes(), native: *self.native.0.as_bytes(), key: [9; 32] }
    }

    /// Something to be done on the ledger, which gives its fuel under whatever rules.
    fn deployed(&self, code: &[u8], method: &'static str) -> Box<dyn Fn(&Rules) -> u64> {
        let mut ledger = self.ledger.clone();
        let deploy = TransactionBuilder::deploy(ledger.chain(), WASM, code.to_vec(), Vec::new());
        let limit = ledger.rules.max_transaction_fuel;
        let receipt = ledger.submit(&owner(), deploy.fuel_limit(limit)).unwrap().receipt;
        assert!(receipt.succeeded(), "{:?}", receipt.status);
        let contract = ContractId::deployed_by(&receipt.transaction);
        called(ledger, contract, method, b"arguments".to_vec())
    }
}

fn called(
    ledger: TestLedger,
    contract: ContractId,
    method: &'static str,
    arguments: Vec<u8>,
) -> Box<dyn Fn(&Rules) -> u64> {
    Box::new(move |rules| {
        let mut ledger = ledger.clone();
        ledger.rules = rules.clone();
        let said = ledger.simulate(AccountId(Digest::new([9; 32])), contract, method, &arguments).unwrap();
        assert!(matches!(said.status, Status::Succeeded), "{:?}", said.status);
        said.fuel_used.0
    })
}

/// What one thing costs more than another, under whatever rules.
type Difference = Box<dyn Fn(&Rules) -> i128>;

/// What a class has paid for, once of what it measures often.
fn fuels(stage: &Stage, class: &Class) -> Vec<Difference> {
    type Doing = Box<dyn Fn(&Rules) -> u64>;
    let pair = |with: Doing, without: Option<Doing>| -> Difference {
        Box::new(move |rules| {
            i128::from(with(rules)) - without.as_ref().map_or(0, |without| i128::from(without(rules)))
        })
    };
    let native = |arguments: Vec<u8>| called(stage.ledger.clone(), stage.native, "work", arguments);
    match &class.work {
        Work::Loop { codes, base, .. } => {
            let loops = |code: &str| stage.deployed(&looping(1, code, 1, &stage.others()), "work");
            codes.iter().map(|code| pair(loops(code), Some(loops(base)))).collect()
        }
        Work::Parts { with, without } => {
            let [with, without] = [with, without].map(|parts| stage.deployed(&with_parts(parts), "nothing"));
            vec![pair(with, Some(without))]
        }
        Work::Instance => {
            vec![pair(stage.deployed(&with_parts(""), "nothing"), Some(native(Vec::new())))]
        }
        Work::FromNative => vec![pair(native(stage.wasm.0.as_bytes().to_vec()), Some(native(Vec::new())))],
        Work::Transactions { arguments } => {
            let without = (*arguments > 0).then(|| native(Vec::new()));
            vec![pair(native(vec![7; *arguments]), without)]
        }
        Work::FirstCall { module } => vec![pair(stage.deployed(module, "nothing"), None)],
        Work::Deployment { module } => {
            let (ledger, module) = (stage.ledger.clone(), module.clone());
            let deploy = move |rules: &Rules| {
                let mut ledger = ledger.clone();
                ledger.rules = rules.clone();
                let deploy = TransactionBuilder::deploy(ledger.chain(), WASM, module.clone(), Vec::new());
                let limit = ledger.rules.max_transaction_fuel;
                let done = ledger.submit(&owner(), deploy.fuel_limit(limit)).unwrap().receipt;
                assert!(done.succeeded(), "{:?}", done.status);
                done.fuel_used.0
            };
            vec![pair(Box::new(deploy), None)]
        }
    }
}

#[test]
fn every_price_of_a_chain_has_a_class() {
    let mut rules = Rules::default();
    (rules.max_transaction_fuel, rules.max_block_fuel) = (Fuel(1 << 40), Fuel(1 << 40));
    let mut stage = Stage::new();
    stage.ledger.rules = rules.clone();
    let mut unseen: BTreeSet<&str> = all_prices().into_iter().map(|(name, _)| name).collect();
    for class in classes() {
        for fuel in fuels(&stage, &class) {
            let plain = fuel(&rules);
            assert!(plain > 0, "{} costs {plain}", class.name);
            if unseen.is_empty() {
                continue;
            }
            let dearer = |change: fn(&mut Rules)| {
                let mut rules = rules.clone();
                change(&mut rules);
                fuel(&rules)
            };
            unseen.retain(|name| {
                let found = all_prices().into_iter().find(|(price, _)| price == name);
                found.is_none_or(|(_, change)| dearer(change) <= plain)
            });
        }
    }
    assert!(unseen.is_empty(), "no class of `benches/contracts/classes.rs` pays {unseen:?}");
}

#[test]
fn every_import_has_a_class() {
    let typed: Vec<&str> = TYPES.iter().map(|(name, _)| *name).chain(["refuse"]).collect();
    let codes: String = classes()
        .into_iter()
        .map(|class| match class.work {
            Work::Loop { codes, .. } => codes.concat(),
            _ => String::new(),
        })
        .collect();
    let callee = callee();
    for &import in IMPORTS {
        assert!(typed.contains(&import), "`benches/contracts/classes.rs` doesn't know the type of `{import}`");
        let refused = import == "refuse" && callee.windows(6).any(|bytes| bytes == b"refuse");
        let called = [" ", ")"].iter().any(|end| codes.contains(&format!("(call ${import}{end}")));
        assert!(refused || called, "no class of `benches/contracts/classes.rs` calls `{import}`");
    }
    assert_eq!(typed.len(), IMPORTS.len());
}
