//! Whatever stops a transaction, wherever: all of its effect is there, or none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::codec::{Bytes, List};
use ledger_core::{AccountId, ContractId, Failure, Fuel, Key, Status, TransactionBuilder, Writes};
use ledger_crypto::{MemorySigner, Signer};
use proptest::prelude::*;

/// Runs a script: each byte of the arguments is one thing to do.
struct Script;

impl Contract for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        run(host, arguments)
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        run(host, arguments)?;
        match method {
            "run" => Ok(arguments.to_vec()),
            "panic" => panic!("at the end"),
            "panic after a panic of its own was caught" => {
                let _ = std::panic::catch_unwind(|| panic!("inside"));
                Err(Trap::broken("after all"))
            }
            "refuse" => Err(Trap::refused(3, "at the end")),
            _ => Err(Trap::UnknownMethod),
        }
    }
}

fn run(host: &mut dyn Host, script: &[u8]) -> Result<(), Trap> {
    for &step in script {
        let key = [step >> 4];
        match step % 8 {
            0 | 1 => host.put(&key, &[step])?,
            2 => host.delete(&key)?,
            3 => host.emit("step", &key)?,
            4 => drop(host.get(&key)?),
            5 => drop(host.scan(&key, None, usize::from(step % 5))?),
            6 => {
                let entries = host.scan_prefix(b"", 3)?;
                for entry in entries {
                    host.put(&entry.key, b"seen")?;
                }
            }
            _ => host.charge(Fuel(u64::from(step)))?,
        }
    }
    Ok(())
}

fn alice() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

/// A ledger whose contract has some values already.
fn ledger() -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Script)));
    let contract = ledger.deploy(&alice(), NATIVE, b"script", &[0x10, 0x30, 0x50, 0x70]).unwrap();
    (ledger, contract)
}

fn lane_only(writes: &Writes) -> bool {
    let lane = Key::sequence(&AccountId::of_ed25519(&alice().public_key()), 0);
    writes.len() == 1 && writes.iter().all(|write| write.key == lane)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn with_any_fuel_there_is_the_full_effect_or_none(script in prop::collection::vec(any::<u8>(), 0..8)) {
        let (mut ledger, contract) = ledger();
        let attempt = |ledger: &TestLedger, limit: u64| {
            let call = TransactionBuilder::call(ledger.chain(), contract, "run", script.clone());
            ledger.execute(vec![call.sequence(0, 1).fuel_limit(Fuel(limit)).sign(&alice()).unwrap()]).unwrap()
        };
        // Prices this low let every unit of fuel be tried.
        let prices = &mut ledger.rules.prices;
        (prices.transaction, prices.read, prices.write, prices.event) = (3, 2, 5, 4);
        let full = attempt(&ledger, 1_000_000);
        prop_assert_eq!(&full.results[0].receipt.status, &Status::Succeeded);
        let needed = full.fuel_used.0;
        for limit in 0..needed {
            let less = attempt(&ledger, limit);
            let receipt = &less.results[0].receipt;
            prop_assert_eq!(&receipt.status, &Status::Failed(Failure::OutOfFuel { limit: Fuel(limit) }));
            prop_assert_eq!(receipt.fuel_used, Fuel(limit));
            prop_assert!(lane_only(&less.writes) && less.results[0].events.is_empty());
        }
        // The limit is part of the transaction, so its id is another; all else is the same.
        let enough = attempt(&ledger, needed);
        prop_assert_eq!(enough.writes, full.writes);
        prop_assert_eq!(&enough.results[0].events, &full.results[0].events);
        prop_assert_eq!(&enough.results[0].receipt.output, &full.results[0].receipt.output);
        prop_assert_eq!(&enough.results[0].receipt.status, &Status::Succeeded);
        prop_assert_eq!(enough.fuel_used, Fuel(needed));
    }

    #[test]
    fn a_failure_between_two_calls_changes_neither(
        before in prop::collection::vec(any::<u8>(), 0..8),
        failing in prop::collection::vec(any::<u8>(), 0..8),
        after in prop::collection::vec(any::<u8>(), 0..8),
        how in prop::sample::select(vec!["panic", "panic after a panic of its own was caught", "refuse", "unknown"]),
    ) {
        let (ledger, contract) = ledger();
        let block = |middle: (&str, &[u8])| {
            let calls = [("run", &before[..]), middle, ("run", &after[..])];
            let signed = (1..).zip(calls).map(|(number, (method, script))| {
                let call = TransactionBuilder::call(ledger.chain(), contract, method, script.to_vec());
                call.sequence(0, number).sign(&alice()).unwrap()
            });
            ledger.execute(signed.collect()).unwrap()
        };
        let with = block((how, &failing));
        let without = block(("unknown", &[]));
        prop_assert!(matches!(with.results[1].receipt.status, Status::Failed(_)));
        prop_assert_eq!(&with.writes, &without.writes);
        for index in [0, 2] {
            prop_assert_eq!(&with.results[index].receipt.output, &without.results[index].receipt.output);
            prop_assert_eq!(&with.results[index].events, &without.results[index].events);
            prop_assert_eq!(with.results[index].receipt.fuel_used, without.results[index].receipt.fuel_used);
        }
        prop_assert_eq!(&with.results[1].events, &List::new());
        prop_assert_eq!(&with.results[1].receipt.output, &Bytes::default());
    }
}

#[test]
fn a_failed_constructor_leaves_no_contract() {
    let (mut ledger, _) = ledger();
    let deploy = TransactionBuilder::deploy(ledger.chain(), NATIVE, b"script".to_vec(), vec![0x10; 100])
        .fuel_limit(Fuel(60_000));
    let signed = ledger.sign(&alice(), deploy).unwrap();
    let contract = ContractId::deployed_by(&signed.id());
    let execution = ledger.apply(vec![signed]).unwrap();
    assert!(lane_only(&execution.writes));
    let receipt = ledger.call(&alice(), contract, "run", b"").unwrap().receipt;
    assert_eq!(receipt.status, Status::Failed(Failure::UnknownContract { contract }));
}
