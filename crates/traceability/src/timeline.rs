//! The timeline of an item: what a verifier makes of a proof, trusting nothing but the trust root.
//!
//! ```text
//! trust root ─▶ checkpoint ─▶ proofs of state and transactions ─▶ proven links and events ─walk─▶ Timeline
//! ```
//!
//! [`timeline`] is given bytes and believes none of them: the checkpoint is verified against the trust root, each proof against the
//! checkpoint, each event against the signature of the account that recorded it. Then it takes the [walk](crate::walk) itself, over
//! what was proven. Where the walk needs a link or an event that wasn't proven, there is an error and no timeline: since an
//! item's number of links is proven too, nothing that the ledger knows of the item can be left out.

mod lines;
mod proven;
mod render;
mod standing;
mod warnings;

use std::sync::Arc;

use jiff::Timestamp as Instant;
use ledger_core::codec::{self, CodecError, Decode, Encode, Format, List, Text};
use ledger_core::proof::{ProofError, StateProof, TransactionProof};
use ledger_core::{
    AccountId, ChainId, ContractId, Height, Key, Place as BlockPlace, Timestamp, TransactionId, TrustError, TrustRoot,
    checkpoint,
};
use ledger_crypto::{Digest, PublicKey};

use crate::epcis::{Event, EventKey, Item, Role};
use crate::walk::{Flow, WalkError, WalkLimits, walk};

pub use lines::{Checked, CheckedLine, Piece, check_lines};
pub use standing::{Correction, Declaration, Held, Standing, State, Withdrawal};
pub use warnings::{Warning, WarningKind};

/// All that proves the trace of an item, at one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct TraceProof {
    /// The item whose trace it is, in canonical form.
    pub item: Text,
    /// The contract that has stored the events.
    pub contract: ContractId,
    /// The transaction that deployed the contract, with its body.
    pub deployment: TransactionProof,
    /// Items, links and events in the checkpoint's state.
    pub states: List<StateProof>,
    /// The transactions that recorded the events, with their bodies.
    pub transactions: List<TransactionProof>,
}

impl Format for TraceProof {
    const NAME: &'static str = "trace proof";
    const LIMIT: usize = codec::MAX_INPUT_BYTES;
}

impl TraceProof {
    /// How many proofs it consists of.
    #[must_use]
    pub fn proofs(&self) -> usize {
        self.states.len().saturating_add(self.transactions.len()).saturating_add(1)
    }
}

/// Why there is no timeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// Bytes that aren't what they should be.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The checkpoint isn't trusted.
    #[error("the checkpoint is not trusted: {0}")]
    Trust(#[from] TrustError),
    /// A proof doesn't hold.
    #[error("{what}: {error}")]
    Proof {
        /// What was to be proven.
        what: String,
        /// What is wrong with the proof.
        error: Box<ProofError>,
    },
    /// The contract isn't the one that makes traces.
    #[error("contract {contract} is not shown to be the traceability contract: {reason}")]
    WrongContract {
        /// The contract.
        contract: ContractId,
        /// What is wrong.
        reason: &'static str,
    },
    /// The events are stored by another contract than the reader means.
    #[error("the events are stored by contract {contract}, not by {expected}")]
    OtherContract {
        /// The contract.
        contract: ContractId,
        /// The contract that was to have stored them.
        expected: ContractId,
    },
    /// A part of the trace isn't proven.
    #[error("{what} is not proven")]
    Unproven {
        /// Which part.
        what: String,
    },
    /// Something is proven, but isn't what the contract writes.
    #[error("{what}: {reason}")]
    Inconsistent {
        /// What.
        what: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No event names the item: this is proven.
    #[error("no event in the ledger names {item}")]
    Unknown {
        /// The item.
        item: Item,
    },
    /// More than a timeline takes in.
    #[error("the trace of {item} has more than {limit} {what}")]
    TooLarge {
        /// The item.
        item: Item,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// One event of the timeline. Everything in it is proven.
#[derive(Debug, Clone)]
pub struct Line {
    /// The event's key.
    pub key: EventKey,
    /// The event.
    pub event: Arc<Event>,
    /// The account that recorded it.
    pub recorder: AccountId,
    /// The key that signed the record.
    pub signed_by: PublicKey,
    /// The transaction that recorded it.
    pub transaction: TransactionId,
    /// Where that transaction is in the chain, and when it was ordered.
    pub place: BlockPlace,
    /// What was promised with this event, and what became of it.
    pub delivery: Option<Delivery>,
    /// Whether it stands, and what declares it wrong or what it declares wrong.
    pub standing: Standing,
    /// Events of this timeline that were declared wrong and that this one is given to correct.
    pub corrects: Vec<EventKey>,
    /// Error declarations about it that others have recorded: it stands, but they don't agree.
    pub disputed_by: Vec<EventKey>,
    /// The condition of the timeline's item after it; `None` where it concerns only other items, or doesn't stand.
    pub state: Option<State>,
}

/// A promised arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Until when the goods were to arrive.
    pub promised: Instant,
    /// When they were received; `None` when no event says so.
    pub received: Option<Instant>,
}

/// What is proven about an item.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The item.
    pub item: Item,
    /// The chain.
    pub chain: ChainId,
    /// The contract.
    pub contract: ContractId,
    /// Who deployed the contract.
    pub deployer: AccountId,
    /// The checkpoint's height.
    pub checkpoint: Height,
    /// The checkpoint's time.
    pub checkpoint_time: Timestamp,
    /// The state root that all of this is proven under.
    pub state_root: Digest,
    /// The events in the order of time.
    pub lines: Vec<Line>,
    /// What became of what.
    pub flows: Vec<Flow>,
    /// The item's condition after the last event.
    pub state: State,
    /// What a reader should know.
    pub warnings: Vec<Warning>,
    /// How many proofs were verified.
    pub proofs_verified: usize,
}

/// The code that a verifier takes for the traceability contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractCode {
    /// What the nodes have linked under [its name](crate::records::CONTRACT).
    Native,
    /// The WebAssembly module with this SHA-256 digest.
    Module([u8; 32]),
}

/// Builds the timeline from bytes alone: an encoded [`TrustRoot`], an encoded [`ledger_core::Checkpoint`] and an encoded [`TraceProof`]
/// of the native contract.
///
/// # Errors
/// [`TimelineError`] when anything that the timeline would say isn't proven.
pub fn timeline(trust_root: &[u8], checkpoint: &[u8], proof: &[u8]) -> Result<Timeline, TimelineError> {
    timeline_of(ContractCode::Native, trust_root, checkpoint, proof)
}

/// The same as [`timeline`], of a contract that was deployed with this code.
///
/// # Errors
/// [`TimelineError`] when anything that the timeline would say isn't proven.
pub fn timeline_of(
    code: ContractCode,
    trust_root: &[u8],
    checkpoint: &[u8],
    proof: &[u8],
) -> Result<Timeline, TimelineError> {
    let root: TrustRoot = codec::decode(trust_root)?;
    let checkpoint = checkpoint::verify_bytes(&root, checkpoint)?;
    let proof: TraceProof = codec::decode(proof)?;
    let mut proven = proven::Proven::verify(&proof, code, &checkpoint)?;
    let item = Item::new(&proof.item);
    let found = walk(&mut proven, &item, &WalkLimits::default()).map_err(|error| match error {
        WalkError::Unknown { item } => TimelineError::Unknown { item },
        WalkError::TooLarge { item, what, limit } => TimelineError::TooLarge { item, what, limit },
        WalkError::Graph(error) => error,
    })?;
    let mut lines = Vec::new();
    for (key, seen) in found.events.iter().filter(|(_, seen)| seen.included) {
        let record = proven.record(*key)?;
        lines.push(Line {
            key: *key,
            event: Arc::clone(&seen.event),
            recorder: seen.recorder,
            signed_by: record.signed_by,
            transaction: record.transaction,
            place: record.place,
            delivery: None,
            standing: Standing::Stands,
            corrects: Vec::new(),
            disputed_by: Vec::new(),
            state: None,
        });
    }
    lines.sort_by_key(|line| (line.event.time(), line.key));
    let state = standing::fill(&mut lines, &found);
    let deliveries: Vec<Option<Delivery>> = lines.iter().map(|line| delivery(line, &lines)).collect();
    for (line, delivery) in lines.iter_mut().zip(deliveries) {
        line.delivery = delivery;
    }
    Ok(Timeline {
        item,
        chain: checkpoint.header().chain,
        contract: proof.contract,
        deployer: proven.deployer,
        checkpoint: checkpoint.header().height,
        checkpoint_time: checkpoint.header().timestamp,
        state_root: proven.state_root,
        warnings: warnings::of(&lines, &found),
        lines,
        flows: found.flows.into_iter().collect(),
        state,
        proofs_verified: proof.proofs(),
    })
}

/// Whether the event says that its objects have arrived.
fn is_arrival(event: &Event) -> bool {
    matches!(event.text("bizStep"), Some("receiving" | "accepting" | "arriving"))
}

/// What became of the promise that comes with the event, if one does and the event stands.
fn delivery(line: &Line, lines: &[Line]) -> Option<Delivery> {
    let promised = line.event.promised().filter(|_| line.standing == Standing::Stands)?;
    let shipped = subjects(&line.event);
    let arrival = lines.iter().find(|other| {
        other.standing == Standing::Stands
            && is_arrival(&other.event)
            && other.event.time() >= line.event.time()
            && subjects(&other.event).iter().any(|item| shipped.contains(item))
    });
    Some(Delivery { promised, received: arrival.map(|arrival| arrival.event.time()) })
}

fn subjects(event: &Event) -> Vec<Item> {
    event.mentions().into_iter().filter(|named| named.role == Role::Subject).map(|named| named.item).collect()
}

/// The state keys that must be proven for the trace of an item whose links are known.
#[must_use]
pub fn keys_to_prove(contract: ContractId, items: &[(Item, u32)], events: &[EventKey]) -> Vec<Key> {
    let mut keys = Vec::new();
    for (item, links) in items {
        keys.push(crate::records::item_key(contract, item));
        keys.extend((0..*links).map(|number| crate::records::link_key(contract, item, number)));
    }
    keys.extend(events.iter().map(|event| crate::records::event_key(contract, event)));
    keys
}
