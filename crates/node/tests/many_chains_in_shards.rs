//! A host with several shards: chains stay where they are, whatever number of shards the folder is opened with, and a
//! folder of which a part is missing isn't opened.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{certify, numbered, owner};
use ledger_consensus::{EngineFactory, Solo};
use ledger_contracts::NativeRuntime;
use ledger_contracts::token::Token;
use ledger_core::ChainId;
use ledger_node::{Host, HostError, NodeBuilder};
use std::collections::BTreeSet;
use std::path::Path;

const CHAINS: usize = 24;

async fn start(folder: &Path, shards: usize) -> Result<Host, HostError> {
    let builder = NodeBuilder::new().folder(folder)?.runtime(NativeRuntime::new().with(Token));
    builder.shards(shards).start().await
}

/// Creates the chains and lets each certify a transaction.
async fn filled(folder: &Path, shards: usize) -> BTreeSet<ChainId> {
    let host = start(folder, shards).await.unwrap();
    assert_eq!(host.shards(), shards);
    let mut ids = BTreeSet::new();
    for number in 0..CHAINS {
        let chain = host.chain(numbered(number), Solo::new(owner())).await.unwrap();
        certify(&chain, 0).await;
        ids.insert(chain.id());
    }
    host.shutdown().await.unwrap();
    ids
}

/// All chains are there, each with its transaction.
async fn check(host: Host, ids: &BTreeSet<ChainId>) {
    let opened = host.reopen_all(|_| Some(Box::new(Solo::new(owner())) as Box<dyn EngineFactory>)).await;
    assert_eq!(opened.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), *ids);
    for (id, chain) in opened {
        let chain = chain.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(chain.next_number_of(&owner()).unwrap(), 1);
    }
    assert!(host.closed_chains().is_empty());
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_stay_in_their_shards() {
    let folder = tempfile::tempdir().unwrap();
    let ids = filled(folder.path(), 3).await;
    for shard in ["shard-1", "shard-2"] {
        assert!(folder.path().join(shard).join("views").is_dir());
    }
    check(start(folder.path(), 3).await.unwrap(), &ids).await;

    let fewer = start(folder.path(), 2).await.map(|_| ());
    assert!(matches!(fewer, Err(HostError::Shards { recorded: 3, given: 2 })), "{fewer:?}");
    let by_default = start(folder.path(), 1).await.map(|_| ());
    assert!(matches!(by_default, Err(HostError::Shards { recorded: 3, given: 1 })), "{by_default:?}");

    // More are added; those that were there are where they were.
    check(start(folder.path(), 5).await.unwrap(), &ids).await;
    let again = start(folder.path(), 3).await.map(|_| ());
    assert!(matches!(again, Err(HostError::Shards { recorded: 5, given: 3 })), "{again:?}");
    let host = start(folder.path(), 5).await.unwrap();
    let used: Vec<_> = host.closed_chains().into_iter().map(|(genesis, height)| (genesis.chain(), height)).collect();
    assert_eq!(used.len(), CHAINS);
    check(host, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_gone_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 2).await;
    let shard = folder.path().join("shard-1");
    let aside = folder.path().join("aside");
    std::fs::rename(&shard, &aside).unwrap();
    let refused = start(folder.path(), 2).await.map(|_| ());
    assert!(matches!(refused, Err(HostError::ShardMissing { shard: 1, .. })), "{refused:?}");
    // An empty folder in its place is no shard either.
    std::fs::create_dir(&shard).unwrap();
    let refused = start(folder.path(), 2).await.map(|_| ());
    assert!(matches!(refused, Err(HostError::ShardMissing { shard: 1, .. })), "{refused:?}");
    std::fs::remove_dir_all(&shard).unwrap();
    std::fs::rename(&aside, &shard).unwrap();
    start(folder.path(), 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_count_a_folder_is_not_opened_with_fewer_shards() {
    let folder = tempfile::tempdir().unwrap();
    let ids = filled(folder.path(), 3).await;
    std::fs::remove_file(folder.path().join("shards")).unwrap();
    // Chains of the others would be begun anew here, with the same key.
    for given in [1, 2] {
        let refused = start(folder.path(), given).await.map(|_| ());
        assert!(matches!(refused, Err(HostError::Shards { recorded: 3, .. })), "{refused:?}");
    }
    check(start(folder.path(), 3).await.unwrap(), &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_nobody_wrote_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "ledgerkit shards 0\n", "ledgerkit shards 0\n0\n", "ledgerkit shards 0\n65\n", "3\n"] {
        std::fs::write(folder.path().join("shards"), text).unwrap();
        let refused = start(folder.path(), 4).await.map(|_| ());
        assert!(matches!(refused, Err(HostError::ShardCount { .. })), "{text:?}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_one_shard_can_grow() {
    let folder = tempfile::tempdir().unwrap();
    let ids = filled(folder.path(), 1).await;
    assert!(!folder.path().join("shards").exists());
    check(start(folder.path(), 4).await.unwrap(), &ids).await;
    check(start(folder.path(), 4).await.unwrap(), &ids).await;
}
