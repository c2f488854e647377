//! A trace verified line by line: for a page, which says of each line whether it holds, and why where it doesn't.
//!
//! ```text
//! TraceProof ─▶ pieces, each a proof by itself; of an event all but the event's own bytes
//!                  │ the events' bytes, as they are shown
//!                  ▼
//!               Checked: each line proven or why not; and whether the lines are all
//! ```
//!
//! A page shows each event's bytes in clear, so its proofs needn't hold them a second and a third time: a [`Piece`] says where an event's
//! bytes belong. What is shown and what was signed are then compared by the proofs themselves.
//!
//! Where a [timeline](super::timeline) is all or nothing, a line stands alone here: the event is in the checkpoint's state, the
//! transaction that wrote it is in the block that it names, and its recorder signed just these bytes. What holds of all lines together,
//! that no event of the item is left out, is [`Checked::walk`].

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::checkpoint::{self, VerifiedCheckpoint};
use ledger_core::codec;
use ledger_core::proof::{Place, Proof};
use ledger_core::{AccountId, ContractId, TransactionId, TrustRoot};
use ledger_crypto::{Digest, PublicKey};

use super::proven::{self, Proven, Record};
use super::{ContractCode, TimelineError, TraceProof};
use crate::epcis::{Event, EventKey, Item};
use crate::records::event_of;
use crate::walk::{Graph as _, Walk, WalkError, WalkLimits, walk};

/// An encoded [`Proof`], of which an event's bytes may be cut out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The encoding, without the event's bytes.
    pub bytes: Vec<u8>,
    /// Which event's bytes belong into it, and where they begin.
    pub event: Option<(usize, usize)>,
}

impl Piece {
    /// The proof with the event's bytes in their place; `None` where there is no such place or event.
    #[must_use]
    pub fn whole(&self, events: &[&[u8]]) -> Option<Vec<u8>> {
        let Some((index, at)) = self.event else {
            return Some(self.bytes.clone());
        };
        let (before, after) = self.bytes.split_at_checked(at)?;
        Some([before, events.get(index)?, after].concat())
    }
}

impl TraceProof {
    /// Takes the proof apart into pieces: first that of the contract's deployment, then those of the state, then one for each event in
    /// the order of `events`, which are the events' canonical bytes. Records of other events are left out.
    #[must_use]
    pub fn into_pieces(self, events: &[&[u8]]) -> Vec<Piece> {
        let indexes: BTreeMap<EventKey, usize> =
            events.iter().enumerate().map(|(index, event)| (EventKey::of(event), index)).collect();
        let cut = |bytes: Vec<u8>, key: Option<EventKey>| {
            let index = key.and_then(|key| indexes.get(&key).copied());
            let event = index.and_then(|index| Some((index, *events.get(index)?)));
            event.and_then(|(index, event)| without(&bytes, index, event)).unwrap_or(Piece { bytes, event: None })
        };
        let mut pieces = vec![Piece { bytes: codec::encode(&Proof::Transaction(self.deployment)), event: None }];
        pieces.extend(self.states.into_iter().map(|proof| {
            let key = event_of(&proof.key.name);
            cut(codec::encode(&Proof::State(proof)), key)
        }));
        let records = self.transactions.into_iter().map(|proof| {
            let key = proof.body.as_ref().map(|body| EventKey::of(&body.content));
            cut(codec::encode(&Proof::Transaction(proof)), key)
        });
        let mut records: Vec<Piece> = records.filter(|piece| piece.event.is_some()).collect();
        records.sort_by_key(|piece| piece.event);
        pieces.extend(records);
        pieces
    }
}

/// The piece of an encoded proof without the event's bytes; `None` where they don't stand in it.
fn without(bytes: &[u8], index: usize, event: &[u8]) -> Option<Piece> {
    // Comparing the first byte here spares most calls that compare the rest.
    let here = |window: &[u8]| window.first() == event.first() && window == event;
    let at = bytes.windows(event.len().max(1)).position(here)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some(Piece { bytes: [before, rest.get(event.len()..)?].concat(), event: Some((index, at)) })
}

/// What became of a trace that was verified line by line.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The item whose trace it is.
    pub item: Item,
    /// The checkpoint that everything was held against.
    pub checkpoint: VerifiedCheckpoint,
    /// The contract that has stored the events.
    pub contract: ContractId,
    /// Its code. Whether that is the contract that makes traces is for the caller to say where it is a module.
    pub code: ContractCode,
    /// Who deployed it.
    pub deployer: AccountId,
    /// The state root that the events are proven under.
    pub state_root: Digest,
    /// One for each event that was given, in their order.
    pub lines: Vec<Result<CheckedLine, TimelineError>>,
    /// The item's history as the proven links and events tell it, or what is missing for it. With it, no event is left out.
    pub walk: Result<Walk, TimelineError>,
}

/// An event that is proven.
#[derive(Debug, Clone)]
pub struct CheckedLine {
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
    pub place: Place,
    /// Whether it is part of the item's history; else it was read only to know that.
    pub included: bool,
}

impl Checked {
    /// Whether everything holds: each line, and that none is left out.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.walk.is_ok() && self.lines.iter().all(Result::is_ok)
    }
}

/// Verifies the pieces of a trace with the events that are shown, each by itself.
///
/// # Errors
/// [`TimelineError`] where nothing can be said of any line: the checkpoint isn't trusted, or the contract's deployment isn't proven.
pub fn check_lines(
    trust_root: &TrustRoot,
    checkpoint: &[u8],
    item: &str,
    pieces: &[Piece],
    events: &[&[u8]],
) -> Result<Checked, TimelineError> {
    let checkpoint = checkpoint::verify_bytes(trust_root, checkpoint)?;
    let mut pieces = pieces.iter();
    let deployment = pieces.next().and_then(|piece| piece.whole(events)).unwrap_or_default();
    let Proof::Transaction(deployment) = codec::decode::<Proof>(&deployment)? else {
        return Err(other_kind("the proof of the contract's deployment".to_owned()));
    };
    let contract = ContractId::deployed_by(&deployment.leaf.transaction.id());
    let (mut proven, code) = Proven::deployed(&deployment, contract, &checkpoint)?;
    let mut records: Vec<Option<Result<Record, TimelineError>>> = events.iter().map(|_| None).collect();
    for piece in pieces {
        let whole = piece.whole(events).unwrap_or_default();
        let record = match codec::decode::<Proof>(&whole) {
            Ok(Proof::State(proof)) => {
                // What doesn't hold is missed where it is asked for.
                let _ = proven.add_state(&proof, contract, &checkpoint);
                continue;
            }
            Ok(Proof::Transaction(proof)) => proven::record(&proof, contract, &checkpoint),
            Ok(_) => Err(other_kind("a proof of this event".to_owned())),
            Err(error) => Err(error.into()),
        };
        let place = piece.event.and_then(|(index, _)| records.get_mut(index));
        // A line's first fault is the one to tell.
        if let Some(place) = place.filter(|place| !matches!(place, Some(Err(_)))) {
            *place = Some(record);
        }
    }
    for record in records.iter().flatten().flatten() {
        proven.add_record(record.clone());
    }
    let mut lines: Vec<_> = records.into_iter().map(|record| line(&mut proven, record)).collect();
    let item = Item::new(item);
    let walk = walk(&mut proven, &item, &WalkLimits::default()).map_err(|error| match error {
        WalkError::Unknown { item } => TimelineError::Unknown { item },
        WalkError::TooLarge { item, what, limit } => TimelineError::TooLarge { item, what, limit },
        WalkError::Graph(error) => error,
    });
    for line in lines.iter_mut().flatten() {
        let seen = walk.as_ref().ok().and_then(|walk| walk.events.get(&line.key));
        line.included = seen.is_some_and(|seen| seen.included);
    }
    let (deployer, state_root) = (proven.deployer, proven.state_root);
    Ok(Checked { item, checkpoint, contract, code, deployer, state_root, lines, walk })
}

fn other_kind(what: String) -> TimelineError {
    TimelineError::Inconsistent { what, reason: "the proof is of something else" }
}

/// What a proven record says, if the state has the event from it.
fn line(proven: &mut Proven, record: Option<Result<Record, TimelineError>>) -> Result<CheckedLine, TimelineError> {
    let unproven = || TimelineError::Unproven { what: "who recorded this event".to_owned() };
    let record = record.ok_or_else(unproven)??;
    let key = record.key();
    let (event, recorder) = proven.event(key)?;
    // Of two records of one event the first is what the state has it from.
    if proven.record(key)?.transaction != record.transaction {
        return Err(TimelineError::Inconsistent {
            what: format!("transaction {}", record.transaction),
            reason: "the event was recorded by another transaction before",
        });
    }
    Ok(CheckedLine {
        key,
        event: Arc::new(event),
        recorder,
        signed_by: record.signed_by,
        transaction: record.transaction,
        place: record.place,
        included: false,
    })
}
