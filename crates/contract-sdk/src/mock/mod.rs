//! A chain in memory for native tests: contracts, state, events, time and callers, without blocks, signatures or nodes.
//!
//! It has the chain's semantics where a contract can notice them: a call that fails takes everything back, also a call
//! between contracts; read-only calls refuse writes and events; a contract that is running can't be entered again except
//! read-only; keys, values and events have the default limits of a chain. It does **not meter**: only what a contract
//! [charges](crate::host::charge) counts. What a call costs is known to `ledger_contracts::testing`.
//!
//! ```
//! use ledger_contract_sdk::mock::{Chain, account};
//!
//! let mut chain = Chain::new();
//! let before = chain.clone(); // a snapshot
//! chain.advance(60_000);
//! assert_eq!(chain.height, before.height + 1);
//! assert_ne!(account(1), account(2));
//! ```

pub(crate) mod running;
mod world;

use crate::codec::{self, Decode};
use crate::event::Event;
use crate::host;
use crate::id::{AccountId, ContractId};
use crate::refusal::Refusal;
use crate::{Call, CallError, Definition};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use running::Entry;
use world::World;

/// From one call to the next, in ms.
const BLOCK_MS: u64 = 1_000;

/// An account for tests: 32 times the same byte.
pub const fn account(byte: u8) -> AccountId {
    AccountId([byte; 32])
}

/// A chain in memory. A clone is a snapshot, and goes its own way.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The last block's height. Every deployment and call is a block of its own.
    pub height: u64,
    /// The last block's time, in ms since 1970; the next block is a second later.
    pub timestamp: u64,
    /// The most fuel that a call may [charge](crate::host::charge).
    pub fuel_limit: u64,
    world: World,
}

impl Default for Chain {
    fn default() -> Self {
        Chain::new()
    }
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt<T> {
    /// What the method answered.
    pub answer: T,
    /// The events, also those of contracts that were called, in order.
    pub events: Vec<Emitted>,
}

impl<T> Receipt<T> {
    /// The events of one type, of whichever contract.
    pub fn emitted<E: Event>(&self) -> Vec<E> {
        self.events.iter().filter_map(Emitted::decode).collect()
    }
}

/// An event as the chain keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Which contract told it.
    pub contract: ContractId,
    /// Its topic.
    pub topic: String,
    /// What it carries.
    pub data: Vec<u8>,
}

impl Emitted {
    /// The event, if it is an `E`.
    pub fn decode<E: Event>(&self) -> Option<E> {
        if self.topic == E::TOPIC { codec::decode(&self.data) } else { None }
    }
}

/// Why a call had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// What the contract [charged](crate::host::charge) was more than the limit.
    OutOfFuel {
        /// The limit.
        limit: u64,
    },
    /// The contract said no.
    Refused(Refusal),
    /// The contract broke down.
    Trapped(String),
    /// There is no such contract.
    UnknownContract(ContractId),
    /// The contract has no such method.
    UnknownMethod(String),
    /// Something is larger than a chain allows.
    Limit {
        /// What.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A write in a read-only call, or entering a running contract.
    Forbidden(&'static str),
    /// The contract answered something that isn't of the type that its client expects.
    AnswerType,
}

impl Failure {
    /// Whether the contract refused for this reason.
    pub fn is(&self, refusal: impl Into<Refusal>) -> bool {
        matches!(self, Failure::Refused(found) if *found == refusal.into())
    }

    /// What a calling contract is told: the contract's own code, or 2³² and the failure's number in the chain's format.
    fn told(&self) -> CallError {
        let chain = |number: u64| (1 << 32) + number;
        let code = match self {
            Failure::Refused(refusal) => {
                return CallError { code: refusal.code.into(), message: refusal.message.clone().into() };
            }
            Failure::OutOfFuel { .. } => chain(0),
            Failure::Trapped(_) | Failure::AnswerType => chain(2),
            Failure::UnknownContract(_) => chain(3),
            Failure::UnknownMethod(_) => chain(4),
            Failure::Limit { .. } => chain(9),
            Failure::Forbidden(_) => chain(11),
        };
        CallError { code, message: alloc::format!("{self}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::OutOfFuel { limit } => write!(f, "out of fuel: the limit of {limit} was reached"),
            Failure::Refused(refusal) => refusal.fmt(f),
            Failure::Trapped(message) => write!(f, "the contract trapped: {message}"),
            Failure::UnknownContract(contract) => write!(f, "there is no contract {contract}"),
            Failure::UnknownMethod(method) => write!(f, "the contract has no method `{method}`"),
            Failure::Limit { what, size, limit } => write!(f, "{what} of {size} is over the chain's limit of {limit}"),
            Failure::Forbidden(what) => write!(f, "the account may not {what} on this chain"),
            Failure::AnswerType => f.write_str("the contract answered something of another type"),
        }
    }
}

impl core::error::Error for Failure {}

impl Chain {
    /// An empty chain at height 0, in November 2023.
    pub const fn new() -> Self {
        Chain { height: 0, timestamp: 1_700_000_000_000, fuel_limit: u64::MAX, world: World::new() }
    }

    /// Goes on by a block that is `ms` later, with nothing in it.
    pub const fn advance(&mut self, ms: u64) {
        self.height += 1;
        self.timestamp += ms;
    }

    /// Deploys a contract, with encoded arguments for its constructor.
    ///
    /// # Errors
    /// [`Failure`] of the constructor; then nothing is deployed.
    pub fn deploy(
        &mut self,
        who: AccountId,
        contract: &'static Definition,
        arguments: Vec<u8>,
    ) -> Result<ContractId, Failure> {
        let id = self.world.next_id();
        self.deploy_at(id, who, contract, arguments).map(|()| id)
    }

    /// As [`Chain::deploy`], under an id that isn't taken: that of the same contract on another chain, to compare the two.
    ///
    /// # Errors
    /// [`Failure`] of the constructor, or because the id is taken; then nothing is deployed.
    pub fn deploy_at(
        &mut self,
        id: ContractId,
        who: AccountId,
        contract: &'static Definition,
        arguments: Vec<u8>,
    ) -> Result<(), Failure> {
        self.advance(BLOCK_MS);
        if self.world.contracts.contains_key(&id) {
            return Err(Failure::Forbidden("deploy where there is a contract"));
        }
        self.world.contracts.insert(id, contract);
        let done = self.enter(who, id, Entry::Construct, &arguments);
        if done.is_err() {
            self.world.contracts.remove(&id);
        }
        done.map(|_| ())
    }

    /// Gives a contract other code, and runs its migration with encoded arguments.
    ///
    /// # Errors
    /// [`Failure`] of the migration, also where there is none; then the contract is what it was.
    pub fn upgrade(
        &mut self,
        who: AccountId,
        contract: ContractId,
        to: &'static Definition,
        arguments: Vec<u8>,
    ) -> Result<(), Failure> {
        self.advance(BLOCK_MS);
        let Some(before) = self.world.contracts.insert(contract, to) else {
            self.world.contracts.remove(&contract);
            return Err(Failure::UnknownContract(contract));
        };
        let done = self.enter(who, contract, Entry::Migrate, &arguments);
        if done.is_err() {
            self.world.contracts.insert(contract, before);
        }
        done.map(|_| ())
    }

    /// Makes a call, in a block of its own.
    ///
    /// # Errors
    /// [`Failure`]; then the call did nothing.
    pub fn call<T: Decode>(&mut self, who: AccountId, call: Call<T>) -> Result<Receipt<T>, Failure> {
        let receipt = self.call_raw(who, call.contract(), call.method(), call.arguments())?;
        let answer = codec::decode(&receipt.answer).ok_or(Failure::AnswerType)?;
        Ok(Receipt { answer, events: receipt.events })
    }

    /// Makes a call over bytes, in a block of its own: for arguments that no client would send.
    ///
    /// # Errors
    /// [`Failure`]; then the call did nothing.
    pub fn call_raw(
        &mut self,
        who: AccountId,
        contract: ContractId,
        method: &str,
        arguments: &[u8],
    ) -> Result<Receipt<Vec<u8>>, Failure> {
        self.advance(BLOCK_MS);
        self.enter(who, contract, Entry::Method(method), arguments)
    }

    /// What a call would answer now. Nothing changes.
    ///
    /// # Errors
    /// [`Failure`] of the call.
    pub fn query<T: Decode>(&self, who: AccountId, call: Call<T>) -> Result<T, Failure> {
        let mut copy = self.clone();
        let done = copy.enter(who, call.contract(), Entry::Method(call.method()), call.arguments())?;
        codec::decode(&done.answer).ok_or(Failure::AnswerType)
    }

    /// Looks into a contract's storage from outside: `look` sees what the contract would see, read-only.
    ///
    /// # Errors
    /// [`Failure`] of what `look` does.
    pub fn inside<T>(&self, contract: ContractId, look: impl FnOnce() -> T) -> Result<T, Failure> {
        running::inside(self.clone(), contract, look)
    }

    /// All events since the beginning.
    pub fn events(&self) -> &[Emitted] {
        &self.world.events
    }

    /// What a contract has in the state, in the order of the keys.
    pub fn state(&self, contract: ContractId) -> Vec<host::Entry> {
        self.world.scan(contract, &[], None, u32::MAX)
    }

    /// How many keys a contract has in the state.
    pub fn keys(&self, contract: ContractId) -> usize {
        self.state(contract).len()
    }

    fn enter(
        &mut self,
        who: AccountId,
        contract: ContractId,
        entry: Entry<'_>,
        arguments: &[u8],
    ) -> Result<Receipt<Vec<u8>>, Failure> {
        let before = self.world.events.len();
        let answer = running::run(self, who, contract, entry, arguments)?;
        let events = self.world.events.get(before..).unwrap_or_default().to_vec();
        Ok(Receipt { answer, events })
    }
}
