//! A contract sees its own keys and no other's, not even those of a contract with the same code.
#![allow(clippy::unwrap_used)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::{Key, StateView};
use ledger_crypto::MemorySigner;

struct Shelf;

impl Contract for Shelf {
    fn name(&self) -> &str {
        "shelf"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "put" => host.put(arguments, b"mine")?,
            "clear" => {
                for entry in host.scan(b"", None, usize::MAX)? {
                    host.delete(&entry.key)?;
                }
            }
            "list" => return Ok(host.scan(b"", None, usize::MAX)?.into_iter().flat_map(|entry| entry.key).collect()),
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

#[test]
fn two_contracts_with_the_same_code_and_keys_do_not_meet() {
    let alice = MemorySigner::from_seed([1; 32]);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Shelf)));
    let one = ledger.deploy(&alice, NATIVE, b"shelf", b"").unwrap();
    let two = ledger.deploy(&alice, NATIVE, b"shelf", b"").unwrap();
    for (contract, key) in [(one, b"a"), (one, b"b"), (two, b"b"), (two, b"c")] {
        assert!(ledger.call(&alice, contract, "put", key).unwrap().receipt.succeeded());
    }
    let listed = |ledger: &mut TestLedger, contract| ledger.call(&alice, contract, "list", b"").unwrap().receipt.output;
    assert_eq!(*listed(&mut ledger, one), *b"ab");
    assert_eq!(*listed(&mut ledger, two), *b"bc");
    ledger.call(&alice, one, "clear", b"").unwrap();
    assert_eq!(*listed(&mut ledger, one), *b"");
    assert_eq!(*listed(&mut ledger, two), *b"bc");
}

#[test]
fn a_key_that_looks_like_the_systems_is_the_contracts_own() {
    let alice = MemorySigner::from_seed([1; 32]);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Shelf)));
    let shelf = ledger.deploy(&alice, NATIVE, b"shelf", b"").unwrap();
    let record = Key::contract(&shelf);
    let before = ledger.state.get(&record).unwrap();
    ledger.call(&alice, shelf, "put", &record.name).unwrap();
    ledger.call(&alice, shelf, "put", &record.to_bytes()).unwrap();
    assert_eq!(ledger.state.get(&record).unwrap(), before);
    assert!(ledger.state.get(&Key::new(shelf, record.name)).unwrap().is_some());
}
