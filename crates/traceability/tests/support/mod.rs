//! A chain by hand: real blocks, headers, signatures, roots and proofs in memory, made without the crates that store or order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, dead_code)]

use std::collections::BTreeMap;

use ledger_contracts::testing::MapState;
use ledger_contracts::{ExecutorConfig, LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::codec::{self, Bytes, List};
use ledger_core::history::{self, HistoryHasher, HistoryHead};
use ledger_core::proof::{BlockProof, StateProof, TransactionProof};
use ledger_core::state::tree;
use ledger_core::transaction::SignedTransaction;
use ledger_core::{
    AccountId, Block, Call, Checkpoint, Context, ContractId, Epoch, Executor, Fuel, Genesis, HEADER_VERSION, Header,
    Key, Outcome, Simulation, StateView, Status, Timestamp, TransactionBuilder, TransactionResult, TrustRoot,
    Versioned, domains,
};
use ledger_crypto::{Digest, MemorySigner, Signer, merkle};
use ledger_traceability::contract::{self, TraceAnswer, Traceability};
use ledger_traceability::epcis::{self, Event, EventKey, Item};
use ledger_traceability::records;
use ledger_traceability::timeline::{Timeline, TimelineError, TraceProof, keys_to_prove, timeline};

/// The key of somebody called `name`.
pub(crate) fn signer(name: &str) -> MemorySigner {
    let mut seed = [0; 32];
    for (at, byte) in name.bytes().enumerate() {
        seed[at % 32] ^= byte.rotate_left(u32::try_from(at / 32).unwrap());
    }
    MemorySigner::from_seed(seed)
}

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::of_ed25519(&signer(name).public_key())
}

/// A chain with the traceability contract, whose owner is `owner`.
pub(crate) struct Ledger {
    executor: LedgerExecutor,
    pub(crate) genesis: Genesis,
    pub(crate) contract: ContractId,
    deployment: (u64, u32),
    state: MapState,
    blocks: Vec<Block>,
    outcomes: Vec<Outcome>,
    numbers: BTreeMap<AccountId, u64>,
    /// What a call may use.
    fuel: Fuel,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let native =
            LedgerExecutor::new(ExecutorConfig::default()).with(NativeRuntime::new().with(Traceability::default()));
        Self::with(native, Fuel(50_000_000), NATIVE, records::CONTRACT.as_bytes())
    }

    /// A chain with the contract in this form on it.
    pub(crate) fn with(executor: LedgerExecutor, fuel: Fuel, runtime: &str, code: &[u8]) -> Self {
        let owner = signer("owner");
        let genesis = Genesis::solo("coffee", owner.public_key(), Timestamp(1_700_000_000_000));
        let block = Block { header: genesis.header(), transactions: List::new() };
        let mut ledger = Ledger {
            executor,
            fuel,
            contract: ContractId(Digest::ZERO),
            deployment: (1, 0),
            state: MapState::new(),
            blocks: vec![block],
            outcomes: vec![genesis.outcome()],
            numbers: BTreeMap::new(),
            genesis,
        };
        ledger.contract = ledger.deploy_on(runtime, code);
        ledger
    }

    pub(crate) fn deploy(&mut self, code: &str) -> ContractId {
        self.deploy_on(NATIVE, code.as_bytes())
    }

    fn deploy_on(&mut self, runtime: &str, code: &[u8]) -> ContractId {
        let deployment = TransactionBuilder::deploy(self.genesis.chain(), runtime, code.to_vec(), Vec::new());
        let deployment = deployment.fuel_limit(self.genesis.rules.max_transaction_fuel);
        let signed = self.sign("owner", deployment);
        let id = ContractId::deployed_by(&signed.id());
        assert_eq!(self.block(vec![signed])[0].receipt.status, Status::Succeeded);
        id
    }

    pub(crate) fn sign(&mut self, who: &str, transaction: TransactionBuilder) -> SignedTransaction {
        let number = self.numbers.entry(account(who)).or_default();
        let signed = transaction.sequence(0, *number).sign(&signer(who)).unwrap();
        *number += 1;
        signed
    }

    fn context(&self) -> Context<'_> {
        let header = &self.blocks.last().unwrap().header;
        Context { chain: header.chain, height: header.height, timestamp: header.timestamp, rules: &self.genesis.rules }
    }

    /// Orders, executes and commits to a block.
    pub(crate) fn block(&mut self, transactions: Vec<SignedTransaction>) -> Vec<TransactionResult> {
        let parent = self.blocks.last().unwrap().header.clone();
        let header = Header {
            version: HEADER_VERSION,
            chain: parent.chain,
            height: parent.height.next(),
            parent: parent.digest(),
            timestamp: parent.timestamp.plus(1_000),
            transactions_root: Block::transactions_root(&transactions),
            history: self.head(),
            epoch: Epoch(0),
            seal: Bytes::default(),
        };
        let block = Block { header, transactions: List::from(transactions) };
        let context = Context { height: block.header.height, timestamp: block.header.timestamp, ..self.context() };
        let execution = self.executor.execute(&block, &context, &self.state).unwrap();
        self.state.apply(block.header.height, &execution.writes);
        self.outcomes.push(Outcome {
            height: block.header.height,
            block: block.header.digest(),
            state_root: self.state_root(),
            receipts_root: ledger_core::outcome::receipts_root(&execution.results),
            fuel_used: execution.fuel_used,
            validators: execution.validators,
        });
        self.blocks.push(block);
        execution.results
    }

    /// A call of the contract.
    pub(crate) fn call(&self, method: &str, arguments: &[u8]) -> TransactionBuilder {
        TransactionBuilder::call(self.genesis.chain(), self.contract, method, arguments.to_vec()).fuel_limit(self.fuel)
    }

    /// Records events, all in one block, each signed by the party that it names.
    pub(crate) fn record(&mut self, events: &[Event]) -> Vec<TransactionResult> {
        let signed = events.iter().map(|event| {
            let who = event.recorder().map_or_else(|| "nobody".to_owned(), |party| party.id.to_string());
            (who, event.to_bytes())
        });
        let signed: Vec<(String, Vec<u8>)> = signed.collect();
        let signed = signed
            .into_iter()
            .map(|(who, bytes)| {
                let call = self.call(contract::RECORD, &bytes);
                self.sign(&who, call)
            })
            .collect();
        self.block(signed)
    }

    /// Reads and records a document of bare events, each by the party it names.
    pub(crate) fn record_json(&mut self, events: &[serde_json::Value]) -> Vec<TransactionResult> {
        let events: Vec<Event> = events.iter().map(event).collect();
        self.record(&events)
    }

    pub(crate) fn simulate(&self, method: &str, arguments: &[u8]) -> Simulation {
        let call = Call {
            account: account("reader"),
            contract: self.contract,
            method: method.to_owned(),
            arguments: Bytes::from(arguments),
            fuel_limit: self.genesis.rules.max_transaction_fuel,
        };
        self.executor.query(&call, &self.context(), &self.state).unwrap()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        self.state.get(key).unwrap().map(|versioned| versioned.value.to_vec())
    }

    fn history_leaves(&self) -> Vec<Digest> {
        self.outcomes.iter().map(|outcome| history::leaf(&outcome.block, &outcome.digest())).collect()
    }

    fn head(&self) -> HistoryHead {
        let leaves = self.history_leaves();
        HistoryHead { size: leaves.len() as u64, root: merkle::root::<HistoryHasher>(&leaves) }
    }

    fn leaves(&self) -> Vec<(Key, Versioned)> {
        self.state.iter().map(|(key, versioned)| (key.clone(), versioned.clone())).collect()
    }

    fn state_root(&self) -> Digest {
        let leaves: Vec<(Key, Digest)> =
            self.state.iter().map(|(key, versioned)| (key.clone(), versioned.leaf(key))).collect();
        tree::root_of(&leaves)
    }

    pub(crate) fn trust_root(&self) -> Vec<u8> {
        codec::encode(&TrustRoot::new(self.genesis.clone()))
    }

    /// Closes with an empty block, whose header is the checkpoint.
    pub(crate) fn checkpoint(&mut self) -> Vec<u8> {
        let header = Header { history: self.head(), ..self.closing_header() };
        let certificate = signer("owner").sign(domains::SIGN_SOLO, header.digest().as_bytes()).unwrap();
        codec::encode(&Checkpoint { header, certificate: Bytes::from(certificate.as_bytes().as_slice()) })
    }

    fn closing_header(&self) -> Header {
        let parent = self.blocks.last().unwrap().header.clone();
        Header {
            height: parent.height.next(),
            parent: parent.digest(),
            timestamp: parent.timestamp.plus(1_000),
            transactions_root: Block::transactions_root(&[]),
            ..parent
        }
    }

    fn block_proof(&self, height: usize) -> BlockProof {
        let path = merkle::prove_inclusion::<HistoryHasher>(&self.history_leaves(), height).unwrap();
        BlockProof {
            header: self.blocks[height].header.clone(),
            outcome: self.outcomes[height].clone(),
            path: List::from(path),
        }
    }

    fn state_proof(&self, leaves: &[(Key, Versioned)], key: &Key) -> StateProof {
        let path = tree::prove_range(leaves, key, Some(&key.successor()));
        StateProof { block: self.block_proof(self.blocks.len() - 1), key: key.clone(), path }
    }

    pub(crate) fn transaction_proof(&self, height: u64, index: u32) -> TransactionProof {
        let (height, place) = (usize::try_from(height).unwrap(), usize::try_from(index).unwrap());
        let transactions = &self.blocks[height].transactions;
        let leaves = Block::transaction_leaves(transactions);
        TransactionProof {
            block: self.block_proof(height),
            leaf: transactions[place].leaf(),
            body: transactions[place].body.clone(),
            index,
            count: u32::try_from(leaves.len()).unwrap(),
            path: List::from(merkle::prove_inclusion::<merkle::Blake3>(&leaves, place).unwrap()),
        }
    }

    /// What the contract says a trace consists of, or its refusal.
    pub(crate) fn trace(&self, item: &str) -> Result<TraceAnswer, Status> {
        let simulation = self.simulate(contract::TRACE, item.as_bytes());
        match simulation.status {
            Status::Succeeded => Ok(codec::decode(&simulation.output).unwrap()),
            other => Err(other),
        }
    }

    /// All proofs of a trace.
    pub(crate) fn prove(&self, item: &str) -> TraceProof {
        let answer = self.trace(item).unwrap();
        let items: Vec<(Item, u32)> = answer.items.iter().map(|(item, links)| (Item::new(item), *links)).collect();
        let events: Vec<EventKey> = answer.events.iter().map(|key| EventKey::from_bytes(*key)).collect();
        let keys = keys_to_prove(self.contract, &items, &events);
        let leaves = self.leaves();
        let transactions = events.iter().map(|key| {
            let version = self.state.get(&records::event_key(self.contract, key)).unwrap().unwrap().version;
            self.transaction_proof(version.height.0, version.index)
        });
        TraceProof {
            item: Item::new(item).as_str().into(),
            contract: self.contract,
            deployment: self.transaction_proof(self.deployment.0, self.deployment.1),
            states: keys.iter().map(|key| self.state_proof(&leaves, key)).collect(),
            transactions: transactions.collect(),
        }
    }

    /// The timeline that a verifier builds from the proofs of `item`.
    pub(crate) fn timeline(&mut self, item: &str) -> Result<Timeline, TimelineError> {
        let checkpoint = self.checkpoint();
        timeline(&self.trust_root(), &checkpoint, &codec::encode(&self.prove(item)))
    }
}

/// The coffee document's events.
pub(crate) fn coffee() -> Vec<Event> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/coffee.jsonld");
    epcis::read("coffee.jsonld", &std::fs::read(path).unwrap(), &epcis::Limits::default()).unwrap().events
}

/// A bare event; context, time zone and what else every event needs are added.
pub(crate) fn event(members: &serde_json::Value) -> Event {
    let mut whole = serde_json::json!({
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"trace": epcis::NAMESPACE}],
        "eventTimeZoneOffset": "+00:00",
    });
    whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Event::from_bytes(whole.to_string().as_bytes(), &epcis::Limits::default()).unwrap()
}
