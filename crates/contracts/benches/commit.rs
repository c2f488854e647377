//! Token transfers that are executed first and ordered then: simulating each on a state in memory, and executing blocks of
//! the commits, on one thread; the transactions' own signatures aren't verified.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger_contracts::lifecycle::{Instantiate, Metadata, Upload, WritePolicy};
use ledger_contracts::record::code_digest;
use ledger_contracts::testing::TestLedger;
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_contracts::{LIFECYCLE, LedgerExecutor, NATIVE, NativeRuntime, Token, UpgradePolicy};
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::{
    AccountId, Block, ContractId, Endorsement, Fuel, ReadWriteSet, SignedTransaction, TransactionBuilder,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use std::error::Error;
use std::hint::black_box;

const COMMITS: u16 = 5_000;

fn account(number: u16) -> AccountId {
    let mut bytes = [9; 32];
    let (front, _) = bytes.split_at_mut(2);
    front.copy_from_slice(&number.to_be_bytes());
    AccountId(Digest::new(bytes))
}

/// A token whose state `writes` says who may commit to, with a balance for each of twice as many accounts as there are
/// commits, and a set for each pair of them.
fn prepare(committer: &MemorySigner, writes: WritePolicy) -> Result<(TestLedger, ContractId), Box<dyn Error>> {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Token)));
    let (runtime, code) = (Text::from(NATIVE), Bytes::from(Token::NAME.as_bytes()));
    let upload = Upload { runtime: runtime.clone(), code };
    ledger.call(committer, LIFECYCLE, "upload", &codec::encode(&upload))?;
    let instantiate = Instantiate {
        runtime,
        code: code_digest(Token::NAME.as_bytes()),
        policy: UpgradePolicy::Immutable,
        metadata: Metadata { writes, ..Metadata::default() },
        arguments: Bytes::default(),
    };
    let made = ledger.call(committer, LIFECYCLE, "instantiate", &codec::encode(&instantiate))?.receipt;
    let token = ContractId(Digest::new((*made.output).try_into()?));
    let grants: Vec<Grant> = (0..2 * COMMITS).map(|number| Grant { account: account(number), amount: 1_000 }).collect();
    for some in grants.chunks(5_000) {
        let mint = TransactionBuilder::call(ledger.chain(), token, "mint", mint_arguments(some));
        let minted = ledger.submit(committer, mint.fuel_limit(ledger.rules.max_transaction_fuel))?;
        assert!(minted.receipt.succeeded(), "{:?}", minted.receipt.status);
    }
    Ok((ledger, token))
}

fn simulate(ledger: &TestLedger, token: ContractId, number: u16) -> Result<ReadWriteSet, Box<dyn Error>> {
    let grant = Grant { account: account(2 * number + 1), amount: 5 }.to_bytes();
    Ok(ledger.simulate(account(2 * number), token, "transfer", &grant)?.read_write_set())
}

/// A block of commits, of which all succeed.
fn block(
    ledger: &mut TestLedger,
    token: ContractId,
    committer: &MemorySigner,
    endorser: Option<&MemorySigner>,
) -> Result<Block, Box<dyn Error>> {
    let sender = AccountId::of_ed25519(&committer.public_key());
    let mut signed: Vec<SignedTransaction> = Vec::new();
    for number in 0..COMMITS {
        let set = simulate(ledger, token, number)?;
        let mut commit =
            TransactionBuilder::commit(ledger.chain(), &set).sequence(1, number.into()).fuel_limit(Fuel(190_000));
        if let Some(endorser) = endorser {
            let endorsement = Endorsement::sign(&commit.envelope(sender), endorser)?;
            commit = commit.endorsed_by([endorsement]);
        }
        signed.push(commit.sign(committer)?);
    }
    let block = ledger.block(signed);
    let execution = ledger.execute_block(&block)?;
    let failed = execution.results.iter().find(|result| !result.receipt.succeeded());
    assert!(failed.is_none(), "{:?}", failed.map(|result| &result.receipt.status));
    Ok(block)
}

fn commits(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (committer, endorser) = (MemorySigner::from_seed([1; 32]), MemorySigner::from_seed([2; 32]));
    let accounts = WritePolicy::Accounts(vec![AccountId::of_ed25519(&committer.public_key())].into());
    let endorsed = WritePolicy::Endorsed { keys: vec![endorser.public_key()].into(), least: 1 };
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10);
    for (name, writes, by) in [("accounts", accounts, None), ("one endorsement", endorsed, Some(&endorser))] {
        let (mut ledger, token) = prepare(&committer, writes)?;
        if by.is_none() {
            let mut number = 0;
            group.throughput(Throughput::Elements(1)).bench_function("simulate a transfer", |bencher| {
                let next = || {
                    number = (number + 1) % COMMITS;
                    number
                };
                bencher.iter_batched(next, |number| simulate(&ledger, token, number).ok(), BatchSize::SmallInput);
            });
        }
        let block = block(&mut ledger, token, &committer, by)?;
        group.throughput(Throughput::Elements(COMMITS.into()));
        group.bench_function(format!("execute a block of 5,000, {name}"), |bencher| {
            bencher.iter_with_large_drop(|| ledger.execute_block(black_box(&block)));
        });
    }
    group.finish();
    Ok(())
}

fn bench(criterion: &mut Criterion) {
    if let Err(error) = commits(criterion) {
        eprintln!("the bench can't be set up: {error}");
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
