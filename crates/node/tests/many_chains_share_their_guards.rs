//! The vote guards of many chains in one file: durable together, never behind what was promised, through crashes at every
//! I/O point, damage, and the change from a file for each.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{certify, genesis, numbered, owner};
use ledger_consensus::{Solo, StartError};
use ledger_contracts::NativeRuntime;
use ledger_contracts::token::Token;
use ledger_crypto::{Digest, Guard, GuardError, GuardRecord, LastVote, VoteError, VotePosition};
use ledger_node::{Chain, DiskGuard, Host, HostError, NodeBuilder, SharedGuards};
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::log::LogId;
use std::collections::BTreeMap;
use std::sync::Arc;

const ID: LogId = LogId::new([3; 32]);

fn chain(number: u8) -> Digest {
    Digest::new([number; 32])
}

fn record(number: u8, view: u64) -> GuardRecord {
    let position = VotePosition { epoch: 0, view, slot: 0 };
    let last = Some(LastVote { position, message: Some(Digest::new([9; 32])) });
    GuardRecord { log: Digest::new([1; 32]), chain: chain(number), last }
}

fn view(record: Option<GuardRecord>) -> u64 {
    record.and_then(|record| record.last).map_or(0, |last| last.position.view)
}

fn open(disk: &SimulatedDisk) -> Result<SharedGuards, GuardError> {
    SharedGuards::open(Arc::new(disk.clone()), ID)
}

/// Stores rounds of records of a few chains each, and says what was promised when it ended.
fn work(disk: &SimulatedDisk) -> (BTreeMap<u8, u64>, BTreeMap<u8, u64>) {
    let (mut promised, mut tried) = (BTreeMap::new(), BTreeMap::new());
    let Ok(guards) = open(disk) else { return (promised, tried) };
    for round in 1..=12u64 {
        let moved: Vec<u8> = (1..=6).filter(|number| !(round + u64::from(*number)).is_multiple_of(3)).collect();
        let records: Vec<_> = moved.iter().map(|number| record(*number, round)).collect();
        tried.extend(moved.iter().map(|number| (*number, round)));
        if guards.store_all(&records).is_err() || (round % 5 == 0 && guards.seal().is_err()) {
            return (promised, tried);
        }
        promised.extend(moved.iter().map(|number| (*number, round)));
    }
    (promised, tried)
}

#[test]
fn many_chains_move_with_one_sync() {
    let disk = SimulatedDisk::new(1);
    let guards = open(&disk).unwrap();
    let before = guards.syncs();
    let records: Vec<_> = (0..200).map(|number| record(number, 1)).collect();
    guards.store_all(&records).unwrap();
    assert_eq!(guards.syncs() - before, 1);
    drop(guards);
    let guards = open(&disk.survivor(5)).unwrap();
    assert_eq!(guards.len(), 200);
    assert_eq!(guards.of(chain(77)).load().unwrap(), Some(record(77, 1)));
    assert_eq!(guards.of(chain(201)).load().unwrap(), None);
}

#[test]
fn what_was_promised_survives_a_crash_at_every_io_point() {
    let whole = SimulatedDisk::new(2);
    let (all, _) = work(&whole);
    assert_eq!(all.len(), 6);
    let points = whole.operations();
    assert!(points > 30, "only {points} I/O points");
    let mut cut = 0;
    for point in 1..=points {
        let disk = SimulatedDisk::new(2);
        disk.crash_at(point);
        let (promised, tried) = work(&disk);
        cut += disk.faults().crashes;
        for seed in 0..4 {
            let left = disk.survivor(seed);
            let guards = open(&left).unwrap_or_else(|error| panic!("crash at {point}, survivor {seed}: {error}"));
            for number in 1..=6 {
                let found = view(guards.of(chain(number)).load().unwrap());
                let (least, most) = (promised.get(&number), tried.get(&number));
                assert!(found >= least.copied().unwrap_or(0), "crash at {point}: chain {number} fell back to {found}");
                assert!(found <= most.copied().unwrap_or(0), "crash at {point}: chain {number} was never at {found}");
            }
            // It goes on, and keeps what it is told next.
            guards.store_all(&[record(1, 100)]).unwrap();
            assert_eq!(view(open(&left.survivor(seed)).unwrap().of(chain(1)).load().unwrap()), 100);
        }
    }
    assert_eq!(cut, points);
}

#[test]
fn the_file_stays_small_and_keeps_the_chains_that_rest() {
    let disk = SimulatedDisk::new(3);
    let guards = open(&disk).unwrap();
    guards.store_all(&(0..100).map(|number| record(number, 1)).collect::<Vec<_>>()).unwrap();
    // 12 MB of records of one chain.
    let steps = 50u64;
    for step in 0..steps {
        let records: Vec<_> = (0..1_000).map(|view| record(7, 2 + step * 1_000 + view)).collect();
        guards.store_all(&records).unwrap();
    }
    drop(guards);
    let disk = disk.survivor(1);
    let names = disk.list().unwrap();
    let bytes: u64 = names.iter().map(|name| disk.open(name).unwrap().len().unwrap()).sum();
    assert!(bytes < 11 << 20, "{bytes} bytes in {names:?}");
    let guards = open(&disk).unwrap();
    assert_eq!(guards.len(), 100);
    assert_eq!(view(guards.of(chain(7)).load().unwrap()), 1 + steps * 1_000);
    assert_eq!(view(guards.of(chain(8)).load().unwrap()), 1);
}

#[test]
fn damage_to_what_was_promised_is_named() {
    let disk = SimulatedDisk::new(4);
    work(&disk);
    let names = disk.list().unwrap();
    let file = names.iter().find(|name| name.starts_with("guards-log-")).unwrap();
    // In the record of the first of several groups: its chain alone is refused, whatever older record it has.
    let copy = disk.survivor(1);
    copy.flip_bit(file, 8 * 300).unwrap();
    let guards = open(&copy).unwrap();
    let refused: Vec<_> = (1..=6).filter_map(|number| guards.of(chain(number)).load().err()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let told = std::error::Error::source(&refused[0]).map(ToString::to_string).unwrap_or_default();
    assert!(told.contains("log-0000") && told.contains("chain"), "{told}");
    // In its header.
    disk.flip_bit(file, 8 * 150).unwrap();
    let Err(error) = open(&disk) else { panic!("damaged guards were opened") };
    let told = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    assert!(error.to_string().contains("guards-log") && told.contains("log-0000"), "{error}: {told}");
}

#[test]
fn a_guard_file_of_its_own_is_taken_over_once() {
    let disk = SimulatedDisk::new(5);
    let name = format!("guard-{}", chain(4));
    DiskGuard::new(Arc::new(disk.clone()), name.clone()).store(&record(4, 41)).unwrap();
    for point in 1..40 {
        let copy = disk.survivor(point);
        copy.crash_at(point);
        let _ = open(&copy).and_then(|guards| guards.of(chain(4)).load());
        for seed in 0..4 {
            let left = copy.survivor(seed);
            let guards = open(&left).unwrap();
            assert_eq!(view(guards.of(chain(4)).load().unwrap()), 41, "crash at {point}");
            assert!(!left.list().unwrap().contains(&name));
        }
    }
    // A file that another log's votes are in is shown to the signer, which refuses it.
    let guards = open(&disk).unwrap();
    let foreign = GuardRecord { log: Digest::new([2; 32]), ..record(4, 1) };
    guards.store_all(&[foreign]).unwrap();
    assert_eq!(guards.of(chain(4)).load().unwrap(), Some(record(4, 41)));
    assert!(disk.list().unwrap().contains(&name));
}

async fn start(builder: NodeBuilder) -> Result<(Host, Chain), HostError> {
    let host = builder.runtime(NativeRuntime::new().with(Token)).start().await?;
    let chain = host.chain(genesis("guarded"), Solo::new(owner())).await?;
    Ok((host, chain))
}

async fn filled(disk: &SimulatedDisk) {
    let (host, chain) = start(NodeBuilder::new().disk(disk.clone()).memory_engine()).await.unwrap();
    certify(&chain, 0).await;
    drop(chain);
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_guards_or_beside_another_log_a_chain_refuses_to_sign() {
    let disk = SimulatedDisk::new(6);
    filled(&disk).await;
    let named = |prefix: &str| -> Vec<String> {
        disk.list().unwrap().into_iter().filter(|name| name.starts_with(prefix)).collect()
    };
    assert!(named("guard-").is_empty(), "a chain has no guard file of its own");

    let without_log = disk.survivor(1);
    named("log-").iter().for_each(|name| without_log.remove(name).unwrap());
    let refused = start(NodeBuilder::new().disk(without_log).memory_engine()).await.map(|_| ());
    assert!(
        matches!(&refused, Err(HostError::Consensus(StartError::Vote(VoteError::ForeignLog { .. })))),
        "{refused:?}"
    );

    let without_guards = disk.survivor(2);
    named("guards-").iter().for_each(|name| without_guards.remove(name).unwrap());
    let refused = start(NodeBuilder::new().disk(without_guards).memory_engine()).await.map(|_| ());
    assert!(
        matches!(&refused, Err(HostError::Consensus(StartError::Vote(VoteError::GuardMissing { .. })))),
        "{refused:?}"
    );
    start(NodeBuilder::new().disk(disk.survivor(3)).memory_engine()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_chains_open_no_file_each() {
    let folder = tempfile::tempdir().unwrap();
    let host = NodeBuilder::new().folder(folder.path()).unwrap().runtime(NativeRuntime::new()).start().await.unwrap();
    let files = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let open_one = async |number: usize| {
        host.chain(numbered(number), Solo::new(owner())).await.unwrap();
    };
    for number in 0..20 {
        open_one(number).await;
    }
    let before = (files(), threads());
    for number in 20..1_000 {
        open_one(number).await;
    }
    let after = (files(), threads());
    // Tests run beside this one in the process, and threads of tokio's pool come and go.
    assert!(after.0 < before.0 + 100 && after.1 < before.1 + 100, "{before:?} files and threads became {after:?}");
    host.shutdown().await.unwrap();
}
