//! `ledgerkit init`.

use crate::arguments::InitOptions;
use crate::config::{self, Config, Peer};
use crate::error::CliError;
use crate::output::Output;
use crate::{files, passphrase};
use ledger_core::codec::{self, List};
use ledger_core::{AccountId, Deployers, Genesis, Timestamp, TrustRoot, Validator, ValidatorSet, Weight};
use ledger_crypto::{FileSigner, PublicKey, Signer as _};
use serde_json::json;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The most validators that are made at once.
const MOST: u16 = 256;

/// A node that is being made.
struct Node {
    folder: PathBuf,
    key: PublicKey,
    network: SocketAddr,
    api: SocketAddr,
}

pub(crate) fn run(options: &InitOptions, output: Output) -> Result<(), CliError> {
    if !(1..=MOST).contains(&options.validators) {
        let reason = format!("{} is not 1 to {MOST}", options.validators);
        return Err(CliError::Option { option: "validators", reason });
    }
    let deployers = deployers(&options.deployers)?;
    let addresses = addresses(options)?;
    let passphrase = match &options.encrypt {
        Some(file) => Some(passphrase::passphrase(Some(&**file).filter(|file| *file != Path::new("")), true)?),
        None => None,
    };

    files::create_folder(&options.folder)?;
    let mut nodes = Vec::with_capacity(addresses.len());
    for (number, (network, api)) in (1..).zip(addresses) {
        let folder = options.folder.join(format!("node-{number}"));
        files::create_folder(&folder)?;
        let file = folder.join("node.key");
        let signer = match &passphrase {
            Some(passphrase) => FileSigner::generate_encrypted(file, passphrase)?,
            None => FileSigner::generate(file)?,
        };
        nodes.push(Node { folder, key: signer.public_key(), network, api });
    }

    let mut genesis = genesis(&options.name, &nodes)?;
    genesis.rules.deployers = deployers;
    let path = options.folder.join("genesis.bin");
    genesis.check().map_err(|error| CliError::Genesis { path: path.clone(), error })?;
    files::create(&path, &codec::encode(&genesis))?;
    files::create(&options.folder.join("trust-root.bin"), &codec::encode(&TrustRoot::new(genesis.clone())))?;
    for node in &nodes {
        let mut config = Config { genesis: "../genesis.bin".into(), ..Config::default() };
        config.network.listen = node.network;
        config.api.listen = node.api;
        let others = nodes.iter().filter(|other| other.key != node.key);
        config.network.peers =
            others.map(|other| Peer { key: other.key, address: other.network.to_string() }).collect();
        files::create(&node.folder.join("ledgerkit.toml"), config::template(&config).as_bytes())?;
        files::sync_folder(&node.folder)?;
    }
    files::sync_folder(&options.folder)?;
    answer(output, &genesis, &options.folder, &nodes)
}

fn deployers(accounts: &[String]) -> Result<Deployers, CliError> {
    if accounts.is_empty() {
        return Ok(Deployers::Anyone);
    }
    let read = |text: &String| {
        let failed = |error| CliError::Option { option: "deployers", reason: format!("`{text}`: {error}") };
        text.parse::<AccountId>().map_err(failed)
    };
    Ok(Deployers::Only(List::from(accounts.iter().map(read).collect::<Result<Vec<_>, _>>()?)))
}

fn genesis(name: &str, nodes: &[Node]) -> Result<Genesis, CliError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now = Timestamp(u64::try_from(now).unwrap_or(u64::MAX));
    let limit = 256;
    if name.is_empty() || name.len() > limit {
        let reason = format!("{} bytes; a name has 1 to {limit}", name.len());
        return Err(CliError::Option { option: "name", reason });
    }
    if let [owner] = nodes {
        return Ok(Genesis::solo(name, owner.key, now));
    }
    let validators = nodes.iter().map(|node| Validator { key: node.key, weight: Weight(1) });
    Ok(Genesis::bft(name, &ValidatorSet::new(validators)?, now))
}

/// Two addresses for each node: for its peers and for its clients.
fn addresses(options: &InitOptions) -> Result<Vec<(SocketAddr, SocketAddr)>, CliError> {
    let count = options.validators;
    if options.listen == 0 {
        let unavailable = |error: std::io::Error| CliError::Option { option: "listen", reason: error.to_string() };
        // All are held until the last is found, so that none is given twice.
        let held = (0..count).map(|_| {
            let (network, api) = (UdpSocket::bind((options.host, 0))?, TcpListener::bind((options.host, 0))?);
            Ok((network, api))
        });
        let held = held.collect::<Result<Vec<_>, std::io::Error>>().map_err(unavailable)?;
        let addresses = held.iter().map(|(network, api)| Ok((network.local_addr()?, api.local_addr()?)));
        return addresses.collect::<Result<_, std::io::Error>>().map_err(unavailable);
    }
    if options.listen.checked_add(2 * count - 1).is_none() {
        let reason = format!("{} and two ports for each of {count} nodes go beyond 65535", options.listen);
        return Err(CliError::Option { option: "listen", reason });
    }
    let address = |offset: u16| SocketAddr::new(options.host, options.listen.saturating_add(offset));
    Ok((0..count).map(|index| (address(2 * index), address(2 * index + 1))).collect())
}

fn answer(output: Output, genesis: &Genesis, folder: &Path, nodes: &[Node]) -> Result<(), CliError> {
    let chain = genesis.chain();
    let listed = nodes.iter().map(|node| {
        json!({
            "config": node.folder.join("ledgerkit.toml").display().to_string(),
            "public_key": node.key.to_string(),
            "network": node.network.to_string(),
            "api": node.api.to_string(),
        })
    });
    let value = json!({
        "chain": chain.to_string(),
        "engine": genesis.engine.name.as_str(),
        "genesis": folder.join("genesis.bin").display().to_string(),
        "trust_root": folder.join("trust-root.bin").display().to_string(),
        "nodes": listed.collect::<Vec<_>>(),
    });
    let mut text = format!(
        "chain       {chain}\nengine      {}\ngenesis     {}\ntrust root  {}  (for clients: what `verify --trust` takes)\n",
        genesis.engine.name.as_str(),
        folder.join("genesis.bin").display(),
        folder.join("trust-root.bin").display(),
    );
    for node in nodes {
        // Writing to a string doesn't fail.
        let _ = writeln!(text, "node        ledgerkit run --config {}", node.folder.join("ledgerkit.toml").display());
    }
    output.answer(&value, &text)
}
