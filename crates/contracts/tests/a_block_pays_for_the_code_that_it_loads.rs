//! What a block may make ready to run is bounded by what it pays, whatever a node has in its caches.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::alice;
use common::counting::{COUNTING, Counting, code, deploy, names};
use ledger_contracts::lifecycle::Upload;
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{ExecutorConfig, LIFECYCLE, LedgerExecutor};
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::{
    AccountId, ContractId, DEFAULT_FUEL_LIMIT, Execution, Failure, Fuel, SignedTransaction, Status, TransactionBuilder,
};
use ledger_crypto::{MemorySigner, Signer};
use std::sync::Arc;

fn ledger(config: ExecutorConfig) -> (TestLedger, Counting) {
    let counting = Counting::default();
    (TestLedger::new(LedgerExecutor::new(config).with(counting.clone())), counting)
}

/// A ledger that keeps no code from block to block.
fn forgetful() -> (TestLedger, Counting) {
    ledger(ExecutorConfig { prepared_bytes: 0, asked_bytes: 0, ..ExecutorConfig::default() })
}

fn sign(ledger: &mut TestLedger, calls: &[(ContractId, &str, Vec<u8>)]) -> Vec<SignedTransaction> {
    let one = |(contract, method, arguments): &(ContractId, &str, Vec<u8>)| {
        let call = TransactionBuilder::call(ledger.chain(), *contract, method, arguments.clone());
        ledger.sign(&alice(), call.fuel_limit(Fuel(50_000_000))).unwrap()
    };
    calls.iter().map(one).collect()
}

fn fuel(execution: &Execution) -> Vec<u64> {
    execution.results.iter().map(|result| result.receipt.fuel_used.0).collect()
}

#[test]
fn beyond_the_allowance_new_code_costs_what_preparing_it_costs() {
    let (mut ledger, counting) = forgetful();
    let contracts = deploy(&mut ledger, 4, 600);
    ledger.rules.block_code_bytes = 1_000;
    let prices = ledger.rules.prices;
    let known = prices.transaction + 2 * prices.read;
    let calls = [0, 1, 1, 2, 0, 3].map(|index| (contracts[index], "nothing", Vec::new()));
    let signed = sign(&mut ledger, &calls);
    counting.made_ready();
    let first = ledger.execute(signed.clone()).unwrap();
    let new = |bytes| known + 600 * prices.read_byte + bytes * prices.prepare_byte;
    assert_eq!(fuel(&first), [new(0), new(200), known, new(600), known, new(600)]);
    // Each is made ready once, though nothing is cached.
    assert_eq!(counting.made_ready().len(), 4);
    // The next block begins anew.
    ledger.apply(signed).unwrap();
    let again = sign(&mut ledger, &[(contracts[3], "nothing", Vec::new())]);
    assert_eq!(fuel(&ledger.execute(again).unwrap()), [new(0)]);
}

#[test]
fn what_is_cached_changes_no_fuel() {
    let (mut ledger, _) = ledger(ExecutorConfig::default());
    ledger.rules.block_code_bytes = 1_000;
    let contracts = deploy(&mut ledger, 5, 400);
    let calls = [4, 3, 0, 1, 2, 4].map(|index| (contracts[index], "nothing", Vec::new()));
    let signed = sign(&mut ledger, &calls);
    let cached = ledger.execute(signed.clone()).unwrap();
    let (elsewhere, counting) = forgetful();
    ledger.executor = Arc::clone(&elsewhere.executor);
    assert_eq!(ledger.execute(signed).unwrap(), cached);
    assert_eq!(counting.made_ready().len(), 5);
}

#[test]
fn a_transaction_that_visits_many_contracts_prepares_no_more_than_it_pays_for() {
    let (mut ledger, counting) = forgetful();
    ledger.rules.block_code_bytes = 50_000;
    let contracts = deploy(&mut ledger, 60, 10_000);
    let limit = Fuel(5_000_000);
    let visit = TransactionBuilder::call(ledger.chain(), contracts[0], "visit", names(&contracts));
    counting.made_ready();
    let receipt = ledger.submit(&alice(), visit.fuel_limit(limit)).unwrap().receipt;
    assert_eq!(receipt.status, Status::Failed(Failure::OutOfFuel { limit }));
    let paid = usize::try_from(limit.0 / ledger.rules.prices.prepare_byte).unwrap();
    let bytes = counting.bytes_made_ready();
    assert!((50_000..=50_000 + paid).contains(&bytes), "{bytes}");
}

#[test]
fn what_failed_transactions_have_loaded_counts() {
    let (mut ledger, counting) = forgetful();
    ledger.rules.block_code_bytes = 1_000;
    let contracts = deploy(&mut ledger, 2, 800);
    let prices = ledger.rules.prices;
    let known = prices.transaction + 2 * prices.read + 800 * prices.read_byte;
    let calls = [(contracts[0], "refuse", Vec::new()), (contracts[1], "nothing", Vec::new())];
    let signed = sign(&mut ledger, &calls);
    counting.made_ready();
    let execution = ledger.execute(signed).unwrap();
    assert!(!execution.results[0].receipt.succeeded());
    assert_eq!(fuel(&execution), [known, known + 600 * prices.prepare_byte]);
    assert_eq!(counting.made_ready().len(), 2);
    // One that hasn't fuel for it loads nothing, and takes nothing of the allowance.
    let poor = TransactionBuilder::call(ledger.chain(), contracts[0], "nothing", Vec::new());
    let short = poor.fuel_limit(Fuel(known - 1)).sequence(0, 2).sign(&alice()).unwrap();
    let rich = TransactionBuilder::call(ledger.chain(), contracts[1], "nothing", Vec::new());
    let rich = rich.sequence(0, 3).sign(&alice()).unwrap();
    let execution = ledger.execute(vec![short, rich]).unwrap();
    assert_eq!(fuel(&execution), [known - 1, known]);
    assert_eq!(counting.made_ready(), [code(1, 800)]);
}

#[test]
fn what_was_uploaded_in_a_block_is_paid_for_and_is_not_new_to_it() {
    let (mut ledger, counting) = forgetful();
    let contracts = deploy(&mut ledger, 1, 5_000);
    ledger.rules.block_code_bytes = 0;
    let prices = ledger.rules.prices;
    let upload = codec::encode(&Upload { runtime: Text::from("counting"), code: Bytes::from(code(0, 5_000)) });
    let calls = [(LIFECYCLE, "upload", upload), (contracts[0], "nothing", Vec::new())];
    let signed = sign(&mut ledger, &calls);
    counting.made_ready();
    let execution = ledger.execute(signed).unwrap();
    assert!(execution.results.iter().all(|result| result.receipt.succeeded()), "{execution:?}");
    assert_eq!(fuel(&execution)[1], prices.transaction + 2 * prices.read);
    assert_eq!(counting.made_ready().len(), 1);
}

#[test]
fn nobody_makes_anothers_call_dearer_than_its_simulation_said() {
    let (mut ledger, _) = forgetful();
    let contracts = deploy(&mut ledger, 12, 50_000);
    let visit = |ledger: &TestLedger, count: usize| {
        let call = TransactionBuilder::call(ledger.chain(), contracts[0], "visit", names(&contracts[..count]));
        ledger.clone().sign(&alice(), call.fuel_limit(ledger.rules.max_transaction_fuel)).unwrap()
    };
    // The last contract's call, with no more fuel than its simulation used.
    let (bob, chain) = (MemorySigner::from_seed([2; 32]), ledger.chain());
    let call = |fuel| TransactionBuilder::call(chain, contracts[11], "nothing", Vec::new()).fuel_limit(fuel);
    let said = ledger.simulate_transaction(&call(Fuel(1)).sign(&bob).unwrap()).unwrap();
    assert_eq!(said.status, Status::Succeeded);
    let victim = call(said.fuel_used).sign(&bob).unwrap();
    // Whatever others have loaded before it, it is at most as dear.
    let known = ledger.rules.prices.transaction + 2 * ledger.rules.prices.read;
    for (others, expected) in [(0, said.fuel_used), (11, said.fuel_used), (12, Fuel(known))] {
        let execution = ledger.execute(vec![visit(&ledger, others), victim.clone()]).unwrap();
        assert!(execution.results.iter().all(|result| result.receipt.succeeded()), "{others}: {execution:?}");
        assert_eq!(execution.results[1].receipt.fuel_used, expected, "{others}");
    }
    // Where a block has code for nothing, who comes first takes that away.
    ledger.rules.block_code_bytes = 100_000;
    let cheaper = ledger.simulate_transaction(&victim).unwrap().fuel_used;
    assert!(cheaper < said.fuel_used);
    let victim = call(cheaper).sign(&bob).unwrap();
    let alone = ledger.execute(vec![victim.clone()]).unwrap();
    assert!(alone.results[0].receipt.succeeded());
    let second = ledger.execute(vec![visit(&ledger, 11), victim]).unwrap();
    assert_eq!(second.results[1].receipt.status, Status::Failed(Failure::OutOfFuel { limit: cheaper }));
}

#[test]
fn a_simulated_deployment_uses_what_the_deployment_does() {
    let (mut ledger, _) = forgetful();
    let deploy = TransactionBuilder::deploy(ledger.chain(), COUNTING, code(1, 200_000), Vec::new());
    // Signed with too low a limit, to be asked about.
    let said = ledger.simulate_transaction(&deploy.clone().fuel_limit(Fuel(1)).sign(&alice()).unwrap()).unwrap();
    assert_eq!(said.status, Status::Succeeded);
    assert!(said.fuel_used > DEFAULT_FUEL_LIMIT);
    let less = deploy.clone().fuel_limit(Fuel(said.fuel_used.0 - 1));
    let limit = Fuel(said.fuel_used.0 - 1);
    let receipt = ledger.submit(&alice(), less).unwrap().receipt;
    assert_eq!(receipt.status, Status::Failed(Failure::OutOfFuel { limit }));
    let receipt = ledger.submit(&alice(), deploy.clone().fuel_limit(said.fuel_used)).unwrap().receipt;
    assert_eq!((receipt.succeeded(), receipt.fuel_used), (true, said.fuel_used));
    // Without a limit of one's own it succeeds, too.
    assert!(ledger.submit(&alice(), deploy).unwrap().receipt.succeeded());
}

#[test]
fn a_simulation_is_like_the_first_transaction_of_a_block() {
    let (mut ledger, _) = forgetful();
    ledger.rules.block_code_bytes = 1_000;
    let contracts = deploy(&mut ledger, 3, 600);
    let account = AccountId::of_ed25519(&alice().public_key());
    let [one, three] = [1, 3].map(|count| names(&contracts[..count]));
    for arguments in [one, three] {
        let said = ledger.simulate(account, contracts[0], "visit", &arguments).unwrap();
        let signed = sign(&mut ledger, &[(contracts[0], "visit", arguments)]);
        assert_eq!(ledger.apply(signed).unwrap().fuel_used, said.fuel_used);
    }
}
