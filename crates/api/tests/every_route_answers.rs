//! Every route answers with what the chain holds, and every error is a problem.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{Node, account, owner};
use ledger_client::wire::{
    BlockPage, CheckpointInfo, ConsistencyAnswer, GenesisInfo, HeaderAnswer, ReceiptAnswer, SimulationAnswer,
    StateAnswer, StatePage, StreamedEvent, TransactionAnswer, TransactionProofAnswer,
};
use ledger_core::{Genesis, Header, Key, Proven, SignedTransaction, TransactionId, TrustRoot, codec, verify};
use ledger_crypto::Digest;
use serde::de::DeserializeOwned;
use serde_json::json;

async fn get<T: DeserializeOwned>(node: &Node, rest: &str) -> T {
    let reply = node.get(&node.path(rest)).await;
    assert_eq!(reply.status, 200, "{rest}: {reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn trust(node: &Node) -> Vec<u8> {
    codec::encode(&TrustRoot::new(node.chain().genesis().clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_gets_the_answer_that_was_waited_for() {
    let mut node = Node::start().await;
    for (wait, statuses) in
        [("accepted", [202, 200]), ("ordered", [202, 200]), ("executed", [200; 2]), ("certified", [200; 2])]
    {
        let transaction = node.mint();
        let reply = node.submit(&transaction, &format!("?wait={wait}&timeout_ms=20000")).await;
        assert!(statuses.contains(&reply.status), "{reply:?}");
        let answer: TransactionAnswer = serde_json::from_slice(&reply.body).unwrap();
        assert!(answer.complete && !answer.duplicate, "{answer:?}");
        assert_eq!(answer.id, transaction.id());
        assert!(answer.reached.unwrap().name() >= wait || answer.reached.unwrap().name() == "certified", "{answer:?}");
        // More may be known than was waited for.
        assert_eq!(answer.place.is_some(), answer.reached.unwrap().name() != "accepted");
        // The same bytes again: the same transaction, and where it stands.
        let again = node.submit(&transaction, "?wait=certified&timeout_ms=20000").await;
        let again: TransactionAnswer = serde_json::from_slice(&again.body).unwrap();
        assert!(again.duplicate && again.complete, "{again:?}");
        assert_eq!(again.reached.unwrap().name(), "certified");
        let status: TransactionAnswer = get(&node, &format!("/transactions/{}", transaction.id())).await;
        assert_eq!(status.receipt, again.receipt);
        assert_eq!(status.receipt.unwrap().events.len(), 1);
    }
    let transaction = node.mint();
    let body = json!({"transaction": STANDARD.encode(codec::encode(&transaction))}).to_string();
    let reply = node
        .post(&node.path("/transactions"), "Content-Type: application/json; charset=utf-8\r\n", body.as_bytes())
        .await;
    assert!(matches!(reply.status, 200 | 202), "{reply:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_ends_early_says_unknown_and_not_failed() {
    let node = Node::start().await;
    // Number 1 is missing, so number 2 is accepted and waits.
    let waiting = node.mint_at(2);
    let reply = node.submit(&waiting, "?wait=certified&timeout_ms=50").await;
    assert_eq!(reply.status, 202);
    let answer: TransactionAnswer = serde_json::from_slice(&reply.body).unwrap();
    assert!(!answer.complete);
    assert_eq!(answer.reached.unwrap().name(), "accepted");
    // A copy of it while it waits is the same transaction, known to be accepted.
    let again = node.submit(&waiting, "").await;
    let again: TransactionAnswer = serde_json::from_slice(&again.body).unwrap();
    assert!(again.duplicate && again.complete, "{again:?}");
    // Nobody knows this one.
    let unknown = TransactionId(Digest::new([9; 32]));
    let status: TransactionAnswer = get(&node, &format!("/transactions/{unknown}?wait=executed&timeout_ms=20")).await;
    assert_eq!((status.reached, status.complete), (None, false));
    // The missing one lets both through.
    assert!(node.submit(&node.mint_at(1), "").await.status < 300);
    let status: TransactionAnswer =
        get(&node, &format!("/transactions/{}?wait=certified&timeout_ms=20000", waiting.id())).await;
    assert!(status.complete, "{status:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_verify_with_the_genesis_alone() {
    let mut node = Node::start().await;
    let id = node.mint_certified(2).await[1];
    let root = trust(&node);
    let receipt: ReceiptAnswer = get(&node, &format!("/transactions/{id}/receipt?proof=true")).await;
    let proof = receipt.proof.unwrap();
    let Proven::Receipt { receipt: proven, .. } = verify(&proof.proof.0, &proof.checkpoint.0, &root).unwrap() else {
        panic!("not a receipt")
    };
    assert_eq!((proven.transaction, proven.succeeded()), (id, true));
    assert_eq!(receipt.receipt.output.0, &*proven.output);

    let shown: TransactionProofAnswer = get(&node, &format!("/transactions/{id}/proof")).await;
    let Proven::Transaction { id: proven, .. } =
        verify(&shown.proof.proof.0, &shown.proof.checkpoint.0, &root).unwrap()
    else {
        panic!("not a transaction")
    };
    assert_eq!((proven, shown.transaction.id), (id, id));

    let event: StreamedEvent = get(&node, &format!("/transactions/{id}/events/0")).await;
    let proof = event.proof.unwrap();
    let Proven::Event { event: proven, .. } = verify(&proof.proof.0, &proof.checkpoint.0, &root).unwrap() else {
        panic!("not an event")
    };
    assert_eq!(proven, event.event.to_event());

    let page: StatePage = get(&node, &format!("/state/{}", node.contract)).await;
    let (name, value) = (&page.entries[0].key, &page.entries[0].value);
    for key in [name.to_string(), format!("b64.{}", URL_SAFE_NO_PAD.encode(&name.0))] {
        let state: StateAnswer = get(&node, &format!("/state/{}/{key}?proof=true", node.contract)).await;
        assert_eq!(state.entry.as_ref().map(|entry| &entry.value), Some(value));
        let proof = state.proof.unwrap();
        let Proven::State { key, value: proven, .. } = verify(&proof.proof.0, &proof.checkpoint.0, &root).unwrap()
        else {
            panic!("not a state")
        };
        assert_eq!(key, Key::new(node.contract, name.0.clone()));
        assert_eq!(proven.unwrap().value.to_vec(), value.0);
    }
    let absent: StateAnswer = get(&node, &format!("/state/{}/00ff00?proof=true", node.contract)).await;
    assert!(absent.entry.is_none());
    let proof = absent.proof.unwrap();
    assert!(matches!(verify(&proof.proof.0, &proof.checkpoint.0, &root), Ok(Proven::State { value: None, .. })));

    let before: CheckpointInfo = get(&node, "/checkpoint").await;
    node.mint_certified(2).await;
    let history = before.header.history;
    let consistent: ConsistencyAnswer =
        get(&node, &format!("/history/consistency?size={}&root={}", history.size, history.root)).await;
    assert!(consistent.to.size > history.size);
    assert!(matches!(verify(&consistent.proof.proof.0, &consistent.proof.checkpoint.0, &root), Ok(Proven::History(_))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_headers_state_and_the_rest_are_the_chains() {
    let mut node = Node::start().await;
    node.mint_certified(3).await;
    let genesis: GenesisInfo = get(&node, "/genesis").await;
    assert_eq!(codec::decode::<Genesis>(&genesis.encoded.0).unwrap().chain(), node.chain().id());
    let block: BlockPage = get(&node, "/blocks/1?encoded=true").await;
    assert_eq!((block.count, block.transactions.len()), (1, 1));
    assert_eq!(codec::decode::<ledger_core::Block>(&block.encoded.unwrap().0).unwrap().transactions.len(), 1);
    let header: HeaderAnswer = get(&node, "/headers/1").await;
    assert_eq!(header.header, block.header);
    assert_eq!(codec::decode::<Header>(&header.encoded.0).unwrap().digest(), block.header.digest);
    let _: BlockPage = get(&node, "/blocks/latest").await;
    let _: BlockPage = get(&node, "/blocks/0").await;

    // Page after page is the whole.
    let whole: StatePage = get(&node, &format!("/state/{}", node.contract)).await;
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page: StatePage = get(&node, &format!("/state/{}?limit=1{after}", node.contract)).await;
        assert!(page.entries.len() <= 1);
        paged.extend(page.entries);
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert!(paged.len() > 1);
    assert_eq!(paged, whole.entries);
    // An old height still has its old value.
    let supply = |height: u64| {
        let key = whole.entries.iter().find(|entry| entry.value.0.len() == 16).unwrap().key.clone();
        format!("/state/{}/{key}?height={height}", node.contract)
    };
    let newest = node.chain().progress().executed.0;
    let (new, old): (StateAnswer, StateAnswer) =
        (get(&node, &supply(newest)).await, get(&node, &supply(newest - 1)).await);
    assert_eq!(new.height.0, old.height.0 + 1);

    let next: serde_json::Value = get(&node, &format!("/accounts/{}/next-number", account(&owner()))).await;
    assert_eq!(next["number"], "4");
    let query = node.path(&format!("/contracts/{}/query/supply", node.contract));
    let reply = node.post(&query, "Content-Type: application/octet-stream\r\n", &[]).await;
    assert_eq!(STANDARD.decode(reply.json()["output"].as_str().unwrap()).unwrap(), 3_u128.to_le_bytes());
    let body = json!({"arguments": STANDARD.encode(account(&owner()).0.as_bytes())}).to_string();
    let query = node.path(&format!("/contracts/{}/query/balance", node.contract));
    let reply = node.post(&query, "Content-Type: application/json\r\n", body.as_bytes()).await;
    assert_eq!(STANDARD.decode(reply.json()["output"].as_str().unwrap()).unwrap(), 3_u128.to_le_bytes());

    let chains = node.get("/v1/chains").await.json();
    assert_eq!(chains["chains"][0]["id"], node.chain().id().to_string());
    let shown: serde_json::Value = get(&node, "").await;
    assert_eq!(shown["executed"], newest.to_string());
    assert_eq!(node.get("/health/live").await.json()["healthy"], true);
    assert_eq!(node.get("/health/ready").await.json()["healthy"], true);
    let metrics = String::from_utf8(node.get("/metrics").await.body).unwrap();
    let height = format!("ledgerkit_chain_height{{chain=\"{}\",stage=\"executed\"}} {newest}\n", node.chain().id());
    assert!(metrics.contains(&height), "{metrics}");
    assert_eq!(node.get(&node.path("/peers")).await.json(), json!({"peers": []}));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_tells_the_fuel_that_the_transaction_then_uses() {
    let mut node = Node::start().await;
    node.mint_certified(1).await;
    let (bytes, json) = ("Content-Type: application/octet-stream\r\n", "Content-Type: application/json\r\n");
    // Number `at` in the stream, signed with this limit.
    let limited = |node: &Node, at: u64, limit: u64| {
        let SignedTransaction { mut transaction, body, .. } = node.mint_at(at);
        transaction.fuel_limit.0 = limit;
        transaction.sign(&owner(), body.unwrap()).unwrap()
    };
    // Too little to get anywhere.
    let mint = limited(&node, 2, 1);
    let (path, before) = (node.path("/simulations"), node.chain().progress().ordered);
    let reply = node.post(&path, bytes, &codec::encode(&mint)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer: SimulationAnswer = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((answer.transaction, answer.status.name(), &answer.reason), (mint.id(), "succeeded", &None));
    assert_eq!(answer.events.len(), 1);
    let body = json!({"transaction": STANDARD.encode(codec::encode(&mint))}).to_string();
    assert_eq!(node.post(&path, json, body.as_bytes()).await.json(), reply.json());
    // Nothing happened: no block, and the number in the stream is still free for the same with a better limit.
    assert_eq!(node.chain().progress().ordered, before);
    let needed = answer.fuel_used.0;
    for (at, limit, status) in [(2, needed - 1, "failed"), (3, needed, "succeeded")] {
        let mint = limited(&node, at, limit);
        let reply = node.submit(&mint, "?wait=executed&timeout_ms=20000").await;
        let receipt = serde_json::from_slice::<TransactionAnswer>(&reply.body).unwrap().receipt.unwrap();
        assert_eq!(receipt.status.name(), status, "{limit}: {receipt:?}");
    }
    // What would fail says why.
    let grant = ledger_core::TransactionBuilder::call(node.chain().id(), node.contract, "nothing", Vec::new());
    let reply = node.post(&path, bytes, &codec::encode(&grant.sequence(0, 9).sign(&owner()).unwrap())).await;
    let answer: SimulationAnswer = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer.status.name(), "failed");
    assert!(answer.reason.unwrap().contains("nothing"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_problem_of_a_stable_kind() {
    let mut node = Node::start().await;
    let id = node.mint_certified(1).await[0];
    let (bytes, zero) = ("Content-Type: application/octet-stream\r\n", Digest::ZERO);
    for (path, status, kind) in [
        ("/nowhere".to_owned(), 404, "not-found"),
        (format!("/v1/chains/{zero}"), 404, "unknown-chain"),
        ("/v1/chains/XYZ".to_owned(), 400, "malformed-request"),
        (node.path("/blocks/99999"), 404, "unknown-block"),
        (node.path("/blocks/-1"), 400, "malformed-request"),
        (node.path("/headers/18446744073709551615"), 404, "unknown-block"),
        (node.path("/blocks/1?form=2"), 400, "malformed-request"),
        (node.path("/blocks/1?from=x"), 400, "malformed-request"),
        (node.path(&format!("/transactions/{zero}/receipt")), 404, "unknown-transaction"),
        (node.path(&format!("/transactions/{zero}/proof")), 404, "unknown-transaction"),
        (node.path(&format!("/transactions/{id}/events/7")), 404, "unknown-transaction"),
        (node.path(&format!("/transactions/{id}/receipt?proof=yes")), 400, "malformed-request"),
        (node.path(&format!("/transactions/{id}?wait=soon")), 400, "malformed-request"),
        (node.path(&format!("/state/{zero}/zz")), 400, "malformed-request"),
        (node.path(&format!("/state/{zero}/00?height=99999")), 404, "unknown-block"),
        (node.path(&format!("/state/{zero}/00?height=1&proof=true")), 400, "malformed-request"),
        (node.path("/checkpoint?seen_size=1"), 400, "malformed-request"),
        (node.path("/history/consistency"), 400, "malformed-request"),
        (node.path(&format!("/history/consistency?size=999999&root={zero}")), 400, "malformed-request"),
        (node.path("/events?stage=executed&proof=true"), 400, "malformed-request"),
    ] {
        let reply = node.get(&path).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, kind), "{path}: {reply:?}");
        assert_eq!(reply.json()["instance"], path.split('?').next().unwrap());
    }
    let (submit, simulate) = (node.path("/transactions"), node.path("/simulations"));
    let wrong_chain =
        ledger_core::TransactionBuilder::call(ledger_core::ChainId(zero), node.contract, "mint", Vec::new());
    let wrong_chain = codec::encode(&wrong_chain.sequence(0, 2).sign(&owner()).unwrap());
    let mut forged = node.mint_at(2);
    forged.transaction.fuel_limit.0 += 1;
    let mut used = node.mint_at(1);
    used.transaction.expires_at = Some(ledger_core::Timestamp(u64::MAX));
    let used = used.transaction.sign(&owner(), used.body.unwrap()).unwrap();
    for (path, headers, body, status, kind) in [
        (&submit, bytes, b"garbage".to_vec(), 422, "invalid-transaction"),
        (&submit, bytes, wrong_chain.clone(), 422, "invalid-transaction"),
        (&simulate, bytes, wrong_chain, 422, "invalid-transaction"),
        (&simulate, bytes, b"garbage".to_vec(), 422, "invalid-transaction"),
        (&simulate, "", Vec::new(), 415, "unsupported-media-type"),
        (&submit, bytes, codec::encode(&forged), 422, "invalid-transaction"),
        (&submit, bytes, codec::encode(&used), 409, "transaction-refused"),
        (&submit, "", Vec::new(), 415, "unsupported-media-type"),
        (&submit, "Content-Type: text/plain\r\n", Vec::new(), 415, "unsupported-media-type"),
        (&submit, "Content-Type: application/json\r\n", b"{".to_vec(), 400, "malformed-request"),
        (&submit, "Content-Type: application/json\r\n", b"{\"transaction\":\"A\"}".to_vec(), 400, "malformed-request"),
        (&node.path(&format!("/contracts/{}/query/nothing", node.contract)), bytes, Vec::new(), 422, "query-refused"),
        (&node.path(&format!("/contracts/{zero}/query/x")), bytes, Vec::new(), 422, "query-refused"),
        (&node.path("/genesis"), bytes, Vec::new(), 405, "method-not-allowed"),
    ] {
        let reply = node.post(path, headers, &body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, kind), "{path}: {reply:?}");
    }
    node.stop().await;
}
