//! A host that cuts its logs: what a chain's policy keeps is read and proven as before, also after restarts and from views
//! that were lost; what it gives up is refused by name; and power cut while it cuts costs nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::network::within;
use common::{deploy, genesis, growing, owner, reads_what_is_kept};
use ledger_consensus::Solo;
use ledger_contracts::NativeRuntime;
use ledger_contracts::token::Token;
use ledger_core::{AccountId, Height, Key, Proven, TransactionId, codec};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::recovery::RecoveryError;
use ledger_node::{
    Chain, ChainError, ChainPolicy, Host, HostError, Keepers, Kept, NodeBuilder, PolicyError, QuotaExceeded, Retention,
    SubmitError,
};
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::log::{Log, LogConfig, LogPosition, Record, RecordKind};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn account() -> AccountId {
    AccountId::of_ed25519(&owner().public_key())
}

fn keeper() -> Keepers {
    Keepers::Members(vec![MemorySigner::from_seed([9; 32]).public_key()].into())
}

fn builder(policy: ChainPolicy) -> NodeBuilder {
    NodeBuilder::new().runtime(NativeRuntime::new().with(Token)).limits(growing(policy))
}

async fn host(folder: &Path, policy: ChainPolicy) -> Host {
    builder(policy).folder(folder).unwrap().start().await.unwrap()
}

async fn open(host: &Host, name: &str) -> Result<Chain, HostError> {
    host.chain(genesis(name), Solo::new(owner())).await
}

fn state_only() -> ChainPolicy {
    ChainPolicy::new(Retention::StateOnly, keeper()).unwrap()
}

/// Orders transactions until the chain has `blocks` more blocks; returns the transactions' ids.
async fn grow(chain: &Chain, blocks: u64) -> Vec<TransactionId> {
    let until = chain.progress().executed.0 + blocks;
    let mut ids = Vec::new();
    while chain.progress().executed.0 < until {
        let next = chain.next_number(&account(), 0).unwrap();
        let mut pending = chain.submit(deploy(chain, next)).await.unwrap();
        ids.push(pending.accepted().id);
        pending.executed().await.unwrap();
        if ids.len() % 8 == 0 {
            pending.certified().await.unwrap();
        }
    }
    ids
}

/// Orders transactions until the log was cut so many times more; returns their ids.
async fn cut(host: &Host, chain: &Chain, more: u64) -> Vec<TransactionId> {
    let wanted = host.growth()[0].cuts + more;
    let mut ids = Vec::new();
    while host.growth()[0].cuts < wanted {
        assert!(ids.len() < 3_000, "the log isn't cut: {:?}", host.growth());
        ids.extend(grow(chain, 10).await);
        assert_eq!(host.growth()[0].error, None);
    }
    ids
}

/// What the chain says that it keeps, and what `ask` is told then: asked again if something was given up between, which
/// may happen at any time.
fn told_while_kept<T>(chain: &Chain, ask: impl Fn(&Kept) -> T) -> (Kept, T) {
    loop {
        let kept = chain.kept();
        let told = ask(&kept);
        if chain.kept() == kept {
            return (kept, told);
        }
    }
}

fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Every block and every result is there, and proofs of the oldest transactions hold.
fn check_all(chain: &Chain, ids: &[TransactionId]) {
    let newest = chain.progress().executed;
    let mut parent = chain.block(Height::GENESIS).unwrap().header;
    let mut results = 0;
    for height in (1..=newest.0).map(Height) {
        let block = chain.block(height).unwrap();
        assert_eq!(block.header.parent, parent.digest());
        assert_eq!(chain.results(height).unwrap().len(), block.transactions.len());
        results += block.transactions.len();
        parent = block.header;
    }
    assert!(results >= ids.len());
    let root = codec::encode(&chain.trust_root());
    for id in ids.iter().take(3) {
        for (proof, checkpoint) in [chain.prove_transaction(id).unwrap(), chain.prove_receipt(id).unwrap()] {
            let proven = ledger_core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &root).unwrap();
            assert!(matches!(proven, Proven::Transaction { .. } | Proven::Receipt { .. }));
        }
        assert_eq!(chain.status(id).unwrap(), chain.status(id).unwrap());
    }
    assert_eq!(chain.kept().first, Height::GENESIS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_keeps_everything_through_cuts_restarts_and_lost_views() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), ChainPolicy::archive()).await;
    // A chain that rests, with all it has in the segments that go.
    let resting = open(&host, "resting").await.unwrap();
    let rested = grow(&resting, 3).await;
    let chain = open(&host, "busy").await.unwrap();
    let ids = cut(&host, &chain, 3).await;
    check_all(&chain, &ids);
    check_all(&resting, &rested);
    let (mut state, tip) = (chain.next_number(&account(), 0).unwrap(), chain.progress().executed);
    drop((chain, resting));
    host.shutdown().await.unwrap();
    assert!(files(folder.path(), "log-")[0].as_str() > "log-00000000000000000003");
    assert_eq!(files(folder.path(), "start-").len(), 1);
    assert!(!files(folder.path(), "arc-").is_empty());

    for lost in [false, true] {
        if lost {
            fs::remove_dir_all(folder.path().join("views")).unwrap();
        }
        let host = self::host(folder.path(), ChainPolicy::archive()).await;
        assert_eq!(host.closed_chains().len(), 2);
        let chain = open(&host, "busy").await.unwrap();
        let resting = open(&host, "resting").await.unwrap();
        assert!(chain.progress().executed >= tip);
        assert_eq!(chain.next_number(&account(), 0).unwrap(), state);
        check_all(&chain, &ids);
        check_all(&resting, &rested);
        // Both go on.
        grow(&resting, 2).await;
        state += grow(&chain, 2).await.len() as u64;
        drop((chain, resting));
        host.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_is_refused_by_name_and_the_state_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), state_only()).await;
    let chain = open(&host, "busy").await.unwrap();
    let ids = cut(&host, &chain, 1).await;
    grow(&chain, 5).await;
    for attempt in 0..2 {
        let (kept, refused) = told_while_kept(&chain, |_| chain.block(Height(1)).unwrap_err());
        assert!(kept.first > Height(1) && kept.newest >= kept.first && kept.keepers == keeper(), "{kept:?}");
        assert!(matches!(&refused, ChainError::Pruned { height: Height(1), first, .. } if *first == kept.first));
        let keeper = MemorySigner::from_seed([9; 32]).public_key();
        assert_eq!(
            refused.to_string(),
            format!(
                "block 1 isn't kept by this node, which has blocks {} to {}; the archive of the chain is kept by the \
                 member {keeper}",
                kept.first, kept.newest
            ),
            "attempt {attempt}"
        );
        let refused = chain.prove_receipt(&ids[0]).unwrap_err();
        assert!(matches!(refused, ChainError::Pruned { .. }), "{refused}");
        let (_, (block, results)) =
            told_while_kept(&chain, |kept| (chain.block(kept.first), chain.results(kept.first)));
        assert_eq!(block.unwrap().transactions.len(), results.unwrap().len());
        // Headers and the state are kept.
        assert_eq!(chain.header(Height(1)).unwrap().height, Height(1));
        let root = codec::encode(&chain.trust_root());
        let lane = Key::sequence(&account(), 0);
        let (proof, checkpoint) = chain.prove_state(&lane).unwrap();
        ledger_core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &root).unwrap();
    }
    assert!(files(folder.path(), "arc-").is_empty());
    drop(chain);
    host.shutdown().await.unwrap();

    // The views alone are enough to go on.
    let host = self::host(folder.path(), state_only()).await;
    let chain = open(&host, "busy").await.unwrap();
    assert!(matches!(chain.block(Height(1)), Err(ChainError::Pruned { .. })));
    grow(&chain, 3).await;
    drop(chain);
    host.shutdown().await.unwrap();

    // Without them there is nothing to go on from, and nothing is changed.
    fs::rename(folder.path().join("views"), folder.path().join("away")).unwrap();
    let host = self::host(folder.path(), state_only()).await;
    let error = open(&host, "busy").await.unwrap_err();
    assert!(matches!(&error, HostError::Recovery(RecoveryError::Cut { views: Height(0), .. })), "{error}");
    assert!(error.to_string().contains("restore the folders `views` and `log` of one backup together"), "{error}");
    host.shutdown().await.unwrap();
    fs::remove_dir_all(folder.path().join("views")).unwrap();
    fs::rename(folder.path().join("away"), folder.path().join("views")).unwrap();
    let host = self::host(folder.path(), state_only()).await;
    grow(&open(&host, "busy").await.unwrap(), 1).await;
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_heights_are_kept_and_segments_before_them_go() {
    let folder = tempfile::tempdir().unwrap();
    let policy = ChainPolicy::new(Retention::Last(Retention::LEAST), keeper()).unwrap();
    let host = host(folder.path(), policy.clone()).await;
    let chain = open(&host, "busy").await.unwrap();
    while host.growth()[0].archive.deleted == 0 {
        grow(&chain, 40).await;
        assert_eq!(host.growth()[0].error, None);
        assert!(chain.progress().executed.0 < 3_000, "no segment is ever deleted: {:?}", host.growth());
    }
    let kept = chain.kept();
    assert!(kept.first > Height(1) && kept.newest.0 - kept.first.0 + 1 >= Retention::LEAST, "{kept:?}");
    reads_what_is_kept(&chain, Retention::LEAST);
    assert!(matches!(chain.block(Height(1)), Err(ChainError::Pruned { .. })));
    drop(chain);
    host.shutdown().await.unwrap();
    let host = self::host(folder.path(), policy).await;
    let chain = open(&host, "busy").await.unwrap();
    assert!(chain.kept().newest >= kept.newest);
    reads_what_is_kept(&chain, Retention::LEAST);
    drop(chain);
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_breaks_a_promise_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = ChainPolicy { retention: Retention::Last(10), keepers: keeper() };
    let started = builder(refused.clone()).folder(folder.path()).unwrap().start().await;
    assert!(matches!(started, Err(HostError::Policy(PolicyError::TooFew { heights: 10, least: 256 }))));
    let host = host(folder.path(), ChainPolicy::archive()).await;
    let chain = open(&host, "busy").await.unwrap();
    assert!(matches!(host.set_policy(&chain.id(), &refused).await, Err(HostError::Policy(_))));
    let unknown = host.set_policy(&genesis("none").chain(), &ChainPolicy::archive()).await;
    assert!(matches!(unknown, Err(HostError::UnknownChain { .. })));
    assert_eq!(chain.kept().keepers, Keepers::Everyone);
    host.set_policy(&chain.id(), &state_only()).await.unwrap();
    assert_eq!(chain.kept().keepers, keeper());
    drop(chain);
    host.shutdown().await.unwrap();
}

/// A start file that isn't what was written, or that is missing, keeps the host from starting; a bit of it is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_missing_start_of_the_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), state_only()).await;
    let chain = open(&host, "busy").await.unwrap();
    cut(&host, &chain, 1).await;
    drop(chain);
    host.shutdown().await.unwrap();
    let name = files(folder.path(), "start-").pop().unwrap();
    let path = folder.path().join(&name);
    let whole = fs::read(&path).unwrap();
    for offset in [0, 9, 30, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[offset] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = builder(state_only()).folder(folder.path()).unwrap().start().await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name} is damaged: ")), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = builder(state_only()).folder(folder.path()).unwrap().start().await.unwrap_err();
    assert!(error.to_string().contains("no start file says what came before"), "{error}");
    fs::write(&path, whole).unwrap();

    // Where the log is gone, none is begun beside what is left of it.
    let (logs, aside) = (files(folder.path(), "log-"), tempfile::tempdir().unwrap());
    for log in &logs {
        fs::copy(folder.path().join(log), aside.path().join(log)).unwrap();
        fs::remove_file(folder.path().join(log)).unwrap();
    }
    let error = builder(state_only()).folder(folder.path()).unwrap().start().await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{name} says what the removed front of a log held")), "{error}");
    assert_eq!(files(folder.path(), "log-"), Vec::<String>::new());
    for log in &logs {
        fs::copy(aside.path().join(log), folder.path().join(log)).unwrap();
    }
    let host = self::host(folder.path(), state_only()).await;
    open(&host, "busy").await.unwrap();
    host.shutdown().await.unwrap();
}

/// Power is cut at many I/O points of a host that grows and cuts; whatever survives opens again, and all that was
/// acknowledged is there. The views are in memory, so that they are made anew from archive and log each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_while_the_log_is_cut_costs_nothing_acknowledged() {
    let (mut crashed, mut after_a_cut) = (0, 0);
    for round in 0..24_u64 {
        let disk = SimulatedDisk::new(round);
        let build = |disk: &SimulatedDisk| builder(ChainPolicy::archive()).disk(disk.clone()).memory_engine();
        let host = build(&disk).start().await.unwrap();
        let chain = open(&host, "busy").await.unwrap();
        disk.crash_at(disk.operations() + 40 + round * 37);
        let mut acknowledged = (Height(0), 0);
        loop {
            let number = acknowledged.1;
            let Ok(mut pending) = chain.submit(deploy(&chain, number)).await else { break };
            let Ok(executed) = pending.executed().await else { break };
            acknowledged = (executed.place.height, number + 1);
        }
        crashed += disk.faults().crashes;
        drop(chain);
        // The log has failed, which closing it says.
        drop(host.shutdown().await);
        for survivor in 0..4 {
            let left = disk.survivor(if survivor < 2 { survivor } else { survivor + round * 1_009 });
            let host = build(&left).start().await.unwrap();
            let chain = open(&host, "busy").await.unwrap();
            let tip = chain.progress().executed;
            assert!(tip >= acknowledged.0, "round {round}: {tip} of {acknowledged:?}");
            assert!(chain.next_number(&account(), 0).unwrap() >= acknowledged.1);
            for height in (1..=tip.0).map(Height) {
                assert_eq!(chain.block(height).unwrap().transactions.len(), chain.results(height).unwrap().len());
            }
            after_a_cut += u64::from(left.list().unwrap().iter().any(|name| name.starts_with("start-")));
            drop(chain);
            host.shutdown().await.unwrap();
        }
    }
    println!("{crashed} crashes, {after_a_cut} survivors with a cut log");
    assert!(crashed == 24 && after_a_cut > 20, "{crashed} crashes, {after_a_cut} after a cut");
}

/// What is left of a chain whose record is damaged isn't thrown away, however much the others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_cut_up_to_a_damaged_record_and_no_further() {
    const HEAD: u64 = 64;
    let disk = SimulatedDisk::new(3);
    // Views in memory are made anew from archive and log each time.
    let build = |disk: &SimulatedDisk| builder(ChainPolicy::archive()).disk(disk.clone()).memory_engine();
    let host = build(&disk).start().await.unwrap();
    let (busy, quiet) = (open(&host, "busy").await.unwrap(), open(&host, "quiet").await.unwrap());
    grow(&busy, 60).await;
    grow(&quiet, 3).await;
    grow(&busy, 3).await;
    drop((busy, quiet));
    host.shutdown().await.unwrap();
    let log = Log::open(Arc::new(disk.clone()), LogConfig::default()).unwrap();
    let quiet = genesis("quiet").chain();
    let own = |entry: &(LogPosition, Record)| entry.1.chain == quiet.0 && entry.1.kind == RecordKind::PAYLOAD;
    let (place, _) = log.reader().records().map(Result::unwrap).find(own).unwrap();
    drop(log);
    disk.flip_bit(&format!("log-{:020}", place.segment), (place.offset + HEAD) * 8).unwrap();

    let host = build(&disk).start().await.unwrap();
    let busy = open(&host, "busy").await.unwrap();
    cut(&host, &busy, 1).await;
    grow(&busy, 300).await;
    let names = disk.list().unwrap().into_iter();
    let first: u64 = names.filter_map(|name| name.strip_prefix("log-")?.parse().ok()).min().unwrap();
    assert_eq!(host.growth()[0].error, None);
    assert!(first > 1 && first <= place.segment, "cut to segment {first}, the damage is in {}", place.segment);
    drop(busy);
    host.shutdown().await.unwrap();
    let host = build(&disk).start().await.unwrap();
    open(&host, "busy").await.unwrap();
    assert!(matches!(open(&host, "quiet").await, Err(HostError::Damaged { chain, .. }) if chain == quiet));
    host.shutdown().await.unwrap();
}

/// What was said of one chain holds after a restart, also of a log from which the saying was cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_s_policy_is_kept_through_restarts_and_cuts() {
    let folder = tempfile::tempdir().unwrap();
    // The host would give everything up.
    let host = host(folder.path(), state_only()).await;
    let (whole, other) = (open(&host, "whole").await.unwrap(), open(&host, "other").await.unwrap());
    let archive = ChainPolicy::new(Retention::Archive, keeper()).unwrap();
    host.set_policy(&whole.id(), &archive).await.unwrap();
    assert_eq!(host.policy(&whole.id()), Some(archive.clone()));
    assert_eq!(host.policy(&other.id()), Some(state_only()));
    drop((whole, other));
    host.shutdown().await.unwrap();
    for _ in 0..2 {
        let host = self::host(folder.path(), state_only()).await;
        let (whole, other) = (open(&host, "whole").await.unwrap(), open(&host, "other").await.unwrap());
        assert_eq!(host.policy(&whole.id()), Some(archive.clone()));
        assert_eq!(host.policy(&other.id()), Some(state_only()));
        grow(&other, 20).await;
        cut(&host, &whole, 2).await;
        assert_eq!(whole.kept().first, Height::GENESIS);
        assert_eq!(whole.kept().keepers, keeper());
        assert!(other.kept().first > Height::GENESIS);
        whole.block(Height(1)).unwrap();
        assert!(matches!(other.block(Height(1)), Err(ChainError::Pruned { .. })));
        drop((whole, other));
        host.shutdown().await.unwrap();
    }
    let mut many = vec![owner().public_key(); ChainPolicy::MAX_KEEPERS];
    assert!(ChainPolicy::new(Retention::StateOnly, Keepers::Members(many.clone().into())).is_ok());
    many.push(owner().public_key());
    let found = many.len();
    let refused = ChainPolicy::new(Retention::Archive, Keepers::Members(many.into()));
    assert_eq!(refused, Err(PolicyError::TooManyKeepers { found, limit: ChainPolicy::MAX_KEEPERS }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_bounds_what_is_in_the_log_and_not_what_ever_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = growing(state_only());
    limits.quota.log_bytes = Some(150_000);
    let builder = NodeBuilder::new().runtime(NativeRuntime::new().with(Token)).limits(limits);
    let host = builder.folder(folder.path()).unwrap().start().await.unwrap();
    let chain = open(&host, "busy").await.unwrap();
    // Several times as much as the quota has gone through the log, whenever it was cut.
    let mut refused = 0;
    while host.log_counters().bytes < 600_000 {
        let next = chain.next_number(&account(), 0).unwrap();
        match chain.submit(deploy(&chain, next)).await {
            Ok(mut pending) => _ = pending.executed().await.unwrap(),
            Err(SubmitError::Quota(QuotaExceeded::Log { used, .. })) => {
                refused += 1;
                assert!(used <= 152_000 && refused < 10_000, "{used} bytes after {:?}", host.growth());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(host.growth()[0].cuts > 1);
    drop(chain);
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_nobody_waits_for_any_more_counts_as_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), state_only()).await;
    let chain = open(&host, "kept").await.unwrap();
    let id = chain.id();
    assert_eq!(host.policy(&id), Some(state_only()));
    let archive = ChainPolicy::archive();
    tokio::select! {
        biased;
        // Where the log was quicker there was nothing to wait for.
        done = host.set_policy(&id, &archive) => done.unwrap(),
        () = std::future::ready(()) => {}
    }
    within("the policy", async {
        while host.policy(&id) != Some(ChainPolicy::archive()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    drop(chain);
    host.shutdown().await.unwrap();
    let host = self::host(folder.path(), state_only()).await;
    let chain = open(&host, "kept").await.unwrap();
    assert_eq!(host.policy(&id), Some(ChainPolicy::archive()));
    drop(chain);
    host.shutdown().await.unwrap();
}
