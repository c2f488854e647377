//! A chain that begins from a snapshot in a folder goes on as the original does: with the same state, blocks and proofs
//! from there on, through restarts, cuts of its log, lost views and crashes at any moment; what was before it is refused
//! by name; and no key signs twice because of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::network::{Network, certified, mint, same_blocks, supply};
use common::{certify, genesis, growing, owner, reads_what_is_kept};
use ledger_consensus::{Observer, Solo, StartError};
use ledger_contracts::NativeRuntime;
use ledger_contracts::token::Token;
use ledger_core::{AccountId, Height, Key, SnapshotError, SnapshotManifest, StateView, codec};
use ledger_crypto::{Guard, GuardError, MemoryGuard, MemorySigner, Signer, VoteError};
use ledger_network::Observers;
use ledger_node::recovery::RecoveryError;
use ledger_node::{
    Chain, ChainError, ChainPolicy, DiskGuard, GrowthConfig, Host, HostError, Keepers, MoveGuardError, NodeBuilder,
    Retention,
};
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::engine::{MemoryConfig, MemoryEngine};
use ledger_storage::snapshot::{ExportConfig, MANIFEST_FILE, SnapshotStoreError, chunk_file};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Chunks of a few keys.
const SMALL: ExportConfig = ExportConfig { chunk_bytes: 1 << 10 };

fn account() -> AccountId {
    AccountId::of_ed25519(&owner().public_key())
}

fn builder() -> NodeBuilder {
    NodeBuilder::new().runtime(NativeRuntime::new().with(Token))
}

async fn host(folder: &Path) -> Host {
    builder().folder(folder).unwrap().start().await.unwrap()
}

async fn import(host: &Host, folder: &Path) -> Result<Chain, HostError> {
    host.chain_from_folder(genesis("tea"), Observer, Observers::None, folder).await
}

/// Orders so many transactions, each of which writes some keys, and has them certified.
async fn grow(chain: &Chain, transactions: u64) {
    for _ in 0..transactions {
        let next = chain.next_number(&account(), 0).unwrap();
        certify(chain, next).await;
    }
    // The block that certifies is executed later.
    let certified = |progress: &ledger_node::Progress| progress.executed >= progress.checkpoint.header.height;
    chain.watch_progress().wait_for(certified).await.unwrap();
}

async fn close(host: Host, chain: Chain) {
    drop(chain);
    host.shutdown().await.unwrap();
}

/// A closed chain of one owner in `folder`, its guard elsewhere, and a snapshot of it.
async fn original(folder: &Path, guard: &MemoryGuard, snapshot: &Path) -> SnapshotManifest {
    let host = host(folder).await;
    let chain = host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    grow(&chain, 12).await;
    let manifest = chain.export_snapshot(snapshot, SMALL).await.unwrap();
    close(host, chain).await;
    manifest
}

/// What can be told of a chain's state and of its blocks from `from` on.
fn told(chain: &Chain, from: Height) -> Vec<String> {
    let newest = chain.progress().executed;
    let mut all = vec![format!("{newest} {:?}", chain.checkpoint())];
    for height in (from.0..=newest.0).map(Height) {
        all.push(format!("{:?} {:?}", chain.block(height).unwrap(), chain.results(height).unwrap()));
    }
    let root = codec::encode(&chain.trust_root());
    let lane = Key::sequence(&account(), 0);
    all.push(format!("{:?}", chain.state().get(&lane).unwrap()));
    let (proof, checkpoint) = chain.prove_state(&lane).unwrap();
    all.push(format!(
        "{:?}",
        ledger_core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &root).unwrap()
    ));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_chain_is_the_original_and_its_owner_goes_on_in_one_place_only() {
    let [old, new, snapshot] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut guard = MemoryGuard::new();
    let manifest = original(old.path(), &guard, snapshot.path()).await;
    let (base, closing) = (manifest.height(), manifest.checkpoint.checkpoint.header.height);
    assert!(manifest.chunks.len() > 2 && closing == base.next());

    // The snapshot's checkpoint is the block behind it, and comes along.
    let copy = host(new.path()).await;
    let chain = import(&copy, snapshot.path()).await.unwrap();
    assert_eq!((chain.progress().executed, chain.checkpoint().header.height), (closing, closing));
    assert_eq!((chain.kept().first, chain.kept().newest), (closing, closing));
    for height in [Height(1), base] {
        let error = chain.block(height).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "block {height} isn't kept by this node, which has blocks {closing} to {closing}; the archive of the chain is \
                 kept by everyone who has taken part in it from its beginning"
            )
        );
        assert!(matches!(chain.results(height), Err(ChainError::Pruned { .. })));
    }
    assert_eq!(chain.header(base).unwrap(), manifest.block.header);
    assert!(matches!(chain.header(Height(1)), Err(ChainError::Pruned { first, .. }) if first == closing));
    let begun = told(&chain, closing);
    close(copy, chain).await;

    // The original, opened again, tells the same.
    let first = host(old.path()).await;
    let chain = first.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    assert_eq!(told(&chain, closing), begun);
    close(first, chain).await;

    // A restart tells the same. The owner's key doesn't sign here before its guard belongs here.
    let copy = host(new.path()).await;
    assert_eq!(copy.closed_chains()[0].1, closing);
    for (own, missing) in [(guard.clone(), false), (MemoryGuard::new(), true)] {
        let error = copy.chain(genesis("tea"), Solo::new(owner()).guard(own)).await.unwrap_err();
        match error {
            HostError::Consensus(StartError::Vote(VoteError::ForeignLog { .. })) if !missing => {}
            HostError::Consensus(StartError::Vote(VoteError::GuardMissing { .. })) if missing => {}
            error => panic!("{error}"),
        }
    }
    let error = copy.chain(genesis("tea"), Solo::new(owner())).await.unwrap_err();
    assert!(
        matches!(error, HostError::Consensus(StartError::Vote(VoteError::Guard(GuardError::Absent { .. })))),
        "{error}"
    );
    let chain = copy.chain(genesis("tea"), Observer).await.unwrap();
    assert_eq!(told(&chain, closing), begun);
    // Also where the guard is a file with two slots, of which either may hold the last vote.
    for turns in 0..2 {
        let disk = Arc::new(SimulatedDisk::new(turns));
        let file = || DiskGuard::new(Arc::clone(&disk) as Arc<dyn Disk>, "guard");
        let last = guard.load().unwrap().unwrap();
        for _ in 0..=turns {
            file().store(&last).unwrap();
        }
        chain.move_guard(&mut file()).unwrap();
        let moved = file().load().unwrap().unwrap();
        assert!(moved.log != last.log && moved.chain == last.chain, "{moved:?}");
    }
    chain.move_guard(&mut guard).unwrap();
    chain.move_guard(&mut guard).unwrap();
    close(copy, chain).await;
    for _ in 0..2 {
        let copy = host(new.path()).await;
        let chain = copy.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
        grow(&chain, 3).await;
        assert!(told(&chain, closing).len() > begun.len());
        close(copy, chain).await;
    }
    let first = host(old.path()).await;
    let error = first.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap_err();
    assert!(matches!(error, HostError::Consensus(StartError::Vote(VoteError::ForeignLog { .. }))), "{error}");
    first.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_has_seen_more_than_the_snapshot_stays_where_it_is() {
    let [old, new, snapshot] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut guard = MemoryGuard::new();
    let manifest = original(old.path(), &guard, snapshot.path()).await;
    let first = host(old.path()).await;
    let chain = first.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    grow(&chain, 1).await;
    close(first, chain).await;
    let before = guard.load().unwrap();
    let copy = host(new.path()).await;
    let chain = import(&copy, snapshot.path()).await.unwrap();
    let error = chain.move_guard(&mut guard).unwrap_err();
    let MoveGuardError::Behind { newest, .. } = error else { panic!("{error}") };
    assert_eq!((newest, guard.load().unwrap()), (manifest.height().next(), before));
    assert!(matches!(chain.move_guard(&mut MemoryGuard::new()), Err(MoveGuardError::Missing)));
    close(copy, chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_folders_are_refused_by_file_and_leave_nothing() {
    let [old, other, new, snapshot, foreign] = [(); 5].map(|()| tempfile::tempdir().unwrap());
    let manifest = original(old.path(), &MemoryGuard::new(), snapshot.path()).await;
    let host = host(new.path()).await;
    let refused = async |folder: &Path| match import(&host, folder).await {
        Err(HostError::SnapshotFolder { folder: named, error }) => {
            assert_eq!(named, folder);
            error
        }
        other => panic!("{other:?}"),
    };
    let nowhere = new.path().join("nowhere");
    assert!(matches!(refused(&nowhere).await, SnapshotStoreError::Disk(_)));
    assert!(!nowhere.exists());
    let error = refused(other.path()).await;
    assert_eq!(error.to_string(), "manifest is missing: the folder holds no whole snapshot");

    // Another chain's.
    let elsewhere = self::host(other.path()).await;
    let chain = elsewhere.chain(genesis("milk"), Solo::new(owner())).await.unwrap();
    grow(&chain, 12).await;
    let foreigner = chain.export_snapshot(foreign.path(), SMALL).await.unwrap();
    close(elsewhere, chain).await;
    let error = refused(foreign.path()).await;
    assert!(
        matches!(&error, SnapshotStoreError::Snapshot(error) if matches!(**error, SnapshotError::WrongChain { .. }))
    );
    assert!(error.to_string().contains(&genesis("milk").chain().to_string()), "{error}");

    // A chunk that is damaged, cut, another chain's, or gone; and each time nothing counts.
    let name = chunk_file(&manifest.chunks[2]);
    let path = snapshot.path().join(&name);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mixed = fs::read(foreign.path().join(chunk_file(&foreigner.chunks[2]))).unwrap();
    for wrong in [&flipped, &whole[..whole.len() - 1].to_vec(), &mixed] {
        fs::write(&path, wrong).unwrap();
        let error = refused(snapshot.path()).await;
        assert!(matches!(&error, SnapshotStoreError::Damaged { file, .. } if *file == name), "{error}");
        assert!(host.closed_chains().is_empty());
    }
    fs::remove_file(&path).unwrap();
    let error = refused(snapshot.path()).await;
    assert!(error.to_string().starts_with(&format!("{name} is missing: it is chunk 2 of the snapshot")), "{error}");
    fs::write(&path, &whole).unwrap();
    let manifest_file = snapshot.path().join(MANIFEST_FILE);
    let bytes = fs::read(&manifest_file).unwrap();
    let mut stale = bytes.clone();
    stale[0] = 7;
    fs::write(&manifest_file, &stale).unwrap();
    let error = refused(snapshot.path()).await;
    assert!(error.to_string().contains("has version 7"), "{error}");
    fs::write(&manifest_file, &bytes).unwrap();

    // What was good is there already, and the rest comes now.
    let chain = import(&host, snapshot.path()).await.unwrap();
    assert!(matches!(import(&host, snapshot.path()).await, Err(HostError::AlreadyOpen { .. })));
    close(host, chain).await;
    let host = self::host(new.path()).await;
    let again = import(&host, snapshot.path()).await.unwrap_err();
    assert!(
        matches!(&again, HostError::Snapshot(SnapshotStoreError::ChainExists { height, .. }) if *height > manifest.height()),
        "{again}"
    );
    // That it was refused changes nothing.
    let chain = host.chain(genesis("tea"), Observer).await.unwrap();
    close(host, chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_that_were_lost_come_from_a_snapshot_and_the_log_goes_on_behind_it() {
    let [old, new, early, late] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let guard = MemoryGuard::new();
    let first = host(old.path()).await;
    let chain = first.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    grow(&chain, 6).await;
    let oldest = chain.export_snapshot(early.path(), SMALL).await.unwrap();
    grow(&chain, 6).await;
    let newest = chain.export_snapshot(late.path(), SMALL).await.unwrap();
    grow(&chain, 6).await;
    let end = chain.progress().executed;
    let expected = told(&chain, newest.height().next());
    close(first, chain).await;
    let lose = |folder: &Path| fs::remove_dir_all(folder.join("views")).unwrap();

    // Where the log has everything, a snapshot spares the blocks before it.
    lose(old.path());
    let first = host(old.path()).await;
    let chain = import(&first, late.path()).await.unwrap();
    assert_eq!(told(&chain, newest.height().next()), expected);
    assert_eq!(chain.kept().first, newest.height().next());
    close(first, chain).await;
    let first = host(old.path()).await;
    let chain = first.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    assert_eq!((chain.progress().executed, told(&chain, newest.height().next())), (end, expected));
    close(first, chain).await;

    // Where the log begins with a snapshot, it takes one of that block or a later one.
    let copy = host(new.path()).await;
    let chain = import(&copy, early.path()).await.unwrap();
    close(copy, chain).await;
    lose(new.path());
    let copy = host(new.path()).await;
    let error = copy.chain(genesis("tea"), Observer).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Recovery(RecoveryError::Cut { cut, views: Height(0), .. }) if *cut == oldest.height()),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("a snapshot of block {} or a later one", oldest.height())), "{error}");
    let chain = import(&copy, late.path()).await.unwrap();
    assert_eq!(chain.progress().executed, newest.height().next());
    close(copy, chain).await;
    lose(new.path());
    let copy = host(new.path()).await;
    let error = import(&copy, early.path()).await.unwrap_err();
    assert!(
        matches!(error, HostError::SnapshotBelow { height, base, .. } if (height, base) == (oldest.height(), newest.height()))
    );
    let chain = import(&copy, late.path()).await.unwrap();
    let begun = told(&chain, newest.height().next());
    close(copy, chain).await;

    // Views that can't be opened are set aside: the log alone can't bring them back.
    let damaged = new.path().join("views").join("bulk");
    fs::remove_dir_all(&damaged).unwrap();
    fs::write(&damaged, b"no folder").unwrap();
    let copy = host(new.path()).await;
    assert!(copy.rebuilt_views().is_some());
    assert!(new.path().join("views-damaged-1").join("bulk").exists());
    assert!(matches!(copy.chain(genesis("tea"), Observer).await, Err(HostError::Recovery(RecoveryError::Cut { .. }))));
    let chain = import(&copy, late.path()).await.unwrap();
    assert_eq!(told(&chain, newest.height().next()), begun);
    close(copy, chain).await;
}

/// Orders transactions until the host has cut its log so many times.
async fn grow_until_cut(host: &Host, chain: &Chain, cuts: u64) {
    while host.growth()[0].cuts < cuts {
        grow(chain, 10).await;
        assert_eq!(host.growth()[0].error, None);
        assert!(chain.progress().executed.0 < 3_000, "the log isn't cut: {:?}", host.growth());
    }
}

/// All blocks behind `base` are here, with their results.
fn has_all_behind(chain: &Chain, base: Height) {
    let kept = chain.kept();
    assert_eq!(kept.first, base.next());
    for height in (kept.first.0..=kept.newest.0).map(Height) {
        assert_eq!(chain.results(height).unwrap().len(), chain.block(height).unwrap().transactions.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_begins_with_a_snapshot_is_cut_like_any_other() {
    let members = Keepers::Members(vec![MemorySigner::from_seed([9; 32]).public_key()].into());
    for policy in [ChainPolicy::archive(), ChainPolicy::new(Retention::StateOnly, members).unwrap()] {
        let [old, new, snapshot] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let mut guard = MemoryGuard::new();
        let base = original(old.path(), &guard, snapshot.path()).await.height();
        let start = || builder().limits(growing(policy.clone())).folder(new.path()).unwrap().start();
        let host = start().await.unwrap();
        let chain = import(&host, snapshot.path()).await.unwrap();
        chain.move_guard(&mut guard).unwrap();
        close(host, chain).await;
        let host = start().await.unwrap();
        let chain = host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
        grow_until_cut(&host, &chain, 3).await;
        let archives = policy.retention == Retention::Archive;
        assert_eq!(chain.kept().first == base.next(), archives, "{:?}", chain.kept());
        close(host, chain).await;
        for _ in 0..2 {
            let host = start().await.unwrap();
            let chain = host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
            let kept = chain.kept();
            assert!(kept.first > base && (kept.first == base.next()) == archives, "{kept:?}");
            reads_what_is_kept(&chain, 0);
            assert!(matches!(chain.block(base), Err(ChainError::Pruned { .. })));
            grow(&chain, 2).await;
            close(host, chain).await;
        }
        // Without the views the archive has what is behind the snapshot, and not what the snapshot had.
        fs::remove_dir_all(new.path().join("views")).unwrap();
        let host = start().await.unwrap();
        let error = host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap_err();
        assert!(matches!(error, HostError::Recovery(RecoveryError::Cut { views: Height(0), .. })), "{error}");
        match (import(&host, snapshot.path()).await, archives) {
            (Ok(chain), true) => {
                assert_eq!(chain.kept().first, base.next());
                close(host, chain).await;
            }
            (Err(HostError::SnapshotBelow { .. }), false) => host.shutdown().await.map(drop).unwrap(),
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_cut_behind_views_that_never_had_its_first_blocks() {
    let [old, snapshot] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let guard = MemoryGuard::new();
    let base = original(old.path(), &guard, snapshot.path()).await.height();
    let start = || builder().limits(growing(ChainPolicy::archive())).folder(old.path()).unwrap().start();
    let open = async |host: &Host| host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    let host = start().await.unwrap();
    let chain = open(&host).await;
    grow(&chain, 6).await;
    close(host, chain).await;
    fs::remove_dir_all(old.path().join("views")).unwrap();
    let host = start().await.unwrap();
    let chain = import(&host, snapshot.path()).await.unwrap();
    close(host, chain).await;
    let host = start().await.unwrap();
    let chain = open(&host).await;
    grow_until_cut(&host, &chain, 3).await;
    close(host, chain).await;
    let host = start().await.unwrap();
    let chain = open(&host).await;
    has_all_behind(&chain, base);
    close(host, chain).await;
}

/// A log in which the chain begins again and again, each time further on, is cut between its beginnings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_with_many_beginnings_is_cut_between_them() {
    const BEGINNINGS: usize = 24;
    let [old, new] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let snapshots: Vec<_> = (0..BEGINNINGS).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut guard = MemoryGuard::new();
    let host = self::host(old.path()).await;
    let chain = host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
    let mut base = Height(0);
    for snapshot in &snapshots {
        grow(&chain, 2).await;
        base = chain.export_snapshot(snapshot.path(), ExportConfig::default()).await.unwrap().height();
    }
    close(host, chain).await;
    // Small segments, taken up one by one.
    let mut limits = growing(ChainPolicy::archive());
    limits.log.segment_bytes = 2_048;
    limits.growth = limits.growth.map(|growth| GrowthConfig { log_bytes: 20_000, step_bytes: 1_000, ..growth });
    let start = || builder().limits(limits.clone()).folder(new.path()).unwrap().start();
    for (number, snapshot) in snapshots.iter().enumerate() {
        if number > 0 {
            fs::remove_dir_all(new.path().join("views")).unwrap();
        }
        let host = start().await.unwrap();
        let chain = import(&host, snapshot.path()).await.unwrap();
        chain.move_guard(&mut guard).map_or_else(|_| assert!(number + 1 < BEGINNINGS), |()| ());
        close(host, chain).await;
    }
    let segments = fs::read_dir(new.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(segments.filter(|name| name.starts_with("log-")).count() > 4);
    for cuts in [12, 2] {
        let host = start().await.unwrap();
        let chain = host.chain(genesis("tea"), Solo::new(owner()).guard(guard.clone())).await.unwrap();
        grow_until_cut(&host, &chain, cuts).await;
        has_all_behind(&chain, base);
        close(host, chain).await;
    }
}

/// Power is cut at each operation of the disk while a chain is begun, and the views keep what was in them then, or less:
/// the chain isn't there, or says that it is to be begun again, or is whole; and beginning again always ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_moment_of_beginning_costs_nothing_but_beginning_again() {
    let [old, snapshot] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let closing = original(old.path(), &MemoryGuard::new(), snapshot.path()).await.height().next();
    let on = |disk: SimulatedDisk, views: &MemoryEngine| builder().disk(disk).engine(views.clone()).start();
    let (mut unknown, mut unfinished, mut whole, mut views_lost) = (0, 0, 0, 0);
    for operation in 1.. {
        let (disk, views) = (SimulatedDisk::new(operation), MemoryEngine::new(MemoryConfig { kept_batches: 1_000 }));
        let host = on(disk.clone(), &views).await.unwrap();
        disk.crash_at(disk.operations() + operation);
        let begun = import(&host, snapshot.path()).await;
        let done = begun.is_ok();
        drop(begun);
        // The log may have failed.
        let _ = host.shutdown().await;
        for seed in 0..4 {
            let back = views.batches().saturating_sub(seed * 2);
            let left = views.rewind_torn(back, seed).unwrap();
            let host = on(disk.survivor(seed), &left).await.unwrap();
            if host.closed_chains().is_empty() {
                unknown += 1;
                assert!(!done);
            } else {
                match host.chain(genesis("tea"), Observer).await {
                    Ok(chain) => {
                        whole += 1;
                        assert_eq!(chain.progress().executed, closing);
                        close(host, chain).await;
                        continue;
                    }
                    Err(HostError::Recovery(RecoveryError::Unfinished { base, snapshot, .. })) => {
                        unfinished += 1;
                        assert_eq!((base.next(), snapshot.next()), (closing, closing));
                    }
                    Err(HostError::Recovery(RecoveryError::Cut { cut, views: Height(0), .. })) => {
                        views_lost += 1;
                        assert_eq!(cut.next(), closing);
                    }
                    Err(error) => panic!("operation {operation}, seed {seed}: {error}"),
                }
            }
            let chain = import(&host, snapshot.path()).await.unwrap();
            assert_eq!(chain.progress().executed, closing, "operation {operation}, seed {seed}");
            close(host, chain).await;
        }
        if done {
            break;
        }
    }
    // And again while it is begun again, on what the first crash left.
    for (first, second) in (1..=12).flat_map(|first| [1, 3, 5, 7, 9].map(|second| (first, second))) {
        let (mut disk, views) = (SimulatedDisk::new(first), MemoryEngine::new(MemoryConfig { kept_batches: 1_000 }));
        for crash in [first, second] {
            let host = on(disk.clone(), &views).await.unwrap();
            disk.crash_at(disk.operations() + crash);
            drop(import(&host, snapshot.path()).await);
            let _ = host.shutdown().await;
            disk = disk.survivor(first + second);
        }
        let host = on(disk, &views).await.unwrap();
        let chain = match import(&host, snapshot.path()).await {
            Ok(chain) => chain,
            Err(HostError::Snapshot(SnapshotStoreError::ChainExists { .. })) => {
                host.chain(genesis("tea"), Observer).await.unwrap()
            }
            Err(error) => panic!("{first}, {second}: {error}"),
        };
        assert_eq!(chain.progress().executed, closing, "{first}, {second}");
        close(host, chain).await;
    }
    println!("{unknown} unknown, {unfinished} unfinished, {views_lost} without views, {whole} whole");
    assert!(unknown > 0 && unfinished > 0 && whole > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_takes_in_a_node_that_begins_from_a_snapshot() {
    let snapshot = tempfile::tempdir().unwrap();
    let mut network = Network::new(4);
    for number in 0..3 {
        network.start(number).await;
    }
    let guard = MemoryGuard::new();
    network.start_guarded(3, Some(guard.clone()), None).await.unwrap();
    let contract = network.deploy(0).await;
    let mut height = Height(0);
    for number in 1..20 {
        height = mint(network.chain(0), contract, number).await;
    }
    // While blocks go on.
    let chain = network.chain(1).clone();
    let (exported, ()) = tokio::join!(chain.export_snapshot(snapshot.path(), SMALL), async {
        for number in 20..40 {
            height = mint(network.chain(0), contract, number).await;
        }
    });
    drop(chain);
    let base = exported.unwrap().height();
    network.observe_from(4, snapshot.path()).await;
    certified(network.chain(4), height).await;
    assert_eq!(supply(network.chain(4), contract), 5 * 39);
    let error = network.chain(4).block(base).unwrap_err();
    assert!(matches!(error, ChainError::Pruned { first, .. } if first == base.next()), "{error}");
    for round in 0..2 {
        height = mint(network.chain(round), contract, 40 + round as u64).await;
        for number in 0..5 {
            certified(network.chain(number), height).await;
        }
        let behind = |chain: &Chain| {
            (base.0..=height.0).map(|at| chain.header(Height(at)).unwrap().digest()).collect::<Vec<_>>()
        };
        assert_eq!(behind(network.chain(4)), behind(network.chain(0)));
        same_blocks(&[network.chain(0), network.chain(1)], height);
        network.stop(4).await;
        network.observe(4).await;
    }

    // A validator whose folder is lost, and whose guard isn't, begins from a snapshot only to follow.
    network.stop(3).await;
    network.empty(3);
    let voted = guard.load().unwrap().unwrap();
    assert!(voted.last.is_some());
    let error = network.start_guarded(3, Some(guard.clone()), Some(snapshot.path())).await.unwrap_err();
    assert!(matches!(error, HostError::Consensus(StartError::Vote(VoteError::ForeignLog { .. }))), "{error}");
    // Nor does it get a new guard there.
    let error = network.start_guarded(3, None, None).await.unwrap_err();
    assert!(
        matches!(error, HostError::Consensus(StartError::Vote(VoteError::Guard(GuardError::Absent { .. })))),
        "{error}"
    );
    network.observe(3).await;
    let mut own = guard.clone();
    assert!(matches!(network.chain(3).move_guard(&mut own), Err(MoveGuardError::NotOneOwner)));
    assert_eq!(guard.load().unwrap(), Some(voted));
    height = mint(network.chain(0), contract, 42).await;
    certified(network.chain(3), height).await;
}
