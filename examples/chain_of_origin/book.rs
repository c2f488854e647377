//! The book: the traceability contract on a chain that is open, and what is asked of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledger_core::codec::{self, Bytes, List};
use ledger_core::state::tree::Step;
use ledger_core::{
    ChainId, Checkpoint, ContractId, Height, Key, Proof, SignedTransaction, StateProof, StateView as _,
    TransactionBuilder, TransactionId, TransactionProof, Version,
};
use ledger_crypto::MemorySigner;
use ledger_node::Chain;
use ledger_traceability::contract::{self, ItemsAnswer, ItemsQuestion, TraceAnswer};
use ledger_traceability::epcis::{Event, EventKey, Item};
use ledger_traceability::records;
use ledger_traceability::timeline::{TraceProof, keys_to_prove};

use crate::machine::Machine;
use crate::processes::Fallible;

/// How often a proof is begun anew because the chain went on meanwhile.
const ATTEMPTS: usize = 10;

/// The most proofs that are kept for other traces: some 3 KB each.
const SHELF: usize = 20_000;

/// A chain with the contract on it.
pub(crate) struct Book {
    pub(crate) chain: Chain,
    pub(crate) contract: ContractId,
    pub(crate) machine: Machine,
    deployment: TransactionId,
    shelf: Shelf,
}

/// The proofs of blocks' transactions against one checkpoint. A block is read and its tree built for all of them together, and one lot's history
/// shares blocks with others'.
#[derive(Default)]
struct Shelf(Mutex<Shelved>);

#[derive(Default)]
struct Shelved {
    checkpoint: Option<Arc<Checkpoint>>,
    blocks: BTreeMap<Height, Arc<Vec<TransactionProof>>>,
    /// How many proofs there are in all blocks.
    proofs: usize,
}

impl Shelf {
    /// The proof of the transaction at `place`; `None` when the chain has come to another checkpoint than this one.
    fn proof(&self, chain: &Chain, checkpoint: &Arc<Checkpoint>, place: Version) -> Fallible<Option<TransactionProof>> {
        let shelved = |shelf: &Shelved| shelf.blocks.get(&place.height).cloned();
        let known = self.at(checkpoint, |shelf| shelved(shelf));
        let block = match known {
            Some(block) => block,
            None => {
                // Without the lock: other traces go on with what is there.
                let (proofs, at) = chain.prove_block(place.height)?;
                if at != *checkpoint {
                    return Ok(None);
                }
                let block = Arc::new(proofs);
                self.at(checkpoint, |shelf| shelf.put(place.height, Arc::clone(&block)));
                block
            }
        };
        let proof = block.get(usize::try_from(place.index)?).ok_or("a block lacks a transaction")?;
        Ok(Some(proof.clone()))
    }

    /// What `of` makes of the shelf, on which nothing stands that is of another checkpoint.
    fn at<T>(&self, checkpoint: &Arc<Checkpoint>, of: impl FnOnce(&mut Shelved) -> T) -> T {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.checkpoint.as_ref() != Some(checkpoint) {
            *shelf = Shelved { checkpoint: Some(Arc::clone(checkpoint)), ..Shelved::default() };
        }
        of(&mut shelf)
    }
}

impl Shelved {
    fn put(&mut self, height: Height, block: Arc<Vec<TransactionProof>>) {
        self.proofs += block.len();
        let replaced = self.blocks.insert(height, block);
        self.proofs -= replaced.map_or(0, |block| block.len());
        while self.proofs > SHELF
            && let Some((_, oldest)) = self.blocks.pop_first()
        {
            self.proofs -= oldest.len();
        }
    }
}

/// What a verifier gets: bytes.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) trust_root: Vec<u8>,
    pub(crate) checkpoint: Vec<u8>,
    pub(crate) proof: Vec<u8>,
}

impl Book {
    /// The book on a chain, whether or not the contract is there yet.
    pub(crate) fn new(chain: Chain) -> Fallible<Self> {
        let machine = Machine::of(chain.genesis()).ok_or("the chain is another program's")?;
        let id = machine.deployment(chain.id())?.id();
        Ok(Self { chain, contract: ContractId::deployed_by(&id), machine, deployment: id, shelf: Shelf::default() })
    }

    /// Whether the contract is there.
    pub(crate) fn is_open(&self) -> Fallible<bool> {
        Ok(self.chain.state().get(&Key::contract(&self.contract))?.is_some())
    }

    /// Whether the ledger had these events after block `height`.
    pub(crate) fn known(&self, height: Height, events: &[EventKey]) -> Fallible<Vec<bool>> {
        let state = self.chain.state_at(height)?;
        let known = |event: &EventKey| Ok(state.get(&records::event_key(self.contract, event))?.is_some());
        events.iter().map(known).collect()
    }

    /// What the trace of an item consists of.
    pub(crate) fn trace(&self, item: &Item) -> Fallible<TraceAnswer> {
        Ok(codec::decode(&self.chain.query(self.contract, contract::TRACE, item.as_str().as_bytes())?)?)
    }

    /// The items that events name, with the number of their links; at most `limit`.
    pub(crate) fn items(&self, limit: usize) -> Fallible<Vec<(Item, u32)>> {
        let (mut items, mut from) = (Vec::new(), Some(Bytes::default()));
        while let (Some(start), true) = (from.take(), items.len() < limit) {
            let question = codec::encode(&ItemsQuestion { from: start, limit: contract::MAX_PAGE });
            let page: ItemsAnswer = codec::decode(&self.chain.query(self.contract, contract::ITEMS, &question)?)?;
            items.extend(page.items.iter().map(|record| (Item::new(&record.item), record.links)));
            from = page.next;
        }
        Ok(items)
    }

    /// Proves the trace of an item at the newest checkpoint.
    pub(crate) fn prove(&self, item: &Item) -> Fallible<Evidence> {
        for _ in 0..ATTEMPTS {
            if let Some((proof, checkpoint)) = self.try_prove(item)? {
                let trust_root = codec::encode(&self.chain.trust_root());
                return Ok(Evidence {
                    trust_root,
                    checkpoint: codec::encode(&*checkpoint),
                    proof: codec::encode(&proof),
                });
            }
        }
        Err("the chain goes on faster than a trace can be proven".into())
    }

    /// `None` when the chain came to another checkpoint between the proofs.
    fn try_prove(&self, item: &Item) -> Fallible<Option<(TraceProof, Arc<Checkpoint>)>> {
        let answer = self.trace(item)?;
        let items: Vec<(Item, u32)> = answer.items.iter().map(|(item, links)| (Item::new(item), *links)).collect();
        let events: Vec<EventKey> = answer.events.iter().map(|key| EventKey::from_bytes(*key)).collect();
        let keys = keys_to_prove(self.contract, &items, &events);
        let (proofs, checkpoint) = self.chain.prove_states(&keys)?;
        let mut states = Vec::with_capacity(proofs.len());
        for proof in proofs {
            match proof {
                Proof::State(state) => states.push(state),
                _ => return Err("asked for a proof of state, got another".into()),
            }
        }
        // The keys of the events stand last.
        let events = states.get(states.len().saturating_sub(events.len())..).unwrap_or_default();
        let mut transactions = Vec::with_capacity(events.len());
        for event in events {
            let place = place_of(event).ok_or("an event of the trace is not in the state")?;
            match self.shelf.proof(&self.chain, &checkpoint, place)? {
                Some(proof) => transactions.push(proof),
                None => return Ok(None),
            }
        }
        let deployment = match self.chain.prove_transaction(&self.deployment)? {
            (Proof::Transaction(proof), at) if at == checkpoint => proof,
            (Proof::Transaction(_), _) => return Ok(None),
            _ => return Err("asked for a proof of a transaction, got another".into()),
        };
        let item = item.as_str().into();
        let (states, transactions) = (List::from(states), List::from(transactions));
        Ok(Some((TraceProof { item, contract: self.contract, deployment, states, transactions }, checkpoint)))
    }

    /// Proves that the contract is there: what the newest checkpoint's state root is comes with it.
    pub(crate) fn prove_contract(&self) -> Fallible<(Proof, Arc<Checkpoint>)> {
        Ok(self.chain.prove_state(&Key::contract(&self.contract))?)
    }
}

/// Where the transaction is that wrote the value which is proven; `None` where its absence is.
fn place_of(proof: &StateProof) -> Option<Version> {
    proof.path.steps.iter().find_map(|step| match step {
        Step::Leaf { key, versioned } if *key == proof.key => Some(versioned.version),
        _ => None,
    })
}

/// The transaction with number `number` by which `signer` records `event`.
pub(crate) fn recording(
    chain: ChainId,
    contract: ContractId,
    machine: Machine,
    event: &Event,
    number: u64,
    signer: &MemorySigner,
) -> Fallible<SignedTransaction> {
    let call = TransactionBuilder::call(chain, contract, contract::RECORD, event.to_bytes());
    Ok(call.sequence(0, number).fuel_limit(machine.fuel_for(event)).sign(signer)?)
}
