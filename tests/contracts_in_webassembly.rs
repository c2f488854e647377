//! The committed modules of the example contracts do on a ledger what their source does on the SDK's mock host: the same
//! answers, refusals, events and state, call by call. The tokens in C and AssemblyScript do what the one in Rust does. With
//! the feature `wasmtime` both engines run everything, and their receipts are the same, fuel included.
//!
//! `LEDGERKIT_FIXTURES` names another folder of modules, which `.ci/contracts` has built. `LEDGERKIT_GOLDEN=write` writes the
//! interfaces beside the fixtures anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_contract_sdk::mock::{Chain, Failure as Refused};
use ledger_contract_sdk::{AccountId, Call, ContractId, Definition};
use ledger_example_loyalty as loyalty;
use ledger_example_notary as notary;
use ledger_example_provenance as provenance;
use ledger_example_swap as swap;
use ledger_example_titles as titles;
use ledger_example_token as token;
use ledger_example_voting as voting;
use ledgerkit::contracts::LedgerExecutor;
use ledgerkit::contracts::testing::TestLedger;
use ledgerkit::contracts::wasm::{WASM, WasmRuntime};
use ledgerkit::core::{self, Failure, KeyRange, StateView, Status, TransactionBuilder, TransactionResult};
use ledgerkit::crypto::{Digest, MemorySigner, Signer};
use sha2::Digest as _;
use std::fs;
use std::path::PathBuf;

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/contracts/fixtures")
}

fn module(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("LEDGERKIT_FIXTURES").map_or_else(committed, PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn signer(who: u8) -> MemorySigner {
    MemorySigner::from_seed([who; 32])
}

fn account(who: u8) -> AccountId {
    AccountId(*core::AccountId::of_ed25519(&signer(who).public_key()).0.as_bytes())
}

fn id(contract: ContractId) -> core::ContractId {
    core::ContractId(Digest::new(contract.0))
}

/// Ledgers that run modules, one for each engine, and the mock host that runs their source.
struct Twins {
    ledgers: Vec<TestLedger>,
    mock: Chain,
    calls: usize,
}

fn engines() -> Vec<WasmRuntime> {
    vec![
        WasmRuntime::wasmi().unwrap(),
        #[cfg(feature = "wasmtime")]
        WasmRuntime::wasmtime(ledgerkit::contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
    ]
}

impl Twins {
    fn new() -> Self {
        let ledger = |engine| TestLedger::new(LedgerExecutor::default().with(engine));
        let ledgers: Vec<TestLedger> = engines().into_iter().map(ledger).collect();
        let mut mock = Chain::new();
        (mock.height, mock.timestamp) = (ledgers[0].height.0, ledgers[0].timestamp.0);
        Twins { ledgers, mock, calls: 0 }
    }

    /// Submits a transaction to every ledger; the receipts are the same.
    fn submit(&mut self, who: u8, transaction: &TransactionBuilder) -> TransactionResult {
        let submit = |ledger: &mut TestLedger| ledger.submit(&signer(who), transaction.clone()).unwrap();
        let results: Vec<TransactionResult> = self.ledgers.iter_mut().map(submit).collect();
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results[0].clone()
    }

    fn deployment(&self, module: &[u8], arguments: Vec<u8>) -> TransactionBuilder {
        let ledger = &self.ledgers[0];
        let deployment = TransactionBuilder::deploy(ledger.chain(), WASM, module.to_vec(), arguments);
        deployment.fuel_limit(ledger.rules.max_transaction_fuel)
    }

    /// Deploys a module on the one and its source on the other.
    fn deploy(&mut self, module: &[u8], source: &'static Definition, arguments: Vec<u8>) -> ContractId {
        let deployment = self.deployment(module, arguments.clone());
        let result = self.submit(0, &deployment);
        assert_eq!(result.receipt.status, Status::Succeeded, "{}", source.interface.name);
        let contract = core::ContractId::deployed_by(&result.receipt.transaction);
        let contract = ContractId(*contract.0.as_bytes());
        let before = self.mock.events().len();
        self.mock.deploy_at(contract, account(0), source, arguments).unwrap();
        self.compare_events(&result, before);
        self.compare_state(&[contract]);
        contract
    }

    fn compare_events(&self, result: &TransactionResult, before: usize) {
        let expected: Vec<_> = self.mock.events()[before..]
            .iter()
            .map(|event| (id(event.contract), event.topic.clone(), event.data.clone()))
            .collect();
        let found: Vec<_> = result
            .events
            .iter()
            .map(|event| (event.contract, event.topic.as_str().to_owned(), event.data.to_vec()))
            .collect();
        assert_eq!(found, expected);
    }

    fn compare_state(&self, contracts: &[ContractId]) {
        for &contract in contracts {
            let expected: Vec<_> =
                self.mock.state(contract).into_iter().map(|entry| (entry.key, entry.value)).collect();
            for ledger in &self.ledgers {
                let range = KeyRange::prefix(id(contract), b"");
                let entries = ledger.state.scan(&range).map(|entry| entry.unwrap());
                let found: Vec<_> = entries.map(|(key, found)| (key.name.to_vec(), found.value.to_vec())).collect();
                assert_eq!(found, expected, "the state of {contract:?}");
            }
        }
    }

    /// Makes a call on both, and compares all that can be seen; whether it succeeded.
    fn call<T>(&mut self, who: u8, call: &Call<T>) -> bool {
        self.call_raw(who, call.contract(), call.method(), call.arguments())
    }

    fn call_raw(&mut self, who: u8, contract: ContractId, method: &str, arguments: &[u8]) -> bool {
        self.calls += 1;
        let what = format!("call {} of {method} by {who}", self.calls);
        let before = self.mock.events().len();
        let chain = self.ledgers[0].chain();
        let call = TransactionBuilder::call(chain, id(contract), method, arguments.to_vec());
        let result = self.submit(who, &call);
        let expected = self.mock.call_raw(account(who), contract, method, arguments);
        match (&result.receipt.status, &expected) {
            (Status::Succeeded, Ok(receipt)) => assert_eq!(*result.receipt.output, *receipt.answer, "{what}"),
            (Status::Failed(Failure::Refused { code, message }), Err(Refused::Refused(refusal))) => {
                assert_eq!((*code, message.as_str()), (refusal.code, &*refusal.message), "{what}");
            }
            (Status::Failed(Failure::UnknownMethod { .. }), Err(Refused::UnknownMethod(_))) => {}
            (found, expected) => panic!("{what}: the module gave {found:?}, its source {expected:?}"),
        }
        self.compare_events(&result, before);
        self.compare_state(&[contract]);
        expected.is_ok()
    }

    /// Goes on by a block that is `ms` later.
    fn advance(&mut self, ms: u64) {
        self.mock.advance(ms);
        for ledger in &mut self.ledgers {
            ledger.height = ledger.height.next();
            ledger.timestamp = ledger.timestamp.plus(ms);
        }
    }
}

fn currency(symbol: &str) -> token::Currency {
    token::Currency { name: "Money".into(), symbol: symbol.into(), decimals: 2 }
}

/// Numbers at the edges of their encodings.
const AMOUNTS: [u64; 12] =
    [0, 1, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX];

/// What all tokens can do, in every order of amounts that matters.
fn drive_token(twins: &mut Twins, token: token::Token) {
    for (place, amount) in AMOUNTS.into_iter().enumerate() {
        twins.call(0, &token.mint(account(1), amount));
        twins.call(1, &token.mint(account(1), amount));
        twins.call(1, &token.transfer(account(2), amount / 2));
        twins.call(2, &token.transfer(account(2), amount / 3));
        twins.call(2, &token.transfer(account(3), AMOUNTS[11 - place]));
        twins.call(1, &token.burn(amount / 4));
        twins.call(2, &token.burn(AMOUNTS[11 - place]));
        twins.call(0, &token.supply());
        for who in 0..4 {
            twins.call(0, &token.balance(account(who)));
        }
        twins.call(1, &token.burn(u64::MAX));
    }
    // All of it, so that balances leave the state.
    for who in 1..4 {
        let left = twins.mock.query(account(0), token.balance(account(who))).unwrap();
        assert!(left == 0 || twins.call(who, &token.burn(left)));
    }
    twins.call(0, &token.currency());
    let good = [account(1).0.as_slice(), &[5]].concat();
    let cases: [&[u8]; 7] = [
        b"",
        &good[..32],
        &[good.as_slice(), &[0]].concat(),
        &[&good[..32], &[251, 5, 0]].concat(),
        &[&good[..32], &[254], &[1; 16]].concat(),
        &[&good[..32], &[255]].concat(),
        &[&good[..32], &[253, 1]].concat(),
    ];
    for arguments in cases {
        assert!(!twins.call_raw(0, token.0, "transfer", arguments));
    }
    assert!(!twins.call_raw(0, token.0, "supply", &[0]));
    assert!(!twins.call_raw(0, token.0, "nothing", b""));
    assert!(!twins.call_raw(0, token.0, "construct", &token::Token::constructor(currency("EUR"))));
}

#[test]
fn the_token() {
    let mut twins = Twins::new();
    let arguments = token::Token::constructor(currency("EUR"));
    let token = token::Token(twins.deploy(&module("token"), &token::CONTRACT, arguments));
    drive_token(&mut twins, token);
    assert!(twins.call(0, &token.mint(account(1), 1_000)));
    assert!(twins.call(1, &token.approve(account(2), 300)));
    assert!(twins.call(2, &token.transfer_from(account(1), account(3), 200)));
    assert!(!twins.call(2, &token.transfer_from(account(1), account(3), 200)));
    assert!(twins.call(0, &token.allowance(account(1), account(2))));
    let payments = |count: u8| (0..count).map(|who| token::Payment { to: account(who % 5), amount: 2 }).collect();
    assert!(twins.call(1, &token.pay_many(payments(100))));
    assert!(!twins.call(1, &token.pay_many(payments(101))));
    assert!(!twins.call(1, &token.pay_many(Vec::new())));
    assert!(!twins.call(1, &token.set_paused(true)));
    assert!(twins.call(0, &token.set_paused(true)));
    assert!(!twins.call(1, &token.transfer(account(2), 1)));
}

#[test]
fn the_tokens_in_c_and_assemblyscript() {
    for name in ["token_c", "token_assemblyscript"] {
        let mut twins = Twins::new();
        let arguments = token::Token::constructor(currency("YEN"));
        let token = token::Token(twins.deploy(&module(name), &token::CONTRACT, arguments));
        drive_token(&mut twins, token);
        for symbol in ["EU", "EUROES", "E1R", ""] {
            let arguments = token::Token::constructor(currency(symbol));
            let deployment = twins.deployment(&module(name), arguments);
            let status = twins.submit(0, &deployment).receipt.status;
            assert!(
                matches!(status, Status::Failed(Failure::Refused { code, .. }) if code == token::Error::BadSymbol as u32),
                "{name} took {symbol:?}: {status:?}"
            );
        }
    }
}

#[test]
fn titles() {
    let mut twins = Twins::new();
    let arguments = titles::Titles::constructor();
    let titles = titles::Titles(twins.deploy(&module("titles"), &titles::CONTRACT, arguments));
    let plot = || String::from("plot 7");
    assert!(!twins.call(1, &titles.register(plot(), account(2), [9; 32])));
    assert!(twins.call(0, &titles.set_registrar(account(1), true)));
    assert!(twins.call(1, &titles.register(plot(), account(2), [9; 32])));
    assert!(!twins.call(1, &titles.register(plot(), account(2), [9; 32])));
    for number in 0..40 {
        assert!(twins.call(1, &titles.register(format!("car {number}"), account(2), [1; 32])));
    }
    assert!(twins.call(2, &titles.offer(plot(), account(3))));
    assert!(!twins.call(4, &titles.accept(plot())));
    assert!(twins.call(3, &titles.accept(plot())));
    assert!(twins.call(3, &titles.place_lien(plot(), account(4))));
    assert!(!twins.call(3, &titles.offer(plot(), account(2))));
    assert!(twins.call(4, &titles.release_lien(plot())));
    assert!(twins.call(3, &titles.offer(plot(), account(2))));
    assert!(twins.call(3, &titles.withdraw(plot())));
    assert!(twins.call(0, &titles.title(plot())));
    assert!(twins.call(0, &titles.title("nothing".into())));
    assert!(twins.call(0, &titles.history(plot(), 1, 2)));
    assert!(twins.call(0, &titles.assets(account(2), None, 100)));
    assert!(twins.call(0, &titles.assets(account(2), Some("car 20".into()), 7)));
}

#[test]
fn voting() {
    let mut twins = Twins::new();
    let arguments = voting::Voting::constructor(5);
    let voting = voting::Voting(twins.deploy(&module("voting"), &voting::CONTRACT, arguments));
    for who in 1..5 {
        assert!(twins.call(0, &voting.set_weight(account(who), who.into())));
    }
    let options = vec!["yes".into(), "no".into()];
    let closes_at = twins.mock.timestamp + 60_000;
    assert!(!twins.call(5, &voting.propose("?".into(), options.clone(), closes_at)));
    assert!(!twins.call(1, &voting.propose("?".into(), Vec::new(), closes_at)));
    assert!(twins.call(1, &voting.propose("Buy the barn?".into(), options, closes_at)));
    for (who, option) in [(1, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 0)] {
        assert!(twins.call(who, &voting.vote(0, option)));
        assert!(twins.call(0, &voting.outcome(0)));
    }
    assert!(!twins.call(1, &voting.vote(0, 2)));
    assert!(!twins.call(1, &voting.vote(1, 0)));
    assert!(twins.call(0, &voting.vote_of(0, account(3))));
    twins.advance(60_000);
    assert!(!twins.call(1, &voting.vote(0, 0)));
    assert!(twins.call(0, &voting.outcome(0)));
    assert!(twins.call(0, &voting.proposal(0)));
}

#[test]
fn a_notary() {
    let mut twins = Twins::new();
    let arguments = notary::Notary::constructor();
    let notary = notary::Notary(twins.deploy(&module("notary"), &notary::CONTRACT, arguments));
    assert!(twins.call(1, &notary.record_document([1; 32], "deed".into(), None)));
    assert!(!twins.call(2, &notary.record_document([1; 32], "deed".into(), None)));
    assert!(twins.call(1, &notary.record_document([2; 32], "deed 2".into(), Some([1; 32]))));
    assert!(!twins.call(1, &notary.attest([2; 32])));
    for who in 2..6 {
        assert!(twins.call(who, &notary.attest([2; 32])));
        assert!(!twins.call(who, &notary.attest([1; 32])));
    }
    assert!(twins.call(1, &notary.revoke([2; 32])));
    assert!(twins.call(0, &notary.document([1; 32])));
    assert!(twins.call(0, &notary.document([2; 32])));
    assert!(twins.call(0, &notary.witnesses([2; 32], None, 3)));
    assert!(twins.call(0, &notary.witnesses([2; 32], Some(account(3)), 100)));
    assert!(twins.call(0, &notary.documents(account(1), 0, 100)));
    assert!(!twins.call(1, &notary.record_document([3; 32], "x".repeat(201), None)));
}

#[test]
fn loyalty_points() {
    let mut twins = Twins::new();
    let arguments = loyalty::Loyalty::constructor(10);
    let loyalty = loyalty::Loyalty(twins.deploy(&module("loyalty"), &loyalty::CONTRACT, arguments));
    assert!(twins.call(0, &loyalty.set_shop(account(1), true)));
    assert!(!twins.call(2, &loyalty.award(account(3), 5)));
    for _ in 0..12 {
        assert!(twins.call(1, &loyalty.award(account(3), 5)));
        assert!(twins.call(0, &loyalty.balance(account(3))));
        twins.advance(86_400_000);
    }
    assert!(twins.call(0, &loyalty.lots(account(3))));
    assert!(!twins.call(3, &loyalty.redeem(account(2), 5)));
    assert!(twins.call(3, &loyalty.redeem(account(1), 42)));
    assert!(!twins.call(3, &loyalty.redeem(account(1), 42)));
    assert!(twins.call(0, &loyalty.lots(account(3))));
    assert!(twins.call(0, &loyalty.account(account(1))));
}

#[test]
fn a_swap_of_two_tokens() {
    let mut twins = Twins::new();
    let mut money = |module_name: &str, symbol: &str| {
        let arguments = token::Token::constructor(currency(symbol));
        token::Token(twins.deploy(&module(module_name), &token::CONTRACT, arguments))
    };
    let (euro, yen) = (money("token", "EUR"), money("token", "JPY"));
    let swap = swap::Swap(twins.deploy(&module("swap"), &swap::CONTRACT, swap::Swap::constructor()));
    assert!(twins.call(0, &euro.mint(account(1), 100)));
    assert!(twins.call(0, &yen.mint(account(2), 9_000)));
    let give = swap::Amount { token: euro.0, amount: 40 };
    let want = swap::Amount { token: yen.0, amount: 6_400 };
    let later = twins.mock.timestamp + 600_000;
    let contracts = [swap.0, euro.0, yen.0];
    // The euros aren't allowed to be moved yet: the token's refusal is the swap's.
    assert!(!twins.call(1, &swap.offer(give, want, None, later)));
    assert!(twins.call(1, &euro.approve(swap.0.into(), 100)));
    assert!(twins.call(1, &swap.offer(give, want, None, later)));
    assert!(!twins.call(2, &swap.accept(0)));
    assert!(twins.call(2, &yen.approve(swap.0.into(), 9_000)));
    // The yen move and the euros can't, so neither do.
    assert!(twins.call(0, &euro.set_paused(true)));
    assert!(!twins.call(2, &swap.accept(0)));
    twins.compare_state(&contracts);
    assert!(twins.call(0, &euro.set_paused(false)));
    assert!(twins.call(2, &swap.accept(0)));
    twins.compare_state(&contracts);
    assert!(twins.call(1, &swap.offer(give, want, Some(account(3)), later)));
    assert!(twins.call(0, &swap.offered(1)));
    assert!(!twins.call(2, &swap.accept(1)));
    assert!(twins.call(1, &swap.cancel(1)));
    twins.compare_state(&contracts);
    let no_token = swap::Amount { token: swap.0, amount: 1 };
    twins.call(1, &swap.offer(no_token, want, None, later));
}

#[test]
fn the_provenance_of_goods() {
    let mut twins = Twins::new();
    let arguments = provenance::Provenance::constructor();
    let goods = provenance::Provenance(twins.deploy(&module("provenance"), &provenance::CONTRACT, arguments));
    let part = |batch: &str, quantity| provenance::Part { batch: batch.into(), quantity };
    for batch in ["wheat 1", "wheat 2"] {
        assert!(twins.call(1, &goods.originate(batch.into(), "wheat".into(), 100, "field".into())));
        assert!(!twins.call(1, &goods.originate(batch.into(), "wheat".into(), 100, "field".into())));
        assert!(twins.call(1, &goods.send(batch.into(), account(2))));
        assert!(twins.call(2, &goods.receive(batch.into(), "mill".into())));
    }
    let mut make = |name: &str, of: Vec<provenance::Part>| {
        twins.call(2, &goods.make(name.into(), "flour".into(), 60, "mill".into(), of))
    };
    assert!(make("flour", vec![part("wheat 1", 60), part("wheat 2", 40)]));
    assert!(!make("more", vec![part("wheat 1", 60), part("wheat 2", 40)]));
    assert!(!make("more", vec![part("wheat 1", 1), part("wheat 1", 1)]));
    assert!(!make("more", vec![part("rye", 1)]));
    assert!(make("bread", vec![part("flour", 50), part("wheat 2", 1)]));
    assert!(twins.call(1, &goods.recall("wheat 1".into(), "mould".into())));
    assert!(!twins.call(2, &goods.recall("wheat 1".into(), "mould".into())));
    assert!(twins.call(0, &goods.trace("bread".into())));
    assert!(!twins.call(0, &goods.trace("rye".into())));
    assert!(twins.call(0, &goods.batch("wheat 1".into())));
    assert!(twins.call(0, &goods.steps("wheat 1".into(), 0, 10)));
}

#[test]
fn the_list_has_every_fixture_and_its_digest() {
    let mut found: Vec<String> = fs::read_dir(committed())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .map(|path| {
            let digest = sha2::Sha256::digest(fs::read(&path).unwrap());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}  {}", path.file_name().unwrap().to_str().unwrap())
        })
        .collect();
    found.sort_by(|a, b| a[66..].cmp(&b[66..]));
    let list = fs::read_to_string(committed().join("SHA256SUMS")).unwrap();
    assert_eq!(found, list.lines().collect::<Vec<_>>());
    assert!(found.len() >= 9);
}

/// Where somebody built is nobody's business, and would change the bytes from folder to folder.
#[test]
fn no_module_names_a_folder_or_a_host_of_whoever_built_it() {
    let names = ["/home/", "/Users/", "registry/", env!("CARGO_MANIFEST_DIR")];
    let mut looked = 0;
    for entry in fs::read_dir(committed()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            let bytes = fs::read(&path).unwrap();
            for name in names {
                let found = bytes.windows(name.len()).any(|part| part == name.as_bytes());
                assert!(!found, "{} has {name:?} in it: .ci/contracts --write", path.display());
            }
            looked += 1;
        }
    }
    assert!(looked >= 9);
}

#[test]
fn published_interfaces_are_those_of_the_source() {
    let all = [
        loyalty::CONTRACT,
        notary::CONTRACT,
        provenance::CONTRACT,
        swap::CONTRACT,
        titles::CONTRACT,
        token::CONTRACT,
        voting::CONTRACT,
    ];
    for contract in all {
        let path = committed().join(format!("{}.json", contract.interface.name));
        let interface = contract.interface.to_json();
        if std::env::var_os("LEDGERKIT_GOLDEN").is_some_and(|value| value == "write") {
            fs::write(&path, &interface).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), interface, "{}", path.display());
    }
}
