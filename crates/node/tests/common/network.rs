//! Four validators and more in one process, on real folders.
#![allow(clippy::panic, clippy::indexing_slicing)]

use super::token_executor;
use ledger_consensus::{Bft, Observer};
use ledger_contracts::NATIVE;
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_core::{
    AccountId, ContractId, Executor, Genesis, Height, Timestamp, TransactionBuilder, Validator, ValidatorSet, Weight,
};
use ledger_crypto::{MemoryGuard, MemorySigner, PublicKey, Signer};
use ledger_network::{InProcessHub, InProcessTransport, NetworkConfig, Observers, Transport};
use ledger_node::{Chain, Host, HostError, Limits, NodeBuilder};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) fn member(number: usize) -> MemorySigner {
    MemorySigner::from_seed([100 + u8::try_from(number).unwrap(); 32])
}

pub(crate) fn client() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

/// Puts something between a node and its transport.
pub(crate) type Wrap = Box<dyn Fn(usize, InProcessTransport) -> Arc<dyn Transport>>;

struct Node {
    host: Host,
    chain: Chain,
}

/// Validators and observers that are started and stopped by number.
pub(crate) struct Network {
    hub: InProcessHub,
    genesis: Genesis,
    folders: Vec<TempDir>,
    nodes: Vec<Option<Node>>,
    /// Of nodes that are started from now on.
    pub(crate) limits: Limits,
    /// What stands between a node and its transport, by number.
    pub(crate) wrap: Option<Wrap>,
}

impl Network {
    /// `count` validators, none of them started. There is room for four nodes more.
    pub(crate) fn new(count: usize) -> Self {
        let validator = |number| Validator { key: member(number).public_key(), weight: Weight(1) };
        let set = ValidatorSet::new((0..count).map(validator)).unwrap();
        Network {
            hub: InProcessHub::new(NetworkConfig::default()).unwrap(),
            genesis: Genesis::bft("test", &set, Timestamp(1_000)),
            folders: (0..count + 4).map(|_| tempfile::tempdir().unwrap()).collect(),
            nodes: (0..count + 4).map(|_| None).collect(),
            limits: Limits::default(),
            wrap: None,
        }
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// A host of the node with this number, without its chain.
    pub(crate) async fn bare(&self, number: usize) -> Host {
        self.host(number, member(number).public_key(), token_executor()).await
    }

    /// The transport of a member that runs no node of ours.
    pub(crate) fn transport(&self, number: usize) -> InProcessTransport {
        self.hub.transport(member(number).public_key())
    }

    /// Takes in a node that was started by hand.
    pub(crate) fn take_in(&mut self, number: usize, host: Host, chain: Chain) {
        self.nodes[number] = Some(Node { host, chain });
    }

    async fn host(&self, number: usize, key: PublicKey, executor: impl Executor + 'static) -> Host {
        let transport: Arc<dyn Transport> = match &self.wrap {
            Some(wrap) => wrap(number, self.hub.transport(key)),
            None => Arc::new(self.hub.transport(key)),
        };
        let builder = NodeBuilder::new().folder(&self.folders[number]).unwrap();
        builder.executor(executor).transport(transport).limits(self.limits.clone()).start().await.unwrap()
    }

    pub(crate) async fn start(&mut self, number: usize) {
        self.start_with(number, token_executor()).await;
    }

    pub(crate) async fn start_with(&mut self, number: usize, executor: impl Executor + 'static) {
        let host = self.host(number, member(number).public_key(), executor).await;
        let engine = Bft::new(member(number));
        let chain = host.chain_with(self.genesis.clone(), engine, Observers::Anyone).await.unwrap();
        self.nodes[number] = Some(Node { host, chain });
    }

    pub(crate) async fn observe(&mut self, number: usize) {
        self.observe_with(number, token_executor()).await;
    }

    pub(crate) async fn observe_with(&mut self, number: usize, executor: impl Executor + 'static) {
        let host = self.host(number, member(number).public_key(), executor).await;
        let chain = host.chain(self.genesis.clone(), Observer).await.unwrap();
        self.nodes[number] = Some(Node { host, chain });
    }

    /// Begins a node without a vote from the snapshot in a folder.
    pub(crate) async fn observe_from(&mut self, number: usize, snapshot: &Path) {
        let host = self.host(number, member(number).public_key(), token_executor()).await;
        let chain = host.chain_from_folder(self.genesis.clone(), Observer, Observers::None, snapshot).await.unwrap();
        self.nodes[number] = Some(Node { host, chain });
    }

    /// Starts a validator whose guard is kept elsewhere, or by its host, from its folder or from the snapshot in another one.
    pub(crate) async fn start_guarded(
        &mut self,
        number: usize,
        guard: Option<MemoryGuard>,
        snapshot: Option<&Path>,
    ) -> Result<(), HostError> {
        let host = self.host(number, member(number).public_key(), token_executor()).await;
        let (genesis, engine) = (self.genesis.clone(), Bft::new(member(number)));
        let engine = match guard {
            Some(guard) => engine.guard(guard),
            None => engine,
        };
        let chain = match snapshot {
            Some(snapshot) => host.chain_from_folder(genesis, engine, Observers::Anyone, snapshot).await,
            None => host.chain_with(genesis, engine, Observers::Anyone).await,
        };
        match chain {
            Ok(chain) => self.nodes[number] = Some(Node { host, chain }),
            Err(error) => {
                host.shutdown().await.unwrap();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives a stopped node an empty folder.
    pub(crate) fn empty(&mut self, number: usize) {
        self.folders[number] = tempfile::tempdir().unwrap();
    }

    pub(crate) async fn stop(&mut self, number: usize) {
        let Node { host, chain } = self.nodes[number].take().unwrap();
        drop(chain);
        host.shutdown().await.unwrap();
    }

    pub(crate) fn chain(&self, number: usize) -> &Chain {
        &self.nodes[number].as_ref().unwrap().chain
    }

    pub(crate) fn host_of(&self, number: usize) -> &Host {
        &self.nodes[number].as_ref().unwrap().host
    }

    pub(crate) fn chains(&self) -> Vec<&Chain> {
        self.nodes.iter().flatten().map(|node| &node.chain).collect()
    }

    pub(crate) fn folder(&self, number: usize) -> &Path {
        self.folders[number].path()
    }

    pub(crate) async fn deploy(&self, number: usize) -> ContractId {
        let chain = self.chain(number);
        let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new());
        let deploy = deploy.sign(&client()).unwrap();
        let id = deploy.id();
        within("a deployment", async { chain.submit(deploy).await.unwrap().certified().await.unwrap() }).await;
        ContractId::deployed_by(&id)
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took longer than a minute"),
    }
}

/// Waits until a chain's checkpoint commits to block `height`.
pub(crate) async fn certified(chain: &Chain, height: Height) {
    let mut progress = chain.watch_progress();
    within("certification", progress.wait_for(|progress| progress.certifies(height))).await.unwrap();
}

/// Mints five; gives the height at which it is certified.
pub(crate) async fn mint(chain: &Chain, contract: ContractId, number: u64) -> Height {
    let grant = Grant { account: AccountId::of_ed25519(&client().public_key()), amount: 5 };
    let call = TransactionBuilder::call(chain.id(), contract, "mint", mint_arguments(&[grant]));
    let transaction = call.sequence(0, number).sign(&client()).unwrap();
    let mut pending = chain.submit(transaction).await.unwrap();
    within("a transaction", pending.certified()).await.unwrap().executed.place.height
}

pub(crate) fn supply(chain: &Chain, contract: ContractId) -> u128 {
    u128::from_le_bytes(chain.query(contract, "supply", &[]).unwrap().try_into().unwrap())
}

pub(crate) fn same_blocks(chains: &[&Chain], height: Height) {
    for at in 0..=height.0 {
        let digests: Vec<_> = chains.iter().map(|chain| chain.header(Height(at)).unwrap().digest()).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "block {at} differs");
    }
}
