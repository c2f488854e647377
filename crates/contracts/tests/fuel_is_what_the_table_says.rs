//! Every price is charged, once, for what the documentation says.
#![allow(clippy::unwrap_used)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{
    CallTerms, Contract, ContractRecord, HashFunction, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap,
};
use ledger_core::{ContractId, Fuel, Key, Prices, StateView, TransactionBuilder, codec};
use ledger_crypto::{Digest, MemorySigner};

/// Does one thing with the host.
struct One;

impl Contract for One {
    fn name(&self) -> &str {
        "one"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "nothing" => {}
            "output" => return Ok(arguments.to_vec()),
            "get" => drop(host.get(b"key")?),
            "get nothing" => drop(host.get(b"other")?),
            "put" => host.put(b"key", b"value")?,
            "delete" => host.delete(b"other")?,
            "emit" => host.emit("topic", b"some data")?,
            "charge" => host.charge(Fuel(17))?,
            "scan all" => drop(host.scan(b"", None, 9)?),
            "scan one" => drop(host.scan(b"", None, 1)?),
            "scan nothing" => drop(host.scan(b"z", None, 9)?),
            "hash" => drop(host.hash(HashFunction::Blake3, arguments)?),
            "verify" => drop(host.verify(&[0; 32], arguments, &[0; 64])?),
            // Arguments are whom to call.
            "call" => {
                let callee = ContractId(Digest::new(arguments.try_into().unwrap()));
                drop(host.call(&callee, "output", b"12345", CallTerms::default())?);
            }
            "call nobody" => drop(host.call(&ContractId(Digest::ZERO), "output", b"", CallTerms::default())?),
            "scan over a deleted key" => {
                host.delete(b"key")?;
                host.scan(b"", None, 9)?;
            }
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

/// Each far from the others and their sums, so that no two uses of the table give one sum.
const PRICES: Prices = Prices {
    hash: 3,
    hash_byte: 7,
    verify: 29,
    call: 41,
    prepare_byte: 47,
    transaction: 1,
    body_byte: 100,
    read: 10_000,
    read_byte: 1_000_000,
    write: 100_000_000,
    write_byte: 10_000_000_000,
    event: 1_000_000_000_000,
    event_byte: 100_000_000_000_000,
};

#[test]
fn each_use_of_the_host_costs_its_price() {
    let alice = MemorySigner::from_seed([1; 32]);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(One)));
    ledger.rules.prices = PRICES;
    (ledger.rules.max_transaction_fuel, ledger.rules.max_block_fuel) = (Fuel(u64::MAX), Fuel(u64::MAX));
    let Prices { transaction, body_byte, read, read_byte, write, write_byte, event, event_byte, .. } = PRICES;
    let Prices { hash, hash_byte, verify, call: call_price, prepare_byte, .. } = PRICES;

    let deploy = TransactionBuilder::deploy(ledger.chain(), NATIVE, b"one".to_vec(), b"12".to_vec());
    let deployed = ledger.submit(&alice, deploy.fuel_limit(Fuel(u64::MAX))).unwrap().receipt;
    let contract = ContractId::deployed_by(&deployed.transaction);
    let record = ledger.state.get(&Key::contract(&contract)).unwrap().unwrap().value;
    assert_eq!(codec::decode::<ContractRecord>(&record).unwrap().code_bytes, 3);
    let size = u64::try_from(record.len()).unwrap();
    // Body: code and arguments, each with its length. The constructor does nothing; the output is the id.
    let fixed = transaction + 7 * body_byte + 2 * write + (size + 3) * write_byte + 3 * prepare_byte;
    assert_eq!(deployed.fuel_used, Fuel(fixed));

    let call = transaction + 2 * read + 3 * (read_byte + prepare_byte);
    let other = ledger.deploy(&alice, NATIVE, b"one", b"");
    assert!(other.is_err(), "the default fuel limit doesn't pay for a deployment at these prices");
    let deploy = TransactionBuilder::deploy(ledger.chain(), NATIVE, b"one".to_vec(), b"".to_vec());
    let other = ledger.submit(&alice, deploy.fuel_limit(Fuel(u64::MAX))).unwrap().receipt;
    let other = ContractId::deployed_by(&other.transaction);
    // Found and loaded as for a transaction, but for the code, which is loaded; method, arguments and answer are copied.
    let called = call_price + 2 * read + (6 + 5 + 5) * read_byte;
    for (method, arguments, price) in [
        ("nothing", &b""[..], 0),
        ("hash", b"four", 4 * body_byte + hash + 4 * hash_byte),
        ("verify", b"four", 4 * body_byte + verify + 4 * hash_byte),
        ("call", other.0.as_bytes(), 32 * body_byte + called),
        ("call nobody", b"", call_price + 6 * read_byte + read),
        ("nothing", b"four", 4 * body_byte),
        ("output", b"four", 4 * body_byte + 4 * event_byte),
        ("get nothing", b"", read),
        ("put", b"", write + 8 * write_byte),
        ("get", b"", read + 5 * read_byte),
        ("delete", b"", write + 5 * write_byte),
        ("emit", b"", event + 14 * event_byte),
        ("charge", b"", 17),
        ("scan all", b"", 2 * read + 8 * read_byte),
        ("scan one", b"", read + 8 * read_byte),
        ("scan nothing", b"", read),
        ("scan over a deleted key", b"", write + 3 * write_byte + 2 * read + 8 * read_byte),
    ] {
        let ask = TransactionBuilder::call(ledger.chain(), contract, method, arguments.to_vec());
        let receipt = ledger.submit(&alice, ask.fuel_limit(Fuel(u64::MAX))).unwrap().receipt;
        assert!(receipt.succeeded(), "{method}: {:?}", receipt.status);
        assert_eq!(receipt.fuel_used, Fuel(call + price), "{method}");
    }
}
