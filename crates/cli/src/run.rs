//! `ledgerkit run`.

use crate::arguments::RunOptions;
use crate::config::{self, Config, LogFormat, LogSection};
use crate::error::CliError;
use crate::files;
use crate::node::{self, Node};
use crate::output::Output;
use ledger_crypto::FileSigner;
use ledger_node::Chain;
use serde_json::json;
use std::io::Read as _;
use std::path::Path;
use std::pin::pin;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) fn run(options: &RunOptions, output: Output) -> Result<(), CliError> {
    let config = read_config(&options.config)?;
    start_logging(&options.config, &config.log)?;
    // Before there are threads that write to the terminal: a passphrase may be asked for.
    let signer = node::open_key(&config)?;
    node::threads()?.block_on(serve(&config, signer, options, output))
}

fn read_config(path: &Path) -> Result<Config, CliError> {
    let text = files::read(path, config::MAX_BYTES)?;
    let wrong = |error| CliError::Config { path: path.to_owned(), error: Box::new(error) };
    let text = String::from_utf8(text).map_err(|error| CliError::Io {
        path: path.to_owned(),
        action: "read",
        error: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Config::parse(&text).map_err(wrong)?.relative_to(folder))
}

fn start_logging(path: &Path, section: &LogSection) -> Result<(), CliError> {
    let levels: Targets = section.level.parse().map_err(|error| CliError::Config {
        path: path.to_owned(),
        error: Box::new(config::ConfigError::Setting { name: "log.level", reason: format!("is no level: {error}") }),
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    match section.format {
        LogFormat::Text => registry.with(lines.with_ansi(false).with_filter(levels)).init(),
        LogFormat::Json => registry.with(lines.json().with_filter(levels)).init(),
    }
    Ok(())
}

async fn serve(config: &Config, signer: FileSigner, options: &RunOptions, output: Output) -> Result<(), CliError> {
    let mut ending = pin!(ending(options.until_stdin_ends)?);
    let node = tokio::select! {
        node = Node::start(config, signer) => node?,
        // What was kept of a snapshot is gone on with by the next start.
        why = &mut ending => {
            tracing::info!(why, "stopping before the chain was open");
            return Ok(());
        }
    };
    announce(&node, output)?;
    let chain = node.chain.clone();
    let stopped = tokio::select! {
        why = &mut ending => { tracing::info!(why, "stopping"); None }
        stop = stopped(&chain) => Some(stop),
    };
    drop(chain);
    let closed = node.stop().await;
    match stopped {
        Some(stop) => Err(CliError::Stopped(stop)),
        None => closed,
    }
}

/// Says on standard output where the node is, in one line of JSON, so that a program that started it knows the ports.
fn announce(node: &Node, output: Output) -> Result<(), CliError> {
    let failed = |error| CliError::System { what: "say at which address peers reach this node", error };
    let network = node.transport.as_ref().map(|transport| transport.local_address()).transpose().map_err(failed)?;
    let height = node.chain.progress().executed;
    tracing::info!(chain = %node.chain.id(), key = %node.key, %height, network = ?network, api = %node.api, "running");
    let value = json!({
        "ready": true,
        "chain": node.chain.id().to_string(),
        "public_key": node.key.to_string(),
        "height": height.to_string(),
        "network": network.map(|address| address.to_string()),
        "api": node.api.to_string(),
        "pid": std::process::id(),
    });
    output.answer(&value, &format!("{value}\n"))
}

/// Ends when the node is to stop, and says why.
fn ending(until_stdin_ends: bool) -> Result<impl Future<Output = &'static str>, CliError> {
    let failed = |error| CliError::System { what: "listen for signals", error };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (ended, stdin) = oneshot::channel();
    let mut kept = Some(ended);
    if let Some(ended) = kept.take_if(|_| until_stdin_ends) {
        // A thread of its own: a read from standard input can't be given up, and would keep the runtime from ending.
        let read = move || {
            let mut rest = [0; 1024];
            while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
            // Whoever waited may have ended for another reason.
            let _ = ended.send(());
        };
        let thread = std::thread::Builder::new().name("stdin".into()).spawn(read);
        thread.map_err(|error| CliError::System { what: "start a thread", error })?;
    }
    Ok(async move {
        // Where nobody reads, the channel stays open and says nothing.
        let _kept = kept;
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "told to terminate",
            _ = stdin => "standard input has ended",
        }
    })
}

/// Ends when the chain has stopped by itself.
async fn stopped(chain: &Chain) -> ledger_node::Stop {
    let mut progress = chain.watch_progress();
    let stop =
        progress.wait_for(|progress| progress.stopped.is_some()).await.ok().and_then(|seen| seen.stopped.clone());
    match stop {
        Some(stop) => stop,
        // The chain was closed; whoever did it goes on.
        None => std::future::pending().await,
    }
}
