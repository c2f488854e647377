//! A chain that panics, uses up its quota or has a damaged record stops, or refuses, alone and says why; the others of its
//! host go on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{certify, numbered, owner, token_executor};
use ledger_consensus::{EngineFactory, Solo};
use ledger_contracts::testing::HookedExecutor;
use ledger_contracts::token::Token;
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{ChainId, Context, Genesis, SignedTransaction, TransactionBuilder};
use ledger_node::core::SubmitError;
use ledger_node::recovery::RecoveryError;
use ledger_node::{Chain, Host, HostError, Limits, NodeBuilder, PendingError, Quota, QuotaExceeded, Refusal, Stop};
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::log::{Log, LogConfig, LogError, LogPosition, Record, RecordKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A deployment with arguments of so many bytes, of which the token takes no notice.
fn deploy(chain: &Chain, number: u64, bytes: usize) -> SignedTransaction {
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), vec![0; bytes]);
    deploy.sequence(0, number).sign(&owner()).unwrap()
}

async fn chains(host: &Host, count: usize) -> Vec<Chain> {
    let mut chains = Vec::new();
    for number in 0..count {
        chains.push(host.chain(numbered(number), Solo::new(owner())).await.unwrap());
    }
    chains
}

/// Panics for chain 3, once it is armed.
fn touch(context: &Context<'_>, armed: &AtomicBool) {
    assert!(context.chain != numbered(3).chain() || !armed.load(Ordering::SeqCst), "as it was told to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_panics_stops_alone() {
    for in_execution in [true, false] {
        let (executing, checking) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (at_execution, at_check) = (Arc::clone(&executing), Arc::clone(&checking));
        let executor = HookedExecutor::new(token_executor())
            .before_execution(move |_, context| touch(context, &at_execution))
            .before_admission(move |_, context| touch(context, &at_check));
        let disk = SimulatedDisk::new(1);
        let host = NodeBuilder::new().disk(disk.clone()).memory_engine().executor(executor).start().await.unwrap();
        let chains = chains(&host, 8).await;
        for chain in &chains {
            certify(chain, 0).await;
        }
        if in_execution { &executing } else { &checking }.store(true, Ordering::SeqCst);
        let bad = &chains[3];
        // The others are asked at the same time, so that their checks and blocks stand beside the bad one's.
        let others: Vec<_> = chains
            .iter()
            .filter(|chain| chain.id() != bad.id())
            .cloned()
            .map(|chain| tokio::spawn(async move { certify(&chain, 1).await }))
            .collect();
        let place = if in_execution { "execution" } else { "checking" };
        let stopped = match bad.submit(deploy(bad, 1, 0)).await {
            Ok(mut pending) => match pending.certified().await {
                Err(PendingError::Stopped(stop)) => stop,
                other => panic!("{other:?}"),
            },
            Err(SubmitError::Stopped(stop)) => stop,
            Err(other) => panic!("{other:?}"),
        };
        assert!(
            matches!(&stopped, Stop::Panic { place: found, message } if *found == place && message == "as it was told to"),
            "{stopped}"
        );
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(bad.progress().stopped, Some(stopped));
        let refused = bad.submit(deploy(bad, 2, 0)).await.map(|_| ());
        assert!(matches!(refused, Err(SubmitError::Stopped(_))), "{refused:?}");
        // What was ordered on it isn't lost: a program without the fault goes on with it.
        drop(chains);
        host.shutdown().await.unwrap();
        executing.store(false, Ordering::SeqCst);
        let runtime = NativeRuntime::new().with(Token);
        let host = NodeBuilder::new().disk(disk.survivor(1)).memory_engine().runtime(runtime).start().await.unwrap();
        let chain = host.chain(numbered(3), Solo::new(owner())).await.unwrap();
        assert_eq!(chain.next_number_of(&owner()).unwrap(), if in_execution { 2 } else { 1 });
    }
}

async fn start(disk: &SimulatedDisk, limits: Limits) -> Host {
    let builder = NodeBuilder::new().disk(disk.clone()).memory_engine().limits(limits);
    builder.runtime(NativeRuntime::new().with(Token)).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_has_used_its_quota_says_so_and_serves_what_it_has() {
    let disk = SimulatedDisk::new(2);
    let quota = Quota { log_bytes: Some(100_000), ..Quota::default() };
    let limits = Limits { quota, ..Limits::default() };
    let host = start(&disk, limits.clone()).await;
    let both = chains(&host, 2).await;
    let (mut taken, mut refused) = (0, None);
    for number in 0..100 {
        match both[0].submit(deploy(&both[0], number, 5_000)).await {
            Ok(mut pending) => {
                pending.certified().await.unwrap();
                taken = number + 1;
            }
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let Some(SubmitError::Quota(QuotaExceeded::Log { chain, used, limit: 100_000 })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(chain, both[0].id());
    // Headers and certificates of the last blocks may stand on top.
    assert!((10..20).contains(&taken) && (90_000..=102_000).contains(&used), "{taken} taken, {used} bytes used");
    // What it has is there, the others aren't concerned, and none of it is forgotten by opening the host again.
    assert_eq!(both[0].next_number_of(&owner()).unwrap(), taken);
    assert_eq!(both[0].progress().stopped, None);
    certify(&both[1], 0).await;
    drop(both);
    host.shutdown().await.unwrap();
    let host = start(&disk.survivor(1), limits).await;
    let both = chains(&host, 2).await;
    let again = both[0].submit(deploy(&both[0], taken, 5_000)).await.map(|_| ());
    assert!(matches!(again, Err(SubmitError::Quota(QuotaExceeded::Log { .. }))), "{again:?}");
    certify(&both[1], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_takes_no_more_in_a_second_than_it_may() {
    let quota = Quota { bytes_per_second: Some(20_000), ..Quota::default() };
    let host = start(&SimulatedDisk::new(3), Limits { quota, ..Limits::default() }).await;
    let both = chains(&host, 2).await;
    let clock = Instant::now();
    let (mut number, mut refusals) = (0, 0);
    while clock.elapsed() < Duration::from_secs(2) {
        match both[0].submit(deploy(&both[0], number, 1_000)).await {
            Ok(_) => number += 1,
            Err(SubmitError::Quota(QuotaExceeded::Rate { limit: 20_000, retry_ms, .. })) => {
                refusals += 1;
                assert!((1..=100).contains(&retry_ms), "{retry_ms}");
                tokio::time::sleep(Duration::from_millis(retry_ms)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let most = 20_000.0 * (1.0 + clock.elapsed().as_secs_f64()) / 1_000.0;
    assert!(
        refusals > 0 && number as f64 <= most,
        "{number} transactions of more than 1,000 bytes, {refusals} refusals"
    );
    certify(&both[1], 0).await;
    let large = both[1].submit(deploy(&both[1], 1, 20_000)).await.map(|_| ());
    assert!(matches!(large, Err(SubmitError::Quota(QuotaExceeded::TooLarge { .. }))), "{large:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_says_so_to_those_who_filled_it() {
    let limits = Limits { waiting_bytes: 20_000, ..Limits::default() };
    let host = start(&SimulatedDisk::new(4), limits).await;
    let both = chains(&host, 2).await;
    // Numbers from 1 on wait for number 0.
    let mut refused = None;
    for number in 1..100 {
        if let Err(error) = both[0].submit(deploy(&both[0], number, 500)).await {
            refused = Some(error);
            break;
        }
    }
    assert!(matches!(&refused, Some(SubmitError::Mempool(Refusal::Busy { limit: 20_000, .. }))), "{refused:?}");
    certify(&both[1], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_stops_takes_no_more_of_the_host_s_room() {
    let armed = Arc::new(AtomicBool::new(false));
    let at_check = Arc::clone(&armed);
    let executor = HookedExecutor::new(token_executor()).before_admission(move |_, context| touch(context, &at_check));
    let limits = Limits { waiting_bytes: 40_000, ..Limits::default() };
    let builder = NodeBuilder::new().disk(SimulatedDisk::new(8)).memory_engine().executor(executor);
    let host = builder.limits(limits).start().await.unwrap();
    let chains = chains(&host, 4).await;
    let (bad, other) = (&chains[3], &chains[0]);
    // Numbers from 1 on wait for number 0.
    for number in 1..20 {
        bad.submit(deploy(bad, number, 500)).await.unwrap();
    }
    armed.store(true, Ordering::SeqCst);
    let stopped = bad.submit(deploy(bad, 20, 500)).await.map(|_| ());
    assert!(matches!(stopped, Err(SubmitError::Stopped(_))), "{stopped:?}");
    // More than the part of a chain among four, and than what the stopped one left when it had as much as it has now.
    for number in 1..25 {
        other.submit(deploy(other, number, 500)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_makes_no_sense_keeps_its_chain_closed_alone() {
    for (kind, height) in [(RecordKind::PAYLOAD, 9), (RecordKind::CERTIFICATE, 4), (RecordKind::new(99), 1)] {
        let disk = SimulatedDisk::new(5);
        let host = start(&disk, Limits::default()).await;
        let open = chains(&host, 5).await;
        for chain in &open {
            certify(chain, 0).await;
        }
        let bad = open[2].id();
        drop(open);
        host.shutdown().await.unwrap();
        // Bytes that are as they were written, by a program that had a fault.
        let mut log = Log::open(Arc::new(disk.clone()), LogConfig::default()).unwrap();
        log.submit(vec![Record { chain: bad.0, kind, height, bytes: b"what is this".to_vec() }]).unwrap();
        log.close().unwrap();

        let host = start(&disk, Limits::default()).await;
        let damaged = host.damaged_chains();
        assert_eq!(damaged.iter().map(|(chain, _)| *chain).collect::<Vec<_>>(), [bad]);
        let engines = |_: &Genesis| Some(Box::new(Solo::new(owner())) as Box<dyn EngineFactory>);
        for (id, opened) in host.reopen_all(engines).await {
            match opened {
                Ok(chain) => certify(&chain, 1).await,
                Err(HostError::Damaged { chain, error }) => {
                    assert_eq!((id, chain), (bad, bad));
                    let text = error.to_string();
                    assert!(text.contains("segment 1 offset") || text.contains("block"), "{text}");
                }
                Err(other) => panic!("{id}: {other}"),
            }
        }
        let again = host.chain(numbered(2), Solo::new(owner())).await.map(|_| ());
        assert!(matches!(again, Err(HostError::Damaged { chain, .. }) if chain == bad), "{again:?}");
        assert!(host.open_chain(&bad).is_none());
        host.shutdown().await.unwrap();
    }
}

/// What the log holds of a chain.
fn records_of(disk: &SimulatedDisk, chain: ChainId) -> Vec<(LogPosition, Record)> {
    let log = Log::open(Arc::new(disk.clone()), LogConfig::default()).unwrap();
    let records = log.reader().records().map(Result::unwrap);
    records.filter(|(_, record)| record.chain == chain.0 && !record.bytes.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_keeps_its_chain_closed_alone() {
    const HEAD: u64 = 64;
    let disk = SimulatedDisk::new(6);
    let host = start(&disk, Limits::default()).await;
    let open = chains(&host, 5).await;
    for number in 0..2 {
        for chain in &open {
            certify(chain, number).await;
        }
    }
    let bad = open[2].id();
    drop(open);
    host.shutdown().await.unwrap();
    let records = records_of(&disk.survivor(1), bad);
    assert!(records.len() > 6, "{}", records.len());
    for (position, record) in records {
        let disk = disk.survivor(1);
        let name = disk.list().unwrap().into_iter().find(|name| name.starts_with("log-")).unwrap();
        disk.flip_bit(&name, (position.offset + HEAD) * 8 + 3).unwrap();
        let host = start(&disk, Limits::default()).await;
        let damaged = host.damaged_chains();
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        let (chain, error) = &damaged[0];
        assert_eq!(*chain, bad);
        assert!(
            matches!(&**error, RecoveryError::Log(LogError::DamagedRecord { chain, height, offset, .. })
                if (*chain, *height, *offset) == (bad.0, record.height, position.offset)),
            "{error}"
        );
        let engines = |_: &Genesis| Some(Box::new(Solo::new(owner())) as Box<dyn EngineFactory>);
        let mut refused = 0;
        for (id, opened) in host.reopen_all(engines).await {
            match opened {
                Ok(chain) => certify(&chain, 2).await,
                Err(HostError::Damaged { chain, .. }) => {
                    assert_eq!((id, chain), (bad, bad));
                    refused += 1;
                }
                Err(other) => panic!("{id}: {other}"),
            }
        }
        // One whose genesis is damaged isn't tried: nobody knows its engine.
        assert!(refused <= 1);
        let again = host.chain(numbered(2), Solo::new(owner())).await.map(|_| ());
        assert!(matches!(again, Err(HostError::Damaged { chain, .. }) if chain == bad), "{again:?}");
        host.shutdown().await.unwrap();
    }
}
