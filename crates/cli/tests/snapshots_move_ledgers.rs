//! `ledgerkit snapshot`: a ledger is moved to another data folder by a snapshot, with everything that it proves, and its
//! key signs in one place only.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Network, ledgerkit, text};
use ledger_core::{Height, TransactionBuilder};
use ledger_crypto::FileSigner;
use serde_json::json;
use std::fs;
use std::time::Duration;

/// Runs the owner's node, has `transactions` certified, and stops it.
fn used(network: &Network, first: u64, transactions: u64) -> Height {
    let node = network.start(1);
    let owner = FileSigner::open(network.node(1).join("node.key")).unwrap();
    let client = network.client(&[node.url()]);
    let mut height = Height(0);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for number in first..first + transactions {
            let deploy =
                TransactionBuilder::deploy(client.chain(), ledger_contracts::NATIVE, b"token".to_vec(), vec![]);
            let deploy = deploy.sequence(0, number).sign(&owner).unwrap();
            client.submit(&deploy).await.unwrap();
            let receipt = client.wait_certified(deploy.id(), Duration::from_secs(20)).await.unwrap();
            assert!(receipt.receipt.succeeded());
            height = Height(receipt.place.height.0);
        }
    });
    assert_eq!(node.stop(), 0);
    height
}

#[test]
fn a_ledger_moves_by_snapshot_and_its_key_signs_in_one_place_only() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new(folder.path(), 1);
    used(&network, 0, 5);
    let path = |name: &str| folder.path().join(name);
    let (data, guard, genesis) =
        (network.node(1).join("data"), network.node(1).join("guard"), network.folder.join("genesis.bin"));
    let (old, new, early, late) = (path("old"), path("new"), path("early"), path("late"));
    let export = |to| ledgerkit(&["--json", "snapshot", "export", "--data", text(&data), "--out", text(to)]);
    let verify = |from| ledgerkit(&["--json", "snapshot", "verify", "--from", text(from), "--genesis", text(&genesis)]);
    let import = |from, options: &[&str]| {
        let words =
            ["--json", "snapshot", "import", "--genesis", text(&genesis), "--from", text(from), "--data", text(&new)];
        ledgerkit(&[words.as_slice(), options].concat())
    };
    let along = ["--guard", text(&guard)];

    let nowhere = ledgerkit(&["snapshot", "export", "--data", text(&path("nowhere")), "--out", text(&early)]);
    assert!(nowhere.status == 1 && nowhere.err.contains("nowhere"), "{}", nowhere.err);
    assert!(!path("nowhere").exists() && !early.exists());
    let exported = export(&early);
    assert_eq!(exported.status, 0, "{}", exported.err);
    used(&network, 5, 3);
    let exported = export(&late);
    assert_eq!(exported.status, 0, "{}", exported.err);
    let (exported, verified) = (exported.json(), verify(&late));
    assert_eq!(verified.status, 0, "{}", verified.err);
    let verified = verified.json();
    for member in ["chain", "height", "state_root", "checkpoint", "manifest", "chunks", "bytes"] {
        assert_eq!(exported[member], verified[member], "{member}");
    }
    assert!(verified["keys"].as_str().unwrap().parse::<u64>().unwrap() > 8);

    // The older one isn't all that the key has signed.
    let refused = import(&early, &along);
    assert!(refused.status == 1 && refused.err.contains("the key has signed at"), "{}", refused.err);
    fs::remove_dir_all(&new).unwrap();

    // Damage is named by folder and file, and what was good is kept.
    let chunk = fs::read_dir(&late).unwrap().map(|entry| entry.unwrap().path());
    let chunk = chunk.into_iter().find(|path| text(path).ends_with(".chunk")).unwrap();
    let whole = fs::read(&chunk).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&chunk, &damaged).unwrap();
    let name = chunk.file_name().unwrap().to_str().unwrap();
    for refused in [verify(&late), import(&late, &along)] {
        assert_eq!(refused.status, 1);
        assert!(refused.err.contains("late") && refused.err.contains(&format!("{name} is damaged")), "{}", refused.err);
    }
    fs::write(&chunk, &whole).unwrap();
    let imported = import(&late, &along);
    assert_eq!(imported.status, 0, "{}", imported.err);
    let again = import(&late, &along);
    assert!(again.status == 1 && again.err.contains("has views at height"), "{}", again.err);

    // The new folder proves what the old one did, and says where it begins.
    let seen = ledgerkit(&["--json", "inspect", text(&new), "--verify", "--views", "--replay", "--blocks"]);
    assert_eq!(seen.status, 0, "{}{}", seen.err, seen.out);
    let chain = &seen.json()["chains"][0];
    assert_eq!((&chain["begins_behind"]["height"], &chain["damage"]), (&exported["height"], &json!(null)));
    assert_eq!(
        (&chain["verified"]["state_root"], &chain["verified"]["damages"]),
        (&exported["state_root"], &json!([]))
    );
    assert_eq!(chain["height"], exported["checkpoint"]["height"]);
    assert!(chain["not_replayed"].as_str().unwrap().contains("the log begins behind block"), "{chain}");
    let shown = ledgerkit(&["inspect", text(&new)]);
    assert!(shown.out.contains("begins      behind block"), "{}", shown.out);

    // It goes on there, and in the old folder no more.
    fs::rename(&data, &old).unwrap();
    fs::rename(&new, &data).unwrap();
    let height = used(&network, 8, 2);
    assert!(height.0 > exported["height"].as_str().unwrap().parse().unwrap());
    fs::rename(&data, &new).unwrap();
    fs::rename(&old, &data).unwrap();
    let refused = network.fails(1);
    assert!(refused.status == 1 && refused.err.contains("vote guard belongs to log"), "{}", refused.err);
}
