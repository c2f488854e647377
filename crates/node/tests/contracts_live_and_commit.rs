//! On a real host: a contract is uploaded, made, paused and proven, and what was simulated is committed.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_consensus::Solo;
use ledger_contracts::lifecycle::{Instantiate, Metadata, Upload, WritePolicy};
use ledger_contracts::record::{code_digest, code_key, metadata_key};
use ledger_contracts::token::{Grant, Token, mint_arguments};
use ledger_contracts::{ContractRecord, LIFECYCLE, NATIVE, NativeRuntime, UpgradePolicy};
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::{
    AccountId, Call, ContractId, Failure, Fuel, Genesis, Key, Proven, Receipt, Status, Timestamp, TransactionBuilder,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use ledger_node::{Chain, NodeBuilder};

fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn account(signer: &MemorySigner) -> AccountId {
    AccountId::of_ed25519(&signer.public_key())
}

/// Submits the owner's transaction with this number, and waits until it can be proven.
async fn submit(chain: &Chain, number: u64, transaction: TransactionBuilder) -> Receipt {
    let signed = transaction.sequence(0, number).sign(&owner()).unwrap();
    let certified = chain.submit(signed).await.unwrap().certified().await.unwrap();
    certified.executed.result.receipt.clone()
}

async fn lifecycle(chain: &Chain, number: u64, method: &str, arguments: Vec<u8>) -> Receipt {
    let receipt = submit(chain, number, TransactionBuilder::call(chain.id(), LIFECYCLE, method, arguments)).await;
    assert_eq!(receipt.status, Status::Succeeded, "{method}");
    receipt
}

/// What the chain proves of a key to a stranger.
fn proven(chain: &Chain, key: &Key) -> Option<Vec<u8>> {
    let (proof, checkpoint) = chain.prove_state(key).unwrap();
    let root = codec::encode(&chain.trust_root());
    match ledger_core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &root).unwrap() {
        Proven::State { key: found, value, .. } if found == *key => value.map(|found| found.value.to_vec()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_made_paused_and_proven_and_a_simulated_call_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let native = NativeRuntime::new().with(Token);
    let host = NodeBuilder::new().folder(folder.path()).unwrap().runtime(native).start().await.unwrap();
    let genesis = Genesis::solo("test", owner().public_key(), Timestamp(1_000));
    let chain = host.chain(genesis, Solo::new(owner())).await.unwrap();

    let (runtime, code) = (Text::from(NATIVE), Bytes::from(Token::NAME.as_bytes()));
    lifecycle(&chain, 0, "upload", codec::encode(&Upload { runtime: runtime.clone(), code })).await;
    // A question can't do the same.
    let other = codec::encode(&Upload { runtime: runtime.clone(), code: Bytes::from(b"other".as_slice()) });
    let asked = chain.query(LIFECYCLE, "upload", &other);
    assert!(matches!(&asked, Err(error) if error.to_string().contains("write in a read-only call")), "{asked:?}");
    let metadata = Metadata {
        source: Text::from("https://example.org/token"),
        writes: WritePolicy::Accounts(vec![account(&owner())].into()),
        ..Metadata::default()
    };
    let make = Instantiate {
        runtime,
        code: code_digest(Token::NAME.as_bytes()),
        policy: UpgradePolicy::Owner(account(&owner())),
        metadata: metadata.clone(),
        arguments: Bytes::default(),
    };
    let made = lifecycle(&chain, 1, "instantiate", codec::encode(&make)).await;
    let token = ContractId(Digest::new((*made.output).try_into().unwrap()));
    let grant = Grant { account: account(&owner()), amount: 100 };
    let mint = TransactionBuilder::call(chain.id(), token, "mint", mint_arguments(&[grant]));
    assert!(submit(&chain, 2, mint).await.succeeded());

    let record: ContractRecord = codec::decode(&proven(&chain, &Key::contract(&token)).unwrap()).unwrap();
    assert_eq!((record.policy, record.paused), (make.policy, false));
    assert_eq!(proven(&chain, &metadata_key(&token)), Some(codec::encode(&metadata)));
    assert_eq!(proven(&chain, &code_key(&record.code)).as_deref(), Some(Token::NAME.as_bytes()));

    // Executed here, ordered then: the second time it is of yesterday.
    let to = AccountId(Digest::new([7; 32]));
    let call = Call {
        account: account(&owner()),
        contract: token,
        method: "transfer".to_owned(),
        arguments: Bytes::from(Grant { account: to, amount: 30 }.to_bytes().as_slice()),
        fuel_limit: Fuel(1_000_000),
    };
    let set = chain.simulate(&call).unwrap().read_write_set();
    let commit = TransactionBuilder::commit(chain.id(), &set);
    assert_eq!(submit(&chain, 3, commit.clone()).await.status, Status::Succeeded);
    let balance = |of: &AccountId| chain.query(token, "balance", of.0.as_bytes()).unwrap();
    assert_eq!((balance(&to), balance(&account(&owner()))), (30u128.to_le_bytes().into(), 70u128.to_le_bytes().into()));
    let again = submit(&chain, 4, commit).await;
    assert!(matches!(again.status, Status::Failed(Failure::Conflict { .. })), "{:?}", again.status);

    lifecycle(&chain, 5, "pause", token.0.as_bytes().to_vec()).await;
    let record: ContractRecord = codec::decode(&proven(&chain, &Key::contract(&token)).unwrap()).unwrap();
    assert!(record.paused);
    let refused = submit(&chain, 6, TransactionBuilder::call(chain.id(), token, "supply", Vec::new())).await;
    assert!(matches!(refused.status, Status::Failed(Failure::Forbidden { .. })), "{:?}", refused.status);
    drop(chain);
    host.shutdown().await.unwrap();
}
