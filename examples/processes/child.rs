//! A validator's process.

use super::Fallible;
use super::wire::{self, Reply, Request, Settings, StartRequest};
use ledger_consensus::{Bft, BftConfig};
use ledger_contracts::NativeRuntime;
use ledger_contracts::token::Token;
use ledger_contracts::wasm::WasmRuntime;
use ledger_core::Genesis;
use ledger_core::codec::{self, Text};
use ledger_crypto::MemorySigner;
use ledger_network::{NetworkConfig, Peer, QuicConfig, QuicTransport, Transport};
use ledger_node::{Chain, Host, Limits, NodeBuilder};
use ledger_traceability::contract::Traceability;
use std::io::Read as _;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// The first argument of a child; the parent's address and a token follow.
pub(crate) const CHILD: &str = "--validator-process";

/// Threads of a validator's runtime; signatures are checked and blocks executed on others.
const WORKERS: usize = 2;

/// The longest text of a failure, in bytes.
const LONGEST_FAILURE: usize = 2_000;

/// A validator that runs.
pub(crate) struct Running {
    pub(crate) host: Host,
    pub(crate) chain: Chain,
    transport: Arc<QuicTransport>,
}

/// What a program does with its validator.
pub(crate) trait App: Send + Sync + Sized + 'static {
    /// Begins on a chain that is open.
    fn new(chain: Chain) -> Self;

    /// Answers one request. Several are answered at a time.
    fn answer(&self, request: &[u8]) -> impl Future<Output = Fallible<Vec<u8>>> + Send;
}

/// Serves the parent until it says `Stop`, its connection ends, or standard input does; gives the exit status.
pub(crate) fn run<A: App>(address: &str, token: &str) -> u8 {
    // The parent has ended, however it did: nobody is left to tell.
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        std::process::exit(3);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(serve::<A>(address, token)),
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("validator {}: {error}", std::process::id());
            1
        }
    }
}

async fn serve<A: App>(address: &str, token: &str) -> Fallible<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut requests, mut answers) = stream.into_split();
    answers.write_all(token.as_bytes()).await?;
    let (replies, mut waiting) = mpsc::channel::<(u64, Reply)>(4_096);
    tokio::spawn(async move {
        while let Some((number, reply)) = waiting.recv().await {
            if wire::write(&mut answers, number, &reply).await.is_err() {
                return;
            }
        }
    });
    let mut running: Option<Running> = None;
    let mut app: Option<Arc<A>> = None;
    loop {
        let (number, request) = wire::read::<Request>(&mut requests).await?;
        let reply = match request {
            Request::Start(request) => match start(&request).await {
                Ok((validator, address)) => {
                    app = Some(Arc::new(A::new(validator.chain.clone())));
                    running = Some(validator);
                    Reply::Started(address)
                }
                Err(error) => failed(&*error),
            },
            Request::Peers(peers) => {
                let peers = peers.iter();
                let peers = peers.map(|peer| Peer { member: peer.key, addresses: vec![peer.address.to_string()] });
                if let Some(validator) = &running {
                    validator.transport.set_peers(peers.collect());
                }
                Reply::Done
            }
            Request::Ask(bytes) => {
                let Some(app) = app.clone() else { return Err("asked before it was started".into()) };
                let replies = replies.clone();
                tokio::spawn(async move {
                    let reply = match app.answer(&bytes).await {
                        Ok(answer) => Reply::Answer(answer.into()),
                        Err(error) => failed(&*error),
                    };
                    // The parent has gone; so will this process.
                    let _ = replies.send((number, reply)).await;
                });
                continue;
            }
            Request::Stop => {
                drop(app);
                let stopped = stop(running).await;
                let reply = stopped.as_ref().map_or_else(|error| failed(&**error), |()| Reply::Done);
                replies.send((number, reply)).await?;
                // The parent closes the connection once it has the answer.
                while wire::read::<Request>(&mut requests).await.is_ok() {}
                return stopped;
            }
        };
        replies.send((number, reply)).await?;
    }
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> Reply {
    Reply::Failed(Text::truncated(&error.to_string(), LONGEST_FAILURE))
}

async fn start(request: &StartRequest) -> Fallible<(Running, Text)> {
    let genesis: Genesis = codec::decode(&request.genesis)?;
    let signer = Arc::new(MemorySigner::from_seed(request.seed));
    let bounds = NetworkConfig::for_blocks(usize::try_from(genesis.rules.max_block_bytes)?);
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let transport = QuicTransport::start(QuicConfig::new(bounds), Arc::clone(&signer) as _, listen, Vec::new())?;
    let transport = Arc::new(transport);
    let host = NodeBuilder::new()
        .folder(request.folder.as_str())?
        .runtime(NativeRuntime::new().with(Token).with(Traceability::default()))
        .runtime(wasm_runtime()?)
        .limits(limits(&request.settings))
        .transport(Arc::clone(&transport) as Arc<dyn Transport>)
        .start()
        .await?;
    let mut config = BftConfig::default();
    if let Some(timeout) = request.settings.leader_timeout_ms {
        config.leader_timeout_ms = timeout;
        config.view_timeout_ms = config.view_timeout_ms.max(timeout);
        config.max_timeout_ms = config.max_timeout_ms.max(config.view_timeout_ms);
    }
    let chain = host.chain(genesis, Bft::new(signer).config(config)).await?;
    let address = transport.local_address()?.to_string();
    Ok((Running { host, chain, transport }, address.as_str().into()))
}

/// The runtime for contracts in WebAssembly: with the feature `wasmtime` on the compiler, otherwise on the interpreter.
pub(crate) fn wasm_runtime() -> Fallible<WasmRuntime> {
    #[cfg(feature = "wasmtime")]
    let runtime = WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::default())?;
    #[cfg(not(feature = "wasmtime"))]
    let runtime = WasmRuntime::wasmi()?;
    Ok(runtime)
}

fn limits(settings: &Settings) -> Limits {
    let mut limits = Limits::default();
    let whole = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let core = &mut limits.core;
    core.pipeline = settings.pipeline.unwrap_or(core.pipeline);
    core.block_interval_ms = settings.block_interval_ms.unwrap_or(core.block_interval_ms);
    core.block_transactions = settings.block_transactions.map_or(core.block_transactions, whole);
    if let Some(transactions) = settings.mempool_transactions.map(whole) {
        core.mempool.max_transactions = transactions;
        core.mempool.max_unexecutable = transactions;
    }
    limits.cached_keys = settings.cached_keys.map_or(limits.cached_keys, whole);
    limits.value_cache_bytes = settings.value_cache_bytes.map_or(limits.value_cache_bytes, whole);
    limits
}

async fn stop(running: Option<Running>) -> Fallible<()> {
    let Some(Running { host, chain, transport }) = running else { return Ok(()) };
    drop(chain);
    host.shutdown().await?;
    transport.close().await;
    Ok(())
}
