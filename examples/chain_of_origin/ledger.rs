//! The ledger: a node with one chain, which one owner orders, and the traceability contract on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger_consensus::Solo;
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::codec::{self, Bytes, List};
use ledger_core::{
    AccountId, Block, Checkpoint, ContractId, Deployers, Genesis, Key, Proof, StateView as _, Timestamp,
    TransactionBuilder, TransactionId, TransactionProof, Version,
};
use ledger_crypto::{MemorySigner, Signer as _};
use ledger_node::{Certified, Chain, Host, NodeBuilder};
use ledger_traceability::contract::{self, ItemsAnswer, ItemsQuestion, TraceAnswer, Traceability};
use ledger_traceability::epcis::{Event, EventKey, Item};
use ledger_traceability::records;
use ledger_traceability::timeline::{TraceProof, keys_to_prove};

use crate::parties::{self, Member};

/// Whatever went wrong, in words.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CHAIN: &str = "chain of origin";

/// How often a proof is begun anew because the chain went on meanwhile.
const ATTEMPTS: usize = 10;

pub(crate) struct Ledger {
    host: Host,
    chain: Chain,
    contract: ContractId,
    deployment: TransactionId,
}

/// What a verifier gets: bytes.
pub(crate) struct Evidence {
    pub(crate) trust_root: Vec<u8>,
    pub(crate) checkpoint: Vec<u8>,
    pub(crate) proof: Vec<u8>,
}

impl Ledger {
    /// Opens the ledger in `folder`, or makes one there.
    pub(crate) async fn open(folder: &Path) -> Fallible<Self> {
        let host = NodeBuilder::new()
            .folder(folder)?
            .runtime(NativeRuntime::new().with(Traceability::default()))
            .start()
            .await?;
        let owner = parties::owner();
        let known =
            host.closed_chains().into_iter().map(|(genesis, _)| genesis).find(|genesis| genesis.name.as_str() == CHAIN);
        let genesis = match known {
            Some(genesis) => genesis,
            None => new_genesis(&owner)?,
        };
        let chain = host.chain(genesis, Solo::new(owner)).await?;
        // The first transaction of the owner, so it is the same one every time.
        let deployment = TransactionBuilder::deploy(chain.id(), NATIVE, records::CONTRACT.into(), Vec::new())
            .sequence(0, 0)
            .sign(&parties::owner())?;
        let id = deployment.id();
        let contract = ContractId::deployed_by(&id);
        if chain.state()?.get(&Key::contract(&contract))?.is_none() {
            let certified = chain.submit(deployment).await?.certified().await?;
            if !certified.executed.result.receipt.succeeded() {
                return Err(
                    format!("the contract was not deployed: {:?}", certified.executed.result.receipt.status).into()
                );
            }
        }
        Ok(Self { host, chain, contract, deployment: id })
    }

    /// The most fuel that a transaction may ask for.
    pub(crate) fn fuel_limit(&self) -> u64 {
        self.chain.genesis().rules.max_transaction_fuel.0
    }

    /// Says of an event whether the ledger has it as things stand now; what is recorded later doesn't change the answer.
    pub(crate) fn known(&self) -> Fallible<impl Fn(&EventKey) -> Fallible<bool> + use<>> {
        let (state, contract) = (self.chain.state()?, self.contract);
        Ok(move |event: &EventKey| Ok(state.get(&records::event_key(contract, event))?.is_some()))
    }

    /// Hands in the transaction by which `member` records `event`. What is returned waits until it is final and says how long that
    /// took.
    pub(crate) async fn record(
        &self,
        event: &Event,
        member: &mut Member,
    ) -> Fallible<impl Future<Output = Fallible<(Certified, Duration)>> + Send + use<>> {
        let number = match member.next {
            Some(number) => number,
            None => self.chain.next_number_of(&*member.signer)?,
        };
        let bytes = event.to_bytes();
        let fuel = contract::fuel_for(bytes.len(), event.mentions().len());
        let transaction = TransactionBuilder::call(self.chain.id(), self.contract, contract::RECORD, bytes)
            .sequence(0, number)
            .fuel_limit(fuel)
            .sign(&*member.signer)?;
        member.next = Some(number + 1);
        let handed_in = Instant::now();
        let accepted = self.chain.enqueue(transaction).await?;
        Ok(async move {
            let certified = accepted.await?.certified().await?;
            Ok((certified, handed_in.elapsed()))
        })
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
        let mut transactions = Vec::with_capacity(events.len());
        for id in self.recorded_by(&events)?.iter().chain([&self.deployment]) {
            match self.transaction(id)? {
                (proof, at) if at == checkpoint => transactions.push(proof),
                _ => return Ok(None),
            }
        }
        let deployment = transactions.pop().ok_or("the deployment is not proven")?;
        let item = item.as_str().into();
        let (states, transactions) = (List::from(states), List::from(transactions));
        Ok(Some((TraceProof { item, contract: self.contract, deployment, states, transactions }, checkpoint)))
    }

    fn transaction(&self, id: &TransactionId) -> Fallible<(TransactionProof, Arc<Checkpoint>)> {
        match self.chain.prove_transaction(id)? {
            (Proof::Transaction(proof), checkpoint) => Ok((proof, checkpoint)),
            _ => Err("asked for a proof of a transaction, got another".into()),
        }
    }

    /// The transactions that recorded the events.
    fn recorded_by(&self, events: &[EventKey]) -> Fallible<Vec<TransactionId>> {
        let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
        let mut ids = Vec::with_capacity(events.len());
        for event in events {
            let stored = self.chain.state()?.get(&records::event_key(self.contract, event))?;
            let Version { height, index } = stored.ok_or("an event of the trace is not in the state")?.version;
            let block = match blocks.entry(height.0) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(self.chain.block(height)?),
            };
            let transaction = block.transactions.get(usize::try_from(index)?).ok_or("a block lacks a transaction")?;
            ids.push(transaction.id());
        }
        Ok(ids)
    }

    /// Blocks so far without the genesis, leaves of history under the newest checkpoint, and the state root it commits to.
    pub(crate) fn figures(&self) -> Fallible<(u64, u64, String)> {
        let checkpoint = self.chain.checkpoint();
        let root = match self.chain.prove_state(&Key::contract(&self.contract))? {
            (Proof::State(proof), _) => proof.block.outcome.state_root.to_string(),
            _ => return Err("asked for a proof of state, got another".into()),
        };
        Ok((self.chain.progress().ordered.0, checkpoint.header.history.size, root))
    }

    /// Closes the ledger; what was final stays.
    pub(crate) async fn close(self) -> Fallible<()> {
        drop(self.chain);
        self.host.shutdown().await?;
        Ok(())
    }
}

/// A chain of which only the owner may deploy contracts, so that the contract's deployment shows whose it is.
fn new_genesis(owner: &MemorySigner) -> Fallible<Genesis> {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let key = owner.public_key();
    let mut genesis = Genesis::solo(CHAIN, key, Timestamp(now));
    genesis.rules.deployers = Deployers::Only(List::from(vec![AccountId::of_ed25519(&key)]));
    Ok(genesis)
}
