//! The traceability contract as the committed module `origin.wasm` does on a ledger what the native contract, from the same
//! source, does beside it: the same answers, refusals, events and state, call by call. With the feature `wasmtime` both engines
//! run the module, and their receipts are the same, fuel included.
//!
//! `LEDGERKIT_FIXTURES` names another folder of modules, which `.ci/contracts` has built.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledgerkit::contracts::testing::TestLedger;
use ledgerkit::contracts::wasm::{WASM, WasmRuntime};
use ledgerkit::contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledgerkit::core::codec::{self, Bytes};
use ledgerkit::core::{
    AccountId, ContractId, Failure, Fuel, KeyRange, StateView, Status, TransactionBuilder, TransactionResult,
};
use ledgerkit::crypto::{Digest, MemorySigner};
use ledgerkit::traceability::contract::{
    ITEMS, ItemsAnswer, ItemsQuestion, RECORD, TRACE, Traceability, module_fuel_for,
};
use ledgerkit::traceability::epcis::{self, Event, Item, Limits};
use std::path::PathBuf;

const COFFEE: &[u8] = include_bytes!("../examples/data/coffee.jsonld");

fn module() -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("examples/contracts/fixtures");
    let path = std::env::var_os("LEDGERKIT_FIXTURES").map_or(committed, PathBuf::from).join("origin.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn coffee() -> Vec<Event> {
    epcis::read("coffee", COFFEE, &Limits::default()).unwrap().events
}

fn signer(who: u8) -> MemorySigner {
    MemorySigner::from_seed([who; 32])
}

/// A ledger with the contract on it.
struct Book {
    ledger: TestLedger,
    contract: ContractId,
}

impl Book {
    fn new(executor: LedgerExecutor, runtime: &str, code: &[u8]) -> Self {
        let mut ledger = TestLedger::new(executor);
        let fuel = ledger.rules.max_transaction_fuel;
        let deployment =
            TransactionBuilder::deploy(ledger.chain(), runtime, code.to_vec(), Vec::new()).fuel_limit(fuel);
        let receipt = ledger.submit(&signer(0), deployment).unwrap().receipt;
        assert_eq!(receipt.status, Status::Succeeded, "{runtime}: {} fuel", receipt.fuel_used);
        Book { ledger, contract: ContractId::deployed_by(&receipt.transaction) }
    }

    fn call(&mut self, who: u8, method: &str, arguments: &[u8], fuel: Fuel) -> TransactionResult {
        let call = TransactionBuilder::call(self.ledger.chain(), self.contract, method, arguments.to_vec());
        self.ledger.submit(&signer(who), call.fuel_limit(fuel)).unwrap()
    }

    fn state(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = self.ledger.state.scan(&KeyRange::prefix(self.contract, b"")).map(|entry| entry.unwrap());
        entries.map(|(key, found)| (key.name.to_vec(), found.value.to_vec())).collect()
    }
}

/// The native contract, and the module on each engine.
struct Books {
    native: Book,
    modules: Vec<Book>,
}

impl Books {
    fn new() -> Self {
        let code = module();
        let native = LedgerExecutor::default().with(NativeRuntime::new().with(Traceability::default()));
        let engines = [
            WasmRuntime::wasmi().unwrap(),
            #[cfg(feature = "wasmtime")]
            WasmRuntime::wasmtime(ledgerkit::contracts::wasm::WasmtimeConfig::at_once()).unwrap(),
        ];
        let modules = engines.map(|engine| Book::new(LedgerExecutor::default().with(engine), WASM, &code));
        Books { native: Book::new(native, NATIVE, b"traceability"), modules: modules.into() }
    }

    /// Makes a call on all, and compares all that can be seen but the state; what the native contract gave.
    fn call(&mut self, who: u8, method: &str, arguments: &[u8], fuel: Fuel) -> TransactionResult {
        let most = self.native.ledger.rules.max_transaction_fuel;
        let native = self.native.call(who, method, arguments, most);
        let of_modules: Vec<_> = self.modules.iter_mut().map(|book| book.call(who, method, arguments, fuel)).collect();
        for found in &of_modules {
            assert_eq!(*found, of_modules[0], "engines");
            assert_eq!(found.receipt.status, native.receipt.status, "{method}, {} fuel", found.receipt.fuel_used);
            assert_eq!(found.receipt.output, native.receipt.output, "{method}");
            let told = |result: &TransactionResult| -> Vec<_> {
                result.events.iter().map(|event| (event.topic.clone(), event.data.clone())).collect()
            };
            assert_eq!(told(found), told(&native), "{method}");
        }
        native
    }

    fn compare_state(&self) {
        let expected = self.native.state();
        assert!(!expected.is_empty());
        for book in &self.modules {
            assert!(book.state() == expected, "the states differ");
        }
    }

    /// Calls what only reads, on all.
    fn ask(&self, method: &str, arguments: &[u8]) -> (Status, Bytes) {
        let nobody = AccountId(Digest::ZERO);
        let ask = |book: &Book| {
            let found = book.ledger.simulate(nobody, book.contract, method, arguments).unwrap();
            (found.status, found.output)
        };
        let native = ask(&self.native);
        for book in &self.modules {
            assert_eq!(ask(book), native, "{method}");
        }
        native
    }
}

#[test]
fn the_coffee_is_recorded_listed_and_traced_alike() {
    let mut books = Books::new();
    let length = module().len();
    for (number, event) in coffee().iter().enumerate() {
        let bytes = event.to_bytes();
        let fuel = module_fuel_for(length, bytes.len(), event.mentions().len());
        let who = u8::try_from(number % 5).unwrap() + 1;
        let result = books.call(who, RECORD, &bytes, fuel);
        assert_eq!(result.receipt.status, Status::Succeeded, "event {number}");
        assert_eq!(result.events.len(), 1);
        if number % 50 == 0 {
            // A second record changes nothing, whoever makes it.
            assert!(books.call(7, RECORD, &bytes, fuel).events.is_empty());
            books.compare_state();
        }
    }
    books.compare_state();
    let (mut from, mut items) = (Some(Bytes::default()), Vec::new());
    while let Some(start) = from {
        let (status, page) = books.ask(ITEMS, &codec::encode(&ItemsQuestion { from: start, limit: 100 }));
        assert_eq!(status, Status::Succeeded);
        let page: ItemsAnswer = codec::decode(&page).unwrap();
        items.extend(page.items.iter().map(|record| record.item.to_string()));
        from = page.next;
    }
    assert!(items.len() > 150, "{}", items.len());
    for item in items.iter().step_by(20) {
        let (status, answer) = books.ask(TRACE, item.as_bytes());
        assert!(status == Status::Succeeded && !answer.is_empty(), "{item}: {status:?}");
    }
    let blend = Item::new("urn:epc:class:lgtin:9521300.000003.R40");
    assert_eq!(books.ask(TRACE, blend.as_str().as_bytes()).0, Status::Succeeded);
}

/// An event with this member in it.
fn with(member: &str) -> String {
    format!(
        r#"{{"@context":"urn:x","action":"OBSERVE",{member},"epcList":["urn:x:1"],"eventTime":"2026-01-01T00:00:00.123456789Z","eventTimeZoneOffset":"-03:30","type":"ObjectEvent"}}"#
    )
}

/// An event with a member that is nested so deep; the event is a level itself.
fn nested(levels: usize) -> String {
    with(&format!(r#""deep:er":{}1{}"#, "[".repeat(levels), "]".repeat(levels)))
}

#[test]
fn what_is_refused_is_refused_in_the_same_words() {
    let mut books = Books::new();
    let most = books.native.ledger.rules.max_transaction_fuel;
    let bad: Vec<Vec<u8>> = [
        "",
        "{",
        "[1,2",
        "nul",
        "{}",
        r#"{"type":"ObjectEvent"}"#,
        &with(r#""bizStep":"dancing","disposition":7"#),
        &with(r#""a":1"#).replace("-03:30", "+14:01"),
        &with(r#""a":1"#).replace("T00:00:00", "T24:00:00"),
        &with(r#""a":1"#).replace("2026-01-01", "2026-02-30"),
        &with(r#""a": 1"#),
        &with(r#""b":1,"a":2"#),
        &with(r#""sensorElementList":[{"sensorReport":[{"type":"Temperature","value":"warm"}]}]"#),
        &with(r#""quantityList":[{"epcClass":"urn:x:2","quantity":1.10e-3,"uom":"kg"}]"#),
        &with("\"a\":\"\u{1}\""),
        &with(r#""a":"\ud800""#),
        &nested(200),
        &nested(128),
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([vec![0xff, 0xfe], [b"{\"".as_slice(), &[0xc3], b"\":1}"].concat()])
    .collect();
    for bytes in &bad {
        let shown = String::from_utf8_lossy(bytes);
        let result = books.call(1, RECORD, bytes, most);
        assert!(matches!(result.receipt.status, Status::Failed(Failure::Refused { .. })), "{shown}: {result:?}");
    }
    let good = [
        with(r#""deep:a":{"x":[1.50,-0,1e400,"\u001f\\é"]}"#),
        with(r#""quantityList":[{"epcClass":"urn:epc:class:lgtin:4012345.012345.99%2F8877","quantity":1.10e-3}]"#),
        nested(127),
    ];
    for text in &good {
        let event = Event::from_bytes(text.as_bytes(), &Limits::default()).unwrap();
        let result = books.call(1, RECORD, &event.to_bytes(), most);
        assert_eq!(result.receipt.status, Status::Succeeded, "{text}");
    }
    for (method, arguments) in [
        (TRACE, b"urn:x:nobody".as_slice()),
        (TRACE, &[0xff]),
        (ITEMS, b""),
        (ITEMS, &[1, b'x', 1]),
        ("dance", b""),
        ("", b""),
    ] {
        assert!(matches!(books.call(1, method, arguments, most).receipt.status, Status::Failed(_)), "{method}");
    }
    books.compare_state();
    assert_eq!(books.ask(TRACE, b"urn:x:1").0, Status::Succeeded);
}
