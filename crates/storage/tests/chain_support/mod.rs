//! Chains to test with: blocks, executions, and a model of the state with its history.
#![allow(dead_code, reason = "every test file takes what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::codec::{Bytes, List};
use ledger_core::{
    Block, ContractId, Execution, Fuel, Genesis, Header, Height, Key, KeyRange, Rejection, SignedTransaction, Status,
    Timestamp, TransactionBuilder, TransactionResult, Version, Versioned, Write, Writes,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use ledger_storage::chain::{Applied, AppliedBlock, ChainConfig, ChainReader, ChainStore, StoreError};
use ledger_storage::engine::Engine;
use ledger_storage::log::LogPosition;
use ledger_storage::state::VersionEntry;
use proptest::prelude::*;

pub(crate) fn genesis(name: &str) -> Genesis {
    Genesis::solo(name, MemorySigner::from_seed([1; 32]).public_key(), Timestamp(1_000))
}

pub(crate) fn open(engine: &Arc<dyn Engine>, name: &str) -> ChainStore {
    ChainStore::open(Arc::clone(engine), &genesis(name), ChainConfig::default()).unwrap()
}

pub(crate) fn transaction(name: &str, number: u64) -> SignedTransaction {
    let contract = ContractId(Digest::new([9; 32]));
    TransactionBuilder::call(genesis(name).chain(), contract, "write", vec![])
        .sequence(0, number)
        .sign(&MemorySigner::from_seed([2; 32]))
        .unwrap()
}

pub(crate) fn result(transaction: &SignedTransaction, index: u32, status: Status, output: &[u8]) -> TransactionResult {
    TransactionResult::new(transaction.transaction.id(), index, status, Fuel(7), Bytes::from(output), List::new())
}

pub(crate) fn rejected() -> Status {
    Status::Rejected(Rejection::Duplicate)
}

/// The block after `parent`, with `transactions`.
pub(crate) fn block(parent: &Header, history: ledger_core::HistoryHead, transactions: Vec<SignedTransaction>) -> Block {
    let header = Header {
        height: parent.height.next(),
        parent: parent.digest(),
        timestamp: parent.timestamp.plus(10),
        transactions_root: Block::transactions_root(&transactions),
        history,
        ..parent.clone()
    };
    Block { header, transactions: transactions.into() }
}

pub(crate) fn position(height: Height) -> LogPosition {
    LogPosition { segment: height.0 / 10, offset: height.0 * 1_000, length: 900 }
}

/// A block and what became of it, ready to be applied again and again.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) block: Block,
    pub(crate) execution: Execution,
    pub(crate) certificate: Vec<u8>,
}

impl Made {
    pub(crate) fn next(store: &ChainStore, writes: Vec<Write>, transactions: Vec<(SignedTransaction, Status)>) -> Self {
        let head = store.head();
        let (transactions, statuses): (Vec<_>, Vec<_>) = transactions.into_iter().unzip();
        let block = block(&head.header, head.history, transactions);
        let results = (0..).zip(block.transactions.iter()).zip(statuses);
        let results = results
            .map(|((index, transaction), status)| {
                result(transaction, index, status, &block.header.height.0.to_le_bytes())
            })
            .collect();
        let fuel_used = Fuel(7 * block.transactions.len() as u64);
        let execution = Execution { writes: Writes::new(writes), results, fuel_used, validators: List::new() };
        Made { certificate: block.header.height.0.to_be_bytes().to_vec(), block, execution }
    }

    pub(crate) fn apply(&self, store: &mut ChainStore) -> Result<Applied, StoreError> {
        store.apply(AppliedBlock {
            block: &self.block,
            certificate: &self.certificate,
            position: position(self.block.header.height),
            execution: &self.execution,
        })
    }
}

pub(crate) fn advance(store: &mut ChainStore, writes: Vec<Write>) -> Applied {
    Made::next(store, writes, vec![]).apply(store).unwrap()
}

/// The state with its history, as simple as can be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// By key, oldest first.
    pub(crate) versions: BTreeMap<Key, Vec<VersionEntry>>,
}

impl Model {
    pub(crate) fn apply(&mut self, height: Height, writes: &Writes) {
        for write in writes {
            let versions = self.versions.entry(write.key.clone()).or_default();
            let before = versions.last().and_then(|entry| entry.value.clone());
            let version = Version { height, index: write.index };
            let value = write.value.as_ref().map(|value| Versioned {
                value: value.clone(),
                version,
                predecessor: before.as_ref().map(|before| before.leaf(&write.key)),
            });
            if value.is_some() || before.is_some() {
                versions.push(VersionEntry { version, value });
            }
        }
    }

    pub(crate) fn get(&self, key: &Key, at: Height) -> Option<Versioned> {
        let versions = self.versions.get(key)?;
        versions.iter().rev().find(|entry| entry.version.height <= at)?.value.clone()
    }

    pub(crate) fn scan(&self, range: &KeyRange, at: Height) -> Vec<(Key, Versioned)> {
        let keys = self.versions.keys().filter(|key| range.contains(key));
        keys.filter_map(|key| Some((key.clone(), self.get(key, at)?))).collect()
    }

    /// What [`tree::root_of`] takes.
    pub(crate) fn leaves(&self, at: Height) -> Vec<(Key, Digest)> {
        let present = self.versions.keys().filter_map(|key| Some((key, self.get(key, at)?)));
        present.map(|(key, found)| (key.clone(), found.leaf(key))).collect()
    }
}

pub(crate) fn namespace(number: u8) -> ContractId {
    ContractId(Digest::new([number; 32]))
}

/// Few names, some of which begin others, so that writes meet.
pub(crate) fn key() -> impl Strategy<Value = Key> {
    let name = prop_oneof![
        prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..3),
        (0..200_u8).prop_map(|number| vec![7, number]),
    ];
    (prop_oneof![Just(0_u8), Just(5), Just(255)], name).prop_map(|(number, name)| Key::new(namespace(number), name))
}

/// The writes of one block. Some values are longer than is kept beside the key.
pub(crate) fn writes() -> impl Strategy<Value = Vec<Write>> {
    let value = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Some),
        1 => (any::<u8>(), 250..600_usize).prop_map(|(byte, length)| Some(vec![byte; length])),
        2 => Just(None),
    ];
    let write =
        (key(), 0..4_u32, value).prop_map(|(key, index, value)| Write { key, index, value: value.map(Bytes::from) });
    prop::collection::vec(write, 0..25)
}

pub(crate) fn ranges() -> Vec<KeyRange> {
    let mut ranges = Vec::new();
    for number in [0, 5, 9, 255] {
        let namespace = namespace(number);
        for prefix in [&[][..], &[0], &[7], &[255], &[255, 255]] {
            ranges.push(KeyRange::prefix(namespace, prefix));
        }
        ranges.push(KeyRange { namespace, from: Bytes::from(vec![7, 20]), to: Some(Bytes::from(vec![7, 90])) });
        ranges.push(KeyRange { namespace, from: Bytes::from(vec![7, 90]), to: Some(Bytes::from(vec![7, 20])) });
    }
    ranges
}

/// All that a reader tells of a chain, to be compared with another reader's.
pub(crate) fn everything(reader: &ChainReader, keys: &[Key]) -> Vec<String> {
    use ledger_core::StateView;
    let head = reader.head();
    let mut all = vec![format!("{head:?}")];
    for height in (0..=head.header.height.0).map(Height) {
        all.push(format!("{:?}", reader.block(height).unwrap()));
        all.push(format!("{:?}", reader.results(height).unwrap()));
        all.push(format!("{:?}", reader.history_head(height.0 + 1).unwrap()));
        let state = reader.state_at(height).unwrap();
        for key in keys {
            all.push(format!("{:?}", state.get(key).unwrap()));
        }
    }
    for key in keys {
        all.push(format!("{:?}", reader.value_history(key, None, 1_000).unwrap()));
        all.push(format!("{:?}", reader.prove(head.header.height, key).unwrap()));
    }
    all
}
