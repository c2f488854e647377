//! `ledgerkit snapshot`: made from a data folder, verified, begun from.

use crate::arguments::SnapshotCommand;
use crate::error::CliError;
use crate::files;
use crate::inspect::ReadOnlyDisk;
use crate::node::{contracts, guard, threads};
use crate::output::Output;
use ledger_consensus::Observer;
use ledger_core::{Genesis, SnapshotManifest};
use ledger_network::Observers;
use ledger_node::{Chain, Host, NodeBuilder};
use ledger_storage::snapshot::{ExportConfig, verify_folder};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn run(command: &SnapshotCommand, output: Output) -> Result<(), CliError> {
    match command {
        SnapshotCommand::Export { data, chain, out } => {
            threads()?.block_on(export(data, chain.as_deref(), out, output))
        }
        SnapshotCommand::Import { genesis, from, data, guard } => {
            threads()?.block_on(import(genesis, from, data, guard.as_deref(), output))
        }
        SnapshotCommand::Verify { from, genesis } => verify(from, genesis, output),
    }
}

async fn open(data: &Path) -> Result<Host, CliError> {
    Ok(NodeBuilder::new().folder(data)?.runtime(contracts()).start().await?)
}

async fn export(data: &Path, id: Option<&str>, out: &Path, output: Output) -> Result<(), CliError> {
    // What isn't there isn't made.
    drop(ReadOnlyDisk::open(data).map_err(|error| CliError::Disk { folder: data.to_owned(), error })?);
    let host = open(data).await?;
    let found = choose(&host, data, id);
    let exported = match found {
        Ok(genesis) => export_chain(&host, genesis, data, out).await,
        Err(error) => Err(error),
    };
    let closed = host.shutdown().await;
    let manifest = exported?;
    closed?;
    answer(&manifest, None, ("exported", out), output)
}

/// The chain's genesis: the only one, or that of the id.
fn choose(host: &Host, data: &Path, id: Option<&str>) -> Result<Genesis, CliError> {
    let wrong = |reason: String| CliError::Chains { folder: data.to_owned(), reason };
    let mut chains: Vec<Genesis> = host.closed_chains().into_iter().map(|(genesis, _)| genesis).collect();
    let ids = chains.iter().map(|genesis| genesis.chain().to_string()).collect::<Vec<_>>().join(", ");
    if let Some(id) = id {
        chains.retain(|genesis| genesis.chain().to_string() == id);
        return chains.pop().ok_or_else(|| wrong(format!("it has no chain {id}; it has {ids}")));
    }
    match (chains.pop(), chains.is_empty()) {
        (Some(genesis), true) => Ok(genesis),
        (None, _) => Err(wrong("it has no chain".to_owned())),
        _ => Err(wrong(format!("it has several chains, choose one with --chain: {ids}"))),
    }
}

async fn export_chain(host: &Host, genesis: Genesis, data: &Path, out: &Path) -> Result<SnapshotManifest, CliError> {
    // Nothing is signed: what is there is shown.
    let chain: Chain = host.chain(genesis, Observer).await?;
    let exported = chain.export_snapshot(out, ExportConfig::default()).await;
    exported.map_err(|error| CliError::Export { folder: data.to_owned(), error: Box::new(error) })
}

async fn import(
    genesis: &Path,
    from: &Path,
    data: &Path,
    guards: Option<&Path>,
    output: Output,
) -> Result<(), CliError> {
    let path = genesis;
    let genesis: Genesis = files::read_value(path)?;
    genesis.check().map_err(|error| CliError::Genesis { path: path.to_owned(), error })?;
    let host = open(data).await?;
    let imported = import_chain(&host, genesis, from, guards).await;
    let closed = host.shutdown().await;
    let (height, digest) = imported?;
    closed?;
    let value = json!({
        "imported": data.display().to_string(),
        "height": height,
        "block": digest,
    });
    let text = format!("imported    {}: the chain goes on behind block {height}, {digest}\n", data.display());
    output.answer(&value, &text)
}

/// The height and digest of the newest block.
async fn import_chain(
    host: &Host,
    genesis: Genesis,
    from: &Path,
    guards: Option<&Path>,
) -> Result<(String, String), CliError> {
    let chain = host.chain_from_folder(genesis, Observer, Observers::None, from).await?;
    if let Some(folder) = guards {
        let mut guard = guard(folder, chain.genesis())?;
        let moved = chain.move_guard(&mut guard);
        moved.map_err(|error| CliError::MoveGuard { guard: folder.to_owned(), error })?;
    }
    let newest = chain.checkpoint();
    Ok((newest.header.height.to_string(), newest.header.digest().to_string()))
}

fn verify(from: &Path, genesis: &Path, output: Output) -> Result<(), CliError> {
    let trust = files::read_trust(genesis)?;
    let disk = ReadOnlyDisk::open(from).map_err(|error| CliError::Disk { folder: from.to_owned(), error })?;
    let verified = verify_folder(&disk, &trust);
    let (snapshot, keys) =
        verified.map_err(|error| CliError::Snapshot { folder: from.to_owned(), error: Box::new(error) })?;
    answer(snapshot.manifest(), Some(keys), ("verified", from), output)
}

fn answer(
    manifest: &SnapshotManifest,
    keys: Option<u64>,
    (done, folder): (&'static str, &Path),
    output: Output,
) -> Result<(), CliError> {
    let checkpoint = &manifest.checkpoint.checkpoint.header;
    let (height, root, digest) = (manifest.height(), manifest.outcome.state_root, manifest.digest());
    let (chunks, bytes) = (manifest.chunks.len(), manifest.bytes());
    let value = json!({
        done: folder.display().to_string(),
        "chain": manifest.chain.to_string(),
        "height": height.to_string(),
        "state_root": root.to_string(),
        "checkpoint": {
            "height": checkpoint.height.to_string(),
            "digest": checkpoint.digest().to_string(),
            "timestamp": checkpoint.timestamp.to_string(),
        },
        "manifest": digest.to_string(),
        "chunks": chunks,
        "bytes": bytes.to_string(),
        "keys": keys.map_or(Value::Null, |keys| json!(keys.to_string())),
    });
    let keys = keys.map(|keys| format!(", {keys} keys")).unwrap_or_default();
    let text = format!(
        "{done:<11} {}\nchain       {}\nheight      {height}, proven by the checkpoint at block {}\nstate root  {root}\n\
         manifest    {digest}\nchunks      {chunks}, {bytes} bytes{keys}\n",
        folder.display(),
        manifest.chain,
        checkpoint.height,
    );
    output.answer(&value, &text)
}
