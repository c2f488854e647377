//! The code that a block runs: paid for by what making it ready takes at worst, and made ready once.
//!
//! Code that a node has in its cache costs it next to nothing to load, and code that it hasn't costs hundreds of times as
//! much. Nodes' caches differ and fuel mustn't, so what counts is what the *block* has loaded before, in the order of
//! execution. Code that no transaction before has loaded is *new*: it costs `read_byte` a byte, like all that is read, and
//! `prepare_byte`, which is what making it ready costs. What was loaded before costs neither again.
//!
//! So a block that finds no code in the caches is paid for all that it makes ready, and no transaction can make another's
//! call dearer than a simulation of it alone has said: others can only have loaded its code before, which makes it cheaper.
//! A chain whose members trust each other that far may let a block's first bytes of new code go without `prepare_byte`
//! ([`block_code_bytes`](ledger_core::Rules::block_code_bytes)); who loads them first then takes that from the others.
//!
//! What a transaction has loaded counts even if it fails afterwards, for the work was done.

use super::LedgerExecutor;
use super::cache::{Origin, PreparedCache};
use crate::fuel::Meter;
use crate::host::HostError;
use crate::record::ContractRecord;
use crate::runtime::{CodeError, Prepared, Runtime};
use foldhash::quality::RandomState;
use ledger_core::codec::{self, Bytes, CodecError};
use ledger_core::{ContractId, ExecutionError, Rules};
use ledger_crypto::Digest;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, TryLockError};

/// For what code is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A block of the chain.
    Block,
    /// Somebody's question, of which nothing may remain that blocks could notice: neither code that he brought along,
    /// nor the loss of what they need.
    Question,
}

/// The code that a block has loaded, or a simulation, which is like the first transaction of a block.
pub(super) struct Codes {
    purpose: Purpose,
    /// Looked up and never walked.
    ready: HashMap<Digest, Vec<Ready>, RandomState>,
    /// The records of contracts that were called, with the bytes that they were decoded from. Looked up and never walked.
    records: HashMap<ContractId, (Bytes, Arc<ContractRecord>), RandomState>,
    /// How many bytes of new code there may be that aren't paid for as work.
    allowance: u64,
}

struct Ready {
    runtime: Box<str>,
    code: Prepared,
}

impl Codes {
    pub(super) fn new(purpose: Purpose, rules: &Rules) -> Self {
        let allowance = rules.block_code_bytes.into();
        Codes { purpose, ready: HashMap::default(), records: HashMap::default(), allowance }
    }

    /// A contract's record, whose encoding the state has. It is decoded when a contract is called first, and when it was
    /// changed.
    pub(super) fn record(&mut self, contract: &ContractId, encoded: &Bytes) -> Result<Arc<ContractRecord>, CodecError> {
        if let Some((_, record)) = self.records.get(contract).filter(|(bytes, _)| bytes == encoded) {
            return Ok(Arc::clone(record));
        }
        let record: Arc<ContractRecord> = Arc::new(codec::decode(encoded)?);
        self.records.insert(*contract, (encoded.clone(), Arc::clone(&record)));
        Ok(record)
    }

    /// Code that was loaded before.
    fn find(&self, runtime: &str, digest: &Digest) -> Option<Prepared> {
        let same = self.ready.get(digest)?;
        same.iter().find(|ready| &*ready.runtime == runtime).map(|ready| ready.code.clone())
    }

    /// Pays for loading so many bytes of code, and gives it if that was done before.
    pub(super) fn load(
        &mut self,
        (runtime, digest): (&str, &Digest),
        bytes: u32,
        rules: &Rules,
        meter: &mut Meter,
    ) -> Result<Option<Prepared>, HostError> {
        let prices = &rules.prices;
        meter.charge(prices.read)?;
        if let Some(code) = self.find(runtime, digest) {
            return Ok(Some(code));
        }
        // Paid whether a node has it in its cache or not: a cache is one node's own affair, fuel is everyone's.
        meter.charge_sized(0, prices.read_byte, bytes as usize)?;
        let new = u64::from(bytes);
        let left = self.allowance.saturating_sub(new);
        let beyond = new.saturating_sub(self.allowance);
        meter.charge(prices.prepare_byte.saturating_mul(beyond))?;
        self.allowance = left;
        Ok(None)
    }

    /// The turn to make ready code that a question brings along; `None` where that needs no turn.
    pub(super) fn turn<'e>(
        &self,
        executor: &'e LedgerExecutor,
        code: &Stored<'_>,
    ) -> Result<Option<MutexGuard<'e, ()>>, ExecutionError> {
        if self.purpose == Purpose::Block || code.in_state {
            return Ok(None);
        }
        match executor.bringing.try_lock() {
            Ok(turn) => Ok(Some(turn)),
            // There is nothing in it that a panic could have left half done.
            Err(TryLockError::Poisoned(turn)) => Ok(Some(turn.into_inner())),
            Err(TryLockError::WouldBlock) => {
                Err(ExecutionError::Busy { what: "another simulation's code is being made ready" })
            }
        }
    }

    /// Makes code ready, unless it is: it was paid for.
    pub(super) fn prepare(
        &mut self,
        executor: &LedgerExecutor,
        runtime: &dyn Runtime,
        origin: &Origin<'_>,
        code: &Stored<'_>,
        rules: &Rules,
    ) -> Result<Prepared, CodeError> {
        if let Some(code) = self.find(origin.runtime, origin.digest) {
            return Ok(code);
        }
        let ready = match self.cached(executor, origin) {
            Some(ready) => ready,
            None => {
                let ready = runtime.prepare(code.bytes, rules)?;
                if let Some(cache) = self.cache_for(executor, code) {
                    cache.insert(origin, ready.clone());
                }
                ready
            }
        };
        self.hold(origin, ready.clone());
        Ok(ready)
    }

    /// Code that is ready from earlier blocks; it is held from now on.
    pub(super) fn take_cached(&mut self, executor: &LedgerExecutor, origin: &Origin<'_>) -> Option<Prepared> {
        let ready = self.cached(executor, origin)?;
        self.hold(origin, ready.clone());
        Some(ready)
    }

    fn cached(&self, executor: &LedgerExecutor, origin: &Origin<'_>) -> Option<Prepared> {
        match self.purpose {
            Purpose::Block => executor.prepared.get(origin),
            Purpose::Question => executor.prepared.peek(origin).or_else(|| executor.asked.get(origin)),
        }
    }

    fn cache_for<'e>(&self, executor: &'e LedgerExecutor, code: &Stored<'_>) -> Option<&'e PreparedCache> {
        match self.purpose {
            Purpose::Block => Some(&executor.prepared),
            Purpose::Question if code.in_state => Some(&executor.asked),
            Purpose::Question => None,
        }
    }

    fn hold(&mut self, origin: &Origin<'_>, code: Prepared) {
        self.ready.entry(*origin.digest).or_default().push(Ready { runtime: origin.runtime.into(), code });
    }
}

/// Code, and where it is from.
pub(super) struct Stored<'c> {
    pub(super) bytes: &'c [u8],
    /// Whether it was read, so that it was paid for by whoever uploaded it once. A question's own code isn't kept.
    pub(super) in_state: bool,
}
