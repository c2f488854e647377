//! A contract that uses all of its host runs on an executor, linked in, and on the SDK's mock host, through the guest's side: the
//! same answers, refusals, events and state, call by call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_contract_guest::native_contract;
use ledger_contract_sdk::mock::{Chain, Failure as Refused};
use ledger_contract_sdk::{AccountId, ContractId, Definition};
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{
    Answer, CallTerms, Contract, HashFunction, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap, decode_arguments,
};
use ledger_core::codec::{Bytes, Decode, Encode, Format, Text};
use ledger_core::{self as chain, Failure, Fuel, KeyRange, StateView, Status};
use ledger_crypto::{Digest, MemorySigner, Signer};

/// Does with its host whatever it is told.
struct Puppet;

/// What to do.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
enum Order {
    Facts,
    Put(Bytes, Bytes),
    Delete(Bytes),
    Get(Bytes),
    Scan(Bytes, Option<Bytes>, u32),
    Tell(Text, Bytes),
    Hash(Bytes),
    Verify(Bytes, Bytes, Bytes),
    Refuse(u32, Text),
    Call(Bytes, Text, Bytes, bool),
    Charge(u64),
    Break,
}

impl Format for Order {
    const NAME: &'static str = "order";
    const LIMIT: usize = 1 << 16;
}

fn array<const N: usize>(bytes: &Bytes) -> Result<[u8; N], Trap> {
    <[u8; N]>::try_from(&**bytes).map_err(|_| Trap::bad_arguments("of another length"))
}

impl Contract for Puppet {
    fn name(&self) -> &str {
        "puppet"
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        Ok(host.put(b"constructed", arguments)?)
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        if method != "obey" {
            return Err(Trap::UnknownMethod);
        }
        match decode_arguments::<Order>(arguments)? {
            Order::Facts => Ok(format!("{:?}", host.environment()).into_bytes()),
            Order::Put(key, value) => host.put(&key, &value).map(|()| Vec::new()).map_err(Trap::from),
            Order::Delete(key) => host.delete(&key).map(|()| Vec::new()).map_err(Trap::from),
            Order::Get(key) => Ok(format!("{:?}", host.get(&key)?).into_bytes()),
            Order::Scan(from, to, limit) => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Ok(format!("{:?}", host.scan(&from, to.as_deref(), limit)?).into_bytes())
            }
            Order::Tell(topic, data) => host.emit(&topic, &data).map(|()| Vec::new()).map_err(Trap::from),
            Order::Hash(data) => {
                let digests = [host.hash(HashFunction::Blake3, &data)?, host.hash(HashFunction::Sha256, &data)?];
                Ok(digests.concat())
            }
            Order::Verify(key, message, signature) => {
                Ok(vec![host.verify(&array(&key)?, &message, &array(&signature)?)?.into()])
            }
            Order::Refuse(code, message) => Err(Trap::refused(code, message.as_str())),
            Order::Call(contract, method, arguments, read_only) => {
                let callee = chain::ContractId(Digest::new(array(&contract)?));
                host.put(b"before the call", &arguments)?;
                match host.call(&callee, &method, &arguments, CallTerms { fuel_limit: None, read_only })? {
                    Answer::Returned(output) => Ok(output),
                    Answer::Failed(failure) => Ok(format!("{failure:?}").into_bytes()),
                }
            }
            Order::Charge(fuel) => host.charge(Fuel(fuel)).map(|()| Vec::new()).map_err(Trap::from),
            Order::Break => Err(Trap::broken("told to")),
        }
    }
}

native_contract! {
    /// Does with its host whatever it is told.
    pub contract PUPPET = "puppet", Puppet => { "obey" }
}

fn signer() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

fn caller() -> AccountId {
    AccountId(*chain::AccountId::of_ed25519(&signer().public_key()).0.as_bytes())
}

struct Twins {
    ledger: TestLedger,
    mock: Chain,
}

impl Twins {
    fn new() -> Self {
        let ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Puppet)));
        let mut mock = Chain::new();
        (mock.height, mock.timestamp) = (ledger.height.0, ledger.timestamp.0);
        mock.fuel_limit = 1_000_000;
        Twins { ledger, mock }
    }

    fn deploy(&mut self, definition: &'static Definition) -> ContractId {
        let id = self.ledger.deploy(&signer(), NATIVE, b"puppet", b"made").unwrap();
        let id = ContractId(*id.0.as_bytes());
        self.mock.deploy_at(id, caller(), definition, b"made".to_vec()).unwrap();
        self.compare(id);
        id
    }

    /// Gives both the order, and compares all that can be seen but the failure of a call.
    fn obey(&mut self, who: ContractId, order: &Order) -> Result<Vec<u8>, Failure> {
        let arguments = chain::codec::encode(order);
        let before = self.mock.events().len();
        let id = chain::ContractId(Digest::new(who.0));
        let native = self.ledger.call(&signer(), id, "obey", &arguments).unwrap();
        let guest = self.mock.call_raw(caller(), who, "obey", &arguments);
        let done = match (&native.receipt.status, guest) {
            (Status::Succeeded, Ok(receipt)) => {
                // The mock's transactions have ids of their own.
                if !matches!(order, Order::Facts) {
                    assert_eq!(*native.receipt.output, *receipt.answer, "{order:?}");
                }
                Ok(receipt.answer)
            }
            (Status::Failed(failure), Err(refused)) => {
                if let (Failure::Refused { code, message }, Refused::Refused(refusal)) = (failure, &refused) {
                    assert_eq!((*code, message.as_str()), (refusal.code, &*refusal.message), "{order:?}");
                }
                Err(failure.clone())
            }
            (native, guest) => panic!("{order:?}: native {native:?}, as a guest {guest:?}"),
        };
        let told: Vec<_> = native.events.iter().map(|event| (event.topic.to_string(), event.data.to_vec())).collect();
        let events = &self.mock.events()[before..];
        let expected: Vec<_> = events.iter().map(|event| (event.topic.clone(), event.data.clone())).collect();
        assert_eq!(told, expected, "{order:?}");
        self.compare(who);
        done
    }

    fn compare(&self, contract: ContractId) {
        let expected: Vec<_> = self.mock.state(contract).into_iter().map(|entry| (entry.key, entry.value)).collect();
        let range = KeyRange::prefix(chain::ContractId(Digest::new(contract.0)), b"");
        let entries = self.ledger.state.scan(&range).map(|entry| entry.unwrap());
        let found: Vec<_> = entries.map(|(key, found)| (key.name.to_vec(), found.value.to_vec())).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn whatever_the_contract_is_told_to_do() {
    let mut twins = Twins::new();
    let puppet = twins.deploy(&PUPPET);
    for key in ["b", "a", "c", ""] {
        twins.obey(puppet, &Order::Put(key.as_bytes().into(), [key.as_bytes(), b"!"].concat().into())).unwrap();
    }
    for order in [
        Order::Get(b"a".as_slice().into()),
        Order::Get(b"z".as_slice().into()),
        Order::Delete(b"b".as_slice().into()),
        Order::Delete(b"z".as_slice().into()),
        Order::Scan(b"".as_slice().into(), None, 2),
        Order::Scan(b"a".as_slice().into(), Some(b"c".as_slice().into()), 9),
        Order::Scan(b"c".as_slice().into(), Some(b"a".as_slice().into()), 9),
        Order::Tell("told".into(), b"data".as_slice().into()),
        Order::Hash(b"data".as_slice().into()),
        Order::Charge(1_000),
    ] {
        twins.obey(puppet, &order).unwrap_or_else(|failure| panic!("{order:?}: {failure:?}"));
    }
    let key: Bytes = signer().public_key().as_bytes().as_slice().into();
    let other: Bytes = [7; 64].as_slice().into();
    assert_eq!(twins.obey(puppet, &Order::Verify(key, b"m".as_slice().into(), other)), Ok(vec![0]));
    let refusal = twins.obey(puppet, &Order::Refuse(42, "said no".into()));
    assert_eq!(refusal, Err(Failure::Refused { code: 42, message: "said no".into() }));
    assert!(matches!(twins.obey(puppet, &Order::Break), Err(Failure::Trapped { .. })));
    assert!(matches!(twins.obey(puppet, &Order::Charge(u64::MAX)), Err(Failure::OutOfFuel { .. })));
    let facts = String::from_utf8(twins.obey(puppet, &Order::Facts).unwrap()).unwrap();
    let account = chain::AccountId(Digest::new(caller().0));
    for fact in [format!("{:?}", twins.ledger.height), format!("{:?}", twins.ledger.timestamp), format!("{account:?}")]
    {
        assert!(facts.contains(&fact), "{fact} in {facts}");
    }
    assert!(facts.contains("read_only: false"), "{facts}");
}

#[test]
fn calls_between_guests() {
    let mut twins = Twins::new();
    let (first, second) = (twins.deploy(&PUPPET), twins.deploy(&PUPPET));
    let mut call = |method: &str, order: &Order, read_only: bool| {
        let arguments = chain::codec::encode(order);
        let order = Order::Call(second.0.as_slice().into(), method.into(), arguments.into(), read_only);
        let told = twins.obey(first, &order).unwrap();
        twins.compare(second);
        String::from_utf8(told).unwrap()
    };
    let put = Order::Put(b"k".as_slice().into(), b"v".as_slice().into());
    assert_eq!(call("obey", &put, false), "");
    assert_eq!(call("obey", &Order::Get(b"k".as_slice().into()), true), format!("{:?}", Some(b"v")));
    assert!(call("obey", &Order::Refuse(7, "not today".into()), false).contains("code: 7, message: \"not today\""));
    assert!(call("nothing", &put, false).contains("UnknownMethod { method: \"nothing\" }"));
}
