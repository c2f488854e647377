//! What the chain does when the [lifecycle](crate::lifecycle) contract is called.

use super::cache::Origin;
use super::codes::Stored;
use super::host::{TransactionHost, within};
use super::run::{Caller, Code, Run, Stop, message, stop};
use crate::fuel::Meter;
use crate::host::{Host, HostError, decode_arguments};
use crate::lifecycle::{Description, Instantiate, LIFECYCLE, Metadata, Upgrade, Upload};
use crate::record::{ContractRecord, RECORD_VERSION, UpgradePolicy, code_digest, code_key, metadata_key};
use crate::runtime::{EntryPoint, Invocation, Trap};
use crate::trace::AccessKind;
use ledger_core::codec::{self, Bytes, Format, Text};
use ledger_core::{ContractId, Deployers, ExecutionError, Failure, Key, TransactionId};
use ledger_crypto::Digest;

/// A contract to be made.
pub(super) struct Making<'m> {
    pub(super) contract: ContractId,
    pub(super) runtime: Text,
    pub(super) policy: UpgradePolicy,
    pub(super) metadata: Metadata,
    pub(super) arguments: &'m [u8],
}

impl<'r> Run<'r, '_> {
    /// Runs a method of the lifecycle contract.
    pub(super) fn lifecycle(
        &mut self,
        method: &str,
        arguments: &[u8],
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Stop> {
        if method == "describe" {
            return self.describe(&one_contract(arguments)?, meter);
        }
        if caller.read_only {
            return Err(HostError::ReadOnly.into());
        }
        match method {
            "upload" => {
                self.may_deploy(caller)?;
                let Upload { runtime, code } = arguments_of(arguments)?;
                let (digest, _) = self.upload(&runtime, code, meter)?;
                self.announce("uploaded", digest.as_bytes(), caller, meter)?;
                Ok(digest.as_bytes().to_vec())
            }
            "instantiate" => {
                self.may_deploy(caller)?;
                let Instantiate { runtime, code, policy, metadata, arguments } = arguments_of(arguments)?;
                metadata.check()?;
                let (bytes, ready) = self.take_up(&runtime, &code, meter)?;
                let contract = self.next_contract();
                self.announce("instantiated", &both(&contract, &code), caller, meter)?;
                let making = Making { contract, runtime, policy, metadata, arguments: &arguments };
                self.make(making, (code, bytes), &ready, caller, meter)?;
                Ok(contract.0.as_bytes().to_vec())
            }
            "upgrade" => self.upgrade(arguments_of(arguments)?, caller, meter).map(|()| Vec::new()),
            "pause" => self.set_paused(&one_contract(arguments)?, true, caller, meter).map(|()| Vec::new()),
            "resume" => self.set_paused(&one_contract(arguments)?, false, caller, meter).map(|()| Vec::new()),
            _ => Err(Failure::UnknownMethod { method: message(method) }.into()),
        }
    }

    /// Whether the chain lets the caller deploy contracts.
    pub(super) fn may_deploy(&self, caller: Caller) -> Result<(), Stop> {
        match &self.context.rules.deployers {
            Deployers::Only(deployers) if !deployers.contains(&caller.account) => {
                Err(Failure::Forbidden { what: Text::from("deploy contracts") }.into())
            }
            _ => Ok(()),
        }
    }

    /// Stores code that its runtime takes, and makes it ready.
    pub(super) fn upload(&mut self, runtime: &str, code: Bytes, meter: &mut Meter) -> Result<(Digest, Code<'r>), Stop> {
        let rules = self.context.rules;
        within("a contract's code", code.len(), rules.max_value_bytes.into())?;
        meter.charge_sized(rules.prices.write, rules.prices.write_byte, code.len())?;
        let digest = code_digest(&code);
        let ready = self.make_ready(runtime, &digest, &Stored { bytes: &code, in_state: false }, meter)?;
        let place = code_key(&digest);
        if self.journal.peek(&place)?.is_none() {
            self.note(&place.namespace, &place.name, AccessKind::Write { bytes: code.len() });
            self.journal.put(place, code);
        }
        Ok((digest, ready))
    }

    /// Code that was uploaded, made ready, and its length in bytes.
    fn take_up(&mut self, runtime: &str, digest: &Digest, meter: &mut Meter) -> Result<(usize, Code<'r>), Stop> {
        let prices = &self.context.rules.prices;
        meter.charge(prices.read)?;
        let Some(code) = self.journal.peek(&code_key(digest))? else {
            let unknown = format!("no code with the digest {digest} was uploaded");
            return Err(Failure::InvalidCode { message: message(&unknown) }.into());
        };
        meter.charge_done(prices.read_byte, code.len())?;
        let ready = self.make_ready(runtime, digest, &Stored { bytes: &code, in_state: true }, meter)?;
        Ok((code.len(), ready))
    }

    fn make_ready(
        &mut self,
        runtime: &str,
        digest: &Digest,
        code: &Stored<'_>,
        meter: &mut Meter,
    ) -> Result<Code<'r>, Stop> {
        let rules = self.context.rules;
        let Some(runs) = self.executor.runtimes.get(runtime) else {
            return Err(Failure::UnknownRuntime { runtime: message(runtime) }.into());
        };
        meter.charge_sized(0, rules.prices.prepare_byte, code.bytes.len())?;
        let origin = Origin { runtime, digest, rules: &rules.wasm };
        let _turn = self.codes.turn(self.executor, code)?;
        let prepared = self.codes.prepare(self.executor, &**runs, &origin, code, rules);
        let prepared = prepared.map_err(|error| Failure::InvalidCode { message: message(&error.message) })?;
        Ok(Code { runtime: &**runs, prepared })
    }

    /// Writes down a new contract, and runs its constructor.
    pub(super) fn make(
        &mut self,
        making: Making<'_>,
        (code, bytes): (Digest, usize),
        ready: &Code<'_>,
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<(), Stop> {
        let Making { contract, runtime, policy, metadata, arguments } = making;
        let record = ContractRecord {
            version: RECORD_VERSION,
            runtime,
            code,
            code_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            deployer: caller.account,
            height: self.context.height,
            policy,
            paused: false,
        };
        self.write(Key::contract(&contract), &record, meter)?;
        if metadata != Metadata::default() {
            self.write(metadata_key(&contract), &metadata, meter)?;
        }
        let invocation = Invocation { entry: EntryPoint::Constructor, arguments };
        self.enter_new(contract, ready, &invocation, caller, meter).map(|_| ())
    }

    fn upgrade(&mut self, upgrade: Upgrade, caller: Caller, meter: &mut Meter) -> Result<(), Stop> {
        let Upgrade { contract, runtime, code, metadata, arguments } = upgrade;
        let before = self.changeable(&contract, "upgrade this contract", caller, meter)?;
        self.not_running(&contract)?;
        let (bytes, ready) = self.take_up(&runtime, &code, meter)?;
        let code_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let record = ContractRecord { version: RECORD_VERSION, runtime, code, code_bytes, ..before };
        self.write(Key::contract(&contract), &record, meter)?;
        if let Some(metadata) = metadata {
            metadata.check()?;
            self.write(metadata_key(&contract), &metadata, meter)?;
        }
        self.announce("upgraded", &both(&contract, &code), caller, meter)?;
        let invocation = Invocation { entry: EntryPoint::Migration, arguments: &arguments };
        self.enter_new(contract, &ready, &invocation, caller, meter).map(|_| ())
    }

    fn set_paused(
        &mut self,
        contract: &ContractId,
        paused: bool,
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<(), Stop> {
        let (what, topic) =
            if paused { ("pause this contract", "paused") } else { ("resume this contract", "resumed") };
        let before = self.changeable(contract, what, caller, meter)?;
        if before.paused == paused {
            return Ok(());
        }
        self.write(Key::contract(contract), &ContractRecord { paused, ..before }, meter)?;
        self.announce(topic, contract.0.as_bytes(), caller, meter)
    }

    /// The record of a contract that the caller may change.
    fn changeable(
        &mut self,
        contract: &ContractId,
        what: &str,
        caller: Caller,
        meter: &mut Meter,
    ) -> Result<ContractRecord, Stop> {
        let record = self.record(contract, meter)?;
        if record.policy.allows(&caller.account) {
            return Ok(ContractRecord::clone(&record));
        }
        Err(Failure::Forbidden { what: Text::from(what) }.into())
    }

    fn describe(&mut self, contract: &ContractId, meter: &mut Meter) -> Result<Vec<u8>, Stop> {
        let record = self.record(contract, meter)?;
        let metadata = self.metadata(contract, meter)?;
        Ok(codec::encode(&Description { record: ContractRecord::clone(&record), metadata }))
    }

    /// What a contract's deployer says of it.
    pub(super) fn metadata(&mut self, contract: &ContractId, meter: &mut Meter) -> Result<Metadata, Stop> {
        let prices = &self.context.rules.prices;
        meter.charge(prices.read)?;
        let key = metadata_key(contract);
        let Some(encoded) = self.journal.get(&key)? else { return Ok(Metadata::default()) };
        meter.charge_done(prices.read_byte, encoded.len())?;
        codec::decode(&encoded).map_err(|error| ExecutionError::Corrupt { key, reason: error.to_string() }.into())
    }

    /// Writes a value of the system's.
    fn write<T: Format>(&mut self, key: Key, value: &T, meter: &mut Meter) -> Result<(), Stop> {
        let prices = &self.context.rules.prices;
        let encoded = codec::encode(value);
        meter.charge_sized(prices.write, prices.write_byte, encoded.len())?;
        self.note(&key.namespace, &key.name, AccessKind::Write { bytes: encoded.len() });
        self.journal.put(key, encoded);
        Ok(())
    }

    /// The id of the next contract that this transaction makes.
    fn next_contract(&mut self) -> ContractId {
        let index = self.made;
        self.made = index.saturating_add(1);
        ContractId::instantiated_by(&self.transaction.unwrap_or(TransactionId(Digest::ZERO)), index)
    }

    /// Emits an event in the lifecycle contract's name.
    fn announce(&mut self, topic: &str, data: &[u8], caller: Caller, meter: &mut Meter) -> Result<(), Stop> {
        let environment = self.environment(LIFECYCLE, caller);
        TransactionHost::new(environment, self, meter).emit(topic, data)?;
        Ok(())
    }
}

fn arguments_of<T: Format>(arguments: &[u8]) -> Result<T, Stop> {
    decode_arguments(arguments).map_err(refused)
}

fn one_contract(arguments: &[u8]) -> Result<ContractId, Stop> {
    let bytes = <[u8; 32]>::try_from(arguments);
    bytes
        .map(|bytes| ContractId(Digest::new(bytes)))
        .map_err(|_| refused(Trap::bad_arguments("a contract is 32 bytes")))
}

fn refused(trap: Trap) -> Stop {
    stop(trap, EntryPoint::Constructor)
}

/// A contract and its code.
fn both(contract: &ContractId, code: &Digest) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (front, back) = bytes.split_at_mut(32);
    front.copy_from_slice(contract.0.as_bytes());
    back.copy_from_slice(code.as_bytes());
    bytes
}
