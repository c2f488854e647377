//! The host of one contract's run: namespace, limits, fuel, over the block's journal.

use super::run::{Caller, Run};
use crate::call::{Answer, CallTerms};
use crate::fuel::Meter;
use crate::host::{Entry, Environment, HashFunction, Host, HostError};
use crate::trace::AccessKind;
use ledger_core::codec::{Bytes, Text};
use ledger_core::{AccountId, ContractId, Event, Fuel, KeyRange};
use ledger_crypto::{PublicKey, Signature, verify_raw};
use sha2::{Digest as _, Sha256};

/// What a contract talks to.
pub(super) struct TransactionHost<'h, 'r, 's> {
    environment: Environment,
    run: &'h mut Run<'r, 's>,
    meter: &'h mut Meter,
    fault: Option<HostError>,
    /// What was left of the stack when the contract was entered.
    stack: u32,
}

impl<'h, 'r, 's> TransactionHost<'h, 'r, 's> {
    pub(super) fn new(environment: Environment, run: &'h mut Run<'r, 's>, meter: &'h mut Meter) -> Self {
        let stack = run.stack_left;
        TransactionHost { environment, run, meter, fault: None, stack }
    }

    /// The first error that the contract was given.
    pub(super) fn finish(self) -> Result<(), HostError> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Does `work` unless something failed before, and keeps its error.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, HostError>) -> Result<T, HostError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        work(self).inspect_err(|fault| self.fault = Some(fault.clone()))
    }

    /// The namespace of the key `name`, which isn't too long.
    fn namespace(&self, name: &[u8]) -> Result<ContractId, HostError> {
        within("a key", name.len(), self.run.context.rules.max_key_bytes.into())?;
        Ok(self.environment.contract)
    }

    fn writable(&self) -> Result<(), HostError> {
        if self.environment.read_only { Err(HostError::ReadOnly) } else { Ok(()) }
    }
}

/// Checks a size against a limit of the rules.
pub(super) fn within(what: &'static str, size: usize, limit: u64) -> Result<(), HostError> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if size > limit { Err(HostError::Limit { what, size, limit }) } else { Ok(()) }
}

impl Host for TransactionHost<'_, '_, '_> {
    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        self.guarded(|host| {
            let namespace = host.namespace(key)?;
            host.meter.charge(host.run.context.rules.prices.read)?;
            let (meter, read_byte) = (&mut *host.meter, host.run.context.rules.prices.read_byte);
            let value = host.run.journal.get_if(&namespace, key, |bytes| meter.charge_done(read_byte, bytes))?;
            host.run.note(&namespace, key, AccessKind::Read { bytes: value.as_ref().map(|value| value.len()) });
            Ok(value.map(Bytes::into_vec))
        })
    }

    fn scan(&mut self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, HostError> {
        self.guarded(|host| {
            // One byte more than a key, so that a scan can go on right after the longest.
            let longest = u64::from(host.run.context.rules.max_key_bytes) + 1;
            within("a range's bound", from.len().max(to.map_or(0, <[u8]>::len)), longest)?;
            let namespace = host.environment.contract;
            let mut range = KeyRange { namespace, from: Bytes::from(from), to: to.map(Bytes::from) };
            let prices = &host.run.context.rules.prices;
            let mut entries = Vec::new();
            let mut seen = Vec::new();
            let mut steps = host.run.journal.scan(&range);
            loop {
                if entries.len() == limit {
                    // To see which key comes next, one more may have been read.
                    host.meter.charge_done(prices.read_byte, steps.read_ahead())?;
                    // Only what was read counts as read: up to the last key and that one itself.
                    range.to = Some(entries.last().map_or_else(|| range.from.clone(), after));
                    break;
                }
                host.meter.charge(prices.read)?;
                let Some(step) = steps.next().transpose()? else { break };
                host.meter.charge_done(prices.read_byte, step.bytes_read())?;
                if let Some(value) = step.value {
                    entries.push(Entry { key: step.key.name.to_vec(), value: value.into_vec() });
                }
                if step.base.is_some() {
                    seen.push((step.key, step.base));
                }
            }
            drop(steps);
            for (key, version) in seen {
                host.run.journal.record(&key.namespace, &key.name, version);
            }
            host.run.note_scan(&range, || (entries.len(), bytes_of(&entries)));
            host.run.journal.record_range(range);
            Ok(entries)
        })
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.guarded(|host| {
            host.writable()?;
            let prices = &host.run.context.rules.prices;
            host.meter.charge_sized(prices.write, prices.write_byte, key.len().saturating_add(value.len()))?;
            let namespace = host.namespace(key)?;
            within("a value", value.len(), host.run.context.rules.max_value_bytes.into())?;
            host.run.note(&namespace, key, AccessKind::Write { bytes: value.len() });
            host.run.journal.set(&namespace, key, Some(Bytes::from(value)));
            Ok(())
        })
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.guarded(|host| {
            host.writable()?;
            let prices = &host.run.context.rules.prices;
            host.meter.charge_sized(prices.write, prices.write_byte, key.len())?;
            let namespace = host.namespace(key)?;
            host.run.note(&namespace, key, AccessKind::Delete);
            host.run.journal.set(&namespace, key, None);
            Ok(())
        })
    }

    fn emit(&mut self, topic: &str, data: &[u8]) -> Result<(), HostError> {
        self.guarded(|host| {
            host.writable()?;
            let prices = &host.run.context.rules.prices;
            let size = topic.len().saturating_add(data.len());
            host.meter.charge_sized(prices.event, prices.event_byte, size)?;
            within("the number of events", host.run.events.len() + 1, host.run.context.rules.max_events.into())?;
            within("an event", size, host.run.context.rules.max_event_bytes.into())?;
            let contract = host.environment.contract;
            host.run.note_event(topic, data);
            host.run.events.push(Event { contract, topic: Text::from(topic), data: Bytes::from(data) });
            Ok(())
        })
    }

    fn charge(&mut self, fuel: Fuel) -> Result<(), HostError> {
        self.guarded(|host| host.meter.charge(fuel.0))
    }

    fn fuel_left(&self) -> Fuel {
        self.meter.left()
    }

    fn call(
        &mut self,
        callee: &ContractId,
        method: &str,
        arguments: &[u8],
        terms: CallTerms,
    ) -> Result<Answer, HostError> {
        self.guarded(|host| {
            let account = AccountId::of_contract(&host.environment.contract);
            let caller = Caller { account, read_only: host.environment.read_only || terms.read_only };
            host.run.call_within(callee, (method, arguments), caller, terms, host.meter)
        })
    }

    fn hash(&mut self, function: HashFunction, data: &[u8]) -> Result<[u8; 32], HostError> {
        self.guarded(|host| {
            let prices = &host.run.context.rules.prices;
            host.meter.charge_sized(prices.hash, prices.hash_byte, data.len())?;
            Ok(match function {
                HashFunction::Blake3 => *blake3::hash(data).as_bytes(),
                HashFunction::Sha256 => Sha256::digest(data).into(),
            })
        })
    }

    fn verify(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<bool, HostError> {
        self.guarded(|host| {
            let prices = &host.run.context.rules.prices;
            host.meter.charge_sized(prices.verify, prices.hash_byte, message.len())?;
            let (key, signature) = (PublicKey::new(*key), Signature::new(*signature));
            Ok(key.check_not_weak().is_ok() && verify_raw(&key, message, &signature).is_ok())
        })
    }

    fn output_limit(&self) -> u64 {
        self.run.context.rules.max_output_bytes.into()
    }

    fn stack_left(&self) -> u32 {
        self.run.stack_left
    }

    fn set_stack_left(&mut self, slots: u32) {
        self.run.stack_left = slots.min(self.stack);
    }

    fn broke_down_in(&mut self, function: &str) {
        if let Some(trace) = &mut self.run.trace {
            trace.broke_down_in(function);
        }
    }
}

/// How many bytes entries have together.
fn bytes_of(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.key.len().saturating_add(entry.value.len())).sum()
}

/// The first name after an entry's.
fn after(entry: &Entry) -> Bytes {
    let mut name = entry.key.clone();
    name.push(0);
    Bytes::from(name)
}
