//! A node with an empty data folder joins a running network by a snapshot that the others give, follows, and goes on after a
//! restart; the binary's settings say so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Network, ledgerkit, text};
use ledger_core::{TransactionBuilder, TransactionId};
use ledger_crypto::MemorySigner;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sets what is commented out in the settings of a node.
fn set(network: &Network, number: usize, settings: &[(&str, &str)]) {
    let path = network.config(number);
    let mut text = fs::read_to_string(&path).unwrap();
    for (old, new) in settings {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    fs::write(&path, text).unwrap();
}

#[test]
fn a_node_with_an_empty_folder_joins_by_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new(folder.path(), 4);
    for number in 1..=4 {
        set(&network, number, &[("#every_blocks = 128", "every_blocks = 4")]);
    }
    set(&network, 4, &[("#join = false", "join = true")]);
    let nodes: Vec<_> = (1..=3).map(|number| network.start(number)).collect();
    let client = network.client(&[nodes[0].url()]);
    let owner = MemorySigner::from_seed([9; 32]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let deploy = |number: u64| -> TransactionId {
        let deploy = TransactionBuilder::deploy(client.chain(), ledger_contracts::NATIVE, b"token".to_vec(), vec![]);
        let deploy = deploy.sequence(0, number).sign(&owner).unwrap();
        runtime.block_on(async {
            client.submit(&deploy).await.unwrap();
            client.wait_certified(deploy.id(), PATIENCE).await.unwrap();
        });
        deploy.id()
    };
    (0..12).for_each(|number| _ = deploy(number));

    // What it proves, it has from the others; what it doesn't have, it says.
    let late = network.start(4);
    let own = network.client(&[late.url()]);
    let seen = |id: TransactionId| runtime.block_on(own.wait_certified(id, PATIENCE)).unwrap().receipt.succeeded();
    assert!(seen(deploy(12)));
    assert_eq!(late.stop(), 0);
    let data = network.node(4).join("data");
    let inspect = || -> Value {
        let said = ledgerkit(&["--json", "inspect", text(&data), "--verify"]);
        assert_eq!(said.status, 0, "{}{}", said.err, said.out);
        said.json()["chains"][0].clone()
    };
    let first = inspect();
    let height = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let base = height(&first["begins_behind"]["height"]);
    assert!(base >= 4 && height(&first["height"]) > base, "{first}");

    // Opened again, it goes on from its own folder.
    let late = network.start(4);
    let id = deploy(13);
    let own = network.client(&[late.url()]);
    assert!(runtime.block_on(own.wait_certified(id, PATIENCE)).unwrap().receipt.succeeded());
    assert_eq!(late.stop(), 0);
    let second = inspect();
    assert_eq!((height(&second["begins_behind"]["height"]), &second["damage"]), (base, &json!(null)));
    assert!(height(&second["height"]) > height(&first["height"]));

    // While nobody answers it waits, and can be told to stop.
    for node in nodes {
        assert_eq!(node.stop(), 0);
    }
    fs::remove_dir_all(&data).unwrap();
    fs::remove_dir_all(network.node(4).join("guard")).unwrap();
    let begun = Instant::now();
    let mut waiting = common::command(&["run", "--until-stdin-ends", "--config", text(&network.config(4))])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(waiting.try_wait().unwrap(), None);
    drop(waiting.stdin.take());
    assert!(waiting.wait().unwrap().success() && begun.elapsed() < PATIENCE);

    // One owner has nobody to ask.
    let alone = Network::new(&folder.path().join("alone"), 1);
    set(&alone, 1, &[("#join = false", "join = true")]);
    let refused = alone.fails(1);
    assert!(refused.status == 1 && refused.err.contains("no validators to join"), "{}", refused.err);
}
