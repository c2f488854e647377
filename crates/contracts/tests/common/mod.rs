//! Contracts that do what a test tells them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod counting;
pub mod lifecycle;

use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::{Answer, CallTerms, Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap};
use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List};
use ledger_core::{ContractId, Failure, Fuel};
use ledger_crypto::MemorySigner;

/// What a [`Puppet`] does, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub enum Act {
    Put(Bytes, Bytes),
    Delete(Bytes),
    /// Puts the value of the first key under the second one, or deletes that.
    Copy(Bytes, Bytes),
    /// Puts up to so many keys from the first on to before the second, and their values, under the third.
    Collect(Bytes, Option<Bytes>, u64, Bytes),
    Emit(Bytes),
    /// Appends the value of a key to the output.
    Show(Bytes),
    /// Appends the caller to the output.
    ShowCaller,
    /// Appends the stack that is left to the output.
    ShowStack,
    /// Says what is left of the stack.
    SetStack(u32),
    Charge(u64),
    Refuse,
    Panic,
    /// Calls `play` of a contract, and puts what came of it under `answer`.
    Call {
        callee: ContractId,
        fuel_limit: Option<u64>,
        read_only: bool,
        script: Bytes,
    },
    /// As `Call`, and refuses if that failed.
    Insist {
        callee: ContractId,
        script: Bytes,
    },
    /// Calls itself until that fails, and puts the depth under `depth`.
    Dive(u64),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Script(pub List<Act>);

impl Format for Script {
    const NAME: &'static str = "script";
    const LIMIT: usize = 1 << 20;
}

pub fn script(acts: &[Act]) -> Bytes {
    Bytes::from(codec::encode(&Script(List::from(acts.to_vec()))))
}

/// Does what its arguments say.
pub struct Puppet;

impl Contract for Puppet {
    fn name(&self) -> &str {
        "puppet"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        if method != "play" {
            return Err(Trap::UnknownMethod);
        }
        let Script(acts) = ledger_contracts::decode_arguments(arguments)?;
        let mut output = Vec::new();
        for act in acts.into_vec() {
            match act {
                Act::Put(key, value) => host.put(&key, &value)?,
                Act::Delete(key) => host.delete(&key)?,
                Act::Copy(from, to) => match host.get(&from)? {
                    Some(value) => host.put(&to, &value)?,
                    None => host.delete(&to)?,
                },
                Act::Collect(from, to, limit, into) => {
                    let found = host.scan(&from, to.as_deref(), usize::try_from(limit).unwrap())?;
                    let all: Vec<u8> = found.into_iter().flat_map(|entry| [entry.key, entry.value].concat()).collect();
                    host.put(&into, all.get(..all.len().min(40)).unwrap_or_default())?;
                }
                Act::Emit(data) => host.emit("puppet", &data)?,
                Act::Show(key) => output.extend(host.get(&key)?.unwrap_or_default()),
                Act::ShowCaller => output.extend(host.caller().0.as_bytes()),
                Act::ShowStack => output.extend(host.stack_left().to_le_bytes()),
                Act::SetStack(slots) => host.set_stack_left(slots),
                Act::Charge(fuel) => host.charge(Fuel(fuel))?,
                Act::Refuse => return Err(Trap::refused(9, "as told")),
                Act::Panic => panic!("as told"),
                Act::Call { callee, fuel_limit, read_only, script } => {
                    let terms = CallTerms { fuel_limit: fuel_limit.map(Fuel), read_only };
                    let told = match host.call(&callee, "play", &script, terms)? {
                        Answer::Returned(output) => [b"+", output.as_slice()].concat(),
                        Answer::Failed(failure) => format!("-{} {}", failure.code(), failure.words()).into_bytes(),
                    };
                    host.put(b"answer", &told)?;
                }
                Act::Insist { callee, script } => {
                    if let Answer::Failed(failure) = host.call(&callee, "play", &script, CallTerms::default())? {
                        return Err(Trap::refused(10, failure.words()));
                    }
                }
                Act::Dive(depth) => {
                    let me = host.environment().contract;
                    let deeper = script(&[Act::Dive(depth + 1)]);
                    match host.call(&me, "play", &deeper, CallTerms::READ_ONLY)? {
                        Answer::Returned(reached) => output = reached,
                        Answer::Failed(failure) => {
                            assert!(matches!(failure.0, Failure::Limit { .. }), "{failure}");
                            output = depth.to_le_bytes().to_vec();
                        }
                    }
                }
            }
        }
        Ok(output)
    }
}

pub fn alice() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

/// A ledger with three puppets.
pub fn ledger() -> (TestLedger, [ContractId; 3]) {
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Puppet).with(Probe)));
    let puppets = core::array::from_fn(|_| ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap());
    (ledger, puppets)
}

pub fn put(key: &str, value: &str) -> Act {
    Act::Put(Bytes::from(key.as_bytes()), Bytes::from(value.as_bytes()))
}

pub fn show(key: &str) -> Act {
    Act::Show(Bytes::from(key.as_bytes()))
}

pub fn emit(data: &str) -> Act {
    Act::Emit(Bytes::from(data.as_bytes()))
}

pub fn call(callee: ContractId, acts: &[Act]) -> Act {
    Act::Call { callee, fuel_limit: None, read_only: false, script: script(acts) }
}

pub fn call_read_only(callee: ContractId, acts: &[Act]) -> Act {
    Act::Call { callee, fuel_limit: None, read_only: true, script: script(acts) }
}
