//! Damaged files, foreign versions, a full disk, a lost log: each is named, and nothing whose ticket completed is lost.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::owner;
use ledger_consensus::{Solo, StartError};
use ledger_contracts::token::Token;
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{Genesis, Timestamp, TransactionBuilder};
use ledger_crypto::{FileGuard, Signer, VoteError};
use ledger_node::{Chain, Host, HostError, NodeBuilder, Pending, Stop};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::{EngineError, FjallConfig, FjallEngine};
use ledger_storage::log::LogError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn genesis() -> Genesis {
    Genesis::solo("test", owner().public_key(), Timestamp(1_000))
}

async fn start(builder: NodeBuilder) -> Result<(Host, Chain), HostError> {
    let host = builder.runtime(NativeRuntime::new().with(Token)).start().await?;
    let chain = host.chain(genesis(), Solo::new(owner())).await?;
    Ok((host, chain))
}

async fn deploy(chain: &Chain, number: u64) -> Pending {
    chain.submit(common::deploy(chain, number)).await.unwrap()
}

/// A folder with five certified blocks' worth of transactions.
async fn filled(folder: &Path) {
    let (host, chain) = start(NodeBuilder::new().folder(folder).unwrap()).await.unwrap();
    for number in 0..5 {
        deploy(&chain, number).await.certified().await.unwrap();
    }
    drop(chain);
    host.shutdown().await.unwrap();
}

fn segment(folder: &Path) -> PathBuf {
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("log-");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(named).min().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_log_is_named_with_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let file = segment(folder.path());
    let whole = fs::read(&file).unwrap();
    // In the first group's header, in the head of its record, in the record itself.
    for (byte, chain_alone) in [(150, false), (230, false), (290, true)] {
        let mut bytes = whole.clone();
        bytes[byte] ^= 4;
        fs::write(&file, bytes).unwrap();
        let refused = start(NodeBuilder::new().folder(folder.path()).unwrap()).await;
        let Err(error) = refused else { panic!("a damaged log was opened") };
        let (message, source) = (error.to_string(), std::error::Error::source(&error).map(ToString::to_string));
        assert!(message.contains("log-0000") || source.is_some_and(|text| text.contains("log-0000")), "{message}");
        match error {
            HostError::Damaged { .. } => assert!(chain_alone, "{message}"),
            HostError::Log(LogError::Damaged { .. }) | HostError::Recovery(_) => assert!(!chain_alone, "{message}"),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_another_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let file = segment(folder.path());
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 9;
    fs::write(&file, bytes).unwrap();
    let refused = start(NodeBuilder::new().folder(folder.path()).unwrap()).await;
    assert!(matches!(refused, Err(HostError::Log(LogError::UnknownVersion { found: 9, understood: 1, .. }))));
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], BTreeSet::new());
    while let Some(below) = folders.pop() {
        for path in fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => _ = files.insert(path),
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_views_are_rebuilt_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    for path in files(&folder.path().join("views")) {
        if fs::metadata(&path).unwrap().len() < 4_096 {
            fs::write(path, b"garbage").unwrap();
        }
    }
    let (host, chain) = start(NodeBuilder::new().folder(folder.path()).unwrap()).await.unwrap();
    assert!(host.rebuilt_views().is_some());
    assert_eq!(chain.next_number_of(&owner()).unwrap(), 5);
}

/// Whoever has them open may be a tool that reads them. The log could bring them back, but not while they are read.
#[tokio::test(flavor = "multi_thread")]
async fn views_that_are_in_use_stay_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let used = FjallEngine::open(folder.path().join("views"), FjallConfig::default()).unwrap();
    let before = files(&folder.path().join("views"));
    assert!(!before.is_empty());
    let refused = NodeBuilder::new().folder(folder.path()).map(drop);
    assert!(matches!(refused, Err(HostError::Engine(EngineError::InUse { .. }))), "{refused:?}");
    assert_eq!(files(&folder.path().join("views")), before);
    drop(used);
    let (host, chain) = start(NodeBuilder::new().folder(folder.path()).unwrap()).await.unwrap();
    assert!(host.rebuilt_views().is_none());
    assert_eq!(chain.next_number_of(&owner()).unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_stops_the_signer_whose_guard_stayed() {
    let keys = tempfile::tempdir().unwrap();
    let guard = || FileGuard::new(keys.path().join("owner.guard"));
    for run in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let builder = NodeBuilder::new().folder(folder.path()).unwrap().runtime(NativeRuntime::new().with(Token));
        let host = builder.start().await.unwrap();
        let opened = host.chain(genesis(), Solo::new(owner()).guard(guard())).await;
        match run {
            0 => {
                deploy(&opened.unwrap(), 0).await.certified().await.unwrap();
            }
            _ => {
                let Err(HostError::Consensus(StartError::Vote(error))) = opened else { panic!("it was opened") };
                assert!(matches!(error, VoteError::ForeignLog { .. }), "{error}");
            }
        }
        host.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_chain_and_a_restart_has_all_that_was_ordered() {
    let disk = SimulatedDisk::new(7);
    let (host, chain) = start(NodeBuilder::new().disk(disk.clone()).memory_engine()).await.unwrap();
    deploy(&chain, 0).await.certified().await.unwrap();
    disk.limit_space(Some(disk_bytes(&disk) + 2_000));
    let (mut ordered, mut stopped) = (0, None);
    for number in 1..20_000 {
        let submitted = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), vec![0; 10_000]);
        match chain.submit(submitted.sequence(0, number).sign(&owner()).unwrap()).await {
            Ok(mut pending) => match pending.ordered().await {
                Ok(_) => ordered = number,
                Err(error) => stopped = Some(error.to_string()),
            },
            Err(error) => stopped = Some(error.to_string()),
        }
        if stopped.is_some() {
            break;
        }
    }
    let stopped = stopped.expect("the disk was full before the end");
    assert!(stopped.contains("disk full"), "{stopped}");
    assert!(matches!(chain.progress().stopped, Some(Stop::Log(_))));
    drop(chain);
    let _ = host.shutdown().await;

    disk.limit_space(None);
    let (_host, chain) = start(NodeBuilder::new().disk(disk.survivor(0)).memory_engine()).await.unwrap();
    assert!(chain.next_number_of(&owner()).unwrap() > ordered);
}

/// How much the simulated disk holds, as far as its files tell.
fn disk_bytes(disk: &SimulatedDisk) -> u64 {
    use ledger_storage::disk::Disk;
    let names = disk.list().unwrap();
    names.iter().map(|name| disk.open(name).unwrap().len().unwrap()).sum()
}
