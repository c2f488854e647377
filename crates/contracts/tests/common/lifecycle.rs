//! Contracts whose lives are told.

pub use super::alice;
use ledger_contracts::lifecycle::{Instantiate, Metadata, Upload};
use ledger_contracts::record::code_digest;
use ledger_contracts::testing::TestLedger;
use ledger_contracts::{
    CallTerms, Contract, Host, LIFECYCLE, LedgerExecutor, NATIVE, NativeRuntime, Trap, UpgradePolicy,
};
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::state::SYSTEM;
use ledger_core::{AccountId, ContractId, Fuel, Key, Receipt, Versioned};
use ledger_crypto::{Digest, MemorySigner, Signer};

/// Counts, in two versions.
struct Counter(u8);

impl Contract for Counter {
    fn name(&self) -> &str {
        if self.0 == 1 { "first" } else { "second" }
    }

    fn construct(&self, host: &mut dyn Host, _: &[u8]) -> Result<(), Trap> {
        let founder = host.caller();
        Ok(host.put(b"founder", founder.0.as_bytes())?)
    }

    fn migrate(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        host.put(b"migrated", arguments)?;
        host.emit("migrated", arguments)?;
        match arguments {
            b"refuse" => Err(Trap::refused(1, "no")),
            b"panic" => panic!("as told"),
            b"burn" => Ok(host.charge(Fuel(u64::MAX))?),
            b"tripled" => {
                let counted = host.get(b"counted")?.unwrap_or_default();
                assert_eq!(counted, b"1");
                Ok(host.put(b"counted", b"3")?)
            }
            _ => Ok(()),
        }
    }

    fn call(&self, host: &mut dyn Host, method: &str, _: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "version" => Ok(vec![b'0' + self.0]),
            "count" => {
                host.put(b"counted", b"1")?;
                Ok(Vec::new())
            }
            key => Ok(host.get(key.as_bytes())?.unwrap_or_default()),
        }
    }
}

/// Does what one account tells it to, and serves everyone. Arguments of `do` and `serve`: a length, a method of so many
/// bytes, arguments for it.
struct Steward;

impl Contract for Steward {
    fn name(&self) -> &str {
        "steward"
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        Ok(host.put(b"master", arguments)?)
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        if method == "pass on" {
            let (callee, rest) = arguments.split_first_chunk::<32>().unwrap();
            let told = host.call(&ContractId(Digest::new(*callee)), "serve", rest, CallTerms::default())?;
            return told.into_result().map_err(|failure| Trap::refused(2, failure.words()));
        }
        if method != "serve" && host.get(b"master")?.as_deref() != Some(host.caller().0.as_bytes()) {
            return Err(Trap::refused(0, "not my master"));
        }
        let (length, rest) = arguments.split_first().unwrap();
        let (what, rest) = rest.split_at((*length).into());
        let what = str::from_utf8(what).unwrap();
        let terms = if method == "do read-only" { CallTerms::READ_ONLY } else { CallTerms::default() };
        let mut output = Vec::new();
        for _ in 0..if method == "do twice" { 2 } else { 1 } {
            let answer = host.call(&LIFECYCLE, what, rest, terms)?;
            output.extend(answer.into_result().map_err(|failure| Trap::refused(1, failure.words()))?);
        }
        Ok(output)
    }
}

pub fn bob() -> MemorySigner {
    MemorySigner::from_seed([2; 32])
}

pub fn account(signer: &MemorySigner) -> AccountId {
    AccountId::of_ed25519(&signer.public_key())
}

pub fn ledger() -> TestLedger {
    let native = NativeRuntime::new().with(Counter(1)).with(Counter(2)).with(Steward);
    TestLedger::new(LedgerExecutor::default().with(native))
}

pub fn upload_arguments(code: &str) -> Vec<u8> {
    codec::encode(&Upload { runtime: Text::from(NATIVE), code: Bytes::from(code.as_bytes()) })
}

/// Uploads native code.
pub fn upload(ledger: &mut TestLedger, code: &str) -> Digest {
    let receipt = ledger.call(&alice(), LIFECYCLE, "upload", &upload_arguments(code)).unwrap().receipt;
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    Digest::new((*receipt.output).try_into().unwrap())
}

pub fn instantiate_arguments(code: &str, policy: UpgradePolicy, metadata: Metadata) -> Vec<u8> {
    let (runtime, code, arguments) = (Text::from(NATIVE), code_digest(code.as_bytes()), Bytes::default());
    codec::encode(&Instantiate { runtime, code, policy, metadata, arguments })
}

/// Alice uploads code and makes a contract of it.
pub fn instantiate_with(ledger: &mut TestLedger, code: &str, policy: UpgradePolicy, metadata: Metadata) -> ContractId {
    upload(ledger, code);
    let arguments = instantiate_arguments(code, policy, metadata);
    made(&ledger.call(&alice(), LIFECYCLE, "instantiate", &arguments).unwrap().receipt)
}

pub fn instantiate(ledger: &mut TestLedger, code: &str, policy: UpgradePolicy) -> ContractId {
    instantiate_with(ledger, code, policy, Metadata::default())
}

/// The contract that an instantiation made.
pub fn made(receipt: &Receipt) -> ContractId {
    assert!(receipt.succeeded(), "{:?}", receipt.status);
    ContractId(Digest::new((*receipt.output).try_into().unwrap()))
}

/// What a contract answers Alice.
pub fn said(ledger: &mut TestLedger, contract: ContractId, method: &str) -> Vec<u8> {
    let receipt = ledger.call(&alice(), contract, method, b"").unwrap().receipt;
    assert!(receipt.succeeded(), "{method}: {:?}", receipt.status);
    receipt.output.to_vec()
}

pub fn steward_arguments(method: &str, arguments: &[u8]) -> Vec<u8> {
    [&[u8::try_from(method.len()).unwrap()], method.as_bytes(), arguments].concat()
}

pub fn pass_on(callee: ContractId, arguments: &[u8]) -> Vec<u8> {
    [callee.0.as_bytes(), arguments].concat()
}

/// All that the state has of a contract.
pub fn contract_state(ledger: &TestLedger, contract: &ContractId) -> Vec<(Key, Versioned)> {
    let of_it = |key: &Key| {
        key.namespace == *contract || (key.namespace == SYSTEM && key.name.ends_with(contract.0.as_bytes()))
    };
    ledger.state.iter().filter(|(key, _)| of_it(key)).map(|(key, found)| (key.clone(), found.clone())).collect()
}
