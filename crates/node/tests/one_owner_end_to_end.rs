//! A real host on a real folder: the four answers, proofs, subscriptions, restarts, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::owner;
use ledger_consensus::Solo;
use ledger_contracts::token::{Grant, Token, mint_arguments};
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{
    AccountId, ContractId, Genesis, Height, Key, Proof, Proven, Rejection, SignedTransaction, StateView, Status,
    Timestamp, TransactionBuilder, TransactionError, codec,
};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::{
    Chain, Host, HostError, Limits, NodeBuilder, PendingError, Refusal, Stage, SubmitError, SubscriptionError,
    TransactionStatus,
};
use ledger_storage::disk::DiskError;
use std::path::Path;

fn alice() -> MemorySigner {
    MemorySigner::from_seed([2; 32])
}

fn account(signer: &MemorySigner) -> AccountId {
    AccountId::of_ed25519(&signer.public_key())
}

fn genesis() -> Genesis {
    Genesis::solo("test", owner().public_key(), Timestamp(1_000))
}

async fn host(folder: &Path) -> Host {
    NodeBuilder::new().folder(folder).unwrap().runtime(NativeRuntime::new().with(Token)).start().await.unwrap()
}

async fn open(host: &Host) -> Chain {
    host.chain(genesis(), Solo::new(owner())).await.unwrap()
}

/// Deploys a token and mints to alice.
async fn token(chain: &Chain) -> ContractId {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new()).sign(&owner()).unwrap();
    let deployed = chain.submit(deploy).await.unwrap().certified().await.unwrap();
    assert_eq!(deployed.executed.result.receipt.status, Status::Succeeded);
    let contract = ContractId::deployed_by(&deployed.executed.id);
    let mint = mint_arguments(&[Grant { account: account(&alice()), amount: 1_000 }]);
    let mint = TransactionBuilder::call(chain.id(), contract, "mint", mint).sequence(0, 1).sign(&owner()).unwrap();
    let minted = chain.submit(mint).await.unwrap().certified().await.unwrap();
    assert_eq!(minted.executed.result.receipt.status, Status::Succeeded);
    contract
}

fn transfer(chain: &Chain, contract: ContractId, number: u64, amount: u128) -> SignedTransaction {
    let to = Grant { account: account(&owner()), amount };
    let call = TransactionBuilder::call(chain.id(), contract, "transfer", to.to_bytes().to_vec());
    call.sequence(0, number).sign(&alice()).unwrap()
}

fn balance(chain: &Chain, contract: ContractId, of: &MemorySigner) -> u128 {
    let output = chain.query(contract, "balance", account(of).0.as_bytes()).unwrap();
    u128::from_le_bytes(output.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_gets_four_answers_and_proofs_that_a_stranger_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path()).await;
    let chain = open(&host).await;
    let contract = token(&chain).await;
    let transaction = transfer(&chain, contract, 0, 10);
    let id = transaction.id();
    let mut pending = chain.submit(transaction).await.unwrap();
    assert_eq!(pending.accepted().id, id);
    let ordered = pending.ordered().await.unwrap();
    let executed = pending.executed().await.unwrap();
    assert_eq!(executed.place, ordered.place);
    let certified = pending.certified().await.unwrap();
    assert!(certified.checkpoint.header.history.size > ordered.place.height.0);
    assert!(matches!(chain.status(&id).unwrap(), TransactionStatus::Certified(_)));
    assert_eq!(balance(&chain, contract, &alice()), 990);

    let root = codec::encode(&chain.trust_root());
    let verify = |(proof, checkpoint): (Proof, std::sync::Arc<ledger_core::Checkpoint>)| {
        ledger_core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &root).unwrap()
    };
    let proven = verify(chain.prove_transaction(&id).unwrap());
    assert!(matches!(proven, Proven::Transaction { id: found, body: Some(_), .. } if found == id));
    // All of a block together are each by itself.
    let (together, checkpoint) = chain.prove_block(ordered.place.height).unwrap();
    assert_eq!(together.len(), chain.block(ordered.place.height).unwrap().transactions.len());
    for proof in &together {
        let alone = chain.prove_transaction(&proof.leaf.transaction.id()).unwrap();
        assert_eq!((Proof::Transaction(proof.clone()), checkpoint.clone()), alone);
    }
    assert!(chain.prove_block(checkpoint.header.height).is_err());
    let proven = verify(chain.prove_receipt(&id).unwrap());
    assert!(matches!(proven, Proven::Receipt { receipt, .. } if receipt == executed.result.receipt));
    let mint_event = chain.subscribe(Height(1), Stage::Certified).next_event(&contract).await.unwrap();
    let proven = verify(chain.prove_event(&mint_event.transaction, mint_event.index).unwrap());
    assert!(matches!(proven, Proven::Event { event, .. } if event == mint_event.event));
    let lane = Key::sequence(&account(&alice()), 0);
    let proven = verify(chain.prove_state(&lane).unwrap());
    assert!(matches!(proven, Proven::State { value: Some(_), .. }));
    let absent = Key::new(contract, b"no such key".as_slice());
    let proven = verify(chain.prove_state(&absent).unwrap());
    assert!(matches!(proven, Proven::State { value: None, .. }));

    // The past can be read, and a light client follows from the genesis.
    let before = chain.state_at(Height(ordered.place.height.0 - 1)).unwrap();
    assert!(before.get(&lane).unwrap().is_none());
    let mut client = ledger_core::LightClient::new(chain.trust_root()).unwrap();
    client.advance((*chain.checkpoint()).clone(), None).unwrap();
    let seen = client.seen();
    let mut later = chain.submit(transfer(&chain, contract, 1, 10)).await.unwrap();
    later.certified().await.unwrap();
    let (consistency, checkpoint) = chain.prove_history(seen).unwrap();
    client.advance((*checkpoint).clone(), Some(&consistency)).unwrap();
    drop(chain);
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_transactions_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path()).await;
    let chain = open(&host).await;
    let contract = token(&chain).await;
    let refused = |transaction: SignedTransaction| async { chain.submit(transaction).await.unwrap_err() };

    let mut forged = transfer(&chain, contract, 0, 1);
    forged.transaction.fuel_limit.0 -= 1;
    let error = refused(forged).await;
    assert!(matches!(error, SubmitError::Transaction(TransactionError::WrongSignature { .. })), "{error}");

    let elsewhere = Genesis::solo("elsewhere", owner().public_key(), Timestamp(0)).chain();
    let foreign = TransactionBuilder::call(elsewhere, contract, "transfer", Vec::new()).sign(&alice()).unwrap();
    let error = refused(foreign).await;
    assert!(matches!(error, SubmitError::Transaction(TransactionError::WrongChain { .. })), "{error}");

    let expired = TransactionBuilder::call(chain.id(), contract, "transfer", Vec::new()).expires_at(Timestamp(1_001));
    let error = refused(expired.sign(&alice()).unwrap()).await;
    assert!(matches!(error, SubmitError::Mempool(Refusal::Rejected(Rejection::Expired { .. }))), "{error}");

    let mut first = chain.submit(transfer(&chain, contract, 0, 1)).await.unwrap();
    first.executed().await.unwrap();
    let error = refused(transfer(&chain, contract, 0, 1)).await;
    let replayed = Rejection::OutOfOrder { lane: 0, expected: 1, found: 0 };
    assert!(matches!(error, SubmitError::Mempool(Refusal::Rejected(reason)) if reason == replayed));

    // One that fails has a receipt that says why, and uses up its number.
    let mut poor = chain.submit(transfer(&chain, contract, 1, 1_000_000)).await.unwrap();
    let receipt = poor.executed().await.unwrap().result.receipt;
    assert!(matches!(receipt.status, Status::Failed(_)));
    assert_eq!(chain.next_number_of(&alice()).unwrap(), 2);
    assert!(chain.submit_bytes(&[1, 2, 3]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_certified_is_there_after_a_restart_even_without_its_views() {
    let folder = tempfile::tempdir().unwrap();
    let mut state_roots = Vec::new();
    let mut contract = None;
    for run in 0..3u64 {
        if run == 2 {
            std::fs::remove_dir_all(folder.path().join("views")).unwrap();
        }
        let host = host(folder.path()).await;
        assert_eq!(host.closed_chains().len(), usize::from(run > 0));
        let chain = open(&host).await;
        let contract = match contract {
            Some(contract) => contract,
            None => *contract.insert(token(&chain).await),
        };
        assert_eq!(chain.next_number_of(&alice()).unwrap(), run * 20);
        let mut last = None;
        for number in run * 20..(run + 1) * 20 {
            last = Some(chain.submit(transfer(&chain, contract, number, 1)).await.unwrap());
        }
        let certified = last.unwrap().certified().await.unwrap();
        assert_eq!(balance(&chain, contract, &alice()), 1_000 - u128::from((run + 1) * 20));
        state_roots.push(certified.checkpoint.header.history);
        drop(chain);
        let end = host.shutdown().await.unwrap();
        assert!(end.records > 0);
    }
    assert!(state_roots.is_sorted_by_key(|head| head.size));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_transaction_is_ordered_before_shutdown_ends() {
    let folder = tempfile::tempdir().unwrap();
    let first = host(folder.path()).await;
    let chain = open(&first).await;
    let contract = token(&chain).await;
    let mut pending = Vec::new();
    for number in 0..300 {
        pending.push(chain.submit(transfer(&chain, contract, number, 1)).await.unwrap());
    }
    let late = chain.clone();
    drop(chain);
    first.shutdown().await.unwrap();
    for pending in &mut pending {
        pending.certified().await.unwrap();
    }
    let refused = late.submit(transfer(&late, contract, 300, 1)).await;
    assert!(matches!(refused, Err(SubmitError::Closed)));
    let mut told = late.subscribe(Height(1_000_000), Stage::Executed);
    assert!(matches!(told.next_block().await, Err(SubscriptionError::Closed { .. })));
    drop((late, pending, told));
    let second = host(folder.path()).await;
    let chain = open(&second).await;
    assert_eq!(chain.next_number_of(&alice()).unwrap(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_and_a_chain_in_use_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = host(folder.path()).await;
    let chain = open(&first).await;
    let again = NodeBuilder::new().folder(folder.path());
    assert!(matches!(again.map(|_| ()), Err(HostError::Disk(DiskError::InUse { .. }))));
    let twice = first.chain(genesis(), Solo::new(owner())).await;
    assert!(matches!(twice, Err(HostError::AlreadyOpen { chain: id }) if id == chain.id()));
    let fresh = Genesis::solo("at once", owner().public_key(), Timestamp(2));
    let (one, two) =
        tokio::join!(first.chain(fresh.clone(), Solo::new(owner())), first.chain(fresh.clone(), Solo::new(owner())));
    assert!(one.is_ok() != two.is_ok(), "one of two openings at once wins");
    drop((chain, one, two));
    let still = first.open_chain(&genesis().chain()).unwrap();
    assert_eq!(still.progress().executed, Height(0));
    let stranger = Genesis::solo("other", owner().public_key(), Timestamp(1));
    let wrong = first.chain(stranger, Solo::new(alice())).await;
    assert!(matches!(wrong, Err(HostError::Consensus(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mempool_says_busy_and_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.core.mempool.max_unexecutable = 5;
    let host = NodeBuilder::new()
        .folder(folder.path())
        .unwrap()
        .runtime(NativeRuntime::new().with(Token))
        .limits(limits)
        .start()
        .await
        .unwrap();
    let chain = open(&host).await;
    let contract = token(&chain).await;
    let mut waiting = Vec::new();
    for number in 1..6 {
        waiting.push(chain.submit(transfer(&chain, contract, number, 1)).await.unwrap());
    }
    let busy = chain.submit(transfer(&chain, contract, 7, 1)).await;
    assert!(matches!(busy, Err(SubmitError::Mempool(Refusal::Busy { limit: 5, .. }))));
    chain.submit(transfer(&chain, contract, 0, 1)).await.unwrap().certified().await.unwrap();
    for pending in &mut waiting {
        pending.certified().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_chains_share_one_log_and_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let first = host(folder.path()).await;
    let geneses: Vec<Genesis> =
        (0..20).map(|n| Genesis::solo(&format!("chain {n}"), owner().public_key(), Timestamp(n))).collect();
    let mut chains = Vec::new();
    for genesis in &geneses {
        chains.push(first.chain(genesis.clone(), Solo::new(owner())).await.unwrap());
    }
    let contracts = futures_of(&chains).await;
    for (chain, contract) in chains.iter().zip(&contracts) {
        assert_eq!(balance(chain, *contract, &alice()), 1_000);
        let foreign = chain.query(contracts[0], "supply", &[]);
        assert_eq!(foreign.is_ok(), *contract == contracts[0]);
    }
    drop(chains);
    first.shutdown().await.unwrap();
    let second = host(folder.path()).await;
    assert_eq!(second.closed_chains().len(), 20);
    for (genesis, contract) in geneses.iter().zip(&contracts) {
        let chain = second.reopen(genesis.chain(), Solo::new(owner())).await.unwrap();
        assert_eq!(balance(&chain, *contract, &alice()), 1_000);
    }
}

/// Sets a token up on all chains at once.
async fn futures_of(chains: &[Chain]) -> Vec<ContractId> {
    let mut tasks = Vec::new();
    for chain in chains {
        let chain = chain.clone();
        tasks.push(tokio::spawn(async move { token(&chain).await }));
    }
    let mut contracts = Vec::new();
    for task in tasks {
        contracts.push(task.await.unwrap());
    }
    contracts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_transaction_is_told_as_often_as_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.core.mempool.max_wait_ms = 20;
    let builder = NodeBuilder::new().folder(folder.path()).unwrap().runtime(NativeRuntime::new().with(Token));
    let host = builder.limits(limits).start().await.unwrap();
    let chain = open(&host).await;
    // Nothing with number 0 ever comes.
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new());
    let mut pending = chain.submit(deploy.sequence(0, 1).sign(&owner()).unwrap()).await.unwrap();
    let dropped = |answer: Result<(), PendingError>| {
        let error = answer.unwrap_err();
        assert!(matches!(error, PendingError::Dropped(SubmitError::Mempool(Refusal::WaitedTooLong { .. }))), "{error}");
    };
    for _ in 0..2 {
        dropped(pending.ordered().await.map(|_| ()));
        dropped(pending.executed().await.map(|_| ()));
        dropped(pending.certified().await.map(|_| ()));
    }
    drop(chain);
    host.shutdown().await.unwrap();
    for _ in 0..2 {
        dropped(pending.ordered().await.map(|_| ()));
    }
}
