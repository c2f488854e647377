//! What a contract says that it will read is read together beforehand. Nothing comes of it but that: however wrong it is,
//! results, fuel and writes stay what they are.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_contracts::testing::{MapState, TestLedger};
use ledger_contracts::token::{Grant, Token, balance_key};
use ledger_contracts::{Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::{
    AccountId, Context, ContractId, Execution, Key, KeyRange, Scan, SignedTransaction, StateError, StateView,
    TransactionBuilder, Versioned,
};
use ledger_crypto::{MemorySigner, Signer};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What it says that it will read, whatever it then reads.
#[derive(Clone, Copy)]
enum Says {
    Nothing,
    Truth,
    Nonsense,
    Panics,
}

/// A token that may be wrong about its reads.
struct Teller(Says);

impl Contract for Teller {
    fn name(&self) -> &str {
        "token"
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        Token.construct(host, arguments)
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        Token.call(host, method, arguments)
    }

    fn expected_reads(&self, caller: &AccountId, method: &str, arguments: &[u8], names: &mut Vec<Vec<u8>>) {
        match self.0 {
            Says::Nothing => {}
            Says::Truth => Token.expected_reads(caller, method, arguments, names),
            Says::Nonsense => {
                // More than are taken, some twice, some longer than any key.
                names.extend((0..100u8).map(|number| vec![number % 50]));
                names.push(vec![7; 5_000]);
                names.push(balance_key(caller).to_vec());
            }
            Says::Panics => {
                names.push(vec![1]);
                panic!("words that nobody hears");
            }
        }
    }
}

/// A state that remembers what was asked for one by one, and what together.
struct Watched<'a> {
    state: &'a MapState,
    singly: Mutex<BTreeSet<Key>>,
    together: Mutex<BTreeSet<Key>>,
}

impl<'a> Watched<'a> {
    fn new(state: &'a MapState) -> Self {
        Watched { state, singly: Mutex::default(), together: Mutex::default() }
    }
}

impl StateView for Watched<'_> {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        self.singly.lock().unwrap().insert(key.clone());
        self.state.get(key)
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        self.together.lock().unwrap().extend(keys.iter().cloned());
        self.state.get_many(keys)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        self.state.scan(range)
    }
}

fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed([number; 32])
}

fn account(number: u8) -> AccountId {
    AccountId::of_ed25519(&signer(number).public_key())
}

fn ledger(says: Says) -> (TestLedger, ContractId) {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Teller(says))));
    let token = ledger.deploy(&signer(0), NATIVE, b"token", b"").unwrap();
    let grants: Vec<u8> =
        (0..10).flat_map(|number| Grant { account: account(number), amount: 100 }.to_bytes()).collect();
    assert!(ledger.call(&signer(0), token, "mint", &grants).unwrap().receipt.succeeded());
    (ledger, token)
}

/// Transfers that succeed and that fail, and calls of nothing.
fn transfers(ledger: &mut TestLedger, token: ContractId) -> Vec<SignedTransaction> {
    let mut transactions = Vec::new();
    for number in 0..30u8 {
        let (from, to) = (number % 10, number.wrapping_mul(7) % 12);
        let grant = Grant { account: account(to), amount: u128::from(number) * 5 }.to_bytes();
        let contract = if number == 20 { ContractId(ledger_crypto::Digest::new([9; 32])) } else { token };
        let method = if number == 21 { "nothing" } else { "transfer" };
        let arguments = if number == 22 { b"short".to_vec() } else { grant.to_vec() };
        let call = TransactionBuilder::call(ledger.chain(), contract, method, arguments);
        transactions.push(ledger.sign(&signer(from), call).unwrap());
    }
    transactions
}

fn execute(ledger: &TestLedger, transactions: &[SignedTransaction], state: &dyn StateView) -> Execution {
    let block = ledger.block(transactions.to_vec());
    let (height, timestamp) = (block.header.height, block.header.timestamp);
    let context = Context { chain: ledger.chain(), height, timestamp, rules: &ledger.rules };
    ledger.executor.execute(&block, &context, state).unwrap()
}

#[test]
fn whatever_is_said_execution_is_the_same() {
    let (mut plain, token) = ledger(Says::Nothing);
    let transactions = transfers(&mut plain, token);
    let expected = execute(&plain, &transactions, &plain.state);
    let failed = expected.results.iter().filter(|result| !result.receipt.succeeded()).count();
    assert!((3..20).contains(&failed), "{failed} failed");
    for says in [Says::Truth, Says::Nonsense, Says::Panics] {
        let (other, same) = ledger(says);
        assert_eq!((same, &other.state), (token, &plain.state));
        assert_eq!(execute(&other, &transactions, &other.state), expected);
    }
}

#[test]
fn what_is_said_is_read_together() {
    for (says, singly) in [(Says::Truth, 0), (Says::Nothing, 12)] {
        let (mut ledger, token) = ledger(says);
        let transactions = transfers(&mut ledger, token);
        let watched = Watched::new(&ledger.state);
        execute(&ledger, &transactions, &watched);
        let balances =
            |keys: &Mutex<BTreeSet<Key>>| keys.lock().unwrap().iter().filter(|key| key.namespace == token).count();
        assert_eq!(balances(&watched.singly), singly);
        assert_eq!(balances(&watched.together), 12 - singly);
        let lanes = |keys: &Mutex<BTreeSet<Key>>| {
            (0..10).filter(|number| keys.lock().unwrap().contains(&Key::sequence(&account(*number), 0))).count()
        };
        assert_eq!((lanes(&watched.singly), lanes(&watched.together)), (0, 10));
    }
}

#[test]
fn many_admissions_are_what_each_one_is() {
    for says in [Says::Truth, Says::Nonsense, Says::Panics] {
        let (mut ledger, token) = ledger(says);
        let transactions = transfers(&mut ledger, token);
        let context =
            Context { chain: ledger.chain(), height: ledger.height, timestamp: ledger.timestamp, rules: &ledger.rules };
        let signed: Vec<&SignedTransaction> = transactions.iter().collect();
        let watched = Watched::new(&ledger.state);
        let together = ledger.executor.admit_all(&signed, &context, &watched);
        let singly: Vec<_> =
            signed.iter().map(|signed| ledger.executor.admit(signed, &context, &ledger.state)).collect();
        assert_eq!(together, singly);
        assert!(!watched.singly.lock().unwrap().contains(&Key::sequence(&account(3), 0)));
    }
}
