//! Executing blocks of token transfers on a state in memory, on one thread, without signatures.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ledger_contracts::testing::TestLedger;
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime, Token};
use ledger_core::{AccountId, SignedTransaction, TransactionBuilder};
use ledger_crypto::{MemorySigner, Signer};
use std::hint::black_box;

const ACCOUNTS: u32 = 20_000;
const BLOCK: u32 = 10_000;

fn signer(number: u32) -> MemorySigner {
    let mut seed = [9; 32];
    let (front, _) = seed.split_at_mut(4);
    front.copy_from_slice(&number.to_le_bytes());
    MemorySigner::from_seed(seed)
}

/// A ledger whose accounts all have a balance, and a block of transfers between pairs of them.
fn prepare() -> Result<(TestLedger, Vec<SignedTransaction>), Box<dyn std::error::Error>> {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Token)));
    let owner = signer(u32::MAX);
    let contract = ledger.deploy(&owner, NATIVE, Token::NAME.as_bytes(), b"")?;
    let signers: Vec<MemorySigner> = (0..ACCOUNTS).map(signer).collect();
    let accounts: Vec<AccountId> = signers.iter().map(|key| AccountId::of_ed25519(&key.public_key())).collect();
    for some in accounts.chunks(5_000) {
        let grants: Vec<Grant> = some.iter().map(|&account| Grant { account, amount: 1_000_000 }).collect();
        let mint = TransactionBuilder::call(ledger.chain(), contract, "mint", mint_arguments(&grants));
        let minted = ledger.submit(&owner, mint.fuel_limit(ledger.rules.max_transaction_fuel))?;
        assert!(minted.receipt.succeeded(), "{:?}", minted.receipt.status);
    }
    let mut transfers = Vec::new();
    for (signer, receiver) in signers.iter().zip(accounts.iter().rev()).step_by((ACCOUNTS / BLOCK) as usize) {
        let arguments = Grant { account: *receiver, amount: 5 }.to_bytes().to_vec();
        let transfer = TransactionBuilder::call(ledger.chain(), contract, "transfer", arguments);
        transfers.push(ledger.sign(signer, transfer.fuel_limit(ledger_core::Fuel(50_000)))?);
    }
    let execution = ledger.execute(transfers.clone())?;
    assert!(execution.results.iter().all(|result| result.receipt.succeeded()));
    Ok((ledger, transfers))
}

fn transfers(criterion: &mut Criterion) {
    let (ledger, transfers) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("the bench can't be set up: {error}");
            return;
        }
    };
    let block = ledger.block(transfers);
    let mut group = criterion.benchmark_group("execute");
    group.sample_size(20).throughput(Throughput::Elements(BLOCK.into()));
    group.bench_function("10,000 transfers among 20,000 accounts", |bencher| {
        bencher.iter_with_large_drop(|| ledger.execute_block(black_box(&block)));
    });
    group.finish();
}

criterion_group!(benches, transfers);
criterion_main!(benches);
