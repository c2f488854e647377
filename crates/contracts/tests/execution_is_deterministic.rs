//! The same block on the same state gives the same execution, whatever the machine keeps in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_contracts::{ExecutorConfig, LedgerExecutor, NATIVE, NativeRuntime, Token};
use ledger_core::{AccountId, ContractId, SignedTransaction, Status, TransactionBuilder, Version};
use ledger_crypto::{MemorySigner, Signer};
use proptest::prelude::*;
use std::sync::Arc;

fn signer(seed: u8) -> MemorySigner {
    MemorySigner::from_seed([seed; 32])
}

fn executor(config: ExecutorConfig) -> LedgerExecutor {
    LedgerExecutor::new(config).with(NativeRuntime::new().with(Probe).with(Token))
}

/// A ledger with a probe and a token, of which accounts 0 to 3 have some.
fn ledger() -> (TestLedger, ContractId, ContractId) {
    let mut ledger = TestLedger::new(executor(ExecutorConfig::default()));
    let probe = ledger.deploy(&signer(0), NATIVE, Probe::NAME.as_bytes(), b"").unwrap();
    let token = ledger.deploy(&signer(0), NATIVE, Token::NAME.as_bytes(), b"").unwrap();
    let grants: Vec<_> = (0..4).map(|seed| Grant { account: account(seed), amount: 100 }).collect();
    let minted = ledger.call(&signer(0), token, "mint", &mint_arguments(&grants)).unwrap();
    assert!(minted.receipt.succeeded());
    (ledger, probe, token)
}

fn account(seed: u8) -> AccountId {
    AccountId::of_ed25519(&signer(seed).public_key())
}

#[derive(Clone, Debug)]
enum Ask {
    Transfer { from: u8, to: u8, amount: u8 },
    Probe { from: u8, method: &'static str },
    Deploy { from: u8, code: &'static [u8] },
    Replay(prop::sample::Index),
}

fn ask() -> impl Strategy<Value = Ask> {
    let methods = vec!["echo", "put", "get", "delete", "emit", "refuse", "break", "spin", "swallow", "none"];
    prop_oneof![
        (0..4u8, 0..4u8, any::<u8>()).prop_map(|(from, to, amount)| Ask::Transfer { from, to, amount }),
        (0..4u8, prop::sample::select(methods)).prop_map(|(from, method)| Ask::Probe { from, method }),
        (0..4u8, prop::sample::select(vec![&b"token"[..], b"probe", b"none"]))
            .prop_map(|(from, code)| Ask::Deploy { from, code }),
        any::<prop::sample::Index>().prop_map(Ask::Replay),
    ]
}

fn sign(ledger: &mut TestLedger, probe: ContractId, token: ContractId, asks: &[Ask]) -> Vec<SignedTransaction> {
    let chain = ledger.chain();
    let mut block: Vec<SignedTransaction> = Vec::new();
    for ask in asks {
        let (from, transaction) = match ask {
            Ask::Transfer { from, to, amount } => {
                let grant = Grant { account: account(*to), amount: u128::from(*amount) };
                (*from, TransactionBuilder::call(chain, token, "transfer", grant.to_bytes().to_vec()))
            }
            Ask::Probe { from, method } => {
                (*from, TransactionBuilder::call(chain, probe, method, b"key and value".to_vec()))
            }
            Ask::Deploy { from, code } => (*from, TransactionBuilder::deploy(chain, NATIVE, code.to_vec(), Vec::new())),
            Ask::Replay(which) if !block.is_empty() => {
                block.push(block[which.index(block.len())].clone());
                continue;
            }
            Ask::Replay(_) => continue,
        };
        block.push(ledger.sign(&signer(from), transaction).unwrap());
    }
    block
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn an_execution_depends_on_block_context_and_state_alone(asks in prop::collection::vec(ask(), 0..16)) {
        let (mut ledger, probe, token) = ledger();
        let transactions = sign(&mut ledger, probe, token, &asks);
        let block = ledger.block(transactions.clone());
        let execution = ledger.execute_block(&block).unwrap();
        prop_assert_eq!(&ledger.execute_block(&block).unwrap(), &execution);
        for config in [
            ExecutorConfig::default(),
            ExecutorConfig { prepared_bytes: 0, asked_bytes: 0, cache_bytes: 0 },
            ExecutorConfig { prepared_bytes: 2_000, asked_bytes: 2_000, cache_bytes: 1_000 },
        ] {
            let mut elsewhere = ledger.clone();
            elsewhere.executor = Arc::new(executor(config));
            prop_assert_eq!(&elsewhere.execute_block(&block).unwrap(), &execution);
        }
        // Every transaction has its receipt, in its place.
        prop_assert_eq!(execution.results.len(), transactions.len());
        for (index, (result, transaction)) in (0..).zip(execution.results.iter().zip(&transactions)) {
            prop_assert_eq!((result.receipt.index, result.receipt.transaction), (index, transaction.id()));
            let rejected = matches!(result.receipt.status, Status::Rejected(_));
            let wrote = execution.writes.iter().any(|write| write.index == index);
            prop_assert_eq!(wrote, !rejected, "a rejected transaction writes nothing, any other its lane");
        }
        let sum: u64 = execution.results.iter().map(|result| result.receipt.fuel_used.0).sum();
        prop_assert_eq!(execution.fuel_used.0, sum);
        prop_assert!(execution.validators.is_empty());
    }

    #[test]
    fn one_block_ends_in_the_state_of_many(asks in prop::collection::vec(ask(), 0..16)) {
        let (mut ledger, probe, token) = ledger();
        // What a deployment records of its height differs by design.
        let asks: Vec<_> = asks.into_iter().filter(|ask| !matches!(ask, Ask::Deploy { .. })).collect();
        let transactions = sign(&mut ledger, probe, token, &asks);
        let mut apart = ledger.clone();
        let together = ledger.apply(transactions.clone()).unwrap();
        for (transaction, result) in transactions.into_iter().zip(&together.results) {
            let alone = apart.apply(vec![transaction]).unwrap();
            prop_assert_eq!(&alone.results[0].receipt.status, &result.receipt.status);
            prop_assert_eq!(&alone.results[0].receipt.output, &result.receipt.output);
            // Alone, it is the first of its block to load its contract's code.
            prop_assert!(alone.results[0].receipt.fuel_used >= result.receipt.fuel_used);
        }
        let values = |ledger: &TestLedger| -> Vec<_> {
            ledger.state.iter().map(|(key, found)| (key.clone(), found.value.clone())).collect()
        };
        prop_assert_eq!(values(&ledger), values(&apart));
    }
}

#[test]
fn each_transaction_of_a_block_leaves_a_version_of_its_own() {
    let (mut ledger, probe, token) = ledger();
    let ask = Ask::Transfer { from: 1, to: 2, amount: 1 };
    let transactions = sign(&mut ledger, probe, token, &[ask.clone(), ask]);
    let execution = ledger.apply(transactions).unwrap();
    // Lane, sender, receiver: twice each.
    assert_eq!(execution.writes.len(), 6);
    for versions in execution.writes.by_key() {
        assert_eq!(versions.iter().map(|write| write.index).collect::<Vec<_>>(), [0, 1]);
    }
    let version = Version { height: ledger.height, index: 1 };
    assert_eq!(ledger.state.iter().filter(|(_, found)| found.version == version).count(), 3);
}
