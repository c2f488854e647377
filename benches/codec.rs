//! Encoding, decoding, roots and proofs, one thread.
//!
//! A transaction is a call with 48 bytes of arguments, a 16-byte salt and an expiry. A block has 1,000 of them. The proofs
//! are of one of these transactions, of its receipt and its event, and of a key in a state of 1,000; they are decoded
//! and verified against a checkpoint that was verified before. `verify` is the whole entry, checkpoint and trust root
//! included. Decoding includes the check that the encoding is canonical.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ledger_core::codec::{self, Bytes, List};
use ledger_core::history::{self, HistoryHasher};
use ledger_core::state::tree;
use ledger_core::{
    Block, BlockProof, Checkpoint, ContractId, Epoch, Event, EventProof, Fuel, Genesis, HEADER_VERSION, Header, Height,
    HistoryHead, Key, Outcome, Proof, ReceiptProof, SignedTransaction, StateProof, Status, Timestamp,
    TransactionBuilder, TransactionProof, TransactionResult, TrustRoot, VerifiedCheckpoint, Version, Versioned,
    domains, outcome, verify,
};
use ledger_crypto::merkle::{self, Blake3};
use ledger_crypto::{Digest, MemorySigner, Signer};

const COUNT: u64 = 1_000;
const PLACE: usize = 617;
const BEGINNING: Timestamp = Timestamp(1_700_000_000_000);

struct World {
    genesis: Genesis,
    block: Block,
    checkpoint: Checkpoint,
    proofs: Vec<(&'static str, Proof)>,
}

impl World {
    fn new() -> Self {
        let owner = MemorySigner::from_seed([1; 32]);
        let genesis = Genesis::solo("bench", owner.public_key(), BEGINNING);
        let contract = ContractId(Digest::new([7; 32]));
        let transactions: List<SignedTransaction> = (0..COUNT)
            .map(|number| {
                TransactionBuilder::call(genesis.chain(), contract, "transfer", vec![0x5a; 48])
                    .sequence(0, number)
                    .expires_at(BEGINNING.plus(60_000))
                    .sign(&owner)
                    .unwrap()
            })
            .collect();
        let results: Vec<TransactionResult> = (0_u32..)
            .zip(&transactions)
            .map(|(index, transaction)| {
                let event = Event { contract, topic: "transferred".into(), data: Bytes::from(vec![0x5a; 48]) };
                let (id, events) = (transaction.id(), vec![event].into());
                TransactionResult::new(id, index, Status::Succeeded, Fuel(9_000), Bytes::default(), events)
            })
            .collect();

        let keys: Vec<Key> = (0..COUNT).map(|number| Key::new(contract, number.to_le_bytes().as_slice())).collect();
        let version = Version { height: Height(1), index: 0 };
        let value = Versioned { value: Bytes::from(vec![0x5a; 16]), version, predecessor: None };
        let mut entries: Vec<(Key, Versioned)> = keys.iter().map(|key| (key.clone(), value.clone())).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let leaves: Vec<(Key, Digest)> = entries.iter().map(|(key, value)| (key.clone(), value.leaf(key))).collect();

        let parent = genesis.header();
        let first = history::leaf(&parent.digest(), &genesis.outcome().digest());
        let header = |parent: &Header, transactions: &[SignedTransaction], leaves: &[Digest]| Header {
            version: HEADER_VERSION,
            chain: genesis.chain(),
            height: parent.height.next(),
            parent: parent.digest(),
            timestamp: parent.timestamp.plus(1_000),
            transactions_root: Block::transactions_root(transactions),
            history: HistoryHead { size: leaves.len() as u64, root: merkle::root::<HistoryHasher>(leaves) },
            epoch: Epoch(0),
            seal: Bytes::default(),
        };
        let block = Block { header: header(&parent, &transactions, &[first]), transactions };
        let outcome = Outcome {
            height: Height(1),
            block: block.digest(),
            state_root: tree::root_of(&leaves),
            receipts_root: outcome::receipts_root(&results),
            fuel_used: Fuel(9_000 * COUNT),
            validators: List::new(),
        };
        let history = [first, history::leaf(&block.digest(), &outcome.digest())];
        let last = header(&block.header, &[], &history);
        let signature = owner.sign(domains::SIGN_SOLO, last.digest().as_bytes()).unwrap();
        let checkpoint = Checkpoint { header: last, certificate: Bytes::from(signature.as_bytes().as_slice()) };

        let path = merkle::prove_inclusion::<HistoryHasher>(&history, 1).unwrap().into();
        let place = BlockProof { header: block.header.clone(), outcome, path };
        let under = |leaves: &[Digest]| List::from(merkle::prove_inclusion::<Blake3>(leaves, PLACE).unwrap());
        let receipts: Vec<Digest> = results.iter().map(|result| result.receipt.leaf()).collect();
        let transaction = TransactionProof {
            block: place.clone(),
            leaf: block.transactions[PLACE].leaf(),
            body: block.transactions[PLACE].body.clone(),
            index: u32::try_from(PLACE).unwrap(),
            count: u32::try_from(COUNT).unwrap(),
            path: under(&Block::transaction_leaves(&block.transactions)),
        };
        let receipt = ReceiptProof {
            block: place.clone(),
            receipt: results[PLACE].receipt.clone(),
            count: u32::try_from(COUNT).unwrap(),
            path: under(&receipts),
        };
        let event = EventProof {
            receipt: receipt.clone(),
            event: results[PLACE].events[0].clone(),
            index: 0,
            path: List::new(),
        };
        let state = StateProof {
            block: place,
            key: keys[PLACE].clone(),
            path: tree::prove_range(&entries, &keys[PLACE], Some(&keys[PLACE].successor())),
        };
        let proofs = vec![
            ("transaction", Proof::Transaction(transaction)),
            ("receipt", Proof::Receipt(receipt)),
            ("event", Proof::Event(event)),
            ("state", Proof::State(state)),
        ];
        World { genesis, block, checkpoint, proofs }
    }

    fn trust(&self) -> TrustRoot {
        TrustRoot::new(self.genesis.clone())
    }
}

fn codecs(criterion: &mut Criterion, world: &World) {
    let transaction = &world.block.transactions[PLACE];
    let (one, all) = (codec::encode(transaction), codec::encode(&world.block));
    println!("a signed transaction takes {} bytes, a block of {COUNT} takes {}", one.len(), all.len());
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(one.len() as u64));
    group.bench_function("encode transaction", |b| b.iter(|| codec::encode(black_box(transaction))));
    group.bench_function("decode transaction", |b| b.iter(|| codec::decode::<SignedTransaction>(black_box(&one))));
    group.bench_function("transaction id", |b| b.iter(|| black_box(transaction).id()));
    group.throughput(Throughput::Bytes(all.len() as u64));
    group.bench_function("encode block of 1000", |b| b.iter(|| codec::encode(black_box(&world.block))));
    group.bench_function("decode block of 1000", |b| b.iter(|| codec::decode::<Block>(black_box(&all))));
    group.throughput(Throughput::Elements(COUNT));
    group.bench_function("transactions root of 1000", |b| {
        b.iter(|| Block::transactions_root(black_box(&world.block.transactions)));
    });
    group.finish();
}

fn proofs(criterion: &mut Criterion, world: &World) {
    let checkpoint: VerifiedCheckpoint = world.trust().verify(world.checkpoint.clone()).unwrap();
    let (certified, root) = (codec::encode(&world.checkpoint), codec::encode(&world.trust()));
    let mut group = criterion.benchmark_group("proof");
    for (name, proof) in &world.proofs {
        let bytes = codec::encode(proof);
        assert!(verify(&bytes, &certified, &root).is_ok(), "{name}");
        println!("proof of {name}: {} bytes", bytes.len());
        group.bench_function(format!("decode and verify {name}"), |b| {
            b.iter(|| codec::decode::<Proof>(black_box(&bytes)).unwrap().verify(&checkpoint));
        });
    }
    let bytes = codec::encode(&world.proofs[3].1);
    group.bench_function("verify (checkpoint, then state)", |b| {
        b.iter(|| verify(black_box(&bytes), black_box(&certified), black_box(&root)));
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let world = World::new();
    codecs(criterion, &world);
    proofs(criterion, &world);
}

criterion_group!(benches, all);
criterion_main!(benches);
