//! What the proofs of a trace have proven.

use std::collections::BTreeMap;

use ledger_core::checkpoint::VerifiedCheckpoint;
use ledger_core::codec::{self, Format};
use ledger_core::proof::{Place, Proof, Proven as Fact, TransactionProof};
use ledger_core::transaction::{Action, DeployBody};
use ledger_core::{AccountId, ContractId, TransactionId, Versioned};
use ledger_crypto::{Digest, PublicKey};
use sha2::{Digest as _, Sha256};

use super::{ContractCode, TimelineError, TraceProof};
use crate::epcis::{Event, EventKey, Item, Limits};
use crate::records::{CONTRACT, ItemRecord, Link, RECORD, Recorded, event_name, item_name, link_name};
use crate::walk::Graph;

/// The runtime of contracts that are linked into the node.
const NATIVE: &str = "native";
/// The runtime of modules in WebAssembly.
const WASM: &str = "wasm";

/// Proven state and transactions, and what of them was asked for.
pub(super) struct Proven {
    /// Values in the contract's namespace, by name; `None` where absence is proven.
    state: BTreeMap<Vec<u8>, Option<Versioned>>,
    /// Records, by block and place in it.
    records: BTreeMap<(u64, u32), Record>,
    /// Where each event that was asked for was recorded.
    places: BTreeMap<EventKey, (u64, u32)>,
    pub(super) deployer: AccountId,
    pub(super) state_root: Digest,
}

/// A proven transaction that records an event.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) signed_by: PublicKey,
    pub(super) transaction: TransactionId,
    pub(super) place: Place,
    account: AccountId,
    event: Vec<u8>,
}

impl Proven {
    pub(super) fn verify(
        proof: &TraceProof,
        code: ContractCode,
        checkpoint: &VerifiedCheckpoint,
    ) -> Result<Self, TimelineError> {
        let contract = proof.contract;
        let deployer = deployment(&proof.deployment, contract, code, checkpoint)?;
        let mut state_root = Digest::ZERO;
        let mut state = BTreeMap::new();
        for path in proof.states.iter() {
            let what = || format!("state key {:?}", path.key);
            let fact = Proof::State(path.clone()).verify(checkpoint);
            let fact = fact.map_err(|error| TimelineError::Proof { what: what(), error: Box::new(error) })?;
            let Fact::State { key, value, .. } = fact else {
                return Err(TimelineError::Inconsistent { what: what(), reason: "the proof is of something else" });
            };
            if key.namespace != contract {
                let reason = "the key is not the contract's";
                return Err(TimelineError::Inconsistent { what: what(), reason });
            }
            state_root = path.block.outcome.state_root;
            state.insert(key.name.into_vec(), value);
        }
        let mut records = BTreeMap::new();
        for transaction in proof.transactions.iter() {
            let record = record(transaction, contract, checkpoint)?;
            records.insert((record.place.height.0, record.place.index), record);
        }
        Ok(Self { state, records, places: BTreeMap::new(), deployer, state_root })
    }

    /// The transaction that recorded an event which the walk has read.
    pub(super) fn record(&self, key: EventKey) -> Result<&Record, TimelineError> {
        let place = self.places.get(&key);
        place.and_then(|place| self.records.get(place)).ok_or_else(|| unproven(format!("who recorded event {key}")))
    }

    fn value<T: Format>(
        &self,
        name: &[u8],
        what: impl Fn() -> String,
    ) -> Result<Option<(T, &Versioned)>, TimelineError> {
        let Some(value) = self.state.get(name) else {
            return Err(unproven(what()));
        };
        match value {
            None => Ok(None),
            Some(versioned) => Ok(Some((codec::decode(&versioned.value)?, versioned))),
        }
    }
}

fn unproven(what: String) -> TimelineError {
    TimelineError::Unproven { what }
}

/// Verifies a transaction and gives what it proves.
fn transaction(
    proof: &TransactionProof,
    what: &str,
    checkpoint: &VerifiedCheckpoint,
) -> Result<(TransactionId, Place), TimelineError> {
    let fact = Proof::Transaction(proof.clone()).verify(checkpoint);
    match fact.map_err(|error| TimelineError::Proof { what: what.to_owned(), error: Box::new(error) })? {
        Fact::Transaction { id, place, .. } => Ok((id, place)),
        _ => Err(TimelineError::Inconsistent { what: what.to_owned(), reason: "the proof is of something else" }),
    }
}

/// Verifies that the contract is a deployment of this code; gives who deployed it. A deployment that had failed would have no
/// state.
fn deployment(
    proof: &TransactionProof,
    contract: ContractId,
    code: ContractCode,
    checkpoint: &VerifiedCheckpoint,
) -> Result<AccountId, TimelineError> {
    let wrong = |reason| TimelineError::WrongContract { contract, reason };
    let (id, _) = transaction(proof, "the contract's deployment", checkpoint)?;
    if ContractId::deployed_by(&id) != contract {
        return Err(wrong("it was deployed by another transaction"));
    }
    let (runtime, otherwise) = match code {
        ContractCode::Native => (NATIVE, "the transaction deploys no native contract"),
        ContractCode::Module(_) => (WASM, "the transaction deploys no module"),
    };
    match &proof.leaf.transaction.action {
        Action::Deploy { runtime: found } if found.as_str() == runtime => {}
        _ => return Err(wrong(otherwise)),
    }
    let body = proof.body.as_ref().ok_or_else(|| wrong("the deployment's body is not shown"))?;
    let body: DeployBody = codec::decode(&body.content)?;
    let same = match code {
        ContractCode::Native => &*body.code == CONTRACT.as_bytes(),
        ContractCode::Module(digest) => Sha256::digest(&*body.code)[..] == digest,
    };
    if !same {
        return Err(wrong("the code is another contract's"));
    }
    Ok(proof.leaf.transaction.account)
}

/// Verifies a transaction that records an event with this contract.
fn record(
    proof: &TransactionProof,
    contract: ContractId,
    checkpoint: &VerifiedCheckpoint,
) -> Result<Record, TimelineError> {
    let (id, place) = transaction(proof, "the record of an event", checkpoint)?;
    let wrong = |reason| TimelineError::Inconsistent { what: format!("transaction {id}"), reason };
    let envelope = &proof.leaf.transaction;
    match &envelope.action {
        Action::Call { contract: called, method } if *called == contract && method.as_str() == RECORD => {}
        _ => return Err(wrong("it is no record of an event with this contract")),
    }
    if proof.leaf.witness.account() != envelope.account {
        return Err(wrong("the key that signed it is not the account's"));
    }
    let body = proof.body.as_ref().ok_or_else(|| wrong("its body is not shown"))?;
    Ok(Record {
        signed_by: *proof.leaf.witness.key(),
        transaction: id,
        place,
        account: envelope.account,
        event: body.content.to_vec(),
    })
}

impl Graph for Proven {
    type Error = TimelineError;

    fn links(&mut self, item: &Item) -> Result<Vec<Link>, TimelineError> {
        let what = || format!("how many events name {item}");
        let Some((record, _)) = self.value::<ItemRecord>(&item_name(item), what)? else {
            return Ok(Vec::new());
        };
        let mut links = Vec::new();
        for number in 0..record.links {
            let what = || format!("link {number} of {item}");
            let link = self.value::<Link>(&link_name(item, number), what)?;
            let (link, _) = link.ok_or_else(|| unproven(what()))?;
            links.push(link);
        }
        Ok(links)
    }

    fn event(&mut self, key: EventKey) -> Result<(Event, AccountId), TimelineError> {
        let what = || format!("event {key}");
        let wrong = |reason| TimelineError::Inconsistent { what: what(), reason };
        let (recorded, versioned) = self.value::<Recorded>(&event_name(&key), what)?.ok_or_else(|| unproven(what()))?;
        if EventKey::of(&recorded.event) != key {
            return Err(wrong("it is stored under another event's key"));
        }
        let place = (versioned.version.height.0, versioned.version.index);
        let record = self.records.get(&place).ok_or_else(|| unproven(format!("who recorded event {key}")))?;
        if record.event.as_slice() != &*recorded.event || record.account != recorded.recorder {
            return Err(wrong("the transaction that wrote it records another event, or for another account"));
        }
        let event = Event::from_bytes(&recorded.event, &Limits::default());
        let event = event.map_err(|_| wrong("it does not keep to the standard"))?;
        self.places.insert(key, place);
        Ok((event, recorded.recorder))
    }
}
