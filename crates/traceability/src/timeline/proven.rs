//! What the proofs of a trace have proven.

use std::collections::BTreeMap;

use ledger_core::checkpoint::VerifiedCheckpoint;
use ledger_core::codec::{self, Format};
use ledger_core::proof::{Place, StateProof, TransactionProof};
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
    /// Values in the contract's namespace, by name; `None` where absence is proven, an error where nothing is.
    state: BTreeMap<Vec<u8>, Result<Option<Versioned>, TimelineError>>,
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

impl Record {
    /// The key of the event that it records.
    pub(super) fn key(&self) -> EventKey {
        EventKey::of(&self.event)
    }
}

impl Proven {
    /// Everything, or the first thing that doesn't hold.
    pub(super) fn verify(
        proof: &TraceProof,
        code: ContractCode,
        checkpoint: &VerifiedCheckpoint,
    ) -> Result<Self, TimelineError> {
        let contract = proof.contract;
        let (mut proven, found) = Proven::deployed(&proof.deployment, contract, checkpoint)?;
        if found != code {
            return Err(TimelineError::WrongContract { contract, reason: code.otherwise(found) });
        }
        for state in proof.states.iter() {
            if let Err(fault) = proven.add_state(state, contract, checkpoint) {
                return Err(fault.clone());
            }
        }
        for transaction in proof.transactions.iter() {
            proven.add_record(record(transaction, contract, checkpoint)?);
        }
        Ok(proven)
    }

    /// Nothing but that the contract was deployed, and with which code.
    pub(super) fn deployed(
        deployment: &TransactionProof,
        contract: ContractId,
        checkpoint: &VerifiedCheckpoint,
    ) -> Result<(Self, ContractCode), TimelineError> {
        let (deployer, code) = self::deployment(deployment, contract, checkpoint)?;
        let (state, records, places) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok((Self { state, records, places, deployer, state_root: Digest::ZERO }, code))
    }

    /// Adds what a proof of state proves, or why it proves nothing.
    pub(super) fn add_state(
        &mut self,
        proof: &StateProof,
        contract: ContractId,
        checkpoint: &VerifiedCheckpoint,
    ) -> Result<(), &TimelineError> {
        let value = value_of(proof, contract, checkpoint);
        if value.is_ok() {
            self.state_root = proof.block.outcome.state_root;
        }
        let name = proof.key.name.to_vec();
        // What is proven stays so, whatever else is said of the key.
        let entry = self.state.entry(name).or_insert_with(|| value.clone());
        if entry.is_err() && value.is_ok() {
            *entry = value;
        }
        entry.as_ref().map(|_| ())
    }

    pub(super) fn add_record(&mut self, record: Record) {
        self.records.insert((record.place.height.0, record.place.index), record);
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
        match self.state.get(name) {
            None => Err(unproven(what())),
            Some(Err(fault)) => Err(fault.clone()),
            Some(Ok(None)) => Ok(None),
            Some(Ok(Some(versioned))) => Ok(Some((codec::decode(&versioned.value)?, versioned))),
        }
    }
}

fn unproven(what: String) -> TimelineError {
    TimelineError::Unproven { what }
}

/// Verifies a proof of state and gives what it proves.
fn value_of(
    proof: &StateProof,
    contract: ContractId,
    checkpoint: &VerifiedCheckpoint,
) -> Result<Option<Versioned>, TimelineError> {
    let what = || format!("state key {:?}", proof.key);
    let value = proof.check(checkpoint);
    let value = value.map_err(|error| TimelineError::Proof { what: what(), error: Box::new(error) })?;
    if proof.key.namespace != contract {
        return Err(TimelineError::Inconsistent { what: what(), reason: "the key is not the contract's" });
    }
    Ok(value)
}

/// Verifies a transaction and gives what it proves.
fn transaction(
    proof: &TransactionProof,
    what: &str,
    checkpoint: &VerifiedCheckpoint,
) -> Result<(TransactionId, Place), TimelineError> {
    let found = proof.check(checkpoint);
    found.map_err(|error| TimelineError::Proof { what: what.to_owned(), error: Box::new(error) })
}

impl ContractCode {
    /// Why a contract with the code `found` isn't one with this code.
    fn otherwise(self, found: ContractCode) -> &'static str {
        match (self, found) {
            (ContractCode::Native, ContractCode::Module(_)) => "the transaction deploys no native contract",
            (ContractCode::Module(_), ContractCode::Native) => "the transaction deploys no module",
            _ => "the code is another contract's",
        }
    }
}

/// Verifies the contract's deployment; gives who deployed it, and with which code. A deployment that had failed would have no
/// state.
fn deployment(
    proof: &TransactionProof,
    contract: ContractId,
    checkpoint: &VerifiedCheckpoint,
) -> Result<(AccountId, ContractCode), TimelineError> {
    let wrong = |reason| TimelineError::WrongContract { contract, reason };
    let (id, _) = transaction(proof, "the contract's deployment", checkpoint)?;
    if ContractId::deployed_by(&id) != contract {
        return Err(wrong("it was deployed by another transaction"));
    }
    let Action::Deploy { runtime } = &proof.leaf.transaction.action else {
        return Err(wrong("the transaction deploys nothing"));
    };
    let body = proof.body.as_ref().ok_or_else(|| wrong("the deployment's body is not shown"))?;
    let body: DeployBody = codec::decode(&body.content)?;
    let code = match runtime.as_str() {
        NATIVE if &*body.code == CONTRACT.as_bytes() => ContractCode::Native,
        WASM => ContractCode::Module(Sha256::digest(&*body.code).into()),
        _ => return Err(wrong("the code is another contract's")),
    };
    Ok((proof.leaf.transaction.account, code))
}

/// Verifies a transaction that records an event with this contract.
pub(super) fn record(
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
        let place = (versioned.version.height.0, versioned.version.index);
        let record = self.records.get(&place).ok_or_else(|| unproven(format!("who recorded event {key}")))?;
        if record.event.as_slice() != &*recorded.event || record.account != recorded.recorder {
            return Err(wrong("the transaction that wrote it records another event, or for another account"));
        }
        let event = Event::from_bytes(&recorded.event, &Limits::default());
        let event = event.map_err(|_| wrong("it does not keep to the standard"))?;
        if event.key() != key {
            return Err(wrong("it is stored under another event's key"));
        }
        self.places.insert(key, place);
        Ok((event, recorded.recorder))
    }
}
