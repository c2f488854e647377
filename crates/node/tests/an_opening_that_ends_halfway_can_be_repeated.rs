//! A chain whose opening is given up, fails or panics is as closed as it was before: what its log has isn't forgotten, nobody
//! else's chain is concerned, and it opens at the same height when the reason is gone.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::network::{Network, within};
use common::{Gate, certify, genesis, numbered, owner, token_executor};
use ledger_consensus::{Bft, EngineFactory, Solo};
use ledger_contracts::testing::HookedExecutor;
use ledger_core::{ChainId, Executor, Genesis, Lane};
use ledger_crypto::PublicKey;
use ledger_network::{Admission, InProcessTransport, Inbox, JoinError, Observers, PeerReport, SendError, Transport};
use ledger_node::{Host, HostError, NodeBuilder};
use ledger_storage::disk::SimulatedDisk;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A host without views, which has to execute all blocks again.
async fn start(disk: &SimulatedDisk, executor: impl Executor + 'static) -> Host {
    NodeBuilder::new().disk(disk.clone()).memory_engine().executor(executor).start().await.unwrap()
}

/// Gives each of so many chains two transactions.
async fn filled(chains: &[Genesis]) -> SimulatedDisk {
    let disk = SimulatedDisk::new(7);
    let host = start(&disk, token_executor()).await;
    for genesis in chains {
        let chain = host.chain(genesis.clone(), Solo::new(owner())).await.unwrap();
        certify(&chain, 0).await;
        certify(&chain, 1).await;
    }
    host.shutdown().await.unwrap();
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_one_chain_is_recovered_keeps_no_other_closed() {
    let chains: Vec<_> = (0..5).map(numbered).collect();
    let (bad, armed) = (numbered(3).chain(), Arc::new(AtomicBool::new(true)));
    let disk = filled(&chains).await;
    let at_execution = Arc::clone(&armed);
    let executor = HookedExecutor::new(token_executor()).before_execution(move |_, context| {
        assert!(context.chain != bad || !at_execution.load(Ordering::SeqCst), "as it was told to");
    });
    let host = start(&disk, executor).await;
    let engines = |_: &Genesis| Some(Box::new(Solo::new(owner())) as Box<dyn EngineFactory>);
    for (id, opened) in host.reopen_all(engines).await {
        match opened {
            Ok(chain) => certify(&chain, 2).await,
            Err(HostError::Panic { chain, message }) => {
                assert_eq!((id, chain, message.as_str()), (bad, bad, "as it was told to"));
            }
            Err(other) => panic!("{id}: {other}"),
        }
    }
    assert!(host.open_chain(&bad).is_none());
    for again in [true, false] {
        armed.store(again, Ordering::SeqCst);
        match host.chain(numbered(3), Solo::new(owner())).await {
            Ok(chain) => certify(&chain, 2).await,
            Err(error) => assert!(again && matches!(error, HostError::Panic { .. }), "{error}"),
        }
    }
    assert!(host.open_chain(&bad).is_some());
    host.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_nobody_waits_for_any_more_loses_nothing() {
    for all in [false, true] {
        let disk = filled(&[genesis("slow")]).await;
        let id = genesis("slow").chain();
        let (gate, executor) = Gate::new(id, 1);
        let host = start(&disk, executor).await;
        let engines = |_: &Genesis| Some(Box::new(Solo::new(owner())) as Box<dyn EngineFactory>);
        // The second block is being executed when whoever wanted the chain goes away.
        tokio::select! {
            opened = host.chain(genesis("slow"), Solo::new(owner())), if !all => panic!("{:?}", opened.map(|_| ())),
            opened = host.reopen_all(engines), if all => panic!("{} opened", opened.len()),
            () = gate.reached(2) => {}
        }
        // The thread is at work still, and two of them would write one chain's views.
        let meanwhile = host.chain(genesis("slow"), Solo::new(owner())).await.map(|_| ());
        assert!(matches!(meanwhile, Err(HostError::AlreadyOpen { chain }) if chain == id), "{meanwhile:?}");
        gate.open_to(u64::MAX);
        let chain = within("the thread that was left alone", async {
            loop {
                match host.chain(genesis("slow"), Solo::new(owner())).await {
                    Ok(chain) => return chain,
                    Err(HostError::AlreadyOpen { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let chain = chain.await;
        assert_eq!(chain.next_number_of(&owner()).unwrap(), 2);
        certify(&chain, 2).await;
        drop(chain);
        host.shutdown().await.unwrap();
        // The log has no second beginning, nor a gap.
        let host = start(&disk, token_executor()).await;
        let chain = host.chain(genesis("slow"), Solo::new(owner())).await.unwrap();
        assert_eq!(chain.next_number_of(&owner()).unwrap(), 3);
        drop(chain);
        host.shutdown().await.unwrap();
    }
}

/// A transport that lets nobody join while it is told so.
struct Refusing(InProcessTransport, Arc<AtomicBool>);

impl Transport for Refusing {
    fn local(&self) -> PublicKey {
        self.0.local()
    }

    fn join(&self, chain: ChainId, admission: Admission) -> Result<Inbox, JoinError> {
        if self.1.load(Ordering::SeqCst) { Err(JoinError::Closed) } else { self.0.join(chain, admission) }
    }

    fn admit(&self, chain: &ChainId, admission: Admission) -> Result<(), JoinError> {
        self.0.admit(chain, admission)
    }

    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError> {
        self.0.send(chain, to, lane, bytes)
    }

    fn peers(&self) -> Vec<PeerReport> {
        self.0.peers()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_that_refuses_once_does_not_make_a_chain_a_new_one() {
    let mut network = Network::new(1);
    let refuses = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&refuses);
    network.wrap = Some(Box::new(move |_, transport| Arc::new(Refusing(transport, Arc::clone(&told)))));
    network.start(0).await;
    network.deploy(0).await;
    let height = network.chain(0).progress().ordered;
    network.stop(0).await;

    refuses.store(true, Ordering::SeqCst);
    let host = network.bare(0).await;
    let open = || host.chain_with(network.genesis().clone(), Bft::new(common::network::member(0)), Observers::None);
    let refused = open().await.map(|_| ());
    assert!(matches!(refused, Err(HostError::Join(JoinError::Closed))), "{refused:?}");
    refuses.store(false, Ordering::SeqCst);
    let chain = open().await.unwrap();
    assert!(chain.progress().ordered >= height, "{:?}", chain.progress());
    drop(chain);
    host.shutdown().await.unwrap();
}
