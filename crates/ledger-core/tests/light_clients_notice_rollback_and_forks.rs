//! What a client that follows a chain refuses, and that a refusal leaves it where it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::chain::{Chain, Entry, certificate, contract, notes, signer};
use ledger_core::codec::Bytes;
use ledger_core::*;
use ledger_crypto::merkle::MerkleError;
use ledger_crypto::{Digest, SignatureError, Signer};

fn client_at(chain: &Chain, height: u64) -> LightClient {
    let mut client = LightClient::new(chain.trust()).unwrap();
    client.advance(chain.checkpoint(height), None).unwrap();
    client
}

/// The same owner's second history: another block at `height` and after.
fn fork(chain: &Chain, height: u64) -> Chain {
    let mut fork = Chain::new("notes", 1);
    for block in &chain.blocks[1..] {
        let mut entries: Vec<Entry> =
            block.transactions.iter().map(|transaction| Entry::succeeded(transaction.clone())).collect();
        if block.header.height.0 == height {
            let builder = TransactionBuilder::call(chain.id(), contract(), "put", b"forged".to_vec());
            entries.push(Entry::succeeded(builder.sign(&signer(4)).unwrap()));
        }
        fork.append(entries);
    }
    fork
}

fn refused<T: core::fmt::Debug>(result: Result<T, TrustError>) -> TrustError {
    result.unwrap_err()
}

#[test]
fn a_client_follows_a_chain_from_any_height_to_any_later_one() {
    let chain = notes();
    for from in 1..9 {
        for to in from..9 {
            let mut client = client_at(&chain, from);
            client.advance(chain.checkpoint(to), Some(&chain.consistency(from, to))).unwrap();
            assert_eq!(client.latest().header().height, Height(to));
            assert_eq!(client.latest().executed(), Some(Height(to - 1)));
            assert_eq!(client.seen(), chain.head(to));
        }
    }
}

#[test]
fn the_same_checkpoint_again_needs_no_proof() {
    let chain = notes();
    let mut client = client_at(&chain, 4);
    assert!(client.advance(chain.checkpoint(4), None).is_ok());
    assert!(client.advance(chain.checkpoint(4), Some(&chain.consistency(4, 4))).is_ok());
}

#[test]
fn a_rollback_is_refused_and_leaves_the_client_where_it_is() {
    let chain = notes();
    let mut client = client_at(&chain, 6);
    let error = refused(client.advance(chain.checkpoint(5), Some(&chain.consistency(5, 6))));
    assert_eq!(error, TrustError::RolledBack { found: 5, seen: 6 });
    let error = refused(client.advance(chain.checkpoint(0), None));
    assert_eq!(error, TrustError::RolledBack { found: 0, seen: 6 });
    assert_eq!(client.latest(), &chain.verified(6));
}

#[test]
fn a_fork_signed_by_the_owner_is_refused() {
    let (chain, fork) = (notes(), fork(&notes(), 4));
    let mut client = client_at(&chain, 6);
    for proof in [chain.consistency(6, 8), fork.consistency(6, 8)] {
        let mut claimed = proof;
        claimed.from = chain.head(6);
        let error = refused(client.advance(fork.checkpoint(8), Some(&claimed)));
        assert_eq!(error, TrustError::Forked(MerkleError::RootMismatch));
    }
    // The same size with another root, by whatever way.
    let error = refused(client.advance(fork.checkpoint(6), None));
    assert!(matches!(error, TrustError::OtherHeader { height: Height(6), .. }), "{error:?}");
    assert_eq!(client.latest(), &chain.verified(6));
}

#[test]
fn another_history_of_the_same_size_is_refused() {
    let (chain, fork) = (notes(), fork(&notes(), 3));
    let mut client = client_at(&chain, 5);
    let mut header = chain.blocks[6].header.clone();
    header.history = fork.head(5);
    let other = chain.certify(header);
    assert_eq!(refused(client.advance(other.clone(), None)), TrustError::OtherHistory { size: 5 });
    let consistency = Consistency { from: chain.head(5), path: codec::List::new() };
    let error = refused(client.advance(other, Some(&consistency)));
    assert_eq!(error, TrustError::Forked(MerkleError::RootMismatch));
}

#[test]
fn a_checkpoint_that_nothing_connects_is_refused() {
    let chain = notes();
    let mut client = client_at(&chain, 4);
    let unconnected = TrustError::Unconnected { seen: 4 };
    assert_eq!(refused(client.advance(chain.checkpoint(7), None)), unconnected);
    assert_eq!(refused(client.advance(chain.checkpoint(7), Some(&chain.consistency(3, 7)))), unconnected);
    let mut short = chain.consistency(4, 7);
    short.path = codec::List::new();
    let error = refused(client.advance(chain.checkpoint(7), Some(&short)));
    assert!(matches!(error, TrustError::Forked(MerkleError::PathLength { .. })), "{error:?}");
}

#[test]
fn a_second_header_at_a_height_is_refused_though_its_history_is_the_same() {
    let chain = notes();
    let mut client = client_at(&chain, 6);
    let mut header = chain.blocks[6].header.clone();
    header.timestamp = header.timestamp.plus(1);
    let error = refused(client.advance(chain.certify(header.clone()), None));
    let (found, seen) = (header.digest(), chain.blocks[6].digest());
    assert_eq!(error, TrustError::OtherHeader { height: Height(6), found, seen });
}

#[test]
fn a_header_below_the_latest_is_refused_though_its_history_is_the_same() {
    let chain = notes();
    let mut client = LightClient::new(chain.trust()).unwrap();
    // Two headers that commit to the same three blocks, as a chain has them whose execution lags behind.
    let lagging = |height: u64| {
        let mut header = chain.blocks[height as usize].header.clone();
        header.history = chain.head(3);
        chain.certify(header)
    };
    client.advance(lagging(5), None).unwrap();
    assert!(client.advance(lagging(6), None).is_ok());
    let error = refused(client.advance(lagging(5), None));
    assert_eq!(error, TrustError::Older { found: Height(5), seen: Height(6) });
}

#[test]
fn a_pinned_head_is_where_a_client_begins() {
    let chain = notes();
    let pinned = TrustRoot { pinned: Some(chain.head(5)), ..chain.trust() };
    let mut client = LightClient::new(pinned.clone()).unwrap();
    assert_eq!(client.seen(), chain.head(5));
    assert_eq!(refused(client.advance(chain.checkpoint(4), None)), TrustError::RolledBack { found: 4, seen: 5 });
    assert_eq!(refused(client.advance(chain.checkpoint(7), None)), TrustError::Unconnected { seen: 5 });
    let forked = fork(&chain, 3);
    assert_eq!(refused(client.advance(forked.checkpoint(5), None)), TrustError::OtherHistory { size: 5 });
    let error = refused(client.advance(forked.checkpoint(7), Some(&chain.consistency(5, 7))));
    assert_eq!(error, TrustError::Forked(MerkleError::RootMismatch));
    assert!(client.advance(chain.checkpoint(7), Some(&chain.consistency(5, 7))).is_ok());
    assert!(LightClient::new(pinned).unwrap().advance(chain.checkpoint(5), None).is_ok());
}

#[test]
fn a_checkpoint_of_the_same_owners_other_chain_is_refused() {
    let (chain, mut other) = (notes(), Chain::new("other notes", 1));
    for _ in 0..6 {
        other.append(Vec::new());
    }
    assert_eq!(chain.genesis.engine, other.genesis.engine);
    let error = refused(chain.trust().verify(other.checkpoint(6)));
    assert_eq!(error, TrustError::WrongChain { found: other.id(), expected: chain.id() });
    // Nor does its certificate fit a header that names this chain.
    let mut header = other.blocks[6].header.clone();
    header.chain = chain.id();
    let certificate = other.checkpoint(6).certificate;
    let error = refused(chain.trust().verify(Checkpoint { header, certificate }));
    assert!(matches!(error, TrustError::Certificate(CertificateError::Signature { .. })), "{error:?}");
    let error = refused(chain.trust().verify(other.checkpoint(0)));
    assert!(matches!(error, TrustError::WrongChain { .. }), "{error:?}");
}

#[test]
fn height_0_is_the_genesis_and_carries_nothing() {
    let chain = notes();
    let mut forged = chain.genesis.header();
    forged.history = chain.head(3);
    let header = forged.digest();
    let genesis = chain.genesis.header().digest();
    for certificate in [Bytes::default(), certificate(&signer(1), &forged)] {
        let error = refused(chain.trust().verify(Checkpoint { header: forged.clone(), certificate }));
        assert_eq!(error, TrustError::Certificate(CertificateError::NotGenesis { header, genesis }));
    }
    let header = chain.genesis.header();
    let certificate = certificate(&signer(1), &header);
    let error = refused(chain.trust().verify(Checkpoint { header, certificate }));
    let length = CertificateError::Length { height: Height(0), found: 64, expected: 0 };
    assert_eq!(error, TrustError::Certificate(length));
}

#[test]
fn a_certificate_by_anybody_else_or_for_anything_else_is_refused() {
    let chain = notes();
    let header = chain.blocks[4].header.clone();
    let verify = |certificate: Bytes| chain.trust().verify(Checkpoint { header: header.clone(), certificate });
    assert!(verify(certificate(&signer(1), &header)).is_ok());
    let mismatch = TrustError::Certificate(CertificateError::Signature {
        height: Height(4),
        key: signer(1).public_key(),
        reason: SignatureError::Mismatch,
    });
    assert_eq!(refused(verify(certificate(&signer(2), &header))), mismatch);
    assert_eq!(refused(verify(certificate(&signer(1), &chain.blocks[5].header))), mismatch);
    // The owner's signature in another domain.
    let elsewhere = signer(1).sign(domains::SIGN_TRANSACTION, header.digest().as_bytes()).unwrap();
    assert_eq!(refused(verify(Bytes::from(elsewhere.as_bytes().as_slice()))), mismatch);
    for length in [0, 63, 65] {
        let error = refused(verify(Bytes::from(vec![0; length])));
        let expected = CertificateError::Length { height: Height(4), found: length, expected: 64 };
        assert_eq!(error, TrustError::Certificate(expected));
    }
}

#[test]
fn a_header_that_no_chain_has_is_refused_though_the_owner_signed_it() {
    let chain = notes();
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut header = chain.blocks[4].header.clone();
        change(&mut header);
        refused(chain.trust().verify(chain.certify(header)))
    };
    for size in [0, 5, u64::MAX] {
        let error = changed(&|header| header.history.size = size);
        assert_eq!(error, TrustError::HistorySize { height: Height(4), size });
    }
    assert_eq!(changed(&|header| header.version = 2), TrustError::Version { found: 2 });
    let error = changed(&|header| header.seal = Bytes::from(vec![1]));
    assert_eq!(error, TrustError::Certificate(CertificateError::Seal { height: Height(4), found: 1 }));
    let error = changed(&|header| header.chain = ChainId(Digest::ZERO));
    assert!(matches!(error, TrustError::WrongChain { .. }), "{error:?}");
}

#[test]
fn a_trust_root_that_describes_no_chain_is_refused() {
    let chain = notes();
    let broken = |change: &dyn Fn(&mut Genesis)| {
        let mut genesis = chain.genesis.clone();
        change(&mut genesis);
        match LightClient::new(TrustRoot::new(genesis)) {
            Err(TrustError::Genesis(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = broken(&|genesis| genesis.version = 3);
    assert_eq!(error, GenesisError::Version { found: 3 });
    let error = broken(&|genesis| genesis.engine.name = "raft".into());
    assert_eq!(error, GenesisError::UnknownEngine { name: "raft".into() });
    let error = broken(&|genesis| genesis.engine.parameters = Bytes::from(vec![1; 31]));
    assert!(matches!(error, GenesisError::EngineParameters { .. }), "{error:?}");
    // The neutral point as the owner's key: anybody could certify.
    let error = broken(&|genesis| {
        let mut key = vec![0; 32];
        key[0] = 1;
        genesis.engine.parameters = Bytes::from(key);
    });
    assert!(matches!(error, GenesisError::Key { .. }), "{error:?}");
    let error = broken(&|genesis| genesis.rules.max_transaction_bytes = u32::MAX);
    assert!(matches!(error, GenesisError::Rule { rule: "max_transaction_bytes", .. }), "{error:?}");
}
