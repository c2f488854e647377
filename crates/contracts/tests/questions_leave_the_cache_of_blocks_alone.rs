//! Queries and simulations change nothing, not even which code blocks find ready.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::alice;
use common::counting::{COUNTING, Counting, code, deploy, names};
use ledger_contracts::lifecycle::Upload;
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{ExecutorConfig, LIFECYCLE, LedgerExecutor};
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::{AccountId, Call, ContractId, Executor, Failure, Fuel, Status};
use ledger_crypto::Signer;
use std::sync::Arc;

struct World {
    executor: Arc<LedgerExecutor>,
    ledger: TestLedger,
    counting: Counting,
}

fn world(config: ExecutorConfig) -> World {
    let counting = Counting::default();
    let executor = Arc::new(LedgerExecutor::new(config).with(counting.clone()));
    World { ledger: TestLedger::new(Arc::clone(&executor)), executor, counting }
}

fn call(contract: ContractId, method: &str, arguments: &[u8]) -> Call {
    let account = AccountId::of_ed25519(&alice().public_key());
    let (method, arguments) = (method.to_owned(), Bytes::from(arguments));
    Call { account, contract, method, arguments, fuel_limit: Fuel(u64::MAX) }
}

fn upload(code: &[u8]) -> Vec<u8> {
    codec::encode(&Upload { runtime: Text::from(COUNTING), code: Bytes::from(code) })
}

#[test]
fn code_that_a_question_brings_along_is_not_kept() {
    let World { executor, mut ledger, counting } = world(ExecutorConfig::default());
    let brought = code(1, 1_000);
    for _ in 0..3 {
        let asked = call(LIFECYCLE, "upload", &upload(&brought));
        let said = executor.simulate(&asked, &ledger.context(), &ledger.state).unwrap();
        assert_eq!(said.status, Status::Succeeded);
        assert_eq!(
            counting.made_ready(),
            core::slice::from_ref(&brought),
            "each question makes it ready for itself alone"
        );
    }
    ledger.call(&alice(), LIFECYCLE, "upload", &upload(&brought)).unwrap();
    assert_eq!(counting.made_ready(), core::slice::from_ref(&brought), "and the block for all later ones");
    ledger.deploy(&alice(), COUNTING, &brought, b"").unwrap();
    assert_eq!(counting.made_ready().len(), 0);
}

#[test]
fn a_query_can_neither_upload_nor_deploy() {
    let World { executor, mut ledger, counting } = world(ExecutorConfig::default());
    let contract = deploy(&mut ledger, 1, 10)[0];
    counting.made_ready();
    for method in ["upload", "instantiate", "upgrade", "pause", "resume"] {
        let asked = call(LIFECYCLE, method, &upload(b"code"));
        let said = executor.query(&asked, &ledger.context(), &ledger.state).unwrap();
        let forbidden = Failure::Forbidden { what: Text::from("write in a read-only call") };
        assert_eq!((said.status, said.writes.len()), (Status::Failed(forbidden), 0), "{method}");
    }
    assert_eq!(counting.made_ready().len(), 0);
    let described = call(LIFECYCLE, "describe", contract.0.as_bytes());
    assert_eq!(executor.query(&described, &ledger.context(), &ledger.state).unwrap().status, Status::Succeeded);
}

#[test]
fn questions_neither_evict_what_blocks_use_nor_make_it_younger() {
    // Two codes have room, each with 16 bytes a byte and 1 KiB.
    let room = 2 * (16 * 10_000 + 1_024);
    let World { executor, mut ledger, counting } =
        world(ExecutorConfig { prepared_bytes: room, asked_bytes: room, ..ExecutorConfig::default() });
    let contracts = deploy(&mut ledger, 6, 10_000);
    let mut run = |index: usize| {
        counting.made_ready();
        assert!(ledger.call(&alice(), contracts[index], "nothing", b"").unwrap().receipt.succeeded());
        (counting.made_ready().len(), ledger.clone())
    };
    assert_eq!((run(0).0, run(1).0), (1, 1));
    let (again, ledger) = run(0);
    assert_eq!(again, 0);
    for index in [2, 3, 4, 5, 1, 1] {
        let asked = call(contracts[index], "nothing", b"");
        executor.simulate(&asked, &ledger.context(), &ledger.state).unwrap();
        executor.query(&asked, &ledger.context(), &ledger.state).unwrap();
    }
    assert_eq!((run(0).0, run(1).0), (0, 0));
    // Code 0 was used before 1, however often anybody has asked for it since.
    let asked = call(contracts[0], "nothing", b"");
    executor.query(&asked, &ledger.context(), &ledger.state).unwrap();
    assert_eq!((run(2).0, run(1).0, run(0).0), (1, 0, 1));
}

#[test]
fn what_questions_need_is_kept_for_questions() {
    let room = 2 * (16 * 10_000 + 1_024);
    let World { executor, mut ledger, counting } =
        world(ExecutorConfig { prepared_bytes: 0, asked_bytes: room, ..ExecutorConfig::default() });
    let contracts = deploy(&mut ledger, 3, 10_000);
    let ask = |index: usize| {
        counting.made_ready();
        executor.query(&call(contracts[index], "nothing", b""), &ledger.context(), &ledger.state).unwrap();
        counting.made_ready().len()
    };
    assert_eq!([0, 0, 1, 0, 2, 0, 1].map(ask), [1, 0, 1, 0, 1, 0, 1]);
    // Within one question, nothing is made ready twice.
    let twice = [contracts[1], contracts[2], contracts[1], contracts[2], contracts[1]];
    executor.query(&call(contracts[0], "visit", &names(&twice)), &ledger.context(), &ledger.state).unwrap();
    assert!(counting.made_ready().len() <= 2);
}

#[test]
fn large_code_takes_more_of_the_cache_than_small_code() {
    let World { mut ledger, counting, .. } =
        world(ExecutorConfig { prepared_bytes: 500_000, ..ExecutorConfig::default() });
    let small = deploy(&mut ledger, 20, 1_000);
    let large = ledger.deploy(&alice(), COUNTING, &code(99, 20_000), b"").unwrap();
    let mut run = |contract| {
        counting.made_ready();
        ledger.call(&alice(), contract, "nothing", b"").unwrap();
        counting.made_ready().len()
    };
    // All small ones had room, until the large one came.
    assert_eq!(run(large), 0);
    let lost = small.iter().filter(|contract| run(**contract) == 1).count();
    assert!(lost > 0);
}
