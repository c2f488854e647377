//! A chain of one owner, or of validators, built by hand: nothing here executes anything, so what a proof must say is known beforehand.

use super::bft::Network;
use ledger_core::codec::{Bytes, List};
use ledger_core::history::{self, HistoryHasher};
use ledger_core::state::tree::{self, PrunedTree, ValueHistory};
use ledger_core::*;
use ledger_crypto::merkle::{self, Blake3, Frontier, NodePosition};
use ledger_crypto::{Digest, MemorySigner, Signer};
use std::collections::BTreeMap;

/// 2023-11-14T22:13:20Z.
pub const BEGINNING: Timestamp = Timestamp(1_700_000_000_000);

pub fn signer(seed: u8) -> MemorySigner {
    MemorySigner::from_seed([seed; 32])
}

/// A transaction and what is to become of it.
pub struct Entry {
    pub transaction: SignedTransaction,
    pub status: Status,
    pub output: Vec<u8>,
    pub events: Vec<Event>,
    pub writes: Vec<(Key, Option<Vec<u8>>)>,
}

impl Entry {
    pub fn succeeded(transaction: SignedTransaction) -> Self {
        Entry { transaction, status: Status::Succeeded, output: Vec::new(), events: Vec::new(), writes: Vec::new() }
    }
}

#[derive(Clone)]
pub struct Chain {
    pub owner_seed: u8,
    pub genesis: Genesis,
    pub blocks: Vec<Block>,
    pub results: Vec<Vec<TransactionResult>>,
    pub outcomes: Vec<Outcome>,
    pub states: Vec<BTreeMap<Key, Versioned>>,
    /// The validators of each epoch; none on a chain of one owner.
    pub networks: Vec<Network>,
    /// The height of each epoch's boundary block, as far as epochs have one.
    pub boundaries: Vec<u64>,
    frontier: Frontier<HistoryHasher>,
    nodes: BTreeMap<NodePosition, Digest>,
}

impl Chain {
    pub fn new(name: &str, owner_seed: u8) -> Self {
        Self::of(Genesis::solo(name, signer(owner_seed).public_key(), BEGINNING), owner_seed, Vec::new())
    }

    /// A chain that validators with these seeds and weights certify.
    pub fn of_validators(name: &str, validators: &[(u8, u64)]) -> Self {
        let network = Network::new(name, validators);
        Self::of(network.genesis.clone(), 0, vec![network])
    }

    fn of(genesis: Genesis, owner_seed: u8, networks: Vec<Network>) -> Self {
        let block = Block { header: genesis.header(), transactions: List::new() };
        let mut chain = Chain {
            owner_seed,
            blocks: Vec::new(),
            results: Vec::new(),
            outcomes: Vec::new(),
            states: Vec::new(),
            networks,
            boundaries: Vec::new(),
            frontier: Frontier::new(),
            nodes: BTreeMap::new(),
            genesis,
        };
        let outcome = chain.genesis.outcome();
        chain.push(block, outcome, Vec::new(), BTreeMap::new());
        chain
    }

    pub fn id(&self) -> ChainId {
        self.genesis.chain()
    }

    pub fn next_height(&self) -> u64 {
        self.blocks.len() as u64
    }

    fn push(
        &mut self,
        block: Block,
        outcome: Outcome,
        results: Vec<TransactionResult>,
        state: BTreeMap<Key, Versioned>,
    ) {
        let leaf = history::leaf(&block.digest(), &outcome.digest());
        let nodes = &mut self.nodes;
        self.frontier.append(leaf, &mut |position, digest| {
            nodes.insert(position, digest);
        });
        self.blocks.push(block);
        self.outcomes.push(outcome);
        self.results.push(results);
        self.states.push(state);
    }

    /// Appends a block that commits to all executed before it.
    pub fn append(&mut self, entries: Vec<Entry>) {
        self.append_with(entries, Vec::new());
    }

    /// Appends a block that changes the validators, and the one that closes their epoch.
    pub fn change_validators(&mut self, updates: Vec<ValidatorUpdate>) {
        self.append_with(Vec::new(), updates.clone());
        self.boundaries.push(self.next_height() - 1);
        self.append(Vec::new());
        let next = self.networks.last().unwrap().after(&updates);
        self.networks.push(next);
    }

    /// Appends a block whose outcome changes the validators; none are where `validators` is empty.
    pub fn append_with(&mut self, entries: Vec<Entry>, validators: Vec<ValidatorUpdate>) {
        let height = Height(self.next_height());
        let parent = &self.blocks.last().unwrap().header;
        let epoch = self.networks.last().map_or(Epoch(0), |network| network.epoch);
        let transactions: List<SignedTransaction> = entries.iter().map(|entry| entry.transaction.clone()).collect();
        let header = Header {
            version: HEADER_VERSION,
            chain: self.id(),
            height,
            parent: parent.digest(),
            timestamp: BEGINNING.plus(1_000 * height.0),
            transactions_root: Block::transactions_root(&transactions),
            history: HistoryHead::of(&self.frontier),
            epoch,
            seal: Bytes::default(),
        };
        let mut state = self.states.last().unwrap().clone();
        let mut results = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let (index, fuel) = (index as u32, Fuel(1_000 + index as u64));
            for (key, value) in entry.writes {
                let predecessor = state.remove(&key).map(|old| old.leaf(&key));
                if let Some(value) = value {
                    let version = Version { height, index };
                    state.insert(key, Versioned { value: Bytes::from(value), version, predecessor });
                }
            }
            let (id, events) = (entry.transaction.id(), entry.events.into());
            results.push(TransactionResult::new(id, index, entry.status, fuel, Bytes::from(entry.output), events));
        }
        let block = Block { header, transactions };
        block.check_against(parent, &self.genesis.rules).unwrap();
        let outcome = Outcome {
            height,
            block: block.digest(),
            state_root: state_root(&state),
            receipts_root: outcome::receipts_root(&results),
            fuel_used: results.iter().fold(Fuel(0), |sum, result| Fuel(sum.0 + result.receipt.fuel_used.0)),
            validators: validators.into(),
        };
        self.push(block, outcome, results, state);
    }

    /// The checkpoint that the owner makes of the block at `height`.
    pub fn checkpoint(&self, height: u64) -> Checkpoint {
        self.certify(self.blocks[height as usize].header.clone())
    }

    /// `header`, signed by the owner.
    pub fn certify(&self, header: Header) -> Checkpoint {
        let certificate = match (header.height, self.networks.get(header.epoch.0 as usize)) {
            (Height::GENESIS, _) => Bytes::default(),
            (_, None) => certificate(&signer(self.owner_seed), &header),
            (height, Some(network)) => network.checkpoint(&header, View(height.0 + 3), &network.seeds()).certificate,
        };
        Checkpoint { header, certificate }
    }

    /// How the epoch ended.
    pub fn epoch_change(&self, epoch: u64) -> EpochChange {
        let boundary = self.boundaries[epoch as usize];
        let closing = self.checkpoint(boundary + 1);
        let boundary = self.block_proof(boundary, closing.header.history.size);
        EpochChange { closing, boundary }
    }

    /// The checkpoint at `height` with every change from the genesis to it.
    pub fn bundle(&self, height: u64) -> CheckpointBundle {
        let checkpoint = self.checkpoint(height);
        let changes = (0..checkpoint.header.epoch.0).map(|epoch| self.epoch_change(epoch)).collect();
        CheckpointBundle { checkpoint, changes }
    }

    pub fn trust(&self) -> TrustRoot {
        TrustRoot::new(self.genesis.clone())
    }

    pub fn verified(&self, height: u64) -> VerifiedCheckpoint {
        self.trust().verify(self.checkpoint(height)).unwrap()
    }

    /// The history head that the header at `height` commits to: all blocks before it.
    pub fn head(&self, height: u64) -> HistoryHead {
        self.blocks[height as usize].header.history
    }

    /// Block `height` under the history of `size` leaves.
    pub fn block_proof(&self, height: u64, size: u64) -> BlockProof {
        let path = merkle::inclusion_proof::<HistoryHasher, _>(&self.nodes, height, size).unwrap();
        let (block, outcome) = (&self.blocks[height as usize], &self.outcomes[height as usize]);
        BlockProof { header: block.header.clone(), outcome: outcome.clone(), path: path.into() }
    }

    pub fn transaction_proof(&self, height: u64, index: usize, size: u64) -> TransactionProof {
        let block = &self.blocks[height as usize];
        let leaves = Block::transaction_leaves(&block.transactions);
        let transaction = &block.transactions[index];
        TransactionProof {
            block: self.block_proof(height, size),
            leaf: transaction.leaf(),
            body: transaction.body.clone(),
            index: index as u32,
            count: leaves.len() as u32,
            path: merkle::prove_inclusion::<Blake3>(&leaves, index).unwrap().into(),
        }
    }

    pub fn receipt_proof(&self, height: u64, index: usize, size: u64) -> ReceiptProof {
        let results = &self.results[height as usize];
        let leaves: Vec<Digest> = results.iter().map(|result| result.receipt.leaf()).collect();
        ReceiptProof {
            block: self.block_proof(height, size),
            receipt: results[index].receipt.clone(),
            count: leaves.len() as u32,
            path: merkle::prove_inclusion::<Blake3>(&leaves, index).unwrap().into(),
        }
    }

    pub fn event_proof(&self, height: u64, index: usize, event: usize, size: u64) -> EventProof {
        let events = &self.results[height as usize][index].events;
        let leaves: Vec<Digest> = events.iter().map(Event::leaf).collect();
        EventProof {
            receipt: self.receipt_proof(height, index, size),
            event: events[event].clone(),
            index: event as u32,
            path: merkle::prove_inclusion::<Blake3>(&leaves, event).unwrap().into(),
        }
    }

    /// `key` in the state after block `size - 1`.
    pub fn state_proof(&self, key: &Key, size: u64) -> StateProof {
        self.past_state(key, size - 1, size)
    }

    /// `key` in the state after block `height`, under the history of `size` leaves.
    pub fn past_state(&self, key: &Key, height: u64, size: u64) -> StateProof {
        let path = self.tree(key, Some(&key.successor()), height);
        StateProof { block: self.block_proof(height, size), key: key.clone(), path }
    }

    /// The keys of `range` in the state after block `size - 1`.
    pub fn range_proof(&self, range: &KeyRange, size: u64) -> RangeProof {
        self.past_range(range, size - 1, size)
    }

    /// The keys of `range` in the state after block `height`, under the history of `size` leaves.
    pub fn past_range(&self, range: &KeyRange, height: u64, size: u64) -> RangeProof {
        let (from, to) = range.bounds();
        let tree = self.tree(&from, to.as_ref(), height);
        RangeProof { block: self.block_proof(height, size), range: range.clone(), tree }
    }

    fn tree(&self, from: &Key, to: Option<&Key>, height: u64) -> PrunedTree {
        tree::prove_range(&leaves(&self.states[height as usize]), from, to)
    }

    /// The snapshot that the checkpoint at height `at` proves, in chunks that begin at the least key and at `cuts`.
    pub fn snapshot(&self, at: u64, cuts: &[Key]) -> (SnapshotManifest, Vec<Vec<u8>>) {
        let height = self.head(at).size - 1;
        let starts: Vec<Key> = std::iter::once(snapshot::least_key()).chain(cuts.iter().cloned()).collect();
        let chunks: Vec<Vec<u8>> = (0..starts.len())
            .map(|index| codec::encode(&self.tree(&starts[index], starts.get(index + 1), height)))
            .collect();
        let named = starts.iter().zip(&chunks).map(|(from, bytes)| SnapshotChunk {
            from: from.clone(),
            digest: snapshot::chunk_digest(bytes),
            length: bytes.len() as u32,
        });
        let mut frontier = Frontier::<HistoryHasher>::new();
        for (block, outcome) in self.blocks.iter().zip(&self.outcomes).take(height as usize) {
            frontier.append(history::leaf(&block.digest(), &outcome.digest()), &mut |_, _| {});
        }
        let manifest = SnapshotManifest {
            version: snapshot::SNAPSHOT_VERSION,
            chain: self.id(),
            checkpoint: self.bundle(at),
            block: self.checkpoint(height),
            outcome: self.outcomes[height as usize].clone(),
            peaks: frontier.peaks().to_vec().into(),
            chunks: named.collect(),
        };
        (manifest, chunks)
    }

    /// The value of `key` after block `size - 1`, and up to `older` of those before.
    pub fn value_history(&self, key: &Key, older: usize, size: u64) -> ValueHistoryProof {
        let states = self.states[..size as usize].iter().rev();
        let mut values: Vec<Versioned> = states.map_while(|state| state.get(key).cloned()).collect();
        values.dedup();
        let older = values.into_iter().skip(1).take(older).collect();
        ValueHistoryProof { newest: self.state_proof(key, size), history: ValueHistory { older } }
    }

    pub fn consistency(&self, from: u64, to: u64) -> Consistency {
        let path = merkle::consistency_proof::<HistoryHasher, _>(&self.nodes, from, to).unwrap();
        let root = merkle::root_at::<HistoryHasher, _>(&self.nodes, from).unwrap();
        Consistency { from: HistoryHead { size: from, root }, path: path.into() }
    }
}

/// What `signer` certifies `header` with.
pub fn certificate(signer: &MemorySigner, header: &Header) -> Bytes {
    let signature = signer.sign(domains::SIGN_SOLO, header.digest().as_bytes()).unwrap();
    Bytes::from(signature.as_bytes().as_slice())
}

/// What [`tree::prove_range`] takes.
pub fn leaves(state: &BTreeMap<Key, Versioned>) -> Vec<(Key, Versioned)> {
    state.iter().map(|(key, versioned)| (key.clone(), versioned.clone())).collect()
}

pub fn state_root(state: &BTreeMap<Key, Versioned>) -> Digest {
    let leaves: Vec<(Key, Digest)> = state.iter().map(|(key, versioned)| (key.clone(), versioned.leaf(key))).collect();
    tree::root_of(&leaves)
}

/// A contract in the chain of [`notes`].
pub fn contract() -> ContractId {
    let chain = Chain::new("notes", 1);
    ContractId::deployed_by(&deployment(chain.id()).id())
}

fn deployment(chain: ChainId) -> SignedTransaction {
    TransactionBuilder::deploy(chain, "native", b"notes".to_vec(), vec![7]).salt([0xa0; 16]).sign(&signer(2)).unwrap()
}

/// Name and value that a note is stored under.
pub fn note(name: &str) -> Key {
    Key::new(contract(), name.as_bytes())
}

fn put(chain: ChainId, author: u8, number: u64, note: &str) -> SignedTransaction {
    TransactionBuilder::call(chain, contract(), "put", note.as_bytes().to_vec())
        .sequence(0, number)
        .expires_at(BEGINNING.plus(3_600_000))
        .salt([0xb0 + number as u8; 16])
        .sign(&signer(author))
        .unwrap()
}

fn event(topic: &str, data: &str) -> Event {
    Event { contract: contract(), topic: topic.into(), data: Bytes::from(data.as_bytes()) }
}

/// A chain in which two authors deploy a contract and leave notes; all tests and golden files know it.
///
/// ```text
/// 0  genesis, owner's seed 01…01
/// 1  author 02…02 deploys "native" code "notes"
/// 2  three transactions: a note with three events, a note without, a refused one
/// 3  two transactions: the first note changed, the second deleted
/// 4… empty
/// ```
pub fn notes() -> Chain {
    let mut chain = Chain::new("notes", 1);
    let id = chain.id();
    let deploy = deployment(id);
    let system = Key::contract(&contract());
    chain.append(vec![Entry { writes: vec![(system, Some(b"native/notes".to_vec()))], ..Entry::succeeded(deploy) }]);
    chain.append(vec![
        Entry {
            output: b"1 note".to_vec(),
            events: vec![event("put", "tea"), event("indexed", "t"), event("indexed", "te")],
            writes: vec![
                (note("tea"), Some(b"green".to_vec())),
                (note("count"), Some(vec![1])),
                (note("index/t"), Some(b"tea".to_vec())),
            ],
            ..Entry::succeeded(put(id, 2, 1, "tea=green"))
        },
        Entry {
            writes: vec![(note("rye"), Some(b"bread".to_vec())), (note("count"), Some(vec![2]))],
            ..Entry::succeeded(put(id, 3, 0, "rye=bread"))
        },
        Entry {
            status: Status::Failed(Failure::Refused { code: 9, message: "no such note".into() }),
            ..Entry::succeeded(put(id, 3, 1, "nothing"))
        },
    ]);
    chain.append(vec![
        Entry { writes: vec![(note("tea"), Some(b"black".to_vec()))], ..Entry::succeeded(put(id, 2, 2, "tea=black")) },
        Entry { writes: vec![(note("rye"), None)], ..Entry::succeeded(put(id, 3, 2, "rye=")) },
    ]);
    for _ in 4..9 {
        chain.append(Vec::new());
    }
    chain
}
