//! What happened within a transaction, call by call: for people who look for a mistake, and for tools.
//!
//! ```text
//!   LedgerExecutor::trace_block, trace_simulation, trace_query
//!        │   the path of execute and simulate, on which the host notes what is done
//!        ▼
//!   what execute or simulate gives, and a TransactionTrace for each transaction
//!                                           │
//!                                           ├─▶ Display, tree     for people
//!                                           ├─▶ to_json           for tools
//!                                           └─▶ FuelProfile::add  fuel by contract and method
//! ```
//!
//! # Contract
//! - **Nothing changes**: writes, receipts, events and fuel are what they are without a trace, whatever its limits.
//! - **Next to nothing without one**: each call of a contract, each access to the state and each event asks whether there is
//!   a trace; instructions don't.
//! - **Bounded**: what a [`TraceConfig`] doesn't let in is counted ([`Omitted`]), with its fuel where it is a call.
//! - **Fuel adds up**: the [`own_fuel`](CallTrace::own_fuel) of all calls, that of the transaction and that of omitted calls
//!   make the transaction's fuel.
//! - What is **taken back** stays in the trace and is marked so.
//!
//! Where a contract broke down is there if the machine that ran it knows: the runtime for
//! [WebAssembly](crate::wasm) makes modules ready anew for traces, so that they say which of their functions is running. No
//! receipt says it, and nothing may be agreed on that is in no receipt.
//!
//! # What isn't in it
//! The chain's own bookkeeping: the number of a lane, looking up contracts and loading their code. What the
//! [lifecycle](crate::lifecycle) contract and deployments write is.
//!
//! # Example
//! ```
//! use ledger_contracts::testing::{Probe, TestLedger};
//! use ledger_contracts::trace::TraceConfig;
//! use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
//! use ledger_core::{AccountId, Call};
//! use ledger_crypto::{MemorySigner, Signer};
//! use std::sync::Arc;
//!
//! let executor = Arc::new(LedgerExecutor::default().with(NativeRuntime::new().with(Probe)));
//! let mut ledger = TestLedger::new(Arc::clone(&executor));
//! let alice = MemorySigner::from_seed([1; 32]);
//! let contract = ledger.deploy(&alice, NATIVE, b"probe", b"")?;
//!
//! let account = AccountId::of_ed25519(&alice.public_key());
//! let fuel_limit = ledger.rules.max_transaction_fuel;
//! let call = Call { account, contract, method: "put".into(), arguments: b"key"[..].into(), fuel_limit };
//! let (simulation, trace) =
//!     executor.trace_simulation(&call, &ledger.context(), &ledger.state, TraceConfig::default())?;
//! assert_eq!(trace.fuel_used, simulation.fuel_used);
//! println!("{trace}");
//! println!("{}", trace.to_json());
//! # assert!(trace.to_string().contains(r#"write "k" 2 bytes"#), "{trace}");
//! # Ok::<(), ledger_contracts::testing::TestError>(())
//! ```

mod json;
mod profile;
mod tracer;
mod tree;

pub use profile::{FuelProfile, ProfileRow};
pub(crate) use tracer::{About, Called, Tracer};
pub use tree::{Names, Tree};

use ledger_core::codec::{Bytes, Text};
use ledger_core::{AccountId, ContractId, Failure, Fuel, Status, TransactionId};
use ledger_crypto::Digest;

/// How much a trace may hold. For a block, the limits are those of all its transactions together where that is said.
///
/// A trace takes at most about `max_calls × ((max_accesses + max_events) × (2 × max_bytes + 250) + 4 × max_bytes + 500)`
/// bytes, beside what each transaction takes (its failure's words, and some 300 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// How many transactions and calls are listed with what they did, in the whole trace. By default 1,000.
    pub max_calls: usize,
    /// How many accesses to the state are listed for each transaction and each call. By default 64.
    pub max_accesses: usize,
    /// How many events are listed for each transaction and each call. By default 64.
    pub max_events: usize,
    /// How many bytes of each key, argument, output, name of a method and so on are kept. By default 64.
    pub max_bytes: usize,
}

impl Default for TraceConfig {
    fn default() -> Self {
        TraceConfig { max_calls: 1_000, max_accesses: 64, max_events: 64, max_bytes: 64 }
    }
}

/// What a transaction or a simulated call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionTrace {
    /// The transaction; `None` for a simulation.
    pub transaction: Option<TransactionId>,
    /// Its place in the block.
    pub index: u32,
    /// Who sent it.
    pub account: AccountId,
    /// What it asked for.
    pub kind: Kind,
    /// What became of it.
    pub status: Status,
    /// The most fuel that it might use.
    pub fuel_limit: Fuel,
    /// The fuel that it used.
    pub fuel_used: Fuel,
    /// What of that isn't part of any call: its base price, its body, its output; what a deployment stores; what a commit
    /// reads and writes.
    pub own_fuel: Fuel,
    /// What it did, in order: the call of a contract, or the constructor, and what isn't part of that.
    pub steps: Vec<Step>,
    /// What isn't listed.
    pub omitted: Omitted,
}

/// What a transaction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A contract.
    Deploy,
    /// A call.
    Call,
    /// What was executed elsewhere to be applied.
    Commit,
    /// Nothing to happen: a simulated call.
    Simulation,
    /// Nothing to happen: a simulated call that must not write.
    Query,
}

/// One call of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTrace {
    /// The contract.
    pub contract: ContractId,
    /// What ran it; `None` if it didn't come to that (no such contract, paused, called too deep), and for the
    /// [lifecycle](crate::lifecycle) contract.
    pub runtime: Option<Text>,
    /// Where it was entered.
    pub entry: Entered,
    /// Who called.
    pub caller: AccountId,
    /// The arguments.
    pub arguments: Excerpt,
    /// Whether it might not write.
    pub read_only: bool,
    /// Fuel that it used, with all that it called.
    pub fuel: Fuel,
    /// Fuel that it used itself.
    pub own_fuel: Fuel,
    /// What it did, in order.
    pub steps: Vec<Step>,
    /// What isn't listed.
    pub omitted: Omitted,
    /// How it ended.
    pub end: End,
    /// Whether what it did was taken back, because it failed, or somebody above it.
    pub taken_back: bool,
}

/// Where a contract was entered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entered {
    /// When it was made.
    Constructor,
    /// When it was upgraded.
    Migration,
    /// By the name of a method, which is cut after [`TraceConfig::max_bytes`].
    Method(Text),
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The state was read or written. The same access again, with no event and no call in between, is counted.
    Access(Access),
    /// An event was emitted.
    Event(EventTrace),
    /// A contract was called.
    Call(Box<CallTrace>),
}

/// An access to the state that was paid for and done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whose state.
    pub namespace: ContractId,
    /// The key; of a scan, where it begins.
    pub key: Excerpt,
    /// What was done.
    pub kind: AccessKind,
    /// How often.
    pub times: u64,
}

/// What is done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It was read.
    Read {
        /// How long the value is, in bytes; `None` if there is none.
        bytes: Option<usize>,
    },
    /// It was written.
    Write {
        /// How long the value is, in bytes.
        bytes: usize,
    },
    /// It was deleted.
    Delete,
    /// A range was read.
    Scan {
        /// Where it ends; `None` is the namespace's end.
        to: Option<Excerpt>,
        /// How many entries were found.
        entries: usize,
        /// How long their keys and values are together, in bytes.
        bytes: usize,
    },
}

/// An event that was emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTrace {
    /// What kind of event it is, cut after [`TraceConfig::max_bytes`].
    pub topic: Text,
    /// The contract's own bytes.
    pub data: Excerpt,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned this.
    Returned(Excerpt),
    /// It failed.
    Failed {
        /// Why, as a receipt says it.
        failure: Failure,
        /// In which of the contract's functions, if the machine knows.
        function: Option<Text>,
    },
}

/// What a trace has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Accesses to the state.
    pub accesses: u64,
    /// Events.
    pub events: u64,
    /// Calls, with those within them.
    pub calls: u64,
    /// Fuel that those calls used.
    pub fuel: Fuel,
}

/// The beginning of a string of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// How long the whole is, in bytes.
    pub length: usize,
    /// Its first [`TraceConfig::max_bytes`] bytes.
    pub head: Bytes,
    /// The BLAKE3 digest of the whole, if it is longer than that.
    pub digest: Option<Digest>,
}

impl Excerpt {
    /// At most `most` bytes of `bytes`.
    pub fn of(bytes: &[u8], most: usize) -> Self {
        let digest = (bytes.len() > most).then(|| Digest::new(*blake3::hash(bytes).as_bytes()));
        Excerpt { length: bytes.len(), head: Bytes::from(bytes.get(..most).unwrap_or(bytes)), digest }
    }

    /// Whether all bytes are there.
    pub fn is_whole(&self) -> bool {
        self.digest.is_none()
    }
}

/// The calls among `steps`.
fn calls(steps: &[Step]) -> impl Iterator<Item = &CallTrace> {
    steps.iter().filter_map(|step| if let Step::Call(call) = step { Some(&**call) } else { None })
}

/// The accesses among `steps`.
fn accesses(steps: &[Step]) -> impl Iterator<Item = &Access> {
    steps.iter().filter_map(|step| if let Step::Access(access) = step { Some(access) } else { None })
}

/// The events among `steps`.
fn events(steps: &[Step]) -> impl Iterator<Item = &EventTrace> {
    steps.iter().filter_map(|step| if let Step::Event(event) = step { Some(event) } else { None })
}

impl TransactionTrace {
    /// The call of a contract, or of the constructor of a new one, that the transaction came to.
    pub fn call(&self) -> Option<&CallTrace> {
        calls(&self.steps).next()
    }

    /// Accesses to the state that are part of no call.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        accesses(&self.steps)
    }

    /// All calls that are listed, each before those within it.
    pub fn all_calls(&self) -> Vec<&CallTrace> {
        let mut found = Vec::new();
        // The next one on top, so that all come in order.
        let mut left: Vec<&CallTrace> = calls(&self.steps).collect();
        left.reverse();
        while let Some(call) = left.pop() {
            found.push(call);
            let from = left.len();
            left.extend(call.calls());
            if let Some(added) = left.get_mut(from..) {
                added.reverse();
            }
        }
        found
    }

    /// As one JSON object (RFC 8259) with the fields of this module's types. Bytes are hexadecimal; fuel is a number that may
    /// have 64 bits.
    pub fn to_json(&self) -> String {
        json::transaction(self)
    }

    /// As a tree, with `names` where contracts have some.
    pub fn tree<'t>(&'t self, names: &'t Names) -> Tree<'t> {
        Tree::new(self, names)
    }
}

impl CallTrace {
    /// The calls that it made itself.
    pub fn calls(&self) -> impl Iterator<Item = &CallTrace> {
        calls(&self.steps)
    }

    /// Its accesses to the state.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        accesses(&self.steps)
    }

    /// Its events.
    pub fn events(&self) -> impl Iterator<Item = &EventTrace> {
        events(&self.steps)
    }

    /// Whether it returned.
    pub fn returned(&self) -> bool {
        matches!(self.end, End::Returned(_))
    }
}

impl Entered {
    /// The method's name, or `constructor` or `migration`.
    pub fn name(&self) -> &str {
        match self {
            Entered::Constructor => "constructor",
            Entered::Migration => "migration",
            Entered::Method(method) => method,
        }
    }
}
