//! Contracts are uploaded, instantiated, upgraded and paused by whom their policy names, whole or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use common::lifecycle::*;
use ledger_contracts::lifecycle::{Description, Metadata, Upgrade, WritePolicy};
use ledger_contracts::record::{code_digest, code_key, metadata_key};
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{ContractRecord, LIFECYCLE, NATIVE, UpgradePolicy};
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::state::tree;
use ledger_core::{AccountId, ContractId, Deployers, Failure, Key, StateView, Status, Versioned};

fn record(ledger: &TestLedger, contract: &ContractId) -> ContractRecord {
    codec::decode(&ledger.state.get(&Key::contract(contract)).unwrap().unwrap().value).unwrap()
}

fn upgrade(contract: ContractId, arguments: &str) -> Vec<u8> {
    let code = code_digest(b"second");
    let (runtime, arguments) = (Text::from(NATIVE), Bytes::from(arguments.as_bytes()));
    codec::encode(&Upgrade { contract, runtime, code, metadata: None, arguments })
}

#[test]
fn code_uploaded_once_makes_many_contracts() {
    let mut ledger = ledger();
    let digest = upload(&mut ledger, "first");
    assert_eq!(digest, code_digest(b"first"));
    let one = instantiate(&mut ledger, "first", UpgradePolicy::Immutable);
    let other = instantiate(&mut ledger, "first", UpgradePolicy::Owner(account(&alice())));
    assert_ne!(one, other);
    for contract in [one, other] {
        assert_eq!(said(&mut ledger, contract, "version"), b"1");
        assert_eq!(said(&mut ledger, contract, "founder"), account(&alice()).0.as_bytes());
    }
    let of_other = record(&ledger, &other);
    assert_eq!((of_other.code, of_other.deployer, of_other.paused), (digest, account(&alice()), false));
    assert_eq!(of_other.policy, UpgradePolicy::Owner(account(&alice())));
}

#[test]
fn what_happens_is_told_in_events() {
    let mut ledger = ledger();
    let owned = instantiate(&mut ledger, "first", UpgradePolicy::Owner(account(&alice())));
    upload(&mut ledger, "second");
    for (method, arguments, topic) in [
        ("upgrade", upgrade(owned, ""), "upgraded"),
        ("pause", owned.0.as_bytes().to_vec(), "paused"),
        ("resume", owned.0.as_bytes().to_vec(), "resumed"),
    ] {
        let result = ledger.call(&alice(), LIFECYCLE, method, &arguments).unwrap();
        let told = result.events.iter().filter(|event| event.contract == LIFECYCLE);
        assert_eq!(told.map(|event| event.topic.as_str()).collect::<Vec<_>>(), [topic]);
        assert_eq!(&result.events[0].data[..32], owned.0.as_bytes());
    }
}

#[test]
fn whom_the_policy_names_may_change_a_contract_and_nobody_else() {
    let mut ledger = ledger();
    let authority = ledger.deploy(&alice(), NATIVE, b"steward", account(&bob()).0.as_bytes()).unwrap();
    let other_authority = ledger.deploy(&alice(), NATIVE, b"steward", account(&bob()).0.as_bytes()).unwrap();
    upload(&mut ledger, "second");
    for (policy, by_alice, by_bob, by_authority) in [
        (UpgradePolicy::Immutable, false, false, false),
        (UpgradePolicy::Owner(account(&alice())), true, false, false),
        (UpgradePolicy::Owner(account(&bob())), false, true, false),
        (UpgradePolicy::Authority(authority), false, false, true),
        // A contract can own, too.
        (UpgradePolicy::Owner(AccountId::of_contract(&authority)), false, false, true),
    ] {
        let contract = instantiate(&mut ledger, "first", policy);
        for (method, arguments) in [
            ("upgrade", upgrade(contract, "")),
            ("pause", contract.0.as_bytes().to_vec()),
            ("resume", contract.0.as_bytes().to_vec()),
        ] {
            let what = Text::from(format!("{method} this contract").as_str());
            let refused = Status::Failed(Failure::Forbidden { what });
            for (signer, may) in [(alice(), by_alice), (bob(), by_bob)] {
                let mut ledger = ledger.clone();
                let status = ledger.call(&signer, LIFECYCLE, method, &arguments).unwrap().receipt.status;
                assert_eq!(status, if may { Status::Succeeded } else { refused.clone() }, "{policy:?} {method}");
            }
            // Bob tells a steward to do it; another steward isn't the one.
            let told = steward_arguments(method, &arguments);
            for (steward, may) in [(authority, by_authority), (other_authority, false)] {
                let mut ledger = ledger.clone();
                let receipt = ledger.call(&bob(), steward, "do", &told).unwrap().receipt;
                assert_eq!(receipt.succeeded(), may, "{policy:?} {method}: {:?}", receipt.status);
                if may && method == "upgrade" {
                    assert_eq!(said(&mut ledger, contract, "version"), b"2");
                }
            }
            // Alice isn't whom the stewards listen to.
            let mut ledger = ledger.clone();
            assert!(!ledger.call(&alice(), authority, "do", &told).unwrap().receipt.succeeded());
        }
    }
}

#[test]
fn an_upgrade_keeps_the_state_and_migrates_it() {
    let mut ledger = ledger();
    let contract = instantiate(&mut ledger, "first", UpgradePolicy::Owner(account(&alice())));
    ledger.call(&alice(), contract, "count", b"").unwrap();
    let before = record(&ledger, &contract);
    upload(&mut ledger, "second");
    let receipt = ledger.call(&alice(), LIFECYCLE, "upgrade", &upgrade(contract, "tripled")).unwrap().receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    assert_eq!(
        (said(&mut ledger, contract, "version"), said(&mut ledger, contract, "counted")),
        (b"2".into(), b"3".into())
    );
    assert_eq!(said(&mut ledger, contract, "migrated"), b"tripled");
    let after = record(&ledger, &contract);
    assert_eq!((after.code, after.policy, after.height), (code_digest(b"second"), before.policy, before.height));
}

#[test]
fn a_migration_that_fails_undoes_the_whole_upgrade() {
    for arguments in ["refuse", "panic", "burn"] {
        let mut ledger = ledger();
        let contract = instantiate(&mut ledger, "first", UpgradePolicy::Owner(account(&alice())));
        ledger.call(&alice(), contract, "count", b"").unwrap();
        upload(&mut ledger, "second");
        let before: Vec<(Key, Versioned)> = contract_state(&ledger, &contract);
        let result = ledger.call(&alice(), LIFECYCLE, "upgrade", &upgrade(contract, arguments)).unwrap();
        assert!(!result.receipt.succeeded() && result.events.is_empty());
        assert_eq!(contract_state(&ledger, &contract), before);
        assert_eq!(said(&mut ledger, contract, "version"), b"1");
    }
}

#[test]
fn a_contract_cannot_be_upgraded_while_it_runs() {
    let mut ledger = ledger();
    let authority = ledger.deploy(&alice(), NATIVE, b"steward", account(&bob()).0.as_bytes()).unwrap();
    let contract = instantiate(&mut ledger, "steward", UpgradePolicy::Authority(authority));
    upload(&mut ledger, "second");
    let told = steward_arguments("upgrade", &upgrade(contract, ""));
    // The authority would do it for everyone, but this one has called the authority, so it is running.
    let status = ledger.call(&bob(), contract, "pass on", &pass_on(authority, &told)).unwrap().receipt.status;
    let message = Text::from("the account may not change a contract that is running on this chain");
    assert_eq!(status, Status::Failed(Failure::Refused { code: 2, message }));
    assert_eq!(record(&ledger, &contract).code, code_digest(b"steward"));
    assert!(ledger.call(&bob(), authority, "serve", &told).unwrap().receipt.succeeded());
    assert_eq!(record(&ledger, &contract).code, code_digest(b"second"));
}

#[test]
fn a_paused_contract_refuses_calls_and_can_be_upgraded() {
    let mut ledger = ledger();
    let contract = instantiate(&mut ledger, "first", UpgradePolicy::Owner(account(&alice())));
    upload(&mut ledger, "second");
    let id = contract.0.as_bytes();
    assert!(ledger.call(&alice(), LIFECYCLE, "pause", id).unwrap().receipt.succeeded());
    let paused = Failure::Forbidden { what: Text::from("use a paused contract") };
    for signer in [alice(), bob()] {
        let status = ledger.call(&signer, contract, "version", b"").unwrap().receipt.status;
        assert_eq!(status, Status::Failed(paused.clone()));
    }
    let simulated = ledger.simulate(account(&bob()), contract, "version", b"").unwrap();
    assert_eq!(simulated.status, Status::Failed(paused));
    // Called by another it is a failed call.
    let steward = ledger.deploy(&alice(), NATIVE, b"steward", account(&bob()).0.as_bytes()).unwrap();
    let status = ledger.call(&bob(), steward, "pass on", &pass_on(contract, b"")).unwrap().receipt.status;
    assert!(matches!(status, Status::Failed(Failure::Refused { .. })), "{status:?}");
    // Pausing twice is no more than once; described it still is.
    let again = ledger.call(&alice(), LIFECYCLE, "pause", id).unwrap();
    assert!(again.receipt.succeeded() && again.events.is_empty());
    assert!(describe(&mut ledger, contract).record.paused);
    assert!(ledger.call(&alice(), LIFECYCLE, "upgrade", &upgrade(contract, "")).unwrap().receipt.succeeded());
    assert!(record(&ledger, &contract).paused);
    assert!(ledger.call(&alice(), LIFECYCLE, "resume", id).unwrap().receipt.succeeded());
    assert_eq!(said(&mut ledger, contract, "version"), b"2");
}

fn describe(ledger: &mut TestLedger, contract: ContractId) -> Description {
    let receipt = ledger.call(&bob(), LIFECYCLE, "describe", contract.0.as_bytes()).unwrap().receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    codec::decode(&receipt.output).unwrap()
}

fn metadata() -> Metadata {
    Metadata {
        source: Text::from("https://example.org/first"),
        compiler: Text::from("rustc 1.90"),
        build: Some(ledger_crypto::Digest::new([7; 32])),
        interface: Bytes::from(b"version() -> u8".as_slice()),
        writes: WritePolicy::Accounts(vec![account(&alice())].into()),
        ..Metadata::default()
    }
}

#[test]
fn metadata_are_described_and_replaced_by_an_upgrade_that_brings_some() {
    let mut ledger = ledger();
    let policy = UpgradePolicy::Owner(account(&alice()));
    let contract = instantiate_with(&mut ledger, "first", policy, metadata());
    assert_eq!(
        describe(&mut ledger, contract),
        Description { record: record(&ledger, &contract), metadata: metadata() }
    );
    let deployed = ledger.deploy(&alice(), NATIVE, b"first", b"").unwrap();
    let description = describe(&mut ledger, deployed);
    assert_eq!((description.record.policy, description.metadata), (UpgradePolicy::Immutable, Metadata::default()));

    upload(&mut ledger, "second");
    ledger.call(&alice(), LIFECYCLE, "upgrade", &upgrade(contract, "")).unwrap();
    assert_eq!(describe(&mut ledger, contract).metadata, metadata());
    let newer = Metadata { source: Text::from("https://example.org/second"), ..metadata() };
    let mut with = codec::decode::<Upgrade>(&upgrade(contract, "")).unwrap();
    with.metadata = Some(newer.clone());
    ledger.call(&alice(), LIFECYCLE, "upgrade", &codec::encode(&with)).unwrap();
    assert_eq!(describe(&mut ledger, contract).metadata, newer);
    // Metadata out of their order undo it all.
    let accounts = vec![account(&alice()), account(&alice())].into();
    with.metadata = Some(Metadata { writes: WritePolicy::Accounts(accounts), ..metadata() });
    assert!(!ledger.call(&alice(), LIFECYCLE, "upgrade", &codec::encode(&with)).unwrap().receipt.succeeded());
    assert_eq!(describe(&mut ledger, contract).metadata, newer);
}

#[test]
fn record_metadata_and_code_are_proven_as_state() {
    let mut ledger = ledger();
    let contract = instantiate_with(&mut ledger, "first", UpgradePolicy::Immutable, metadata());
    let leaves: Vec<(Key, Versioned)> = ledger.state.iter().map(|(key, found)| (key.clone(), found.clone())).collect();
    let digests: Vec<_> = leaves.iter().map(|(key, found)| (key.clone(), found.leaf(key))).collect();
    let root = tree::root_of(&digests);
    for (key, expected) in [
        (Key::contract(&contract), codec::encode(&record(&ledger, &contract))),
        (metadata_key(&contract), codec::encode(&metadata())),
        (code_key(&code_digest(b"first")), b"first".to_vec()),
    ] {
        let proof = tree::prove_range(&leaves, &key, Some(&key.successor()));
        let proven = proof.verify(&root, &key).unwrap().unwrap();
        assert_eq!(&*proven.value, expected);
    }
    // That there is no more to a contract deployed in one go is proven too.
    let deployed = ledger.deploy(&alice(), NATIVE, b"first", b"").unwrap();
    let leaves: Vec<(Key, Versioned)> = ledger.state.iter().map(|(key, found)| (key.clone(), found.clone())).collect();
    let digests: Vec<_> = leaves.iter().map(|(key, found)| (key.clone(), found.leaf(key))).collect();
    let key = metadata_key(&deployed);
    let proof = tree::prove_range(&leaves, &key, Some(&key.successor()));
    assert_eq!(proof.verify(&tree::root_of(&digests), &key), Ok(None));
}

#[test]
fn each_bad_request_is_named() {
    let mut ledger = ledger();
    let contract = instantiate(&mut ledger, "first", UpgradePolicy::Owner(account(&alice())));
    let nobody = ContractId(ledger_crypto::Digest::new([9; 32]));
    let unknown = code_digest(b"second");
    let mut with_runtime = codec::decode::<Upgrade>(&upgrade(contract, "")).unwrap();
    with_runtime.runtime = Text::from("jvm");
    upload(&mut ledger, "steward");
    with_runtime.code = code_digest(b"steward");
    let bad = |message: &str| Failure::Refused { code: ledger_contracts::BAD_ARGUMENTS, message: Text::from(message) };
    for (method, arguments, failure) in [
        ("fly", vec![], Failure::UnknownMethod { method: Text::from("fly") }),
        ("upload", vec![1], bad("the arguments are not a code upload")),
        ("pause", vec![1], bad("a contract is 32 bytes")),
        ("describe", vec![1], bad("a contract is 32 bytes")),
        ("describe", nobody.0.as_bytes().to_vec(), Failure::UnknownContract { contract: nobody }),
        ("pause", nobody.0.as_bytes().to_vec(), Failure::UnknownContract { contract: nobody }),
        ("upgrade", upgrade(nobody, ""), Failure::UnknownContract { contract: nobody }),
        ("upgrade", codec::encode(&with_runtime), Failure::UnknownRuntime { runtime: Text::from("jvm") }),
        (
            "upgrade",
            upgrade(contract, ""),
            Failure::InvalidCode {
                message: Text::from(format!("no code with the digest {unknown} was uploaded").as_str()),
            },
        ),
        (
            "upload",
            upload_arguments("nothing"),
            Failure::InvalidCode { message: Text::from("there is no native contract `nothing`") },
        ),
    ] {
        let status = ledger.call(&alice(), LIFECYCLE, method, &arguments).unwrap().receipt.status;
        assert_eq!(status, Status::Failed(failure), "{method}");
    }
    ledger.rules.deployers = Deployers::Only(vec![account(&bob())].into());
    for (method, arguments) in [
        ("upload", upload_arguments("first")),
        ("instantiate", instantiate_arguments("first", UpgradePolicy::Immutable, Metadata::default())),
    ] {
        let status = ledger.call(&alice(), LIFECYCLE, method, &arguments).unwrap().receipt.status;
        assert_eq!(status, Status::Failed(Failure::Forbidden { what: Text::from("deploy contracts") }), "{method}");
        assert!(ledger.call(&bob(), LIFECYCLE, method, &arguments).unwrap().receipt.succeeded(), "{method}");
    }
}

#[test]
fn nothing_changes_in_a_read_only_call_and_a_factory_makes_contracts() {
    let mut ledger = ledger();
    upload(&mut ledger, "first");
    let steward = ledger.deploy(&alice(), NATIVE, b"steward", account(&bob()).0.as_bytes()).unwrap();
    let make = instantiate_arguments("first", UpgradePolicy::Immutable, Metadata::default());
    // Two in one transaction, with different ids, founded by the factory.
    let twice = steward_arguments("instantiate", &make);
    let receipt = ledger.call(&bob(), steward, "do twice", &twice).unwrap().receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    let (one, other) = receipt.output.split_at(32);
    assert_ne!(one, other);
    for (index, id) in (0..).zip([one, other]) {
        let contract = ContractId(ledger_crypto::Digest::new(id.try_into().unwrap()));
        assert_eq!(contract, ContractId::instantiated_by(&receipt.transaction, index));
        assert_eq!(said(&mut ledger, contract, "founder"), AccountId::of_contract(&steward).0.as_bytes());
    }
    let status = ledger.call(&bob(), steward, "do read-only", &twice).unwrap().receipt.status;
    let message = Text::from("the account may not write in a read-only call on this chain");
    assert_eq!(status, Status::Failed(Failure::Refused { code: 1, message }));
}
