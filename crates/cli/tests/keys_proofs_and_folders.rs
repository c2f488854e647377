//! The commands that work without a network: keys, proofs, data folders; and what `run` refuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::{Network, command, ledgerkit, said, text};
use ledger_core::codec;
use ledger_core::{ContractId, Key, TransactionBuilder, TrustRoot};
use ledger_crypto::{FileSigner, Signer as _};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

#[test]
fn keys_keep_their_public_key_through_encryption_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (plain, sealed, back) = (file("plain"), file("sealed"), file("back"));
    let made = ledgerkit(&["--json", "keys", "new", text(&plain)]).json();
    let passphrase = file("passphrase");
    std::fs::write(&passphrase, "correct horse\nsecond line\n").unwrap();
    let option = ["--passphrase-file", text(&passphrase)];
    let encrypt = [&["--json", "keys", "encrypt", text(&plain), "--to", text(&sealed)], option.as_slice()].concat();
    assert_eq!(ledgerkit(&encrypt).json()["public_key"], made["public_key"]);
    let shown = ledgerkit(&["--json", "keys", "show", text(&sealed)]).json();
    assert_eq!((&shown["public_key"], &shown["encrypted"]), (&made["public_key"], &json!(true)));

    // The environment's passphrase, right and wrong.
    let decrypt = ["keys", "decrypt", text(&sealed), "--to", text(&back)];
    let wrong = said(command(&decrypt).env("LEDGERKIT_PASSPHRASE", "wrong"));
    assert!(wrong.status == 1 && wrong.err.contains("the passphrase does not open"), "{}", wrong.err);
    let none = ledgerkit(&decrypt);
    assert!(none.status == 1 && none.err.contains("no passphrase"), "{}", none.err);
    let right = said(command(&decrypt).env("LEDGERKIT_PASSPHRASE", "correct horse"));
    assert_eq!(right.status, 0, "{}", right.err);
    assert_eq!(std::fs::read(&plain).unwrap(), std::fs::read(&back).unwrap());

    let secret = std::fs::read_to_string(&plain).unwrap().lines().nth(1).unwrap().to_owned();
    for said in [&right, &wrong, &ledgerkit(&["keys", "show", text(&plain)])] {
        assert!(!said.out.contains(&secret) && !said.err.contains(&secret));
    }
    let again = ledgerkit(&["--json", "keys", "new", text(&plain)]);
    assert_eq!(again.status, 1);
    let error: serde_json::Value = serde_json::from_str(&again.err).unwrap();
    assert!(error["error"].as_str().unwrap().contains("exists already"), "{error}");
}

#[test]
fn init_overwrites_nothing_and_names_wrong_options() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new(folder.path(), 2);
    let key = std::fs::read(network.node(1).join("node.key")).unwrap();
    let again = ledgerkit(&["init", "--folder", text(&network.folder)]);
    assert!(again.status == 1 && again.err.contains("nothing is ever overwritten"), "{}", again.err);
    assert_eq!(std::fs::read(network.node(1).join("node.key")).unwrap(), key);
    for (option, value) in
        [("--validators", "0"), ("--validators", "257"), ("--listen", "65530"), ("--deployers", "me")]
    {
        let other = folder.path().join("other");
        let wrong = ledgerkit(&["init", "--folder", text(&other), option, value]);
        assert!(wrong.status == 1 && wrong.err.contains(&format!("{option}: ")), "{option} {value}: {}", wrong.err);
        assert!(!other.exists());
    }
    assert_eq!(ledgerkit(&["inti"]).status, 2);
}

/// A ledger with one owner that has run, with one transaction, and that transaction's id.
fn used(folder: &Path) -> (Network, ledger_core::TransactionId) {
    let network = Network::new(folder, 1);
    let node = network.start(1);
    let owner = FileSigner::open(network.node(1).join("node.key")).unwrap();
    let client = network.client(&[node.url()]);
    let deploy = TransactionBuilder::deploy(client.chain(), ledger_contracts::NATIVE, b"token".to_vec(), vec![]);
    let deploy = deploy.sign(&owner).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        client.submit(&deploy).await.unwrap();
        let receipt = client.wait_certified(deploy.id(), Duration::from_secs(20)).await.unwrap();
        assert!(receipt.receipt.succeeded());
        // What the API answers, as it is, is a proof file.
        let contract = ContractId::deployed_by(&deploy.id());
        client.key(&Key::contract(&contract)).await.unwrap();
    });
    let path = format!("/v1/chains/{}/transactions/{}/receipt?proof=true", client.chain(), deploy.id());
    std::fs::write(folder.join("proof.json"), get(&node.url(), &path)).unwrap();
    assert_eq!(node.stop(), 0);
    (network, deploy.id())
}

/// The body of an answer to a plain GET.
fn get(url: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

#[test]
fn proofs_verify_offline_and_folders_are_inspected_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let (network, id) = used(folder.path());
    let proof = folder.path().join("proof.json");
    let root = network.folder.join("trust-root.bin");
    let verified = ledgerkit(&["--json", "verify", text(&proof), "--trust", text(&root)]).json();
    assert_eq!((&verified["verified"], &verified["trust"]), (&json!(true), &json!("given")));
    assert_eq!(verified["proven"]["receipt"]["transaction"], json!(id.to_string()));
    let genesis = network.folder.join("genesis.bin");
    assert_eq!(ledgerkit(&["verify", text(&proof), "--trust", text(&genesis)]).status, 0);

    // A contract is named for traces only; of another proof it would hold nothing.
    let named = ledgerkit(&["verify", text(&proof), "--trust", text(&root), "--contract", &"12".repeat(32)]);
    assert!(named.status == 1 && named.err.contains("--contract is for traces"), "{}", named.err);

    // Without a trust root there is nothing to go by; with the file's own, that is said.
    let alone = ledgerkit(&["verify", text(&proof)]);
    assert!(alone.status == 1 && alone.err.contains("`trust_root`"), "{}", alone.err);
    let mut answer: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&proof).unwrap()).unwrap();
    let own = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, std::fs::read(&root).unwrap());
    answer["proof"]["trust_root"] = json!(own);
    let bundled = folder.path().join("bundled.json");
    std::fs::write(&bundled, answer.to_string()).unwrap();
    let own = ledgerkit(&["verify", text(&bundled)]);
    assert!(own.status == 0 && own.out.contains("THE FILE'S OWN WORD"), "{}", own.out);

    // Another chain's root, and a changed proof, prove nothing.
    let other = Network::new(&folder.path().join("other"), 1);
    let foreign = ledgerkit(&["verify", text(&proof), "--trust", text(&other.folder.join("trust-root.bin"))]);
    assert!(foreign.status == 1 && foreign.err.contains("is of chain"), "{}", foreign.err);
    let bytes = answer["proof"]["proof"].as_str().unwrap();
    let changed: String = bytes
        .char_indices()
        .map(|(at, c)| {
            if at != 400 {
                c
            } else if c == 'A' {
                'B'
            } else {
                'A'
            }
        })
        .collect();
    answer["proof"]["proof"] = json!(changed);
    std::fs::write(&bundled, answer.to_string()).unwrap();
    assert_eq!(ledgerkit(&["verify", text(&bundled), "--trust", text(&root)]).status, 1);

    // The data folder.
    let data = network.node(1).join("data");
    let files = || {
        let names = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let mut all: Vec<_> = names.map(|path| (std::fs::read(&path).unwrap(), path)).collect();
        all.sort();
        all
    };
    let before = files();
    let seen = ledgerkit(&["--json", "inspect", text(&data), "--blocks", "--replay", "--views"]);
    assert_eq!(seen.status, 0, "{}", seen.err);
    let seen = seen.json();
    let chain = &seen["chains"][0];
    assert_eq!((&chain["engine"], &chain["transactions"]), (&json!("solo"), &json!("1")));
    assert_eq!(chain["damage"], json!(null));
    assert_eq!(chain["views"], chain["replayed"], "the views are what executing the log gives");
    assert_eq!(chain["blocks"].as_array().unwrap().len().to_string(), chain["height"].as_str().unwrap());
    assert_eq!(files(), before, "inspecting changed something");

    // Everything is read, and proven.
    let verified = ledgerkit(&["--json", "inspect", text(&data), "--verify"]);
    assert_eq!(verified.status, 0, "{}{}", verified.err, verified.out);
    let verified = verified.json();
    let chain = &verified["chains"][0];
    assert_eq!((&chain["damage"], &chain["verified"]["damages"]), (&json!(null), &json!([])));
    assert_eq!(chain["verified"]["state_root"], seen["chains"][0]["replayed"]["state_root"]);
    assert!(chain["verified"]["live_keys"].as_u64().unwrap() > 0 && chain["verified"]["results"].as_u64() == Some(1));
    assert_eq!(files(), before, "verifying changed something");

    // A value that was changed, in each of the files that have them, and a file that is gone.
    let bulk = data.join("views").join("bulk");
    for entry in std::fs::read_dir(&bulk).unwrap() {
        let path = entry.unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[60] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let changed = ledgerkit(&["inspect", text(&data), "--verify"]);
        assert_eq!(changed.status, 1, "{}", changed.out);
        assert!(changed.out.contains("a state record of block 1 is damaged or was lost"), "{}", changed.out);
        std::fs::remove_file(&path).unwrap();
        let gone = ledgerkit(&["inspect", text(&data), "--verify"]);
        assert!(gone.status == 1 && gone.out.contains("damage "), "{}", gone.out);
        std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(ledgerkit(&["inspect", text(&data), "--verify"]).status, 0);

    // Damage is named with file and place.
    let log = before.iter().map(|(_, path)| path).find(|path| text(path).contains("/log-")).unwrap();
    let mut bytes = std::fs::read(log).unwrap();
    bytes[300] ^= 1;
    std::fs::write(log, &bytes).unwrap();
    let damaged = ledgerkit(&["inspect", text(&data)]);
    let name = log.file_name().unwrap().to_str().unwrap();
    assert!(damaged.status == 1 && damaged.err.contains(&format!("{name} is damaged at offset ")), "{}", damaged.err);
}

#[test]
fn run_says_what_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let (network, _) = used(folder.path());
    let refused = |said: &str| {
        let failed = network.fails(1);
        assert!(failed.status == 1 && failed.err.contains(said), "{said}: {}", failed.err);
    };
    // Another process has folder and port.
    let running = network.start(1);
    refused("is in use by another process");
    let busy = ledgerkit(&["inspect", text(&network.node(1).join("data"))]);
    assert!(busy.status == 1 && busy.err.contains("is in use by another process"), "{}", busy.err);
    assert_eq!(running.stop(), 0);
    let config = std::fs::read_to_string(network.config(1)).unwrap();
    let api = config.lines().filter(|line| line.starts_with("listen = ")).nth(1).unwrap();
    let address: std::net::SocketAddr = api.split('"').nth(1).unwrap().parse().unwrap();
    let taken = std::net::TcpListener::bind(address).unwrap();
    refused(&format!("can't listen on {address}"));
    drop(taken);

    // An older copy of the data folder, with the same key.
    let (data, old) = (network.node(1).join("data"), folder.path().join("old"));
    copy(&data, &old);
    let node = network.start(1);
    let owner = FileSigner::open(network.node(1).join("node.key")).unwrap();
    let client = network.client(&[node.url()]);
    let deploy = TransactionBuilder::deploy(client.chain(), ledger_contracts::NATIVE, b"token".to_vec(), vec![]);
    let deploy = deploy.sequence(0, 1).sign(&owner).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        client.submit(&deploy).await.unwrap();
        client.wait_certified(deploy.id(), Duration::from_secs(20)).await.unwrap();
    });
    assert_eq!(node.stop(), 0);
    std::fs::remove_dir_all(&data).unwrap();
    copy(&old, &data);
    refused("log is stale");

    // Another genesis, another key, settings that aren't known.
    let other = Network::new(&folder.path().join("other"), 1);
    std::fs::copy(other.folder.join("genesis.bin"), network.folder.join("genesis.bin")).unwrap();
    refused("wrong genesis");
    std::fs::write(network.folder.join("genesis.bin"), b"nonsense").unwrap();
    refused("genesis.bin: ");
    std::fs::write(network.config(1), "keys = \"a\"").unwrap();
    refused("unknown field `keys`");
    let root: TrustRoot = codec::decode(&std::fs::read(other.folder.join("trust-root.bin")).unwrap()).unwrap();
    assert_eq!(root.genesis, other.genesis());
    assert!(owner.public_key() != FileSigner::open(other.node(1).join("node.key")).unwrap().public_key());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_node_ends_with_whoever_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new(folder.path(), 1);
    // The first is killed when it is dropped; the second is told to end.
    drop(network.start(1));
    assert_eq!(network.start(1).stop(), 0);
}
