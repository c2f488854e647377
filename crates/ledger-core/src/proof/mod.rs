//! Proofs: values that verify against a checkpoint, and nothing else.
//!
//! ```text
//! event ─▶ receipt ─┬▶ outcome ─┐
//!  key, range ──────┘           ├▶ history leaf ─▶ history root ─▶ header of the checkpoint ─▶ its certificate
//!  transaction ───────▶ header ─┘
//! ```
//! A key or range is proven of the current state by the last leaf, and of a past one by any.

mod error;
mod state;

use crate::block::{HEADER_VERSION, Header};
use crate::checkpoint::{Consistency, VerifiedCheckpoint};
use crate::codec::{self, Decode, Encode, Format, List};
use crate::domains;
use crate::history::{self, HistoryHasher};
use crate::id::TransactionId;
use crate::list_root;
use crate::outcome::{Event, Outcome, Receipt};
use crate::state::tree::ProvenValues;
use crate::state::{Key, KeyRange, Versioned};
use crate::transaction::{Body, TransactionError, TransactionLeaf};
use crate::units::{Height, Timestamp};
use ledger_crypto::{Digest, Domain, merkle};

pub use error::ProofError;
pub use state::{PastProof, RangeProof, StateProof, ValueHistoryProof};

/// Shows a block's header and outcome to be leaf `header.height` of the checkpoint's history.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BlockProof {
    /// The block's header.
    pub header: Header,
    /// What executing it gave.
    pub outcome: Outcome,
    /// From the leaf up to the checkpoint's history root (RFC 9162).
    pub path: history::Path,
}

impl BlockProof {
    /// Verifies that the checkpoint's history holds this block with this outcome.
    ///
    /// # Errors
    /// [`ProofError`] when it doesn't.
    pub fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<(), ProofError> {
        if self.header.version != HEADER_VERSION {
            return Err(ProofError::Version { found: self.header.version });
        }
        let (found, expected) = (self.header.chain, checkpoint.header().chain);
        if found != expected {
            return Err(ProofError::WrongChain { found, expected });
        }
        let (header, height) = (self.header.digest(), self.header.height);
        if self.outcome.block != header || self.outcome.height != height {
            return Err(ProofError::OutcomeMismatch {
                height: self.outcome.height,
                outcome: self.outcome.block,
                header,
            });
        }
        let head = checkpoint.history();
        let leaf = history::leaf(&header, &self.outcome.digest());
        merkle::verify_inclusion::<HistoryHasher>(&head.root, head.size, height.0, &leaf, &self.path)
            .map_err(|error| ProofError::NotInHistory { height, error })
    }
}

/// Shows that a block holds a transaction, meant for this chain and signed by the key in its witness.
///
/// It shows neither that the transaction had an effect nor that the key speaks for the account: both are decided when
/// the block is executed, and the [receipt](ReceiptProof) says how.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransactionProof {
    /// The block.
    pub block: BlockProof,
    /// Envelope and witness.
    pub leaf: TransactionLeaf,
    /// The body, where it is to be shown.
    pub body: Option<Body>,
    /// Its place in the block.
    pub index: u32,
    /// How many transactions the block has.
    pub count: u32,
    /// From the leaf up to the header's `transactions_root`.
    pub path: List<Digest>,
}

/// Shows what became of a transaction. Its place in the block is the receipt's own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReceiptProof {
    /// The block.
    pub block: BlockProof,
    /// The receipt.
    pub receipt: Receipt,
    /// How many receipts the block has.
    pub count: u32,
    /// From the receipt up to the outcome's `receipts_root`.
    pub path: List<Digest>,
}

/// Shows an event that a transaction emitted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EventProof {
    /// The receipt that commits to it.
    pub receipt: ReceiptProof,
    /// The event.
    pub event: Event,
    /// Its place among the transaction's events.
    pub index: u32,
    /// From the event up to the receipt's `events_root`.
    pub path: List<Digest>,
}

/// Any proof.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Proof {
    /// A block holds a transaction.
    Transaction(TransactionProof),
    /// What became of a transaction.
    Receipt(ReceiptProof),
    /// A transaction emitted an event.
    Event(EventProof),
    /// A key's value or absence now.
    State(StateProof),
    /// The checkpoint continues an older history.
    History(Consistency),
    /// All keys of a range and their values now.
    Range(RangeProof),
    /// A key, or the keys of a range, as they were after a block.
    Past(PastProof),
    /// A key's value now, and older ones.
    ValueHistory(ValueHistoryProof),
}

impl Format for Proof {
    const NAME: &'static str = "proof";
    const LIMIT: usize = 33 << 20;
}

/// Where and when something proven happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The block.
    pub height: Height,
    /// The block's time.
    pub timestamp: Timestamp,
    /// The transaction's place in the block.
    pub index: u32,
}

/// What a proof has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proven {
    /// The transaction is in the block, signed as it should be.
    Transaction {
        /// Its id.
        id: TransactionId,
        /// Envelope and witness.
        leaf: Box<TransactionLeaf>,
        /// The body, where it was shown: the one the envelope binds.
        body: Option<Body>,
        /// Where it is.
        place: Place,
    },
    /// The transaction became this.
    Receipt {
        /// The receipt.
        receipt: Receipt,
        /// Where it is.
        place: Place,
    },
    /// The event was emitted.
    Event {
        /// The event.
        event: Event,
        /// The transaction that emitted it.
        transaction: TransactionId,
        /// Where it is.
        place: Place,
    },
    /// The key has this value in the checkpoint's state, or none.
    State {
        /// The key.
        key: Key,
        /// Its value; `None` is absence, which is as proven as presence.
        value: Option<Versioned>,
        /// The block after which it holds.
        at: Height,
    },
    /// The older history is a prefix of the checkpoint's.
    History(Consistency),
    /// These are all keys of the range in the checkpoint's state.
    Range {
        /// The range.
        range: KeyRange,
        /// Its keys, in order, with their values.
        entries: Vec<(Key, Versioned)>,
        /// The block after which it holds.
        at: Height,
    },
    /// The key had this value after a block, or none. It may have another by now.
    PastState {
        /// The key.
        key: Key,
        /// Its value; `None` is absence, which is as proven as presence.
        value: Option<Versioned>,
        /// The block after which it held.
        at: Height,
    },
    /// These were all keys of the range after a block. There may be others by now.
    PastRange {
        /// The range.
        range: KeyRange,
        /// Its keys, in order, with their values.
        entries: Vec<(Key, Versioned)>,
        /// The block after which it held.
        at: Height,
    },
    /// The key has this value in the checkpoint's state, and had these before.
    Values(ProvenValues),
}

impl Proof {
    /// Verifies the proof against a checkpoint and gives what it proves.
    ///
    /// # Errors
    /// [`ProofError`] when it proves nothing.
    pub fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        match self {
            Proof::Transaction(proof) => proof.verify(checkpoint),
            Proof::Receipt(proof) => proof.verify(checkpoint),
            Proof::Event(proof) => proof.verify(checkpoint),
            Proof::State(proof) => proof.verify(checkpoint),
            Proof::Range(proof) => proof.verify(checkpoint),
            Proof::Past(proof) => proof.verify(checkpoint),
            Proof::ValueHistory(proof) => proof.verify(checkpoint),
            Proof::History(proof) => {
                let size = proof.from.size;
                proof
                    .verify(&checkpoint.history())
                    .map_err(|error| ProofError::Inconsistent { size, error })
                    .map(|()| Proven::History(proof.clone()))
            }
        }
    }
}

impl TransactionProof {
    fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        let (id, place) = self.check(checkpoint)?;
        Ok(Proven::Transaction { id, leaf: Box::new(self.leaf.clone()), body: self.body.clone(), place })
    }

    /// Verifies the proof alone, where no other kind is expected: gives the transaction's id and its place. Its leaf and the body, if
    /// there is one, are then proven too.
    ///
    /// # Errors
    /// [`ProofError`] when it proves nothing.
    pub fn check(&self, checkpoint: &VerifiedCheckpoint) -> Result<(TransactionId, Place), ProofError> {
        self.block.verify(checkpoint)?;
        let place = self.block.place(self.index);
        let under =
            ListPath { what: "transaction", domain: domains::TRANSACTIONS, count: self.count, path: &self.path };
        under.verify(&self.block.header.transactions_root, self.index, &self.leaf.hash())?;
        // The root proves that the block holds it; that its sender meant it, and for this chain, only the envelope
        // and the signature do.
        self.leaf.transaction.check_meant_for(&self.block.header.chain)?;
        let id = self.leaf.transaction.id();
        self.leaf.witness.check_key()?;
        self.leaf.witness.verify(&id)?;
        if let Some(body) = &self.body {
            let (found, expected) = (body.digest(), self.leaf.transaction.body);
            if found != expected {
                return Err(TransactionError::WrongBody { found, expected }.into());
            }
        }
        Ok((id, place))
    }
}

impl ReceiptProof {
    fn check(&self, checkpoint: &VerifiedCheckpoint) -> Result<Place, ProofError> {
        self.block.verify(checkpoint)?;
        let index = self.receipt.index;
        let under = ListPath { what: "receipt", domain: domains::RECEIPTS, count: self.count, path: &self.path };
        under.verify(&self.block.outcome.receipts_root, index, &self.receipt.leaf())?;
        Ok(self.block.place(index))
    }

    fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        let place = self.check(checkpoint)?;
        Ok(Proven::Receipt { receipt: self.receipt.clone(), place })
    }
}

impl EventProof {
    fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        let place = self.receipt.check(checkpoint)?;
        let receipt = &self.receipt.receipt;
        let under = ListPath { what: "event", domain: domains::EVENTS, count: receipt.event_count, path: &self.path };
        under.verify(&receipt.events_root, self.index, &self.event.leaf())?;
        Ok(Proven::Event { event: self.event.clone(), transaction: receipt.transaction, place })
    }
}

impl BlockProof {
    fn place(&self, index: u32) -> Place {
        Place { height: self.header.height, timestamp: self.header.timestamp, index }
    }
}

/// The way from an item of a list to the list's root.
struct ListPath<'a> {
    what: &'static str,
    domain: Domain,
    count: u32,
    path: &'a [Digest],
}

impl ListPath<'_> {
    fn verify(&self, root: &Digest, index: u32, leaf: &Digest) -> Result<(), ProofError> {
        list_root::verify(self.domain, root, self.count.into(), index.into(), leaf, self.path)
            .map_err(|error| ProofError::NotUnderRoot { what: self.what, index: index.into(), error })
    }
}

/// Verifies proof bytes against checkpoint bytes and trust root bytes: the one entry that a client in another language
/// or a browser needs.
///
/// The checkpoint comes alone or with the changes of the validators that lead to it
/// ([`CheckpointBundle`](crate::CheckpointBundle)). A pinned history head in the trust root refuses checkpoints with less history. That a checkpoint with more
/// *continues* the pinned one is proven by a [`Proof::History`] whose `from` is the pinned head.
///
/// # Errors
/// [`ProofError`] names what doesn't hold.
pub fn verify(proof: &[u8], checkpoint: &[u8], trust_root: &[u8]) -> Result<Proven, ProofError> {
    let root: crate::TrustRoot = codec::decode(trust_root)?;
    let checkpoint = crate::checkpoint::verify_bytes(&root, checkpoint)?;
    codec::decode::<Proof>(proof)?.verify(&checkpoint)
}
