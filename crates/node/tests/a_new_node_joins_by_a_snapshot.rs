//! A node with an empty folder joins four validators by a snapshot that they give, on real folders: with the same state,
//! through lies of one of them and breaks of its own, and it follows the blocks behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::network::{Network, certified, client, mint, same_blocks, supply, within};
use ledger_consensus::Observer;
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_core::codec::{self, Bytes};
use ledger_core::{
    AccountId, ChainId, ContractId, Height, KeyRange, Lane, SnapshotManifest, StateView, TransactionBuilder,
};
use ledger_crypto::{Digest, PublicKey};
use ledger_network::{Admission, InProcessTransport, Inbox, JoinError, Observers, PeerReport, SendError, Transport};
use ledger_node::core::{Offer, PART_BYTES, SyncMessage};
use ledger_node::{Chain, ChainError, Host, HostError, JoinConfig, JoinProgress, Limits, SnapshotConfig};
use ledger_storage::snapshot::ExportConfig;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Snapshots every few blocks, of chunks of a few keys.
fn limits() -> Limits {
    let export = ExportConfig { chunk_bytes: 1 << 10 };
    let snapshots = SnapshotConfig { every_blocks: 4, interval: Duration::ZERO, export, ..SnapshotConfig::default() };
    Limits { snapshots, ..Limits::default() }
}

/// Four validators whose state has some thousand keys; the last number of the client and the height.
async fn grown() -> (Network, ContractId, u64) {
    let mut network = Network::new(4);
    network.limits = limits();
    for number in 0..4 {
        network.start(number).await;
    }
    let contract = network.deploy(0).await;
    for number in 1..=16 {
        grow(network.chain(0), contract, number).await;
    }
    (network, contract, 16)
}

/// Mints to 64 accounts that have nothing yet.
async fn grow(chain: &Chain, contract: ContractId, number: u64) -> Height {
    let account = |index: u64| {
        let mut id = [7; 32];
        id[..8].copy_from_slice(&(number * 64 + index).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        AccountId(Digest::new(id))
    };
    let grants: Vec<Grant> = (0..64).map(|index| Grant { account: account(index), amount: 5 }).collect();
    let call = TransactionBuilder::call(chain.id(), contract, "mint", mint_arguments(&grants));
    let transaction = call.sequence(0, number).sign(&client()).unwrap();
    let mut pending = chain.submit(transaction).await.unwrap();
    within("a transaction", pending.certified()).await.unwrap().executed.place.height
}

async fn join(host: &Host, network: &Network, progress: &watch::Sender<JoinProgress>) -> Result<Chain, HostError> {
    host.join(network.genesis().clone(), Observer, Observers::None, progress).await
}

fn keys(chain: &Chain, contract: ContractId) -> Vec<(ledger_core::Key, ledger_core::Versioned)> {
    chain.state().scan(&KeyRange::prefix(contract, &[])).collect::<Result<_, _>>().unwrap()
}

/// As [`join`], once the thread of one that was given up has ended: what it was keeping at that moment is kept first.
async fn join_when_free(
    host: &Host,
    network: &Network,
    progress: &watch::Sender<JoinProgress>,
) -> Result<Chain, HostError> {
    loop {
        match join(host, network, progress).await {
            Err(HostError::AlreadyOpen { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
            done => return done,
        }
    }
}

/// The chain began behind the genesis, is where the others are, and has their state.
async fn has_joined(network: &Network, contract: ContractId, number: u64) {
    let chain = network.chain(4);
    let height = mint(network.chain(1), contract, number).await;
    for chain in [chain, network.chain(1)] {
        certified(chain, height).await;
    }
    assert!(matches!(chain.block(Height(1)), Err(ChainError::Pruned { .. })), "it took all blocks");
    assert!(chain.kept().first > Height(1));
    assert_eq!(supply(chain, contract), supply(network.chain(1), contract));
    let (own, others) = (keys(chain, contract), keys(network.chain(1), contract));
    assert!(own.len() > 1_000, "{} keys", own.len());
    assert_eq!(own, others);
    // What it proves holds against the same genesis.
    let (key, _) = own.first().unwrap();
    let (proof, checkpoint) = chain.prove_state(key).unwrap();
    let trusted = network.chain(1).trust_root().verify((*checkpoint).clone()).unwrap();
    assert!(proof.verify(&trusted).is_ok());
    let first = chain.kept().first;
    assert!(first < chain.progress().executed);
    for at in first.0..=height.0 {
        let digest = |chain: &Chain| chain.header(Height(at)).unwrap().digest();
        assert_eq!(digest(chain), digest(network.chain(1)), "block {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_it_ends_with_the_same_state_and_follows() {
    let (mut network, contract, mut number) = grown().await;
    let host = network.bare(4).await;
    let (progress, watched) = watch::channel(JoinProgress::default());
    let joined = AtomicBool::new(false);
    let joining = async {
        let chain = join(&host, &network, &progress).await.unwrap();
        joined.store(true, Ordering::Relaxed);
        chain
    };
    // Each of its transactions is waited for, so that it is known which number comes next.
    let load = async {
        while !joined.load(Ordering::Relaxed) {
            number += 1;
            grow(network.chain(0), contract, number).await;
        }
    };
    let (chain, ()) = tokio::join!(joining, load);
    let seen = watched.borrow().clone();
    assert!(seen.banned == 0 && seen.fetched_bytes > 50_000, "{seen:?}");
    network.take_in(4, host, chain);
    has_joined(&network, contract, number + 1).await;
    // And after a restart.
    network.stop(4).await;
    network.observe(4).await;
    has_joined(&network, contract, number + 2).await;
}

#[derive(Clone)]
enum Lie {
    FlipsABitOfChunks,
    Truncates,
    OtherOffsets,
    /// Offers this manifest, whose bytes have been changed, as if it were the newest.
    Forges(Arc<Vec<u8>>),
}

/// A transport that changes what its node gives of snapshots, and counts what it asks for.
struct Meddling {
    inner: InProcessTransport,
    lie: Option<Lie>,
    asked: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl Meddling {
    fn change(&self, original: &Arc<[u8]>) -> Arc<[u8]> {
        let Ok(message) = codec::decode::<SyncMessage>(original) else { return Arc::clone(original) };
        if matches!(message, SyncMessage::GetPiece { .. }) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        let changed = match (message, &self.lie) {
            // What it doesn't have it says.
            (SyncMessage::Piece { bytes, .. }, Some(Lie::FlipsABitOfChunks | Lie::Truncates | Lie::OtherOffsets))
                if bytes.is_empty() =>
            {
                return Arc::clone(original);
            }
            (SyncMessage::Piece { digest, offset, bytes }, Some(Lie::FlipsABitOfChunks)) if bytes.len() < 4_096 => {
                let mut bytes = bytes.into_vec();
                bytes[0] ^= 4;
                SyncMessage::Piece { digest, offset, bytes: bytes.into() }
            }
            (SyncMessage::Piece { digest, offset, bytes }, Some(Lie::Truncates)) => {
                let mut bytes = bytes.into_vec();
                bytes.pop();
                SyncMessage::Piece { digest, offset, bytes: bytes.into() }
            }
            (SyncMessage::Piece { digest, offset, bytes }, Some(Lie::OtherOffsets)) => {
                SyncMessage::Piece { digest, offset: offset + PART_BYTES, bytes }
            }
            (SyncMessage::Snapshot(mut holding), Some(Lie::Forges(forged))) => {
                holding.snapshot = Some(Offer::of(forged, Height(1_000_000)));
                SyncMessage::Snapshot(holding)
            }
            (SyncMessage::Piece { digest, offset, .. }, Some(Lie::Forges(forged)))
                if digest == Offer::of(forged, Height(1)).manifest =>
            {
                let bytes = forged.chunks(PART_BYTES as usize).nth((offset / PART_BYTES) as usize).unwrap_or_default();
                SyncMessage::Piece { digest, offset, bytes: Bytes::from(bytes.to_vec()) }
            }
            _ => return Arc::clone(original),
        };
        self.told.fetch_add(1, Ordering::Relaxed);
        codec::encode(&changed).into()
    }
}

impl Transport for Meddling {
    fn local(&self) -> PublicKey {
        self.inner.local()
    }

    fn join(&self, chain: ChainId, admission: Admission) -> Result<Inbox, JoinError> {
        self.inner.join(chain, admission)
    }

    fn admit(&self, chain: &ChainId, admission: Admission) -> Result<(), JoinError> {
        self.inner.admit(chain, admission)
    }

    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError> {
        let bytes = if lane == Lane::Sync { self.change(&bytes) } else { bytes };
        self.inner.send(chain, to, lane, bytes)
    }

    fn peers(&self) -> Vec<PeerReport> {
        self.inner.peers()
    }
}

/// What the meddling transports share with the test.
#[derive(Default, Clone)]
struct Table {
    lies: Arc<Mutex<Option<Lie>>>,
    asked: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl Table {
    /// From now on validator 0 is started with the lie, and what node 4 asks for is counted.
    fn set_up(&self, network: &mut Network) {
        let table = self.clone();
        network.wrap = Some(Box::new(move |number, inner| {
            let lie = if number == 0 { table.lies.lock().unwrap().clone() } else { None };
            let asked = if number == 4 { Arc::clone(&table.asked) } else { Arc::default() };
            Arc::new(Meddling { inner, lie, asked, told: Arc::clone(&table.told) })
        }));
    }
}

/// The manifest that validator 1 has made.
fn manifest(network: &Network) -> SnapshotManifest {
    let folder = network.folder(1).join("snapshots").join(network.genesis().chain().to_string());
    let newest = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("manifest"));
    let newest = newest.filter(|path| path.exists()).max().unwrap();
    codec::decode(&std::fs::read(newest).unwrap()).unwrap()
}

/// Joins once with validator 0 lying; gives how far it said that it had come.
async fn join_beside(lie: Lie, network: &mut Network, table: &Table) -> (Chain, Host, JoinProgress) {
    network.stop(0).await;
    *table.lies.lock().unwrap() = Some(lie);
    network.start(0).await;
    let host = network.bare(4).await;
    let (progress, watched) = watch::channel(JoinProgress::default());
    let chain = within("joining", join(&host, network, &progress)).await.unwrap();
    let seen = watched.borrow().clone();
    (chain, host, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_liar_is_dropped_after_a_bad_piece_and_the_others_give_the_rest() {
    let (mut network, contract, mut number) = grown().await;
    let table = Table::default();
    table.set_up(&mut network);
    for lie in [Lie::FlipsABitOfChunks, Lie::Truncates, Lie::OtherOffsets] {
        table.told.store(0, Ordering::Relaxed);
        let (chain, host, seen) = join_beside(lie, &mut network, &table).await;
        // It was asked for one piece, and for no other after it.
        let told = table.told.load(Ordering::Relaxed);
        assert!(told <= 1 && seen.banned == told, "{told} false pieces, {seen:?}");
        network.take_in(4, host, chain);
        number += 1;
        has_joined(&network, contract, number).await;
        network.stop(4).await;
        network.empty(4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_a_false_field_or_of_another_chain_is_refused() {
    let (mut network, contract, mut number) = grown().await;
    let table = Table::default();
    table.set_up(&mut network);
    // Validators make one when they are asked.
    let host = network.bare(5).await;
    let none = watch::channel(JoinProgress::default()).0;
    drop(within("joining", join(&host, &network, &none)).await.unwrap());
    host.shutdown().await.unwrap();

    // All offers are heard before one is taken, however busy the machine is.
    network.limits.join = JoinConfig { gather_ms: 60_000, timeout_ms: 60_000, ..JoinConfig::default() };
    let made = manifest(&network);
    let forged = |change: &dyn Fn(&mut SnapshotManifest)| {
        let mut forged = made.clone();
        change(&mut forged);
        Arc::new(codec::encode(&forged))
    };
    let other = Digest::new([9; 32]);
    let mut chunks = made.chunks.to_vec();
    chunks.swap(1, 2);
    let forgeries = [
        forged(&|manifest| manifest.version += 1),
        forged(&|manifest| manifest.chain = ChainId(other)),
        forged(&|manifest| manifest.checkpoint.checkpoint.header.history.root = other),
        forged(&|manifest| manifest.block.header.height = Height(manifest.block.header.height.0 + 1)),
        forged(&|manifest| manifest.block.certificate = Bytes::default()),
        forged(&|manifest| manifest.outcome.state_root = other),
        forged(&|manifest| manifest.peaks = vec![other].into()),
        forged(&|manifest| manifest.chunks = chunks.clone().into()),
        Arc::new(codec::encode(&made)[..200].to_vec()),
    ];
    for (index, forged) in forgeries.into_iter().enumerate() {
        let (chain, host, seen) = join_beside(Lie::Forges(forged), &mut network, &table).await;
        // Another version may be an honest node's: it isn't taken, and nobody is blamed.
        assert_eq!(seen.banned, u64::from(index > 0), "forgery {index}: {seen:?}");
        network.take_in(4, host, chain);
        number += 1;
        has_joined(&network, contract, number).await;
        network.stop(4).await;
        network.empty(4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_is_gone_on_from_and_nothing_kept_is_fetched_again() {
    let (mut network, contract, number) = grown().await;
    let table = Table::default();
    table.set_up(&mut network);
    // Few that were fetched wait to be kept.
    network.limits.join.memory_bytes = 4 << 10;
    let (mut host, mut kept, mut breaks) = (network.bare(4).await, 0, 0);
    let mut chunks = 0;
    loop {
        let (progress, mut watched) = watch::channel(JoinProgress::default());
        let ended = {
            let joining = join_when_free(&host, &network, &progress);
            tokio::pin!(joining);
            let further = async {
                let wanted = kept + 20;
                let there = watched.wait_for(|progress| progress.kept >= wanted).await.map(|progress| progress.clone());
                there.unwrap()
            };
            tokio::select! {
                chain = &mut joining => Some(chain.unwrap()),
                progress = within("twenty chunks", further) => {
                    (kept, chunks) = (progress.kept, progress.chunks);
                    None
                }
            }
        };
        if let Some(chain) = ended {
            network.take_in(4, host, chain);
            break;
        }
        breaks += 1;
        // The future is gone; every other time the host too.
        if breaks % 2 == 0 {
            host.shutdown().await.unwrap();
            host = network.bare(4).await;
        }
    }
    assert!(breaks >= 3, "{breaks} breaks of {chunks} chunks");
    let asked = table.asked.load(Ordering::Relaxed);
    // One manifest, each chunk once, and what was under way at a break: within the bound of memory, a few.
    let most = 1 + chunks as u64 + breaks * 8;
    assert!(chunks as u64 <= asked && asked <= most, "{asked} parts for {chunks} chunks and {breaks} breaks");
    has_joined(&network, contract, number + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_validators_have_made_they_give_after_a_restart() {
    let (mut network, contract, number) = grown().await;
    let chain = network.genesis().chain();
    let none = watch::channel(JoinProgress::default()).0;
    let host = network.bare(5).await;
    drop(within("joining", join(&host, &network, &none)).await.unwrap());
    host.shutdown().await.unwrap();
    let before = network.host_of(1).snapshot_report(&chain);
    assert!(before.height.is_some() && before.error.is_none(), "{before:?}");
    for number in 0..4 {
        network.stop(number).await;
    }
    // None makes another one.
    network.limits.snapshots.every_blocks = 1_000_000;
    for number in 0..4 {
        network.start(number).await;
    }
    let host = network.bare(4).await;
    let chain = within("joining", join(&host, &network, &none)).await.unwrap();
    network.take_in(4, host, chain);
    has_joined(&network, contract, number + 1).await;
    let after = network.host_of(1).snapshot_report(&network.genesis().chain());
    assert_eq!((after.height, after.making), (before.height, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_has_a_snapshot_it_begins_at_the_genesis() {
    let mut network = Network::new(4);
    network.limits.snapshots.serve = false;
    network.limits.join.patience_ms = 300;
    for number in 0..4 {
        network.start(number).await;
    }
    let contract = network.deploy(0).await;
    let height = mint(network.chain(0), contract, 1).await;
    let host = network.bare(4).await;
    let none = watch::channel(JoinProgress::default()).0;
    let chain = within("joining", join(&host, &network, &none)).await.unwrap();
    network.take_in(4, host, chain);
    certified(network.chain(4), height).await;
    same_blocks(&network.chains(), height);
    assert!(network.chain(4).block(Height(1)).is_ok());
}
