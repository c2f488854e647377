//! A node from its settings.

mod instruments;

use crate::config::Config;
use crate::error::CliError;
use crate::{files, passphrase};
use instruments::NodeInstruments;
use ledger_api::{ApiConfig, ApiServer, Tokens};
use ledger_consensus::{Bft, EngineFactory, Observer, Solo, StartError};
use ledger_contracts::token::Token;
use ledger_contracts::{EXECUTION_STACK_BYTES, LedgerExecutor, NativeRuntime};
use ledger_core::{Genesis, finality};
use ledger_crypto::{FileSigner, PublicKey, Signer, VoteError};
use ledger_network::{NetworkConfig, Observers, Peer, QuicConfig, QuicTransport, Transport};
use ledger_node::{Chain, DiskGuard, Host, HostError, JoinProgress, NodeBuilder};
use ledger_storage::disk::{Disk, RealDisk};
use ledger_traceability::contract::Traceability;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// How often it is logged how far a node that joins has come.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The contracts that this program comes with: tokens and traceability.
pub(crate) fn contracts() -> NativeRuntime {
    NativeRuntime::new().with(Token).with(Traceability::default())
}

/// The threads that all of this program's work is on, contracts included.
pub(crate) fn threads() -> Result<Runtime, CliError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(EXECUTION_STACK_BYTES).build();
    runtime.map_err(|error| CliError::System { what: "start threads", error })
}

/// What executes blocks.
pub(crate) fn executor() -> LedgerExecutor {
    LedgerExecutor::default().with(contracts())
}

/// A running node with its one chain.
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) chain: Chain,
    pub(crate) key: PublicKey,
    /// How it reaches its peers; `None` where it has none.
    pub(crate) transport: Option<Arc<QuicTransport>>,
    /// Where clients reach it.
    pub(crate) api: SocketAddr,
    serving: JoinHandle<()>,
    close: oneshot::Sender<()>,
}

/// Opens the key file that the settings name.
pub(crate) fn open_key(config: &Config) -> Result<FileSigner, CliError> {
    match FileSigner::peek(&config.key)? {
        (false, _) => Ok(FileSigner::open(&config.key)?),
        (true, _) => {
            let passphrase = passphrase::passphrase(config.passphrase_file.as_deref(), false)?;
            Ok(FileSigner::open_encrypted(&config.key, &passphrase)?)
        }
    }
}

impl Node {
    /// Starts the node; its chain is recovered and takes part when this returns.
    pub(crate) async fn start(config: &Config, signer: FileSigner) -> Result<Self, CliError> {
        let genesis: Genesis = files::read_value(&config.genesis)?;
        genesis.check().map_err(|error| CliError::Genesis { path: config.genesis.clone(), error })?;
        let signer = Arc::new(signer);
        let key = signer.public_key();

        // The folder first: whoever has it open has port and guard too.
        let builder = NodeBuilder::new().folder(&config.data)?.runtime(contracts()).limits(config.limits());
        let alone = genesis.engine.name.as_str() == finality::SOLO && !config.network.observe;
        let transport = match alone {
            true => None,
            false => Some(Arc::new(transport(config, &genesis, Arc::clone(&signer))?)),
        };
        let builder = match &transport {
            Some(transport) => builder.transport(Arc::clone(transport) as Arc<dyn Transport>),
            None => builder,
        };
        let host = builder.start().await?;
        check_folder(config, &genesis, &host)?;

        let observers = if config.network.open_to_observers { Observers::Anyone } else { Observers::None };
        let engine = Chosen(engine(config, &genesis, signer)?);
        let opened = match (config.snapshots.join, &transport) {
            (false, _) => host.chain_with(genesis, engine, observers).await,
            (true, Some(_)) => join(&host, genesis, engine, observers).await,
            (true, None) => return Err(CliError::NoPeers { genesis: config.genesis.clone() }),
        };
        let chain = opened.map_err(|error| explain(config, error))?;

        let tokens = match &config.api.tokens {
            Some(file) => Tokens::read(file)?,
            None => Tokens::none(),
        };
        let settings = ApiConfig { tokens, ..ApiConfig::default() };
        let server = ApiServer::bind(config.api.listen, settings, chain.clone()).await?;
        let server = server.instruments(Arc::new(NodeInstruments::new(transport.clone())));
        let api = server.local_addr();
        let (close, closed) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async move {
            // Whoever could ask for it is gone: that is asking too.
            let _ = closed.await;
        }));
        Ok(Node { host, chain, key, transport, api, serving, close })
    }

    /// Closes the node: what was accepted is ordered, executed and certified as far as the peers allow.
    pub(crate) async fn stop(self) -> Result<(), CliError> {
        // A server that has ended needs no telling, and one that panicked has nothing left to close.
        let _ = self.close.send(());
        let _ = self.serving.await;
        drop(self.chain);
        let closed = self.host.shutdown().await;
        if let Some(transport) = self.transport {
            transport.close().await;
        }
        closed?;
        Ok(())
    }
}

/// Begins with a snapshot where the folder has nothing of the chain, and says now and then how far it has come.
async fn join(host: &Host, genesis: Genesis, engine: Chosen, observers: Observers) -> Result<Chain, HostError> {
    let (progress, mut seen) = watch::channel(JoinProgress::default());
    let told = async {
        while seen.changed().await.is_ok() {
            let JoinProgress { peers, banned, height, chunks, kept, fetched_bytes, .. } =
                seen.borrow_and_update().clone();
            let height = height.map(|height| height.0);
            tracing::info!(?height, kept, chunks, fetched_bytes, peers, banned, "joining by a snapshot");
            tokio::time::sleep(TELL_EVERY).await;
        }
        // Whoever tells outlives this.
        std::future::pending().await
    };
    tokio::select! {
        chain = host.join(genesis, engine, observers, &progress) => chain,
        chain = told => chain,
    }
}

fn transport(config: &Config, genesis: &Genesis, signer: Arc<FileSigner>) -> Result<QuicTransport, CliError> {
    let block = usize::try_from(genesis.rules.max_block_bytes).unwrap_or(usize::MAX);
    let peers = config.network.peers.iter();
    let peers = peers.map(|peer| Peer { member: peer.key, addresses: vec![peer.address.clone()] }).collect();
    let bounds = QuicConfig::new(NetworkConfig::for_blocks(block));
    Ok(QuicTransport::start(bounds, signer, config.network.listen, peers)?)
}

/// A data folder that another genesis began would be given a second, empty chain.
fn check_folder(config: &Config, genesis: &Genesis, host: &Host) -> Result<(), CliError> {
    let (expected, logged) = (genesis.chain(), host.closed_chains());
    match logged.iter().map(|(genesis, _)| genesis.chain()).find(|chain| *chain != expected) {
        Some(found) if logged.iter().all(|(genesis, _)| genesis.chain() != expected) => Err(CliError::WrongGenesis {
            genesis: config.genesis.clone(),
            expected,
            folder: config.data.clone(),
            found,
        }),
        _ => Ok(()),
    }
}

/// The engine that the genesis asks for.
fn engine(config: &Config, genesis: &Genesis, signer: Arc<FileSigner>) -> Result<Box<dyn EngineFactory>, CliError> {
    if config.network.observe {
        return Ok(Box::new(Observer));
    }
    let guard = guard(&config.guard, genesis)?;
    match genesis.engine.name.as_str() {
        finality::SOLO => Ok(Box::new(Solo::new(signer).guard(guard))),
        finality::BFT => Ok(Box::new(Bft::new(signer).guard(guard).config(config.bft()))),
        name => Err(CliError::NoEngine { genesis: config.genesis.clone(), name: name.to_owned() }),
    }
}

/// Beside the key, in a folder of its own with a lock of its own.
pub(crate) fn guard(folder: &Path, genesis: &Genesis) -> Result<DiskGuard, CliError> {
    let disk = RealDisk::open(folder).map_err(|error| CliError::Disk { folder: folder.to_owned(), error })?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    Ok(DiskGuard::new(disk, format!("guard-{}", genesis.chain())))
}

/// What a refusal of the signer's means here.
fn explain(config: &Config, error: HostError) -> CliError {
    match error {
        HostError::Consensus(StartError::Vote(error)) if is_stale(&error) => {
            CliError::Stale { folder: config.data.clone(), guard: config.guard.clone(), error }
        }
        error => error.into(),
    }
}

fn is_stale(error: &VoteError) -> bool {
    !matches!(error, VoteError::Guard(_))
}

/// An engine that was chosen when the genesis was read.
struct Chosen(Box<dyn EngineFactory>);

impl EngineFactory for Chosen {
    fn start(
        self: Box<Self>,
        setup: ledger_consensus::Setup<'_>,
    ) -> Result<ledger_consensus::Started, ledger_consensus::StartError> {
        self.0.start(setup)
    }
}
